/* Time as instructions see it, and the waits that end by it. */
#ifndef CPU_STATE_TIME_H
#define CPU_STATE_TIME_H

#include "cpu/state/state.h"

/* ---- waiting ---- */
void cpu_wait_until(struct cpu *c, u64 when); /* TPAUSE, UMWAIT, MWAITX: at the longest until the clock reaches it */
void cpu_arm_wait(struct cpu *c); /* the timer follows wake_at */
void cpu_end_wait(struct cpu *c); /* whatever ended it: a waiting processor runs */
/* A store went to a watched page: was it the line that this processor monitors? */
void cpu_monitor_written(void *cpu, const struct written *w);

/* ---- time: exact inside a block ---- */
void cpu_sync_time(struct cpu *c);             /* bring the clock up to the running instruction */
u64 cpu_tsc(struct cpu *c);                    /* as RDTSC reads it, guest offset included */
/* Cost beyond the one cycle of an instruction. It ends the block, so that the clock never overtakes a timer unseen. */
static inline void cpu_charge(struct cpu *c, u32 extra)
{
	c->clock->now += extra;
	c->kick = 1;
}

#endif
