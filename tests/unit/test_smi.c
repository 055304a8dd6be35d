/* The chipset's SMI#: its causes, its enables and its locks, bit by bit as the ICH9's data sheet has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dev/devices.h"

enum { SMI_EN = 0x630, SMI_STS = 0x634, APM_CNT = 0xb2, APM_STS = 0xb3 };
enum { GBL_SMI_EN = 1 << 0, EOS = 1 << 1, APMC = 1 << 5 };

struct pc {
	struct clock clock;
	struct bus bus;
	struct dev_env env;
	struct platform platform;
	struct device *smi;
	unsigned smis;
};

static void on_smi(void *arg)
{
	((struct pc *)arg)->smis++;
}

static u32 in(struct pc *pc, u16 port, unsigned size)
{
	return (u32)bus_port_read(&pc->bus, port, size);
}

static void out(struct pc *pc, u16 port, unsigned size, u32 v)
{
	bus_port_write(&pc->bus, port, size, v);
}

static int setup(void **state)
{
	struct pc *pc = base_alloc(sizeof(*pc));
	struct err err;

	clock_init(&pc->clock);
	if (bus_init(&pc->bus, &pc->clock, NULL, 16 << 20, 1ull << 31, &err))
		return -1;
	pc->platform = (struct platform){.smi = on_smi, .arg = pc};
	pc->env = (struct dev_env){.bus = &pc->bus, .clock = &pc->clock, .platform = &pc->platform};
	*state = pc;
	return smi_create(&pc->smi, &pc->env, 0x600) == ST_OK ? 0 : -1;
}

static int teardown(void **state)
{
	struct pc *pc = *state;

	pc->smi->ops->destroy(pc->smi);
	assert_null(pc->clock.first);
	assert_null(pc->bus.ports);
	bus_fini(&pc->bus);
	base_free(pc);
	return 0;
}

/* "APM I/O Decode": the command port asks, if APMC_EN and GBL_SMI_EN let it; the status port is for both sides' notes. */
static void apm(void **state)
{
	struct pc *pc = *state;

	out(pc, APM_STS, 1, 0x5a);
	assert_int_equal(in(pc, APM_STS, 1), 0x5a);
	out(pc, SMI_EN, 4, GBL_SMI_EN);
	out(pc, APM_CNT, 1, 0x17);
	assert_int_equal(in(pc, APM_CNT, 1), 0x17);
	assert_int_equal(in(pc, SMI_STS, 4), APMC);
	assert_int_equal(pc->smis, 0);
	out(pc, SMI_STS, 4, APMC);
	out(pc, SMI_EN, 4, APMC);
	out(pc, APM_CNT, 1, 1);
	assert_int_equal(pc->smis, 0);
	out(pc, SMI_STS, 4, APMC);
	out(pc, SMI_EN, 4, GBL_SMI_EN | APMC);
	assert_int_equal(pc->smis, 0);
	out(pc, APM_CNT, 2, 0xa501);
	assert_int_equal(pc->smis, 1);
	assert_int_equal(in(pc, APM_CNT, 2), 0xa501);
}

/* "EOS": the first SMI# goes out without it, each one clears it, the next one waits until it is set. */
static void end_of_smi(void **state)
{
	struct pc *pc = *state;

	out(pc, SMI_EN, 4, GBL_SMI_EN | APMC);
	out(pc, APM_CNT, 1, 1);
	assert_int_equal(pc->smis, 1);
	out(pc, SMI_STS, 4, APMC);
	out(pc, APM_CNT, 1, 2);
	assert_int_equal(pc->smis, 1);
	out(pc, SMI_EN, 1, GBL_SMI_EN | EOS | APMC);
	assert_int_equal(pc->smis, 2);
	assert_int_equal(in(pc, SMI_EN, 4), GBL_SMI_EN | APMC);
	out(pc, SMI_STS, 4, APMC);
	out(pc, SMI_EN, 1, GBL_SMI_EN | EOS | APMC);
	assert_int_equal(in(pc, SMI_EN, 4), GBL_SMI_EN | EOS | APMC);
	out(pc, APM_CNT, 1, 3);
	assert_int_equal(pc->smis, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(apm, setup, teardown),
	        cmocka_unit_test_setup_teardown(end_of_smi, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
