/*
 * Fast system calls: SYSCALL, SYSRET, SYSENTER, SYSEXIT. They load flat segments without reading descriptors; where the
 * vendors differ a quirk bit says so. SDM 2B "SYSCALL".."SYSRET", APM 2 "Fast System Call and Return".
 */
#include "cpu/exec/exec.h"
#include "cpu/control/segs.h"

#define AR_FLAT_CODE (0xbu | AR_S | AR_P | AR_G) /* execute/read, accessed */
#define AR_FLAT_DATA (0x3u | AR_S | AR_P | AR_G | AR_DB)

static struct seg flat(u16 sel, u32 ar, unsigned dpl)
{
	return (struct seg){.sel = sel, .limit = 0xffffffff, .ar = ar | (u32)dpl << AR_DPL_SHIFT};
}

/* Load CS, SS and CPL, then rip. What WRMSR let into LSTAR and SYSENTER_EIP is canonical for the processor (see
 * msr_la_bits()); the mode in force may have shorter addresses, so SYSCALL and SYSENTER look again. */
static void transfer(struct cpu *c, const struct insn *i, u16 cs, u16 ss, unsigned cpl, bool to64, u64 rip)
{
	u64 from = insn_rip(c, i);

	c->seg[SEG_CS] = flat(cs, AR_FLAT_CODE | (to64 ? AR_L : AR_DB), cpl);
	c->seg[SEG_SS] = flat(ss, AR_FLAT_DATA, cpl);
	c->cpl = (u8)cpl;
	cpu_update_mode(c);
	far_land(c, from, rip);
}

static void change_flags(struct cpu *c, u32 v)
{
	u32 old = flags_get(c);

	flags_set(c, v | FL_1);
	cpu_flags_changed(c, old);
}

/* SYSCALL and SYSRET single-step by the TF they load, so they load it before they branch; BTF makes no difference. */
static enum xr step_by_new_flags(struct cpu *c)
{
	if (unlikely(c->rflags & FL_TF)) {
		c->pending_db |= DR6_BS;
		cpu_raise(c, PEND_DB);
	}
	return XR_OK;
}

static bool syscall_ud(const struct cpu *c)
{
	if (!(c->efer & EFER_SCE) || !(c->mode & MODE_PE))
		return true;
	return quirk(c, QUIRK_SYSCALL_LONG_ONLY) && !mode64(c);
}

static enum xr syscall(struct cpu *c, const struct insn *i)
{
	const u16 star = (u16)bits(c->star, 47, 32), cs = star & 0xfffc, ss = (u16)(star + 8); /* SS keeps its RPL */
	u32 fl = flags_get(c);
	u64 target;

	if (syscall_ud(c))
		return fault_ud(c);
	if (!long_mode(c)) {
		c->r[REG_RCX] = (u32)next_rip(c, i);
		change_flags(c, fl & ~(u32)(FL_VM | FL_IF | FL_RF));
		transfer(c, i, cs, ss, 0, false, (u32)c->star);
		return step_by_new_flags(c);
	}
	target = mode64(c) ? c->lstar : c->cstar;
	if (!is_canonical(target, c->la_bits))
		return fault_gp(c, 0);
	c->r[REG_RCX] = next_rip(c, i);
	c->r[11] = fl & ~(u32)FL_RF;
	change_flags(c, fl & ~(u32)c->sfmask & ~(u32)FL_RF);
	transfer(c, i, cs, ss, 0, true, target);
	return step_by_new_flags(c);
}

static enum xr sysret(struct cpu *c, const struct insn *i)
{
	u16 base = (u16)bits(c->star, 63, 48);
	bool to64 = i->opsz == 8;
	u64 rip = to64 ? c->r[REG_RCX] : (u32)c->r[REG_RCX];
	u32 fl;

	if (syscall_ud(c))
		return fault_ud(c);
	if (c->cpl != 0)
		return fault_gp(c, 0);
	if (to64 && !quirk(c, QUIRK_SYSRET_NONCANON_USER) && !is_canonical(rip, c->la_bits))
		return fault_gp(c, 0);
	if (long_mode(c))
		fl = (u32)c->r[11] & (FL_ALL & ~(u32)(FL_RF | FL_VM));
	else
		fl = (flags_get(c) | FL_IF) & ~(u32)FL_VM;
	change_flags(c, fl);
	transfer(c, i, (u16)((to64 ? base + 16 : base) | 3), (u16)((base + 8) | 3), 3, to64, rip);
	return step_by_new_flags(c);
}

static bool sysenter_ud(const struct cpu *c)
{
	return quirk(c, QUIRK_SYSENTER_NO_COMPAT) && long_mode(c);
}

static enum xr sysenter(struct cpu *c, const struct insn *i)
{
	u16 cs = (u16)(c->sysenter_cs & 0xfffc);
	bool to64 = long_mode(c);

	if (sysenter_ud(c))
		return fault_ud(c);
	if (real_mode(c) || !cs || (to64 && !is_canonical(c->sysenter_eip, c->la_bits)))
		return fault_gp(c, 0);

	u32 fl = flags_get(c) & ~(u32)(FL_VM | FL_IF | FL_RF);

	change_flags(c, fl);
	c->r[REG_RSP] = to64 ? c->sysenter_esp : (u32)c->sysenter_esp;
	transfer(c, i, cs, (u16)(cs + 8), 0, to64, to64 ? c->sysenter_eip : (u32)c->sysenter_eip);
	return XR_OK;
}

static enum xr sysexit(struct cpu *c, const struct insn *i)
{
	u16 cs = (u16)(c->sysenter_cs & 0xfffc);
	bool to64 = i->opsz == 8;
	u64 rip = c->r[REG_RDX], rsp = c->r[REG_RCX];

	if (sysenter_ud(c))
		return fault_ud(c);
	if (!(c->mode & MODE_PE) || !cs || c->cpl != 0)
		return fault_gp(c, 0);
	if (to64 && (!is_canonical(rip, c->la_bits) || !is_canonical(rsp, c->la_bits)))
		return fault_gp(c, 0);
	cs = (u16)((cs + (to64 ? 32 : 16)) | 3);
	c->r[REG_RSP] = to64 ? rsp : (u32)rsp;
	transfer(c, i, cs, (u16)(cs + 8), 3, to64, to64 ? rip : (u32)rip);
	return XR_OK;
}

/* clang-format off */
static const struct insn_row rows[] = {
	{.mnemonic = ZYDIS_MNEMONIC_SYSCALL, .form = "SYSCALL", .fn = syscall, .feature = FEAT_SYSCALL, .flags = ROW_BRANCH | ROW_LOADS_TF},
	{.mnemonic = ZYDIS_MNEMONIC_SYSRET, .form = "SYSRET", .fn = sysret, .feature = FEAT_SYSCALL, .flags = ROW_BRANCH | ROW_LOADS_TF},
	{.mnemonic = ZYDIS_MNEMONIC_SYSENTER, .form = "SYSENTER", .fn = sysenter, .feature = FEAT_SEP, .flags = ROW_BRANCH},
	{.mnemonic = ZYDIS_MNEMONIC_SYSEXIT, .form = "SYSEXIT", .fn = sysexit, .feature = FEAT_SEP, .flags = ROW_BRANCH},
};
/* clang-format on */

const struct row_set exec_sysenter_rows = {rows, ARRAY_LEN(rows)};
