/* Lazy flags: RFLAGS from what the last flag-setting instruction left behind. */
#include "cpu/state/flags.h"

static unsigned top_bit(const struct cpu *c)
{
	return c->cc_size * 8u - 1;
}

bool cc_cf(struct cpu *c)
{
	switch (c->cc_op) {
	case CC_ADD: return low_bytes(c->cc_res, c->cc_size) < c->cc_src1;
	case CC_SUB: return c->cc_src1 < c->cc_src2;
	case CC_LOGIC: return false;
	case CC_INC:
	case CC_DEC: return c->cc_src2 & 1;
	case CC_COUT: return (c->cc_src1 >> top_bit(c)) & 1;
	default: return c->rflags & FL_CF;
	}
}

bool cc_of(struct cpu *c)
{
	unsigned top = top_bit(c);
	u64 a = c->cc_src1, b = c->cc_src2, r = c->cc_res;

	switch (c->cc_op) {
	case CC_ADD: return (((a ^ r) & (b ^ r)) >> top) & 1;
	case CC_SUB: return (((a ^ b) & (a ^ r)) >> top) & 1;
	case CC_LOGIC: return false;
	case CC_INC: return low_bytes(r, c->cc_size) == BIT(top);
	case CC_DEC: return low_bytes(r, c->cc_size) == BIT(top) - 1;
	case CC_COUT: return ((a >> top) ^ (a >> (top - 1))) & 1;
	default: return (c->rflags & FL_OF) != 0;
	}
}

bool cc_eval(struct cpu *c, unsigned cc)
{
	return cond_now(c, cc);
}

u32 flags_get(struct cpu *c)
{
	if (c->cc_op == CC_FLAGS)
		return c->rflags;

	u32 f = (cc_cf(c) ? FL_CF : 0u) | (pf_now(c) ? FL_PF : 0u) | (af_now(c) ? FL_AF : 0u) | (zf_now(c) ? FL_ZF : 0u) |
		(sf_now(c) ? FL_SF : 0u) | (cc_of(c) ? FL_OF : 0u);

	cc_set_flags(c, f);
	return c->rflags;
}

void flags_set(struct cpu *c, u32 rflags)
{
	c->rflags = (rflags & FL_ALL) | FL_1;
	c->cc_op = CC_FLAGS;
}
