/*
 * run: the loop and what it consists of. run.c: read it first; events.c: what is pending, and which comes first; deliver.c:
 * how it arrives; cpu.c: a processor's life; storm.c: SMIs for tests. May call: all of cpu/. Called by: the machine, and a vendor's entry and exit.
 */
#ifndef CPU_RUN_RUN_H
#define CPU_RUN_RUN_H

#include "cpu/state/events.h"

/* ---- cpu.c ---- */
/* The caller has zeroed *c and set index, all, count, code and decode; phys_bits if other than the model's. */
enum status cpu_init(struct cpu *c, const struct cpu_model *m, const struct feature_set *feat, struct bus *bus, struct err *err);
void cpu_fini(struct cpu *c);
void cpu_reset(struct cpu *c, bool init); /* RESET or INIT */
void cpu_restart(struct cpu *c); /* what a processor does to itself for a secure start: INIT without its loss of events */
void cpu_loaded(struct cpu *c); /* its rows were loaded, and the memory: everything that is no row is made from them */
void cpu_set_ignne(struct cpu *c, bool active); /* the IGNNE# pin */

/* ---- run.c ---- */
/* Run until the clock reaches `until`, the processor sleeps, or stop is set. */
void cpu_run(struct cpu *c, u64 until);

/* ---- storm.c: a test's SMIs ---- */
u64 storm_bound(const struct cpu *c, u64 until); /* the clock when the next one is due, `until` at the latest */
void storm_passed(struct cpu *c, u64 ticks);     /* so many since then: is it due? */

/* ---- events.c ---- */
enum xr event_poll(struct cpu *c, struct delivery *d); /* d: what it finds out about the event that it returns */
int cpu_intr_ack(struct cpu *c); /* acknowledge the interrupt that PEND_INTR stands for; -1: it went away */

/* ---- deliver.c ---- */
/* Deliver d->event through the IDT or IVT. XR_FAULT: c->fault is the nested exception, nothing pushed. */
enum xr event_deliver(struct cpu *c, struct delivery *d) must_check;
/* What INT n comes to before it is an event: XR_FAULT with c->fault as it was, or with the #GP of its own. *redirected: it
 * goes to the 8086 program's own table. */
enum xr event_redirect(struct cpu *c, bool *redirected) must_check;

#endif
