/* Corners that the subjects leave: gate privilege of each kind of software event, system descriptors, accessed bits,
 * address sizes, shadows, RF. */
#include "t64.h"

#define L(x)        ((u64)(x))
#define LABELS(...) extern char __VA_ARGS__

/* ---- INT3 and INTO look at the gate's DPL, ICEBP and exceptions do not ---- */

asm("u_int3: int3; u_icebp: .byte 0xf1; u_icebp_next: int $0x80; u_ud: ud2; u_int1: int $1; u_int3b: .byte 0xcd, 3\n");
LABELS(u_int3[], u_icebp[], u_icebp_next[], u_ud[], u_int1[], u_int3b[]);
static int in_user(char *code)
{
	return user((void (*)(void))code, 0);
}

static void software_events(void)
{
	set_gate(EX_BP, exception_stubs[EX_BP], 14, 0, 0);
	check("INT3, gate DPL 0", in_user(u_int3), EX_GP);
	check("INT3, gate DPL 0, error", last_fault.error, 3 * 8 + 2);
	check("INT3, gate DPL 0, RIP", last_fault.rip, L(u_int3));
	check("INT 3, gate DPL 0", in_user(u_int3b), EX_GP);
	set_gate(EX_BP, exception_stubs[EX_BP], 14, 3, 0);
	check("ICEBP does not look at DPL", in_user(u_icebp), EX_DB);
	check("ICEBP RIP", last_fault.rip, L(u_icebp_next));
	check("INT 1 does", in_user(u_int1), EX_GP);
	check("INT 1 error", last_fault.error, 1 * 8 + 2);
	check("exceptions do not", in_user(u_ud), EX_UD);
}

/* ---- system descriptors in long mode ---- */

static u64 ldt[4];
static void descriptors(void)
{
	u64 v;
	bool z;

	t_gdt[0x60 / 8] = descriptor((u32)L(ldt), sizeof(ldt) - 1, 0x82, 0);
	t_gdt[0x68 / 8] = 0;
	check("LLDT", CATCH(asm volatile("lldt %w0" ::"r"(0x60))), -1);
	t_gdt[0x68 / 8] = 1ull << 40; /* type bits of the upper half */
	check("LLDT, upper half typed", CATCH(asm volatile("lldt %w0" ::"r"(0x60))), EX_GP);
	t_gdt[0x68 / 8] = 0x40000000; /* base bits 63:32: not canonical */
	check("LLDT, base not canonical", CATCH(asm volatile("lldt %w0" ::"r"(0x60))), EX_GP);
	t_gdt[0x68 / 8] = 0;
	asm volatile("lldt %w0" ::"r"(0x60));
	ldt[1] = descriptor(0x1000, 0xfff, 0x92, 4);
	check("LDT segment", CATCH(asm volatile("mov %0, %%fs" ::"r"(0xc))), -1);
	check("accessed bit set", ldt[1] >> 40 & 1, 1);
	check("FS base from the LDT", rdmsr(MSR_FS_BASE), 0x1000);
	check("beyond the LDT", CATCH(asm volatile("mov %0, %%fs" ::"r"(0x24))), EX_GP);
	check("beyond the LDT error", last_fault.error, 0x24);
	asm volatile("mov %0, %%fs" ::"r"(KDATA));
	asm volatile("lar %2, %0" : "=r"(v), "=@ccz"(z) : "r"(0x28ull));
	check("LAR of the TSS", z ? v & 0xff00 : 0, 0x8b00);
	asm volatile("lsl %2, %0" : "=r"(v), "=@ccz"(z) : "r"(0x28ull));
	check("LSL of the TSS", z ? v : 0, 0x67);
	asm volatile("lsl %2, %0" : "=r"(v), "=@ccz"(z) : "r"((u64)KDATA));
	check("LSL with granularity", z ? v : 0, 0xffffffff);
	t_gdt[0x70 / 8] = (u64)(0x8e) << 40 | (u64)KCODE << 16;
	asm volatile("lar %2, %0" : "=r"(v), "=@ccz"(z) : "r"(0x70ull));
	check("LAR of an interrupt gate", z, 0);
	t_gdt[0x70 / 8] = (u64)(0x8c) << 40 | (u64)KCODE << 16;
	asm volatile("lar %2, %0" : "=r"(v), "=@ccz"(z) : "r"(0x70ull));
	check("LAR of a call gate", z, 1);
	asm volatile("lsl %2, %0" : "=r"(v), "=@ccz"(z) : "r"(0x70ull));
	check("LSL of a call gate", z, 0);
	asm volatile("verr %w1" : "=@ccz"(z) : "r"(KCODE));
	check("VERR code", z, 1);
	asm volatile("verw %w1" : "=@ccz"(z) : "r"(KCODE));
	check("VERW code", z, 0);
	/* the last descriptor's upper half beyond the limit */
	load_gdt(t_gdt, 0x67);
	check("LLDT cut by the limit", CATCH(asm volatile("lldt %w0" ::"r"(0x60))), EX_GP);
	load_gdt(t_gdt, sizeof(t_gdt) - 1);
	asm volatile("lldt %w0" ::"r"(0));
	t_gdt[0x60 / 8] = t_gdt[0x28 / 8] & ~(2ull << 40);
	t_gdt[0x68 / 8] = t_gdt[0x30 / 8];
	asm volatile("ltr %w0" ::"r"(0x60) : "memory");
	check("LTR sets busy", t_gdt[0x60 / 8] >> 41 & 1, 1);
	t_gdt[0x28 / 8] &= ~(2ull << 40);
	asm volatile("ltr %w0" ::"r"(0x28));
}

/* ---- effective addresses ---- */

static u8 cell[64] __attribute__((aligned(64)));
static void addresses(void)
{
	u64 v;

	*(u64 *)cell = 0x1122334455667788ull;
	asm volatile("mov %1, %%rcx; bts $40, %%rcx; addr32 mov (%%ecx), %0" : "=r"(v) : "r"(cell) : "rcx");
	check("address size 32 drops the upper half", v, *(u64 *)cell);
	/* FS base + 32-bit effective address: the sum has 64 bits */
	wrmsr(MSR_FS_BASE, L(cell) - 0xfffffff0ull);
	asm volatile("mov $0xfffffff0, %%ecx; addr32 mov %%fs:(%%ecx), %0" : "=r"(v)::"rcx");
	check("FS base and a 32-bit address", v, *(u64 *)cell);
	wrmsr(MSR_FS_BASE, 0);
	asm volatile("mov $-16, %%rcx; lea 16(%%rcx), %0" : "=r"(v)::"rcx");
	check("LEA wraps", v, 0);
	/* DS, ES and SS bases do not count */
	t_gdt[0x60 / 8] = descriptor(0x123000, 0, 0x93, 0);
	asm volatile("mov %2, %%ds; mov (%1), %0; mov %3, %%ds" : "=&r"(v) : "r"(cell), "r"(0x60), "r"(KDATA));
	check("DS base and limit do not count", v, *(u64 *)cell);
}

/* ---- RF and REP ---- */

static unsigned steps, with_rf;
static u64 rep_rip;
static bool on_step(struct regs *r)
{
	if (r->rip == rep_rip) {
		steps++;
		with_rf += !!(r->rflags & FL_RF);
	}
	return true;
}

LABELS(rep_at[]);
static void rep_flag(void)
{
	on_exception(EX_DB, on_step);
	rep_rip = L(rep_at);
	asm volatile("mov $4, %%ecx; lea cell_copy, %%rdi; pushf; orl $0x100, (%%rsp); popf; rep_at: rep stosb; pushf; "
	             "andl $~0x100, (%%rsp); popf" ::
	                     : T_CLOBBERS);
	check("traps between iterations", steps, 3);
	/* "Debug Exceptions: Resume Flag": set for events between the iterations of a repeated string instruction */
	check("RF between iterations", with_rf, 3);
	on_exception(EX_DB, NULL);
}
u8 cell_copy[64];

/* ---- POP FS, far pointers, LSS has no shadow ---- */

static unsigned traps;
static u64 trap_rip[8];
static bool on_trap(struct regs *r)
{
	if (traps < 8)
		trap_rip[traps] = r->rip;
	traps++;
	return true;
}

LABELS(lss_at[], lss_next[], lss_next2[]);
static struct {
	u32 off;
	u16 sel;
} __attribute__((packed)) lss_ptr __attribute__((used));
static void lss(void)
{
	on_exception(EX_DB, on_trap);
	traps = 0;
	t_gdt[0x60 / 8] = t_gdt[KDATA / 8];
	asm volatile("mov %%rsp, %%rdi; mov %%edi, %0; movw $0x10, 4+%0; pushf; orl $0x100, (%%rsp); popf; lss_at: lss "
	             "%0, %%esp; lss_next: nop; lss_next2: mov %%rdi, %%rsp; pushf; andl $~0x100, (%%rsp); popf"
	             : "+m"(lss_ptr)::T_CLOBBERS);
	check("LSS has no shadow", trap_rip[0], L(lss_next));
	check("then the next", trap_rip[1], L(lss_next2));
	on_exception(EX_DB, NULL);
}

/* ---- the IDT, GDT and TSS pages get their accessed bits; descriptors in read-only pages ---- */

#define VA 0x8000000000ull
static void system_tables(void)
{
	u64 *page = page_alloc();

	memcpy(page, t_gdt, 512);
	page[0x60 / 8] = descriptor(0, 0xfffff, 0x92, 0xc); /* not accessed yet */
	page[0x68 / 8] = descriptor(0, 0xfffff, 0x93, 0xc);
	map_page(pml4, VA, L(page), 1); /* read-only, supervisor */
	invlpg((void *)VA);
	load_gdt((u64 *)VA, 511);
	check("accessed descriptor in a read-only page", CATCH(asm volatile("mov %0, %%fs" ::"r"(0x68))), -1);
	check("setting the accessed bit faults", CATCH(asm volatile("mov %0, %%fs" ::"r"(0x60))), EX_PF);
	check("its error code: a supervisor write", last_fault.error, 3);
	check("its CR2", last_fault.cr2 & ~7ull, VA + 0x60);
	map_page(pml4, VA, 0, 0);
	invlpg((void *)VA);
	load_gdt(t_gdt, sizeof(t_gdt) - 1);
}

/* ---- NMI blocking ends with an IRET, even one that faults ---- */

static unsigned nmis;
static bool on_nmi(struct regs *r)
{
	nmis++;
	if (nmis == 1) {
		mmio_write(0xfee00300, 0x4400); /* held */
		mmio_write(0xfee00300, 0x4400);
		check("held while blocked", nmis, 1);
		CATCH(iret_to(0, 0, 0, 0, 2)); /* #GP: and blocking is over */
		asm volatile("nop; nop");
		check("delivered after the IRET of the #GP handler or before", nmis, 2);
	}
	(void)r;
	return true;
}

static void nmi(void)
{
	mmio_write(0xfee000f0, 0x1ff);
	on_exception(2, on_nmi);
	mmio_write(0xfee00310, mmio_read(0xfee00020));
	mmio_write(0xfee00300, 0x4400);
	asm volatile("nop; nop; nop");
	check("NMIs", nmis, 2);
}

int main(void)
{
	t_setup();
	software_events();
	descriptors();
	addresses();
	rep_flag();
	lss();
	system_tables();
	nmi();
	return guest_verdict();
}
