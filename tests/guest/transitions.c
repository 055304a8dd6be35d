/*
 * Ways between privilege levels and code segments in long mode: interrupt and trap gates, IST, 64-bit call gates, far
 * RET, IRET, SYSCALL/SYSRET, SYSENTER/SYSEXIT, compatibility mode. SDM 3A "Protection", "Interrupt and Exception
 * Handling".
 */
#include "t64.h"

#define LABEL(x) extern char x[]
#define ADDR(x)  ((u64)(x))
static u64 stack3_top, stack0_top;
u64 saved_rsp, seen[8];
u64 far_ptr[2];

static void put_call_gate(unsigned sel, u64 target, u16 cs, unsigned dpl)
{
	t_gdt[sel / 8] =
	        (target & 0xffff) | (u64)cs << 16 | (u64)(0x8c | dpl << 5) << 40 | (target >> 16 & 0xffff) << 48;
	t_gdt[sel / 8 + 1] = target >> 32;
}

/* ---- gates of the IDT ---- */

asm("on_gate: mov %rsp, seen; mov (%rsp), %rax; mov %rax, seen+8; mov 8(%rsp), %rax; mov %rax, seen+16\n"
    " mov 16(%rsp), %rax; mov %rax, seen+24; mov 24(%rsp), %rax; mov %rax, seen+32; mov 32(%rsp), %rax; mov %rax, "
    "seen+40\n"
    " pushf; pop %rax; mov %rax, seen+48; mov %ss, %rax; mov %rax, seen+56; iretq\n"
    "u_gate: int $0x90; u_gate_next: int $0x80\n"
    "k_gate: pushf; orl $0x4200, (%rsp); popf; int $0x90; pushf; pop %rax; cli; ret\n");
LABEL(on_gate);
LABEL(u_gate);
LABEL(u_gate_next);
LABEL(k_gate);

static void idt_gates(void)
{
	u64 fl = 0;

	set_gate(0x90, on_gate, 14, 3, 0);
	user((void (*)(void))u_gate, FL_IF);
	check("interrupt gate comes back", last_fault.vector, 0x80);
	check("ring 0 stack", seen[0], stack0_top - 40);
	check("pushed RIP", seen[1], ADDR(u_gate_next));
	check("pushed CS", seen[2], UCODE);
	check("pushed RFLAGS", seen[3], FL_IF | 2);
	check("pushed RSP", seen[4], stack3_top);
	check("pushed SS", seen[5], UDATA);
	check("interrupt gate clears IF", seen[6], 2);
	check("SS is null with RPL 0", seen[7], 0);
	set_gate(0x90, on_gate, 15, 3, 0);
	user((void (*)(void))u_gate, FL_IF);
	check("trap gate keeps IF", seen[6], FL_IF | 2);
	*(u64 *)(tss + 0x24) = stack3_top - 4096 + 5;
	set_gate(0x90, on_gate, 14, 3, 1);
	user((void (*)(void))u_gate, 0);
	check("IST aligned down to 16", seen[0], (stack3_top - 4096) - 40);
	/* from CPL 0: no stack switch, yet RSP is aligned and SS:RSP pushed; NT is cleared and comes back */
	set_gate(0x90, on_gate, 14, 0, 0);
	asm volatile("mov %%rsp, saved_rsp; sub $8, %%rsp; call *%1; mov saved_rsp, %%rsp"
	             : "=a"(fl)
	             : "r"(k_gate)
	             : "memory", "cc");
	check("NT is pushed", seen[3] & FL_NT, FL_NT);
	check("NT is cleared in the handler", seen[6] & (FL_NT | FL_IF), 0);
	check("SS kept at CPL 0", seen[7], KDATA);
	check("aligned frame", seen[0] & 15, 8);
	/* IRET with NT set in long mode: #GP(0) */
	RAISES("IRETQ with NT", EX_GP, 0, AT, "pushq $0x4002; popf", "iretq");
	RUNS("clear NT", "pushq $2; popf", "nop");
	set_gate(0x90, on_gate, 14, 0, 0);
	user((void (*)(void))u_gate, 0);
	check("gate DPL", last_fault.vector, EX_GP);
	check("gate DPL error", last_fault.error, 0x90 * 8 + 2);
}

/* ---- call gates, far returns ---- */

asm("cg_target: mov %rsp, seen; mov %cs, %rax; mov %rax, seen+8; mov %ss, %rax; mov %rax, seen+16\n"
    " mov (%rsp), %rax; mov %rax, seen+24; mov 8(%rsp), %rax; mov %rax, seen+32; mov 16(%rsp), %rax; mov %rax, "
    "seen+40\n"
    " mov 24(%rsp), %rax; mov %rax, seen+48; lretq\n"
    "u_call: lcall *far_ptr; u_call_next: mov %cs, %rax; mov %ss, %rbx; int $0x80\n"
    "u_jmp: ljmp *far_ptr\n"
    "k_call: lcall *far_ptr; ret\n");
LABEL(cg_target);
LABEL(u_call);
LABEL(u_call_next);
LABEL(u_jmp);
LABEL(k_call);

static void set_far(u32 off, u16 sel)
{
	far_ptr[0] = off | (u64)sel << 32;
}

static void call_gates(void)
{
	put_call_gate(0x60, ADDR(cg_target), KCODE, 3);
	set_far(0, 0x63);
	user((void (*)(void))u_call, 0);
	check("call gate returns", last_fault.vector, 0x80);
	check("call gate stack", seen[0], stack0_top - 32);
	check("call gate CS", seen[1], KCODE);
	check("call gate SS null", seen[2], 0);
	check("call gate pushed RIP", seen[3], ADDR(u_call_next));
	check("call gate pushed CS", seen[4], UCODE);
	check("call gate pushed RSP", seen[5], stack3_top);
	check("call gate pushed SS", seen[6], UDATA);
	check("far RET back to ring 3", last_regs.rbx, UDATA);
	user((void (*)(void))u_jmp, 0);
	check("JMP through a gate to ring 0", last_fault.vector, EX_GP);
	check("JMP through a gate error", last_fault.error, KCODE);
	put_call_gate(0x60, ADDR(cg_target), KCODE, 0);
	user((void (*)(void))u_call, 0);
	check("call gate DPL", last_fault.vector, EX_GP);
	check("call gate DPL error", last_fault.error, 0x60);
	put_call_gate(0x60, ADDR(cg_target), KCODE, 3);
	t_gdt[0x60 / 8] &= ~(1ull << 47);
	user((void (*)(void))u_call, 0);
	check("call gate not present", last_fault.vector, EX_NP);
	check("call gate not present error", last_fault.error, 0x60);
	put_call_gate(0x60, ADDR(cg_target), KCODE32, 3);
	user((void (*)(void))u_call, 0);
	check("call gate to 32-bit code", last_fault.vector, EX_GP);
	check("call gate to 32-bit code error", last_fault.error, KCODE32);
	put_call_gate(0x60, 0x800000000000ull, KCODE, 3);
	user((void (*)(void))u_call, 0);
	check("call gate non-canonical", last_fault.vector, EX_GP);
	check("call gate non-canonical error", last_fault.error, 0);
	put_call_gate(0x60, ADDR(cg_target), KCODE, 3);
	t_gdt[0x68 / 8] |= 0x0cull << 40; /* the upper half's type bits must be 0 */
	user((void (*)(void))u_call, 0);
	check("call gate upper type", last_fault.vector, EX_GP);
	check("call gate upper type error", last_fault.error, 0x60);
	/* same privilege: no stack switch, two slots of eight bytes */
	put_call_gate(0x60, ADDR(cg_target), KCODE, 0);
	set_far(0, 0x60);
	asm volatile("mov %%rsp, saved_rsp; call *%0" ::"r"(k_call) : "rax", "memory", "cc");
	check("same level stack", seen[0], saved_rsp - 8 - 16);
	check("same level CS", seen[4], KCODE);
	/* far call to a code segment directly: 32-bit operand, frames of four bytes */
	asm volatile("" ::: "memory");
	RAISES("far CALL to ring 3 code", EX_GP, 0x48, AT, "movl $0, far_ptr; movl $0x4b, far_ptr+4", "lcall *far_ptr");
}

asm("u_lret_in: pushq $8; pushq $0; u_lret_at: lretq\n u_iret_in: pushq $0x10; pushq $0; pushq $2; pushq $8; pushq $0; "
    "u_iret_at: iretq\n"
    "u_end: int $0x80\n u_end_ds: mov %ds, %eax; mov %es, %ebx; mov %fs, %ecx; mov %gs, %edx; int $0x80\n");
LABEL(u_lret_in);
LABEL(u_lret_at);
LABEL(u_iret_in);
LABEL(u_iret_at);
LABEL(u_end);
LABEL(u_end_ds);

static void far_returns(void)
{
	user((void (*)(void))u_lret_in, 0);
	check("far RET inwards", last_fault.vector, EX_GP);
	check("far RET inwards error", last_fault.error, 8);
	check("far RET inwards RIP", last_fault.rip, ADDR(u_lret_at));
	user((void (*)(void))u_iret_in, 0);
	check("IRET inwards", last_fault.vector, EX_GP);
	check("IRET inwards error", last_fault.error, 8);
	/* outwards by far RET */
	CATCH(asm volatile("push %0; push %1; push %2; push %3; lretq" ::"r"((u64)UDATA), "r"(stack3_top),
	                   "r"((u64)UCODE), "r"(u_end)
	                   : "memory"));
	check("far RET outwards", last_fault.vector, 0x80);
	check("far RET outwards CS", last_regs.cs, UCODE);
	check("far RET outwards SS", last_regs.ss, UDATA);
	check("far RET outwards RSP", last_regs.rsp, stack3_top);
	/* segments of the inner level become null */
	asm volatile("mov %0, %%ds; mov %1, %%es; mov %0, %%fs; mov %1, %%gs" ::"r"(KDATA), "r"(UDATA));
	user((void (*)(void))u_end_ds, 0);
	check("DS of ring 0 becomes null", last_regs.rax, 0);
	check("ES of ring 3 stays", last_regs.rbx, UDATA);
	check("FS of ring 0 becomes null", last_regs.rcx, 0);
	check("GS of ring 3 stays", last_regs.rdx, UDATA);
	/* checks of IRETQ */
	u64 sp = stack3_top;

	check("IRETQ SS RPL", CATCH(iret_to(ADDR(u_end), UCODE, KDATA, sp, 2)), EX_GP);
	check("IRETQ SS RPL error", last_fault.error, KDATA);
	check("IRETQ CS null", CATCH(iret_to(ADDR(u_end), 0, UDATA, sp, 2)), EX_GP);
	check("IRETQ CS null error", last_fault.error, 0);
	check("IRETQ CS RPL", CATCH(iret_to(ADDR(u_end), 0x48, UDATA, sp, 2)), EX_GP);
	check("IRETQ CS RPL error", last_fault.error, 0x48);
	check("IRETQ CS data", CATCH(iret_to(ADDR(u_end), UDATA, UDATA, sp, 2)), EX_GP);
	check("IRETQ CS data error", last_fault.error, UDATA & ~3);
	check("IRETQ SS null to 64-bit CPL 3", CATCH(iret_to(ADDR(u_end), UCODE, 3, sp, 2)), EX_GP);
	check("IRETQ SS null error", last_fault.error, 0);
	check("IRETQ non-canonical RIP", CATCH(iret_to(0x800000000000ull, UCODE, UDATA, sp, 2)), EX_GP);
	check("IRETQ non-canonical error", last_fault.error, 0);
	t_gdt[0x60 / 8] = (t_gdt[0x48 / 8] & ~(1ull << 47)); /* not present */
	check("IRETQ CS not present", CATCH(iret_to(ADDR(u_end), 0x63, UDATA, sp, 2)), EX_NP);
	check("IRETQ CS not present error", last_fault.error, 0x60);
	t_gdt[0x60 / 8] = (t_gdt[0x40 / 8] & ~(1ull << 47));
	check("IRETQ SS not present", CATCH(iret_to(ADDR(u_end), UCODE, 0x63, sp, 2)), EX_SS);
	check("IRETQ SS not present error", last_fault.error, 0x60);
	check("IRETQ to ring 0 with SS null", CATCH(iret_to(ADDR(u_end), KCODE, 0, sp, 2)), 0x80);
	check("SS null in ring 0", last_regs.ss, 0);
	asm volatile("mov %0, %%ss" ::"r"(KDATA));
}

/* ---- compatibility mode ---- */

asm(".code32\n u_compat: mov %cs, %eax; pushl $0x12345678; popl %ebx; .byte 0x40; lea -1(%esp), %ecx; int $0x80\n"
    "u_compat_inc: movl $1, %eax; .byte 0x40; int $0x80\n" /* INC EAX, a REX prefix elsewhere */
    "u_compat_into: movb $0x7f, %al; addb $1, %al; into; u_compat_into_next: int $0x80\n"
    "u_compat_bound: movl $0x200, %eax; u_compat_bound_at: bound %eax, bounds; int $0x80\n"
    "u_compat_limit: movl %gs:0x100, %eax; int $0x80\n"
    "u_compat_wrap: movl $0xfffffff0, %eax; movl t_wrap_addr, %ecx; movl 0x10(%eax,%ecx), %eax; int $0x80\n"
    "u_compat_aaa: movl $0xf, %eax; aaa; int $0x80\n"
    "u_compat_far: ljmpl $0x4b, $u_compat64\n .code64\n u_compat64: mov %cs, %eax; mov $1, %rbx; shl $40, %rbx; int "
    "$0x80\n"
    ".code32; u_sysenter32: sysenter; .code64\n");
LABEL(u_compat);
LABEL(u_compat_inc);
LABEL(u_compat_into);
LABEL(u_compat_into_next);
LABEL(u_compat_bound);
LABEL(u_compat_bound_at);
LABEL(u_compat_limit);
LABEL(u_compat_wrap);
LABEL(u_compat_aaa);
LABEL(u_compat_far);
LABEL(u_sysenter32);
u32 bounds[2] = {0, 0x100}, t_wrap_addr, wrapped = 0xcafe;

static void compat(void)
{
	user32((void (*)(void))u_compat, 0);
	check("compat exit", last_fault.vector, 0x80);
	check("compat CS", last_regs.cs, UCODE32);
	check("compat PUSH/POP", last_regs.rbx, 0x12345678);
	check("compat stack", last_regs.rsp, stack3_top);
	check("compat INC", last_regs.rax, UCODE32 + 1);
	user32((void (*)(void))u_compat_inc, 0);
	check("40h is INC EAX", last_regs.rax, 2);
	set_gate(EX_OF, exception_stubs[EX_OF], 14, 3, 0);
	user32((void (*)(void))u_compat_into, 0);
	check("#OF", last_fault.vector, EX_OF);
	check("#OF RIP", last_fault.rip, ADDR(u_compat_into_next));
	check("#OF is a trap", last_regs.rflags & FL_RF, 0);
	asm volatile("mov %0, %%ds" ::"r"(UDATA));
	user32((void (*)(void))u_compat_bound, 0);
	check("#BR", last_fault.vector, EX_BR);
	check("#BR RIP", last_fault.rip, ADDR(u_compat_bound_at));
	check("#BR RF", last_regs.rflags & FL_RF, FL_RF);
	t_gdt[0x60 / 8] = descriptor(0, 0x80, 0xf3, 4);
	asm volatile("mov %0, %%gs" ::"r"(0x63));
	user32((void (*)(void))u_compat_limit, 0);
	check("limit in compatibility mode", last_fault.vector, EX_GP);
	asm volatile("mov %0, %%gs" ::"r"(KDATA));
	t_wrap_addr = (u32)ADDR(&wrapped);
	user32((void (*)(void))u_compat_wrap, 0);
	check("addresses wrap at 4 GiB", last_regs.rax, 0xcafe);
	user32((void (*)(void))u_compat_aaa, 0);
	check("AAA", last_regs.rax & 0xffff, 0x105);
	user32((void (*)(void))u_compat_far, 0);
	check("far JMP to 64-bit code", last_regs.rax, UCODE);
	check("64-bit code runs", last_regs.rbx, 1ull << 40);
}

/* ---- SYSCALL and SYSRET ---- */

asm("on_syscall: mov %rcx, seen; mov %r11, seen+8; pushf; pop seen+16; mov %cs, %rax; mov %rax, seen+24; mov %ss, "
    "%rax; mov %rax, seen+32\n"
    " mov %rsp, seen+40; mov sysret_rcx, %rax; test %rax, %rax; cmovnz %rax, %rcx; mov sysret_r11, %r11; cmpl $0, "
    "sysret32; jne 1f; sysretq; 1: sysretl\n"
    "u_syscall: mov $3, %eax; stc; syscall; u_syscall_next: mov %cs, %eax; mov %ss, %ebx; pushf; pop %rdx; int $0x80\n"
    ".code32; u_after32: mov %cs, %eax; mov %ss, %ebx; int $0x80; u_syscall32: syscall; int $0x80; .code64\n");
LABEL(on_syscall);
LABEL(u_syscall);
LABEL(u_syscall_next);
LABEL(u_after32);
LABEL(u_syscall32);
u64 sysret_rcx, sysret_r11 = 0x40002;
u32 sysret32;

static void syscalls(void)
{
	put_msr_bit(0xc0000080, 0, false);
	user((void (*)(void))u_syscall, 0);
	check("SYSCALL without SCE", last_fault.vector, EX_UD);
	put_msr_bit(0xc0000080, 0, true);
	wrmsr(MSR_STAR, 0x08ull << 32 | 0x3bull << 48);
	wrmsr(MSR_LSTAR, ADDR(on_syscall));
	wrmsr(MSR_SFMASK, FL_IF | FL_CF | FL_DF);
	user((void (*)(void))u_syscall, FL_IF | FL_DF);
	check("SYSRET came back", last_fault.vector, 0x80);
	check("SYSCALL RCX", seen[0], ADDR(u_syscall_next));
	check("SYSCALL R11", seen[1], FL_IF | FL_DF | FL_CF | 2);
	check("SYSCALL FMASK", seen[2], 2);
	check("SYSCALL CS", seen[3], KCODE);
	check("SYSCALL SS", seen[4], KDATA);
	check("SYSCALL leaves RSP", seen[5], stack3_top);
	check("SYSRET CS", last_regs.rax, UCODE);
	check("SYSRET SS", last_regs.rbx, UDATA);
	check("SYSRET RFLAGS", last_regs.rdx, FL_AC | 2);
	sysret32 = 1;
	sysret_rcx = ADDR(u_after32) | 0xdead00000000ull;
	user((void (*)(void))u_syscall, 0);
	check("SYSRETL", last_fault.vector, 0x80);
	check("SYSRETL CS", last_regs.rax, 0x3b);
	check("SYSRETL SS", last_regs.rbx, UDATA);
	sysret32 = 0;
	sysret_rcx = 0x800000000000ull;
	user((void (*)(void))u_syscall, 0);
	check("SYSRET non-canonical", last_fault.vector, EX_GP);
	/* Intel checks in ring 0, AMD when ring 3 fetches */
	check("SYSRET non-canonical CS", last_regs.cs, cpu_is_intel() ? KCODE : UCODE);
	sysret_rcx = 0;
	wrmsr(MSR_CSTAR, ADDR(on_syscall));
	sysret32 = 1;
	user32((void (*)(void))u_syscall32, 0);
	check("SYSCALL in compatibility mode", last_fault.vector, cpu_is_intel() ? EX_UD : 0x80);
	sysret32 = 0;
	RAISES("SYSCALL target non-canonical", EX_GP, 0, AT,
	       "mov $0xc0000082, %%ecx; xor %%eax, %%eax; mov $0x10000000, %%edx", "wrmsr");
}

/* ---- SYSENTER and SYSEXIT ---- */

asm("on_sysenter: mov %rsp, seen; mov %cs, %rax; mov %rax, seen+8; mov %ss, %rax; mov %rax, seen+16; pushf; pop "
    "seen+24\n"
    " lea u_after_exit, %rdx; mov sysexit_rsp, %rcx; .byte 0x48, 0x0f, 0x35\n u_sysenter: sysenter\n u_after_exit: mov "
    "%cs, %eax; mov %ss, %ebx; mov %rsp, %rdi; int $0x80\n");
LABEL(on_sysenter);
LABEL(u_sysenter);
u64 sysexit_rsp;

static void sysenter(void)
{
	wrmsr(MSR_SYSENTER_CS, 0);
	user((void (*)(void))u_sysenter, 0);
	check("SYSENTER in long mode, CS 0", last_fault.vector, cpu_is_intel() ? EX_GP : EX_UD);
	wrmsr(MSR_SYSENTER_CS, KCODE);
	wrmsr(MSR_SYSENTER_ESP, stack0_top);
	wrmsr(MSR_SYSENTER_EIP, ADDR(on_sysenter));
	sysexit_rsp = stack3_top - 64;
	if (!cpu_is_intel()) {
		user((void (*)(void))u_sysenter, 0);
		check("SYSENTER in 64-bit mode on AMD", last_fault.vector, EX_UD);
		user32((void (*)(void))u_sysenter32, 0);
		check("SYSENTER in compatibility mode on AMD", last_fault.vector, EX_UD);
		return;
	}
	user((void (*)(void))u_sysenter, FL_IF);
	check("SYSEXIT came back", last_fault.vector, 0x80);
	check("SYSENTER RSP", seen[0], stack0_top);
	check("SYSENTER CS", seen[1], KCODE);
	check("SYSENTER SS", seen[2], KDATA);
	check("SYSENTER clears IF", seen[3], 2);
	check("SYSEXIT CS", last_regs.rax, KCODE + 32 + 3);
	check("SYSEXIT SS", last_regs.rbx, KCODE + 40 + 3);
	check("SYSEXIT RSP", last_regs.rdi, sysexit_rsp);
	seen[0] = 0;
	user32((void (*)(void))u_sysenter32, FL_IF);
	check("SYSENTER from compatibility mode", seen[0], stack0_top);
	RAISES("SYSEXIT with CS 0", EX_GP, 0, AT, "mov $0x174, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx; wrmsr",
	       ".byte 0x48, 0x0f, 0x35");
}

/* ---- SWAPGS, FSGSBASE ---- */

static void bases(void)
{
	wrmsr(MSR_GS_BASE, 0x1111);
	wrmsr(MSR_KERNEL_GS_BASE, 0x2222);
	asm volatile("swapgs");
	check("SWAPGS GS base", rdmsr(MSR_GS_BASE), 0x2222);
	check("SWAPGS kernel base", rdmsr(MSR_KERNEL_GS_BASE), 0x1111);
	RAISES("RDFSBASE without FSGSBASE", EX_UD, 0, AT, "", "rdfsbase %%rax");
	write_cr4(read_cr4() | 1 << 16);
	wrmsr(MSR_FS_BASE, 0x7ffffffff123ull);
	u64 v;
	asm volatile("rdfsbase %0" : "=r"(v));
	check("RDFSBASE", v, 0x7ffffffff123ull);
	asm volatile("wrgsbase %0" ::"r"(0x3333ull));
	check("WRGSBASE", rdmsr(MSR_GS_BASE), 0x3333);
	RAISES("WRFSBASE non-canonical", EX_GP, 0, AT, "mov $1, %%eax; shl $60, %%rax", "wrfsbase %%rax");
	asm volatile("mov %0, %%fs" ::"r"(KDATA));
	check("MOV FS loads the descriptor's base", rdmsr(MSR_FS_BASE), 0);
	asm volatile("mov %0, %%gs" ::"r"(KDATA));
}

/* A return outwards nulls FS and GS of the inner level; the bases that were given to them by MSR stay. */
asm("u_bases: mov %fs, %eax; mov %gs, %ebx; rdfsbase %rcx; rdgsbase %rdx; mov %fs:0, %rsi; int $0x80\n");
LABEL(u_bases);
u64 behind_fs = 0x5ca1ab1e;

static void bases_stay(const char *way)
{
	vcheck(way, "arrives", last_fault.vector, 0x80);
	vcheck(way, "FS is null", last_regs.rax, 0);
	vcheck(way, "GS is null", last_regs.rbx, 0);
	vcheck(way, "FS base", last_regs.rcx, ADDR(&behind_fs));
	vcheck(way, "GS base", last_regs.rdx, 0x7ffff0000000);
	vcheck(way, "FS base in use", last_regs.rsi, behind_fs);
	vcheck(way, "FS base back in ring 0", rdmsr(MSR_FS_BASE), ADDR(&behind_fs));
	vcheck(way, "GS base back in ring 0", rdmsr(MSR_GS_BASE), 0x7ffff0000000);
}

static void give_bases(void)
{
	asm volatile("mov %0, %%fs; mov %0, %%gs" ::"r"(KDATA));
	wrmsr(MSR_FS_BASE, ADDR(&behind_fs));
	wrmsr(MSR_GS_BASE, 0x7ffff0000000);
}

static void bases_outwards(void)
{
	write_cr4(read_cr4() | 1 << 16);
	give_bases();
	user((void (*)(void))u_bases, 0);
	bases_stay("IRET");
	give_bases();
	CATCH(asm volatile("push %0; push %1; push %2; push %3; lretq" ::"r"((u64)UDATA), "r"(stack3_top),
	                   "r"((u64)UCODE), "r"(u_bases)
	                   : "memory"));
	bases_stay("far RET");
	asm volatile("mov %0, %%fs; mov %0, %%gs" ::"r"(KDATA));
}

int main(void)
{
	t_setup();
	stack3_top = (u64)(t_stack3 + sizeof(t_stack3));
	stack0_top = (u64)(t_stack0 + sizeof(t_stack0));
	idt_gates();
	call_gates();
	far_returns();
	compat();
	syscalls();
	sysenter();
	bases();
	bases_outwards();
	return guest_verdict();
}
