/*
 * The hardware task switch. It is the one operation that may fault after it has committed: the manual defines faults of
 * the outgoing task up to the commit point and faults of the incoming task after it.
 * SDM 3A "Task Management", APM 2 "Hardware Multitasking".
 */
#include "cpu/control/segs.h"
#include "cpu/mmu/mmu.h"

/* Where a TSS keeps things. */
struct tss_format {
	u8 size;          /* of general registers, EIP, EFLAGS */
	u32 min_limit, cr3, eip, flags, regs, segs, ldt, trap;
	u8 seg_stride, seg_count;
};
static const struct tss_format tss16 = {
	.size = 2, .min_limit = 0x2b, .eip = 0x0e, .flags = 0x10, .regs = 0x12, .segs = 0x22, .ldt = 0x2a,
	.seg_stride = 2, .seg_count = 4,
};
static const struct tss_format tss32 = {
	.size = 4, .min_limit = 0x67, .cr3 = 0x1c, .eip = 0x20, .flags = 0x24, .regs = 0x28, .segs = 0x48, .ldt = 0x60,
	.trap = 0x64, .seg_stride = 4, .seg_count = 6,
};

struct task {
	u16 sel;
	u64 d[2];
	la_t at;                     /* of the descriptor */
	const struct tss_format *format;
	struct span span;            /* the static part of the TSS */
	u32 eip, flags, reg[8], cr3;
	u16 seg[6], ldt;             /* ES CS SS DS FS GS */
	bool trap;
};

static const struct tss_format *format_of(unsigned type)
{
	return (type & 8) ? &tss32 : &tss16;
}

/* ---- before the commit point ---- */

/* Is it a TSS, free (IRET: busy), present and large enough? "Exception Conditions Checked During a Task Switch" */
static enum xr check_descriptor(struct cpu *c, struct task *t, bool iret)
{
	unsigned vector = iret ? EX_TS : EX_GP, type;

	if (sel_null(t->sel))
		return cpu_fault(c, vector, 0);
	if (t->sel & 4)
		return cpu_fault(c, vector, sel_error(t->sel));
	TRY(read_descriptor(c, t->sel, vector, t->d, &t->at));
	type = desc_type(t->d[0]);
	if (!desc_is_system(t->d[0]) || (type & ~10u) != SYS_TSS16 || ((type & 2) != 0) != iret)
		return cpu_fault(c, vector, sel_error(t->sel));
	if (!desc_present(t->d[0]))
		return cpu_fault(c, EX_NP, sel_error(t->sel));
	t->format = format_of(type);
	if (seg_from_descriptor(t->sel, t->d[0]).limit < t->format->min_limit)
		return cpu_fault(c, EX_TS, sel_error(t->sel));
	return XR_OK;
}

static u32 get(struct cpu *c, const struct task *t, u32 off, unsigned size)
{
	u32 v = 0;

	span_read(c, &t->span, off, &v, size);
	return v;
}

static void put(struct cpu *c, const struct span *s, u32 off, unsigned size, u32 v)
{
	span_write(c, s, off, &v, size);
}

/* The whole new TSS is readable, and writable where the back link or the accessed state goes, before anything moves. */
static enum xr read_new(struct cpu *c, struct task *t, bool link)
{
	const struct tss_format *f = t->format;
	la_t base = (u32)seg_from_descriptor(t->sel, t->d[0]).base;

	TRY(mem_span(c, base, f->min_limit + 1, (link ? ACC_RMW : ACC_READ) | ACC_SUPER, &t->span));
	t->eip = get(c, t, f->eip, f->size);
	t->flags = get(c, t, f->flags, f->size);
	for (unsigned k = 0; k < 8; k++)
		t->reg[k] = get(c, t, f->regs + k * f->size, f->size) | (f->size == 2 ? 0xffff0000u : 0);
	for (unsigned k = 0; k < f->seg_count; k++)
		t->seg[k] = (u16)get(c, t, f->segs + k * f->seg_stride, 2);
	t->ldt = (u16)get(c, t, f->ldt, 2);
	t->cr3 = f->cr3 ? get(c, t, f->cr3, 4) : 0;
	t->trap = f->trap && (get(c, t, f->trap, 2) & 1);
	return XR_OK;
}

static u16 old_selector(const struct cpu *c, unsigned k)
{
	return c->seg[k].sel;
}

static void save_old(struct cpu *c, const struct span *s, const struct tss_format *f, u64 eip, u32 flags)
{
	put(c, s, f->eip, f->size, (u32)eip);
	put(c, s, f->flags, f->size, flags);
	for (unsigned k = 0; k < 8; k++)
		put(c, s, f->regs + k * f->size, f->size, (u32)c->r[k]);
	for (unsigned k = 0; k < f->seg_count; k++)
		put(c, s, f->segs + k * f->seg_stride, 2, old_selector(c, k));
}

/* EXITINFO2's layout; VMX wants only the selector and the cause, which are in q[0]. */
static enum xr intercept(struct cpu *c, u16 sel, enum task_cause cause, const struct delivery *d)
{
	u64 info = d ? d->event.error : 0;

	if (!icpt_on(c, ICPT_TASK_SWITCH))
		return XR_OK;
	if (cause == TASK_IRET)
		info |= BIT(36);
	if (cause == TASK_JMP)
		info |= BIT(38);
	if (d && d->event.has_error)
		info |= BIT(44);
	if ((c->rflags & FL_RF) || (d && d->faulted))
		info |= BIT(48);
	return cpu_exit(c, c->cur, ICPT_TASK_SWITCH, sel | (u64)cause << 30, info);
}

/* ---- after it ---- */

/* From here on a fault belongs to the new task. While an instruction runs, the run loop adds its offset to rip. */
static void set_new_rip(struct cpu *c, u32 eip)
{
	c->r[REG_RIP] = c->cur ? (u64)eip - c->cur->off : eip;
}

static enum xr load_ldt(struct cpu *c, u16 sel)
{
	u64 d[2];
	la_t at = 0;
	struct seg s;

	seg_set_null(c, SEG_LDTR, sel);
	if (sel_null(sel))
		return XR_OK;
	if (sel & 4)
		return cpu_fault(c, EX_TS, sel_error(sel));
	TRY(read_descriptor(c, sel, EX_TS, d, &at));
	if (!desc_is_system(d[0]) || desc_type(d[0]) != SYS_LDT || !desc_present(d[0]))
		return cpu_fault(c, EX_TS, sel_error(sel));
	s = seg_from_descriptor(sel, d[0]);
	seg_commit(c, SEG_LDTR, &s);
	return XR_OK;
}

static enum xr load_cs(struct cpu *c, u16 sel)
{
	unsigned rpl = sel & 3;
	u64 d[2];
	la_t at = 0;
	struct seg s;

	if (sel_null(sel))
		return cpu_fault(c, EX_TS, 0);
	TRY(read_descriptor(c, sel, EX_TS, d, &at));
	if (!desc_is_code(d[0]) || ((desc_type(d[0]) & AR_E) ? desc_dpl(d[0]) > rpl : desc_dpl(d[0]) != rpl))
		return cpu_fault(c, EX_TS, sel_error(sel));
	if (!desc_present(d[0]))
		return cpu_fault(c, EX_NP, sel_error(sel));
	TRY(desc_set_accessed(c, at, d[0]));
	s = seg_from_descriptor(sel, d[0]);
	s.ar |= AR_A;
	seg_commit(c, SEG_CS, &s);
	return XR_OK;
}

static enum xr load_data(struct cpu *c, unsigned n, u16 sel)
{
	enum xr r = seg_load(c, n, sel);

	if (r == XR_FAULT && c->fault.type == EV_HW && c->fault.vector == EX_GP)
		return cpu_fault(c, EX_TS, c->fault.error);
	return r;
}

static enum xr load_segments(struct cpu *c, const struct task *t)
{
	static const u8 data[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};
	struct seg ss;

	TRY(load_ldt(c, t->ldt));
	if (t->flags & FL_VM) {
		for (unsigned k = SEG_ES; k <= SEG_GS; k++)
			seg_set_v86(c, k, t->seg[k]);
		return XR_OK;
	}
	TRY(load_cs(c, t->seg[SEG_CS]));
	TRY(seg_check_ss(c, t->seg[SEG_SS], c->cpl, EX_TS, &ss));
	seg_commit(c, SEG_SS, &ss);
	for (unsigned k = 0; k < ARRAY_LEN(data); k++)
		TRY(load_data(c, data[k], t->seg[data[k]]));
	return XR_OK;
}

static void load_registers(struct cpu *c, struct task *t, enum task_cause cause)
{
	u32 old = flags_get(c), flags = t->flags & (t->format->size == 2 ? 0xffffu : ~0u);

	if (cause == TASK_CALL || cause == TASK_GATE)
		flags |= FL_NT;
	t->flags = flags;
	for (unsigned k = 0; k < 8; k++)
		c->r[k] = t->reg[k];
	c->cr0 |= CR0_TS;
	c->dr7 &= ~0x155ull; /* local breakpoints belong to the old task */
	c->seg[SEG_TR] = seg_from_descriptor(t->sel, t->d[0]);
	c->seg[SEG_TR].ar |= 2;
	for (unsigned k = SEG_ES; k <= SEG_GS; k++)
		c->seg[k] = (struct seg){.sel = t->seg[k], .ar = AR_UNUSABLE};
	/* Until CS is loaded the level is the selector's; its descriptor checks use it. */
	c->cpl = flags & FL_VM ? 3 : t->seg[SEG_CS] & 3;
	flags_set(c, (flags & FL_ALL) | FL_1);
	set_new_rip(c, t->eip);
	cpu_update_mode(c);
	cpu_flags_changed(c, old);
}

static enum xr push_error(struct cpu *c, const struct task *t, u32 error)
{
	struct stack st = stack_current(c);
	u64 v = error;

	TRY(stack_push(c, &st, t->format->size, &v, 1));
	c->r[REG_RSP] = stack_rsp(c, &st);
	return XR_OK;
}

static enum xr enter_task(struct cpu *c, struct task *t, enum task_cause cause, const struct delivery *d)
{
	u64 from = c->r[REG_RIP];

	load_registers(c, t, cause);
	TRY(load_segments(c, t));
	if (d && d->event.has_error)
		TRY(push_error(c, t, d->event.error));
	if (t->eip > c->seg[SEG_CS].limit)
		return fault_gp(c, 0);
	far_land(c, from, t->eip);
	if (t->trap) {
		c->pending_db |= DR6_BT;
		cpu_raise(c, PEND_DB);
	}
	return XR_OK;
}

/* Busy bits of both descriptors; the new one was checked, the old one is TR's. */
static enum xr set_busy_bits(struct cpu *c, const struct task *t, enum task_cause cause)
{
	la_t old_at = (u32)(c->gdtr.base + (c->seg[SEG_TR].sel & 0xfff8u));

	if (cause == TASK_JMP || cause == TASK_IRET)
		TRY(desc_set_busy(c, old_at, false));
	if (cause != TASK_IRET)
		TRY(desc_set_busy(c, t->at, true));
	return XR_OK;
}

enum xr task_switch(struct cpu *c, u16 sel, enum task_cause cause, const struct delivery *d, u64 next_rip)
{
	const struct tss_format *old_format = format_of(c->seg[SEG_TR].ar & AR_TYPE);
	bool link = cause == TASK_CALL || cause == TASK_GATE;
	u32 flags = flags_get(c);
	struct task t = {.sel = sel};
	struct span old;

	TRY(check_descriptor(c, &t, cause == TASK_IRET));
	TRY(intercept(c, sel, cause, d));
	TRY(mem_span(c, (u32)c->seg[SEG_TR].base, old_format->min_limit + 1, ACC_RMW | ACC_SUPER, &old));
	TRY(read_new(c, &t, link));
	if (cause == TASK_IRET)
		flags &= ~(u32)FL_NT;
	if (d && d->faulted)
		flags |= FL_RF;
	TRY(set_busy_bits(c, &t, cause));
	/* Both TSSs are translated already; the PDPTEs of the new task are the last thing that can fault. */
	if (t.format->cr3 && (c->cr0 & CR0_PG))
		TRY(cr3_write(c, t.cr3));
	save_old(c, &old, old_format, next_rip, flags);
	if (link)
		put(c, &t.span, 0, 2, c->seg[SEG_TR].sel);
	return enter_task(c, &t, cause, d);
}
