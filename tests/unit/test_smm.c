/*
 * System-management mode by the default treatment: what an SMI finds and what the handler finds, what waits until RSM, and the
 * restarts. SDM 3C "System Management Mode", APM 2 "System-Management Mode".
 */
#include "smm_fixture.h"

#include "cpu/control/smm.h"

enum { MARK = 0x9000, ICR = 0xfee00300, NMI = 2, VECTOR = 0x51 };

#define FOR_EACH_MAP(n) for (size_t n = 0; n < ARRAY_LEN(maps); n++)

/* MOV DWORD [ICR], 4200h: an SMI to itself. The handler: MOV BYTE [9000h], 5; RSM. Everything else is as it was. */
static void test_ipi(void **state)
{
	(void)state;
	FOR_EACH_MAP(n) {
		struct pc *p = machine(maps[n].model);
		struct cpu *c = p->c, before;
		u8 mark = 0;

		CODE(p, HANDLER, 0xc6, 0x06, 0x00, 0x90, 0x05, 0x0f, 0xaa);
		CODE(p, HOST_CODE, 0xc7, 0x00, 0x00, 0x42, 0x00, 0x00, 0x90, 0xf4);
		for (unsigned k = 1; k < 16; k++)
			c->r[k] = k * 0x0123456789abcdefull;
		c->r[REG_RAX] = ICR;
		c->seg[SEG_ES] = (struct seg){.sel = 3, .ar = AR_UNUSABLE | AR_P | 0xc013, .limit = 5}; /* null, whatever it keeps */
		before = *c;
		run_host(p);
		assert_memory_equal(c->r, before.r, 16 * sizeof(c->r[0]));
		for (unsigned s = 0; s < SEG_COUNT; s++) {
			assert_int_equal(c->seg[s].sel, before.seg[s].sel);
			assert_int_equal(c->seg[s].ar, before.seg[s].ar);
			assert_int_equal(c->seg[s].limit, before.seg[s].limit);
			assert_int_equal(c->seg[s].base, before.seg[s].base);
		}
		assert_int_equal(c->cr0, before.cr0);
		assert_int_equal(c->cr3, before.cr3);
		assert_int_equal(c->cr4, before.cr4);
		assert_int_equal(c->efer, before.efer);
		assert_int_equal(c->r[REG_RIP], HOST_CODE + 8);
		assert_int_equal(saved(p, 0xfefc, 4), maps[n].revision);
		assert_int_equal(c->smi_count, 1);
		assert_false(c->smm || c->smi_blocked || c->nmi_blocked);
		bus_read(&p->bus, MARK, &mark, 1);
		assert_int_equal(mark, 5);
		machine_free(p);
	}
}

/* "SMM Register Initialization" */
static void test_environment(void **state)
{
	(void)state;
	FOR_EACH_MAP(n) {
		struct pc *p = machine(maps[n].model);
		struct cpu *c = p->c;

		CODE(p, HOST_CODE, 0xeb, 0xfe);
		c->r[REG_RIP] = HOST_CODE;
		c->cr0 |= CR0_TS | CR0_EM | CR0_WP | CR0_MP;
		c->dr7 = 0x401;
		c->smbase = 0xa0000;
		CODE(p, 0xa8000, 0x90, 0x0f, 0xaa);
		flags_set(c, FL_1 | FL_IF | FL_TF | FL_CF | FL_IOPL);
		cpu_update_mode(c);
		smi(p);
		assert_int_equal(c->r[REG_RIP], 0x8001);
		assert_int_equal(c->rflags, FL_1);
		assert_int_equal(c->seg[SEG_CS].sel, 0xa000);
		assert_int_equal(c->seg[SEG_CS].base, 0xa0000);
		for (unsigned s = SEG_ES; s <= SEG_GS; s++) {
			assert_int_equal(c->seg[s].limit, ~0u);
			assert_int_equal(c->seg[s].ar, 0x8093);
			if (s != SEG_CS)
				assert_int_equal(c->seg[s].sel | c->seg[s].base, 0);
		}
		assert_int_equal(c->cr0, CR0_NE | CR0_ET | CR0_WP | CR0_MP);
		assert_int_equal(c->cr4 | c->efer, 0);
		assert_int_equal(c->dr7, 0x400);
		assert_int_equal(c->cpl, 0);
		machine_free(p);
	}
}

static void test_outside(void **state)
{
	(void)state;
	FOR_EACH_MAP(n) {
		struct pc *p = machine(maps[n].model);

		CODE(p, HOST_CODE, 0x0f, 0xaa);
		p->c->r[REG_RIP] = HOST_CODE;
		p->c->idtr.limit = 0;
		steps(p, 1);
		assert_int_equal(p->c->chain_from.vector, EX_UD);
		machine_free(p);
	}
}

/* ---- what waits ---- */

static void expect_log(struct pc *p, const u8 *want, size_t n)
{
	u8 got[16] = {0};

	assert_int_equal(p->c->r[REG_RDI] - SMM_LOG, n);
	bus_read(&p->bus, SMM_LOG, got, n);
	assert_memory_equal(got, want, n);
}

/* In SMM: another SMI is latched, one; NMI and INIT wait, and maskable interrupts, IF being 0. After RSM they come, SMI first. */
static void test_blocked(void **state)
{
	(void)state;
	FOR_EACH_MAP(n) {
		struct pc *p = machine(maps[n].model);
		struct cpu *c = p->c;

		CODE(p, HOST_CODE, 0xeb, 0xfe);
		CODE(p, HANDLER, 0x90, 0x90, 0x0f, 0xaa);
		c->r[REG_RIP] = HOST_CODE;
		flags_set(c, FL_1 | FL_IF);
		smi(p);
		cpu_raise(c, PEND_SMI);
		cpu_raise(c, PEND_SMI);
		cpu_raise(c, PEND_NMI);
		cpu_raise(c, PEND_INIT);
		apic_msi(p->all, 1, 0xfee00000, VECTOR);
		steps(p, 1);
		assert_int_equal(c->r[REG_RIP], 0x8002);
		assert_int_equal(c->smi_count, 1);
		c->pend &= ~(u32)PEND_INIT;
		steps(p, 2); /* RSM; the latched SMI is taken before anything else, and executes a NOP */
		assert_true(c->smm);
		assert_int_equal(c->smi_count, 2);
		assert_int_equal(saved(p, maps[n].amd64 ? 0xff78 : 0xffd8, 8), HOST_CODE);
		steps(p, 2);
		assert_false(c->smm);
		assert_false(c->pend & PEND_SMI);
		steps(p, 12);
		expect_log(p, (const u8[]){NMI, VECTOR}, 2);
		machine_free(p);
	}
}

static void test_init(void **state)
{
	(void)state;
	FOR_EACH_MAP(n) {
		struct pc *p = machine(maps[n].model);

		CODE(p, HOST_CODE, 0xeb, 0xfe);
		p->c->r[REG_RIP] = HOST_CODE;
		p->c->apic.base &= ~BIT(8);
		p->c->smbase = 0x40000;
		CODE(p, 0x48000, 0x90, 0x0f, 0xaa);
		smi(p);
		cpu_raise(p->c, PEND_INIT);
		steps(p, 1);
		assert_false(p->c->smm);
		steps(p, 1);
		assert_int_equal(p->c->activity, ACT_WAIT_SIPI);
		assert_int_equal(p->c->smbase, 0x40000); /* INIT leaves it */
		cpu_raise(p->c, PEND_SMI); /* and one who waits for SIPI does not take SMIs */
		steps(p, 1);
		assert_false(p->c->smm);
		machine_free(p);
	}
}

/* NMIs: blocked in SMM until IRET; RSM brings the blocking back that there was. */
static void test_nmi(void **state)
{
	(void)state;
	for (size_t n = 0; n < 4 * ARRAY_LEN(maps); n++) {
		struct pc *p = machine(maps[n / 4].model);
		struct cpu *c = p->c;
		bool blocked = n & 1, iret = n & 2;

		CODE(p, HOST_CODE, 0xeb, 0xfe);
		/* NOP; MOV SP, 5000h; PUSHF; PUSH 3000h; PUSH 800Fh; IRET (at 800Dh); RSM behind it */
		CODE(p, HANDLER, 0x90, 0xbc, 0x00, 0x50, 0x9c, 0x68, 0x00, 0x30, 0x68, 0x0c, 0x80, 0xcf, 0x90, 0x0f, 0xaa);
		CODE(p, 0x6000, 0xcf);                                                      /* the handler of NMIs in SMM */
		bus_write_u32(&p->bus, 4 * NMI, 0x6000);
		c->r[REG_RIP] = HOST_CODE;
		c->nmi_blocked = blocked;
		smi(p);
		assert_true(c->nmi_blocked);
		c->idtr.base = 0;
		if (!iret)
			c->r[REG_RIP] = 0x800d;
		else
			steps(p, 5);
		assert_int_equal(c->nmi_blocked, !iret);
		if (iret)
			assert_int_equal(c->r[REG_RIP], 0x800c);
		steps(p, iret ? 2 : 1);
		assert_false(c->smm);
		assert_int_equal(c->nmi_blocked, blocked);
		machine_free(p);
	}
}

/* ---- restarts ---- */

/* HLT: the flag is set; left so, the processor halts again, RIP behind the instruction; cleared, it goes on. */
static void test_halt(void **state)
{
	(void)state;
	for (size_t n = 0; n < 3 * ARRAY_LEN(maps); n++) {
		struct pc *p = machine(maps[n / 3].model);
		struct cpu *c = p->c;
		bool amd64 = maps[n / 3].amd64;
		u16 flag = amd64 ? 0xfec9 : 0xff02;

		CODE(p, HOST_CODE, 0xf4, 0x90, 0xeb, 0xfe);
		c->r[REG_RIP] = HOST_CODE;
		if (n % 3 < 2)
			steps(p, 1);
		assert_int_equal(c->activity, n % 3 < 2 ? ACT_HLT : ACT_RUN);
		smi(p);
		assert_int_equal(saved(p, flag, amd64 ? 1 : 2), n % 3 < 2);
		if (n % 3 == 1)
			patch(p, flag, 1, 0);
		steps(p, 1);
		assert_false(c->smm);
		assert_int_equal(c->activity, n % 3 == 0 ? ACT_HLT : ACT_RUN);
		assert_int_equal(c->r[REG_RIP], HOST_CODE + (n % 3 < 2));
		if (n % 3 == 0) { /* it is a halt like any other: an interrupt ends it, and returns behind HLT */
			flags_set(c, c->rflags | FL_IF);
			apic_msi(p->all, 1, 0xfee00000, VECTOR);
			steps(p, 10);
			expect_log(p, (const u8[]){VECTOR}, 1);
		}
		machine_free(p);
	}
}

struct access {
	const char *name;
	u8 code[4];
	u32 amd, intel; /* the manuals' words about it, but for TF and DR6 */
	bool repeats;
	s8 moves_di, moves_si;
};
static const struct access accesses[] = {
        {"IN AL, 80h", {0xe4, 0x80, 0x90, 0x90}, 0x800213, 0x800093, false, 0, 0},
        {"IN EAX, DX", {0xed, 0x90, 0x90, 0x90}, 0x800243, 0x800019, false, 0, 0},
        {"OUT 80h, AL", {0xe6, 0x80, 0x90, 0x90}, 0x800212, 0x800083, false, 0, 0},
        {"OUT DX, AX", {0x66, 0xef, 0x90, 0x90}, 0x800222, 0x800005, false, 0, 0},
        {"INSB", {0x6c, 0x90, 0x90, 0x90}, 0x800217, 0x800033, false, 1, 0},
        {"REP INSD", {0xf3, 0x6d, 0x90, 0x90}, 0x80024f, 0x800079, true, 4, 0},
        {"OUTSW", {0x66, 0x6f, 0x90, 0x90}, 0x800226, 0x800025, false, 0, 2},
        {"REP OUTSB, 32-bit addresses", {0x67, 0xf3, 0x6e, 0x90}, 0x80011e, 0x800063, true, 0, 1},
};

/* The words for the 64-bit address size, which instructions without the prefix have. */
static u32 amd_word(const struct access *a)
{
	return a->code[0] == 0x67 ? a->amd : (a->amd & ~(7u << 7)) | 4u << 7;
}

/* The information, and the instruction once more: RCX, RSI and RDI as they were, then on as if nothing had been. */
static void test_io(void **state)
{
	(void)state;
	for (size_t n = 0; n < 2 * ARRAY_LEN(maps) * ARRAY_LEN(accesses); n++) {
		const struct access *a = &accesses[n / 2 % ARRAY_LEN(accesses)];
		size_t map = n / 2 / ARRAY_LEN(accesses);
		struct pc *p = machine(maps[map].model);
		struct cpu *c = p->c;
		bool amd64 = maps[map].amd64, again = n & 1;

		bus_write(&p->bus, HOST_CODE, a->code, 4);
		CODE(p, HOST_CODE + 4, 0x90, 0x90, 0xeb, 0xfe);
		c->r[REG_RIP] = HOST_CODE;
		c->r[REG_RCX] = 3;
		c->r[REG_RDX] = SMI_PORT;
		c->r[REG_RSI] = 0x90100;
		c->r[REG_RDI] = 0x90200;
		steps(p, 2); /* the access, and the handler's NOP */
		assert_true(c->smm);
		assert_int_equal(saved(p, amd64 ? 0xfec0 : 0xffa4, 4), amd64 ? amd_word(a) : a->intel);
		assert_int_equal(saved(p, amd64 ? 0xfea0 : 0xfde8, 8), HOST_CODE);
		if (amd64) {
			assert_int_equal(saved(p, 0xfea8, 8), 3);
			assert_int_equal(saved(p, 0xfeb0, 8), 0x90100);
			assert_int_equal(saved(p, 0xfeb8, 8), 0x90200);
		} else {
			assert_int_equal(saved(p, 0xff9c, 8), a->moves_di ? 0x90200 : a->moves_si ? 0x90100 : 0);
		}
		assert_int_equal(saved(p, amd64 ? 0xfec8 : 0xff00, 1), 0);
		patch(p, amd64 ? 0xfec8 : 0xff00, 1, again ? 0xff : 0);
		steps(p, 1);
		assert_false(c->smm);
		assert_int_equal(c->r[REG_RCX], a->repeats && !again ? 2 : 3);
		assert_int_equal(c->r[REG_RDI], 0x90200u + (unsigned)(again ? 0 : a->moves_di));
		assert_int_equal(c->r[REG_RSI], 0x90100u + (unsigned)(again ? 0 : a->moves_si));
		if (again || a->repeats)
			assert_int_equal(c->r[REG_RIP], HOST_CODE);
		for (unsigned k = 0; k < 40 && c->r[REG_RIP] != HOST_CODE + 6; k++)
			steps(p, 1);
		assert_false(c->smm);
		assert_int_equal(c->r[REG_RCX], a->repeats ? 0 : 3);
		assert_int_equal(c->smi_count, (a->repeats ? 3 : 1) + again);
		machine_free(p);
	}
	proves("svm.2.18.1.3");
}

/* An SMI that comes otherwise, and one behind another instruction, says nothing of a port; a restart is not to be had then. */
static void test_no_io(void **state)
{
	(void)state;
	FOR_EACH_MAP(n) {
		struct pc *p = machine(maps[n].model);
		bool amd64 = maps[n].amd64;

		CODE(p, HOST_CODE, 0x90, 0x90, 0xeb, 0xfe);
		p->c->r[REG_RIP] = HOST_CODE;
		smi(p);
		assert_int_equal(saved(p, amd64 ? 0xfec0 : 0xffa4, 4), 0);
		patch(p, amd64 ? 0xfec8 : 0xff00, 1, 0xff);
		steps(p, 1);
		assert_int_equal(p->c->r[REG_RIP], HOST_CODE);
		machine_free(p);
	}
	proves("svm.2.18.1.4");
}

/* ---- debugging, shadows ---- */

/* STOSB with a data breakpoint on its byte, under TF: the traps wait for RSM, which itself is not stepped. */
static void test_traps(void **state)
{
	(void)state;
	FOR_EACH_MAP(n) {
		struct pc *p = machine(maps[n].model);
		struct cpu *c = p->c;

		CODE(p, HOST_CODE, 0xc7, 0x00, 0x00, 0x42, 0x00, 0x00, 0x90, 0xeb, 0xfe); /* MOV DWORD [RAX], 4200h */
		c->r[REG_RIP] = HOST_CODE;
		c->r[REG_RAX] = ICR;
		c->dr[0] = ICR;
		c->dr7 = 0x400 | 2 | 0xd << 16;
		flags_set(c, FL_1 | FL_TF);
		cpu_update_mode(c);
		steps(p, 2);
		assert_true(c->smm);
		assert_int_equal(c->smm_db, DR6_BS | 1);
		steps(p, 1);
		assert_false(c->smm);
		assert_int_equal(c->r[REG_RIP], HOST_CODE + 6);
		steps(p, 1);
		assert_int_equal(c->r[REG_RIP], SMM_STUBS + 16 * EX_DB); /* TF: the handler's own step is not taken */
		assert_int_equal(c->dr6 & 0xe00f, 0x4001);
		machine_free(p);
	}
}

/* STI; HLT with an SMI between them and an interrupt that waits: the interrupt comes behind HLT. */
static void test_shadow(void **state)
{
	(void)state;
	FOR_EACH_MAP(n) {
		struct pc *p = machine(maps[n].model);
		struct cpu *c = p->c;

		CODE(p, HOST_CODE, 0xfb, 0xf4, 0xfa, 0xeb, 0xfd);
		c->r[REG_RIP] = HOST_CODE;
		steps(p, 1);
		assert_int_equal(c->shadow, SHADOW_STI);
		apic_msi(p->all, 1, 0xfee00000, VECTOR);
		cpu_raise(c, PEND_SMI);
		steps(p, 30);
		expect_log(p, (const u8[]){VECTOR}, 1);
		assert_int_equal(c->smi_count, 1);
		assert_int_equal(c->activity, ACT_RUN);
		machine_free(p);
	}
}

/* "SMBASE Relocation": the next SMI goes there. */
static void test_relocation(void **state)
{
	(void)state;
	FOR_EACH_MAP(n) {
		struct pc *p = machine(maps[n].model);
		struct cpu *c = p->c;
		bool amd64 = maps[n].amd64;

		CODE(p, HOST_CODE, 0xeb, 0xfe);
		CODE(p, 0x148000 + 0x200, 0x90, 0x0f, 0xaa);
		c->r[REG_RIP] = HOST_CODE;
		smi(p);
		patch(p, amd64 ? 0xff00 : 0xfef8, 4, 0x140200);
		steps(p, 1);
		assert_int_equal(c->smbase, 0x140200);
		smi(p);
		assert_int_equal(c->seg[SEG_CS].base, 0x140200);
		assert_int_equal(saved(p, 0xfefc, 4), maps[n].revision);
		steps(p, 1);
		assert_int_equal(c->r[REG_RIP], HOST_CODE);
		machine_free(p);
	}
}

/* ---- the ends of it ---- */

static unsigned acknowledged, deasserted;
static void on_ack(void *arg, unsigned cpu, bool active)
{
	(void)arg;
	assert_int_equal(cpu, 0);
	*(active ? &acknowledged : &deasserted) += 1;
}

/* The chipset hears of SMM, and of its end by RSM or by a secure start in it, once each; a refused RSM ends nothing. */
static void test_cycles(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 3; n++) {
		struct pc *p = machine("amd");

		acknowledged = deasserted = 0;
		p->bus.smi_ack = on_ack;
		CODE(p, HOST_CODE, 0xeb, 0xfe);
		p->c->r[REG_RIP] = HOST_CODE;
		smi(p);
		assert_int_equal(acknowledged, 1);
		assert_int_equal(deasserted, 0);
		if (n == 1)
			patch(p, 0xff48, 8, BIT(40));
		if (n < 2)
			steps(p, 1);
		else
			cpu_restart(p->c);
		assert_int_equal(acknowledged, 1);
		assert_int_equal(deasserted, n != 1);
		assert_int_equal(p->c->smm || p->c->smi_blocked, n == 1);
		machine_free(p);
	}
	proves("svm.2.18.3.5");
}

/* A machine check in SMM, where CR4.MCE is 0, and a triple fault: shutdown, still in SMM. An SMI out of shutdown returns there. */
static void test_shutdown(void **state)
{
	(void)state;
	for (size_t n = 0; n < 3 * ARRAY_LEN(maps); n++) {
		struct pc *p = machine(maps[n / 3].model);
		struct cpu *c = p->c;

		CODE(p, HOST_CODE, 0xeb, 0xfe);
		c->r[REG_RIP] = HOST_CODE;
		if (n % 3 == 2)
			c->activity = ACT_SHUTDOWN;
		smi(p);
		assert_int_equal(saved(p, maps[n / 3].amd64 ? 0xfec9 : 0xff02, 1), 0);
		if (n % 3 == 0)
			cpu_raise(c, PEND_MCE);
		if (n % 3 == 1) {
			CODE(p, HANDLER + 1, 0x0f, 0x0b);
			c->idtr.limit = 0;
		}
		steps(p, 2);
		assert_int_equal(c->activity, ACT_SHUTDOWN);
		assert_int_equal(c->smm, n % 3 != 2);
		machine_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_ipi),     cmocka_unit_test(test_environment), cmocka_unit_test(test_outside),
	        cmocka_unit_test(test_blocked), cmocka_unit_test(test_init),        cmocka_unit_test(test_nmi),
	        cmocka_unit_test(test_halt),    cmocka_unit_test(test_io),          cmocka_unit_test(test_no_io),
	        cmocka_unit_test(test_traps),   cmocka_unit_test(test_shadow),      cmocka_unit_test(test_relocation),
	        cmocka_unit_test(test_cycles),  cmocka_unit_test(test_shutdown),
	};

	return cmocka_run_group_tests_name("smm", tests, NULL, NULL);
}
