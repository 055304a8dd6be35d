/*
 * Protected mode: call gates with parameters, conforming code, interrupt gates of both sizes, stack switches, far
 * returns, limits and expand-down segments, IOPL and the I/O permission map. SDM 3A "Protection", "Interrupt and
 * Exception Handling".
 */
#include "t32.h"

enum {
	CG = 0x48,
	CONF = 0x50,
	LIMITED = 0x58,
	DOWN = 0x60,
	CG16 = 0x68,
	ROM = 0x80,
	XONLY = 0x88,
	R1CODE = 0x90,
	R1DATA = 0x98
};
#define L(x)        ((u32)(x))
#define LABELS(...) extern char __VA_ARGS__
u32 seen[16], far_ptr[2];

static void set_far(u32 off, u16 sel)
{
	far_ptr[0] = off;
	far_ptr[1] = sel;
}

/* ---- call gates ---- */

asm("cg_target: mov %esp, seen; mov %cs, seen+4; mov %ss, seen+8; movl (%esp), %eax; mov %eax, seen+12; mov 4(%esp), "
    "%eax; mov %eax, seen+16\n"
    " mov 8(%esp), %eax; mov %eax, seen+20; mov 12(%esp), %eax; mov %eax, seen+24; mov 16(%esp), %eax; mov %eax, "
    "seen+28; mov 20(%esp), %eax; mov %eax, seen+32; lret $8\n"
    "u_call: pushl $0xaaaa; pushl $0xbbbb; lcall *far_ptr; u_call_next: mov %esp, %ebx; int $0x80\n"
    "u_jmp: ljmp *far_ptr; conf_target: mov %cs, %eax; lret; u_conf: lcall *far_ptr; mov %eax, %ebx; int $0x80\n"
    "cg16: mov %esp, seen; movl (%esp), %eax; mov %eax, seen+4; mov 4(%esp), %eax; mov %eax, seen+8; mov 8(%esp), "
    "%eax; mov %eax, seen+12; data16 lret $4\n"
    "u_call16: pushw $0xaaaa; pushw $0xbbbb; lcall *far_ptr; mov %esp, %ebx; int $0x80\n");
LABELS(cg_target[], u_call[], u_call_next[], u_jmp[], conf_target[], u_conf[], cg16[], u_call16[]);

static void call_gates(void)
{
	gdt[CG / 8] = gate(L(cg_target), KCODE, 12, 3, 2);
	set_far(0xdeadbeef, CG | 3);
	user(u_call, 0);
	check("call gate", last.vector, 0x80);
	check("inner stack", seen[0], stack0_top() - 24);
	check("inner CS", seen[1] & 0xffff, KCODE);
	check("inner SS", seen[2] & 0xffff, KDATA);
	check("pushed EIP", seen[3], L(u_call_next));
	check("pushed CS", seen[4] & 0xffff, UCODE);
	check("parameter 1", seen[5], 0xbbbb);
	check("parameter 2", seen[6], 0xaaaa);
	check("pushed ESP", seen[7], stack3_top() - 8);
	check("pushed SS", seen[8] & 0xffff, UDATA);
	check("RET n pops parameters outside", last.ebx, stack3_top());
	check("JMP to more privilege", user(u_jmp, 0), EX_GP);
	check("JMP to more privilege error", last.error, KCODE);
	gdt[CG / 8] = gate(L(cg_target), KCODE, 12, 2, 0);
	check("gate DPL", user(u_call, 0), EX_GP);
	check("gate DPL error", last.error, CG);
	gdt[CG / 8] = gate(L(cg_target), KDATA, 12, 3, 0);
	check("gate to data", user(u_call, 0), EX_GP);
	check("gate to data error", last.error, KDATA);
	gdt[CG / 8] = gate(L(cg_target), 0, 12, 3, 0);
	check("gate to null", user(u_call, 0), EX_GP);
	check("gate to null error", last.error, 0);
	gdt[CG / 8] = gate(L(cg_target), KCODE, 12, 3, 0) & ~(1ull << 47);
	check("gate not present", user(u_call, 0), EX_NP);
	check("gate not present error", last.error, CG);
	gdt[CG / 8] = gate(L(cg_target), KCODE, 12, 3, 2);
	/* at the same level no parameters are copied */
	set_far(0, CG);
	gdt[CG / 8] = gate(L(cg_target), KCODE, 12, 0, 2);
	u32 sp;
	asm volatile("mov %%esp, %0; sub $8, %%esp; lcall *far_ptr; mov %0, %%esp"
	             : "=&D"(sp)::"eax", "ecx", "edx", "memory", "cc");
	check("same level: no switch", seen[0], sp - 8 - 8);
	/* conforming code keeps CPL */
	gdt[CONF / 8] = descriptor(0, 0xfffff, 0x9f, 0xc);
	set_far(L(conf_target), CONF);
	check("conforming from CPL 3", user(u_conf, 0), 0x80);
	check("conforming CS", last.ebx & 0xffff, CONF | 3);
	/* a 16-bit gate: words */
	gdt[CG16 / 8] = gate(0x9000, KCODE, 4, 3, 2);
	*(u8 *)0x9000 = 0xe9;
	*(u32 *)0x9001 = L(cg16) - 0x9005;
	set_far(0, CG16 | 3);
	check("16-bit gate returns to the low half of EIP only", user(u_call16, 0) >= 0, true);
	check("16-bit gate: frame of words", seen[0], stack0_top() - 12);
	check("16-bit gate: CS", seen[1] >> 16, UCODE);
	check("16-bit gate: parameters", seen[2], 0xaaaabbbb);
	check("16-bit gate: SS", seen[3] >> 16, UDATA);
}

/* ---- gates of the IDT ---- */

asm("ig32: mov %esp, seen; pushf; popl seen+4; mov (%esp), %eax; mov %eax, seen+8; mov 4(%esp), %eax; mov %eax, "
    "seen+12; mov 8(%esp), %eax; mov %eax, seen+16; mov 12(%esp), %eax; mov %eax, seen+20; mov 16(%esp), %eax; mov "
    "%eax, seen+24; iret\n"
    "ig16: mov %esp, seen; mov (%esp), %eax; mov %eax, seen+4; mov 4(%esp), %eax; mov %eax, seen+8; mov 8(%esp), %eax; "
    "mov %eax, seen+12; data16 iret\n"
    "u_int: int $0x90; u_int_next: int $0x80\n");
LABELS(ig32[], ig16[], u_int[], u_int_next[]);

static void idt_gates(void)
{
	idt[0x90] = gate(L(ig32), KCODE, 14, 3, 0);
	check("interrupt gate", user(u_int, 0x200), 0x80);
	check("frame of five", seen[0], stack0_top() - 20);
	check("IF cleared", seen[1] & 0x200, 0);
	check("EIP", seen[2], L(u_int_next));
	check("CS", seen[3] & 0xffff, UCODE);
	check("EFLAGS", seen[4], 0x202);
	check("ESP", seen[5], stack3_top());
	check("SS", seen[6] & 0xffff, UDATA);
	idt[0x90] = gate(L(ig32), KCODE, 15, 3, 0);
	user(u_int, 0x200);
	check("trap gate keeps IF", seen[1] & 0x200, 0x200);
	u32 sp;
	asm volatile("mov %%esp, %0; int $0x90" : "=r"(sp)::"eax", "memory");
	check("same level: frame of three", seen[0], sp - 12);
	/* 16-bit gate: words, and the low half of the offset */
	*(u8 *)0x9100 = 0xe9;
	*(u32 *)0x9101 = L(ig16) - 0x9105;
	idt[0x91] = gate(0x77779100, KCODE, 6, 3, 0);
	memcpy((void *)0x9300, (u8[]){0xcd, 0x91, 0xc3}, 3); /* INT 91h; RET where sixteen bits suffice */
	asm volatile("mov %%esp, %0; call *%1" : "=&r"(sp) : "r"(0x9300) : "eax", "memory");
	check("16-bit gate: frame of six bytes", seen[0], sp - 4 - 6);
	check("16-bit gate: CS:IP", seen[1], KCODE << 16 | 0x9302);
	idt[0x90] = gate(L(ig32), KCODE, 14, 0, 0);
	check("gate DPL", user(u_int, 0), EX_GP);
	check("gate DPL error", last.error, 0x90 * 8 + 2);
	idt[0x90] = gate(L(ig32), UCODE, 14, 3, 0);
	check("gate outwards", CATCH(asm volatile("int $0x90")), EX_GP);
	check("gate outwards error", last.error, UCODE & ~3u);
	/* the inner stack's selector is bad */
	idt[0x90] = gate(L(ig32), KCODE, 14, 3, 0);
}

asm("on_ts: popl seen; jmp fault_longjmp\n");
LABELS(on_ts[]);
static void inner_stack(const char *name, u32 ss0, unsigned vector, u32 error)
{
	/* the handler is a task: it must not need the broken stack */
	u64 saved = idt[vector];

	idt[vector] = gate(0, DF_TSS, 5, 0, 0);
	static struct tss32 t;
	static u8 stack[512];
	memset(&t, 0, 0x68);
	t.eip = L(on_ts);
	t.eflags = 2;
	t.esp = L(stack + sizeof(stack));
	t.cs = KCODE;
	t.ss = t.ds = t.es = KDATA;
	gdt[DF_TSS / 8] = descriptor(L(&t), 0x67, 0x89, 0);
	main_tss.ss0 = ss0;
	seen[0] = ~0u;
	user(u_int, 0);
	main_tss.ss0 = KDATA;
	check(name, seen[0], error);
	check(name, main_tss.eip, L(u_int)); /* the INT is to be restarted */
	idt[vector] = saved;
	gdt[TSS_SEL / 8] &= ~(2ull << 40);
	asm volatile("pushl $2; popf; ltr %w0; clts" ::"r"(TSS_SEL));
}

static void inner_stacks(void)
{
	gdt[ROM / 8] = descriptor(0, 0xfffff, 0x91, 0xc);
	gdt[XONLY / 8] = descriptor(0, 0xfffff, 0x13, 0xc);
	inner_stack("SS0 null", 0, EX_TS, 0);
	inner_stack("SS0 of ring 3", UDATA, EX_TS, UDATA & ~3u);
	inner_stack("SS0 read-only", ROM, EX_TS, ROM);
	inner_stack("SS0 beyond the GDT", 0x800, EX_TS, 0x800);
	inner_stack("SS0 not present", XONLY, EX_SS, XONLY);
}

/* ---- limits ---- */

static u8 buffer[8192] __attribute__((aligned(4096)));

static int touch(u16 sel, u32 off)
{
	return CATCH(asm volatile("mov %0, %%fs; mov %%fs:(%1), %%eax" ::"r"(sel), "r"(off) : "eax"));
}

static int store(u16 sel, u32 off)
{
	return CATCH(asm volatile("mov %0, %%fs; mov %%eax, %%fs:(%1)" ::"r"(sel), "r"(off) : "memory"));
}

static void limits(void)
{
	gdt[LIMITED / 8] = descriptor(L(buffer), 0x7ff, 0x93, 4);
	check("last dword", touch(LIMITED, 0x7fc), -1);
	check("one beyond", touch(LIMITED, 0x7fd), EX_GP);
	check("wraps", touch(LIMITED, 0xfffffffe), EX_GP);
	gdt[DOWN / 8] = descriptor(L(buffer), 0x7ff, 0x97, 4);
	check("expand-down inside", touch(DOWN, 0x800), -1);
	check("expand-down below", touch(DOWN, 0x7ff), EX_GP);
	check("expand-down at 0", touch(DOWN, 0), EX_GP);
	check("accessed bit", (u32)(gdt[DOWN / 8] >> 40) & 1, 1);
	gdt[DOWN / 8] = descriptor(L(buffer), 0xff, 0x97, 0); /* B clear: up to FFFFh */
	check("expand-down 16-bit", touch(DOWN, 0x100), -1);
	check("expand-down 16-bit above", touch(DOWN, 0xfffe), EX_GP);
	gdt[ROM / 8] = descriptor(L(buffer), 0xfff, 0x91, 4);
	check("read-only read", touch(ROM, 0), -1);
	check("read-only write", store(ROM, 0), EX_GP);
	check("null selector", touch(0, 0), EX_GP);
	gdt[XONLY / 8] = descriptor(L(buffer), 0xfff, 0x99, 4);
	check("execute-only load", touch(XONLY, 0), EX_GP);
	check("execute-only load error", last.error, XONLY);
	gdt[LIMITED / 8] = descriptor(L(buffer), 0x7ff, 0x93, 4);
}

asm("u_bound: mov $7, %eax; bound %eax, range; mov $9, %eax; u_bound_at: bound %eax, range; int $0x80\n range: .long "
    "1, 8\n"
    "u_into: xor %eax, %eax; into; movb $0x7f, %al; incb %al; into; u_into_next: int $0x80\n"
    "u_in: inb $0x80, %al; int $0x80; u_in2: inw $0x87, %ax; int $0x80; u_cli: cli; int $0x80; u_popf: pushl $0x3202; "
    "popf; pushf; popl %ebx; int $0x80\n"
    "u_insb: mov %esp, %edi; sub $16, %edi; mov $0x80, %edx; insb; int $0x80; u_arpl: mov $0x10, %eax; mov $3, %ecx; "
    "arpl %cx, %ax; int $0x80\n"
    "u_lar: mov $8, %ecx; lar %ecx, %eax; setz %bl; mov $0x20, %ecx; lar %ecx, %eax; setz %bh; int $0x80\n"
    "u_verr: mov $0x10, %ecx; verr %cx; setz %bl; mov $0x28, %ecx; verw %cx; setz %bh; int $0x80\n");
LABELS(u_bound[], u_bound_at[], u_into[], u_into_next[], u_in[], u_in2[], u_cli[], u_popf[], u_insb[], u_arpl[],
       u_lar[], u_verr[]);

static void user_rights(void)
{
	check("BOUND", user(u_bound, 0), EX_BR);
	check("BOUND EIP", last.eip, L(u_bound_at));
	check("INTO", user(u_into, 0), EX_OF);
	check("INTO EIP", last.eip, L(u_into_next));
	memset(main_tss.more, 0, 0x40 + 32);
	memset(main_tss.more + 32, 0xff, 8193);
	check("IN, IOPL 0, bit set", user(u_in, 0), EX_GP);
	check("IN, IOPL 3", user(u_in, 0x3000), 0x80);
	main_tss.more[32 + 16] = 0xfe; /* port 80h */
	check("IN, bit clear", user(u_in, 0), 0x80);
	main_tss.more[32 + 16] = 0x7f; /* port 87h, not 88h */
	check("INW needs both bits", user(u_in2, 0), EX_GP);
	main_tss.more[32 + 17] = 0xfe;
	check("INW with both bits", user(u_in2, 0), 0x80);
	check("INSB", user(u_insb, 0), EX_GP);
	memset(main_tss.more + 32, 0xff, 64);
	main_tss.iomap = 0xffff;
	check("no map", user(u_in, 0), EX_GP);
	main_tss.iomap = 0x68 + 32;
	check("CLI, IOPL 0", user(u_cli, 0), EX_GP);
	check("CLI, IOPL 3", user(u_cli, 0x3200), 0x80);
	check("IF cleared by it", last.eflags & 0x200, 0);
	user(u_popf, 0);
	check("POPF, IOPL 0", last.ebx & 0x3200, 0);
	user(u_popf, 0x3000);
	check("POPF, IOPL 3", last.ebx & 0x3200, 0x3200);
	user(u_arpl, 0);
	check("ARPL", last.eax, 0x13);
	user(u_lar, 0);
	check("LAR of ring 0 code at CPL 3", last.ebx & 0xff, 0);
	check("LAR of one's own", last.ebx >> 8 & 0xff, 1);
	check("LAR value", last.eax, 0xcffb00);
	user(u_verr, 0);
	check("VERR, VERW", last.ebx & 0xffff, 0x100);
}

/* ---- far transfers outwards, ring 1 ---- */

asm("ring1: mov %cs, %eax; mov %ss, %ebx; mov %ds, %ecx; int $0x80\n\n"
    "u_iret_in: pushl $0x10; pushl $0; pushl $2; pushl $8; pushl $0; u_iret_at: iret\n");
LABELS(u_iret_in[], u_iret_at[]);

static void far_returns(void)
{
	gdt[R1CODE / 8] = descriptor(0, 0xfffff, 0xbb, 0xc);
	gdt[R1DATA / 8] = descriptor(0, 0xfffff, 0xb3, 0xc);
	u64 saved = idt[0x80];

	check("RETF to ring 1",
	      CATCH(asm volatile("push %0; push %1; push %2; push $ring1; lret" ::"r"(R1DATA | 1), "r"(stack3_top()),
	                         "r"(R1CODE | 1))),
	      0x80);
	check("ring 1 CS", last.eax & 0xffff, R1CODE | 1);
	check("ring 1 SS", last.ebx & 0xffff, R1DATA | 1);
	check("DS of ring 0 nulled", last.ecx & 0xffff, 0);
	check("interrupted ESP", last.esp, stack3_top());
	idt[0x80] = saved;
	check("RETF SS wrong",
	      CATCH(asm volatile("push %0; push %1; push %2; push $ring1; lret" ::"r"(KDATA), "r"(stack3_top()),
	                         "r"(R1CODE | 1))),
	      EX_GP);
	check("RETF SS wrong error", last.error, KDATA);
	check("RETF beyond the limit", CATCH(asm volatile("push %0; push $0x20000; lret" ::"r"(CODE16))), EX_GP);
	check("IRET inwards", user(u_iret_in, 0), EX_GP);
	check("IRET inwards error", last.error, KCODE);
	check("IRET inwards EIP", last.eip, L(u_iret_at));
}

/* ---- 16-bit code ---- */

asm(".pushsection .rodata; .globl low16, low16_end; low16: .code16; mov %sp, %ax; push %bx; pop %cx; leaw "
    "0x12345(%eax), %dx; .byte 0x40; ljmpl $8, $back16; low16_end: .code32; .popsection\n"
    "back16: mov $0x10, %ecx; mov %ecx, %ss; mov saved_sp, %esp; ret\n"
    "go16: mov %esp, saved_sp; mov $0x38, %ecx; mov %ecx, %ss; mov $0x8000, %esp; mov $0xabcd1234, %ebx; mov "
    "$0x11110000, %ecx; ljmp $0x30, $0x9200\n .data; saved_sp: .long 0; .text\n");
LABELS(low16[], low16_end[], go16[]);

static void sixteen(void)
{
	u32 a, b, c, d;

	memcpy((void *)0x9200, low16, (size_t)(low16_end - low16));
	asm volatile("call go16" : "=a"(a), "=b"(b), "=c"(c), "=d"(d)::"memory", "cc");
	check("16-bit SP", a & 0xffff, 0x8001);
	check("16-bit LEA with a 32-bit address", d & 0xffff, (u16)(a - 1 + 0x2345));
}

/* ---- SYSENTER in protected mode ---- */

asm("on_sysenter: mov %esp, seen; mov %cs, seen+4; mov %ss, seen+8; mov $u_after, %edx; mov $0x116000, %ecx; sysexit\n "
    "u_sysenter: sysenter; u_after: mov %cs, %eax; mov %ss, %ebx; mov %esp, %esi; int $0x80\n");
LABELS(on_sysenter[], u_sysenter[]);

static void sysenter(void)
{
	wrmsr(MSR_SYSENTER_CS, 0);
	check("SYSENTER, CS 0", user(u_sysenter, 0), EX_GP);
	wrmsr(MSR_SYSENTER_CS, KCODE);
	wrmsr(MSR_SYSENTER_ESP, stack0_top());
	wrmsr(MSR_SYSENTER_EIP, L(on_sysenter));
	check("SYSENTER, SYSEXIT", user(u_sysenter, 0), 0x80);
	check("SYSENTER ESP", seen[0], stack0_top());
	check("SYSENTER CS", seen[1] & 0xffff, KCODE);
	check("SYSENTER SS", seen[2] & 0xffff, KCODE + 8);
	check("SYSEXIT CS", last.eax & 0xffff, (KCODE + 16) | 3);
	check("SYSEXIT SS", last.ebx & 0xffff, (KCODE + 24) | 3);
	check("SYSEXIT ESP", last.esi, 0x116000);
}

int main(void)
{
	call_gates();
	idt_gates();
	inner_stacks();
	limits();
	user_rights();
	far_returns();
	sixteen();
	sysenter();
	return guest_verdict();
}
