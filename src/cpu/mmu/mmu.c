/*
 * From linear to physical: which format is in force, what the rights say, what the fault is. The walk itself is walk.c,
 * what is remembered of it tlb.c.
 */
#include "cpu/mmu/mmu_priv.h"

#include "cpu/state/watch.h"

#define ACC_KINDS (ACC_READ | ACC_WRITE | ACC_EXEC)

/* ---- which walk ---- */
static const struct walk_format *format_now(const struct cpu *c)
{
	if (c->efer & EFER_LMA)
		return (c->cr4 & CR4_LA57) ? &walk_long5 : &walk_long4;
	return (c->cr4 & CR4_PAE) ? &walk_pae : &walk_legacy;
}

static cold void set_guest_mode(const struct cpu *c, struct walk_mode *m)
{
	const struct walk_format *f = format_now(c);
	struct walk_rules u = {
	        .format = f,
	        .present = PTE_P,
	        .reserved = f->deny && !(c->efer & EFER_NXE) ? PTE_NX : 0,
	        .phys_bits = c->phys_bits,
	        .large = 1 << 2,
	};

	if (f == &walk_legacy) {
		u.large = (c->cr4 & CR4_PSE) ? 1 << 2 : 0;
		u.pse36 = has(c, FEAT_PSE36);
	} else if (f != &walk_pae) {
		u.large |= has(c, FEAT_PDPE1GB) ? 1 << 3 : 0;
		u.reserved_upper = quirk(c, QUIRK_UPPER_BIT8_RESERVED) ? BIT(8) : 0;
	}
	walk_mode_set(m, &u);
}

/* The rules of the mode in force, made anew when what they come from has changed. */
static const struct walk_mode *guest_mode(struct cpu *c)
{
	struct l1_contexts *h = c->l1_contexts;
	u64 key = (c->cr4 & (CR4_PSE | CR4_PAE | CR4_LA57)) | (c->efer & (EFER_LMA | EFER_NXE)) << 16 |
	          (u64)c->phys_bits << 48;

	if (unlikely(h->walk_key != key)) {
		set_guest_mode(c, &h->walk);
		h->walk_key = key;
	}
	return &h->walk;
}

static struct walk_request guest_request(struct cpu *c, la_t la)
{
	const struct walk_mode *m = guest_mode(c);
	const struct walk_format *f = m->rules.format;
	bool pae = f == &walk_pae;

	return (struct walk_request){
	        .mode = m,
	        .root = f == &walk_legacy ? c->cr3 & 0xfffff000
	                : pae             ? c->cr3 & 0xffffffe0
	                                  : c->cr3 & mask(51, 12),
	        .addr = la,
	        .keep_ad = true,
	        .nested = c->stage2,
	        .pdpte = pae && !c->pdpte_on_demand ? c->pdpte : NULL,
	};
}

/* ---- rights: "Determination of Access Rights", "Protection Keys" ---- */
static bool keys_forbid(const struct cpu *c, const struct tlb_entry *e, unsigned access)
{
	if (!(c->cr4 & CR4_PKE) || !(c->efer & EFER_LMA) || !e->user || (access & ACC_EXEC))
		return false;
	u32 rights = c->pkru >> (2 * e->pkey);
	if (rights & 1) /* ADi */
		return true;
	return (rights & 2) && (access & ACC_WRITE) && (mmu_is_user(c, access) || (c->cr0 & CR0_WP));
}

static bool first_stage_allows(const struct cpu *c, const struct tlb_entry *e, unsigned access)
{
	bool user = mmu_is_user(c, access);

	if (user && !e->user)
		return false;
	if (access & ACC_EXEC)
		return (e->perms & ACC_EXEC) && !(!user && e->user && (c->cr4 & CR4_SMEP));
	if (!user && e->user && (c->cr4 & CR4_SMAP) && ((access & ACC_SUPER) || !(c->rflags & FL_AC)))
		return false;
	if ((access & ACC_WRITE) && !(e->perms & ACC_WRITE) && (user || (c->cr0 & CR0_WP)))
		return false;
	return !keys_forbid(c, e, access);
}

bool mmu_allowed(const struct cpu *c, const struct tlb_entry *e, unsigned access)
{
	unsigned want = access & ACC_KINDS;

	if (((unsigned)(e->perms >> 4) & want) != want)
		return false;
	return e->pcid == PCID_UNPAGED || first_stage_allows(c, e, access);
}

/* "Page-Fault Exceptions" (SDM 3, Paging). why: PF_P, PF_P | PF_RSV or 0; e: the rights found, NULL if the walk failed.
 */
static enum xr page_fault(struct cpu *c, la_t la, unsigned access, u32 why, const struct tlb_entry *e)
{
	if (access & ACC_WRITE)
		why |= PF_W;
	if (mmu_is_user(c, access))
		why |= PF_U;
	if ((access & ACC_EXEC) && ((c->cr4 & CR4_SMEP) || ((c->cr4 & CR4_PAE) && (c->efer & EFER_NXE))))
		why |= PF_I;
	if (e && keys_forbid(c, e, access))
		why |= PF_PK;
	return fault_pf(c, la, why);
}

/* ---- first stage ---- */
/* "Page-Attribute Table Mechanism": PAT, PCD and PWT of the entry that maps the page. */
static u8 pat_type(const struct cpu *c, const struct walk_result *r)
{
	unsigned bit = r->page_shift == PAGE_SHIFT ? 7 : 12;
	unsigned index = (unsigned)(bits(r->entry, bit, bit) << 2 | bits(r->entry, 4, 3));

	return (u8)(c->pat >> (8 * index) & 7);
}

static void note_first_stage(const struct cpu *c, const struct walk_result *r, struct tlb_entry *e)
{
	e->perms = ACC_READ | ((r->all & PTE_W) ? ACC_WRITE : 0) | ((r->any & PTE_NX) ? 0 : ACC_EXEC);
	e->user = (r->all & PTE_U) != 0;
	e->global = (r->entry & PTE_G) && (c->cr4 & CR4_PGE);
	e->pkey = (c->efer & EFER_LMA) ? (u8)bits(r->entry, 62, 59) : 0;
	e->page_shift = e->guest_shift = r->page_shift;
	e->memtype = pat_type(c, r);
}

static enum xr first_stage(struct cpu *c, la_t la, unsigned access, struct tlb_entry *e, gpa_t *gpa, bool *unguarded)
{
	if (!(c->cr0 & CR0_PG)) {
		*e = (struct tlb_entry){.perms = ACC_KINDS,
		                        .page_shift = 30,
		                        .guest_shift = PAGE_SHIFT,
		                        .memtype = MT_WB,
		                        .user = true,
		                        .dirty = true,
		                        .pcid = PCID_UNPAGED};
		*gpa = la;
		return XR_OK;
	}
	struct walk_request q = guest_request(c, la);
	struct walk_result r;

	TRY(walk_run(c, &q, &r));
	if (r.kind != WALK_OK)
		return page_fault(c, la, access, r.kind == WALK_RESERVED ? PF_P | PF_RSV : 0, NULL);
	*e = (struct tlb_entry){.valid = true};
	note_first_stage(c, &r, e);
	if (!first_stage_allows(c, e, access))
		return page_fault(c, la, access, PF_P, e);
	TRY(walk_mark(c, &q, &r, access & ACC_WRITE));
	e->dirty = (r.entry & PTE_D) != 0;
	*gpa = r.pa;
	*unguarded = r.unguarded;
	return XR_OK;
}

/* ---- both ---- */
static enum xr both_stages(struct cpu *c, la_t la, unsigned access, struct tlb_entry *e)
{
	gpa_t gpa = la;
	bool unguarded = false;

	TRY(first_stage(c, la, access, e, &gpa, &unguarded));
	pa_t pa = gpa;
	e->perms |= ACC_KINDS << 4;
	if (c->stage2) {
		struct stage2_req q = {
		        .gpa = gpa,
		        .why = S2_FINAL,
		        .access = (u8)(access & ACC_KINDS),
		        .crosses = (access & ACC_CROSSES) != 0,
		        .length = (u16)(access >> 16),
		        .unguarded = unguarded,
		        .user = e->user,
		        .perms = e->perms & ACC_KINDS,
		        .memtype = e->memtype,
		        .linear = la,
		        .has_linear = true,
		};
		struct stage2_res r = {.page_shift = PAGE_SHIFT};

		c->tlb.count.second++;
		TRY(c->virt->memory.stage2(c, &q, &r));
		pa = r.pa;
		e->perms = (u8)((e->perms & ACC_KINDS) | (r.perms & ACC_KINDS) << 4);
		e->dirty = e->dirty && r.dirty_ok;
		e->memtype = r.memtype;
		if (r.page_shift < e->page_shift)
			e->page_shift = r.page_shift;
	}
	u64 inside = BIT(e->page_shift) - 1;
	e->gpa = gpa & ~inside;
	e->pfn = (pa & ~inside) >> PAGE_SHIFT;
	return XR_OK;
}

/*
 * A cached entry that refuses is no reason to fault: software may have granted more since without a flush, and the
 * manual lets the processor look again ("Optional Invalidation": spurious faults are allowed, not required). So the
 * walk decides. A fault then removes what was cached for the address ("Page-fault exceptions ... invalidate").
 */
static enum xr walk_and_fill(struct cpu *c, la_t la, unsigned access, bool cached, const struct tlb_entry **out)
{
	struct tlb_entry e;
	enum xr r = both_stages(c, la, access, &e);

	c->tlb.count.walks++;
	if (unlikely(r != XR_OK)) {
		if (cached)
			tlb_flush_page(c, c->space, tlb_current_pcid(c), la, true);
		return r;
	}
	*out = tlb_insert(c, la, &e, cached);
	return XR_OK;
}

static cold bool tell_watch(struct cpu *c, la_t la, unsigned access, const struct tlb_entry *e)
{
	gpa_t gpa = e->gpa + (la & (BIT(e->page_shift) - 1));

	if (c->guest && !c->stage2)
		c->watch->tables.used_directly(c, la, gpa, e->perms & ACC_KINDS);
	return c->watch->tables.used(c, la, gpa, access & ACC_KINDS);
}

enum xr mmu_translate(struct cpu *c, la_t la, unsigned access, struct xlate *x)
{
	pa_t pa = la;

	x->entry = NULL;
	x->suspect = false;
	if ((c->cr0 & CR0_PG) || c->stage2) {
		const struct tlb_entry *e = tlb_lookup(c, la);

		c->tlb.count.lookups++;
		if (!e || !mmu_allowed(c, e, access) || ((access & ACC_WRITE) && !e->dirty))
			TRY(walk_and_fill(c, la, access, e != NULL, &e));
		pa = (e->pfn << PAGE_SHIFT) + (la & (BIT(e->page_shift) - 1));
		x->entry = e;
		if (unlikely(c->watch))
			x->suspect = tell_watch(c, la, access, e);
	} else if (unlikely(c->watch) && c->guest) {
		c->watch->tables.used_directly(c, la, la, ACC_KINDS);
	}
	pa = cpu_phys(c, pa);
	x->pa = pa;
	x->own = ((pa & PAGE_MASK) == mmu_apic_page(c) && !(access & ACC_EXEC)) || (pa & PAGE_MASK) == c->trap_page;
	return XR_OK;
}

/* What the L1 and the fetch cache know has outlived its entry in the TLB, maybe: then the first stage says once more where
 * the address leads. */
static bool guest_address(struct cpu *c, la_t la, gpa_t *gpa)
{
	const struct tlb_entry *e = tlb_lookup(c, la);
	struct walk_request q = guest_request(c, la);
	struct walk_result r;

	q.peek = true;
	*gpa = la;
	if (e)
		*gpa = e->gpa + (la & (BIT(e->page_shift) - 1));
	else if (!(c->cr0 & CR0_PG))
		return true;
	else if (walk_run(c, &q, &r) != XR_OK || r.kind != WALK_OK)
		return false;
	else
		*gpa = r.pa;
	return true;
}

bool mmu_told(struct cpu *c, la_t la, unsigned access)
{
	gpa_t gpa;

	if (!c->watch->tables.suspicious(c) || !((c->cr0 & CR0_PG) || c->stage2) || !guest_address(c, la, &gpa))
		return false;
	return c->watch->tables.used(c, la, gpa, access & ACC_KINDS);
}

/* ---- without side effects ---- */
static bool peek(struct cpu *c, la_t la, struct walk_request *q, pa_t *pa)
{
	gpa_t gpa = la;

	if (c->cr0 & CR0_PG) {
		struct walk_result r;
		q->peek = true;
		if (walk_run(c, q, &r) != XR_OK || r.kind != WALK_OK)
			return false;
		gpa = r.pa;
	}
	*pa = gpa;
	if (c->stage2) {
		struct stage2_req s = {.gpa = gpa,
		                       .why = S2_FINAL,
		                       .access = ACC_READ,
		                       .linear = la,
		                       .has_linear = true,
		                       .peek = true};
		struct stage2_res r = {.page_shift = PAGE_SHIFT};
		if (c->virt->memory.stage2(c, &s, &r) != XR_OK)
			return false;
		*pa = r.pa;
	}
	*pa = cpu_phys(c, *pa);
	return true;
}

bool mmu_peek(struct cpu *c, la_t la, pa_t *pa)
{
	struct walk_request q = guest_request(c, la);

	if ((c->efer & EFER_LMA) && !is_canonical(la, c->la_bits))
		return false;
	return peek(c, la, &q, pa);
}

unsigned mmu_walk_steps(struct cpu *c, la_t la, struct walk_step *steps, unsigned max)
{
	struct walk_request q = guest_request(c, la);
	pa_t pa;

	q.steps = steps;
	q.max_steps = max;
	(void)peek(c, la, &q, &pa);
	return q.n_steps;
}

/* ---- PDPTE registers: "PDPTE Registers" (SDM 3, PAE Paging) ---- */
enum xr mmu_load_pdptes(struct cpu *c, u64 cr3)
{
	u64 fresh[4], reserved = mask(2, 1) | mask(8, 5) | mask(63, c->phys_bits);
	pa_t pa = cr3 & 0xffffffe0;

	if (c->pdpte_on_demand)
		return XR_OK;
	if (c->stage2) {
		struct stage2_req q = {.gpa = pa, .why = S2_PDPTE_LOAD, .access = ACC_READ};
		struct stage2_res r = {.page_shift = PAGE_SHIFT};
		TRY(c->virt->memory.stage2(c, &q, &r));
		pa = r.pa;
	}
	for (unsigned n = 0; n < 4; n++) {
		fresh[n] = cpu_read_u64(c, BY_WALK, pa + 8 * n);
		if ((fresh[n] & PTE_P) && (fresh[n] & reserved))
			return fault_gp(c, 0);
	}
	memcpy(c->pdpte, fresh, sizeof(fresh));
	return XR_OK;
}
