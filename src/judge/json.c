/*
 * JSON of field names: an object is a dump, whether its fields stand in it or in objects within it ("guest", "control",
 * ...); an array, or one object a line, is several. A name is read as a field's name, then behind the names of the
 * objects around it. Names of nothing are left alone.
 */
#include "judge/judge.h"

#include <ctype.h>
#include <stdlib.h>

#define DEPTH 32
#define NAME  96

struct json {
	const char *p, *end;
	u32 line;
	struct json_sink *k;
	struct err *err;
	struct dump *d[2];         /* the same object read as a VMCS and as a VMCB */
	bool vmcb_named, vmcs_named;
	char path[DEPTH][NAME];
	unsigned depth;
	char named[NAME]; /* of {"name": ..., "value": ...} */
};

static enum status bad(struct json *j, const char *what)
{
	return err_set(j->err, ST_ARG, "%s:%u: %s", j->k->name, j->line, what);
}

static void blanks(struct json *j)
{
	for (; j->p < j->end && isspace((unsigned char)*j->p); j->p++)
		j->line += *j->p == '\n';
}

static bool next_is(struct json *j, char ch)
{
	blanks(j);
	if (j->p >= j->end || *j->p != ch)
		return false;
	j->p++;
	return true;
}

/* A string, cut to `size`; an escape stands for '?': no field's name has one. */
static enum status string(struct json *j, char *out, size_t size)
{
	size_t n = 0;

	for (j->p++; j->p < j->end && *j->p != '"'; j->p++) {
		char ch = *j->p;

		if (ch == '\n')
			return bad(j, "a string does not end on its line");
		if (ch == '\\' && ++j->p < j->end)
			ch = *j->p == '"' || *j->p == '\\' || *j->p == '/' ? *j->p : '?';
		if (n + 1 < size)
			out[n++] = ch;
	}
	out[n] = 0;
	if (j->p >= j->end)
		return bad(j, "a string without an end");
	j->p++;
	return ST_OK;
}

/* ---- a value with a name ---- */

/* The names around it, outermost first, from `from` on. */
static void join(const struct json *j, unsigned from, const char *name, char *out, size_t size)
{
	size_t n = 0;

	out[0] = 0;
	for (unsigned k = from; k < j->depth && n < size; k++)
		n += (size_t)snprintf(out + n, size - n, "%s ", j->path[k]);
	if (n < size)
		snprintf(out + n, size - n, "%s", name);
}

static bool find_key(const struct json *j, enum dump_kind kind, const char *name, unsigned *key)
{
	char whole[DEPTH * NAME];

	/* "rflags" within "guest" before "rflags" alone */
	for (unsigned from = j->depth; from-- > 0;) {
		join(j, from, name, whole, sizeof(whole));
		if (dump_named(kind, whole, key))
			return true;
	}
	return dump_named(kind, name, key);
}

static enum status put(struct json *j, const char *name, u64 value)
{
	enum status s = ST_OK;

	for (unsigned kind = DUMP_VMCS; kind <= DUMP_VMCB && s == ST_OK; kind++) {
		unsigned key;

		if (!find_key(j, (enum dump_kind)kind, name, &key) || dump_put(j->d[kind], key, 0, value, j->line))
			continue;
		if (kind == DUMP_VMCB && j->d[DUMP_VMCS]->fields)
			continue;
		s = err_set(j->err, ST_ARG, "%s:%u: %s: 0x%llx is too large for it", j->k->name, j->line, name,
		            (unsigned long long)value);
	}
	return s;
}

static bool text_number(const char *s, u64 *value)
{
	const char *p = s, *end = s + strlen(s);

	while (p < end && isspace((unsigned char)*p))
		p++;
	return format_number(&p, end, 10, value) && p == end;
}

static enum status said(struct json *j, const char *name, const char *text)
{
	u64 value;

	if (!strcmp(name, "kind") || !strcmp(name, "block") || !strcmp(name, "type")) {
		j->vmcs_named |= !strcmp(text, "vmcs") || !strcmp(text, "VMCS");
		j->vmcb_named |= !strcmp(text, "vmcb") || !strcmp(text, "VMCB");
	}
	if (!strcmp(name, "name")) {
		snprintf(j->named, sizeof(j->named), "%s", text);
		return ST_OK;
	}
	if (!text_number(text, &value))
		return ST_OK;
	return put(j, !strcmp(name, "value") && j->named[0] ? j->named : name, value);
}

static enum status number(struct json *j, const char *name)
{
	const char *s = j->p;
	u64 value;

	if (*s == '-' || !format_number(&j->p, j->end, 10, &value) || (j->p < j->end && (*j->p == '.' || *j->p == '+'))) {
		j->p = s; /* no field's value, but JSON all the same */
		while (j->p < j->end && (isalnum((unsigned char)*j->p) || *j->p == '-' || *j->p == '+' || *j->p == '.'))
			j->p++;
		return j->p == s ? bad(j, "a value is expected here") : ST_OK;
	}
	return put(j, !strcmp(name, "value") && j->named[0] ? j->named : name, value);
}

/* ---- objects and arrays ---- */

static enum status value_of(struct json *j, const char *name);

static enum status member(struct json *j)
{
	char name[NAME];

	blanks(j);
	if (j->p >= j->end || *j->p != '"')
		return bad(j, "a name in quotation marks is expected here");
	enum status s = string(j, name, sizeof(name));
	if (s == ST_OK && !next_is(j, ':'))
		s = bad(j, "':' is expected behind a name");
	return s == ST_OK ? value_of(j, name) : s;
}

/* Of an object ('}') or an array (']'): behind its opening bracket. */
static enum status members(struct json *j, char close)
{
	enum status s = ST_OK;

	if (next_is(j, close))
		return ST_OK;
	do
		s = close == '}' ? member(j) : value_of(j, "");
	while (s == ST_OK && next_is(j, ','));
	if (s == ST_OK && !next_is(j, close))
		s = bad(j, close == '}' ? "',' or '}' is expected here" : "',' or ']' is expected here");
	return s;
}

static enum status within(struct json *j, const char *name, char close)
{
	if (j->depth == DEPTH)
		return bad(j, "nested too deeply");
	j->vmcs_named |= !strcmp(name, "vmcs") || !strcmp(name, "VMCS");
	j->vmcb_named |= !strcmp(name, "vmcb") || !strcmp(name, "VMCB");
	snprintf(j->path[j->depth++], NAME, "%s", name);
	j->named[0] = 0;
	j->p++;
	enum status s = members(j, close);
	j->depth--;
	return s;
}

static enum status value_of(struct json *j, const char *name)
{
	char text[NAME];

	blanks(j);
	if (j->p >= j->end)
		return bad(j, "the text ends where a value is expected");
	if (*j->p == '{')
		return within(j, name, '}');
	if (*j->p == '[')
		return within(j, name, ']');
	if (*j->p != '"')
		return number(j, name);
	enum status s = string(j, text, sizeof(text));
	return s == ST_OK ? said(j, name, text) : s;
}

/* ---- dumps ---- */

static enum status one_dump(struct json *j)
{
	u32 line;

	blanks(j);
	line = j->line;
	dump_begin(j->d[DUMP_VMCS], DUMP_VMCS, "JSON", line);
	dump_begin(j->d[DUMP_VMCB], DUMP_VMCB, "JSON", line);
	j->vmcs_named = j->vmcb_named = false;
	j->depth = 0;
	enum status s = value_of(j, "");
	if (s != ST_OK)
		return s;
	bool vmcb = j->vmcb_named || (!j->vmcs_named && j->d[DUMP_VMCB]->fields > j->d[DUMP_VMCS]->fields);
	struct dump *d = j->d[vmcb];
	if (!d->fields)
		return err_set(j->err, ST_ARG, "%s:%u: no name here is that of a VMCS's or VMCB's field", j->k->name, line);
	d->number = ++j->k->count;
	return j->k->fn ? j->k->fn(j->k->arg, d, j->err) : ST_OK;
}

/* An array of objects, unless it is one of {"name": ..., "value": ...}. */
static bool array_of_dumps(const struct json *j)
{
	const char *p = j->p + 1;

	while (p < j->end && isspace((unsigned char)*p))
		p++;
	if (p >= j->end || *p != '{')
		return false;
	for (p++; p < j->end && isspace((unsigned char)*p); p++)
		;
	return !(j->end - p > 6 && !memcmp(p, "\"name\"", 6));
}

static enum status all(struct json *j)
{
	enum status s = ST_OK;

	blanks(j);
	if (*j->p == '[' && array_of_dumps(j)) {
		j->p++;
		do
			s = one_dump(j);
		while (s == ST_OK && next_is(j, ','));
		if (s == ST_OK && !next_is(j, ']'))
			s = bad(j, "',' or ']' is expected here");
	} else {
		s = one_dump(j);
	}
	for (blanks(j); s == ST_OK && j->p < j->end; blanks(j))
		s = one_dump(j); /* one object a line */
	return s;
}

bool json_looks(const u8 *data, size_t n)
{
	size_t k = 0;

	while (k < n && isspace(data[k]))
		k++;
	if (k == n || (data[k] != '{' && data[k] != '['))
		return false;
	if (data[k] == '{')
		return true;
	for (k++; k < n && isspace(data[k]); k++)
		;
	return k == n || data[k] == '{' || data[k] == ']'; /* not a log's time stamp */
}

enum status json_read(struct json_sink *k, const u8 *data, size_t n, struct err *err)
{
	struct json *j = base_alloc(sizeof(*j));
	enum status s;

	if (j) {
		j->d[0] = base_alloc(sizeof(*j->d[0]));
		j->d[1] = base_alloc(sizeof(*j->d[1]));
	}
	if (j && j->d[0] && j->d[1]) {
		j->p = (const char *)data;
		j->end = j->p + n;
		j->line = 1;
		j->k = k;
		j->err = err;
		s = all(j);
	} else {
		s = err_set(err, ST_NOMEM, "out of memory");
	}
	if (j) {
		base_free(j->d[0]);
		base_free(j->d[1]);
	}
	base_free(j);
	return s;
}
