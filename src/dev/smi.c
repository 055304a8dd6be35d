/*
 * The ICH9's SMI# logic: SMI_EN and SMI_STS beside the ACPI block, and the APM ports B2h and B3h.
 * Intel ICH9 data sheet, "Power Management I/O Registers", "APM I/O Decode".
 */
#include "dev/devices.h"

enum { SMI_EN = 0x30, SMI_STS = 0x34, SMI_END = 0x40 }; /* from PMBASE */
enum { GBL_SMI_EN = 1 << 0, EOS = 1 << 1, APMC = 1 << 5, EN_BITS = GBL_SMI_EN | APMC };
enum { APM_CNT = 0xb2 };

struct smi {
	struct device dev;
	u32 en, sts;
	u8 apm_cnt, apm_sts;
	bool sent; /* an SMI# since reset: from then on EOS decides */
	const struct platform *platform;
	struct bus_range pm, apm;
};

/* "SMI_EN", EOS: the first SMI# behind a reset goes out without it; each one clears it, and the next one waits for it. */
static void update(struct smi *s)
{
	if (!(s->en & GBL_SMI_EN) || !(s->sts & s->en) || (s->sent && !(s->en & EOS)))
		return;
	s->sent = true;
	s->en &= ~(u32)EOS;
	if (s->platform && s->platform->smi)
		s->platform->smi(s->platform->arg);
}

static u32 dword_read(const struct smi *s, u64 at)
{
	switch (at) {
	case SMI_EN: return s->en;
	case SMI_STS: return s->sts;
	default: return 0;
	}
}

/* v: the new value, with 0 where status bits were not written. */
static void dword_write(struct smi *s, u64 at, u32 v)
{
	switch (at) {
	case SMI_EN: s->en = (v & EN_BITS) | ((v | s->en) & EOS); break;
	case SMI_STS: s->sts &= ~v; break;
	default: break;
	}
	update(s);
}

static u64 pm_read(void *dev, u64 offset, unsigned size)
{
	u64 at = offset + SMI_EN;

	return low_bytes(dword_read(dev, at & ~3ull) >> (at & 3) * 8, size);
}

static void pm_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct smi *s = dev;
	u64 at = offset + SMI_EN;
	unsigned shift = (unsigned)(at & 3) * 8;
	u32 written = (u32)(low_bytes(~0ull, size) << shift);
	u32 old = (at & ~3ull) == SMI_STS ? 0 : dword_read(s, at & ~3ull);

	dword_write(s, at & ~3ull, (old & ~written) | ((u32)(v << shift) & written));
}

static u64 apm_read(void *dev, u64 offset, unsigned size)
{
	const struct smi *s = dev;

	(void)size;
	return offset ? s->apm_sts : s->apm_cnt;
}

/* "APM_CNT": a write sets APM_STS in SMI_STS; "APM_STS": a scratch pad for who asks and who answers. */
static void apm_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct smi *s = dev;

	(void)size;
	if (offset) {
		s->apm_sts = (u8)v;
		return;
	}
	s->apm_cnt = (u8)v;
	s->sts |= APMC;
	update(s);
}

static const struct bus_ops pm_ops = { .read = pm_read, .write = pm_write, .max_size = 4 };
static const struct bus_ops apm_ops = { .read = apm_read, .write = apm_write, .max_size = 1 };

void smi_move(struct device *d, u16 pmbase, bool enabled)
{
	struct smi *s = (struct smi *)d;

	bus_unmap(d->bus, &s->pm);
	s->pm.base = pmbase + (u64)SMI_EN;
	if (enabled)
		bus_map(d->bus, &s->pm);
}

static void smi_reset(struct device *d)
{
	struct smi *s = (struct smi *)d;

	s->en = s->sts = 0;
	s->apm_cnt = s->apm_sts = 0;
	s->sent = false;
}

static void smi_loaded(struct device *d)
{
	struct smi *s = (struct smi *)d;

	bus_relink(d->bus, &s->pm);
}

static void smi_destroy(struct device *d)
{
	struct smi *s = (struct smi *)d;

	bus_unmap(d->bus, &s->pm);
	bus_unmap(d->bus, &s->apm);
	base_free(s);
}

/* clang-format off */
static const struct state_row rows[] = {
	STATE(1, struct smi, en), STATE(2, struct smi, sts), STATE(3, struct smi, apm_cnt), STATE(4, struct smi, apm_sts),
	STATE(5, struct smi, sent), STATE(6, struct smi, pm.base), STATE(7, struct smi, pm.mapped),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "smi", .reset = smi_reset, .loaded = smi_loaded, .destroy = smi_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

enum status smi_create(struct device **out, const struct dev_env *e, u16 pmbase)
{
	struct smi *s = base_alloc(sizeof(*s));

	if (!s)
		return ST_NOMEM;
	s->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	s->platform = e->platform;
	dev_map(&s->dev, &s->pm, &pm_ops, true, pmbase + (u64)SMI_EN, SMI_END - SMI_EN);
	dev_map(&s->dev, &s->apm, &apm_ops, true, APM_CNT, 2);
	*out = &s->dev;
	return ST_OK;
}
