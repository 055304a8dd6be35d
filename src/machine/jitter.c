/*
 * --jitter: what the architecture leaves open is drawn from a seed, so that another seed is another schedule, and the same one the
 * same run. Two things are open: how many instructions a processor executes before the others execute any, and how late a
 * device's event comes. Nothing is delayed that the architecture times exactly, as the VMX-preemption timer or TPAUSE's deadline.
 */
#include "machine/machine.h"

enum {
	SLICE_BITS = 14, /* the longest slice, in instructions, is two to this power */
	LATE_BITS = 14,  /* the latest event, in nanoseconds */
};

/* A generator whose state is a counter: "SplitMix64". */
static u64 draw(struct jitter *j)
{
	u64 x = j->state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* Every order of size is as likely as another: a race of two instructions wants slices of a few. */
static u64 of_any_size(struct jitter *j, unsigned bits)
{
	const u64 r = draw(j);

	return (r >> 32) & (BIT(r % (bits + 1)) - 1);
}

static u64 late(void *arg)
{
	return of_any_size(arg, LATE_BITS);
}

void jitter_start(struct machine *m)
{
	if (!m->cfg.jitter)
		return;
	m->jitter.state = m->cfg.jitter_seed;
	m->clock.late = late;
	m->clock.late_arg = &m->jitter;
}

u64 jitter_slice(struct jitter *j)
{
	return 1 + of_any_size(j, SLICE_BITS);
}
