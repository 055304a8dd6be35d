/* "Other Causes of VM Exits": interrupts, NMIs and the pending virtual interrupt; INIT and SIPI, which are none. */
#include "first.h"

/* clang-format off */
SNIPPET(i_nop, "", "nop");
SNIPPET(i_nop_nop, "", "nop; nop");
SNIPPET(i_hlt, "", "hlt");
SNIPPET(i_popf_sets_if, "", "pushf; orb $2, 0x1(%rsp); popf; nop");
SNIPPET(i_send_nmi, "", "movl $0, 0x10(%rbx); movl $0x400, (%rbx); nop; nop; nop"); /* the ICR at RBX */
SNIPPET(i_send_init, "", "movl $0, 0x10(%rbx); movl $0x4500, (%rbx); nop; nop; nop");
SNIPPET(i_out_0xb2, "", "out %al, $0xb2");
SNIPPET(i_send_sipi, "", "movl $0, 0x10(%rbx); movl $0x4610, (%rbx); nop; nop; nop");
/* clang-format on */

#define IRET_HERE                                                                                                      \
	"mov %%rsp, %%rax; push $0x10; push %%rax; pushfq; push $8; lea 1f(%%rip), %%rax; push %%rax; iretq; 1: nop; nop"

static void self_ipi(u32 vector)
{
	mmio_write(APIC + 0x300, 0x40000 | vector);
}

/* The timer of the local APIC, a while from now. */
static void soon(u32 vector)
{
	mmio_write(APIC + 0x3e0, 0xb);
	mmio_write(APIC + 0x320, vector);
	mmio_write(APIC + 0x380, 20000);
}

/* The host's IDT has a stub that longjmps. */
static int take(void)
{
	int vector = CATCH(asm volatile("sti; nop; nop; cli"));

	mmio_write(APIC + 0xb0, 0);
	return vector;
}

static void external(void)
{
	for (int flag = 0; flag < 2; flag++) {
		with_idt(G64, &i_nop);
		on(VMCS_PIN, PIN_EXT);
		vmx_write(VMCS_GUEST_RFLAGS, flag ? 0x202 : 2);
		self_ipi(0x51);
		check(REQ("vmx04.3.1.3.13") "external interrupt", go(), R_INTERRUPT);
		check(REQ("vmx04.2.8.1.58") "qualification", vmx_read(VMCS_QUALIFICATION), 0);
		check("taken by the host", take(), 0x51);
	}
	/* a halted guest */
	for (u32 exiting = 0; exiting < 2; exiting++) {
		with_idt(G64, &i_hlt);
		off(VMCS_PROC, P_HLT);
		on(VMCS_PIN, exiting ? PIN_EXT : 0);
		vmx_write(VMCS_GUEST_RFLAGS, 0x202);
		soon(0x52);
		check(REQ("vmx04.3.1.3.13") "while it is halted by HLT", go(), exiting ? R_INTERRUPT : R_VMCALL);
		if (exiting) {
			check("RIP behind HLT", vmx_read(VMCS_GUEST_RIP), CODE + 1);
			check("taken by the host", take(), 0x52);
		} else {
			check(REQ("vmx04.3.1.3.13") "through the guest's IDT", vmx_read(VMCS_GUEST_RIP), STUB(0x52));
			mmio_write(APIC + 0xb0, 0);
		}
	}
}

/* "Virtual-interrupt pending": below NMIs and traps, above external interrupts. */
static void window(void)
{
	with_idt(G64, &i_nop);
	on(VMCS_PROC, P_WINDOW);
	on(VMCS_PIN, PIN_EXT);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	self_ipi(0x51);
	check(REQ("vmx04.3.1.3.26") "before an external interrupt", go(), R_INT_WINDOW);
	check(REQ("vmx04.2.8.1.58") "qualification", vmx_read(VMCS_QUALIFICATION), 0);
	check("taken by the host", take(), 0x51);
	/* the trap behind POPF, which opens the window */
	with_idt(G64, &i_popf_sets_if);
	on(VMCS_PROC, P_WINDOW);
	on(VMCS_EXCEPTIONS, 2);
	vmx_write(VMCS_GUEST_RFLAGS, 0x102);
	check("PUSHF", go(), R_EXCEPTION);
	check("OR", again(), R_EXCEPTION);
	check(REQ("vmx04.3.1.3.26") "behind the trap of POPF", again(), R_EXCEPTION);
	check("RIP", vmx_read(VMCS_GUEST_RIP), CODE + 7);
	check(REQ("vmx04.3.1.3.26") "the window is next", again(), R_INT_WINDOW);
}

static void nmi(void)
{
	with_idt(G64, &i_send_nmi);
	g_in[RBX] = APIC + 0x300;
	on(VMCS_PIN, PIN_NMI);
	check("NMI", go(), R_EXCEPTION);
	check("event", vmx_read(VMCS_EXIT_EVENT), EV(2, 2));
	check(REQ("vmx04.2.8.1.58") "qualification", vmx_read(VMCS_QUALIFICATION), 0);
	mmio_write(APIC + 0x310, 0);
	check(REQ("vmx04.3.1.3.15") "blocked in the host", CATCH((mmio_write(APIC + 0x300, 0x400), ({ asm volatile("nop; nop"); }))), -1);
	/* the one that waits comes before a window */
	with_idt(G64, &i_nop);
	on(VMCS_PIN, PIN_NMI);
	on(VMCS_PROC, P_WINDOW);
	vmx_write(VMCS_GUEST_RFLAGS, 0x202);
	check(REQ("vmx04.3.1.3.26") "behind an NMI", go(), R_EXCEPTION);
	check("event", vmx_read(VMCS_EXIT_EVENT), EV(2, 2));
	mmio_write(APIC + 0x300, 0x400);
	check(REQ("vmx04.3.1.3.15") "until IRET", CATCH(asm volatile(IRET_HERE ::: "rax", "memory", "cc")), 2);
	asm volatile(IRET_HERE ::: "rax", "memory", "cc");
}

/* An SMI goes to its handler at 38000h, which leaves a mark and returns into the guest. */
static void smi(void)
{
	static const u8 handler[] = {0x2e, 0xc6, 0x06, 0x00, 0x81, 0x5a, 0x0f, 0xaa}; /* movb $0x5a, %cs:0x8100; rsm */
	volatile u8 *mark = (u8 *)0x38100;
	u8 *code = (u8 *)0x38000;

	asm("" : "+r"(mark), "+r"(code));
	memcpy(code, handler, sizeof(handler));
	*mark = 0;
	outl(0x630, inl(0x630) | 1 | 2 | 1 << 5); /* SMI_EN: GBL_SMI_EN, EOS, APMC_EN */
	with_idt(G64, &i_out_0xb2);
	check(REQ("vmx04.3.1.3.30 vmx04.2.8.1.22") "SMI in a guest", go(), R_VMCALL);
	check(REQ("vmx04.3.1.3.30") "handled in SMM", *mark, 0x5a);
	check("RIP behind the OUT", vmx_read(VMCS_GUEST_RIP), CODE + 2);
}

/* INIT waits for VMXOFF: the last thing to be tested here. */
static void no_causes(void)
{
	with_idt(G64, &i_send_sipi);
	g_in[RBX] = APIC + 0x300;
	check(REQ("vmx04.3.1.3.29 vmx04.2.8.1.22") "SIPI in a guest", go(), R_VMCALL);
	check("activity state: no such field", vmx_write(VMCS_GUEST_ACTIVITY, 3), VMX_FAIL_VALID);
	with_idt(G64, &i_send_init);
	g_in[RBX] = APIC + 0x300;
	check(REQ("vmx04.3.1.3.28 vmx04.2.8.1.22") "INIT in a guest", go(), R_VMCALL);
	check("RIP behind it", vmx_read(VMCS_GUEST_RIP), CODE + 13 + 3);
	with_idt(G64, &i_nop_nop);
	check(REQ("vmx04.3.1.3.28") "and it stays pending", go(), R_VMCALL);
}

void test_interrupts(void)
{
	external();
	window();
	nmi();
	smi();
	no_causes();
}
