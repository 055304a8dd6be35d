/* ADD OR ADC SBB AND SUB XOR CMP TEST, INC DEC NEG NOT, XADD CMPXCHG, ADCX ADOX, and the instructions on single flags. */
#include "cpu/state/flags.h"
#include "cpu/exec/flat.h"

#define HANDLER(NAME) static inline enum xr NAME(struct cpu *c, const struct insn *i)

/*
 * Each operation is a result and a flag rule, of operands and results that are zero-extended. The flags are set after the
 * last step that can fault; the result may take CF in, which is still the old one then. Operations and sizes are constants
 * wherever these are called.
 */
enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR };

static inlined u64 alu_result(struct cpu *c, enum alu op, unsigned size, u64 a, u64 b)
{
	switch (op) {
	case ALU_ADD: return low_bytes(a + b, size);
	case ALU_SUB: return low_bytes(a - b, size);
	case ALU_ADC: return low_bytes(a + b + cf_now(c), size);
	case ALU_SBB: return low_bytes(a - b - cf_now(c), size);
	case ALU_AND: return a & b;
	case ALU_OR: return a | b;
	default: return a ^ b;
	}
}

static inlined void alu_flags(struct cpu *c, enum alu op, unsigned size, u64 a, u64 b, u64 r)
{
	switch (op) {
	case ALU_ADD: cc_set(c, CC_ADD, size, r, a, b); break;
	case ALU_SUB: cc_set(c, CC_SUB, size, r, a, b); break;
	case ALU_ADC: cc_set(c, CC_COUT, size, r, low_bytes((a & b) | ((a | b) & ~r), size), 0); break;
	case ALU_SBB: cc_set(c, CC_COUT, size, r, low_bytes((~a & b) | ((~a | b) & r), size), 0); break;
	default:
		c->cc_op = CC_LOGIC;
		c->cc_size = (u8)size;
		c->cc_res = (u64)sign_extend(r, size * 8);
	}
}

/* Flags only. */
static inlined enum xr alu_compare(struct cpu *c, enum alu op, unsigned size, u64 a, u64 b)
{
	alu_flags(c, op, size, a, b, alu_result(c, op, size, a, b));
	return XR_OK;
}

/* Destination register. */
static inlined enum xr alu_to_reg(struct cpu *c, const struct insn *i, enum alu op, unsigned size, u64 b)
{
	const u64 a = reg_get(c, i->r0, size), r = alu_result(c, op, size, a, b);

	alu_flags(c, op, size, a, b, r);
	reg_set(c, i->r0, size, r);
	return XR_OK;
}

/* Destination memory. */
static inlined enum xr alu_to_mem(struct cpu *c, const struct insn *i, enum alu op, unsigned size, u64 b)
{
	la_t la;
	u64 a, r;

	TRY(op_load_rmw(c, i, size, &la, &a));
	r = alu_result(c, op, size, a, b);
	TRY(mem_store(c, la, size, stack_acc(i), r));
	alu_flags(c, op, size, a, b, r);
	return XR_OK;
}

static inlined bool alu_to_mem_flat(struct cpu *c, const struct insn *i, enum alu op, unsigned size, u64 b)
{
	void *m = flat_rmw(c, i, size);
	u64 a, r;

	if (unlikely(!m))
		return false;
	a = any_get(m, size);
	r = alu_result(c, op, size, a, b);
	any_set(m, size, r);
	alu_flags(c, op, size, a, b, r);
	return true;
}

/* The second operand in memory. */
static inlined enum xr alu_from_mem(struct cpu *c, const struct insn *i, enum alu op, unsigned size, bool compare)
{
	u64 b;

	TRY(op_load(c, i, size, &b));
	return compare ? alu_compare(c, op, size, reg_get(c, i->r0, size), b) : alu_to_reg(c, i, op, size, b);
}

static inlined bool alu_from_mem_flat(struct cpu *c, const struct insn *i, enum alu op, unsigned size, bool compare)
{
	const void *m = flat_read(c, i, size);

	if (unlikely(!m))
		return false;
	(void)!(compare ? alu_compare(c, op, size, reg_get(c, i->r0, size), any_get(m, size))
	                : alu_to_reg(c, i, op, size, any_get(m, size)));
	return true;
}

/* The first operand in memory, flags only. */
static inlined enum xr alu_compare_mem(struct cpu *c, const struct insn *i, enum alu op, unsigned size, u64 b)
{
	u64 a;

	TRY(op_load(c, i, size, &a));
	return alu_compare(c, op, size, a, b);
}

static inlined bool alu_compare_mem_flat(struct cpu *c, const struct insn *i, enum alu op, unsigned size, u64 b)
{
	const void *m = flat_read(c, i, size);

	if (unlikely(!m))
		return false;
	(void)!alu_compare(c, op, size, any_get(m, size), b);
	return true;
}

/* Handlers are named by their operands: register, immediate, memory. */
#define REG1(N) reg_get(c, i->r1, N / 8)
#define IMM(N)  low_bytes(i->imm, N / 8)
#define BINARY_SIZE(op, OP, N)                                                                                         \
	HANDLER(op##_rr##N) { return alu_to_reg(c, i, OP, N / 8, REG1(N)); }                                           \
	CHAIN_PURE(op##_rr##N)                                                                                         \
	HANDLER(op##_ri##N) { return alu_to_reg(c, i, OP, N / 8, IMM(N)); }                                            \
	CHAIN_PURE(op##_ri##N)                                                                                         \
	HANDLER(op##_rm##N) { return alu_from_mem(c, i, OP, N / 8, false); }                                           \
	CHAIN(op##_rm##N)                                                                                              \
	FLAT(op##_rm##N, alu_from_mem_flat(c, i, OP, N / 8, false))                                                    \
	HANDLER(op##_mr##N) { return alu_to_mem(c, i, OP, N / 8, REG1(N)); }                                           \
	CHAIN(op##_mr##N)                                                                                              \
	FLAT(op##_mr##N, alu_to_mem_flat(c, i, OP, N / 8, REG1(N)))                                                    \
	HANDLER(op##_mi##N) { return alu_to_mem(c, i, OP, N / 8, IMM(N)); }                                            \
	CHAIN(op##_mi##N)                                                                                              \
	FLAT(op##_mi##N, alu_to_mem_flat(c, i, OP, N / 8, IMM(N)))
#define COMPARE_SIZE(op, OP, N)                                                                                        \
	HANDLER(op##_rr##N) { return alu_compare(c, OP, N / 8, reg_get(c, i->r0, N / 8), REG1(N)); }                   \
	CHAIN_PURE(op##_rr##N)                                                                                         \
	HANDLER(op##_ri##N) { return alu_compare(c, OP, N / 8, reg_get(c, i->r0, N / 8), IMM(N)); }                    \
	CHAIN_PURE(op##_ri##N)                                                                                         \
	HANDLER(op##_rm##N) { return alu_from_mem(c, i, OP, N / 8, true); }                                            \
	CHAIN(op##_rm##N)                                                                                              \
	FLAT(op##_rm##N, alu_from_mem_flat(c, i, OP, N / 8, true))                                                     \
	HANDLER(op##_mr##N) { return alu_compare_mem(c, i, OP, N / 8, REG1(N)); }                                      \
	CHAIN(op##_mr##N)                                                                                              \
	FLAT(op##_mr##N, alu_compare_mem_flat(c, i, OP, N / 8, REG1(N)))                                               \
	HANDLER(op##_mi##N) { return alu_compare_mem(c, i, OP, N / 8, IMM(N)); }                                       \
	CHAIN(op##_mi##N)                                                                                              \
	FLAT(op##_mi##N, alu_compare_mem_flat(c, i, OP, N / 8, IMM(N)))
#define TWO_FORMS(op)                                                                                                  \
	static const struct form op##_forms[SH_COUNT][4] = {                                                           \
		[SH_RR] = FORM_SIZES(op##_rr), [SH_RI] = FORM_SIZES(op##_ri), [SH_RM] = FLAT_SIZES(op##_rm),           \
		[SH_MR] = FLAT_SIZES(op##_mr), [SH_MI] = FLAT_SIZES(op##_mi),                                          \
	};
#define SIZES(KIND, op, OP) KIND(op, OP, 8) KIND(op, OP, 16) KIND(op, OP, 32) KIND(op, OP, 64)
#define BINARY(op, OP)  SIZES(BINARY_SIZE, op, OP) TWO_FORMS(op)
#define COMPARE(op, OP) SIZES(COMPARE_SIZE, op, OP) TWO_FORMS(op)

BINARY(add, ALU_ADD)
BINARY(or, ALU_OR)
BINARY(adc, ALU_ADC)
BINARY(sbb, ALU_SBB)
BINARY(and, ALU_AND)
BINARY(sub, ALU_SUB)
BINARY(xor, ALU_XOR)
COMPARE(cmp, ALU_SUB)
COMPARE(test, ALU_AND)

/* ---- one operand ---- */

enum unary { ALU_INC, ALU_DEC, ALU_NEG, ALU_NOT };

static inlined u64 unary_result(enum unary op, unsigned size, u64 a)
{
	return low_bytes(op == ALU_INC ? a + 1 : op == ALU_DEC ? a - 1 : op == ALU_NEG ? 0 - a : ~a, size);
}

static inlined void unary_flags(struct cpu *c, enum unary op, unsigned size, u64 a, u64 r)
{
	if (op == ALU_INC)
		cc_set(c, CC_INC, size, r, 0, cf_now(c));
	else if (op == ALU_DEC)
		cc_set(c, CC_DEC, size, r, 0, cf_now(c));
	else if (op == ALU_NEG)
		cc_set(c, CC_SUB, size, r, 0, a);
}

static inlined enum xr unary_reg(struct cpu *c, const struct insn *i, enum unary op, unsigned size)
{
	const u64 a = reg_get(c, i->r0, size), r = unary_result(op, size, a);

	unary_flags(c, op, size, a, r);
	reg_set(c, i->r0, size, r);
	return XR_OK;
}

static inlined enum xr unary_mem(struct cpu *c, const struct insn *i, enum unary op, unsigned size)
{
	la_t la;
	u64 a, r;

	TRY(op_load_rmw(c, i, size, &la, &a));
	r = unary_result(op, size, a);
	TRY(mem_store(c, la, size, stack_acc(i), r));
	unary_flags(c, op, size, a, r);
	return XR_OK;
}

static inlined bool unary_mem_flat(struct cpu *c, const struct insn *i, enum unary op, unsigned size)
{
	void *m = flat_rmw(c, i, size);
	u64 a, r;

	if (unlikely(!m))
		return false;
	a = any_get(m, size);
	r = unary_result(op, size, a);
	any_set(m, size, r);
	unary_flags(c, op, size, a, r);
	return true;
}

#define UNARY_SIZE(op, OP, N)                                                                                          \
	HANDLER(op##_r##N) { return unary_reg(c, i, OP, N / 8); }                                                      \
	CHAIN_PURE(op##_r##N)                                                                                          \
	HANDLER(op##_m##N) { return unary_mem(c, i, OP, N / 8); }                                                      \
	CHAIN(op##_m##N)                                                                                               \
	FLAT(op##_m##N, unary_mem_flat(c, i, OP, N / 8))
#define UNARY(op, OP)                                                                                                  \
	SIZES(UNARY_SIZE, op, OP)                                                                                      \
	static const struct form op##_forms[2][4] = { FORM_SIZES(op##_r), FLAT_SIZES(op##_m) };

UNARY(inc, ALU_INC)
UNARY(dec, ALU_DEC)
UNARY(neg, ALU_NEG)
UNARY(not, ALU_NOT)

/* ---- XADD, CMPXCHG ---- */

static inlined enum xr xadd_reg(struct cpu *c, const struct insn *i, unsigned size)
{
	const u64 a = reg_get(c, i->r0, size), b = reg_get(c, i->r1, size), r = low_bytes(a + b, size);

	cc_set(c, CC_ADD, size, r, a, b);
	reg_set(c, i->r1, size, a);
	reg_set(c, i->r0, size, r);
	return XR_OK;
}

static inlined enum xr xadd_mem(struct cpu *c, const struct insn *i, unsigned size)
{
	const u64 b = reg_get(c, i->r1, size);
	la_t la;
	u64 a, r;

	TRY(op_load_rmw(c, i, size, &la, &a));
	r = low_bytes(a + b, size);
	TRY(mem_store(c, la, size, stack_acc(i), r));
	cc_set(c, CC_ADD, size, r, a, b);
	reg_set(c, i->r1, size, a);
	return XR_OK;
}

/* The destination is always written, with its old value if the comparison fails; then the accumulator changes. A failing
 * compare leaves the upper half of a 32-bit destination register alone. */
static inlined enum xr cmpxchg_reg(struct cpu *c, const struct insn *i, unsigned size)
{
	const u64 acc = reg_get(c, REG_OFF(REG_RAX), size), a = reg_get(c, i->r0, size);

	cc_set(c, CC_SUB, size, low_bytes(acc - a, size), acc, a);
	if (acc == a)
		reg_set(c, i->r0, size, reg_get(c, i->r1, size));
	else
		reg_set(c, REG_OFF(REG_RAX), size, a);
	return XR_OK;
}

static inlined enum xr cmpxchg_mem(struct cpu *c, const struct insn *i, unsigned size)
{
	const u64 acc = reg_get(c, REG_OFF(REG_RAX), size);
	la_t la;
	u64 a;

	TRY(op_load_rmw(c, i, size, &la, &a));
	TRY(mem_store(c, la, size, stack_acc(i), acc == a ? reg_get(c, i->r1, size) : a));
	cc_set(c, CC_SUB, size, low_bytes(acc - a, size), acc, a);
	if (acc != a)
		reg_set(c, REG_OFF(REG_RAX), size, a);
	return XR_OK;
}

#define EXCHANGE_SIZE(op, OP, N)                                                                                       \
	HANDLER(op##_r##N) { return op##_reg(c, i, N / 8); }                                                           \
	CHAIN_PURE(op##_r##N)                                                                                          \
	HANDLER(op##_m##N) { return op##_mem(c, i, N / 8); }                                                           \
	CHAIN(op##_m##N)
#define EXCHANGE(op)                                                                                                   \
	SIZES(EXCHANGE_SIZE, op, op)                                                                                   \
	static const struct form op##_forms[2][4] = { FORM_SIZES(op##_r), FORM_SIZES(op##_m) };

EXCHANGE(xadd)
EXCHANGE(cmpxchg)

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
