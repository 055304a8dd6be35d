/* What the files of jit/ share. */
#ifndef JIT_PRIV_H
#define JIT_PRIV_H

#include "cpu/decode/decode.h"
#include "cpu/exec/exec.h"
#include "jit/emit.h"
#include "jit/jit.h"

#define FRAME        HR15 /* the struct cpu, FRAME_BIAS bytes in: what is touched most is a byte away */
#define FRAME_BIAS   160
#define SCRATCH      HR9
#define ADDRESS      HR10 /* of guest memory: linear, then the computer's */
#define SCRATCH2     HR11
#define CPU_AT(member) ((s32)offsetof(struct cpu, member) - FRAME_BIAS)

/* Where a guest register lives while translated code runs; HOST_NONE: in the struct cpu. */
#define HOST_NONE 0xff
extern const u8 jit_host_reg[16];

/* An instruction that may be handed to its handler. */
struct jit_insn {
	struct insn i;
	u64 rip;
	u32 rest; /* instructions of the superblock from this one on */
};

struct jit_exit_point {
	u64 rip;      /* of the next instruction */
	u64 key;      /* LINK: the block there; 0: none */
	u8 *site;     /* LINK: behind the jump to patch */
	const struct block *block; /* STOP: that of the instruction, `at` in it */
	u32 at;
};

struct jit_branch {
	u64 from, to;
};
#define BRANCH_INDIRECT (~0ull) /* as `to`: it is in the ring */

/* Code that begins at one linear address with one block. */
struct jit_code {
	u64 rip;
	u8 *code, *stale; /* entry; where it leads once the block is void */
	u32 n;            /* instructions */
	struct jit_code *next; /* of the same block, at another address */
};

struct jit_target {
	u64 rip, context;
	const u8 *code;
	u64 unused;
};
#define JIT_TARGETS 4096u

/* Lock-step: a store of translated code. */
struct jit_store {
	u8 *at;
	u64 before, size;
};

struct jit {
	struct jit_config cfg;
	struct translator hook;
	struct code_cache *cache;
	struct jit_counts count;
	/* two views of the same memory: one is written, one is run */
	u8 *rw, *rx;
	u64 size;
	int fd;
	struct emit e;
	u8 *first;      /* behind the stubs */
	const u8 *enter, *leave, *leave_saved, *call, *miss; /* in rw */
	/* what the code refers to by number */
	struct jit_insn *insn;
	struct jit_exit_point *exit;
	struct jit_branch *branch;
	struct jit_code *code;
	u32 insns, exits, branches, codes;
	bool bmi1, bmi2, lzcnt, popcnt; /* of this computer */
	struct jit_target *targets[CPU_MAX]; /* the processors' own */
	struct jit_store stores[2 * BLOCK_MAX];
};

enum xr check_run(struct jit *j, struct cpu *c, const struct block *b, const struct jit_code *t);
enum xr jit_run(struct jit *j, struct cpu *c, const struct jit_code *t);

/* The low two bits of what translated code returns; above them a number. */
enum { LEFT_LINK, LEFT_STOP, LEFT_BUDGET, LEFT_DYNAMIC };
#define LEFT_INDIRECT (0u << 2 | LEFT_DYNAMIC) /* rip is set */
#define LEFT_CALL     (1u << 2 | LEFT_DYNAMIC) /* a handler said so: native.result */

enum status jit_memory_new(struct jit *j);
void jit_memory_free(struct jit *j);
bool jit_room(const struct jit *j);
static inline const u8 *jit_run_view(const struct jit *j, const u8 *p) { return p - j->rw + j->rx; }

void jit_features(struct jit *j);
void jit_stubs(struct jit *j);
/* NULL: nothing to be gained. */
struct jit_code *jit_translate(struct jit *j, struct cpu *c, const struct block *b, u64 rip);
/* Called by translated code: the handler of an instruction. 0: go on. */
u32 jit_call(struct cpu *c, u32 number);

#endif
