/* The TPM: --tpm. */
#include "api/options.h"

#define BAD(...)  opt_bad(o, err, __VA_ARGS__)

OPT_SET(tpm)
{
	const char *p = value;
	char *key, *v;

	(void)row;
	o->cfg.tpm_option = o->option;
	o->cfg.tpm_state = o->cfg.tpm_socket = NULL;
	if (value && !*value)
		return BAD(": a value is missing (state=FILE, socket=PATH)");
	while (p && opt_item(o, &p, &key, &v)) {
		const char **to = !key                    ? NULL
		            : !strcmp(key, "state")  ? &o->cfg.tpm_state
		            : !strcmp(key, "socket") ? &o->cfg.tpm_socket
		                                     : NULL;
		if (!to)
			return BAD(" %s: '%s' is unknown (state=FILE, socket=PATH)", value, key ? key : v);
		if (*to)
			return BAD(" %s: two times %s=", value, key);
		if (!*v)
			return BAD(" %s: %s= is empty", value, key);
		*to = v;
	}
	if (o->cfg.tpm_state && o->cfg.tpm_socket)
		return BAD(" %s: a swtpm keeps its own state; give state= or socket=", value);
	return ST_OK;
}
