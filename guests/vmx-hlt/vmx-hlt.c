/*
 * The smallest VMX monitor: a guest that halts, and one that touches memory its EPT does not map. Each exit is checked in
 * full. SDM 3C "Basic VM-Exit Information", "Exit Qualification for EPT Violations".
 */
#include "vmx.h"

#define HOLE 0x10000000ull /* the guest-physical address that is not mapped */

static void halting_guest(void)
{
	for (;;)
		asm volatile("hlt");
}

static void touching_guest(void)
{
	*(volatile u32 *)(HOLE + 0x123458) = 1;
	for (;;)
		asm volatile("hlt");
}

static u64 vmcs; /* of the guest at hand, 0: none yet */

/* A VMCS that is done with is cleared, so that none is active at VMXOFF. */
static void stop(void)
{
	if (vmcs)
		vmx_clear(vmcs);
}

static bool start(const char *name, void (*entry)(void))
{
	stop();
	vmcs = (u64)vmx_guest(entry, (u64)page_alloc() + 4096 - 8);
	if (vmcs)
		return true;
	check(name, 0, 1);
	return false;
}

static bool run(const char *name, bool resume)
{
	int r = vmx_run(resume);

	if (r)
		print("vmx: entry fails, VM-instruction error %lu\n", r == VMX_FAIL_VALID ? vmx_read(VMCS_ERROR) : 0);
	check(name, r, VMX_OK);
	return r == VMX_OK;
}

static void halt(void)
{
	if (!start("HLT: VMCS", halting_guest) || !run("HLT: VMLAUNCH", false))
		return;
	print("vmx: VMLAUNCH, then VM exit, reason %lu at rip 0x%lx\n", vmx_read(VMCS_EXIT_REASON), vmx_read(VMCS_GUEST_RIP));
	check("HLT: reason", vmx_read(VMCS_EXIT_REASON), R_HLT);
	check("HLT: RIP is at the HLT", *(u8 *)vmx_read(VMCS_GUEST_RIP), 0xf4);
	check("HLT: instruction length", vmx_read(VMCS_EXIT_LENGTH), 1);
	check("HLT: qualification", vmx_read(VMCS_QUALIFICATION), 0);
}

static void ept_violation(void)
{
	if (!start("EPT: VMCS", touching_guest))
		return;

	u64 *entry = vmx_ept_entry(HOLE + 0x123458), mapped = *entry;

	*entry = 0;
	if (!run("EPT: VMLAUNCH", false))
		return;
	print("vmx: VMLAUNCH, then VM exit, reason %lu, qualification 0x%lx, guest-physical 0x%lx\n", vmx_read(VMCS_EXIT_REASON),
	      vmx_read(VMCS_QUALIFICATION), vmx_read(VMCS_GUEST_PHYSICAL));
	check("EPT: reason", vmx_read(VMCS_EXIT_REASON), R_EPT);
	/* write, nothing permitted, linear address valid, in the final translation; above: supervisor, writable, executable */
	check("EPT: qualification", vmx_read(VMCS_QUALIFICATION) & 0x1ff, 0x182);
	check("EPT: the guest-physical address", vmx_read(VMCS_GUEST_PHYSICAL), HOLE + 0x123458);
	check("EPT: the linear address", vmx_read(VMCS_GUEST_LINEAR), HOLE + 0x123458);
	*entry = mapped;
	check("EPT: INVEPT", vmx_invept(), VMX_OK);
	if (!run("EPT: VMRESUME", true))
		return;
	check("after mapping: reason", vmx_read(VMCS_EXIT_REASON), R_HLT);
	check("after mapping: the write arrived", *(u32 *)(HOLE + 0x123458), 1);
}

int main(void)
{
	if (!vmx_enable()) {
		print("vmx: this processor has no VMX\n");
		return 1;
	}
	halt();
	ept_violation();
	stop();
	vmx_disable();
	return guest_verdict();
}
