/* What a debugger asks of VMX: how the side of a world switch that is not there translates, and values in words. */
#include "vmx/vmx.h"

static struct virt_view now(const struct cpu *c)
{
	return (struct virt_view){.cr0 = c->cr0, .cr3 = c->cr3, .cr4 = c->cr4, .efer = c->efer, .pat = c->pat};
}

static struct virt_view host(const struct cpu *c, const struct vmx *v)
{
	return (struct virt_view){
	        .cr0 = vmcs_get(v, VMCS_HOST_CR0),
	        .cr3 = vmcs_get(v, VMCS_HOST_CR3),
	        .cr4 = vmcs_get(v, VMCS_HOST_CR4),
	        .efer = vmcs_get(v, VMCS_EXIT_CONTROLS) & EXIT_HOST64 ? EFER_LMA | EFER_LME : 0,
	        .pat = vmcs_get(v, VMCS_EXIT_CONTROLS) & EXIT_LOAD_PAT ? vmcs_get(v, VMCS_HOST_PAT) : c->pat,
	};
}

static struct virt_view guest_kept(const struct cpu *c, const struct vmx *v)
{
	return (struct virt_view){
	        .cr0 = vmcs_get(v, VMCS_GUEST_CR0),
	        .cr3 = vmcs_get(v, VMCS_GUEST_CR3),
	        .cr4 = vmcs_get(v, VMCS_GUEST_CR4),
	        .efer = vmcs_get(v, VMCS_ENTRY_CONTROLS) & ENTRY_GUEST64 ? EFER_LMA | EFER_LME : 0,
	        .pat = vmcs_get(v, VMCS_ENTRY_CONTROLS) & ENTRY_LOAD_PAT ? vmcs_get(v, VMCS_GUEST_PAT) : c->pat,
	};
}

bool vmx_view(const struct cpu *c, bool guest, struct virt_view *out)
{
	const struct vmx *v = vmx_of(c);

	if (!guest) {
		*out = c->guest ? host(c, v) : now(c);
		return true;
	}
	if (v->current == VMCS_NONE)
		return false;
	*out = c->guest ? now(c) : guest_kept(c, v);
	out->nested = out->ept = (vmx_proc2(v) & PROC2_EPT) != 0;
	out->root = vmcs_get(v, VMCS_EPTP);
	return true;
}

void vmx_words(const struct cpu *c, u32 key, u64 value, char *out, size_t size)
{
	(void)c;
	vmx_decode_field(out, size, key, value);
}

size_t vmx_fields_at(struct cpu *c, u64 pa, struct block_field *out, size_t room)
{
	u64 f[VMCS_SLOTS];
	bool launched;

	if (cpu_read_u32(c, BY_DEBUGGER, pa) << 1 >> 1 != vmx_revision(c)) /* bit 31: a shadow VMCS */
		return 0;
	vmx_region_peek(c, pa, f, &launched);
	return vmx_fields_of(c, f, out, room);
}
