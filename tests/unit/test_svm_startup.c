/*
 * "Secure Multiprocessor Initialization" of 33047, with 1, 2 and 4 processors on one bus: what INIT and the Startup
 * IPI do to the others before and behind SKINIT on the bootstrap processor, what is held for them and until when, and
 * how it ends.
 */
#include "gif_fixture.h"
#include "report.h"

enum { SMM_HANDLER = 0x38000, VM_CR = 0xc0010114, MOST = 4, AP_PAGE = 0x8000, SIPI_VECTOR = AP_PAGE >> 12 };
enum { SVR = 0xf0, ICR = 0x300, ICR_BUSY = 1 << 12, LVT_LINT0_AT = 0x350 };
enum { INIT_IPI = 0x4500, STARTUP_IPI = 0x4600 | SIPI_VECTOR, NMI_IPI = 0x4400, SMI_IPI = 0x4200 };
#define SECURE 7ull /* DPD, R_INIT, DIS_A20M */

/* Further processors around the one of the fixture. */
struct several {
	struct pc *pc;
	struct cpu *all[MOST];
	void *mem[MOST];
	unsigned count;
};

static void several_new(struct several *s, const char *model, unsigned count)
{
	struct err err;

	memset(s, 0, sizeof(*s));
	s->pc = machine(model);
	CODE(s->pc, SMM_HANDLER, 0x0f, 0xaa); /* RSM */
	s->count = count;
	s->all[0] = s->pc->c;
	for (unsigned n = 1; n < count; n++) {
		s->mem[n] = calloc(1, sizeof(struct cpu) + 64);
		assert_non_null(s->mem[n]);
		s->all[n] = (struct cpu *)(void *)(((uintptr_t)s->mem[n] + 63) & ~(uintptr_t)63);
		s->all[n]->index = n;
	}
	for (unsigned n = 0; n < count; n++) {
		s->all[n]->all = s->all;
		s->all[n]->count = count;
		s->all[n]->code = s->pc->code;
		s->all[n]->decode = s->pc->decode;
		if (n)
			assert_int_equal(cpu_init(s->all[n], s->pc->c->model, &s->pc->c->feat, &s->pc->bus, &err),
			                 ST_OK);
	}
	for (unsigned n = 1; n < count; n++)
		assert_int_equal(s->all[n]->activity, ACT_WAIT_SIPI); /* since RESET */
}

static void several_free(struct several *s)
{
	for (unsigned n = 1; n < s->count; n++) {
		cpu_fini(s->all[n]);
		free(s->mem[n]);
	}
	pc_free(s->pc);
}

/* Everybody's turn, as the machine has it. */
static void turns(struct several *s, unsigned rounds)
{
	for (unsigned r = 0; r < rounds; r++)
		for (unsigned n = 0; n < s->count; n++)
			if (s->all[n]->activity == ACT_RUN || s->all[n]->attention)
				cpu_run(s->all[n], s->pc->clock.now + 50);
}

/* From the bootstrap processor to all others, by its ICR. */
static void ipi(struct several *s, u32 command)
{
	apic_mmio_write(s->all[0], ICR, command | 3u << 18);
}

/* What the others run: MOV AL, [8F00h]; INC AL; MOV [8F01h], AL; HLT. */
enum { AP_READS = 0x8f00, AP_WRITES = 0x8f01, AP_HLT = 8 };
static void ap_code(struct several *s, u8 reads)
{
	CODE(s->pc, AP_PAGE, 0xa0, 0x00, 0x8f, 0xfe, 0xc0, 0xa2, 0x01, 0x8f, 0xf4);
	bus_write(&s->pc->bus, AP_READS, (const u8[]){reads, 0}, 2);
}

static u8 ap_wrote(struct several *s)
{
	u8 v;

	bus_read(&s->pc->bus, AP_WRITES, &v, 1);
	return v;
}

/* As SKINIT leaves VM_CR, and its part of the protocol. */
static bool skinit(struct several *s, unsigned n)
{
	s->all[n]->vm_cr |= SECURE;
	return svm_secure_start(s->all[n]);
}

static void start(struct several *s)
{
	ap_code(s, 0x40);
	ipi(s, STARTUP_IPI);
	turns(s, 3);
}

/* Every model with 1, 2 and 4 processors, the others in INIT state by an INIT IPI. */
#define FOR_EACH_MACHINE(s)                                                                                            \
	for (unsigned n_ = 0;                                                                                          \
	     n_ < 3 * ARRAY_LEN(models) && (several_init(&(s), models[n_ % 2], 1u << n_ / 2), true);                    \
	     several_free(&(s)), n_++)

static void several_init(struct several *s, const char *model, unsigned count)
{
	several_new(s, model, count);
	ipi(s, INIT_IPI);
	turns(s, 2);
}

/* ---- before SKINIT ---- */

/* INIT state: halted, whatever comes, until the Startup IPI; that starts it in real mode at VV000h. */
static void test_as_ever(void **state)
{
	struct several s;

	(void)state;
	FOR_EACH_MACHINE(s) {
		start(&s); /* they run, and INIT stops them again */
		for (unsigned n = 1; n < s.count; n++)
			assert_int_equal(s.all[n]->activity, ACT_HLT);
		ipi(&s, INIT_IPI);
		assert_int_equal(apic_mmio_read(s.all[0], ICR) & ICR_BUSY, 0);
		turns(&s, 1);
		ap_code(&s, 0x10);
		ipi(&s, 0x4000 | VECTOR);
		ipi(&s, SMI_IPI);
		turns(&s, 3);
		for (unsigned n = 1; n < s.count; n++)
			assert_int_equal(s.all[n]->activity, ACT_WAIT_SIPI);
		assert_int_equal(ap_wrote(&s), 0);
		start(&s);
		for (unsigned n = 1; n < s.count; n++) {
			struct cpu *c = s.all[n];

			assert_int_equal(c->activity, ACT_HLT);
			assert_int_equal(c->seg[SEG_CS].sel, AP_PAGE >> 4);
			assert_int_equal(c->seg[SEG_CS].base, AP_PAGE);
			assert_int_equal(c->seg[SEG_CS].ar & (AR_L | AR_DB), 0);
			assert_int_equal(c->r[REG_RIP], AP_HLT + 1);
			assert_int_equal(c->cr0 & (CR0_PE | CR0_PG), 0);
			assert_true(c->gif);
			assert_int_equal(c->vm_cr, 0);
			assert_int_equal(ap_wrote(&s), 0x41);
		}
		assert_true(s.all[0]->gif);
		assert_int_equal(s.all[0]->vm_cr, 0);
	}
	proves("svm.3.1.8.1 svm.3.1.8.3 svm.3.1.8.8 svm.3.1.8.10 svm.3.1.8.11 svm.3.1.8.12 svm.3.1.8.13");
}

/* What a processor in INIT state had in its caches is everybody's, and the other way round. */
static void test_snoops(void **state)
{
	struct several s;
	u8 v = 0;

	(void)state;
	several_init(&s, "amd", 2);
	start(&s); /* it has read 40h and written 41h */
	ipi(&s, INIT_IPI);
	turns(&s, 2);
	assert_int_equal(s.all[1]->activity, ACT_WAIT_SIPI);
	/* MOV AL, [8F01h]; MOV [8F00h], AL; HLT */
	CODE(s.pc, HOST_CODE, 0x8a, 0x04, 0x25, 1, 0x8f, 0, 0, 0x88, 0x04, 0x25, 0, 0x8f, 0, 0, 0xf4);
	run_from(s.pc, HOST_CODE);
	bus_read(&s.pc->bus, AP_READS, &v, 1);
	assert_int_equal(v, 0x41);
	ipi(&s, STARTUP_IPI);
	turns(&s, 3);
	assert_int_equal(ap_wrote(&s), 0x42);
	several_free(&s);
	proves("svm.3.1.8.2");
}

/* ---- SKINIT's part ---- */

/* The protocol is completed by the bootstrap processor alone, and with all others in INIT state; INIT is sensed where
 * it has been taken, not where it has been sent. */
static void test_handshake(void **state)
{
	struct several s;

	(void)state;
	FOR_EACH_MACHINE(s) {
		assert_true(skinit(&s, 0));
		if (s.count == 1)
			continue;
		assert_true(msr_write(s.all[0], VM_CR, 0));
		start(&s);
		assert_false(skinit(&s, 0));
		ipi(&s, INIT_IPI);
		assert_false(skinit(&s, 0));
		assert_true(msr_write(s.all[0], VM_CR, 0));
		turns(&s, 2);
		assert_false(skinit(&s, 1)); /* no bootstrap processor: nor do the others hear of it */
		start(&s);
		for (unsigned n = 1; n < s.count; n++)
			assert_true(s.all[n]->gif);
		if (s.count > 2)
			assert_int_equal(s.all[2]->vm_cr, 0);
	}
	proves("svm.3.1.8.14 svm.3.1.8.15");
}

/* One row of the state: GIF and VM_CR are the whole difference that SKINIT makes to a Startup IPI. */
static void same_but_for_two(const struct cpu *a, const struct cpu *b)
{
	for (size_t k = 0; k < cpu_row_count; k++) {
		const struct state_row *r = &cpu_rows[k];

		if (!strcmp(r->name, "gif") || !strcmp(r->name, "vm_cr"))
			continue;
		if (memcmp((const u8 *)a + r->offset, (const u8 *)b + r->offset, (size_t)r->width * r->count) != 0)
			fail_msg("a Startup IPI behind SKINIT makes another %s", r->name);
	}
}

static void test_behind_skinit(void **state)
{
	struct several s, ever;

	(void)state;
	FOR_EACH_MACHINE(s) {
		several_init(&ever, models[n_ % 2], s.count);
		assert_true(skinit(&s, 0));
		assert_true(s.all[0]->gif); /* GIF of the bootstrap processor is SKINIT's own business */
		start(&s);
		start(&ever);
		for (unsigned n = 1; n < s.count; n++) {
			assert_false(s.all[n]->gif);
			assert_int_equal(s.all[n]->vm_cr, SECURE);
			assert_int_equal(s.all[n]->activity, ACT_HLT);
			same_but_for_two(s.all[n], ever.all[n]);
		}
		several_free(&ever);
	}
	proves("svm.3.1.8.4 svm.3.1.8.5 svm.3.1.8.6 svm.3.1.8.7 svm.3.1.8.9");
}

/* ---- what is held ---- */

enum { VECTOR_8259 = 0x52 };
static int ack_8259(void *arg)
{
	apic_lint(arg, 0, false);
	return VECTOR_8259;
}

/* The rest of the startup code, by hand: long mode, the fixture's tables, SVM, the local APIC, interrupts on. */
static void into_long_mode(struct several *s, struct cpu *c)
{
	const struct cpu *first = s->all[0];

	host_state(c);
	c->gdtr = first->gdtr;
	c->idtr = first->idtr;
	c->efer |= EFER_SVME;
	c->r[REG_RSP] = 0x84000;
	c->r[REG_RDI] = LOG;
	flags_set(c, FL_1 | FL_IF);
	cpu_update_mode(c);
	apic_mmio_write(c, SVR, 0x1ff);
	apic_mmio_write(c, LVT_LINT0_AT, DM_EXTINT << 8);
}

/* On one processor at a time, since the log is one: log A1h; STGI; NOP; log A2h; CLI; HLT. */
static void sets_gif(struct several *s, struct cpu *c, const u8 *want, size_t n)
{
	struct pc one = *s->pc;

	CODE(s->pc, HOST_CODE, 0xb0, 0xa1, 0xaa, 0x90, 0x90, 0x0f, 0x01, 0xdc, 0x90, 0xb0, 0xa2, 0xaa, 0xfa, 0xf4);
	CODE(s->pc, HANDLERS + 16 * EX_SX, 0x58, 0xaa, 0xb0, EX_SX, 0xaa, 0x48, 0xcf);
	one.c = c;
	run_from(&one, HOST_CODE);
	assert_int_equal(c->activity, ACT_HLT);
	expect_log(&one, "held until STGI", want, n);
}
#define SETS_GIF(s, c, ...) sets_gif(s, c, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

/* The 8259 pair asks before the INIT IPI, while IF is 0 there; NMI, SMI and INIT come behind it, an interrupt by the
 * local APIC behind the Startup IPI. NMI comes in the handler of #SX, so it logs first. */
static void test_held(void **state)
{
	const u32 pending = PEND_NMI | PEND_SMI | PEND_INIT;
	struct several s;

	(void)state;
	FOR_EACH_MACHINE(s) {
		start(&s); /* not to be woken: IF is 0 */
		for (unsigned n = 1; n < s.count; n++) {
			s.all[n]->intr_ack = ack_8259;
			s.all[n]->intr_ack_arg = s.all[n];
			apic_mmio_write(s.all[n], SVR, 0x1ff);
			apic_mmio_write(s.all[n], LVT_LINT0_AT, DM_EXTINT << 8);
			apic_lint(s.all[n], 0, true);
			apic_msi(&s.all[n], 1, 0xfee00000 | n << 12, VECTOR + 16); /* gone with the local APIC's INIT */
			assert_true(s.all[n]->pend & PEND_INTR);
		}
		turns(&s, 1);
		ipi(&s, INIT_IPI);
		turns(&s, 2);
		assert_true(skinit(&s, 0));
		ipi(&s, NMI_IPI);
		ipi(&s, SMI_IPI);
		ipi(&s, INIT_IPI);
		turns(&s, 2);
		start(&s);
		for (unsigned n = 1; n < s.count; n++) {
			struct cpu *c = s.all[n];

			assert_int_equal(c->activity, ACT_HLT); /* it has started */
			assert_int_equal(c->pend & pending, pending);
			into_long_mode(&s, c);
			apic_msi(&c, 1, 0xfee00000 | n << 12, VECTOR);
			assert_int_equal(apic_pending(c), VECTOR);
			SETS_GIF(&s, c, 0xa1, EX_NMI, SX_INIT, EX_SX, VECTOR, VECTOR_8259, 0xa2);
			assert_true(c->gif);
			assert_int_equal(c->pend & pending, 0);
		}
	}
	proves("svm.3.1.8.16 svm.3.1.8.17 svm.3.1.8.18 svm.3.1.8.19");
}

/* ---- the end of it ---- */

enum ending { ABORT, INIT_TAKEN_BY_FIRST, RESET_OF_ALL, ENDINGS };

/* Everybody has GIF set and VM_CR cleared; or INIT, which clears VM_CR; or RESET. */
static void end(struct several *s, enum ending how)
{
	for (unsigned n = 0; n < s->count; n++) {
		struct cpu *c = s->all[n];

		if (how == RESET_OF_ALL) {
			cpu_reset(c, false);
		} else if (n) {
			c->gif = true;
			assert_true(msr_write(c, VM_CR, 0));
		} else if (how == ABORT) {
			for (u64 some = SECURE; some; some--) { /* not yet the end */
				assert_true(msr_write(c, VM_CR, some));
				assert_true(svm_of(c)->secure_start);
			}
			assert_true(msr_write(c, VM_CR, 0));
		} else {
			assert_true(msr_write(c, VM_CR, VM_CR_DIS_A20M)); /* not redirected */
			cpu_raise(c, PEND_INIT);
			cpu_run(c, s->pc->clock.now + 1);
		}
	}
}

static void test_end(void **state)
{
	struct several s;

	(void)state;
	for (unsigned how = 0; how < ENDINGS; how++) {
		FOR_EACH_MACHINE(s) {
			assert_true(skinit(&s, 0));
			start(&s);
			end(&s, how);
			host_state(s.all[0]);
			s.all[0]->activity = ACT_HLT;
			ipi(&s, INIT_IPI); /* normal again: not redirected, */
			turns(&s, 2);
			for (unsigned n = 1; n < s.count; n++)
				assert_int_equal(s.all[n]->activity, ACT_WAIT_SIPI);
			ipi(&s, INIT_IPI); /* not held, */
			turns(&s, 2);
			for (unsigned n = 1; n < s.count; n++)
				assert_false(s.all[n]->pend & PEND_INIT);
			start(&s); /* and GIF and VM_CR are left alone */
			for (unsigned n = 1; n < s.count; n++) {
				assert_int_equal(s.all[n]->activity, ACT_HLT);
				assert_true(s.all[n]->gif);
				assert_int_equal(s.all[n]->vm_cr, 0);
			}
		}
	}
	proves("svm.3.1.8.20 svm.3.1.8.8");
}

/* Who starts the others as ever, by INIT and Startup IPI, is told what becomes of that INIT. */
static void noted(void *arg, const char *text)
{
	*(bool *)((struct pc *)arg)->own = strstr(text, "INIT IPI behind SKINIT") != NULL;
}

static void test_note(void **state)
{
	struct several s;
	bool told = false;

	(void)state;
	several_init(&s, "amd", 2);
	s.pc->hooks.note = noted;
	s.pc->own = &told;
	assert_true(skinit(&s, 0));
	start(&s);
	assert_false(told);
	s.all[1]->gif = true;
	assert_true(msr_write(s.all[1], VM_CR, 0));
	ipi(&s, INIT_IPI);
	turns(&s, 2);
	ipi(&s, INIT_IPI);
	turns(&s, 2);
	start(&s);
	assert_true(told);
	several_free(&s);
}

/* An INIT that is held in INIT state is taken there when the start ends: the Startup IPI finds nothing of it. */
static void test_held_until_the_end(void **state)
{
	struct several s;

	(void)state;
	for (unsigned aborted = 0; aborted < 2; aborted++) {
		several_init(&s, "amd", 2);
		assert_true(skinit(&s, 0));
		ipi(&s, INIT_IPI);
		turns(&s, 2);
		assert_true(s.all[1]->pend & PEND_INIT);
		if (aborted)
			assert_true(msr_write(s.all[0], VM_CR, 0));
		else
			cpu_reset(s.all[0], true); /* INIT of the first */
		s.all[0]->activity = ACT_HLT;
		turns(&s, 2);
		assert_false(s.all[1]->pend & PEND_INIT);
		start(&s);
		assert_int_equal(s.all[1]->activity, ACT_HLT);
		assert_true(s.all[1]->gif);
		several_free(&s);
	}
}

/* "SVM-Lock": what is locked of another's VM_CR outlives the INIT IPI and the Startup IPI. */
static void test_locked(void **state)
{
	struct several s;

	(void)state;
	several_init(&s, "amd", 2);
	start(&s);
	assert_true(msr_write(s.all[1], VM_CR, VM_CR_LOCK | VM_CR_SVMDIS));
	ipi(&s, INIT_IPI);
	turns(&s, 2);
	assert_int_equal(s.all[1]->vm_cr, VM_CR_LOCK | VM_CR_SVMDIS);
	assert_true(skinit(&s, 0));
	start(&s);
	assert_int_equal(s.all[1]->vm_cr, VM_CR_LOCK | VM_CR_SVMDIS | SECURE);
	several_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_as_ever),       cmocka_unit_test(test_snoops), cmocka_unit_test(test_handshake),
	        cmocka_unit_test(test_behind_skinit), cmocka_unit_test(test_held),   cmocka_unit_test(test_end),
	        cmocka_unit_test(test_note),          cmocka_unit_test(test_held_until_the_end),
	        cmocka_unit_test(test_locked),
	};

	return cmocka_run_group_tests_name("startup", tests, NULL, NULL);
}
