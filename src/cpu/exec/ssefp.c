/*
 * exec_sse_rows: the legacy forms of SSE floating point and of the moves. The semantics are sse.c's and vecmov.c's.
 */
#include "cpu/exec/vecmov.h"

static const struct insn_row rows[] = {
	VEC_FP_OPS(LEGACY_ROW)
	VEC_MOVES(LEGACY_MOVE)
	VEC_MOVES_NT_LOAD(LEGACY_MOVE)
	VEC_MOVES_SSE4A(LEGACY_MOVE)
	VEC_EXCHANGES(LEGACY_ROW)
	VEC_MASKS_INT(LEGACY_ROW)
	LEGACY_MASKED_ROW(MASKMOVDQU, SSE2)
};

const struct row_set exec_sse_rows = { rows, ARRAY_LEN(rows) };
