/* The pages of VMCBs and of the host save area, where they lie: memory, or what is no memory. */
#include "svm/svm.h"

bool svm_pa_ok(const struct cpu *c, pa_t pa)
{
	return is_aligned(pa, PAGE_SIZE) && !(pa >> c->phys_bits);
}

void svm_open(struct cpu *c, struct svm_access *a, pa_t pa, struct vmcb_page *tmp)
{
	const pa_t at = cpu_phys(c, pa);
	const struct space_part *p = space_find(cpu_sees(c), at, USE_READ);

	a->pa = at;
	a->tmp = tmp;
	if (likely(p && (p->uses & USE_WRITE))) {
		a->page = (struct vmcb_page *)(void *)space_host(p, at);
		return;
	}
	a->page = tmp;
	cpu_read(c, BY_VIRT, at, tmp, sizeof(*tmp));
}

void svm_close_written(struct cpu *c, struct svm_access *a)
{
	const u8 *host = (const u8 *)a->page;

	if (unlikely(a->page == a->tmp))
		cpu_write(c, BY_VIRT, a->pa, a->tmp, sizeof(*a->tmp));
	else if (unlikely(*mem_flag(c->bus, host)))
		mem_written(c->bus, cpu_as(c, BY_VIRT), host, a->pa, PAGE_SIZE);
}
