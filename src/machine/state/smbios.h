/* What a user may have SMBIOS say of the machine; smbios.c makes its structures of it. */
#ifndef MACHINE_STATE_SMBIOS_H
#define MACHINE_STATE_SMBIOS_H

#include "base/base.h"

/* What a user may set, in QEMU's words (-smbios type=1,serial=...), and what stands there otherwise. */
/* clang-format off */
#define SMBIOS_FIELDS(F) \
	F(0, BIOS_VENDOR, TEXT, "vendor", "Turnstile") \
	F(0, BIOS_VERSION, TEXT, "version", TS_VERSION) \
	F(0, BIOS_DATE, TEXT, "date", "01/01/2024") \
	F(0, BIOS_RELEASE, RELEASE, "release", "0.0") \
	F(0, BIOS_UEFI, BOOL, "uefi", "off") \
	F(1, SYSTEM_MANUFACTURER, TEXT, "manufacturer", "Turnstile") \
	F(1, SYSTEM_PRODUCT, TEXT, "product", "Standard PC (Q35 + ICH9, 2009)") \
	F(1, SYSTEM_VERSION, TEXT, "version", TS_VERSION) \
	F(1, SYSTEM_SERIAL, TEXT, "serial", "") \
	F(1, SYSTEM_UUID, UUID, "uuid", "00000000-0000-0000-0000-000000000000") \
	F(1, SYSTEM_SKU, TEXT, "sku", "") \
	F(1, SYSTEM_FAMILY, TEXT, "family", "") \
	F(2, BOARD_MANUFACTURER, TEXT, "manufacturer", "Turnstile") \
	F(2, BOARD_PRODUCT, TEXT, "product", "") \
	F(2, BOARD_VERSION, TEXT, "version", "") \
	F(2, BOARD_SERIAL, TEXT, "serial", "") \
	F(2, BOARD_ASSET, TEXT, "asset", "") \
	F(2, BOARD_LOCATION, TEXT, "location", "") \
	F(3, CHASSIS_MANUFACTURER, TEXT, "manufacturer", "Turnstile") \
	F(3, CHASSIS_VERSION, TEXT, "version", "") \
	F(3, CHASSIS_SERIAL, TEXT, "serial", "") \
	F(3, CHASSIS_ASSET, TEXT, "asset", "") \
	F(3, CHASSIS_SKU, TEXT, "sku", "") \
	F(4, CPU_SOCKET, TEXT, "sock_pfx", "CPU") \
	F(4, CPU_MANUFACTURER, TEXT, "manufacturer", NULL) /* as CPUID says */ \
	F(4, CPU_VERSION, TEXT, "version", NULL) \
	F(4, CPU_SERIAL, TEXT, "serial", "") \
	F(4, CPU_ASSET, TEXT, "asset", "") \
	F(4, CPU_PART, TEXT, "part", "") \
	F(4, CPU_MAX_SPEED, NUMBER, "max-speed", "1000") /* an instruction a nanosecond */ \
	F(4, CPU_SPEED, NUMBER, "current-speed", "1000") \
	F(17, DIMM_SLOT, TEXT, "loc_pfx", "DIMM") \
	F(17, DIMM_BANK, TEXT, "bank", "") \
	F(17, DIMM_MANUFACTURER, TEXT, "manufacturer", "Turnstile") \
	F(17, DIMM_SERIAL, TEXT, "serial", "") \
	F(17, DIMM_ASSET, TEXT, "asset", "") \
	F(17, DIMM_PART, TEXT, "part", "") \
	F(17, DIMM_SPEED, NUMBER, "speed", "0")
/* clang-format on */

enum smbios_kind { SMBIOS_TEXT, SMBIOS_NUMBER /* 16 bits */, SMBIOS_RELEASE /* 8.8 */, SMBIOS_BOOL, SMBIOS_UUID };
enum smbios_name {
#define SMBIOS_NAME(type, name, kind, key, value) SMBIOS_##name,
	SMBIOS_FIELDS(SMBIOS_NAME) SMBIOS_COUNT,
#undef SMBIOS_NAME
};

#define SMBIOS_OEM 64
struct smbios_config { /* all zero: nothing was set */
	const char *set[SMBIOS_COUNT];
	const char *oem[SMBIOS_OEM]; /* -smbios type=11,value=... */
	unsigned oems;
};

#endif
