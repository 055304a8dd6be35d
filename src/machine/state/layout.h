/* The memory map: what stands where, and what firmware reports of it. */
#ifndef MACHINE_STATE_LAYOUT_H
#define MACHINE_STATE_LAYOUT_H

#include "base/base.h"

/* All of RAM lies below ECAM if it fits there, otherwise so much as SPLIT says, and the rest from 4 GiB up. */
#define MACHINE_SPLIT     0x80000000ull
#define MACHINE_HIGH_BASE 0x100000000ull
#define MACHINE_ECAM      0xb0000000ull
#define MACHINE_ECAM_SIZE 0x10000000ull
#define MACHINE_PCI_BASE  0xc0000000ull /* 32-bit memory window for BARs */
#define MACHINE_PCI_END   0xfec00000ull
#define MACHINE_PIO_BASE  0xc000u /* I/O window for BARs */
#define MACHINE_IOAPIC    0xfec00000ull
#define MACHINE_HPET      0xfed00000ull
#define MACHINE_LAPIC     0xfee00000ull
#define MACHINE_PMBASE    0x600
#define MACHINE_EBDA      0x9fc00ull
#define MACHINE_TPM_LOG      0xe0000ull /* the event log, with a TPM */
#define MACHINE_TPM_LOG_SIZE 0x10000ull
#define MACHINE_ACPI_BASE 0xf0000ull /* RSDP first, then every table */
#define MACHINE_ACPI_END  0xf4000ull
#define MACHINE_DMI_BASE  0xf4000ull /* SMBIOS */
#define MACHINE_DMI_END   0xf8000ull
#define MACHINE_WAKE_BASE 0xf8000ull /* page tables for a waking vector in long mode */
#define MACHINE_BIOS_END  0x100000ull

/* ---- as firmware reports it ---- */
struct machine;
enum { MAP_RAM = 1, MAP_RESERVED = 2, MAP_ACPI = 3 };
struct map_entry {
	u64 base, size;
	u32 type;
};
#define MAP_MAX 12
unsigned machine_memory_map(const struct machine *m, struct map_entry out[MAP_MAX]);
u64 machine_low_ram(const struct machine *m);  /* end of RAM below 4 GiB */
u64 machine_high_ram(const struct machine *m); /* bytes of RAM from 4 GiB up */

#endif
