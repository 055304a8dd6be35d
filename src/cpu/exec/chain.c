/*
 * How instructions follow each other: the gate that an instruction's row asks for, the ends of a chain of handlers, and the
 * forms that decode/ binds by default. run/ starts a chain, or has instructions run one by one.
 */
#include "cpu/exec/fpu.h"

/* ---- gate ---- */

static enum xr unit_gate(struct cpu *c, const struct insn *i, u32 flags)
{
	if (flags & ROW_SSE)
		return sse_gate(c, i);
	if (flags & ROW_AVX)
		return avx_gate(c, i);
	if (flags & ROW_MMX)
		return mmx_gate(c, i);
	return fpu_gate(c, i);
}

static enum xr gate(struct cpu *c, const struct insn *i)
{
	const struct insn_row *row = i->row;

	if (row->icpt)
		TRY(icpt_undefined(c, row->icpt));
	if (row->flags & (ROW_SSE | ROW_AVX | ROW_MMX | ROW_FPU))
		TRY(unit_gate(c, i, row->flags));
	if ((row->flags & ROW_CPL0) && c->cpl != 0)
		return fault_gp(c, 0);
	if (row->icpt && !(row->flags & ROW_LATE_ICPT))
		return icpt_test(c, i, row->icpt, 0);
	return XR_OK;
}

/* What is not available is #UD before any gate. */
static bool is_gated(const struct insn *i)
{
	const struct insn_row *row = i->row;

	if (i->fn == row->unavailable)
		return false;
	return (row->flags & (ROW_CPL0 | ROW_SSE | ROW_AVX | ROW_MMX | ROW_FPU)) || row->icpt;
}

/* ---- ends of a chain ---- */

enum xr insn_leave(struct cpu *c, const struct insn *i, enum xr r)
{
	c->cur = i;
	if (r != XR_OK) {
		c->left = i->idx + (u32)(r == XR_EXIT && c->exit.trap); /* a trap: the instruction completed */
		return r;
	}
	c->left = i->idx + 1u;
	if (!(i->row->flags & ROW_BRANCH))
		c->r[REG_RIP] = next_rip(c, i);
	return XR_OK;
}

enum xr insn_end(struct cpu *c, const struct insn *i)
{
	c->r[REG_RIP] = insn_rip(c, i);
	c->left = i->idx;
	return XR_OK;
}

static enum xr chain_on(struct cpu *c, const struct insn *i, enum xr r)
{
	if (unlikely(r != XR_OK || c->kick || (i->row->flags & ROW_BRANCH)))
		return insn_leave(c, i, r);
	return NEXT(c, i);
}

enum xr insn_chain_call(struct cpu *c, const struct insn *i)
{
	c->cur = i;
	return chain_on(c, i, i->fn(c, i));
}

enum xr insn_chain_gated(struct cpu *c, const struct insn *i)
{
	c->cur = i;

	enum xr r = gate(c, i);

	if (likely(r == XR_OK))
		r = i->fn(c, i);
	return chain_on(c, i, r);
}

/* ---- one alone ---- */

enum xr insn_run(struct cpu *c, const struct insn *i)
{
	if (is_gated(i))
		TRY(gate(c, i));
	return unlikely(i->fast == insn_locked_fast) ? insn_locked(c, i) : i->fn(c, i);
}

const struct dispatch exec_dispatch = {
	.call = insn_chain_call,
	.gated = insn_chain_gated,
	.locked = insn_locked_fast,
	.end = insn_end,
};
