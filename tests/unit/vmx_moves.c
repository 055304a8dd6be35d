/*
 * Which field of the VMCS is which register, by the manual: "Field Encoding in VMCS", "Loading Guest State", "Saving Guest
 * State", "Loading Host State". Numbers come from the guests' own list, and not from the rows of src/vmx/map.h.
 */
#include "vmx_moves.h"

#include "cpu/cpu.h"
#include "vmx_names.h"

/* clang-format off */
#define R(m) offsetof(struct cpu, m), sizeof(((struct cpu *)0)->m)
const struct vmx_move guest_moves[] = {
#define SEGMENT(k, seg_) \
	{VMCS_GUEST_ES + 2 * (k), R(seg[seg_].sel), 0x10 + 8 * (k), 0, 0}, {VMCS_GUEST_ES_LIMIT + 2 * (k), R(seg[seg_].limit), 0x12345 + (k), 0, 0}, \
	{VMCS_GUEST_ES_AR + 2 * (k), R(seg[seg_].ar), 0xa09b + 0x1000 * ((k) & 3), 0, 0}, {VMCS_GUEST_ES_BASE + 2 * (k), R(seg[seg_].base), 0x1000 * (k) + 1, 0, 0}
	SEGMENT(0, SEG_ES), SEGMENT(1, SEG_CS), SEGMENT(2, SEG_SS), SEGMENT(3, SEG_DS), SEGMENT(4, SEG_FS), SEGMENT(5, SEG_GS),
	SEGMENT(6, SEG_LDTR), SEGMENT(7, SEG_TR),
	{VMCS_GUEST_GDTR_LIMIT, R(gdtr.limit), 0x1234, 0, 0}, {VMCS_GUEST_GDTR_BASE, R(gdtr.base), 0xffff800000001000, 0, 0},
	{VMCS_GUEST_IDTR_LIMIT, R(idtr.limit), 0x0fff, 0, 0}, {VMCS_GUEST_IDTR_BASE, R(idtr.base), 0xffff800000002000, 0, 0},
	{VMCS_GUEST_CR0, R(cr0), 0x80010021, 0, 0}, {VMCS_GUEST_CR3, R(cr3), 0x123000, 0, 0}, {VMCS_GUEST_CR4, R(cr4), 0x26b0, 0, 0},
	{VMCS_GUEST_DR7, R(dr7), 0x4ff, E_DEBUG, X_DEBUG}, {VMCS_GUEST_DEBUGCTL, R(debugctl), 3, E_DEBUG, X_DEBUG},
	{VMCS_GUEST_PAT, R(pat), 0x0606060606060606, E_PAT, X_SAVE_PAT}, {VMCS_GUEST_EFER, R(efer), 0xd01, E_EFER, X_SAVE_EFER},
	{VMCS_GUEST_SYSENTER_CS, R(sysenter_cs), 0x10, 0, 0}, {VMCS_GUEST_SYSENTER_ESP, R(sysenter_esp), 0xfffffe0000001000, 0, 0},
	{VMCS_GUEST_SYSENTER_EIP, R(sysenter_eip), 0xffffffff83000000, 0, 0}, {VMCS_GUEST_RSP, R(r[REG_RSP]), 0x7fff00002222, 0, 0},
	{VMCS_GUEST_RIP, R(r[REG_RIP]), 0x7fff00001111, 0, 0}, {VMCS_GUEST_RFLAGS, R(rflags), 0xcd7, 0, 0},
	{VMCS_GUEST_PDPTE0, R(pdpte[0]), 0x1001, 0, NEVER}, {VMCS_GUEST_PDPTE1, R(pdpte[1]), 0x2001, 0, NEVER}, /* saved with EPT and PAE paging */
	{VMCS_GUEST_PDPTE2, R(pdpte[2]), 0x3001, 0, NEVER}, {VMCS_GUEST_PDPTE3, R(pdpte[3]), 0x4001, 0, NEVER},
};
const struct vmx_move host_moves[] = {
	{VMCS_HOST_ES, R(seg[SEG_ES].sel), 0x18, 0, 0}, {VMCS_HOST_CS, R(seg[SEG_CS].sel), 0x10, 0, 0}, {VMCS_HOST_SS, R(seg[SEG_SS].sel), 0x20, 0, 0},
	{VMCS_HOST_DS, R(seg[SEG_DS].sel), 0x28, 0, 0}, {VMCS_HOST_FS, R(seg[SEG_FS].sel), 0x30, 0, 0}, {VMCS_HOST_GS, R(seg[SEG_GS].sel), 0x38, 0, 0},
	{VMCS_HOST_TR, R(seg[SEG_TR].sel), 0x40, 0, 0}, {VMCS_HOST_FS_BASE, R(seg[SEG_FS].base), 0x111000, 0, 0}, {VMCS_HOST_GS_BASE, R(seg[SEG_GS].base), 0xffff888000000000, 0, 0},
	{VMCS_HOST_TR_BASE, R(seg[SEG_TR].base), 0x333000, 0, 0}, {VMCS_HOST_GDTR_BASE, R(gdtr.base), 0x444000, 0, 0}, {VMCS_HOST_IDTR_BASE, R(idtr.base), 0x555000, 0, 0},
	{VMCS_HOST_PAT, R(pat), 0x0406040604060406, X_LOAD_PAT, 0}, {VMCS_HOST_EFER, R(efer), 0xd01, X_LOAD_EFER, 0},
	{VMCS_HOST_SYSENTER_CS, R(sysenter_cs), 0x10, 0, 0}, {VMCS_HOST_SYSENTER_ESP, R(sysenter_esp), 0xfffffe0000001000, 0, 0}, {VMCS_HOST_SYSENTER_EIP, R(sysenter_eip), 0xffffffff83000000, 0, 0},
	{VMCS_HOST_CR0, R(cr0), 0x80010021, 0, 0}, {VMCS_HOST_CR3, R(cr3), 0x321000, 0, 0}, {VMCS_HOST_CR4, R(cr4), 0x20a0, 0, 0},
	{VMCS_HOST_RSP, R(r[REG_RSP]), 0x7fff00003333, 0, 0}, {VMCS_HOST_RIP, R(r[REG_RIP]), 0x7fff00004444, 0, 0},
};
/* clang-format on */
const size_t guest_move_count = ARRAY_LEN(guest_moves), host_move_count = ARRAY_LEN(host_moves);
