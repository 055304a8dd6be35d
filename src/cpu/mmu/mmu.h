/*
 * mmu: one page walker over per-format descriptions, the TLBs, and the only way to guest memory by linear address.
 * May call: mem (the bus), cpu->virt->memory.stage2. Called by: exec, events, segments, decode.
 *
 * Two levels. L2 is the architectural TLB: tagged by struct tlb_tag, entries leave by the architecture's rules or by
 * capacity, so stale translations persist exactly as written. L1 is a host-pointer cache in front of it, direct-mapped,
 * tagged by a 12-bit context number that stands for (space, pcid, privilege view); forgetting a context number is the
 * O(1) flush, so that a world switch clears nothing.
 */
#ifndef CPU_MMU_H
#define CPU_MMU_H

#include "cpu/state/tlb.h"
#include "cpu/mmu/walk.h" /* the walker: guest paging, EPT and NPT are the same loop with another description */
#include "mem/mem.h"

enum acc {
	ACC_READ = 1, ACC_WRITE = 2, ACC_EXEC = 4, ACC_RMW = ACC_READ | ACC_WRITE,
	ACC_SUPER = 8, /* implicit supervisor access: descriptor tables, TSS */
	ACC_STACK = 16, /* non-canonical is #SS(0), not #GP(0) */
	ACC_CROSSES = 32, /* set inside mmu: one part of an access that crosses a page; its length is in bits 31:16 */
};
#define ACC_LENGTH(len) ((unsigned)(len) << 16)

/* A range of at most 4096 bytes, every page of it translated before the first byte moves. */
struct span {
	la_t la;
	u32 len;
	u8 access;
	unsigned parts;
	struct span_part {
		pa_t pa;
		u32 len;
		u8 *from, *to; /* memory that is read there, memory that is written; NULL: a device's, or nobody's */
	} part[2];
};
enum xr mem_span(struct cpu *c, la_t la, u32 len, unsigned access, struct span *s) must_check;
void span_read(struct cpu *c, const struct span *s, u32 off, void *buf, u32 len);
void span_write(struct cpu *c, const struct span *s, u32 off, const void *buf, u32 len);

/* Out-of-line scalars: everything the L1 does not answer (misses, page crossings, MMIO, watched pages, alignment checks,
 * data breakpoints). size 1, 2, 4, 8. A write-intent read (ACC_RMW) makes the following write of the same bytes infallible. */
enum xr mmu_read_slow(struct cpu *c, la_t la, unsigned size, unsigned access, void *out) must_check;
enum xr mmu_write_slow(struct cpu *c, la_t la, unsigned size, unsigned access, const void *in) must_check;

/* Until the second, the accesses of a locked instruction are looked at for bus locks: none is answered by the L1. true: there was one. */
u64 mmu_watch_locks(struct cpu *c);
bool mmu_unwatch_locks(struct cpu *c, u64 watch);

/* One instruction-fetch translation: where the bytes at `la` live, up to the page's end. host NULL: not in memory. */
struct fetch {
	pa_t pa;
	const u8 *host;
};
enum xr mmu_fetch(struct cpu *c, la_t la, struct fetch *f) must_check;

void mmu_hold(struct cpu *c, const u8 *page); /* its flag byte has got PAGE_GUARDED */
/* Every access is told to the watch once more, and what is not suspect to it is quick again afterwards. */
void mmu_hold_all(struct cpu *c);
/* No faults, no accessed/dirty updates: debuggers, evidence, explanations. false: not mapped. */
bool mmu_peek(struct cpu *c, la_t la, pa_t *pa);
/* The paging entries a walk for `la` reads, for the evidence block's `walk` line. Returns the count. */
struct walk_step {
	const char *name; /* "PML4E" */
	u64 addr, value;
	pa_t pa; /* addr behind the second stage */
};
unsigned mmu_walk_steps(struct cpu *c, la_t la, struct walk_step *steps, unsigned max);

/* ---- flushes, in the architecture's words ---- */
void tlb_flush_all(struct cpu *c);                                    /* every space */
void tlb_flush_space(struct cpu *c, u16 space, bool keep_global);     /* one ASID or VPID */
void tlb_flush_pcid(struct cpu *c, u16 space, u16 pcid, bool keep_global);
void tlb_flush_page(struct cpu *c, u16 space, u16 pcid, la_t la, bool globals_too); /* INVLPG: with globals */
void tlb_flush_page_any_pcid(struct cpu *c, u16 space, la_t la);
void tlb_flush_matching(struct cpu *c, const struct tlb_match *m); /* broadcast invalidation */
void tlb_set_space(struct cpu *c, u16 space);                         /* at VM entry and exit */

/* Recompute the context number after anything that changes how addresses translate: CPL, CR0, CR3, CR4, EFER, RFLAGS.AC,
 * PKRU, space, second stage on or off, DR7, alignment checking. Cheap. */
void mmu_update_context(struct cpu *c);
/* What the processor itself hides of physical memory, outside SMM or in it, from its instructions, walks and fetches. */
#define MMU_VEILS 3
void mmu_veil(struct cpu *c, bool smm, const struct space_veil *veil, unsigned veils);
/* PDPTE registers: MOV CR3 and friends under PAE. XR_FAULT: #GP(0), nothing loaded. */
enum xr mmu_load_pdptes(struct cpu *c, u64 cr3) must_check;
enum status mmu_init(struct cpu *c); /* of a processor that is new: all else of it is zero */
void mmu_fini(struct cpu *c);
/* The n'th place of the TLB: *e, valid only if it may still be used. false: there are no more places. */
bool mmu_tlb_at(const struct cpu *c, size_t n, struct tlb_entry *e);
void mmu_forget_pointers(struct cpu *c); /* the L1 is filled anew: a debugger watches other pages than before */

#endif
