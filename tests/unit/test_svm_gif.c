/*
 * Tables 2-3, 2-5 and 2-6 of 33047, "Effect of the GIF on Interrupt Handling", "INIT Handling" and "NMI Handling", cell
 * by cell, on a bare processor: machine checks, INIT, NMI, external SMI, physical interrupts, A20M and IGNNE in a host
 * and in a guest, with the global interrupt flag 0 and 1, intercepted and not. Handlers and programs write a log.
 */
#include "report.h"
#include "world_fixture.h"

#include "svm/svm.h"

enum { IDT = 0x60000, HANDLERS = 0x70000, LOG = 0x98000, GDT = 0x58000, DATA = 0x9a000, VECTOR = 0x51 };
enum { EXIT_MC = 0x52, EXIT_INTR = 0x60, EXIT_NMI = 0x61, EXIT_SMI = 0x62, EXIT_INIT = 0x63, EXIT_SHUTDOWN = 0x7f };

static const char *const models[] = {"amd", "pacifica"};

static struct vmcb_page *vmcb_of(struct pc *p)
{
	return (struct vmcb_page *)(void *)bus_memory(&p->bus, VMCB_PA);
}

/* Every vector's handler writes its number: PUSH RAX; MOV AL, v; STOSB; POP RAX; IRETQ. */
static struct pc *machine(const char *model)
{
	struct pc *p = pc_new(model);
	struct cpu *c = p->c;

	for (u64 n = 0; n < 256; n++) {
		u64 at = HANDLERS + 16 * n;

		CODE(p, at, 0x50, 0xb0, (u8)n, 0xaa, 0x58, 0x48, 0xcf);
		bus_write_u64(&p->bus, IDT + 16 * n, (at & 0xffff) | 8 << 16 | 0x8eull << 40 | (at >> 16) << 48);
		bus_write_u64(&p->bus, IDT + 16 * n + 8, 0);
	}
	bus_write_u64(&p->bus, 0x2000, 0x6007); /* 2005 has no 1 GiB pages */
	for (u64 n = 0; n < 32; n++)
		bus_write_u64(&p->bus, 0x6000 + 8 * n, n << 21 | 0xe7);
	bus_write_u64(&p->bus, GDT + 8, 0x00af9b000000ffff);
	bus_write_u64(&p->bus, GDT + 16, 0x00cf93000000ffff);
	c->gdtr.base = GDT;
	c->idtr.base = IDT;
	c->gdtr.limit = 23;
	c->idtr.limit = 0xfff;
	c->efer |= EFER_SVME;
	c->cr4 |= CR4_MCE | CR4_OSFXSR;
	c->vm_hsave_pa = HSAVE_PA;
	c->apic.svr = 0x1ff;
	c->r[REG_RDI] = LOG;
	flags_set(c, FL_1 | FL_IF);
	cpu_update_mode(c);
	return p;
}

static void run_from(struct pc *p, u64 rip)
{
	p->c->r[REG_RIP] = rip;
	p->c->activity = ACT_RUN;
	for (unsigned slices = 0; slices < 20 && p->c->activity == ACT_RUN && !p->c->stop; slices++)
		cpu_run(p->c, p->clock.now + 100000);
}

static void expect_log(struct pc *p, const char *what, const u8 *want, size_t n)
{
	u8 got[16] = {0};
	u64 length = p->c->r[REG_RDI] - LOG;

	assert_true(length <= sizeof(got));
	bus_read(&p->bus, LOG, got, (u32)length);
	if (length != n || memcmp(got, want, n) != 0)
		fail_msg("%s: %u events, first %x %x %x", what, (unsigned)length, got[0], got[1], got[2]);
}
#define EXPECT_LOG(p, what, ...) expect_log(p, what, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

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

static struct vmcb_page *guest(struct pc *p)
{
	struct vmcb_page *v = vmcb_of(p);
	const struct vmcb_seg data = {.sel = 0x10, .attrib = 0xc93, .limit = ~0u};

	memset(v, 0, sizeof(*v));
	v->control.icpt[4] = 3;
	v->control.icpt[3] = 1u << 31 | 1u << 2; /* shutdown; SMI, as 2005 demands */
	v->control.asid = 1;
	v->control.tlb_control = TLB_CONTROL_ALL;
	v->control.iopm_base_pa = 0x20000;
	v->control.msrpm_base_pa = 0x24000;
	v->save.efer = EFER_SVME | EFER_LME | EFER_LMA | EFER_NXE;
	v->save.cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE;
	v->save.cr4 = CR4_PAE | CR4_MCE;
	v->save.cr3 = 0x1000;
	v->save.es = v->save.ss = v->save.ds = data;
	v->save.cs = (struct vmcb_seg){.sel = 8, .attrib = 0xa9b, .limit = ~0u};
	v->save.gdtr = (struct vmcb_seg){.limit = 23, .base = GDT};
	v->save.idtr = (struct vmcb_seg){.limit = 0xfff, .base = IDT};
	v->save.dr6 = 0xffff0ff0;
	v->save.dr7 = 0x400;
	v->save.rflags = FL_1 | FL_IF;
	v->save.rip = GUEST_CODE;
	v->save.rsp = 0x90000;
	CODE(p, HOST_CODE, 0x0f, 0x01, 0xd8, 0xb0, 3, 0xaa, 0x0f, 0x01, 0xdc, 0xfa, 0xf4); /* VMRUN; log 3; STGI; CLI; HLT */
	CODE(p, GUEST_CODE, 0xb0, 1, 0xaa, 0x90, 0xb0, 2, 0xaa, 0x0f, 0x01, 0xd9);        /* log 1; log 2; VMMCALL */
	p->c->r[REG_RAX] = VMCB_PA;
	p->c->gif = false; /* what is there at VMRUN waits for the guest */
	return v;
}

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

/* ---- table 2-5 ---- */

/* Not redirected: VM_CR.R_INIT belongs to SKINIT. A processor that is not the bootstrap one then waits for SIPI. */
static void expect_init(const struct pc *p)
{
	assert_int_equal(p->c->activity, ACT_WAIT_SIPI);
	assert_false(p->c->guest);
	assert_true(p->c->gif);
	assert_false(p->c->pend & PEND_INIT);
	assert_int_equal(p->c->efer, 0);
	assert_int_equal(p->c->cr0 & (CR0_PE | CR0_PG), 0);
	proves("svm.2.13.9 svm.2.13.10 svm.2.17.8.11 svm.2.17.8.12 svm.2.17.8.13 svm.2.17.8.15 svm.A.2.1 "
	       "svm.A.2.4 svm.A.2.5");
}

static void test_init_in_host(void **state)
{
	(void)state;
	for (size_t n = 0; n < 3 * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		unsigned column = (unsigned)(n / ARRAY_LEN(models));

		p->c->apic.base &= ~BIT(8);
		if (column == 1)
			CODE(p, HOST_CODE, 0xb0, 1, 0xaa, 0x0f, 0x01, 0xdc, 0x90, 0xb0, 2, 0xaa, 0xfa, 0xf4);
		else
			CODE(p, HOST_CODE, 0xb0, 1, 0xaa, 0x90, 0x90, 0x90, 0x90, 0xb0, 2, 0xaa, 0xfa, 0xf4);
		p->c->gif = column == 2;
		cpu_raise(p->c, PEND_INIT);
		run_from(p, HOST_CODE);
		if (column == 0) { /* held */
			assert_int_equal(p->c->activity, ACT_HLT);
			EXPECT_LOG(p, "GIF 0", 1, 2);
			assert_true(p->c->pend & PEND_INIT);
		} else {
			expect_init(p);
			assert_int_equal(bus_read_u64(&p->bus, LOG) & 0xffff, column == 1 ? 1 : 0);
		}
		pc_free(p);
	}
}

/* A guest on a processor that INIT leaves waiting for SIPI. */
static struct vmcb_page *guest_with_init(struct pc *p, bool intercepted)
{
	struct vmcb_page *v = guest(p);

	p->c->apic.base &= ~BIT(8);
	v->control.icpt[3] |= intercepted ? 1u << 3 : 0;
	return v;
}

/* Intercept 1: exit, INIT still pending, and the host's when it sets GIF. Intercept 0: taken, out of the guest. */
static void test_init_in_guest(void **state)
{
	(void)state;
	for (size_t n = 0; n < 2 * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		bool intercepted = n & 2;
		struct vmcb_page *v = guest_with_init(p, intercepted);

		cpu_raise(p->c, PEND_INIT);
		run_from(p, HOST_CODE);
		expect_init(p);
		assert_int_equal(v->control.exitcode, intercepted ? EXIT_INIT : 0);
		assert_int_equal(bus_read_u64(&p->bus, LOG) & 0xff, intercepted ? 3 : 0);
		pc_free(p);
	}
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

/* A20M: address bit 20 reads as 0 whatever GIF is. MOV AL, [300000h]; STOSB; HLT, from where bit 20 is 0 anyway. */
static void test_a20m(void **state)
{
	(void)state;
	for (size_t n = 0; n < 4 * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		bool masked = n / ARRAY_LEN(models) & 1;

		bus_write(&p->bus, 0x200000 + 0x800, (const u8[]){0x20}, 1);
		bus_write(&p->bus, 0x300000 + 0x800, (const u8[]){0x30}, 1);
		CODE(p, GUEST_CODE, 0x8a, 0x04, 0x25, 0x00, 0x08, 0x30, 0x00, 0xaa, 0xf4);
		bus_mask_a20(&p->bus, masked);
		p->c->gif = n / ARRAY_LEN(models) & 2;
		cpu_update_mode(p->c);
		run_from(p, GUEST_CODE);
		assert_int_equal(p->c->activity, ACT_HLT);
		EXPECT_LOG(p, "A20M", masked ? 0x20 : 0x30);
		pc_free(p);
	}
}

/* IGNNE#: the one of "STPCLK, IGNNE toggling, ECC scrubbing" that this machine has. */
static void ferr(void *arg, bool active)
{
	(void)arg, (void)active;
	proves("svm.2.13.27 svm.2.13.28");
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
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_host_columns),
	        cmocka_unit_test(test_guest_column),
	        cmocka_unit_test(test_guest_clgi), cmocka_unit_test(test_last_exception),
	        cmocka_unit_test(test_mce_off),
	        cmocka_unit_test(test_init_in_host),
	        cmocka_unit_test(test_init_in_guest),
	        cmocka_unit_test(test_init_guest_clgi),
	        cmocka_unit_test(test_smi),
	        cmocka_unit_test(test_a20m),
	        cmocka_unit_test(test_ignne),
	};

	return cmocka_run_group_tests_name("gif", tests, NULL, NULL);
}
