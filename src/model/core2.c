/*
 * Model `core2`: a processor of the first generation with VMX and 64 bits (Core 2, 65 nm, stepping G0): no EPT, no VPID, no
 * guest without paging, no secondary controls, no virtual NMIs; every control that is not named below does not exist. Its
 * capability MSRs are those of IA-32's first production processors with VMX. What some of them and their successors had can
 * be switched on by name. Later instructions are #UD, later MSRs #GP.
 */
#include "cpu/control/cpuid.h"
#include "cpu/control/msr.h"
#include "cpu/exec/exec.h"
#include "model/intel.h"
#include "vmx/vmx.h"

#define SIGNATURE 0x000006fbu /* family 6, model 0Fh, stepping 11 */
#define MICROCODE 0xbaull
#define REVISION  0x00433201u /* of the VMCS: its own, so that no other model takes its regions */
#define COUNTERS  2u
#define BRANCHES  4u
#define ANY       ~0ull

/* clang-format off */
static const struct msr_row rows[] = {
	{.index = 0x017, .count = 1, .name = "IA32_PLATFORM_ID", .flags = MSR_CONST, .reset = 0},
	{MSR_AT(0x040, BRANCHES, "MSR_LASTBRANCH_#_FROM_IP", lbr_stack_from), .writable = ANY},
	{MSR_AT(0x060, BRANCHES, "MSR_LASTBRANCH_#_TO_IP", lbr_stack_to), .writable = ANY},
	{.index = 0x08b, .count = 1, .name = "IA32_BIOS_SIGN_ID", .flags = MSR_CONST | MSR_WRITE_IGNORED, .reset = MICROCODE << 32},
	{.index = 0x0c1, .count = COUNTERS, .name = "IA32_PMC#", .read = perf_arch_read, .write = perf_arch_write},
	{.index = 0x186, .count = COUNTERS, .name = "IA32_PERFEVTSEL#", .read = perf_arch_read, .write = perf_arch_write},
	{MSR_AT(0x1a0, 1, "IA32_MISC_ENABLE", misc_enable), .read = model_intel_misc_enable_read, .write = model_intel_misc_enable_write, .reset = INTEL_MISC_ENABLE_RESET},
	{MSR_AT(0x1c9, 1, "MSR_LASTBRANCH_TOS", lbr_tos), .writable = BRANCHES - 1},
	{MSR_AT(0x1d9, 1, "IA32_DEBUGCTL", debugctl), .write = model_intel_debugctl_write},
	{MSR_AT(0x1dd, 1, "MSR_LER_FROM_LIP", lex_from), .writable = ANY},
	{MSR_AT(0x1de, 1, "MSR_LER_TO_LIP", lex_to), .writable = ANY},
	{.index = 0x309, .count = 3, .name = "IA32_FIXED_CTR#", .read = perf_arch_read, .write = perf_arch_write},
	{.index = 0x38d, .count = 4, .name = "IA32_FIXED_CTR_CTRL|IA32_PERF_GLOBAL_STATUS|IA32_PERF_GLOBAL_CTRL|IA32_PERF_GLOBAL_OVF_CTRL", .read = perf_arch_read, .write = perf_arch_write},
};

static const struct cpuid_leaf leaves[] = {
	CPUID_COMMON_LEAVES,
	{0x02, 0, {0x05b0b101, 0x005657f0, 0, 0x2cb43049}, NULL},                    /* TLBs and caches, as leaf 4 has them */
	{0x04, 0, {0x121, INTEL_WAYS(8), 63, 1}, model_intel_fix_core_cache},        /* L1D 32 KiB */
	{0x04, 1, {0x122, INTEL_WAYS(8), 63, 1}, model_intel_fix_core_cache},        /* L1I 32 KiB */
	{0x04, 2, {0x143, INTEL_WAYS(16), 4095, 1}, model_intel_fix_package_cache},  /* L2 4 MiB, of all cores */
	/* version 2, 2 counters, 7 events, of which cache references, cache misses and mispredicted branches are not available,
	 * since they would count nothing; 3 fixed. DEVIATION: 48 bits wide, where 40 were usual. */
	{0x0a, 0, {0x07300002 | COUNTERS << 8, BIT(3) | BIT(4) | BIT(6), 0, 48 << 5 | 3}, NULL},
	{0x80000000, 0, {0}, NULL},
	{0x80000001, 0, {0}, cpuid_fix_ext1},
	{0x80000006, 0, {0, 0, 0x10008040, 0}, NULL},
	{0x80000008, 0, {0}, cpuid_fix_address},
	{~0u, 0, {0}, NULL},
};

static const enum feature features[] = {
	FEAT_FPU, FEAT_VME, FEAT_DE, FEAT_PSE, FEAT_TSC, FEAT_MSR, FEAT_PAE, FEAT_MCE, FEAT_CX8, FEAT_APIC, FEAT_SEP,
	FEAT_MTRR, FEAT_PGE, FEAT_MCA, FEAT_CMOV, FEAT_PAT, FEAT_PSE36, FEAT_CLFSH, FEAT_MMX, FEAT_FXSR, FEAT_SSE,
	FEAT_SSE2, FEAT_SSE3, FEAT_MONITOR, FEAT_SSSE3, FEAT_CX16, FEAT_LAHF_LM, FEAT_SYSCALL, FEAT_NX, FEAT_LM,
	FEAT_TM, FEAT_XTPR, FEAT_VMX,
	FEAT_VMX_INTR_EXIT, FEAT_VMX_NMI_EXIT,
	FEAT_VMX_VINTR_PENDING, FEAT_VMX_TSC_OFFSET, FEAT_VMX_HLT_EXIT, FEAT_VMX_INVLPG_EXIT, FEAT_VMX_MWAIT_EXIT,
	FEAT_VMX_RDPMC_EXIT, FEAT_VMX_RDTSC_EXIT, FEAT_VMX_CR8_LOAD_EXIT, FEAT_VMX_CR8_STORE_EXIT, FEAT_VMX_FLEXPRIORITY,
	FEAT_VMX_MOVDR_EXIT, FEAT_VMX_IO_EXIT, FEAT_VMX_IO_BITMAP, FEAT_VMX_MSR_BITMAP, FEAT_VMX_MONITOR_EXIT, FEAT_VMX_PAUSE_EXIT,
	FEAT_VMX_EXIT_ACK_INTR, FEAT_VMX_ENTRY_IA32E_MODE,
	FEAT_VMX_ACTIVITY_HLT, FEAT_VMX_ACTIVITY_SHUTDOWN, FEAT_VMX_ACTIVITY_WAIT_SIPI, FEAT_NONE,
};
/* clang-format on */

static const struct msr_set core2_msrs = {rows, ARRAY_LEN(rows)};
static const struct row_set *const insns[] = {MODEL_COMMON_INSNS, &vmx_rows, NULL};
static const struct msr_set *const msrs[] = {&core2_msrs, &vmx_msrs, &msr_common, NULL};

const struct cpu_model model_core2 = {
	.name = "core2",
	.about = "Intel 64 with the VMX of its first generation, Core 2 class",
	.vendor = "GenuineIntel",
	.brand = "Intel Core 2 (65 nm class), Turnstile",
	.signature = SIGNATURE,
	.phys_bits = 36,
	.vmcs_revision = REVISION,
	.quirks = QUIRKS(QUIRK_LIST_INTEL),
	.virt = &vmx_ops,
	.features = features,
	.insns = insns,
	.foreign = model_without_svm,
	.reasons = model_reasons,
	.msrs = msrs,
	.leaves = leaves,
	.max_leaf = 0xa,
	.max_ext_leaf = 0x80000008,
	.lbr_depth = BRANCHES,
	.cost = MODEL_COST,
};
