/*
 * vecmov: moves between vector registers, general registers and memory, legacy and VEX. A row's op is a struct vmov:
 * vec_bind_move() picks the handler by where the operands are.
 */
#ifndef CPU_EXEC_VECMOV_H
#define CPU_EXEC_VECMOV_H

#include "cpu/exec/sse.h"

struct vmov {
	struct vop op; /* first: vec_bind() looks at it */
	insn_fn *rr, *load, *store;
	insn_fn *from_gpr, *to_gpr;
};

void vec_bind_move(struct insn *i, const struct dec *d);
void vec_bind_masked(struct insn *i, const struct dec *d); /* MASKMOVDQU: the hidden operand [rDI] */

insn_fn vecmov_copy, vecmov_load, vecmov_store;      /* all of it; loads of less are zero-extended to 16 bytes */
insn_fn vecmov_low;                                  /* MOVSS, MOVSD between registers */
insn_fn vecmov_quad;                                 /* MOVQ between registers */
insn_fn vecmov_load_low, vecmov_load_high, vecmov_store_high; /* MOVLPS, MOVHPS... */
insn_fn vecmov_from_gpr, vecmov_to_gpr;
insn_fn vecmov_insert, vecmov_extract;               /* PINSRx, PEXTRx, EXTRACTPS by .element */
insn_fn vecmov_mask;                                 /* MOVMSKPS, PMOVMSKB by .element */
insn_fn vecmov_masked_bytes;                         /* MASKMOVDQU */

#define VMOV(...) (&(const struct vmov){ __VA_ARGS__ })
#define LEGACY_MOVE(M, FEAT, ...)                                                                                      \
	{ .mnemonic = ZYDIS_MNEMONIC_##M, .flags = ROW_SSE, .feature = FEAT_##FEAT, .form = #M " xmm",                 \
	  .match = vec_match_xmm, .bind = vec_bind_move, .fn = vecmov_copy, .op = VMOV(__VA_ARGS__) },
#define VEX_MOVE_AS(M, FORM, FEAT, MATCH, ...)                                                                         \
	{ .mnemonic = ZYDIS_MNEMONIC_##M, .flags = ROW_AVX, .feature = FEAT_##FEAT, .form = #M FORM, .match = MATCH,   \
	  .bind = vec_bind_move, .fn = vecmov_copy, .op = VMOV(__VA_ARGS__) },
#define VEX_MOVE(M, FEAT, ...) VEX_MOVE_AS(V##M, "", AVX, vec_match_vex, __VA_ARGS__)
#define VEX2_MOVE(M, FEAT, ...)                                                                                        \
	VEX_MOVE_AS(V##M, " xmm", AVX, vec_match_vex128, __VA_ARGS__)                                                  \
	VEX_MOVE_AS(V##M, " ymm", AVX2, vec_match_vex256, __VA_ARGS__)
#define LEGACY_MASKED_ROW(M, FEAT)                                                                                     \
	{ .mnemonic = ZYDIS_MNEMONIC_##M, .flags = ROW_SSE, .feature = FEAT_##FEAT, .form = #M " xmm",                 \
	  .match = vec_match_xmm, .bind = vec_bind_masked, .fn = vecmov_masked_bytes, .op = VOP(.element = 1) },
#define VEX_MASKED_ROW(M)                                                                                              \
	{ .mnemonic = ZYDIS_MNEMONIC_##M, .flags = ROW_AVX, .feature = FEAT_AVX, .form = #M " xmm",                    \
	  .match = vec_match_vex128, .bind = vec_bind_masked, .fn = vecmov_masked_bytes, .op = VOP(.element = 1) },

/* clang-format off */
#define VMOV_ALL .rr = vecmov_copy, .load = vecmov_load, .store = vecmov_store
#define VEC_MOVES(X) \
	X(MOVAPS, SSE, .op = { .flags = VOP_ALIGNED }, VMOV_ALL) X(MOVAPD, SSE2, .op = { .flags = VOP_ALIGNED }, VMOV_ALL) \
	X(MOVDQA, SSE2, .op = { .flags = VOP_ALIGNED }, VMOV_ALL) X(MOVUPS, SSE, .op = { .flags = VOP_UNALIGNED }, VMOV_ALL) \
	X(MOVUPD, SSE2, .op = { .flags = VOP_UNALIGNED }, VMOV_ALL) \
	X(MOVDQU, SSE2, .op = { .flags = VOP_UNALIGNED }, VMOV_ALL) \
	X(LDDQU, SSE3, .op = { .flags = VOP_UNALIGNED }, .load = vecmov_load) \
	X(MOVNTPS, SSE, .op = { .flags = VOP_ALIGNED }, .store = vecmov_store) \
	X(MOVNTPD, SSE2, .op = { .flags = VOP_ALIGNED }, .store = vecmov_store) \
	X(MOVNTDQ, SSE2, .op = { .flags = VOP_ALIGNED }, .store = vecmov_store) \
	X(MOVSS, SSE, .op = { .element = 4 }, .rr = vecmov_low, .load = vecmov_load, .store = vecmov_store) \
	X(MOVSD, SSE2, .op = { .element = 8 }, .rr = vecmov_low, .load = vecmov_load, .store = vecmov_store) \
	X(MOVLPS, SSE, .load = vecmov_load_low, .store = vecmov_store) \
	X(MOVLPD, SSE2, .load = vecmov_load_low, .store = vecmov_store) \
	X(MOVHPS, SSE, .load = vecmov_load_high, .store = vecmov_store_high) \
	X(MOVHPD, SSE2, .load = vecmov_load_high, .store = vecmov_store_high) \
	X(MOVD, SSE2, .load = vecmov_load, .store = vecmov_store, .from_gpr = vecmov_from_gpr, .to_gpr = vecmov_to_gpr) \
	X(MOVQ, SSE2, .rr = vecmov_quad, .load = vecmov_load, .store = vecmov_store, .from_gpr = vecmov_from_gpr, \
	  .to_gpr = vecmov_to_gpr)
#define VEC_MOVES_NT_LOAD(X) X(MOVNTDQA, SSE4_1, .op = { .flags = VOP_ALIGNED }, .load = vecmov_load)
#define VEC_MOVES_SSE4A(X) X(MOVNTSS, SSE4A, .store = vecmov_store) X(MOVNTSD, SSE4A, .store = vecmov_store)
/* VEX: 128 bits only, except that VMOVMSKPS and VMOVMSKPD have 256 */
#define VEC_EXCHANGES(X) \
	X(PINSRB, SSE4_1, vecmov_insert, .element = 1) X(PINSRW, SSE2, vecmov_insert, .element = 2) \
	X(PINSRD, SSE4_1, vecmov_insert, .element = 4) X(PINSRQ, SSE4_1, vecmov_insert, .element = 8) \
	X(PEXTRB, SSE4_1, vecmov_extract, .element = 1) X(PEXTRW, SSE2, vecmov_extract, .element = 2) \
	X(PEXTRD, SSE4_1, vecmov_extract, .element = 4) X(PEXTRQ, SSE4_1, vecmov_extract, .element = 8) \
	X(EXTRACTPS, SSE4_1, vecmov_extract, .element = 4) \
	X(MOVMSKPS, SSE, vecmov_mask, .element = 4) X(MOVMSKPD, SSE2, vecmov_mask, .element = 8)
#define VEC_MASKS_INT(X) X(PMOVMSKB, SSE2, vecmov_mask, .element = 1)
/* clang-format on */

#endif
