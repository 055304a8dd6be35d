/*
 * Far transfers and segment-register instructions: far JMP, CALL, RET, IRET in every mode, call and task gates, MOV, PUSH
 * and POP of segment registers, far-pointer loads. Everything is read and checked first; the commit is the last lines of
 * each function. SDM 2A/2B "CALL", "JMP", "RET", "IRET", 3A "Privilege Levels"; APM 2 "Control-Transfer Privilege Checks".
 */
#include "cpu/exec/exec.h"
#include "cpu/control/segs.h"

/* ---- code segments ---- */

struct target {
	struct seg cs;
	u64 rip;
};

static bool is_conforming(u64 d)
{
	return (desc_type(d) & (AR_CODE | AR_E)) == (AR_CODE | AR_E);
}

/* The offset must lie in the new code segment: canonical in a 64-bit one, within the limit otherwise. */
static enum xr check_offset(struct cpu *c, const struct seg *cs, u64 off)
{
	if (long_mode(c) && (cs->ar & AR_L))
		return is_canonical(off, c->la_bits) ? XR_OK : fault_gp(c, 0);
	return off <= cs->limit ? XR_OK : fault_gp(c, 0);
}

/* What every loaded code descriptor must satisfy once privilege is settled; leaves the segment with RPL = cpl. */
static enum xr take_code(struct cpu *c, u16 sel, u64 d, la_t at, unsigned cpl, u64 off, struct target *t)
{
	if (long_mode(c) && ((d >> 53) & 1) && ((d >> 54) & 1)) /* L and D */
		return fault_gp(c, sel_error(sel));
	if (!desc_present(d))
		return cpu_fault(c, EX_NP, sel_error(sel));
	t->cs = seg_from_descriptor((u16)((sel & ~3u) | cpl), d);
	t->cs.ar |= AR_A;
	t->rip = off;
	TRY(check_offset(c, &t->cs, off));
	return desc_set_accessed(c, at, d);
}

/* JMP and CALL without a gate: the privilege level stays. */
static enum xr direct_code(struct cpu *c, u16 sel, u64 d, la_t at, u64 off, struct target *t)
{
	unsigned dpl = desc_dpl(d);

	if (is_conforming(d) ? dpl > c->cpl : (sel & 3u) > c->cpl || dpl != c->cpl)
		return fault_gp(c, sel_error(sel));
	return take_code(c, sel, d, at, c->cpl, off, t);
}

static void land(struct cpu *c, const struct insn *i, const struct target *t)
{
	u64 from = insn_rip(c, i);

	c->seg[SEG_CS] = t->cs;
	c->cpl = t->cs.sel & 3;
	cpu_update_mode(c);
	far_land(c, from, t->rip);
}

static void land_real(struct cpu *c, const struct insn *i, u16 sel, u64 off)
{
	u64 from = insn_rip(c, i);

	seg_set_real(c, SEG_CS, sel);
	far_land(c, from, off);
}

static bool no_protection(const struct cpu *c)
{
	return !(c->mode & MODE_PE);
}

/* ---- gates ---- */

struct gate {
	u16 sel;
	u64 off;
	unsigned size, params; /* size of the pushes */
};

static enum xr read_gate(struct cpu *c, u16 sel, const u64 d[2], struct gate *g)
{
	unsigned dpl = desc_dpl(d[0]), type = desc_type(d[0]);

	if (dpl < c->cpl || dpl < (sel & 3u))
		return fault_gp(c, sel_error(sel));
	if (long_mode(c) && bits(d[1], 44, 40) != 0)
		return fault_gp(c, sel_error(sel));
	if (!desc_present(d[0]))
		return cpu_fault(c, EX_NP, sel_error(sel));
	g->sel = (u16)bits(d[0], 31, 16);
	g->off = bits(d[0], 15, 0) | bits(d[0], 63, 48) << 16 | d[1] << 32;
	g->size = long_mode(c) ? 8 : type == SYS_CALL32 ? 4 : 2;
	g->params = long_mode(c) ? 0 : (unsigned)bits(d[0], 36, 32);
	if (g->size == 2)
		g->off &= 0xffff;
	return XR_OK;
}

/* The code descriptor a call gate names: #GP unless code, in long mode 64-bit code. */
static enum xr gate_code(struct cpu *c, const struct gate *g, u64 d[2], la_t *at)
{
	if (sel_null(g->sel))
		return fault_gp(c, 0);
	TRY(read_descriptor(c, g->sel, EX_GP, d, at));
	if (!desc_is_code(d[0]) || desc_dpl(d[0]) > c->cpl)
		return fault_gp(c, sel_error(g->sel));
	if (long_mode(c) && bits(d[0], 54, 53) != 1) /* L = 1, D = 0 */
		return fault_gp(c, sel_error(g->sel));
	return XR_OK;
}

static enum xr jump_gate(struct cpu *c, const struct insn *i, u16 sel, const u64 gd[2])
{
	struct gate g;
	struct target t;
	u64 d[2];
	la_t at = 0;

	TRY(read_gate(c, sel, gd, &g));
	TRY(gate_code(c, &g, d, &at));
	if (!is_conforming(d[0]) && desc_dpl(d[0]) != c->cpl)
		return fault_gp(c, sel_error(g.sel));
	TRY(take_code(c, g.sel, d[0], at, c->cpl, g.off, &t));
	land(c, i, &t);
	return XR_OK;
}

/* "CALL", MORE-PRIVILEGE: old SS:SP, parameters and the return address go onto the inner stack in one frame. */
static enum xr call_inner(struct cpu *c, const struct insn *i, const struct gate *g, u64 d, la_t at)
{
	unsigned cpl = desc_dpl(d), n = 0;
	struct stack outer = stack_current(c), inner;
	u64 frame[2 + 31 + 2];
	struct target t;

	TRY(stack_inner(c, cpl, &inner));
	inner.super = c->cpl == 3;
	frame[n++] = c->seg[SEG_SS].sel;
	frame[n++] = c->r[REG_RSP];
	for (unsigned k = g->params; k-- > 0;)
		TRY(stack_peek(c, &outer, g->size, k, 0, &frame[n++]));
	frame[n++] = c->seg[SEG_CS].sel;
	frame[n++] = next_rip(c, i);
	TRY(take_code(c, g->sel, d, at, cpl, g->off, &t));
	TRY(stack_push(c, &inner, g->size, frame, n));
	c->seg[SEG_SS] = inner.ss;
	c->r[REG_RSP] = stack_rsp(c, &inner);
	land(c, i, &t);
	return XR_OK;
}

static enum xr call_gate(struct cpu *c, const struct insn *i, u16 sel, const u64 gd[2])
{
	struct stack st = stack_current(c);
	struct gate g;
	struct target t;
	u64 d[2], frame[2] = {c->seg[SEG_CS].sel, next_rip(c, i)};
	la_t at = 0;

	TRY(read_gate(c, sel, gd, &g));
	TRY(gate_code(c, &g, d, &at));
	if (!is_conforming(d[0]) && desc_dpl(d[0]) < c->cpl)
		return call_inner(c, i, &g, d[0], at);
	TRY(take_code(c, g.sel, d[0], at, c->cpl, g.off, &t));
	TRY(stack_push(c, &st, g.size, frame, 2));
	c->r[REG_RSP] = stack_rsp(c, &st);
	land(c, i, &t);
	return XR_OK;
}

/* A task gate or a TSS named by JMP or CALL. */
static enum xr to_task(struct cpu *c, const struct insn *i, u16 sel, const u64 d[2], enum task_cause cause)
{
	if (long_mode(c) || desc_dpl(d[0]) < c->cpl || desc_dpl(d[0]) < (sel & 3u))
		return fault_gp(c, sel_error(sel));
	if (desc_type(d[0]) != SYS_TASK)
		return task_switch(c, sel, cause, NULL, next_rip(c, i));
	if (!desc_present(d[0]))
		return cpu_fault(c, EX_NP, sel_error(sel));
	return task_switch(c, (u16)bits(d[0], 31, 16), cause, NULL, next_rip(c, i));
}

enum sys_kind { KIND_BAD, KIND_CALL_GATE, KIND_TASK };

static enum sys_kind system_kind(const struct cpu *c, u64 d)
{
	switch (desc_type(d)) {
	case SYS_CALL16: return long_mode(c) ? KIND_BAD : KIND_CALL_GATE;
	case SYS_CALL32: return KIND_CALL_GATE;
	case SYS_TSS16:
	case SYS_TSS16_BUSY:
	case SYS_TSS32:
	case SYS_TSS32_BUSY:
	case SYS_TASK: return KIND_TASK;
	default: return KIND_BAD;
	}
}

/* ---- JMP and CALL ---- */

enum xr far_jmp(struct cpu *c, const struct insn *i, u16 sel, u64 off)
{
	struct target t;
	u64 d[2];
	la_t at = 0;

	if (no_protection(c)) {
		if (off > c->seg[SEG_CS].limit)
			return fault_gp(c, 0);
		land_real(c, i, sel, off);
		return XR_OK;
	}
	if (sel_null(sel))
		return fault_gp(c, 0);
	TRY(read_descriptor(c, sel, EX_GP, d, &at));
	if (desc_is_code(d[0])) {
		TRY(direct_code(c, sel, d[0], at, off, &t));
		land(c, i, &t);
		return XR_OK;
	}
	switch (desc_is_system(d[0]) ? system_kind(c, d[0]) : KIND_BAD) {
	case KIND_CALL_GATE: return jump_gate(c, i, sel, d);
	case KIND_TASK: return to_task(c, i, sel, d, TASK_JMP);
	default: return fault_gp(c, sel_error(sel));
	}
}

static enum xr call_real(struct cpu *c, const struct insn *i, u16 sel, u64 off)
{
	struct stack st = stack_current(c);
	u64 frame[2] = {c->seg[SEG_CS].sel, next_rip(c, i)};

	if (off > c->seg[SEG_CS].limit)
		return fault_gp(c, 0);
	TRY(stack_push(c, &st, i->opsz, frame, 2));
	c->r[REG_RSP] = stack_rsp(c, &st);
	land_real(c, i, sel, off);
	return XR_OK;
}

static unsigned far_size(const struct cpu *c, const struct insn *i)
{
	return i->opsz == 8 && quirk(c, QUIRK_LSS_FAR_64) ? 4 : i->opsz;
}

enum xr far_call(struct cpu *c, const struct insn *i, u16 sel, u64 off)
{
	struct stack st = stack_current(c);
	u64 frame[2] = {c->seg[SEG_CS].sel, next_rip(c, i)}, d[2];
	struct target t;
	la_t at = 0;

	if (no_protection(c))
		return call_real(c, i, sel, off);
	if (sel_null(sel))
		return fault_gp(c, 0);
	TRY(read_descriptor(c, sel, EX_GP, d, &at));
	if (desc_is_code(d[0])) {
		TRY(direct_code(c, sel, d[0], at, off, &t));
		TRY(stack_push(c, &st, far_size(c, i), frame, 2));
		c->r[REG_RSP] = stack_rsp(c, &st);
		land(c, i, &t);
		return XR_OK;
	}
	switch (desc_is_system(d[0]) ? system_kind(c, d[0]) : KIND_BAD) {
	case KIND_CALL_GATE: return call_gate(c, i, sel, d);
	case KIND_TASK: return to_task(c, i, sel, d, TASK_CALL);
	default: return fault_gp(c, sel_error(sel));
	}
}

/* ---- RET and IRET to protected mode ---- */

/* The code segment popped by RET or IRET: its RPL is the level returned to. */
static enum xr return_code(struct cpu *c, u16 sel, u64 off, struct target *t)
{
	unsigned rpl = sel & 3;
	u64 d[2];
	la_t at = 0;

	if (sel_null(sel))
		return fault_gp(c, 0);
	TRY(read_descriptor(c, sel, EX_GP, d, &at));
	if (!desc_is_code(d[0]) || rpl < c->cpl)
		return fault_gp(c, sel_error(sel));
	if (is_conforming(d[0]) ? desc_dpl(d[0]) > rpl : desc_dpl(d[0]) != rpl)
		return fault_gp(c, sel_error(sel));
	return take_code(c, sel, d[0], at, rpl, off, t);
}

/* SS popped for level cpl. In 64-bit code below CPL 3 it may be null. */
static enum xr return_ss(struct cpu *c, u16 sel, unsigned cpl, bool to64, struct seg *ss)
{
	if (sel_null(sel) && to64 && cpl != 3 && (sel & 3u) == cpl) {
		*ss = (struct seg){.sel = sel, .ar = AR_UNUSABLE | (u32)cpl << AR_DPL_SHIFT};
		return XR_OK;
	}
	return seg_check_ss(c, sel, cpl, EX_GP, ss);
}

static void set_return_stack(struct cpu *c, const struct target *t, const struct seg *ss, u64 sp)
{
	bool to64 = long_mode(c) && (t->cs.ar & AR_L);

	c->seg[SEG_SS] = *ss;
	if (to64)
		c->r[REG_RSP] = sp;
	else if (ss->ar & AR_DB)
		c->r[REG_RSP] = (u32)sp;
	else
		c->r[REG_RSP] = (c->r[REG_RSP] & ~0xffffull) | (sp & 0xffff);
}

static enum xr ret_outer(struct cpu *c, const struct insn *i, struct stack *st, const struct target *t, u16 pop_bytes)
{
	unsigned size = i->opsz, cpl = t->cs.sel & 3;
	bool to64 = long_mode(c) && (t->cs.ar & AR_L);
	struct seg ss;
	u64 sp, sel;

	TRY(stack_peek(c, st, size, 2, pop_bytes, &sp));
	TRY(stack_peek(c, st, size, 3, pop_bytes, &sel));
	TRY(return_ss(c, (u16)sel, cpl, to64, &ss));
	/* Parameters are released from the outer stack too. */
	set_return_stack(c, t, &ss, sp + pop_bytes);
	land(c, i, t);
	seg_drop_privileged(c);
	return XR_OK;
}

enum xr far_ret(struct cpu *c, const struct insn *i, u16 pop_bytes)
{
	struct stack st = stack_current(c);
	unsigned size = i->opsz;
	struct target t;
	u64 off, sel;

	TRY(stack_peek(c, &st, size, 0, 0, &off));
	TRY(stack_peek(c, &st, size, 1, 0, &sel));
	if (no_protection(c)) {
		if (off > c->seg[SEG_CS].limit)
			return fault_gp(c, 0);
	} else {
		TRY(return_code(c, (u16)sel, off, &t));
		if ((sel & 3) > c->cpl)
			return ret_outer(c, i, &st, &t, pop_bytes);
	}
	st.sp += 2 * size + pop_bytes;
	c->r[REG_RSP] = stack_rsp(c, &st);
	if (no_protection(c))
		land_real(c, i, (u16)sel, off);
	else
		land(c, i, &t);
	return XR_OK;
}

/* ---- IRET ---- */

static void set_flags(struct cpu *c, u32 v)
{
	u32 old = flags_get(c);

	flags_set(c, v | FL_1);
	cpu_flags_changed(c, old);
}

/* Which flags IRET may change in protected mode: "IRET", RETURN-TO-SAME-PRIVILEGE-LEVEL. */
static u32 iret_mask(const struct cpu *c, unsigned size)
{
	u32 m = FL_ARITH | FL_TF | FL_DF | FL_NT, iopl = (c->rflags & FL_IOPL) >> 12;

	if (size > 2)
		m |= FL_RF | FL_AC | FL_ID;
	if (c->cpl <= iopl)
		m |= FL_IF;
	if (c->cpl == 0) {
		m |= FL_IOPL;
		if (size > 2)
			m |= FL_VIF | FL_VIP;
	}
	return m;
}

static u32 merge_flags(struct cpu *c, u64 popped, u32 m)
{
	return (flags_get(c) & ~m) | ((u32)popped & m);
}

static enum xr iret_pop3(struct cpu *c, const struct stack *st, unsigned size, u64 v[3])
{
	for (unsigned k = 0; k < 3; k++)
		TRY(stack_peek(c, st, size, k, 0, &v[k]));
	return XR_OK;
}

/* Real mode, and virtual-8086 mode with IOPL 3 (IOPL itself cannot change there). */
static enum xr iret_real(struct cpu *c, const struct insn *i)
{
	struct stack st = stack_current(c);
	u32 m = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_NT | (v86_mode(c) ? 0 : FL_IOPL);
	u64 v[3];

	if (i->opsz > 2)
		m |= FL_RF | FL_AC | FL_ID;
	TRY(iret_pop3(c, &st, i->opsz, v));
	if (v[0] > c->seg[SEG_CS].limit)
		return fault_gp(c, 0);
	st.sp += 3 * i->opsz;

	u32 flags = merge_flags(c, v[2], m);

	c->r[REG_RSP] = stack_rsp(c, &st);
	land_real(c, i, (u16)v[1], v[0]);
	set_flags(c, flags);
	return XR_OK;
}

/* "Virtual-8086 Mode Extensions": with VME a 16-bit IRET moves the popped IF into VIF. */
static enum xr iret_vme(struct cpu *c, const struct insn *i)
{
	struct stack st = stack_current(c);
	const u32 m = FL_ARITH | FL_TF | FL_DF | FL_NT;
	u64 v[3];

	if (!(c->cr4 & CR4_VME) || i->opsz != 2)
		return fault_gp(c, 0);
	TRY(iret_pop3(c, &st, 2, v));
	if (v[0] > c->seg[SEG_CS].limit || (v[2] & FL_TF) || ((v[2] & FL_IF) && (c->rflags & FL_VIP)))
		return fault_gp(c, 0);
	st.sp += 6;

	u32 flags = (merge_flags(c, v[2], m) & ~(u32)FL_VIF) | (v[2] & FL_IF ? FL_VIF : 0);

	c->r[REG_RSP] = stack_rsp(c, &st);
	land_real(c, i, (u16)v[1], v[0]);
	set_flags(c, flags);
	return XR_OK;
}

/* CPL 0 returns to a virtual-8086 task: nine values, every segment register. */
static enum xr iret_to_v86(struct cpu *c, const struct insn *i, const struct stack *st, const u64 v[3])
{
	static const u8 order[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	u64 sp, ss, sel[4], from = insn_rip(c, i);

	TRY(stack_peek(c, st, 4, 3, 0, &sp));
	TRY(stack_peek(c, st, 4, 4, 0, &ss));
	for (unsigned k = 0; k < 4; k++)
		TRY(stack_peek(c, st, 4, 5 + k, 0, &sel[k]));
	if (v[0] > 0xffff)
		return fault_gp(c, 0);
	set_flags(c, (u32)v[2] & (FL_ALL | FL_VM));
	c->cpl = 3;
	seg_set_v86(c, SEG_CS, (u16)v[1]);
	seg_set_v86(c, SEG_SS, (u16)ss);
	for (unsigned k = 0; k < 4; k++)
		seg_set_v86(c, order[k], (u16)sel[k]);
	c->r[REG_RSP] = (u32)sp;
	cpu_update_mode(c);
	far_land(c, from, v[0]);
	return XR_OK;
}

/* NT: return to the task named by the back link. */
static enum xr iret_task(struct cpu *c, const struct insn *i)
{
	const struct seg *tr = &c->seg[SEG_TR];
	u16 link;

	if (tr->limit < 1)
		return cpu_fault(c, EX_TS, sel_error(tr->sel));
	TRY(mem_read16(c, (u32)tr->base, ACC_SUPER, &link));
	return task_switch(c, link, TASK_IRET, NULL, next_rip(c, i));
}

static enum xr iret_protected(struct cpu *c, const struct insn *i)
{
	struct stack st = stack_current(c);
	unsigned size = i->opsz, old_cpl = c->cpl;
	struct target t;
	struct seg ss;
	u64 v[3], sp, sel;

	TRY(iret_pop3(c, &st, size, v));
	if (size == 4 && (v[2] & FL_VM) && c->cpl == 0 && !long_mode(c))
		return iret_to_v86(c, i, &st, v);
	TRY(return_code(c, (u16)v[1], v[0], &t));

	bool outer = (v[1] & 3) > c->cpl, switches = outer || mode64(c);
	u32 flags = merge_flags(c, v[2], iret_mask(c, size));

	if (switches) {
		TRY(stack_peek(c, &st, size, 3, 0, &sp));
		TRY(stack_peek(c, &st, size, 4, 0, &sel));
		TRY(return_ss(c, (u16)sel, v[1] & 3, long_mode(c) && (t.cs.ar & AR_L), &ss));
		set_return_stack(c, &t, &ss, sp);
	} else {
		st.sp += 3 * size;
		c->r[REG_RSP] = stack_rsp(c, &st);
	}
	land(c, i, &t);
	set_flags(c, flags);
	if (c->cpl > old_cpl)
		seg_drop_privileged(c);
	return XR_OK;
}

/* "Handling Multiple NMIs": executing IRET ends the blocking, even if it faults. */
static bool end_nmi_blocking(struct cpu *c)
{
	bool was = c->nmi_blocked;

	if (was && c->guest && c->virt->irq.iret_keeps_nmi(c))
		return false;
	if (was || c->guest) {
		c->nmi_blocked = false;
		cpu_recheck(c);
	}
	return was;
}

static enum xr iret_by_mode(struct cpu *c, const struct insn *i)
{
	if (real_mode(c))
		return iret_real(c, i);
	if (v86_mode(c))
		return (c->rflags & FL_IOPL) == FL_IOPL ? iret_real(c, i) : iret_vme(c, i);
	if (c->rflags & FL_NT)
		return long_mode(c) ? fault_gp(c, 0) : iret_task(c, i);
	return iret_protected(c, i);
}

enum xr do_iret(struct cpu *c, const struct insn *i)
{
	bool unblocked = end_nmi_blocking(c);
	enum xr r = iret_by_mode(c, i);

	if (r == XR_FAULT)
		c->fault.nmi_unblocked = unblocked;
	else if (r == XR_EXIT)
		c->exit.nmi_unblocked = unblocked;
	if (r == XR_OK && c->guest)
		c->virt->irq.iret_done(c);
	if (unlikely(c->hooks->trace & TRACE_INT) && r == XR_OK && c->hooks->returned)
		c->hooks->returned(c->hooks->arg, c);
	return r;
}

/* ---- handlers ---- */

static enum xr read_far_pointer(struct cpu *c, const struct insn *i, unsigned size, u16 *sel, u64 *off)
{
	la_t la;

	TRY(insn_la(c, i, size + 2, ACC_READ, &la));
	TRY(mem_read(c, la, size, i->seg == SEG_SS ? ACC_STACK : 0, off));
	return mem_read16(c, la + size, i->seg == SEG_SS ? ACC_STACK : 0, sel);
}

static enum xr far_operand(struct cpu *c, const struct insn *i, u16 *sel, u64 *off)
{
	if (i->flags & INSN_MEM)
		return read_far_pointer(c, i, far_size(c, i), sel, off);
	*sel = (u16)i->aux;
	*off = low_bytes(i->imm, i->opsz);
	return XR_OK;
}

static enum xr jmp_far(struct cpu *c, const struct insn *i)
{
	u16 sel;
	u64 off;

	TRY(far_operand(c, i, &sel, &off));
	return far_jmp(c, i, sel, off);
}

static enum xr call_far(struct cpu *c, const struct insn *i)
{
	u16 sel;
	u64 off;

	TRY(far_operand(c, i, &sel, &off));
	return far_call(c, i, sel, off);
}

static enum xr ret_far(struct cpu *c, const struct insn *i)
{
	return far_ret(c, i, (u16)i->imm);
}

/* LDS, LES, LFS, LGS, LSS: the row's op is the segment. */
static enum xr load_far_pointer(struct cpu *c, const struct insn *i)
{
	unsigned seg = i->aux, size = far_size(c, i);
	u16 sel;
	u64 off;

	TRY(read_far_pointer(c, i, size, &sel, &off));
	TRY(seg_load(c, seg, sel));
	reg_set(c, i->r0, size, off);
	return XR_OK;
}

/* Interrupts and traps wait one instruction, so that the stack pointer can follow. */
static void shadow_ss(struct cpu *c)
{
	c->shadow = SHADOW_MOVSS;
	cpu_update_mode(c);
	cpu_recheck(c);
}

static enum xr mov_to_sreg(struct cpu *c, const struct insn *i)
{
	u16 sel;

	if (i->r0 == SEG_CS || i->r0 > SEG_GS)
		return fault_ud(c);
	if (i->flags & INSN_MEM)
		TRY(op_read16(c, i, &sel));
	else
		sel = reg16(c, i->r1);
	TRY(seg_load(c, i->r0, sel));
	if (i->r0 == SEG_SS)
		shadow_ss(c);
	return XR_OK;
}

static enum xr mov_from_sreg(struct cpu *c, const struct insn *i)
{
	if (i->r1 > SEG_GS)
		return fault_ud(c);
	if (i->flags & INSN_MEM)
		return op_write16(c, i, c->seg[i->r1].sel);
	reg_set(c, i->r0, i->opsz, c->seg[i->r1].sel);
	return XR_OK;
}

static enum xr push_sreg(struct cpu *c, const struct insn *i)
{
	return push_selector(c, i->opsz, c->seg[i->r0].sel);
}

static enum xr pop_sreg(struct cpu *c, const struct insn *i)
{
	struct stack st = stack_current(c);
	u64 v;

	TRY(stack_peek(c, &st, i->opsz, 0, 0, &v));
	st.sp += i->opsz;

	u64 rsp = stack_rsp(c, &st);

	TRY(seg_load(c, i->r0, (u16)v));
	c->r[REG_RSP] = rsp;
	if (i->r0 == SEG_SS)
		shadow_ss(c);
	return XR_OK;
}

/* ---- rows ---- */

static bool is_far(const struct dec *d)
{
	return d->zi->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
}

static bool is_sreg(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

static bool op0_sreg(const struct dec *d)
{
	return is_sreg(&d->op[0]);
}

static bool op1_sreg(const struct dec *d)
{
	return is_sreg(&d->op[1]);
}

static bool sreg_fs_gs(const struct dec *d)
{
	return op0_sreg(d) && (d->op[0].reg.value == ZYDIS_REGISTER_FS || d->op[0].reg.value == ZYDIS_REGISTER_GS);
}

static void bind_far_load(struct insn *i, const struct dec *d)
{
	switch (d->zi->mnemonic) {
	case ZYDIS_MNEMONIC_LES: i->aux = SEG_ES; break;
	case ZYDIS_MNEMONIC_LDS: i->aux = SEG_DS; break;
	case ZYDIS_MNEMONIC_LSS: i->aux = SEG_SS; break;
	case ZYDIS_MNEMONIC_LFS: i->aux = SEG_FS; break;
	default: i->aux = SEG_GS; break;
	}
}

/* PUSH and POP of CS, SS, DS, ES have no visible operand in some encodings: the slot comes from the decoder's operand. */
static void bind_sreg0(struct insn *i, const struct dec *d)
{
	i->r0 = (u8)ZydisRegisterGetId(d->op[0].reg.value);
}

static void bind_iret(struct insn *i, const struct dec *d)
{
	i->opsz = d->zi->mnemonic == ZYDIS_MNEMONIC_IRETQ ? 8 : d->zi->mnemonic == ZYDIS_MNEMONIC_IRETD ? 4 : 2;
}

/* clang-format off */
static const struct insn_row rows[] = {
	{.mnemonic = ZYDIS_MNEMONIC_JMP, .form = "JMP far", .match = is_far, .fn = jmp_far, .flags = ROW_BRANCH},
	{.mnemonic = ZYDIS_MNEMONIC_CALL, .form = "CALL far", .match = is_far, .fn = call_far, .flags = ROW_BRANCH},
	{.mnemonic = ZYDIS_MNEMONIC_RET, .form = "RET far", .match = is_far, .fn = ret_far, .flags = ROW_BRANCH},
	{.mnemonic = ZYDIS_MNEMONIC_IRET, .form = "IRET", .bind = bind_iret, .fn = do_iret, .icpt = ICPT_IRET,
	 .flags = ROW_BRANCH},
	{.mnemonic = ZYDIS_MNEMONIC_IRETD, .form = "IRETD", .bind = bind_iret, .fn = do_iret, .icpt = ICPT_IRET,
	 .flags = ROW_BRANCH},
	{.mnemonic = ZYDIS_MNEMONIC_IRETQ, .form = "IRETQ", .bind = bind_iret, .fn = do_iret, .icpt = ICPT_IRET,
	 .flags = ROW_BRANCH},
	{.mnemonic = ZYDIS_MNEMONIC_LDS, .form = "LDS r, m16:16/32", .bind = bind_far_load, .fn = load_far_pointer,
	 .flags = ROW_NOT64 | ROW_END},
	{.mnemonic = ZYDIS_MNEMONIC_LES, .form = "LES r, m16:16/32", .bind = bind_far_load, .fn = load_far_pointer,
	 .flags = ROW_NOT64 | ROW_END},
	{.mnemonic = ZYDIS_MNEMONIC_LSS, .form = "LSS r, m16:16/32/64", .bind = bind_far_load, .fn = load_far_pointer,
	 .flags = ROW_END},
	{.mnemonic = ZYDIS_MNEMONIC_LFS, .form = "LFS r, m16:16/32/64", .bind = bind_far_load, .fn = load_far_pointer,
	 .flags = ROW_END},
	{.mnemonic = ZYDIS_MNEMONIC_LGS, .form = "LGS r, m16:16/32/64", .bind = bind_far_load, .fn = load_far_pointer,
	 .flags = ROW_END},
	{.mnemonic = ZYDIS_MNEMONIC_MOV, .form = "MOV Sreg, r/m16", .match = op0_sreg, .fn = mov_to_sreg, .flags = ROW_END},
	{.mnemonic = ZYDIS_MNEMONIC_MOV, .form = "MOV r/m16, Sreg", .match = op1_sreg, .fn = mov_from_sreg},
	{.mnemonic = ZYDIS_MNEMONIC_PUSH, .form = "PUSH FS/GS", .match = sreg_fs_gs, .bind = bind_sreg0, .fn = push_sreg},
	{.mnemonic = ZYDIS_MNEMONIC_PUSH, .form = "PUSH Sreg", .match = op0_sreg, .bind = bind_sreg0, .fn = push_sreg,
	 .flags = ROW_NOT64},
	{.mnemonic = ZYDIS_MNEMONIC_POP, .form = "POP FS/GS", .match = sreg_fs_gs, .bind = bind_sreg0, .fn = pop_sreg,
	 .flags = ROW_END},
	{.mnemonic = ZYDIS_MNEMONIC_POP, .form = "POP Sreg", .match = op0_sreg, .bind = bind_sreg0, .fn = pop_sreg,
	 .flags = ROW_NOT64 | ROW_END},
};
/* clang-format on */

const struct row_set exec_far_rows = {rows, ARRAY_LEN(rows)};
