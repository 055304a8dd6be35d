#include "cli/tell.h"

#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool tell_lost;

/* How refusals are told. */
static struct {
	bool block, silent, terminal, colour;
} way;

/* https://no-color.org: "when present and not an empty string". */
static bool wants_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDERR_FILENO) && !(no && *no) && term && strcmp(term, "dumb");
}

void tell_start(ts_machine *m)
{
	const char *explain = ts_option(m, "explain");
	bool once = !strcmp(explain, "once");

	way.terminal = isatty(STDERR_FILENO);
	way.silent = !strcmp(explain, "off");
	way.block = once ? way.terminal : strcmp(explain, "line") && !way.silent;
	way.colour = wants_colour();
}

/* The first n bytes of s, which are said in one piece. */
static void say_part(const char *s, size_t n)
{
	char part[128];

	for (size_t k; n; s += k, n -= k) {
		k = n < sizeof(part) ? n : sizeof(part) - 1;
		memcpy(part, s, k);
		part[k] = 0;
		terminal_say(part);
	}
}

/* The event's line bold, labels dim. */
static void say_block(const char *text)
{
	bool first = true;

	for (size_t n; *text; text += n, first = false) {
		size_t label = strncmp(text, "  ", 2) || text[2] == ' ' ? 0 : 2 + strcspn(text + 2, " \n");
		n = strcspn(text, "\n");
		if (way.colour && first)
			terminal_say("\033[1m");
		else if (way.colour && label)
			terminal_say("\033[2m");
		say_part(text, label);
		if (way.colour && label)
			terminal_say("\033[0m");
		say_part(text + label, n - label);
		if (way.colour && first)
			terminal_say("\033[0m");
		n += text[n] == '\n';
		terminal_say("\n");
	}
}

static bool refused(const ts_event *e)
{
	return e->kind == TS_ON_REFUSED || e->kind == TS_ON_SANITIZE;
}

/* What was refused is told once; how often again, a note with the check's id says at the end. What the sanitizer reports
 * was asked for by an option of its own. */
static bool unwanted(const ts_event *e)
{
	bool repeats = e->kind == TS_ON_NOTE && strcmp(e->id, "note") && strcmp(e->id, "lost");

	if (refused(e) && e->count > 1)
		return true;
	return way.silent && (e->kind == TS_ON_REFUSED || repeats) && strncmp(e->id, "sanitize.", 9);
}

int tell_event(ts_machine *m, const ts_event *e, void *arg)
{
	bool full = e->kind == TS_ON_DEATH || (refused(e) && way.block);

	(void)m;
	(void)arg;
	if (e->kind == TS_ON_TRACE) {
		terminal_say(e->text);
		return 0;
	}
	tell_lost |= e->kind == TS_ON_NOTE && !strcmp(e->id, "lost");
	if (unwanted(e))
		return 0;
	terminal_fresh_line();
	terminal_say(full || way.terminal ? "turnstile: " : "turnstile: warning: ");
	if (full)
		say_block(e->text);
	else
		terminal_say(e->line), terminal_say("\n");
	return 0;
}
