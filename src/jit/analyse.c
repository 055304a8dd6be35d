/* What the translator makes of each instruction of a block, and whether the flags ahead of it are asked for. */
#include "jit/tr.h"

#define SLOT_NONE 0xff

static void touch(struct props *p, u8 slot)
{
	if (slot != SLOT_NONE)
		p->mods |= 1u << (slot >> 3);
}

static bool has_mem(const struct insn *i)
{
	return i->flags & INSN_MEM;
}

/* Two operands, the first of which may be written. */
static void binary(struct props *p, const struct insn *i, enum kind kind, unsigned op, enum writes w, bool writes_first)
{
	p->kind = kind;
	p->op = (u8)op;
	p->writes = w;
	p->leaves = has_mem(i);
	if (writes_first)
		touch(p, i->r0);
}

/* By CL or not; what rotates leave alone, and OF, are not worth it while they are asked for: see asked(). */
static void shift(struct props *p, const struct insn *i, unsigned op)
{
	const bool by_cl = i->r1 != SLOT_NONE, rotate = op < 2;
	const unsigned n = (unsigned)i->imm & (i->opsz == 8 ? 63 : 31);

	if ((by_cl && i->opsz < 4) || (!by_cl && (n == 0 || n >= 8u * i->opsz)))
		return;
	binary(p, i, K_SHIFT, op, by_cl || rotate ? W_SOME : W_ALL, true);
}

static void multiply(struct props *p, const struct insn *i, bool sign)
{
	if (sign && i->r1 != SLOT_NONE) {
		binary(p, i, K_IMUL, 0, W_ALL, true);
	} else if (sign && i->r0 != SLOT_NONE && has_mem(i)) {
		binary(p, i, K_IMUL, 0, W_ALL, true);
	} else if (!sign || i->opcode == 0xf6 || i->opcode == 0xf7) {
		p->kind = K_MUL;
		p->op = sign ? 5 : 4;
		p->writes = W_ALL;
		p->leaves = has_mem(i);
		p->mods = 1u << REG_RAX | 1u << REG_RDX;
	}
}

/* Far ones have the same mnemonics. */
static bool near64(const struct insn *i, enum kind kind)
{
	const unsigned op = i->opcode, digit = i->modrm >> 3 & 7;

	if (i->opsz != 8 || !(i->row->flags & ROW_BRANCH))
		return false;
	switch (kind) {
	case K_RET: return op == 0xc2 || op == 0xc3;
	case K_JMP: return op == 0xe9 || op == 0xeb || (op == 0xff && digit == 4);
	case K_CALL_NEAR: return op == 0xe8 || (op == 0xff && digit == 2);
	default: return true;
	}
}

static bool plain_target(u64 rip)
{
	return (rip + BIT(47)) >> 48 == 0;
}

static bool far_or_odd(const struct tr *t, const struct insn *i, enum kind kind)
{
	const bool relative = i->r0 == SLOT_NONE && !has_mem(i);

	return !near64(i, kind) || (relative && !plain_target(t->rip + (u64)i->disp));
}

static void stack(struct props *p, const struct insn *i, bool push)
{
	const u8 op = i->opcode;
	const bool ok = push ? (op & 0xf8) == 0x50 || op == 0x68 || op == 0x6a : (op & 0xf8) == 0x58;

	if (i->opsz != 8 || has_mem(i) || !ok)
		return;
	p->kind = push ? K_PUSH : K_POP;
	p->leaves = true;
	p->mods = 1u << REG_RSP;
	if (!push)
		touch(p, i->r0);
}

static void mov(struct props *p, const struct insn *i)
{
	const u8 op = i->opcode;

	if ((op >= 0x88 && op <= 0x8b) || (op & 0xf0) == 0xb0 || op == 0xc6 || op == 0xc7 || (op >= 0xa0 && op <= 0xa3))
		binary(p, i, K_MOV, 0, W_NONE, true);
}

static void by_condition(struct props *p, const struct insn *i, enum kind kind)
{
	binary(p, i, kind, i->cc, W_NONE, true);
	p->reads = true;
	p->of = (i->cc >> 1) == 0 || i->cc >= 12;
}

static void bit_test(struct props *p, const struct insn *i, unsigned op)
{
	if (has_mem(i) && (i->r1 != SLOT_NONE || op != 4))
		return;
	binary(p, i, K_BT, op, W_SOME, op != 4);
}

static void count(const struct tr *t, struct props *p, const struct insn *i, unsigned op, bool there)
{
	(void)t;
	if (there && i->opsz >= 4)
		binary(p, i, K_COUNT, op, W_ALL, true);
}

static void exchange(struct props *p, const struct insn *i)
{
	binary(p, i, K_XCHG, 0, W_NONE, true);
	touch(p, i->r1);
}

static void branch(const struct tr *t, struct props *p, const struct insn *i, enum kind kind)
{
	if (far_or_odd(t, i, kind))
		return;
	p->kind = (u8)kind;
	p->leaves = kind != K_JCC && !(kind == K_JMP && i->r0 == SLOT_NONE && !has_mem(i));
	p->reads = kind == K_JCC;
	p->op = i->cc;
	p->of = kind == K_JCC && ((i->cc >> 1) == 0 || i->cc >= 12);
}

#define CONDITIONS(MN)                                                                                                  \
	ZYDIS_MNEMONIC_##MN##O: case ZYDIS_MNEMONIC_##MN##NO: case ZYDIS_MNEMONIC_##MN##B: case ZYDIS_MNEMONIC_##MN##NB:   \
	case ZYDIS_MNEMONIC_##MN##Z: case ZYDIS_MNEMONIC_##MN##NZ: case ZYDIS_MNEMONIC_##MN##BE:                          \
	case ZYDIS_MNEMONIC_##MN##NBE: case ZYDIS_MNEMONIC_##MN##S: case ZYDIS_MNEMONIC_##MN##NS:                         \
	case ZYDIS_MNEMONIC_##MN##P: case ZYDIS_MNEMONIC_##MN##NP: case ZYDIS_MNEMONIC_##MN##L:                           \
	case ZYDIS_MNEMONIC_##MN##NL: case ZYDIS_MNEMONIC_##MN##LE: case ZYDIS_MNEMONIC_##MN##NLE

static void classify(const struct tr *t, struct props *p, const struct insn *i)
{
	const struct jit *j = t->j;

	switch (i->row->mnemonic) {
	case ZYDIS_MNEMONIC_MOV: mov(p, i); break;
	case ZYDIS_MNEMONIC_MOVNTI: binary(p, i, K_MOV, 0, W_NONE, false); break;
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX: binary(p, i, K_EXTEND, i->opcode, W_NONE, true); break;
	case ZYDIS_MNEMONIC_MOVSXD:
		if (i->opsz != 2)
			binary(p, i, K_EXTEND, i->opcode, W_NONE, true);
		break;
	case ZYDIS_MNEMONIC_LEA: binary(p, i, K_LEA, 0, W_NONE, true); p->leaves = false; break;
	case ZYDIS_MNEMONIC_XCHG: exchange(p, i); break;
	case CONDITIONS(CMOV): by_condition(p, i, K_CMOV); break;
	case CONDITIONS(SET): by_condition(p, i, K_SETCC); break;
	case CONDITIONS(J): branch(t, p, i, K_JCC); break;
	case ZYDIS_MNEMONIC_JMP: branch(t, p, i, K_JMP); break;
	case ZYDIS_MNEMONIC_CALL: branch(t, p, i, K_CALL_NEAR); p->mods = 1u << REG_RSP; break;
	case ZYDIS_MNEMONIC_RET: branch(t, p, i, K_RET); p->mods = 1u << REG_RSP; break;
	case ZYDIS_MNEMONIC_BSWAP: if (i->opsz >= 4) binary(p, i, K_BSWAP, 0, W_NONE, true); break;
	case ZYDIS_MNEMONIC_CBW:
	case ZYDIS_MNEMONIC_CWDE:
	case ZYDIS_MNEMONIC_CDQE: binary(p, i, K_ACCUMULATOR, 0x98, W_NONE, false); p->mods = 1u << REG_RAX; break;
	case ZYDIS_MNEMONIC_CWD:
	case ZYDIS_MNEMONIC_CDQ:
	case ZYDIS_MNEMONIC_CQO: binary(p, i, K_ACCUMULATOR, 0x99, W_NONE, false); p->mods = 1u << REG_RDX; break;
	case ZYDIS_MNEMONIC_ADD: binary(p, i, K_ALU, ADD, W_ALL, true); break;
	case ZYDIS_MNEMONIC_OR: binary(p, i, K_ALU, OR, W_ALL, true); break;
	case ZYDIS_MNEMONIC_ADC: binary(p, i, K_ALU, ADC, W_ALL, true); p->reads = true; break;
	case ZYDIS_MNEMONIC_SBB: binary(p, i, K_ALU, SBB, W_ALL, true); p->reads = true; break;
	case ZYDIS_MNEMONIC_AND: binary(p, i, K_ALU, AND, W_ALL, true); break;
	case ZYDIS_MNEMONIC_SUB: binary(p, i, K_ALU, SUB, W_ALL, true); break;
	case ZYDIS_MNEMONIC_XOR: binary(p, i, K_ALU, XOR, W_ALL, true); break;
	case ZYDIS_MNEMONIC_CMP: binary(p, i, K_ALU, CMP, W_ALL, false); break;
	case ZYDIS_MNEMONIC_TEST: binary(p, i, K_TEST, 0, W_ALL, false); break;
	case ZYDIS_MNEMONIC_INC: binary(p, i, K_UNARY, 0, W_SOME, true); break;
	case ZYDIS_MNEMONIC_DEC: binary(p, i, K_UNARY, 1, W_SOME, true); break;
	case ZYDIS_MNEMONIC_NOT: binary(p, i, K_UNARY, 2, W_NONE, true); break;
	case ZYDIS_MNEMONIC_NEG: binary(p, i, K_UNARY, 3, W_ALL, true); break;
	case ZYDIS_MNEMONIC_ROL: shift(p, i, 0); break;
	case ZYDIS_MNEMONIC_ROR: shift(p, i, 1); break;
	case ZYDIS_MNEMONIC_SHL: shift(p, i, 4); break;
	case ZYDIS_MNEMONIC_SHR: shift(p, i, 5); break;
	case ZYDIS_MNEMONIC_SAR: shift(p, i, 7); break;
	case ZYDIS_MNEMONIC_IMUL: multiply(p, i, true); break;
	case ZYDIS_MNEMONIC_MUL: multiply(p, i, false); break;
	case ZYDIS_MNEMONIC_BT: bit_test(p, i, 4); break;
	case ZYDIS_MNEMONIC_BTS: bit_test(p, i, 5); break;
	case ZYDIS_MNEMONIC_BTR: bit_test(p, i, 6); break;
	case ZYDIS_MNEMONIC_BTC: bit_test(p, i, 7); break;
	case ZYDIS_MNEMONIC_TZCNT: count(t, p, i, 0xbc, j->bmi1); break;
	case ZYDIS_MNEMONIC_LZCNT: count(t, p, i, 0xbd, j->lzcnt); break;
	case ZYDIS_MNEMONIC_POPCNT: count(t, p, i, 0xb8, j->popcnt); break;
	case ZYDIS_MNEMONIC_XADD: binary(p, i, K_XADD, 0, W_ALL, true); touch(p, i->r1); break;
	case ZYDIS_MNEMONIC_CMPXCHG:
		if (has_mem(i) && i->opsz >= 4)
			binary(p, i, K_CMPXCHG, 0, W_ALL, false), p->mods = 1u << REG_RAX;
		break;
	case ZYDIS_MNEMONIC_PUSH: stack(p, i, true); break;
	case ZYDIS_MNEMONIC_POP: stack(p, i, false); break;
	case ZYDIS_MNEMONIC_LEAVE:
		if (i->opsz == 8)
			p->kind = K_LEAVE, p->leaves = true, p->mods = 1u << REG_RSP | 1u << REG_RBP;
		break;
	case ZYDIS_MNEMONIC_NOP: case ZYDIS_MNEMONIC_ENDBR32: case ZYDIS_MNEMONIC_ENDBR64: case ZYDIS_MNEMONIC_PREFETCH:
	case ZYDIS_MNEMONIC_PREFETCHW: case ZYDIS_MNEMONIC_PREFETCHNTA: case ZYDIS_MNEMONIC_PREFETCHT0:
	case ZYDIS_MNEMONIC_PREFETCHT1: case ZYDIS_MNEMONIC_PREFETCHT2: case ZYDIS_MNEMONIC_SFENCE:
	case ZYDIS_MNEMONIC_LFENCE: case ZYDIS_MNEMONIC_MFENCE: p->kind = K_NOTHING; break;
	default: break;
	}
}

/* What has no code of its own: by its handler, unless that ends the block. */
static struct props props_of(const struct tr *t, const struct insn *i)
{
	const u32 ends = ROW_BRANCH | ROW_END;
	struct props p = {.kind = i->row->flags & ends || t->j->cfg.check ? K_STOP : K_CALL};

	if (i->fn != i->row->unavailable && !(i->row->flags & ROW_END))
		classify(t, &p, i);
	if (p.kind == K_CALL)
		p.leaves = true;
	return p;
}

void analyse(struct tr *t)
{
	bool asked = true;

	for (t->n = 0; t->n < t->b->n; t->n++) {
		t->p[t->n] = props_of(t, &t->b->insn[t->n]);
		if (t->p[t->n].kind == K_STOP)
			break;
	}
	t->asked[t->n] = true;
	for (unsigned k = t->n; k-- > 0;) {
		struct props *p = &t->p[k];

		/* Of registers, and yet the handler's: see count() and xadd(). */
		if ((p->kind == K_COUNT && asked) || p->kind == K_XADD)
			p->leaves = true;
		if (p->writes == W_ALL)
			asked = false;
		asked = asked || p->reads || p->leaves;
		t->asked[k] = asked;
	}
}
