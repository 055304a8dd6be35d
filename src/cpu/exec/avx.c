/*
 * exec_avx_rows: every VEX form of the models: AVX, AVX2, FMA, F16C. What has a legacy twin comes from the lists of
 * sse.h and vecmov.h; the rest is listed here. (AES and PCLMULQDQ: crypto.c. VLDMXCSR, VSTMXCSR: the extended-state
 * file.)
 */
#include "cpu/exec/avx2.h"

/* clang-format off */
#define VSHIFT_ROW(M, K) \
	{ .mnemonic = ZYDIS_MNEMONIC_V##M, .flags = ROW_AVX, .feature = FEAT_AVX, .form = "V" #M " xmm, imm8", \
	  .match = vec_match_vex128_imm, .bind = vec_bind, .fn = vec_lane_imm, .op = VOP(.imm = lanes_##K##_i) }, \
	{ .mnemonic = ZYDIS_MNEMONIC_V##M, .flags = ROW_AVX, .feature = FEAT_AVX2, .form = "V" #M " ymm, imm8", \
	  .match = vec_match_vex256_imm, .bind = vec_bind, .fn = vec_lane_imm, .op = VOP(.imm = lanes_##K##_i) }, \
	VEX2_ROW(M, SSE2, vec_lane, .lane = lanes_##K)

#define FMA_FORM(M, K) \
	VEX_ROW_AS(M##PS, "", FMA, vec_match_vex, vec_fma, .fp = hostfp_##K##ps) \
	VEX_ROW_AS(M##PD, "", FMA, vec_match_vex, vec_fma, .fp = hostfp_##K##pd)
#define FMA_SCALARS(M, K) \
	VEX_ROW_AS(M##SS, "", FMA, vec_match_vex, vec_fma, .fp = hostfp_##K##ps, .bytes = 4) \
	VEX_ROW_AS(M##SD, "", FMA, vec_match_vex, vec_fma, .fp = hostfp_##K##pd, .bytes = 8)
#define FMA_ROWS(M, K) \
	FMA_FORM(M##132, K##132) FMA_FORM(M##213, K##213) FMA_FORM(M##231, K##231)
#define FMA_SCALAR_ROWS(M, K) \
	FMA_SCALARS(M##132, K##132) FMA_SCALARS(M##213, K##213) FMA_SCALARS(M##231, K##231)

/* Rows with their own bind, match or handler. */
#define OWN_ROW(M, FORM, FEAT, MATCH, BIND, FN, ...) \
	{ .mnemonic = ZYDIS_MNEMONIC_##M, .flags = ROW_AVX, .feature = FEAT_##FEAT, .form = #M FORM, .match = MATCH, \
	  .bind = BIND, .fn = FN, .op = VOP(__VA_ARGS__) },
#define MASKED_ROW(M, FEAT, E) OWN_ROW(M, "", FEAT, vec_match_vex, avx_bind_masked, avx_maskload, .element = E)
#define GATHER_ROW(M, E, F) OWN_ROW(M, "", AVX2, vec_match_vex, avx_bind_gather, avx_gather, .element = E, .flags = F)
#define V_ROW(M, FEAT, FN, ...) OWN_ROW(M, "", FEAT, vec_match_vex, vec_bind, FN, __VA_ARGS__)

static const struct insn_row rows[] = {
	VEC_MOVES(VEX_MOVE)
	VEC_MOVES_NT_LOAD(VEX2_MOVE)
	VEC_EXCHANGES(VEX_ROW)
	VEC_MASKS_INT(VEX2_ROW)
	VEX_MASKED_ROW(VMASKMOVDQU)
	VEC_FP_OPS(VEX_ROW)
	VEC_INT_OPS(VEX2_ROW)
	VEC_SHIFT_OPS(VSHIFT_ROW)
	VEC_128_OPS(VEX128_ROW)

	/* AVX */
	OWN_ROW(VBROADCASTSS, " m32", AVX, avx_match_mem, vec_bind, vec_lane, .lane = lanes_broadcastd)
	OWN_ROW(VBROADCASTSS, " xmm", AVX2, avx_match_reg, vec_bind, vec_lane, .lane = lanes_broadcastd)
	OWN_ROW(VBROADCASTSD, " m64", AVX, avx_match_mem, vec_bind, vec_lane, .lane = lanes_broadcastq)
	OWN_ROW(VBROADCASTSD, " xmm", AVX2, avx_match_reg, vec_bind, vec_lane, .lane = lanes_broadcastq)
	V_ROW(VBROADCASTF128, AVX, vec_lane, .lane = lanes_broadcast128)
	OWN_ROW(VPERMILPS, " xmm, imm8", AVX, vec_match_vex128_imm, vec_bind, vec_lane_imm, .imm = lanes_permilps_i)
	OWN_ROW(VPERMILPS, " ymm, imm8", AVX, vec_match_vex256_imm, vec_bind, vec_lane_imm, .imm = lanes_permilps_i)
	V_ROW(VPERMILPS, AVX, vec_lane, .lane = lanes_permilps)
	OWN_ROW(VPERMILPD, " xmm, imm8", AVX, vec_match_vex128_imm, vec_bind, vec_lane_imm, .imm = lanes_permilpd_i)
	OWN_ROW(VPERMILPD, " ymm, imm8", AVX, vec_match_vex256_imm, vec_bind, vec_lane_imm, .imm = lanes_permilpd_i)
	V_ROW(VPERMILPD, AVX, vec_lane, .lane = lanes_permilpd)
	V_ROW(VPERM2F128, AVX, vec_lane_imm, .imm = lanes_perm2x128)
	V_ROW(VINSERTF128, AVX, vec_lane_imm, .imm = lanes_insert128)
	V_ROW(VEXTRACTF128, AVX, avx_extract128, .element = 16)
	V_ROW(VTESTPS, AVX, vec_test, .element = 4)
	V_ROW(VTESTPD, AVX, vec_test, .element = 8)
	MASKED_ROW(VMASKMOVPS, AVX, 4)
	MASKED_ROW(VMASKMOVPD, AVX, 8)
	V_ROW(VZEROALL, AVX, avx_zeroall, .element = 0)
	V_ROW(VZEROUPPER, AVX, avx_zeroupper, .element = 0)

	/* AVX2 */
	V_ROW(VBROADCASTI128, AVX2, vec_lane, .lane = lanes_broadcast128)
	V_ROW(VPBROADCASTB, AVX2, vec_lane, .lane = lanes_broadcastb)
	V_ROW(VPBROADCASTW, AVX2, vec_lane, .lane = lanes_broadcastw)
	V_ROW(VPBROADCASTD, AVX2, vec_lane, .lane = lanes_broadcastd)
	V_ROW(VPBROADCASTQ, AVX2, vec_lane, .lane = lanes_broadcastq)
	V_ROW(VPERMD, AVX2, vec_lane, .lane = lanes_permd)
	V_ROW(VPERMPS, AVX2, vec_lane, .lane = lanes_permd)
	V_ROW(VPERMQ, AVX2, vec_lane_imm, .imm = lanes_permq)
	V_ROW(VPERMPD, AVX2, vec_lane_imm, .imm = lanes_permq)
	V_ROW(VPERM2I128, AVX2, vec_lane_imm, .imm = lanes_perm2x128)
	V_ROW(VINSERTI128, AVX2, vec_lane_imm, .imm = lanes_insert128)
	V_ROW(VEXTRACTI128, AVX2, avx_extract128, .element = 16)
	V_ROW(VPSLLVD, AVX2, vec_lane, .lane = lanes_psllvd)
	V_ROW(VPSLLVQ, AVX2, vec_lane, .lane = lanes_psllvq)
	V_ROW(VPSRLVD, AVX2, vec_lane, .lane = lanes_psrlvd)
	V_ROW(VPSRLVQ, AVX2, vec_lane, .lane = lanes_psrlvq)
	V_ROW(VPSRAVD, AVX2, vec_lane, .lane = lanes_psravd)
	V_ROW(VPBLENDD, AVX2, vec_lane_imm, .imm = lanes_blendps)
	MASKED_ROW(VPMASKMOVD, AVX2, 4)
	MASKED_ROW(VPMASKMOVQ, AVX2, 8)
	GATHER_ROW(VGATHERDPS, 4, 0)
	GATHER_ROW(VGATHERQPS, 4, VOP_INDEX64)
	GATHER_ROW(VGATHERDPD, 8, 0)
	GATHER_ROW(VGATHERQPD, 8, VOP_INDEX64)
	GATHER_ROW(VPGATHERDD, 4, 0)
	GATHER_ROW(VPGATHERQD, 4, VOP_INDEX64)
	GATHER_ROW(VPGATHERDQ, 8, 0)
	GATHER_ROW(VPGATHERQQ, 8, VOP_INDEX64)

	/* FMA */
	FMA_ROWS(VFMADD, vfmadd) FMA_ROWS(VFMSUB, vfmsub) FMA_ROWS(VFNMADD, vfnmadd) FMA_ROWS(VFNMSUB, vfnmsub)
	FMA_SCALAR_ROWS(VFMADD, vfmadd) FMA_SCALAR_ROWS(VFMSUB, vfmsub)
	FMA_SCALAR_ROWS(VFNMADD, vfnmadd) FMA_SCALAR_ROWS(VFNMSUB, vfnmsub)
	FMA_ROWS(VFMADDSUB, vfmaddsub) FMA_ROWS(VFMSUBADD, vfmsubadd)

	/* F16C */
	V_ROW(VCVTPH2PS, F16C, avx_cvtph2ps, .fp = hostfp_cvtph2ps)
	V_ROW(VCVTPS2PH, F16C, avx_cvtps2ph, .element = 4)
};
/* clang-format on */

const struct row_set exec_avx_rows = { rows, ARRAY_LEN(rows) };
