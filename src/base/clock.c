#include "base/clock.h"

static void note_next(struct clock *c)
{
	c->next = c->first ? c->first->when : UINT64_MAX;
}

void clock_init(struct clock *c)
{
	*c = (struct clock){.next = UINT64_MAX};
}

void timer_init(struct timer *t, struct clock *c, timer_fn *fn, void *arg)
{
	*t = (struct timer){.clock = c, .fn = fn, .arg = arg};
}

void timer_disarm(struct timer *t)
{
	if (!t->armed)
		return;
	struct timer **p = &t->clock->first;
	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	t->next = NULL;
	t->armed = false;
	note_next(t->clock);
}

void timer_loosen(struct timer *t)
{
	t->loose = true;
}

void timer_arm(struct timer *t, u64 when)
{
	struct clock *c = t->clock;

	timer_disarm(t);
	if (unlikely(c->late && t->loose))
		when = max_u64(when, when + c->late(c->late_arg));
	t->when = when;
	t->seq = ++c->seq;
	t->armed = true;
	struct timer **p = &c->first;
	while (*p && (*p)->when <= when)
		p = &(*p)->next;
	t->next = *p;
	*p = t;
	note_next(c);
}

/* The first that is due and was armed before this round began: one that re-arms itself in the past waits for the next.
 */
static struct timer *due(const struct clock *c, u64 round)
{
	for (struct timer *t = c->first; t && t->when <= c->now; t = t->next)
		if (t->seq <= round)
			return t;
	return NULL;
}

void clock_fire(struct clock *c)
{
	u64 round = c->seq;

	for (struct timer *t = due(c, round); t; t = due(c, round)) {
		timer_disarm(t);
		t->fn(t->arg);
	}
}
