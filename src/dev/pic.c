/*
 * Intel 8259A pair as in a PC: master at 20h, slave at A0h behind input 2, edge/level registers at 4D0h.
 * Intel 8259A data sheet; ELCR: Intel ICH9 data sheet, "Interrupt Controller I/O Registers".
 */
#include "dev/devices.h"

enum { ICW_NONE, ICW_2 = 2, ICW_3, ICW_4 };

struct chip {
	u8 lines;   /* input pins */
	u8 edge;    /* edge latches: requests of edge-triggered inputs */
	u8 isr, imr, elcr;
	u8 lowest;  /* the input of lowest priority: 7 until rotated */
	u8 icw1, icw2, icw3, icw4;
	u8 expect;  /* ICW_*: the next initialisation word */
	bool read_isr, poll, special_mask, rotate_aeoi;
};

struct pic {
	struct device dev;
	struct chip chip[2];
	struct irq_line out;
	struct bus_range range[3];
};

enum { ICW1_IC4 = 1, ICW1_SNGL = 2, ICW1_LTIM = 8, ICW1 = 0x10, ICW4_AEOI = 2, ICW4_SFNM = 16 };

static const u8 elcr_writable[2] = { 0xf8, 0xde }; /* IRQ 0, 1, 2, 8 and 13 are always edge-triggered */

static u8 level_inputs(const struct chip *c)
{
	return c->icw1 & ICW1_LTIM ? 0xff : c->elcr;
}

static u8 requests(const struct chip *c)
{
	return (u8)((c->lines & level_inputs(c)) | (c->edge & ~level_inputs(c)));
}

/* The input to serve next, -1: none. `master` matters for special fully nested mode. */
static int highest(const struct chip *c, bool master)
{
	u8 want = (u8)(requests(c) & ~c->imr);
	u8 busy = c->special_mask ? (u8)(c->isr & ~c->imr) : c->isr;

	for (unsigned i = 1; i <= 8; i++) {
		unsigned n = (c->lowest + i) & 7, bit = 1u << n;
		bool nested = master && n == 2 && (c->icw4 & ICW4_SFNM);

		if ((want & bit) && (!(busy & bit) || nested))
			return (int)n;
		if (busy & bit)
			return -1;
	}
	return -1;
}

static void set_line(struct chip *c, unsigned n, bool level)
{
	u8 bit = (u8)(1u << n);

	if (level && !(c->lines & bit))
		c->edge |= bit;
	if (!level)
		c->edge &= (u8)~bit; /* "Edge and Level Triggered Modes": the input must stay high until INTA */
	c->lines = level ? c->lines | bit : c->lines & (u8)~bit;
}

static void update(struct pic *p)
{
	set_line(&p->chip[0], 2, highest(&p->chip[1], false) >= 0);
	irq_set(&p->out, highest(&p->chip[0], true) >= 0);
}

/* One chip's side of an INTA cycle: the input served; 7 without an ISR bit when the request has gone. */
static unsigned inta(struct chip *c, bool master)
{
	int n = highest(c, master);
	u8 bit;

	if (n < 0)
		return 7;
	bit = (u8)(1u << n);
	c->edge &= (u8)~bit;
	if (!(c->icw4 & ICW4_AEOI))
		c->isr |= bit;
	else if (c->rotate_aeoi)
		c->lowest = (u8)n;
	return (unsigned)n;
}

int pic_ack(struct device *d)
{
	struct pic *p = (struct pic *)d;
	struct chip *slave = &p->chip[1];
	unsigned n = inta(&p->chip[0], true);
	int vector = (p->chip[0].icw2 & 0xf8) | (int)n;

	if (n == 2 && !(p->chip[0].icw1 & ICW1_SNGL)) {
		vector = (slave->icw2 & 0xf8) | (int)inta(slave, false);
		set_line(&p->chip[0], 2, false); /* INT falls with every INTA: another request is a new edge */
	}
	update(p);
	return vector;
}

void pic_set_irq(struct device *d, unsigned n, bool level)
{
	struct pic *p = (struct pic *)d;

	if (n == 2 || n > 15)
		return; /* the cascade */
	set_line(&p->chip[n / 8], n % 8, level);
	update(p);
}

/* ---- commands ---- */

static void eoi(struct chip *c, int n, bool rotate)
{
	u8 clearable = c->special_mask ? (u8)(c->isr & ~c->imr) : c->isr;

	for (unsigned i = 1; n < 0 && i <= 8; i++) { /* non-specific: the highest in service */
		unsigned k = (c->lowest + i) & 7;

		if (clearable & (1u << k))
			n = (int)k;
	}
	if (n < 0)
		return;
	c->isr &= (u8)~(1u << n);
	if (rotate)
		c->lowest = (u8)n;
}

static void ocw2(struct chip *c, u8 v)
{
	switch (v >> 5) {
	case 0: c->rotate_aeoi = false; break;
	case 1: eoi(c, -1, false); break;
	case 3: eoi(c, v & 7, false); break;
	case 4: c->rotate_aeoi = true; break;
	case 5: eoi(c, -1, true); break;
	case 6: c->lowest = v & 7; break;
	case 7: eoi(c, v & 7, true); break;
	default: break;
	}
}

static void ocw3(struct chip *c, u8 v)
{
	if (v & 0x40)
		c->special_mask = (v & 0x20) != 0;
	if (v & 2)
		c->read_isr = v & 1;
	c->poll = (v & 4) != 0;
}

/* "Initialization Command Words 1 and 2": what ICW1 does by itself. */
static void icw1(struct chip *c, u8 v)
{
	c->icw1 = v;
	c->icw4 = 0;
	c->edge = c->isr = c->imr = 0;
	c->lowest = 7;
	c->special_mask = c->read_isr = c->poll = c->rotate_aeoi = false;
	c->expect = ICW_2;
}

static void icw_next(struct chip *c, u8 v)
{
	u8 after3 = c->icw1 & ICW1_IC4 ? ICW_4 : ICW_NONE;

	switch (c->expect) {
	case ICW_2:
		c->icw2 = v;
		c->expect = c->icw1 & ICW1_SNGL ? after3 : ICW_3;
		break;
	case ICW_3:
		c->icw3 = v;
		c->expect = after3;
		break;
	case ICW_4:
		c->icw4 = v;
		c->expect = ICW_NONE;
		break;
	default: c->imr = v; break; /* OCW1 */
	}
}

static void chip_write(struct pic *p, struct chip *c, u64 offset, u8 v)
{
	if (offset & 1)
		icw_next(c, v);
	else if (v & ICW1)
		icw1(c, v);
	else if (v & 8)
		ocw3(c, v);
	else
		ocw2(c, v);
	update(p);
}

static u8 chip_read(struct pic *p, struct chip *c, u64 offset)
{
	bool master = c == &p->chip[0];
	int n = highest(c, master);

	if (c->poll) { /* "Poll Command": the read is the INTA */
		c->poll = false;
		if (n < 0)
			return 0;
		inta(c, master);
		if (!master)
			set_line(&p->chip[0], 2, false);
		update(p);
		return (u8)(0x80 | n);
	}
	if (offset & 1)
		return c->imr;
	return c->read_isr ? c->isr : requests(c);
}

static u64 master_read(void *dev, u64 offset, unsigned size)
{
	struct pic *p = dev;

	(void)size;
	return chip_read(p, &p->chip[0], offset);
}

static void master_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct pic *p = dev;

	(void)size;
	chip_write(p, &p->chip[0], offset, (u8)v);
}

static u64 slave_read(void *dev, u64 offset, unsigned size)
{
	struct pic *p = dev;

	(void)size;
	return chip_read(p, &p->chip[1], offset);
}

static void slave_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct pic *p = dev;

	(void)size;
	chip_write(p, &p->chip[1], offset, (u8)v);
}

static u64 elcr_read(void *dev, u64 offset, unsigned size)
{
	struct pic *p = dev;

	(void)size;
	return p->chip[offset & 1].elcr;
}

static void elcr_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct pic *p = dev;

	(void)size;
	p->chip[offset & 1].elcr = (u8)v & elcr_writable[offset & 1];
	update(p);
}

static const struct bus_ops master_ops = { .read = master_read, .write = master_write, .max_size = 1 };
static const struct bus_ops slave_ops = { .read = slave_read, .write = slave_write, .max_size = 1 };
static const struct bus_ops elcr_ops = { .read = elcr_read, .write = elcr_write, .max_size = 1 };

/* The pins keep their level; everything masked until software initialises the pair. */
static void pic_reset(struct device *d)
{
	struct pic *p = (struct pic *)d;

	for (unsigned i = 0; i < 2; i++) {
		u8 lines = p->chip[i].lines;

		p->chip[i] = (struct chip){ .lines = lines, .imr = 0xff, .lowest = 7 };
	}
	update(p);
}

static void pic_destroy(struct device *d)
{
	struct pic *p = (struct pic *)d;

	for (unsigned i = 0; i < 3; i++)
		bus_unmap(d->bus, &p->range[i]);
	base_free(p);
}

/* clang-format off */
#define CHIP_ROWS(id, i)                                                                                               \
	STATE(id + 0, struct pic, chip[i].lines), STATE(id + 1, struct pic, chip[i].edge),                             \
	STATE(id + 2, struct pic, chip[i].isr), STATE(id + 3, struct pic, chip[i].imr),                                \
	STATE(id + 4, struct pic, chip[i].elcr), STATE(id + 5, struct pic, chip[i].lowest),                            \
	STATE(id + 6, struct pic, chip[i].icw1), STATE(id + 7, struct pic, chip[i].icw2),                              \
	STATE(id + 8, struct pic, chip[i].icw3), STATE(id + 9, struct pic, chip[i].icw4),                              \
	STATE(id + 10, struct pic, chip[i].expect), STATE(id + 11, struct pic, chip[i].read_isr),                      \
	STATE(id + 12, struct pic, chip[i].poll), STATE(id + 13, struct pic, chip[i].special_mask),                    \
	STATE(id + 14, struct pic, chip[i].rotate_aeoi)
static const struct state_row rows[] = { CHIP_ROWS(1, 0), CHIP_ROWS(21, 1), STATE(41, struct pic, out.level) };
/* clang-format on */

static const struct device_ops ops = {
	.name = "i8259", .reset = pic_reset, .destroy = pic_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

enum status pic_create(struct device **out, const struct dev_env *e, struct irq_line output)
{
	struct pic *p = base_alloc(sizeof(*p));

	if (!p)
		return ST_NOMEM;
	p->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	p->out = output;
	dev_map(&p->dev, &p->range[0], &master_ops, true, 0x20, 2);
	dev_map(&p->dev, &p->range[1], &slave_ops, true, 0xa0, 2);
	dev_map(&p->dev, &p->range[2], &elcr_ops, true, 0x4d0, 2);
	pic_reset(&p->dev);
	*out = &p->dev;
	return ST_OK;
}
