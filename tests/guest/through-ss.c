/*
 * A non-canonical address is #SS(0) through SS and #GP(0) through every other segment, whatever the instruction: SDM 2
 * "64-Bit Mode Exceptions", APM 2 "#SS". RSP and RBP as base mean SS. VMX's instructions: tests/virt/vmx_reqs/operands.c.
 */
#include "t64.h"

/* Each once by RSP, which is SS, and once by R10, which is DS. The address is not canonical, and aligned to 64. */
#define BEYOND "mov %%rsp, %%rax; neg %%rax; and $63, %%eax; bts $47, %%rax; mov %%rsp, %%r10"
#define MEM(name, before, behind)                                                                                      \
	RAISES(name, EX_SS, 0, AT, BEYOND, before "(%%rsp,%%rax)" behind);                                             \
	RAISES(name ", DS", EX_GP, 0, AT, BEYOND, before "(%%r10,%%rax)" behind)
#define M(before) MEM(before, before " ", "")      /* the operand is alone or first */
#define MR(insn, more) MEM(insn, insn " ", ", " more) /* memory, more */
#define RM(insn, more) MEM(insn, insn " " more ", ", "") /* more, memory */

static void integer(void)
{
	MR("movb", "%%cl");
	MR("movw", "%%cx");
	MR("mov", "%%ecx");
	MR("mov", "%%rcx");
	RM("movb", "%%cl");
	RM("movl", "$1");
	RM("mov", "%%rcx");
	MR("movzbl", "%%ecx");
	MR("movslq", "%%rcx");
	MR("add", "%%ecx");
	RM("add", "%%rcx");
	RM("lock add", "%%ecx");
	RM("cmp", "%%rcx");
	RM("test", "%%rcx");
	RM("xchg", "%%rcx");
	RM("xadd", "%%rcx");
	RM("cmpxchg", "%%rcx");
	M("cmpxchg8b");
	M("cmpxchg16b");
	RM("bt", "%%rcx");
	RM("bts", "%%rcx");
	RM("btcl", "$3");
	RM("shll", "$3");
	RM("rcrl", "%%cl");
	RM("shld", "$3, %%ecx");
	MR("bsf", "%%rcx");
	MR("imul", "%%rcx");
	M("mulq");
	M("divl");
	M("notq");
	M("negb");
	M("incq");
	M("setc");
	RM("movnti", "%%rcx");
	MR("movbe", "%%ecx");
	MR("cmovc", "%%rcx");
	MR("popcnt", "%%ecx");
	MR("crc32l", "%%ecx");
	MR("adcx", "%%rcx");
	MR("mulx", "%%rcx, %%rdx");
	MR("andn", "%%rcx, %%rcx");
}

static void transfers(void)
{
	M("pushq");
	M("popq");
	M("jmp *");
	M("call *");
	M("ljmp *");
	M("lcall *");
	MR("lfs", "%%ecx");
	MR("lss", "%%ecx");
	MR("mov", "%%ds");
	M("lgdt");
	M("lidt");
	M("sgdt");
	M("sidt");
	M("lldt");
	M("ltr");
	M("sldt");
	M("str");
	M("smsw");
	M("lmsw");
	M("verr");
	M("verw");
	MR("lar", "%%ecx");
	MR("lsl", "%%ecx");
	M("clflush");
	MR("invpcid", "%%rcx");
}

static void floating(void)
{
	M("flds");
	M("fldl");
	M("fldt");
	M("fstps");
	M("fstpt");
	M("filds");
	M("fistpll");
	M("fbld");
	M("fbstp");
	M("fldcw");
	M("fnstcw");
	M("fnstsw");
	M("fldenv");
	M("fnstenv");
	M("frstor");
	M("fnsave");
	M("fxsave");
	M("fxrstor64");
	M("ldmxcsr");
	M("stmxcsr");
	MR("movq", "%%mm0");
	RM("movntq", "%%mm0");
	MR("paddd", "%%mm0");
}

static void vectors(void)
{
	MR("movups", "%%xmm0");
	MR("movaps", "%%xmm0");
	RM("movups", "%%xmm0");
	RM("movaps", "%%xmm0");
	RM("movntps", "%%xmm0");
	MR("movss", "%%xmm0");
	RM("movsd", "%%xmm0");
	MR("movhps", "%%xmm0");
	RM("movlps", "%%xmm0");
	MR("addps", "%%xmm0");
	MR("addss", "%%xmm0");
	MR("cvtsi2sd", "%%xmm0");
	MR("ucomiss", "%%xmm0");
	MR("pshufb", "%%xmm0");
	MR("pmovzxbw", "%%xmm0");
	RM("pextrd", "$1, %%xmm0");
	MEM("pinsrd", "pinsrd $1, ", ", %%xmm0");
	MR("vmovups", "%%ymm0");
	RM("vmovups", "%%ymm0");
	MR("vaddps", "%%ymm0, %%ymm0");
	MR("vbroadcastss", "%%ymm0");
	MR("vmaskmovps", "%%ymm0, %%ymm0");
	MEM("vinserti128", "vinserti128 $1, ", ", %%ymm0, %%ymm0");
	MR("vpmovsxbw", "%%ymm0");
	M("xsave");
	M("xrstor");
	M("xsaveopt");
}

int main(void)
{
	t_setup();
	write_cr4(read_cr4() | 1 << 18);
	asm volatile("xsetbv" ::"c"(0), "a"(7), "d"(0));
	asm volatile("vpcmpeqd %ymm0, %ymm0, %ymm0");
	integer();
	transfers();
	floating();
	vectors();
	return guest_verdict();
}
