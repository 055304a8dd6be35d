/* ADD OR ADC SBB AND SUB XOR CMP TEST, INC DEC NEG NOT, XADD CMPXCHG, ADCX ADOX, and the instructions on single flags. */
#include "cpu/state/flags.h"
#include "cpu/exec/flat.h"

/*
 * Each operation is a result and a flag rule. xxx_CC runs after the last step that can fault; xxx_RES may read CF, which
 * is still the old one then.
 */
#define ADD_RES(N, a, b)   (u##N)((a) + (b))
#define ADD_CC(N, a, b, r) cc_set(c, CC_ADD, N / 8, r, a, b)
#define SUB_RES(N, a, b)   (u##N)((a) - (b))
#define SUB_CC(N, a, b, r) cc_set(c, CC_SUB, N / 8, r, a, b)
#define ADC_RES(N, a, b)   (u##N)((a) + (b) + cf_now(c))
#define ADC_CC(N, a, b, r) cc_set(c, CC_COUT, N / 8, r, (u##N)(((a) & (b)) | (((a) | (b)) & ~(r))), 0)
#define SBB_RES(N, a, b)   (u##N)((a) - (b) - cf_now(c))
#define SBB_CC(N, a, b, r) cc_set(c, CC_COUT, N / 8, r, (u##N)((~(a) & (b)) | ((~(a) | (b)) & (r))), 0)
#define AND_RES(N, a, b)   (u##N)((a) & (b))
#define OR_RES(N, a, b)    (u##N)((a) | (b))
#define XOR_RES(N, a, b)   (u##N)((a) ^ (b))
#define LOGIC_CC(N, a, b, r) logic_cc(c, N, r)
#define AND_CC LOGIC_CC
#define OR_CC  LOGIC_CC
#define XOR_CC LOGIC_CC

static inline void logic_cc(struct cpu *c, unsigned nbits, u64 res)
{
	c->cc_op = CC_LOGIC;
	c->cc_size = (u8)(nbits / 8);
	c->cc_res = (u64)sign_extend(res, nbits);
}

#define HANDLER(NAME) static inline enum xr NAME(struct cpu *c, const struct insn *i)

/* Operands: A is the first, B the second. */
#define A_REG(N) u##N a = reg##N(c, i->r0)
#define A_MEM(N) u##N a; TRY(op_read##N(c, i, &a))
#define A_FLAT(N) FLAT_PTR(N, read); u##N a = *m
#define B_REG(N) u##N b = reg##N(c, i->r1)
#define B_IMM(N) u##N b = (u##N)i->imm
#define B_MEM(N) u##N b; TRY(op_read##N(c, i, &b))
#define B_FLAT(N) FLAT_PTR(N, read); u##N b = *m

/* Destination register. */
#define REG_BODY(OP, N, B)                                                                                             \
	B(N);                                                                                                          \
	A_REG(N);                                                                                                      \
	u##N r = OP##_RES(N, a, b);                                                                                    \
	OP##_CC(N, a, b, r);                                                                                           \
	set_reg##N(c, i->r0, r);
#define TO_REG(NAME, OP, N, B)                                                                                         \
	HANDLER(NAME##N)                                                                                               \
	{                                                                                                              \
		REG_BODY(OP, N, B)                                                                                     \
		return XR_OK;                                                                                          \
	}
/* Destination memory. */
#define TO_MEM(NAME, OP, N, B)                                                                                         \
	HANDLER(NAME##N)                                                                                               \
	{                                                                                                              \
		la_t la;                                                                                               \
		u##N a;                                                                                                \
		TRY(op_rmw##N(c, i, &la, &a));                                                                         \
		B(N);                                                                                                  \
		u##N r = OP##_RES(N, a, b);                                                                            \
		TRY(mem_write##N(c, la, stack_acc(i), r));                                                             \
		OP##_CC(N, a, b, r);                                                                                   \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN(NAME##N)                                                                                                 \
	FLAT_HANDLER(NAME, N, FLAT_PTR(N, rmw); u##N a = *m; B(N); u##N r = OP##_RES(N, a, b); *m = r; OP##_CC(N, a, b, r);)
/* Flags only. */
#define CC_BODY(OP, N, A, B)                                                                                           \
	A(N);                                                                                                          \
	B(N);                                                                                                          \
	u##N r = OP##_RES(N, a, b);                                                                                    \
	OP##_CC(N, a, b, r);
#define TO_FLAGS(NAME, OP, N, A, B)                                                                                    \
	HANDLER(NAME##N)                                                                                               \
	{                                                                                                              \
		CC_BODY(OP, N, A, B)                                                                                   \
		return XR_OK;                                                                                          \
	}

#define BINARY_SIZE(op, OP, N)                                                                                         \
	TO_REG(op##_rr, OP, N, B_REG) CHAIN_PURE(op##_rr##N)                                                           \
	TO_REG(op##_ri, OP, N, B_IMM) CHAIN_PURE(op##_ri##N)                                                           \
	TO_REG(op##_rm, OP, N, B_MEM) CHAIN(op##_rm##N)                                                                \
	FLAT_HANDLER(op##_rm, N, REG_BODY(OP, N, B_FLAT))                                                              \
	TO_MEM(op##_mr, OP, N, B_REG)                                                                                  \
	TO_MEM(op##_mi, OP, N, B_IMM)
#define COMPARE_SIZE(op, OP, N)                                                                                        \
	TO_FLAGS(op##_rr, OP, N, A_REG, B_REG) CHAIN_PURE(op##_rr##N)                                                  \
	TO_FLAGS(op##_ri, OP, N, A_REG, B_IMM) CHAIN_PURE(op##_ri##N)                                                  \
	TO_FLAGS(op##_rm, OP, N, A_REG, B_MEM) CHAIN(op##_rm##N)                                                       \
	FLAT_HANDLER(op##_rm, N, CC_BODY(OP, N, A_REG, B_FLAT))                                                        \
	TO_FLAGS(op##_mr, OP, N, A_MEM, B_REG) CHAIN(op##_mr##N)                                                       \
	FLAT_HANDLER(op##_mr, N, CC_BODY(OP, N, A_FLAT, B_REG))                                                        \
	TO_FLAGS(op##_mi, OP, N, A_MEM, B_IMM) CHAIN(op##_mi##N)                                                       \
	FLAT_HANDLER(op##_mi, N, CC_BODY(OP, N, A_FLAT, B_IMM))
#define TWO_FORMS(op)                                                                                                  \
	static const struct form op##_forms[SH_COUNT][4] = {                                                           \
		[SH_RR] = FORM_SIZES(op##_rr), [SH_RI] = FORM_SIZES(op##_ri), [SH_RM] = FLAT_SIZES(op##_rm),           \
		[SH_MR] = FLAT_SIZES(op##_mr), [SH_MI] = FLAT_SIZES(op##_mi),                                          \
	};
#define SIZES(KIND, op, OP) KIND(op, OP, 8) KIND(op, OP, 16) KIND(op, OP, 32) KIND(op, OP, 64)
#define BINARY(op, OP)  SIZES(BINARY_SIZE, op, OP) TWO_FORMS(op)
#define COMPARE(op, OP) SIZES(COMPARE_SIZE, op, OP) TWO_FORMS(op)

BINARY(add, ADD)
BINARY(or, OR)
BINARY(adc, ADC)
BINARY(sbb, SBB)
BINARY(and, AND)
BINARY(sub, SUB)
BINARY(xor, XOR)
COMPARE(cmp, SUB)
COMPARE(test, AND)

/* ---- one operand ---- */

#define INC_RES(N, a)   (u##N)((a) + 1)
#define INC_CC(N, a, r) cc_set(c, CC_INC, N / 8, r, 0, cf_now(c))
#define DEC_RES(N, a)   (u##N)((a) - 1)
#define DEC_CC(N, a, r) cc_set(c, CC_DEC, N / 8, r, 0, cf_now(c))
#define NEG_RES(N, a)   (u##N)(0 - (a))
#define NEG_CC(N, a, r) cc_set(c, CC_SUB, N / 8, r, 0, a)
#define NOT_RES(N, a)   (u##N)~(a)
#define NOT_CC(N, a, r) (void)0

#define UNARY_SIZE(op, OP, N)                                                                                          \
	HANDLER(op##_r##N)                                                                                             \
	{                                                                                                              \
		u##N a = reg##N(c, i->r0), r = OP##_RES(N, a);                                                         \
		OP##_CC(N, a, r);                                                                                      \
		set_reg##N(c, i->r0, r);                                                                               \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN_PURE(op##_r##N)                                                                                          \
	HANDLER(op##_m##N)                                                                                             \
	{                                                                                                              \
		la_t la;                                                                                               \
		u##N a, r;                                                                                             \
		TRY(op_rmw##N(c, i, &la, &a));                                                                         \
		r = OP##_RES(N, a);                                                                                    \
		TRY(mem_write##N(c, la, stack_acc(i), r));                                                             \
		OP##_CC(N, a, r);                                                                                      \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN(op##_m##N)                                                                                               \
	FLAT_HANDLER(op##_m, N, FLAT_PTR(N, rmw); u##N a = *m, r = OP##_RES(N, a); *m = r; OP##_CC(N, a, r);)
#define UNARY(op, OP)                                                                                                  \
	SIZES(UNARY_SIZE, op, OP)                                                                                      \
	static const struct form op##_forms[2][4] = { FORM_SIZES(op##_r), FLAT_SIZES(op##_m) };

UNARY(inc, INC)
UNARY(dec, DEC)
UNARY(neg, NEG)
UNARY(not, NOT)

/* ---- XADD, CMPXCHG ---- */

#define XADD_SIZE(op, OP, N)                                                                                           \
	HANDLER(op##_r##N)                                                                                             \
	{                                                                                                              \
		u##N a = reg##N(c, i->r0), b = reg##N(c, i->r1), r = (u##N)(a + b);                                    \
		cc_set(c, CC_ADD, N / 8, r, a, b);                                                                     \
		set_reg##N(c, i->r1, a);                                                                               \
		set_reg##N(c, i->r0, r);                                                                               \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN_PURE(op##_r##N)                                                                                          \
	HANDLER(op##_m##N)                                                                                             \
	{                                                                                                              \
		la_t la;                                                                                               \
		u##N a, b = reg##N(c, i->r1), r;                                                                       \
		TRY(op_rmw##N(c, i, &la, &a));                                                                         \
		r = (u##N)(a + b);                                                                                     \
		TRY(mem_write##N(c, la, stack_acc(i), r));                                                             \
		cc_set(c, CC_ADD, N / 8, r, a, b);                                                                     \
		set_reg##N(c, i->r1, a);                                                                               \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN(op##_m##N)

/* The destination is always written, with its old value if the comparison fails; then the accumulator changes. A failing
 * compare leaves the upper half of a 32-bit destination register alone. */
#define CMPXCHG_SIZE(op, OP, N)                                                                                        \
	HANDLER(op##_r##N)                                                                                             \
	{                                                                                                              \
		u##N acc = reg##N(c, REG_OFF(REG_RAX)), a = reg##N(c, i->r0), r = (u##N)(acc - a);                     \
		cc_set(c, CC_SUB, N / 8, r, acc, a);                                                                   \
		if (r == 0)                                                                                            \
			set_reg##N(c, i->r0, reg##N(c, i->r1));                                                        \
		else                                                                                                   \
			set_reg##N(c, REG_OFF(REG_RAX), a);                                                            \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN_PURE(op##_r##N)                                                                                          \
	HANDLER(op##_m##N)                                                                                             \
	{                                                                                                              \
		la_t la;                                                                                               \
		u##N acc = reg##N(c, REG_OFF(REG_RAX)), a, r;                                                          \
		TRY(op_rmw##N(c, i, &la, &a));                                                                         \
		r = (u##N)(acc - a);                                                                                   \
		TRY(mem_write##N(c, la, stack_acc(i), r == 0 ? reg##N(c, i->r1) : a));                                 \
		cc_set(c, CC_SUB, N / 8, r, acc, a);                                                                   \
		if (r != 0)                                                                                            \
			set_reg##N(c, REG_OFF(REG_RAX), a);                                                            \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN(op##_m##N)

#define EXCHANGE(op, KIND)                                                                                             \
	SIZES(KIND, op, op)                                                                                            \
	static const struct form op##_forms[2][4] = { FORM_SIZES(op##_r), FORM_SIZES(op##_m) };

EXCHANGE(xadd, XADD_SIZE)
EXCHANGE(cmpxchg, CMPXCHG_SIZE)

/* ---- ADCX, ADOX: a carry chain of their own in one flag ---- */

static inline enum xr add_by_flag(struct cpu *c, const struct insn *i, u32 flag)
{
	u64 a = reg_get(c, i->r0, i->opsz), b, r;

	TRY(src_get(c, i, i->r1, &b));

	u32 f = flags_get(c);
	unsigned cin = (f & flag) != 0;

	r = low_bytes(a + b + cin, i->opsz);
	cc_set_flags(c, (f & FL_ARITH & ~flag) | (r < a || (cin && r == a) ? flag : 0));
	reg_set(c, i->r0, i->opsz, r);
	return XR_OK;
}

HANDLER(adcx)
{
	return add_by_flag(c, i, FL_CF);
}
CHAIN(adcx)

HANDLER(adox)
{
	return add_by_flag(c, i, FL_OF);
}
CHAIN(adox)

/* ---- single flags ---- */

HANDLER(clc)
{
	(void)i;
	cc_set_cf(c, false);
	return XR_OK;
}
CHAIN_PURE(clc)

HANDLER(stc)
{
	(void)i;
	cc_set_cf(c, true);
	return XR_OK;
}
CHAIN_PURE(stc)

HANDLER(cmc)
{
	(void)i;
	cc_set_cf(c, !cc_cf(c));
	return XR_OK;
}
CHAIN_PURE(cmc)

HANDLER(cld)
{
	(void)i;
	c->rflags &= ~(u32)FL_DF;
	return XR_OK;
}
CHAIN_PURE(cld)

HANDLER(std)
{
	(void)i;
	c->rflags |= FL_DF;
	return XR_OK;
}
CHAIN_PURE(std)

HANDLER(salc)
{
	(void)i;
	set_reg8(c, REG_OFF(REG_RAX), cc_cf(c) ? 0xff : 0);
	return XR_OK;
}
CHAIN_PURE(salc)

#define SINGLE(op) static const struct form op##_form = FORM(op);
SINGLE(adcx) SINGLE(adox) SINGLE(clc) SINGLE(stc) SINGLE(cmc) SINGLE(cld) SINGLE(std) SINGLE(salc)

/* clang-format off */
/* Register forms first: they are pure. */
#define PAIR(MN, nm, how, undef, regs, mems) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = ROW_PURE, .undef_flags = undef, .form = #MN " " regs, \
	  .match = match_no_mem, .bind = how, .op = nm##_forms }, \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = ROW_LOCK, .undef_flags = undef, .form = #MN " " mems, \
	  .bind = how, .op = nm##_forms }
#define TWO(MN, nm, undef) PAIR(MN, nm, bind_two, undef, "r, r/imm", "r/m, r/m/imm")
#define ONE(MN, nm)        PAIR(MN, nm, bind_one, 0, "r", "m")
#define FLAG(MN, nm, fl)   { .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = ROW_PURE | (fl), .form = #MN, .bind = bind_plain, .op = &nm##_form }

static const struct insn_row rows[] = {
	TWO(ADD, add, 0), TWO(OR, or, FL_AF), TWO(ADC, adc, 0), TWO(SBB, sbb, 0), TWO(AND, and, FL_AF), TWO(SUB, sub, 0),
	TWO(XOR, xor, FL_AF), TWO(CMP, cmp, 0), TWO(TEST, test, FL_AF),
	ONE(INC, inc), ONE(DEC, dec), ONE(NEG, neg), ONE(NOT, not),
	PAIR(XADD, xadd, bind_one, 0, "r, r", "m, r"), PAIR(CMPXCHG, cmpxchg, bind_one, 0, "r, r", "m, r"),
	{ .mnemonic = ZYDIS_MNEMONIC_ADCX, .feature = FEAT_ADX, .form = "ADCX r, r/m", .bind = bind_sized, .op = &adcx_form },
	{ .mnemonic = ZYDIS_MNEMONIC_ADOX, .feature = FEAT_ADX, .form = "ADOX r, r/m", .bind = bind_sized, .op = &adox_form },
	FLAG(CLC, clc, 0), FLAG(STC, stc, 0), FLAG(CMC, cmc, 0), FLAG(CLD, cld, 0), FLAG(STD, std, 0), FLAG(SALC, salc, ROW_NOT64),
};
/* clang-format on */
const struct row_set exec_alu_rows = {rows, ARRAY_LEN(rows)};
