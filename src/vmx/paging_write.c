/*
 * "EPT Paging-Write Control" and "Guest-Paging Verification": EPT pages that only the processor's own updates of paging
 * structures may write, and pages that may only be reached through paging structures on such pages.
 *
 * ERRATA E73: a violation that the access rights explain says nothing of the verification.
 */
#include "vmx/vmx.h"

#define EPT_VERIFY_PAGING BIT(57)
#define EPT_PAGING_WRITE  BIT(58)

static bool control(const struct vmx *v, u64 bits_)
{
	return (vmx_proc3(v) & bits_) == bits_;
}

/* An accessed or dirty flag of guest paging: does the leaf let it be written although nobody else may? The other
 * entries must grant the write as always. */
bool vmx_paging_write(const struct vmx *v, const struct stage2_req *q, const struct walk_result *w)
{
	return q->why == S2_TABLE && (w->entry & EPT_PAGING_WRITE) && (w->upper & EPT_W) &&
	       control(v, PROC3_PAGING_WRITE);
}

/* "EPT Misconfigurations": a paging-writable page that cannot be read. */
bool vmx_paging_misconfigured(const struct vmx *v, const struct walk_result *w)
{
	return (w->entry & EPT_PAGING_WRITE) && !(w->entry & EPT_R) && control(v, PROC3_PAGING_WRITE);
}

/* A guest paging structure on a page that software of the guest may have written. */
bool vmx_unguarded(const struct vmx *v, const struct stage2_req *q, const struct walk_result *w)
{
	return q->why == S2_TABLE && !(w->entry & EPT_PAGING_WRITE) && control(v, PROC3_PAGING_WRITE | PROC3_VERIFY);
}

/* The page wants its translation to have used guarded paging structures only; asked behind all rights. */
bool vmx_verification_fails(const struct vmx *v, const struct stage2_req *q, const struct walk_result *w)
{
	return q->why == S2_FINAL && q->unguarded && (w->entry & EPT_VERIFY_PAGING) &&
	       control(v, PROC3_PAGING_WRITE | PROC3_VERIFY);
}
