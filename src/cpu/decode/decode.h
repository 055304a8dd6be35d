/*
 * decode: Zydis adapter -> struct insn, and the decoded-block cache keyed by (physical page, offset, mode).
 * No hand-written decode tables: Zydis decodes, the instruction table binds. May call: state, mmu (fetch).
 */
#ifndef CPU_DECODE_H
#define CPU_DECODE_H

#include <Zydis/Zydis.h>

#include "cpu/mmu/mmu.h"
#include "cpu/state/model.h"

/* What bind() and match() see. */
struct dec {
	const ZydisDecodedInstruction *zi;
	const ZydisDecodedOperand *op; /* zi->operand_count of them */
	u8 mode;                       /* enum cpu_mode */
	const struct cpu *cpu;         /* model and features only */
	const struct insn_row *row;
};

#define BLOCK_MAX 64
#define BLOCK_KEY_PLACE 16   /* in a key: the place in memory, above the mode */
#define BLOCK_KEY_ONE   0x80u  /* beside the mode: a block of one instruction */
#define BLOCK_KEY_CUT   0x100u /* a block in a page with a debugger's breakpoint: followed by no other but through block_next() */
struct block {
	u64 key;              /* place of the first byte in memory, mode, and what else tells blocks apart */
	u16 n;                /* instructions, without the end */
	u16 bytes;
	u32 cost;             /* cycles at least: n */
	bool valid;
	struct block *hash_next, *page_next;
	struct { u16 off; struct block *b; } succ[2]; /* within the same linear page: next rip's page offset -> block */
	struct { u64 rip, context; struct block *b; } far[2]; /* in 64-bit mode: in another page, while block_context() is this */
	u8 succ_turn;
	u16 reach;            /* bytes that make it what it is: of its instructions, and what made the last one invalid */
	bool linkable;        /* its last instruction changes neither mode nor translation */
	bool scratch;         /* not in the cache: page-crossing, cut by a limit, outside RAM */
	/* The translator's own; all 0 as the block is built. */
	u32 heat;             /* entries so far */
	u32 flushes;          /* of the translator when native was right */
	void *native;
	insn_fn *first;       /* what insn[0].fast was */
	struct insn insn[];   /* n of them, then the end pseudo-instruction */
};

/* Everything but the address that decides which block a linear address leads to. */
static inline u64 block_context(const struct cpu *c)
{
	return c->ctx | (u64)c->mode << 16 | (u64)c->index << 24 | (u64)c->fetch_gen << 32;
}

/* A cached block fits unless the code segment's limit cuts it here. */
static inline bool block_fits(const struct cpu *c, const struct block *b)
{
	return mode64(c) || c->r[REG_RIP] + b->bytes - 1 <= c->seg[SEG_CS].limit;
}

/* how: the forms that rows without their own are bound to. */
enum status decode_index_new(const struct decode_index **out, const struct cpu_model *m, const struct feature_set *f,
			     const struct dispatch *how);
void decode_index_free(const struct decode_index *d);
#define CODE_CACHE_LEAST (64ull << 10)
#define CODE_CACHE_USUAL (256ull << 20)
#define CODE_CACHE_MOST  (4ull << 30)
enum status code_cache_new(struct code_cache **out, struct bus *bus);
enum status code_cache_limit(struct code_cache *cc, u64 size); /* bytes of blocks at most, before the first one */
void code_cache_free(struct code_cache *cc);
void code_cache_flush(struct code_cache *cc);

/* Who makes native code of blocks: told of each that may be run more than once, when it comes and when it goes. */
struct translator {
	void (*built)(void *arg, const struct cpu *c, struct block *b);
	void (*dropped)(void *arg, struct block *b);
	void (*flushed)(void *arg); /* every block is void */
	void *arg;
};
void code_cache_translate(struct code_cache *cc, const struct translator *t); /* NULL: nobody */
struct block *code_cache_peek(struct code_cache *cc, u64 key); /* NULL: not decoded */


/* Per-processor scratch: called by cpu_init and cpu_fini. */
enum status decode_cpu_init(struct cpu *c);
void decode_cpu_fini(struct cpu *c);
u64 code_cache_built(const struct code_cache *cc); /* statistics: blocks decoded so far */

/* The block at cs:rip; XR_FAULT if its first instruction cannot be fetched. prev: the one that led there from the block
 * at `before`, and is told so; NULL: none. */
enum xr block_next(struct cpu *c, struct block *prev, u64 before, struct block **out) must_check;

/* One instruction from bytes; out->off and out->idx are taken from the caller. Returns its length, 0 if n is too few bytes
 * to tell. What does not decode, has no row, or is too long becomes an instruction that raises #UD or #GP(0). */
int decode_bytes(const struct cpu *c, u8 mode, const u8 *bytes, size_t n, struct insn *out);
/* Of the n bytes there were: those that made it what it is. What is invalid may become valid by any that was looked at. */
size_t decode_reach(const struct insn *i, size_t n);
void disassemble(const struct cpu *c, u64 rip, const u8 *bytes, size_t n, char *text, size_t text_len);

#endif
