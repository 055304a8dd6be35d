/* What the files of sanitize/ know of each other. */
#ifndef SANITIZE_PARTS_H
#define SANITIZE_PARTS_H

#include "sanitize/sanitize.h"

#define NOWHERE CPU_MAX   /* no processor */
#define NO_PAGE (~0ull)

/* The control block of a guest: a VMCS or a VMCB. */
struct region {
	pa_t pa;
	bool vmcb;
	u8 cpu;      /* VMCS: where it is active; VMCB: where it ran last; NOWHERE: none */
	u64 written[WATCH_WORDS]; /* VMCS: fields that have a value */
	void *last;  /* VMCB: the page as the last #VMEXIT left it; NULL: it has not run */
	struct origin loaded; /* VMCS: VMPTRLD that made it active */
	/* What was not delivered, and the monitor owes to the guest. */
	struct event owed;
	u64 owed_rip, owed_code, exits; /* of the exit; exits of this control block */
	const char *owed_name, *owed_field;
	u32 owed_value;
	bool deferred; /* something else was injected first */
	struct region *next;
};
#define REGION_BUCKETS 256u

/* Of one processor. */
struct sanitize_cpu {
	pa_t vmxon, hsave; /* its own pages; NO_PAGE: none */
	pa_t posted;       /* the posted-interrupt descriptor of the guest it runs; NO_PAGE: none */
	struct watch_area area[WATCH_AREAS]; /* what that guest's control block refers to */
	unsigned areas;
	int acknowledged;  /* vector of an exit, which the monitor has not asked for yet; -1: none */
	bool in_service;   /* ... it was in its local APIC's ISR */
};

struct sanitize {
	struct watch_ops ops;
	struct bus *bus;
	struct cpu *const *cpus;
	unsigned count;
	struct sanitize_cpu cpu[CPU_MAX];
	struct region *bucket[REGION_BUCKETS];
	struct observer stores;
	bool lost; /* memory ran out: told once */
	struct shadows *shadow; /* translations that processors may have cached; NULL: no kind wants to know */
};

static inline struct sanitize *sanitize_of(const struct cpu *c)
{
	return c->watch->arg;
}

/* ---- sanitize.c ---- */
void sanitize_found(struct cpu *c, enum watch_kind k, struct refusal *r);
struct origin sanitize_here(const struct cpu *c, enum origin_kind kind); /* the running instruction */
void sanitize_line(struct refusal *r, const char *label, const struct origin *who, const char *fmt, ...) printf_like(4, 5);
void sanitize_lost(struct sanitize *s);

/* ---- regions.c ---- */
struct region *region_find(struct sanitize *s, pa_t pa); /* NULL: none */
struct region *region_make(struct sanitize *s, pa_t pa); /* NULL: out of memory */
void regions_guard(struct sanitize *s, pa_t pa); /* accesses to this page are told from now on */
void regions_entering(struct cpu *c, const struct watch_entry *e);
void regions_forget(struct sanitize *s);
void regions_reset(struct cpu *c);
void regions_ops(struct watch_ops *o);
void regions_written(void *arg, const struct written *w);
void regions_dma_read(void *arg, struct initiator who, u64 pa, u64 len);

/* ---- stale.c ---- */
enum status stale_init(struct sanitize *s) must_check;
void stale_fini(struct sanitize *s);
void stale_ops(struct watch_ops *o);
void stale_entered(struct cpu *c);
void stale_reset(struct cpu *c, bool init);

/* ---- reach.c ---- */
struct shadows;
enum status reach_init(struct shadows *s) must_check;
void reach_fini(struct shadows *s);
void reach_structures(struct cpu *c, const struct watch_structure *list, unsigned n);
void reach_used_directly(struct cpu *c, la_t la, pa_t pa, unsigned rights);

/* ---- events.c ---- */
void events_ops(struct watch_ops *o);

#endif
