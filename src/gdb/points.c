/* Breakpoints and watchpoints as gdb sets them: Z0 and Z1 are both the machine's own, Z2 to Z4 watch accesses. */
#include "cpu/decode/decode.h"
#include "gdb/parts.h"

enum { TYPE_SOFTWARE, TYPE_HARDWARE, TYPE_WRITE, TYPE_READ, TYPE_ACCESS };

/* Code that was decoded without knowing of a point is forgotten, and so are pointers to pages that are watched now. */
void points_changed(struct gdb *g)
{
	struct debug_points *p = &g->points;

	p->watched = 0;
	for (unsigned n = 0; n < p->count; n++)
		p->watched += p->point[n].use != DEBUG_FETCH;
	code_cache_flush(g->m->code);
	for (unsigned n = 0; n < g->m->count; n++)
		mmu_forget_pointers(g->m->cpus[n]);
}

/* In which addresses a point is given: those of `monitor space`. */
static bool make(const struct gdb *g, unsigned type, u64 addr, u64 len, struct debug_point *p)
{
	static const u8 use[] = {DEBUG_FETCH, DEBUG_FETCH, DEBUG_WRITE, DEBUG_READ, DEBUG_READ | DEBUG_WRITE};

	if (g->space == GDB_GUEST_PHYS || type >= ARRAY_LEN(use) || (type >= TYPE_WRITE && (!len || addr + len < addr)))
		return false;
	*p = (struct debug_point){
	        .addr = addr,
	        .len = type >= TYPE_WRITE ? len : 1,
	        .use = use[type],
	        .physical = g->space == GDB_PHYS,
	        .tag = (u8)type,
	};
	return true;
}

static struct debug_point *find(struct gdb *g, const struct debug_point *p)
{
	for (unsigned n = 0; n < g->points.count; n++) {
		struct debug_point *x = &g->points.point[n];

		if (x->addr == p->addr && x->len == p->len && x->tag == p->tag && x->physical == p->physical)
			return x;
	}
	return NULL;
}

bool point_add(struct gdb *g, unsigned type, u64 addr, u64 len)
{
	struct debug_point p;

	if (!make(g, type, addr, len, &p))
		return false;
	if (find(g, &p))
		return true;
	if (g->points.count == DEBUG_POINTS)
		return false;
	g->points.point[g->points.count++] = p;
	points_changed(g);
	return true;
}

/* One that was set in another space goes, too: gdb knows its address alone. */
bool point_remove(struct gdb *g, unsigned type, u64 addr, u64 len)
{
	struct debug_point p, *x;

	if (!make(g, type, addr, len, &p))
		return false;
	x = find(g, &p);
	if (!x) {
		p.physical = !p.physical;
		x = find(g, &p);
	}
	if (!x)
		return true;
	*x = g->points.point[--g->points.count];
	points_changed(g);
	return true;
}

void points_clear(struct gdb *g)
{
	g->points.count = 0;
	g->points.where = DEBUG_ANYWHERE;
	points_changed(g);
}
