/*
 * Bytes that move by physical address: a processor's beside its TLB, a loader's, a device's. Every access says whose it
 * is and goes through the space of whoever that is.
 */
#include "mem/mem_priv.h"

/* ---- memory or devices ---- */
static void device_read(struct bus *b, struct initiator who, u64 pa, void *buf, u64 len)
{
	struct initiator before = b->who;

	b->who = who;
	u64 v = bus_mmio_read(b, pa, (unsigned)len);
	b->who = before;
	memcpy(buf, &v, len);
}

static void device_write(struct bus *b, struct initiator who, u64 pa, const void *buf, u64 len)
{
	struct initiator before = b->who;
	u64 v = 0;

	memcpy(&v, buf, len);
	b->who = who;
	bus_mmio_write(b, pa, (unsigned)len, v);
	b->who = before;
}

void space_read(struct bus *b, const struct space *s, struct initiator who, u64 pa, void *buf, u64 len)
{
	u8 *to = buf;

	while (len) {
		u64 now;
		const u8 *host = space_memory(s, pa, USE_READ, &now);
		now = host ? min_u64(now, len) : aligned_piece(pa, len);
		if (host)
			memcpy(to, host, now);
		else
			device_read(b, who, pa, to, now);
		to += now, pa += now, len -= now;
	}
}

void space_write(struct bus *b, const struct space *s, struct initiator who, u64 pa, const void *buf, u64 len)
{
	const u8 *from = buf;

	while (len) {
		u64 now;
		u8 *host = space_memory(s, pa, USE_WRITE, &now);
		now = host ? min_u64(now, len) : aligned_piece(pa, len);
		if (host) {
			memcpy(host, from, now);
			mem_written(b, who, host, pa, now);
		} else {
			device_write(b, who, pa, from, now);
		}
		from += now, pa += now, len -= now;
	}
}

void phys_read(struct bus *b, struct initiator who, u64 pa, void *buf, u64 len)
{
	space_read(b, bus_space(b, who), who, pa, buf, len);
}

void phys_write(struct bus *b, struct initiator who, u64 pa, const void *buf, u64 len)
{
	space_write(b, bus_space(b, who), who, pa, buf, len);
}

/* ---- by who plays firmware ---- */
static const struct initiator loader = {.by = BY_LOADER};

void bus_read(struct bus *b, u64 pa, void *buf, u64 len)
{
	phys_read(b, loader, pa, buf, len);
}

void bus_write(struct bus *b, u64 pa, const void *buf, u64 len)
{
	phys_write(b, loader, pa, buf, len);
}

u64 bus_read_u64(struct bus *b, u64 pa)
{
	u64 v;

	bus_read(b, pa, &v, sizeof(v));
	return v;
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

struct dma {
	struct dma_request ask;
	bool memory_only;
};

static struct dma memory_cycle(u16 requester, enum use use, bool memory_only)
{
	return (struct dma){{.requester = requester, .cycle = CYCLE_MEMORY, .use = (u8)use}, memory_only};
}

bool dma_abort(struct bus *b, u16 requester)
{
	if (b->aborted)
		b->aborted(b->aborted_arg, requester);
	return false;
}

static bool allowed(struct bus *b, const struct dma_request *r, u64 *at, u64 *len)
{
	return !b->guard.allow || b->guard.allow(b->guard.arg, r, at, len);
}

bool dma_may(struct bus *b, const struct dma_request *r, u64 *at, u64 *len)
{
	return allowed(b, r, at, len) || dma_abort(b, r->requester);
}

/* The next piece of [at, at + len): where the guard lets it go, as far as one answer reaches. 0: refused, or nobody
 * is there. */
static u64 dma_piece(struct bus *b, const struct dma *d, u64 at, u64 len, u64 *pa)
{
	u64 room;

	*pa = at;
	if (at + len < at || !allowed(b, &d->ask, pa, &len))
		return 0;
	if (!space_memory(&b->space[SPACE_DMA], *pa, d->ask.use, &room)) {
		const struct bus_range *r = d->memory_only ? NULL : bus_device(b, *pa);
		room = r && !r->no_devices ? r->base + r->size - *pa : 0;
	}
	return min_u64(len, room);
}

static struct initiator dma_who(const struct dma_request *r)
{
	return (struct initiator){.by = BY_DEVICE, .id = r->requester};
}

static void tell_guarded(struct bus *b, struct initiator who, u64 pa, u64 len)
{
	for (u64 now; len; pa += now, len -= now) {
		u64 room;
		const u8 *host = space_memory(bus_space(b, who), pa, USE_READ, &room);

		now = min_u64(len, PAGE_SIZE - (pa & ~PAGE_MASK));
		if (host && (*mem_flag(b, host) & PAGE_GUARDED))
			b->guarded_read(b->guarded_arg, who, pa, now);
	}
}

static bool dma_in(struct bus *b, struct dma d, u64 at, u8 *buf, u64 len)
{
	for (u64 now, pa; len; at += now, buf += now, len -= now) {
		if (!(now = dma_piece(b, &d, at, len, &pa))) {
			memset(buf, 0xff, len);
			return dma_abort(b, d.ask.requester);
		}
		phys_read(b, dma_who(&d.ask), pa, buf, now);
		if (unlikely(b->guarded_read))
			tell_guarded(b, dma_who(&d.ask), pa, now);
	}
	return true;
}

static bool dma_out(struct bus *b, struct dma d, u64 at, const u8 *buf, u64 len)
{
	for (u64 now, pa; len; at += now, buf += now, len -= now) {
		if (!(now = dma_piece(b, &d, at, len, &pa)))
			return dma_abort(b, d.ask.requester);
		phys_write(b, dma_who(&d.ask), pa, buf, now);
	}
	return true;
}

/* "Message Signalled Interrupts": one aligned dword, a memory cycle like any other to who guards the memory. */
static bool message(struct bus *b, struct dma d, u64 at, const u8 *buf, u64 len)
{
	u32 data;

	if (len != sizeof(data) || (at & 3) || !b->msi || !allowed(b, &d.ask, &at, &len))
		return dma_abort(b, d.ask.requester);
	memcpy(&data, buf, sizeof(data));
	b->msi(b->msi_arg, dma_who(&d.ask), at, data);
	return true;
}

bool dma_read(struct bus *b, u16 requester, u64 pa, void *buf, u64 len)
{
	return dma_in(b, memory_cycle(requester, USE_READ, false), pa, buf, len);
}

bool dma_load(struct bus *b, u16 requester, u64 pa, void *buf, u64 len)
{
	return dma_in(b, memory_cycle(requester, USE_READ, true), pa, buf, len);
}

bool dma_write(struct bus *b, u16 requester, u64 pa, const void *buf, u64 len)
{
	struct dma d = memory_cycle(requester, USE_WRITE, false);

	return pa >= MSI_BASE && pa < MSI_END ? message(b, d, pa, buf, len) : dma_out(b, d, pa, buf, len);
}

bool dma_store(struct bus *b, u16 requester, u64 pa, const void *buf, u64 len)
{
	return dma_out(b, memory_cycle(requester, USE_WRITE, true), pa, buf, len);
}

/* ---- I/O cycles ---- */

static bool port_open(struct bus *b, const struct dma_request *r, u16 port, unsigned size)
{
	u64 at = port, len = size;

	return dma_may(b, r, &at, &len) && (b->port_map[port] || dma_abort(b, r->requester));
}

bool dma_port_read(struct bus *b, u16 requester, u16 port, unsigned size, u32 *value)
{
	struct dma_request r = {.requester = requester, .cycle = CYCLE_IO, .use = USE_READ};
	struct initiator before = b->who;

	*value = (u32)low_bytes(~0ull, size);
	if (!port_open(b, &r, port, size))
		return false;
	b->who = dma_who(&r);
	*value = (u32)bus_port_read(b, port, size);
	b->who = before;
	return true;
}

bool dma_port_write(struct bus *b, u16 requester, u16 port, unsigned size, u32 value)
{
	struct dma_request r = {.requester = requester, .cycle = CYCLE_IO, .use = USE_WRITE};
	struct initiator before = b->who;

	if (!port_open(b, &r, port, size))
		return false;
	b->who = dma_who(&r);
	bus_port_write(b, port, size, value);
	b->who = before;
	return true;
}
