/* Virtual time: order of timers, re-arming, disarming from inside a callback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/state.h"

struct log {
	char text[64];
	unsigned n;
};
struct probe {
	struct timer t;
	struct log *log;
	char name;
	struct probe *disarms, *arms;
	u64 period;
};

static void fired(void *arg)
{
	struct probe *p = arg;

	p->log->text[p->log->n++] = p->name;
	if (p->disarms)
		timer_disarm(&p->disarms->t);
	if (p->arms)
		timer_arm(&p->arms->t, 0);
	if (p->period)
		timer_arm(&p->t, p->t.when + p->period);
}

static void probes(struct probe *p, unsigned n, struct clock *c, struct log *l)
{
	memset(p, 0, n * sizeof(*p));
	memset(l, 0, sizeof(*l));
	clock_init(c);
	for (unsigned i = 0; i < n; i++) {
		p[i].log = l;
		p[i].name = (char)('a' + i);
		timer_init(&p[i].t, c, fired, &p[i]);
	}
}

static void test_order(void **state)
{
	struct clock c;
	struct log l;
	struct probe p[4];

	(void)state;
	probes(p, 4, &c, &l);
	assert_true(c.next == UINT64_MAX);
	timer_arm(&p[0].t, 30);
	timer_arm(&p[1].t, 10);
	timer_arm(&p[2].t, 30);
	timer_arm(&p[3].t, 20);
	assert_int_equal(c.next, 10);
	timer_arm(&p[1].t, 30); /* again: now behind a and c */
	assert_int_equal(c.next, 20);
	clock_fire(&c);
	assert_int_equal(l.n, 0);
	c.now = 29;
	clock_fire(&c);
	assert_string_equal(l.text, "d");
	c.now = 30;
	clock_fire(&c);
	assert_string_equal(l.text, "dacb");
	assert_true(c.next == UINT64_MAX);
	assert_false(p[0].t.armed);
}

static void test_inside_callbacks(void **state)
{
	struct clock c;
	struct log l;
	struct probe p[3];

	(void)state;
	probes(p, 3, &c, &l);
	p[0].disarms = &p[1];
	p[0].arms = &p[2];
	timer_arm(&p[0].t, 5);
	timer_arm(&p[1].t, 6);
	c.now = 10;
	clock_fire(&c);
	assert_string_equal(l.text, "a"); /* b was disarmed; c, armed in the past, waits for the next round */
	assert_int_equal(c.next, 0);
	p[0].arms = NULL;
	clock_fire(&c);
	assert_string_equal(l.text, "ac");
}

static void test_periodic(void **state)
{
	struct clock c;
	struct log l;
	struct probe p[1];

	(void)state;
	probes(p, 1, &c, &l);
	p[0].period = 10;
	timer_arm(&p[0].t, 10);
	for (c.now = 0; c.now <= 40; c.now++)
		if (c.next <= c.now)
			clock_fire(&c);
	assert_string_equal(l.text, "aaaa");
	timer_disarm(&p[0].t);
	timer_disarm(&p[0].t);
	assert_true(c.next == UINT64_MAX);
}

static void test_state_hash(void **state)
{
	struct sample {
		u32 a;
		u8 b[3];
	} s = {1, {2, 3, 4}};
	const struct state_row rows[] = {STATE(1, struct sample, a), STATE_ARRAY(2, struct sample, b)};
	u64 h = state_hash(0, rows, 2, &s);

	(void)state;
	assert_true(h == state_hash(0, rows, 2, &s));
	assert_true(h != state_hash(1, rows, 2, &s));
	for (unsigned bit = 0; bit < 8; bit++) {
		s.b[2] ^= (u8)(1u << bit);
		assert_true(h != state_hash(0, rows, 2, &s));
		s.b[2] ^= (u8)(1u << bit);
	}
	assert_true(state_mix(0, "\0", 1) != state_mix(0, "\0\0", 2));
}

static void test_alloc_knob(void **state)
{
	struct alloc_knob k = {.fail_at = 2};
	struct err e;

	(void)state;
	base_alloc_knob(&k);
	u8 *p = base_alloc(8);
	assert_non_null(p);
	assert_null(base_alloc(8));
	assert_non_null(p = base_realloc(p, 16));
	base_free(p);
	base_alloc_knob(NULL);
	assert_int_equal(err_set(&e, ST_IO, "%s: %d", "x", 3), ST_IO);
	assert_string_equal(e.text, "x: 3");
	assert_int_equal(err_set(NULL, ST_ARG, "nobody reads"), ST_ARG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_order),      cmocka_unit_test(test_inside_callbacks),
	        cmocka_unit_test(test_periodic),   cmocka_unit_test(test_state_hash),
	        cmocka_unit_test(test_alloc_knob),
	};
	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
