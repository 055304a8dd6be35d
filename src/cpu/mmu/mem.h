/*
 * Memory by linear address, one to eight bytes: the L1 inline, the rest out of line.
 */
#ifndef CPU_MMU_MEM_H
#define CPU_MMU_MEM_H

#include "cpu/mmu/mmu.h"
#include "cpu/state/events.h"

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
	}
DEFINE_MEM(8) DEFINE_MEM(16) DEFINE_MEM(32) DEFINE_MEM(64)
#undef DEFINE_MEM

/* By a size known at run time: 1, 2, 4, 8. */
enum xr mem_read(struct cpu *c, la_t la, unsigned size, unsigned access, u64 *out) must_check;
enum xr mem_write(struct cpu *c, la_t la, unsigned size, unsigned access, u64 v) must_check;
enum xr mem_rmw(struct cpu *c, la_t la, unsigned size, unsigned access, u64 *out) must_check;

/*
 * "Alignment Check Exception (#AC)" for accesses by mem_span(), before it; the scalar ones above check by themselves.
 * While the check is on no L1 entry matches, so that every access comes where it is made. DEVIATION from "Priority Among
 * Concurrent Events": processors of both makers check before they translate; only an address that is not canonical
 * comes first.
 */
static inline enum xr alignment_check(struct cpu *c, la_t la, unsigned align)
{
	if (likely(!(la & (align - 1)) || c->cpl != 3 || !(c->cr0 & CR0_AM) || !(c->rflags & FL_AC)))
		return XR_OK;
	if ((c->efer & EFER_LMA) && !is_canonical(la, c->la_bits))
		return XR_OK;
	return cpu_fault(c, EX_AC, 0);
}

#endif
