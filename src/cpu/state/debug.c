/* A debugger's points, as processors meet them. */
#include "cpu/state/debug.h"

#include "cpu/state/events.h"

void debug_stop(struct cpu *c, enum debug_why why)
{
	c->kick = 1;
	if (c->stop != CPU_GO)
		return;
	c->stop = CPU_STOP_DEBUG;
	c->debug->why = (u8)why;
}

bool debug_counts(const struct cpu *c)
{
	const struct debug_points *p = c->debug->points;

	switch (p->where) {
	case DEBUG_MONITOR: return !c->guest;
	case DEBUG_GUEST: return c->guest && (p->block == UINT64_MAX || c->virt->block_at(c) == p->block);
	default: return true;
	}
}

/* ---- code ---- */

static u64 address(const struct debug_point *p, la_t la, pa_t pa)
{
	return p->physical ? pa : la;
}

/* true: it stands there with what it was let go on with. */
static bool passes(struct cpu *c, la_t la)
{
	struct debug *d = c->debug;
	bool passes = d->passing && d->pass_la == la && d->pass_sp == c->r[REG_RSP];

	if (passes)
		d->passing = false;
	return passes;
}

static enum xr met(struct cpu *c, const struct debug_point *p, la_t la, u64 *ahead)
{
	*ahead = 1;
	if (!debug_counts(c) || passes(c, la))
		return XR_OK;
	debug_stop(c, DEBUG_POINT);
	c->debug->at = p->addr;
	c->debug->tag = p->tag;
	return XR_STOP;
}

enum xr debug_fetch(struct cpu *c, la_t la, pa_t pa, u64 *ahead)
{
	const struct debug_points *p = c->debug->points;

	*ahead = 0;
	for (const struct debug_point *x = p->point; x < p->point + p->count; x++) {
		u64 at = address(x, la, pa);

		if (!(x->use & DEBUG_FETCH) || (x->addr ^ at) & PAGE_MASK)
			continue;
		if (x->addr == at)
			return met(c, x, la, ahead);
		/* Points behind it in the page count as "all of the page", so that its blocks are never mixed with others. */
		u64 room = x->addr > at ? x->addr - at : PAGE_SIZE - (at & ~PAGE_MASK);
		*ahead = *ahead ? min_u64(*ahead, room) : room;
	}
	return XR_OK;
}

/* ---- data ---- */

void debug_access(struct cpu *c, la_t la, pa_t pa, u64 len, unsigned use)
{
	const struct debug_points *p = c->debug->points;

	if (likely(!p->watched) || !debug_counts(c))
		return;
	for (const struct debug_point *x = p->point; x < p->point + p->count; x++) {
		u64 at = address(x, la, pa);

		if (!(x->use & use & (DEBUG_READ | DEBUG_WRITE)) || (x->addr - at >= len && at - x->addr >= x->len))
			continue;
		debug_stop(c, DEBUG_WATCH);
		c->debug->at = max_u64(x->addr, at);
		c->debug->use = x->use;
		c->debug->tag = x->tag;
	}
}

bool debug_watches_page(const struct cpu *c, la_t la, pa_t pa)
{
	const struct debug_points *p = c->debug->points;

	for (const struct debug_point *x = p->point; p->watched && x < p->point + p->count; x++) {
		u64 page = address(x, la, pa) & PAGE_MASK;

		if (!(x->use & DEBUG_FETCH) && page <= ((x->addr + x->len - 1) & PAGE_MASK) && page >= (x->addr & PAGE_MASK))
			return true;
	}
	return false;
}
