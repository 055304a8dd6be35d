/*
 * The x87 environment and everything that MMX, FXSAVE and XSAVE share with it. Private to exec and the run loop's gate.
 * Stack, tags, condition codes, pointers and faults are kept here in software; x87_arith.c's thunks only do arithmetic.
 */
#ifndef CPU_EXEC_FPU_H
#define CPU_EXEC_FPU_H

#include "cpu/control/xstate.h"
#include "cpu/exec/exec.h"

/* "x87 FPU Status Register", "x87 FPU Control Word" */
enum {
	X87_IE = 1 << 0, X87_DE = 1 << 1, X87_ZE = 1 << 2, X87_OE = 1 << 3, X87_UE = 1 << 4, X87_PE = 1 << 5,
	X87_EXC = 0x3f, X87_SF = 1 << 6, X87_ES = 1 << 7, X87_C0 = 1 << 8, X87_C1 = 1 << 9, X87_C2 = 1 << 10,
	X87_C3 = 1 << 14, X87_B = 1 << 15, X87_CC = X87_C0 | X87_C1 | X87_C2 | X87_C3,
	X87_TOP = 7 << 11,
	/* Exceptions found before there is a result: unmasked, they leave the destination alone. */
	X87_EARLY = X87_IE | X87_DE | X87_ZE,
	X87_RC_SHIFT = 10, X87_CW_INIT = 0x37f,
};
enum { X87_RC_NEAREST, X87_RC_DOWN, X87_RC_UP, X87_RC_ZERO };

#define MXCSR_INITIAL 0x1f80u

/* The double extended format: sign and exponent, then a significand with an explicit integer bit. */
struct f80 {
	u64 m;
	u16 se;
	u16 pad[3];
};
#define F80_BYTES 10
#define F80_BIAS  16383

static inline struct f80 f80_make(bool neg, unsigned exp, u64 m)
{
	return (struct f80){.m = m, .se = (u16)((unsigned)neg << 15 | exp)};
}
static inline bool f80_neg(struct f80 a)
{
	return a.se >> 15;
}
static inline unsigned f80_exp(struct f80 a)
{
	return a.se & 0x7fffu;
}
static inline struct f80 f80_indefinite(void)
{
	return f80_make(true, 0x7fff, 3ull << 62);
}

/* "Unsupported Double Extended-Precision Floating-Point Encodings" are a class of their own. */
enum f80_class { F80_ZERO, F80_DENORMAL, F80_NORMAL, F80_INF, F80_QNAN, F80_SNAN, F80_UNSUPPORTED };
static inline enum f80_class f80_classify(struct f80 a)
{
	unsigned e = f80_exp(a);

	if (e == 0)
		return a.m ? F80_DENORMAL : F80_ZERO; /* pseudo-denormals are denormal operands */
	if (!(a.m >> 63))
		return F80_UNSUPPORTED;
	if (e != 0x7fff)
		return F80_NORMAL;
	if (!(a.m << 1))
		return F80_INF;
	return a.m >> 62 & 1 ? F80_QNAN : F80_SNAN;
}
static inline bool f80_is_nan(enum f80_class k)
{
	return k == F80_QNAN || k == F80_SNAN;
}

/* ---- the register stack ---- */
static inline unsigned st_phys(const struct cpu *c, unsigned n)
{
	return (c->fpu.top + n) & 7u;
}
static inline bool st_empty(const struct cpu *c, unsigned n)
{
	return !(c->fpu.tag >> st_phys(c, n) & 1);
}
static inline struct f80 st_get(const struct cpu *c, unsigned n)
{
	struct f80 v = {0};

	memcpy(&v, c->fpu.st[st_phys(c, n)], F80_BYTES);
	return v;
}
static inline void st_set(struct cpu *c, unsigned n, struct f80 v)
{
	unsigned p = st_phys(c, n);

	memcpy(c->fpu.st[p], &v, F80_BYTES);
	c->fpu.tag = (u8)(c->fpu.tag | 1u << p);
}
static inline void st_free(struct cpu *c, unsigned n)
{
	c->fpu.tag = (u8)(c->fpu.tag & ~(1u << st_phys(c, n)));
}
static inline void st_pop(struct cpu *c)
{
	st_free(c, 0);
	c->fpu.top = (u16)((c->fpu.top + 1) & 7);
}
static inline void st_push(struct cpu *c, struct f80 v)
{
	c->fpu.top = (u16)((c->fpu.top - 1) & 7);
	st_set(c, 0, v);
}

/* ---- status ---- */
static inline u16 fpu_sw(const struct cpu *c)
{
	return (u16)(c->fpu.sw | c->fpu.top << 11);
}
/* Drive FERR# from ES and CR0.NE. */
void fpu_ferr(struct cpu *c);
/* ES and B summarise the unmasked exceptions; recomputed after anything that changes flags or masks. */
static inline void fpu_summary(struct cpu *c)
{
	bool es = c->fpu.sw & ~c->fpu.cw & X87_EXC;

	c->fpu.sw = (u16)((c->fpu.sw & ~(X87_ES | X87_B)) | (es ? X87_ES | X87_B : 0));
	if (unlikely(es || c->ferr))
		fpu_ferr(c);
}
static inline void fpu_set_cc(struct cpu *c, unsigned which, unsigned value)
{
	c->fpu.sw = (u16)((c->fpu.sw & ~which) | (value & which));
}
void fpu_except_slow(struct cpu *c);
/* Raise exception flags (X87_EXC and X87_SF bits). */
static inline void fpu_except(struct cpu *c, unsigned flags)
{
	c->fpu.sw = (u16)(c->fpu.sw | (flags & (X87_EXC | X87_SF)));
	if (unlikely(flags & ~c->fpu.cw & X87_EXC))
		fpu_except_slow(c);
}
static inline bool fpu_unmasked(const struct cpu *c, unsigned flags)
{
	return flags & ~c->fpu.cw & X87_EXC;
}
/* A stack overflow or underflow. true: masked, the instruction goes on with the indefinite. */
bool fpu_stack_fault(struct cpu *c, bool overflow);

/* ---- waiting, pointers ---- */

/* IGNNE#, or with the emulation that HWCR turns on the MSR in its place: is an error to be ignored? */
static inline bool fpu_ignne(const struct cpu *c)
{
	return c->hwcr & HWCR_IGNNE_EM ? c->ignne_msr : c->ignne;
}
enum xr fpu_pending(struct cpu *c, const struct insn *i) must_check;
/* Every waiting instruction starts with this: #MF for what an earlier one left behind. */
static inline enum xr fpu_wait(struct cpu *c, const struct insn *i)
{
	return unlikely(c->fpu.sw & X87_ES) ? fpu_pending(c, i) : XR_OK;
}
/* "x87 FPU Instruction and Data (Operand) Pointers": non-control instructions, after their last step that can fault.
 * Opcode and data pointer may be a matter of fpu_except_slow() alone. */
static inline void fpu_note(struct cpu *c, const struct insn *i)
{
	struct x87_pointers *now = &c->fpu_now;

	c->fpu.ip = insn_rip(c, i);
	c->fpu.cs = c->seg[SEG_CS].sel;
	now->op = (u16)((i->opcode & 7) << 8 | i->modrm);
	now->mem = i->flags & INSN_MEM;
	if (now->mem) {
		now->dp = insn_ea(c, i);
		now->ds = c->seg[i->seg].sel;
	}
	if (!quirk(c, QUIRK_X87_OP_EXCEPTION))
		c->fpu.op = now->op;
	if (now->mem && !has(c, FEAT_FDP_EXCPTN_ONLY)) {
		c->fpu.dp = now->dp;
		c->fpu.ds = now->ds;
	}
}
static inline unsigned stack_access(const struct insn *i)
{
	return i->seg == SEG_SS ? ACC_STACK : 0;
}
/* An image of the FPU's state in memory: processors of both makers look at its last byte first. */
static inline enum xr image_span(struct cpu *c, const struct insn *i, la_t la, u32 size, unsigned access, struct span *s)
{
	u64 ea = insn_ea(c, i), end = i->addrsz == 8 ? ea + size - 1 : (u32)(ea + size - 1);
	la_t last = la + (end - ea);

	access |= stack_access(i);
	if (!long_mode(c) || is_canonical(last, c->la_bits))
		TRY(mem_span(c, long_mode(c) ? last : (u32)last, 1, access, s));
	return mem_span(c, la, size, access, s);
}

/* ---- memory operands of 2, 4, 8 or 10 bytes (x87_memory.c) ---- */
enum xr x87_read(struct cpu *c, const struct insn *i, unsigned size, u8 buf[16]) must_check;
enum xr x87_prove(struct cpu *c, const struct insn *i, unsigned size, struct span *s) must_check;
enum xr x87_write(struct cpu *c, const struct insn *i, unsigned size, const u8 buf[16]) must_check;
enum xr x87_write_halves(struct cpu *c, const struct insn *i, const u8 buf[16]) must_check; /* QUIRK_FBSTP_HALVES */

/* ---- environment ---- */
void fpu_reset(struct cpu *c, bool init); /* x87, MMX, SSE, AVX, PKRU, XCR0, XSS; INIT keeps them all */
void fpu_finit(struct cpu *c);
u16 fpu_tag_word(const struct cpu *c);    /* the two-bit form */
bool fpu_is_initial(const struct cpu *c); /* XINUSE[0] would be 0 */
/* The control instructions. */
insn_fn fpu_fldcw, fpu_fnstcw, fpu_fnstsw, fpu_fnclex, fpu_fninit, fpu_fldenv, fpu_fnstenv, fpu_fnsave, fpu_frstor,
	fpu_fwait, fpu_nop;

/* ---- gates: #UD, then #NM, then #MF; the run loop calls them for rows with the flag ---- */
enum xr fpu_gate(struct cpu *c, const struct insn *i) must_check; /* ROW_FPU; #MF is the handler's (no-wait forms) */
enum xr mmx_gate(struct cpu *c, const struct insn *i) must_check; /* ROW_MMX */
enum xr sse_gate(struct cpu *c, const struct insn *i) must_check; /* ROW_SSE */
enum xr avx_gate(struct cpu *c, const struct insn *i) must_check; /* ROW_AVX */

/* ---- arithmetic on the computer's x87 (x87_arith.c) ----
 * Each runs one instruction with the guest's control word and returns the status word it left: exception flags and
 * condition codes are the guest's to merge. *d is written whatever the flags say. */
enum x87_src { X87_ST, X87_M32, X87_M64, X87_I32, X87_I16, X87_SRCS };
typedef u16 x87_op2(struct f80 *d, const struct f80 *a, const void *b, u16 cw);
typedef u16 x87_op1(struct f80 *d, const struct f80 *a, u16 cw);
typedef u16 x87_store(void *d, const struct f80 *a, u16 cw);
/* By ModRM.reg of D8..DE; [2] and [3] compare and write no *d. */
extern x87_op2 *const x87_arith_ops[8][X87_SRCS];
x87_op2 x87_host_fucom, x87_host_fscale;
x87_op1 x87_host_fsqrt, x87_host_frndint, x87_host_ftst;
/* Loads convert with every exception masked; stores likewise where the instruction exists only in a popping form. */
u16 x87_host_fld32(struct f80 *d, const void *m);
u16 x87_host_fld64(struct f80 *d, const void *m);
x87_store x87_host_fst32, x87_host_fst64, x87_host_fist16, x87_host_fist32, x87_host_fist64, x87_host_fisttp16,
	x87_host_fisttp32, x87_host_fisttp64, x87_host_fbst;

/* ---- one fixed software result (x87_trans.c) ----
 * d[0] is the new ST(0), d[1] the second result of FSINCOS (cosine) and FXTRACT (significand). Returns exception flags,
 * C0..C3; nothing is a result where an unmasked X87_EARLY flag is among them. X87_B: FPREM found no quotient. */
typedef u16 x87_soft1(struct f80 d[2], struct f80 a, u16 cw);
typedef u16 x87_soft2(struct f80 *d, struct f80 st0, struct f80 st1, u16 cw);
x87_soft1 x87_f2xm1, x87_fsin, x87_fcos, x87_fsincos, x87_fptan, x87_fxtract;
x87_soft2 x87_fpatan, x87_fyl2x, x87_fyl2xp1, x87_fprem, x87_fprem1;

/* ---- MMX registers: the significands of R0..R7 ---- */
static inline u64 mm_get(const struct cpu *c, unsigned n)
{
	u64 v;

	memcpy(&v, c->fpu.st[n & 7], 8);
	return v;
}
/* "Effect of MMX Instructions on x87 FPU State": every MMX instruction but EMMS sets TOP to 0 and all tags to valid. */
static inline void mm_touch(struct cpu *c)
{
	c->fpu.top = 0;
	c->fpu.tag = 0xff;
}
static inline void mm_set(struct cpu *c, unsigned n, u64 v)
{
	mm_touch(c);
	memcpy(c->fpu.st[n & 7], &v, 8);
	memset(c->fpu.st[n & 7] + 8, 0xff, 2);
}

/* ---- extended state (xsave.c) ---- */
u64 xsave_inuse(const struct cpu *c);                /* XINUSE */
u32 mxcsr_mask(const struct cpu *c);                 /* bits that may be set; others are #GP(0) */
bool xcr0_valid(const struct cpu *c, u64 v);

#endif
