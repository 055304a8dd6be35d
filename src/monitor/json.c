/* RFC 8259, as much of it as a client of QMP sends. Nothing is copied but strings that are asked for. */
#include "monitor/parts.h"

#include <ctype.h>
#include <stdlib.h>

enum { DEPTH = 16 };

static size_t spaces(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && p[i] && strchr(" \t\r\n", p[i]))
		i++;
	return i;
}

static long string_length(const char *p, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if ((unsigned char)p[i] < ' ')
			return -1;
		if (p[i] == '\\')
			i++;
		else if (p[i] == '"')
			return (long)i + 1;
	}
	return 0;
}

/* Numbers and the three words: how far they go is how long they are. */
static long word_length(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && (isalnum((unsigned char)p[i]) || (p[i] && strchr("+-.", p[i]))))
		i++;
	if (i == n)
		return 0;
	bool number = isdigit((unsigned char)p[0]) || p[0] == '-';
	bool word = (i == 4 && (!memcmp(p, "true", 4) || !memcmp(p, "null", 4))) || (i == 5 && !memcmp(p, "false", 5));
	return number || word ? (long)i : -1;
}

static long value_length(const char *p, size_t n, unsigned depth);

/* A list in brackets of either kind; an object's items have a name in front. */
static long list_length(const char *p, size_t n, unsigned depth)
{
	bool object = p[0] == '{';
	char close = object ? '}' : ']';
	size_t i = 1 + spaces(p + 1, n - 1);

	if (depth == DEPTH)
		return -1;
	if (i < n && p[i] == close)
		return (long)i + 1;
	for (; i < n; i++) {
		for (unsigned part = object ? 0 : 1; part < 2; part++) {
			i += spaces(p + i, n - i);
			if (i == n)
				return 0;
			if (!part && p[i] != '"')
				return -1;
			long k = value_length(p + i, n - i, depth + 1);
			if (k <= 0)
				return k;
			i += (size_t)k + spaces(p + i + k, n - i - (size_t)k);
			if (!part && i < n && p[i++] != ':')
				return -1;
		}
		if (i == n)
			return 0;
		if (p[i] == close)
			return (long)i + 1;
		if (p[i] != ',')
			return -1;
	}
	return 0;
}

static long value_length(const char *p, size_t n, unsigned depth)
{
	if (!n)
		return 0;
	if (p[0] == '"')
		return string_length(p, n);
	return p[0] == '{' || p[0] == '[' ? list_length(p, n, depth) : word_length(p, n);
}

long json_value(const char *text, size_t n)
{
	return value_length(text, n, 0);
}

/* The next item of a list that is known to be well formed, *at behind what was there before. */
static bool next_item(struct json list, size_t *at, struct json *name, struct json *value)
{
	bool object = list.at[0] == '{';
	size_t i = *at;

	i += spaces(list.at + i, list.n - i);
	if (i + 1 >= list.n)
		return false;
	for (unsigned part = object ? 0 : 1; part < 2; part++) {
		i += spaces(list.at + i, list.n - i);
		long k = value_length(list.at + i, list.n - i, 1);
		if (k <= 0)
			return false;
		*(part ? value : name) = (struct json){list.at + i, (size_t)k};
		i += (size_t)k + spaces(list.at + i + k, list.n - i - (size_t)k) + 1; /* ':', ',' or the bracket */
	}
	*at = i;
	return true;
}

bool json_member(struct json object, const char *name, struct json *value)
{
	struct json key = {"", 0};
	char text[64];

	*value = (struct json){"", 0};
	if (!object.n || object.at[0] != '{')
		return false;
	for (size_t at = 1; next_item(object, &at, &key, value);)
		if (json_string(key, text, sizeof(text)) && !strcmp(text, name))
			return true;
	*value = (struct json){"", 0};
	return false;
}

bool json_element(struct json array, unsigned n, struct json *value)
{
	struct json none;

	if (!array.n || array.at[0] != '[')
		return false;
	for (size_t at = 1; next_item(array, &at, &none, value);)
		if (!n--)
			return true;
	return false;
}

/* One escaped character; beyond ASCII there is nothing that a command wants. */
static bool unescape(const char *p, size_t n, size_t *i, char *c)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = p[*i] ? strchr(from, p[*i]) : NULL;
	char digits[5] = "", *end;

	if (at) {
		*c = to[at - from];
		return true;
	}
	if (p[*i] != 'u' || *i + 4 >= n)
		return false;
	memcpy(digits, p + *i + 1, 4);
	unsigned long v = strtoul(digits, &end, 16);
	if (*end || !isxdigit((unsigned char)digits[0]) || !v || v > 0x7f)
		return false;
	*i += 4;
	*c = (char)v;
	return true;
}

bool json_string(struct json value, char *out, size_t room)
{
	size_t k = 0;

	if (value.n < 2 || value.at[0] != '"')
		return false;
	for (size_t i = 1; i + 1 < value.n; i++) {
		char c = value.at[i];

		if (k + 1 >= room || (c == '\\' && (++i, !unescape(value.at, value.n - 1, &i, &c))))
			return false;
		out[k++] = c;
	}
	out[k] = 0;
	return true;
}

void json_quote(const char *text, size_t n, FILE *f)
{
	fputc('"', f);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c == '\n')
			fputs("\\r\\n", f);
		else if (c < ' ')
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}
