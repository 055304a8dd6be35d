/*
 * "Checks on the Executive-VMCS Pointer Field" of VM entries that return from SMM: errors 16 to 18. What the executive
 * VMCS's VM-execution controls say is checked by the rows for these, with error 25.
 */
#include "vmx/checks_rows.h"

static bool address(const struct vmx_image *g)
{
	return returns(g) && bad_page(g, F(EXECUTIVE_VMCS));
}

/* A shadow VMCS, bit 31, has another word. */
static bool revision(const struct vmx_image *g)
{
	return returns(g) && !bad_page(g, F(EXECUTIVE_VMCS)) && vmx_in(g, VMX_IN_EXEC_WORD) != bits(g->caps->basic, 30, 0);
}

static bool deactivates_elsewhere(const struct vmx_image *g)
{
	return returns(g) && !returns_to_root(g) && enters(g, ENTRY_NO_DUAL);
}

/* "performed before ... the following": of what is a VMCS at all. */
static bool not_launched(const struct vmx_image *g)
{
	return returns(g) && !returns_to_root(g) && !enters(g, ENTRY_NO_DUAL) && !address(g) && !revision(g) &&
	       !vmx_in(g, VMX_IN_EXEC_LAUNCHED);
}

/* clang-format off */
#define EXECUTIVE(id, outcome, fn, rule, ...) \
	ROW(EXECUTIVE, outcome, "smm.executive." id, "Checks on the Executive-VMCS Pointer Field", fn, rule, __VA_ARGS__, RETURNS)

static const struct vmx_check rows[] = {
	EXECUTIVE("address", FAIL_16, address, "the executive-VMCS pointer must be page-aligned and within the physical address width", V(EXECUTIVE_VMCS)),
	EXECUTIVE("revision", FAIL_16, revision, "the executive VMCS must have the revision identifier", VMX_IN_EXEC_WORD, V(EXECUTIVE_VMCS)),
	EXECUTIVE("launched", FAIL_17, not_launched, "the executive VMCS must be launched", VMX_IN_EXEC_LAUNCHED, VMX_IN_EXEC_WORD, VMX_IN_VMXON,
	          V(EXECUTIVE_VMCS)),
	EXECUTIVE("vmxon", FAIL_18, deactivates_elsewhere, "deactivating dual-monitor treatment needs the VMXON pointer as executive-VMCS pointer",
	          V(EXECUTIVE_VMCS), VMX_IN_VMXON),
};
/* clang-format on */
const struct vmx_check_set vmx_executive_checks = {rows, ARRAY_LEN(rows), 1u << VMX_GROUP_EXECUTIVE};
