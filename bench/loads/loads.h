/* The loads that are programs of ours: each does N units of work and returns a sum of it, which is the same everywhere. */
#ifndef LOADS_H
#define LOADS_H

#define MEMORY_WORDS 131072 /* 1 MiB */

#ifndef __ASSEMBLER__
#include <stdint.h>

uint64_t integer_loop(uint64_t n);
uint64_t memory_loop(uint64_t rounds, uint64_t *data);
extern const uint8_t loops_begin[], loops_end[];

uint64_t core_mix(uint64_t n);
uint64_t nbody_sse2(uint64_t n);
uint64_t nbody_x87(uint64_t n);

/* The same numbers on every computer. */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}
#endif

#endif
