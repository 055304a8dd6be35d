/*
 * sse: one design for both vector encodings. A row names a handler (the operand shape) and, in its struct vop, a kernel
 * of lanes.h or hostfp.h. vec_bind() brings legacy and VEX operands into one form:
 *
 *	r0 the destination, r1 the first source (legacy: the destination), r2 the last source (0xff: memory), r3 the mask
 *	opsz what the kernel gets as `bytes`; cc the bytes written (VEX: zeroes above); aux the alignment rule
 *
 * so that a handler is: fetch the last source, run the kernel, write. Legacy forms keep bits 255:128.
 */
#ifndef CPU_EXEC_SSE_H
#define CPU_EXEC_SSE_H

#include "cpu/exec/exec.h"
#include "cpu/exec/hostfp.h"
#include "cpu/exec/lanes.h"

struct vop {
	union {
		lane_fn *lane;
		lane_imm_fn *imm;
		fp_fn *fp;
	};
	u8 bytes;       /* scalar: 4 or 8; 0: the vector length */
	u8 element;     /* for handlers that ask: bytes of an element */
	u8 legacy_imm;  /* legacy form: the immediate's valid bits, 0: all */
	u8 flags;       /* enum vop_flag */
};
enum vop_flag {
	VOP_UNALIGNED = 1, /* legacy form: memory need not be aligned (MOVUPS, PCMPISTRI...) */
	VOP_ALIGNED = 2,   /* both forms: memory must be aligned to the vector length (MOVAPS, MOVNTDQ...) */
	VOP_SIGNAL = 4,    /* COMISS: quiet NaNs are invalid operations */
	VOP_INDEX64 = 8,   /* gathers: the indices are quadwords */
	VOP_SHA = 16,      /* processors differ in whether memory must be aligned */
};

/* aux: the low bits of the address that must be zero, and whether MXCSR.MM lifts it ("Misaligned SSE Mode"). */
#define VEC_ALIGN 0x3fu
#define VEC_MM    0x80u

void vec_bind(struct insn *i, const struct dec *d);
/* First operand's register class etc. for match functions. */
bool vec_match_xmm(const struct dec *d);    /* legacy encoding, on XMM registers: not MMX, not string MOVSD */
bool vec_match_vex(const struct dec *d);
bool vec_match_vex128(const struct dec *d);
bool vec_match_vex256(const struct dec *d);
bool vec_is_vex(const struct dec *d);
/* The nth explicit operand, NULL if there is none. */
const ZydisDecodedOperand *vec_operand(const struct dec *d, unsigned n);
bool vec_is_mem(const struct dec *d, unsigned n);

/* Handlers; .op is a struct vop. imm2: the size of a general register operand. */
insn_fn vec_lane, vec_lane_imm, vec_blendv; /* integer kernels */
insn_fn vec_fp, vec_fma, vec_dot;           /* floating point */
insn_fn vec_fp_from_int, vec_fp_to_int, vec_comis;
insn_fn vec_test;                           /* PTEST, VTESTPS, VTESTPD by .element (1: all bits) */
insn_fn vec_cmpstr;                         /* PCMPxSTRx: .element bit 0 index form, bit 1 explicit lengths */

/* Raised flags go to MXCSR; #XM (or #UD) if one of them is unmasked. */
enum xr vec_fp_flags(struct cpu *c, u32 raised) must_check;

enum xr vec_read_slow(struct cpu *c, la_t la, unsigned size, unsigned access, void *out) must_check;
enum xr vec_write_slow(struct cpu *c, la_t la, unsigned size, unsigned access, const void *in) must_check;

/* `size` bytes of guest memory, up to 32; nothing is written unless all of it can be. */
static inline enum xr vec_load(struct cpu *c, la_t la, unsigned size, unsigned access, void *out)
{
	struct l1_entry *e = &c->l1[(la >> PAGE_SHIFT) & ((1u << L1_BITS) - 1)];

	if (likely(e->tag_r == (((la + (size - 1)) & PAGE_MASK) | c->ctx))) {
		memcpy(out, (const void *)(la + e->add), size);
		return XR_OK;
	}
	return vec_read_slow(c, la, size, access | ACC_READ, out);
}

static inline enum xr vec_store(struct cpu *c, la_t la, unsigned size, unsigned access, const void *in)
{
	struct l1_entry *e = &c->l1[(la >> PAGE_SHIFT) & ((1u << L1_BITS) - 1)];

	if (likely(e->tag_w == (((la + (size - 1)) & PAGE_MASK) | c->ctx) && !*e->flag)) {
		memcpy((void *)(la + e->add), in, size);
		return XR_OK;
	}
	return vec_write_slow(c, la, size, access | ACC_WRITE, in);
}

static inline bool vec_misaligned(const struct cpu *c, const struct insn *i, la_t la)
{
	return la & i->aux & VEC_ALIGN && !(i->aux & VEC_MM && c->mxcsr & MXCSR_MM);
}

static inline unsigned vec_stack(const struct insn *i)
{
	return i->seg == SEG_SS ? ACC_STACK : 0;
}

/* The memory operand of i, with the form's alignment rule. */
static inline enum xr vec_mem_read(struct cpu *c, const struct insn *i, unsigned size, union vec *t)
{
	la_t la;

	TRY(insn_la(c, i, size, ACC_READ, &la));
	if (unlikely(vec_misaligned(c, i, la)))
		return fault_gp(c, 0);
	if (size == 16)
		return vec_load(c, la, 16, vec_stack(i), t);
	if (size < 16)
		*t = (union vec){ 0 };
	return vec_load(c, la, size, vec_stack(i), t);
}

static inline enum xr vec_mem_write(struct cpu *c, const struct insn *i, unsigned size, const void *in)
{
	la_t la;

	TRY(insn_la(c, i, size, ACC_WRITE, &la));
	if (unlikely(vec_misaligned(c, i, la)))
		return fault_gp(c, 0);
	return vec_store(c, la, size, vec_stack(i), in);
}

/* Address of bytes [off, off + len) of the memory operand: masked accesses check what they touch only. */
static inline enum xr vec_part_la(struct cpu *c, const struct insn *i, u32 off, u32 len, unsigned access, la_t *la)
{
	u64 ea = insn_ea(c, i) + off;

	ea = i->addrsz == 8 ? ea : i->addrsz == 4 ? (u32)ea : (u16)ea;
	if (likely(i->flags & INSN_FLAT)) {
		*la = ea + c->sb.base[i->seg];
		return XR_OK;
	}
	return seg_address(c, i->seg, ea, len, access, la);
}

/* The last source: a register, or memory read into t. */
static inline enum xr vec_source(struct cpu *c, const struct insn *i, union vec *t, const union vec **b)
{
	if (!(i->flags & INSN_MEM)) {
		*b = &c->v[i->r2];
		return XR_OK;
	}
	*b = t;
	return vec_mem_read(c, i, i->memsz, t);
}

/* After the low bytes of v[n] were written: what becomes of the rest. */
static inline void vec_finish(struct cpu *c, const struct insn *i, unsigned n)
{
	if ((i->flags & INSN_VEX) && i->cc == 16)
		c->v[n].q[2] = c->v[n].q[3] = 0;
}

static inline void vec_write_reg(struct cpu *c, const struct insn *i, unsigned n, const union vec *t)
{
	memcpy(&c->v[n], t, 16);
	if (i->cc == 32)
		memcpy(&c->v[n].q[2], &t->q[2], 16);
	vec_finish(c, i, n);
}

/* ---- rows ---- */
#define VOP(...) (&(const struct vop){ __VA_ARGS__ })
#define LEGACY_ROW(M, FEAT, FN, ...)                                                                                   \
	{ .mnemonic = ZYDIS_MNEMONIC_##M, .flags = ROW_SSE, .feature = FEAT_##FEAT, .form = #M " xmm",                 \
	  .match = vec_match_xmm, .bind = vec_bind, .fn = FN, .op = VOP(__VA_ARGS__) },
#define VEX_ROW_AS(M, FORM, FEAT, MATCH, FN, ...)                                                                      \
	{ .mnemonic = ZYDIS_MNEMONIC_##M, .flags = ROW_AVX, .feature = FEAT_##FEAT, .form = #M FORM, .match = MATCH,   \
	  .bind = vec_bind, .fn = FN, .op = VOP(__VA_ARGS__) },
/* VEX forms of a legacy row: any length with AVX; 128 bits with AVX and 256 with AVX2; 128 bits only. */
#define VEX_ROW(M, FEAT, FN, ...) VEX_ROW_AS(V##M, "", AVX, vec_match_vex, FN, __VA_ARGS__)
#define VEX2_ROW(M, FEAT, FN, ...)                                                                                     \
	VEX_ROW_AS(V##M, " xmm", AVX, vec_match_vex128, FN, __VA_ARGS__)                                               \
	VEX_ROW_AS(V##M, " ymm", AVX2, vec_match_vex256, FN, __VA_ARGS__)
#define VEX128_ROW(M, FEAT, FN, ...) VEX_ROW_AS(V##M, " xmm", AVX, vec_match_vex128, FN, __VA_ARGS__)

/* clang-format off */

/* Instructions with a legacy and a VEX form: X(mnemonic, legacy feature, handler, kernel...). */
#define VEC_FP_OPS(X) \
	X(ADDPS, SSE, vec_fp, .fp = hostfp_addps) X(ADDSS, SSE, vec_fp, .fp = hostfp_addps, .bytes = 4) \
	X(ADDPD, SSE2, vec_fp, .fp = hostfp_addpd) X(ADDSD, SSE2, vec_fp, .fp = hostfp_addpd, .bytes = 8) \
	X(SUBPS, SSE, vec_fp, .fp = hostfp_subps) X(SUBSS, SSE, vec_fp, .fp = hostfp_subps, .bytes = 4) \
	X(SUBPD, SSE2, vec_fp, .fp = hostfp_subpd) X(SUBSD, SSE2, vec_fp, .fp = hostfp_subpd, .bytes = 8) \
	X(MULPS, SSE, vec_fp, .fp = hostfp_mulps) X(MULSS, SSE, vec_fp, .fp = hostfp_mulps, .bytes = 4) \
	X(MULPD, SSE2, vec_fp, .fp = hostfp_mulpd) X(MULSD, SSE2, vec_fp, .fp = hostfp_mulpd, .bytes = 8) \
	X(DIVPS, SSE, vec_fp, .fp = hostfp_divps) X(DIVSS, SSE, vec_fp, .fp = hostfp_divps, .bytes = 4) \
	X(DIVPD, SSE2, vec_fp, .fp = hostfp_divpd) X(DIVSD, SSE2, vec_fp, .fp = hostfp_divpd, .bytes = 8) \
	X(MINPS, SSE, vec_fp, .fp = hostfp_minps) X(MINSS, SSE, vec_fp, .fp = hostfp_minps, .bytes = 4) \
	X(MINPD, SSE2, vec_fp, .fp = hostfp_minpd) X(MINSD, SSE2, vec_fp, .fp = hostfp_minpd, .bytes = 8) \
	X(MAXPS, SSE, vec_fp, .fp = hostfp_maxps) X(MAXSS, SSE, vec_fp, .fp = hostfp_maxps, .bytes = 4) \
	X(MAXPD, SSE2, vec_fp, .fp = hostfp_maxpd) X(MAXSD, SSE2, vec_fp, .fp = hostfp_maxpd, .bytes = 8) \
	X(SQRTPS, SSE, vec_fp, .fp = hostfp_sqrtps) X(SQRTSS, SSE, vec_fp, .fp = hostfp_sqrtps, .bytes = 4) \
	X(SQRTPD, SSE2, vec_fp, .fp = hostfp_sqrtpd) X(SQRTSD, SSE2, vec_fp, .fp = hostfp_sqrtpd, .bytes = 8) \
	X(RCPPS, SSE, vec_fp, .fp = hostfp_rcpps) X(RCPSS, SSE, vec_fp, .fp = hostfp_rcpps, .bytes = 4) \
	X(RSQRTPS, SSE, vec_fp, .fp = hostfp_rsqrtps) X(RSQRTSS, SSE, vec_fp, .fp = hostfp_rsqrtps, .bytes = 4) \
	X(CMPPS, SSE, vec_fp, .fp = hostfp_cmpps, .legacy_imm = 7) \
	X(CMPSS, SSE, vec_fp, .fp = hostfp_cmpps, .legacy_imm = 7, .bytes = 4) \
	X(CMPPD, SSE2, vec_fp, .fp = hostfp_cmppd, .legacy_imm = 7) \
	X(CMPSD, SSE2, vec_fp, .fp = hostfp_cmppd, .legacy_imm = 7, .bytes = 8) \
	X(HADDPS, SSE3, vec_fp, .fp = hostfp_haddps) X(HADDPD, SSE3, vec_fp, .fp = hostfp_haddpd) \
	X(HSUBPS, SSE3, vec_fp, .fp = hostfp_hsubps) X(HSUBPD, SSE3, vec_fp, .fp = hostfp_hsubpd) \
	X(ADDSUBPS, SSE3, vec_fp, .fp = hostfp_addsubps) X(ADDSUBPD, SSE3, vec_fp, .fp = hostfp_addsubpd) \
	X(ROUNDPS, SSE4_1, vec_fp, .fp = hostfp_roundps) X(ROUNDSS, SSE4_1, vec_fp, .fp = hostfp_roundps, .bytes = 4) \
	X(ROUNDPD, SSE4_1, vec_fp, .fp = hostfp_roundpd) X(ROUNDSD, SSE4_1, vec_fp, .fp = hostfp_roundpd, .bytes = 8) \
	X(DPPS, SSE4_1, vec_dot, .fp = hostfp_dpps) X(DPPD, SSE4_1, vec_dot, .fp = hostfp_dppd) \
	X(COMISS, SSE, vec_comis, .fp = hostfp_comiss, .bytes = 4, .flags = VOP_SIGNAL) \
	X(COMISD, SSE2, vec_comis, .fp = hostfp_comisd, .bytes = 8, .flags = VOP_SIGNAL) \
	X(UCOMISS, SSE, vec_comis, .fp = hostfp_comiss, .bytes = 4) \
	X(UCOMISD, SSE2, vec_comis, .fp = hostfp_comisd, .bytes = 8) \
	X(CVTDQ2PS, SSE2, vec_fp, .fp = hostfp_cvtdq2ps) X(CVTPS2DQ, SSE2, vec_fp, .fp = hostfp_cvtps2dq) \
	X(CVTTPS2DQ, SSE2, vec_fp, .fp = hostfp_cvttps2dq) X(CVTDQ2PD, SSE2, vec_fp, .fp = hostfp_cvtdq2pd) \
	X(CVTPS2PD, SSE2, vec_fp, .fp = hostfp_cvtps2pd) X(CVTPD2PS, SSE2, vec_fp, .fp = hostfp_cvtpd2ps) \
	X(CVTPD2DQ, SSE2, vec_fp, .fp = hostfp_cvtpd2dq) X(CVTTPD2DQ, SSE2, vec_fp, .fp = hostfp_cvttpd2dq) \
	X(CVTSS2SD, SSE2, vec_fp, .fp = hostfp_cvtss2sd, .bytes = 4) \
	X(CVTSD2SS, SSE2, vec_fp, .fp = hostfp_cvtsd2ss, .bytes = 8) \
	X(CVTSI2SS, SSE, vec_fp_from_int, .fp = hostfp_cvtsi2ss, .bytes = 4) \
	X(CVTSI2SD, SSE2, vec_fp_from_int, .fp = hostfp_cvtsi2sd, .bytes = 8) \
	X(CVTSS2SI, SSE, vec_fp_to_int, .fp = hostfp_cvtss2si, .bytes = 4) \
	X(CVTTSS2SI, SSE, vec_fp_to_int, .fp = hostfp_cvttss2si, .bytes = 4) \
	X(CVTSD2SI, SSE2, vec_fp_to_int, .fp = hostfp_cvtsd2si, .bytes = 8) \
	X(CVTTSD2SI, SSE2, vec_fp_to_int, .fp = hostfp_cvttsd2si, .bytes = 8) \
	/* the floating-point names of integer kernels */ \
	X(ANDPS, SSE, vec_lane, .lane = lanes_and) X(ANDPD, SSE2, vec_lane, .lane = lanes_and) \
	X(ANDNPS, SSE, vec_lane, .lane = lanes_andn) X(ANDNPD, SSE2, vec_lane, .lane = lanes_andn) \
	X(ORPS, SSE, vec_lane, .lane = lanes_or) X(ORPD, SSE2, vec_lane, .lane = lanes_or) \
	X(XORPS, SSE, vec_lane, .lane = lanes_xor) X(XORPD, SSE2, vec_lane, .lane = lanes_xor) \
	X(UNPCKLPS, SSE, vec_lane, .lane = lanes_punpckldq) X(UNPCKHPS, SSE, vec_lane, .lane = lanes_punpckhdq) \
	X(UNPCKLPD, SSE2, vec_lane, .lane = lanes_punpcklqdq) X(UNPCKHPD, SSE2, vec_lane, .lane = lanes_punpckhqdq) \
	X(SHUFPS, SSE, vec_lane_imm, .imm = lanes_shufps) X(SHUFPD, SSE2, vec_lane_imm, .imm = lanes_shufpd) \
	X(MOVHLPS, SSE, vec_lane, .lane = lanes_movhlps) X(MOVLHPS, SSE, vec_lane, .lane = lanes_movlhps) \
	X(MOVSHDUP, SSE3, vec_lane, .lane = lanes_movshdup) X(MOVSLDUP, SSE3, vec_lane, .lane = lanes_movsldup) \
	X(MOVDDUP, SSE3, vec_lane, .lane = lanes_movddup) \
	X(BLENDPS, SSE4_1, vec_lane_imm, .imm = lanes_blendps) X(BLENDPD, SSE4_1, vec_lane_imm, .imm = lanes_blendpd) \
	X(BLENDVPS, SSE4_1, vec_blendv, .element = 4) X(BLENDVPD, SSE4_1, vec_blendv, .element = 8) \
	X(INSERTPS, SSE4_1, vec_lane_imm, .imm = lanes_insertps) \
	X(PTEST, SSE4_1, vec_test, .element = 1)

#define VEC_INT_OPS(X) \
	X(PADDB, SSE2, vec_lane, .lane = lanes_paddb) X(PADDW, SSE2, vec_lane, .lane = lanes_paddw) \
	X(PADDD, SSE2, vec_lane, .lane = lanes_paddd) X(PADDQ, SSE2, vec_lane, .lane = lanes_paddq) \
	X(PSUBB, SSE2, vec_lane, .lane = lanes_psubb) X(PSUBW, SSE2, vec_lane, .lane = lanes_psubw) \
	X(PSUBD, SSE2, vec_lane, .lane = lanes_psubd) X(PSUBQ, SSE2, vec_lane, .lane = lanes_psubq) \
	X(PADDSB, SSE2, vec_lane, .lane = lanes_paddsb) X(PADDSW, SSE2, vec_lane, .lane = lanes_paddsw) \
	X(PADDUSB, SSE2, vec_lane, .lane = lanes_paddusb) X(PADDUSW, SSE2, vec_lane, .lane = lanes_paddusw) \
	X(PSUBSB, SSE2, vec_lane, .lane = lanes_psubsb) X(PSUBSW, SSE2, vec_lane, .lane = lanes_psubsw) \
	X(PSUBUSB, SSE2, vec_lane, .lane = lanes_psubusb) X(PSUBUSW, SSE2, vec_lane, .lane = lanes_psubusw) \
	X(PAND, SSE2, vec_lane, .lane = lanes_and) X(PANDN, SSE2, vec_lane, .lane = lanes_andn) \
	X(POR, SSE2, vec_lane, .lane = lanes_or) X(PXOR, SSE2, vec_lane, .lane = lanes_xor) \
	X(PCMPEQB, SSE2, vec_lane, .lane = lanes_pcmpeqb) X(PCMPEQW, SSE2, vec_lane, .lane = lanes_pcmpeqw) \
	X(PCMPEQD, SSE2, vec_lane, .lane = lanes_pcmpeqd) X(PCMPEQQ, SSE4_1, vec_lane, .lane = lanes_pcmpeqq) \
	X(PCMPGTB, SSE2, vec_lane, .lane = lanes_pcmpgtb) X(PCMPGTW, SSE2, vec_lane, .lane = lanes_pcmpgtw) \
	X(PCMPGTD, SSE2, vec_lane, .lane = lanes_pcmpgtd) X(PCMPGTQ, SSE4_2, vec_lane, .lane = lanes_pcmpgtq) \
	X(PMINUB, SSE2, vec_lane, .lane = lanes_pminub) X(PMINSB, SSE4_1, vec_lane, .lane = lanes_pminsb) \
	X(PMINUW, SSE4_1, vec_lane, .lane = lanes_pminuw) X(PMINSW, SSE2, vec_lane, .lane = lanes_pminsw) \
	X(PMINUD, SSE4_1, vec_lane, .lane = lanes_pminud) X(PMINSD, SSE4_1, vec_lane, .lane = lanes_pminsd) \
	X(PMAXUB, SSE2, vec_lane, .lane = lanes_pmaxub) X(PMAXSB, SSE4_1, vec_lane, .lane = lanes_pmaxsb) \
	X(PMAXUW, SSE4_1, vec_lane, .lane = lanes_pmaxuw) X(PMAXSW, SSE2, vec_lane, .lane = lanes_pmaxsw) \
	X(PMAXUD, SSE4_1, vec_lane, .lane = lanes_pmaxud) X(PMAXSD, SSE4_1, vec_lane, .lane = lanes_pmaxsd) \
	X(PAVGB, SSE2, vec_lane, .lane = lanes_pavgb) X(PAVGW, SSE2, vec_lane, .lane = lanes_pavgw) \
	X(PMULLW, SSE2, vec_lane, .lane = lanes_pmullw) X(PMULHW, SSE2, vec_lane, .lane = lanes_pmulhw) \
	X(PMULHUW, SSE2, vec_lane, .lane = lanes_pmulhuw) X(PMULLD, SSE4_1, vec_lane, .lane = lanes_pmulld) \
	X(PMULHRSW, SSSE3, vec_lane, .lane = lanes_pmulhrsw) X(PMULUDQ, SSE2, vec_lane, .lane = lanes_pmuludq) \
	X(PMULDQ, SSE4_1, vec_lane, .lane = lanes_pmuldq) X(PMADDWD, SSE2, vec_lane, .lane = lanes_pmaddwd) \
	X(PMADDUBSW, SSSE3, vec_lane, .lane = lanes_pmaddubsw) X(PSADBW, SSE2, vec_lane, .lane = lanes_psadbw) \
	X(PSIGNB, SSSE3, vec_lane, .lane = lanes_psignb) X(PSIGNW, SSSE3, vec_lane, .lane = lanes_psignw) \
	X(PSIGND, SSSE3, vec_lane, .lane = lanes_psignd) X(PABSB, SSSE3, vec_lane, .lane = lanes_pabsb) \
	X(PABSW, SSSE3, vec_lane, .lane = lanes_pabsw) X(PABSD, SSSE3, vec_lane, .lane = lanes_pabsd) \
	X(PACKSSWB, SSE2, vec_lane, .lane = lanes_packsswb) X(PACKSSDW, SSE2, vec_lane, .lane = lanes_packssdw) \
	X(PACKUSWB, SSE2, vec_lane, .lane = lanes_packuswb) X(PACKUSDW, SSE4_1, vec_lane, .lane = lanes_packusdw) \
	X(PUNPCKLBW, SSE2, vec_lane, .lane = lanes_punpcklbw) X(PUNPCKHBW, SSE2, vec_lane, .lane = lanes_punpckhbw) \
	X(PUNPCKLWD, SSE2, vec_lane, .lane = lanes_punpcklwd) X(PUNPCKHWD, SSE2, vec_lane, .lane = lanes_punpckhwd) \
	X(PUNPCKLDQ, SSE2, vec_lane, .lane = lanes_punpckldq) X(PUNPCKHDQ, SSE2, vec_lane, .lane = lanes_punpckhdq) \
	X(PUNPCKLQDQ, SSE2, vec_lane, .lane = lanes_punpcklqdq) X(PUNPCKHQDQ, SSE2, vec_lane, .lane = lanes_punpckhqdq) \
	X(PSHUFB, SSSE3, vec_lane, .lane = lanes_pshufb) \
	X(PHADDW, SSSE3, vec_lane, .lane = lanes_phaddw) X(PHADDD, SSSE3, vec_lane, .lane = lanes_phaddd) \
	X(PHADDSW, SSSE3, vec_lane, .lane = lanes_phaddsw) X(PHSUBW, SSSE3, vec_lane, .lane = lanes_phsubw) \
	X(PHSUBD, SSSE3, vec_lane, .lane = lanes_phsubd) X(PHSUBSW, SSSE3, vec_lane, .lane = lanes_phsubsw) \
	X(PSLLDQ, SSE2, vec_lane_imm, .imm = lanes_pslldq) X(PSRLDQ, SSE2, vec_lane_imm, .imm = lanes_psrldq) \
	X(PSHUFD, SSE2, vec_lane_imm, .imm = lanes_pshufd) X(PSHUFLW, SSE2, vec_lane_imm, .imm = lanes_pshuflw) \
	X(PSHUFHW, SSE2, vec_lane_imm, .imm = lanes_pshufhw) X(PALIGNR, SSSE3, vec_lane_imm, .imm = lanes_palignr) \
	X(PBLENDW, SSE4_1, vec_lane_imm, .imm = lanes_pblendw) X(PBLENDVB, SSE4_1, vec_blendv, .element = 1) \
	X(MPSADBW, SSE4_1, vec_lane_imm, .imm = lanes_mpsadbw) \
	X(PMOVSXBW, SSE4_1, vec_lane, .lane = lanes_pmovsxbw) \
	X(PMOVSXBD, SSE4_1, vec_lane, .lane = lanes_pmovsxbd) X(PMOVSXBQ, SSE4_1, vec_lane, .lane = lanes_pmovsxbq) \
	X(PMOVSXWD, SSE4_1, vec_lane, .lane = lanes_pmovsxwd) X(PMOVSXWQ, SSE4_1, vec_lane, .lane = lanes_pmovsxwq) \
	X(PMOVSXDQ, SSE4_1, vec_lane, .lane = lanes_pmovsxdq) \
	X(PMOVZXBW, SSE4_1, vec_lane, .lane = lanes_pmovzxbw) X(PMOVZXBD, SSE4_1, vec_lane, .lane = lanes_pmovzxbd) \
	X(PMOVZXBQ, SSE4_1, vec_lane, .lane = lanes_pmovzxbq) X(PMOVZXWD, SSE4_1, vec_lane, .lane = lanes_pmovzxwd) \
	X(PMOVZXWQ, SSE4_1, vec_lane, .lane = lanes_pmovzxwq) X(PMOVZXDQ, SSE4_1, vec_lane, .lane = lanes_pmovzxdq)

/* Shifts: by an immediate (listed first, told apart by the last operand) or by a register or memory. */
#define VEC_SHIFT_OPS(X) \
	X(PSLLW, psllw) X(PSLLD, pslld) X(PSLLQ, psllq) X(PSRLW, psrlw) X(PSRLD, psrld) X(PSRLQ, psrlq) \
	X(PSRAW, psraw) X(PSRAD, psrad)

/* VEX.256 does not exist. */
#define VEC_128_OPS(X) \
	X(PHMINPOSUW, SSE4_1, vec_lane, .lane = lanes_phminposuw) \
	X(PCMPESTRM, SSE4_2, vec_cmpstr, .element = 2, .flags = VOP_UNALIGNED) \
	X(PCMPESTRI, SSE4_2, vec_cmpstr, .element = 3, .flags = VOP_UNALIGNED) \
	X(PCMPISTRM, SSE4_2, vec_cmpstr, .element = 0, .flags = VOP_UNALIGNED) \
	X(PCMPISTRI, SSE4_2, vec_cmpstr, .element = 1, .flags = VOP_UNALIGNED)

/* clang-format on */

/* Immediate shifts need their own match: vec_match_*_imm. */
bool vec_match_xmm_imm(const struct dec *d);
bool vec_match_vex128_imm(const struct dec *d);
bool vec_match_vex256_imm(const struct dec *d);

#endif
