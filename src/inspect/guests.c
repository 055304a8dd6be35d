/* Whom the machine has run: guests have numbers, in the order of their first entry. */
#include "inspect/parts.h"

unsigned guest_number(struct inspect *i, u64 block)
{
	struct guests *g = &i->guests;

	if (block == UINT64_MAX)
		return 0;
	for (unsigned n = 0; n < g->n; n++)
		if (g->block[n] == block)
			return n + 1;
	if (g->n < GUESTS)
		g->block[g->n++] = block;
	return g->n;
}

unsigned guest_now(struct inspect *i, const struct cpu *c)
{
	return c->guest ? guest_number(i, guest_block(c)) : 0;
}
