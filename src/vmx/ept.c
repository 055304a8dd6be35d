/*
 * The second stage: EPT, and the TLB spaces that stand for (VPID, EPTP 51:12). "The Extended Page Table Mechanism",
 * "Caching Translation Information".
 */
#include "cpu/state/watch.h"
#include "vmx/vmx.h"

/* ---- spaces ---- */

#define EPTP_ROOT(eptp) ((eptp)&mask(51, 12))

static u64 key_of(u32 vpid, u64 eptp)
{
	return (u64)vpid << 40 | EPTP_ROOT(eptp) >> 12 | BIT(63);
}

static u32 key_vpid(u64 key)
{
	return (u32)(key >> 40 & 0xffff);
}

/* Other spaces with the same VPID: what the guest invalidates must go from them, too. */
static bool shares_vpid(const struct vmx *v, unsigned slot)
{
	for (unsigned n = 0; n < ARRAY_LEN(v->space_key); n++)
		if (n != slot && v->space_key[n] && key_vpid(v->space_key[n]) == key_vpid(v->space_key[slot]))
			return true;
	return false;
}

static unsigned intern(struct cpu *c, u64 key)
{
	struct vmx *v = vmx_of(c);
	unsigned n;

	for (n = 0; n < ARRAY_LEN(v->space_key); n++)
		if (v->space_key[n] == key)
			return n;
	n = (unsigned)(v->space_next++ % ARRAY_LEN(v->space_key));
	v->space_key[n] = key;
	tlb_flush_space(c, (u16)(n + 1), false);
	return n;
}

/* The space of the guest that is about to run. Slots are recycled in turn; a recycled space loses its entries. */
u16 vmx_space(struct cpu *c)
{
	struct vmx *v = vmx_of(c);
	u32 proc2 = vmx_proc2(v);
	u32 vpid = proc2 & PROC2_VPID ? (u32)vmcs_get(v, VMCS_VPID) : 0;
	u64 eptp = proc2 & PROC2_EPT ? vmcs_get(v, VMCS_EPTP) : 0;
	u64 key = key_of(vpid, eptp);

	if (unlikely(v->space_now != key)) {
		v->slot_now = (u16)intern(c, key);
		v->space_now = key;
		v->shares_vpid = shares_vpid(v, v->slot_now);
	}
	return (u16)(v->slot_now + 1);
}

/* "Operations that Invalidate Cached Mappings": INVLPG, MOV to CR3 and their like reach the combined mappings of the
 * current VPID under every EPTRTA. */
void vmx_guest_flushed(struct cpu *c, const struct tlb_match *m)
{
	struct vmx *v = vmx_of(c);
	struct tlb_match other = *m;

	if (likely(!v->shares_vpid))
		return;
	for (unsigned n = 0; n < ARRAY_LEN(v->space_key); n++) {
		if (n == v->slot_now || !v->space_key[n] || key_vpid(v->space_key[n]) != key_vpid(v->space_now))
			continue;
		other.space = (u16)(n + 1);
		tlb_flush_matching(c, &other);
	}
}

void vmx_flush_vpid(struct cpu *c, u32 vpid, bool all, bool keep_global)
{
	struct vmx *v = vmx_of(c);

	for (unsigned n = 0; n < ARRAY_LEN(v->space_key); n++)
		if (v->space_key[n] && (all ? key_vpid(v->space_key[n]) != 0 : key_vpid(v->space_key[n]) == vpid))
			tlb_flush_space(c, (u16)(n + 1), keep_global);
	if (!all && vpid == 0)
		tlb_flush_space(c, 0, keep_global);
}

void vmx_flush_vpid_page(struct cpu *c, u32 vpid, la_t la)
{
	struct vmx *v = vmx_of(c);

	for (unsigned n = 0; n < ARRAY_LEN(v->space_key); n++)
		if (v->space_key[n] && key_vpid(v->space_key[n]) == vpid)
			tlb_flush_page_any_pcid(c, (u16)(n + 1), la);
}

void vmx_flush_ept(struct cpu *c, u64 eptp, bool all)
{
	struct vmx *v = vmx_of(c);

	for (unsigned n = 0; n < ARRAY_LEN(v->space_key); n++)
		if (v->space_key[n] && (all || (v->space_key[n] & mask(39, 0)) == EPTP_ROOT(eptp) >> 12))
			tlb_flush_space(c, (u16)(n + 1), false);
}

/* What VM entry, INVEPT and EPTP switching accept as an EPT pointer. */
bool vmx_eptp_ok(const struct cpu *c, u64 eptp)
{
	unsigned type = (unsigned)(eptp & 7), levels = (unsigned)bits(eptp, 5, 3) + 1;
	bool walk = (levels == 4 && has(c, FEAT_VMX_PAGE_WALK_4)) || (levels == 5 && has(c, FEAT_VMX_PAGE_WALK_5));

	return (type == MT_UC || type == MT_WB) && walk && (!(eptp & BIT(6)) || has(c, FEAT_VMX_EPTAD)) &&
	       !bits(eptp, 11, 7) && !(eptp >> c->phys_bits);
}

/* ---- the walk ---- */

static cold void set_ept_mode(const struct cpu *c, bool five_levels, bool mbec, struct walk_mode *m)
{
	walk_mode_set(m, &(struct walk_rules){
	                         .format = five_levels ? &walk_ept5 : &walk_ept4,
	                         .present = EPT_R | EPT_W | EPT_X | (mbec ? EPT_XU : 0),
	                         .phys_bits = c->phys_bits,
	                         .large = (u8)(has(c, FEAT_VMX_EPT_2MB) << 2 | has(c, FEAT_VMX_EPT_1GB) << 3),
	                         .bad_perms = EPT_BAD_PERMS | (has(c, FEAT_VMX_EPT_EXECONLY) ? 0 : EPT_BAD_PERMS_NO_XONLY),
	                         .bad_memtypes = EPT_BAD_MEMTYPES,
	                 });
}

static const struct walk_mode *ept_mode(const struct cpu *c, struct vmx *v, u64 eptp)
{
	bool five_levels = bits(eptp, 5, 3) == 4, mbec = vmx_proc2(v) & PROC2_MBEC;
	u8 key = (u8)(1 | five_levels << 1 | mbec << 2);

	if (unlikely(v->walk_key != key)) {
		set_ept_mode(c, five_levels, mbec, &v->walk);
		v->walk_key = key;
	}
	return &v->walk;
}

static struct walk_request ept_request(const struct cpu *c, struct vmx *v, const struct stage2_req *q)
{
	u64 eptp = vmcs_get(v, VMCS_EPTP);

	return (struct walk_request){
	        .mode = ept_mode(c, v, eptp),
	        .root = EPTP_ROOT(eptp),
	        .addr = q->gpa,
	        .keep_ad = (eptp & BIT(6)) != 0,
	        .peek = q->peek,
	};
}

/* "EPT Violations": guest-paging accesses are reads, their accessed and dirty updates writes; with EPT accessed and
 * dirty flags every one of them is a write. PDPTE loads stay reads. */
static u8 ept_access(const struct stage2_req *q, bool ad)
{
	if (q->why == S2_TABLE && (ad || q->set_dirty))
		return ACC_READ | ACC_WRITE;
	return q->why == S2_PDPTE_LOAD ? ACC_READ : q->access;
}

/* The entry bit that lets instructions be fetched from this linear address: "Mode-Based Execute Control". */
static u64 execute_bit(const struct vmx *v, const struct stage2_req *q)
{
	return (vmx_proc2(v) & PROC2_MBEC) && q->user ? EPT_XU : EPT_X;
}

static enum xr leave(struct cpu *c, const struct stage2_req *q, enum icpt id, u64 qualification)
{
	if (q->peek)
		return XR_EXIT;

	enum xr r = cpu_exit(c, NULL, id, qualification, 0);

	c->exit.gpa = q->gpa;
	c->exit.linear = q->linear;
	c->exit.has_linear = q->has_linear;
	return r;
}

/* "Exit Qualification for EPT Violations"; all: the rights of every entry, 0 if one was not present. */
static u64 violation_qualification(const struct cpu *c, const struct stage2_req *q, u8 access, u64 all)
{
	const struct vmx *v = vmx_of(c);
	u64 qual = (access & ACC_READ ? 1 : 0) | (access & ACC_WRITE ? 2 : 0) | (access & ACC_EXEC ? 4 : 0);

	if (access & ACC_EXEC)
		qual &= ~1ull;
	qual |= (all & 7) << 3;
	if ((vmx_proc2(v) & PROC2_MBEC) && (all & EPT_XU))
		qual |= BIT(6);
	if (!q->has_linear)
		return qual;
	qual |= BIT(7);
	if (q->why != S2_FINAL)
		return qual;
	if (!has(c, FEAT_VMX_EPT_ADVANCED_EXITINFO))
		return qual | BIT(8);
	/* the linear address is a user one, writable, execute-disabled */
	return qual | BIT(8) | (q->user ? BIT(9) : 0) | (q->perms & ACC_WRITE ? BIT(10) : 0) |
	       (q->perms & ACC_EXEC ? 0 : BIT(11));
}

#define VE_REASON 48u
#define VE_BUSY   0xffffffffu

/* "Convertible EPT Violations": the deciding entry has bit 63 clear, and nobody handles a #VE yet. */
static bool convertible(struct cpu *c, u64 entry)
{
	const struct vmx *v = vmx_of(c);

	return (vmx_proc2(v) & PROC2_VE) && !(entry & BIT(63)) && (c->cr0 & CR0_PE) && !c->delivery &&
	       !cpu_read_u32(c, BY_VIRT, vmcs_get(v, VMCS_VE_INFO_ADDR) + 4);
}

/* "Virtualization-Exception Information" */
static enum xr virtualisation_exception(struct cpu *c, const struct stage2_req *q, u64 qual)
{
	const struct vmx *v = vmx_of(c);
	pa_t at = vmcs_get(v, VMCS_VE_INFO_ADDR);
	u16 index = (u16)vmcs_get(v, VMCS_EPTP_INDEX);

	cpu_write_u32(c, BY_VIRT, at, VE_REASON);
	cpu_write_u32(c, BY_VIRT, at + 4, VE_BUSY);
	cpu_write_u64(c, BY_VIRT, at + 8, qual);
	cpu_write_u64(c, BY_VIRT, at + 16, q->linear);
	cpu_write_u64(c, BY_VIRT, at + 24, q->gpa);
	cpu_write(c, BY_VIRT, at + 32, &index, sizeof(index));
	return cpu_fault(c, EX_VE, 0);
}

/* why: the qualification's bits that tell more than the rights do. */
static enum xr violation_by(struct cpu *c, const struct stage2_req *q, u8 access, u64 all, u64 entry, u64 why)
{
	u64 qual = violation_qualification(c, q, access, all) | why;

	if (!q->peek && convertible(c, entry))
		return virtualisation_exception(c, q, qual);
	return leave(c, q, ICPT_STAGE2, qual);
}

static enum xr violation(struct cpu *c, const struct stage2_req *q, u8 access, u64 all, u64 entry)
{
	return violation_by(c, q, access, all, entry, 0);
}

static bool granted(u64 all, u8 access, u64 execute)
{
	return !((access & ACC_WRITE) && !(all & EPT_W)) && !((access & ACC_EXEC) && !(all & execute)) &&
	       !((access & ACC_READ) && !(access & ACC_EXEC) && !(all & EPT_R));
}

/* ---- "Page-Modification Logging" ---- */

static bool logs(const struct vmx *v, const struct walk_request *wq)
{
	return wq->keep_ad && !wq->peek && (vmx_proc2(v) & PROC2_PML);
}

static bool log_full(const struct vmx *v)
{
	return vmcs_get(v, VMCS_PML_INDEX) > 511;
}

/* The log is full: would this access set an accessed or a dirty flag? Then it exits before any is set. */
static enum xr would_mark(struct cpu *c, struct walk_request wq, bool write, bool *marks)
{
	struct walk_result w;

	wq.keep_ad = false;
	TRY(walk_run(c, &wq, &w));
	*marks = w.kind == WALK_OK && (!(w.all & EPT_A) || (write && !(w.entry & EPT_D)));
	return XR_OK;
}

static void log_page(struct cpu *c, gpa_t gpa)
{
	struct vmx *v = vmx_of(c);
	u64 index = vmcs_get(v, VMCS_PML_INDEX);

	cpu_write_u64(c, BY_VIRT, vmcs_get(v, VMCS_PML_ADDR) + 8 * index, gpa & PAGE_MASK);
	vmcs_set(v, VMCS_PML_INDEX, (u16)(index - 1));
}

static enum xr mark(struct cpu *c, const struct stage2_req *q, const struct walk_request *wq, struct walk_result *w,
                    bool write)
{
	bool clean = write && !(w->entry & EPT_D);

	TRY(walk_mark(c, wq, w, write));
	if (clean && logs(vmx_of(c), wq))
		log_page(c, q->gpa);
	return XR_OK;
}

#define NOT_VERIFIED BIT(15) /* "Exit Qualification for EPT Violations" */
#define SPP_IS_MISS  BIT(11) /* "Exit Qualification for SPP-Related Events" */

/* The rights do not cover the access: unless the right to write is all that is missing and something stands in for it,
 * it exits. */
static enum xr refused(struct cpu *c, const struct stage2_req *q, const struct walk_result *w, u8 access, u64 execute)
{
	if (granted(w->all | EPT_W, access, execute) && vmx_paging_write(vmx_of(c), q, w))
		return XR_OK;
	switch (granted(w->all | EPT_W, access, execute) ? vmx_spp(c, q, w) : VMX_SPP_DENIED) {
	case VMX_SPP_GRANTED: return XR_OK;
	case VMX_SPP_MISS: return leave(c, q, ICPT_SPP, SPP_IS_MISS);
	case VMX_SPP_MISCONFIG: return leave(c, q, ICPT_SPP, 0);
	default: return violation(c, q, access, w->all, w->entry);
	}
}

static cold enum xr misconfigured(struct cpu *c, const struct stage2_req *q, const struct walk_result *w)
{
	struct walk_step steps[5];

	if (!q->peek && c->hooks->refused)
		vmx_explain_walk(c, q, w, steps, vmx_stage2_steps(c, q->gpa, steps, ARRAY_LEN(steps)));
	return leave(c, q, ICPT_STAGE2_MISCONFIG, 0);
}

/* ---- the second stage ---- */

/* "Memory Type Used for Translated Guest-Physical Addresses": EPT's stands where the MTRRs' would. Exact as far as
 * anybody asks, which is whether it is write-back. */
static u8 memory_type(const struct stage2_req *q, const struct walk_result *w)
{
	return w->memtype == MT_WB && !w->ignore_pat ? q->memtype : w->memtype;
}

static struct stage2_res result(const struct stage2_req *q, const struct walk_request *wq, const struct walk_result *w,
                                u64 execute)
{
	return (struct stage2_res){
	        .pa = w->pa,
	        .perms = (u8)((w->all & EPT_R ? ACC_READ : 0) | (w->all & EPT_W ? ACC_WRITE : 0) |
	                      (w->all & execute ? ACC_EXEC : 0)),
	        .dirty_ok = !wq->keep_ad || (w->entry & EPT_D),
	        .page_shift = w->page_shift,
	        .memtype = memory_type(q, w),
	};
}

static inlined enum xr translate(struct cpu *c, const struct stage2_req *q, struct walk_request wq, struct stage2_res *r,
                                 unsigned *steps)
{
	struct vmx *v = vmx_of(c);
	u8 access = ept_access(q, wq.keep_ad);
	u64 execute = execute_bit(v, q);
	bool write = access & ACC_WRITE, full = false;
	struct walk_result w;

	if (unlikely(q->gpa >> wq.mode->rules.format->addr_bits))
		return violation(c, q, access, 0, BIT(63));
	if (unlikely(logs(v, &wq) && log_full(v)))
		TRY(would_mark(c, wq, write, &full));
	if (unlikely(full))
		wq.keep_ad = false;
	wq.memo = q->memo;
	enum xr x = walk_run(c, &wq, &w);
	*steps = wq.n_steps;
	TRY(x);
	if (w.kind == WALK_RESERVED || (w.kind == WALK_OK && unlikely(vmx_paging_misconfigured(v, &w))))
		return misconfigured(c, q, &w);
	if (w.kind == WALK_NOT_PRESENT)
		return violation(c, q, access, 0, w.entry);
	if (unlikely(!granted(w.all, access, execute)))
		TRY(refused(c, q, &w, access, execute));
	if (unlikely(vmx_verification_fails(v, q, &w)))
		return violation_by(c, q, access, w.all, w.entry, NOT_VERIFIED);
	if (unlikely(full))
		return leave(c, q, ICPT_PML_FULL, 0);
	TRY(mark(c, q, &wq, &w, write));
	if (unlikely((w.pa & PAGE_MASK) == c->trap_page && q->why != S2_FINAL && !q->peek))
		return vmx_page_trap_physical(c);
	*r = result(q, &wq, &w, execute);
	r->unguarded = vmx_unguarded(v, q, &w);
	return XR_OK;
}

static cold enum xr watched_stage2(struct cpu *c, const struct stage2_req *q, struct stage2_res *r)
{
	struct vmx *v = vmx_of(c);
	struct walk_step step[WALK_LEVELS];
	struct walk_request wq = ept_request(c, v, q);
	u8 access = ept_access(q, wq.keep_ad);
	unsigned steps = 0;

	wq.steps = step;
	wq.max_steps = ARRAY_LEN(step);
	enum xr x = translate(c, q, wq, r, &steps);

	if ((access & ACC_EXEC) && execute_bit(v, q) == EPT_XU)
		access = (u8)((access & ~ACC_EXEC) | WATCH_EXEC_USER);
	c->watch->tables.walked(c, &(struct watch_walk){
	                                   .tables = WATCH_EPT,
	                                   .access = access,
	                                   .granted = x == XR_OK,
	                                   .keeps_ad = wq.keep_ad,
	                                   .table = q->why != S2_FINAL,
	                                   .root = wq.root,
	                                   .addr = q->gpa,
	                                   .mode = wq.mode,
	                                   .mode_key = v->walk_key,
	                                   .step = step,
	                                   .steps = steps,
	                                   .linear = q->linear,
	                                   .has_linear = q->has_linear,
	                           });
	return x;
}

enum xr vmx_stage2(struct cpu *c, const struct stage2_req *q, struct stage2_res *r)
{
	unsigned steps;

	if (unlikely(c->watch) && !q->peek)
		return watched_stage2(c, q, r);
	return translate(c, q, ept_request(c, vmx_of(c), q), r, &steps);
}

unsigned vmx_stage2_steps(struct cpu *c, gpa_t gpa, struct walk_step *out, unsigned room)
{
	struct walk_request q = ept_request(c, vmx_of(c), &(struct stage2_req){.gpa = gpa, .access = ACC_READ, .peek = true});
	struct walk_result w;

	if (!c->stage2 || gpa >> q.mode->rules.format->addr_bits)
		return 0;
	q.steps = out;
	q.max_steps = room;
	(void)!walk_run(c, &q, &w);
	return q.n_steps;
}

void vmx_stage2_enter(struct cpu *c)
{
	const struct vmx *v = vmx_of(c);

	c->stage2_root = vmcs_get(v, VMCS_EPTP);
	c->stage2_mode = 1 | (vmx_proc2(v) & PROC2_MBEC ? 2 : 0) | vmx_proc3(v) << 2;
}
