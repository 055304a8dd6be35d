/*
 * Locked instructions while bus locks are to be seen: "Bus Locking", "OS Bus-Lock Detection", "VMM Bus-Lock Detection".
 * The mode key says so, and the decoder binds instructions with LOCK, and XCHG with memory, to the handlers here; every
 * other instruction, and these too while nobody asks, is as fast as ever.
 *
 * ERRATA E72: locks that the processor takes by itself, for descriptors and for flags of paging, are not looked at.
 */
#include "cpu/exec/exec.h"

/* The detectors that are on for this instruction. Debug exceptions for bus locks come above CPL 0 only. */
static void report(struct cpu *c)
{
	if (c->lock_exits && c->virt->guest.lock_traps) {
		c->bus_lock = true;
		cpu_raise(c, PEND_VENDOR);
	}
	if ((c->debugctl & DEBUGCTL_BUS_LOCK) && c->cpl != 0 && has(c, FEAT_BUS_LOCK_DETECT)) {
		c->pending_db |= DR6_BLD;
		cpu_raise(c, PEND_DB);
	}
}

enum xr insn_locked(struct cpu *c, const struct insn *i)
{
	u64 ctx = mmu_watch_locks(c);
	enum xr r = i->fn(c, i);

	if (mmu_unwatch_locks(c, ctx) && r == XR_OK)
		report(c);
	return r;
}

enum xr insn_locked_fast(struct cpu *c, const struct insn *i)
{
	c->cur = i;

	enum xr r = insn_locked(c, i);

	if (unlikely(r != XR_OK || c->kick))
		return insn_leave(c, i, r);
	return NEXT(c, i);
}
