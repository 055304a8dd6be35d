/* PUSH POP PUSHA POPA ENTER LEAVE, and what moves RFLAGS as a whole: PUSHF POPF LAHF SAHF CLI STI. */
#include "cpu/state/flags.h"
#include "cpu/exec/flat.h"

#define HANDLER(NAME) static inline enum xr NAME(struct cpu *c, const struct insn *i)

/* ---- the stack at its address size ---- */

static inline enum xr stack_la(struct cpu *c, u64 sp, unsigned size, unsigned access, la_t *la)
{
	if (likely(mode64(c))) {
		*la = sp;
		return XR_OK;
	}
	return seg_address(c, SEG_SS, sp, size, access | ACC_STACK, la);
}

static enum xr stack_read(struct cpu *c, u64 sp, unsigned size, u64 *v)
{
	la_t la;

	TRY(stack_la(c, sp, size, ACC_READ, &la));
	return mem_read(c, la, size, ACC_STACK, v);
}

static inline enum xr push_bytes(struct cpu *c, unsigned size, unsigned bytes, u64 v)
{
	u64 sp = (c->r[REG_RSP] - size) & stack_mask(c);
	la_t la;

	TRY(stack_la(c, sp, bytes, ACC_WRITE, &la));
	TRY(mem_write(c, la, bytes, ACC_STACK, v));
	set_sp(c, sp);
	return XR_OK;
}

enum xr push(struct cpu *c, unsigned size, u64 v)
{
	return push_bytes(c, size, size, v);
}

enum xr push_prove(struct cpu *c, unsigned size)
{
	la_t la;
	u64 old;

	TRY(stack_la(c, (c->r[REG_RSP] - size) & stack_mask(c), size, ACC_WRITE, &la));
	return mem_rmw(c, la, size, ACC_STACK, &old);
}

enum xr push_selector(struct cpu *c, unsigned size, u16 sel)
{
	return push_bytes(c, size, size == 4 && quirk(c, QUIRK_PUSH_SREG_16) ? 2 : size, sel);
}

enum xr pop(struct cpu *c, unsigned size, u64 *v)
{
	u64 sp = c->r[REG_RSP] & stack_mask(c);

	TRY(stack_read(c, sp, size, v));
	set_sp(c, sp + size);
	return XR_OK;
}

/* Several pushes as one step: every place is proved writable before the first byte moves, RSP stays the caller's. */
static enum xr push_many(struct cpu *c, unsigned size, const u64 *v, unsigned n)
{
	la_t la[40];
	u64 sp = c->r[REG_RSP], old;

	for (unsigned k = 0; k < n; k++) {
		sp = (sp - size) & stack_mask(c);
		TRY(stack_la(c, sp, size, ACC_WRITE, &la[k]));
		TRY(mem_rmw(c, la[k], size, ACC_STACK, &old));
	}
	for (unsigned k = 0; k < n; k++)
		TRY(mem_write(c, la[k], size, ACC_STACK, v[k]));
	return XR_OK;
}

/* ---- PUSH, POP ---- */

HANDLER(push_r)
{
	return push(c, i->opsz, reg_get(c, i->r0, i->opsz));
}
CHAIN(push_r)

HANDLER(push_i)
{
	return push(c, i->opsz, i->imm);
}
CHAIN(push_i)

HANDLER(push_m)
{
	u64 v;

	TRY(op_read(c, i, i->opsz, &v));
	return push(c, i->opsz, v);
}
CHAIN(push_m)

HANDLER(pop_r)
{
	u64 v;

	TRY(pop(c, i->opsz, &v));
	reg_set(c, i->r0, i->opsz, v);
	return XR_OK;
}
CHAIN(pop_r)

/* An address based on RSP uses its value after the increment. */
HANDLER(pop_m)
{
	u64 sp = c->r[REG_RSP], v;

	TRY(pop(c, i->opsz, &v));

	enum xr r = op_write(c, i, i->opsz, v);

	if (r != XR_OK)
		c->r[REG_RSP] = sp;
	return r;
}
CHAIN(pop_m)

/* 64-bit mode and operand size, L1 hit. */
static inline bool push64(struct cpu *c, u64 v)
{
	const u64 sp = c->r[REG_RSP] - 8;
	any64 *m = l1_write(c, sp, 8);

	if (unlikely(!m))
		return false;
	*m = v;
	c->r[REG_RSP] = sp;
	return true;
}
FLAT(push_r, push64(c, reg64(c, i->r0)))
FLAT(push_i, push64(c, i->imm))

static inline bool pop64(struct cpu *c, u8 slot)
{
	const u64 sp = c->r[REG_RSP];
	const any64 *m = l1_read(c, sp, 8);

	if (unlikely(!m))
		return false;
	c->r[REG_RSP] = sp + 8;
	set_reg64(c, slot, *m);
	return true;
}
FLAT(pop_r, pop64(c, i->r0))

static void bind_stack(struct insn *i, insn_fn *fn, insn_fn *fast, insn_fn *flat)
{
	i->fn = fn;
	i->fast = (i->flags & INSN_FLAT) && i->opsz == 8 ? flat : fast;
}

static void bind_push(struct insn *i, const struct dec *d)
{
	if (is_mem(d, 0))
		BIND(i, push_m);
	else if (is_imm(d, 0))
		bind_stack(i, push_i, push_i_fast, push_i_flat);
	else
		bind_stack(i, push_r, push_r_fast, push_r_flat);
}

static void bind_pop(struct insn *i, const struct dec *d)
{
	if (is_mem(d, 0))
		BIND(i, pop_m);
	else
		bind_stack(i, pop_r, pop_r_fast, pop_r_flat);
}

/* Segment registers have rows of their own. */
static bool match_push(const struct dec *d)
{
	return is_gpr(d, 0) || is_mem(d, 0) || is_imm(d, 0);
}

/* ---- PUSHA, POPA ---- */

HANDLER(pusha)
{
	u64 v[8];

	for (unsigned r = 0; r < 8; r++)
		v[r] = c->r[r];
	TRY(push_many(c, i->opsz, v, 8));
	set_sp(c, c->r[REG_RSP] - 8u * i->opsz);
	return XR_OK;
}

/* The image of RSP is skipped. Registers that were popped before a fault keep what they got. */
HANDLER(popa)
{
	u64 sp = c->r[REG_RSP], v;

	for (unsigned r = 8; r-- > 0; sp += i->opsz) {
		TRY(stack_read(c, sp & stack_mask(c), i->opsz, &v));
		if (r != REG_RSP)
			reg_set(c, REG_OFF(r), i->opsz, v);
	}
	set_sp(c, sp);
	return XR_OK;
}

/* ---- ENTER, LEAVE ---- */

/* The pushes are made one after the other, and those before a fault stay: only RBP and RSP wait for the end. */
HANDLER(enter)
{
	unsigned level = i->imm2 & 31;
	u64 sp = c->r[REG_RSP], bp = c->r[REG_RBP], m = stack_mask(c), v = bp;
	/* FrameTemp is all of ESP, also on a 16-bit stack. */
	u64 frame = (sp & ~m & 0xffff0000) | ((sp - i->opsz) & m);
	la_t la;

	for (unsigned k = 0; k <= level; k++) {
		if (k > 0 && k == level) {
			v = frame;
		} else if (k > 0) {
			bp -= i->opsz;
			TRY(stack_read(c, bp & stack_mask(c), i->opsz, &v));
		}
		sp = (sp - i->opsz) & stack_mask(c);
		TRY(stack_la(c, sp, i->opsz, ACC_WRITE, &la));
		TRY(mem_write(c, la, i->opsz, ACC_STACK, v));
	}
	/* "ENTER": a write at the final stack pointer must be possible, though none is made. */
	sp = (sp - (u16)i->imm) & stack_mask(c);
	TRY(stack_la(c, sp, i->opsz, ACC_WRITE, &la));
	TRY(mem_rmw(c, la, i->opsz, ACC_STACK, &v));
	reg_set(c, REG_OFF(REG_RBP), i->opsz, frame);
	set_sp(c, sp);
	return XR_OK;
}
CHAIN(enter)

HANDLER(leave)
{
	u64 sp = c->r[REG_RBP] & stack_mask(c), v;

	TRY(stack_read(c, sp, i->opsz, &v));
	set_sp(c, sp + i->opsz);
	reg_set(c, REG_OFF(REG_RBP), i->opsz, v);
	return XR_OK;
}
CHAIN(leave)

/* ---- RFLAGS ---- */

static unsigned iopl(const struct cpu *c)
{
	return (c->rflags & FL_IOPL) >> 12;
}

/* In virtual-8086 mode below IOPL 3 only the 16-bit forms work, and only with VME. */
static bool flags_forbidden(const struct cpu *c, const struct insn *i)
{
	return v86_mode(c) && iopl(c) < 3 && !((c->cr4 & CR4_VME) && i->opsz == 2);
}

HANDLER(pushf)
{
	if (flags_forbidden(c, i))
		return fault_gp(c, 0);

	u32 f = flags_get(c) & ~(u32)(FL_RF | FL_VM);

	if (v86_mode(c) && iopl(c) < 3) /* VME: VIF stands for IF */
		f = (f & ~(u32)FL_IF) | FL_IOPL | (f & FL_VIF ? FL_IF : 0);
	return push(c, i->opsz, f);
}

/* "POPF": which bits a given privilege may change. */
static u32 popf_writable(const struct cpu *c)
{
	u32 w = FL_ARITH | FL_TF | FL_DF | FL_NT | FL_AC | FL_ID;

	if (c->cpl == 0)
		w |= FL_IOPL;
	if (c->cpl <= iopl(c))
		w |= FL_IF;
	return w;
}

static enum xr popf_commit(struct cpu *c, const struct insn *i, u32 v, u32 writable)
{
	u32 old = flags_get(c), keep;

	if (i->opsz == 2)
		writable &= 0xffff;
	keep = old & ~writable;
	if (i->opsz != 2)
		keep &= ~(u32)FL_RF;
	flags_set(c, keep | (v & writable));
	cpu_flags_changed(c, old);
	return XR_OK;
}

/* VME: IF goes to VIF; TF, or enabling while VIP is set, faults. */
static enum xr popf_vme(struct cpu *c)
{
	u64 sp = c->r[REG_RSP], v;

	TRY(pop(c, 2, &v));
	if ((v & FL_TF) || ((v & FL_IF) && (c->rflags & FL_VIP))) {
		c->r[REG_RSP] = sp;
		return fault_gp(c, 0);
	}
	v = (v & 0xffff) | (v & FL_IF ? FL_VIF : 0);

	u32 old = flags_get(c), writable = FL_ARITH | FL_DF | FL_NT | FL_TF | FL_VIF;

	flags_set(c, (old & ~writable) | ((u32)v & writable));
	cpu_flags_changed(c, old);
	return XR_OK;
}

HANDLER(popf)
{
	u64 v;

	if (flags_forbidden(c, i))
		return fault_gp(c, 0);
	if (v86_mode(c) && iopl(c) < 3)
		return popf_vme(c);
	TRY(pop(c, i->opsz, &v));
	return popf_commit(c, i, (u32)v, popf_writable(c));
}

/* Who may change IF: IF itself, VIF in its place (VME, PVI), or nobody: #GP(0). */
enum if_target { IF_REAL, IF_VIRTUAL, IF_DENIED };

static enum if_target if_target(const struct cpu *c)
{
	if (v86_mode(c))
		return iopl(c) == 3 ? IF_REAL : c->cr4 & CR4_VME ? IF_VIRTUAL : IF_DENIED;
	if (c->cpl <= iopl(c))
		return IF_REAL;
	return c->cpl == 3 && (c->cr4 & CR4_PVI) ? IF_VIRTUAL : IF_DENIED;
}

/* Nothing becomes deliverable by it, so nobody need look. */
HANDLER(cli)
{
	(void)i;
	switch (if_target(c)) {
	case IF_REAL: c->rflags &= ~(u32)FL_IF; break;
	case IF_VIRTUAL: c->rflags &= ~(u32)FL_VIF; break;
	default: return fault_gp(c, 0);
	}
	return XR_OK;
}
CHAIN(cli)

HANDLER(sti)
{
	u32 old = c->rflags;

	(void)i;
	switch (if_target(c)) {
	case IF_REAL:
		c->rflags |= FL_IF;
		if (!(old & FL_IF))
			c->shadow = SHADOW_STI;
		break;
	case IF_VIRTUAL:
		if (old & FL_VIP)
			return fault_gp(c, 0);
		c->rflags |= FL_VIF;
		break;
	default: return fault_gp(c, 0);
	}
	if (old != c->rflags)
		cpu_flags_changed(c, old);
	return XR_OK;
}
CHAIN(sti)

HANDLER(lahf)
{
	(void)i;
	set_reg8(c, REG_OFF(REG_RAX) + 1, (u8)((flags_get(c) & (FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF)) | FL_1));
	return XR_OK;
}
CHAIN_PURE(lahf)

HANDLER(sahf)
{
	u32 of = flags_get(c) & FL_OF;

	(void)i;
	cc_set_flags(c, of | (reg8(c, REG_OFF(REG_RAX) + 1) & (FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF)));
	return XR_OK;
}
CHAIN_PURE(sahf)

static bool match_lahf(const struct dec *d)
{
	return !dec_mode64(d) || has(d->cpu, FEAT_LAHF_LM);
}

#define SINGLE(op) static const struct form op##_form = FORM(op);
SINGLE(enter) SINGLE(leave) SINGLE(cli) SINGLE(sti) SINGLE(lahf) SINGLE(sahf)

/* clang-format off */
#define PLAIN(MN, nm, fl) { .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = fl, .form = #MN, .bind = bind_plain, .op = &nm##_form }
#define WIDTHS(MN, nm, fl, ic) \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN, .flags = fl, .icpt = ic, .form = #MN, .fn = nm }, \
	{ .mnemonic = ZYDIS_MNEMONIC_##MN##D, .flags = fl, .icpt = ic, .form = #MN "D", .fn = nm }
#define QUAD(MN, nm, fl, ic) { .mnemonic = ZYDIS_MNEMONIC_##MN##Q, .flags = fl, .icpt = ic, .form = #MN "Q", .fn = nm }

static const struct insn_row rows[] = {
	{ .mnemonic = ZYDIS_MNEMONIC_PUSH, .form = "PUSH r/m/imm", .match = match_push, .bind = bind_push },
	{ .mnemonic = ZYDIS_MNEMONIC_POP, .form = "POP r/m", .match = match_push, .bind = bind_pop },
	WIDTHS(PUSHA, pusha, ROW_NOT64, ICPT_NONE), WIDTHS(POPA, popa, ROW_NOT64, ICPT_NONE),
	PLAIN(ENTER, enter, 0), PLAIN(LEAVE, leave, 0),
	WIDTHS(PUSHF, pushf, 0, ICPT_PUSHF), QUAD(PUSHF, pushf, 0, ICPT_PUSHF),
	WIDTHS(POPF, popf, ROW_END, ICPT_POPF), QUAD(POPF, popf, ROW_END, ICPT_POPF),
	PLAIN(CLI, cli, 0), PLAIN(STI, sti, ROW_END),
	{ .mnemonic = ZYDIS_MNEMONIC_LAHF, .flags = ROW_PURE, .form = "LAHF", .match = match_lahf, .bind = bind_plain, .op = &lahf_form },
	{ .mnemonic = ZYDIS_MNEMONIC_SAHF, .flags = ROW_PURE, .form = "SAHF", .match = match_lahf, .bind = bind_plain, .op = &sahf_form },
};
/* clang-format on */
const struct row_set exec_stack_rows = {rows, ARRAY_LEN(rows)};
