/*
 * What a test program of this computer says to tests/run.py beside what people read: `proved: ID...` (docs/add-a-check.md),
 * `checks: N` (assertions, a fixed number) and `random cases: N` (drawn, each compared with another judge). One file of
 * a program includes this.
 */
#ifndef TESTS_PROVED_H
#define TESTS_PROVED_H

#include <stdbool.h>
#include <stdio.h>

#include "../guests/lib/proved.h"

static struct proved proved_here;

/* Behind the checks that show it. */
static inline void proved(const char *ids)
{
	if (!proved_add(&proved_here, ids))
		printf("no room for what is proved\n");
}

/* A check of this name held: it may open with REQ(). */
static inline void proved_by(const char *name)
{
	if (name[0] == '[')
		proved(name + 1);
}

static inline void proved_put(char ch)
{
	putchar(ch);
}

/* At the end of main(); random: 0 for a program that draws nothing. */
static inline void proved_report(unsigned long long checks, unsigned long long random)
{
	proved_say(&proved_here, proved_put);
	if (checks)
		printf("checks: %llu\n", checks);
	if (random)
		printf("random cases: %llu\n", random);
}

#endif
