/* SMM_CTL, each combination of its actions and what refuses it; SMM_KEY; I/O trapping. */
#include "svm_smm_fixture.h"

/* ---- SMM_CTL ---- */

/* Each listed combination and each bit alone, from outside SMM (EXIT and RSM_CYCLE: behind an ENTER). */
static const struct ctl_row {
	u8 value;
	bool smm, blocked, pending; /* afterwards; an SMI was pending before */
	u32 cycles;
	const char *ids;
} ctl_rows[] = {
        {DISMISS, false, false, false, 0, "svm.E.3.1 svm.2.18.3.9 svm.E.3.17"},
        {ENTER, true, true, true, 0, "svm.E.3.2 svm.E.3.3 svm.E.3.4 svm.2.18.3.8 svm.E.3.17"},
        {SMI_CYCLE, false, false, true, 1, "svm.E.3.5 svm.2.18.3.7 svm.E.3.17"},
        {ENTER | SMI_CYCLE, true, true, true, 1, "svm.E.3.13"},
        {DISMISS | ENTER, true, true, false, 0, "svm.E.3.14"},
        {DISMISS | ENTER | SMI_CYCLE, true, true, false, 1, "svm.E.3.15"},
        {EXIT, false, false, true, 0, "svm.E.3.6 svm.E.3.7 svm.E.3.8 svm.E.3.17"},
        {RSM_CYCLE, true, true, true, 2, "svm.E.3.9 svm.2.18.3.7 svm.E.3.17"},
        {EXIT | RSM_CYCLE, false, false, true, 2, "svm.E.3.16"},
};

static void test_smm_ctl(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2 * ARRAY_LEN(ctl_rows) * ARRAY_LEN(models); n++) {
		const struct ctl_row *row = &ctl_rows[n / 2 / ARRAY_LEN(models)];
		const bool nmi_before = n / ARRAY_LEN(models) & 1;
		struct pc *p = smm_machine(models[n % ARRAY_LEN(models)]);
		struct cpu *c = p->c;
		u8 byte;

		c->nmi_blocked = nmi_before;
		if (row->value & (EXIT | RSM_CYCLE))
			assert_true(msr_write(c, MSR_SMM_CTL, ENTER));
		c->pend |= PEND_SMI;
		assert_true(msr_write(c, MSR_SMM_CTL, row->value));
		assert_int_equal(c->smm, row->smm);
		assert_int_equal(c->smi_blocked, row->blocked);
		assert_int_equal(c->nmi_blocked, row->blocked || nmi_before);
		assert_int_equal(!!(c->pend & PEND_SMI), row->pending);
		assert_int_equal(around(p)->cycles, row->cycles);
		cpu_read(c, BY_CPU, HANDLER, &byte, 1);
		assert_int_equal(byte, row->smm ? 0x66 : 0xff);
		proves(row->ids);
		smm_free(p);
	}
}

/* The order of the actions, by what each lets the others see. The chipset answers each cycle with an SMI. */
static void test_smm_ctl_order(void **state)
{
	struct pc *p = smm_machine("pacifica");

	(void)state;
	around(p)->answer = true;
	assert_true(msr_write(p->c, MSR_SMM_CTL, DISMISS | ENTER | SMI_CYCLE));
	assert_int_equal(around(p)->seen, 1);       /* ENTER before SMI_CYCLE */
	assert_int_equal(p->c->pend & PEND_SMI, 0); /* DISMISS behind it */
	assert_true(msr_write(p->c, MSR_SMM_CTL, EXIT | RSM_CYCLE));
	assert_int_equal(around(p)->seen, 3); /* RSM_CYCLE before EXIT */
	assert_true(p->c->pend & PEND_SMI);
	/* undefined: all five, in the same order */
	around(p)->seen = around(p)->cycles = 0;
	assert_true(msr_write(p->c, MSR_SMM_CTL, 0x1f));
	assert_int_equal(around(p)->cycles, 1 << 2 | 2);
	assert_int_equal(around(p)->seen, 3);
	assert_true(p->c->pend & PEND_SMI); /* RSM_CYCLE's: it came behind DISMISS */
	assert_false(p->c->smm);
	assert_false(p->c->smi_blocked);
	smm_free(p);
	proves("svm.E.3.12 svm.E.3.19");
}

/* Nested and unmatched: the first ENTER is the one that counts, and EXIT outside SMM only unblocks SMIs. */
static void test_smm_ctl_unmatched(void **state)
{
	struct pc *p = smm_machine("amd");
	struct cpu *c = p->c;

	(void)state;
	assert_true(msr_write(c, MSR_SMM_CTL, ENTER));
	assert_true(msr_write(c, MSR_SMM_CTL, ENTER));
	assert_true(c->smm);
	assert_true(msr_write(c, MSR_SMM_CTL, EXIT));
	assert_false(c->smm);
	assert_false(c->nmi_blocked); /* as the first one has recorded */
	c->nmi_blocked = true;
	assert_true(msr_write(c, MSR_SMM_CTL, EXIT));
	assert_false(c->smm);
	assert_true(c->nmi_blocked);
	assert_false(c->smi_blocked);
	smm_free(p);
	proves("svm.E.3.20 svm.E.3.21 svm.E.3.22");
}

/* The instruction: it goes on behind WRMSR, in or out of SMM; SMRAM comes and goes; no state is saved. */
static void test_smm_ctl_instruction(void **state)
{
	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = smm_machine(models[n]);

		/* MOV ECX, MSR; XOR EDX, EDX; MOV EAX, ENTER; WRMSR; MOV EAX, [HANDLER]; STOSB; MOV EAX, EXIT; WRMSR; MOV EAX,
		 * [HANDLER]; STOSB; CLI; HLT */
		CODE(p, HOST_CODE, 0xb9, 0x16, 0x01, 0x01, 0xc0, 0x31, 0xd2, 0xb8, ENTER, 0, 0, 0, 0x0f, 0x30, 0x8b, 0x04, 0x25, 0,
		     0x80, 0x0a, 0, 0xaa, 0xb8, EXIT, 0, 0, 0, 0x0f, 0x30, 0x8b, 0x04, 0x25, 0, 0x80, 0x0a, 0, 0xaa, 0xfa, 0xf4);
		run_from(p, HOST_CODE);
		EXPECT_LOG(p, "with and without SMRAM", 0x66, 0xff);
		assert_int_equal(entered(p), 0);
		assert_int_equal(saved64(p, 0xff78), 0);
		assert_int_equal(p->c->cr3, 0x1000);
		smm_free(p);
	}
	proves("svm.E.3.18 svm.E.3.2 svm.E.3.6 svm.2.18.3.8");
}

/* What is not written: reserved bits, anything while SMM is locked or where the register is not there; and no reads. */
static void test_smm_ctl_refused(void **state)
{
	struct pc *p;
	u64 v;

	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(models); n++) {
		p = smm_machine(models[n]);
		for (unsigned bit = 5; bit < 64; bit++)
			assert_false(msr_write(p->c, MSR_SMM_CTL, BIT(bit) | ENTER));
		assert_false(msr_read(p->c, MSR_SMM_CTL, &v));
		assert_true(msr_write(p->c, MSR_SMM_CTL, 0));
		p->c->hwcr |= HWCR_SMMLOCK;
		for (unsigned value = 0; value < 32; value++)
			assert_false(msr_write(p->c, MSR_SMM_CTL, value));
		assert_false(p->c->smm);
		assert_int_equal(around(p)->cycles, 0);
		smm_free(p);
	}
	p = smm_machine("amd,+no-smm-ctl");
	assert_false(msr_write(p->c, MSR_SMM_CTL, 0));
	smm_free(p);
	proves("svm.E.0.3 svm.E.3.10 svm.E.3.11 svm.E.3.23 svm.2.18.3.10");
}

/* SMM_KEY: "SMM-Lock". */
static void test_smm_key(void **state)
{
	struct pc *p = smm_machine("amd");
	u64 v;

	(void)state;
	assert_true(msr_write(p->c, MSR_SMM_KEY, 0x1234));
	assert_true(msr_read(p->c, MSR_SMM_KEY, &v));
	assert_int_equal(v, 0);
	p->c->hwcr |= HWCR_SMMLOCK;
	assert_true(msr_write(p->c, MSR_SMM_KEY, 0x1235)); /* neither unlocks nor replaces */
	assert_true(p->c->hwcr & HWCR_SMMLOCK);
	assert_true(msr_write(p->c, MSR_SMM_KEY, 0x1234));
	assert_false(p->c->hwcr & HWCR_SMMLOCK);
	assert_true(msr_write(p->c, MSR_SMM_KEY, 0)); /* no key: only RESET unlocks */
	p->c->hwcr |= HWCR_SMMLOCK;
	assert_true(msr_write(p->c, MSR_SMM_KEY, 0));
	assert_true(p->c->hwcr & HWCR_SMMLOCK);
	smm_free(p);
	p = smm_machine("pacifica");
	assert_false(msr_write(p->c, MSR_SMM_KEY, 0));
	smm_free(p);
}

/* ---- I/O trapping ---- */

/* Ports, reads and writes, masks, configuration space: what matches is not executed. */
static const struct trap_row {
	u64 trap, ctl;
	u16 port;
	bool in, hit;
} trap_rows[] = {
        {B(63) | B(62) | 0xffffffull << 32 | PORT, 0x8002, PORT, true, true},
        {B(63) | B(62) | 0xffffffull << 32 | PORT, 0x8002, PORT, false, false},
        {B(63) | B(61) | 0xffffffull << 32 | PORT, 0x8002, PORT, false, true},
        {B(63) | B(61) | 0xffffffull << 32 | PORT, 0x8002, PORT, true, false},
        {B(63) | B(62) | 0xffffffull << 32 | PORT, 0x8002, PORT + 1, true, false},
        {B(63) | B(62) | 0xfffff0ull << 32 | PORT, 0x8002, PORT + 1, true, true},
        {B(62) | 0xffffffull << 32 | PORT, 0x8002, PORT, true, false},
        {B(63) | B(62) | 0xffffffull << 32 | PORT, 0x0002, PORT, true, false},
        {B(63) | B(62) | 0xffffffull << 32 | PORT, 0x8008, PORT, true, false},
        {B(63) | B(62) | B(60) | 0xffffffull << 32 | PORT, 0x8002, PORT, true, false},
};

static void test_io_traps(void **state)
{
	struct pc *p;

	(void)state;
	for (unsigned n = 0; n < 4 * ARRAY_LEN(trap_rows); n++) {
		const struct trap_row *row = &trap_rows[n / 4];
		const unsigned which = n % 4;
		const u64 ctl = (row->ctl & 0x8000) | (row->ctl & 0xff) << 2 * which;

		p = smm_machine("amd");
		assert_true(msr_write(p->c, MSR_IO_TRAP + which, row->trap));
		assert_true(msr_write(p->c, MSR_IO_TRAP_CTL, ctl & 0xffff));
		CODE(p, HOST_CODE, row->in ? 0xec : 0xee, 0xfa, 0xf4);
		p->c->r[REG_RDX] = row->port;
		run_from(p, HOST_CODE);
		assert_int_equal(entered(p), 1); /* the trap's, or what the port has raised */
		assert_int_equal(around(p)->raised, !row->hit);
		assert_int_equal(*(u8 *)saved(p, 0xfec4), row->hit ? 1u << which : 0);
		smm_free(p);
	}
	p = smm_machine("amd");
	for (unsigned bit = 56; bit < 60; bit++)
		assert_false(msr_write(p->c, MSR_IO_TRAP, BIT(bit)));
	smm_free(p);
	proves("svm.2.18.1.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_smm_ctl),
	        cmocka_unit_test(test_smm_ctl_order),
	        cmocka_unit_test(test_smm_ctl_unmatched),
	        cmocka_unit_test(test_smm_ctl_instruction),
	        cmocka_unit_test(test_smm_ctl_refused),
	        cmocka_unit_test(test_smm_key),
	        cmocka_unit_test(test_io_traps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
