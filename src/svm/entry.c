/*
 * VMRUN: copy, check, commit. "VMRUN Instruction". The VMCB is read once into an image; the checks look at the image
 * only, and so does everything that is loaded afterwards. Nothing of the processor changes before the checks have
 * passed, except the host state save area.
 */
#include "svm/svm.h"

/* ---- the VMCB and save area in memory ---- */

bool svm_pa_ok(const struct cpu *c, pa_t pa)
{
	return is_aligned(pa, PAGE_SIZE) && !(pa >> c->phys_bits);
}

void svm_open(struct cpu *c, struct svm_access *a, pa_t pa, struct vmcb_page *tmp)
{
	a->pa = c->bus->a20_masked ? pa & ~BIT(20) : pa;
	a->ram = bus_ram(c->bus, a->pa);
	a->tmp = tmp;
	if (likely(a->ram && !a->ram->rom)) {
		a->page = (struct vmcb_page *)(void *)ram_ptr(a->ram, a->pa);
		return;
	}
	a->ram = NULL;
	a->page = tmp;
	bus_read(c->bus, a->pa, tmp, sizeof(*tmp));
}

void svm_close_written(struct cpu *c, struct svm_access *a)
{
	if (unlikely(!a->ram))
		bus_write(c->bus, a->pa, a->tmp, sizeof(*a->tmp));
	else if (unlikely(*ram_flag(a->ram, a->pa)))
		mem_page_written(c->bus, cpu_as(c, BY_VIRT), a->ram, a->pa, PAGE_SIZE);
}

/* ---- segments: "Segment State in the VMCB" ---- */

u64 svm_canonical(const struct cpu *c, u64 base)
{
	return (u64)sign_extend(base, has(c, FEAT_LA57) ? 57 : 48);
}

static u32 unpack_attrib(u16 attrib)
{
	return (attrib & 0xffu) | (attrib & 0xf00u) << 4;
}

/* What is not observed is made well-formed, so that the rest of the processor sees an ordinary segment. */
struct seg svm_seg_load(const struct vmcb_seg *v, unsigned which, unsigned la_bits)
{
	struct seg s = {.sel = v->sel,
	                .ar = unpack_attrib(v->attrib),
	                .limit = v->limit,
	                .base = (u64)sign_extend(v->base, la_bits)};

	switch (which) {
	case SEG_CS: s.ar |= AR_P | AR_S; break;
	case SEG_TR: s.ar = (s.ar & ~(u32)AR_S) | AR_P | 3; break;
	case SEG_LDTR: s.ar = (s.ar & ~(u32)(AR_S | AR_TYPE)) | SYS_LDT; break;
	default: s.ar |= AR_S; break;
	}
	if (!(s.ar & AR_P))
		s.ar |= AR_UNUSABLE;
	if (which != SEG_FS && which != SEG_GS && which < SEG_LDTR)
		s.base = (u32)s.base;
	return s;
}

void svm_seg_store(struct vmcb_seg *v, const struct seg *s)
{
	u32 attrib = (s->ar & 0xff) | (s->ar >> 4 & 0xf00);

	v->sel = s->sel;
	v->attrib = (u16)(s->ar & AR_UNUSABLE ? attrib & ~(u32)AR_P : attrib);
	v->limit = s->limit;
	v->base = s->base;
}

/* ---- copy ---- */

static u64 efer_bits(const struct cpu *c)
{
	u64 v = 0xfe | EFER_SCE | EFER_SVME; /* bits 7:1 are not checked */

	v |= quirk(c, QUIRK_SVM_FIRST) ? EFER_LMSLE : 0; /* only 63:15 are reserved then; since, EferLmsleUnsupported */
	v |= EFER_LME | EFER_LMA; /* without long mode they are refused by a rule of their own */
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
		v->env.pdpte[n] = bus_read_u64(c->bus, (v->save.cr3 & 0xffffffe0) + 8 * n);
}

/* Only what VMRUN loads: FS to TR, the SYSCALL and SYSENTER registers belong to VMLOAD. */
static void copy_save(struct vmcb_save *to, const struct vmcb_save *from)
{
	memcpy(&to->es, &from->es, 4 * sizeof(to->es));
	to->gdtr = from->gdtr;
	to->idtr = from->idtr;
	to->cpl = from->cpl;
	to->efer = from->efer;
	memcpy(&to->cr4, &from->cr4, offsetof(struct vmcb_save, rsvd_180) - offsetof(struct vmcb_save, cr4));
	to->rsp = from->rsp;
	to->rax = from->rax;
	to->cr2 = from->cr2;
	memcpy(&to->g_pat, &from->g_pat, offsetof(struct vmcb_save, dbgextnctl) - offsetof(struct vmcb_save, g_pat));
	to->spec_ctrl = from->spec_ctrl;
}

/* Which intercepts exist here: the words of "Layout of VMCB", by feature. Bits of others are ignored. */
static void implemented_intercepts(const struct cpu *c, u32 words[6])
{
	static const struct {
		u16 feature;
		u8 word, bit;
	} rows[] = {
	        {FEAT_RDTSCP, 4, 7},  {FEAT_MONITOR, 4, 10}, {FEAT_MONITOR, 4, 11}, {FEAT_MONITOR, 4, 12},
	        {FEAT_XSAVE, 4, 13},  {FEAT_RDPRU, 4, 14},   {FEAT_INVPCID, 5, 2},  {FEAT_IDLE_HLT, 5, 6},
	        {FEAT_INVLPGB, 5, 0}, {FEAT_INVLPGB, 5, 1},  {FEAT_MCOMMIT, 5, 3},  {FEAT_TLBI_CTL, 5, 4},
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

static cold void find_limits(struct cpu *c, struct svm_env *e)
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
#define CLEAN_ROW(bit, member) {CLEAN_##bit, offsetof(struct svm_image, member), sizeof(((struct svm_image *)0)->member)}
static const struct {
	u8 bit;
	u16 offset, size;
} clean_rows[] = {
        CLEAN_ROW(I, control.icpt),
        CLEAN_ROW(I, control.pause_threshold),
        CLEAN_ROW(I, control.pause_count),
        CLEAN_ROW(I, control.tsc_offset),
        CLEAN_ROW(IOPM, control.iopm_base_pa),
        CLEAN_ROW(IOPM, control.msrpm_base_pa),
        CLEAN_ROW(ASID, control.asid),
        CLEAN_ROW(TPR, control.vintr),
        CLEAN_ROW(NP, control.nested_ctl),
        CLEAN_ROW(NP, control.n_cr3),
        CLEAN_ROW(NP, save.g_pat),
        CLEAN_ROW(CRX, save.efer),
        CLEAN_ROW(CRX, save.cr4),
        CLEAN_ROW(CRX, save.cr3),
        CLEAN_ROW(CRX, save.cr0),
        CLEAN_ROW(DRX, save.dr7),
        CLEAN_ROW(DRX, save.dr6),
        CLEAN_ROW(DT, save.gdtr),
        CLEAN_ROW(DT, save.idtr),
        CLEAN_ROW(SEG, save.es),
        CLEAN_ROW(SEG, save.cs),
        CLEAN_ROW(SEG, save.ss),
        CLEAN_ROW(SEG, save.ds),
        CLEAN_ROW(SEG, save.cpl),
        CLEAN_ROW(CR2, save.cr2),
        CLEAN_ROW(LBR, save.dbgctl),
        CLEAN_ROW(LBR, save.br_from),
        CLEAN_ROW(LBR, save.br_to),
        CLEAN_ROW(LBR, save.lastexcpfrom),
        CLEAN_ROW(LBR, save.lastexcpto),
        CLEAN_ROW(AVIC, control.avic_bar),
        CLEAN_ROW(AVIC, control.avic_backing_page),
        CLEAN_ROW(AVIC, control.avic_logical_table),
        CLEAN_ROW(AVIC, control.avic_physical_table),
};

static void keep_clean(struct cpu *c, struct svm_image *v, const struct svm_image *last, pa_t pa)
{
	const struct svm *s = svm_of(c);

	if (!v->control.clean || !has(c, FEAT_VMCB_CLEAN) || !s->good || s->cached_pa != pa)
		return;
	for (unsigned n = 0; n < ARRAY_LEN(clean_rows); n++)
		if (v->control.clean >> clean_rows[n].bit & 1)
			memcpy((u8 *)v + clean_rows[n].offset, (const u8 *)last + clean_rows[n].offset, clean_rows[n].size);
}

static void copy_vmcb(struct cpu *c, struct svm_image *v, const struct svm_image *last, pa_t pa)
{
	struct vmcb_page tmp;
	struct svm_access a;

	svm_open(c, &a, pa, &tmp);
	memcpy(&v->control, &a.page->control, sizeof(v->control));
	copy_save(&v->save, &a.page->save);
	if (unlikely(svm_lbr_stack(c, &v->control)))
		svm_lbr_copy(&v->save, &a.page->save);
	v->env = last->env;
	if (unlikely(!v->env.cr4_bits))
		find_limits(c, &v->env);
	keep_clean(c, v, last, pa);
	v->bus_locks = v->control.icpt[5] & BIT(5) ? a.page->bus_lock_counter : 0;
	v->pml_base = v->pml_index = 0;
	if (unlikely(svm_pml_on(c, &v->control))) {
		v->pml_base = a.page->pml_base;
		v->pml_index = a.page->pml_index;
	}
	v->env.host_cr0 = c->cr0;
	read_pdptes(c, v);
}

/* ---- "Saving Host State" ---- */

static void save_host_registers(struct cpu *c, struct svm_host *h, u64 rip)
{
	h->rip = rip;
	h->rsp = c->r[REG_RSP];
	h->rax = c->r[REG_RAX];
	h->rflags = flags_get(c) & ~(u32)FL_RF;
	h->cr0 = c->cr0;
	h->cr3 = c->cr3;
	h->cr4 = c->cr4;
	h->efer = c->efer;
	h->gdtr_base = c->gdtr.base;
	h->gdtr_limit = c->gdtr.limit;
	h->idtr_base = c->idtr.base;
	h->idtr_limit = c->idtr.limit;
	h->pat = c->pat;
	h->spec_ctrl = c->spec_ctrl;
	h->lbr[0] = c->debugctl;
	h->lbr[1] = c->lbr_from;
	h->lbr[2] = c->lbr_to;
	h->lbr[3] = c->lex_from;
	h->lbr[4] = c->lex_to;
	for (unsigned n = SEG_ES; n <= SEG_DS; n++) {
		h->seg_sel[n] = c->seg[n].sel;
		h->seg_ar[n] = c->seg[n].ar;
		h->seg_limit[n] = c->seg[n].limit;
		h->seg_base[n] = c->seg[n].base;
	}
}

/* VM_HSAVE_PA has the layout of a save area; the fields of VMSAVE in it belong to software. */
static void save_host_area(struct cpu *c, const struct svm_host *h)
{
	struct vmcb_page tmp;
	struct svm_access a;

	svm_open(c, &a, c->vm_hsave_pa, &tmp);

	struct vmcb_save *sa = &a.page->save;

	svm_seg_store(&sa->es, &c->seg[SEG_ES]);
	svm_seg_store(&sa->cs, &c->seg[SEG_CS]);
	svm_seg_store(&sa->ss, &c->seg[SEG_SS]);
	svm_seg_store(&sa->ds, &c->seg[SEG_DS]);
	sa->gdtr.base = h->gdtr_base;
	sa->gdtr.limit = (u32)h->gdtr_limit;
	sa->idtr.base = h->idtr_base;
	sa->idtr.limit = (u32)h->idtr_limit;
	sa->cpl = c->cpl;
	sa->efer = h->efer;
	sa->cr0 = h->cr0;
	sa->cr3 = h->cr3;
	sa->cr4 = h->cr4;
	sa->rflags = h->rflags;
	sa->rip = h->rip;
	sa->rsp = h->rsp;
	sa->rax = h->rax;
	svm_close_written(c, &a);
}

/* ---- "Loading Guest State" ---- */

static u8 guest_cpl(const struct vmcb_save *sa)
{
	if (!(sa->cr0 & CR0_PE))
		return 0;
	return sa->rflags & FL_VM && !((sa->efer & EFER_LME) && (sa->cr0 & CR0_PG)) ? 3 : sa->cpl & 3;
}

static void load_guest_segments(struct cpu *c, const struct vmcb_save *sa)
{
	unsigned la_bits = has(c, FEAT_LA57) ? 57 : 48;

	c->seg[SEG_ES] = svm_seg_load(&sa->es, SEG_ES, la_bits);
	c->seg[SEG_CS] = svm_seg_load(&sa->cs, SEG_CS, la_bits);
	c->seg[SEG_SS] = svm_seg_load(&sa->ss, SEG_SS, la_bits);
	c->seg[SEG_DS] = svm_seg_load(&sa->ds, SEG_DS, la_bits);
	c->gdtr.base = (u64)sign_extend(sa->gdtr.base, la_bits);
	c->gdtr.limit = sa->gdtr.limit & 0xffff;
	c->idtr.base = (u64)sign_extend(sa->idtr.base, la_bits);
	c->idtr.limit = sa->idtr.limit & 0xffff;
}

static void load_guest_registers(struct cpu *c, const struct svm_image *v)
{
	const struct vmcb_save *sa = &v->save;
	bool lma = (sa->efer & EFER_LME) && (sa->cr0 & CR0_PG);

	c->efer = (sa->efer & ~EFER_LMA) | (lma ? EFER_LMA : 0);
	c->cr0 = sa->cr0 | CR0_ET;
	c->cr2 = sa->cr2;
	c->cr3 = sa->cr3;
	c->cr4 = sa->cr4;
	memcpy(c->pdpte, v->env.pdpte, sizeof(c->pdpte));
	c->dr6 = (sa->dr6 & 0xe00f) | DR6_RESET;
	c->dr7 = (sa->dr7 & 0xffff2fff) | DR7_RESET;
	flags_set(c, (u32)((sa->rflags & FL_ALL) | FL_1) & ~(lma ? FL_VM : 0u)); /* long mode has no virtual-8086 mode */
	c->r[REG_RIP] = lma && (sa->cs.attrib & BIT(9)) ? sa->rip : (u32)sa->rip;
	c->r[REG_RSP] = sa->rsp;
	c->r[REG_RAX] = sa->rax;
	c->cpl = guest_cpl(sa);
	c->shadow = v->control.int_state & INT_STATE_SHADOW ? SHADOW_STI : 0;
	c->pending_db = 0;
	c->pend &= ~(u32)PEND_DB;
}

/* "Enabling LBR Virtualization": only the control register is the host's again after #VMEXIT. */
static void load_lbr_stack(struct cpu *c, const struct vmcb_save *sa)
{
	c->debugctl |= sa->dbgextnctl & DBGEXTN_LBRSE ? DEBUGCTL_LBRSE : 0;
	c->lbr_select = sa->lbr_select & 0x1ff;
	c->lbr_tos = LBR_DEPTH - 1;
	for (unsigned n = 0; n < LBR_DEPTH; n++) {
		c->lbr_stack_from[LBR_DEPTH - 1 - n] = sa->lbr_stack[2 * n];
		c->lbr_stack_to[LBR_DEPTH - 1 - n] = sa->lbr_stack[2 * n + 1];
	}
}

static void load_optional_state(struct cpu *c, const struct svm *s, const struct svm_image *v)
{
	const struct vmcb_save *sa = &v->save;

	if (s->nested)
		c->pat = sa->g_pat;
	if (has(c, FEAT_SVM_SPEC_CTRL))
		c->spec_ctrl = sa->spec_ctrl;
	if ((v->control.virt_ext & VIRT_EXT_LBRV) && has(c, FEAT_LBRV)) {
		c->debugctl = sa->dbgctl & DBGCTL_DEFINED;
		c->lbr_from = sa->br_from;
		c->lbr_to = sa->br_to;
		c->lex_from = sa->lastexcpfrom;
		c->lex_to = sa->lastexcpto;
	}
	if (unlikely(svm_lbr_stack(c, &v->control)))
		load_lbr_stack(c, sa);
}

/* ---- "Control Bits" ---- */

static void load_control(struct cpu *c, struct svm *s, const struct vmcb_control *ctl)
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
	s->vintr = ctl->vintr;
	s->nested = has(c, FEAT_NPT) && (ctl->nested_ctl & NESTED_NP_ENABLE);
	s->pause_left = ctl->pause_count;
	s->bus_locks = s->image[s->cur].bus_locks;
	s->pml_index = s->image[s->cur].pml_index;
	c->lock_exits = icpt_on(c, ICPT_BUSLOCK);
	cpu_sync_time(c);
	s->pause_last = c->clock->now;
	c->stage2 = c->pdpte_on_demand = s->nested;
	if (s->nested)
		svm_stage2_enter(c);
	c->guest = true;
	svm_avic_enter(c);
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
	c->space = space; /* cpu_update_mode() follows and takes the context from it, once */
}

/* ---- "Event Injection" ---- */

struct event svm_event_from_intinfo(u64 info, unsigned insn_len)
{
	static const u8 type[8] = {EV_EXT, EV_NONE, EV_NMI, EV_HW, EV_SW, EV_NONE, EV_NONE, EV_NONE};
	struct event e = {.type = type[bits(info, 10, 8)], .vector = (u8)info};

	if (e.type == EV_NMI)
		e.vector = EX_NMI;
	if (e.type == EV_HW && (e.vector == EX_BP || e.vector == EX_OF))
		e.type = EV_SWEX;
	if (e.type == EV_SW || e.type == EV_SWEX)
		e.insn_len = (u8)insn_len;
	e.has_error = (info & INTINFO_EV) != 0;
	e.error = e.has_error ? (u32)(info >> 32) : 0;
	return e;
}

u64 svm_intinfo_from_event(const struct event *e)
{
	static const u8 type[] = {
	        [EV_EXT] = INTINFO_INTR, [EV_NMI] = INTINFO_NMI,          [EV_HW] = INTINFO_EXCEPTION,
	        [EV_SW] = INTINFO_SOFT,  [EV_PRIVSW] = INTINFO_EXCEPTION, [EV_SWEX] = INTINFO_EXCEPTION,
	};

	if (e->type == EV_NONE || e->type >= ARRAY_LEN(type))
		return 0;
	return e->vector | (u64)type[e->type] << 8 | INTINFO_V | (e->has_error ? INTINFO_EV | (u64)e->error << 32 : 0);
}

static void inject_event(struct cpu *c, struct svm *s, const struct vmcb_control *ctl)
{
	u64 len = has(c, FEAT_NRIP_SAVE) ? ctl->nrip - c->r[REG_RIP] : 0;

	c->inject.type = EV_NONE;
	s->injecting = false;
	if (!(ctl->eventinj & INTINFO_V))
		return;
	c->inject = svm_event_from_intinfo(ctl->eventinj, len <= 15 ? (unsigned)len : 0);
	if (len > 15 && (c->inject.type == EV_SW || c->inject.type == EV_SWEX))
		c->r[REG_RIP] = mode64(c) ? ctl->nrip : (u32)ctl->nrip; /* the return address is nRIP, wherever that is */
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

	svm_check_refuse(c, v, check, pa, rip);
	svm_open(c, &a, pa, &tmp);
	a.page->control.exitcode = EXITCODE_INVALID;
	a.page->control.exitinfo1 = a.page->control.exitinfo2 = a.page->control.exitintinfo = 0;
	a.page->control.eventinj = 0;
	svm_close_written(c, &a);
	svm_of(c)->vmcb_pa = pa;
	if (svm_of(c)->cached_pa == pa)
		svm_of(c)->cached_pa = ~0ull; /* what was refused is not in the image: the next run loads all */
	svm_record_exit(c, EXITCODE_INVALID, 0, 0, v->save.rip);
	c->exits++;
	svm_host_reload(c);
	return XR_OK;
}

enum xr svm_enter(struct cpu *c, const struct insn *i, pa_t vmcb)
{
	struct svm *s = svm_of(c);
	const struct svm_image *last = &s->image[s->cur];
	struct svm_image *v = &s->image[!s->cur];
	const struct svm_check *failed;

	copy_vmcb(c, v, last, vmcb);
	save_host_registers(c, &s->host, next_rip(c, i));
	save_host_area(c, &s->host);

	failed = svm_check_next(v, svm_checks, svm_check_groups(v, s->good ? last : NULL) | s->recheck);
	if (unlikely(failed))
		return vmrun_invalid(c, v, failed, vmcb, insn_rip(c, i));

	s->cur = !s->cur;
	s->good = true;
	s->recheck = 0;
	s->vmcb_pa = s->cached_pa = vmcb;
	load_control(c, s, &v->control);
	load_guest_segments(c, &v->save);
	load_guest_registers(c, v);
	load_optional_state(c, s, v);
	tlb_control(c, &v->control);
	cpu_update_mode(c);
	c->gif = true;
	inject_event(c, s, &v->control);
	if ((s->vintr & VINTR_IRQ) || s->avic)
		cpu_raise(c, PEND_VIRQ);
	c->attention = 1;
	if (c->hooks->vm_entry)
		c->hooks->vm_entry(c->hooks->arg, c);
	return XR_OK;
}
