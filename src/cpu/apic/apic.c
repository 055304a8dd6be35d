/*
 * The local APIC: registers in xAPIC and x2APIC form, priorities, local vector table and timer, and the message bus.
 * Intel SDM volume 3, "Advanced Programmable Interrupt Controller"; AMD APM volume 2, chapter of the same name.
 */
#include "cpu/apic/apic.h"

#include "cpu/state/events.h"
#include "cpu/state/time.h"

enum {
	R_ID = 0x20, R_VERSION = 0x30, R_TPR = 0x80, R_APR = 0x90, R_PPR = 0xa0, R_EOI = 0xb0, R_RRD = 0xc0, R_LDR = 0xd0,
	R_DFR = 0xe0, R_SVR = 0xf0, R_ISR = 0x100, R_TMR = 0x180, R_IRR = 0x200, R_ESR = 0x280, R_CMCI = 0x2f0,
	R_ICR_LO = 0x300, R_ICR_HI = 0x310, R_LVT_TIMER = 0x320, R_LVT_ERROR = 0x370, R_TIMER_INIT = 0x380,
	R_TIMER_CURRENT = 0x390, R_TIMER_DIV = 0x3e0, R_SELF_IPI = 0x3f0,
};

#define BASE_BSP  BIT(8)
#define BASE_EXTD BIT(10)
#define BASE_EN   BIT(11)
#define BASE_RESET_ADDR 0xfee00000ull

enum { ESR_SEND_ILLEGAL = 1 << 5, ESR_RECEIVE_ILLEGAL = 1 << 6, ESR_ILLEGAL_REGISTER = 1 << 7 };
enum { SVR_ENABLE = 1 << 8, SVR_NO_EOI_BROADCAST = 1 << 12, VERSION_NO_EOI_BROADCAST = 1 << 24 };
enum { LVT_STATUS = 1 << 12, LVT_REMOTE_IRR = 1 << 14, LVT_LEVEL = 1 << 15, LVT_MASKED = 1 << 16 };
enum { TIMER_ONESHOT, TIMER_PERIODIC, TIMER_DEADLINE };
enum { ICR_LOGICAL = 1 << 11, ICR_ASSERT = 1 << 14, ICR_LEVEL = 1 << 15, ICR_WRITABLE = 0xccfff };
enum { SHORT_NONE, SHORT_SELF, SHORT_ALL, SHORT_OTHERS };

/* "Local Vector Table": what software may write, by entry. */
static const u32 lvt_writable[LVT_COUNT] = {
	[LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff, [LVT_LINT0] = 0x1a7ff,
	[LVT_LINT1] = 0x1a7ff, [LVT_ERROR] = 0x100ff,   [LVT_CMCI] = 0x107ff,
};

static enum apic_mode mode_of(const struct lapic *a)
{
	if (!(a->base & BASE_EN))
		return APIC_DISABLED;
	return a->base & BASE_EXTD ? APIC_X2APIC : APIC_XAPIC;
}

static bool bitmap_get(const u32 *map, unsigned v)
{
	return (map[v / 32] >> (v % 32)) & 1;
}

static void bitmap_put(u32 *map, unsigned v, bool on)
{
	u32 bit = 1u << (v % 32);

	map[v / 32] = on ? map[v / 32] | bit : map[v / 32] & ~bit;
}

static int bitmap_highest(const u32 *map)
{
	for (int w = 7; w >= 0; w--) {
		if (map[w])
			return w * 32 + 31 - __builtin_clz(map[w]);
	}
	return -1;
}

/* ---- priorities ---- */

/* "Task and Processor Priorities" */
static u32 ppr(const struct lapic *a)
{
	int isrv = bitmap_highest(a->isr);
	u32 in_service = isrv < 0 ? 0 : (u32)isrv & 0xf0;

	return (a->tpr & 0xf0) >= in_service ? a->tpr : in_service;
}

int apic_pending(const struct cpu *c)
{
	const struct lapic *a = &c->apic;
	u32 enabled[8];
	int v;

	if (unlikely(a->ext_ctrl & APIC_EXT_IER)) { /* only what is enabled takes part in the prioritisation */
		for (unsigned w = 0; w < 8; w++)
			enabled[w] = a->irr[w] & a->ext_ier[w];
		v = bitmap_highest(enabled);
	} else {
		v = bitmap_highest(a->irr);
	}

	return v >= 0 && ((u32)v & 0xf0) > (ppr(a) & 0xf0) ? v : -1;
}

/* An ExtINT comes by a pin in virtual wire mode, by the INTR pin itself when there is no APIC, or by message. */
static bool extint_now(const struct lapic *a)
{
	if (mode_of(a) == APIC_DISABLED)
		return a->lint_level[0];
	for (unsigned n = 0; n < 2; n++) {
		u32 lvt = a->lvt[LVT_LINT0 + n];

		if (a->lint_level[n] && !(lvt & LVT_MASKED) && bits(lvt, 10, 8) == DM_EXTINT)
			return true;
	}
	return a->extint_msg;
}

/* Something that decides deliverability changed: bring the processor's pending bit in line. */
static void update(struct cpu *c)
{
	c->apic.extint = extint_now(&c->apic);
	if (c->apic.extint || apic_pending(c) >= 0)
		cpu_raise(c, PEND_INTR);
	else
		c->pend &= ~(u32)PEND_INTR;
}

void apic_set_tpr(struct cpu *c, u8 tpr)
{
	c->apic.tpr = tpr;
	update(c);
	cpu_recheck(c);
}

/* ---- accepting interrupts ---- */

/* "Error Handling": the interrupt fires once until a write to the ESR rearms it. */
static void error(struct cpu *c, u32 bit)
{
	bool armed = !c->apic.esr_pending;

	c->apic.esr_pending |= bit;
	if (armed)
		apic_post_lvt(c, LVT_ERROR);
}

static void latch_errors(struct lapic *a)
{
	a->esr = a->esr_pending;
	a->esr_pending = 0;
}

static void accept(struct cpu *c, u8 vector, bool level)
{
	if (vector < 16) {
		error(c, ESR_RECEIVE_ILLEGAL);
		return;
	}
	bitmap_put(c->apic.irr, vector, true);
	bitmap_put(c->apic.tmr, vector, level);
	update(c);
}

void apic_post_lvt(struct cpu *c, enum apic_lvt n)
{
	struct lapic *a = &c->apic;
	u32 lvt = a->lvt[n];
	bool level = n == LVT_LINT0 && (lvt & LVT_LEVEL);

	if (mode_of(a) == APIC_DISABLED || (lvt & LVT_MASKED))
		return;
	/* "Local Vector Table", mask flag: set by the processor when a performance-counter interrupt is delivered.
	 * DEVIATION: AMD's APIC leaves it alone; handlers of both vendors write the entry again. */
	if (n == LVT_PERF)
		a->lvt[n] |= LVT_MASKED;
	switch (n == LVT_TIMER || n == LVT_ERROR ? DM_FIXED : bits(lvt, 10, 8)) {
	case DM_FIXED:
		if (level)
			a->lvt[n] |= LVT_REMOTE_IRR;
		accept(c, (u8)lvt, level);
		break;
	case DM_SMI: cpu_raise(c, PEND_SMI); break;
	case DM_NMI: cpu_raise(c, PEND_NMI); break;
	case DM_INIT: cpu_raise(c, PEND_INIT); break;
	case DM_EXTINT: update(c); break;
	default: break;
	}
}

/* "Trigger Mode": it counts for fixed interrupts; an SMI, NMI or INIT is one edge, whatever the bit says. */
static bool level_sensitive(const struct lapic *a)
{
	u32 lvt = a->lvt[LVT_LINT0];

	return (lvt & LVT_LEVEL) && bits(lvt, 10, 8) == DM_FIXED;
}

/* A level-triggered LINT0 that is asserted and not in service is sent (again). */
static void lint_level_check(struct cpu *c)
{
	const struct lapic *a = &c->apic;

	if (a->lint_level[0] && level_sensitive(a) && !(a->lvt[LVT_LINT0] & (LVT_REMOTE_IRR | LVT_MASKED)))
		apic_post_lvt(c, LVT_LINT0);
}

void apic_lint(struct cpu *c, unsigned n, bool level)
{
	struct lapic *a = &c->apic;
	bool rising = level && !a->lint_level[n];

	a->lint_level[n] = level;
	if (mode_of(a) == APIC_DISABLED) {
		if (n == 1 && rising)
			cpu_raise(c, PEND_NMI);
	} else if (n == 0 && level_sensitive(a)) {
		lint_level_check(c);
	} else if (rising) {
		apic_post_lvt(c, (enum apic_lvt)(LVT_LINT0 + n));
	}
	update(c);
}

int apic_ack(struct cpu *c)
{
	struct lapic *a = &c->apic;
	int v = apic_pending(c);

	if (v >= 0) {
		bitmap_put(a->irr, (unsigned)v, false);
		bitmap_put(a->isr, (unsigned)v, true);
	} else if (a->extint && c->intr_ack) {
		a->extint_msg = false;
		v = c->intr_ack(c->intr_ack_arg);
	} else {
		v = a->svr & 0xff; /* "Spurious Interrupt": no ISR bit, no EOI */
	}
	update(c);
	return v;
}

void apic_eoi_vector(struct cpu *c, u8 v)
{
	struct lapic *a = &c->apic;

	if (!bitmap_get(a->isr, v))
		return;
	bitmap_put(a->isr, v, false);
	if (bitmap_get(a->tmr, v)) {
		if ((a->lvt[LVT_LINT0] & LVT_REMOTE_IRR) && (u8)a->lvt[LVT_LINT0] == v) {
			a->lvt[LVT_LINT0] &= ~(u32)LVT_REMOTE_IRR;
			lint_level_check(c);
		}
		if (a->eoi_fn && !(a->svr & SVR_NO_EOI_BROADCAST))
			a->eoi_fn(a->eoi_arg, v);
	}
	update(c);
}

void apic_eoi(struct cpu *c)
{
	int v = bitmap_highest(c->apic.isr);

	if (v >= 0)
		apic_eoi_vector(c, (u8)v);
}

/* ---- the timer: counts at 1 GHz over the divide value ---- */

static unsigned timer_mode(const struct lapic *a)
{
	unsigned m = (unsigned)bits(a->lvt[LVT_TIMER], 18, 17);

	return m > TIMER_DEADLINE ? TIMER_ONESHOT : m; /* 11b is reserved */
}

/* "Divide Configuration Register": bits 3, 1 and 0; 111b is divide by 1. */
static u64 timer_divisor(const struct lapic *a)
{
	unsigned v = ((a->timer_div >> 1) & 4) | (a->timer_div & 3);

	return 1ull << ((v + 1) & 7);
}

static u64 tsc_now(const struct cpu *c)
{
	return c->clock->now + c->tsc_offset;
}

static u32 timer_count(const struct cpu *c)
{
	const struct lapic *a = &c->apic;
	u64 ticks;

	if (!a->timer_init || a->timer_expired || timer_mode(a) == TIMER_DEADLINE)
		return 0;
	ticks = (c->clock->now - a->timer_start) / timer_divisor(a);
	if (timer_mode(a) == TIMER_PERIODIC)
		return (u32)(a->timer_init - ticks % a->timer_init);
	return ticks >= a->timer_init ? 0 : (u32)(a->timer_init - ticks);
}

void apic_rearm(struct cpu *c)
{
	struct lapic *a = &c->apic;
	u64 now = c->clock->now, period = a->timer_init * timer_divisor(a), when;

	timer_disarm(&a->timer);
	if (mode_of(a) == APIC_DISABLED)
		return;
	if (timer_mode(a) == TIMER_DEADLINE) {
		if (!a->tsc_deadline)
			return;
		when = a->tsc_deadline <= tsc_now(c) ? now : now + (a->tsc_deadline - tsc_now(c));
		if (when < now)
			return; /* beyond the end of time */
	} else {
		if (!a->timer_init || a->timer_expired)
			return;
		when = a->timer_start + period;
		if (timer_mode(a) == TIMER_PERIODIC)
			when = now + period - (now - a->timer_start) % period;
	}
	timer_arm(&a->timer, when);
	if (c->clock->next == a->timer.when)
		c->kick = c->yield = 1; /* the slice must end sooner than was planned */
}

static void timer_fired(void *arg)
{
	struct cpu *c = arg;
	struct lapic *a = &c->apic;

	switch (timer_mode(a)) {
	case TIMER_DEADLINE: a->tsc_deadline = 0; break;
	case TIMER_PERIODIC: apic_rearm(c); break;
	default: a->timer_expired = true; break;
	}
	apic_post_lvt(c, LVT_TIMER);
}

static void write_timer_init(struct cpu *c, u32 v)
{
	struct lapic *a = &c->apic;

	if (timer_mode(a) == TIMER_DEADLINE)
		return; /* "TSC-Deadline Mode": writes are ignored */
	a->timer_init = v;
	a->timer_start = c->clock->now;
	a->timer_expired = false;
	apic_rearm(c);
}

/* The count stands; only its speed changes. */
static void write_timer_div(struct cpu *c, u32 v)
{
	struct lapic *a = &c->apic;
	u32 count = timer_count(c);

	a->timer_div = v & 0xb;
	if (a->timer_init && !a->timer_expired && timer_mode(a) != TIMER_DEADLINE)
		a->timer_start = c->clock->now - (a->timer_init - count) * timer_divisor(a);
	apic_rearm(c);
}

static void write_lvt_timer(struct cpu *c, u32 v)
{
	struct lapic *a = &c->apic;
	unsigned was = timer_mode(a);
	u64 period = a->timer_init * timer_divisor(a);

	if (!has(c, FEAT_TSC_DEADLINE))
		v &= ~(u32)BIT(18);
	a->lvt[LVT_TIMER] = v;
	if (was == timer_mode(a))
		return;
	/* "TSC-Deadline Mode": a transition between it and another mode disarms the timer. */
	if (was == TIMER_DEADLINE || timer_mode(a) == TIMER_DEADLINE) {
		a->tsc_deadline = 0;
		a->timer_init = 0;
	} else if (period && !a->timer_expired) {
		a->timer_start = c->clock->now - (c->clock->now - a->timer_start) % period;
	}
	apic_rearm(c);
}

bool apic_deadline_write(struct cpu *c, u64 value)
{
	cpu_sync_time(c);
	if (timer_mode(&c->apic) == TIMER_DEADLINE && mode_of(&c->apic) != APIC_DISABLED) {
		c->apic.tsc_deadline = value;
		apic_rearm(c);
	}
	return true;
}

u64 apic_deadline_read(struct cpu *c)
{
	return timer_mode(&c->apic) == TIMER_DEADLINE ? c->apic.tsc_deadline : 0;
}

/* ---- the bus between the APICs ---- */

static u32 x2apic_ldr(const struct lapic *a)
{
	return (a->id >> 4) << 16 | 1u << (a->id & 15);
}

/* "Logical Destination Mode" in xAPIC mode: flat and cluster model. */
static bool xapic_logical(const struct lapic *a, u32 mda)
{
	u32 ldr = a->ldr >> 24;

	return (a->dfr >> 28) == 0xf ? (mda & ldr) != 0 : (mda >> 4) == (ldr >> 4) && (mda & ldr & 0xf) != 0;
}

static bool addressed(const struct lapic *a, const struct apic_msg *m)
{
	bool x2 = mode_of(a) == APIC_X2APIC;

	if (m->dest == (m->x2apic_dest ? 0xffffffff : 0xff))
		return true;
	if (!m->logical)
		return m->dest == (x2 ? a->id : a->xapic_id >> 24);
	if (x2)
		return (m->dest >> 16) == a->id >> 4 && (m->dest & x2apic_ldr(a) & 0xffff) != 0;
	return m->dest <= 0xff && xapic_logical(a, m->dest);
}

static bool takes(const struct lapic *a, const struct apic_msg *m)
{
	bool maskable = m->delivery == DM_FIXED || m->delivery == DM_LOWEST || m->delivery == DM_EXTINT;

	/* "State of the Local APIC After It Has Been Software Disabled" */
	return mode_of(a) != APIC_DISABLED && (!maskable || (a->svr & SVR_ENABLE));
}

static void take(struct cpu *c, const struct apic_msg *m)
{
	switch (m->delivery) {
	case DM_FIXED:
	case DM_LOWEST: accept(c, m->vector, m->level); break;
	case DM_SMI: cpu_raise(c, PEND_SMI); break;
	case DM_NMI: cpu_raise(c, PEND_NMI); break;
	case DM_INIT: cpu_raise(c, PEND_INIT); break;
	case DM_SIPI:
		/* Lost unless the processor waits for it or is about to. */
		if (c->activity != ACT_WAIT_SIPI && !(c->pend & PEND_INIT))
			break;
		c->sipi_vector = m->vector;
		cpu_raise(c, PEND_SIPI);
		break;
	case DM_EXTINT:
		c->apic.extint_msg = true;
		update(c);
		break;
	default: break;
	}
}

static bool selected(const struct cpu *c, const struct apic_msg *m, const struct cpu *from, unsigned shorthand)
{
	switch (shorthand) {
	case SHORT_SELF: return c == from;
	case SHORT_ALL: return true;
	case SHORT_OTHERS: return c != from;
	default: return addressed(&c->apic, m);
	}
}

/* "Lowest Priority Delivery Mode": the lowest processor priority wins, among equals the lowest index: runs repeat. */
static struct cpu *arbitrate(struct cpu *const *cpus, unsigned n, const struct apic_msg *m, const struct cpu *from,
			     unsigned shorthand)
{
	struct cpu *best = NULL;

	for (unsigned i = 0; i < n; i++) {
		struct cpu *c = cpus[i];

		if (selected(c, m, from, shorthand) && takes(&c->apic, m) && (!best || ppr(&c->apic) < ppr(&best->apic)))
			best = c;
	}
	return best;
}

unsigned apic_bus_send(struct cpu *const *cpus, unsigned n, const struct apic_msg *m, struct cpu *from,
		       unsigned shorthand)
{
	struct cpu *one = m->delivery == DM_LOWEST ? arbitrate(cpus, n, m, from, shorthand) : NULL;
	unsigned taken = 0;

	for (unsigned i = 0; i < n; i++) {
		struct cpu *c = cpus[i];

		if (m->delivery == DM_LOWEST ? c != one : !selected(c, m, from, shorthand) || !takes(&c->apic, m))
			continue;
		take(c, m);
		taken++;
		if (from && c != from) {
			from->kick = 1;
			from->yield = true;
		}
	}
	return taken;
}

/* "Interrupt Command Register": the valid combinations. */
static void send_icr(struct cpu *c, u32 v)
{
	struct lapic *a = &c->apic;
	const bool x2 = mode_of(a) == APIC_X2APIC;
	unsigned shorthand = (unsigned)bits(v, 19, 18);
	struct apic_msg m = {
		.vector = (u8)v,
		.delivery = (u8)bits(v, 10, 8),
		.logical = v & ICR_LOGICAL,
		.assert = v & ICR_ASSERT,
		.x2apic_dest = x2,
		.dest = x2 ? a->icr_hi : a->icr_hi >> 24,
	};
	bool to_others = m.delivery == DM_INIT || m.delivery == DM_SIPI || m.delivery == DM_SMI;

	a->icr_lo = v;
	if (m.delivery == DM_RESERVED3 || m.delivery == DM_EXTINT)
		return;
	/* INIT level de-assert is not supported by processors with an xAPIC: nothing happens. */
	if (m.delivery == DM_INIT && (v & ICR_LEVEL) && !m.assert)
		return;
	if (to_others && (shorthand == SHORT_SELF || shorthand == SHORT_ALL))
		return;
	if ((m.delivery == DM_FIXED || m.delivery == DM_LOWEST) && m.vector < 16) {
		error(c, ESR_SEND_ILLEGAL);
		return;
	}
	if (c->all)
		apic_bus_send(c->all, c->count, &m, c, shorthand);
	else
		apic_bus_send(&c, 1, &m, c, shorthand);
}

/* ---- registers ---- */

static bool lvt_index(const struct lapic *a, u32 offset, enum apic_lvt *n)
{
	if (offset == R_CMCI && bits(a->version, 23, 16) >= LVT_CMCI) {
		*n = LVT_CMCI;
		return true;
	}
	if (offset < R_LVT_TIMER || offset > R_LVT_ERROR)
		return false;
	*n = (enum apic_lvt)((offset - R_LVT_TIMER) >> 4);
	return true;
}

/* false: there is no such register. */
static bool reg_read(struct cpu *c, u32 offset, u32 *v)
{
	struct lapic *a = &c->apic;
	bool x2 = mode_of(a) == APIC_X2APIC;
	enum apic_lvt n;

	if (lvt_index(a, offset, &n)) {
		*v = a->lvt[n];
		return true;
	}
	switch (offset) {
	case R_ID: *v = x2 ? a->id : a->xapic_id; return true;
	case R_VERSION: *v = a->version; return true;
	case R_TPR: *v = a->tpr; return true;
	case R_APR: *v = ppr(a); return !x2;
	case R_PPR: *v = ppr(a); return true;
	case R_EOI:
	case R_RRD: *v = 0; return !x2;
	case R_LDR: *v = x2 ? x2apic_ldr(a) : a->ldr; return true;
	case R_DFR: *v = a->dfr; return !x2;
	case R_SVR: *v = a->svr; return true;
	case R_ESR: *v = a->esr; return true;
	case R_ICR_LO: *v = a->icr_lo; return true;
	case R_ICR_HI: *v = a->icr_hi; return !x2;
	case R_TIMER_INIT: *v = a->timer_init; return true;
	case R_TIMER_CURRENT: *v = timer_count(c); return true;
	case R_TIMER_DIV: *v = a->timer_div; return true;
	default: break;
	}
	if (offset >= APIC_EXT_SPACE)
		return apic_ext_read(c, offset, v);
	if (offset < R_ISR || offset >= R_IRR + 0x80)
		return false;
	*v = (offset < R_TMR ? a->isr : offset < R_IRR ? a->tmr : a->irr)[(offset >> 4) & 7];
	return true;
}

static void write_lvt(struct cpu *c, enum apic_lvt n, u32 v)
{
	struct lapic *a = &c->apic;

	v &= lvt_writable[n];
	if (!(a->svr & SVR_ENABLE))
		v |= LVT_MASKED;
	v |= a->lvt[n] & LVT_REMOTE_IRR;
	if (n == LVT_TIMER) {
		write_lvt_timer(c, v);
		return;
	}
	if (!(v & LVT_LEVEL))
		v &= ~(u32)LVT_REMOTE_IRR;
	a->lvt[n] = v;
	if (n == LVT_LINT0)
		lint_level_check(c);
	update(c);
}

static void write_svr(struct cpu *c, u32 v)
{
	struct lapic *a = &c->apic;

	a->svr = v & (0x3ff | (a->version & VERSION_NO_EOI_BROADCAST ? SVR_NO_EOI_BROADCAST : 0));
	if (!(a->svr & SVR_ENABLE)) {
		for (unsigned n = 0; n < LVT_COUNT; n++)
			a->lvt[n] |= LVT_MASKED;
		for (unsigned n = 0; n < 4; n++)
			a->ext_lvt[n] |= LVT_MASKED;
	}
	update(c);
}

/* false: there is no such register, or it cannot be written. */
static bool reg_write(struct cpu *c, u32 offset, u32 v)
{
	struct lapic *a = &c->apic;
	bool x2 = mode_of(a) == APIC_X2APIC;
	enum apic_lvt n;

	if (lvt_index(a, offset, &n)) {
		write_lvt(c, n, v);
		return true;
	}
	switch (offset) {
	case R_ID: a->xapic_id = v & 0xff000000; return !x2;
	case R_TPR: apic_set_tpr(c, (u8)v); return true;
	case R_EOI: apic_eoi(c); return true;
	case R_LDR: a->ldr = v & 0xff000000; return !x2;
	case R_DFR: a->dfr = v | 0x0fffffff; return !x2;
	case R_SVR: write_svr(c, v); return true;
	case R_ESR: latch_errors(a); return true;
	case R_ICR_LO: send_icr(c, v & ICR_WRITABLE); return true;
	case R_ICR_HI: a->icr_hi = v & 0xff000000; return !x2;
	case R_TIMER_INIT: write_timer_init(c, v); return true;
	case R_TIMER_DIV: write_timer_div(c, v); return true;
	default:
		if (!apic_ext_write(c, offset, v))
			return false;
		update(c);
		return true;
	}
}

u32 apic_mmio_read(struct cpu *c, u32 offset)
{
	u32 v = 0;

	if (offset & 0xf)
		return 0; /* "Local APIC Register Address Map": only the first doubleword of each 16 bytes is defined */
	if (!reg_read(c, offset, &v)) {
		error(c, ESR_ILLEGAL_REGISTER);
		v = 0;
	}
	return v;
}

/* Read-only registers swallow the write; a register that does not exist is an error. */
void apic_mmio_write(struct cpu *c, u32 offset, u32 value)
{
	u32 ignored;

	if ((offset & 0xf) || reg_write(c, offset, value))
		return;
	if (!reg_read(c, offset, &ignored))
		error(c, ESR_ILLEGAL_REGISTER);
}

bool apic_msr_read(struct cpu *c, u32 index, u64 *value)
{
	u32 offset = (index - 0x800) << 4, v = 0;

	if (mode_of(&c->apic) != APIC_X2APIC || index < 0x800 || index > 0x8ff)
		return false;
	cpu_sync_time(c);
	if (!reg_read(c, offset, &v))
		return false;
	*value = offset == R_ICR_LO ? (u64)c->apic.icr_hi << 32 | v : v;
	return true;
}

/* "x2APIC Register Address Space": bits that must be 0, by register; the upper half counts except in the ICR. */
u64 apic_x2_reserved(const struct cpu *c, u32 offset)
{
	const struct lapic *a = &c->apic;
	enum apic_lvt n;

	if (lvt_index(a, offset, &n))
		return ~(u64)(lvt_writable[n] | LVT_STATUS | LVT_REMOTE_IRR) |
		       (n == LVT_TIMER && !has(c, FEAT_TSC_DEADLINE) ? BIT(18) : 0);
	switch (offset) {
	case R_TPR:
	case R_SELF_IPI: return ~0xffull;
	case R_SVR: return ~(u64)(0x3ff | (a->version & VERSION_NO_EOI_BROADCAST ? SVR_NO_EOI_BROADCAST : 0));
	case R_EOI:
	case R_ESR: return ~0ull;
	case R_ICR_LO: return 0xfff32000;
	case R_TIMER_DIV: return ~0xbull;
	default: return ~0xffffffffull;
	}
}

bool apic_msr_write(struct cpu *c, u32 index, u64 value)
{
	struct lapic *a = &c->apic;
	u32 offset = (index - 0x800) << 4;

	if (mode_of(a) != APIC_X2APIC || index < 0x800 || index > 0x8ff || (value & apic_x2_reserved(c, offset)))
		return false;
	cpu_sync_time(c);
	if (offset == R_ID || offset == R_LDR || offset == R_DFR || offset == R_ICR_HI)
		return false;
	if (offset == R_ICR_LO)
		a->icr_hi = (u32)(value >> 32);
	if (offset == R_SELF_IPI) {
		if ((u8)value < 16)
			error(c, ESR_SEND_ILLEGAL);
		else if (a->svr & SVR_ENABLE)
			accept(c, (u8)value, false);
		return true;
	}
	return reg_write(c, offset, (u32)value);
}

/* ---- reset and the base register ---- */

/* "Local APIC State After Power-Up or Reset"; the ID and the pins stay. */
static void reset_registers(struct cpu *c)
{
	struct lapic *a = &c->apic;

	a->ldr = 0;
	a->dfr = 0xffffffff;
	a->svr = 0xff;
	a->tpr = a->esr = a->esr_pending = a->icr_hi = a->icr_lo = 0;
	for (unsigned n = 0; n < LVT_COUNT; n++)
		a->lvt[n] = LVT_MASKED;
	for (unsigned w = 0; w < 8; w++)
		a->irr[w] = a->isr[w] = a->tmr[w] = 0;
	a->timer_init = a->timer_div = 0;
	a->timer_start = a->tsc_deadline = 0;
	a->timer_expired = a->extint_msg = false;
	apic_ext_reset(c);
	timer_disarm(&a->timer);
	update(c);
}

void apic_reset(struct cpu *c, bool init)
{
	struct lapic *a = &c->apic;

	if (!init) {
		a->base = has(c, FEAT_APIC) ? BASE_RESET_ADDR | BASE_EN | (c->index == 0 ? BASE_BSP : 0) : 0;
		a->xapic_id = a->id << 24;
	}
	reset_registers(c);
}

void apic_init(struct cpu *c, u32 id)
{
	c->apic.id = id;
	/* Integrated APIC, six LVT entries (a model with CMCI sets seven), directed EOI. */
	c->apic.version = 0x14 | LVT_ERROR << 16 | VERSION_NO_EOI_BROADCAST;
	timer_init(&c->apic.timer, c->clock, timer_fired, c);
	timer_loosen(&c->apic.timer);
	apic_reset(c, false);
}

/* "x2APIC State Transitions": x2APIC is entered from xAPIC only, and left only by disabling. */
bool apic_base_write(struct cpu *c, u64 value)
{
	struct lapic *a = &c->apic;
	u64 old = a->base;
	u64 legal = mask(c->phys_bits - 1u, 12) | BASE_BSP | BASE_EN | (has(c, FEAT_X2APIC) ? BASE_EXTD : 0);
	bool extd = value & BASE_EXTD, en = value & BASE_EN;

	if ((value & ~legal) || (extd && !en))
		return false;
	if ((extd && !(old & BASE_EN)) || (en && !extd && (old & BASE_EXTD)))
		return false;
	if (value == old)
		return true;
	cpu_sync_time(c);
	a->base = value;
	if (!en || !(old & BASE_EN)) {
		/* "Global Enable/Disable": what was in it is lost, it comes back as after power-up. */
		a->xapic_id = a->id << 24;
		reset_registers(c);
	} else if (extd && !(old & BASE_EXTD)) {
		a->icr_hi = 0;
	}
	update(c);
	return true;
}
