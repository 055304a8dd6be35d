/* "Processor Behavior in VMX Non-Root Operation": what exits always, what never, and in which order. */
#include "first.h"

/* clang-format off */
SNIPPET(i_nothing, "", "");
SNIPPET32(i_nothing_32, "", "");
SNIPPET(i_hlt, "", "hlt");
SNIPPET(i_clts, "", "clts");
SNIPPET(i_lmsw_ax, "", "lmsw %ax");
SNIPPET(i_invlpg_rbx, "", "invlpg (%rbx)");
SNIPPET(i_invlpg_read, "", "mov (%rbx), %rcx; invlpg (%rbx); mov (%rbx), %rdx");
SNIPPET(i_mov_rax_cr0, "", "mov %rax, %cr0");
SNIPPET(i_mov_rax_cr3, "", "mov %rax, %cr3");
SNIPPET(i_mov_cr3_rax, "", "mov %cr3, %rax");
SNIPPET(i_mov_rax_cr4, "", "mov %rax, %cr4");
SNIPPET(i_mov_rax_cr8, "", "mov %rax, %cr8");
SNIPPET(i_mov_cr8_rax, "", "mov %cr8, %rax");
SNIPPET(i_mov_rax_dr0, "", "mov %rax, %dr0");
SNIPPET(i_mov_dr0_rax, "", "mov %dr0, %rax");
SNIPPET(i_mov_rax_dr4, "", "mov %rax, %dr4");
SNIPPET(i_mov_rax_dr5, "", "mov %rax, %dr5");
SNIPPET(i_mov_dr4_rax, "", "mov %dr4, %rax");
SNIPPET(i_rdmsr, "", "rdmsr");
SNIPPET(i_wrmsr, "", "wrmsr");
SNIPPET(i_rdtsc, "", "rdtsc");
SNIPPET(i_insb, "", "insb");
SNIPPET(i_outsb, "", "outsb");
SNIPPET(i_invd, "", "invd");
SNIPPET(i_wbinvd, "", "wbinvd");
SNIPPET(i_monitor, "", "monitor");
SNIPPET(i_pause, "", "pause");
SNIPPET(i_lgdt_rsi, "", "lgdt (%rsi)");
SNIPPET(i_lidt_rsi, "", "lidt (%rsi)");
SNIPPET(i_lldt_ax, "", "lldt %ax");
SNIPPET(i_ltr_ax, "", "ltr %ax");
SNIPPET(i_sgdt_rbx, "", "sgdt (%rbx)");
SNIPPET(i_sidt_rbx, "", "sidt (%rbx)");
SNIPPET(i_sldt_eax, "", "sldt %eax");
SNIPPET(i_str_eax, "", "str %eax");
SNIPPET(i_vmclear_rbx, "", "vmclear (%rbx)");
SNIPPET(i_vmlaunch, "", "vmlaunch");
SNIPPET(i_vmptrld_rbx, "", "vmptrld (%rbx)");
SNIPPET(i_vmptrst_rbx, "", "vmptrst (%rbx)");
SNIPPET(i_vmread_rcx_rdx, "", "vmread %rcx, %rdx");
SNIPPET(i_vmresume, "", "vmresume");
SNIPPET(i_vmwrite_rdx_rcx, "", "vmwrite %rdx, %rcx");
SNIPPET(i_vmxoff, "", "vmxoff");
SNIPPET(i_vmxon_rbx, "", "vmxon (%rbx)");
SNIPPET(i_vmclear_register, "", ".byte 0x66, 0x0f, 0xc7, 0xf3");
SNIPPET(i_vmptrld_register, "", ".byte 0x0f, 0xc7, 0xf3");
SNIPPET(i_vmptrst_register, "", ".byte 0x0f, 0xc7, 0xfb");
SNIPPET(i_vmxon_register, "", ".byte 0xf3, 0x0f, 0xc7, 0xf3");
SNIPPET32(i_vmclear_32, "", "vmclear (%ebx)");
SNIPPET32(i_vmlaunch_32, "", "vmlaunch");
SNIPPET32(i_vmptrld_32, "", "vmptrld (%ebx)");
SNIPPET32(i_vmptrst_32, "", "vmptrst (%ebx)");
SNIPPET32(i_vmread_32, "", "vmread %ecx, %edx");
SNIPPET32(i_vmresume_32, "", "vmresume");
SNIPPET32(i_vmwrite_32, "", "vmwrite %edx, %ecx");
SNIPPET32(i_vmxoff_32, "", "vmxoff");
SNIPPET32(i_vmxon_32, "", "vmxon (%ebx)");
SNIPPET(i_getsec, "", ".byte 0x0f, 0x37");
SNIPPET(i_xsetbv, "", "xsetbv");
SNIPPET(i_rdtscp, "", "rdtscp");
SNIPPET(i_invpcid, "", "invpcid (%rbx), %rcx");
SNIPPET(i_invept, "", "invept (%rbx), %rcx");
SNIPPET(i_invvpid, "", "invvpid (%rbx), %rcx");
SNIPPET(i_vmfunc, "", "vmfunc");
SNIPPET(i_rdrand, "", "rdrand %eax");
SNIPPET(i_xsaves, "", "xsaves (%rbx)");

#define GP_EXIT {VMCS_EXCEPTIONS, 1 << 13}
#define UD_EXIT {VMCS_EXCEPTIONS, 1 << 6}
#define GP(ids, name, code, ...) {ids name " at CPL 3", G64_USER, code, {0}, {__VA_ARGS__, GP_EXIT}, 0, 0, EV_E(13)}
#define UD(ids, name, mode, code) {ids name, mode, code, {0}, {UD_EXIT}, 0, 0, EV(6, 3)}
#define EXITS(ids, name, mode, reason, code) {ids name, mode, code, {0}, {{0, 0}}, reason, 0, 0}
#define STAYS(name, code) {REQ("vmx04.3.1.2.2.8") name, G64, code, {(u64)scratch, 0, 0, (u64)scratch, 0, 0, (u64)&own_table}, {{0, 0}}, R_VMCALL, 0, 0}

struct { u16 limit; u64 base; } __attribute__((packed)) own_table;

static const struct row priorities[] = {
	GP(REQ("vmx04.3.1.2.1.3"), "HLT", &i_hlt, {0, 0}), GP(REQ("vmx04.3.1.2.1.3"), "WRMSR", &i_wrmsr, {0, 0}),
	GP(REQ("vmx04.3.1.2.1.3"), "INVLPG", &i_invlpg_rbx, {VMCS_PROC, P_INVLPG}),
	GP(REQ("vmx04.3.1.2.1.3"), "CLTS", &i_clts, {VMCS_CR0_MASK, 8}, {VMCS_CR0_SHADOW, 8}),
	GP(REQ("vmx04.3.1.2.1.3"), "LMSW", &i_lmsw_ax, {VMCS_CR0_MASK, 15}, {VMCS_CR0_SHADOW, 14}),
	GP(REQ("vmx04.3.1.2.1.3"), "MOV to CR0", &i_mov_rax_cr0, {VMCS_CR0_MASK, ~0ull}, {VMCS_CR0_SHADOW, ~0ull}),
	GP(REQ("vmx04.3.1.2.1.3"), "MOV to CR3", &i_mov_rax_cr3, {0, 0}), GP(REQ("vmx04.3.1.2.1.3"), "MOV from CR3", &i_mov_cr3_rax, {0, 0}),
	GP(REQ("vmx04.3.1.2.1.3"), "MOV to CR8", &i_mov_rax_cr8, {VMCS_PROC, P_CR8_LOAD}),
	GP(REQ("vmx04.3.1.2.1.3"), "MOV to DR", &i_mov_rax_dr0, {VMCS_PROC, P_DR}), GP(REQ("vmx04.3.1.2.1.3"), "MOV from DR", &i_mov_dr0_rax, {VMCS_PROC, P_DR}),
	{REQ("vmx04.3.1.2.1.8") "MOV to DR4, CR4.DE", G64, &i_mov_rax_dr4, {0}, {{VMCS_PROC, P_DR}, {VMCS_GUEST_CR4, 8}, UD_EXIT}, 0, 0, EV(6, 3)},
	{REQ("vmx04.3.1.2.1.8") "MOV to DR5, CR4.DE", G64, &i_mov_rax_dr5, {0}, {{VMCS_PROC, P_DR}, {VMCS_GUEST_CR4, 8}, UD_EXIT}, 0, 0, EV(6, 3)},
	{REQ("vmx04.3.1.2.1.8") "MOV from DR4, CR4.DE", G64, &i_mov_dr4_rax, {0}, {{VMCS_PROC, P_DR}, {VMCS_GUEST_CR4, 8}, UD_EXIT}, 0, 0, EV(6, 3)},
	{"MOV to DR4, CR4.DE 0", G64, &i_mov_rax_dr4, {0}, {{VMCS_PROC, P_DR}}, R_DR, 4, 0},
	{REQ("vmx04.3.1.2.1.15") "MOV DR exits before DR7.GD", G64, &i_mov_dr0_rax, {0}, {{VMCS_PROC, P_DR}, {VMCS_GUEST_DR7, 0x2000}, {VMCS_EXCEPTIONS, 2}}, R_DR, 0x10, 0},
	/* the operand is not mapped */
	{REQ("vmx04.3.1.2.1.16") "INSB exits before its page fault", G64, &i_insb, {0, 0, 0x80, 0, 0, 0, 0, 1ull << 45}, {{VMCS_PROC, P_IO_ALL}, {VMCS_EXCEPTIONS, 1 << 14}}, R_IO, 0x800018, 0},
	{REQ("vmx04.3.1.2.1.16") "OUTSB exits before its page fault", G64, &i_outsb, {0, 0, 0x80, 0, 0, 0, 1ull << 45}, {{VMCS_PROC, P_IO_ALL}, {VMCS_EXCEPTIONS, 1 << 14}}, R_IO, 0x800010, 0},
};
static const struct row always[] = {
	{REQ("vmx04.3.1.2.2.2") "MOV from CR3", G64, &i_mov_cr3_rax, {0}, {{0, 0}}, R_CR, 0x13, 0},
	EXITS(REQ("vmx04.3.1.2.2.10"), "VMCLEAR", G64, R_VMCLEAR, &i_vmclear_rbx), EXITS(REQ("vmx04.3.1.2.2.11"), "VMLAUNCH", G64, R_VMLAUNCH, &i_vmlaunch),
	EXITS(REQ("vmx04.3.1.2.2.12"), "VMPTRLD", G64, R_VMPTRLD, &i_vmptrld_rbx), EXITS(REQ("vmx04.3.1.2.2.13"), "VMPTRST", G64, R_VMPTRST, &i_vmptrst_rbx),
	EXITS(REQ("vmx04.3.1.2.2.14"), "VMREAD", G64, R_VMREAD, &i_vmread_rcx_rdx), EXITS(REQ("vmx04.3.1.2.2.15"), "VMRESUME", G64, R_VMRESUME, &i_vmresume),
	EXITS(REQ("vmx04.3.1.2.2.16"), "VMWRITE", G64, R_VMWRITE, &i_vmwrite_rdx_rcx), EXITS(REQ("vmx04.3.1.2.2.17"), "VMXOFF", G64, R_VMXOFF, &i_vmxoff),
	EXITS(REQ("vmx04.3.1.2.2.18 vmx04.1.3.6"), "VMXON", G64, R_VMXON, &i_vmxon_rbx),
	/* before the CPL check */
	EXITS(REQ("vmx04.3.1.2.2.10"), "VMCLEAR at CPL 3", G64_USER, R_VMCLEAR, &i_vmclear_rbx), EXITS(REQ("vmx04.3.1.2.2.11"), "VMLAUNCH at CPL 3", G64_USER, R_VMLAUNCH, &i_vmlaunch),
	EXITS(REQ("vmx04.3.1.2.2.12"), "VMPTRLD at CPL 3", G64_USER, R_VMPTRLD, &i_vmptrld_rbx), EXITS(REQ("vmx04.3.1.2.2.13"), "VMPTRST at CPL 3", G64_USER, R_VMPTRST, &i_vmptrst_rbx),
	EXITS(REQ("vmx04.3.1.2.2.14"), "VMREAD at CPL 3", G64_USER, R_VMREAD, &i_vmread_rcx_rdx), EXITS(REQ("vmx04.3.1.2.2.15"), "VMRESUME at CPL 3", G64_USER, R_VMRESUME, &i_vmresume),
	EXITS(REQ("vmx04.3.1.2.2.16"), "VMWRITE at CPL 3", G64_USER, R_VMWRITE, &i_vmwrite_rdx_rcx), EXITS(REQ("vmx04.3.1.2.2.17"), "VMXOFF at CPL 3", G64_USER, R_VMXOFF, &i_vmxoff),
	EXITS(REQ("vmx04.3.1.2.2.18"), "VMXON at CPL 3", G64_USER, R_VMXON, &i_vmxon_rbx),
	/* behind the #UD conditions */
	UD(REQ("vmx04.3.1.2.2.10"), "VMCLEAR in compatibility mode", G_COMPAT, &i_vmclear_32), UD(REQ("vmx04.3.1.2.2.11"), "VMLAUNCH in compatibility mode", G_COMPAT, &i_vmlaunch_32),
	UD(REQ("vmx04.3.1.2.2.12"), "VMPTRLD in compatibility mode", G_COMPAT, &i_vmptrld_32), UD(REQ("vmx04.3.1.2.2.13"), "VMPTRST in compatibility mode", G_COMPAT, &i_vmptrst_32),
	UD(REQ("vmx04.3.1.2.2.14"), "VMREAD in compatibility mode", G_COMPAT, &i_vmread_32), UD(REQ("vmx04.3.1.2.2.15"), "VMRESUME in compatibility mode", G_COMPAT, &i_vmresume_32),
	UD(REQ("vmx04.3.1.2.2.16"), "VMWRITE in compatibility mode", G_COMPAT, &i_vmwrite_32), UD(REQ("vmx04.3.1.2.2.17"), "VMXOFF in compatibility mode", G_COMPAT, &i_vmxoff_32),
	UD(REQ("vmx04.3.1.2.2.18"), "VMXON in compatibility mode", G_COMPAT, &i_vmxon_32),
	UD(REQ("vmx04.3.1.2.2.10"), "VMCLEAR register form", G64, &i_vmclear_register), UD(REQ("vmx04.3.1.2.2.12"), "VMPTRLD register form", G64, &i_vmptrld_register),
	UD(REQ("vmx04.3.1.2.2.13"), "VMPTRST register form", G64, &i_vmptrst_register), UD(REQ("vmx04.3.1.2.2.18"), "VMXON register form", G64, &i_vmxon_register),
	EXITS(REQ("vmx04.VMCALL.14"), "VMCALL", G64, R_VMCALL, &i_nothing), EXITS(REQ("vmx04.VMCALL.14"), "VMCALL at CPL 3", G64_USER, R_VMCALL, &i_nothing),
};
static const struct row never[] = {
	{REQ("vmx04.3.1.2.2.7") "INVD", G64, &i_invd, {0}, {{0, 0}}, R_VMCALL, 0, 0},
	{REQ("vmx04.3.1.2.2.7") "INVD with every control of table 2-2", G64, &i_invd, {0}, {{VMCS_PROC, 0x3b81e8c & ~P_WINDOW}}, R_VMCALL, 0, 0},
	STAYS("WBINVD", &i_wbinvd), STAYS("MONITOR", &i_monitor), STAYS("PAUSE", &i_pause), STAYS("LGDT", &i_lgdt_rsi), STAYS("LIDT", &i_lidt_rsi),
	STAYS("SGDT", &i_sgdt_rbx), STAYS("SIDT", &i_sidt_rbx), STAYS("SLDT", &i_sldt_eax), STAYS("STR", &i_str_eax),
	{REQ("vmx04.3.1.2.2.8") "LLDT", G64, &i_lldt_ax, {0}, {{0, 0}}, R_VMCALL, 0, 0},
};
#define LATER(name, code) UD(REQ("vmx04.3.1.2.2.9"), name, G64, code), UD(REQ("vmx04.3.1.2.2.9"), name " at CPL 3", G64_USER, code)
static const struct row later[] = {
	LATER("GETSEC", &i_getsec), LATER("XSETBV", &i_xsetbv), LATER("RDTSCP", &i_rdtscp), LATER("INVPCID", &i_invpcid), LATER("INVEPT", &i_invept),
	LATER("INVVPID", &i_invvpid), LATER("VMFUNC", &i_vmfunc), LATER("RDRAND", &i_rdrand), LATER("XSAVES", &i_xsaves),
};
/* clang-format on */

static u64 run1(u64 rax)
{
	memset(g_in, 0, sizeof(g_in));
	g_in[RAX] = rax;
	return go();
}

static void load_task_register(void)
{
	memcpy(table32, gdt, 11 * 8);
	table32[5] &= ~(2ull << 40); /* available */
	guest(G64, &i_ltr_ax);
	vmx_write(VMCS_GUEST_GDTR_BASE, (u64)table32);
	check(REQ("vmx04.3.1.2.2.8") "LTR", run1(0x28), R_VMCALL);
}

/* "Every ECX": what exists, what does not, the edges of the ranges that later got bitmaps. */
static void msrs(void)
{
	static const u32 index[] = {0, 0x10, 0x1b, 0x174, 0x480, 0x1fff, 0x2000, 0x40000000, 0xbfffffff, 0xc0000000, 0xc0000080,
				    0xc0000100, 0xc0000102, 0xc0001fff, 0xc0002000, 0xdeadbeef, 0xffffffff};

	for (unsigned n = 0; n < COUNT(index); n++)
		for (unsigned write = 0; write < 2; write++) {
			guest(G64, write ? &i_wrmsr : &i_rdmsr);
			vmx_write(VMCS_EXCEPTIONS, 1 << 13);
			memset(g_in, 0, sizeof(g_in));
			g_in[RCX] = index[n];
			g_in[RAX] = g_in[RDX] = ~0u;
			check(REQ("vmx04.3.1.2.2.3 vmx04.3.1.2.2.4") "MSR access exits", go(), write ? R_WRMSR : R_RDMSR);
			check("RIP at the instruction", vmx_read(VMCS_GUEST_RIP), CODE);
		}
}

/* "MOV to CR0", "MOV to CR4": a fixed bit that is wrong, but masked and equal to its shadow. */
static void fixed_bits(void)
{
	u64 cr0, cr4;

	guest(G64, &i_mov_rax_cr0);
	cr0 = vmx_read(VMCS_GUEST_CR0);
	vmx_write(VMCS_CR0_MASK, 0x80000021);
	vmx_write(VMCS_CR0_SHADOW, 0);
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	check(REQ("vmx04.3.1.1.11") "MOV to CR0: PE, NE and PG 0", run1((cr0 ^ 8) & ~0x80000021ull), R_VMCALL);
	check(REQ("vmx04.3.1.1.11") "CR0: they stay, the rest is taken", vmx_read(VMCS_GUEST_CR0), cr0 ^ 8);
	guest(G64, &i_mov_rax_cr4);
	cr4 = vmx_read(VMCS_GUEST_CR4);
	vmx_write(VMCS_CR4_MASK, 1 << 13);
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	check(REQ("vmx04.3.1.1.11") "MOV to CR4: VMXE 0", run1((cr4 ^ 4) & ~(1ull << 13)), R_VMCALL);
	check(REQ("vmx04.3.1.1.11") "CR4: it stays, the rest is taken", vmx_read(VMCS_GUEST_CR4), cr4 ^ 4);
	guest(G64, &i_mov_rax_cr4);
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	check("MOV to CR4: VMXE 0 unmasked", run1(cr4 & ~(1ull << 13)), R_EXCEPTION);
}

/* ---- CR8 ---- */

static void cr8(void)
{
	u32 *page = (u32 *)fresh_page();

	guest(G64, &i_mov_cr8_rax);
	on(VMCS_PROC, P_TPR);
	vmx_write(VMCS_VAPIC, (u64)page);
	page[0x20] = 0xdeadbe9f;
	check("MOV from CR8", run1(~0ull), R_VMCALL);
	check(REQ("vmx04.3.1.1.15") "bits 63:4", g_out[RAX], 9);
	for (u32 threshold = 0; threshold < 16; threshold++)
		for (u64 value = 0; value < 16; value++)
			for (u32 before = 0; before < 16; before += 5) {
				guest(G64, &i_mov_rax_cr8);
				on(VMCS_PROC, P_TPR);
				vmx_write(VMCS_VAPIC, (u64)page);
				vmx_write(VMCS_TPR_THRESHOLD, threshold);
				page[0x20] = 0xdeadbe0f | before << 4;
				check(REQ("vmx04.3.1.2.3.31") "MOV to CR8 and the threshold", run1(value), threshold > value ? R_TPR : R_VMCALL);
				check(REQ("vmx04.3.1.1.18") "the rest of the doubleword", page[0x20], value << 4);
				if (threshold > value)
					check(REQ("vmx04.2.8.1.58") "qualification", vmx_read(VMCS_QUALIFICATION), 0);
			}
}

static void tsc(void)
{
	u64 now, seen;

	guest(G64, &i_rdtsc);
	on(VMCS_PROC, P_TSC_OFFSET);
	vmx_write(VMCS_TSC_OFFSET, 1ull << 44);
	check("TSC multiplier: no such field", vmx_write(VMCS_TSC_MULTIPLIER, 5ull << 47), VMX_FAIL_VALID);
	now = rdtsc();
	check("RDTSC", run1(0), R_VMCALL);
	seen = g_out[RAX] | g_out[RDX] << 32;
	check(REQ("vmx04.3.1.1.24") "counter and offset", seen - now - (1ull << 44) < 1000000, 1);
}

/* What is not INVLPG exiting executes, and flushes. */
static void invlpg_inside(void)
{
	u64 *entry = &pds[1][0], kept = *entry, *page = (u64 *)0x40000000;
	u64 *tables = fresh_page(), *one = fresh_page(), *two = fresh_page();

	one[0] = 0x1111;
	two[0] = 0x2222;
	for (unsigned exiting = 0; exiting < 2; exiting++) {
		tables[0] = (u64)one | 7;
		*entry = (u64)tables | 7;
		write_cr3(read_cr3());
		/* the first read caches the translation; the store to the table is the guest's own */
		guest(G64, &i_invlpg_read);
		memcpy(code_page, (u8[]){0x48, 0x8b, 0x0b, 0x48, 0x89, 0x3e, 0x0f, 0x01, 0x3b, 0x48, 0x8b, 0x13, 0x0f, 0x01, 0xc1}, 15);
		memset(g_in, 0, sizeof(g_in));
		g_in[RBX] = (u64)page;
		g_in[RSI] = (u64)tables;
		g_in[RDI] = (u64)two | 7;
		if (exiting)
			on(VMCS_PROC, P_INVLPG);
		check(REQ("vmx04.3.1.2.3.11") "INVLPG", go(), exiting ? R_INVLPG : R_VMCALL);
		check("before", g_out[RCX], 0x1111);
		if (!exiting)
			check(REQ("vmx04.3.1.2.3.11") "translated anew", g_out[RDX], 0x2222);
	}
	guest(G64, &i_mov_rax_cr8); /* it governs INVLPG only */
	on(VMCS_PROC, P_INVLPG);
	check(REQ("vmx04.3.1.2.3.11") "MOV to CR8 with INVLPG exiting", run1(0), R_VMCALL);
	*entry = kept;
	write_cr3(read_cr3());
}

/* Protected mode outside IA-32e mode. */
static void vmcall_protected(void)
{
	guest32(&i_nothing_32);
	check(REQ("vmx04.VMCALL.10") "VMCALL in protected mode", go(), R_VMCALL);
	check("length", vmx_read(VMCS_EXIT_LENGTH), 3);
	guest32(&i_nothing_32);
	for (u32 field = VMCS_GUEST_ES; field <= VMCS_GUEST_GS; field += 2) {
		bool code = field == VMCS_GUEST_CS;

		vmx_write(field, code ? 0x5b : 0x43);
		vmx_write(VMCS_GUEST_ES_AR + field - VMCS_GUEST_ES, code ? 0xc0fb : 0xc0f3);
	}
	check(REQ("vmx04.VMCALL.10") "VMCALL in protected mode at CPL 3", go(), R_VMCALL);
}

void test_execution(void)
{
	own_table.limit = 0x7f;
	own_table.base = (u64)gdt;
	ROWS(priorities);
	ROWS(always);
	ROWS(never);
	ROWS(later);
	load_task_register();
	msrs();
	fixed_bits();
	cr8();
	tsc();
	invlpg_inside();
	vmcall_protected();
}
