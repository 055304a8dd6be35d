/* RAM while a machine starts: who has which place, and what is copied there. */
#include "machine/boot/boot.h"

/* ---- RAM that is spoken for ---- */

static bool in_ram(const struct machine *m, u64 base, u64 end)
{
	if (end <= machine_low_ram(m))
		return true;
	return base >= MACHINE_HIGH_BASE && end - MACHINE_HIGH_BASE <= machine_high_ram(m);
}

enum status boot_claim(struct boot *b, u64 base, u64 size, const char *what, struct err *err)
{
	u64 end = base + size;

	if (end < base || !in_ram(b->m, base, end))
		return err_set(err, ST_ARG, "%s: %s at 0x%llx..0x%llx lies outside RAM (-m gives RAM up to 0x%llx)",
		               b->path, what, (unsigned long long)base, (unsigned long long)end,
		               (unsigned long long)machine_low_ram(b->m));
	for (unsigned i = 0; i < b->ranges; i++) {
		const struct boot_range *r = &b->range[i];
		if (base < r->end && r->base < end)
			return err_set(err, ST_ARG, "%s: %s at 0x%llx..0x%llx overlaps %s at 0x%llx..0x%llx", b->path,
			               what, (unsigned long long)base, (unsigned long long)end, r->what,
			               (unsigned long long)r->base, (unsigned long long)r->end);
	}
	if (b->ranges == BOOT_RANGES)
		return err_set(err, ST_ARG, "%s: more than %d segments and modules", b->path, BOOT_RANGES);
	if (size)
		b->range[b->ranges++] = (struct boot_range){base, end, what};
	return ST_OK;
}

static bool is_zero(const u8 *p, u64 n)
{
	return n == 0 || (p[0] == 0 && !memcmp(p, p + 1, n - 1));
}

/* Pieces of fresh RAM, through the memory file; zero pages are there already. */
static bool write_pieces(const struct bus *bus, u64 at, const u8 *data, u64 size)
{
	u64 start = 0, end = 0;

	for (u64 pos = 0; pos < size; pos = end) {
		end = min_u64(size, ((at + pos) & PAGE_MASK) + PAGE_SIZE - at);
		bool zero = is_zero(data + pos, end - pos);
		if (zero && pos > start && !os_write_at(bus->memfd, at + start, data + start, pos - start))
			return false;
		if (zero)
			start = end;
		else
			bus->memory_flags[(at + pos) >> PAGE_SHIFT] &= (u8)~PAGE_CLEAN;
	}
	return start == size || os_write_at(bus->memfd, at + start, data + start, size - start);
}

/* A kernel may have 64 MB of which it touches a tenth: written through the memory file, its pages are not mapped, and
 * not resident, before somebody looks at them. */
void boot_copy(struct boot *b, u64 base, const void *data, u64 size)
{
	struct bus *bus = &b->m->bus;
	u64 room;
	const u8 *host = space_memory(&bus->space[SPACE_CPU], base, USE_WRITE, &room);

	if (!b->m->loaded && size >= 16 * PAGE_SIZE && host && size <= room &&
	    write_pieces(bus, mem_place(bus, host), data, size))
		return;
	bus_write(bus, base, data, size);
}

enum status boot_put(struct boot *b, u64 base, const void *data, u64 size, const char *what, struct err *err)
{
	enum status s = boot_claim(b, base, size, what, err);

	if (s == ST_OK)
		boot_copy(b, base, data, size);
	return s;
}

/* Fresh RAM is zero already: touching it would only make it resident. */
void boot_zero(struct boot *b, u64 base, u64 size)
{
	static const u8 zero[PAGE_SIZE];
	u8 old[PAGE_SIZE];

	if (!b->m->loaded)
		return;
	while (size) {
		u64 n = min_u64(size, PAGE_SIZE - (base & (PAGE_SIZE - 1)));
		bus_read(&b->m->bus, base, old, n);
		if (memcmp(old, zero, n))
			bus_write(&b->m->bus, base, zero, n);
		base += n;
		size -= n;
	}
}

static const struct boot_range *overlap(const struct boot *b, u64 base, u64 end)
{
	for (unsigned i = 0; i < b->ranges; i++)
		if (base < b->range[i].end && b->range[i].base < end)
			return &b->range[i];
	return NULL;
}

u64 boot_place_top(const struct boot *b, u64 size, u64 limit)
{
	u64 end = min_u64(limit, machine_low_ram(b->m));

	while (end > size) {
		u64 base = (end - size) & PAGE_MASK;
		if (base < 0x100000)
			return 0;
		const struct boot_range *r = overlap(b, base, base + size);
		if (!r)
			return base;
		end = r->base;
	}
	return 0;
}

u64 boot_place_low(const struct boot *b, u64 size, u64 from)
{
	u64 base = (max_u64(from, 0x100000) + PAGE_SIZE - 1) & PAGE_MASK;

	while (base + size <= machine_low_ram(b->m)) {
		const struct boot_range *r = overlap(b, base, base + size);
		if (!r)
			return base;
		base = (r->end + PAGE_SIZE - 1) & PAGE_MASK;
	}
	return 0;
}

enum status boot_area(struct boot *b, struct err *err)
{
	u64 base = overlap(b, BOOT_AREA, BOOT_AREA + BOOT_AREA_SIZE) ? boot_place_low(b, BOOT_AREA_SIZE, b->kernel_end)
	                                                             : BOOT_AREA;

	if (!base)
		return err_set(err, ST_ARG, "%s: no room for the boot information beside the kernel; give more with -m",
		               b->path);
	b->area = base;
	b->lists = base + BOOT_LISTS;
	return boot_claim(b, base, BOOT_AREA_SIZE, "the loader's own area", err);
}

u64 boot_list(struct boot *b, const void *data, u64 size, u64 align)
{
	u64 base = (b->lists + align - 1) & ~(align - 1);

	if (base + size > b->area + BOOT_AREA_SIZE)
		return 0;
	bus_write(&b->m->bus, base, data, size);
	b->lists = base + size;
	return base;
}
