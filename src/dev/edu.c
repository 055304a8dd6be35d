/*
 * The educational PCI device 1234:11E8, register-compatible with QEMU's (docs/specs/edu of its documentation): factorials,
 * interrupts by hand, and DMA between memory and 4 KiB of its own. Registers in BAR 0, of 4 bytes, from 80h on of 4 or 8:
 *
 *   00 RO identification, 010000EDh        20 status: 1 computing, 80h interrupt (1) when done
 *   04 liveness: reads what was written,   24 RO interrupt status   60 WO raise   64 WO acknowledge
 *      inverted                            80, 88, 90 DMA source, destination, count   98 DMA command:
 *   08 factorial of what is written           1 start, 2 from the device to memory, 4 interrupt (100h) when done
 *
 * Beyond these it makes single cycles of any kind, for who wants to see what the bus makes of them:
 *
 *   A0 address   A8 data   B0 command: 1 start, 2 write, 3:2 space (memory, I/O, configuration), 5:4 log2 of the size
 *   B4 RO what came of the last cycle: 1 a master abort
 *
 * An I/O address is a port, a configuration address device and function in 19:12 and the register in 11:0.
 */
#include "dev/pci.h"

enum {
	R_ID = 0x00, R_LIVE = 0x04, R_FACTORIAL = 0x08, R_STATUS = 0x20, R_IRQ_STATUS = 0x24, R_IRQ_RAISE = 0x60,
	R_IRQ_ACK = 0x64, R_WIDE = 0x80, R_DMA_SRC = 0x80, R_DMA_DST = 0x88, R_DMA_COUNT = 0x90, R_DMA_COMMAND = 0x98,
	R_CYCLE_ADDR = 0xa0, R_CYCLE_DATA = 0xa8, R_CYCLE_COMMAND = 0xb0, R_CYCLE_RESULT = 0xb4,
};
enum { IDENTIFICATION = 0x010000ed, BAR_SIZE = 1 << 20, BUFFER_AT = 0x40000, BUFFER_SIZE = 4096 };
enum { STATUS_COMPUTING = 1, STATUS_IRQ = 0x80, IRQ_FACTORIAL = 1, IRQ_DMA = 0x100 };
enum { DMA_RUN = 1, DMA_TO_MEMORY = 2, DMA_IRQ = 4 };
enum { CYCLE_RUN = 1, CYCLE_WRITE = 2 };
/* How long things take, in nanoseconds. */
enum { NS_PER_FACTOR = 10, NS_PER_DMA = 1000, NS_PER_BYTE = 8 };

struct edu {
	struct pci_dev pci;
	u32 live, factorial, status, irq_status;
	u64 dma_src, dma_dst, dma_count, dma_command;
	u64 factorial_due, dma_due; /* while the one computes and the other runs */
	u64 cycle_addr, cycle_data;
	u32 cycle_command, cycle_result;
	u8 buffer[BUFFER_SIZE];
	u64 dma_mask;               /* wired: address lines that the DMA engine has */
	bool busy;                  /* scratch: a single cycle is under way; it may lead back here */
	struct timer factorial_timer, dma_timer; /* cache: factorial_due, dma_due */
};

/* ---- interrupts ---- */

static void raise_irq(struct edu *e, u32 v)
{
	e->irq_status |= v;
	if (!e->irq_status)
		return;
	if (msi_enabled(&e->pci))
		msi_send(&e->pci);
	else
		pci_set_intx(&e->pci, true);
}

static void acknowledge(struct edu *e, u32 v)
{
	e->irq_status &= ~v;
	if (!e->irq_status)
		pci_set_intx(&e->pci, false);
}

/* ---- factorials ---- */

/* Modulo 2^32, which 34! is a multiple of. */
static u32 factorial(u32 n)
{
	u32 v = 1;

	if (n >= 34)
		return 0;
	for (; n > 1; n--)
		v *= n;
	return v;
}

static void factorial_done(void *arg)
{
	struct edu *e = arg;

	e->factorial = factorial(e->factorial);
	e->status &= ~(u32)STATUS_COMPUTING;
	if (e->status & STATUS_IRQ)
		raise_irq(e, IRQ_FACTORIAL);
}

static void compute(struct edu *e, u32 n)
{
	if (e->status & STATUS_COMPUTING)
		return;
	e->factorial = n;
	e->status |= STATUS_COMPUTING;
	e->factorial_due = e->pci.dev.clock->now + 1 + (u64)n * NS_PER_FACTOR;
	timer_arm(&e->factorial_timer, e->factorial_due);
}

/* ---- DMA ---- */

/* The part of the buffer that a transfer is about; NULL: it is not all inside. */
static u8 *buffer_part(struct edu *e, u64 at)
{
	u64 offset = at - BUFFER_AT;

	return offset <= BUFFER_SIZE && e->dma_count <= BUFFER_SIZE - offset ? e->buffer + offset : NULL;
}

static void transfer(struct edu *e)
{
	bool out = e->dma_command & DMA_TO_MEMORY;
	u8 *buf = buffer_part(e, out ? e->dma_src : e->dma_dst);
	u64 pa = (out ? e->dma_dst : e->dma_src) & e->dma_mask;
	struct bus *b = e->pci.dev.bus;

	if (!buf || !pci_is_master(&e->pci))
		return;
	if (out)
		(void)dma_write(b, e->pci.devfn, pa, buf, e->dma_count);
	else
		(void)dma_read(b, e->pci.devfn, pa, buf, e->dma_count);
}

static void dma_done(void *arg)
{
	struct edu *e = arg;

	transfer(e);
	e->dma_command &= ~(u64)DMA_RUN;
	if (e->dma_command & DMA_IRQ)
		raise_irq(e, IRQ_DMA);
}

static void start_dma(struct edu *e, u64 command)
{
	e->dma_command = command;
	if (!(command & DMA_RUN))
		return;
	e->dma_due = e->pci.dev.clock->now + NS_PER_DMA + min_u64(e->dma_count, BUFFER_SIZE) * NS_PER_BYTE;
	timer_arm(&e->dma_timer, e->dma_due);
}

/* ---- single cycles ---- */

static bool memory_cycle(struct edu *e, bool write, unsigned size)
{
	struct bus *b = e->pci.dev.bus;
	u64 v = e->cycle_data;
	bool ok;

	if (write)
		return dma_write(b, e->pci.devfn, e->cycle_addr, &v, size);
	ok = dma_read(b, e->pci.devfn, e->cycle_addr, &v, size);
	e->cycle_data = low_bytes(v, size);
	return ok;
}

static bool port_cycle(struct edu *e, bool write, unsigned size)
{
	struct bus *b = e->pci.dev.bus;
	u32 v;
	bool ok;

	if (write)
		return dma_port_write(b, e->pci.devfn, (u16)e->cycle_addr, size, (u32)e->cycle_data);
	ok = dma_port_read(b, e->pci.devfn, (u16)e->cycle_addr, size, &v);
	e->cycle_data = v;
	return ok;
}

static bool config_cycle(struct edu *e, bool write, unsigned size)
{
	u8 devfn = (u8)(e->cycle_addr >> 12);
	unsigned reg = e->cycle_addr & 0xfff;
	u32 v;
	bool ok;

	if (write)
		return pci_master_config_write(e->pci.pci, e->pci.devfn, devfn, reg, size, (u32)e->cycle_data);
	ok = pci_master_config_read(e->pci.pci, e->pci.devfn, devfn, reg, size, &v);
	e->cycle_data = v;
	return ok;
}

static void run_cycle(struct edu *e, u32 command)
{
	static bool (*const cycles[])(struct edu * e, bool write, unsigned size) = {
		[CYCLE_MEMORY] = memory_cycle, [CYCLE_IO] = port_cycle, [CYCLE_CONFIG] = config_cycle,
	};
	unsigned space = (unsigned)bits(command, 3, 2), size = 1u << bits(command, 5, 4);

	e->cycle_command = command & 0x3e;
	if (!(command & CYCLE_RUN) || e->busy || space >= ARRAY_LEN(cycles) || (space != CYCLE_MEMORY && size > 4) ||
	    !pci_is_master(&e->pci))
		return;
	e->busy = true;
	e->cycle_result = !cycles[space](e, command & CYCLE_WRITE, size);
	e->busy = false;
}

/* ---- registers ---- */

static u64 *wide_register(struct edu *e, u64 reg)
{
	switch (reg) {
	case R_DMA_SRC: return &e->dma_src;
	case R_DMA_DST: return &e->dma_dst;
	case R_DMA_COUNT: return &e->dma_count;
	case R_DMA_COMMAND: return &e->dma_command;
	case R_CYCLE_ADDR: return &e->cycle_addr;
	case R_CYCLE_DATA: return &e->cycle_data;
	default: return NULL;
	}
}

static u64 edu_read(void *dev, u64 offset, unsigned size)
{
	struct edu *e = dev;
	const u64 *wide = wide_register(e, offset & ~4ull);

	if (wide)
		return offset & 4 ? *wide >> 32 : *wide;
	switch (offset) {
	case R_ID: return IDENTIFICATION;
	case R_LIVE: return e->live;
	case R_FACTORIAL: return e->factorial;
	case R_STATUS: return e->status;
	case R_IRQ_STATUS: return e->irq_status;
	case R_CYCLE_COMMAND: return e->cycle_command;
	case R_CYCLE_RESULT: return e->cycle_result;
	default: return low_bytes(~0ull, size);
	}
}

/* What a running transfer goes by is not written. A dword at the low half leaves no upper half. */
static void write_wide(struct edu *e, u64 offset, unsigned size, u64 v)
{
	u64 *reg = wide_register(e, offset & ~4ull);
	bool dma = offset < R_CYCLE_ADDR;

	if (!reg || (dma && (e->dma_command & DMA_RUN)))
		return;
	if (offset & 4)
		v = (u32)*reg | v << 32;
	if (reg == &e->dma_command)
		start_dma(e, v);
	else
		*reg = low_bytes(v, offset & 4 ? 8 : size);
}

static void edu_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct edu *e = dev;

	switch (offset) {
	case R_LIVE: e->live = ~(u32)v; break;
	case R_FACTORIAL: compute(e, (u32)v); break;
	case R_STATUS: e->status = (e->status & STATUS_COMPUTING) | ((u32)v & STATUS_IRQ); break;
	case R_IRQ_RAISE: raise_irq(e, (u32)v); break;
	case R_IRQ_ACK: acknowledge(e, (u32)v); break;
	case R_CYCLE_COMMAND: run_cycle(e, (u32)v); break;
	default: write_wide(e, offset, size, v); break;
	}
}

/* Below 80h dwords, from there on quadwords, too. */
static bool right_size(u64 offset, unsigned size)
{
	return size == 4 || (size == 8 && offset >= R_WIDE);
}

static u64 sized_read(void *dev, u64 offset, unsigned size)
{
	return right_size(offset, size) ? edu_read(dev, offset, size) : low_bytes(~0ull, size);
}

static void sized_write(void *dev, u64 offset, unsigned size, u64 v)
{
	if (right_size(offset, size))
		edu_write(dev, offset, size, v);
}

static const struct bus_ops edu_ops = { .read = sized_read, .write = sized_write };

/* ---- life ---- */

static void edu_reset(struct device *d)
{
	struct edu *e = (struct edu *)d;

	timer_disarm(&e->factorial_timer);
	timer_disarm(&e->dma_timer);
	pci_reset(&e->pci);
	e->live = e->factorial = e->status = e->irq_status = e->cycle_command = e->cycle_result = 0;
	e->dma_src = e->dma_dst = e->dma_count = e->dma_command = 0;
	e->factorial_due = e->dma_due = e->cycle_addr = e->cycle_data = 0;
	memset(e->buffer, 0, sizeof(e->buffer));
}

static void rearm(struct timer *t, bool running, u64 due)
{
	if (running)
		timer_arm(t, due);
	else
		timer_disarm(t);
}

static void edu_loaded(struct device *d)
{
	struct edu *e = (struct edu *)d;

	pci_loaded(d);
	rearm(&e->factorial_timer, e->status & STATUS_COMPUTING, e->factorial_due);
	rearm(&e->dma_timer, e->dma_command & DMA_RUN, e->dma_due);
}

static void edu_destroy(struct device *d)
{
	struct edu *e = (struct edu *)d;

	timer_disarm(&e->factorial_timer);
	timer_disarm(&e->dma_timer);
	pci_detach(&e->pci);
	base_free(e);
}

/* clang-format off */
static const struct state_row rows[] = {
	PCI_ROWS(1, struct edu, pci),
	STATE(10, struct edu, live), STATE(11, struct edu, factorial), STATE(12, struct edu, status),
	STATE(13, struct edu, irq_status), STATE(14, struct edu, dma_src), STATE(15, struct edu, dma_dst),
	STATE(16, struct edu, dma_count), STATE(17, struct edu, dma_command), STATE(18, struct edu, factorial_due),
	STATE(19, struct edu, dma_due), STATE(20, struct edu, cycle_addr), STATE(21, struct edu, cycle_data),
	STATE(22, struct edu, cycle_command), STATE(23, struct edu, cycle_result), STATE_ARRAY(24, struct edu, buffer),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "edu", .reset = edu_reset, .loaded = edu_loaded, .destroy = edu_destroy,
	.rows = rows, .row_count = ARRAY_LEN(rows),
};

enum status edu_create(struct device **out, const struct dev_env *e, int devfn, u64 dma_mask)
{
	static const struct pci_ids ids = {
		.vendor = 0x1234, .device = 0x11e8, .class_code = 0x00ff00, .revision = 0x10, .pin = 1,
		.subsystem_vendor = 0x1af4, .subsystem = 0x1100,
	};
	struct edu *d = base_alloc(sizeof(*d));

	if (!d)
		return ST_NOMEM;
	d->pci.dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	d->dma_mask = dma_mask;
	enum status s = pci_attach(&d->pci, e->pci, devfn, &ids);
	if (s != ST_OK) {
		base_free(d);
		return s;
	}
	timer_init(&d->factorial_timer, e->clock, factorial_done, d);
	timer_init(&d->dma_timer, e->clock, dma_done, d);
	pci_add_bar(&d->pci, 0, PCI_BAR_MEM32, BAR_SIZE, &edu_ops, d);
	msi_add(&d->pci);
	pci_ready(&d->pci);
	edu_reset(&d->pci.dev);
	*out = &d->pci.dev;
	return ST_OK;
}
