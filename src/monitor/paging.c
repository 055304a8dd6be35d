/* `info mem`, `info tlb`: what the page tables of a processor map, as they stand in memory. */
#include "monitor/parts.h"

#include <inttypes.h>

enum { P = 1, W = 2, U = 4, PS = 0x80, LINES = 65536 };
#define NX BIT(63)

struct walk {
	struct cpu *c;
	unsigned levels;  /* 0: no paging */
	unsigned entry;   /* bytes of an entry */
	u64 address_mask;
	FILE *f;
	void (*leaf)(struct walk *w, u64 la, u64 pa, u64 size, u64 rights);
	u64 la, end, rights; /* the range at hand */
	unsigned lines;
	bool find;
	u64 find_la, find_pa;
	bool found;
};

static bool start(struct walk *w, struct cpu *c)
{
	*w = (struct walk){.c = c, .entry = 8, .address_mask = mask(51, 12)};
	if (!(c->cr0 & BIT(31)))
		return false;
	if (!(c->cr4 & BIT(5))) {
		w->levels = 2;
		w->entry = 4;
		w->address_mask = mask(31, 12);
	} else if (!long_mode(c)) {
		w->levels = 3;
	} else {
		w->levels = c->cr4 & BIT(12) ? 5 : 4;
	}
	return true;
}

static unsigned shift_of(const struct walk *w, unsigned level)
{
	return 12 + (level - 1) * (w->entry == 8 ? 9 : 10);
}

static u64 read_entry(struct walk *w, u64 table, u64 n)
{
	const u8 *p = bus_memory(w->c->bus, table + n * w->entry);
	u64 v = 0;

	if (p)
		memcpy(&v, p, w->entry);
	return v;
}

static bool is_leaf(const struct walk *w, unsigned level, u64 e)
{
	if (level == 1)
		return true;
	if (!(e & PS) || level > 3 || (level == 3 && w->levels == 3))
		return false;
	return w->entry == 8 || (w->c->cr4 & BIT(4));
}

static void table(struct walk *w, u64 at, unsigned level, u64 la, u64 rights)
{
	unsigned shift = shift_of(w, level), count = level == 3 && w->levels == 3 ? 4 : 4096 / w->entry;
	bool pdpte = w->levels == 3 && level == 3; /* has no rights of its own */

	for (u64 n = 0; n < count && w->lines < LINES && !w->found; n++) {
		u64 here = la | n << shift, size = BIT(shift), e = read_entry(w, at, n);

		if (w->levels > 3 && level == w->levels)
			here = (u64)sign_extend(here, shift + 9);
		if (!(e & P) || (w->find && w->find_la - here >= size))
			continue;
		u64 r = pdpte ? rights : (rights & (e | NX)) | (e & NX);
		if (is_leaf(w, level, e))
			w->leaf(w, here, e & w->address_mask & ~(size - 1), size, r);
		else
			table(w, e & w->address_mask, level - 1, here, r);
	}
}

static void run(struct walk *w)
{
	u64 root = w->levels == 3 ? w->c->cr3 & mask(31, 5) : w->c->cr3 & w->address_mask;

	table(w, root, w->levels, 0, W | U);
}

static void put_range(struct walk *w)
{
	if (w->end == w->la)
		return;
	fprintf(w->f, "%016" PRIx64 "-%016" PRIx64 " %016" PRIx64 " %c%c%c%s\n", w->la, w->end, w->end - w->la,
	        w->rights & U ? 'u' : '-', 'r', w->rights & W ? 'w' : '-', w->rights & NX ? " nx" : "");
	w->lines++;
}

static void range_leaf(struct walk *w, u64 la, u64 pa, u64 size, u64 rights)
{
	(void)pa;
	if (la != w->end || rights != w->rights || w->end == w->la) {
		put_range(w);
		w->la = la;
		w->rights = rights;
	}
	w->end = la + size;
}

static void page_leaf(struct walk *w, u64 la, u64 pa, u64 size, u64 rights)
{
	fprintf(w->f, "%016" PRIx64 ": %016" PRIx64 " %s %c%c%s\n", la, pa,
	        size == BIT(12) ? "4K" : size == BIT(21) ? "2M" : size == BIT(22) ? "4M" : "1G", rights & U ? 'u' : '-',
	        rights & W ? 'w' : '-', rights & NX ? " nx" : "");
	w->lines++;
}

static void find_leaf(struct walk *w, u64 la, u64 pa, u64 size, u64 rights)
{
	(void)rights, (void)size;
	w->found = true;
	w->find_pa = pa + (w->find_la - la);
}

void paging_ranges(struct cpu *c, FILE *f)
{
	struct walk w;

	if (!start(&w, c)) {
		fprintf(f, "PG disabled\n");
		return;
	}
	w.f = f;
	w.leaf = range_leaf;
	run(&w);
	put_range(&w);
}

void paging_pages(struct cpu *c, FILE *f)
{
	struct walk w;

	if (!start(&w, c)) {
		fprintf(f, "PG disabled\n");
		return;
	}
	w.f = f;
	w.leaf = page_leaf;
	run(&w);
	if (w.lines == LINES)
		fprintf(f, "... and more\n");
}

bool paging_find(struct cpu *c, u64 la, u64 *pa)
{
	struct walk w;

	*pa = la;
	if (!start(&w, c))
		return true;
	w.find = true;
	w.find_la = la;
	w.leaf = find_leaf;
	run(&w);
	*pa = w.find_pa;
	return w.found;
}
