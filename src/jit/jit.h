/*
 * jit: hot blocks of 64-bit code as native code of the same architecture. A block that was entered often enough is
 * translated once; its code runs instead of the interpreter's handlers, and ends where they would: the state of the
 * machine, the clock included, is the same at every instruction boundary. What the translated code does not do itself is
 * done by the instruction's handler. Only src/meson.build knows on which computers there is a translator. May call: base,
 * mem, cpu. Called by: machine.
 */
#ifndef JIT_JIT_H
#define JIT_JIT_H

#include "base/base.h"

struct jit;
struct cpu;
struct bus;
struct code_cache;

struct jit_config {
	u32 threshold; /* a block is translated when it has been entered so often; 0: never */
	u64 cache;     /* bytes of code; 0: as many as usual */
	u64 from, to;  /* for tests: only blocks that begin in [from, to), linear; to 0: all */
	bool check;    /* lock-step: the interpreter does everything again, and a difference ends the program */
};

enum jit_exit {
	JIT_EXIT_LINK,     /* what follows is not translated, or not linked yet */
	JIT_EXIT_BUDGET,   /* an event is due within the next superblock */
	JIT_EXIT_INSN,     /* an instruction that is left to the interpreter */
	JIT_EXIT_INDIRECT, /* the target of an indirect branch, or in another page, is not known */
	JIT_EXIT_CALL,     /* a handler faulted, left the guest, or asked for attention */
	JIT_EXITS
};

struct jit_counts {
	u64 superblocks, insns, bytes; /* translated; of native code */
	u64 ns;                        /* time that took */
	u64 flushes;                   /* the cache was full, or the decoded blocks went */
	u64 entries, run, calls;       /* of translated code; instructions retired there, handlers called from there */
	u64 checked;                   /* superblocks compared with the interpreter */
	u64 exits[JIT_EXITS];
};

#ifdef TS_JIT /* src/meson.build: where there is one */
bool jit_available(void);
enum status jit_new(struct jit **out, const struct jit_config *cfg, struct code_cache *code, struct bus *bus);
enum status jit_attach(struct jit *j, struct cpu *c); /* every processor, once it is there */
void jit_free(struct jit *j);
const struct jit_counts *jit_counts(const struct jit *j); /* j NULL: zeros */
const char *jit_exit_name(enum jit_exit e);
#else
static inline bool jit_available(void) { return false; }
static inline enum status jit_new(struct jit **out, const struct jit_config *cfg, struct code_cache *code, struct bus *bus)
{
	(void)cfg, (void)code, (void)bus;
	*out = NULL;
	return ST_OK;
}
static inline enum status jit_attach(struct jit *j, struct cpu *c) { (void)j, (void)c; return ST_OK; }
static inline void jit_free(struct jit *j) { (void)j; }
static inline const struct jit_counts *jit_counts(const struct jit *j)
{
	static const struct jit_counts none;

	(void)j;
	return &none;
}
static inline const char *jit_exit_name(enum jit_exit e) { (void)e; return ""; }
#endif

#endif
