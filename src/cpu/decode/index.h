/* The instruction table of one model, indexed by Zydis' mnemonic, and one Zydis decoder per code and stack size. */
#ifndef CPU_DECODE_INDEX_H
#define CPU_DECODE_INDEX_H

#include "cpu/decode/decode.h"

enum { DEC_REAL, DEC_16, DEC_16_SS32, DEC_32, DEC_32_SS16, DEC_64, DEC_COUNT };

struct decode_index {
	ZydisDecoder zydis[DEC_COUNT];
	const struct dispatch *how;
	u32 first[ZYDIS_MNEMONIC_MAX_VALUE + 2]; /* rows[first[m]] .. rows[first[m + 1]] belong to mnemonic m */
	const struct insn_row *rows[];
};

/* NULL: no row, so the instruction is #UD here. */
const struct insn_row *decode_index_find(const struct decode_index *d, const struct dec *view);
const ZydisDecoder *decode_index_decoder(const struct decode_index *d, u8 mode);

#endif
