#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum status err_set(struct err *e, enum status s, const char *fmt, ...)
{
	if (e) {
		va_list ap;
		va_start(ap, fmt);
		vsnprintf(e->text, sizeof(e->text), fmt, ap);
		va_end(ap);
	}
	return s;
}

enum status err_in(struct err *e, enum status s, const char *where)
{
	struct err inner;

	if (e && where) {
		inner = *e;
		snprintf(e->text, sizeof(e->text), "%s: %.400s", where, inner.text);
	}
	return s;
}

unsigned base_distance(const char *a, const char *b)
{
	unsigned row[65], n = (unsigned)strlen(b);

	if (strlen(a) > 64 || n > 64)
		return 99;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 0; a[i]; i++) {
		unsigned diagonal = row[0];
		row[0] = i + 1;
		for (unsigned j = 0; j < n; j++) {
			unsigned cost = diagonal + (a[i] != b[j]), best = row[j] < row[j + 1] ? row[j] : row[j + 1];
			diagonal = row[j + 1];
			row[j + 1] = cost < best + 1 ? cost : best + 1;
		}
	}
	return row[n];
}

/* A test's knob, not machine state: it follows the thread that tests. */
static _Thread_local struct alloc_knob knob;

void base_alloc_knob(const struct alloc_knob *k)
{
	knob = k ? *k : (struct alloc_knob){.fail_at = 0};
}

static bool refuses(void)
{
	return unlikely(knob.fail_at) && ++knob.count == knob.fail_at;
}

void *base_alloc(size_t n)
{
	return refuses() ? NULL : calloc(1, n ? n : 1);
}

void *base_realloc(void *p, size_t n)
{
	return refuses() ? NULL : realloc(p, n ? n : 1);
}

void base_free(void *p)
{
	free(p);
}
