/*
 * "Monitor Trap Flag": where the exit comes behind repeated string instructions, software interrupts, faults, blocking, HLT
 * and injection, and what it saves.
 */
#include "reqs.h"

/* clang-format off */
SNIPPET(i_rep_stosb, "", "rep stosb");
SNIPPET(i_rep_movsq, "", "rep movsq");
SNIPPET(i_rep_lodsb, "", "rep lodsb");
SNIPPET(i_repz_cmpsb, "", "repz cmpsb");
SNIPPET(i_repnz_scasb, "", "repnz scasb");
SNIPPET(i_rep_outsb, "", "rep outsb");
SNIPPET(i_stosb, "", "stosb");
SNIPPET(i_int_0x40, "", "int $0x40");
SNIPPET(i_int3, "", "int3");
SNIPPET(i_int1, "", ".byte 0xf1");
SNIPPET(i_ud2, "", "ud2");
SNIPPET(i_div_ecx, "", "div %ecx");
SNIPPET(i_mov_eax_ds, "", "mov %eax, %ds");
SNIPPET(i_int_0x41, "", "int $0x41");
SNIPPET(i_mov_eax_ss_nop, "", "mov %eax, %ss; nop");
SNIPPET(i_sti_nop, "", "sti; nop");
SNIPPET(i_nop_nop, "", "nop; nop");
SNIPPET(i_mov_eax_ss_ud2, "", "mov %eax, %ss; ud2");
SNIPPET(i_mov_eax_ss_cpuid, "", "mov %eax, %ss; cpuid");
SNIPPET(i_cpuid_nop, "", "cpuid; nop");
SNIPPET(i_nop, "", "nop");
SNIPPET(i_self_ipi_51_nop, "", "movl $0x40051, (%rbx); nop");
SNIPPET(i_sti_nop_nop, "", "sti; nop; nop");
SNIPPET(i_hlt_nop, "", "hlt; nop");
/* clang-format on */

enum { APIC = 0xfee00000u, TF = 0x102, STI = 1, MOV_SS = 2, BS = 1 << 14 };
#define STUB(n) ((u64)stubs + 16 * (n)) /* two NOPs and VMCALL */

static u8 *stubs;
static struct idt_gate *gates;

static void gate(unsigned n, unsigned type)
{
	u64 to = STUB(n);

	gates[n].lo = (to & 0xffff) | 0x08 << 16 | (u64)type << 40 | (to >> 16 & 0xffff) << 48;
	gates[n].hi = to >> 32;
}

static void stepped(const struct snippet *code)
{
	guest(G64, code);
	for (unsigned n = 0; n < 256; n++)
		gate(n, 0xee);
	vmx_write(VMCS_GUEST_IDTR_BASE, (u64)gates);
	on(VMCS_PROC, P_MTF);
	memset(g_in, 0, sizeof(g_in));
}

/* The guest goes on with its own registers. */
static u64 go_on(void)
{
	memcpy(g_in, g_out, sizeof(g_in));
	return again();
}

static void at(const char *name, u64 reason, u64 rip)
{
	vcheck(name, "MTF", reason, R_MTF);
	vcheck(name, "RIP", vmx_read(VMCS_GUEST_RIP), rip);
	vcheck(name, "qualification", vmx_read(VMCS_QUALIFICATION), 0);
	vcheck(name, "no event", (vmx_read(VMCS_EXIT_EVENT) | vmx_read(VMCS_VECTORING)) >> 31, 0);
}

static void strings(void)
{
	static const struct {
		const char *name;
		const struct snippet *code;
		unsigned count, iterations;
	} row[] = {
		{"REP STOSB", &i_rep_stosb, 3, 3},
		{"REP MOVSQ", &i_rep_movsq, 2, 2},
		{"REP LODSB", &i_rep_lodsb, 4, 4},
		{"REP STOSB, one", &i_rep_stosb, 1, 1},
		{"REP STOSB, none", &i_rep_stosb, 0, 1},
		{"REPE CMPSB, differ in the second", &i_repz_cmpsb, 5, 2},
		{"REPNE SCASB, found in the third", &i_repnz_scasb, 5, 3},
		{"REP OUTSB", &i_rep_outsb, 2, 2},
		{"STOSB", &i_stosb, 5, 1},
	};
	u8 *source = (u8 *)scratch, *target = source + 1024;

	for (unsigned n = 0; n < COUNT(row); n++) {
		bool repeats = length_of(row[n].code) > 1;
		u64 r;

		memset(scratch, 0, sizeof(scratch));
		source[1] = 1;
		target[2] = 0x80;
		stepped(row[n].code);
		g_in[RAX] = g_in[RDX] = 0x80;
		g_in[RCX] = row[n].count;
		g_in[RSI] = (u64)source;
		g_in[RDI] = (u64)target;
		r = go();
		for (unsigned k = 1; k <= row[n].iterations; k++) {
			at(row[n].name, r, CODE + (k == row[n].iterations ? length_of(row[n].code) : 0));
			vcheck(row[n].name, "RCX", g_out[RCX], row[n].count - (repeats && row[n].count ? k : 0));
			r = go_on();
		}
		vcheck(row[n].name, "then the VMCALL", r, R_VMCALL);
	}
}

/* Exceptions and software interrupts: behind their delivery, before the handler's first instruction. */
static void deliveries(void)
{
	static const struct {
		const char *name;
		const struct snippet *code;
		unsigned vector;
		u64 pushed; /* RIP in the frame */
		bool error;
	} row[] = {
		{"INT n", &i_int_0x40, 0x40, 2, false},	{"INT3", &i_int3, 3, 1, false},
		{"INT1", &i_int1, 1, 1, false},			{"UD2", &i_ud2, 6, 0, false},
		{"#DE", &i_div_ecx, 0, 0, false},		{"#GP", &i_mov_eax_ds, 13, 0, true},
		{"#NP while INT n is delivered", &i_int_0x41, 11, 0, true},
	};

	for (unsigned n = 0; n < COUNT(row); n++) {
		u64 *frame;

		stepped(row[n].code);
		gate(0x41, 0x6e); /* not present */
		g_in[RAX] = 0x1000; /* beyond the limit of the GDT */
		at(row[n].name, go(), STUB(row[n].vector));
		frame = (u64 *)vmx_read(VMCS_GUEST_RSP) + row[n].error;
		vcheck(row[n].name, "delivered", frame[0], CODE + row[n].pushed);
		at(row[n].name, go_on(), STUB(row[n].vector) + 1);
		stepped(row[n].code); /* in the bitmap: that exit comes, and nothing is pending behind it */
		gate(0x41, 0x6e);
		g_in[RAX] = 0x1000;
		vmx_write(VMCS_EXCEPTIONS, ~0u);
		if (row[n].vector == 0x40)
			continue;
		vcheck(row[n].name, "exits", go(), R_EXCEPTION);
		vmx_write(VMCS_EXCEPTIONS, 0);
		off(VMCS_PROC, P_MTF);
		vmx_write(VMCS_GUEST_RIP, CODE + length_of(row[n].code));
		vcheck(row[n].name, "no exit is pending", go_on(), R_VMCALL);
	}
}

static void blocking(void)
{
	stepped(&i_mov_eax_ss_nop); /* MOV SS, EAX */
	g_in[RAX] = 0x10;
	at("MOV SS", go(), CODE + 2);
	check("MOV SS: blocking is saved", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), MOV_SS);
	at("behind MOV SS", go_on(), CODE + 3);
	check("behind MOV SS: over", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), 0);
	stepped(&i_sti_nop);
	at("STI", go(), CODE + 1);
	check("STI: blocking is saved", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), STI);
	at("behind STI", go_on(), CODE + 2);
	stepped(&i_nop_nop); /* single-stepping by the guest: the trap waits */
	vmx_write(VMCS_GUEST_RFLAGS, TF);
	at("TF", go(), CODE + 1);
	check("TF: pending", vmx_read(VMCS_PENDING_DEBUG), BS);
	at("TF: delivered", go_on(), STUB(1));
	check("TF: the frame", *(u64 *)vmx_read(VMCS_GUEST_RSP), CODE + 1);
	check("TF: no more", vmx_read(VMCS_PENDING_DEBUG), 0);
	/* "Saving Non-Register State": BS with TF, so that the state may be entered again */
	stepped(&i_mov_eax_ss_nop);
	g_in[RAX] = 0x10;
	vmx_write(VMCS_GUEST_RFLAGS, TF);
	at("MOV SS under TF", go(), CODE + 2);
	check("MOV SS under TF: blocking", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), MOV_SS);
	check("MOV SS under TF: pending", vmx_read(VMCS_PENDING_DEBUG), BS);
	at("MOV SS under TF: the next", go_on(), CODE + 3);
	check("MOV SS under TF: pending still", vmx_read(VMCS_PENDING_DEBUG), BS);
	at("MOV SS under TF: one #DB", go_on(), STUB(1));
	check("MOV SS under TF: the frame", *(u64 *)vmx_read(VMCS_GUEST_RSP), CODE + 3);
	stepped(&i_mov_eax_ss_ud2); /* a fault ends it */
	g_in[RAX] = 0x10;
	vmx_write(VMCS_GUEST_RFLAGS, TF);
	at("MOV SS under TF, UD2", go(), CODE + 2);
	at("MOV SS under TF, UD2: #UD", go_on(), STUB(6));
	check("MOV SS under TF, UD2: nothing pending", vmx_read(VMCS_PENDING_DEBUG), 0);
	at("MOV SS under TF, UD2: no #DB", go_on(), STUB(6) + 1);
	stepped(&i_mov_eax_ss_cpuid); /* the same by another exit */
	g_in[RAX] = 0x10;
	off(VMCS_PROC, P_MTF);
	vmx_write(VMCS_GUEST_RFLAGS, TF);
	check("MOV SS under TF, CPUID: exits", go(), R_CPUID);
	check("MOV SS under TF, CPUID: pending", vmx_read(VMCS_PENDING_DEBUG), BS);
	check("MOV SS under TF, CPUID: enters again", go_on(), R_CPUID);
	stepped(&i_mov_eax_ss_ud2); /* and by a fault that exits */
	g_in[RAX] = 0x10;
	off(VMCS_PROC, P_MTF);
	vmx_write(VMCS_GUEST_RFLAGS, TF);
	vmx_write(VMCS_EXCEPTIONS, 1 << 6);
	check("MOV SS under TF, UD2: exits", go(), R_EXCEPTION);
	check("MOV SS under TF, UD2: pending", vmx_read(VMCS_PENDING_DEBUG), BS);
	check("MOV SS under TF, UD2: blocking", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), MOV_SS);
	check("MOV SS under TF, UD2: enters again", go_on(), R_EXCEPTION);
}

/* What else there is at the boundary. */
static void neighbours(void)
{
	stepped(&i_cpuid_nop);
	check("an exit of its own", go(), R_CPUID);
	vmx_write(VMCS_GUEST_RIP, CODE + 2);
	at("the next instruction", go_on(), CODE + 3);
	stepped(&i_nop); /* pending at entry: delivered, and that is the first step */
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	mmio_write(APIC + 0x300, 0x40051);
	at("external interrupt", go(), STUB(0x51));
	mmio_write(APIC + 0xb0, 0);
	stepped(&i_nop);
	on(VMCS_PIN, PIN_EXT);
	on(VMCS_EXIT_CONTROLS, X_ACK);
	mmio_write(APIC + 0x300, 0x40051);
	check("external interrupt that exits", go(), R_INTERRUPT);
	mmio_write(APIC + 0xb0, 0);
	off(VMCS_PROC, P_MTF);
	check("external interrupt that exits: nothing pending", go_on(), R_VMCALL);
	stepped(&i_self_ipi_51_nop); /* MOV [RBX], 40051h: the exit comes before the interrupt's */
	g_in[RBX] = APIC + 0x300;
	on(VMCS_PIN, PIN_EXT);
	on(VMCS_EXIT_CONTROLS, X_ACK);
	at("an interrupt arises", go(), CODE + 6);
	check("an interrupt arises: next", go_on(), R_INTERRUPT);
	check("an interrupt arises: its event", vmx_read(VMCS_EXIT_EVENT), EV(0x51, 0));
	mmio_write(APIC + 0xb0, 0);
	stepped(&i_nop_nop);
	on(VMCS_PROC, P_WINDOW);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	check("an open window comes first", go(), R_INT_WINDOW);
	stepped(&i_sti_nop_nop);
	on(VMCS_PROC, P_WINDOW);
	at("a window that opens: STI", go(), CODE + 1);
	at("a window that opens: behind STI", go_on(), CODE + 2);
	check("a window that opens: next", go_on(), R_INT_WINDOW);
	stepped(&i_hlt_nop); /* HLT */
	off(VMCS_PROC, P_HLT);
	on(VMCS_PIN, PIN_TIMER);
	vmx_write(VMCS_TIMER, 10000);
	at("HLT", go(), CODE + 1);
	stepped(&i_nop);
	on(VMCS_PIN, PIN_TIMER);
	vmx_write(VMCS_TIMER, 100);
	vmx_write(VMCS_GUEST_ACTIVITY, 2);
	check("shutdown: blocked", go(), R_TIMER);
	stepped(&i_nop);
	on(VMCS_PIN, PIN_TIMER);
	vmx_write(VMCS_TIMER, 100);
	vmx_write(VMCS_GUEST_ACTIVITY, 1);
	check("HLT at entry: no instruction, no exit", go(), R_TIMER);
}

static void injection(void)
{
	static const struct {
		const char *name;
		u64 event, rip;
	} row[] = {
		{"interrupt", EV(0x51, 0), 0x51}, {"#UD", EV(6, 3), 6},  {"INT n", EV(0x40, 4), 0x40},
		{"INT3", EV(3, 6), 3},	    {"NMI", EV(2, 2), 2},  {"#NP while INT n is delivered", EV(0x41, 4), 11},
	};

	for (unsigned n = 0; n < COUNT(row); n++) {
		stepped(&i_nop);
		gate(0x41, 0x6e);
		vmx_write(VMCS_GUEST_RFLAGS, 0x202);
		vmx_write(VMCS_ENTRY_EVENT, row[n].event);
		vmx_write(VMCS_ENTRY_LENGTH, 1);
		at(row[n].name, go(), STUB(row[n].rip));
		check("the event is over", vmx_read(VMCS_ENTRY_EVENT) >> 31, 0);
		at(row[n].name, go_on(), STUB(row[n].rip) + 1);
	}
	stepped(&i_nop);
	vmx_write(VMCS_ENTRY_EVENT, EV(0x41, 4));
	vmx_write(VMCS_ENTRY_LENGTH, 1);
	vmx_write(VMCS_EXCEPTIONS, 1 << 11);
	gate(0x41, 0x6e);
	check("#NP of an injected event exits", go(), R_EXCEPTION);
	check("#NP of an injected event: original event", vmx_read(VMCS_VECTORING), EV(0x41, 4));
	/* a pending MTF VM exit itself: with the control and without it */
	for (unsigned control = 0; control < 2; control++)
		for (unsigned state = 0; state < 4; state++) {
			stepped(&i_nop);
			if (!control)
				off(VMCS_PROC, P_MTF);
			vmx_write(VMCS_ENTRY_EVENT, EV(0, 7));
			vmx_write(VMCS_GUEST_RFLAGS, 0x202);
			vmx_write(VMCS_GUEST_INTERRUPTIBILITY, state == 1 ? STI : state == 2 ? MOV_SS : 0);
			vmx_write(VMCS_GUEST_ACTIVITY, state == 3);
			at("pending MTF", go(), CODE);
			check("pending MTF: blocking stays", vmx_read(VMCS_GUEST_INTERRUPTIBILITY),
			      state == 1 ? STI : state == 2 ? MOV_SS : 0);
			check("pending MTF: activity state", vmx_read(VMCS_GUEST_ACTIVITY), state == 3);
			check("pending MTF: the event is over", vmx_read(VMCS_ENTRY_EVENT) >> 31, 0);
		}
	stepped(&i_nop); /* before a pending debug exception, which is kept */
	vmx_write(VMCS_ENTRY_EVENT, EV(0, 7));
	vmx_write(VMCS_GUEST_RFLAGS, TF);
	vmx_write(VMCS_PENDING_DEBUG, BS);
	at("pending MTF and #DB", go(), CODE);
	check("pending MTF and #DB: kept", vmx_read(VMCS_PENDING_DEBUG), BS);
	off(VMCS_PROC, P_MTF);
	vmx_write(VMCS_EXCEPTIONS, 2);
	check("pending MTF and #DB: then it is taken", go_on(), R_EXCEPTION);
	check("pending MTF and #DB: RIP", vmx_read(VMCS_GUEST_RIP), CODE);
}

void test_mtf(void)
{
	stubs = (u8 *)fresh_page();
	gates = (struct idt_gate *)fresh_page();
	for (unsigned n = 0; n < 256; n++)
		memcpy(stubs + 16 * n, (u8[]){0x90, 0x90, 0x0f, 0x01, 0xc1}, 5);
	mmio_write(APIC + 0xf0, 0x1ff);
	strings();
	deliveries();
	blocking();
	neighbours();
	injection();
}
