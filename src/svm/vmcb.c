/* The pages of VMCBs and of the host save area, where they lie: memory, or what is no memory. */
#include "svm/svm.h"

bool svm_pa_ok(const struct cpu *c, pa_t pa)
{
	return is_aligned(pa, PAGE_SIZE) && !(pa >> c->phys_bits);
}

void svm_open(struct cpu *c, struct svm_access *a, pa_t pa, struct vmcb_page *tmp)
{
	a->pa = c->bus->a20_masked ? pa & ~BIT(20) : pa;
	a->ram = bus_ram(c->bus, a->pa);
	a->tmp = tmp;
	if (likely(a->ram && !a->ram->rom)) {
		a->page = (struct vmcb_page *)(void *)ram_ptr(a->ram, a->pa);
		return;
	}
	a->ram = NULL;
	a->page = tmp;
	bus_read(c->bus, a->pa, tmp, sizeof(*tmp));
}

void svm_close_written(struct cpu *c, struct svm_access *a)
{
	if (unlikely(!a->ram))
		bus_write(c->bus, a->pa, a->tmp, sizeof(*a->tmp));
	else if (unlikely(*ram_flag(a->ram, a->pa)))
		mem_page_written(c->bus, cpu_as(c, BY_VIRT), a->ram, a->pa, PAGE_SIZE);
}
