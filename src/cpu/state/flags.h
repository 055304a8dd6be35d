/*
 * Lazy flags: set by what an instruction did, read as RFLAGS or as one of the sixteen conditions, which are inline for
 * the cases that compilers produce: a compare or test followed by the branch.
 */
#ifndef CPU_STATE_FLAGS_H
#define CPU_STATE_FLAGS_H

#include "cpu/state/state.h"

u32 flags_get(struct cpu *c);                  /* materialised RFLAGS */
void flags_set(struct cpu *c, u32 rflags);     /* raw; callers recompute mode if TF, VM, AC, IF changed: cpu_flags_changed */

static inline void cc_set(struct cpu *c, enum cc_op op, unsigned size, u64 res, u64 s1, u64 s2)
{
	c->cc_op = (u8)op;
	c->cc_size = (u8)size;
	c->cc_res = (u64)sign_extend(res, size * 8);
	c->cc_src1 = s1;
	c->cc_src2 = s2;
}
bool cc_cf(struct cpu *c);
bool cc_of(struct cpu *c);
bool cc_eval(struct cpu *c, unsigned cc); /* condition 0..15 as in Jcc */
/* Flags known outright: arith is FL_ARITH bits. */
static inline void cc_set_flags(struct cpu *c, u32 arith)
{
	c->rflags = (c->rflags & ~(u32)FL_ARITH) | arith;
	c->cc_op = CC_FLAGS;
}

/* X(condition code, mnemonic suffix as Zydis spells it) */
#define COND_LIST(X)                                                                                                   \
	X(0, O) X(1, NO) X(2, B) X(3, NB) X(4, Z) X(5, NZ) X(6, BE) X(7, NBE)                                          \
	X(8, S) X(9, NS) X(10, P) X(11, NP) X(12, L) X(13, NL) X(14, LE) X(15, NLE)

static inlined bool cf_now(struct cpu *c)
{
	if (c->cc_op == CC_SUB)
		return c->cc_src1 < c->cc_src2;
	if (c->cc_op == CC_LOGIC)
		return false;
	return cc_cf(c);
}

static inlined bool zf_now(struct cpu *c)
{
	return c->cc_op != CC_FLAGS ? c->cc_res == 0 : (c->rflags & FL_ZF) != 0;
}

static inlined bool sf_now(struct cpu *c)
{
	return c->cc_op != CC_FLAGS ? (s64)c->cc_res < 0 : (c->rflags & FL_SF) != 0;
}

static inlined bool pf_now(struct cpu *c)
{
	return c->cc_op != CC_FLAGS ? !__builtin_parity((u8)c->cc_res) : (c->rflags & FL_PF) != 0;
}

/* Sources are zero-extended: move their sign bits up to compare them as signed. */
static inlined s64 cc_signed(const struct cpu *c, u64 v)
{
	return (s64)(v << (64 - 8 * c->cc_size));
}

static inlined bool less_now(struct cpu *c)
{
	if (c->cc_op == CC_SUB)
		return cc_signed(c, c->cc_src1) < cc_signed(c, c->cc_src2);
	if (c->cc_op == CC_LOGIC)
		return (s64)c->cc_res < 0;
	return sf_now(c) != cc_of(c);
}

static inlined bool below_equal_now(struct cpu *c)
{
	if (c->cc_op == CC_SUB)
		return c->cc_src1 <= c->cc_src2;
	return cf_now(c) || zf_now(c);
}

static inlined bool less_equal_now(struct cpu *c)
{
	if (c->cc_op == CC_SUB)
		return cc_signed(c, c->cc_src1) <= cc_signed(c, c->cc_src2);
	return zf_now(c) || less_now(c);
}

/* Condition cc as in Jcc; folds to one case where cc is a constant. */
static inlined bool cond_now(struct cpu *c, unsigned cc)
{
	bool v;

	switch (cc >> 1) {
	case 0: v = cc_of(c); break;
	case 1: v = cf_now(c); break;
	case 2: v = zf_now(c); break;
	case 3: v = below_equal_now(c); break;
	case 4: v = sf_now(c); break;
	case 5: v = pf_now(c); break;
	case 6: v = less_now(c); break;
	default: v = less_equal_now(c); break;
	}
	return v != (cc & 1);
}

/*
 * The same without ever calling anything: 0, 1, or -1 where only cond_now() knows. For handlers that must stay leaves.
 */
static inlined int cond_quick(struct cpu *c, unsigned cc)
{
	const u32 f = c->rflags;
	int v;

	switch (cc >> 1) {
	case 0: v = c->cc_op == CC_FLAGS ? (f & FL_OF) != 0 : c->cc_op == CC_LOGIC ? 0 : -1; break;
	case 1:
		v = c->cc_op == CC_SUB	   ? c->cc_src1 < c->cc_src2
		    : c->cc_op == CC_LOGIC ? 0
		    : c->cc_op == CC_FLAGS ? (f & FL_CF) != 0
					   : -1;
		break;
	case 3:
		v = c->cc_op == CC_SUB	   ? c->cc_src1 <= c->cc_src2
		    : c->cc_op == CC_LOGIC ? c->cc_res == 0
		    : c->cc_op == CC_FLAGS ? (f & (FL_CF | FL_ZF)) != 0
					   : -1;
		break;
	case 6:
		v = c->cc_op == CC_SUB	   ? cc_signed(c, c->cc_src1) < cc_signed(c, c->cc_src2)
		    : c->cc_op == CC_LOGIC ? (s64)c->cc_res < 0
		    : c->cc_op == CC_FLAGS ? ((f >> 4 ^ f) & FL_SF) != 0
					   : -1;
		break;
	case 7:
		v = c->cc_op == CC_SUB	   ? cc_signed(c, c->cc_src1) <= cc_signed(c, c->cc_src2)
		    : c->cc_op == CC_LOGIC ? (s64)c->cc_res <= 0
		    : c->cc_op == CC_FLAGS ? ((f >> 4 ^ f) & FL_SF) || (f & FL_ZF)
					   : -1;
		break;
	default: return cond_now(c, cc);
	}
	return unlikely(v < 0) ? v : v ^ (int)(cc & 1);
}

/* A result with CF and OF known: SF, ZF, PF follow from it, AF is 0. */
static inlined void cc_set_co(struct cpu *c, unsigned size, u64 res, unsigned cf, unsigned of)
{
	unsigned top = size * 8 - 1;

	cc_set(c, CC_COUT, size, res, (u64)cf << top | (u64)(cf ^ of) << (top - 1), 0);
}

/* Only CF changes. */
static inline void cc_set_cf(struct cpu *c, bool cf)
{
	u32 f = flags_get(c);

	cc_set_flags(c, (f & FL_ARITH & ~(u32)FL_CF) | (cf ? FL_CF : 0));
}

/* Only ZF changes. */
static inline void cc_set_zf(struct cpu *c, bool zf)
{
	u32 f = flags_get(c);

	cc_set_flags(c, (f & FL_ARITH & ~(u32)FL_ZF) | (zf ? FL_ZF : 0));
}

static inline bool af_now(const struct cpu *c)
{
	switch (c->cc_op) {
	case CC_ADD:
	case CC_SUB: return ((c->cc_res ^ c->cc_src1 ^ c->cc_src2) >> 4) & 1;
	case CC_INC: return (c->cc_res & 15) == 0;
	case CC_DEC: return (c->cc_res & 15) == 15;
	case CC_COUT: return (c->cc_src1 >> 3) & 1;
	default: return false;
	}
}

/* Only CF and OF change: rotates. What is lazy stays so: the result keeps giving ZF, SF and PF. */
static inline void cc_set_cf_of(struct cpu *c, unsigned cf, unsigned of)
{
	unsigned top = c->cc_size * 8u - 1;

	if (c->cc_op == CC_FLAGS) {
		c->rflags = (c->rflags & ~(u32)(FL_CF | FL_OF)) | (cf ? FL_CF : 0u) | (of ? FL_OF : 0u);
		return;
	}
	c->cc_src1 = (u64)cf << top | (u64)(cf ^ of) << (top - 1) | (u64)af_now(c) << 3;
	c->cc_op = CC_COUT;
}

#endif
