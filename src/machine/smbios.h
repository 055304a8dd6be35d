/*
 * What firmware tells programs of the machine itself: its names, its processor, its memory. "System Management BIOS
 * (SMBIOS) Reference Specification", version 3.0.
 */
#ifndef MACHINE_SMBIOS_H
#define MACHINE_SMBIOS_H

#include "machine/state/state.h"

struct smbios_field {
	u8 type;
	enum smbios_kind kind;
	const char *key, *value;
};
extern const struct smbios_field smbios_fields[SMBIOS_COUNT];

bool smbios_uuid(const char *s, u8 out[16]); /* in the order of the structure; false: not a UUID */
bool smbios_release(const char *s, u8 *major, u8 *minor);

enum status smbios_build(struct machine *m, struct err *err) must_check;
enum status smbios_offer(struct machine *m, struct err *err) must_check; /* on fw_cfg, for firmware */

#endif
