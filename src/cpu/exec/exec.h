/*
 * exec: instruction semantics, one file per family. A handler is a few lines of one shape: read operands, compute, last
 * step that can fault, commit. This header is all they share: registers, effective addresses, memory operands, flags,
 * chaining. May call: segs, mmu, events. Called by: the run loop through struct insn.
 */
#ifndef CPU_EXEC_H
#define CPU_EXEC_H

#include "cpu/cpu.h"
#include "cpu/decode/decode.h"

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

/* ---- scalar memory by linear address: L1 inline, the rest out of line ---- */
/* A guest's operand in the computer's memory: it has the alignment that the guest chose. */
typedef u8 any8;
typedef u16 __attribute__((aligned(1), may_alias)) any16;
typedef u32 __attribute__((aligned(1), may_alias)) any32;
typedef u64 __attribute__((aligned(1), may_alias)) any64;

#define DEFINE_MEM(N)                                                                                                  \
	static inline enum xr mem_read##N(struct cpu *c, la_t la, unsigned access, u##N *out)                          \
	{                                                                                                              \
		struct l1_entry *e = &c->l1[(la >> PAGE_SHIFT) & ((1u << L1_BITS) - 1)];                               \
		if (likely(e->tag_r == (((la + (N / 8 - 1)) & PAGE_MASK) | c->ctx) && !(access & (ACC_SUPER | ACC_WRITE)))) { \
			*out = *(const any##N *)(la + e->add);                                                         \
			return XR_OK;                                                                                  \
		}                                                                                                      \
		return mmu_read_slow(c, la, N / 8, access | ACC_READ, out);                                            \
	}                                                                                                              \
	static inline enum xr mem_write##N(struct cpu *c, la_t la, unsigned access, u##N v)                            \
	{                                                                                                              \
		struct l1_entry *e = &c->l1[(la >> PAGE_SHIFT) & ((1u << L1_BITS) - 1)];                               \
		if (likely(e->tag_w == (((la + (N / 8 - 1)) & PAGE_MASK) | c->ctx) && !*e->flag && !(access & ACC_SUPER))) { \
			*(any##N *)(la + e->add) = v;                                                                  \
			return XR_OK;                                                                                  \
		}                                                                                                      \
		return mmu_write_slow(c, la, N / 8, access | ACC_WRITE, &v);                                           \
	}                                                                                                              \
	/* Read with write intent: after it, mem_write of the same bytes cannot fail. */                               \
	static inline enum xr mem_rmw##N(struct cpu *c, la_t la, unsigned access, u##N *out)                           \
	{                                                                                                              \
		struct l1_entry *e = &c->l1[(la >> PAGE_SHIFT) & ((1u << L1_BITS) - 1)];                               \
		if (likely(e->tag_w == (((la + (N / 8 - 1)) & PAGE_MASK) | c->ctx) && e->tag_r == e->tag_w)) {         \
			*out = *(const any##N *)(la + e->add);                                                         \
			return XR_OK;                                                                                  \
		}                                                                                                      \
		return mmu_read_slow(c, la, N / 8, access | ACC_RMW, out);                                             \
	}                                                                                                              \
	/* The memory operand of i. */                                                                                 \
	static inline enum xr op_read##N(struct cpu *c, const struct insn *i, u##N *out)                               \
	{                                                                                                              \
		la_t la;                                                                                               \
		TRY(insn_la(c, i, N / 8, ACC_READ, &la));                                                              \
		return mem_read##N(c, la, i->seg == SEG_SS ? ACC_STACK : 0, out);                                      \
	}                                                                                                              \
	static inline enum xr op_write##N(struct cpu *c, const struct insn *i, u##N v)                                 \
	{                                                                                                              \
		la_t la;                                                                                               \
		TRY(insn_la(c, i, N / 8, ACC_WRITE, &la));                                                             \
		return mem_write##N(c, la, i->seg == SEG_SS ? ACC_STACK : 0, v);                                       \
	}                                                                                                              \
	static inline enum xr op_rmw##N(struct cpu *c, const struct insn *i, la_t *la, u##N *out)                      \
	{                                                                                                              \
		TRY(insn_la(c, i, N / 8, ACC_RMW, la));                                                                \
		return mem_rmw##N(c, *la, i->seg == SEG_SS ? ACC_STACK : 0, out);                                      \
	}
DEFINE_MEM(8) DEFINE_MEM(16) DEFINE_MEM(32) DEFINE_MEM(64)
#undef DEFINE_MEM

/* "Alignment Check Exception (#AC)" for accesses by mem_span(); the scalar ones above check by themselves. While the check
 * is on no L1 entry matches, so that every access comes where it is made. */
static inline enum xr alignment_check(struct cpu *c, la_t la, unsigned align)
{
	if (likely(!(la & (align - 1)) || c->cpl != 3 || !(c->cr0 & CR0_AM) || !(c->rflags & FL_AC)))
		return XR_OK;
	return cpu_fault(c, EX_AC, 0);
}

/* By size, for handlers that are not worth specialising. */
enum xr mem_read(struct cpu *c, la_t la, unsigned size, unsigned access, u64 *out) must_check;
enum xr mem_write(struct cpu *c, la_t la, unsigned size, unsigned access, u64 v) must_check;
enum xr mem_rmw(struct cpu *c, la_t la, unsigned size, unsigned access, u64 *out) must_check;
enum xr op_read(struct cpu *c, const struct insn *i, unsigned size, u64 *out) must_check;
enum xr op_write(struct cpu *c, const struct insn *i, unsigned size, u64 v) must_check;
enum xr op_read128(struct cpu *c, const struct insn *i, u64 out[2]) must_check;

/* ---- stack: pushes and pops at the stack-address size, faulting as #SS ---- */
enum xr push(struct cpu *c, unsigned size, u64 v) must_check;
enum xr pop(struct cpu *c, unsigned size, u64 *v) must_check;
static inline unsigned stack_size(const struct cpu *c)
{
	return (c->mode & MODE_SIZE) == MODE_64 ? 8 : (c->mode & MODE_SS32) ? 4 : 2;
}
static inline u64 stack_mask(const struct cpu *c)
{
	unsigned s = stack_size(c);
	return s == 8 ? ~0ull : s == 4 ? 0xffffffffull : 0xffffull;
}
/* RSP <- v at the stack-address size, upper bits kept for 16-bit stacks. */
static inline void set_sp(struct cpu *c, u64 v)
{
	u64 m = stack_mask(c);
	c->r[REG_RSP] = (c->r[REG_RSP] & ~m & (m == 0xffff ? ~0ull : 0)) | (v & m);
}

/* ---- lazy flags ---- */
static inline void cc_set(struct cpu *c, enum cc_op op, unsigned size, u64 res, u64 s1, u64 s2)
{
	c->cc_op = (u8)op;
	c->cc_size = (u8)size;
	c->cc_res = (u64)sign_extend(res, size * 8);
	c->cc_src1 = s1;
	c->cc_src2 = s2;
}
bool cc_cf(struct cpu *c);
bool cc_of(struct cpu *c);
bool cc_eval(struct cpu *c, unsigned cc); /* condition 0..15 as in Jcc */
/* Flags known outright: arith is FL_ARITH bits. */
static inline void cc_set_flags(struct cpu *c, u32 arith)
{
	c->rflags = (c->rflags & ~(u32)FL_ARITH) | arith;
	c->cc_op = CC_FLAGS;
}

/* ---- chaining: handler NAME -> NAME_fast ---- */
#define NEXT(c, i) ((i)[1].fast((c), (i) + 1))
/* For rows marked ROW_PURE. */
#define CHAIN_PURE(NAME)                                                                                               \
	static enum xr NAME##_fast(struct cpu *c, const struct insn *i)                                                \
	{                                                                                                              \
		(void)!NAME(c, i);                                                                                     \
		return NEXT(c, i);                                                                                     \
	}
/* For rows that may fault or touch memory. */
#define CHAIN(NAME)                                                                                                    \
	static enum xr NAME##_fast(struct cpu *c, const struct insn *i)                                                \
	{                                                                                                              \
		c->cur = i;                                                                                            \
		enum xr r = NAME(c, i);                                                                                \
		if (unlikely(r != XR_OK || c->kick))                                                                   \
			return insn_leave(c, i, r);                                                                    \
		return NEXT(c, i);                                                                                     \
	}
/* For branches: the handler set rip. */
#define CHAIN_BRANCH(NAME)                                                                                             \
	static enum xr NAME##_fast(struct cpu *c, const struct insn *i)                                                \
	{                                                                                                              \
		c->cur = i;                                                                                            \
		enum xr r = NAME(c, i);                                                                                \
		if (unlikely(r != XR_OK))                                                                              \
			return insn_leave(c, i, r);                                                                    \
		c->left = i->idx + 1u;                                                                                 \
		return XR_OK;                                                                                          \
	}
enum xr insn_leave(struct cpu *c, const struct insn *i, enum xr r); /* run.c: bookkeeping when a chain ends early */
/* lock.c: instructions with LOCK, XCHG with memory, while the mode has MODE_LOCKS; i->fn does the work. */
enum xr insn_locked(struct cpu *c, const struct insn *i);
enum xr insn_locked_fast(struct cpu *c, const struct insn *i);
#define BIND(i, NAME) ((i)->fn = NAME, (i)->fast = NAME##_fast)

/* A taken branch to `rip` (already masked to the operand size): limit or canonical check, last-branch records.
 * Sets cpu->r[REG_RIP]. */
enum xr branch_to(struct cpu *c, const struct insn *i, u64 rip) must_check;

/* Every family's rows; collected by the models. */
extern const struct row_set exec_alu_rows, exec_shift_rows, exec_muldiv_rows, exec_move_rows, exec_string_rows,
	exec_branch_rows, exec_stack_rows, exec_bit_rows, exec_system_rows, exec_sysenter_rows, exec_tsc_rows, exec_far_rows,
	exec_io_rows, exec_x87_rows,
	exec_xsave_rows, exec_mmx_rows, exec_sse_rows, exec_sseint_rows, exec_avx_rows, exec_crypto_rows;

#endif
