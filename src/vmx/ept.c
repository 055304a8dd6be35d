/*
 * The second stage: EPT, and the TLB spaces that stand for (VPID, EPTP 51:12). "The Extended Page Table Mechanism",
 * "Caching Translation Information".
 */
#include "vmx/vmx.h"

/* ---- spaces ----
 * DEVIATION: a guest's own INVLPG or MOV CR3 reaches its current space only, not others with that VPID under another
 * EPTP ("Operations that Invalidate Cached Mappings"). */

#define EPTP_ROOT(eptp) ((eptp)&mask(51, 12))

static u64 key_of(u32 vpid, u64 eptp)
{
	return (u64)vpid << 40 | EPTP_ROOT(eptp) >> 12 | BIT(63);
}

static u32 key_vpid(u64 key)
{
	return (u32)(key >> 40 & 0xffff);
}

/* The space of the guest that is about to run. Slots are recycled in turn; a recycled space loses its entries. */
u16 vmx_space(struct cpu *c)
{
	struct vmx *v = vmx_of(c);
	u32 proc2 = vmx_proc2(v);
	u32 vpid = proc2 & PROC2_VPID ? (u32)vmcs_get(v, VMCS_VPID) : 0;
	u64 eptp = proc2 & PROC2_EPT ? vmcs_get(v, VMCS_EPTP) : 0;
	u64 key = key_of(vpid, eptp);
	unsigned n;

	for (n = 0; n < ARRAY_LEN(v->space_key); n++)
		if (v->space_key[n] == key)
			return (u16)(n + 1);
	n = (unsigned)(v->space_next++ % ARRAY_LEN(v->space_key));
	v->space_key[n] = key;
	tlb_flush_space(c, (u16)(n + 1), false);
	return (u16)(n + 1);
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

/* ---- the walk ---- */

static struct walk_request ept_request(const struct cpu *c, u64 eptp, const struct stage2_req *q)
{
	return (struct walk_request){
	        .format = &walk_ept4,
	        .root = EPTP_ROOT(eptp),
	        .addr = q->gpa,
	        .present = EPT_R | EPT_W | EPT_X,
	        .phys_bits = c->phys_bits,
	        .large = 1 << 2 | 1 << 3,
	        .keep_ad = (eptp & BIT(6)) != 0,
	        .peek = q->peek,
	        .bad_perms = EPT_BAD_PERMS,
	        .bad_memtypes = EPT_BAD_MEMTYPES,
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

static enum xr violation(struct cpu *c, const struct stage2_req *q, u8 access, u64 granted)
{
	u64 qual = (access & ACC_READ ? 1 : 0) | (access & ACC_WRITE ? 2 : 0) | (access & ACC_EXEC ? 4 : 0);

	qual |= (granted & 7) << 3;
	qual |= q->has_linear ? BIT(7) | (q->why == S2_FINAL ? BIT(8) : 0) : 0;
	if (access & ACC_EXEC)
		qual &= ~1ull;
	return leave(c, q, ICPT_STAGE2, qual);
}

static bool granted(u64 all, u8 access)
{
	return !((access & ACC_WRITE) && !(all & EPT_W)) && !((access & ACC_EXEC) && !(all & EPT_X)) &&
	       !((access & ACC_READ) && !(access & ACC_EXEC) && !(all & EPT_R));
}

enum xr vmx_stage2(struct cpu *c, const struct stage2_req *q, struct stage2_res *r)
{
	u64 eptp = vmcs_get(vmx_of(c), VMCS_EPTP);
	struct walk_request wq = ept_request(c, eptp, q);
	u8 access = ept_access(q, wq.keep_ad);
	struct walk_result w;

	if (unlikely(q->gpa >> 48))
		return violation(c, q, access, 0);
	TRY(walk_run(c, &wq, &w));
	if (w.kind == WALK_RESERVED)
		return leave(c, q, ICPT_STAGE2_MISCONFIG, 0);
	if (w.kind == WALK_NOT_PRESENT)
		return violation(c, q, access, 0);
	if (!granted(w.all, access))
		return violation(c, q, access, w.all);
	TRY(walk_mark(c, &wq, &w, (access & ACC_WRITE) != 0));
	*r = (struct stage2_res){
	        .pa = w.pa,
	        .perms = (u8)((w.all & EPT_R ? ACC_READ : 0) | (w.all & EPT_W ? ACC_WRITE : 0) |
	                      (w.all & EPT_X ? ACC_EXEC : 0)),
	        .dirty_ok = !wq.keep_ad || (w.entry & EPT_D),
	        .page_shift = w.page_shift,
	        .memtype = w.memtype,
	};
	return XR_OK;
}
