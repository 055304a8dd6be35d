/*
 * VMRUN: copy, check, commit. "VMRUN Instruction". The VMCB is read once into an image; the checks look at the image
 * only, and so does everything that is loaded afterwards. Nothing of the processor changes before the checks have
 * passed, except the host state save area.
 */
#include "cpu/state/watch.h"
#include "svm/svm.h"

/* ---- copy ---- */

static u64 efer_bits(const struct cpu *c)
{
	u64 v = 0xfe | EFER_SCE | EFER_SVME; /* bits 7:1 are not checked */

	v |= quirk(c, QUIRK_SVM_FIRST) ? EFER_LMSLE : 0; /* only 63:15 are reserved then; since, EferLmsleUnsupported */
	v |= EFER_LME | EFER_LMA;                        /* without long mode they are refused by a rule of their own */
	v |= has(c, FEAT_NX) ? EFER_NXE : 0;
	v |= has(c, FEAT_FXSR_OPT) ? EFER_FFXSR : 0;
	v |= has(c, FEAT_MCOMMIT) ? EFER_MCOMMIT : 0;
	v |= has(c, FEAT_AUTO_IBRS) ? EFER_AIBRSE : 0;
	return v;
}

static u64 cr4_bits(const struct cpu *c)
{
	static const struct {
		u16 feature, bit;
	} rows[] = {
	        {FEAT_VME, 0},    {FEAT_VME, 1},   {FEAT_TSC, 2},   {FEAT_DE, 3},        {FEAT_PSE, 4},
	        {FEAT_PAE, 5},    {FEAT_MCE, 6},   {FEAT_PGE, 7},   {FEAT_NONE, 8},      {FEAT_FXSR, 9},
	        {FEAT_SSE, 10},   {FEAT_UMIP, 11}, {FEAT_LA57, 12}, {FEAT_FSGSBASE, 16}, {FEAT_PCID, 17},
	        {FEAT_XSAVE, 18}, {FEAT_SMEP, 20}, {FEAT_SMAP, 21}, {FEAT_PKU, 22},
	};
	u64 v = 0;

	for (unsigned n = 0; n < ARRAY_LEN(rows); n++)
		if (rows[n].feature == FEAT_NONE || has(c, (enum feature)rows[n].feature))
			v |= BIT(rows[n].bit);
	return v;
}

/* Legacy PAE paging without nested paging: the four PDPEs are read now and used until the guest's next CR3 load. */
static void read_pdptes(struct cpu *c, struct svm_image *v)
{
	memset(v->env.pdpte, 0, sizeof(v->env.pdpte));
	if (!(v->save.cr0 & CR0_PG) || !(v->save.cr4 & CR4_PAE) || (v->save.efer & EFER_LME) ||
	    (v->env.nested_paging && (v->control.nested_ctl & NESTED_NP_ENABLE)))
		return;
	for (unsigned n = 0; n < 4; n++)
		v->env.pdpte[n] = cpu_read_u64(c, BY_VIRT, (v->save.cr3 & 0xffffffe0) + 8 * n);
}

/* Which intercepts exist here: the words of "Layout of VMCB", by feature. Bits of others are ignored. */
static void implemented_intercepts(const struct cpu *c, u32 words[6])
{
	static const struct {
		u16 feature;
		u8 word, bit;
	} rows[] = {
	        {FEAT_RDTSCP, 4, 7},
	        {FEAT_MONITOR, 4, 10},
	        {FEAT_MONITOR, 4, 11},
	        {FEAT_MONITOR, 4, 12},
	        {FEAT_XSAVE, 4, 13},
	        {FEAT_RDPRU, 4, 14},
	        {FEAT_INVPCID, 5, 2},
	        {FEAT_IDLE_HLT, 5, 6},
	        {FEAT_INVLPGB, 5, 0},
	        {FEAT_INVLPGB, 5, 1},
	        {FEAT_MCOMMIT, 5, 3},
	        {FEAT_TLBI_CTL, 5, 4},
	        {FEAT_BUS_LOCK_THRESHOLD, 5, 5},
	};

	words[0] = words[1] = words[2] = words[3] = ~0u;
	words[4] = 0x37f;
	words[5] = 0;
	if (!quirk(c, QUIRK_SVM_FIRST))
		words[4] |= 1u << 15 | 0xffff0000; /* EFER and CR write traps */
	for (unsigned n = 0; n < ARRAY_LEN(rows); n++)
		if (has(c, (enum feature)rows[n].feature))
			words[rows[n].word] |= 1u << rows[n].bit;
}

cold void svm_env_fill(struct cpu *c, struct svm_env *e)
{
	u32 leaf[4];

	cpuid_query(c, 0x8000000a, 0, leaf);
	e->asids = (u32)min_u64(leaf[EBX], SVM_ASIDS);
	e->first = quirk(c, QUIRK_SVM_FIRST);
	e->cr4_bits = cr4_bits(c);
	e->efer_bits = efer_bits(c);
	e->phys_bits = c->phys_bits;
	e->long_mode = has(c, FEAT_LM);
	e->nested_paging = has(c, FEAT_NPT);
	e->avic = has(c, FEAT_AVIC);
	e->x2avic = has(c, FEAT_X2AVIC);
	e->vnmi = has(c, FEAT_VNMI);
	implemented_intercepts(c, e->icpt);
}

/*
 * "VMCB Clean Bits": what a set bit lets stand from the last run of the same VMCB. The processor may also load again;
 * this one does not, so that a monitor which forgets to clear a bit finds out.
 */
static void keep_clean(struct cpu *c, struct svm_image *v, const struct svm_image *last, pa_t pa)
{
	const struct svm *s = svm_of(c);

	if (v->control.clean && has(c, FEAT_VMCB_CLEAN) && s->good && s->cached_pa == pa)
		svm_state_keep(v, last, v->control.clean);
}

static void copy_vmcb(struct cpu *c, struct svm_image *v, const struct svm_image *last, pa_t pa)
{
	struct vmcb_page tmp;
	struct svm_access a;
	u32 rare;

	svm_open(c, &a, pa, &tmp);
	memcpy(&v->control, &a.page->control, sizeof(v->control));
	svm_state_copy(v, a.page);
	v->env = last->env;
	if (unlikely(!v->env.cr4_bits))
		svm_env_fill(c, &v->env);
	keep_clean(c, v, last, pa);
	rare = svm_state_rare(c, &v->control);
	if (unlikely(rare))
		svm_state_copy_rare(v, a.page, rare);
	v->env.host_cr0 = c->cr0;
	read_pdptes(c, v);
}

/* ---- "Saving Host State", "Loading Guest State" ---- */

static void save_host(struct cpu *c, struct svm_host *h, u64 rip)
{
	struct vmcb_page tmp;
	struct svm_access a;

	svm_open(c, &a, c->vm_hsave_pa, &tmp);
	svm_host_save(c, h, &a.page->save, rip);
	svm_close_written(c, &a);
}

/* What no field of the save area holds. */
static void load_rest(struct cpu *c, const struct svm_image *v)
{
	memcpy(c->pdpte, v->env.pdpte, sizeof(c->pdpte));
	c->pending_db = 0;
	c->pend &= ~(u32)PEND_DB;
}

/* ---- "Control Bits" ---- */

void svm_control_load(struct cpu *c, struct svm *s, const struct vmcb_control *ctl)
{
	if (memcmp(ctl->icpt, s->compiled_for, sizeof(s->compiled_for)) != 0) {
		u32 words[6];

		memcpy(s->compiled_for, ctl->icpt, sizeof(s->compiled_for));
		for (unsigned n = 0; n < 6; n++)
			words[n] = ctl->icpt[n] & s->image[s->cur].env.icpt[n];
		svm_compile_intercepts(words, s->compiled);
	}
	memcpy(c->icpt, s->compiled, sizeof(c->icpt));
	if (unlikely(c->hwcr & HWCR_SMMLOCK) && !quirk(c, QUIRK_SVM_FIRST)) /* the SMI intercept is ignored */
		c->icpt[ICPT_SMI / 64] &= ~BIT(ICPT_SMI % 64);
	s->nested = has(c, FEAT_NPT) && (ctl->nested_ctl & NESTED_NP_ENABLE);
	c->lock_exits = icpt_on(c, ICPT_BUSLOCK);
	cpu_sync_time(c);
	s->pause_last = c->clock->now;
	c->stage2 = c->pdpte_on_demand = s->nested;
	if (s->nested)
		svm_stage2_enter(c);
	c->guest = true;
}

/* "TLB Flush": the field's reserved values do nothing. */
static void tlb_control(struct cpu *c, const struct vmcb_control *ctl)
{
	u16 space = (u16)ctl->asid; /* checked: below SVM_ASIDS */
	bool by_asid = has(c, FEAT_FLUSHBYASID);

	if (ctl->tlb_control == TLB_CONTROL_ALL)
		tlb_flush_all(c);
	else if (by_asid && (ctl->tlb_control == TLB_CONTROL_ASID || ctl->tlb_control == TLB_CONTROL_ASID_NON_GLOBAL))
		tlb_flush_space(c, space, ctl->tlb_control == TLB_CONTROL_ASID_NON_GLOBAL);
	if (unlikely(c->watch))
		svm_watch_tlb_control(c, space, ctl->tlb_control);
	svm_of(c)->host_space = c->space;
	c->space = space; /* cpu_update_mode() follows and takes the context from it, once */
}

/* ---- "Event Injection" ---- */

static void inject_event(struct cpu *c, struct svm *s, const struct vmcb_control *ctl)
{
	u64 len = has(c, FEAT_NRIP_SAVE) ? ctl->nrip - c->r[REG_RIP] : 0;

	c->inject.type = EV_NONE;
	s->injecting = false;
	if (!(ctl->eventinj & INTINFO_V))
		return;
	c->inject = svm_event_from_intinfo(ctl->eventinj, len <= 15 ? (unsigned)len : 0);
	if (len > 15 && (c->inject.type == EV_SW || c->inject.type == EV_SWEX))
		c->r[REG_RIP] =
		        mode64(c) ? ctl->nrip : (u32)ctl->nrip; /* the return address is nRIP, wherever that is */
	if (c->inject.type == EV_HW && c->inject.vector == EX_PF)
		c->inject.payload = c->cr2; /* software put the address there: delivery must not change it */
	if (c->inject.type == EV_HW && c->inject.vector == EX_DB)
		c->inject.payload = c->dr6 & 0xe00f;
	if (c->inject.type == EV_NMI && svm_vnmi_on(c))
		s->vintr |= VINTR_NMI_MASK; /* otherwise "an injected NMI does not block delivery of further NMIs" */
	s->injecting = c->inject.type == EV_HW || c->inject.type == EV_SWEX;
}

/* ---- the page this file is about ---- */

static cold enum xr vmrun_invalid(struct cpu *c, const struct svm_image *v, const struct svm_check *check, pa_t pa,
                                  u64 rip)
{
	struct vmcb_page tmp;
	struct svm_access a;

	svm_of(c)->vmcb_pa = pa;
	svm_of(c)->refusing = true;
	svm_explain(c, v, check, pa, rip);
	svm_of(c)->refusing = false;
	svm_open(c, &a, pa, &tmp);
	a.page->control.exitcode = EXITCODE_INVALID;
	a.page->control.exitinfo1 = a.page->control.exitinfo2 = a.page->control.exitintinfo = 0;
	a.page->control.eventinj = 0;
	svm_close_written(c, &a);
	if (svm_of(c)->cached_pa == pa)
		svm_of(c)->cached_pa = ~0ull; /* what was refused is not in the image: the next run loads all */
	svm_record_exit(c, EXITCODE_INVALID, 0, 0, v->save.rip);
	c->exits++;
	svm_leave(c, 0);
	return XR_OK;
}

enum xr svm_enter(struct cpu *c, const struct insn *i, pa_t vmcb)
{
	struct svm *s = svm_of(c);
	const struct svm_image *last = &s->image[s->cur];
	struct svm_image *v = &s->image[!s->cur];
	const struct svm_check *failed;

	if (unlikely(c->watch))
		svm_watch_vmrun(c, i, vmcb);
	copy_vmcb(c, v, last, vmcb);
	save_host(c, &s->host, next_rip(c, i));

	failed = svm_check_next(v, svm_checks, svm_check_groups(v, s->good ? last : NULL) | s->recheck);
	if (unlikely(failed))
		return vmrun_invalid(c, v, failed, vmcb, insn_rip(c, i));

	if (unlikely(c->watch))
		svm_watch_entering(c, i, v, vmcb);
	s->cur = !s->cur;
	s->good = true;
	s->recheck = 0;
	s->vmcb_pa = s->cached_pa = vmcb;
	svm_control_load(c, s, &v->control);
	svm_state_load(c, s, v, svm_state_parts(c, s, &v->control));
	svm_avic_enter(c);
	load_rest(c, v);
	tlb_control(c, &v->control);
	cpu_update_mode(c);
	c->gif = true;
	inject_event(c, s, &v->control);
	if ((s->vintr & VINTR_IRQ) || s->avic)
		cpu_raise(c, PEND_VIRQ);
	c->attention = 1;
	if (unlikely(c->watch))
		svm_watch_entered(c);
	recent_event(c, RECENT_ENTRY, &c->inject);
	if (c->hooks->vm_entry)
		c->hooks->vm_entry(c->hooks->arg, c);
	return XR_OK;
}
