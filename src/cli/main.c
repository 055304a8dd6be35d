#include "cli/stress.h"
#include "cli/tell.h"
#include "cli/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The exit statuses of README.md, "Use it". */
enum {
	EXIT_POWEROFF = 0,
	EXIT_BAD_INPUT = 2,
	EXIT_TRIPLE_FAULT = 4,
	EXIT_LIMIT = 6,
	EXIT_OWN_FAULT = 8,
	EXIT_NO_REBOOT = 10,
	EXIT_DEADLOCK = 12,
	EXIT_FAILED = 14,
	EXIT_SIGNAL = 128,
};

#define REPORT_TO "please report this with the command line and the kernel"

/* ---- signals ---- */

/* What a signal handler needs; it takes no argument. */
static ts_machine *volatile running;
static volatile sig_atomic_t last_signal;

static void on_stop_signal(int n)
{
	/* A second one while the first is being honoured: leave at once. */
	if (last_signal) {
		terminal_stop();
		_exit(EXIT_SIGNAL + n);
	}
	last_signal = n;
	if (running)
		ts_request_stop(running);
}

static void on_suspend(int n)
{
	int saved = errno;

	terminal_stop();
	signal(n, SIG_DFL);
	raise(n);
	errno = saved;
}

static void on_continue(int n)
{
	struct sigaction a = {.sa_handler = on_suspend};
	int saved = errno;

	(void)n;
	sigaction(SIGTSTP, &a, NULL);
	terminal_again();
	errno = saved;
}

static void on_crash(int n)
{
	static const char text[] = "turnstile: internal error: crashed; status 8; " REPORT_TO "\n";
	ssize_t done;

	(void)n;
	terminal_stop();
	done = write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)done;
	_exit(EXIT_OWN_FAULT);
}

static void handle(int n, void (*fn)(int))
{
	struct sigaction a = {.sa_handler = fn};

	sigemptyset(&a.sa_mask);
	sigaction(n, &a, NULL);
}

static void install_handlers(void)
{
	static const int stops[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT},
	                 crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

	for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
		handle(stops[i], on_stop_signal);
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		handle(crashes[i], on_crash);
	handle(SIGTSTP, on_suspend);
	handle(SIGCONT, on_continue);
}

/* A reader that went away and a limit on files make a write fail, which is said; they do not kill in silence. */
static void write_failures_are_errors(void)
{
	handle(SIGPIPE, SIG_IGN);
	handle(SIGXFSZ, SIG_IGN);
}

/* ---- what is told ---- */

static void say(const char *a, const char *b)
{
	char line[1024];

	snprintf(line, sizeof(line), "turnstile: %s%s\n", a, b);
	terminal_fresh_line();
	terminal_say(line);
}

static void to_file(void *arg, const char *text, size_t len)
{
	fwrite(text, 1, len, arg);
}

/* .json and .jsonl: one object on one line. */
static bool is_json(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot && (!strcmp(dot, ".json") || !strcmp(dot, ".jsonl"));
}

static void write_stats(ts_machine *m)
{
	const char *path = ts_option(m, "stats");
	char why[600];

	if (path && !*path)
		ts_report(m, "stats", to_file, stderr);
	if (!path || !*path)
		return;
	FILE *f = fopen(path, "we");
	bool ok = f && ts_report(m, is_json(path) ? "stats.json" : "stats", to_file, f) == TS_OK;
	ok = ok && !fflush(f);
	snprintf(why, sizeof(why), "%s %.400s: %s", ts_option(m, "stats-option"), path, strerror(errno));
	if (f)
		ok &= !fclose(f);
	if (!ok)
		say(why, "");
	tell_lost |= !ok;
}

/* Where every processor is. */
static void say_where(ts_machine *m)
{
	ts_report(m, "where", to_file, stderr);
}

/* A text mode as the machine leaves it: where it was asked for, and on a terminal of which nobody has said what is for. */
static void show_screen(ts_machine *m)
{
	const char *how = ts_option(m, "display");
	bool terminal = isatty(STDOUT_FILENO);

	if (!strcmp(how, "text") || (!strcmp(how, "auto") && terminal))
		ts_report(m, terminal ? "screen.ansi" : "screen", to_file, stdout);
	tell_lost |= fflush(stdout) || ferror(stdout);
}

/* ---- exit statuses ---- */

static int limit_status(ts_machine *m, uint32_t which)
{
	static const char *const name[] = {"", "max-insns-option", "max-time-option", "timeout-option", "break-on-option"};
	const char *typed = which && which < 5 ? ts_option(m, name[which]) : NULL;

	say(typed ? typed : "a limit", " is reached; status 6");
	say_where(m);
	return EXIT_LIMIT;
}

static int signal_status(void)
{
	char text[80];

	if (terminal_left())
		return EXIT_POWEROFF;
	snprintf(text, sizeof(text), "signal %d (%s); status %d", (int)last_signal, strsignal((int)last_signal),
	         EXIT_SIGNAL + (int)last_signal);
	say(text, "");
	return EXIT_SIGNAL + (int)last_signal;
}

static void to_line(void *arg, const char *text, size_t len)
{
	snprintf(arg, 256, "%.*s", (int)len, text);
}

static int failed_status(ts_machine *m)
{
	char text[256] = "";

	ts_report(m, "failed", to_line, text);
	say(text, "; status 14");
	return EXIT_FAILED;
}

static void say_unmet(void *arg, const char *text, size_t len)
{
	(void)arg;
	for (const char *end; len && (end = memchr(text, '\n', len)); len -= (size_t)(end + 1 - text), text = end + 1) {
		char line[256];
		snprintf(line, sizeof(line), "%.*s", (int)(end - text), text);
		say(line, "");
	}
}

static void is_any(void *arg, const char *text, size_t len)
{
	(void)text;
	*(bool *)arg = len != 0;
}

/* What --expect names and did not come is said, and is the status of a run that software ended by itself. */
static int with_expectations(ts_machine *m, ts_stop why, int status)
{
	bool unmet = false;

	ts_report(m, "unmet", is_any, &unmet);
	if (!unmet)
		return status;
	ts_report(m, "unmet", say_unmet, NULL);
	if (why != TS_POWEROFF && why != TS_EXIT_PORT && why != TS_RESET)
		return status;
	say("status 14", "");
	return EXIT_FAILED;
}

static int status_of(ts_machine *m, ts_stop why, uint32_t value)
{
	bool qemu = !strcmp(ts_option(m, "profile"), "qemu");

	switch (why) {
	case TS_POWEROFF: return EXIT_POWEROFF;
	case TS_EXIT_PORT: return (int)((value << 1 | 1) & 255);
	case TS_RESET:
		if (qemu)
			return 0;
		say("a reset was asked for under --no-reboot; status 10", "");
		return EXIT_NO_REBOOT;
	case TS_SHUTDOWN: return EXIT_TRIPLE_FAULT; /* the evidence is printed already */
	case TS_DEADLOCK:
		say("every processor is halted and nothing can wake one; status 12", "");
		say_where(m);
		return EXIT_DEADLOCK;
	case TS_LIMIT: return limit_status(m, value);
	case TS_STOPPED: return signal_status();
	case TS_FAILED: return failed_status(m);
	case TS_FAULT: break;
	}
	say("internal error: ", ts_error(m));
	say("status 8; ", REPORT_TO);
	return EXIT_OWN_FAULT;
}

/* ---- commands ---- */

static int create(int argc, char **argv, ts_machine **m)
{
	char err[600];
	ts_status s = ts_create(argc, (const char *const *)argv, m, err, sizeof(err));

	if (s == TS_OK)
		return 0;
	fprintf(stderr, "%s\n", err);
	return s == TS_ENOMEM || s == TS_EFAULT ? EXIT_OWN_FAULT : EXIT_BAD_INPUT;
}

static int run(int argc, char **argv, run_ended_fn *ended, void *arg)
{
	ts_machine *m = NULL;
	ts_stop why = TS_FAULT;
	uint32_t value = 0;
	int status = create(argc, argv, &m);

	if (status)
		return status;
	running = m;
	install_handlers();
	tell_start(m);
	ts_hook(m, TS_ON_DEATH | TS_ON_REFUSED | TS_ON_SANITIZE | TS_ON_NOTE | TS_ON_TRACE, tell_event, NULL);
	terminal_start(m);
	if (last_signal)
		ts_request_stop(m);
	ts_run(m, 0, &why, &value);
	terminal_stop();
	show_screen(m);
	status = with_expectations(m, why, status_of(m, why, value));
	write_stats(m);
	running = NULL;
	if (ended)
		ended(arg, m);
	terminal_forget();
	ts_destroy(m); /* the end of a trace is written here */
	if (!tell_lost || status > EXIT_SIGNAL)
		return status;
	say("output that was asked for is not complete; status 8", "");
	return EXIT_OWN_FAULT;
}

/* What runs no machine. */
static int command(int argc, char **argv)
{
	char err[600];
	int status = 0;
	ts_status s = ts_command(argc, (const char *const *)argv, to_file, stdout, &status, err, sizeof(err));

	if (s == TS_OK && !fflush(stdout) && !ferror(stdout))
		return status;
	if (s == TS_OK)
		say("standard output: ", strerror(errno));
	else
		fprintf(stderr, "%s\n", err);
	return s == TS_EARG || s == TS_EIO ? EXIT_BAD_INPUT : EXIT_OWN_FAULT;
}

static bool is_qemu_name(const char *argv0)
{
	const char *base = argv0 ? strrchr(argv0, '/') : NULL;

	base = base ? base + 1 : argv0;
	return base && !strncmp(base, "turnstile-system-", 17);
}

int main(int argc, char **argv)
{
	write_failures_are_errors();
	ts_status s = ts_help(argc, (const char *const *)argv, to_file, stdout);

	if (s == TS_OK && (fflush(stdout) || ferror(stdout))) {
		say("standard output: ", strerror(errno));
		return EXIT_OWN_FAULT;
	}
	if (s == TS_OK)
		return 0;
	if (is_qemu_name(argv[0]) || (argc > 1 && !strcmp(argv[1], "run")))
		return run(argc, argv, NULL, NULL);
	if (argc > 1 && !strcmp(argv[1], "stress"))
		return stress(argc, argv, run);
	return command(argc, argv);
}
