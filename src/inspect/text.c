/* Text that grows, and the grammar of all messages (base/said.h) in it. */
#include "base/said.h"
#include "inspect/parts.h"

#include <inttypes.h>

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

void text_label(struct text *t, const char *label, const char *fmt, ...)
{
	struct text value = {0};
	va_list ap;

	va_start(ap, fmt);
	text_add_args(&value, fmt, ap);
	va_end(ap);
	const char *p = text_str(&value);
	do {
		size_t n = said_line(p);
		text_add(t, "  %-*s%.*s\n", SAID_VALUE - 2, label, (int)n, p);
		label = "";
		p += n;
		p += strspn(p, " ");
	} while (*p);
	text_free(&value);
}

void text_json(struct text *t, const char *s)
{
	char one[8];

	text_add(t, "\"");
	for (; *s; s++)
		text_add(t, "%s", said_json(*s, one));
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
