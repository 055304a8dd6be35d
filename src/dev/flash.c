/*
 * Parallel NOR flash with Intel's command set, eight bits wide: what firmware runs from, and where it keeps its variables.
 * Intel StrataFlash Memory (J3) data sheet, "Command Definitions", "Status Register"; "Common Flash Interface (CFI)
 * Publication 100". Blocks have 4 KiB, as firmware for virtual machines wants them.
 *
 * As an array it is memory to reads, by an overlay of its own; a command takes the overlay away, so that reads come here,
 * until FFh. Programming and erasing are done at once. The file behind it gets the whole content in one step whenever
 * software goes back to the array: what reads as written is on the disk, and a file is always one such moment's.
 */
#include "base/os.h"
#include "dev/flash.h"

#include <errno.h>
#include <stdio.h>

enum {
	READ_ARRAY = 0xff, READ_ID = 0x90, READ_QUERY = 0x98, READ_STATUS = 0x70, CLEAR_STATUS = 0x50, WRITE_BUFFER = 0xe8,
	PROGRAM = 0x40, PROGRAM_ALTERNATE = 0x10, ERASE = 0x20, LOCK = 0x60, CONFIRM = 0xd0, SUSPEND = 0xb0, LOCK_BLOCK = 0x01,
};
enum { READY = 0x80, ERASE_ERROR = 0x20, PROGRAM_ERROR = 0x10, LOCKED = 0x02, SEQUENCE_ERROR = ERASE_ERROR | PROGRAM_ERROR };
/* What the next write is. */
enum { COMMAND, PROGRAM_DATA, ERASE_CONFIRM, LOCK_CONFIRM, BUFFER_COUNT, BUFFER_DATA, BUFFER_CONFIRM };
enum { BLOCK = FLASH_BLOCK, BUFFER = 32, QUERY = 0x10, QUERY_END = 0x37 };

struct flash {
	struct device dev;
	u8 reads;  /* READ_ARRAY, READ_ID, READ_QUERY, READ_STATUS: what a read shows */
	u8 next;   /* COMMAND, PROGRAM_DATA, ... */
	u8 status;
	u8 count, got;        /* of the buffer: bytes announced and received */
	u32 start;            /* of the buffer: its first address */
	u32 at[BUFFER];       /* of the buffer: where each byte goes */
	u8 data[BUFFER];
	bool changed;         /* since the file was written */
	u64 size;             /* wired */
	bool writable, smm_only, failed; /* wired; failed: the file cannot be written, and somebody was told */
	u8 *array;            /* wired: the content, in the machine's memory */
	struct os_kept file;  /* wired; no path: there is none */
	char *option;         /* wired */
	void (*lost)(void *arg, const char *text);
	void *arg;            /* wired */
	struct space_overlay shown; /* cache: from reads */
	struct bus_range range;
};

/* ---- what reads see ---- */

static void show(struct flash *f)
{
	u8 uses = f->reads == READ_ARRAY ? USE_READ | USE_FETCH : 0;

	if (f->shown.to[SPACE_CPU].memory == uses)
		return;
	for (unsigned s = 0; s < SPACES; s++)
		f->shown.to[s].memory = uses;
	bus_remap(f->dev.bus);
}

/* "CFI Query": identification, voltages and times as powers of two, geometry, and Intel's extension at 31h. */
static u8 query(const struct flash *f, u64 at)
{
	static const u8 table[QUERY_END - QUERY] = {
		'Q', 'R', 'Y', 0x01, 0x00, 0x31, 0x00, 0x00, 0x00, 0x00, 0x00, /* Intel's set, its table; no other */
		0x27, 0x36, 0x00, 0x00,                         /* 2.7 V to 3.6 V, no Vpp */
		0x07, 0x07, 0x0a, 0x00, 0x04, 0x04, 0x04, 0x00, /* times: byte, buffer, block; most of each */
		0x00, 0x00, 0x00, 0x05, 0x00, 0x01,             /* size, eight bits wide, buffer of 32, one kind of block */
		0x00, 0x00, BLOCK >> 8 & 0xff, BLOCK >> 16,     /* blocks less one; their size in 256 bytes */
		'P', 'R', 'I', '1', '0', 0x00,
	};
	u64 blocks = f->size / BLOCK - 1;

	switch (at) {
	case 0x27: return (u8)(64 - __builtin_clzll(f->size - 1));
	case 0x2d: return (u8)blocks;
	case 0x2e: return (u8)(blocks >> 8);
	default: return at >= QUERY && at < QUERY_END ? table[at - QUERY] : 0;
	}
}

/* "Read Identifier Codes": Intel, a device nobody else has, and no block is locked. */
static u8 identifier(u64 at)
{
	enum { INTEL = 0x89, DEVICE = 0x18 };

	return at == 0 ? INTEL : at == 1 ? DEVICE : 0;
}

static u64 flash_read(void *dev, u64 offset, unsigned size)
{
	const struct flash *f = dev;

	(void)size;
	switch (f->reads) {
	case READ_ID: return identifier(offset & 0xff);
	case READ_QUERY: return query(f, offset & 0xff);
	case READ_ARRAY: return f->array[offset];
	default: return f->status;
	}
}

/* ---- the file ---- */

static void keep(struct flash *f)
{
	char text[512];

	if (!f->changed || !f->file.path || f->failed)
		return;
	if (os_kept_write(&f->file, f->array, f->size)) {
		f->changed = false;
		return;
	}
	f->failed = true;
	snprintf(text, sizeof(text), "%s: %s; firmware's variables are lost from here on", f->option, strerror(errno));
	if (f->lost)
		f->lost(f->arg, text);
}

/* ---- programming ---- */

static bool writable(struct flash *f, u8 error)
{
	f->status |= f->writable ? 0 : (u8)(error | LOCKED);
	return f->writable;
}

/* Bits go from 1 to 0. */
static void program(struct flash *f, u64 at, u8 v)
{
	if ((f->array[at] & v) == f->array[at])
		return;
	mem_written(f->dev.bus, f->dev.bus->who, f->array + at, f->range.base + at, 1);
	f->array[at] &= v;
	f->changed = true;
}

static void program_byte(struct flash *f, u64 at, u8 v)
{
	if (writable(f, PROGRAM_ERROR))
		program(f, at, v);
	f->status |= READY;
}

static void erase(struct flash *f, u64 at)
{
	u64 block = at & ~(u64)(BLOCK - 1);

	if (writable(f, ERASE_ERROR)) {
		mem_written(f->dev.bus, f->dev.bus->who, f->array + block, f->range.base + block, BLOCK);
		memset(f->array + block, 0xff, BLOCK);
		f->changed = true;
	}
	f->status |= READY;
}

/* "Write to Buffer": any order, but all of it behind the start address. */
static void take_buffer(struct flash *f, u64 at, u8 v)
{
	if (!f->got)
		f->start = (u32)at;
	if (at < f->start || at - f->start >= BUFFER) {
		f->status |= READY | SEQUENCE_ERROR;
		f->next = COMMAND;
		return;
	}
	f->at[f->got] = (u32)at;
	f->data[f->got++] = v;
	if (f->got == f->count)
		f->next = BUFFER_CONFIRM;
}

static void program_buffer(struct flash *f)
{
	if (writable(f, PROGRAM_ERROR))
		for (unsigned n = 0; n < f->count; n++)
			program(f, f->at[n], f->data[n]);
	f->status |= READY;
}

/* ---- commands ---- */

static void command(struct flash *f, u8 v)
{
	f->next = COMMAND;
	switch (v) {
	case READ_ID:
	case READ_QUERY:
	case READ_STATUS: f->reads = v; return;
	case CLEAR_STATUS: f->status = 0; break; /* DEVIATION: READY, too, by which firmware knows this flash */
	case PROGRAM:
	case PROGRAM_ALTERNATE: f->next = PROGRAM_DATA; break;
	case ERASE: f->next = ERASE_CONFIRM; break;
	case LOCK: f->next = LOCK_CONFIRM; break;
	case WRITE_BUFFER: f->next = BUFFER_COUNT; f->status |= READY; break;
	case SUSPEND:
	case CONFIRM: break; /* nothing goes on that could be suspended or resumed */
	default: f->reads = READ_ARRAY; return;
	}
	f->reads = v == CLEAR_STATUS ? READ_ARRAY : READ_STATUS;
}

static void sequence_error(struct flash *f)
{
	f->status |= READY | SEQUENCE_ERROR;
}

static void second_cycle(struct flash *f, u64 at, u8 v)
{
	u8 what = f->next;

	f->next = COMMAND;
	switch (what) {
	case PROGRAM_DATA: program_byte(f, at, v); break;
	case ERASE_CONFIRM:
		if (v == CONFIRM)
			erase(f, at);
		else
			sequence_error(f);
		break;
	case LOCK_CONFIRM:
		if (v == CONFIRM || v == LOCK_BLOCK)
			f->status |= READY; /* DEVIATION: no block is ever locked */
		else
			sequence_error(f);
		break;
	case BUFFER_COUNT:
		if (v >= BUFFER) {
			sequence_error(f);
			break;
		}
		f->count = (u8)(v + 1);
		f->got = 0;
		f->next = BUFFER_DATA;
		break;
	case BUFFER_CONFIRM:
		if (v == CONFIRM)
			program_buffer(f);
		else
			sequence_error(f);
		break;
	default: break;
	}
}

/* With smm_only a processor outside system management mode, or a device, writes to nobody. */
static bool heard(const struct flash *f)
{
	return !f->smm_only || (f->dev.bus->who.by == BY_CPU && f->dev.bus->who.smm);
}

static void flash_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct flash *f = dev;

	(void)size;
	if (!heard(f))
		return;
	if (f->next == COMMAND)
		command(f, (u8)v);
	else if (f->next == BUFFER_DATA)
		take_buffer(f, offset, (u8)v);
	else
		second_cycle(f, offset, (u8)v);
	if (f->reads == READ_ARRAY && f->next == COMMAND)
		keep(f);
	show(f);
}

static const struct bus_ops flash_ops = { .read = flash_read, .write = flash_write, .max_size = 1 };

/* ---- the device ---- */

/* RP#: an array again. What was programmed stays. */
static void flash_reset(struct device *d)
{
	struct flash *f = (struct flash *)d;

	f->reads = READ_ARRAY;
	f->next = COMMAND;
	f->status = READY;
	f->count = f->got = 0;
	keep(f);
	show(f);
}

static void flash_loaded(struct device *d)
{
	struct flash *f = (struct flash *)d;

	/* Rows may have come from anywhere. */
	f->count = (u8)min_u64(f->count, BUFFER);
	f->got = (u8)min_u64(f->got, f->count ? f->count - 1u : 0);
	for (unsigned n = 0; n < BUFFER; n++)
		f->at[n] %= (u32)f->size;
	if (f->next == BUFFER_DATA && !f->count)
		f->next = COMMAND;
	show(f);
}

static void flash_destroy(struct device *d)
{
	struct flash *f = (struct flash *)d;

	keep(f);
	bus_lift(d->bus, &f->shown);
	bus_unmap(d->bus, &f->range);
	bus_remap(d->bus);
	os_kept_close(&f->file);
	base_free(f->option);
	base_free(f);
}

/* clang-format off */
static const struct state_row rows[] = {
	STATE(1, struct flash, reads), STATE(2, struct flash, next), STATE(3, struct flash, status), STATE(4, struct flash, count),
	STATE(5, struct flash, got), STATE(6, struct flash, start), STATE(7, struct flash, at), STATE_ARRAY(8, struct flash, data),
	STATE(9, struct flash, changed),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "flash", .reset = flash_reset, .loaded = flash_loaded, .destroy = flash_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

static char *copy(const char *s)
{
	char *c = base_alloc(strlen(s) + 1);

	if (c)
		memcpy(c, s, strlen(s));
	return c;
}

enum status flash_create(struct device **out, const struct dev_env *e, struct flash_config *cfg, struct err *err)
{
	struct flash *f = base_alloc(sizeof(*f));
	const u16 erased = 0xffff;

	if (!f)
		return ST_NOMEM;
	f->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	f->size = cfg->size;
	f->writable = cfg->writable;
	f->smm_only = cfg->smm_only;
	f->lost = cfg->lost;
	f->arg = cfg->arg;
	f->option = copy(cfg->option);
	f->reads = READ_ARRAY;
	f->status = READY;
	f->array = f->option ? bus_add_aside(e->bus, cfg->size, erased) : NULL;
	if (!f->array || !bus_overlay(e->bus, &f->shown)) {
		base_free(f->option);
		base_free(f);
		return err_set(err, ST_NOMEM, "%s: no room for the flash", cfg->option);
	}
	memcpy(f->array, cfg->data, cfg->size);
	f->file = cfg->file;
	cfg->file = (struct os_kept){.fd = -1};
	f->shown = (struct space_overlay){
		.base = cfg->base, .size = cfg->size, .memory = mem_place(e->bus, f->array), .device = true };
	dev_map(&f->dev, &f->range, &flash_ops, false, cfg->base, cfg->size);
	show(f);
	*out = &f->dev;
	return ST_OK;
}
