/* Firmware: --bios, --pflash, --uefi, --efi, and --boot, which tells it what to start. */
#include "api/options.h"
#include "base/os.h"

#define BAD(...) opt_bad(o, err, __VA_ARGS__)

/* Where Debian's packages put their images. */
static const struct stock {
	const char *path, *package;
} seabios = {"/usr/share/seabios/bios-256k.bin", "seabios"}, ovmf = {"/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf"},
  ovmf_smm = {"/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "ovmf"}, ovmf_vars = {"/usr/share/OVMF/OVMF_VARS_4M.fd", "ovmf"};

static enum status stock(const struct options *o, const struct stock *k, char **path, struct err *err)
{
	*path = (char *)k->path;
	if (os_path_id(k->path).kind == OS_FILE_HERE)
		return ST_OK;
	return BAD(": %s is missing; install Debian's package %s", k->path, k->package);
}

/* One kind of firmware. */
static enum status claim(struct options *o, const char *more, struct err *err)
{
	struct firmware_config *f = &o->cfg.firmware;

	if (f->option && strcmp(f->option, o->option) != 0)
		return BAD("%s: %s is there already; a machine has one firmware", more, f->option);
	f->option = o->option;
	return ST_OK;
}

OPT_SET(bios)
{
	enum status s = claim(o, "", err);

	(void)row;
	if (s != ST_OK)
		return s;
	o->cfg.firmware.bios = value;
	if (value)
		return *value ? ST_OK : BAD(": the file name is empty");
	return stock(o, &seabios, &o->cfg.firmware.bios, err);
}

/* CODE[,VARS][,smm]; as QEMU has it, once for each chip. */
OPT_SET(pflash)
{
	struct firmware_config *f = &o->cfg.firmware;
	const char *p = value;
	char *key, *v;
	enum status s = claim(o, "", err);

	(void)row;
	while (s == ST_OK && opt_item(o, &p, &key, &v)) {
		if (key || !*v)
			return BAD(" %s: CODE[,VARS][,smm] is meant", value);
		if (!strcmp(v, "smm"))
			f->smm_only = true;
		else if (!f->code)
			f->code = v;
		else if (!f->vars)
			f->vars = v;
		else
			return BAD(" %s: there are two chips of flash", value);
	}
	return s != ST_OK || f->code ? s : BAD(": a file is missing");
}

OPT_SET(uefi)
{
	struct firmware_config *f = &o->cfg.firmware;
	const char *p = value;
	char *key, *v;
	enum status s = claim(o, "", err);

	(void)row;
	while (s == ST_OK && p && opt_item(o, &p, &key, &v)) {
		if (key || !*v)
			return BAD(" %s: VARS[,smm] is meant", value);
		if (!strcmp(v, "smm"))
			f->smm_only = true;
		else if (!f->vars)
			f->vars = v;
		else
			return BAD(" %s: there is one file of variables", value);
	}
	if (s == ST_OK)
		s = stock(o, f->smm_only ? &ovmf_smm : &ovmf, &f->code, err);
	char *vars = NULL;
	if (s == ST_OK)
		s = stock(o, &ovmf_vars, &vars, err);
	f->vars_template = vars;
	return s;
}

/* ---- what it starts ---- */

static enum status set_order(struct options *o, const char *value, const char *v, struct err *err)
{
	struct firmware_config *f = &o->cfg.firmware;
	size_t n = 0;

	if (!*v || strspn(v, "abcdefghijklmnop") != strlen(v))
		return BAD(" %s: '%s' is unknown (order=DRIVES, once=DRIVES, menu=on|off, strict=on|off)", value, v);
	for (; *v && n < sizeof(f->order) - 1; v++)
		f->order[n++] = *v;
	f->order[n] = 0;
	return ST_OK;
}

OPT_SET(boot)
{
	static const char known[] = "(order=DRIVES, once=DRIVES, menu=on|off, strict=on|off)";
	const char *p = value;
	char *key, *v;

	(void)row;
	o->boot = value;
	if (!*value)
		return BAD(": a value is missing");
	while (opt_item(o, &p, &key, &v)) {
		enum status s = ST_OK;
		bool strict;
		if (!key && !strcmp(v, "menu"))
			o->cfg.firmware.menu = true;
		else if (!key || !strcmp(key, "order") || !strcmp(key, "once"))
			s = set_order(o, value, v, err);
		else if (!strcmp(key, "menu") ? !opt_bool(v, &o->cfg.firmware.menu)
		                              : !opt_listed("splash splash-time reboot-timeout", key) &&
		                                        (strcmp(key, "strict") != 0 || !opt_bool(v, &strict)))
			s = BAD(" %s: '%s' is unknown %s", value, key, known);
		if (s != ST_OK)
			return s;
	}
	return ST_OK;
}

/* Images for virtual machines know one save-state map. And OVMF maps all that a processor can address in pieces of 2 MiB,
 * unless it has at most 40 bits, which it takes for a default that means nothing: then so much as there is. */
void opt_fit_firmware(struct options *o)
{
	const struct firmware_config *f = &o->cfg.firmware;
	enum { BITS = 40 };

	if (f->option && !strstr(o->cpu, "smm-map"))
		o->cfg.feat.smm_map_amd64 = true;
	if (f->code && !strstr(o->cpu, "phys-bits") && o->cfg.phys_bits > BITS)
		o->cfg.phys_bits = BITS;
}

enum status opt_finish_firmware(struct options *o, const char *boot_option, struct err *err)
{
	struct firmware_config *f = &o->cfg.firmware;

	if (!f->order[0])
		memcpy(f->order, "cdn", sizeof("cdn"));
	if (f->bios && o->cfg.kernel)
		return err_set(err, ST_ARG, "%s: a BIOS starts no kernel from a file; give it a --disk, or use --uefi", f->option);
	o->option = boot_option;
	return o->boot && !f->option ? opt_note(o, err, " %s: has no effect: the kernel is booted directly", o->boot) : ST_OK;
}
