/*
 * walk: the page walker. Guest paging, EPT and NPT are one loop over a description; who calls it decides what the
 * result means. The loop reads entries, tests presence and reserved bits, gathers permissions and sets accessed bits of
 * the entries it passes; the caller judges permissions and then calls walk_mark() for the entry that maps the page. May
 * call: mem, cpu->virt->memory.stage2. Called by: mmu, and the vendors' second stages.
 *
 *	walk_mode_set(&mode, &(struct walk_rules){ .format = &walk_ept4, .present = 7, ... });   when the mode changes
 *	struct walk_request q = { .mode = &mode, .root = eptp & ..., .addr = gpa };
 *	TRY(walk_run(c, &q, &r));
 *	if (r.kind != WALK_OK || (r.all & wanted) != wanted) -> violation or misconfiguration, told from r
 *	TRY(walk_mark(c, &q, &r, write));
 *	use r.pa, r.page_shift
 */
#ifndef CPU_MMU_WALK_H
#define CPU_MMU_WALK_H

#include "arch/arch.h"
#include "cpu/state/insn.h"

struct cpu;
struct walk_step;

struct walk_level {
	const char *name;  /* "PML4E" */
	u64 reserved;      /* must be 0 in an entry that points to a table (address bits above phys_bits come on top) */
	u64 reserved_page; /* must be 0 in one that maps a page */
	u64 neutral;       /* permission bits this level lacks: read as granted */
};

struct walk_format {
	const char *name;
	u8 levels;     /* 2, 3, 4, 5 */
	u8 entry_size; /* 4 or 8: a table is a page */
	u8 addr_bits;  /* of the address translated: 32, 48, 57 */
	u64 deny;      /* permission bits that forbid instead of granting (NX) */
	u64 accessed, dirty;
	struct walk_level level[5]; /* from the root down */
};
extern const struct walk_format walk_legacy, walk_pae, walk_long4, walk_long5, walk_ept4, walk_ept5;

/* Entry bits of the guest formats (and NPT, which is one of them). */
#define PTE_P  BIT(0)
#define PTE_W  BIT(1)
#define PTE_U  BIT(2)
#define PTE_A  BIT(5)
#define PTE_D  BIT(6)
#define PTE_PS BIT(7)
#define PTE_G  BIT(8)
#define PTE_NX BIT(63)

/* Entry bits of EPT. */
#define EPT_R  BIT(0)
#define EPT_W  BIT(1)
#define EPT_X  BIT(2)
#define EPT_A  BIT(8)
#define EPT_D  BIT(9)
#define EPT_XU BIT(10) /* user-mode execute, with mode-based execute control */

/* What one mode of paging asks of entries: the format, made precise by registers and model. */
struct walk_rules {
	const struct walk_format *format;
	u64 present;        /* an entry with none of these bits is not present: PTE_P; EPT: 7, with MBEC 7 | EPT_XU */
	u64 reserved;       /* reserved in every entry on top of the format's: PTE_NX while EFER.NXE = 0 */
	u64 reserved_upper; /* reserved in entries of level 3 and above that point to a table
	                       (QUIRK_UPPER_BIT8_RESERVED) */
	u8 phys_bits;       /* MAXPHYADDR */
	u8 large;           /* bit n: entries of level n (1 is the lowest) map a page if bit 7 is set */
	bool pse36;         /* 4 MiB pages have address bits 39:32 in bits 20:13 */
	u16 bad_perms;      /* EPT: bit n set: permission field n (R 1, W 2, X 4, and XU 8 with MBEC) is a
	                       misconfiguration */
	u8 bad_memtypes;    /* EPT: bit n set: memory type n (bits 5:3 of a page's entry) is a misconfiguration */
};

#define WALK_LEVELS 6 /* numbered from 1, the lowest */

/* The rules as every step of every walk looks at them: masks by level. */
struct walk_mode {
	struct walk_rules rules;
	bool fields;             /* there are bad_perms or bad_memtypes */
	u64 maps[WALK_LEVELS];   /* an entry with one of these bits maps a page */
	u64 bad[2][WALK_LEVELS]; /* bits that must be 0: in an entry that points to a table, in one that maps a page */
};
void walk_mode_set(struct walk_mode *m, const struct walk_rules *rules);

/*
 * What a walk read and where it led. Who asks again and finds the same entries in memory needs no second walk: nothing
 * is kept that memory does not confirm. Kept for the pages that hold a guest's own tables, which every walk under a
 * second stage asks for.
 */
#define WALK_MEMOS 16
struct walk_memo {
	u64 root, mode, page; /* cpu->stage2_root and stage2_mode, page of the address; mode 0: empty */
	u32 map;              /* generation of what the processor sees */
	pa_t pa;              /* of the page */
	bool dirty_ok, unguarded;
	u8 n;                          /* WALK_LEVELS: an entry was not in RAM, this cannot be kept */
	const u8 *at[WALK_LEVELS - 1]; /* the entries, in the computer's memory */
	u64 value[WALK_LEVELS - 1];
};

struct walk_request {
	const struct walk_mode *mode;
	u64 root;                /* address of the root table, already masked */
	u64 addr;                /* linear or guest-physical address to translate */
	bool keep_ad;            /* accessed and dirty bits are maintained (EPT: EPTP bit 6) */
	bool nested;             /* table addresses are guest-physical: translate them by cpu->virt->memory.stage2() */
	bool peek;               /* no side effects at all */
	struct walk_memo *memo;  /* the entries read go there; NULL: not wanted */
	const u64 *pdpte;        /* PAE: the PDPTE registers stand in for the root level; NULL: read it from memory */
	struct walk_step *steps; /* record of the entries read, NULL: none wanted */
	unsigned max_steps, n_steps;
};

/* The rules of "EPT Misconfigurations" as data. */
#define EPT_BAD_PERMS          0x4444u /* writable but not readable: x10b, with or without the others */
#define EPT_BAD_PERMS_NO_XONLY 0x5550u /* and executable but not readable, where execute-only is not supported */
#define EPT_BAD_MEMTYPES       ((u8)(1 << 2 | 1 << 3 | 1 << 7))

enum walk_kind {
	WALK_OK, /* every entry present and well-formed; permissions are the caller's to judge */
	WALK_NOT_PRESENT,
	WALK_RESERVED, /* reserved bit set; EPT: misconfiguration */
};

struct walk_result {
	enum walk_kind kind;
	u8 level;            /* of the last entry read; 1 is the lowest */
	u8 page_shift;       /* valid if WALK_OK: 12, 21, 22, 30 */
	u8 memtype;          /* EPT: bits 5:3 of the page's entry */
	bool ignore_pat;     /* EPT: bit 6 */
	u64 entry;           /* the last entry read */
	u64 entry_addr;      /* where it lies, before the second stage */
	pa_t entry_pa;       /* where it lies on the bus */
	bool entry_dirty_ok; /* cache: the second stage lets the walker write there */
	u64 all;             /* AND of the permission bits of all entries so far */
	u64 upper;           /* the same without the last entry */
	bool unguarded;      /* the second stage said so of some entry's page */
	u64 any;             /* OR of them: for bits that forbid (NX) */
	u64 pa;              /* the address translated, offset included; valid if WALK_OK */
};

/* XR_OK: see r->kind. Anything else came from the second stage and is passed on. */
enum xr walk_run(struct cpu *c, struct walk_request *q, struct walk_result *r) must_check;
/* Set the accessed bit, and for stores the dirty bit, of the entry that maps the page. After the permission checks. */
enum xr walk_mark(struct cpu *c, const struct walk_request *q, struct walk_result *r, bool dirty) must_check;

#endif
