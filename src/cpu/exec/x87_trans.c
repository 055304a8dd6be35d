/*
 * The x87 instructions whose result processors may choose ("Transcendental Instruction Accuracy": within 1 ulp),
 * computed in integers only, so that a run gives the same bits on every computer: 128-bit significands, series in
 * 128-bit fixed point, one rounding at the end under the guest's rounding control. FSIN and its kin reduce by the
 * 66-bit pi of "Approximation of Pi", which both vendors' processors use. FPREM, FPREM1 and FXTRACT are exact; they
 * are here because the number of bits a partial remainder retires is a choice, too.
 */
#include "cpu/exec/fpu.h"
#include "cpu/exec/x87_wide.h"

static const struct ff log2_e = {.e = 0, .m = U128(0xb8aa3b295c17f0bb, 0xbe87fed0691d3e88)};
static const struct ff ln_2 = {.e = -1, .m = U128(0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af)};
static const struct ff pi_full = {.e = 1, .m = U128(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1)};
static const struct ff pi_half = {.e = 0, .m = U128(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1)};
static const struct ff pi_quarter = {.e = -1, .m = U128(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1)};
static const struct ff pi_3_quarters = {.e = 1, .m = U128(0x96cbe3f9990e91a7, 0x9394c9e8a0a5159c)};
static const struct ff ff_one = {.e = 0, .m = ONE_127};
static const struct ff ff_two = {.e = 1, .m = ONE_127};

static const struct ff atan_eighths[9] = {
	{.m = 0},
	{.e = -4, .m = U128(0xfeadd4d5617b6e32, 0xc897989f3e888ef7)},
	{.e = -3, .m = U128(0xfadbafc96406eb15, 0x6dc79ef5f7a217e5)},
	{.e = -2, .m = U128(0xb7b0ca0f26f78473, 0x8aa32122dcfe4483)},
	{.e = -2, .m = U128(0xed63382b0dda7b45, 0x6fe445ecbc3a8d03)},
	{.e = -1, .m = U128(0x8f005d5ef7f59f9b, 0x5c835e1665c43747)},
	{.e = -1, .m = U128(0xa4bc7d1934f70924, 0x19a87f2a457dac9e)},
	{.e = -1, .m = U128(0xb8053e2bc2319e73, 0xcb2da55210a4443d)},
	{.e = -1, .m = U128(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1)},
};

/* ---- the one rounding ---- */

static bool round_up(bool neg, bool odd, bool half, bool rest, unsigned rc)
{
	switch (rc) {
	case X87_RC_NEAREST:
		return half && (rest || odd);
	case X87_RC_DOWN:
		return neg && (half || rest);
	case X87_RC_UP:
		return !neg && (half || rest);
	default:
		return false;
	}
}

/* The 64-bit significand of v shifted right by `shift` more bits; *sum gets the flags. May carry into bit 64. */
static u128 round_at(struct ff v, unsigned shift, bool inexact, unsigned rc, u16 *flags)
{
	u128 kept = 0, rest = v.m;
	bool half, low;

	if (shift < 64) {
		kept = v.m >> (64 + shift);
		rest = v.m << (64 - shift);
	} else if (shift > 64) { /* not even the half bit: all of it is sticky */
		rest = 1;
	}
	half = rest >> 127;
	low = (rest << 1) != 0 || inexact;
	if (half || low)
		*flags |= X87_PE;
	if (round_up(v.neg, kept & 1, half, low, rc)) {
		*flags |= X87_C1;
		kept++;
	}
	return kept;
}

static u16 overflow(struct f80 *d, bool neg, unsigned rc)
{
	bool inf = rc == X87_RC_NEAREST || (rc == X87_RC_UP && !neg) || (rc == X87_RC_DOWN && neg);

	*d = inf ? f80_make(neg, 0x7fff, 1ull << 63) : f80_make(neg, 0x7ffe, ~0ull);
	return (u16)(X87_OE | X87_PE | (inf ? X87_C1 : 0));
}

/*
 * v as a register holds it. `inexact`: the true result is not v but a little more, less than the last bit of v.m.
 * Unmasked overflow and underflow give the result scaled by 2^24576 ("Numeric Overflow Exception").
 */
static u16 ff_round(struct f80 *d, struct ff v, bool inexact, u16 cw)
{
	unsigned rc = cw >> X87_RC_SHIFT & 3;
	u16 flags = 0, denormal_flags = 0;
	s32 exp = v.e + F80_BIAS;
	u128 m;

	if (!v.m) {
		*d = f80_make(v.neg, 0, 0);
		return 0;
	}
	m = round_at(v, 0, inexact, rc, &flags);
	if (m >> 64) {
		m >>= 1;
		exp++;
	}
	if (exp >= 0x7fff) {
		if (cw & X87_OE)
			return overflow(d, v.neg, rc);
		flags |= X87_OE;
		exp -= 24576;
		if (exp >= 0x7fff)
			return X87_OE | (overflow(d, v.neg, X87_RC_NEAREST) & ~X87_OE);
	} else if (exp <= 0 && !(cw & X87_UE)) {
		flags |= X87_UE;
		exp += 24576;
		if (exp <= 0) { /* massive underflow: only FYL2X of two extremes comes here */
			*d = f80_make(v.neg, 0, 0);
			return X87_UE | X87_PE;
		}
	} else if (exp <= 0) {
		u32 shift = (u32)(1 - (v.e + F80_BIAS));

		m = round_at(v, shift > 100 ? 100 : shift, inexact, rc, &denormal_flags);
		*d = f80_make(v.neg, (unsigned)(m >> 63), (u64)m);
		return (u16)(denormal_flags | (denormal_flags & X87_PE ? X87_UE : 0));
	}
	*d = f80_make(v.neg, (unsigned)exp, (u64)m);
	return flags;
}

/* ---- operands ---- */

static struct f80 quieted(struct f80 a)
{
	a.m |= 1ull << 62;
	return a;
}

/* "Rules for Generating QNaNs": a QNaN beats an SNaN, then the larger significand, then the positive one. */
static struct f80 nan_of(struct f80 a, struct f80 b)
{
	enum f80_class ka = f80_classify(a), kb = f80_classify(b);

	if (!f80_is_nan(kb))
		return quieted(a);
	if (!f80_is_nan(ka))
		return quieted(b);
	if (ka != kb)
		return ka == F80_QNAN ? a : b;
	if (a.m != b.m)
		return quieted(a.m > b.m ? a : b);
	return quieted(f80_neg(a) ? b : a);
}

/* NaNs and unsupported encodings: true if they decide the result. */
static bool special1(struct f80 *d, struct f80 a, u16 *flags)
{
	enum f80_class k = f80_classify(a);

	if (k == F80_UNSUPPORTED) {
		*flags |= X87_IE;
		*d = f80_indefinite();
		return true;
	}
	if (!f80_is_nan(k))
		return false;
	if (k == F80_SNAN)
		*flags |= X87_IE;
	*d = quieted(a);
	return true;
}

static bool special2(struct f80 *d, struct f80 a, struct f80 b, u16 *flags)
{
	enum f80_class ka = f80_classify(a), kb = f80_classify(b);

	if (ka == F80_UNSUPPORTED || kb == F80_UNSUPPORTED) {
		*flags |= X87_IE;
		*d = f80_indefinite();
		return true;
	}
	if (!f80_is_nan(ka) && !f80_is_nan(kb))
		return false;
	if (ka == F80_SNAN || kb == F80_SNAN)
		*flags |= X87_IE;
	*d = nan_of(a, b);
	return true;
}

static u16 invalid(struct f80 *d)
{
	*d = f80_indefinite();
	return X87_IE;
}

static struct f80 f80_zero(bool neg)
{
	return f80_make(neg, 0, 0);
}
static struct f80 f80_inf(bool neg)
{
	return f80_make(neg, 0x7fff, 1ull << 63);
}
static struct f80 f80_one(bool neg)
{
	return f80_make(neg, F80_BIAS, 1ull << 63);
}

/* true: unmasked, there is no result. */
static bool denormal_stops(enum f80_class k, u16 cw, u16 *flags)
{
	if (k != F80_DENORMAL)
		return false;
	*flags |= X87_DE;
	return !(cw & X87_DE);
}

/* ---- sine, cosine, tangent ---- */

/* a = quadrant * pi/2 + r with |r| <= pi/4, exactly, pi being P * 2^-64. */
static struct ff reduce(struct ff a, unsigned *quadrant)
{
	const u128 p = U128(3, 0x243f6a8885a308d3);
	struct ff r;
	u128 x, rem;

	*quadrant = 0;
	if (a.e < -1)
		return a;
	x = (a.m >> 64) << (a.e + 2); /* in units of 2^-65: pi/2 is p of them; a.e is at most 62 */
	*quadrant = (unsigned)(x / p) & 3;
	rem = x % p;
	if (rem > p / 2) {
		*quadrant = (*quadrant + 1) & 3;
		r = ff_norm(!a.neg, 127 - 65, p - rem);
	} else {
		r = ff_norm(a.neg, 127 - 65, rem);
	}
	if (a.neg)
		*quadrant = (4 - *quadrant) & 3;
	return r;
}

static struct ff sin_series(struct ff r)
{
	u128 sq = ff_fraction(ff_mul(r, r)), t = ONE_127;
	unsigned n;

	for (n = 17; n >= 1; n--)
		t = ONE_127 - mulhi(t, sq) / (2 * n * (2 * n + 1));
	if (t == ONE_127)
		t--;
	return ff_mul(r, ff_norm(false, 0, t));
}

static struct ff cos_series(struct ff r)
{
	u128 sq = ff_fraction(ff_mul(r, r)), t = ONE_127;
	unsigned n;

	for (n = 18; n >= 1; n--)
		t = ONE_127 - mulhi(t, sq) / ((2 * n - 1) * 2 * n);
	if (t == ONE_127)
		t--;
	return ff_norm(false, 0, t);
}

static struct ff sine(struct ff r, unsigned quadrant)
{
	struct ff v = quadrant & 1 ? cos_series(r) : sin_series(r);

	v.neg ^= quadrant >> 1 & 1;
	return v;
}

/* Common to the four: true if flags, d and C2 are the whole answer. */
static bool trig_special(struct f80 d[2], struct f80 a, u16 cw, u16 *flags)
{
	enum f80_class k = f80_classify(a);

	*flags = 0;
	if (special1(&d[0], a, flags)) {
		d[1] = d[0];
		return true;
	}
	if (k == F80_INF) {
		*flags = invalid(&d[0]);
		d[1] = d[0];
		return true;
	}
	if (f80_exp(a) >= F80_BIAS + 63) {
		*flags = X87_C2;
		return true;
	}
	return denormal_stops(k, cw, flags);
}

u16 x87_fsin(struct f80 d[2], struct f80 a, u16 cw)
{
	unsigned quadrant;
	struct ff r;
	u16 flags;

	if (trig_special(d, a, cw, &flags))
		return flags;
	d[0] = a;
	if (!a.m)
		return flags;
	r = reduce(ff_from(a), &quadrant);
	return flags | ff_round(&d[0], sine(r, quadrant), true, cw);
}

u16 x87_fcos(struct f80 d[2], struct f80 a, u16 cw)
{
	unsigned quadrant;
	struct ff r;
	u16 flags;

	if (trig_special(d, a, cw, &flags))
		return flags;
	d[0] = f80_one(false);
	if (!a.m)
		return flags;
	r = reduce(ff_from(a), &quadrant);
	return flags | ff_round(&d[0], sine(r, (quadrant + 1) & 3), true, cw);
}

u16 x87_fsincos(struct f80 d[2], struct f80 a, u16 cw)
{
	u16 flags = x87_fsin(d, a, cw), cos_flags;
	struct f80 cosine[2];

	if ((flags & X87_C2) || (flags & X87_EARLY & ~cw))
		return flags;
	cos_flags = x87_fcos(cosine, a, cw);
	d[1] = cosine[0];
	/* C1 tells of the last rounding, the cosine's. */
	return (u16)((flags & ~X87_C1) | cos_flags);
}

u16 x87_fptan(struct f80 d[2], struct f80 a, u16 cw)
{
	unsigned quadrant;
	struct ff r;
	u16 flags;

	if (trig_special(d, a, cw, &flags))
		return flags;
	d[0] = a;
	d[1] = f80_one(false);
	if (!a.m)
		return flags;
	r = reduce(ff_from(a), &quadrant);
	if (r.e < -70) { /* tan r is above r by less than any bit kept */
		struct ff t = quadrant & 1 ? ff_div(ff_negate(ff_one), r) : r;

		return flags | ff_round(&d[0], t, true, cw);
	}
	return flags | ff_round(&d[0], ff_div(sine(r, quadrant), sine(r, (quadrant + 1) & 3)), true, cw);
}

/* ---- arctangent ---- */

static struct ff atan_series(struct ff r)
{
	u128 sq = ff_fraction(ff_mul(r, r)), t = 0;
	int n;

	for (n = 18; n >= 0; n--)
		t = ONE_127 / (unsigned)(2 * n + 1) - mulhi(t, sq);
	if (t == ONE_127)
		t--;
	return ff_mul(r, ff_norm(false, 0, t));
}

/* 0 < t <= 1 */
static struct ff atan_unit(struct ff t)
{
	struct ff c, r;
	unsigned j = 0;

	if (t.e >= -4)
		j = (unsigned)(((t.m >> (unsigned)-t.e >> 123) + 1) >> 1); /* nearest eighth */
	if (!j)
		return atan_series(t);
	c = ff_norm(false, 124, j);
	r = ff_div(ff_add(t, ff_negate(c)), ff_add(ff_one, ff_mul(t, c)));
	return r.m ? ff_add(atan_eighths[j], atan_series(r)) : atan_eighths[j];
}

static u16 atan_edge(struct f80 *d, struct f80 x, struct f80 y, u16 cw)
{
	enum f80_class kx = f80_classify(x), ky = f80_classify(y);
	struct ff v;

	if (ky == F80_INF)
		v = kx != F80_INF ? pi_half : f80_neg(x) ? pi_3_quarters : pi_quarter;
	else if (ky == F80_ZERO || kx == F80_INF)
		v = f80_neg(x) ? pi_full : (struct ff){0};
	else
		v = pi_half;
	v.neg = f80_neg(y);
	return ff_round(d, v, v.m != 0, cw);
}

u16 x87_fpatan(struct f80 *d, struct f80 x, struct f80 y, u16 cw)
{
	enum f80_class kx = f80_classify(x), ky = f80_classify(y);
	struct ff fx, fy, v;
	u16 flags = 0;
	bool swap;

	if (special2(d, x, y, &flags))
		return flags;
	if (denormal_stops(kx, cw, &flags) || denormal_stops(ky, cw, &flags))
		return flags;
	if (kx == F80_INF || ky == F80_INF || kx == F80_ZERO || ky == F80_ZERO)
		return flags | atan_edge(d, x, y, cw);
	fx = ff_from(x);
	fy = ff_from(y);
	fx.neg = fy.neg = false;
	swap = fy.e > fx.e || (fy.e == fx.e && fy.m > fx.m);
	v = atan_unit(swap ? ff_div(fx, fy) : ff_div(fy, fx));
	if (swap)
		v = ff_add(pi_half, ff_negate(v));
	if (f80_neg(x))
		v = ff_add(pi_full, ff_negate(v));
	v.neg = f80_neg(y);
	return flags | ff_round(d, v, true, cw);
}

/* ---- logarithms ---- */

/* log2(1 + z) style core: ln((1 + s) / (1 - s)) = 2 s (1 + s^2/3 + s^4/5 + ...), |s| <= 0.172; then times log2(e). */
static struct ff log2_atanh(struct ff s)
{
	u128 sq = ff_fraction(ff_mul(s, s)), t = 0;
	int n;

	for (n = 27; n >= 0; n--)
		t = ONE_126 / (unsigned)(2 * n + 1) + mulhi(t, sq);
	if (t == ONE_126)
		t++;
	s.e++;
	return ff_mul(ff_mul(s, ff_norm(false, 1, t)), log2_e);
}

/* v > 0 */
static struct ff log2_of(struct ff v)
{
	s32 whole = v.e;
	struct ff num, log;

	v.e = 0;
	if (v.m >= U128(0xb504f333f9de6484, 0x597d89b3754abe9f)) { /* sqrt 2 */
		num = ff_norm(true, -1, -v.m);
		v.e = -1;
		whole++;
	} else {
		num = ff_norm(false, 0, v.m - ONE_127);
	}
	log = num.m ? log2_atanh(ff_div(num, ff_add(v, ff_one))) : (struct ff){0};
	return ff_add(ff_from_int(whole), log);
}

/* One of the factors, y and the logarithm, is zero or infinite. */
static u16 log_edge(struct f80 *d, struct f80 y, bool zero_log, bool neg_log, bool inf_log)
{
	enum f80_class ky = f80_classify(y);
	bool neg = f80_neg(y) != neg_log;

	if ((inf_log && ky == F80_ZERO) || (zero_log && ky == F80_INF))
		return invalid(d);
	*d = ky == F80_INF || inf_log ? f80_inf(neg) : f80_zero(neg);
	return 0;
}

u16 x87_fyl2x(struct f80 *d, struct f80 x, struct f80 y, u16 cw)
{
	enum f80_class kx = f80_classify(x), ky = f80_classify(y);
	struct ff fx, log;
	u16 flags = 0;

	if (special2(d, x, y, &flags))
		return flags;
	if (f80_neg(x) && kx != F80_ZERO)
		return invalid(d);
	if (kx == F80_ZERO) {
		if (ky == F80_ZERO)
			return invalid(d);
		*d = f80_inf(!f80_neg(y));
		return ky == F80_INF ? 0 : X87_ZE;
	}
	if (ky == F80_INF && f80_exp(x) == F80_BIAS && x.m == 1ull << 63)
		return invalid(d);
	if (kx == F80_INF && ky == F80_ZERO)
		return invalid(d);
	if (denormal_stops(kx, cw, &flags) || denormal_stops(ky, cw, &flags))
		return flags;
	if (kx == F80_INF)
		return flags | log_edge(d, y, false, false, true);
	fx = ff_from(x);
	log = log2_of(fx);
	if (!log.m || ky == F80_INF || ky == F80_ZERO)
		return flags | log_edge(d, y, !log.m, log.neg, false);
	flags |= ff_round(d, ff_mul(log, ff_from(y)), fx.m != ONE_127, cw);
	/* Powers of two have an exact logarithm, nothing else has; real processors call all inexact. */
	return flags | X87_PE | (f80_classify(*d) == F80_DENORMAL ? X87_UE : 0);
}

u16 x87_fyl2xp1(struct f80 *d, struct f80 x, struct f80 y, u16 cw)
{
	enum f80_class kx = f80_classify(x), ky = f80_classify(y);
	struct ff fx, log;
	u16 flags = 0;

	if (special2(d, x, y, &flags))
		return flags;
	if (kx == F80_INF && f80_neg(x))
		return invalid(d);
	if ((kx == F80_ZERO && ky == F80_INF) || (kx == F80_INF && ky == F80_ZERO))
		return invalid(d);
	if (denormal_stops(kx, cw, &flags) || denormal_stops(ky, cw, &flags))
		return flags;
	if (kx == F80_INF || kx == F80_ZERO)
		return flags | log_edge(d, y, kx == F80_ZERO, f80_neg(x), kx == F80_INF);
	if (ky == F80_INF || ky == F80_ZERO)
		return flags | log_edge(d, y, false, f80_neg(x), false);
	if (f80_neg(x) && f80_exp(x) >= F80_BIAS) { /* 1 + x <= 0: undefined; ST(0) comes back, as on real processors */
		*d = x;
		return flags | X87_PE;
	}
	fx = ff_from(x);
	if (fx.e <= -3) /* |x| < 1/4: no cancellation */
		log = log2_atanh(ff_div(fx, ff_add(ff_two, fx)));
	else
		log = log2_of(ff_add(ff_one, fx));
	return flags | ff_round(d, ff_mul(log, ff_from(y)), true, cw);
}

/* ---- 2^x - 1 ---- */

static struct ff expm1_series(struct ff y)
{
	u128 f = ff_fraction(y), t = ONE_126;
	unsigned n;

	for (n = 34; n >= 2; n--)
		t = y.neg ? ONE_126 - mulhi(t, f) / n : ONE_126 + mulhi(t, f) / n;
	if (t == ONE_126)
		t = y.neg ? t - 1 : t + 1;
	return ff_mul(y, ff_norm(false, 1, t));
}

u16 x87_f2xm1(struct f80 d[2], struct f80 a, u16 cw)
{
	enum f80_class k = f80_classify(a);
	u16 flags = 0;

	d[0] = a;
	if (special1(&d[0], a, &flags))
		return flags;
	if (k == F80_INF) {
		d[0] = f80_neg(a) ? f80_one(true) : a;
		return 0;
	}
	if (k == F80_ZERO || denormal_stops(k, cw, &flags))
		return flags;
	if (f80_exp(a) >= F80_BIAS) {
		if (f80_exp(a) > F80_BIAS || a.m != 1ull << 63) /* undefined: ST(0) comes back, as on real processors */
			return X87_PE;
		d[0] = f80_neg(a) ? f80_make(true, F80_BIAS - 1, 1ull << 63) : a;
		return X87_PE; /* exact, but real processors do not notice */
	}
	return flags | ff_round(&d[0], expm1_series(ff_mul(ff_from(a), ln_2)), true, cw);
}

/* ---- exact ones ---- */

u16 x87_fxtract(struct f80 d[2], struct f80 a, u16 cw)
{
	enum f80_class k = f80_classify(a);
	struct ff v;
	u16 flags = 0;

	if (special1(&d[0], a, &flags)) {
		d[1] = d[0];
		return flags;
	}
	d[1] = a;
	if (k == F80_ZERO) {
		d[0] = f80_inf(true);
		return X87_ZE;
	}
	if (k == F80_INF) {
		d[0] = f80_inf(false);
		return 0;
	}
	if (denormal_stops(k, cw, &flags))
		return flags;
	v = ff_from(a);
	d[1] = f80_make(f80_neg(a), F80_BIAS, (u64)(v.m >> 64));
	(void)ff_round(&d[0], ff_from_int(v.e), false, cw);
	return flags;
}

/* Long division of a's by b's significand: `steps` quotient bits. Returns the remainder at the last step's weight. */
static u64 divide_steps(u64 a, u64 b, unsigned steps, u64 *quotient)
{
	u128 r = a;
	u64 q = 0;

	for (;;) {
		bool bit = r >= b;

		if (bit)
			r -= b;
		q = q << 1 | bit;
		if (!--steps)
			break;
		r <<= 1;
	}
	*quotient = q;
	return (u64)r;
}

static u16 quotient_cc(u64 q)
{
	return (u16)((q & 1 ? X87_C1 : 0) | (q & 2 ? X87_C3 : 0) | (q & 4 ? X87_C0 : 0));
}

static u16 remainder_of(struct f80 *d, struct f80 a, struct f80 b, u16 cw, bool nearest)
{
	struct ff fa = ff_from(a), fb = ff_from(b);
	u64 ma = (u64)(fa.m >> 64), mb = (u64)(fb.m >> 64), q = 0, r = ma;
	s32 diff = fa.e - fb.e, e = fb.e;
	bool neg = f80_neg(a);
	u16 cc = 0, flags;

	if (diff >= 64) {
		/* A partial remainder: the number of bits retired is free between 32 and 63. */
		unsigned n = 32 + ((unsigned)diff & 31);

		r = divide_steps(ma, mb, n + 1, &q);
		e = fb.e + diff - (s32)n;
		cc = X87_C2;
	} else if (diff >= 0) {
		r = divide_steps(ma, mb, (unsigned)diff + 1, &q);
	} else {
		e = fa.e;
	}
	if (nearest && !(cc & X87_C2) && diff >= -1) {
		/* With a one binade below b, twice the remainder is a itself at b's weight. */
		u128 twice = diff == -1 ? (u128)ma : (u128)r << 1;

		if (twice > mb || (twice == mb && (q & 1))) {
			r = diff == -1 ? (u64)(((u128)mb << 1) - ma) : mb - r;
			neg = !neg;
			q++;
		}
	}
	if (!(cc & X87_C2))
		cc = quotient_cc(q);
	if (!r) {
		*d = f80_zero(f80_neg(a));
		return cc;
	}
	flags = ff_round(d, ff_norm(neg, e, (u128)r << 64), false, cw);
	return (u16)(cc | (flags & ~X87_C1));
}

static u16 fprem(struct f80 *d, struct f80 a, struct f80 b, u16 cw, bool nearest)
{
	enum f80_class ka = f80_classify(a), kb = f80_classify(b);
	u16 flags = 0;

	if (special2(d, a, b, &flags))
		return flags | X87_B;
	if (ka == F80_INF || kb == F80_ZERO)
		return invalid(d) | X87_B;
	if (denormal_stops(ka, cw, &flags) || denormal_stops(kb, cw, &flags))
		return flags | X87_B;
	*d = a;
	if (ka == F80_ZERO)
		return flags;
	if (kb == F80_INF) {
		if (!f80_exp(a) && a.m >> 63) /* a pseudo-denormal leaves as the number it is */
			d->se++;
		return flags;
	}
	return flags | remainder_of(d, a, b, cw, nearest);
}

u16 x87_fprem(struct f80 *d, struct f80 a, struct f80 b, u16 cw)
{
	return fprem(d, a, b, cw, false);
}

u16 x87_fprem1(struct f80 *d, struct f80 a, struct f80 b, u16 cw)
{
	return fprem(d, a, b, cw, true);
}
