/*
 * 128-bit floating point for the x87 instructions with a software result. Truncating; only ff_add keeps a trace of what
 * it drops, so that directed rounding at the end sees it. Private to x87_trans.c.
 */
#ifndef CPU_EXEC_X87_WIDE_H
#define CPU_EXEC_X87_WIDE_H

#include "cpu/exec/fpu.h"

__extension__ typedef unsigned __int128 u128;
#define U128(hi, lo) ((u128)(hi) << 64 | (lo))
#define ONE_127      ((u128)1 << 127)
#define ONE_126      ((u128)1 << 126)

/* m * 2^(e - 127), bit 127 of m set, or m = 0. */
struct ff {
	u128 m;
	s32 e;
	bool neg;
};

static inline unsigned clz128(u128 v)
{
	u64 hi = (u64)(v >> 64);

	return (unsigned)(hi ? __builtin_clzll(hi) : 64 + __builtin_clzll((u64)v));
}

static inline struct ff ff_norm(bool neg, s32 e, u128 m)
{
	unsigned n;

	if (!m)
		return (struct ff){0};
	n = clz128(m);
	return (struct ff){.neg = neg, .e = e - (s32)n, .m = m << n};
}

static inline struct ff ff_from_int(s32 v)
{
	return ff_norm(v < 0, 127, (u128)(u32)(v < 0 ? -v : v));
}

static inline struct ff ff_from(struct f80 a)
{
	unsigned exp = f80_exp(a);

	return ff_norm(f80_neg(a), (s32)(exp ? exp : 1) - F80_BIAS, (u128)a.m << 64);
}

static inline struct ff ff_negate(struct ff a)
{
	a.neg = !a.neg;
	return a;
}

static inline u128 mulhi(u128 a, u128 b)
{
	u64 ah = (u64)(a >> 64), al = (u64)a, bh = (u64)(b >> 64), bl = (u64)b;
	u128 mid = ((u128)al * bl >> 64) + (u64)((u128)ah * bl) + (u64)((u128)al * bh);

	return (u128)ah * bh + ((u128)ah * bl >> 64) + ((u128)al * bh >> 64) + (mid >> 64);
}

static inline struct ff ff_mul(struct ff a, struct ff b)
{
	u128 m;

	if (!a.m || !b.m)
		return (struct ff){0};
	m = mulhi(a.m, b.m);
	if (m >> 127)
		return (struct ff){.neg = a.neg != b.neg, .e = a.e + b.e + 1, .m = m};
	/* One bit short: the bit below comes from the low half of the product. */
	return (struct ff){.neg = a.neg != b.neg, .e = a.e + b.e, .m = m << 1 | (a.m * b.m >> 127)};
}

static inline struct ff ff_div(struct ff a, struct ff b)
{
	u128 q = 0, r = a.m;
	s32 e = a.e - b.e;
	bool carry = false;
	unsigned k;

	if (!a.m)
		return (struct ff){0};
	if (r < b.m) {
		carry = r >> 127;
		r <<= 1;
		e--;
	}
	for (k = 0; k < 128; k++) {
		bool bit = carry || r >= b.m;

		if (bit)
			r -= b.m;
		q = q << 1 | bit;
		carry = r >> 127;
		r <<= 1;
	}
	return (struct ff){.neg = a.neg != b.neg, .e = e, .m = q};
}

/* What lies below the last bit is never lost altogether: directed rounding at the end must see it. */
static inline struct ff ff_add(struct ff a, struct ff b)
{
	unsigned shift;
	u128 small, sum;

	if (!a.m || !b.m)
		return a.m ? a : b;
	if (b.e > a.e || (b.e == a.e && b.m > a.m)) {
		struct ff t = a;

		a = b;
		b = t;
	}
	shift = (unsigned)(a.e - b.e);
	small = shift < 128 ? b.m >> shift : 0;
	if (!small)
		small = 1;
	if (a.neg != b.neg)
		return ff_norm(a.neg, a.e, a.m - small);
	sum = a.m + small;
	if (sum < a.m)
		return (struct ff){.neg = a.neg, .e = a.e + 1, .m = sum >> 1 | ONE_127};
	return (struct ff){.neg = a.neg, .e = a.e, .m = sum};
}

/* |a| < 1 as a fraction of 2^128. */
static inline u128 ff_fraction(struct ff a)
{
	unsigned shift = (unsigned)-(a.e + 1);

	return shift < 128 ? a.m >> shift : 0;
}

#endif
