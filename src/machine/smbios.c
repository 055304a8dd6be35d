#include "machine/smbios.h"

#include "cpu/cpu.h"
#include "dev/devices.h"

#include <stdio.h>
#include <stdlib.h>

const struct smbios_field smbios_fields[SMBIOS_COUNT] = {
#define SMBIOS_ROW(type, name, kind, key, value) {type, SMBIOS_##kind, key, value},
        SMBIOS_FIELDS(SMBIOS_ROW)
#undef SMBIOS_ROW
};

/* Both entry points, then the structures. */
enum { ENTRY64 = 0x00, ENTRY64_SIZE = 0x18, ENTRY32 = 0x20, ENTRY32_SIZE = 0x1f, STRUCTURES = 0x40 };
enum { TABLE_ROOM = MACHINE_DMI_END - MACHINE_DMI_BASE - STRUCTURES };
enum { HANDLE_NONE = 0xfffe, HANDLE_UNKNOWN = 0xffff };
enum { MAJOR = 3, MINOR = 0 };

/* ---- one structure: a formatted area, and the strings that its bytes number ---- */

struct table {
	struct machine *m;
	u8 data[TABLE_ROOM];
	u32 n, start, largest;
	u16 count;
	const char *string[SMBIOS_OEM];
	u8 strings;
	bool full;
};

static void byte(struct table *t, u64 v)
{
	if (t->n < sizeof(t->data))
		t->data[t->n++] = (u8)v;
	else
		t->full = true;
}

static void bytes(struct table *t, u64 v, unsigned n)
{
	for (; n; n--, v >>= 8)
		byte(t, v);
}

static void word(struct table *t, u64 v)
{
	bytes(t, v, 2);
}

static void dword(struct table *t, u64 v)
{
	bytes(t, v, 4);
}

static void qword(struct table *t, u64 v)
{
	bytes(t, v, 8);
}

/* "Text strings": number 0 is none. */
static void text(struct table *t, const char *s)
{
	if (!s || !*s) {
		byte(t, 0);
		return;
	}
	t->string[t->strings++] = s;
	byte(t, t->strings);
}

static const char *value(const struct table *t, enum smbios_name f)
{
	return t->m->cfg.smbios.set[f] ? t->m->cfg.smbios.set[f] : smbios_fields[f].value;
}

static void field(struct table *t, enum smbios_name f)
{
	text(t, value(t, f));
}

static u64 number(const struct table *t, enum smbios_name f)
{
	return strtoull(value(t, f), NULL, 0);
}

static void begin(struct table *t, u8 type, u16 handle)
{
	t->start = t->n;
	t->strings = 0;
	byte(t, type);
	byte(t, 0); /* length */
	word(t, handle);
}

static void end(struct table *t)
{
	if (!t->full)
		t->data[t->start + 1] = (u8)(t->n - t->start);
	for (unsigned i = 0; i < t->strings; i++) {
		for (const char *s = t->string[i]; *s; s++)
			byte(t, (u8)*s);
		byte(t, 0);
	}
	if (!t->strings)
		byte(t, 0);
	byte(t, 0);
	t->count++;
	t->largest = (u32)max_u64(t->largest, t->n - t->start);
}

/* ---- the structures ---- */

/* "BIOS Information (Type 0)" */
static void bios(struct table *t)
{
	enum { NOT_SUPPORTED = 1 << 3, ACPI = 1 << 0, UEFI = 1 << 3, VIRTUAL_MACHINE = 1 << 4 };
	u8 major = 0, minor = 0;

	smbios_release(value(t, SMBIOS_BIOS_RELEASE), &major, &minor);
	begin(t, 0, 0x0000);
	field(t, SMBIOS_BIOS_VENDOR);
	field(t, SMBIOS_BIOS_VERSION);
	word(t, MACHINE_ACPI_BASE >> 4);
	field(t, SMBIOS_BIOS_DATE);
	byte(t, 0); /* 64 KiB */
	qword(t, NOT_SUPPORTED);
	byte(t, ACPI);
	byte(t, VIRTUAL_MACHINE | (strcmp(value(t, SMBIOS_BIOS_UEFI), "on") ? 0 : UEFI));
	byte(t, major);
	byte(t, minor);
	word(t, 0xffff); /* no embedded controller */
	end(t);
}

/* "System Information (Type 1)" */
static void system_information(struct table *t)
{
	enum { POWER_SWITCH = 6 };
	u8 uuid[16] = {0};

	smbios_uuid(value(t, SMBIOS_SYSTEM_UUID), uuid);
	begin(t, 1, 0x0100);
	field(t, SMBIOS_SYSTEM_MANUFACTURER);
	field(t, SMBIOS_SYSTEM_PRODUCT);
	field(t, SMBIOS_SYSTEM_VERSION);
	field(t, SMBIOS_SYSTEM_SERIAL);
	for (unsigned i = 0; i < 16; i++)
		byte(t, uuid[i]);
	byte(t, POWER_SWITCH);
	field(t, SMBIOS_SYSTEM_SKU);
	field(t, SMBIOS_SYSTEM_FAMILY);
	end(t);
}

/* "Baseboard (or Module) Information (Type 2)": only where somebody names one. */
static void board(struct table *t)
{
	enum { HOSTING = 1, MOTHERBOARD = 0x0a };
	bool named = false;

	for (enum smbios_name f = SMBIOS_BOARD_MANUFACTURER; f <= SMBIOS_BOARD_LOCATION; f++)
		named |= t->m->cfg.smbios.set[f] != NULL;
	if (!named)
		return;
	begin(t, 2, 0x0200);
	field(t, SMBIOS_BOARD_MANUFACTURER);
	field(t, SMBIOS_BOARD_PRODUCT);
	field(t, SMBIOS_BOARD_VERSION);
	field(t, SMBIOS_BOARD_SERIAL);
	field(t, SMBIOS_BOARD_ASSET);
	byte(t, HOSTING);
	field(t, SMBIOS_BOARD_LOCATION);
	word(t, 0x0300);
	byte(t, MOTHERBOARD);
	byte(t, 0); /* contained objects */
	end(t);
}

/* "System Enclosure or Chassis (Type 3)" */
static void chassis(struct table *t)
{
	enum { OTHER = 1, UNKNOWN = 2, SAFE = 3 };

	begin(t, 3, 0x0300);
	field(t, SMBIOS_CHASSIS_MANUFACTURER);
	byte(t, OTHER);
	field(t, SMBIOS_CHASSIS_VERSION);
	field(t, SMBIOS_CHASSIS_SERIAL);
	field(t, SMBIOS_CHASSIS_ASSET);
	byte(t, SAFE); /* boot-up, power supply and thermal state */
	byte(t, SAFE);
	byte(t, SAFE);
	byte(t, UNKNOWN); /* security */
	dword(t, 0);
	byte(t, 0); /* height, power cords, contained elements and their length */
	byte(t, 0);
	byte(t, 0);
	byte(t, 0);
	field(t, SMBIOS_CHASSIS_SKU);
	end(t);
}

static u16 characteristics(const struct cpu *c)
{
	enum { WIDE = 1 << 2, CORES = 1 << 3, NX = 1 << 5, VIRTUALIZATION = 1 << 6 };

	return (u16)((has(c, FEAT_LM) ? WIDE : 0) | (c->count > 1 ? CORES : 0) | (has(c, FEAT_NX) ? NX : 0) |
	             (c->virt != &virt_none ? VIRTUALIZATION : 0));
}

/* "Processor Information (Type 4)": one package, as CPUID has it. */
static void processor(struct table *t)
{
	enum { CENTRAL = 3, SEE_FAMILY_2 = 0xfe, OTHER = 1, POPULATED = 0x40, ENABLED = 1 };
	struct cpu *c = t->m->cpus[0];
	const char *maker = value(t, SMBIOS_CPU_MANUFACTURER), *version = value(t, SMBIOS_CPU_VERSION);
	char socket[80];
	u32 id[4];

	cpuid_query(c, 1, 0, id);
	snprintf(socket, sizeof(socket), "%s 0", value(t, SMBIOS_CPU_SOCKET));
	begin(t, 4, 0x0400);
	text(t, socket);
	byte(t, CENTRAL);
	byte(t, SEE_FAMILY_2);
	text(t, maker ? maker : c->model->vendor);
	dword(t, id[0]);
	dword(t, id[3]);
	text(t, version ? version : c->model->brand);
	byte(t, 0); /* voltage */
	word(t, 0); /* external clock */
	word(t, number(t, SMBIOS_CPU_MAX_SPEED));
	word(t, number(t, SMBIOS_CPU_SPEED));
	byte(t, POPULATED | ENABLED);
	byte(t, OTHER);          /* upgrade */
	word(t, HANDLE_UNKNOWN); /* caches */
	word(t, HANDLE_UNKNOWN);
	word(t, HANDLE_UNKNOWN);
	field(t, SMBIOS_CPU_SERIAL);
	field(t, SMBIOS_CPU_ASSET);
	field(t, SMBIOS_CPU_PART);
	byte(t, c->count); /* cores, of them enabled, threads */
	byte(t, c->count);
	byte(t, c->count);
	word(t, characteristics(c));
	word(t, OTHER); /* family 2 */
	word(t, c->count);
	word(t, c->count);
	word(t, c->count);
	end(t);
}

/* "OEM Strings (Type 11)" */
static void oem_strings(struct table *t)
{
	const struct smbios_config *s = &t->m->cfg.smbios;

	if (!s->oems)
		return;
	begin(t, 11, 0x0e00);
	byte(t, s->oems);
	for (unsigned i = 0; i < s->oems; i++)
		t->string[t->strings++] = s->oem[i];
	end(t);
}

/* ---- memory ---- */

#define DIMM (16ull << 30)

/* "Physical Memory Array (Type 16)" */
static void memory_array(struct table *t, u64 dimms)
{
	enum { SYSTEM_BOARD = 3, SYSTEM_MEMORY = 3, NO_CORRECTION = 3 };
	const u32 extended = 0x80000000;
	u64 kib = t->m->bus.ram_size >> 10;

	begin(t, 16, 0x1000);
	byte(t, SYSTEM_BOARD);
	byte(t, SYSTEM_MEMORY);
	byte(t, NO_CORRECTION);
	dword(t, kib < extended ? kib : extended);
	word(t, HANDLE_NONE);
	word(t, dimms);
	qword(t, kib < extended ? 0 : kib << 10);
	end(t);
}

/* "Memory Device (Type 17)": sizes in MiB, bit 15 set in KiB, 7FFFh: see the extended one. */
static void memory_device(struct table *t, u64 n, u64 size)
{
	enum { DIMM_FORM = 9, RAM = 7, OTHER = 2 };
	char slot[80];
	bool in_kib = size & 0xfffff && size >> 10 < 0x7fff;
	u64 mib = size >> 20;

	snprintf(slot, sizeof(slot), "%s %llu", value(t, SMBIOS_DIMM_SLOT), (unsigned long long)n);
	begin(t, 17, (u16)(0x1100 + n));
	word(t, 0x1000);
	word(t, HANDLE_NONE);
	word(t, 0xffff); /* total and data width: unknown */
	word(t, 0xffff);
	word(t, in_kib ? 0x8000 | size >> 10 : min_u64(mib, 0x7fff));
	byte(t, DIMM_FORM);
	byte(t, 0);
	text(t, slot);
	field(t, SMBIOS_DIMM_BANK);
	byte(t, RAM);
	word(t, OTHER);
	word(t, number(t, SMBIOS_DIMM_SPEED));
	field(t, SMBIOS_DIMM_MANUFACTURER);
	field(t, SMBIOS_DIMM_SERIAL);
	field(t, SMBIOS_DIMM_ASSET);
	field(t, SMBIOS_DIMM_PART);
	byte(t, 0); /* rank */
	dword(t, !in_kib && mib >= 0x7fff ? mib : 0);
	word(t, number(t, SMBIOS_DIMM_SPEED));
	word(t, 0); /* voltages: unknown */
	word(t, 0);
	word(t, 0);
	end(t);
}

/* "Memory Array Mapped Address (Type 19)": in KiB; RAM ends at 1 TiB, which they hold. */
static void mapped_address(struct table *t, unsigned n, u64 base, u64 size, u64 dimms)
{
	if (!size)
		return;
	begin(t, 19, (u16)(0x1300 + n));
	dword(t, base >> 10);
	dword(t, (base + size - 1) >> 10);
	word(t, 0x1000);
	byte(t, dimms);
	qword(t, 0);
	qword(t, 0);
	end(t);
}

static void memory(struct table *t)
{
	u64 size = t->m->bus.ram_size, dimms = (size + DIMM - 1) / DIMM;

	memory_array(t, dimms);
	for (u64 n = 0; n < dimms; n++)
		memory_device(t, n, min_u64(DIMM, size - n * DIMM));
	mapped_address(t, 0, 0, machine_low_ram(t->m), dimms);
	mapped_address(t, 1, MACHINE_HIGH_BASE, machine_high_ram(t->m), dimms);
}

/* "System Boot Information (Type 32)" and "End-of-Table (Type 127)" */
static void boot_and_end(struct table *t)
{
	begin(t, 32, 0x2000);
	bytes(t, 0, 6);
	byte(t, 0); /* no errors detected */
	end(t);
	begin(t, 127, 0x7f00);
	end(t);
}

/* ---- entry points ---- */

static u8 checksum(const u8 *p, unsigned n)
{
	u8 sum = 0;

	while (n--)
		sum = (u8)(sum + *p++);
	return (u8)(0 - sum);
}

static void put(u8 *p, u64 v, unsigned n)
{
	for (; n; n--, v >>= 8)
		*p++ = (u8)v;
}

/* "SMBIOS 3.0 (64-bit) Entry Point" */
static void entry64(const struct table *t, u64 structures, u8 e[ENTRY64_SIZE])
{
	static const u8 fixed[ENTRY64_SIZE] = {'_', 'S', 'M', '3', '_', 0, ENTRY64_SIZE, MAJOR, MINOR, 0, 1, 0};

	memcpy(e, fixed, sizeof(fixed));
	put(e + 12, t->n, 4);
	put(e + 16, structures, 8);
	e[5] = checksum(e, ENTRY64_SIZE);
}

/* The same with "SMBIOS 2.1 (32-bit) Entry Point", for one set of structures. */
static void write_entries(struct bus *b, const struct table *t)
{
	u8 e[ENTRY64_SIZE];
	u8 old[ENTRY32_SIZE] = {'_', 'S', 'M', '_', 0, ENTRY32_SIZE, MAJOR, MINOR, [16] = '_', 'D', 'M', 'I', '_'};
	const u64 structures = MACHINE_DMI_BASE + STRUCTURES;

	entry64(t, structures, e);
	bus_write(b, MACHINE_DMI_BASE + ENTRY64, e, sizeof(e));
	put(old + 8, t->largest, 2);
	put(old + 22, t->n, 2);
	put(old + 24, structures, 4);
	put(old + 28, t->count, 2);
	old[30] = MAJOR << 4 | MINOR;
	old[21] = checksum(old + 16, 15);
	old[4] = checksum(old, sizeof(old));
	bus_write(b, MACHINE_DMI_BASE + ENTRY32, old, sizeof(old));
}

static void write_all(const struct table *t)
{
	struct bus *b = &t->m->bus;

	bus_write(b, MACHINE_DMI_BASE + STRUCTURES, t->data, t->n);
	write_entries(b, t);
}

/* For firmware, which finds a place: the entry point tells the version. */
static bool offer_all(const struct table *t)
{
	u8 e[ENTRY64_SIZE];

	entry64(t, 0, e);
	return fwcfg_add_file(t->m->fwcfg, "etc/smbios/smbios-tables", t->data, t->n) == ST_OK &&
	       fwcfg_add_file(t->m->fwcfg, "etc/smbios/smbios-anchor", e, sizeof(e)) == ST_OK;
}

/* ---- values ---- */

/* "System — UUID": the first three parts are little-endian. */
bool smbios_uuid(const char *s, u8 out[16])
{
	static const u8 place[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
	static const char hex[] = "0123456789abcdef";
	unsigned n = 0;

	for (; *s && n < 32; s++) {
		if (*s == '-' && (n == 8 || n == 12 || n == 16 || n == 20) && s[-1] != '-')
			continue;
		const char *digit = memchr(hex, *s >= 'A' && *s <= 'F' ? *s + 32 : *s, 16);
		if (!digit)
			return false;
		u8 *at = &out[place[n / 2]];
		*at = (u8)((n & 1 ? *at << 4 : 0) | (digit - hex));
		n++;
	}
	return n == 32 && !*s;
}

bool smbios_release(const char *s, u8 *major, u8 *minor)
{
	unsigned a, b;
	char more;

	if (sscanf(s, "%3u.%3u%c", &a, &b, &more) != 2 || a > 255 || b > 255)
		return false;
	*major = (u8)a;
	*minor = (u8)b;
	return true;
}

static enum status build(struct machine *m, bool offer, struct err *err)
{
	struct table *t = base_alloc(sizeof(*t));
	bool kept = true;

	if (!t)
		return err_set(err, ST_NOMEM, "out of memory");
	t->m = m;
	bios(t);
	system_information(t);
	board(t);
	chassis(t);
	processor(t);
	oem_strings(t);
	memory(t);
	boot_and_end(t);
	bool full = t->full;
	if (!full && offer)
		kept = offer_all(t);
	else if (!full)
		write_all(t);
	base_free(t);
	if (full)
		return err_set(err, ST_ARG, "--smbios: the strings have more than %u KiB together", TABLE_ROOM >> 10);
	return kept ? ST_OK : err_set(err, ST_NOMEM, "out of memory");
}

enum status smbios_build(struct machine *m, struct err *err)
{
	return build(m, false, err);
}

enum status smbios_offer(struct machine *m, struct err *err)
{
	return build(m, true, err);
}
