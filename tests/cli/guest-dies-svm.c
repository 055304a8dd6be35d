/* A monitor whose guest dies three times at the same place; its exit is intercepted each time. */
#include "dying.h"
#include "svm.h"

int main(void)
{
	struct vmcb *v;

	if (!svm_enable())
		return 1;
	map_page(pml4, NOWHERE - 0x1000, 0x1000, 3); /* the page before it */
	for (int n = 0; n < 3; n++) {
		v = svm_guest(dying_guest, (u64)page_alloc() + 4096 - 8, true);
		svm_run(v);
		check("exit code", v->exitcode, 0x7f);
	}
	return guest_verdict();
}
