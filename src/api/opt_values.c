#include "api/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

struct opt_string {
	struct opt_string *next;
	char text[];
};

enum status opt_nomem(struct err *err)
{
	return err_set(err, ST_NOMEM, "out of memory");
}

enum status opt_bad(const struct options *o, struct err *err, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(err, ST_ARG, "%s%s", o->option ? o->option : "", text);
}

enum status opt_note(struct options *o, struct err *err, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	int n = snprintf(text, sizeof(text), "%s", o->option ? o->option : "");
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	if (o->notes == OPT_NOTES)
		return ST_OK; /* enough has been said */
	char *copy = opt_copy(o, text, strlen(text));
	if (!copy)
		return opt_nomem(err);
	o->note[o->notes++] = copy;
	return ST_OK;
}

bool opt_listed(const char *list, const char *word)
{
	size_t n = strlen(word);

	if (!strcmp(list, "*"))
		return true;
	for (const char *p = list; *p; p += strcspn(p, " "), p += *p == ' ')
		if (strcspn(p, " ") == n && !memcmp(p, word, n))
			return true;
	return false;
}

char *opt_copy(struct options *o, const char *s, size_t n)
{
	struct opt_string *c = base_alloc(sizeof(*c) + n + 1);

	if (!c) {
		o->out_of_memory = true;
		return NULL;
	}
	memcpy(c->text, s, n);
	c->next = o->strings;
	o->strings = c;
	return c->text;
}

void options_free(struct options *o)
{
	while (o->strings) {
		struct opt_string *c = o->strings;
		o->strings = c->next;
		base_free(c);
	}
	for (unsigned i = 0; i < o->cfg.fwcfgs; i++)
		base_free(o->cfg.fwcfg[i].data);
	o->cfg.fwcfgs = 0;
}

bool opt_item(struct options *o, const char **p, char **key, char **value)
{
	const char *s = *p;
	size_t n = 0, k = 0;

	*key = *value = NULL;
	if (!s || !*s)
		return false;
	while (s[n] && !(s[n] == ',' && s[n + 1] != ','))
		n += s[n] == ',' ? 2 : 1;
	*p = s[n] ? s + n + 1 : s + n;
	char *item = opt_copy(o, s, n);
	if (!item)
		return false;
	for (size_t i = 0; i < n; i++) {
		item[k++] = s[i];
		if (s[i] == ',')
			i++;
	}
	item[k] = 0;
	char *eq = strchr(item, '=');
	if (eq) {
		*eq = 0;
		*key = item;
		*value = eq + 1;
	} else {
		*value = item;
	}
	return true;
}

bool opt_number(const char *s, u64 *v)
{
	char *end;

	if (!s || !(*s >= '0' && *s <= '9'))
		return false;
	errno = 0;
	*v = strtoull(s, &end, *s == '0' && (s[1] == 'x' || s[1] == 'X') ? 16 : 10);
	return !*end && !errno;
}

/* A decimal number, perhaps with a fraction, in thousandths; *rest is what follows. */
static bool milli(const char *s, u64 *v, const char **rest)
{
	u64 whole = 0, part = 0, scale = 1000;
	const char *p = s;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (whole > 1000000000000000ull)
			return false;
		whole = whole * 10 + (u64)(*p - '0');
	}
	if (p == s)
		return false;
	if (*p == '.') {
		if (p[1] < '0' || p[1] > '9')
			return false;
		for (p++; *p >= '0' && *p <= '9' && scale > 1; p++) {
			scale /= 10;
			part += scale * (u64)(*p - '0');
		}
	}
	*v = whole * 1000 + part;
	*rest = p;
	return true;
}

struct unit {
	const char *name;
	u64 value;
};

/* number * unit, refusing overflow; `plain` is the unit of a bare number. */
static bool scaled(const char *s, const struct unit *u, size_t n, u64 plain, u64 *out)
{
	u64 v, unit = plain;
	const char *rest;

	if (!s || !milli(s, &v, &rest))
		return false;
	for (size_t i = 0; *rest && i <= n; i++) {
		if (i == n)
			return false;
		if (!strcmp(rest, u[i].name)) {
			unit = u[i].value;
			break;
		}
	}
	__uint128_t r = (__uint128_t)v * unit / 1000;
	*out = (u64)r;
	return r == *out;
}

bool opt_size(const char *s, u64 unit, u64 *bytes)
{
	static const struct unit u[] = {
	        {"B", 1},          {"b", 1},          {"K", 1ull << 10}, {"k", 1ull << 10}, {"M", 1ull << 20},
	        {"m", 1ull << 20}, {"G", 1ull << 30}, {"g", 1ull << 30}, {"T", 1ull << 40}, {"t", 1ull << 40},
	};

	return scaled(s, u, ARRAY_LEN(u), unit, bytes);
}

bool opt_count(const char *s, u64 *v)
{
	static const struct unit u[] = {{"k", 1000}, {"K", 1000}, {"M", 1000000}, {"G", 1000000000}};

	return scaled(s, u, ARRAY_LEN(u), 1, v);
}

bool opt_duration(const char *s, u64 *ns)
{
	static const struct unit u[] = {
	        {"ns", 1},          {"us", 1000},         {"ms", 1000000},      {"s", 1000000000},
	        {"m", 60000000000}, {"min", 60000000000}, {"h", 3600000000000},
	};

	return scaled(s, u, ARRAY_LEN(u), 1000000000, ns);
}

bool opt_bool(const char *s, bool *v)
{
	static const char *const yes[] = {"on", "yes", "true", "1"}, *const no[] = {"off", "no", "false", "0"};

	*v = true;
	if (!s)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (!strcmp(s, yes[i]))
			return true;
		if (!strcmp(s, no[i])) {
			*v = false;
			return true;
		}
	}
	return false;
}

/* Days since 1970-01-01 of a Gregorian date. */
static s64 days(s64 y, s64 m, s64 d)
{
	y -= m <= 2;
	s64 era = y / 400, yoe = y - era * 400, doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool digits(const char **p, unsigned n, s64 *v)
{
	*v = 0;
	while (n--) {
		if (**p < '0' || **p > '9')
			return false;
		*v = *v * 10 + (*(*p)++ - '0');
	}
	return true;
}

static bool literal(const char **p, char c)
{
	if (**p != c)
		return false;
	++*p;
	return true;
}

/* 2006-06-17 or 2006-06-17T16:01:21 */
bool opt_date(const char *s, u64 *epoch)
{
	static const u8 month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	s64 y, mo, d, h = 0, mi = 0, sec = 0;

	if (!digits(&s, 4, &y) || !literal(&s, '-') || !digits(&s, 2, &mo) || !literal(&s, '-') || !digits(&s, 2, &d))
		return false;
	if (*s && !(literal(&s, 'T') && digits(&s, 2, &h) && literal(&s, ':') && digits(&s, 2, &mi) &&
	            literal(&s, ':') && digits(&s, 2, &sec) && !*s))
		return false;
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	if (y < 1970 || mo < 1 || mo > 12 || d < 1 || d > month_days[mo - 1] + (mo == 2 && leap) || h > 23 || mi > 59 ||
	    sec > 59)
		return false;
	*epoch = (u64)(days(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec);
	return true;
}

/* ---- nearest names ---- */

const char *opt_nearest(const char *word, const char *(*name)(unsigned i, const void *arg), const void *arg)
{
	unsigned best = 1 + (unsigned)strlen(word) / 3;
	const char *found = NULL, *s;

	for (unsigned i = 0; (s = name(i, arg)); i++) {
		unsigned d = base_distance(word, s);
		if (d <= best && !(found && d == best)) {
			best = d;
			found = s;
		}
	}
	return found;
}
