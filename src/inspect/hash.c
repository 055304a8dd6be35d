/*
 * The state hash: registers, devices, the clock, and the content of RAM. Two runs of the same command have equal hashes
 * after equal numbers of instructions. RAM counts by content alone (a page of zeros as one never written), and each
 * page is hashed again only after a store to it, so that a hash every million instructions is affordable.
 */
#include "base/hostmem.h"
#include "inspect/parts.h"

static u64 hash_cpu(u64 h, struct cpu *c)
{
	flags_set(c, flags_get(c)); /* lazy flags are not state until materialised */
	h = state_hash(h, cpu_rows, cpu_row_count, c);
	h = state_hash(h, apic_rows, apic_row_count, &c->apic);
	if (c->virt->life.row_count)
		h = state_hash(h, c->virt->life.rows, c->virt->life.row_count, c->virt_state);
	return h;
}

/* As if nobody had ever written there. */
static bool all_blank(const u8 *p, u16 blank)
{
	return !memcmp(p, &blank, sizeof(blank)) && !memcmp(p, p + sizeof(blank), PAGE_SIZE - sizeof(blank));
}

static void hash_page(struct hashes *h, const struct bus *b, const struct mem_block *m, u16 blank, u64 page)
{
	const u8 *p = b->memory + m->offset + (page << PAGE_SHIFT);
	u64 pa = m->base + (page << PAGE_SHIFT), *slot = &h->page[(m->offset >> PAGE_SHIFT) + page];
	u64 v = all_blank(p, blank) ? 0 : state_mix(state_mix(0, &pa, sizeof(pa)), p, PAGE_SIZE);

	h->sum += v - *slot; /* a sum does not care which page changed first */
	*slot = v;
	*mem_flag(b, p) |= PAGE_CLEAN;
}

static void hash_block(struct hashes *h, const struct bus *b, const struct mem_block *m, u16 blank)
{
	const u64 clean = PAGE_CLEAN * 0x0101010101010101ull;
	const u8 *flags = mem_flag(b, b->memory + m->offset);
	u64 pages = m->size >> PAGE_SHIFT, w;

	for (u64 page = 0; page < pages; page++) {
		if (is_aligned(page, 8) && pages - page >= 8) {
			memcpy(&w, flags + page, 8);
			if ((w & clean) == clean) {
				page += 7;
				continue;
			}
		}
		if (!(flags[page] & PAGE_CLEAN))
			hash_page(h, b, m, blank, page);
	}
}

/* Devices' memory, at addresses that nothing else has. */
static void hash_aside(struct hashes *h, const struct bus *b, const struct mem_aside *a)
{
	const struct mem_block m = {.base = BIT(52) | a->offset, .size = a->size, .offset = a->offset};

	hash_block(h, b, &m, a->blank);
}

/* false: out of memory. */
static bool hash_ready(struct hashes *h, const struct bus *b)
{
	if (!h->page) {
		h->pages = b->memory_size >> PAGE_SHIFT;
		h->page = hostmem_filled(0, h->pages * sizeof(*h->page));
	}
	return h->page != NULL;
}

void hash_free(struct hashes *h)
{
	if (h->page)
		hostmem_unmap(h->page, h->pages * sizeof(*h->page));
	*h = (struct hashes){0};
}

u64 inspect_hash(struct inspect *i)
{
	struct machine *m = i->m;
	u64 h = state_mix(0, &m->clock.now, sizeof(m->clock.now));

	if (!hash_ready(&i->hashes, &m->bus))
		return 0;
	for (unsigned k = 0; k < m->count; k++)
		h = hash_cpu(h, m->cpus[k]);
	h = state_hash(h, machine_rows, machine_row_count, m);
	for (struct device *d = m->devices; d; d = d->next) {
		if (d->ops->untouched && d->ops->untouched(d))
			continue;
		h = state_hash(h, d->ops->rows, d->ops->row_count, d);
		if (d->ops->extra_hash)
			h = d->ops->extra_hash(d, h);
	}
	for (unsigned k = 0; k < m->bus.blocks; k++)
		if (!m->bus.block[k].rom)
			hash_block(&i->hashes, &m->bus, &m->bus.block[k], 0);
	for (unsigned k = 0; k < m->bus.asides; k++)
		hash_aside(&i->hashes, &m->bus, &m->bus.aside[k]);
	return state_mix(h, &i->hashes.sum, sizeof(i->hashes.sum));
}
