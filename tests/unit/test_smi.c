/*
 * The chipset's SMI#: its causes, its enables and its locks, bit by bit as the ICH9's data sheet has them; where a power
 * management event goes by SCI_EN; the TCO block.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "dev/pci.h"
#include "machine/machine.h"
#include "model/model.h"

#define MS 1000000ull
#define SECOND 1000000000ull

enum { PM = 0x600, PM1_STS = PM, PM1_EN = PM + 2, PM1_CNT = PM + 4, GPE0_STS = PM + 0x20, GPE0_EN = PM + 0x28 };
enum { SMI_EN = PM + 0x30, SMI_STS = PM + 0x34, APM_CNT = 0xb2, APM_STS = 0xb3 };
enum { TCO_RLD = PM + 0x60, TCO_DAT_IN = PM + 0x62, TCO_DAT_OUT, TCO1_STS, TCO2_STS = PM + 0x66, TCO1_CNT = PM + 0x68,
       TCO2_CNT = PM + 0x6a, TCO_MESSAGE1 = PM + 0x6c, TCO_TMR = PM + 0x72 };
enum { GBL = 1 << 0, EOS = 1 << 1, BIOS = 1 << 2, SLP = 1 << 4, APMC = 1 << 5, SWSMI = 1 << 6, BIOS_RLS = 1 << 7,
       PM1 = 1 << 8, GPE0 = 1 << 9, MCSMI = 1 << 11, TCO = 1 << 13, PERIODIC = 1 << 14 };
enum { SCI_EN = 1, GBL_RLS = 4, SLP_S3 = 1 << 10, SLP_EN = 1 << 13 };
enum { LPC_EN = 0x82, GEN_PMCON_1 = 0xa0, GEN_PMCON_3 = 0xa4, GEN_PMCON_LOCK = 0xa6, BIOS_CNTL = 0xdc };

struct pc {
	struct clock clock;
	struct bus bus;
	struct dev_env env;
	struct platform platform;
	struct irq_line line;
	struct pci_bus *pci;
	struct device *smi, *pm, *tco, *bridge, *lpc;
	unsigned smis, sleeps, resets;
	bool sci;
};

static void on_smi(void *arg)
{
	((struct pc *)arg)->smis++;
}

static void on_sleep(void *arg)
{
	((struct pc *)arg)->sleeps++;
}

static void on_reset(void *arg)
{
	((struct pc *)arg)->resets++;
}

static void on_sci(void *arg, unsigned n, bool level)
{
	(void)n;
	((struct pc *)arg)->sci = level;
}

static void on_release(void *arg)
{
	acpipm_bios_release(((struct pc *)arg)->pm);
}

static u32 in(struct pc *pc, u16 port, unsigned size)
{
	return (u32)bus_port_read(&pc->bus, port, size);
}

static void out(struct pc *pc, u16 port, unsigned size, u32 v)
{
	bus_port_write(&pc->bus, port, size, v);
}

static u32 config(struct pc *pc, unsigned reg, unsigned size)
{
	return pci_config_read(pc->pci, LPC_DEVFN, reg, size);
}

static void configure(struct pc *pc, unsigned reg, unsigned size, u32 v)
{
	pci_config_write(pc->pci, LPC_DEVFN, reg, size, v);
}

static void run_to(struct pc *pc, u64 when)
{
	while (pc->clock.next <= when) {
		pc->clock.now = pc->clock.next;
		clock_fire(&pc->clock);
	}
	pc->clock.now = when;
}

static void run(struct pc *pc, u64 ns)
{
	run_to(pc, pc->clock.now + ns);
}

/* The end of a handler: its cause is dealt with, and another SMI# may come. */
static void handled(struct pc *pc, u32 cause)
{
	out(pc, SMI_STS, 4, cause);
	out(pc, SMI_EN, 1, in(pc, SMI_EN, 1) | EOS);
}

static void make(struct pc *pc)
{
	const struct irq_line none[24] = {{0}};

	pc->line = (struct irq_line){.set = on_sci, .arg = pc};
	assert_int_equal(smi_create(&pc->smi, &pc->env, PM, (struct smi_sink){.bios_release = on_release, .arg = pc}), ST_OK);
	assert_int_equal(acpipm_create(&pc->pm, &pc->env, PM, pc->line, pc->smi), ST_OK);
	assert_int_equal(tco_create(&pc->tco, &pc->env, PM, pc->smi), ST_OK);
	assert_int_equal(q35_create(&pc->bridge, &pc->env, &pc->pci), ST_OK);
	pc->env.pci = pc->pci;
	assert_int_equal(lpc_create(&pc->lpc, &pc->env, none), ST_OK);
	lpc_set_blocks(pc->lpc, (struct lpc_blocks){.pm = pc->pm, .smi = pc->smi, .tco = pc->tco});
}

static int setup(void **state)
{
	struct pc *pc = base_alloc(sizeof(*pc));
	struct err err;

	clock_init(&pc->clock);
	if (bus_init(&pc->bus, &pc->clock, NULL, 16 << 20, 1ull << 31, &err))
		return -1;
	pc->platform = (struct platform){.smi = on_smi, .sleep = on_sleep, .reset = on_reset, .arg = pc};
	pc->env = (struct dev_env){.bus = &pc->bus, .clock = &pc->clock, .platform = &pc->platform};
	make(pc);
	*state = pc;
	return 0;
}

static int teardown(void **state)
{
	struct pc *pc = *state;
	struct device *made[] = {pc->lpc, pc->bridge, pc->tco, pc->pm, pc->smi};

	for (size_t n = 0; n < ARRAY_LEN(made); n++)
		made[n]->ops->destroy(made[n]);
	assert_null(pc->clock.first);
	assert_null(pc->bus.ports);
	bus_fini(&pc->bus);
	base_free(pc);
	return 0;
}

/* ---- SMI_EN, SMI_STS ---- */

/* "APM I/O Decode": the command port asks if APMC_EN and GBL_SMI_EN let it; the status port is for both sides' notes. */
static void apm(void **state)
{
	struct pc *pc = *state;

	out(pc, APM_STS, 1, 0x5a);
	assert_int_equal(in(pc, APM_STS, 1), 0x5a);
	out(pc, SMI_EN, 4, GBL);
	out(pc, APM_CNT, 1, 0x17);
	assert_int_equal(in(pc, APM_CNT, 1), 0x17);
	assert_int_equal(in(pc, SMI_STS, 4), 0);
	out(pc, SMI_EN, 4, APMC);
	out(pc, APM_CNT, 1, 1);
	assert_int_equal(in(pc, SMI_STS, 4), APMC);
	assert_int_equal(pc->smis, 0);
	out(pc, SMI_STS, 4, APMC);
	out(pc, SMI_EN, 4, GBL | APMC);
	assert_int_equal(pc->smis, 0);
	out(pc, APM_CNT, 2, 0xa501);
	assert_int_equal(pc->smis, 1);
	assert_int_equal(in(pc, APM_CNT, 2), 0xa501);
}

/* "EOS": the first SMI# goes out without it, each one clears it, the next one waits until it is set. */
static void end_of_smi(void **state)
{
	struct pc *pc = *state;

	out(pc, SMI_EN, 4, GBL | APMC);
	out(pc, APM_CNT, 1, 1);
	assert_int_equal(pc->smis, 1);
	out(pc, SMI_STS, 4, APMC);
	out(pc, APM_CNT, 1, 2);
	assert_int_equal(pc->smis, 1);
	out(pc, SMI_EN, 1, GBL | EOS | APMC);
	assert_int_equal(pc->smis, 2);
	assert_int_equal(in(pc, SMI_EN, 4), GBL | APMC);
	out(pc, SMI_EN, 1, GBL | EOS | APMC); /* nobody has dealt with it: the next one comes at once */
	assert_int_equal(pc->smis, 3);
	out(pc, SMI_STS, 4, APMC);
	out(pc, SMI_EN, 1, GBL | EOS | APMC);
	assert_int_equal(in(pc, SMI_EN, 4), GBL | EOS | APMC);
	out(pc, SMI_EN, 1, GBL | APMC); /* writing 0 takes nothing back */
	out(pc, APM_CNT, 1, 3);
	assert_int_equal(pc->smis, 4);
}

static void bits_kept(void **state)
{
	struct pc *pc = *state;

	out(pc, SMI_EN, 4, ~(u32)(GBL | BIOS_RLS));
	assert_int_equal(in(pc, SMI_EN, 4), 0x6687e & ~BIOS_RLS);
	out(pc, SMI_EN + 1, 1, 0);
	assert_int_equal(in(pc, SMI_EN, 4), 0x6007e);
	assert_int_equal(in(pc, SMI_EN + 2, 2), 6);
	out(pc, SMI_STS, 4, ~0u);
	assert_int_equal(in(pc, SMI_STS, 4), 0);
	assert_int_equal(in(pc, PM + 0x38, 4), 0); /* ALT_GP_SMI: no inputs */
}

/* "SMI_STS": each bit is cleared by its own one, by an access of any width. */
static void status_clears(void **state)
{
	struct pc *pc = *state;

	out(pc, SMI_EN, 4, APMC | SLP);
	out(pc, APM_CNT, 1, 1);
	out(pc, PM1_CNT, 2, SLP_EN | GBL_RLS);
	assert_int_equal(in(pc, SMI_STS, 4), APMC | SLP | BIOS);
	out(pc, SMI_STS, 1, APMC);
	assert_int_equal(in(pc, SMI_STS, 4), SLP | BIOS);
	out(pc, SMI_STS + 1, 1, 0xff);
	assert_int_equal(in(pc, SMI_STS, 4), SLP | BIOS);
	out(pc, SMI_STS, 4, SLP);
	assert_int_equal(in(pc, SMI_STS, 4), BIOS);
	out(pc, SMI_STS, 2, BIOS);
	assert_int_equal(in(pc, SMI_STS, 4), 0);
}

/* "SMI_LOCK": GBL_SMI_EN stays what it is, either way, and so does the lock, until a reset. */
static void smi_lock(void **state)
{
	struct pc *pc = *state;

	for (u32 on = 0; on < 2; on++) {
		out(pc, SMI_EN, 4, on ? GBL : 0);
		configure(pc, GEN_PMCON_1, 1, 0x10);
		out(pc, SMI_EN, 4, (on ? 0 : GBL) | APMC | BIOS);
		assert_int_equal(in(pc, SMI_EN, 4), (on ? GBL : 0) | APMC | BIOS);
		configure(pc, GEN_PMCON_1, 1, 0x03);
		assert_int_equal(config(pc, GEN_PMCON_1, 1), 0x13); /* the rate is no part of it */
		pc->lpc->ops->reset(pc->lpc);
		assert_int_equal(config(pc, GEN_PMCON_1, 1), 0);
		out(pc, SMI_EN, 4, on ? 0 : GBL);
		assert_int_equal(in(pc, SMI_EN, 4), on ? 0 : GBL);
	}
	configure(pc, GEN_PMCON_1, 2, 0xffff);
	assert_int_equal(config(pc, GEN_PMCON_1, 2), 0x0673); /* PWRBTN_LVL reads as not pressed */
}

/* "ACPI_BASE_LOCK" */
static void base_lock(void **state)
{
	struct pc *pc = *state;

	configure(pc, 0x40, 4, 0x1001);
	assert_int_equal(in(pc, 0x1030, 4), 0);
	assert_int_equal(in(pc, SMI_EN, 4), 0xffffffff);
	assert_int_equal(in(pc, 0x1072, 2), 4); /* TCO_TMR came along */
	configure(pc, GEN_PMCON_LOCK, 1, 0xff);
	assert_int_equal(config(pc, GEN_PMCON_LOCK, 1), 2);
	configure(pc, 0x40, 4, 0x601);
	assert_int_equal(config(pc, 0x40, 4), 0x1001);
	configure(pc, GEN_PMCON_LOCK, 1, 0);
	assert_int_equal(config(pc, GEN_PMCON_LOCK, 1), 2);
	pc->lpc->ops->reset(pc->lpc);
	assert_int_equal(in(pc, SMI_EN, 4), 0);
	configure(pc, 0x40, 4, 0x1001);
	assert_int_equal(in(pc, 0x1030, 4), 0);
}

/* ---- releases ---- */

/* "BIOS_RLS" is an SCI by GBL_STS, whatever SCI_EN says; "GBL_RLS" an SMI by BIOS_STS. Both read as 0. */
static void releases(void **state)
{
	struct pc *pc = *state;

	out(pc, SMI_EN, 4, GBL | BIOS_RLS);
	assert_int_equal(in(pc, SMI_EN, 4), GBL);
	assert_int_equal(in(pc, PM1_STS, 2), 1 << 5);
	assert_false(pc->sci);
	out(pc, PM1_EN, 2, 1 << 5);
	assert_true(pc->sci);
	out(pc, PM1_CNT, 2, SCI_EN);
	assert_true(pc->sci);
	out(pc, PM1_STS, 2, 1 << 5);
	assert_false(pc->sci);
	assert_int_equal(pc->smis, 0);

	out(pc, PM1_CNT, 2, SCI_EN | GBL_RLS);
	assert_int_equal(in(pc, PM1_CNT, 2), SCI_EN);
	assert_int_equal(in(pc, SMI_STS, 4), BIOS);
	assert_int_equal(pc->smis, 0);
	out(pc, SMI_EN, 4, GBL | BIOS); /* it is there already */
	assert_int_equal(pc->smis, 1);
	handled(pc, BIOS);
	out(pc, PM1_CNT, 2, SCI_EN | GBL_RLS);
	assert_int_equal(pc->smis, 2);
}

/* "SLP_SMI_EN": an SMI in place of the sleep that was asked for. */
static void sleep_trap(void **state)
{
	struct pc *pc = *state;

	out(pc, SMI_EN, 4, GBL | SLP);
	out(pc, PM1_CNT, 2, SLP_S3);
	assert_int_equal(pc->smis, 0);
	out(pc, PM1_CNT, 2, SLP_S3 | SLP_EN);
	assert_int_equal(pc->smis, 1);
	assert_int_equal(pc->sleeps, 0);
	assert_int_equal(in(pc, SMI_STS, 4), SLP);
	assert_int_equal(in(pc, PM1_CNT, 2), SLP_S3);
	out(pc, SMI_EN, 4, GBL);
	out(pc, PM1_CNT, 2, SLP_S3 | SLP_EN);
	assert_int_equal(pc->sleeps, 1);
	assert_int_equal(pc->smis, 1);
}

/* ---- timers ---- */

/* "SWSMI_RATE_SEL": 1.5, 16, 32, 64 ms; once for each time the bit goes to 1. */
static void software_timer(void **state)
{
	static const u64 rate[4] = {1500000, 16 * MS, 32 * MS, 64 * MS};
	struct pc *pc = *state;

	for (u32 n = 0; n < 4; n++) {
		pc->smis = 0;
		configure(pc, GEN_PMCON_3, 1, n << 6);
		out(pc, SMI_EN, 4, GBL | SWSMI);
		run(pc, rate[n] - 1);
		assert_int_equal(pc->smis, 0);
		assert_int_equal(in(pc, SMI_STS, 4), 0);
		run(pc, 1);
		assert_int_equal(pc->smis, 1);
		assert_int_equal(in(pc, SMI_STS, 4), SWSMI);
		assert_int_equal(in(pc, SMI_EN, 4), GBL | SWSMI);
		handled(pc, SWSMI);
		run(pc, 5 * rate[n]);
		assert_int_equal(pc->smis, 1);
		out(pc, SMI_EN, 4, GBL);
		out(pc, SMI_EN, 4, GBL | SWSMI);
		run(pc, rate[n] - 1);
		out(pc, SMI_EN, 4, GBL); /* "clearing it before the timer expires": no SMI# */
		run(pc, 5 * rate[n]);
		assert_int_equal(pc->smis, 1);
		assert_int_equal(in(pc, SMI_STS, 4), 0);
	}
	assert_null(pc->clock.first);
}

/* "PER_SMI_SEL": 64, 32, 16, 8 s; the status comes whether enabled or not. */
static void periodic_timer(void **state)
{
	struct pc *pc = *state;

	for (u32 n = 0; n < 4; n++) {
		u64 period = (64 * SECOND) >> n, from = (pc->clock.now / period + 1) * period;
		pc->smis = 0;
		configure(pc, GEN_PMCON_1, 1, n);
		assert_int_equal(in(pc, SMI_STS, 4), 0); /* another rate is no event */
		run_to(pc, from);
		assert_int_equal(in(pc, SMI_STS, 4), PERIODIC);
		out(pc, SMI_STS, 4, PERIODIC);
		assert_null(pc->clock.first);
		out(pc, SMI_EN, 4, GBL | PERIODIC);
		run(pc, period - 1);
		assert_int_equal(pc->smis, 0);
		run(pc, 1);
		assert_int_equal(pc->smis, 1);
		handled(pc, PERIODIC);
		run(pc, 3 * period); /* nobody deals with those */
		assert_int_equal(pc->smis, 2);
		handled(pc, PERIODIC);
		out(pc, SMI_EN, 4, GBL | EOS);
		run(pc, period);
		out(pc, SMI_STS, 4, PERIODIC);
		assert_int_equal(pc->smis, 2);
	}
}

/* ---- events and traps ---- */

/* "MCSMI_EN": ports 62h and 66h, while LPC_EN sends them to a microcontroller. */
static void microcontroller(void **state)
{
	struct pc *pc = *state;

	out(pc, SMI_EN, 4, GBL | MCSMI | EOS);
	in(pc, 0x62, 1);
	out(pc, 0x66, 1, 0);
	assert_int_equal(in(pc, SMI_STS, 4), 0);
	configure(pc, LPC_EN, 2, 1 << 11);
	assert_int_equal(in(pc, 0x62, 1), 0xff);
	assert_int_equal(pc->smis, 1);
	handled(pc, MCSMI);
	out(pc, 0x62, 1, 1);
	assert_int_equal(pc->smis, 2);
	handled(pc, MCSMI);
	in(pc, 0x66, 1);
	assert_int_equal(pc->smis, 3);
	handled(pc, MCSMI);
	in(pc, 0x63, 1);
	assert_int_equal(pc->smis, 3);
	out(pc, SMI_EN, 4, GBL);
	out(pc, 0x66, 1, 1);
	assert_int_equal(pc->smis, 3);
	assert_int_equal(in(pc, SMI_STS, 4), MCSMI); /* the status is that of the access */
}

/* "Causes of SMI# and SCI": an SCI with SCI_EN = 1, an SMI# with SCI_EN = 0, never both. */
static void power_events(void **state)
{
	enum { TMR = 1, PWRBTN = 1 << 8, RTC = 1 << 10 };
	struct pc *pc = *state;

	out(pc, SMI_EN, 4, GBL | EOS);
	for (unsigned acpi = 0; acpi < 2; acpi++) {
		pc->smis = 0;
		out(pc, PM1_CNT, 2, acpi ? SCI_EN : 0);
		acpipm_power_button(pc->pm);
		acpipm_rtc(pc->pm);
		acpipm_gpe(pc->pm, 3);
		assert_int_equal(in(pc, SMI_STS, 4), 0); /* nothing is enabled */
		out(pc, PM1_EN, 2, PWRBTN);
		assert_int_equal(pc->sci, acpi);
		assert_int_equal(pc->smis, !acpi);
		assert_int_equal(in(pc, SMI_STS, 4), acpi ? 0 : PM1);
		out(pc, SMI_STS, 4, PM1); /* RO: an OR of others */
		assert_int_equal(in(pc, SMI_STS, 4), acpi ? 0 : PM1);
		out(pc, PM1_STS, 2, PWRBTN);
		assert_int_equal(in(pc, SMI_STS, 4), 0);
		assert_false(pc->sci);
		handled(pc, 0);
		out(pc, PM1_EN, 2, RTC);
		assert_int_equal(pc->smis, acpi ? 0 : 2);
		out(pc, PM1_EN, 2, 0);
		handled(pc, 0);
		out(pc, GPE0_EN, 4, 8);
		assert_int_equal(in(pc, SMI_STS, 4), acpi ? 0 : GPE0);
		assert_int_equal(pc->sci, acpi);
		assert_int_equal(pc->smis, acpi ? 0 : 3);
		out(pc, GPE0_STS, 4, 8);
		assert_int_equal(in(pc, SMI_STS, 4), 0);
		handled(pc, 0);
		out(pc, PM1_STS, 2, 0xffff);
		out(pc, PM1_EN, 2, TMR);
		run(pc, 3 * SECOND);
		assert_int_equal(pc->sci, acpi);
		assert_int_equal(pc->smis, acpi ? 0 : 4);
		out(pc, PM1_EN, 2, 0);
		out(pc, PM1_STS, 2, 0xffff);
		out(pc, GPE0_EN, 4, 0);
		handled(pc, 0);
	}
}

/* An event that waits changes sides with SCI_EN. */
static void acpi_mode(void **state)
{
	struct pc *pc = *state;

	out(pc, SMI_EN, 4, GBL);
	out(pc, PM1_CNT, 2, SCI_EN);
	out(pc, PM1_EN, 2, 1 << 8);
	acpipm_power_button(pc->pm);
	assert_true(pc->sci);
	out(pc, PM1_CNT, 2, 0);
	assert_false(pc->sci);
	assert_int_equal(pc->smis, 1);
	out(pc, PM1_CNT, 2, SCI_EN);
	assert_true(pc->sci);
	handled(pc, 0);
	assert_int_equal(pc->smis, 1);
}

/* ---- BIOS_CNTL and TCO ---- */

/* "BLE": from then on who sets BIOSWE causes an SMI#; it falls by a reset alone. */
static void bios_lock(void **state)
{
	struct pc *pc = *state;

	out(pc, SMI_EN, 4, GBL | TCO);
	configure(pc, BIOS_CNTL, 1, 1);
	assert_int_equal(pc->smis, 0);
	configure(pc, BIOS_CNTL, 1, 0xfe);
	assert_int_equal(config(pc, BIOS_CNTL, 1), 0x0e);
	assert_int_equal(pc->smis, 0);
	configure(pc, BIOS_CNTL, 1, 1);
	assert_int_equal(config(pc, BIOS_CNTL, 1), 3);
	assert_int_equal(pc->smis, 1);
	assert_int_equal(in(pc, TCO1_STS, 2), 1 << 8);
	assert_int_equal(in(pc, SMI_STS, 4), TCO);
	configure(pc, BIOS_CNTL, 1, 0);
	out(pc, TCO1_STS, 2, 1 << 8);
	handled(pc, TCO);
	assert_int_equal(in(pc, SMI_STS, 4), 0);
	configure(pc, BIOS_CNTL, 1, 1);
	assert_int_equal(pc->smis, 2);
	pc->lpc->ops->reset(pc->lpc);
	assert_int_equal(config(pc, BIOS_CNTL, 1), 0);
}

/* "TCO_EN", "TCO_LOCK", and the data registers between an operating system and its handler. */
static void tco_software(void **state)
{
	struct pc *pc = *state;

	out(pc, SMI_EN, 4, GBL);
	out(pc, TCO_DAT_IN, 1, 0x33);
	assert_int_equal(in(pc, TCO_DAT_IN, 1), 0x33);
	assert_int_equal(in(pc, TCO1_STS, 2), 2);
	assert_int_equal(in(pc, SMI_STS, 4), TCO);
	assert_int_equal(pc->smis, 0);
	out(pc, SMI_EN, 4, GBL | TCO);
	assert_int_equal(pc->smis, 1);
	out(pc, TCO1_STS, 2, 2);
	handled(pc, TCO);
	out(pc, TCO_DAT_OUT, 1, 0x44);
	assert_int_equal(in(pc, TCO_DAT_OUT, 1), 0x44);
	assert_int_equal(in(pc, TCO1_STS, 2), 4); /* an interrupt's, no SMI's */
	assert_int_equal(in(pc, SMI_STS, 4), 0);
	out(pc, TCO_MESSAGE1, 2, 0x2211);
	assert_int_equal(in(pc, TCO_MESSAGE1 + 1, 1), 0x22);
	assert_int_equal(in(pc, TCO2_CNT, 2), 8);
	out(pc, TCO1_CNT, 2, 1 << 12);
	out(pc, SMI_EN, 4, GBL);
	assert_int_equal(in(pc, SMI_EN, 4) & (GBL | TCO), GBL | TCO);
	out(pc, TCO1_CNT, 2, 0);
	assert_int_equal(in(pc, TCO1_CNT, 2), 1 << 12);
	pc->tco->ops->reset(pc->tco);
	out(pc, SMI_EN, 4, GBL);
	assert_int_equal(in(pc, SMI_EN, 4) & (GBL | TCO), GBL);
}

/* "TCO_TMR", "TIMEOUT", "SECOND_TO_STS": 0.6 s a tick, an SMI# at the first end, a reset at the second. */
static void tco_timer(void **state)
{
	const u64 tick = 600 * MS;
	struct pc *pc = *state;

	run(pc, 100 * SECOND);
	assert_int_equal(in(pc, TCO1_STS, 2), 0);
	out(pc, SMI_EN, 4, GBL | TCO);
	out(pc, TCO_TMR, 2, 5);
	out(pc, TCO_RLD, 2, 1);
	assert_int_equal(in(pc, TCO_RLD, 2), 5);
	run(pc, 2 * tick);
	assert_int_equal(in(pc, TCO_RLD, 2), 3);
	out(pc, TCO1_CNT, 2, 1 << 11);
	run(pc, 50 * tick);
	assert_int_equal(in(pc, TCO_RLD, 2), 3);
	out(pc, TCO1_CNT, 2, 0);
	run(pc, 3 * tick - 1);
	assert_int_equal(pc->smis, 0);
	run(pc, 1);
	assert_int_equal(pc->smis, 1);
	assert_int_equal(in(pc, TCO1_STS, 2), 1 << 3);
	assert_int_equal(in(pc, TCO_RLD, 2), 5);
	out(pc, TCO1_STS, 2, 1 << 3);
	handled(pc, TCO);
	run(pc, 5 * tick);
	assert_int_equal(pc->smis, 2);
	assert_int_equal(pc->resets, 0);
	out(pc, TCO_TMR, 2, 1); /* ignored */
	run(pc, 5 * tick - 1);
	assert_int_equal(pc->resets, 0);
	run(pc, 1);
	assert_int_equal(pc->resets, 1);
	assert_int_equal(in(pc, TCO2_STS, 2), 6);
	pc->tco->ops->reset(pc->tco);
	assert_int_equal(in(pc, TCO1_STS, 2), 0);
	assert_int_equal(in(pc, TCO2_STS, 2), 6); /* whoever comes up may ask */
	out(pc, TCO2_STS, 2, 6);
	assert_int_equal(in(pc, TCO2_STS, 2), 0);
}

/* ---- resets, S3, snapshots ---- */

/* The core well goes with a reset as with S3: "Power Well"; what is in the RTC well stays. */
static void wells(void **state)
{
	struct pc *pc = *state;

	configure(pc, GEN_PMCON_3, 1, 0xc1);
	out(pc, SMI_EN, 4, GBL | APMC | SWSMI);
	out(pc, APM_CNT, 2, 0x2211);
	assert_int_equal(pc->smis, 1);
	assert_null(pc->smi->ops->sleep); /* a reset, then */
	assert_null(pc->tco->ops->sleep);
	assert_null(pc->lpc->ops->sleep);
	pc->smi->ops->reset(pc->smi);
	pc->lpc->ops->reset(pc->lpc);
	assert_int_equal(in(pc, SMI_EN, 4), 0);
	assert_int_equal(in(pc, SMI_STS, 4), 0);
	assert_int_equal(in(pc, APM_CNT, 2), 0);
	assert_null(pc->clock.first);
	assert_int_equal(config(pc, GEN_PMCON_3, 1), 0xc1);
	out(pc, SMI_EN, 4, GBL | APMC);
	out(pc, APM_CNT, 1, 1); /* "able to generate the first SMI# after reset even though EOS is not set" */
	assert_int_equal(pc->smis, 2);
	out(pc, SMI_STS, 4, APMC);
	out(pc, SMI_EN, 4, GBL | SWSMI | EOS);
	run(pc, 64 * MS - 1);
	assert_int_equal(pc->smis, 2);
	run(pc, 1);
	assert_int_equal(pc->smis, 3);
}

static void copy_rows(struct device *to, const struct device *from)
{
	for (size_t n = 0; n < from->ops->row_count; n++) {
		const struct state_row *r = &from->ops->rows[n];
		memcpy((u8 *)to + r->offset, (const u8 *)from + r->offset, (size_t)r->width * r->count);
	}
}

/* Timers that run, a lock, an SMI# that nobody has dealt with: the rows are all of it. */
static void restored(void **state)
{
	struct pc *a = *state, *b = NULL;
	void *other;

	assert_int_equal(setup(&other), 0);
	b = other;
	run(a, 10 * SECOND);
	configure(a, GEN_PMCON_3, 1, 0x80);
	configure(a, LPC_EN, 2, 1 << 11);
	out(a, SMI_EN, 4, GBL | APMC | SWSMI | PERIODIC);
	configure(a, GEN_PMCON_1, 1, 0x13);
	out(a, APM_CNT, 1, 1);
	out(a, TCO_RLD, 2, 1);
	run(a, 10 * MS);
	b->clock.now = a->clock.now;
	struct device *from[] = {a->smi, a->pm, a->tco, a->bridge, a->lpc}, *to[] = {b->smi, b->pm, b->tco, b->bridge, b->lpc};
	for (size_t n = 0; n < ARRAY_LEN(from); n++)
		copy_rows(to[n], from[n]);
	for (size_t n = 0; n < ARRAY_LEN(from); n++)
		if (to[n]->ops->loaded)
			to[n]->ops->loaded(to[n]);
	assert_int_equal(b->smis, 0); /* that SMI# has been sent */
	struct pc *both[] = {a, b};
	for (size_t n = 0; n < ARRAY_LEN(both); n++) {
		struct pc *pc = both[n];
		pc->smis = 0;
		handled(pc, APMC);
		run(pc, 22 * MS - 1);
		assert_int_equal(pc->smis, 0);
		run(pc, 1);
		assert_int_equal(pc->smis, 1);
		handled(pc, SWSMI);
		run_to(pc, 16 * SECOND - 1);
		assert_int_equal(in(pc, TCO1_STS, 2), 1 << 3);
		assert_int_equal(pc->smis, 1);
		run(pc, 1);
		assert_int_equal(pc->smis, 2);
		assert_int_equal(in(pc, SMI_STS, 4), PERIODIC | TCO);
		in(pc, 0x62, 1);
		assert_int_equal(in(pc, SMI_STS, 4), PERIODIC | TCO | MCSMI);
		out(pc, SMI_EN, 4, 0);
		assert_int_equal(in(pc, SMI_EN, 4), GBL);
	}
	assert_int_equal(teardown(&other), 0);
}

/* ---- the wire ---- */

/* SMI# reaches every processor; with -machine smm=off it is not connected, and the registers are as ever. */
static void wire(void **state)
{
	const char *build = getenv("BUILD");
	char path[4096];

	(void)state;
	snprintf(path, sizeof(path), "%s/guests/hello.elf", build ? build : "build");
	for (unsigned off = 0; off < 2; off++) {
		struct machine_config cfg = {.ram = 64 << 20, .cpus = 3, .kernel = path, .no_smi = off};
		struct machine *m;
		struct err err;
		assert_int_equal(model_parse("amd", &cfg.model, &cfg.feat, &err), ST_OK);
		assert_int_equal(machine_create(&m, &cfg, &err), ST_OK);
		bus_port_write(&m->bus, SMI_EN, 4, GBL | APMC);
		bus_port_write(&m->bus, APM_CNT, 1, 1);
		for (unsigned n = 0; n < 3; n++)
			assert_int_equal(m->cpus[n]->pend & PEND_SMI, off ? 0 : PEND_SMI);
		assert_int_equal(bus_port_read(&m->bus, SMI_STS, 4), APMC);
		machine_destroy(m);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(apm),           TEST(end_of_smi),     TEST(bits_kept),    TEST(status_clears), TEST(smi_lock),
	        TEST(base_lock),     TEST(releases),       TEST(sleep_trap),   TEST(software_timer), TEST(periodic_timer),
	        TEST(microcontroller), TEST(power_events), TEST(acpi_mode),    TEST(bios_lock),     TEST(tco_software),
	        TEST(tco_timer),     TEST(wells),          TEST(restored), cmocka_unit_test(wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
