/* A monitor dies behind its guest's exit: the VMCS tells what it was about. */
#include "vmx.h"

static void guest(void)
{
	asm volatile("hlt");
}

int main(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) none = {0, 0};

	if (!vmx_enable() || !vmx_guest(guest, (u64)page_alloc() + 4096 - 8))
		return 1;
	vmx_write(VMCS_EXCEPTIONS, 0x4040);
	vmx_run(false);
	asm volatile("lidt %0; ud2" ::"m"(none));
	return 1;
}
