/* Who looks inside: --gdb, -s, -S, --break-on, --magic-break, --core. */
#include "api/options.h"

#define BAD(...) opt_bad(o, err, __VA_ARGS__)

/* What QEMU's users write behind an address and what holds anyway. */
static void drop_suffixes(char *value)
{
	char *comma;

	while ((comma = strrchr(value, ',')) && opt_listed("server server=on nowait wait=off nodelay", comma + 1))
		*comma = 0;
}

/* tcp:HOST:PORT, unix:PATH or PORT; behind -s nothing. */
OPT_SET(gdb)
{
	char text[80];
	u64 port;

	(void)row;
	o->gdb.option = o->option;
	o->gdb.listen = "tcp:127.0.0.1:1234";
	if (!value)
		return ST_OK;
	drop_suffixes(value);
	o->gdb.listen = value;
	if (opt_number(value, &port)) {
		snprintf(text, sizeof(text), "tcp:127.0.0.1:%.40s", value);
		o->gdb.listen = opt_copy(o, text, strlen(text));
	} else if (strncmp(value, "tcp:", 4) != 0 && strncmp(value, "unix:", 5) != 0) {
		return BAD(" %s: tcp:HOST:PORT, unix:PATH or PORT", value);
	} else if (!strcmp(value, "unix:")) {
		return BAD(" %s: the path is missing", value);
	}
	return ST_OK;
}

OPT_SET(wait_for_gdb)
{
	(void)row, (void)value, (void)err;
	o->gdb.wait = o->option;
	return ST_OK;
}

OPT_SET(break_on)
{
	const char *p = value;
	char *key, *v;

	(void)row;
	o->gdb.stop_option = o->option;
	if (!*value)
		return BAD(": a condition is missing");
	while (opt_item(o, &p, &key, &v)) {
		char text[160];

		snprintf(text, sizeof(text), "%s%s%s", key ? key : "", key ? "=" : "", v);
		if (!gdb_valid_stop(text))
			return BAD(" %s: refused, entry, exit, exit=REASON, triple-fault, sanitize or the id of a check", text);
		if (o->gdb.stops == GDB_BREAKS)
			return BAD(": more than %d conditions", GDB_BREAKS);
		o->gdb.stop[o->gdb.stops++] = opt_copy(o, text, strlen(text));
	}
	return ST_OK;
}

OPT_SET(magic_break)
{
	(void)row, (void)value, (void)err;
	o->gdb.magic = true;
	if (!o->gdb.stop_option)
		o->gdb.stop_option = o->option;
	return ST_OK;
}

OPT_SET(core)
{
	(void)row;
	if (!*value)
		return BAD(": the file name is empty");
	o->gdb.core = value;
	o->gdb.core_option = o->option;
	return ST_OK;
}

enum status opt_finish_debug(const struct options *o, struct err *err)
{
	if (o->gdb.wait && !o->gdb.listen)
		return err_set(err, ST_ARG, "%s: nobody could let it go on; add --gdb", o->gdb.wait);
	return ST_OK;
}
