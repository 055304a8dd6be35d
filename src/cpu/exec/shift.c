/* SHL SHR SAR, ROL ROR RCL RCR, SHLD SHRD, and BMI2's shifts without flags. */
#include "cpu/state/flags.h"
#include "cpu/exec/flat.h"

#define HANDLER(NAME) static inlined enum xr NAME(struct cpu *c, const struct insn *i)

enum shift { SHIFT_SHL, SHIFT_SHR, SHIFT_SAR, SHIFT_ROL, SHIFT_ROR };

struct shifted {
	u64 res;
	unsigned cf, of;
};

/* Counts are taken modulo 32, or 64 for 64-bit operands. */
static inlined unsigned count_imm(const struct insn *i, unsigned size)
{
	return (unsigned)i->imm & (size == 8 ? 63 : 31);
}

static inlined unsigned count_cl(struct cpu *c, unsigned size)
{
	return reg8(c, REG_OFF(REG_RCX)) & (size == 8 ? 63u : 31u);
}

static inlined u64 rotated_left(u64 a, unsigned n, unsigned size)
{
	const u8 b = (u8)a;
	const u16 w = (u16)a;
	const u32 d = (u32)a;

	switch (size) {
	case 1: return (u8)(b << n % 8 | b >> (8 - n % 8) % 8);
	case 2: return (u16)(w << n % 16 | w >> (16 - n % 16) % 16);
	case 4: return d << n % 32 | d >> (32 - n % 32) % 32;
	default: return a << n % 64 | a >> (64 - n % 64) % 64;
	}
}

static inlined u64 rotated_right(u64 a, unsigned n, unsigned size)
{
	const u8 b = (u8)a;
	const u16 w = (u16)a;
	const u32 d = (u32)a;

	switch (size) {
	case 1: return (u8)(b >> n % 8 | b << (8 - n % 8) % 8);
	case 2: return (u16)(w >> n % 16 | w << (16 - n % 16) % 16);
	case 4: return d >> n % 32 | d << (32 - n % 32) % 32;
	default: return a >> n % 64 | a << (64 - n % 64) % 64;
	}
}

/*
 * Results for counts 1 to 63; operation and size are constants wherever this is called. CF is the last bit shifted out.
 * OF is defined for single-bit shifts only; for others it is that of the last single-bit step, as processors do.
 */
static inlined struct shifted shifted(enum shift op, unsigned size, u64 a, unsigned n)
{
	const unsigned top = 8 * size - 1;
	const s64 sa = sign_extend(a, 8 * size);
	struct shifted s = {0};

	switch (op) {
	case SHIFT_SHL:
		s.res = low_bytes(a << n, size);
		s.cf = (unsigned)(a << (n - 1) >> top) & 1;
		s.of = (unsigned)(s.res >> top) ^ s.cf;
		break;
	case SHIFT_SHR:
		s.res = a >> n;
		s.cf = (unsigned)(a >> (n - 1)) & 1;
		s.of = (unsigned)(a >> (n - 1) >> top);
		break;
	case SHIFT_SAR:
		s.res = low_bytes((u64)(sa >> n), size);
		s.cf = (unsigned)(sa >> (n - 1)) & 1;
		break;
	case SHIFT_ROL:
		s.res = rotated_left(a, n, size);
		s.cf = (unsigned)s.res & 1;
		s.of = (unsigned)(s.res >> top) ^ s.cf;
		break;
	default:
		s.res = rotated_right(a, n, size);
		s.cf = (unsigned)(s.res >> top);
		s.of = ((unsigned)(s.res >> (top - 1)) & 1) ^ s.cf;
	}
	return s;
}

/* Of rotates only CF and OF change. */
static inlined void shift_flags(struct cpu *c, enum shift op, unsigned size, struct shifted s)
{
	if (op >= SHIFT_ROL)
		cc_set_cf_of(c, s.cf, s.of);
	else
		cc_set_co(c, size, s.res, s.cf, s.of);
}

/* n: the masked count. A count of 0 changes no flags, yet a 32-bit destination register is zero-extended. */
static inlined enum xr shift_reg(struct cpu *c, const struct insn *i, enum shift op, unsigned size, unsigned n)
{
	const u64 a = reg_get(c, i->r0, size);
	struct shifted s;

	if (unlikely(n == 0)) {
		reg_set(c, i->r0, size, a);
		return XR_OK;
	}
	s = shifted(op, size, a, n);
	shift_flags(c, op, size, s);
	reg_set(c, i->r0, size, s.res);
	return XR_OK;
}

static inlined enum xr shift_mem(struct cpu *c, const struct insn *i, enum shift op, unsigned size, unsigned n)
{
	struct shifted s;
	la_t la;
	u64 a;

	TRY(op_load_rmw(c, i, size, &la, &a));
	if (unlikely(n == 0))
		return mem_store(c, la, size, stack_acc(i), a);
	s = shifted(op, size, a, n);
	TRY(mem_store(c, la, size, stack_acc(i), s.res));
	shift_flags(c, op, size, s);
	return XR_OK;
}

/* The index of a shift's table: [memory][by CL][size]. */
#define SHIFT_SIZE(op, OP, N)                                                                                          \
	HANDLER(op##_ri##N) { return shift_reg(c, i, OP, N / 8, count_imm(i, N / 8)); }                                \
	CHAIN_PURE(op##_ri##N)                                                                                         \
	HANDLER(op##_rc##N) { return shift_reg(c, i, OP, N / 8, count_cl(c, N / 8)); }                                 \
	CHAIN_PURE(op##_rc##N)                                                                                         \
	HANDLER(op##_mi##N) { return shift_mem(c, i, OP, N / 8, count_imm(i, N / 8)); }                                \
	CHAIN(op##_mi##N)                                                                                              \
	HANDLER(op##_mc##N) { return shift_mem(c, i, OP, N / 8, count_cl(c, N / 8)); }                                 \
	CHAIN(op##_mc##N)
#define SHIFT(op, OP)                                                                                                  \
	SHIFT_SIZE(op, OP, 8) SHIFT_SIZE(op, OP, 16) SHIFT_SIZE(op, OP, 32) SHIFT_SIZE(op, OP, 64)                     \
	static const struct form op##_forms[2][2][4] = {                                                               \
		{ FORM_SIZES(op##_ri), FORM_SIZES(op##_rc) }, { FORM_SIZES(op##_mi), FORM_SIZES(op##_mc) },            \
	};

SHIFT(shl, SHIFT_SHL)
SHIFT(shr, SHIFT_SHR)
SHIFT(sar, SHIFT_SAR)
SHIFT(rol, SHIFT_ROL)
SHIFT(ror, SHIFT_ROR)

static void bind_shift(struct insn *i, const struct dec *d)
{
	const struct form(*t)[2][4] = d->row->op;

	i->opsz = (u8)(d->op[0].size / 8);
	use_form(i, &t[is_mem(d, 0)][!is_imm(d, 1)][size_index(d->op[0].size)]);
}

/* ---- RCL, RCR: a rotate of size + 1 bits ---- */

static struct shifted rcl(u64 a, unsigned n, unsigned nbits, unsigned cf)
{
	struct shifted r = {a, cf, 0};

	if (n) {
		r.res = (nbits == 64 ? a << n : low_bytes(a << n, nbits / 8)) | (u64)cf << (n - 1);
		if (n > 1)
			r.res |= a >> (nbits + 1 - n);
		r.cf = (a >> (nbits - n)) & 1;
	}
	r.of = ((r.res >> (nbits - 1)) & 1) ^ r.cf;
	return r;
}

static struct shifted rcr(u64 a, unsigned n, unsigned nbits, unsigned cf)
{
	struct shifted r = {a, cf, 0};

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

	struct shifted r = left ? rcl(a, n, nbits, cf) : rcr(a, n, nbits, cf);

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
static struct shifted shld(u64 a, u64 b, unsigned n, unsigned nbits)
{
	struct shifted r;

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

static struct shifted shrd(u64 a, u64 b, unsigned n, unsigned nbits)
{
	struct shifted r;

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

	struct shifted r = {a, 0, 0};

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

enum bmi_shift { BMI_SHL, BMI_SHR, BMI_SAR, BMI_ROR };

static inlined u64 bmi_result(enum bmi_shift op, unsigned size, u64 a, unsigned n)
{
	n &= 8 * size - 1;
	switch (op) {
	case BMI_SHL: return low_bytes(a << n, size);
	case BMI_SHR: return a >> n;
	case BMI_SAR: return low_bytes((u64)(sign_extend(a, 8 * size) >> n), size);
	default: return rotated_right(a, n, size);
	}
}

static inlined enum xr bmi_shift(struct cpu *c, const struct insn *i, enum bmi_shift op, unsigned n)
{
	u64 a;

	TRY(src_get(c, i, i->r1, &a));
	if (i->opsz == 8)
		set_reg64(c, i->r0, bmi_result(op, 8, a, n));
	else
		set_reg32(c, i->r0, (u32)bmi_result(op, 4, a, n));
	return XR_OK;
}

HANDLER(shlx) { return bmi_shift(c, i, BMI_SHL, reg8(c, i->r2)); }
HANDLER(shrx) { return bmi_shift(c, i, BMI_SHR, reg8(c, i->r2)); }
HANDLER(sarx) { return bmi_shift(c, i, BMI_SAR, reg8(c, i->r2)); }
HANDLER(rorx) { return bmi_shift(c, i, BMI_ROR, (unsigned)i->imm); }
CHAIN(shlx)
CHAIN(shrx)
CHAIN(sarx)
CHAIN(rorx)

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
