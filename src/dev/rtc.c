/*
 * MC146818 real-time clock and CMOS memory, ports 70h-71h. The time registers are brought up to date when somebody
 * looks; timers are armed only for interrupts that software has enabled. Motorola MC146818A data sheet.
 */
#include "dev/devices.h"

#define SECOND 1000000000ull
#define UIP_NS (244000ull + 1984000ull) /* tBUC + tUC: UIP is high this long before the registers show the new second */

enum {
	SEC, SEC_ALARM, MIN, MIN_ALARM, HOUR, HOUR_ALARM, WDAY, MDAY, MONTH, YEAR, REG_A, REG_B, REG_C, REG_D,
	CENTURY = 0x32,
};
enum { A_UIP = 0x80, B_SET = 0x80, B_DM = 4, B_24H = 2 };
enum { C_UF = 0x10, C_AF = 0x20, C_PF = 0x40, C_IRQF = 0x80, FLAGS = C_UF | C_AF | C_PF }; /* enables in B: same bits */

struct rtc {
	struct device dev;
	u8 cmos[128];
	u8 index;
	bool nmi_masked;   /* port 70h bit 7 */
	u64 second_start;  /* clock time at which the current second began */
	u64 chain_start;   /* clock time at which the divider chain was 0: phase of the periodic interrupt */
	u64 seen;          /* flags are up to date up to here */
	struct irq_line irq;
	struct timer timer; /* cache: the next enabled interrupt */
	struct bus_range range;
};


/* ---- encodings ---- */

static unsigned decode(const struct rtc *r, u8 v)
{
	return r->cmos[REG_B] & B_DM ? v : (v >> 4) * 10u + (v & 15u);
}

static u8 encode(const struct rtc *r, unsigned v)
{
	return (u8)(r->cmos[REG_B] & B_DM ? v : v / 10 << 4 | v % 10);
}

static unsigned decode_hour(const struct rtc *r, u8 v)
{
	if (r->cmos[REG_B] & B_24H)
		return decode(r, v);
	return decode(r, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

static u8 encode_hour(const struct rtc *r, unsigned h)
{
	if (r->cmos[REG_B] & B_24H)
		return encode(r, h);
	return encode(r, h % 12 ? h % 12 : 12) | (h >= 12 ? 0x80 : 0);
}

/* ---- date arithmetic ---- */

static bool leap(unsigned y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static unsigned month_days(unsigned y, unsigned m)
{
	static const u8 days[13] = { 31, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return m == 2 && leap(y) ? 29 : days[m <= 12 ? m : 0];
}

#define DAYS_400_YEARS 146097u

static void next_days(struct rtc *r, u64 days)
{
	unsigned year = decode(r, r->cmos[CENTURY]) * 100 + decode(r, r->cmos[YEAR]);
	unsigned month = decode(r, r->cmos[MONTH]), day = decode(r, r->cmos[MDAY]), wday = decode(r, r->cmos[WDAY]);

	wday = (unsigned)((wday + 6 + days) % 7) + 1; /* 1 is Sunday */
	if (day > month_days(year, month))
		day = month_days(year, month); /* no such day: the next month's first follows it, too */
	year += (unsigned)(days / DAYS_400_YEARS % 25 * 400); /* of years there are 10,000 */
	for (days %= DAYS_400_YEARS; day + days > month_days(year, month); day = 1) {
		days -= month_days(year, month) - day + 1;
		if (++month > 12) {
			month = 1;
			year++;
		}
	}
	day += (unsigned)days;
	r->cmos[CENTURY] = encode(r, year / 100 % 100);
	r->cmos[YEAR] = encode(r, year % 100);
	r->cmos[MONTH] = encode(r, month);
	r->cmos[MDAY] = encode(r, day);
	r->cmos[WDAY] = encode(r, wday);
}

static u64 second_of_day(const struct rtc *r)
{
	return decode_hour(r, r->cmos[HOUR]) * 3600ull + decode(r, r->cmos[MIN]) * 60ull + decode(r, r->cmos[SEC]);
}

static void advance(struct rtc *r, u64 seconds)
{
	u64 t = second_of_day(r) + seconds;

	if (t / 86400)
		next_days(r, t / 86400);
	t %= 86400;
	r->cmos[HOUR] = encode_hour(r, (unsigned)(t / 3600));
	r->cmos[MIN] = encode(r, (unsigned)(t / 60 % 60));
	r->cmos[SEC] = encode(r, (unsigned)(t % 60));
}

/* "Alarm bytes": a value from C0h to FFh matches always. */
static bool alarm_field(u8 alarm, unsigned wanted, unsigned value)
{
	return alarm >= 0xc0 || wanted == value;
}

/* Seconds from now, at least 1, until the alarm matches; 0: it never does. */
static u64 alarm_in(const struct rtc *r)
{
	const u8 *a = r->cmos;
	unsigned h = decode_hour(r, a[HOUR_ALARM]), m = decode(r, a[MIN_ALARM]), s = decode(r, a[SEC_ALARM]);
	u64 t = second_of_day(r) + 1, end = t + 86400;

	while (t < end) {
		if (!alarm_field(a[HOUR_ALARM], h, (unsigned)(t / 3600 % 24)))
			t = (t / 3600 + 1) * 3600;
		else if (!alarm_field(a[MIN_ALARM], m, (unsigned)(t / 60 % 60)))
			t = (t / 60 + 1) * 60;
		else if (!alarm_field(a[SEC_ALARM], s, (unsigned)(t % 60)))
			t++;
		else
			return t - (end - 86400) + 1;
	}
	return 0;
}

/* ---- running ---- */

static bool divider_runs(const struct rtc *r)
{
	return (r->cmos[REG_A] & 0x70) <= 0x20;
}

static bool time_runs(const struct rtc *r)
{
	return divider_runs(r) && !(r->cmos[REG_B] & B_SET);
}

/* "Periodic Interrupt Rate": the period in 32.768 kHz clocks, 0: none. */
static u64 periodic_clocks(const struct rtc *r)
{
	unsigned rs = r->cmos[REG_A] & 15;

	if (!rs || !divider_runs(r))
		return 0;
	return 1ull << (rs < 3 ? rs + 6 : rs - 1);
}

static u64 periodic_index(const struct rtc *r, u64 t)
{
	return (u64)((unsigned __int128)(t - r->chain_start) * 32768 / SECOND) / periodic_clocks(r);
}

static void irq_update(struct rtc *r)
{
	u8 *c = &r->cmos[REG_C];

	*c = (u8)(*c & FLAGS) | (*c & r->cmos[REG_B] & FLAGS ? C_IRQF : 0);
	irq_set(&r->irq, *c & C_IRQF);
}

/* Bring registers and flags up to the clock. */
static void sync_time(struct rtc *r)
{
	u64 now = r->dev.clock->now, seconds, alarm;
	u8 *flags = &r->cmos[REG_C];

	if (periodic_clocks(r) && periodic_index(r, now) != periodic_index(r, r->seen))
		*flags |= C_PF;
	r->seen = now;
	if (time_runs(r) && now >= r->second_start + SECOND) {
		seconds = (now - r->second_start) / SECOND;
		alarm = alarm_in(r);
		*flags |= C_UF;
		if (alarm && alarm <= seconds)
			*flags |= C_AF;
		advance(r, seconds);
		r->second_start += seconds * SECOND;
	}
	irq_update(r);
}

/* Only an interrupt that is enabled and not yet flagged needs to wake anybody. */
static void rearm(struct rtc *r)
{
	u8 want = (u8)(r->cmos[REG_B] & ~r->cmos[REG_C] & FLAGS);
	u64 when = UINT64_MAX, alarm;

	if ((want & C_PF) && periodic_clocks(r)) {
		u64 clocks = (periodic_index(r, r->dev.clock->now) + 1) * periodic_clocks(r);

		when = r->chain_start + (u64)(((unsigned __int128)clocks * SECOND + 32767) / 32768);
	}
	if ((want & C_UF) && time_runs(r))
		when = min_u64(when, r->second_start + SECOND);
	if ((want & C_AF) && time_runs(r)) {
		alarm = alarm_in(r);
		if (alarm)
			when = min_u64(when, r->second_start + alarm * SECOND);
	}
	if (when == UINT64_MAX)
		timer_disarm(&r->timer);
	else
		timer_arm(&r->timer, when);
}

static void timer_fired(void *arg)
{
	struct rtc *r = arg;

	sync_time(r);
	rearm(r);
}

/* ---- registers ---- */

static void write_a(struct rtc *r, u8 v)
{
	bool ran = divider_runs(r);

	r->cmos[REG_A] = v & 0x7f;
	if (!ran && divider_runs(r)) {
		/* "Divider Control": the first update cycle begins half a second after the reset is removed. */
		r->chain_start = r->seen = r->dev.clock->now;
		r->second_start = r->chain_start - SECOND / 2;
	}
}

static void write_b(struct rtc *r, u8 v)
{
	bool was_set = r->cmos[REG_B] & B_SET;
	u64 now = r->dev.clock->now;

	if (v & B_SET)
		v &= (u8)~C_UF; /* "SET": clears UIE */
	r->cmos[REG_B] = v;
	if (was_set && !(v & B_SET) && divider_runs(r)) /* the chain kept running while updates were off */
		r->second_start += (now - r->second_start) / SECOND * SECOND;
}

static u8 read_reg(struct rtc *r, u8 index)
{
	u64 now = r->dev.clock->now;
	u8 v;

	sync_time(r);
	v = r->cmos[index];
	if (index == REG_A && time_runs(r) && r->second_start + SECOND - now <= UIP_NS)
		v |= A_UIP;
	if (index == REG_C) {
		r->cmos[REG_C] = 0;
		irq_update(r);
		rearm(r);
	}
	return v;
}

static void write_reg(struct rtc *r, u8 index, u8 v)
{
	sync_time(r);
	switch (index) {
	case REG_A: write_a(r, v); break;
	case REG_B: write_b(r, v); break;
	case REG_C:
	case REG_D: break; /* read-only */
	default: r->cmos[index] = v; break;
	}
	irq_update(r);
	rearm(r);
}

static u64 rtc_read(void *dev, u64 offset, unsigned size)
{
	struct rtc *r = dev;

	(void)size;
	return offset ? read_reg(r, r->index) : 0xff; /* the index register is write-only */
}

static void rtc_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct rtc *r = dev;

	(void)size;
	if (offset) {
		write_reg(r, r->index, (u8)v);
		return;
	}
	r->index = v & 0x7f;
	r->nmi_masked = (v & 0x80) != 0;
}

void rtc_set_cmos(struct device *d, u8 index, u8 value)
{
	struct rtc *r = (struct rtc *)d;

	r->cmos[index & 0x7f] = value;
}

u8 rtc_cmos(const struct device *d, u8 index)
{
	return ((const struct rtc *)d)->cmos[index & 0x7f];
}

static const struct bus_ops rtc_ops = { .read = rtc_read, .write = rtc_write, .max_size = 1 };

/* RESET: interrupts off and flags clear; time and memory have a battery. */
static void rtc_reset(struct device *d)
{
	struct rtc *r = (struct rtc *)d;

	sync_time(r);
	r->cmos[REG_B] &= (u8)~(FLAGS | 8);
	r->cmos[REG_C] = 0;
	r->index = 0;
	r->nmi_masked = false;
	timer_disarm(&r->timer);
	irq_update(r);
}

static void rtc_loaded(struct device *d)
{
	rearm((struct rtc *)d);
}

/* It has a battery, and wakes the others. */
static void rtc_sleep(struct device *d)
{
	(void)d;
}

static void rtc_destroy(struct device *d)
{
	struct rtc *r = (struct rtc *)d;

	timer_disarm(&r->timer);
	bus_unmap(d->bus, &r->range);
	base_free(r);
}

/* clang-format off */
static const struct state_row rows[] = {
	STATE_ARRAY(1, struct rtc, cmos), STATE(2, struct rtc, index), STATE(3, struct rtc, nmi_masked),
	STATE(4, struct rtc, second_start), STATE(5, struct rtc, chain_start), STATE(6, struct rtc, seen),
	STATE(7, struct rtc, irq.level),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "mc146818", .reset = rtc_reset, .loaded = rtc_loaded, .sleep = rtc_sleep, .destroy = rtc_destroy, .rows = rows,
	.row_count = ARRAY_LEN(rows),
};

static void set_epoch(struct rtc *r, u64 epoch)
{
	r->cmos[REG_A] = 0x26;
	r->cmos[REG_B] = B_24H;
	r->cmos[REG_D] = 0x80; /* VRT: the battery is good */
	r->cmos[CENTURY] = 0x19;
	r->cmos[YEAR] = 0x70;
	r->cmos[MONTH] = r->cmos[MDAY] = 1;
	r->cmos[WDAY] = 5; /* 1970 began on a Thursday */
	advance(r, epoch);
}

enum status rtc_create(struct device **out, const struct dev_env *e, struct irq_line irq8, u64 epoch)
{
	struct rtc *r = base_alloc(sizeof(*r));

	if (!r)
		return ST_NOMEM;
	r->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	r->irq = irq8;
	r->second_start = r->chain_start = r->seen = e->clock->now;
	set_epoch(r, epoch);
	timer_init(&r->timer, e->clock, timer_fired, r);
	dev_map(&r->dev, &r->range, &rtc_ops, true, 0x70, 2);
	*out = &r->dev;
	return ST_OK;
}
