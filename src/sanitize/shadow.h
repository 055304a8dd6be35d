/*
 * shadow: what processors may have cached of paging structures, without any bound: which entries each has read since the
 * last invalidation that covers them, and which of those memory has changed since. Nothing is kept of where an address
 * led: of two entries, the one that was read and the one that is there now, everything else follows when it is asked for.
 *
 * A domain is what one processor caches under one tag, by which invalidations find it:
 *	EPT     the root table (EPTP 51:12): guest-physical and combined mappings are tagged with it
 *	NPT     the ASID, and the root table beside it: one domain for each root that an ASID has had
 * May call: cpu, mem. Called by: the sanitizer's kinds of stale translations and of reachable structures.
 */
#ifndef SANITIZE_SHADOW_H
#define SANITIZE_SHADOW_H

#include "cpu/cpu.h"
#include "cpu/mmu/mmu.h"
#include "cpu/state/watch.h"

struct shadow_page {
	struct shadow_page *next;
	u64 page;
};

/* A table's entry that changed after the domain's processor had read it. */
struct shadow_change {
	struct shadow_change *next;
	struct shadow_page *except; /* pages that it translated, of which nothing is cached any more */
	u64 base;            /* the first address that it translates; bits above `shift` decide */
	u8 shift, level;     /* level as in struct walk_rules; one above the root: the pointer to the root table */
	pa_t pa;             /* of the entry */
	u64 was, now;
	struct origin set;
	u8 by;               /* enum by */
	u16 id;              /* processor or requester */
	u64 at, when;        /* the shadow's count, and the clock, at the time */
	bool told;
};

struct shadow_flush { /* the last one that covered a domain; at 0: none */
	u64 at, insn;
	const char *name;
};

struct shadow_domain {
	struct shadow_domain *next; /* of the same processor */
	unsigned cpu;
	u8 tables;           /* enum watch_tables */
	u16 asid;            /* NPT */
	u64 root;
	struct walk_mode mode;
	u64 mode_key;
	bool keeps_ad;       /* accessed and dirty bits are maintained */
	u64 used;            /* the shadow's count when an entry was last read; 0: never */
	struct shadow_flush flush;
	struct shadow_page *violated; /* parts of large pages that an access has been refused to, and none granted since */
	struct shadow_change *changes;
	unsigned untold;
};

/* A table as one domain reads it. */
struct shadow_view {
	struct shadow_view *next;
	struct shadow_domain *domain;
	u64 base, since;     /* first address translated; count when the bits were last cleared */
	u8 level;
	u64 used[PAGE_SIZE / 4 / 64];
	u64 *read; /* entries as they were read, where they have since been granted more; 0: as in memory. NULL: none */
};

struct shadow_table {
	struct shadow_view *views;
	pa_t pa;
	u8 seen[PAGE_SIZE];
};

struct shadow_cpu {
	struct shadow_domain *domains, *current; /* current: of the guest at this root and space */
	u64 stage2_root;
	u16 space;
	u64 entered;         /* the shadow's count at the last VM entry */
	unsigned untold;     /* changes of its domains that nobody has heard of */
};

struct shadows {
	struct bus *bus;
	struct cpu *const *cpus;
	unsigned count;
	struct observer stores;
	struct shadow_table ***table; /* by page of memory, 1024 each */
	struct shadow_mapping **mapping; /* the same: what led there last by a small page */
	u64 now;             /* counts entries, changes and flushes */
	bool off;            /* there was no memory */
	struct shadow_cpu cpu[CPU_MAX];
	/* An entry was read for the first time since the last flush, and it maps a page. May be NULL. */
	void (*mapped)(struct shadows *s, struct cpu *c, struct shadow_domain *d, u64 base, unsigned shift, u64 to);
	/* A page is a table of some domain, of which nothing was cached before. */
	void (*is_table)(struct shadows *s, struct cpu *c, pa_t pa);
	void *arg;
};

#define SHADOW_CHUNK 1024u

struct shadow_mapping {
	struct shadow_domain *domain;
	u64 base;
};
/* A domain that has read an entry that maps this page, a small one; NULL: none, or nothing of it is cached any more. */
const struct shadow_mapping *shadow_mapping(const struct shadows *s, pa_t pa);
/* Is the page a table that a walk of some domain goes through? */
bool shadow_is_table(const struct shadows *s, pa_t pa);

enum status shadow_init(struct shadows *s, struct bus *bus, struct cpu *const *cpus, unsigned count);
void shadow_fini(struct shadows *s);
void shadow_forget_all(struct shadows *s); /* memory is another one: a machine's state was loaded */

struct shadow_domain *shadow_domain(struct shadows *s, const struct cpu *c, u8 tables, u16 asid, u64 root);
/* The table at this place of memory; NULL: nobody reads one there. */
struct shadow_table *shadow_table(const struct shadows *s, const u8 *host);
/* Has the domain read the entry at pa for addr since it was flushed? */
bool shadow_has_read(const struct shadows *s, const struct shadow_domain *d, pa_t pa, unsigned level, u64 addr);
/* What the walk read may be cached from now on. */
void shadow_note(struct shadows *s, struct cpu *c, struct shadow_domain *d, const struct watch_walk *w);
/* Nothing of the domain is cached any more. */
void shadow_flush(struct shadows *s, struct shadow_domain *d, const char *name);
/* Nothing of the page at this address: an access to it was refused. */
void shadow_flush_page(struct shadows *s, struct shadow_domain *d, u64 addr);
/* Does the entry, as it was, still translate this address for the processor? */
bool shadow_covers(const struct shadow_change *c, u64 addr);
struct shadow_change *shadow_add(struct shadows *s, struct shadow_domain *d, const struct shadow_change *change);
void shadow_told(struct shadows *s, struct shadow_domain *d, struct shadow_change *c);

/* ---- entries (entry.c) ---- */

/* What an entry says, in one form for all formats. */
struct shadow_entry {
	bool present, maps;
	u8 rights;           /* enum acc */
	bool user_exec;      /* EPT with mode-based execute control: bit 10 */
	u8 type;             /* of memory, as the entry has it: to compare */
	bool dirty, accessed;
	u64 to;              /* the page, or the next table */
};
struct shadow_entry shadow_entry(const struct walk_mode *m, u8 tables, u64 raw, unsigned level);
unsigned shadow_shift(const struct walk_mode *m, unsigned level);
/* Does this change of an entry that may be cached ask for an invalidation? NULL: no, else the manual's rule. */
const struct shadow_rule *shadow_rule(const struct shadow_domain *d, u64 was, u64 now, unsigned level);
struct shadow_rule {
	const char *rule, *manual;
};
/* Where an address leads from this table on, by what memory holds. false: nowhere; what was read on the way is there. */
struct shadow_place {
	struct shadow_entry entry;
	u64 at, raw;
	pa_t pa;             /* of the entry */
	unsigned level;
	u8 rights;           /* of all levels */
	u8 allowed[WALK_LEVELS]; /* of each; 0: not reached */
	struct walk_step step[WALK_LEVELS];
	unsigned steps;
};
bool shadow_walk(struct cpu *c, const struct shadow_domain *d, u64 table, unsigned level, u64 addr, u8 rights,
                 struct shadow_place *out);

#endif
