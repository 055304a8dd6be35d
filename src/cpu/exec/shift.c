/* SHL SHR SAR, ROL ROR RCL RCR, SHLD SHRD, and BMI2's shifts without flags. */
#include "cpu/state/flags.h"
#include "cpu/exec/flat.h"

#define HANDLER(NAME) static inline enum xr NAME(struct cpu *c, const struct insn *i)

/* Counts are taken modulo 32, or 64 for 64-bit operands. */
#define COUNT_MASK(N) ((N) == 64 ? 63u : 31u)

/*
 * Results for counts 1 to 63. CF is the last bit shifted out. OF is defined for single-bit shifts only; for others it is
 * that of the last single-bit step, as processors do.
 */
#define SHL_RES(N, a, n)       (u##N)((u64)(a) << (n))
#define SHL_CF(N, a, n, r)     ((unsigned)(((u64)(a) << ((n) - 1)) >> ((N) - 1)) & 1)
#define SHL_OF(N, a, n, r, cf) (((unsigned)((r) >> ((N) - 1)) & 1) ^ (cf))
#define SHR_RES(N, a, n)       (u##N)((u64)(a) >> (n))
#define SHR_CF(N, a, n, r)     ((unsigned)((u64)(a) >> ((n) - 1)) & 1)
#define SHR_OF(N, a, n, r, cf) ((unsigned)(((u64)(a) >> ((n) - 1)) >> ((N) - 1)) & 1)
#define SAR_RES(N, a, n)       (u##N)((s64)(s##N)(a) >> (n))
#define SAR_CF(N, a, n, r)     ((unsigned)((s64)(s##N)(a) >> ((n) - 1)) & 1)
#define SAR_OF(N, a, n, r, cf) 0u

#define SHIFT_FLAGS(N, r, cf, of) cc_set_co(c, (N) / 8, r, cf, of)

/* Rotates: only CF and OF change. */
#define ROL_RES(N, a, n)       (u##N)((a) << ((n) % (N)) | (a) >> ((N - (n) % (N)) % (N)))
#define ROL_CF(N, a, n, r)     ((unsigned)(r) & 1)
#define ROL_OF(N, a, n, r, cf) (((unsigned)((r) >> ((N) - 1)) & 1) ^ (cf))
#define ROR_RES(N, a, n)       (u##N)((a) >> ((n) % (N)) | (a) << ((N - (n) % (N)) % (N)))
#define ROR_CF(N, a, n, r)     ((unsigned)((r) >> ((N) - 1)) & 1)
#define ROR_OF(N, a, n, r, cf) (((unsigned)((r) >> ((N) - 2)) & 1) ^ (cf))

#define ROTATE_FLAGS(N, r, cf, of) cc_set_cf_of(c, cf, of)

/* n: the masked count. A count of 0 changes no flags, yet a 32-bit destination register is zero-extended. */
#define SHIFT_BODY(OP, KIND, N)                                                                                        \
	u##N r = OP##_RES(N, a, n);                                                                                    \
	unsigned cf = OP##_CF(N, a, n, r), of = OP##_OF(N, a, n, r, cf)

#define N_IMM(N) unsigned n = (unsigned)i->imm & COUNT_MASK(N)
#define N_CL(N)  unsigned n = reg8(c, REG_OFF(REG_RCX)) & COUNT_MASK(N)

#define SHIFT_REG(NAME, OP, KIND, N, COUNT)                                                                            \
	HANDLER(NAME##N)                                                                                               \
	{                                                                                                              \
		u##N a = reg##N(c, i->r0);                                                                             \
		COUNT(N);                                                                                              \
		if (unlikely(n == 0)) {                                                                                \
			set_reg##N(c, i->r0, a);                                                                       \
			return XR_OK;                                                                                  \
		}                                                                                                      \
		SHIFT_BODY(OP, KIND, N);                                                                               \
		KIND##_FLAGS(N, r, cf, of);                                                                            \
		set_reg##N(c, i->r0, r);                                                                               \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN_PURE(NAME##N)
#define SHIFT_MEM(NAME, OP, KIND, N, COUNT)                                                                            \
	HANDLER(NAME##N)                                                                                               \
	{                                                                                                              \
		la_t la;                                                                                               \
		u##N a;                                                                                                \
		TRY(op_rmw##N(c, i, &la, &a));                                                                         \
		COUNT(N);                                                                                              \
		if (unlikely(n == 0))                                                                                  \
			return mem_write##N(c, la, stack_acc(i), a);                                                   \
		SHIFT_BODY(OP, KIND, N);                                                                               \
		TRY(mem_write##N(c, la, stack_acc(i), r));                                                             \
		KIND##_FLAGS(N, r, cf, of);                                                                            \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN(NAME##N)

/* The index of a shift's table: [memory][by CL][size]. */
#define SHIFT_SIZE(op, OP, KIND, N)                                                                                    \
	SHIFT_REG(op##_ri, OP, KIND, N, N_IMM)                                                                         \
	SHIFT_REG(op##_rc, OP, KIND, N, N_CL)                                                                          \
	SHIFT_MEM(op##_mi, OP, KIND, N, N_IMM)                                                                         \
	SHIFT_MEM(op##_mc, OP, KIND, N, N_CL)
#define SHIFT(op, OP, KIND)                                                                                            \
	SHIFT_SIZE(op, OP, KIND, 8) SHIFT_SIZE(op, OP, KIND, 16) SHIFT_SIZE(op, OP, KIND, 32) SHIFT_SIZE(op, OP, KIND, 64) \
	static const struct form op##_forms[2][2][4] = {                                                               \
		{ FORM_SIZES(op##_ri), FORM_SIZES(op##_rc) }, { FORM_SIZES(op##_mi), FORM_SIZES(op##_mc) },            \
	};

SHIFT(shl, SHL, SHIFT)
SHIFT(shr, SHR, SHIFT)
SHIFT(sar, SAR, SHIFT)
SHIFT(rol, ROL, ROTATE)
SHIFT(ror, ROR, ROTATE)

static void bind_shift(struct insn *i, const struct dec *d)
{
	const struct form(*t)[2][4] = d->row->op;

	i->opsz = (u8)(d->op[0].size / 8);
	use_form(i, &t[is_mem(d, 0)][!is_imm(d, 1)][size_index(d->op[0].size)]);
}

/* ---- RCL, RCR: a rotate of size + 1 bits ---- */

struct rotated {
	u64 res;
	unsigned cf, of;
};

static struct rotated rcl(u64 a, unsigned n, unsigned nbits, unsigned cf)
{
	struct rotated r = {a, cf, 0};

	if (n) {
		r.res = (nbits == 64 ? a << n : low_bytes(a << n, nbits / 8)) | (u64)cf << (n - 1);
		if (n > 1)
			r.res |= a >> (nbits + 1 - n);
		r.cf = (a >> (nbits - n)) & 1;
	}
	r.of = ((r.res >> (nbits - 1)) & 1) ^ r.cf;
	return r;
}

static struct rotated rcr(u64 a, unsigned n, unsigned nbits, unsigned cf)
{
	struct rotated r = {a, cf, 0};

	if (n) {
		r.res = a >> n | (u64)cf << (nbits - n);
		if (n > 1)
			r.res |= low_bytes(a << (nbits + 1 - n), nbits / 8);
		r.cf = (a >> (n - 1)) & 1;
	}
	r.of = ((r.res >> (nbits - 1)) ^ (r.res >> (nbits - 2))) & 1;
	return r;
}

static unsigned shift_count(struct cpu *c, const struct insn *i)
{
	unsigned n = i->aux ? reg8(c, REG_OFF(REG_RCX)) : (unsigned)i->imm;

	return n & (i->opsz == 8 ? 63 : 31);
}

static inline enum xr rotate_carry(struct cpu *c, const struct insn *i, bool left)
{
	unsigned nbits = i->opsz * 8u, masked = shift_count(c, i), n = masked % (nbits + 1);
	unsigned cf = cc_cf(c);
	u64 a;
	la_t la = 0;

	if (i->r0 == SLOT_NONE) {
		TRY(insn_la(c, i, i->opsz, ACC_RMW, &la));
		TRY(mem_rmw(c, la, i->opsz, stack_acc(i), &a));
	} else {
		a = reg_get(c, i->r0, i->opsz);
	}

	struct rotated r = left ? rcl(a, n, nbits, cf) : rcr(a, n, nbits, cf);

	if (i->r0 == SLOT_NONE)
		TRY(mem_write(c, la, i->opsz, stack_acc(i), r.res));
	else
		reg_set(c, i->r0, i->opsz, r.res);
	if (masked)
		cc_set_cf_of(c, r.cf, r.of);
	return XR_OK;
}

HANDLER(rcl_any)
{
	return rotate_carry(c, i, true);
}
CHAIN(rcl_any)

HANDLER(rcr_any)
{
	return rotate_carry(c, i, false);
}
CHAIN(rcr_any)

/* ---- SHLD, SHRD ---- */

/*
 * Counts beyond 16 of 16-bit operands are undefined; processors shift the source in and then the destination again.
 * r.cf is the last bit shifted out; n is 1 to 63.
 */
static struct rotated shld(u64 a, u64 b, unsigned n, unsigned nbits)
{
	struct rotated r;

	if (nbits == 16) {
		u64 wide = a << 32 | b << 16 | a;

		r.res = (u16)(wide >> (32 - n));
		r.cf = (unsigned)(wide >> (48 - n)) & 1;
	} else {
		r.res = low_bytes(a << n, nbits / 8) | b >> (nbits - n);
		r.cf = (unsigned)(a >> (nbits - n)) & 1;
	}
	r.of = (unsigned)((r.res ^ a) >> (nbits - 1)) & 1;
	return r;
}

static struct rotated shrd(u64 a, u64 b, unsigned n, unsigned nbits)
{
	struct rotated r;

	if (nbits == 16) {
		u64 wide = a << 32 | b << 16 | a;

		r.res = (u16)(wide >> n);
		r.cf = (unsigned)(wide >> (n - 1)) & 1;
	} else {
		r.res = a >> n | low_bytes(b << (nbits - n), nbits / 8);
		r.cf = (unsigned)(a >> (n - 1)) & 1;
	}
	r.of = (unsigned)((r.res ^ a) >> (nbits - 1)) & 1;
	return r;
}

static inline enum xr double_shift(struct cpu *c, const struct insn *i, bool left)
{
	unsigned nbits = i->opsz * 8u, n = shift_count(c, i);
	u64 a, b = reg_get(c, i->r1, i->opsz);
	la_t la = 0;

	if (i->r0 == SLOT_NONE) {
		TRY(insn_la(c, i, i->opsz, ACC_RMW, &la));
		TRY(mem_rmw(c, la, i->opsz, stack_acc(i), &a));
	} else {
		a = reg_get(c, i->r0, i->opsz);
	}

	struct rotated r = {a, 0, 0};

	if (n)
		r = left ? shld(a, b, n, nbits) : shrd(a, b, n, nbits);
	if (i->r0 == SLOT_NONE)
		TRY(mem_write(c, la, i->opsz, stack_acc(i), r.res));
	else
		reg_set(c, i->r0, i->opsz, r.res);
	if (n)
		cc_set_co(c, i->opsz, r.res, r.cf, r.of);
	return XR_OK;
}

HANDLER(shld_any)
{
	return double_shift(c, i, true);
}
CHAIN(shld_any)

HANDLER(shrd_any)
{
	return double_shift(c, i, false);
}
CHAIN(shrd_any)

/* The count is the last operand: immediate or CL. */
static void bind_counted(struct insn *i, const struct dec *d)
{
	bind_sized(i, d);
	i->aux = !is_imm(d, 1) && !is_imm(d, 2);
}

/* ---- BMI2: no flags ---- */

#define BMI_SHIFT(NAME, EXPR32, EXPR64)                                                                                \
	HANDLER(NAME)                                                                                                  \
	{                                                                                                              \
		u64 a;                                                                                                 \
		TRY(src_get(c, i, i->r1, &a));                                                                         \
		if (i->opsz == 8) {                                                                                    \
			unsigned n = BMI_COUNT & 63;                                                                   \
			set_reg64(c, i->r0, EXPR64);                                                                   \
		} else {                                                                                               \
			unsigned n = BMI_COUNT & 31;                                                                   \
			set_reg32(c, i->r0, (u32)(EXPR32));                                                            \
		}                                                                                                      \
		return XR_OK;                                                                                          \
	}                                                                                                              \
	CHAIN(NAME)
#define BMI_COUNT reg8(c, i->r2)
BMI_SHIFT(shlx, a << n, a << n)
BMI_SHIFT(shrx, a >> n, a >> n)
BMI_SHIFT(sarx, (s32)a >> n, (u64)((s64)a >> n))
#undef BMI_COUNT
#define BMI_COUNT (unsigned)i->imm
BMI_SHIFT(rorx, a >> n | a << ((32 - n) & 31), a >> n | a << ((64 - n) & 63))

#define SINGLE(op) static const struct form op##_form = FORM(op);
SINGLE(rcl_any) SINGLE(rcr_any) SINGLE(shld_any) SINGLE(shrd_any) SINGLE(shlx) SINGLE(shrx) SINGLE(sarx) SINGLE(rorx)

/* clang-format off */
static bool match_reg_by_one(const struct dec *d) { return !is_mem(d, 0) && is_imm(d, 1) && d->op[1].imm.value.u == 1; }
static bool match_by_one(const struct dec *d)     { return is_imm(d, 1) && d->op[1].imm.value.u == 1; }

/* OF is defined for a count of 1 only. CF of SHL and SHR for counts above 8- and 16-bit sizes is 0 here. */
#define SHIFT_ROWS(MN, nm, undef, undef_n) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = ROW_PURE, .undef_flags = undef, .form = #MN " r, 1", \
	  .match = match_reg_by_one, .bind = bind_shift, .op = nm##_forms }, \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .undef_flags = undef, .form = #MN " m, 1", \
	  .match = match_by_one, .bind = bind_shift, .op = nm##_forms }, \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = ROW_PURE, .undef_flags = (undef) | (undef_n), .form = #MN " r, imm/CL", \
	  .match = match_no_mem, .bind = bind_shift, .op = nm##_forms }, \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .undef_flags = (undef) | (undef_n), .form = #MN " m, imm/CL", \
	  .bind = bind_shift, .op = nm##_forms }
#define GENERIC(MN, nm, undef, operands) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .undef_flags = undef, .form = #MN " " operands, .bind = bind_counted, .op = &nm##_form }
#define BMI(MN, nm, operands) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .feature = FEAT_BMI2, .form = #MN " " operands, .match = match_pe, \
	  .bind = bind_sized, .op = &nm##_form }

static const struct insn_row rows[] = {
	SHIFT_ROWS(SHL, shl, FL_AF, FL_OF | FL_CF), SHIFT_ROWS(SHR, shr, FL_AF, FL_OF | FL_CF), SHIFT_ROWS(SAR, sar, FL_AF, FL_OF),
	SHIFT_ROWS(ROL, rol, 0, FL_OF), SHIFT_ROWS(ROR, ror, 0, FL_OF),
	GENERIC(RCL, rcl_any, FL_OF, "r/m, 1/imm/CL"), GENERIC(RCR, rcr_any, FL_OF, "r/m, 1/imm/CL"),
	GENERIC(SHLD, shld_any, FL_AF | FL_OF, "r/m, r, imm/CL"), GENERIC(SHRD, shrd_any, FL_AF | FL_OF, "r/m, r, imm/CL"),
	BMI(SHLX, shlx, "r, r/m, r"), BMI(SHRX, shrx, "r, r/m, r"), BMI(SARX, sarx, "r, r/m, r"), BMI(RORX, rorx, "r, r/m, imm"),
};
/* clang-format on */
const struct row_set exec_shift_rows = {rows, ARRAY_LEN(rows)};
