/* What --stats prints at the end: what perf kvm stat would show of the monitor, and what the machine itself did. */
#include "base/os.h"
#include "cpu/decode/decode.h"
#include "inspect/parts.h"

#include <inttypes.h>

double stats_percent(u64 part, u64 whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

void stats_head(FILE *f, const char *what)
{
	fprintf(f, "%-16s", what);
}

/* Virtual time that there was, on all processors together. */
static u64 all_time(const struct machine *m)
{
	return m->clock.now * m->count;
}

static void print_work(struct inspect *i, FILE *f)
{
	const struct machine *m = i->m;
	u64 insns = machine_insns(m), guest = 0, wall = m->started_ns ? os_real_ns() - m->started_ns : 0;

	for (unsigned k = 0; k < m->count; k++)
		guest += m->cpus[k]->guest_insns;
	stats_head(f, "instructions");
	fprintf(f, "%s, of them in guests %s (%.1f %%)\n", commas(insns).s, commas(guest).s,
	        stats_percent(guest, insns));
	for (unsigned k = 0; m->count > 1 && k < m->count; k++) {
		char name[16];
		snprintf(name, sizeof(name), "  cpu %u", k);
		stats_head(f, name);
		fprintf(f, "%s\n", commas(m->cpus[k]->insns).s);
	}
	stats_head(f, "virtual time");
	fprintf(f, "%" PRIu64 ".%09" PRIu64 " s\n", m->clock.now / 1000000000, m->clock.now % 1000000000);
	stats_head(f, "wall time");
	fprintf(f, "%.3f s, %.1f MIPS\n", (double)wall * 1e-9, wall ? (double)insns * 1e3 / (double)wall : 0);
}

/* ---- exits ---- */

static void print_exit(FILE *f, const struct exit_stat *e, u64 exits, u64 time)
{
	const bool handled = e->hist && e->hist->n; /* the last one of a run has no next entry */
	char name[64];

	snprintf(name, sizeof(name), "%s (0x%" PRIx64 ")", e->name, e->code);
	fprintf(f, "  %-36s %11s %6.1f %% %10s %10s %10s %5.1f %%\n", name, commas(e->count).s,
	        stats_percent(e->count, exits), handled ? commas(e->insns / e->hist->n).s : "-",
	        handled ? commas(hist_percentile(e->hist, 50)).s : "-",
	        handled ? commas(hist_percentile(e->hist, 99)).s : "-", stats_percent(e->time, time));
}

#define GUEST_LINES 12 /* of the table for people */

/* One line each, and what it exits for most. */
static void print_guests(struct inspect *i, FILE *f)
{
	const struct stats *s = &i->stats;
	const u64 time = all_time(i->m);

	if (i->guests.n < 2)
		return;
	fprintf(f, "  %-36s %11s %8s %11s %11s   %-13s\n", "guest", "exits", "entries", "insns", "in guest", "most");
	for (unsigned g = 1; g <= i->guests.n; g++) {
		if (g > GUEST_LINES) {
			fprintf(f, "  and %u more: --stats=FILE.json has all of them\n", i->guests.n - GUEST_LINES);
			break;
		}
		const struct exit_stat *most = NULL;
		u64 exits = 0;
		char name[64];

		if (!s->guest[g])
			continue;
		for (unsigned n = 0; n < s->guest[g]->exits.n; n++) {
			const struct exit_stat *e = &s->guest[g]->exits.row[n];
			exits += e->count;
			most = !most || e->count > most->count ? e : most;
		}
		snprintf(name, sizeof(name), "%u, %s 0x%" PRIx64, g, i->m->cpus[0]->virt->block,
		         i->guests.block[g - 1]);
		fprintf(f, "  %-36s %11s %8s %11s %9.1f %%   %-.22s\n", name, commas(exits).s,
		        commas(s->guest[g]->entries).s, commas(s->guest[g]->insns).s,
		        stats_percent(s->guest[g]->time, time), most ? most->name : "");
	}
}

static void print_time(const struct stats *s, const struct exit_table *t, u64 all, FILE *f)
{
	u64 inside = 0, handling = 0;

	for (unsigned g = 0; g <= GUESTS; g++)
		inside += s->guest[g] ? s->guest[g]->time : 0;
	for (unsigned n = 0; n < t->n; n++)
		handling += t->row[n].time;
	stats_head(f, "time");
	fprintf(f, "%.1f %% in guests, %.1f %% from an exit to the next entry, %.1f %% elsewhere\n",
	        stats_percent(inside, all), stats_percent(handling, all),
	        stats_percent(all - min_u64(all, inside + handling), all));
}

static void print_exits(struct inspect *i, FILE *f)
{
	const struct stats *s = &i->stats;
	struct exit_table *t = stats_sum(s);
	u64 exits = 0, insns = 0;

	for (unsigned n = 0; t && n < t->n; n++) {
		exits += t->row[n].count;
		insns += t->row[n].insns;
	}
	stats_head(f, "VM entries");
	fprintf(f, "%s, refused %s\n", commas(s->entries).s, commas(s->refused).s);
	stats_head(f, "VM exits");
	fprintf(f, "%s, and %s instructions of the monitor between exit and next entry\n", commas(exits).s,
	        commas(insns).s);
	if (exits) {
		fprintf(f, "  %-36s %11s %8s %32s\n", "", "", "", "instructions of the monitor");
		fprintf(f, "  %-36s %11s %8s %10s %10s %10s %7s\n", "exit", "count", "share", "mean", "50th %",
		        "99th %", "time");
		for (unsigned n = 0; n < t->n; n++)
			print_exit(f, &t->row[n], exits, all_time(i->m));
		print_guests(i, f);
		print_time(s, t, all_time(i->m), f);
	}
	exits_free(t);
}

/* ---- what else there was ---- */

static void print_events(const struct stats *s, FILE *f)
{
	u64 sum = 0;
	const char *sep = " (";

	for (unsigned v = 0; v < 32; v++)
		sum += s->exceptions[v];
	stats_head(f, "interrupts");
	fprintf(f, "%s, NMI %s, SMI %s, by software %s\n", commas(s->interrupts).s, commas(s->nmis).s,
	        commas(s->smis).s, commas(s->soft).s);
	stats_head(f, "exceptions");
	fprintf(f, "%s", commas(sum).s);
	for (unsigned v = 0; v < 32; v++) {
		if (!s->exceptions[v])
			continue;
		fprintf(f, "%s%s %s", sep, arch_exceptions[v].name, commas(s->exceptions[v]).s);
		sep = ", ";
	}
	fprintf(f, "%s\n", sum ? ")" : "");
}

/* Of all processors together. */
static struct tlb_counts tlb_sum(const struct machine *m)
{
	struct tlb_counts sum = {0};

	for (unsigned k = 0; k < m->count; k++) {
		const struct tlb_counts *t = &m->cpus[k]->tlb.count;
		sum.lookups += t->lookups;
		sum.walks += t->walks;
		sum.second += t->second;
		sum.flushes_all += t->flushes_all;
		sum.flushes_space += t->flushes_space;
		sum.flushes_page += t->flushes_page;
	}
	return sum;
}

static void print_tlb(const struct machine *m, FILE *f)
{
	const struct tlb_counts t = tlb_sum(m);

	stats_head(f, "TLB");
	fprintf(f, "lookups %s, walks %s, second-stage walks %s\n", commas(t.lookups).s, commas(t.walks).s,
	        commas(t.second).s);
	stats_head(f, "TLB flushes");
	fprintf(f, "%s of everything, %s of an address space, %s of a page\n", commas(t.flushes_all).s,
	        commas(t.flushes_space).s, commas(t.flushes_page).s);
}

/* ---- as JSON ---- */

static void json_exit_rows(const struct exit_table *t, struct text *out)
{
	const char *sep = "";

	text_add(out, "[");
	for (unsigned n = 0; t && n < t->n; n++) {
		const struct exit_stat *e = &t->row[n];
		text_add(out, "%s{\"name\":", sep);
		text_json(out, e->name);
		text_add(out,
		         ",\"code\":\"0x%" PRIx64 "\",\"count\":%" PRIu64 ",\"instructions\":%" PRIu64
		         ",\"mean\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"time\":%" PRIu64 "}",
		         e->code, e->count, e->insns, e->hist && e->hist->n ? e->insns / e->hist->n : 0,
		         hist_percentile(e->hist, 50), hist_percentile(e->hist, 99), e->time);
		sep = ",";
	}
	text_add(out, "]");
}

static void json_exits(struct inspect *i, struct text *t)
{
	const struct stats *s = &i->stats;
	struct exit_table *sum = stats_sum(s);
	const char *sep = "";

	text_add(t, ",\"entries\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"exits\":", s->entries, s->refused);
	json_exit_rows(sum, t);
	exits_free(sum);
	text_add(t, ",\"guests\":[");
	for (unsigned g = 1; g <= i->guests.n; g++) {
		const struct guest_stat *k = s->guest[g];
		if (!k)
			continue;
		text_add(t,
		         "%s{\"guest\":%u,\"block\":\"0x%" PRIx64 "\",\"entries\":%" PRIu64 ",\"instructions\":%" PRIu64
		         ",\"time\":%" PRIu64 ",\"exits\":",
		         sep, g, i->guests.block[g - 1], k->entries, k->insns, k->time);
		json_exit_rows(&k->exits, t);
		text_add(t, "}");
		sep = ",";
	}
	text_add(t, "]");
}

static void json_tlb(const struct machine *m, struct text *t)
{
	const struct tlb_counts k = tlb_sum(m);

	text_add(t,
	         ",\"tlb\":{\"lookups\":%" PRIu64 ",\"walks\":%" PRIu64 ",\"second_stage_walks\":%" PRIu64
	         ",\"flushes_all\":%" PRIu64 ",\"flushes_space\":%" PRIu64 ",\"flushes_page\":%" PRIu64 "}",
	         k.lookups, k.walks, k.second, k.flushes_all, k.flushes_space, k.flushes_page);
}

static void json_events(const struct stats *s, struct text *t)
{
	const char *sep = "";

	text_add(t,
	         ",\"interrupts\":%" PRIu64 ",\"nmis\":%" PRIu64 ",\"smis\":%" PRIu64
	         ",\"software_interrupts\":%" PRIu64 ",\"exceptions\":{",
	         s->interrupts, s->nmis, s->smis, s->soft);
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
	json_exits(i, &t);
	json_events(&i->stats, &t);
	json_tlb(m, &t);
	stats_jit_json(m, &t);
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
	print_exits(i, f);
	print_events(&i->stats, f);
	print_tlb(m, f);
	stats_head(f, "device accesses");
	fprintf(f, "MMIO %s, ports %s\n", commas(m->bus.mmio_accesses).s, commas(m->bus.port_accesses).s);
	stats_head(f, "blocks decoded");
	fprintf(f, "%s\n", commas(code_cache_built(m->code)).s);
	stats_jit_print(m, f);
	if (why)
		fprintf(f, "repeatable: no (%s)\n", why);
	else
		fprintf(f, "repeatable: yes, state %016" PRIx64 "\n", inspect_hash(i));
}
