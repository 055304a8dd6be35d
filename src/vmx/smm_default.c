/*
 * "Default Treatment of SMIs and SMM with VMX Operation and SMX Operation": an SMI takes the processor out of VMX
 * operation, RSM back into it. What the save-state map does not hold is kept in struct vmx; the current VMCS stays the
 * current one, since nothing in SMM can reach it.
 */
#include "vmx/vmx.h"

/* Of the save-state map, from FE00h on: "enable EPT" of the guest that was interrupted, and its EPT pointer. */
#define MAP_EPT_ENABLED 0xe0
#define MAP_EPTP        0xd8

static void save_ept(const struct cpu *c, const struct vmx *v, u8 *map)
{
	u32 enabled = c->guest && c->stage2;
	u64 eptp = vmcs_get(v, VMCS_EPTP);

	memcpy(map + MAP_EPT_ENABLED, &enabled, sizeof(enabled));
	if (enabled)
		memcpy(map + MAP_EPTP, &eptp, sizeof(eptp));
}

/* The timer goes on counting: what it has to say is said behind RSM. */
static void save_critical_state(const struct cpu *c, struct vmx *v)
{
	v->smi_cpl = (u8)ar_dpl(c->seg[SEG_SS].ar);
	v->smi_v86 = (c->rflags & FL_VM) != 0;
	v->smi_virtual_nmi = c->guest && vmx_virtual_nmis(v) && c->nmi_blocked;
	v->smi_mtf = (c->pend & PEND_MTF) != 0;
	memcpy(v->smi_pdpte, c->pdpte, sizeof(v->smi_pdpte));
}

void vmx_smm_enter(struct cpu *c, u8 *map)
{
	struct vmx *v = vmx_of(c);

	v->smi_vmxe = (c->cr4 & CR4_VMXE) != 0;
	v->smi_from = !c->virt_root ? VMX_SMI_OUTSIDE : c->guest ? VMX_SMI_GUEST : VMX_SMI_ROOT;
	save_ept(c, v, map);
	c->cr4 &= ~(u64)CR4_VMXE;
	vmx_flush_vpid(c, 0, false, false);
	if (!c->virt_root)
		return;
	save_critical_state(c, v);
	cpu_guest_ends(c);
	vmx_guest_end(c);
	c->virt_root = false;
}

/* ---- RSM ---- */

static void restore_critical_state(struct cpu *c, const struct vmx *v)
{
	c->rflags = (c->rflags & ~(u32)FL_VM) | (v->smi_v86 ? FL_VM : 0);
	c->seg[SEG_SS].ar = (c->seg[SEG_SS].ar & ~(u32)AR_DPL) | (u32)v->smi_cpl << 5;
	c->cpl = v->smi_v86 ? 3 : v->smi_cpl;
}

/* "set to their fixed values any bits in CR0 and CR4 whose values must be fixed in VMX operation": an unrestricted guest
 * keeps its PE and PG. */
static void force_fixed_bits(struct cpu *c, bool unrestricted)
{
	c->cr0 |= VMX_CR0_FIXED0 & ~(unrestricted ? CR0_PE | CR0_PG : 0);
	c->cr4 |= VMX_CR4_FIXED0;
	if ((c->rflags & FL_VM) || unrestricted)
		return;
	c->seg[SEG_CS].sel = (u16)((c->seg[SEG_CS].sel & ~3u) | c->cpl);
	c->seg[SEG_SS].sel = (u16)((c->seg[SEG_SS].sel & ~3u) | c->cpl);
}

static void back_into_guest(struct cpu *c, struct vmx *v)
{
	vmx_guest_begin(c);
	if (c->stage2)
		memcpy(c->pdpte, v->smi_pdpte, sizeof(c->pdpte));
	if (vmx_virtual_nmis(v))
		c->nmi_blocked = v->smi_virtual_nmi;
	if (v->smi_mtf)
		cpu_raise(c, PEND_MTF);
	if (v->preempt_end != ~0ull && !v->preempt.armed)
		cpu_raise(c, PEND_PREEMPT);
}

/* What an SMI had kept is nobody's state any more. */
static void forget(struct vmx *v)
{
	v->smi_vmxe = v->smi_v86 = v->smi_virtual_nmi = v->smi_mtf = false;
	v->smi_cpl = 0;
	memset(v->smi_pdpte, 0, sizeof(v->smi_pdpte));
}

static void back_into_operation(struct cpu *c, struct vmx *v, u8 from)
{
	c->virt_root = true;
	restore_critical_state(c, v);
	force_fixed_bits(c, from == VMX_SMI_GUEST && (vmx_proc2(v) & PROC2_UNRESTRICTED));
	if (from == VMX_SMI_GUEST)
		back_into_guest(c, v);
	if (cpu_sees(c)->a20_masked)
		tlb_flush_all(c); /* A20M is blocked again */
}

bool vmx_smm_leave(struct cpu *c, const u8 *map)
{
	struct vmx *v = vmx_of(c);
	u8 from = v->smi_from;

	(void)map;
	if (c->cr4 & CR4_VMXE)
		return false;
	vmx_flush_vpid(c, 0, true, false);
	vmx_flush_vpid(c, 0, false, false);
	v->smi_from = VMX_SMI_OUTSIDE;
	c->cr4 |= v->smi_vmxe ? CR4_VMXE : 0;
	if (from != VMX_SMI_OUTSIDE)
		back_into_operation(c, v, from);
	forget(v);
	return true;
}

/* "Operation of the SMM-Transfer Monitor": it returns by a VM entry. In its guests RSM exits. */
enum xr vmx_smm_rsm(struct cpu *c, const struct insn *i)
{
	(void)i;
	return c->virt_root ? fault_ud(c) : XR_OK;
}
