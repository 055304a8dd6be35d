/*
 * VMLAUNCH and VMRESUME: copy, check, commit. "VM Entries". The current VMCS is cached, so the copy is already made;
 * the checks look at it and at nothing else of memory but the link pointer's revision.
 */
#include "cpu/state/watch.h"
#include "vmx/vmx.h"

/* "Event Injection", or what was pending. */
static inlined void inject(struct cpu *c, struct vmx *v)
{
	u64 info = vmcs_get(v, VMCS_ENTRY_INTR_INFO), pending = vmcs_get(v, VMCS_GUEST_PENDING_DEBUG);
	bool movss = (c->shadow & SHADOW_MOVSS) != 0;

	c->inject.type = EV_NONE;
	v->injecting = false;
	bool vectoring = (info & BIT(31)) && bits(info, 10, 8) != 7;

	if ((info & BIT(31)) && !vectoring)
		cpu_raise(c, PEND_MTF); /* "pending MTF VM exit": not delivered through the IDT */
	if (vectoring) {
		c->inject = vmx_event_from_info(info, (u32)vmcs_get(v, VMCS_ENTRY_ERROR_CODE),
		                                (unsigned)vmcs_get(v, VMCS_ENTRY_INSN_LEN));
		if (c->inject.type == EV_HW && c->inject.vector == EX_PF)
			c->inject.payload = c->cr2; /* injection leaves CR2, DR6 and DR7 as software set them */
		if (c->inject.vector == EX_DB && c->inject.type == EV_HW)
			c->inject.payload = EVENT_DB_BARE;
		v->injecting = c->inject.type == EV_HW || c->inject.type == EV_SWEX || c->inject.type == EV_PRIVSW;
		if (c->inject.type == EV_NMI)
			c->nmi_blocked = true;
		c->activity = ACT_RUN;
		c->shadow = 0;
		/* "Delivery of Pending Debug Exceptions after VM Entry": as if INT n stood behind MOV SS */
		if (movss && (c->inject.type == EV_SW || c->inject.type == EV_SWEX) && (pending & (DR6_BLD | BIT(12)))) {
			c->pending_db = pending & (DR6_BLD | 0xf);
			cpu_raise(c, PEND_DB);
		}
	} else if (pending & (DR6_BS | DR6_BLD | BIT(12))) {
		c->pending_db = pending & (DR6_BS | DR6_BLD | 0xf);
		cpu_raise(c, PEND_DB);
	}
}

/* ---- what the checks look at ---- */

/* "Checks on Guest Page-Directory-Pointer-Table Entries": from the VMCS with EPT, otherwise from memory. */
#define F(name) (f[vmcs_slot(VMCS_##name)])
static inlined void image_pdptes(struct cpu *c, const u64 *f, u64 pdpte[4])
{
	bool pae = (F(GUEST_CR0) & CR0_PG) && (F(GUEST_CR4) & CR4_PAE) && !(F(ENTRY_CONTROLS) & ENTRY_GUEST64);
	bool ept = (F(PROC_CONTROLS) & PROC_SECONDARY) && (F(PROC2_CONTROLS) & PROC2_EPT);
	u64 cr3 = F(GUEST_CR3) & 0xffffffe0;

	for (unsigned n = 0; n < 4 && pae; n++)
		pdpte[n] = ept ? f[vmcs_slot(VMCS_GUEST_PDPTE0) + n] : cpu_read_u64(c, BY_VIRT, cr3 + 8 * n);
}

static inlined void image_memory(struct cpu *c, const u64 *f, u64 *in)
{
	u64 link = F(LINK_POINTER), page = F(VIRTUAL_APIC_ADDR);

	if (link != VMCS_NONE && is_aligned(link, PAGE_SIZE) && !(link >> c->phys_bits))
		in[VMX_IN_LINK_WORD - VMX_IN] = cpu_read_u32(c, BY_VIRT, link);
	if ((F(PROC_CONTROLS) & PROC_TPR_SHADOW) && is_aligned(page, PAGE_SIZE) && !(page >> c->phys_bits))
		in[VMX_IN_VTPR - VMX_IN] = cpu_read_u32(c, BY_VIRT, page + 0x80) & 0xff;
	image_pdptes(c, f, &in[VMX_IN_PDPTE0 - VMX_IN]);
}
#undef F

static inlined void image_fill(struct cpu *c, const u64 *f, bool resume, struct vmx_image *g)
{
	const struct vmx *v = vmx_of(c);

	*g = (struct vmx_image){.f = f, .caps = vmx_caps(c)};
	g->in[VMX_IN_LMA - VMX_IN] = long_mode(c);
	g->in[VMX_IN_SMM - VMX_IN] = c->smm;
	g->in[VMX_IN_MOVSS - VMX_IN] = (c->insn_shadow & SHADOW_MOVSS) != 0;
	g->in[VMX_IN_RESUME - VMX_IN] = resume;
	g->in[VMX_IN_LAUNCHED - VMX_IN] = v->launched != 0;
	g->in[VMX_IN_CURRENT - VMX_IN] = v->current;
	g->in[VMX_IN_VMXON - VMX_IN] = v->vmxon_pa;
	image_memory(c, f, g->in);
}

/* Groups to look at: those that apply, less those that passed before and of whose fields nothing has changed since. An
 * exit that leaves the mode changed has written fields that stand against others. */
static u32 groups_to_check(struct vmx *v, const struct vmx_image *g)
{
	if (v->checked_entry != vmcs_get(v, VMCS_ENTRY_CONTROLS) || v->checked_cr0 != vmcs_get(v, VMCS_GUEST_CR0) ||
	    v->checked_lma != g->in[VMX_IN_LMA - VMX_IN])
		v->checked = 0;
	/* SYSCALL takes SS from IA32_STAR as it is */
	if ((vmcs_get(v, VMCS_GUEST_SS_SEL) ^ vmcs_get(v, VMCS_GUEST_CS_SEL)) & 3)
		v->checked &= (u16) ~(1u << VMX_GROUP_SEGMENT);
	return vmx_check_apply(g) & ~(u32)v->checked;
}

static void groups_passed(struct vmx *v, const struct vmx_image *g)
{
	if (!v->checked)
		vmx_check_readers(v->readers);
	v->checked = (u16)(((1u << VMX_GROUPS) - 1) & ~VMX_GROUPS_EACH_ENTRY);
	v->checked_entry = vmcs_get(v, VMCS_ENTRY_CONTROLS);
	v->checked_cr0 = vmcs_get(v, VMCS_GUEST_CR0);
	v->checked_lma = g->in[VMX_IN_LMA - VMX_IN] != 0;
}

/* ---- outcomes ---- */

/* "VM-Entry Failures During or After Loading Guest State": only reason and qualification are written. */
enum xr vmx_entry_failure(struct cpu *c, unsigned reason, u64 qualification)
{
	struct vmx *v = vmx_of(c);
	u64 rip = vmcs_get(v, VMCS_GUEST_RIP);

	vmcs_set(v, VMCS_EXIT_REASON, reason | BIT(31));
	vmcs_set(v, VMCS_EXIT_QUALIFICATION, qualification);
	if (unlikely(c->watch)) {
		vmx_watch_written(c, VMCS_EXIT_REASON);
		vmx_watch_written(c, VMCS_EXIT_QUALIFICATION);
	}
	vmx_record_exit(c, reason | BIT(31), qualification, rip);
	c->exits++;
	vmx_load_host(c);
	return XR_OK;
}

cold enum xr vmx_refuse(struct cpu *c, const struct insn *i, const struct vmx_image *g, const struct vmx_check *k)
{
	vmx_explain(c, g, k, insn_rip(c, i));
	if (k->outcome == VMX_EXIT_33)
		return vmx_entry_failure(c, 33, quirk(c, QUIRK_VMX_FIRST) ? 0 : k->qualification); /* 2004 has none: ERRATA E203 */
	c->r[REG_RIP] = next_rip(c, i);
	return vmx_fail(c, vmx_check_outcome(g, k));
}

/* What the controls make pending or watched from the first instruction on. */
static void open_windows(struct cpu *c, const struct vmx *v)
{
	u64 proc = vmcs_get(v, VMCS_PROC_CONTROLS);

	c->mtf = (proc & PROC_MTF) != 0;
	c->lock_exits = (vmx_proc2(v) & PROC2_BUS_LOCK) != 0;
	if (proc & PROC_INT_WINDOW)
		c->pend |= PEND_INTR_WINDOW;
	if (proc & PROC_NMI_WINDOW)
		c->pend |= PEND_NMI_WINDOW;
}

static inlined void guest_begin(struct cpu *c)
{
	const struct vmx *v = vmx_of(c);

	vmx_compile_intercepts(c);
	c->guest = true;
	c->stage2 = (vmx_proc2(v) & PROC2_EPT) != 0;
	vmx_stage2_enter(c);
	c->pdpte_on_demand = false;
	vmx_apic_enter(c);
	open_windows(c, v);
	c->space = vmx_space(c); /* the context follows in cpu_update_mode() */
}

static void commit(struct cpu *c, struct vmx *v, const u64 pdpte[4])
{
	if (unlikely(quirk(c, QUIRK_VMX_FIRST)))
		vmx_first_guest_load(c, pdpte);
	else
		vmx_guest_load(c, pdpte);
	c->pend &= ~(u32)PEND_DB;
	c->monitor_addr = UINT64_MAX;
	if (!(vmx_proc2(v) & PROC2_VPID))
		vmx_flush_vpid(c, 0, false, false);
	guest_begin(c);
	v->ple_last = 0;
	vmx_timer_start(c, vmcs_get(v, VMCS_PREEMPTION_TIMER));
	cpu_update_mode(c);
}

/* ---- the page this file is about ---- */

enum xr vmx_enter(struct cpu *c, const struct insn *i, bool resume)
{
	struct vmx *v = vmx_of(c);
	struct vmx_image g;
	const struct vmx_check *k;
	size_t row = 0;
	u32 failed, groups;
	bool nmi_blocked = c->nmi_blocked;

	if (unlikely(c->watch))
		vmx_watch_read_by_entry(c, i, resume);
	image_fill(c, v->f, resume, &g);
	groups = groups_to_check(v, &g);
	k = groups ? vmx_check_next(&g, &row, groups) : NULL;
	if (unlikely(k))
		return vmx_refuse(c, i, &g, k);
	groups_passed(v, &g);
	v->entry_rip = insn_rip(c, i);
	if (unlikely(c->watch))
		vmx_watch_entering(c);
	commit(c, v, &g.in[VMX_IN_PDPTE0 - VMX_IN]);
	failed = vmx_msr_area(c, VMCS_ENTRY_MSR_LOAD_ADDR, VMCS_ENTRY_MSR_LOAD_COUNT, vmx_load_msrs);
	if (failed) {
		c->nmi_blocked = nmi_blocked;
		return vmx_entry_failure(c, 34, failed);
	}
	v->launched = true;
	vmx_diary_entry(v->diary);
	inject(c, v);
	c->attention = 1;
	if (unlikely(c->watch))
		vmx_watch_entered(c);
	recent_event(c, RECENT_ENTRY, &c->inject);
	if (c->hooks->vm_entry)
		c->hooks->vm_entry(c->hooks->arg, c);
	return XR_OK;
}

/* ---- for returns from SMM, and RSM. MEASURED: the steps are built into vmx_enter(). ---- */

cold void vmx_image_fill(struct cpu *c, const u64 *f, bool resume, struct vmx_image *g)
{
	image_fill(c, f, resume, g);
}

cold void vmx_inject(struct cpu *c, struct vmx *v)
{
	inject(c, v);
}

cold void vmx_guest_begin(struct cpu *c)
{
	guest_begin(c);
}
