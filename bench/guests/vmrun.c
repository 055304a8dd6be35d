/* The world switch: VMRUN, an intercepted VMMCALL, #VMEXIT; and CLGI with STGI alone. */
#include "bench.h"
#include "svm.h"

static void guest(void)
{
	for (;;)
		asm volatile("vmmcall");
}

int main(void)
{
	const u64 n = 200000;

	if (!svm_enable())
		return 1;

	struct vmcb *v = svm_guest(guest, (u64)page_alloc() + 4096, true);

	svm_run(v);
	if (v->exitcode != EXIT_VMMCALL)
		return 2;
	BENCH("vmrun", n, for (u64 k = 0; k < n; k++) {
		v->rip = (u64)guest;
		svm_run(v);
	});
	BENCH("clgi-stgi", 10 * n, for (u64 k = 0; k < 10 * n; k++) asm volatile("clgi\nstgi"));
	bench_end();
	return 0;
}
