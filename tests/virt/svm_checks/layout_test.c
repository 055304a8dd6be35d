/*
 * The layout of the VMCB, the intercept words, the exit codes and the tables of memory types, row by row as the manual
 * prints them: appendices C and D, tables 2-12 and 2-13 of 33047. Each row carries the requirement it proves.
 */
#include <stdio.h>

#include "../../proved.h"
#include "svm/svm.h"

static unsigned passed, failed;

static void check(bool ok, const char *what)
{
	passed += ok;
	failed += !ok;
	if (ok)
		proved_by(what);
	else
		printf("FAILED: %s\n", what);
}

/* The checks of a row are behind it. */
static void row_proves(const char *ids)
{
	if (ids && !failed)
		proved(ids);
}

/* clang-format off */
#define F(m) offsetof(struct vmcb_page, m), sizeof(((struct vmcb_page *)0)->m), #m
static const struct { size_t offset, width; const char *name; size_t want, want_width; const char *ids; } fields[] = {
	{F(control.iopm_base_pa), 0x040, 8, "svm.C.1.54"},
	{F(control.msrpm_base_pa), 0x048, 8, "svm.C.1.55"},
	{F(control.tsc_offset), 0x050, 8, "svm.C.1.56"},
	{F(control.exitcode), 0x070, 8, "svm.C.1.73"},
	{F(control.exitinfo1), 0x078, 8, "svm.C.1.74"},
	{F(control.exitinfo2), 0x080, 8, "svm.C.1.75"},
	{F(control.exitintinfo), 0x088, 8, "svm.C.1.76"},
	{F(control.eventinj), 0x0a8, 8, "svm.C.1.80"},
	{F(control.n_cr3), 0x0b0, 8, "svm.C.1.81"},
	{F(save.es.sel), 0x400, 2, "svm.C.1.85"},
	{F(save.es.attrib), 0x402, 2, "svm.C.1.86"},
	{F(save.es.limit), 0x404, 4, "svm.C.1.87"},
	{F(save.es.base), 0x408, 8, "svm.C.1.88"},
	{F(save.cs.sel), 0x410, 2, "svm.C.1.89"},
	{F(save.cs.attrib), 0x412, 2, "svm.C.1.90"},
	{F(save.cs.limit), 0x414, 4, "svm.C.1.91"},
	{F(save.cs.base), 0x418, 8, "svm.C.1.92"},
	{F(save.ss.sel), 0x420, 2, "svm.C.1.93"},
	{F(save.ss.attrib), 0x422, 2, "svm.C.1.94"},
	{F(save.ss.limit), 0x424, 4, "svm.C.1.95"},
	{F(save.ss.base), 0x428, 8, "svm.C.1.96"},
	{F(save.ds.sel), 0x430, 2, "svm.C.1.97"},
	{F(save.ds.attrib), 0x432, 2, "svm.C.1.98"},
	{F(save.ds.limit), 0x434, 4, "svm.C.1.99"},
	{F(save.ds.base), 0x438, 8, "svm.C.1.100"},
	{F(save.fs.sel), 0x440, 2, "svm.C.1.101"},
	{F(save.fs.attrib), 0x442, 2, "svm.C.1.102"},
	{F(save.fs.limit), 0x444, 4, "svm.C.1.103"},
	{F(save.fs.base), 0x448, 8, "svm.C.1.104"},
	{F(save.gs.sel), 0x450, 2, "svm.C.1.105"},
	{F(save.gs.attrib), 0x452, 2, "svm.C.1.106"},
	{F(save.gs.limit), 0x454, 4, "svm.C.1.107"},
	{F(save.gs.base), 0x458, 8, "svm.C.1.108"},
	{F(save.gdtr.limit), 0x464, 4, "svm.C.1.110"},
	{F(save.gdtr.base), 0x468, 8, "svm.C.1.111"},
	{F(save.ldtr.sel), 0x470, 2, "svm.C.1.112"},
	{F(save.ldtr.attrib), 0x472, 2, "svm.C.1.113"},
	{F(save.ldtr.limit), 0x474, 4, "svm.C.1.114"},
	{F(save.ldtr.base), 0x478, 8, "svm.C.1.115"},
	{F(save.idtr.limit), 0x484, 4, "svm.C.1.117"},
	{F(save.idtr.base), 0x488, 8, "svm.C.1.118"},
	{F(save.tr.sel), 0x490, 2, "svm.C.1.119"},
	{F(save.tr.attrib), 0x492, 2, "svm.C.1.120"},
	{F(save.tr.limit), 0x494, 4, "svm.C.1.121"},
	{F(save.tr.base), 0x498, 8, "svm.C.1.122"},
	{F(save.cpl), 0x4cb, 1, "svm.C.1.125"},
	{F(save.efer), 0x4d0, 8, "svm.C.1.127"},
	{F(save.cr4), 0x548, 8, "svm.C.1.129"},
	{F(save.cr3), 0x550, 8, "svm.C.1.130"},
	{F(save.cr0), 0x558, 8, "svm.C.1.131"},
	{F(save.dr7), 0x560, 8, "svm.C.1.132"},
	{F(save.dr6), 0x568, 8, "svm.C.1.133"},
	{F(save.rflags), 0x570, 8, "svm.C.1.134"},
	{F(save.rip), 0x578, 8, "svm.C.1.135"},
	{F(save.rsp), 0x5d8, 8, "svm.C.1.137"},
	{F(save.rax), 0x5f8, 8, "svm.C.1.139"},
	{F(save.star), 0x600, 8, "svm.C.1.140"},
	{F(save.lstar), 0x608, 8, "svm.C.1.141"},
	{F(save.cstar), 0x610, 8, "svm.C.1.142"},
	{F(save.sfmask), 0x618, 8, "svm.C.1.143"},
	{F(save.kernel_gs_base), 0x620, 8, "svm.C.1.144"},
	{F(save.sysenter_cs), 0x628, 8, "svm.C.1.145"},
	{F(save.sysenter_esp), 0x630, 8, "svm.C.1.146"},
	{F(save.sysenter_eip), 0x638, 8, "svm.C.1.147"},
	{F(save.cr2), 0x640, 8, "svm.C.1.148"},
	{F(save.g_pat), 0x668, 8, "svm.C.1.150"},
	{F(save.dbgctl), 0x670, 8, "svm.C.1.151"},
	{F(save.br_from), 0x678, 8, "svm.C.1.152"},
	{F(save.br_to), 0x680, 8, "svm.C.1.153"},
	{F(save.lastexcpfrom), 0x688, 8, "svm.C.1.154"},
	{F(save.lastexcpto), 0x690, 8, "svm.C.1.155"},
	{F(control.asid), 0x058, 4, "svm.C.1.57"},
	{F(control.tlb_control), 0x05c, 1, "svm.C.1.58"},
	{F(control.vintr), 0x060, 8, "svm.C.1.60"},
	{F(control.int_state), 0x068, 8, "svm.C.1.71"},
	{F(control.nested_ctl), 0x090, 8, "svm.C.1.77"},
	{F(control.virt_ext), 0x0b8, 8, "svm.C.1.82"},
};

/* Exit code, which is the number of the intercept's bit from the beginning of the VMCB, and the exit's name. */
static const struct { u64 code; const char *name, *ids; } exits[] = {
	{0x00, "VMEXIT_CR0_READ", "svm.D.2"},
	{0x02, "VMEXIT_CR2_READ", "svm.D.3"},
	{0x03, "VMEXIT_CR3_READ", "svm.D.4"},
	{0x04, "VMEXIT_CR4_READ", "svm.D.5"},
	{0x08, "VMEXIT_CR8_READ", "svm.D.6"},
	{0x10, "VMEXIT_CR0_WRITE", "svm.D.8"},
	{0x12, "VMEXIT_CR2_WRITE", "svm.D.9"},
	{0x13, "VMEXIT_CR3_WRITE", "svm.D.10"},
	{0x14, "VMEXIT_CR4_WRITE", "svm.D.11"},
	{0x18, "VMEXIT_CR8_WRITE", "svm.D.12"},
	{0x20, "VMEXIT_DR0_READ", "svm.D.14"},
	{0x21, "VMEXIT_DR1_READ", "svm.D.15"},
	{0x22, "VMEXIT_DR2_READ", "svm.D.16"},
	{0x23, "VMEXIT_DR3_READ", "svm.D.17"},
	{0x24, "VMEXIT_DR4_READ", "svm.D.18"},
	{0x25, "VMEXIT_DR5_READ", "svm.D.19"},
	{0x26, "VMEXIT_DR6_READ", "svm.D.20"},
	{0x27, "VMEXIT_DR7_READ", "svm.D.21"},
	{0x30, "VMEXIT_DR0_WRITE", "svm.D.23"},
	{0x31, "VMEXIT_DR1_WRITE", "svm.D.24"},
	{0x32, "VMEXIT_DR2_WRITE", "svm.D.25"},
	{0x33, "VMEXIT_DR3_WRITE", "svm.D.26"},
	{0x34, "VMEXIT_DR4_WRITE", "svm.D.27"},
	{0x35, "VMEXIT_DR5_WRITE", "svm.D.28"},
	{0x36, "VMEXIT_DR6_WRITE", "svm.D.29"},
	{0x37, "VMEXIT_DR7_WRITE", "svm.D.30"},
	{0x40, "VMEXIT_EXCP0", "svm.D.32"},
	{0x41, "VMEXIT_EXCP1", "svm.D.33"},
	{0x43, "VMEXIT_EXCP3", "svm.D.34"},
	{0x44, "VMEXIT_EXCP4", "svm.D.35"},
	{0x45, "VMEXIT_EXCP5", "svm.D.36"},
	{0x46, "VMEXIT_EXCP6", "svm.D.37"},
	{0x47, "VMEXIT_EXCP7", "svm.D.38"},
	{0x48, "VMEXIT_EXCP8", "svm.D.39"},
	{0x4a, "VMEXIT_EXCP10", "svm.D.40"},
	{0x4b, "VMEXIT_EXCP11", "svm.D.41"},
	{0x4c, "VMEXIT_EXCP12", "svm.D.42"},
	{0x4d, "VMEXIT_EXCP13", "svm.D.43"},
	{0x4e, "VMEXIT_EXCP14", "svm.D.44"},
	{0x50, "VMEXIT_EXCP16", "svm.D.45"},
	{0x51, "VMEXIT_EXCP17", "svm.D.46"},
	{0x52, "VMEXIT_EXCP18", "svm.D.47"},
	{0x53, "VMEXIT_EXCP19", "svm.D.48"},
	{0x60, "VMEXIT_INTR", "svm.D.51"},
	{0x61, "VMEXIT_NMI", "svm.D.52"},
	{0x63, "VMEXIT_INIT", "svm.D.54"},
	{0x64, "VMEXIT_VINTR", "svm.D.55"},
	{0x65, "VMEXIT_CR0_SEL_WRITE", "svm.D.56"},
	{0x66, "VMEXIT_IDTR_READ", "svm.D.57"},
	{0x67, "VMEXIT_GDTR_READ", "svm.D.58"},
	{0x68, "VMEXIT_LDTR_READ", "svm.D.59"},
	{0x69, "VMEXIT_TR_READ", "svm.D.60"},
	{0x6a, "VMEXIT_IDTR_WRITE", "svm.D.61"},
	{0x6b, "VMEXIT_GDTR_WRITE", "svm.D.62"},
	{0x6c, "VMEXIT_LDTR_WRITE", "svm.D.63"},
	{0x6d, "VMEXIT_TR_WRITE", "svm.D.64"},
	{0x6e, "VMEXIT_RDTSC", "svm.D.65"},
	{0x6f, "VMEXIT_RDPMC", "svm.D.66"},
	{0x70, "VMEXIT_PUSHF", "svm.D.67"},
	{0x71, "VMEXIT_POPF", "svm.D.68"},
	{0x72, "VMEXIT_CPUID", "svm.D.69"},
	{0x73, "VMEXIT_RSM", "svm.D.70"},
	{0x74, "VMEXIT_IRET", "svm.D.71"},
	{0x75, "VMEXIT_SWINT", "svm.D.72"},
	{0x76, "VMEXIT_INVD", "svm.D.73"},
	{0x77, "VMEXIT_PAUSE", "svm.D.74"},
	{0x78, "VMEXIT_HLT", "svm.D.75"},
	{0x79, "VMEXIT_INVLPG", "svm.D.76"},
	{0x7a, "VMEXIT_INVLPGA", "svm.D.77"},
	{0x7b, "VMEXIT_IOIO", "svm.D.78"},
	{0x7c, "VMEXIT_MSR", "svm.D.79"},
	{0x7d, "VMEXIT_TASK_SWITCH", "svm.D.80"},
	{0x7e, "VMEXIT_FERR_FREEZE", "svm.D.81"},
	{0x7f, "VMEXIT_SHUTDOWN", "svm.D.82"},
	{0x80, "VMEXIT_VMRUN", "svm.D.83"},
	{0x81, "VMEXIT_VMMCALL", "svm.D.84"},
	{0x82, "VMEXIT_VMLOAD", "svm.D.85"},
	{0x83, "VMEXIT_VMSAVE", "svm.D.86"},
	{0x84, "VMEXIT_STGI", "svm.D.87"},
	{0x85, "VMEXIT_CLGI", "svm.D.88"},
	{0x86, "VMEXIT_SKINIT", "svm.D.89"},
	{0x87, "VMEXIT_RDTSCP", "svm.D.90"},
	{0x88, "VMEXIT_ICEBP", "svm.D.91"},
	{0x89, "VMEXIT_WBINVD", "svm.D.92"},
	{0x400, "VMEXIT_NPF", "svm.D.94"},
	{0x60, "VMEXIT_INTR", "svm.C.1.10"},
	{0x61, "VMEXIT_NMI", "svm.C.1.11"},
	{0x63, "VMEXIT_INIT", "svm.C.1.13"},
	{0x64, "VMEXIT_VINTR", "svm.C.1.14"},
	{0x65, "VMEXIT_CR0_SEL_WRITE", "svm.C.1.15"},
	{0x66, "VMEXIT_IDTR_READ", "svm.C.1.16"},
	{0x67, "VMEXIT_GDTR_READ", "svm.C.1.17"},
	{0x68, "VMEXIT_LDTR_READ", "svm.C.1.18"},
	{0x69, "VMEXIT_TR_READ", "svm.C.1.19"},
	{0x6a, "VMEXIT_IDTR_WRITE", "svm.C.1.20"},
	{0x6b, "VMEXIT_GDTR_WRITE", "svm.C.1.21"},
	{0x6c, "VMEXIT_LDTR_WRITE", "svm.C.1.22"},
	{0x6d, "VMEXIT_TR_WRITE", "svm.C.1.23"},
	{0x6e, "VMEXIT_RDTSC", "svm.C.1.24"},
	{0x6f, "VMEXIT_RDPMC", "svm.C.1.25"},
	{0x70, "VMEXIT_PUSHF", "svm.C.1.26"},
	{0x71, "VMEXIT_POPF", "svm.C.1.27"},
	{0x72, "VMEXIT_CPUID", "svm.C.1.28"},
	{0x73, "VMEXIT_RSM", "svm.C.1.29"},
	{0x74, "VMEXIT_IRET", "svm.C.1.30"},
	{0x75, "VMEXIT_SWINT", "svm.C.1.31"},
	{0x76, "VMEXIT_INVD", "svm.C.1.32"},
	{0x77, "VMEXIT_PAUSE", "svm.C.1.33"},
	{0x78, "VMEXIT_HLT", "svm.C.1.34"},
	{0x79, "VMEXIT_INVLPG", "svm.C.1.35"},
	{0x7a, "VMEXIT_INVLPGA", "svm.C.1.36"},
	{0x7b, "VMEXIT_IOIO", "svm.C.1.37"},
	{0x7c, "VMEXIT_MSR", "svm.C.1.38"},
	{0x7d, "VMEXIT_TASK_SWITCH", "svm.C.1.39"},
	{0x7e, "VMEXIT_FERR_FREEZE", "svm.C.1.40"},
	{0x7f, "VMEXIT_SHUTDOWN", "svm.C.1.41"},
	{0x80, "VMEXIT_VMRUN", "svm.C.1.42"},
	{0x81, "VMEXIT_VMMCALL", "svm.C.1.43"},
	{0x82, "VMEXIT_VMLOAD", "svm.C.1.44"},
	{0x83, "VMEXIT_VMSAVE", "svm.C.1.45"},
	{0x84, "VMEXIT_STGI", "svm.C.1.46"},
	{0x85, "VMEXIT_CLGI", "svm.C.1.47"},
	{0x86, "VMEXIT_SKINIT", "svm.C.1.48"},
	{0x87, "VMEXIT_RDTSCP", "svm.C.1.49"},
	{0x88, "VMEXIT_ICEBP", "svm.C.1.50"},
	{0x89, "VMEXIT_WBINVD", "svm.C.1.51"},
};

/* One run of sixteen or thirty-two bits each. */
static const struct { u64 first; unsigned count; const char *prefix, *suffix, *ids; } runs[] = {
	{0x00, 16, "VMEXIT_CR", "_READ", "svm.C.1.5 svm.D.7"},
	{0x10, 16, "VMEXIT_CR", "_WRITE", "svm.C.1.6 svm.D.13"},
	{0x20, 16, "VMEXIT_DR", "_READ", "svm.C.1.7 svm.D.22"},
	{0x30, 16, "VMEXIT_DR", "_WRITE", "svm.C.1.8 svm.D.31"},
	{0x40, 32, "VMEXIT_EXCP", "", "svm.C.1.9 svm.D.50"},
};

enum { UC = 0, WC = 1, WT = 4, WP = 5, WB = 6, UCM = 7, CD = 8, WCP = 9 };
static const u8 hosts[6] = {UC, UCM, WC, WP, WT, WB}, mtrrs[5] = {UC, WC, WP, WT, WB};
static const struct { u8 guest, result[6]; const char *ids; } by_host[6] = {
	{UC, {UC, UC, UC, UC, UC, UC}, "svm.2.21.8.16"},
	{UCM, {UC, UCM, WC, UC, UC, UC}, "svm.2.21.8.17"},
	{WC, {WC, WC, WC, WCP, WCP, WCP}, "svm.2.21.8.18"},
	{WP, {UC, UC, UC, WP, UC, WP}, "svm.2.21.8.19"},
	{WT, {UC, UC, UC, UC, WT, WT}, "svm.2.21.8.20"},
	{WB, {UC, UC, WC, WP, WT, WB}},	    /* the fact sheet's cells; the rebuilt row has UC- at UC- */
};
static const struct { u8 pat, result[5]; const char *ids; } by_mtrr[7] = {
	{UC, {UC, CD, CD, CD, CD}, "svm.2.21.8.23"},
	{UCM, {UC, WC, CD, CD, CD}, "svm.2.21.8.24"},
	{WC, {WC, WC, WC, WC, WC}, "svm.2.21.8.25"},
	{WCP, {WC, WC, WCP, WCP, WCP}, "svm.2.21.8.26 svm.2.21.8.31"},
	{WP, {UC, CD, WP, CD, WP}, "svm.2.21.8.28"},
	{WT, {UC, CD, CD, WT, WT}, "svm.2.21.8.29"},
	{WB, {UC, WC, WP, WT, WB}, "svm.2.21.8.30"},
};
/* clang-format on */

static void one_exit(u64 code, const char *name)
{
	const struct svm_exit_row *row = svm_exit_row(code);
	u32 words[6] = {0};
	u64 icpt[5], bits = 0;

	check(row && !strcmp(row->name, name), name);
	if (!row)
		return;
	check(svm_exit_code(row->icpt) == code, name);
	if (code >= 192)
		return;
	words[code / 32] = 1u << code % 32;
	svm_compile_intercepts(words, icpt);
	for (unsigned n = 0; n < 5; n++)
		bits += (unsigned)__builtin_popcountll(icpt[n]);
	check(bits == 1 && (icpt[row->icpt / 64] >> row->icpt % 64 & 1), name);
}

static void memory_types(void)
{
	for (unsigned g = 0; g < 6; g++) {
		for (unsigned h = 0; h < 6; h++)
			check(svm_combine_pat(by_host[g].guest, hosts[h]) == by_host[g].result[h],
				"guest and host PAT");
		row_proves(by_host[g].ids);
	}
	for (unsigned p = 0; p < 7; p++) {
		for (unsigned m = 0; m < 5; m++)
			check(svm_combine_mtrr(by_mtrr[p].pat, mtrrs[m]) == by_mtrr[p].result[m], "PAT and MTRR");
		row_proves(by_mtrr[p].ids);
	}
	row_proves("svm.2.21.8.6 svm.2.21.8.15 svm.2.21.8.14 svm.2.21.8.7 svm.2.21.8.22");
}

/* ---- MTRRs: APM 2 "Memory-Type Range Registers" ---- */

/* The fixed ranges as the manual lists them: the register's first address, the size of its eight ranges. */
static const struct { u32 first, size; } fixed[] = {
	{0x00000, 0x10000}, {0x80000, 0x4000}, {0xa0000, 0x4000}, {0xc0000, 0x1000}, {0xc8000, 0x1000}, {0xd0000, 0x1000},
	{0xd8000, 0x1000}, {0xe0000, 0x1000}, {0xe8000, 0x1000}, {0xf0000, 0x1000}, {0xf8000, 0x1000},
};

static void fixed_ranges(void)
{
	for (unsigned r = 0; r < ARRAY_LEN(fixed); r++)
		for (unsigned b = 0; b < 8; b++) {
			u64 first = fixed[r].first + (u64)b * fixed[r].size, last = first + fixed[r].size - 1;
			struct mtrr_state m = {.def_type = 0xc00 | UC};

			for (unsigned n = 0; n < ARRAY_LEN(m.fixed); n++)
				m.fixed[n] = 0x0606060606060606;
			m.fixed[r] ^= (u64)(WB ^ WP) << 8 * b;
			check(svm_mtrr_type(&m, first) == WP && svm_mtrr_type(&m, last) == WP, "a fixed range has its byte");
			check(!first || svm_mtrr_type(&m, first - 1) == WB, "and not what is below");
			check(svm_mtrr_type(&m, last + 1) == (last == 0xfffff ? UC : WB), "nor what is above");
			m.def_type = 0x800 | WT; /* fixed ranges off */
			check(svm_mtrr_type(&m, first) == WT, "fixed ranges can be off");
			m.def_type = 0x400 | WT; /* MTRRs off */
			check(svm_mtrr_type(&m, first) == UC, "without MTRRs all is UC");
		}
}

/* "Overlapping": UC over all, WT over WB; a range's base and mask decide, and its valid bit. */
static void variable_ranges(void)
{
	static const struct { u8 a, b, both; } overlaps[] = {
		{UC, WB, UC}, {WB, UC, UC}, {WT, WB, WT}, {WB, WT, WT}, {WC, UC, UC}, {UC, WT, UC}, {WB, WB, WB}, {WT, WT, WT},
		{WP, WP, WP}, {WP, UC, UC},
	};
	const u64 at = 0x40000000, low = 0x10000;

	for (unsigned n = 0; n < ARRAY_LEN(overlaps); n++)
		for (unsigned k = 0; k + 1 < 8; k++) {
			struct mtrr_state m = {.def_type = 0x800 | WP};

			m.base[k] = at | overlaps[n].a;
			m.mask[k] = (mask(47, 12) & ~0xfffffull) | 0x800; /* a megabyte */
			m.base[k + 1] = at | overlaps[n].b;
			m.mask[k + 1] = (mask(47, 12) & ~0xffffull) | 0x800; /* its first 64 KiB */
			check(svm_mtrr_type(&m, at) == overlaps[n].both, "two ranges overlap");
			check(svm_mtrr_type(&m, at + low) == overlaps[n].a, "behind the smaller one");
			check(svm_mtrr_type(&m, at + 0xfffff) == overlaps[n].a, "the last byte of the larger one");
			check(svm_mtrr_type(&m, at + 0x100000) == WP, "behind both: the default");
			check(svm_mtrr_type(&m, at - 1) == WP, "below both: the default");
			m.mask[k] &= ~0x800ull;
			check(svm_mtrr_type(&m, at) == overlaps[n].b, "an invalid range counts for nothing");
			check(svm_mtrr_type(&m, at + low) == WP, "an invalid range counts for nothing");
		}
}

int main(void)
{
	char name[40];

	for (unsigned n = 0; n < ARRAY_LEN(fields); n++) {
		check(fields[n].offset == fields[n].want, fields[n].name);
		check(fields[n].width == fields[n].want_width, fields[n].name);
		row_proves(fields[n].ids);
	}
	check(offsetof(struct vmcb_page, save) == 0x400, REQ("svm.C.1.1 svm.C.1.2") "state-save area");
	for (unsigned n = 0; n < ARRAY_LEN(exits); n++) {
		one_exit(exits[n].code, exits[n].name);
		row_proves(exits[n].ids);
	}
	row_proves("svm.D.1 svm.D.93");
	for (unsigned r = 0; r < ARRAY_LEN(runs); r++) {
		for (unsigned n = 0; n < runs[r].count; n++) {
			snprintf(name, sizeof(name), "%s%u%s", runs[r].prefix, n, runs[r].suffix);
			one_exit(runs[r].first + n, name);
		}
		row_proves(runs[r].ids);
	}
	memory_types();
	fixed_ranges();
	variable_ranges();
	proved_report(passed + failed, 0);
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
