/* The same code outside and inside an SVM guest under nested paging; then nested page faults handled by the monitor. */
#include "bench.h"
#include "svm.h"

static u64 data[65536];

static void work(u64 rounds)
{
	while (rounds--)
		for (u64 k = 0; k < 65536; k++)
			data[k] = data[(k * 1021) & 65535] + k;
}

static void guest(void)
{
	work(100);
	asm volatile("vmmcall");
}

static volatile u64 *const window = (u64 *)0x40000000ull; /* mapped by the nested tables onto the guest's own memory */

static void fault_guest(void)
{
	for (;;)
		*window = 1;
}

int main(void)
{
	const u64 n = 50000;

	if (!svm_enable())
		return 1;
	work(1);
	BENCH("outside", 100, work(100));

	struct vmcb *v = svm_guest(guest, (u64)page_alloc() + 4096, true);

	BENCH("inside", 100, svm_run(v));
	if (v->exitcode != EXIT_VMMCALL)
		return 2;

	struct vmcb *f = svm_guest(fault_guest, (u64)page_alloc() + 4096, true);
	u64 *entry = svm_nested_entry(f, 0x40000000);

	f->asid = 2;
	f->tlb_control = 3;
	*entry = 0;
	BENCH("npf", n, for (u64 k = 0; k < n; k++) svm_run(f));
	if (f->exitcode != EXIT_NPF)
		return 3;
	bench_end();
	return 0;
}
