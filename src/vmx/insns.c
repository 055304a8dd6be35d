/*
 * The instructions of VMX, in the order of the manual's Operation listings: #UD outside VMX operation, the VM exit in
 * non-root operation, #GP(0) by CPL, then the operand. "VMX Instruction Reference". And the table of functions that the
 * processor calls.
 */
#include "cpu/exec/exec.h"
#include "vmx/vmx.h"

/* ---- "Conventions": VMsucceed, VMfailInvalid, VMfailValid ---- */

enum xr vmx_succeed(struct cpu *c)
{
	cc_set_flags(c, 0);
	return XR_OK;
}

enum xr vmx_fail_invalid(struct cpu *c)
{
	cc_set_flags(c, FL_CF);
	return XR_OK;
}

enum xr vmx_fail(struct cpu *c, unsigned error)
{
	struct vmx *v = vmx_of(c);

	if (v->current == VMCS_NONE)
		return vmx_fail_invalid(c);
	cc_set_flags(c, FL_ZF);
	vmcs_set(v, VMCS_INSN_ERROR, error);
	return XR_OK;
}

static enum xr gate(struct cpu *c, const struct insn *i, enum icpt id)
{
	if (!c->virt_root)
		return fault_ud(c);
	TRY(icpt_test(c, i, id, 0));
	return c->cpl ? fault_gp(c, 0) : XR_OK;
}

/* Operand size of the descriptor-table instructions; undefined in 64-bit mode. */
static u32 table_size(const struct insn *i)
{
	return i->opsz == 4 ? 1u << 11 : 0;
}

/* "VM-Exit Instruction-Information Field": scale, address size, register or memory, segment, index, base, registers. */
u32 vmx_insn_info(struct cpu *c, const struct insn *i)
{
	u32 v = 0, none = REG_OFF(REG_ZERO);

	(void)c;
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

/* ---- operands ---- */

static bool pointer_ok(const struct cpu *c, u64 pa)
{
	return is_aligned(pa, PAGE_SIZE) && !(pa >> c->phys_bits);
}

/* ---- entering and leaving VMX operation ---- */

static bool may_vmxon(const struct cpu *c)
{
	return c->cpl == 0 && (c->cr0 & VMX_CR0_FIXED0) == VMX_CR0_FIXED0 && !cpu_sees(c)->a20_masked &&
	       (c->feature_control & 5) == 5;
}

static enum xr vmxon(struct cpu *c, const struct insn *i)
{
	struct vmx *v = vmx_of(c);
	u64 pa;

	if (c->virt_root) {
		TRY(gate(c, i, ICPT_VMXON));
		return vmx_fail(c, 15);
	}
	if (!(c->cr4 & CR4_VMXE))
		return fault_ud(c);
	if (!may_vmxon(c))
		return fault_gp(c, 0);
	TRY(op_read(c, i, 8, &pa));
	v->current = VMCS_NONE;
	if (!pointer_ok(c, pa) || cpu_read_u32(c, BY_VIRT, pa) != VMX_REVISION)
		return vmx_fail_invalid(c);
	v->vmxon_pa = pa;
	c->virt_root = true;
	return vmx_succeed(c);
}

static enum xr vmxoff(struct cpu *c, const struct insn *i)
{
	struct vmx *v = vmx_of(c);

	TRY(gate(c, i, ICPT_VMXOFF));
	vmx_region_leave(c);
	vmx_shadow_leave(c, v->shadow);
	c->virt_root = false;
	cpu_recheck(c); /* INIT is no longer blocked */
	if (cpu_sees(c)->a20_masked)
		tlb_flush_all(c); /* nor is A20M */
	return vmx_succeed(c);
}

/* ---- the current VMCS ---- */

static enum xr vmclear(struct cpu *c, const struct insn *i)
{
	struct vmx *v = vmx_of(c);
	u64 pa;

	TRY(gate(c, i, ICPT_VMCLEAR));
	TRY(op_read(c, i, 8, &pa));
	if (!pointer_ok(c, pa))
		return vmx_fail(c, 2);
	if (pa == v->vmxon_pa)
		return vmx_fail(c, 3);
	if (pa == v->current) {
		v->launched = false;
		vmx_region_leave(c);
	}
	vmx_shadow_leave(c, pa);
	cpu_write_u32(c, BY_VIRT, pa + VMCS_REGION_LAUNCHED, 0);
	return vmx_succeed(c);
}

static enum xr vmptrld(struct cpu *c, const struct insn *i)
{
	struct vmx *v = vmx_of(c);
	u32 revision;
	u64 pa;

	TRY(gate(c, i, ICPT_VMPTRLD));
	TRY(op_read(c, i, 8, &pa));
	if (!pointer_ok(c, pa))
		return vmx_fail(c, 9);
	if (pa == v->vmxon_pa)
		return vmx_fail(c, 10);
	revision = cpu_read_u32(c, BY_VIRT, pa);
	if ((revision & ~VMCS_SHADOW) != VMX_REVISION ||
	    ((revision & VMCS_SHADOW) && !has(c, FEAT_VMX_SHADOW_VMCS)))
		return vmx_fail(c, 11);
	if (pa != v->current) {
		vmx_region_leave(c);
		vmx_shadow_leave(c, pa);
		vmx_region_enter(c, pa, (revision & VMCS_SHADOW) != 0);
	}
	return vmx_succeed(c);
}

static enum xr vmptrst(struct cpu *c, const struct insn *i)
{
	TRY(gate(c, i, ICPT_VMPTRST));
	TRY(op_write(c, i, 8, vmx_of(c)->current));
	return vmx_succeed(c);
}

/* ---- VMREAD and VMWRITE ---- */

/* The VMCS at hand: the current one, or in non-root operation the shadow VMCS at the link pointer. */
static u64 target_get(struct cpu *c, u32 encoding)
{
	return c->guest ? vmx_shadow(c)[vmcs_slot(encoding & ~1u)] : vmcs_get(vmx_of(c), encoding & ~1u);
}

static void target_set(struct cpu *c, u32 encoding, u64 value)
{
	struct vmx *v = vmx_of(c);

	if (c->guest) {
		vmx_shadow(c)[vmcs_slot(encoding & ~1u)] = value;
	} else if (vmcs_get(v, encoding & ~1u) != value) { /* monitors write host RSP again and again: it needs no new check */
		vmcs_set(v, encoding & ~1u, value);
		vmcs_written(v, encoding & ~1u);
	}
}

static bool no_target(const struct cpu *c)
{
	const struct vmx *v = vmx_of(c);

	return c->guest ? vmcs_get(v, VMCS_LINK_POINTER) == VMCS_NONE : v->current == VMCS_NONE;
}

static u64 field_read(struct cpu *c, u32 encoding, unsigned size)
{
	u64 value = target_get(c, encoding);

	return encoding & 1 ? value >> 32 : low_bytes(value, size);
}

/* Stores fit the field: outside 64-bit mode bits 63:32 become 0, and the high half is written alone. */
static void field_write(struct cpu *c, u32 encoding, u64 value)
{
	u64 old = target_get(c, encoding);

	switch (encoding >> 13 & 3) {
	case 0: value = (u16)value; break;
	case 1: value = encoding & 1 ? (old & 0xffffffff) | value << 32 : value; break;
	case 2: value = (u32)value; break;
	default: break;
	}
	target_set(c, encoding, value);
}

static enum xr vmread(struct cpu *c, const struct insn *i)
{
	unsigned size = mode64(c) ? 8 : 4;
	u64 encoding, value;

	TRY(gate(c, i, ICPT_VMREAD));
	encoding = reg_get(c, i->r1, size);
	if (no_target(c))
		return vmx_fail_invalid(c);
	if (encoding >> 15 || !vmx_field_exists(vmx_caps(c), (u32)encoding))
		return vmx_fail(c, 12);
	value = field_read(c, (u32)encoding, size);
	if (i->flags & INSN_MEM)
		TRY(op_write(c, i, size, value));
	else
		reg_set(c, i->r0, size, value);
	return vmx_succeed(c);
}

static enum xr vmwrite(struct cpu *c, const struct insn *i)
{
	unsigned size = mode64(c) ? 8 : 4;
	u64 encoding, value;

	TRY(gate(c, i, ICPT_VMWRITE));
	encoding = reg_get(c, i->r0, size);
	if (no_target(c))
		return vmx_fail_invalid(c);
	if (i->flags & INSN_MEM)
		TRY(op_read(c, i, size, &value));
	else
		value = reg_get(c, i->r1, size);
	if (encoding >> 15 || !vmx_field_exists(vmx_caps(c), (u32)encoding))
		return vmx_fail(c, 12);
	if ((encoding >> 10 & 3) == 1 && !has(c, FEAT_VMX_VMWRITE_VMEXIT_FIELDS))
		return vmx_fail(c, 13);
	field_write(c, (u32)encoding, value);
	return vmx_succeed(c);
}

/* ---- VMLAUNCH, VMRESUME, VMCALL ---- */

/* A shadow VMCS cannot be entered. */
static enum xr launch(struct cpu *c, const struct insn *i, enum icpt id, bool resume)
{
	struct vmx *v = vmx_of(c);

	TRY(gate(c, i, id));
	if (v->current != VMCS_NONE && !v->is_shadow)
		return vmx_enter(c, i, resume);
	c->r[REG_RIP] = next_rip(c, i);
	return vmx_fail_invalid(c);
}

static enum xr vmlaunch(struct cpu *c, const struct insn *i)
{
	return launch(c, i, ICPT_VMLAUNCH, false);
}

static enum xr vmresume(struct cpu *c, const struct insn *i)
{
	return launch(c, i, ICPT_VMRESUME, true);
}

/* A guest may call from every mode. No dual-monitor treatment: in root operation it fails. */
static enum xr vmcall(struct cpu *c, const struct insn *i)
{
	if (!c->virt_root)
		return fault_ud(c);
	TRY(icpt_test(c, i, ICPT_VMCALL, 0));
	if (v86_mode(c) || (long_mode(c) && !mode64(c)))
		return fault_ud(c);
	return c->cpl ? fault_gp(c, 0) : vmx_fail(c, 1);
}

/* ---- INVEPT, INVVPID ---- */

static enum xr invept(struct cpu *c, const struct insn *i)
{
	u64 d[2], type;

	TRY(gate(c, i, ICPT_INVEPT));
	type = reg_get(c, i->r0, mode64(c) ? 8 : 4);
	if (!(type == 1 && has(c, FEAT_VMX_INVEPT_SINGLE_CONTEXT)) && !(type == 2 && has(c, FEAT_VMX_INVEPT_ALL_CONTEXT)))
		return vmx_fail(c, 28);
	TRY(op_read128(c, i, d));
	if (type == 1 && !vmx_eptp_ok(c, d[0]))
		return vmx_fail(c, 28);
	vmx_flush_ept(c, d[0], type == 2);
	return vmx_succeed(c);
}

static bool invvpid_type(const struct cpu *c, u64 type)
{
	static const enum feature feature[] = {
	        FEAT_VMX_INVVPID_SINGLE_ADDR,
	        FEAT_VMX_INVVPID_SINGLE_CONTEXT,
	        FEAT_VMX_INVVPID_ALL_CONTEXT,
	        FEAT_VMX_INVVPID_SINGLE_CONTEXT_NOGLOBALS,
	};

	return type < ARRAY_LEN(feature) && has(c, feature[type]);
}

static enum xr invvpid(struct cpu *c, const struct insn *i)
{
	u64 d[2], type;

	TRY(gate(c, i, ICPT_INVVPID));
	type = reg_get(c, i->r0, mode64(c) ? 8 : 4);
	if (!invvpid_type(c, type))
		return vmx_fail(c, 28);
	TRY(op_read128(c, i, d));
	if (d[0] >> 16 || (type != 2 && !d[0]) ||
	    (type == 0 && !is_canonical(d[1], has(c, FEAT_LA57) ? 57 : 48)))
		return vmx_fail(c, 28);
	if (type == 0)
		vmx_flush_vpid_page(c, (u32)d[0], d[1]);
	else
		vmx_flush_vpid(c, (u32)d[0], type == 2, type == 3);
	return vmx_succeed(c);
}

/* clang-format off */
#define FLAGS (ROW_NO_REAL | ROW_NO_V86 | ROW_COMPAT_UD | ROW_LATE_ICPT)
#define ROW_OF(feature_, m, text, function, flags_) \
	{.mnemonic = ZYDIS_MNEMONIC_##m, .flags = FLAGS | (flags_), .feature = FEAT_##feature_, \
	 .icpt = ICPT_##m, .form = text, .fn = function}
#define ROW(m, text, function, flags_) ROW_OF(VMX, m, text, function, flags_)

static const struct insn_row rows[] = {
	ROW(VMXON,    "VMXON m64",          vmxon,    ROW_END),
	ROW(VMXOFF,   "VMXOFF",             vmxoff,   ROW_END),
	ROW(VMCLEAR,  "VMCLEAR m64",        vmclear,  0),
	ROW(VMPTRLD,  "VMPTRLD m64",        vmptrld,  0),
	ROW(VMPTRST,  "VMPTRST m64",        vmptrst,  0),
	ROW(VMREAD,   "VMREAD r/m, r",      vmread,   0),
	ROW(VMWRITE,  "VMWRITE r, r/m",     vmwrite,  0),
	ROW(VMLAUNCH, "VMLAUNCH",           vmlaunch, ROW_BRANCH | ROW_END),
	ROW(VMRESUME, "VMRESUME",           vmresume, ROW_BRANCH | ROW_END),
	{.mnemonic = ZYDIS_MNEMONIC_VMCALL, .flags = ROW_LATE_ICPT | ROW_END, .feature = FEAT_VMX,
	 .icpt = ICPT_VMCALL, .form = "VMCALL", .fn = vmcall},
	ROW_OF(VMX_INVEPT, INVEPT, "INVEPT r, m128", invept, ROW_END),
	ROW_OF(VMX_INVVPID, INVVPID, "INVVPID r, m128", invvpid, ROW_END),
	{.mnemonic = ZYDIS_MNEMONIC_VMFUNC, .flags = ROW_END, .feature = FEAT_VMX, .form = "VMFUNC",
	 .fn = vmx_vmfunc},
};
/* clang-format on */

const struct row_set vmx_rows = {rows, ARRAY_LEN(rows)};

/* ---- the rest of what the processor calls ---- */

static void iret(struct cpu *c)
{
	(void)c; /* virtual blocking is cpu->nmi_blocked while virtual NMIs are on */
}

/* "Changes to Instruction Behavior", IRET: with NMI exiting and no virtual NMIs it does not touch blocking. */
static bool iret_keeps_nmi(struct cpu *c)
{
	return (vmcs_get(vmx_of(c), VMCS_PIN_CONTROLS) & (PIN_NMI | PIN_VIRTUAL_NMI)) == PIN_NMI;
}

/* With virtual NMIs physical ones are never blocked in the guest. */
static bool nmi_masked(struct cpu *c, bool *blocked)
{
	if (!vmx_virtual_nmis(vmx_of(c)))
		return false;
	*blocked = false;
	return true;
}

#define MSR_SPEC_CTRL 0x48u

/* "Virtualizing IA32_SPEC_CTRL": the guest sees the shadow; the mask's bits keep the monitor's value. */
static enum xr spec_ctrl(struct cpu *c, bool write, u64 *value)
{
	struct vmx *v = vmx_of(c);
	u64 own = vmcs_get(v, VMCS_SPEC_CTRL_MASK), now;

	if (!write) {
		*value = vmcs_get(v, VMCS_SPEC_CTRL_SHADOW);
		return XR_OK;
	}
	if (!msr_read(c, MSR_SPEC_CTRL, &now) || !msr_write(c, MSR_SPEC_CTRL, (now & own) | (*value & ~own)))
		return fault_gp(c, 0);
	vmcs_set(v, VMCS_SPEC_CTRL_SHADOW, *value);
	return XR_OK;
}

/* "Virtualizing MSR-Based APIC Accesses" */
static bool msr_virtual(struct cpu *c, const struct insn *i, u32 index, bool write, u64 *value, enum xr *r)
{
	(void)i;
	if (index == MSR_SPEC_CTRL && (vmx_proc3(vmx_of(c)) & PROC3_SPEC_CTRL)) {
		*r = spec_ctrl(c, write, value);
		return true;
	}
	return vmx_x2apic(c, index, write, value, r);
}

/* With external-interrupt exiting RFLAGS.IF does not matter. */
static bool intr_masked(struct cpu *c, bool *masked)
{
	if (!c->guest || !(vmcs_get(vmx_of(c), VMCS_PIN_CONTROLS) & PIN_EXT_INT))
		return false;
	*masked = false;
	return true;
}

/* "Restrictions on VMX Operation": fixed bits of CR0 and CR4; 81h asks whether INIT may be taken. */
static bool cr_ok(struct cpu *c, unsigned n, u64 value)
{
	u64 fixed0 = VMX_CR0_FIXED0;

	if (!c->virt_root)
		return true;
	if (c->guest && (vmx_proc2(vmx_of(c)) & PROC2_UNRESTRICTED))
		fixed0 &= ~(CR0_PE | CR0_PG);
	switch (n) {
	case 0: return (value & fixed0) == fixed0;
	case 4: return (value & VMX_CR4_FIXED0) == VMX_CR4_FIXED0;
	case 0x81: return false;
	default: return true;
	}
}

static enum status init(struct cpu *c)
{
	c->virt_state = base_alloc(sizeof(struct vmx));
	if (!c->virt_state)
		return ST_NOMEM;
	vmx_timer_init(c);
	return ST_OK;
}

static void fini(struct cpu *c)
{
	base_free(c->virt_state);
	c->virt_state = NULL;
}

static void reset(struct cpu *c, bool is_init)
{
	timer_disarm(&vmx_of(c)->preempt);
	memset(c->virt_state, 0, sizeof(struct vmx));
	vmx_timer_init(c);
	vmx_caps_fill(c);
	vmx_of(c)->preempt_end = ~0ull;
	vmx_of(c)->current = vmx_of(c)->shadow = VMCS_NONE;
	if (!is_init)
		c->feature_control = 0;
}

static void loaded(struct cpu *c)
{
	struct vmx *v = vmx_of(c);

	v->space_now = 0;
	v->checked = 0;
	vmx_caps_fill(c);
	vmx_timer_rearm(c);
}

/* clang-format off */
static const struct state_row state_rows[] = {
	STATE(1, struct vmx, vmxon_pa), STATE(2, struct vmx, current), STATE_ARRAY(3, struct vmx, f), STATE(4,
	 struct vmx, launched),
	STATE_ARRAY(5, struct vmx, space_key), STATE(6, struct vmx, space_next), STATE(7, struct vmx, injecting),
	STATE(8, struct vmx, preempt_end), STATE(9, struct vmx, ple_first), STATE(10, struct vmx, ple_last),
	STATE(11, struct vmx, apic_todo), STATE(12, struct vmx, virq), STATE(13, struct vmx, apic_offset),
	STATE(14, struct vmx, is_shadow), STATE(15, struct vmx, shadow), STATE_ARRAY(16, struct vmx, shadow_f),
};
/* clang-format on */

const struct virt_ops vmx_ops = {
        .name = "vmx",
        .init = init,
        .fini = fini,
        .reset = reset,
        .loaded = loaded,
        .rows = state_rows,
        .row_count = ARRAY_LEN(state_rows),
        .intercept = vmx_intercept,
        .io = vmx_io,
        .msr = vmx_msr,
        .cr_write = vmx_cr_write,
        .cr_read = vmx_cr_read,
        .event = vmx_event,
        .stage2 = vmx_stage2,
        .tsc = vmx_tsc,
        .delay = vmx_delay,
        .iret = iret,
        .exit = vmx_exit,
        .shutdown = vmx_shutdown,
        .virq_ready = vmx_virq_ready,
        .virq_take = vmx_virq_take,
        .virq_first = true,
        .intr = vmx_intr,
        .nmi_masked = nmi_masked,
        .iret_keeps_nmi = iret_keeps_nmi,
        .flushed = vmx_guest_flushed,
        .page_trap = vmx_page_trap,
        .trap = vmx_trap,
        .msr_virtual = msr_virtual,
        .cr8_read = vmx_cr8_read,
        .cr8_write = vmx_cr8_write,
        .intr_masked = intr_masked,
        .undefined = vmx_undefined,
        .mwait_passes = vmx_mwait_passes,
        .cr_ok = cr_ok,
        .intercept_first = true,
};
