/* The screen and the monitor: --vga, --display, --monitor, --qmp. */
#include "api/options.h"

#define BAD(...) opt_bad(o, err, __VA_ARGS__)

OPT_SET(vga)
{
	(void)row;
	o->vga_given = true;
	o->cfg.vga = !strcmp(value, "std") ? MACHINE_VGA_STD : MACHINE_VGA_NONE;
	return opt_listed("std none", value) ? ST_OK : BAD(" %s: std or none", value);
}

OPT_SET(display)
{
	static const struct {
		const char *word;
		enum display_kind kind;
	} kinds[] = {{"none", DISPLAY_NONE}, {"text", DISPLAY_TEXT}, {"ppm:", DISPLAY_PPM}, {"png:", DISPLAY_PNG}};

	(void)row;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const char *word = kinds[i].word;
		size_t n = strlen(word);
		bool file = word[n - 1] == ':';

		if (file ? strncmp(value, word, n) != 0 : strcmp(value, word) != 0)
			continue;
		if (file && !value[n])
			return BAD(" %s: the file name is empty", value);
		o->display = (struct display_options){.kind = kinds[i].kind, .at = file ? value + n : NULL, .option = o->option};
		return ST_OK;
	}
	return BAD(" %s: text, ppm:FILE, png:FILE or none", value);
}

/* Who wants to see something gets something to look at. */
void opt_finish_screen(struct options *o)
{
	if (o->display.kind != DISPLAY_NONE && !o->vga_given)
		o->cfg.vga = MACHINE_VGA_STD;
}

/* tcp:HOST:PORT, unix:PATH, as the server that others come to. */
OPT_SET(monitor)
{
	const char *colon;
	char *comma;
	u64 port;

	if (opt_listed("none null", value))
		return ST_OK;
	while ((comma = strrchr(value, ',')) && opt_listed("server server=on nowait wait=off nodelay", comma + 1))
		*comma = 0;
	colon = strrchr(value, ':');
	if (!strncmp(value, "unix:", 5) && (!value[5] || strlen(value) > 112))
		return BAD(" %s: a socket's path has 1 to 107 characters", value);
	if (strncmp(value, "unix:", 5) != 0 &&
	    (strncmp(value, "tcp:", 4) != 0 || colon < value + 4 || !opt_number(colon + 1, &port) || port > 0xffff))
		return BAD(" %s: unix:PATH, tcp:HOST:PORT or none", value);
	if (o->monitor.count == MONITORS)
		return BAD(" %s: at most %d", value, MONITORS);
	o->monitor.spec[o->monitor.count++] =
	        (struct monitor_spec){.at = value, .option = o->option, .qmp = !strcmp(row->name, "qmp")};
	return ST_OK;
}
