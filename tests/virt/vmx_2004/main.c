/* Chapters 2 and 3 of the preliminary specification of 2004 where it differs from every later text. */
#include "first.h"

u64 table32[32];

void guest32(const struct snippet *code)
{
	static u32 *directory;

	if (!directory) {
		directory = (u32 *)fresh_page();
		for (u32 n = 0; n < 1024; n++)
			directory[n] = n << 22 | 0x87;
	}
	guest(G_COMPAT, code);
	memset(g_in, 0, sizeof(g_in));
	off(VMCS_ENTRY_CONTROLS, E_LONG);
	vmx_write(VMCS_GUEST_CR3, (u64)directory);
	vmx_write(VMCS_GUEST_CR4, 1 << 13 | 1 << 4); /* VMXE, PSE */
	memcpy(table32, gdt, 11 * 8);
	vmx_write(VMCS_GUEST_GDTR_BASE, (u64)table32);
	vmx_write(VMCS_GUEST_GDTR_LIMIT, sizeof(table32) - 1);
}

int main(void)
{
	if (!runner_begin())
		return 1;
	idt_begin();
	mmio_write(APIC + 0xf0, 0x1ff);
	test_information();
	test_events_told();
	test_execution();
	test_entries();
	test_transitions();
	test_interrupts(); /* leaves an INIT pending, so that there is no VMXOFF */
	return guest_verdict();
}
