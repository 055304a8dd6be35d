/*
 * A secure start with all processors, by the real instructions: "Secure Multiprocessor Initialization" of 33047. The
 * others start as ever; they are idled by INIT IPIs, the first executes SKINIT and starts them again; each finds GIF 0
 * and its VM_CR protected, sets GIF, and takes what was held; then the start is aborted, and all is as before. Run
 * with --smp 1, 2, 4.
 */
#include "comeback.h"
#include "processors.h"
#include "svm.h"

enum { VM_CR = 0xc0010114, EFER = 0xc0000080, SECURE = 7, NMI = 2, VECTOR = 0x51, SX = 30, MOST = 4 };
enum { LAPIC = 0xfee00000, ID = 0x20, EOI = 0xb0, SVR = 0xf0, ICR = 0x300, ICR_HI = 0x310, BUSY = 1 << 12 };
enum { NMI_IPI = 0x4400, INIT_IPI = 0x4500 };
enum { SLB = 0x1000000, SLB_ENTRY = 0x10 };

/* What each has seen; the first processor clears it before a start. */
struct seen {
	u32 up;
	u32 nmi, sx, irq; /* taken so far */
	u32 before;       /* of them, before it set GIF */
	u64 vm_cr;
	u32 cs;
};
static volatile struct seen seen[MOST];
static u8 stacks[MOST][8192] __attribute__((aligned(16)));
static unsigned others;
static volatile bool abort_start; /* an NMI tells the others to clear their VM_CR */

static void relax(unsigned times)
{
	while (times--)
		asm volatile("pause" ::: "memory");
}

static volatile struct seen *mine(void)
{
	return &seen[mmio_read(LAPIC + ID) >> 24];
}

static bool on_nmi(struct regs *r)
{
	(void)r;
	mine()->nmi++;
	if (abort_start)
		wrmsr(VM_CR, 0);
	return true;
}

static bool on_sx(struct regs *r)
{
	mine()->sx += r->error == 1;
	return true;
}

static bool on_irq(struct regs *r)
{
	(void)r;
	mine()->irq++;
	mmio_write(LAPIC + EOI, 0);
	return true;
}

/* ---- the others ---- */

static void ap_main(void)
{
	volatile struct seen *s = mine();

	s->cs = *(u16 *)(u64)AP_CS;
	mmio_write(LAPIC + SVR, 0x1ff);
	mmio_write(LAPIC + ICR_HI, mmio_read(LAPIC + ID));
	mmio_write(LAPIC + ICR, 0x4000 | VECTOR);
	asm volatile("sti" ::: "memory");
	relax(100);
	s->before = s->nmi + s->sx + s->irq;
	s->vm_cr = rdmsr(VM_CR);
	wrmsr(EFER, rdmsr(EFER) | 1 << 12);
	asm volatile("stgi; nop" ::: "memory");
	relax(100);
	asm volatile("cli" ::: "memory");
	s->up++;
	for (;;)
		asm volatile("hlt");
}

static void ipi(unsigned to, u32 command)
{
	mmio_write(LAPIC + ICR_HI, to << 24);
	mmio_write(LAPIC + ICR, command);
}

static void start_others(void)
{
	for (unsigned n = 1; n <= others; n++) {
		seen[n] = (struct seen){0};
		ap_prepare(ap_main, (u64)stacks[n] + sizeof(stacks[n]));
		ipi(n, STARTUP_IPI);
		for (unsigned k = 0; k < 100000 && !seen[n].up; k++)
			relax(1);
		check(REQ("svm.3.1.8.3") "started", seen[n].up, 1);
		check(REQ("svm.3.1.8.10") "where the Startup IPI says", seen[n].cs, AP_PAGE >> 4);
	}
}

/* "issue an INIT IPI to all APs and wait for its localAPIC Busy indication to clear", and a delay of 1000 cycles. */
static void idle_others(void)
{
	u64 from;

	mmio_write(LAPIC + ICR, INIT_IPI | 3u << 18);
	while (mmio_read(LAPIC + ICR) & BUSY)
		relax(1);
	for (from = rdtsc(); rdtsc() - from < 1000;)
		relax(1);
	if (others)
		proves("svm.3.1.8.13");
}

/* GIF = 1 and VM_CR = 0: the interrupt to itself comes at once. */
static void expect_as_ever(void)
{
	for (unsigned n = 1; n <= others; n++) {
		check(REQ("svm.3.1.8.8") "GIF 1: taken before STGI", seen[n].before, 1);
		check(REQ("svm.3.1.8.8") "VM_CR", seen[n].vm_cr, 0);
		check("nothing else", seen[n].nmi + seen[n].sx + seen[n].irq, 1);
	}
}

/* ---- the first ---- */

static void skinit(void)
{
	asm volatile(".byte 0x0f, 0x01, 0xde" ::"a"(SLB) : "memory");
}

/* The secure loader: back to where the program goes on, in long mode. DS is still one of real mode. */
asm(".pushsection .rodata; .code32\n .globl loader, loader_end\n"
    "loader: lgdt %ss:gdt_pointer; mov $0x10, %eax; mov %eax, %ds; mov $comeback32, %eax; jmp *%eax\n"
    "loader_end: .code64; .popsection");
extern u8 loader[], loader_end[];

static void secure_loader(void)
{
	u16 *slb = (u16 *)(u64)SLB;

	memset(slb, 0, 0x10000);
	slb[0] = SLB_ENTRY;
	slb[1] = (u16)(SLB_ENTRY + (loader_end - loader));
	memcpy((u8 *)slb + SLB_ENTRY, loader, (size_t)(loader_end - loader));
	leave_by(skinit);
	check("the loader ran in protected mode", arrival.mode, 32);
	check("VM_CR", rdmsr(VM_CR), SECURE);
	check("EFER.SVME", rdmsr(EFER) >> 12 & 1, 0);
}

/* NMI and INIT come while they wait for the Startup IPI, an interrupt of their own behind it. */
static void start_securely(void)
{
	for (unsigned n = 1; n <= others; n++) {
		ipi(n, NMI_IPI);
		ipi(n, INIT_IPI);
	}
	start_others();
	for (unsigned n = 1; n <= others; n++) {
		check(REQ("svm.3.1.8.4") "GIF 0: nothing taken before STGI", seen[n].before, 0);
		check(REQ("svm.3.1.8.5 svm.3.1.8.6 svm.3.1.8.7") "VM_CR", seen[n].vm_cr, SECURE);
		check(REQ("svm.3.1.8.19 svm.3.1.8.17") "STGI: the interrupt", seen[n].irq, 1);
		check(REQ("svm.3.1.8.18") "the NMI", seen[n].nmi, 1);
		check(REQ("svm.3.1.8.18") "the INIT, redirected", seen[n].sx, 1);
	}
}

/* Whoever has set GIF again has its INIT redirected, as long as its VM_CR says so. */
static void redirected(unsigned more)
{
	for (unsigned n = 1; n <= others; n++) {
		ipi(n, INIT_IPI);
		relax(1000);
		check(REQ("svm.2.17.8.10") "an INIT IPI to one that runs", seen[n].sx, 1 + more);
	}
}

/* "Aborting MP initialization": everybody's GIF is 1, everybody's VM_CR 0. */
static void abort_securely(void)
{
	wrmsr(EFER, rdmsr(EFER) | 1 << 12);
	asm volatile("stgi" ::: "memory");
	abort_start = true;
	for (unsigned n = 1; n <= others; n++)
		ipi(n, NMI_IPI);
	relax(1000);
	for (unsigned n = 1; n <= others; n++)
		check("told to abort", seen[n].nmi, 2);
	wrmsr(VM_CR, 0);
	abort_start = false;
}

int main(void)
{
	u32 r[4];

	comeback_prepare();
	cpuid(1, 0, r);
	others = (r[1] >> 16 & 0xff) - 1;
	on_exception(NMI, on_nmi);
	on_exception(SX, on_sx);
	on_exception(VECTOR, on_irq);
	check("SVM", svm_enable(), true);
	mmio_write(LAPIC + SVR, 0x1ff);
	idle_others();
	start_others();
	expect_as_ever();

	idle_others();
	secure_loader();
	start_securely();
	redirected(1);

	abort_securely();
	idle_others();
	start_others();
	expect_as_ever();
	if (others)
		proves("svm.3.1.8.20");
	return guest_verdict();
}
