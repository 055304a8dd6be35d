/* VM exits: what is recorded, the guest state that is saved, the host state that is loaded. "VM Exits". */
#include "vmx/vmx.h"

void vmx_record_exit(struct cpu *c, u64 reason, u64 qualification, u64 rip)
{
	struct exit_record *e = &c->lastexit[c->lastexit_n++ % ARRAY_LEN(c->lastexit)];

	*e = (struct exit_record){
	        .code = reason,
	        .name = vmx_reason_name((unsigned)reason & 0xffff),
	        .info = {qualification, 0},
	        .guest = vmx_of(c)->current,
	        .rip = rip,
	};
	if (c->hooks->vm_exit)
		c->hooks->vm_exit(c->hooks->arg, c, e);
}

static cold void shut_down(struct cpu *c)
{
	if (c->hooks->death)
		c->hooks->death(c->hooks->arg, c);
	c->activity = ACT_SHUTDOWN;
	c->stop = CPU_STOP_SHUTDOWN;
}

/* "VMX Aborts" */
cold void vmx_abort(struct cpu *c, u32 indicator)
{
	cpu_write_u32(c, BY_VIRT, vmx_of(c)->current + VMCS_REGION_ABORT, indicator);
	shut_down(c);
}

/* ---- "Recording VM-Exit Information and Updating VM-entry Control Fields" ---- */

/* An external interrupt is acknowledged only on demand; an NMI or INIT that exits is consumed by the exit. */
static struct event exiting_event(struct cpu *c, const struct exit_request *x)
{
	struct event e = x->event;
	int vector;

	if (x->id == ICPT_NMI) {
		c->pend &= ~(u32)PEND_NMI;
		return (struct event){.type = EV_NMI, .vector = EX_NMI};
	}
	if (x->id == ICPT_INIT)
		c->pend &= ~(u32)PEND_INIT;
	if (x->id == ICPT_INTR && e.type == EV_NONE && (vmcs_get(vmx_of(c), VMCS_EXIT_CONTROLS) & EXIT_ACK_INT)) {
		vector = cpu_intr_ack(c);
		if (vector >= 0)
			return (struct event){.type = EV_EXT, .vector = (u8)vector};
	}
	return e;
}

static u64 insn_length(const struct exit_request *x, const struct vmx_exit_row *row)
{
	if (x->event.type == EV_SW || x->event.type == EV_SWEX || x->event.type == EV_PRIVSW)
		return x->event.insn_len;
	if (x->vectoring.type == EV_SW || x->vectoring.type == EV_SWEX || x->vectoring.type == EV_PRIVSW)
		return x->vectoring.insn_len;
	return row && row->length && x->insn ? x->insn->len : 0;
}

/* "Information for VM Exits That Occur During Event Delivery": a double or triple fault is no such exit. */
static struct event original_event(const struct exit_request *x)
{
	if (x->id == ICPT_SHUTDOWN || x->id == ICPT_EXC + EX_DF)
		return (struct event){.type = EV_NONE};
	return x->vectoring;
}

/* Real-address mode pushes no error code. */
static u64 event_info(const struct cpu *c, const struct event *e)
{
	return vmx_info_from_event(e) & ~(real_mode(c) ? BIT(11) : 0);
}

/* "NMI unblocking due to IRET" */
static void record_unblocking(struct cpu *c, const struct exit_request *x)
{
	struct vmx *v = vmx_of(c);
	u64 pin = vmcs_get(v, VMCS_PIN_CONTROLS);

	if (!c->iret_unblocked || x->vectoring.type != EV_NONE || (pin & (PIN_NMI | PIN_VIRTUAL_NMI)) == PIN_NMI)
		return;
	if (x->id >= ICPT_EXC && x->id < ICPT_EXC + 32 && x->id != ICPT_EXC + EX_DF)
		vmcs_set(v, VMCS_EXIT_INTR_INFO, vmcs_get(v, VMCS_EXIT_INTR_INFO) | BIT(12));
	if (x->id == ICPT_STAGE2 || x->id == ICPT_PML_FULL || x->id == ICPT_SPP)
		vmcs_set(v, VMCS_EXIT_QUALIFICATION, vmcs_get(v, VMCS_EXIT_QUALIFICATION) | BIT(12));
}

#define BUS_LOCK_ASSERTED BIT(26) /* "Basic VM-Exit Information": by whatever the exit is caused */

/* Undefined where an access exits and not the instruction: 0 then. */
static u64 insn_information(struct cpu *c, const struct exit_request *x)
{
	if (x->id == ICPT_IOIO)
		return has(c, FEAT_VMX_INS_OUTS) ? x->q[1] : 0;
	return x->insn && x->id != ICPT_STAGE2 ? vmx_insn_info(c, x->insn) : 0;
}

static u64 record(struct cpu *c, const struct exit_request *x)
{
	struct vmx *v = vmx_of(c);
	const struct vmx_exit_row *row = vmx_exit_row(x->id);
	u64 reason = row ? row->reason : 0;
	struct event e = exiting_event(c, x), original = original_event(x);

	if (x->id == ICPT_MSR)
		reason += x->q[1]; /* 31 RDMSR, 32 WRMSR */
	if (c->bus_lock)
		reason |= BUS_LOCK_ASSERTED;
	vmcs_set(v, VMCS_EXIT_REASON, reason);
	vmcs_set(v, VMCS_EXIT_QUALIFICATION, mode64(c) ? x->q[0] : (u32)x->q[0]); /* addresses have 32 bits */
	vmcs_set(v, VMCS_GUEST_LINEAR, x->has_linear ? x->linear : 0);
	vmcs_set(v, VMCS_GUEST_PHYSICAL, x->gpa);
	vmcs_set(v, VMCS_EXIT_INTR_INFO, event_info(c, &e));
	vmcs_set(v, VMCS_EXIT_INTR_ERROR, e.error);
	vmcs_set(v, VMCS_IDT_VECTORING, event_info(c, &original));
	vmcs_set(v, VMCS_IDT_VECTORING_ERROR, original.error);
	record_unblocking(c, x);
	vmcs_set(v, VMCS_EXIT_INSN_LEN, insn_length(x, row));
	vmcs_set(v, VMCS_EXIT_INSN_INFO, insn_information(c, x));
	if (x->id == ICPT_IOIO && x->has_linear) {
		vmcs_set(v, VMCS_IO_RCX, c->r[REG_RCX]);
		vmcs_set(v, VMCS_IO_RSI, c->r[REG_RSI]);
		vmcs_set(v, VMCS_IO_RDI, c->r[REG_RDI]);
		vmcs_set(v, VMCS_IO_RIP, c->r[REG_RIP]);
	}
	vmcs_set(v, VMCS_ENTRY_INTR_INFO, vmcs_get(v, VMCS_ENTRY_INTR_INFO) & ~BIT(31));
	return reason;
}

/* ---- "Saving Guest State" ---- */

static void save_segments(struct cpu *c, struct vmx *v)
{
	for (unsigned s = SEG_ES; s < SEG_COUNT; s++) {
		vmcs_set(v, VMCS_GUEST_ES_SEL + 2 * s, c->seg[s].sel);
		vmcs_set(v, VMCS_GUEST_ES_AR + 2 * s, c->seg[s].ar & 0x1f0ff);
		vmcs_set(v, VMCS_GUEST_ES_LIMIT + 2 * s, c->seg[s].limit);
		vmcs_set(v, VMCS_GUEST_ES_BASE + 2 * s, c->seg[s].base);
	}
	vmcs_set(v, VMCS_GUEST_GDTR_BASE, c->gdtr.base);
	vmcs_set(v, VMCS_GUEST_GDTR_LIMIT, c->gdtr.limit);
	vmcs_set(v, VMCS_GUEST_IDTR_BASE, c->idtr.base);
	vmcs_set(v, VMCS_GUEST_IDTR_LIMIT, c->idtr.limit);
}

static void save_msrs(struct cpu *c, struct vmx *v)
{
	u64 exit = vmcs_get(v, VMCS_EXIT_CONTROLS), entry = vmcs_get(v, VMCS_ENTRY_CONTROLS);

	if (exit & EXIT_SAVE_DEBUG) {
		vmcs_set(v, VMCS_GUEST_DR7, c->dr7);
		vmcs_set(v, VMCS_GUEST_DEBUGCTL, c->debugctl);
	}
	if (exit & EXIT_SAVE_PAT)
		vmcs_set(v, VMCS_GUEST_PAT, c->pat);
	if (exit & EXIT_SAVE_EFER)
		vmcs_set(v, VMCS_GUEST_EFER, c->efer);
	vmcs_set(v, VMCS_GUEST_SYSENTER_CS, c->sysenter_cs);
	vmcs_set(v, VMCS_GUEST_SYSENTER_ESP, c->sysenter_esp);
	vmcs_set(v, VMCS_GUEST_SYSENTER_EIP, c->sysenter_eip);
	if (has(c, FEAT_VMX_STORE_LMA))
		vmcs_set(v, VMCS_ENTRY_CONTROLS, (entry & ~(u64)ENTRY_GUEST64) | (long_mode(c) ? ENTRY_GUEST64 : 0));
}

/* "Saving RIP, RSP, RFLAGS, and SSP": RF as a delivery of the event would push it; 1 where the instruction is to run
 * again, 0 behind an instruction that exits by design. */
static u64 saved_flags(struct cpu *c, const struct exit_request *x)
{
	u64 fl = flags_get(c);
	const struct event *e = x->vectoring.type != EV_NONE && x->event.type == EV_NONE ? &x->vectoring : &x->event;
	bool software = e->type == EV_SW || e->type == EV_SWEX || e->type == EV_PRIVSW;
	bool restarts = x->id == ICPT_APIC_ACCESS || x->id == ICPT_STAGE2 || x->id == ICPT_STAGE2_MISCONFIG ||
	                x->id == ICPT_PML_FULL || x->id == ICPT_SPP;

	if (software && e == &x->event)
		return fl & ~(u64)FL_RF;
	if (e->type != EV_NONE)
		return c->push_rf && e->type == EV_HW && (e->vector != EX_DB || (e->payload & DR6_BD)) ? fl | FL_RF : fl;
	if (restarts)
		return fl | FL_RF;
	return x->insn ? fl & ~(u64)FL_RF : fl;
}

/* "Saving Non-Register State": which exits keep what was pending. */
static u64 saved_pending_debug(const struct cpu *c, const struct exit_request *x)
{
	u64 hits = (c->pending_db | c->held_db) & (DR6_BS | DR6_BLD | 0xf);
	bool kept;

	switch (x->id) {
	case ICPT_INIT: case ICPT_SMI: case ICPT_TPR_THRESHOLD: case ICPT_VIRTUAL_EOI: case ICPT_APIC_WRITE: case ICPT_MTF:
	case ICPT_BUSLOCK:
	case ICPT_EXC + EX_MC: kept = true; break;
	default: kept = (c->shadow & SHADOW_MOVSS) && x->id != ICPT_EXC + EX_DB; break;
	}
	/* Entry with TF asks for BS under blocking by MOV SS: without it no monitor could go on from here. ERRATA E88 */
	if ((c->shadow & SHADOW_MOVSS) && (c->rflags & FL_TF) && !(c->debugctl & DEBUGCTL_BTF))
		hits |= DR6_BS;
	if (!kept || !hits)
		return 0;
	return hits | (hits & 0xf ? BIT(12) : 0);
}

static u64 saved_activity(const struct exit_request *x)
{
	switch (x->activity) {
	case ACT_HLT: return 1;
	case ACT_SHUTDOWN: return 2;
	case ACT_WAIT_SIPI: return 3;
	default: return 0;
	}
}

static void save_guest(struct cpu *c, struct vmx *v, const struct exit_request *x)
{
	bool pae = (c->cr0 & CR0_PG) && (c->cr4 & CR4_PAE) && !long_mode(c);

	vmcs_set(v, VMCS_GUEST_CR0, c->cr0);
	vmcs_set(v, VMCS_GUEST_CR3, c->cr3);
	vmcs_set(v, VMCS_GUEST_CR4, c->cr4);
	for (unsigned n = 0; n < 4 && pae && c->stage2; n++)
		vmcs_set(v, VMCS_GUEST_PDPTE0 + 2 * n, c->pdpte[n]);
	save_segments(c, v);
	save_msrs(c, v);
	vmcs_set(v, VMCS_GUEST_RSP, c->r[REG_RSP]);
	vmcs_set(v, VMCS_GUEST_RIP, c->r[REG_RIP]);
	vmcs_set(v, VMCS_GUEST_RFLAGS, saved_flags(c, x));
	vmcs_set(v, VMCS_GUEST_INTERRUPTIBILITY,
	         (u64)(c->shadow & SHADOW_STI ? 1 : 0) | (c->shadow & SHADOW_MOVSS ? 2 : 0) | (c->nmi_blocked ? 8 : 0));
	vmcs_set(v, VMCS_GUEST_ACTIVITY, saved_activity(x));
	vmcs_set(v, VMCS_GUEST_PENDING_DEBUG, saved_pending_debug(c, x));
}

/* "Saving MSRs" */
static bool store_msrs(struct cpu *c, struct vmx *v)
{
	u64 addr = vmcs_get(v, VMCS_EXIT_MSR_STORE_ADDR), value;

	for (u32 n = 0; n < vmcs_get(v, VMCS_EXIT_MSR_STORE_COUNT); n++) {
		u64 index = cpu_read_u64(c, BY_VIRT, addr + 16ull * n);

		if (n == VMX_MSR_LIST_MAX || index >> 32 || (index & ~0xffull) == 0x800 || !msr_read(c, (u32)index, &value))
			return false;
		cpu_write_u64(c, BY_VIRT, addr + 16ull * n + 8, value);
	}
	return true;
}

/* ---- "Loading Host State" ---- */

static void host_segment(struct cpu *c, unsigned s, u64 sel, u64 base, u32 ar, u32 limit)
{
	c->seg[s] = (struct seg){.sel = (u16)sel, .ar = ar, .limit = limit, .base = base};
	if (!sel && s != SEG_CS && s != SEG_TR)
		c->seg[s].ar = AR_UNUSABLE;
}

static void host_segments(struct cpu *c, const struct vmx *v, bool host64)
{
	const u32 data = AR_P | AR_S | 3 | AR_DB | AR_G, code = AR_P | AR_S | 11 | AR_G | (host64 ? AR_L : AR_DB);

	host_segment(c, SEG_CS, vmcs_get(v, VMCS_HOST_CS_SEL), 0, code, 0xffffffff);
	host_segment(c, SEG_SS, vmcs_get(v, VMCS_HOST_SS_SEL), 0, data, 0xffffffff);
	host_segment(c, SEG_DS, vmcs_get(v, VMCS_HOST_DS_SEL), 0, data, 0xffffffff);
	host_segment(c, SEG_ES, vmcs_get(v, VMCS_HOST_ES_SEL), 0, data, 0xffffffff);
	host_segment(c, SEG_FS, vmcs_get(v, VMCS_HOST_FS_SEL), vmcs_get(v, VMCS_HOST_FS_BASE), data, 0xffffffff);
	host_segment(c, SEG_GS, vmcs_get(v, VMCS_HOST_GS_SEL), vmcs_get(v, VMCS_HOST_GS_BASE), data, 0xffffffff);
	host_segment(c, SEG_TR, vmcs_get(v, VMCS_HOST_TR_SEL), vmcs_get(v, VMCS_HOST_TR_BASE), AR_P | SYS_TSS32_BUSY,
	             0x67);
	c->seg[SEG_LDTR] = (struct seg){.ar = AR_UNUSABLE};
	c->gdtr.base = vmcs_get(v, VMCS_HOST_GDTR_BASE);
	c->idtr.base = vmcs_get(v, VMCS_HOST_IDTR_BASE);
	c->gdtr.limit = c->idtr.limit = 0xffff;
}

static void host_registers(struct cpu *c, const struct vmx *v, bool host64)
{
	const u64 kept = CR0_ET | CR0_NW | CR0_CD | mask(15, 6) | BIT(17) | mask(28, 19);
	u64 exit = vmcs_get(v, VMCS_EXIT_CONTROLS), mode = host64 ? EFER_LMA | EFER_LME : 0;

	c->cr0 = (vmcs_get(v, VMCS_HOST_CR0) & ~kept & 0xffffffff) | (c->cr0 & kept);
	c->cr3 = vmcs_get(v, VMCS_HOST_CR3);
	c->cr4 = vmcs_get(v, VMCS_HOST_CR4);
	c->cr4 = host64 ? c->cr4 | CR4_PAE : c->cr4 & ~CR4_PCIDE;
	c->efer = exit & EXIT_LOAD_EFER ? vmcs_get(v, VMCS_HOST_EFER) : (c->efer & ~(EFER_LMA | EFER_LME)) | mode;
	if (exit & EXIT_LOAD_PAT)
		c->pat = vmcs_get(v, VMCS_HOST_PAT);
	if (exit & EXIT_LOAD_PERF)
		(void)msr_write(c, 0x38f, vmcs_get(v, VMCS_HOST_PERF_GLOBAL_CTRL));
	c->dr7 = DR7_RESET;
	c->debugctl = 0;
	c->sysenter_cs = vmcs_get(v, VMCS_HOST_SYSENTER_CS);
	c->sysenter_esp = vmcs_get(v, VMCS_HOST_SYSENTER_ESP);
	c->sysenter_eip = vmcs_get(v, VMCS_HOST_SYSENTER_EIP);
	c->r[REG_RSP] = vmcs_get(v, VMCS_HOST_RSP);
	c->r[REG_RIP] = vmcs_get(v, VMCS_HOST_RIP);
	flags_set(c, FL_1);
}

void vmx_load_host(struct cpu *c)
{
	struct vmx *v = vmx_of(c);
	bool host64 = (vmcs_get(v, VMCS_EXIT_CONTROLS) & EXIT_HOST64) != 0;

	c->guest = c->stage2 = c->pdpte_on_demand = false;
	memset(c->icpt, 0, sizeof(c->icpt));
	c->inject.type = EV_NONE;
	v->injecting = false;
	vmx_timer_stop(c);
	vmx_apic_leave(c);
	c->mtf = c->lock_exits = c->bus_lock = false;
	host_registers(c, v, host64);
	host_segments(c, v, host64);
	c->cpl = 0;
	c->shadow = 0;
	c->activity = ACT_RUN;
	c->pending_db = 0;
	c->pend &= ~(u32)(PEND_DB | PEND_MTF | PEND_PREEMPT | PEND_NMI_WINDOW | PEND_INTR_WINDOW);
	c->monitor_addr = c->wake_at = UINT64_MAX;
	if (!(vmx_proc2(v) & PROC2_VPID))
		vmx_flush_vpid(c, 0, false, false);
	c->space = 0;
	cpu_update_mode(c);
	c->attention = 1;
	if (!host64 && (c->cr4 & CR4_PAE) && mmu_load_pdptes(c, c->cr3) != XR_OK)
		vmx_abort(c, 2);
	else if (vmx_load_msrs(c, vmcs_get(v, VMCS_EXIT_MSR_LOAD_ADDR), (u32)vmcs_get(v, VMCS_EXIT_MSR_LOAD_COUNT)))
		vmx_abort(c, 4);
}

void vmx_exit(struct cpu *c, const struct exit_request *x)
{
	struct vmx *v = vmx_of(c);
	u64 reason = record(c, x);

	save_guest(c, v, x);
	/* "Blocking by NMI": virtual blocking is the guest's own; an exit by NMI blocks. After the save. */
	if (x->id == ICPT_NMI || vmx_virtual_nmis(v))
		c->nmi_blocked = x->id == ICPT_NMI;
	vmx_timer_stop(c);
	vmx_record_exit(c, reason, x->q[0], c->r[REG_RIP]);
	c->guest = false; /* the lists hold what RDMSR and WRMSR would, without offsets and virtualisation */
	if (!store_msrs(c, v)) {
		vmx_abort(c, 1);
		return;
	}
	if (long_mode(c) && !(vmcs_get(v, VMCS_EXIT_CONTROLS) & EXIT_HOST64)) {
		vmx_abort(c, 6); /* the guest went there by itself: entry refuses an IA-32e mode guest of such a host */
		return;
	}
	vmx_load_host(c);
}
