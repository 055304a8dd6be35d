/* judge.c: the rows on a state, beside what the evaluator says of it, and states drawn at random. */
#ifndef VMX_CHECKS_JUDGE_H
#define VMX_CHECKS_JUDGE_H

#include "checks_test.h"

/* All rows, one by one; `off`: a row that is left out, or t->count. */
void judge(const struct table *t, const struct vmx_image *g, size_t off, struct verdict *v);
void judge_state(const struct table *t, const struct state *s, size_t off, struct verdict *v);
unsigned ids_set(const struct verdict *v);
bool same_verdict(const struct verdict *a, const struct verdict *b);
void print_difference(const struct verdict *rows, const struct verdict *text);
u64 random_next(u64 *x);
void mutate(struct state *s, unsigned field, u64 *seed);

#endif
