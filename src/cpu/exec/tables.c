/*
 * Descriptor-table registers, LDTR and TR, and the instructions that ask what a selector may do. The gate has tested what
 * the row says (#UD, CPL, plain intercepts). SDM 2, APM 3 "System Instruction Reference"; SVM's order: APM 2 "Instruction
 * Intercepts".
 */
#include "cpu/control/msr.h"
#include "cpu/control/segs.h"
#include "cpu/exec/sysop.h"
#include "cpu/state/flags.h"

/* ---- descriptor-table registers ---- */

static enum xr load_table(struct cpu *c, const struct insn *i, u64 *base, u32 *limit)
{
	unsigned size = mode64(c) ? 8 : 4, acc = i->seg == SEG_SS ? ACC_STACK : 0;
	u16 lim;
	la_t la;

	TRY(insn_la(c, i, size + 2, ACC_READ, &la));
	TRY(mem_read16(c, la, acc, &lim));
	TRY(mem_read(c, la + 2, size, acc, base));
	if (size == 8 && !is_canonical(*base, msr_la_bits(c)))
		return fault_gp(c, 0);
	if (size == 4 && i->opsz == 2)
		*base &= 0xffffff;
	*limit = lim;
	return XR_OK;
}

static enum xr store_table(struct cpu *c, const struct insn *i, unsigned icpt, u64 base, u32 limit)
{
	unsigned size = mode64(c) ? 8 : 4;
	struct span s;
	u8 buf[10];
	la_t la;

	TRY(umip(c));
	TRY(icpt_test(c, i, icpt, 0));
	memcpy(buf, &limit, 2);
	memcpy(buf + 2, &base, size);
	TRY(insn_la(c, i, size + 2, ACC_WRITE, &la));
	TRY(mem_span(c, la, size + 2, ACC_WRITE | (i->seg == SEG_SS ? ACC_STACK : 0), &s));
	span_write(c, &s, 0, buf, size + 2);
	return XR_OK;
}

static enum xr lgdt(struct cpu *c, const struct insn *i)
{
	u64 base = 0;
	u32 limit = 0;

	TRY(load_table(c, i, &base, &limit));
	c->gdtr.base = base;
	c->gdtr.limit = limit;
	return XR_OK;
}

static enum xr lidt(struct cpu *c, const struct insn *i)
{
	u64 base = 0;
	u32 limit = 0;

	TRY(load_table(c, i, &base, &limit));
	c->idtr.base = base;
	c->idtr.limit = limit;
	c->lidt = true;
	return XR_OK;
}

static enum xr sgdt(struct cpu *c, const struct insn *i)
{
	return store_table(c, i, ICPT_GDTR_READ, c->gdtr.base, c->gdtr.limit);
}

static enum xr sidt(struct cpu *c, const struct insn *i)
{
	return store_table(c, i, ICPT_IDTR_READ, c->idtr.base, c->idtr.limit);
}

static enum xr lldt(struct cpu *c, const struct insn *i)
{
	u16 sel;

	TRY(read_rm16(c, i, i->r0, &sel));
	return seg_load_ldtr(c, sel);
}

static enum xr ltr(struct cpu *c, const struct insn *i)
{
	u16 sel;

	TRY(read_rm16(c, i, i->r0, &sel));
	return seg_load_tr(c, sel);
}

static enum xr sldt(struct cpu *c, const struct insn *i)
{
	TRY(umip(c));
	TRY(icpt_test(c, i, ICPT_LDTR_READ, 0));
	return store_word(c, i, c->seg[SEG_LDTR].sel);
}

static enum xr str(struct cpu *c, const struct insn *i)
{
	TRY(umip(c));
	TRY(icpt_test(c, i, ICPT_TR_READ, 0));
	return store_word(c, i, c->seg[SEG_TR].sel);
}

/* ---- selector checks: LAR LSL VERR VERW ARPL ---- */

/* Bit n: system descriptor type n. */
#define LAR_TYPES      0x1a3eu /* TSS16, LDT, busy TSS16, CALL16, task gate, TSS32, busy TSS32, CALL32 */
#define LAR_TYPES_LONG 0x1a04u
#define LSL_TYPES      0x0a0eu
#define LSL_TYPES_LONG 0x0a04u

/* The descriptor of sel, if this privilege level may know of it. */
static enum xr visible(struct cpu *c, u16 sel, u32 system_types, u64 *desc, bool *ok)
{
	u64 d[2];
	la_t at;

	*ok = false;
	if (sel_null(sel))
		return XR_OK;
	TRY(desc_fetch(c, sel, d, &at, ok));
	*desc = d[0];
	if (!*ok)
		return XR_OK;

	unsigned type = desc_type(d[0]), dpl = desc_dpl(d[0]);
	bool conforming = !desc_is_system(d[0]) && (type & (AR_CODE | AR_E)) == (AR_CODE | AR_E);

	if (desc_is_system(d[0]) && !(system_types & BIT(type)))
		*ok = false;
	if (!conforming && (dpl < c->cpl || dpl < (sel & 3u)))
		*ok = false;
	return XR_OK;
}

static enum xr lar(struct cpu *c, const struct insn *i)
{
	u16 sel;
	u64 d = 0;
	bool ok;

	TRY(read_rm16(c, i, i->r1, &sel));
	TRY(visible(c, sel, long_mode(c) ? LAR_TYPES_LONG : LAR_TYPES, &d, &ok));
	if (ok)
		reg_set(c, i->r0, i->opsz, (d >> 32) & 0x00ffff00);
	cc_set_zf(c, ok);
	return XR_OK;
}

static enum xr lsl(struct cpu *c, const struct insn *i)
{
	u16 sel;
	u64 d = 0;
	bool ok;

	TRY(read_rm16(c, i, i->r1, &sel));
	TRY(visible(c, sel, long_mode(c) ? LSL_TYPES_LONG : LSL_TYPES, &d, &ok));
	if (ok)
		reg_set(c, i->r0, i->opsz, seg_from_descriptor(sel, d).limit);
	cc_set_zf(c, ok);
	return XR_OK;
}

static enum xr verr(struct cpu *c, const struct insn *i)
{
	u16 sel;
	u64 d = 0;
	bool ok;

	TRY(read_rm16(c, i, i->r0, &sel));
	TRY(visible(c, sel, 0, &d, &ok));
	cc_set_zf(c, ok && (desc_is_data(d) || (desc_type(d) & AR_W)));
	return XR_OK;
}

static enum xr verw(struct cpu *c, const struct insn *i)
{
	u16 sel;
	u64 d = 0;
	bool ok;

	TRY(read_rm16(c, i, i->r0, &sel));
	TRY(visible(c, sel, 0, &d, &ok));
	cc_set_zf(c, ok && desc_is_data(d) && (desc_type(d) & AR_W));
	return XR_OK;
}

static enum xr arpl(struct cpu *c, const struct insn *i)
{
	u16 dst, src = reg16(c, i->r1);

	if (i->flags & INSN_MEM)
		TRY(op_read16(c, i, &dst));
	else
		dst = reg16(c, i->r0);

	bool raise = (dst & 3) < (src & 3);

	if (raise) {
		dst = (u16)((dst & ~3) | (src & 3));
		if (i->flags & INSN_MEM)
			TRY(op_write16(c, i, dst)); /* only now: what needs no change may be read-only */
		else
			set_reg16(c, i->r0, dst);
	}
	cc_set_zf(c, raise);
	return XR_OK;
}

/* ---- rows ---- */

#define M(name) .mnemonic = ZYDIS_MNEMONIC_##name
#define PM (ROW_NO_REAL | ROW_NO_V86)
/* clang-format off */
static const struct insn_row rows[] = {
	{M(LGDT), .form = "LGDT m", .fn = lgdt, .flags = ROW_CPL0, .icpt = ICPT_GDTR_WRITE},
	{M(LIDT), .form = "LIDT m", .fn = lidt, .flags = ROW_CPL0, .icpt = ICPT_IDTR_WRITE},
	{M(SGDT), .form = "SGDT m", .fn = sgdt, .flags = ROW_LATE_ICPT, .icpt = ICPT_GDTR_READ},
	{M(SIDT), .form = "SIDT m", .fn = sidt, .flags = ROW_LATE_ICPT, .icpt = ICPT_IDTR_READ},
	{M(LLDT), .form = "LLDT r/m16", .fn = lldt, .flags = ROW_CPL0 | PM, .icpt = ICPT_LDTR_WRITE},
	{M(LTR), .form = "LTR r/m16", .fn = ltr, .flags = ROW_CPL0 | PM, .icpt = ICPT_TR_WRITE},
	{M(SLDT), .form = "SLDT r/m", .fn = sldt, .flags = PM | ROW_LATE_ICPT, .icpt = ICPT_LDTR_READ},
	{M(STR), .form = "STR r/m", .fn = str, .flags = PM | ROW_LATE_ICPT, .icpt = ICPT_TR_READ},
	{M(LAR), .form = "LAR r, r/m16", .fn = lar, .flags = PM},
	{M(LSL), .form = "LSL r, r/m16", .fn = lsl, .flags = PM},
	{M(VERR), .form = "VERR r/m16", .fn = verr, .flags = PM},
	{M(VERW), .form = "VERW r/m16", .fn = verw, .flags = PM},
	{M(ARPL), .form = "ARPL r/m16, r16", .fn = arpl, .flags = PM | ROW_NOT64},
};
/* clang-format on */

const struct row_set exec_tables_rows = {rows, ARRAY_LEN(rows)};
