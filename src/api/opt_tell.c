/* What is told of refusals, and which of them end a run: --explain, --fail-on, --expect. */
#include "api/conditions.h"
#include "api/options.h"

#include "model/model.h"
#include "sanitize/sanitize.h"

#define BAD(...) opt_bad(o, err, __VA_ARGS__)

/* ---- --explain ---- */

static const char *const ways[TELL_WAYS] = {
        [TELL_ONCE] = "once", [TELL_BLOCK] = "block", [TELL_LINE] = "line", [TELL_ALL] = "all", [TELL_OFF] = "off",
};

static const char *way_name(unsigned n, const void *arg)
{
	(void)arg;
	return n < TELL_WAYS ? ways[n] : NULL;
}

const char *opt_tell_name(const struct options *o)
{
	return ways[o->tell];
}

static bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), k = strlen(suffix);

	return n > k && !strcmp(s + n - k, suffix);
}

static enum status explain_file(struct options *o, char *file, struct err *err)
{
	if (!*file)
		return BAD(": the file name is empty");
	if (ends_with(file, ".json"))
		return BAD(" %s: explanations are text or JSON lines; name it FILE.txt or FILE.jsonl", file);
	o->explain_file = file;
	return ST_OK;
}

/* WAY, WAY,FILE, or FILE without a comma: what is behind the first one is the file's name. */
OPT_SET(explain)
{
	size_t n = strcspn(value, ","), way = 0;

	(void)row;
	while (way < TELL_WAYS && (strlen(ways[way]) != n || memcmp(ways[way], value, n)))
		way++;
	if (way < TELL_WAYS) {
		o->tell = (enum tell)way;
		return value[n] ? explain_file(o, value + n + 1, err) : ST_OK;
	}
	if (!value[n] && (ends_with(value, ".jsonl") || ends_with(value, ".txt") || ends_with(value, ".json")))
		return explain_file(o, value, err);
	value[n] = 0;
	const char *near = opt_nearest(value, way_name, NULL);
	return BAD(" %s: unknown%s%s%s (once, block, line, all, off; behind it ,FILE.jsonl or ,FILE.txt)", value,
	           near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* ---- --fail-on, --expect ---- */

static const char *check_name(unsigned n, const void *arg)
{
	const char *id = model_check_id(n);
	unsigned models = 0;

	(void)arg;
	if (id)
		return id;
	while (model_check_id(models))
		models++;
	return n - models < WATCH_KINDS ? sanitize_kinds[n - models].id : NULL;
}

static const char *condition_name(unsigned n, const void *arg)
{
	return n == 0 ? "refused" : n == 1 ? "sanitize" : check_name(n - 2, arg);
}

/* The row's own text of this name; NULL: there is none. */
static const char *known(const char *word, const char *(*name)(unsigned n, const void *arg))
{
	const char *s;

	for (unsigned n = 0; (s = name(n, NULL)) != NULL; n++)
		if (!strcmp(s, word))
			return s;
	return NULL;
}

static enum status add_conditions(struct options *o, struct condition_list *list, const char *value,
                                  const char *(*name)(unsigned n, const void *arg), struct err *err)
{
	const char *p = value;
	char *key, *v;

	if (!*value)
		return BAD(": a check's id is missing");
	while (opt_item(o, &p, &key, &v)) {
		const char *id = key ? NULL : known(v, name), *near = id ? NULL : opt_nearest(v, name, NULL);
		if (!id && !key && name == check_name && opt_listed("refused sanitize", v))
			return BAD(" %s: one check's id is meant; --fail-on takes that word", v);
		if (!id)
			return BAD(" %s%s%s: no such check%s%s%s", key ? key : "", key ? "=" : "", v,
			           near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
		if (!condition_add(list, id, o->option))
			return BAD(": more than %d checks", CONDITIONS);
	}
	return ST_OK;
}

OPT_SET(fail_on)
{
	(void)row;
	return add_conditions(o, &o->fail_on, value, condition_name, err);
}

OPT_SET(expect)
{
	(void)row;
	return add_conditions(o, &o->expect, value, check_name, err);
}

/* Nobody looks for what is waited for: a mistake in the command line. */
static enum status unsought(const struct options *o, const struct condition_list *l, struct err *err)
{
	for (const struct condition *k = l->at; k < l->at + l->n; k++) {
		unsigned kind = 0;

		while (kind < WATCH_KINDS && strcmp(sanitize_kinds[kind].id, k->id))
			kind++;
		bool sought = kind < WATCH_KINDS ? o->sanitize >> kind & 1 : o->sanitize || strcmp(k->id, "sanitize");
		if (!sought)
			return err_set(err, ST_ARG, "%s %s: it is not looked for; add --sanitize%s%s", k->option, k->id,
			               kind < WATCH_KINDS ? "=" : "",
			               kind < WATCH_KINDS ? sanitize_name((enum watch_kind)kind) : "");
	}
	return ST_OK;
}

enum status opt_finish_tell(const struct options *o, struct err *err)
{
	enum status s = unsought(o, &o->fail_on, err);

	return s == ST_OK ? unsought(o, &o->expect, err) : s;
}
