/* What a watch is told of translations: a part of struct watch_ops (watch.h). */
#ifndef CPU_WATCH_TABLES_H
#define CPU_WATCH_TABLES_H

#include "arch/arch.h"
#include "cpu/state/insn.h"

struct cpu;
struct walk_mode;
struct walk_step;

enum watch_tables { WATCH_EPT, WATCH_NPT };

/* Rights beside enum acc's: by a user-mode access, for NPT every one; to fetch from a user-mode address (mode-based
 * execute control). */
enum { WATCH_USER = 64, WATCH_EXEC_USER = 128 };

/* A translation that a processor has just used, or has tried to. */
struct watch_walk {
	u8 tables;           /* enum watch_tables */
	u8 access;           /* enum acc, and the above: what was wanted */
	bool granted;        /* otherwise an exit or a fault follows */
	bool keeps_ad;       /* accessed and dirty bits are maintained */
	bool table;          /* of one of the guest's own tables */
	u16 asid;            /* NPT */
	u64 root, addr;
	const struct walk_mode *mode;
	u64 mode_key;        /* another one: the mode is another one */
	const struct walk_step *step; /* the entries read; NULL: none were, the TLB had it */
	unsigned steps;
	la_t linear;
	bool has_linear;
};

/* What the guest that runs has no business with: a range of physical memory that its monitor has given to the processor. */
enum watch_structure_kind { STRUCTURE_BLOCK, STRUCTURE_HOST, STRUCTURE_BITMAP, STRUCTURE_MSRS, STRUCTURE_APIC };
struct watch_structure {
	pa_t pa;
	u32 len;
	u8 kind;          /* enum watch_structure_kind */
	const char *name; /* "MSR bitmaps" */
};
#define WATCH_STRUCTURES 16

struct watch_tables_ops {
	/* Behind a walk, before its processor goes on. */
	void (*walked)(struct cpu *c, const struct watch_walk *w);
	bool (*suspicious)(struct cpu *c); /* would used() look closer? */
	/* An access whose translation is known or has been found. true: the next one wants to be told as well. */
	bool (*used)(struct cpu *c, la_t la, gpa_t gpa, unsigned access);
	/* ... of a guest without a second level, where guest-physical is physical; rights: enum acc that its tables allow. */
	void (*used_directly)(struct cpu *c, la_t la, pa_t pa, unsigned rights);
	void (*structures)(struct cpu *c, const struct watch_structure *list, unsigned n); /* of the guest that was entered */
	void (*emptied)(struct cpu *c); /* all that the TLB has is invalidated */
	void (*invept)(struct cpu *c, u64 eptp, bool all);
	void (*asid_flushed)(struct cpu *c, u16 asid, bool all, const char *name); /* nested translations as well */
};

#endif
