/* Who asked for what: the hook table of a machine, filled only with what somebody wants to know. */
#include "inspect/parts.h"


#include <inttypes.h>
#include <stdlib.h>

/* ---- what the files of this folder ask of each other ---- */

void inspect_put(struct inspect *i, const struct inspect_event *e)
{
	if (i->o.put)
		i->o.put(i->o.arg, e);
}

u64 guest_block(const struct cpu *c)
{
	return c->virt->block_at(c);
}

/* ---- hooks ---- */

static void on_insn(void *arg, struct cpu *c, const struct insn *in)
{
	struct inspect *i = arg;

	if (i->ring.at)
		ring_insn(i, c, in);
	if (i->o.trace & TRACE_INSN)
		trace_insn(i, c, in);
}

static void on_event(void *arg, struct cpu *c, const struct event *e)
{
	struct inspect *i = arg;

	if (i->o.stats)
		stats_event(&i->stats, e);
	if (i->o.trace & TRACE_INT)
		trace_event(i, c, e);
}

static void on_returned(void *arg, struct cpu *c)
{
	struct inspect *i = arg;

	if (i->o.trace & TRACE_INT)
		trace_returned(i, c);
}

static void on_field(void *arg, struct cpu *c, const struct field_access *a)
{
	trace_field(arg, c, a);
}

static void on_smm(void *arg, struct cpu *c, bool entered)
{
	struct inspect *i = arg;

	i->stats.smis += entered;
	if (i->o.trace & TRACE_INT)
		trace_smm(i, c, entered);
}

static void on_io(void *arg, bool mmio, bool write, u64 addr, unsigned size, u64 value)
{
	trace_io(arg, mmio, write, addr, size, value);
}

static void on_msr(void *arg, struct cpu *c, bool write, u32 index, u64 value, bool ok)
{
	trace_msr(arg, c, write, index, value, ok);
}

static void on_entry(void *arg, struct cpu *c)
{
	struct inspect *i = arg;

	if (i->o.stats)
		stats_entry(i, c);
	if (i->o.trace & TRACE_VMWRITE)
		block_entered(i, c);
	if (i->o.trace)
		trace_entry(i, c);
	if (i->o.switched)
		i->o.switched(i->o.arg, c, NULL);
}

static void on_exit_(void *arg, struct cpu *c, const struct exit_record *x)
{
	struct inspect *i = arg;

	if (i->o.stats)
		stats_exit(i, c, x);
	if (i->o.trace)
		trace_exit(i, c, x);
	if (i->o.trace & TRACE_VMWRITE)
		block_left(i, c);
	if (i->o.switched)
		i->o.switched(i->o.arg, c, x);
}

static void on_refused(void *arg, struct cpu *c, const struct refusal *r)
{
	struct inspect *i = arg;

	i->stats.refused += r->kind == REFUSAL_ENTRY;
	explain_refusal(i, c, r);
}

static bool on_writer(void *arg, u64 pa, struct origin *out)
{
	const struct inspect *i = arg;

	return writers_find(i->writers, pa, out);
}

static void on_death(void *arg, struct cpu *c)
{
	struct inspect *i = arg;
	struct text t = {0}, json = {0};

	trace_flush(i);
	evidence_block(i, c, &t);
	ring_insns(i, &t);
	evidence_json(i, c, &json);
	const char *text = text_str(&t);
	size_t n = strcspn(text, "\n");
	char line[160];
	snprintf(line, sizeof(line), "%.*s", (int)n, text);
	explain_keep(i, 1, &t, &json);
	inspect_put(i, &(struct inspect_event){.kind = INSPECT_DEATH,
	                                       .cpu = c,
	                                       .id = "death",
	                                       .text = text,
	                                       .line = line,
	                                       .json = text_str(&json),
	                                       .insn = c->insns,
	                                       .rip = rip_now(c),
	                                       .guest = c->guest ? guest_block(c) : UINT64_MAX,
	                                       .count = 1});
	text_free(&t);
	text_free(&json);
}

static void on_note(void *arg, const char *text)
{
	struct inspect *i = arg;

	if (i->o.trace)
		trace_note(i, text);
	inspect_put(i, &(struct inspect_event){.kind = INSPECT_NOTE,
	                                       .id = "note",
	                                       .text = text,
	                                       .line = text,
	                                       .json = "",
	                                       .guest = UINT64_MAX});
}

static void set_hooks(struct inspect *i)
{
	struct hooks *h = &i->m->hooks;
	bool vm = i->o.stats || i->o.switched || i->o.trace;

	*h = (struct hooks){
	        .arg = i,
	        .trace = i->o.trace | (i->o.stats ? (u32)TRACE_INT : 0) | (i->o.ring ? (u32)TRACE_INSN : 0),
	        .insn = on_insn,
	        .event = on_event,
	        .returned = on_returned,
	        .field = on_field,
	        .smm = on_smm,
	        .io = on_io,
	        .msr = on_msr,
	        .vm_entry = vm ? on_entry : NULL,
	        .vm_exit = vm ? on_exit_ : NULL,
	        .refused = on_refused,
	        .writer = i->writers ? on_writer : NULL,
	        .death = on_death,
	        .note = on_note,
	};
	/* Tracing instructions makes them run one by one. */
	for (unsigned k = 0; k < i->m->count; k++)
		cpu_update_mode(i->m->cpus[k]);
}

/* ---- life ---- */

enum status inspect_new(struct inspect **out, struct machine *m, const struct inspect_options *o, struct err *err)
{
	struct inspect *i = base_alloc(sizeof(*i));

	if (!i)
		return err_set(err, ST_NOMEM, "out of memory");
	i->m = m;
	i->o = *o;
	enum status s = places_open(i, err);
	if (s == ST_OK)
		s = ring_open(i, err);
	if (s == ST_OK && o->trace)
		s = trace_open(i, err);
	if (s == ST_OK && o->writers)
		s = writers_new(&i->writers, m, err);
	if (s == ST_OK)
		s = explain_open(i, err);
	if (s != ST_OK) {
		trace_close(i);
		writers_free(i->writers);
		ring_close(i);
		places_close(i);
		base_free(i);
		return s;
	}
	set_hooks(i);
	*out = i;
	return ST_OK;
}

void inspect_free(struct inspect *i)
{
	if (!i)
		return;
	i->m->hooks = (struct hooks){0};
	trace_close(i);
	sink_close(i, &i->explain);
	block_free(i);
	ring_close(i);
	stats_free(&i->stats);
	explain_free(i);
	writers_free(i->writers);
	hash_free(&i->hashes);
	places_close(i);
	base_free(i);
}

void inspect_flush(struct inspect *i)
{
	trace_flush(i);
	explain_repeats(i);
	sink_flush(i, &i->explain);
}

void inspect_death(struct inspect *i, struct cpu *c, FILE *f)
{
	struct text t = {0};

	evidence_block(i, c, &t);
	fputs(text_str(&t), f);
	text_free(&t);
}
