/* MUL IMUL DIV IDIV, MULX, and the decimal adjustments. */
#include "cpu/state/flags.h"
#include "cpu/exec/flat.h"

#define HANDLER(NAME) static inline enum xr NAME(struct cpu *c, const struct insn *i)

typedef unsigned __int128 u128;
typedef __int128 s128;

/* ---- one operand: AX, DX:AX, EDX:EAX, RDX:RAX <- accumulator * source ---- */

/* SF, ZF, PF are undefined: those of the low half here. */
static void multiply_flags(struct cpu *c, unsigned size, u64 low, bool overflow)
{
	cc_set_co(c, size, low, overflow, overflow);
}

struct product {
	u64 low, high;
	bool overflow; /* the high half is more than the low half's zero or sign extension */
};

/* size and sign are constants wherever these are called. */
static inlined struct product product(u64 a, u64 b, unsigned size, bool sign)
{
	const unsigned nbits = 8 * size;
	u64 p;

	if (size == 8) {
		const u128 wide = sign ? (u128)((s128)(s64)a * (s64)b) : (u128)a * b;
		const u64 low = (u64)wide, high = (u64)(wide >> 64);

		return (struct product){low, high, sign ? wide != (u128)(s128)(s64)low : high != 0};
	}
	p = sign ? (u64)(sign_extend(a, nbits) * sign_extend(b, nbits)) : a * b;
	return (struct product){low_bytes(p, size), low_bytes(p >> nbits, size),
	                        sign ? (s64)p != sign_extend(p, nbits) : p >> nbits != 0};
}

static inlined enum xr multiply(struct cpu *c, unsigned size, u64 b, bool sign)
{
	const struct product p = product(reg_get(c, REG_OFF(REG_RAX), size), b, size, sign);

	if (size == 1) {
		set_reg16(c, REG_OFF(REG_RAX), (u16)(p.low | p.high << 8));
	} else {
		reg_set(c, REG_OFF(REG_RAX), size, p.low);
		reg_set(c, REG_OFF(REG_RDX), size, p.high);
	}
	multiply_flags(c, size, p.low, p.overflow);
	return XR_OK;
}

static inlined enum xr multiply_mem(struct cpu *c, const struct insn *i, unsigned size, bool sign)
{
	u64 b;

	TRY(op_load(c, i, size, &b));
	return multiply(c, size, b, sign);
}

#define WIDE_FORMS(op, N, SIGN)                                                                                        \
	HANDLER(op##_r##N) { return multiply(c, N / 8, reg_get(c, i->r0, N / 8), SIGN); }                              \
	CHAIN_PURE(op##_r##N)                                                                                          \
	HANDLER(op##_m##N) { return multiply_mem(c, i, N / 8, SIGN); }                                                 \
	CHAIN(op##_m##N)
#define WIDE(op, SIGN)                                                                                                 \
	WIDE_FORMS(op, 8, SIGN) WIDE_FORMS(op, 16, SIGN) WIDE_FORMS(op, 32, SIGN) WIDE_FORMS(op, 64, SIGN)             \
	static const struct form op##_forms[2][4] = { FORM_SIZES(op##_r), FORM_SIZES(op##_m) };

WIDE(mul, false)
WIDE(imul, true)

/* ---- two and three operands ---- */

static inlined enum xr imul_to_reg(struct cpu *c, const struct insn *i, unsigned size, u64 a, u64 b)
{
	const struct product p = product(a, b, size, true);

	multiply_flags(c, size, p.low, p.overflow);
	reg_set(c, i->r0, size, p.low);
	return XR_OK;
}

/* The other factor: the register or the immediate. */
static inlined enum xr imul_mem(struct cpu *c, const struct insn *i, unsigned size, u64 other)
{
	u64 a;

	TRY(op_load(c, i, size, &a));
	return imul_to_reg(c, i, size, a, other);
}

static inlined bool imul_mem_flat(struct cpu *c, const struct insn *i, unsigned size, u64 other)
{
	const void *m = flat_read(c, i, size);

	if (unlikely(!m))
		return false;
	(void)!imul_to_reg(c, i, size, any_get(m, size), other);
	return true;
}

#define REG0(N) reg_get(c, i->r0, N / 8)
#define IMUL2_SIZE(N)                                                                                                  \
	HANDLER(imul2_rr##N) { return imul_to_reg(c, i, N / 8, REG0(N), reg_get(c, i->r1, N / 8)); }                   \
	CHAIN_PURE(imul2_rr##N)                                                                                        \
	HANDLER(imul2_rm##N) { return imul_mem(c, i, N / 8, REG0(N)); }                                                \
	CHAIN(imul2_rm##N)                                                                                             \
	FLAT(imul2_rm##N, imul_mem_flat(c, i, N / 8, REG0(N)))                                                         \
	HANDLER(imul3_r##N) { return imul_to_reg(c, i, N / 8, reg_get(c, i->r1, N / 8), i->imm); }                     \
	CHAIN_PURE(imul3_r##N)                                                                                         \
	HANDLER(imul3_m##N) { return imul_mem(c, i, N / 8, i->imm); }                                                  \
	CHAIN(imul3_m##N)                                                                                              \
	FLAT(imul3_m##N, imul_mem_flat(c, i, N / 8, i->imm))
IMUL2_SIZE(16)
IMUL2_SIZE(32)
IMUL2_SIZE(64)

/* [three operands][memory][size]; there is no 8-bit form. */
#define IMUL_SIZES(F, NAME) { { NULL, NULL, NULL }, F(NAME##16), F(NAME##32), F(NAME##64) }
static const struct form imul23_forms[2][2][4] = {
	{ IMUL_SIZES(FORM, imul2_rr), IMUL_SIZES(FLAT_FORM, imul2_rm) },
	{ IMUL_SIZES(FORM, imul3_r), IMUL_SIZES(FLAT_FORM, imul3_m) },
};

static void bind_imul23(struct insn *i, const struct dec *d)
{
	i->opsz = (u8)(d->op[0].size / 8);
	use_form(i, &imul23_forms[is_imm(d, 2)][is_mem(d, 1)][size_index(d->op[0].size)]);
}

static bool match_imul1(const struct dec *d)
{
	return d->zi->operand_count_visible == 1;
}

static bool match_imul1_reg(const struct dec *d)
{
	return match_imul1(d) && !is_mem(d, 0);
}

/* MULX: high half, low half <- rDX * source; no flags. The high half wins if both are one register. */
HANDLER(mulx)
{
	u64 b;

	TRY(src_get(c, i, i->r2, &b));
	if (i->opsz == 8) {
		u128 p = (u128)reg64(c, REG_OFF(REG_RDX)) * b;

		set_reg64(c, i->r1, (u64)p);
		set_reg64(c, i->r0, (u64)(p >> 64));
	} else {
		u64 p = (u64)reg32(c, REG_OFF(REG_RDX)) * b;

		set_reg32(c, i->r1, (u32)p);
		set_reg32(c, i->r0, (u32)(p >> 32));
	}
	return XR_OK;
}
CHAIN(mulx)

/* ---- DIV, IDIV: #DE for a zero divisor or a quotient that does not fit; flags keep their values ---- */

static enum xr fault_de(struct cpu *c)
{
	return cpu_fault(c, EX_DE, 0);
}

/* 8-bit operands divide AX into AL and AH. */
static void put_quotient(struct cpu *c, unsigned size, u64 q, u64 r)
{
	if (size == 1) {
		set_reg16(c, REG_OFF(REG_RAX), (u16)((u8)q | (r & 0xff) << 8));
		return;
	}
	reg_set(c, REG_OFF(REG_RAX), size, q);
	reg_set(c, REG_OFF(REG_RDX), size, r);
}

static inlined u64 magnitude(u64 v, unsigned size, bool negative)
{
	return low_bytes(negative ? 0 - v : v, size);
}

/* Below, sizes and signs are constants wherever a function is called. Signed: by magnitudes, for the most negative
 * dividend has no signed quotient by -1. */

/* 8, 16 and 32 bits: the dividend fits into 64. */
static inlined enum xr divide_narrow(struct cpu *c, unsigned size, u64 b, bool sign)
{
	const unsigned nbits = 8 * size;
	const u64 low = reg_get(c, REG_OFF(REG_RAX), size), high = reg_get(c, REG_OFF(REG_RDX), size);
	const u64 a = size == 1 ? reg16(c, REG_OFF(REG_RAX)) : high << nbits | low;
	const bool an = sign && sign_extend(a, 2 * nbits) < 0, bn = sign && sign_extend(b, nbits) < 0;
	const u64 ma = magnitude(a, 2 * size, an), mb = magnitude(b, size, bn);
	const u64 limit = sign ? (1ull << (nbits - 1)) - (an == bn) : low_bytes(~0ull, size);
	u64 q, r;

	if (b == 0)
		return fault_de(c);
	q = ma / mb;
	r = ma % mb;
	if (q > limit)
		return fault_de(c);
	put_quotient(c, size, magnitude(q, size, an != bn), magnitude(r, size, an));
	return XR_OK;
}

static inlined enum xr divide_64(struct cpu *c, u64 b, bool sign)
{
	const u64 low = reg64(c, REG_OFF(REG_RAX)), high = reg64(c, REG_OFF(REG_RDX));
	const u128 a = (u128)high << 64 | low;
	const bool an = sign && (s64)high < 0, bn = sign && (s64)b < 0;
	const u128 ma = an ? 0 - a : a;
	const u64 mb = bn ? 0 - b : b;
	const u64 limit = sign ? BIT(63) - (an == bn) : ~0ull;
	u128 q;
	u64 r;

	if (b == 0 || (u64)(ma >> 64) >= mb) /* more than 64 bits */
		return fault_de(c);
	q = ma / mb;
	r = (u64)(ma % mb);
	if (q > limit)
		return fault_de(c);
	put_quotient(c, 8, an != bn ? 0 - (u64)q : (u64)q, an ? 0 - r : r);
	return XR_OK;
}

static inlined enum xr divide(struct cpu *c, unsigned size, u64 b, bool sign)
{
	return size == 8 ? divide_64(c, b, sign) : divide_narrow(c, size, b, sign);
}

static inlined enum xr divide_mem(struct cpu *c, const struct insn *i, unsigned size, bool sign)
{
	u64 b;

	TRY(op_load(c, i, size, &b));
	return divide(c, size, b, sign);
}

#define DIVIDE_FORMS(op, N, SIGN)                                                                                      \
	HANDLER(op##_r##N) { return divide(c, N / 8, reg_get(c, i->r0, N / 8), SIGN); }                                \
	CHAIN(op##_r##N)                                                                                               \
	HANDLER(op##_m##N) { return divide_mem(c, i, N / 8, SIGN); }                                                   \
	CHAIN(op##_m##N)
#define DIVIDE(op, SIGN)                                                                                               \
	DIVIDE_FORMS(op, 8, SIGN) DIVIDE_FORMS(op, 16, SIGN) DIVIDE_FORMS(op, 32, SIGN) DIVIDE_FORMS(op, 64, SIGN)     \
	static const struct form op##_forms[2][4] = { FORM_SIZES(op##_r), FORM_SIZES(op##_m) };

DIVIDE(div, false)
DIVIDE(idiv, true)

/* ---- decimal adjustments ---- */

static u32 szp(u8 v)
{
	return (v == 0 ? FL_ZF : 0u) | (v & 0x80 ? FL_SF : 0u) | (__builtin_parity(v) ? 0u : FL_PF);
}

HANDLER(aam)
{
	u8 base = (u8)i->imm, al = reg8(c, REG_OFF(REG_RAX));

	if (base == 0)
		return fault_de(c);
	set_reg16(c, REG_OFF(REG_RAX), (u16)((al / base) << 8 | al % base));
	cc_set_flags(c, szp(al % base));
	return XR_OK;
}

HANDLER(aad)
{
	u8 al = reg8(c, REG_OFF(REG_RAX)), ah = reg8(c, REG_OFF(REG_RAX) + 1), r = (u8)(al + ah * (u8)i->imm);

	set_reg16(c, REG_OFF(REG_RAX), r);
	cc_set_flags(c, szp(r));
	return XR_OK;
}

/* AAA and AAS adjust AX as a whole; they differ in direction only. */
static enum xr ascii_adjust(struct cpu *c, int sign)
{
	u32 f = flags_get(c);
	u16 ax = reg16(c, REG_OFF(REG_RAX));
	bool adjust = (ax & 15) > 9 || (f & FL_AF);

	if (adjust)
		ax = (u16)(ax + sign * 0x106);
	set_reg16(c, REG_OFF(REG_RAX), ax & 0xff0f);
	cc_set_flags(c, (adjust ? FL_AF | FL_CF : 0u) | szp(ax & 15));
	return XR_OK;
}

HANDLER(aaa)
{
	(void)i;
	return ascii_adjust(c, 1);
}

HANDLER(aas)
{
	(void)i;
	return ascii_adjust(c, -1);
}

static enum xr decimal_adjust(struct cpu *c, int sign)
{
	u32 f = flags_get(c), out = 0;
	u8 old = reg8(c, REG_OFF(REG_RAX)), al = old;

	if ((old & 15) > 9 || (f & FL_AF)) {
		al = (u8)(al + sign * 6);
		out |= FL_AF;
		if ((f & FL_CF) || (sign > 0 ? old > 0xf9 : old < 6))
			out |= FL_CF;
	}
	if (old > 0x99 || (f & FL_CF)) {
		al = (u8)(al + sign * 0x60);
		out |= FL_CF;
	} else if (sign > 0) {
		out &= ~(u32)FL_CF; /* "DAA": CF is cleared on this path, "DAS" leaves it */
	}
	set_reg8(c, REG_OFF(REG_RAX), al);
	cc_set_flags(c, out | szp(al));
	return XR_OK;
}

HANDLER(daa)
{
	(void)i;
	return decimal_adjust(c, 1);
}

HANDLER(das)
{
	(void)i;
	return decimal_adjust(c, -1);
}

static const struct form mulx_form = FORM(mulx);

/* clang-format off */
#define UNDEF_MUL (FL_SF | FL_ZF | FL_AF | FL_PF)
#define ONE(MN, nm, fl, undef, regs, mems, m_reg, m_any) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = fl, .undef_flags = undef, .form = #MN " " regs, .match = m_reg, \
	  .bind = bind_one, .op = nm##_forms }, \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .undef_flags = undef, .form = #MN " " mems, .match = m_any, \
	  .bind = bind_one, .op = nm##_forms }
#define BCD(MN, nm, undef) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = ROW_NOT64, .undef_flags = undef, .form = #MN, .fn = nm }

static const struct insn_row rows[] = {
	ONE(MUL, mul, ROW_PURE, UNDEF_MUL, "r", "m", match_no_mem, NULL),
	ONE(IMUL, imul, ROW_PURE, UNDEF_MUL, "r", "m", match_imul1_reg, match_imul1),
	{ .mnemonic = ZYDIS_MNEMONIC_IMUL, .flags = ROW_PURE, .undef_flags = UNDEF_MUL, .form = "IMUL r, r [, imm]",
	  .match = match_no_mem, .bind = bind_imul23 },
	{ .mnemonic = ZYDIS_MNEMONIC_IMUL, .undef_flags = UNDEF_MUL, .form = "IMUL r, m [, imm]", .bind = bind_imul23 },
	ONE(DIV, div, 0, FL_ARITH, "r", "m", match_no_mem, NULL),
	ONE(IDIV, idiv, 0, FL_ARITH, "r", "m", match_no_mem, NULL),
	{ .mnemonic = ZYDIS_MNEMONIC_MULX, .feature = FEAT_BMI2, .form = "MULX r, r, r/m", .match = match_pe,
	  .bind = bind_sized, .op = &mulx_form },
	BCD(AAA, aaa, FL_OF | FL_SF | FL_ZF | FL_PF), BCD(AAS, aas, FL_OF | FL_SF | FL_ZF | FL_PF),
	BCD(AAM, aam, FL_OF | FL_AF | FL_CF), BCD(AAD, aad, FL_OF | FL_AF | FL_CF), BCD(DAA, daa, FL_OF), BCD(DAS, das, FL_OF),
};
/* clang-format on */
const struct row_set exec_muldiv_rows = {rows, ARRAY_LEN(rows)};
