/* What --stats counts: exits by guest and reason, with what the monitor did about each, entries, events. */
#include "inspect/parts.h"

#include <stdlib.h>

/* ---- how often which size ---- */

static unsigned class_of(u64 v)
{
	if (v < 16)
		return (unsigned)v;
	const unsigned top = 63 - (unsigned)__builtin_clzll(v);
	const unsigned n = 16 + (top - 4) * 16 + (unsigned)(v >> (top - 4) & 15);
	return n < HIST_CLASSES ? n : HIST_CLASSES - 1;
}

/* The largest value of a class. */
static u64 class_end(unsigned n)
{
	if (n < 16)
		return n;
	const unsigned top = (n - 16) / 16 + 4;
	return ((16ull + (n - 16) % 16 + 1) << (top - 4)) - 1;
}

static void hist_add(struct histogram *h, u64 v)
{
	h->n++;
	h->max = max_u64(h->max, v);
	h->class[class_of(v)]++;
}

u64 hist_percentile(const struct histogram *h, unsigned percent)
{
	u64 seen = 0, want = h ? (h->n * percent + 99) / 100 : 0;

	for (unsigned n = 0; h && n < HIST_CLASSES; n++) {
		seen += h->class[n];
		if (seen >= want && want)
			return min_u64(class_end(n), h->max);
	}
	return 0;
}

/* ---- tables of exits ---- */

static struct exit_stat *row_of(struct exit_table *t, u64 code, const char *name)
{
	for (unsigned n = 0; n < t->n; n++)
		if (t->row[n].code == code && t->row[n].name)
			return &t->row[n];
	if (t->n < EXIT_STATS - 1) {
		t->row[t->n] = (struct exit_stat){.code = code, .name = name};
		return &t->row[t->n++];
	}
	t->row[EXIT_STATS - 1].name = "others";
	t->n = EXIT_STATS;
	return &t->row[EXIT_STATS - 1];
}

static struct histogram *hist_of(struct exit_stat *e)
{
	if (!e->hist)
		e->hist = base_alloc(sizeof(*e->hist));
	return e->hist;
}

static void add_row(struct exit_table *t, const struct exit_stat *from)
{
	struct exit_stat *e = row_of(t, from->code, from->name);
	struct histogram *h = from->hist ? hist_of(e) : NULL;

	e->count += from->count;
	e->insns += from->insns;
	e->time += from->time;
	if (!h)
		return;
	h->n += from->hist->n;
	h->max = max_u64(h->max, from->hist->max);
	for (unsigned k = 0; k < HIST_CLASSES; k++)
		h->class[k] += from->hist->class[k];
}

static int by_count(const void *a, const void *b)
{
	const struct exit_stat *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return x->code < y->code ? -1 : x->code > y->code;
}

struct exit_table *stats_sum(const struct stats *s)
{
	struct exit_table *t = base_alloc(sizeof(*t));

	for (unsigned g = 0; t && g <= GUESTS; g++)
		for (unsigned n = 0; s->guest[g] && n < s->guest[g]->exits.n; n++)
			add_row(t, &s->guest[g]->exits.row[n]);
	if (t)
		qsort(t->row, t->n, sizeof(t->row[0]), by_count);
	return t;
}

static void free_hists(struct exit_table *t)
{
	for (unsigned n = 0; n < t->n; n++)
		base_free(t->row[n].hist);
}

void exits_free(struct exit_table *t)
{
	if (t)
		free_hists(t);
	base_free(t);
}

void stats_free(struct stats *s)
{
	for (unsigned g = 0; g <= GUESTS; g++) {
		if (s->guest[g])
			free_hists(&s->guest[g]->exits);
		base_free(s->guest[g]);
	}
}

/* ---- counting ---- */

static struct guest_stat *guest_of(struct inspect *i, u64 block)
{
	struct guest_stat **g = &i->stats.guest[guest_number(i, block)];

	if (!*g)
		*g = base_alloc(sizeof(**g));
	return *g;
}

/* What the processor has been doing ends: a guest has run, or an exit was handled. */
static void end_work(struct stats_cpu *k, const struct cpu *c)
{
	const u64 insns = insn_number(c) - k->insn, time = time_now(c) - k->time;

	if (k->in) {
		k->in->insns += insns;
		k->in->time += time;
	}
	if (k->last) {
		struct histogram *h = hist_of(k->last);
		k->last->insns += insns;
		k->last->time += time;
		if (h)
			hist_add(h, insns);
	}
	*k = (struct stats_cpu){.insn = insn_number(c), .time = time_now(c)};
}

void stats_exit(struct inspect *i, const struct cpu *c, const struct exit_record *x)
{
	struct stats_cpu *k = &i->stats.cpu[c->index];
	struct guest_stat *g = guest_of(i, x->guest);

	end_work(k, c);
	if (!g)
		return;
	k->last = row_of(&g->exits, x->code, x->name);
	k->last->count++;
}

void stats_entry(struct inspect *i, const struct cpu *c)
{
	struct stats_cpu *k = &i->stats.cpu[c->index];

	i->stats.entries++;
	end_work(k, c);
	k->in = guest_of(i, guest_block(c));
	if (k->in)
		k->in->entries++;
}

void stats_event(struct stats *s, const struct event *e)
{
	if (e->type == EV_EXT)
		s->interrupts++;
	else if (e->type == EV_NMI)
		s->nmis++;
	else if (e->type == EV_HW)
		s->exceptions[e->vector & 31]++;
	else
		s->soft++;
}
