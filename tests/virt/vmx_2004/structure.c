/* The program of structure.h, and what its files share. Section titles in comments are C97063's. */
#include "structure.h"

void fresh_guest(void)
{
	guest(G64, &i_nothing);
	memset(g_in, 0, sizeof(g_in));
}

void refused(const char *name)
{
	vcheck(name, "VMLAUNCH fails with ZF", run_guest(0), ZERO);
}

void bad_guest(const char *name)
{
	vcheck(name, "VMLAUNCH ends in the host", run_guest(0), ENTERED);
	vcheck(name, "failed VM entry", vmx_read(VMCS_EXIT_REASON), R_BAD_GUEST);
	vcheck(name, "qualification", vmx_read(VMCS_QUALIFICATION), 0);
}

void accepted(const char *name)
{
	vcheck(name, "VMLAUNCH enters, VMCALL exits", go(), R_VMCALL);
}

int read_field(u64 field)
{
	u64 value;
	u8 carry, zero;

	asm volatile("vmread %3, %0; setc %1; setz %2" : "=r"(value), "=q"(carry), "=q"(zero) : "r"(field) : "cc");
	return carry ? VMX_FAIL_INVALID : zero ? VMX_FAIL_VALID : VMX_OK;
}

int main(void)
{
	test_discovery(); /* begins outside VMX operation */
	if (!runner_begin())
		return 1;
	test_guest_state();
	test_controls();
	test_msr_areas();
	return guest_verdict();
}
