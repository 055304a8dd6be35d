/* Linear memory of either side of a world switch, whichever is in force: nothing faults, no flag is set, no device is asked. */
#include "inspect/parts.h"

#define TABLES_MOST 65536 /* of a monitor's process: 128 GiB of small pages */

static const u8 *memory_at(const struct eye *e, pa_t pa)
{
	u64 room;

	return space_memory(cpu_sees(e->c), pa, USE_READ, &room);
}

/* The monitor's tables while a guest's are in force; long mode's alone, for who asks has no other. */
static bool walk_monitor(const struct eye *e, la_t la, pa_t *pa)
{
	u64 entry = e->view.cr3;

	for (unsigned level = e->view.cr4 & CR4_LA57 ? 5 : 4; level; level--) {
		const unsigned shift = PAGE_SHIFT + (level - 1) * 9;
		const u8 *at = memory_at(e, (entry & mask(51, 12)) + (la >> shift & 511) * 8);

		if (!at)
			return false;
		memcpy(&entry, at, sizeof(entry));
		if (!(entry & PTE_P))
			return false;
		if (level > 1 && !(entry & PTE_PS))
			continue;
		*pa = (entry & mask(51, 12) & ~(BIT(shift) - 1)) | (la & (BIT(shift) - 1));
		return true;
	}
	return false;
}

/* The linear address at which a table of the monitor, or one below it, maps the page at `want`. */
static bool find_page(const struct eye *e, u64 table, unsigned level, unsigned entries, la_t base, pa_t want, unsigned *tables,
                      la_t *la)
{
	const unsigned shift = PAGE_SHIFT + (level - 1) * 9;
	const u8 *at = memory_at(e, table);

	if (!at || ++*tables > TABLES_MOST)
		return false;
	for (unsigned n = 0; n < entries; n++) {
		u64 entry, first = base + ((u64)n << shift);

		memcpy(&entry, at + 8 * n, sizeof(entry));
		if (!(entry & PTE_P))
			continue;
		u64 there = entry & mask(51, 12);
		if (level > 1 && !(entry & PTE_PS)) {
			if (find_page(e, there, level - 1, 512, first, want, tables, la))
				return true;
			continue;
		}
		there &= ~(BIT(shift) - 1);
		if (want - there >= BIT(shift))
			continue;
		*la = first + (want - there);
		return true;
	}
	return false;
}

static bool view_monitor(struct eye *e)
{
	return e->c->virt->view(e->c, false, &e->view) && (e->view.cr0 & CR0_PG) && (e->view.efer & EFER_LMA);
}

bool eye_through(struct eye *e, la_t from, la_t to)
{
	pa_t pa;
	la_t there = 0;
	unsigned tables = 0;

	if (!e->c->guest || e->apart || !view_monitor(e))
		return false;
	while (from < to && !mmu_peek(e->c, from, &pa))
		from += PAGE_SIZE;
	e->through = from < to && find_page(e, e->view.cr3 & mask(51, 12), e->view.cr4 & CR4_LA57 ? 5 : 4, 256, 0, pa, &tables, &there);
	e->slide = there - from;
	return e->through;
}

bool eye_open(struct eye *e, struct cpu *c, bool monitor)
{
	*e = (struct eye){.c = c, .apart = monitor && c->guest};
	return e->apart ? view_monitor(e) : long_mode(c);
}

static const u8 *look(const struct eye *e, la_t la)
{
	pa_t pa;

	if (e->apart ? walk_monitor(e, la, &pa) : mmu_peek(e->c, la, &pa))
		return memory_at(e, pa);
	return e->through && walk_monitor(e, la + e->slide, &pa) ? memory_at(e, pa) : NULL;
}

size_t eye_read(const struct eye *e, la_t la, void *out, size_t size)
{
	size_t seen = 0;

	for (size_t at = 0, n; at < size; at += n) {
		const u8 *there = look(e, la + at);

		n = min_u64(size - at, PAGE_SIZE - ((la + at) & ~PAGE_MASK));
		seen += there ? n : 0;
		if (there)
			memcpy((u8 *)out + at, there, n);
		else
			memset((u8 *)out + at, 0, n);
	}
	return seen;
}
