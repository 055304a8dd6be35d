/* Time as instructions see it, and the waits that end by it: HLT, MWAIT, TPAUSE and their relatives. */
#include "cpu/state/time.h"

#include "cpu/state/events.h"

void cpu_sync_time(struct cpu *c)
{
	if (!c->cur || c->cur->idx <= c->charged)
		return;
	c->clock->now += c->cur->idx - c->charged;
	c->charged = c->cur->idx;
}

u64 cpu_tsc(struct cpu *c)
{
	cpu_sync_time(c);

	u64 tsc = c->clock->now + c->tsc_offset;

	return c->guest ? c->virt->time.tsc(c, tsc) : tsc;
}

void cpu_end_wait(struct cpu *c)
{
	if (c->activity == ACT_HLT || c->activity == ACT_MWAIT || c->activity == ACT_TPAUSE || c->activity == ACT_FREEZE)
		c->activity = ACT_RUN;
	c->wake_at = UINT64_MAX; /* a later HLT has no end by time */
}

/* The timer of a wait that something else ended may still be armed. */
static void time_is_up(void *arg)
{
	struct cpu *c = arg;

	if (c->wake_at <= c->clock->now)
		cpu_end_wait(c);
}

void cpu_wait_until(struct cpu *c, u64 when)
{
	c->wake_at = when;
	c->yield = true;
	cpu_recheck(c);
	cpu_arm_wait(c);
}

void cpu_arm_wait(struct cpu *c)
{
	if (c->wake_at == UINT64_MAX)
		return;
	if (!c->wake_timer.fn)
		timer_init(&c->wake_timer, c->clock, time_is_up, c);
	timer_arm(&c->wake_timer, c->wake_at);
}

void cpu_monitor_written(void *cpu, const struct written *w)
{
	struct cpu *c = cpu;

	if (likely(c->monitor_addr == UINT64_MAX) || w->pa >= c->monitor_addr + 64 || w->pa + w->len <= c->monitor_addr)
		return;
	c->monitor_addr = UINT64_MAX;
	if (c->activity == ACT_MWAIT || c->activity == ACT_TPAUSE)
		cpu_end_wait(c);
}
