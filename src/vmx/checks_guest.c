/* "Checks on the Guest-State Area", registers other than segments: exit reason 33. */
#include "vmx/checks_rows.h"

/* Unrestricted guest frees PE and PG; NW and CD may be anything. */
static bool cr0_fixed(const struct vmx_image *g)
{
	u64 v = F(GUEST_CR0), need = g->caps->cr0_fixed0;

	if (proc2(g, PROC2_UNRESTRICTED))
		need &= ~(CR0_PE | CR0_PG);
	return (~v & need) || (v & ~(g->caps->cr0_fixed1 | g->caps->cr0_ignored));
}

static bool pg_without_pe(const struct vmx_image *g)
{
	return (F(GUEST_CR0) & CR0_PG) && !(F(GUEST_CR0) & CR0_PE);
}

static bool cr4_fixed(const struct vmx_image *g)
{
	u64 v = F(GUEST_CR4);

	return (~v & g->caps->cr4_fixed0) || (v & ~g->caps->cr4_fixed1);
}

static bool debugctl(const struct vmx_image *g)
{
	return enters(g, ENTRY_LOAD_DEBUG) && (F(GUEST_DEBUGCTL) & ~g->caps->debugctl);
}

static bool long_without_pg(const struct vmx_image *g)
{
	return enters(g, ENTRY_GUEST64) && !(F(GUEST_CR0) & CR0_PG);
}

static bool long_without_pae(const struct vmx_image *g)
{
	return enters(g, ENTRY_GUEST64) && !(F(GUEST_CR4) & CR4_PAE);
}

static bool legacy_pcide(const struct vmx_image *g)
{
	return !enters(g, ENTRY_GUEST64) && (F(GUEST_CR4) & CR4_PCIDE);
}

static bool cr3_width(const struct vmx_image *g)
{
	return above(g, F(GUEST_CR3));
}

/* The other reserved bits are forced to their values, not checked. */
static bool dr7(const struct vmx_image *g)
{
	return enters(g, ENTRY_LOAD_DEBUG) && F(GUEST_DR7) >> 32;
}

static bool not_canonical(const struct vmx_image *g, unsigned field)
{
	return noncanonical(g, vmx_value(g, field));
}

static bool perf(const struct vmx_image *g)
{
	return enters(g, ENTRY_LOAD_PERF) && (F(GUEST_PERF_GLOBAL_CTRL) & ~g->caps->perf_global);
}

static bool pat(const struct vmx_image *g)
{
	return enters(g, ENTRY_LOAD_PAT) && !arch_pat_valid(F(GUEST_PAT));
}

static bool efer_reserved(const struct vmx_image *g)
{
	return enters(g, ENTRY_LOAD_EFER) && (F(GUEST_EFER) & ~g->caps->efer);
}

static bool efer_lma(const struct vmx_image *g)
{
	return enters(g, ENTRY_LOAD_EFER) && !(F(GUEST_EFER) & EFER_LMA) == enters(g, ENTRY_GUEST64);
}

static bool efer_lme(const struct vmx_image *g)
{
	return enters(g, ENTRY_LOAD_EFER) && (F(GUEST_CR0) & CR0_PG) &&
	       !(F(GUEST_EFER) & EFER_LMA) != !(F(GUEST_EFER) & EFER_LME);
}

/* ---- "Checks on Guest Descriptor-Table Registers" ---- */

static bool limit(const struct vmx_image *g, unsigned field)
{
	return vmx_value(g, field) >> 16 != 0;
}

/* ---- "Checks on Guest RIP, RFLAGS, and SSP" ---- */

static bool code64(const struct vmx_image *g)
{
	return enters(g, ENTRY_GUEST64) && (F(GUEST_CS_AR) & AR_L);
}

static bool rip_high(const struct vmx_image *g)
{
	return !code64(g) && F(GUEST_RIP) >> 32;
}

/* The bits above the linear-address width must be equal; they may differ from the topmost address bit. */
static bool rip_width(const struct vmx_image *g)
{
	u64 top = F(GUEST_RIP) >> g->caps->la_bits;

	return code64(g) && top != 0 && top != ~0ull >> g->caps->la_bits;
}

static bool rflags_reserved(const struct vmx_image *g)
{
	u64 v = F(GUEST_RFLAGS);

	return v >> 22 || (v & (BIT(15) | BIT(5) | BIT(3))) || !(v & FL_1);
}

static bool vm_long(const struct vmx_image *g)
{
	return v86(g) && enters(g, ENTRY_GUEST64);
}

static bool vm_real(const struct vmx_image *g)
{
	return v86(g) && !(F(GUEST_CR0) & CR0_PE);
}

/* clang-format off */
#define REGISTERS           "Checks on Guest Control Registers, Debug Registers, and MSRs"
#define REGS(id, ...)       ROW(GUEST, EXIT_33, "guest." id, REGISTERS, __VA_ARGS__)
#define REGS_AT(id, ...)    ROW_AT(GUEST, EXIT_33, "guest." id, REGISTERS, __VA_ARGS__)
#define TABLE(id, fn, name, rule) ROW_AT(GUEST, EXIT_33, "guest." id, "Checks on Guest Descriptor-Table Registers", fn, V(name), rule, V(name))
#define RIPS(id, ...)       ROW(GUEST, EXIT_33, "guest." id, "Checks on Guest RIP, RFLAGS, and SSP", __VA_ARGS__)

static const struct vmx_check rows[] = {
	REGS("cr0.fixed", cr0_fixed, "guest CR0 must have the bits that VMX operation fixes", V(GUEST_CR0), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	REGS("cr0.pg-without-pe", pg_without_pe, "guest CR0.PG needs CR0.PE", V(GUEST_CR0)),
	REGS("cr4.fixed", cr4_fixed, "guest CR4 must have the bits that VMX operation fixes", V(GUEST_CR4)),
	REGS("debugctl", debugctl, "reserved bits of guest IA32_DEBUGCTL must be 0", V(GUEST_DEBUGCTL), V(ENTRY_CONTROLS)),
	REGS("ia32e.pg", long_without_pg, "an IA-32e mode guest needs CR0.PG", V(GUEST_CR0), V(ENTRY_CONTROLS)),
	REGS("ia32e.pae", long_without_pae, "an IA-32e mode guest needs CR4.PAE", V(GUEST_CR4), V(ENTRY_CONTROLS)),
	REGS("pcide", legacy_pcide, "only an IA-32e mode guest may have CR4.PCIDE", V(GUEST_CR4), V(ENTRY_CONTROLS)),
	REGS("cr3", cr3_width, "guest CR3 must be within the physical address width", V(GUEST_CR3)),
	REGS("dr7", dr7, "bits 63:32 of guest DR7 must be 0", V(GUEST_DR7), V(ENTRY_CONTROLS)),
	REGS_AT("sysenter", not_canonical, V(GUEST_SYSENTER_ESP), "guest IA32_SYSENTER_ESP and IA32_SYSENTER_EIP must be canonical", V(GUEST_SYSENTER_ESP)),
	REGS_AT("sysenter", not_canonical, V(GUEST_SYSENTER_EIP), "guest IA32_SYSENTER_ESP and IA32_SYSENTER_EIP must be canonical", V(GUEST_SYSENTER_EIP)),
	REGS("perf-global-ctrl", perf, "reserved bits of guest IA32_PERF_GLOBAL_CTRL must be 0", V(GUEST_PERF_GLOBAL_CTRL), V(ENTRY_CONTROLS)),
	REGS("pat", pat, "every byte of guest IA32_PAT must be 0, 1, 4, 5, 6 or 7", V(GUEST_PAT), V(ENTRY_CONTROLS)),
	REGS("efer.reserved", efer_reserved, "reserved bits of guest IA32_EFER must be 0", V(GUEST_EFER), V(ENTRY_CONTROLS)),
	REGS("efer.lma", efer_lma, "LMA of guest IA32_EFER must equal IA-32e mode guest", V(GUEST_EFER), V(ENTRY_CONTROLS)),
	REGS("efer.lme", efer_lme, "LMA and LME of guest IA32_EFER must be equal with CR0.PG", V(GUEST_EFER), V(ENTRY_CONTROLS), V(GUEST_CR0)),
	TABLE("gdtr.base", not_canonical, GUEST_GDTR_BASE, "the guest's GDTR base must be canonical"),
	TABLE("idtr.base", not_canonical, GUEST_IDTR_BASE, "the guest's IDTR base must be canonical"),
	TABLE("gdtr.limit", limit, GUEST_GDTR_LIMIT, "bits 31:16 of the guest's GDTR limit must be 0"),
	TABLE("idtr.limit", limit, GUEST_IDTR_LIMIT, "bits 31:16 of the guest's IDTR limit must be 0"),
	RIPS("rip.high", rip_high, "bits 63:32 of RIP must be 0 outside 64-bit mode", V(GUEST_RIP), V(ENTRY_CONTROLS), V(GUEST_CS_AR)),
	RIPS("rip.width", rip_width, "bits of RIP above the linear-address width must be equal", V(GUEST_RIP), V(ENTRY_CONTROLS), V(GUEST_CS_AR)),
	RIPS("rflags.reserved", rflags_reserved, "reserved bits 63:22, 15, 5 and 3 of RFLAGS must be 0, bit 1 must be 1", V(GUEST_RFLAGS)),
	RIPS("rflags.vm-ia32e", vm_long, "RFLAGS.VM must be 0 in an IA-32e mode guest", V(GUEST_RFLAGS), V(ENTRY_CONTROLS)),
	RIPS("rflags.vm-real", vm_real, "RFLAGS.VM must be 0 in a guest without CR0.PE", V(GUEST_RFLAGS), V(GUEST_CR0)),
};
/* clang-format on */
const struct vmx_check_set vmx_guest_checks = {rows, ARRAY_LEN(rows), 1u << VMX_GROUP_GUEST};
