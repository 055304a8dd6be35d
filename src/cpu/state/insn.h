/*
 * The decoded instruction and its row. One immutable 64-byte form serves interpreter, tracer and translator; one row per
 * mnemonic and form holds all that is known of it: features, modes, privilege, intercept, undefined flags, handler.
 * A decoded mnemonic without a row is #UD.
 */
#ifndef CPU_INSN_H
#define CPU_INSN_H

#include "arch/features.h"

struct cpu;
struct insn;
struct insn_row;
struct dec;

/* How an instruction ended. Guest faults are values; the details are in cpu->fault and cpu->exit. */
enum xr {
	XR_OK,
	XR_FAULT, /* cpu->fault holds the event; nothing of the instruction was committed */
	XR_EXIT,  /* cpu->exit holds the request to leave the guest */
	XR_STOP,  /* the machine stops or resets before anything else happens here */
};

typedef enum xr insn_fn(struct cpu *c, const struct insn *i);

#define TRY(expr)                                                                                                      \
	do {                                                                                                           \
		enum xr try_ = (expr);                                                                                 \
		if (unlikely(try_ != XR_OK))                                                                           \
			return try_;                                                                                   \
	} while (0)

/* Register operands are byte offsets into cpu->r, so that AH..BH and every width use one form: AH is offset 1. */
#define REG_OFF(n) ((u8)((n) * 8))
enum { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_ZERO = 16, REG_RIP = 17, REG_SLOTS = 18 };

enum insn_flag {
	INSN_FLAT = 1,  /* 64-bit mode: linear address = segment base + effective address, no limit checks */
	INSN_LOADS = 2, /* reads memory: operands, stack, strings */
	INSN_REP = 4,   /* F3 as REP/REPE */
	INSN_REPNE = 8, /* F2 as REPNE */
	INSN_MEM = 16,  /* has a memory operand (base, index, scale, disp, seg) */
	INSN_UPDATES = 32, /* reads and writes one memory operand; then neither INSN_LOADS nor INSN_STORES */
	INSN_VEX = 64,
	INSN_STORES = 128,
};

struct insn {
	insn_fn *fast; /* runs this instruction, then tail-calls the next of the block */
	insn_fn *fn;   /* runs this instruction alone */
	const struct insn_row *row;
	u64 imm;       /* first immediate, sign-extended as the instruction demands; far pointers: offset */
	s64 disp;      /* memory displacement; RIP-relative ones already include off + len (base slot REG_RIP) */
	u16 off;       /* bytes from the block's first instruction */
	u8 idx;        /* instructions before this one in the block */
	u8 len;
	u8 opsz;       /* effective operand size in bytes: 1, 2, 4, 8 (vector: 16, 32) */
	u8 addrsz;     /* effective address size in bytes */
	u8 flags;      /* enum insn_flag */
	u8 seg;        /* effective segment of the memory operand, SEG_ES..SEG_GS (already overridden) */
	u8 base, index; /* byte offsets into cpu->r; absent: REG_OFF(REG_ZERO) */
	u8 scale;      /* shift count 0..3 */
	u8 memsz;      /* bytes of the memory operand where it differs from opsz, else equal */
	u8 r0, r1, r2, r3; /* register operands in the manual's order: byte offsets for GPRs, numbers for all others */
	u8 opcode;     /* last opcode byte */
	u8 modrm;      /* 0 if none */
	u8 cc;         /* condition code of Jcc, SETcc, CMOVcc: opcode bits 3:0; others: handler's own use */
	u8 imm2;       /* second immediate (ENTER level, far selector low byte via imm>>32, ...), VEX.L for vectors */
	u32 aux;       /* handler's own use, set at bind time */
};
_Static_assert(sizeof(struct insn) == 64, "struct insn is one cache line");

enum row_flag {
	ROW_BRANCH = 1,     /* always sets rip itself; ends its block */
	ROW_END = 2,        /* ends its block: may change mode, translation, interrupt flag, or time */
	ROW_NO_REAL = 4,    /* #UD in real mode and virtual-8086 mode */
	ROW_NO_V86 = 8,     /* #UD in virtual-8086 mode */
	ROW_NOT64 = 16,     /* #UD in 64-bit mode */
	ROW_ONLY64 = 32,    /* #UD outside 64-bit mode */
	ROW_CPL0 = 64,      /* #GP(0) if CPL > 0 (real mode counts as 0, v86 as 3) */
	ROW_LATE_ICPT = 128, /* the intercept is tested after CPL and operand faults: the handler calls icpt_test() itself */
	ROW_FPU = 256,      /* touches x87/MMX: #NM by CR0.EM/TS, pending #MF per handler */
	ROW_SSE = 512,      /* #UD by CR0.EM or CR4.OSFXSR=0, #NM by TS */
	ROW_AVX = 1024,     /* #UD unless CR4.OSXSAVE and XCR0[2:1]=3 and protected mode; #NM by TS */
	ROW_PURE = 2048,    /* cannot fault, touches no memory: runs without bookkeeping */
	ROW_LOCK = 4096,    /* LOCK allowed with a memory destination (Zydis already refuses other LOCKs) */
	ROW_COMPAT_UD = 8192, /* #UD in compatibility mode (long mode active, CS.L = 0) */
	ROW_MMX = 16384,    /* MMX: #UD by CR0.EM, #NM by TS, pending #MF; sets TOP=0 and tags */
	ROW_REPEAT = 32768, /* sets rip itself because it repeats: no branch */
	ROW_LOADS_TF = 65536, /* the TF that it loads decides about its own single-step trap, which it raises itself */
};

struct insn_row {
	u16 mnemonic;    /* ZydisMnemonic */
	u32 flags;       /* enum row_flag */
	u16 feature;     /* enum feature that must be present, FEAT_NONE */
	u16 icpt;        /* enum icpt, tested by the gate before everything but #UD (see ROW_LATE_ICPT) */
	u32 undef_flags; /* FL_* bits the manual leaves undefined */
	const char *form; /* "ADD r/m, r": unique; tests and references print it */
	bool (*match)(const struct dec *d);           /* NULL: any form of this mnemonic; first match in order wins */
	void (*bind)(struct insn *i, const struct dec *d); /* picks specialised handlers; NULL: fn, generic chain */
	insn_fn *fn;
	insn_fn *unavailable; /* in place of #UD where mode or features take the instruction away: #UD, but says why; or NULL */
	const void *op;  /* the family's own: an operation function or table */
};

struct row_set {
	const struct insn_row *rows;
	size_t count;
};

/*
 * The forms that decode/ binds where a row's bind() chose none. A handler is `static inline enum xr NAME(c, i)`, and
 * exec.h's CHAIN(NAME) makes NAME_fast from the same body: handlers are free of dispatch.
 */
struct dispatch {
	insn_fn *call;   /* any ungated row, through i->fn */
	insn_fn *gated;  /* rows with a gate */
	insn_fn *locked; /* instructions that lock the bus, in modes in which that is watched */
	insn_fn *end;    /* the pseudo-instruction behind a block's last one */
};

#endif
