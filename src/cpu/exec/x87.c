/*
 * The x87 instructions: stack, condition codes and faults around the arithmetic of x87_arith.c and x87_trans.c.
 * Handlers read the encoding (opcode D8..DF and ModRM) rather than operands: reversed and aliased forms are regular
 * there. Order in each: #MF for what is pending, memory, pointers, stack faults, arithmetic, commit.
 */
#include "cpu/exec/fpu.h"

static unsigned sti(const struct insn *i)
{
	return i->modrm & 7u;
}
static bool is_mem(const struct insn *i)
{
	return i->flags & INSN_MEM;
}

/* The result of an operation: flags first, then the destination unless an unmasked early exception forbids it. */
static bool commit_flags(struct cpu *c, u16 sw, unsigned cc)
{
	fpu_set_cc(c, cc, sw);
	fpu_except(c, sw & X87_EXC);
	return !fpu_unmasked(c, sw & X87_EARLY);
}

/* ---- memory operands ---- */

/* D8..DE with memory: the operand of arithmetic and comparison. */
static enum xr arith_operand(struct cpu *c, const struct insn *i, enum x87_src *src, u8 buf[16])
{
	static const struct {
		u8 src, size;
	} kinds[4] = {{X87_M32, 4}, {X87_I32, 4}, {X87_M64, 8}, {X87_I16, 2}};
	unsigned k = i->opcode >> 1 & 3;

	*src = kinds[k].src;
	return x87_read(c, i, kinds[k].size, buf);
}

/* ---- arithmetic ---- */

static void arith_finish(struct cpu *c, unsigned dest, const struct f80 *d, u16 sw, bool pop)
{
	if (!commit_flags(c, sw, X87_C1))
		return;
	st_set(c, dest, *d);
	if (pop)
		st_pop(c);
}

static void arith_underflow(struct cpu *c, unsigned dest, bool pop)
{
	if (!fpu_stack_fault(c, false))
		return;
	st_set(c, dest, f80_indefinite());
	if (pop)
		st_pop(c);
}

/* FADD FMUL FSUB FSUBR FDIV FDIVR, P and I forms */
static enum xr arith(struct cpu *c, const struct insn *i)
{
	unsigned group = i->modrm >> 3 & 7, dest = 0;
	enum x87_src src = X87_ST;
	u8 buf[16] = {0};
	struct f80 a, d;
	bool pop = false, empty = st_empty(c, 0);

	TRY(fpu_wait(c, i));
	if (is_mem(i)) {
		TRY(arith_operand(c, i, &src, buf));
	} else {
		struct f80 b = st_get(c, sti(i));

		memcpy(buf, &b, sizeof(b));
		empty |= st_empty(c, sti(i));
		pop = i->opcode == 0xde;
		dest = i->opcode == 0xd8 ? 0 : sti(i);
	}
	fpu_note(c, i);
	if (unlikely(empty)) {
		arith_underflow(c, dest, pop);
		return XR_OK;
	}
	a = st_get(c, 0);
	arith_finish(c, dest, &d, x87_arith_ops[group][src](&d, &a, buf, c->fpu.cw), pop);
	return XR_OK;
}

static enum xr unary(struct cpu *c, const struct insn *i, x87_op1 *op)
{
	struct f80 a, d;

	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	if (st_empty(c, 0)) {
		arith_underflow(c, 0, false);
		return XR_OK;
	}
	a = st_get(c, 0);
	arith_finish(c, 0, &d, op(&d, &a, c->fpu.cw), false);
	return XR_OK;
}

static enum xr fsqrt(struct cpu *c, const struct insn *i)
{
	return unary(c, i, x87_host_fsqrt);
}
static enum xr frndint(struct cpu *c, const struct insn *i)
{
	return unary(c, i, x87_host_frndint);
}

static enum xr fscale(struct cpu *c, const struct insn *i)
{
	struct f80 a, b, d;

	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	if (st_empty(c, 0) || st_empty(c, 1)) {
		arith_underflow(c, 0, false);
		return XR_OK;
	}
	a = st_get(c, 0);
	b = st_get(c, 1);
	arith_finish(c, 0, &d, x87_host_fscale(&d, &a, &b, c->fpu.cw), false);
	return XR_OK;
}

static enum xr set_sign(struct cpu *c, const struct insn *i, bool flip)
{
	struct f80 a;

	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	if (st_empty(c, 0)) {
		arith_underflow(c, 0, false);
		return XR_OK;
	}
	a = st_get(c, 0);
	a.se = flip ? a.se ^ 0x8000 : a.se & 0x7fff;
	st_set(c, 0, a);
	fpu_set_cc(c, X87_C1, 0);
	return XR_OK;
}

static enum xr fchs(struct cpu *c, const struct insn *i)
{
	return set_sign(c, i, true);
}
static enum xr fabs_(struct cpu *c, const struct insn *i)
{
	return set_sign(c, i, false);
}

/* ---- the instructions with a software result ---- */

/* FSIN FCOS F2XM1 */
static enum xr soft_unary(struct cpu *c, const struct insn *i, x87_soft1 *op, unsigned cc)
{
	struct f80 d[2];
	u16 sw;

	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	if (st_empty(c, 0)) {
		fpu_set_cc(c, cc & X87_C2, 0);
		arith_underflow(c, 0, false);
		return XR_OK;
	}
	sw = op(d, st_get(c, 0), c->fpu.cw);
	if (commit_flags(c, sw, cc) && !(sw & cc & X87_C2))
		st_set(c, 0, d[0]);
	return XR_OK;
}

static enum xr fsin(struct cpu *c, const struct insn *i)
{
	return soft_unary(c, i, x87_fsin, X87_C1 | X87_C2);
}
static enum xr fcos(struct cpu *c, const struct insn *i)
{
	return soft_unary(c, i, x87_fcos, X87_C1 | X87_C2);
}
static enum xr f2xm1(struct cpu *c, const struct insn *i)
{
	return soft_unary(c, i, x87_f2xm1, X87_C1);
}

/* FSINCOS FPTAN FXTRACT: ST(0) becomes d[0], then d[1] is pushed. */
static enum xr soft_push(struct cpu *c, const struct insn *i, x87_soft1 *op, unsigned cc)
{
	struct f80 d[2];
	u16 sw;

	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	if (st_empty(c, 0) || !st_empty(c, 7)) {
		fpu_set_cc(c, cc & X87_C2, 0);
		if (!fpu_stack_fault(c, !st_empty(c, 0)))
			return XR_OK;
		st_set(c, 0, f80_indefinite());
		st_push(c, f80_indefinite());
		return XR_OK;
	}
	sw = op(d, st_get(c, 0), c->fpu.cw);
	if (!commit_flags(c, sw, cc) || (sw & cc & X87_C2))
		return XR_OK;
	st_set(c, 0, d[0]);
	st_push(c, d[1]);
	return XR_OK;
}

static enum xr fsincos(struct cpu *c, const struct insn *i)
{
	return soft_push(c, i, x87_fsincos, X87_C1 | X87_C2);
}
static enum xr fptan(struct cpu *c, const struct insn *i)
{
	return soft_push(c, i, x87_fptan, X87_C1 | X87_C2);
}
static enum xr fxtract(struct cpu *c, const struct insn *i)
{
	return soft_push(c, i, x87_fxtract, X87_C1);
}

/* FPATAN FYL2X FYL2XP1: the result replaces ST(1), then ST(0) is popped. */
static enum xr soft_binary(struct cpu *c, const struct insn *i, x87_soft2 *op)
{
	struct f80 d;

	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	if (st_empty(c, 0) || st_empty(c, 1)) {
		arith_underflow(c, 1, true);
		return XR_OK;
	}
	arith_finish(c, 1, &d, op(&d, st_get(c, 0), st_get(c, 1), c->fpu.cw), true);
	return XR_OK;
}

static enum xr fpatan(struct cpu *c, const struct insn *i)
{
	return soft_binary(c, i, x87_fpatan);
}
static enum xr fyl2x(struct cpu *c, const struct insn *i)
{
	return soft_binary(c, i, x87_fyl2x);
}
static enum xr fyl2xp1(struct cpu *c, const struct insn *i)
{
	return soft_binary(c, i, x87_fyl2xp1);
}

static enum xr remainder_op(struct cpu *c, const struct insn *i, x87_soft2 *op)
{
	struct f80 d;
	u16 sw;

	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	if (st_empty(c, 0) || st_empty(c, 1)) {
		fpu_set_cc(c, X87_C2, 0);
		arith_underflow(c, 0, false);
		return XR_OK;
	}
	sw = op(&d, st_get(c, 0), st_get(c, 1), c->fpu.cw);
	/* Without a quotient (X87_B stands for that) only C1 and C2 are cleared. */
	if (commit_flags(c, sw, sw & X87_B ? X87_C1 | X87_C2 : X87_CC))
		st_set(c, 0, d);
	return XR_OK;
}

static enum xr fprem(struct cpu *c, const struct insn *i)
{
	return remainder_op(c, i, x87_fprem);
}
static enum xr fprem1(struct cpu *c, const struct insn *i)
{
	return remainder_op(c, i, x87_fprem1);
}

/* ---- comparison ---- */

/* DEVIATION from "FCOM", table footnote: processors of both makers give the answer also where #IA or #D is unmasked. */
static void compare_finish(struct cpu *c, u16 sw, unsigned pops)
{
	(void)commit_flags(c, sw & X87_EXC, X87_C1);
	fpu_set_cc(c, X87_C0 | X87_C2 | X87_C3, sw);
	if (fpu_unmasked(c, sw & X87_EARLY))
		return;
	while (pops--)
		st_pop(c);
}

/* The answer for an empty register. */
static u16 compare_underflow(struct cpu *c)
{
	(void)fpu_stack_fault(c, false);
	return X87_IE | X87_C0 | X87_C2 | X87_C3;
}

static enum xr compare(struct cpu *c, const struct insn *i, x87_op2 *reg_op, unsigned pops)
{
	enum x87_src src = X87_ST;
	u8 buf[16] = {0};
	struct f80 a, d;
	bool empty = st_empty(c, 0);
	u16 sw;

	TRY(fpu_wait(c, i));
	if (is_mem(i)) {
		TRY(arith_operand(c, i, &src, buf));
	} else {
		struct f80 b = st_get(c, sti(i));

		memcpy(buf, &b, sizeof(b));
		empty |= st_empty(c, sti(i));
	}
	fpu_note(c, i);
	a = st_get(c, 0);
	if (empty)
		sw = compare_underflow(c);
	else if (is_mem(i))
		sw = x87_arith_ops[2][src](&d, &a, buf, c->fpu.cw | X87_EXC);
	else
		sw = reg_op(&d, &a, buf, c->fpu.cw | X87_EXC);
	compare_finish(c, sw, pops);
	return XR_OK;
}

#define COMPARE(NAME, OP, POPS)                                                                                        \
	static enum xr NAME(struct cpu *c, const struct insn *i)                                                       \
	{                                                                                                              \
		return compare(c, i, OP, POPS);                                                                        \
	}
/* clang-format off */
COMPARE(fcom, x87_arith_ops[2][X87_ST], 0)
COMPARE(fcomp, x87_arith_ops[2][X87_ST], 1)
COMPARE(fcompp, x87_arith_ops[2][X87_ST], 2)
COMPARE(fucom, x87_host_fucom, 0)
COMPARE(fucomp, x87_host_fucom, 1)
COMPARE(fucompp, x87_host_fucom, 2)
/* clang-format on */

/* FCOMI FUCOMI: the answer goes to ZF, PF, CF; OF, SF, AF are cleared. DEVIATION from the SDM: processors of both makers
 * leave C1 alone. */
static enum xr compare_flags(struct cpu *c, const struct insn *i, x87_op2 *op, bool pop)
{
	struct f80 a, b, d;
	u16 sw;

	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	if (st_empty(c, 0) || st_empty(c, sti(i))) {
		sw = compare_underflow(c);
	} else {
		a = st_get(c, 0);
		b = st_get(c, sti(i));
		sw = op(&d, &a, &b, c->fpu.cw | X87_EXC) & (u16)~X87_C1;
	}
	fpu_except(c, sw & X87_EXC);
	cc_set_flags(c, (sw & X87_C3 ? FL_ZF : 0u) | (sw & X87_C2 ? FL_PF : 0u) | (sw & X87_C0 ? FL_CF : 0u));
	if (pop && !fpu_unmasked(c, sw & X87_EARLY))
		st_pop(c);
	return XR_OK;
}

static enum xr fcomi(struct cpu *c, const struct insn *i)
{
	return compare_flags(c, i, x87_arith_ops[2][X87_ST], i->opcode == 0xdf);
}
static enum xr fucomi(struct cpu *c, const struct insn *i)
{
	return compare_flags(c, i, x87_host_fucom, i->opcode == 0xdf);
}

static enum xr ftst(struct cpu *c, const struct insn *i)
{
	struct f80 a, d;

	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	a = st_get(c, 0);
	compare_finish(c, st_empty(c, 0) ? compare_underflow(c) : x87_host_ftst(&d, &a, c->fpu.cw | X87_EXC), 0);
	return XR_OK;
}

/* "FXAM": the sign goes to C1 even for an empty register. */
static enum xr fxam(struct cpu *c, const struct insn *i)
{
	static const u16 codes[] = {
		[F80_ZERO] = X87_C3, [F80_DENORMAL] = X87_C3 | X87_C2, [F80_NORMAL] = X87_C2,
		[F80_INF] = X87_C2 | X87_C0, [F80_QNAN] = X87_C0, [F80_SNAN] = X87_C0, [F80_UNSUPPORTED] = 0,
	};
	struct f80 a = st_get(c, 0);
	unsigned cc;

	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	cc = st_empty(c, 0) ? X87_C3 | X87_C0 : codes[f80_classify(a)];
	fpu_set_cc(c, X87_CC, cc | (f80_neg(a) ? X87_C1 : 0));
	return XR_OK;
}

/* ---- loads ---- */

/* Push v, or the indefinite on overflow. */
static void load(struct cpu *c, struct f80 v, u16 flags)
{
	if (unlikely(!st_empty(c, 7))) {
		if (fpu_stack_fault(c, true))
			st_push(c, f80_indefinite());
		return;
	}
	/* A denormal m32 or m64 is loaded even where #D is unmasked, as real processors do. */
	(void)commit_flags(c, flags & X87_EXC, X87_C1);
	if (!fpu_unmasked(c, flags & X87_IE))
		st_push(c, v);
}

static struct f80 from_int(s64 v)
{
	u64 m = v < 0 ? -(u64)v : (u64)v;
	unsigned n;

	if (!m)
		return f80_make(false, 0, 0);
	n = (unsigned)__builtin_clzll(m);
	return f80_make(v < 0, F80_BIAS + 63 - n, m << n);
}

static enum xr fld(struct cpu *c, const struct insn *i)
{
	u8 buf[16] = {0};
	struct f80 v;
	u16 flags = 0;

	TRY(fpu_wait(c, i));
	if (!is_mem(i)) {
		fpu_note(c, i);
		if (st_empty(c, sti(i))) {
			if (fpu_stack_fault(c, false))
				st_push(c, f80_indefinite());
			return XR_OK;
		}
		load(c, st_get(c, sti(i)), 0);
		return XR_OK;
	}
	TRY(x87_read(c, i, i->opcode == 0xd9 ? 4 : i->opcode == 0xdd ? 8 : F80_BYTES, buf));
	fpu_note(c, i);
	if (i->opcode == 0xd9)
		flags = x87_host_fld32(&v, buf);
	else if (i->opcode == 0xdd)
		flags = x87_host_fld64(&v, buf);
	else
		memcpy(&v, buf, sizeof(v));
	load(c, v, flags);
	return XR_OK;
}

static enum xr fild(struct cpu *c, const struct insn *i)
{
	u8 buf[16] = {0};
	unsigned size = i->opcode == 0xdb ? 4 : i->modrm & 0x20 ? 8 : 2;
	u64 v;

	TRY(fpu_wait(c, i));
	TRY(x87_read(c, i, size, buf));
	fpu_note(c, i);
	memcpy(&v, buf, 8);
	load(c, from_int(sign_extend(v, size * 8)), 0);
	return XR_OK;
}

/* Digits above 9 are undefined; they count as what they say. */
static enum xr fbld(struct cpu *c, const struct insn *i)
{
	u8 buf[16] = {0};
	struct f80 v;
	u64 n = 0;
	int k;

	TRY(fpu_wait(c, i));
	TRY(x87_read(c, i, F80_BYTES, buf));
	fpu_note(c, i);
	for (k = 8; k >= 0; k--)
		n = n * 100 + (buf[k] >> 4) * 10u + (buf[k] & 15u);
	v = from_int((s64)n);
	v.se = (u16)(v.se | (buf[9] & 0x80) << 8);
	load(c, v, 0);
	return XR_OK;
}

/* "FLD1/FLDL2T/...": rounded by RC; `lower` is the significand rounded down, `near` and `up` add what rounding adds. */
struct constant {
	u64 lower;
	u16 exp;
	u8 near, up;
};

static enum xr fld_constant(struct cpu *c, const struct insn *i)
{
	const struct constant *k = i->row->op;
	unsigned rc = c->fpu.cw >> X87_RC_SHIFT & 3;

	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	load(c, f80_make(false, k->exp, k->lower + (rc == X87_RC_NEAREST ? k->near : rc == X87_RC_UP ? k->up : 0)), 0);
	return XR_OK;
}

static const struct constant k_one = {1ull << 63, 0x3fff, 0, 0}, k_zero = {0, 0, 0, 0},
			     k_l2t = {0xd49a784bcd1b8afe, 0x4000, 0, 1}, k_l2e = {0xb8aa3b295c17f0bb, 0x3fff, 1, 1},
			     k_pi = {0xc90fdaa22168c234, 0x4000, 1, 1}, k_lg2 = {0x9a209a84fbcff798, 0x3ffd, 1, 1},
			     k_ln2 = {0xb17217f7d1cf79ab, 0x3ffe, 1, 1};

/* ---- stores ---- */

static u16 store80(void *d, const struct f80 *a, u16 cw)
{
	(void)cw;
	memcpy(d, a, sizeof(*a));
	return 0;
}

static enum xr store(struct cpu *c, const struct insn *i, unsigned size, x87_store *op, bool pop)
{
	bool empty = st_empty(c, 0), stored;
	struct span s;
	struct f80 v = empty ? f80_indefinite() : st_get(c, 0);
	u8 buf[16] = {0};
	u16 sw;

	TRY(fpu_wait(c, i));
	sw = op(buf, &v, c->fpu.cw);
	if (empty)
		sw = X87_IE;
	stored = !fpu_unmasked(c, sw & (X87_IE | X87_OE | X87_UE));
	if (stored)
		TRY(op == x87_host_fbst && quirk(c, QUIRK_FBSTP_HALVES) ? x87_write_halves(c, i, buf) : x87_write(c, i, size, buf));
	else if (quirk(c, QUIRK_X87_STORE_PROBES))
		TRY(x87_prove(c, i, size, &s));
	fpu_note(c, i);
	fpu_set_cc(c, X87_C1, sw);
	fpu_except(c, (sw & X87_EXC) | (empty ? X87_SF : 0u));
	if (stored && pop)
		st_pop(c);
	return XR_OK;
}

static enum xr store_reg(struct cpu *c, const struct insn *i, bool pop)
{
	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	if (st_empty(c, 0)) {
		arith_underflow(c, sti(i), pop);
		return XR_OK;
	}
	st_set(c, sti(i), st_get(c, 0));
	fpu_set_cc(c, X87_C1, 0);
	if (pop)
		st_pop(c);
	return XR_OK;
}

static enum xr fst_form(struct cpu *c, const struct insn *i, bool pop)
{
	if (!is_mem(i))
		return store_reg(c, i, pop);
	if (i->opcode == 0xd9)
		return store(c, i, 4, x87_host_fst32, pop);
	if (i->opcode == 0xdd)
		return store(c, i, 8, x87_host_fst64, pop);
	return store(c, i, F80_BYTES, store80, pop);
}

static enum xr fst(struct cpu *c, const struct insn *i)
{
	return fst_form(c, i, false);
}
static enum xr fstp(struct cpu *c, const struct insn *i)
{
	return fst_form(c, i, true);
}

/* D9 D8+i, undocumented: FSTP that hands on an empty ST(0) without a fault. */
static enum xr fstpnce(struct cpu *c, const struct insn *i)
{
	TRY(fpu_wait(c, i));
	if (!st_empty(c, 0))
		return store_reg(c, i, true);
	fpu_note(c, i);
	fpu_set_cc(c, X87_C1, 0);
	st_pop(c);
	return XR_OK;
}

static enum xr fist(struct cpu *c, const struct insn *i)
{
	bool pop = i->modrm & 8;

	if (i->opcode == 0xdb)
		return store(c, i, 4, x87_host_fist32, pop);
	if (i->modrm & 0x20) /* DF /7 */
		return store(c, i, 8, x87_host_fist64, true);
	return store(c, i, 2, x87_host_fist16, pop);
}

static enum xr fisttp(struct cpu *c, const struct insn *i)
{
	if (i->opcode == 0xdb)
		return store(c, i, 4, x87_host_fisttp32, true);
	if (i->opcode == 0xdd)
		return store(c, i, 8, x87_host_fisttp64, true);
	return store(c, i, 2, x87_host_fisttp16, true);
}

static enum xr fbstp(struct cpu *c, const struct insn *i)
{
	return store(c, i, F80_BYTES, x87_host_fbst, true);
}

/* ---- moves within the stack ---- */

static enum xr fxch(struct cpu *c, const struct insn *i)
{
	struct f80 a = st_get(c, 0), b = st_get(c, sti(i));

	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	if (st_empty(c, 0) || st_empty(c, sti(i))) {
		bool e0 = st_empty(c, 0), ei = st_empty(c, sti(i));

		if (!fpu_stack_fault(c, false))
			return XR_OK;
		a = e0 ? f80_indefinite() : a;
		b = ei ? f80_indefinite() : b;
	}
	fpu_set_cc(c, X87_C1, 0);
	st_set(c, 0, b);
	st_set(c, sti(i), a);
	return XR_OK;
}

static enum xr fcmov(struct cpu *c, const struct insn *i)
{
	static const u8 conditions[4] = {2, 4, 6, 10}; /* B E BE U */
	unsigned cc = conditions[i->modrm >> 3 & 3] | (i->opcode & 1u);

	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	if (st_empty(c, 0) || st_empty(c, sti(i))) {
		arith_underflow(c, 0, false);
		return XR_OK;
	}
	if (cc_eval(c, cc))
		st_set(c, 0, st_get(c, sti(i)));
	return XR_OK;
}

static enum xr ffree(struct cpu *c, const struct insn *i)
{
	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	fpu_set_cc(c, X87_C1, 0);
	st_free(c, sti(i));
	if (i->opcode == 0xdf) /* FFREEP, undocumented */
		st_pop(c);
	return XR_OK;
}

static enum xr rotate(struct cpu *c, const struct insn *i)
{
	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	fpu_set_cc(c, X87_C1, 0);
	c->fpu.top = (u16)((c->fpu.top + (i->modrm & 1 ? 1 : 7)) & 7); /* D9 F7 FINCSTP, D9 F6 FDECSTP */
	return XR_OK;
}

static enum xr fnop(struct cpu *c, const struct insn *i)
{
	TRY(fpu_wait(c, i));
	fpu_note(c, i);
	return XR_OK;
}

/* ---- rows ---- */

/* clang-format off */
#define ROW(NAME, FORM, FN) \
	{.mnemonic = ZYDIS_MNEMONIC_##NAME, .flags = ROW_FPU, .feature = FEAT_FPU, .form = FORM, .fn = FN}
#define ROW_IF(FEATURE, NAME, FORM, FN) \
	{.mnemonic = ZYDIS_MNEMONIC_##NAME, .flags = ROW_FPU, .feature = FEATURE, .form = FORM, .fn = FN}
#define ROW_K(NAME, K) \
	{.mnemonic = ZYDIS_MNEMONIC_##NAME, .flags = ROW_FPU, .feature = FEAT_FPU, .form = #NAME, \
	 .fn = fld_constant, .op = &(K)}

static const struct insn_row rows[] = {
	ROW(FADD, "FADD m32/m64/ST(i)", arith), ROW(FADDP, "FADDP", arith), ROW(FIADD, "FIADD m16/m32", arith),
	ROW(FMUL, "FMUL m32/m64/ST(i)", arith), ROW(FMULP, "FMULP", arith), ROW(FIMUL, "FIMUL m16/m32", arith),
	ROW(FSUB, "FSUB m32/m64/ST(i)", arith), ROW(FSUBP, "FSUBP", arith), ROW(FISUB, "FISUB m16/m32", arith),
	ROW(FSUBR, "FSUBR m32/m64/ST(i)", arith), ROW(FSUBRP, "FSUBRP", arith), ROW(FISUBR, "FISUBR m16/m32", arith),
	ROW(FDIV, "FDIV m32/m64/ST(i)", arith), ROW(FDIVP, "FDIVP", arith), ROW(FIDIV, "FIDIV m16/m32", arith),
	ROW(FDIVR, "FDIVR m32/m64/ST(i)", arith), ROW(FDIVRP, "FDIVRP", arith), ROW(FIDIVR, "FIDIVR m16/m32", arith),
	ROW(FSQRT, "FSQRT", fsqrt), ROW(FRNDINT, "FRNDINT", frndint), ROW(FSCALE, "FSCALE", fscale),
	ROW(FCHS, "FCHS", fchs), ROW(FABS, "FABS", fabs_), ROW(FPREM, "FPREM", fprem), ROW(FPREM1, "FPREM1", fprem1),
	ROW(FSIN, "FSIN", fsin), ROW(FCOS, "FCOS", fcos), ROW(FSINCOS, "FSINCOS", fsincos), ROW(FPTAN, "FPTAN", fptan),
	ROW(FPATAN, "FPATAN", fpatan), ROW(F2XM1, "F2XM1", f2xm1), ROW(FYL2X, "FYL2X", fyl2x),
	ROW(FYL2XP1, "FYL2XP1", fyl2xp1), ROW(FXTRACT, "FXTRACT", fxtract),
	ROW(FCOM, "FCOM m32/m64/ST(i)", fcom), ROW(FCOMP, "FCOMP m32/m64/ST(i)", fcomp), ROW(FCOMPP, "FCOMPP", fcompp),
	ROW(FICOM, "FICOM m16/m32", fcom), ROW(FICOMP, "FICOMP m16/m32", fcomp),
	ROW(FUCOM, "FUCOM ST(i)", fucom), ROW(FUCOMP, "FUCOMP ST(i)", fucomp), ROW(FUCOMPP, "FUCOMPP", fucompp),
	ROW_IF(FEAT_CMOV, FCOMI, "FCOMI ST(i)", fcomi), ROW_IF(FEAT_CMOV, FCOMIP, "FCOMIP ST(i)", fcomi),
	ROW_IF(FEAT_CMOV, FUCOMI, "FUCOMI ST(i)", fucomi), ROW_IF(FEAT_CMOV, FUCOMIP, "FUCOMIP ST(i)", fucomi),
	ROW(FTST, "FTST", ftst), ROW(FXAM, "FXAM", fxam),
	ROW(FLD, "FLD m32/m64/m80/ST(i)", fld), ROW(FILD, "FILD m16/m32/m64", fild), ROW(FBLD, "FBLD m80", fbld),
	ROW_K(FLD1, k_one), ROW_K(FLDZ, k_zero), ROW_K(FLDPI, k_pi), ROW_K(FLDL2T, k_l2t), ROW_K(FLDL2E, k_l2e),
	ROW_K(FLDLG2, k_lg2), ROW_K(FLDLN2, k_ln2),
	ROW(FST, "FST m32/m64/ST(i)", fst), ROW(FSTP, "FSTP m32/m64/m80/ST(i)", fstp), ROW(FSTPNCE, "FSTPNCE", fstpnce),
	ROW(FIST, "FIST m16/m32", fist), ROW(FISTP, "FISTP m16/m32/m64", fist), ROW(FBSTP, "FBSTP m80", fbstp),
	ROW_IF(FEAT_SSE3, FISTTP, "FISTTP m16/m32/m64", fisttp),
	ROW(FXCH, "FXCH ST(i)", fxch), ROW(FFREE, "FFREE ST(i)", ffree), ROW(FFREEP, "FFREEP ST(i)", ffree),
	ROW(FINCSTP, "FINCSTP", rotate), ROW(FDECSTP, "FDECSTP", rotate), ROW(FNOP, "FNOP", fnop),
	ROW_IF(FEAT_CMOV, FCMOVB, "FCMOVB", fcmov), ROW_IF(FEAT_CMOV, FCMOVE, "FCMOVE", fcmov),
	ROW_IF(FEAT_CMOV, FCMOVBE, "FCMOVBE", fcmov), ROW_IF(FEAT_CMOV, FCMOVU, "FCMOVU", fcmov),
	ROW_IF(FEAT_CMOV, FCMOVNB, "FCMOVNB", fcmov), ROW_IF(FEAT_CMOV, FCMOVNE, "FCMOVNE", fcmov),
	ROW_IF(FEAT_CMOV, FCMOVNBE, "FCMOVNBE", fcmov), ROW_IF(FEAT_CMOV, FCMOVNU, "FCMOVNU", fcmov),
	ROW(FLDCW, "FLDCW m16", fpu_fldcw), ROW(FNSTCW, "FNSTCW m16", fpu_fnstcw),
	ROW(FNSTSW, "FNSTSW m16/AX", fpu_fnstsw),
	ROW(FNCLEX, "FNCLEX", fpu_fnclex), ROW(FNINIT, "FNINIT", fpu_fninit), ROW(FLDENV, "FLDENV m14/28", fpu_fldenv),
	ROW(FNSTENV, "FNSTENV m14/28", fpu_fnstenv), ROW(FNSAVE, "FNSAVE m94/108", fpu_fnsave),
	ROW(FRSTOR, "FRSTOR m94/108", fpu_frstor), ROW(FWAIT, "FWAIT", fpu_fwait),
	ROW(FENI8087_NOP, "FENI", fpu_nop), ROW(FDISI8087_NOP, "FDISI", fpu_nop), ROW(FSETPM287_NOP, "FSETPM", fpu_nop),
};
/* clang-format on */

const struct row_set exec_x87_rows = {rows, ARRAY_LEN(rows)};
