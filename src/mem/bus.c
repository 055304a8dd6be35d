/*
 * The physical bus outside RAM: ranges that devices map in memory and port space, and the splitting of accesses to the
 * widths they take.
 */
#include "mem/mem.h"

static bool contains(const struct bus_range *r, u64 addr)
{
	return addr - r->base < r->size;
}

static bool overlaps(const struct bus_range *a, const struct bus_range *b)
{
	return a->base < b->base + b->size && b->base < a->base + a->size;
}

/* ---- the map ---- */
static struct bus_range *find_in(struct bus_range *list, u64 addr)
{
	while (list && !contains(list, addr))
		list = list->next;
	return list;
}

static void note_mmio(struct bus *b)
{
	b->last_mmio = NULL;
	b->mmio_overlap = false;
	for (const struct bus_range *x = b->mmio; x; x = x->next)
		for (const struct bus_range *y = x->next; y; y = y->next)
			b->mmio_overlap |= overlaps(x, y);
}

static void note_ports(struct bus *b, const struct bus_range *r)
{
	for (u64 p = r->base; p < r->base + r->size && p < 65536; p++)
		b->port_map[p] = find_in(b->ports, p);
}

void bus_map(struct bus *b, struct bus_range *r)
{
	struct bus_range **list = r->port ? &b->ports : &b->mmio;

	if (r->mapped)
		bus_unmap(b, r);
	r->next = *list;
	*list = r;
	r->mapped = true;
	if (r->port)
		note_ports(b, r);
	else
		note_mmio(b);
}

void bus_unmap(struct bus *b, struct bus_range *r)
{
	struct bus_range **p = r->port ? &b->ports : &b->mmio;

	if (!r->mapped)
		return;
	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	r->next = NULL;
	r->mapped = false;
	if (r->port)
		note_ports(b, r);
	else
		note_mmio(b);
}

void bus_move(struct bus *b, struct bus_range *r, u64 base)
{
	bool mapped = r->mapped;

	if (mapped)
		bus_unmap(b, r);
	r->base = base;
	if (mapped)
		bus_map(b, r);
}

void bus_relink(struct bus *b, struct bus_range *r)
{
	static const struct bus_range everywhere = {.size = 65536};
	struct bus_range **p = r->port ? &b->ports : &b->mmio;
	bool mapped = r->mapped;

	while (*p && *p != r)
		p = &(*p)->next;
	if (*p)
		*p = r->next;
	if (r->port)
		note_ports(b, &everywhere); /* nobody knows where it was */
	r->mapped = false;
	if (mapped)
		bus_map(b, r);
}

static struct bus_range *find_mmio(struct bus *b, u64 pa)
{
	struct bus_range *r = b->last_mmio;

	if (r && !b->mmio_overlap && contains(r, pa))
		return r;
	r = find_in(b->mmio, pa);
	if (r)
		b->last_mmio = r;
	return r;
}

static struct bus_range *find_range(struct bus *b, bool port, u64 addr)
{
	return port ? b->port_map[addr] : find_mmio(b, addr);
}

struct bus_range *bus_device(struct bus *b, u64 pa)
{
	return find_mmio(b, pa);
}

/* ---- accesses ---- */
/* How many bytes at addr one device access takes: naturally aligned, inside the range, at most its widest. */
static unsigned piece(const struct bus_range *r, bool port, u64 addr, unsigned len)
{
	unsigned widest = !r ? 1 : r->ops->max_size ? r->ops->max_size : port ? 4 : 8;
	unsigned n = widest;

	while (n > len || (addr & (n - 1)) || (r && addr - r->base + n > r->size))
		n /= 2;
	return n ? n : 1;
}

/* A device with a smallest width sees reads below it as reads of that width. */
static u64 read_piece(const struct bus_range *r, u64 addr, unsigned n)
{
	u64 offset = addr - r->base;
	unsigned least = r->ops->min_size;

	if (!r->ops->read)
		return ~0ull;
	if (n >= least)
		return r->ops->read(r->dev, offset, n);
	u64 v = r->ops->read(r->dev, offset & ~(u64)(least - 1), least);
	return v >> (8 * (offset & (least - 1)));
}

static u64 bus_in(struct bus *b, bool port, u64 addr, unsigned size)
{
	u64 value = 0;

	for (unsigned done = 0; done < size;) {
		u64 at = port ? (addr + done) & 0xffff : addr + done;
		const struct bus_range *r = find_range(b, port, at);
		unsigned n = piece(r, port, at, size - done);
		u64 v = r ? read_piece(r, at, n) : ~0ull;
		value |= low_bytes(v, n) << (8 * done);
		done += n;
	}
	return value;
}

static void bus_out(struct bus *b, bool port, u64 addr, unsigned size, u64 value)
{
	for (unsigned done = 0; done < size;) {
		u64 at = port ? (addr + done) & 0xffff : addr + done;
		const struct bus_range *r = find_range(b, port, at);
		unsigned n = piece(r, port, at, size - done);
		if (r && r->ops->write)
			r->ops->write(r->dev, at - r->base, n, low_bytes(value >> (8 * done), n));
		done += n;
	}
}

static void trace(const struct bus *b, bool mmio, bool write, u64 addr, unsigned size, u64 value)
{
	const struct hooks *h = b->hooks;

	if (unlikely(h && (h->trace & (mmio ? TRACE_MMIO : TRACE_IO)) && h->io))
		h->io(h->arg, mmio, write, addr, size, low_bytes(value, size));
}

u64 bus_mmio_read(struct bus *b, u64 pa, unsigned size)
{
	b->mmio_accesses++;
	u64 v = bus_in(b, false, pa, size);
	trace(b, true, false, pa, size, v);
	return v;
}

void bus_mmio_write(struct bus *b, u64 pa, unsigned size, u64 value)
{
	b->mmio_accesses++;
	trace(b, true, true, pa, size, value);
	bus_out(b, false, pa, size, value);
}

u64 bus_port_read(struct bus *b, u16 port, unsigned size)
{
	b->port_accesses++;
	u64 v = bus_in(b, true, port, size);
	trace(b, false, false, port, size, v);
	return v;
}

void bus_port_write(struct bus *b, u16 port, unsigned size, u64 value)
{
	b->port_accesses++;
	trace(b, false, true, port, size, value);
	bus_out(b, true, port, size, value);
}
