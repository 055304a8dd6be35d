/*
 * How firmware gets tables whose addresses nobody knows yet: files of fw_cfg, and a script that says where firmware puts
 * them, which fields are addresses, and which bytes checksums. QEMU's document "QEMU<->ACPI BIOS interface".
 */
#ifndef MACHINE_ACPI_LOADER_H
#define MACHINE_ACPI_LOADER_H

#include "dev/devices.h"
#include "machine/state/state.h"

#define LOADER_TABLES "etc/acpi/tables"
#define LOADER_RSDP   "etc/acpi/rsdp"

enum { LOADER_COMMAND = 128, LOADER_COMMANDS = 96 };

struct acpi_loader {
	u8 script[LOADER_COMMANDS * LOADER_COMMAND];
	u32 n;
	bool failed; /* no room, or no memory */
};

struct acpi_loader *loader_new(void); /* NULL: out of memory; begins with the places of both files */
void loader_free(struct acpi_loader *l);
/* The field of `size` bytes at `at` in `file` has an offset into the tables, to which their address is added. */
void loader_pointer(struct acpi_loader *l, const char *file, u32 at, u8 size);
/* The byte at `at` makes the sum of `length` bytes from `start` zero. */
void loader_checksum(struct acpi_loader *l, const char *file, u32 at, u32 start, u32 length);
/* The files and the script, on fw_cfg. */
void loader_offer(struct acpi_loader *l, struct device *fwcfg, const u8 *tables, u32 size, const u8 *rsdp, u32 rsdp_size);

#endif
