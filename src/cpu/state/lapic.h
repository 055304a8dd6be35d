/* The registers of a local APIC: cpu/apic/ gives them their meaning. */
#ifndef CPU_STATE_LAPIC_H
#define CPU_STATE_LAPIC_H

#include "base/clock.h"

enum apic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_CMCI, LVT_COUNT };

struct lapic {
	u64 base;         /* IA32_APIC_BASE */
	u32 id;           /* initial APIC ID; xAPIC id register in bits 31:24 of xapic_id */
	u32 xapic_id;
	u32 ldr, dfr, svr, tpr, esr, esr_pending, icr_hi, icr_lo;
	u32 lvt[LVT_COUNT];
	u32 irr[8], isr[8], tmr[8];
	u32 timer_init, timer_div;
	u64 timer_start;  /* clock when the count was written */
	u64 tsc_deadline; /* in TSC units, 0: disarmed */
	u32 ext_ctrl, ext_ier[8], ext_lvt[4]; /* AMD's extended space: apic_ext.c */
	struct timer timer;   /* cache: armed from the fields above */
	bool extint;      /* an ExtINT is asserted: the 8259 pair supplies the vector */
	bool extint_msg;  /* an ExtINT message came and waits for its INTA cycle */
	bool lint_level[2]; /* the pins */
	bool timer_expired; /* one-shot: the count reached 0 */
	u32 version;      /* what the version register reads; bit 24: EOI-broadcast suppression exists */
	void (*eoi_fn)(void *arg, u8 vector); /* level EOIs go to the I/O APICs */
	void *eoi_arg;    /* wired */
};

#endif
