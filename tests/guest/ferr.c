/*
 * x87 errors with CR0.NE = 0: FERR# raises line 13, a write to port F0h takes it back and asserts IGNNE#; without that
 * the next waiting instruction freezes the processor until an interrupt. SDM 1 "MS-DOS* Compatibility Sub-mode".
 */
#include "t64.h"

#define LAPIC 0xfee00000ull
enum { IRQ0 = 0x20, IRQ13 = 0x2d, TIMER = 0x61 };

static volatile unsigned errors, ticks;
static volatile u64 error_rip, tick_rip;
static volatile u16 status;
static bool answers = true; /* the handler writes port F0h */
extern char freeze_at[], freeze_next[], ignored_at[];

static void mask_line13(bool masked)
{
	outb(0xa1, masked ? 0xff : 0xdf);
}

static bool on_error(struct regs *r)
{
	u16 sw;

	asm volatile("fnstsw %0" : "=m"(sw));
	status = sw;
	error_rip = r->rip;
	errors++;
	if (answers)
		outb(0xf0, 0);
	else
		asm volatile("fnclex");
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
	return true;
}

static bool on_timer(struct regs *r)
{
	tick_rip = r->rip;
	ticks++;
	mask_line13(false);
	mmio_write(LAPIC + 0xb0, 0);
	return true;
}

static void pic_init(void)
{
	outb(0x20, 0x11), outb(0x21, IRQ0), outb(0x21, 4), outb(0x21, 1);
	outb(0xa0, 0x11), outb(0xa1, IRQ0 + 8), outb(0xa1, 2), outb(0xa1, 1);
	outb(0x21, 0xfb);
	mask_line13(true);
	mmio_write(LAPIC + 0xf0, 0x1ff);
	mmio_write(LAPIC + 0x350, 0x700); /* ExtINT */
}

static void unmask_zero_divide(void)
{
	u16 cw = 0x37b;

	asm volatile("fninit; fldcw %0; fld1; fldz" ::"m"(cw));
}

/* The error, its interrupt, and instructions that run because IGNNE# is active. */
static void ignored(void)
{
	mask_line13(false);
	unmask_zero_divide();
	errors = 0;
	asm volatile("sti; nop; fdivrp; .globl ignored_at; ignored_at: nop; fld1; fstp %%st; cli" ::: "memory");
	check("line 13", errors, 1);
	check("right behind the error", error_rip, (u64)ignored_at);
	check("status: ES, B, ZE", status & 0x8084, 0x8084);
	asm volatile("fwait; fld1; fstp %%st" ::: "memory"); /* IGNNE# stays while FERR# does */
	check("ignored", errors, 1);
	asm volatile("fnclex; fldz; fld1; fdivp" ::: "memory"); /* FERR# went away: so did IGNNE# */
	asm volatile("sti; nop; nop; cli" ::: "memory");
	check("the next error raises the line again", errors, 2);
	asm volatile("fnclex");
}

/* Line 13 is masked: the waiting instruction stops until the timer comes, and again until its handler lets line 13 in. */
static void frozen(void)
{
	mask_line13(true);
	unmask_zero_divide();
	errors = ticks = 0;
	mmio_write(LAPIC + 0x3e0, 0xb);
	mmio_write(LAPIC + 0x320, TIMER);
	mmio_write(LAPIC + 0x380, 20000);
	asm volatile("fdivrp; sti; nop; nop\n.globl freeze_at, freeze_next\nfreeze_at: fwait\nfreeze_next: cli" ::: "memory");
	check("frozen: the timer came", ticks, 1);
	check("frozen: at the instruction", tick_rip, (u64)freeze_at);
	check("frozen: then line 13", errors, 1);
	check("frozen: still at the instruction", error_rip, (u64)freeze_at);
	asm volatile("fnclex");
}

/* A handler that clears the error instead; FNSTSW and FNCLEX do not wait. Port F0h without an error does nothing. */
static void cleared(void)
{
	mask_line13(true);
	outb(0xf0, 0);
	mask_line13(false);
	answers = false;
	unmask_zero_divide();
	errors = 0;
	asm volatile("fdivrp; sti; nop; fld1; fstp %%st; cli" ::: "memory");
	check("F0h without FERR#: IGNNE# is not active", errors, 1);
	outb(0xf0, 0);
	asm volatile("sti; nop; nop; cli" ::: "memory");
	check("one interrupt an error", errors, 1);
	answers = true;
}

static void native(void)
{
	unmask_zero_divide();
	errors = 0;
	asm volatile("fdivrp");
	check("NE = 1: #MF", CATCH(asm volatile("fwait")), EX_MF);
	asm volatile("sti; nop; nop; cli; fnclex" ::: "memory");
	check("NE = 1: no line 13", errors, 0);
}

int main(void)
{
	u64 cr0 = read_cr0();

	on_exception(IRQ13, on_error);
	on_exception(TIMER, on_timer);
	pic_init();
	write_cr0(cr0 & ~0x20ull);
	ignored();
	frozen();
	cleared();
	write_cr0(cr0 | 0x20);
	native();
	return guest_verdict();
}
