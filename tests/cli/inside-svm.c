/* A guest dies, and its monitor has not asked for the exit: the processor shuts down with the monitor's state put aside. */
#include "svm.h"

static void guest(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) none = {0, 0};

	asm volatile("lidt %0; ud2" ::"m"(none));
}

int main(void)
{
	struct vmcb *v;

	if (!svm_enable())
		return 1;
	v = svm_guest(guest, (u64)page_alloc() + 4096 - 8, true);
	v->asid = 0x2a;
	v->intercept1 &= ~(1u << 31); /* shutdown */
	svm_run(v);
	return 1;
}
