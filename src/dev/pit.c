/*
 * Intel 8254 at 40h-43h and the port 61h that gates its channel 2. Counting is never stepped: each channel keeps the
 * CLK edge at which its counter was loaded, and everything a program can see is a function of that and of the clock.
 * Intel 8254 data sheet; port 61h: Intel ICH9 data sheet, "NMI Status and Control Register".
 */
#include "dev/devices.h"

#define PIT_HZ 1193182ull
#define NEVER  INT64_MAX

enum { RW_LATCH, RW_LSB, RW_MSB, RW_BOTH };

struct channel {
	u8 mode, rw, bcd;
	bool gate;
	bool running;      /* the counting element was loaded: by a count, in modes 1 and 5 by a trigger */
	bool held;         /* the gate stopped it */
	bool write_second, read_second; /* RW_BOTH: the other byte is next */
	bool counted;      /* a count was written since the control word */
	bool status_latched, next_valid;
	u8 latched;        /* bytes of the latched count still to be read; 0: none */
	u8 status, low_byte;
	u16 latch;
	u32 reload;        /* the count register, 1..65536 */
	u32 n;             /* what the counting element was loaded with */
	s64 start;         /* CLK edge of the load; in the future: not loaded yet */
	s64 elapsed;       /* while held: CLKs counted so far */
	s64 next_at;       /* modes 2 and 3 with next_valid: the edge at which `reload` takes over */
};

struct pit {
	struct device dev;
	struct channel ch[3];
	u8 port61;
	u64 seen;          /* channel 0's output has been driven up to this CLK edge */
	struct irq_line irq;
	struct timer timer; /* cache: channel 0's next output change */
	struct bus_range range[2];
};

static s64 clk_now(const struct pit *p)
{
	return (s64)((unsigned __int128)p->dev.clock->now * PIT_HZ / 1000000000u);
}

static u64 clk_to_ns(s64 clk)
{
	return (u64)(((unsigned __int128)clk * 1000000000u + PIT_HZ - 1) / PIT_HZ);
}

/* ---- what a channel is doing at a CLK edge ---- */

static s64 elapsed(const struct channel *c, s64 t)
{
	return c->held ? c->elapsed : t - c->start;
}

/* Half a period of mode 3 with the output high: odd counts give it the extra CLK. */
static s64 high_half(u32 n)
{
	return (n + 1) / 2;
}

/* A new count of modes 2 and 3 takes over at the end of the period or half period in which it was written. */
static void settle(struct channel *c, s64 t)
{
	s64 p;

	if (!c->next_valid || c->held || t < c->next_at)
		return;
	p = (c->next_at - c->start) % c->n;
	c->start = c->mode == 3 && p ? c->next_at - high_half(c->reload) : c->next_at;
	c->n = c->reload;
	c->next_valid = false;
}

static bool output(const struct channel *c, s64 t)
{
	s64 e = elapsed(c, t);

	if (!c->running || e < 0)
		return c->mode != 0;
	switch (c->mode) {
	case 0: return e >= c->n;
	case 1: return e >= c->n;
	case 2: return c->held || c->n < 2 || e % c->n != c->n - 1;
	case 3: return c->held || c->n < 2 || e % c->n < high_half(c->n);
	default: return e != c->n; /* modes 4 and 5: one CLK low */
	}
}

/* The next CLK edge after t at which the output may change. */
static s64 next_change(const struct channel *c, s64 t)
{
	s64 e = t - c->start, p, next;

	if (!c->running || c->held)
		return NEVER;
	if (e < 0)
		return c->start;
	switch (c->mode) {
	case 2:
	case 3:
		if (c->n < 2)
			return NEVER; /* "a count of 1 is illegal" */
		p = e % c->n;
		next = c->mode == 2 ? c->n - 1 : high_half(c->n);
		next = t - p + (p < next ? next : c->n);
		return c->next_valid && c->next_at > t && c->next_at < next ? c->next_at : next;
	case 4:
	case 5: return e < c->n ? c->start + c->n : e == c->n ? t + 1 : NEVER;
	default: return e < c->n ? c->start + c->n : NEVER;
	}
}

static u16 to_bcd(u32 v)
{
	return (u16)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

static u16 count(const struct channel *c, s64 t)
{
	s64 e = elapsed(c, t), modulus = c->bcd ? 10000 : 65536, v;

	if (!c->running)
		v = c->n;
	else if (e < 0)
		v = c->n;
	else if (c->mode == 2)
		v = c->n - e % c->n;
	else if (c->mode == 3 && e % c->n < high_half(c->n))
		v = (c->n & ~1u) - 2 * (e % c->n);
	else if (c->mode == 3)
		v = (c->n & ~1u) - 2 * (e % c->n - high_half(c->n));
	else
		v = c->n - e;
	v = (v % modulus + modulus) % modulus;
	return c->bcd ? to_bcd((u32)v) : (u16)v;
}

/* ---- channel 0 drives IRQ 0 ---- */

/* Up to `seen` the output has been driven. */
static void rearm(struct pit *p)
{
	s64 next = next_change(&p->ch[0], (s64)p->seen);

	if (next == NEVER)
		timer_disarm(&p->timer);
	else
		timer_arm(&p->timer, clk_to_ns(next));
}

static void drive(struct pit *p)
{
	struct channel *c = &p->ch[0];
	s64 t = clk_now(p), next;

	/* Every edge in order, so that a pulse between two looks is not lost; a long absence needs only its end. */
	for (unsigned i = 0; i < 8; i++) {
		next = next_change(c, (s64)p->seen);
		if (next > t)
			break;
		settle(c, next);
		p->seen = (u64)next;
		irq_set(&p->irq, output(c, next));
	}
	settle(c, t);
	p->seen = (u64)t;
	irq_set(&p->irq, output(c, t));
	rearm(p);
}

static void timer_fired(void *arg)
{
	drive(arg);
}

/* ---- programming ---- */

static void load(struct channel *c, s64 t)
{
	c->n = c->reload;
	c->start = t + 1; /* the CLK pulse after the write or the trigger */
	c->elapsed = -1;
	c->running = true;
	c->next_valid = false;
}

static void set_count(struct channel *c, u16 raw, s64 t)
{
	u32 v = raw;

	if (c->bcd)
		v = (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 + (v >> 12) * 1000;
	c->reload = v ? v : c->bcd ? 10000 : 65536;
	c->counted = true;
	switch (c->mode) {
	case 1:
	case 5: break; /* waits for the gate */
	case 2:
	case 3:
		if (c->running && !c->held && c->n >= 2 && t >= c->start) {
			s64 p = (t - c->start) % c->n;
			s64 half = c->mode == 3 && p < high_half(c->n) ? high_half(c->n) : c->n;

			c->next_at = t - p + half;
			c->next_valid = true;
			break;
		}
		/* fall through */
	default:
		load(c, t);
		c->held = !c->gate;
		if (c->held)
			c->elapsed = 0;
		break;
	}
}

static void write_count(struct channel *c, u8 v, s64 t)
{
	settle(c, t);
	switch (c->rw) {
	case RW_LSB: set_count(c, v, t); break;
	case RW_MSB: set_count(c, (u16)(v << 8), t); break;
	default:
		if (!c->write_second) {
			c->low_byte = v;
			if (c->mode == 0)
				c->running = false; /* "Mode 0": the first byte disables counting, OUT goes low */
		} else {
			set_count(c, (u16)(v << 8 | c->low_byte), t);
		}
		c->write_second = !c->write_second;
		break;
	}
}

static void latch_count(struct channel *c, s64 t)
{
	if (c->latched)
		return; /* held until read */
	settle(c, t);
	c->latch = count(c, t);
	c->latched = c->rw == RW_BOTH ? 2 : 1;
}

/* "Read-Back Command": the status byte. */
static void latch_status(struct channel *c, s64 t)
{
	bool null_count;

	if (c->status_latched)
		return;
	settle(c, t);
	null_count = !c->counted || c->next_valid || (c->running ? elapsed(c, t) < 0 : true);
	c->status = (u8)(output(c, t) << 7 | null_count << 6 | c->rw << 4 | c->mode << 1 | c->bcd);
	c->status_latched = true;
}

static void control(struct pit *p, u8 v, s64 t)
{
	struct channel *c;

	if (v >> 6 == 3) {
		for (unsigned i = 0; i < 3; i++) {
			if (!(v & (2u << i)))
				continue;
			if (!(v & 0x20))
				latch_count(&p->ch[i], t);
			if (!(v & 0x10))
				latch_status(&p->ch[i], t);
		}
		return;
	}
	c = &p->ch[v >> 6];
	if (!(v & 0x30)) {
		latch_count(c, t);
		return;
	}
	settle(c, t);
	c->n = count(c, t); /* what reads show until a new count is loaded */
	c->rw = v >> 4 & 3;
	c->mode = v >> 1 & 7;
	if (c->mode > 5)
		c->mode -= 4;
	c->bcd = v & 1;
	c->running = c->held = c->counted = c->next_valid = false;
	c->write_second = c->read_second = c->status_latched = false;
	c->latched = 0;
}

static void set_gate(struct channel *c, bool gate, s64 t)
{
	bool rising = gate && !c->gate, falling = !gate && c->gate;

	settle(c, t);
	c->gate = gate;
	if (rising && c->counted && (c->mode == 1 || c->mode == 5 || c->mode == 2 || c->mode == 3)) {
		load(c, t);
		c->held = false;
	} else if (rising && c->held) {
		c->start = t - c->elapsed;
		c->held = false;
	} else if (falling && c->running && c->mode != 1 && c->mode != 5) {
		c->elapsed = t - c->start;
		c->held = true;
	}
}

static u8 read_count(struct channel *c, s64 t)
{
	u16 v;
	bool high;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	settle(c, t);
	v = c->latched ? c->latch : count(c, t);
	high = c->rw == RW_MSB || (c->rw == RW_BOTH && c->read_second);
	if (c->rw == RW_BOTH)
		c->read_second = !c->read_second;
	if (c->latched)
		c->latched--;
	return (u8)(high ? v >> 8 : v);
}

static u64 pit_read(void *dev, u64 offset, unsigned size)
{
	struct pit *p = dev;

	(void)size;
	return offset == 3 ? 0 : read_count(&p->ch[offset], clk_now(p)); /* the control word cannot be read */
}

static void pit_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct pit *p = dev;
	s64 t = clk_now(p);

	(void)size;
	drive(p);
	if (offset == 3)
		control(p, (u8)v, t);
	else
		write_count(&p->ch[offset], (u8)v, t);
	drive(p);
}

/* Bit 4 toggles with every memory refresh request, about every 15 microseconds; bit 5 is channel 2's output. */
static u64 port61_read(void *dev, u64 offset, unsigned size)
{
	struct pit *p = dev;
	s64 t = clk_now(p);

	(void)offset;
	(void)size;
	settle(&p->ch[2], t);
	return p->port61 | ((u64)t / 18 & 1) << 4 | (u64)output(&p->ch[2], t) << 5;
}

static void port61_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct pit *p = dev;

	(void)offset;
	(void)size;
	p->port61 = v & 0xf;
	set_gate(&p->ch[2], v & 1, clk_now(p));
}

static const struct bus_ops pit_ops = { .read = pit_read, .write = pit_write, .max_size = 1 };
static const struct bus_ops port61_ops = { .read = port61_read, .write = port61_write, .max_size = 1 };

static void pit_reset(struct device *d)
{
	struct pit *p = (struct pit *)d;

	for (unsigned i = 0; i < 3; i++)
		p->ch[i] = (struct channel){ .mode = 3, .rw = RW_BOTH, .gate = i != 2, .n = 65536, .reload = 65536 };
	p->port61 = 0;
	p->seen = (u64)clk_now(p);
	timer_disarm(&p->timer);
	irq_set(&p->irq, false);
}

static void pit_loaded(struct device *d)
{
	rearm((struct pit *)d);
}

static void pit_destroy(struct device *d)
{
	struct pit *p = (struct pit *)d;

	timer_disarm(&p->timer);
	bus_unmap(d->bus, &p->range[0]);
	bus_unmap(d->bus, &p->range[1]);
	base_free(p);
}

/* clang-format off */
#define CHANNEL_ROWS(id, i)                                                                                            \
	STATE(id + 0, struct pit, ch[i].mode), STATE(id + 1, struct pit, ch[i].rw), STATE(id + 2, struct pit, ch[i].bcd), \
	STATE(id + 3, struct pit, ch[i].gate), STATE(id + 4, struct pit, ch[i].running),                               \
	STATE(id + 5, struct pit, ch[i].held), STATE(id + 6, struct pit, ch[i].write_second),                          \
	STATE(id + 7, struct pit, ch[i].read_second), STATE(id + 8, struct pit, ch[i].counted),                        \
	STATE(id + 9, struct pit, ch[i].status_latched), STATE(id + 10, struct pit, ch[i].next_valid),                 \
	STATE(id + 11, struct pit, ch[i].latched), STATE(id + 12, struct pit, ch[i].status),                           \
	STATE(id + 13, struct pit, ch[i].low_byte), STATE(id + 14, struct pit, ch[i].latch),                           \
	STATE(id + 15, struct pit, ch[i].reload), STATE(id + 16, struct pit, ch[i].n),                                 \
	STATE(id + 17, struct pit, ch[i].start), STATE(id + 18, struct pit, ch[i].elapsed),                            \
	STATE(id + 19, struct pit, ch[i].next_at)
static const struct state_row rows[] = {
	CHANNEL_ROWS(1, 0), CHANNEL_ROWS(31, 1), CHANNEL_ROWS(61, 2), STATE(91, struct pit, port61),
	STATE(92, struct pit, seen), STATE(93, struct pit, irq.level),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "i8254", .reset = pit_reset, .loaded = pit_loaded, .destroy = pit_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

enum status pit_create(struct device **out, const struct dev_env *e, struct irq_line irq0)
{
	struct pit *p = base_alloc(sizeof(*p));

	if (!p)
		return ST_NOMEM;
	p->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	p->irq = irq0;
	timer_init(&p->timer, e->clock, timer_fired, p);
	dev_map(&p->dev, &p->range[0], &pit_ops, true, 0x40, 4);
	dev_map(&p->dev, &p->range[1], &port61_ops, true, 0x61, 1);
	pit_reset(&p->dev);
	*out = &p->dev;
	return ST_OK;
}
