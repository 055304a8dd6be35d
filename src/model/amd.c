/*
 * Model `amd`: a Zen 3 server processor (family 19h) with SVM, and the announcements of a clean one: nothing a stock
 * kernel has to work around. Its MSRs and CPUID leaves also serve `plain`. APM 2 "MSR Cross-Reference", APM 3 "CPUID",
 * "Processor Programming Reference (PPR) for AMD Family 19h".
 */
#include "model/amd.h"

#include "cpu/control/cpuid.h"
#include "cpu/control/io_trap.h"
#include "cpu/exec/exec.h"
#include "cpu/control/msr.h"
#include "cpu/control/smm.h"
#include "svm/svm.h"

/* ---- MSRs ---- */

#define HWCR_TSC_FREQ_SEL  BIT(24)
#define HWCR_CPUID_USER_DIS BIT(35)
#define DE_CFG_LFENCE_SERIALIZE BIT(1)
#define PATCH_LEVEL        0x0a0011deull

static bool name_read(struct cpu *c, u32 index, u64 *value)
{
	char text[48] = {0};
	size_t n = strlen(c->model->brand);

	memcpy(text, c->model->brand, n < sizeof(text) ? n : sizeof(text));
	memcpy(value, text + 8 * (index - 0xc0010030), 8);
	return true;
}

/* CPUID override: low half EDX, high half ECX. DEVIATION: writes do not change what CPUID reports; --cpu does. */
static bool override_read(struct cpu *c, u32 index, u64 *value)
{
	u32 out[4];

	cpuid_query(c, index == 0xc0011004 ? 1 : 0x80000001, 0, out);
	*value = (u64)out[ECX] << 32 | out[EDX];
	return true;
}

static bool hwcr_write(struct cpu *c, u32 index, u64 value)
{
	/* SmmLock, TlbCacheDis, INVDWBINVD, IgnneEm, MonMwaitDis, MonMwaitUserEn, McStatusWrEn, CpbDis, IRPerfEn */
	u64 writable = BIT(0) | BIT(3) | BIT(4) | BIT(8) | BIT(9) | BIT(10) | BIT(18) | BIT(25) | BIT(30);

	(void)index;
	if (has(c, FEAT_CPUID_USER_DIS))
		writable |= HWCR_CPUID_USER_DIS;
	if (value & ~(writable | HWCR_TSC_FREQ_SEL))
		return false;
	c->hwcr = (c->hwcr & ~writable) | (value & writable) | (c->hwcr & HWCR_SMMLOCK); /* only RESET unlocks */
	return true;
}

/* "SMM Lock": SMBASE, SMM_ADDR and SMM_MASK cannot be changed any more. */
static bool smm_write(struct cpu *c, u32 index, u64 value)
{
	static const u64 writable[] = {0xffffffff, 0xfffffffe0000, 0xfffffffe0000 | 0x773f};
	u64 *registers[] = {&c->smbase, &c->smm_addr, &c->smm_mask};
	unsigned n = index - 0xc0010111;

	if ((c->hwcr & HWCR_SMMLOCK) || (value & ~writable[n]))
		return false;
	*registers[n] = value;
	smm_ranges_changed(c);
	return true;
}

/* ---- last-branch recording: "Debug-Control MSR", "Debug-Extension-Control MSR", "Last Branch Stack Registers" ---- */

#define DEBUG_EXTN_LBRSE BIT(6)
#define LBR_IP           mask(56, 0)

static bool debugctl_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index;
	*value = c->debugctl & ~DEBUGCTL_LBRSE;
	return true;
}

static bool debugctl_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	if (value & ~0x3full)
		return false;
	c->debugctl = (c->debugctl & DEBUGCTL_LBRSE) | value;
	return true;
}

static bool debug_extn_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index;
	*value = c->debugctl & DEBUGCTL_LBRSE ? DEBUG_EXTN_LBRSE : 0;
	return true;
}

static bool debug_extn_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	if (value & ~DEBUG_EXTN_LBRSE)
		return false;
	c->debugctl = (c->debugctl & ~DEBUGCTL_LBRSE) | (value ? DEBUGCTL_LBRSE : 0);
	return true;
}

_Static_assert(offsetof(struct cpu, lbr_stack_to) == offsetof(struct cpu, lbr_stack_from) + 8 * LBR_DEPTH, "one run");

/* From and To in turn, the newest first. */
static u64 *lbr_entry(struct cpu *c, u32 index)
{
	u64 slot = (c->lbr_tos - (index - 0xc0010300) / 2) % LBR_DEPTH;

	return index & 1 ? &c->lbr_stack_to[slot] : &c->lbr_stack_from[slot];
}

static bool lbr_read(struct cpu *c, u32 index, u64 *value)
{
	*value = *lbr_entry(c, index);
	return true;
}

static bool lbr_write(struct cpu *c, u32 index, u64 value)
{
	*lbr_entry(c, index) = value & (LBR_IP | BIT(63) | (index & 1 ? BIT(62) : 0));
	return true;
}

/* MCi_CTL_MASK: beside the banks proper. */
static bool mc_mask_read(struct cpu *c, u32 index, u64 *value)
{
	*value = c->mc_bank[16 + (index & 0x1f)][0];
	return true;
}

static bool mc_mask_write(struct cpu *c, u32 index, u64 value)
{
	c->mc_bank[16 + (index & 0x1f)][0] = value;
	return true;
}

static u32 legacy_mask(u32 index)
{
	return index - 0xc0010044;
}

static bool mc_mask_legacy_read(struct cpu *c, u32 index, u64 *value)
{
	return mc_mask_read(c, legacy_mask(index), value);
}

static bool mc_mask_legacy_write(struct cpu *c, u32 index, u64 value)
{
	return mc_mask_write(c, legacy_mask(index), value);
}

#define ANY ~0ull
/* clang-format off */
static const struct msr_row amd_rows[] = {
	{.index = 0x0000008b, .count = 1, .name = "PATCH_LEVEL", .flags = MSR_CONST | MSR_WRITE_IGNORED, .reset = PATCH_LEVEL},
	{MSR_AT(0x000001d9, 1, "DEBUGCTL", debugctl), .read = debugctl_read, .write = debugctl_write},
	{MSR_AT(0x000001db, 1, "LASTBRANCHFROMIP", lbr_from), .writable = ANY},
	{MSR_AT(0x000001dc, 1, "LASTBRANCHTOIP", lbr_to), .writable = ANY},
	{MSR_AT(0x000001dd, 1, "LASTINTFROMIP", lex_from), .writable = ANY},
	{MSR_AT(0x000001de, 1, "LASTINTTOIP", lex_to), .writable = ANY},
	{MSR_AT(0xc000010e, 1, "LAST_BRANCH_STACK_SELECT", lbr_select), .feature = FEAT_AMD_LBR_V2, .writable = 0x1ff, .ignored = ~0x1ffull},
	{.index = 0xc000010f, .count = 1, .name = "DEBUG_EXTN_CTL", .feature = FEAT_AMD_LBR_V2, .read = debug_extn_read, .write = debug_extn_write},
	{.index = 0xc0010000, .count = 8, .name = "PERF_LEGACY_CTL0|PERF_LEGACY_CTL1|PERF_LEGACY_CTL2|PERF_LEGACY_CTL3|"
	 "PERF_LEGACY_CTR0|PERF_LEGACY_CTR1|PERF_LEGACY_CTR2|PERF_LEGACY_CTR3", .read = perf_legacy_read, .write = perf_legacy_write},
	{MSR_AT(0xc0010010, 1, "SYSCFG", syscfg), .writable = 0x7c0000},
	{MSR_AT(0xc0010015, 1, "HWCR", hwcr), .write = hwcr_write, .reset = HWCR_TSC_FREQ_SEL | BIT(4)},
	{MSR_AT(0xc001001a, 1, "TOP_MEM", top_mem), .writable = 0xffffff800000},
	{MSR_AT(0xc001001d, 1, "TOP_MEM2", top_mem2), .writable = 0xffffff800000},
	{MSR_AT(0xc001001f, 1, "NB_CFG", msr_misc[18]), .writable = ANY},
	{.index = 0xc0010020, .count = 1, .name = "PATCH_LOADER", .flags = MSR_WRITE_IGNORED},
	{.index = 0xc0010030, .count = 6, .name = "CPU_NAME#", .read = name_read, .flags = MSR_WRITE_IGNORED},
	{.index = 0xc0010044, .count = MC_BANKS, .name = "MC#_CTL_MASK", .read = mc_mask_legacy_read, .write = mc_mask_legacy_write},
	{MSR_AT(0xc0010050, 4, "SMI_ON_IO_TRAP_#", io_trap), .writable = IO_TRAP_BITS},
	{MSR_AT(0xc0010054, 1, "SMI_ON_IO_TRAP_CTL_STS", io_trap_ctl), .writable = IO_TRAP_CTL_BITS, .ignored = ~IO_TRAP_CTL_BITS},
	{.index = 0xc0010055, .count = 1, .name = "INTPEND", .flags = MSR_CONST | MSR_WRITE_IGNORED},
	{MSR_AT(0xc0010111, 1, "SMBASE", smbase), .write = smm_write, .reset = 0x30000},
	{MSR_AT(0xc0010112, 1, "SMM_ADDR", smm_addr), .write = smm_write},
	{MSR_AT(0xc0010113, 1, "SMM_MASK", smm_mask), .write = smm_write},
	{MSR_AT(0xc0010140, 2, "OSVW_ID_LENGTH|OSVW_STATUS", osvw), .feature = FEAT_OSVW, .writable = ANY},
	{.index = 0xc0010200, .count = 12, .name = "PERF_CTL#|PERF_CTR#", .feature = FEAT_PERFCTR_CORE, .read = perf_pair_read, .write = perf_pair_write},
	/* the offset is for RESET: both arrays, one behind the other */
	{MSR_AT(0xc0010300, 2 * LBR_DEPTH, "LAST_BRANCH_STACK_FROM#|LAST_BRANCH_STACK_TO#", lbr_stack_from), .feature = FEAT_AMD_LBR_V2, .read = lbr_read, .write = lbr_write},
	{.index = 0xc0010400, .count = MC_BANKS, .name = "MCA_CTL_MASK#", .read = mc_mask_read, .write = mc_mask_write},
	{.index = 0xc0011004, .count = 2, .name = "CPUID_FEATURES|CPUID_EXT_FEATURES", .read = override_read, .flags = MSR_WRITE_IGNORED},
	{MSR_AT(0xc0011020, 9, "LS_CFG|IC_CFG|DC_CFG|TW_CFG||||DR0_ADDR_MASK|FP_CFG", msr_misc[0]), .writable = ANY},
	{MSR_AT(0xc0011029, 1, "DE_CFG", msr_misc[9]), .writable = ANY, .reset = DE_CFG_LFENCE_SERIALIZE},
	{MSR_AT(0xc001102a, 6, "BU_CFG2|CU_CFG3|EX_CFG||BP_CFG|", msr_misc[10]), .writable = ANY},
	{MSR_AT(0xc00110e2, 2, "", msr_misc[16]), .writable = ANY},
};
/* clang-format on */

const struct msr_set model_amd_msrs = {amd_rows, ARRAY_LEN(amd_rows)};

/* ---- CPUID ---- */

void model_amd_fix_ext0(struct cpu *c, u32 out[4])
{
	memcpy(&out[EBX], c->model->vendor, 4);
	memcpy(&out[EDX], c->model->vendor + 4, 4);
	memcpy(&out[ECX], c->model->vendor + 8, 4);
}

/* The lower half of 80000001h EDX repeats leaf 1's; CmpLegacy means more than one core. */
void model_amd_fix_ext1(struct cpu *c, u32 out[4])
{
	u32 one[4] = {0};

	cpuid_features(c, 1, 0, one);
	out[EAX] = c->model->signature;
	out[EDX] |= one[EDX] & 0x0183f3ff;
	if (c->count == 1)
		out[ECX] &= ~2u;
	cpuid_fix_ext1(c, out);
}

void model_amd_fix_ext8(struct cpu *c, u32 out[4])
{
	cpuid_fix_address(c, out);
	if (has(c, FEAT_INVLPGB))
		out[EDX] |= SVM_INVLPGB_MAX;
	out[ECX] = (c->count - 1) | cpuid_core_bits(c) << 12;
}

void model_amd_fix_svm(struct cpu *c, u32 out[4])
{
	if (!has(c, FEAT_SVM))
		memset(out, 0, 4 * sizeof(out[0]));
}

static void fix_topology(struct cpu *c, u32 out[4])
{
	if (!has(c, FEAT_TOPOEXT)) {
		memset(out, 0, 4 * sizeof(out[0]));
		return;
	}
	out[EAX] = c->apic.id;
	out[EBX] = c->apic.id & 0xff; /* core id; one thread each */
}

static void fix_cache(struct cpu *c, u32 out[4])
{
	if (!has(c, FEAT_TOPOEXT))
		memset(out, 0, 4 * sizeof(out[0]));
}

static void fix_l3(struct cpu *c, u32 out[4])
{
	out[EAX] |= (c->count - 1) << 14;
	fix_cache(c, out);
}

static void fix_lbr(struct cpu *c, u32 out[4])
{
	if (has(c, FEAT_AMD_LBR_V2))
		out[EBX] = LBR_DEPTH << 4;
}

/* A cache: 64-byte lines, EBX = ways - 1 in 31:22. */
#define WAYS(n) (((n) - 1u) << 22 | 63)
/* clang-format off */
const struct cpuid_leaf model_amd_leaves[] = {
	CPUID_COMMON_LEAVES,
	{0x80000000, 0, {0}, model_amd_fix_ext0},
	{0x80000001, 0, {0, 0x40000000, 0, 0}, model_amd_fix_ext1},                        /* package type SP3 */
	{0x80000005, 0, {0xff48ff40, 0xff48ff40, 0x20080140, 0x20080140}, NULL}, /* TLBs; L1: 32 KiB, 8 ways */
	{0x80000006, 0, {0x5c002200, 0x68004200, 0x02006140, 0x01009140}, NULL}, /* L2: 512 KiB, 8 ways; L3: 32 MiB, 16 ways */
	{0x80000007, 0, {0}, NULL},
	{0x80000008, 0, {0, 1u << 30 | 1u << 20, 0, 0x00010000}, model_amd_fix_ext8},       /* IBPB_RET, EferLmsleUnsupported; RDPRU knows ECX 0 and 1 */
	{0x8000000a, 0, {1, SVM_ASIDS, 0, 1u << 28}, model_amd_fix_svm},                   /* VMCB address checks follow the intercept */
	{0x80000019, 0, {0xf040f040, 0xf0400000, 0, 0}, NULL},                   /* 1 GiB TLB entries */
	{0x8000001a, 0, {6, 0, 0, 0}, NULL},                                     /* MOVU, FP256 */
	{0x8000001d, 0, {0x121, WAYS(8), 63, 0}, fix_cache},
	{0x8000001d, 1, {0x122, WAYS(8), 63, 0}, fix_cache},
	{0x8000001d, 2, {0x143, WAYS(8), 1023, 2}, fix_cache},
	{0x8000001d, 3, {0x163, WAYS(16), 32767, 1}, fix_l3},
	{0x8000001e, 0, {0}, fix_topology},
	{0x80000021, 0, {0, 0, 0x6, 0}, NULL},                                   /* TSA_SQ_NO, TSA_L1_NO */
	{0x80000022, 0, {0}, fix_lbr},
	{~0u, 0, {0}, NULL},
};
/* clang-format on */

/* ---- the model ---- */

static const enum feature features[] = {AMD_BASE_FEATURES, AMD_SVM_FEATURES, FEAT_NONE};
static const struct row_set *const insns[] = {MODEL_COMMON_INSNS, &svm_rows, NULL};
static const struct msr_set *const msrs[] = {&model_amd_msrs, &svm_msrs, &msr_common, NULL};

const struct cpu_model model_amd = {
	.name = "amd",
	.about = "AMD64 with SVM, Zen 3 class (default)",
	.vendor = "AuthenticAMD",
	.brand = "AMD EPYC (Milan class), Turnstile",
	.signature = AMD_SIGNATURE,
	.phys_bits = 48,
	.quirks = QUIRKS(QUIRK_LIST_AMD),
	.virt = &svm_ops,
	.features = features,
	.insns = insns,
	.foreign = model_without_vmx,
	.reasons = model_reasons,
	.msrs = msrs,
	.leaves = model_amd_leaves,
	.max_leaf = AMD_MAX_LEAF,
	.max_ext_leaf = AMD_MAX_EXT_LEAF,
	.cost = MODEL_COST,
};
