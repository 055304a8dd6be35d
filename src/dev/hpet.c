/*
 * HPET at FED00000h: one 64-bit counter at 100 MHz, three comparators, legacy replacement; level, edge, FSB.
 * IA-PC HPET Specification 1.0a. The counter is a function of the clock; only enabled comparators arm a timer.
 */
#include "dev/devices.h"

enum { TIMERS = 3, NS_PER_TICK = 10 };
enum { GCAP_ID = 0x00, GEN_CONF = 0x10, GINTR_STA = 0x20, MAIN_CNT = 0xf0, TIMER_BASE = 0x100, TIMER_END = 0x160 };
enum { T_CONF = 0x00, T_COMPARATOR = 0x08, T_FSB = 0x10 };
enum { CONF_ENABLE = 1, CONF_LEGACY = 2 };
enum {
	TN_LEVEL = 1 << 1, TN_ENABLE = 1 << 2, TN_PERIODIC = 1 << 3, TN_PER_CAP = 1 << 4, TN_SIZE_CAP = 1 << 5,
	TN_VAL_SET = 1 << 6, TN_32 = 1 << 8, TN_ROUTE = 31 << 9, TN_FSB = 1 << 14, TN_FSB_CAP = 1 << 15,
	TN_WRITABLE = TN_LEVEL | TN_ENABLE | TN_PERIODIC | TN_VAL_SET | TN_32 | TN_ROUTE | TN_FSB,
};

/* 10,000,000 fs a tick, vendor 8086h, legacy replacement, 64 bits, 3 timers, revision 1. */
#define CAPABILITIES (10000000ull << 32 | 0x8086a000 | (TIMERS - 1) << 8 | 1)

struct hpet;
struct hpet_timer {
	u64 conf, comparator, period, fsb;
	struct timer timer;  /* cache: the next match */
	struct hpet *hpet;   /* cache: its owner */
};

struct hpet {
	struct device dev;
	u64 conf, status;
	u64 base;            /* the counter when it was last written, started or stopped */
	u64 start;           /* and the clock then */
	struct hpet_timer t[TIMERS];
	struct irq_line irq[24];
	struct bus_range range;
};

/* As ICH9 routes them: 20 to 23, timer 2 also 11. */
static const u32 routes[TIMERS] = { 0x00f00000, 0x00f00000, 0x00f00800 };

static bool enabled(const struct hpet *h)
{
	return h->conf & CONF_ENABLE;
}

static u64 counter(const struct hpet *h)
{
	return enabled(h) ? h->base + (h->dev.clock->now - h->start) / NS_PER_TICK : h->base;
}

static u64 width_mask(const struct hpet_timer *t)
{
	return t->conf & TN_32 ? 0xffffffff : ~0ull;
}

/* The line a timer drives, NULL: by message or nowhere. "Interrupt Mapping". */
static struct irq_line *line(struct hpet *h, const struct hpet_timer *t)
{
	unsigned n = (unsigned)(t - h->t), route = (unsigned)bits(t->conf, 13, 9);

	if ((h->conf & CONF_LEGACY) && n < 2)
		return &h->irq[n == 0 ? 0 : 8];
	if (t->conf & TN_FSB)
		return NULL;
	return route < 24 && (routes[n] >> route & 1) ? &h->irq[route] : NULL;
}

/* Level lines follow the status bits; several timers may share one. */
static void update_levels(struct hpet *h)
{
	u32 high = 0, level = 0;

	for (unsigned n = 0; n < TIMERS; n++) {
		struct irq_line *l = line(h, &h->t[n]);

		if (!l || !(h->t[n].conf & TN_LEVEL))
			continue;
		level |= 1u << (l - h->irq);
		if ((h->status >> n & 1) && (h->t[n].conf & TN_ENABLE))
			high |= 1u << (l - h->irq);
	}
	for (unsigned i = 0; i < 24; i++) {
		if (level >> i & 1)
			irq_set(&h->irq[i], high >> i & 1);
	}
}

static void interrupt(struct hpet *h, struct hpet_timer *t)
{
	unsigned n = (unsigned)(t - h->t);
	struct irq_line *l = line(h, t);

	if (t->conf & TN_LEVEL) {
		h->status |= BIT(n);
		update_levels(h);
	} else if (!(t->conf & TN_ENABLE)) {
		return;
	} else if (l) {
		irq_set(l, false); /* an edge; the line stays up so that an 8259 sees the request until INTA */
		irq_set(l, true);
	} else if (t->conf & TN_FSB) {
		u32 data = (u32)t->fsb;
		(void)dma_write(h->dev.bus, LPC_DEVFN, t->fsb >> 32, &data, sizeof(data));
	}
}

/* Arm for the next match. after: the present value has been dealt with. */
static void arm(struct hpet *h, struct hpet_timer *t, bool after)
{
	u64 now = counter(h), ahead = (t->comparator - now) & width_mask(t), when;

	timer_disarm(&t->timer);
	if (!enabled(h) || !(t->conf & (TN_ENABLE | TN_LEVEL)))
		return;
	if (after && !ahead) {
		if (!(t->conf & TN_32))
			return;
		ahead = 1ull << 32; /* "32-bit mode": it matches again when the low half comes round */
	}
	if (ahead > UINT64_MAX / NS_PER_TICK / 2)
		return; /* centuries away */
	when = h->start + (now - h->base + ahead) * NS_PER_TICK;
	timer_arm(&t->timer, when);
}

static void matched(void *arg)
{
	struct hpet_timer *t = arg;
	struct hpet *h = t->hpet;

	if ((t->conf & TN_PERIODIC) && t->period) {
		u64 behind = (counter(h) - t->comparator) & width_mask(t);

		t->comparator = (t->comparator + (behind / t->period + 1) * t->period) & width_mask(t);
	}
	arm(h, t, true);
	interrupt(h, t);
}

static void arm_all(struct hpet *h)
{
	for (unsigned n = 0; n < TIMERS; n++)
		arm(h, &h->t[n], false);
}

/* ---- registers: a quadword each; narrower accesses are merged ---- */

static u64 timer_read(const struct hpet *h, unsigned n, u64 offset)
{
	const struct hpet_timer *t = &h->t[n];

	switch (offset) {
	case T_CONF: return t->conf | TN_PER_CAP | TN_SIZE_CAP | TN_FSB_CAP | (u64)routes[n] << 32;
	case T_COMPARATOR: return t->comparator;
	case T_FSB: return t->fsb;
	default: return 0;
	}
}

static u64 reg_read(const struct hpet *h, u64 offset)
{
	switch (offset) {
	case GCAP_ID: return CAPABILITIES;
	case GEN_CONF: return h->conf;
	case GINTR_STA: return h->status;
	case MAIN_CNT: return counter(h);
	default: break;
	}
	if (offset < TIMER_BASE || offset >= TIMER_END)
		return 0;
	return timer_read(h, (unsigned)(offset - TIMER_BASE) / 0x20, offset % 0x20);
}

static void drop_lines(struct hpet *h)
{
	for (unsigned i = 0; i < 24; i++)
		irq_set(&h->irq[i], false);
}

static void write_timer_conf(struct hpet *h, struct hpet_timer *t, u64 v)
{
	struct irq_line *l = line(h, t);

	if (l)
		irq_set(l, false);
	t->conf = v & TN_WRITABLE;
	if (t->conf & TN_32) {
		t->comparator &= 0xffffffff;
		t->period &= 0xffffffff;
	}
	if (!(t->conf & TN_LEVEL))
		h->status &= ~BIT(t - h->t);
	update_levels(h);
	arm(h, t, false);
}

/* "Timer N Comparator Value": in periodic mode a write sets the period, and the accumulator only after VAL_SET. */
static void write_comparator(struct hpet *h, struct hpet_timer *t, u64 v, u64 written)
{
	v &= width_mask(t);
	if (!(t->conf & TN_PERIODIC) || (t->conf & TN_VAL_SET))
		t->comparator = (t->comparator & ~written) | (v & written);
	if (t->conf & TN_PERIODIC)
		t->period = (t->period & ~written) | (v & written);
	t->conf &= ~(u64)TN_VAL_SET;
	arm(h, t, false);
}

/* Legacy replacement came or went: the machine looks at its wires again although none of ours changed. */
static void announce_legacy(struct hpet *h)
{
	if (h->irq[0].set)
		h->irq[0].set(h->irq[0].arg, h->irq[0].n, h->irq[0].level);
}

static void write_conf(struct hpet *h, u64 v)
{
	u64 now = counter(h);

	drop_lines(h);
	h->base = now;
	h->start = h->dev.clock->now;
	h->conf = v & (CONF_ENABLE | CONF_LEGACY);
	announce_legacy(h);
	update_levels(h);
	arm_all(h);
}

/* v: the register's new value; written: the bits this access carried. */
static void reg_write(struct hpet *h, u64 offset, u64 v, u64 written)
{
	struct hpet_timer *t;

	switch (offset) {
	case GEN_CONF: write_conf(h, v); return;
	case GINTR_STA:
		h->status &= ~(v & written);
		update_levels(h);
		return;
	case MAIN_CNT:
		h->base = v;
		h->start = h->dev.clock->now;
		arm_all(h);
		return;
	default: break;
	}
	if (offset < TIMER_BASE || offset >= TIMER_END)
		return;
	t = &h->t[(offset - TIMER_BASE) / 0x20];
	switch (offset % 0x20) {
	case T_CONF: write_timer_conf(h, t, v); break;
	case T_COMPARATOR: write_comparator(h, t, v, written); break;
	case T_FSB: t->fsb = v; break;
	default: break;
	}
}

static u64 hpet_read(void *dev, u64 offset, unsigned size)
{
	return low_bytes(reg_read(dev, offset & ~7ull) >> (offset & 7) * 8, size);
}

static void hpet_write(void *dev, u64 offset, unsigned size, u64 v)
{
	unsigned shift = (unsigned)(offset & 7) * 8;
	u64 written = low_bytes(~0ull, size) << shift;
	u64 old = (offset & ~7ull) == GINTR_STA ? 0 : reg_read(dev, offset & ~7ull);

	reg_write(dev, offset & ~7ull, (old & ~written) | (v << shift & written), written);
}

static const struct bus_ops mmio_ops = { .read = hpet_read, .write = hpet_write, .max_size = 8 };

bool hpet_legacy(const struct device *d)
{
	const struct hpet *h = (const struct hpet *)d;

	return (h->conf & (CONF_ENABLE | CONF_LEGACY)) == (CONF_ENABLE | CONF_LEGACY);
}

static void hpet_reset(struct device *d)
{
	struct hpet *h = (struct hpet *)d;

	drop_lines(h);
	h->conf = h->status = h->base = 0;
	announce_legacy(h);
	h->start = d->clock->now;
	for (unsigned n = 0; n < TIMERS; n++) {
		h->t[n].conf = h->t[n].period = h->t[n].fsb = 0;
		h->t[n].comparator = ~0ull;
		timer_disarm(&h->t[n].timer);
	}
}

/* What was due had been dealt with. */
static void hpet_loaded(struct device *d)
{
	struct hpet *h = (struct hpet *)d;

	for (unsigned n = 0; n < TIMERS; n++)
		arm(h, &h->t[n], true);
}

static void hpet_destroy(struct device *d)
{
	struct hpet *h = (struct hpet *)d;

	for (unsigned n = 0; n < TIMERS; n++)
		timer_disarm(&h->t[n].timer);
	bus_unmap(d->bus, &h->range);
	base_free(h);
}

/* clang-format off */
#define TIMER_ROWS(id, i)                                                                                              \
	STATE(id + 0, struct hpet, t[i].conf), STATE(id + 1, struct hpet, t[i].comparator),                            \
	STATE(id + 2, struct hpet, t[i].period), STATE(id + 3, struct hpet, t[i].fsb)
#define LINE_ROW(i) STATE(40 + i, struct hpet, irq[i].level)
static const struct state_row rows[] = {
	STATE(1, struct hpet, conf), STATE(2, struct hpet, status), STATE(3, struct hpet, base), STATE(4, struct hpet, start),
	TIMER_ROWS(10, 0), TIMER_ROWS(20, 1), TIMER_ROWS(30, 2),
	LINE_ROW(0), LINE_ROW(8), LINE_ROW(11), LINE_ROW(20), LINE_ROW(21), LINE_ROW(22), LINE_ROW(23),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "hpet", .reset = hpet_reset, .loaded = hpet_loaded, .destroy = hpet_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

enum status hpet_create(struct device **out, const struct dev_env *e, const struct irq_line irq[24])
{
	struct hpet *h = base_alloc(sizeof(*h));

	if (!h)
		return ST_NOMEM;
	h->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	memcpy(h->irq, irq, sizeof(h->irq));
	for (unsigned n = 0; n < TIMERS; n++) {
		h->t[n].hpet = h;
		timer_init(&h->t[n].timer, e->clock, matched, &h->t[n]);
		timer_loosen(&h->t[n].timer);
	}
	dev_map(&h->dev, &h->range, &mmio_ops, false, 0xfed00000, 0x400);
	hpet_reset(&h->dev);
	*out = &h->dev;
	return ST_OK;
}
