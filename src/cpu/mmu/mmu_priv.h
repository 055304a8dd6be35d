/*
 * What mmu.c, tlb.c, walk.c and access.c share and nobody else sees.
 */
#ifndef CPU_MMU_PRIV_H
#define CPU_MMU_PRIV_H

#include "cpu/mmu/mmu.h"
#include "cpu/state/events.h"
#include "cpu/state/phys.h"

/* ---- contexts: the 12-bit numbers in L1 tags ---- */
#define CTX_NEVER MMU_CTX_NEVER
#define CTX_MAX   1022u /* numbers 1..CTX_MAX are given out; then the L1 is cleared and numbering restarts */
#define CTX_HASH  1024u

/* Everything that decides whether an L1 entry may answer. Flushes change an epoch, hence the key, hence the number. */
struct ctx_key { /* MEASURED: whole words; narrower members would be stored apart and compared together */
	u64 epoch_all, epoch_some; /* entries born before these are gone: global ones, others */
	u64 apic;                  /* the local APIC's page, which hides RAM; ~0: none */
	u64 view;  /* 31:0 user, supervisor, supervisor with AC, paging-mode bits, SMM; 63:32 PKRU */
	u64 where; /* 15:0 space; 31:16 PCID; 63:32 the generation of what is seen of physical memory, plus a number that
	              is raised when pieces of a large page must leave the L1: both only grow, so does the sum */
};
static inline u16 key_space(const struct ctx_key *k)
{
	return (u16)k->where;
}
static inline u16 key_pcid(const struct ctx_key *k)
{
	return (u16)(k->where >> 16);
}

struct ctx_slot {
	struct ctx_key key;
	u16 next; /* in its hash chain; 0: last */
};

/* In L2, translations made while paging is off (second stage alone) must not mix with PCID 0's. */
#define PCID_UNPAGED 0x1000u

#define FETCH_ENTRIES 256u
struct fetch_entry {
	u64 tag;
	pa_t page;
	const u8 *host; /* of the page; NULL: no memory */
};

#define BLOOM_BITS 4096u
struct bloom {
	u64 w[BLOOM_BITS / 64];
};

#define PCID_FLUSHES 1024u
struct pcid_flush { /* the last flush of one (space, pcid) */
	u32 key;    /* space << 13 | pcid, plus 1; 0: empty */
	u64 epoch;
};

struct l1_contexts {
	u64 ctx;            /* the real number, even while cpu->ctx is CTX_NEVER */
	struct recent_ctx {
		struct ctx_key key;
		u64 ctx;
		bool valid;
	} recent[2]; /* the current context, and the one before: a world switch goes back to it (MEASURED) */
	unsigned now;
	u64 epoch; /* now */
	u64 flushed_everything;
	u64 *flushed_all;   /* per space: all entries */
	u64 *flushed_local; /* per space: all but global ones */
	struct pcid_flush pcid_flush[PCID_FLUSHES];
	u32 l1_gen;
	u16 used; /* numbers given out */
	u16 bucket[CTX_HASH];
	struct ctx_slot slot[CTX_MAX + 1];
	pa_t page[1 << L1_BITS]; /* beside each L1 entry: where the page is */
	u64 held[1 << L1_BITS];  /* ... what its tag_r would be, but that loads of a guarded page take the slow way */
	u64 held_w[1 << L1_BITS]; /* ... and its tag_w, while the watch wants to hear of every access */
	struct fetch_entry fetch[FETCH_ENTRIES];
	struct bloom l1_large;  /* large guest pages with pieces in the L1 or the fetch cache since the last l1_gen */
	struct bloom l2_pieces; /* large guest pages that are in L2 as smaller pieces */
	struct walk_mode walk;  /* of the paging mode behind walk_key; 0: none yet */
	u64 walk_key;
	struct observer maps; /* told when what is seen of physical memory has changed */
	struct {              /* what this processor sees of it outside and in SMM where that is not what the bus shows */
		struct space_veil veil[MMU_VEILS];
		unsigned veils;
		struct space seen;
	} own[2];
	struct walk_memo memo[WALK_MEMOS];
	u32 large_sizes;        /* bit n: pages of 2^n bytes were put into tlb.large since the last full flush */
};

static inline const struct ctx_key *current_context(const struct l1_contexts *h)
{
	return &h->recent[h->now].key;
}

/* Where an access leads. */
struct xlate {
	pa_t pa;                       /* A20 applied */
	bool own;                      /* the local APIC's page, or the trap page: no memory, whatever is there */
	const struct tlb_entry *entry; /* NULL: no paging and no second stage */
	bool suspect;                  /* the watch wants to hear of the next access as well */
};

/* While there is a watch: of an access whose translation is cached. true: as `suspect`. */
bool mmu_told(struct cpu *c, la_t la, unsigned access);

/* One page: TLB, else walk. user: the access counts as CPL 3. */
enum xr mmu_translate(struct cpu *c, la_t la, unsigned access, struct xlate *x) must_check;
static inline bool mmu_is_user(const struct cpu *c, unsigned access)
{
	return c->cpl == 3 && !(access & ACC_SUPER);
}
/* Do the cached rights allow the access under the registers of this moment? */
bool mmu_allowed(const struct cpu *c, const struct tlb_entry *e, unsigned access);
/* The page of the local APIC while it answers to memory accesses, else ~0. */
static inline u64 mmu_apic_page(const struct cpu *c)
{
	return (c->apic.base & (BIT(11) | BIT(10))) == BIT(11) ? c->apic.base & mask(51, 12) : ~0ull;
}

/* ---- tlb.c ---- */
const struct tlb_entry *tlb_lookup(struct cpu *c, la_t la);
/* Fills in of *e what the context says. cached: an entry for la is there, and is replaced. */
const struct tlb_entry *tlb_insert(struct cpu *c, la_t la, struct tlb_entry *e, bool cached);
u16 tlb_current_pcid(const struct cpu *c);

static inline unsigned bloom_slot(u64 page, unsigned shift)
{
	return (unsigned)(((page + shift) * 0x9e3779b97f4a7c15ull) >> 52);
}
static inline void bloom_put(struct bloom *b, la_t la, unsigned shift)
{
	unsigned n = bloom_slot(la >> shift, shift);
	b->w[n / 64] |= BIT(n % 64);
}
static inline bool bloom_has(const struct bloom *b, la_t la, unsigned shift)
{
	unsigned n = bloom_slot(la >> shift, shift);
	return (b->w[n / 64] >> (n % 64)) & 1;
}

#endif
