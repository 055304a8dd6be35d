/* What the files of check rows have in common: short names for reading an image, and the row macros. */
#ifndef VMX_CHECKS_ROWS_H
#define VMX_CHECKS_ROWS_H

#include "vmx/vmx.h"

#define F(name) (g->f[vmcs_slot(VMCS_##name)])
#define V(name) VMCS_##name

static inline bool above(const struct vmx_image *g, u64 pa)
{
	return (pa >> g->caps->phys_bits) != 0;
}
static inline bool bad_page(const struct vmx_image *g, u64 pa)
{
	return !is_aligned(pa, PAGE_SIZE) || above(g, pa);
}
static inline bool noncanonical(const struct vmx_image *g, u64 la)
{
	return !is_canonical(la, g->caps->la_bits);
}
static inline bool pin(const struct vmx_image *g, u64 bit)
{
	return (F(PIN_CONTROLS) & bit) != 0;
}
static inline bool proc(const struct vmx_image *g, u64 bit)
{
	return (F(PROC_CONTROLS) & bit) != 0;
}
/* Controls whose activating bit is 0 act as all zero. */
static inline bool proc2(const struct vmx_image *g, u64 bit)
{
	return proc(g, PROC_SECONDARY) && (F(PROC2_CONTROLS) & bit);
}
static inline bool proc3(const struct vmx_image *g, u64 bit)
{
	return proc(g, PROC_TERTIARY) && (F(PROC3_CONTROLS) & bit);
}
static inline bool exits(const struct vmx_image *g, u64 bit)
{
	return (F(EXIT_CONTROLS) & bit) != 0;
}
static inline bool enters(const struct vmx_image *g, u64 bit)
{
	return (F(ENTRY_CONTROLS) & bit) != 0;
}
/* "VM Entries that Return from SMM"; with the VMXON pointer to root operation. */
static inline bool returns(const struct vmx_image *g)
{
	return vmx_in(g, VMX_IN_SMM) && !enters(g, ENTRY_SMM);
}
static inline bool returns_to_root(const struct vmx_image *g)
{
	return returns(g) && F(EXECUTIVE_VMCS) == vmx_in(g, VMX_IN_VMXON);
}
#define RETURNS         V(ENTRY_CONTROLS), VMX_IN_SMM
#define RETURNS_TO_ROOT RETURNS, V(EXECUTIVE_VMCS), VMX_IN_VMXON
static inline bool v86(const struct vmx_image *g)
{
	return (F(GUEST_RFLAGS) & FL_VM) != 0;
}
static inline bool usable(u64 ar)
{
	return !(ar & AR_UNUSABLE);
}
static inline bool injects(const struct vmx_image *g)
{
	return (F(ENTRY_INTR_INFO) & BIT(31)) != 0;
}
static inline unsigned inject_kind(const struct vmx_image *g)
{
	return (unsigned)bits(F(ENTRY_INTR_INFO), 10, 8);
}
static inline unsigned inject_vector(const struct vmx_image *g)
{
	return (unsigned)F(ENTRY_INTR_INFO) & 0xff;
}
/* interruption types */
enum { KIND_EXT, KIND_RESERVED, KIND_NMI, KIND_HW, KIND_SW, KIND_PRIVSW, KIND_SWEX, KIND_OTHER };

/* Group, outcome, id, section of the manual, predicate, the rule; then the fields. ROW_AT: of a predicate that is told
 * which field, segment or bit its row is about. */
#define ROW(group_, outcome_, id_, manual_, bad_, rule_, ...)                                                          \
	{.id = "vmx." id_, .group = VMX_GROUP_##group_, .outcome = VMX_##outcome_, .bad = bad_, .rule = rule_,         \
	 .manual = "SDM 3C \"" manual_ "\"", .field = {__VA_ARGS__, VMX_FIELDS_END}}
#define ROW_AT(group_, outcome_, id_, manual_, bad_, at_, rule_, ...)                                                  \
	{.id = "vmx." id_, .group = VMX_GROUP_##group_, .outcome = VMX_##outcome_, .bad_at = bad_, .at = (at_),        \
	 .rule = rule_, .manual = "SDM 3C \"" manual_ "\"", .field = {__VA_ARGS__, VMX_FIELDS_END}}

#endif
