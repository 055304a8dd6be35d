/*
 * Guest RAM and ROM: one memory file, mapped once, with a flag byte for every page of it, and those who watch stores.
 */
#include "base/hostmem.h"
#include "mem/mem.h"
#include "mem/mem_priv.h"

#define HIGH_BASE (1ull << 32)
#define RAM_MAX   (1ull << 40)
#define ROM_ROOM  (64ull << 20) /* behind RAM in the mapping; the file grows into it */

static enum status out_of_memory(struct err *err, u64 size)
{
	return err_set(err, ST_NOMEM, "not enough memory for %llu MiB of guest RAM", (unsigned long long)(size >> 20));
}

enum status bus_init(struct bus *b, struct clock *clock, struct hooks *hooks, u64 ram_size, u64 low_end,
                     struct err *err)
{
	*b = (struct bus){.clock = clock, .hooks = hooks, .memfd = -1};
	if (!ram_size || ram_size > RAM_MAX || !is_aligned(low_end, PAGE_SIZE) || low_end > HIGH_BASE)
		return err_set(err, ST_ARG, "guest RAM must be between 1 page and 1 TiB");
	ram_size = (ram_size + PAGE_SIZE - 1) & PAGE_MASK;
	b->ram_size = b->file_size = ram_size;
	b->memory_size = ram_size + ROM_ROOM;
	b->port_map = base_alloc(65536 * sizeof(struct bus_range *));
	b->memfd = hostmem_file("turnstile-ram", ram_size);
	b->memory = b->memfd < 0 ? NULL : hostmem_map(b->memfd, 0, b->memory_size);
	b->memory_flags = hostmem_filled(PAGE_CLEAN, b->memory_size >> PAGE_SHIFT);
	if (!b->port_map || !b->memory || !b->memory_flags) {
		bus_fini(b);
		return out_of_memory(err, ram_size);
	}
	u64 low = min_u64(ram_size, low_end);
	if (low)
		b->block[b->blocks++] = (struct mem_block){.base = 0, .size = low};
	if (ram_size > low)
		b->block[b->blocks++] = (struct mem_block){.base = HIGH_BASE, .size = ram_size - low, .offset = low};
	bus_remap(b);
	return ST_OK;
}

void bus_fini(struct bus *b)
{
	hostmem_unmap(b->memory, b->memory_size);
	hostmem_unmap(b->memory_flags, b->memory_size >> PAGE_SHIFT);
	hostmem_close(b->memfd);
	base_free(b->port_map);
	*b = (struct bus){.memfd = -1};
}

static bool rom_in_the_way(const struct bus *b, u64 base, u64 size)
{
	for (unsigned n = 0; n < b->blocks; n++) {
		const struct mem_block *m = &b->block[n];
		if (m->rom && m->base < base + size && base < m->base + m->size)
			return true;
	}
	return b->blocks == MEM_BLOCKS;
}

enum status bus_add_rom(struct bus *b, u64 base, const void *image, u64 size, struct err *err)
{
	u64 whole = (size + PAGE_SIZE - 1) & PAGE_MASK;

	if (!size || !is_aligned(base, PAGE_SIZE) || base + whole < base)
		return err_set(err, ST_ARG, "a ROM image must start at a page boundary and not be empty");
	if (rom_in_the_way(b, base, whole) || whole > b->memory_size - b->file_size)
		return err_set(err, ST_ARG, "ROM images overlap, or there are too many");
	if (!hostmem_resize(b->memfd, b->file_size + whole))
		return out_of_memory(err, whole);
	b->block[b->blocks++] = (struct mem_block){.base = base, .size = whole, .offset = b->file_size, .rom = true};
	memcpy(b->memory + b->file_size, image, size);
	b->file_size += whole;
	bus_remap(b);
	return ST_OK;
}

u8 *bus_add_aside(struct bus *b, u64 size, u16 blank)
{
	u8 *p = b->memory + b->file_size;

	if (b->asides == MEM_ASIDES || !is_aligned(size, PAGE_SIZE) || size > b->memory_size - b->file_size ||
	    !hostmem_resize(b->memfd, b->file_size + size))
		return NULL;
	b->aside[b->asides++] = (struct mem_aside){.offset = b->file_size, .size = size, .blank = blank};
	b->file_size += size;
	for (u64 n = 0; blank && n < size; n += sizeof(blank))
		memcpy(p + n, &blank, sizeof(blank));
	return p;
}

/* ---- who is told ---- */
void bus_observe(struct bus *b, struct observer *o)
{
	struct observer **end = &b->observers;

	while (*end)
		end = &(*end)->next;
	o->next = NULL;
	*end = o;
}

void bus_unobserve(struct bus *b, struct observer *o)
{
	struct observer **p = &b->observers;

	while (*p && *p != o)
		p = &(*p)->next;
	if (*p)
		*p = o->next;
}

static void tell(const struct bus *b, u8 flags, const struct written *w)
{
	struct observer *next;

	for (struct observer *o = b->observers; o; o = next) {
		next = o->next;
		if (o->pages & flags)
			o->written(o->arg, w);
	}
}

void mem_written(struct bus *b, struct initiator who, const u8 *host, u64 pa, u64 len)
{
	while (len) {
		struct written w = {
		        .who = who, .pa = pa, .len = min_u64(len, PAGE_SIZE - (pa & ~PAGE_MASK)), .host = host};
		u8 *flag = mem_flag(b, host), was = *flag;

		if (was) {
			*flag &= (u8)~PAGE_CLEAN;
			tell(b, was, &w);
		}
		host += w.len, pa += w.len, len -= w.len;
	}
}

/* A piece of one block. What nobody ever wrote is zero already, and nobody needs to hear of it. */
static void clear_piece(struct bus *b, const struct mem_block *m, u64 from, u64 to)
{
	for (u64 end = to; hostmem_used(b->memfd, &from, &end); from = end, end = to) {
		mem_written(b, (struct initiator){.by = BY_LOADER}, b->memory + from, m->base + (from - m->offset),
		            end - from);
		hostmem_zero(b->memfd, b->memory + from, from, end - from);
	}
}

void mem_clear(struct bus *b, u64 from, u64 to)
{
	for (unsigned n = 0; n < b->blocks; n++) {
		const struct mem_block *m = &b->block[n];
		u64 first = max_u64(from, m->offset), end = min_u64(to, m->offset + m->size);

		if (!m->rom && first < end)
			clear_piece(b, m, first, end);
	}
}
