/* Which instructions exit, under which control, with which qualification and length, and which fault comes before. */
#include "reqs.h"

/* clang-format off */
SNIPPET(i_cpuid, "", "cpuid");
SNIPPET(i_cpuid_of_15_bytes, "", ".fill 13, 1, 0x2e; cpuid");
SNIPPET(i_ds_data16_cpuid, "", "ds data16 cpuid");
SNIPPET32(i_cpuid_32, "", "cpuid");
SNIPPET(i_invd, "", "invd");
SNIPPET(i_nothing, "", "");
SNIPPET(i_vmclear_rbx, "", "vmclear (%rbx)");
SNIPPET(i_vmlaunch, "", "vmlaunch");
SNIPPET(i_vmptrld_rbx, "", "vmptrld (%rbx)");
SNIPPET(i_vmptrst_rbx, "", "vmptrst (%rbx)");
SNIPPET(i_vmread_rcx_rdx, "", "vmread %rcx, %rdx");
SNIPPET(i_vmresume, "", "vmresume");
SNIPPET(i_vmwrite_rdx_rcx, "", "vmwrite %rdx, %rcx");
SNIPPET(i_vmxoff, "", "vmxoff");
SNIPPET(i_vmxon_rbx, "", "vmxon (%rbx)");
SNIPPET32(i_vmclear_ebx_32, "", "vmclear (%ebx)");
SNIPPET32(i_vmlaunch_32, "", "vmlaunch");
SNIPPET32(i_vmptrld_ebx_32, "", "vmptrld (%ebx)");
SNIPPET32(i_vmptrst_ebx_32, "", "vmptrst (%ebx)");
SNIPPET32(i_vmread_ecx_edx_32, "", "vmread %ecx, %edx");
SNIPPET32(i_vmresume_32, "", "vmresume");
SNIPPET32(i_vmwrite_edx_ecx_32, "", "vmwrite %edx, %ecx");
SNIPPET32(i_vmxoff_32, "", "vmxoff");
SNIPPET32(i_vmxon_ebx_32, "", "vmxon (%ebx)");
SNIPPET32(i_invept_ebx_ecx_32, "", "invept (%ebx), %ecx");
SNIPPET32(i_invvpid_ebx_ecx_32, "", "invvpid (%ebx), %ecx");
SNIPPET(i_lock_vmcall, "", ".byte 0xf0; vmcall");
SNIPPET(i_f3_vmcall, "", ".byte 0xf3; vmcall");
SNIPPET(i_f2_vmcall, "", ".byte 0xf2; vmcall");
SNIPPET(i_data16_vmcall, "", "data16 vmcall");
SNIPPET(i_hlt, "", "hlt");
SNIPPET(i_cs, "", ".byte 0x2e"); /* prefixes of the VMCALL behind */
SNIPPET(i_addr32, "", ".byte 0x67");
SNIPPET(i_cs_hlt, "", "cs hlt");
SNIPPET(i_invlpg_0x40_rbx, "", "invlpg 0x40(%rbx)");
SNIPPET(i_invlpg_fs_rbx, "", "invlpg %fs:(%rbx)");
SNIPPET32(i_invlpg_ebx_32, "", "invlpg (%ebx)");
SNIPPET(i_invlpg_rbx, "", "invlpg (%rbx)");
SNIPPET(i_mwait, "", "mwait");
SNIPPET(i_rdpmc, "", "rdpmc");
SNIPPET(i_rdtsc, "", "rdtsc");
SNIPPET(i_monitor, "", "monitor");
SNIPPET(i_wbinvd, "", "wbinvd");
SNIPPET(i_pause, "", "pause");
SNIPPET(i_sgdt_rbx, "", "sgdt (%rbx)");
SNIPPET(i_sidt_rbx, "", "sidt (%rbx)");
SNIPPET(i_lgdt_rsi, "", "lgdt (%rsi)");
SNIPPET(i_sldt_eax, "", "sldt %eax");
SNIPPET(i_str_eax, "", "str %eax");
SNIPPET(i_lldt_ax, "", "lldt %ax");
SNIPPET(i_rdmsr, "", "rdmsr");
SNIPPET(i_wrmsr, "", "wrmsr");
SNIPPET(i_mov_dr0_rax, "", "mov %dr0, %rax");
SNIPPET(i_mov_rax_dr0, "", "mov %rax, %dr0");
SNIPPET(i_lock_cpuid, "", ".byte 0xf0; cpuid");
SNIPPET(i_lock_hlt, "", ".byte 0xf0; hlt");
SNIPPET(i_lock_rdtsc, "", ".byte 0xf0; rdtsc");
SNIPPET(i_lock_invlpg_rbx, "", ".byte 0xf0; invlpg (%rbx)");
SNIPPET(i_lock_rdmsr, "", ".byte 0xf0; rdmsr");
SNIPPET(i_lock_in_dx_al, "", ".byte 0xf0; in (%dx), %al");
SNIPPET(i_lock_mov_rax_cr3, "", ".byte 0xf0; mov %rax, %cr3");
SNIPPET(i_clts, "", "clts");
SNIPPET(i_lmsw_ax, "", "lmsw %ax");
SNIPPET(i_mov_rax_cr0, "", "mov %rax, %cr0");
SNIPPET(i_mov_rax_cr3, "", "mov %rax, %cr3");
SNIPPET(i_mov_cr3_rax, "", "mov %cr3, %rax");
SNIPPET(i_in_dx_al, "", "in (%dx), %al");
SNIPPET(i_out_al_dx, "", "out %al, (%dx)");
SNIPPET(i_insb, "", "insb");
SNIPPET(i_outsb, "", "outsb");
SNIPPET(i_mov_rax_dr4, "", "mov %rax, %dr4");
SNIPPET(i_mov_rax_dr5, "", "mov %rax, %dr5");
SNIPPET(i_mov_rax_cr1, "", "mov %rax, %cr1");
SNIPPET(i_mov_rax_cr5, "", "mov %rax, %cr5");
SNIPPET(i_mov_rax_cr6, "", "mov %rax, %cr6");
SNIPPET(i_mov_rax_cr7, "", "mov %rax, %cr7");
SNIPPET(i_mov_rax_cr9, "", "mov %rax, %cr9");
SNIPPET(i_mov_rax_cr10, "", "mov %rax, %cr10");
SNIPPET(i_mov_rax_cr11, "", "mov %rax, %cr11");
SNIPPET(i_mov_rax_cr12, "", "mov %rax, %cr12");
SNIPPET(i_mov_rax_cr13, "", "mov %rax, %cr13");
SNIPPET(i_mov_rax_cr14, "", "mov %rax, %cr14");
SNIPPET(i_mov_rax_cr15, "", "mov %rax, %cr15");
SNIPPET(i_lmsw_rbx, "", "lmsw (%rbx)");
SNIPPET(i_mov_rax_cr4, "", "mov %rax, %cr4");
SNIPPET(i_in_dx_ax, "", "in (%dx), %ax");
SNIPPET(i_in_dx_eax, "", "in (%dx), %eax");
SNIPPET(i_in_0x80_al, "", "in $0x80, %al");
SNIPPET(i_in_0x80_ax, "", "in $0x80, %ax");
SNIPPET(i_in_0x80_eax, "", "in $0x80, %eax");
SNIPPET(i_out_ax_dx, "", "out %ax, (%dx)");
SNIPPET(i_out_eax_dx, "", "out %eax, (%dx)");
SNIPPET(i_out_al_0x80, "", "out %al, $0x80");
SNIPPET(i_out_ax_0x80, "", "out %ax, $0x80");
SNIPPET(i_out_eax_0x80, "", "out %eax, $0x80");
SNIPPET(i_insw, "", "insw");
SNIPPET(i_insl, "", "insl");
SNIPPET(i_outsw, "", "outsw");
SNIPPET(i_outsl, "", "outsl");
SNIPPET(i_rep_insb, "", "rep insb");
SNIPPET(i_rep_outsl, "", "rep outsl");
SNIPPET(i_outsb_fs_rsi_dx, "", "outsb %fs:(%rsi), (%dx)");
SNIPPET(i_cs_in_dx_al, "", "cs in (%dx), %al");
SNIPPET(i_rep_outsb, "", "rep outsb");
SNIPPET(i_fs_insb, "", "fs insb");
SNIPPET(i_vmclear_0x20_rbx, "", "vmclear 0x20(%rbx)");
SNIPPET(i_vmptrld_0x10_rbp_rcx_8, "", "vmptrld -0x10(%rbp,%rcx,8)");
SNIPPET(i_vmptrst_ebx, "", "vmptrst (%ebx)");
SNIPPET(i_vmxon_0x100, "", "vmxon 0x100");
SNIPPET(i_mov_rax_dr7, "", "mov %rax, %dr7");
/* clang-format on */

extern char gdt_pointer[];

#define UD_EVENT EV(6, 3)
#define GP_EVENT EV_E(13)
#define UD_EXIT	 {VMCS_EXCEPTIONS, 1 << 6}
#define GP_EXIT	 {VMCS_EXCEPTIONS, 1 << 13}
#define ALWAYS(name, mode, reason, code) {name, mode, code, {0}, {{0, 0}}, reason, 0, 0}
#define PROC(name, bits, reason, code) {name, G64, code, {0}, {{VMCS_PROC, bits}}, reason, 0, 0}
#define STAYS(name, code) {name, G64, code, {0}, {{0, 0}}, R_VMCALL, 0, 0}
#define GP_FIRST(name, bits, code) {name, G64_USER, code, {0}, {{VMCS_PROC, bits}, GP_EXIT}, 0, 0, GP_EVENT}
#define UD_FIRST(name, mode, bits, code) {name, mode, code, {0}, {{VMCS_PROC, bits}, UD_EXIT}, 0, 0, UD_EVENT}

/* clang-format off */
static const struct row always[] = {
	ALWAYS(REQ("vmx04.1.3.3 vmx04.3.1.2.2.1 vmx04.2.8.1.6 vmx04.2.8.4.3 vmx04.2.8.4.21") "CPUID", G64, R_CPUID, &i_cpuid),
	ALWAYS(REQ("vmx04.1.3.3 vmx04.3.1.2.2.1 vmx04.1.3.5") "CPUID at CPL 3", G64_USER, R_CPUID, &i_cpuid),
	{REQ("vmx04.3.1.2.2.1") "CPUID, leaf 80000000h", G64, &i_cpuid, {0x80000000, 7}, {{0, 0}}, R_CPUID, 0, 0},
	ALWAYS(REQ("vmx04.2.8.4.19") "CPUID with 13 segment overrides", G64, R_CPUID, &i_cpuid_of_15_bytes),
	ALWAYS(REQ("vmx04.2.8.4.3") "CPUID with two prefixes", G64, R_CPUID, &i_ds_data16_cpuid),
	ALWAYS("CPUID in compatibility mode", G_COMPAT, R_CPUID, &i_cpuid_32),
	ALWAYS(REQ("vmx04.3.1.2.2.7.now") "INVD", G64, R_INVD, &i_invd),
	GP_FIRST("INVD at CPL 3", 0, &i_invd),
	{"VMCALL", G64, &i_nothing, {1, 2, 3, 4, 0, 6, 7, 8}, {{0, 0}}, R_VMCALL, 0, 0}, /* its length is 0 here: the VMCALL is the one behind */
	/* VMX instructions; with operands at (%rbx) the displacement is 0 */
	ALWAYS(REQ("vmx04.1.3.6.now") "VMCLEAR", G64, R_VMCLEAR, &i_vmclear_rbx), ALWAYS("VMLAUNCH", G64, R_VMLAUNCH, &i_vmlaunch),
	ALWAYS("VMPTRLD", G64, R_VMPTRLD, &i_vmptrld_rbx), ALWAYS("VMPTRST", G64, R_VMPTRST, &i_vmptrst_rbx),
	ALWAYS("VMREAD", G64, R_VMREAD, &i_vmread_rcx_rdx), ALWAYS("VMRESUME", G64, R_VMRESUME, &i_vmresume),
	ALWAYS("VMWRITE", G64, R_VMWRITE, &i_vmwrite_rdx_rcx), ALWAYS("VMXOFF", G64, R_VMXOFF, &i_vmxoff),
	ALWAYS(REQ("vmx04.1.3.6.now") "VMXON", G64, R_VMXON, &i_vmxon_rbx), /* 19 to 27 */
	/* before the CPL check */
	ALWAYS(REQ("vmx04.4.11") "VMREAD at CPL 3", G64_USER, R_VMREAD, &i_vmread_rcx_rdx), ALWAYS("VMWRITE at CPL 3", G64_USER, R_VMWRITE, &i_vmwrite_rdx_rcx),
	ALWAYS("VMXON at CPL 3", G64_USER, R_VMXON, &i_vmxon_rbx), ALWAYS("VMLAUNCH at CPL 3", G64_USER, R_VMLAUNCH, &i_vmlaunch),
	ALWAYS("VMCLEAR at CPL 3", G64_USER, R_VMCLEAR, &i_vmclear_rbx), ALWAYS(REQ("vmx04.4.11") "VMXOFF at CPL 3", G64_USER, R_VMXOFF, &i_vmxoff),
	/* compatibility mode: #UD before any exit */
	UD_FIRST(REQ("sdm30.20 sdm30.18") "VMCLEAR in compatibility mode", G_COMPAT, 0, &i_vmclear_ebx_32), UD_FIRST("VMLAUNCH in compatibility mode", G_COMPAT, 0, &i_vmlaunch_32),
	UD_FIRST("VMPTRLD in compatibility mode", G_COMPAT, 0, &i_vmptrld_ebx_32), UD_FIRST("VMPTRST in compatibility mode", G_COMPAT, 0, &i_vmptrst_ebx_32),
	UD_FIRST("VMREAD in compatibility mode", G_COMPAT, 0, &i_vmread_ecx_edx_32), UD_FIRST("VMRESUME in compatibility mode", G_COMPAT, 0, &i_vmresume_32),
	UD_FIRST("VMWRITE in compatibility mode", G_COMPAT, 0, &i_vmwrite_edx_ecx_32), UD_FIRST("VMXOFF in compatibility mode", G_COMPAT, 0, &i_vmxoff_32),
	UD_FIRST("VMXON in compatibility mode", G_COMPAT, 0, &i_vmxon_ebx_32), UD_FIRST("INVEPT in compatibility mode", G_COMPAT, 0, &i_invept_ebx_ecx_32),
	UD_FIRST(REQ("sdm30.20") "INVVPID in compatibility mode", G_COMPAT, 0, &i_invvpid_ebx_ecx_32),
	/* VMCALL: prefixes */
	UD_FIRST(REQ("vmx04.VMCALL.5") "LOCK VMCALL", G64, 0, &i_lock_vmcall), /* root and outside: root.c */
	UD_FIRST(REQ("vmx04.VMCALL.6") "F3 VMCALL", G64, 0, &i_f3_vmcall),
	UD_FIRST(REQ("vmx04.VMCALL.6") "F2 VMCALL", G64, 0, &i_f2_vmcall),
	UD_FIRST(REQ("vmx04.VMCALL.8") "66 VMCALL", G64, 0, &i_data16_vmcall),
};
static const struct row controlled[] = {
	PROC(REQ("vmx04.3.1.2.3.2 vmx04.2.5.2.3 vmx04.2.8.1.7 vmx04.2.8.4.4") "HLT", 0, R_HLT, &i_hlt), /* its "off" side: test_hlt */
	PROC(REQ("vmx04.2.8.4.4") "HLT with a prefix", 0, R_HLT, &i_cs_hlt),
	{REQ("vmx04.2.5.2.4 vmx04.3.1.2.3.10 vmx04.2.8.1.8 vmx04.2.8.1.37 vmx04.2.8.4.7") "INVLPG", G64, &i_invlpg_0x40_rbx, {0, 0, 0, 0x12345000}, {{VMCS_PROC, P_INVLPG}}, R_INVLPG, 0x12345040, 0},
	{REQ("vmx04.2.8.1.37") "INVLPG through FS", G64, &i_invlpg_fs_rbx, {0, 0, 0, 0x1000}, {{VMCS_PROC, P_INVLPG}, {VMCS_GUEST_FS_BASE, 0x70000}}, R_INVLPG, 0x71000, 0},
	{REQ("vmx04.2.8.1.38") "INVLPG in compatibility mode", G_COMPAT, &i_invlpg_ebx_32, {0, 0, 0, 0xfffff000}, {{VMCS_PROC, P_INVLPG}}, R_INVLPG, 0xfffff000, 0},
	STAYS(REQ("vmx04.2.5.2.4 vmx04.3.1.2.3.10") "INVLPG, control off", &i_invlpg_rbx),
	PROC(REQ("vmx04.2.5.2.5 vmx04.3.1.2.3.24 vmx04.2.8.1.19 vmx04.2.8.4.11 vmx04.2.8.1.57.now") "MWAIT", P_MWAIT, R_MWAIT, &i_mwait), /* not armed */
	STAYS(REQ("vmx04.2.5.2.5 vmx04.3.1.2.3.24") "MWAIT, control off", &i_mwait), /* not armed: it goes on */
	PROC(REQ("vmx04.2.5.2.6 vmx04.3.1.2.3.25 vmx04.2.8.1.9 vmx04.2.8.4.15 vmx04.2.5.2.17 vmx04.3.1.2.3.27") "RDPMC", P_RDPMC, R_RDPMC, &i_rdpmc),
	STAYS(REQ("vmx04.2.5.2.6 vmx04.3.1.2.3.25") "RDPMC, control off", &i_rdpmc),
	PROC(REQ("vmx04.2.5.2.7 vmx04.3.1.2.3.26 vmx04.2.8.1.10 vmx04.2.8.4.16") "RDTSC", P_RDTSC, R_RDTSC, &i_rdtsc),
	STAYS(REQ("vmx04.2.5.2.7 vmx04.3.1.2.3.26") "RDTSC, control off", &i_rdtsc),
	/* WBINVD, MONITOR, PAUSE, descriptor tables: the "off" sides are next to them */
	PROC(REQ("vmx04.3.1.2.2.8.now") "MONITOR", P_MONITOR, R_MONITOR, &i_monitor), {"MONITOR, control off", G64, &i_monitor, {(u64)scratch}, {{0, 0}}, R_VMCALL, 0, 0},
	{"WBINVD", G64, &i_wbinvd, {0}, {{VMCS_PROC2, S_WBINVD}}, R_WBINVD, 0, 0}, STAYS("WBINVD, control off", &i_wbinvd), STAYS("PAUSE, control off", &i_pause),
#define TABLE(name, reason, code) {name, G64, code, {0, 0, 0, (u64)scratch, 0, 0, (u64)gdt_pointer}, {{VMCS_PROC2, S_TABLES}}, reason, 0, 0}, \
	{name ", control off", G64, code, {0, 0, 0, (u64)scratch, 0, 0, (u64)gdt_pointer}, {{0, 0}}, R_VMCALL, 0, 0}
	TABLE("SGDT", R_GDTR, &i_sgdt_rbx), TABLE("SIDT", R_GDTR, &i_sidt_rbx), TABLE("LGDT", R_GDTR, &i_lgdt_rsi),
	TABLE("SLDT", R_LDTR, &i_sldt_eax), TABLE("STR", R_LDTR, &i_str_eax), TABLE("LLDT", R_LDTR, &i_lldt_ax),
	PROC(REQ("vmx04.2.5.2.14.now") "PAUSE", P_PAUSE, R_PAUSE, &i_pause), /* bits 15, 16 and 28 are rows of registers.c */
	ALWAYS(REQ("vmx04.2.8.1.15 vmx04.2.8.4.14") "RDMSR", G64, R_RDMSR, &i_rdmsr),
	ALWAYS(REQ("vmx04.2.8.1.16 vmx04.2.8.4.17") "WRMSR", G64, R_WRMSR, &i_wrmsr),
	{REQ("vmx04.3.1.2.1.11") "RDMSR of no MSR", G64, &i_rdmsr, {0, 0xdeadbeef}, {GP_EXIT}, R_RDMSR, 0, 0},
	{REQ("vmx04.3.1.2.1.12") "WRMSR of reserved bits", G64, &i_wrmsr, {~0u, 0xc0000080, ~0u}, {GP_EXIT}, R_WRMSR, 0, 0},
	{REQ("vmx04.3.1.2.1.15.now") "MOV DR exits before DR7.GD", G64, &i_mov_dr0_rax, {0}, {{VMCS_PROC, P_DR}, {VMCS_GUEST_DR7, 0x2000}, {VMCS_EXCEPTIONS, 2}, {VMCS_ENTRY_CONTROLS, E_DEBUG}}, R_DR, 0x10, 0},
	STAYS("MOV from DR, control off", &i_mov_dr0_rax), STAYS(REQ("vmx04.2.5.2.11") "MOV to DR, control off", &i_mov_rax_dr0), /* the "on" side: every_register */
};
/* Faults that come first. */
static const struct row priorities[] = {
	UD_FIRST(REQ("vmx04.3.1.2.1.1") "LOCK CPUID", G64, 0, &i_lock_cpuid), /* with those below */
	UD_FIRST("LOCK HLT", G64, 0, &i_lock_hlt), UD_FIRST("LOCK RDTSC", G64, P_RDTSC, &i_lock_rdtsc),
	UD_FIRST("LOCK INVLPG", G64, P_INVLPG, &i_lock_invlpg_rbx), UD_FIRST("LOCK RDMSR", G64, 0, &i_lock_rdmsr),
	UD_FIRST("LOCK IN", G64, P_IO_ALL, &i_lock_in_dx_al), UD_FIRST("LOCK MOV CR3", G64, P_CR3_LOAD, &i_lock_mov_rax_cr3),
	GP_FIRST(REQ("vmx04.3.1.2.1.2") "RDMSR at CPL 3", 0, &i_rdmsr),
	/* all of vmx04.3.1.2.1.3 but MOV DR, ERRATA E70 */
	GP_FIRST("HLT at CPL 3", 0, &i_hlt), GP_FIRST("WRMSR at CPL 3", 0, &i_wrmsr), GP_FIRST("INVLPG at CPL 3", P_INVLPG, &i_invlpg_rbx),
	{"CLTS at CPL 3", G64_USER, &i_clts, {0}, {{VMCS_CR0_MASK, 8}, {VMCS_CR0_SHADOW, 8}, GP_EXIT}, 0, 0, GP_EVENT},
	{"LMSW at CPL 3", G64_USER, &i_lmsw_ax, {0}, {{VMCS_CR0_MASK, 15}, {VMCS_CR0_SHADOW, 14}, GP_EXIT}, 0, 0, GP_EVENT},
	{"MOV to CR0 at CPL 3", G64_USER, &i_mov_rax_cr0, {0}, {{VMCS_CR0_MASK, ~0ull}, {VMCS_CR0_SHADOW, ~0ull}, GP_EXIT}, 0, 0, GP_EVENT},
	GP_FIRST("MOV to CR3 at CPL 3", P_CR3_LOAD, &i_mov_rax_cr3), GP_FIRST("MOV from CR3 at CPL 3", P_CR3_STORE, &i_mov_cr3_rax),
	/* ERRATA E70: the exit of MOV DR comes before #GP by privilege and before #UD by CR4.DE */
	{"MOV to DR at CPL 3", G64_USER, &i_mov_rax_dr0, {0}, {{VMCS_PROC, P_DR}, GP_EXIT}, R_DR, 0, 0},
	{"MOV from DR at CPL 3", G64_USER, &i_mov_dr0_rax, {0}, {{VMCS_PROC, P_DR}, GP_EXIT}, R_DR, 0x10, 0},
	/* IOPL 0 and no permission map */
	GP_FIRST(REQ("vmx04.3.1.2.1.4") "IN at CPL 3", P_IO_ALL, &i_in_dx_al), GP_FIRST("OUT at CPL 3", P_IO_ALL, &i_out_al_dx), GP_FIRST("INSB at CPL 3", P_IO_ALL, &i_insb), GP_FIRST(REQ("vmx04.3.1.2.1.4") "OUTSB at CPL 3", P_IO_ALL, &i_outsb),
	{REQ("vmx04.3.1.2.1.5") "RDTSC at CPL 3, CR4.TSD", G64_USER, &i_rdtsc, {0}, {{VMCS_PROC, P_RDTSC}, {VMCS_GUEST_CR4, 4}, GP_EXIT}, 0, 0, GP_EVENT},
	GP_FIRST(REQ("vmx04.3.1.2.1.6") "RDPMC at CPL 3, CR4.PCE = 0", P_RDPMC, &i_rdpmc),
	UD_FIRST(REQ("vmx04.3.1.2.1.7") "MWAIT at CPL 3", G64_USER, P_MWAIT, &i_mwait),
	{"MOV to DR4, CR4.DE", G64, &i_mov_rax_dr4, {0}, {{VMCS_PROC, P_DR}, {VMCS_GUEST_CR4, 8}, UD_EXIT}, R_DR, 4, 0}, /* E70 */
	{"MOV to DR5, CR4.DE", G64, &i_mov_rax_dr5, {0}, {{VMCS_PROC, P_DR}, {VMCS_GUEST_CR4, 8}, UD_EXIT}, R_DR, 5, 0}, /* E70 */
	UD_FIRST(REQ("vmx04.3.1.2.1.9") "MOV to CR1", G64, 0, &i_mov_rax_cr1), UD_FIRST("MOV to CR5", G64, 0, &i_mov_rax_cr5), UD_FIRST("MOV to CR6", G64, 0, &i_mov_rax_cr6),
	UD_FIRST("MOV to CR7", G64, 0, &i_mov_rax_cr7), UD_FIRST("MOV to CR9", G64, 0, &i_mov_rax_cr9), UD_FIRST("MOV to CR10", G64, 0, &i_mov_rax_cr10),
	UD_FIRST("MOV to CR11", G64, 0, &i_mov_rax_cr11), UD_FIRST("MOV to CR12", G64, 0, &i_mov_rax_cr12), UD_FIRST("MOV to CR13", G64, 0, &i_mov_rax_cr13),
	UD_FIRST("MOV to CR14", G64, 0, &i_mov_rax_cr14), UD_FIRST(REQ("vmx04.3.1.2.1.9") "MOV to CR15", G64, 0, &i_mov_rax_cr15),
	{REQ("vmx04.3.1.2.1.10") "LMSW, operand not mapped", G64, &i_lmsw_rbx, {0, 0, 0, 1ull << 45}, {{VMCS_CR0_MASK, 15}, {VMCS_CR0_SHADOW, 14}, {VMCS_EXCEPTIONS, 1 << 14}}, 0, 0, EV_E(14)},
	{REQ("vmx04.3.1.2.1.13") "MOV to CR0, reserved bits and a host-owned one", G64, &i_mov_rax_cr0, {~0ull}, {{VMCS_CR0_MASK, 8}, GP_EXIT}, R_CR, 0, 0},
	{REQ("vmx04.3.1.2.1.13") "MOV to CR4, reserved bits and a host-owned one", G64, &i_mov_rax_cr4, {~0ull}, {{VMCS_CR4_MASK, 8}, GP_EXIT}, R_CR, 4, 0},
	{REQ("vmx04.3.1.2.1.14") "MOV to CR3, reserved bits", G64, &i_mov_rax_cr3, {~0ull}, {{VMCS_PROC, P_CR3_LOAD}, GP_EXIT}, R_CR, 3, 0},
	{REQ("vmx04.3.1.2.1.16.now") "INSB to a page that is not there", G64, &i_insb, {0, 0, 0x80, 0, 0, 0, 0, 1ull << 45}, {{VMCS_PROC, P_IO_ALL}, {VMCS_EXCEPTIONS, 1 << 14}}, R_IO, 0x800018, 0},
	{REQ("vmx04.3.1.2.1.16.now") "OUTSB from a non-canonical address", G64, &i_outsb, {0, 0, 0x80, 0, 0, 0, 1ull << 47}, {{VMCS_PROC, P_IO_ALL}, GP_EXIT}, R_IO, 0x800010, 0},
};
static const struct row io[] = {
#define IO(name, bits, rdx, qualification, code) {name, G64, code, {0, 0, rdx, 0, 0, 0, (u64)scratch, (u64)scratch}, {{VMCS_PROC, bits}}, R_IO, qualification, 0}
	/* the twelve forms */
	IO(REQ("vmx04.2.8.1.42 vmx04.2.8.1.43 vmx04.2.8.1.44 vmx04.2.8.1.45 vmx04.2.8.1.46.now vmx04.2.8.4.5 vmx04.2.8.4.6 vmx04.2.8.4.12 vmx04.2.8.4.13") "IN AL, DX", P_IO_ALL, 0x1234, 0x12340008, &i_in_dx_al), IO("IN AX, DX", P_IO_ALL, 0x1234, 0x12340009, &i_in_dx_ax), IO("IN EAX, DX", P_IO_ALL, 0x1234, 0x1234000b, &i_in_dx_eax),
	IO("IN AL, 80h", P_IO_ALL, 0, 0x00800048, &i_in_0x80_al), IO("IN AX, 80h", P_IO_ALL, 0, 0x00800049, &i_in_0x80_ax), IO("IN EAX, 80h", P_IO_ALL, 0, 0x0080004b, &i_in_0x80_eax),
	IO("OUT DX, AL", P_IO_ALL, 0xfedc, 0xfedc0000, &i_out_al_dx), IO("OUT DX, AX", P_IO_ALL, 0xfedc, 0xfedc0001, &i_out_ax_dx), IO("OUT DX, EAX", P_IO_ALL, 0xfedc, 0xfedc0003, &i_out_eax_dx),
	IO("OUT 80h, AL", P_IO_ALL, 0, 0x00800040, &i_out_al_0x80), IO("OUT 80h, AX", P_IO_ALL, 0, 0x00800041, &i_out_ax_0x80), IO("OUT 80h, EAX", P_IO_ALL, 0, 0x00800043, &i_out_eax_0x80),
	IO("INSB", P_IO_ALL, 0x1234, 0x12340018, &i_insb), IO("INSW", P_IO_ALL, 0x1234, 0x12340019, &i_insw), IO("INSD", P_IO_ALL, 0x1234, 0x1234001b, &i_insl),
	IO("OUTSB", P_IO_ALL, 0x1234, 0x12340010, &i_outsb), IO("OUTSW", P_IO_ALL, 0x1234, 0x12340011, &i_outsw), IO(REQ("vmx04.3.1.2.3.5 vmx04.3.1.2.3.8 vmx04.2.5.2.12 vmx04.2.8.1.14 vmx04.2.8.1.39 vmx04.2.8.1.40 vmx04.2.8.1.41") "OUTSD", P_IO_ALL, 0x1234, 0x12340013, &i_outsl),
	{REQ("vmx04.2.8.1.42 vmx04.2.8.4.6") "REP INSB", G64, &i_rep_insb, {0, 2, 0x80, 0, 0, 0, 0, (u64)scratch}, {{VMCS_PROC, P_IO_ALL}}, R_IO, 0x800038, 0},
	{REQ("vmx04.2.8.1.42 vmx04.2.8.4.13") "REP OUTSD", G64, &i_rep_outsl, {0, 2, 0x80, 0, 0, 0, (u64)scratch}, {{VMCS_PROC, P_IO_ALL}}, R_IO, 0x800033, 0},
	IO(REQ("vmx04.2.8.4.13") "OUTSB through FS", P_IO_ALL, 0x80, 0x800010, &i_outsb_fs_rsi_dx),
	IO(REQ("vmx04.2.8.4.5") "IN AL, DX with a prefix", P_IO_ALL, 0x80, 0x800008, &i_cs_in_dx_al),
	{REQ("vmx04.3.1.2.3.9") "REP INSB, RCX 0", G64, &i_rep_insb, {0, 0, 0x80, 0, 0, 0, 0, (u64)scratch}, {{VMCS_PROC, P_IO_ALL}}, R_VMCALL, 0, 0},
	{REQ("vmx04.3.1.2.3.9") "REP OUTSB, RCX 0", G64, &i_rep_outsb, {0, 0, 0x80, 0, 0, 0, (u64)scratch}, {{VMCS_PROC, P_IO_ALL}}, R_VMCALL, 0, 0},
	/* neither control */
	STAYS(REQ("vmx04.3.1.2.3.4") "IN, no control", &i_in_0x80_al), STAYS("OUT, no control", &i_out_al_0x80), {"OUTSB, no control", G64, &i_outsb, {0, 0, 0x80, 0, 0, 0, (u64)scratch}, {{0, 0}}, R_VMCALL, 0, 0},
	{REQ("vmx04.3.1.2.3.4") "INSB, no control", G64, &i_insb, {0, 0, 0x80, 0, 0, 0, 0, (u64)scratch}, {{0, 0}}, R_VMCALL, 0, 0},
};
/* clang-format on */

/* Bitmaps: one bit set; each access that touches its port exits and its neighbours do not. */
static u8 *map_a, *map_b;

static u64 io_at(u32 controls, u16 port, u8 opcode, u8 prefix)
{
	u8 code[2] = {prefix, opcode};

	guest_bytes(G64, prefix ? code : code + 1, prefix ? 2 : 1);
	on(VMCS_PROC, controls);
	vmx_write(VMCS_IO_A, (u64)map_a);
	vmx_write(VMCS_IO_B, (u64)map_b);
	memset(g_in, 0, sizeof(g_in));
	g_in[RDX] = port;
	return go();
}

static const struct {
	const char *name;
	u32 bit;  /* the port whose bit is set */
	u16 port; /* accessed */
	u8 prefix, opcode;
	bool exits;
} maps[] = {
	{REQ("vmx04.2.5.5.4 vmx04.2.5.5.5 vmx04.2.5.5.6 vmx04.3.1.2.3.6 vmx04.2.5.2.13 vmx04.2.5.5.1 vmx04.2.5.5.2") "first of A", 0x0000, 0x0000, 0, 0xec, true},	{"last of A", 0x7fff, 0x7fff, 0, 0xec, true},
	{"first of B", 0x8000, 0x8000, 0, 0xec, true},	{"last of B", 0xffff, 0xffff, 0, 0xec, true},
	{"a bit inside", 0x1235, 0x1235, 0, 0xec, true}, {"a neighbour", 0x1235, 0x1234, 0, 0xec, false},
	{"the other", 0x1235, 0x1236, 0, 0xec, false},	{"same bit of B", 0x1235, 0x9235, 0, 0xec, false},
	{"same bit of A", 0x9235, 0x1235, 0, 0xec, false},
	{REQ("vmx04.2.5.5.7") "2 bytes, second", 0x1235, 0x1234, 0x66, 0xed, true}, {"2 bytes, none", 0x1236, 0x1234, 0x66, 0xed, false},
	{"4 bytes, fourth", 0x1237, 0x1234, 0, 0xed, true},    {"4 bytes, none", 0x1238, 0x1234, 0, 0xed, false},
	{"A to B", 0x8000, 0x7fff, 0x66, 0xed, true},	       {"A to B, the first", 0x7fff, 0x7fff, 0x66, 0xed, true},
	{"A to B, 4 bytes", 0x8001, 0x7ffe, 0, 0xed, true},    {"A to B, none", 0x8002, 0x7ffe, 0, 0xed, false},
	{REQ("vmx04.2.5.5.8.now") "wraps", 0x4000, 0xffff, 0x66, 0xed, true},	       {"wraps, 4 bytes", 0x4000, 0xfffd, 0, 0xed, true},
	{"does not wrap", 0x4000, 0xfffc, 0, 0xed, false},
};

static void bitmaps(void)
{
	map_a = (u8 *)fresh_page();
	map_b = (u8 *)fresh_page();
	for (unsigned n = 0; n < COUNT(maps); n++) {
		u8 *m = maps[n].bit < 0x8000 ? map_a : map_b;

		m[(maps[n].bit & 0x7fff) / 8] = (u8)(1 << (maps[n].bit & 7));
		vcheck(maps[n].name, "I/O bitmap", io_at(P_IO_MAP, maps[n].port, maps[n].opcode, maps[n].prefix),
		       maps[n].exits ? R_IO : R_VMCALL);
		vcheck(maps[n].name, REQ("vmx04.3.1.2.3.7") "I/O bitmap, unconditional exiting too",
		       io_at(P_IO_MAP | P_IO_ALL, maps[n].port, maps[n].opcode, maps[n].prefix), maps[n].exits ? R_IO : R_VMCALL);
		m[(maps[n].bit & 0x7fff) / 8] = 0;
	}
	check("I/O bitmap: a store counts at the next entry", io_at(P_IO_MAP, 0x80, 0xec, 0), R_VMCALL);
	map_a[0x80 / 8] = 1; /* I/O bitmaps; the areas and the page: memory.c and registers.c */
	check(REQ("vmx04.2.9.2.1") "I/O bitmap: set by an ordinary store", io_at(P_IO_MAP, 0x80, 0xec, 0), R_IO);
}

/* The linear address of a string instruction, and how far it got. */
static void strings(void)
{
	guest(G64, &i_insb);
	on(VMCS_PROC, P_IO_ALL);
	vmx_write(VMCS_GUEST_FS_BASE, 0x100000); /* FS base */
	g_in[RDI] = 0x7777;
	g_in[RSI] = 0x3333;
	check("INSB", go(), R_IO);
	check(REQ("vmx04.2.8.4.23") "INSB: linear address", vmx_read(VMCS_GUEST_LINEAR), 0x7777);
	guest(G64, &i_fs_insb);
	on(VMCS_PROC, P_IO_ALL);
	vmx_write(VMCS_GUEST_FS_BASE, 0x100000);
	check("FS INSB", go(), R_IO);
	check(REQ("vmx04.2.8.4.26") "FS INSB: linear address", vmx_read(VMCS_GUEST_LINEAR), 0x7777);
	guest(G64, &i_outsb);
	on(VMCS_PROC, P_IO_ALL);
	check("OUTSB", go(), R_IO);
	check(REQ("vmx04.2.8.4.24") "OUTSB: linear address", vmx_read(VMCS_GUEST_LINEAR), 0x3333);
	guest(G64, &i_outsb_fs_rsi_dx);
	on(VMCS_PROC, P_IO_ALL);
	vmx_write(VMCS_GUEST_FS_BASE, 0x100000);
	check("FS OUTSB", go(), R_IO);
	check(REQ("vmx04.2.8.4.25") "FS OUTSB: linear address", vmx_read(VMCS_GUEST_LINEAR), 0x103333);
}

/* A REP that faults half-way exits with the iterations done. */
static void repeated(void)
{
	guest(G64, &i_rep_outsb);
	vmx_write(VMCS_EXCEPTIONS, 1 << 14);
	memset(g_in, 0, sizeof(g_in));
	g_in[RCX] = 8;
	g_in[RDX] = 0x80;
	g_in[RSI] = 0xfffffffc; /* four bytes below what is mapped */
	check(REQ("vmx04.3.1.2.0.2") "REP OUTSB runs into a page fault", go(), R_EXCEPTION);
	check("RCX", g_out[RCX], 4);
	check("RSI", g_out[RSI], 0x100000000);
	check("RIP", vmx_read(VMCS_GUEST_RIP), CODE);
}

/* "VM-Exit Instruction-Information Field": displacement and the form of the operand. */
static void operand_forms(void)
{
	static const struct {
		const struct snippet *code;
		u64 displacement;
		u32 info;
	} list[] = {
		{&i_vmclear_0x20_rbx, 0x20, 2 << 7 | 3 << 15 | 1 << 22 | 3 << 23}, /* VMCLEAR 20h(%rbx) */
		{&i_vmptrld_0x10_rbp_rcx_8, (u64)-0x10, 3 | 2 << 7 | 2 << 15 | 1 << 18 | 5 << 23}, /* VMPTRLD -10h(%rbp, %rcx, 8): SS */
		{&i_vmptrst_ebx, 0, 1 << 7 | 3 << 15 | 1 << 22 | 3 << 23}, /* VMPTRST (%ebx) */
		{&i_vmxon_0x100, 0x100, 2 << 7 | 3 << 15 | 1 << 22 | 1 << 27}, /* VMXON 100h */
	};

	for (unsigned n = 0; n < COUNT(list); n++) {
		u32 mask = 3 | 7 << 7 | 1 << 10 | 7 << 15 | 1 << 22 | 1 << 27;

		mask |= list[n].info & 1 << 22 ? 0 : 15 << 18;
		mask |= list[n].info & 1 << 27 ? 0 : 15 << 23;
		mask &= list[n].info & 1 << 22 ? ~3u : ~0u;
		guest(G64, list[n].code);
		go();
		check(REQ("vmx04.4.12") "displacement", vmx_read(VMCS_QUALIFICATION), list[n].displacement);
		check("instruction information", vmx_read(VMCS_INFO) & mask, list[n].info);
	}
}

/* MOV CR and MOV DR name the register: all sixteen. */
static void every_register(void)
{
	for (u8 n = 0; n < 16; n++) {
		u8 rex = n & 8 ? 0x41 : 0x40, rm = n & 7;
		u64 r = (u64)n << 8;

		GUEST_BYTES(G64, rex, 0x0f, 0x22, 0xd8 | rm);
		on(VMCS_PROC, P_CR3_LOAD);
		check(REQ("vmx04.2.8.1.12 vmx04.2.8.1.24 vmx04.2.8.1.26 vmx04.2.8.1.31") "MOV to CR3", go(), R_CR);
		check(REQ("vmx04.2.8.1.33 vmx04.2.8.1.35 vmx04.2.8.1.36.now") "qualification", vmx_read(VMCS_QUALIFICATION), 3 | r);
		check(REQ("vmx04.2.8.4.9") "length", vmx_read(VMCS_EXIT_LENGTH), 4);
		GUEST_BYTES(G64, rex, 0x0f, 0x20, 0xd8 | rm);
		on(VMCS_PROC, P_CR3_STORE);
		check(REQ("vmx04.2.8.1.27 vmx04.2.8.1.31 vmx04.3.1.2.2.2.now") "MOV from CR3", go(), R_CR);
		check("qualification", vmx_read(VMCS_QUALIFICATION), 0x13 | r);
		for (u8 d = 0; d < 8; d++) {
			if (d == 4 || d == 5)
				continue;
			GUEST_BYTES(G64, rex, 0x0f, 0x23, 0xc0 | d << 3 | rm);
			on(VMCS_PROC, P_DR);
			check(REQ("vmx04.2.8.1.13 vmx04.3.1.2.3.23 vmx04.2.5.2.11") "MOV to DR", go(), R_DR);
			check(REQ("vmx04.2.8.1.48 vmx04.2.8.1.49 vmx04.2.8.1.50 vmx04.2.8.1.51 vmx04.2.8.1.52 vmx04.2.8.1.53") "qualification", vmx_read(VMCS_QUALIFICATION), d | r);
			check(REQ("vmx04.2.8.4.10") "length", vmx_read(VMCS_EXIT_LENGTH), 4);
			GUEST_BYTES(G64, rex, 0x0f, 0x21, 0xc0 | d << 3 | rm);
			on(VMCS_PROC, P_DR);
			check("MOV from DR", go(), R_DR);
			check(REQ("vmx04.2.8.1.50") "qualification", vmx_read(VMCS_QUALIFICATION), d | r | 0x10);
		}
	}
	guest(G64, &i_mov_rax_cr3);
	on(VMCS_PROC, P_CR3_LOAD);
	check(REQ("vmx04.2.8.4.9") "without REX", (go(), vmx_read(VMCS_EXIT_LENGTH)), 3);
	GUEST_BYTES(G64, 0x66, 0x3e, 0x0f, 0x22, 0xd8);
	on(VMCS_PROC, P_CR3_LOAD);
	check(REQ("vmx04.2.8.4.9") "two redundant prefixes", (go(), vmx_read(VMCS_EXIT_LENGTH)), 5);
	guest(G64, &i_mov_rax_dr7);
	on(VMCS_PROC, P_DR);
	check(REQ("vmx04.2.8.4.10") "without REX", (go(), vmx_read(VMCS_EXIT_LENGTH)), 3);
}

/* VMCALL in the modes of a guest; it leaves everything as it is. */
static void vmcall(void)
{
	static const struct {
		const char *name;
		enum guest_mode mode;
		const struct snippet *code;
	} list[] = {
		{REQ("vmx04.VMCALL.2 vmx04.3.1.2.2.5 vmx04.VMCALL.14.now vmcall.2 vmcall.6 vmx04.2.8.1.11") "64-bit mode", G64, &i_nothing},
		{REQ("vmx04.3.1.2.2.5 vmcall.6") "64-bit mode, CPL 3", G64_USER, &i_nothing},
		{REQ("vmx04.VMCALL.13 vmcall.33 sdm30.21") "compatibility mode", G_COMPAT, &i_nothing},
		{REQ("vmx04.VMCALL.13 vmcall.6") "compatibility mode, CPL 3", G_COMPAT_USER, &i_nothing},
		{REQ("vmx04.VMCALL.7") "segment override", G64, &i_cs},
		{REQ("vmx04.VMCALL.9") "address size", G64, &i_addr32},
	};

	for (unsigned n = 0; n < COUNT(list); n++) {
		guest(list[n].mode, list[n].code);
		for (unsigned k = 0; k < 16; k++)
			g_in[k] = k == RSP ? 0 : 0x1111 * (k + 1);
		vmx_write(VMCS_GUEST_RFLAGS, 0x8d7);
		vcheck(list[n].name, "VMCALL", go(), R_VMCALL);
		vcheck(list[n].name, REQ("vmx04.3.1.2.0.1 vmx04.VMCALL.2") "RIP", vmx_read(VMCS_GUEST_RIP), CODE);
		vcheck(list[n].name, REQ("vmx04.VMLAUNCH.15") "RFLAGS", vmx_read(VMCS_GUEST_RFLAGS), 0x8d7);
		vcheck(list[n].name, REQ("vmx04.2.8.4.20") "length", vmx_read(VMCS_EXIT_LENGTH), 3u + length_of(list[n].code));
		vcheck(list[n].name, REQ("vmx04.VMCALL.4 vmx04.2.8.1.58.now") "qualification", vmx_read(VMCS_QUALIFICATION), 0);
		g_out[RSP] = 0;
		vcheck(list[n].name, "general registers", (u64)memcmp(g_in, g_out, sizeof(g_in)), 0);
		vmx_write(VMCS_GUEST_RIP, CODE + length_of(list[n].code) + 3);
		memcpy(code_page + length_of(list[n].code) + 3, (u8[]){0x90, 0x0f, 0xa2}, 3);
		vcheck(list[n].name, REQ("vmx04.3.1.2.2.6") "VMRESUME goes on behind it", again(), R_CPUID);
		vcheck(list[n].name, "RIP", vmx_read(VMCS_GUEST_RIP), CODE + length_of(list[n].code) + 4);
	}
}

static void test_hlt(void)
{
	guest(G64, &i_hlt);
	off(VMCS_PROC, P_HLT);
	on(VMCS_PIN, PIN_TIMER);
	vmx_write(VMCS_TIMER, 1000);
	check(REQ("vmx04.2.5.2.3 vmx04.3.1.2.3.2") "HLT, control off: halts", go(), R_TIMER);
	check("activity state HLT", vmx_read(VMCS_GUEST_ACTIVITY), 1);
	check("RIP behind HLT", vmx_read(VMCS_GUEST_RIP), CODE + 1);
	/* "VMX-Preemption Timer": it counts increments of the TSC; a write to the TSC is none */
	guest(G64, &i_wrmsr);
	g_in[RCX] = 0x10;
	g_in[RDX] = 0x100;
	on(VMCS_PROC, P_MSR_MAP);
	vmx_write(VMCS_MSR_BITMAP, (u64)fresh_page());
	on(VMCS_PIN, PIN_TIMER);
	on(VMCS_EXIT_CONTROLS, X_SAVE_TIMER);
	vmx_write(VMCS_TIMER, 100000);
	check("WRMSR of the TSC", go(), R_VMCALL);
	check("WRMSR of the TSC: what is left of the preemption timer", vmx_read(VMCS_TIMER) - 99000 < 1001, 1);
}

static void test_tsc(void)
{
	u64 now, seen;

	memset(g_in, 0, sizeof(g_in));
	for (unsigned n = 0; n < 3; n++) {
		static const u64 offsets[] = {1ull << 40, -(1ull << 33), 5};

		guest(G64, &i_rdtsc);
		vmx_write(VMCS_TSC_OFFSET, offsets[n]);
		if (n < 2)
			on(VMCS_PROC, P_TSC_OFFSET);
		now = rdtsc();
		check("RDTSC stays", go(), R_VMCALL);
		seen = g_out[RAX] | g_out[RDX] << 32;
		check(REQ("vmx04.2.5.2.2 vmx04.2.5.6.1 vmx04.2.5.6.2 vmx04.3.1.1.21 vmx04.3.1.1.22 vmx04.3.1.1.23") "RDTSC: counter and offset", seen - now - (n < 2 ? offsets[n] : 0) < 1000000, 1);
		check("EDX:EAX, upper halves 0", g_out[RAX] >> 32 | g_out[RDX] >> 32, 0);
	}
	guest(G64, &i_rdtsc);
	on(VMCS_PROC, P_TSC_OFFSET);
	on(VMCS_PROC2, S_TSC_SCALING);
	vmx_write(VMCS_TSC_MULTIPLIER, 5ull << 47); /* 2.5 */
	vmx_write(VMCS_TSC_OFFSET, 1ull << 41);
	now = rdtsc();
	check("RDTSC scaled", go(), R_VMCALL);
	seen = g_out[RAX] | g_out[RDX] << 32;
	check(REQ("vmx04.3.1.1.24.now") "multiplied, then the offset", seen - (now * 2 + now / 2) - (1ull << 41) < 1000000, 1);
}

void test_instructions(void)
{
	ROWS(always);
	ROWS(controlled);
	ROWS(priorities);
	ROWS(io);
	bitmaps();
	strings();
	repeated();
	operand_forms();
	every_register();
	vmcall();
	test_hlt();
	test_tsc();
}
