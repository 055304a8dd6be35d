/*
 * What a guest can reach by its second-level tables, and must not write: looked at when a processor first reads an entry that
 * maps a page, and again when a page becomes a structure. Only structures of the monitor that the processor itself runs
 * count: what a guest calls its own VMCSs, to be a monitor, is its memory.
 */
#include "cpu/state/phys.h"
#include "sanitize/parts.h"
#include "sanitize/shadow.h"

#include <stdio.h>

#define STRUCTURE_TABLE (STRUCTURE_APIC + 1)
#define GUARD_BUCKETS   256u

/* A page of a structure. */
struct guard {
	struct guard *next;
	pa_t page;
	u64 root;   /* structures that are a guest's own: the root of its tables; others: 0 */
	u8 kind;
	u32 active; /* bit n: to processor n it is a structure now */
	bool told, told_read;
	const char *name;
};

/* A large page that some domain has read the entry of. */
struct large {
	struct large *next;
	struct shadow_domain *domain;
	u64 base, to;
	u8 shift;
};

struct reach {
	struct guard *bucket[GUARD_BUCKETS];
	struct large *large;
	struct watch_structure last[CPU_MAX][WATCH_STRUCTURES];
	u64 last_root[CPU_MAX];
};

static struct reach *reach_of(const struct shadows *s)
{
	return s->arg;
}

static struct guard **bucket(struct reach *h, pa_t pa)
{
	return &h->bucket[(pa >> PAGE_SHIFT) * 0x9e3779b97f4a7c15ull >> 56];
}

static struct guard *find(struct reach *h, pa_t pa, u64 root)
{
	struct guard *g = *bucket(h, pa);

	while (g && (g->page != (pa & PAGE_MASK) || (g->root && g->root != root)))
		g = g->next;
	return g;
}

/* ---- telling ---- */

struct way {
	const char *how; /* "GPA" or "linear" */
	u64 from;
	pa_t pa;         /* the page of the structure */
	u8 rights;
	pa_t entry_pa;   /* the entry that maps it; ~0: not known */
	u64 entry;
	const char *entry_name;
};

static enum watch_kind kind_of(u8 kind)
{
	static const u8 kinds[] = {[STRUCTURE_BLOCK] = WATCH_REACH_BLOCK,   [STRUCTURE_HOST] = WATCH_REACH_HOST,
	                           [STRUCTURE_BITMAP] = WATCH_REACH_BITMAP, [STRUCTURE_MSRS] = WATCH_REACH_MSRS,
	                           [STRUCTURE_APIC] = WATCH_REACH_APIC,     [STRUCTURE_TABLE] = WATCH_REACH_TABLE};

	return (enum watch_kind)kinds[kind];
}

static void tell(struct cpu *c, enum watch_kind k, const char *name, const struct way *w)
{
	bool write = k != WATCH_REACH_READ;
	char event[128], entry[96];
	struct refusal r = {.event = event, .guest = c->virt->block_at(c)};

	snprintf(event, sizeof(event), "guest can %s %s", write ? "write" : "read", name);
	sanitize_line(&r, "use", NULL, "%s 0x%llx leads to 0x%llx, %s, cpu %u", w->how, (unsigned long long)w->from,
	              (unsigned long long)w->pa, write ? "writable" : "readable", c->index);
	if (w->entry_pa != ~0ull) {
		snprintf(entry, sizeof(entry), "%s at 0x%llx", w->entry_name, (unsigned long long)w->entry_pa);
		r.fields = 1;
		r.field[0] = (struct check_field){.name = entry, .value = w->entry};
	}
	sanitize_found(c, k, &r);
}

/* Once for each page of a structure. */
static void look(struct cpu *c, struct guard *g, const struct way *w)
{
	if (g->kind == STRUCTURE_TABLE ? !shadow_is_table(sanitize_of(c)->shadow, g->page) : !g->active)
		return;
	if ((w->rights & ACC_WRITE) && !g->told) {
		g->told = true;
		tell(c, kind_of(g->kind), g->name, w);
	}
	if ((w->rights & ACC_READ) && !g->told_read && g->kind <= STRUCTURE_HOST && watched(c, WATCH_REACH_READ)) {
		g->told_read = true;
		tell(c, WATCH_REACH_READ, g->name, w);
	}
}

/* ---- a page becomes mapped ---- */

static struct way way_of(const struct shadow_domain *d, const struct shadow_place *p, u64 addr)
{
	const struct walk_format *f = d->mode.rules.format;

	return (struct way){.how = "GPA",
	                    .from = addr & PAGE_MASK,
	                    .pa = p->at & PAGE_MASK,
	                    .rights = p->rights,
	                    .entry_pa = p->pa,
	                    .entry = p->raw,
	                    .entry_name = f->level[f->levels - p->level].name};
}

static void look_page(struct shadows *s, struct cpu *c, struct shadow_domain *d, u64 addr)
{
	struct shadow_place p;
	struct guard *g;

	if (!shadow_walk(c, d, d->root, d->mode.rules.format->levels, addr, 0xff, &p))
		return;
	struct way w = way_of(d, &p, addr);

	if ((g = find(reach_of(s), w.pa, d->root)))
		look(c, g, &w);
}

/* All structures that lie in a range; larger ones than a page by all there are. */
static void look_range(struct shadows *s, struct cpu *c, struct shadow_domain *d, u64 base, u64 to, unsigned shift)
{
	struct reach *h = reach_of(s);

	if (shift == PAGE_SHIFT) {
		if (find(h, to, d->root))
			look_page(s, c, d, base);
		return;
	}
	for (unsigned n = 0; n < GUARD_BUCKETS; n++)
		for (struct guard *g = h->bucket[n]; g; g = g->next)
			if (g->page - to < BIT(shift) && (!g->root || g->root == d->root))
				look_page(s, c, d, base + (g->page - to));
}

static void note_large(struct shadows *s, struct shadow_domain *d, u64 base, u64 to, unsigned shift)
{
	struct reach *h = reach_of(s);
	struct large *l = h->large;

	while (l && (l->domain != d || l->base != base || l->to != to || l->shift != shift))
		l = l->next;
	if (l || !(l = base_alloc(sizeof(*l))))
		return;
	*l = (struct large){.next = h->large, .domain = d, .base = base, .to = to, .shift = (u8)shift};
	h->large = l;
}

static void mapped(struct shadows *s, struct cpu *c, struct shadow_domain *d, u64 base, unsigned shift, u64 to)
{
	if (shift > PAGE_SHIFT)
		note_large(s, d, base, to, shift);
	look_range(s, c, d, base, to, shift);
}

/* ---- a page becomes a structure ---- */

static void look_back(struct shadows *s, struct cpu *c, const struct guard *g)
{
	const struct shadow_mapping *m = shadow_mapping(s, g->page);

	for (struct large *l = reach_of(s)->large; l; l = l->next)
		if (g->page - l->to < BIT(l->shift) && l->domain->used && (!g->root || g->root == l->domain->root))
			look_page(s, c, l->domain, l->base + (g->page - l->to));
	if (m && (!g->root || g->root == m->domain->root))
		look_page(s, c, m->domain, m->base);
}

static struct guard *guard(struct shadows *s, pa_t pa, u8 kind, u64 root, const char *name)
{
	struct reach *h = reach_of(s);
	struct guard *g = find(h, pa, root);

	if (g && g->kind == kind && g->root == root)
		return g;
	if (g) {
		g->kind = kind; /* the page is something else by now */
		g->name = name;
		g->root = root;
		g->told = g->told_read = false;
		return g;
	}
	g = base_alloc(sizeof(*g));
	if (!g)
		return NULL;
	*g = (struct guard){.next = *bucket(h, pa), .page = pa & PAGE_MASK, .kind = kind, .root = root, .name = name};
	*bucket(h, pa) = g;
	return g;
}

static void is_table(struct shadows *s, struct cpu *c, pa_t pa)
{
	struct guard *g = guard(s, pa, STRUCTURE_TABLE, 0, "a second-level table");

	if (g && !g->told)
		look_back(s, c, g);
}

/* What this processor no longer uses is memory like any other. */
static void unguard(struct reach *h, const struct watch_structure *l, unsigned cpu)
{
	for (pa_t pa = l->pa & PAGE_MASK; l->len && pa < l->pa + l->len; pa += PAGE_SIZE)
		for (struct guard *g = *bucket(h, pa); g; g = g->next)
			if (g->page == pa && g->kind == l->kind)
				g->active &= ~(1u << cpu);
}

static bool same(const struct watch_structure *a, const struct watch_structure *b, unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		if (a[k].pa != b[k].pa || a[k].len != b[k].len || a[k].kind != b[k].kind)
			return false;
	return n == WATCH_STRUCTURES || !b[n].len;
}

void reach_structures(struct cpu *c, const struct watch_structure *list, unsigned n)
{
	struct shadows *s = sanitize_of(c)->shadow;
	struct reach *h = s ? reach_of(s) : NULL;
	u64 root = c->stage2 ? c->stage2_root & mask(51, 12) : 0;

	if (!h || (same(list, h->last[c->index], n) && h->last_root[c->index] == root))
		return;
	for (unsigned k = 0; k < WATCH_STRUCTURES; k++)
		unguard(h, &h->last[c->index][k], c->index);
	memset(h->last[c->index], 0, sizeof(h->last[c->index]));
	memcpy(h->last[c->index], list, n * sizeof(*list));
	h->last_root[c->index] = root;
	for (unsigned k = 0; k < n; k++)
		for (pa_t pa = list[k].pa & PAGE_MASK; pa < list[k].pa + list[k].len; pa += PAGE_SIZE) {
			struct guard *g = guard(s, pa, list[k].kind, list[k].kind == STRUCTURE_APIC ? root : 0, list[k].name);

			if (!g)
				continue;
			g->active |= 1u << c->index;
			if (!g->told)
				look_back(s, c, g);
		}
}

void reach_used_directly(struct cpu *c, la_t la, pa_t pa, unsigned rights)
{
	struct shadows *s = sanitize_of(c)->shadow;
	struct guard *g = s ? find(reach_of(s), pa, 0) : NULL;

	if (g)
		look(c, g, &(struct way){.how = "linear", .from = la, .pa = pa & PAGE_MASK, .rights = (u8)rights, .entry_pa = ~0ull});
}

/* ---- life ---- */

enum status reach_init(struct shadows *s)
{
	s->arg = base_alloc(sizeof(struct reach));
	s->mapped = mapped;
	s->is_table = is_table;
	return s->arg ? ST_OK : ST_NOMEM;
}

void reach_forget(struct shadows *s)
{
	struct reach *h = reach_of(s);

	for (unsigned n = 0; h && n < GUARD_BUCKETS; n++)
		for (struct guard *g; (g = h->bucket[n]);) {
			h->bucket[n] = g->next;
			base_free(g);
		}
	for (struct large *l; h && (l = h->large);) {
		h->large = l->next;
		base_free(l);
	}
}

void reach_fini(struct shadows *s)
{
	reach_forget(s);
	base_free(s->arg);
	s->arg = NULL;
}
