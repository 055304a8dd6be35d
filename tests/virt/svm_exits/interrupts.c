/* Virtual and physical interrupts, NMI, GIF: sections 2.9, 2.13 and 2.17 of 33047. */
#include "exits.h"

SNIPPET(nops, "", "nop; nop; nop; nop");
SNIPPET(sti_nop, "", "sti; nop; nop; nop");
SNIPPET(lower_tpr, "xor %eax, %eax", "mov %rax, %cr8; nop; nop");
SNIPPET(raise_tpr, "mov $9, %eax", "mov %rax, %cr8; mov %cr8, %rbx; mov %rbx, seen");
SNIPPET(cli_nops, "", "cli; nop; nop; nop");

#define IRQ(prio, vector) (1ull << 8 | (u64)(prio) << 16 | (u64)(vector) << 32)
#define IGN		  (1ull << 20)
#define MASKING		  (1ull << 24)
#define IF		  0x202

/* "Injecting Virtual (INTR) Interrupts": one condition at a time. */
static const struct {
	const char *name;
	const struct snippet *s;
	u64 vintr, rflags, shadow;
	bool taken;
	u64 at; /* return address, 0: the first instruction */
} virq[] = {
	{REQ("svm.2.2.1.54 svm.2.2.1.70 svm.2.17.4.1 svm.2.17.4.8 svm.2.17.4.19") "V_IRQ", &nops, IRQ(1, 0x61), IF, 0, true, 0},
	{REQ("svm.2.17.4.2") "V_INTR_PRIO equal to V_TPR", &nops, IRQ(3, 0x61) | 3, IF, 0, false, 0},
	{"V_INTR_PRIO below V_TPR", &nops, IRQ(3, 0x61) | 9, IF, 0, false, 0},
	{"V_INTR_PRIO above V_TPR", &nops, IRQ(10, 0x61) | 9, IF, 0, true, 0},
	{"V_INTR_PRIO 0, V_TPR 0", &nops, IRQ(0, 0x61), IF, 0, false, 0},
	{REQ("svm.2.17.4.11") "V_IGN_TPR", &nops, IRQ(0, 0x61) | IGN | 15, IF, 0, true, 0},
	{REQ("svm.2.17.4.12") "V_IGN_TPR, IF 0", &nops, IRQ(0, 0x61) | IGN, 2, 0, false, 0},
	{REQ("svm.2.17.4.3 svm.2.17.1.1") "IF 0", &nops, IRQ(15, 0x61), 2, 0, false, 0},
	{REQ("svm.2.17.1.4") "IF 0, V_INTR_MASKING", &nops, IRQ(15, 0x61) | MASKING, 2, 0, false, 0},
	{REQ("svm.2.17.4.5 svm.2.17.5.4 svm.2.17.5.5 svm.2.2.1.46") "shadow", &nops, IRQ(15, 0x61), IF, 1, true, 1},
	{"V_IRQ clear", &nops, IRQ(15, 0x61) & ~256ull, IF, 0, false, 0},
};

static void virtual_interrupts(void)
{
	for (unsigned n = 0; n < COUNT(virq); n++) {
		base(virq[n].s);
		own_idt();
		v->vintr = virq[n].vintr;
		v->rflags = virq[n].rflags;
		v->int_state = virq[n].shadow;
		vcheck(virq[n].name, "code", go(), EXIT_VMMCALL);
		vcheck(virq[n].name, "taken", v->rip == stub_of(0x61), virq[n].taken);
		if (virq[n].taken)
			vcheck(virq[n].name, "return address", *(u64 *)v->rsp, (u64)virq[n].s->entry + virq[n].at);
		else
			vcheck(virq[n].name, "goes on", v->rip, (u64)virq[n].s->next);
		vcheck(virq[n].name, REQ("svm.2.17.4.14 svm.2.3.3") "V_IRQ", v->vintr >> 8 & 1, (virq[n].vintr >> 8 & 1) && !virq[n].taken);
		vcheck(virq[n].name, "V_TPR", v->vintr & 15, virq[n].vintr & 15);

		/* the same as an interrupt window */
		base(virq[n].s);
		own_idt();
		v->vintr = virq[n].vintr;
		v->rflags = virq[n].rflags;
		v->int_state = virq[n].shadow;
		v->intercept1 |= SVM_BIT(EXIT_VINTR);
		vcheck(virq[n].name, REQ("svm.2.17.6.1 svm.2.4.0.5 svm.2.9.5.1 svm.2.9.5.2 svm.2.9.5.3") "VINTR intercept", go(), virq[n].taken ? 0x64 : EXIT_VMMCALL);
		if (virq[n].taken)
			vcheck(virq[n].name, "V_IRQ stays", v->vintr >> 8 & 1, 1);
		if (virq[n].taken)
			vcheck(virq[n].name, "exits at", v->rip, (u64)virq[n].s->entry + virq[n].at);
	}
	base(&sti_nop); /* STI's own shadow */
	own_idt();
	v->vintr = IRQ(15, 0x61);
	v->rflags = 2;
	vcheck("V_IRQ and STI", REQ("svm.2.17.5.1") "code", go(), EXIT_VMMCALL);
	vcheck("V_IRQ and STI", "after the next instruction", *(u64 *)v->rsp, (u64)sti_nop.at + 2);
}

/* CR8 and V_TPR. */
static void task_priority(void)
{
	base(&lower_tpr);
	own_idt();
	v->vintr = IRQ(5, 0x61) | MASKING | 7;
	v->rflags = IF;
	vcheck("V_IRQ and CR8", REQ("svm.2.17.4.6") "code", go(), EXIT_VMMCALL);
	vcheck("V_IRQ and CR8", "at once", *(u64 *)v->rsp, (u64)lower_tpr.at + 4);
	base(&raise_tpr);
	v->vintr = MASKING;
	mmio_write(0xfee00080, 0x20);
	vcheck("CR8, masking", REQ("svm.2.17.2.8 svm.2.17.2.9 svm.2.17.2.2") "code", go(), EXIT_VMMCALL);
	vcheck("CR8, masking", "V_TPR", v->vintr & 0xff, 9);
	vcheck("CR8, masking", "read", seen[0], 9);
	vcheck("CR8, masking", "APIC", mmio_read(0xfee00080), 0x20);
	base(&raise_tpr);
	vcheck("CR8", REQ("svm.2.17.2.5 svm.2.17.2.6") "code", go(), EXIT_VMMCALL);
	vcheck("CR8", "V_TPR", v->vintr & 0xff, 9);
	vcheck("CR8", "APIC", mmio_read(0xfee00080), 0x90);
	mmio_write(0xfee00080, 0);
	base(&nops); /* the vector is taken, its delivery faults */
	own_idt();
	v->idtr.limit = 0;
	v->intercept_exc = 1 << 13;
	v->vintr = IRQ(15, 0x61);
	v->rflags = IF;
	vcheck("V_IRQ, delivery faults", REQ("svm.2.17.4.13") "code", go(), EXIT_GP);
	vcheck("V_IRQ, delivery faults", "EXITINTINFO", v->exitintinfo, 0x80000061);
	vcheck("V_IRQ, delivery faults", "V_IRQ", v->vintr >> 8 & 1, 0);
}

/* ---- a physical interrupt that is pending at VMRUN ---- */
static const struct {
	const char *name;
	const struct snippet *s;
	u64 vintr, rflags;
	bool host_if, intercept;
	u64 code; /* 60h, or 81h: then `taken` */
	bool taken;
} physical[] = {
	{REQ("svm.2.9.1.1 svm.2.4.0.4 svm.2.9.0.1") "IF 1, intercepted", &nops, 0, IF, false, true, 0x60, false},
	{REQ("svm.2.17.1.2 svm.2.9.1.4") "IF 0, intercepted", &nops, 0, 2, false, true, 0x81, false},
	{REQ("svm.2.17.1.3") "IF 1, masking, host IF 0", &nops, MASKING, IF, false, true, 0x81, false},
	{"IF 0, masking, host IF 1", &nops, MASKING, 2, true, true, 0x60, false},
	{"CLI, masking, host IF 1", &cli_nops, MASKING, IF, true, true, 0x60, false},
	{REQ("svm.2.9.1.2") "IF 1, not intercepted", &nops, 0, IF, false, false, 0x81, true},
	{"IF 0, not intercepted", &nops, 0, 2, false, false, 0x81, false},
	{REQ("svm.2.17.4.16") "with a virtual one, intercepted", &nops, IRQ(15, 0x61), IF, false, true, 0x60, false},
};

static void physical_interrupts(void)
{
	for (unsigned n = 0; n < COUNT(physical); n++) {
		unsigned before = irqs;
		u64 code;

		base(physical[n].s);
		own_idt();
		v->vintr = physical[n].vintr;
		v->rflags = physical[n].rflags;
		if (physical[n].intercept)
			v->intercept1 |= SVM_BIT(EXIT_INTR);
		asm volatile("clgi" ::: "memory");
		self_ipi(0x51);
		if (physical[n].host_if)
			asm volatile("sti");
		code = go_gif0();
		vcheck(physical[n].name, REQ("svm.2.13.17") "host has not taken it while GIF is 0", irqs, before);
		asm volatile("cli; stgi" ::: "memory");
		vcheck(physical[n].name, "code", code, physical[n].code);
		vcheck(physical[n].name, "taken in the guest", v->rip == stub_of(0x51), physical[n].taken);
		if (code == 0x60)
			vcheck(physical[n].name, "RIP", v->rip, (u64)physical[n].s->entry);
		if (physical[n].vintr & 256)
			vcheck(physical[n].name, "V_IRQ stays", v->vintr >> 8 & 1, 1);
		if (physical[n].taken)
			mmio_write(0xfee000b0, 0);
		asm volatile("sti; nop; nop; cli" ::: "memory");
		/* it stayed pending, and the host takes it through its own IDT */
		vcheck(physical[n].name, REQ("svm.2.17.4.18") "the host gets it", irqs - before, !physical[n].taken);
	}
}

/* The guest left its handler without IRET: one here ends NMI blocking. */
static void unblock_nmi(void)
{
	asm volatile("push %%rax; mov %%rsp, %%rax; push $0x10; push %%rax; pushf; push $8; push $1f; iretq\n"
		     "1: pop %%rax" ::: "memory");
}

/* ---- NMI and GIF: tables 2-3 and 2-6 ---- */
static void nmi(void)
{
	unsigned before = nmis;
	u64 code;

	asm volatile("clgi" ::: "memory");
	self_ipi(0x400);
	asm volatile("nop; nop; nop" ::: "memory");
	vcheck("NMI, GIF 0", REQ("svm.2.13.11 svm.2.17.9.1") "held", nmis, before);
	asm volatile("stgi; nop" ::: "memory");
	vcheck("NMI, GIF 1", REQ("svm.2.13.1 svm.2.13.2") "taken", nmis, before + 1);

	base(&nops);
	own_idt();
	v->intercept1 |= SVM_BIT(EXIT_NMI);
	asm volatile("clgi" ::: "memory");
	self_ipi(0x400);
	code = go_gif0();
	vcheck("NMI, intercepted", REQ("svm.2.9.2.1 svm.2.17.9.2") "code", code, 0x61);
	vcheck("NMI, intercepted", "RIP", v->rip, (u64)nops.entry);
	vcheck("NMI, intercepted", "still pending", nmis, before + 1);
	asm volatile("stgi; nop" ::: "memory");
	vcheck("NMI, intercepted", REQ("svm.2.17.9.4") "the host gets it", nmis, before + 2);

	base(&nops);
	own_idt();
	asm volatile("clgi" ::: "memory");
	self_ipi(0x400);
	code = go_gif0();
	asm volatile("stgi; nop" ::: "memory");
	vcheck("NMI, not intercepted", REQ("svm.2.17.9.3 svm.2.13.12 svm.2.2.1.63") "code", code, EXIT_VMMCALL);
	vcheck("NMI, not intercepted", "guest's handler", v->rip, stub_of(2));
	vcheck("NMI, not intercepted", "the host gets none", nmis, before + 2);
	unblock_nmi();

	base(&nops); /* bit 2 of the exception intercepts is not the NMI's */
	own_idt();
	v->intercept_exc = 4;
	asm volatile("clgi" ::: "memory");
	self_ipi(0x400);
	code = go_gif0();
	asm volatile("stgi; nop" ::: "memory");
	vcheck("NMI, exception bit 2", REQ("svm.2.8.3.1 svm.2.8.3.2") "code", code, EXIT_VMMCALL);
	unblock_nmi();
}

/* Behind RESET the handler is at 38000h: INC dword [39000h]; RSM. */
static volatile u32 *const smis = (u32 *)0x39000;
static void smm_handler(void)
{
	memcpy((void *)0x38000, (const u8[]){0x66, 0x67, 0xff, 0x05, 0x00, 0x90, 0x03, 0x00, 0x0f, 0xaa}, 10);
	*smis = 0;
}

/* ---- table 2-3: physical interrupts and SMIs while GIF is 0, and "SMI Intercept" ---- */
static void gif(void)
{
	unsigned before = irqs;
	u64 code;

	smm_handler();

	asm volatile("clgi; sti" ::: "memory");
	self_ipi(0x51);
	asm volatile("nop; nop; nop" ::: "memory");
	vcheck("INTR, GIF 0, IF 1", "held", irqs, before);
	asm volatile("stgi; nop; cli" ::: "memory");
	vcheck("INTR, GIF 1, IF 1", "taken", irqs, before + 1);

	base(&nops);
	asm volatile("clgi" ::: "memory");
	self_ipi(0x200);
	asm volatile("nop; nop; nop" ::: "memory");
	code = go_gif0();
	vcheck("external SMI, intercepted", "code", code, 0x62);
	vcheck("external SMI, intercepted", "EXITINFO1: external", v->exitinfo1 & 1, 1);
	vcheck("external SMI, intercepted", "before the first instruction", v->rip, (u64)nops.entry);
	vcheck("external SMI, GIF 0", "still pending", go_gif0(), EXIT_SMI);
	asm volatile("stgi; nop" ::: "memory"); /* the host's handler runs */
	vcheck("external SMI, GIF 1", REQ("svm.2.18.2.4 svm.2.18.2.6") "taken", *smis, 1);
	vcheck("external SMI, GIF 1", "no more", go(), EXIT_VMMCALL);
}

/* Injected NMIs block nothing */
static void injected_nmi(void)
{
	unsigned before = nmis;
	u64 code;

	base(&nops);
	own_idt();
	v->intercept1 |= SVM_BIT(EXIT_NMI);
	v->eventinj = 0x80000202;
	asm volatile("clgi" ::: "memory");
	self_ipi(0x400);
	code = go_gif0();
	asm volatile("stgi; nop" ::: "memory");
	vcheck("NMI after an injected one", "code", code, 0x61);
	vcheck("NMI after an injected one", "at the handler", v->rip, stub_of(2));
	vcheck("NMI after an injected one", "the host gets it", nmis, before + 1);
	proves("svm.2.16.7");
}

void test_interrupts(void)
{
	virtual_interrupts();
	task_priority();
	physical_interrupts();
	nmi();
	injected_nmi();
	gif();
}

static int rdmsr_fault(u32 index)
{
	return CATCH(rdmsr(index));
}

static int wrmsr_fault(u32 index, u64 value)
{
	return CATCH(wrmsr(index, value));
}

/* HWCR.SMMLOCK: the registers of SMM keep what they have, and the SMI intercept is ignored. */
void test_smm_lock(void)
{
	static const u32 regs[] = {0xc0010111, 0xc0010112, 0xc0010113};
	u64 hwcr = rdmsr(MSR_HWCR), code;
	u32 r[4];

	cpuid(0x80000021, 0, r);
	vcheck("SMM_CTL", REQ("svm.E.0.3 svm.E.3.23") "RDMSR", (u64)rdmsr_fault(MSR_SMM_CTL), 13);
	vcheck("SMM_CTL", "not said to be absent", of_2005 ? 0 : r[0] >> 9 & 1, 0);
	vcheck("SMM_CTL", REQ("svm.E.3.17") "DISMISS", (u64)wrmsr_fault(MSR_SMM_CTL, 1), ~0ull);
	vcheck("SMM_CTL", REQ("svm.E.3.10") "bit 5", (u64)wrmsr_fault(MSR_SMM_CTL, 0x20), 13);
	for (unsigned n = 0; n < COUNT(regs); n++)
		vcheck("SMMLOCK 0", REQ("svm.2.18.3.2") "WRMSR", (u64)wrmsr_fault(regs[n], n ? 0x20000 : 0x40000), ~0ull);
	wrmsr(MSR_HWCR, hwcr | 1);
	wrmsr(MSR_HWCR, hwcr);
	vcheck("SMMLOCK", REQ("svm.2.18.3.3") "stays", rdmsr(MSR_HWCR), hwcr | 1);
	for (unsigned n = 0; n < COUNT(regs); n++) {
		vcheck("SMMLOCK 1", "WRMSR", (u64)wrmsr_fault(regs[n], 0), 13);
		vcheck("SMMLOCK 1", "the value stays", rdmsr(regs[n]), n ? 0x20000 : 0x40000);
	}
	vcheck("SMMLOCK 1", REQ("svm.2.18.3.10 svm.E.3.11") "SMM_CTL", (u64)wrmsr_fault(MSR_SMM_CTL, 1), 13);
	memcpy((void *)0x48000, (const void *)0x38000, 16); /* SMBASE is 40000h by now */
	*smis = 0;
	base(&nops);
	asm volatile("clgi" ::: "memory");
	self_ipi(0x200);
	code = go_gif0();
	asm volatile("stgi; nop" ::: "memory");
	vcheck("SMMLOCK", "SMI, intercepted", code, of_2005 ? 0x62 : EXIT_VMMCALL);
	vcheck("SMMLOCK", "the handler ran", *smis, 1);
	proves("svm.2.18.3.4");
}
