/*
 * The instructions of SVM. "SVM Instruction Set Reference": #UD without EFER.SVME or outside protected mode, #GP(0) by
 * CPL, the intercept, then the operand. The intercept is late (ROW_LATE_ICPT), because SVME comes before CPL.
 */
#include "cpu/exec/exec.h"
#include "svm/svm.h"

static enum xr gate(struct cpu *c, const struct insn *i, enum icpt id)
{
	if (!(c->efer & EFER_SVME))
		return fault_ud(c);
	if (c->cpl != 0)
		return fault_gp(c, 0);
	return icpt_test(c, i, id, 0);
}

/* "Enabling SVM": where SKINIT is announced, it and STGI need no EFER.SVME. */
static enum xr gate_secure(struct cpu *c, const struct insn *i, enum icpt id)
{
	bool announced = has(c, FEAT_SKINIT) && !quirk(c, QUIRK_SVM_FIRST);

	if (!announced)
		return gate(c, i, id);
	if (c->cpl != 0)
		return fault_gp(c, 0);
	return icpt_test(c, i, id, 0);
}

/* The VMCB's address: #GP comes before the intercept in 2005's order ("Checks exceptions (#GP) before the intercept"),
 * since then the intercept first (CPUID 8000_000Ah EDX[28]). */
static enum xr gate_address(struct cpu *c, const struct insn *i, enum icpt id, u64 pa)
{
	bool bad = !svm_pa_ok(c, pa);

	if (quirk(c, QUIRK_SVM_FIRST) && (c->efer & EFER_SVME) && c->cpl == 0 && bad)
		return fault_gp(c, 0);
	return gate(c, i, id);
}

/* rAX, cut to the effective address size. */
static u64 rax_address(const struct cpu *c, const struct insn *i)
{
	return low_bytes(c->r[REG_RAX], i->addrsz);
}

static enum xr vmrun(struct cpu *c, const struct insn *i)
{
	pa_t pa = rax_address(c, i);

	TRY(gate_address(c, i, ICPT_VMRUN, pa));
	if (!svm_pa_ok(c, pa) || (!c->vm_hsave_pa && !quirk(c, QUIRK_SVM_FIRST)))
		return fault_gp(c, 0);
	return svm_enter(c, i, pa);
}

/*
 * Which page VMLOAD and VMSAVE address. "Virtual VMLOAD and VMSAVE": with the control set, nested paging on and a host
 * in 64-bit mode rAX is guest-physical; with the control set and one of them missing the instruction exits.
 */
static enum xr state_page(struct cpu *c, const struct insn *i, enum icpt id, u8 access, pa_t *pa)
{
	struct stage2_req q = {.gpa = rax_address(c, i), .why = S2_FINAL, .access = access, .user = true};
	struct stage2_res r;

	TRY(gate_address(c, i, id, q.gpa));
	*pa = q.gpa;
	if (c->guest && has(c, FEAT_V_VMSAVE_VMLOAD) && (svm_control(c)->virt_ext & VIRT_EXT_VLS)) {
		const struct svm_host *h = &svm_of(c)->host;
		bool host64 = (h->efer & EFER_LMA) && (h->seg_ar[SEG_CS] & AR_L);

		if (!svm_of(c)->nested || !host64)
			return cpu_exit(c, i, id, 0, 0);
		if (!svm_pa_ok(c, q.gpa))
			return fault_gp(c, 0);
		TRY(svm_stage2(c, &q, &r));
		*pa = r.pa & PAGE_MASK;
		return XR_OK;
	}
	return svm_pa_ok(c, *pa) ? XR_OK : fault_gp(c, 0);
}

static enum xr vmload(struct cpu *c, const struct insn *i)
{
	struct vmcb_page tmp;
	struct svm_access a;
	pa_t pa;

	TRY(state_page(c, i, ICPT_VMLOAD, ACC_READ, &pa));
	svm_open(c, &a, pa, &tmp);
	svm_state_vmload(c, &a.page->save);
	cpu_update_mode(c);
	return XR_OK;
}

static enum xr vmsave(struct cpu *c, const struct insn *i)
{
	struct vmcb_page tmp;
	struct svm_access a;
	pa_t pa;

	TRY(state_page(c, i, ICPT_VMSAVE, ACC_READ | ACC_WRITE, &pa));
	svm_open(c, &a, pa, &tmp);
	svm_state_vmsave(c, &a.page->save);
	svm_close_written(c, &a);
	return XR_OK;
}

/* Any mode, any privilege; unintercepted it does not exist. */
static enum xr vmmcall(struct cpu *c, const struct insn *i)
{
	if (!(c->efer & EFER_SVME))
		return fault_ud(c);
	TRY(icpt_test(c, i, ICPT_VMMCALL, 0));
	return fault_ud(c);
}

/* "Virtual GIF": in a guest that has one, STGI and CLGI change it alone. */
static void set_gif(struct cpu *c, bool on)
{
	struct svm *s = svm_of(c);

	if (c->guest && (s->vintr & VINTR_GIF_EN) && has(c, FEAT_VGIF))
		s->vintr = on ? s->vintr | VINTR_GIF : s->vintr & ~VINTR_GIF;
	else
		c->gif = on;
	if (on && (c->pend || c->guest)) /* nothing becomes deliverable otherwise */
		cpu_recheck(c);
}

static enum xr stgi(struct cpu *c, const struct insn *i)
{
	TRY(gate_secure(c, i, ICPT_STGI));
	set_gif(c, true);
	return XR_OK;
}

static enum xr clgi(struct cpu *c, const struct insn *i)
{
	TRY(gate(c, i, ICPT_CLGI));
	set_gif(c, false);
	return XR_OK;
}

static enum xr skinit(struct cpu *c, const struct insn *i)
{
	TRY(gate_secure(c, i, ICPT_SKINIT));
	svm_skinit(c, (u32)c->r[REG_RAX], insn_rip(c, i));
	return XR_OK;
}

static enum xr invlpga(struct cpu *c, const struct insn *i)
{
	u32 asid = (u32)c->r[REG_RCX];

	TRY(gate(c, i, ICPT_INVLPGA));
	if (asid < SVM_ASIDS) /* others cannot have entries */
		tlb_flush_page_any_pcid(c, (u16)asid, rax_address(c, i));
	return XR_OK;
}

/* ---- INVLPGB, TLBSYNC: APM 3 ---- */

enum { INVLPGB_VA = 1, INVLPGB_PCID = 2, INVLPGB_ASID = 4, INVLPGB_GLOBAL = 8, INVLPGB_NESTED = 32 };

/* 090h bit 7, where there is one, takes both away from a guest. The privilege level comes before the intercept, every
 * fault by the operands behind it. */
static enum xr broadcast_gate(struct cpu *c, const struct insn *i, enum icpt id)
{
	if (c->guest && has(c, FEAT_TLBI_CTL) && !(svm_control(c)->nested_ctl & NESTED_TLBI))
		return fault_ud(c);
	if (c->cpl != 0)
		return fault_gp(c, 0);
	return icpt_test(c, i, id, 0);
}

/* A guest's ASID operand is not used, hence not checked. */
static bool invlpgb_legal(const struct cpu *c, u64 rax, u32 ecx, u32 edx)
{
	if ((rax & mask(11, 6)) || (ecx & mask(30, 16)) || (edx & mask(31, 28)) || (ecx & 0xffff) > SVM_INVLPGB_MAX)
		return false;
	if ((rax & INVLPGB_NESTED) && !has(c, FEAT_INVLPGB_NESTED))
		return false;
	return c->guest || !(rax & INVLPGB_ASID) || (edx & 0xffff) < SVM_ASIDS;
}

/*
 * Every processor at once. "The hardware replaces the requested ASID with the guest ASID and sets the ASID valid bit".
 * Bit 4, final translation only, makes no difference where nothing but final translations is cached. Bit 5: entries
 * here join both stages, so that any of the ASID's may come from the nested translation in question.
 */
static enum xr invlpgb(struct cpu *c, const struct insn *i)
{
	u64 rax = rax_address(c, i);
	u32 ecx = (u32)c->r[REG_RCX], edx = (u32)c->r[REG_RDX];

	TRY(broadcast_gate(c, i, ICPT_INVLPGB));
	if (!invlpgb_legal(c, rax, ecx, edx)) {
		TRY(icpt_test(c, i, ICPT_INVLPGB_ILLEGAL, 0));
		return fault_gp(c, 0);
	}
	bool nested = rax & INVLPGB_NESTED;
	struct tlb_match m = {
	        .space = c->guest ? c->space : (u16)edx,
	        .pcid = (u16)bits(edx, 27, 16),
	        .any_space = !c->guest && !(rax & INVLPGB_ASID),
	        .any_pcid = nested || !(rax & INVLPGB_PCID),
	        .any_page = nested || !(rax & INVLPGB_VA),
	        .globals = nested || (rax & INVLPGB_GLOBAL),
	        .la = rax & PAGE_MASK,
	};

	for (unsigned left = m.any_page ? 1 : (ecx & 0xffff) + 1; left; left--) {
		for (unsigned n = 0; n < c->count; n++)
			tlb_flush_matching(c->all[n], &m);
		m.la += ecx & BIT(31) ? BIT(21) : PAGE_SIZE;
	}
	return XR_OK;
}

/* INVLPGB is complete when it ends. */
static enum xr tlbsync(struct cpu *c, const struct insn *i)
{
	return broadcast_gate(c, i, ICPT_TLBSYNC);
}

/* clang-format off */
#define PROTECTED (ROW_NO_REAL | ROW_NO_V86 | ROW_LATE_ICPT)
#define ROW(m, text, function, icpt_, flags_) \
	{.mnemonic = ZYDIS_MNEMONIC_##m, .flags = (flags_), .feature = FEAT_SVM, \
	 .icpt = icpt_, .form = text, .fn = function}

static const struct insn_row rows[] = {
	ROW(VMRUN,   "VMRUN rAX",        vmrun,   ICPT_VMRUN,   PROTECTED | ROW_BRANCH | ROW_END),
	ROW(VMLOAD,  "VMLOAD rAX",       vmload,  ICPT_VMLOAD,  PROTECTED | ROW_END),
	ROW(VMSAVE,  "VMSAVE rAX",       vmsave,  ICPT_VMSAVE,  PROTECTED),
	ROW(VMMCALL, "VMMCALL",          vmmcall, ICPT_VMMCALL, ROW_LATE_ICPT | ROW_END),
	ROW(STGI,    "STGI",             stgi,    ICPT_STGI,    PROTECTED | ROW_END),
	ROW(CLGI,    "CLGI",             clgi,    ICPT_CLGI,    PROTECTED | ROW_END),
	ROW(INVLPGA, "INVLPGA rAX, ECX", invlpga, ICPT_INVLPGA, PROTECTED | ROW_END),
	{.mnemonic = ZYDIS_MNEMONIC_SKINIT, .flags = PROTECTED | ROW_BRANCH | ROW_END | ROW_LOADS_TF, .feature = FEAT_SKINIT,
	 .icpt = ICPT_SKINIT, .form = "SKINIT EAX", .fn = skinit},
	{.mnemonic = ZYDIS_MNEMONIC_INVLPGB, .flags = ROW_LATE_ICPT | ROW_END, .feature = FEAT_INVLPGB, .icpt = ICPT_INVLPGB,
	 .form = "INVLPGB rAX, EDX, ECX", .fn = invlpgb},
	{.mnemonic = ZYDIS_MNEMONIC_TLBSYNC, .flags = ROW_LATE_ICPT | ROW_END, .feature = FEAT_INVLPGB, .icpt = ICPT_TLBSYNC,
	 .form = "TLBSYNC", .fn = tlbsync},
};
/* clang-format on */

const struct row_set svm_rows = {rows, ARRAY_LEN(rows)};
