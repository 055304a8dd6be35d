/* "Information for VM Exits Due to Vectoring Events", "Information for VM Exits that Occur During Event Delivery". */
#include "first.h"

/* clang-format off */
SNIPPET(i_div_ecx, "", "div %ecx");
SNIPPET(i_ud2, "", "ud2");
SNIPPET(i_int3, "", "int3");
SNIPPET(i_int1, "", ".byte 0xf1");
SNIPPET(i_int_0x40, "", "int $0x40");
SNIPPET32(i_into_32, "", "mov $0x7f, %al; add $1, %al; into");
SNIPPET(i_mov_eax_ds, "", "mov %eax, %ds");
SNIPPET(i_mov_rbx_al, "", "mov (%rbx), %al");
SNIPPET(i_mov_al_rbx, "", "mov %al, (%rbx)");
SNIPPET(i_mov_dr0_rax, "", "mov %dr0, %rax");
SNIPPET(i_nop_nop, "", "nop; nop");
SNIPPET(i_iretq, "", "iretq");

/* Exceptions have one type, whatever raised them; those of INT3, INTO and INT1 are traps. */
static const struct {
	const char *name;
	enum guest_mode mode;
	const struct snippet *code;
	u64 rax, rbx;
	unsigned vector;
	int error;	 /* -1: none */
	unsigned offset; /* of the RIP that is saved */
	bool fault;
} exceptions[] = {
	{"#DE", G64, &i_div_ecx, 0, 0, 0, -1, 0, true},
	{"#UD", G64, &i_ud2, 0, 0, 6, -1, 0, true},
	{"#GP", G64, &i_mov_eax_ds, 0x1004, 0, 13, 0x1004, 0, true},
	{"#PF", G64, &i_mov_rbx_al, 0, (1ull << 45) + 5, 14, 0, 0, true},
	{REQ("vmx04.2.8.2.8 vmx04.3.1.3.4") "#BP by INT3", G64, &i_int3, 0, 0, 3, -1, 1, false},
	{REQ("vmx04.2.8.2.8 vmx04.3.1.3.4") "#OF by INTO", G_COMPAT, &i_into_32, 0, 0, 4, -1, 5, false},
	{REQ("vmx04.2.8.2.9") "#DB by INT1", G64, &i_int1, 0, 0, 1, -1, 1, false},
};
/* clang-format on */

static void each_exception(void)
{
	asm volatile("mov %0, %%cr2" ::"r"(0x1234ull));
	for (unsigned n = 0; n < COUNT(exceptions); n++) {
		const char *name = exceptions[n].name;

		with_idt(exceptions[n].mode, exceptions[n].code);
		g_in[RAX] = exceptions[n].rax;
		g_in[RBX] = exceptions[n].rbx;
		vmx_write(VMCS_EXCEPTIONS, 1u << exceptions[n].vector);
		vcheck(name, REQ("vmx04.2.8.1.21") "exits", go(), R_EXCEPTION);
		vcheck(name, REQ("vmx04.2.8.2.8 vmx04.2.8.2.9 vmx04.2.8.2.10 vmx04.2.8.2.13") "event", vmx_read(VMCS_EXIT_EVENT),
		       EV(exceptions[n].vector, 3) | (exceptions[n].error >= 0 ? 0x800 : 0));
		if (exceptions[n].error >= 0)
			vcheck(name, "error code", vmx_read(VMCS_EXIT_ERROR), (u64)exceptions[n].error);
		vcheck(name, "RIP", vmx_read(VMCS_GUEST_RIP), CODE + exceptions[n].offset);
		vcheck(name, REQ("vmx04.3.3.3.6") "RF of a fault", vmx_read(VMCS_GUEST_RFLAGS) >> 16 & 1, exceptions[n].fault);
		if (exceptions[n].vector != 1)
			vcheck(name, REQ("vmx04.2.8.1.58") "qualification", vmx_read(VMCS_QUALIFICATION),
			       exceptions[n].vector == 14 ? (1ull << 45) + 5 : 0);
	}
	check(REQ("vmx04.2.8.1.59") "CR2 as before the page fault that exited", read_cr2(), 0x1234);
}

/* What INT3 raised can be injected as it was told: behind the instruction, and goes on there. */
static void injected_again(void)
{
	with_idt(G64, &i_int3);
	vmx_write(VMCS_EXCEPTIONS, 1 << 3);
	check("INT3", go(), R_EXCEPTION);
	vmx_write(VMCS_ENTRY_EVENT, vmx_read(VMCS_EXIT_EVENT));
	check("injected", again(), R_VMCALL);
	check("its handler", vmx_read(VMCS_GUEST_RIP), STUB(3));
	check(REQ("vmx04.3.1.3.4") "pushed RIP", *(u64 *)vmx_read(VMCS_GUEST_RSP), CODE + 1);
}

/* "Exit qualification": debug exceptions. DR7 is loaded and saved by every transition. */
static void debug_exceptions(void)
{
	u64 dr6;

	with_idt(G64, &i_nop_nop);
	vmx_write(VMCS_GUEST_RFLAGS, 0x102);
	on(VMCS_EXCEPTIONS, 2);
	check("single step", go(), R_EXCEPTION);
	check(REQ("vmx04.2.8.1.56") "BS", vmx_read(VMCS_QUALIFICATION), 1 << 14);
	check("RIP of the next instruction", vmx_read(VMCS_GUEST_RIP), CODE + 1);
	with_idt(G64, &i_mov_al_rbx);
	g_in[RBX] = (u64)scratch;
	asm volatile("mov %0, %%dr1; mov %1, %%dr6" ::"r"((u64)scratch), "r"(0xffff0ff0ull));
	vmx_write(VMCS_GUEST_DR7, 0x400 | 1 << 2 | 1 << 20);
	on(VMCS_EXCEPTIONS, 2);
	check(REQ("vmx04.3.2.3.1.7") "data breakpoint", go(), R_EXCEPTION);
	check(REQ("vmx04.2.8.1.56") "B1", vmx_read(VMCS_QUALIFICATION), 2);
	asm volatile("mov %%dr6, %0" : "=r"(dr6));
	check(REQ("vmx04.2.8.1.56") "DR6 as before", dr6, 0xffff0ff0);
	with_idt(G64, &i_mov_dr0_rax);
	vmx_write(VMCS_GUEST_DR7, 0x2400);
	on(VMCS_EXCEPTIONS, 2);
	check("general detect", go(), R_EXCEPTION);
	check(REQ("vmx04.2.8.1.56") "BD", vmx_read(VMCS_QUALIFICATION), 1 << 13);
}

/* The gate is not present: the fault exits, and the event that was being delivered is told. */
static const struct {
	const char *name;
	const struct snippet *code;
	unsigned vector;
	u32 told;
	unsigned length; /* 0: not of an instruction's own doing */
} undelivered[] = {
	{"INT 40h", &i_int_0x40, 0x40, EV(0x40, 4), 2}, {"INT3", &i_int3, 3, EV(3, 3), 1}, {"INT1", &i_int1, 1, EV(1, 3), 1},
	{"#UD", &i_ud2, 6, EV(6, 3), 0},
};

static void vectoring(void)
{
	for (unsigned n = 0; n < COUNT(undelivered); n++) {
		with_idt(G64, undelivered[n].code);
		gates[undelivered[n].vector].lo &= ~(0x80ull << 40);
		vmx_write(VMCS_EXCEPTIONS, 1 << 11);
		vcheck(undelivered[n].name, "exits", go(), R_EXCEPTION);
		vcheck(undelivered[n].name, "#NP", vmx_read(VMCS_EXIT_EVENT), EV_E(11));
		vcheck(undelivered[n].name, REQ("vmx04.2.8.3.14 vmx04.2.8.3.16") "original event", vmx_read(VMCS_VECTORING), undelivered[n].told);
		vcheck(undelivered[n].name, "RIP", vmx_read(VMCS_GUEST_RIP), CODE);
		if (undelivered[n].length)
			vcheck(undelivered[n].name, REQ("vmx04.2.8.3.21") "length", vmx_read(VMCS_EXIT_LENGTH), undelivered[n].length);
	}
}

/* IRET unblocks NMIs and then faults: later texts say so in bit 12. */
static void bits_30_12(void)
{
	u64 *frame = &scratch[100];

	with_idt(G64, &i_iretq);
	vmx_write(VMCS_GUEST_RSP, (u64)frame);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 8);
	frame[0] = CODE;
	frame[1] = 0x1000; /* beyond the GDT */
	frame[2] = 2;
	frame[3] = (u64)frame;
	frame[4] = 0x10;
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	check("IRET faults", go(), R_EXCEPTION);
	check(REQ("vmx04.2.8.2.13") "bits 30:12", vmx_read(VMCS_EXIT_EVENT) & 0x7ffff000, 0);
}

void test_events_told(void)
{
	each_exception();
	injected_again();
	debug_exceptions();
	vectoring();
	bits_30_12();
}
