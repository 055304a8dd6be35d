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

#define MUL_SIZE(N, WIDE)                                                                                              \
	static inline void mul_by##N(struct cpu *c, u##N b)                                                            \
	{                                                                                                              \
		WIDE p = (WIDE)((WIDE)reg##N(c, REG_OFF(REG_RAX)) * b);                                                \
		u##N high = (u##N)(p >> N);                                                                            \
		if (N == 8) {                                                                                          \
			set_reg16(c, REG_OFF(REG_RAX), (u16)p);                                                        \
		} else {                                                                                               \
			set_reg##N(c, REG_OFF(REG_RAX), (u##N)p);                                                      \
			set_reg##N(c, REG_OFF(REG_RDX), high);                                                         \
		}                                                                                                      \
		multiply_flags(c, N / 8, (u##N)p, high != 0);                                                          \
	}
#define IMUL_SIZE(N, WIDE)                                                                                             \
	static inline void imul_by##N(struct cpu *c, u##N b)                                                           \
	{                                                                                                              \
		WIDE p = (WIDE)((WIDE)(s##N)reg##N(c, REG_OFF(REG_RAX)) * (s##N)b);                                    \
		if (N == 8) {                                                                                          \
			set_reg16(c, REG_OFF(REG_RAX), (u16)p);                                                        \
		} else {                                                                                               \
			set_reg##N(c, REG_OFF(REG_RAX), (u##N)p);                                                      \
			set_reg##N(c, REG_OFF(REG_RDX), (u##N)(p >> N));                                               \
		}                                                                                                      \
		multiply_flags(c, N / 8, (u##N)p, p != (s##N)p);                                                       \
	}
#define WIDE_FORMS(op, N)                                                                                              \
	HANDLER(op##_r##N)                                                                                             \
	{                                                                                                              \
		op##_by##N(c, reg##N(c, i->r0));                                                                       \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN_PURE(op##_r##N)                                                                                          \
	HANDLER(op##_m##N)                                                                                             \
	{                                                                                                              \
		u##N b;                                                                                                \
		TRY(op_read##N(c, i, &b));                                                                             \
		op##_by##N(c, b);                                                                                      \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN(op##_m##N)
#define WIDE(op)                                                                                                       \
	WIDE_FORMS(op, 8) WIDE_FORMS(op, 16) WIDE_FORMS(op, 32) WIDE_FORMS(op, 64)                                     \
	static const struct form op##_forms[2][4] = { FORM_SIZES(op##_r), FORM_SIZES(op##_m) };

MUL_SIZE(8, u16) MUL_SIZE(16, u32) MUL_SIZE(32, u64) MUL_SIZE(64, u128)
IMUL_SIZE(8, s16) IMUL_SIZE(16, s32) IMUL_SIZE(32, s64) IMUL_SIZE(64, s128)
WIDE(mul)
WIDE(imul)

/* ---- two and three operands ---- */

#define IMUL2_BODY(N, A, B)                                                                                            \
	imul##N##_wide p = (imul##N##_wide)((imul##N##_wide)(s##N)(A) * (s##N)(B));                                    \
	multiply_flags(c, N / 8, (u##N)p, p != (s##N)p);                                                               \
	set_reg##N(c, i->r0, (u##N)p);
typedef s32 imul16_wide;
typedef s64 imul32_wide;
typedef s128 imul64_wide;

#define IMUL2_SIZE(N)                                                                                                  \
	HANDLER(imul2_rr##N)                                                                                           \
	{                                                                                                              \
		IMUL2_BODY(N, reg##N(c, i->r0), reg##N(c, i->r1))                                                      \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN_PURE(imul2_rr##N)                                                                                        \
	HANDLER(imul2_rm##N)                                                                                           \
	{                                                                                                              \
		u##N b;                                                                                                \
		TRY(op_read##N(c, i, &b));                                                                             \
		IMUL2_BODY(N, reg##N(c, i->r0), b)                                                                     \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN(imul2_rm##N)                                                                                             \
	FLAT_HANDLER(imul2_rm, N, FLAT_PTR(N, read); IMUL2_BODY(N, reg##N(c, i->r0), *m))                              \
	HANDLER(imul3_r##N)                                                                                            \
	{                                                                                                              \
		IMUL2_BODY(N, reg##N(c, i->r1), i->imm)                                                                \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN_PURE(imul3_r##N)                                                                                         \
	HANDLER(imul3_m##N)                                                                                            \
	{                                                                                                              \
		u##N a;                                                                                                \
		TRY(op_read##N(c, i, &a));                                                                             \
		IMUL2_BODY(N, a, i->imm)                                                                               \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN(imul3_m##N)                                                                                              \
	FLAT_HANDLER(imul3_m, N, FLAT_PTR(N, read); IMUL2_BODY(N, *m, i->imm))
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

#define DIV_SIZE(N, WIDE, SWIDE)                                                                                       \
	static inline WIDE dividend##N(struct cpu *c)                                                                  \
	{                                                                                                              \
		if (N == 8)                                                                                            \
			return reg16(c, REG_OFF(REG_RAX));                                                             \
		return (WIDE)((WIDE)((WIDE)reg##N(c, REG_OFF(REG_RDX)) << (N / 2) << (N / 2)) | reg##N(c, REG_OFF(REG_RAX))); \
	}                                                                                                              \
	static inline enum xr div_by##N(struct cpu *c, u##N b)                                                         \
	{                                                                                                              \
		WIDE a = dividend##N(c);                                                                               \
		if (b == 0 || (u##N)(a >> N) >= b)                                                                     \
			return fault_de(c);                                                                            \
		put_quotient(c, N / 8, (u64)(a / b), (u64)(a % b));                                                    \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	/* By magnitudes: the most negative dividend has no signed quotient by -1. */                                  \
	static inline enum xr idiv_by##N(struct cpu *c, u##N b)                                                        \
	{                                                                                                              \
		WIDE a = dividend##N(c), q, r;                                                                         \
		bool an = (SWIDE)a < 0, bn = (s##N)b < 0;                                                              \
		u##N mb = (u##N)(bn ? 0 - b : b);                                                                      \
		WIDE ma = (WIDE)(an ? 0 - a : a);                                                                      \
		if (b == 0)                                                                                            \
			return fault_de(c);                                                                            \
		q = ma / mb;                                                                                           \
		r = ma % mb;                                                                                           \
		if (q > (WIDE)((WIDE)1 << (N - 1)) - (an == bn))                                                       \
			return fault_de(c);                                                                            \
		put_quotient(c, N / 8, (u##N)(an != bn ? 0 - q : q), (u##N)(an ? 0 - r : r));                          \
		return XR_OK;                                                                                          \
	}
#define DIVIDE_FORMS(op, N)                                                                                            \
	HANDLER(op##_r##N)                                                                                             \
	{                                                                                                              \
		return op##_by##N(c, reg##N(c, i->r0));                                                                \
	}                                                                                                              \
	CHAIN(op##_r##N)                                                                                               \
	HANDLER(op##_m##N)                                                                                             \
	{                                                                                                              \
		u##N b;                                                                                                \
		TRY(op_read##N(c, i, &b));                                                                             \
		return op##_by##N(c, b);                                                                               \
	}                                                                                                              \
	CHAIN(op##_m##N)
#define DIVIDE(op)                                                                                                     \
	DIVIDE_FORMS(op, 8) DIVIDE_FORMS(op, 16) DIVIDE_FORMS(op, 32) DIVIDE_FORMS(op, 64)                             \
	static const struct form op##_forms[2][4] = { FORM_SIZES(op##_r), FORM_SIZES(op##_m) };

DIV_SIZE(8, u16, s16)
DIV_SIZE(16, u32, s32)
DIV_SIZE(32, u64, s64)
DIV_SIZE(64, u128, s128)
DIVIDE(div)
DIVIDE(idiv)

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
