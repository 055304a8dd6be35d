/*
 * acpi: the tables that describe the machine to an operating system. The DSDT is dsdt.asl, compiled at build time; all
 * that depends on the configuration is built here.
 */
#ifndef MACHINE_ACPI_ACPI_H
#define MACHINE_ACPI_ACPI_H

#include "machine/state/state.h"

/* Writes every table below 1 MiB and sets m->rsdp. */
enum status acpi_build(struct machine *m, struct err *err) must_check;
/* Leaves all that to firmware, which finds the tables on fw_cfg. */
enum status acpi_offer(struct machine *m, struct err *err) must_check;

#endif
