/*
 * hostfp: SSE, AVX and FMA floating point on the computer's own processor, behind one header. A kernel runs with the
 * guest's rounding control, DAZ and FTZ and every exception masked, and returns the exception flags it raised; whether
 * they are delivered is the caller's business. Approximations, half precision and comparisons are portable C with one
 * result everywhere. All pointers are to 16 bytes at least (32 where bytes is 32); d is neither a nor b.
 */
#ifndef CPU_EXEC_HOSTFP_H
#define CPU_EXEC_HOSTFP_H

#include "base/base.h"

/* MXCSR, "MXCSR Control and Status Register" */
enum {
	MXCSR_IE = 1, MXCSR_DE = 2, MXCSR_ZE = 4, MXCSR_OE = 8, MXCSR_UE = 16, MXCSR_PE = 32, MXCSR_FLAGS = 0x3f,
	MXCSR_DAZ = 1 << 6, MXCSR_MASKS = 0x3f << 7, MXCSR_OM = 1 << 10, MXCSR_UM = 1 << 11,
	MXCSR_RC = 3 << 13, MXCSR_RC_SHIFT = 13,
	MXCSR_FTZ = 1 << 15, MXCSR_MM = 1 << 17, MXCSR_RESET = 0x1f80,
};

/*
 * bytes: 4 or 8 for the scalar form (the rest of 16 bytes of d is a's), 16 or 32 for the packed ones. csr: the guest's
 * MXCSR. While every exception is masked the result may leave out or repeat flags that csr has already.
 */
typedef u32 fp_fn(void *d, const void *a, const void *b, unsigned bytes, u32 csr, unsigned imm);

#define HOSTFP_ORDERED 0x100u /* in the result: priorities are applied already */
/* In the immediate, of a dot product: every element adds for itself; of VCVTPS2PH with underflow unmasked: a denormal
 * source is inexact. */
#define HOSTFP_CROSSWISE        0x100u
#define HOSTFP_DENORMAL_INEXACT 0x100u

/*
 * "SIMD Floating-Point Exception Priority": invalid, denormal and divide-by-zero of all elements come before computing;
 * if one of them is unmasked, nothing of what computing would raise is reported.
 */
static inline u32 hostfp_reported(u32 raised, u32 csr)
{
	const u32 before = MXCSR_IE | MXCSR_DE | MXCSR_ZE;

	if (raised & HOSTFP_ORDERED)
		return raised & MXCSR_FLAGS;
	return unlikely(raised & before & ~(csr >> 7)) ? raised & before : raised;
}

/* clang-format off */
#define HOSTFP_LIST(X) \
	X(addps) X(addpd) X(subps) X(subpd) X(mulps) X(mulpd) X(divps) X(divpd) X(minps) X(minpd) X(maxps) X(maxpd) \
	X(sqrtps) X(sqrtpd) X(haddps) X(haddpd) X(hsubps) X(hsubpd) X(addsubps) X(addsubpd) \
	X(roundps) X(roundpd) X(dpps) X(dppd) X(cmpps) X(cmppd) X(rcpps) X(rsqrtps) \
	X(cvtdq2ps) X(cvtps2dq) X(cvttps2dq) X(cvtss2sd) X(cvtsd2ss) \
	X(cvtps2pd) X(cvtdq2pd) X(cvtpd2ps) X(cvtpd2dq) X(cvttpd2dq) X(cvtph2ps) X(cvtps2ph) \
	/* b: an integer of imm bytes */ \
	X(cvtsi2ss) X(cvtsi2sd) \
	/* d: an integer of imm bytes, zero-extended to 64 bits */ \
	X(cvtss2si) X(cvttss2si) X(cvtsd2si) X(cvttsd2si) \
	/* d: ZF, PF and CF of the comparison; imm 1: quiet NaNs are invalid too (COMIS) */ \
	X(comiss) X(comisd)
/* d is the first operand as well as the result, a the second, b the third */
#define HOSTFP_FMA_FORMS(X, OP, T) \
	X(v##OP##132##T, OP, 132, T) X(v##OP##213##T, OP, 213, T) X(v##OP##231##T, OP, 231, T)
#define HOSTFP_FMA_LIST(X) \
	HOSTFP_FMA_FORMS(X, fmadd, ps) HOSTFP_FMA_FORMS(X, fmadd, pd) \
	HOSTFP_FMA_FORMS(X, fmsub, ps) HOSTFP_FMA_FORMS(X, fmsub, pd) \
	HOSTFP_FMA_FORMS(X, fnmadd, ps) HOSTFP_FMA_FORMS(X, fnmadd, pd) \
	HOSTFP_FMA_FORMS(X, fnmsub, ps) HOSTFP_FMA_FORMS(X, fnmsub, pd) \
	HOSTFP_FMA_FORMS(X, fmaddsub, ps) HOSTFP_FMA_FORMS(X, fmaddsub, pd) \
	HOSTFP_FMA_FORMS(X, fmsubadd, ps) HOSTFP_FMA_FORMS(X, fmsubadd, pd)
/* clang-format on */

#define HOSTFP_PROTO(n) fp_fn hostfp_##n;
HOSTFP_LIST(HOSTFP_PROTO)
#undef HOSTFP_PROTO
#define HOSTFP_PROTO(n, op, form, t) fp_fn hostfp_##n;
HOSTFP_FMA_LIST(HOSTFP_PROTO)
#undef HOSTFP_PROTO

/* What a computer without FMA uses; exposed for the tests. form 132, 213, 231; element 4 or 8. */
enum fma_op { FMA_fmadd, FMA_fmsub, FMA_fnmadd, FMA_fnmsub, FMA_fmaddsub, FMA_fmsubadd };
u32 hostfp_fma_soft(void *d, const void *a, const void *b, unsigned bytes, u32 csr, enum fma_op op, unsigned form,
		    unsigned element);

#endif
