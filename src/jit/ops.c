/* One instruction at a time, but for branches: the operation itself, on registers as they are in the computer. */
#include "jit/tr.h"

#define SLOT_NONE 0xff

/* ---- a destination that may live in memory goes by way of SCRATCH; 32 bits are written as 64 ---- */

static struct opnd open_reg(struct tr *t, u8 slot, unsigned size, bool load)
{
	const struct opnd o = guest(slot, size);

	if (!o.mem)
		return o;
	if (load)
		e_mov(&t->e, 8, o_reg(SCRATCH), o);
	return o_sized(SCRATCH, size);
}

static void close_reg(struct tr *t, u8 slot, unsigned size)
{
	const struct opnd o = guest(slot, size);

	if (o.mem)
		e_mov(&t->e, size == 4 ? 8 : size, o, o_sized(SCRATCH, size));
}

/* A source in a register: its own, or SCRATCH. */
static struct opnd source_reg(struct tr *t, u8 slot, unsigned size)
{
	const struct opnd o = guest(slot, size);

	if (!o.mem)
		return o;
	e_mov(&t->e, 8, o_reg(SCRATCH), o);
	return o_sized(SCRATCH, size);
}

static bool in_memory(const struct insn *i)
{
	return i->flags & INSN_MEM;
}

static bool to_memory(const struct insn *i)
{
	return in_memory(i) && i->r0 == SLOT_NONE;
}

static void imm_bytes(struct tr *t, u64 v, unsigned size)
{
	e_bytes(&t->e, v, size == 8 ? 4 : size);
}

/* ---- moves ---- */

static void store(struct tr *t, const struct insn *i)
{
	const unsigned size = i->opsz;
	const struct opnd m = access_operand(t, size, A_WRITE);

	if (i->r1 == SLOT_NONE) {
		e_op(&t->e, size, size == 1 ? 0xc6 : 0xc7, o_digit(0), m);
		imm_bytes(t, i->imm, size);
		return;
	}
	e_mov(&t->e, size, m, source_reg(t, i->r1, size));
}

static void mov_constant(struct tr *t, const struct insn *i)
{
	const unsigned size = i->opsz;
	const struct opnd d = guest(i->r0, size);

	if (size >= 4) {
		e_const(&t->e, d.mem ? SCRATCH : d.n, size == 4 ? (u32)i->imm : i->imm);
		close_reg(t, i->r0, size);
		return;
	}
	e_op(&t->e, size, size == 1 ? 0xc6 : 0xc7, o_digit(0), d);
	imm_bytes(t, i->imm, size);
}

static void mov(struct tr *t, const struct insn *i)
{
	const unsigned size = i->opsz;
	struct opnd s;

	if (to_memory(i)) {
		store(t, i);
		return;
	}
	s = in_memory(i) ? access_operand(t, size, A_READ) : guest(i->r1, size);
	flags_kept(t);
	if (!in_memory(i) && i->r1 == SLOT_NONE) {
		mov_constant(t, i);
		return;
	}
	e_mov(&t->e, size, open_reg(t, i->r0, size, false), s);
	close_reg(t, i->r0, size);
}

static void extend(struct tr *t, const struct insn *i)
{
	const unsigned from = i->opcode == 0x63 ? 4 : i->opcode & 1 ? 2 : 1;
	const struct opnd s = in_memory(i) ? access_operand(t, from, A_READ) : guest(i->r1, from);

	flags_kept(t);
	e_op(&t->e, i->opsz, i->opcode == 0x63 ? 0x63u : i->opcode | OP_0F, open_reg(t, i->r0, i->opsz, false), s);
	close_reg(t, i->r0, i->opsz);
}

static void lea(struct tr *t, const struct insn *i)
{
	const bool none = i->index == REG_OFF(REG_ZERO), relative = i->base == REG_OFF(REG_RIP);
	const unsigned size = i->addrsz == 4 && i->opsz == 8 ? 4 : i->opsz;
	struct opnd d = guest(i->r0, 8);

	flags_kept(t);
	if (none && (relative || i->base == REG_OFF(REG_ZERO))) {
		const u64 a = (u64)i->disp + (relative ? t->rip : 0);

		if (i->opsz == 2)
			t->e.bad = true;
		e_const(&t->e, d.mem ? SCRATCH : d.n, size == 4 ? (u32)a : a);
		close_reg(t, i->r0, 8);
		return;
	}
	d = open_reg(t, i->r0, i->opsz, false);
	e_lea(&t->e, size, d.n, address_operand(t, i));
	close_reg(t, i->r0, i->opsz);
}

static void exchange(struct tr *t, const struct insn *i)
{
	const unsigned size = i->opsz, whole = size == 4 ? 8 : size;
	const struct opnd other = o_sized(SCRATCH2, size);
	const u8 slot = i->r0 == SLOT_NONE ? i->r1 : i->r0;
	struct opnd a, b;

	if (in_memory(i)) {
		a = access_operand(t, size, A_UPDATE);
		flags_kept(t);
		b = source_reg(t, slot, size);
		e_mov(&t->e, size, other, a);
		e_mov(&t->e, size, a, b);
		e_mov(&t->e, whole, guest(slot, size), other);
		return;
	}
	flags_kept(t);
	a = guest(i->r0, size), b = guest(i->r1, size);
	if (!a.mem && !b.mem) {
		e_op(&t->e, size, size == 1 ? 0x86 : 0x87, a, b);
		return;
	}
	e_mov(&t->e, size, o_sized(SCRATCH, size), a);
	e_mov(&t->e, size, other, b);
	e_mov(&t->e, whole, a, other);
	e_mov(&t->e, whole, b, o_sized(SCRATCH, size));
}

static bool cf_only(unsigned cc)
{
	return cc == 2 || cc == 3;
}

static void cmov(struct tr *t, const struct insn *i)
{
	const struct props *p = &t->p[t->k];
	const struct opnd s = in_memory(i) ? access_operand(t, i->opsz, A_READ) : guest(i->r1, i->opsz);

	flags_need(t, p->of, cf_only(i->cc));
	flags_kept(t);
	e_op(&t->e, i->opsz, 0x40u | i->cc | OP_0F, open_reg(t, i->r0, i->opsz, true), s);
	close_reg(t, i->r0, i->opsz);
}

static void setcc(struct tr *t, const struct insn *i)
{
	const struct opnd d = in_memory(i) ? access_operand(t, 1, A_WRITE) : guest(i->r0, 1);

	flags_need(t, t->p[t->k].of, cf_only(i->cc));
	flags_kept(t);
	e_op(&t->e, 1, 0x90u | i->cc | OP_0F, o_digit(0), d);
}

static void bswap(struct tr *t, const struct insn *i)
{
	struct opnd d;
	unsigned rex;

	flags_kept(t);
	d = open_reg(t, i->r0, i->opsz, true);
	rex = (i->opsz == 8 ? 8u : 0) | d.n >> 3;
	if (rex)
		e1(&t->e, 0x40 | rex);
	e1(&t->e, 0x0f);
	e1(&t->e, 0xc8 | (d.n & 7));
	close_reg(t, i->r0, i->opsz);
}

static void accumulator(struct tr *t, const struct insn *i)
{
	flags_kept(t);
	if (i->opsz == 2)
		e1(&t->e, 0x66);
	if (i->opsz == 8)
		e1(&t->e, 0x48);
	e1(&t->e, t->p[t->k].op);
}

/* ---- arithmetic ---- */

static bool plain_slot(u8 slot)
{
	return slot != SLOT_NONE && !(slot & 7);
}

/* Can the flags be computed again from registers? */
static void set_recipe(struct flags *f, const struct insn *i, unsigned op)
{
	const bool imm = i->r1 == SLOT_NONE && !in_memory(i), regs = plain_slot(i->r0) && plain_slot(i->r1);

	f->size = i->opsz;
	f->a = i->r0 >> 3;
	f->b = imm ? NO_REG : i->r1 >> 3;
	f->imm = (s32)i->imm;
	if (!plain_slot(i->r0))
		return;
	if (op == AND || op == OR || op == XOR) {
		f->recipe = RE_TEST;
		f->b = f->a;
	} else if (op == CMP && (imm || regs)) {
		f->recipe = RE_CMP;
	} else if ((op == ADD || op == SUB) && (imm || (regs && f->a != f->b))) {
		f->recipe = op == ADD ? RE_ADD : RE_SUB;
	}
}

static void alu_to_memory(struct tr *t, const struct insn *i, unsigned op)
{
	const struct opnd m = access_operand(t, i->opsz, op == CMP ? A_READ : A_UPDATE);

	if (t->p[t->k].reads)
		flags_need(t, false, true);
	if (i->r1 == SLOT_NONE)
		e_alu_imm(&t->e, op, i->opsz, m, (s32)i->imm);
	else
		e_alu(&t->e, op, i->opsz, m, source_reg(t, i->r1, i->opsz));
}

static void alu_to_register(struct tr *t, const struct insn *i, unsigned op)
{
	const bool imm = i->r1 == SLOT_NONE && !in_memory(i);
	struct opnd s = imm ? o_reg(0) : in_memory(i) ? access_operand(t, i->opsz, A_READ) : guest(i->r1, i->opsz), d;

	if (t->p[t->k].reads)
		flags_need(t, false, true);
	flags_kept(t);
	d = guest(i->r0, i->opsz);
	if (op != CMP || (d.mem && s.mem))
		d = open_reg(t, i->r0, i->opsz, true);
	if (imm)
		e_alu_imm(&t->e, op, i->opsz, d, (s32)i->imm);
	else
		e_alu(&t->e, op, i->opsz, d, s);
	if (op != CMP)
		close_reg(t, i->r0, i->opsz);
}

static void alu(struct tr *t, const struct insn *i)
{
	const unsigned op = t->p[t->k].op;
	struct flags f = {.live = true, .logic = op == AND || op == OR || op == XOR};

	if (to_memory(i)) {
		alu_to_memory(t, i, op);
	} else {
		alu_to_register(t, i, op);
		set_recipe(&f, i, op);
	}
	flags_set_by(t, &f);
}

static void test(struct tr *t, const struct insn *i)
{
	const unsigned size = i->opsz;
	struct opnd a = in_memory(i) ? access_operand(t, size, A_READ) : guest(i->r0, size), b;
	struct flags f = {.live = true, .logic = true};

	if (i->r1 == SLOT_NONE && (in_memory(i) ? i->r0 == SLOT_NONE : true)) {
		e_op(&t->e, size, size == 1 ? 0xf6 : 0xf7, o_digit(0), a);
		imm_bytes(t, i->imm, size);
	} else {
		b = source_reg(t, i->r1 == SLOT_NONE ? i->r0 : i->r1, size);
		e_op(&t->e, size, size == 1 ? 0x84 : 0x85, b, a);
	}
	if (!in_memory(i) && plain_slot(i->r0) && (i->r1 == SLOT_NONE || plain_slot(i->r1))) {
		f.recipe = RE_TEST;
		f.size = i->opsz;
		f.a = i->r0 >> 3;
		f.b = i->r1 == SLOT_NONE ? NO_REG : i->r1 >> 3;
		f.imm = (s32)i->imm;
	}
	flags_set_by(t, &f);
}

static void unary(struct tr *t, const struct insn *i)
{
	const unsigned op = t->p[t->k].op, size = i->opsz, opcode = op < 2 ? 0xfe : 0xf6;
	const struct opnd m = in_memory(i) ? access_operand(t, size, A_UPDATE) : o_reg(0);
	struct flags f = {.live = true, .size = (u8)size, .a = i->r0 >> 3, .b = NO_REG};

	if (op < 2 && t->asked[t->k + 1])
		flags_need(t, false, true); /* CF stays */
	flags_kept(t);
	e_op(&t->e, size, opcode | (size > 1), o_digit(op), in_memory(i) ? m : open_reg(t, i->r0, size, true));
	if (!in_memory(i))
		close_reg(t, i->r0, size);
	if (op == 3 && !in_memory(i) && plain_slot(i->r0))
		f.recipe = RE_NEG;
	if (op != 2)
		flags_set_by(t, &f);
}

/* AF is 0, and OF what the interpreter has for any count: SHL the sign against CF, SHR of one bit the old sign, else 0. */
static void shift_flags(struct tr *t, unsigned op, unsigned n)
{
	struct emit *e = &t->e;
	const struct opnd al = o_byte(HRAX), ah = {.high = true, .byte = true, .n = 4, .index = NO_INDEX};
	const bool zero = op == 7 || (op == 5 && n > 1);

	e_mov(e, 8, o_reg(SCRATCH), o_reg(HRAX));
	e1(e, 0x9f); /* lahf */
	if (zero) {
		e1(e, 0xb0);
		e1(e, 0xff);
	} else {
		if (op == 5) {
			e_op(e, 1, 0x90 | OP_0F, o_digit(0), al);
		} else {
			e_mov(e, 1, al, ah);
			e_op(e, 1, 0xc0, o_digit(5), al);
			e1(e, 7);
			e_alu(e, XOR, 1, al, ah);
			e_alu_imm(e, AND, 1, al, 1);
		}
		e_op(e, 1, 0xd0, o_digit(1), al); /* ror: 0, 80h */
		e_op(e, 1, 0xf6, o_digit(2), al); /* not: FFh, 7Fh */
	}
	e_mov(e, 2, o_mem(FRAME, CPU_AT(native.flags)), o_reg(HRAX));
	e_mov(e, 8, o_reg(HRAX), o_reg(SCRATCH));
	t->f = (struct flags){.image = true, .live = zero, .no_of = zero};
}

static bool shift(struct tr *t, const struct insn *i)
{
	const unsigned op = t->p[t->k].op, size = i->opsz, n = (unsigned)i->imm & (size == 8 ? 63 : 31);
	const bool by_cl = i->r1 != SLOT_NONE, asked = t->asked[t->k + 1];
	struct opnd d;

	if (asked && (by_cl || op < 2))
		return false;
	if (in_memory(i))
		d = access_operand(t, size, A_UPDATE);
	flags_kept(t);
	if (!in_memory(i))
		d = open_reg(t, i->r0, size, true);
	e_op(&t->e, size, (by_cl ? 0xd2u : 0xc0u) | (size > 1), o_digit(op), d);
	if (!by_cl)
		e1(&t->e, n);
	if (!in_memory(i))
		close_reg(t, i->r0, size);
	if (asked)
		shift_flags(t, op, n);
	else
		t->f = (struct flags){.dead = true};
	return true;
}

/* SF, ZF and PF of the low half, CF and OF as the computer has them: the high half counts. */
static void product_flags(struct tr *t, u8 slot, unsigned size)
{
	struct emit *e = &t->e;
	const struct opnd image = o_mem(FRAME, CPU_AT(native.flags));

	if (!t->asked[t->k + 1]) {
		t->f = (struct flags){.dead = true};
		return;
	}
	e_op(e, 1, 0x92 | OP_0F, o_digit(0), o_byte(SCRATCH2));
	e_alu_imm(e, CMP, size, guest(slot, size), 0);
	e_mov(e, 8, o_reg(SCRATCH), o_reg(HRAX));
	e1(e, 0x9f); /* lahf */
	e1(e, 0xb0);
	e1(e, 0xff);
	e_mov(e, 2, image, o_reg(HRAX));
	e_mov(e, 8, o_reg(HRAX), o_reg(SCRATCH));
	e_op(e, 4, 0xb6 | OP_0F, o_reg(SCRATCH2), o_byte(SCRATCH2));
	e_op(e, 4, 0xc1, o_digit(4), o_reg(SCRATCH2)); /* 80h: sets CF, and makes FFh 7Fh */
	e1(e, 7);
	e_alu(e, ADD, 2, image, o_reg(SCRATCH2));
	t->f = (struct flags){.image = true};
}

static void imul(struct tr *t, const struct insn *i)
{
	const unsigned size = i->opsz, op = i->opcode;
	const bool three = op == 0x69 || op == 0x6b;
	const struct opnd s = in_memory(i) ? access_operand(t, size, A_READ) : guest(i->r1, size);

	flags_kept(t);
	if (three) {
		e_op(&t->e, size, 0x69, open_reg(t, i->r0, size, false), s);
		imm_bytes(t, i->imm, size);
	} else {
		e_op(&t->e, size, 0xaf | OP_0F, open_reg(t, i->r0, size, true), s);
	}
	close_reg(t, i->r0, size);
	product_flags(t, i->r0, size);
}

static void mul(struct tr *t, const struct insn *i)
{
	const struct opnd s = in_memory(i) ? access_operand(t, i->opsz, A_READ) : guest(i->r0, i->opsz);

	flags_kept(t);
	e_op(&t->e, i->opsz, i->opsz == 1 ? 0xf6 : 0xf7, o_digit(t->p[t->k].op), s);
	product_flags(t, REG_OFF(REG_RAX), i->opsz);
}

/* CF changes in the image, the others are the old ones. */
static void bit_flags(struct tr *t, const struct insn *i, unsigned op)
{
	const struct opnd cf = o_mem(FRAME, CPU_AT(native.flags) + 1);

	e_op(&t->e, 1, 0x92 | OP_0F, o_digit(0), o_byte(SCRATCH2));
	e_alu_imm(&t->e, AND, 1, cf, -2);
	e_alu(&t->e, OR, 1, cf, o_byte(SCRATCH2));
	t->f = (struct flags){.image = true};
	if (op != 4 || in_memory(i))
		return;
	t->f.recipe = RE_BT;
	t->f.size = i->opsz;
	t->f.a = i->r0 >> 3;
	t->f.b = i->r1 == SLOT_NONE ? NO_REG : i->r1 >> 3;
	t->f.imm = (s32)i->imm;
}

static void bit_test(struct tr *t, const struct insn *i)
{
	const unsigned op = t->p[t->k].op;
	struct opnd d, s;

	if (in_memory(i))
		d = access_operand(t, i->opsz, A_READ);
	if (t->asked[t->k + 1])
		flags_image(t);
	flags_kept(t);
	if (!in_memory(i))
		d = open_reg(t, i->r0, i->opsz, true);
	if (i->r1 == SLOT_NONE) {
		e_op(&t->e, i->opsz, 0xba | OP_0F, o_digit(op), d);
		e1(&t->e, (unsigned)i->imm & 0xff);
	} else {
		s = guest(i->r1, i->opsz);
		if (s.mem)
			e_mov(&t->e, 8, o_reg(SCRATCH2), s);
		e_op(&t->e, i->opsz, (0x83u | op << 3) | OP_0F, s.mem ? o_reg(SCRATCH2) : s, d);
	}
	if (op != 4)
		close_reg(t, i->r0, i->opsz);
	if (t->asked[t->k + 1])
		bit_flags(t, i, op);
	else
		t->f = (struct flags){.dead = true};
}

static bool count(struct tr *t, const struct insn *i)
{
	const unsigned op = t->p[t->k].op;
	struct opnd s;

	if (t->asked[t->k + 1] && op != 0xb8)
		return false;
	s = in_memory(i) ? access_operand(t, i->opsz, A_READ) : guest(i->r1, i->opsz);
	flags_kept(t);
	e_op(&t->e, i->opsz, op | OP_0F | OP_F3, open_reg(t, i->r0, i->opsz, false), s);
	close_reg(t, i->r0, i->opsz);
	flags_set_by(t, &(struct flags){.live = true});
	return true;
}

static bool xadd(struct tr *t, const struct insn *i)
{
	const unsigned size = i->opsz;
	struct opnd d = guest(i->r0, size), s;

	if (!in_memory(i) && (d.mem || guest(i->r1, size).mem))
		return false;
	if (in_memory(i))
		d = access_operand(t, size, A_UPDATE);
	flags_kept(t);
	s = source_reg(t, i->r1, size);
	e_op(&t->e, size, (size == 1 ? 0xc0 : 0xc1) | OP_0F, s, d);
	close_reg(t, i->r1, size);
	flags_set_by(t, &(struct flags){.live = true});
	return true;
}

/* A failing comparison writes the old value back, which nobody can tell. */
static void cmpxchg(struct tr *t, const struct insn *i)
{
	const unsigned size = i->opsz;
	const struct opnd m = access_operand(t, size, A_UPDATE);
	u8 *differs, *done;

	flags_kept(t);
	e_alu(&t->e, CMP, size, o_reg(HRAX), m);
	differs = e_jcc(&t->e, 5);
	e_mov(&t->e, size, m, source_reg(t, i->r1, size));
	done = e_jmp(&t->e);
	e_patch(differs, t->e.p);
	e_mov(&t->e, size, o_reg(HRAX), m);
	e_patch(done, t->e.p);
	flags_set_by(t, &(struct flags){.live = true});
}

/* ---- the stack ---- */

static void move_sp(struct tr *t, unsigned from, s32 by)
{
	e_lea(&t->e, 8, guest_reg(REG_RSP, 8).n, o_mem(guest_reg(from, 8).n, by));
}

static void push_stack(struct tr *t, const struct insn *i)
{
	const struct opnd m = access_stack(t, REG_RSP, -8, A_WRITE);

	if (i->r0 == SLOT_NONE) {
		e_op(&t->e, 8, 0xc7, o_digit(0), m);
		imm_bytes(t, i->imm, 8);
	} else {
		e_mov(&t->e, 8, m, source_reg(t, i->r0, 8));
	}
	flags_kept(t);
	move_sp(t, REG_RSP, -8);
}

static void pop_stack(struct tr *t, const struct insn *i)
{
	const struct opnd m = access_stack(t, REG_RSP, 0, A_READ);

	flags_kept(t);
	move_sp(t, REG_RSP, 8);
	e_mov(&t->e, 8, open_reg(t, i->r0, 8, false), m);
	close_reg(t, i->r0, 8);
}

static void leave(struct tr *t)
{
	const struct opnd m = access_stack(t, REG_RBP, 0, A_READ);

	flags_kept(t);
	move_sp(t, REG_RBP, 8);
	e_mov(&t->e, 8, guest_reg(REG_RBP, 8), m);
}

bool translate_insn(struct tr *t)
{
	const struct insn *i = insn_at(t);

	switch (t->p[t->k].kind) {
	case K_NOTHING: break;
	case K_MOV: mov(t, i); break;
	case K_EXTEND: extend(t, i); break;
	case K_LEA: lea(t, i); break;
	case K_XCHG: exchange(t, i); break;
	case K_CMOV: cmov(t, i); break;
	case K_SETCC: setcc(t, i); break;
	case K_BSWAP: bswap(t, i); break;
	case K_ACCUMULATOR: accumulator(t, i); break;
	case K_ALU: alu(t, i); break;
	case K_TEST: test(t, i); break;
	case K_UNARY: unary(t, i); break;
	case K_SHIFT: return shift(t, i) && !t->e.bad;
	case K_IMUL: imul(t, i); break;
	case K_MUL: mul(t, i); break;
	case K_BT: bit_test(t, i); break;
	case K_COUNT: return count(t, i) && !t->e.bad;
	case K_XADD: return xadd(t, i) && !t->e.bad;
	case K_CMPXCHG: cmpxchg(t, i); break;
	case K_PUSH: push_stack(t, i); break;
	case K_POP: pop_stack(t, i); break;
	case K_LEAVE: leave(t); break;
	default: return false;
	}
	return !t->e.bad;
}
