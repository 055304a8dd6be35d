/*
 * exec: instruction semantics, one file per family. A handler is a few lines of one shape: read operands, compute, last
 * step that can fault, commit. This header is all they share: registers, effective addresses, memory operands, flags,
 * chaining. May call: segs, mmu, events. Called by: the run loop through struct insn.
 */
#ifndef CPU_EXEC_H
#define CPU_EXEC_H

#include "cpu/control/control.h"
#include "cpu/decode/decode.h"
#include "cpu/mmu/mem.h"

/* ---- registers by byte offset (the build uses -fno-strict-aliasing) ---- */
static inline void *reg_ptr(struct cpu *c, u8 off)
{
	return (u8 *)c->r + off;
}
#define DEFINE_REG(N)                                                                                                  \
	static inline u##N reg##N(struct cpu *c, u8 off)                                                               \
	{                                                                                                              \
		return *(u##N *)reg_ptr(c, off);                                                                       \
	}
DEFINE_REG(8) DEFINE_REG(16) DEFINE_REG(32) DEFINE_REG(64)
#undef DEFINE_REG
static inline void set_reg8(struct cpu *c, u8 off, u8 v) { *(u8 *)reg_ptr(c, off) = v; }
static inline void set_reg16(struct cpu *c, u8 off, u16 v) { *(u16 *)reg_ptr(c, off) = v; }
static inline void set_reg32(struct cpu *c, u8 off, u32 v) { *(u64 *)reg_ptr(c, off) = v; } /* zero-extends */
static inline void set_reg64(struct cpu *c, u8 off, u64 v) { *(u64 *)reg_ptr(c, off) = v; }

/* By size 1, 2, 4, 8, for handlers that are not worth specialising. */
static inline u64 reg_get(struct cpu *c, u8 off, unsigned size)
{
	return size == 8 ? reg64(c, off) : size == 4 ? reg32(c, off) : size == 2 ? reg16(c, off) : reg8(c, off);
}
static inline void reg_set(struct cpu *c, u8 off, unsigned size, u64 v)
{
	if (size == 8)
		set_reg64(c, off, v);
	else if (size == 4)
		set_reg32(c, off, (u32)v);
	else if (size == 2)
		set_reg16(c, off, (u16)v);
	else
		set_reg8(c, off, (u8)v);
}

/* ---- effective and linear addresses ---- */
static inline u64 insn_ea(const struct cpu *c, const struct insn *i)
{
	u64 ea = *(const u64 *)((const u8 *)c->r + i->base) + (*(const u64 *)((const u8 *)c->r + i->index) << i->scale) +
		 (u64)i->disp;
	return i->addrsz == 8 ? ea : i->addrsz == 4 ? (u32)ea : (u16)ea;
}

/* The linear address of the memory operand. Flat 64-bit code skips all checks: a TLB hit implies canonical. */
static inline enum xr insn_la(struct cpu *c, const struct insn *i, u32 size, unsigned access, la_t *la)
{
	if (likely(i->flags & INSN_FLAT)) { /* 64-bit mode; base[6] stays 0; an address-size prefix is rare */
		*la = insn_ea(c, i) + c->sb.base[i->seg];
		return XR_OK;
	}
	return seg_address(c, i->seg, insn_ea(c, i), size, access, la);
}

/* ---- the memory operand ---- */
static inline unsigned stack_acc(const struct insn *i)
{
	return i->seg == SEG_SS ? ACC_STACK : 0;
}

/* size: 1, 2, 4, 8, a constant wherever these are called. */
static inlined enum xr op_load(struct cpu *c, const struct insn *i, unsigned size, u64 *out)
{
	la_t la;

	TRY(insn_la(c, i, size, ACC_READ, &la));
	return mem_load(c, la, size, stack_acc(i), out);
}
static inlined enum xr op_store(struct cpu *c, const struct insn *i, unsigned size, u64 v)
{
	la_t la;

	TRY(insn_la(c, i, size, ACC_WRITE, &la));
	return mem_store(c, la, size, stack_acc(i), v);
}
static inlined enum xr op_load_rmw(struct cpu *c, const struct insn *i, unsigned size, la_t *la, u64 *out)
{
	TRY(insn_la(c, i, size, ACC_RMW, la));
	return mem_load_rmw(c, *la, size, stack_acc(i), out);
}

/* The same by type. */
#define DEFINE_OPERAND(N)                                                                                              \
	static inline enum xr op_read##N(struct cpu *c, const struct insn *i, u##N *out)                               \
	{                                                                                                              \
		u64 v;                                                                                                 \
		enum xr r = op_load(c, i, N / 8, &v);                                                                  \
		*out = (u##N)v;                                                                                        \
		return r;                                                                                              \
	}                                                                                                              \
	static inline enum xr op_write##N(struct cpu *c, const struct insn *i, u##N v)                                 \
	{                                                                                                              \
		return op_store(c, i, N / 8, v);                                                                       \
	}
DEFINE_OPERAND(8) DEFINE_OPERAND(16) DEFINE_OPERAND(32) DEFINE_OPERAND(64)
#undef DEFINE_OPERAND

/* By size, for handlers that are not worth specialising. */
enum xr op_read(struct cpu *c, const struct insn *i, unsigned size, u64 *out) must_check;
enum xr op_write(struct cpu *c, const struct insn *i, unsigned size, u64 v) must_check;
enum xr op_read128(struct cpu *c, const struct insn *i, u64 out[2]) must_check;

/* ---- stack: pushes and pops at the stack-address size, faulting as #SS ---- */
enum xr push(struct cpu *c, unsigned size, u64 v) must_check;
enum xr push_prove(struct cpu *c, unsigned size) must_check; /* would a push fault? */
enum xr push_selector(struct cpu *c, unsigned size, u16 sel) must_check; /* PUSH Sreg */
enum xr pop(struct cpu *c, unsigned size, u64 *v) must_check;
/* RSP <- v at the stack-address size, upper bits kept for 16-bit stacks. */
static inline void set_sp(struct cpu *c, u64 v)
{
	u64 m = stack_mask(c);
	c->r[REG_RSP] = (c->r[REG_RSP] & ~m & (m == 0xffff ? ~0ull : 0)) | (v & m);
}

/* ---- far.c ---- */
enum xr far_jmp(struct cpu *c, const struct insn *i, u16 sel, u64 off) must_check;
enum xr far_call(struct cpu *c, const struct insn *i, u16 sel, u64 off) must_check;
enum xr far_ret(struct cpu *c, const struct insn *i, u16 pop) must_check;
enum xr do_iret(struct cpu *c, const struct insn *i) must_check;

/* Instructions whose memory operand is implied by rAX: only a prefix says which segment. */
void bind_implied_segment(struct insn *i, const struct dec *d);

/* ---- chaining: handler NAME -> NAME_fast ---- */
#define NEXT(c, i) ((i)[1].fast((c), (i) + 1))
enum xr insn_leave(struct cpu *c, const struct insn *i, enum xr r); /* chain.c: bookkeeping when a chain ends early */
static inlined enum xr chain_pure(struct cpu *c, const struct insn *i, insn_fn *handler)
{
	(void)!handler(c, i);
	return NEXT(c, i);
}
static inlined enum xr chain(struct cpu *c, const struct insn *i, insn_fn *handler)
{
	enum xr r;

	c->cur = i;
	r = handler(c, i);
	if (unlikely(r != XR_OK || c->kick))
		return insn_leave(c, i, r);
	return NEXT(c, i);
}
static inlined enum xr chain_branch(struct cpu *c, const struct insn *i, insn_fn *handler)
{
	enum xr r;

	c->cur = i;
	r = handler(c, i);
	if (unlikely(r != XR_OK))
		return insn_leave(c, i, r);
	c->left = i->idx + 1u;
	return XR_OK;
}
#define CHAINED(NAME, HOW)                                                                                             \
	static enum xr NAME##_fast(struct cpu *c, const struct insn *i)                                                \
	{                                                                                                              \
		return HOW(c, i, NAME);                                                                                \
	}
#define CHAIN_PURE(NAME)   CHAINED(NAME, chain_pure)   /* rows marked ROW_PURE */
#define CHAIN(NAME)        CHAINED(NAME, chain)        /* rows that may fault or touch memory */
#define CHAIN_BRANCH(NAME) CHAINED(NAME, chain_branch) /* branches: the handler set rip */

/* chain.c */
extern const struct dispatch exec_dispatch;
enum xr insn_run(struct cpu *c, const struct insn *i);              /* alone: gate, lock, fn */
enum xr insn_end(struct cpu *c, const struct insn *i);
enum xr insn_chain_call(struct cpu *c, const struct insn *i);
enum xr insn_chain_gated(struct cpu *c, const struct insn *i);
/* lock.c: instructions with LOCK, XCHG with memory, while the mode has MODE_LOCKS; i->fn does the work. */
enum xr insn_locked(struct cpu *c, const struct insn *i);
enum xr insn_locked_fast(struct cpu *c, const struct insn *i);
#define BIND(i, NAME) ((i)->fn = NAME, (i)->fast = NAME##_fast)

/* A taken branch to `rip` (already masked to the operand size): limit or canonical check, last-branch records.
 * Sets cpu->r[REG_RIP]. */
enum xr branch_to(struct cpu *c, const struct insn *i, u64 rip) must_check;

/* Every family's rows; collected by the models. */
extern const struct row_set exec_alu_rows, exec_shift_rows, exec_muldiv_rows, exec_move_rows, exec_string_rows,
	exec_branch_rows, exec_stack_rows, exec_bit_rows, exec_cregs_rows, exec_tables_rows, exec_system_rows,
	exec_sysenter_rows, exec_tsc_rows, exec_far_rows, exec_io_rows, exec_x87_rows, exec_xsave_rows, exec_mmx_rows,
	exec_sse_rows, exec_sseint_rows, exec_avx_rows, exec_crypto_rows;

#endif
