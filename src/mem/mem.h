/*
 * mem: guest RAM, the physical bus (port I/O and MMIO ranges), interrupt lines, and the one door for DMA.
 * May call: base. Called by: cpu (loads, stores, IN and OUT that leave the processor), dev, machine.
 */
#ifndef MEM_MEM_H
#define MEM_MEM_H

#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ull
#define PAGE_MASK  (~(PAGE_SIZE - 1))

/* Who makes a physical access. */
enum by {
	BY_CPU,      /* a processor, by an instruction or an event */
	BY_WALK,     /* its page walks, of both stages */
	BY_VIRT,     /* what virtualisation keeps in memory: VMCB, VMCS, and the tables and pages they point to */
	BY_DEVICE,   /* DMA */
	BY_LOADER,   /* who plays firmware before the first instruction */
	BY_DEBUGGER, /* who looks on from outside */
};
struct initiator {
	u8 by;    /* enum by */
	bool smm; /* of a processor: it is in system management mode */
	u16 id;   /* a processor's number, a device's requester id */
};

/* One byte per page of RAM is all that a store consults; zero means "store freely". */
enum page_flag {
	PAGE_CODE = 1,    /* holds decoded instructions: the store goes through mem_page_written() */
	PAGE_CLEAN = 2,   /* not written since the last snapshot or hash: first store clears it */
	PAGE_WATCHED = 4, /* holds a line that a processor monitors */
};

/* A store to a page whose flag byte was not zero; inside one page. */
struct written {
	struct initiator who;
	u64 pa, len;
};

/* Who wants to know. Owned by whoever asked, linked into the bus; told in the order of asking. */
struct observer {
	u8 pages; /* enum page_flag: of which pages */
	void (*written)(void *arg, const struct written *w);
	void *arg;
	struct observer *next;
};

struct ram_region {
	u64 base, size; /* physical; page aligned */
	u64 offset;     /* into the memory file */
	u8 *host;       /* mapped here */
	u8 *flags;      /* one enum page_flag byte per page */
	bool rom;       /* stores are dropped */
};

struct bus;

/* offset is relative to the range's base; size 1, 2, 4 or 8 (ports: 1, 2, 4). The bus splits accesses a device does not
 * take: max_size bounds what ops see, min_size widens reads below it. */
struct bus_ops {
	u64 (*read)(void *dev, u64 offset, unsigned size);
	void (*write)(void *dev, u64 offset, unsigned size, u64 value);
	u8 min_size, max_size; /* 0: 1 and 8 (ports 1 and 4) */
};

struct bus_range { /* owned by the device; linked into the bus while mapped */
	const struct bus_ops *ops;
	void *dev;
	const char *name;
	u64 base, size;
	bool port, mapped;
	struct bus_range *next;
};

struct bus {
	struct ram_region ram[8]; /* sorted by base */
	unsigned ram_count;
	struct bus_range *mmio, *ports; /* the last mapped first: it wins where two overlap */
	struct bus_range **port_map;    /* cache: 65536 entries */
	struct bus_range *last_mmio;    /* cache */
	bool mmio_overlap;              /* cache: two MMIO ranges overlap, so the order decides */
	struct hooks *hooks;
	struct clock *clock;
	int memfd;
	u8 *ram_host; /* the memory file, mapped once, low and high RAM back to back; ROM images follow in the file */
	u8 *ram_flags;
	u64 file_size;
	u64 ram_size;
	bool a20_masked; /* A20M: bit 20 of every processor access reads as 0 */
	struct observer *observers;
	/* Where message-signalled interrupts go: stores by DMA to FEExxxxxh. Set by the machine. */
	void (*msi)(void *arg, u64 addr, u32 data);
	void *msi_arg;
	u64 mmio_accesses, port_accesses; /* statistics */
};

/* low_end: where low memory ends when there is more; the rest starts at 4 GiB. */
enum status bus_init(struct bus *b, struct clock *clock, struct hooks *hooks, u64 ram_size, u64 low_end, struct err *err);
void bus_fini(struct bus *b);
enum status bus_add_rom(struct bus *b, u64 base, const void *image, u64 size, struct err *err);

void bus_map(struct bus *b, struct bus_range *r);  /* r->base, size, ops... set by the caller */
void bus_unmap(struct bus *b, struct bus_range *r);
void bus_move(struct bus *b, struct bus_range *r, u64 base);

/* NULL if pa is not RAM (or ROM). Constant time. */
static inline const struct ram_region *bus_ram(const struct bus *b, u64 pa)
{
	for (unsigned n = 0; n < b->ram_count; n++)
		if (pa - b->ram[n].base < b->ram[n].size)
			return &b->ram[n];
	return NULL;
}
static inline u8 *ram_ptr(const struct ram_region *r, u64 pa)
{
	return r->host + (pa - r->base);
}
static inline u8 *ram_flag(const struct ram_region *r, u64 pa)
{
	return r->flags + ((pa - r->base) >> PAGE_SHIFT);
}

void bus_observe(struct bus *b, struct observer *o); /* o->pages, written, arg set by the caller */
void bus_unobserve(struct bus *b, struct observer *o);

/* A store to a page whose flag byte is not zero: tells whoever asked, clears PAGE_CLEAN. Call before or after the bytes
 * move, never not at all. */
void mem_page_written(struct bus *b, struct initiator who, const struct ram_region *r, u64 pa, u64 len);

/* Physical accesses of a processor to what is not RAM. size 1, 2, 4, 8; unclaimed reads give all ones. */
u64 bus_mmio_read(struct bus *b, u64 pa, unsigned size);
void bus_mmio_write(struct bus *b, u64 pa, unsigned size, u64 value);
u64 bus_port_read(struct bus *b, u16 port, unsigned size);
void bus_port_write(struct bus *b, u16 port, unsigned size, u64 value);

bool bus_claims(struct bus *b, u64 pa, u64 len); /* every byte is RAM, ROM or a device's */

/* Any length, RAM or MMIO. */
void phys_write(struct bus *b, struct initiator who, u64 pa, const void *buf, u64 len);

/* The same by who plays firmware. */
void bus_read(struct bus *b, u64 pa, void *buf, u64 len);
void bus_write(struct bus *b, u64 pa, const void *buf, u64 len);
static inline u64 bus_read_u64(struct bus *b, u64 pa)
{
	const struct ram_region *r = bus_ram(b, pa);
	u64 v;

	if (likely(r && pa - r->base <= r->size - sizeof(v)))
		memcpy(&v, ram_ptr(r, pa), sizeof(v));
	else
		bus_read(b, pa, &v, sizeof(v));
	return v;
}
u32 bus_read_u32(struct bus *b, u64 pa);
void bus_write_u64(struct bus *b, u64 pa, u64 v);
void bus_write_u32(struct bus *b, u64 pa, u32 v);

/* Every DMA comes through here with its requester's PCI id (bus << 8 | device << 3 | function); device protection will
 * live here. false: the access was refused or hit nothing. */
bool dma_read(struct bus *b, u16 requester, u64 pa, void *buf, u64 len);
bool dma_write(struct bus *b, u16 requester, u64 pa, const void *buf, u64 len);

/* An interrupt line: an edge-free level wire from a device to a controller's input. */
struct irq_line {
	void (*set)(void *arg, unsigned n, bool level);
	void *arg;
	unsigned n;
	bool level;
};
static inline void irq_set(struct irq_line *l, bool level)
{
	if (l->set && l->level != level) {
		l->level = level;
		l->set(l->arg, l->n, level);
	}
}

#endif
