/*
 * mem: guest RAM and ROM, the spaces that show it, the physical bus (port I/O and MMIO ranges), interrupt lines, and the
 * one door for DMA. May call: base. Called by: cpu (loads, stores, IN and OUT that leave the processor), dev, machine.
 */
#ifndef MEM_MEM_H
#define MEM_MEM_H

#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"
#include "mem/space.h"

/* One byte per page of RAM is all that a store consults; zero means "store freely". */
enum page_flag {
	PAGE_CODE = 1,    /* holds decoded instructions: the store goes through mem_written() */
	PAGE_CLEAN = 2,   /* not written since the last snapshot or hash: first store clears it */
	PAGE_WATCHED = 4, /* holds a line that a processor monitors */
	PAGE_GUARDED = 8, /* a structure of virtualisation whose ordinary use is a mistake; loads are told as well */
	PAGE_KEPT = 32,   /* who stores there is kept: all pages, or none */
	PAGE_TABLE = 16,  /* paging structures that a processor may have cached something of */
};

/* A store to a page whose flag byte was not zero; inside one page. */
struct written {
	struct initiator who;
	u64 pa, len;
	const u8 *host; /* the memory it went to, whatever the address */
};

/* Who wants to know. Owned by whoever asked, linked into the bus; told in the order of asking. */
struct observer {
	u8 pages;                                           /* enum page_flag: of stores to which pages */
	void (*written)(void *arg, const struct written *w);
	void (*remapped)(void *arg);                        /* a space has a new generation; may be NULL */
	void *arg;
	struct observer *next;
};

struct mem_block { /* RAM low and high, then ROM images */
	u64 base, size; /* physical; page aligned */
	u64 offset;     /* into memory */
	bool rom;
};

/* Memory of a device, behind RAM in the file: in no space but by an overlay. */
#define MEM_ASIDES 4
struct mem_aside {
	u64 offset, size; /* in the file; page aligned */
	u16 blank;        /* what every word of it holds that nobody has written */
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
	bool no_devices; /* of memory: there is nothing here for the cycles of devices */
	struct bus_range *next;
};

/* What a device puts on the bus beside messages: memory, I/O and configuration cycles. */
enum cycle { CYCLE_MEMORY, CYCLE_IO, CYCLE_CONFIG };
struct dma_request {
	u16 requester;
	u8 cycle; /* enum cycle */
	u8 use;   /* enum use */
};
/* May a device do this, and where does its address lead? Device protection and translation. */
struct dma_guard {
	/* *at becomes where the access goes, *len what of it is answered for. false: refused. An I/O cycle's address is its
	 * port, a configuration cycle's the function and register as in ECAM. */
	bool (*allow)(void *arg, const struct dma_request *r, u64 *at, u64 *len);
	void *arg;
};

/*
 * Who takes part when a processor makes a secure start ("SKINIT Operation", 33047 "SL Image Verification"): each a
 * transaction that only the processor's own instruction sends, which software can therefore not imitate. Called by the
 * instruction, in this order, once each. NULL: nobody is there to hear it; the start goes on all the same.
 */
struct secure_init {
	/* Keep devices from the 64 KiB from slb on, a physical address of that alignment. Before any of it is read. */
	void (*protect)(void *arg, u64 slb);
	/* Hash start, data, hash end at locality 4. size: of the image in bytes, 0 to 65535; the image is the caller's and
	 * only for the call. */
	void (*measure)(void *arg, const void *image, u64 size);
	/* Not of the start: the bootstrap processor has taken INIT, and the exclusion of devices ends ("Action of INIT"). */
	void (*init)(void *arg);
	void *arg;
};

struct bus {
	struct space space[SPACES];
	u32 generations;                    /* cache: given out to maps */
	struct mem_block block[MEM_BLOCKS]; /* wired */
	unsigned blocks;                    /* wired */
	struct mem_aside aside[MEM_ASIDES];      /* wired */
	unsigned asides;                         /* wired */
	struct space_overlay *overlay[OVERLAYS]; /* wired: the last one laid wins where two speak of the same use */
	unsigned overlays;                       /* wired */
	u8 *memory;       /* wired: the memory file, RAM low and high back to back, then ROM images. Its content is state */
	u8 *memory_flags; /* cache: one enum page_flag byte per page of it, set by who watches */
	u64 memory_size, file_size, ram_size; /* wired */
	int memfd;                            /* wired */

	struct bus_range *mmio, *ports; /* the last mapped first: it wins where two overlap */
	struct bus_range **port_map;    /* cache: 65536 entries */
	struct bus_range *last_mmio;    /* cache */
	bool mmio_overlap;              /* cache: two MMIO ranges overlap, so the order decides */
	struct hooks *hooks;
	struct clock *clock;
	struct observer *observers; /* wired */
	/* Told of what devices read of pages with PAGE_GUARDED. NULL: nobody listens. */
	void (*guarded_read)(void *arg, struct initiator who, u64 pa, u64 len);
	void *guarded_arg; /* wired */
	struct initiator who;       /* scratch: whose access is under way; a device may ask */
	struct dma_guard guard;     /* wired; allow NULL: devices may do everything */
	struct secure_init secure;  /* wired */
	/* What a processor tells the chipset of system management mode: the SMI acknowledge cycle (active) and the one that
	 * ends it. NULL: nobody listens. */
	void (*smi_ack)(void *arg, unsigned cpu, bool active);
	void *smi_ack_arg; /* wired */
	/* Told of every device access that was refused or that nobody claims: the requester's status register has a bit for it. */
	void (*aborted)(void *arg, u16 requester);
	void *aborted_arg; /* wired */
	/* Where message-signalled interrupts go: stores by DMA to FEExxxxxh. Set by the machine. */
	void (*msi)(void *arg, struct initiator who, u64 addr, u32 data);
	void *msi_arg; /* wired */
	u64 mmio_accesses, port_accesses; /* statistics */
};

/* ---- memory.c ---- */
/* low_end: where low memory ends when there is more; the rest starts at 4 GiB. */
enum status bus_init(struct bus *b, struct clock *clock, struct hooks *hooks, u64 ram_size, u64 low_end, struct err *err);
void bus_fini(struct bus *b);
enum status bus_add_rom(struct bus *b, u64 base, const void *image, u64 size, struct err *err);
/* Memory that belongs to a device: where it is; NULL: there is no more. Every word of it holds `blank`. */
u8 *bus_add_aside(struct bus *b, u64 size, u16 blank);
static inline u64 mem_place(const struct bus *b, const u8 *host)
{
	return (u64)(host - b->memory);
}
static inline u8 *mem_flag(const struct bus *b, const u8 *host)
{
	return b->memory_flags + (mem_place(b, host) >> PAGE_SHIFT);
}
void bus_observe(struct bus *b, struct observer *o); /* o->pages, written, remapped, arg set by the caller */
void bus_unobserve(struct bus *b, struct observer *o);
/* A store to pages of memory of which one may have a flag byte that is not zero: tells whoever asked, clears PAGE_CLEAN.
 * Call before or after the bytes move, never not at all. */
void mem_written(struct bus *b, struct initiator who, const u8 *host, u64 pa, u64 len);
/* Memory from one place to another reads zero again: RAM alone, wherever maps show it. Costs what was in use. */
void mem_clear(struct bus *b, u64 from, u64 to);

/* ---- space.c ---- */
/* Lay an overlay over what is there, or take it away; false: there are too many. What was laid, lifted or written into
 * overlays counts from the next bus_remap() on. */
bool bus_overlay(struct bus *b, struct space_overlay *o) must_check;
void bus_lift(struct bus *b, struct space_overlay *o);
void bus_remap(struct bus *b);
void bus_mask_a20(struct bus *b, bool masked);
/* *out is what `from` shows, but for what the veils hide; its generation is a new one. */
void bus_veil(struct bus *b, const struct space *from, const struct space_veil *veil, unsigned veils, struct space *out);
/* What this initiator sees. */
static inline const struct space *bus_space(const struct bus *b, struct initiator who)
{
	return &b->space[who.by == BY_DEVICE ? SPACE_DMA : who.smm ? SPACE_SMM : SPACE_CPU];
}
/* What processors read at pa; NULL: not memory. */
static inline u8 *bus_memory(const struct bus *b, u64 pa)
{
	const struct space_part *p = space_find(&b->space[SPACE_CPU], pa, USE_READ);

	return p ? space_host(p, pa) : NULL;
}

/* ---- bus.c ---- */
void bus_map(struct bus *b, struct bus_range *r); /* r->base, size, ops... set by the caller */
void bus_unmap(struct bus *b, struct bus_range *r);
void bus_move(struct bus *b, struct bus_range *r, u64 base);
void bus_relink(struct bus *b, struct bus_range *r); /* r->base and mapped were written from outside */
struct bus_range *bus_device(struct bus *b, u64 pa); /* who answers where there is no memory; NULL: nobody */

/* Accesses to what is not memory. size 1, 2, 4, 8; unclaimed reads give all ones. */
u64 bus_mmio_read(struct bus *b, u64 pa, unsigned size);
void bus_mmio_write(struct bus *b, u64 pa, unsigned size, u64 value);
u64 bus_port_read(struct bus *b, u16 port, unsigned size);
void bus_port_write(struct bus *b, u16 port, unsigned size, u64 value);

/* ---- access.c ---- */
/* Any length, memory or devices, as s shows them. */
void space_read(struct bus *b, const struct space *s, struct initiator who, u64 pa, void *buf, u64 len);
void space_write(struct bus *b, const struct space *s, struct initiator who, u64 pa, const void *buf, u64 len);
/* As the bus shows them to this initiator. */
void phys_read(struct bus *b, struct initiator who, u64 pa, void *buf, u64 len);
void phys_write(struct bus *b, struct initiator who, u64 pa, const void *buf, u64 len);

/* The same by who plays firmware. */
void bus_read(struct bus *b, u64 pa, void *buf, u64 len);
void bus_write(struct bus *b, u64 pa, const void *buf, u64 len);
u64 bus_read_u64(struct bus *b, u64 pa);
u32 bus_read_u32(struct bus *b, u64 pa);
void bus_write_u64(struct bus *b, u64 pa, u64 v);
void bus_write_u32(struct bus *b, u64 pa, u32 v);

/* Every DMA comes through here with its requester's PCI id (bus << 8 | device << 3 | function). false: from some byte on
 * it was refused or hit nothing, a master abort; what lies before has moved, and the rest of a read is all ones. */
bool dma_read(struct bus *b, u16 requester, u64 pa, void *buf, u64 len);
bool dma_write(struct bus *b, u16 requester, u64 pa, const void *buf, u64 len);
/* The same where only memory will do: rings and buffers, whose addresses software chose. */
bool dma_load(struct bus *b, u16 requester, u64 pa, void *buf, u64 len);
bool dma_store(struct bus *b, u16 requester, u64 pa, const void *buf, u64 len);
/* I/O cycles that a device makes; size 1, 2, 4. */
bool dma_port_read(struct bus *b, u16 requester, u16 port, unsigned size, u32 *value);
bool dma_port_write(struct bus *b, u16 requester, u16 port, unsigned size, u32 value);
/* A guard's answer, for cycles that others carry out; a refusal has been told to `aborted`. */
bool dma_may(struct bus *b, const struct dma_request *r, u64 *at, u64 *len);
/* The cycle of this requester ended in a master abort. Always false. */
bool dma_abort(struct bus *b, u16 requester);

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
