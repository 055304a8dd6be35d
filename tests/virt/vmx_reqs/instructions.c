/* Which instructions exit, under which control, with which qualification and length, and which fault comes before. */
#include "reqs.h"

extern char gdt_pointer[];

#define UD_EVENT EV(6, 3)
#define GP_EVENT EV_E(13)
#define UD_EXIT	 {VMCS_EXCEPTIONS, 1 << 6}
#define GP_EXIT	 {VMCS_EXCEPTIONS, 1 << 13}
#define ALWAYS(name, mode, reason, ...) {name, mode, B(__VA_ARGS__), {0}, {{0, 0}}, reason, 0, 0}
#define PROC(name, bits, reason, ...) {name, G64, B(__VA_ARGS__), {0}, {{VMCS_PROC, bits}}, reason, 0, 0}
#define STAYS(name, ...) {name, G64, B(__VA_ARGS__), {0}, {{0, 0}}, R_VMCALL, 0, 0}
#define GP_FIRST(name, bits, ...) {name, G64_USER, B(__VA_ARGS__), {0}, {{VMCS_PROC, bits}, GP_EXIT}, 0, 0, GP_EVENT}
#define UD_FIRST(name, mode, bits, ...) {name, mode, B(__VA_ARGS__), {0}, {{VMCS_PROC, bits}, UD_EXIT}, 0, 0, UD_EVENT}

/* clang-format off */
static const struct row always[] = {
	ALWAYS(REQ("vmx04.1.3.3 vmx04.3.1.2.2.1 vmx04.2.8.1.6 vmx04.2.8.4.3 vmx04.2.8.4.21") "CPUID", G64, R_CPUID, 0x0f, 0xa2),
	ALWAYS(REQ("vmx04.1.3.3 vmx04.3.1.2.2.1 vmx04.1.3.5") "CPUID at CPL 3", G64_USER, R_CPUID, 0x0f, 0xa2),
	{REQ("vmx04.3.1.2.2.1") "CPUID, leaf 80000000h", G64, B(0x0f, 0xa2), {0x80000000, 7}, {{0, 0}}, R_CPUID, 0, 0},
	ALWAYS(REQ("vmx04.2.8.4.19") "CPUID with 13 segment overrides", G64, R_CPUID, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x0f, 0xa2),
	ALWAYS(REQ("vmx04.2.8.4.3") "CPUID with two prefixes", G64, R_CPUID, 0x3e, 0x66, 0x0f, 0xa2),
	ALWAYS("CPUID in compatibility mode", G_COMPAT, R_CPUID, 0x0f, 0xa2),
	ALWAYS(REQ("vmx04.3.1.2.2.7.now") "INVD", G64, R_INVD, 0x0f, 0x08),
	GP_FIRST("INVD at CPL 3", 0, 0x0f, 0x08),
	{"VMCALL", G64, B(), {1, 2, 3, 4, 0, 6, 7, 8}, {{0, 0}}, R_VMCALL, 0, 0}, /* its length is 0 here: the VMCALL is the one behind */
	/* VMX instructions; with operands at (%rbx) the displacement is 0 */
	ALWAYS(REQ("vmx04.1.3.6.now") "VMCLEAR", G64, R_VMCLEAR, 0x66, 0x0f, 0xc7, 0x33), ALWAYS("VMLAUNCH", G64, R_VMLAUNCH, 0x0f, 0x01, 0xc2),
	ALWAYS("VMPTRLD", G64, R_VMPTRLD, 0x0f, 0xc7, 0x33), ALWAYS("VMPTRST", G64, R_VMPTRST, 0x0f, 0xc7, 0x3b),
	ALWAYS("VMREAD", G64, R_VMREAD, 0x0f, 0x78, 0xca), ALWAYS("VMRESUME", G64, R_VMRESUME, 0x0f, 0x01, 0xc3),
	ALWAYS("VMWRITE", G64, R_VMWRITE, 0x0f, 0x79, 0xca), ALWAYS("VMXOFF", G64, R_VMXOFF, 0x0f, 0x01, 0xc4),
	ALWAYS(REQ("vmx04.1.3.6.now") "VMXON", G64, R_VMXON, 0xf3, 0x0f, 0xc7, 0x33), /* 19 to 27 */
	/* before the CPL check */
	ALWAYS(REQ("vmx04.4.11") "VMREAD at CPL 3", G64_USER, R_VMREAD, 0x0f, 0x78, 0xca), ALWAYS("VMWRITE at CPL 3", G64_USER, R_VMWRITE, 0x0f, 0x79, 0xca),
	ALWAYS("VMXON at CPL 3", G64_USER, R_VMXON, 0xf3, 0x0f, 0xc7, 0x33), ALWAYS("VMLAUNCH at CPL 3", G64_USER, R_VMLAUNCH, 0x0f, 0x01, 0xc2),
	ALWAYS("VMCLEAR at CPL 3", G64_USER, R_VMCLEAR, 0x66, 0x0f, 0xc7, 0x33), ALWAYS(REQ("vmx04.4.11") "VMXOFF at CPL 3", G64_USER, R_VMXOFF, 0x0f, 0x01, 0xc4),
	/* compatibility mode: #UD before any exit */
	UD_FIRST(REQ("sdm30.20 sdm30.18") "VMCLEAR in compatibility mode", G_COMPAT, 0, 0x66, 0x0f, 0xc7, 0x33), UD_FIRST("VMLAUNCH in compatibility mode", G_COMPAT, 0, 0x0f, 0x01, 0xc2),
	UD_FIRST("VMPTRLD in compatibility mode", G_COMPAT, 0, 0x0f, 0xc7, 0x33), UD_FIRST("VMPTRST in compatibility mode", G_COMPAT, 0, 0x0f, 0xc7, 0x3b),
	UD_FIRST("VMREAD in compatibility mode", G_COMPAT, 0, 0x0f, 0x78, 0xca), UD_FIRST("VMRESUME in compatibility mode", G_COMPAT, 0, 0x0f, 0x01, 0xc3),
	UD_FIRST("VMWRITE in compatibility mode", G_COMPAT, 0, 0x0f, 0x79, 0xca), UD_FIRST("VMXOFF in compatibility mode", G_COMPAT, 0, 0x0f, 0x01, 0xc4),
	UD_FIRST("VMXON in compatibility mode", G_COMPAT, 0, 0xf3, 0x0f, 0xc7, 0x33), UD_FIRST("INVEPT in compatibility mode", G_COMPAT, 0, 0x66, 0x0f, 0x38, 0x80, 0x0b),
	UD_FIRST(REQ("sdm30.20") "INVVPID in compatibility mode", G_COMPAT, 0, 0x66, 0x0f, 0x38, 0x81, 0x0b),
	/* VMCALL: prefixes */
	UD_FIRST(REQ("vmx04.VMCALL.5") "LOCK VMCALL", G64, 0, 0xf0, 0x0f, 0x01, 0xc1), /* root and outside: root.c */
	UD_FIRST(REQ("vmx04.VMCALL.6") "F3 VMCALL", G64, 0, 0xf3, 0x0f, 0x01, 0xc1),
	UD_FIRST(REQ("vmx04.VMCALL.6") "F2 VMCALL", G64, 0, 0xf2, 0x0f, 0x01, 0xc1),
	UD_FIRST(REQ("vmx04.VMCALL.8") "66 VMCALL", G64, 0, 0x66, 0x0f, 0x01, 0xc1),
};
static const struct row controlled[] = {
	PROC(REQ("vmx04.3.1.2.3.2 vmx04.2.5.2.3 vmx04.2.8.1.7 vmx04.2.8.4.4") "HLT", 0, R_HLT, 0xf4), /* its "off" side: test_hlt */
	PROC(REQ("vmx04.2.8.4.4") "HLT with a prefix", 0, R_HLT, 0x2e, 0xf4),
	{REQ("vmx04.2.5.2.4 vmx04.3.1.2.3.10 vmx04.2.8.1.8 vmx04.2.8.1.37 vmx04.2.8.4.7") "INVLPG", G64, B(0x0f, 0x01, 0x7b, 0x40), {0, 0, 0, 0x12345000}, {{VMCS_PROC, P_INVLPG}}, R_INVLPG, 0x12345040, 0},
	{REQ("vmx04.2.8.1.37") "INVLPG through FS", G64, B(0x64, 0x0f, 0x01, 0x3b), {0, 0, 0, 0x1000}, {{VMCS_PROC, P_INVLPG}, {VMCS_GUEST_FS_BASE, 0x70000}}, R_INVLPG, 0x71000, 0},
	{REQ("vmx04.2.8.1.38") "INVLPG in compatibility mode", G_COMPAT, B(0x0f, 0x01, 0x3b), {0, 0, 0, 0xfffff000}, {{VMCS_PROC, P_INVLPG}}, R_INVLPG, 0xfffff000, 0},
	STAYS(REQ("vmx04.2.5.2.4 vmx04.3.1.2.3.10") "INVLPG, control off", 0x0f, 0x01, 0x3b),
	PROC(REQ("vmx04.2.5.2.5 vmx04.3.1.2.3.24 vmx04.2.8.1.19 vmx04.2.8.4.11 vmx04.2.8.1.57.now") "MWAIT", P_MWAIT, R_MWAIT, 0x0f, 0x01, 0xc9), /* not armed */
	STAYS(REQ("vmx04.2.5.2.5 vmx04.3.1.2.3.24") "MWAIT, control off", 0x0f, 0x01, 0xc9), /* not armed: it goes on */
	PROC(REQ("vmx04.2.5.2.6 vmx04.3.1.2.3.25 vmx04.2.8.1.9 vmx04.2.8.4.15 vmx04.2.5.2.17 vmx04.3.1.2.3.27") "RDPMC", P_RDPMC, R_RDPMC, 0x0f, 0x33),
	STAYS(REQ("vmx04.2.5.2.6 vmx04.3.1.2.3.25") "RDPMC, control off", 0x0f, 0x33),
	PROC(REQ("vmx04.2.5.2.7 vmx04.3.1.2.3.26 vmx04.2.8.1.10 vmx04.2.8.4.16") "RDTSC", P_RDTSC, R_RDTSC, 0x0f, 0x31),
	STAYS(REQ("vmx04.2.5.2.7 vmx04.3.1.2.3.26") "RDTSC, control off", 0x0f, 0x31),
	/* WBINVD, MONITOR, PAUSE, descriptor tables: the "off" sides are next to them */
	PROC(REQ("vmx04.3.1.2.2.8.now") "MONITOR", P_MONITOR, R_MONITOR, 0x0f, 0x01, 0xc8), {"MONITOR, control off", G64, B(0x0f, 0x01, 0xc8), {(u64)scratch}, {{0, 0}}, R_VMCALL, 0, 0},
	{"WBINVD", G64, B(0x0f, 0x09), {0}, {{VMCS_PROC2, S_WBINVD}}, R_WBINVD, 0, 0}, STAYS("WBINVD, control off", 0x0f, 0x09), STAYS("PAUSE, control off", 0xf3, 0x90),
#define TABLE(name, reason, ...) {name, G64, B(__VA_ARGS__), {0, 0, 0, (u64)scratch, 0, 0, (u64)gdt_pointer}, {{VMCS_PROC2, S_TABLES}}, reason, 0, 0}, \
	{name ", control off", G64, B(__VA_ARGS__), {0, 0, 0, (u64)scratch, 0, 0, (u64)gdt_pointer}, {{0, 0}}, R_VMCALL, 0, 0}
	TABLE("SGDT", R_GDTR, 0x0f, 0x01, 0x03), TABLE("SIDT", R_GDTR, 0x0f, 0x01, 0x0b), TABLE("LGDT", R_GDTR, 0x0f, 0x01, 0x16),
	TABLE("SLDT", R_LDTR, 0x0f, 0x00, 0xc0), TABLE("STR", R_LDTR, 0x0f, 0x00, 0xc8), TABLE("LLDT", R_LDTR, 0x0f, 0x00, 0xd0),
	PROC(REQ("vmx04.2.5.2.14.now") "PAUSE", P_PAUSE, R_PAUSE, 0xf3, 0x90), /* bits 15, 16 and 28 are rows of registers.c */
	ALWAYS(REQ("vmx04.2.8.1.15 vmx04.2.8.4.14") "RDMSR", G64, R_RDMSR, 0x0f, 0x32),
	ALWAYS(REQ("vmx04.2.8.1.16 vmx04.2.8.4.17") "WRMSR", G64, R_WRMSR, 0x0f, 0x30),
	{REQ("vmx04.3.1.2.1.11") "RDMSR of no MSR", G64, B(0x0f, 0x32), {0, 0xdeadbeef}, {GP_EXIT}, R_RDMSR, 0, 0},
	{REQ("vmx04.3.1.2.1.12") "WRMSR of reserved bits", G64, B(0x0f, 0x30), {~0u, 0xc0000080, ~0u}, {GP_EXIT}, R_WRMSR, 0, 0},
	{REQ("vmx04.3.1.2.1.15.now") "MOV DR exits before DR7.GD", G64, B(0x0f, 0x21, 0xc0), {0}, {{VMCS_PROC, P_DR}, {VMCS_GUEST_DR7, 0x2000}, {VMCS_EXCEPTIONS, 2}, {VMCS_ENTRY_CONTROLS, 4}}, R_DR, 0x10, 0},
	STAYS("MOV from DR, control off", 0x0f, 0x21, 0xc0), STAYS(REQ("vmx04.2.5.2.11") "MOV to DR, control off", 0x0f, 0x23, 0xc0), /* the "on" side: every_register */
};
/* Faults that come first. */
static const struct row priorities[] = {
	UD_FIRST(REQ("vmx04.3.1.2.1.1") "LOCK CPUID", G64, 0, 0xf0, 0x0f, 0xa2), /* with those below */
	UD_FIRST("LOCK HLT", G64, 0, 0xf0, 0xf4), UD_FIRST("LOCK RDTSC", G64, P_RDTSC, 0xf0, 0x0f, 0x31),
	UD_FIRST("LOCK INVLPG", G64, P_INVLPG, 0xf0, 0x0f, 0x01, 0x3b), UD_FIRST("LOCK RDMSR", G64, 0, 0xf0, 0x0f, 0x32),
	UD_FIRST("LOCK IN", G64, P_IO_ALL, 0xf0, 0xec), UD_FIRST("LOCK MOV CR3", G64, P_CR3_LOAD, 0xf0, 0x0f, 0x22, 0xd8),
	GP_FIRST(REQ("vmx04.3.1.2.1.2") "RDMSR at CPL 3", 0, 0x0f, 0x32),
	/* all of vmx04.3.1.2.1.3 but MOV DR, ERRATA E70 */
	GP_FIRST("HLT at CPL 3", 0, 0xf4), GP_FIRST("WRMSR at CPL 3", 0, 0x0f, 0x30), GP_FIRST("INVLPG at CPL 3", P_INVLPG, 0x0f, 0x01, 0x3b),
	{"CLTS at CPL 3", G64_USER, B(0x0f, 0x06), {0}, {{VMCS_CR0_MASK, 8}, {VMCS_CR0_SHADOW, 8}, GP_EXIT}, 0, 0, GP_EVENT},
	{"LMSW at CPL 3", G64_USER, B(0x0f, 0x01, 0xf0), {0}, {{VMCS_CR0_MASK, 15}, {VMCS_CR0_SHADOW, 14}, GP_EXIT}, 0, 0, GP_EVENT},
	{"MOV to CR0 at CPL 3", G64_USER, B(0x0f, 0x22, 0xc0), {0}, {{VMCS_CR0_MASK, ~0ull}, {VMCS_CR0_SHADOW, ~0ull}, GP_EXIT}, 0, 0, GP_EVENT},
	GP_FIRST("MOV to CR3 at CPL 3", P_CR3_LOAD, 0x0f, 0x22, 0xd8), GP_FIRST("MOV from CR3 at CPL 3", P_CR3_STORE, 0x0f, 0x20, 0xd8),
	/* ERRATA E70: the exit of MOV DR comes before #GP by privilege and before #UD by CR4.DE */
	{"MOV to DR at CPL 3", G64_USER, B(0x0f, 0x23, 0xc0), {0}, {{VMCS_PROC, P_DR}, GP_EXIT}, R_DR, 0, 0},
	{"MOV from DR at CPL 3", G64_USER, B(0x0f, 0x21, 0xc0), {0}, {{VMCS_PROC, P_DR}, GP_EXIT}, R_DR, 0x10, 0},
	/* IOPL 0 and no permission map */
	GP_FIRST(REQ("vmx04.3.1.2.1.4") "IN at CPL 3", P_IO_ALL, 0xec), GP_FIRST("OUT at CPL 3", P_IO_ALL, 0xee), GP_FIRST("INSB at CPL 3", P_IO_ALL, 0x6c), GP_FIRST(REQ("vmx04.3.1.2.1.4") "OUTSB at CPL 3", P_IO_ALL, 0x6e),
	{REQ("vmx04.3.1.2.1.5") "RDTSC at CPL 3, CR4.TSD", G64_USER, B(0x0f, 0x31), {0}, {{VMCS_PROC, P_RDTSC}, {VMCS_GUEST_CR4, 4}, GP_EXIT}, 0, 0, GP_EVENT},
	GP_FIRST(REQ("vmx04.3.1.2.1.6") "RDPMC at CPL 3, CR4.PCE = 0", P_RDPMC, 0x0f, 0x33),
	UD_FIRST(REQ("vmx04.3.1.2.1.7") "MWAIT at CPL 3", G64_USER, P_MWAIT, 0x0f, 0x01, 0xc9),
	{"MOV to DR4, CR4.DE", G64, B(0x0f, 0x23, 0xe0), {0}, {{VMCS_PROC, P_DR}, {VMCS_GUEST_CR4, 8}, UD_EXIT}, R_DR, 4, 0}, /* E70 */
	{"MOV to DR5, CR4.DE", G64, B(0x0f, 0x23, 0xe8), {0}, {{VMCS_PROC, P_DR}, {VMCS_GUEST_CR4, 8}, UD_EXIT}, R_DR, 5, 0}, /* E70 */
	UD_FIRST(REQ("vmx04.3.1.2.1.9") "MOV to CR1", G64, 0, 0x0f, 0x22, 0xc8), UD_FIRST("MOV to CR5", G64, 0, 0x0f, 0x22, 0xe8), UD_FIRST("MOV to CR6", G64, 0, 0x0f, 0x22, 0xf0),
	UD_FIRST("MOV to CR7", G64, 0, 0x0f, 0x22, 0xf8), UD_FIRST("MOV to CR9", G64, 0, 0x44, 0x0f, 0x22, 0xc8), UD_FIRST("MOV to CR10", G64, 0, 0x44, 0x0f, 0x22, 0xd0),
	UD_FIRST("MOV to CR11", G64, 0, 0x44, 0x0f, 0x22, 0xd8), UD_FIRST("MOV to CR12", G64, 0, 0x44, 0x0f, 0x22, 0xe0), UD_FIRST("MOV to CR13", G64, 0, 0x44, 0x0f, 0x22, 0xe8),
	UD_FIRST("MOV to CR14", G64, 0, 0x44, 0x0f, 0x22, 0xf0), UD_FIRST(REQ("vmx04.3.1.2.1.9") "MOV to CR15", G64, 0, 0x44, 0x0f, 0x22, 0xf8),
	{REQ("vmx04.3.1.2.1.10") "LMSW, operand not mapped", G64, B(0x0f, 0x01, 0x33), {0, 0, 0, 1ull << 45}, {{VMCS_CR0_MASK, 15}, {VMCS_CR0_SHADOW, 14}, {VMCS_EXCEPTIONS, 1 << 14}}, 0, 0, EV_E(14)},
	{REQ("vmx04.3.1.2.1.13") "MOV to CR0, reserved bits and a host-owned one", G64, B(0x0f, 0x22, 0xc0), {~0ull}, {{VMCS_CR0_MASK, 8}, GP_EXIT}, R_CR, 0, 0},
	{REQ("vmx04.3.1.2.1.13") "MOV to CR4, reserved bits and a host-owned one", G64, B(0x0f, 0x22, 0xe0), {~0ull}, {{VMCS_CR4_MASK, 8}, GP_EXIT}, R_CR, 4, 0},
	{REQ("vmx04.3.1.2.1.14") "MOV to CR3, reserved bits", G64, B(0x0f, 0x22, 0xd8), {~0ull}, {{VMCS_PROC, P_CR3_LOAD}, GP_EXIT}, R_CR, 3, 0},
	{REQ("vmx04.3.1.2.1.16.now") "INSB to a page that is not there", G64, B(0x6c), {0, 0, 0x80, 0, 0, 0, 0, 1ull << 45}, {{VMCS_PROC, P_IO_ALL}, {VMCS_EXCEPTIONS, 1 << 14}}, R_IO, 0x800018, 0},
	{REQ("vmx04.3.1.2.1.16.now") "OUTSB from a non-canonical address", G64, B(0x6e), {0, 0, 0x80, 0, 0, 0, 1ull << 47}, {{VMCS_PROC, P_IO_ALL}, GP_EXIT}, R_IO, 0x800010, 0},
};
static const struct row io[] = {
#define IO(name, bits, rdx, qualification, ...) {name, G64, B(__VA_ARGS__), {0, 0, rdx, 0, 0, 0, (u64)scratch, (u64)scratch}, {{VMCS_PROC, bits}}, R_IO, qualification, 0}
	/* the twelve forms */
	IO(REQ("vmx04.2.8.1.42 vmx04.2.8.1.43 vmx04.2.8.1.44 vmx04.2.8.1.45 vmx04.2.8.1.46.now vmx04.2.8.4.5 vmx04.2.8.4.6 vmx04.2.8.4.12 vmx04.2.8.4.13") "IN AL, DX", P_IO_ALL, 0x1234, 0x12340008, 0xec), IO("IN AX, DX", P_IO_ALL, 0x1234, 0x12340009, 0x66, 0xed), IO("IN EAX, DX", P_IO_ALL, 0x1234, 0x1234000b, 0xed),
	IO("IN AL, 80h", P_IO_ALL, 0, 0x00800048, 0xe4, 0x80), IO("IN AX, 80h", P_IO_ALL, 0, 0x00800049, 0x66, 0xe5, 0x80), IO("IN EAX, 80h", P_IO_ALL, 0, 0x0080004b, 0xe5, 0x80),
	IO("OUT DX, AL", P_IO_ALL, 0xfedc, 0xfedc0000, 0xee), IO("OUT DX, AX", P_IO_ALL, 0xfedc, 0xfedc0001, 0x66, 0xef), IO("OUT DX, EAX", P_IO_ALL, 0xfedc, 0xfedc0003, 0xef),
	IO("OUT 80h, AL", P_IO_ALL, 0, 0x00800040, 0xe6, 0x80), IO("OUT 80h, AX", P_IO_ALL, 0, 0x00800041, 0x66, 0xe7, 0x80), IO("OUT 80h, EAX", P_IO_ALL, 0, 0x00800043, 0xe7, 0x80),
	IO("INSB", P_IO_ALL, 0x1234, 0x12340018, 0x6c), IO("INSW", P_IO_ALL, 0x1234, 0x12340019, 0x66, 0x6d), IO("INSD", P_IO_ALL, 0x1234, 0x1234001b, 0x6d),
	IO("OUTSB", P_IO_ALL, 0x1234, 0x12340010, 0x6e), IO("OUTSW", P_IO_ALL, 0x1234, 0x12340011, 0x66, 0x6f), IO(REQ("vmx04.3.1.2.3.5 vmx04.3.1.2.3.8 vmx04.2.5.2.12 vmx04.2.8.1.14 vmx04.2.8.1.39 vmx04.2.8.1.40 vmx04.2.8.1.41") "OUTSD", P_IO_ALL, 0x1234, 0x12340013, 0x6f),
	{REQ("vmx04.2.8.1.42 vmx04.2.8.4.6") "REP INSB", G64, B(0xf3, 0x6c), {0, 2, 0x80, 0, 0, 0, 0, (u64)scratch}, {{VMCS_PROC, P_IO_ALL}}, R_IO, 0x800038, 0},
	{REQ("vmx04.2.8.1.42 vmx04.2.8.4.13") "REP OUTSD", G64, B(0xf3, 0x6f), {0, 2, 0x80, 0, 0, 0, (u64)scratch}, {{VMCS_PROC, P_IO_ALL}}, R_IO, 0x800033, 0},
	IO(REQ("vmx04.2.8.4.13") "OUTSB through FS", P_IO_ALL, 0x80, 0x800010, 0x64, 0x6e),
	IO(REQ("vmx04.2.8.4.5") "IN AL, DX with a prefix", P_IO_ALL, 0x80, 0x800008, 0x2e, 0xec),
	{REQ("vmx04.3.1.2.3.9") "REP INSB, RCX 0", G64, B(0xf3, 0x6c), {0, 0, 0x80, 0, 0, 0, 0, (u64)scratch}, {{VMCS_PROC, P_IO_ALL}}, R_VMCALL, 0, 0},
	{REQ("vmx04.3.1.2.3.9") "REP OUTSB, RCX 0", G64, B(0xf3, 0x6e), {0, 0, 0x80, 0, 0, 0, (u64)scratch}, {{VMCS_PROC, P_IO_ALL}}, R_VMCALL, 0, 0},
	/* neither control */
	STAYS(REQ("vmx04.3.1.2.3.4") "IN, no control", 0xe4, 0x80), STAYS("OUT, no control", 0xe6, 0x80), {"OUTSB, no control", G64, B(0x6e), {0, 0, 0x80, 0, 0, 0, (u64)scratch}, {{0, 0}}, R_VMCALL, 0, 0},
	{REQ("vmx04.3.1.2.3.4") "INSB, no control", G64, B(0x6c), {0, 0, 0x80, 0, 0, 0, 0, (u64)scratch}, {{0, 0}}, R_VMCALL, 0, 0},
};
/* clang-format on */

/* Bitmaps: one bit set; each access that touches its port exits and its neighbours do not. */
static u8 *map_a, *map_b;

static u64 io_at(u32 controls, u16 port, u8 opcode, u8 prefix)
{
	u8 code[2] = {prefix, opcode};

	guest(G64, prefix ? code : code + 1, prefix ? 2 : 1);
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
	for (unsigned n = 0; n < sizeof(maps) / sizeof(maps[0]); n++) {
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
	GUEST(G64, 0x6c);
	on(VMCS_PROC, P_IO_ALL);
	vmx_write(VMCS_GUEST_FS_BASE, 0x100000); /* FS base */
	g_in[RDI] = 0x7777;
	g_in[RSI] = 0x3333;
	check("INSB", go(), R_IO);
	check(REQ("vmx04.2.8.4.23") "INSB: linear address", vmx_read(VMCS_GUEST_LINEAR), 0x7777);
	GUEST(G64, 0x64, 0x6c);
	on(VMCS_PROC, P_IO_ALL);
	vmx_write(VMCS_GUEST_FS_BASE, 0x100000);
	check("FS INSB", go(), R_IO);
	check(REQ("vmx04.2.8.4.26") "FS INSB: linear address", vmx_read(VMCS_GUEST_LINEAR), 0x7777);
	GUEST(G64, 0x6e);
	on(VMCS_PROC, P_IO_ALL);
	check("OUTSB", go(), R_IO);
	check(REQ("vmx04.2.8.4.24") "OUTSB: linear address", vmx_read(VMCS_GUEST_LINEAR), 0x3333);
	GUEST(G64, 0x64, 0x6e);
	on(VMCS_PROC, P_IO_ALL);
	vmx_write(VMCS_GUEST_FS_BASE, 0x100000);
	check("FS OUTSB", go(), R_IO);
	check(REQ("vmx04.2.8.4.25") "FS OUTSB: linear address", vmx_read(VMCS_GUEST_LINEAR), 0x103333);
}

/* A REP that faults half-way exits with the iterations done. */
static void repeated(void)
{
	GUEST(G64, 0xf3, 0x6e);
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
		u8 code[9], length;
		u64 displacement;
		u32 info;
	} list[] = {
		{B(0x66, 0x0f, 0xc7, 0x73, 0x20), 0x20, 2 << 7 | 3 << 15 | 1 << 22 | 3 << 23}, /* VMCLEAR 20h(%rbx) */
		{B(0x0f, 0xc7, 0x74, 0xcd, 0xf0), (u64)-0x10, 3 | 2 << 7 | 2 << 15 | 1 << 18 | 5 << 23}, /* VMPTRLD -10h(%rbp, %rcx, 8): SS */
		{B(0x67, 0x0f, 0xc7, 0x3b), 0, 1 << 7 | 3 << 15 | 1 << 22 | 3 << 23}, /* VMPTRST (%ebx) */
		{B(0xf3, 0x0f, 0xc7, 0x34, 0x25, 0, 1, 0, 0), 0x100, 2 << 7 | 3 << 15 | 1 << 22 | 1 << 27}, /* VMXON 100h */
	};

	for (unsigned n = 0; n < sizeof(list) / sizeof(list[0]); n++) {
		u32 mask = 3 | 7 << 7 | 1 << 10 | 7 << 15 | 1 << 22 | 1 << 27;

		mask |= list[n].info & 1 << 22 ? 0 : 15 << 18;
		mask |= list[n].info & 1 << 27 ? 0 : 15 << 23;
		mask &= list[n].info & 1 << 22 ? ~3u : ~0u;
		guest(G64, list[n].code, list[n].length);
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

		GUEST(G64, rex, 0x0f, 0x22, 0xd8 | rm);
		on(VMCS_PROC, P_CR3_LOAD);
		check(REQ("vmx04.2.8.1.12 vmx04.2.8.1.24 vmx04.2.8.1.26 vmx04.2.8.1.31") "MOV to CR3", go(), R_CR);
		check(REQ("vmx04.2.8.1.33 vmx04.2.8.1.35 vmx04.2.8.1.36.now") "qualification", vmx_read(VMCS_QUALIFICATION), 3 | r);
		check(REQ("vmx04.2.8.4.9") "length", vmx_read(VMCS_EXIT_LENGTH), 4);
		GUEST(G64, rex, 0x0f, 0x20, 0xd8 | rm);
		on(VMCS_PROC, P_CR3_STORE);
		check(REQ("vmx04.2.8.1.27 vmx04.2.8.1.31 vmx04.3.1.2.2.2.now") "MOV from CR3", go(), R_CR);
		check("qualification", vmx_read(VMCS_QUALIFICATION), 0x13 | r);
		for (u8 d = 0; d < 8; d++) {
			if (d == 4 || d == 5)
				continue;
			GUEST(G64, rex, 0x0f, 0x23, 0xc0 | d << 3 | rm);
			on(VMCS_PROC, P_DR);
			check(REQ("vmx04.2.8.1.13 vmx04.3.1.2.3.23 vmx04.2.5.2.11") "MOV to DR", go(), R_DR);
			check(REQ("vmx04.2.8.1.48 vmx04.2.8.1.49 vmx04.2.8.1.50 vmx04.2.8.1.51 vmx04.2.8.1.52 vmx04.2.8.1.53") "qualification", vmx_read(VMCS_QUALIFICATION), d | r);
			check(REQ("vmx04.2.8.4.10") "length", vmx_read(VMCS_EXIT_LENGTH), 4);
			GUEST(G64, rex, 0x0f, 0x21, 0xc0 | d << 3 | rm);
			on(VMCS_PROC, P_DR);
			check("MOV from DR", go(), R_DR);
			check(REQ("vmx04.2.8.1.50") "qualification", vmx_read(VMCS_QUALIFICATION), d | r | 0x10);
		}
	}
	GUEST(G64, 0x0f, 0x22, 0xd8);
	on(VMCS_PROC, P_CR3_LOAD);
	check(REQ("vmx04.2.8.4.9") "without REX", (go(), vmx_read(VMCS_EXIT_LENGTH)), 3);
	GUEST(G64, 0x0f, 0x23, 0xf8);
	on(VMCS_PROC, P_DR);
	check(REQ("vmx04.2.8.4.10") "without REX", (go(), vmx_read(VMCS_EXIT_LENGTH)), 3);
}

/* VMCALL in the modes of a guest; it leaves everything as it is. */
static void vmcall(void)
{
	static const struct {
		const char *name;
		enum guest_mode mode;
		u8 code[3], length;
	} list[] = {
		{REQ("vmx04.VMCALL.2 vmx04.3.1.2.2.5 vmx04.VMCALL.14.now vmcall.2 vmcall.6 vmx04.2.8.1.11") "64-bit mode", G64, {0}, 0},
		{REQ("vmx04.3.1.2.2.5 vmcall.6") "64-bit mode, CPL 3", G64_USER, {0}, 0},
		{REQ("vmx04.VMCALL.13 vmcall.33 sdm30.21") "compatibility mode", G_COMPAT, {0}, 0},
		{REQ("vmx04.VMCALL.13 vmcall.6") "compatibility mode, CPL 3", G_COMPAT_USER, {0}, 0},
		{REQ("vmx04.VMCALL.7") "segment override", G64, {0x2e}, 1},
		{REQ("vmx04.VMCALL.9") "address size", G64, {0x67}, 1},
	};

	for (unsigned n = 0; n < sizeof(list) / sizeof(list[0]); n++) {
		guest(list[n].mode, list[n].code, list[n].length);
		for (unsigned k = 0; k < 16; k++)
			g_in[k] = k == RSP ? 0 : 0x1111 * (k + 1);
		vmx_write(VMCS_GUEST_RFLAGS, 0x8d7);
		vcheck(list[n].name, "VMCALL", go(), R_VMCALL);
		vcheck(list[n].name, REQ("vmx04.3.1.2.0.1 vmx04.VMCALL.2") "RIP", vmx_read(VMCS_GUEST_RIP), CODE);
		vcheck(list[n].name, REQ("vmx04.VMLAUNCH.15") "RFLAGS", vmx_read(VMCS_GUEST_RFLAGS), 0x8d7);
		vcheck(list[n].name, REQ("vmx04.2.8.4.20") "length", vmx_read(VMCS_EXIT_LENGTH), 3u + list[n].length);
		vcheck(list[n].name, REQ("vmx04.VMCALL.4 vmx04.2.8.1.58.now") "qualification", vmx_read(VMCS_QUALIFICATION), 0);
		g_out[RSP] = 0;
		vcheck(list[n].name, "general registers", (u64)memcmp(g_in, g_out, sizeof(g_in)), 0);
		vmx_write(VMCS_GUEST_RIP, CODE + list[n].length + 3);
		memcpy(code_page + list[n].length + 3, (u8[]){0x90, 0x0f, 0xa2}, 3);
		vcheck(list[n].name, REQ("vmx04.3.1.2.2.6") "VMRESUME goes on behind it", again(), R_CPUID);
		vcheck(list[n].name, "RIP", vmx_read(VMCS_GUEST_RIP), CODE + list[n].length + 4);
	}
}

static void test_hlt(void)
{
	GUEST(G64, 0xf4);
	off(VMCS_PROC, P_HLT);
	on(VMCS_PIN, PIN_TIMER);
	vmx_write(VMCS_TIMER, 1000);
	check(REQ("vmx04.2.5.2.3 vmx04.3.1.2.3.2") "HLT, control off: halts", go(), R_TIMER);
	check("activity state HLT", vmx_read(VMCS_GUEST_ACTIVITY), 1);
	check("RIP behind HLT", vmx_read(VMCS_GUEST_RIP), CODE + 1);
	/* "VMX-Preemption Timer": it counts increments of the TSC; a write to the TSC is none */
	GUEST(G64, 0x0f, 0x30);
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

		GUEST(G64, 0x0f, 0x31);
		vmx_write(VMCS_TSC_OFFSET, offsets[n]);
		if (n < 2)
			on(VMCS_PROC, P_TSC_OFFSET);
		now = rdtsc();
		check("RDTSC stays", go(), R_VMCALL);
		seen = g_out[RAX] | g_out[RDX] << 32;
		check(REQ("vmx04.2.5.2.2 vmx04.2.5.6.1 vmx04.2.5.6.2 vmx04.3.1.1.21 vmx04.3.1.1.22 vmx04.3.1.1.23") "RDTSC: counter and offset", seen - now - (n < 2 ? offsets[n] : 0) < 1000000, 1);
		check("EDX:EAX, upper halves 0", g_out[RAX] >> 32 | g_out[RDX] >> 32, 0);
	}
	GUEST(G64, 0x0f, 0x31);
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
