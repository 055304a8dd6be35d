/*
 * The watch: what the vendors and mmu/ tell of a monitor's structures while somebody looks for its mistakes (sanitize/).
 * c->watch is NULL otherwise, and whoever tells asks for that first. Nobody here changes anything: a run that is watched and
 * one that is not retire the same instructions with the same results.
 */
#ifndef CPU_WATCH_H
#define CPU_WATCH_H

#include "cpu/state/state.h"
#include "cpu/state/watch_tables.h"

/* What is looked for: a row each of sanitize/kinds.c. */
enum watch_kind {
	WATCH_NEVER_WRITTEN,  /* a VM entry reads a field that nobody ever gave a value */
	WATCH_READ_UNSET,     /* VMREAD does */
	WATCH_NOT_CLEARED,    /* VMPTRLD of a region that VMCLEAR has not initialised */
	WATCH_TWO_PROCESSORS, /* a VMCS active on two processors */
	WATCH_CLEAR_ELSEWHERE, /* VMCLEAR of a VMCS that is active on another processor */
	WATCH_VMXOFF_ACTIVE,  /* VMXOFF with active VMCSs */
	WATCH_VMXON_AS_VMCS,  /* the VMXON region of another processor as a VMCS */
	WATCH_VMXON_SHARED,   /* one VMXON region for two processors */
	WATCH_VMCS_ACCESS,    /* ordinary accesses to an active VMCS */
	WATCH_VMXON_ACCESS,
	WATCH_HSAVE_ACCESS,
	WATCH_HSAVE_SHARED,   /* one host save area for two processors */
	WATCH_POSTED_STORE,   /* an unlocked store to the posted-interrupt descriptor of a running guest */
	WATCH_CLEAN_CHANGED,  /* a VMCB field changed under its clean bit */
	WATCH_CLEAN_MOVED,    /* clean bits at the first VMRUN of a VMCB, or the first on this processor */
	WATCH_EVENT_DROPPED,  /* an event whose delivery a VM exit had interrupted */
	WATCH_ACK_DROPPED,    /* an interrupt that a VM exit has acknowledged */
	WATCH_INTR_HELD,      /* V_INTR_MASKING with RFLAGS.IF 0 at VMRUN */
	WATCH_OPEN_WINDOW,    /* interrupts can be taken between the monitor's last look and VMRUN */
	WATCH_AREA_MODIFIED,  /* what a VMCS refers to is modified while a guest runs with it */
	WATCH_EPT_STALE,      /* a translation that the tables no longer say, not invalidated, is used */
	WATCH_NPT_STALE,
	WATCH_REACH_BLOCK,    /* a guest's tables let it write what its monitor has given to the processor */
	WATCH_REACH_HOST,
	WATCH_REACH_BITMAP,
	WATCH_REACH_MSRS,
	WATCH_REACH_APIC,
	WATCH_REACH_TABLE,
	WATCH_REACH_READ,
	WATCH_KINDS
};

#define WATCH_FIELDS 192 /* room for every slot of a VMCS */
#define WATCH_WORDS  (WATCH_FIELDS / 64)

/* What a control block refers to, bitmaps and lists; not the tables of translation. */
struct watch_area {
	pa_t pa;
	u32 len;
	const char *name; /* of the field that refers to it */
};
#define WATCH_AREAS 16

/* What VM entry or VMRUN has from its control block, told before the guest's state is loaded. */
struct watch_entry {
	pa_t block;
	u64 at;               /* rip of VMLAUNCH, VMRESUME or VMRUN */
	struct event inject;  /* EV_NONE: nothing */
	u64 rip;              /* of the guest */
	bool open, nmi_open;  /* the guest would take an external interrupt, an NMI */
	u32 irr[8];           /* vectors that are pending virtually */
	bool vnmi;            /* a virtual NMI is pending */
	pa_t posted;          /* the posted-interrupt descriptor; ~0: none */
	struct watch_area area[WATCH_AREAS];
	unsigned areas;
};

struct watch_exit {
	pa_t block;
	struct event vectoring; /* was being delivered; EV_NONE: nothing */
	const char *field;      /* ... in which the monitor finds it */
	u32 value;              /* ... its low half */
	u64 rip;                /* of the guest, as saved */
	u64 code;
	const char *name;
	int acknowledged;       /* vector, -1: none */
	const void *page;       /* 4 KiB of the control block as the exit left it; NULL: they are not in memory */
};

/* All of them are there. They are called with the processor that did it, behind its checks: what failed did nothing. */
struct watch_ops {
	void *arg;
	u64 kinds; /* bit n: enum watch_kind n is looked for */

	/* A finding: event, fields, lines, then and fix are the caller's; what it leaves 0 of check, rule, manual, fix, rip,
	 * insn and cpu is filled in. */
	void (*found)(struct cpu *c, enum watch_kind k, struct refusal *r);
	void (*reset)(struct cpu *c, bool init);

	/* An ordinary access to a page with PAGE_GUARDED; use: enum use. Stores reach an observer of the bus instead. */
	void (*touched)(struct cpu *c, pa_t pa, u32 len, unsigned use);

	/* VMX */
	void (*vmxon)(struct cpu *c, pa_t pa);
	void (*vmxoff)(struct cpu *c);
	void (*vmclear)(struct cpu *c, pa_t pa);
	void (*vmptrld)(struct cpu *c, pa_t pa);
	/* Which fields of a VMCS have had a value: a bit for each slot. NULL: it was there before the watch. */
	u64 *(*written)(struct cpu *c, pa_t pa);

	/* SVM: VM_HSAVE_PA was written; 0: none. */
	void (*hsave)(struct cpu *c, pa_t was, pa_t now);
	/* The page of a VMCB as the last #VMEXIT left it, 4 KiB; NULL: it has not run. *cpu: where. */
	const void *(*last_run)(struct cpu *c, pa_t pa, unsigned *cpu);

	void (*entering)(struct cpu *c, const struct watch_entry *e); /* checks have passed, nothing is loaded yet */
	void (*entered)(struct cpu *c); /* the guest is loaded */
	void (*left)(struct cpu *c, const struct watch_exit *x);
	struct watch_tables_ops tables;
	void (*asked)(struct cpu *c); /* the monitor has read what the exit acknowledged */
};

static inline bool watched(const struct cpu *c, enum watch_kind k)
{
	return c->watch->kinds >> k & 1;
}

/* ---- with c->watch ---- */
static inline void watch_page(struct cpu *c, const u8 *page, pa_t pa, u32 len, unsigned use)
{
	if (*mem_flag(c->bus, page) & PAGE_GUARDED)
		c->watch->touched(c, pa, len, use);
}

#endif
