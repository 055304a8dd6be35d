/* --symbols FILE[@ADDRESS][,.SECTION=ADDRESS...][,for=monitor|guest]: whose addresses get names. */
#include "api/options.h"

static enum status section(struct options *o, struct inspect_symbols *s, const char *name, const char *value, struct err *err)
{
	struct inspect_section *at = &s->section[s->sections];

	if (s->sections == INSPECT_SECTIONS)
		return opt_bad(o, err, ": at most %u sections", INSPECT_SECTIONS);
	at->name = name;
	if (!opt_number(value, &at->at))
		return opt_bad(o, err, " %s=%s: an address", name, value);
	s->sections++;
	return ST_OK;
}

static enum status key(struct options *o, struct inspect_symbols *s, const char *name, const char *value, struct err *err)
{
	if (name[0] == '.')
		return section(o, s, name, value, err);
	if (strcmp(name, "for") != 0)
		return opt_bad(o, err, " %s: unknown; FILE[@ADDRESS][,.SECTION=ADDRESS...][,for=monitor|guest]", name);
	if (!strcmp(value, "monitor"))
		s->who = PLACE_MONITOR;
	else if (!strcmp(value, "guest"))
		s->who = PLACE_GUEST;
	else
		return opt_bad(o, err, " for=%s: for=monitor or for=guest", value);
	return ST_OK;
}

/* An @ in a file's name is the file's, unless an address follows. */
static void split_address(struct inspect_symbols *s, char *file)
{
	char *at = strrchr(file, '@');

	s->has_at = at && at != file && opt_number(at + 1, &s->at);
	if (s->has_at)
		*at = 0;
	s->path = file;
}

OPT_SET(symbols)
{
	const char *p = value;
	char *name, *v;

	(void)row;
	if (o->symbol_files == INSPECT_SYMBOLS)
		return opt_bad(o, err, ": at most %u files", INSPECT_SYMBOLS);
	struct inspect_symbols *s = &o->symbols[o->symbol_files++];
	*s = (struct inspect_symbols){.option = o->option, .who = PLACE_MONITOR | PLACE_GUEST};
	while (opt_item(o, &p, &name, &v)) {
		if (!name && !s->path)
			split_address(s, v);
		else if (!name)
			return opt_bad(o, err, " %s: FILE[@ADDRESS][,.SECTION=ADDRESS...][,for=monitor|guest]", v);
		else if (key(o, s, name, v, err) != ST_OK)
			return ST_ARG;
	}
	return s->path && *s->path ? ST_OK : opt_bad(o, err, ": a file is missing: FILE[@ADDRESS][,.SECTION=ADDRESS...][,for=monitor|guest]");
}
