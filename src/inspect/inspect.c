#include "inspect/inspect.h"

#include <inttypes.h>
#include <stdlib.h>

struct inspect {
	struct machine *m;
	struct inspect_options o;
};

static void say(struct inspect *i, const char *kind, struct cpu *c, const char *text)
{
	if (i->o.put)
		i->o.put(i->o.arg, kind, c, text);
}

static void on_death(void *arg, struct cpu *c)
{
	struct inspect *i = arg;
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return;
	inspect_death(i, c, f);
	fclose(f);
	say(i, "death", c, text);
	free(text);
}

static void on_note(void *arg, const char *text)
{
	say(arg, "note", NULL, text);
}

enum status inspect_new(struct inspect **out, struct machine *m, const struct inspect_options *o, struct err *err)
{
	struct inspect *i = base_alloc(sizeof(*i));

	if (!i)
		return err_set(err, ST_NOMEM, "out of memory");
	i->m = m;
	i->o = *o;
	m->hooks.arg = i;
	m->hooks.death = on_death;
	m->hooks.note = on_note;
	*out = i;
	return ST_OK;
}

void inspect_free(struct inspect *i)
{
	if (!i)
		return;
	i->m->hooks = (struct hooks){0};
	base_free(i);
}

void inspect_flush(struct inspect *i)
{
	(void)i;
}

void inspect_stats(struct inspect *i, FILE *f)
{
	const char *why = machine_unrepeatable(i->m);

	fprintf(f, "instructions: %" PRIu64 "\n", machine_insns(i->m));
	fprintf(f, "virtual time: %" PRIu64 " ns\n", i->m->clock.now);
	if (why)
		fprintf(f, "repeatable: no (%s)\n", why);
	else
		fprintf(f, "repeatable: yes, state %016" PRIx64 "\n", machine_hash(i->m));
}

void inspect_death(struct inspect *i, struct cpu *c, FILE *f)
{
	(void)i;
	fprintf(f, "triple fault: cpu %u shut down, CPL %u, insn %" PRIu64 "\n", c->index, c->cpl, c->insns);
	for (unsigned n = 0; n < c->chain_n; n++)
		fprintf(f, "  %-6s %s, error 0x%x\n",
		        n == 0   ? "first"
		        : n == 1 ? "second"
		                 : "third",
		        arch_exceptions[c->chain[n].vector & 31].name, c->chain[n].error);
	fprintf(f, "  at     rip 0x%" PRIx64 "\n", c->r[REG_RIP]);
}
