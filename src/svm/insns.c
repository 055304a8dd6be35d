/*
 * The instructions of SVM. "SVM Instruction Set Reference": #UD outside protected mode or without EFER.SVME, #GP(0) by
 * CPL, the intercept, then the operand. The intercept is late (ROW_LATE_ICPT), because SVME comes before CPL.
 */
#include "cpu/exec/exec.h"
#include "cpu/state/watch.h"
#include "svm/svm.h"

#pragma GCC poison fault_ud fault_gp cpu_fault /* svm_refuse() */

/* insn: the first of its causes. */
static enum xr gate(struct cpu *c, const struct insn *i, enum icpt id, enum svm_cause insn)
{
	if (unlikely(!(c->efer & EFER_SVME)))
		return svm_refuse(c, i, insn + SVM_ASKS_SVME, 0, 0);
	if (unlikely(c->cpl != 0))
		return svm_refuse(c, i, insn + SVM_ASKS_CPL, 0, 0);
	return icpt_test(c, i, id, 0);
}

/* "Enabling SVM": where SKINIT is announced, it and STGI need no EFER.SVME. */
static enum xr gate_secure(struct cpu *c, const struct insn *i, enum icpt id, enum svm_cause insn)
{
	bool announced = has(c, FEAT_SKINIT) && !quirk(c, QUIRK_SVM_FIRST);

	if (!announced)
		return gate(c, i, id, insn);
	if (unlikely(c->cpl != 0))
		return svm_refuse(c, i, insn + SVM_ASKS_CPL, 0, 0);
	return icpt_test(c, i, id, 0);
}

/* The first of the causes of each: the processor has no such instruction. */
static enum svm_cause absent(const struct insn *i)
{
	switch (i->row->icpt) {
	case ICPT_VMRUN: return SVM_VMRUN;
	case ICPT_VMLOAD: return SVM_VMLOAD;
	case ICPT_VMSAVE: return SVM_VMSAVE;
	case ICPT_VMMCALL: return SVM_VMMCALL;
	case ICPT_STGI: return SVM_STGI;
	case ICPT_CLGI: return SVM_CLGI;
	case ICPT_INVLPGA: return SVM_INVLPGA;
	case ICPT_SKINIT: return SVM_SKINIT;
	case ICPT_INVLPGB: return SVM_INVLPGB;
	default: return SVM_TLBSYNC;
	}
}

/* In place of the handler where the processor does not have the instruction, or the mode: what is known when it is decoded. */
static cold enum xr unavailable(struct cpu *c, const struct insn *i)
{
	const bool mode = has(c, (enum feature)i->row->feature);

	return svm_refuse(c, i, absent(i) + (mode ? SVM_ASKS_MODE : SVM_ASKS_FEATURE), 0, 0);
}

static cold enum xr bad_address(struct cpu *c, const struct insn *i, enum svm_cause address, u64 pa)
{
	if (pa & ~PAGE_MASK)
		return svm_refuse(c, i, address + SVM_ASKS_ALIGNED, pa, pa & ~PAGE_MASK);
	return svm_refuse(c, i, address + SVM_ASKS_WIDTH, pa, pa & ~mask(c->phys_bits - 1u, 0));
}

/* The VMCB's address: #GP comes before the intercept in 2005's order ("Checks exceptions (#GP) before the intercept"),
 * since then the intercept first (CPUID 8000_000Ah EDX[28]). */
static enum xr gate_address(struct cpu *c, const struct insn *i, enum icpt id, enum svm_cause insn, enum svm_cause address, u64 pa)
{
	if (quirk(c, QUIRK_SVM_FIRST) && (c->efer & EFER_SVME) && c->cpl == 0 && !svm_pa_ok(c, pa))
		return bad_address(c, i, address, pa);
	return gate(c, i, id, insn);
}

/* rAX, cut to the effective address size. */
static u64 rax_address(const struct cpu *c, const struct insn *i)
{
	return low_bytes(c->r[REG_RAX], i->addrsz);
}

static enum xr vmrun(struct cpu *c, const struct insn *i)
{
	pa_t pa = rax_address(c, i);

	TRY(gate_address(c, i, ICPT_VMRUN, SVM_VMRUN, SVM_VMRUN_ADDRESS, pa));
	if (unlikely(!svm_pa_ok(c, pa)))
		return bad_address(c, i, SVM_VMRUN_ADDRESS, pa);
	if (unlikely(!c->vm_hsave_pa && !quirk(c, QUIRK_SVM_FIRST)))
		return svm_refuse(c, i, SVM_VMRUN_HSAVE, 0, 0);
	return svm_enter(c, i, pa);
}

/*
 * Which page VMLOAD and VMSAVE address. "Virtual VMLOAD and VMSAVE": with the control set, nested paging on and a host
 * in 64-bit mode rAX is guest-physical; with the control set and one of them missing the instruction exits.
 */
struct state_causes {
	enum svm_cause insn, address, guest_address;
};
static const struct state_causes vmload_causes = {SVM_VMLOAD, SVM_VMLOAD_ADDRESS, SVM_VMLOAD_VIRTUAL_ADDRESS},
                                 vmsave_causes = {SVM_VMSAVE, SVM_VMSAVE_ADDRESS, SVM_VMSAVE_VIRTUAL_ADDRESS};

static enum xr state_page(struct cpu *c, const struct insn *i, enum icpt id, const struct state_causes *why, u8 access, pa_t *pa)
{
	struct stage2_req q = {.gpa = rax_address(c, i), .why = S2_FINAL, .access = access, .user = true};
	struct stage2_res r;

	TRY(gate_address(c, i, id, why->insn, why->address, q.gpa));
	*pa = q.gpa;
	if (c->guest && has(c, FEAT_V_VMSAVE_VMLOAD) && (svm_control(c)->virt_ext & VIRT_EXT_VLS)) {
		const struct svm_host *h = &svm_of(c)->host;
		bool host64 = (h->efer & EFER_LMA) && (h->seg_ar[SEG_CS] & AR_L);

		if (!svm_of(c)->nested || !host64)
			return cpu_exit(c, i, id, 0, 0);
		if (!svm_pa_ok(c, q.gpa))
			return bad_address(c, i, why->guest_address, q.gpa);
		TRY(svm_stage2(c, &q, &r));
		*pa = r.pa & PAGE_MASK;
		return XR_OK;
	}
	return likely(svm_pa_ok(c, *pa)) ? XR_OK : bad_address(c, i, why->address, *pa);
}

static enum xr vmload(struct cpu *c, const struct insn *i)
{
	struct vmcb_page tmp;
	struct svm_access a;
	pa_t pa;

	TRY(state_page(c, i, ICPT_VMLOAD, &vmload_causes, ACC_READ, &pa));
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

	TRY(state_page(c, i, ICPT_VMSAVE, &vmsave_causes, ACC_READ | ACC_WRITE, &pa));
	svm_open(c, &a, pa, &tmp);
	svm_state_vmsave(c, &a.page->save);
	svm_close_written(c, &a);
	return XR_OK;
}

/* Any mode, any privilege; unintercepted it does not exist. */
static enum xr vmmcall(struct cpu *c, const struct insn *i)
{
	if (!(c->efer & EFER_SVME))
		return svm_refuse(c, i, SVM_VMMCALL_SVME, 0, 0);
	TRY(icpt_test(c, i, ICPT_VMMCALL, 0));
	return svm_refuse(c, i, SVM_VMMCALL_INTERCEPT, 0, 0);
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
	TRY(gate_secure(c, i, ICPT_STGI, SVM_STGI));
	set_gif(c, true);
	return XR_OK;
}

static enum xr clgi(struct cpu *c, const struct insn *i)
{
	TRY(gate(c, i, ICPT_CLGI, SVM_CLGI));
	set_gif(c, false);
	return XR_OK;
}

static enum xr skinit(struct cpu *c, const struct insn *i)
{
	TRY(gate_secure(c, i, ICPT_SKINIT, SVM_SKINIT));
	svm_skinit(c, (u32)c->r[REG_RAX], insn_rip(c, i));
	return XR_OK;
}

static enum xr invlpga(struct cpu *c, const struct insn *i)
{
	u32 asid = (u32)c->r[REG_RCX];

	TRY(gate(c, i, ICPT_INVLPGA, SVM_INVLPGA));
	if (asid < SVM_ASIDS) /* others cannot have entries */
		tlb_flush_page_any_pcid(c, (u16)asid, rax_address(c, i));
	return XR_OK;
}

/* ---- INVLPGB, TLBSYNC: APM 3 ---- */

enum { INVLPGB_VA = 1, INVLPGB_PCID = 2, INVLPGB_ASID = 4, INVLPGB_GLOBAL = 8, INVLPGB_NESTED = 32 };

/* 090h bit 7, where there is one, takes both away from a guest. The privilege level comes before the intercept, every
 * fault by the operands behind it. */
static enum xr broadcast_gate(struct cpu *c, const struct insn *i, enum icpt id, enum svm_cause taken, enum svm_cause cpl)
{
	if (c->guest && has(c, FEAT_TLBI_CTL) && !(svm_control(c)->nested_ctl & NESTED_TLBI))
		return svm_refuse(c, i, taken, 0, 0);
	if (c->cpl != 0)
		return svm_refuse(c, i, cpl, 0, 0);
	return icpt_test(c, i, id, 0);
}

struct wrong_operand {
	enum svm_cause why; /* SVM_CAUSES: nothing is wrong */
	u64 bits;
};

/* A guest's ASID operand is not used, hence not checked. */
static struct wrong_operand invlpgb_wrong(const struct cpu *c, u64 rax, u32 ecx, u32 edx)
{
	if (rax & mask(11, 6))
		return (struct wrong_operand){SVM_INVLPGB_RAX, rax & mask(11, 6)};
	if (ecx & mask(30, 16))
		return (struct wrong_operand){SVM_INVLPGB_ECX, ecx & mask(30, 16)};
	if (edx & mask(31, 28))
		return (struct wrong_operand){SVM_INVLPGB_EDX, edx & mask(31, 28)};
	if ((ecx & 0xffff) > SVM_INVLPGB_MAX)
		return (struct wrong_operand){SVM_INVLPGB_COUNT, 0};
	if ((rax & INVLPGB_NESTED) && !has(c, FEAT_INVLPGB_NESTED))
		return (struct wrong_operand){SVM_INVLPGB_NESTED, INVLPGB_NESTED};
	if (!c->guest && (rax & INVLPGB_ASID) && (edx & 0xffff) >= SVM_ASIDS)
		return (struct wrong_operand){SVM_INVLPGB_ASID, 0};
	return (struct wrong_operand){SVM_CAUSES, 0};
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

	TRY(broadcast_gate(c, i, ICPT_INVLPGB, SVM_INVLPGB_TAKEN, SVM_INVLPGB_CPL));

	const struct wrong_operand wrong = invlpgb_wrong(c, rax, ecx, edx);

	if (wrong.why != SVM_CAUSES) {
		TRY(icpt_test(c, i, ICPT_INVLPGB_ILLEGAL, 0));
		return svm_refuse(c, i, wrong.why, rax, wrong.bits);
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
		for (unsigned n = 0; n < c->count && nested && c->watch; n++)
			c->watch->tables.asid_flushed(c->all[n], m.space, m.any_space, "INVLPGB with nested translations");
		m.la += ecx & BIT(31) ? BIT(21) : PAGE_SIZE;
	}
	return XR_OK;
}

/* INVLPGB is complete when it ends. */
static enum xr tlbsync(struct cpu *c, const struct insn *i)
{
	return broadcast_gate(c, i, ICPT_TLBSYNC, SVM_TLBSYNC_TAKEN, SVM_TLBSYNC_CPL);
}

/* clang-format off */
#define FLAGS (ROW_NO_REAL | ROW_NO_V86 | ROW_LATE_ICPT)
#define ROW(m, text, function, icpt_, flags_) \
	{.mnemonic = ZYDIS_MNEMONIC_##m, .flags = FLAGS | (flags_), .feature = FEAT_SVM, .icpt = icpt_, .form = text, \
	 .unavailable = unavailable, .fn = function}

static const struct insn_row rows[] = {
	ROW(VMRUN,   "VMRUN rAX",        vmrun,   ICPT_VMRUN,   ROW_BRANCH | ROW_END),
	ROW(VMLOAD,  "VMLOAD rAX",       vmload,  ICPT_VMLOAD,  ROW_END),
	ROW(VMSAVE,  "VMSAVE rAX",       vmsave,  ICPT_VMSAVE,  0),
	{.mnemonic = ZYDIS_MNEMONIC_VMMCALL, .flags = ROW_LATE_ICPT | ROW_END, .feature = FEAT_SVM, .icpt = ICPT_VMMCALL,
	 .form = "VMMCALL", .unavailable = unavailable, .fn = vmmcall},
	ROW(STGI,    "STGI",             stgi,    ICPT_STGI,    ROW_END),
	ROW(CLGI,    "CLGI",             clgi,    ICPT_CLGI,    ROW_END),
	ROW(INVLPGA, "INVLPGA rAX, ECX", invlpga, ICPT_INVLPGA, ROW_END),
	{.mnemonic = ZYDIS_MNEMONIC_SKINIT, .flags = FLAGS | ROW_BRANCH | ROW_END | ROW_LOADS_TF, .feature = FEAT_SKINIT,
	 .icpt = ICPT_SKINIT, .form = "SKINIT EAX", .unavailable = unavailable, .fn = skinit},
	{.mnemonic = ZYDIS_MNEMONIC_INVLPGB, .flags = ROW_LATE_ICPT | ROW_END, .feature = FEAT_INVLPGB, .icpt = ICPT_INVLPGB,
	 .form = "INVLPGB rAX, EDX, ECX", .unavailable = unavailable, .fn = invlpgb},
	{.mnemonic = ZYDIS_MNEMONIC_TLBSYNC, .flags = ROW_LATE_ICPT | ROW_END, .feature = FEAT_INVLPGB, .icpt = ICPT_TLBSYNC,
	 .form = "TLBSYNC", .unavailable = unavailable, .fn = tlbsync},
};
/* clang-format on */

const struct row_set svm_rows = {rows, ARRAY_LEN(rows)};
