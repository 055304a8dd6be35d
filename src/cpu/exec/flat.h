/*
 * The short way to memory operands of 64-bit code: no segment checks, 64-bit addresses, and a hit in the L1 cache of host
 * pointers. A hit can neither fault nor end the block, so a flat handler needs no bookkeeping; on a miss it tail-calls the
 * handler for every case. Private to exec/.
 */
#ifndef CPU_EXEC_FLAT_H
#define CPU_EXEC_FLAT_H

#include "cpu/exec/bind.h"

static inlined la_t flat_la(const struct cpu *c, const struct insn *i)
{
	return *(const u64 *)((const u8 *)c->r + i->base) + (*(const u64 *)((const u8 *)c->r + i->index) << i->scale) +
	       (u64)i->disp + c->sb.base[i->seg];
}

/* Host pointers, NULL where the slow way must be taken. A writable one includes the right to read only for l1_rmw. */
static inlined void *l1_read(struct cpu *c, la_t la, unsigned size)
{
	const struct l1_entry *e = l1_slot(c, la);

	return likely(e->tag_r == l1_tag(c, la, size)) ? (void *)(la + e->add) : NULL;
}

static inlined void *l1_write(struct cpu *c, la_t la, unsigned size)
{
	const struct l1_entry *e = l1_slot(c, la);

	return likely(e->tag_w == l1_tag(c, la, size) && !*e->flag) ? (void *)(la + e->add) : NULL;
}

static inlined void *l1_rmw(struct cpu *c, la_t la, unsigned size)
{
	const struct l1_entry *e = l1_slot(c, la);

	return likely(e->tag_w == l1_tag(c, la, size) && e->tag_r == e->tag_w && !*e->flag) ? (void *)(la + e->add) : NULL;
}

/* The memory operand, likewise. */
static inlined void *flat_read(struct cpu *c, const struct insn *i, unsigned size)  { return l1_read(c, flat_la(c, i), size); }
static inlined void *flat_write(struct cpu *c, const struct insn *i, unsigned size) { return l1_write(c, flat_la(c, i), size); }
static inlined void *flat_rmw(struct cpu *c, const struct insn *i, unsigned size)   { return l1_rmw(c, flat_la(c, i), size); }

/* handler NAME -> NAME_flat. DONE does what NAME does, or says no before anything has changed. */
#define FLAT(NAME, DONE)                                                                                               \
	static enum xr NAME##_flat(struct cpu *c, const struct insn *i)                                                \
	{                                                                                                              \
		return likely(DONE) ? NEXT(c, i) : NAME##_fast(c, i);                                                  \
	}

#endif
