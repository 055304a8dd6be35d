/* Writing x86-64 instructions: an opcode, a size, and two operands that know where they are. Private to jit/. */
#ifndef JIT_EMIT_H
#define JIT_EMIT_H

#include "base/base.h"

/* Host registers. */
enum { HRAX, HRCX, HRDX, HRBX, HRSP, HRBP, HRSI, HRDI, HR8, HR9, HR10, HR11, HR12, HR13, HR14, HR15 };

#define NO_INDEX 0xff
struct opnd {
	bool mem;        /* [n + index * 2^scale + disp] */
	bool high;       /* AH, CH, DH, BH: n is 4..7 */
	bool byte;       /* accessed as a byte register: n 4..7 needs a REX prefix */
	u8 n;            /* register, or base */
	u8 index, scale;
	s32 disp;
};

static inline struct opnd o_reg(unsigned n)
{
	return (struct opnd){.n = (u8)n, .index = NO_INDEX};
}
static inline struct opnd o_byte(unsigned n)
{
	return (struct opnd){.n = (u8)n, .byte = true, .index = NO_INDEX};
}
static inline struct opnd o_mem(unsigned base, s32 disp)
{
	return (struct opnd){.mem = true, .n = (u8)base, .disp = disp, .index = NO_INDEX};
}
static inline struct opnd o_sized(unsigned n, unsigned size)
{
	return size == 1 ? o_byte(n) : o_reg(n);
}

struct emit {
	u8 *p, *end;
	bool bad; /* no such encoding, or no room: what was written is void */
};

static inline void e1(struct emit *e, unsigned v)
{
	if (e->p < e->end)
		*e->p++ = (u8)v;
	else
		e->bad = true;
}
static inline void e_bytes(struct emit *e, u64 v, unsigned n)
{
	for (; n; n--, v >>= 8)
		e1(e, (unsigned)v & 0xff);
}

/* Opcodes: byte, map, and a mandatory prefix. */
#define OP_0F   0x0100u
#define OP_0F38 0x0200u
#define OP_F3   0xf30000u

static inline void e_modrm(struct emit *e, unsigned reg, const struct opnd *o)
{
	const unsigned r = (reg & 7) << 3, base = o->n & 7;

	if (!o->mem) {
		e1(e, 0xc0 | r | base);
		return;
	}

	const unsigned mod = o->disp == 0 && base != 5 ? 0 : o->disp == (s8)o->disp ? 0x40 : 0x80;

	if (o->index != NO_INDEX) {
		e1(e, mod | r | 4);
		e1(e, (unsigned)o->scale << 6 | (o->index & 7u) << 3 | base);
	} else {
		e1(e, mod | r | base);
		if (base == 4)
			e1(e, 0x24);
	}
	if (mod)
		e_bytes(e, (u64)o->disp, mod == 0x40 ? 1 : 4);
}

/* size: 2 writes the operand-size prefix, 8 REX.W. */
static inline void e_op(struct emit *e, unsigned size, unsigned opcode, struct opnd reg, struct opnd rm)
{
	unsigned rex = (size == 8 ? 8u : 0) | (reg.n >> 3 & 1u) << 2 | (rm.n >> 3 & 1u);
	bool need;

	if (rm.mem && rm.index != NO_INDEX)
		rex |= (rm.index >> 3 & 1u) << 1;
	need = rex || (reg.byte && !reg.high && reg.n >= 4) || (!rm.mem && rm.byte && !rm.high && rm.n >= 4);
	if (need && (reg.high || (!rm.mem && rm.high)))
		e->bad = true;
	if (size == 2)
		e1(e, 0x66);
	if (opcode >> 16)
		e1(e, opcode >> 16);
	if (need)
		e1(e, 0x40 | rex);
	if (opcode & (OP_0F | OP_0F38))
		e1(e, 0x0f);
	if (opcode & OP_0F38)
		e1(e, 0x38);
	e1(e, opcode & 0xff);
	e_modrm(e, reg.n, &rm);
}

static inline struct opnd o_digit(unsigned n)
{
	return (struct opnd){.n = (u8)n, .index = NO_INDEX};
}

/* ---- a few instructions by name ---- */

static inline void e_mov(struct emit *e, unsigned size, struct opnd to, struct opnd from)
{
	if (to.mem)
		e_op(e, size, size == 1 ? 0x88 : 0x89, from, to);
	else
		e_op(e, size, size == 1 ? 0x8a : 0x8b, to, from);
}

static inline void e_lea(struct emit *e, unsigned size, unsigned to, struct opnd mem)
{
	e_op(e, size, 0x8d, o_reg(to), mem);
}

static inline void e_const(struct emit *e, unsigned to, u64 v)
{
	if (v <= 0xffffffff) {
		if (to >= 8)
			e1(e, 0x41);
		e1(e, 0xb8 | (to & 7));
		e_bytes(e, v, 4);
	} else if ((s64)v == (s32)v) {
		e_op(e, 8, 0xc7, o_digit(0), o_reg(to));
		e_bytes(e, v, 4);
	} else {
		e1(e, to >= 8 ? 0x49 : 0x48);
		e1(e, 0xb8 | (to & 7));
		e_bytes(e, v, 8);
	}
}

/* ADD OR ADC SBB AND SUB XOR CMP by number. */
static inline void e_alu(struct emit *e, unsigned op, unsigned size, struct opnd to, struct opnd from)
{
	if (from.mem)
		e_op(e, size, 8 * op + (size == 1 ? 2 : 3), to, from);
	else
		e_op(e, size, 8 * op + (size == 1 ? 0 : 1), from, to);
}

static inline void e_alu_imm(struct emit *e, unsigned op, unsigned size, struct opnd to, s32 v)
{
	if (size == 1) {
		e_op(e, size, 0x80, o_digit(op), to);
		e1(e, (unsigned)v & 0xff);
	} else if (v == (s8)v) {
		e_op(e, size, 0x83, o_digit(op), to);
		e1(e, (unsigned)v & 0xff);
	} else {
		e_op(e, size, 0x81, o_digit(op), to);
		e_bytes(e, (u64)v, size == 2 ? 2 : 4);
	}
}
enum { ADD, OR, ADC, SBB, AND, SUB, XOR, CMP };

/* Jumps whose distance is filled in later: the place behind its four bytes. */
static inline u8 *e_jcc(struct emit *e, unsigned cc)
{
	e1(e, 0x0f);
	e1(e, 0x80 | cc);
	e_bytes(e, 0, 4);
	return e->p;
}
static inline u8 *e_jmp(struct emit *e)
{
	e1(e, 0xe9);
	e_bytes(e, 0, 4);
	return e->p;
}
static inline u8 *e_call(struct emit *e)
{
	e1(e, 0xe8);
	e_bytes(e, 0, 4);
	return e->p;
}
static inline void e_patch(u8 *behind, const u8 *target)
{
	s32 d = (s32)(target - behind);

	memcpy(behind - 4, &d, 4);
}

#endif
