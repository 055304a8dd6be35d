#include "cli/terminal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

struct terminal {
	ts_machine *m;
	struct termios saved, raw;
	volatile bool is_raw;
	bool started, escape, left;
	struct timespec since;
};

/* A signal handler must find the saved settings; the library itself keeps no such thing. */
static struct terminal the_terminal;

struct terminal *terminal_get(void)
{
	return &the_terminal;
}

void terminal_say(const char *text)
{
	const struct terminal *t = terminal_get();

	for (; *text; text++) {
		if (*text == '\n' && t->is_raw)
			fputc('\r', stderr);
		fputc(*text, stderr);
	}
	fflush(stderr);
}

/* Do the guest's output and our messages go to one place? */
static bool is_shared(void)
{
	struct stat out, err;

	return !fstat(STDOUT_FILENO, &out) && !fstat(STDERR_FILENO, &err) && out.st_dev == err.st_dev && out.st_ino == err.st_ino;
}

static void keep_count(void *arg, const char *text, size_t len)
{
	(void)len;
	*(unsigned long long *)arg = strtoull(text, NULL, 10);
}

void terminal_fresh_line(void)
{
	static unsigned long long ended; /* where a message has ended the guest's line */
	unsigned long long at = 0;

	if (!terminal_get()->m || !is_shared() || ts_report(terminal_get()->m, "in-line", keep_count, &at) != TS_OK || !at || at == ended)
		return;
	ended = at;
	terminal_say("\n");
}

void terminal_forget(void)
{
	terminal_get()->m = NULL;
}

static void say_help(void)
{
	terminal_say("\nCtrl-A h  this help\nCtrl-A s  status line\nCtrl-A x  leave\nCtrl-A Ctrl-A  send Ctrl-A\n");
}

static uint64_t insns(ts_machine *m)
{
	uint64_t sum = 0, v = 0;
	size_t len = sizeof(v);

	for (unsigned i = 0; ts_get(m, i, "insns", &v, &len) == TS_OK; i++)
		sum += v;
	return sum;
}

static void put(void *arg, const char *text, size_t len)
{
	(void)arg;
	fprintf(stderr, "%.*s", (int)(len && text[len - 1] == '\n' ? len - 1 : len), text);
}

/* Whole lines, on a terminal that may be raw. */
static void put_lines(void *arg, const char *text, size_t len)
{
	(void)arg;
	(void)len;
	terminal_say(text);
}

static void say_status(struct terminal *t)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	double s = (double)(now.tv_sec - t->since.tv_sec) + (double)(now.tv_nsec - t->since.tv_nsec) * 1e-9;
	terminal_say("\n");
	ts_report(t->m, "status", put, NULL);
	fprintf(stderr, ", %.1f MIPS", s > 0 ? (double)insns(t->m) / s / 1e6 : 0.0);
	terminal_say("\n");
	ts_report(t->m, "where", put_lines, NULL);
}

/* One key after Ctrl-A. true: it goes on to the guest. */
static bool command(struct terminal *t, uint8_t key)
{
	switch (key) {
	case 1: return true;
	case 'x':
	case 'X':
		t->left = true;
		ts_request_stop(t->m);
		return false;
	case 's':
	case 'S': say_status(t); return false;
	default: say_help(); return false;
	}
}

static size_t filter(void *arg, uint8_t *buf, size_t n)
{
	struct terminal *t = arg;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (t->escape) {
			t->escape = false;
			if (command(t, buf[i]))
				buf[kept++] = buf[i];
		} else if (buf[i] == 1) {
			t->escape = true;
		} else {
			buf[kept++] = buf[i];
		}
	}
	return kept;
}

void terminal_start(ts_machine *m)
{
	struct terminal *t = terminal_get();
	const char *wanted = ts_option(m, "terminal");

	*t = (struct terminal){.m = m};
	clock_gettime(CLOCK_MONOTONIC, &t->since);
	if (!wanted || !isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &t->saved))
		return;
	t->raw = t->saved;
	cfmakeraw(&t->raw);
	t->started = true;
	terminal_again();
	ts_key_filter(m, filter, t);
}

void terminal_again(void)
{
	struct terminal *t = terminal_get();

	if (t->started && !tcsetattr(STDIN_FILENO, TCSANOW, &t->raw))
		t->is_raw = true;
}

void terminal_stop(void)
{
	struct terminal *t = terminal_get();

	if (t->started && t->is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &t->saved);
	t->is_raw = false;
}

bool terminal_left(void)
{
	return terminal_get()->left;
}
