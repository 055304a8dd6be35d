/*
 * SMIs for tests, at random boundaries: behind any instruction, between two iterations of a repeated one, behind a HLT. With
 * time frozen in system management mode (run_frozen() in run.c) nothing but SMRAM tells a run with them from one without.
 */
#include "cpu/run/run.h"

/* xorshift64*: never 0 if the seed is not. */
static u64 draw(struct cpu *c)
{
	u64 x = c->stress.smi_random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	c->stress.smi_random = x;
	return x * 0x2545f4914f6cdd1dull >> 16;
}

/* As likely between 512 and 1024 as between 1 and 2: some come in a row, and long pauses are there, too. */
static u64 pause(struct cpu *c)
{
	u64 power = draw(c) % (c->stress.smi_bits + 1u);

	return 1 + draw(c) % BIT(power);
}

u64 storm_bound(const struct cpu *c, u64 until)
{
	return min_u64(until, c->clock->now + max_u64(c->stress.smi_left, 1));
}

/* "MWAIT": an SMI ends the wait, and RSM does not go back to it. Such a one would be seen, so it comes a little later. */
static bool would_be_seen(const struct cpu *c)
{
	return c->activity == ACT_MWAIT || c->activity == ACT_TPAUSE;
}

void storm_passed(struct cpu *c, u64 ticks)
{
	c->stress.smi_left -= min_u64(c->stress.smi_left, ticks);
	if (c->stress.smi_left || would_be_seen(c))
		return;
	c->stress.smi_left = pause(c);
	cpu_raise(c, PEND_SMI);
}
