/*
 * "Loading MSRs": what an entry of an MSR-load area must fulfil, one row each; exit reason 34 with the entry's number
 * on VM entry, a VMX abort on VM exit. Entries are judged and loaded one by one.
 */
#include "vmx/checks_rows.h"

/* IA32_VMX_MISC bits 27:25 recommend a maximum, behind which anything may happen. */
static bool beyond(const struct vmx_msr_entry *e)
{
	return e->beyond;
}

/* The text of 2004 excludes no MSR and ignores bits 63:32 of an entry; but IA32_EFER is not for changing LMA and LME. */
static bool segment_base(const struct vmx_msr_entry *e)
{
	if (e->first)
		return false;
	return e->index == 0xc0000100 || e->index == 0xc0000101;
}

/* The APIC's own MSRs, whether x2APIC mode is on or not. */
static bool x2apic(const struct vmx_msr_entry *e)
{
	return e->index >> 8 == 8;
}

/* IA32_SMM_MONITOR_CTL */
static bool smm_only(const struct vmx_msr_entry *e)
{
	return e->index == 0x9b && !e->smm;
}

static bool reserved(const struct vmx_msr_entry *e)
{
	return e->reserved != 0 && !e->first;
}

static bool efer_mode(const struct vmx_msr_entry *e)
{
	return e->first && e->index == 0xc0000080 && ((e->value ^ e->efer) & (EFER_LMA | EFER_LME));
}

static bool refused(const struct vmx_msr_entry *e)
{
	return !e->accepted;
}

/* clang-format off */
const struct vmx_msr_check vmx_msr_checks[] = {
	{"vmx.msr-load.length", beyond, "the list must not be longer than IA32_VMX_MISC bits 27:25 recommend: 512 entries"},
	{"vmx.msr-load.segment-base", segment_base, "IA32_FS_BASE and IA32_GS_BASE cannot be loaded from an MSR area"},
	{"vmx.msr-load.x2apic", x2apic, "the MSRs of the x2APIC, 0x800 to 0x8ff, cannot be loaded from an MSR area"},
	{"vmx.msr-load.smm", smm_only, "outside SMM an MSR that only SMM may write cannot be loaded"},
	{"vmx.msr-load.reserved", reserved, "bits 63:32 of an entry's index must be 0"},
	{"vmx.msr-load.efer-mode", efer_mode, "2004: LMA and LME of IA32_EFER are what the controls say"},
	{"vmx.msr-load.refused", refused, "a value that WRMSR would refuse at CPL 0 cannot be loaded"},
};
/* clang-format on */
const size_t vmx_msr_check_count = ARRAY_LEN(vmx_msr_checks);

const struct vmx_msr_check *vmx_msr_refused(const struct vmx_msr_entry *e)
{
	for (size_t n = 0; n < vmx_msr_check_count; n++)
		if (vmx_msr_checks[n].bad(e))
			return &vmx_msr_checks[n];
	return NULL;
}
