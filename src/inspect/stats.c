/* What --stats prints at the end: what perf kvm stat would show of the monitor, and what the machine itself did. */
#include "base/os.h"
#include "cpu/decode/decode.h"
#include "inspect/parts.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- counting ---- */

static struct exit_stat *slot_of(struct stats *s, const struct exit_record *x)
{
	enum { USUAL = EXIT_STATS - 1 };
	u64 at = (x->code * 0x9e3779b97f4a7c15ull >> 32) % USUAL;

	for (unsigned tries = 0; tries < USUAL; tries++, at = (at + 1) % USUAL) {
		struct exit_stat *e = &s->exit[at];
		if (e->count && e->code != x->code)
			continue;
		e->code = x->code;
		e->name = x->name;
		return e;
	}
	s->exit[USUAL].name = "others";
	return &s->exit[USUAL];
}

void stats_exit(struct stats *s, const struct cpu *c, const struct exit_record *x)
{
	struct exit_stat *e = slot_of(s, x);

	e->count++;
	s->cpu[c->index].last = e;
	s->cpu[c->index].at = insn_number(c);
}

void stats_entry(struct stats *s, const struct cpu *c)
{
	struct exit_stat *e = s->cpu[c->index].last;

	s->entries++;
	if (e)
		e->insns += insn_number(c) - s->cpu[c->index].at;
	s->cpu[c->index].last = NULL;
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

/* ---- printing ---- */

static double percent(u64 part, u64 whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void head(FILE *f, const char *what)
{
	fprintf(f, "%-16s", what);
}

static void print_work(struct inspect *i, FILE *f)
{
	const struct machine *m = i->m;
	u64 insns = machine_insns(m), guest = 0, wall = m->started_ns ? os_real_ns() - m->started_ns : 0;

	for (unsigned k = 0; k < m->count; k++)
		guest += m->cpus[k]->guest_insns;
	head(f, "instructions");
	fprintf(f, "%s, of them in guests %s (%.1f %%)\n", commas(insns).s, commas(guest).s, percent(guest, insns));
	for (unsigned k = 0; m->count > 1 && k < m->count; k++) {
		char name[16];
		snprintf(name, sizeof(name), "  cpu %u", k);
		head(f, name);
		fprintf(f, "%s\n", commas(m->cpus[k]->insns).s);
	}
	head(f, "virtual time");
	fprintf(f, "%" PRIu64 ".%09" PRIu64 " s\n", m->clock.now / 1000000000, m->clock.now % 1000000000);
	head(f, "wall time");
	fprintf(f, "%.3f s, %.1f MIPS\n", (double)wall * 1e-9, wall ? (double)insns * 1e3 / (double)wall : 0);
}

static int by_count(const void *a, const void *b)
{
	const struct exit_stat *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return x->code < y->code ? -1 : x->code > y->code;
}

static void print_exit(FILE *f, const struct exit_stat *e, u64 exits, u64 insns)
{
	char name[64];

	snprintf(name, sizeof(name), "%s (0x%" PRIx64 ")", e->name, e->code);
	fprintf(f, "  %-40s %12s %6.1f %% %15s %6.1f %% %9s\n", name, commas(e->count).s, percent(e->count, exits),
	        commas(e->insns).s, percent(e->insns, insns), commas(e->insns / e->count).s);
}

static void print_exits(const struct stats *s, FILE *f)
{
	struct exit_stat sorted[EXIT_STATS];
	u64 exits = 0, insns = 0;

	memcpy(sorted, s->exit, sizeof(sorted));
	qsort(sorted, EXIT_STATS, sizeof(sorted[0]), by_count);
	for (size_t k = 0; k < EXIT_STATS; k++) {
		exits += sorted[k].count;
		insns += sorted[k].insns;
	}
	head(f, "VM entries");
	fprintf(f, "%s, refused %s\n", commas(s->entries).s, commas(s->refused).s);
	head(f, "VM exits");
	fprintf(f, "%s, and %s instructions of the monitor between exit and next entry\n", commas(exits).s,
	        commas(insns).s);
	if (!exits)
		return;
	fprintf(f, "  %-40s %12s %8s %15s %8s %9s\n", "exit", "count", "share", "instructions", "share", "each");
	for (size_t k = 0; k < EXIT_STATS && sorted[k].count; k++)
		print_exit(f, &sorted[k], exits, insns);
}

static void print_events(const struct stats *s, FILE *f)
{
	u64 sum = 0;
	const char *sep = " (";

	for (unsigned v = 0; v < 32; v++)
		sum += s->exceptions[v];
	head(f, "interrupts");
	fprintf(f, "%s, NMI %s, by software %s\n", commas(s->interrupts).s, commas(s->nmis).s, commas(s->soft).s);
	head(f, "exceptions");
	fprintf(f, "%s", commas(sum).s);
	for (unsigned v = 0; v < 32; v++) {
		if (!s->exceptions[v])
			continue;
		fprintf(f, "%s%s %s", sep, arch_exceptions[v].name, commas(s->exceptions[v]).s);
		sep = ", ";
	}
	fprintf(f, "%s\n", sum ? ")" : "");
}

static void json_exits(const struct stats *s, struct text *t)
{
	struct exit_stat sorted[EXIT_STATS];
	const char *sep = "";

	memcpy(sorted, s->exit, sizeof(sorted));
	qsort(sorted, EXIT_STATS, sizeof(sorted[0]), by_count);
	text_add(t, ",\"entries\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"exits\":[", s->entries, s->refused);
	for (size_t k = 0; k < EXIT_STATS && sorted[k].count; k++) {
		text_add(t, "%s{\"name\":", sep);
		text_json(t, sorted[k].name);
		text_add(t, ",\"code\":\"0x%" PRIx64 "\",\"count\":%" PRIu64 ",\"instructions\":%" PRIu64 "}",
		         sorted[k].code, sorted[k].count, sorted[k].insns);
		sep = ",";
	}
	text_add(t, "]");
}

static void json_events(const struct stats *s, struct text *t)
{
	const char *sep = "";

	text_add(t,
	         ",\"interrupts\":%" PRIu64 ",\"nmis\":%" PRIu64 ",\"software_interrupts\":%" PRIu64
	         ",\"exceptions\":{",
	         s->interrupts, s->nmis, s->soft);
	for (unsigned v = 0; v < 32; v++) {
		if (!s->exceptions[v])
			continue;
		text_add(t, "%s\"%s\":%" PRIu64, sep, arch_exceptions[v].name, s->exceptions[v]);
		sep = ",";
	}
	text_add(t, "}");
}

void inspect_stats_json(struct inspect *i, FILE *f)
{
	const struct machine *m = i->m;
	char because[160];
	const char *why = machine_unrepeatable(m, because, sizeof(because)) ? because : NULL;
	u64 guest = 0, wall = m->started_ns ? os_real_ns() - m->started_ns : 0;
	struct text t = {0};

	for (unsigned k = 0; k < m->count; k++)
		guest += m->cpus[k]->guest_insns;
	text_add(&t, "{\"instructions\":%" PRIu64 ",\"guest_instructions\":%" PRIu64 ",\"cpus\":[", machine_insns(m),
	         guest);
	for (unsigned k = 0; k < m->count; k++)
		text_add(&t, "%s%" PRIu64, k ? "," : "", m->cpus[k]->insns);
	text_add(&t, "],\"virtual_ns\":%" PRIu64 ",\"wall_ns\":%" PRIu64, m->clock.now, wall);
	json_exits(&i->stats, &t);
	json_events(&i->stats, &t);
	text_add(&t, ",\"mmio\":%" PRIu64 ",\"ports\":%" PRIu64 ",\"blocks\":%" PRIu64 ",\"repeatable\":%s",
	         m->bus.mmio_accesses, m->bus.port_accesses, code_cache_built(m->code),
	         why ? "false,\"because\":" : "true");
	if (why)
		text_json(&t, why);
	else
		text_add(&t, ",\"state\":\"%016" PRIx64 "\"", inspect_hash(i));
	text_add(&t, "}\n");
	fputs(text_str(&t), f);
	text_free(&t);
}

void inspect_stats(struct inspect *i, FILE *f)
{
	const struct machine *m = i->m;
	char because[160];
	const char *why = machine_unrepeatable(m, because, sizeof(because)) ? because : NULL;

	print_work(i, f);
	print_exits(&i->stats, f);
	print_events(&i->stats, f);
	head(f, "device accesses");
	fprintf(f, "MMIO %s, ports %s\n", commas(m->bus.mmio_accesses).s, commas(m->bus.port_accesses).s);
	head(f, "blocks decoded");
	fprintf(f, "%s\n", commas(code_cache_built(m->code)).s);
	if (why)
		fprintf(f, "repeatable: no (%s)\n", why);
	else
		fprintf(f, "repeatable: yes, state %016" PRIx64 "\n", inspect_hash(i));
}
