/*
 * The MSRs that both vendors have, with the same meaning. Ordered by index: msr.c searches by halves.
 */
#include "cpu/control/msr.h"

#include "cpu/apic/apic.h"
#include "cpu/mmu/mmu.h"

/* ---- time ---- */

static bool tsc_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index;
	*value = cpu_tsc(c);
	return true;
}

static void move_tsc(struct cpu *c, u64 delta)
{
	c->tsc_offset += delta;
	c->tsc_adjust += delta;
	apic_rearm(c);
}

/* "Time-Stamp Counter Adjustment": writing either MSR moves the other by the same amount. */
static bool tsc_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	move_tsc(c, value - (c->clock->now + c->tsc_offset));
	return true;
}

static bool tsc_adjust_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	move_tsc(c, value - c->tsc_adjust);
	return true;
}

static bool deadline_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index;
	*value = apic_deadline_read(c);
	return true;
}

static bool deadline_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	return apic_deadline_write(c, value);
}

/* ---- the local APIC ---- */

static bool apicbase_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index;
	*value = c->apic.base;
	return true;
}

static bool apicbase_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;

	u64 old = c->apic.base;

	if (!apic_base_write(c, value))
		return false;
	if (c->apic.base != old)
		tlb_flush_all(c);
	return true;
}

/* ---- speculation controls: bits exist by feature, under either vendor's name ---- */

static u64 spec_bits(const struct cpu *c)
{
	u64 m = 0;

	if (has(c, FEAT_SPEC_CTRL) || has(c, FEAT_AMD_IBRS))
		m |= BIT(0);
	if (has(c, FEAT_STIBP) || has(c, FEAT_AMD_STIBP))
		m |= BIT(1);
	if (has(c, FEAT_SSBD) || has(c, FEAT_AMD_SSBD))
		m |= BIT(2);
	return m;
}

static bool spec_ctrl_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index;
	*value = c->spec_ctrl;
	return spec_bits(c) != 0;
}

static bool spec_ctrl_write(struct cpu *c, u32 index, u64 value)
{
	u64 m = spec_bits(c);

	(void)index;
	if (!m || (value & ~m))
		return false;
	c->spec_ctrl = value;
	return true;
}

static bool pred_cmd_write(struct cpu *c, u32 index, u64 value)
{
	if (!has(c, FEAT_SPEC_CTRL) && !has(c, FEAT_AMD_IBPB))
		return false;
	return msr_command_write(c, index, value);
}

bool msr_command_write(struct cpu *c, u32 index, u64 value)
{
	(void)c;
	(void)index;
	return value <= 1;
}

bool msr_no_write(struct cpu *c, u32 index, u64 value)
{
	(void)c;
	(void)index;
	(void)value;
	return false;
}

/* ---- memory types ---- */

static bool mtrr_type_ok(u64 type)
{
	return type == MT_UC || type == MT_WC || type == MT_WT || type == MT_WP || type == MT_WB;
}

/* "TLB Flush": a write to an MTRR flushes everything; what is cached has a type. */
static bool mtrr_set(struct cpu *c, u64 *reg, u64 value)
{
	*reg = value;
	tlb_flush_all(c);
	return true;
}

static bool def_type_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	if ((value & ~0xcffull) || !mtrr_type_ok(value & 0xff))
		return false;
	return mtrr_set(c, &c->mtrr.def_type, value);
}

#define SYSCFG_MTRR_FIX_DRAM_MOD BIT(19)

static unsigned fixed_slot(u32 index)
{
	if (index == 0x250)
		return 0;
	return index < 0x260 ? index - 0x258 + 1 : index - 0x268 + 3;
}

/* AMD's RdMem and WrMem bits (4:3 of each byte) exist while SYSCFG[MtrrFixDramModEn] is set: APM 2 "Extended Fixed-Range
 * MTRR Type-Field Encodings". They read as zero otherwise but keep their value. */
static const u64 dram_bits = 0x1818181818181818;

static bool fixed_read(struct cpu *c, u32 index, u64 *value)
{
	*value = c->mtrr.fixed[fixed_slot(index)];
	if (!(c->syscfg & SYSCFG_MTRR_FIX_DRAM_MOD))
		*value &= ~dram_bits;
	return true;
}

static bool fixed_write(struct cpu *c, u32 index, u64 value)
{
	bool dram = (c->syscfg & SYSCFG_MTRR_FIX_DRAM_MOD) != 0;
	u64 *slot = &c->mtrr.fixed[fixed_slot(index)];

	for (unsigned k = 0; k < 8; k++)
		if (!mtrr_type_ok((dram ? value & ~dram_bits : value) >> (8 * k) & 0xff))
			return false;
	return mtrr_set(c, slot, dram ? value : (value & ~dram_bits) | (*slot & dram_bits));
}

static bool variable_read(struct cpu *c, u32 index, u64 *value)
{
	unsigned n = (index - 0x200) / 2;

	*value = index & 1 ? c->mtrr.mask[n] : c->mtrr.base[n];
	return true;
}

static bool variable_write(struct cpu *c, u32 index, u64 value)
{
	unsigned n = (index - 0x200) / 2;

	if (value >> c->phys_bits)
		return false;
	if (index & 1) {
		if (value & 0x7ff)
			return false;
		return mtrr_set(c, &c->mtrr.mask[n], value);
	}
	if ((value & 0xf00) || !mtrr_type_ok(value & 0xff))
		return false;
	return mtrr_set(c, &c->mtrr.base[n], value);
}

static bool pat_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	if (!arch_pat_valid(value))
		return false;
	c->pat = value;
	return true;
}

/* ---- machine check ---- */

#define HWCR_MC_STATUS_WR_EN BIT(18)

/* Error registers take zero only, unless AMD's HWCR lets software plant errors. */
bool msr_bank_write(struct cpu *c, u32 index, u64 value)
{
	unsigned n = index - 0x400;

	if ((n & 3) != 0 && value && !(c->hwcr & HWCR_MC_STATUS_WR_EN))
		return false;
	c->mc_bank[n / 4][n & 3] = value;
	return true;
}

static bool bank_read(struct cpu *c, u32 index, u64 *value)
{
	unsigned n = index - 0x400;

	*value = c->mc_bank[n / 4][n & 3];
	return true;
}

/* ---- bases and system calls ---- */

static bool efer_msr_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index;
	*value = c->efer;
	return true;
}

static bool efer_msr_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	return efer_write(c, value);
}

static unsigned base_seg(u32 index)
{
	return index == 0xc0000100 ? SEG_FS : SEG_GS;
}

static bool base_read(struct cpu *c, u32 index, u64 *value)
{
	*value = c->seg[base_seg(index)].base;
	return true;
}

static bool base_write(struct cpu *c, u32 index, u64 value)
{
	if (!is_canonical(value, msr_la_bits(c)))
		return false;
	c->seg[base_seg(index)].base = c->sb.base[base_seg(index)] = value;
	return true;
}

/* XSS: no supervisor state component exists, so only zero is valid. */
static bool xss_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	if (value)
		return false;
	c->xss = 0;
	return true;
}

/* "x2APIC Register Address Space" */
#define X2APIC_NAMES                                                                                                   \
	"||X2APIC_APICID|X2APIC_VERSION|||||X2APIC_TPR||X2APIC_PPR|X2APIC_EOI||X2APIC_LDR||X2APIC_SIVR|"               \
	"X2APIC_ISR0|X2APIC_ISR1|X2APIC_ISR2|X2APIC_ISR3|X2APIC_ISR4|X2APIC_ISR5|X2APIC_ISR6|X2APIC_ISR7|"             \
	"X2APIC_TMR0|X2APIC_TMR1|X2APIC_TMR2|X2APIC_TMR3|X2APIC_TMR4|X2APIC_TMR5|X2APIC_TMR6|X2APIC_TMR7|"             \
	"X2APIC_IRR0|X2APIC_IRR1|X2APIC_IRR2|X2APIC_IRR3|X2APIC_IRR4|X2APIC_IRR5|X2APIC_IRR6|X2APIC_IRR7|"             \
	"X2APIC_ESR|||||||X2APIC_LVT_CMCI|X2APIC_ICR||X2APIC_LVT_TIMER|X2APIC_LVT_THERMAL|X2APIC_LVT_PMI|"             \
	"X2APIC_LVT_LINT0|X2APIC_LVT_LINT1|X2APIC_LVT_ERROR|X2APIC_INIT_COUNT|X2APIC_CUR_COUNT|||||X2APIC_DIV_CONF|"   \
	"X2APIC_SELF_IPI"

#define MSR_SMRR_PHYSBASE 0x1f2u
#define MTRRCAP_SMRR      BIT(11)

/* Eight variable ranges, fixed ones, write combining; and whether the model has system-management ranges. */
static bool mtrrcap_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index;
	*value = 0x508 | (msr_find(c, MSR_SMRR_PHYSBASE) ? MTRRCAP_SMRR : 0);
	return true;
}

/* clang-format off */
static const struct msr_row rows[] = {
	{.index = 0x010, .count = 1, .name = "IA32_TIME_STAMP_COUNTER", .feature = FEAT_TSC, .read = tsc_read, .write = tsc_write},
	{.index = 0x01b, .count = 1, .name = "IA32_APIC_BASE", .feature = FEAT_APIC, .read = apicbase_read, .write = apicbase_write},
	{MSR_AT(0x03b, 1, "IA32_TSC_ADJUST", tsc_adjust), .feature = FEAT_TSC_ADJUST, .write = tsc_adjust_write},
	{MSR_AT(0x048, 1, "IA32_SPEC_CTRL", spec_ctrl), .read = spec_ctrl_read, .write = spec_ctrl_write},
	{.index = 0x049, .count = 1, .name = "IA32_PRED_CMD", .write = pred_cmd_write},
	{.index = 0x0fe, .count = 1, .name = "IA32_MTRRCAP", .feature = FEAT_MTRR, .read = mtrrcap_read},
	{MSR_AT(0x174, 1, "IA32_SYSENTER_CS", sysenter_cs), .feature = FEAT_SEP, .writable = ~0ull},
	{MSR_AT(0x175, 1, "IA32_SYSENTER_ESP", sysenter_esp), .feature = FEAT_SEP, .writable = ~0ull, .flags = MSR_CANONICAL},
	{MSR_AT(0x176, 1, "IA32_SYSENTER_EIP", sysenter_eip), .feature = FEAT_SEP, .writable = ~0ull, .flags = MSR_CANONICAL},
	{.index = 0x179, .count = 1, .name = "IA32_MCG_CAP", .feature = FEAT_MCA, .flags = MSR_CONST, .reset = BIT(8) | MC_BANKS},
	{MSR_AT(0x17a, 1, "IA32_MCG_STATUS", mcg_status), .feature = FEAT_MCA, .writable = 7},
	{MSR_AT(0x17b, 1, "IA32_MCG_CTL", mcg_ctl), .feature = FEAT_MCA, .writable = ~0ull},
	{.index = 0x200, .count = 16, .name = "IA32_MTRR_PHYSBASE#|IA32_MTRR_PHYSMASK#", .feature = FEAT_MTRR, .read = variable_read, .write = variable_write},
	{.index = 0x250, .count = 1, .name = "IA32_MTRR_FIX64K_00000", .feature = FEAT_MTRR, .read = fixed_read, .write = fixed_write},
	{.index = 0x258, .count = 2, .name = "IA32_MTRR_FIX16K_80000|IA32_MTRR_FIX16K_A0000", .feature = FEAT_MTRR, .read = fixed_read, .write = fixed_write},
	{.index = 0x268, .count = 8, .name = "IA32_MTRR_FIX4K_C0000|IA32_MTRR_FIX4K_C8000|IA32_MTRR_FIX4K_D0000|IA32_MTRR_FIX4K_D8000|"
	 "IA32_MTRR_FIX4K_E0000|IA32_MTRR_FIX4K_E8000|IA32_MTRR_FIX4K_F0000|IA32_MTRR_FIX4K_F8000", .feature = FEAT_MTRR, .read = fixed_read, .write = fixed_write},
	{MSR_AT(0x277, 1, "IA32_PAT", pat), .feature = FEAT_PAT, .write = pat_write, .reset = 0x0007040600070406},
	{MSR_AT(0x2ff, 1, "IA32_MTRR_DEF_TYPE", mtrr.def_type), .feature = FEAT_MTRR, .write = def_type_write},
	{.index = 0x400, .count = 4 * MC_BANKS, .name = "IA32_MC#_CTL|IA32_MC#_STATUS|IA32_MC#_ADDR|IA32_MC#_MISC", .feature = FEAT_MCA, .read = bank_read, .write = msr_bank_write},
	{.index = 0x6e0, .count = 1, .name = "IA32_TSC_DEADLINE", .feature = FEAT_TSC_DEADLINE, .read = deadline_read, .write = deadline_write},
	{.index = 0x800, .count = 0x100, .name = X2APIC_NAMES, .feature = FEAT_X2APIC, .read = apic_msr_read, .write = apic_msr_write},
	{MSR_AT(0xda0, 1, "IA32_XSS", xss), .feature = FEAT_XSAVES, .write = xss_write},
	{.index = 0xc0000080, .count = 1, .name = "EFER", .read = efer_msr_read, .write = efer_msr_write},
	{MSR_AT(0xc0000081, 1, "STAR", star), .feature = FEAT_SYSCALL, .writable = ~0ull},
	{MSR_AT(0xc0000082, 1, "LSTAR", lstar), .feature = FEAT_LM, .writable = ~0ull, .flags = MSR_CANONICAL},
	{MSR_AT(0xc0000083, 1, "CSTAR", cstar), .feature = FEAT_LM, .writable = ~0ull, .flags = MSR_CANONICAL},
	{MSR_AT(0xc0000084, 1, "SFMASK", sfmask), .feature = FEAT_LM, .writable = 0xffffffff, .ignored = 0xffffffff00000000},
	{.index = 0xc0000100, .count = 2, .name = "FS_BASE|GS_BASE", .feature = FEAT_LM, .read = base_read, .write = base_write},
	{MSR_AT(0xc0000102, 1, "KERNEL_GS_BASE", kernel_gs_base), .feature = FEAT_LM, .writable = ~0ull, .flags = MSR_CANONICAL},
	{MSR_AT(0xc0000103, 1, "TSC_AUX", tsc_aux), .feature = FEAT_RDTSCP, .writable = 0xffffffff},
};
/* clang-format on */

const struct msr_set msr_common = {rows, ARRAY_LEN(rows)};
