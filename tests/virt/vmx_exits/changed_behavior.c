/*
 * What non-root operation makes of RSM, GETSEC, XRSTORS, MWAIT, the table registers, PAUSE, RDPID and the counter where no
 * plain row of instructions.c says it: "Changes to Instruction Behavior in VMX Non-Root Operation".
 */
#include "exits.h"


/* ---- instructions of other modes ---- */

SNIPPET(x_rsm, "", "rsm");
SNIPPET(x_getsec, "xor %eax, %eax", "getsec");
SNIPPET(x_xrstors, "lea seen_area, %rbx; mov $7, %eax; xor %edx, %edx", "xrstors (%rbx)");
SNIPPET(x_xsaves, "lea seen_area, %rbx; mov $7, %eax; xor %edx, %edx", "xsaves (%rbx)");
u64 seen_area[512] __attribute__((aligned(64)));

static void test_other_modes(void)
{
	base(&x_rsm);
	vmx_write(VMCS_EXCEPTIONS, 1 << 6);
	faults("RSM outside SMM", &x_rsm, 0x80000306);
	base(&x_getsec); /* CR4.SMXE is 0: the #UD comes before the exit */
	vmx_write(VMCS_EXCEPTIONS, 1 << 6);
	faults("GETSEC without SMX", &x_getsec, 0x80000306);
}

/* The bitmap stands against EDX:EAX and IA32_XSS together, and IA32_XSS has no bit that could be set. */
static void test_xrstors(void)
{
	seen_area[65] = 1ull << 63; /* XCOMP_BV: compacted */
	base(&x_xrstors);
	on(VMCS_PROC2, S_XSAVES);
	vmx_write(VMCS_XSS, ~0ull);
	stays("XRSTORS, no bit in IA32_XSS", &x_xrstors);
	base(&x_xsaves);
	on(VMCS_PROC2, S_XSAVES);
	vmx_write(VMCS_XSS, ~0ull);
	stays("XSAVES of user components", &x_xsaves);
	base(&x_xrstors);
	vmx_write(VMCS_EXCEPTIONS, 1 << 6);
	faults("XRSTORS disabled", &x_xrstors, 0x80000306);
}

/* ---- MWAIT with ECX[0], IF = 0: an open window keeps it from waiting ---- */

SNIPPET(x_mwait, "lea scratch, %rax; xor %ecx, %ecx; xor %edx, %edx; monitor; xor %eax, %eax; inc %ecx", "mwait");

static void test_mwait(void)
{
	base(&x_mwait);
	on(VMCS_PROC, P_WINDOW);
	on(VMCS_PIN, PIN_TIMER);
	vmx_write(VMCS_TIMER, 10000);
	stays("MWAIT, interrupt-window exiting", &x_mwait);
	base(&x_mwait);
	on(VMCS_PIN, PIN_TIMER);
	vmx_write(VMCS_TIMER, 10000);
	check("MWAIT, nothing pending: waits for the timer", go(), R_TIMER);
	check("MWAIT, nothing pending: RIP behind it", vmx_read(VMCS_GUEST_RIP), (u64)x_mwait.next);
}

/* ---- table registers, PAUSE loops, identities ---- */

SNIPPET(d_lidt, "", "lidt idt_operand(%rip)");
SNIPPET(d_ltr, "xor %ecx, %ecx", "ltr %cx");
SNIPPET(d_rdpid, "", "rdpid %rdx; mov %rdx, seen");
SNIPPET(d_loop, "mov $1000, %ecx\n1: pause; dec %ecx; jnz 1b", "nop");
SNIPPET(d_pause, "", "pause");
SNIPPET(d_clock, "mov $0x10, %ecx; rdmsr; mov %eax, %esi; mov %edx, %edi",
        "rdtscp; mov %eax, seen; mov %edx, seen + 4; mov %esi, seen + 8; mov %edi, seen + 12");
struct {
	u16 limit;
	u64 base;
} __attribute__((packed)) idt_operand = {0xfff, 0};

static void tables(void)
{
	base(&d_lidt);
	on(VMCS_PROC2, S_TABLES);
	leaves("LIDT", &d_lidt, R_GDTR, (u64)&idt_operand);
	check("LIDT: information", vmx_read(VMCS_INFO) & 0x38000000, 3u << 28 | 1 << 27);
	base(&d_lidt);
	stays("LIDT", &d_lidt);
	base(&d_ltr);
	on(VMCS_PROC2, S_TABLES);
	leaves("LTR", &d_ltr, R_LDTR, 0);
	check("LTR: information", vmx_read(VMCS_INFO) & 0x30000478, 3u << 28 | 1 << 10 | 1 << 3);
	base(&d_ltr); /* a null selector: #GP(0) */
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	check("LTR: not by the control", go(), R_EXCEPTION);
}

/* "PAUSE-loop exiting" is for CPL 0, "PAUSE exiting" for all. */
static void pauses(void)
{
	base(&d_loop);
	to_user();
	vmx_write(VMCS_GUEST_CR3, (u64)user_pml4);
	on(VMCS_PROC2, S_PLE);
	vmx_write(VMCS_PLE_GAP, 10000);
	vmx_write(VMCS_PLE_WINDOW, 2000);
	stays("PAUSE loop at CPL 3", &d_loop);
	base(&d_pause);
	to_user();
	vmx_write(VMCS_GUEST_CR3, (u64)user_pml4);
	on(VMCS_PROC, P_PAUSE);
	leaves("PAUSE at CPL 3", &d_pause, R_PAUSE, 0);
	base(&d_pause); /* both: every one exits, whatever gap and window */
	on(VMCS_PROC, P_PAUSE);
	on(VMCS_PROC2, S_PLE);
	vmx_write(VMCS_PLE_GAP, 10000);
	vmx_write(VMCS_PLE_WINDOW, ~0u);
	leaves("PAUSE, both controls", &d_pause, R_PAUSE, 0);
}

static void identities(void)
{
	wrmsr(MSR_TSC_AUX, 0x1234);
	base(&d_rdpid);
	on(VMCS_PROC2, S_RDTSCP);
	stays("RDPID", &d_rdpid);
	check("RDPID: IA32_TSC_AUX", seen[0], 0x1234);
	base(&d_rdpid);
	vmx_write(VMCS_EXCEPTIONS, 1 << 6);
	check("RDPID, RDTSCP not enabled", go(), R_EXCEPTION);
	check("RDPID, RDTSCP not enabled: #UD", vmx_read(VMCS_EXIT_EVENT), 0x80000306);
	base(&d_clock); /* RDMSR of the counter and RDTSCP have the offset, too */
	on(VMCS_PROC, P_TSC_OFFSET | P_MSR_MAP);
	on(VMCS_PROC2, S_RDTSCP);
	vmx_write(VMCS_MSR_BITMAP, (u64)page_alloc());
	vmx_write(VMCS_TSC_OFFSET, 1ull << 40);

	u64 now = rdtsc();

	stays("TSC offset", &d_clock);
	check("TSC offset: RDTSCP", seen[0] - now - (1ull << 40) < 1000000, 1);
	check("TSC offset: RDMSR", seen[1] - now - (1ull << 40) < 1000000, 1);
	check("TSC offset: in order", seen[1] <= seen[0], 1);
}

void test_changed_behavior(void)
{
	test_other_modes();
	test_xrstors();
	test_mwait();
	tables();
	pauses();
	identities();
}
