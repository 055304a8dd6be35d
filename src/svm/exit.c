/*
 * #VMEXIT: guest state and reasons to the VMCB, host state back. "#VMEXIT", "State Saved on Exit".
 */
#include "svm/svm.h"

void svm_record_exit(struct cpu *c, u64 code, u64 info1, u64 info2, u64 rip)
{
	const struct svm_exit_row *row = svm_exit_row(code);
	struct exit_record *e = &c->lastexit[c->lastexit_n++ % ARRAY_LEN(c->lastexit)];

	*e = (struct exit_record){
	        .code = code,
	        .name = row ? row->name : "VMEXIT",
	        .info = {info1, info2},
	        .guest = svm_of(c)->vmcb_pa,
	        .rip = rip,
	};
	if (c->hooks->vm_exit)
		c->hooks->vm_exit(c->hooks->arg, c, e);
}

/* ---- what the exit tells ---- */

struct exit_info {
	u64 code, info1, info2, intinfo, nrip;
	u8 fetched;
	u8 bytes[15];
};

/* "Nested and Next RIP": instruction intercepts, and the exceptions of INT3, INTO and BOUND. */
static u64 next_guest_rip(struct cpu *c, const struct exit_request *x, const struct svm_exit_row *row)
{
	unsigned len = row && row->nrip && x->insn && !x->trap ? x->insn->len : 0;

	if (x->id >= ICPT_EXC && x->id < ICPT_EXC + 32)
		len = x->event.insn_len; /* set by those three only */
	return len && has(c, FEAT_NRIP_SAVE) ? (c->r[REG_RIP] + len) & ip_mask(c) : 0;
}

/* "Instruction Bytes": on a data access's nested page fault or intercepted #PF; fewer where fetching them would fault.
 */
static void fetch_bytes(struct cpu *c, const struct exit_request *x, struct exit_info *o)
{
	bool pf = x->id == ICPT_EXC + EX_PF;
	u64 rip = c->r[REG_RIP];
	struct fetch f;

	if (!has(c, FEAT_DECODEASSISTS) || (!pf && x->id != ICPT_STAGE2))
		return;
	if (c->fetching && x->vectoring.type == EV_NONE) /* PF_I does not tell: it needs EFER.NXE or CR4.SMEP */
		return;
	while (o->fetched < 15) {
		la_t la = c->sb.base[SEG_CS] + rip;
		u32 n = (u32)min_u64(15u - o->fetched, PAGE_SIZE - (la & ~PAGE_MASK));

		if (!mode64(c)) {
			la = (u32)(c->seg[SEG_CS].base + rip);
			n = (u32)min_u64(15u - o->fetched, PAGE_SIZE - (la & ~PAGE_MASK));
			if (rip > c->seg[SEG_CS].limit)
				return;
			n = (u32)min_u64(n, c->seg[SEG_CS].limit - rip + 1);
		} else if (!is_canonical(la, c->la_bits)) {
			return;
		}
		if (mmu_fetch(c, la, &f) != XR_OK || !f.ram)
			return;
		bus_read(c->bus, (f.pa & PAGE_MASK) | (la & ~PAGE_MASK), o->bytes + o->fetched, n);
		o->fetched = (u8)(o->fetched + n);
		rip += n;
	}
}

static void describe(struct cpu *c, const struct exit_request *x, struct exit_info *o)
{
	const struct svm_exit_row *row;

	o->code = svm_exit_code(x->id);
	row = svm_exit_row(o->code);
	if (row && row->info != INFO_NONE) { /* a task switch: q[0] carries the cause for the other vendor, too */
		o->info1 = row->info == INFO_TASK ? x->q[0] & 0xffff : x->q[0];
		o->info2 = x->q[1];
	}
	if (x->id == ICPT_SMI)
		o->info1 |= 1; /* "SMI Intercept": asserted externally; there are no internal ones yet */
	o->intinfo = svm_intinfo_from_event(&x->vectoring);
	o->nrip = next_guest_rip(c, x, row);
}

/* The DR6 and DR7 that are saved match what a #DB handler would see. "#DB (Debug)" */
static void settle_debug(struct cpu *c, const struct exit_request *x)
{
	if (x->id != ICPT_EXC + EX_DB)
		return;
	c->dr6 = (c->dr6 & ~0xfull) | x->event.payload | DR6_RESET;
	c->dr7 &= ~DR7_GD;
}

/* ---- guest state ---- */

static void save_guest_segments(struct cpu *c, struct vmcb_save *sa)
{
	svm_seg_store(&sa->es, &c->seg[SEG_ES]);
	svm_seg_store(&sa->cs, &c->seg[SEG_CS]);
	svm_seg_store(&sa->ss, &c->seg[SEG_SS]);
	svm_seg_store(&sa->ds, &c->seg[SEG_DS]);
	sa->gdtr.base = c->gdtr.base;
	sa->gdtr.limit = c->gdtr.limit;
	sa->idtr.base = c->idtr.base;
	sa->idtr.limit = c->idtr.limit;
}

/* The image keeps what its clean bits may ask for; what the guest changed has not passed the checks. */
static void note_changes(const struct cpu *c, struct svm *s, const struct vmcb_save *sa)
{
	if (sa->efer != c->efer || sa->cr0 != c->cr0 || sa->cr3 != c->cr3 || sa->cr4 != c->cr4)
		s->recheck |= 1u << SVM_GROUP_CRX;
	if (sa->dr6 != c->dr6 || sa->dr7 != c->dr7)
		s->recheck |= 1u << SVM_GROUP_DRX;
	if (sa->g_pat != c->pat)
		s->recheck |= 1u << SVM_GROUP_NESTED;
}

static void save_guest_state(struct cpu *c, const struct svm *s, struct vmcb_save *sa)
{
	save_guest_segments(c, sa);
	sa->cpl = c->cpl;
	sa->efer = c->efer;
	sa->cr4 = c->cr4;
	sa->cr3 = c->cr3;
	sa->cr2 = c->cr2;
	sa->cr0 = c->cr0;
	sa->dr7 = c->dr7;
	sa->dr6 = c->dr6;
	sa->rflags = flags_get(c);
	sa->rip = c->r[REG_RIP];
	sa->rsp = c->r[REG_RSP];
	sa->rax = c->r[REG_RAX];
	if (s->nested)
		sa->g_pat = c->pat;
	if (has(c, FEAT_SVM_SPEC_CTRL))
		sa->spec_ctrl = c->spec_ctrl;
}

static void save_lbr_stack(const struct cpu *c, struct vmcb_save *sa)
{
	sa->dbgextnctl = c->debugctl & DEBUGCTL_LBRSE ? DBGEXTN_LBRSE : 0;
	sa->lbr_select = c->lbr_select;
	for (unsigned n = 0; n < LBR_DEPTH; n++) {
		sa->lbr_stack[2 * n] = c->lbr_stack_from[(c->lbr_tos - n) % LBR_DEPTH];
		sa->lbr_stack[2 * n + 1] = c->lbr_stack_to[(c->lbr_tos - n) % LBR_DEPTH];
	}
}

/* LBR virtualization: the guest's five registers out, the host's in. */
static bool swap_lbr(struct cpu *c, const struct svm *s, struct vmcb_save *sa)
{
	if (!(s->image[s->cur].control.virt_ext & VIRT_EXT_LBRV) || !has(c, FEAT_LBRV))
		return false;
	if (svm_lbr_stack(c, &s->image[s->cur].control))
		save_lbr_stack(c, sa);
	sa->dbgctl = c->debugctl & ~DEBUGCTL_LBRSE;
	sa->br_from = c->lbr_from;
	sa->br_to = c->lbr_to;
	sa->lastexcpfrom = c->lex_from;
	sa->lastexcpto = c->lex_to;
	c->debugctl = s->host.lbr[0];
	c->lbr_from = s->host.lbr[1];
	c->lbr_to = s->host.lbr[2];
	c->lex_from = s->host.lbr[3];
	c->lex_to = s->host.lbr[4];
	return true;
}

/* Image to memory: what VMRUN loads is what #VMEXIT writes, the optional parts only where they were loaded. */
static void write_back(const struct cpu *c, const struct svm *s, struct vmcb_save *to, bool lbr)
{
	const struct vmcb_save *sa = &s->image[s->cur].save;

	memcpy(&to->es, &sa->es, 4 * sizeof(to->es));
	to->gdtr.limit = sa->gdtr.limit;
	to->gdtr.base = sa->gdtr.base;
	to->idtr.limit = sa->idtr.limit;
	to->idtr.base = sa->idtr.base;
	to->cpl = sa->cpl;
	to->efer = sa->efer;
	memcpy(&to->cr4, &sa->cr4, offsetof(struct vmcb_save, rsvd_180) - offsetof(struct vmcb_save, cr4));
	to->rsp = sa->rsp;
	to->rax = sa->rax;
	to->cr2 = sa->cr2;
	if (s->nested)
		to->g_pat = sa->g_pat;
	if (lbr)
		memcpy(&to->dbgctl, &sa->dbgctl, offsetof(struct vmcb_save, dbgextnctl) - offsetof(struct vmcb_save, dbgctl));
	if (lbr && svm_lbr_stack(c, &s->image[s->cur].control))
		svm_lbr_copy(to, sa);
	if (has(c, FEAT_SVM_SPEC_CTRL))
		to->spec_ctrl = sa->spec_ctrl;
}

static void save_control(struct cpu *c, const struct svm *s, struct vmcb_control *ctl, const struct exit_info *o)
{
	const u64 written = VINTR_TPR_MASK | VINTR_IRQ | (s->vintr & VINTR_GIF_EN ? VINTR_GIF : 0) |
	                    (svm_vnmi_on(c) ? VINTR_NMI | VINTR_NMI_MASK : 0);

	ctl->vintr = (ctl->vintr & ~written) | (s->vintr & written);
	ctl->int_state = (ctl->int_state & ~INT_STATE_SHADOW) | (c->shadow ? INT_STATE_SHADOW : 0);
	ctl->exitcode = o->code;
	ctl->exitinfo1 = o->info1;
	ctl->exitinfo2 = o->info2;
	ctl->exitintinfo = o->intinfo;
	ctl->eventinj = 0;
	if (has(c, FEAT_NRIP_SAVE))
		ctl->nrip = o->nrip;
	if (has(c, FEAT_DECODEASSISTS)) {
		ctl->bytes_fetched = o->fetched;
		if (o->fetched)
			memcpy(ctl->insn_bytes, o->bytes, sizeof(ctl->insn_bytes));
	}
}

/* ---- host state ---- */

static cold void shut_down(struct cpu *c)
{
	svm_check_shutdown(c);
	if (c->hooks->death)
		c->hooks->death(c->hooks->arg, c);
	c->activity = ACT_SHUTDOWN;
	c->stop = CPU_STOP_SHUTDOWN;
}

void svm_host_reload(struct cpu *c)
{
	const struct svm_host *h = &svm_of(c)->host;

	c->guest = c->stage2 = c->pdpte_on_demand = c->lock_exits = false;
	memset(c->icpt, 0, sizeof(c->icpt));
	c->gif = false;
	c->inject.type = EV_NONE;
	c->gdtr.base = h->gdtr_base;
	c->gdtr.limit = (u32)h->gdtr_limit;
	c->idtr.base = h->idtr_base;
	c->idtr.limit = (u32)h->idtr_limit;
	c->efer = h->efer;
	c->cr0 = h->cr0 | CR0_PE;
	c->cr3 = h->cr3;
	c->cr4 = h->cr4;
	flags_set(c, (u32)h->rflags & ~(u32)FL_VM);
	c->r[REG_RIP] = h->rip;
	c->r[REG_RSP] = h->rsp;
	c->r[REG_RAX] = h->rax;
	c->dr7 = DR7_RESET;
	c->cpl = 0;
	for (unsigned n = SEG_ES; n <= SEG_DS; n++)
		c->seg[n] = (struct seg){
		        .sel = h->seg_sel[n], .ar = h->seg_ar[n], .limit = h->seg_limit[n], .base = h->seg_base[n]};
	c->shadow = 0;
	c->activity = ACT_RUN;
	c->pend &= ~(u32)(PEND_VIRQ | PEND_DB | PEND_VENDOR);
	c->trap_page = TRAP_PAGE_NONE;
	c->pending_db = 0;
	c->space = 0; /* the context follows in cpu_update_mode(), once */
	cpu_update_mode(c);
	if ((h->cr0 & CR0_PG) && (h->cr4 & CR4_PAE) && !(h->efer & EFER_LMA) && mmu_load_pdptes(c, h->cr3) != XR_OK)
		shut_down(c);
	if (h->rflags & FL_TF) { /* VMRUN is one instruction of the host: its trace trap comes now */
		c->pending_db = DR6_BS;
		cpu_raise(c, PEND_DB);
	}
	c->attention = 1;
}

void svm_exit(struct cpu *c, const struct exit_request *x)
{
	struct svm *s = svm_of(c);
	struct svm_image *v = &s->image[s->cur];
	struct exit_info o = {0};
	struct vmcb_page tmp;
	struct svm_access a;

	fetch_bytes(c, x, &o);
	describe(c, x, &o);
	settle_debug(c, x);
	if (quirk(c, QUIRK_SVM_FIRST) && (x->id == ICPT_EXC + EX_BP || x->id == ICPT_EXC + EX_OF)) /* 2005: a trap */
		c->r[REG_RIP] = (c->r[REG_RIP] + x->event.insn_len) & ip_mask(c);
	if (x->vectoring.type == EV_NMI && svm_vnmi_on(c))
		s->vintr &= ~VINTR_NMI_MASK; /* not delivered: EXITINTINFO has it */

	svm_open(c, &a, s->vmcb_pa, &tmp);
	note_changes(c, s, &v->save);
	save_guest_state(c, s, &v->save);
	write_back(c, s, &a.page->save, swap_lbr(c, s, &v->save));
	save_control(c, s, &a.page->control, &o);
	if (unlikely(icpt_on(c, ICPT_BUSLOCK)))
		a.page->bus_lock_counter = (u16)s->bus_locks;
	if (unlikely(svm_pml_on(c, &v->control)))
		a.page->pml_index = (u16)s->pml_index;
	v->control.vintr = a.page->control.vintr;
	svm_close_written(c, &a);

	svm_record_exit(c, o.code, o.info1, o.info2, c->r[REG_RIP]);
	if (s->nested)
		c->pat = s->host.pat;
	if (has(c, FEAT_SVM_SPEC_CTRL))
		c->spec_ctrl = s->host.spec_ctrl;
	svm_host_reload(c);
}
