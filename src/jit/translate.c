/*
 * A superblock: its head takes the instructions from the budget, the body follows the block, the end goes on to the next
 * superblock without coming back here. What seldom happens lies behind the body.
 */
#include "jit/tr.h"

#define SLOT_NONE 0xff

/* ---- numbers ---- */

static bool is_relative(const struct insn *i)
{
	return (i->row->flags & ROW_BRANCH) && i->r0 == SLOT_NONE && !(i->flags & INSN_MEM);
}

u32 insn_number(struct tr *t, unsigned k)
{
	struct jit_insn *n = &t->j->insn[t->j->insns];

	n->i = t->b->insn[k];
	n->i.off = 0;
	n->i.idx = 0;
	n->rip = rip_at(t, k);
	n->rest = k; /* until the length is known */
	/* What counts from the block's first instruction counts from this one. */
	if (n->i.base == REG_OFF(REG_RIP) || is_relative(&n->i))
		n->i.disp -= t->b->insn[k].off;
	if (n->i.row->flags & ROW_BRANCH)
		n->i.aux -= t->b->insn[k].off;
	return t->j->insns++;
}

static u32 exit_number(struct tr *t, u64 rip)
{
	t->j->exit[t->j->exits] = (struct jit_exit_point){.rip = rip};
	return t->j->exits++;
}

/* The interpreter goes on in the middle of the block. */
static u32 stop_number(struct tr *t)
{
	const u32 number = exit_number(t, rip_at(t, t->n));

	t->j->exit[number].block = t->b;
	t->j->exit[number].at = t->n;
	return number;
}

static u32 branch_number(struct tr *t, u64 to)
{
	t->j->branch[t->j->branches] = (struct jit_branch){.from = rip_at(t, t->k), .to = to};
	return t->j->branches++;
}

static void to_stub(struct tr *t, const u8 *stub)
{
	e_patch(e_jmp(&t->e), stub);
}

static void leave_with(struct tr *t, u32 what)
{
	e_const(&t->e, ADDRESS, what);
	to_stub(t, t->j->leave);
}

/* ---- handlers ---- */

static void call_number(struct tr *t, u32 number)
{
	u8 *to;

	e_const(&t->e, ADDRESS, number);
	to = e_call(&t->e);
	e_patch(to, t->j->call);
}

void call_handler(struct tr *t)
{
	flags_image(t);
	call_number(t, insn_number(t, t->k));
	t->f = (struct flags){.image = true, .live = true};
}

/* ---- ends ---- */

struct end {
	u8 *site;
	u32 number;
};

/* Where rip leads within this page, whatever is mapped elsewhere. */
static bool same_page(const struct tr *t, u64 rip)
{
	return !((rip ^ t->rip) & PAGE_MASK);
}

static u64 key_of(const struct tr *t, u64 rip)
{
	const u64 place = t->b->key >> BLOCK_KEY_PLACE;

	return ((place & PAGE_MASK) | (rip & ~PAGE_MASK)) << BLOCK_KEY_PLACE | (t->b->key & (BIT(BLOCK_KEY_PLACE) - 1));
}

/* To the code for the address in SCRATCH, if it is known in this context. */
static void probe(struct tr *t)
{
	struct emit *e = &t->e;
	u8 *miss[2];

	if (!t->j->cfg.check) {
		e_mov(e, 4, o_reg(SCRATCH2), o_reg(SCRATCH));
		e_alu_imm(e, AND, 4, o_reg(SCRATCH2), JIT_TARGETS - 1);
		e_op(e, 4, 0xc1, o_digit(4), o_reg(SCRATCH2));
		e1(e, 5);
		e_alu(e, ADD, 8, o_reg(SCRATCH2), o_mem(FRAME, CPU_AT(native.targets)));
		e_alu(e, CMP, 8, o_reg(SCRATCH), o_mem(SCRATCH2, offsetof(struct jit_target, rip)));
		miss[0] = e_jcc(e, 5);
		e_mov(e, 8, o_reg(ADDRESS), o_mem(FRAME, CPU_AT(native.context)));
		e_alu(e, CMP, 8, o_reg(ADDRESS), o_mem(SCRATCH2, offsetof(struct jit_target, context)));
		miss[1] = e_jcc(e, 5);
		e_op(e, 4, 0xff, o_digit(4), o_mem(SCRATCH2, offsetof(struct jit_target, code)));
		e_patch(miss[0], t->j->miss);
		e_patch(miss[1], t->j->miss);
	} else {
		to_stub(t, t->j->miss);
	}
}

static void go_to(struct tr *t, u64 rip, struct end *end)
{
	if (!same_page(t, rip)) {
		e_const(&t->e, SCRATCH, rip);
		probe(t);
		return;
	}
	end->number = exit_number(t, rip);
	end->site = e_jmp(&t->e);
	t->j->exit[end->number].key = key_of(t, rip);
	t->j->exit[end->number].site = end->site;
}

/* A taken branch, for the evidence of where a program came from. SCRATCH: the target of an indirect one. */
static void note_branch(struct tr *t, u64 to)
{
	struct emit *e = &t->e;
	const s32 ring = CPU_AT(native.ring);
	struct opnd at = {.mem = true, .n = FRAME, .index = ADDRESS, .disp = ring};

	e_mov(e, 8, o_reg(ADDRESS), o_mem(FRAME, CPU_AT(native.branch)));
	e_alu_imm(e, ADD, 8, o_mem(FRAME, CPU_AT(native.branch)), sizeof(((struct native_run *)0)->ring[0]));
	e_op(e, 4, 0xb6 | OP_0F, o_reg(ADDRESS), o_byte(ADDRESS));
	e_op(e, 4, 0xc7, o_digit(0), at);
	e_bytes(e, branch_number(t, to), 4);
	if (to == BRANCH_INDIRECT) {
		at.disp += 8;
		e_mov(e, 8, at, o_reg(SCRATCH));
	}
}

/* A target that is not canonical faults: the handler's. */
static void only_plain(struct tr *t)
{
	struct emit *e = &t->e;
	struct slow *s = &t->slow[t->slows++];

	*s = (struct slow){.f = t->f, .number = insn_number(t, t->k)};
	e_mov(e, 8, o_reg(SCRATCH2), o_reg(SCRATCH));
	e_op(e, 8, 0xc1, o_digit(7), o_reg(SCRATCH2));
	e1(e, 47);
	e_alu_imm(e, ADD, 8, o_reg(SCRATCH2), 1);
	e_alu_imm(e, CMP, 8, o_reg(SCRATCH2), 1);
	s->site[s->sites++] = e_jcc(e, 7);
}

/* SCRATCH <- where an indirect branch leads. */
static void load_target(struct tr *t, const struct insn *i)
{
	if (i->flags & INSN_MEM)
		e_mov(&t->e, 8, o_reg(SCRATCH), access_operand(t, 8, A_READ));
	else
		e_mov(&t->e, 8, o_reg(SCRATCH), guest(i->r0, 8));
	t->f.live = false;
	only_plain(t);
}

static void end_indirect(struct tr *t)
{
	note_branch(t, BRANCH_INDIRECT);
	probe(t);
}

static void end_jcc(struct tr *t, const struct insn *i, struct end *ends)
{
	const u64 to = t->rip + (u64)i->disp;
	u8 *taken;

	flags_need(t, t->p[t->k].of, i->cc == 2 || i->cc == 3);
	flags_image(t);
	taken = e_jcc(&t->e, i->cc);
	go_to(t, rip_behind(t, t->k), &ends[0]);
	e_patch(taken, t->e.p);
	note_branch(t, to);
	go_to(t, to, &ends[1]);
}

static void end_jmp(struct tr *t, const struct insn *i, struct end *ends)
{
	const u64 to = t->rip + (u64)i->disp;

	flags_image(t);
	if (is_relative(i)) {
		note_branch(t, to);
		go_to(t, to, &ends[0]);
		return;
	}
	load_target(t, i);
	end_indirect(t);
}

static void end_call(struct tr *t, const struct insn *i, struct end *ends)
{
	const struct opnd target = o_mem(FRAME, CPU_AT(native.target)), sp = guest_reg(REG_RSP, 8);
	const u64 to = t->rip + (u64)i->disp;
	struct opnd m;

	flags_image(t);
	if (!is_relative(i)) {
		load_target(t, i);
		e_mov(&t->e, 8, target, o_reg(SCRATCH));
	}
	m = access_stack(t, REG_RSP, -8, A_WRITE);
	e_const(&t->e, SCRATCH, rip_behind(t, t->k));
	e_mov(&t->e, 8, m, o_reg(SCRATCH));
	e_lea(&t->e, 8, sp.n, o_mem(sp.n, -8));
	if (is_relative(i)) {
		note_branch(t, to);
		go_to(t, to, &ends[0]);
		return;
	}
	e_mov(&t->e, 8, o_reg(SCRATCH), target);
	end_indirect(t);
}

static void end_ret(struct tr *t, const struct insn *i)
{
	const struct opnd sp = guest_reg(REG_RSP, 8);

	flags_image(t);
	e_mov(&t->e, 8, o_reg(SCRATCH), access_stack(t, REG_RSP, 0, A_READ));
	only_plain(t);
	e_lea(&t->e, 8, sp.n, o_mem(sp.n, 8 + (s32)(u16)i->imm));
	end_indirect(t);
}

static bool is_branch(unsigned kind)
{
	return kind >= K_JCC;
}

static void end(struct tr *t, struct end *ends)
{
	const struct insn *i;

	t->k = t->n - 1;
	i = insn_at(t);
	switch (t->p[t->k].kind) {
	case K_JCC: end_jcc(t, i, ends); return;
	case K_JMP: end_jmp(t, i, ends); return;
	case K_CALL_NEAR: end_call(t, i, ends); return;
	case K_RET: end_ret(t, i); return;
	default: break;
	}
	flags_image(t);
	if (t->n < t->b->n)
		leave_with(t, stop_number(t) << 2 | LEFT_STOP);
	else
		go_to(t, rip_behind(t, t->k), &ends[0]);
}

/* ---- behind the body ---- */

static void budget(struct tr *t, unsigned op, unsigned n)
{
	e_op(&t->e, 4, 0x83, o_digit(op), o_mem(FRAME, CPU_AT(native.budget)));
	e1(&t->e, n);
}

/* In lock-step the handler does not run: the interpreter does, from here on. */
static void slow_check(struct tr *t, const struct slow *s)
{
	const struct jit_insn *n = &t->j->insn[s->number];

	budget(t, ADD, t->n - n->rest);
	leave_with(t, exit_number(t, n->rip) << 2 | LEFT_STOP);
}

static void slow_side(struct tr *t)
{
	for (unsigned n = 0; n < t->slows; n++) {
		const struct slow *s = &t->slow[n];

		for (unsigned k = 0; k < s->sites; k++)
			e_patch(s->site[k], t->e.p);
		flags_image_of(t, &s->f);
		if (t->j->cfg.check) {
			slow_check(t, s);
			continue;
		}
		call_number(t, s->number);
		if (s->back)
			to_stub(t, s->back);
	}
}

static void unlinked(struct tr *t, const struct end *ends, unsigned n)
{
	for (unsigned k = 0; k < n; k++) {
		if (!ends[k].site)
			continue;
		e_patch(ends[k].site, t->e.p);
		leave_with(t, ends[k].number << 2 | LEFT_LINK);
	}
}

static void head_fails(struct tr *t, u8 *short_of, struct jit_code *code)
{
	const u32 number = exit_number(t, t->rip);

	e_patch(short_of, t->e.p);
	budget(t, ADD, t->n);
	code->stale = t->e.p;
	leave_with(t, number << 2 | LEFT_BUDGET);
}

/* ---- the whole ---- */

static void body(struct tr *t)
{
	for (t->k = 0; t->k < t->n; t->k++) {
		const struct flags before = t->f;
		u8 *const from = t->e.p;
		const unsigned slows = t->slows;

		if (is_branch(t->p[t->k].kind))
			return;
		if (t->p[t->k].kind == K_CALL || !translate_insn(t)) {
			if (t->j->cfg.check) { /* nothing but what is compared */
				t->e.p = from, t->e.bad = false, t->f = before, t->slows = slows;
				t->n = t->k;
				return;
			}
			t->e.p = from;
			t->e.bad = false;
			t->f = before;
			t->slows = slows;
			t->p[t->k].leaves = true;
			call_handler(t);
		}
		for (unsigned n = slows; n < t->slows; n++)
			t->slow[n].back = t->e.p;
	}
}

/* Handlers cost more from here than from the interpreter. */
static bool worth_it(const struct tr *t)
{
	unsigned calls = 0;

	for (unsigned k = 0; k < t->n; k++)
		calls += t->p[k].kind == K_CALL;
	return t->n && calls * 3 <= t->n;
}

struct jit_code *jit_translate(struct jit *j, struct cpu *c, const struct block *b, u64 rip)
{
	struct tr t = {.e = j->e, .j = j, .c = c, .b = b, .rip = rip};
	struct jit_code *code = &j->code[j->codes];
	const u32 insns = j->insns, exits = j->exits, branches = j->branches;
	struct end ends[2] = {{NULL, 0}, {NULL, 0}};
	u8 *short_of;

	analyse(&t);
	if (!worth_it(&t))
		return NULL;
	*code = (struct jit_code){.rip = rip, .code = t.e.p, .n = t.n};
	t.f = (struct flags){.image = true};
	budget(&t, SUB, t.n);
	short_of = e_jcc(&t.e, 12);
	body(&t);
	if (!t.n)
		return NULL;
	code->n = t.n;
	code->code[4] = (u8)t.n; /* the head's immediate: it may have become shorter */
	end(&t, ends);
	slow_side(&t);
	unlinked(&t, ends, ARRAY_LEN(ends));
	head_fails(&t, short_of, code);
	if (t.e.bad) {
		j->insns = insns, j->exits = exits, j->branches = branches;
		return NULL;
	}
	for (u32 n = insns; n < j->insns; n++)
		j->insn[n].rest = t.n - j->insn[n].rest;
	j->count.bytes += (u64)(t.e.p - j->e.p);
	j->e = t.e;
	j->codes++;
	return code;
}
