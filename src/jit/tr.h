/* One superblock being translated: what analyse.c says of its instructions, the state of the flags, and what comes behind. */
#ifndef JIT_TR_H
#define JIT_TR_H

#include "jit/priv.h"

enum kind {
	K_STOP, /* left to the interpreter, with all behind it */
	K_CALL, /* its handler */
	K_NOTHING,
	K_MOV, K_EXTEND, K_LEA, K_XCHG, K_CMOV, K_SETCC, K_BSWAP, K_ACCUMULATOR,
	K_ALU, K_TEST, K_UNARY, K_SHIFT, K_IMUL, K_MUL, K_BT, K_COUNT, K_XADD, K_CMPXCHG,
	K_PUSH, K_POP, K_LEAVE,
	K_JCC, K_JMP, K_CALL_NEAR, K_RET,
};

enum writes { W_NONE, W_ALL, W_SOME };

struct props {
	u8 kind, op;
	u8 writes;    /* enum writes: of the arithmetic flags */
	bool reads;   /* some of them */
	bool leaves;  /* may be left to its handler: everything must be recoverable ahead of it */
	bool of;      /* reads OF among them */
	u32 mods;     /* guest registers written */
};

enum recipe { RE_NONE, RE_CMP, RE_TEST, RE_ADD, RE_SUB, RE_NEG, RE_BT };

/* Where the flags are. `dead`: nowhere, nobody asks before they are written again. */
struct flags {
	bool dead, image, live /* in EFLAGS */, no_of /* but OF there is wrong */, logic /* AF is 0 whatever EFLAGS says */;
	u8 recipe, size;      /* enum recipe: computed again from registers that have not changed */
	u8 a, b;              /* guest registers; b NO_REG: imm */
	s32 imm;
};
#define NO_REG 0xff

struct slow {
	u8 *site[4];          /* jumps that lead here */
	unsigned sites;
	struct flags f;
	u32 number;           /* of the instruction */
	u8 *back;
};

struct tr {
	struct emit e;
	struct jit *j;
	const struct cpu *c;
	const struct block *b;
	u64 rip;
	unsigned n;           /* instructions that are translated */
	unsigned k;           /* the one at hand */
	struct flags f;
	struct props p[BLOCK_MAX + 1];
	bool asked[BLOCK_MAX + 1]; /* are the flags as they are ahead of this instruction asked for? */
	struct slow slow[BLOCK_MAX + 1];
	unsigned slows;
};

/* ---- analyse.c ---- */
void analyse(struct tr *t);

/* ---- flags.c ---- */
void flags_need(struct tr *t, bool of, bool cf_only); /* into EFLAGS */
void flags_image(struct tr *t);                       /* into memory; what is in EFLAGS stays there */
void flags_image_of(struct tr *t, const struct flags *f); /* the same on the slow side */
void flags_lost(struct tr *t);                        /* ahead of what writes EFLAGS beside the guest */
void flags_kept(struct tr *t);                        /* ahead of what writes the instruction's registers */
void flags_set_by(struct tr *t, const struct flags *f); /* the instruction wrote them */

/* ---- access.c ---- */
enum access { A_READ, A_WRITE, A_UPDATE };
/* ADDRESS <- the computer's address of the memory operand, or of `disp` behind a register; else to the handler. */
struct opnd access_operand(struct tr *t, unsigned size, enum access a);
struct opnd access_stack(struct tr *t, unsigned guest_reg, s32 disp, enum access a);
struct opnd address_operand(struct tr *t, const struct insn *i); /* for LEA: an operand of registers, with SCRATCH ones */

/* ---- operands ---- */
static inline const struct insn *insn_at(const struct tr *t) { return &t->b->insn[t->k]; }
static inline u64 rip_at(const struct tr *t, unsigned k) { return t->rip + t->b->insn[k].off; }
static inline u64 rip_behind(const struct tr *t, unsigned k) { return rip_at(t, k) + t->b->insn[k].len; }

/* A register slot of struct insn. */
static inline struct opnd guest(u8 slot, unsigned size)
{
	const unsigned g = slot >> 3, h = jit_host_reg[g & 15];

	if (slot & 7) /* AH, CH, DH, BH */
		return (struct opnd){.high = true, .byte = true, .n = (u8)(g + 4), .index = NO_INDEX};
	if (h == HOST_NONE)
		return o_mem(FRAME, CPU_AT(r) + 8 * (s32)g);
	return o_sized(h, size);
}
static inline struct opnd guest_reg(unsigned g, unsigned size)
{
	return guest(REG_OFF(g), size);
}

/* ---- ops.c: false: no such code; what was written is void ---- */
bool translate_insn(struct tr *t);
/* ---- translate.c ---- */
u32 insn_number(struct tr *t, unsigned k);
void call_handler(struct tr *t);

#endif
