/*
 * Out of S3: what firmware does before the operating system has its machine again. "Waking and Initialization" and
 * "Firmware ACPI Control Structure (FACS)" of the ACPI specification.
 */
#include "machine/boot/boot.h"

enum { WAKING_VECTOR = 12, X_WAKING_VECTOR = 24, OSPM_FLAGS = 36, FACS_LENGTH = 64, WAKE_64 = 1 };

/* DEVIATION: a waking vector of 64 bits is mapped one to one only below 4 GiB. */
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
	if (!wide)
		boot_enter_real(c, vector);
	else if (get32(facs + OSPM_FLAGS) & WAKE_64)
		boot_enter_long(&m->bus, c, 0, MACHINE_WAKE_BASE, wide);
	else
		boot_enter_flat32(c, wide);
	return ST_OK;
}
