/* The one grammar of all messages: an event line, then labels two spaces in, at most 100 columns. */
#include "inspect/parts.h"

#include <inttypes.h>

enum { COLUMNS = 100, VALUE_COLUMN = 9 };

static bool reserve(struct text *t, size_t more)
{
	size_t room = t->room ? t->room : 256;

	if (t->n + more + 1 <= t->room)
		return true;
	while (room < t->n + more + 1)
		room *= 2;
	char *s = base_realloc(t->s, room);
	if (!s)
		return false;
	t->s = s;
	t->room = room;
	return true;
}

void text_add_args(struct text *t, const char *fmt, va_list ap)
{
	va_list again;

	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0 || !reserve(t, (size_t)n))
		return;
	vsnprintf(t->s + t->n, (size_t)n + 1, fmt, ap);
	t->n += (size_t)n;
}

void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_add_args(t, fmt, ap);
	va_end(ap);
}

void text_reset(struct text *t)
{
	t->n = 0;
	if (t->s)
		t->s[0] = 0;
}

void text_free(struct text *t)
{
	base_free(t->s);
	*t = (struct text){0};
}

const char *text_str(const struct text *t)
{
	return t->s ? t->s : "";
}

/* How much of s goes on a line of `room` columns: up to the last ", " or, failing that, the last space. */
static size_t line_length(const char *s, size_t room)
{
	size_t n = strlen(s), comma = 0, space = 0;

	if (n <= room)
		return n;
	for (size_t k = 1; k <= room; k++) {
		if (s[k] != ' ')
			continue;
		space = k;
		if (s[k - 1] == ',' || s[k - 1] == ';')
			comma = k;
	}
	return comma ? comma : space ? space : room;
}

void text_label(struct text *t, const char *label, const char *fmt, ...)
{
	struct text value = {0};
	va_list ap;

	va_start(ap, fmt);
	text_add_args(&value, fmt, ap);
	va_end(ap);
	const char *p = text_str(&value);
	do {
		size_t n = line_length(p, COLUMNS - VALUE_COLUMN);
		text_add(t, "  %-*s%.*s\n", VALUE_COLUMN - 2, label, (int)n, p);
		label = "";
		p += n;
		p += strspn(p, " ");
	} while (*p);
	text_free(&value);
}

void text_json(struct text *t, const char *s)
{
	text_add(t, "\"");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			text_add(t, "\\%c", *s);
		else if ((u8)*s < 0x20)
			text_add(t, "\\u%04x", (unsigned)(u8)*s);
		else
			text_add(t, "%c", *s);
	}
	text_add(t, "\"");
}

struct count_text commas(u64 v)
{
	struct count_text out = {""};
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, v);
	char *p = out.s;

	for (int k = 0; k < n; k++) {
		if (k && (n - k) % 3 == 0)
			*p++ = ',';
		*p++ = digits[k];
	}
	*p = 0;
	return out;
}

struct count_text hex(u64 v, unsigned width)
{
	struct count_text out;

	if (width)
		snprintf(out.s, sizeof(out.s), "0x%0*" PRIx64, (int)width * 2, v);
	else
		snprintf(out.s, sizeof(out.s), v ? "0x%" PRIx64 : "%" PRIu64, v);
	return out;
}
