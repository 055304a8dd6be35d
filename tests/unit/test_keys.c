/*
 * Keys on their way through the keyboard and its controller: what is pressed comes out in the set that software has chosen, with
 * translation and without. Codes are those of the IBM PS/2 Technical Reference, "Keyboard": "Scan Code Set 1" and "2".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dev/devices.h"

/* clang-format off */
static const struct {
	u8 set_1, set_2;
} keys[] = {
	{0x29, 0x0e}, {0x02, 0x16}, {0x03, 0x1e}, {0x04, 0x26}, {0x05, 0x25}, {0x06, 0x2e}, {0x07, 0x36}, {0x08, 0x3d}, {0x09, 0x3e},
	{0x0a, 0x46}, {0x0b, 0x45}, {0x0c, 0x4e}, {0x0d, 0x55}, {0x0e, 0x66}, {0x0f, 0x0d}, {0x10, 0x15}, {0x11, 0x1d}, {0x12, 0x24},
	{0x13, 0x2d}, {0x14, 0x2c}, {0x15, 0x35}, {0x16, 0x3c}, {0x17, 0x43}, {0x18, 0x44}, {0x19, 0x4d}, {0x1a, 0x54}, {0x1b, 0x5b},
	{0x2b, 0x5d}, {0x3a, 0x58}, {0x1e, 0x1c}, {0x1f, 0x1b}, {0x20, 0x23}, {0x21, 0x2b}, {0x22, 0x34}, {0x23, 0x33}, {0x24, 0x3b},
	{0x25, 0x42}, {0x26, 0x4b}, {0x27, 0x4c}, {0x28, 0x52}, {0x1c, 0x5a}, {0x2a, 0x12}, {0x2c, 0x1a}, {0x2d, 0x22}, {0x2e, 0x21},
	{0x2f, 0x2a}, {0x30, 0x32}, {0x31, 0x31}, {0x32, 0x3a}, {0x33, 0x41}, {0x34, 0x49}, {0x35, 0x4a}, {0x36, 0x59}, {0x1d, 0x14},
	{0x38, 0x11}, {0x39, 0x29}, {0x45, 0x77}, {0x47, 0x6c}, {0x4b, 0x6b}, {0x4f, 0x69}, {0x48, 0x75}, {0x4c, 0x73}, {0x50, 0x72},
	{0x52, 0x70}, {0x37, 0x7c}, {0x49, 0x7d}, {0x4d, 0x74}, {0x51, 0x7a}, {0x53, 0x71}, {0x4a, 0x7b}, {0x4e, 0x79}, {0x01, 0x76},
	{0x3b, 0x05}, {0x3c, 0x06}, {0x3d, 0x04}, {0x3e, 0x0c}, {0x3f, 0x03}, {0x40, 0x0b}, {0x41, 0x83}, {0x42, 0x0a}, {0x43, 0x01},
	{0x44, 0x09}, {0x57, 0x78}, {0x58, 0x07}, {0x46, 0x7e},
};
/* clang-format on */

struct pc {
	struct clock clock;
	struct bus bus;
	struct device *kbd;
	struct chan chan;
	unsigned irqs;
};

static void irq(void *arg, unsigned n, bool level)
{
	((struct pc *)arg)->irqs += n == 1 && level;
}

static int setup(void **state)
{
	struct pc *p = calloc(1, sizeof(*p));
	struct dev_env e = {.bus = &p->bus, .clock = &p->clock};
	struct irq_line one = {.set = irq, .arg = p, .n = 1}, twelve = {.set = irq, .arg = p, .n = 12};
	struct err err;

	clock_init(&p->clock);
	assert_int_equal(bus_init(&p->bus, &p->clock, NULL, 1 << 20, 1 << 20, &err), ST_OK);
	assert_int_equal(i8042_create(&p->kbd, &e, one, twelve), ST_OK);
	i8042_listen(p->kbd, &p->chan);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pc *p = *state;

	p->kbd->ops->destroy(p->kbd);
	bus_fini(&p->bus);
	free(p);
	return 0;
}

static void press(struct pc *p, u8 code)
{
	assert_true(p->chan.room(p->chan.dev) >= 1);
	p->chan.input(p->chan.dev, &code, 1);
}

static bool ready(struct pc *p)
{
	return bus_port_read(&p->bus, 0x64, 1) & 1;
}

static void comes(struct pc *p, u8 want)
{
	assert_true(ready(p));
	assert_int_equal(bus_port_read(&p->bus, 0x60, 1), want);
}

static void command_byte(struct pc *p, u8 v)
{
	bus_port_write(&p->bus, 0x64, 1, 0x60);
	bus_port_write(&p->bus, 0x60, 1, v);
}

static void choose_set(struct pc *p, u8 n)
{
	bus_port_write(&p->bus, 0x60, 1, 0xf0);
	comes(p, 0xfa);
	bus_port_write(&p->bus, 0x60, 1, n);
	comes(p, 0xfa);
}

static void translated(void **state)
{
	struct pc *p = *state;

	command_byte(p, 0x45); /* interrupts, translation */
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		unsigned before = p->irqs;

		press(p, keys[i].set_1);
		comes(p, keys[i].set_1);
		press(p, keys[i].set_1 | 0x80);
		comes(p, keys[i].set_1 | 0x80);
		assert_false(ready(p));
		assert_int_equal(p->irqs, before + 2);
	}
}

static void untranslated(void **state)
{
	struct pc *p = *state;

	command_byte(p, 0x05);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		press(p, keys[i].set_1);
		comes(p, keys[i].set_2);
		press(p, keys[i].set_1 | 0x80);
		comes(p, 0xf0);
		comes(p, keys[i].set_2);
		assert_false(ready(p));
	}
	choose_set(p, 1);
	press(p, 0x9e);
	comes(p, 0x9e);
}

/* The cursor keys and their like: a prefix stays one. */
static void prefixed(void **state)
{
	struct pc *p = *state;

	command_byte(p, 0x45);
	press(p, 0xe0);
	press(p, 0x48);
	comes(p, 0xe0);
	comes(p, 0x48);
	command_byte(p, 0x05);
	press(p, 0xe0);
	press(p, 0xc8);
	comes(p, 0xe0);
	comes(p, 0xf0);
	comes(p, 0x75);
}

static void scanning_off_and_a_full_queue(void **state)
{
	struct pc *p = *state;

	bus_port_write(&p->bus, 0x60, 1, 0xf5);
	comes(p, 0xfa);
	press(p, 0x1e);
	assert_false(ready(p));
	bus_port_write(&p->bus, 0x60, 1, 0xf4);
	comes(p, 0xfa);
	for (unsigned n = 0; p->chan.room(p->chan.dev); n++)
		press(p, n & 1 ? 0x9e : 0x1e);
	for (unsigned n = 0; ready(p); n++)
		comes(p, n & 1 ? 0x9e : 0x1e);
	press(p, 0x30);
	comes(p, 0x30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(translated, setup, teardown),
	        cmocka_unit_test_setup_teardown(untranslated, setup, teardown),
	        cmocka_unit_test_setup_teardown(prefixed, setup, teardown),
	        cmocka_unit_test_setup_teardown(scanning_off_and_a_full_queue, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
