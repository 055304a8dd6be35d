/* What tests that kill a process at random moments share: their options, their random numbers, and how one fails. */
#ifndef TESTS_STRESS_TRIALS_H
#define TESTS_STRESS_TRIALS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"

static u64 random_state;

static u64 draw(u64 n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % n;
}

static _Noreturn void bad(const char *what, unsigned trial)
{
	printf("FAIL: trial %u: %s\n", trial, what);
	exit(1);
}

/* [--trials N] [--seed S]: how many trials; without a seed it is the time's. */
static unsigned trials_asked(int argc, char **argv)
{
	unsigned trials = 50;

	random_state = (u64)time(NULL);
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--trials"))
			trials = (unsigned)strtoul(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--seed"))
			random_state = strtoull(argv[i + 1], NULL, 0);
	}
	random_state = random_state * 0x9e3779b97f4a7c15ull | 1;
	return trials;
}

#endif
