/*
 * The ICH9's SMI# logic: SMI_EN and SMI_STS beside the ACPI block, the timers and traps that are causes by themselves, and
 * the APM ports. Intel ICH9 data sheet, "Power Management I/O Registers", "APM I/O Decode", "SMI#/SCI Generation".
 *
 * Causes that nothing in this machine can bring about have enable bits that keep what is written, and status bits that stay
 * 0: USB (no host controller), SMBus, SERIRQ, SPI, PCI Express, and general-purpose inputs (no GPIO block, so ALT_GP_SMI_EN
 * and _STS read 0). The I/O traps of "Chipset Configuration Registers" (MONITOR_STS, DEVMON_STS) are programmed behind
 * RCBA, which is not there either.
 */
#include "dev/devices.h"

enum { SMI_EN = 0x30, SMI_STS = 0x34, SMI_END = 0x40 }; /* from PMBASE */
enum {
	GBL_SMI_EN = 1 << 0, EOS = 1 << 1, BIOS = 1 << 2, LEGACY_USB = 1 << 3, SLP_SMI = 1 << 4, APMC = 1 << 5,
	SWSMI_TMR = 1 << 6, BIOS_RLS = 1 << 7, PM1_STS_REG = 1 << 8, GPE0 = 1 << 9, MCSMI = 1 << 11, TCO = 1 << 13,
	PERIODIC = 1 << 14, LEGACY_USB2 = 1 << 17, INTEL_USB2 = 1 << 18,
	EN_BITS = GBL_SMI_EN | BIOS | LEGACY_USB | SLP_SMI | APMC | SWSMI_TMR | MCSMI | TCO | PERIODIC | LEGACY_USB2 |
		  INTEL_USB2,
	/* "SMI_STS": R/WC; PM1_STS_REG and GPE0_STS are the OR of other registers, and need no enable bit here. */
	STICKY = BIOS | SLP_SMI | APMC | SWSMI_TMR | MCSMI | PERIODIC,
	EVENTS = PM1_STS_REG | GPE0,
};
enum { APM_CNT = 0xb2, EC_DATA = 0x62, EC_COMMAND = 0x66 };

struct smi {
	struct device dev;
	u32 en, sts;
	u32 levels; /* PM1_STS_REG, GPE0, TCO: what other devices tell */
	u8 apm_cnt, apm_sts;
	u32 told;           /* with sink.events: causes that have been an SMI# already */
	bool sent;          /* an SMI# since reset: from then on EOS decides */
	bool tco_lock;      /* TCO_LOCK: TCO_EN stays as it is */
	bool en_lock;       /* cache: SMI_LOCK of GEN_PMCON_1: GBL_SMI_EN does */
	u8 sw_sel;          /* cache: SWSMI_RATE_SEL of GEN_PMCON_3 */
	u8 per_sel;         /* PER_SMI_SEL of GEN_PMCON_1, by which `periods` counts */
	u64 periods;        /* of the periodic timer whose status is already in sts */
	u64 sw_start;       /* when the software timer was started; UINT64_MAX: it has gone off, or stands */
	struct smi_sink sink;
	const struct platform *platform;
	struct timer periodic, software; /* cache: armed from the fields above */
	struct bus_range pm, apm, ec_data, ec_command;
};

static u64 period(const struct smi *s)
{
	return 64000000000ull >> s->per_sel; /* "PER_SMI_SEL": 64, 32, 16, 8 seconds */
}

static u64 software_delay(const struct smi *s)
{
	static const u64 delay[4] = {1500000, 16000000, 32000000, 64000000}; /* "SWSMI_RATE_SEL" */

	return delay[s->sw_sel];
}

static void rearm(struct smi *s)
{
	timer_disarm(&s->periodic);
	timer_disarm(&s->software);
	if ((s->en & PERIODIC) && !(s->sts & PERIODIC))
		timer_arm(&s->periodic, (s->periods + 1) * period(s));
	if (s->sw_start != UINT64_MAX)
		timer_arm(&s->software, s->sw_start + software_delay(s));
}

/* "PERIODIC_STS" is set at the rate of PER_SMI_SEL, whether or not it is enabled. */
static void sync_periodic(struct smi *s)
{
	u64 now = s->dev.clock->now / period(s);

	if (now != s->periods)
		s->sts |= PERIODIC;
	s->periods = now;
}

static u32 status(const struct smi *s)
{
	return s->sts | s->levels;
}

static void send(struct smi *s)
{
	if (s->platform && s->platform->smi)
		s->platform->smi(s->platform->arg);
}

/* "SMI_EN", EOS: the first SMI# behind a reset goes out without it; each one clears it, and the next one waits for it. */
static void update(struct smi *s)
{
	u32 causes = (status(s) & s->en & (STICKY | TCO)) | (s->levels & EVENTS);

	rearm(s);
	if (s->sink.events) {
		bool fresh = causes & ~s->told;
		s->told = causes;
		if (fresh && (s->en & GBL_SMI_EN))
			send(s);
		return;
	}
	if (!(s->en & GBL_SMI_EN) || !causes || (s->sent && !(s->en & EOS)))
		return;
	s->sent = true;
	s->en &= ~(u32)EOS;
	send(s);
}

static void cause(struct smi *s, u32 bit)
{
	s->sts |= bit;
	s->told &= ~bit;
	update(s);
}

static void periodic_fired(void *arg)
{
	struct smi *s = arg;

	sync_periodic(s);
	update(s);
}

/* "SWSMI_TMR_EN": it goes off once; software clears the bit and sets it again to have another one. */
static void software_fired(void *arg)
{
	struct smi *s = arg;

	s->sw_start = UINT64_MAX;
	cause(s, SWSMI_TMR);
}

/* ---- SMI_EN, SMI_STS ---- */

static void write_en(struct smi *s, u32 v)
{
	u32 keep = (s->en_lock ? GBL_SMI_EN : 0u) | (s->tco_lock ? TCO : 0u), old = s->en;

	s->en = (v & EN_BITS & ~keep) | (old & keep) | ((v | old) & EOS);
	if (!(s->en & SWSMI_TMR))
		s->sw_start = UINT64_MAX;
	else if (!(old & SWSMI_TMR))
		s->sw_start = s->dev.clock->now;
	if ((v & BIOS_RLS) && s->sink.bios_release) /* "BIOS_RLS": reads as 0; GBL_STS is the other side's */
		s->sink.bios_release(s->sink.arg);
}

static u32 dword_read(const struct smi *s, u64 at)
{
	switch (at) {
	case SMI_EN: return s->en;
	case SMI_STS: return status(s);
	default: return 0;
	}
}

/* v: the new value, with 0 where status bits were not written. */
static void dword_write(struct smi *s, u64 at, u32 v)
{
	if (at == SMI_EN)
		write_en(s, v);
	else if (at == SMI_STS)
		s->sts &= ~v;
	update(s);
}

static u64 pm_read(void *dev, u64 offset, unsigned size)
{
	u64 at = offset + SMI_EN;

	sync_periodic(dev);
	return low_bytes(dword_read(dev, at & ~3ull) >> (at & 3) * 8, size);
}

static void pm_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct smi *s = dev;
	u64 at = offset + SMI_EN;
	unsigned shift = (unsigned)(at & 3) * 8;
	u32 written = (u32)(low_bytes(~0ull, size) << shift);
	u32 old = (at & ~3ull) == SMI_STS ? 0 : dword_read(s, at & ~3ull);

	sync_periodic(s);
	dword_write(s, at & ~3ull, (old & ~written) | ((u32)(v << shift) & written));
}

static const struct bus_ops pm_ops = { .read = pm_read, .write = pm_write, .max_size = 4 };

/* ---- the APM ports ---- */

static u64 apm_read(void *dev, u64 offset, unsigned size)
{
	const struct smi *s = dev;

	(void)size;
	return offset ? s->apm_sts : s->apm_cnt;
}

/* "APM_CNT": a write with APMC_EN is an SMI#; "APM_STS": a scratch pad for who asks and who answers. */
static void apm_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct smi *s = dev;

	(void)size;
	if (offset) {
		s->apm_sts = (u8)v;
		return;
	}
	s->apm_cnt = (u8)v;
	if (s->en & APMC)
		cause(s, APMC);
}

static const struct bus_ops apm_ops = { .read = apm_read, .write = apm_write, .max_size = 1 };

/* ---- the microcontroller's ports: nobody answers on LPC, but an access is an event ---- */

static u64 ec_read(void *dev, u64 offset, unsigned size)
{
	(void)offset;
	(void)size;
	cause(dev, MCSMI);
	return 0xff;
}

static void ec_write(void *dev, u64 offset, unsigned size, u64 v)
{
	(void)offset;
	(void)size;
	(void)v;
	cause(dev, MCSMI);
}

static const struct bus_ops ec_ops = { .read = ec_read, .write = ec_write, .max_size = 1 };

/* ---- what other devices tell ---- */

static void level(struct smi *s, u32 bits, u32 on)
{
	if ((s->levels & bits) == on)
		return;
	s->levels = (s->levels & ~bits) | on;
	update(s);
}

void smi_power_events(struct device *d, bool pm1, bool gpe0)
{
	level((struct smi *)d, EVENTS, (pm1 ? PM1_STS_REG : 0u) | (gpe0 ? GPE0 : 0u));
}

void smi_tco(struct device *d, bool asserted)
{
	level((struct smi *)d, TCO, asserted ? TCO : 0u);
}

void smi_global_release(struct device *d)
{
	cause((struct smi *)d, BIOS);
}

bool smi_traps_sleep(struct device *d)
{
	struct smi *s = (struct smi *)d;

	if (!(s->en & SLP_SMI))
		return false;
	cause(s, SLP_SMI);
	return true;
}

void smi_lock_tco(struct device *d, bool locked)
{
	((struct smi *)d)->tco_lock = locked;
}

bool smi_awaited(const struct device *d)
{
	const struct smi *s = (const struct smi *)d;

	return (s->en & GBL_SMI_EN) && s->platform && s->platform->smi &&
	       (s->sw_start != UINT64_MAX || ((s->en & PERIODIC) && !(s->sts & PERIODIC)));
}

static void decode(struct bus *b, struct bus_range *r, bool on)
{
	if (on != r->mapped)
		(on ? bus_map : bus_unmap)(b, r);
}

void smi_configure(struct device *d, struct smi_config c)
{
	struct smi *s = (struct smi *)d;

	s->en_lock = c.smi_lock;
	s->sw_sel = c.swsmi_rate_sel & 3;
	if (s->per_sel != (c.per_smi_sel & 3)) {
		sync_periodic(s);
		s->per_sel = c.per_smi_sel & 3;
		s->periods = d->clock->now / period(s); /* another rate is no event */
	}
	decode(d->bus, &s->ec_data, c.microcontroller);
	decode(d->bus, &s->ec_command, c.microcontroller);
	rearm(s);
}

void smi_move(struct device *d, u16 pmbase, bool enabled)
{
	struct smi *s = (struct smi *)d;

	bus_unmap(d->bus, &s->pm);
	s->pm.base = pmbase + (u64)SMI_EN;
	if (enabled)
		bus_map(d->bus, &s->pm);
}

/* ---- the device ---- */

/* The core well's, so that S3 is a reset, too. */
static void smi_reset(struct device *d)
{
	struct smi *s = (struct smi *)d;

	s->en = s->sts = s->levels = 0;
	s->apm_cnt = s->apm_sts = 0;
	s->sent = s->tco_lock = false;
	s->told = 0;
	s->sw_start = UINT64_MAX;
	s->periods = d->clock->now / period(s);
	rearm(s);
}

static void smi_loaded(struct device *d)
{
	struct smi *s = (struct smi *)d;

	bus_relink(d->bus, &s->pm);
	rearm(s);
}

static void smi_destroy(struct device *d)
{
	struct smi *s = (struct smi *)d;

	timer_disarm(&s->periodic);
	timer_disarm(&s->software);
	bus_unmap(d->bus, &s->pm);
	bus_unmap(d->bus, &s->apm);
	bus_unmap(d->bus, &s->ec_data);
	bus_unmap(d->bus, &s->ec_command);
	base_free(s);
}

/* clang-format off */
static const struct state_row rows[] = {
	STATE(1, struct smi, en), STATE(2, struct smi, sts), STATE(3, struct smi, apm_cnt), STATE(4, struct smi, apm_sts),
	STATE(5, struct smi, sent), STATE(6, struct smi, pm.base), STATE(7, struct smi, pm.mapped),
	STATE(8, struct smi, periods), STATE(9, struct smi, sw_start), STATE(10, struct smi, levels), STATE(11, struct smi, tco_lock),
	STATE(12, struct smi, per_sel), STATE(13, struct smi, told),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "smi", .reset = smi_reset, .loaded = smi_loaded, .destroy = smi_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

enum status smi_create(struct device **out, const struct dev_env *e, u16 pmbase, struct smi_sink sink)
{
	struct smi *s = base_alloc(sizeof(*s));

	if (!s)
		return ST_NOMEM;
	s->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	s->platform = e->platform;
	s->sink = sink;
	timer_init(&s->periodic, e->clock, periodic_fired, s);
	timer_init(&s->software, e->clock, software_fired, s);
	dev_map(&s->dev, &s->pm, &pm_ops, true, pmbase + (u64)SMI_EN, SMI_END - SMI_EN);
	dev_map(&s->dev, &s->apm, &apm_ops, true, APM_CNT, 2);
	s->ec_data = (struct bus_range){ .ops = &ec_ops, .dev = s, .name = "smi", .base = EC_DATA, .size = 1, .port = true };
	s->ec_command = s->ec_data;
	s->ec_command.base = EC_COMMAND;
	smi_reset(&s->dev);
	*out = &s->dev;
	return ST_OK;
}
