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


/* Each fault is handled: the page that the guest wants is mapped. When all are, they are taken away again. */
static bool handle_faults(struct vmcb *v, u64 n)
{
	u64 *entry = svm_nested_entry(v, WINDOW);

	for (u64 k = 0; k < n; k++) {
		if (k % WINDOW_PAGES == 0) {
			memset(entry, 0, WINDOW_PAGES * sizeof(*entry));
			v->tlb_control = 3;
		}
		svm_run(v);
		v->tlb_control = 0;
		if (v->exitcode != EXIT_NPF)
			return false;
		entry[(v->exitinfo2 - WINDOW) >> 21] = BACKING | 0x87;
	}
	return true;
}

int main(void)
{
	const u64 n = 200000;

	if (!svm_enable())
		return 1;
	work(1);
	BENCH("outside", 100, work(100));

	struct vmcb *v = svm_guest(guest, (u64)page_alloc() + 4096, true);

	BENCH("inside", 100, svm_run(v));
	if (v->exitcode != EXIT_VMMCALL)
		return 2;

	struct vmcb *f = svm_guest(bench_toucher, (u64)page_alloc() + 4096, true);
	bool handled;

	f->asid = 2;
	BENCH("npf", n, handled = handle_faults(f, n));
	if (!handled)
		return 3;
	bench_end();
	return 0;
}
