/*
 * The architectural TLB (L2), the context numbers of the L1, and the flushes.
 *
 * No flush scans anything it can avoid. Every entry remembers the epoch of its birth; a flush of everything, a space or
 * a PCID writes down the epoch before which such entries are dead. The epochs of the current (space, pcid) are part of
 * the key that stands behind an L1 context number, so that the same step makes the L1 copies unreachable, in every
 * context they were made in.
 */
#include "cpu/mmu/mmu_priv.h"

#include "cpu/state/watch.h"

u16 tlb_current_pcid(const struct cpu *c)
{
	if (!(c->cr0 & CR0_PG))
		return PCID_UNPAGED;
	return (c->cr4 & CR4_PCIDE) ? (u16)(c->cr3 & 0xfff) : 0;
}

/* ---- epochs ---- */
static u32 pcid_key(u16 space, u16 pcid)
{
	return ((u32)space << 13 | pcid) + 1;
}

static struct pcid_flush *pcid_slot(struct l1_contexts *h, u32 key)
{
	return &h->pcid_flush[(key * 0x9e3779b1u) >> 22];
}

static u64 epoch_all(const struct l1_contexts *h, u16 space)
{
	return max_u64(h->flushed_everything, h->flushed_all[space]);
}

static u64 epoch_some(struct l1_contexts *h, u16 space, u16 pcid)
{
	u64 e = max_u64(epoch_all(h, space), h->flushed_local[space]);
	u32 key = pcid_key(space, pcid);
	const struct pcid_flush *p = pcid_slot(h, key);
	return p->key == key ? max_u64(e, p->epoch) : e;
}

/* ---- contexts ---- */
/* What decides of the registers, each bit where its register has it; bits 3:0 are for the rest. */
#define SIGNATURE_CR4  (CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_LA57 | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE)
#define SIGNATURE_CR0  (CR0_PG | CR0_WP)
#define SIGNATURE_EFER (EFER_LMA | EFER_NXE)
#define SIGNATURE_SMM  BIT(8)
_Static_assert(!(SIGNATURE_CR4 & SIGNATURE_CR0) && !((SIGNATURE_CR4 | SIGNATURE_CR0) & SIGNATURE_EFER) &&
                       !((SIGNATURE_CR4 | SIGNATURE_CR0 | SIGNATURE_EFER) & (SIGNATURE_SMM | 15)),
               "bits meet");

static u32 signature(const struct cpu *c)
{
	bool user = c->cpl == 3;
	bool smap_blocks = !user && (c->cr4 & CR4_SMAP) && !(c->rflags & FL_AC);
	u64 s = (c->cr4 & SIGNATURE_CR4) | (c->cr0 & SIGNATURE_CR0) | (c->efer & SIGNATURE_EFER);

	return (u32)s | (user ? 1u : 0) | (smap_blocks ? 2u : 0) | (c->stage2 ? 4u : 0) | (cpu_a20_masked(c) ? 8u : 0) |
	       (c->smm ? SIGNATURE_SMM : 0);
}

static struct ctx_key current_key(struct cpu *c)
{
	struct l1_contexts *h = c->l1_contexts;
	u16 space = c->space, pcid = tlb_current_pcid(c);

	return (struct ctx_key){
	        .epoch_all = epoch_all(h, space),
	        .epoch_some = epoch_some(h, space, pcid),
	        /* two pages in one word: page numbers leave bits 12:0 */
	        .apic = mmu_apic_page(c) ^ (~c->trap_page << 1),
	        .view = signature(c) | (u64)(c->cr4 & CR4_PKE ? c->pkru : 0) << 32,
	        .where = space | (u64)pcid << 16 | (u64)(h->l1_gen + cpu_sees(c)->generation) << 32,
	};
}

static bool same_key(const struct ctx_key *a, const struct ctx_key *b)
{
	return !((a->where ^ b->where) | (a->epoch_some ^ b->epoch_some) | (a->epoch_all ^ b->epoch_all) |
	         (a->view ^ b->view) | (a->apic ^ b->apic));
}

static unsigned hash_key(const struct ctx_key *k)
{
	const u64 w[] = {k->epoch_all, k->epoch_some, k->apic, k->view, k->where};
	u64 x = 0;

	for (unsigned i = 0; i < ARRAY_LEN(w); i++)
		x = (x ^ w[i]) * 0x9e3779b97f4a7c15ull, x ^= x >> 29;
	return (unsigned)(x >> 40) % CTX_HASH;
}

static void forget_contexts(struct cpu *c)
{
	struct l1_contexts *h = c->l1_contexts;

	memset(c->l1, 0, sizeof(c->l1));
	memset(h->held, 0, sizeof(h->held));
	memset(h->held_w, 0, sizeof(h->held_w));
	memset(h->fetch, 0, sizeof(h->fetch));
	memset(h->bucket, 0, sizeof(h->bucket));
	memset(&h->l1_large, 0, sizeof(h->l1_large));
	h->used = 0;
	h->recent[0].valid = h->recent[1].valid = false;
	c->fetch_gen++;
}

static u16 intern(struct cpu *c, const struct ctx_key *k)
{
	struct l1_contexts *h = c->l1_contexts;
	unsigned b = hash_key(k);

	for (u16 n = h->bucket[b]; n; n = h->slot[n].next)
		if (same_key(&h->slot[n].key, k))
			return n;
	if (h->used == CTX_MAX)
		forget_contexts(c);
	u16 n = ++h->used;
	h->slot[n] = (struct ctx_slot){.key = *k, .next = h->bucket[b]};
	h->bucket[b] = n;
	return n;
}

/* What must see every access: data breakpoints ("Debug Control Register (DR7)"), "Alignment Checking", and a knob. */
static bool sees_every_access(const struct cpu *c)
{
	if (c->stress.split_access)
		return true;
	if (c->cpl == 3 && (c->cr0 & CR0_AM) && (c->rflags & FL_AC))
		return true;
	if (likely(!(c->dr7 & 0xff)))
		return false;
	for (unsigned n = 0; n < 4; n++)
		if (((c->dr7 >> (2 * n)) & 3) && ((c->dr7 >> (16 + 4 * n)) & 1)) /* R/Wn is 01b or 11b */
			return true;
	return false;
}

static bool is_context(const struct recent_ctx *r, const struct ctx_key *k)
{
	return r->valid && same_key(&r->key, k);
}

void mmu_update_context(struct cpu *c)
{
	struct l1_contexts *h = c->l1_contexts;
	struct ctx_key k = current_key(c);
	u64 before = c->ctx;

	if (!is_context(&h->recent[h->now], &k)) {
		struct recent_ctx *other = &h->recent[h->now ^= 1];

		if (!is_context(other, &k)) {
			u64 ctx = intern(c, &k);
			*other = (struct recent_ctx){.key = k, .ctx = ctx, .valid = true};
		}
		h->ctx = other->ctx;
	}
	c->ctx = sees_every_access(c) ? CTX_NEVER : h->ctx;
	if (c->ctx != before)
		c->block_mode_changed = 1;
}

static void see(struct cpu *c, bool smm)
{
	struct l1_contexts *h = c->l1_contexts;
	const struct space *s = &c->bus->space[smm ? SPACE_SMM : SPACE_CPU];

	c->seen[smm] = s;
	if (likely(!h->own[smm].veils))
		return;
	bus_veil(c->bus, s, h->own[smm].veil, h->own[smm].veils, &h->own[smm].seen);
	c->seen[smm] = &h->own[smm].seen;
}

void mmu_veil(struct cpu *c, bool smm, const struct space_veil *veil, unsigned veils)
{
	struct l1_contexts *h = c->l1_contexts;

	if (!veils && !h->own[smm].veils)
		return;
	memcpy(h->own[smm].veil, veil, veils * sizeof(*veil));
	h->own[smm].veils = veils;
	see(c, smm);
	mmu_update_context(c);
	c->block_mode_changed = 1;
}

/* What was translated stays; the numbers under which the computer's pointers are found do not. */
static void remapped(void *arg)
{
	struct cpu *c = arg;

	see(c, false);
	see(c, true);
	mmu_update_context(c);
	c->block_mode_changed = 1;
}

void tlb_set_space(struct cpu *c, u16 space)
{
	c->space = space;
	mmu_update_context(c);
}

/* ---- lookup and fill ---- */
static unsigned small_set(const struct cpu *c, u64 vpn, u16 space)
{
	return c->stress.tiny_tlb ? 0 : (unsigned)(vpn ^ space * 37u) % TLB_SETS;
}

static unsigned large_set(u64 vpn, u16 space)
{
	return (unsigned)(vpn ^ space * 5u) % ARRAY_LEN(((struct tlb *)0)->large);
}

static bool usable(const struct tlb_entry *e, const struct ctx_key *k, u64 vpn, unsigned shift)
{
	if (e->vpn != vpn || !e->valid || e->page_shift != shift || e->space != key_space(k))
		return false;
	if (e->global && key_pcid(k) != PCID_UNPAGED)
		return e->born >= k->epoch_all;
	return e->pcid == key_pcid(k) && e->born >= k->epoch_some;
}

static struct tlb_entry *find(struct cpu *c, la_t la)
{
	struct l1_contexts *h = c->l1_contexts;
	struct tlb_entry *set = c->tlb.small[small_set(c, la >> PAGE_SHIFT, c->space)];

	for (unsigned w = 0; w < TLB_WAYS; w++)
		if (usable(&set[w], current_context(h), la >> PAGE_SHIFT, PAGE_SHIFT))
			return &set[w];
	for (u32 sizes = h->large_sizes; sizes; sizes &= sizes - 1) {
		unsigned shift = (unsigned)__builtin_ctz(sizes);
		set = c->tlb.large[large_set(la >> shift, c->space)];
		for (unsigned w = 0; w < TLB_WAYS; w++)
			if (usable(&set[w], current_context(h), la >> shift, shift))
				return &set[w];
	}
	return NULL;
}

const struct tlb_entry *tlb_lookup(struct cpu *c, la_t la)
{
	return find(c, la);
}

static void drop_l1(struct cpu *c)
{
	struct l1_contexts *h = c->l1_contexts;

	h->l1_gen++;
	memset(&h->l1_large, 0, sizeof(h->l1_large));
	mmu_update_context(c);
}

static bool is_dead(const struct tlb_entry *e, const struct ctx_key *k)
{
	if (!e->valid)
		return true;
	if (e->space != key_space(k))
		return false;
	return e->born < (!e->global && e->pcid == key_pcid(k) ? k->epoch_some : k->epoch_all);
}

bool mmu_tlb_at(const struct cpu *c, size_t n, struct tlb_entry *e)
{
	const size_t small = TLB_SETS * (size_t)TLB_WAYS, large = ARRAY_LEN(c->tlb.large) * TLB_WAYS;

	if (n >= small + large)
		return false;
	*e = n < small ? c->tlb.small[n / TLB_WAYS][n % TLB_WAYS]
	               : c->tlb.large[(n - small) / TLB_WAYS][(n - small) % TLB_WAYS];
	e->valid = e->valid && e->born >= (e->global ? epoch_all(c->l1_contexts, e->space)
	                                             : epoch_some(c->l1_contexts, e->space, e->pcid));
	return true;
}

void mmu_forget_pointers(struct cpu *c)
{
	drop_l1(c);
}

/* Where a new entry goes: into a free or dead way, else round robin. */
static struct tlb_entry *victim(const struct ctx_key *k, struct tlb_entry *set, unsigned ways, u8 *next)
{
	for (unsigned w = 0; w < ways; w++)
		if (is_dead(&set[w], k))
			return &set[w];
	*next = (u8)((*next + 1u) % ways);
	return &set[*next];
}

const struct tlb_entry *tlb_insert(struct cpu *c, la_t la, struct tlb_entry *e, bool cached)
{
	struct l1_contexts *h = c->l1_contexts;
	struct tlb_entry *slot = cached ? find(c, la) : NULL;

	if (slot)
		slot->valid = false; /* a re-walk may come back with another page size */
	if (c->stress.tiny_tlb && e->page_shift > PAGE_SHIFT) {
		u64 inside = la & (BIT(e->page_shift) - 1) & PAGE_MASK;
		e->pfn += inside >> PAGE_SHIFT;
		e->gpa += inside;
		e->page_shift = PAGE_SHIFT;
	}
	e->vpn = la >> e->page_shift;
	e->space = key_space(current_context(h));
	e->pcid = key_pcid(current_context(h));
	e->born = h->epoch;
	e->valid = true;
	if (e->guest_shift > e->page_shift)
		bloom_put(&h->l2_pieces, la, e->guest_shift);
	if (e->page_shift == PAGE_SHIFT) {
		unsigned s = small_set(c, e->vpn, e->space);
		slot = victim(current_context(h), c->tlb.small[s], c->stress.tiny_tlb ? 2 : TLB_WAYS, &c->tlb.small_next[s]);
	} else {
		unsigned s = large_set(e->vpn, e->space);
		h->large_sizes |= 1u << e->page_shift;
		slot = victim(current_context(h), c->tlb.large[s], TLB_WAYS, &c->tlb.large_next[s]);
	}
	if (c->stress.tiny_tlb && slot->valid)
		drop_l1(c); /* or the L1 would hide how small the TLB is */
	*slot = *e;
	return slot;
}

/* ---- flushes ---- */
static void flush_everything(struct cpu *c)
{
	struct l1_contexts *h = c->l1_contexts;

	c->tlb.count.flushes_all++;
	h->flushed_everything = ++h->epoch;
	h->large_sizes = 0;
	memset(&h->l2_pieces, 0, sizeof(h->l2_pieces));
	memset(&h->l1_large, 0, sizeof(h->l1_large));
	mmu_update_context(c);
}

void tlb_flush_all(struct cpu *c)
{
	if (unlikely(c->watch))
		c->watch->tables.emptied(c);
	flush_everything(c);
}

void tlb_flush_space(struct cpu *c, u16 space, bool keep_global)
{
	struct l1_contexts *h = c->l1_contexts;

	c->tlb.count.flushes_space++;
	*(keep_global ? &h->flushed_local[space] : &h->flushed_all[space]) = ++h->epoch;
	if (space == c->space)
		mmu_update_context(c);
}

static void for_each_entry(struct cpu *c, bool (*dead)(const struct tlb_entry *e, const void *arg), const void *arg)
{
	struct tlb_entry *small = &c->tlb.small[0][0], *large = &c->tlb.large[0][0];

	for (size_t i = 0; i < sizeof(c->tlb.small) / sizeof(*small); i++)
		if (small[i].valid && dead(&small[i], arg))
			small[i].valid = false;
	for (size_t i = 0; i < sizeof(c->tlb.large) / sizeof(*large); i++)
		if (large[i].valid && dead(&large[i], arg))
			large[i].valid = false;
}

struct victimise {
	u16 space, pcid;
	bool any_pcid, globals;
	la_t la;
};

static bool is_global_of_pcid(const struct tlb_entry *e, const void *arg)
{
	const struct victimise *v = arg;
	return e->global && e->space == v->space && e->pcid == v->pcid;
}

void tlb_flush_pcid(struct cpu *c, u16 space, u16 pcid, bool keep_global)
{
	struct l1_contexts *h = c->l1_contexts;
	u32 key = pcid_key(space, pcid);
	struct pcid_flush *p = pcid_slot(h, key);

	c->tlb.count.flushes_space++;
	if (p->key && p->key != key) {
		/* The slot is needed: widen the older flush to all PCIDs of its space, which is always allowed
		 * ("Operations that Invalidate TLBs and Paging-Structure Caches": more may go than is asked). */
		u16 old = (u16)((p->key - 1) >> 13);
		h->flushed_local[old] = max_u64(h->flushed_local[old], p->epoch);
	}
	*p = (struct pcid_flush){.key = key, .epoch = ++h->epoch};
	if (!keep_global) {
		struct victimise v = {.space = space, .pcid = pcid};
		for_each_entry(c, is_global_of_pcid, &v);
		drop_l1(c);
	}
	if (space == c->space)
		mmu_update_context(c);
}

static bool selected(const struct tlb_entry *e, const struct victimise *v)
{
	if (e->space != v->space)
		return false;
	if (e->global)
		return v->globals;
	return v->any_pcid || e->pcid == v->pcid || e->pcid == PCID_UNPAGED;
}

static bool is_piece(const struct tlb_entry *e, const void *arg)
{
	const struct victimise *v = arg;
	return e->guest_shift > e->page_shift &&
	       (e->vpn << e->page_shift) >> e->guest_shift == v->la >> e->guest_shift && selected(e, v);
}

static void drop_from_set(struct tlb_entry *set, const struct victimise *v, unsigned shift)
{
	for (unsigned w = 0; w < TLB_WAYS; w++)
		if (set[w].valid && set[w].page_shift == shift && set[w].vpn == v->la >> shift && selected(&set[w], v))
			set[w].valid = false;
}

static bool any_large(const struct bloom *b, la_t la)
{
	return bloom_has(b, la, 21) || bloom_has(b, la, 22) || bloom_has(b, la, 30);
}

/* "INVLPG ... if the page is larger than 4 KBytes and there are multiple TLB entries for it, all of them". */
static void flush_page(struct cpu *c, const struct victimise *v)
{
	struct l1_contexts *h = c->l1_contexts;

	c->tlb.count.flushes_page++;
	drop_from_set(c->tlb.small[small_set(c, v->la >> PAGE_SHIFT, v->space)], v, PAGE_SHIFT);
	for (u32 sizes = h->large_sizes; sizes; sizes &= sizes - 1) {
		unsigned shift = (unsigned)__builtin_ctz(sizes);
		drop_from_set(c->tlb.large[large_set(v->la >> shift, v->space)], v, shift);
	}
	if (any_large(&h->l2_pieces, v->la))
		for_each_entry(c, is_piece, v);
	/* L1 and fetch cache are direct-mapped by linear page: one slot holds it, whichever context filled it. */
	c->l1[(v->la >> PAGE_SHIFT) % (1u << L1_BITS)] = (struct l1_entry){.tag_r = 0};
	h->held[(v->la >> PAGE_SHIFT) % (1u << L1_BITS)] = h->held_w[(v->la >> PAGE_SHIFT) % (1u << L1_BITS)] = 0;
	struct fetch_entry *f = &h->fetch[(v->la >> PAGE_SHIFT) % FETCH_ENTRIES];
	if (!((f->tag ^ v->la) & PAGE_MASK)) /* another page's stays: how often that is looked up is nobody's accident */
		f->tag = 0;
	c->fetch_gen++;
	if (any_large(&h->l1_large, v->la))
		drop_l1(c);
}

void tlb_flush_page(struct cpu *c, u16 space, u16 pcid, la_t la, bool globals_too)
{
	struct victimise v = {.space = space, .pcid = pcid, .globals = globals_too, .la = la};
	flush_page(c, &v);
}

void tlb_flush_page_any_pcid(struct cpu *c, u16 space, la_t la)
{
	struct victimise v = {.space = space, .any_pcid = true, .globals = true, .la = la};
	flush_page(c, &v);
}

/* Entries of the whole TLB, one by one: for what no epoch and no set can name. */
static bool is_match(const struct tlb_entry *e, const void *arg)
{
	const struct tlb_match *m = arg;
	unsigned shift = e->guest_shift > e->page_shift ? e->guest_shift : e->page_shift;
	bool page = m->any_page || (e->vpn << e->page_shift) >> shift == m->la >> shift;

	if (!page || (!m->any_space && e->space != m->space))
		return false;
	return e->global ? m->globals : m->any_pcid || e->pcid == m->pcid || e->pcid == PCID_UNPAGED;
}

void tlb_flush_matching(struct cpu *c, const struct tlb_match *m)
{
	struct victimise v = {
	        .space = m->space, .pcid = m->pcid, .any_pcid = m->any_pcid, .globals = m->globals, .la = m->la};

	if (!m->any_space && !m->any_page) {
		flush_page(c, &v);
	} else if (!m->any_space && m->any_pcid) {
		tlb_flush_space(c, m->space, !m->globals);
	} else if (!m->any_space && !m->globals) {
		tlb_flush_pcid(c, m->space, m->pcid, true);
	} else if (m->any_space && m->any_pcid && m->any_page && m->globals) {
		flush_everything(c);
	} else {
		for_each_entry(c, is_match, m);
		drop_l1(c);
	}
}

enum status mmu_init(struct cpu *c)
{
	struct l1_contexts *h = base_alloc(sizeof(*h));

	if (!h)
		return ST_NOMEM;
	c->l1_contexts = h;
	h->flushed_all = base_alloc(sizeof(u64) << 16);
	h->flushed_local = base_alloc(sizeof(u64) << 16);
	if (!h->flushed_all || !h->flushed_local) {
		mmu_fini(c);
		return ST_NOMEM;
	}
	c->trap_page = TRAP_PAGE_NONE;
	see(c, false);
	see(c, true);
	h->maps = (struct observer){.remapped = remapped, .arg = c};
	bus_observe(c->bus, &h->maps);
	mmu_update_context(c);
	return ST_OK;
}

void mmu_fini(struct cpu *c)
{
	struct l1_contexts *h = c->l1_contexts;

	if (!h)
		return;
	bus_unobserve(c->bus, &h->maps);
	base_free(h->flushed_all);
	base_free(h->flushed_local);
	base_free(h);
	c->l1_contexts = NULL;
}
