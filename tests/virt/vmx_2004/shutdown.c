/*
 * A triple fault in a guest has no exit in 2004: the processor shuts down. The last thing this program does; what it says
 * before counts because its row of tests/list.tsv asks for the exit status of a shutdown.
 */
#include "first.h"

SNIPPET(i_ud2, "", "ud2");

int main(void)
{
	if (!runner_begin())
		return 1;
	idt_begin();
	with_idt(G64, &i_ud2);
	vmx_write(VMCS_EXCEPTIONS, 1 << 6);
	check("#UD exits", go(), R_EXCEPTION);
	with_idt(G64, &i_ud2);
	vmx_write(VMCS_GUEST_IDTR_LIMIT, 0);
	proves("vmx04.3.1.3.27 vmx04.2.8.1.22");
	guest_verdict();
	print("shutdown: exit reason %lu\n", go());
	return 1;
}
