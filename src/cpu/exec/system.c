/*
 * System instructions: caches and TLBs, MSRs, CPUID, bases and keys. The gate has tested what the row says (#UD, CPL, plain
 * intercepts); what depends on operands is here. SDM 2, APM 3 "System Instruction Reference"; SVM's order: APM 2
 * "Instruction Intercepts".
 */
#include "cpu/control/msr.h"
#include "cpu/control/smm.h"
#include "cpu/exec/sysop.h"

/* ---- caches and translations ---- */

/* The model has no caches: what is written is in memory at once. */
static enum xr cache_nop(struct cpu *c, const struct insn *i)
{
	(void)c;
	(void)i;
	return XR_OK;
}

static u16 current_pcid(const struct cpu *c)
{
	return c->cr4 & CR4_PCIDE ? (u16)(c->cr3 & 0xfff) : 0;
}

/* No segment checks, and a non-canonical address is no fault but nothing to do. */
static enum xr invlpg(struct cpu *c, const struct insn *i)
{
	la_t la = insn_ea(c, i) + (mode64(c) ? c->sb.base[i->seg] : c->seg[i->seg].base);

	if (!mode64(c))
		la = (u32)la;
	TRY(icpt_test(c, i, ICPT_INVLPG, la));
	if (is_canonical(la, c->la_bits) || !mode64(c))
		tlb_flush_page(c, c->space, current_pcid(c), la, true);
	guest_flushed(c, &(struct tlb_match){.pcid = current_pcid(c), .la = la, .globals = true});
	return XR_OK;
}

/* The descriptor of INVPCID, INVEPT and INVVPID. */
enum xr op_read128(struct cpu *c, const struct insn *i, u64 out[2])
{
	struct span s;
	la_t la;

	TRY(insn_la(c, i, 16, ACC_READ, &la));
	TRY(mem_span(c, la, 16, ACC_READ | stack_acc(i), &s));
	span_read(c, &s, 0, out, 16);
	return XR_OK;
}

enum { INVPCID_ADDRESS, INVPCID_SINGLE, INVPCID_ALL_GLOBAL, INVPCID_ALL };

static enum xr invpcid(struct cpu *c, const struct insn *i)
{
	u64 type = reg_get(c, i->r0, native_size(c)), d[2];

	TRY(op_read128(c, i, d));

	u16 pcid = d[0] & 0xfff;
	bool names_pcid = type == INVPCID_ADDRESS || type == INVPCID_SINGLE;

	if (type > INVPCID_ALL || d[0] >> 12 || (names_pcid && pcid && !(c->cr4 & CR4_PCIDE)))
		return fault_gp(c, 0);
	if (type == INVPCID_ADDRESS && !is_canonical(d[1], msr_la_bits(c)))
		return fault_gp(c, 0);
	guest_flushed(c, &(struct tlb_match){.pcid = pcid,
	                                     .la = d[1],
	                                     .any_page = type != INVPCID_ADDRESS,
	                                     .any_pcid = !names_pcid,
	                                     .globals = type == INVPCID_ALL_GLOBAL});
	if (type == INVPCID_ADDRESS)
		tlb_flush_page(c, c->space, pcid, d[1], false);
	else if (type == INVPCID_SINGLE)
		tlb_flush_pcid(c, c->space, pcid, true);
	else
		tlb_flush_space(c, c->space, type == INVPCID_ALL);
	return XR_OK;
}

static enum xr clzero(struct cpu *c, const struct insn *i)
{
	static const u8 zero[64];
	u64 ea = low_bytes(c->r[REG_RAX], i->addrsz) & ~63ull;
	struct span s;
	la_t la;

	TRY(seg_address(c, i->seg, ea, 64, ACC_WRITE, &la));
	TRY(mem_span(c, la, 64, ACC_WRITE, &s));
	span_write(c, &s, 0, zero, 64);
	return XR_OK;
}

/* "MCOMMIT": every earlier store is in memory, and none of them failed. */
static enum xr mcommit(struct cpu *c, const struct insn *i)
{
	if (!(c->efer & EFER_MCOMMIT))
		return fault_ud(c);
	TRY(icpt_test(c, i, ICPT_MCOMMIT, 0));
	cc_set_flags(c, flags_get(c) & (FL_ARITH & ~(u32)FL_CF));
	return XR_OK;
}

/* ---- MSRs, CPUID ---- */

static void trace_msr(struct cpu *c, bool write, u32 index, u64 v, bool ok)
{
	if (unlikely(c->hooks->trace & TRACE_MSR) && c->hooks->msr)
		c->hooks->msr(c->hooks->arg, c, write, index, v, ok);
}

static cold enum xr msr_refuse(struct cpu *c, bool write, u32 index, u64 v)
{
	for (const struct gp_reasons *const *r = c->model->reasons; c->hooks->refused && r && *r; r++) {
		if (write)
			(*r)->wrmsr(c, index, v);
		else
			(*r)->rdmsr(c, index);
	}
	return fault_gp(c, 0);
}

static enum xr rdmsr(struct cpu *c, const struct insn *i)
{
	u32 index = (u32)c->r[REG_RCX];
	u64 v = 0;
	enum xr r;

	if (icpt_on(c, ICPT_MSR))
		TRY(c->virt->guest.msr(c, i, index, false));
	cpu_sync_time(c);
	if (c->guest && c->virt->guest.msr_virtual(c, i, index, false, &v, &r)) {
		if (r == XR_OK)
			c->r[REG_RAX] = (u32)v, c->r[REG_RDX] = v >> 32;
		return r;
	}

	bool ok = msr_read(c, index, &v);

	trace_msr(c, false, index, v, ok);
	if (!ok)
		return msr_refuse(c, false, index, 0);
	c->r[REG_RAX] = (u32)v;
	c->r[REG_RDX] = v >> 32;
	return XR_OK;
}

#define MSR_EFER 0xc0000080u

static enum xr wrmsr(struct cpu *c, const struct insn *i)
{
	u32 index = (u32)c->r[REG_RCX];
	u64 v = (c->r[REG_RDX] << 32) | (u32)c->r[REG_RAX];

	enum xr r;

	if (icpt_on(c, ICPT_MSR))
		TRY(c->virt->guest.msr(c, i, index, true));
	cpu_sync_time(c);
	if (c->guest && c->virt->guest.msr_virtual(c, i, index, true, &v, &r))
		return r;

	bool ok = msr_write(c, index, v);

	trace_msr(c, true, index, v, ok);
	if (!ok)
		return msr_refuse(c, true, index, v);
	return index == MSR_EFER ? icpt_test(c, i, ICPT_EFER_WRITE_TRAP, c->efer) : XR_OK;
}

#define HWCR_CPUID_USER_DIS BIT(35)

static enum xr cpuid(struct cpu *c, const struct insn *i)
{
	u32 out[4];

	if (unlikely(c->cpl != 0 && (c->hwcr & HWCR_CPUID_USER_DIS)))
		return fault_gp(c, 0);
	TRY(icpt_test(c, i, ICPT_CPUID, 0));
	cpuid_query(c, (u32)c->r[REG_RAX], (u32)c->r[REG_RCX], out);
	c->r[REG_RAX] = out[EAX];
	c->r[REG_RBX] = out[EBX];
	c->r[REG_RCX] = out[ECX];
	c->r[REG_RDX] = out[EDX];
	return XR_OK;
}

static enum xr rdpmc(struct cpu *c, const struct insn *i)
{
	u64 v;

	if (c->cpl != 0 && !(c->cr4 & CR4_PCE))
		return fault_gp(c, 0);
	if (c->guest && !c->virt->guest.intercept_first && !perf_read(c, (u32)c->r[REG_RCX], &v)) /* SVM: every exception first */
		return fault_gp(c, 0);
	TRY(icpt_test(c, i, ICPT_RDPMC, 0));
	if (!perf_read(c, (u32)c->r[REG_RCX], &v))
		return fault_gp(c, 0);
	c->r[REG_RAX] = (u32)v;
	c->r[REG_RDX] = v >> 32;
	return XR_OK;
}

/* ---- bases, flags, keys ---- */

static enum xr swapgs(struct cpu *c, const struct insn *i)
{
	u64 old = c->seg[SEG_GS].base;

	(void)i;
	c->seg[SEG_GS].base = c->sb.base[SEG_GS] = c->kernel_gs_base;
	c->kernel_gs_base = old;
	return XR_OK;
}

static unsigned base_segment(const struct insn *i)
{
	return i->aux;
}

static enum xr rdbase(struct cpu *c, const struct insn *i)
{
	if (!(c->cr4 & CR4_FSGSBASE))
		return fault_ud(c);
	reg_set(c, i->r0, i->opsz, c->seg[base_segment(i)].base);
	return XR_OK;
}

static enum xr wrbase(struct cpu *c, const struct insn *i)
{
	u64 v = reg_get(c, i->r0, i->opsz);

	if (!(c->cr4 & CR4_FSGSBASE))
		return fault_ud(c);
	if (!is_canonical(v, c->la_bits))
		return fault_gp(c, 0);
	c->seg[base_segment(i)].base = c->sb.base[base_segment(i)] = v;
	return XR_OK;
}

static enum xr set_ac(struct cpu *c, bool on)
{
	if (c->cpl != 0)
		return fault_ud(c);
	c->rflags = on ? c->rflags | FL_AC : c->rflags & ~(u32)FL_AC;
	mmu_update_context(c);
	return XR_OK;
}

static enum xr clac(struct cpu *c, const struct insn *i)
{
	(void)i;
	return set_ac(c, false);
}

static enum xr stac(struct cpu *c, const struct insn *i)
{
	(void)i;
	return set_ac(c, true);
}

static enum xr rdpkru(struct cpu *c, const struct insn *i)
{
	(void)i;
	if (!(c->cr4 & CR4_PKE))
		return fault_ud(c);
	if ((u32)c->r[REG_RCX])
		return fault_gp(c, 0);
	c->r[REG_RAX] = c->pkru;
	c->r[REG_RDX] = 0;
	return XR_OK;
}

static enum xr wrpkru(struct cpu *c, const struct insn *i)
{
	(void)i;
	if (!(c->cr4 & CR4_PKE))
		return fault_ud(c);
	if ((u32)c->r[REG_RCX] || (u32)c->r[REG_RDX])
		return fault_gp(c, 0);
	c->pkru = (u32)c->r[REG_RAX];
	mmu_update_context(c);
	return XR_OK;
}

/* ---- the rest ---- */

static enum xr rsm(struct cpu *c, const struct insn *i)
{
	if (!c->smm)
		return smm_rsm_outside(c, insn_rip(c, i));
	TRY(c->virt->smm.rsm(c, i));
	return smm_rsm(c);
}

static enum xr serialize(struct cpu *c, const struct insn *i)
{
	(void)c;
	(void)i;
	return XR_OK;
}

/* ---- rows ---- */

/* Zydis 4.0.0 has no WBNOINVD mnemonic: it is WBINVD with F3. */
static bool is_wbnoinvd(const struct dec *d)
{
	for (unsigned k = 0; k < d->zi->raw.prefix_count; k++)
		if (d->zi->raw.prefixes[k].value == 0xf3)
			return has(d->cpu, FEAT_WBNOINVD);
	return false;
}

/* F2 and F3 belong to other instructions, whether they exist or not. */
static bool no_repeat(const struct dec *d)
{
	for (unsigned k = 0; k < d->zi->raw.prefix_count; k++)
		if (d->zi->raw.prefixes[k].value == 0xf2 || d->zi->raw.prefixes[k].value == 0xf3)
			return false;
	return true;
}

static void bind_base(struct insn *i, const struct dec *d)
{
	bool fs = d->zi->mnemonic == ZYDIS_MNEMONIC_RDFSBASE || d->zi->mnemonic == ZYDIS_MNEMONIC_WRFSBASE;

	i->aux = fs ? SEG_FS : SEG_GS;
	i->opsz = d->zi->raw.rex.W ? 8 : 4; /* 66h changes nothing */
}

#define M(name) .mnemonic = ZYDIS_MNEMONIC_##name
#define PM (ROW_NO_REAL | ROW_NO_V86)
/* clang-format off */
static const struct insn_row rows[] = {
	{M(INVD), .form = "INVD", .fn = cache_nop, .flags = ROW_CPL0, .icpt = ICPT_INVD},
	{M(WBINVD), .form = "WBNOINVD", .match = is_wbnoinvd, .fn = cache_nop, .flags = ROW_CPL0, .icpt = ICPT_WBINVD},
	{M(WBINVD), .form = "WBINVD", .fn = cache_nop, .flags = ROW_CPL0, .icpt = ICPT_WBINVD},
	{M(INVLPG), .form = "INVLPG m", .fn = invlpg, .flags = ROW_CPL0 | ROW_END | ROW_LATE_ICPT, .icpt = ICPT_INVLPG},
	{M(INVPCID), .form = "INVPCID r, m128", .fn = invpcid, .feature = FEAT_INVPCID,
	 .flags = ROW_CPL0 | ROW_END | ROW_NO_V86, .icpt = ICPT_INVPCID},
	{M(CLZERO), .match = no_repeat, .form = "CLZERO", .bind = bind_implied_segment, .fn = clzero, .feature = FEAT_CLZERO},
	{M(RDMSR), .form = "RDMSR", .fn = rdmsr, .feature = FEAT_MSR, .flags = ROW_CPL0 | ROW_END},
	{M(WRMSR), .form = "WRMSR", .fn = wrmsr, .feature = FEAT_MSR, .flags = ROW_CPL0 | ROW_END},
	{M(CPUID), .form = "CPUID", .fn = cpuid, .flags = ROW_LATE_ICPT, .icpt = ICPT_CPUID},
	{M(RDPMC), .form = "RDPMC", .fn = rdpmc, .flags = ROW_LATE_ICPT, .icpt = ICPT_RDPMC},
	{M(SWAPGS), .form = "SWAPGS", .fn = swapgs, .flags = ROW_ONLY64 | ROW_CPL0},
	{M(RDFSBASE), .form = "RDFSBASE r", .bind = bind_base, .fn = rdbase, .feature = FEAT_FSGSBASE, .flags = ROW_ONLY64},
	{M(RDGSBASE), .form = "RDGSBASE r", .bind = bind_base, .fn = rdbase, .feature = FEAT_FSGSBASE, .flags = ROW_ONLY64},
	{M(WRFSBASE), .form = "WRFSBASE r", .bind = bind_base, .fn = wrbase, .feature = FEAT_FSGSBASE, .flags = ROW_ONLY64},
	{M(WRGSBASE), .form = "WRGSBASE r", .bind = bind_base, .fn = wrbase, .feature = FEAT_FSGSBASE, .flags = ROW_ONLY64},
	{M(CLAC), .form = "CLAC", .fn = clac, .feature = FEAT_SMAP, .flags = ROW_NO_V86},
	{M(STAC), .form = "STAC", .fn = stac, .feature = FEAT_SMAP, .flags = ROW_NO_V86},
	{M(MCOMMIT), .form = "MCOMMIT", .fn = mcommit, .feature = FEAT_MCOMMIT, .icpt = ICPT_MCOMMIT, .flags = ROW_LATE_ICPT},
	{M(RDPKRU), .form = "RDPKRU", .fn = rdpkru, .feature = FEAT_PKU},
	{M(WRPKRU), .form = "WRPKRU", .fn = wrpkru, .feature = FEAT_PKU},
	{M(RSM), .form = "RSM", .fn = rsm, .flags = ROW_BRANCH | ROW_END | ROW_LOADS_TF, .icpt = ICPT_RSM},
	{M(SERIALIZE), .form = "SERIALIZE", .fn = serialize, .feature = FEAT_SERIALIZE, .flags = ROW_END},
};
/* clang-format on */

const struct row_set exec_system_rows = {rows, ARRAY_LEN(rows)};
