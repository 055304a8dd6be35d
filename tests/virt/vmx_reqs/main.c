/* Runs the tables of non-root operation. */
#include "reqs.h"

int main(void)
{
	if (!runner_begin())
		return 1;
	write_cr4(read_cr4() | 1 << 18); /* OSXSAVE */
	test_instructions();
	test_registers();
	test_memory();
	test_events();
	test_state();
	test_modes();
	test_mtf();
	vmx_disable();
	return guest_verdict();
}
