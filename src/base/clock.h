/*
 * Virtual time. One monotonic clock per machine sums the cost of all that its processors retire; one unit is one
 * nominal TSC cycle and one nanosecond. Timers fire when the clock reaches them, in order of (when, arming order).
 * Nothing here ever reads the computer's clock.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/base.h"

struct clock;
typedef void timer_fn(void *arg);

struct timer {
	struct clock *clock;
	timer_fn *fn;
	void *arg;
	u64 when;             /* valid while armed */
	u64 seq;              /* cache: arming order */
	struct timer *next;   /* cache: sorted list */
	bool armed;
	bool loose;           /* wired: it may fire late, as what stands behind it may in a computer */
};

struct clock {
	u64 now;              /* nanoseconds since power-on */
	u64 next;             /* cache: when of the first timer, UINT64_MAX if none */
	u64 seq;              /* cache */
	struct timer *first;  /* cache */
	u64 (*late)(void *arg); /* wired: how late a loose timer fires this time; NULL: on time */
	void *late_arg;       /* wired */
};

void clock_init(struct clock *c);
void timer_init(struct timer *t, struct clock *c, timer_fn *fn, void *arg);
void timer_loosen(struct timer *t); /* from here on it may fire late */
void timer_arm(struct timer *t, u64 when); /* re-arms if armed; a time in the past fires at the next clock_fire */
void timer_disarm(struct timer *t);
void clock_fire(struct clock *c);          /* run every timer with when <= now */

#endif
