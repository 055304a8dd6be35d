/*
 * Table 2-7 of 33047, "SMI Handling in Different Operating Modes", cell by cell on a bare processor: SMIs by I/O trapping,
 * by a port's access and by nothing of the kind; and "SMI Intercept", what EXITINFO1 and EXITINFO2 say.
 */
#include "svm_smm_fixture.h"

/* ---- table 2-7 ---- */

enum source { INTERNAL, SYNCHRONOUS, ASYNCHRONOUS, SOURCES };

/* Log 1; IN AL, port; CLGI and STGI around it, or not; log 2; VMMCALL or CLI, HLT. An asynchronous SMI is there from the start. */
static void program(struct pc *p, u64 at, enum source source, bool closed, bool host)
{
	const u8 port = source == SYNCHRONOUS ? PORT : QUIET;
	u8 code[32] = {0xb0, 1, 0xaa, 0x0f, 0x01, 0xdd, 0xe4, port, 0x90, 0x0f, 0x01, 0xdc, 0x90, 0xb0, 2, 0xaa};

	if (!closed) {
		memset(code + 3, 0x90, 3);
		memset(code + 9, 0x90, 3);
	}
	memcpy(code + 16, host ? (const u8[]){0xfa, 0xf4, 0x90} : (const u8[]){0x0f, 0x01, 0xd9}, 3);
	bus_write(&p->bus, at, code, 19);
	if (source == INTERNAL)
		trap_port(p->c, QUIET);
}

/* Column "intercept 0" in a host: internal SMIs are lost with GIF 0, external ones wait for it. */
static void test_table_host(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2 * SOURCES * ARRAY_LEN(models); n++) {
		struct pc *p = smm_machine(models[n % ARRAY_LEN(models)]);
		enum source source = n / ARRAY_LEN(models) % SOURCES;
		bool closed = n / ARRAY_LEN(models) / SOURCES;

		program(p, HOST_CODE, source, closed, true);
		if (source == ASYNCHRONOUS) {
			p->c->gif = !closed;
			CODE(p, HOST_CODE + 3, 0x90, 0x90, 0x90);
			cpu_raise(p->c, PEND_SMI);
			for (unsigned k = 0; closed && k < 3; k++) { /* log 1 and three NOPs later it still waits */
				p->c->r[REG_RIP] = HOST_CODE + 3 + k;
				p->c->activity = ACT_RUN;
				cpu_run(p->c, p->clock.now + 1);
				assert_int_equal(entered(p), 0);
				assert_true(p->c->pend & PEND_SMI);
			}
		}
		run_from(p, HOST_CODE);
		assert_int_equal(p->c->activity, ACT_HLT);
		EXPECT_LOG(p, "the host goes on", 1, 2);
		assert_int_equal(entered(p), source == INTERNAL && closed ? 0 : 1);
		assert_int_equal(p->c->pend & (PEND_SMI | PEND_IO_TRAP), 0);
		assert_false(p->c->smm);
		if (entered(p) && source != ASYNCHRONOUS) /* taken at the instruction if GIF is 1, behind STGI if not */
			assert_int_equal(saved64(p, 0xff78), HOST_CODE + (closed ? 12 : 8));
		smm_free(p);
	}
	proves("svm.2.13.13 svm.2.13.14 svm.2.13.15 svm.2.13.16 svm.2.18.2.1 svm.2.18.2.2 svm.2.18.2.5 svm.2.18.2.6 "
	       "svm.2.18.2.7");
}

/* Column "intercept 1": exit 62h before SMM; an external SMI is the host's as soon as it sets GIF. With GIF 0 as above. */
static void test_table_intercepted(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2 * SOURCES * ARRAY_LEN(models); n++) {
		struct pc *p = smm_machine(models[n % ARRAY_LEN(models)]);
		enum source source = n / ARRAY_LEN(models) % SOURCES;
		bool closed = n / ARRAY_LEN(models) / SOURCES;
		struct vmcb_page *v = guest(p);

		CODE(p, HOST_CODE, 0x0f, 0x01, 0xd8, 0xf4, 0x0f, 0x01, 0xdc, 0xfa, 0xf4); /* VMRUN; HLT; STGI; CLI; HLT */
		program(p, GUEST_CODE, source, closed, false);
		if (source == ASYNCHRONOUS)
			cpu_raise(p->c, PEND_SMI);
		run_from(p, HOST_CODE);
		if (source == INTERNAL && closed) {
			assert_int_equal(v->control.exitcode, 0x81);
		} else {
			assert_int_equal(v->control.exitcode, EXIT_SMI);
			assert_int_equal(v->control.exitinfo1 & 3, source == INTERNAL ? 0 : 1);
			assert_int_equal(v->control.exitinfo1 >> VAL & 1, source != ASYNCHRONOUS && !closed);
			assert_int_equal(v->save.rip, GUEST_CODE + (source == ASYNCHRONOUS ? 0 : closed ? 12 : 8));
		}
		assert_int_equal(entered(p), 0); /* nothing of SMM yet */
		assert_int_equal(saved64(p, 0xff78), 0);
		assert_false(p->c->smm);
		assert_int_equal(!!(p->c->pend & PEND_SMI), source != INTERNAL);
		assert_int_equal(p->c->pend & PEND_IO_TRAP, 0);
		run_from(p, HOST_CODE + 4); /* STGI */
		assert_int_equal(entered(p), source != INTERNAL);
		assert_int_equal(p->c->pend & PEND_SMI, 0);
		smm_free(p);
	}
	proves("svm.2.9.3.1 svm.2.9.3.2 svm.2.9.3.3 svm.2.18.2.3 svm.2.18.2.4 svm.2.18.2.8 svm.C.1.12 svm.D.53 svm.2.18.1.1 "
	       "svm.2.18.1.3 svm.2.18.1.4 svm.2.18.2.1 svm.2.18.2.2 svm.2.13.13 svm.2.13.15 svm.2.13.14 svm.2.13.16");
}

/* Column "intercept 0" in a guest, where later processors have it; and HWCR.SMMLOCK, which ignores the intercept there. */
static void test_table_not_intercepted(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 4 * SOURCES; n++) {
		struct pc *p = smm_machine("amd");
		enum source source = n % SOURCES;
		bool closed = n / SOURCES & 1, locked = n / SOURCES / 2;
		struct vmcb_page *v = guest(p);

		v->control.icpt[3] &= ~(locked ? 0u : ICPT_3_SMI);
		p->c->hwcr |= locked ? HWCR_SMMLOCK : 0;
		program(p, GUEST_CODE, source, closed, false);
		if (source == ASYNCHRONOUS)
			cpu_raise(p->c, PEND_SMI);
		run_from(p, HOST_CODE);
		assert_int_equal(p->c->activity, ACT_HLT);
		assert_int_equal(v->control.exitcode, 0x81);
		EXPECT_LOG(p, "the guest goes on", 1, 2, 3);
		assert_int_equal(entered(p), source == INTERNAL && closed ? 0 : 1);
		assert_int_equal(p->c->pend & (PEND_SMI | PEND_IO_TRAP), 0);
		if (entered(p))
			assert_int_equal(saved64(p, 0xfee0), VMCB_PA);
		smm_free(p);
	}
	proves("svm.2.18.2.1 svm.2.18.2.2 svm.2.18.2.5 svm.2.18.2.6 svm.2.18.2.7");
}

/* ---- EXITINFO1 and EXITINFO2 ---- */

#define INFO(port, bits) ((u64)(port) << 48 | B(VAL) | (bits) | 1)
static const struct io_row {
	u8 code[4], length;
	bool code32;
	u64 info; /* as in 2005, with SMISRC */
	u64 more; /* what was added */
} io_rows[] = {
        {{0xe4, PORT}, 2, false, INFO(PORT, B(TYPE_IN) | B(SZ8) | B(A64)), 0},
        {{0xec}, 1, false, INFO(PORT, B(TYPE_IN) | B(SZ8) | B(A64)), 0},
        {{0x66, 0xed}, 2, false, INFO(PORT, B(TYPE_IN) | B(SZ16) | B(A64)), 0},
        {{0xed}, 1, false, INFO(PORT, B(TYPE_IN) | B(SZ32) | B(A64)), 0},
        {{0xe6, PORT + 1}, 2, false, INFO(PORT + 1, B(SZ8) | B(A64)), 0},
        {{0xee}, 1, false, INFO(PORT, B(SZ8) | B(A64)), 0},
        {{0x67, 0xef}, 2, false, INFO(PORT, B(SZ32) | B(A32)), 0},
        {{0x66, 0xef}, 2, true, INFO(PORT, B(SZ16) | B(A32)), 0},
        {{0x67, 0xee}, 2, true, INFO(PORT, B(SZ8) | B(A16)), 0},
        {{0x6c}, 1, false, INFO(PORT, B(TYPE_IN) | B(STR) | B(SZ8) | B(A64)), 0},
        {{0x6e}, 1, false, INFO(PORT, B(STR) | B(SZ8) | B(A64)), 3ull << 10},
        {{0x64, 0x6f}, 2, false, INFO(PORT, B(STR) | B(SZ32) | B(A64)), 4ull << 10},
        {{0xf3, 0x6e}, 2, false, INFO(PORT, B(STR) | B(REP) | B(SZ8) | B(A64)), 3ull << 10},
        {{0xf3, 0x66, 0x6d}, 3, true, INFO(PORT, B(TYPE_IN) | B(STR) | B(REP) | B(SZ16) | B(A32)), 0},
};

/* more: registers, and the bits that they add today. */
static void io_exit(const char *model, const struct io_row *row, bool internal, u64 flags, u64 dr7, u64 added)
{
	struct pc *p = smm_machine(model);
	struct vmcb_page *v = guest(p);
	const u64 later = strcmp(model, "pacifica") ? row->more | added : 0;
	const bool left = row->info & B(REP); /* one iteration is done, one is left */
	u8 code[8] = {0};

	memcpy(code, row->code, row->length);
	memcpy(code + row->length, (const u8[]){0x0f, 0x01, 0xd9}, 3);
	bus_write(&p->bus, GUEST_CODE, code, row->length + 3u);
	v->save.cs.attrib = row->code32 ? 0xc9b : 0xa9b;
	v->save.rflags = FL_1 | flags;
	v->save.cr4 |= CR4_DE;
	v->save.dr7 = 0x400 | dr7;
	p->c->dr[0] = p->c->dr[2] = PORT;
	p->c->r[REG_RDX] = PORT;
	p->c->r[REG_RCX] = 2;
	p->c->r[REG_RSI] = p->c->r[REG_RDI] = DATA + 0x100;
	if (internal)
		trap_port(p->c, (u16)(row->info >> 48));
	run_from(p, HOST_CODE);
	assert_int_equal(v->control.exitcode, EXIT_SMI);
	if (v->control.exitinfo1 != ((row->info & ~(internal ? 1ull : 0)) | later))
		fail_msg("%s: EXITINFO1 %llx, not %llx", model, (unsigned long long)v->control.exitinfo1,
		         (unsigned long long)(row->info | later));
	assert_int_equal(v->control.exitinfo2, GUEST_CODE);
	assert_int_equal(v->save.rip, GUEST_CODE + (left ? 0u : row->length));
	assert_int_equal(around(p)->raised, internal ? 0 : 1); /* what is trapped is not executed */
	smm_free(p);
}

static void test_exitinfo(void **state)
{
	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(io_rows) * ARRAY_LEN(models); n++) {
		const struct io_row *row = &io_rows[n / ARRAY_LEN(models)];
		const char *model = models[n % ARRAY_LEN(models)];

		io_exit(model, row, false, 0, 0, 0);
		io_exit(model, row, false, FL_TF, 0, B(TF));
		io_exit(model, row, false, 0, B(0) | 2 << 16, row->info >> 48 == PORT ? B(BRP) : 0);
		io_exit(model, row, false, 0, B(4) | 2 << 24, row->info >> 48 == PORT ? B(BRP + 2) : 0);
		if (!(row->info & B(STR))) /* of single instructions only */
			io_exit(model, row, true, 0, B(0) | 2 << 16, 0);
	}
	proves("svm.2.9.3.2 svm.2.9.3.4 svm.2.9.3.5 svm.2.9.3.6 svm.2.9.3.7 svm.2.9.3.8 svm.2.9.3.9 svm.2.9.3.10 "
	       "svm.2.9.3.11 svm.2.9.3.12 svm.2.9.3.13 svm.2.9.3.14 svm.2.9.3.15 svm.2.9.3.16 svm.2.9.3.17 svm.2.9.3.18 "
	       "svm.2.9.3.19 svm.2.18.1.1");
}

/* An SMI that no I/O instruction has raised: nothing but SMISRC. */
static void test_exitinfo_without_io(void **state)
{
	(void)state;
	for (unsigned n = 0; n < ARRAY_LEN(models); n++) {
		struct pc *p = smm_machine(models[n]);
		struct vmcb_page *v = guest(p);

		v->control.exitinfo2 = 1;
		cpu_raise(p->c, PEND_SMI);
		run_from(p, HOST_CODE);
		assert_int_equal(v->control.exitcode, EXIT_SMI);
		assert_int_equal(v->control.exitinfo1, 1);
		assert_int_equal(v->control.exitinfo2, 0);
		smm_free(p);
	}
	proves("svm.2.9.3.20 svm.2.9.3.21");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_table_host),
	        cmocka_unit_test(test_table_intercepted),
	        cmocka_unit_test(test_table_not_intercepted),
	        cmocka_unit_test(test_exitinfo),
	        cmocka_unit_test(test_exitinfo_without_io),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
