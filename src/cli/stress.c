/*
 * turnstile stress: runs seeds of --jitter in parallel on this computer's processors. Every run is a process of its own that does
 * what `turnstile run` does; a line of JSON tells of each. The command line of the first seed that fails is printed complete: run
 * again, it fails again.
 */
#include "cli/stress.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ALL_PASSED = 0, SOME_FAILED = 1, BAD_INPUT = 2, OWN_FAULT = 8, SIGNALLED = 128, JOBS_MAX = 1024 };

struct result { /* by a child, into memory that both see */
	uint64_t insns;
	char hash[20];
};

struct job {
	pid_t pid; /* 0: free */
	uint64_t seed;
	double started;
	FILE *said, *result;
};

struct plan {
	char **argv; /* the program's name; the options of run behind options */
	char **options;
	int count;
	run_fn *run;
	uint64_t next, last, runs; /* seeds that are not begun; how many in all */
	bool pass[256];
	unsigned jobs, busy;
	struct job job[JOBS_MAX];
	uint64_t done, failed, first; /* first: the least seed that failed */
	FILE *json;
	const char *json_path;
	bool bar;
	double started;
	int ended_by; /* a signal, or BAD_INPUT's -1; 0: go on */
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int bad(const char *fmt, const char *a, const char *b)
{
	fprintf(stderr, "turnstile: ");
	fprintf(stderr, fmt, a, b);
	fprintf(stderr, "\n");
	return BAD_INPUT;
}

/* ---- what is asked for ---- */

static bool number(const char *s, uint64_t *v)
{
	char *end;

	errno = 0;
	*v = strtoull(s, &end, 0);
	return *s >= '0' && *s <= '9' && !*end && !errno;
}

/* "5", or "1-100". */
static bool range(const char *s, uint64_t *from, uint64_t *to)
{
	char first[32];
	size_t n = strcspn(s, "-");

	snprintf(first, sizeof(first), "%.*s", (int)n, s);
	if (!number(first, from))
		return false;
	*to = *from;
	return (!s[n] || number(s + n + 1, to)) && *from <= *to;
}

static bool statuses(const char *s, bool pass[256])
{
	memset(pass, 0, 256);
	while (*s) {
		char word[8];
		size_t n = strcspn(s, ",");
		uint64_t v;
		snprintf(word, sizeof(word), "%.*s", (int)n, s);
		if (n >= sizeof(word) || !number(word, &v) || v > 255)
			return false;
		pass[v] = true;
		s += n + (s[n] == ',');
	}
	return true;
}

struct words {
	const char *runs, *seeds, *jobs, *pass, *json;
};

/* The words in front of "--". */
static int read_words(int argc, char **argv, struct words *w, int *end)
{
	const struct {
		const char *name;
		const char **value;
	} known[] = {{"runs", &w->runs}, {"seeds", &w->seeds}, {"jobs", &w->jobs}, {"pass", &w->pass}, {"json", &w->json}};
	int at = 2;

	for (; at < argc && strcmp(argv[at], "--"); at++) {
		const char *name = argv[at] + (argv[at][0] == '-') + (argv[at][0] == '-' && argv[at][1] == '-');
		size_t n = strcspn(name, "="), k = 0;
		while (k < sizeof(known) / sizeof(known[0]) && (strlen(known[k].name) != n || memcmp(known[k].name, name, n)))
			k++;
		if (name == argv[at] || k == sizeof(known) / sizeof(known[0]))
			return bad("stress: %s: unknown; the options of the run stand behind -- (--runs, --seeds, --jobs, --pass, --json)%s",
			           argv[at], "");
		if (!name[n] && (at + 1 >= argc || !strcmp(argv[at + 1], "--")))
			return bad("stress %s: a value is missing%s", argv[at], "");
		*known[k].value = name[n] ? name + n + 1 : argv[++at];
	}
	*end = at;
	return 0;
}

static int read_plan(int argc, char **argv, struct plan *p)
{
	struct words w = {0};
	uint64_t v, from = 1, to = UINT64_MAX;
	int end, status = read_words(argc, argv, &w, &end);

	if (status)
		return status;
	if (end + 1 >= argc)
		return bad("stress: the options of the run are missing: turnstile stress --runs N -- OPTIONS%s%s", "", "");
	p->argv = argv;
	p->options = argv + end + 1;
	p->count = argc - end - 1;
	for (int k = 0; k < p->count; k++)
		if (!strncmp(p->options[k] + strspn(p->options[k], "-"), "jitter", 6) && p->options[k][0] == '-')
			return bad("stress: %s: the seeds are given by --seeds%s", p->options[k], "");
	if (!w.runs && !w.seeds)
		return bad("stress: --runs N or --seeds A-B is needed%s%s", "", "");
	if (w.seeds && !range(w.seeds, &from, &to))
		return bad("stress --seeds %s: not a number or a range (1-100)%s", w.seeds, "");
	if (w.runs && (!number(w.runs, &v) || !v))
		return bad("stress --runs %s: not a number above 0%s", w.runs, "");
	p->next = from;
	p->last = w.runs && v - 1 < to - from ? from + v - 1 : to;
	p->runs = p->last - p->next + 1;
	if (w.pass && !statuses(w.pass, p->pass))
		return bad("stress --pass %s: not exit statuses (0,33)%s", w.pass, "");
	if (w.jobs && (!number(w.jobs, &v) || !v || v > JOBS_MAX))
		return bad("stress --jobs %s: not a number from 1 to 1024%s", w.jobs, "");
	p->jobs = w.jobs ? (unsigned)v : (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	p->jobs = p->jobs > JOBS_MAX ? JOBS_MAX : p->jobs;
	p->json = w.json ? fopen(p->json_path = w.json, "we") : stdout;
	return p->json ? 0 : bad("stress --json %s: %s", w.json, strerror(errno));
}

/* ---- one run, in a process of its own ---- */

static void put_hash(void *arg, const char *text, size_t len)
{
	struct result *r = arg;

	snprintf(r->hash, sizeof(r->hash), "%.*s", (int)strcspn(text, "\n"), len ? text : "");
}

static void ended(void *arg, ts_machine *m)
{
	struct result r = {0};
	uint64_t insns = 0;
	size_t len = sizeof(insns);

	for (unsigned k = 0; ts_get(m, k, "insns", &insns, &len) == TS_OK; k++)
		r.insns += insns;
	ts_report(m, "hash", put_hash, &r);
	fwrite(&r, sizeof(r), 1, arg);
	fflush(arg);
}

/* {seed} in an option is the seed, so that runs may have files of their own. The caller frees. */
static char *with_seed(const char *s, const char *seed)
{
	const char *at = strstr(s, "{seed}");
	char *out = NULL;

	if (!at)
		return strdup(s);
	return asprintf(&out, "%.*s%s%s", (int)(at - s), s, seed, at + strlen("{seed}")) < 0 ? NULL : out;
}

/* The command line of one seed, NULL at its end. */
static char **command_line(const struct plan *p, uint64_t seed)
{
	char **line = calloc((size_t)p->count + 5, sizeof(*line)), number_text[24];
	int n = 0;

	if (!line)
		return NULL;
	snprintf(number_text, sizeof(number_text), "%" PRIu64, seed);
	line[n++] = strdup(p->argv[0]);
	line[n++] = strdup("run");
	line[n++] = strdup("--jitter");
	line[n++] = strdup(number_text);
	for (int k = 0; k < p->count; k++)
		line[n++] = with_seed(p->options[k], number_text);
	for (int k = 0; k < n; k++)
		if (!line[k])
			return NULL;
	return line;
}

static void child(struct plan *p, const struct job *j)
{
	char **line = command_line(p, j->seed);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), n = 0;
	sigset_t none;

	if (!line || null < 0)
		_exit(OWN_FAULT);
	setpgid(0, 0); /* a Ctrl-C is the parent's, which tells us */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(fileno(j->said), STDERR_FILENO);
	while (line[n])
		n++;
	int status = p->run(n, line, ended, j->result);
	fflush(NULL);
	_exit(status);
}

static bool begin(struct plan *p, struct job *j)
{
	*j = (struct job){.seed = p->next, .started = now(), .said = tmpfile(), .result = tmpfile()};
	if (!j->said || !j->result)
		return false;
	fflush(NULL);
	j->pid = fork();
	if (!j->pid)
		child(p, j);
	if (j->pid < 0)
		return false;
	p->next++;
	p->busy++;
	return true;
}

/* ---- what became of it ---- */

static void json_text(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			fprintf(f, "\\u%04x", (unsigned)(unsigned char)*s);
		else
			fputc(*s, f);
	}
	fputc('"', f);
}

/* The line that says what ended it: the last that begins as ours do, without the name. */
static void last_words(FILE *f, char *out, size_t len)
{
	static const char ours[] = "turnstile: ";
	char line[1024];

	out[0] = 0;
	rewind(f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\r\n")] = 0;
		if (!strncmp(line, ours, sizeof(ours) - 1))
			snprintf(out, len, "%s", line + sizeof(ours) - 1);
	}
}

static void tell(struct plan *p, struct job *j, int status, bool passed, const char *words)
{
	struct result r = {0};

	rewind(j->result);
	if (fread(&r, sizeof(r), 1, j->result) != 1)
		r = (struct result){0};
	fprintf(p->json, "{\"seed\":%" PRIu64 ",\"status\":%d,\"passed\":%s,\"instructions\":%" PRIu64 ",\"state\":\"%s\",\"seconds\":%.3f,\"said\":",
	        j->seed, status, passed ? "true" : "false", r.insns, r.hash, now() - j->started);
	json_text(p->json, words);
	fprintf(p->json, "}\n");
	fflush(p->json);
}

static void finish(struct plan *p, struct job *j, int wait_status)
{
	const int status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : SIGNALLED + WTERMSIG(wait_status);
	const bool passed = p->pass[status & 255];
	char words[1024];

	last_words(j->said, words, sizeof(words));
	p->busy--;
	if (!p->ended_by && status == BAD_INPUT) {
		p->ended_by = -1;
		bad("%s%s", words, "");
	}
	if (!p->ended_by) {
		tell(p, j, status, passed, words);
		p->done++;
		if (!passed && (!p->failed++ || j->seed < p->first))
			p->first = j->seed;
	}
	fclose(j->said);
	fclose(j->result);
	j->pid = 0;
}

static void draw_bar(const struct plan *p)
{
	enum { WIDTH = 30 };
	const unsigned full = (unsigned)((double)p->done / (double)p->runs * WIDTH);
	char cells[WIDTH + 1];

	if (!p->bar)
		return;
	memset(cells, '.', WIDTH);
	memset(cells, '#', full < WIDTH ? full : WIDTH);
	cells[WIDTH] = 0;
	fprintf(stderr, "\r[%s] %" PRIu64 " of %" PRIu64 " runs, %" PRIu64 " failed, %.1f s ", cells, p->done, p->runs, p->failed,
	        now() - p->started);
}

/* ---- all of them ---- */

static void end_all(struct plan *p, int n)
{
	for (unsigned k = 0; k < p->jobs; k++)
		if (p->job[k].pid > 0)
			kill(p->job[k].pid, n);
}

static void reap(struct plan *p)
{
	for (unsigned k = 0; k < p->jobs; k++) {
		int status;
		if (p->job[k].pid > 0 && waitpid(p->job[k].pid, &status, WNOHANG) == p->job[k].pid)
			finish(p, &p->job[k], status);
	}
}

/* false: a process could not be made, and none is left that may end. */
static bool fill(struct plan *p)
{
	for (unsigned k = 0; k < p->jobs && !p->ended_by; k++) {
		const bool more = p->next <= p->last && p->done + p->busy < p->runs;
		if (!p->job[k].pid && more && !begin(p, &p->job[k]))
			return p->busy != 0;
	}
	return true;
}

/* Signals are looked at here alone: SIGCHLD wakes, the others end the children first. */
static void wait_a_little(struct plan *p, const sigset_t *watched)
{
	const struct timespec tenth = {.tv_nsec = 100000000};
	const int n = sigtimedwait(watched, NULL, &tenth);

	if (n <= 0 || n == SIGCHLD)
		return;
	if (p->ended_by)
		end_all(p, SIGKILL); /* asked for twice */
	p->ended_by = n;
	end_all(p, SIGTERM);
}

static bool run_all(struct plan *p)
{
	sigset_t watched;
	bool good = true;

	sigemptyset(&watched);
	for (size_t k = 0; k < 5; k++)
		sigaddset(&watched, (const int[]){SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT}[k]);
	sigprocmask(SIG_BLOCK, &watched, NULL);
	p->started = now();
	while (p->busy || (!p->ended_by && p->done < p->runs)) {
		good = fill(p);
		if (!good)
			break;
		draw_bar(p);
		wait_a_little(p, &watched);
		reap(p);
		if (p->ended_by == -1)
			end_all(p, SIGKILL);
	}
	draw_bar(p);
	if (p->bar)
		fprintf(stderr, "\n");
	return good;
}

/* As a shell takes it. */
static void say_word(const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";

	if (*s && strspn(s, plain) == strlen(s)) {
		fprintf(stderr, " %s", s);
		return;
	}
	fprintf(stderr, " '");
	for (; *s; s++)
		fprintf(stderr, *s == '\'' ? "'\\''" : "%c", *s);
	fprintf(stderr, "'");
}

static int verdict(const struct plan *p)
{
	fprintf(stderr, "turnstile: %" PRIu64 " runs, %" PRIu64 " failed", p->done, p->failed);
	char **line = p->failed ? command_line(p, p->first) : NULL;
	if (line) {
		fprintf(stderr, "; the first:");
		for (int k = 0; line[k]; k++)
			say_word(line[k]);
	}
	fprintf(stderr, "\n");
	return p->failed ? SOME_FAILED : ALL_PASSED;
}

int stress(int argc, char **argv, run_fn *run)
{
	struct plan *p = calloc(1, sizeof(*p));

	if (!p)
		return OWN_FAULT;
	p->pass[0] = true;
	p->run = run;
	p->bar = isatty(STDERR_FILENO);
	int status = read_plan(argc, argv, p);
	if (!status && !run_all(p))
		status = OWN_FAULT, fprintf(stderr, "turnstile: stress: no process could be made: %s\n", strerror(errno));
	else if (!status)
		status = p->ended_by < 0 ? BAD_INPUT : p->ended_by ? SIGNALLED + p->ended_by : verdict(p);
	if (p->json && status != BAD_INPUT && (fflush(p->json) || ferror(p->json))) {
		fprintf(stderr, "turnstile: %s: %s\n", p->json_path ? p->json_path : "standard output", strerror(errno));
		status = OWN_FAULT;
	}
	if (p->json && p->json != stdout)
		fclose(p->json);
	free(p);
	return status;
}
