/*
 * Tables 2-3 and 2-6 of 33047, "Effect of the GIF on Interrupt Handling" and "NMI Handling", cell by cell, on a bare
 * processor: machine checks, INIT, NMI, external SMI, physical interrupts, A20M and IGNNE in a host and in a guest,
 * with the global interrupt flag 0 and 1, intercepted and not. Handlers and programs write a log.
 */
#include "gif_fixture.h"
#include "report.h"

/* ---- what arrives ---- */

enum { MC = 18, NMI = 2, INIT = 256 };
static void arrive(struct pc *p, unsigned vector)
{
	if (vector == MC) {
		p->c->mcg_status = 5; /* RIPV, MCIP */
		p->c->mc_bank[0][1] = BIT(63) | 0x135;
		cpu_raise(p->c, PEND_MCE);
	} else {
		apic_msi(p->all, 1, 0xfee00000, vector == NMI ? DM_NMI << 8 : vector);
	}
}

/* A host: MOV AL, 1; STOSB; STGI or NOPs; NOP; MOV AL, 2; STOSB; CLI; HLT. Column GIF = 0 without and with STGI, column GIF = 1. */
static void test_host_columns(void **state)
{
	static const u8 vectors[] = {MC, NMI, VECTOR};

	(void)state;
	for (size_t n = 0; n < 3 * ARRAY_LEN(vectors) * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		unsigned column = (unsigned)(n / ARRAY_LEN(models) % 3);
		u8 vector = vectors[n / ARRAY_LEN(models) / 3];

		if (column == 1)
			CODE(p, HOST_CODE, 0xb0, 1, 0xaa, 0x0f, 0x01, 0xdc, 0x90, 0xb0, 2, 0xaa, 0xfa, 0xf4);
		else
			CODE(p, HOST_CODE, 0xb0, 1, 0xaa, 0x90, 0x90, 0x90, 0x90, 0xb0, 2, 0xaa, 0xfa, 0xf4);
		p->c->gif = column == 2;
		arrive(p, vector);
		run_from(p, HOST_CODE);
		assert_int_equal(p->c->activity, ACT_HLT);
		if (column == 0)
			EXPECT_LOG(p, "GIF 0", 1, 2);
		else if (column == 1)
			EXPECT_LOG(p, "STGI", 1, vector, 2);
		else
			EXPECT_LOG(p, "GIF 1", vector, 1, 2);
		if (column == 0)
			assert_true(p->c->pend & (vector == MC ? PEND_MCE : vector == NMI ? PEND_NMI : PEND_INTR));
		pc_free(p);
	}
	proves("svm.2.13.22 svm.2.13.23 svm.2.13.24 svm.2.17.9.1 svm.2.17.9.3 svm.2.13.17 svm.2.13.19");
}

/* The last-exception addresses: #MC leaves them today; in 2005 only #DB and ICEBP did. */
static void test_last_exception(void **state)
{
	static const u8 vectors[] = {MC, NMI, VECTOR};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(vectors) * ARRAY_LEN(models); n++) {
		const char *model = models[n % ARRAY_LEN(models)];
		u8 vector = vectors[n / ARRAY_LEN(models)];
		bool kept = vector == MC && strcmp(model, "pacifica") != 0;
		struct pc *p = machine(model);

		CODE(p, HOST_CODE, 0x90, 0xfa, 0xf4);
		p->c->debugctl = 1;
		p->c->lbr_from = 0x1111;
		p->c->lbr_to = 0x2222;
		p->c->lex_from = 0x3333;
		p->c->lex_to = 0x4444;
		arrive(p, vector);
		run_from(p, HOST_CODE);
		EXPECT_LOG(p, model, vector);
		assert_int_equal(p->c->lex_from, kept ? 0x3333 : 0x1111);
		assert_int_equal(p->c->lex_to, kept ? 0x4444 : 0x2222);
		pc_free(p);
	}
	proves("svm.2.19.0.4 svm.2.19.0.5");
}

/* ---- guests ---- */

/* Pending when the guest starts, GIF = 1 there. Intercepted: exit before the first instruction, and NMI and INTR are the host's once it sets GIF; a machine check is an exception and is gone. Not intercepted: the guest's own handler. */
static void test_guest_column(void **state)
{
	static const struct {
		u8 vector, word, bit;
		u16 code;
	} rows[] = {{MC, 2, 18, EXIT_MC}, {NMI, 3, 1, EXIT_NMI}, {VECTOR, 3, 0, EXIT_INTR}};

	(void)state;
	for (size_t n = 0; n < 2 * ARRAY_LEN(rows) * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		size_t r = n / ARRAY_LEN(models) / 2;
		struct vmcb_page *v = guest(p);
		bool intercepted = n / ARRAY_LEN(models) & 1;

		v->save.cr2 = 0x77;
		if (intercepted)
			v->control.icpt[rows[r].word] |= 1u << rows[r].bit;
		arrive(p, rows[r].vector);
		run_from(p, HOST_CODE);
		assert_int_equal(p->c->activity, ACT_HLT);
		assert_int_equal(v->control.exitcode, intercepted ? rows[r].code : 0x81);
		if (!intercepted)
			EXPECT_LOG(p, "the guest's handler", rows[r].vector, 1, 2, 3);
		else if (rows[r].vector == MC)
			EXPECT_LOG(p, "the monitor", 3);
		else
			EXPECT_LOG(p, "the monitor, then the host's handler", 3, rows[r].vector);
		if (intercepted) { /* nothing of the guest has changed */
			assert_int_equal(v->save.rip, GUEST_CODE);
			assert_int_equal(v->save.rsp, 0x90000);
			assert_int_equal(v->save.rflags, FL_1 | FL_IF);
			assert_int_equal(v->save.cr2, 0x77);
			assert_int_equal(v->save.dr6, 0xffff0ff0);
		}
		if (rows[r].vector == MC) {
			assert_int_equal(p->c->mcg_status, 5);
			assert_int_equal(p->c->mc_bank[0][1], BIT(63) | 0x135);
			assert_int_equal(v->control.exitintinfo, 0);
			assert_int_equal(v->control.exitinfo1 | v->control.exitinfo2, 0);
		}
		pc_free(p);
	}
	proves("svm.2.8.18.1 svm.2.8.18.2 svm.2.8.18.3 svm.2.13.24 svm.2.17.9.2 svm.2.17.9.4");
}

/* CLGI; HLT; log 1; STGI; NOP; log 2; VMMCALL. The processor sleeps in the guest when the event comes, and goes on
 * sleeping; woken by hand it meets the event behind STGI. */
static void sleep_with_gif0(struct pc *p, unsigned vector)
{
	CODE(p, GUEST_CODE, 0x0f, 0x01, 0xdd, 0xf4, 0xb0, 1, 0xaa, 0x0f, 0x01, 0xdc, 0x90, 0xb0, 2, 0xaa, 0x0f, 0x01, 0xd9);
	run_from(p, HOST_CODE);
	assert_true(p->c->guest);
	assert_false(p->c->gif);
	assert_int_equal(p->c->activity, ACT_HLT);
	if (vector == INIT)
		cpu_raise(p->c, PEND_INIT);
	else
		arrive(p, vector);
	for (unsigned slices = 0; slices < 3; slices++)
		cpu_run(p->c, p->clock.now + 1000);
	assert_int_equal(p->c->activity, ACT_HLT);
	assert_true(p->c->guest);
	run_from(p, GUEST_CODE + 4);
}

/* The guest's own CLGI holds what is not the monitor's: column GIF = 0 in a guest. */
static void test_guest_clgi(void **state)
{
	static const u8 vectors[] = {MC, NMI, VECTOR};

	(void)state;
	for (size_t n = 0; n < 2 * ARRAY_LEN(vectors) * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		u8 vector = vectors[n / ARRAY_LEN(models) / 2];
		struct vmcb_page *v = guest(p);
		bool intercepted = n / ARRAY_LEN(models) & 1;

		if (intercepted) {
			v->control.icpt[2] |= 1u << 18;
			v->control.icpt[3] |= 3;
		}
		sleep_with_gif0(p, vector);
		if (intercepted) {
			assert_int_equal(v->control.exitcode,
			                 vector == MC ? EXIT_MC : vector == NMI ? EXIT_NMI : EXIT_INTR);
			assert_int_equal(v->save.rip, GUEST_CODE + 10); /* behind STGI */
		} else {
			EXPECT_LOG(p, "behind STGI", 1, vector, 2, 3);
		}
		pc_free(p);
	}
	proves("svm.2.13.22 svm.2.17.9.1");
}

/* CR4.MCE = 0: a machine check is a shutdown, which the monitor may intercept. */
static void test_mce_off(void **state)
{
	(void)state;
	for (size_t n = 0; n < 2 * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		struct vmcb_page *v = guest(p);

		v->save.cr4 &= ~CR4_MCE;
		v->control.icpt[2] |= n & 2 ? 1u << 18 : 0;
		arrive(p, MC);
		run_from(p, HOST_CODE);
		assert_int_equal(v->control.exitcode, EXIT_SHUTDOWN);
		assert_int_equal(p->c->mcg_status, 5);
		pc_free(p);
	}
}

/* ---- table 2-5: INIT while a guest sleeps with GIF = 0. test_svm_init.c has the whole table ---- */

/* A processor that is not the bootstrap one then waits for SIPI. */
static void expect_init(const struct pc *p)
{
	assert_int_equal(p->c->activity, ACT_WAIT_SIPI);
	assert_false(p->c->guest);
	assert_true(p->c->gif);
	assert_false(p->c->pend & PEND_INIT);
	assert_int_equal(p->c->efer, 0);
	assert_int_equal(p->c->cr0 & (CR0_PE | CR0_PG), 0);
	proves("svm.2.13.9 svm.2.17.8.11");
}

/* A guest on a processor that INIT leaves waiting for SIPI. */
static struct vmcb_page *guest_with_init(struct pc *p, bool intercepted)
{
	struct vmcb_page *v = guest(p);

	p->c->apic.base &= ~BIT(8);
	v->control.icpt[3] |= intercepted ? 1u << 3 : 0;
	return v;
}

/* Row GIF = 0 in a guest, whatever the intercept. */
static void test_init_guest_clgi(void **state)
{
	(void)state;
	for (size_t n = 0; n < 2 * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		bool intercepted = n & 2;
		struct vmcb_page *v = guest_with_init(p, intercepted);

		sleep_with_gif0(p, INIT);
		expect_init(p);
		assert_int_equal(v->control.exitcode, intercepted ? EXIT_INIT : 0);
		assert_int_equal(bus_read_u64(&p->bus, LOG) & 0xffff, intercepted ? 0x301 : 1);
		pc_free(p);
	}
}

/* ---- external SMI: held or not. What it does with GIF = 1 and no intercept is SMM's ---- */

static void test_smi(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n]);
		struct vmcb_page *v = guest(p);

		CODE(p, HOST_CODE, 0x90, 0x90, 0xb0, 1, 0xaa, 0xfa, 0xf4);
		cpu_raise(p->c, PEND_SMI);
		run_from(p, HOST_CODE);
		assert_true(p->c->pend & PEND_SMI); /* GIF = 0 */
		guest(p);
		run_from(p, HOST_CODE);
		assert_int_equal(v->control.exitcode, EXIT_SMI);
		assert_int_equal(v->control.exitinfo1 & 1, 1); /* external */
		assert_int_equal(v->save.rip, GUEST_CODE);
		pc_free(p);
	}
}

/* ---- what GIF leaves alone ---- */

/* A20M: address bit 20 reads as 0 whatever GIF is, unless VM_CR.DIS_A20M is 1, whatever GIF is. MOV AL, [300000h];
 * STOSB; HLT, from where bit 20 is 0 anyway. */
static void test_a20m(void **state)
{
	(void)state;
	for (size_t n = 0; n < 8 * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		bool masked = n / ARRAY_LEN(models) & 1, disabled = n / ARRAY_LEN(models) & 4;

		assert_true(msr_write(p->c, 0xc0010114, disabled ? VM_CR_DIS_A20M : 0));
		bus_write(&p->bus, 0x200000 + 0x800, (const u8[]){0x20}, 1);
		bus_write(&p->bus, 0x300000 + 0x800, (const u8[]){0x30}, 1);
		CODE(p, GUEST_CODE, 0x8a, 0x04, 0x25, 0x00, 0x08, 0x30, 0x00, 0xaa, 0xf4);
		bus_mask_a20(&p->bus, masked);
		p->c->gif = n / ARRAY_LEN(models) & 2;
		cpu_update_mode(p->c);
		run_from(p, GUEST_CODE);
		assert_int_equal(p->c->activity, ACT_HLT);
		EXPECT_LOG(p, "A20M", masked && !disabled ? 0x20 : 0x30);
		pc_free(p);
	}
	proves("svm.2.13.26");
}

/* IGNNE#: the one of "STPCLK, IGNNE toggling, ECC scrubbing" that this machine has. */
static void ferr(void *arg, bool active)
{
	(void)arg, (void)active;
}

static void test_ignne(void **state)
{
	(void)state;
	for (size_t n = 0; n < 2 * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);

		/* FNINIT; FLDCW [DATA]; FLD1; FLDZ; FDIVP; FWAIT; log 1; HLT */
		CODE(p, HOST_CODE, 0xdb, 0xe3, 0xd9, 0x2c, 0x25, 0x00, 0xa0, 0x09, 0x00, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9,
		     0x9b, 0xb0, 1, 0xaa, 0xf4);
		bus_write_u64(&p->bus, DATA, 0x37b);
		p->c->cr0 &= ~CR0_NE;
		p->c->ferr_pin = ferr;
		p->c->gif = n & 2;
		cpu_update_mode(p->c);
		cpu_set_ignne(p->c, false);
		run_from(p, HOST_CODE);
		assert_int_equal(p->c->activity, ACT_FREEZE);
		cpu_set_ignne(p->c, true);
		for (unsigned slices = 0; slices < 5 && p->c->activity == ACT_RUN; slices++)
			cpu_run(p->c, p->clock.now + 1000);
		assert_int_equal(p->c->activity, ACT_HLT);
		EXPECT_LOG(p, "IGNNE", 1);
		pc_free(p);
	}
	proves("svm.2.13.27 svm.2.13.28");
}

/* "IGNNE MSR": with HWCR.IgnneEm the MSR is the signal, with the pin or without one; else the pin, and none counts as active. */
static void test_ignne_emulation(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 16 * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n / 16]);
		bool emulated = n & 1, msr = n & 2, pin = n & 4, wired = n & 8;
		bool ignored = emulated ? msr : pin || !wired;
		u64 hwcr;

		CODE(p, HOST_CODE, 0xdb, 0xe3, 0xd9, 0x2c, 0x25, 0x00, 0xa0, 0x09, 0x00, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9,
		     0x9b, 0xb0, 1, 0xaa, 0xf4); /* as above */
		bus_write_u64(&p->bus, DATA, 0x37b);
		p->c->cr0 &= ~CR0_NE;
		p->c->ferr_pin = wired ? ferr : NULL;
		assert_true(msr_read(p->c, 0xc0010015, &hwcr));
		assert_true(msr_write(p->c, 0xc0010015, hwcr | (emulated ? BIT(8) : 0)));
		assert_true(msr_write(p->c, 0xc0010115, msr));
		cpu_update_mode(p->c);
		cpu_set_ignne(p->c, pin);
		run_from(p, HOST_CODE);
		assert_int_equal(p->c->activity, ignored ? ACT_HLT : ACT_FREEZE);
		if (!ignored) {
			cpu_set_ignne(p->c, true);
			assert_int_equal(p->c->activity, emulated ? ACT_FREEZE : ACT_RUN);
		}
		pc_free(p);
	}
	proves("svm.E.2.1 svm.E.2.3 svm.E.2.4 svm.E.2.5");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_host_columns),
	        cmocka_unit_test(test_guest_column),
	        cmocka_unit_test(test_guest_clgi), cmocka_unit_test(test_last_exception),
	        cmocka_unit_test(test_mce_off),
	        cmocka_unit_test(test_init_guest_clgi),
	        cmocka_unit_test(test_smi),
	        cmocka_unit_test(test_a20m),
	        cmocka_unit_test(test_ignne),
	        cmocka_unit_test(test_ignne_emulation),
	};

	return cmocka_run_group_tests_name("gif", tests, NULL, NULL);
}
