/*
 * avx2: the handlers of VEX instructions that have no legacy form and are more than a kernel: masked moves, gathers,
 * lane extraction, half-precision stores, VZEROALL.
 */
#ifndef CPU_EXEC_AVX2_H
#define CPU_EXEC_AVX2_H

#include "cpu/exec/vecmov.h"

/* .element: bytes of an element of the data; VOP_INDEX64: indices are quadwords. */
void avx_bind_gather(struct insn *i, const struct dec *d);
insn_fn avx_gather;
insn_fn avx_maskload, avx_maskstore;
void avx_bind_masked(struct insn *i, const struct dec *d);
insn_fn avx_extract128;
insn_fn avx_cvtps2ph, avx_cvtph2ps;
insn_fn avx_zeroall, avx_zeroupper;

bool avx_match_mem(const struct dec *d); /* the last operand is memory */
bool avx_match_reg(const struct dec *d);

#endif
