#include "svm_test.h"

enum { APIC_BASE = 0xfee00000, VECTOR = 0x51 };

struct vmcb *v;
bool of_2005;
unsigned nmis, irqs;
u64 scratch[512] __attribute__((aligned(4096))), user_pml4[512] __attribute__((aligned(4096)));
static struct vmcb template;

static bool on_nmi(struct regs *r)
{
	(void)r;
	nmis++;
	return true;
}

static bool on_irq(struct regs *r)
{
	(void)r;
	irqs++;
	mmio_write(APIC_BASE + 0xb0, 0);
	return true;
}

void count_interrupts(void)
{
	on_exception(2, on_nmi);
	on_exception(VECTOR, on_irq);
	mmio_write(APIC_BASE + 0xf0, 0x1ff);
}

void self_ipi(u32 icr)
{
	mmio_write(APIC_BASE + 0x310, 0);
	mmio_write(APIC_BASE + 0x300, icr);
}

static void user_tables(void)
{
	u64 *l3 = page_alloc();

	user_pml4[0] = (u64)l3 | 7;
	for (unsigned g = 0; g < 4; g++) {
		u64 *l2 = page_alloc();

		l3[g] = (u64)l2 | 7;
		for (unsigned k = 0; k < 512; k++)
			l2[k] = (u64)g << 30 | (u64)k << 21 | 0x87;
	}
}

void svm_test_guest(u64 stack)
{
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	of_2005 = !(r[3] & ~3u);
	user_tables();
	v = svm_guest(NULL, stack, true);
	v->intercept_exc = ~0u;
	v->intercept1 = SVM_SHUTDOWN | SVM_BIT(EXIT_SMI); /* 2005 asks for the SMI intercept */
	v->intercept2 = SVM_VMRUN | SVM_VMMCALL;
	v->cr3 = (u64)user_pml4;
	v->tlb_control = 1;
	memcpy(&template, v, sizeof(template));
}

void fresh(void)
{
	memcpy(v, &template, sizeof(template));
}

void user(void)
{
	v->cpl = 3;
	v->cs.sel = 0x4b;
	v->cs.attrib = 0xafb;
	v->ss.sel = v->ds.sel = v->es.sel = 0x43;
	v->ss.attrib = v->ds.attrib = v->es.attrib = 0xcf3;
}

u64 go_gif0(void)
{
	struct vmcb *a = v;

	asm volatile("push %%rbp\n"
	             "vmrun\n"
	             "pop %%rbp"
	             : "+a"(a)::"rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
	               "memory", "cc");
	return v->exitcode;
}

u64 go(void)
{
	asm volatile("clgi" ::: "memory");
	u64 r = go_gif0();
	asm volatile("stgi" ::: "memory");
	return r;
}
