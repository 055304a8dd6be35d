/*
 * Platform devices, driven through a real bus the way a program drives them; expected values are the data sheets'.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <time.h>

#include "dev/devices.h"

#define MS 1000000ull
#define SECOND 1000000000ull

struct pc {
	struct clock clock;
	struct bus bus;
	struct dev_env env;
	struct platform platform;
	struct irq_line irq[24];
	struct device *dev[4];
	unsigned devs;
	/* what the devices did */
	bool level[24];
	unsigned rises[24];
	u64 rise_at[24];
	unsigned resets, cycles, inits, sleeps, wakes, power_offs, exits;
	u32 exit_value;
	bool a20;
	struct initiator msi_from;
	u64 msi_addr;
	u32 msi_data;
	unsigned msis;
	struct {
		unsigned n;
		u8 vector, delivery, dest;
		bool logical, level;
	} sent;
	u8 out[256];
	size_t out_len;
	struct chan chan;
};

static void line_set(void *arg, unsigned n, bool level)
{
	struct pc *pc = arg;

	if (level && !pc->level[n]) {
		pc->rises[n]++;
		pc->rise_at[n] = pc->clock.now;
	}
	pc->level[n] = level;
}

static void on_reset(void *arg)
{
	((struct pc *)arg)->resets++;
}

static void on_power_cycle(void *arg)
{
	((struct pc *)arg)->cycles++;
}

static void on_init(void *arg)
{
	((struct pc *)arg)->inits++;
}

static void on_sleep(void *arg)
{
	((struct pc *)arg)->sleeps++;
}

static void on_wake(void *arg)
{
	((struct pc *)arg)->wakes++;
}

static void on_power_off(void *arg)
{
	((struct pc *)arg)->power_offs++;
}

static void on_exit_port(void *arg, u32 v)
{
	struct pc *pc = arg;

	pc->exits++;
	pc->exit_value = v;
}

static void on_a20(void *arg, bool on)
{
	((struct pc *)arg)->a20 = on;
}

static void on_msi(void *arg, struct initiator who, u64 addr, u32 data)
{
	struct pc *pc = arg;

	pc->msis++;
	pc->msi_from = who;
	pc->msi_addr = addr;
	pc->msi_data = data;
}

static void on_send(void *arg, u8 vector, u8 delivery, bool logical, bool level, u8 dest)
{
	struct pc *pc = arg;

	pc->sent.n++;
	pc->sent.vector = vector;
	pc->sent.delivery = delivery;
	pc->sent.logical = logical;
	pc->sent.level = level;
	pc->sent.dest = dest;
}

static void chan_out(struct chan *c, const u8 *buf, size_t n)
{
	struct pc *pc = (struct pc *)((char *)c - offsetof(struct pc, chan));

	for (size_t i = 0; i < n && pc->out_len < sizeof(pc->out); i++)
		pc->out[pc->out_len++] = buf[i];
}

static const struct chan_ops chan_ops = { .write = chan_out };

static int setup(void **state)
{
	struct pc *pc = base_alloc(sizeof(*pc));
	struct err err;

	clock_init(&pc->clock);
	if (bus_init(&pc->bus, &pc->clock, NULL, 16 << 20, 1ull << 31, &err))
		return -1;
	pc->platform = (struct platform){ .power_off = on_power_off, .reset = on_reset, .power_cycle = on_power_cycle, .init = on_init, .sleep = on_sleep,
					  .wake = on_wake, .debug_exit = on_exit_port,
					  .a20 = on_a20, .arg = pc };
	pc->bus.msi = on_msi;
	pc->bus.msi_arg = pc;
	pc->env = (struct dev_env){ .bus = &pc->bus, .clock = &pc->clock, .platform = &pc->platform };
	for (unsigned n = 0; n < 24; n++)
		pc->irq[n] = (struct irq_line){ .set = line_set, .arg = pc, .n = n };
	pc->a20 = true;
	pc->chan.ops = &chan_ops;
	*state = pc;
	return 0;
}

static int teardown(void **state)
{
	struct pc *pc = *state;

	for (unsigned i = 0; i < pc->devs; i++)
		pc->dev[i]->ops->destroy(pc->dev[i]);
	assert_null(pc->clock.first); /* no timer outlives its device */
	assert_null(pc->bus.ports);
	bus_fini(&pc->bus);
	base_free(pc);
	return 0;
}

static struct device *keep(struct pc *pc, struct device *d)
{
	pc->dev[pc->devs++] = d;
	return d;
}

static void out8(struct pc *pc, u16 port, u8 v)
{
	bus_port_write(&pc->bus, port, 1, v);
}

static u8 in8(struct pc *pc, u16 port)
{
	return (u8)bus_port_read(&pc->bus, port, 1);
}

static void run_to(struct pc *pc, u64 when)
{
	while (pc->clock.next <= when) {
		pc->clock.now = max_u64(pc->clock.now, pc->clock.next);
		clock_fire(&pc->clock);
	}
	pc->clock.now = when;
}

static void run(struct pc *pc, u64 ns)
{
	run_to(pc, pc->clock.now + ns);
}

/* ---- 8259 ---- */

static struct device *make_pic(struct pc *pc)
{
	struct device *d;

	assert_int_equal(pic_create(&d, &pc->env, pc->irq[0]), ST_OK);
	return keep(pc, d);
}

static void pic_setup(struct pc *pc, u8 master_icw4)
{
	static const u8 icw[2][4] = { { 0x11, 0x20, 0x04, 0 }, { 0x11, 0x28, 0x02, 0x01 } };

	for (u16 chip = 0; chip < 2; chip++) {
		u16 port = chip ? 0xa0 : 0x20;

		out8(pc, port, icw[chip][0]);
		for (unsigned i = 1; i < 4; i++)
			out8(pc, port + 1, i == 3 && !chip ? master_icw4 : icw[chip][i]);
	}
}

static void pic_priorities(void **state)
{
	struct pc *pc = *state;
	struct device *d = make_pic(pc);

	pic_set_irq(d, 3, true);
	assert_false(pc->level[0]); /* not initialised */
	pic_setup(pc, 1);
	assert_int_equal(in8(pc, 0x21), 0); /* ICW1 cleared the mask */
	pic_set_irq(d, 3, false);
	pic_set_irq(d, 3, true);
	assert_true(pc->level[0]);
	pic_set_irq(d, 1, true);
	assert_int_equal(in8(pc, 0x20), 0x0a); /* IRR */
	assert_int_equal(pic_ack(d), 0x21);
	assert_false(pc->level[0]); /* IRQ 3 waits behind IRQ 1 */
	out8(pc, 0x20, 0x0b);
	assert_int_equal(in8(pc, 0x20), 0x02); /* ISR */
	out8(pc, 0x20, 0x20);
	assert_true(pc->level[0]);
	assert_int_equal(pic_ack(d), 0x23);
	out8(pc, 0x20, 0x63); /* specific EOI */
	assert_int_equal(in8(pc, 0x20), 0);
	assert_false(pc->level[0]); /* edges: the lines are still up */
}

static void pic_cascade(void **state)
{
	struct pc *pc = *state;
	struct device *d = make_pic(pc);

	pic_setup(pc, 1);
	pic_set_irq(d, 12, true);
	assert_int_equal(pic_ack(d), 0x2c);
	pic_set_irq(d, 8, true); /* higher on the slave, but the master has input 2 in service */
	assert_false(pc->level[0]);
	out8(pc, 0x20, 0x20);
	assert_true(pc->level[0]);
	assert_int_equal(pic_ack(d), 0x28);
	out8(pc, 0xa0, 0x20);
	out8(pc, 0x20, 0x20);
	out8(pc, 0xa0, 0x20);
	assert_false(pc->level[0]);
}

static void pic_fully_nested_slave(void **state)
{
	struct pc *pc = *state;
	struct device *d = make_pic(pc);

	pic_setup(pc, 0x11); /* special fully nested mode */
	pic_set_irq(d, 12, true);
	assert_int_equal(pic_ack(d), 0x2c);
	pic_set_irq(d, 8, true);
	assert_true(pc->level[0]);
	assert_int_equal(pic_ack(d), 0x28);
}

static void pic_spurious(void **state)
{
	struct pc *pc = *state;
	struct device *d = make_pic(pc);

	pic_setup(pc, 1);
	pic_set_irq(d, 5, true);
	pic_set_irq(d, 5, false);
	assert_false(pc->level[0]);
	assert_int_equal(pic_ack(d), 0x27);
	out8(pc, 0x20, 0x0b);
	assert_int_equal(in8(pc, 0x20), 0); /* no ISR bit */
}

static void pic_modes(void **state)
{
	struct pc *pc = *state;
	struct device *d = make_pic(pc);

	pic_setup(pc, 3); /* automatic EOI */
	pic_set_irq(d, 4, true);
	assert_int_equal(pic_ack(d), 0x24);
	out8(pc, 0x20, 0x0b);
	assert_int_equal(in8(pc, 0x20), 0);
	pic_setup(pc, 1);
	out8(pc, 0x20, 0xc4); /* set priority: input 4 lowest, 5 highest */
	pic_set_irq(d, 4, false);
	pic_set_irq(d, 4, true);
	pic_set_irq(d, 6, true);
	assert_int_equal(pic_ack(d), 0x26);
	out8(pc, 0x20, 0xa0); /* rotate on non-specific EOI: 6 is lowest now */
	assert_int_equal(pic_ack(d), 0x24);
	pic_set_irq(d, 5, true);
	assert_false(pc->level[0]); /* 7, 0..4, 5, 6: behind 4 */
	out8(pc, 0x20, 0x68);       /* special mask mode */
	out8(pc, 0x21, 0x10);
	assert_true(pc->level[0]);
	out8(pc, 0x20, 0x0c); /* poll */
	assert_int_equal(in8(pc, 0x20), 0x85);
	out8(pc, 0x20, 0x0c);
	assert_int_equal(in8(pc, 0x20), 0);
}

static void pic_levels(void **state)
{
	struct pc *pc = *state;
	struct device *d = make_pic(pc);

	out8(pc, 0x4d0, 0xff);
	out8(pc, 0x4d1, 0xff);
	assert_int_equal(in8(pc, 0x4d0), 0xf8);
	assert_int_equal(in8(pc, 0x4d1), 0xde);
	pic_setup(pc, 1);
	pic_set_irq(d, 5, true);
	assert_int_equal(pic_ack(d), 0x25);
	out8(pc, 0x20, 0x20);
	assert_true(pc->level[0]); /* still asserted: again */
	pic_set_irq(d, 5, false);
	assert_false(pc->level[0]);
}

/* ---- 8254 ---- */

static u64 clks(u64 n)
{
	return (n * SECOND + 1193181) / 1193182;
}

static void make_pit(struct pc *pc)
{
	struct device *d;

	assert_int_equal(pit_create(&d, &pc->env, pc->irq[0]), ST_OK);
	keep(pc, d);
}

static u16 pit_latch(struct pc *pc, u16 ch)
{
	u8 low;

	out8(pc, 0x43, (u8)(ch << 6));
	low = in8(pc, 0x40 + ch);
	return (u16)(low | in8(pc, 0x40 + ch) << 8);
}

static void pit_rate_generator(void **state)
{
	struct pc *pc = *state;

	make_pit(pc);
	out8(pc, 0x43, 0x34);
	assert_true(pc->level[0]); /* mode 2 starts high */
	out8(pc, 0x40, 0x9c);
	out8(pc, 0x40, 0x2e); /* 11932 */
	run_to(pc, clks(1));
	assert_int_equal(pit_latch(pc, 0), 11932);
	run_to(pc, clks(101));
	assert_int_equal(pit_latch(pc, 0), 11832);
	pc->rises[0] = 0;
	run_to(pc, clks(1 + 11932) - 1);
	assert_false(pc->level[0]); /* low while the count is 1 */
	run_to(pc, clks(1 + 11932));
	assert_true(pc->level[0]);
	assert_int_equal(pc->rises[0], 1);
	run_to(pc, clks(1 + 11932 * 100));
	assert_int_equal(pc->rises[0], 100);
	/* A new count takes over at the end of the period. */
	out8(pc, 0x40, 100);
	out8(pc, 0x40, 0);
	run_to(pc, clks(1 + 11932 * 101 - 2));
	assert_int_equal(pit_latch(pc, 0), 2);
	run_to(pc, clks(1 + 11932 * 101 + 5));
	assert_int_equal(pit_latch(pc, 0), 95);
}

static void pit_square_wave(void **state)
{
	struct pc *pc = *state;

	make_pit(pc);
	out8(pc, 0x43, 0x36);
	out8(pc, 0x40, 5);
	out8(pc, 0x40, 0);
	for (unsigned i = 0; i < 20; i++) { /* odd count: three CLKs high, two low; loads 4, steps by 2 */
		static const u8 value[5] = { 4, 2, 0, 4, 2 };

		run_to(pc, clks(1 + i));
		assert_int_equal(pc->level[0], i % 5 < 3);
		assert_int_equal(pit_latch(pc, 0), value[i % 5]);
	}
}

static void pit_terminal_count(void **state)
{
	struct pc *pc = *state;

	make_pit(pc);
	out8(pc, 0x43, 0x30);
	assert_false(pc->level[0]);
	out8(pc, 0x40, 100);
	out8(pc, 0x40, 0);
	out8(pc, 0x43, 0xe2); /* status: not loaded yet */
	assert_int_equal(in8(pc, 0x40), 0x70);
	run_to(pc, clks(101) - 1);
	assert_false(pc->level[0]);
	run_to(pc, clks(101)); /* N + 1 CLKs after the write */
	assert_true(pc->level[0]);
	out8(pc, 0x43, 0xc2); /* status and count together */
	assert_int_equal(in8(pc, 0x40), 0xb0);
	assert_int_equal(in8(pc, 0x40), 0);
	assert_int_equal(in8(pc, 0x40), 0);
	run_to(pc, clks(102));
	assert_int_equal(pit_latch(pc, 0), 0xffff); /* goes on counting */
	assert_true(pc->level[0]);
	out8(pc, 0x43, 0x31); /* BCD: 0 is 10000 */
	out8(pc, 0x40, 0);
	out8(pc, 0x40, 0);
	run(pc, clks(3));
	assert_int_equal(pit_latch(pc, 0) & 0xff00, 0x9900);
}

static void pit_speaker(void **state)
{
	struct pc *pc = *state;
	u64 start;

	make_pit(pc);
	out8(pc, 0x61, 0);
	out8(pc, 0x43, 0xb0); /* channel 2, mode 0: how kernels calibrate */
	out8(pc, 0x42, 0xa9);
	out8(pc, 0x42, 0x04); /* 1193: about a millisecond */
	run(pc, 5 * MS);
	assert_int_equal(in8(pc, 0x61) & 0x20, 0); /* gate is low */
	out8(pc, 0x61, 1);
	start = pc->clock.now;
	while (!(in8(pc, 0x61) & 0x20))
		run(pc, 100);
	assert_in_range(pc->clock.now - start, 999000, 1001100);
	out8(pc, 0x43, 0xb2); /* mode 1: the gate triggers */
	out8(pc, 0x42, 50);
	out8(pc, 0x42, 0);
	assert_int_equal(in8(pc, 0x61) & 0x20, 0x20);
	out8(pc, 0x61, 0);
	out8(pc, 0x61, 1);
	run(pc, clks(3));
	assert_int_equal(in8(pc, 0x61) & 0x20, 0);
	run(pc, clks(51));
	assert_int_equal(in8(pc, 0x61) & 0x20, 0x20);
	out8(pc, 0x43, 0xb8); /* mode 4: one CLK low */
	out8(pc, 0x42, 10);
	out8(pc, 0x42, 0);
	run_to(pc, clks(pc->clock.now * 1193182 / SECOND + 11));
	assert_int_equal(in8(pc, 0x61) & 0x20, 0);
	run(pc, clks(1));
	assert_int_equal(in8(pc, 0x61) & 0x20, 0x20);
}

/* ---- RTC ---- */

static u8 cmos(struct pc *pc, u8 index)
{
	out8(pc, 0x70, index);
	return in8(pc, 0x71);
}

static void set_cmos(struct pc *pc, u8 index, u8 v)
{
	out8(pc, 0x70, index);
	out8(pc, 0x71, v);
}

static void make_rtc(struct pc *pc, u64 epoch)
{
	struct device *d;

	assert_int_equal(rtc_create(&d, &pc->env, pc->irq[8], epoch), ST_OK);
	keep(pc, d);
}

static void assert_time(struct pc *pc, const char *hex)
{
	static const u8 index[7] = { 0x32, 9, 8, 7, 4, 2, 0 };

	for (unsigned i = 0; i < 7; i++) {
		u8 want = (u8)((hex[2 * i] - '0') << 4 | (hex[2 * i + 1] - '0'));

		assert_int_equal(cmos(pc, index[i]), want);
	}
}

static void rtc_calendar(void **state)
{
	struct pc *pc = *state;

	make_rtc(pc, 951782398); /* 2000-02-28 23:59:58, a Monday */
	assert_time(pc, "20000228235958");
	assert_int_equal(cmos(pc, 6), 2);
	run(pc, SECOND - 1);
	assert_time(pc, "20000228235958");
	run(pc, 1);
	assert_time(pc, "20000228235959");
	run(pc, SECOND);
	assert_time(pc, "20000229000000");
	run(pc, 86400 * SECOND);
	assert_time(pc, "20000301000000");
	assert_int_equal(cmos(pc, 6), 4);
	run(pc, 86400 * SECOND * 306);
	assert_time(pc, "20010101000000");
	assert_int_equal(cmos(pc, 0x0d), 0x80);
}

/* Jumps of any length: the C library knows the calendar, too. */
static void rtc_long_jumps(void **state)
{
	static const u64 days[] = { 1, 30, 31, 58, 59, 365, 366, 1461, 10000, 36525, 73048, 60 };
	struct pc *pc = *state;
	time_t now = 0;
	struct tm tm;
	char text[32];

	make_rtc(pc, 0);
	for (unsigned n = 0; n < ARRAY_LEN(days); n++) {
		now += (time_t)(days[n] * 86400);
		run(pc, days[n] * 86400 * SECOND);
		gmtime_r(&now, &tm);
		strftime(text, sizeof(text), "%Y%m%d%H%M%S", &tm);
		assert_time(pc, text);
		assert_int_equal(cmos(pc, 6), tm.tm_wday + 1);
	}
}

/* The calendar repeats after 400 years; of years there are four digits. */
static void rtc_far_epochs(void **state)
{
	struct pc *pc = *state;

	make_rtc(pc, 86400ull * 146097 * 20 + 951782398);
	assert_time(pc, "00000228235958"); /* 2000 + 8000 */
	assert_int_equal(cmos(pc, 6), 2);
}

static void rtc_set_and_formats(void **state)
{
	struct pc *pc = *state;

	make_rtc(pc, 0);
	set_cmos(pc, 0x0b, 0x84); /* SET, binary, 12 hours */
	set_cmos(pc, 4, 0x80 | 11);
	set_cmos(pc, 2, 59);
	set_cmos(pc, 0, 59);
	run(pc, 5 * SECOND);
	assert_int_equal(cmos(pc, 0), 59);
	assert_int_equal(cmos(pc, 0x0a) & 0x80, 0);
	set_cmos(pc, 0x0b, 0x04);
	run(pc, SECOND);
	assert_int_equal(cmos(pc, 4), 12); /* midnight: 12 AM */
	assert_int_equal(cmos(pc, 2), 0);
	assert_int_equal(cmos(pc, 7), 2);
}

static void rtc_interrupts(void **state)
{
	struct pc *pc = *state;

	make_rtc(pc, 0);
	run(pc, SECOND - 2228001);
	assert_int_equal(cmos(pc, 0x0a), 0x26);
	run(pc, 1);
	assert_int_equal(cmos(pc, 0x0a), 0xa6); /* UIP: 244 + 1984 microseconds */
	run(pc, 2228000);
	assert_int_equal(cmos(pc, 0x0a), 0x26);
	assert_int_equal(cmos(pc, 0x0c) & 0x30, 0x10); /* UF is set without its enable */
	assert_int_equal(pc->rises[8], 0);
	set_cmos(pc, 0x0b, 0x12);
	run(pc, SECOND);
	assert_int_equal(pc->rise_at[8], 2 * SECOND);
	assert_int_equal(cmos(pc, 0x0c) & 0xb0, 0x90);
	assert_false(pc->level[8]);
	set_cmos(pc, 5, 0xff);
	set_cmos(pc, 3, 0xff);
	set_cmos(pc, 1, 0x10);
	set_cmos(pc, 0x0b, 0x22);
	run_to(pc, 30 * SECOND);
	assert_int_equal(pc->rise_at[8], 10 * SECOND);
	assert_int_equal(cmos(pc, 0x0c) & 0xa0, 0xa0);
	pc->rises[8] = 0;
	set_cmos(pc, 0x0b, 0x42);
	run_to(pc, 30 * SECOND + 976563); /* 1024 Hz: RS 6 */
	assert_int_equal(pc->rises[8], 1);
	run(pc, SECOND);
	assert_int_equal(pc->rises[8], 1); /* held until register C is read */
	cmos(pc, 0x0c);
	run(pc, MS);
	assert_int_equal(pc->rises[8], 2);
	cmos(pc, 0x0c);
	set_cmos(pc, 0x0b, 0x02);
	assert_null(pc->clock.first); /* nothing enabled: nothing ticks */
}

/* ---- i8042 ---- */

static void make_kbc(struct pc *pc)
{
	struct device *d;

	assert_int_equal(i8042_create(&d, &pc->env, pc->irq[1], pc->irq[12]), ST_OK);
	keep(pc, d);
}

static void kbc_controller(void **state)
{
	struct pc *pc = *state;

	make_kbc(pc);
	assert_int_equal(in8(pc, 0x64) & 3, 0);
	out8(pc, 0x64, 0xaa);
	assert_int_equal(in8(pc, 0x64) & 0x21, 1);
	assert_int_equal(in8(pc, 0x60), 0x55);
	out8(pc, 0x64, 0xa7);
	out8(pc, 0x64, 0x20);
	assert_int_equal(in8(pc, 0x60) & 0x20, 0x20);
	out8(pc, 0x64, 0xa8);
	out8(pc, 0x64, 0x60);
	out8(pc, 0x60, 0x47);
	out8(pc, 0x64, 0xd3); /* the auxiliary loop with which kernels look for a mouse port */
	out8(pc, 0x60, 0x5a);
	assert_true(pc->level[12]);
	assert_int_equal(in8(pc, 0x64) & 0x21, 0x21);
	assert_int_equal(in8(pc, 0x60), 0x5a);
	assert_false(pc->level[12]);
	out8(pc, 0x64, 0xd1);
	out8(pc, 0x60, 0xdd);
	assert_false(pc->a20);
	assert_int_equal(in8(pc, 0x92) & 2, 0);
	out8(pc, 0x92, 2);
	assert_true(pc->a20);
	out8(pc, 0x92, 3);
	assert_int_equal(pc->inits, 1);
	out8(pc, 0x64, 0xfe);
	assert_int_equal(pc->inits, 2);
}

static void kbc_devices(void **state)
{
	static const u8 knock[] = { 0xf3, 200, 0xf3, 100, 0xf3, 80 };
	struct pc *pc = *state;

	make_kbc(pc);
	out8(pc, 0x64, 0x60);
	out8(pc, 0x60, 0x47); /* both interrupts, translation */
	out8(pc, 0x60, 0xff);
	assert_int_equal(pc->rises[1], 1);
	assert_int_equal(in8(pc, 0x60), 0xfa);
	assert_int_equal(pc->rises[1], 2); /* the second byte is an edge of its own */
	assert_int_equal(in8(pc, 0x60), 0xaa);
	assert_false(pc->level[1]);
	out8(pc, 0x60, 0xf2);
	assert_int_equal(in8(pc, 0x60), 0xfa);
	assert_int_equal(in8(pc, 0x60), 0xab);
	assert_int_equal(in8(pc, 0x60), 0x41); /* 83h translated */
	out8(pc, 0x60, 0xed);
	assert_int_equal(in8(pc, 0x60), 0xfa);
	out8(pc, 0x60, 7);
	assert_int_equal(in8(pc, 0x60), 0xfa);
	for (unsigned i = 0; i < sizeof(knock); i++) {
		out8(pc, 0x64, 0xd4);
		out8(pc, 0x60, knock[i]);
		assert_int_equal(in8(pc, 0x60), 0xfa);
	}
	out8(pc, 0x64, 0xd4);
	out8(pc, 0x60, 0xf2);
	assert_true(pc->level[12]);
	assert_int_equal(in8(pc, 0x60), 0xfa);
	assert_int_equal(in8(pc, 0x60), 3); /* IntelliMouse */
}

/* ---- 16550A ---- */

static struct device *make_uart(struct pc *pc)
{
	struct device *d;

	assert_int_equal(uart_create(&d, &pc->env, 0x3f8, pc->irq[4], &pc->chan), ST_OK);
	return keep(pc, d);
}

static void uart_transmit(void **state)
{
	struct pc *pc = *state;

	make_uart(pc);
	assert_int_equal(in8(pc, 0x3fd), 0x60);
	assert_int_equal(in8(pc, 0x3fa), 0x01);
	out8(pc, 0x3fb, 0x83);
	out8(pc, 0x3f8, 1);
	out8(pc, 0x3f9, 0);
	assert_int_equal(pc->out_len, 0); /* that was the divisor */
	out8(pc, 0x3fb, 0x03);
	out8(pc, 0x3fa, 0x01);
	assert_int_equal(in8(pc, 0x3fa), 0xc1);
	out8(pc, 0x3f9, 2); /* THRE enable, transmitter empty */
	assert_false(pc->level[4]);
	out8(pc, 0x3fc, 8); /* OUT2 opens the gate */
	assert_true(pc->level[4]);
	assert_int_equal(in8(pc, 0x3fa), 0xc2);
	assert_false(pc->level[4]); /* reading IIR acknowledges it */
	out8(pc, 0x3f8, 'h');
	out8(pc, 0x3f8, 'i');
	assert_int_equal(in8(pc, 0x3fd), 0x60);
	assert_false(pc->level[4]);
	run(pc, 10000);
	assert_int_equal(pc->rises[4], 2); /* one interrupt for the burst */
	out8(pc, 0x3f8, '!');
	assert_false(pc->level[4]); /* writing THR acknowledges it too */
	run(pc, 10000);
	assert_int_equal(pc->rises[4], 3);
	assert_memory_equal(pc->out, "hi", 2);
	out8(pc, 0x3ff, 0x5a);
	assert_int_equal(in8(pc, 0x3ff), 0x5a);
}

static void uart_receive(void **state)
{
	struct pc *pc = *state;

	make_uart(pc);
	assert_int_equal(pc->chan.room(pc->chan.dev), 1);
	out8(pc, 0x3fb, 0x83);
	out8(pc, 0x3f8, 1); /* 115200 */
	out8(pc, 0x3f9, 0);
	out8(pc, 0x3fb, 0x03);
	out8(pc, 0x3fa, 0x81); /* trigger at 8 */
	out8(pc, 0x3f9, 1);
	out8(pc, 0x3fc, 8);
	assert_int_equal(pc->chan.room(pc->chan.dev), 16);
	pc->chan.input(pc->chan.dev, (const u8 *)"abcdefg", 7);
	assert_false(pc->level[4]);
	run(pc, 347000); /* four characters of ten bits: 347.2 microseconds */
	assert_false(pc->level[4]);
	run(pc, 1000);
	assert_true(pc->level[4]);
	assert_int_equal(in8(pc, 0x3fa), 0xcc);
	assert_int_equal(in8(pc, 0x3f8), 'a');
	assert_false(pc->level[4]);
	pc->chan.input(pc->chan.dev, (const u8 *)"hi", 2);
	assert_int_equal(in8(pc, 0x3fa), 0xc4);
	assert_int_equal(in8(pc, 0x3fd), 0x61);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(in8(pc, 0x3f8), 'b' + i);
	assert_int_equal(in8(pc, 0x3fd), 0x60);
	assert_int_equal(in8(pc, 0x3fa), 0xc1);
}

static void uart_loopback(void **state)
{
	struct pc *pc = *state;

	make_uart(pc);
	assert_int_equal(in8(pc, 0x3fe), 0xb0);
	out8(pc, 0x3fc, 0x1a); /* how kernels recognise one */
	assert_int_equal(in8(pc, 0x3fe) & 0xf0, 0x90);
	out8(pc, 0x3f8, 'x');
	out8(pc, 0x3f8, 'y');
	assert_int_equal(pc->out_len, 0);
	assert_int_equal(in8(pc, 0x3fd), 0x63); /* overrun */
	assert_int_equal(in8(pc, 0x3fd), 0x61);
	assert_int_equal(in8(pc, 0x3f8), 'y');
	out8(pc, 0x3fc, 0x10);
	assert_int_equal(in8(pc, 0x3fe), 0x09); /* DCTS, DDCD */
	assert_int_equal(in8(pc, 0x3fe), 0x00);
}

/* ---- I/O APIC ---- */

static struct device *make_ioapic(struct pc *pc)
{
	struct device *d;

	assert_int_equal(ioapic_create(&d, &pc->env, 2, (struct ioapic_sink){ on_send, pc }), ST_OK);
	return keep(pc, d);
}

static u32 ioapic_get(struct pc *pc, u8 reg)
{
	bus_mmio_write(&pc->bus, 0xfec00000, 4, reg);
	return (u32)bus_mmio_read(&pc->bus, 0xfec00010, 4);
}

static void ioapic_put(struct pc *pc, u8 reg, u32 v)
{
	bus_mmio_write(&pc->bus, 0xfec00000, 4, reg);
	bus_mmio_write(&pc->bus, 0xfec00010, 4, v);
}

static void ioapic_edges(void **state)
{
	struct pc *pc = *state;
	struct device *d = make_ioapic(pc);

	assert_int_equal(ioapic_get(pc, 0), 0x02000000);
	assert_int_equal(ioapic_get(pc, 1), 0x00170020);
	assert_int_equal(ioapic_get(pc, 0x10), 0x10000);
	ioapic_set_irq(d, 4, true); /* masked: not remembered */
	ioapic_put(pc, 0x19, 0x03000000);
	ioapic_put(pc, 0x18, 0x00000934);
	assert_int_equal(pc->sent.n, 0);
	ioapic_set_irq(d, 4, false);
	ioapic_set_irq(d, 4, true);
	ioapic_set_irq(d, 4, true);
	assert_int_equal(pc->sent.n, 1);
	assert_int_equal(pc->sent.vector, 0x34);
	assert_int_equal(pc->sent.delivery, 1);
	assert_true(pc->sent.logical);
	assert_false(pc->sent.level);
	assert_int_equal(pc->sent.dest, 3);
}

/* "Delivery Mode", SMI: edge triggered whatever the trigger mode says, with a vector that nobody looks at. */
static void ioapic_smi(void **state)
{
	struct pc *pc = *state;
	struct device *d = make_ioapic(pc);

	for (unsigned n = 0; n < 2; n++) {
		u8 reg = (u8)(0x10 + 2 * n);
		ioapic_put(pc, (u8)(reg + 1), 0x01000000);
		ioapic_put(pc, reg, n ? 0x08200 : 0x00200);
		pc->sent.n = 0;
		for (unsigned k = 1; k < 3; k++) {
			ioapic_set_irq(d, n, true);
			assert_int_equal(pc->sent.n, k);
			assert_int_equal(pc->sent.delivery, 2);
			assert_int_equal(pc->sent.vector, 0);
			assert_int_equal(pc->sent.dest, 1);
			assert_false(pc->sent.level);
			assert_int_equal(ioapic_get(pc, reg), n ? 0x08200 : 0x00200); /* no remote IRR */
			ioapic_set_irq(d, n, false);
		}
		ioapic_put(pc, reg, 0x10200);
		ioapic_set_irq(d, n, true);
		assert_int_equal(pc->sent.n, 2);
		ioapic_put(pc, reg, 0x00200); /* an edge is not remembered */
		assert_int_equal(pc->sent.n, 2);
	}
}

static void ioapic_levels(void **state)
{
	struct pc *pc = *state;
	struct device *d = make_ioapic(pc);

	ioapic_put(pc, 0x10 + 2 * 16, 0x18041); /* masked */
	ioapic_set_irq(d, 16, true);
	assert_int_equal(pc->sent.n, 0);
	ioapic_put(pc, 0x10 + 2 * 16, 0x08041);
	assert_int_equal(pc->sent.n, 1); /* a level is not lost */
	assert_true(pc->sent.level);
	assert_int_equal(ioapic_get(pc, 0x10 + 2 * 16), 0x0c041); /* remote IRR */
	ioapic_set_irq(d, 16, false);
	ioapic_set_irq(d, 16, true);
	assert_int_equal(pc->sent.n, 1);
	ioapic_eoi(d, 0x40);
	assert_int_equal(pc->sent.n, 1);
	ioapic_eoi(d, 0x41);
	assert_int_equal(pc->sent.n, 2); /* still asserted */
	ioapic_set_irq(d, 16, false);
	bus_mmio_write(&pc->bus, 0xfec00040, 4, 0x41); /* the EOI register of version 20h */
	assert_int_equal(pc->sent.n, 2);
	assert_int_equal(ioapic_get(pc, 0x10 + 2 * 16), 0x08041);
}

/* ---- HPET ---- */

#define HPET 0xfed00000ull

static struct device *make_hpet(struct pc *pc)
{
	struct device *d;

	assert_int_equal(hpet_create(&d, &pc->env, pc->irq), ST_OK);
	return keep(pc, d);
}

static u64 hpet_get(struct pc *pc, u64 reg)
{
	return bus_mmio_read(&pc->bus, HPET + reg, 8);
}

static void hpet_put(struct pc *pc, u64 reg, u64 v)
{
	bus_mmio_write(&pc->bus, HPET + reg, 8, v);
}

static void hpet_counter(void **state)
{
	struct pc *pc = *state;

	make_hpet(pc);
	assert_int_equal(hpet_get(pc, 0), 0x009896808086a201);
	assert_int_equal(hpet_get(pc, 0xf0), 0);
	run(pc, SECOND);
	assert_int_equal(hpet_get(pc, 0xf0), 0);
	hpet_put(pc, 0x10, 1);
	run(pc, SECOND);
	assert_int_equal(hpet_get(pc, 0xf0), 100000000);
	assert_int_equal(bus_mmio_read(&pc->bus, HPET + 0xf4, 4), 0);
	hpet_put(pc, 0x10, 0);
	run(pc, SECOND);
	assert_int_equal(hpet_get(pc, 0xf0), 100000000);
	hpet_put(pc, 0xf0, 0xfffffffffull);
	hpet_put(pc, 0x10, 1);
	run(pc, 10);
	assert_int_equal(bus_mmio_read(&pc->bus, HPET + 0xf4, 4), 0x10);
}

static void hpet_legacy_periodic(void **state)
{
	struct pc *pc = *state;
	struct device *d = make_hpet(pc);

	assert_false(hpet_legacy(d));
	hpet_put(pc, 0x10, 3);
	assert_true(hpet_legacy(d));
	hpet_put(pc, 0x100, 0x4c); /* periodic, enabled, VAL_SET */
	assert_int_equal(hpet_get(pc, 0x100) & 0xffffffff, 0x803c | 0x40);
	hpet_put(pc, 0x108, 500000);
	hpet_put(pc, 0x108, 100000); /* a millisecond */
	run_to(pc, 5 * MS - 1);
	assert_int_equal(pc->rises[0], 0);
	run_to(pc, 5 * MS);
	assert_int_equal(pc->rises[0], 1);
	run_to(pc, 105 * MS);
	assert_int_equal(pc->rises[0], 101);
	assert_int_equal(hpet_get(pc, 0x108), 10600000);
	hpet_put(pc, 0x100, 0);
	run(pc, 10 * MS);
	assert_int_equal(pc->rises[0], 101);
}

static void hpet_one_shot(void **state)
{
	struct pc *pc = *state;

	make_hpet(pc);
	hpet_put(pc, 0x10, 1);
	hpet_put(pc, 0x128, 1000);
	hpet_put(pc, 0x120, 21 << 9 | 0x06); /* timer 1: level, input 21 */
	run_to(pc, 10000);
	assert_true(pc->level[21]);
	assert_int_equal(hpet_get(pc, 0x20), 2);
	hpet_put(pc, 0x20, 2);
	assert_false(pc->level[21]);
	hpet_put(pc, 0x150, 0xfee01000ull << 32 | 0x4055); /* timer 2 by message */
	hpet_put(pc, 0x140, 0x4104);                       /* 32-bit: matches at every turn */
	bus_mmio_write(&pc->bus, HPET + 0x148, 4, 2000);
	run_to(pc, 20000);
	assert_int_equal(pc->msis, 1);
	assert_int_equal(pc->msi_addr, 0xfee01000);
	assert_int_equal(pc->msi_data, 0x4055);
	assert_int_equal(pc->msi_from.by, BY_DEVICE);
	assert_int_equal(pc->msi_from.id, LPC_DEVFN);
	run_to(pc, 20000 + (10ull << 32));
	assert_int_equal(pc->msis, 2);
}

/* ---- ACPI ---- */

static struct device *make_pm(struct pc *pc)
{
	struct device *d;

	assert_int_equal(acpipm_create(&d, &pc->env, 0x600, pc->irq[9], NULL), ST_OK);
	assert_int_equal(bus_port_read(&pc->bus, 0x604, 2), 0);
	bus_port_write(&pc->bus, 0x604, 2, 1); /* SCI_EN */
	return keep(pc, d);
}

static void pm_timer(void **state)
{
	struct pc *pc = *state;

	make_pm(pc);
	run(pc, SECOND);
	assert_int_equal(bus_port_read(&pc->bus, 0x608, 4), 3579545);
	assert_null(pc->clock.first);
	bus_port_write(&pc->bus, 0x602, 2, 1); /* TMR_EN */
	run_to(pc, 2343484437ull); /* 2^23 / 3.579545 MHz = 2.343484437 s */
	assert_false(pc->level[9]);
	run(pc, 1000);
	assert_true(pc->level[9]);
	assert_int_equal(bus_port_read(&pc->bus, 0x600, 2), 1);
	bus_port_write(&pc->bus, 0x600, 2, 1);
	assert_false(pc->level[9]);
	run_to(pc, 5 * SECOND);
	assert_int_equal(pc->rises[9], 2);
	assert_int_equal(bus_port_read(&pc->bus, 0x608, 4), (5 * 3579545) & 0xffffff);
}

/* S3: what wakes, and what does not; the core well's bits go, those of the resume well stay. */
static void pm_sleep(void **state)
{
	enum { STS = 0x600, EN = 0x602, CNT = 0x604, PWRBTN = 0x100, RTC = 0x400, WAK = 0x8000, GO = 1 << 13 };
	struct pc *pc = *state;
	struct device *d = make_pm(pc);

	bus_port_write(&pc->bus, EN, 2, RTC | 0x21);
	bus_port_write(&pc->bus, CNT, 2, 1 << 10 | GO);
	assert_int_equal(pc->sleeps, 1);
	assert_int_equal(pc->power_offs, 0);
	d->ops->sleep(d);
	assert_int_equal(bus_port_read(&pc->bus, EN, 2), RTC);
	assert_int_equal(bus_port_read(&pc->bus, STS, 2), 0);
	pc->clock.now += 10000000000; /* the PM timer's events sleep, too */
	bus_port_read(&pc->bus, 0x608, 4);
	acpipm_gpe(d, 3);
	assert_int_equal(pc->wakes, 0);
	acpipm_rtc(d);
	assert_int_equal(pc->wakes, 1);
	assert_int_equal(bus_port_read(&pc->bus, STS, 2) & (RTC | WAK | PWRBTN), RTC | WAK);
	acpipm_rtc(d); /* awake: no more than an event */
	assert_int_equal(pc->wakes, 1);
	/* without its enable bit the RTC does not wake; the power button always does */
	bus_port_write(&pc->bus, STS, 2, 0xffff);
	bus_port_write(&pc->bus, EN, 2, 0);
	bus_port_write(&pc->bus, CNT, 2, 1 << 10 | GO);
	d->ops->sleep(d);
	acpipm_rtc(d);
	assert_int_equal(pc->wakes, 1);
	acpipm_power_button(d);
	assert_int_equal(pc->wakes, 2);
	assert_int_equal(bus_port_read(&pc->bus, STS, 2) & (WAK | PWRBTN), WAK | PWRBTN);
	/* an enabled event that is there already ends the sleep at once */
	bus_port_write(&pc->bus, STS, 2, 0xffff);
	bus_port_write(&pc->bus, 0x628, 4, 8);
	bus_port_write(&pc->bus, CNT, 2, 1 << 10 | GO);
	assert_int_equal(pc->sleeps, 3);
	assert_int_equal(pc->wakes, 3);
}

static void pm_events(void **state)
{
	struct pc *pc = *state;
	struct device *d = make_pm(pc);

	assert_int_equal(bus_port_read(&pc->bus, 0x604, 2), 1);
	acpipm_power_button(d);
	assert_false(pc->level[9]);
	bus_port_write(&pc->bus, 0x602, 2, 0x100);
	assert_true(pc->level[9]);
	bus_port_write(&pc->bus, 0x601, 1, 1); /* the upper byte alone */
	assert_false(pc->level[9]);
	assert_int_equal(bus_port_read(&pc->bus, 0x602, 2), 0x100);
	acpipm_gpe(d, 33);
	bus_port_write(&pc->bus, 0x62c, 4, 2);
	assert_true(pc->level[9]);
	bus_port_write(&pc->bus, 0x624, 4, 2);
	assert_false(pc->level[9]);
	bus_port_write(&pc->bus, 0x604, 2, 5 << 10);
	assert_int_equal(pc->power_offs, 0);
	bus_port_write(&pc->bus, 0x604, 2, 5 << 10 | 1 << 13);
	assert_int_equal(pc->power_offs, 1);
	out8(pc, 0xcf9, 2);
	assert_int_equal(pc->resets, 0);
	out8(pc, 0xcf9, 6);
	assert_int_equal(pc->resets, 1);
	out8(pc, 0xcf9, 6);
	assert_int_equal(pc->resets, 1);
	out8(pc, 0xcf9, 0);
	out8(pc, 0xcf9, 4); /* SYS_RST clear: the processors alone */
	assert_int_equal(pc->resets, 1);
	assert_int_equal(pc->inits, 1);
	out8(pc, 0xcf9, 8);
	out8(pc, 0xcf9, 0xc); /* FULL_RST says nothing without SYS_RST */
	assert_int_equal(pc->inits, 2);
	assert_int_equal(pc->cycles, 0);
	out8(pc, 0xcf9, 0);
	out8(pc, 0xcf9, 0xe);
	assert_int_equal(pc->resets, 1);
	assert_int_equal(pc->cycles, 1);
	acpipm_move(d, 0xb000, true);
	assert_int_equal(bus_port_read(&pc->bus, 0xb004, 2), 5 << 10);
	assert_int_equal(bus_port_read(&pc->bus, 0x604, 2), 0xffff);
}

/* ---- fw_cfg ---- */

static void fwcfg_ports(void **state)
{
	struct pc *pc = *state;
	struct device *d;
	static const char want[] = "QEMU";
	u8 dir[4 + 128];

	assert_int_equal(fwcfg_create(&d, &pc->env), ST_OK);
	keep(pc, d);
	assert_int_equal(fwcfg_add_file(d, "opt/a", "hello", 5), ST_OK);
	assert_int_equal(fwcfg_add_file(d, "opt/b", "x", 1), ST_OK);
	assert_int_equal(fwcfg_add_file(d, "opt/a", "hello!", 6), ST_OK);
	bus_port_write(&pc->bus, 0x510, 2, 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(in8(pc, 0x511), want[i]);
	assert_int_equal(in8(pc, 0x511), 0);
	bus_port_write(&pc->bus, 0x510, 2, 0x19);
	for (unsigned i = 0; i < sizeof(dir); i++)
		dir[i] = in8(pc, 0x511);
	assert_int_equal(dir[3], 2);
	assert_int_equal(dir[4 + 3], 6);
	assert_int_equal(dir[4 + 5], 0x20);
	assert_string_equal((char *)dir + 12, "opt/a");
	assert_string_equal((char *)dir + 76, "opt/b");
	bus_port_write(&pc->bus, 0x510, 2, 0x20);
	assert_int_equal(in8(pc, 0x511), 'h');
}

static void fwcfg_dma(void **state)
{
	struct pc *pc = *state;
	struct device *d;
	u8 buf[8] = { 0 };
	struct {
		u32 control, length;
		u64 address;
	} q;

	assert_int_equal(fwcfg_create(&d, &pc->env), ST_OK);
	keep(pc, d);
	assert_int_equal(fwcfg_add_key(d, 0x11, "abcdef", 6), ST_OK);
	assert_int_equal(bus_port_read(&pc->bus, 0x514, 4), __builtin_bswap32(0x51454d55));
	q.control = __builtin_bswap32(0x11 << 16 | 8 | 4); /* select, skip two */
	q.length = __builtin_bswap32(2);
	q.address = 0;
	bus_write(&pc->bus, 0x1000, &q, sizeof(q));
	bus_port_write(&pc->bus, 0x518, 4, __builtin_bswap32(0x1000));
	assert_int_equal(bus_read_u32(&pc->bus, 0x1000), 0);
	q.control = __builtin_bswap32(2);
	q.length = __builtin_bswap32(5); /* one more than there is */
	q.address = __builtin_bswap64(0x2000);
	bus_write(&pc->bus, 0x1000, &q, sizeof(q));
	bus_port_write(&pc->bus, 0x518, 4, __builtin_bswap32(0x1000));
	bus_read(&pc->bus, 0x2000, buf, 6);
	assert_memory_equal(buf, "cdef\0\0", 6);
	assert_int_equal(bus_read_u32(&pc->bus, 0x1000), 0);
	q.control = __builtin_bswap32(16);
	bus_write(&pc->bus, 0x1000, &q, sizeof(q));
	bus_port_write(&pc->bus, 0x518, 4, __builtin_bswap32(0x1000));
	assert_int_equal(bus_read_u32(&pc->bus, 0x1000), __builtin_bswap32(1)); /* nothing is writable */
}

/* ---- small ones ---- */

static void debug_devices(void **state)
{
	struct pc *pc = *state;
	struct device *d;

	assert_int_equal(debugcon_create(&d, &pc->env, 0xe9, &pc->chan), ST_OK);
	keep(pc, d);
	assert_int_equal(debugexit_create(&d, &pc->env, 0xf4, 4), ST_OK);
	keep(pc, d);
	assert_int_equal(shutdownport_create(&d, &pc->env), ST_OK);
	keep(pc, d);
	assert_int_equal(in8(pc, 0xe9), 0xe9);
	out8(pc, 0xe9, '!');
	assert_int_equal(pc->out[0], '!');
	bus_port_write(&pc->bus, 0xf4, 4, 0x12345678);
	assert_int_equal(pc->exits, 1);
	assert_int_equal(pc->exit_value, 0x12345678);
	for (const char *s = "SShutdowm Shutdown"; *s; s++) {
		assert_int_equal(pc->power_offs, 0);
		out8(pc, 0x8900, (u8)*s);
	}
	assert_int_equal(pc->power_offs, 1);
}

static void test_device(void **state)
{
	struct pc *pc = *state;
	struct device *d;

	assert_int_equal(testdev_create(&d, &pc->env, pc->irq), ST_OK);
	keep(pc, d);
	bus_port_write(&pc->bus, 0xe0, 4, 0x11223344);
	assert_int_equal(in8(pc, 0xe9), 0x33);
	out8(pc, 0xeb, 0xaa);
	assert_int_equal(bus_port_read(&pc->bus, 0xe0, 4), 0xaa223344);
	bus_port_write(&pc->bus, 0xe4, 4, 0x1000);
	out8(pc, 0x200e, 1);
	assert_true(pc->level[14]);
	out8(pc, 0x200e, 0);
	assert_false(pc->level[14]);
	bus_mmio_write(&pc->bus, 0xff00fff8, 8, 0x0123456789abcdef);
	assert_int_equal(bus_mmio_read(&pc->bus, 0xff00fffc, 4), 0x01234567);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pic_priorities), TEST(pic_cascade), TEST(pic_fully_nested_slave), TEST(pic_spurious), TEST(pic_modes),
		TEST(pic_levels), TEST(pit_rate_generator), TEST(pit_square_wave), TEST(pit_terminal_count), TEST(pit_speaker),
		TEST(rtc_calendar), TEST(rtc_long_jumps), TEST(rtc_far_epochs), TEST(rtc_set_and_formats), TEST(rtc_interrupts),
		TEST(kbc_controller), TEST(kbc_devices),
		TEST(uart_transmit), TEST(uart_receive), TEST(uart_loopback), TEST(ioapic_edges), TEST(ioapic_levels),
		TEST(ioapic_smi),
		TEST(hpet_counter), TEST(hpet_legacy_periodic), TEST(hpet_one_shot), TEST(pm_timer), TEST(pm_sleep), TEST(pm_events),
		TEST(fwcfg_ports), TEST(fwcfg_dma), TEST(debug_devices), TEST(test_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
