/*
 * Performance counters that count. Nothing is done per instruction: a counter is its value at the last synchronisation
 * plus what c->insns advanced since, attributed to the privilege level and mode that held meanwhile. A timer stands for
 * the next overflow. SDM 3B "Architectural Performance Monitoring Version 2"; APM 2 "Performance Monitoring Counters".
 *
 * DEVIATION: one unhalted cycle passes per retired instruction; the extra cost of slow instructions is in the TSC only.
 * Cache references and misses and mispredicted branches count nothing because there are neither caches nor predictions.
 * Branches, loads and stores are counted by the careful loop, which a counter of them asks for, as the instruction's form
 * tells: each at most once an instruction.
 * DEVIATION: every other event is accepted and counts nothing. Interrupts and exceptions are not counted as branches.
 */
#include "cpu/apic/apic.h"
#include "cpu/control/msr.h"

#define WIDTH_MASK ((1ull << 48) - 1)

enum { SEL_USR = 1 << 16, SEL_OS = 1 << 17, SEL_INT = 1 << 20, SEL_EN = 1 << 22, SEL_INV = 1 << 23 };
#define SEL_GUEST_ONLY BIT(40)
#define SEL_HOST_ONLY  BIT(41)
#define DEBUGCTL_FREEZE_PMCS BIT(12)
#define STATUS_FIXED   32

/* Architectural monitoring (leaf Ah) has global controls; the other kind has none and six counters at most. */
static const struct cpuid_leaf *architectural(const struct cpu *c)
{
	for (const struct cpuid_leaf *l = c->model->leaves; l->leaf != ~0u; l++)
		if (l->leaf == 0xa)
			return l;
	return NULL;
}

static unsigned counters(const struct cpu *c)
{
	const struct cpuid_leaf *arch = architectural(c);

	return arch ? arch->out[EAX] >> 8 & 0xff : has(c, FEAT_PERFCTR_CORE) ? 6 : 4;
}

static u64 all_general(const struct cpu *c)
{
	return BIT(counters(c)) - 1;
}

static u64 retired(const struct cpu *c)
{
	return max_u64(c->insns + (c->cur ? c->cur->idx : 0), c->perf.ahead);
}

/*
 * The running instruction changes what counts, and is itself counted by what was before: WRMSR that starts a counter is
 * not in it, WRMSR that stops one is; an entry into a guest is the monitor's.
 */
static void retire_running(struct cpu *c)
{
	if (c->cur && !c->frozen)
		c->perf.ahead = c->insns + c->cur->idx + 1;
}

static bool level_counts(const struct cpu *c, bool usr, bool os)
{
	return c->perf.level == 0 ? os : usr;
}

/* "PERF_CTL": neither or both of GuestOnly and HostOnly count everywhere. */
static bool mode_counts(const struct cpu *c, u64 sel)
{
	bool guest_only = sel & SEL_GUEST_ONLY, host_only = sel & SEL_HOST_ONLY;

	if (guest_only == host_only || !(c->efer & EFER_SVME))
		return true;
	return guest_only == (c->perf.guest != 0);
}

/* What one retired instruction adds to a counter: by itself, and by its form. */
struct counted {
	u8 insn, form[PERF_FORMS];
};

/* Cycles (3Ch with unit masks 0 and 1, AMD 76h) and retired instructions (C0h) advance alike. */
static bool counts_insns(unsigned event, unsigned umask)
{
	return event == 0x76 || event == 0xc0 || (event == 0x3c && umask <= 1);
}

struct form_event {
	u16 event;
	u8 umask;
	u8 form[PERF_FORMS];
};
#define FORM_EVENTS 4
/* Retired branches, MEM_INST_RETIRED.ALL_LOADS, ALL_STORES and ANY. */
static const struct form_event architectural_events[FORM_EVENTS] = {
	{0xc4, 0x00, {[FORM_BRANCH] = 1}},
	{0xd0, 0x81, {[FORM_LOAD] = 1, [FORM_UPDATE] = 1, [FORM_LOAD_STORE] = 1}},
	{0xd0, 0x82, {[FORM_STORE] = 1, [FORM_UPDATE] = 1, [FORM_LOAD_STORE] = 1}},
	{0xd0, 0x83, {[FORM_LOAD] = 1, [FORM_STORE] = 1, [FORM_UPDATE] = 1, [FORM_LOAD_STORE] = 1}},
};
/* Retired branches, whatever the unit mask; LS dispatch, whose unit masks add up: loads, stores, loads with a store to the
 * same address. */
static const struct form_event core_events[FORM_EVENTS] = {
	{0xc2, 0, {[FORM_BRANCH] = 1}},
	{0x29, 1, {[FORM_LOAD] = 1, [FORM_LOAD_STORE] = 1}},
	{0x29, 2, {[FORM_STORE] = 1, [FORM_LOAD_STORE] = 1}},
	{0x29, 4, {[FORM_UPDATE] = 1}},
};

static void add_forms(struct counted *what, bool arch, unsigned event, unsigned umask)
{
	for (const struct form_event *e = arch ? architectural_events : core_events, *end = e + FORM_EVENTS; e < end; e++) {
		bool hit = event == e->event && (arch ? umask == e->umask : !e->umask || (umask & e->umask));

		for (unsigned f = 0; hit && f < PERF_FORMS; f++)
			what->form[f] = (u8)(what->form[f] + e->form[f]);
	}
}

/* With a counter mask the event counts cycles in which it happened at least that often, or with INV less often. */
static struct counted counted(const struct cpu *c, u64 sel)
{
	unsigned event = (unsigned)((sel & 0xff) | (sel >> 24 & 0xf00)), umask = sel >> 8 & 0xff, cmask = sel >> 24 & 0xff;
	struct counted what = {.insn = counts_insns(event, umask)};

	if (cmask && (sel & SEL_INV ? cmask <= 1 : cmask > 1))
		return (struct counted){0};
	if (!what.insn)
		add_forms(&what, architectural(c), event, umask);
	return what;
}

static bool by_form(const struct counted *what)
{
	for (unsigned f = 0; f < PERF_FORMS; f++)
		if (what->form[f])
			return true;
	return false;
}

static bool general_counts(const struct cpu *c, unsigned n)
{
	u64 sel = c->perf_sel[n];

	return (sel & SEL_EN) && (c->perf_global_ctrl >> n & 1) && level_counts(c, sel & SEL_USR, sel & SEL_OS) &&
	       mode_counts(c, sel);
}

static bool fixed_counts(const struct cpu *c, unsigned n)
{
	u64 ctl = c->perf_fixed_ctrl >> (4 * n);

	return (c->perf_global_ctrl >> (STATUS_FIXED + n) & 1) && level_counts(c, ctl & 2, ctl & 1);
}

static void overflow(struct cpu *c, unsigned status_bit, bool interrupt)
{
	c->perf_global_status |= BIT(status_bit);
	if (!interrupt)
		return;
	if (architectural(c) && (c->debugctl & DEBUGCTL_FREEZE_PMCS))
		c->perf_global_ctrl = 0;
	apic_post_lvt(c, LVT_PERF);
}

/* true: wrapped. */
static bool advance(u64 *ctr, u64 delta, u64 *left)
{
	u64 v = (*ctr & WIDTH_MASK) + delta;

	*ctr = v & WIDTH_MASK;
	*left = min_u64(*left, WIDTH_MASK + 1 - *ctr);
	return v > WIDTH_MASK;
}

static void fired(void *arg)
{
	struct cpu *c = arg;

	perf_sync(c);
}

static void arm(struct cpu *c, u64 left)
{
	if (!c->perf.timer.fn)
		timer_init(&c->perf.timer, c->clock, fired, c);
	/* A sleeping processor retires nothing: its next level change arms again. The floor keeps the last few
	 * instructions from costing a timer each. */
	if (left == UINT64_MAX || c->activity != ACT_RUN)
		timer_disarm(&c->perf.timer);
	else
		timer_arm(&c->perf.timer, c->clock->now + max_u64(left, 32));
}

static bool any_by_form(const struct cpu *c)
{
	for (unsigned n = 0; n < counters(c); n++) {
		struct counted what = counted(c, c->perf_sel[n]);

		if ((c->perf_sel[n] & SEL_EN) && (c->perf_global_ctrl >> n & 1) && by_form(&what))
			return true;
	}
	return false;
}

static bool any_enabled(const struct cpu *c)
{
	for (unsigned n = 0; n < counters(c); n++)
		if ((c->perf_sel[n] & SEL_EN) && (c->perf_global_ctrl >> n & 1))
			return true;
	return (c->perf_fixed_ctrl & 0x333) && (c->perf_global_ctrl >> STATUS_FIXED);
}

/* What has retired since the last synchronisation, if anybody counts. */
struct progress {
	u64 insns, form[PERF_FORMS];
};

static struct progress advance_base(struct cpu *c)
{
	u64 now = retired(c);
	struct progress p = {.insns = now - c->perf.base};

	c->perf.base = now;
	for (unsigned f = 0; f < PERF_FORMS; f++) {
		p.form[f] = c->perf.form[f] - c->perf.form_base[f];
		c->perf.form_base[f] = c->perf.form[f];
	}
	return c->perf.on ? p : (struct progress){0};
}

static u64 delta_of(const struct counted *what, const struct progress *p)
{
	u64 delta = what->insn * p->insns;

	for (unsigned f = 0; f < PERF_FORMS; f++)
		delta += what->form[f] * p->form[f];
	return delta;
}

/* A counter by form may overflow later than `left` instructions from now, never earlier. */
void perf_sync(struct cpu *c)
{
	struct progress p = advance_base(c);
	unsigned general = counters(c);
	u64 left = UINT64_MAX;

	for (unsigned n = 0; n < general; n++) {
		if (!general_counts(c, n))
			continue;

		struct counted what = counted(c, c->perf_sel[n]);

		if ((what.insn || by_form(&what)) && advance(&c->perf_ctr[n], delta_of(&what, &p), &left))
			overflow(c, n, c->perf_sel[n] & SEL_INT);
	}
	for (unsigned n = 0; n < 3; n++)
		if (fixed_counts(c, n) && advance(&c->perf_fixed[n], p.insns, &left))
			overflow(c, STATUS_FIXED + n, c->perf_fixed_ctrl >> (4 * n) & 8);
	c->perf.level = c->cpl;
	c->perf.guest = c->guest;
	c->perf.on = any_enabled(c);
	arm(c, c->perf.on ? left : UINT64_MAX);
}

/* Only while some counter counts by form. */
void perf_retired(struct cpu *c, const struct insn *i)
{
	bool loads = i->flags & INSN_LOADS, stores = i->flags & INSN_STORES;

	if ((i->row->flags & (ROW_BRANCH | ROW_REPEAT)) == ROW_BRANCH)
		c->perf.form[FORM_BRANCH]++;
	if (i->flags & INSN_UPDATES)
		c->perf.form[FORM_UPDATE]++;
	else if (loads || stores)
		c->perf.form[loads && stores ? FORM_LOAD_STORE : loads ? FORM_LOAD : FORM_STORE]++;
}

void perf_level_changed(struct cpu *c)
{
	if (c->guest && !c->perf.guest)
		retire_running(c);
	if (c->perf.level != c->cpl || c->perf.guest != c->guest || !c->perf.timer.armed)
		perf_sync(c);
}

void perf_reset(struct cpu *c)
{
	if (c->perf.timer.fn)
		timer_disarm(&c->perf.timer);
	memset(c->perf_ctr, 0, sizeof(c->perf_ctr));
	memset(c->perf_sel, 0, sizeof(c->perf_sel));
	memset(c->perf_fixed, 0, sizeof(c->perf_fixed));
	c->perf_fixed_ctrl = c->perf_global_status = 0;
	c->perf_global_ctrl = architectural(c) ? all_general(c) : 0x3f;
	c->perf.base = retired(c);
	c->perf.on = c->perf.by_form = 0;
	memset(c->perf.form, 0, sizeof(c->perf.form));
	memset(c->perf.form_base, 0, sizeof(c->perf.form_base));
}

/* A control or counter is about to change: count up to here under the old rules... */
static void changes(struct cpu *c)
{
	retire_running(c);
	perf_sync(c);
}

/* ...and it has: go on under the new ones. */
static void changed(struct cpu *c)
{
	c->perf.on = any_enabled(c);
	perf_sync(c);
	if (c->perf.by_form != any_by_form(c)) {
		c->perf.by_form = !c->perf.by_form;
		cpu_update_mode(c);
	}
}

/* ---- AMD: four legacy counters, the same as the first four of six extended ones ---- */

static bool sel_write(struct cpu *c, unsigned n, u64 value)
{
	changes(c);
	c->perf_sel[n] = value & 0x30fffffffffull;
	changed(c);
	return true;
}

static bool ctr_write(struct cpu *c, unsigned n, u64 value)
{
	changes(c);
	c->perf_ctr[n] = value & WIDTH_MASK;
	changed(c);
	return true;
}

bool perf_legacy_read(struct cpu *c, u32 index, u64 *value)
{
	unsigned n = index & 3;

	perf_sync(c);
	*value = index & 4 ? c->perf_ctr[n] : c->perf_sel[n];
	return true;
}

bool perf_legacy_write(struct cpu *c, u32 index, u64 value)
{
	return index & 4 ? ctr_write(c, index & 3, value) : sel_write(c, index & 3, value);
}

bool perf_pair_read(struct cpu *c, u32 index, u64 *value)
{
	unsigned n = (index - 0xc0010200) / 2;

	perf_sync(c);
	*value = index & 1 ? c->perf_ctr[n] : c->perf_sel[n];
	return true;
}

bool perf_pair_write(struct cpu *c, u32 index, u64 value)
{
	unsigned n = (index - 0xc0010200) / 2;

	return index & 1 ? ctr_write(c, n, value) : sel_write(c, n, value);
}

/* ---- architectural performance monitoring ---- */

enum { PMC0 = 0xc1, PERFEVTSEL0 = 0x186, FIXED_CTR0 = 0x309, FIXED_CTR_CTRL = 0x38d, GLOBAL_STATUS, GLOBAL_CTRL, GLOBAL_OVF_CTRL };

bool perf_arch_read(struct cpu *c, u32 index, u64 *value)
{
	perf_sync(c);
	switch (index) {
	case FIXED_CTR_CTRL: *value = c->perf_fixed_ctrl; break;
	case GLOBAL_STATUS: *value = c->perf_global_status; break;
	case GLOBAL_CTRL: *value = c->perf_global_ctrl; break;
	case GLOBAL_OVF_CTRL: *value = 0; break;
	default:
		if (index >= FIXED_CTR0)
			*value = c->perf_fixed[index - FIXED_CTR0];
		else if (index >= PERFEVTSEL0)
			*value = c->perf_sel[index - PERFEVTSEL0];
		else
			*value = c->perf_ctr[index - PMC0];
	}
	return true;
}

/* Which bits of a write are reserved. */
static bool arch_write_ok(const struct cpu *c, u32 index, u64 value)
{
	u64 global = all_general(c) | 7ull << STATUS_FIXED;

	switch (index) {
	case FIXED_CTR_CTRL: return !(value & ~0xbbbull);
	case GLOBAL_STATUS: return false;
	case GLOBAL_CTRL: return !(value & ~global);
	case GLOBAL_OVF_CTRL: return !(value & ~(global | BIT(62) | BIT(63)));
	default: return !(index >= PERFEVTSEL0 && index < FIXED_CTR0 && value >> 32);
	}
}

bool perf_arch_write(struct cpu *c, u32 index, u64 value)
{
	if (!arch_write_ok(c, index, value))
		return false;
	changes(c);
	switch (index) {
	case FIXED_CTR_CTRL: c->perf_fixed_ctrl = value; break;
	case GLOBAL_CTRL: c->perf_global_ctrl = value; break;
	case GLOBAL_OVF_CTRL: c->perf_global_status &= ~value; break;
	default:
		if (index >= FIXED_CTR0)
			c->perf_fixed[index - FIXED_CTR0] = value & WIDTH_MASK;
		else if (index >= PERFEVTSEL0)
			c->perf_sel[index - PERFEVTSEL0] = value;
		else /* without full-width writes a counter takes 32 bits, sign-extended */
			c->perf_ctr[index - PMC0] = (u64)sign_extend(value, 32) & WIDTH_MASK;
	}
	changed(c);
	return true;
}

/* ECX: counter number; architectural ones: bit 30 selects the fixed counters. */
bool perf_read(struct cpu *c, u32 rdpmc_index, u64 *value)
{
	bool fixed = architectural(c) && (rdpmc_index & BIT(30));
	u32 n = fixed ? rdpmc_index & ~(u32)BIT(30) : rdpmc_index;

	if (n >= (fixed ? 3 : counters(c)))
		return false;
	perf_sync(c);
	*value = fixed ? c->perf_fixed[n] : c->perf_ctr[n];
	return true;
}
