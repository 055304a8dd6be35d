/*
 * Lock-step: what translated code did is taken back, the interpreter does the same instructions, and everything that they
 * can have changed is compared. Nothing that leaves translated code runs inside.
 */
#include "jit/priv.h"

#include "cpu/state/flags.h"

#include <stdio.h>
#include <stdlib.h>

struct seen {
	u64 r[REG_SLOTS];
	u32 rflags, branches;
	struct branch_record last;
	u64 stored[2 * BLOCK_MAX];
};

static u64 load(const struct jit_store *s)
{
	u64 v = 0;

	memcpy(&v, s->at, s->size);
	return v;
}

static void see(struct seen *s, struct cpu *c, const struct jit *j)
{
	memcpy(s->r, c->r, sizeof(s->r));
	s->rflags = flags_get(c);
	s->branches = c->lastbr_n;
	s->last = c->lastbr[(c->lastbr_n - 1) % ARRAY_LEN(c->lastbr)];
	for (const struct jit_store *p = j->stores; p < c->native.log; p++)
		s->stored[p - j->stores] = load(p);
}

static void take_back(struct cpu *c, const struct seen *before, const struct jit *j)
{
	for (const struct jit_store *p = c->native.log; p-- > j->stores;)
		memcpy(p->at, &p->before, p->size);
	memcpy(c->r, before->r, sizeof(c->r));
	flags_set(c, before->rflags);
	c->lastbr_n = before->branches;
}

static void interpret(struct cpu *c, const struct block *b, u32 n)
{
	for (u32 k = 0; k < n; k++) {
		const struct insn *i = &b->insn[k];

		c->cur = i;
		if (insn_run(c, i) != XR_OK) {
			fprintf(stderr, "jit: check: %s at %#llx faults\n", i->row->form, (unsigned long long)insn_rip(c, i));
			abort();
		}
		if (k + 1 == n && !(i->row->flags & ROW_BRANCH))
			c->r[REG_RIP] = next_rip(c, i);
	}
}

static bool differs(const char *what, unsigned n, u64 interpreted, u64 translated)
{
	if (interpreted == translated)
		return false;
	fprintf(stderr, "jit: check: %s %u: interpreter %#llx, translated code %#llx\n", what, n,
	        (unsigned long long)interpreted, (unsigned long long)translated);
	return true;
}

static bool compare(const struct seen *a, const struct seen *b, unsigned stores)
{
	bool bad = differs("flags", 0, a->rflags, b->rflags);

	for (unsigned k = 0; k < REG_SLOTS; k++)
		bad |= differs("register", k, a->r[k], b->r[k]);
	bad |= differs("branches", 0, a->branches, b->branches);
	bad |= differs("branch from", 0, a->last.from, b->last.from);
	bad |= differs("branch to", 0, a->last.to, b->last.to);
	for (unsigned k = 0; k < stores; k++)
		bad |= differs("store", k, a->stored[k], b->stored[k]);
	return bad;
}

enum xr check_run(struct jit *j, struct cpu *c, const struct block *b, const struct jit_code *t)
{
	struct seen before, translated, interpreted;
	const struct branch_record kept = c->lastbr[c->lastbr_n % ARRAY_LEN(c->lastbr)];
	u32 n;

	c->native.log = j->stores;
	see(&before, c, j);
	if (jit_run(j, c, t) != XR_OK)
		abort();
	n = c->left;
	if (n == 0)
		return b->first(c, b->insn);
	see(&translated, c, j);
	take_back(c, &before, j);
	c->lastbr[c->lastbr_n % ARRAY_LEN(c->lastbr)] = kept;
	interpret(c, b, n);
	see(&interpreted, c, j);
	j->count.checked++;
	if (compare(&interpreted, &translated, (unsigned)(c->native.log - j->stores))) {
		fprintf(stderr, "jit: check: %u instructions from %#llx\n", n, (unsigned long long)before.r[REG_RIP]);
		for (u32 k = 0; k < n; k++)
			fprintf(stderr, "jit: check:   %#llx %s\n", (unsigned long long)(before.r[REG_RIP] + b->insn[k].off),
			        b->insn[k].row->form);
		abort();
	}
	c->cur = NULL;
	c->left = n;
	return XR_OK;
}
