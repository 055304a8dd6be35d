/*
 * What surrounds SKINIT on a bare processor: events that wait for GIF, breakpoints, shutdown, guests, "SVM-Lock", the other
 * processors. "SKINIT Operation", "SL Abort", "Secure Multiprocessor Initialization".
 */
#include "skinit_fixture.h"
#include "svm_guest.h"

/* ---- what is pending ---- */

/*
 * A loader that can take interrupts: tables of its own, a log at ES:EDI. EFER.SVME is set for STGI, which needs it in
 * 2005. 32-bit code; each handler writes its vector.
 */
static void put_loader(struct pc *p)
{
	static const u8 tables[] = {0x17, 0, 0, 0x80, 0x05, 0, /* GDT */ 0xff, 7, 0, 0x90, 0x05, 0 /* IDT */};
	static const u8 code[] = {
	        0x36, 0x0f, 0x01, 0x90, 0x00, 0x01, 0, 0,    /* SS: LGDT [EAX+100h] */
	        0x36, 0x0f, 0x01, 0x98, 0x06, 0x01, 0, 0,    /* SS: LIDT [EAX+106h] */
	        0x66, 0x8c, 0xd3, 0x8e, 0xdb, 0x8e, 0xc3,    /* MOV BX, SS; MOV DS, BX; MOV ES, BX */
	        0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x0d, 0x00, 0x10, 0, 0, 0x0f, 0x30, /* EFER.SVME */
	        0xbf, 0x00, 0x80, 0x09, 0x00,                /* MOV EDI, LOG */
	        0xfb, 0x90, 0xb0, 1, 0xaa,                   /* STI; NOP; log 1 */
	        0xb9, 0x14, 0x01, 0x01, 0xc0, 0x31, 0xc0, 0x31, 0xd2, 0x0f, 0x30, /* VM_CR = 0 */
	        0x0f, 0x01, 0xdc, 0x90, 0xb0, 2, 0xaa,       /* STGI; NOP; log 2 */
	        0xfa, 0xf4,                                  /* CLI; HLT */
	};

	bus_write(&p->bus, SLB + ENTRY, code, sizeof(code));
	bus_write(&p->bus, SLB + 0x100, tables, sizeof(tables));
	bus_write_u64(&p->bus, GDT + 8, 0x00cf9b000000ffff);
	bus_write_u64(&p->bus, GDT + 16, 0x00cf93000000ffff);
	for (u64 n = 0; n < 256; n++) {
		u64 at = HANDLERS + 16 * n;

		CODE(p, at, 0x50, 0xb0, (u8)n, 0xaa, 0x58, 0xcf);
		bus_write_u64(&p->bus, IDT + 8 * n, (at & 0xffff) | 8 << 16 | 0x8eull << 40 | (at >> 16) << 48);
	}
}

static void expect_log(struct pc *p, const char *what, const u8 *want, size_t n)
{
	u8 got[16] = {0};

	bus_read(&p->bus, LOG, got, sizeof(got));
	if (memcmp(got, want, n) != 0 || got[n])
		fail_msg("%s: %x %x %x %x", what, got[0], got[1], got[2], got[3]);
}
#define EXPECT_LOG(p, what, ...) expect_log(p, what, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

enum { NMI = 2, SMM_HANDLER = 0x38000 };

/* Before SKINIT with IF = 0, or while it measures: held until STGI. */
static void test_pending(void **state)
{
	static const u8 vectors[] = {NMI, VECTOR};

	(void)state;
	for (size_t n = 0; n < 2 * ARRAY_LEN(vectors) * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		u8 vector = vectors[n / ARRAY_LEN(models) / 2];
		bool during = n / ARRAY_LEN(models) & 1;

		put_loader(p);
		p->c->apic.svr = 0x1ff;
		if (vector == VECTOR) { /* IF is 0: the fixture's */
			apic_msi(p->all, 1, 0xfee00000, VECTOR);
			if (during) { /* it comes anew */
				p->c->pend = 0;
				heard(p)->raise = PEND_INTR;
			}
		} else if (during) {
			heard(p)->raise = PEND_NMI;
		} else { /* before: GIF is 0 already */
			p->c->gif = false;
			cpu_raise(p->c, PEND_NMI);
		}
		go_from(p, HOST_CODE);
		assert_int_equal(p->c->activity, ACT_HLT);
		EXPECT_LOG(p, models[n % ARRAY_LEN(models)], 1, vector, 2);
		done(p);
	}
	proves("svm.3.1.6.28 svm.3.1.6.36 svm.3.1.6.37 svm.3.1.6.40");
}

/* SMI and INIT, before it with GIF = 0 and while it measures. The loader has cleared VM_CR before it sets GIF: INIT is INIT again. */
static void test_pending_init_smi(void **state)
{
	(void)state;
	for (size_t n = 0; n < 4 * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		u32 raised = n / ARRAY_LEN(models) & 1 ? PEND_INIT : PEND_SMI;

		put_loader(p);
		CODE(p, SMM_HANDLER, 0x0f, 0xaa); /* RSM */
		CODE(p, SLB + ENTRY + 58, 0xf4, 0x0f, 0x01, 0xdc, 0x90, 0xfa, 0xf4); /* HLT; STGI; NOP; CLI; HLT */
		if (n / ARRAY_LEN(models) & 2) {
			heard(p)->raise = raised;
		} else {
			p->c->gif = false;
			cpu_raise(p->c, raised);
		}
		go_from(p, HOST_CODE);
		assert_int_equal(p->c->activity, ACT_HLT);
		EXPECT_LOG(p, "held", 1);
		assert_true(p->c->pend & raised);
		assert_false(p->c->gif);
		p->c->apic.base &= ~BIT(8); /* so that INIT waits for SIPI */
		go_from(p, p->c->r[REG_RIP]);
		assert_false(p->c->pend & raised);
		assert_int_equal(p->c->activity, raised == PEND_INIT ? ACT_WAIT_SIPI : ACT_HLT);
		done(p);
	}
	proves("svm.3.1.6.38 svm.3.1.6.39 svm.3.1.7.1");
}

/* ---- breakpoints and traps ---- */

/* A breakpoint on the loader's entry point, one on the block's data, the single-step trap; and what MOV SS held back. In
 * the loader's world any #DB would end in a shutdown: there is no IDT. */
static void test_no_breakpoints(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 8; n++) {
		struct pc *p = machine("amd");
		struct cpu *c = p->c;

		c->dr[0] = SLB + ENTRY;
		c->dr[1] = SLB;
		c->dr7 = 0x400 | (n & 1 ? 2u : 0) | (n & 2 ? 8u | 0xfu << 20 : 0);
		if (n & 4) {
			flags_set(c, FL_1 | FL_TF);
			c->shadow = SHADOW_MOVSS;
			c->pending_db = 2;
			cpu_raise(c, PEND_DB);
		}
		cpu_update_mode(c);
		go_from(p, HOST_CODE);
		expect_loader(p, SLB, ENTRY);
		assert_int_equal(c->dr7, 0x400);
		assert_int_equal(c->dr6, 0xffff0ff0);
		assert_int_equal(c->pending_db, 0);
		done(p);
	}
	proves("svm.3.1.6.34");
}

static void test_no_trace_trap(void **state)
{
	struct pc *p = machine("amd");

	(void)state;
	flags_set(p->c, FL_1 | FL_TF);
	cpu_update_mode(p->c);
	go_from(p, HOST_CODE);
	expect_loader(p, SLB, ENTRY);
	proves("svm.3.1.6.35");
	done(p);
}

/* ---- shutdown ---- */

/* The loader's first instruction is UD2, and there is no IDT: shutdown with GIF = 0. INIT and NMI do not end it. */
static void test_shutdown(void **state)
{
	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n]);
		struct cpu *c = p->c;

		CODE(p, SLB + ENTRY, 0x0f, 0x0b);
		go_from(p, HOST_CODE);
		assert_int_equal(c->activity, ACT_SHUTDOWN);
		c->stop = 0;
		cpu_raise(c, PEND_INIT);
		cpu_raise(c, PEND_NMI);
		for (unsigned slices = 0; slices < 3; slices++)
			cpu_run(c, p->clock.now + 1000);
		assert_int_equal(c->activity, ACT_SHUTDOWN);
		assert_true((c->pend & (PEND_INIT | PEND_NMI)) == (PEND_INIT | PEND_NMI));
		cpu_reset(c, false);
		assert_int_equal(c->activity, ACT_RUN);
		assert_int_equal(c->vm_cr, 0);
		assert_true(c->gif);
		done(p);
	}
	proves("svm.3.1.6.29 svm.A.1.5");
}

/* ---- guests ---- */

static struct vmcb_page *guest(struct pc *p, bool intercepted)
{
	struct vmcb_page *v = svm_guest64(p);

	v->control.icpt[4] = ICPT_4_VMRUN | (intercepted ? 1u << 6 : 0);
	v->control.icpt[2] = 1u << EX_GP | 1u << EX_UD;
	v->save.rax = SLB;
	p->c->vm_hsave_pa = HSAVE_PA;
	p->c->r[REG_RAX] = VMCB_PA;
	CODE(p, HOST_CODE, 0x0f, 0x01, 0xd8, 0xf4); /* VMRUN; HLT */
	CODE(p, GUEST_CODE, 0x0f, 0x01, 0xde);      /* SKINIT */
	return v;
}

/* Intercepted: exit 86h and nothing of it happens. Else the loader is out of the guest. CPL 3: #GP before the intercept. */
static void test_guest(void **state)
{
	(void)state;
	for (size_t n = 0; n < 4 * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		bool intercepted = n / ARRAY_LEN(models) & 1, user = n / ARRAY_LEN(models) & 2;
		struct vmcb_page *v = guest(p, intercepted);

		if (user) {
			v->save.cpl = 3;
			v->save.ss.attrib |= 0x60;
			v->save.cs.attrib |= 0x60;
		}
		go_from(p, HOST_CODE);
		assert_false(p->c->guest);
		if (!user && !intercepted) {
			expect_loader(p, SLB, ENTRY);
			expect_measured(p, SLB, 0x1234);
			assert_int_equal(p->c->space, 0);
			assert_int_equal(p->c->icpt[0] | p->c->icpt[1] | p->c->icpt[2] | p->c->icpt[3] | p->c->icpt[4], 0);
			assert_int_equal(v->control.exitcode, 0);
		} else {
			assert_int_equal(p->c->r[REG_RIP], HOST_CODE + 4);
			assert_int_equal(v->control.exitcode, user ? 0x4d : 0x86);
			assert_int_equal(v->control.exitinfo1 | v->control.exitinfo2, 0);
			assert_int_equal(v->save.rip, GUEST_CODE);
			assert_int_equal(heard(p)->protects + heard(p)->measures, 0);
			assert_int_equal(p->c->vm_cr, 0);
		}
		done(p);
	}
	proves("svm.2.5.26.1 svm.2.5.26.2");
}

/* A guest that drops EFER.SVME: where SKINIT is announced both instructions are still there, and still intercepted. */
static void test_guest_without_svme(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2 * ARRAY_LEN(models); n++) {
		struct pc *p = machine(models[n % ARRAY_LEN(models)]);
		struct vmcb_page *v = guest(p, true);
		bool stgi = n / ARRAY_LEN(models);

		v->control.icpt[4] |= 1u << 4;
		/* MOV ECX, EFER; RDMSR; BTR EAX, 12; WRMSR; STGI or SKINIT */
		CODE(p, GUEST_CODE, 0xb9, 0x80, 0, 0, 0xc0, 0x0f, 0x32, 0x0f, 0xba, 0xf0, 12, 0x0f, 0x30, 0x0f, 0x01,
		     stgi ? 0xdc : 0xde);
		go_from(p, HOST_CODE);
		assert_int_equal(v->control.exitcode, n % ARRAY_LEN(models) ? 0x46 : stgi ? 0x84 : 0x86);
		done(p);
	}
}

/* ---- "SVM-Lock" ---- */

/* LOCK and SVMDIS are none of SKINIT's business. With SVM disabled it works by its own bit, and so does STGI. */
static void test_locked(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 4; n++) {
		struct pc *p = machine("amd");
		u64 lock = (u64)n << 3;

		p->c->efer &= ~EFER_SVME;
		assert_true(msr_write(p->c, 0xc0010118, 0x1234));
		assert_true(msr_write(p->c, 0xc0010114, lock));
		CODE(p, SLB + ENTRY, 0x0f, 0x01, 0xdc, 0xf4); /* STGI; HLT */
		cpu_update_mode(p->c);
		go_from(p, HOST_CODE);
		assert_int_equal(p->c->activity, ACT_HLT);
		assert_int_equal(p->c->r[REG_RIP], SLB + ENTRY + 4);
		assert_true(p->c->gif);
		assert_int_equal(p->c->vm_cr, lock | SECURE_BITS);
		assert_true(msr_write(p->c, 0xc0010114, 0)); /* the loader's abort: only what is locked stays */
		assert_int_equal(p->c->vm_cr, lock & VM_CR_LOCK ? lock : 0);
		assert_int_equal(msr_write(p->c, 0xc0000080, EFER_SVME), !(p->c->vm_cr & VM_CR_SVMDIS));
		done(p);
	}
	proves("svm.3.1.6.42");
}

/* ---- the other processors ---- */

/* "Secure MP initialization": measured only on the bootstrap processor, with every other one waiting for SIPI. */
static void test_processors(void **state)
{
	static const struct {
		u8 activity;
		bool bsp, good;
	} rows[] = {{ACT_WAIT_SIPI, true, true}, {ACT_RUN, true, false}, {ACT_HLT, true, false}, {ACT_SHUTDOWN, true, false},
	            {ACT_WAIT_SIPI, false, false}};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
		struct pc *p = machine("amd");
		struct cpu *other = calloc(1, sizeof(*other)), *all[2] = {p->c, other};

		assert_non_null(other);
		other->index = 1;
		other->activity = rows[n].activity;
		p->c->all = all;
		p->c->count = 2;
		if (!rows[n].bsp)
			p->c->apic.base &= ~BIT(8);
		go_from(p, HOST_CODE);
		expect_loader(p, SLB, ENTRY);
		expect_measured(p, SLB, rows[n].good ? 0x1234 : 0);
		assert_string_equal(p->refused ? p->refused : "", rows[n].good ? "" : "svm.skinit.processors");
		p->c->all = p->all;
		p->c->count = 1;
		free(other);
		done(p);
	}
	proves("svm.3.1.6.23 svm.3.1.6.26 svm.3.1.8.15");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_pending),
	        cmocka_unit_test(test_pending_init_smi),
	        cmocka_unit_test(test_no_breakpoints),
	        cmocka_unit_test(test_no_trace_trap),
	        cmocka_unit_test(test_shutdown),
	        cmocka_unit_test(test_guest),
	        cmocka_unit_test(test_guest_without_svme),
	        cmocka_unit_test(test_locked),
	        cmocka_unit_test(test_processors),
	};

	return cmocka_run_group_tests_name("skinit_around", tests, NULL, NULL);
}
