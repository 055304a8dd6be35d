#include "machine/firmware.h"

#include "base/os.h"
#include "dev/flash.h"
#include "dev/pci.h"
#include "machine/acpi/acpi.h"
#include "machine/boot/boot.h"
#include "machine/machine.h"
#include "machine/smbios.h"

#include <stdio.h>

/* ---- where it lies ---- */

#define LEGACY_SIZE 0x20000ull /* the image's end is seen below 1 MiB, too, until PAM sends reads to RAM */
#define ROM_MOST    (16ull << 20)

static enum status add_legacy(struct machine *m, const u8 *end, u64 size, struct err *err)
{
	u64 n = min_u64(size, LEGACY_SIZE);

	return bus_add_rom(&m->bus, MACHINE_BIOS_END - n, end - n, n, err);
}

/* The option and its file, for messages. */
static const char *named(const struct firmware_config *c, const char *path, char *text, size_t n)
{
	snprintf(text, n, "%s %s", c->option, path);
	return text;
}

static enum status map_image(const struct firmware_config *c, const char *path, u64 unit, struct os_file *f, struct err *err)
{
	enum status s = os_file_map(f, path, err);
	char name[512];

	if (s != ST_OK)
		return err_in(err, s, c->option);
	if (f->size <= ROM_MOST && is_aligned(f->size, unit))
		return ST_OK;
	err_set(err, ST_ARG, "%s: not a firmware image: %llu bytes are no multiple of %llu KiB up to 16 MiB",
	        named(c, path, name, sizeof(name)), (unsigned long long)f->size, (unsigned long long)unit >> 10);
	os_file_unmap(f);
	return ST_ARG;
}

enum status firmware_rom(struct machine *m, struct err *err)
{
	const struct firmware_config *c = &m->cfg.firmware;
	struct os_file f;

	if (!c->bios)
		return ST_OK;
	enum status s = map_image(c, c->bios, 64 << 10, &f, err);
	if (s != ST_OK)
		return s;
	s = bus_add_rom(&m->bus, MACHINE_HIGH_BASE - f.size, f.data, f.size, err);
	if (s == ST_OK)
		s = add_legacy(m, f.data + f.size, f.size, err);
	os_file_unmap(&f);
	return s;
}

/* ---- flash ---- */

static void lost(void *arg, const char *text)
{
	machine_lost(arg, "%s", text);
}

bool firmware_has_flash(const struct machine *m, unsigned chip)
{
	const struct firmware_config *c = &m->cfg.firmware;

	return chip ? c->vars || c->vars_template : c->code != NULL;
}

static enum status code_chip(struct machine *m, struct flash_config *k, struct os_file *f, struct err *err)
{
	enum status s = map_image(&m->cfg.firmware, m->cfg.firmware.code, FLASH_BLOCK, f, err);

	if (s != ST_OK)
		return s;
	k->data = f->data;
	k->size = f->size;
	m->code_size = f->size;
	s = add_legacy(m, f->data + f->size, f->size, err);
	if (s != ST_OK)
		os_file_unmap(f);
	return s;
}

/* "EFI_FIRMWARE_VOLUME_HEADER": zeros, the GUID of the file system, its length, and "_FVH". */
static bool is_volume(const u8 *d, u64 n)
{
	enum { LENGTH = 32, SIGNATURE = 40, HEADER = 56 };

	return n >= HEADER && !memcmp(d + SIGNATURE, "_FVH", 4) && get64(d + LENGTH) >= HEADER && get64(d + LENGTH) <= n;
}

static enum status check_vars(const struct firmware_config *c, const char *path, const u8 *d, u64 n, struct err *err)
{
	char name[512];

	if (n && n <= ROM_MOST && is_aligned(n, FLASH_BLOCK) && is_volume(d, n))
		return ST_OK;
	return err_set(err, ST_ARG, "%s: not a store of UEFI variables (a copy of OVMF_VARS_4M.fd is one)",
	               named(c, path, name, sizeof(name)));
}

/* What is kept in a file, or would be if there were one. */
static enum status open_vars(const struct firmware_config *c, struct flash_config *k, u8 **data, struct err *err)
{
	char name[512];
	u64 size = 0;

	*data = NULL;
	if (!c->vars)
		return ST_OK;
	named(c, c->vars, name, sizeof(name));
	enum status s = os_kept_open(&k->file, name, c->vars, err);
	if (s == ST_OK)
		s = os_kept_read(&k->file, name, ROM_MOST, data, &size, err);
	if (s == ST_OK && *data)
		s = check_vars(c, c->vars, *data, size, err);
	else if (s == ST_OK && !c->vars_template)
		s = err_set(err, ST_ARG, "%s: No such file or directory", name);
	k->data = *data;
	k->size = size;
	return s;
}

static enum status variable_chip(struct machine *m, struct flash_config *k, struct os_file *f, u8 **data, struct err *err)
{
	const struct firmware_config *c = &m->cfg.firmware;
	enum status s = open_vars(c, k, data, err);

	if (s != ST_OK || *data)
		return s;
	s = map_image(c, c->vars_template, FLASH_BLOCK, f, err);
	k->data = f->data;
	k->size = f->size;
	return s;
}

enum status firmware_flash(struct machine *m, struct device **out, const struct dev_env *e, unsigned chip, struct err *err)
{
	const struct firmware_config *c = &m->cfg.firmware;
	struct flash_config k = {.option = c->option, .smm_only = c->smm_only, .lost = lost, .arg = m, .file.fd = -1};
	struct os_file f = {0};
	u8 *data = NULL;
	enum status s = chip ? variable_chip(m, &k, &f, &data, err) : code_chip(m, &k, &f, err);

	k.writable = chip;
	k.base = MACHINE_HIGH_BASE - (chip ? m->code_size : 0) - k.size;
	if (s == ST_OK)
		s = flash_create(out, e, &k, err);
	os_kept_close(&k.file);
	if (f.data)
		os_file_unmap(&f);
	base_free(data);
	return s;
}

/* ---- fw_cfg ---- */

static enum status number(struct machine *m, u16 key, u64 v, u32 size)
{
	u8 le[8];

	put64(le, v);
	return fwcfg_add_key(m->fwcfg, key, le, size);
}

static enum status file(struct machine *m, const char *name, u64 v, u32 size)
{
	u8 le[8];

	for (unsigned i = 0; i < m->cfg.fwcfgs; i++)
		if (!strcmp(m->cfg.fwcfg[i].name, name))
			return ST_OK; /* --fw-cfg knows better */
	put64(le, v);
	return fwcfg_add_file(m->fwcfg, name, le, size);
}

static enum status offer_numbers(struct machine *m)
{
	enum { UUID = 2, RAM_SIZE, NOGRAPHIC, NB_CPUS, NUMA = 0x0d, BOOT_MENU, MAX_CPUS, IRQ0_OVERRIDE = 0x8002 };
	const struct {
		u16 key;
		u64 value;
		u8 size;
	} row[] = {
	        {RAM_SIZE, m->bus.ram_size, 8},
	        {NOGRAPHIC, 1, 2},
	        {NB_CPUS, m->count, 2},
	        {NUMA, 0, 8},
	        {BOOT_MENU, m->cfg.firmware.menu, 2},
	        {MAX_CPUS, m->count, 2},
	        {IRQ0_OVERRIDE, 1, 4},
	};
	u8 uuid[16] = {0};
	const char *text = m->cfg.smbios.set[SMBIOS_SYSTEM_UUID];
	enum status s = ST_OK;

	if (text)
		smbios_uuid(text, uuid);
	s = fwcfg_add_key(m->fwcfg, UUID, uuid, sizeof(uuid));
	for (size_t i = 0; i < ARRAY_LEN(row) && s == ST_OK; i++)
		s = number(m, row[i].key, row[i].value, row[i].size);
	return s;
}

/* "etc/e820": RAM, in pieces of base, size and type. */
static enum status offer_memory(struct machine *m)
{
	enum { ENTRY = 20 };
	u8 e[2 * ENTRY];
	const u64 piece[2][2] = {{0, machine_low_ram(m)}, {MACHINE_HIGH_BASE, machine_high_ram(m)}};
	u32 n = 0;

	for (unsigned i = 0; i < 2; i++) {
		if (!piece[i][1])
			continue;
		put64(e + n, piece[i][0]);
		put64(e + n + 8, piece[i][1]);
		put32(e + n + 16, MAP_RAM);
		n += ENTRY;
	}
	return fwcfg_add_file(m->fwcfg, "etc/e820", e, n);
}

/* What an order of drives means here: disks are on virtio-blk, and have Open Firmware's names. */
static enum status offer_order(struct machine *m)
{
	enum { VIRTIO = 0x1af4, BLOCK = 0x1042 };
	char text[64 * MACHINE_DISKS];
	size_t n = 0;

	for (unsigned i = 0; i < ARRAY_LEN(m->pci->fn) && strchr(m->cfg.firmware.order, 'c'); i++) {
		const struct pci_dev *p = m->pci->fn[i];
		if (p && get16(p->cfg + PCI_VENDOR_ID) == VIRTIO && get16(p->cfg + PCI_DEVICE_ID) == BLOCK && n + 64 < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, i & 7 ? "/pci@i0cf8/scsi@%x,%x/disk@0,0\n" : "/pci@i0cf8/scsi@%x/disk@0,0\n",
			                      i >> 3, i & 7);
	}
	return n ? fwcfg_add_file(m->fwcfg, "bootorder", text, (u32)n + 1) : ST_OK;
}

/* A console on COM1 where there is one, no 64-bit window (nothing here needs it, and the DSDT has none), and VMX unlocked. */
static enum status offer_files(struct machine *m)
{
	enum { LOCK = 1, VMX_OUTSIDE_SMX = 4, COM1 = 0x3f8 };
	enum status s = m->cfg.serial[0] ? file(m, "etc/sercon-port", COM1, 2) : ST_OK;

	if (s == ST_OK)
		s = file(m, "opt/ovmf/X-PciMmio64Mb", '0', 2);
	if (s == ST_OK && has(m->cpus[0], FEAT_VMX))
		s = file(m, "etc/msr_feature_control", LOCK | VMX_OUTSIDE_SMX, 8);
	return s;
}

/* A kernel that UEFI firmware starts: the two parts of a bzImage, which it puts together again, and what belongs to it. */
static enum status offer_kernel(struct machine *m, struct err *err)
{
	enum { KERNEL_SIZE = 8, INITRD_SIZE = 0x0b, KERNEL_DATA = 0x11, INITRD_DATA, CMDLINE_SIZE = 0x14, CMDLINE_DATA };
	const char *path[2] = {m->cfg.kernel, m->cfg.initrd}, *append = m->cfg.append ? m->cfg.append : "";
	const char *option[2] = {m->cfg.kernel_option, m->cfg.initrd_option};
	static const u16 size[2] = {KERNEL_SIZE, INITRD_SIZE}, data[2] = {KERNEL_DATA, INITRD_DATA};
	enum status s = ST_OK;

	for (unsigned i = 0; i < 2 && s == ST_OK; i++) {
		struct os_file f;
		if (!path[i])
			continue;
		s = os_file_map(&f, path[i], err);
		if (s != ST_OK)
			return err_in(err, s, option[i]);
		s = number(m, size[i], f.size, 4);
		if (s == ST_OK)
			s = fwcfg_add_key(m->fwcfg, data[i], f.data, (u32)f.size);
		os_file_unmap(&f);
	}
	if (s == ST_OK)
		s = number(m, CMDLINE_SIZE, strlen(append) + 1, 4);
	return s == ST_OK ? fwcfg_add_key(m->fwcfg, CMDLINE_DATA, append, (u32)strlen(append) + 1) : s;
}

static enum status offer(struct machine *m, struct err *err)
{
	static enum status (*const step[])(struct machine *m) = {offer_numbers, offer_memory, offer_order, offer_files};

	for (size_t i = 0; i < ARRAY_LEN(step); i++)
		if (step[i](m) != ST_OK)
			return err_set(err, ST_NOMEM, "out of memory");
	enum status s = m->cfg.kernel ? offer_kernel(m, err) : ST_OK;
	if (s == ST_OK)
		s = acpi_offer(m, err);
	return s == ST_OK ? smbios_offer(m, err) : s;
}

/* ---- CMOS ---- */

/* The order of drives that a BIOS without a list follows: first and second in one byte, the third beside a flag. */
static void set_order(struct machine *m)
{
	enum { FLAG = 0x38, ORDER = 0x3d, NO_CHECK = 1 };
	static const char drive[] = "acdn"; /* floppy, disk, CD, network: 1 to 4 */
	const char *order = m->cfg.firmware.order;
	u8 code[3] = {0};

	for (unsigned i = 0; i < 3 && order[i]; i++) {
		const char *p = strchr(drive, order[i]);
		code[i] = p ? (u8)(p - drive + 1) : 4;
	}
	rtc_set_cmos(m->rtc, ORDER, (u8)(code[0] | code[1] << 4));
	rtc_set_cmos(m->rtc, FLAG, (u8)(code[2] << 4 | NO_CHECK));
}

/* ---- starting ---- */

static void stand_by(struct machine *m, bool asleep)
{
	enum { CONFIG_ADDRESS = 0xcf8 };

	boot_dram(m, asleep);
	boot_acpi_mode(m);
	bus_port_write(&m->bus, CONFIG_ADDRESS, 4, 0);
}

enum status firmware_start(struct machine *m, struct err *err)
{
	enum status s = m->loaded ? ST_OK : offer(m, err);

	m->loaded = true;
	boot_cmos(m);
	set_order(m);
	stand_by(m, false);
	return s;
}

void firmware_wake(struct machine *m)
{
	enum { SHUTDOWN_STATUS = 0x0f, RESUME = 0xfe };

	rtc_set_cmos(m->rtc, SHUTDOWN_STATUS, RESUME);
	stand_by(m, true);
}
