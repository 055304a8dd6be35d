/*
 * Control and debug registers: MOV to and from them, CLTS, LMSW, SMSW. The gate has tested what the row says (#UD, CPL,
 * plain intercepts); what depends on operands is here. SDM 2, APM 3 "System Instruction Reference"; SVM's order: APM 2
 * "Instruction Intercepts".
 */
#include "cpu/apic/apic.h"
#include "cpu/exec/sysop.h"

/* ---- control registers ---- */

static bool cr_exists(unsigned n)
{
	return n == 0 || n == 2 || n == 3 || n == 4 || n == 8;
}

/* #GP conditions that do not touch memory: SVM's intercept comes after them, VMX's exit before. */
static enum xr cr_precheck(struct cpu *c, unsigned n, u64 v)
{
	bool ok = true;

	if (n == 0)
		return cr0_valid(c, v | CR0_ET) ? XR_OK : cr_refuse(c, CONTROL_CR0, v);
	if (n == 4)
		return cr4_valid(c, v) ? XR_OK : cr_refuse(c, CONTROL_CR4, v);
	if (n == 3)
		ok = !long_mode(c) || !((c->cr4 & CR4_PCIDE ? v & ~BIT(63) : v) >> c->phys_bits);
	else if (n == 8)
		ok = v < 16;
	return ok ? XR_OK : fault_gp(c, 0);
}

static enum xr cr8_set(struct cpu *c, const struct insn *i, u64 v)
{
	if (v > 15)
		return fault_gp(c, 0);
	if (c->guest)
		return c->virt->irq.cr8_write(c, i, v);
	apic_set_tpr(c, (u8)(v << 4));
	return XR_OK;
}

static enum xr cr_set(struct cpu *c, const struct insn *i, unsigned n, u64 v)
{
	switch (n) {
	case 0: return cr0_write(c, v);
	case 2: c->cr2 = v; return XR_OK;
	case 3: return cr3_write(c, v);
	case 4: return cr4_write(c, v);
	default: return cr8_set(c, i, v);
	}
}

static enum xr mov_to_cr(struct cpu *c, const struct insn *i)
{
	unsigned n = i->r0;
	struct cr_write w = {.n = n, .op = CR_MOV, .value = reg_get(c, i->r1, native_size(c))};

	if (!cr_exists(n))
		return fault_ud(c);
	if (c->cpl != 0)
		return fault_gp(c, 0);
	if (likely(!c->guest))
		return cr_set(c, i, n, w.value);
	if (!c->virt->guest.intercept_first)
		TRY(cr_precheck(c, n, w.value));
	TRY(icpt_test(c, i, ICPT_CR0_WRITE + n, w.value));
	TRY(c->virt->guest.cr_write(c, i, &w));
	TRY(cr_set(c, i, n, w.value));
	return icpt_test(c, i, ICPT_CR0_WRITE_TRAP + n, n == 0 ? c->cr0 : w.value); /* ET stays what it is */
}

static u64 cr_get(struct cpu *c, unsigned n)
{
	u64 v;

	switch (n) {
	case 0: v = c->cr0; break;
	case 2: return c->cr2;
	case 3: return c->cr3;
	case 4: v = c->cr4; break;
	default: return c->guest ? c->virt->irq.cr8_read(c) : c->apic.tpr >> 4;
	}
	return c->guest ? c->virt->guest.cr_read(c, n, v) : v;
}

static enum xr mov_from_cr(struct cpu *c, const struct insn *i)
{
	unsigned n = i->r1;

	if (!cr_exists(n))
		return fault_ud(c);
	if (c->cpl != 0)
		return fault_gp(c, 0);
	TRY(icpt_test(c, i, ICPT_CR0_READ + n, 0));
	reg_set(c, i->r0, native_size(c), cr_get(c, n));
	return XR_OK;
}

/* CLTS and LMSW: writes to CR0 that the vendor may see under their own name. */
static enum xr cr0_partial(struct cpu *c, const struct insn *i, struct cr_write *w)
{
	if (c->guest)
		TRY(c->virt->guest.cr_write(c, i, w));
	TRY(cr0_write(c, w->value));
	return icpt_test(c, i, ICPT_CR0_WRITE_TRAP, c->cr0);
}

static enum xr clts(struct cpu *c, const struct insn *i)
{
	TRY(icpt_test(c, i, ICPT_CR0_WRITE, 0));
	return cr0_partial(c, i, &(struct cr_write){.op = CR_CLTS, .value = c->cr0 & ~CR0_TS});
}

static enum xr lmsw(struct cpu *c, const struct insn *i)
{
	const u64 m = CR0_MP | CR0_EM | CR0_TS;
	u16 v;

	TRY(icpt_test(c, i, ICPT_CR0_WRITE, 0));
	TRY(icpt_test(c, i, ICPT_CR0_SEL_WRITE, 0)); /* whatever the value, and before the operand is read */
	TRY(read_rm16(c, i, i->r0, &v));
	return cr0_partial(c, i, &(struct cr_write){.op = CR_LMSW, .value = (c->cr0 & ~m) | (v & (m | CR0_PE)), .operand = v});
}

static enum xr smsw(struct cpu *c, const struct insn *i)
{
	TRY(umip(c));
	TRY(icpt_test(c, i, ICPT_CR0_READ, 0));
	return store_word(c, i, cr_get(c, 0));
}

/* ---- debug registers ---- */

/* The exceptions of CR4.DE and of the privilege level. */
static enum xr dr_check(struct cpu *c, unsigned n)
{
	if ((n & 6) == 4 && (c->cr4 & CR4_DE))
		return fault_ud(c);
	return c->cpl ? fault_gp(c, 0) : XR_OK;
}

/* *n becomes the register the number names. VMX exits before every exception but that of a register that cannot exist,
 * SVM after all of them. */
static enum xr dr_gate(struct cpu *c, const struct insn *i, unsigned *n, unsigned icpt)
{
	unsigned number = *n & 15;

	if (*n > 7)
		return fault_ud(c);
	if (c->guest && c->virt->guest.intercept_first) {
		if (quirk(c, QUIRK_VMX_FIRST)) /* 2004, "Relative Priority of IA-32 Faults and VM Exits" */
			TRY(dr_check(c, *n));
		TRY(icpt_test(c, i, icpt + number, 0));
	}
	TRY(dr_check(c, *n));
	if ((*n & 6) == 4)
		*n += 2;
	if (c->dr7 & DR7_GD)
		return fault_db(c, DR6_BD);
	return c->guest && !c->virt->guest.intercept_first ? icpt_test(c, i, icpt + number, 0) : XR_OK;
}

static enum xr mov_to_dr(struct cpu *c, const struct insn *i)
{
	unsigned n = i->r0;
	u64 v = reg_get(c, i->r1, native_size(c));

	if ((n & 6) == 6 && v >> 32 && !(c->guest && c->virt->guest.intercept_first) && c->cpl == 0 && !(c->dr7 & DR7_GD))
		return fault_gp(c, 0);
	TRY(dr_gate(c, i, &n, ICPT_DR0_WRITE));
	if (n >= 6 && v >> 32)
		return fault_gp(c, 0);
	if (n < 4)
		c->dr[n] = v;
	else if (n == 6)
		c->dr6 = (v & (0xe00f | DR6_BLD)) | dr6_fixed(c);
	else
		c->dr7 = (v & 0xffff23ff) | DR7_RESET;
	mmu_update_context(c);
	cpu_update_mode(c);
	return XR_OK;
}

static enum xr mov_from_dr(struct cpu *c, const struct insn *i)
{
	unsigned n = i->r1;

	TRY(dr_gate(c, i, &n, ICPT_DR0_READ));
	reg_set(c, i->r0, native_size(c), n < 4 ? c->dr[n] : n == 6 ? c->dr6 : c->dr7);
	return XR_OK;
}

/* ---- rows ---- */

static bool is_class(const struct dec *d, unsigned k, ZydisRegisterClass cl)
{
	return d->op[k].type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(d->op[k].reg.value) == cl;
}

static bool to_cr(const struct dec *d) { return is_class(d, 0, ZYDIS_REGCLASS_CONTROL); }
static bool from_cr(const struct dec *d) { return is_class(d, 1, ZYDIS_REGCLASS_CONTROL); }
static bool to_dr(const struct dec *d) { return is_class(d, 0, ZYDIS_REGCLASS_DEBUG); }
static bool from_dr(const struct dec *d) { return is_class(d, 1, ZYDIS_REGCLASS_DEBUG); }

#define M(name) .mnemonic = ZYDIS_MNEMONIC_##name
/* clang-format off */
static const struct insn_row rows[] = {
	{M(MOV), .form = "MOV CRn, r", .match = to_cr, .fn = mov_to_cr, .flags = ROW_END | ROW_LOCK},
	{M(MOV), .form = "MOV r, CRn", .match = from_cr, .fn = mov_from_cr, .flags = ROW_LOCK, .undef_flags = FL_ARITH},
	{M(MOV), .form = "MOV DRn, r", .match = to_dr, .fn = mov_to_dr, .flags = ROW_END, .undef_flags = FL_ARITH},
	{M(MOV), .form = "MOV r, DRn", .match = from_dr, .fn = mov_from_dr, .undef_flags = FL_ARITH},
	{M(CLTS), .form = "CLTS", .fn = clts, .flags = ROW_CPL0 | ROW_END},
	{M(LMSW), .form = "LMSW r/m16", .fn = lmsw, .flags = ROW_CPL0 | ROW_END},
	{M(SMSW), .form = "SMSW r/m", .fn = smsw},
};
/* clang-format on */

const struct row_set exec_cregs_rows = {rows, ARRAY_LEN(rows)};
