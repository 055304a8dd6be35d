/*
 * The instructions of VMX, in the order of the manual's Operation listings: #UD outside VMX operation, the VM exit in
 * non-root operation, #GP(0) by CPL, then the operand. "VMX Instruction Reference".
 */
#include <stdio.h>

#include "cpu/exec/exec.h"
#include "cpu/state/watch.h"
#include "vmx/vmx.h"

static inlined enum xr gate(struct cpu *c, const struct insn *i, enum icpt id)
{
	if (!c->virt_root)
		return vmx_refuse_insn(c, i, VMX_WHY_OUTSIDE, c->cr4, 0);
	TRY(icpt_test(c, i, id, 0));
	return c->cpl ? vmx_refuse_insn(c, i, VMX_WHY_CPL, c->cpl, 0) : XR_OK;
}

/* ---- operands ---- */

/* Of a pointer that is not page-aligned or too wide: the first, or the second, of two rows. */
static enum vmx_why bad_pointer(const struct cpu *c, u64 pa, enum vmx_why aligned, enum vmx_why wide)
{
	if (!is_aligned(pa, PAGE_SIZE))
		return aligned;
	return pa >> c->phys_bits ? wide : VMX_WHYS;
}

/* ---- entering and leaving VMX operation ---- */

/* In 2004 neither an MSR nor the A20 gate is asked. */
static enum xr may_vmxon(struct cpu *c, const struct insn *i)
{
	if (!(c->cr4 & CR4_VMXE))
		return vmx_refuse_insn(c, i, VMX_WHY_VMXON_VMXE, c->cr4, 0);
	if (c->cpl)
		return vmx_refuse_insn(c, i, VMX_WHY_CPL, c->cpl, 0);
	if (cpu_sees(c)->a20_masked && !quirk(c, QUIRK_VMX_FIRST))
		return vmx_refuse_insn(c, i, VMX_WHY_VMXON_A20M, 1, 0);
	if ((c->cr0 & VMX_CR0_FIXED0) != VMX_CR0_FIXED0)
		return vmx_refuse_insn(c, i, VMX_WHY_VMXON_CR0, c->cr0, 0);
	if (quirk(c, QUIRK_VMX_FIRST))
		return XR_OK;
	if (!(c->feature_control & 1))
		return vmx_refuse_insn(c, i, VMX_WHY_VMXON_UNLOCKED, c->feature_control, 0);
	if (!(c->feature_control & 4))
		return vmx_refuse_insn(c, i, VMX_WHY_VMXON_DISABLED, c->feature_control, 0);
	return XR_OK;
}

/* What the first doubleword of a region says. In 2004 software writes none: "Memory Region Provided to VMXON". */
static u32 revision_at(struct cpu *c, u64 pa)
{
	return quirk(c, QUIRK_VMX_FIRST) ? vmx_revision(c) : cpu_read_u32(c, BY_VIRT, pa);
}

static enum xr vmxon(struct cpu *c, const struct insn *i)
{
	struct vmx *v = vmx_of(c);
	enum vmx_why why;
	u32 revision;
	u64 pa;

	if (c->virt_root) {
		TRY(gate(c, i, ICPT_VMXON));
		return vmx_refuse_insn(c, i, VMX_WHY_VMXON_ROOT, v->vmxon_pa, 0);
	}
	TRY(may_vmxon(c, i));
	TRY(op_read(c, i, 8, &pa));
	v->current = VMCS_NONE;
	why = bad_pointer(c, pa, VMX_WHY_VMXON_ALIGNED, VMX_WHY_VMXON_WIDE);
	if (why != VMX_WHYS)
		return vmx_refuse_insn(c, i, why, pa, 0);
	revision = revision_at(c, pa);
	if (revision != vmx_revision(c))
		return vmx_refuse_insn(c, i, VMX_WHY_VMXON_REVISION, revision, pa);
	v->vmxon_pa = quirk(c, QUIRK_VMX_FIRST) ? VMCS_NONE : pa; /* 2004: it may become a VMCS */
	c->virt_root = true;
	if (unlikely(c->watch))
		c->watch->vmxon(c, pa);
	if (cpu_sees(c)->a20_masked)
		tlb_flush_all(c); /* A20M is blocked from here on */
	return vmx_succeed(c);
}

static enum xr vmxoff(struct cpu *c, const struct insn *i)
{
	struct vmx *v = vmx_of(c);

	TRY(gate(c, i, ICPT_VMXOFF));
	if (v->dual)
		return vmx_refuse_insn(c, i, VMX_WHY_VMXOFF_DUAL, v->transfer, 0);
	if (unlikely(c->watch))
		c->watch->vmxoff(c);
	vmx_region_leave(c);
	vmx_shadow_leave(c, v->shadow);
	c->virt_root = false;
	if (!(v->smm_ctl & SMM_CTL_KEEPS_BLOCKING))
		c->smi_blocked = false;
	cpu_recheck(c); /* INIT is no longer blocked */
	if (cpu_sees(c)->a20_masked)
		tlb_flush_all(c); /* nor is A20M */
	return vmx_succeed(c);
}

/* ---- the current VMCS ---- */

static enum xr vmclear(struct cpu *c, const struct insn *i)
{
	struct vmx *v = vmx_of(c);
	enum vmx_why why;
	u64 pa;

	TRY(gate(c, i, ICPT_VMCLEAR));
	TRY(op_read(c, i, 8, &pa));
	why = bad_pointer(c, pa, VMX_WHY_VMCLEAR_ALIGNED, VMX_WHY_VMCLEAR_WIDE);
	if (why != VMX_WHYS)
		return vmx_refuse_insn(c, i, why, pa, 0);
	if (pa == v->vmxon_pa)
		return vmx_refuse_insn(c, i, VMX_WHY_VMCLEAR_VMXON, pa, 0);
	if (pa == v->current) {
		v->launched = false;
		vmx_region_leave(c);
	}
	vmx_shadow_leave(c, pa);
	vmx_diary_cleared(c, pa);
	cpu_write_u32(c, BY_VIRT, pa + VMCS_REGION_LAUNCHED, 0);
	if (unlikely(c->watch))
		c->watch->vmclear(c, pa);
	return vmx_succeed(c);
}

static enum xr vmptrld(struct cpu *c, const struct insn *i)
{
	struct vmx *v = vmx_of(c);
	enum vmx_why why;
	u32 revision;
	u64 pa;

	TRY(gate(c, i, ICPT_VMPTRLD));
	TRY(op_read(c, i, 8, &pa));
	why = bad_pointer(c, pa, VMX_WHY_VMPTRLD_ALIGNED, VMX_WHY_VMPTRLD_WIDE);
	if (why != VMX_WHYS)
		return vmx_refuse_insn(c, i, why, pa, 0);
	if (pa == v->vmxon_pa)
		return vmx_refuse_insn(c, i, VMX_WHY_VMPTRLD_VMXON, pa, 0);
	revision = revision_at(c, pa);
	if ((revision & ~VMCS_SHADOW) != vmx_revision(c))
		return vmx_refuse_insn(c, i, VMX_WHY_VMPTRLD_REVISION, revision, pa);
	if ((revision & VMCS_SHADOW) && !has(c, FEAT_VMX_SHADOW_VMCS))
		return vmx_refuse_insn(c, i, VMX_WHY_VMPTRLD_SHADOW, revision, pa);
	if (pa != v->current) {
		vmx_region_leave(c);
		vmx_shadow_leave(c, pa);
		vmx_region_enter(c, pa, (revision & VMCS_SHADOW) != 0);
	}
	if (unlikely(c->watch))
		c->watch->vmptrld(c, pa);
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
static u64 *target(struct cpu *c, u32 encoding)
{
	return (c->guest ? vmx_shadow(c) : vmx_of(c)->f) + vmcs_slot(encoding & ~1u);
}

static bool no_target(const struct cpu *c)
{
	const struct vmx *v = vmx_of(c);

	return c->guest ? vmcs_get(v, VMCS_LINK_POINTER) == VMCS_NONE : v->current == VMCS_NONE;
}

static u64 field_read(struct cpu *c, u32 encoding, unsigned size)
{
	u64 value = *target(c, encoding);

	return encoding & 1 ? value >> 32 : low_bytes(value, size);
}

/* Stores fit the field: outside 64-bit mode bits 63:32 become 0, and the high half is written alone. */
static void field_write(struct cpu *c, const struct insn *i, u32 encoding, u64 value)
{
	u64 *field = target(c, encoding);

	switch (encoding >> 13 & 3) {
	case 0: value = (u16)value; break;
	case 1: value = encoding & 1 ? (*field & 0xffffffff) | value << 32 : value; break;
	case 2: value = (u32)value; break;
	default: break;
	}
	vmx_diary_write(c->guest ? vmx_of(c)->shadow_diary : vmx_of(c)->diary, c, i, insn_rip(c, i),
	                vmcs_slot(encoding & ~1u), *field);
	if (*field == value) /* monitors write host RSP again and again: it needs no new check */
		return;
	*field = value;
	if (!c->guest)
		vmcs_written(vmx_of(c), encoding & ~1u);
}

static cold void tell(struct cpu *c, bool write, u32 encoding, u64 value)
{
	static const u8 width[4] = {2, 8, 4, 8};
	const struct vmcs_field *f = vmcs_field_at(encoding);
	struct field_access a = {.write = write, .name = f->name, .value = value, .width = width[encoding >> 13 & 3]};

	if (!c->hooks->field || !(c->hooks->trace & (write ? TRACE_VMWRITE : TRACE_VMREAD)))
		return;
	if (encoding & 1)
		snprintf(a.decoded, sizeof(a.decoded), "high half");
	else
		vmx_decode_field(a.decoded, sizeof(a.decoded), encoding, value);
	c->hooks->field(c->hooks->arg, c, &a);
}

/* Somebody wants to know of each access. */
static inline void told(struct cpu *c, bool write, u64 encoding, u64 value)
{
	if (unlikely(c->hooks->trace & (TRACE_VMREAD | TRACE_VMWRITE)))
		tell(c, write, (u32)encoding, value);
}

static enum xr vmread(struct cpu *c, const struct insn *i)
{
	unsigned size = mode64(c) ? 8 : 4;
	u64 encoding, value;

	TRY(gate(c, i, ICPT_VMREAD));
	encoding = reg_get(c, i->r1, size);
	if (no_target(c))
		return vmx_refuse_insn(c, i, c->guest ? VMX_WHY_VMREAD_NO_LINK : VMX_WHY_VMREAD_NO_VMCS, encoding, VMCS_NONE);
	if (!vmx_field_slot(vmx_caps(c), encoding))
		return vmx_refuse_insn(c, i, VMX_WHY_VMREAD_FIELD, encoding, 0);
	value = field_read(c, (u32)encoding, size);
	if (unlikely(c->watch))
		vmx_watch_read(c, (u32)encoding & ~1u, value);
	if (i->flags & INSN_MEM)
		TRY(op_write(c, i, size, value));
	else
		reg_set(c, i->r0, size, value);
	told(c, false, encoding, value);
	return vmx_succeed(c);
}

/* The text of 2004 leaves the order open: there the operand is read first. */
static cold enum xr vmwrite_nowhere(struct cpu *c, const struct insn *i, unsigned size, u64 encoding)
{
	u64 value;

	if ((i->flags & INSN_MEM) && quirk(c, QUIRK_VMX_FIRST))
		TRY(op_read(c, i, size, &value));
	return vmx_refuse_insn(c, i, c->guest ? VMX_WHY_VMWRITE_NO_LINK : VMX_WHY_VMWRITE_NO_VMCS, encoding, VMCS_NONE);
}

static enum xr vmwrite(struct cpu *c, const struct insn *i)
{
	unsigned size = mode64(c) ? 8 : 4;
	u64 encoding, value;

	TRY(gate(c, i, ICPT_VMWRITE));
	encoding = reg_get(c, i->r0, size);
	if (no_target(c))
		return vmwrite_nowhere(c, i, size, encoding);
	if (i->flags & INSN_MEM)
		TRY(op_read(c, i, size, &value));
	else
		value = reg_get(c, i->r1, size);
	if (!vmx_field_slot(vmx_caps(c), encoding))
		return vmx_refuse_insn(c, i, VMX_WHY_VMWRITE_FIELD, encoding, 0);
	if ((encoding >> 10 & 3) == 1 && !has(c, FEAT_VMX_VMWRITE_VMEXIT_FIELDS))
		return vmx_refuse_insn(c, i, VMX_WHY_VMWRITE_READ_ONLY, encoding, 0);
	field_write(c, i, (u32)encoding, value);
	if (unlikely(c->watch))
		vmx_watch_written(c, (u32)encoding & ~1u);
	told(c, true, encoding, value);
	return vmx_succeed(c);
}

/* ---- ... as monitors use them: in root operation, registers in 64-bit code, and nobody looks ---- */

/* The slot of a field, in whole, that is there and may be accessed without a word; -1: by the instruction above. */
static inlined int plain_slot(const struct cpu *c, u64 encoding)
{
	const struct vmx *v = vmx_of(c);
	const bool looked_at = c->watch || (c->hooks->trace & (TRACE_VMREAD | TRACE_VMWRITE));

	if (unlikely(!c->virt_root | c->guest | (c->cpl != 0) | (v->current == VMCS_NONE) | looked_at | (encoding & 1)))
		return -1;
	return (int)vmx_field_slot(&v->caps, encoding) - 1;
}

static enum xr vmread_fast(struct cpu *c, const struct insn *i)
{
	const int slot = plain_slot(c, reg64(c, i->r1));

	if (unlikely(slot < 0))
		return insn_chain_call(c, i);
	set_reg64(c, i->r0, vmx_of(c)->f[slot]);
	(void)!vmx_succeed(c);
	return NEXT(c, i);
}

static enum xr vmwrite_fast(struct cpu *c, const struct insn *i)
{
	static const u64 bits_of[4] = {0xffff, ~0ull, 0xffffffff, ~0ull};
	const u64 encoding = reg64(c, i->r0), value = reg64(c, i->r1) & bits_of[encoding >> 13 & 3];
	const int slot = plain_slot(c, encoding);
	struct vmx *v = vmx_of(c);

	if (unlikely(slot < 0 || (encoding >> 10 & 3) == 1))
		return insn_chain_call(c, i);
	vmx_diary_write(v->diary, c, i, c->r[REG_RIP] + i->off, (unsigned)slot, v->f[slot]);
	if (v->f[slot] != value) {
		v->f[slot] = value;
		v->checked &= (u16)~v->readers[slot];
	}
	(void)!vmx_succeed(c);
	return NEXT(c, i);
}

static void bind_plain_access(struct insn *i, const struct dec *d)
{
	if ((d->mode & MODE_SIZE) == MODE_64 && !(i->flags & INSN_MEM))
		i->fast = d->row->fn == vmread ? vmread_fast : vmwrite_fast;
}

/* ---- VMLAUNCH, VMRESUME, VMCALL ---- */

/* A shadow VMCS cannot be entered. */
static enum xr launch(struct cpu *c, const struct insn *i, enum icpt id, bool resume)
{
	struct vmx *v = vmx_of(c);

	TRY(gate(c, i, id));
	if (v->current == VMCS_NONE || v->is_shadow) {
		enum xr r = vmx_refuse_insn(c, i, v->is_shadow && v->current != VMCS_NONE ? VMX_WHY_ENTRY_SHADOW : VMX_WHY_ENTRY_NO_VMCS,
		                            v->current, 0);
		c->r[REG_RIP] = next_rip(c, i);
		return r;
	}
	if (unlikely(c->smm) && !(vmcs_get(v, VMCS_ENTRY_CONTROLS) & ENTRY_SMM))
		return vmx_smm_return(c, i, resume);
	return vmx_enter(c, i, resume);
}

static enum xr vmlaunch(struct cpu *c, const struct insn *i)
{
	return launch(c, i, ICPT_VMLAUNCH, false);
}

static enum xr vmresume(struct cpu *c, const struct insn *i)
{
	return launch(c, i, ICPT_VMRESUME, true);
}

/* A guest may call from every mode; in root operation it is the monitor in SMM that is called. In 2004 it is not there. */
static enum xr vmcall(struct cpu *c, const struct insn *i)
{
	if (!c->virt_root)
		return vmx_refuse_insn(c, i, VMX_WHY_OUTSIDE, c->cr4, 0);
	TRY(icpt_test(c, i, ICPT_VMCALL, 0));
	if (quirk(c, QUIRK_VMX_FIRST))
		return vmx_refuse_insn(c, i, VMX_WHY_VMCALL_FIRST, vmx_of(c)->current, 0);
	if (v86_mode(c) || (long_mode(c) && !mode64(c)))
		return vmx_unavailable(c, i);
	return c->cpl ? vmx_refuse_insn(c, i, VMX_WHY_CPL, c->cpl, 0) : vmx_smm_call(c, i);
}

/* ---- INVEPT, INVVPID ---- */

static enum xr invept(struct cpu *c, const struct insn *i)
{
	u64 d[2], type;

	TRY(gate(c, i, ICPT_INVEPT));
	type = reg_get(c, i->r0, mode64(c) ? 8 : 4);
	if (!(type == 1 && has(c, FEAT_VMX_INVEPT_SINGLE_CONTEXT)) && !(type == 2 && has(c, FEAT_VMX_INVEPT_ALL_CONTEXT)))
		return vmx_refuse_insn(c, i, VMX_WHY_INVEPT_TYPE, type, 0);
	TRY(op_read128(c, i, d));
	if (type == 1 && !vmx_eptp_ok(c, d[0]))
		return vmx_refuse_insn(c, i, VMX_WHY_INVEPT_EPTP, d[0], type);
	vmx_flush_ept(c, d[0], type == 2);
	if (unlikely(c->watch))
		c->watch->tables.invept(c, d[0], type == 2);
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
		return vmx_refuse_insn(c, i, VMX_WHY_INVVPID_TYPE, type, 0);
	TRY(op_read128(c, i, d));
	if (d[0] >> 16)
		return vmx_refuse_insn(c, i, VMX_WHY_INVVPID_RESERVED, d[0], type);
	if (type != 2 && !d[0])
		return vmx_refuse_insn(c, i, VMX_WHY_INVVPID_ZERO, 0, type);
	if (type == 0 && !is_canonical(d[1], has(c, FEAT_LA57) ? 57 : 48))
		return vmx_refuse_insn(c, i, VMX_WHY_INVVPID_CANONICAL, d[1], d[0]);
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
	 .icpt = ICPT_##m, .form = text, .fn = function, .unavailable = vmx_unavailable}
#define ROW_BOUND(m, text, function) \
	{.mnemonic = ZYDIS_MNEMONIC_##m, .flags = FLAGS, .feature = FEAT_VMX, .bind = bind_plain_access, \
	 .icpt = ICPT_##m, .form = text, .fn = function, .unavailable = vmx_unavailable}
#define ROW(m, text, function, flags_) ROW_OF(VMX, m, text, function, flags_)

static const struct insn_row rows[] = {
	ROW(VMXON,    "VMXON m64",          vmxon,    ROW_END),
	ROW(VMXOFF,   "VMXOFF",             vmxoff,   ROW_END),
	ROW(VMCLEAR,  "VMCLEAR m64",        vmclear,  0),
	ROW(VMPTRLD,  "VMPTRLD m64",        vmptrld,  0),
	ROW(VMPTRST,  "VMPTRST m64",        vmptrst,  0),
	ROW_BOUND(VMREAD,  "VMREAD r/m, r",   vmread),
	ROW_BOUND(VMWRITE, "VMWRITE r, r/m",  vmwrite),
	ROW(VMLAUNCH, "VMLAUNCH",           vmlaunch, ROW_BRANCH | ROW_END),
	ROW(VMRESUME, "VMRESUME",           vmresume, ROW_BRANCH | ROW_END),
	{.mnemonic = ZYDIS_MNEMONIC_VMCALL, .flags = ROW_LATE_ICPT | ROW_END, .feature = FEAT_VMX,
	 .icpt = ICPT_VMCALL, .form = "VMCALL", .fn = vmcall, .unavailable = vmx_unavailable},
	ROW_OF(VMX_INVEPT, INVEPT, "INVEPT r, m128", invept, ROW_END),
	ROW_OF(VMX_INVVPID, INVVPID, "INVVPID r, m128", invvpid, ROW_END),
	{.mnemonic = ZYDIS_MNEMONIC_VMFUNC, .flags = ROW_END, .feature = FEAT_VMX, .form = "VMFUNC",
	 .fn = vmx_vmfunc, .unavailable = vmx_unavailable},
};
/* clang-format on */

const struct row_set vmx_rows = {rows, ARRAY_LEN(rows)};
