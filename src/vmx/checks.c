/* The runner of the check rows, and which rows need looking at. The rows are in checks_*.c, in the order of groups. */
#include "vmx/checks_rows.h"

static const struct vmx_check_set *const sets[] = {
        &vmx_basic_checks, &vmx_executive_checks, &vmx_control_checks, &vmx_event_checks,
        &vmx_host_checks,  &vmx_guest_checks,     &vmx_segment_checks, &vmx_state_checks,
};

size_t vmx_check_count(void)
{
	size_t n = 0;

	for (size_t s = 0; s < ARRAY_LEN(sets); s++)
		n += sets[s]->count;
	return n;
}

const struct vmx_check *vmx_check_at(size_t n)
{
	for (size_t s = 0; s < ARRAY_LEN(sets); s++) {
		if (n < sets[s]->count)
			return &sets[s]->rows[n];
		n -= sets[s]->count;
	}
	return NULL;
}

const struct vmx_check *vmx_check_next(const struct vmx_image *g, size_t *n, u32 groups)
{
	size_t first = 0;

	for (size_t s = 0; s < ARRAY_LEN(sets); first += sets[s]->count, s++) {
		if (!(sets[s]->groups & groups))
			continue;
		for (size_t k = *n > first ? *n - first : 0; k < sets[s]->count; k++) {
			const struct vmx_check *row = &sets[s]->rows[k];

			if ((groups >> row->group & 1) && vmx_check_fails(row, g)) {
				*n = first + k + 1;
				return row;
			}
		}
	}
	return NULL;
}

/* Rows of a group that does not apply all pass: tests hold the rows to that. */
u32 vmx_check_apply(const struct vmx_image *g)
{
	const u64 *in = g->in;
	u32 groups = 1u << VMX_GROUP_CONTROL | 1u << VMX_GROUP_TRANSFER | 1u << VMX_GROUP_HOST | 1u << VMX_GROUP_GUEST |
	             1u << VMX_GROUP_SEGMENT;

	if (in[VMX_IN_MOVSS - VMX_IN] || !in[VMX_IN_RESUME - VMX_IN] != !in[VMX_IN_LAUNCHED - VMX_IN])
		groups |= 1u << VMX_GROUP_BASIC;
	if (unlikely(returns(g)))
		groups |= 1u << VMX_GROUP_EXECUTIVE;
	if (F(PROC_CONTROLS) & PROC_TPR_SHADOW)
		groups |= 1u << VMX_GROUP_THRESHOLD;
	if (injects(g))
		groups |= 1u << VMX_GROUP_EVENT | 1u << VMX_GROUP_INJECT;
	if (F(GUEST_ACTIVITY) | F(GUEST_INTERRUPTIBILITY) | F(GUEST_PENDING_DEBUG) | (F(ENTRY_CONTROLS) & ENTRY_SMM))
		groups |= 1u << VMX_GROUP_STATE;
	if (F(LINK_POINTER) != VMCS_NONE)
		groups |= 1u << VMX_GROUP_LINK;
	if ((F(GUEST_CR0) & CR0_PG) && (F(GUEST_CR4) & CR4_PAE) && !(F(ENTRY_CONTROLS) & ENTRY_GUEST64))
		groups |= 1u << VMX_GROUP_PDPTE;
	return groups;
}

u8 vmx_check_outcome(const struct vmx_image *g, const struct vmx_check *k)
{
	bool execution = k->group == VMX_GROUP_CONTROL || k->group == VMX_GROUP_THRESHOLD;

	return execution && returns(g) ? VMX_FAIL_25 : k->outcome;
}

void vmx_check_readers(u16 readers[VMCS_SLOTS])
{
	memset(readers, 0, VMCS_SLOTS * sizeof(*readers));
	for (size_t s = 0; s < ARRAY_LEN(sets); s++)
		for (size_t k = 0; k < sets[s]->count; k++) {
			const struct vmx_check *row = &sets[s]->rows[k];

			for (unsigned n = 0; row->field[n] != VMX_FIELDS_END; n++)
				if (row->field[n] < VMX_IN)
					readers[vmcs_slot(row->field[n])] |= (u16)(1u << row->group);
		}
}
