/*
 * space: physical memory as someone sees it. The bus has three: what processors see, what they see in system management
 * mode, and what devices see. A space says for every page and every use of it (read, write, fetch) which memory is
 * there; where there is none, the access goes to the devices of the bus, or to nobody. RAM lies below, ROM over it, and
 * over both the overlays, by which a chipset sends pages elsewhere.
 *
 * A map that changed has a new generation, which no space of the bus ever had before. Whoever remembers what a map said
 * remembers the generation with it: nothing is flushed, what is stale is not found.
 */
#ifndef MEM_SPACE_H
#define MEM_SPACE_H

#include "base/base.h"

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

enum use { USE_READ = 1, USE_WRITE = 2, USE_FETCH = 4, USE_ALL = USE_READ | USE_WRITE | USE_FETCH };
enum { SPACE_CPU, SPACE_SMM, SPACE_DMA, SPACES };

/* Memory that a space shows in one piece. */
struct space_part {
	u64 base, size; /* physical; page aligned */
	u8 *host;       /* its first byte in the computer's memory */
	u8 uses;        /* enum use: accesses that lead there; others have another part, or none */
};

#define OVERLAYS    24
#define MEM_BLOCKS  8
#define SPACE_PARTS (3 * 2 * (OVERLAYS + MEM_BLOCKS)) /* a boundary at every end of everything, each use on its own */

struct space {
	u32 generation;  /* cache: a new number for every new map */
	bool a20_masked; /* A20M: bit 20 of every access of a processor reads as 0 */
	unsigned count;                      /* cache: of parts */
	struct space_part part[SPACE_PARTS]; /* cache: made of blocks and overlays; the largest first */
};

/* Pages that go elsewhere than to what lies below. Owned by the chipset, which lays it over the bus. */
struct space_overlay {
	u64 base, size;
	u64 memory; /* where the first page lies in memory */
	bool device; /* a device's own memory: seen where otherwise the device would be asked */
	struct {
		u8 memory, outside; /* enum use: accesses that go there, or past all RAM to ROM, devices or nobody */
	} to[SPACES];
};

/* Addresses that lead nowhere: those that equal the base where the mask is 1, for these uses. */
struct space_veil {
	u64 base, mask; /* page aligned; bits above the physical-address width are 1 in the mask */
	u8 uses;        /* enum use */
};

static inline const struct space_part *space_find(const struct space *s, u64 pa, unsigned use)
{
	for (unsigned n = 0; n < s->count; n++)
		if (pa - s->part[n].base < s->part[n].size && (s->part[n].uses & use))
			return &s->part[n];
	return NULL;
}
static inline u8 *space_host(const struct space_part *p, u64 pa)
{
	return p->host + (pa - p->base);
}
/* The memory at pa, of which *room bytes follow each other; NULL: not memory. */
static inline u8 *space_memory(const struct space *s, u64 pa, unsigned use, u64 *room)
{
	const struct space_part *p = space_find(s, pa, use);

	*room = p ? p->base + p->size - pa : 0;
	return p ? space_host(p, pa) : NULL;
}

#endif
