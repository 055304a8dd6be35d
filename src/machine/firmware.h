/*
 * firmware: a stock image instead of what boot/ leaves: the ROM or the flash it runs from, and what it asks fw_cfg and the
 * CMOS about the machine. Names and layouts are those of QEMU's document "QEMU Firmware Configuration (fw_cfg) Device",
 * which images for virtual machines are written to.
 */
#ifndef MACHINE_FIRMWARE_H
#define MACHINE_FIRMWARE_H

#include "machine/state/state.h"

/* Before the devices: a ROM. */
enum status firmware_rom(struct machine *m, struct err *err) must_check;
/* One chip of flash: 0 has the code, 1 the variables. */
struct device;
struct dev_env;
bool firmware_has_flash(const struct machine *m, unsigned chip);
enum status firmware_flash(struct machine *m, struct device **out, const struct dev_env *e, unsigned chip,
			   struct err *err) must_check;
/* Behind a start or a reset: processors stand at the reset vector, DRAM works, and the rest is firmware's. */
enum status firmware_start(struct machine *m, struct err *err) must_check;
/* Behind S3: the same, and the CMOS says what it is. */
void firmware_wake(struct machine *m);

#endif
