/* INIT and SIPI, blocked and taken; VMX operation on two processors. "Other Causes of VM Exits". */
#include "exits.h"

#define APIC 0xfee00000ull
enum { ICR_INIT = 0x4500, ICR_SIPI = 0x4600 };

/* ---- INIT ---- */

/* The guest sends it to its own processor. */
SNIPPET(x_init, "mov $0xfee00000, %ebx; mov 0x20(%rbx), %eax; mov %eax, 0x310(%rbx); movl $0x4500, 0x300(%rbx)", "nop");
SNIPPET(x_nop, "nop", "nop");

static void send(u32 id, u32 low)
{
	mmio_write(APIC + 0xf0, 0x1ff);
	mmio_write(APIC + 0x310, id << 24);
	mmio_write(APIC + 0x300, low);
}

static void test_init(void)
{
	base(&x_init);
	check("INIT: exits", go(), R_INIT);
	check("INIT: RIP", vmx_read(VMCS_GUEST_RIP), (u64)x_init.at);
	check("INIT: qualification", vmx_read(VMCS_QUALIFICATION), 0);
	check("INIT: no event", vmx_read(VMCS_EXIT_EVENT) >> 31, 0);
	check("INIT: consumed by the exit", again(), R_VMCALL);
	send(mmio_read(APIC + 0x20) >> 24, ICR_INIT); /* blocked in VMX root operation, and kept */
	base(&x_nop);
	check("INIT in root operation: exits at once", go(), R_INIT);
	check("INIT in root operation: before the first instruction", vmx_read(VMCS_GUEST_RIP), (u64)x_nop.entry);
	check("INIT in root operation: consumed", again(), R_VMCALL);
	base(&x_nop); /* from HLT, which the exit records */
	vmx_write(VMCS_GUEST_ACTIVITY, 1);
	send(mmio_read(APIC + 0x20) >> 24, ICR_INIT);
	check("INIT in HLT: exits", go(), R_INIT);
	check("INIT in HLT: activity state", vmx_read(VMCS_GUEST_ACTIVITY), 1);
	base(&x_nop); /* a guest in shutdown */
	vmx_write(VMCS_GUEST_ACTIVITY, 2);
	send(mmio_read(APIC + 0x20) >> 24, ICR_INIT);
	check("INIT in shutdown: exits", go(), R_INIT);
	check("INIT in shutdown: activity state", vmx_read(VMCS_GUEST_ACTIVITY), 2);
}

/* ---- SIPI: another processor sends it over and over ---- */

/* At 8000h in real mode; to protected mode, then SIPIs with vector 9Ah to the processor in ap_target while ap_go. */
asm(".pushsection .text\n.code16\nap_start: cli; xor %ax, %ax; mov %ax, %ds\n"
    "lgdtl 0x8000 + ap_gdtr - ap_start\n"
    "mov %cr0, %eax; or $1, %al; mov %eax, %cr0\n"
    "ljmpl $8, $(0x8000 + ap_flat - ap_start)\n"
    ".code32\nap_flat: mov $16, %eax; mov %eax, %ds; movl $1, ap_alive\n"
    "movl $0x1ff, 0xfee000f0\n"
    "1: pause; mov $ap_enter_long, %eax; cmpl $0, ap_long; je 3f; jmp *%eax; 3: cmpl $0, ap_go; je 1b\n"
    "mov ap_target, %eax; mov %eax, 0xfee00310; movl $0x469a, 0xfee00300\n"
    "mov $200, %ecx\n2: pause; loop 2b; jmp 1b\n"
    ".align 8\nap_gdt: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff\n"
    "ap_gdtr: .word 23; .long 0x8000 + ap_gdt - ap_start\n"
    "ap_end:\n.code64\n.popsection");
extern char ap_start[], ap_end[];
volatile u32 ap_alive, ap_go, ap_target, ap_long;

/* The same processor in 64-bit mode: it calls ap_main. */
asm(".pushsection .text\n.code32\nap_enter_long: mov %cr4, %eax; or $0x2020, %eax; mov %eax, %cr4\n"
    "mov $pml4, %eax; mov %eax, %cr3; mov $0xc0000080, %ecx; rdmsr; or $0x900, %eax; wrmsr\n"
    "mov %cr0, %eax; and $0x9fffffff, %eax; or $0x80000021, %eax; mov %eax, %cr0\n"
    "lgdtl gdt_pointer; ljmpl $8, $ap_64\n"
    ".code64\nap_64: mov $0x10, %eax; mov %eax, %ss; mov %eax, %ds; mov %eax, %es\n"
    "mov $ap_stack + 8192, %rsp; call ap_main\n1: pause; jmp 1b\n.popsection");
u8 ap_stack[8192] __attribute__((aligned(16)));

static void spin(u32 n)
{
	while (n--)
		asm volatile("pause");
}

static bool start_second_processor(void)
{
	memcpy((void *)0x8000, ap_start, (size_t)(ap_end - ap_start));
	send(1, ICR_INIT);
	spin(1000);
	send(1, ICR_SIPI | 8);
	for (unsigned n = 0; n < 1000 && !ap_alive; n++)
		spin(100);
	return ap_alive;
}

/* ---- VMX operation on both processors ---- */

static volatile u32 ap_step, ap_done;
static volatile u64 ap_region, ap_vmcs, ap_count, ap_seen[8];
static u64 moved[0x4000];

static u64 pointer(void)
{
	u64 pa = 0;

	asm volatile("vmptrst %0" : "=m"(pa)::"cc");
	return pa;
}

static unsigned fields(bool compare)
{
	unsigned differ = 0;

	for (u32 e = 0; e < 0x8000; e += 2) {
		u64 v = e == VMCS_ERROR ? 0 : vmx_read(e);

		if (compare)
			differ += v != moved[e / 2];
		else
			moved[e / 2] = v;
	}
	return differ;
}

void ap_main(void);
void ap_main(void)
{
	if (!(rdmsr(MSR_FEATURE_CONTROL) & 1))
		wrmsr(MSR_FEATURE_CONTROL, 5);
	asm volatile("vmxon %0" ::"m"(ap_region) : "cc", "memory");
	ap_seen[0] = pointer();
	asm volatile("vmptrld %0" ::"m"(ap_vmcs) : "cc", "memory");
	ap_seen[1] = pointer();
	ap_seen[2] = fields(true);
	ap_seen[3] = (u64)vmx_run(true);
	ap_seen[4] = vmx_read(VMCS_ERROR);
	ap_seen[5] = (u64)vmx_run(false);
	ap_seen[6] = vmx_read(VMCS_EXIT_REASON);
	ap_done = 1;
	while (ap_step < 1)
		asm volatile("pause");
	ap_seen[7] = pointer();
	ap_done = 2;
	while (ap_step < 2) {
		ap_count++;
		asm volatile("pause");
	}
	asm volatile("vmxoff" ::: "cc");
	for (;;) {
		ap_count++;
		asm volatile("pause");
	}
}

static void ap_until(u32 n)
{
	for (unsigned k = 0; k < 5000 && ap_done < n; k++)
		spin(100);
	check("the second processor got there", ap_done, n);
}

static void test_init_blocked(void)
{
	u64 before = ap_count;

	send(1, ICR_INIT);
	spin(1000);
	check(REQ("vmx04.1.8.13.now") "INIT to root operation: blocked", ap_count != before, 1); /* in a guest: test_init */
	ap_alive = ap_long = 0;
	ap_step = 2; /* it leaves VMX operation */
	spin(2000);
	before = ap_count;
	spin(1000);
	check(REQ("vmx04.1.8.13.now vmx04.VMXOFF.8") "INIT after VMXOFF: recognised", ap_count, before); /* A20M: life.c */
	check("INIT after VMXOFF: waits", ap_alive, 0);
	send(1, ICR_SIPI | 8);
	for (unsigned n = 0; n < 1000 && !ap_alive; n++)
		spin(100);
	check("INIT after VMXOFF: starts up again", ap_alive, 1);
}

static void test_second(void)
{
	u32 *region = page_alloc();
	u64 first, own;

	region[0] = (u32)rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
	base(&x_nop);
	first = pointer();
	check("VMCS to be moved: launched", go(), R_VMCALL);
	vmx_write(VMCS_GUEST_RIP, (u64)x_nop.entry);
	vmx_write(VMCS_TSC_OFFSET, 0x123456789abcdef);
	fields(false);
	asm volatile("vmclear %0" ::"m"(first) : "cc", "memory");
	base(&x_nop);
	own = pointer();
	ap_region = (u64)region;
	ap_vmcs = first;
	ap_long = 1;
	ap_until(1);
	check(REQ("vmx04.2.9.3.1") "VMXON of a second processor: its own region", ap_seen[0], ~0ull);
	check("VMPTRLD of a moved VMCS", ap_seen[1], first);
	check(REQ("vmx04.1.5.2") "VMPTRLD of a second processor: the first keeps its pointer", pointer(), own);
	check(REQ("vmx04.2.9.1.1") "moved VMCS: all fields", ap_seen[2], 0);
	check(REQ("vmx04.2.10.4") "moved VMCS: VMRESUME fails", ap_seen[3], VMX_FAIL_VALID);
	check("moved VMCS: error", ap_seen[4], 5);
	check(REQ("vmx04.2.10.4") "moved VMCS: VMLAUNCH", ap_seen[5], VMX_OK);
	check("moved VMCS: the guest ran", ap_seen[6], R_VMCALL);
	base(&x_nop);
	ap_step = 1;
	ap_until(2);
	check(REQ("vmx04.1.5.2") "VMPTRLD here: the second keeps its pointer", ap_seen[7], first);
	stays("VMX operation on both", &x_nop);
	test_init_blocked();
}

static void test_sipi(void)
{
	if (!start_second_processor()) {
		print("one processor only: nobody to send a SIPI\n");
		return;
	}
	ap_target = mmio_read(APIC + 0x20);
	base(&x_nop);
	vmx_write(VMCS_GUEST_ACTIVITY, 3);
	ap_go = 1;
	check(REQ("vmx04.3.1.3.29.now") "SIPI: exits", go(), R_SIPI);
	/* and the other parts of this program; here never: 5, 6, 11, 17, 41, 64 */
	ap_go = 0;
	check(REQ("vmx04.2.8.1.22.now") "SIPI: the vector", vmx_read(VMCS_QUALIFICATION), 0x9a);
	check("SIPI: activity state", vmx_read(VMCS_GUEST_ACTIVITY), 3);
	check("SIPI: RIP", vmx_read(VMCS_GUEST_RIP), (u64)x_nop.entry);
	base(&x_nop); /* INIT is blocked while waiting for SIPI */
	vmx_write(VMCS_GUEST_ACTIVITY, 3);
	send(ap_target >> 24, ICR_INIT);
	ap_go = 1;
	check("INIT while waiting for SIPI: blocked", go(), R_SIPI);
	ap_go = 0;
	vmx_write(VMCS_GUEST_ACTIVITY, 0);
	check("INIT while waiting for SIPI: kept", again(), R_INIT);
	ap_go = 1; /* an active guest drops SIPIs */
	base(&x_nop);
	stays("SIPI to an active guest", &x_nop);
	ap_go = 0;
	spin(1000);
	test_second();
}

void test_init_sipi(void)
{
	test_init();
	test_sipi();
}
