/*
 * Hardware task switches: JMP, CALL, IRET, task gates, 32-bit and 16-bit TSSs; busy bits, NT, back link, T bit, faults.
 * SDM 3A "Task Management".
 */
#include "t32.h"

enum { A_TSS = 0x48, B_TSS16 = 0x50, A_GATE = 0x58, LDT_SEL = 0x60, BAD_SEL = 0x68, H_TSS = 0x70 };
static struct tss32 a;
static struct {
	u16 link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
} b;
u32 seen[16], far_ptr[2];
static u8 task_stack[4096] __attribute__((aligned(16)));
static u64 ldt[4];

#define L(x) ((u32)(x))
/* The task looks at its registers, then goes back by IRET; entered again it continues behind it. */
asm("task_a: pushf; popl seen; mov %eax, seen+4; mov %ebx, seen+8; mov %esp, seen+12; mov %ebp, seen+16; mov %esi, "
    "seen+20; mov %edi, seen+24\n"
    " mov %ds, seen+28; mov %es, seen+32; mov %ss, seen+36; sldt seen+40; mov %cr0, %eax; mov %eax, seen+44; str "
    "seen+48; inc %ecx; mov %ecx, seen+52\n"
    " iret; task_a_again: jmp task_a\n"
    "task_jmp: mov $1, %eax; mov %eax, seen+56; ljmp $0x18, $0; jmp task_jmp\n");
extern char task_a[], task_a_again[], task_jmp[];

static u8 access(unsigned sel)
{
	return (u8)(gdt[sel / 8] >> 40);
}
static void lcall(u16 sel)
{
	far_ptr[1] = sel;
	asm volatile("lcall *far_ptr" ::: "memory", "cc");
}
static void ljmp(u16 sel)
{
	far_ptr[1] = sel;
	asm volatile("ljmp *far_ptr" ::: "memory", "cc");
}

static void reset_a(char *entry)
{
	memset(&a, 0, 0x68);
	a.eip = L(entry);
	a.eflags = 2;
	a.eax = 0x11111111, a.ebx = 0x22222222, a.ebp = 0x33333333, a.esi = 0x44444444, a.edi = 0x55555555;
	a.esp = L(task_stack + sizeof(task_stack));
	a.cs = KCODE;
	a.ss = a.ds = a.es = KDATA;
	a.ldt = LDT_SEL;
	a.iomap = 0x68;
	gdt[A_TSS / 8] = descriptor(L(&a), 0x67, 0x89, 0);
	memset(seen, 0, sizeof(seen));
}

static void call_and_iret(void)
{
	reset_a(task_a);
	asm volatile("clts");
	lcall(A_TSS);
	check("link", a.link & 0xffff, TSS_SEL);
	check("EAX", seen[1], 0x11111111);
	check("EBX", seen[2], 0x22222222);
	check("ESP", seen[3], L(task_stack + sizeof(task_stack)));
	check("EBP", seen[4], 0x33333333);
	check("ESI", seen[5], 0x44444444);
	check("EDI", seen[6], 0x55555555);
	check("DS", seen[7] & 0xffff, KDATA);
	check("LDTR", seen[10] & 0xffff, LDT_SEL);
	check("NT set in the new task", seen[0] & 0x4000, 0x4000);
	check("CR0.TS", seen[11] & 8, 8);
	check("TR", seen[12] & 0xffff, A_TSS);
	check("new task is available again", access(A_TSS), 0x89);
	check("old task is busy", access(TSS_SEL), 0x8b);
	check("NT cleared in its saved image", a.eflags & 0x4000, 0);
	check("EIP behind its IRET", a.eip, L(task_a_again));
	u32 fl;
	asm volatile("pushf; pop %0" : "=r"(fl));
	check("caller without NT", fl & 0x4000, 0);
	lcall(A_TSS);
	check("it goes on", seen[13], 2);
	asm volatile("clts");
	check("CALL to oneself", CATCH(lcall(TSS_SEL)), EX_GP);
	check("CALL to a busy task error", last.error, TSS_SEL);
}

static void jumps(void)
{
	reset_a(task_jmp);
	a.link = 0x7777;
	ljmp(A_TSS);
	check("JMP and back", seen[14], 1);
	check("JMP: no link", a.link, 0x7777);
	check("JMP: old one not busy after JMP back", access(A_TSS), 0x89);
	check("JMP: this one busy", access(TSS_SEL), 0x8b);
	check("JMP to oneself", CATCH(ljmp(TSS_SEL)), EX_GP);
	asm volatile("clts");
}

static bool saw_trap;
static bool on_trap(struct regs *r)
{
	u32 dr6;

	asm volatile("mov %%dr6, %0" : "=r"(dr6));
	check("T bit: DR6.BT", dr6 & 0x8000, 0x8000);
	check("T bit: first instruction of the task", r->eip, L(task_a));
	saw_trap = true;
	asm volatile("mov %0, %%dr6" ::"r"(0xffff0ff0));
	return true;
}

static void gates(void)
{
	reset_a(task_a);
	gdt[A_GATE / 8] = gate(0, A_TSS, 5, 3, 0);
	lcall(A_GATE);
	check("CALL through a task gate", seen[12] & 0xffff, A_TSS);
	reset_a(task_a);
	idt[0x90] = gate(0, A_TSS, 5, 0, 0);
	asm volatile("int $0x90" ::: "memory");
	check("INT through a task gate", seen[12] & 0xffff, A_TSS);
	check("its link", a.link & 0xffff, TSS_SEL);
	asm volatile("clts");
}

/* #GP goes to a task that steps over the instruction in the interrupted task's TSS. */
extern char gp_at[];
asm("task_fix: popl seen+60; mov main_tss+32, %eax; mov %eax, seen; addl $2, main_tss+32; iret; jmp task_fix\n");
extern char task_fix[];

static void faults_to_tasks(void)
{
	reset_a(task_fix);
	u64 gp = idt[EX_GP];

	idt[EX_GP] = gate(0, A_TSS, 5, 0, 0);
	asm volatile("mov $0x300, %%eax; gp_at: mov %%eax, %%fs; nop" ::: "eax", "memory");
	idt[EX_GP] = gp;
	check("error code on the task's stack", seen[15], 0x300);
	check("saved EIP is the fault's", seen[0], L(gp_at));
	check("RF in the saved EFLAGS", main_tss.eflags & 0x10000, 0x10000);
	/* from ring 3, and back there */
	reset_a(task_a);
	idt[0x90] = gate(0, A_TSS, 5, 3, 0);
	extern char u_int90[];
	check("INT 90h at CPL 3", user(u_int90, 0), 0x80);
	check("task ran", seen[12] & 0xffff, A_TSS);
	check("back at CPL 3", last.cs, UCODE);
	idt[0x90] = gate(0, A_TSS, 5, 0, 0);
	check("task gate DPL", user(u_int90, 0), EX_GP);
	check("task gate DPL error", last.error, 0x90 * 8 + 2);
	asm volatile("clts");
}
asm("u_int90: int $0x90; int $0x80\n");

/* "Single-Stepping on Branches": no switch to another task single-steps, with or without BTF. */
static unsigned steps;
static u32 step_eip;
static bool on_step(struct regs *r)
{
	steps++;
	step_eip = r->eip;
	r->eflags &= ~0x100u;
	return true;
}
extern char st_1[], st_2[];
static void single_step(void)
{
	on_exception(EX_DB, on_step);
	for (unsigned btf = 0; btf < 2; btf++) {
		reset_a(task_a);
		wrmsr(MSR_DEBUGCTL, btf << 1);
		steps = 0;
		far_ptr[1] = A_TSS;
		/* the task's IRET finds its own TF, which is 0; then the next instruction, or branch, is this task's */
		if (btf)
			asm volatile("pushf; orl $0x100, (%%esp); popf; lcall *far_ptr; nop; jmp st_2; nop; st_2: nop" ::: "memory", "cc");
		else
			asm volatile("pushf; orl $0x100, (%%esp); popf; lcall *far_ptr; nop; st_1: nop" ::: "memory", "cc");
		check(btf ? "BTF: one step" : "one step", steps, 1);
		check(btf ? "BTF: behind the branch" : "behind the next instruction", step_eip, L(btf ? st_2 : st_1));
	}
	wrmsr(MSR_DEBUGCTL, 0);
	on_exception(EX_DB, NULL);
	asm volatile("clts");
}

static void trap_bit(void)
{
	on_exception(EX_DB, on_trap);
	reset_a(task_a);
	a.trap = 1;
	lcall(A_TSS);
	check("T bit", saw_trap, true);
	on_exception(EX_DB, NULL);
	asm volatile("clts");
}

/* ---- faults of the switch ---- */

/*
 * "If an exception is generated in the context of the new task its segments need not be loaded": the handler is a task
 * of its own then, the only kind that can rely on its stack.
 */
static struct tss32 h;
static u8 h_stack[1024] __attribute__((aligned(16)));
asm("task_h: popl seen; movw $0x7070, seen+4; jmp fault_longjmp\n");
extern char task_h[];

static void bad(const char *name, unsigned vector, u32 error, bool in_new_task)
{
	u64 saved = idt[vector];

	memset(&h, 0, 0x68);
	h.eip = L(task_h);
	h.eflags = 2;
	h.esp = L(h_stack + sizeof(h_stack));
	h.cs = KCODE;
	h.ss = h.ds = h.es = KDATA;
	gdt[H_TSS / 8] = descriptor(L(&h), 0x67, 0x89, 0);
	idt[vector] = gate(0, H_TSS, 5, 0, 0);
	seen[0] = seen[1] = ~0u;
	CATCH(lcall(A_TSS));
	idt[vector] = saved;
	check(name, seen[1] & 0xffff, 0x7070);
	check(name, seen[0], error);
	check(name, h.link & 0xffff, in_new_task ? A_TSS : TSS_SEL);
	check(name, access(A_TSS) >> 1 & 1, in_new_task);
	gdt[TSS_SEL / 8] &= ~(2ull << 40); /* we are in the handler's task now: forget it */
	asm volatile("pushl $2; popf; ltr %w0; lldt %w1; clts" ::"r"(TSS_SEL), "r"(0));
	reset_a(task_a);
}

static void faults(void)
{
	reset_a(task_a);
	gdt[A_TSS / 8] &= ~(1ull << 47);
	bad("TSS not present", EX_NP, A_TSS, false);
	gdt[A_TSS / 8] = descriptor(L(&a), 0x66, 0x89, 0);
	bad("TSS too small", EX_TS, A_TSS, false);
	gdt[A_TSS / 8] = descriptor(L(&a), 0x67, 0x8b, 0);
	check("TSS busy", CATCH(lcall(A_TSS)), EX_GP);
	check("TSS busy error", last.error, A_TSS);
	reset_a(task_a);
	gdt[BAD_SEL / 8] = descriptor(0, 0xfffff, 0x13, 0xc);
	a.ldt = KDATA;
	bad("LDT is data", EX_TS, KDATA, true);
	a.cs = KDATA;
	bad("CS is data", EX_TS, KDATA, true);
	a.cs = 0;
	bad("CS null", EX_TS, 0, true);
	a.ss = KCODE;
	bad("SS is code", EX_TS, KCODE, true);
	a.ss = UDATA;
	bad("SS RPL", EX_TS, UDATA & ~3u, true);
	a.ss = BAD_SEL;
	bad("SS not present", EX_SS, BAD_SEL, true);
	a.ds = BAD_SEL;
	bad("DS not present", EX_NP, BAD_SEL, true);
	a.es = TSS_SEL;
	bad("ES is a TSS", EX_TS, TSS_SEL, true);
	a.eip = 0;
	gdt[BAD_SEL / 8] = descriptor(0, 0xff, 0x9b, 4);
	a.cs = BAD_SEL;
	a.eip = 0x1000;
	bad("EIP beyond the limit", EX_GP, 0, true);
	gdt[A_GATE / 8] = gate(0, KDATA, 5, 0, 0);
	check("task gate to data", CATCH(lcall(A_GATE)), EX_GP);
	check("task gate to data error", last.error, KDATA);
	gdt[A_GATE / 8] = gate(0, 4, 5, 0, 0);
	check("task gate to an LDT selector", CATCH(lcall(A_GATE)), EX_GP);
	check("task gate to an LDT selector error", last.error, 4);
	/* IRET with NT and a bad link */
	main_tss.link = KDATA;
	check("IRET link", CATCH(asm volatile("pushl $0x4002; popf; iret")), EX_TS);
	check("IRET link error", last.error, KDATA);
	main_tss.link = A_TSS;
	check("IRET to a task that is not busy", CATCH(asm volatile("pushl $0x4002; popf; iret")), EX_TS);
	check("IRET to a task that is not busy error", last.error, A_TSS);
	main_tss.link = 0;
}

/* ---- 16-bit TSS ---- */

asm("task16: mov %eax, seen; mov %ebx, seen+4; mov %esp, seen+8; mov %si, seen+12; sldt seen+16; str seen+20; pushf; "
    "popl seen+24; iret; jmp task16\n");
extern char task16[];

static void sixteen(void)
{
	/* code below 64 KiB: IP has sixteen bits */
	u8 *low = (u8 *)0x9000;
	static const u8 code[] = {0xe9};

	memcpy(low, code, 1);
	*(u32 *)(low + 1) = L(task16) - 0x9005;
	memset(&b, 0, sizeof(b));
	b.ip = 0x9000;
	b.flags = 2;
	b.ax = 0x1111, b.bx = 0x2222, b.si = 0x3333;
	b.sp = 0xa000;
	b.cs = KCODE;
	b.ss = b.ds = b.es = KDATA;
	b.ldt = LDT_SEL;
	gdt[B_TSS16 / 8] = descriptor(L(&b), 0x2b, 0x81, 0);
	asm volatile("mov %0, %%fs; mov %0, %%gs" ::"r"(KDATA));
	lcall(B_TSS16);
	check("16-bit AX", seen[0] & 0xffff, 0x1111);
	check("16-bit BX", seen[1] & 0xffff, 0x2222);
	check("16-bit SP", seen[2] & 0xffff, 0xa000);
	check("16-bit SI", seen[3] & 0xffff, 0x3333);
	check("16-bit LDT", seen[4] & 0xffff, LDT_SEL);
	check("16-bit TR", seen[5] & 0xffff, B_TSS16);
	check("16-bit NT", seen[6] & 0x4000, 0x4000);
	check("16-bit link", b.link, TSS_SEL);
	check("16-bit available again", access(B_TSS16), 0x81);
	check("16-bit saved flags", b.flags & 0x4000, 0);
	u16 fs;
	asm volatile("mov %%fs, %0" : "=r"(fs));
	check("FS comes back", fs, KDATA);
	gdt[B_TSS16 / 8] = descriptor(L(&b), 0x2a, 0x81, 0);
	check("16-bit TSS too small", CATCH(lcall(B_TSS16)), EX_TS);
	check("16-bit TSS too small error", last.error, B_TSS16);
	asm volatile("clts");
}

/* ---- #DF through a task gate, with a stack that is gone ---- */

asm("task_df: popl seen; str seen+4; mov $0x10, %eax; jmp fault_longjmp\n");
extern char task_df[];

static void double_fault(void)
{
	reset_a(task_df);
	gdt[DF_TSS / 8] = descriptor(L(&a), 0x67, 0x89, 0);
	idt[EX_DF] = gate(0, DF_TSS, 5, 0, 0);
	u64 pf = idt[EX_UD];

	gdt[BAD_SEL / 8] = descriptor(0, 0xfff, 0x93, 4); /* a stack of 4 KiB */
	CATCH(asm volatile("mov %0, %%ss; mov $2, %%esp; push %%eax; ud2" ::"r"(BAD_SEL)));
	check("#DF task: error code 0", seen[0], 0);
	check("#DF task: TR", seen[1] & 0xffff, DF_TSS);
	check("#DF task: old SS", main_tss.ss & 0xffff, BAD_SEL);
	check("#DF task: old ESP", main_tss.esp, 2);
	idt[EX_UD] = pf;
	gdt[TSS_SEL / 8] &= ~(2ull << 40);
	asm volatile("pushl $2; popf; ltr %w0; clts; lldt %w1" ::"r"(TSS_SEL), "r"(0));
}

int main(void)
{
	gdt[LDT_SEL / 8] = descriptor(L(ldt), sizeof(ldt) - 1, 0x82, 0);
	call_and_iret();
	jumps();
	gates();
	faults_to_tasks();
	single_step();
	trap_bit();
	faults();
	sixteen();
	double_fault();
	return guest_verdict();
}
