/*
 * lanes: what the integer vector instructions do to bytes, words, doublewords and quadwords, in portable C. A kernel
 * works on `bytes` bytes: 8 (MMX), 16 (SSE, VEX.128) or 32 (VEX.256, each 128-bit lane by itself where the manual says
 * so). d may be a or b. Unary kernels read b only. No faults, no flags, no state.
 */
#ifndef CPU_EXEC_LANES_H
#define CPU_EXEC_LANES_H

#include "base/base.h"

typedef void lane_fn(void *d, const void *a, const void *b, unsigned bytes);
typedef void lane_imm_fn(void *d, const void *a, const void *b, unsigned bytes, unsigned imm);

/* clang-format off */
/* d = a op b; any width */
#define LANES_BINARY(X) \
	X(paddb) X(paddw) X(paddd) X(paddq) X(psubb) X(psubw) X(psubd) X(psubq) \
	X(paddsb) X(paddsw) X(paddusb) X(paddusw) X(psubsb) X(psubsw) X(psubusb) X(psubusw) \
	X(and) X(andn) X(or) X(xor) \
	X(pcmpeqb) X(pcmpeqw) X(pcmpeqd) X(pcmpeqq) X(pcmpgtb) X(pcmpgtw) X(pcmpgtd) X(pcmpgtq) \
	X(pminub) X(pminsb) X(pminuw) X(pminsw) X(pminud) X(pminsd) \
	X(pmaxub) X(pmaxsb) X(pmaxuw) X(pmaxsw) X(pmaxud) X(pmaxsd) \
	X(pavgb) X(pavgw) X(pmullw) X(pmulhw) X(pmulhuw) X(pmulld) X(pmulhrsw) X(pmuludq) X(pmuldq) \
	X(psignb) X(psignw) X(psignd) X(pmaddwd) X(pmaddubsw) X(psadbw) \
	X(packsswb) X(packssdw) X(packuswb) X(packusdw) \
	X(punpcklbw) X(punpcklwd) X(punpckldq) X(punpckhbw) X(punpckhwd) X(punpckhdq) \
	X(pshufb) X(phaddw) X(phaddd) X(phaddsw) X(phsubw) X(phsubd) X(phsubsw) \
	X(psllw) X(pslld) X(psllq) X(psrlw) X(psrld) X(psrlq) X(psraw) X(psrad) \
	X(pabsb) X(pabsw) X(pabsd)
/* 16 or 32 bytes only */
#define LANES_WIDE(X) \
	X(punpcklqdq) X(punpckhqdq) X(phminposuw) X(movshdup) X(movsldup) X(movddup) X(movhlps) X(movlhps) \
	X(pmovsxbw) X(pmovsxbd) X(pmovsxbq) X(pmovsxwd) X(pmovsxwq) X(pmovsxdq) \
	X(pmovzxbw) X(pmovzxbd) X(pmovzxbq) X(pmovzxwd) X(pmovzxwq) X(pmovzxdq) \
	X(psllvd) X(psllvq) X(psrlvd) X(psrlvq) X(psravd) \
	X(broadcastb) X(broadcastw) X(broadcastd) X(broadcastq) X(broadcast128) \
	X(permilps) X(permilpd) X(permd)
/* with an immediate; psllw_i..: b shifted by imm; pshufw is MMX's */
#define LANES_IMM(X) \
	X(psllw_i) X(pslld_i) X(psllq_i) X(psrlw_i) X(psrld_i) X(psrlq_i) X(psraw_i) X(psrad_i) X(pslldq) X(psrldq) \
	X(pshufw) X(pshufd) X(pshuflw) X(pshufhw) X(palignr) X(pblendw) X(blendps) X(blendpd) X(shufps) X(shufpd) \
	X(insertps) X(mpsadbw) X(perm2x128) X(permq) X(permilps_i) X(permilpd_i) X(insert128)
/* clang-format on */

#define LANES_PROTO(n) lane_fn lanes_##n;
LANES_BINARY(LANES_PROTO)
LANES_WIDE(LANES_PROTO)
#undef LANES_PROTO
#define LANES_PROTO(n) lane_imm_fn lanes_##n;
LANES_IMM(LANES_PROTO)
#undef LANES_PROTO

/* Where the sign bit of m's element (1, 4 or 8 bytes) is set: b's element, else a's. */
void lanes_blendv(void *d, const void *a, const void *b, const void *m, unsigned bytes, unsigned element);
/* The sign bits of the elements, lowest first. */
u32 lanes_movmsk(const void *a, unsigned bytes, unsigned element);

#endif
