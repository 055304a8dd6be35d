/* A monitor whose guest dies three times at the same place: exit reason 2. */
#include "dying.h"
#include "vmx.h"

int main(void)
{
	if (!vmx_enable())
		return 1;
	map_page(pml4, NOWHERE - 0x1000, 0x1000, 3); /* the page before it */
	for (int n = 0; n < 3; n++) {
		if (!vmx_guest(dying_guest, (u64)page_alloc() + 4096 - 8))
			return 1;
		vmx_run(false);
		check("exit reason", vmx_read(VMCS_EXIT_REASON), 2);
	}
	return guest_verdict();
}
