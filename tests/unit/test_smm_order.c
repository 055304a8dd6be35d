/*
 * SMI, NMI, INIT and maskable interrupts, in every order and in every state a processor may be in: which comes when. Expected
 * values from SDM 3C "System Management Interrupt (SMI)", "Exceptions and Interrupts Within SMM", "NMI Handling While in SMM",
 * "Auto HALT Restart", SDM 3A "Priority Among Concurrent Events", "Interrupt 8—Double Fault Exception", SDM 2 "MWAIT", APM 2
 * "Exceptions and Interrupts" of chapter "System-Management Mode", "Priorities". What happens is a letter each.
 */
#include "smm_fixture.h"

enum { VECTOR = 0x51, INTR = 1 << 16 /* beside enum pend */, PLENTY = 40 };
static const char *const models[] = {"amd", "pacifica", "intel", "plain"};

/* S: in SMM; R: left it; N, I, D, X: NMI, interrupt, #DB, another exception begins; 0: INIT; H: halted. */
struct seen {
	char text[32];
	unsigned n;
	u64 db; /* DR6 bits of the last #DB */
	u32 raise_in_delivery;
};
static struct seen seen;

static void note(char letter)
{
	if (seen.n < sizeof(seen.text) - 1)
		seen.text[seen.n++] = letter;
}

static void delivered(void *arg, struct cpu *c, const struct event *e)
{
	(void)arg;
	note(e->type == EV_NMI ? 'N' : e->type == EV_EXT ? 'I' : e->vector == EX_DB ? 'D' : 'X');
	if (e->vector == EX_DB)
		seen.db = e->payload;
	if (seen.raise_in_delivery)
		cpu_raise(c, PEND_SMI);
	seen.raise_in_delivery = 0;
}

static void arrive(struct pc *p, u32 what)
{
	const struct apic_msg m = {.vector = VECTOR, .delivery = DM_FIXED, .assert = true, .dest = p->c->apic.id};

	for (u32 bit = 1; bit < INTR; bit <<= 1)
		if (what & bit)
			cpu_raise(p->c, bit);
	if (what & INTR)
		apic_bus_send(p->c->all, 1, &m, p->c, 0);
}

/* INIT has come: there is no code at the reset vector, so that an exception may have come, too. */
static bool restarted(const struct cpu *c)
{
	if (c->smm || (c->cr0 & CR0_PE))
		return false;
	seen.n -= seen.n && seen.text[seen.n - 1] == 'X';
	note('0');
	return true;
}

/* One instruction, or one delivery. false: it was INIT. */
static bool step(struct pc *p)
{
	struct cpu *c = p->c;
	bool smm = c->smm, halted = c->activity == ACT_HLT;

	steps(p, 1);
	if (restarted(c))
		return false;
	if (c->smm != smm)
		note(c->smm ? 'S' : 'R');
	if (c->activity == ACT_HLT && !halted)
		note('H');
	return true;
}

static struct pc *begin(const char *model, u32 flags)
{
	struct pc *p = machine(model);

	memset(&seen, 0, sizeof(seen));
	p->hooks.trace = TRACE_INT;
	p->hooks.event = delivered;
	memset(bus_memory(&p->bus, HOST_CODE), 0x90, 64);
	CODE(p, HANDLER, 0x90, 0x90, 0x90, 0x90, 0x0f, 0xaa);
	p->c->r[REG_RIP] = HOST_CODE;
	flags_set(p->c, FL_1 | flags);
	cpu_update_mode(p->c);
	return p;
}

static void expect(const char *model, const char *what, const char *want)
{
	if (strcmp(seen.text, want) != 0)
		fail_msg("%s, %s: %s, not %s", model, what, seen.text, want);
}

/* ---- tables of programs ---- */

struct at {
	u8 step; /* before this one */
	u32 what;
};
struct row {
	const char *what;
	u8 code[12];
	u32 flags;
	struct at at[5];
	const char *want;
};

/* clang-format off */
static const struct row rows[] = {
	/* in SMM, one after the other: SMI before INIT before NMI before interrupts once it is left, and one of each kind */
	{"SMI in SMM", {0}, FL_IF, {{1, PEND_SMI}, {2, PEND_SMI}, {3, PEND_SMI}}, "SRSR"},
	{"NMI in SMM", {0}, FL_IF, {{1, PEND_SMI}, {2, PEND_NMI}, {3, PEND_NMI}}, "SRN"},
	{"INTR in SMM", {0}, FL_IF, {{1, PEND_SMI}, {2, INTR}}, "SRI"},
	{"INTR in SMM, IF clear", {0}, 0, {{1, PEND_SMI}, {2, INTR}}, "SR"},
	{"INIT in SMM", {0}, FL_IF, {{1, PEND_SMI}, {2, PEND_INIT}}, "SR0"},
	{"NMI, INTR, SMI in SMM", {0}, FL_IF, {{1, PEND_SMI}, {2, PEND_NMI}, {3, INTR}, {4, PEND_SMI}}, "SRSRNI"},
	{"SMI, INTR, NMI in SMM", {0}, FL_IF, {{1, PEND_SMI}, {2, PEND_SMI}, {3, INTR}, {4, PEND_NMI}}, "SRSRNI"},
	{"INTR, NMI, SMI in SMM", {0}, FL_IF, {{1, PEND_SMI}, {2, INTR}, {3, PEND_NMI}, {4, PEND_SMI}}, "SRSRNI"},
	{"INIT, SMI in SMM", {0}, FL_IF, {{1, PEND_SMI}, {2, PEND_INIT}, {3, PEND_SMI}}, "SRSR0"},
	{"NMI, INIT in SMM", {0}, FL_IF, {{1, PEND_SMI}, {2, PEND_NMI}, {3, PEND_INIT}}, "SR0"},
	/* at one boundary */
	{"all at once", {0}, FL_IF, {{1, PEND_SMI | PEND_NMI | INTR}}, "SRNI"},
	{"SMI and INIT at once", {0}, FL_IF, {{1, PEND_SMI | PEND_INIT}}, "SR0"},
	/* inside an NMI handler: NMIs stay blocked behind RSM, until IRET */
	{"SMI in an NMI handler", {0}, FL_IF, {{1, PEND_NMI}, {3, PEND_SMI}, {5, PEND_NMI}}, "NSRN"},
	{"NMI, then SMI in its handler", {0}, FL_IF, {{1, PEND_NMI}, {2, PEND_NMI}, {3, PEND_SMI}}, "NSRN"},
	/* HLT */
	{"SMI in HLT", {0xf4}, FL_IF, {{3, PEND_SMI}}, "HSRH"},
	{"SMI in HLT, then INTR", {0xf4}, FL_IF, {{3, PEND_SMI}, {12, INTR}}, "HSRHI"},
	{"SMI and INTR in HLT", {0xf4}, FL_IF, {{3, PEND_SMI | INTR}}, "HSRHI"},
	{"SMI, and NMI in its handler, in HLT", {0xf4}, 0, {{3, PEND_SMI}, {4, PEND_NMI}}, "HSRHN"},
	{"SMI in HLT, IF clear, INTR", {0xf4}, 0, {{3, PEND_SMI | INTR}}, "HSRH"},
	/* shadows: no handler runs between STI and HLT, or between MOV SS and what follows */
	{"SMI behind STI", {0xfb, 0xf4}, 0, {{2, PEND_SMI | INTR}}, "HSRHI"},
	{"SMI behind MOV SS", {0x8e, 0xd0}, FL_IF, {{2, PEND_SMI | INTR}}, "SRI"},
	/* TF: the trap of the instruction before is not lost, and the handler has none */
	{"single step", {0x90}, FL_TF, {{2, PEND_SMI}}, "SRD"},
};
/* clang-format on */

static void run_row(const char *model, const struct row *r)
{
	struct pc *p = begin(model, r->flags);

	for (size_t n = 0; n < ARRAY_LEN(r->code) && r->code[n]; n++) /* NOPs behind */
		bus_write(&p->bus, HOST_CODE + n, &r->code[n], 1);
	if (r->code[0] == 0x8e)
		p->c->r[REG_RAX] = 0x10;
	for (unsigned n = 1; n < PLENTY; n++) {
		for (size_t k = 0; k < ARRAY_LEN(r->at); k++)
			if (r->at[k].step == n)
				arrive(p, r->at[k].what);
		if (!step(p))
			break;
		if (seen.n && seen.text[seen.n - 1] == 'D')
			flags_set(p->c, flags_get(p->c) & ~(u32)FL_TF);
		if ((r->flags & FL_TF) && seen.n >= 3)
			break;
	}
	expect(model, r->what, r->want);
	machine_free(p);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(models); m++)
		for (size_t n = 0; n < ARRAY_LEN(rows); n++)
			run_row(models[m], &rows[n]);
}

/* ---- what takes more than a row ---- */

/* Every order in which three kinds arrive while a handler runs makes the same. */
static void test_orders(void **state)
{
	static const u32 kind[3] = {PEND_SMI, PEND_NMI, INTR};
	static const u8 order[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(models); m++) {
		for (size_t n = 0; n < ARRAY_LEN(order); n++) {
			struct pc *p = begin(models[m], FL_IF);

			arrive(p, PEND_SMI);
			for (unsigned k = 0; k < PLENTY; k++) {
				step(p);
				if (k < 3)
					arrive(p, kind[order[n][k]]);
			}
			expect(models[m], "order", "SRSRNI");
			machine_free(p);
		}
	}
}

/* The handler may leave HLT for good: the field says that it was there, and cleared, the next instruction runs. */
static void test_halt_field(void **state)
{
	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(models); m++) {
		bool intel = !strcmp(models[m], "intel");
		struct pc *p = begin(models[m], FL_IF);
		u32 field = intel ? 0xff02 : 0xfec9;
		unsigned width = intel ? 2 : 1;

		CODE(p, HOST_CODE, 0xf4, 0x40, 0xb7, 0x5a); /* HLT; MOV DIL, 5Ah */
		steps(p, 2);
		smi(p);
		assert_int_equal(saved(p, field, width), 1);
		assert_int_equal(saved(p, intel ? 0xffd8 : 0xff78, 8), HOST_CODE + 1);
		patch(p, field, width, 0);
		steps(p, 6);
		assert_int_equal(p->c->activity, ACT_RUN);
		assert_int_equal((u8)p->c->r[REG_RDI], 0x5a);
		smi(p); /* from a processor that runs */
		assert_int_equal(saved(p, field, width), 0);
		machine_free(p);
	}
}

/* "MWAIT": an SMI ends the wait, and RSM leads to the instruction behind it. */
static void test_mwait(void **state)
{
	static const char *const with[] = {"amd", "intel"};

	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(with); m++) {
		struct pc *p = begin(with[m], 0);

		/* LEA RAX, [98000h]; MONITOR; XOR EAX, EAX; MWAIT; MOV DIL, 5Ah */
		CODE(p, HOST_CODE, 0x48, 0x8d, 0x04, 0x25, 0, 0x80, 9, 0, 0x0f, 0x01, 0xc8, 0x31, 0xc0, 0x0f, 0x01, 0xc9, 0x40, 0xb7, 0x5a);
		p->c->r[REG_RCX] = p->c->r[REG_RDX] = 0;
		steps(p, 4);
		assert_int_equal(p->c->activity, ACT_MWAIT);
		smi(p);
		assert_int_equal(saved(p, m ? 0xff02 : 0xfec9, 1), 0);
		steps(p, 6);
		assert_false(p->c->smm);
		assert_int_equal((u8)p->c->r[REG_RDI], 0x5a);
		machine_free(p);
	}
}

/* "Interrupt 8—Double Fault Exception": an SMI is taken in the shutdown state; RSM goes back there. */
static void test_shutdown(void **state)
{
	struct pc *p = begin("intel", FL_IF);

	(void)state;
	p->c->idtr.limit = 0;
	CODE(p, HOST_CODE, 0x0f, 0x0b);
	steps(p, 2);
	assert_int_equal(p->c->activity, ACT_SHUTDOWN);
	p->c->stop = CPU_GO;
	arrive(p, INTR);
	steps(p, 2);
	assert_int_equal(p->c->activity, ACT_SHUTDOWN);
	smi(p);
	steps(p, 5);
	assert_false(p->c->smm);
	assert_int_equal(p->c->activity, ACT_SHUTDOWN);
	machine_free(p);
}

/* A processor that waits for a Startup IPI keeps the SMI until it has come; it is taken before the first instruction. */
static void test_wait_for_sipi(void **state)
{
	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(models); m++) {
		struct pc *p = begin(models[m], 0);
		bool intel = !strcmp(models[m], "intel");

		p->c->activity = ACT_WAIT_SIPI;
		arrive(p, PEND_SMI | PEND_NMI);
		steps(p, 3);
		assert_false(p->c->smm);
		assert_int_equal(p->c->activity, ACT_WAIT_SIPI);
		p->c->sipi_vector = 0x12;
		arrive(p, PEND_SIPI);
		steps(p, 1);
		assert_true(p->c->smm);
		assert_int_equal(saved(p, intel ? 0xffac : 0xfe12 - 2, 2), 0x1200);
		assert_int_equal(saved(p, intel ? 0xffd8 : 0xff78, 8), 0);
		machine_free(p);
	}
}

/* Between two iterations: the map leads back to the instruction, with what is left of the count, and every byte is stored. */
static void test_repeated(void **state)
{
	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(models); m++) {
		struct pc *p = begin(models[m], FL_IF);
		bool intel = !strcmp(models[m], "intel");

		CODE(p, HOST_CODE, 0xf3, 0xaa, 0xf4);
		p->c->r[REG_RCX] = 100;
		p->c->r[REG_RAX] = 0xa7;
		cpu_run(p->c, p->clock.now + 37);
		assert_in_range(p->c->r[REG_RCX], 1, 99);
		smi(p);
		assert_int_equal(saved(p, intel ? 0xffd8 : 0xff78, 8), HOST_CODE);
		assert_in_range(saved(p, intel ? 0xff64 : 0xfff0, 8), 1, 99);
		for (unsigned n = 0; n < 200 && p->c->activity == ACT_RUN; n++)
			steps(p, 1);
		assert_int_equal(p->c->r[REG_RDI], SMM_LOG + 100);
		for (unsigned n = 0; n < 100; n++)
			assert_int_equal(*bus_memory(&p->bus, SMM_LOG + n), 0xa7);
		machine_free(p);
	}
}

/* Breakpoints: DR7 is off in the handler; one that the instruction before has hit, and one on the next, come behind RSM. */
static void test_breakpoints(void **state)
{
	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(models); m++) {
		struct pc *p = begin(models[m], FL_IF);

		CODE(p, HOST_CODE, 0x90, 0xaa, 0x90); /* NOP; STOSB; NOP */
		p->c->dr[0] = SMM_LOG;
		p->c->dr[1] = HANDLER + 1; /* in the handler: none there */
		p->c->dr[2] = HOST_CODE + 2;
		p->c->dr7 = 0x400 | 0x1 | 0x4 | 0x10 | 1 << 16; /* DR0: writes; DR1, DR2: execution */
		cpu_update_mode(p->c);
		step(p);
		step(p); /* STOSB */
		arrive(p, PEND_SMI);
		for (unsigned n = 0; n < 7; n++)
			step(p);
		expect(models[m], "data breakpoint", "SRD");
		assert_int_equal(seen.db & 15, 1);
		for (unsigned n = 0; n < 12 && seen.n < 4; n++)
			step(p); /* the handler of #DB returns, and the other one is there */
		expect(models[m], "code breakpoint", "SRDD");
		assert_int_equal(seen.db & 15, 4);
		machine_free(p);
	}
}

/* An SMI that comes up while another event is delivered: before the first instruction of that one's handler. */
static void test_in_delivery(void **state)
{
	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(models); m++) {
		struct pc *p = begin(models[m], FL_IF);
		bool intel = !strcmp(models[m], "intel");

		seen.raise_in_delivery = PEND_SMI;
		arrive(p, INTR);
		step(p);
		step(p);
		expect(models[m], "in a delivery", "IS");
		assert_int_equal(saved(p, intel ? 0xffd8 : 0xff78, 8), SMM_STUBS + 16 * VECTOR);
		assert_int_equal(saved(p, intel ? 0xffe8 : 0xff70, 8) & FL_IF, 0);
		machine_free(p);
	}
}

/* "An SMM handler can unmask NMI interrupts by simply executing an IRET": through the table of real mode; RSM blocks them again
 * where they were. */
static void test_iret(void **state)
{
	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(models); m++) {
		for (unsigned blocked = 0; blocked < 2; blocked++) {
			struct pc *p = begin(models[m], FL_IF);

			/* PUSHF; PUSH CS; PUSH 8007h; IRET; NOP; NOP; RSM: at 8006h */
			CODE(p, HANDLER, 0x9c, 0x0e, 0x68, 0x06, 0x80, 0xcf, 0x90, 0x90, 0x0f, 0xaa);
			CODE(p, SMBASE + 0x9000, 0xcf);
			bus_write_u32(&p->bus, SMM_IDT + 4 * EX_NMI, 0x30009000);
			p->c->nmi_blocked = blocked;
			arrive(p, PEND_SMI);
			step(p);
			arrive(p, PEND_NMI);
			for (unsigned n = 0; n < 12; n++)
				step(p);
			expect(models[m], "IRET in SMM", "SNR");
			assert_int_equal(p->c->nmi_blocked, blocked);
			machine_free(p);
		}
	}
}

/* HLT in the handler: a maskable interrupt ends it, an SMI and INIT do not. */
static void test_halt_inside(void **state)
{
	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(models); m++) {
		struct pc *p = begin(models[m], FL_IF);

		CODE(p, HANDLER, 0xfb, 0xf4, 0x90, 0x0f, 0xaa); /* STI; HLT; NOP; RSM */
		CODE(p, SMBASE + 0x9000, 0xcf);
		bus_write_u32(&p->bus, SMM_IDT + 4 * VECTOR, 0x30009000);
		arrive(p, PEND_SMI);
		for (unsigned n = 0; n < 4; n++)
			step(p);
		arrive(p, PEND_SMI | PEND_INIT);
		for (unsigned n = 0; n < 4; n++)
			step(p);
		expect(models[m], "HLT in SMM", "SH");
		arrive(p, INTR);
		for (unsigned n = 0; n < 10; n++)
			step(p);
		expect(models[m], "HLT in SMM, interrupted", "SHIRSH");
		apic_eoi(p->c);
		arrive(p, INTR);
		for (unsigned n = 0; n < 10 && step(p); n++)
			;
		expect(models[m], "HLT in SMM, interrupted again", "SHIRSHIR0");
		machine_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_rows),
	        cmocka_unit_test(test_orders),
	        cmocka_unit_test(test_halt_field),
	        cmocka_unit_test(test_mwait),
	        cmocka_unit_test(test_shutdown),
	        cmocka_unit_test(test_wait_for_sipi),
	        cmocka_unit_test(test_repeated),
	        cmocka_unit_test(test_breakpoints),
	        cmocka_unit_test(test_in_delivery),
	        cmocka_unit_test(test_iret),
	        cmocka_unit_test(test_halt_inside),
	};

	return cmocka_run_group_tests_name("smm-order", tests, NULL, NULL);
}
