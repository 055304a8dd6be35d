/*
 * VMCS regions: what of them lies in memory, and the two that a processor keeps at hand, the current VMCS and the
 * shadow VMCS that its guest reads and writes. Memory has the fields again after VMCLEAR, or when another VMCS takes
 * the place; until then it holds what was written back last. "Software Use of Virtual-Machine Control Structures".
 */
#include "vmx/vmx.h"

static void write_back(struct cpu *c, u64 pa, const u64 f[VMCS_SLOTS])
{
	cpu_write(c, BY_VIRT, pa + VMCS_REGION_FIELDS, f, VMCS_SLOTS * sizeof(*f));
}

static void load(struct cpu *c, u64 pa, u64 f[VMCS_SLOTS])
{
	cpu_read(c, BY_VIRT, pa + VMCS_REGION_FIELDS, f, VMCS_SLOTS * sizeof(*f));
}

void vmx_region_enter(struct cpu *c, u64 pa, bool is_shadow)
{
	struct vmx *v = vmx_of(c);

	v->current = pa;
	v->checked = 0;
	v->is_shadow = is_shadow;
	v->launched = cpu_read_u32(c, BY_VIRT, pa + VMCS_REGION_LAUNCHED) & 1;
	load(c, pa, v->f);
	vmx_diary_open(c, pa, &v->diary);
	if (quirk(c, QUIRK_VMX_FIRST))
		vmx_first_region(c);
}

void vmx_region_leave(struct cpu *c)
{
	struct vmx *v = vmx_of(c);

	if (v->current == VMCS_NONE)
		return;
	cpu_write_u32(c, BY_VIRT, v->current + VMCS_REGION_LAUNCHED, (u32)v->launched);
	write_back(c, v->current, v->f);
	v->current = VMCS_NONE;
	vmx_diary_close(&v->diary);
}

void vmx_region_peek(struct cpu *c, u64 pa, u64 f[VMCS_SLOTS], bool *launched)
{
	const struct vmx *v = vmx_of(c);

	if (pa == v->current) {
		*launched = v->launched != 0;
		memcpy(f, v->f, sizeof(v->f));
		return;
	}
	*launched = cpu_read_u32(c, BY_VIRT, pa + VMCS_REGION_LAUNCHED) & 1;
	load(c, pa, f);
}

u64 *vmx_shadow(struct cpu *c)
{
	struct vmx *v = vmx_of(c);
	u64 link = vmcs_get(v, VMCS_LINK_POINTER);

	if (unlikely(v->shadow != link)) {
		vmx_shadow_leave(c, v->shadow);
		load(c, link, v->shadow_f);
		vmx_diary_open(c, link, &v->shadow_diary);
		v->shadow = link;
	}
	return v->shadow_f;
}

void vmx_shadow_leave(struct cpu *c, u64 pa)
{
	struct vmx *v = vmx_of(c);

	if (v->shadow == VMCS_NONE || v->shadow != pa)
		return;
	write_back(c, pa, v->shadow_f);
	v->shadow = VMCS_NONE;
	vmx_diary_close(&v->shadow_diary);
}
