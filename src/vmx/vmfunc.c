/* VM functions: "VM Functions". Function 0 is EPTP switching. */
#include "vmx/vmx.h"

#define EPTP_LIST_ENTRIES 512u

/* "EPTP Switching": an entry that VM entry would refuse, or another walk length, exits. */
static bool switch_eptp(struct cpu *c, u32 index)
{
	struct vmx *v = vmx_of(c);
	u64 eptp;

	if (index >= EPTP_LIST_ENTRIES)
		return false;
	eptp = cpu_read_u64(c, BY_VIRT, vmcs_get(v, VMCS_EPTP_LIST) + 8ull * index);
	if (!vmx_eptp_ok(c, eptp) || bits(eptp, 5, 3) != bits(vmcs_get(v, VMCS_EPTP), 5, 3))
		return false;
	vmcs_set(v, VMCS_EPTP, eptp);
	vmcs_set(v, VMCS_EPTP_INDEX, (u16)index);
	vmx_diary_lost(v->diary, vmcs_slot(VMCS_EPTP));
	vmx_stage2_enter(c);
	if (!(vmx_proc2(v) & PROC2_VPID))
		vmx_flush_vpid(c, 0, false, false);
	c->space = vmx_space(c);
	cpu_update_mode(c);
	c->fetch_gen++;
	c->block_mode_changed = c->kick = 1;
	return true;
}

/* No privilege check: the monitor hands functions out to every level. */
enum xr vmx_vmfunc(struct cpu *c, const struct insn *i)
{
	u32 function = (u32)c->r[REG_RAX];
	const struct vmx *v;

	if (!c->guest)
		return vmx_refuse_insn(c, i, VMX_WHY_VMFUNC_ROOT, function, 0);
	v = vmx_of(c);
	if (!(vmx_proc2(v) & PROC2_VMFUNC))
		return vmx_refuse_insn(c, i, VMX_WHY_VMFUNC_DISABLED, vmx_proc2(v), function);
	if (function > 63)
		return vmx_refuse_insn(c, i, VMX_WHY_VMFUNC_NUMBER, function, 0);
	if (!(vmcs_get(v, VMCS_VMFUNC_CONTROLS) >> function & 1) || function != 0 || !switch_eptp(c, (u32)c->r[REG_RCX]))
		return cpu_exit(c, i, ICPT_VMFUNC, 0, 0);
	return XR_OK;
}
