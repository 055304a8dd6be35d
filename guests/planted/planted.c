/*
 * A small SVM monitor with a planted mistake, for the demonstration: it runs two guests that count by VMMCALL, but the
 * function that prepares the second one forgets the ASID. The processor refuses such a VMRUN without a word about why.
 */
#include "svm.h"

static void counting_guest(void)
{
	for (u64 n = 1;; n++)
		asm volatile("vmmcall" ::"a"(n));
}

static struct vmcb *prepare(void)
{
	return svm_guest(counting_guest, (u64)page_alloc() + 4096 - 8, true);
}

static struct vmcb *prepare_second(struct vmcb *first)
{
	struct vmcb *v = page_alloc();

	memcpy(v, first, sizeof(*v));
	v->rip = (u64)counting_guest;
	v->rsp = (u64)page_alloc() + 4096 - 8;
	v->asid = 0; /* the mistake: "to be assigned later", which never happens */
	return v;
}

static bool run_guest(const char *name, struct vmcb *v, unsigned calls)
{
	while (calls--) {
		svm_run(v);
		if (v->exitcode != EXIT_VMMCALL) {
			print("monitor: guest %s: exit code 0x%lx, and no word why\n", name, v->exitcode);
			return false;
		}
		print("monitor: guest %s says %lu\n", name, v->rax);
		v->rip = v->nrip;
	}
	return true;
}

int main(void)
{
	if (!svm_enable()) {
		print("monitor: this processor has no SVM\n");
		return 1;
	}

	struct vmcb *first = prepare();

	if (!run_guest("A", first, 3))
		return 1;
	if (run_guest("B", prepare_second(first), 3))
		return 1; /* it must not run */
	print("monitor: giving up\n");
	return 0;
}
