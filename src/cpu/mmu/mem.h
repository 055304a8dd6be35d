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

/* ---- size: 1, 2, 4, 8, a constant wherever these are called ---- */

static inlined u64 any_get(const void *p, unsigned size)
{
	return size == 8 ? *(const any64 *)p : size == 4 ? *(const any32 *)p : size == 2 ? *(const any16 *)p : *(const any8 *)p;
}

static inlined void any_set(void *p, unsigned size, u64 v)
{
	if (size == 8)
		*(any64 *)p = v;
	else if (size == 4)
		*(any32 *)p = (u32)v;
	else if (size == 2)
		*(any16 *)p = (u16)v;
	else
		*(any8 *)p = (u8)v;
}

static inlined struct l1_entry *l1_slot(struct cpu *c, la_t la)
{
	return &c->l1[(la >> PAGE_SHIFT) & ((1u << L1_BITS) - 1)];
}

static inlined u64 l1_tag(const struct cpu *c, la_t la, unsigned size)
{
	return ((la + (size - 1)) & PAGE_MASK) | c->ctx;
}

static inlined enum xr mem_load(struct cpu *c, la_t la, unsigned size, unsigned access, u64 *out)
{
	const struct l1_entry *e = l1_slot(c, la);

	if (likely(e->tag_r == l1_tag(c, la, size) && !(access & (ACC_SUPER | ACC_WRITE)))) {
		*out = any_get((const void *)(la + e->add), size);
		return XR_OK;
	}
	*out = 0;
	return mmu_read_slow(c, la, size, access | ACC_READ, out);
}

static inlined enum xr mem_store(struct cpu *c, la_t la, unsigned size, unsigned access, u64 v)
{
	const struct l1_entry *e = l1_slot(c, la);

	if (likely(e->tag_w == l1_tag(c, la, size) && !*e->flag && !(access & ACC_SUPER))) {
		any_set((void *)(la + e->add), size, v);
		return XR_OK;
	}
	return mmu_write_slow(c, la, size, access | ACC_WRITE, &v);
}

/* Read with write intent: after it, mem_store of the same bytes cannot fail. */
static inlined enum xr mem_load_rmw(struct cpu *c, la_t la, unsigned size, unsigned access, u64 *out)
{
	const struct l1_entry *e = l1_slot(c, la);

	if (likely(e->tag_w == l1_tag(c, la, size) && e->tag_r == e->tag_w)) {
		*out = any_get((const void *)(la + e->add), size);
		return XR_OK;
	}
	*out = 0;
	return mmu_read_slow(c, la, size, access | ACC_RMW, out);
}

/* The same by type. */
#define DEFINE_MEM(N)                                                                                                  \
	static inline enum xr mem_read##N(struct cpu *c, la_t la, unsigned access, u##N *out)                          \
	{                                                                                                              \
		u64 v;                                                                                                 \
		enum xr r = mem_load(c, la, N / 8, access, &v);                                                        \
		*out = (u##N)v;                                                                                        \
		return r;                                                                                              \
	}                                                                                                              \
	static inline enum xr mem_write##N(struct cpu *c, la_t la, unsigned access, u##N v)                            \
	{                                                                                                              \
		return mem_store(c, la, N / 8, access, v);                                                             \
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
 * comes first, on some if only its end is not.
 */
static inline enum xr alignment_check(struct cpu *c, la_t la, unsigned size, unsigned align)
{
	if (likely(!(la & (align - 1)) || c->cpl != 3 || !(c->cr0 & CR0_AM) || !(c->rflags & FL_AC)))
		return XR_OK;
	if (!(c->efer & EFER_LMA))
		return cpu_fault(c, EX_AC, 0);
	if (quirk(c, QUIRK_CANONICAL_TO_THE_END) && !is_canonical(la + size - 1, c->la_bits))
		return XR_OK;
	return is_canonical(la, c->la_bits) ? cpu_fault(c, EX_AC, 0) : XR_OK;
}

#endif
