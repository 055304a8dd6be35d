/* The library behind svm.h. */
#include "svm.h"

bool svm_enable(void)
{
	u32 r[4];

	cpuid(0x80000001, 0, r);
	if (!(r[2] & 4))
		return false;
	wrmsr(0xc0000080, rdmsr(0xc0000080) | 1 << 12);
	wrmsr(0xc0010117, (u64)page_alloc());
	return true;
}

static struct vmcb_seg segment(u16 sel, u16 attrib)
{
	return (struct vmcb_seg){.sel = sel, .attrib = attrib, .limit = 0xffffffff};
}

static void nested_tables(struct vmcb *v)
{
	u64 *l4 = page_alloc(), *l3 = page_alloc();

	l4[0] = (u64)l3 | 7;
	for (unsigned g = 0; g < 4; g++) {
		u64 *l2 = page_alloc();

		l3[g] = (u64)l2 | 7;
		for (unsigned k = 0; k < 512; k++)
			l2[k] = (u64)g << 30 | (u64)k << 21 | 0x87;
	}
	v->ncr3 = (u64)l4;
	v->np_enable = 1;
}

u64 *svm_nested_entry(struct vmcb *v, u64 gpa)
{
	u64 *l3 = (u64 *)(((u64 *)v->ncr3)[0] & ~0xfffull);

	return &((u64 *)(l3[gpa >> 30] & ~0xfffull))[gpa >> 21 & 511];
}

struct vmcb *svm_guest(void (*entry)(void), u64 stack, bool np)
{
	struct vmcb *v = page_alloc();

	v->intercept1 = SVM_HLT | SVM_SHUTDOWN;
	v->intercept2 = SVM_VMRUN | SVM_VMMCALL;
	v->asid = 1;
	v->cs = segment(0x08, 0xa9b);
	v->ss = v->ds = v->es = segment(0x10, 0xc93);
	v->gdtr.limit = 0x7f;
	v->gdtr.base = (u64)gdt;
	v->idtr.limit = sizeof(idt) - 1;
	v->idtr.base = (u64)idt;
	v->efer = rdmsr(0xc0000080);
	v->cr0 = read_cr0();
	v->cr3 = read_cr3();
	v->cr4 = read_cr4();
	v->dr6 = 0xffff0ff0;
	v->dr7 = 0x400;
	v->rflags = 2;
	v->rip = (u64)entry;
	v->rsp = stack;
	v->g_pat = 0x0007040600070406ull;
	if (np)
		nested_tables(v);
	return v;
}

void svm_run(struct vmcb *v)
{
	asm volatile("push %%rbp\n"
		     "clgi\n"
		     "vmrun\n"
		     "stgi\n"
		     "pop %%rbp"
		     : "+a"(v)::"rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
}
