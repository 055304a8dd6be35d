/*
 * Raising: what may be pending, how a handler raises a fault, and how it asks to leave the guest. How events are polled
 * and delivered is the business of run/.
 */
#ifndef CPU_EVENTS_H
#define CPU_EVENTS_H

#include "cpu/state/model.h"

/* Pending events. Their order is that of event_rows in run/events.c, not that of the bits. */
enum pend {
	PEND_RESET = 1 << 0, PEND_SMI = 1 << 1, PEND_INIT = 1 << 2, PEND_SIPI = 1 << 3, PEND_MTF = 1 << 4,
	PEND_DB = 1 << 5 /* trap: single step, data and I/O breakpoints; bits in pending_db */,
	PEND_PREEMPT = 1 << 6, PEND_NMI = 1 << 7, PEND_NMI_WINDOW = 1 << 8, PEND_INTR = 1 << 9 /* APIC or ExtINT */,
	PEND_INTR_WINDOW = 1 << 10, PEND_VIRQ = 1 << 11, PEND_VNMI = 1 << 12, PEND_MCE = 1 << 13, PEND_VENDOR = 1 << 14,
	PEND_IO_TRAP = 1 << 15 /* an SMI of the processor's own, by I/O trapping */,
};

/* ---- pending ---- */
void cpu_recheck(struct cpu *c); /* IF, TPR, GIF, shadow or pending changed: look before the next block */
void cpu_raise(struct cpu *c, enum pend p); /* from any floor: kicks the processor out of its block */

/*
 * ---- delivery: handed on from the instruction that ended, or from between two, to the handler's first instruction or to
 * the vendor
 */
struct delivery {
	struct event event; /* under way; EV_NONE: nothing has begun */
	bool injected;      /* by VM entry: no instruction asked for it */
	bool faulted;       /* the event is a fault: RF is set in RFLAGS as pushed */
	bool fetching;      /* it arose in the fetch of an instruction */
	bool redirected;    /* INT n of virtual-8086 mode, to the 8086 program's own table */
	u8 activity;        /* enum activity before the event woke the processor */
	u64 held_db;        /* data breakpoints, and BS by MOV SS, that were pending before the instruction */
};

/* ---- faults ---- */
/* Raise a fault from a handler: `return fault_gp(c, sel & ~3);` */
enum xr cpu_fault(struct cpu *c, unsigned vector, u32 error);
enum xr fault_pf(struct cpu *c, la_t la, u32 error);
enum xr fault_db(struct cpu *c, u64 dr6_bits); /* fault-like #DB: general detect, code breakpoints */
static inline enum xr fault_ud(struct cpu *c) { return cpu_fault(c, EX_UD, 0); }
static inline enum xr fault_gp(struct cpu *c, u32 error) { return cpu_fault(c, EX_GP, error); }
static inline enum xr fault_nm(struct cpu *c) { return cpu_fault(c, EX_NM, 0); }
/* A software event (INT n, INT3, INTO, ICEBP) is raised the same way: XR_FAULT with its type, delivered as a trap. */
enum xr raise_soft(struct cpu *c, const struct insn *i, enum event_type type, u8 vector);

/* ---- exits ---- */
/* Ask to leave the guest: `return cpu_exit(c, i, ICPT_HLT, 0, 0);` */
enum xr cpu_exit(struct cpu *c, const struct insn *i, enum icpt id, u64 q0, u64 q1);
static inline bool icpt_on(const struct cpu *c, unsigned id)
{
	return (c->icpt[id / 64] >> (id % 64)) & 1;
}
/* After every flush that a guest asked for; m: what went, its space aside. */
static inline void guest_flushed(struct cpu *c, const struct tlb_match *m)
{
	if (unlikely(c->guest))
		c->virt->memory.flushed(c, m);
}

/* Instructions from here on are not a guest's. */
static inline void cpu_guest_ends(struct cpu *c)
{
	if (c->guest_since == UINT64_MAX)
		return;
	c->guest_insns += c->insns - c->guest_since;
	c->guest_since = UINT64_MAX;
}

/* Test an intercept by hand (ROW_LATE_ICPT rows, operand-dependent ids). */
static inline enum xr icpt_test(struct cpu *c, const struct insn *i, unsigned id, u64 q)
{
	return unlikely(icpt_on(c, id)) ? c->virt->guest.intercept(c, i, (enum icpt)id, q) : XR_OK;
}

/* Before CPL and CR4.TSD: does the vendor's control make the instruction undefined in this guest? */
static inline enum xr icpt_undefined(struct cpu *c, unsigned id)
{
	return unlikely(icpt_on(c, id)) && c->virt->guest.undefined(c, (enum icpt)id) ? fault_ud(c) : XR_OK;
}

#endif
