/*
 * The 8259 pair, the I/O APIC, the local APIC in both modes, its timer, NMIs and shadows. Lines are raised by the test
 * device at 2000h (--device pc-testdev). SDM 3A "Advanced Programmable Interrupt Controller", "Interrupt and Exception
 * Handling".
 */
#include "t64.h"

#define LAPIC  0xfee00000ull
#define IOAPIC 0xfec00000ull
enum {
	ID = 0x20,
	VER = 0x30,
	TPR = 0x80,
	PPR = 0xa0,
	EOI = 0xb0,
	LDR = 0xd0,
	DFR = 0xe0,
	SVR = 0xf0,
	ISR = 0x100,
	TMR = 0x180,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR_HI = 0x310,
	LVT_T = 0x320,
	LVT_LINT0 = 0x350,
	LVT_ERR = 0x370,
	T_INIT = 0x380,
	T_CUR = 0x390,
	T_DIV = 0x3e0
};

static bool x2apic;
static u32 apic_get(u32 r)
{
	return x2apic ? (u32)rdmsr(MSR_X2APIC + r / 16) : mmio_read(LAPIC + r);
}
static void apic_put(u32 r, u32 v)
{
	if (x2apic)
		wrmsr(MSR_X2APIC + r / 16, v);
	else
		mmio_write(LAPIC + r, v);
}

static void ioapic_put(u8 r, u32 v)
{
	mmio_write(IOAPIC, r);
	mmio_write(IOAPIC + 0x10, v);
}

static u32 ioapic_get(u8 r)
{
	mmio_write(IOAPIC, r);
	return mmio_read(IOAPIC + 0x10);
}

static void line(unsigned n, u8 v)
{
	outb((u16)(0x2000 + n), v);
}

static unsigned count;
static volatile u8 order[32];
static u64 rips[32];
static enum { EOI_APIC, EOI_PIC, EOI_NONE } eoi_kind;
static int lower = -1; /* the line a handler lowers */
static unsigned lower_at;

static bool on_irq(struct regs *r)
{
	if (count < 32) {
		order[count] = (u8)r->vector;
		rips[count] = r->rip;
	}
	count++;
	if (lower >= 0 && count >= lower_at)
		line((unsigned)lower, 0);
	if (eoi_kind == EOI_APIC)
		apic_put(EOI, 0);
	if (eoi_kind == EOI_PIC) {
		if (r->vector >= 0x28)
			outb(0xa0, 0x20);
		outb(0x20, 0x20);
	}
	return true;
}

static void window(void)
{
	asm volatile("sti; nop; nop; nop; nop; cli" ::: "memory");
}

static unsigned take(void)
{
	count = 0;
	window();
	return count;
}

static void wait_for(unsigned n)
{
	for (unsigned k = 0; k < 1000000 && count < n; k++)
		asm volatile("sti; pause; cli" ::: "memory");
}

/* ---- 8259 ---- */

static void pic_init(void)
{
	outb(0x20, 0x11);
	outb(0x21, 0x20);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0xa0, 0x11);
	outb(0xa1, 0x28);
	outb(0xa1, 2);
	outb(0xa1, 1);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	outb(0x4d0, 0);
	outb(0x4d1, 0);
}

static u8 pic_read(u16 port, u8 what)
{
	outb(port, what);
	return inb(port);
}

static void pulse(unsigned n)
{
	line(n, 1);
	line(n, 0);
}

static void pic(void)
{
	pic_init();
	apic_put(SVR, 0x1ff);
	apic_put(LVT_LINT0, 0x700);
	eoi_kind = EOI_PIC;
	check("PIC masks", inb(0x21) << 8 | inb(0xa1), 0xffff);
	line(5, 1);
	check("masked", take(), 0);
	check("IRR shows it", pic_read(0x20, 0x0a) & 0x20, 0x20);
	outb(0x21, 0xff & ~0x20);
	check("unmasked", take(), 1);
	check("vector", order[0], 0x25);
	check("edge: once", take(), 0);
	line(5, 0);
	outb(0x21, 0xff & ~(0x20 | 8 | 4));
	outb(0xa1, 0xff & ~(2 | 0x10));
	line(5, 1);
	line(3, 1);
	line(12, 1);
	line(9, 1);
	check("four lines", take(), 4);
	check("slave is on IRQ 2: first", order[0], 0x29);
	check("then 12", order[1], 0x2c);
	check("then 3", order[2], 0x23);
	check("then 5", order[3], 0x25);
	line(5, 0), line(3, 0), line(12, 0), line(9, 0);
	/* in service: lower priorities wait, higher ones do not */
	eoi_kind = EOI_NONE;
	line(3, 1);
	check("3 in service", take(), 1);
	check("ISR", pic_read(0x20, 0x0b), 8);
	line(5, 1);
	check("5 waits", take(), 0);
	line(9, 1);
	check("9 is above", take(), 1);
	outb(0xa0, 0x20);
	outb(0x20, 0x20); /* non-specific: the slave's */
	check("ISR without 2", pic_read(0x20, 0x0b), 8);
	outb(0x20, 0x60 | 3); /* specific EOI of 3 */
	check("5 comes", take(), 1);
	check("5", order[0], 0x25);
	outb(0x20, 0x20);
	line(3, 0), line(5, 0), line(9, 0);
	/* the line is gone before INTA: IRQ 7, nothing in service */
	outb(0x21, 0xff & ~0x20);
	outb(0x4d0, 0x20); /* level */
	line(5, 1);
	line(5, 0);
	check("level that went away", take(), 0);
	eoi_kind = EOI_PIC;
	line(5, 1);
	lower = 5, lower_at = 3;
	check("level repeats until lowered", take(), 3);
	lower = -1;
	outb(0x4d0, 0);
	/* rotation and auto-EOI */
	outb(0x20, 0xc0 | 4); /* IRQ 4 lowest: 5 highest */
	outb(0x21, 0xff & ~(0x20 | 8));
	line(5, 1), line(3, 1);
	check("rotated", take(), 2);
	check("5 before 3", order[0], 0x25);
	line(5, 0), line(3, 0);
	outb(0x20, 0xc0 | 7);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	apic_put(LVT_LINT0, 0x10700);
	outb(0x21, 0xff & ~0x20);
	pulse(5);
	check("LINT0 masked", take(), 0);
	outb(0x21, 0xff);
	pic_init();
}

/* ---- I/O APIC ---- */

static void ioapic(void)
{
	eoi_kind = EOI_APIC;
	check("24 entries", ioapic_get(1) >> 16 & 0xff, 23);
	check("entry is masked at reset", ioapic_get(0x10 + 2 * 5) >> 16 & 1, 1);
	ioapic_put(0x10 + 2 * 5 + 1, apic_get(ID));
	ioapic_put(0x10 + 2 * 5, 0x45);
	line(5, 1);
	check("edge", take(), 1);
	check("edge vector", order[0], 0x45);
	check("edge once", take(), 0);
	line(5, 0);
	ioapic_put(0x10 + 2 * 5, 0x10045);
	line(5, 1);
	check("masked", take(), 0);
	line(5, 0);
	ioapic_put(0x10 + 2 * 5, 0x8045); /* level */
	line(5, 1);
	eoi_kind = EOI_NONE;
	check("level", take(), 1);
	check("remote IRR", ioapic_get(0x10 + 2 * 5) >> 14 & 1, 1);
	check("TMR", apic_get(TMR + 0x20) >> 5 & 1, 1);
	check("ISR", apic_get(ISR + 0x20) >> 5 & 1, 1);
	eoi_kind = EOI_APIC;
	lower = 5, lower_at = 2;
	count = 0;
	apic_put(EOI, 0);
	window();
	check("level again after EOI", count, 2);
	lower = -1;
	check("remote IRR clear", ioapic_get(0x10 + 2 * 5) >> 14 & 1, 0);
	/* logical destination, flat */
	apic_put(LDR, 1u << 24);
	apic_put(DFR, 0xffffffff);
	ioapic_put(0x10 + 2 * 5 + 1, 1u << 24);
	ioapic_put(0x10 + 2 * 5, 0x846);
	pulse(5);
	check("logical flat", take(), 1);
	ioapic_put(0x10 + 2 * 5 + 1, 2u << 24);
	pulse(5);
	check("logical flat, other set", take(), 0);
	apic_put(DFR, 0x0fffffff); /* cluster: id 1 of cluster 3 */
	apic_put(LDR, 0x32u << 24);
	ioapic_put(0x10 + 2 * 5 + 1, 0x36u << 24);
	pulse(5);
	check("logical cluster", take(), 1);
	ioapic_put(0x10 + 2 * 5 + 1, 0x26u << 24);
	pulse(5);
	check("logical cluster, other cluster", take(), 0);
	apic_put(DFR, 0xffffffff);
	ioapic_put(0x10 + 2 * 5 + 1, 1u << 24);
	apic_put(LDR, 1u << 24);
	ioapic_put(0x10 + 2 * 5, 0x946); /* lowest priority */
	pulse(5);
	check("lowest priority", take(), 1);
	ioapic_put(0x10 + 2 * 5, 0x10000);
}

/* ---- local APIC ---- */

static void self_ipi(u8 vector)
{
	if (x2apic)
		wrmsr(MSR_X2APIC_SELF_IPI, vector);
	else
		apic_put(ICR, 0x40000u | vector);
}

static void priorities(void)
{
	eoi_kind = EOI_APIC;
	self_ipi(0x51);
	self_ipi(0x62);
	self_ipi(0x61);
	check("IRR", apic_get(IRR + 0x30), 6);
	check("three", take(), 3);
	check("highest first", order[0] << 16 | order[1] << 8 | order[2], 0x626151);
	self_ipi(0x51);
	self_ipi(0x51);
	check("one bit a vector", take(), 1);
	write_cr8(6);
	check("CR8 is TPR", apic_get(TPR), 0x60);
	self_ipi(0x6f);
	check("TPR holds back its class", take(), 0);
	self_ipi(0x70);
	check("the class above passes", take(), 1);
	write_cr8(5);
	check("and then the other", take(), 1);
	check("vector", order[0], 0x6f);
	apic_put(TPR, 0x25);
	check("TPR to CR8", read_cr8(), 2);
	check("PPR", apic_get(PPR), 0x25);
	write_cr8(0);
	eoi_kind = EOI_NONE;
	self_ipi(0x71);
	check("in service", take(), 1);
	check("PPR in service", apic_get(PPR), 0x70);
	self_ipi(0x7f);
	check("same class waits", take(), 0);
	self_ipi(0x80);
	check("higher class nests", take(), 1);
	check("ISR", apic_get(ISR + 0x40) & 1, 1);
	apic_put(EOI, 0);
	check("still waits", take(), 0);
	apic_put(EOI, 0);
	eoi_kind = EOI_APIC;
	check("after both EOIs", take(), 1);
	check("vector 7f", order[0], 0x7f);
	check("ISR empty", apic_get(ISR + 0x30) | apic_get(ISR + 0x40), 0);
}

static void errors(void)
{
	apic_put(ESR, 0);
	apic_put(LVT_ERR, 0x4e);
	if (x2apic) {
		check("SELF IPI illegal vector", CATCH(wrmsr(MSR_X2APIC_SELF_IPI, 5)), -1);
	} else {
		apic_put(ICR, 0x40005);
	}
	apic_put(ESR, 0);
	check("illegal vector", !!(apic_get(ESR) & 0x60), 1);
	check("error interrupt", take(), 1);
	check("error vector", order[0], 0x4e);
	apic_put(ESR, 0);
	check("ESR cleared", apic_get(ESR), 0);
	apic_put(LVT_ERR, 0x10000);
}

static void timer(void)
{
	apic_put(T_DIV, 0xb); /* by 1 */
	apic_put(LVT_T, 0x47);
	count = 0;
	apic_put(T_INIT, 20000);
	u32 a = apic_get(T_CUR), b = apic_get(T_CUR);
	check("counts down", a <= 20000 && b < a, 1);
	wait_for(1);
	check("one-shot", count, 1);
	check("one-shot vector", order[0], 0x47);
	check("count is 0", apic_get(T_CUR), 0);
	u64 t = rdtsc();
	while (rdtsc() - t < 200000)
		window();
	check("only once", count, 1);
	count = 0;
	apic_put(LVT_T, 0x20047); /* periodic */
	apic_put(T_INIT, 20000);
	wait_for(5);
	check("periodic", count >= 5, 1);
	apic_put(T_INIT, 0);
	take();
	check("stopped", take(), 0);
	apic_put(LVT_T, 0x10047);
	apic_put(T_INIT, 1000);
	t = rdtsc();
	while (rdtsc() - t < 100000)
		asm volatile("pause");
	check("masked timer", take(), 0);
	apic_put(LVT_T, 0x47);
	apic_put(T_INIT, 0);
	/* divider: 128 against 1 */
	apic_put(T_DIV, 0xa);
	apic_put(T_INIT, 0xffffffff);
	t = rdtsc();
	u32 c0 = apic_get(T_CUR);
	while (rdtsc() - t < 1280000)
		;
	u32 slow = c0 - apic_get(T_CUR);
	apic_put(T_DIV, 0xb);
	apic_put(T_INIT, 0xffffffff);
	t = rdtsc();
	c0 = apic_get(T_CUR);
	while (rdtsc() - t < 1280000)
		;
	u32 fast = c0 - apic_get(T_CUR);
	check("divider", slow && fast / slow >= 120 && fast / slow <= 136, 1);
	apic_put(T_INIT, 0);
	/* HLT is left by it; RIP is behind the HLT */
	count = 0;
	apic_put(T_INIT, 50000);
	asm volatile("sti; hlt; .globl after_hlt; after_hlt: cli" ::: "memory");
	extern char after_hlt[];
	check("HLT woken", count, 1);
	check("RIP behind HLT", rips[0], (u64)after_hlt);
}

static void deadline(void)
{
	u32 r[4];

	cpuid(1, 0, r);
	if (!(r[2] & 1 << 24)) {
		check("TSC_DEADLINE MSR is not there", CATCH(rdmsr(MSR_TSC_DEADLINE)), EX_GP);
		return;
	}
	apic_put(LVT_T, 0x40048);
	count = 0;
	u64 when = rdtsc() + 100000;
	wrmsr(MSR_TSC_DEADLINE, when);
	check("deadline reads back", rdmsr(MSR_TSC_DEADLINE), when);
	check("initial count has no effect", apic_get(T_CUR), 0);
	wait_for(1);
	check("deadline", count, 1);
	check("not early", rdtsc() >= when, 1);
	check("disarmed", rdmsr(MSR_TSC_DEADLINE), 0);
	wrmsr(MSR_TSC_DEADLINE, 1);
	check("past deadline fires at once", take(), 1);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 50000);
	wrmsr(MSR_TSC_DEADLINE, 0);
	u64 t = rdtsc();
	while (rdtsc() - t < 100000)
		;
	check("cancelled", take(), 0);
	apic_put(LVT_T, 0x47);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 100);
	check("no deadline in another mode", rdmsr(MSR_TSC_DEADLINE), 0);
}

/* ---- NMI and shadows ---- */

static unsigned nmis, depth, deepest;
static void send_nmi(void)
{
	if (x2apic)
		wrmsr(MSR_X2APIC_ICR, 0x4400 | 0x40000);
	else
		apic_put(ICR, 0x44400);
}

static bool on_nmi(struct regs *r)
{
	(void)r;
	nmis++;
	depth++;
	if (depth > deepest)
		deepest = depth;
	if (nmis == 1) {
		send_nmi();
		send_nmi(); /* a third one is lost: one is held */
		asm volatile("nop; nop; nop");
	}
	depth--;
	return true;
}

static void nmi(void)
{

	nmis = deepest = 0;
	on_exception(2, on_nmi);
	/* A self NMI through the ICR is delivered like any other message: physical to ourselves */
	if (x2apic)
		wrmsr(MSR_X2APIC_ICR, (u64)rdmsr(MSR_X2APIC_ID) << 32 | 0x4400);
	else {
		apic_put(ICR_HI, apic_get(ID));
		apic_put(ICR, 0x4400);
	}
	asm volatile("nop; nop; nop");
	check("NMI and the one held", nmis, 2);
	check("not nested", deepest, 1);
}

asm("sh_sti: pushf; cli; mov $0x40051, %eax; movabs %eax, 0xfee00300; sti; cli; popf; ret\n"
    "sh_sti2: cli; mov $0x40051, %eax; movabs %eax, 0xfee00300; sti; sh_a: nop; sh_b: nop; cli; ret\n"
    "sh_ss: cli; mov $0x40051, %eax; mov %ss, %edx; movabs %eax, 0xfee00300; sti; mov %edx, %ss; sh_c: nop; sh_d: nop; "
    "cli; ret\n"
    "sh_popf: cli; mov $0x40051, %eax; movabs %eax, 0xfee00300; pushf; orl $0x200, (%rsp); popf; sh_e: cli; ret\n"
    "sh_stisti: cli; mov $0x40051, %eax; movabs %eax, 0xfee00300; sti; sti; sh_f: cli; ret\n"
    "sh_iret: cli; mov $0x40051, %eax; movabs %eax, 0xfee00300; mov %rsp, %rdx; mov %ss, %ecx; push %rcx; push %rdx; "
    "push $0x202; push $8; push $sh_g; iretq; sh_g: cli; ret\n");
extern char sh_sti[], sh_sti2[], sh_b[], sh_ss[], sh_d[], sh_popf[], sh_e[], sh_stisti[], sh_f[], sh_iret[], sh_g[],
        sh_c[];

static unsigned shadow(char *code)
{
	count = 0;
	asm volatile("call *%0" ::"r"(code) : T_CLOBBERS);
	return count;
}

static void shadows(void)
{
	check("STI CLI", shadow(sh_sti), 0);
	take();
	check("STI", shadow(sh_sti2), 1);
	check("STI holds one instruction", rips[0], (u64)sh_b);
	check("STI, MOV SS", shadow(sh_ss), 1);
	/* either shadow may end the other's: "interrupts may be delivered" after the first; RIP is c or d */
	check("MOV SS behind STI", rips[0] == (u64)sh_c || rips[0] == (u64)sh_d, 1);
	check("POPF has no shadow", shadow(sh_popf), 1);
	check("POPF RIP", rips[0], (u64)sh_e);
	check("STI with IF set has no shadow", shadow(sh_stisti), 1);
	check("STI STI RIP", rips[0], (u64)sh_f);
	check("IRET", shadow(sh_iret), 1);
	check("IRET RIP", rips[0], (u64)sh_g);
}

/* ---- modes ---- */

static void modes(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);
	u32 r[4], id = mmio_read(LAPIC + ID) >> 24;

	check("BSP and enabled", base & 0xd00, 0x900);
	check("x2APIC MSR in xAPIC mode", CATCH(rdmsr(MSR_X2APIC_ID)), EX_GP);
	check("APIC_BASE reserved", CATCH(wrmsr(MSR_APIC_BASE, base | 1)), EX_GP);
	check("EXTD without EN", CATCH(wrmsr(MSR_APIC_BASE, (base & ~0x800ull) | 0x400)), EX_GP);
	/* moved */
	wrmsr(MSR_APIC_BASE, (base & 0xfff) | 0xfed90000);
	check("relocated", mmio_read(0xfed90000 + ID) >> 24, id);
	wrmsr(MSR_APIC_BASE, base);
	/* off and on: as after reset */
	wrmsr(MSR_APIC_BASE, base & ~0x800ull);
	cpuid(1, 0, r);
	check("CPUID.APIC off", r[3] >> 9 & 1, 0);
	check("disabled to x2APIC", CATCH(wrmsr(MSR_APIC_BASE, base | 0x400)), EX_GP);
	wrmsr(MSR_APIC_BASE, base);
	cpuid(1, 0, r);
	check("CPUID.APIC on", r[3] >> 9 & 1, 1);
	check("SVR after off and on", mmio_read(LAPIC + SVR), 0xff);
	mmio_write(LAPIC + SVR, 0x1ff);
	wrmsr(MSR_APIC_BASE, base | 0x400);
	x2apic = true;
	check("x2APIC id", rdmsr(MSR_X2APIC_ID), id);
	check("x2APIC LDR", rdmsr(MSR_X2APIC_LDR), (id >> 4) << 16 | 1u << (id & 15));
	check("x2APIC LDR is read-only", CATCH(wrmsr(MSR_X2APIC_LDR, 1)), EX_GP);
	check("DFR is gone", CATCH(rdmsr(0x80e)), EX_GP);
	check("ICR high is gone", CATCH(rdmsr(0x831)), EX_GP);
	check("SELF IPI is write-only", CATCH(rdmsr(MSR_X2APIC_SELF_IPI)), EX_GP);
	check("EOI is write-only", CATCH(rdmsr(MSR_X2APIC_EOI)), EX_GP);
	check("EOI 1", CATCH(wrmsr(MSR_X2APIC_EOI, 1)), EX_GP);
	check("SVR reserved", CATCH(wrmsr(MSR_X2APIC_SVR, 1u << 31)), EX_GP);
	check("TPR reserved", CATCH(wrmsr(MSR_X2APIC_TPR, 0x100)), EX_GP);
	check("ESR non-zero", CATCH(wrmsr(MSR_X2APIC_ESR, 1)), EX_GP);
	check("x2APIC to xAPIC", CATCH(wrmsr(MSR_APIC_BASE, base)), EX_GP);
	check("SVR kept", apic_get(SVR), 0x1ff);
}

int main(void)
{
	t_setup();
	for (unsigned v = 0x20; v < 0x90; v++)
		on_exception(v, on_irq);
	set_gate(0x80, exception_stubs[0x80], 14, 3, 0);
	pic();
	ioapic();
	priorities();
	errors();
	timer();
	deadline();
	shadows();
	nmi();
	modes();
	priorities();
	timer();
	deadline();
	nmi();
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) & ~0xc00ull);
	x2apic = false;
	return guest_verdict();
}
