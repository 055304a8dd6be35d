/* "Checks on the Host-State Area": error 8. */
#include "vmx/checks_rows.h"

/* "Restrictions on VMX Operation": bits that must be 1, bits that must be 0; NW and CD may be anything. */
static bool cr0_fixed(const struct vmx_image *g)
{
	u64 v = F(HOST_CR0);

	return (~v & g->caps->cr0_fixed0) || (v & ~(g->caps->cr0_fixed1 | g->caps->cr0_ignored));
}

static bool cr4_fixed(const struct vmx_image *g)
{
	u64 v = F(HOST_CR4);

	return (~v & g->caps->cr4_fixed0) || (v & ~g->caps->cr4_fixed1);
}

static bool cr3_width(const struct vmx_image *g)
{
	return above(g, F(HOST_CR3));
}

static bool not_canonical(const struct vmx_image *g, unsigned field)
{
	return noncanonical(g, vmx_value(g, field));
}

static bool perf(const struct vmx_image *g)
{
	return exits(g, EXIT_LOAD_PERF) && (F(HOST_PERF_GLOBAL_CTRL) & ~g->caps->perf_global);
}

static bool pat(const struct vmx_image *g)
{
	return exits(g, EXIT_LOAD_PAT) && !arch_pat_valid(F(HOST_PAT));
}

static bool efer_reserved(const struct vmx_image *g)
{
	return exits(g, EXIT_LOAD_EFER) && (F(HOST_EFER) & ~g->caps->efer);
}

/* EFER.LMA or EFER.LME */
static bool efer_mode(const struct vmx_image *g, unsigned bit)
{
	return exits(g, EXIT_LOAD_EFER) && (F(HOST_EFER) >> bit & 1) != exits(g, EXIT_HOST64);
}

/* ---- "Checks on Host Segment and Descriptor-Table Registers" ---- */

static bool rpl_ti(const struct vmx_image *g, unsigned field)
{
	return (vmx_value(g, field) & 7) != 0;
}

static bool null(const struct vmx_image *g, unsigned field)
{
	return vmx_value(g, field) == 0;
}

static bool null_ss(const struct vmx_image *g, unsigned field)
{
	return vmx_value(g, field) == 0 && !exits(g, EXIT_HOST64);
}

/* ---- "Checks Related to Address-Space Size" ---- */

static bool legacy_guest64(const struct vmx_image *g)
{
	return !vmx_in(g, VMX_IN_LMA) && enters(g, ENTRY_GUEST64);
}

static bool legacy_host64(const struct vmx_image *g)
{
	return !vmx_in(g, VMX_IN_LMA) && exits(g, EXIT_HOST64);
}

static bool long_host32(const struct vmx_image *g)
{
	return vmx_in(g, VMX_IN_LMA) && !exits(g, EXIT_HOST64);
}

static bool host32_guest64(const struct vmx_image *g)
{
	return !exits(g, EXIT_HOST64) && enters(g, ENTRY_GUEST64);
}

static bool host32_pcide(const struct vmx_image *g)
{
	return !exits(g, EXIT_HOST64) && (F(HOST_CR4) & CR4_PCIDE);
}

static bool host32_rip(const struct vmx_image *g)
{
	return !exits(g, EXIT_HOST64) && F(HOST_RIP) >> 32;
}

static bool host64_pae(const struct vmx_image *g)
{
	return exits(g, EXIT_HOST64) && !(F(HOST_CR4) & CR4_PAE);
}

static bool host64_rip(const struct vmx_image *g)
{
	return exits(g, EXIT_HOST64) && noncanonical(g, F(HOST_RIP));
}

/* clang-format off */
#define REGISTERS                    "Checks on Host Control Registers, MSRs, and SSP"
#define REGS(id, ...)                ROW(HOST, FAIL_8, "host." id, REGISTERS, __VA_ARGS__)
#define REGS_AT(id, ...)             ROW_AT(HOST, FAIL_8, "host." id, REGISTERS, __VA_ARGS__)
#define SEGS(id, fn, name, rule, ...) \
	ROW_AT(HOST, FAIL_8, "host." id, "Checks on Host Segment and Descriptor-Table Registers", fn, V(name), rule, V(name), ##__VA_ARGS__)
#define SIZE(id, fn, rule, ...)      ROW(HOST, FAIL_8, "host.address-space." id, "Checks Related to Address-Space Size", fn, rule, __VA_ARGS__)
#define SIZE_IMPLIED(name, fn, text, by, ...) \
	{.id = "vmx.host.address-space." name, .group = VMX_GROUP_HOST, .outcome = VMX_FAIL_8, .bad = fn, .rule = text, \
	 .manual = "SDM 3C \"Checks Related to Address-Space Size\"", .field = {__VA_ARGS__, VMX_FIELDS_END}, .implied_by = by}
#define RPL(name)   SEGS("selector.rpl-ti", rpl_ti, name, "RPL (bits 1:0) and TI (bit 2) of every host selector must be 0")
#define BASE(name)  SEGS("base", not_canonical, name, "host FS, GS, TR, GDTR and IDTR bases must be canonical")
#define NULLS       "host CS and TR selectors must not be 0, nor SS of a 32-bit host"

static const struct vmx_check rows[] = {
	REGS("cr0.fixed", cr0_fixed, "host CR0 must have the bits that VMX operation fixes", V(HOST_CR0)),
	REGS("cr4.fixed", cr4_fixed, "host CR4 must have the bits that VMX operation fixes", V(HOST_CR4)),
	REGS("cr3", cr3_width, "host CR3 must be within the physical address width", V(HOST_CR3)),
	REGS_AT("sysenter", not_canonical, V(HOST_SYSENTER_ESP), "host IA32_SYSENTER_ESP and IA32_SYSENTER_EIP must be canonical", V(HOST_SYSENTER_ESP)),
	REGS_AT("sysenter", not_canonical, V(HOST_SYSENTER_EIP), "host IA32_SYSENTER_ESP and IA32_SYSENTER_EIP must be canonical", V(HOST_SYSENTER_EIP)),
	REGS("perf-global-ctrl", perf, "reserved bits of host IA32_PERF_GLOBAL_CTRL must be 0", V(HOST_PERF_GLOBAL_CTRL), V(EXIT_CONTROLS)),
	REGS("pat", pat, "every byte of host IA32_PAT must be 0, 1, 4, 5, 6 or 7", V(HOST_PAT), V(EXIT_CONTROLS)),
	REGS("efer.reserved", efer_reserved, "reserved bits of host IA32_EFER must be 0", V(HOST_EFER), V(EXIT_CONTROLS)),
	REGS_AT("efer.lma", efer_mode, 10, "LMA of host IA32_EFER must equal host address-space size", V(HOST_EFER), V(EXIT_CONTROLS)),
	REGS_AT("efer.lme", efer_mode, 8, "LME of host IA32_EFER must equal host address-space size", V(HOST_EFER), V(EXIT_CONTROLS)),
	RPL(HOST_ES_SEL), RPL(HOST_CS_SEL), RPL(HOST_SS_SEL), RPL(HOST_DS_SEL), RPL(HOST_FS_SEL), RPL(HOST_GS_SEL), RPL(HOST_TR_SEL),
	SEGS("selector.null", null, HOST_CS_SEL, NULLS),
	SEGS("selector.null", null_ss, HOST_SS_SEL, NULLS, V(EXIT_CONTROLS)),
	SEGS("selector.null", null, HOST_TR_SEL, NULLS),
	BASE(HOST_FS_BASE), BASE(HOST_GS_BASE), BASE(HOST_TR_BASE), BASE(HOST_GDTR_BASE), BASE(HOST_IDTR_BASE),
	SIZE_IMPLIED("legacy-guest64", legacy_guest64, "outside IA-32e mode the guest must not be an IA-32e mode guest",
		     "vmx.host.address-space.legacy-host64,vmx.host.address-space.host32-guest64", V(ENTRY_CONTROLS), VMX_IN_LMA),
	SIZE("legacy-host64", legacy_host64, "outside IA-32e mode host address-space size must be 0", V(EXIT_CONTROLS), VMX_IN_LMA),
	SIZE("long-host32", long_host32, "in IA-32e mode host address-space size must be 1", V(EXIT_CONTROLS), VMX_IN_LMA),
	SIZE_IMPLIED("host32-guest64", host32_guest64, "an IA-32e mode guest needs host address-space size 1",
		     "vmx.host.address-space.legacy-guest64,vmx.host.address-space.long-host32", V(ENTRY_CONTROLS), V(EXIT_CONTROLS)),
	SIZE("host32-pcide", host32_pcide, "a 32-bit host must not have CR4.PCIDE", V(HOST_CR4), V(EXIT_CONTROLS)),
	SIZE("host32-rip", host32_rip, "bits 63:32 of a 32-bit host's RIP must be 0", V(HOST_RIP), V(EXIT_CONTROLS)),
	SIZE("host64-pae", host64_pae, "a 64-bit host needs CR4.PAE", V(HOST_CR4), V(EXIT_CONTROLS)),
	SIZE("host64-rip", host64_rip, "a 64-bit host's RIP must be canonical", V(HOST_RIP), V(EXIT_CONTROLS)),
};
/* clang-format on */
const struct vmx_check_set vmx_host_checks = {rows, ARRAY_LEN(rows), 1u << VMX_GROUP_HOST};
