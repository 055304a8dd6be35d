/* -smbios and -uuid: the names that SMBIOS gives the machine. Which there are is a table of machine/state/smbios.h. */
#include "api/options.h"

#define BAD(...) opt_bad(o, err, __VA_ARGS__)

static bool valid(enum smbios_kind kind, const char *v)
{
	u8 uuid[16], major, minor;
	bool flag;
	u64 n;

	switch (kind) {
	case SMBIOS_TEXT: return true;
	case SMBIOS_NUMBER: return opt_number(v, &n) && n <= 0xffff;
	case SMBIOS_RELEASE: return smbios_release(v, &major, &minor);
	case SMBIOS_BOOL: return opt_bool(v, &flag);
	case SMBIOS_UUID: return smbios_uuid(v, uuid);
	}
	return false;
}

static enum status set_field(struct options *o, unsigned k, const char *v, struct err *err)
{
	static const char *const wants[] = {
	        [SMBIOS_NUMBER] = "a number up to 65535",
	        [SMBIOS_RELEASE] = "two numbers up to 255, as 4.2",
	        [SMBIOS_BOOL] = "on or off",
	        [SMBIOS_UUID] = "32 hexadecimal digits, as 01234567-89ab-cdef-0123-456789abcdef",
	};
	const struct smbios_field *f = &smbios_fields[k];
	bool on;

	if (!valid(f->kind, v))
		return BAD(" type=%u,%s=%s: must be %s", f->type, f->key, v, wants[f->kind]);
	if (f->kind == SMBIOS_BOOL)
		v = opt_bool(v, &on) && on ? "on" : "off";
	o->cfg.smbios.set[k] = v;
	return ST_OK;
}

static enum status set_oem(struct options *o, const char *v, struct err *err)
{
	struct smbios_config *s = &o->cfg.smbios;

	if (!*v)
		return BAD(" type=11,value=: an empty string cannot stand in the table");
	if (s->oems == SMBIOS_OEM)
		return BAD(" type=11: at most %d strings", SMBIOS_OEM);
	s->oem[s->oems++] = v;
	return ST_OK;
}

static enum status set_key(struct options *o, u64 type, const char *key, const char *v, struct err *err)
{
	bool known = type == 11;

	if (type == 11 && !strcmp(key, "value"))
		return set_oem(o, v, err);
	for (unsigned k = 0; k < SMBIOS_COUNT; k++) {
		if (smbios_fields[k].type != type)
			continue;
		known = true;
		if (!strcmp(smbios_fields[k].key, key))
			return set_field(o, k, v, err);
	}
	if (known)
		return BAD(" type=%u,%s=%s: unknown key", (unsigned)type, key, v);
	return BAD(" type=%u: names can be given to types 0, 1, 2, 3, 4, 11 and 17", (unsigned)type);
}

OPT_SET(smbios)
{
	const char *p = value;
	char *key, *v;
	u64 type = 0;
	bool typed = false;

	(void)row;
	while (opt_item(o, &p, &key, &v)) {
		if (!typed && (!key || strcmp(key, "type") || !opt_number(v, &type) || type > 255))
			return BAD(" %s: type=NUMBER must come first", value);
		if (!typed) {
			typed = true;
			continue;
		}
		if (!key)
			return BAD(" type=%u: %s is not KEY=VALUE", (unsigned)type, v);
		enum status s = set_key(o, type, key, v, err);
		if (s != ST_OK)
			return s;
	}
	return typed ? ST_OK : BAD(": type=NUMBER is missing");
}

OPT_SET(uuid)
{
	u8 uuid[16];

	(void)row;
	if (!smbios_uuid(value, uuid))
		return BAD(" %s: must be 32 hexadecimal digits, as 01234567-89ab-cdef-0123-456789abcdef", value);
	o->cfg.smbios.set[SMBIOS_SYSTEM_UUID] = value;
	return ST_OK;
}
