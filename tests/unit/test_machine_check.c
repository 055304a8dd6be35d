/*
 * An error that something reports: the bank, what of it reaches software, and the second one. APM 2 "Machine Check
 * Architecture".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bare.h"
#include "report.h"

#define VAL   BIT(63)
#define OVER  BIT(62)
#define EN    BIT(60)
#define ERROR (BIT(61) | BIT(58) | 0x90c23)
enum { BANK = 4, CONTROL = 13, MCIP_RIPV = 5 };

static struct pc *machine(u64 global, u64 control)
{
	static struct pc p;

	assert_true(bare_init(&p, "amd"));
	p.c->mcg_ctl = global;
	p.c->mc_bank[BANK][0] = control;
	return &p;
}

static void reported(void **state)
{
	struct pc *p = machine(BIT(BANK), BIT(CONTROL));

	(void)state;
	cpu_machine_check(p->c, BANK, CONTROL, ERROR, 0x12345678);
	assert_int_equal(p->c->mc_bank[BANK][1], ERROR | VAL | EN);
	assert_int_equal(p->c->mc_bank[BANK][2], 0x12345678);
	assert_int_equal(p->c->mcg_status, MCIP_RIPV);
	assert_true(p->c->pend & PEND_MCE);
	bare_fini(p);
}

/* A bank that is off, or an error whose bit is 0, is logged and no more. */
static void masked(void **state)
{
	static const u64 control[][2] = {{0, 0}, {BIT(BANK), 0}, {0, BIT(CONTROL)}, {~BIT(BANK), ~0ull}, {~0ull, ~BIT(CONTROL)}};

	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(control); n++) {
		struct pc *p = machine(control[n][0], control[n][1]);
		cpu_machine_check(p->c, BANK, CONTROL, ERROR, 1);
		assert_int_equal(p->c->mc_bank[BANK][1], ERROR | VAL);
		assert_int_equal(p->c->mcg_status, 0);
		assert_false(p->c->pend & PEND_MCE);
		bare_fini(p);
	}
}

/* The first error stays in the bank. While the first is not delivered yet, the second joins it. */
static void overflow(void **state)
{
	struct pc *p = machine(~0ull, ~0ull);

	(void)state;
	cpu_machine_check(p->c, BANK, CONTROL, ERROR, 1);
	cpu_machine_check(p->c, BANK, CONTROL, ERROR & ~0xffull, 2);
	assert_int_equal(p->c->mc_bank[BANK][1], ERROR | VAL | EN | OVER);
	assert_int_equal(p->c->mc_bank[BANK][2], 1);
	assert_false(p->c->mc_fatal);
	bare_fini(p);
}

/* While MCIP says that one is being handled the next one shuts the processor down, CR4.MCE or not. */
static void second(void **state)
{
	(void)state;
	for (unsigned cleared = 0; cleared < 2; cleared++) {
		struct pc *p = machine(~0ull, ~0ull);
		p->c->cr4 |= CR4_MCE;
		p->c->seg[SEG_CS] = (struct seg){.limit = 0xffff, .ar = AR_S | AR_P | AR_W | AR_A | AR_CODE};
		p->c->r[REG_RIP] = 0x8000;
		p->c->r[REG_RSP] = 0x7000;
		bus_write_u32(&p->bus, EX_MC * 4, 0x9000);        /* CLI; JMP to itself, there and here */
		bus_write_u32(&p->bus, 0x9000, 0xfeebfa);
		bus_write_u32(&p->bus, 0x8000, 0xfeebfa);
		cpu_update_mode(p->c);
		cpu_machine_check(p->c, BANK, CONTROL, ERROR, 1);
		cpu_run(p->c, p->clock.now + 100);
		assert_int_equal(p->c->r[REG_RIP] & ~3ull, 0x9000);
		assert_false(p->c->pend & PEND_MCE);
		if (cleared)
			p->c->mcg_status = 0;
		cpu_machine_check(p->c, BANK, CONTROL, ERROR, 1);
		cpu_run(p->c, p->clock.now + 100);
		assert_int_equal(p->c->activity == ACT_SHUTDOWN, !cleared);
		bare_fini(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reported), cmocka_unit_test(masked), cmocka_unit_test(overflow), cmocka_unit_test(second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
