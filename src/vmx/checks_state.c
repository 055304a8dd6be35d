/*
 * "Checks on Guest Non-Register State" and "Checks on Guest Page-Directory-Pointer-Table Entries": exit reason 33. With
 * them the conditions that join the injected event to the state of the guest.
 */
#include "vmx/checks_rows.h"

enum { ACTIVE, HLT, SHUTDOWN, WAIT_SIPI };
enum { STI = 1 << 0, MOV_SS = 1 << 1, SMI = 1 << 2, NMI = 1 << 3, ENCLAVE = 1 << 4 };

/* ---- activity ---- */

/* IA32_VMX_MISC bits 8:6 report HLT, shutdown and wait-for-SIPI. */
static bool activity_supported(const struct vmx_image *g)
{
	u64 v = F(GUEST_ACTIVITY);

	return v > WAIT_SIPI || (v != ACTIVE && !(g->caps->misc >> (v + 5) & 1));
}

static bool hlt_dpl(const struct vmx_image *g)
{
	return F(GUEST_ACTIVITY) == HLT && bits(F(GUEST_SS_AR), 6, 5) != 0;
}

static bool activity_blocking(const struct vmx_image *g)
{
	return F(GUEST_ACTIVITY) != ACTIVE && (F(GUEST_INTERRUPTIBILITY) & (STI | MOV_SS));
}

static bool activity_smm(const struct vmx_image *g)
{
	return F(GUEST_ACTIVITY) == WAIT_SIPI && enters(g, ENTRY_SMM);
}

static bool wait_in_root(const struct vmx_image *g)
{
	return F(GUEST_ACTIVITY) == WAIT_SIPI && returns_to_root(g);
}

static bool wakes_hlt(const struct vmx_image *g)
{
	switch (inject_kind(g)) {
	case KIND_EXT:
	case KIND_NMI: return true;
	case KIND_HW: return inject_vector(g) == EX_DB || inject_vector(g) == EX_MC;
	case KIND_OTHER: return inject_vector(g) == 0;
	default: return false;
	}
}

static bool inject_hlt(const struct vmx_image *g)
{
	return injects(g) && F(GUEST_ACTIVITY) == HLT && !wakes_hlt(g);
}

static bool inject_shutdown(const struct vmx_image *g)
{
	return injects(g) && F(GUEST_ACTIVITY) == SHUTDOWN && inject_kind(g) != KIND_NMI &&
	       !(inject_kind(g) == KIND_HW && inject_vector(g) == EX_MC);
}

static bool inject_wait(const struct vmx_image *g)
{
	return injects(g) && F(GUEST_ACTIVITY) == WAIT_SIPI;
}

/* ---- interruptibility ---- */

static bool blocking_reserved(const struct vmx_image *g)
{
	return F(GUEST_INTERRUPTIBILITY) >> (g->caps->first ? 4 : 5) != 0;
}

static bool sti_and_mov_ss(const struct vmx_image *g)
{
	return (F(GUEST_INTERRUPTIBILITY) & STI) && (F(GUEST_INTERRUPTIBILITY) & MOV_SS);
}

static bool sti_without_if(const struct vmx_image *g)
{
	return (F(GUEST_INTERRUPTIBILITY) & STI) && !(F(GUEST_RFLAGS) & FL_IF);
}

static bool smi_outside(const struct vmx_image *g)
{
	return !vmx_in(g, VMX_IN_SMM) && (F(GUEST_INTERRUPTIBILITY) & SMI);
}

static bool smi_entry(const struct vmx_image *g)
{
	return enters(g, ENTRY_SMM) && !(F(GUEST_INTERRUPTIBILITY) & SMI);
}

static bool enclave_mov_ss(const struct vmx_image *g)
{
	return (F(GUEST_INTERRUPTIBILITY) & ENCLAVE) && (F(GUEST_INTERRUPTIBILITY) & MOV_SS);
}

static bool enclave_sgx(const struct vmx_image *g)
{
	return (F(GUEST_INTERRUPTIBILITY) & ENCLAVE) && !g->caps->sgx;
}

static bool ext_if(const struct vmx_image *g)
{
	return injects(g) && inject_kind(g) == KIND_EXT && !(F(GUEST_RFLAGS) & FL_IF);
}

static bool ext_blocked(const struct vmx_image *g)
{
	return injects(g) && inject_kind(g) == KIND_EXT && (F(GUEST_INTERRUPTIBILITY) & (STI | MOV_SS));
}

static bool nmi_mov_ss(const struct vmx_image *g)
{
	return injects(g) && inject_kind(g) == KIND_NMI && (F(GUEST_INTERRUPTIBILITY) & MOV_SS);
}

static bool nmi_sti(const struct vmx_image *g)
{
	return injects(g) && inject_kind(g) == KIND_NMI && (F(GUEST_INTERRUPTIBILITY) & STI);
}

static bool nmi_virtual(const struct vmx_image *g)
{
	return injects(g) && inject_kind(g) == KIND_NMI && pin(g, PIN_VIRTUAL_NMI) && (F(GUEST_INTERRUPTIBILITY) & NMI);
}

/* ---- pending debug exceptions ----
 * Bit 11 is listed as reserved by this section and as bus-lock detection by the field's format: ERRATA E52. */

static bool pending_reserved(const struct vmx_image *g)
{
	return (F(GUEST_PENDING_DEBUG) & (mask(10, 4) | (g->caps->bus_lock ? 0 : BIT(11)) | BIT(13) | BIT(15) |
	                                  mask(63, 17))) != 0;
}

static bool single_step(const struct vmx_image *g)
{
	return (F(GUEST_RFLAGS) & FL_TF) && !(F(GUEST_DEBUGCTL) & BIT(1));
}

static bool bs_matters(const struct vmx_image *g)
{
	return (F(GUEST_INTERRUPTIBILITY) & (STI | MOV_SS)) || F(GUEST_ACTIVITY) == HLT;
}

static bool bs_missing(const struct vmx_image *g)
{
	return bs_matters(g) && single_step(g) && !(F(GUEST_PENDING_DEBUG) & BIT(14));
}

static bool bs_extra(const struct vmx_image *g)
{
	return bs_matters(g) && !single_step(g) && (F(GUEST_PENDING_DEBUG) & BIT(14));
}

static bool rtm_absent(const struct vmx_image *g)
{
	return (F(GUEST_PENDING_DEBUG) & BIT(16)) && !g->caps->rtm;
}

static bool rtm_form(const struct vmx_image *g)
{
	u64 v = F(GUEST_PENDING_DEBUG);

	return (v & BIT(16)) && (!(v & BIT(12)) || (v & (mask(11, 0) | mask(15, 13) | mask(63, 17))));
}

static bool rtm_mov_ss(const struct vmx_image *g)
{
	return (F(GUEST_PENDING_DEBUG) & BIT(16)) && (F(GUEST_INTERRUPTIBILITY) & MOV_SS);
}

/* ---- VMCS link pointer ---- */

static bool has_link(const struct vmx_image *g)
{
	return F(LINK_POINTER) != VMCS_NONE;
}

static bool link_address(const struct vmx_image *g)
{
	return has_link(g) && bad_page(g, F(LINK_POINTER));
}

/* Bit 31 tells a shadow VMCS, which "VMCS shadowing" asks for. */
static bool link_revision(const struct vmx_image *g)
{
	u64 word = bits(g->caps->basic, 30, 0) | (proc2(g, PROC2_SHADOW_VMCS) ? BIT(31) : 0);

	return has_link(g) && !bad_page(g, F(LINK_POINTER)) && vmx_in(g, VMX_IN_LINK_WORD) != word;
}

/* An entry that returns from SMM is not to make one VMCS two things. */
static bool link_current(const struct vmx_image *g)
{
	return has_link(g) && F(LINK_POINTER) == (returns(g) ? F(EXECUTIVE_VMCS) : vmx_in(g, VMX_IN_CURRENT));
}

/* ---- PDPTEs ---- */

static bool pdpte(const struct vmx_image *g, unsigned input)
{
	bool pae = (F(GUEST_CR0) & CR0_PG) && (F(GUEST_CR4) & CR4_PAE) && !enters(g, ENTRY_GUEST64);
	u64 v = vmx_in(g, input);

	return pae && (v & 1) && ((v & (mask(2, 1) | mask(8, 5))) || above(g, v));
}

/* clang-format off */
#define NONREG "Checks on Guest Non-Register State"
#define STATE_(id, fn, rule, ...)  ROW(STATE, EXIT_33, "guest." id, NONREG, fn, rule, __VA_ARGS__)
#define INJECT(id, fn, rule, ...)  ROW(INJECT, EXIT_33, "guest." id, NONREG, fn, rule, __VA_ARGS__)
#define BLOCKING V(GUEST_INTERRUPTIBILITY)
#define INFO     V(ENTRY_INTR_INFO)
#define LINK(name, fn, text, ...) \
	{.id = "vmx.guest.link-pointer." name, .group = VMX_GROUP_LINK, .outcome = VMX_EXIT_33, .qualification = 4, .bad = fn, .rule = text, \
	 .manual = "SDM 3C \"" NONREG "\"", .field = {V(LINK_POINTER), __VA_ARGS__}}
#define PDPTE(n) \
	{.id = "vmx.guest.pdpte", .group = VMX_GROUP_PDPTE, .outcome = VMX_EXIT_33, .qualification = 2, .at = VMX_IN_PDPTE##n, .bad_at = pdpte, \
	 .rule = "reserved bits of a present PDPTE must be 0", .manual = "SDM 3C \"Checks on Guest Page-Directory-Pointer-Table Entries\"", \
	 .field = {VMX_IN_PDPTE##n, V(GUEST_CR0), V(GUEST_CR4), V(ENTRY_CONTROLS), VMX_FIELDS_END}}

static const struct vmx_check rows[] = {
	STATE_("activity.supported", activity_supported, "the activity state must be supported", V(GUEST_ACTIVITY)),
	STATE_("activity.hlt-dpl", hlt_dpl, "a guest in HLT must have SS.DPL 0", V(GUEST_ACTIVITY), V(GUEST_SS_AR)),
	STATE_("activity.blocking", activity_blocking, "a guest under STI or MOV-SS blocking must be active", V(GUEST_ACTIVITY), BLOCKING),
	STATE_("activity.smm", activity_smm, "entry to SMM must not wait for a SIPI", V(GUEST_ACTIVITY), V(ENTRY_CONTROLS)),
	STATE_("activity.wait-root", wait_in_root, "a return from SMM to VMX root operation must not wait for a SIPI", V(GUEST_ACTIVITY), RETURNS_TO_ROOT),
	STATE_("interruptibility.reserved", blocking_reserved, "bits 31:5 of the interruptibility state must be 0", BLOCKING),
	STATE_("interruptibility.sti-mov-ss", sti_and_mov_ss, "STI and MOV-SS blocking exclude each other", BLOCKING),
	STATE_("interruptibility.sti-if", sti_without_if, "STI blocking needs RFLAGS.IF", BLOCKING, V(GUEST_RFLAGS)),
	STATE_("interruptibility.smi", smi_outside, "outside SMM nothing is blocked by SMI", BLOCKING, VMX_IN_SMM),
	STATE_("interruptibility.smi-entry", smi_entry, "entry to SMM needs blocking by SMI", BLOCKING, V(ENTRY_CONTROLS)),
	STATE_("interruptibility.enclave-mov-ss", enclave_mov_ss, "an enclave interruption excludes MOV-SS blocking", BLOCKING),
	STATE_("interruptibility.enclave", enclave_sgx, "an enclave interruption needs SGX", BLOCKING),
	STATE_("pending-debug.reserved", pending_reserved, "reserved bits of the pending debug exceptions must be 0", V(GUEST_PENDING_DEBUG)),
	STATE_("pending-debug.bs-missing", bs_missing, "BS must be 1 in a blocked or halted guest that single-steps", V(GUEST_PENDING_DEBUG), BLOCKING,
	       V(GUEST_ACTIVITY), V(GUEST_RFLAGS), V(GUEST_DEBUGCTL)),
	STATE_("pending-debug.bs-extra", bs_extra, "BS must be 0 in a blocked or halted guest that does not single-step", V(GUEST_PENDING_DEBUG), BLOCKING,
	       V(GUEST_ACTIVITY), V(GUEST_RFLAGS), V(GUEST_DEBUGCTL)),
	STATE_("pending-debug.rtm", rtm_absent, "the RTM bit needs RTM", V(GUEST_PENDING_DEBUG)),
	STATE_("pending-debug.rtm-form", rtm_form, "the RTM bit needs bit 12 and excludes all others", V(GUEST_PENDING_DEBUG)),
	STATE_("pending-debug.rtm-mov-ss", rtm_mov_ss, "the RTM bit excludes MOV-SS blocking", V(GUEST_PENDING_DEBUG), BLOCKING),

	ROW(INJECT, EXIT_33, "guest.rflags.if-extint", "Checks on Guest RIP, RFLAGS, and SSP", ext_if,
	    "RFLAGS.IF must be 1 when VM entry injects an external interrupt", V(GUEST_RFLAGS), INFO),
	INJECT("activity.inject-hlt", inject_hlt, "a halted guest takes interrupts, NMIs, #DB, #MC and MTF exits only", V(GUEST_ACTIVITY), INFO),
	INJECT("activity.inject-shutdown", inject_shutdown, "a guest in shutdown takes NMIs and #MC only", V(GUEST_ACTIVITY), INFO),
	INJECT("activity.inject-wait", inject_wait, "a guest that waits for a SIPI takes no event", V(GUEST_ACTIVITY), INFO),
	INJECT("interruptibility.extint", ext_blocked, "an injected external interrupt excludes STI and MOV-SS blocking", BLOCKING, INFO),
	INJECT("interruptibility.nmi-mov-ss", nmi_mov_ss, "an injected NMI excludes MOV-SS blocking", BLOCKING, INFO),
	{.id = "vmx.guest.interruptibility.nmi-sti", .group = VMX_GROUP_INJECT, .outcome = VMX_EXIT_33, .qualification = 3, .bad = nmi_sti,
	 .rule = "an injected NMI excludes STI blocking", .manual = "SDM 3C \"" NONREG "\"", .field = {BLOCKING, INFO, VMX_FIELDS_END}},
	INJECT("interruptibility.virtual-nmi", nmi_virtual, "an injected NMI excludes virtual-NMI blocking", BLOCKING, INFO, V(PIN_CONTROLS)),

	LINK("address", link_address, "the VMCS link pointer must be ~0, or page-aligned and within the physical address width", VMX_FIELDS_END),
	LINK("revision", link_revision, "the linked VMCS must have the revision identifier, and be a shadow exactly under VMCS shadowing",
	     VMX_IN_LINK_WORD, V(PROC_CONTROLS), V(PROC2_CONTROLS), VMX_FIELDS_END),
	LINK("current", link_current, "the VMCS link pointer must not be the current VMCS; returning from SMM, the executive VMCS", VMX_IN_CURRENT,
	     RETURNS, V(EXECUTIVE_VMCS), VMX_FIELDS_END),

	PDPTE(0), PDPTE(1), PDPTE(2), PDPTE(3),
};
/* clang-format on */
const struct vmx_check_set vmx_state_checks = {
	rows, ARRAY_LEN(rows), 1u << VMX_GROUP_STATE | 1u << VMX_GROUP_INJECT | 1u << VMX_GROUP_LINK | 1u << VMX_GROUP_PDPTE,
};
