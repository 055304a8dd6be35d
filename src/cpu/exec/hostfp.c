/*
 * The kernels of hostfp.h. Everything that computes is a volatile asm between fp_begin() and fp_end(), so that no
 * floating-point operation of the compiler's moves across a change of MXCSR.
 */
#include <math.h>

#include "cpu/exec/hostfp.h"

typedef long long v16 __attribute__((vector_size(16), may_alias, aligned(1)));
typedef long long x16 __attribute__((vector_size(16)));

static inline x16 load16(const void *p)
{
	return *(const v16 *)p;
}

static inline void store16(void *p, x16 x)
{
	*(v16 *)p = x;
}

/*
 * Changing MXCSR is slow, reading it is not. With every exception masked the guest's sticky flags may stand in the
 * computer's register already, so in the steady state nothing is loaded. With an unmasked exception the flags start
 * from zero, since what is new matters. FTZ counts only while underflow is masked ("Flush-To-Zero").
 */
static inline void fp_begin(u32 csr)
{
	u32 now, want = (csr & (MXCSR_RC | MXCSR_FTZ | MXCSR_DAZ)) | MXCSR_MASKS;

	if (unlikely((csr & MXCSR_MASKS) != MXCSR_MASKS)) {
		if (!(csr & MXCSR_UM))
			want &= ~(u32)MXCSR_FTZ;
	} else {
		__asm__ volatile("stmxcsr %0" : "=m"(now));
		if (likely((now & ~(u32)MXCSR_FLAGS) == want && !(now & ~csr & MXCSR_FLAGS)))
			return;
		want |= csr & MXCSR_FLAGS;
	}
	__asm__ volatile("ldmxcsr %0" : : "m"(want));
}

/* The flags; everybody else's code runs with the default controls. */
static inline u32 fp_end(void)
{
	u32 now, standard = MXCSR_RESET;

	__asm__ volatile("stmxcsr %0" : "=m"(now));
	if (unlikely((now & ~(u32)MXCSR_FLAGS) != MXCSR_RESET))
		__asm__ volatile("ldmxcsr %0" : : "m"(standard));
	return now & MXCSR_FLAGS;
}

/* ---- single and double precision as integers ---- */

static inline bool f32_nan(u32 v) { return (v & 0x7fffffff) > 0x7f800000; }
static inline bool f32_snan(u32 v) { return f32_nan(v) && !(v & 0x400000); }
static inline bool f32_denormal(u32 v) { return !(v & 0x7f800000) && (v & 0x7fffff); }
static inline bool f64_nan(u64 v) { return (v & ~BIT(63)) > 0x7ff0000000000000; }
static inline bool f64_snan(u64 v) { return f64_nan(v) && !(v & BIT(51)); }
static inline bool f64_denormal(u64 v) { return !bits(v, 62, 52) && bits(v, 51, 0); }

static inline u32 get32(const void *p, unsigned k)
{
	u32 v;
	memcpy(&v, (const u8 *)p + 4 * k, 4);
	return v;
}

static inline u64 get64(const void *p, unsigned k)
{
	u64 v;
	memcpy(&v, (const u8 *)p + 8 * k, 8);
	return v;
}

/*
 * Unmasked underflow is raised for every tiny result, also an exact one, which the masked response does not report
 * ("Numeric Underflow Exception (#U)"): with UM clear look at the results.
 */
static cold u32 tiny_results(const void *d, unsigned bytes, unsigned element)
{
	unsigned n = bytes <= 8 ? 1 : bytes / element;

	for (unsigned k = 0; k < n; k++)
		if (element == 4 ? f32_denormal(get32(d, k)) : f64_denormal(get64(d, k)))
			return MXCSR_UE;
	return 0;
}

static inline bool all_masked(u32 csr)
{
	return likely((csr & MXCSR_MASKS) == MXCSR_MASKS);
}

/* Overflow or underflow that the guest takes as exceptions. */
static inline bool range_trap(u32 flags, u32 csr)
{
	return flags & ~(csr >> 7) & (MXCSR_OE | MXCSR_UE);
}

/*
 * With unmasked overflow or underflow, PE tells whether the result is inexact at full precision with an unbounded
 * exponent range. So: bring the operands' exponents to 0, do it again in range, look at PE. x * y + z or x / y.
 */
enum exact { EXACT_NONE, EXACT_ADD, EXACT_SUB, EXACT_MUL, EXACT_DIV, EXACT_NARROW };

static bool inexact_fma(double x, double y, double z, u32 csr, bool single)
{
	int ex, ey, ez, apart;

	if (x == 0 || y == 0)
		return false;
	x = frexp(x, &ex);
	y = frexp(y, &ey);
	z = frexp(z, &ez);
	apart = ez - ex - ey;
	if (z != 0 && (apart > 100 || apart < -200) && !single)
		return true;
	if (z != 0 && (apart > 60 || apart < -90) && single)
		return true;
	z = z == 0 ? z : ldexp(z, apart);
	fp_begin((csr & MXCSR_RC) | MXCSR_MASKS);
	if (single) {
		float fx = (float)x, fy = (float)y, fz = (float)z;
		__asm__ volatile("" : "+x"(fx), "+x"(fy), "+x"(fz));
		fx = fmaf(fx, fy, fz);
		__asm__ volatile("" : : "x"(fx));
	} else {
		__asm__ volatile("" : "+x"(x), "+x"(y), "+x"(z));
		x = fma(x, y, z);
		__asm__ volatile("" : : "x"(x));
	}
	return fp_end() & MXCSR_PE;
}

static bool inexact_div(double x, double y, bool single)
{
	int e;
	float f, g;

	x = frexp(x, &e);
	y = frexp(y, &e);
	f = (float)x;
	g = (float)y;
	fp_begin(MXCSR_MASKS);
	if (single)
		__asm__ volatile("divss %1, %0" : "+x"(f) : "x"(g));
	else
		__asm__ volatile("divsd %1, %0" : "+x"(x) : "x"(y));
	return fp_end() & MXCSR_PE;
}

static double number(const void *p, unsigned element, u32 csr)
{
	float f;
	double v;

	memcpy(&f, p, 4);
	memcpy(&v, p, 8);
	if (csr & MXCSR_DAZ && (element == 4 ? f32_denormal(get32(p, 0)) : f64_denormal(get64(p, 0))))
		return 0;
	return element == 4 ? (double)f : v;
}

/* The flags of one scalar operation, PE put right. */
static cold u32 scalar_trap(enum exact kind, u32 flags, const void *a, const void *b, unsigned element, u32 csr)
{
	double x = number(a, element, csr), y = number(b, element, csr);
	bool inexact;

	switch (kind) {
	case EXACT_ADD:
	case EXACT_SUB:
		inexact = inexact_fma(x, 1, kind == EXACT_ADD ? y : -y, csr, element == 4);
		break;
	case EXACT_MUL:
		inexact = inexact_fma(x, y, 0, csr, element == 4);
		break;
	case EXACT_DIV:
		inexact = inexact_div(x, y, element == 4);
		break;
	case EXACT_NARROW: /* the significand, normalised, against 24 bits */
		y = frexp(y, &(int){ 0 });
		inexact = (get64(&y, 0) & 0x1fffffff) != 0;
		break;
	default:
		return flags;
	}
	return (flags & ~(u32)MXCSR_PE) | (inexact ? MXCSR_PE : 0);
}

/* Packed: each element by itself through the scalar form. */
static cold u32 packed_trap(fp_fn *fn, const void *a, const void *b, unsigned bytes, u32 csr, unsigned element)
{
	u32 flags = 0;

	for (unsigned k = 0; k < bytes; k += element) {
		u64 x[2] = { 0, 0 }, y[2] = { 0, 0 }, r[2];
		memcpy(x, (const u8 *)a + k, element);
		memcpy(y, (const u8 *)b + k, element);
		flags |= fn(r, x, y, element, csr, 0);
	}
	return flags;
}

/* ---- two sources, or one with the other's upper part ---- */

#define RUN2(INSN, x, y) __asm__ volatile(INSN " %1, %0" : "+x"(x) : "x"(y))

/* Packed and scalar instruction; element size; what may overflow or underflow. */
#define ARITH(NAME, PACKED, SCALAR, ELEMENT, KIND)                                                                     \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		u64 x0[4], y0[4];                                                                                      \
		u32 flags;                                                                                             \
		(void)imm;                                                                                             \
		if (KIND != EXACT_NONE && !all_masked(csr)) { /* d may be a or b */                                    \
			a = memcpy(x0, a, bytes <= 8 ? 16 : bytes);                                                    \
			b = memcpy(y0, b, bytes <= 8 ? 16 : bytes);                                                    \
		}                                                                                                      \
		fp_begin(csr);                                                                                         \
		if (bytes <= 8) {                                                                                      \
			x16 x = load16(a), y = load16(b);                                                              \
			RUN2(SCALAR, x, y);                                                                            \
			store16(d, x);                                                                                 \
		} else {                                                                                               \
			for (unsigned k = 0; k < bytes; k += 16) {                                                     \
				x16 x = load16((const u8 *)a + k), y = load16((const u8 *)b + k);                      \
				RUN2(PACKED, x, y);                                                                    \
				store16((u8 *)d + k, x);                                                               \
			}                                                                                              \
		}                                                                                                      \
		flags = fp_end();                                                                                      \
		if (KIND == EXACT_NONE || all_masked(csr))                                                             \
			return flags;                                                                                  \
		if (!(csr & MXCSR_UM))                                                                                 \
			flags |= tiny_results(d, bytes, KIND == EXACT_NARROW ? 4 : ELEMENT);                           \
		if (!range_trap(flags, csr))                                                                           \
			return flags;                                                                                  \
		return bytes <= 8 ? scalar_trap(KIND, flags, a, b, ELEMENT, csr) :                                     \
				    packed_trap(hostfp_##NAME, a, b, bytes, csr, ELEMENT);                             \
	}
ARITH(addps, "addps", "addss", 4, EXACT_ADD)
ARITH(addpd, "addpd", "addsd", 8, EXACT_ADD)
ARITH(subps, "subps", "subss", 4, EXACT_SUB)
ARITH(subpd, "subpd", "subsd", 8, EXACT_SUB)
ARITH(mulps, "mulps", "mulss", 4, EXACT_MUL)
ARITH(mulpd, "mulpd", "mulsd", 8, EXACT_MUL)
ARITH(divps, "divps", "divss", 4, EXACT_DIV)
ARITH(divpd, "divpd", "divsd", 8, EXACT_DIV)
ARITH(minps, "minps", "minss", 4, EXACT_NONE)
ARITH(minpd, "minpd", "minsd", 8, EXACT_NONE)
ARITH(maxps, "maxps", "maxss", 4, EXACT_NONE)
ARITH(maxpd, "maxpd", "maxsd", 8, EXACT_NONE)
ARITH(sqrtps, "sqrtps", "sqrtss", 4, EXACT_NONE)
ARITH(sqrtpd, "sqrtpd", "sqrtsd", 8, EXACT_NONE)
ARITH(cvtss2sd, "cvtss2sd", "cvtss2sd", 4, EXACT_NONE)
ARITH(cvtsd2ss, "cvtsd2ss", "cvtsd2ss", 8, EXACT_NARROW)
/* no scalar forms */
ARITH(cvtdq2ps, "cvtdq2ps", "cvtdq2ps", 4, EXACT_NONE)
ARITH(cvtps2dq, "cvtps2dq", "cvtps2dq", 4, EXACT_NONE)
ARITH(cvttps2dq, "cvttps2dq", "cvttps2dq", 4, EXACT_NONE)

/*
 * Sums and differences of rearranged elements: with an unmasked exception they are put in order and go the way of ADDPS
 * and SUBPS. MINUS: the elements that subtract, a bit each.
 */
static cold u32 rearranged(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned element,
			   bool horizontal, unsigned minus)
{
	u32 flags = 0;
	u8 r[32];

	for (unsigned k = 0; k < bytes / element; k++) {
		unsigned per = 16 / element, lane = k / per * 16, j = k % per, half = per / 2;
		const u8 *first = (const u8 *)a + k * element, *second = (const u8 *)b + k * element;
		u64 x[2] = { 0, 0 }, y[2] = { 0, 0 }, v[2];
		if (horizontal) {
			first = (const u8 *)(j < half ? a : b) + lane + j % half * 2 * element;
			second = first + element;
		}
		memcpy(x, first, element);
		memcpy(y, second, element);
		bool sub = minus >> (k & 1) & 1;
		fp_fn *fn = element == 4 ? (sub ? hostfp_subps : hostfp_addps) : sub ? hostfp_subpd : hostfp_addpd;
		flags |= fn(v, x, y, element, csr, 0);
		memcpy(r + k * element, v, element);
	}
	memcpy(d, r, bytes);
	return flags;
}

#define REARRANGED(NAME, ELEMENT, HORIZONTAL, MINUS)                                                                   \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		(void)imm;                                                                                             \
		if (!all_masked(csr))                                                                                  \
			return rearranged(d, a, b, bytes, csr, ELEMENT, HORIZONTAL, MINUS);                            \
		fp_begin(csr);                                                                                         \
		for (unsigned k = 0; k < bytes; k += 16) {                                                             \
			x16 x = load16((const u8 *)a + k), y = load16((const u8 *)b + k);                              \
			RUN2(#NAME, x, y);                                                                             \
			store16((u8 *)d + k, x);                                                                       \
		}                                                                                                      \
		return fp_end();                                                                                       \
	}
REARRANGED(haddps, 4, true, 0)
REARRANGED(haddpd, 8, true, 0)
REARRANGED(hsubps, 4, true, 3)
REARRANGED(hsubpd, 8, true, 3)
REARRANGED(addsubps, 4, false, 1)
REARRANGED(addsubpd, 8, false, 1)

/* ROUND: imm[2] MXCSR.RC, otherwise imm[1:0]; imm[3] no precision exception. */
static inline u32 round_csr(u32 csr, unsigned imm)
{
	return imm & 4 ? csr : (csr & ~(u32)MXCSR_RC) | (imm & 3) << MXCSR_RC_SHIFT;
}

#define ROUND(NAME, PACKED, SCALAR)                                                                                    \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		fp_begin(round_csr(csr, imm));                                                                         \
		for (unsigned k = 0; k < bytes; k += 16) {                                                             \
			x16 x = load16((const u8 *)a + (bytes <= 8 ? 0 : k)), y = load16((const u8 *)b + k);           \
			if (bytes <= 8 && imm & 8)                                                                     \
				RUN2(SCALAR " $12,", x, y);                                                            \
			else if (bytes <= 8)                                                                           \
				RUN2(SCALAR " $4,", x, y);                                                             \
			else if (imm & 8)                                                                              \
				RUN2(PACKED " $12,", x, y);                                                            \
			else                                                                                           \
				RUN2(PACKED " $4,", x, y);                                                             \
			store16((u8 *)d + k, x);                                                                       \
		}                                                                                                      \
		return fp_end();                                                                                       \
	}
ROUND(roundps, "roundps", "roundss")
ROUND(roundpd, "roundpd", "roundsd")

/* ---- dot products: unselected products are +0, the sums pair up as the manual's pseudo code does ---- */

/* With an unmasked exception step by step: one that is raised by the products ends it before the sums. */
static cold u32 dot_steps(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned element)
{
	fp_fn *add = element == 4 ? hostfp_addps : hostfp_addpd, *mul = element == 4 ? hostfp_mulps : hostfp_mulpd;
	unsigned n = bytes / element, per = 16 / element;
	u64 v[8][2], r[2];
	u32 flags = 0;

	for (unsigned k = 0; k < n; k++) {
		u64 x[2] = { 0, 0 }, y[2] = { 0, 0 };
		memcpy(x, (const u8 *)a + k * element, element);
		memcpy(y, (const u8 *)b + k * element, element);
		flags |= mul(v[k], x, y, element, csr, 0);
	}
	for (unsigned step = 1; step < per && !(flags & ~(csr >> 7)); step *= 2)
		for (unsigned k = 0; k < n; k += 2 * step) {
			flags |= add(r, v[k], v[k + step], element, csr, 0);
			memcpy(v[k], r, 16);
		}
	for (unsigned k = 0; k < n; k++)
		memcpy((u8 *)d + k * element, v[k / per * per], element);
	return flags;
}

static u32 dot(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm, unsigned element)
{
	u8 in[32], out[32], x[32], y[32], r[32];
	u32 flags;

	for (unsigned k = 0; k < bytes; k++) {
		unsigned j = k % 16 / element;
		in[k] = imm >> (4 + j) & 1 ? 0xff : 0;
		out[k] = imm >> j & 1 ? 0xff : 0;
		x[k] = ((const u8 *)a)[k] & in[k];
		y[k] = ((const u8 *)b)[k] & in[k];
	}
	if (!all_masked(csr)) {
		flags = dot_steps(r, x, y, bytes, csr, element);
	} else {
		fp_begin(csr);
		for (unsigned k = 0; k < bytes; k += 16) {
			x16 s = load16(x + k), t = load16(y + k);
			if (element == 4) {
				RUN2("mulps", s, t);
				RUN2("haddps", s, s);
				RUN2("haddps", s, s);
			} else {
				RUN2("mulpd", s, t);
				RUN2("haddpd", s, s);
			}
			store16(r + k, s);
		}
		flags = fp_end();
	}
	for (unsigned k = 0; k < bytes; k++)
		((u8 *)d)[k] = r[k] & out[k];
	return flags;
}

u32 hostfp_dpps(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)
{
	return dot(d, a, b, bytes, csr, imm, 4);
}

u32 hostfp_dppd(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)
{
	return dot(d, a, b, bytes, csr, imm, 8);
}

/* ---- conversions that change the width ---- */

#define WIDEN(NAME, INSN)                                                                                              \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		u64 src[4] = { get64(b, 0), 0, get64(b, 1), 0 };                                                       \
		(void)a;                                                                                               \
		(void)imm;                                                                                             \
		fp_begin(csr);                                                                                         \
		for (unsigned k = 0; k < bytes; k += 16) {                                                             \
			x16 x = { 0 }, y = load16((u8 *)src + k);                                                      \
			RUN2(INSN, x, y);                                                                              \
			store16((u8 *)d + k, x);                                                                       \
		}                                                                                                      \
		return fp_end();                                                                                       \
	}
WIDEN(cvtps2pd, "cvtps2pd")
WIDEN(cvtdq2pd, "cvtdq2pd")

/* The result has 8 bytes (16 for 32 bytes of source); the rest of 16 is zero. */
#define NARROW(NAME, INSN, SCALAR)                                                                                      \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		x16 r[2] = { { 0 }, { 0 } };                                                                           \
		u64 out[2];                                                                                            \
		u32 flags;                                                                                             \
		fp_fn *scalar = SCALAR;                                                                                \
		(void)a;                                                                                               \
		(void)imm;                                                                                             \
		if (scalar && !all_masked(csr)) {                                                                      \
			flags = packed_trap(scalar, b, b, bytes, csr, 8);                                              \
			if (flags & ~(csr >> 7))                                                                       \
				return flags;                                                                          \
		}                                                                                                      \
		fp_begin(csr);                                                                                         \
		for (unsigned k = 0; k < bytes / 16; k++) {                                                            \
			x16 y = load16((const u8 *)b + 16 * k);                                                        \
			RUN2(INSN, r[k], y);                                                                           \
		}                                                                                                      \
		flags = fp_end();                                                                                      \
		out[0] = (u64)r[0][0];                                                                                 \
		out[1] = (u64)r[1][0];                                                                                 \
		memcpy(d, out, 16);                                                                                    \
		return flags;                                                                                          \
	}
NARROW(cvtpd2ps, "cvtpd2ps", hostfp_cvtsd2ss)
NARROW(cvtpd2dq, "cvtpd2dq", NULL)
NARROW(cvttpd2dq, "cvttpd2dq", NULL)

#define FROM_INT(NAME, INSN)                                                                                           \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		x16 x = load16(a);                                                                                     \
		u64 v = get64(b, 0);                                                                                   \
		u32 flags;                                                                                             \
		(void)bytes;                                                                                           \
		fp_begin(csr);                                                                                         \
		if (imm == 8)                                                                                          \
			__asm__ volatile(INSN "q %1, %0" : "+x"(x) : "r"(v));                                          \
		else                                                                                                   \
			__asm__ volatile(INSN "l %1, %0" : "+x"(x) : "r"((u32)v));                                     \
		flags = fp_end();                                                                                      \
		store16(d, x);                                                                                         \
		return flags;                                                                                          \
	}
FROM_INT(cvtsi2ss, "cvtsi2ss")
FROM_INT(cvtsi2sd, "cvtsi2sd")

#define TO_INT(NAME, INSN)                                                                                             \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		x16 y = load16(b);                                                                                     \
		u64 v;                                                                                                 \
		u32 w, flags;                                                                                          \
		(void)a;                                                                                               \
		(void)bytes;                                                                                           \
		fp_begin(csr);                                                                                         \
		if (imm == 8) {                                                                                        \
			__asm__ volatile(INSN " %1, %0" : "=r"(v) : "x"(y));                                           \
		} else {                                                                                               \
			__asm__ volatile(INSN " %1, %0" : "=r"(w) : "x"(y));                                           \
			v = w;                                                                                         \
		}                                                                                                      \
		flags = fp_end();                                                                                      \
		memcpy(d, &v, 8);                                                                                      \
		return flags;                                                                                          \
	}
TO_INT(cvtss2si, "cvtss2si")
TO_INT(cvttss2si, "cvttss2si")
TO_INT(cvtsd2si, "cvtsd2si")
TO_INT(cvttsd2si, "cvttsd2si")

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

/* "Comparison Predicate for VCMPPS": which relations are true, and whether quiet NaNs signal; 10h-1Fh flip the latter. */
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
	/* x = m * 2^(exp-23) with an even exponent: m in [2^23, 2^25); 2^26 / sqrt(m * 2^-23 ) has 26 bits or so. */
	u64 mm = exp & 1 ? (u64)m << 1 : m;
	int half = (exp - (exp & 1)) / 2;
	u64 q = isqrt64(BIT(63) / mm); /* sqrt(2^63 / m) = 2^20 / sqrt(m * 2^-23), in (2^19, 2^20] */
	u32 r = (u32)((q + (1 << 6)) >> 7); /* (2^12, 2^13] */
	int e = 126 - half;
	if (r >= 1u << 13) {
		r >>= 1;
		e++;
	}
	return (u32)e << 23 | (r & 0xfff) << 11;
}

#define APPROXIMATE(NAME, F)                                                                                           \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		u32 r[8], n = bytes < 16 ? 16 : bytes;                                                                 \
		(void)csr;                                                                                             \
		(void)imm;                                                                                             \
		memcpy(r, a, n);                                                                                       \
		for (unsigned k = 0; k < bytes / 4; k++)                                                               \
			r[k] = F(get32(b, k));                                                                         \
		memcpy(d, r, n);                                                                                       \
		return 0;                                                                                              \
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

static u16 single_to_half(u32 v, unsigned rc, u32 csr, u32 *flags)
{
	u32 sign = v >> 16 & 0x8000, m = (v & 0x7fffff) | 0x800000, q;
	int exp = (int)bits(v, 30, 23) - 112; /* biased as a half */
	bool inexact, negative = v >> 31;

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
	}
	if (exp <= 0) {
		/* Tiny unless rounding at full precision carries it to the smallest normal. */
		bool carried = exp == 0 && round_shift(m, 13, rc, negative, &inexact) == 0x800;
		bool full; /* inexact at full precision, which counts when underflow is unmasked */
		(void)round_shift(m << (__builtin_clz(m) - 8), 13, rc, negative, &full);
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
		r[k] = single_to_half(get32(b, k), rc, csr, &flags);
	memcpy(d, r, 16);
	return flags;
}

/* ---- fused multiply-add ---- */

/*
 * One element in C: x * y + z. fma() of the C library is correctly rounded and raises the flags of its result; what it
 * does not know is DAZ, FTZ, the denormal flag and which NaN wins ("Rules for Handling NaNs for Fused-Multiply-Add").
 */
#define FMA_ONE(NAME, T, F, FMA, SNAN, NAN_, DENORMAL, QUIET, SIGN)                                                    \
	static T NAME(T x, T y, T z, bool neg_product, bool neg_addend, u32 csr, u32 *flags)                           \
	{                                                                                                              \
		const T inf = (T)~SIGN & ~(QUIET | (QUIET - 1));                                                       \
		F fx, fy, fz;                                                                                          \
		T r;                                                                                                   \
		if (NAN_(x) || NAN_(y) || NAN_(z)) {                                                                   \
			*flags |= SNAN(x) || SNAN(y) || SNAN(z) ? MXCSR_IE : 0;                                        \
			return (NAN_(x) ? x : NAN_(y) ? y : z) | QUIET;                                                \
		}                                                                                                      \
		if (csr & MXCSR_DAZ) {                                                                                 \
			x = DENORMAL(x) ? x & SIGN : x;                                                                \
			y = DENORMAL(y) ? y & SIGN : y;                                                                \
			z = DENORMAL(z) ? z & SIGN : z;                                                                \
		}                                                                                                      \
		const bool denormal = DENORMAL(x) || DENORMAL(y) || DENORMAL(z);                                       \
		x ^= neg_product ? SIGN : 0;                                                                           \
		z ^= neg_addend ? SIGN : 0;                                                                            \
		const T ax = x & (T)~SIGN, ay = y & (T)~SIGN, az = z & (T)~SIGN;                                       \
		if ((ax == inf && !ay) || (ay == inf && !ax) ||                                                        \
		    ((ax == inf || ay == inf) && az == inf && ((x ^ y ^ z) & SIGN))) {                                 \
			*flags |= MXCSR_IE;                                                                            \
			return SIGN | inf | QUIET;                                                                     \
		}                                                                                                      \
		*flags |= denormal ? MXCSR_DE : 0;                                                                     \
		memcpy(&fx, &x, sizeof(fx));                                                                           \
		memcpy(&fy, &y, sizeof(fy));                                                                           \
		memcpy(&fz, &z, sizeof(fz));                                                                           \
		const F in[3] = { fx, fy, fz };                                                                        \
		fp_begin((csr & MXCSR_RC) | MXCSR_MASKS);                                                              \
		__asm__ volatile("" : "+x"(fx), "+x"(fy), "+x"(fz));                                                   \
		fx = FMA(fx, fy, fz);                                                                                  \
		__asm__ volatile("" : "+x"(fx));                                                                       \
		u32 raised = fp_end() & ~(u32)(MXCSR_DE | MXCSR_IE);                                                   \
		memcpy(&r, &fx, sizeof(fx));                                                                           \
		/* Tininess counts after rounding: an inexact smallest normal is not settled by the library. */        \
		if (raised & MXCSR_PE && !(raised & MXCSR_OE) && DENORMAL(r))                                          \
			raised |= MXCSR_UE;                                                                            \
		if (DENORMAL(r) && !(csr & MXCSR_UM))                                                                  \
			raised |= MXCSR_UE;                                                                            \
		if (csr & MXCSR_FTZ && csr & MXCSR_UM && (DENORMAL(r) || (raised & MXCSR_UE))) {                       \
			r &= SIGN;                                                                                     \
			raised |= MXCSR_UE | MXCSR_PE;                                                                 \
		}                                                                                                      \
		if (unlikely(range_trap(raised, csr)))                                                                 \
			raised = (raised & ~(u32)MXCSR_PE) |                                                           \
				 (inexact_fma((double)in[0], (double)in[1], (double)in[2], csr, sizeof(T) == 4) ?      \
					  MXCSR_PE : 0);                                                               \
		*flags |= raised;                                                                                      \
		return r;                                                                                              \
	}
FMA_ONE(fma32, u32, float, fmaf, f32_snan, f32_nan, f32_denormal, 0x400000u, 0x80000000u)
FMA_ONE(fma64, u64, double, fma, f64_snan, f64_nan, f64_denormal, BIT(51), BIT(63))

u32 hostfp_fma_soft(void *d, const void *a, const void *b, unsigned bytes, u32 csr, enum fma_op op, unsigned form,
		    unsigned element)
{
	const void *x = form == 132 ? d : a, *y = form == 213 ? d : b, *z = form == 132 ? a : form == 213 ? b : d;
	bool neg_product = op == FMA_fnmadd || op == FMA_fnmsub;
	u32 flags = 0;
	u8 r[32];

	memcpy(r, d, bytes < 16 ? 16 : bytes);
	for (unsigned k = 0; k < bytes / element; k++) {
		bool neg_addend = op == FMA_fmsub || op == FMA_fnmsub || (op == FMA_fmaddsub && !(k & 1)) ||
				  (op == FMA_fmsubadd && (k & 1));
		if (element == 4) {
			u32 v = fma32(get32(x, k), get32(y, k), get32(z, k), neg_product, neg_addend, csr, &flags);
			memcpy(r + 4 * k, &v, 4);
		} else {
			u64 v = fma64(get64(x, k), get64(y, k), get64(z, k), neg_product, neg_addend, csr, &flags);
			memcpy(r + 8 * k, &v, 8);
		}
	}
	memcpy(d, r, bytes < 16 ? 16 : bytes);
	return flags;
}

#define RUN3(INSN, x, y, z) __asm__ volatile(INSN " %2, %1, %0" : "+x"(x) : "x"(y), "x"(z))
#define SCALAR_ps "ss"
#define SCALAR_pd "sd"
#define ELEMENT_ps 4
#define ELEMENT_pd 8
/* The alternating forms have no scalar instruction. */
#define SINGLE_fmadd "vfmadd"
#define SINGLE_fmsub "vfmsub"
#define SINGLE_fnmadd "vfnmadd"
#define SINGLE_fnmsub "vfnmsub"
#define SINGLE_fmaddsub "vfmadd"
#define SINGLE_fmsubadd "vfmadd"

#define FMA(NAME, OP, FORM, T)                                                                                         \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		(void)imm;                                                                                             \
		if (!__builtin_cpu_supports("fma") || !all_masked(csr))                                                \
			return hostfp_fma_soft(d, a, b, bytes, csr, FMA_##OP, FORM, ELEMENT_##T);                      \
		fp_begin(csr);                                                                                         \
		for (unsigned k = 0; k < bytes; k += 16) {                                                             \
			x16 x = load16((u8 *)d + k), y = load16((const u8 *)a + k), z = load16((const u8 *)b + k);     \
			if (bytes <= 8)                                                                                \
				RUN3(SINGLE_##OP #FORM SCALAR_##T, x, y, z);                                           \
			else                                                                                           \
				RUN3(#NAME, x, y, z);                                                                  \
			store16((u8 *)d + k, x);                                                                       \
		}                                                                                                      \
		return fp_end();                                                                                       \
	}
HOSTFP_FMA_LIST(FMA)
