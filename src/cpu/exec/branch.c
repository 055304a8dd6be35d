/* Near branches, software interrupts, BOUND, and the undefined instructions. */
#include "cpu/state/flags.h"
#include "cpu/exec/flat.h"

#define HANDLER(NAME) static inline enum xr NAME(struct cpu *c, const struct insn *i)

/* ---- the end of every taken branch ---- */

#define DEBUGCTL_BRANCHES (DEBUGCTL_LBR | DEBUGCTL_LBRSE)

static enum xr branch_check(struct cpu *c, u64 rip)
{
	if (mode64(c) ? !is_canonical(rip, c->la_bits) : rip > c->seg[SEG_CS].limit)
		return fault_gp(c, 0);
	return XR_OK;
}

static inline void note_branch(struct cpu *c, u64 from, u64 to)
{
	c->lastbr[c->lastbr_n++ % ARRAY_LEN(c->lastbr)] = (struct branch_record){.from = from, .to = to};
}

/* Near branches, by their last opcode byte; what is left is conditional: Jcc, LOOPcc, JrCXZ. */
static enum lbr_kind branch_kind(const struct insn *i)
{
	switch (i->opcode) {
	case 0xe8: return LBR_CALL_REL;
	case 0xe9:
	case 0xeb: return LBR_JMP_REL;
	case 0xc2:
	case 0xc3: return LBR_RET;
	case 0xff: return (i->modrm >> 3 & 7) == 2 ? LBR_CALL_IND : LBR_JMP_IND;
	default: return LBR_JCC;
	}
}

static cold void debug_branch(struct cpu *c, const struct insn *i, u64 from, u64 to)
{
	lbr_branch(c, from, to, branch_kind(i));
}

static inline void branch_commit(struct cpu *c, const struct insn *i, u64 rip)
{
	u64 from = insn_rip(c, i);

	note_branch(c, from, rip);
	if (unlikely(c->debugctl & DEBUGCTL_BRANCHES))
		debug_branch(c, i, from, rip);
	c->r[REG_RIP] = rip;
}

enum xr branch_to(struct cpu *c, const struct insn *i, u64 rip)
{
	TRY(branch_check(c, rip));
	branch_commit(c, i, rip);
	return XR_OK;
}

/* ---- 64-bit mode, 64-bit operand size: i->aux is the next instruction, i->disp the target, both from the block's start ---- */

static inline bool plain_target(const struct cpu *c, u64 rip)
{
	return likely((rip + BIT(47)) >> 48 == 0 && !(c->debugctl & DEBUGCTL_BRANCHES));
}

static inline enum xr jump64(struct cpu *c, const struct insn *i, u64 target)
{
	if (unlikely(!plain_target(c, target)))
		return branch_to(c, i, target);
	note_branch(c, c->r[REG_RIP] + i->off, target);
	c->r[REG_RIP] = target;
	return XR_OK;
}

/* The short ways: nothing can fault and nothing is called; else on to the full handler. */
static inline bool jump64_quick(struct cpu *c, const struct insn *i, u64 target)
{
	if (unlikely(!plain_target(c, target)))
		return false;
	note_branch(c, c->r[REG_RIP] + i->off, target);
	c->r[REG_RIP] = target;
	c->left = i->idx + 1u;
	return true;
}

static inline bool call64_quick(struct cpu *c, const struct insn *i, u64 target)
{
	u64 sp = c->r[REG_RSP] - 8;
	any64 *m = l1_write(c, sp, 8);

	if (unlikely(!m || !plain_target(c, target)))
		return false;
	*m = c->r[REG_RIP] + i->aux;
	c->r[REG_RSP] = sp;
	return jump64_quick(c, i, target);
}

static inline bool ret64_quick(struct cpu *c, const struct insn *i)
{
	u64 sp = c->r[REG_RSP];
	const any64 *m = l1_read(c, sp, 8);

	if (unlikely(!m || !jump64_quick(c, i, *m)))
		return false;
	c->r[REG_RSP] = sp + 8 + (u16)i->imm;
	return true;
}

#define TARGET64 (c->r[REG_RIP] + (u64)i->disp)

/* The condition is a constant. */
static inlined enum xr jcc64(struct cpu *c, const struct insn *i, unsigned cc)
{
	if (cond_now(c, cc))
		return jump64(c, i, TARGET64);
	c->r[REG_RIP] += i->aux;
	return XR_OK;
}

static inlined bool jcc64_quick(struct cpu *c, const struct insn *i, unsigned cc)
{
	const int taken = cond_quick(c, cc);

	if (taken)
		return likely(taken > 0) && jump64_quick(c, i, TARGET64);
	c->r[REG_RIP] += i->aux;
	c->left = i->idx + 1u;
	return true;
}

/* NAME_flat of a branch: it ends the block. */
#define QUICK(NAME, DONE)                                                                                              \
	static enum xr NAME##_flat(struct cpu *c, const struct insn *i)                                                \
	{                                                                                                              \
		return likely(DONE) ? XR_OK : NAME##_fast(c, i);                                                       \
	}

HANDLER(jmp64)
{
	return jump64(c, i, TARGET64);
}
CHAIN_BRANCH(jmp64)
QUICK(jmp64, jump64_quick(c, i, TARGET64))

#define JCC64(CC, NAME)                                                                                                \
	HANDLER(j64_##NAME) { return jcc64(c, i, CC); }                                                                \
	CHAIN_BRANCH(j64_##NAME)                                                                                       \
	QUICK(j64_##NAME, jcc64_quick(c, i, CC))
COND_LIST(JCC64)
#define JCC64_FORM(CC, NAME) FLAT_FORM(j64_##NAME),
static const struct form jcc64_forms[16] = { COND_LIST(JCC64_FORM) };

HANDLER(jmp64_r)
{
	return jump64(c, i, reg64(c, i->r0));
}
CHAIN_BRANCH(jmp64_r)
QUICK(jmp64_r, jump64_quick(c, i, reg64(c, i->r0)))

HANDLER(jmp64_m)
{
	u64 target;

	TRY(op_read64(c, i, &target));
	return jump64(c, i, target);
}
CHAIN_BRANCH(jmp64_m)

static cold enum xr refuse_call(struct cpu *c, unsigned size)
{
	TRY(push_prove(c, size));
	return fault_gp(c, 0);
}

/* The stack is looked at before the target, on any processor; what is pushed may be there before, or not at all. */
static inline enum xr call_check(struct cpu *c, unsigned size, u64 target)
{
	if (quirk(c, QUIRK_CALL_PUSHES_FIRST) || likely(branch_check(c, target) == XR_OK))
		return XR_OK;
	return refuse_call(c, size);
}

static inline enum xr call64_to(struct cpu *c, const struct insn *i, u64 target)
{
	u64 sp = c->r[REG_RSP] - 8;

	TRY(call_check(c, 8, target));
	TRY(mem_write64(c, sp, ACC_STACK, c->r[REG_RIP] + i->aux));
	TRY(jump64(c, i, target));
	c->r[REG_RSP] = sp;
	return XR_OK;
}

HANDLER(call64)
{
	return call64_to(c, i, TARGET64);
}
CHAIN_BRANCH(call64)
QUICK(call64, call64_quick(c, i, TARGET64))

HANDLER(call64_r)
{
	return call64_to(c, i, reg64(c, i->r0));
}
CHAIN_BRANCH(call64_r)
QUICK(call64_r, call64_quick(c, i, reg64(c, i->r0)))

HANDLER(call64_m)
{
	u64 target;

	TRY(op_read64(c, i, &target));
	return call64_to(c, i, target);
}
CHAIN_BRANCH(call64_m)

HANDLER(ret64)
{
	u64 sp = c->r[REG_RSP], target;

	TRY(mem_read64(c, sp, ACC_STACK, &target));
	TRY(jump64(c, i, target));
	c->r[REG_RSP] = sp + 8 + (u16)i->imm;
	return XR_OK;
}
CHAIN_BRANCH(ret64)
QUICK(ret64, ret64_quick(c, i))

/* ---- every other mode and size ---- */

static inline u64 near_ip(const struct insn *i, u64 v)
{
	return low_bytes(v, i->opsz);
}

static u64 relative(struct cpu *c, const struct insn *i)
{
	return near_ip(i, next_rip(c, i) + i->imm);
}

static enum xr fall_through(struct cpu *c, const struct insn *i)
{
	c->r[REG_RIP] = next_rip(c, i);
	return XR_OK;
}

HANDLER(jmp_rel)
{
	return branch_to(c, i, relative(c, i));
}
CHAIN_BRANCH(jmp_rel)

HANDLER(jcc_rel)
{
	return cc_eval(c, i->cc) ? branch_to(c, i, relative(c, i)) : fall_through(c, i);
}
CHAIN_BRANCH(jcc_rel)

HANDLER(jmp_ind)
{
	u64 target;

	TRY(src_get(c, i, i->r0, &target));
	return branch_to(c, i, target);
}
CHAIN_BRANCH(jmp_ind)

static enum xr call_to(struct cpu *c, const struct insn *i, u64 target)
{
	u64 sp = c->r[REG_RSP];

	TRY(call_check(c, i->opsz, target));
	TRY(push(c, i->opsz, next_rip(c, i)));

	enum xr r = branch_to(c, i, target);

	if (r != XR_OK)
		c->r[REG_RSP] = sp;
	return r;
}

HANDLER(call_rel)
{
	return call_to(c, i, relative(c, i));
}
CHAIN_BRANCH(call_rel)

HANDLER(call_ind)
{
	u64 target;

	TRY(src_get(c, i, i->r0, &target));
	return call_to(c, i, target);
}
CHAIN_BRANCH(call_ind)

HANDLER(ret_near)
{
	u64 sp = c->r[REG_RSP], target;

	TRY(pop(c, i->opsz, &target));

	enum xr r = branch_to(c, i, target);

	if (r != XR_OK)
		c->r[REG_RSP] = sp;
	else if ((u16)i->imm)
		set_sp(c, c->r[REG_RSP] + (u16)i->imm);
	return r;
}
CHAIN_BRANCH(ret_near)

/* Counts are at the address size; the target is checked before the count is committed. */
static inline enum xr loop_if(struct cpu *c, const struct insn *i, bool more)
{
	u64 count = (addr_reg(c, i, REG_RCX) - 1) & addr_mask(i);

	TRY(count && more ? branch_to(c, i, relative(c, i)) : fall_through(c, i));
	set_addr_reg(c, i, REG_RCX, count);
	return XR_OK;
}

HANDLER(loop)
{
	return loop_if(c, i, true);
}
CHAIN_BRANCH(loop)

HANDLER(loope)
{
	return loop_if(c, i, zf_now(c));
}
CHAIN_BRANCH(loope)

HANDLER(loopne)
{
	return loop_if(c, i, !zf_now(c));
}
CHAIN_BRANCH(loopne)

HANDLER(jrcxz)
{
	return addr_reg(c, i, REG_RCX) == 0 ? branch_to(c, i, relative(c, i)) : fall_through(c, i);
}
CHAIN_BRANCH(jrcxz)

/* ---- binding ---- */

/* Near branches in 64-bit mode are 64 bits wide; where 66h is not ignored it makes them 16 bits wide, unless REX.W. */
static void near_size(struct insn *i, const struct dec *d)
{
	bool o16 = dec_o16(d) && !(dec_mode64(d) && d->zi->raw.rex.W);

	if (dec_mode64(d))
		i->opsz = o16 && !quirk(d->cpu, QUIRK_BRANCH_IGNORE_66) ? 2 : 8;
	else
		i->opsz = ((d->mode & MODE_SIZE) == MODE_32) != o16 ? 4 : 2;
	if (i->opsz == 8) {
		i->aux = (u32)(i->off + i->len);
		if (is_imm(d, 0) && !is_mem(d, 0))
			i->disp = (s64)i->imm + i->aux;
	}
}

static void bind_jmp(struct insn *i, const struct dec *d)
{
	static const struct form wide[3] = {FLAT_FORM(jmp64), FLAT_FORM(jmp64_r), FORM(jmp64_m)};
	static const struct form other[3] = {FORM(jmp_rel), FORM(jmp_ind), FORM(jmp_ind)};

	near_size(i, d);
	use_form(i, &(i->opsz == 8 ? wide : other)[is_imm(d, 0) ? 0 : is_mem(d, 0) ? 2 : 1]);
}

static void bind_call(struct insn *i, const struct dec *d)
{
	static const struct form wide[3] = {FLAT_FORM(call64), FLAT_FORM(call64_r), FORM(call64_m)};
	static const struct form other[3] = {FORM(call_rel), FORM(call_ind), FORM(call_ind)};

	near_size(i, d);
	use_form(i, &(i->opsz == 8 ? wide : other)[is_imm(d, 0) ? 0 : is_mem(d, 0) ? 2 : 1]);
}

static void bind_jcc(struct insn *i, const struct dec *d)
{
	near_size(i, d);
	i->cc = d->zi->opcode & 15;
	if (i->opsz == 8)
		use_form(i, &jcc64_forms[i->cc]);
	else
		BIND(i, jcc_rel);
}

/* RET imm16 keeps its operand; without one imm is 0. */
static void bind_ret(struct insn *i, const struct dec *d)
{
	static const struct form forms[2] = {FORM(ret_near), FLAT_FORM(ret64)};

	i->imm = is_imm(d, 0) ? d->op[0].imm.value.u : 0;
	near_size(i, d);
	i->disp = 0;
	use_form(i, &forms[i->opsz == 8]);
}

static void bind_loop(struct insn *i, const struct dec *d)
{
	near_size(i, d);
	use_form(i, d->row->op);
}

static void bind_loop_if(struct insn *i, const struct dec *d)
{
	static const struct form equal = FORM(loope), differs = FORM(loopne);
	u8 repeat = quirk(d->cpu, QUIRK_LOOP_REPEATS) ? dec_repeat(d) : 0;

	bind_loop(i, d);
	if (repeat)
		use_form(i, repeat == INSN_REP ? &equal : &differs);
}

/* ---- software interrupts ---- */

HANDLER(int_n)
{
	return raise_soft(c, i, EV_SW, (u8)i->imm);
}

HANDLER(int3)
{
	return raise_soft(c, i, EV_SWEX, EX_BP);
}

HANDLER(int1)
{
	return raise_soft(c, i, EV_PRIVSW, EX_DB);
}

HANDLER(into)
{
	return cc_of(c) ? raise_soft(c, i, EV_SWEX, EX_OF) : fall_through(c, i);
}

/* A fault; its length is for the vendor that reports the next instruction's address. */
static enum xr raise_bound(struct cpu *c, const struct insn *i)
{
	cpu_fault(c, EX_BR, 0);
	c->fault.insn_len = i->len;
	return XR_FAULT;
}

/* BOUND r, m: two signed bounds in memory. */
HANDLER(bound)
{
	unsigned nbits = i->opsz * 8u;
	s64 v = sign_extend(reg_get(c, i->r0, i->opsz), nbits);
	u64 low, high;
	la_t la;

	TRY(insn_la(c, i, 2u * i->opsz, ACC_READ, &la));
	TRY(mem_read(c, la, i->opsz, stack_acc(i), &low));
	if (v < sign_extend(low, nbits) && quirk(c, QUIRK_BOUND_LOWER_FIRST))
		return raise_bound(c, i);
	TRY(mem_read(c, la + i->opsz, i->opsz, stack_acc(i), &high));
	if (v < sign_extend(low, nbits) || v > sign_extend(high, nbits))
		return raise_bound(c, i);
	return XR_OK;
}

static void bind_bound(struct insn *i, const struct dec *d)
{
	i->opsz = (u8)(d->op[0].size / 8);
}

HANDLER(undefined)
{
	(void)i;
	return fault_ud(c);
}

#define SINGLE(op) static const struct form op##_form = FORM(op);
SINGLE(loop) SINGLE(loope) SINGLE(loopne) SINGLE(jrcxz)

/* clang-format off */
#define JCC_ROW(CC, NAME) \
	{ .mnemonic = ZYDIS_MNEMONIC_J##NAME, .flags = ROW_BRANCH, .form = "J" #NAME " rel", .bind = bind_jcc },
#define LOOP_ROW(MN, nm, how) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = ROW_BRANCH, .form = #MN " rel", .bind = how, .op = &nm##_form }
#define NEAR(MN, what, how) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = ROW_BRANCH, .form = #MN " " what, .match = match_near, .bind = how }
#define TRAP(MN, nm, fl, ic) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = ROW_BRANCH | (fl), .icpt = ic, .form = #MN, .fn = nm }

static const struct insn_row rows[] = {
	COND_LIST(JCC_ROW)
	NEAR(JMP, "near", bind_jmp), NEAR(CALL, "near", bind_call), NEAR(RET, "near", bind_ret),
	LOOP_ROW(LOOP, loop, bind_loop), LOOP_ROW(LOOPE, loope, bind_loop_if), LOOP_ROW(LOOPNE, loopne, bind_loop_if),
	LOOP_ROW(JCXZ, jrcxz, bind_loop), LOOP_ROW(JECXZ, jrcxz, bind_loop), LOOP_ROW(JRCXZ, jrcxz, bind_loop),
	TRAP(INT, int_n, 0, ICPT_SWINT), TRAP(INT3, int3, 0, ICPT_NONE), TRAP(INT1, int1, 0, ICPT_ICEBP),
	TRAP(INTO, into, ROW_NOT64, ICPT_NONE),
	TRAP(UD0, undefined, 0, ICPT_NONE), TRAP(UD1, undefined, 0, ICPT_NONE), TRAP(UD2, undefined, 0, ICPT_NONE),
	{ .mnemonic = ZYDIS_MNEMONIC_BOUND, .flags = ROW_NOT64, .form = "BOUND r, m", .bind = bind_bound, .fn = bound },
};
/* clang-format on */
const struct row_set exec_branch_rows = {rows, ARRAY_LEN(rows)};
