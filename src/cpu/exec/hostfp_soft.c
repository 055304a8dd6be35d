/*
 * The kernels of hostfp.h that are portable C: comparisons, the approximations, half precision. One result everywhere.
 */
#include "cpu/exec/hostfp_bits.h"

/* ---- comparisons ---- */

enum { REL_LT = 1, REL_EQ = 2, REL_GT = 4, REL_UN = 8 };

static unsigned relation(s64 x, s64 y)
{
	return x < y ? REL_LT : x > y ? REL_GT : REL_EQ;
}

/* Sign and magnitude to an ordered integer; both zeros become 0. */
static unsigned compare32(u32 x, u32 y, u32 csr, bool signaling, u32 *flags)
{
	if (f32_nan(x) || f32_nan(y)) {
		*flags |= signaling || f32_snan(x) || f32_snan(y) ? MXCSR_IE : 0;
		return REL_UN;
	}
	if (f32_denormal(x) || f32_denormal(y)) {
		if (!(csr & MXCSR_DAZ))
			*flags |= MXCSR_DE;
		x = csr & MXCSR_DAZ && f32_denormal(x) ? 0 : x;
		y = csr & MXCSR_DAZ && f32_denormal(y) ? 0 : y;
	}
	s64 i = (s64)(x & 0x7fffffff), j = (s64)(y & 0x7fffffff);
	return relation(x >> 31 ? -i : i, y >> 31 ? -j : j);
}

static unsigned compare64(u64 x, u64 y, u32 csr, bool signaling, u32 *flags)
{
	if (f64_nan(x) || f64_nan(y)) {
		*flags |= signaling || f64_snan(x) || f64_snan(y) ? MXCSR_IE : 0;
		return REL_UN;
	}
	if (f64_denormal(x) || f64_denormal(y)) {
		if (!(csr & MXCSR_DAZ))
			*flags |= MXCSR_DE;
		x = csr & MXCSR_DAZ && f64_denormal(x) ? 0 : x;
		y = csr & MXCSR_DAZ && f64_denormal(y) ? 0 : y;
	}
	s64 i = (s64)(x & ~BIT(63)), j = (s64)(y & ~BIT(63));
	return relation(x >> 63 ? -i : i, y >> 63 ? -j : j);
}

/* "Comparison Predicate for VCMPPS": which relations are true, whether quiet NaNs signal; 10h-1Fh flip the latter. */
static const struct { u8 rel; bool signaling; } predicates[16] = {
	{ REL_EQ, false }, { REL_LT, true }, { REL_LT | REL_EQ, true }, { REL_UN, false },
	{ REL_LT | REL_GT | REL_UN, false }, { REL_EQ | REL_GT | REL_UN, true }, { REL_GT | REL_UN, true },
	{ REL_LT | REL_EQ | REL_GT, false }, { REL_EQ | REL_UN, false }, { REL_LT | REL_UN, true },
	{ REL_LT | REL_EQ | REL_UN, true }, { 0, false }, { REL_LT | REL_GT, false }, { REL_EQ | REL_GT, true },
	{ REL_GT, true }, { REL_LT | REL_EQ | REL_GT | REL_UN, false },
};

u32 hostfp_cmpps(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)
{
	bool signaling = predicates[imm & 15].signaling ^ (imm >> 4 & 1);
	u32 r[8], flags = 0;

	memcpy(r, a, bytes < 16 ? 16 : bytes);
	for (unsigned k = 0; k < bytes / 4; k++) {
		unsigned rel = compare32(get32(a, k), get32(b, k), csr, signaling, &flags);
		r[k] = rel & predicates[imm & 15].rel ? ~0u : 0;
	}
	memcpy(d, r, bytes < 16 ? 16 : bytes);
	return flags;
}

u32 hostfp_cmppd(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)
{
	bool signaling = predicates[imm & 15].signaling ^ (imm >> 4 & 1);
	u64 r[4];
	u32 flags = 0;

	memcpy(r, a, bytes < 16 ? 16 : bytes);
	for (unsigned k = 0; k < bytes / 8; k++) {
		unsigned rel = compare64(get64(a, k), get64(b, k), csr, signaling, &flags);
		r[k] = rel & predicates[imm & 15].rel ? ~0ull : 0;
	}
	memcpy(d, r, bytes < 16 ? 16 : bytes);
	return flags;
}

/* Unordered: ZF, PF, CF; greater: none; less: CF; equal: ZF. */
static void put_eflags(void *d, unsigned rel)
{
	u64 fl = rel == REL_UN ? 0x45 : rel == REL_LT ? 0x01 : rel == REL_EQ ? 0x40 : 0;
	memcpy(d, &fl, 8);
}

u32 hostfp_comiss(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)
{
	u32 flags = 0;
	(void)bytes;
	put_eflags(d, compare32(get32(a, 0), get32(b, 0), csr, imm, &flags));
	return flags;
}

u32 hostfp_comisd(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)
{
	u32 flags = 0;
	(void)bytes;
	put_eflags(d, compare64(get64(a, 0), get64(b, 0), csr, imm, &flags));
	return flags;
}

/* ---- RCPPS, RSQRTPS: relative error below 1.5 * 2^-12; rounded to 13 significant bits; no flags ---- */

static u32 rcp(u32 v)
{
	u32 sign = v & 0x80000000, m = (v & 0x7fffff) | 0x800000;
	int exp = (int)bits(v, 30, 23);

	if (f32_nan(v))
		return v | 0x400000;
	if (exp == 255)
		return sign;
	if (exp == 0) /* denormals count as zero */
		return sign | 0x7f800000;
	/* 1 / (1.m * 2^(exp-127)): q in (2^12, 2^13] is 2^13 / 1.m, rounded. */
	u32 q = (u32)((BIT(37) / m + 1) >> 1);
	int e = 253 - exp;
	if (q >= 1u << 13) {
		q >>= 1;
		e++;
	}
	if (e <= 0) /* tiny results are flushed */
		return sign;
	return sign | (u32)e << 23 | (q & 0xfff) << 11;
}

static u32 isqrt64(u64 v)
{
	u64 r = 0;
	for (u64 b = BIT(31); b; b >>= 1)
		if ((r | b) * (r | b) <= v)
			r |= b;
	return (u32)r;
}

static u32 rsqrt(u32 v)
{
	u32 m = (v & 0x7fffff) | 0x800000;
	int exp = (int)bits(v, 30, 23) - 127;

	if (f32_nan(v))
		return v | 0x400000;
	if (!(v & 0x7f800000))
		return (v & 0x80000000) | 0x7f800000;
	if (v >> 31)
		return 0xffc00000;
	if (exp == 128)
		return 0;
	/* x = mm * 2^(exp-23) with exp even. */
	u64 mm = exp & 1 ? (u64)m << 1 : m;
	int half = (exp - (exp & 1)) / 2;
	u64 q = isqrt64(BIT(63) / mm); /* 2^20 / sqrt(mm * 2^-23), in (2^19, 2^20] */
	u32 r = (u32)((q + (1 << 6)) >> 7); /* (2^12, 2^13] */
	int e = 126 - half;
	if (r >= 1u << 13) {
		r >>= 1;
		e++;
	}
	return (u32)e << 23 | (r & 0xfff) << 11;
}

static inlined u32 approximate(u32 (*of)(u32), void *d, const void *a, const void *b, unsigned bytes)
{
	u32 r[8], n = bytes < 16 ? 16 : bytes;

	memcpy(r, a, n);
	for (unsigned k = 0; k < bytes / 4; k++)
		r[k] = of(get32(b, k));
	memcpy(d, r, n);
	return 0;
}

#define APPROXIMATE(NAME, F)                                                                                           \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		(void)csr;                                                                                             \
		(void)imm;                                                                                             \
		return approximate(F, d, a, b, bytes);                                                                 \
	}
APPROXIMATE(rcpps, rcp)
APPROXIMATE(rsqrtps, rsqrt)

/* ---- half precision ---- */

/* Exact; DAZ does not apply and denormal halves are not reported ("VCVTPH2PS"). */
static u32 half_to_single(u32 h, u32 *flags)
{
	u32 sign = (h & 0x8000) << 16, exp = h >> 10 & 0x1f, m = h & 0x3ff;

	if (exp == 31) {
		if (m && !(m & 0x200))
			*flags |= MXCSR_IE;
		return sign | 0x7f800000 | m << 13 | (m ? 0x400000 : 0);
	}
	if (exp)
		return sign | (exp + 112) << 23 | m << 13;
	if (!m)
		return sign;
	unsigned shift = (unsigned)__builtin_clz(m) - 21; /* bring the first 1 to bit 10 */
	return sign | (113 - shift) << 23 | (m << shift & 0x3ff) << 13;
}

u32 hostfp_cvtph2ps(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)
{
	u16 h[8];
	u32 r[8], flags = 0;

	(void)a;
	(void)csr;
	(void)imm;
	memcpy(h, b, bytes / 2);
	for (unsigned k = 0; k < bytes / 4; k++)
		r[k] = half_to_single(h[k], &flags);
	memcpy(d, r, bytes);
	return flags;
}

/* v / 2^shift to an integer in rounding mode rc, the sign given apart. */
static u32 round_shift(u32 v, unsigned shift, unsigned rc, bool negative, bool *inexact)
{
	u32 q = shift > 31 ? 0 : v >> shift;
	u64 rest = shift > 31 ? v : v & (BIT(shift) - 1), half = BIT(shift > 40 ? 40 : shift) >> 1;
	bool up;

	*inexact = rest != 0;
	switch (rc) {
	case 0:
		up = rest > half || (rest == half && rest && q & 1);
		break;
	case 1:
		up = negative && rest;
		break;
	case 2:
		up = !negative && rest;
		break;
	default:
		up = false;
	}
	return q + up;
}

static u16 single_to_half(u32 v, unsigned rc, u32 csr, bool denormal_inexact, u32 *flags)
{
	u32 sign = v >> 16 & 0x8000, m = (v & 0x7fffff) | 0x800000, q;
	int exp = (int)bits(v, 30, 23) - 112; /* biased as a half */
	bool inexact, full = false, negative = v >> 31;

	if (f32_nan(v)) {
		*flags |= f32_snan(v) ? MXCSR_IE : 0;
		return (u16)(sign | 0x7e00 | (v >> 13 & 0x3ff));
	}
	if (!(v & 0x7fffffff) || (f32_denormal(v) && csr & MXCSR_DAZ))
		return (u16)sign;
	if ((v & 0x7fffffff) == 0x7f800000)
		return (u16)(sign | 0x7c00);
	if (f32_denormal(v)) {
		*flags |= MXCSR_DE;
		m = v & 0x7fffff;
		exp++; /* denormals have the exponent of the smallest normal */
		full = denormal_inexact;
	}
	if (exp <= 0) {
		/* Tiny unless rounding at full precision carries it to the smallest normal. */
		bool carried = exp == 0 && round_shift(m, 13, rc, negative, &inexact) == 0x800;
		bool rounded; /* inexact at full precision, which counts when underflow is unmasked */
		(void)round_shift(m << (__builtin_clz(m) - 8), 13, rc, negative, &rounded);
		full |= rounded;
		q = round_shift(m, (unsigned)(14 - exp), rc, negative, &inexact);
		if (!carried && (inexact || !(csr & MXCSR_UM)))
			*flags |= MXCSR_UE | (csr & MXCSR_UM || full ? MXCSR_PE : 0);
		else
			*flags |= inexact ? MXCSR_PE : 0;
		return (u16)(sign | q); /* a carry into the exponent is right as it is */
	}
	q = round_shift(m, 13, rc, negative, &inexact);
	if (q == 0x800) {
		q = 0x400;
		exp++;
	}
	if (exp >= 31) {
		bool infinite = rc == 0 || (rc == 1 && negative) || (rc == 2 && !negative);
		*flags |= MXCSR_OE | (csr & MXCSR_OM || inexact ? MXCSR_PE : 0);
		return (u16)(sign | (infinite ? 0x7c00 : 0x7bff));
	}
	*flags |= inexact ? MXCSR_PE : 0;
	return (u16)(sign | (u32)exp << 10 | (q & 0x3ff));
}

/* FTZ does not apply, DAZ does ("VCVTPS2PH"). The result has bytes / 2 bytes, the rest of 16 is zero. */
u32 hostfp_cvtps2ph(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)
{
	unsigned rc = imm & 4 ? (csr & MXCSR_RC) >> MXCSR_RC_SHIFT : imm & 3;
	u16 r[8] = { 0 };
	u32 flags = 0;

	(void)a;
	for (unsigned k = 0; k < bytes / 4; k++)
		r[k] = single_to_half(get32(b, k), rc, csr, imm & HOSTFP_DENORMAL_INEXACT, &flags);
	memcpy(d, r, 16);
	return flags;
}
