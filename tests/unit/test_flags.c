/* Lazy flags against a straightforward evaluation, for every kind of operation at every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cpu/state/flags.h"
#include "report.h"
#include "rnd.h"

/* Values whose carries and signs matter come up often. */
static u64 operand(unsigned size)
{
	static const u64 special[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x7fffffff, 0x80000000, ~0ull, 1ull << 63, ~0ull >> 1};

	return low_bytes(rnd() & 3 ? rnd() : special[rnd() % ARRAY_LEN(special)], size);
}

static bool bit(u64 v, unsigned n)
{
	return (v >> n) & 1;
}

static u32 result_flags(u64 r, unsigned size)
{
	unsigned ones = 0;

	for (unsigned k = 0; k < 8; k++)
		ones += bit(r, k);
	return (ones % 2 ? 0u : FL_PF) | (low_bytes(r, size) == 0 ? FL_ZF : 0u) | (bit(r, size * 8 - 1) ? FL_SF : 0u);
}

/* A ripple adder, bit by bit: CF, AF, OF as the manual words them. Subtraction adds the complement and inverts carries. */
static u32 adder_flags(u64 a, u64 b, bool carry, bool subtract, unsigned size, u64 *sum)
{
	unsigned n = size * 8;
	bool before_top = false, aux = false, c = carry != subtract;

	*sum = 0;
	for (unsigned k = 0; k < n; k++) {
		bool x = bit(a, k), y = bit(b, k) != subtract;

		before_top = c;
		*sum |= (u64)(x ^ y ^ c) << k;
		c = (x && y) || (x && c) || (y && c);
		if (k == 3)
			aux = c;
	}
	return result_flags(*sum, size) | (c != before_top ? FL_OF : 0u) | (c != subtract ? FL_CF : 0u) | (aux != subtract ? FL_AF : 0u);
}

/* Each condition once more, from the materialised flags and the manual's table. */
static bool condition(u32 f, unsigned cc)
{
	bool cf = f & FL_CF, zf = f & FL_ZF, sf = f & FL_SF, of = f & FL_OF, pf = f & FL_PF;
	const bool v[8] = {of, cf, zf, cf || zf, sf, pf, sf != of, zf || sf != of};

	return v[cc / 2] != (cc & 1);
}

static void check(struct cpu *c, u32 expect)
{
	struct cpu lazy = *c;

	assert_int_equal(cc_cf(&lazy), !!(expect & FL_CF));
	assert_int_equal(cc_of(&lazy), !!(expect & FL_OF));
	for (unsigned cc = 0; cc < 16; cc++)
		assert_int_equal(cc_eval(&lazy, cc), condition(expect, cc));
	assert_int_equal(flags_get(&lazy) & FL_ARITH, expect);
	assert_int_equal(lazy.cc_op, CC_FLAGS);
	assert_int_equal(lazy.rflags & ~(u32)FL_ARITH, c->rflags & ~(u32)FL_ARITH);
	for (unsigned cc = 0; cc < 16; cc++)
		assert_int_equal(cc_eval(&lazy, cc), condition(expect, cc));
}

static struct cpu *fresh(void)
{
	static struct cpu c;

	c.rflags = ((u32)rnd() & FL_ALL) | FL_1;
	c.cc_op = CC_FLAGS;
	return &c;
}

static void add_and_sub(void **state)
{
	(void)state;
	drawn_begin();
	for (unsigned size = 1; size <= 8; size *= 2)
		for (unsigned k = 0; k < 20000; k++) {
			u64 a = operand(size), b = operand(size), r;
			struct cpu *c = fresh();
			u32 f = adder_flags(a, b, false, false, size, &r);

			cc_set(c, CC_ADD, size, r, a, b);
			check(c, f);
			f = adder_flags(a, b, false, true, size, &r);
			cc_set(c, CC_SUB, size, r, a, b);
			check(c, f);
		}
	drawn_end(4 * 20000);
}

static void carry_vectors(void **state)
{
	(void)state;
	drawn_begin();
	for (unsigned size = 1; size <= 8; size *= 2)
		for (unsigned k = 0; k < 20000; k++) {
			u64 a = operand(size), b = operand(size), r;
			bool cin = rnd() & 1;
			struct cpu *c = fresh();
			u32 f = adder_flags(a, b, cin, false, size, &r);

			cc_set(c, CC_COUT, size, r, low_bytes((a & b) | ((a | b) & ~r), size), 0);
			check(c, f);
			f = adder_flags(a, b, cin, true, size, &r);
			cc_set(c, CC_COUT, size, r, low_bytes((~a & b) | ((~a | b) & r), size), 0);
			check(c, f);
		}
	drawn_end(4 * 20000);
}

static void inc_and_dec(void **state)
{
	(void)state;
	drawn_begin();
	for (unsigned size = 1; size <= 8; size *= 2)
		for (unsigned k = 0; k < 20000; k++) {
			u64 a = operand(size), r;
			bool cf = rnd() & 1;
			struct cpu *c = fresh();
			u32 f = adder_flags(a, 1, false, false, size, &r);

			cc_set(c, CC_INC, size, r, 0, cf);
			check(c, (f & ~(u32)FL_CF) | cf);
			f = adder_flags(a, 1, false, true, size, &r);
			cc_set(c, CC_DEC, size, r, 0, cf);
			check(c, (f & ~(u32)FL_CF) | cf);
		}
	drawn_end(4 * 20000);
}

static void logic_and_shifts(void **state)
{
	(void)state;
	drawn_begin();
	for (unsigned size = 1; size <= 8; size *= 2)
		for (unsigned k = 0; k < 20000; k++) {
			u64 r = operand(size);
			bool cf = rnd() & 1, of = rnd() & 1;
			struct cpu *c = fresh();

			cc_set(c, CC_LOGIC, size, r, rnd(), rnd());
			check(c, result_flags(r, size));
			cc_set_co(c, size, r, cf, of);
			check(c, result_flags(r, size) | (cf ? FL_CF : 0u) | (of ? FL_OF : 0u));
		}
	drawn_end(4 * 20000);
}

static void partial_updates(void **state)
{
	(void)state;
	drawn_begin();
	for (unsigned k = 0; k < 20000; k++) {
		u64 a = operand(4), b = operand(4), r;
		bool cf = rnd() & 1, of = rnd() & 1;
		struct cpu *c = fresh();
		u32 f = adder_flags(a, b, false, true, 4, &r);

		cc_set(c, CC_SUB, 4, r, a, b);
		cc_set_cf(c, cf);
		check(c, (f & ~(u32)FL_CF) | (cf ? FL_CF : 0u));
		cc_set(c, CC_SUB, 4, r, a, b);
		cc_set_cf_of(c, cf, of);
		check(c, (f & ~(u32)(FL_CF | FL_OF)) | (cf ? FL_CF : 0u) | (of ? FL_OF : 0u));
	}
	drawn_end(20000);
}

static void set_raw(void **state)
{
	struct cpu *c = fresh();

	(void)state;
	flags_set(c, 0);
	assert_int_equal(flags_get(c), FL_1);
	flags_set(c, ~0u);
	assert_int_equal(flags_get(c), FL_ALL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(add_and_sub),	    cmocka_unit_test(carry_vectors),   cmocka_unit_test(inc_and_dec),
		cmocka_unit_test(logic_and_shifts), cmocka_unit_test(partial_updates), cmocka_unit_test(set_raw),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
