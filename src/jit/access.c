/*
 * Memory operands: the linear address, then the first level of remembered translations, as the interpreter looks there. A
 * hit is an access to the computer's memory; anything else is the handler's, which does the whole instruction.
 */
#include "jit/tr.h"

#define L1_AT(member) (CPU_AT(l1) + (s32)offsetof(struct l1_entry, member))
_Static_assert(sizeof(struct l1_entry) == 32 && PAGE_SHIFT == 12, "the index is the address shifted by 7");

static struct opnd indexed(s32 disp)
{
	return (struct opnd){.mem = true, .n = FRAME, .index = SCRATCH2, .disp = disp};
}

/* A base or index in a host register: its own, or `spare`. */
static unsigned in_register(struct tr *t, u8 slot, unsigned spare)
{
	const struct opnd o = guest(slot, 8);

	if (!o.mem)
		return o.n;
	e_mov(&t->e, 8, o_reg(spare), o);
	return spare;
}

static bool constant_address(const struct insn *i)
{
	return (i->base == REG_OFF(REG_ZERO) || i->base == REG_OFF(REG_RIP)) && i->index == REG_OFF(REG_ZERO);
}

/* The displacement counts from the block's first instruction where it is relative. */
static u64 constant_of(const struct tr *t, const struct insn *i)
{
	const u64 a = (u64)i->disp + (i->base == REG_OFF(REG_RIP) ? t->rip : 0);

	return i->addrsz == 4 ? (u32)a : a;
}

/* Base and index as an operand; without a base the encoding would be another. */
struct opnd address_operand(struct tr *t, const struct insn *i)
{
	const bool base = i->base != REG_OFF(REG_ZERO), index = i->index != REG_OFF(REG_ZERO);
	struct opnd o = {.mem = true, .index = NO_INDEX, .disp = (s32)i->disp};

	if (o.disp != i->disp || i->base == REG_OFF(REG_RIP))
		t->e.bad = true;
	if (base) {
		o.n = (u8)in_register(t, i->base, ADDRESS);
		if (index) {
			o.index = (u8)in_register(t, i->index, SCRATCH2);
			o.scale = i->scale;
		}
		return o;
	}
	o.index = (u8)in_register(t, i->index, SCRATCH2);
	o.scale = i->scale;
	e_const(&t->e, ADDRESS, 0);
	o.n = ADDRESS;
	return o;
}

static void linear(struct tr *t, const struct insn *i)
{
	if (constant_address(i))
		e_const(&t->e, ADDRESS, constant_of(t, i));
	else
		e_lea(&t->e, i->addrsz == 4 ? 4 : 8, ADDRESS, address_operand(t, i));
	if (i->addrsz < 4)
		t->e.bad = true;
	if (i->seg == SEG_FS || i->seg == SEG_GS)
		e_alu(&t->e, ADD, 8, o_reg(ADDRESS), o_mem(FRAME, CPU_AT(sb.base) + 8 * i->seg));
}

static void unless_equal(struct tr *t, struct slow *s)
{
	s->site[s->sites++] = e_jcc(&t->e, 5);
}

static void log_store(struct tr *t, unsigned size)
{
	struct emit *e = &t->e;
	const struct opnd log = o_mem(FRAME, CPU_AT(native.log));

	e_mov(e, 8, o_reg(SCRATCH2), log);
	e_mov(e, 8, o_mem(SCRATCH2, offsetof(struct jit_store, at)), o_reg(ADDRESS));
	e_mov(e, size, o_sized(SCRATCH, size), o_mem(ADDRESS, 0));
	e_mov(e, size, o_mem(SCRATCH2, offsetof(struct jit_store, before)), o_sized(SCRATCH, size));
	e_const(e, SCRATCH, size);
	e_mov(e, 8, o_mem(SCRATCH2, offsetof(struct jit_store, size)), o_reg(SCRATCH));
	e_lea(e, 8, SCRATCH2, o_mem(SCRATCH2, sizeof(struct jit_store)));
	e_mov(e, 8, log, o_reg(SCRATCH2));
}

/* ADDRESS: linear -> the computer's. */
static struct opnd translate(struct tr *t, unsigned size, enum access a)
{
	struct emit *e = &t->e;
	struct slow *s = &t->slow[t->slows++];

	*s = (struct slow){.f = t->f, .number = insn_number(t, t->k)};
	e_mov(e, 8, o_reg(SCRATCH2), o_reg(ADDRESS));
	e_op(e, 8, 0xc1, o_digit(5), o_reg(SCRATCH2));
	e1(e, 7);
	e_alu_imm(e, AND, 4, o_reg(SCRATCH2), ((1 << L1_BITS) - 1) << 5);
	e_lea(e, 8, SCRATCH, o_mem(ADDRESS, (s32)size - 1));
	e_alu_imm(e, AND, 8, o_reg(SCRATCH), -(s32)PAGE_SIZE);
	e_alu(e, OR, 8, o_reg(SCRATCH), o_mem(FRAME, CPU_AT(ctx)));
	if (a != A_WRITE) {
		e_alu(e, CMP, 8, o_reg(SCRATCH), indexed(L1_AT(tag_r)));
		unless_equal(t, s);
	}
	if (a != A_READ) {
		e_alu(e, CMP, 8, o_reg(SCRATCH), indexed(L1_AT(tag_w)));
		unless_equal(t, s);
		e_mov(e, 8, o_reg(SCRATCH), indexed(L1_AT(flag)));
		e_op(e, 1, 0x80, o_digit(CMP), o_mem(SCRATCH, 0));
		e1(e, 0);
		unless_equal(t, s);
	}
	e_alu(e, ADD, 8, o_reg(ADDRESS), indexed(L1_AT(add)));
	if (t->j->cfg.check && a != A_READ)
		log_store(t, size);
	return o_mem(ADDRESS, 0);
}

struct opnd access_operand(struct tr *t, unsigned size, enum access a)
{
	flags_lost(t);
	linear(t, insn_at(t));
	return translate(t, size, a);
}

struct opnd access_stack(struct tr *t, unsigned guest_register, s32 disp, enum access a)
{
	flags_lost(t);
	e_lea(&t->e, 8, ADDRESS, o_mem(guest_reg(guest_register, 8).n, disp));
	return translate(t, 8, a);
}
