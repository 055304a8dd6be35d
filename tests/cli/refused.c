/* A monitor that asks for the impossible five times, then does it right: ASID 0 and a reserved bit of CR4. */
#include "svm.h"

static void guest(void)
{
	asm volatile("hlt");
}

int main(void)
{
	struct vmcb *v;

	if (!svm_enable())
		return 1;
	v = svm_guest(guest, (u64)page_alloc() + 4096 - 8, true);
	v->asid = 0;
	v->cr4 |= 1ull << 63;
	for (int n = 0; n < 5; n++)
		svm_run(v);
	check("refused", v->exitcode, ~0ull);
	v->asid = 1;
	v->cr4 &= ~(1ull << 63);
	svm_run(v);
	check("runs", v->exitcode, EXIT_HLT);
	return guest_verdict();
}
