#include "machine/state/layout.h"

#include "machine/state/state.h"

u64 machine_low_ram(const struct machine *m)
{
	return m->bus.ram_size <= MACHINE_ECAM ? m->bus.ram_size : MACHINE_SPLIT;
}

u64 machine_high_ram(const struct machine *m)
{
	return m->bus.ram_size - machine_low_ram(m);
}

unsigned machine_memory_map(const struct machine *m, struct map_entry out[MAP_MAX])
{
	const u64 bios = m->tis ? MACHINE_TPM_LOG : MACHINE_ACPI_BASE;
	const struct map_entry map[] = {
	        {0, MACHINE_EBDA, MAP_RAM},
	        {MACHINE_EBDA, 0xa0000 - MACHINE_EBDA, MAP_RESERVED},
	        {bios, MACHINE_BIOS_END - bios, MAP_RESERVED},
	        {0x100000, machine_low_ram(m) - 0x100000, MAP_RAM},
	        {MACHINE_ECAM, MACHINE_ECAM_SIZE, MAP_RESERVED},
	        {MACHINE_HIGH_BASE, machine_high_ram(m), MAP_RAM},
	};
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		if (map[i].size)
			out[n++] = map[i];
	return n;
}
