/*
 * first-difference [--step N] [--plain OPTIONS] [--other OPTIONS] [--range FROM-TO] turnstile run ...: where do two
 * runs of the same command part?
 *
 * The command is run twice side by side, once with the words of --plain (--jit off) and once with those of --other
 * (--jit 1), and the hash of the whole state is compared every N instructions (100000). In the first step after which
 * it differs, the smallest number of instructions after which it does is searched: the superblock that is wrong ends
 * there, and began no earlier than the instruction that is named. Then, where the other run translates, what is
 * translated is halved by addresses: as long as the code in one half alone makes the runs differ, that half is taken.
 * --range begins with these addresses.
 *
 * Status: 0 no difference up to the end, 1 there is one, 2 bad input.
 */
#include <stdlib.h>
#include <string.h>

#include "pair.h"

struct search {
	int argc;
	char **argv;
	const char *plain, *other;
	unsigned long step;
	unsigned long long from, to;  /* addresses of what is translated; to 0: all */
	unsigned long equal, differs; /* numbers of instructions */
};

static void command(const struct search *s, const char *options, bool ranged, struct words *w)
{
	char range[80];

	w->n = 0;
	w->used = 0;
	for (int n = 0; n < s->argc; n++)
		pair_word(w, s->argv[n]);
	pair_words(w, options);
	snprintf(range, sizeof(range), "--stress jit-range=0x%llx-0x%llx", s->from, s->to);
	if (ranged && s->to)
		pair_words(w, range);
}

static bool start(const struct search *s, struct pair *p)
{
	struct words a, b;

	command(s, s->plain, false, &a);
	command(s, s->other, true, &b);
	return pair_open(p, &a, &b, stderr);
}

/* To `equal` as it was reached before, in whole steps: where processors take turns, other steps are another run. */
static bool run_to(const struct search *s, struct pair *p, unsigned long target)
{
	bool more = true;

	while (more && p->done + s->step <= target)
		more = pair_run(p, s->step);
	return more;
}

/* The first step with a difference. 0: none; -1: they cannot be run. */
static int find_step(struct search *s)
{
	struct pair p;
	bool more = true, same = true;

	if (!start(s, &p))
		return -1;
	s->equal = 0;
	while (more && same) {
		more = pair_run(&p, s->step);
		same = pair_same(&p);
		if (same)
			s->equal = p.done;
	}
	s->differs = p.done;
	pair_close(&p);
	return !same;
}

/* Do they differ `insns` instructions behind the last step that was equal? */
static bool differs_at(const struct search *s, unsigned long insns, struct pair *p)
{
	if (!start(s, p))
		return false;
	run_to(s, p, s->equal);
	pair_run(p, insns);
	return !pair_same(p);
}

static unsigned long find_insn(const struct search *s)
{
	unsigned long low = 0, high = s->step; /* equal at low, not at high */
	struct pair p;

	while (high - low > 1) {
		const unsigned long middle = low + (high - low) / 2;
		const bool differs = differs_at(s, middle, &p);

		pair_close(&p);
		*(differs ? &high : &low) = middle;
	}
	return high;
}

static void tell(const struct search *s, unsigned long insns)
{
	unsigned long long rip[2] = {0, 0};
	size_t n = sizeof(rip[0]);
	struct pair p;

	if (start(s, &p)) {
		run_to(s, &p, s->equal);
		if (insns > 1)
			pair_run(&p, insns - 1);
		ts_get(p.m[0], 0, "rip", &rip[0], &n);
		pair_close(&p);
	}
	if (!differs_at(s, insns, &p)) {
		printf("they differ between %lu and %lu instructions, but not when they are cut there\n", s->equal,
		       s->differs);
	} else {
		ts_get(p.m[1], 0, "rip", &rip[1], &n);
		printf("first difference: at %lu instructions (%lu behind a step): the one at rip 0x%llx was the last; "
		       "the other run is at rip 0x%llx\n",
		       s->equal + insns, insns, rip[0], rip[1]);
		pair_tell(&p, stdout, 16);
		printf("a look: %s --trace=insn,insns=%lu-%lu\n", s->plain,
		       s->equal + insns > 64 ? s->equal + insns - 64 : 0, s->equal + insns);
	}
	pair_close(&p);
}

/* Is this part enough to differ? */
static bool range_differs(const struct search *s, unsigned long long from, unsigned long long to)
{
	struct search part = *s;

	part.from = from;
	part.to = to;
	return find_step(&part) == 1;
}

/* From the whole of an address space, which has a hole in the middle, down to a few bytes. */
static void halve(struct search *s)
{
	unsigned long long from = s->from, to = s->to ? s->to : ~0ull;

	if (range_differs(s, 1, 2)) { /* nothing begins there */
		printf("they differ without translated code as well, or this translator cannot be told what to translate\n");
		return;
	}
	if (!s->to && range_differs(s, 0, 1ull << 47))
		to = 1ull << 47;
	else if (!s->to)
		from = ~0ull << 47;
	while (to - from > 1) {
		const unsigned long long middle = from + (to - from) / 2;

		if (range_differs(s, from, middle))
			to = middle;
		else if (range_differs(s, middle, to))
			from = middle;
		else
			break; /* it takes code in both */
	}
	printf("translated code that makes the difference: blocks that begin at 0x%llx to 0x%llx\n", from, to - 1);
}

static bool read_range(struct search *s, const char *text)
{
	char *end;

	s->from = strtoull(text, &end, 0);
	s->to = *end == '-' ? strtoull(end + 1, &end, 0) : 0;
	return s->to > s->from && !*end;
}

static bool read_options(struct search *s, int argc, char **argv)
{
	int n = 1;

	for (; n + 1 < argc && !strncmp(argv[n], "--", 2); n += 2) {
		if (!strcmp(argv[n], "--step"))
			s->step = strtoul(argv[n + 1], NULL, 0);
		else if (!strcmp(argv[n], "--plain"))
			s->plain = argv[n + 1];
		else if (!strcmp(argv[n], "--other"))
			s->other = argv[n + 1];
		else if (strcmp(argv[n], "--range") != 0 || !read_range(s, argv[n + 1]))
			return false;
	}
	s->argc = argc - n;
	s->argv = argv + n;
	return s->step && s->argc > 1 && s->argc < PAIR_WORDS / 2;
}

int main(int argc, char **argv)
{
	struct search s = {.plain = "--jit off", .other = "--jit 1", .step = 100000};
	int found;

	if (!read_options(&s, argc, argv)) {
		fprintf(stderr, "first-difference [--step N] [--plain OPTIONS] [--other OPTIONS] [--range FROM-TO] "
		                "turnstile run ...\n");
		return 2;
	}
	found = find_step(&s);
	if (found < 0)
		return 2;
	if (!found) {
		printf("no difference in %lu instructions\n", s.equal);
		return 0;
	}
	tell(&s, find_insn(&s));
	if (strstr(s.other, "--jit") && !strstr(s.other, "--stress"))
		halve(&s);
	return 1;
}
