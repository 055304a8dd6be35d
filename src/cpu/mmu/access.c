/*
 * Guest memory by linear address, out of line: what the L1 does not answer. Every page of an access is translated
 * before its first byte moves.
 */
#include "cpu/mmu/mmu_priv.h"

#include "cpu/apic/apic.h"
#include "cpu/mmu/mem.h"
#include "cpu/state/debug.h"
#include "cpu/state/time.h"
#include "cpu/state/watch.h"

/* "Canonical Addressing". Outside long mode linear addresses have 32 bits and wrap. */
static enum xr check_canonical(struct cpu *c, la_t la, u32 len, unsigned access)
{
	if (!(c->efer & EFER_LMA) || likely(is_canonical(la, c->la_bits) && is_canonical(la + len - 1, c->la_bits)))
		return XR_OK;
	return cpu_fault(c, (access & ACC_STACK) ? EX_SS : EX_GP, 0);
}

static la_t wrap(const struct cpu *c, la_t la)
{
	return (c->efer & EFER_LMA) ? la : (u32)la;
}

/* ---- debug registers: "Data Breakpoint Exception Conditions" ---- */
static void data_breakpoints(struct cpu *c, la_t la, u32 len, unsigned access)
{
	static const u8 lengths[4] = {1, 2, 8, 4};
	u64 hits = 0;

	if (likely(!(c->dr7 & 0xff)))
		return;
	for (unsigned n = 0; n < 4; n++) {
		unsigned rw = (c->dr7 >> (16 + 4 * n)) & 3, size = lengths[(c->dr7 >> (18 + 4 * n)) & 3];
		la_t at = c->dr[n] & ~(la_t)(size - 1);
		bool kind = rw == 3 || (rw == 1 && (access & ACC_WRITE));
		if (((c->dr7 >> (2 * n)) & 3) && kind && (at - la < len || la - at < size))
			hits |= BIT(n);
	}
	if (hits) {
		c->pending_db |= hits;
		cpu_raise(c, PEND_DB);
	}
}

/* ---- a debugger's, outside the machine ---- */
static cold void tell_debugger(struct cpu *c, const struct span *s, unsigned access)
{
	const unsigned use = (access & ACC_READ ? DEBUG_READ : 0) | (access & ACC_WRITE ? DEBUG_WRITE : 0);
	la_t la = s->la;

	for (unsigned n = 0; n < s->parts; la += s->part[n++].len)
		debug_access(c, la, s->part[n].pa, s->part[n].len, use);
}

/* ---- what is not RAM ---- */
static u64 apic_read(struct cpu *c, u32 offset, unsigned size)
{
	/* "Accessing the local APIC registers": 32-bit registers; other widths are undefined there and defined here as
	 * the bytes of the containing dwords. */
	if (size == 8)
		return apic_mmio_read(c, offset & ~3u) | (u64)apic_mmio_read(c, (offset & ~3u) + 4) << 32;
	return low_bytes((u64)apic_mmio_read(c, offset & ~3u) >> (8 * (offset & 3)), size);
}

static void apic_write(struct cpu *c, u32 offset, unsigned size, u64 v)
{
	if (size >= 4) {
		apic_mmio_write(c, offset & ~3u, (u32)v);
		if (size == 8)
			apic_mmio_write(c, (offset & ~3u) + 4, (u32)(v >> 32));
		return;
	}
	unsigned shift = 8 * (offset & 3);
	u64 field = (~0ull >> (64 - 8 * size)) << shift;
	u64 old = apic_mmio_read(c, offset & ~3u);
	apic_mmio_write(c, offset & ~3u, (u32)((old & ~field) | ((v << shift) & field)));
}

static void trace_apic(struct cpu *c, bool write, pa_t pa, unsigned size, u64 v)
{
	const struct hooks *h = c->bus->hooks;

	if (h && (h->trace & TRACE_MMIO) && h->io)
		h->io(h->arg, true, write, pa, size, v);
}

static u64 mmio_read(struct cpu *c, pa_t pa, unsigned size)
{
	u64 v;

	cpu_sync_time(c);
	if ((pa & PAGE_MASK) == mmu_apic_page(c)) {
		v = apic_read(c, (u32)(pa & ~PAGE_MASK), size);
		trace_apic(c, false, pa, size, v);
	} else {
		c->bus->who = cpu_as(c, BY_CPU);
		v = bus_mmio_read(c->bus, pa, size);
	}
	cpu_charge(c, c->model->cost.mmio);
	return v;
}

static void mmio_write(struct cpu *c, pa_t pa, unsigned size, u64 v)
{
	cpu_sync_time(c);
	if ((pa & PAGE_MASK) == mmu_apic_page(c)) {
		trace_apic(c, true, pa, size, v);
		apic_write(c, (u32)(pa & ~PAGE_MASK), size, v);
	} else {
		c->bus->who = cpu_as(c, BY_CPU);
		bus_mmio_write(c->bus, pa, size, v);
	}
	cpu_charge(c, c->model->cost.mmio);
}

/* The largest naturally aligned piece at the front of a range. */
static unsigned piece_at(pa_t pa, u32 len)
{
	unsigned n = 8;
	while (n > len || (pa & (n - 1)))
		n /= 2;
	return n;
}

/* ---- the bytes ---- */
static void part_read(struct cpu *c, const struct span_part *p, u32 off, u8 *buf, u32 len)
{
	pa_t pa = p->pa + off;

	if (likely(p->from)) {
		memcpy(buf, p->from + off, len);
		if (unlikely(c->watch))
			watch_page(c, p->from + off, pa, len, USE_READ);
		return;
	}
	while (len) {
		unsigned n = piece_at(pa, len);
		u64 v = mmio_read(c, pa, n);
		memcpy(buf, &v, n);
		buf += n, pa += n, len -= n;
	}
}

static void part_write(struct cpu *c, const struct span_part *p, u32 off, const u8 *buf, u32 len)
{
	pa_t pa = p->pa + off;

	if (likely(p->to)) {
		memcpy(p->to + off, buf, len);
		if (unlikely(*mem_flag(c->bus, p->to + off)))
			mem_written(c->bus, cpu_as(c, BY_CPU), p->to + off, pa, len);
		return;
	}
	while (len) {
		unsigned n = piece_at(pa, len);
		u64 v = 0;
		memcpy(&v, buf, n);
		mmio_write(c, pa, n, v);
		buf += n, pa += n, len -= n;
	}
}

void span_read(struct cpu *c, const struct span *s, u32 off, void *buf, u32 len)
{
	u8 *to = buf;

	for (unsigned n = 0; n < s->parts && len; n++) {
		const struct span_part *p = &s->part[n];
		if (off < p->len) {
			u32 now = (u32)min_u64(len, p->len - off);
			part_read(c, p, off, to, now);
			to += now, len -= now, off += now;
		}
		off -= p->len;
	}
}

void span_write(struct cpu *c, const struct span *s, u32 off, const void *buf, u32 len)
{
	const u8 *from = buf;

	for (unsigned n = 0; n < s->parts && len; n++) {
		const struct span_part *p = &s->part[n];
		if (off < p->len) {
			u32 now = (u32)min_u64(len, p->len - off);
			part_write(c, p, off, from, now);
			from += now, len -= now, off += now;
		}
		off -= p->len;
	}
}

/* ---- L1 ---- */
/* Filled by what the current context may do, whatever the access at hand was: an implicit supervisor access at CPL 3
 * leaves a user entry, or none. One host address: a page that is read and written at different places is cached for
 * one of them. */
static void fill_l1(struct cpu *c, la_t la, const struct xlate *x, const struct space_part *part)
{
	struct l1_contexts *h = c->l1_contexts;
	unsigned n = (unsigned)(la >> PAGE_SHIFT) % (1u << L1_BITS);
	bool r = part->uses & USE_READ, w = part->uses & USE_WRITE;

	if (c->ctx == CTX_NEVER)
		return;
	if (unlikely(c->debug) && debug_watches_page(c, la & PAGE_MASK, x->pa & PAGE_MASK))
		return;
	if (x->entry) {
		r = r && mmu_allowed(c, x->entry, ACC_READ);
		w = w && x->entry->dirty && mmu_allowed(c, x->entry, ACC_WRITE);
	}
	if (!r && !w)
		return;
	u64 tag = (la & PAGE_MASK) | c->ctx;
	u8 *host = space_host(part, x->pa);
	bool held = unlikely(c->watch) && ((*mem_flag(c->bus, host) & PAGE_GUARDED) || x->suspect);
	if (unlikely(c->watch)) {
		h->held[n] = r && held ? tag : 0;
		h->held_w[n] = w && x->suspect ? tag : 0;
	}
	c->l1[n] = (struct l1_entry){
	        .tag_r = r && !held ? tag : 0,
	        .tag_w = w && !x->suspect ? tag : 0,
	        .add = (uintptr_t)host - (uintptr_t)la,
	        .flag = mem_flag(c->bus, host),
	};
	h->page[n] = x->pa & PAGE_MASK;
	if (x->entry && x->entry->guest_shift > PAGE_SHIFT)
		bloom_put(&h->l1_large, la, x->entry->guest_shift);
}

/* Loads of this page are told from now on. What the L1 knows of it stays known: another walk might find another answer. */
cold void mmu_hold(struct cpu *c, const u8 *page)
{
	for (unsigned n = 0; n < 1u << L1_BITS; n++) {
		struct l1_entry *e = &c->l1[n];

		if (!e->tag_r || (const u8 *)((e->tag_r & PAGE_MASK) + e->add) != page)
			continue;
		c->l1_contexts->held[n] = e->tag_r;
		e->tag_r = 0;
	}
}

cold void mmu_hold_all(struct cpu *c)
{
	struct l1_contexts *h = c->l1_contexts;

	for (unsigned n = 0; n < 1u << L1_BITS; n++) {
		h->held[n] = c->l1[n].tag_r ? c->l1[n].tag_r : h->held[n];
		h->held_w[n] = c->l1[n].tag_w ? c->l1[n].tag_w : h->held_w[n];
		c->l1[n].tag_r = c->l1[n].tag_w = 0;
	}
	c->fetch_gen++; /* fetches ask again where their code is */
	c->block_mode_changed = 1;
}

/* An access to a held page: told, and quick from now on if nobody objects. */
static cold void use_held(struct cpu *c, la_t la, unsigned access, unsigned n)
{
	struct l1_contexts *h = c->l1_contexts;
	struct l1_entry *e = &c->l1[n];

	if (mmu_told(c, la, access))
		return;
	if (!(*e->flag & PAGE_GUARDED)) {
		e->tag_r = h->held[n];
		h->held[n] = 0;
	}
	e->tag_w = h->held_w[n];
	h->held_w[n] = 0;
}

static bool l1_part(struct cpu *c, la_t la, unsigned access, struct span_part *p)
{
	unsigned n = (unsigned)(la >> PAGE_SHIFT) % (1u << L1_BITS);
	const struct l1_entry *e = &c->l1[n];
	u64 tag = (la & PAGE_MASK) | c->ctx;

	const struct l1_contexts *h = c->l1_contexts;
	bool watch = unlikely(c->watch);

	if ((access & ACC_SUPER) || (e->tag_r != tag && !(watch && h->held[n] == tag)) ||
	    ((access & ACC_WRITE) && e->tag_w != tag && !(watch && h->held_w[n] == tag)))
		return false;
	if (watch && (h->held[n] || h->held_w[n]))
		use_held(c, la, access, n);
	p->pa = h->page[n] | (la & ~PAGE_MASK);
	p->from = p->to = (u8 *)(la + e->add);
	return true;
}

/* Where the bytes are. What is only read needs no place to be written to. */
static const struct space_part *find_memory(const struct cpu *c, unsigned access, struct span_part *p)
{
	const struct space_part *r = space_find(cpu_sees(c), p->pa, USE_READ), *w = r;

	if ((access & ACC_WRITE) && !(r && (r->uses & USE_WRITE)))
		w = space_find(cpu_sees(c), p->pa, USE_WRITE);
	p->from = r ? space_host(r, p->pa) : NULL;
	p->to = w ? space_host(w, p->pa) : NULL;
	return (access & ACC_WRITE) && w ? w : r;
}

static enum xr translate_part(struct cpu *c, la_t la, u32 len, unsigned access, struct span_part *p)
{
	struct xlate x;

	p->len = len;
	if (l1_part(c, la, access, p))
		return XR_OK;
	TRY(mmu_translate(c, la, access | ACC_LENGTH(len), &x));
	p->pa = x.pa;
	p->from = p->to = NULL;
	if (likely(!x.own)) {
		const struct space_part *part = find_memory(c, access, p);
		if (likely(part))
			fill_l1(c, la, &x, part);
	} else if (unlikely((x.pa & PAGE_MASK) == c->trap_page)) {
		TRY(c->virt->memory.page_trap(c, la, len, access, &p->pa));
		(void)find_memory(c, access, p);
	}
	return XR_OK;
}

static enum xr translate_span(struct cpu *c, la_t la, u32 len, unsigned access, struct span *s)
{
	u32 first = (u32)min_u64(len, PAGE_SIZE - (la & ~PAGE_MASK));

	s->la = la;
	s->len = len;
	s->access = (u8)access;
	s->parts = 0;
	if (!len)
		return XR_OK;
	TRY(check_canonical(c, la, len, access));
	if (unlikely(first != len))
		access |= ACC_CROSSES;
	TRY(translate_part(c, la, first, access, &s->part[0]));
	s->parts = 1;
	/* The stress knob: as if a page ended in the middle. A virtual APIC's registers are no memory either. */
	if (c->stress.split_access && first == len && len > 1 && s->part[0].from && c->trap_page == TRAP_PAGE_NONE)
		s->part[0].len = first = len / 2;
	if (first == len)
		return XR_OK;
	TRY(translate_part(c, wrap(c, la + first), len - first, access, &s->part[1]));
	s->parts = 2;
	return XR_OK;
}

enum xr mem_span(struct cpu *c, la_t la, u32 len, unsigned access, struct span *s)
{
	TRY(translate_span(c, la, len, access, s));
	data_breakpoints(c, la, len, access);
	if (unlikely(c->debug))
		tell_debugger(c, s, access);
	return XR_OK;
}

/* ---- scalars ---- */
static enum xr check_alignment(struct cpu *c, la_t la, unsigned size, unsigned access)
{
	return access & ACC_SUPER ? XR_OK : alignment_check(c, la, size, size);
}

#define CACHE_LINE 64u

/* "Bus Locking": a locked access that is split over two cache lines, or to memory that is not write-back. DEVIATION:
 * the MTRRs do not count, but what is not RAM is not write-back either. */
static enum xr note_lock(struct cpu *c, const struct span *s, la_t la, unsigned size)
{
	const struct tlb_entry *e = (c->cr0 & CR0_PG) || c->stage2 ? tlb_lookup(c, la) : NULL;
	bool write_back = !(c->cr0 & CR0_CD) && s->part[0].from && (!e || e->memtype == MT_WB);

	if (c->lock_watch == LOCK_BUS || (write_back && (la & (CACHE_LINE - 1)) + size <= CACHE_LINE))
		return XR_OK;
	c->lock_watch = LOCK_BUS;
	return c->lock_exits ? c->virt->guest.bus_lock(c) : XR_OK;
}

u64 mmu_watch_locks(struct cpu *c)
{
	u64 ctx = c->ctx;

	c->ctx = CTX_NEVER;
	c->lock_watch = LOCK_WATCHED;
	return ctx;
}

bool mmu_unwatch_locks(struct cpu *c, u64 ctx)
{
	bool seen = c->lock_watch == LOCK_BUS;

	c->lock_watch = LOCK_UNWATCHED;
	c->ctx = ctx == CTX_NEVER ? ctx : c->l1_contexts->ctx; /* a walk may have led to another context */
	if (unlikely(c->ctx != ctx))
		c->block_mode_changed = 1;
	return seen;
}

enum xr mmu_read_slow(struct cpu *c, la_t la, unsigned size, unsigned access, void *out)
{
	struct span s;

	TRY(check_alignment(c, la, size, access));
	TRY(translate_span(c, la, size, access, &s));
	if (unlikely(c->lock_watch))
		TRY(note_lock(c, &s, la, size));
	if (likely(s.parts == 1))
		part_read(c, &s.part[0], 0, out, size);
	else
		span_read(c, &s, 0, out, size);
	data_breakpoints(c, la, size, ACC_READ);
	if (unlikely(c->debug))
		tell_debugger(c, &s, ACC_READ);
	return XR_OK;
}

enum xr mmu_write_slow(struct cpu *c, la_t la, unsigned size, unsigned access, const void *in)
{
	struct span s;

	TRY(check_alignment(c, la, size, access));
	TRY(translate_span(c, la, size, access, &s));
	if (likely(s.parts == 1))
		part_write(c, &s.part[0], 0, in, size);
	else
		span_write(c, &s, 0, in, size);
	data_breakpoints(c, la, size, ACC_WRITE);
	if (unlikely(c->debug))
		tell_debugger(c, &s, ACC_WRITE);
	return XR_OK;
}

/* ---- instruction fetch ---- */
enum xr mmu_fetch(struct cpu *c, la_t la, struct fetch *f)
{
	struct l1_contexts *h = c->l1_contexts;
	la = wrap(c, la);
	struct fetch_entry *e = &h->fetch[(la >> PAGE_SHIFT) % FETCH_ENTRIES];
	u64 tag = (la & PAGE_MASK) | h->ctx;

	if (likely(e->tag == tag)) {
		if (unlikely(c->watch))
			(void)mmu_told(c, la, ACC_EXEC);
	} else {
		struct xlate x;
		u64 room;

		TRY(check_canonical(c, la, 1, 0));
		TRY(mmu_translate(c, la, ACC_EXEC, &x));
		if (unlikely((x.pa & PAGE_MASK) == c->trap_page))
			TRY(c->virt->memory.page_trap(c, la, 1, ACC_EXEC, &x.pa));
		/* The number may have changed: a two-entry TLB drops contexts as it evicts. */
		*e = (struct fetch_entry){.tag = (la & PAGE_MASK) | h->ctx, .page = x.pa & PAGE_MASK};
		e->host = x.own ? NULL : space_memory(cpu_sees(c), e->page, USE_FETCH, &room);
		if (unlikely(c->watch) && e->host)
			watch_page(c, e->host, x.pa, 1, USE_FETCH);
		if (x.entry && x.entry->guest_shift > PAGE_SHIFT)
			bloom_put(&h->l1_large, la, x.entry->guest_shift);
	}
	f->pa = e->page | (la & ~PAGE_MASK);
	f->host = e->host ? e->host + (la & ~PAGE_MASK) : NULL;
	return XR_OK;
}
