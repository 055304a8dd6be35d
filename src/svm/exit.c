/*
 * #VMEXIT: guest state and reasons to the VMCB, host state back. "#VMEXIT", "State Saved on Exit".
 */
#include "cpu/state/watch.h"
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
	svm_note_exit(c, svm_of(c), code);
	recent_exit(c);
	if (c->hooks->vm_exit)
		c->hooks->vm_exit(c->hooks->arg, c, e);
}

/* ---- what the exit tells ---- */

/* "Nested and Next RIP": instruction intercepts, and the exceptions of INT3, INTO and BOUND. */
static u64 next_guest_rip(struct cpu *c, const struct exit_request *x, const struct svm_exit_row *row)
{
	unsigned len = row && row->nrip && x->insn && !x->trap ? x->insn->len : 0;

	if (x->id >= ICPT_EXC && x->id < ICPT_EXC + 32)
		len = x->event.insn_len; /* set by those three only */
	return len && has(c, FEAT_NRIP_SAVE) ? (c->r[REG_RIP] + len) & ip_mask(c) : 0;
}

/* Fewer than 15 where fetching them would fault. */
static void fetch_bytes(struct cpu *c, struct svm_told *o)
{
	u64 rip = c->r[REG_RIP];
	struct fetch f;

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
		if (mmu_fetch(c, la, &f) != XR_OK || !f.host)
			return;
		memcpy(o->bytes + o->fetched, f.host, n);
		o->fetched = (u8)(o->fetched + n);
		rip += n;
	}
}

/* A nested page fault or an intercepted #PF. "Instruction Bytes": of a data access. */
static void paging_exit(struct cpu *c, const struct exit_request *x, struct svm_told *o)
{
	if (unlikely(x->id == ICPT_STAGE2 && (x->q[0] & PF_RSV)))
		svm_explain_walk(c, x);
	if (!has(c, FEAT_DECODEASSISTS))
		return;
	if (!x->fetching || x->vectoring.type != EV_NONE) { /* PF_I does not tell: it needs EFER.NXE or CR4.SMEP */
		const struct exit_request kept = *x;

		fetch_bytes(c, o);
		c->exit = kept; /* a fetch that faults asks for an exit of its own, in the same place */
	}
}

static void describe(struct cpu *c, const struct exit_request *x, struct svm_told *o)
{
	const struct svm_exit_row *row;

	o->code = svm_exit_code(x->id);
	row = svm_exit_row(o->code);
	if (row && row->info != INFO_NONE) { /* a task switch: q[0] carries the cause for the other vendor, too */
		o->info1 = row->info == INFO_TASK ? x->q[0] & 0xffff : x->q[0];
		o->info2 = x->q[1];
	}
	o->intinfo = svm_intinfo_from_event(&x->vectoring);
	o->vintr = VINTR_TPR_MASK | VINTR_IRQ | (svm_of(c)->vintr & VINTR_GIF_EN ? VINTR_GIF : 0) |
	           (svm_vnmi_on(c) ? VINTR_NMI | VINTR_NMI_MASK : 0);
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

/* ---- host state ---- */

static cold void shut_down(struct cpu *c)
{
	svm_explain_shutdown(c);
	if (c->hooks->death)
		c->hooks->death(c->hooks->arg, c);
	c->activity = ACT_SHUTDOWN;
	c->stop = CPU_STOP_SHUTDOWN;
}

void svm_leave(struct cpu *c, u32 parts)
{
	const struct svm_host *h = &svm_of(c)->host;

	svm_guest_off(c);
	c->gif = false;
	svm_host_load(c, h, parts);
	c->dr7 = DR7_RESET;
	c->cpl = 0;
	c->shadow = 0;
	c->activity = ACT_RUN;
	c->pend &= ~(u32)PEND_DB;
	c->pending_db = 0;
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
	const u32 parts = svm_state_parts(c, s, &v->control);
	struct svm_told o = {0};
	struct vmcb_page tmp;
	struct svm_access a;

	describe(c, x, &o);
	if (x->id == ICPT_STAGE2 || x->id == ICPT_EXC + EX_PF)
		paging_exit(c, x, &o);
	settle_debug(c, x);
	if (quirk(c, QUIRK_SVM_FIRST) && (x->id == ICPT_EXC + EX_BP || x->id == ICPT_EXC + EX_OF)) /* 2005: a trap */
		c->r[REG_RIP] = (c->r[REG_RIP] + x->event.insn_len) & ip_mask(c);
	if (x->vectoring.type == EV_NMI && svm_vnmi_on(c))
		s->vintr &= ~VINTR_NMI_MASK; /* not delivered: EXITINTINFO has it */

	svm_open(c, &a, s->vmcb_pa, &tmp);
	s->recheck |= (u8)svm_state_save(c, s, v, a.page, &o, parts); /* what the guest changed has not been checked */
	svm_close_written(c, &a);

	if (unlikely(c->watch))
		svm_watch_exit(c, x, a.page, &o);
	svm_record_exit(c, o.code, o.info1, o.info2, c->r[REG_RIP]);
	svm_leave(c, parts);
}
