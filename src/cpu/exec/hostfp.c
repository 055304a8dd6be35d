/*
 * The kernels of hostfp.h that run on the processor; the portable ones are hostfp_soft.c's. Everything that computes is
 * a volatile asm between fp_begin() and fp_end(), so that no floating-point operation of the compiler's moves across a
 * change of MXCSR. With every exception masked that is all there is to it; with one unmasked the flags of the masked
 * response are not quite those of an exception, and the slow paths below put them right.
 */
#include <math.h>

#include "cpu/exec/hostfp_bits.h"

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

/* MXCSR from nothing, and back to the default that everybody else's code runs with. */
static inline void fp_enter(u32 want)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(want));
}

static inline u32 fp_leave(void)
{
	u32 now, standard = MXCSR_RESET;

	__asm__ volatile("stmxcsr %0" : "=m"(now));
	if (unlikely((now & ~(u32)MXCSR_FLAGS) != MXCSR_RESET))
		__asm__ volatile("ldmxcsr %0" : : "m"(standard));
	return now & MXCSR_FLAGS;
}

/*
 * The same for instructions: `bool loaded = fp_begin(csr); do ... while (!fp_end(csr, &loaded, &flags));`
 *
 * Touching MXCSR costs more than the operation. While the guest has the default controls nothing is loaded: MXCSR
 * has them already, and flags of anybody's. If it shows afterwards nothing that the guest's sticky flags do not have,
 * that is the answer. Otherwise the operation runs again from the guest's flags. With an unmasked exception the flags
 * start from zero, since what is new matters. FTZ counts only while underflow is masked ("Flush-To-Zero").
 */
static inline bool fp_begin(u32 csr)
{
	u32 want = (csr & (MXCSR_RC | MXCSR_FTZ | MXCSR_DAZ)) | MXCSR_MASKS;

	if (likely((csr & ~(u32)(MXCSR_FLAGS | MXCSR_MM)) == MXCSR_RESET))
		return false;
	if ((csr & MXCSR_MASKS) == MXCSR_MASKS)
		want |= csr & MXCSR_FLAGS;
	else if (!(csr & MXCSR_UM))
		want &= ~(u32)MXCSR_FTZ;
	fp_enter(want);
	return true;
}

static inline bool fp_end(u32 csr, bool *loaded, u32 *flags)
{
	u32 now;

	if (unlikely(*loaded)) {
		*flags = fp_leave();
		return true;
	}
	__asm__ volatile("stmxcsr %0" : "=m"(now));
	*flags = 0;
	if (likely((now & ~(csr & MXCSR_FLAGS)) == MXCSR_RESET))
		return true;
	fp_enter(MXCSR_RESET | (csr & MXCSR_FLAGS));
	*loaded = true;
	return false;
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
	fp_enter((csr & MXCSR_RC) | MXCSR_MASKS);
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
	return fp_leave() & MXCSR_PE;
}

static bool inexact_div(double x, double y, bool single)
{
	int e;
	float f, g;

	x = frexp(x, &e);
	y = frexp(y, &e);
	f = (float)x;
	g = (float)y;
	fp_enter(MXCSR_MASKS);
	if (single)
		__asm__ volatile("divss %1, %0" : "+x"(f) : "x"(g));
	else
		__asm__ volatile("divsd %1, %0" : "+x"(x) : "x"(y));
	return fp_leave() & MXCSR_PE;
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

/* An instruction as a function: x is its destination and first source. The loops below get it as a constant. */
typedef x16 run_fn(x16 x, x16 y);
#define RUN(NAME, INSN)                                                                                                \
	static inlined x16 NAME(x16 x, x16 y)                                                                          \
	{                                                                                                              \
		RUN2(INSN, x, y);                                                                                      \
		return x;                                                                                              \
	}

static inlined void run_each(run_fn *run, void *d, const void *a, const void *b, unsigned bytes)
{
	for (unsigned k = 0; k < bytes; k += 16)
		store16((u8 *)d + k, run(load16((const u8 *)a + k), load16((const u8 *)b + k)));
}

/* Packed and scalar instruction; element size; what may overflow or underflow. self: the kernel, for one element. */
static inlined u32 arith(run_fn *packed, run_fn *scalar, void *d, const void *a, const void *b, unsigned bytes, u32 csr,
                         unsigned element, enum exact kind, fp_fn *self)
{
	bool loaded = fp_begin(csr);
	u32 flags;

	do {
		if (bytes <= 8)
			store16(d, scalar(load16(a), load16(b)));
		else
			run_each(packed, d, a, b, bytes);
	} while (!fp_end(csr, &loaded, &flags));
	if (kind == EXACT_NONE || all_masked(csr))
		return flags;
	if (!(csr & MXCSR_UM))
		flags |= tiny_results(d, bytes, kind == EXACT_NARROW ? 4 : element);
	if (!range_trap(flags, csr))
		return flags;
	return bytes <= 8 ? scalar_trap(kind, flags, a, b, element, csr) : packed_trap(self, a, b, bytes, csr, element);
}

#define ARITH(NAME, PACKED, SCALAR, ELEMENT, KIND)                                                                     \
	RUN(NAME##_packed, PACKED)                                                                                     \
	RUN(NAME##_scalar, SCALAR)                                                                                     \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		(void)imm;                                                                                             \
		return arith(NAME##_packed, NAME##_scalar, d, a, b, bytes, csr, ELEMENT, KIND, hostfp_##NAME);         \
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

static inlined u32 run_rearranged(run_fn *run, void *d, const void *a, const void *b, unsigned bytes, u32 csr)
{
	bool loaded = fp_begin(csr);
	u32 flags;

	do
		run_each(run, d, a, b, bytes);
	while (!fp_end(csr, &loaded, &flags));
	return flags;
}

#define REARRANGED(NAME, ELEMENT, HORIZONTAL, MINUS)                                                                   \
	RUN(NAME, #NAME)                                                                                               \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		(void)imm;                                                                                             \
		return all_masked(csr) ? run_rearranged(NAME, d, a, b, bytes, csr) :                                   \
					 rearranged(d, a, b, bytes, csr, ELEMENT, HORIZONTAL, MINUS);                  \
	}
REARRANGED(haddps, 4, true, 0)
REARRANGED(haddpd, 8, true, 0)
REARRANGED(hsubps, 4, true, 3)
REARRANGED(hsubpd, 8, true, 3)
REARRANGED(addsubps, 4, false, 1)
REARRANGED(addsubpd, 8, false, 1)

/* The immediate is the instruction's own: rounding by it or by MXCSR.RC, with or without the precision exception. */
#define ROUND_CASE(INSN, N)                                                                                            \
	case N:                                                                                                        \
		RUN2(INSN " $" #N ",", x, y);                                                                          \
		break;
#define ROUND_CASES(INSN)                                                                                              \
	ROUND_CASE(INSN, 0) ROUND_CASE(INSN, 1) ROUND_CASE(INSN, 2) ROUND_CASE(INSN, 3) ROUND_CASE(INSN, 4)            \
	ROUND_CASE(INSN, 8) ROUND_CASE(INSN, 9) ROUND_CASE(INSN, 10) ROUND_CASE(INSN, 11)                              \
	default:                                                                                                       \
		RUN2(INSN " $12,", x, y);
#define ROUND_ONE(NAME, INSN)                                                                                          \
	static inline x16 NAME(x16 x, x16 y, unsigned imm)                                                             \
	{                                                                                                              \
		switch (imm & 4 ? imm & 12 : imm & 11) {                                                               \
			ROUND_CASES(INSN)                                                                              \
		}                                                                                                      \
		return x;                                                                                              \
	}
ROUND_ONE(round_ps, "roundps")
ROUND_ONE(round_pd, "roundpd")
ROUND_ONE(round_ss, "roundss")
ROUND_ONE(round_sd, "roundsd")

static inlined u32 round_each(x16 (*packed)(x16, x16, unsigned), x16 (*scalar)(x16, x16, unsigned), void *d, const void *a,
                              const void *b, unsigned bytes, u32 csr, unsigned imm)
{
	bool loaded = fp_begin(csr);
	u32 flags;

	do {
		for (unsigned k = 0; k < bytes; k += 16) {
			x16 x = load16((const u8 *)a + k), y = load16((const u8 *)b + k);

			store16((u8 *)d + k, bytes <= 8 ? scalar(x, y, imm) : packed(x, y, imm));
		}
	} while (!fp_end(csr, &loaded, &flags));
	return flags;
}

#define ROUND(NAME, PACKED, SCALAR)                                                                                    \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		return round_each(PACKED, SCALAR, d, a, b, bytes, csr, imm);                                           \
	}
ROUND(roundps, round_ps, round_ss)
ROUND(roundpd, round_pd, round_sd)

/* ---- dot products: unselected products are +0, the sums pair up as the manual's pseudo code does ----
 * A sum of two NaNs is the first one, so that it matters which operand is first: in the order of the elements, or
 * (HOSTFP_CROSSWISE) for each element of the result its own neighbourhood. */

/* With an unmasked exception step by step: one that is raised by the products ends it before the sums. */
static cold u32 dot_steps(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned element, bool crosswise)
{
	fp_fn *add = element == 4 ? hostfp_addps : hostfp_addpd, *mul = element == 4 ? hostfp_mulps : hostfp_mulpd;
	unsigned n = bytes / element, per = 16 / element;
	u64 v[8][2], sum[8][2];
	u32 flags = 0, step_flags = 0;

	for (unsigned k = 0; k < n; k++) {
		u64 x[2] = { 0, 0 }, y[2] = { 0, 0 };
		memcpy(x, (const u8 *)a + k * element, element);
		memcpy(y, (const u8 *)b + k * element, element);
		step_flags |= mul(v[k], x, y, element, csr, 0);
	}
	flags = hostfp_reported(step_flags, csr);
	for (unsigned step = 1; step < per && !(flags & ~(csr >> 7) & MXCSR_FLAGS); step *= 2) {
		step_flags = 0;
		for (unsigned k = 0; k < n; k++) {
			unsigned first = !crosswise ? k & ~step : element == 4 && step == 1 ? k ^ 1 : k;
			step_flags |= add(sum[k], v[first], v[first ^ step], element, csr, 0);
		}
		memcpy(v, sum, sizeof(v));
		flags |= hostfp_reported(step_flags, csr);
	}
	for (unsigned k = 0; k < n; k++)
		memcpy((u8 *)d + k * element, v[k], element);
	return flags | HOSTFP_ORDERED;
}

static inline x16 dot_lane(x16 x, x16 y, unsigned element, bool crosswise)
{
	if (element == 4) {
		RUN2("mulps", x, y);
		if (!crosswise) {
			RUN2("haddps", x, x);
			RUN2("haddps", x, x);
			return x;
		}
		y = x;
		RUN2("shufps $0xb1,", y, y);
		RUN2("addps", y, x); /* the neighbour's product first */
		x = y;
		RUN2("shufps $0x4e,", x, x);
		RUN2("addps", y, x);
		return y;
	}
	RUN2("mulpd", x, y);
	if (!crosswise) {
		RUN2("haddpd", x, x);
		return x;
	}
	y = x;
	RUN2("shufpd $1,", y, y);
	RUN2("addpd", x, y);
	return x;
}

static u32 dot(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm, unsigned element)
{
	u8 in[32], out[32], x[32], y[32], r[32];
	bool crosswise = imm & HOSTFP_CROSSWISE;
	u32 flags;

	for (unsigned k = 0; k < bytes; k++) {
		unsigned j = k % 16 / element;
		in[k] = imm >> (4 + j) & 1 ? 0xff : 0;
		out[k] = imm >> j & 1 ? 0xff : 0;
		x[k] = ((const u8 *)a)[k] & in[k];
		y[k] = ((const u8 *)b)[k] & in[k];
	}
	if (!all_masked(csr)) {
		flags = dot_steps(r, x, y, bytes, csr, element, crosswise);
	} else {
		bool loaded = fp_begin(csr);
		do {
			for (unsigned k = 0; k < bytes; k += 16)
				store16(r + k, dot_lane(load16(x + k), load16(y + k), element, crosswise));
		} while (!fp_end(csr, &loaded, &flags));
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

static inlined u32 widen(run_fn *run, void *d, const void *b, unsigned bytes, u32 csr)
{
	const u64 src[4] = { get64(b, 0), 0, get64(b, 1), 0 };
	bool loaded = fp_begin(csr);
	u32 flags;

	do {
		for (unsigned k = 0; k < bytes; k += 16)
			store16((u8 *)d + k, run((x16){ 0 }, load16((const u8 *)src + k)));
	} while (!fp_end(csr, &loaded, &flags));
	return flags;
}

#define WIDEN(NAME, INSN)                                                                                              \
	RUN(NAME, INSN)                                                                                                \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		(void)a;                                                                                               \
		(void)imm;                                                                                             \
		return widen(NAME, d, b, bytes, csr);                                                                  \
	}
WIDEN(cvtps2pd, "cvtps2pd")
WIDEN(cvtdq2pd, "cvtdq2pd")

/* The result has 8 bytes (16 for 32 bytes of source); the rest of 16 is zero. */
static inlined u32 narrow(run_fn *run, fp_fn *scalar, void *d, const void *b, unsigned bytes, u32 csr)
{
	x16 r[2] = { { 0 }, { 0 } };
	u64 out[2];
	bool loaded;
	u32 flags;

	if (scalar && !all_masked(csr)) {
		flags = packed_trap(scalar, b, b, bytes, csr, 8);
		if (flags & ~(csr >> 7))
			return flags;
	}
	loaded = fp_begin(csr);
	do {
		for (unsigned k = 0; k < bytes / 16; k++)
			r[k] = run(r[k], load16((const u8 *)b + 16 * k));
	} while (!fp_end(csr, &loaded, &flags));
	out[0] = (u64)r[0][0];
	out[1] = (u64)r[1][0];
	memcpy(d, out, 16);
	return flags;
}

#define NARROW(NAME, INSN, SCALAR)                                                                                     \
	RUN(NAME, INSN)                                                                                                \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		(void)a;                                                                                               \
		(void)imm;                                                                                             \
		return narrow(NAME, SCALAR, d, b, bytes, csr);                                                         \
	}
NARROW(cvtpd2ps, "cvtpd2ps", hostfp_cvtsd2ss)
NARROW(cvtpd2dq, "cvtpd2dq", NULL)
NARROW(cvttpd2dq, "cvttpd2dq", NULL)

static inlined u32 from_int(x16 (*from64)(x16, u64), x16 (*from32)(x16, u32), void *d, const void *a, const void *b, u32 csr,
                            bool wide)
{
	const u64 v = get64(b, 0);
	bool loaded = fp_begin(csr);
	u32 flags;
	x16 x;

	do
		x = wide ? from64(load16(a), v) : from32(load16(a), (u32)v);
	while (!fp_end(csr, &loaded, &flags));
	store16(d, x);
	return flags;
}

#define RUN_FROM(NAME, INSN, T)                                                                                        \
	static inlined x16 NAME(x16 x, T v)                                                                            \
	{                                                                                                              \
		__asm__ volatile(INSN " %1, %0" : "+x"(x) : "r"(v));                                                   \
		return x;                                                                                              \
	}
#define FROM_INT(NAME, INSN)                                                                                           \
	RUN_FROM(NAME##_64, INSN "q", u64)                                                                             \
	RUN_FROM(NAME##_32, INSN "l", u32)                                                                             \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		(void)bytes;                                                                                           \
		return from_int(NAME##_64, NAME##_32, d, a, b, csr, imm == 8);                                         \
	}
FROM_INT(cvtsi2ss, "cvtsi2ss")
FROM_INT(cvtsi2sd, "cvtsi2sd")

static inlined u32 to_int(u64 (*to64)(x16), u32 (*to32)(x16), void *d, const void *b, u32 csr, bool wide)
{
	const x16 y = load16(b);
	bool loaded = fp_begin(csr);
	u32 flags;
	u64 v;

	do
		v = wide ? to64(y) : to32(y);
	while (!fp_end(csr, &loaded, &flags));
	memcpy(d, &v, 8);
	return flags;
}

#define RUN_TO(NAME, INSN, T)                                                                                          \
	static inlined T NAME(x16 y)                                                                                   \
	{                                                                                                              \
		T v;                                                                                                   \
		__asm__ volatile(INSN " %1, %0" : "=r"(v) : "x"(y));                                                   \
		return v;                                                                                              \
	}
#define TO_INT(NAME, INSN)                                                                                             \
	RUN_TO(NAME##_64, INSN, u64)                                                                                   \
	RUN_TO(NAME##_32, INSN, u32)                                                                                   \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		(void)a;                                                                                               \
		(void)bytes;                                                                                           \
		return to_int(NAME##_64, NAME##_32, d, b, csr, imm == 8);                                              \
	}
TO_INT(cvtss2si, "cvtss2si")
TO_INT(cvttss2si, "cvttss2si")
TO_INT(cvtsd2si, "cvtsd2si")
TO_INT(cvttsd2si, "cvttsd2si")

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
		fp_enter((csr & MXCSR_RC) | MXCSR_MASKS);                                                              \
		__asm__ volatile("" : "+x"(fx), "+x"(fy), "+x"(fz));                                                   \
		fx = FMA(fx, fy, fz);                                                                                  \
		__asm__ volatile("" : "+x"(fx));                                                                       \
		u32 raised = fp_leave() & ~(u32)(MXCSR_DE | MXCSR_IE);                                                 \
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

typedef x16 run3_fn(x16 x, x16 y, x16 z);
#define RUN_FUSED(NAME, INSN)                                                                                          \
	static inlined x16 NAME(x16 x, x16 y, x16 z)                                                                   \
	{                                                                                                              \
		RUN3(INSN, x, y, z);                                                                                   \
		return x;                                                                                              \
	}

static inlined u32 fused(run3_fn *packed, run3_fn *scalar, void *d, const void *a, const void *b, unsigned bytes, u32 csr)
{
	bool loaded = fp_begin(csr);
	u32 flags;
	u8 r[32];

	do {
		for (unsigned k = 0; k < bytes; k += 16) {
			x16 x = load16((u8 *)d + k), y = load16((const u8 *)a + k), z = load16((const u8 *)b + k);

			store16(r + k, bytes <= 8 ? scalar(x, y, z) : packed(x, y, z));
		}
	} while (!fp_end(csr, &loaded, &flags));
	memcpy(d, r, bytes <= 8 ? 16 : bytes);
	return flags;
}

static inline bool fused_soft(u32 csr)
{
	return !__builtin_cpu_supports("fma") || !all_masked(csr);
}

#define FMA(NAME, OP, FORM, T)                                                                                         \
	RUN_FUSED(NAME##_packed, #NAME)                                                                                \
	RUN_FUSED(NAME##_scalar, SINGLE_##OP #FORM SCALAR_##T)                                                         \
	u32 hostfp_##NAME(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm)                \
	{                                                                                                              \
		(void)imm;                                                                                             \
		return fused_soft(csr) ? hostfp_fma_soft(d, a, b, bytes, csr, FMA_##OP, FORM, ELEMENT_##T) :           \
					 fused(NAME##_packed, NAME##_scalar, d, a, b, bytes, csr);                     \
	}
HOSTFP_FMA_LIST(FMA)
