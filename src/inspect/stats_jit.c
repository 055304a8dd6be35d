/* What --stats says of the translator. */
#include "inspect/parts.h"
#include "jit/jit.h"

#include <inttypes.h>

/* Nothing where nothing is translated. */
void stats_jit_print(const struct machine *m, FILE *f)
{
	const struct jit_counts *k = jit_counts(m->jit);
	const u64 insns = machine_insns(m);

	if (!m->jit)
		return;
	stats_head(f, "translator");
	fprintf(f, "%s superblocks, %s instructions, %s bytes, %s flushes\n", commas(k->superblocks).s,
	        commas(k->insns).s, commas(k->bytes).s, commas(k->flushes).s);
	stats_head(f, "translating");
	fprintf(f, "%.3f ms of the wall time\n", (double)k->ns * 1e-6);
	stats_head(f, "tiers");
	fprintf(f, "%.2f %% of instructions translated, %.2f %% interpreted; %s by handlers from there\n",
	        stats_percent(k->run, insns), 100 - stats_percent(min_u64(k->run, insns), insns), commas(k->calls).s);
	if (m->cfg.jit.check) {
		stats_head(f, "lock-step");
		fprintf(f, "%s runs of superblocks compared with the interpreter\n", commas(k->checked).s);
	}
	stats_head(f, "translated runs");
	fprintf(f, "%s, ended by:\n", commas(k->entries).s);
	for (unsigned e = 0; e < JIT_EXITS; e++)
		fprintf(f, "  %-36s %11s\n", jit_exit_name((enum jit_exit)e), commas(k->exits[e]).s);
}

/* "jit": null where nothing is translated. */
void stats_jit_json(const struct machine *m, struct text *t)
{
	const struct jit_counts *k = jit_counts(m->jit);
	const char *sep = "";

	if (!m->jit) {
		text_add(t, ",\"jit\":null");
		return;
	}
	text_add(t,
	         ",\"jit\":{\"threshold\":%" PRIu32 ",\"superblocks\":%" PRIu64 ",\"instructions\":%" PRIu64
	         ",\"bytes\":%" PRIu64 ",\"flushes\":%" PRIu64 ",\"ns\":%" PRIu64 ",\"entries\":%" PRIu64
	         ",\"executed\":%" PRIu64 ",\"calls\":%" PRIu64 ",\"checked\":%" PRIu64 ",\"exits\":{",
	         m->cfg.jit.threshold, k->superblocks, k->insns, k->bytes, k->flushes, k->ns, k->entries, k->run,
	         k->calls, k->checked);
	for (unsigned e = 0; e < JIT_EXITS; e++) {
		text_add(t, "%s", sep);
		text_json(t, jit_exit_name((enum jit_exit)e));
		text_add(t, ":%" PRIu64, k->exits[e]);
		sep = ",";
	}
	text_add(t, "}}");
}
