/* Random numbers, the same in every run: xorshift64*. */
#ifndef TESTS_RND_H
#define TESTS_RND_H

#include "base/base.h"

static u64 rnd_state = 0x9e3779b97f4a7c15;

static inline u64 rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state * 0x2545f4914f6cdd1d;
}

#endif
