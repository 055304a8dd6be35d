/*
 * The ICH9's ACPI fixed hardware at PMBASE (PM1 event and control, PM timer, GPE0) and the reset control register CF9h.
 * ACPI Specification, "ACPI Fixed Hardware"; Intel ICH9 data sheet, "Power Management I/O Registers", "RST_CNT",
 * "SMI#/SCI Generation". With SCI_EN clear events are SMIs: dev/smi.c.
 */
#include "dev/devices.h"

#define PM_HZ 3579545ull
#define TMR_MASK 0xffffffu /* 24 bits: TMR_VAL_EXT is clear in the FADT */

enum { PM1 = 0x00, PM1_CNT = 0x04, PM_TMR = 0x08, GPE0_STS = 0x20, GPE0_EN = 0x28, PM_END = 0x30 };
enum {
	TMR = 1 << 0, BM = 1 << 4, GBL = 1 << 5, PWRBTN = 1 << 8, SLPBTN = 1 << 9, RTC = 1 << 10, WAK = 1 << 15,
	STS_BITS = TMR | BM | GBL | PWRBTN | SLPBTN | RTC | WAK,
	EN_BITS = TMR | GBL | PWRBTN | SLPBTN | RTC,
	EITHER_BITS = EN_BITS & ~GBL, /* an SCI or an SMI: SCI_EN says which */
};
enum { CNT_SCI_EN = 1, CNT_BM_RLD = 2, CNT_GBL_RLS = 4, CNT_SLP_TYP = 7 << 10, CNT_SLP_EN = 1 << 13 };
enum { RST_SYS = 2, RST_CPU = 4, RST_FULL = 8 };

struct acpipm {
	struct device dev;
	u16 sts, en;
	u32 cnt;
	u64 gpe_sts, gpe_en;
	u8 rst_cnt;
	u64 half_seen;     /* half periods of the timer's top bit whose status is already in sts */
	bool asleep;       /* in S3: what may wake the machine does */
	struct irq_line sci;
	struct device *smi;
	const struct platform *platform;
	struct timer timer; /* cache: the next toggle of the top bit, while its interrupt is enabled */
	struct bus_range pm, rst;
};

static u64 pm_ticks(const struct acpipm *a)
{
	return (u64)((unsigned __int128)a->dev.clock->now * PM_HZ / 1000000000u);
}

/* "PM1 Status Registers": TMR_STS is set whenever the top bit of the timer changes. */
static void sync_timer(struct acpipm *a)
{
	u64 half = pm_ticks(a) / ((TMR_MASK + 1) / 2);

	if (half != a->half_seen)
		a->sts |= TMR;
	a->half_seen = half;
}

static void wake(struct acpipm *a);

static void rearm(struct acpipm *a)
{
	if ((a->en & TMR) && !(a->sts & TMR)) {
		u64 ticks = (a->half_seen + 1) * ((TMR_MASK + 1) / 2);

		timer_arm(&a->timer, (u64)(((unsigned __int128)ticks * 1000000000u + PM_HZ - 1) / PM_HZ));
	} else {
		timer_disarm(&a->timer);
	}
}

/* "Causes of SMI# and SCI": SCI_EN must be 1 for an SCI, but for that of BIOS_RLS, and 0 for an SMI#. */
static void update(struct acpipm *a)
{
	bool acpi = a->cnt & CNT_SCI_EN, pm1 = a->sts & a->en & EITHER_BITS, gpe0 = a->gpe_sts & a->gpe_en;

	wake(a);
	irq_set(&a->sci, (a->sts & a->en & GBL) || (acpi && (pm1 || gpe0)));
	if (a->smi)
		smi_power_events(a->smi, !acpi && pm1, !acpi && gpe0);
	rearm(a);
}

static void timer_fired(void *arg)
{
	struct acpipm *a = arg;

	sync_timer(a);
	update(a);
}

/* What the resume well has power for: the power button, and, enabled, the sleep button, the RTC and events. */
static void wake(struct acpipm *a)
{
	if (!a->asleep || !((a->sts & PWRBTN) || (a->sts & a->en & (SLPBTN | RTC)) || (a->gpe_sts & a->gpe_en)))
		return;
	a->asleep = false;
	a->sts |= WAK;
	if (a->platform && a->platform->wake)
		a->platform->wake(a->platform->arg);
}

/* SLP_TYP: 1 is what our \_S3 says and 5 our \_S5; 7 is the ICH9's own soft-off, and 0 what software written for
 * virtual Q35s sends. */
static void sleep_command(struct acpipm *a)
{
	unsigned type = (unsigned)bits(a->cnt, 12, 10);

	if (a->smi && smi_traps_sleep(a->smi)) /* "SLP_SMI_EN": the system does not go to sleep by that write */
		return;
	if (type == 1 && a->platform && a->platform->sleep) {
		a->asleep = true;
		a->platform->sleep(a->platform->arg);
	}
	if ((type == 5 || type == 7 || type == 0) && a->platform && a->platform->power_off)
		a->platform->power_off(a->platform->arg);
}

static u32 dword_read(struct acpipm *a, u64 offset)
{
	switch (offset) {
	case PM1: return (u32)(a->en << 16 | a->sts);
	case PM1_CNT: return a->cnt;
	case PM_TMR: return pm_ticks(a) & TMR_MASK;
	case GPE0_STS: return (u32)a->gpe_sts;
	case GPE0_STS + 4: return (u32)(a->gpe_sts >> 32);
	case GPE0_EN: return (u32)a->gpe_en;
	case GPE0_EN + 4: return (u32)(a->gpe_en >> 32);
	default: return 0;
	}
}

/* v: the new value, with 0 where status bits were not written. */
static void dword_write(struct acpipm *a, u64 offset, u32 v)
{
	switch (offset) {
	case PM1:
		a->sts &= (u16)~(v & STS_BITS);
		a->en = (v >> 16) & EN_BITS;
		break;
	case PM1_CNT:
		a->cnt = v & (CNT_SCI_EN | CNT_BM_RLD | CNT_SLP_TYP);
		if ((v & CNT_GBL_RLS) && a->smi)
			smi_global_release(a->smi);
		if (v & CNT_SLP_EN)
			sleep_command(a);
		break;
	case GPE0_STS: a->gpe_sts &= ~(u64)v; break;
	case GPE0_STS + 4: a->gpe_sts &= ~((u64)v << 32); break;
	case GPE0_EN: a->gpe_en = (a->gpe_en & ~0xffffffffull) | v; break;
	case GPE0_EN + 4: a->gpe_en = (a->gpe_en & 0xffffffff) | (u64)v << 32; break;
	default: break;
	}
}

static u64 pm_read(void *dev, u64 offset, unsigned size)
{
	struct acpipm *a = dev;

	sync_timer(a);
	update(a);
	return low_bytes(dword_read(a, offset & ~3ull) >> (offset & 3) * 8, size);
}

static void pm_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct acpipm *a = dev;
	u64 at = offset & ~3ull;
	unsigned shift = (unsigned)(offset & 3) * 8;
	u32 written = (u32)(low_bytes(~0ull, size) << shift), old;

	sync_timer(a);
	old = dword_read(a, at);
	if (at == PM1)
		old &= 0xffff0000; /* write one to clear: bytes not written carry zeros */
	else if (at == GPE0_STS || at == GPE0_STS + 4)
		old = 0;
	dword_write(a, at, (old & ~written) | ((u32)(v << shift) & written));
	update(a);
}

/* "Reset Control Register": it happens as RST_CPU goes from 0 to 1; with SYS_RST clear it is the processors' INIT#, with
 * FULL_RST as well the power goes for a while. */
static u64 rst_read(void *dev, u64 offset, unsigned size)
{
	struct acpipm *a = dev;

	(void)offset;
	(void)size;
	return a->rst_cnt;
}

static void rst_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct acpipm *a = dev;
	bool go = (v & RST_CPU) && !(a->rst_cnt & RST_CPU);

	(void)offset;
	(void)size;
	a->rst_cnt = v & (RST_SYS | RST_CPU | RST_FULL);
	if (!go || !a->platform)
		return;
	void (*whole)(void *) = v & RST_FULL ? a->platform->power_cycle : a->platform->reset;
	void (*act)(void *) = v & RST_SYS ? whole : a->platform->init;
	if (act)
		act(a->platform->arg);
}

static const struct bus_ops pm_ops = { .read = pm_read, .write = pm_write, .max_size = 4 };
static const struct bus_ops rst_ops = { .read = rst_read, .write = rst_write, .max_size = 1 };

void acpipm_move(struct device *d, u16 pmbase, bool enabled)
{
	struct acpipm *a = (struct acpipm *)d;

	if (a->pm.mapped)
		bus_unmap(d->bus, &a->pm);
	a->pm.base = pmbase;
	if (enabled)
		bus_map(d->bus, &a->pm);
}

void acpipm_power_button(struct device *d)
{
	struct acpipm *a = (struct acpipm *)d;

	a->sts |= PWRBTN;
	update(a);
}

/* "RTC_STS": the RTC asserted its interrupt, whoever takes it. */
void acpipm_rtc(struct device *d)
{
	struct acpipm *a = (struct acpipm *)d;

	a->sts |= RTC;
	update(a);
}

void acpipm_bios_release(struct device *d)
{
	struct acpipm *a = (struct acpipm *)d;

	a->sts |= GBL;
	update(a);
}

void acpipm_gpe(struct device *d, unsigned n)
{
	struct acpipm *a = (struct acpipm *)d;

	a->gpe_sts |= BIT(n & 63);
	update(a);
}

static void acpipm_reset(struct device *d)
{
	struct acpipm *a = (struct acpipm *)d;

	sync_timer(a);
	a->sts = a->en = 0;
	a->cnt = 0;
	a->gpe_sts = a->gpe_en = 0;
	a->rst_cnt = 0;
	a->asleep = false;
	update(a);
}

static void acpipm_loaded(struct device *d)
{
	struct acpipm *a = (struct acpipm *)d;

	bus_relink(d->bus, &a->pm);
	rearm(a);
}

/* The core well loses its bits: "Power Well" of each register. */
static void acpipm_sleep(struct device *d)
{
	enum { CORE = 0xff };
	struct acpipm *a = (struct acpipm *)d;

	a->sts &= (u16)~CORE;
	a->en &= (u16)~CORE;
	a->cnt &= CNT_SLP_TYP;
	a->rst_cnt = 0;
	update(a);
}

static void acpipm_destroy(struct device *d)
{
	struct acpipm *a = (struct acpipm *)d;

	timer_disarm(&a->timer);
	if (a->pm.mapped)
		bus_unmap(d->bus, &a->pm);
	bus_unmap(d->bus, &a->rst);
	base_free(a);
}

/* clang-format off */
static const struct state_row rows[] = {
	STATE(1, struct acpipm, sts), STATE(2, struct acpipm, en), STATE(3, struct acpipm, cnt),
	STATE(4, struct acpipm, gpe_sts), STATE(5, struct acpipm, gpe_en),
	STATE(7, struct acpipm, rst_cnt), STATE(8, struct acpipm, half_seen), STATE(9, struct acpipm, sci.level),
	STATE(10, struct acpipm, pm.base), STATE(11, struct acpipm, pm.mapped), STATE(12, struct acpipm, asleep),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "acpipm", .reset = acpipm_reset, .loaded = acpipm_loaded, .sleep = acpipm_sleep, .destroy = acpipm_destroy, .rows = rows,
	.row_count = ARRAY_LEN(rows),
};

enum status acpipm_create(struct device **out, const struct dev_env *e, u16 pmbase, struct irq_line sci,
			  struct device *smi)
{
	struct acpipm *a = base_alloc(sizeof(*a));

	if (!a)
		return ST_NOMEM;
	a->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	a->sci = sci;
	a->smi = smi;
	a->platform = e->platform;
	timer_init(&a->timer, e->clock, timer_fired, a);
	a->half_seen = pm_ticks(a) / ((TMR_MASK + 1) / 2);
	dev_map(&a->dev, &a->pm, &pm_ops, true, pmbase, PM_END);
	dev_map(&a->dev, &a->rst, &rst_ops, true, 0xcf9, 1);
	*out = &a->dev;
	return ST_OK;
}
