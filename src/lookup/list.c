/* The tables, as text or as JSON. */
#include "base/said.h"
#include "lookup/parts.h"

#define COLUMNS 5

struct sheet {
	FILE *out;
	bool json;
	const struct kind *kind;
	unsigned rows;
};

/* clang-format off */
static const struct kind {
	const char *name;
	void (*list)(struct sheet *s);
	struct { const char *name; int width; } column[COLUMNS];
} kinds[] = {
	{"checks",     list_checks,     {{"id", 40}, {"outcome", 40}, {"rule", 60}, {"manual", 0}}},
	{"fields",     list_fields,     {{"vendor", 4}, {"place", 7}, {"bytes", 2}, {"kind", 8}, {"name", 0}}},
	{"intercepts", list_intercepts, {{"vendor", 4}, {"place", 7}, {"bit", 3}, {"name", 0}}},
	{"exits",      list_exits,      {{"vendor", 4}, {"code", 19}, {"name", 0}}},
	{"msrs",       list_msrs,       {{"model", 6}, {"index", 11}, {"feature", 20}, {"name", 0}}},
	{"cpuid",      list_cpuid,      {{"feature", 24}, {"place", 0}}},
	{"insns",      list_insns,      {{"model", 6}, {"form", 44}, {"feature", 0}}},
	{"models",     list_models,     {{"name", 14}, {"about", 0}}},
};
/* clang-format on */

const char *lookup_kind(size_t n)
{
	return n < ARRAY_LEN(kinds) ? kinds[n].name : NULL;
}

void sheet_row(struct sheet *s, const char *const *cells)
{
	if (s->json)
		fprintf(s->out, "%s\n {", s->rows ? "," : "");
	for (unsigned n = 0; n < COLUMNS && s->kind->column[n].name; n++) {
		if (s->json) {
			fprintf(s->out, "%s\"%s\":", n ? "," : "", s->kind->column[n].name);
			said_string(s->out, cells[n]);
		} else {
			fprintf(s->out, "%s%-*s", n ? " " : "", s->kind->column[n].width, cells[n]);
		}
	}
	fputs(s->json ? "}" : "\n", s->out);
	s->rows++;
}

enum status lookup_list(FILE *out, const char *kind, bool json, struct err *err)
{
	struct sheet s = {.out = out, .json = json};

	for (size_t n = 0; n < ARRAY_LEN(kinds); n++)
		if (!strcmp(kinds[n].name, kind))
			s.kind = &kinds[n];
	if (!s.kind)
		return err_set(err, ST_ARG, "%s: no such list; checks, fields, intercepts, exits, msrs, cpuid, insns or models", kind);
	fputs(json ? "[" : "", out);
	s.kind->list(&s);
	fputs(json ? "\n]\n" : "", out);
	return ST_OK;
}
