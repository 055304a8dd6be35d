/* VM exits: what is recorded, the guest state that is saved, the host state that is loaded. "VM Exits". */
#include <Zydis/Zydis.h>

#include "cpu/state/watch.h"
#include "vmx/vmx.h"

#define UNUSED __attribute__((unused)) /* by some rows */

void vmx_record_exit(struct cpu *c, u64 reason, u64 qualification, u64 rip)
{
	struct exit_record *e = &c->lastexit[c->lastexit_n++ % ARRAY_LEN(c->lastexit)];

	*e = (struct exit_record){
	        .code = reason,
	        .name = vmx_exit_rows[reason & 0xffff].name,
	        .info = {qualification, 0},
	        .guest = vmx_of(c)->current,
	        .rip = rip,
	};
	recent_exit(c);
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
cold void vmx_abort(struct cpu *c, u32 indicator, u32 number)
{
	vmx_explain_abort(c, indicator, number);
	cpu_write_u32(c, BY_VIRT, vmx_of(c)->current + VMCS_REGION_ABORT, indicator);
	shut_down(c);
}

/* ---- "Recording VM-Exit Information and Updating VM-entry Control Fields" ---- */

/* An external interrupt is acknowledged only on demand; an NMI or INIT that exits is consumed by the exit. */
static inlined struct event exiting_event(struct cpu *c, const struct exit_request *x)
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
	return (row->fields & VMX_EXIT_LENGTH) && x->insn ? x->insn->len : 0;
}

/* "Information for VM Exits That Occur During Event Delivery": a double or triple fault is no such exit. */
static struct event original_event(const struct exit_request *x)
{
	if (x->id == ICPT_SHUTDOWN || x->id == ICPT_EXC + EX_DF)
		return (struct event){.type = EV_NONE};
	return x->vectoring;
}

/* Real-address mode pushes no error code. In 2004, tables 2-8 and 2-9, exceptions have one type, whatever caused them. */
static u64 event_info(const struct cpu *c, const struct event *e)
{
	u64 info = vmx_info_from_event(e) & ~(real_mode(c) ? BIT(11) : 0);

	if ((e->type == EV_SWEX || e->type == EV_PRIVSW) && quirk(c, QUIRK_VMX_FIRST))
		info = (info & ~mask(10, 8)) | (u64)EV_HW << 8;
	return info;
}

/* "NMI unblocking due to IRET" */
static void record_unblocking(struct cpu *c, const struct exit_request *x, const struct vmx_exit_row *row)
{
	struct vmx *v = vmx_of(c);
	u64 pin = vmcs_get(v, VMCS_PIN_CONTROLS);

	if (!x->nmi_unblocked || x->vectoring.type != EV_NONE || (pin & (PIN_NMI | PIN_VIRTUAL_NMI)) == PIN_NMI)
		return;
	if (quirk(c, QUIRK_VMX_FIRST)) /* 2004, tables 2-8 and 2-9: bits 30:12 are always 0 */
		return;
	if (x->id >= ICPT_EXC && x->id < ICPT_EXC + 32 && x->id != ICPT_EXC + EX_DF)
		vmcs_set(v, VMCS_EXIT_INTR_INFO, vmcs_get(v, VMCS_EXIT_INTR_INFO) | BIT(12));
	if (row->fields & VMX_EXIT_UNBLOCKING)
		vmcs_set(v, VMCS_EXIT_QUALIFICATION, vmcs_get(v, VMCS_EXIT_QUALIFICATION) | BIT(12));
}

/* Operand size of the descriptor-table instructions; undefined in 64-bit mode. */
static u32 table_size(const struct insn *i)
{
	return i->opsz == 4 ? 1u << 11 : 0;
}

/* "VM-Exit Instruction-Information Field": scale, address size, register or memory, segment, index, base, registers. */
static u32 insn_information_field(const struct insn *i)
{
	u32 v = 0, none = REG_OFF(REG_ZERO);

	if (i->flags & INSN_MEM) {
		v |= i->scale | (u32)(i->addrsz / 4) << 7 | (u32)i->seg << 15;
		v |= i->index == none ? 1u << 22 : (u32)(i->index / 8 & 15) << 18;
		v |= i->base == none || i->base == REG_OFF(REG_RIP) ? 1u << 27 : (u32)(i->base / 8 & 15) << 23;
	} else {
		v |= 1u << 10 | (u32)(i->r0 / 8 & 15) << 3;
	}
	switch (i->row->mnemonic) {
	case ZYDIS_MNEMONIC_VMREAD: v |= (u32)(i->r1 / 8 & 15) << 28; break;
	case ZYDIS_MNEMONIC_VMWRITE:
		v &= ~(15u << 3);
		v |= (u32)(i->r0 / 8 & 15) << 28 | (i->flags & INSN_MEM ? 0 : (u32)(i->r1 / 8 & 15) << 3);
		break;
	case ZYDIS_MNEMONIC_INVEPT:
	case ZYDIS_MNEMONIC_INVVPID:
	case ZYDIS_MNEMONIC_INVPCID: v |= (u32)(i->r0 / 8 & 15) << 28; break;
	case ZYDIS_MNEMONIC_RDRAND:
	case ZYDIS_MNEMONIC_RDSEED: v = (u32)(i->r0 / 8 & 15) << 3 | (u32)(i->opsz / 4) << 11; break;
	case ZYDIS_MNEMONIC_UMWAIT:
	case ZYDIS_MNEMONIC_TPAUSE: v = (u32)(i->r0 / 8 & 15) << 3; break;
	case ZYDIS_MNEMONIC_SGDT: v |= table_size(i); break;
	case ZYDIS_MNEMONIC_SIDT: v |= 1u << 28 | table_size(i); break;
	case ZYDIS_MNEMONIC_LGDT: v |= 2u << 28 | table_size(i); break;
	case ZYDIS_MNEMONIC_LIDT: v |= 3u << 28 | table_size(i); break;
	case ZYDIS_MNEMONIC_STR: v |= 1u << 28; break;
	case ZYDIS_MNEMONIC_LLDT: v |= 2u << 28; break;
	case ZYDIS_MNEMONIC_LTR: v |= 3u << 28; break;
	default: break;
	}
	return v;
}

#define BUS_LOCK_ASSERTED BIT(26) /* "Basic VM-Exit Information": by whatever the exit is caused */

/* Undefined where an access exits and not the instruction: 0 then. */
static u64 insn_information(struct cpu *c, const struct exit_request *x)
{
	if (x->id == ICPT_IOIO)
		return has(c, FEAT_VMX_INS_OUTS) ? x->q[1] : 0;
	return x->insn && x->id != ICPT_STAGE2 ? insn_information_field(x->insn) : 0;
}

static inlined u64 basic_reason(const struct exit_request *x)
{
	u64 reason = vmx_exit_reason(x->id);

	switch (x->id) {
	case ICPT_MSR: return reason + x->q[1]; /* 31 RDMSR, 32 WRMSR */
	case ICPT_SMI: return reason - x->q[1]; /* 6, or 5 of an I/O instruction */
	default: return reason;
	}
}

/* Each field of the map that tells of the exit. Addresses have 32 bits outside 64-bit mode. */
static inlined u64 record(struct cpu *c, const struct exit_request *x, u64 marks)
{
	struct vmx *v = vmx_of(c);
	u64 reason = basic_reason(x);
	const struct vmx_exit_row *row = &vmx_exit_rows[reason];
	const struct event e = exiting_event(c, x), original = original_event(x);
	const bool io_smi = x->id == ICPT_SMI && x->q[1], io_string = x->id == ICPT_IOIO && x->has_linear;
	/* 2004, "I/O instruction initial linear address": other exits leave it as it is */
	const bool linear = io_string || !quirk(c, QUIRK_VMX_FIRST);

	reason |= marks | (c->bus_lock ? BUS_LOCK_ASSERTED : 0);
#define NOTHING(...)
#define TOLD(name, encoding, condition, text, told, value)                                                             \
	if (told) {                                                                                                    \
		UNUSED const u64 was = vmcs_get(v, VMCS_##name);                                                       \
		vmcs_set(v, VMCS_##name, value);                                                                       \
	}
	VMCS_MAP(NOTHING, TOLD, NOTHING, NOTHING)
#undef TOLD
#undef NOTHING
	record_unblocking(c, x, row);
	return reason;
}

/* ---- "Loading Host State" ---- */

void vmx_guest_end(struct cpu *c)
{
	c->guest = c->stage2 = c->pdpte_on_demand = false;
	memset(c->icpt, 0, sizeof(c->icpt));
	c->inject.type = EV_NONE;
	vmx_of(c)->injecting = false;
	vmx_apic_leave(c);
	c->mtf = c->lock_exits = c->bus_lock = false;
	c->pend &= ~(u32)(PEND_MTF | PEND_PREEMPT | PEND_NMI_WINDOW | PEND_INTR_WINDOW);
	c->space = 0;
}

void vmx_load_host(struct cpu *c)
{
	struct vmx *v = vmx_of(c);
	bool host64 = (vmcs_get(v, VMCS_EXIT_CONTROLS) & EXIT_HOST64) != 0;

	vmx_timer_stop(c);
	vmx_guest_end(c);
	if (unlikely(quirk(c, QUIRK_VMX_FIRST)))
		vmx_first_host_load(c, host64);
	else
		vmx_host_load(c, host64);
	c->shadow = 0;
	c->activity = ACT_RUN;
	c->pending_db = 0;
	c->pend &= ~(u32)PEND_DB;
	c->monitor_addr = c->wake_at = UINT64_MAX;
	if (!(vmx_proc2(v) & PROC2_VPID))
		vmx_flush_vpid(c, 0, false, false);
	cpu_update_mode(c);
	c->attention = 1;
	if (!host64 && (c->cr4 & CR4_PAE) && mmu_load_pdptes(c, c->cr3) != XR_OK)
		vmx_abort(c, VMX_ABORT_PDPTE, 0);
	else if (vmx_msr_area(c, VMCS_EXIT_MSR_LOAD_ADDR, VMCS_EXIT_MSR_LOAD_COUNT, vmx_load_msrs))
		vmx_abort(c, VMX_ABORT_LOAD, 0); /* the entry has been told */
}

static inlined u64 save(struct cpu *c, const struct exit_request *x, u64 marks)
{
	struct vmx *v = vmx_of(c);
	u64 reason = record(c, x, marks);

	if (unlikely(quirk(c, QUIRK_VMX_FIRST)))
		vmx_first_guest_save(c, x);
	else
		vmx_guest_save(c, x);
	if (has(c, FEAT_VMX_STORE_LMA))
		vmcs_set(v, VMCS_ENTRY_CONTROLS,
		         (vmcs_get(v, VMCS_ENTRY_CONTROLS) & ~(u64)ENTRY_GUEST64) | (long_mode(c) ? ENTRY_GUEST64 : 0));
	vmx_diary_exit(v->diary, c, reason, vmcs_get(v, VMCS_EXIT_CONTROLS));
	return reason;
}

static inlined void load(struct cpu *c)
{
	const struct vmx *v = vmx_of(c);

	u32 failed;

	c->guest = false; /* the lists hold what RDMSR and WRMSR would, without offsets and virtualisation */
	failed = vmx_msr_area(c, VMCS_EXIT_MSR_STORE_ADDR, VMCS_EXIT_MSR_STORE_COUNT, vmx_store_msrs);
	if (failed)
		vmx_abort(c, VMX_ABORT_STORE, failed);
	else if (long_mode(c) && !(vmcs_get(v, VMCS_EXIT_CONTROLS) & EXIT_HOST64))
		vmx_abort(c, VMX_ABORT_MODE, 0); /* the guest went there by itself: entry refuses an IA-32e mode guest of such a host */
	else
		vmx_load_host(c);
}

void vmx_exit(struct cpu *c, const struct exit_request *x)
{
	const struct vmx *v = vmx_of(c);
	u64 reason = save(c, x, 0);

	/* "Blocking by NMI": virtual blocking is the guest's own; an exit by NMI blocks. After the save. */
	if (x->id == ICPT_NMI || vmx_virtual_nmis(v))
		c->nmi_blocked = x->id == ICPT_NMI;
	vmx_timer_stop(c);
	if (unlikely(c->watch))
		vmx_watch_exit(c, x, reason);
	vmx_record_exit(c, reason, x->q[0], c->r[REG_RIP]);
	load(c);
}

/* MEASURED: the halves are built into vmx_exit(). */
cold u64 vmx_exit_save(struct cpu *c, const struct exit_request *x, u64 marks)
{
	u64 reason = save(c, x, marks);

	if (unlikely(c->watch))
		vmx_watch_saved(c);
	return reason;
}

cold void vmx_exit_load(struct cpu *c)
{
	load(c);
}
