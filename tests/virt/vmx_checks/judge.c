/* The library behind judge.h. */
#include <stdio.h>

#include "judge.h"

/* All rows, one by one; `off`: a row that is left out, or t->count. */
void judge(const struct table *t, const struct vmx_image *g, size_t off, struct verdict *v)
{
	memset(v, 0, sizeof(*v));
	for (size_t n = 0; n < t->count; n++) {
		if (n == off || !vmx_check_fails(t->row[n], g))
			continue;
		v->ids[t->id[n] / 64] |= BIT(t->id[n] % 64);
		if (!v->outcome) {
			v->outcome = vmx_check_outcome(g, t->row[n]);
			v->qualification = t->row[n]->qualification;
		}
	}
}

void judge_state(const struct table *t, const struct state *s, size_t off, struct verdict *v)
{
	struct vmx_image g = image_of(s);

	judge(t, &g, off, v);
}

unsigned ids_set(const struct verdict *v)
{
	unsigned n = 0;

	for (unsigned w = 0; w < MAX_IDS / 64; w++)
		n += (unsigned)__builtin_popcountll(v->ids[w]);
	return n;
}

bool same_verdict(const struct verdict *a, const struct verdict *b)
{
	return !memcmp(a->ids, b->ids, sizeof(a->ids)) && a->outcome == b->outcome &&
	       (ids_set(a) != 1 || a->qualification == b->qualification);
}

void print_difference(const struct verdict *rows, const struct verdict *text)
{
	printf("rows: outcome %u; text: outcome %u;", rows->outcome, text->outcome);
	for (unsigned n = 0; n < expected_count; n++) {
		bool a = rows->ids[n / 64] >> (n % 64) & 1, b = text->ids[n / 64] >> (n % 64) & 1;

		if (a != b)
			printf(" %s by %s only;", expected[n].id, a ? "rows" : "text");
	}
	printf("\n");
}

/* ---- values worth trying ---- */

u64 random_next(u64 *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

void mutate(struct state *s, unsigned field, u64 *seed)
{
	u64 r = random_next(seed), values[CANDIDATES], *f = field_of(s, field);

	if (r % 8 == 0)
		*f = fit(field, random_next(seed));
	else if (r % 8 == 1)
		*f = fit(field, s->f[(r >> 8) % VMCS_SLOTS]);
	else
		*f = fit(field, values[(r >> 8) % candidates(s, field, values)]);
}
