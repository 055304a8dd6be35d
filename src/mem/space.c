/*
 * What a space shows where. Blocks of memory and overlays are cut at each other's ends; between two cuts the answer is
 * one for each use, and equal neighbours become one part.
 */
#include "mem/mem_priv.h"

#include <stdlib.h>

#define CUTS (2 * (MEM_BLOCKS + OVERLAYS))

/* ---- where an access goes ---- */

/* What lies at addresses between two cuts. */
struct layers {
	u64 base, size;
	const struct mem_block *ram, *rom;          /* or NULL */
	const struct space_overlay *over[OVERLAYS]; /* that which wins first */
	unsigned overs;
};

static const struct mem_block *block_at(const struct bus *b, u64 pa, bool rom)
{
	for (unsigned n = 0; n < b->blocks; n++)
		if (b->block[n].rom == rom && pa - b->block[n].base < b->block[n].size)
			return &b->block[n];
	return NULL;
}

static void find_layers(const struct bus *b, u64 base, u64 size, struct layers *l)
{
	l->base = base;
	l->size = size;
	l->ram = block_at(b, base, false);
	l->rom = block_at(b, base, true);
	l->overs = 0;
	for (unsigned n = b->overlays; n--;)
		if (base - b->overlay[n]->base < b->overlay[n]->size)
			l->over[l->overs++] = b->overlay[n];
}

static u8 *in_block(const struct bus *b, const struct mem_block *m, u64 pa)
{
	return m ? b->memory + m->offset + (pa - m->base) : NULL;
}

/* What a device shows of its memory there. NULL: nothing. */
static u8 *device_memory(const struct bus *b, const struct layers *l, unsigned space, unsigned use)
{
	for (unsigned n = 0; n < l->overs; n++)
		if (l->over[n]->device && (l->over[n]->to[space].memory & use))
			return b->memory + l->over[n]->memory + (l->base - l->over[n]->base);
	return NULL;
}

/* NULL: no memory. */
static u8 *destination(const struct bus *b, const struct layers *l, unsigned space, unsigned use)
{
	bool outside = l->rom != NULL;
	u8 *host;

	for (unsigned n = 0; n < l->overs; n++) {
		const struct space_overlay *o = l->over[n];
		if (o->device)
			continue;
		if (o->to[space].memory & use)
			return b->memory + o->memory + (l->base - o->base);
		if (o->to[space].outside & use) {
			outside = true;
			break;
		}
	}
	if (!outside && l->ram)
		return in_block(b, l->ram, l->base);
	host = device_memory(b, l, space, use);
	return host || use == USE_WRITE ? host : in_block(b, l->rom, l->base);
}

/* ---- the map ---- */
static int compare_cuts(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static unsigned cuts(const struct bus *b, u64 cut[CUTS])
{
	unsigned n = 0;

	for (unsigned k = 0; k < b->blocks; k++) {
		cut[n++] = b->block[k].base;
		cut[n++] = b->block[k].base + b->block[k].size;
	}
	for (unsigned k = 0; k < b->overlays; k++) {
		cut[n++] = b->overlay[k]->base;
		cut[n++] = b->overlay[k]->base + b->overlay[k]->size;
	}
	qsort(cut, n, sizeof(*cut), compare_cuts);
	return n;
}

/* The part before goes on here. */
static bool extends(const struct space_part *p, u64 base, const u8 *host, u8 uses)
{
	return p->base + p->size == base && p->host + p->size == host && p->uses == uses;
}

static void add(struct space *s, u64 base, u64 size, u8 *host, u8 uses)
{
	for (unsigned n = 0; n < s->count; n++) {
		if (extends(&s->part[n], base, host, uses)) {
			s->part[n].size += size;
			return;
		}
	}
	s->part[s->count++] = (struct space_part){.base = base, .size = size, .host = host, .uses = uses};
}

static void add_interval(const struct bus *b, unsigned space, const struct layers *l, struct space *s)
{
	u8 *host[3], done = 0;

	for (unsigned k = 0; k < 3; k++)
		host[k] = destination(b, l, space, 1u << k);
	for (unsigned k = 0; k < 3; k++) {
		u8 uses = 0;
		for (unsigned j = k; j < 3; j++)
			if (host[j] == host[k] && !(done & 1u << j))
				uses |= (u8)(1u << j);
		done |= uses;
		if (uses && host[k])
			add(s, l->base, l->size, host[k], uses);
	}
}

/* The largest first: most of all accesses go there. Addresses decide between equals, so that equal maps are equal. */
static int compare_parts(const void *a, const void *b)
{
	const struct space_part *x = a, *y = b;

	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	if (x->base != y->base)
		return x->base < y->base ? -1 : 1;
	return y->uses - x->uses;
}

static bool same_map(const struct space *a, const struct space *b)
{
	for (unsigned n = 0; n < a->count; n++) {
		const struct space_part *x = &a->part[n], *y = &b->part[n];
		if (x->base != y->base || x->size != y->size || x->host != y->host || x->uses != y->uses)
			return false;
	}
	return true;
}

static void tell_remapped(struct bus *b)
{
	for (struct observer *o = b->observers; o; o = o->next)
		if (o->remapped)
			o->remapped(o->arg);
}

/* false: it is what it was. */
static bool replace_map(struct bus *b, struct space *s, struct space *fresh)
{
	qsort(fresh->part, fresh->count, sizeof(fresh->part[0]), compare_parts);
	if (s->generation && fresh->count == s->count && same_map(fresh, s))
		return false;
	s->generation = ++b->generations;
	s->count = fresh->count;
	memcpy(s->part, fresh->part, fresh->count * sizeof(fresh->part[0]));
	return true;
}

void bus_remap(struct bus *b)
{
	u64 cut[CUTS];
	unsigned n = cuts(b, cut);
	struct space fresh[SPACES];
	struct layers here;
	bool changed = false;

	for (unsigned k = 0; k < SPACES; k++)
		fresh[k].count = 0;
	for (unsigned i = 1; i < n; i++) {
		if (cut[i] == cut[i - 1])
			continue;
		find_layers(b, cut[i - 1], cut[i] - cut[i - 1], &here);
		for (unsigned k = 0; k < SPACES; k++)
			add_interval(b, k, &here, &fresh[k]);
	}
	for (unsigned k = 0; k < SPACES; k++)
		changed |= replace_map(b, &b->space[k], &fresh[k]);
	if (changed)
		tell_remapped(b);
}

bool bus_overlay(struct bus *b, struct space_overlay *o)
{
	if (b->overlays == OVERLAYS)
		return false;
	b->overlay[b->overlays++] = o;
	return true;
}

void bus_lift(struct bus *b, struct space_overlay *o)
{
	for (unsigned n = 0; n < b->overlays; n++) {
		if (b->overlay[n] != o)
			continue;
		memmove(&b->overlay[n], &b->overlay[n + 1], (b->overlays - n - 1) * sizeof(b->overlay[0]));
		b->overlays--;
		return;
	}
}

void bus_mask_a20(struct bus *b, bool masked)
{
	if (b->space[SPACE_CPU].a20_masked == masked)
		return;
	for (unsigned k = SPACE_CPU; k <= SPACE_SMM; k++) {
		b->space[k].a20_masked = masked;
		b->space[k].generation = ++b->generations;
	}
	tell_remapped(b);
}

/* ---- veils ---- */

/* Is it hidden, and up to where is the answer the same? */
static bool hides(const struct space_veil *v, u64 at, u64 *until)
{
	u64 base = v->base & v->mask, size = v->mask & (0 - v->mask), stop;
	bool inside = (at & v->mask) == base, one_piece = !(~v->mask & (~v->mask + 1));

	if (!one_piece)
		stop = (at & ~(size - 1)) + size;
	else if (inside)
		stop = base + size;
	else
		stop = at < base ? base : UINT64_MAX;
	*until = min_u64(*until, stop);
	return inside;
}

/* A map with more pieces than there is room for shows less, not more. */
void bus_veil(struct bus *b, const struct space *from, const struct space_veil *veil, unsigned veils, struct space *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned n = 0; n < from->count; n++) {
		const struct space_part *p = &from->part[n];

		for (u64 at = p->base, until; at < p->base + p->size && out->count < SPACE_PARTS; at = until) {
			u8 uses = p->uses;

			until = p->base + p->size;
			for (unsigned k = 0; k < veils; k++)
				if (hides(&veil[k], at, &until))
					uses &= (u8)~veil[k].uses;
			if (uses)
				add(out, at, until - at, space_host(p, at), uses);
		}
	}
	qsort(out->part, out->count, sizeof(out->part[0]), compare_parts);
	out->a20_masked = from->a20_masked;
	out->generation = ++b->generations;
}
