/*
 * "VM Entries that Return from SMM": the SMM-transfer monitor goes back to what it was called from, the executive monitor in
 * root operation or its guest. Like vmx_enter(): copy, check, commit; but there are two VMCSs.
 */
#include "cpu/control/smm.h"
#include "vmx/vmx.h"

/* ---- what the checks look at ---- */

/* Fields of type 0 that control VM exits and VM entries; the others control VM execution. */
static bool is_execution(u32 encoding)
{
	switch (encoding) {
	case VMCS_EXIT_MSR_STORE_ADDR:
	case VMCS_EXIT_MSR_LOAD_ADDR:
	case VMCS_ENTRY_MSR_LOAD_ADDR:
	case VMCS_EXECUTIVE_VMCS:
	case VMCS_EXIT_CONTROLS:
	case VMCS_EXIT2_CONTROLS:
	case VMCS_EXIT_MSR_STORE_COUNT:
	case VMCS_EXIT_MSR_LOAD_COUNT:
	case VMCS_ENTRY_CONTROLS:
	case VMCS_ENTRY_MSR_LOAD_COUNT:
	case VMCS_ENTRY_INTR_INFO:
	case VMCS_ENTRY_ERROR_CODE:
	case VMCS_ENTRY_INSN_LEN: return false;
	default: return !(encoding >> 10 & 3);
	}
}

/* "performed as if all relevant VM-execution controls were 0": bits that must be 1 say nothing. */
void vmx_image_merge(u64 out[VMCS_SLOTS], const u64 *current, const u64 *executive, const struct vmx_caps *caps)
{
	memcpy(out, current, VMCS_SLOTS * sizeof(*out));
	for (size_t n = 0; n < vmcs_field_count; n++) {
		const unsigned slot = vmcs_slot(vmcs_fields[n].encoding);

		if (is_execution(vmcs_fields[n].encoding))
			out[slot] = executive ? executive[slot] : 0;
	}
	if (!executive) {
		out[vmcs_slot(VMCS_PIN_CONTROLS)] = caps->required1[VMX_PIN];
		out[vmcs_slot(VMCS_PROC_CONTROLS)] = caps->required1[VMX_PROC];
	}
}

/* The current VMCS and the one at its executive-VMCS pointer, if there is any. */
static void fill(struct cpu *c, bool resume, u64 merged[VMCS_SLOTS], struct vmx_image *g)
{
	const struct vmx *v = vmx_of(c);
	const u64 pa = vmcs_get(v, VMCS_EXECUTIVE_VMCS);
	const bool there = is_aligned(pa, PAGE_SIZE) && !(pa >> c->phys_bits);
	const bool root = pa == v->vmxon_pa;
	u64 executive[VMCS_SLOTS] = {0};
	bool launched = false;

	if (there && !root)
		vmx_region_peek(c, pa, executive, &launched);
	vmx_image_merge(merged, v->f, root ? NULL : executive, vmx_caps(c));
	vmx_image_fill(c, merged, resume, g);
	if (!there)
		return;
	g->in[VMX_IN_EXEC_WORD - VMX_IN] = cpu_read_u32(c, BY_VIRT, pa);
	g->in[VMX_IN_EXEC_LAUNCHED - VMX_IN] = launched;
	g->in[VMX_IN_EXEC_EXIT - VMX_IN] = executive[vmcs_slot(VMCS_EXIT_CONTROLS)];
}

/* ---- commit ---- */

/* Of the VMCS that is left, what the one that is entered goes on with. */
struct carried {
	u64 timer, interrupt_status, pml_index, link, executive, blocking, smbase;
	bool deactivates;
};

static struct carried carried_from(const struct vmx *v)
{
	return (struct carried){
	        .timer = vmcs_get(v, VMCS_PREEMPTION_TIMER),
	        .interrupt_status = vmcs_get(v, VMCS_GUEST_INT_STATUS),
	        .pml_index = vmcs_get(v, VMCS_PML_INDEX),
	        .link = vmcs_get(v, VMCS_LINK_POINTER),
	        .executive = vmcs_get(v, VMCS_EXECUTIVE_VMCS),
	        .blocking = vmcs_get(v, VMCS_GUEST_INTERRUPTIBILITY),
	        .smbase = vmcs_get(v, VMCS_GUEST_SMBASE),
	        .deactivates = (vmcs_get(v, VMCS_ENTRY_CONTROLS) & ENTRY_NO_DUAL) != 0,
	};
}

/* "Updating the Current-VMCS and SMM-Transfer VMCS Pointers" */
static void change_vmcs(struct cpu *c, const struct carried *k)
{
	struct vmx *v = vmx_of(c);
	const bool root = k->executive == v->vmxon_pa;
	const u64 next = root ? k->link : k->executive;

	if (k->deactivates)
		v->dual = false;
	else
		v->transfer = v->current;
	vmx_shadow_leave(c, v->shadow);
	vmx_region_leave(c);
	if (next != VMCS_NONE)
		vmx_region_enter(c, next, false);
	if (root)
		return;
	vmcs_set(v, VMCS_GUEST_INT_STATUS, k->interrupt_status);
	vmcs_set(v, VMCS_PML_INDEX, k->pml_index);
}

/* "SMI Blocking"; there is no SMX operation. */
static void leave_smm(struct cpu *c, const struct carried *k)
{
	smm_set(c, false);
	c->smbase = k->smbase;
	c->smi_blocked = !k->deactivates && (k->blocking & 4);
	vmx_flush_vpid(c, 0, true, false);
	vmx_flush_vpid(c, 0, false, false);
}

/* "VMX-Preemption Timer": with the value of the VMCS that is left. */
static void enter_guest(struct cpu *c, const struct carried *k)
{
	vmx_guest_begin(c);
	vmx_of(c)->ple_last = 0;
	vmx_timer_start(c, k->timer);
}

/* The list is the monitor's, and the explanation of a refused entry of it a guest's. */
static u32 load_msrs(struct cpu *c)
{
	u32 failed;

	c->guest = true;
	failed = vmx_msr_area(c, VMCS_ENTRY_MSR_LOAD_ADDR, VMCS_ENTRY_MSR_LOAD_COUNT, vmx_load_msrs);
	c->guest = false;
	return failed;
}

enum xr vmx_smm_return(struct cpu *c, const struct insn *i, bool resume)
{
	struct vmx *v = vmx_of(c);
	const bool nmi_blocked = c->nmi_blocked;
	u64 merged[VMCS_SLOTS];
	struct vmx_image g;
	const struct vmx_check *failing;
	struct carried k;
	size_t row = 0;
	u32 failed;

	fill(c, resume, merged, &g);
	failing = vmx_check_next(&g, &row, vmx_check_apply(&g));
	if (failing)
		return vmx_refuse(c, i, &g, failing);
	v->entry_rip = insn_rip(c, i);
	vmx_guest_load(c, &g.in[VMX_IN_PDPTE0 - VMX_IN]);
	c->pend &= ~(u32)PEND_DB;
	c->monitor_addr = UINT64_MAX;
	cpu_update_mode(c);
	failed = load_msrs(c);
	if (failed) {
		c->nmi_blocked = nmi_blocked;
		return vmx_entry_failure(c, 34, failed);
	}
	v->launched = true;
	vmx_diary_entry(v->diary);
	vmx_inject(c, v);
	k = carried_from(v);
	change_vmcs(c, &k);
	leave_smm(c, &k);
	if (k.executive != v->vmxon_pa)
		enter_guest(c, &k);
	else
		v->injecting = false;
	cpu_update_mode(c);
	cpu_recheck(c);
	if (c->guest)
		recent_event(c, RECENT_ENTRY, &c->inject);
	if (c->guest && c->hooks->vm_entry)
		c->hooks->vm_entry(c->hooks->arg, c);
	return XR_OK;
}
