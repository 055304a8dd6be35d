/*
 * virtio block device over a raw image. VIRTIO 1.2, "Block Device". What the driver offers is executed, in order, a
 * fixed virtual time after the notification, whatever the computer's disk takes. With `snapshot` the image is only
 * read: what is written lives in memory, in pieces of 4 KiB.
 */
#include "base/os.h"
#include "dev/virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR     512u
#define LATENCY_NS 50000u
#define CHUNK      4096u
#define BOUNCE     65536u
#define MAX_RANGES 32u        /* of one discard or write-zeroes request */
#define MAX_ZERO   (1u << 16) /* sectors of one range: 32 MiB */

enum { F_SEG_MAX = 2, F_RO = 5, F_BLK_SIZE = 6, F_FLUSH = 9, F_DISCARD = 13, F_WRITE_ZEROES = 14 };
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13, ID_LEN = 20 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2, UNMAP = 1 };
enum {
	CFG_CAPACITY = 0, CFG_SEG_MAX = 12, CFG_BLK_SIZE = 20, CFG_NUM_QUEUES = 34, CFG_MAX_DISCARD = 36,
	CFG_DISCARD_SEG = 40, CFG_DISCARD_ALIGN = 44, CFG_MAX_ZEROES = 48, CFG_ZEROES_SEG = 52, CFG_ZEROES_UNMAP = 56,
	CFG_SIZE = 60,
};

/* ---- the overlay: a hash table of what differs from the image ---- */

struct chunk {
	u64 index;
	u64 hash;   /* cache: of data, while not stale */
	bool stale; /* cache */
	u8 data[CHUNK];
};

struct overlay {
	struct chunk **slot; /* open addressing; a power of two of them */
	u64 slots, used;
};

/* When the requests up to an available index are due. */
struct due {
	u64 when;
	u16 upto;
};

struct virtio_blk {
	struct virtio v;
	int fd;                    /* wired */
	bool readonly, snapshot;   /* wired */
	bool told; /* cache: a person knows that the computer refuses to write */
	const struct platform *platform;
	const char *path, *option; /* wired: the caller's */
	u64 size;                  /* wired */
	char serial[ID_LEN];       /* wired */
	struct due due[VIRTIO_QUEUE_SIZE]; /* oldest first; in extra_hash */
	u16 dues;
	u64 written;             /* a running mix of what went to the file */
	struct overlay overlay;  /* in extra_hash */
	struct timer timer;      /* cache: armed from due[0] */
	struct virtq_elem elem;  /* cache: the request at work */
	u8 bounce[BOUNCE];       /* cache */
};

static u64 slot_of(const struct overlay *o, u64 index)
{
	u64 n = (index * 0x9e3779b97f4a7c15ull >> 20) & (o->slots - 1);

	while (o->slot[n] && o->slot[n]->index != index)
		n = (n + 1) & (o->slots - 1);
	return n;
}

static struct chunk *find_chunk(const struct overlay *o, u64 index)
{
	return o->slots ? o->slot[slot_of(o, index)] : NULL;
}

static bool grow(struct overlay *o)
{
	struct overlay next = { .slots = o->slots ? o->slots * 2 : 64, .used = o->used };

	if (o->used * 2 < o->slots)
		return true;
	next.slot = base_alloc(next.slots * sizeof(struct chunk *));
	if (!next.slot)
		return false;
	for (u64 n = 0; n < o->slots; n++)
		if (o->slot[n])
			next.slot[slot_of(&next, o->slot[n]->index)] = o->slot[n];
	base_free(o->slot);
	*o = next;
	return true;
}

static void free_overlay(struct overlay *o)
{
	for (u64 n = 0; n < o->slots; n++)
		base_free(o->slot[n]);
	base_free(o->slot);
	*o = (struct overlay){ 0 };
}

/* ---- the image ---- */

/* The guest learns it by its request's status, a person by one line. */
static bool cannot(struct virtio_blk *b, const char *what)
{
	char text[512];

	if (b->told || !b->platform || !b->platform->note)
		return false;
	b->told = true;
	snprintf(text, sizeof(text), "%s%s%s: %s: %s; the guest sees I/O errors", b->option ? b->option : "",
		 b->option ? " " : "", b->path, what, strerror(errno));
	b->platform->note(b->platform->arg, text);
	return false;
}

static bool file_read(struct virtio_blk *b, u64 at, u8 *buf, u64 len)
{
	while (len) {
		ssize_t n = pread(b->fd, buf, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENODATA; /* somebody cut the file short */
		if (n <= 0)
			return cannot(b, "cannot be read");
		buf += n, at += (u64)n, len -= (u64)n;
	}
	return true;
}

static bool file_write(struct virtio_blk *b, u64 at, const u8 *buf, u64 len)
{
	while (len) {
		ssize_t n = pwrite(b->fd, buf, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENOSPC;
		if (n <= 0)
			return cannot(b, "cannot be written");
		buf += n, at += (u64)n, len -= (u64)n;
	}
	return true;
}

/* The chunk that holds `index`, made from the image if need be. `whole`: its content is about to be replaced. */
static struct chunk *own_chunk(struct virtio_blk *b, u64 index, bool whole)
{
	struct chunk *c = find_chunk(&b->overlay, index);
	u64 at = index * CHUNK;

	if (c || !grow(&b->overlay))
		return c;
	c = base_alloc(sizeof(*c));
	if (!c)
		return NULL;
	if (!whole && !file_read(b, at, c->data, min_u64(CHUNK, b->size - at))) {
		base_free(c);
		return NULL;
	}
	c->index = index;
	b->overlay.slot[slot_of(&b->overlay, index)] = c;
	b->overlay.used++;
	return c;
}

static bool image_read(struct virtio_blk *b, u64 at, u8 *buf, u64 len)
{
	if (!b->overlay.used)
		return file_read(b, at, buf, len);
	while (len) {
		u64 in = at % CHUNK, n = min_u64(len, CHUNK - in);
		const struct chunk *c = find_chunk(&b->overlay, at / CHUNK);
		if (c)
			memcpy(buf, c->data + in, n);
		else if (!file_read(b, at, buf, n))
			return false;
		buf += n, at += n, len -= n;
	}
	return true;
}

static bool image_write(struct virtio_blk *b, u64 at, const u8 *buf, u64 len)
{
	if (!b->snapshot) {
		b->written = state_mix(state_mix(b->written, &at, sizeof(at)), buf, len);
		return file_write(b, at, buf, len);
	}
	while (len) {
		u64 in = at % CHUNK, n = min_u64(len, CHUNK - in);
		struct chunk *c = own_chunk(b, at / CHUNK, n == CHUNK);
		if (!c)
			return false;
		memcpy(c->data + in, buf, n);
		c->stale = true;
		buf += n, at += n, len -= n;
	}
	return true;
}

/* Zeros over what is there. A hole in the file takes no room, but only who asked for `unmap` wants one; whether the
 * file system can punch it makes no difference to what is read, nor to the hash. */
static bool image_zero(struct virtio_blk *b, u64 at, u64 len, bool unmap)
{
	u64 what[2] = { at, len };

	if (!b->snapshot) {
		b->written = state_mix(b->written, what, sizeof(what));
		int how = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		if (unmap && len && !fallocate(b->fd, how, (off_t)at, (off_t)len))
			return true;
	}
	memset(b->bounce, 0, BOUNCE);
	while (len) {
		u64 n = min_u64(len, BOUNCE);
		if (!(b->snapshot ? image_write(b, at, b->bounce, n) : file_write(b, at, b->bounce, n)))
			return false;
		at += n, len -= n;
	}
	return true;
}

/* ---- requests ---- */

struct header {
	u32 type, reserved;
	u64 sector;
};

static bool in_range(const struct virtio_blk *b, u64 sector, u64 bytes)
{
	u64 sectors = b->size / SECTOR;

	return bytes % SECTOR == 0 && sector <= sectors && bytes / SECTOR <= sectors - sector;
}

static u8 do_in(struct virtio_blk *b, u64 sector, u64 len)
{
	if (!in_range(b, sector, len))
		return S_IOERR;
	for (u64 done = 0; done < len;) {
		u64 n = min_u64(len - done, BOUNCE);
		if (!image_read(b, sector * SECTOR + done, b->bounce, n) ||
		    !virtq_write(&b->v.q[0], &b->elem, done, b->bounce, n))
			return S_IOERR;
		done += n;
	}
	return S_OK;
}

static u8 do_out(struct virtio_blk *b, u64 sector, u64 len)
{
	if (b->readonly || !in_range(b, sector, len))
		return S_IOERR;
	for (u64 done = 0; done < len;) {
		u64 n = min_u64(len - done, BOUNCE);
		if (!virtq_read(&b->v.q[0], &b->elem, sizeof(struct header) + done, b->bounce, n) ||
		    !image_write(b, sector * SECTOR + done, b->bounce, n))
			return S_IOERR;
		done += n;
	}
	return S_OK;
}

static u8 do_flush(struct virtio_blk *b)
{
	if (b->readonly || b->snapshot || !fdatasync(b->fd))
		return S_OK;
	cannot(b, "cannot be made durable");
	return S_IOERR;
}

static u8 do_get_id(struct virtio_blk *b, u64 len)
{
	return virtq_write(&b->v.q[0], &b->elem, 0, b->serial, min_u64(len, ID_LEN)) ? S_OK : S_IOERR;
}

struct range {
	u64 sector;
	u32 sectors, flags;
};

/* "virtio_blk_discard_write_zeroes". All ranges are looked at before the first is touched. A discarded range reads as
 * zeros, which is one of the things it may read as. */
static u8 do_zero(struct virtio_blk *b, u64 len, bool discard)
{
	struct range r[MAX_RANGES];
	u64 n = len / sizeof(r[0]);

	if (b->readonly || !len || len % sizeof(r[0]) || n > MAX_RANGES)
		return S_IOERR;
	if (!virtq_read(&b->v.q[0], &b->elem, sizeof(struct header), r, len))
		return S_IOERR;
	for (u64 i = 0; i < n; i++) {
		if ((r[i].flags & ~(u32)UNMAP) || (discard && r[i].flags))
			return S_UNSUPP;
		if (r[i].sectors > MAX_ZERO || !in_range(b, r[i].sector, (u64)r[i].sectors * SECTOR))
			return S_IOERR;
	}
	for (u64 i = 0; i < n; i++)
		if (!image_zero(b, r[i].sector * SECTOR, (u64)r[i].sectors * SECTOR, discard || r[i].flags))
			return S_IOERR;
	return S_OK;
}

static u8 execute(struct virtio_blk *b, const struct header *h, u64 out, u64 in)
{
	switch (h->type) {
	case T_IN: return do_in(b, h->sector, in);
	case T_OUT: return do_out(b, h->sector, out);
	case T_FLUSH: return do_flush(b);
	case T_GET_ID: return do_get_id(b, in);
	case T_DISCARD: return do_zero(b, out, true);
	case T_WRITE_ZEROES: return do_zero(b, out, false);
	default: return S_UNSUPP;
	}
}

/* "Device Operation": header, data, and the status in the last byte that may be written, however they are cut up. */
static void request(struct virtio_blk *b)
{
	struct virtq *q = &b->v.q[0];
	struct header h;

	if (b->elem.out_len < sizeof(h) || !b->elem.in_len || !virtq_read(q, &b->elem, 0, &h, sizeof(h))) {
		virtio_broken(&b->v);
		return;
	}
	u64 in = b->elem.in_len - 1;
	u8 status = execute(b, &h, b->elem.out_len - sizeof(h), in);
	if (!virtq_write(q, &b->elem, in, &status, 1)) {
		virtio_broken(&b->v);
		return;
	}
	/* "used length": how much from the beginning was written for sure. */
	bool data = status == S_OK && (h.type == T_IN || (h.type == T_GET_ID && in <= ID_LEN));
	virtq_push(q, &b->elem, data ? (u32)min_u64(in + 1, UINT32_MAX) : in ? 0 : 1);
}

/* ---- time ---- */

static void arm(struct virtio_blk *b)
{
	if (b->dues)
		timer_arm(&b->timer, b->due[0].when);
	else
		timer_disarm(&b->timer);
}

static void timer_fired(void *arg)
{
	struct virtio_blk *b = arg;
	struct virtq *q = &b->v.q[0];
	u16 upto = b->due[0].upto;

	b->dues--;
	memmove(b->due, b->due + 1, b->dues * sizeof(b->due[0]));
	/* Stores of ours may change the ring under us; the number of rounds is the ring's size at most all the same. */
	for (unsigned n = q->size; n && q->last_avail != upto && virtq_pop(q, &b->elem); n--)
		request(b);
	virtq_signal(q);
	arm(b);
}

static void notify(struct virtio *v, unsigned queue)
{
	struct virtio_blk *b = (struct virtio_blk *)v;
	u16 idx, seen = b->dues ? b->due[b->dues - 1].upto : v->q[queue].last_avail;

	if (!virtq_available(&v->q[queue], &idx, true) || idx == seen)
		return;
	if (b->dues == ARRAY_LEN(b->due)) { /* more batches than the ring has entries: they go with the last */
		b->due[b->dues - 1].upto = idx;
		return;
	}
	b->due[b->dues++] = (struct due){ v->pci.dev.clock->now + LATENCY_NS, idx };
	arm(b);
}

static void reset(struct virtio *v)
{
	struct virtio_blk *b = (struct virtio_blk *)v;

	b->dues = 0;
	memset(b->due, 0, sizeof(b->due));
	arm(b);
}

static void blk_destroy(struct device *d)
{
	struct virtio_blk *b = (struct virtio_blk *)d;

	timer_disarm(&b->timer);
	virtio_detach(&b->v);
	free_overlay(&b->overlay);
	if (b->fd >= 0)
		close(b->fd);
	base_free(b);
}

/* The same content gives the same value however it came about: a sum over chunks. */
static u64 extra_hash(struct device *d, u64 seed)
{
	struct virtio_blk *b = (struct virtio_blk *)d;
	u64 sum = 0;

	for (u64 n = 0; n < b->overlay.slots; n++) {
		struct chunk *c = b->overlay.slot[n];
		if (!c)
			continue;
		if (c->stale)
			c->hash = state_mix(c->index, c->data, CHUNK);
		c->stale = false;
		sum += c->hash;
	}
	for (u16 n = 0; n < b->dues; n++) {
		seed = state_mix(seed, &b->due[n].when, sizeof(b->due[n].when));
		seed = state_mix(seed, &b->due[n].upto, sizeof(b->due[n].upto));
	}
	return state_mix(seed, &sum, sizeof(sum));
}

static void virtio_blk_loaded(struct device *d)
{
	pci_loaded(d);
	arm((struct virtio_blk *)d);
}

static const struct state_row rows[] = {
	VIRTIO_ROWS(1, struct virtio_blk, v),
	STATE(50, struct virtio_blk, dues),
	STATE(51, struct virtio_blk, written),
};

static const struct device_ops ops = {
	.name = "virtio-blk", .reset = virtio_reset, .loaded = virtio_blk_loaded, .destroy = blk_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
	.extra_hash = extra_hash,
};

static const struct virtio_class class = {
	.id = VIRTIO_ID_BLOCK, .class_code = 0x010000, .queues = 1, .config_size = CFG_SIZE, .notify = notify,
	.reset = reset,
};

/* ---- opening ---- */

static void configure(struct virtio_blk *b)
{
	const struct {
		unsigned at, size;
		u64 v;
	} field[] = {
		{ CFG_CAPACITY, 8, b->size / SECTOR }, { CFG_SEG_MAX, 4, VIRTIO_QUEUE_SIZE - 2 },
		{ CFG_BLK_SIZE, 4, SECTOR }, { CFG_NUM_QUEUES, 2, 1 }, { CFG_MAX_DISCARD, 4, MAX_ZERO },
		{ CFG_DISCARD_SEG, 4, MAX_RANGES }, { CFG_DISCARD_ALIGN, 4, 1 }, { CFG_MAX_ZEROES, 4, MAX_ZERO },
		{ CFG_ZEROES_SEG, 4, MAX_RANGES }, { CFG_ZEROES_UNMAP, 1, 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(field); i++)
		for (unsigned k = 0; k < field[i].size; k++)
			b->v.config[field[i].at + k] = (u8)(field[i].v >> 8 * k);
	b->v.offered = BIT(F_SEG_MAX) | BIT(F_BLK_SIZE) | BIT(F_FLUSH);
	b->v.offered |= b->readonly ? BIT(F_RO) : BIT(F_DISCARD) | BIT(F_WRITE_ZEROES);
}

static enum status check_image(struct virtio_blk *b, const char *path, struct err *err)
{
	struct stat st;
	u8 magic[4];

	if (fstat(b->fd, &st))
		return err_set(err, ST_ARG, "%s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return err_set(err, ST_ARG, "%s: is a folder, not a disk image", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(err, ST_ARG, "%s: neither a file nor a disk", path);
	off_t end = lseek(b->fd, 0, SEEK_END);
	if (end <= 0)
		return err_set(err, ST_ARG, "%s: is empty", path);
	b->size = (u64)end;
	if (b->size >= sizeof(magic) && file_read(b, 0, magic, sizeof(magic)) && !memcmp(magic, "QFI\xfb", 4))
		return err_set(err, ST_ARG,
			       "%s: is a qcow2 image; convert it: qemu-img convert -f qcow2 -O raw '%s' '%s.raw'", path,
			       path, path);
	if (b->size % SECTOR)
		return err_set(err, ST_ARG, "%s: %llu bytes is not a multiple of %u", path, (unsigned long long)b->size,
			       SECTOR);
	return ST_OK;
}

static enum status open_image(struct virtio_blk *b, const char *path, struct err *err)
{
	struct stat st;

	/* Before opening: a folder would fail with the wrong reason, and a FIFO would wait for somebody. */
	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return err_set(err, ST_ARG, "%s: is a folder, not a disk image", path);
	b->fd = open(path, (b->readonly || b->snapshot ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);
	if (b->fd < 0)
		return err_set(err, ST_ARG, "%s: %s", path, strerror(errno));
	enum status s = check_image(b, path, err);
	bool writes = !b->readonly && !b->snapshot;
	if (s == ST_OK && !os_lock_file(b->fd, writes))
		return err_set(err, ST_ARG, "%s: another machine %s", path,
			       writes ? "uses this disk; give it a copy, or ro or snapshot to all of them"
				      : "writes to this disk");
	return s;
}

enum status virtio_blk_create(struct device **out, const struct dev_env *e, const struct virtio_blk_config *cfg,
			      struct err *err)
{
	struct virtio_blk *b = base_alloc(sizeof(*b));

	if (!b)
		return ST_NOMEM;
	b->v.pci.dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	b->fd = -1;
	b->readonly = cfg->readonly;
	b->snapshot = cfg->snapshot && !cfg->readonly;
	b->platform = e->platform;
	b->path = cfg->path;
	b->option = cfg->option;
	timer_init(&b->timer, e->clock, timer_fired, b);
	timer_loosen(&b->timer);
	if (cfg->serial)
		memcpy(b->serial, cfg->serial, min_u64(strlen(cfg->serial), ID_LEN));
	enum status s = open_image(b, cfg->path, err);
	if (s == ST_OK) {
		configure(b);
		s = virtio_attach(&b->v, e, cfg->devfn, &class);
		if (s != ST_OK)
			err_set(err, s, "%s: that PCI slot is taken, or none is left", cfg->path);
	}
	if (s != ST_OK) {
		err_in(err, s, cfg->option);
		if (b->fd >= 0)
			close(b->fd);
		base_free(b);
		return s;
	}
	*out = &b->v.pci.dev;
	return ST_OK;
}
