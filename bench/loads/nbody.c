/*
 * Bodies that attract each other, stepped N times: compiled twice, with REAL double (scalar SSE2) and long double (x87).
 * Symplectic Euler with a softened force, so that any start is stable.
 */
#include "loads.h"

enum { BODIES = 5 };

struct body {
	REAL position[3], speed[3], mass;
};

static REAL root(REAL x)
{
	if (sizeof(REAL) == sizeof(double))
		return (REAL)__builtin_sqrt((double)x);
	return (REAL)__builtin_sqrtl((long double)x);
}

static void attract(struct body *a, struct body *b, REAL step)
{
	REAL d[3], square = (REAL)0.01;

	for (unsigned k = 0; k < 3; k++) {
		d[k] = a->position[k] - b->position[k];
		square += d[k] * d[k];
	}

	REAL pull = step / (square * root(square));

	for (unsigned k = 0; k < 3; k++) {
		a->speed[k] -= d[k] * b->mass * pull;
		b->speed[k] += d[k] * a->mass * pull;
	}
}

uint64_t NBODY(uint64_t n)
{
	struct body bodies[BODIES];
	uint64_t state = 1, sum = 0;

	for (unsigned b = 0; b < BODIES; b++) {
		for (unsigned k = 0; k < 3; k++) {
			bodies[b].position[k] = (REAL)(next_random(&state) % 1000) / 100;
			bodies[b].speed[k] = (REAL)(next_random(&state) % 100) / 1000;
		}
		bodies[b].mass = (REAL)(1 + next_random(&state) % 9);
	}
	while (n--) {
		for (unsigned a = 0; a < BODIES; a++)
			for (unsigned b = a + 1; b < BODIES; b++)
				attract(&bodies[a], &bodies[b], (REAL)0.001);
		for (unsigned b = 0; b < BODIES; b++)
			for (unsigned k = 0; k < 3; k++)
				bodies[b].position[k] += bodies[b].speed[k] * (REAL)0.001;
	}
	for (unsigned b = 0; b < BODIES; b++)
		sum = sum * 31 + (uint64_t)(int64_t)(bodies[b].position[b % 3] * 1000000);
	return sum;
}
