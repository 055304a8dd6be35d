/* What the machine has to say, to whoever listens: notes, and what was promised and is lost. */
#include "machine/machine.h"

#include <stdarg.h>
#include <stdio.h>

static void tell(const struct machine *m, void (*put)(void *arg, const char *text), const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	if (put)
		put(m->note_arg, text);
}

void machine_note(struct machine *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(m, m->note, fmt, ap);
	va_end(ap);
}

void machine_lost(struct machine *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(m, m->lost, fmt, ap);
	va_end(ap);
}
