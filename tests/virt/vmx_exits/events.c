/* Exceptions, interrupts, NMIs, windows, MTF, the preemption timer, injection. "Other Causes of VM Exits". */
#include "exits.h"

SNIPPET(e_ud2, "", "ud2");
SNIPPET(e_int3, "", "int3");
SNIPPET(e_int1, "", ".byte 0xf1");
SNIPPET(e_div, "xor %ecx, %ecx; xor %edx, %edx; mov $1, %eax", "div %ecx");
SNIPPET(e_gp, "mov $0x78, %eax", "mov %eax, %ds"); /* beyond the limit of the GDT: #GP(0x78) */
SNIPPET(e_pf, "mov $0x8000000000, %rbx", "movl $1, (%rbx)"); /* 512 GiB: not mapped by the guest */
SNIPPET(e_step, "pushf; orl $0x100, (%rsp); popf", "nop");
SNIPPET(e_nops, "nop", "nop; nop; nop");
SNIPPET(e_spin, "mov $100000, %ecx\n1: dec %ecx; jnz 1b", "nop");
SNIPPET(e_sti, "sti", "nop");
SNIPPET(e_sti_spin, "sti; mov $100000, %ecx\n1: dec %ecx; jnz 1b", "cli");
SNIPPET(e_iret, "mov %ss, %rax; mov %rsp, %rbx; push %rax; push %rbx; pushf; mov %cs, %rax; push %rax; push $n_e_iret", "iretq");


static const struct exception {
	const char *name;
	const struct snippet *s;
	unsigned vector;
	u64 info, error, qualification;
	u64 length; /* defined for software exceptions only */
} exceptions[] = {
	{"#UD", &e_ud2, 6, 0x80000306, 0, 0, 0},
	{"#BP", &e_int3, 3, 0x80000603, 0, 0, 1},
	{"INT1", &e_int1, 1, 0x80000501, 0, 0, 1},
	{"#DE", &e_div, 0, 0x80000300, 0, 0, 0},
	{"#GP", &e_gp, 13, 0x80000b0d, 0x78, 0, 0},
	{"#PF", &e_pf, 14, 0x80000b0e, 2, 0x8000000000ull, 0},
};

static void test_exceptions(void)
{
	for (unsigned n = 0; n < COUNT(exceptions); n++) {
		const struct exception *t = &exceptions[n];

		base(t->s);
		vmx_write(VMCS_EXCEPTIONS, 1u << t->vector);
		vcheck(t->name, "exits", go(), R_EXCEPTION);
		vcheck(t->name, "event", vmx_read(VMCS_EXIT_EVENT), t->info);
		if (t->info & 1 << 11)
			vcheck(t->name, "error code", vmx_read(VMCS_EXIT_ERROR), t->error);
		vcheck(t->name, "qualification", vmx_read(VMCS_QUALIFICATION), t->qualification);
		vcheck(t->name, "RIP", vmx_read(VMCS_GUEST_RIP), (u64)t->s->at);
		if (t->length)
			vcheck(t->name, "length", vmx_read(VMCS_EXIT_LENGTH), t->length);
		vcheck(t->name, "no vectoring", vmx_read(VMCS_VECTORING) >> 31, 0);
		base(t->s); /* not intercepted: delivery through an empty IDT ends in a triple fault */
		vmx_write(VMCS_GUEST_IDTR_LIMIT, 0);
		vcheck(t->name, "off: triple fault", go(), R_TRIPLE);
	}
}

static void test_page_fault_filter(void)
{
	static const struct { const char *name; u32 bit, mask, match; bool exits; } row[] = {
		{"bit, match", 1, 0, 0, true},	{"bit, no match", 1, 2, 0, false},
		{"no bit, match", 0, 2, 2, false}, {"no bit, no match", 0, 3, 1, true},
	};

	for (unsigned n = 0; n < 4; n++) {
		base(&e_pf);
		vmx_write(VMCS_EXCEPTIONS, row[n].bit << 14);
		vmx_write(VMCS_PF_MASK, row[n].mask);
		vmx_write(VMCS_PF_MATCH, row[n].match);
		vmx_write(VMCS_GUEST_IDTR_LIMIT, 0);
		vcheck("#PF filter", row[n].name, go(), row[n].exits ? R_EXCEPTION : R_TRIPLE);
	}
}

/* An exception while another is delivered: the first is in the IDT-vectoring information. */
static void test_vectoring(void)
{
	base(&e_ud2);
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	vmx_write(VMCS_GUEST_IDTR_LIMIT, 0);
	check("vectoring: #GP while #UD is delivered", go(), R_EXCEPTION);
	check("vectoring: exiting event", vmx_read(VMCS_EXIT_EVENT), 0x80000b0d);
	check("vectoring: error code", vmx_read(VMCS_EXIT_ERROR), 6 * 8 + 2 + 1);
	check("vectoring: original event", vmx_read(VMCS_VECTORING), 0x80000306);
	base(&e_int3);
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	vmx_write(VMCS_GUEST_IDTR_LIMIT, 0);
	check("vectoring: #GP while INT3 is delivered", go(), R_EXCEPTION);
	check("vectoring: original software exception", vmx_read(VMCS_VECTORING), 0x80000603);
	check("vectoring: its length", vmx_read(VMCS_EXIT_LENGTH), 1);
	base(&e_div);
	vmx_write(VMCS_EXCEPTIONS, 1 << 8);
	vmx_write(VMCS_GUEST_IDTR_LIMIT, 0);
	check("vectoring: double fault exits", go(), R_EXCEPTION);
	check("vectoring: the double fault", vmx_read(VMCS_EXIT_EVENT), 0x80000b08);
	check("vectoring: none for a double fault", vmx_read(VMCS_VECTORING) >> 31, 0);
}

static void test_single_step(void)
{
	base(&e_step);
	vmx_write(VMCS_EXCEPTIONS, 1 << 1);
	check("single step: #DB exits", go(), R_EXCEPTION);
	check("single step: qualification", vmx_read(VMCS_QUALIFICATION), 1 << 14);
	check("single step: RIP behind the instruction", vmx_read(VMCS_GUEST_RIP), (u64)e_step.next);
	check("single step: nothing pending", vmx_read(VMCS_PENDING_DEBUG), 0);
}

/* ---- interrupts by the local APIC to itself ---- */
#define APIC 0xfee00000ull

static void self_ipi(u32 low)
{
	mmio_write(APIC + 0xf0, 0x1ff);
	mmio_write(APIC + 0x300, low | 1 << 18);
}

static u64 irq_seen;
extern char irq_handler[];
asm(".pushsection .text\nirq_handler: incq irq_count; push %rax; mov $0xfee000b0, %eax; movl $0, (%rax); pop %rax; iretq\n"
    ".popsection\n.pushsection .data\n.globl irq_count\nirq_count: .quad 0\n.popsection");
extern u64 irq_count;
static u64 nmi_count;

static bool on_nmi(struct regs *r)
{
	(void)r;
	nmi_count++;
	return true;
}

static void drain(void)
{
	asm volatile("sti; nop; nop; cli" ::: "memory");
}

static void test_external(void)
{
	set_gate(0x55, irq_handler, 14, 0, 0);
	base(&e_spin);
	on(VMCS_PIN, PIN_EXT);
	self_ipi(0x55);
	check("external interrupt: exits, IF or not", go(), R_INTERRUPT);
	check("external interrupt: not acknowledged", vmx_read(VMCS_EXIT_EVENT) >> 31, 0);
	irq_seen = irq_count;
	drain();
	check("external interrupt: still pending in the host", irq_count, irq_seen + 1);
	base(&e_spin);
	on(VMCS_PIN, PIN_EXT);
	on(VMCS_EXIT_CONTROLS, X_ACK);
	self_ipi(0x55);
	check("external interrupt, acknowledged: exits", go(), R_INTERRUPT);
	check("external interrupt, acknowledged: event", vmx_read(VMCS_EXIT_EVENT), 0x80000055);
	mmio_write(APIC + 0xb0, 0);
	irq_seen = irq_count;
	base(&e_sti_spin);
	self_ipi(0x55);
	stays("external interrupt, not exiting", &e_sti_spin);
	check("external interrupt, not exiting: the guest's handler ran", irq_count, irq_seen + 1);
}

static void test_windows(void)
{
	base(&e_sti);
	on(VMCS_PROC, P_WINDOW);
	check("interrupt window: exits", go(), R_INT_WINDOW);
	check("interrupt window: behind the shadow of STI", vmx_read(VMCS_GUEST_RIP), (u64)e_sti.next);
	base(&e_nops);
	on(VMCS_PROC, P_WINDOW);
	stays("interrupt window, IF = 0", &e_nops);
	base(&e_nops);
	on(VMCS_PIN, PIN_NMI | PIN_VNMI);
	on(VMCS_PROC, P_NMI_WINDOW);
	check("NMI window: open at once", go(), R_NMI_WINDOW);
	check("NMI window: before the first instruction", vmx_read(VMCS_GUEST_RIP), (u64)e_nops.entry);
	base(&e_iret);
	on(VMCS_PIN, PIN_NMI | PIN_VNMI);
	on(VMCS_PROC, P_NMI_WINDOW);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 8);
	check("NMI window: opened by IRET", go(), R_NMI_WINDOW);
	check("NMI window: behind the IRET", vmx_read(VMCS_GUEST_RIP), (u64)e_iret.next);
	base(&e_nops);
	on(VMCS_PIN, PIN_NMI | PIN_VNMI);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 8);
	stays("virtual NMI blocking", &e_nops);
	check("virtual NMI blocking: saved", vmx_read(VMCS_GUEST_INTERRUPTIBILITY), 8);
}

/* An NMI to this processor's own number, by the ICR without shorthand. */
static void self_nmi(void)
{
	mmio_write(APIC + 0xf0, 0x1ff);
	mmio_write(APIC + 0x310, mmio_read(APIC + 0x20));
	mmio_write(APIC + 0x300, 0x4400);
}

/* Sent by the guest, so that it is pending there. */
SNIPPET(e_nmi, "mov $0xfee00000, %ebx; mov 0x20(%rbx), %eax; mov %eax, 0x310(%rbx); movl $0x4400, 0x300(%rbx)", "nop");

static void test_nmi(void)
{
	base(&e_nmi);
	on(VMCS_PIN, PIN_NMI);
	check("NMI: exits", go(), R_EXCEPTION);
	check("NMI: event", vmx_read(VMCS_EXIT_EVENT), 0x80000202);
	check("NMI: the guest was not blocked", vmx_read(VMCS_GUEST_INTERRUPTIBILITY) & 8, 0);
	self_nmi(); /* blocked in the host from that exit on: pending until an IRET */
	asm volatile("nop");
	check("NMI: blocked in the host", nmi_count, 0);
	asm volatile("mov %%ss, %%rax; mov %%rsp, %%rbx; push %%rax; push %%rbx; pushf; mov %%cs, %%rax; push %%rax; push $1f; iretq\n"
		     "1: nop" ::: "rax", "rbx", "memory");
	check("NMI: IRET lets it through", nmi_count, 1);
	base(&e_nmi);
	on(VMCS_PIN, PIN_NMI | PIN_VNMI);
	vmx_write(VMCS_GUEST_INTERRUPTIBILITY, 8);
	check("NMI: virtual blocking does not hold it", go(), R_EXCEPTION);
	asm volatile("mov %%ss, %%rax; mov %%rsp, %%rbx; push %%rax; push %%rbx; pushf; mov %%cs, %%rax; push %%rax; push $1f; iretq\n"
		     "1: nop" ::: "rax", "rbx", "memory");
	base(&e_nmi);
	stays("NMI, not exiting", &e_nmi);
	check("NMI, not exiting: the guest's handler ran", nmi_count, 2);
}

static void test_mtf(void)
{
	base(&e_nops);
	on(VMCS_PROC, P_MTF);
	check("MTF: exits", go(), R_MTF);
	check("MTF: after one instruction", vmx_read(VMCS_GUEST_RIP), (u64)e_nops.entry + 1);
	check("MTF: again", again(), R_MTF);
	check("MTF: after the next", vmx_read(VMCS_GUEST_RIP), (u64)e_nops.entry + 2);
	off(VMCS_PROC, P_MTF);
	check("MTF: off", again(), R_VMCALL);
	base(&e_nops);
	vmx_write(VMCS_ENTRY_EVENT, 0x80000700);
	check("MTF: injected", go(), R_MTF);
	check("MTF: injected: before the first instruction", vmx_read(VMCS_GUEST_RIP), (u64)e_nops.entry);
}

static void test_timer(void)
{
	base(&e_spin);
	on(VMCS_PIN, PIN_TIMER);
	vmx_write(VMCS_TIMER, 0);
	check("preemption timer 0: exits", go(), R_TIMER);
	check("preemption timer 0: before the first instruction", vmx_read(VMCS_GUEST_RIP), (u64)e_spin.entry);
	base(&e_spin);
	on(VMCS_PIN, PIN_TIMER);
	on(VMCS_EXIT_CONTROLS, X_SAVE_TIMER);
	vmx_write(VMCS_TIMER, 500);
	check("preemption timer: exits", go(), R_TIMER);
	check("preemption timer: saved as 0", vmx_read(VMCS_TIMER), 0);
	base(&e_nops);
	on(VMCS_PIN, PIN_TIMER);
	on(VMCS_EXIT_CONTROLS, X_SAVE_TIMER);
	vmx_write(VMCS_TIMER, 100000);
	stays("preemption timer, long", &e_nops);
	check("preemption timer, long: what is left is saved", vmx_read(VMCS_TIMER) - 99000 < 1001, 1);
	check("preemption timer: four instructions move it", vmx_read(VMCS_TIMER) < 100000, 1);
	base(&e_nops);
	on(VMCS_PIN, PIN_TIMER);
	vmx_write(VMCS_TIMER, 100000);
	stays("preemption timer, not saved", &e_nops);
	check("preemption timer, not saved: the field keeps its value", vmx_read(VMCS_TIMER), 100000);
}

static void test_injection(void)
{
	set_gate(0x55, irq_handler, 14, 0, 0);
	base(&e_nops);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	vmx_write(VMCS_ENTRY_EVENT, 0x80000055);
	irq_seen = irq_count;
	stays("injected interrupt", &e_nops);
	check("injected interrupt: delivered", irq_count, irq_seen + 1);
	check("injected interrupt: the valid bit is clear", vmx_read(VMCS_ENTRY_EVENT) >> 31, 0);
	base(&e_nops);
	vmx_write(VMCS_EXCEPTIONS, 1 << 6 | 1 << 13);
	vmx_write(VMCS_ENTRY_EVENT, 0x80000306);
	vmx_write(VMCS_GUEST_IDTR_LIMIT, 0);
	check("injected #UD: does not exit itself", go(), R_EXCEPTION);
	check("injected #UD: the #GP of its delivery does", vmx_read(VMCS_EXIT_EVENT), 0x80000b0d);
	check("injected #UD: original event", vmx_read(VMCS_VECTORING), 0x80000306);
	base(&e_nops);
	vmx_write(VMCS_PENDING_DEBUG, 1 << 14);
	vmx_write(VMCS_EXCEPTIONS, 1 << 1);
	check("pending debug: exits before the first instruction", go(), R_EXCEPTION);
	check("pending debug: qualification", vmx_read(VMCS_QUALIFICATION), 1 << 14);
	check("pending debug: RIP", vmx_read(VMCS_GUEST_RIP), (u64)e_nops.entry);
}

void test_events(void)
{
	test_exceptions();
	test_page_fault_filter();
	test_vectoring();
	test_single_step();
	test_external();
	test_windows();
	on_exception(2, on_nmi);
	test_nmi();
	test_mtf();
	test_timer();
	test_injection();
}
