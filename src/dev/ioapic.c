/*
 * I/O APIC with 24 inputs, version 20h with an EOI register. Inputs are logical: true is "asserted", whatever polarity
 * software programs for the wire. Intel 82093AA data sheet; EOI register: Intel ICH9 data sheet, "APIC Registers".
 */
#include "dev/devices.h"

enum { INPUTS = 24, VERSION = 0x20 };
enum { REGSEL = 0x00, WINDOW = 0x10, EOI_REG = 0x40 };
enum { REG_ID, REG_VERSION, REG_ARB, REG_REDIR = 0x10 };
enum { FIXED, LOWEST, SMI, NMI = 4, INIT, EXTINT = 7 };

#define R_LOGICAL    BIT(11)
#define R_STATUS     BIT(12)
#define R_REMOTE_IRR BIT(14)
#define R_LEVEL      BIT(15)
#define R_MASKED     BIT(16)
#define R_WRITABLE   (mask(63, 56) | mask(16, 15) | BIT(13) | mask(11, 0))

struct ioapic {
	struct device dev;
	u32 id;            /* bits 27:24 */
	u8 power_on_id;    /* wired */
	u8 select;
	u32 lines;         /* inputs asserted now */
	u64 redir[INPUTS];
	struct ioapic_sink sink;
	struct bus_range range;
};

static void send(struct ioapic *a, unsigned n)
{
	u64 r = a->redir[n];
	u8 delivery = (u8)bits(r, 10, 8);
	bool level = (r & R_LEVEL) && (delivery == FIXED || delivery == LOWEST);

	if (level)
		a->redir[n] |= R_REMOTE_IRR;
	a->sink.send(a->sink.arg, (u8)r, delivery, r & R_LOGICAL, level, (u8)(r >> 56));
}

static bool level_triggered(u64 r)
{
	return (r & R_LEVEL) && bits(r, 10, 8) <= LOWEST;
}

/* A level input is sent while it is asserted and nobody has it in service. */
static void level_check(struct ioapic *a, unsigned n)
{
	u64 r = a->redir[n];

	if (level_triggered(r) && !(r & (R_MASKED | R_REMOTE_IRR)) && (a->lines >> n & 1))
		send(a, n);
}

void ioapic_set_irq(struct device *d, unsigned n, bool level)
{
	struct ioapic *a = (struct ioapic *)d;
	bool rising;

	if (n >= INPUTS)
		return;
	rising = level && !(a->lines >> n & 1);
	a->lines = level ? a->lines | 1u << n : a->lines & ~(1u << n);
	if (level_triggered(a->redir[n]))
		level_check(a, n);
	else if (rising && !(a->redir[n] & R_MASKED)) /* "Interrupt Mask": edges on a masked input are not remembered */
		send(a, n);
}

void ioapic_eoi(struct device *d, u8 vector)
{
	struct ioapic *a = (struct ioapic *)d;

	for (unsigned n = 0; n < INPUTS; n++) {
		if ((u8)a->redir[n] != vector || !(a->redir[n] & R_REMOTE_IRR))
			continue;
		a->redir[n] &= ~R_REMOTE_IRR;
		level_check(a, n);
	}
}

static u32 reg_read(const struct ioapic *a)
{
	unsigned n = (a->select - REG_REDIR) / 2u;

	switch (a->select) {
	case REG_ID:
	case REG_ARB: return a->id;
	case REG_VERSION: return (INPUTS - 1) << 16 | VERSION;
	default: break;
	}
	if (a->select < REG_REDIR || n >= INPUTS)
		return 0;
	return (u32)(a->redir[n] >> (a->select & 1 ? 32 : 0));
}

static void reg_write(struct ioapic *a, u32 v)
{
	unsigned n = (a->select - REG_REDIR) / 2u;
	u64 *r;

	if (a->select == REG_ID)
		a->id = v & 0x0f000000;
	if (a->select < REG_REDIR || n >= INPUTS)
		return;
	r = &a->redir[n];
	if (a->select & 1)
		*r = (*r & 0xffffffff) | ((u64)v << 32 & R_WRITABLE);
	else
		*r = (*r & ~(R_WRITABLE & 0xffffffff)) | (v & R_WRITABLE);
	if (!(*r & R_LEVEL))
		*r &= ~R_REMOTE_IRR; /* changing to edge forgets the level interrupt in service */
	level_check(a, n);
}

static u64 ioapic_read(void *dev, u64 offset, unsigned size)
{
	struct ioapic *a = dev;

	(void)size;
	switch (offset) {
	case REGSEL: return a->select;
	case WINDOW: return reg_read(a);
	default: return 0;
	}
}

static void ioapic_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct ioapic *a = dev;

	if (offset == REGSEL)
		a->select = (u8)v;
	else if (offset == WINDOW && size == 4)
		reg_write(a, (u32)v);
	else if (offset == EOI_REG)
		ioapic_eoi(&a->dev, (u8)v);
}

static const struct bus_ops mmio_ops = { .read = ioapic_read, .write = ioapic_write, .min_size = 4, .max_size = 4 };

static void ioapic_reset(struct device *d)
{
	struct ioapic *a = (struct ioapic *)d;

	a->id = (u32)a->power_on_id << 24;
	a->select = 0;
	for (unsigned n = 0; n < INPUTS; n++)
		a->redir[n] = R_MASKED;
}

static void ioapic_destroy(struct device *d)
{
	struct ioapic *a = (struct ioapic *)d;

	bus_unmap(d->bus, &a->range);
	base_free(a);
}

/* clang-format off */
static const struct state_row rows[] = {
	STATE(1, struct ioapic, id), STATE(2, struct ioapic, select), STATE(3, struct ioapic, lines),
	STATE_ARRAY(4, struct ioapic, redir),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "ioapic", .reset = ioapic_reset, .destroy = ioapic_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

enum status ioapic_create(struct device **out, const struct dev_env *e, u8 id, struct ioapic_sink sink)
{
	struct ioapic *a = base_alloc(sizeof(*a));

	if (!a)
		return ST_NOMEM;
	a->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	a->power_on_id = id & 15;
	a->sink = sink;
	dev_map(&a->dev, &a->range, &mmio_ops, false, 0xfec00000, PAGE_SIZE);
	ioapic_reset(&a->dev);
	*out = &a->dev;
	return ST_OK;
}
