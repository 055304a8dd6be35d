/*
 * The smallest SVM monitor: a guest that halts, and one that touches memory its nested page tables do not map. Each exit is
 * checked in full. APM 2 "VMRUN", "Nested Paging Faults".
 */
#include "svm.h"

#define HOLE 0x10000000ull /* the guest-physical address that is not mapped */

static void halting_guest(void)
{
	asm volatile("mov $0x600d, %%eax\n\thlt" ::: "eax");
	for (;;)
		;
}

static void touching_guest(void)
{
	*(volatile u32 *)(HOLE + 0x123458) = 1;
	for (;;)
		asm volatile("hlt");
}

static struct vmcb *guest_of(void (*entry)(void))
{
	return svm_guest(entry, (u64)page_alloc() + 4096 - 8, true);
}

static void halt(void)
{
	struct vmcb *v = guest_of(halting_guest);

	svm_run(v);
	print("svm: VMRUN, then #VMEXIT code 0x%lx at rip 0x%lx\n", v->exitcode, v->rip);
	check("HLT: EXITCODE", v->exitcode, EXIT_HLT);
	check("HLT: RAX is the guest's", v->rax, 0x600d);
	check("HLT: RIP is at the HLT", *(u8 *)v->rip, 0xf4);
	check("HLT: nRIP is behind it", v->nrip, v->rip + 1);
	check("HLT: nothing was being delivered", v->exitintinfo & 1u << 31, 0);
}

static void nested_page_fault(void)
{
	struct vmcb *v = guest_of(touching_guest);
	u64 *entry = svm_nested_entry(v, HOLE + 0x123458), mapped = *entry;

	*entry = 0;
	svm_run(v);
	print("svm: VMRUN, then #VMEXIT code 0x%lx, error 0x%lx, guest-physical 0x%lx\n", v->exitcode, v->exitinfo1, v->exitinfo2);
	check("#NPF: EXITCODE", v->exitcode, EXIT_NPF);
	check("#NPF: a write in the final translation", v->exitinfo1, 1ull << 32 | 6);
	check("#NPF: the guest-physical address", v->exitinfo2, HOLE + 0x123458);

	u64 rip = v->rip;

	*entry = mapped;
	svm_run(v); /* the same instruction again */
	check("after mapping: EXITCODE", v->exitcode, EXIT_HLT);
	check("after mapping: it went on", v->rip > rip, 1);
	check("after mapping: the write arrived", *(u32 *)(HOLE + 0x123458), 1);
}

int main(void)
{
	if (!svm_enable()) {
		print("svm: this processor has no SVM\n");
		return 1;
	}
	halt();
	nested_page_fault();
	return guest_verdict();
}
