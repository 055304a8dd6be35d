/*
 * x87 arithmetic on the computer's own x87, one thunk per instruction and operand kind. A thunk loads the guest's
 * control word, masks included, and executes one instruction whose stack effect does not depend on its exceptions, so
 * that the hardware's own unmasked responses (scaled results, untouched destinations) are the answer. An unmasked
 * exception only becomes #MF at the next waiting instruction: FNSTSW and FNCLEX, which follow at once, do not wait
 * ("x87 FPU Exception Synchronization"), so none is ever taken here. Instructions that would push or pop run with
 * everything masked.
 */
#include "cpu/exec/fpu.h"

static const u16 host_cw = X87_CW_INIT;

/* The widest memory operand a thunk may touch, as an asm operand. */
struct bytes16 {
	u8 b[16];
};
#define MEM(p)      (*(struct bytes16 *)(p))
#define CONST_MEM(p) (*(const struct bytes16 *)(p))

#define PROLOGUE "fnclex\n\tfldcw %[cw]\n\t"
#define EPILOGUE "fnstsw %%ax\n\tfnclex\n\tfldcw %[hc]\n\t"
#define CLOBBER  "memory", "st", "st(1)", "st(2)"

/* d = a OP b, b in ST(1) */
#define OP2_ST(NAME, INSN)                                                                                             \
	u16 NAME(struct f80 *d, const struct f80 *a, const void *b, u16 cw)                                            \
	{                                                                                                              \
		u16 sw;                                                                                                \
		__asm__ volatile(PROLOGUE "fldt %[b]\n\tfldt %[a]\n\t" INSN "\n\t" EPILOGUE                            \
				 "fstpt %[d]\n\tfstp %%st(0)"                                                          \
				 : "=&a"(sw), [d] "=m"(MEM(d))                                                         \
				 : [a] "m"(CONST_MEM(a)), [b] "m"(CONST_MEM(b)), [cw] "m"(cw), [hc] "m"(host_cw)       \
				 : CLOBBER);                                                                           \
		return sw;                                                                                             \
	}

/* d = a OP memory */
#define OP2_MEM(NAME, INSN)                                                                                            \
	u16 NAME(struct f80 *d, const struct f80 *a, const void *b, u16 cw)                                            \
	{                                                                                                              \
		u16 sw;                                                                                                \
		__asm__ volatile(PROLOGUE "fldt %[a]\n\t" INSN " %[b]\n\t" EPILOGUE "fstpt %[d]"                       \
				 : "=&a"(sw), [d] "=m"(MEM(d))                                                         \
				 : [a] "m"(CONST_MEM(a)), [b] "m"(CONST_MEM(b)), [cw] "m"(cw), [hc] "m"(host_cw)       \
				 : CLOBBER);                                                                           \
		return sw;                                                                                             \
	}

#define OP1(NAME, INSN)                                                                                                \
	u16 NAME(struct f80 *d, const struct f80 *a, u16 cw)                                                           \
	{                                                                                                              \
		u16 sw;                                                                                                \
		__asm__ volatile(PROLOGUE "fldt %[a]\n\t" INSN "\n\t" EPILOGUE "fstpt %[d]"                            \
				 : "=&a"(sw), [d] "=m"(MEM(d))                                                         \
				 : [a] "m"(CONST_MEM(a)), [cw] "m"(cw), [hc] "m"(host_cw)                              \
				 : CLOBBER);                                                                           \
		return sw;                                                                                             \
	}

/* Does not pop: memory stays as it was under an unmasked IE, OE or UE. */
#define STORE(NAME, INSN)                                                                                              \
	u16 NAME(void *d, const struct f80 *a, u16 cw)                                                                 \
	{                                                                                                              \
		u16 sw;                                                                                                \
		__asm__ volatile(PROLOGUE "fldt %[a]\n\t" INSN " %[d]\n\t" EPILOGUE "fstp %%st(0)"                     \
				 : "=&a"(sw), [d] "+m"(MEM(d))                                                         \
				 : [a] "m"(CONST_MEM(a)), [cw] "m"(cw), [hc] "m"(host_cw)                              \
				 : CLOBBER);                                                                           \
		return sw;                                                                                             \
	}

/* Pops, hence runs masked; the caller drops the value where IE is unmasked. */
#define STORE_POP(NAME, INSN)                                                                                          \
	u16 NAME(void *d, const struct f80 *a, u16 cw)                                                                 \
	{                                                                                                              \
		u16 sw;                                                                                                \
		cw |= X87_EXC;                                                                                         \
		__asm__ volatile(PROLOGUE "fldt %[a]\n\t" INSN " %[d]\n\t" EPILOGUE                                    \
				 : "=&a"(sw), [d] "=m"(MEM(d))                                                         \
				 : [a] "m"(CONST_MEM(a)), [cw] "m"(cw), [hc] "m"(host_cw)                              \
				 : CLOBBER);                                                                           \
		return sw;                                                                                             \
	}

#define LOAD(NAME, INSN)                                                                                               \
	u16 NAME(struct f80 *d, const void *m)                                                                         \
	{                                                                                                              \
		u16 sw;                                                                                                \
		__asm__ volatile("fnclex\n\t" INSN " %[m]\n\tfnstsw %%ax\n\tfnclex\n\tfstpt %[d]"                      \
				 : "=&a"(sw), [d] "=m"(MEM(d))                                                         \
				 : [m] "m"(CONST_MEM(m))                                                               \
				 : CLOBBER);                                                                           \
		return sw;                                                                                             \
	}

#define FAMILY(OP)                                                                                                     \
	static OP2_ST(OP##_st, "f" #OP " %%st(1), %%st") static OP2_MEM(OP##_m32, "f" #OP "s")                         \
	static OP2_MEM(OP##_m64, "f" #OP "l") static OP2_MEM(OP##_i32, "fi" #OP "l")                                   \
	static OP2_MEM(OP##_i16, "fi" #OP "s")

/* clang-format off */
FAMILY(add)
FAMILY(mul)
FAMILY(sub)
FAMILY(subr)
FAMILY(div)
FAMILY(divr)
static OP2_ST(com_st, "fcom %%st(1)")
static OP2_MEM(com_m32, "fcoms")
static OP2_MEM(com_m64, "fcoml")
static OP2_MEM(com_i32, "ficoml")
static OP2_MEM(com_i16, "ficoms")
OP2_ST(x87_host_fucom, "fucom %%st(1)")
OP2_ST(x87_host_fscale, "fscale")
OP1(x87_host_fsqrt, "fsqrt")
OP1(x87_host_frndint, "frndint")
OP1(x87_host_ftst, "ftst")
LOAD(x87_host_fld32, "flds")
LOAD(x87_host_fld64, "fldl")
STORE(x87_host_fst32, "fsts")
STORE(x87_host_fst64, "fstl")
STORE_POP(x87_host_fist16, "fistps")
STORE_POP(x87_host_fist32, "fistpl")
STORE_POP(x87_host_fist64, "fistpll")
STORE_POP(x87_host_fisttp16, "fisttps")
STORE_POP(x87_host_fisttp32, "fisttpl")
STORE_POP(x87_host_fisttp64, "fisttpll")
STORE_POP(x87_host_fbst, "fbstp")

#define BY_SRC(OP) {OP##_st, OP##_m32, OP##_m64, OP##_i32, OP##_i16}
x87_op2 *const x87_arith_ops[8][X87_SRCS] = {
	BY_SRC(add), BY_SRC(mul), BY_SRC(com), BY_SRC(com), BY_SRC(sub), BY_SRC(subr), BY_SRC(div), BY_SRC(divr),
};
/* clang-format on */
