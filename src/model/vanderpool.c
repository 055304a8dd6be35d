/*
 * Model `vanderpool`: a processor as "Intel Vanderpool Technology Preliminary Specification for IA-32 Processors"
 * describes it (C97063-001, January 2004): the Intel EM64T processor of that time, family 0Fh, with the controls, fields
 * and exits of that text and none that came later. Guests are in paged protected mode, and MOV CR3, RDMSR, WRMSR and
 * CPUID always exit. Encodings and the capability MSRs, which the text leaves out, are those of the first processors
 * that were sold: docs/ERRATA.md says where. What differs in kind is QUIRK_VMX_FIRST, most of it in src/vmx/first.c.
 */
#include "cpu/control/cpuid.h"
#include "cpu/exec/exec.h"
#include "cpu/control/msr.h"
#include "model/intel.h"
#include "vmx/vmx.h"

#define SIGNATURE 0x00000f41u /* family 0Fh, model 4: the first with Intel EM64T and execute disable */
#define REVISION  0x00343001u /* of the VMCS: its own; the text has no such identifier */

/* clang-format off */
static const enum feature features[] = {
	FEAT_FPU, FEAT_VME, FEAT_DE, FEAT_PSE, FEAT_TSC, FEAT_MSR, FEAT_PAE, FEAT_MCE, FEAT_CX8, FEAT_APIC, FEAT_SEP,
	FEAT_MTRR, FEAT_PGE, FEAT_MCA, FEAT_CMOV, FEAT_PAT, FEAT_PSE36, FEAT_CLFSH, FEAT_MMX, FEAT_FXSR, FEAT_SSE,
	FEAT_SSE2, FEAT_SSE3, FEAT_MONITOR, FEAT_CX16, FEAT_TM, FEAT_XTPR, FEAT_SYSCALL, FEAT_NX, FEAT_LM, FEAT_VMX,
	/* "Pin-Based VM-Execution Controls", table 2-2, "VM-Exit Controls", "VM-Entry Controls" */
	FEAT_VMX_INTR_EXIT, FEAT_VMX_NMI_EXIT,
	FEAT_VMX_VINTR_PENDING, FEAT_VMX_TSC_OFFSET, FEAT_VMX_HLT_EXIT, FEAT_VMX_INVLPG_EXIT, FEAT_VMX_MWAIT_EXIT,
	FEAT_VMX_RDPMC_EXIT, FEAT_VMX_RDTSC_EXIT, FEAT_VMX_CR8_LOAD_EXIT, FEAT_VMX_CR8_STORE_EXIT, FEAT_VMX_FLEXPRIORITY,
	FEAT_VMX_MOVDR_EXIT, FEAT_VMX_IO_EXIT, FEAT_VMX_IO_BITMAP, FEAT_VMX_EXIT_ACK_INTR, FEAT_VMX_ENTRY_IA32E_MODE,
	FEAT_NONE,
};

/* ---- MSRs: "MSRs in the Pentium 4 and Intel Xeon Processors" ---- */

#define ANY                  ~0ull
#define MICROCODE            0x0000000full
/* Fast strings, MONITOR; thermal control circuit, xTPR messages, limit of CPUID, execute disable can be switched. The
 * counters of this family do not exist here: bit 7 is 0, and branch traces and precise sampling are unavailable. */
#define MISC_ENABLE_RESET    (BIT(0) | BIT(3) | BIT(11) | BIT(12) | BIT(18) | BIT(23))
#define MISC_ENABLE_WRITABLE (BIT(0) | BIT(3) | BIT(18) | BIT(22) | BIT(23) | BIT(34))
#define MISC_ENABLE_IGNORED  (BIT(7) | BIT(11) | BIT(12))

static bool debugctl_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	if (value & ~(BIT(0) | BIT(1)))
		return false;
	c->debugctl = value;
	cpu_update_mode(c);
	return true;
}

static const struct msr_row rows[] = {
	{.index = 0x017, .count = 1, .name = "IA32_PLATFORM_ID", .flags = MSR_CONST},
	{.index = 0x02a, .count = 1, .name = "MSR_EBC_HARD_POWERON", .flags = MSR_CONST},
	/* 1 GHz: five times a bus of 200 MHz */
	{.index = 0x02c, .count = 1, .name = "MSR_EBC_FREQUENCY_ID", .flags = MSR_CONST, .reset = 5ull << 24 | 2ull << 16},
	{.index = 0x08b, .count = 1, .name = "IA32_BIOS_SIGN_ID", .flags = MSR_CONST | MSR_WRITE_IGNORED, .reset = MICROCODE << 32},
	{MSR_AT(0x1a0, 1, "IA32_MISC_ENABLE", misc_enable), .writable = MISC_ENABLE_WRITABLE, .ignored = MISC_ENABLE_IGNORED, .reset = MISC_ENABLE_RESET},
	{MSR_AT(0x1d7, 1, "MSR_LER_FROM_LIP", lex_from), .flags = MSR_CONST},
	{MSR_AT(0x1d8, 1, "MSR_LER_TO_LIP", lex_to), .flags = MSR_CONST},
	{MSR_AT(0x1d9, 1, "MSR_DEBUGCTLA", debugctl), .write = debugctl_write},
	{MSR_AT(0x1da, 1, "MSR_LASTBRANCH_TOS", lbr_tos), .writable = LBR_DEPTH - 1},
	{MSR_AT(0x680, LBR_DEPTH, "MSR_LASTBRANCH_#_FROM_LIP", lbr_stack_from), .writable = ANY},
	{MSR_AT(0x6c0, LBR_DEPTH, "MSR_LASTBRANCH_#_TO_LIP", lbr_stack_to), .writable = ANY},
};
static const struct msr_set own_msrs = {rows, ARRAY_LEN(rows)};

/* ---- CPUID ---- */

static const struct cpuid_leaf leaves[] = {
	CPUID_COMMON_LEAVES,
	{0x02, 0, {0x605b5001, 0, 0, 0x007c7040}, NULL},      /* TLBs; L1D 16 KiB, trace cache 12K, L2 1 MiB */
	{0x04, 0, {0x121, INTEL_WAYS(8), 31, 0}, model_intel_fix_core_cache},        /* L1D 16 KiB */
	{0x04, 1, {0x143, INTEL_WAYS(8), 2047, 0}, model_intel_fix_core_cache},      /* L2 1 MiB */
	{0x80000000, 0, {0}, NULL},
	{0x80000001, 0, {0}, cpuid_fix_ext1},
	{0x80000006, 0, {0, 0, 0x04006040, 0}, NULL},
	{0x80000008, 0, {0}, cpuid_fix_address},
	{~0u, 0, {0}, NULL},
};
/* clang-format on */

/* ---- the model ---- */

static const struct row_set *const insns[] = {MODEL_COMMON_INSNS, &vmx_rows, NULL};
static const struct msr_set *const msrs[] = {&own_msrs, &vmx_msrs, &msr_common, NULL};

const struct cpu_model model_vanderpool = {
	.name = "vanderpool",
	.about = "Intel EM64T with VMX as first published in 2004",
	.vendor = "GenuineIntel",
	.brand = "Intel Vanderpool, Turnstile",
	.signature = SIGNATURE,
	.phys_bits = 36,
	.vmcs_revision = REVISION,
	.quirks = QUIRKS(QUIRK_LIST_INTEL) | QUIRKS(QUIRK_LIST_INTEL_2004),
	.virt = &vmx_ops,
	.features = features,
	.insns = insns,
	.foreign = model_without_svm,
	.reasons = model_reasons,
	.msrs = msrs,
	.leaves = leaves,
	.max_leaf = 5,
	.max_ext_leaf = 0x80000008,
	.cost = MODEL_COST,
};
