/*
 * Delivery of an event through the IVT or IDT: the one way for exceptions, interrupts, injected events, both vendors.
 * Everything is read and checked first; the frame is one span; registers change last. SDM 3A "Interrupt and Exception
 * Handling", "64-Bit Mode IDT", "Interrupt and Exception Handling in Virtual-8086 Mode".
 */
#include "cpu/run/run.h"

#include "cpu/control/segs.h"
#include "cpu/mmu/mmu.h"

struct gate {
	u16 sel;
	u64 offset;
	u8 type, dpl, ist;
	bool present;
};

struct frame {
	u8 bytes[96];
	u32 len;
	unsigned width; /* of one slot: 2, 4, 8 */
};

/* What delivery changes, decided before anything is committed. */
struct target {
	struct seg cs, ss;
	u64 rip, rsp;
	u8 cpl;
	bool new_stack;
};

static bool is_software(const struct event *e)
{
	return e->type == EV_SW || e->type == EV_SWEX;
}

/* "Error Code", EXT. */
static u32 ext_bit(const struct cpu *c, const struct event *e)
{
	if (quirk(c, QUIRK_EXT_OUTSIDE_ONLY))
		return e->type == EV_EXT || e->type == EV_NMI;
	return !is_software(e);
}

/* Frames are built downwards: the last slot pushed lies lowest. */
static void frame_push(struct frame *f, u64 v)
{
	f->len += f->width;
	memcpy(f->bytes + sizeof(f->bytes) - f->len, &v, f->width);
}

static u64 return_rip(const struct cpu *c, const struct event *e)
{
	bool after = is_software(e) || e->type == EV_PRIVSW;

	return (c->r[REG_RIP] + (after ? e->insn_len : 0u)) & ip_mask(c);
}

/* RFLAGS as pushed: RF is set for faults, except the instruction breakpoint's own #DB (general detect is a fault too). */
static u32 pushed_flags(struct cpu *c, const struct delivery *d)
{
	const struct event *e = &d->event;
	u32 fl = flags_get(c);

	if (d->faulted && e->type == EV_HW && (e->vector != EX_DB || (e->payload & DR6_BD)))
		fl |= FL_RF;
	return fl;
}

static enum xr write_frame(struct cpu *c, const struct frame *f, la_t la, unsigned access)
{
	struct span s;

	TRY(mem_span(c, la, f->len, ACC_WRITE | ACC_STACK | access, &s));
	span_write(c, &s, 0, f->bytes + sizeof(f->bytes) - f->len, f->len);
	return XR_OK;
}

/* ---- frames on a legacy stack ---- */

static u64 stack_top(const struct seg *ss)
{
	return ss->ar & AR_DB ? 0xffffffffull : 0xffffull;
}

static bool stack_fits(const struct seg *ss, u64 sp, u32 len)
{
	u64 last = sp + len - 1;

	if (ss->ar & AR_E)
		return sp > ss->limit && last <= stack_top(ss);
	return last <= ss->limit;
}

/* Pushes wrap at the top of the stack, so a frame may lie in two pieces: this much of it below the top. */
static u32 below_top(const struct frame *f, const struct seg *ss, u64 sp)
{
	return (u32)min_u64(f->len, stack_top(ss) - sp + 1);
}

static bool frame_fits(const struct frame *f, const struct seg *ss, u64 sp)
{
	u32 low = below_top(f, ss, sp);

	if (low == f->len)
		return stack_fits(ss, sp, low);
	/* a single push never wraps: it would end beyond the limit */
	return low % f->width == 0 && stack_fits(ss, sp, low) && stack_fits(ss, 0, f->len - low);
}

static enum xr write_legacy_frame(struct cpu *c, const struct frame *f, const struct seg *ss, u64 sp, unsigned access)
{
	const u8 *bytes = f->bytes + sizeof(f->bytes) - f->len;
	u32 low = below_top(f, ss, sp);
	struct span a, b;

	TRY(mem_span(c, (u32)(ss->base + sp), low, ACC_WRITE | ACC_STACK | access, &a));
	if (low < f->len) {
		TRY(mem_span(c, (u32)ss->base, f->len - low, ACC_WRITE | ACC_STACK | access, &b));
		span_write(c, &b, 0, bytes + low, f->len - low);
	}
	span_write(c, &a, 0, bytes, low);
	return XR_OK;
}

/* ---- real mode ---- */

static enum xr deliver_ivt(struct cpu *c, const struct event *e, u64 ivt_base, u32 fl, u32 clear)
{
	struct frame f = {.width = 2};
	struct span s;
	u16 vec[2];

	TRY(mem_span(c, ivt_base + e->vector * 4u, 4, ACC_READ | ACC_SUPER, &s));
	span_read(c, &s, 0, vec, 4);
	frame_push(&f, fl);
	frame_push(&f, c->seg[SEG_CS].sel);
	frame_push(&f, return_rip(c, e));

	u64 m = stack_top(&c->seg[SEG_SS]), sp = (c->r[REG_RSP] - f.len) & m;

	if (!frame_fits(&f, &c->seg[SEG_SS], sp))
		return cpu_fault(c, EX_SS, 0);
	TRY(write_legacy_frame(c, &f, &c->seg[SEG_SS], sp, 0));
	c->r[REG_RSP] = (c->r[REG_RSP] & ~m) | sp;
	seg_set_real(c, SEG_CS, vec[1]);
	c->r[REG_RIP] = vec[0];
	flags_set(c, flags_get(c) & ~clear);
	return XR_OK;
}

static enum xr deliver_real(struct cpu *c, const struct delivery *d)
{
	const struct event *e = &d->event;

	if (e->vector * 4u + 3 > c->idtr.limit)
		return fault_gp(c, 0);
	return deliver_ivt(c, e, c->idtr.base, pushed_flags(c, d), FL_IF | FL_TF | FL_AC | FL_RF);
}

/* ---- gates ---- */

static struct gate gate_from(const u64 d[2], bool lm)
{
	struct gate g = {
		.sel = (u16)(d[0] >> 16),
		.offset = (d[0] & 0xffff) | (d[0] >> 32 & 0xffff0000),
		.type = (d[0] >> 40) & 0x1f,
		.dpl = (d[0] >> 45) & 3,
		.present = d[0] >> 47 & 1,
	};

	if (lm) {
		g.offset |= d[1] << 32;
		g.ist = (d[0] >> 32) & 7;
	} else if (g.type == SYS_INT16 || g.type == SYS_TRAP16) {
		g.offset &= 0xffff;
	}
	return g;
}

static bool gate_type_ok(u8 type, bool lm)
{
	if (type == SYS_INT32 || type == SYS_TRAP32)
		return true;
	return !lm && (type == SYS_INT16 || type == SYS_TRAP16 || type == SYS_TASK);
}

static enum xr read_gate(struct cpu *c, const struct event *e, struct gate *g)
{
	bool lm = long_mode(c);
	u32 size = lm ? 16 : 8, error = e->vector * 8u + 2 + ext_bit(c, e);
	u64 d[2] = {0, 0};
	struct span s;

	if (e->vector * size + size - 1 > c->idtr.limit)
		return fault_gp(c, error);
	TRY(mem_span(c, c->idtr.base + e->vector * size, size, ACC_READ | ACC_SUPER, &s));
	span_read(c, &s, 0, d, size);
	*g = gate_from(d, lm);
	if (!gate_type_ok(g->type, lm) || (lm && (d[1] >> 40 & 0x1f)))
		return fault_gp(c, error);
	if (is_software(e) && g->dpl < c->cpl)
		return fault_gp(c, error);
	return g->present ? XR_OK : cpu_fault(c, EX_NP, error);
}

/* ---- stacks ---- */

static enum xr tss_read(struct cpu *c, u32 offset, u32 size, u64 *v)
{
	if (offset + size - 1 > c->seg[SEG_TR].limit)
		return cpu_fault(c, EX_TS, c->seg[SEG_TR].sel & ~3u);
	return tss_bytes(c, offset, size, v);
}

static enum xr stack_from_tss(struct cpu *c, struct target *t)
{
	bool tss32 = (c->seg[SEG_TR].ar & 8) != 0;
	u64 sp, sel, d[2];
	la_t at;

	TRY(tss_read(c, tss32 ? 4 + t->cpl * 8u : 2 + t->cpl * 4u, tss32 ? 4 : 2, &sp));
	TRY(tss_read(c, tss32 ? 8 + t->cpl * 8u : 4 + t->cpl * 4u, 2, &sel));
	if ((sel & ~3ull) == 0)
		return cpu_fault(c, EX_TS, 0);
	TRY(read_descriptor(c, (u16)sel, EX_TS, d, &at));
	t->ss = seg_from_descriptor((u16)sel, d[0]);

	bool writable = (t->ss.ar & (AR_S | AR_CODE | AR_W)) == (AR_S | AR_W);

	if ((sel & 3) != t->cpl || ar_dpl(t->ss.ar) != t->cpl || !writable)
		return cpu_fault(c, EX_TS, sel & ~3u);
	if (!(t->ss.ar & AR_P))
		return cpu_fault(c, EX_SS, sel & ~3u);
	t->rsp = sp;
	t->new_stack = true;
	return XR_OK;
}

static enum xr stack_long(struct cpu *c, struct target *t, u8 ist)
{
	if (ist)
		TRY(tss_read(c, 0x24 + (ist - 1u) * 8, 8, &t->rsp));
	else if (t->cpl < c->cpl)
		TRY(tss_read(c, 4 + t->cpl * 8u, 8, &t->rsp));
	if (t->cpl < c->cpl) {
		t->ss = (struct seg){.sel = t->cpl, .ar = AR_UNUSABLE | (u32)t->cpl << AR_DPL_SHIFT};
		t->new_stack = true;
	}
	if (!is_canonical(t->rsp, c->la_bits))
		return cpu_fault(c, EX_SS, 0);
	t->rsp &= ~15ull;
	return XR_OK;
}

/* ---- the code segment ---- */

static enum xr target_code(struct cpu *c, const struct gate *g, struct target *t)
{
	u64 d[2];
	la_t at;

	if ((g->sel & ~3u) == 0)
		return fault_gp(c, 0);
	TRY(read_descriptor(c, g->sel, EX_GP, d, &at));
	t->cs = seg_from_descriptor(g->sel, d[0]);

	u32 ar = t->cs.ar, error = g->sel & ~3u;

	if ((ar & (AR_S | AR_CODE)) != (AR_S | AR_CODE) || ar_dpl(ar) > c->cpl)
		return fault_gp(c, error);
	if (long_mode(c) && (ar & (AR_L | AR_DB)) != AR_L)
		return fault_gp(c, error);
	if (!(ar & AR_P))
		return cpu_fault(c, EX_NP, error);
	t->cpl = ar & AR_E ? c->cpl : (u8)ar_dpl(ar);
	if (v86_mode(c) && t->cpl != 0)
		return fault_gp(c, error);
	t->cs.sel = (u16)(error | t->cpl);
	if (!(ar & AR_A)) {
		struct span s;
		u64 accessed = d[0] | 1ull << 40;

		TRY(mem_span(c, at, 8, ACC_RMW | ACC_SUPER, &s));
		span_write(c, &s, 0, &accessed, 8);
		t->cs.ar |= AR_A;
	}
	return XR_OK;
}

/* ---- frames ---- */

static void push_v86_segments(struct cpu *c, struct frame *f)
{
	frame_push(f, c->seg[SEG_GS].sel);
	frame_push(f, c->seg[SEG_FS].sel);
	frame_push(f, c->seg[SEG_DS].sel);
	frame_push(f, c->seg[SEG_ES].sel);
}

static void build_frame(struct cpu *c, const struct delivery *d, const struct target *t, bool with_stack, struct frame *f)
{
	const struct event *e = &d->event;

	if (v86_mode(c))
		push_v86_segments(c, f);
	if (t->new_stack || with_stack) {
		frame_push(f, c->seg[SEG_SS].sel);
		frame_push(f, c->r[REG_RSP]);
	}
	frame_push(f, pushed_flags(c, d));
	frame_push(f, c->seg[SEG_CS].sel);
	frame_push(f, return_rip(c, e));
	if (e->has_error)
		frame_push(f, e->error);
}

static void clear_v86_segments(struct cpu *c)
{
	static const u8 which[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	for (size_t k = 0; k < ARRAY_LEN(which); k++)
		c->seg[which[k]] = (struct seg){.ar = AR_UNUSABLE};
}

static void commit(struct cpu *c, const struct gate *g, const struct target *t)
{
	u32 clear = FL_TF | FL_NT | FL_VM | FL_RF;

	if (g->type == SYS_INT32 || g->type == SYS_INT16)
		clear |= FL_IF;
	if (v86_mode(c))
		clear_v86_segments(c);
	c->seg[SEG_CS] = t->cs;
	if (t->new_stack)
		c->seg[SEG_SS] = t->ss;
	c->cpl = t->cpl;
	c->r[REG_RIP] = t->rip;
	flags_set(c, flags_get(c) & ~clear);
}

static enum xr deliver_long(struct cpu *c, const struct delivery *d, const struct gate *g, struct target *t)
{
	struct frame f = {.width = 8};

	TRY(stack_long(c, t, g->ist));
	if (!is_canonical(g->offset, c->la_bits))
		return fault_gp(c, 0);
	build_frame(c, d, t, true, &f);
	TRY(write_frame(c, &f, t->rsp - f.len, t->cpl < 3 ? ACC_SUPER : 0));
	t->rip = g->offset;
	commit(c, g, t);
	c->r[REG_RSP] = t->rsp - f.len;
	return XR_OK;
}

static enum xr deliver_legacy(struct cpu *c, const struct delivery *d, const struct gate *g, struct target *t)
{
	struct frame f = {.width = g->type & 8 ? 4 : 2};

	t->ss = c->seg[SEG_SS];
	if (t->cpl < c->cpl)
		TRY(stack_from_tss(c, t));
	build_frame(c, d, t, false, &f);

	u64 m = stack_top(&t->ss), sp = (t->rsp - f.len) & m;

	if (!frame_fits(&f, &t->ss, sp))
		return cpu_fault(c, EX_SS, t->new_stack ? t->ss.sel & ~3u : 0);
	if (g->offset > t->cs.limit)
		return fault_gp(c, 0);
	TRY(write_legacy_frame(c, &f, &t->ss, sp, t->cpl < 3 ? ACC_SUPER : 0));
	t->rip = g->offset;
	commit(c, g, t);
	c->r[REG_RSP] = t->new_stack ? (m == 0xffff ? (t->rsp & ~m & 0xffffffff) : 0) | sp : (c->r[REG_RSP] & ~m) | sp;
	return XR_OK;
}

static enum xr deliver_gate(struct cpu *c, const struct delivery *d)
{
	const struct event *e = &d->event;
	struct gate g = {0};
	struct target t = {.rsp = c->r[REG_RSP]};

	TRY(read_gate(c, e, &g));
	if (g.type == SYS_TASK)
		return task_switch(c, g.sel, TASK_GATE, d, return_rip(c, e));
	TRY(target_code(c, &g, &t));
	return long_mode(c) ? deliver_long(c, d, &g, &t) : deliver_legacy(c, d, &g, &t);
}

/*
 * "Class 3: Software Interrupt Handling in Virtual-8086 Mode": the redirection bitmap is the 32 bytes below the I/O
 * permission bitmap; a clear bit sends INT n to the 8086 program's own table.
 */
static enum xr v86_redirects(struct cpu *c, u8 vector, bool *yes)
{
	const u32 map_base = 0x66, limit = c->seg[SEG_TR].limit;
	u64 iomap, byte;

	*yes = false;
	if (!v86_mode(c) || !(c->cr4 & CR4_VME))
		return XR_OK;
	if (map_base + 1 > limit)
		return fault_gp(c, 0);
	TRY(tss_bytes(c, map_base, 2, &iomap));

	u32 at = (u32)iomap - 32 + vector / 8u;

	if (iomap < 32 || at > limit)
		return fault_gp(c, 0);
	TRY(tss_bytes(c, at, 1, &byte));
	*yes = !(byte >> (vector % 8) & 1);
	return XR_OK;
}

/* What IOPL or the bitmap forbids never becomes an event: its #GP does not arise during a delivery. */
enum xr event_redirect(struct cpu *c, bool *redirected)
{
	if (!v86_mode(c))
		return XR_FAULT;
	TRY(v86_redirects(c, c->fault.vector, redirected));
	if (!*redirected && (c->rflags & FL_IOPL) != FL_IOPL)
		return fault_gp(c, 0);
	return XR_FAULT;
}

/* With IOPL < 3 the virtual interrupt flag stands for IF. */
static enum xr deliver_v86_ivt(struct cpu *c, const struct event *e)
{
	u32 fl = flags_get(c), clear = FL_TF | FL_RF;

	if ((fl & FL_IOPL) == FL_IOPL) {
		clear |= FL_IF;
	} else {
		fl = (fl & ~(u32)FL_IF) | FL_IOPL | (fl & FL_VIF ? FL_IF : 0);
		clear |= FL_VIF;
	}
	return deliver_ivt(c, e, 0, fl, clear);
}

static enum xr deliver_protected(struct cpu *c, struct delivery *d)
{
	const struct event *e = &d->event;

	if (d->injected && e->type == EV_SW) /* nobody has asked yet */
		TRY(v86_redirects(c, e->vector, &d->redirected));
	if (d->redirected && e->type == EV_SW) /* what its delivery raised takes the gate */
		return deliver_v86_ivt(c, e);

	enum xr r = deliver_gate(c, d);
	bool selector_error = c->fault.vector >= EX_TS && c->fault.vector <= EX_GP;

	if (r == XR_FAULT && c->fault.type == EV_HW && selector_error)
		c->fault.error |= ext_bit(c, e);
	return r;
}

/* Side effects of the exception itself, visible even if its delivery faults. */
static void before(struct cpu *c, const struct event *e)
{
	if (e->type != EV_HW)
		return;
	if (e->vector == EX_PF)
		c->cr2 = e->payload;
	if (e->vector == EX_DB && !(e->payload & EVENT_DB_BARE)) {
		c->dr6 = ((c->dr6 & ~0xfull) | (e->payload & ~DR6_BLD) | dr6_fixed(c)) & ~(e->payload & DR6_BLD);
		c->dr7 &= ~DR7_GD;
		c->debugctl &= ~(DEBUGCTL_LBR | DEBUGCTL_LBRSE | DEBUGCTL_BTF);
	}
}

static void record_branch(struct cpu *c, const struct event *e, u64 from)
{
	c->lastbr[c->lastbr_n++ % ARRAY_LEN(c->lastbr)] = (struct branch_record){.from = from, .to = c->r[REG_RIP]};
	if (unlikely(c->debugctl))
		lbr_event(c, e, from);
}

enum xr event_deliver(struct cpu *c, struct delivery *d)
{
	u64 from = c->r[REG_RIP];
	u32 old = c->rflags;
	enum xr r;

	before(c, &d->event);
	c->delivery = d;
	r = real_mode(c) ? deliver_real(c, d) : deliver_protected(c, d);
	c->delivery = NULL;
	if (r != XR_OK)
		return r;
	c->shadow = 0;
	record_branch(c, &d->event, from);
	cpu_update_mode(c);
	cpu_flags_changed(c, old);
	return XR_OK;
}
