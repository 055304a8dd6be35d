/*
 * INIT and #SX of 33047: table 2-5, "INIT Handling in Different Operating Modes", every cell in a host and in a guest,
 * by the pin and by the local APIC; and "Security Exception (#SX)": its frame, its class, its intercept, its injection.
 */
#include "gif_fixture.h"
#include "report.h"

enum { VM_CR = 0xc0010114, SX = 30, EXIT_SX = 0x40 + SX, EXIT_VMMCALL = 0x81 };

enum source { PIN, APIC_MESSAGE, SOURCES };
static void init_comes(struct pc *p, unsigned source)
{
	if (source == PIN)
		cpu_raise(p->c, PEND_INIT);
	else
		apic_msi(p->all, 1, 0xfee00000, DM_INIT << 8);
}

static void redirect(struct cpu *c, bool on)
{
	assert_true(msr_write(c, VM_CR, on ? VM_CR_R_INIT : 0));
}

/* #SX has an error code. Its handler: XCHG EAX, [RSP]; STOSB: log that; MOV EAX, 30; STOSB; POP RAX; IRETQ. */
static struct pc *machine_sx(const char *model)
{
	struct pc *p = machine(model);

	CODE(p, HANDLERS + 16 * SX, 0x58, 0xaa, 0xb0, SX, 0xaa, 0x48, 0xcf);
	p->c->apic.base &= ~BIT(8); /* not the bootstrap processor: INIT leaves it waiting for SIPI */
	return p;
}

static bool taken(const struct pc *p)
{
	const struct cpu *c = p->c;

	return c->activity == ACT_WAIT_SIPI && !(c->pend & PEND_INIT) && c->efer == 0 && !c->guest && c->gif;
}

/* ---- table 2-5, in a host: GIF = 0; GIF = 0 and then STGI; GIF = 1. R_INIT = 0, 1 ---- */

static void host_cell(const char *model, unsigned column, bool redirected, unsigned source)
{
	struct pc *p = machine_sx(model);

	/* log 0A1h; STGI or NOPs; NOP; log 0A2h; CLI; HLT */
	if (column == 1)
		CODE(p, HOST_CODE, 0xb0, 0xa1, 0xaa, 0x0f, 0x01, 0xdc, 0x90, 0xb0, 0xa2, 0xaa, 0xfa, 0xf4);
	else
		CODE(p, HOST_CODE, 0xb0, 0xa1, 0xaa, 0x90, 0x90, 0x90, 0x90, 0xb0, 0xa2, 0xaa, 0xfa, 0xf4);
	p->c->gif = column == 2;
	redirect(p->c, redirected);
	init_comes(p, source);
	run_from(p, HOST_CODE);
	if (column == 0) {
		EXPECT_LOG(p, "GIF 0: held", 0xa1, 0xa2);
		assert_int_equal(p->c->activity, ACT_HLT);
		assert_true(p->c->pend & PEND_INIT);
	} else if (!redirected) {
		assert_true(taken(p));
		assert_int_equal(bus_read_u64(&p->bus, LOG) & 0xffff, column == 1 ? 0xa1 : 0);
		assert_int_equal(p->c->vm_cr, 0);
	} else {
		assert_int_equal(p->c->activity, ACT_HLT);
		if (column == 1)
			EXPECT_LOG(p, "STGI: #SX with error code 1", 0xa1, 1, SX, 0xa2);
		else
			EXPECT_LOG(p, "GIF 1: #SX with error code 1", 1, SX, 0xa1, 0xa2);
		assert_false(p->c->pend & PEND_INIT);
		assert_int_equal(p->c->vm_cr, VM_CR_R_INIT); /* INIT is dropped: nothing is initialised */
		assert_true(p->c->efer & EFER_SVME);
		assert_int_equal(p->c->vm_hsave_pa, HSAVE_PA);
	}
	pc_free(p);
}

static void test_host(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 3 * 2 * SOURCES * ARRAY_LEN(models); n++)
		host_cell(models[n % 2], n / 8, n / 2 % 2, n / 4 % 2);
	proves("svm.2.17.8.1 svm.2.17.8.8 svm.2.17.8.10 svm.2.17.8.11 svm.2.17.8.13 svm.2.17.8.14 svm.3.3.1 svm.3.3.4 "
	       "svm.3.3.6 svm.A.2.2 svm.2.13.9 svm.2.13.10 svm.2.13.20 svm.2.13.21 svm.E.1.2 svm.E.1.3");
}

/* ---- table 2-5, in a guest: INIT intercept, R_INIT; and GIF = 0 by the guest's own CLGI ---- */

static void guest_cell(const char *model, bool intercepted, bool redirected, bool held)
{
	struct pc *p = machine_sx(model);
	struct vmcb_page *v = guest(p);
	u64 before;

	v->control.icpt[3] |= intercepted ? 1u << 3 : 0;
	redirect(p->c, redirected);
	if (held) { /* CLGI; log 1; STGI; NOP; log 2; VMMCALL */
		CODE(p, GUEST_CODE, 0x0f, 0x01, 0xdd, 0xb0, 1, 0xaa, 0x0f, 0x01, 0xdc, 0x90, 0xb0, 2, 0xaa, 0x0f, 0x01, 0xd9);
		p->c->r[REG_RIP] = HOST_CODE;
		for (unsigned n = 0; n < 20 && !(p->c->guest && !p->c->gif); n++)
			cpu_run(p->c, p->clock.now + 1);
		assert_true(p->c->guest && !p->c->gif);
		init_comes(p, PIN);
		run_from(p, p->c->r[REG_RIP]);
	} else {
		init_comes(p, PIN);
		run_from(p, HOST_CODE);
	}
	before = held ? 1 : 0; /* what the guest logs first */
	if (intercepted) { /* #VMEXIT(INIT), still pending: behind the host's STGI it is the host's */
		assert_int_equal(v->control.exitcode, EXIT_INIT);
		assert_int_equal(v->control.exitintinfo, 0);
		assert_int_equal(v->save.rip, held ? GUEST_CODE + 9 : GUEST_CODE);
		if (redirected && !held)
			EXPECT_LOG(p, "#SX in the host", 3, 1, SX);
		else if (redirected)
			EXPECT_LOG(p, "#SX in the host", 1, 3, 1, SX);
		else
			assert_true(taken(p));
	} else if (!redirected) {
		assert_true(taken(p));
		assert_int_equal(bus_read_u64(&p->bus, LOG) & 0xffff, before);
	} else { /* "all non-intercepted INITs" are redirected: #SX is the guest's */
		assert_int_equal(v->control.exitcode, EXIT_VMMCALL);
		if (held)
			EXPECT_LOG(p, "#SX in the guest", 1, 1, SX, 2, 3);
		else
			EXPECT_LOG(p, "#SX in the guest", 1, SX, 1, 2, 3);
	}
	assert_false(p->c->pend & PEND_INIT);
	pc_free(p);
}

static void test_guest(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 8 * ARRAY_LEN(models); n++)
		guest_cell(models[n % 2], n & 2, n & 4, n & 8);
	proves("svm.2.9.4.1 svm.2.17.8.8 svm.2.17.8.11 svm.2.17.8.12 svm.2.17.8.13 svm.2.17.8.14 svm.2.17.8.15 svm.A.2.1 "
	       "svm.A.2.2 svm.A.2.3");
}

/* The monitor destroys its secrets in #SX, clears R_INIT, and the next INIT is taken. */
static void test_reasserted(void **state)
{
	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = machine_sx(models[n]);

		/* log 0A1h; CLI; HLT. #SX: ...; XOR EAX, EAX; XOR EDX, EDX; MOV ECX, VM_CR; WRMSR; IRETQ */
		CODE(p, HOST_CODE, 0xb0, 0xa1, 0xaa, 0xfa, 0xf4);
		CODE(p, 0x78000, 0x58, 0x31, 0xc0, 0x31, 0xd2, 0xb9, 0x14, 0x01, 0x01, 0xc0, 0x0f, 0x30, 0x48, 0xcf);
		bus_write_u64(&p->bus, IDT + 16 * SX, 0x8000ull | 8 << 16 | 0x8eull << 40 | 7ull << 48);
		redirect(p->c, true);
		init_comes(p, APIC_MESSAGE);
		run_from(p, HOST_CODE);
		EXPECT_LOG(p, "went on", 0xa1);
		assert_int_equal(p->c->vm_cr, 0);
		assert_false(taken(p));
		init_comes(p, APIC_MESSAGE);
		run_from(p, HOST_CODE);
		assert_true(taken(p));
		pc_free(p);
	}
	proves("svm.2.17.8.9");
}

/* ---- #SX: the frame ---- */

/* A fault between two instructions: RIP of the one that is not executed yet, RF as a fault's; also out of HLT. */
static void test_frame(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2 * ARRAY_LEN(models); n++) {
		struct pc *p = machine_sx(models[n % 2]);
		bool asleep = n & 2;
		u64 sp, rip;

		/* 3 times NOP or HLT; CLI; HLT. #SX: HLT */
		memset(bus_memory(&p->bus, HOST_CODE), asleep ? 0xf4 : 0x90, 3);
		CODE(p, HOST_CODE + 3, 0xfa, 0xf4);
		CODE(p, HANDLERS + 16 * SX, 0xf4);
		redirect(p->c, true);
		p->c->r[REG_RIP] = HOST_CODE;
		cpu_run(p->c, p->clock.now + 2);
		rip = p->c->r[REG_RIP];
		assert_int_equal(p->c->activity, asleep ? ACT_HLT : ACT_RUN);
		assert_int_equal(rip, asleep ? HOST_CODE + 1 : HOST_CODE + 2);
		init_comes(p, PIN);
		cpu_run(p->c, p->clock.now + 100);
		assert_int_equal(p->c->r[REG_RIP], HANDLERS + 16 * SX + 1);
		sp = p->c->r[REG_RSP];
		assert_int_equal(sp, 0x80000 - 48); /* SS, RSP, RFLAGS, CS, RIP and the error code */
		assert_int_equal(bus_read_u64(&p->bus, sp), SX_INIT);
		assert_int_equal(bus_read_u64(&p->bus, sp + 8), rip);
		assert_int_equal(bus_read_u64(&p->bus, sp + 16), 8);
		assert_int_equal(bus_read_u64(&p->bus, sp + 24), FL_1 | FL_IF | FL_RF);
		assert_int_equal(bus_read_u64(&p->bus, sp + 32), 0x80000);
		pc_free(p);
	}
	proves("svm.3.3.2 svm.3.3.3 svm.3.3.4");
}

/* ---- #SX: its class ---- */

/* The gate of #SX is broken in a way that raises `second`; log what arrives with its error code. */
static void delivery_fails(const char *model, unsigned second, unsigned arrives)
{
	struct pc *p = machine_sx(model);
	u64 gate = 0x8000ull | 8 << 16 | 0x8eull << 40 | 7ull << 48;

	CODE(p, HOST_CODE, 0xf4);
	if (second == EX_NP)
		gate &= ~(1ull << 47);
	else if (second == EX_GP)
		gate = (gate & ~(0xffffull << 16)) | 0x7ff8ull << 16; /* a selector beyond the GDT */
	bus_write_u64(&p->bus, IDT + 16 * SX, gate);
	bus_write_u64(&p->bus, IDT + 16 * SX + 8, 0);
	if (second == EX_PF) { /* the stack of #SX is not there; IST 1 for the page fault, by a TSS */
		p->c->r[REG_RSP] = 0x4001000;
		p->c->seg[SEG_TR] = (struct seg){.sel = 0x28, .base = DATA, .limit = 0x67, .ar = AR_P | SYS_TSS32_BUSY};
		bus_write_u64(&p->bus, DATA + 0x24, 0x88000);
		bus_write_u64(&p->bus, IDT + 16 * EX_PF, bus_read_u64(&p->bus, IDT + 16 * EX_PF) | 1ull << 32);
	}
	CODE(p, HANDLERS + 16 * EX_DF, 0xb0, EX_DF, 0xaa, 0xf4);
	CODE(p, HANDLERS + 16 * EX_PF, 0xb0, EX_PF, 0xaa, 0xf4);
	redirect(p->c, true);
	init_comes(p, PIN);
	run_from(p, HOST_CODE);
	assert_int_equal(p->c->activity, ACT_HLT);
	EXPECT_LOG(p, "what the failed delivery came to", (u8)arrives);
	pc_free(p);
}

/* "Double Fault": a contributory exception behind #SX makes #DF, a page fault does not. */
static void test_class(void **state)
{
	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(models); n++) {
		delivery_fails(models[n], EX_NP, EX_DF);
		delivery_fails(models[n], EX_GP, EX_DF);
		delivery_fails(models[n], EX_PF, EX_PF);
	}
	assert_int_equal(arch_exceptions[SX].class, arch_exceptions[EX_GP].class);
	proves("svm.3.3.7");
}

/* ---- #SX: its intercept, and its injection ---- */

/* Exception 30 intercepted: exit 5Eh with the error code, nothing delivered, the INIT gone. */
static void test_intercepted(void **state)
{
	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = machine_sx(models[n]);
		struct vmcb_page *v = guest(p);

		v->control.icpt[2] |= 1u << SX;
		redirect(p->c, true);
		init_comes(p, PIN);
		run_from(p, HOST_CODE);
		assert_int_equal(v->control.exitcode, EXIT_SX);
		assert_int_equal(v->control.exitinfo1, SX_INIT);
		assert_int_equal(v->control.exitinfo2, 0);
		assert_int_equal(v->control.exitintinfo, 0);
		assert_int_equal(v->save.rip, GUEST_CODE);
		assert_int_equal(v->save.rflags, FL_1 | FL_IF);
		EXPECT_LOG(p, "the monitor", 3);
		assert_false(p->c->pend & PEND_INIT);
		pc_free(p);
	}
	proves("svm.2.17.8.14 svm.2.8.19.3 svm.D.49 svm.3.3.6");
}

/* While the guest's #SX is delivered something else exits: EXITINTINFO is type 3, vector 30, error code 1, and the same
 * word in EVENTINJ delivers it. */
static void test_interrupted_delivery(void **state)
{
	const u64 word = SX | 3 << 8 | 1 << 11 | 1ull << 31 | (u64)SX_INIT << 32;

	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = machine_sx(models[n]);
		struct vmcb_page *v = guest(p);

		v->save.idtr.limit = 16 * SX - 1; /* #GP, intercepted */
		v->control.icpt[2] |= 1u << EX_GP;
		redirect(p->c, true);
		init_comes(p, PIN);
		run_from(p, HOST_CODE);
		assert_int_equal(v->control.exitcode, 0x40 + EX_GP);
		assert_int_equal(v->control.exitintinfo, word);
		assert_int_equal(v->save.rip, GUEST_CODE);
		v->control.eventinj = v->control.exitintinfo;
		v->save.idtr.limit = 0xfff;
		v->save.rax = 0;
		p->c->r[REG_RAX] = VMCB_PA;
		p->c->r[REG_RDI] = LOG;
		p->c->gif = false;
		run_from(p, HOST_CODE);
		assert_int_equal(v->control.exitcode, EXIT_VMMCALL);
		EXPECT_LOG(p, "injected", SX_INIT, SX, 1, 2, 3);
		pc_free(p);
	}
	proves("svm.3.3.1 svm.3.3.3");
}

/* Without R_INIT nothing makes an #SX: every way out of table 2-5 with R_INIT = 0 above has none; nor has a processor
 * without SVM. */
static void test_without_svm(void **state)
{
	static const char *const others[] = {"amd,-svm", "intel", "plain"};

	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(others); n++) {
		struct pc *p = pc_new(others[n]);

		p->c->vm_cr = VM_CR_R_INIT;
		p->c->apic.base &= ~BIT(8);
		CODE(p, HOST_CODE, 0x90, 0xf4);
		cpu_raise(p->c, PEND_INIT);
		run_from(p, HOST_CODE);
		assert_int_equal(p->c->activity, ACT_WAIT_SIPI);
		pc_free(p);
	}
	proves("svm.3.3.5");
}

/* ---- who else hears of it ---- */

static void heard(void *arg)
{
	(*(unsigned *)arg)++;
}

/* The platform is told of an INIT that the bootstrap processor takes: not of one that another takes, that is redirected
 * or that is held. */
static void test_platform(void **state)
{
	static const struct {
		bool bootstrap, redirected, gif;
		unsigned times;
	} rows[] = {{true, false, true, 1}, {false, false, true, 0}, {true, true, true, 0}, {true, false, false, 0}};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows) * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % 2]);
		unsigned times = 0;

		CODE(p, HOST_CODE, 0x90, 0x90, 0xfa, 0xf4);
		p->bus.secure.init = heard;
		p->bus.secure.arg = &times;
		p->c->apic.base = rows[n / 2].bootstrap ? p->c->apic.base : p->c->apic.base & ~BIT(8);
		p->c->gif = rows[n / 2].gif;
		redirect(p->c, rows[n / 2].redirected);
		init_comes(p, PIN);
		p->c->r[REG_RIP] = HOST_CODE;
		cpu_run(p->c, p->clock.now + 1);
		assert_int_equal(times, rows[n / 2].times);
		pc_free(p);
	}
}

/* ---- shutdown ---- */

/* A redirected INIT ends a shutdown, too: in #SX where that can be delivered, else in the next shutdown. */
static void test_shutdown_redirected(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2 * ARRAY_LEN(models); n++) {
		struct pc *p = machine_sx(models[n % 2]);
		bool mended = n & 2;

		p->c->idtr.limit = 0;
		CODE(p, HOST_CODE, 0x0f, 0x0b); /* UD2 */
		CODE(p, HANDLERS + 16 * SX, 0xf4);
		redirect(p->c, true);
		run_from(p, HOST_CODE);
		assert_int_equal(p->c->activity, ACT_SHUTDOWN);
		p->c->stop = CPU_GO;
		p->c->idtr.limit = mended ? 0xfff : 0;
		init_comes(p, PIN);
		cpu_run(p->c, p->clock.now + 100);
		assert_int_equal(p->c->activity, mended ? ACT_HLT : ACT_SHUTDOWN);
		assert_false(p->c->pend & PEND_INIT);
		if (mended)
			assert_int_equal(p->c->r[REG_RIP], HANDLERS + 16 * SX + 1);
		pc_free(p);
	}
	proves("svm.2.17.8.14");
}

/* With GIF = 0 a shutdown ends by RESET alone: NMI, INIT, SMI and interrupts are held. With GIF = 1 INIT ends it. */
static void test_shutdown(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2 * ARRAY_LEN(models); n++) {
		struct pc *p = machine_sx(models[n % 2]);
		bool gif = n & 2;

		p->c->idtr.limit = 0;
		CODE(p, HOST_CODE, 0x0f, 0x0b); /* UD2 */
		p->c->gif = gif;
		run_from(p, HOST_CODE);
		assert_int_equal(p->c->activity, ACT_SHUTDOWN);
		p->c->stop = CPU_GO;
		if (!gif) {
			apic_msi(p->all, 1, 0xfee00000, DM_NMI << 8);
			apic_msi(p->all, 1, 0xfee00000, VECTOR);
			cpu_raise(p->c, PEND_SMI);
		}
		init_comes(p, PIN);
		cpu_run(p->c, p->clock.now + 100);
		assert_int_equal(p->c->activity, gif ? ACT_WAIT_SIPI : ACT_SHUTDOWN);
		if (!gif)
			assert_int_equal(p->c->pend & (PEND_INIT | PEND_NMI | PEND_SMI | PEND_INTR),
			                 PEND_INIT | PEND_NMI | PEND_SMI | PEND_INTR);
		p->c->apic.base |= BIT(8);
		cpu_reset(p->c, false);
		assert_int_equal(p->c->activity, ACT_RUN);
		assert_int_equal(p->c->pend, 0);
		pc_free(p);
	}
	proves("svm.3.1.6.29");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_host),          cmocka_unit_test(test_guest),
	        cmocka_unit_test(test_reasserted),    cmocka_unit_test(test_frame),
	        cmocka_unit_test(test_class),         cmocka_unit_test(test_intercepted),
	        cmocka_unit_test(test_interrupted_delivery), cmocka_unit_test(test_without_svm),
	        cmocka_unit_test(test_platform),      cmocka_unit_test(test_shutdown),
	        cmocka_unit_test(test_shutdown_redirected),
	};

	return cmocka_run_group_tests_name("init", tests, NULL, NULL);
}
