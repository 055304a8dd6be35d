/* Breakpoints, single steps and RF around VMRUN; the table of events against GIF: sections 2.2.1, 2.4.1, 2.13. */
#include "reqs.h"

static unsigned hits;
static u64 hit_rip[4], hit_dr6, hit_rflags;
static bool keep_tf;
static u32 watched;

static bool on_debug(struct regs *r)
{
	asm volatile("mov %%dr6, %0" : "=r"(hit_dr6));
	hit_rip[hits++ & 3] = r->rip;
	hit_rflags = r->rflags;
	asm volatile("mov %0, %%dr6" ::"r"(0xffff0ff0ull));
	r->rflags |= 1 << 16;
	if (!keep_tf)
		r->rflags &= ~0x100ull;
	return true;
}

asm(".pushsection .text\n"
    "step_run: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; mov %rdi, %rax; push %rsi; popf\n"
    "step_vmrun: vmrun\n"
    "step_behind: nop; pushf; andl $~0x100, (%rsp); popf; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; "
    "ret\n"
    ".popsection");
extern void step_run(u64 vmcb, u64 rflags);
extern char step_vmrun[], step_behind[];

SNIPPET(g_two, "nop; nop", "");
SNIPPET(g_store, "movl $1, scratch + 64; nop", "");
SNIPPET(g_gd, "mov %dr7, %rax; nop", "");
SNIPPET(g_io, "out %al, $0x80; nop", "");
SNIPPET(g_cpuid, "cpuid", "");
SNIPPET(g_ud, "ud2", "");
SNIPPET(g_mov_ss, "mov scratch + 96, %ss", "hlt");

static void host_breakpoint(void)
{
	base(&g_two);
	hits = 0;
	asm volatile("clgi");
	asm volatile("stgi");
	asm volatile("mov %0, %%dr0; mov %1, %%dr7" ::"r"(step_vmrun), "r"(0x401ull));
	step_run((u64)v, 2);
	asm volatile("mov %0, %%dr7; stgi" ::"r"(0x400ull));
	check(REQ("svm.2.2.1.125") "#DB on VMRUN", hits, 1);
	check(REQ("svm.2.2.1.125") "before VMRUN", hit_rip[0], step_vmrun);
	/* the handler set RF: VMRUN went through */
	check(REQ("svm.2.2.1.126") "RF lets VMRUN run", v->exitcode, EXIT_VMMCALL);
	base(&g_two);
	hits = 0;
	asm volatile("clgi");
	step_run((u64)v, 0x102);
	asm volatile("stgi");
	check(REQ("svm.2.2.1.127") "one #DB", hits, 1);
	check(REQ("svm.2.2.1.127") "behind VMRUN", hit_rip[0], step_behind);
	check(REQ("svm.2.2.1.127 svm.2.13.5") "by single step, with GIF 0", hit_dr6 >> 14 & 1, 1);
	check(REQ("svm.2.2.1.128") "RF", hit_rflags >> 16 & 1, 0);
	check(REQ("svm.2.2.1.133") "the guest has run to its end", v->rip, g_two.next);
}

/* RF in the VMCB is what it was at the exit, not what an exception would have pushed. */
static void saved_rf(void)
{
	for (u64 rf = 0; rf <= 1 << 16; rf += 1 << 16) {
		base(&g_cpuid);
		v->intercept1 |= SVM_CPUID;
		v->rflags = 2 | rf;
		check(REQ("svm.2.4.1.9") "CPUID", go(), EXIT_CPUID);
		check(REQ("svm.2.4.1.9") "RF at an instruction", v->rflags & 1 << 16, rf);
		base(&g_ud);
		v->rflags = 2 | rf;
		check(REQ("svm.2.4.1.9") "UD2", go(), EXIT_UD);
		check(REQ("svm.2.4.1.9") "RF at a fault", v->rflags & 1 << 16, rf);
	}
}

static void guest_breakpoint(void)
{
	for (unsigned rf = 0; rf < 2; rf++) {
		base(&g_two);
		asm volatile("mov %0, %%dr0" ::"r"(g_two.entry));
		v->dr7 = 0x401;
		v->rflags = 2 | rf << 16;
		if (rf) {
			check(REQ("svm.2.2.1.129") "RF 1", go(), EXIT_VMMCALL);
		} else {
			check(REQ("svm.2.2.1.130") "RF 0", go(), EXIT_DB);
			check(REQ("svm.2.2.1.130") "before it", v->rip, g_two.entry);
			check(REQ("svm.2.8.2.1") "state before it", v->rflags & 0xffff, 2);
			check(REQ("svm.2.8.2.3") "DR6", v->dr6 & 0xf00f, 1);
		}
	}
	base(&g_two);
	v->rflags = 0x102;
	check(REQ("svm.2.2.1.132") "TF", go(), EXIT_DB);
	check(REQ("svm.2.2.1.131 svm.2.2.1.132 svm.2.4.1.5") "behind the first instruction", v->rip, g_two.entry + 1);
	check(REQ("svm.2.8.2.2 svm.2.8.2.3") "DR6.BS", v->dr6 & 0xf00f, 0x4000);
	base(&g_store);
	asm volatile("mov %0, %%dr1" ::"r"(&scratch[8]));
	v->dr7 = 0x400 | 4 | 0xdu << 20; /* DR1: four bytes, writes */
	scratch[8] = 0;
	check(REQ("svm.2.4.1.5 svm.2.8.2.2") "data breakpoint", go(), EXIT_DB);
	check(REQ("svm.2.4.1.6") "RIP of the next instruction", v->rip, (u64)g_store.next - 1);
	check(REQ("svm.2.4.1.5") "the store is done", scratch[8], 1);
	check(REQ("svm.2.4.1.7") "DR6.B1", v->dr6 & 0xf00f, 2);
	check(REQ("svm.2.4.1.8") "DR7 is as it was", v->dr7, 0x400 | 4 | 0xdu << 20);
	base(&g_gd);
	v->dr7 = 0x2400;
	check(REQ("svm.2.8.2.1") "GD", go(), EXIT_DB);
	check(REQ("svm.2.8.2.1") "before the instruction", v->rip, g_gd.entry);
	check(REQ("svm.2.8.2.3") "DR6.BD", v->dr6 & 0xf00f, 0x2000);
	check(REQ("svm.2.8.2.4") "GD is clear", v->dr7, 0x400);
	base(&g_io);
	v->cr4 |= 8;
	asm volatile("mov %0, %%dr2" ::"r"(0x80ull));
	v->dr7 = 0x400 | 1 << 4 | 2u << 24;
	check(REQ("svm.2.8.2.2") "I/O breakpoint", go(), EXIT_DB);
	check(REQ("svm.2.8.2.2") "behind it", v->rip, (u64)g_io.next - 1);
	/* an intercepted instruction with a breakpoint on it; a data trap from the one before it */
	base(&g_two);
	asm volatile("mov %0, %%dr0" ::"r"(g_two.next));
	v->dr7 = 0x401;
	check(REQ("svm.2.4.0.11") "#DB before VMMCALL's intercept", go(), EXIT_DB);
	check(REQ("svm.2.4.0.11") "at VMMCALL", v->rip, g_two.next);
	base_at(g_two.entry + 1);
	v->rflags = 0x102;
	check(REQ("svm.2.4.0.12") "single-step trap before VMMCALL's intercept", go(), EXIT_DB);
	check(REQ("svm.2.4.0.12") "at VMMCALL", v->rip, g_two.next);
}
SNIPPET(g_store_call, "movl $1, scratch + 64", "");

/* Guests that leave DR6 and DR7 to #DB delivery do not test the DR intercepts. */
static void implicit(void)
{
	base(&g_two);
	v->intercept_exc = 0;
	v->intercept_dr = ~0u;
	v->rflags = 0x102;
	v->idtr.limit = 0x20; /* delivered: vector 1 lies within, and its handler runs into VMMCALL */
	static struct idt_gate mine[2] __attribute__((aligned(16)));
	u64 a = (u64)g_two.next;

	mine[1].lo = (a & 0xffff) | 8 << 16 | 0x8eull << 40 | (a >> 16 & 0xffff) << 48;
	v->idtr.base = (u64)mine;
	check(REQ("svm.2.5.4.3") "#DB delivered", go(), EXIT_VMMCALL);
	check(REQ("svm.2.5.4.3") "DR6 was written", v->dr6 >> 14 & 1, 1);
	base(&g_store_call);
	v->dr7 = 0x400 | 4 | 0xdu << 20;
	check(REQ("svm.2.4.0.12") "data trap before VMMCALL's intercept", go(), EXIT_DB);
}

/* What MOV SS holds back when the next instruction exits goes with the guest: the host has no trap of it. */
static void held_at_exit(void)
{
	base(&g_mov_ss);
	asm volatile("mov %0, %%dr1" ::"r"(&scratch[12]));
	scratch[12] = 0x10;
	v->dr7 = 0x400 | 4 | 0x7u << 20; /* DR1: two bytes, reads and writes */
	v->intercept1 |= SVM_BIT(EXIT_HLT);
	hits = 0;
	check("exit behind MOV SS", go(), EXIT_HLT);
	asm volatile("nop; nop" ::: "memory");
	check("exit behind MOV SS: no trap in the host", hits, 0);
}

/* "GIF = 0": debug matches are lost, single steps are not. */
static void gif(void)
{
	asm volatile("mov %0, %%dr0; mov %1, %%dr7" ::"r"(&watched), "r"(0x400ull | 1 | 0xdull << 16));
	hits = 0;
	asm volatile("clgi; movl $1, %0; nop" : "=m"(watched));
	check(REQ("svm.2.13.3") "a match with GIF 0", hits, 0);
	asm volatile("stgi; nop; nop" ::: "memory");
	check(REQ("svm.2.13.3") "is not remembered", hits, 0);
	asm volatile("movl $2, %0; nop" : "=m"(watched));
	check(REQ("svm.2.13.4") "a match with GIF 1", hits, 1);
	asm volatile("mov %0, %%dr7" ::"r"(0x400ull));
	hits = 0;
	asm volatile("clgi; push $0x102; popf; nop; stgi" ::: "memory", "cc");
	check(REQ("svm.2.13.5") "single step with GIF 0", hits, 1);
	hits = 0;
	asm volatile("push $0x102; popf; nop" ::: "memory", "cc");
	check(REQ("svm.2.13.6") "single step with GIF 1", hits, 1);
}

void test_debug(void)
{
	on_exception(1, on_debug);
	host_breakpoint();
	saved_rf();
	guest_breakpoint();
	implicit();
	held_at_exit();
	gif();
	on_exception(1, NULL);
}
