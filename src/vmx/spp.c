/*
 * "Sub-Page Write Permissions": a page that EPT lets nobody write may still be writable in pieces of 128 bytes. The
 * sub-page-permission table is looked at for every such write, and nothing of it is remembered: the translation that
 * goes into the TLB has no right to write, so that the next write asks again.
 *
 * ERRATA E71: writes that touch two sub-pages, or two pages.
 */
#include "vmx/vmx.h"

#define EPT_SUB_PAGE    BIT(61)
#define SPP_VALID       BIT(0)
#define SPP_RESERVED    mask(11, 1)
#define SPP_LEVELS      4
#define SPP_INDEX_SHIFT 12 /* of the lowest level, whose entries are the vectors */
#define SUB_PAGE_SHIFT  7
#define SUB_PAGES       (PAGE_SIZE >> SUB_PAGE_SHIFT)
#define VECTOR_RESERVED 0xaaaaaaaaaaaaaaaaull
#define VECTOR_BIT(n)   BIT(2 * (n))

/* "Write Accesses That Are Eligible for Sub-Page Write Permissions": the linear access itself, on a 4-KByte page, and
 * within it. The caller has found that nothing but the right to write is missing. */
static bool eligible(const struct vmx *v, const struct stage2_req *q, const struct walk_result *w)
{
	return (vmx_proc2(v) & PROC2_SPP) && q->why == S2_FINAL && w->page_shift == PAGE_SHIFT &&
	       (w->entry & EPT_SUB_PAGE) && !q->crosses;
}

/* The bits of the vector that stand for the sub-pages touched. */
static u64 touched(const struct stage2_req *q)
{
	u64 first = q->gpa & ~PAGE_MASK, last = first + max_u64(q->length, 1) - 1, vector = 0;

	for (u64 n = first >> SUB_PAGE_SHIFT; n <= last >> SUB_PAGE_SHIFT && n < SUB_PAGES; n++)
		vector |= VECTOR_BIT(n);
	return vector;
}

/* "Sub-Page Permission Table": three levels that lead on, the fourth holds the vector of the page. */
enum vmx_spp vmx_spp(struct cpu *c, const struct stage2_req *q, const struct walk_result *w)
{
	const struct vmx *v = vmx_of(c);
	u64 entry = vmcs_get(v, VMCS_SPPTP), want = touched(q);

	if (!eligible(v, q, w))
		return VMX_SPP_DENIED;
	for (unsigned level = SPP_LEVELS; level; level--) {
		unsigned shift = SPP_INDEX_SHIFT + 9 * (level - 1);

		entry = cpu_read_u64(c, BY_VIRT, (entry & PAGE_MASK) + 8 * bits(q->gpa, shift + 8, shift));
		if (level == 1)
			break;
		if (!(entry & SPP_VALID))
			return VMX_SPP_MISS;
		if ((entry & SPP_RESERVED) || entry >> c->phys_bits)
			return VMX_SPP_MISCONFIG;
	}
	if (entry & VECTOR_RESERVED)
		return VMX_SPP_MISCONFIG;
	return (entry & want) == want ? VMX_SPP_GRANTED : VMX_SPP_DENIED;
}
