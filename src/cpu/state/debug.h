/*
 * What a debugger outside the machine asks of a processor: addresses where it stops, accesses behind which it stops, one
 * step. Nothing in the machine can see any of it: no register, no page and no clock changes, and code that leads through no
 * such address runs as ever. cpu->debug is NULL where there is no debugger.
 */
#ifndef CPU_STATE_DEBUG_H
#define CPU_STATE_DEBUG_H

#include "cpu/state/state.h"

enum debug_use { DEBUG_FETCH = 1, DEBUG_READ = 2, DEBUG_WRITE = 4 };
enum debug_where { DEBUG_ANYWHERE, DEBUG_MONITOR, DEBUG_GUEST };

struct debug_point {
	u64 addr, len; /* len: of what is watched; a breakpoint's counts for nothing */
	u8 use;        /* enum debug_use */
	bool physical; /* addr is a physical address, not a linear one */
	u8 tag;        /* its owner's: which kind of breakpoint it was asked for as */
};
#define DEBUG_POINTS 256

/* Of a machine. Where the set of points changes the code cache and the L1s are to be emptied: debug_points_changed(). */
struct debug_points {
	struct debug_point point[DEBUG_POINTS];
	unsigned count, watched; /* watched: those that are no breakpoints */
	u8 where;                /* enum debug_where: in which contexts they count */
	u64 block;               /* DEBUG_GUEST: of which VMCS or VMCB; UINT64_MAX: of any */
	bool magic;              /* xchg bx,bx stops, too */
};

enum debug_why { DEBUG_NOTHING, DEBUG_POINT, DEBUG_WATCH, DEBUG_STEP, DEBUG_MAGIC, DEBUG_GUEST_SHUTDOWN, DEBUG_ASKED };

struct debug {
	const struct debug_points *points;
	bool step;            /* stop behind an instruction, or where an event was delivered */
	bool hold;            /* no interrupts while it steps */
	bool passing;         /* it stands at a point that it has stopped at: the instruction there runs this time */
	u64 pass_la, pass_sp; /* ... there, with this stack pointer: a handler in between is none of it */
	bool shutdowns;       /* a guest's triple fault stops before its VM exit */
	bool exiting;         /* that VM exit is still to be made */
	u8 why, tag;          /* enum debug_why: of the last stop; DEBUG_POINT, DEBUG_WATCH: the point's tag */
	u64 at;               /* DEBUG_POINT, DEBUG_WATCH: its address */
	u8 use;               /* DEBUG_WATCH: enum debug_use bits asked for */
};

/* Behind the instruction under way. The first reason counts. */
void debug_stop(struct cpu *c, enum debug_why why);
/* Do the points count in what this processor runs just now? */
bool debug_counts(const struct cpu *c);
/*
 * Code at la, which lies at pa. XR_STOP: it stops here. XR_OK: *ahead bytes up to the next point of this page, 1 where only
 * the instruction here may run; 0: there is none.
 */
enum xr debug_fetch(struct cpu *c, la_t la, pa_t pa, u64 *ahead) must_check;
/* An access was made. */
void debug_access(struct cpu *c, la_t la, pa_t pa, u64 len, unsigned use);
bool debug_watches_page(const struct cpu *c, la_t la, pa_t pa);

#endif
