/*
 * fw_cfg: named blobs for firmware and kernels, through a selector (510h), a data port (511h) and DMA (514h). QEMU's
 * document "QEMU Firmware Configuration (fw_cfg) Device" is its specification. Content is fixed before the first run.
 */
#include "dev/devices.h"

enum { KEY_SIGNATURE = 0, KEY_ID = 1, KEY_DIRECTORY = 0x19, KEY_FIRST_FILE = 0x20, KEY_WRITE = 0x4000 };
enum { NAME_LEN = 56, DIR_ENTRY = 64, FILES_MAX = 256 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
enum { REQUESTER = 0 };

#define DMA_SIGNATURE 0x51454d5520434647ull /* "QEMU CFG" */

struct item {
	u16 key;
	u32 len;
	u8 *data;
	char name[NAME_LEN]; /* "": not a file */
	struct item *next;
};

struct fwcfg {
	struct device dev;
	u16 key;
	u32 offset;
	u32 dma_high;
	struct item *items;  /* wired: content, set before the first run, never changed by it */
	u32 files;           /* wired */
	struct bus_range port, dma;
};

static u32 be32(u32 v)
{
	return __builtin_bswap32(v);
}

static struct item *find(const struct fwcfg *f, u16 key)
{
	for (struct item *i = f->items; i; i = i->next) {
		if (i->key == key)
			return i;
	}
	return NULL;
}

/* ---- content ---- */

static enum status set_data(struct item *i, const void *data, u32 len)
{
	u8 *copy = base_alloc(len ? len : 1);

	if (!copy)
		return ST_NOMEM;
	if (len)
		memcpy(copy, data, len);
	base_free(i->data);
	i->data = copy;
	i->len = len;
	return ST_OK;
}

static enum status set_key(struct fwcfg *f, u16 key, const void *data, u32 len, struct item **out)
{
	struct item *i = find(f, key);
	enum status s;

	if (!i) {
		i = base_alloc(sizeof(*i));
		if (!i)
			return ST_NOMEM;
		i->key = key;
		s = set_data(i, data, len);
		if (s) {
			base_free(i);
			return s;
		}
		i->next = f->items;
		f->items = i;
	} else {
		s = set_data(i, data, len);
	}
	if (out)
		*out = i;
	return s;
}

enum status fwcfg_add_key(struct device *d, u16 key, const void *data, u32 len)
{
	return set_key((struct fwcfg *)d, key, data, len, NULL);
}

/* "File Directory": a big-endian count, then 64 bytes a file. */
static enum status build_directory(struct fwcfg *f)
{
	u32 len = 4 + f->files * DIR_ENTRY, count = be32(f->files);
	u8 *dir = base_alloc(len);
	enum status s;

	if (!dir)
		return ST_NOMEM;
	memcpy(dir, &count, 4);
	for (u32 n = 0; n < f->files; n++) {
		const struct item *i = find(f, (u16)(KEY_FIRST_FILE + n));
		u32 size = i ? be32(i->len) : 0;
		u8 *entry = dir + 4 + n * DIR_ENTRY;

		memcpy(entry, &size, 4);
		entry[4] = (u8)((KEY_FIRST_FILE + n) >> 8);
		entry[5] = (u8)(KEY_FIRST_FILE + n);
		if (i)
			memcpy(entry + 8, i->name, NAME_LEN);
	}
	s = set_key(f, KEY_DIRECTORY, dir, len, NULL);
	base_free(dir);
	return s;
}

enum status fwcfg_add_file(struct device *d, const char *name, const void *data, u32 len)
{
	struct fwcfg *f = (struct fwcfg *)d;
	struct item *i;
	enum status s;

	if (strlen(name) >= NAME_LEN || !*name)
		return ST_ARG;
	for (i = f->items; i; i = i->next) {
		if (!strcmp(i->name, name)) {
			s = set_data(i, data, len);
			return s ? s : build_directory(f);
		}
	}
	if (f->files >= FILES_MAX)
		return ST_ARG;
	s = set_key(f, (u16)(KEY_FIRST_FILE + f->files), data, len, &i);
	if (s)
		return s;
	memcpy(i->name, name, strlen(name) + 1);
	f->files++;
	return build_directory(f);
}

/* ---- access ---- */

static void select_key(struct fwcfg *f, u16 key)
{
	f->key = key & (u16)~KEY_WRITE;
	f->offset = 0;
}

/* What is behind the end of an item, or in no item, reads as zeros. */
static void fetch(struct fwcfg *f, u8 *buf, u32 n)
{
	const struct item *i = find(f, f->key);
	u32 have = i && f->offset < i->len ? (u32)min_u64(n, i->len - f->offset) : 0;

	if (have)
		memcpy(buf, i->data + f->offset, have);
	memset(buf + have, 0, n - have);
	f->offset = f->offset + n < f->offset ? UINT32_MAX : f->offset + n;
}

static bool dma_fetch(struct fwcfg *f, u64 pa, u32 len)
{
	u8 page[4096];

	while (len) {
		u32 n = (u32)min_u64(len, sizeof(page));

		fetch(f, page, n);
		/* Memory only: a device would be written to for as long as 4 GiB take, in one instruction. */
		if (!dma_store(f->dev.bus, REQUESTER, pa, page, n))
			return false;
		pa += n;
		len -= n;
	}
	return true;
}

/* "Guest-side DMA Interface": one descriptor, executed at once; its control word becomes 0 or the error bit. */
static void run_dma(struct fwcfg *f, u64 at)
{
	struct {
		u32 control, length;
		u64 address;
	} d;
	u32 control, length;
	bool ok = true;

	if (!dma_read(f->dev.bus, REQUESTER, at, &d, sizeof(d)))
		return;
	control = be32(d.control);
	length = be32(d.length);
	if (control & DMA_SELECT)
		select_key(f, (u16)(control >> 16));
	if (control & DMA_READ)
		ok = dma_fetch(f, __builtin_bswap64(d.address), length);
	else if (control & DMA_WRITE)
		ok = false; /* no item is writable */
	else if (control & DMA_SKIP)
		f->offset = f->offset + length < f->offset ? UINT32_MAX : f->offset + length;
	d.control = be32(ok ? 0 : DMA_ERROR);
	dma_write(f->dev.bus, REQUESTER, at, &d.control, sizeof(d.control));
}

static u64 port_read(void *dev, u64 offset, unsigned size)
{
	u8 v = 0;

	(void)size;
	if (offset == 1)
		fetch(dev, &v, 1);
	return v;
}

static void port_write(void *dev, u64 offset, unsigned size, u64 v)
{
	if (offset == 0 && size == 2)
		select_key(dev, (u16)v);
}

static u64 dma_reg_read(void *dev, u64 offset, unsigned size)
{
	(void)dev;
	return low_bytes(__builtin_bswap64(DMA_SIGNATURE) >> (offset & 7) * 8, size);
}

static void dma_reg_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct fwcfg *f = dev;
	u64 at;

	if (size != 4)
		return;
	if (offset == 0) {
		f->dma_high = be32((u32)v);
	} else if (offset == 4) {
		at = (u64)f->dma_high << 32 | be32((u32)v);
		f->dma_high = 0;
		run_dma(f, at);
	}
}

static const struct bus_ops port_ops = { .read = port_read, .write = port_write, .max_size = 2 };
static const struct bus_ops dma_ops = { .read = dma_reg_read, .write = dma_reg_write, .max_size = 4 };

static void fwcfg_reset(struct device *d)
{
	struct fwcfg *f = (struct fwcfg *)d;

	select_key(f, 0);
	f->dma_high = 0;
}

static void fwcfg_destroy(struct device *d)
{
	struct fwcfg *f = (struct fwcfg *)d;

	if (f->port.mapped)
		bus_unmap(d->bus, &f->port);
	if (f->dma.mapped)
		bus_unmap(d->bus, &f->dma);
	while (f->items) {
		struct item *next = f->items->next;

		base_free(f->items->data);
		base_free(f->items);
		f->items = next;
	}
	base_free(f);
}

/* clang-format off */
static const struct state_row rows[] = {
	STATE(1, struct fwcfg, key), STATE(2, struct fwcfg, offset), STATE(3, struct fwcfg, dma_high),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "fw_cfg", .reset = fwcfg_reset, .destroy = fwcfg_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

enum status fwcfg_create(struct device **out, const struct dev_env *e)
{
	static const u8 id[4] = { 3 }; /* the traditional interface and DMA */
	struct fwcfg *f = base_alloc(sizeof(*f));
	enum status s;

	if (!f)
		return ST_NOMEM;
	f->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	s = fwcfg_add_key(&f->dev, KEY_SIGNATURE, "QEMU", 4);
	if (!s)
		s = fwcfg_add_key(&f->dev, KEY_ID, id, sizeof(id));
	if (!s)
		s = build_directory(f);
	if (s) {
		fwcfg_destroy(&f->dev);
		return s;
	}
	dev_map(&f->dev, &f->port, &port_ops, true, 0x510, 2);
	dev_map(&f->dev, &f->dma, &dma_ops, true, 0x514, 8);
	*out = &f->dev;
	return ST_OK;
}
