/* Machines that do the same in another way, run side by side through the library, and what of them is compared. */
#ifndef TESTS_JIT_PAIR_H
#define TESTS_JIT_PAIR_H

#include <stdbool.h>
#include <stdio.h>
#include <turnstile/turnstile.h>

#define PAIR_WORDS 64

struct words {
	const char *word[PAIR_WORDS + 1];
	int n;
	char text[2048]; /* what pair_words() cuts up */
	size_t used;
};
void pair_words(struct words *w, const char *spaced); /* at spaces */
void pair_word(struct words *w, const char *word);

/* [0] the interpreter's machine, [1] the other */
struct pair {
	ts_machine *m[2];
	ts_stop why[2];
	unsigned long done; /* instructions asked for */
};
bool pair_open(struct pair *p, const struct words *a, const struct words *b, FILE *say);
void pair_close(struct pair *p);
bool pair_run(struct pair *p, unsigned long insns); /* false: one has ended */
bool pair_same(struct pair *p);                     /* the hash of the whole state, and how they ended */
/* Every register and every byte of memory that is not the same, a line each, at most `lines`. */
void pair_tell(struct pair *p, FILE *f, unsigned lines);
unsigned long long pair_hash(ts_machine *m);

#endif
