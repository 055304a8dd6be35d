/* BT BTS BTR BTC, bit scans and counts, BMI1 and BMI2's bit fields, RDRAND and RDSEED. */
#include "cpu/state/flags.h"
#include "cpu/exec/flat.h"

#define HANDLER(NAME) static inline enum xr NAME(struct cpu *c, const struct insn *i)
#define SINGLE(op) static const struct form op##_form = FORM(op);

/* ---- BT and relatives: CF <- the bit; the other flags keep their values ---- */

enum bit_op { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

static inline u64 bit_apply(enum bit_op op, u64 v, u64 m)
{
	return op == BIT_SET ? v | m : op == BIT_RESET ? v & ~m : op == BIT_COMPLEMENT ? v ^ m : v;
}

static inline u64 bit_offset(struct cpu *c, const struct insn *i)
{
	return i->r1 == SLOT_NONE ? i->imm : (u64)sign_extend(reg_get(c, i->r1, i->opsz), i->opsz * 8u);
}

static inline enum xr bit_reg(struct cpu *c, const struct insn *i, enum bit_op op)
{
	unsigned n = (unsigned)bit_offset(c, i) & (i->opsz * 8u - 1);
	u64 v = reg_get(c, i->r0, i->opsz);

	cc_set_cf(c, (v >> n) & 1);
	if (op != BIT_TEST)
		reg_set(c, i->r0, i->opsz, bit_apply(op, v, BIT(n)));
	return XR_OK;
}

/* A register offset addresses a bit string: it reaches beyond the operand in both directions. */
static enum xr bit_la(struct cpu *c, const struct insn *i, s64 offset, unsigned access, la_t *la)
{
	u64 ea = insn_ea(c, i);

	if (i->r1 != SLOT_NONE) {
		unsigned shift = i->opsz == 8 ? 6 : i->opsz == 4 ? 5 : 4;

		ea = (ea + (u64)((offset >> shift) * i->opsz)) & addr_mask(i);
	}
	return linear(c, i->seg, ea, i->opsz, access, la);
}

static inline enum xr bit_mem(struct cpu *c, const struct insn *i, enum bit_op op)
{
	u64 offset = bit_offset(c, i), v;
	unsigned n = (unsigned)offset & (i->opsz * 8u - 1);
	la_t la;

	TRY(bit_la(c, i, (s64)offset, op == BIT_TEST ? ACC_READ : ACC_RMW, &la));
	if (op == BIT_TEST) {
		TRY(mem_read(c, la, i->opsz, stack_acc(i), &v));
	} else {
		TRY(mem_rmw(c, la, i->opsz, stack_acc(i), &v));
		TRY(mem_write(c, la, i->opsz, stack_acc(i), bit_apply(op, v, BIT(n))));
	}
	cc_set_cf(c, (v >> n) & 1);
	return XR_OK;
}

#define BIT_OP(NAME, OP)                                                                                               \
	HANDLER(NAME##_r) { return bit_reg(c, i, OP); }                                                                \
	CHAIN_PURE(NAME##_r)                                                                                           \
	HANDLER(NAME##_m) { return bit_mem(c, i, OP); }                                                                \
	CHAIN(NAME##_m)                                                                                                \
	SINGLE(NAME##_r) SINGLE(NAME##_m)
BIT_OP(bt, BIT_TEST)
BIT_OP(bts, BIT_SET)
BIT_OP(btr, BIT_RESET)
BIT_OP(btc, BIT_COMPLEMENT)

/* ---- scans and counts ---- */

/* A zero source leaves the destination alone. Only ZF is defined; the other flags are those of the source here. */
static inline enum xr bit_scan(struct cpu *c, const struct insn *i, bool reverse)
{
	u64 v;

	TRY(src_get(c, i, i->r1, &v));
	cc_set(c, CC_LOGIC, i->opsz, v, 0, 0);
	if (v)
		reg_set(c, i->r0, i->opsz, (u64)(reverse ? 63 - __builtin_clzll(v) : __builtin_ctzll(v)));
	return XR_OK;
}

HANDLER(bsf)
{
	return bit_scan(c, i, false);
}
CHAIN(bsf)

HANDLER(bsr)
{
	return bit_scan(c, i, true);
}
CHAIN(bsr)

HANDLER(tzcnt)
{
	unsigned nbits = i->opsz * 8u, n;
	u64 v;

	TRY(src_get(c, i, i->r1, &v));
	n = v ? (unsigned)__builtin_ctzll(v) : nbits;
	reg_set(c, i->r0, i->opsz, n);
	cc_set_flags(c, (v == 0 ? FL_CF : 0u) | (n == 0 ? FL_ZF : 0u));
	return XR_OK;
}
CHAIN(tzcnt)

HANDLER(lzcnt)
{
	unsigned nbits = i->opsz * 8u, n;
	u64 v;

	TRY(src_get(c, i, i->r1, &v));
	n = v ? (unsigned)__builtin_clzll(v) - (64 - nbits) : nbits;
	reg_set(c, i->r0, i->opsz, n);
	cc_set_flags(c, (v == 0 ? FL_CF : 0u) | (n == 0 ? FL_ZF : 0u));
	return XR_OK;
}
CHAIN(lzcnt)

HANDLER(popcnt)
{
	u64 v;

	TRY(src_get(c, i, i->r1, &v));
	reg_set(c, i->r0, i->opsz, (u64)__builtin_popcountll(v));
	cc_set_flags(c, v == 0 ? FL_ZF : 0u);
	return XR_OK;
}
CHAIN(popcnt)

/* ---- BMI1 ---- */

HANDLER(andn)
{
	u64 b, r;

	TRY(src_get(c, i, i->r2, &b));
	r = ~reg_get(c, i->r1, i->opsz) & b;
	reg_set(c, i->r0, i->opsz, r);
	cc_set(c, CC_LOGIC, i->opsz, r, 0, 0);
	return XR_OK;
}
CHAIN(andn)

HANDLER(bextr)
{
	unsigned control = reg16(c, i->r2), start = control & 0xff, len = control >> 8;
	u64 a, r;

	TRY(src_get(c, i, i->r1, &a));
	r = start < i->opsz * 8u ? a >> start : 0;
	if (len < 64)
		r &= BIT(len) - 1;
	reg_set(c, i->r0, i->opsz, r);
	cc_set(c, CC_LOGIC, i->opsz, r, 0, 0);
	return XR_OK;
}
CHAIN(bextr)

enum lowest { LOWEST_SET, LOWEST_CLEARED, LOWEST_MASK };

static inline enum xr lowest_bit(struct cpu *c, const struct insn *i, enum lowest op)
{
	u64 a, r;

	TRY(src_get(c, i, i->r1, &a));
	r = low_bytes(op == LOWEST_SET ? a & (0 - a) : op == LOWEST_CLEARED ? a & (a - 1) : a ^ (a - 1), i->opsz);
	reg_set(c, i->r0, i->opsz, r);
	cc_set_co(c, i->opsz, r, op == LOWEST_SET ? a != 0 : a == 0, 0);
	return XR_OK;
}

HANDLER(blsi) { return lowest_bit(c, i, LOWEST_SET); }
HANDLER(blsr) { return lowest_bit(c, i, LOWEST_CLEARED); }
HANDLER(blsmsk) { return lowest_bit(c, i, LOWEST_MASK); }
CHAIN(blsi)
CHAIN(blsr)
CHAIN(blsmsk)

/* ---- BMI2 ---- */

HANDLER(bzhi)
{
	unsigned nbits = i->opsz * 8u, n = reg8(c, i->r2);
	u64 a;

	TRY(src_get(c, i, i->r1, &a));
	if (n < nbits)
		a &= BIT(n) - 1;
	reg_set(c, i->r0, i->opsz, a);
	cc_set_co(c, i->opsz, a, n >= nbits, 0);
	return XR_OK;
}
CHAIN(bzhi)

HANDLER(pdep)
{
	u64 a = reg_get(c, i->r1, i->opsz), m, r = 0;

	TRY(src_get(c, i, i->r2, &m));
	for (; m; m &= m - 1, a >>= 1)
		if (a & 1)
			r |= m & (0 - m);
	reg_set(c, i->r0, i->opsz, r);
	return XR_OK;
}
CHAIN(pdep)

HANDLER(pext)
{
	u64 a = reg_get(c, i->r1, i->opsz), m, r = 0;

	TRY(src_get(c, i, i->r2, &m));
	for (unsigned k = 0; m; m &= m - 1, k++)
		if (a & m & (0 - m))
			r |= BIT(k);
	reg_set(c, i->r0, i->opsz, r);
	return XR_OK;
}
CHAIN(pext)

/* ---- random numbers: a seeded sequence, so that runs repeat; there is always one ready ---- */

static u64 random_next(struct cpu *c)
{
	u64 z = c->rng += 0x9e3779b97f4a7c15ull; /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

HANDLER(rdrand)
{
	reg_set(c, i->r0, i->opsz, random_next(c));
	cc_set_flags(c, FL_CF);
	return XR_OK;
}

SINGLE(bsf) SINGLE(bsr) SINGLE(tzcnt) SINGLE(lzcnt) SINGLE(popcnt) SINGLE(andn) SINGLE(bextr) SINGLE(blsi) SINGLE(blsr)
SINGLE(blsmsk) SINGLE(bzhi) SINGLE(pdep) SINGLE(pext)

static void bind_opsz(struct insn *i, const struct dec *d)
{
	i->opsz = (u8)(d->op[0].size / 8);
}

/* clang-format off */
#define UNDEF_BT (FL_OF | FL_SF | FL_AF | FL_PF)
#define BIT_ROWS(MN, nm, lock) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = ROW_PURE, .undef_flags = UNDEF_BT, .form = #MN " r, r/imm", \
	  .match = match_no_mem, .bind = bind_sized, .op = &nm##_r_form }, \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = lock, .undef_flags = UNDEF_BT, .form = #MN " m, r/imm", \
	  .bind = bind_sized, .op = &nm##_m_form }
#define ROW(MN, nm, feat, undef, m) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .feature = feat, .undef_flags = undef, .form = #MN, .match = m, \
	  .bind = bind_sized, .op = &nm##_form }

static const struct insn_row rows[] = {
	BIT_ROWS(BT, bt, 0), BIT_ROWS(BTS, bts, ROW_LOCK), BIT_ROWS(BTR, btr, ROW_LOCK), BIT_ROWS(BTC, btc, ROW_LOCK),
	ROW(BSF, bsf, FEAT_NONE, UNDEF_BT | FL_CF, NULL), ROW(BSR, bsr, FEAT_NONE, UNDEF_BT | FL_CF, NULL),
	ROW(TZCNT, tzcnt, FEAT_BMI1, UNDEF_BT, NULL), ROW(LZCNT, lzcnt, FEAT_ABM, UNDEF_BT, NULL),
	ROW(POPCNT, popcnt, FEAT_POPCNT, 0, NULL),
	ROW(ANDN, andn, FEAT_BMI1, FL_AF | FL_PF, match_pe), ROW(BEXTR, bextr, FEAT_BMI1, FL_AF | FL_SF | FL_PF, match_pe),
	ROW(BLSI, blsi, FEAT_BMI1, FL_AF | FL_PF, match_pe), ROW(BLSR, blsr, FEAT_BMI1, FL_AF | FL_PF, match_pe),
	ROW(BLSMSK, blsmsk, FEAT_BMI1, FL_AF | FL_PF, match_pe),
	ROW(BZHI, bzhi, FEAT_BMI2, FL_AF | FL_PF, match_pe), ROW(PDEP, pdep, FEAT_BMI2, 0, match_pe),
	ROW(PEXT, pext, FEAT_BMI2, 0, match_pe),
	{ .mnemonic = ZYDIS_MNEMONIC_RDRAND, .feature = FEAT_RDRAND, .icpt = ICPT_RDRAND, .form = "RDRAND r", .bind = bind_opsz, .fn = rdrand },
	{ .mnemonic = ZYDIS_MNEMONIC_RDSEED, .feature = FEAT_RDSEED, .icpt = ICPT_RDSEED, .form = "RDSEED r", .bind = bind_opsz, .fn = rdrand },
};
/* clang-format on */
const struct row_set exec_bit_rows = {rows, ARRAY_LEN(rows)};
