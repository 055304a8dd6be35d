/*
 * INIT and SIPI, instructions that only other modes have, XRSTORS, MWAIT that does not wait, general detect, injected
 * debug exceptions, and what comes first, the fault or the exit. "Other Causes of VM Exits", "Relative Priority of
 * Faults and VM Exits", "Changes to Instruction Behavior in VMX Non-Root Operation".
 */
#include "exits.h"

#define APIC 0xfee00000ull
enum { ICR_INIT = 0x4500, ICR_SIPI = 0x4600, INT_WINDOW = 1 << 2, TIMER = 1 << 6, SECONDARY_XSAVES = 1 << 20 };

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
	if (!(rdmsr(0x3a) & 1))
		wrmsr(0x3a, 5);
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

	region[0] = (u32)rdmsr(0x480) & 0x7fffffff;
	base(&x_nop);
	first = pointer();
	check("VMCS to be moved: launched", go(), R_VMCALL);
	vmx_write(VMCS_GUEST_RIP, (u64)x_nop.entry);
	vmx_write(F_TSC_OFFSET, 0x123456789abcdef);
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

/* ---- instructions of other modes ---- */

SNIPPET(x_rsm, "", "rsm");
SNIPPET(x_getsec, "xor %eax, %eax", ".byte 0x0f, 0x37");
SNIPPET(x_xrstors, "lea seen_area, %rbx; mov $7, %eax; xor %edx, %edx", "xrstors (%rbx)");
SNIPPET(x_xsaves, "lea seen_area, %rbx; mov $7, %eax; xor %edx, %edx", "xsaves (%rbx)");
u64 seen_area[512] __attribute__((aligned(64)));

static void faults(const char *name, const struct snippet *s, u32 event)
{
	vcheck(name, "faults", go(), R_EXCEPTION);
	vcheck(name, "event", vmx_read(VMCS_EXIT_EVENT), event);
	vcheck(name, "RIP", vmx_read(VMCS_GUEST_RIP), (u64)s->at);
}

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
	on(VMCS_PROC2, SECONDARY_XSAVES);
	vmx_write(F_XSS, ~0ull);
	stays("XRSTORS, no bit in IA32_XSS", &x_xrstors);
	base(&x_xsaves);
	on(VMCS_PROC2, SECONDARY_XSAVES);
	vmx_write(F_XSS, ~0ull);
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
	on(VMCS_PROC, INT_WINDOW);
	on(VMCS_PIN, TIMER);
	vmx_write(F_TIMER, 10000);
	stays("MWAIT, interrupt-window exiting", &x_mwait);
	base(&x_mwait);
	on(VMCS_PIN, TIMER);
	vmx_write(F_TIMER, 10000);
	check("MWAIT, nothing pending: waits for the timer", go(), R_TIMER);
	check("MWAIT, nothing pending: RIP behind it", vmx_read(VMCS_GUEST_RIP), (u64)x_mwait.next);
}

/* ---- debug exceptions ---- */

SNIPPET(x_detect, "nop", "mov %dr0, %rax");
SNIPPET(x_dr7, "nop", "mov %dr7, %rax; mov %rax, seen; mov %dr6, %rax; mov %rax, seen + 8");
extern char db_handler[];
asm(".pushsection .text\ndb_handler: incl db_count; iretq\n.popsection\n"
    ".pushsection .data\n.globl db_count\ndb_count: .long 0\n.popsection");
extern u32 db_count;

static void test_debug(void)
{
	struct idt_gate kept = idt[1];

	base(&x_detect);
	on(VMCS_EXIT_CONTROLS, 1 << 2);
	on(VMCS_ENTRY_CONTROLS, 1 << 2);
	vmx_write(VMCS_GUEST_DR7, 0x2400); /* GD */
	vmx_write(VMCS_EXCEPTIONS, 1 << 1);
	faults("general detect", &x_detect, 0x80000301);
	check("general detect: qualification", vmx_read(VMCS_QUALIFICATION), 1 << 13);
	check("general detect: RF as its delivery would push it", vmx_read(VMCS_GUEST_RFLAGS) >> 16 & 1, 1);
	check("general detect: DR7.GD stays", vmx_read(VMCS_GUEST_DR7), 0x2400);
	set_gate(1, db_handler, 14, 0, 0);
	base(&x_nop); /* an injected #DB leaves DR7 and IA32_DEBUGCTL alone */
	on(VMCS_EXIT_CONTROLS, 1 << 2);
	on(VMCS_ENTRY_CONTROLS, 1 << 2);
	vmx_write(VMCS_GUEST_DR7, 0x2400);
	vmx_write(VMCS_GUEST_DEBUGCTL, 1);
	vmx_write(VMCS_ENTRY_EVENT, 0x80000301);
	stays("injected #DB", &x_nop);
	check("injected #DB: delivered", db_count, 1);
	check("injected #DB: DR7.GD stays", vmx_read(VMCS_GUEST_DR7), 0x2400);
	check("injected #DB: IA32_DEBUGCTL.LBR stays", vmx_read(VMCS_GUEST_DEBUGCTL), 1);
	base(&x_dr7); /* an ordinary one clears neither more nor less */
	vmx_write(VMCS_ENTRY_EVENT, 0x80000301);
	asm volatile("mov %0, %%dr6" ::"r"(0xffff0ff0ull));
	stays("injected #DB, DR6", &x_dr7);
	check("injected #DB: DR6 as it was", seen[1], 0xffff0ff0);
	idt[1] = kept;
}

/* ---- fault or exit? At CPL 3 and with operands that fault ---- */

SNIPPET(p_hlt, "", "hlt");
SNIPPET(p_invd, "", "invd");
SNIPPET(p_wbinvd, "", "wbinvd");
SNIPPET(p_cpuid, "", "cpuid");
SNIPPET(p_cr3, "", "mov %cr3, %rax");
SNIPPET(p_dr0, "", "mov %dr0, %rax");
SNIPPET(p_rdmsr, "mov $0x10, %ecx", "rdmsr");
SNIPPET(p_invlpg, "", "invlpg (%rbx)");
SNIPPET(p_rdtsc, "", "rdtsc");
SNIPPET(p_rdpmc, "xor %ecx, %ecx", "rdpmc");
SNIPPET(p_vmcall, "", "vmcall");
SNIPPET(p_vmread, "", "vmread %rax, %rbx");
SNIPPET(p_vmxoff, "", "vmxoff");
SNIPPET(p_xsetbv, "", "xsetbv");
SNIPPET(p_lgdt, "", "lgdt (%rbx)");
SNIPPET(p_in, "", "in $0x80, %al");
SNIPPET(p_monitor, "", "monitor");
SNIPPET(p_invpcid, "", "invpcid (%rbx), %rax");
SNIPPET(p_xrstors, "", "xrstors (%rbx)");
SNIPPET(p_lock, "", ".byte 0xf0, 0x0f, 0xa2"); /* LOCK CPUID */
SNIPPET(p_sgdt, "mov $0x8000000000, %rbx", "sgdt (%rbx)");
SNIPPET(p_vmptrld, "mov $0x8000000000, %rbx", "vmptrld (%rbx)");
SNIPPET(p_vmclear, "mov $0x800000000000, %rbx", "vmclear (%rbx)");
SNIPPET(p_vmfunc, "xor %eax, %eax; xor %ecx, %ecx", ".byte 0x0f, 0x01, 0xd4");
SNIPPET(p_outs, "mov $0x8000000000, %rsi; mov $0x80, %edx", "outsb");

#define NONE 0
static const struct priority {
	const char *name;
	const struct snippet *s;
	unsigned cpl;
	u32 reason, event; /* R_EXCEPTION: which */
} priorities[] = {
	{"HLT at CPL 3: #GP first", &p_hlt, 3, R_EXCEPTION, 0x80000b0d},
	{"INVD at CPL 3: #GP first", &p_invd, 3, R_EXCEPTION, 0x80000b0d},
	{"WBINVD at CPL 3: #GP first", &p_wbinvd, 3, R_EXCEPTION, 0x80000b0d},
	{"CPUID at CPL 3: exits", &p_cpuid, 3, R_CPUID, NONE},
	{"MOV from CR3 at CPL 3: #GP first", &p_cr3, 3, R_EXCEPTION, 0x80000b0d},
	{"MOV from DR0 at CPL 3: exits first", &p_dr0, 3, R_DR, NONE},
	{"RDMSR at CPL 3: #GP first", &p_rdmsr, 3, R_EXCEPTION, 0x80000b0d},
	{"INVLPG at CPL 3: #GP first", &p_invlpg, 3, R_EXCEPTION, 0x80000b0d},
	{"RDTSC at CPL 3: exits", &p_rdtsc, 3, R_RDTSC, NONE},
	{"RDPMC at CPL 3, CR4.PCE = 0: #GP first", &p_rdpmc, 3, R_EXCEPTION, 0x80000b0d},
	{"VMCALL at CPL 3: exits", &p_vmcall, 3, R_VMCALL, NONE},
	{"VMREAD at CPL 3: exits first", &p_vmread, 3, R_VMREAD, NONE},
	{"VMXOFF at CPL 3: exits first", &p_vmxoff, 3, R_VMXOFF, NONE},
	{"XSETBV at CPL 3: #GP first", &p_xsetbv, 3, R_EXCEPTION, 0x80000b0d},
	{"LGDT at CPL 3: #GP first", &p_lgdt, 3, R_EXCEPTION, 0x80000b0d},
	{"IN at CPL 3, no permission: #GP first", &p_in, 3, R_EXCEPTION, 0x80000b0d},
	{"MONITOR at CPL 3: #UD first", &p_monitor, 3, R_EXCEPTION, 0x80000306},
	{"INVPCID at CPL 3, disabled: #UD before #GP", &p_invpcid, 3, R_EXCEPTION, 0x80000306},
	{"XRSTORS at CPL 3, disabled: #UD before #GP", &p_xrstors, 3, R_EXCEPTION, 0x80000306},
	{"LOCK CPUID: #UD first", &p_lock, 0, R_EXCEPTION, 0x80000306},
	{"SGDT to an unmapped page: exits first", &p_sgdt, 0, R_GDTR, NONE},
	{"VMPTRLD of an unmapped operand: exits first", &p_vmptrld, 0, R_VMPTRLD, NONE},
	{"VMCLEAR of a non-canonical operand: exits first", &p_vmclear, 0, R_VMCLEAR, NONE},
	{"OUTS from an unmapped page: exits first", &p_outs, 0, R_IO, NONE},
};

/* A program at CPL 3; the pages are the supervisor's, so it is given its own tables. */
void to_user(void)
{
	vmx_write(VMCS_GUEST_CS, 0x4b);
	vmx_write(VMCS_GUEST_SS, 0x43);
	vmx_write(VMCS_GUEST_ES_AR + 2, 0xa0fb);
	vmx_write(VMCS_GUEST_ES_AR + 4, 0xc0f3);
	for (unsigned n = 0; n < 6; n++)
		if (n != 1 && n != 2) {
			vmx_write(VMCS_GUEST_ES + 2 * n, 0x43);
			vmx_write(VMCS_GUEST_ES_AR + 2 * n, 0xc0f3);
		}
}

u64 user_pml4[512] __attribute__((aligned(4096)));
static u64 user_pdpt[512] __attribute__((aligned(4096)));

static void test_priorities(void)
{
	tss[0x66] = tss[0x67] = 0xff; /* no I/O permission map */
	user_pml4[0] = (u64)user_pdpt | 7;
	for (u64 n = 0; n < 4; n++)
		user_pdpt[n] = n << 30 | 0x87;
	for (unsigned n = 0; n < sizeof(priorities) / sizeof(priorities[0]); n++) {
		const struct priority *t = &priorities[n];

		base(t->s);
		if (t->cpl)
			to_user();
		vmx_write(VMCS_GUEST_CR3, (u64)user_pml4);
		vmx_write(VMCS_EXCEPTIONS, ~0u);
		on(VMCS_PROC, 1 << 9 | 1 << 11 | 1 << 12 | 1 << 15 | 1 << 16 | 1 << 23 | 1 << 24 | 1 << 29);
		on(VMCS_PROC2, 1 << 2 | 1 << 6);

		u64 r = go();

		vcheck(t->name, "reason", r, t->reason);
		if (r == t->reason && r == R_EXCEPTION)
			vcheck(t->name, "event", vmx_read(VMCS_EXIT_EVENT), t->event);
		if (r == t->reason)
			vcheck(t->name, "RIP", vmx_read(VMCS_GUEST_RIP), (u64)t->s->at);
	}
	u64 *list = page_alloc();

	base(&p_vmfunc);
	to_user();
	vmx_write(VMCS_GUEST_CR3, (u64)user_pml4);
	list[0] = vmx_read(VMCS_EPTP);
	on(VMCS_PROC2, 1 << 13);
	vmx_write(F_VMFUNC, 1);
	vmx_write(F_EPTP_LIST, (u64)list);
	stays(REQ("sdm30.22") "VMFUNC at CPL 3", &p_vmfunc);
}

void test_rare(void)
{
	test_init();
	test_other_modes();
	test_xrstors();
	test_mwait();
	test_debug();
	test_priorities();
	test_sipi();
}
