/* What a debugger asks of SVM: how the side of a world switch that is not there translates, and values in words. */
#include "svm/svm.h"

static struct virt_view now(const struct cpu *c)
{
	return (struct virt_view){.cr0 = c->cr0, .cr3 = c->cr3, .cr4 = c->cr4, .efer = c->efer, .pat = c->pat};
}

static struct virt_view host(const struct svm_host *h)
{
	return (struct virt_view){.cr0 = h->cr0, .cr3 = h->cr3, .cr4 = h->cr4, .efer = h->efer, .pat = h->pat};
}

bool svm_view(const struct cpu *c, bool guest, struct virt_view *out)
{
	const struct svm *s = svm_of(c);
	u64 left;
	const struct vmcb_page *page =
	        (const void *)space_memory(cpu_sees(c), cpu_phys(c, s->vmcb_pa), USE_READ, &left);

	if (!guest) {
		*out = c->guest ? host(&s->host) : now(c);
		return true;
	}
	if ((!c->guest && !c->exits) || !page)
		return false;
	*out = c->guest ? now(c)
	                : (struct virt_view){.cr0 = page->save.cr0,
	                                     .cr3 = page->save.cr3,
	                                     .cr4 = page->save.cr4,
	                                     .efer = page->save.efer,
	                                     .pat = page->save.g_pat};
	out->nested = c->guest ? c->stage2 : (page->control.nested_ctl & NESTED_NP_ENABLE) != 0;
	out->root = c->guest ? svm_control(c)->n_cr3 : page->control.n_cr3;
	return true;
}

void svm_words(const struct cpu *c, u32 key, u64 value, char *out, size_t size)
{
	const u32 asids = quirk(c, QUIRK_SVM_FIRST) ? QUIRK_SVM_FIRST_ASIDS : SVM_ASIDS;
	struct svm_image v = {.env.phys_bits = c->phys_bits, .env.asids = asids};

	*out = 0;
	if (key < sizeof(v.control))
		memcpy((u8 *)&v.control + key, &value, vmcb_field_at(key)->width);
	else if (key >= VMCB_SAVE)
		memcpy((u8 *)&v.save + (key - VMCB_SAVE), &value, vmcb_field_at(key)->width);
	else
		return;
	svm_decode_field(out, size, &v, NULL, key);
}
