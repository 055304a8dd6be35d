/*
 * VMLAUNCH and VMRESUME: copy, check, commit. "VM Entries". The current VMCS is cached, so the copy is already made;
 * the checks look at it and at nothing else of memory but the link pointer's revision.
 */
#include "vmx/vmx.h"

/* ---- events at the edge: VM-entry interruption information, IDT-vectoring information ---- */

/* Types 0 and 2 to 7 have the order of enum event_type with EV_EXT for 0. */
struct event vmx_event_from_info(u64 info, u32 error, unsigned len)
{
	unsigned type = (unsigned)bits(info, 10, 8);
	struct event e = {.type = (u8)(type ? type : EV_EXT), .vector = (u8)info, .has_error = (info & BIT(11)) != 0};

	e.error = e.has_error ? error : 0;
	if (e.type == EV_SW || e.type == EV_PRIVSW || e.type == EV_SWEX)
		e.insn_len = (u8)len;
	return e;
}

u64 vmx_info_from_event(const struct event *e)
{
	if (e->type == EV_NONE)
		return 0;
	return e->vector | (u64)(e->type == EV_EXT ? 0 : e->type) << 8 | (e->has_error ? BIT(11) : 0) | BIT(31);
}

/* ---- MSR areas ---- */

u32 vmx_load_msrs(struct cpu *c, u64 addr, u32 count)
{
	for (u32 n = 0; n < count; n++) {
		if (n == VMX_MSR_LIST_MAX)
			return n + 1;

		u64 index = cpu_read_u64(c, BY_VIRT, addr + 16ull * n);
		struct vmx_msr_entry e = {.index = (u32)index, .reserved = (u32)(index >> 32), .accepted = true};
		const struct vmx_msr_check *k;

		e.smm = c->smm;
		e.value = cpu_read_u64(c, BY_VIRT, addr + 16ull * n + 8);
		k = vmx_msr_refused(&e);
		if (!k && !msr_write(c, e.index, e.value)) {
			e.accepted = false;
			k = vmx_msr_refused(&e);
		}
		if (k) {
			vmx_explain_msr(c, k, n + 1, &e);
			return n + 1;
		}
	}
	return 0;
}

/* ---- "Loading Guest State" ---- */

static void load_segments(struct cpu *c, const struct vmx *v)
{
	for (unsigned s = SEG_ES; s < SEG_COUNT; s++) {
		c->seg[s].sel = (u16)vmcs_get(v, VMCS_GUEST_ES_SEL + 2 * s);
		c->seg[s].ar = (u32)vmcs_get(v, VMCS_GUEST_ES_AR + 2 * s) & 0x1f0ff; /* unusable ones are not checked */
		c->seg[s].limit = (u32)vmcs_get(v, VMCS_GUEST_ES_LIMIT + 2 * s);
		c->seg[s].base = vmcs_get(v, VMCS_GUEST_ES_BASE + 2 * s);
	}
	c->gdtr.base = vmcs_get(v, VMCS_GUEST_GDTR_BASE);
	c->gdtr.limit = (u32)vmcs_get(v, VMCS_GUEST_GDTR_LIMIT);
	c->idtr.base = vmcs_get(v, VMCS_GUEST_IDTR_BASE);
	c->idtr.limit = (u32)vmcs_get(v, VMCS_GUEST_IDTR_LIMIT);
}

static void load_efer(struct cpu *c, const struct vmx *v, u64 entry)
{
	u64 lma = entry & ENTRY_GUEST64 ? EFER_LMA : 0;

	if (entry & ENTRY_LOAD_EFER) {
		c->efer = vmcs_get(v, VMCS_GUEST_EFER);
		return;
	}
	c->efer = (c->efer & ~EFER_LMA) | lma;
	if (c->cr0 & CR0_PG)
		c->efer = (c->efer & ~EFER_LME) | (lma ? EFER_LME : 0);
}

/* "Loading Guest Control Registers, Debug Registers, and MSRs": ET, CD, NW and the reserved bits of CR0 stay. */
static void load_control_registers(struct cpu *c, const struct vmx *v, const u64 pdpte[4])
{
	const u64 kept = CR0_ET | CR0_NW | CR0_CD | mask(15, 6) | BIT(17) | mask(28, 19);
	u64 entry = vmcs_get(v, VMCS_ENTRY_CONTROLS);

	c->cr0 = (vmcs_get(v, VMCS_GUEST_CR0) & ~kept) | (c->cr0 & kept);
	c->cr3 = vmcs_get(v, VMCS_GUEST_CR3);
	c->cr4 = vmcs_get(v, VMCS_GUEST_CR4);
	memcpy(c->pdpte, pdpte, sizeof(c->pdpte));
	load_efer(c, v, entry);
	if (entry & ENTRY_LOAD_DEBUG) {
		c->dr7 = (vmcs_get(v, VMCS_GUEST_DR7) & 0xffff2fff) | DR7_RESET;
		c->debugctl = vmcs_get(v, VMCS_GUEST_DEBUGCTL);
	}
	if (entry & ENTRY_LOAD_PERF)
		(void)msr_write(c, 0x38f, vmcs_get(v, VMCS_GUEST_PERF_GLOBAL_CTRL));
	if (entry & ENTRY_LOAD_PAT)
		c->pat = vmcs_get(v, VMCS_GUEST_PAT);
	c->sysenter_cs = vmcs_get(v, VMCS_GUEST_SYSENTER_CS);
	c->sysenter_esp = vmcs_get(v, VMCS_GUEST_SYSENTER_ESP);
	c->sysenter_eip = vmcs_get(v, VMCS_GUEST_SYSENTER_EIP);
}

static void load_rest(struct cpu *c, const struct vmx *v)
{
	static const u8 activity[4] = {ACT_RUN, ACT_HLT, ACT_SHUTDOWN, ACT_WAIT_SIPI};
	u64 state = vmcs_get(v, VMCS_GUEST_INTERRUPTIBILITY);

	flags_set(c, (u32)vmcs_get(v, VMCS_GUEST_RFLAGS));
	c->r[REG_RIP] = vmcs_get(v, VMCS_GUEST_RIP);
	c->r[REG_RSP] = vmcs_get(v, VMCS_GUEST_RSP);
	c->cpl = (u8)(c->rflags & FL_VM ? 3 : ar_dpl(c->seg[SEG_SS].ar));
	c->shadow = (u8)((state & 1 ? SHADOW_STI : 0) | (state & 2 ? SHADOW_MOVSS : 0));
	c->nmi_blocked = (state & 8) != 0;
	c->activity = activity[vmcs_get(v, VMCS_GUEST_ACTIVITY) & 3];
	c->pending_db = 0;
	c->pend &= ~(u32)PEND_DB;
	c->monitor_addr = UINT64_MAX;
}

/* "Event Injection", or what was pending. */
static void inject_event(struct cpu *c, struct vmx *v)
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
static void image_pdptes(struct cpu *c, const struct vmx *v, u64 pdpte[4])
{
	bool pae = (vmcs_get(v, VMCS_GUEST_CR0) & CR0_PG) && (vmcs_get(v, VMCS_GUEST_CR4) & CR4_PAE) &&
	           !(vmcs_get(v, VMCS_ENTRY_CONTROLS) & ENTRY_GUEST64);
	u64 cr3 = vmcs_get(v, VMCS_GUEST_CR3) & 0xffffffe0;

	for (unsigned n = 0; n < 4 && pae; n++)
		pdpte[n] = vmx_proc2(v) & PROC2_EPT ? vmcs_get(v, VMCS_GUEST_PDPTE0 + 2 * n)
		                                    : cpu_read_u64(c, BY_VIRT, cr3 + 8 * n);
}

static void image_memory(struct cpu *c, const struct vmx *v, u64 *in)
{
	u64 link = vmcs_get(v, VMCS_LINK_POINTER), page = vmcs_get(v, VMCS_VIRTUAL_APIC_ADDR);

	if (link != VMCS_NONE && is_aligned(link, PAGE_SIZE) && !(link >> c->phys_bits))
		in[VMX_IN_LINK_WORD - VMX_IN] = cpu_read_u32(c, BY_VIRT, link);
	if ((vmcs_get(v, VMCS_PROC_CONTROLS) & PROC_TPR_SHADOW) && is_aligned(page, PAGE_SIZE) &&
	    !(page >> c->phys_bits))
		in[VMX_IN_VTPR - VMX_IN] = cpu_read_u32(c, BY_VIRT, page + 0x80) & 0xff;
	image_pdptes(c, v, &in[VMX_IN_PDPTE0 - VMX_IN]);
}

static void image_fill(struct cpu *c, bool resume, struct vmx_image *g)
{
	const struct vmx *v = vmx_of(c);

	*g = (struct vmx_image){.f = v->f, .caps = vmx_caps(c)};
	g->in[VMX_IN_LMA - VMX_IN] = long_mode(c);
	g->in[VMX_IN_SMM - VMX_IN] = c->smm;
	g->in[VMX_IN_MOVSS - VMX_IN] = (c->insn_shadow & SHADOW_MOVSS) != 0;
	g->in[VMX_IN_RESUME - VMX_IN] = resume;
	g->in[VMX_IN_LAUNCHED - VMX_IN] = v->launched != 0;
	g->in[VMX_IN_CURRENT - VMX_IN] = v->current;
	image_memory(c, v, g->in);
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
static enum xr entry_failure(struct cpu *c, unsigned reason, u64 qualification)
{
	struct vmx *v = vmx_of(c);
	u64 rip = vmcs_get(v, VMCS_GUEST_RIP);

	vmcs_set(v, VMCS_EXIT_REASON, reason | BIT(31));
	vmcs_set(v, VMCS_EXIT_QUALIFICATION, qualification);
	vmx_record_exit(c, reason | BIT(31), qualification, rip);
	c->exits++;
	vmx_load_host(c);
	return XR_OK;
}

static cold enum xr refuse(struct cpu *c, const struct insn *i, const struct vmx_image *g, const struct vmx_check *k)
{
	vmx_explain(c, g, k, insn_rip(c, i));
	if (k->outcome == VMX_EXIT_33)
		return entry_failure(c, 33, k->qualification);
	c->r[REG_RIP] = next_rip(c, i);
	return vmx_fail(c, k->outcome);
}

/* What the controls make pending or watched from the first instruction on. */
static void open_windows(struct cpu *c, struct vmx *v)
{
	u64 proc = vmcs_get(v, VMCS_PROC_CONTROLS);

	c->mtf = (proc & PROC_MTF) != 0;
	c->lock_exits = (vmx_proc2(v) & PROC2_BUS_LOCK) != 0;
	if (proc & PROC_INT_WINDOW)
		c->pend |= PEND_INTR_WINDOW;
	if (proc & PROC_NMI_WINDOW)
		c->pend |= PEND_NMI_WINDOW;
	v->ple_last = 0;
	vmx_timer_start(c);
}

static void commit(struct cpu *c, struct vmx *v, const u64 pdpte[4])
{
	load_control_registers(c, v, pdpte);
	load_segments(c, v);
	load_rest(c, v);
	vmx_compile_intercepts(c);
	c->guest = true;
	c->stage2 = (vmx_proc2(v) & PROC2_EPT) != 0;
	vmx_stage2_enter(c);
	c->pdpte_on_demand = false;
	if (!(vmx_proc2(v) & PROC2_VPID))
		vmx_flush_vpid(c, 0, false, false);
	vmx_apic_enter(c);
	open_windows(c, v);
	c->space = vmx_space(c); /* the context follows in cpu_update_mode() */
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

	image_fill(c, resume, &g);
	groups = groups_to_check(v, &g);
	k = groups ? vmx_check_next(&g, &row, groups) : NULL;
	if (unlikely(k))
		return refuse(c, i, &g, k);
	groups_passed(v, &g);
	v->entry_rip = insn_rip(c, i);
	commit(c, v, &g.in[VMX_IN_PDPTE0 - VMX_IN]);
	failed = vmx_load_msrs(c, vmcs_get(v, VMCS_ENTRY_MSR_LOAD_ADDR), (u32)vmcs_get(v, VMCS_ENTRY_MSR_LOAD_COUNT));
	if (failed) {
		c->nmi_blocked = nmi_blocked;
		return entry_failure(c, 34, failed);
	}
	v->launched = true;
	inject_event(c, v);
	c->attention = 1;
	if (c->hooks->vm_entry)
		c->hooks->vm_entry(c->hooks->arg, c);
	return XR_OK;
}
