/*
 * Model `intel`: a Sapphire Rapids class server processor without efficiency cores, every mitigation announced as not
 * needed. SDM 4 "Model-Specific Registers", 2A "CPUID".
 */
#include "cpu/control/cpuid.h"
#include "cpu/exec/exec.h"
#include "cpu/control/msr.h"
#include "cpu/control/smm.h"
#include "model/intel.h"
#include "vmx/vmx.h"

/* ---- MSRs ---- */

/* IA32_ARCH_CAPABILITIES: what this processor does not suffer from. */
#define RDCL_NO         BIT(0)
#define IBRS_ALL        BIT(1)
#define SKIP_L1DFL      BIT(3)
#define SSB_NO          BIT(4)
#define MDS_NO          BIT(5)
#define PSCHANGE_MC_NO  BIT(6)
#define TAA_NO          BIT(8)
#define SBDR_SSDP_NO    BIT(13)
#define FBSDP_NO        BIT(14)
#define PSDP_NO         BIT(15)
#define BHI_NO          BIT(20)
#define PBRSB_NO        BIT(24)
#define GDS_NO          BIT(26)
#define RFDS_NO         BIT(27)
#define ITS_NO          BIT(62)
#define CAPABILITIES                                                                                                   \
	(RDCL_NO | IBRS_ALL | SKIP_L1DFL | SSB_NO | MDS_NO | PSCHANGE_MC_NO | TAA_NO | SBDR_SSDP_NO | FBSDP_NO |       \
	 PSDP_NO | BHI_NO | PBRSB_NO | GDS_NO | RFDS_NO | ITS_NO)

#define MISC_ENABLE_WRITABLE (BIT(0) | BIT(16) | BIT(18) | BIT(22) | BIT(34))
#define MISC_ENABLE_IGNORED  (BIT(7) | BIT(11) | BIT(12))
#define MICROCODE            0x2b0005c0ull
#define ANY                  ~0ull

/* The bits of IA32_MISC_ENABLE that go with a feature which is not here. */
static u64 misc_enable_absent(const struct cpu *c)
{
	return (has(c, FEAT_TM) ? 0 : INTEL_MISC_ENABLE_TCC) | (has(c, FEAT_XTPR) ? 0 : INTEL_MISC_ENABLE_NO_XTPR);
}

bool model_intel_misc_enable_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index;
	*value = c->misc_enable & ~misc_enable_absent(c);
	return true;
}

bool model_intel_misc_enable_write(struct cpu *c, u32 index, u64 value)
{
	u64 writable = (MISC_ENABLE_WRITABLE | INTEL_MISC_ENABLE_TCC | INTEL_MISC_ENABLE_NO_XTPR) & ~misc_enable_absent(c);

	(void)index;
	if (value & ~(writable | MISC_ENABLE_IGNORED))
		return false;
	c->misc_enable = (c->misc_enable & ~writable) | (value & writable);
	return true;
}

/* LBR, BTF, BUS_LOCK_DETECT, FREEZE_PERFMON_ON_PMI. */
bool model_intel_debugctl_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	if (value & ~(BIT(0) | BIT(1) | BIT(12) | (has(c, FEAT_BUS_LOCK_DETECT) ? DEBUGCTL_BUS_LOCK : 0)))
		return false;
	c->debugctl = value;
	cpu_update_mode(c);
	return true;
}

#define MSR_SMRR_BASE 0x1f2u

static bool smrr_type(unsigned type)
{
	return type == MT_UC || type == MT_WC || type == MT_WT || type == MT_WP || type == MT_WB;
}

/* "System-Management Range Register Interface": written in SMM alone. */
static bool smrr_write(struct cpu *c, u32 index, u64 value)
{
	u64 writable = index == MSR_SMRR_BASE ? mask(31, 12) | 7 : mask(31, 11);

	if (!c->smm || (value & ~writable))
		return false;
	if (index == MSR_SMRR_BASE && !smrr_type((unsigned)(value & 7)))
		return false;
	*(index == MSR_SMRR_BASE ? &c->smrr_base : &c->smrr_mask) = value;
	smm_ranges_changed(c);
	return true;
}

/* clang-format off */
static const struct msr_row intel_rows[] = {
	{.index = 0x017, .count = 1, .name = "IA32_PLATFORM_ID", .flags = MSR_CONST, .reset = 0},
	{MSR_AT(0x034, 1, "MSR_SMI_COUNT", smi_count)},
	{.index = 0x08b, .count = 1, .name = "IA32_BIOS_SIGN_ID", .flags = MSR_CONST | MSR_WRITE_IGNORED, .reset = MICROCODE << 32},
	{.index = 0x0c1, .count = 4, .name = "IA32_PMC#", .read = perf_arch_read, .write = perf_arch_write},
	{.index = 0x0ce, .count = 1, .name = "MSR_PLATFORM_INFO", .flags = MSR_CONST, .reset = 10ull << 40 | 10ull << 8},
	{MSR_AT(0x0e1, 1, "IA32_UMWAIT_CONTROL", umwait_control), .feature = FEAT_WAITPKG, .writable = 0xfffffffd},
	{.index = 0x10a, .count = 1, .name = "IA32_ARCH_CAPABILITIES", .feature = FEAT_ARCH_CAPABILITIES, .flags = MSR_CONST, .reset = CAPABILITIES},
	{.index = 0x10b, .count = 1, .name = "IA32_FLUSH_CMD", .feature = FEAT_FLUSH_L1D, .write = msr_command_write},
	{.index = 0x186, .count = 4, .name = "IA32_PERFEVTSEL#", .read = perf_arch_read, .write = perf_arch_write},
	{MSR_AT(0x1a0, 1, "IA32_MISC_ENABLE", misc_enable), .read = model_intel_misc_enable_read, .write = model_intel_misc_enable_write, .reset = INTEL_MISC_ENABLE_RESET},
	{MSR_AT(0x1c9, 1, "MSR_LASTBRANCH_TOS", lbr_tos), .writable = LBR_DEPTH - 1},
	{MSR_AT(0x1d9, 1, "IA32_DEBUGCTL", debugctl), .write = model_intel_debugctl_write},
	{MSR_AT(0x1dd, 1, "MSR_LER_FROM_LIP", lex_from), .writable = ANY},
	{MSR_AT(0x1de, 1, "MSR_LER_TO_LIP", lex_to), .writable = ANY},
	{MSR_AT(0x1f2, 2, "IA32_SMRR_PHYSBASE|IA32_SMRR_PHYSMASK", smrr_base), .write = smrr_write},
	{.index = 0x309, .count = 3, .name = "IA32_FIXED_CTR#", .read = perf_arch_read, .write = perf_arch_write},
	{.index = 0x38d, .count = 4, .name = "IA32_FIXED_CTR_CTRL|IA32_PERF_GLOBAL_STATUS|IA32_PERF_GLOBAL_CTRL|IA32_PERF_GLOBAL_OVF_CTRL", .read = perf_arch_read, .write = perf_arch_write},
	{MSR_AT(0x680, LBR_DEPTH, "MSR_LASTBRANCH_#_FROM_IP", lbr_stack_from), .writable = ANY},
	{MSR_AT(0x6c0, LBR_DEPTH, "MSR_LASTBRANCH_#_TO_IP", lbr_stack_to), .writable = ANY},
};
/* clang-format on */

static const struct msr_set intel_msrs = {intel_rows, ARRAY_LEN(intel_rows)};

/* ---- CPUID ---- */

void model_intel_fix_core_cache(struct cpu *c, u32 out[4])
{
	out[EAX] |= ((1u << cpuid_core_bits(c)) - 1) << 26;
}

void model_intel_fix_package_cache(struct cpu *c, u32 out[4])
{
	out[EAX] |= ((1u << cpuid_core_bits(c)) - 1) << 14;
	model_intel_fix_core_cache(c, out);
}

/* clang-format off */
static const struct cpuid_leaf leaves[] = {
	CPUID_COMMON_LEAVES,
	{0x02, 0, {0x76036301, 0x00f0b5ff, 0, 0x00c30000}, NULL},  /* TLBs, 64-byte prefetch; caches: leaf 4 */
	{0x04, 0, {0x121, INTEL_WAYS(12), 63, 0}, model_intel_fix_core_cache},       /* L1D 48 KiB */
	{0x04, 1, {0x122, INTEL_WAYS(8), 63, 0}, model_intel_fix_core_cache},        /* L1I 32 KiB */
	{0x04, 2, {0x143, INTEL_WAYS(16), 2047, 0}, model_intel_fix_core_cache},     /* L2 2 MiB */
	{0x04, 3, {0x163, INTEL_WAYS(15), 32767, 0}, model_intel_fix_package_cache}, /* L3 30 MiB */
	/* version 2, 4 counters of 48 bits, 7 events, of which cache references, cache misses and mispredicted branches are not
	 * available, since they would count nothing; 3 fixed */
	{0x0a, 0, {0x07300402, BIT(3) | BIT(4) | BIT(6), 0, 48 << 5 | 3}, NULL},
	{0x15, 0, {1, 1, 1000000000, 0}, NULL},                    /* crystal = TSC = 1 GHz */
	{0x16, 0, {1000, 1000, 100, 0}, NULL},
	{0x1f, 0, {0}, cpuid_fix_smt},
	{0x1f, 1, {0}, cpuid_fix_core},
	{0x80000000, 0, {0}, NULL},
	{0x80000001, 0, {0}, cpuid_fix_ext1},
	{0x80000006, 0, {0, 0, 0x08008040, 0}, NULL},
	{0x80000008, 0, {0}, cpuid_fix_address},
	{~0u, 0, {0}, NULL},
};
/* clang-format on */

/* ---- the model ---- */

static const enum feature features[] = {
	MODEL_COMMON_FEATURES,
	FEAT_TSC_DEADLINE, FEAT_TSC_ADJUST, FEAT_FDP_EXCPTN_ONLY, FEAT_ZERO_FCS_FDS, FEAT_WAITPKG, FEAT_LA57, FEAT_MD_CLEAR, FEAT_SERIALIZE,
	FEAT_SPEC_CTRL, FEAT_STIBP, FEAT_FLUSH_L1D, FEAT_ARCH_CAPABILITIES, FEAT_SSBD, FEAT_VMX,
	FEAT_BUS_LOCK_DETECT, FEAT_TM, FEAT_XTPR,
#define FEATURE(id, ...) FEAT_##id,
	VMX_FEATURE_LIST(FEATURE)
#undef FEATURE
	FEAT_NONE,
};
static const struct row_set *const insns[] = {MODEL_COMMON_INSNS, &vmx_rows, NULL};
static const struct msr_set *const msrs[] = {&intel_msrs, &vmx_msrs, &msr_common, NULL};

const struct cpu_model model_intel = {
	.name = "intel",
	.about = "Intel 64 with VMX, Sapphire Rapids class",
	.vendor = "GenuineIntel",
	.brand = "Intel Xeon (Sapphire Rapids class), Turnstile",
	.signature = 0x000806f8,
	.phys_bits = 46,
	.quirks = QUIRKS(QUIRK_LIST_INTEL),
	.virt = &vmx_ops,
	.features = features,
	.insns = insns,
	.foreign = model_without_svm,
	.reasons = model_reasons,
	.msrs = msrs,
	.leaves = leaves,
	.max_leaf = 0x1f,
	.max_ext_leaf = 0x80000008,
	.cost = MODEL_COST,
};
