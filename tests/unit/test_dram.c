/* What becomes of memory behind a reset: the DRAM controller of the northbridge alone, with a firmware that may change its mind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dev/pci.h"
#include "report.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define RAM (64 * MIB)

enum { SLOT = 0x18, MAP = SLOT << 3 | 1, CONTROL = SLOT << 3 | 2 };
enum { INIT_DRAM = 1, EXIT_SELF_REF = 2 };

struct pc {
	struct clock clock;
	struct bus bus;
	struct pci_bus pci;
	struct device *dram;
	bool keep; /* MemClrDis, as the reset found it */
};

static bool keeps(void *arg)
{
	return ((struct pc *)arg)->keep;
}

static int setup(void **state)
{
	struct pc *pc = calloc(1, sizeof(*pc));
	struct err err;

	clock_init(&pc->clock);
	if (bus_init(&pc->bus, &pc->clock, NULL, RAM, 32 * MIB, &err) != ST_OK)
		return -1;
	pc->pci.bus = &pc->bus;
	const struct dev_env env = {.bus = &pc->bus, .clock = &pc->clock, .pci = &pc->pci};
	if (dram_create(&pc->dram, &env, SLOT, (struct dram_keeper){.keep = keeps, .arg = pc}) != ST_OK)
		return -1;
	*state = pc;
	return 0;
}

static int teardown(void **state)
{
	struct pc *pc = *state;

	pc->dram->ops->destroy(pc->dram);
	bus_fini(&pc->bus);
	free(pc);
	return 0;
}

/* ---- firmware ---- */

static u32 control(struct pc *pc, unsigned reg)
{
	return pci_config_read(&pc->pci, CONTROL, reg, 4);
}

static void set_control(struct pc *pc, unsigned reg, u32 v)
{
	pci_config_write(&pc->pci, CONTROL, reg, 4, v);
}

/* `mib` of DRAM, to whose configuration `high` belongs; `how`: out of nothing, or out of self refresh. */
static void enable(struct pc *pc, u64 mib, u32 high, u32 how)
{
	pci_config_write(&pc->pci, MAP, 0x40, 4, 3);
	pci_config_write(&pc->pci, MAP, 0x44, 4, (u32)((mib / 16 - 1) << 16));
	set_control(pc, 0x94, high);
	assert_int_equal(control(pc, 0xa0) & 0x201, 0);
	assert_false(dram_enabled(pc->dram));
	set_control(pc, 0x90, 0x10000 | how);
	assert_int_equal(control(pc, 0x90), 0x10000); /* what was asked for is done */
	assert_int_equal(control(pc, 0xa0) & 0x201, 0x201);
	assert_true(dram_enabled(pc->dram));
}

static void reset(struct pc *pc, bool keep)
{
	pc->keep = keep;
	pc->dram->ops->reset(pc->dram);
	assert_int_equal(control(pc, 0xa0), 0);
	assert_int_equal(control(pc, 0x90), 0);
	assert_int_equal(pci_config_read(&pc->pci, MAP, 0x44, 4), 0);
}

/* ---- memory ---- */

static u64 *words(struct pc *pc)
{
	return (u64 *)(void *)pc->bus.memory;
}

static void fill(struct pc *pc, u64 seed)
{
	for (u64 i = 0; i < RAM / 8; i++)
		words(pc)[i] = (i + 1) * (2 * seed + 1);
}

/* All of [from, to) is as fill() left it, or zero. */
static bool kept(struct pc *pc, u64 seed, u64 from, u64 to)
{
	for (u64 i = from / 8; i < to / 8; i++)
		if (words(pc)[i] != (i + 1) * (2 * seed + 1))
			return false;
	return true;
}

static bool zero(struct pc *pc, u64 from, u64 to)
{
	for (u64 i = from / 8; i < to / 8; i++)
		if (words(pc)[i])
			return false;
	return true;
}

/* ---- */

static void test_cold(void **state)
{
	struct pc *pc = *state;

	fill(pc, 1); /* what happened to be in the chips */
	enable(pc, 32, 0, INIT_DRAM);
	assert_true(zero(pc, 0, RAM));
	fill(pc, 2);
	dram_power_lost(pc->dram);
	reset(pc, true);
	enable(pc, 64, 0, INIT_DRAM);
	assert_true(zero(pc, 0, RAM));
	proves("svm.3.2.1");
}

static void test_warm(void **state)
{
	struct pc *pc = *state;

	enable(pc, 64, 3, INIT_DRAM);
	fill(pc, 3);
	reset(pc, false);
	assert_true(kept(pc, 3, 0, RAM)); /* when DRAM access is first enabled, and not before */
	enable(pc, 64, 3, INIT_DRAM);
	assert_true(zero(pc, 0, RAM));
	proves("svm.3.2.4");
	fill(pc, 4);
	reset(pc, true);
	enable(pc, 64, 3, INIT_DRAM);
	assert_true(kept(pc, 4, 0, RAM));
	reset(pc, true);
	reset(pc, true); /* and once more before DRAM was enabled */
	enable(pc, 64, 3, EXIT_SELF_REF);
	assert_true(kept(pc, 4, 0, RAM));
	proves("svm.3.2.2 svm.3.2.6");
}

/* Each of the registers that decide alone. */
static void test_changed(void **state)
{
	struct pc *pc = *state;
	static const struct {
		unsigned devfn, reg;
		u32 v;
	} row[] = {
	        {MAP, 0x40, 0x103}, {MAP, 0x44, 0x30001}, {CONTROL, 0x80, 5}, {CONTROL, 0x90, 0x80000}, {CONTROL, 0x94, 2},
	};

	for (size_t n = 0; n < ARRAY_LEN(row); n++) {
		enable(pc, 64, 0, INIT_DRAM);
		fill(pc, n);
		reset(pc, true);
		pci_config_write(&pc->pci, MAP, 0x40, 4, 3);
		pci_config_write(&pc->pci, MAP, 0x44, 4, 3 << 16);
		set_control(pc, 0x90, 0x10000);
		pci_config_write(&pc->pci, (u8)row[n].devfn, row[n].reg, 4, row[n].v);
		assert_true(kept(pc, n, 0, RAM));
		set_control(pc, 0x90, control(pc, 0x90) | INIT_DRAM);
		assert_true(zero(pc, 0, RAM));
		reset(pc, false);
	}
	proves("svm.3.2.5");
}

/* The range is that of the time before, whatever comes now; and what comes now counts the next time. */
static void test_range(void **state)
{
	struct pc *pc = *state;

	enable(pc, 48, 0, INIT_DRAM);
	fill(pc, 5);
	reset(pc, false);
	enable(pc, 16, 0, INIT_DRAM); /* smaller */
	assert_true(zero(pc, 0, 48 * MIB));
	assert_true(kept(pc, 5, 48 * MIB, RAM));
	fill(pc, 6);
	reset(pc, true);
	enable(pc, 64, 0, INIT_DRAM); /* larger, and not what it was: 16 are cleared */
	assert_true(zero(pc, 0, 16 * MIB));
	assert_true(kept(pc, 6, 16 * MIB, RAM));
	proves("svm.3.2.8");
	fill(pc, 7);
	reset(pc, true);
	enable(pc, 64, 0, INIT_DRAM); /* as it is known since then */
	assert_true(kept(pc, 7, 0, RAM));
	proves("svm.3.2.9");
}

/* Firmware that initialises DRAM once more, without a reset. */
static void test_again(void **state)
{
	struct pc *pc = *state;

	enable(pc, 64, 0, INIT_DRAM);
	fill(pc, 8);
	set_control(pc, 0x94, 2);
	set_control(pc, 0x90, 0x10000 | INIT_DRAM);
	assert_true(kept(pc, 8, 0, RAM)); /* DRAM was enabled already */
	reset(pc, true);
	enable(pc, 64, 2, INIT_DRAM);
	assert_true(kept(pc, 8, 0, RAM)); /* the shadow is of the second time */
	set_control(pc, 0x94, 1);         /* and not of a register that nobody acted upon */
	reset(pc, true);
	enable(pc, 64, 2, INIT_DRAM);
	assert_true(kept(pc, 8, 0, RAM));
	reset(pc, true);
	enable(pc, 64, 1, INIT_DRAM);
	assert_true(zero(pc, 0, RAM));
	proves("svm.3.2.3");
}

static void test_identity(void **state)
{
	struct pc *pc = *state;

	assert_int_equal(pci_config_read(&pc->pci, MAP, 0, 4), 0x11011022);
	assert_int_equal(pci_config_read(&pc->pci, CONTROL, 0, 4), 0x11021022);
	assert_int_equal(pci_config_read(&pc->pci, CONTROL, 8, 4), 0x06000000);
	set_control(pc, 0xa0, ~0u); /* MemClrStatus and DramEnabled are hardware's word */
	assert_int_equal(control(pc, 0xa0), 0);
	pci_config_write(&pc->pci, MAP, 0xf0, 4, ~0u);
	assert_int_equal(pci_config_read(&pc->pci, MAP, 0xf0, 4), 0xff00ff01);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_cold, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_warm, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_range, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_again, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
	};
	return cmocka_run_group_tests_name("dram", tests, NULL, NULL);
}
