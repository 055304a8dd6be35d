/*
 * Guest RAM and ROM: one memory file, the regions that map it, and the bytes that move without a processor's rights:
 * loaders, page walks, VMCB and VMCS, DMA.
 */
#include "base/hostmem.h"
#include "mem/mem.h"

#define HIGH_BASE (1ull << 32)
#define RAM_MAX   (1ull << 40)

static enum status out_of_memory(struct err *err, u64 size)
{
	return err_set(err, ST_NOMEM, "not enough memory for %llu MiB of guest RAM", (unsigned long long)(size >> 20));
}

static void add_region(struct bus *b, unsigned at, struct ram_region r)
{
	memmove(&b->ram[at + 1], &b->ram[at], (b->ram_count - at) * sizeof(b->ram[0]));
	b->ram[at] = r;
	b->ram_count++;
}

enum status bus_init(struct bus *b, struct clock *clock, struct hooks *hooks, u64 ram_size, u64 low_end,
                     struct err *err)
{
	*b = (struct bus){.clock = clock, .hooks = hooks, .memfd = -1};
	if (!ram_size || ram_size > RAM_MAX || !is_aligned(low_end, PAGE_SIZE) || low_end > HIGH_BASE)
		return err_set(err, ST_ARG, "guest RAM must be between 1 page and 1 TiB");
	ram_size = (ram_size + PAGE_SIZE - 1) & PAGE_MASK;
	b->ram_size = b->file_size = ram_size;
	b->port_map = base_alloc(65536 * sizeof(struct bus_range *));
	b->memfd = hostmem_file("turnstile-ram", ram_size);
	b->ram_host = b->memfd < 0 ? NULL : hostmem_map(b->memfd, 0, ram_size);
	b->ram_flags = hostmem_filled(PAGE_CLEAN, ram_size >> PAGE_SHIFT);
	if (!b->port_map || !b->ram_host || !b->ram_flags) {
		bus_fini(b);
		return out_of_memory(err, ram_size);
	}
	u64 low = min_u64(ram_size, low_end);
	if (low)
		add_region(b, 0,
		           (struct ram_region){.base = 0, .size = low, .host = b->ram_host, .flags = b->ram_flags});
	if (ram_size > low)
		add_region(b, b->ram_count,
		           (struct ram_region){.base = HIGH_BASE,
		                               .size = ram_size - low,
		                               .offset = low,
		                               .host = b->ram_host + low,
		                               .flags = b->ram_flags + (low >> PAGE_SHIFT)});
	return ST_OK;
}

void bus_fini(struct bus *b)
{
	for (unsigned n = 0; n < b->ram_count; n++) {
		if (!b->ram[n].rom)
			continue;
		hostmem_unmap(b->ram[n].host, b->ram[n].size);
		hostmem_unmap(b->ram[n].flags, b->ram[n].size >> PAGE_SHIFT);
	}
	hostmem_unmap(b->ram_host, b->ram_size);
	hostmem_unmap(b->ram_flags, b->ram_size >> PAGE_SHIFT);
	hostmem_close(b->memfd);
	base_free(b->port_map);
	*b = (struct bus){.memfd = -1};
}

/* The part of r from physical address `from` up to `to`. */
static struct ram_region part_of(const struct ram_region *r, u64 from, u64 to)
{
	struct ram_region p = *r;
	u64 skip = from - r->base;

	p.base = from;
	p.size = to - from;
	p.offset += skip;
	p.host += skip;
	p.flags += skip >> PAGE_SHIFT;
	return p;
}

/* RAM under a ROM is out of reach: cut it away. false: another ROM is in the way, or no slot is left. */
static bool cut_hole(struct bus *b, u64 from, u64 to)
{
	for (unsigned n = 0; n < b->ram_count; n++) {
		struct ram_region r = b->ram[n];
		u64 end = r.base + r.size;
		if (end <= from || r.base >= to)
			continue;
		if (r.rom || b->ram_count + 2 > ARRAY_LEN(b->ram))
			return false;
		memmove(&b->ram[n], &b->ram[n + 1], (b->ram_count - n - 1) * sizeof(r));
		b->ram_count--;
		unsigned at = n;
		if (r.base < from)
			add_region(b, at++, part_of(&r, r.base, from));
		if (end > to)
			add_region(b, at, part_of(&r, to, end));
		n = at;
	}
	return b->ram_count < ARRAY_LEN(b->ram);
}

enum status bus_add_rom(struct bus *b, u64 base, const void *image, u64 size, struct err *err)
{
	u64 whole = (size + PAGE_SIZE - 1) & PAGE_MASK;

	if (!size || !is_aligned(base, PAGE_SIZE) || base + whole < base)
		return err_set(err, ST_ARG, "a ROM image must start at a page boundary and not be empty");
	if (!cut_hole(b, base, base + whole))
		return err_set(err, ST_ARG, "ROM images overlap, or there are too many");
	struct ram_region r = {.base = base, .size = whole, .offset = b->file_size, .rom = true};
	if (!hostmem_resize(b->memfd, b->file_size + whole))
		return out_of_memory(err, whole);
	r.host = hostmem_map(b->memfd, r.offset, whole);
	r.flags = hostmem_filled(PAGE_CLEAN, whole >> PAGE_SHIFT);
	if (!r.host || !r.flags) {
		hostmem_unmap(r.host, whole);
		hostmem_unmap(r.flags, whole >> PAGE_SHIFT);
		return out_of_memory(err, whole);
	}
	b->file_size += whole;
	memcpy(r.host, image, size);
	unsigned at = 0;
	while (at < b->ram_count && b->ram[at].base < base)
		at++;
	add_region(b, at, r);
	return ST_OK;
}

/* ---- who is told of stores ---- */
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

void mem_page_written(struct bus *b, struct initiator who, const struct ram_region *r, u64 pa, u64 len)
{
	while (len) {
		struct written w = {.who = who, .pa = pa, .len = min_u64(len, PAGE_SIZE - (pa & ~PAGE_MASK))};
		u8 *flag = ram_flag(r, pa), was = *flag;

		*flag &= (u8)~PAGE_CLEAN;
		tell(b, was, &w);
		pa += w.len, len -= w.len;
	}
}

/* ---- any length, anywhere ---- */
static unsigned aligned_piece(u64 pa, u64 len)
{
	unsigned n = 8;
	while (n > len || (pa & (n - 1)))
		n /= 2;
	return n;
}

void bus_read(struct bus *b, u64 pa, void *buf, u64 len)
{
	u8 *to = buf;

	while (len) {
		const struct ram_region *r = bus_ram(b, pa);
		u64 now, v;
		if (r) {
			now = min_u64(len, r->base + r->size - pa);
			memcpy(to, ram_ptr(r, pa), now);
		} else {
			now = aligned_piece(pa, len);
			v = bus_mmio_read(b, pa, (unsigned)now);
			memcpy(to, &v, now);
		}
		to += now, pa += now, len -= now;
	}
}

static void ram_write(struct bus *b, struct initiator who, const struct ram_region *r, u64 pa, const void *buf, u64 len)
{
	if (r->rom)
		return;
	memcpy(ram_ptr(r, pa), buf, len);
	for (u64 end = pa + len; pa < end; pa = (pa & PAGE_MASK) + PAGE_SIZE)
		if (*ram_flag(r, pa))
			mem_page_written(b, who, r, pa, min_u64(end - pa, PAGE_SIZE - (pa & ~PAGE_MASK)));
}

void phys_write(struct bus *b, struct initiator who, u64 pa, const void *buf, u64 len)
{
	const u8 *from = buf;

	while (len) {
		const struct ram_region *r = bus_ram(b, pa);
		u64 now, v = 0;
		if (r) {
			now = min_u64(len, r->base + r->size - pa);
			ram_write(b, who, r, pa, from, now);
		} else {
			now = aligned_piece(pa, len);
			memcpy(&v, from, now);
			bus_mmio_write(b, pa, (unsigned)now, v);
		}
		from += now, pa += now, len -= now;
	}
}

void bus_write(struct bus *b, u64 pa, const void *buf, u64 len)
{
	phys_write(b, (struct initiator){.by = BY_LOADER}, pa, buf, len);
}

u32 bus_read_u32(struct bus *b, u64 pa)
{
	u32 v;

	bus_read(b, pa, &v, sizeof(v));
	return v;
}

void bus_write_u64(struct bus *b, u64 pa, u64 v)
{
	bus_write(b, pa, &v, sizeof(v));
}

void bus_write_u32(struct bus *b, u64 pa, u32 v)
{
	bus_write(b, pa, &v, sizeof(v));
}

/* ---- DMA ---- */
#define MSI_BASE 0xfee00000ull
#define MSI_END  0xfef00000ull

bool dma_read(struct bus *b, u16 requester, u64 pa, void *buf, u64 len)
{
	(void)requester; /* device protection will ask for it */
	if (pa + len < pa || !bus_claims(b, pa, len)) {
		memset(buf, 0xff, len);
		return false;
	}
	bus_read(b, pa, buf, len);
	return true;
}

bool dma_write(struct bus *b, u16 requester, u64 pa, const void *buf, u64 len)
{
	if (pa >= MSI_BASE && pa < MSI_END) { /* "Message Signalled Interrupts": one aligned dword */
		u32 data;
		if (len != sizeof(data) || (pa & 3) || !b->msi)
			return false;
		memcpy(&data, buf, sizeof(data));
		b->msi(b->msi_arg, pa, data);
		return true;
	}
	if (pa + len < pa || !bus_claims(b, pa, len))
		return false;
	phys_write(b, (struct initiator){.by = BY_DEVICE, .id = requester}, pa, buf, len);
	return true;
}
