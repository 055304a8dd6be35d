/*
 * Out of S3: what firmware does before the operating system has its machine again. "Waking and Initialization" and
 * "Firmware ACPI Control Structure (FACS)" of the ACPI specification.
 */
#include "machine/boot/boot.h"

enum { WAKING_VECTOR = 12, X_WAKING_VECTOR = 24, OSPM_FLAGS = 36, FACS_LENGTH = 64, WAKE_64 = 1 };

/* "Waking Vector": OSPM's 64-bit code runs where it lies. Its GiB is added to the first four, which are mapped already.
 */
static void map_vector(struct bus *bus, u64 vector)
{
	enum { PDPT = 1, MORE_PDPT = 6, MORE_PD = 7 }; /* pages of the area */
	u64 table[512] = {0}, top = vector >> 39, gib = vector >> 30;
	u64 pdpt = MACHINE_WAKE_BASE + (top ? MORE_PDPT : PDPT) * PAGE_SIZE,
	    pd = MACHINE_WAKE_BASE + MORE_PD * PAGE_SIZE;

	if (gib < 4)
		return;
	if (top) {
		bus_write(bus, pdpt, table, sizeof(table));
		bus_write_u64(bus, MACHINE_WAKE_BASE + 8 * top, pdpt | 3);
	}
	bus_write_u64(bus, pdpt + 8 * (gib & 511), pd | 3);
	for (u64 i = 0; i < 512; i++)
		table[i] = (gib << 30) | (i << 21) | 0x83;
	bus_write(bus, pd, table, sizeof(table));
}

bool boot_kept(struct machine *m)
{
	char signature[4];

	bus_read(&m->bus, m->facs, signature, sizeof(signature));
	return !memcmp(signature, "FACS", sizeof(signature));
}

enum status boot_resume(struct machine *m, struct err *err)
{
	struct cpu *c = m->cpus[0];
	u8 facs[FACS_LENGTH];

	boot_firmware(m); /* opens what the tables lie in, too */
	bus_read(&m->bus, m->facs, facs, sizeof(facs));
	u32 vector = get32(facs + WAKING_VECTOR);
	u64 wide = get64(facs + X_WAKING_VECTOR);
	if (!vector && !wide)
		return boot_load(m, err);
	boot_wake_tpm(m);
	if (!wide) {
		boot_enter_real(c, vector);
	} else if (get32(facs + OSPM_FLAGS) & WAKE_64) {
		boot_enter_long(&m->bus, c, 0, MACHINE_WAKE_BASE, wide);
		map_vector(&m->bus, wide);
	} else {
		boot_enter_flat32(c, wide);
	}
	return ST_OK;
}
