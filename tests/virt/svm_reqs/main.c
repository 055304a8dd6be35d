#include "reqs.h"

u64 seen[64];

void base_at(const void *entry)
{
	fresh();
	v->rip = (u64)entry;
}

void base(const struct snippet *s)
{
	base_at(s->entry);
}

u64 *split(u64 gpa)
{
	u64 *pde = svm_nested_entry(v, gpa), *l1 = *pde & 0x80 ? page_alloc() : (u64 *)(*pde & ~0xfffull);

	for (unsigned n = 0; n < 512; n++)
		l1[n] = ((gpa & ~0x1fffffull) + n * 4096) | 7;
	*pde = (u64)l1 | 7;
	return l1;
}

int main(void)
{
	count_interrupts();
	test_reset();
	test_apic();
	if (!svm_enable())
		return 1;
	svm_test_guest((u64)page_alloc() + 4096 - 16);
	test_state();
	test_segments();
	test_faults();
	test_vmload();
	test_debug();
	test_registers();
	test_lbr();
	test_cr8();
	test_paging();
	test_events();
	test_host_limits();
	test_restart();
	test_tasks();
	return guest_verdict();
}
