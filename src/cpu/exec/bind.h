/*
 * What the integer families share at bind time: the forms of an instruction by operand shape and size, and small readers
 * for handlers that are not worth specialising. Private to exec/.
 */
#ifndef CPU_EXEC_BIND_H
#define CPU_EXEC_BIND_H

#include "cpu/exec/exec.h"

/* One handler in its guises: alone, in a chain, in a chain of 64-bit code with 64-bit addresses (flat.h; may be NULL). */
struct form {
	insn_fn *fn, *fast, *flat;
};
#define FORM(NAME)       { NAME, NAME##_fast, NULL }
#define FLAT_FORM(NAME)  { NAME, NAME##_fast, NAME##_flat }
#define FORM_SIZES(NAME) { FORM(NAME##8), FORM(NAME##16), FORM(NAME##32), FORM(NAME##64) }
#define FLAT_SIZES(NAME) { FLAT_FORM(NAME##8), FLAT_FORM(NAME##16), FLAT_FORM(NAME##32), FLAT_FORM(NAME##64) }

/* Two-operand shapes; the index into a table of [SH_COUNT][4] forms. One-operand tables are [2][4]: register, memory. */
enum shape { SH_RR, SH_RI, SH_RM, SH_MR, SH_MI, SH_COUNT };

#define SLOT_NONE 0xff /* the register slot of an operand that is no register */

static inline bool visible(const struct dec *d, unsigned n, ZydisOperandType t)
{
	return n < d->zi->operand_count_visible && d->op[n].type == t;
}

static inline bool is_mem(const struct dec *d, unsigned n)
{
	return visible(d, n, ZYDIS_OPERAND_TYPE_MEMORY);
}

static inline bool is_imm(const struct dec *d, unsigned n)
{
	return visible(d, n, ZYDIS_OPERAND_TYPE_IMMEDIATE);
}

static inline bool is_gpr(const struct dec *d, unsigned n)
{
	if (!visible(d, n, ZYDIS_OPERAND_TYPE_REGISTER))
		return false;

	ZydisRegisterClass cl = ZydisRegisterGetClass(d->op[n].reg.value);

	return cl == ZYDIS_REGCLASS_GPR8 || cl == ZYDIS_REGCLASS_GPR16 || cl == ZYDIS_REGCLASS_GPR32 ||
	       cl == ZYDIS_REGCLASS_GPR64;
}

static inline bool dec_o16(const struct dec *d)
{
	return (d->zi->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) != 0;
}

static inline bool dec_mode64(const struct dec *d)
{
	return (d->mode & MODE_SIZE) == MODE_64;
}

/* ---- match functions ---- */

static inline bool match_no_mem(const struct dec *d)
{
	return !is_mem(d, 0) && !is_mem(d, 1) && !is_mem(d, 2);
}

/* VEX-encoded general-register instructions exist in protected mode only. */
static inline bool match_pe(const struct dec *d)
{
	return (d->mode & MODE_PE) != 0;
}

static inline bool match_near(const struct dec *d)
{
	return d->zi->meta.branch_type != ZYDIS_BRANCH_TYPE_FAR;
}

/* ---- bind functions; row->op is the table ---- */

static inline unsigned size_index(unsigned bits)
{
	return bits == 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : 3;
}

static inline void use_form(struct insn *i, const struct form *f)
{
	i->fn = f->fn;
	i->fast = f->flat && (i->flags & INSN_FLAT) && i->addrsz == 8 ? f->flat : f->fast;
}

static inline void bind_two(struct insn *i, const struct dec *d)
{
	const struct form(*t)[4] = d->row->op;
	enum shape s = is_mem(d, 0) ? (is_imm(d, 1) ? SH_MI : SH_MR) : is_imm(d, 1) ? SH_RI : is_mem(d, 1) ? SH_RM : SH_RR;

	i->opsz = (u8)(d->op[0].size / 8);
	use_form(i, &t[s][size_index(d->op[0].size)]);
}

static inline void bind_one(struct insn *i, const struct dec *d)
{
	const struct form(*t)[4] = d->row->op;

	i->opsz = (u8)(d->op[0].size / 8);
	use_form(i, &t[is_mem(d, 0)][size_index(d->op[0].size)]);
}

/* A single generic handler: the first operand's size becomes opsz. */
static inline void bind_sized(struct insn *i, const struct dec *d)
{
	i->opsz = (u8)(d->op[0].size / 8);
	use_form(i, d->row->op);
}

static inline void bind_plain(struct insn *i, const struct dec *d)
{
	use_form(i, d->row->op);
}

/* ---- operands of generic handlers ---- */

/* Register slot or the memory operand, at i->opsz. */
static inline enum xr src_get(struct cpu *c, const struct insn *i, u8 slot, u64 *v)
{
	if (slot == SLOT_NONE)
		return op_read(c, i, i->opsz, v);
	*v = reg_get(c, slot, i->opsz);
	return XR_OK;
}

/* Linear address for implicit memory operands and bit strings. */
static inline enum xr linear(struct cpu *c, unsigned seg, u64 ea, u32 size, unsigned access, la_t *la)
{
	if (likely(mode64(c))) {
		*la = ea + c->sb.base[seg];
		return XR_OK;
	}
	return seg_address(c, seg, ea, size, access, la);
}

static inline u64 addr_mask(const struct insn *i)
{
	return i->addrsz == 8 ? ~0ull : i->addrsz == 4 ? 0xffffffffull : 0xffffull;
}

/* A register at the address size: counts and string pointers. */
static inline u64 addr_reg(const struct cpu *c, const struct insn *i, unsigned r)
{
	return c->r[r] & addr_mask(i);
}

static inline void set_addr_reg(struct cpu *c, const struct insn *i, unsigned r, u64 v)
{
	if (i->addrsz == 2)
		c->r[r] = (c->r[r] & ~0xffffull) | (v & 0xffff);
	else
		c->r[r] = v & addr_mask(i);
}

/* F2 and F3 both repeat; the last one counts. */
static inline u8 dec_repeat(const struct dec *d)
{
	u8 flags = 0;

	for (unsigned k = 0; k < d->zi->raw.prefix_count; k++) {
		if (d->zi->raw.prefixes[k].value == 0xf3)
			flags = INSN_REP;
		else if (d->zi->raw.prefixes[k].value == 0xf2)
			flags = INSN_REPNE;
	}
	return flags;
}

#endif
