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

/* Read on first use: most machines end without a question. */
static const struct symbols *symbols_of(struct inspect *i)
{
	if (!i->symbols_tried && i->m->cfg.kernel)
		i->symbols = symbols_open(i->m->cfg.kernel);
	i->symbols_tried = true;
	return i->symbols;
}

/*
 * An address is the kernel's if it leads to where the kernel was loaded, whatever page tables are in force: that holds
 * before paging, in a guest that shares its monitor's memory, and never for a user's or another kernel's code.
 */
void inspect_place(struct inspect *i, struct cpu *c, la_t la, char *out, size_t len)
{
	const struct symbols *s = symbols_of(i);
	u64 linked = la;
	pa_t pa;

	out[0] = 0;
	if (!s)
		return;
	if (mmu_peek(c, la, &pa) ? !symbols_linked(s, pa, &linked) : c->guest)
		return;
	symbols_name(s, linked, out, len);
}

/* ---- hooks ---- */

static void on_insn(void *arg, struct cpu *c, const struct insn *in)
{
	trace_insn(arg, c, in);
}

static void on_event(void *arg, struct cpu *c, const struct event *e)
{
	struct inspect *i = arg;

	if (i->o.stats)
		stats_event(&i->stats, e);
	if (i->o.trace & TRACE_INT)
		trace_event(i, c, e);
}

static void on_smm(void *arg, struct cpu *c, bool entered)
{
	struct inspect *i = arg;

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
		stats_entry(&i->stats, c);
	if (i->o.trace & TRACE_VM)
		trace_entry(i, c);
}

static void on_exit_(void *arg, struct cpu *c, const struct exit_record *x)
{
	struct inspect *i = arg;

	if (i->o.stats)
		stats_exit(&i->stats, c, x);
	if (i->o.trace & TRACE_VM)
		trace_exit(i, c, x);
}

static void on_refused(void *arg, struct cpu *c, const struct refusal *r)
{
	struct inspect *i = arg;

	i->stats.refused++;
	explain_refusal(i, c, r);
}

static void on_death(void *arg, struct cpu *c)
{
	struct inspect *i = arg;
	struct text t = {0}, json = {0};

	trace_flush(i);
	evidence_block(i, c, &t);
	evidence_json(i, c, &json);
	const char *text = text_str(&t);
	size_t n = strcspn(text, "\n");
	char line[160];
	snprintf(line, sizeof(line), "%.*s", (int)n, text);
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
	bool vm = i->o.stats || (i->o.trace & TRACE_VM);

	*h = (struct hooks){
	        .arg = i,
	        .trace = i->o.trace | (i->o.stats ? (u32)TRACE_INT : 0),
	        .insn = on_insn,
	        .event = on_event,
	        .smm = on_smm,
	        .io = on_io,
	        .msr = on_msr,
	        .vm_entry = vm ? on_entry : NULL,
	        .vm_exit = vm ? on_exit_ : NULL,
	        .refused = on_refused,
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
	enum status s = o->trace ? trace_open(i, err) : ST_OK;
	if (s != ST_OK) {
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
	explain_free(i);
	hash_free(&i->hashes);
	symbols_close(i->symbols);
	base_free(i);
}

void inspect_flush(struct inspect *i)
{
	trace_flush(i);
	explain_repeats(i);
}

void inspect_death(struct inspect *i, struct cpu *c, FILE *f)
{
	struct text t = {0};

	evidence_block(i, c, &t);
	fputs(text_str(&t), f);
	text_free(&t);
}
