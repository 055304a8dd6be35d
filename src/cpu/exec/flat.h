/*
 * The short way to memory operands of 64-bit code: no segment checks, 64-bit addresses, and a hit in the L1 cache of host
 * pointers. A hit can neither fault nor end the block, so a flat handler needs no bookkeeping; on a miss it tail-calls the
 * handler for every case. Private to exec/.
 */
#ifndef CPU_EXEC_FLAT_H
#define CPU_EXEC_FLAT_H

#include "cpu/exec/bind.h"

static inline la_t flat_la(const struct cpu *c, const struct insn *i)
{
	return *(const u64 *)((const u8 *)c->r + i->base) + (*(const u64 *)((const u8 *)c->r + i->index) << i->scale) +
	       (u64)i->disp + c->sb.base[i->seg];
}

static inline struct l1_entry *l1_slot(struct cpu *c, la_t la)
{
	return &c->l1[(la >> PAGE_SHIFT) & ((1u << L1_BITS) - 1)];
}

static inline u64 l1_tag(const struct cpu *c, la_t la, unsigned size)
{
	return ((la + (size - 1)) & PAGE_MASK) | c->ctx;
}

/* Host pointers, NULL where the slow way must be taken. A writable one includes the right to read only for l1_rmw. */
static inline void *l1_read(struct cpu *c, la_t la, unsigned size)
{
	const struct l1_entry *e = l1_slot(c, la);

	return likely(e->tag_r == l1_tag(c, la, size)) ? (void *)(la + e->add) : NULL;
}

static inline void *l1_write(struct cpu *c, la_t la, unsigned size)
{
	const struct l1_entry *e = l1_slot(c, la);

	return likely(e->tag_w == l1_tag(c, la, size) && !*e->flag) ? (void *)(la + e->add) : NULL;
}

static inline void *l1_rmw(struct cpu *c, la_t la, unsigned size)
{
	const struct l1_entry *e = l1_slot(c, la);

	return likely(e->tag_w == l1_tag(c, la, size) && e->tag_r == e->tag_w && !*e->flag) ? (void *)(la + e->add) : NULL;
}

/* For macro-made handlers: the memory operand as an any##N lvalue, else on to the label `miss`. */
#define FLAT_PTR(N, HOW)                                                                                               \
	any##N *m = l1_##HOW(c, flat_la(c, i), N / 8);                                                                 \
	if (unlikely(!m))                                                                                              \
		goto miss

#define FLAT_HANDLER(NAME, N, ...)                                                                                     \
	static enum xr NAME##N##_flat(struct cpu *c, const struct insn *i)                                             \
	{                                                                                                              \
		__VA_ARGS__                                                                                            \
		return NEXT(c, i);                                                                                     \
	miss:                                                                                                          \
		return NAME##N##_fast(c, i);                                                                           \
	}

#endif
