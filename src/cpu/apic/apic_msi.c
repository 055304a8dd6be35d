/*
 * What devices see of the APICs: the write of a message-signalled interrupt, and the end of a level-triggered one.
 */
#include "cpu/apic/apic.h"

#define SHORT_NONE 0u

/* "Message Address Register Format": the redirection hint adds nothing here, the mode bit decides, as chipsets do. */
void apic_msi(struct cpu *const *cpus, unsigned n, u64 addr, u32 data)
{
	struct apic_msg m = {
		.vector = (u8)data,
		.delivery = (u8)bits(data, 10, 8),
		.logical = bits(addr, 2, 2),
		.level = bits(data, 15, 15),
		.assert = bits(data, 14, 14),
		.dest = (u32)bits(addr, 19, 12),
	};

	if (m.level && !m.assert)
		return;
	apic_bus_send(cpus, n, &m, NULL, SHORT_NONE);
}

void apic_eoi_hook(struct cpu *const *cpus, unsigned n, void (*fn)(void *arg, u8 vector), void *arg)
{
	for (unsigned i = 0; i < n; i++)
		cpus[i]->apic.eoi_fn = fn, cpus[i]->apic.eoi_arg = arg;
}
