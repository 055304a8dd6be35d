/*
 * The shadow's books: domains, which entries each has read, and the stores that change them. Stores come from an observer of
 * the bus, whoever makes them; every table that has been read is a page with PAGE_TABLE, and a copy of it tells what an
 * entry was.
 */
#include "sanitize/shadow.h"

#include "cpu/mmu/mmu.h"
#include "sanitize/parts.h"

/* ---- domains ---- */

struct shadow_domain *shadow_domain(struct shadows *s, const struct cpu *c, u8 tables, u16 asid, u64 root)
{
	struct shadow_cpu *sc = &s->cpu[c->index];
	struct shadow_domain **p = &sc->domains, *d;

	for (; (d = *p); p = &d->next)
		if (d->tables == tables && d->root == root && d->asid == asid)
			break;
	if (d) {
		*p = d->next; /* the last one used is the first one found */
	} else {
		d = base_alloc(sizeof(*d));
		if (!d) {
			s->off = true;
			return NULL;
		}
		*d = (struct shadow_domain){.cpu = c->index, .tables = tables, .asid = asid, .root = root};
	}
	d->next = sc->domains;
	sc->domains = d;
	return d;
}

static void free_pages(struct shadow_page **pages)
{
	for (struct shadow_page *p = *pages, *next; p; p = next) {
		next = p->next;
		base_free(p);
	}
	*pages = NULL;
}

static void free_change(struct shadow_change *c)
{
	free_pages(&c->except);
	base_free(c);
}

static void drop_changes(struct shadows *s, struct shadow_domain *d)
{
	for (struct shadow_change *c = d->changes, *next; c; c = next) {
		next = c->next;
		free_change(c);
	}
	free_pages(&d->violated);
	s->cpu[d->cpu].untold -= d->untold;
	d->changes = NULL;
	d->untold = 0;
}

struct shadow_change *shadow_add(struct shadows *s, struct shadow_domain *d, const struct shadow_change *change)
{
	struct shadow_change *c = base_alloc(sizeof(*c));

	if (!c) {
		s->off = true;
		return NULL;
	}
	*c = *change;
	c->next = d->changes;
	d->changes = c;
	d->untold++;
	s->cpu[d->cpu].untold++;
	return c;
}

void shadow_told(struct shadows *s, struct shadow_domain *d, struct shadow_change *c)
{
	if (c->told)
		return;
	c->told = true;
	d->untold--;
	s->cpu[d->cpu].untold--;
}

void shadow_flush(struct shadows *s, struct shadow_domain *d, const char *name)
{
	const struct cpu *c = s->cpus[d->cpu];

	drop_changes(s, d);
	d->used = 0;
	d->flush = (struct shadow_flush){.at = ++s->now, .insn = sanitize_here(c, ORIGIN_STORE).insn, .name = name};
}

/* ---- tables ---- */

static struct shadow_table **slot(const struct shadows *s, const u8 *host, bool make)
{
	u64 page = mem_place(s->bus, host) >> PAGE_SHIFT;
	struct shadow_table ***chunk = &s->table[page / SHADOW_CHUNK];

	if (!*chunk && make)
		*chunk = base_alloc(SHADOW_CHUNK * sizeof(**chunk));
	return *chunk ? &(*chunk)[page % SHADOW_CHUNK] : NULL;
}

struct shadow_table *shadow_table(const struct shadows *s, const u8 *host)
{
	struct shadow_table **p = slot(s, host, false);

	return p ? *p : NULL;
}

static const u8 *page_of(const u8 *host)
{
	return host - ((uintptr_t)host & ~PAGE_MASK); /* memory is mapped at a page boundary, and so is every part */
}

static struct shadow_table *make_table(struct shadows *s, const u8 *host, pa_t pa)
{
	struct shadow_table **p = slot(s, host, true), *t;

	t = p ? base_alloc(sizeof(*t)) : NULL;
	if (!t) {
		s->off = true;
		return NULL;
	}
	*p = t;
	t->pa = pa & PAGE_MASK;
	memcpy(t->seen, page_of(host), PAGE_SIZE);
	*mem_flag(s->bus, host) |= PAGE_TABLE;
	return t;
}

static bool outdated(const struct shadow_view *v)
{
	return v->since <= v->domain->flush.at;
}

/* The table as this domain reads it; views that nothing is cached of are used again. */
static struct shadow_view *view(struct shadows *s, struct shadow_table *t, struct shadow_domain *d, unsigned level, u64 base)
{
	struct shadow_view *v, *spare = NULL;

	for (v = t->views; v; v = v->next) {
		if (v->domain == d && v->level == level && v->base == base)
			break;
		if (outdated(v))
			spare = v;
	}
	if (!v && !(v = spare)) {
		v = base_alloc(sizeof(*v));
		if (!v) {
			s->off = true;
			return NULL;
		}
		v->next = t->views;
		t->views = v;
	} else if (!outdated(v)) {
		return v;
	}
	struct shadow_view *next = v->next;
	base_free(v->read);
	*v = (struct shadow_view){.next = next, .domain = d, .base = base, .level = (u8)level, .since = ++s->now};
	return v;
}

/* ---- what a walk read ---- */

static u64 table_base(const struct walk_mode *m, unsigned level, u64 addr)
{
	unsigned shift = shadow_shift(m, level) + (m->rules.format->entry_size == 4 ? 10 : 9);

	return addr & ~(BIT(shift) - 1);
}

static void note_mapping(struct shadows *s, struct cpu *c, struct shadow_domain *d, u64 addr, unsigned level, u64 raw)
{
	const struct shadow_entry e = shadow_entry(&d->mode, d->tables, raw, level);
	unsigned shift = shadow_shift(&d->mode, level);
	const u8 *host = e.maps ? bus_memory(s->bus, e.to) : NULL;

	if (!host)
		return;
	if (shift == PAGE_SHIFT) {
		u64 page = mem_place(s->bus, host) >> PAGE_SHIFT;
		struct shadow_mapping **chunk = &s->mapping[page / SHADOW_CHUNK];

		if (!*chunk && !(*chunk = base_alloc(SHADOW_CHUNK * sizeof(**chunk))))
			return;
		(*chunk)[page % SHADOW_CHUNK] = (struct shadow_mapping){.domain = d, .base = addr & PAGE_MASK};
	}
	s->mapped(s, c, d, addr & ~(BIT(shift) - 1), shift, e.to);
}

const struct shadow_mapping *shadow_mapping(const struct shadows *s, pa_t pa)
{
	const u8 *host = bus_memory(s->bus, pa);
	u64 page = host ? mem_place(s->bus, host) >> PAGE_SHIFT : 0;
	const struct shadow_mapping *chunk = host ? s->mapping[page / SHADOW_CHUNK] : NULL, *m;

	if (!chunk)
		return NULL;
	m = &chunk[page % SHADOW_CHUNK];
	return m->domain && m->domain->used ? m : NULL;
}

bool shadow_is_table(const struct shadows *s, pa_t pa)
{
	const u8 *host = bus_memory(s->bus, pa);
	const struct shadow_table *t = host ? shadow_table(s, host) : NULL;
	struct shadow_place p;

	for (const struct shadow_view *v = t ? t->views : NULL; v; v = v->next) {
		if (outdated(v))
			continue;
		(void)shadow_walk(s->cpus[v->domain->cpu], v->domain, v->domain->root, v->domain->mode.rules.format->levels,
		                  v->base, 0xff, &p);
		for (unsigned n = 0; n < p.steps; n++)
			if ((p.step[n].pa & PAGE_MASK) == (pa & PAGE_MASK))
				return true;
	}
	return false;
}

static void note_step(struct shadows *s, struct cpu *c, struct shadow_domain *d, const struct watch_walk *w, unsigned n)
{
	const struct walk_step *step = &w->step[n];
	unsigned level = d->mode.rules.format->levels - n, size = d->mode.rules.format->entry_size;
	u64 room;
	const u8 *host = space_memory(cpu_sees(c), step->pa, USE_READ, &room);
	struct shadow_table *t = host ? shadow_table(s, host) : NULL;
	struct shadow_view *v;

	if (!host || (!t && !(t = make_table(s, host, step->pa))))
		return;
	v = view(s, t, d, level, table_base(&d->mode, level, w->addr));
	if (!v)
		return;
	if (s->is_table && v->since == s->now)
		s->is_table(s, c, step->pa & PAGE_MASK);
	unsigned at = (unsigned)(step->pa & ~PAGE_MASK), index = at / size;
	bool known = v->used[index / 64] >> (index % 64) & 1;

	memcpy(t->seen + at, page_of(host) + at, size);
	v->used[index / 64] |= BIT(index % 64);
	if (v->read)
		v->read[index] = 0;
	d->used = s->now;
	if (!known && s->mapped)
		note_mapping(s, c, d, w->addr, level, step->value);
}

static void granted_again(struct shadow_domain *d, u64 addr)
{
	for (struct shadow_page **p = &d->violated, *page; (page = *p);) {
		if (page->page != addr >> PAGE_SHIFT) {
			p = &page->next;
			continue;
		}
		*p = page->next;
		base_free(page);
	}
}

void shadow_note(struct shadows *s, struct cpu *c, struct shadow_domain *d, const struct watch_walk *w)
{
	if (unlikely(d->violated) && w->granted)
		granted_again(d, w->addr);
	for (unsigned n = 0; n < w->steps && !s->off; n++) {
		unsigned level = d->mode.rules.format->levels - n;

		if (!shadow_entry(&d->mode, d->tables, w->step[n].value, level).present)
			return; /* "no ... mappings are created with information derived from entries that are not present" */
		note_step(s, c, d, w, n);
	}
}

bool shadow_has_read(const struct shadows *s, const struct shadow_domain *d, pa_t pa, unsigned level, u64 addr)
{
	u64 room;
	const u8 *host = space_memory(cpu_sees(s->cpus[d->cpu]), pa, USE_READ, &room);
	const struct shadow_table *t = host ? shadow_table(s, host) : NULL;
	unsigned index = (unsigned)(pa & ~PAGE_MASK) / d->mode.rules.format->entry_size;

	for (const struct shadow_view *v = t ? t->views : NULL; v; v = v->next)
		if (v->domain == d && v->level == level && v->base == table_base(&d->mode, level, addr) && !outdated(v))
			return v->used[index / 64] >> (index % 64) & 1;
	return false;
}

/* ---- invalidation of one address ---- */

bool shadow_covers(const struct shadow_change *c, u64 addr)
{
	if (c->shift < 64 && addr >> c->shift != c->base >> c->shift)
		return false;
	for (const struct shadow_page *p = c->except; p; p = p->next)
		if (p->page == addr >> PAGE_SHIFT)
			return false;
	return true;
}

static void add_page(struct shadows *s, struct shadow_page **pages, u64 page)
{
	struct shadow_page *p = base_alloc(sizeof(*p));

	if (!p) {
		s->off = true;
		return;
	}
	*p = (struct shadow_page){.next = *pages, .page = page};
	*pages = p;
}

/* The entry that maps the page, by the tables from this one on, is not cached any more. */
static void forget_leaf(struct shadows *s, struct shadow_domain *d, u64 table, unsigned level, u64 addr)
{
	struct shadow_place p;
	u64 room;

	if (!shadow_walk(s->cpus[d->cpu], d, table, level, addr, 0xff, &p))
		return;
	if (p.level > 1) {
		add_page(s, &d->violated, addr >> PAGE_SHIFT);
		return;
	}
	const u8 *host = space_memory(cpu_sees(s->cpus[d->cpu]), p.pa, USE_READ, &room);
	struct shadow_table *t = host ? shadow_table(s, host) : NULL;
	unsigned index = (unsigned)(p.pa & ~PAGE_MASK) / d->mode.rules.format->entry_size;

	for (struct shadow_view *v = t ? t->views : NULL; v; v = v->next)
		if (v->domain == d && v->level == p.level && v->base == table_base(&d->mode, p.level, addr))
			v->used[index / 64] &= ~BIT(index % 64);
}

void shadow_flush_page(struct shadows *s, struct shadow_domain *d, u64 addr)
{
	const unsigned levels = d->mode.rules.format->levels;

	if (!d->used)
		return;
	forget_leaf(s, d, d->root, levels, addr);
	for (struct shadow_change *c = d->changes; c; c = c->next) {
		if (c->level > levels || c->told || !shadow_covers(c, addr))
			continue;
		const struct shadow_entry was = shadow_entry(&d->mode, d->tables, c->was, c->level);

		if (!was.maps)
			forget_leaf(s, d, was.to, c->level - 1, addr);
		add_page(s, &c->except, addr >> PAGE_SHIFT);
	}
}

/* ---- stores ---- */

static struct origin place_of(const struct shadows *s, const struct written *w)
{
	const struct cpu *c = w->who.id < s->count ? s->cpus[w->who.id] : NULL;

	return w->who.by <= BY_VIRT && c ? sanitize_here(c, ORIGIN_STORE) : (struct origin){.kind = ORIGIN_UNKNOWN};
}

/* Rights that are granted ask for nothing, and the processor does not have them before it walks again. */
static void keep_as_read(struct shadows *s, struct shadow_view *v, unsigned index, u64 was)
{
	if (!v->read)
		v->read = base_alloc(PAGE_SIZE / 4 * sizeof(*v->read));
	if (!v->read)
		s->off = true;
	else if (!v->read[index])
		v->read[index] = was;
}

static void entry_changed(struct shadows *s, struct shadow_table *t, struct shadow_view *v, const struct written *w,
                          unsigned index, u64 was, u64 now)
{
	struct shadow_domain *d = v->domain;
	unsigned shift = shadow_shift(&d->mode, v->level), size = d->mode.rules.format->entry_size;

	if (v->read && v->read[index])
		was = v->read[index];
	if (!shadow_rule(d, was, now, v->level)) {
		if (w->who.by != BY_WALK)
			keep_as_read(s, v, index, was);
		return;
	}
	v->used[index / 64] &= ~BIT(index % 64); /* the old one is on the list; the new one has not been read */
	struct shadow_change *c = shadow_add(s, d, &(struct shadow_change){
	                         .base = v->base + ((u64)index << shift),
	                         .shift = (u8)shift,
	                         .level = v->level,
	                         .pa = t->pa + index * size,
	                         .was = was,
	                         .now = now,
	                         .set = place_of(s, w),
	                         .by = w->who.by,
	                         .id = w->who.id,
	                         .at = ++s->now,
	                         .when = s->bus->clock->now,
	                 });
	bool large = v->level > 1 && shadow_entry(&d->mode, d->tables, was, v->level).maps;

	for (const struct shadow_page *p = d->violated; c && p && large; p = p->next)
		if (p->page >> (shift - PAGE_SHIFT) == c->base >> shift)
			add_page(s, &c->except, p->page);
	mmu_hold_all(s->cpus[d->cpu]); /* so that the next use is seen */
}

static void store_in_view(struct shadows *s, struct shadow_table *t, struct shadow_view *v, const struct written *w,
                          const u8 *page)
{
	unsigned size = v->domain->mode.rules.format->entry_size;
	unsigned first = (unsigned)((uintptr_t)w->host & ~PAGE_MASK) / size;
	unsigned last = (unsigned)(((uintptr_t)w->host & ~PAGE_MASK) + w->len - 1) / size;

	for (unsigned n = first; n <= last && n < PAGE_SIZE / size; n++) {
		u64 was = 0, now = 0;

		if (!(v->used[n / 64] >> (n % 64) & 1))
			continue;
		memcpy(&was, t->seen + n * size, size);
		memcpy(&now, page + n * size, size);
		if (was != now)
			entry_changed(s, t, v, w, n, was, now);
	}
}

static void written(void *arg, const struct written *w)
{
	struct shadows *s = arg;
	struct shadow_table *t = shadow_table(s, w->host);
	const u8 *page = page_of(w->host);
	u64 at = (uintptr_t)w->host & ~PAGE_MASK;

	if (!t || s->off)
		return;
	for (struct shadow_view *v = t->views; v; v = v->next)
		if (!outdated(v))
			store_in_view(s, t, v, w, page);
	memcpy(t->seen + at, page + at, w->len);
}

/* ---- life ---- */

enum status shadow_init(struct shadows *s, struct bus *bus, struct cpu *const *cpus, unsigned count)
{
	u64 pages = bus->memory_size >> PAGE_SHIFT;

	s->bus = bus;
	s->cpus = cpus;
	s->count = count;
	s->now = 1;
	s->table = base_alloc((pages / SHADOW_CHUNK + 1) * sizeof(*s->table));
	s->mapping = base_alloc((pages / SHADOW_CHUNK + 1) * sizeof(*s->mapping));
	if (!s->table || !s->mapping)
		return ST_NOMEM;
	s->stores = (struct observer){.pages = PAGE_TABLE, .written = written, .arg = s};
	bus_observe(bus, &s->stores);
	return ST_OK;
}

static void free_table(struct shadows *s, u64 page, struct shadow_table *t)
{
	for (struct shadow_view *v = t->views, *next; v; v = next) {
		next = v->next;
		base_free(v->read);
		base_free(v);
	}
	s->bus->memory_flags[page] &= (u8)~PAGE_TABLE;
	base_free(t);
}

void shadow_forget_all(struct shadows *s)
{
	u64 chunks = (s->bus->memory_size >> PAGE_SHIFT) / SHADOW_CHUNK + 1;

	for (u64 n = 0; s->table && n < chunks; n++) {
		for (unsigned k = 0; s->table[n] && k < SHADOW_CHUNK; k++)
			if (s->table[n][k])
				free_table(s, n * SHADOW_CHUNK + k, s->table[n][k]);
		base_free(s->table[n]);
		base_free(s->mapping[n]);
		s->table[n] = NULL;
		s->mapping[n] = NULL;
	}
	for (unsigned n = 0; n < s->count; n++) {
		for (struct shadow_domain *d = s->cpu[n].domains, *next; d; d = next) {
			next = d->next;
			drop_changes(s, d);
			base_free(d);
		}
		s->cpu[n] = (struct shadow_cpu){.domains = NULL};
	}
}

void shadow_fini(struct shadows *s)
{
	if (s->table && s->mapping) {
		bus_unobserve(s->bus, &s->stores);
		shadow_forget_all(s);
	}
	base_free(s->table);
	base_free(s->mapping);
	s->table = NULL;
	s->mapping = NULL;
}
