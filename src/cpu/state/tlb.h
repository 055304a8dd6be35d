/* The two levels of remembered translations: cpu/mmu/ fills, searches and forgets them. */
#ifndef CPU_STATE_TLB_H
#define CPU_STATE_TLB_H

#include "arch/arch.h"

/* L1: 1024 entries of 32 bytes. Tag: page of the linear address | context number (never 0). */
#define L1_BITS 10
#define MMU_CTX_NEVER 4095u /* no entry ever carries this number: every access takes the slow path */
struct l1_entry {
	u64 tag_r, tag_w; /* tag_w set only if the page may be written without a walk (dirty bit already set). Where
	                     reads and writes lead to different memory, one of them is 0 */
	uintptr_t add;    /* host address = linear address + add */
	u8 *flag;         /* the page's enum page_flag byte */
};

/* Space: 0 is the host's (ASID 0, VPID 0 outside guests); others are interned by the vendor: VMX (VPID, EPTP 51:12), SVM
 * the ASID. The handler in system-management mode has its own, so that what the interrupted program may still use of old
 * translations does not depend on SMIs. */
#define TLB_SPACE_SMM 0xffff
struct tlb_tag {
	u16 space;
	u16 pcid;
};

#define TLB_SETS 512
#define TLB_WAYS 4
struct tlb_entry {
	u64 vpn;        /* linear address >> page_shift */
	u64 pfn;        /* physical address >> 12 of the page's start */
	gpa_t gpa;      /* where the first stage led (for exits that report it) */
	u16 space, pcid;
	u8 page_shift;  /* 12, 21, 22, 30: the smaller of both stages */
	u8 guest_shift; /* the first stage's page size: INVLPG removes every piece of it */
	u8 perms;       /* enum acc bits of the first stage; of the second one << 4 */
	u8 pkey, memtype;
	bool valid, global, user, dirty;
	u64 born;       /* flush epoch in which it was filled: flushes compare, nothing is scanned */
};

/* What the first level did not answer, and what became of it. */
struct tlb_counts {
	u64 lookups, walks;
	u64 second; /* second-stage walks: of the address itself, and of paging structures */
	u64 flushes_all, flushes_space, flushes_page;
};

struct tlb {
	struct tlb_counts count; /* statistics */
	struct tlb_entry small[TLB_SETS][TLB_WAYS]; /* 4 KiB */
	struct tlb_entry large[64][TLB_WAYS];       /* 2 MiB, 4 MiB, 1 GiB */
	u8 small_next[TLB_SETS], large_next[64];    /* round robin */
};

/* Translations by any combination of space, PCID and page. Unused parts match all. */
struct tlb_match {
	u16 space, pcid;
	bool any_space, any_pcid, any_page, globals;
	la_t la;
};

#endif
