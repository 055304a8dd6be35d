/*
 * The ICH9's TCO block at PMBASE + 60h: the watchdog, software's SMIs, and who tried to write the BIOS.
 * Intel ICH9 data sheet, "System Management TCO Registers (D31:F0)".
 *
 * Not here: what other parts would have to bring about (DMI, SMLink, intruder, the century), NMI_NOW and NMI2SMI_EN, which
 * stay 0, and the interrupt of TCO_DAT_OUT, which is enabled behind RCBA. NO_REBOOT, behind it, too, is at its reset value:
 * the second timeout resets.
 * DEVIATION: behind a reset the timer stands until TCO_RLD or TCO1_CNT is written. The ICH9's counts, and firmware has to
 * halt it; that for virtual machines does not.
 */
#include "dev/devices.h"

enum {
	TCO_BASE = 0x60, TCO_SIZE = 0x20, /* from PMBASE */
	RLD = 0x00, DAT_IN = 0x02, DAT_OUT = 0x03, STS1 = 0x04, STS2 = 0x06, CNT1 = 0x08, CNT2 = 0x0a, MESSAGE1 = 0x0c,
	MESSAGE2 = 0x0d, WDCNT = 0x0e, SW_IRQ_GEN = 0x10, TMR = 0x12,
};
enum {
	SW_TCO_SMI = 1 << 1, TCO_INT = 1 << 2, TIMEOUT = 1 << 3, BIOSWR = 1 << 8, /* TCO1_STS */
	SMI_CAUSES = SW_TCO_SMI | TIMEOUT | BIOSWR,
	SECOND_TO = 1 << 1, BOOT = 1 << 2, /* TCO2_STS */
	TMR_HLT = 1 << 11, LOCK = 1 << 12, /* TCO1_CNT */
	RESET_CNT2 = 0x08, CNT2_BITS = 0x3e, RESET_IRQ_GEN = 0x03, RESET_TMR = 4, COUNT = 0x3ff,
};
#define TICK 600000000ull /* "clocked at approximately 0.6 seconds" */

struct tco {
	struct device dev;
	u16 sts1, sts2, cnt1, cnt2, initial;
	u8 reg[TCO_SIZE]; /* of it: data, messages, watchdog control, software's interrupts */
	bool counting; /* since reset somebody has asked for it */
	u64 start;     /* when it was loaded with `count` */
	u16 count;
	struct device *smi;
	const struct platform *platform;
	struct timer timer; /* cache: armed from the fields above */
	struct bus_range range;
};

static bool runs(const struct tco *t)
{
	return t->counting && !(t->cnt1 & TMR_HLT) && t->count;
}

static u16 count_now(const struct tco *t)
{
	u64 ticks = (t->dev.clock->now - t->start) / TICK;

	return !runs(t) ? t->count : ticks < t->count ? (u16)(t->count - ticks) : 0;
}

static void update(struct tco *t)
{
	if (t->smi)
		smi_tco(t->smi, t->sts1 & SMI_CAUSES);
	if (runs(t))
		timer_arm(&t->timer, t->start + t->count * TICK);
	else
		timer_disarm(&t->timer);
}

/* "TCO_TMR": values of 0 and 1 are ignored. */
static void load(struct tco *t)
{
	if (t->initial > 1)
		t->count = t->initial;
	t->start = t->dev.clock->now;
}

/* "TIMEOUT", "SECOND_TO_STS": the second one before a reload resets the machine. */
static void fired(void *arg)
{
	struct tco *t = arg;
	bool second = t->sts1 & TIMEOUT;

	t->sts1 |= TIMEOUT;
	load(t);
	if (second) {
		t->sts2 |= SECOND_TO | BOOT;
		if (t->platform && t->platform->reset)
			t->platform->reset(t->platform->arg);
	}
	update(t);
}

/* A halt keeps the count, and counting goes on from there. */
static void write_control(struct tco *t, u16 v)
{
	u16 keep = t->cnt1 & LOCK, now = count_now(t);

	t->count = now;
	t->start = t->dev.clock->now;
	t->cnt1 = (u16)((v & (LOCK | TMR_HLT)) | keep);
	t->counting = true;
	if (t->smi)
		smi_lock_tco(t->smi, t->cnt1 & LOCK);
}

static u16 word_read(const struct tco *t, u64 at)
{
	switch (at) {
	case RLD: return count_now(t);
	case STS1: return t->sts1;
	case STS2: return t->sts2;
	case CNT1: return t->cnt1;
	case CNT2: return t->cnt2;
	case TMR: return t->initial;
	default: return (u16)(t->reg[at] | t->reg[at + 1] << 8);
	}
}

/* written: which bytes; v has what was there in the others, and 0 there where ones clear. */
static void word_write(struct tco *t, u64 at, u16 v, u16 written)
{
	switch (at) {
	case RLD:
		t->counting = true;
		load(t);
		break;
	case DAT_IN:
		t->reg[DAT_IN] = (u8)v;
		t->reg[DAT_OUT] = (u8)(v >> 8);
		t->sts1 |= (u16)((written & 0xff ? SW_TCO_SMI : 0) | (written >> 8 ? TCO_INT : 0));
		break;
	case STS1: t->sts1 &= (u16)~v; break;
	case STS2: t->sts2 &= (u16)~v; break;
	case CNT1: write_control(t, v); break;
	case CNT2: t->cnt2 = v & CNT2_BITS; break;
	case TMR: t->initial = v & COUNT; break;
	case MESSAGE1:
		t->reg[MESSAGE1] = (u8)v;
		t->reg[MESSAGE2] = (u8)(v >> 8);
		break;
	case WDCNT: t->reg[WDCNT] = (u8)v; break;
	case SW_IRQ_GEN: t->reg[SW_IRQ_GEN] = v & 3; break;
	default: break;
	}
}

static u64 tco_read(void *dev, u64 offset, unsigned size)
{
	return low_bytes((u64)word_read(dev, offset & ~1ull) >> (offset & 1) * 8, size);
}

static void tco_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct tco *t = dev;
	u64 at = offset & ~1ull;
	unsigned shift = (unsigned)(offset & 1) * 8;
	u16 written = (u16)(low_bytes(~0ull, size) << shift);
	u16 old = at == STS1 || at == STS2 ? 0 : word_read(t, at);

	word_write(t, at, (u16)((old & ~written) | ((u16)(v << shift) & written)), written);
	update(t);
}

static const struct bus_ops tco_ops = { .read = tco_read, .write = tco_write, .max_size = 2 };

void tco_bios_write(struct device *d)
{
	struct tco *t = (struct tco *)d;

	t->sts1 |= BIOSWR;
	update(t);
}

bool tco_runs(const struct device *d)
{
	return runs((const struct tco *)d);
}

void tco_move(struct device *d, u16 pmbase, bool enabled)
{
	struct tco *t = (struct tco *)d;

	bus_unmap(d->bus, &t->range);
	t->range.base = pmbase + (u64)TCO_BASE;
	if (enabled)
		bus_map(d->bus, &t->range);
}

/* TCO2_STS is the resume well's, and tells who comes up why. */
static void tco_reset(struct device *d)
{
	struct tco *t = (struct tco *)d;

	t->sts1 = t->cnt1 = 0;
	t->cnt2 = RESET_CNT2;
	t->initial = t->count = RESET_TMR;
	memset(t->reg, 0, sizeof(t->reg));
	t->reg[SW_IRQ_GEN] = RESET_IRQ_GEN;
	t->counting = false;
	t->start = d->clock->now;
	if (t->smi)
		smi_lock_tco(t->smi, false);
	update(t);
}

static void tco_loaded(struct device *d)
{
	struct tco *t = (struct tco *)d;

	bus_relink(d->bus, &t->range);
	update(t);
}

static void tco_destroy(struct device *d)
{
	struct tco *t = (struct tco *)d;

	timer_disarm(&t->timer);
	bus_unmap(d->bus, &t->range);
	base_free(t);
}

/* clang-format off */
static const struct state_row rows[] = {
	STATE(1, struct tco, sts1), STATE(2, struct tco, sts2), STATE(3, struct tco, cnt1), STATE(4, struct tco, cnt2),
	STATE(5, struct tco, initial), STATE_ARRAY(6, struct tco, reg), STATE(7, struct tco, counting), STATE(8, struct tco, start),
	STATE(9, struct tco, count), STATE(10, struct tco, range.base), STATE(11, struct tco, range.mapped),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "tco", .reset = tco_reset, .loaded = tco_loaded, .destroy = tco_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

enum status tco_create(struct device **out, const struct dev_env *e, u16 pmbase, struct device *smi)
{
	struct tco *t = base_alloc(sizeof(*t));

	if (!t)
		return ST_NOMEM;
	t->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	t->platform = e->platform;
	t->smi = smi;
	timer_init(&t->timer, e->clock, fired, t);
	dev_map(&t->dev, &t->range, &tco_ops, true, pmbase + (u64)TCO_BASE, TCO_SIZE);
	tco_reset(&t->dev);
	*out = &t->dev;
	return ST_OK;
}
