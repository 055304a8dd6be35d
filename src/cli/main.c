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
	EXIT_SIGNAL = 128,
};

#define REPORT_TO "please report this with the command line and the kernel"

/* Output that was asked for could not be written: the run was for nothing, whatever it ended with. */
static bool lost;

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
	terminal_say(line);
}

/* On a terminal a refused entry is explained in full, once; elsewhere one line, which scripts know as a warning. What
 * kills the machine is told in full anywhere. */
static int on_event(ts_machine *m, const ts_event *e, void *arg)
{
	bool full = e->kind == TS_ON_DEATH || isatty(STDERR_FILENO);
	const char *text = full ? e->text : e->line;
	size_t n = strlen(text);

	(void)m;
	(void)arg;
	if (e->kind == TS_ON_TRACE) {
		terminal_say(e->text);
		return 0;
	}
	if (e->kind == TS_ON_REFUSED && e->count > 1)
		return 0;
	lost |= e->kind == TS_ON_NOTE && !strcmp(e->id, "lost");
	terminal_say(full ? "turnstile: " : "turnstile: warning: ");
	terminal_say(text);
	if (!n || text[n - 1] != '\n')
		terminal_say("\n");
	return 0;
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
	lost |= !ok;
}

/* Where every processor is. */
static void say_where(ts_machine *m)
{
	ts_report(m, "where", to_file, stderr);
}

/* ---- exit statuses ---- */

static int limit_status(ts_machine *m, uint32_t which)
{
	static const char *const name[] = {"", "max-insns-option", "max-time-option", "timeout-option"};
	const char *typed = which && which < 4 ? ts_option(m, name[which]) : NULL;

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

static int run(int argc, char **argv)
{
	ts_machine *m = NULL;
	ts_stop why = TS_FAULT;
	uint32_t value = 0;
	int status = create(argc, argv, &m);

	if (status)
		return status;
	running = m;
	install_handlers();
	ts_hook(m, TS_ON_DEATH | TS_ON_REFUSED | TS_ON_NOTE | TS_ON_TRACE, on_event, NULL);
	terminal_start(m);
	if (last_signal)
		ts_request_stop(m);
	ts_run(m, 0, &why, &value);
	terminal_stop();
	status = status_of(m, why, value);
	write_stats(m);
	running = NULL;
	ts_destroy(m); /* the end of a trace is written here */
	if (!lost || status > EXIT_SIGNAL)
		return status;
	say("output that was asked for is not complete; status 8", "");
	return EXIT_OWN_FAULT;
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

	if (s == TS_OK && fflush(stdout)) {
		say("standard output: ", strerror(errno));
		return EXIT_OWN_FAULT;
	}
	if (s == TS_OK)
		return 0;
	if (is_qemu_name(argv[0]) || (argc > 1 && !strcmp(argv[1], "run")))
		return run(argc, argv);
	if (argc > 1)
		fprintf(stderr, "turnstile: %s: not a command; turnstile run [options] FILE, or turnstile --help\n",
		        argv[1]);
	else
		fprintf(stderr, "turnstile: a command is missing; turnstile run [options] FILE, or turnstile --help\n");
	return EXIT_BAD_INPUT;
}
