/* --sanitize[=KIND,...]: which mistakes are looked for. */
#include "api/options.h"
#include "sanitize/sanitize.h"

static const char *kind_name(unsigned i, const void *arg)
{
	(void)arg;
	return i < WATCH_KINDS ? sanitize_name((enum watch_kind)i) : NULL;
}

static enum status unknown(const struct options *o, const char *word, size_t n, struct err *err)
{
	char bare[65];

	snprintf(bare, sizeof(bare), "%.*s", (int)min_u64(n, 64), word);
	const char *near = opt_nearest(bare, kind_name, NULL);
	if (near)
		return opt_bad(o, err, " %s: no such kind; did you mean %s?", bare, near);
	return opt_bad(o, err, " %s: no such kind; --sanitize=help lists them", bare);
}

/* Words from left to right; a list that begins with what is taken away takes it from the usual ones. */
OPT_SET(sanitize)
{
	(void)row;
	if (!value || value[0] == '-')
		o->sanitize = sanitize_find("default", 7);
	for (const char *p = value; p; p = strchr(p, ',')) {
		p += *p == ',';
		bool away = *p == '-';
		size_t n = strcspn(p += away, ",");
		u64 kinds = sanitize_find(p, n);
		if (!kinds)
			return unknown(o, p, n, err);
		o->sanitize = away ? o->sanitize & ~kinds : o->sanitize | kinds;
	}
	return o->sanitize ? ST_OK : opt_bad(o, err, " %s: no kind is left", value);
}

void opt_sanitize_help(FILE *f)
{
	fprintf(f, "Kinds of mistakes that --sanitize reports; --sanitize=KIND,... reports these alone, -KIND takes one away,\n"
	           "the first part of a name (vmcs) stands for all that begin so, and \"all\" for all:\n");
	for (unsigned k = 0; k < WATCH_KINDS; k++)
		fprintf(f, "%-24s %s%s\n", sanitize_name((enum watch_kind)k), sanitize_kinds[k].rule,
		        sanitize_kinds[k].asked ? " (only by name)" : "");
}
