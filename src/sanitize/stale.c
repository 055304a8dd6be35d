/*
 * Stale translations: is there, for what a processor has just used, something else that it might have cached and not been told
 * to forget? Everything that may be cached counts: the shadow is not bounded, so that a mistake is found even where a small
 * TLB would have forgotten in time.
 */
#include "sanitize/shadow.h"

#include "cpu/mmu/mmu.h"
#include "cpu/state/phys.h"
#include "sanitize/parts.h"
#include "sanitize/stale_priv.h"

/*
 * What software has changed from one processor it has to tell the others of, and waits until they know: until then they may
 * go on with what they have, and no rule is broken. When it has finished cannot be seen from outside; it has if the
 * processor that made the change has since entered a guest, gone idle or back to its programs, or at the latest after this
 * many ticks.
 */
#define PATIENCE 4000000ull

static struct shadows *stale_of(const struct cpu *c)
{
	return sanitize_of(c)->shadow;
}

static bool moved_on(const struct shadows *s, const struct shadow_change *ch)
{
	const struct cpu *by = s->cpus[ch->id];

	return s->cpu[ch->id].entered > ch->at || by->activity != ACT_RUN || (!by->guest && by->cpl == 3) ||
	       s->bus->clock->now - ch->when > PATIENCE;
}

/* Before the processor's next VM entry nobody can expect it to know. */
static bool too_late(const struct shadows *s, const struct cpu *c, const struct shadow_change *ch)
{
	const struct shadow_cpu *me = &s->cpu[c->index];
	bool processor = ch->by <= BY_VIRT && ch->id < s->count;

	if (me->entered <= ch->at)
		return false;
	return !processor || ch->id == c->index || moved_on(s, ch);
}

/* ---- what the processor might do ---- */

/* What the levels above this one may have allowed: by the entries there are and by those that were. */
static u8 rights_above(const struct shadow_domain *d, const struct shadow_place *now, u64 addr, unsigned level)
{
	u8 rights = 0xff;

	for (unsigned l = d->mode.rules.format->levels; l > level; l--) {
		u8 any = now->allowed[l];

		for (const struct shadow_change *ch = d->changes; ch; ch = ch->next)
			if (ch->level == l && shadow_covers(ch, addr))
				any |= shadow_entry(&d->mode, d->tables, ch->was, l).rights;
		rights &= any;
	}
	return rights;
}

static struct shadow_domain *other_root(const struct shadows *s, const struct shadow_domain *d, u64 root)
{
	for (struct shadow_domain *o = s->cpu[d->cpu].domains; o; o = o->next)
		if (o->tables == d->tables && o->asid == d->asid && o->root == root)
			return o;
	return NULL;
}

/* Tables under the root that the tag had before; of those whose topmost entry the processor has read. */
static bool by_old_root(struct shadows *s, struct cpu *c, const struct shadow_domain *d, const struct shadow_change *ch,
                        u64 addr, struct shadow_place *old)
{
	const struct shadow_domain *o = other_root(s, d, ch->was);
	unsigned levels = o ? o->mode.rules.format->levels : 0;
	bool maps = o && o->used && shadow_walk(c, o, o->root, levels, addr, 0xff, old);

	return maps && shadow_has_read(s, o, old->pa, old->level, addr);
}

static bool by_old_entry(struct shadows *s, struct cpu *c, const struct shadow_domain *d, const struct shadow_change *ch,
                         const struct shadow_place *now, u64 addr, struct shadow_place *old)
{
	u8 rights;

	if (ch->level > d->mode.rules.format->levels)
		return by_old_root(s, c, d, ch, addr, old);
	*old = (struct shadow_place){.entry = shadow_entry(&d->mode, d->tables, ch->was, ch->level), .level = ch->level};
	rights = rights_above(d, now, addr, ch->level) & old->entry.rights;
	if (!old->entry.maps)
		return shadow_walk(c, d, old->entry.to, ch->level - 1, addr, rights, old);
	old->rights = rights;
	old->at = old->entry.to | (addr & (BIT(ch->shift) - 1));
	return true;
}

/* Does it make a difference to this access which of the two is used? An access that the old one refuses faults, which
 * makes the processor look again. */
static bool differs(const struct shadow_domain *d, const struct stale_use *u, const struct shadow_place *old, bool mapped,
                    const struct shadow_place *now)
{
	if (u->access & ~old->rights)
		return false;
	if (!mapped || (u->access & ~now->rights) || (old->at ^ now->at) >> PAGE_SHIFT || old->entry.type != now->entry.type)
		return true;
	if (!d->keeps_ad || !(u->access & ACC_WRITE) || old->pa == now->pa) /* the last: the same entry by two ways */
		return false;
	return old->entry.dirty && (u->walked ? u->clean : !now->entry.dirty);
}

/* ---- an access ---- */

static void judge(struct shadows *s, struct cpu *c, struct shadow_domain *d, const struct stale_use *u)
{
	struct shadow_place now, old;
	bool mapped = shadow_walk(c, d, d->root, d->mode.rules.format->levels, u->addr, 0xff, &now);

	for (struct shadow_change *ch = d->changes; ch; ch = ch->next) {
		if (ch->told || !shadow_covers(ch, u->addr) || !too_late(s, c, ch))
			continue;
		if (by_old_entry(s, c, d, ch, &now, u->addr, &old) && differs(d, u, &old, mapped, &now)) {
			shadow_told(s, d, ch);
			stale_tell(s, c, d, ch, u, &old);
		}
	}
}

static bool suspect(const struct shadow_domain *d, u64 addr)
{
	for (const struct shadow_change *ch = d->changes; ch; ch = ch->next)
		if (!ch->told && shadow_covers(ch, addr))
			return true;
	return false;
}

/* ---- domains that follow the processor ---- */

/* A tag that has another root than before, and was not flushed in between: whatever is cached of the old one stays in use.
 * "TLB Flush" (APM 2): entries are tagged with the ASID, not with N_CR3. */
static void note_root(struct shadows *s, struct shadow_domain *d)
{
	for (struct shadow_domain *o = s->cpu[d->cpu].domains; o; o = o->next) {
		if (o == d || o->tables != d->tables || o->asid != d->asid || !o->used)
			continue;
		struct shadow_change *ch = d->changes;

		while (ch && (ch->level <= d->mode.rules.format->levels || ch->was != o->root))
			ch = ch->next;
		if (!ch)
			shadow_add(s, d, &(struct shadow_change){.shift = 64,
			                                         .level = (u8)(d->mode.rules.format->levels + 1),
			                                         .was = o->root,
			                                         .now = d->root,
			                                         .by = BY_LOADER});
	}
}

static void refresh(struct shadow_domain *d, const struct watch_walk *w)
{
	d->mode = *w->mode;
	d->mode_key = w->mode_key;
	d->keeps_ad = w->keeps_ad;
}

static struct shadow_domain *domain_of(struct shadows *s, struct cpu *c, const struct watch_walk *w)
{
	struct shadow_cpu *sc = &s->cpu[c->index];
	struct shadow_domain *d = sc->current;
	bool same = d && d->root == w->root && d->asid == w->asid;

	if (!same && !(d = shadow_domain(s, c, w->tables, w->asid, w->root)))
		return NULL;
	sc->current = d;
	if (d->mode_key != w->mode_key || d->keeps_ad != w->keeps_ad || !d->mode.rules.format)
		refresh(d, w);
	if (!same && w->tables == WATCH_NPT)
		note_root(s, d);
	return d;
}

/* ---- what the watch is told ---- */

/* The walk has marked the page since it read the entry. */
static bool was_clean(const struct shadow_domain *d, const struct watch_walk *w)
{
	unsigned level = d->mode.rules.format->levels + 1 - w->steps;

	return w->steps && !shadow_entry(&d->mode, d->tables, w->step[w->steps - 1].value, level).dirty;
}

static void walked(struct cpu *c, const struct watch_walk *w)
{
	struct shadows *s = stale_of(c);
	struct shadow_domain *d = !s || s->off ? NULL : domain_of(s, c, w);

	if (s && s->off)
		sanitize_lost(sanitize_of(c));
	if (!d)
		return;
	if (unlikely(d->untold))
		judge(s, c, d, &(struct stale_use){.addr = w->addr,
		                                   .access = w->access,
		                                   .table = w->table,
		                                   .walked = true,
		                                   .clean = was_clean(d, w),
		                                   .linear = w->linear,
		                                   .has_linear = w->has_linear});
	shadow_note(s, c, d, w);
	/* "An EPT violation invalidates any guest-physical mappings ... that would be used to translate the guest-physical
	 * address that caused" it, and combined ones of the linear address. DEVIATION: the combined ones of other linear
	 * addresses that lead there are taken for gone as well; what is missed by that would be a monitor that relies on
	 * the violation, for a page that its guest knows by two names. */
	if (!w->granted)
		shadow_flush_page(s, d, w->addr);
}

/* The domain of the guest that runs, which may not have walked since it was entered. */
static struct shadow_domain *find_current(struct shadows *s, struct cpu *c)
{
	struct shadow_cpu *sc = &s->cpu[c->index];
	struct shadow_domain *other = NULL, *d;
	u64 root = c->stage2_root & mask(51, 12);

	for (d = sc->domains; d; d = d->next) {
		if (d->tables == WATCH_NPT && d->asid != c->space)
			continue;
		if ((d->root & mask(51, 12)) == root)
			return d;
		other = d->tables == WATCH_NPT ? d : other;
	}
	/* an ASID with tables of which nothing has been read */
	if (!other || !other->used || !(d = shadow_domain(s, c, WATCH_NPT, c->space, root)))
		return NULL;
	d->mode = other->mode;
	d->mode_key = other->mode_key;
	d->keeps_ad = true;
	note_root(s, d);
	return d;
}

static struct shadow_domain *current(struct shadows *s, struct cpu *c)
{
	struct shadow_cpu *sc = &s->cpu[c->index];

	if (sc->stage2_root != c->stage2_root || sc->space != c->space || !sc->current) {
		sc->current = find_current(s, c);
		sc->stage2_root = c->stage2_root;
		sc->space = c->space;
	}
	return sc->current;
}

static u8 final_access(const struct shadow_domain *d, unsigned access)
{
	u8 want = (u8)(access & (ACC_READ | ACC_WRITE | ACC_EXEC));

	return d->tables == WATCH_NPT ? want | WATCH_USER : want;
}

/* This processor had it in its TLB; another one may have walked, and knows the new entries as well. */
static void note_path(struct shadows *s, struct cpu *c, struct shadow_domain *d, u64 addr, u8 want)
{
	struct shadow_place p;

	if (shadow_walk(c, d, d->root, d->mode.rules.format->levels, addr, 0xff, &p) && !(want & ~p.rights))
		shadow_note(s, c, d, &(struct watch_walk){
		                         .tables = d->tables, .granted = true, .addr = addr, .step = p.step, .steps = p.steps});
}

static bool suspicious(struct cpu *c)
{
	const struct shadows *s = stale_of(c);

	return s && s->cpu[c->index].untold && c->stage2 && !s->off;
}

static bool used(struct cpu *c, la_t la, gpa_t gpa, unsigned access)
{
	struct shadows *s = stale_of(c);
	struct shadow_domain *d;

	if (!suspicious(c))
		return false;
	d = current(s, c);
	if (!d || !d->untold || !suspect(d, gpa))
		return false;

	u8 want = final_access(d, access);

	judge(s, c, d, &(struct stale_use){.addr = gpa, .access = want, .linear = la, .has_linear = true});
	note_path(s, c, d, gpa, want);
	return true;
}

/* ---- entries, flushes ---- */

void stale_entered(struct cpu *c)
{
	struct shadows *s = stale_of(c);
	struct shadow_cpu *sc = s ? &s->cpu[c->index] : NULL;

	if (!s)
		return;
	sc->entered = ++s->now;
	if (!c->stage2 || s->off)
		return;
	(void)current(s, c);
	if (sc->untold)
		mmu_hold_all(c);
}

static void flush_where(struct cpu *c, u8 tables, bool all, u16 asid, u64 root, const char *name)
{
	struct shadows *s = stale_of(c);

	for (struct shadow_domain *d = s ? s->cpu[c->index].domains : NULL; d; d = d->next)
		if (d->tables == tables && (all || (tables == WATCH_EPT ? d->root == root : d->asid == asid)))
			shadow_flush(s, d, name);
}

static void invept(struct cpu *c, u64 eptp, bool all)
{
	flush_where(c, WATCH_EPT, all, 0, eptp & mask(51, 12), all ? "INVEPT all-context" : "INVEPT single-context");
}

static void asid_flushed(struct cpu *c, u16 asid, bool all, const char *name)
{
	flush_where(c, WATCH_NPT, all, asid, 0, name);
}

/* RESET, not INIT. */
void stale_reset(struct cpu *c, bool init)
{
	struct shadows *s = stale_of(c);

	for (struct shadow_domain *d = s ? s->cpu[c->index].domains : NULL; d && !init; d = d->next)
		shadow_flush(s, d, "RESET");
}

/* What empties a whole TLB of AMD's. The guest's INVLPG and CR3 loads reach none of what the second stage's tables left:
 * "Operations that Need Not Invalidate Cached Mappings" (SDM 3C); ERRATA E261. */
static void emptied(struct cpu *c)
{
	asid_flushed(c, 0, true, "TLB flush");
}

void stale_ops(struct watch_ops *o)
{
	o->tables = (struct watch_tables_ops){
	        .walked = walked,
	        .suspicious = suspicious,
	        .used = used,
	        .used_directly = reach_used_directly,
	        .structures = reach_structures,
	        .emptied = emptied,
	        .invept = invept,
	        .asid_flushed = asid_flushed,
	};
}

enum status stale_init(struct sanitize *s)
{
	s->shadow = base_alloc(sizeof(*s->shadow));
	if (!s->shadow || shadow_init(s->shadow, s->bus, s->cpus, s->count) != ST_OK)
		return ST_NOMEM;
	return reach_init(s->shadow);
}

void stale_fini(struct sanitize *s)
{
	if (s->shadow) {
		shadow_fini(s->shadow);
		reach_fini(s->shadow);
	}
	base_free(s->shadow);
	s->shadow = NULL;
}
