/* MSR areas: "Loading MSRs" at VM entry and VM exit, "Saving MSRs" at VM exit. */
#include "vmx/vmx.h"

/* 2004 recommends no longest list and reserves nothing in an entry: "VM-Exit Controls for MSRs". */
static u32 longest(const struct cpu *c)
{
	return quirk(c, QUIRK_VMX_FIRST) ? ~0u : VMX_MSR_LIST_MAX;
}

u32 vmx_load_msrs(struct cpu *c, u64 addr, u32 count)
{
	for (u32 n = 0; n < count; n++) {
		u64 index = cpu_read_u64(c, BY_VIRT, addr + 16ull * n);
		struct vmx_msr_entry e = {.index = (u32)index, .reserved = (u32)(index >> 32), .accepted = true};
		const struct vmx_msr_check *k;

		e.beyond = n == longest(c);
		e.smm = c->smm;
		e.first = quirk(c, QUIRK_VMX_FIRST);
		e.efer = c->efer;
		e.value = cpu_read_u64(c, BY_VIRT, addr + 16ull * n + 8);
		k = vmx_msr_refused(&e);
		if (!k && !msr_write(c, e.index, e.value)) {
			e.accepted = false;
			k = vmx_msr_refused(&e);
		}
		if (k) {
			vmx_explain_msr(c, k, n + 1, &e);
			return n + 1;
		}
	}
	return 0;
}

u32 vmx_store_msrs(struct cpu *c, u64 addr, u32 count)
{
	u64 value;

	for (u32 n = 0; n < count; n++) {
		u64 index = cpu_read_u64(c, BY_VIRT, addr + 16ull * n);

		if (n == longest(c) || (index >> 32 && !quirk(c, QUIRK_VMX_FIRST)) || ((u32)index & ~0xffu) == 0x800 ||
		    !msr_read(c, (u32)index, &value))
			return n + 1;
		cpu_write_u64(c, BY_VIRT, addr + 16ull * n + 8, value);
	}
	return 0;
}
