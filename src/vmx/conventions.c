/* How a VMX instruction tells its outcome. "Conventions": VMsucceed, VMfailInvalid, VMfailValid. */
#include "cpu/exec/exec.h"
#include "vmx/vmx.h"

enum xr vmx_fail_invalid(struct cpu *c)
{
	cc_set_flags(c, FL_CF);
	return XR_OK;
}

enum xr vmx_fail(struct cpu *c, unsigned error)
{
	struct vmx *v = vmx_of(c);

	if (v->current == VMCS_NONE)
		return vmx_fail_invalid(c);
	cc_set_flags(c, FL_ZF);
	vmcs_set(v, VMCS_INSN_ERROR, error);
	return XR_OK;
}
