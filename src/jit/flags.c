/*
 * The arithmetic flags of the guest, precise at every place where an instruction may be left to the interpreter. They are in
 * EFLAGS as long as nothing else is computed, in the image in memory (AH as LAHF gives it; AL 0 or 1 for OF; FFh and 7Fh are
 * the same with AF cleared, for instructions that leave it undefined), or not stored at all while the operands of the
 * instruction that set them are unchanged: then the slow side computes them again.
 */
#include "jit/tr.h"

#define IMAGE o_mem(FRAME, CPU_AT(native.flags))

static struct opnd b_of(const struct flags *f)
{
	return guest_reg(f->b, f->size);
}

static void combine(struct emit *e, const struct flags *f, unsigned op, struct opnd to)
{
	if (f->b == NO_REG)
		e_alu_imm(e, op, f->size, to, f->imm);
	else
		e_alu(e, op, f->size, to, b_of(f));
}

static void compare_again(struct emit *e, const struct flags *f)
{
	struct opnd a = guest_reg(f->a, f->size);

	if (a.mem && f->b != NO_REG && b_of(f).mem) {
		e_mov(e, 8, o_reg(SCRATCH), guest_reg(f->a, 8));
		a = o_sized(SCRATCH, f->size);
	}
	combine(e, f, CMP, a);
}

static void test_again(struct emit *e, const struct flags *f)
{
	struct opnd a = guest_reg(f->a, f->size), b;

	if (f->b == NO_REG) {
		e_op(e, f->size, f->size == 1 ? 0xf6 : 0xf7, o_digit(0), a);
		e_bytes(e, (u64)f->imm, f->size == 8 ? 4 : f->size);
		return;
	}
	b = b_of(f);
	if (b.mem) {
		e_mov(e, 8, o_reg(SCRATCH), guest_reg(f->b, 8));
		b = o_sized(SCRATCH, f->size);
	}
	e_op(e, f->size, f->size == 1 ? 0x84 : 0x85, b, a);
}

static void bit_test_again(struct emit *e, const struct flags *f)
{
	struct opnd a = guest_reg(f->a, f->size);

	if (f->b == NO_REG) {
		e_op(e, f->size, 0xba | OP_0F, o_digit(4), a);
		e1(e, (unsigned)f->imm & 0xff);
		return;
	}
	if (a.mem) { /* a bit string, else */
		e_mov(e, 8, o_reg(SCRATCH), a);
		a = o_reg(SCRATCH);
	}
	if (b_of(f).mem) {
		e_mov(e, 8, o_reg(SCRATCH2), guest_reg(f->b, 8));
		e_op(e, f->size, 0xa3 | OP_0F, o_reg(SCRATCH2), a);
	} else {
		e_op(e, f->size, 0xa3 | OP_0F, b_of(f), a);
	}
}

/* From the result, which is in f->a, and the operand that is still there. */
static void undo_and_redo(struct emit *e, const struct flags *f)
{
	const struct opnd s = o_sized(SCRATCH, f->size);

	e_mov(e, 8, o_reg(SCRATCH), guest_reg(f->a, 8));
	if (f->recipe == RE_NEG) {
		e_op(e, f->size, f->size == 1 ? 0xf6 : 0xf7, o_digit(3), s);
		e_op(e, f->size, f->size == 1 ? 0xf6 : 0xf7, o_digit(3), s);
		return;
	}
	combine(e, f, f->recipe == RE_ADD ? SUB : ADD, s);
	combine(e, f, f->recipe == RE_ADD ? ADD : SUB, s);
}

static void compute_again(struct emit *e, const struct flags *f)
{
	switch (f->recipe) {
	case RE_CMP: compare_again(e, f); break;
	case RE_TEST: test_again(e, f); break;
	case RE_BT: bit_test_again(e, f); break;
	default: undo_and_redo(e, f);
	}
}

static void store_image(struct emit *e, bool logic)
{
	e_mov(e, 8, o_reg(SCRATCH), o_reg(HRAX));
	e1(e, 0x9f); /* lahf */
	if (logic) {
		e1(e, 0xb0);
		e1(e, 0xff);
	} else {
		e_op(e, 1, 0x90 | OP_0F, o_digit(0), o_byte(HRAX));
	}
	e_mov(e, 2, IMAGE, o_reg(HRAX));
	e_mov(e, 8, o_reg(HRAX), o_reg(SCRATCH));
}

static void load_image(struct emit *e)
{
	e_mov(e, 8, o_reg(SCRATCH), o_reg(HRAX));
	e_op(e, 4, 0xb7 | OP_0F, o_reg(HRAX), IMAGE);
	e_bytes(e, 0x7f04, 2); /* add al, 7fh */
	e1(e, 0x9e);           /* sahf */
	e_mov(e, 8, o_reg(HRAX), o_reg(SCRATCH));
}

static bool whole(const struct flags *f)
{
	return f->recipe != RE_NONE && f->recipe != RE_BT;
}

void flags_need(struct tr *t, bool of, bool cf_only)
{
	struct flags *f = &t->f;

	if (f->live && !(of && f->no_of))
		return;
	if (whole(f) || (cf_only && f->recipe == RE_BT)) {
		compute_again(&t->e, f);
		f->live = f->recipe != RE_BT;
		f->no_of = false;
		return;
	}
	load_image(&t->e);
	f->live = true;
	f->no_of = false;
}

void flags_image_of(struct tr *t, const struct flags *f)
{
	if (f->dead || f->image)
		return;
	if (!f->live)
		compute_again(&t->e, f);
	store_image(&t->e, f->logic);
}

void flags_image(struct tr *t)
{
	flags_image_of(t, &t->f);
	if (!t->f.dead && !t->f.image && whole(&t->f))
		t->f.live = true;
	t->f.image = true;
}

/* Will the operands be there until nobody asks any more? Then nothing need be stored. */
static bool stays(const struct tr *t)
{
	const struct flags *f = &t->f;
	const u32 regs = 1u << f->a | (f->b == NO_REG ? 0 : 1u << f->b);

	if (!whole(f))
		return false;
	for (unsigned k = t->k; k < t->n; k++) {
		const struct props *p = &t->p[k];

		if (!t->asked[k])
			return true;
		if (p->kind == K_CALL || p->writes == W_SOME)
			return false;
		if (p->writes == W_ALL)
			return true;
		if ((p->mods & regs) && t->asked[k + 1])
			return false;
	}
	return false;
}

void flags_lost(struct tr *t)
{
	struct flags *f = &t->f;

	if (f->dead)
		return;
	if (!t->asked[t->k]) {
		*f = (struct flags){.dead = true};
		return;
	}
	if (!f->image && !stays(t))
		flags_image(t);
	f->live = false;
}

void flags_kept(struct tr *t)
{
	struct flags *f = &t->f;
	const u32 mods = t->p[t->k].mods;

	if (f->recipe == RE_NONE || !(mods & (1u << f->a | (f->b == NO_REG ? 0 : 1u << f->b))))
		return;
	if (t->asked[t->k + 1] && t->p[t->k].writes != W_ALL && !f->image && !f->live && !f->dead)
		flags_image(t);
	f->recipe = RE_NONE;
}

void flags_set_by(struct tr *t, const struct flags *f)
{
	t->f = *f;
	if (!t->asked[t->k + 1])
		t->f = (struct flags){.dead = true};
}
