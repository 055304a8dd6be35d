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
		if (!svm_of(c)->nested || !(svm_of(c)->host.efer & EFER_LMA))
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
	unsigned la_bits = has(c, FEAT_LA57) ? 57 : 48;
	struct vmcb_page tmp;
	struct svm_access a;
	pa_t pa;

	TRY(state_page(c, i, ICPT_VMLOAD, ACC_READ, &pa));
	svm_open(c, &a, pa, &tmp);

	const struct vmcb_save *sa = &a.page->save;

	c->seg[SEG_FS] = svm_seg_load(&sa->fs, SEG_FS, la_bits);
	c->seg[SEG_GS] = svm_seg_load(&sa->gs, SEG_GS, la_bits);
	c->seg[SEG_TR] = svm_seg_load(&sa->tr, SEG_TR, la_bits);
	c->seg[SEG_LDTR] = svm_seg_load(&sa->ldtr, SEG_LDTR, la_bits);
	c->kernel_gs_base = svm_canonical(c, sa->kernel_gs_base);
	c->star = sa->star;
	c->lstar = svm_canonical(c, sa->lstar);
	c->cstar = svm_canonical(c, sa->cstar);
	c->sfmask = (u32)sa->sfmask;
	c->sysenter_cs = sa->sysenter_cs;
	c->sysenter_esp = svm_canonical(c, sa->sysenter_esp);
	c->sysenter_eip = svm_canonical(c, sa->sysenter_eip);
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

	struct vmcb_save *sa = &a.page->save;

	svm_seg_store(&sa->fs, &c->seg[SEG_FS]);
	svm_seg_store(&sa->gs, &c->seg[SEG_GS]);
	svm_seg_store(&sa->tr, &c->seg[SEG_TR]);
	svm_seg_store(&sa->ldtr, &c->seg[SEG_LDTR]);
	sa->kernel_gs_base = c->kernel_gs_base;
	sa->star = c->star;
	sa->lstar = c->lstar;
	sa->cstar = c->cstar;
	sa->sfmask = c->sfmask;
	sa->sysenter_cs = c->sysenter_cs;
	sa->sysenter_esp = c->sysenter_esp;
	sa->sysenter_eip = c->sysenter_eip;
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
	cpu_recheck(c);
}

static enum xr stgi(struct cpu *c, const struct insn *i)
{
	if (!(c->efer & EFER_SVME) && has(c, FEAT_SKINIT)) {
		if (c->cpl != 0)
			return fault_gp(c, 0);
	} else {
		TRY(gate(c, i, ICPT_STGI));
	}
	set_gif(c, true);
	return XR_OK;
}

static enum xr clgi(struct cpu *c, const struct insn *i)
{
	TRY(gate(c, i, ICPT_CLGI));
	set_gif(c, false);
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

/* clang-format off */
#define PROTECTED (ROW_NO_REAL | ROW_NO_V86 | ROW_VIRT | ROW_LATE_ICPT)
#define ROW(m, text, function, icpt_, flags_) \
	{.mnemonic = ZYDIS_MNEMONIC_##m, .flags = (flags_), .feature = FEAT_SVM, \
	 .icpt = icpt_, .form = text, .fn = function}

static const struct insn_row rows[] = {
	ROW(VMRUN,   "VMRUN rAX",        vmrun,   ICPT_VMRUN,   PROTECTED | ROW_BRANCH | ROW_END),
	ROW(VMLOAD,  "VMLOAD rAX",       vmload,  ICPT_VMLOAD,  PROTECTED | ROW_END),
	ROW(VMSAVE,  "VMSAVE rAX",       vmsave,  ICPT_VMSAVE,  PROTECTED),
	ROW(VMMCALL, "VMMCALL",          vmmcall, ICPT_VMMCALL, ROW_VIRT | ROW_LATE_ICPT | ROW_END),
	ROW(STGI,    "STGI",             stgi,    ICPT_STGI,    PROTECTED | ROW_END),
	ROW(CLGI,    "CLGI",             clgi,    ICPT_CLGI,    PROTECTED | ROW_END),
	ROW(INVLPGA, "INVLPGA rAX, ECX", invlpga, ICPT_INVLPGA, PROTECTED | ROW_END),
};
/* clang-format on */

const struct row_set svm_rows = {rows, ARRAY_LEN(rows)};
