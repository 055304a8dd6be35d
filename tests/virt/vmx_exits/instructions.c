/* Instructions that exit always, and those that exit by a control: "Instructions That Cause VM Exits". */
#include "exits.h"

/* ---- always ---- */
SNIPPET(i_cpuid, "xor %eax, %eax", "cpuid");
SNIPPET(i_invd, "", "invd");
SNIPPET(i_xsetbv, "xor %ecx, %ecx; xor %edx, %edx; mov $1, %eax", "xsetbv");
SNIPPET(i_vmcall, "", "vmcall");
SNIPPET(i_vmlaunch, "", "vmlaunch");
SNIPPET(i_vmresume, "", "vmresume");
SNIPPET(i_vmxoff, "", "vmxoff");
SNIPPET(i_vmclear, "lea scratch, %rbx; mov $2, %ecx", "vmclear 0x18(%rbx,%rcx,8)");
SNIPPET(i_vmptrld, "lea scratch, %rbx", "vmptrld -0x20(%rbx)");
SNIPPET(i_vmptrst, "lea scratch, %rbx", "vmptrst (%rbx)");
SNIPPET(i_vmxon, "", "vmxon scratch(%rip)");
SNIPPET(i_vmread, "mov $0x6800, %ecx", "vmread %rcx, %rdx");
SNIPPET(i_vmwrite, "mov $0x6800, %ecx; lea scratch, %r9", "vmwrite 8(%r9), %rcx");
SNIPPET(i_invept, "mov $2, %ecx; lea scratch, %rbx", "invept 8(%rbx), %rcx");
SNIPPET(i_invvpid, "mov $2, %ecx; lea scratch, %rbx", "invvpid 8(%rbx), %rcx");

static const struct always {
	const char *name;
	const struct snippet *s;
	u32 reason;
	u64 qualification;
	u32 info, info_mask; /* "VM-Exit Instruction-Information Field" */
} always[] = {
	/* XSETBV, INVEPT, INVVPID; controlled[] has the others, changed_behavior.c GETSEC (#UD without SMX) */
	/* with VMXON below and VMFUNC in ept.c */
	{REQ("sdm30.1") "CPUID", &i_cpuid, R_CPUID, 0, 0, 0},
	{"INVD", &i_invd, R_INVD, 0, 0, 0},
	{"XSETBV", &i_xsetbv, R_XSETBV, 0, 0, 0},
	{"VMCALL", &i_vmcall, R_VMCALL, 0, 0, 0},
	{"VMLAUNCH", &i_vmlaunch, R_VMLAUNCH, 0, 0, 0},
	{"VMRESUME", &i_vmresume, R_VMRESUME, 0, 0, 0},
	{"VMXOFF", &i_vmxoff, R_VMXOFF, 0, 0, 0},
	/* scale 8, 64-bit addresses, DS, index RCX, base RBX */
	{"VMCLEAR", &i_vmclear, R_VMCLEAR, 0x18, 3 | 2 << 7 | 3 << 15 | 1 << 18 | 3 << 23, 0xffff8783},
	{"VMPTRLD", &i_vmptrld, R_VMPTRLD, (u64)-0x20, 2 << 7 | 3 << 15 | 1 << 22 | 3 << 23, 0x0fc38780},
	{"VMPTRST", &i_vmptrst, R_VMPTRST, 0, 2 << 7 | 3 << 15 | 1 << 22 | 3 << 23, 0x0fc38780},
	/* a register: bit 10; Reg1 RDX, Reg2 RCX */
	{"VMREAD", &i_vmread, R_VMREAD, 0, 1 << 10 | 2 << 3 | 1 << 28, 0xf0000478},
	{"VMWRITE", &i_vmwrite, R_VMWRITE, 8, 2 << 7 | 3 << 15 | 1 << 22 | 9 << 23 | 1u << 28, 0xffc38780},
	{"INVEPT", &i_invept, R_INVEPT, 8, 2 << 7 | 3 << 15 | 1 << 22 | 3 << 23 | 1 << 28, 0xffc38780},
	{REQ("vmx04.3.1.2.2.9.now") "INVVPID", &i_invvpid, R_INVVPID, 8, 2 << 7 | 3 << 15 | 1 << 22 | 3 << 23 | 1 << 28, 0xffc38780},
};

/* ---- by a control ---- */
SNIPPET(i_hlt, "", "hlt");
SNIPPET(i_invlpg, "lea scratch, %rbx", "invlpg 0x40(%rbx)");
SNIPPET(i_monitor, "lea scratch, %rax; xor %ecx, %ecx; xor %edx, %edx", "monitor");
SNIPPET(i_mwait, "xor %eax, %eax; xor %ecx, %ecx", "mwait");
SNIPPET(i_mwait_armed, "lea scratch, %rax; xor %ecx, %ecx; xor %edx, %edx; monitor; xor %eax, %eax", "mwait");
SNIPPET(i_rdpmc, "xor %ecx, %ecx", "rdpmc");
SNIPPET(i_rdtsc, "", "rdtsc");
SNIPPET(i_rdtscp, "", "rdtscp");
SNIPPET(i_pause, "", "pause");
SNIPPET(i_wbinvd, "", "wbinvd");
SNIPPET(i_rdrand, "", "rdrand %r10d");
SNIPPET(i_rdseed, "", "rdseed %rdx");
SNIPPET(i_invpcid, "mov $2, %ecx; lea scratch, %rbx", "invpcid 8(%rbx), %rcx");
SNIPPET(i_sgdt, "lea scratch, %rbx", "sgdt 0x10(%rbx)");
SNIPPET(i_sidt, "lea scratch, %rbx", "sidt 0x10(%rbx)");
SNIPPET(i_lgdt, "", "lgdt gdt_pointer(%rip)");
SNIPPET(i_sldt, "", "sldt %rsi");
SNIPPET(i_str, "lea scratch, %rbx", "str 2(%rbx)");
SNIPPET(i_lldt, "xor %ecx, %ecx", "lldt %cx");
SNIPPET(i_xsaves, "lea scratch, %rbx; mov $0x100, %eax; xor %edx, %edx", "xsaves (%rbx)");
SNIPPET(i_tpause, "xor %edx, %edx; xor %eax, %eax; mov $1, %ecx", "tpause %ecx");
SNIPPET(i_umwait, "xor %edx, %edx; xor %eax, %eax; mov $1, %ecx", "umwait %ecx");

extern char gdt_pointer[];
static const struct controlled {
	const char *name;
	const struct snippet *s;
	u32 field, control;
	u32 also;	/* bits of the secondary controls that let the instruction exist at all */
	u32 reason;
	u64 qualification;
	u32 info, info_mask;
} controlled[] = {
	{"INVLPG", &i_invlpg, VMCS_PROC, P_INVLPG, 0, R_INVLPG, (u64)&scratch[8], 0, 0},
	{"MWAIT", &i_mwait, VMCS_PROC, P_MWAIT, 0, R_MWAIT, 0, 0, 0},
	{"MWAIT, armed", &i_mwait_armed, VMCS_PROC, P_MWAIT, 0, R_MWAIT, 1, 0, 0},
	{"RDPMC", &i_rdpmc, VMCS_PROC, P_RDPMC, 0, R_RDPMC, 0, 0, 0},
	{"RDTSC", &i_rdtsc, VMCS_PROC, P_RDTSC, 0, R_RDTSC, 0, 0, 0},
	{"RDTSCP", &i_rdtscp, VMCS_PROC, P_RDTSC, S_RDTSCP, R_RDTSCP, 0, 0, 0},
	{"MONITOR", &i_monitor, VMCS_PROC, P_MONITOR, 0, R_MONITOR, 0, 0, 0},
	{"PAUSE", &i_pause, VMCS_PROC, P_PAUSE, 0, R_PAUSE, 0, 0, 0},
	{"WBINVD", &i_wbinvd, VMCS_PROC2, S_WBINVD, 0, R_WBINVD, 0, 0, 0},
	{"RDRAND", &i_rdrand, VMCS_PROC2, S_RDRAND, 0, R_RDRAND, 0, 10 << 3 | 1 << 11, 0x1878},
	{"RDSEED", &i_rdseed, VMCS_PROC2, S_RDSEED, 0, R_RDSEED, 0, 2 << 3 | 2 << 11, 0x1878},
	/* what INVLPG invalidates: ept.c */
	{REQ("vmx04.3.1.2.3.11.now") "INVPCID", &i_invpcid, VMCS_PROC, P_INVLPG, S_INVPCID, R_INVPCID, 8, 2 << 7 | 3 << 15 | 1 << 22 | 3 << 23 | 1 << 28, 0xffc38780},
	{"SGDT", &i_sgdt, VMCS_PROC2, S_TABLES, 0, R_GDTR, 0x10, 0u << 28 | 3 << 23, 0x37800000},
	{"SIDT", &i_sidt, VMCS_PROC2, S_TABLES, 0, R_GDTR, 0x10, 1u << 28 | 3 << 23, 0x37800000},
	{"LGDT", &i_lgdt, VMCS_PROC2, S_TABLES, 0, R_GDTR, 0 /* the address */, 2u << 28 | 1u << 27, 0x38000000},
	{"SLDT", &i_sldt, VMCS_PROC2, S_TABLES, 0, R_LDTR, 0, 0u << 28 | 1 << 10 | 6 << 3, 0x30000478},
	{"STR", &i_str, VMCS_PROC2, S_TABLES, 0, R_LDTR, 2, 1u << 28, 0x30000400},
	{"LLDT", &i_lldt, VMCS_PROC2, S_TABLES, 0, R_LDTR, 0, 2u << 28 | 1 << 10 | 1 << 3, 0x30000478},
	{"TPAUSE", &i_tpause, VMCS_PROC, P_RDTSC, S_UMWAIT, R_TPAUSE, 0, 1 << 3, 0x78},
	{"UMWAIT", &i_umwait, VMCS_PROC, P_RDTSC, S_UMWAIT, R_UMWAIT, 0, 1 << 3, 0x78},
};

static void enabled(u32 also)
{
	on(VMCS_PROC2, also);
}

/* Instructions that do not exist until their control enables them: #UD in the guest, whatever else is set. */
static const struct absent {
	const char *name;
	const struct snippet *s;
} absent[] = {{"RDTSCP disabled", &i_rdtscp}, {"INVPCID disabled", &i_invpcid}, {"XSAVES disabled", &i_xsaves},
	      {"TPAUSE disabled", &i_tpause}, {"UMWAIT disabled", &i_umwait}};

static void test_absent(void)
{
	for (unsigned n = 0; n < COUNT(absent); n++) {
		base(absent[n].s);
		on(VMCS_PROC, P_INVLPG | P_RDTSC);
		on(VMCS_EXCEPTIONS, 1 << 6);
		vcheck(absent[n].name, "#UD", go(), R_EXCEPTION);
		vcheck(absent[n].name, "event", vmx_read(VMCS_EXIT_EVENT), 0x80000306);
	}
}

static void test_always(void)
{
	for (unsigned n = 0; n < COUNT(always); n++) {
		const struct always *t = &always[n];

		base(t->s);
		leaves(t->name, t->s, t->reason, t->qualification);
		vcheck(t->name, "information", vmx_read(VMCS_INFO) & t->info_mask, t->info & t->info_mask);
	}
	base(&i_vmxon); /* RIP-relative: the displacement with the address of the next instruction */
	leaves("VMXON", &i_vmxon, R_VMXON, (u64)scratch);
	vcheck("VMXON", "no base register", vmx_read(VMCS_INFO) & 1u << 27, 1u << 27);
}

static void test_controlled(void)
{
	for (unsigned n = 0; n < COUNT(controlled); n++) {
		const struct controlled *t = &controlled[n];
		u64 q = t->s == &i_lgdt ? (u64)gdt_pointer : t->qualification; /* RIP-relative */

		base(t->s);
		enabled(t->also);
		on(t->field, t->control);
		leaves(t->name, t->s, t->reason, q);
		vcheck(t->name, "information", vmx_read(VMCS_INFO) & t->info_mask, t->info & t->info_mask);
		if (t->reason == R_MWAIT && t->qualification)
			continue; /* it would wait */
		base(t->s);
		enabled(t->also);
		off(t->field, t->control);
		stays(t->name, t->s);
	}
}

/* XSAVES exits by the bits of EDX:EAX, IA32_XSS and the bitmap together. */
static void test_xsaves(void)
{
	base(&i_xsaves);
	on(VMCS_PROC2, S_XSAVES);
	vmx_write(VMCS_XSS, ~0ull);
	stays("XSAVES, no bit in IA32_XSS", &i_xsaves);
}

static void test_hlt(void)
{
	base(&i_hlt);
	leaves("HLT", &i_hlt, R_HLT, 0);
	base(&i_hlt);
	off(VMCS_PROC, P_HLT);
	on(VMCS_PIN, PIN_TIMER);
	vmx_write(VMCS_TIMER, 100);
	vcheck("HLT", "does not exit, the preemption timer does", go(), R_TIMER);
	vcheck("HLT", "activity state", vmx_read(VMCS_GUEST_ACTIVITY), 1);
	vcheck("HLT", "RIP behind it", vmx_read(VMCS_GUEST_RIP), (u64)i_hlt.next);
}

SNIPPET(i_two_pauses, "mov $1000, %ecx\n1: pause; dec %ecx; jnz 1b", "nop");

/* "Clearing Address-Range Monitoring": what the VMM monitors, the guest does not. */
static void test_host_monitor(void)
{
	static u64 line[8] __attribute__((aligned(64)));

	base(&i_mwait);
	on(VMCS_PROC, P_MWAIT);
	asm volatile("monitor" ::"a"(line), "c"(0), "d"(0));
	leaves("MWAIT, armed by the host", &i_mwait, R_MWAIT, 0);
}

static void test_pause_loop(void)
{
	base(&i_two_pauses);
	on(VMCS_PROC2, S_PLE);
	vmx_write(VMCS_PLE_GAP, 10000);
	vmx_write(VMCS_PLE_WINDOW, 2000);
	vcheck("PAUSE loop", "exits", go(), R_PAUSE);
	base(&i_two_pauses);
	on(VMCS_PROC2, S_PLE);
	vmx_write(VMCS_PLE_GAP, 0);
	vmx_write(VMCS_PLE_WINDOW, 2000);
	vcheck("PAUSE loop", "longer gaps start anew", go(), R_VMCALL);
}

SNIPPET(i_tsc, "mov $0, %eax", "rdtsc; shl $32, %rdx; or %rdx, %rax; mov %rax, seen");

SNIPPET(i_wait,
        "rdtsc; shl $32, %rdx; or %rdx, %rax; add $4000000, %rax; mov %rax, %rdx; shr $32, %rdx; xor %ecx, %ecx",
        "tpause %ecx");

/* "TPAUSE": the delay is counted in the guest's TSC, whatever its rate. */
static void test_wait(void)
{
	static const struct { u64 multiplier, least, most; } rows[] = {
		{1ull << 48, 4000000, 4500000}, {4ull << 48, 1000000, 1500000}, {1ull << 47, 8000000, 8500000}};
	u64 before, took;

	for (unsigned n = 0; n < 3; n++) {
		base(&i_wait);
		on(VMCS_PROC, P_TSC_OFFSET);
		on(VMCS_PROC2, S_TSC_SCALING | S_UMWAIT);
		vmx_write(VMCS_TSC_MULTIPLIER, rows[n].multiplier);
		vmx_write(VMCS_TSC_OFFSET, 0);
		before = rdtsc();
		vcheck("TPAUSE in a scaled guest", "runs", go(), R_VMCALL);
		took = rdtsc() - before;
		vcheck("TPAUSE in a scaled guest", "not too early", took >= rows[n].least, 1);
		vcheck("TPAUSE in a scaled guest", "not too late", took < rows[n].most, 1);
	}
}

static void test_tsc(void)
{
	u64 now;

	base(&i_tsc);
	on(VMCS_PROC, P_TSC_OFFSET);
	vmx_write(VMCS_TSC_OFFSET, 1ull << 40);
	now = rdtsc();
	check("TSC offset: runs", go(), R_VMCALL);
	check("TSC offset: is added", seen[0] - now - (1ull << 40) < 1000000, 1);
	base(&i_tsc);
	on(VMCS_PROC, P_TSC_OFFSET);
	on(VMCS_PROC2, S_TSC_SCALING);
	vmx_write(VMCS_TSC_MULTIPLIER, 3ull << 48);
	vmx_write(VMCS_TSC_OFFSET, 0);
	now = rdtsc();
	check("TSC multiplier: runs", go(), R_VMCALL);
	check("TSC multiplier: multiplies", seen[0] - 3 * now < 3000000, 1);
}

void test_instructions(void)
{
	test_always();
	test_controlled();
	test_absent();
	test_xsaves();
	test_hlt();
	test_host_monitor();
	test_pause_loop();
	test_tsc();
	test_wait();
}
