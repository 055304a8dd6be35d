/*
 * --explain=all: who wrote each word of memory last. Every page has a flag that makes stores go where observers are told.
 * A word of eight bytes has one of eight: when (an instruction's number) and by what (a site: an instruction of a
 * processor, or one of the others that write). A page's words get theirs when the first of them is written, so that the
 * cost is as much memory again as the machine writes, and a site for each different instruction that stores.
 */
#include "base/hostmem.h"
#include "inspect/parts.h"

enum { WORDS = PAGE_SIZE / 8, SITE_BITS = 20, SITES = 1 << SITE_BITS };

/* Who wrote, without when. */
struct site {
	u64 rip; /* linear; 0 where no instruction did */
	struct initiator who;
	bool used;
};

struct writers {
	struct machine *m;
	struct observer stores;
	u64 **page; /* by place in the memory file; NULL: nothing was written there */
	u64 pages;
	struct site *site; /* hashed, open addressing; number 0 is nobody */
	u32 used;
};

/* ---- sites ---- */

static bool same_site(const struct site *a, const struct site *b)
{
	return a->rip == b->rip && a->who.by == b->who.by && a->who.id == b->who.id && a->who.smm == b->who.smm;
}

/* The site's number; 0: there is no room for another one. */
static u32 site_of(struct writers *w, const struct site *s)
{
	u64 h = (s->rip ^ (u64)s->who.by << 56 ^ (u64)s->who.id << 40) * 0x9e3779b97f4a7c15ull;
	u32 n = (u32)(h >> (64 - SITE_BITS));

	while (!n || (w->site[n].used && !same_site(&w->site[n], s)))
		n = (n + 1) % SITES;
	if (w->site[n].used)
		return n;
	if (w->used >= SITES / 2)
		return 0;
	w->used++;
	w->site[n] = *s;
	return n;
}

/* ---- what is told of stores ---- */

/* Accessed and dirty bits say nothing of who made an entry; of a VMCB that a #VMEXIT wrote as a whole, the vendor knows
 * which fields it saved, and the others are still whoever's they were. */
static bool counts(const struct written *at)
{
	return at->who.by != BY_WALK && !(at->who.by == BY_VIRT && at->len == PAGE_SIZE);
}

static void word_written(void *arg, const struct written *at)
{
	struct writers *w = arg;
	const bool processor = at->who.by == BY_CPU || at->who.by == BY_VIRT;
	struct cpu *c = processor ? w->m->cpus[at->who.id] : NULL;
	const struct site s = {.rip = c ? linear_rip(c, rip_now(c)) : 0, .who = at->who, .used = true};
	u64 place = mem_place(&w->m->bus, at->host), **page = &w->page[place >> PAGE_SHIFT];
	u64 insn = c ? insn_number(c) : machine_insns(w->m);

	if (!*page && counts(at))
		*page = base_alloc(WORDS * sizeof(**page));
	if (!*page || !counts(at))
		return;
	u64 value = insn << SITE_BITS | site_of(w, &s);
	unsigned first = (unsigned)(place / 8 % WORDS), last = (unsigned)((place + at->len - 1) / 8 % WORDS);
	for (unsigned n = first; n <= last; n++)
		(*page)[n] = value;
}

bool writers_find(const struct writers *w, u64 pa, struct origin *out)
{
	static const char *const name[] = {
	        [BY_VIRT] = "stored by the processor itself",
	        [BY_DEVICE] = "stored by a device's DMA", [BY_LOADER] = "stored before the first instruction",
	        [BY_DEBUGGER] = "stored from outside",
	};
	const u8 *host = bus_memory(&w->m->bus, pa);
	u64 place = host ? mem_place(&w->m->bus, host) : 0;
	const u64 *page = host ? w->page[place >> PAGE_SHIFT] : NULL;
	u64 value = page ? page[place / 8 % WORDS] : 0;

	if (!(value % SITES))
		return false;
	const struct site *s = &w->site[value % SITES];
	*out = (struct origin){.kind = ORIGIN_STORE,
	                       .cpu = s->who.by == BY_DEVICE ? 0 : (u8)s->who.id,
	                       .placed = s->rip != 0,
	                       .rip = s->rip,
	                       .insn = value >> SITE_BITS,
	                       .code = s->who.by == BY_DEVICE ? s->who.id : 0,
	                       .name = s->who.by == BY_CPU ? NULL : name[s->who.by]};
	return true;
}

/* ---- life ---- */

enum status writers_new(struct writers **out, struct machine *m, struct err *err)
{
	struct writers *w = base_alloc(sizeof(*w));

	if (!w)
		return err_set(err, ST_NOMEM, "out of memory");
	w->m = m;
	w->pages = m->bus.memory_size >> PAGE_SHIFT;
	w->page = hostmem_filled(0, w->pages * sizeof(*w->page));
	w->site = hostmem_filled(0, SITES * sizeof(*w->site));
	if (!w->page || !w->site) {
		writers_free(w);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	for (u64 n = 0; n < w->pages; n++)
		m->bus.memory_flags[n] |= PAGE_KEPT;
	w->stores = (struct observer){.pages = PAGE_KEPT, .written = word_written, .arg = w};
	bus_observe(&m->bus, &w->stores);
	*out = w;
	return ST_OK;
}

void writers_free(struct writers *w)
{
	if (!w)
		return;
	if (w->stores.written)
		bus_unobserve(&w->m->bus, &w->stores);
	for (u64 n = 0; w->page && n < w->pages; n++)
		base_free(w->page[n]);
	if (w->page)
		hostmem_unmap(w->page, w->pages * sizeof(*w->page));
	if (w->site)
		hostmem_unmap(w->site, SITES * sizeof(*w->site));
	base_free(w);
}
