/*
 * Every exit reason and every control, "on" and "off", with the qualification the manual gives. SDM 3C "VMX Non-Root
 * Operation", "VM Exits", appendix "VMX Basic Exit Reasons".
 */
#include "exits.h"

u64 scratch[512] __attribute__((aligned(4096)));
u64 seen[16], user_pml4[512] __attribute__((aligned(4096)));
static u8 stack[8192] __attribute__((aligned(16)));

void base(const struct snippet *s)
{
	if (!vmx_guest((void (*)(void))s->entry, (u64)stack + sizeof(stack) - 8)) {
		print("no VMCS\n");
		guest_end(1);
	}
}

void on(u32 field, u64 bits)
{
	vmx_write(field, vmx_read(field) | bits);
}

void off(u32 field, u64 bits)
{
	vmx_write(field, vmx_read(field) & ~bits);
}

static u64 outcome(int r)
{
	if (r == VMX_OK)
		return vmx_read(VMCS_EXIT_REASON);
	print("entry fails: error %lu\n", r == VMX_FAIL_VALID ? vmx_read(VMCS_ERROR) : 0);
	return ~0ull;
}

u64 go(void)
{
	return outcome(vmx_run(false));
}

u64 again(void)
{
	return outcome(vmx_run(true));
}

void leaves(const char *name, const struct snippet *s, u64 reason, u64 qualification)
{
	u64 r = go();

	vcheck(name, "reason", r, reason);
	if (r != reason)
		return;
	vcheck(name, "RIP", vmx_read(VMCS_GUEST_RIP), (u64)s->at);
	vcheck(name, "length", vmx_read(VMCS_EXIT_LENGTH), (u64)(s->next - s->at));
	vcheck(name, "qualification", vmx_read(VMCS_QUALIFICATION), qualification);
	vcheck(name, "no vectoring", vmx_read(VMCS_VECTORING) >> 31, 0);
}

void stays(const char *name, const struct snippet *s)
{
	u64 r = go();

	vcheck(name, "stays in the guest", r, R_VMCALL);
	if (r == R_VMCALL)
		vcheck(name, "RIP of the VMCALL", vmx_read(VMCS_GUEST_RIP), (u64)s->next);
}

void faults(const char *name, const struct snippet *s, u32 event)
{
	vcheck(name, "faults", go(), R_EXCEPTION);
	vcheck(name, "event", vmx_read(VMCS_EXIT_EVENT), event);
	vcheck(name, "RIP", vmx_read(VMCS_GUEST_RIP), (u64)s->at);
}

static void user_tables(void)
{
	static u64 pointers[512] __attribute__((aligned(4096)));

	user_pml4[0] = (u64)pointers | 7;
	for (u64 n = 0; n < 4; n++)
		pointers[n] = n << 30 | 0x87;
}

void to_user(void)
{
	vmx_write(VMCS_GUEST_CS, 0x4b);
	vmx_write(VMCS_GUEST_SS, 0x43);
	vmx_write(VMCS_GUEST_CS_AR, 0xa0fb);
	vmx_write(VMCS_GUEST_SS_AR, 0xc0f3);
	for (unsigned n = 0; n < 6; n++)
		if (n != 1 && n != 2) {
			vmx_write(VMCS_GUEST_ES + 2 * n, 0x43);
			vmx_write(VMCS_GUEST_ES_AR + 2 * n, 0xc0f3);
		}
}

int main(void)
{
	if (!vmx_enable()) {
		print("this processor has no VMX\n");
		return 1;
	}
	write_cr4(read_cr4() | 1 << 18); /* OSXSAVE */
	mmio_write(0xfee00350, 1 << 16); /* LINT0: no interrupts but our own */
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	user_tables();
	test_instructions();
	test_registers();
	test_io_msr();
	test_events();
	test_ept();
	test_spp();
	test_paging_write();
	test_apic();
	test_shadow();
	test_tasks();
	test_changed_behavior();
	test_debug();
	test_priorities();
	test_init_sipi();
	test_ept_information();
	test_invalidation();
	test_bus_lock();
	test_ept_levels();
	test_ipi();
	test_stale();
	test_apic_registers();
	test_memory_areas();
	vmx_disable();
	return guest_verdict();
}
