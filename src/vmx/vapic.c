/*
 * The virtual local APIC: TPR shadow, the APIC-access page, APIC-register virtualisation, virtual-interrupt delivery,
 * posted interrupts and IPI virtualisation. "APIC Virtualization and Virtual Interrupts".
 *
 * An access that is virtualised goes to the virtual-APIC page as it is; what the architecture does behind the
 * instruction is left in vmx->apic_todo and done by vmx_trap() at the instruction boundary (PEND_VENDOR).
 */
#include "vmx/vmx.h"

enum {
	V_ID = 0x20, V_VERSION = 0x30, V_TPR = 0x80, V_PPR = 0xa0, V_EOI = 0xb0, V_LDR = 0xd0, V_DFR = 0xe0, V_SVR = 0xf0,
	V_ISR = 0x100, V_IRR = 0x200, V_ESR = 0x280, V_ICR_LO = 0x300, V_ICR_HI = 0x310, V_LVT_FIRST = 0x320,
	V_LVT_LAST = 0x370, V_TIMER_INIT = 0x380, V_TIMER_DIV = 0x3e0, V_SELF_IPI = 0x3f0,
};

static u32 page_get(struct cpu *c, unsigned offset)
{
	return cpu_read_u32(c, BY_VIRT, vmcs_get(vmx_of(c), VMCS_VIRTUAL_APIC_ADDR) + offset);
}

static void page_set(struct cpu *c, unsigned offset, u32 value)
{
	cpu_write_u32(c, BY_VIRT, vmcs_get(vmx_of(c), VMCS_VIRTUAL_APIC_ADDR) + offset, value);
}

/* Bit x of VISR or VIRR. */
static void map_put(struct cpu *c, unsigned base, u8 x, bool on)
{
	unsigned at = base | (x & 0xe0u) >> 1;
	u32 bit = 1u << (x & 31), now = page_get(c, at);

	page_set(c, at, on ? now | bit : now & ~bit);
}

/* The highest bit of VISR or VIRR; 0 if there is none. */
static u8 map_highest(struct cpu *c, unsigned base)
{
	for (int w = 7; w >= 0; w--) {
		u32 v = page_get(c, base + 16u * (unsigned)w);

		if (v)
			return (u8)(w * 32 + 31 - __builtin_clz(v));
	}
	return 0;
}

static bool tpr_shadow(const struct vmx *v)
{
	return (vmcs_get(v, VMCS_PROC_CONTROLS) & PROC_TPR_SHADOW) != 0;
}

static bool virtual_interrupts(const struct vmx *v)
{
	return (vmx_proc2(v) & PROC2_VIRTUAL_INT) != 0;
}

static u8 rvi(const struct vmx *v)
{
	return (u8)vmcs_get(v, VMCS_GUEST_INT_STATUS);
}

static u8 svi(const struct vmx *v)
{
	return (u8)(vmcs_get(v, VMCS_GUEST_INT_STATUS) >> 8);
}

static void set_status(struct vmx *v, u8 new_rvi, u8 new_svi)
{
	vmcs_set(v, VMCS_GUEST_INT_STATUS, (u64)new_svi << 8 | new_rvi);
}

/* ---- "Virtual-Interrupt Delivery" ---- */

/* "PPR Virtualization" */
static void update_ppr(struct cpu *c)
{
	u32 tpr = page_get(c, V_TPR) & 0xff, in_service = svi(vmx_of(c)) & 0xf0;

	page_set(c, V_PPR, (tpr & 0xf0) >= in_service ? tpr : in_service);
}

/* "Evaluation of Pending Virtual Interrupts" */
static void evaluate(struct cpu *c)
{
	struct vmx *v = vmx_of(c);

	v->virq = !(vmcs_get(v, VMCS_PROC_CONTROLS) & PROC_INT_WINDOW) && (rvi(v) & 0xf0) > (page_get(c, V_PPR) & 0xf0);
	if (v->virq)
		cpu_recheck(c);
}

bool vmx_virq_ready(struct cpu *c)
{
	return vmx_of(c)->virq && (c->rflags & FL_IF) && !c->shadow;
}

/* "Changes to Instruction Behavior", MWAIT: with IF = 0 an open window or a virtual interrupt keeps it from waiting. */
bool vmx_mwait_passes(struct cpu *c)
{
	const struct vmx *v = vmx_of(c);

	return !(c->rflags & FL_IF) && (v->virq || (vmcs_get(v, VMCS_PROC_CONTROLS) & PROC_INT_WINDOW));
}

/* "Virtual-Interrupt Delivery": what comes before the IDT. */
int vmx_virq_take(struct cpu *c)
{
	struct vmx *v = vmx_of(c);
	u8 vector = rvi(v);

	map_put(c, V_ISR, vector, true);
	page_set(c, V_PPR, vector & 0xf0);
	map_put(c, V_IRR, vector, false);
	set_status(v, map_highest(c, V_IRR), vector);
	v->virq = false;
	return vector;
}

/* "TPR Virtualization" */
static enum xr virtualise_tpr(struct cpu *c)
{
	struct vmx *v = vmx_of(c);

	if (virtual_interrupts(v)) {
		update_ppr(c);
		evaluate(c);
		return XR_OK;
	}
	if (bits(page_get(c, V_TPR), 7, 4) >= (vmcs_get(v, VMCS_TPR_THRESHOLD) & 15))
		return XR_OK;
	return cpu_exit(c, NULL, ICPT_TPR_THRESHOLD, 0, 0);
}

/* "EOI Virtualization" */
static enum xr virtualise_eoi(struct cpu *c)
{
	struct vmx *v = vmx_of(c);
	u8 vector = svi(v);

	map_put(c, V_ISR, vector, false);
	set_status(v, rvi(v), map_highest(c, V_ISR));
	update_ppr(c);
	if (vmcs_get(v, VMCS_EOI_EXIT0 + 2u * (vector / 64)) >> (vector & 63) & 1)
		return cpu_exit(c, NULL, ICPT_VIRTUAL_EOI, vector, 0);
	evaluate(c);
	return XR_OK;
}

/* "Self-IPI Virtualization", and the last step of posting: vector becomes requested. */
static void request(struct cpu *c, u8 vector)
{
	struct vmx *v = vmx_of(c);

	map_put(c, V_IRR, vector, true);
	set_status(v, rvi(v) > vector ? rvi(v) : vector, svi(v));
}

static enum xr self_ipi(struct cpu *c, u8 vector)
{
	request(c, vector);
	evaluate(c);
	return XR_OK;
}

static enum xr write_exit(struct cpu *c, u64 offset)
{
	return cpu_exit(c, NULL, ICPT_APIC_WRITE, offset, 0);
}

/* ---- "Posted-Interrupt Processing" ---- */

enum { PID_CONTROL = 32, PID_ON = 1, PID_SN = 2 };

static void process_posted(struct cpu *c)
{
	struct vmx *v = vmx_of(c);
	pa_t pid = vmcs_get(v, VMCS_PI_DESCRIPTOR);

	cpu_write_u32(c, BY_VIRT, pid + PID_CONTROL, cpu_read_u32(c, BY_VIRT, pid + PID_CONTROL) & ~(u32)PID_ON);
	apic_eoi(c);
	for (unsigned w = 0; w < 8; w++) {
		u32 posted = cpu_read_u32(c, BY_VIRT, pid + 4 * w);

		if (!posted)
			continue;
		cpu_write_u32(c, BY_VIRT, pid + 4 * w, 0);
		page_set(c, V_IRR + 16 * w, page_get(c, V_IRR + 16 * w) | posted);

		u8 top = (u8)(32 * w + 31 - (unsigned)__builtin_clz(posted));

		set_status(v, rvi(v) > top ? rvi(v) : top, svi(v));
	}
	evaluate(c);
}

/* An external interrupt that would exit. "Posting" needs "acknowledge interrupt on exit", so the vector is known here. */
enum xr vmx_intr(struct cpu *c)
{
	struct vmx *v = vmx_of(c);
	int vector;

	if (!(vmcs_get(v, VMCS_PIN_CONTROLS) & PIN_POSTED_INT))
		return cpu_exit(c, NULL, ICPT_INTR, 0, 0);
	vector = cpu_intr_ack(c);
	if (vector < 0)
		return XR_OK;
	if ((u64)vector == (vmcs_get(v, VMCS_POSTED_INT_VECTOR) & 0xff)) {
		process_posted(c);
		return XR_OK;
	}
	cpu_exit(c, NULL, ICPT_INTR, 0, 0);
	c->exit.event = (struct event){.type = EV_EXT, .vector = (u8)vector};
	return XR_EXIT;
}

/* ---- "IPI Virtualization" ---- */

static bool ipi_virtualised(const struct vmx *v)
{
	return (vmx_proc3(v) & PROC3_IPI) != 0;
}

static enum xr virtualise_ipi(struct cpu *c, u8 vector, u64 target)
{
	struct vmx *v = vmx_of(c);
	bool x2 = (c->apic.base & BIT(10)) != 0;
	u64 entry, pid;
	u32 word, control, ndst;

	if (vector < 16 || target > vmcs_get(v, VMCS_LAST_PID_POINTER_INDEX))
		return write_exit(c, V_ICR_LO);
	entry = cpu_read_u64(c, BY_VIRT, vmcs_get(v, VMCS_PID_POINTER_TABLE) + 8 * target);
	if (bits(entry, 5, 0) != 1 || entry >> c->phys_bits)
		return write_exit(c, V_ICR_LO);
	pid = entry & ~1ull;
	word = cpu_read_u32(c, BY_VIRT, pid + 4 * (vector / 32u));
	cpu_write_u32(c, BY_VIRT, pid + 4 * (vector / 32u), word | 1u << (vector & 31));
	control = cpu_read_u32(c, BY_VIRT, pid + PID_CONTROL);
	if (control & (PID_ON | PID_SN))
		return XR_OK;
	cpu_write_u32(c, BY_VIRT, pid + PID_CONTROL, control | PID_ON);
	ndst = cpu_read_u32(c, BY_VIRT, pid + PID_CONTROL + 4);

	struct apic_msg m = {
	        .vector = (u8)(control >> 16),
	        .delivery = DM_FIXED,
	        .assert = true,
	        .x2apic_dest = x2,
	        .dest = x2 ? ndst : ndst >> 8 & 0xff,
	};

	apic_bus_send(c->all ? c->all : &c, c->all ? c->count : 1, &m, c, 0);
	return XR_OK;
}

/* ---- "APIC-Write Emulation" ---- */

static enum xr write_icr(struct cpu *c, unsigned offset)
{
	struct vmx *v = vmx_of(c);
	u32 lo = page_get(c, V_ICR_LO);
	bool plain = !(lo & 0xfff33000) && !(lo & BIT(15)) && !bits(lo, 10, 8);

	if (virtual_interrupts(v) && plain && bits(lo, 19, 18) == 1 && bits(lo, 7, 4))
		return self_ipi(c, (u8)lo);
	if (ipi_virtualised(v) && plain && bits(lo, 19, 18) == 0 && !(lo & BIT(11)))
		return virtualise_ipi(c, (u8)lo, page_get(c, V_ICR_HI) >> 24);
	return write_exit(c, offset);
}

static enum xr emulate_write(struct cpu *c, unsigned offset)
{
	switch (offset & ~3u) {
	case V_TPR:
		page_set(c, V_TPR, page_get(c, V_TPR) & 0xff);
		return virtualise_tpr(c);
	case V_EOI:
		if (!virtual_interrupts(vmx_of(c)))
			return write_exit(c, offset);
		page_set(c, V_EOI, 0);
		return virtualise_eoi(c);
	case V_ICR_LO: return write_icr(c, offset);
	case V_ICR_HI: page_set(c, V_ICR_HI, page_get(c, V_ICR_HI) & 0xff000000); return XR_OK;
	default: return write_exit(c, offset);
	}
}

/* WRMSR to the ICR: the reserved bits were checked; everything but a plain physical fixed IPI exits. */
static enum xr emulate_x2apic_icr(struct cpu *c)
{
	u32 lo = page_get(c, V_ICR_LO);

	if (bits(lo, 19, 18) || (lo & (BIT(15) | BIT(12) | BIT(11))) || bits(lo, 10, 8))
		return write_exit(c, V_ICR_LO);
	return virtualise_ipi(c, (u8)lo, page_get(c, V_ICR_LO + 4));
}

static enum xr apic_trap(struct cpu *c)
{
	struct vmx *v = vmx_of(c);
	unsigned todo = v->apic_todo;

	v->apic_todo = VMX_TODO_NONE;
	switch (todo) {
	case VMX_TODO_TPR: return virtualise_tpr(c);
	case VMX_TODO_WRITE: return emulate_write(c, v->apic_offset);
	case VMX_TODO_EOI: return virtualise_eoi(c);
	case VMX_TODO_X2APIC_ICR: return emulate_x2apic_icr(c);
	case VMX_TODO_SELF_IPI:
		return v->apic_offset < 16 ? write_exit(c, V_SELF_IPI) : self_ipi(c, (u8)v->apic_offset);
	default: return XR_OK;
	}
}

/* "VMM Bus-Lock Detection": of the priority of these traps, behind the instruction. Another exit of the same instruction
 * says in its reason that there was a bus lock. */
enum xr vmx_trap(struct cpu *c)
{
	TRY(apic_trap(c));
	return c->bus_lock ? cpu_exit(c, NULL, ICPT_BUSLOCK, 0, 0) : XR_OK;
}

static enum xr leave_todo(struct cpu *c, enum vmx_apic_todo todo, unsigned offset)
{
	struct vmx *v = vmx_of(c);

	v->apic_todo = (u8)todo;
	v->apic_offset = (u16)offset;
	cpu_raise(c, PEND_VENDOR);
	return XR_OK;
}

/* ---- CR8: "Virtualizing CR8-Based TPR Accesses" ---- */

u64 vmx_cr8_read(struct cpu *c)
{
	return tpr_shadow(vmx_of(c)) ? bits(page_get(c, V_TPR), 7, 4) : c->apic.tpr >> 4;
}

enum xr vmx_cr8_write(struct cpu *c, const struct insn *i, u64 value)
{
	(void)i;
	if (!tpr_shadow(vmx_of(c))) {
		apic_set_tpr(c, (u8)(value << 4));
		return XR_OK;
	}
	page_set(c, V_TPR, (u32)value << 4);
	return leave_todo(c, VMX_TODO_TPR, 0);
}

/* ---- the APIC-access page: "Virtualizing Memory-Mapped APIC Accesses" ---- */

static bool register_virtual(unsigned offset)
{
	switch (offset) {
	case V_ID: case V_TPR: case V_EOI: case V_LDR: case V_DFR: case V_SVR: case V_ESR: case V_ICR_LO: case V_ICR_HI:
	case V_TIMER_INIT: case V_TIMER_DIV: return true;
	default: return offset >= V_LVT_FIRST && offset <= V_LVT_LAST;
	}
}

static bool access_virtual(const struct vmx *v, unsigned offset, u32 len, bool write)
{
	u32 proc2 = vmx_proc2(v);
	unsigned reg = offset & 0xff0;

	if (!tpr_shadow(v) || (offset & 15) + len > 4)
		return false;
	if (reg == V_TPR)
		return true;
	if (proc2 & PROC2_APIC_REGISTER)
		return register_virtual(reg) || (!write && (reg == V_VERSION || (reg >= V_ISR && reg < V_ESR)));
	if (reg == V_EOI)
		return (proc2 & PROC2_VIRTUAL_INT) != 0;
	return reg == V_ICR_LO && ((proc2 & PROC2_VIRTUAL_INT) || (write && ipi_virtualised(v)));
}

/* "Exit Qualification for APIC-Access VM Exits from Linear Accesses" */
enum xr vmx_page_trap(struct cpu *c, la_t la, u32 len, unsigned access, pa_t *pa)
{
	struct vmx *v = vmx_of(c);
	unsigned offset = (unsigned)(*pa & ~PAGE_MASK);
	bool write = access & ACC_WRITE, fetch = access & ACC_EXEC;
	u64 kind = c->delivery ? 3 : fetch ? 2 : write;

	(void)la;
	if (fetch || (write && v->apic_todo != VMX_TODO_NONE) || !access_virtual(v, offset, len, write))
		return cpu_exit(c, NULL, ICPT_APIC_ACCESS, offset | kind << 12, 0);
	*pa = vmcs_get(v, VMCS_VIRTUAL_APIC_ADDR) + offset;
	return write ? leave_todo(c, VMX_TODO_WRITE, offset) : XR_OK;
}

/* "Guest-physical accesses": paging structures on the APIC-access page. */
enum xr vmx_page_trap_physical(struct cpu *c)
{
	return cpu_exit(c, NULL, ICPT_APIC_ACCESS, (c->delivery ? 10ull : 15ull) << 12, 0);
}

/* ---- "Virtualizing MSR-Based APIC Accesses" ---- */

static bool x2apic_write(struct cpu *c, u32 index, u64 value, enum xr *r)
{
	struct vmx *v = vmx_of(c);
	unsigned offset = (index & 0xff) << 4;

	switch (offset) {
	case V_TPR:
		*r = value >> 8 ? fault_gp(c, 0) : leave_todo(c, VMX_TODO_TPR, 0);
		break;
	case V_EOI:
		if (!virtual_interrupts(v))
			return false;
		*r = value ? fault_gp(c, 0) : leave_todo(c, VMX_TODO_EOI, 0);
		break;
	case V_SELF_IPI:
		if (!virtual_interrupts(v))
			return false;
		*r = value >> 8 ? fault_gp(c, 0) : leave_todo(c, VMX_TODO_SELF_IPI, (u8)value);
		break;
	case V_ICR_LO:
		if (!ipi_virtualised(v))
			return false;
		*r = value & 0xfff32000 ? fault_gp(c, 0) : leave_todo(c, VMX_TODO_X2APIC_ICR, 0);
		break;
	default: return false;
	}
	if (*r == XR_OK) {
		page_set(c, offset, (u32)value);
		page_set(c, offset + 4, (u32)(value >> 32));
	}
	return true;
}

bool vmx_x2apic(struct cpu *c, u32 index, bool write, u64 *value, enum xr *r)
{
	struct vmx *v = vmx_of(c);
	u32 proc2 = vmx_proc2(v);
	unsigned offset = (index & 0xff) << 4;

	if (!(proc2 & PROC2_X2APIC) || (index & ~0xffu) != 0x800)
		return false;
	if (write)
		return x2apic_write(c, index, *value, r);
	if (!(proc2 & PROC2_APIC_REGISTER) && offset != V_TPR)
		return false;
	*value = page_get(c, offset) | (u64)page_get(c, offset + 4) << 32;
	*r = XR_OK;
	return true;
}

/* ---- the edges ---- */

/* VM entry: "VM Entries and ... Virtual Interrupts"; the TPR threshold is looked at once the guest is there;
 * in 2004 MOV to CR8 alone does that. */
void vmx_apic_enter(struct cpu *c)
{
	struct vmx *v = vmx_of(c);

	v->virq = false;
	v->apic_todo = VMX_TODO_NONE;
	c->trap_page = vmx_proc2(v) & PROC2_APIC_ACCESS ? vmcs_get(v, VMCS_APIC_ACCESS_ADDR) : TRAP_PAGE_NONE;
	if (virtual_interrupts(v)) {
		update_ppr(c);
		evaluate(c);
	} else if (tpr_shadow(v) && (c->activity == ACT_RUN || c->activity == ACT_HLT) && !quirk(c, QUIRK_VMX_FIRST)) {
		leave_todo(c, VMX_TODO_TPR, 0);
	}
}

void vmx_apic_leave(struct cpu *c)
{
	struct vmx *v = vmx_of(c);

	v->virq = false;
	v->apic_todo = VMX_TODO_NONE;
	c->trap_page = TRAP_PAGE_NONE;
	c->pend &= ~(u32)PEND_VENDOR;
}
