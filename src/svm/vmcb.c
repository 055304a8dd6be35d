/* The pages of VMCBs and of the host save area, where they lie: memory, or what is no memory. */
#include "svm/svm.h"

bool svm_pa_ok(const struct cpu *c, pa_t pa)
{
	return is_aligned(pa, PAGE_SIZE) && !(pa >> c->phys_bits);
}

void svm_open_slow(struct cpu *c, struct svm_access *a, struct vmcb_page *tmp)
{
	const struct space *sees = cpu_sees(c);
	const struct space_part *p = space_find(sees, a->pa, USE_READ);

	if (likely(p && (p->uses & USE_WRITE))) {
		a->page = (struct vmcb_page *)(void *)space_host(p, a->pa);
		a->flag = mem_flag(c->bus, (const u8 *)a->page);
		*svm_place(c, a->pa) = (struct svm_place){a->pa, sees->generation, a->page, a->flag};
		return;
	}
	a->page = tmp;
	a->flag = NULL;
	cpu_read(c, BY_VIRT, a->pa, tmp, sizeof(*tmp));
}

void svm_tell_written(struct cpu *c, const struct svm_access *a)
{
	if (!a->flag)
		cpu_write(c, BY_VIRT, a->pa, a->page, sizeof(*a->page));
	else
		mem_written(c->bus, cpu_as(c, BY_VIRT), (const u8 *)a->page, a->pa, PAGE_SIZE);
}
