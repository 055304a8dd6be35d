/*
 * Nested paging: guest-physical to physical by the tables at N_CR3, in the paging mode the host was in at VMRUN.
 * "Nested Paging", "Nested Versus Guest Page Faults, Fault Ordering".
 */
#include "cpu/state/watch.h"
#include "svm/svm.h"

static const struct walk_format *nested_format(const struct svm_host *h)
{
	if (!(h->cr4 & CR4_PAE))
		return &walk_legacy;
	if (!(h->efer & EFER_LMA))
		return &walk_pae;
	return h->cr4 & CR4_LA57 ? &walk_long5 : &walk_long4;
}

static u8 large_levels(const struct cpu *c, const struct svm_host *h, const struct walk_format *f)
{
	if (f == &walk_legacy)
		return h->cr4 & CR4_PSE ? 1 << 2 : 0;
	if (f == &walk_pae)
		return 1 << 2;
	return has(c, FEAT_PDPE1GB) ? 1 << 2 | 1 << 3 : 1 << 2;
}

static cold void set_nested_mode(const struct cpu *c, const struct svm_host *h, struct walk_mode *m)
{
	const struct walk_format *f = nested_format(h);

	walk_mode_set(m, &(struct walk_rules){
	                         .format = f,
	                         .present = PTE_P,
	                         .reserved = h->efer & EFER_NXE ? 0 : PTE_NX,
	                         .reserved_upper = f == &walk_legacy || f == &walk_pae ? 0 : PTE_G,
	                         .phys_bits = c->phys_bits,
	                         .large = large_levels(c, h, f),
	                         .pse36 = has(c, FEAT_PSE36),
	                 });
}

static const struct walk_mode *nested_mode(const struct cpu *c)
{
	struct svm *s = svm_of(c);
	u64 key =
	        (s->host.cr4 & (CR4_PSE | CR4_PAE | CR4_LA57)) | (s->host.efer & (EFER_LMA | EFER_NXE)) << 16 | BIT(63);

	if (unlikely(s->walk_key != key)) {
		set_nested_mode(c, &s->host, &s->walk);
		s->walk_key = key;
	}
	return &s->walk;
}

static struct walk_request nested_request(const struct cpu *c, gpa_t gpa, bool peek)
{
	const struct walk_mode *m = nested_mode(c);
	const struct walk_format *f = m->rules.format;
	u64 ncr3 = svm_control(c)->n_cr3;

	return (struct walk_request){
	        .mode = m,
	        .root = f == &walk_legacy ? ncr3 & 0xfffff000
	                : f == &walk_pae  ? ncr3 & 0xffffffe0
	                                  : ncr3 & mask(51, 12),
	        .addr = gpa,
	        .keep_ad = true,
	        .peek = peek,
	};
}

/* What a walk of guest tables asks of the nested level is always a user write; the final access is what it is. */
static u8 nested_access(const struct stage2_req *q)
{
	return q->why == S2_FINAL ? q->access : (u8)(ACC_READ | ACC_WRITE);
}

static enum xr nested_fault(struct cpu *c, const struct stage2_req *q, u8 access, bool present, bool reserved)
{
	const struct svm_host *h = &svm_of(c)->host;
	bool id = (access & ACC_EXEC) && ((h->efer & EFER_NXE) || (h->cr4 & CR4_SMEP));
	u64 code = PF_U;

	if (q->peek)
		return XR_EXIT;
	code |= present || reserved ? PF_P : 0;
	code |= access & ACC_WRITE ? PF_W : 0;
	code |= reserved ? PF_RSV : 0;
	code |= id ? PF_I : 0;
	if (!quirk(c, QUIRK_SVM_FIRST)) /* bits 63:5 are undefined in 2005 */
		code |= q->why == S2_FINAL ? BIT(32) : BIT(33);

	enum xr r = cpu_exit(c, NULL, ICPT_STAGE2, code, q->gpa);

	c->exit.gpa = q->gpa;
	c->exit.linear = q->linear;
	c->exit.has_linear = q->has_linear;
	return r;
}

static bool gmet(const struct cpu *c)
{
	return (svm_control(c)->nested_ctl & NESTED_GMET) && has(c, FEAT_GMET);
}

/* "Guest Mode Execute Trap": the user bit no longer says who may access, but that CPL 0 to 2 must not fetch. */
static bool permitted(const struct cpu *c, const struct walk_result *w, u8 access)
{
	bool user = (w->all & PTE_U) != 0, trap = gmet(c);

	if ((!user && !trap) || ((access & ACC_WRITE) && !(w->all & PTE_W)))
		return false;
	if (!(access & ACC_EXEC))
		return true;
	return !(w->any & PTE_NX) && !(trap && user && c->cpl != 3);
}

/* What may be cached: under the trap a user page is executable or not by CPL, so every fetch asks again. */
static u8 cacheable_rights(const struct cpu *c, const struct walk_result *w)
{
	bool exec = !(w->any & PTE_NX) && !(gmet(c) && (w->all & PTE_U));

	return (u8)(ACC_READ | (w->all & PTE_W ? ACC_WRITE : 0) | (exec ? ACC_EXEC : 0));
}

/* Guest PAT type, host PAT type by the PAT, PCD and PWT bits of the nested entry, MTRRs, CR0.CD of both. */
static u8 nested_memtype(const struct cpu *c, const struct stage2_req *q, const struct walk_result *w)
{
	const struct svm *s = svm_of(c);
	unsigned pat = w->page_shift == PAGE_SHIFT ? (unsigned)bits(w->entry, 7, 7) : (unsigned)bits(w->entry, 12, 12);
	unsigned index = pat << 2 | (unsigned)bits(w->entry, 4, 3);

	u8 host = (u8)(s->host.pat >> (8 * index) & 7);
	u8 type = svm_combine_mtrr(svm_combine_pat(q->memtype, host), svm_mtrr_type(&c->mtrr, w->pa));

	return svm_combine_cd(type, ((s->host.cr0 | c->cr0) & CR0_CD) != 0);
}

/* "Page Modification Logging": where a dirty bit is about to be set, the page goes into the log; a full log exits
 * before anything is written. */
static enum xr log_page(struct cpu *c, const struct stage2_req *q, const struct walk_result *w, u8 access)
{
	struct svm *s = svm_of(c);

	if (likely(!svm_pml_on(c, svm_control(c))) || q->peek || !(access & ACC_WRITE) || (w->entry & PTE_D))
		return XR_OK;
	if (s->pml_index >= PAGE_SIZE / 8)
		return cpu_exit(c, NULL, ICPT_PML_FULL, 0, 0);
	cpu_write_u64(c, BY_VIRT, (s->image[s->cur].pml_base & mask(51, 12)) + 8 * s->pml_index, q->gpa & PAGE_MASK);
	s->pml_index = (s->pml_index - 1) & 0xffff;
	return XR_OK;
}

static inlined enum xr translate(struct cpu *c, const struct stage2_req *q, struct walk_request wq, struct stage2_res *r,
                                 unsigned *steps)
{
	u8 access = nested_access(q);
	struct walk_result w;

	if (unlikely(q->gpa >> wq.mode->rules.format->addr_bits)) /* wider than the nested mode maps */
		return nested_fault(c, q, access, false, false);
	wq.memo = q->memo;
	enum xr x = walk_run(c, &wq, &w);
	*steps = wq.n_steps;
	TRY(x);
	if (w.kind != WALK_OK)
		return nested_fault(c, q, access, false, w.kind == WALK_RESERVED);
	if (!permitted(c, &w, access))
		return nested_fault(c, q, access, true, false);
	TRY(log_page(c, q, &w, access));
	TRY(walk_mark(c, &wq, &w, (access & ACC_WRITE) != 0));
	*r = (struct stage2_res){
	        .pa = w.pa,
	        .perms = cacheable_rights(c, &w),
	        .dirty_ok = (w.entry & PTE_D) != 0,
	        .page_shift = w.page_shift,
	        .memtype = q->why == S2_FINAL ? nested_memtype(c, q, &w) : MT_WB, /* nobody asks for that of a table */
	};
	if (unlikely(svm_avic_page(c, q->gpa)) && q->why == S2_FINAL) {
		r->pa = (svm_control(c)->avic_backing_page & mask(51, 12)) | (q->gpa & ~PAGE_MASK);
		r->page_shift = PAGE_SHIFT;
	}
	return XR_OK;
}

static cold enum xr watched_stage2(struct cpu *c, const struct stage2_req *q, struct stage2_res *r)
{
	struct walk_step step[WALK_LEVELS];
	struct walk_request wq = nested_request(c, q->gpa, false);
	unsigned steps = 0;

	wq.steps = step;
	wq.max_steps = ARRAY_LEN(step);
	enum xr x = translate(c, q, wq, r, &steps);

	c->watch->tables.walked(c, &(struct watch_walk){
	                                   .tables = WATCH_NPT,
	                                   .access = nested_access(q) | (gmet(c) ? 0 : WATCH_USER),
	                                   .granted = x == XR_OK,
	                                   .keeps_ad = true,
	                                   .table = q->why != S2_FINAL,
	                                   .asid = c->space,
	                                   .root = wq.root,
	                                   .addr = q->gpa,
	                                   .mode = wq.mode,
	                                   .mode_key = svm_of(c)->walk_key,
	                                   .step = step,
	                                   .steps = steps,
	                                   .linear = q->linear,
	                                   .has_linear = q->has_linear,
	                           });
	return x;
}

enum xr svm_stage2(struct cpu *c, const struct stage2_req *q, struct stage2_res *r)
{
	unsigned steps;

	if (unlikely(c->watch) && !q->peek)
		return watched_stage2(c, q, r);
	return translate(c, q, nested_request(c, q->gpa, q->peek), r, &steps);
}

unsigned svm_stage2_steps(struct cpu *c, gpa_t gpa, struct walk_step *out, unsigned room)
{
	struct walk_request q = nested_request(c, gpa, true);
	struct walk_result w;

	if (!c->stage2 || gpa >> q.mode->rules.format->addr_bits)
		return 0;
	q.steps = out;
	q.max_steps = room;
	(void)!walk_run(c, &q, &w);
	return q.n_steps;
}

void svm_nested_step(const struct cpu *c, unsigned n, u64 entry, struct svm_nested_step *s)
{
	const struct walk_mode *m = nested_mode(c);
	const struct walk_format *f = m->rules.format;
	const unsigned level = f->levels - n, each = f->entry_size == 8 ? 9 : 10;

	s->maps = (entry & m->maps[level]) != 0;
	s->wrong = entry & PTE_P ? entry & m->bad[s->maps][level] : 0;
	s->no_address = f == &walk_legacy ? 0 : mask(f == &walk_pae ? 62 : 51, m->rules.phys_bits);
	s->address = entry & mask(51, PAGE_SHIFT + (s->maps ? each * (level - 1) : 0)) & ~s->no_address;
	s->no_nx = (m->rules.reserved & PTE_NX) != 0;
	s->pdpe = f == &walk_pae && level == 3;
}

/* The host's mode and the execute trap stay what they are while the guest runs. */
void svm_stage2_enter(struct cpu *c)
{
	(void)nested_mode(c);
	c->stage2_root = svm_control(c)->n_cr3;
	c->stage2_mode = svm_of(c)->walk_key | gmet(c);
}
