/* Exceptions, interrupts and NMIs in a guest: what exits, what is delivered, what is injected, and what they record. */
#include "idt.h"

/* clang-format off */
SNIPPET(i_div_ecx, "", "div %ecx");
SNIPPET(i_ud2, "", "ud2");
SNIPPET(i_int3, "", "int3");
SNIPPET(i_int1, "", ".byte 0xf1");
SNIPPET32(i_into_32, "", "mov $0x7f, %al; add $1, %al; into");
SNIPPET32(i_bound_eax_ebx_32, "", "bound %eax, (%ebx)");
SNIPPET(i_mov_eax_ds, "", "mov %eax, %ds");
SNIPPET(i_leave, "", "leave");
SNIPPET(i_mov_rbx_al, "", "mov (%rbx), %al");
SNIPPET(i_int_0xd, "", "int $0xd");
SNIPPET(i_int_2, "", "int $2");
SNIPPET(i_nop_nop, "", "nop; nop");
SNIPPET(i_mov_al_rbx, "", "mov %al, (%rbx)");
SNIPPET(i_mov_dr0_rax, "", "mov %dr0, %rax");
SNIPPET(i_int_0x40, "", "int $0x40");
SNIPPET(i_nop, "", "nop");
SNIPPET(i_self_ipi_52_hlt, "", "movl $0x40052, (%rbx); hlt");
SNIPPET(i_cli_sti_popf, "", "cli; pushf; pop %rax; sti; pushf; pop %rbx; cli; pushf; pop %rcx; pushf; popf");
SNIPPET(i_nop_sti_nop_nop, "", "nop; sti; nop; nop");
SNIPPET(i_popf_sets_if, "", "pushf; orb $2, 0x1(%rsp); popf; nop");
SNIPPET(i_sti_cpuid, "", "sti; cpuid");
SNIPPET(i_mov_eax_ss_cpuid, "", "mov %eax, %ss; cpuid");
SNIPPET(i_nop_cpuid, "", "nop; cpuid");
SNIPPET(i_sti_nop_cpuid, "", "sti; nop; cpuid");
SNIPPET(i_mov_rbx_ss_cpuid, "", "mov (%rbx), %ss; cpuid");
SNIPPET(i_mov_rbx_ss_ud2, "", "mov (%rbx), %ss; ud2");
SNIPPET(i_sti_ud2, "", "sti; ud2");
SNIPPET(i_mov_rbx_ss_int_0x40, "", "mov (%rbx), %ss; int $0x40");
SNIPPET(i_iretq, "", "iretq");
SNIPPET(i_jmp_rbx, "", "jmp *%rbx");
SNIPPET(i_send_nmi, "", "movl $0, 0x10(%rbx); movl $0x400, (%rbx); nop; nop; nop"); /* the ICR at RBX */
SNIPPET(i_send_init, "", "movl $0, 0x10(%rbx); movl $0x4500, (%rbx); nop; nop; nop");
/* clang-format on */

#define ACK	0x8000u

/* ---- exceptions ---- */

struct event_row {
	const char *name;
	enum guest_mode mode;
	const struct snippet *code;
	u64 reg[4];
	unsigned vector, type;
	int error;	 /* -1: none */
	unsigned insn;	 /* instruction length for software exceptions */
	unsigned offset; /* of the RIP that is saved */
};
/* clang-format off */
static const struct event_row exceptions[] = {
	{REQ("vmx04.3.1.3.1 vmx04.2.5.3.1 vmx04.2.8.1.2 vmx04.2.8.2.2 vmx04.2.8.2.7 vmx04.2.8.2.12 vmx04.2.8.2.14 vmx04.2.8.2.16") "#DE", G64, &i_div_ecx, {0}, 0, 3, -1, 0, 0},
	{REQ("vmx04.2.5.3.6 vmx04.3.1.3.2") "#UD by UD2", G64, &i_ud2, {0}, 6, 3, -1, 0, 0},
	{REQ("vmx04.2.5.3.5 vmx04.2.8.2.8.now vmx04.3.1.3.4.now") "#BP by INT3", G64, &i_int3, {0}, 3, 6, -1, 1, 0},
	{REQ("vmx04.2.8.2.9.now") "#DB by INT1", G64, &i_int1, {0}, 1, 5, -1, 1, 0},
	{REQ("vmx04.2.5.3.5 vmx04.2.8.2.8.now vmx04.3.1.3.4.now") "#OF by INTO", G_COMPAT, &i_into_32, {0}, 4, 6, -1, 1, 4},
	{REQ("vmx04.2.5.3.6 vmx04.2.8.2.7") "#BR by BOUND", G_COMPAT, &i_bound_eax_ebx_32, {~0u, 0, 0, (u64)scratch}, 5, 3, -1, 0, 0},
	{REQ("vmx04.2.8.2.11 vmx04.2.8.2.16 vmx04.3.1.3.2") "#GP", G64, &i_mov_eax_ds, {0x1004}, 13, 3, 0x1004, 0, 0},
	{"#SS", G64, &i_leave, {0}, 12, 3, 0, 0, 0}, /* LEAVE with a non-canonical RBP: set below */
	{REQ("vmx04.2.8.2.11") "#PF", G64, &i_mov_rbx_al, {0, 0, 0, 1ull << 45}, 14, 3, 0, 0, 0},
};
/* clang-format on */

static void load_row(const struct event_row *w)
{
	with_idt(w->mode, w->code);
	memcpy(g_in, w->reg, sizeof(w->reg));
	g_in[RBP] = 1ull << 47;
}

static void test_exceptions(void)
{
	scratch[0] = 0;
	for (unsigned n = 0; n < COUNT(exceptions); n++) {
		const struct event_row *w = &exceptions[n];

		load_row(w);
		vmx_write(VMCS_EXCEPTIONS, 1u << w->vector);
		vcheck(w->name, "exits", go(), R_EXCEPTION);
		vcheck(w->name, REQ("vmx04.2.8.2.10.now") "event", vmx_read(VMCS_EXIT_EVENT), EV(w->vector, w->type) | (w->error >= 0 ? 0x800 : 0));
		if (w->error >= 0)
			vcheck(w->name, "error code", vmx_read(VMCS_EXIT_ERROR), (u64)w->error);
		vcheck(w->name, "RIP", vmx_read(VMCS_GUEST_RIP), CODE + w->offset);
		vcheck(w->name, REQ("vmx04.2.8.3.8") "no vectoring", vmx_read(VMCS_VECTORING) >> 31, 0);
		if (w->insn)
			vcheck(w->name, REQ("vmx04.3.1.3.4.now") "length", vmx_read(VMCS_EXIT_LENGTH), w->insn);
		if (w->type == 3 && w->vector != 1)
			vcheck(w->name, REQ("vmx04.3.3.3.6.now") "RF", vmx_read(VMCS_GUEST_RFLAGS) >> 16 & 1, 1);
		if (w->mode != G64)
			continue;
		load_row(w); /* every other bit */
		vmx_write(VMCS_EXCEPTIONS, ~(1u << w->vector));
		if (w->vector == 14)
			vmx_write(VMCS_EXCEPTIONS, 0);
		vcheck(w->name, "bit 0: delivered", go(), R_VMCALL);
		vcheck(w->name, REQ("vmx04.2.5.3.2 vmx04.3.1.3.12") "through gate n", vmx_read(VMCS_GUEST_RIP), STUB(w->vector));
	}
	check(REQ("vmx04.3.1.3.12") "CR2 of the delivered #PF", read_cr2(), 1ull << 45); /* CR2 is not switched */
}

/* INT n is no exception. */
static void software_interrupts(void)
{
	with_idt(G64, &i_int_0xd);
	vmx_write(VMCS_EXCEPTIONS, ~0u);
	check("INT 0Dh", go(), R_VMCALL);
	check(REQ("vmx04.2.5.3.4") "gate 13", vmx_read(VMCS_GUEST_RIP), STUB(13));
	with_idt(G64, &i_int_2);
	on(VMCS_EXCEPTIONS, 4);
	check("INT 2, bit 2", go(), R_VMCALL);
	/* a single step is a trap: the next instruction */
	with_idt(G64, &i_nop_nop);
	vmx_write(VMCS_GUEST_RFLAGS, 0x102);
	on(VMCS_EXCEPTIONS, 2);
	check("single step", go(), R_EXCEPTION);
	check("event", vmx_read(VMCS_EXIT_EVENT), EV(1, 3));
	check(REQ("vmx04.3.1.3.3") "RIP of the next instruction", vmx_read(VMCS_GUEST_RIP), CODE + 1);
	check(REQ("vmx04.2.8.1.56.now") "qualification: BS", vmx_read(VMCS_QUALIFICATION), 1 << 14); /* with those below */
	/* a data breakpoint */
	with_idt(G64, &i_mov_al_rbx);
	g_in[RBX] = (u64)scratch;
	asm volatile("mov %0, %%dr1; mov %1, %%dr6" ::"r"((u64)scratch), "r"(0xffff0ff0ull));
	on(VMCS_ENTRY_CONTROLS, E_DEBUG); /* load debug controls */
	vmx_write(VMCS_GUEST_DR7, 0x400 | 1 << 2 | 1 << 20);
	on(VMCS_EXCEPTIONS, 2);
	check("data breakpoint", go(), R_EXCEPTION);
	check(REQ("vmx04.3.1.3.3") "RIP of the next instruction", vmx_read(VMCS_GUEST_RIP), CODE + 2);
	check(REQ("vmx04.2.8.1.56.now") "qualification: B1", vmx_read(VMCS_QUALIFICATION), 2);
	u64 dr6, dr7 = vmx_read(VMCS_GUEST_DR7);
	asm volatile("mov %%dr6, %0" : "=r"(dr6));
	check(REQ("vmx04.2.8.1.56.now") "DR6 not updated", dr6, 0xffff0ff0);
	check("DR7 not updated", dr7, 0x400 | 1 << 2 | 1 << 20);
	/* DR7.GD */
	with_idt(G64, &i_mov_dr0_rax);
	on(VMCS_ENTRY_CONTROLS, E_DEBUG);
	vmx_write(VMCS_GUEST_DR7, 0x2400);
	on(VMCS_EXCEPTIONS, 2);
	check("general detect", go(), R_EXCEPTION);
	check(REQ("vmx04.2.8.1.56.now") "qualification: BD", vmx_read(VMCS_QUALIFICATION), 1 << 13);
}

/* ---- page faults: "Page-Fault Error-Code Mask and Match" ---- */

static const struct {
	u32 bit, mask, match;
	bool user_exits, kernel_exits; /* error codes 4 and 0 */
	const char *ids;
} filters[] = {
	{1, 0, 0, true, true, REQ("vmx04.3.1.3.7 vmx04.3.1.3.5")},
	{1, 0, ~0u, false, false, REQ("vmx04.3.1.3.8 vmx04.3.1.3.6")},
	{0, 0, ~0u, true, true, REQ("vmx04.3.1.3.9 vmx04.3.1.3.6")},
	{0, 0, 0, false, false, REQ("vmx04.3.1.3.10 vmx04.3.1.3.5")},
	{1, 4, 4, true, false, REQ("vmx04.3.1.3.11")},
	{0, 4, 4, false, true, REQ("vmx04.3.1.3.11")},
};

static u64 page_fault(unsigned n, enum guest_mode m)
{
	with_idt(m, &i_mov_rbx_al);
	g_in[RBX] = 1ull << 45;
	vmx_write(VMCS_EXCEPTIONS, filters[n].bit << 14);
	vmx_write(VMCS_PF_MASK, filters[n].mask);
	vmx_write(VMCS_PF_MATCH, filters[n].match);
	return go();
}

static void page_faults(void)
{
	for (unsigned n = 0; n < COUNT(filters); n++) {
		vcheck(filters[n].ids, "page fault at CPL 3", page_fault(n, G64_USER), filters[n].user_exits ? R_EXCEPTION : R_VMCALL);
		if (!filters[n].user_exits)
			check(REQ("vmx04.3.1.3.12") "through gate 14", vmx_read(VMCS_GUEST_RIP), STUB(14));
		vcheck(filters[n].ids, "page fault at CPL 0", page_fault(n, G64), filters[n].kernel_exits ? R_EXCEPTION : R_VMCALL);
	}
	with_idt(G64, &i_mov_eax_ds); /* #GP with an error code that would not match */
	g_in[RAX] = 0x1004;
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	vmx_write(VMCS_PF_MATCH, ~0u);
	check(REQ("vmx04.2.5.4.3") "mask and match are for vector 14 alone", go(), R_EXCEPTION);
	/* error codes, qualification, CR2 */
	asm volatile("mov %0, %%cr2" ::"r"(0x1234ull));
	with_idt(G64_USER, &i_mov_al_rbx);
	g_in[RBX] = (1ull << 45) + 5;
	vmx_write(VMCS_EXCEPTIONS, 1 << 14);
	check("write at CPL 3", go(), R_EXCEPTION);
	check(REQ("vmx04.2.8.2.17") "error code: W, U", vmx_read(VMCS_EXIT_ERROR), 6); /* with those below */
	check(REQ("vmx04.2.8.1.54") "qualification", vmx_read(VMCS_QUALIFICATION), (1ull << 45) + 5);
	check(REQ("vmx04.2.8.1.59.now") "CR2 unchanged", read_cr2(), 0x1234);
	u64 *pd = &pds[1][0], kept = *pd; /* 1 GiB */
	static const struct {
		u64 pde;
		const struct snippet *code;
		u32 error;
	} forms[] = {
		{0x40000083, &i_mov_rbx_al, 5},			/* P U: a supervisor page */
		{0x40000085, &i_mov_al_rbx, 7},			/* P W U: read-only */
		{0x40000087 | 1ull << 63, &i_jmp_rbx, 0x15},	/* P U I: execute-disable */
		{0x40002087, &i_mov_rbx_al, 0xd},		/* P U RSVD: bit 13 of a large page */
	};
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1 << 11);
	for (unsigned n = 0; n < 4; n++) {
		with_idt(G64_USER, forms[n].code);
		vmx_write(VMCS_GUEST_EFER, vmx_read(VMCS_GUEST_EFER) | 1 << 11);
		*pd = forms[n].pde;
		g_in[RBX] = 0x40000000;
		vmx_write(VMCS_EXCEPTIONS, 1 << 14);
		check("page-fault exit", go(), R_EXCEPTION);
		check(REQ("vmx04.2.8.2.17") "error code", vmx_read(VMCS_EXIT_ERROR), forms[n].error);
	}
	*pd = kept;
	write_cr3(read_cr3());
}

/* ---- events that cannot be delivered: "Information for VM Exits That Occur During Event Delivery" ---- */

static const struct {
	const char *name;
	const struct snippet *code;
	u64 reg[4];
	unsigned vector; /* whose gate is not present */
	u32 vectoring;
	int error;
	unsigned insn;
} undelivered[] = {
	{REQ("vmx04.2.8.3.1 vmx04.2.8.3.2 vmx04.2.8.3.9 vmx04.2.8.3.17 vmx04.2.8.3.20 vmx04.2.8.3.13 vmx04.2.8.3.21.now") "INT 40h", &i_int_0x40, {0}, 0x40, EV(0x40, 4), -1, 2},
	{REQ("vmx04.2.8.3.14.now vmx04.2.8.3.21.now") "INT3", &i_int3, {0}, 3, EV(3, 6), -1, 1},
	{REQ("vmx04.2.8.3.14.now vmx04.2.8.3.21.now") "INT1", &i_int1, {0}, 1, EV(1, 5), -1, 1},
	{REQ("vmx04.2.8.3.12 vmx04.2.8.3.15") "#UD", &i_ud2, {0}, 6, EV(6, 3), -1, 0},
	{REQ("vmx04.2.8.3.15 vmx04.2.8.3.18") "#PF", &i_mov_rbx_al, {0, 0, 0, 1ull << 45}, 14, EV_E(14), 0, 0},
};

static void vectoring(void)
{
	for (unsigned n = 0; n < COUNT(undelivered); n++) {
		unsigned v = undelivered[n].vector;
		u64 rsp;

		with_idt(G64, undelivered[n].code);
		memcpy(g_in, undelivered[n].reg, sizeof(undelivered[n].reg));
		gates[v].lo &= ~(0x80ull << 40);
		rsp = vmx_read(VMCS_GUEST_RSP);
		vmx_write(VMCS_EXCEPTIONS, 1 << 11);
		if (v == 14) /* a contributory exception behind a page fault is a double fault; a page fault behind it too */
			vmx_write(VMCS_EXCEPTIONS, 1 << 11 | 1 << 8);
		vcheck(undelivered[n].name, "exit", go(), R_EXCEPTION);
		vcheck(undelivered[n].name, "#NP", vmx_read(VMCS_EXIT_EVENT), EV_E(11));
		vcheck(undelivered[n].name, REQ("vmx04.2.8.3.16.now") "vectoring", vmx_read(VMCS_VECTORING) & ~0x1000ull, undelivered[n].vectoring);
		if (undelivered[n].error >= 0)
			vcheck(undelivered[n].name, "its error code", vmx_read(VMCS_VECTORING_ERROR), (u64)undelivered[n].error);
		if (undelivered[n].insn)
			vcheck(undelivered[n].name, "length", vmx_read(VMCS_EXIT_LENGTH), undelivered[n].insn);
		vcheck(undelivered[n].name, "RIP", vmx_read(VMCS_GUEST_RIP), CODE);
		vcheck(undelivered[n].name, REQ("vmx04.3.3.3.5") "RSP", vmx_read(VMCS_GUEST_RSP), rsp);
		vcheck(undelivered[n].name, "CS", vmx_read(VMCS_GUEST_CS), 8);
	}
	/* a double fault that exits has no vectoring information */
	with_idt(G64, &i_mov_eax_ds);
	g_in[RAX] = 0x1004;
	gates[13].lo &= ~(0x80ull << 40);
	vmx_write(VMCS_EXCEPTIONS, 1 << 8);
	check("double fault", go(), R_EXCEPTION);
	check(REQ("vmx04.2.8.2.11") "event", vmx_read(VMCS_EXIT_EVENT), EV_E(8));
	check(REQ("vmx04.2.8.3.6") "vectoring", vmx_read(VMCS_VECTORING) >> 31, 0);
	/* the first instruction of the handler is no part of delivery */
	with_idt(G64, &i_int_0x40);
	gate(0x40, 0x400000000000, 0x6e);
	vmx_write(VMCS_EXCEPTIONS, 1 << 14);
	check("handler not mapped", go(), R_EXCEPTION);
	check("page fault", vmx_read(VMCS_EXIT_EVENT), EV_E(14));
	check(REQ("vmx04.2.8.3.7") "vectoring", vmx_read(VMCS_VECTORING) >> 31, 0);
	check("RIP of the handler", vmx_read(VMCS_GUEST_RIP), 0x400000000000);
	/* nothing delivers: triple fault */
	with_idt(G64, &i_ud2);
	vmx_write(VMCS_GUEST_IDTR_LIMIT, 0);
	check(REQ("vmx04.3.1.3.27.now") "triple fault", go(), R_TRIPLE);
}

/* ---- injection ---- */

static const struct {
	const char *name;
	u32 info;
	u32 error, insn;
} injected[] = {
	{REQ("vmx04.2.7.3.5") "external interrupt", EV(0x40, 0), 0, 0},
	{REQ("vmx04.2.7.3.7") "NMI", EV(2, 2), 0, 0},
	{REQ("vmx04.2.7.3.8 vmx04.2.7.3.14") "#UD", EV(6, 3), 0, 0},
	{REQ("vmx04.2.7.3.8 vmx04.2.7.3.13") "#GP", EV_E(13), 0x1234, 0},
	{REQ("vmx04.2.7.3.13") "#PF", EV_E(14), 6, 0},
	{REQ("vmx04.2.7.3.9.now") "INT 41h", EV(0x41, 4), 0, 2},
	{REQ("vmx04.2.7.3.10.now") "INT1", EV(1, 5), 0, 1},
	{REQ("vmx04.2.7.3.11.now") "INT3", EV(3, 6), 0, 1},
};

static void inject(unsigned n, enum guest_mode m)
{
	with_idt(m, &i_nop);
	vmx_write(VMCS_GUEST_RFLAGS, 0x247);
	vmx_write(VMCS_ENTRY_EVENT, injected[n].info);
	vmx_write(VMCS_ENTRY_ERROR, injected[n].error);
	vmx_write(VMCS_ENTRY_LENGTH, injected[n].insn);
}

static void injection(void)
{
	for (unsigned n = 0; n < COUNT(injected); n++) {
		u32 v = injected[n].info & 0xff, bytes = injected[n].info & 0x800 ? 8 : 0;
		const char *name = injected[n].name;
		u64 *frame, rsp;

		inject(n, G64);
		rsp = vmx_read(VMCS_GUEST_RSP);
		asm volatile("mov %0, %%cr2" ::"r"(0x777ull));
		on(VMCS_EXCEPTIONS, 1u << 13 | 1 << 6 | 1 << 14 | 2 | 8); /* not for the injected event itself */
		vcheck(name, "runs", go(), R_VMCALL);
		vcheck(name, REQ("vmx04.2.7.3.2 vmx04.2.7.3.4 vmx04.3.2.5.1 vmx04.VMLAUNCH.12 vmx04.3.2.5.10") "handler", vmx_read(VMCS_GUEST_RIP), STUB(v));
		frame = (u64 *)(vmx_read(VMCS_GUEST_RSP) + bytes);
		vcheck(name, REQ("vmx04.2.7.3.13 vmx04.2.7.3.14") "frame", (u64)frame, (rsp & ~15ull) - 40);
		vcheck(name, REQ("vmx04.3.2.5.2") "pushed RIP", frame[0], CODE + injected[n].insn);
		vcheck(name, "pushed CS", frame[1], 8);
		vcheck(name, REQ("vmx04.3.2.5.2") "pushed RFLAGS", frame[2], 0x247);
		if (bytes)
			vcheck(name, REQ("vmx04.3.2.5.5") "pushed error code", frame[-1], injected[n].error);
		vcheck(name, REQ("vmx04.3.2.5.6") "CR2", read_cr2(), 0x777);
		vcheck(name, REQ("vmx04.3.2.5.3") "interrupt gate: IF", vmx_read(VMCS_GUEST_RFLAGS) >> 9 & 1, 0); /* with those below */
		vcheck(name, REQ("vmx04.3.3.2.1") "valid bit", vmx_read(VMCS_ENTRY_EVENT) >> 31, 0);
		vcheck(name, REQ("vmx04.2.7.3.20") "other bits", vmx_read(VMCS_ENTRY_EVENT), injected[n].info & 0x7fffffff);
		vcheck(name, REQ("vmx04.3.2.5.7") "NMI blocking", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), v == 2 ? 8 : 0);
		vmx_write(VMCS_GUEST_RIP, STUB(v) + 3);
		vcheck(name, REQ("vmx04.2.7.3.19") "no second injection", again(), R_VMCALL);
		vcheck(name, "RIP", vmx_read(VMCS_GUEST_RIP), STUB(v) + 6);
		/* not present: the fault exits, the injected event is its vectoring information */
		inject(n, G64);
		gates[v].lo &= ~(0x80ull << 40);
		on(VMCS_EXCEPTIONS, 1 << 11);
		rsp = vmx_read(VMCS_GUEST_RSP);
		vcheck(name, "gate not present", go(), R_EXCEPTION);
		vcheck(name, REQ("vmx04.3.2.5.12 vmx04.2.8.3.10 vmx04.2.8.3.11") "vectoring", vmx_read(VMCS_VECTORING) & ~0x1000ull, injected[n].info);
		if (bytes)
			vcheck(name, "its error code", vmx_read(VMCS_VECTORING_ERROR), injected[n].error);
		vcheck(name, REQ("vmx04.3.2.5.14") "RSP", vmx_read(VMCS_GUEST_RSP), rsp);
		vcheck(name, "RIP", vmx_read(VMCS_GUEST_RIP), CODE);
		vcheck(name, REQ("vmx04.3.2.5.15") "valid bit", vmx_read(VMCS_ENTRY_EVENT) >> 31, 0);
	}
	inject(0, G64); /* a trap gate leaves IF */
	gate(0x40, STUB(0x40), 0x6f);
	check("trap gate", go(), R_VMCALL);
	check(REQ("vmx04.3.2.5.3") "IF", vmx_read(VMCS_GUEST_RFLAGS) >> 9 & 1, 1);
	inject(0, G64_USER); /* a change of level */
	check("from CPL 3", go(), R_VMCALL);
	check(REQ("vmx04.3.2.5.3") "RSP of the TSS", vmx_read(VMCS_GUEST_RSP), (u64)(handler_stack + sizeof(handler_stack)) - 40);
	check("CPL 0", vmx_read(VMCS_GUEST_SS_AR) >> 5 & 3, 0);
	inject(0, G64); /* an interrupt stack */
	gates[0x40].lo |= 1ull << 32;
	*(u64 *)(tss + 0x24) = (u64)handler_stack + 0x800;
	check("IST", go(), R_VMCALL);
	check(REQ("vmx04.3.2.5.3") "RSP of the IST", vmx_read(VMCS_GUEST_RSP), (u64)handler_stack + 0x800 - 40);
	inject(0, G64); /* beyond the limit of the IDT */
	vmx_write(VMCS_GUEST_IDTR_LIMIT, 0x3ff);
	on(VMCS_EXCEPTIONS, 1 << 13);
	check(REQ("vmx04.3.2.5.4") "beyond the IDT", go(), R_EXCEPTION);
	check("#GP", vmx_read(VMCS_EXIT_EVENT), EV_E(13));
	check("error code, external", vmx_read(VMCS_EXIT_ERROR), 0x40 * 8 + 3);
	inject(5, G64);
	vmx_write(VMCS_GUEST_IDTR_LIMIT, 0x3ff);
	on(VMCS_EXCEPTIONS, 1 << 13);
	check("INT n beyond the IDT", go(), R_EXCEPTION);
	check(REQ("vmx04.3.2.5.4") "error code, software", vmx_read(VMCS_EXIT_ERROR), 0x41 * 8 + 2);
	inject(5, G64);
	vmx_write(VMCS_ENTRY_LENGTH, 0);
	check(REQ("vmx04.1.6.9.now") "IA32_VMX_MISC: injection with length 0", rdmsr(MSR_VMX_MISC) >> 30 & 1, 1); /* the rest: life.c */
	check("INT n of length 0", go(), R_VMCALL);
	check("pushed RIP", *(u64 *)vmx_read(VMCS_GUEST_RSP), CODE);
	inject(2, G64); /* a fault in delivery that the guest handles: #UD then #NP */
	gates[6].lo &= ~(0x80ull << 40);
	check("fault handled in the guest", go(), R_VMCALL);
	check("its handler", vmx_read(VMCS_GUEST_RIP), STUB(11));
	inject(3, G64); /* contributory and contributory: a double fault */
	gates[13].lo &= ~(0x80ull << 40);
	check("contributory faults", go(), R_VMCALL);
	check(REQ("vmx04.3.2.5.11") "#DF's handler", vmx_read(VMCS_GUEST_RIP), STUB(8));
	inject(0, G64); /* the pin-based controls are not for it */
	on(VMCS_PIN, PIN_EXT | PIN_NMI);
	check(REQ("vmx04.3.2.5.9") "external interrupt, exiting", (go(), vmx_read(VMCS_GUEST_RIP)), STUB(0x40));
	inject(1, G64);
	on(VMCS_PIN, PIN_EXT | PIN_NMI);
	check(REQ("vmx04.3.2.5.9") "NMI, exiting", (go(), vmx_read(VMCS_GUEST_RIP)), STUB(2));
	inject(0, G64); /* the window sees the handler's IF */
	on(VMCS_PROC, P_WINDOW);
	check(REQ("vmx04.3.2.5.16") "window behind an interrupt gate", go(), R_VMCALL);
	inject(0, G64);
	gate(0x40, STUB(0x40), 0x6f);
	on(VMCS_PROC, P_WINDOW);
	check(REQ("vmx04.3.2.5.16") "window behind a trap gate", go(), R_INT_WINDOW);
	check("RIP", vmx_read(VMCS_GUEST_RIP), STUB(0x40));
}

/* ---- external interrupts, NMIs, windows ---- */

#define APIC 0xfee00000u

static void self_ipi(u32 vector)
{
	mmio_write(APIC + 0x300, 0x40000 | vector);
}

static bool in_service(u32 base, u32 vector)
{
	return mmio_read(APIC + base + (vector / 32) * 0x10) >> (vector & 31) & 1;
}

static void drain(void) /* take and end what is pending: the host's IDT has a stub that longjmps */
{
	check(REQ("vmx04.2.6.1.10") "the host takes it", CATCH(asm volatile("sti; nop; nop; cli")), 0x51);
	mmio_write(APIC + 0xb0, 0);
}

static void external(void)
{
	for (int flag = 0; flag < 2; flag++) { /* RFLAGS.IF does not matter */
		with_idt(G64, &i_nop);
		on(VMCS_PIN, PIN_EXT);
		vmx_write(VMCS_GUEST_RFLAGS, flag ? 0x202 : 2);
		self_ipi(0x51);
		check(REQ("vmx04.2.5.1.1 vmx04.2.5.1.3 vmx04.2.8.1.3 vmx04.3.1.3.13.now") "external interrupt", go(), R_INTERRUPT);
		check(REQ("vmx04.2.6.1.9 vmx04.2.8.2.15") "no information", vmx_read(VMCS_EXIT_EVENT) >> 31, 0);
		check(REQ("vmx04.2.6.1.8") "still pending", in_service(0x200, 0x51) && !in_service(0x100, 0x51), 1);
		drain();
	}
	with_idt(G64, &i_nop);
	on(VMCS_PIN, PIN_EXT);
	on(VMCS_EXIT_CONTROLS, ACK);
	self_ipi(0x51);
	check("acknowledged", go(), R_INTERRUPT);
	check(REQ("vmx04.2.6.1.6 vmx04.2.8.2.4 vmx04.2.8.2.5 vmx04.2.8.2.12 vmx04.2.8.2.14 vmx04.2.8.2.1") "information", vmx_read(VMCS_EXIT_EVENT), EV(0x51, 0));
	check(REQ("vmx04.2.6.1.7") "in service", in_service(0x100, 0x51) && !in_service(0x200, 0x51), 1);
	check("not delivered again", CATCH(asm volatile("sti; nop; nop; cli")), -1);
	/* held by priority: no exit while 51h is in service */
	with_idt(G64, &i_nop);
	on(VMCS_PIN, PIN_EXT);
	self_ipi(0x31);
	check(REQ("vmx04.3.1.4.2") "held by priority", go(), R_VMCALL);
	mmio_write(APIC + 0xb0, 0);
	check("taken after EOI", CATCH(asm volatile("sti; nop; nop; cli")), 0x31);
	mmio_write(APIC + 0xb0, 0);
	/* without the control: through the guest's IDT, by IF */
	with_idt(G64, &i_nop);
	self_ipi(0x51);
	check("not exiting, IF 0", go(), R_VMCALL);
	check(REQ("vmx04.2.5.1.4") "masked", vmx_read(VMCS_GUEST_RIP), CODE + 1);
	drain();
	with_idt(G64, &i_nop);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	self_ipi(0x51);
	check("not exiting, IF 1", go(), R_VMCALL);
	check(REQ("vmx04.2.5.1.2 vmx04.2.3.2.2") "through the guest's IDT", vmx_read(VMCS_GUEST_RIP), STUB(0x51)); /* before the first instruction */
	mmio_write(APIC + 0xb0, 0);
	with_idt(G64, &i_nop);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 2);
	self_ipi(0x51);
	check("MOV-SS blocking at entry", go(), R_VMCALL);
	check(REQ("vmx04.2.3.2.4") "taken behind the first instruction", *(u64 *)vmx_read(VMCS_GUEST_RSP), CODE + 1);
	mmio_write(APIC + 0xb0, 0);
	/* HLT that does not exit, woken into an exit */
	with_idt(G64, &i_self_ipi_52_hlt);
	off(VMCS_PROC, P_HLT);
	on(VMCS_PIN, PIN_EXT);
	on(VMCS_EXIT_CONTROLS, ACK);
	vmx_write(VMCS_GUEST_ACTIVITY, 1);
	vmx_write(VMCS_GUEST_RIP, CODE + 7);
	self_ipi(0x51);
	check(REQ("vmx04.3.1.2.3.3") "a halted guest wakes", go(), R_INTERRUPT);
	check("RIP behind HLT", vmx_read(VMCS_GUEST_RIP), CODE + 7);
	mmio_write(APIC + 0xb0, 0);
	with_idt(G64, &i_cli_sti_popf);
	on(VMCS_PIN, PIN_EXT);
	check("CLI, STI, PUSHF, POPF", go(), R_VMCALL);
	check(REQ("vmx04.3.1.4.1") "IF follows", (g_out[RAX] >> 9 & 1) == 0 && (g_out[RBX] >> 9 & 1) == 1 && (g_out[RCX] >> 9 & 1) == 0, 1);
}

static void nmi(void)
{
	u64 rip;

	with_idt(G64, &i_send_nmi);
	g_in[RBX] = APIC + 0x300;
	on(VMCS_PIN, PIN_NMI);
	check(REQ("vmx04.2.5.1.5 vmx04.3.1.3.14 vmx04.2.8.1.2") "NMI", go(), R_EXCEPTION);
	check(REQ("vmx04.2.8.2.3 vmx04.2.8.2.6 vmx04.2.8.2.12 vmx04.2.8.2.14") "event", vmx_read(VMCS_EXIT_EVENT), EV(2, 2));
	check(REQ("vmx04.2.8.3.5") "no vectoring", vmx_read(VMCS_VECTORING) >> 31, 0);
	/* root operation blocks NMIs until IRET */
	mmio_write(APIC + 0x310, 0);
	check(REQ("vmx04.3.1.3.15.now") "NMI blocked in root operation", CATCH((mmio_write(APIC + 0x300, 0x400), ({ asm volatile("nop; nop"); }))), -1);
	check("until IRET", CATCH(asm volatile("mov %%rsp, %%rax; push $0x10; push %%rax; pushfq; push $8; lea 1f(%%rip), %%rax; push %%rax; iretq; 1: nop; nop" ::: "rax", "memory", "cc")), 2);
	asm volatile("mov %%rsp, %%rax; push $0x10; push %%rax; pushfq; push $8; lea 1f(%%rip), %%rax; push %%rax; iretq; 1: nop" ::: "rax", "memory", "cc");
	with_idt(G64, &i_send_nmi);
	g_in[RBX] = APIC + 0x300;
	on(VMCS_EXCEPTIONS, 4);
	check("NMI, not exiting", go(), R_VMCALL);
	rip = vmx_read(VMCS_GUEST_RIP);
	check(REQ("vmx04.2.5.1.6 vmx04.2.5.3.3") "gate 2", rip, STUB(2)); /* the bitmap's bit 2 is set */
	check("NMIs are blocked", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), 8);
	asm volatile("mov %%rsp, %%rax; push $0x10; push %%rax; pushfq; push $8; lea 1f(%%rip), %%rax; push %%rax; iretq; 1: nop" ::: "rax", "memory", "cc");
}

static void init_signal(void)
{
	with_idt(G64, &i_send_init);
	g_in[RBX] = APIC + 0x300;
	check(REQ("vmx04.3.1.3.28.now") "INIT in a guest", go(), R_INIT);
	check("RIP behind the store", vmx_read(VMCS_GUEST_RIP), CODE + 13);
	check("qualification", vmx_read(VMCS_QUALIFICATION), 0);
}

static void windows(void)
{
	with_idt(G64, &i_nop);
	on(VMCS_PROC, P_WINDOW);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	check(REQ("vmx04.3.1.3.23 vmx04.2.5.2.1 vmx04.2.8.1.4") "window at entry", go(), R_INT_WINDOW);
	check("RIP of the entry", vmx_read(VMCS_GUEST_RIP), CODE);
	check(REQ("vmx04.2.8.2.15") "no event", vmx_read(VMCS_EXIT_EVENT) >> 31, 0);
	with_idt(G64, &i_nop_sti_nop_nop);
	on(VMCS_PROC, P_WINDOW);
	check(REQ("vmx04.3.1.3.22 vmx04.3.1.3.24") "window behind STI", go(), R_INT_WINDOW);
	check("one instruction later", vmx_read(VMCS_GUEST_RIP), CODE + 3);
	with_idt(G64, &i_popf_sets_if);
	on(VMCS_PROC, P_WINDOW);
	check(REQ("vmx04.3.1.3.24") "window behind POPF", go(), R_INT_WINDOW);
	check("at once", vmx_read(VMCS_GUEST_RIP), CODE + 7);
	with_idt(G64, &i_nop_nop);
	on(VMCS_PROC, P_WINDOW);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 2);
	check(REQ("vmx04.3.1.3.22") "window and MOV-SS blocking", go(), R_INT_WINDOW);
	check("one instruction later", vmx_read(VMCS_GUEST_RIP), CODE + 1);
	with_idt(G64, &i_nop);
	on(VMCS_PROC, P_WINDOW);
	check(REQ("vmx04.3.1.3.24") "window, IF stays 0", go(), R_VMCALL);
	with_idt(G64, &i_nop);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	check(REQ("vmx04.2.5.2.1") "no window control", go(), R_VMCALL);
	with_idt(G64, &i_nop);
	on(VMCS_PROC, P_WINDOW);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	vmx_write(VMCS_GUEST_ACTIVITY, 1);
	check(REQ("vmx04.3.1.3.25") "window of a halted guest", go(), R_INT_WINDOW);
	with_idt(G64, &i_nop);
	on(VMCS_PROC, P_WINDOW);
	on(VMCS_PIN, PIN_EXT);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	self_ipi(0x51);
	check(REQ("vmx04.3.1.3.26.now") "window before an external interrupt", go(), R_INT_WINDOW);
	drain();
}

/* "Guest Non-Register State": interruptibility as an exit stores it. */
static void interruptibility(void)
{
	static const struct {
		const char *name;
		const struct snippet *code;
		u64 want;
	} list[] = {
		{REQ("vmx04.2.3.2.10 vmx04.2.3.2.6.now") "STI", &i_sti_cpuid, 1},
		{REQ("vmx04.2.3.2.3 vmx04.2.3.2.6.now") "MOV SS", &i_mov_eax_ss_cpuid, 2},
		{REQ("vmx04.2.3.2.5") "no blocking, IF 0", &i_nop_cpuid, 0},
		{REQ("vmx04.2.3.2.10") "STI and one more", &i_sti_nop_cpuid, 0},
	};

	for (unsigned n = 0; n < COUNT(list); n++) {
		with_idt(G64, list[n].code);
		g_in[RAX] = 0x10;
		vcheck(list[n].name, "exit", go(), R_CPUID);
		vcheck(list[n].name, "interruptibility state", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), list[n].want);
	}
}

/* "Pending Debug Exceptions": delivered behind an entry. */
static void pending_debug(void)
{
	with_idt(G64, &i_nop);
	vmx_write(VMCS_PENDING_DEBUG, 1 << 12 | 1);
	vmx_write(VMCS_EXCEPTIONS, 2);
	check("pending at entry: #DB", go(), R_EXCEPTION);
	check("event", vmx_read(VMCS_EXIT_EVENT), EV(1, 3));
	check("qualification: B0", vmx_read(VMCS_QUALIFICATION) & 15, 1);
	check("before the first instruction", vmx_read(VMCS_GUEST_RIP), CODE);
	with_idt(G64, &i_nop);
	vmx_write(VMCS_GUEST_RFLAGS, 0x102);
	vmx_write(VMCS_PENDING_DEBUG, 1 << 14);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 2);
	vmx_write(VMCS_EXCEPTIONS, 2);
	check("BS behind MOV-SS blocking", go(), R_EXCEPTION);
	check("qualification: BS", vmx_read(VMCS_QUALIFICATION), 1 << 14);
	with_idt(G64, &i_nop);
	vmx_write(VMCS_GUEST_RFLAGS, 0x102);
	vmx_write(VMCS_PENDING_DEBUG, 1 << 14);
	vmx_write(VMCS_GUEST_ACTIVITY, 1);
	vmx_write(VMCS_EXCEPTIONS, 2);
	check("#DB of a halted guest", go(), R_EXCEPTION); /* "Architectural State Before a VM Exit" */
	check("the activity state before the exit", vmx_read(VMCS_GUEST_ACTIVITY), 1);

	/* MOV SS from a watched word holds the breakpoint back; the next instruction exits: the field keeps it. */
	static u16 selector __attribute__((aligned(8))) = 0x10;

	with_idt(G64, &i_mov_rbx_ss_cpuid);
	g_in[RBX] = (u64)&selector;
	asm volatile("mov %0, %%dr1" ::"r"(&selector));
	on(VMCS_ENTRY_CONTROLS, E_DEBUG); /* load debug controls */
	vmx_write(VMCS_GUEST_DR7, 0x400 | 1 << 2 | 3 << 20 | 1 << 22); /* L1, read or write, two bytes */
	check("exit behind MOV SS", go(), R_CPUID);
	check(REQ("vmx04.2.3.1.44.now") "pending: B1, enabled breakpoint", vmx_read(VMCS_PENDING_DEBUG), 1 << 12 | 2);
	/* An exception that exits directly changes nothing: "Architectural State Before a VM Exit". */
	with_idt(G64, &i_mov_rbx_ss_ud2);
	g_in[RBX] = (u64)&selector;
	on(VMCS_ENTRY_CONTROLS, E_DEBUG);
	vmx_write(VMCS_GUEST_DR7, 0x400 | 1 << 2 | 3 << 20 | 1 << 22);
	vmx_write(VMCS_EXCEPTIONS, 1 << 6);
	check("#UD behind MOV SS", go(), R_EXCEPTION);
	check("#UD behind MOV SS: blocking", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), 2);
	check("#UD behind MOV SS: pending", vmx_read(VMCS_PENDING_DEBUG), 1 << 12 | 2);
	/* one that exits while it is delivered has ended the blocking */
	with_idt(G64, &i_mov_rbx_ss_ud2);
	g_in[RBX] = (u64)&selector;
	on(VMCS_ENTRY_CONTROLS, E_DEBUG);
	vmx_write(VMCS_GUEST_DR7, 0x400 | 1 << 2 | 3 << 20 | 1 << 22);
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	vmx_write(VMCS_GUEST_IDTR_LIMIT, 15);
	check("#GP while #UD is delivered", go(), R_EXCEPTION);
	check("#GP while #UD is delivered: no blocking", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), 0);
	check("#GP while #UD is delivered: nothing pending", vmx_read(VMCS_PENDING_DEBUG), 0);
	with_idt(G64, &i_sti_ud2);
	vmx_write(VMCS_EXCEPTIONS, 1 << 6);
	check("#UD behind STI", go(), R_EXCEPTION);
	check("#UD behind STI: blocking", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), 1);
	/* INT n behind MOV SS takes the breakpoint along: #DB before its handler's first instruction */
	with_idt(G64, &i_mov_rbx_ss_int_0x40);
	g_in[RBX] = (u64)&selector;
	on(VMCS_ENTRY_CONTROLS, E_DEBUG);
	vmx_write(VMCS_GUEST_DR7, 0x400 | 1 << 2 | 3 << 20 | 1 << 22);
	vmx_write(VMCS_EXCEPTIONS, 2);
	check("INT n behind MOV SS", go(), R_EXCEPTION);
	check("INT n behind MOV SS: B1", vmx_read(VMCS_QUALIFICATION), 2);
	check("INT n behind MOV SS: in the handler", vmx_read(VMCS_GUEST_RIP), STUB(0x40));
	with_idt(G64, &i_nop); /* "Delivery of Pending Debug Exceptions after VM Entry": the same injected */
	vmx_write(VMCS_GUEST_DR7, 0x400);
	vmx_write(VMCS_PENDING_DEBUG, 1 << 12 | 2);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 2);
	vmx_write(VMCS_ENTRY_EVENT, EV(0x40, 4));
	vmx_write(VMCS_ENTRY_LENGTH, 2);
	vmx_write(VMCS_EXCEPTIONS, 2);
	check("INT n injected under MOV-SS blocking", go(), R_EXCEPTION);
	check("INT n injected: B1", vmx_read(VMCS_QUALIFICATION), 2);
	check("INT n injected: in the handler", vmx_read(VMCS_GUEST_RIP), STUB(0x40));
	with_idt(G64, &i_nop);
	vmx_write(VMCS_PENDING_DEBUG, 2); /* met, but not enabled */
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 2);
	vmx_write(VMCS_ENTRY_EVENT, EV(0x40, 4));
	vmx_write(VMCS_ENTRY_LENGTH, 2);
	vmx_write(VMCS_EXCEPTIONS, 2);
	check("INT n injected under MOV-SS blocking, no breakpoint enabled", go(), R_VMCALL);
	check("INT n injected, no breakpoint enabled: in the handler", vmx_read(VMCS_GUEST_RIP), STUB(0x40));
	with_idt(G64, &i_nop);
	vmx_write(VMCS_PENDING_DEBUG, 1 << 12 | 2);
	vmx_write(VMCS_ENTRY_EVENT, EV(0x40, 4));
	vmx_write(VMCS_ENTRY_LENGTH, 2);
	vmx_write(VMCS_EXCEPTIONS, 2);
	check("INT n injected without blocking: lost", go(), R_VMCALL);
	vmx_write(VMCS_GUEST_DR7, 0x400);
	/* "Resume Flag": a software interrupt pushes 0, a fault 1 */
	with_idt(G64, &i_int_0x40);
	vmx_write(VMCS_GUEST_RFLAGS, 0x10002);
	check("INT n with RF", go(), R_VMCALL);
	check("INT n with RF: pushed", ((u64 *)vmx_read(VMCS_GUEST_RSP))[2], 2);
	with_idt(G64, &i_int3);
	vmx_write(VMCS_GUEST_RFLAGS, 0x10002);
	vmx_write(VMCS_EXCEPTIONS, 8);
	check("INT3 with RF exits", go(), R_EXCEPTION);
	check("INT3 with RF exits: saved", vmx_read(VMCS_GUEST_RFLAGS), 2);
}

/* "NMI Unblocking Due to IRET" */
static void iret_unblocks(void)
{
	with_idt(G64, &i_iretq); /* to a null CS */
	memset(scratch, 0, 64);
	vmx_write(VMCS_GUEST_RSP, (u64)scratch);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 8);
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	check(REQ("vmx04.2.8.2.13.now") "IRET faults", go(), R_EXCEPTION);
	check("bit 12", vmx_read(VMCS_EXIT_EVENT), EV_E(13) | 1 << 12);
	with_idt(G64, &i_iretq);
	vmx_write(VMCS_GUEST_RSP, (u64)scratch);
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	check("IRET faults, nothing was blocked", go(), R_EXCEPTION);
	check("an event all the same", vmx_read(VMCS_EXIT_EVENT) & 0x80000fff, EV_E(13));
}

void test_events(void)
{
	idt_begin();
	mmio_write(APIC + 0xf0, 0x1ff);
	test_exceptions();
	software_interrupts();
	page_faults();
	vectoring();
	injection();
	external();
	nmi();
	init_signal();
	windows();
	interruptibility();
	pending_debug();
	iret_unblocks();
}
