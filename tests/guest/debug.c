/* Debug exceptions: single step, data, I/O and instruction breakpoints, RF, GD, ICEBP. SDM 3B "Debug Registers", "Debug
 * Exceptions". */
#include "t64.h"

#define DR(n)                                                                                                          \
	static u64 dr##n(void)                                                                                         \
	{                                                                                                              \
		u64 v;                                                                                                 \
		asm volatile("mov %%dr" #n ", %0" : "=r"(v));                                                          \
		return v;                                                                                              \
	}                                                                                                              \
	static void set_dr##n(u64 v)                                                                                   \
	{                                                                                                              \
		asm volatile("mov %0, %%dr" #n ::"r"(v) : "memory");                                                   \
	}
DR(0)
DR(1) DR(6) DR(7)

#define DR6_INIT 0xffff0ff0ull
#define BS       (1u << 14)
#define BD       (1u << 13)
#define BLD      (1ull << 11)

static bool bus_lock_detection(void)
{
	u32 r[4];

	cpuid(7, 0, r);
	return r[2] >> 24 & 1;
}

        static unsigned hits;
static struct {
	u64 rip, flags, dr6, dr7;
} hit[16];
static bool set_rf = true, clear_tf;

static bool on_db(struct regs *r)
{
	if (hits < 16) {
		hit[hits].rip = r->rip;
		hit[hits].flags = r->rflags;
		hit[hits].dr7 = dr7();
		hit[hits].dr6 = dr6();
	}
	hits++;
	set_dr6(DR6_INIT);
	if (set_rf)
		r->rflags |= FL_RF;
	if (clear_tf || hits > 12)
		r->rflags &= ~FL_TF;
	return true;
}

#define RUN(code)                                                                                                      \
	({                                                                                                             \
		hits = 0;                                                                                              \
		asm volatile(code ::: T_CLOBBERS, "rbx");                                                              \
		hits;                                                                                                  \
	})
#define L(x)        ((u64)(x))
#define LABELS(...) extern char __VA_ARGS__
#define TF_ON       "pushf; orl $0x100, (%%rsp); popf\n"
#define TF_OFF      "pushf; andl $~0x100, (%%rsp); popf\n"

u64 bp_data[8] __attribute__((aligned(64)));

LABELS(s1[], s2[], s3[], s4[], m1[], m2[], r1[], r2[], n1[], i1[]);
static void single_step(void)
{
	set_rf = false;
	check("steps", RUN(TF_ON "s1: nop; s2: nop; s3: " TF_OFF "s4: nop"), 5);
	check("first trap comes after the instruction behind POPF", hit[0].rip, L(s2));
	check("then one by one", hit[1].rip, L(s3));
	check("last trap is for the POPF that clears TF", hit[4].rip, L(s4));
	check("BS", hit[0].dr6, DR6_INIT | BS);
	check("pushed TF", hit[0].flags & (FL_TF | FL_RF), FL_TF);
	check("MOV SS holds the trap off",
	      RUN("mov %%ss, %%eax\n" TF_ON "nop; m1: mov %%eax, %%ss; m2: nop; nop;" TF_OFF), 6);
	check("trap before MOV SS", hit[0].rip, L(m1));
	check("trap behind the next instruction", hit[1].rip, L(m2) + 1);
	check("REP traps at each iteration",
	      RUN("lea bp_data, %%rsi; lea bp_data+8, %%rdi; mov $3, %%ecx\n" TF_ON "r1: rep movsb; r2: " TF_OFF), 6);
	check("inside REP: RIP at the instruction", hit[0].rip, L(r1));
	check("inside REP again", hit[1].rip, L(r1));
	check("REP done", hit[2].rip, L(r2));
	set_gate(0x90, exception_stubs[0x90], 14, 0, 0);
	clear_tf = false;
	check("INT n clears TF without a trap", RUN(TF_ON "int $0x90; n1: nop; " TF_OFF), 4);
	check("first trap after the handler's IRET", hit[0].rip, L(n1) + 1);
	RUN("pushf; orl $0x100, (%%rsp); pop %%rbx; mov %%rsp, %%rdx; mov %%ss, %%eax; push %%rax; push %%rdx; push "
	    "%%rbx; mov %%cs, %%eax; push %%rax; lea i1, %%rax; push %%rax; iretq; i1: nop; nop;" TF_OFF);
	check("IRET that sets TF", hit[0].rip, L(i1) + 1);
	set_rf = true;
}

static bool nothing(struct regs *r)
{
	(void)r;
	return true;
}

static u64 dr7_for(unsigned n, unsigned rw, unsigned len)
{
	return 0x400 | 2u << (2 * n) | (u64)(rw | len << 2) << (16 + 4 * n);
}

LABELS(d1[], d2[], d3[], d4[], d5[], d6[], d7[], d8[], d9[]);
static void data_breakpoints(void)
{
	set_dr0(L(bp_data));
	set_dr7(dr7_for(0, 1, 3));
	check("write breakpoint", RUN("mov bp_data, %%eax; movl $1, bp_data; d1: nop"), 1);
	check("trap after the write", hit[0].rip, L(d1));
	check("B0", hit[0].dr6, DR6_INIT | 1);
	check("no RF for a trap", hit[0].flags & FL_RF, 0);
	check("last byte", RUN("movb $1, bp_data+3; d2: nop"), 1);
	check("beyond", RUN("movb $1, bp_data+4"), 0);
	check("overlap from below", RUN("movl $1, bp_data-3"), 1);
	check("RMW", RUN("incb bp_data+1"), 1);
	check("push", RUN("mov %%rsp, %%rax; lea bp_data+8, %%rsp; push $1; d3: mov %%rax, %%rsp"), 1);
	check("push RIP", hit[0].rip, L(d3));
	set_dr7(dr7_for(0, 3, 3));
	check("read breakpoint", RUN("mov bp_data, %%eax; d4: nop"), 1);
	check("read RIP", hit[0].rip, L(d4));
	set_dr7(dr7_for(0, 3, 2));
	check("eight bytes", RUN("movb bp_data+7, %%al"), 1);
	check("eight bytes, beyond", RUN("movb bp_data+8, %%al"), 0);
	set_dr7(dr7_for(0, 1, 0));
	check("one byte", RUN("movb $1, bp_data+1"), 0);
	check("REP STOSB stops inside", RUN("lea bp_data-2, %%rdi; mov $5, %%ecx; d5: rep stosb; d6: nop"), 1);
	check("REP STOSB RIP", hit[0].rip, L(d5));
	/* Intel: after the iteration; the rest runs when the handler returns */
	check("two breakpoints at once",
	      (set_dr1(L(bp_data) + 4), set_dr7(dr7_for(0, 1, 3) | dr7_for(1, 1, 3)), RUN("movq $1, bp_data")), 1);
	check("B0 and B1", hit[0].dr6, DR6_INIT | 3);
	check("step and data", RUN(TF_ON "d7: movl $1, bp_data; d8: " TF_OFF), 4);
	check("step and data RIP", hit[0].rip, L(d8));
	check("step and data DR6", hit[0].dr6, DR6_INIT | BS | 1);
	check("MOV SS shadow holds a data breakpoint",
	      (set_dr7(dr7_for(0, 3, 3)), RUN("mov %%ss, %%eax; mov %%eax, bp_data+16; lea bp_data, %%rbx; movq $0x10, "
	                                      "(%%rbx); nop; mov bp_data, %%ss; d9: nop; nop")),
	      2);
	check("MOV SS shadow RIP", hit[1].rip, L(d9) + 1);
	set_dr7(0x400);
	check("disabled", RUN("movl $1, bp_data"), 0);
}

LABELS(o1[], o2[]);
static void io_breakpoints(void)
{
	write_cr4(read_cr4() | 8);
	set_dr0(0x80);
	set_dr7(dr7_for(0, 2, 0));
	check("I/O breakpoint", RUN("outb %%al, $0x80; o1: nop"), 1);
	check("I/O RIP", hit[0].rip, L(o1));
	check("I/O DR6", hit[0].dr6, DR6_INIT | 1);
	check("IN", RUN("inb $0x80, %%al"), 1);
	check("other port", RUN("inb $0x84, %%al"), 0);
	check("word that covers it", RUN("mov $0x7f, %%edx; inw %%dx, %%ax; o2: nop"), 1);
	set_dr7(0x400);
}

LABELS(c1[], c2[], c3[], c4[], c5[], c6[]);
static void code_breakpoints(void)
{
	set_rf = true;
	set_dr0(L(c1));
	set_dr7(dr7_for(0, 0, 0));
	check("instruction breakpoint", RUN("xor %%ebx, %%ebx; nop; c1: inc %%ebx; c2: nop"), 1);
	check("fault before it", hit[0].rip, L(c1));
	check("DR6", hit[0].dr6, DR6_INIT | 1);
	check("the instruction breakpoint pushes RF 0", hit[0].flags & FL_RF, 0);
	set_dr0(L(c3));
	check("RF works for one instruction", RUN("mov $2, %%ecx; c3: dec %%ecx; jnz c3"), 2);
	set_dr0(L(c4));
	check("POPF does not set RF", RUN("pushf; orl $0x10000, (%%rsp); popf; c4: nop"), 1);
	/* SDM 3A "Masking Exceptions and Interrupts When Switching Stacks" */
	set_dr0(L(c5));
	check("behind MOV SS: Intel inhibits it", RUN("mov %%ss, %%eax; mov %%eax, %%ss; c5: nop; nop"), cpu_is_intel() ? 0 : 1);
	set_dr0(L(c6));
	check("behind STI", RUN("sti; c6: cli"), 1);
	set_dr7(0x400);
}

LABELS(g1[], g2[], b1[], b2[]);
static void general_detect(void)
{
	set_rf = false;
	set_dr7(0x400 | 1 << 13);
	check("GD", RUN("g1: mov %%dr0, %%rax; g2: nop"), 1);
	check("GD is a fault", hit[0].rip, L(g1));
	check("BD", hit[0].dr6, DR6_INIT | BD);
	check("GD cleared", hit[0].dr7, 0x400);
	check("GD fault pushes RF", hit[0].flags & FL_RF, FL_RF);
	set_dr6(DR6_INIT);
	check("ICEBP", RUN(".byte 0xf1; b1: nop"), 1);
	check("ICEBP RIP", hit[0].rip, L(b1));
	check("ICEBP DR6", hit[0].dr6, DR6_INIT);
	set_dr6(0);
	check("DR6 fixed bits", dr6(), bus_lock_detection() ? DR6_INIT & ~BLD : DR6_INIT);
	set_dr6(0xffffffff);
	check("DR6 zero bit", dr6() & 0x1000, 0);
	set_dr6(DR6_INIT);
	set_dr7(0xffff2fffull & ~0x2000ull & ~0xffull);
	check("DR7 fixed bits", dr7() & 0xdc00, 0x400);
	set_dr7(0x400);
	set_dr0(0x123456789abcull);
	check("DR0", dr0(), 0x123456789abcull);
	check("DR1", (set_dr1(77), dr1()), 77);
}

asm("u_dr: mov %dr0, %rax\n u_tf: pushf; orl $0x100, (%rsp); popf; nop; u_tf2: int $0x80\n");
LABELS(u_tf[], u_tf2[]);
static void ring3(void)
{
	set_rf = false;
	hits = 0;
	clear_tf = true;
	user((void (*)(void))u_tf, 0);
	check("single step at CPL 3", hits, 1);
	check("single step at CPL 3 RIP", hit[0].rip, L(u_tf2));
	clear_tf = false;
}

/*
 * SYSCALL and SYSRET load TF themselves, and it is the new one that single-steps: SYSCALL whose mask has TF arrives without a
 * trap, SYSRET that sets TF traps behind itself. SDM 2 "SYSCALL"; SDM 3B "Single-Step Exception Condition".
 */
asm("u_sys_tf: pushf; orl $0x100, (%rsp); popf; syscall; u_sys_back: nop; u_sys_end: int $0x80\n"
    "on_sys_tf: and k_sys_and, %r11; k_sys_ret: sysretq\n");
LABELS(u_sys_tf[], u_sys_back[], u_sys_end[], on_sys_tf[], k_sys_ret[]);
u64 k_sys_and;

static void system_calls(void)
{
	put_msr_bit(0xc0000080, 0, true);
	wrmsr(MSR_STAR, 0x08ull << 32 | 0x3bull << 48);
	wrmsr(MSR_LSTAR, L(on_sys_tf));
	wrmsr(MSR_SFMASK, FL_TF);
	set_rf = clear_tf = false;
	hits = 0;
	k_sys_and = ~0ull;
	user((void (*)(void))u_sys_tf, 0);
	check("SYSCALL that clears TF has no trap, SYSRET that sets it has", hits, 2);
	check("the trap of SYSRET", hit[0].rip, L(u_sys_back));
	check("the trap of SYSRET, DR6", hit[0].dr6, DR6_INIT | BS);
	check("the next one", hit[1].rip, L(u_sys_end));
	wrmsr(MSR_SFMASK, 0);
	hits = 0;
	k_sys_and = ~FL_TF;
	user((void (*)(void))u_sys_tf, 0);
	check("SYSCALL that keeps TF has a trap, SYSRET that clears it has none", hits, 2);
	check("the trap of SYSCALL", hit[0].rip, L(on_sys_tf));
	check("the one before SYSRET", hit[1].rip, L(k_sys_ret));
}

/* "OS Bus-Lock Detection": a trap, above CPL 0 only. */
static u8 bus_line[128] __attribute__((aligned(64), used));
asm("u_split: lock addq $1, bus_line+60\n u_split2: int $0x80\n"
    "u_xchg: xchg %eax, bus_line+61\n u_xchg2: int $0x80\n"
    "u_whole: lock addl $1, bus_line+60\n int $0x80\n"
    "u_plain: addq $1, bus_line+60\n int $0x80\n"
    "u_step: pushf; orl $0x100, (%rsp); popf\n lock addq $1, bus_line+60\n u_step2: int $0x80\n");
LABELS(u_split[], u_split2[], u_xchg[], u_xchg2[], u_whole[], u_plain[], u_step[], u_step2[]);
#define DEBUGCTL 0x1d9
#define DETECT   4

static unsigned user_hits(char *code)
{
	hits = 0;
	check("ends by itself", user((void (*)(void))code, 0), 0x80);
	return hits;
}

static void bus_locks(void)
{
	u32 r[4];

	cpuid(0, 0, r);
	if (r[1] != 0x756e6547) /* "Genu": other vendors have another bit there */
		return;
	check("IA32_DEBUGCTL[2] goes with the feature", CATCH(wrmsr(DEBUGCTL, DETECT)), bus_lock_detection() ? -1 : EX_GP);
	check("IA32_DEBUGCTL[2] reads back", rdmsr(DEBUGCTL), bus_lock_detection() ? DETECT : 0);
	check("split, at CPL 3", user_hits(u_split), bus_lock_detection());
	if (!bus_lock_detection())
		return;
	check("split: behind the instruction", hit[0].rip, L(u_split2));
	check("split: BLD is 0", hit[0].dr6, DR6_INIT & ~BLD);
	check("split: RF is pushed as 0", hit[0].flags & FL_RF, 0);
	check("split: done", *(u64 *)(bus_line + 60), 1);
	check("XCHG", user_hits(u_xchg), 1);
	check("XCHG: behind the instruction", hit[0].rip, L(u_xchg2));
	check("within a line", user_hits(u_whole), 0);
	check("not locked", user_hits(u_plain), 0);
	clear_tf = true;
	check("with a single step: one exception", user_hits(u_step), 1);
	check("with a single step: both bits", hit[0].dr6, (DR6_INIT & ~BLD) | BS);
	check("with a single step: behind the instruction", hit[0].rip, L(u_step2));
	clear_tf = false;
	check("at CPL 0", RUN("lock addq $1, bus_line+60"), 0);
	set_dr6(DR6_INIT & ~BLD);
	check("another debug exception", RUN(TF_ON "nop; " TF_OFF) > 0, 1);
	check("another debug exception leaves BLD as it was", hit[0].dr6, (DR6_INIT & ~BLD) | BS);
	wrmsr(DEBUGCTL, 0);
	check("off", user_hits(u_split), 0);
	set_dr6(DR6_INIT);
}

/* "Single-Stepping on Branches": BTF makes TF wait for a branch, near or far, that is taken; the exception clears BTF. */
LABELS(j1[], j2[], j3[], j4[], j5[]);
static bool go_on(struct regs *r)
{
	(void)r;
	return true;
}

static void branch_steps(void)
{
	set_rf = false;
	clear_tf = true;
	wrmsr(DEBUGCTL, 2);
	check("BTF: JMP", RUN(TF_ON "nop; stc; jnc j1; jmp j1; nop; j1: nop"), 1);
	check("BTF: behind the JMP", hit[0].rip, L(j1));
	check("BTF: DR6", hit[0].dr6, DR6_INIT | BS);
	check("BTF: cleared by the exception", rdmsr(DEBUGCTL) & 2, 0);
	wrmsr(DEBUGCTL, 2);
	check("BTF: far RET", RUN(TF_ON "mov %%cs, %%eax; push %%rax; lea j2, %%rax; push %%rax; lretq; nop; j2: nop"), 1);
	check("BTF: behind the far RET", hit[0].rip, L(j2));
	wrmsr(DEBUGCTL, 2);
	check("BTF: no branch", RUN(TF_ON "nop; j3: " TF_OFF), 0);
	check("BTF: stays without an exception", rdmsr(DEBUGCTL) & 2, 2);
	/* INT n clears TF; the IRET that sets it again found it clear; the next branch traps */
	on_exception(0x60, go_on);
	wrmsr(DEBUGCTL, 2);
	check("BTF: INT n and back", RUN(TF_ON "int $0x60; nop; jmp j4; nop; j4: nop"), 1);
	check("BTF: behind the next JMP", hit[0].rip, L(j4));
	wrmsr(DEBUGCTL, 0);
	check("INT n and back", RUN(TF_ON "int $0x60; nop; j5: nop"), 1);
	check("INT n and back: behind the next instruction", hit[0].rip, L(j5));
	on_exception(0x60, NULL);
	clear_tf = false;
}

/* ---- RF without breakpoints: nothing asks for it, but the flags show it ---- */

static u64 flags_at_int;

static bool note_flags(struct regs *r)
{
	flags_at_int = r->rflags;
	return true;
}

static bool skip_with_rf(struct regs *r)
{
	r->rip += 2;
	r->rflags |= FL_RF;
	return true;
}

static void resume_flag(void)
{
	set_dr7(0x400);
	on_exception(EX_UD, skip_with_rf);
	on_exception(0x90, note_flags);
	asm volatile("ud2; nop; int $0x90" ::: T_CLOBBERS);
	check("RF ends with the instruction", flags_at_int & FL_RF, 0);
	asm volatile("ud2; jmp 1f; 1: int $0x90" ::: T_CLOBBERS);
	check("a branch ends it, too", flags_at_int & FL_RF, 0);
	asm volatile("lea bp_data, %%rsi; lea bp_data+8, %%rdi; mov $8, %%ecx; ud2; rep movsb; int $0x90" ::: T_CLOBBERS);
	check("and a repetition that is over", flags_at_int & FL_RF, 0);
	on_exception(0x90, nothing);
}

int main(void)
{
	t_setup();
	on_exception(EX_DB, on_db);
	on_exception(0x90, nothing);
	single_step();
	data_breakpoints();
	io_breakpoints();
	code_breakpoints();
	general_detect();
	ring3();
	system_calls();
	bus_locks();
	branch_steps();
	resume_flag();
	return guest_verdict();
}
