/* Life of the sanitizer, and how a finding is told. */
#include "sanitize/parts.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- telling ---- */

static u64 rip_of(const struct cpu *c)
{
	return c->cur ? insn_rip(c, c->cur) : c->r[REG_RIP];
}

struct origin sanitize_here(const struct cpu *c, enum origin_kind kind)
{
	return (struct origin){.kind = (u8)kind,
	                       .cpu = (u8)c->index,
	                       .placed = true,
	                       .rip = c->sb.base[SEG_CS] + rip_of(c),
	                       .insn = c->insns + (c->cur ? c->cur->idx : 0)};
}

void sanitize_line(struct refusal *r, const char *label, const struct origin *who, const char *fmt, ...)
{
	struct refusal_line *l = &r->line[r->lines];
	va_list ap;

	if (r->lines == ARRAY_LEN(r->line))
		return;
	r->lines++;
	l->label = label;
	l->who = who ? *who : (struct origin){.kind = ORIGIN_UNKNOWN};
	va_start(ap, fmt);
	vsnprintf(l->text, sizeof(l->text), fmt, ap);
	va_end(ap);
}

/* Memory that is short makes it see less: that is said. */
void sanitize_lost(struct sanitize *s)
{
	struct hooks *h = s->bus->hooks;

	if (!s->lost && h->note)
		h->note(h->arg, "--sanitize: out of memory: some mistakes will not be found");
	s->lost = true;
}

void sanitize_found(struct cpu *c, enum watch_kind k, struct refusal *r)
{
	const struct sanitize_kind *row = &sanitize_kinds[k];

	if (!watched(c, k) || !c->hooks->refused)
		return;
	r->kind = REFUSAL_SANITIZE;
	r->check = row->id;
	r->rule = r->rule ? r->rule : row->rule;
	r->manual = r->manual ? r->manual : row->manual;
	r->fix = r->fix ? r->fix : row->fix;
	r->rip = r->rip ? r->rip : rip_of(c);
	r->insn = c->insns + (c->cur ? c->cur->idx : 0);
	r->cpu = c->index;
	c->hooks->refused(c->hooks->arg, c, r);
}

/* ---- life ---- */

static const struct sanitize_cpu nobody = {.vmxon = NO_PAGE, .hsave = NO_PAGE, .posted = NO_PAGE, .acknowledged = -1};

static void reset(struct cpu *c, bool init)
{
	struct sanitize_cpu *me = &sanitize_of(c)->cpu[c->index];
	pa_t hsave = init ? me->hsave : NO_PAGE; /* the MSR stays as it is */

	regions_reset(c);
	stale_reset(c, init);
	*me = nobody;
	me->hsave = hsave;
}

enum status sanitize_new(struct sanitize **out, struct bus *bus, struct cpu *const *cpus, unsigned count, u64 kinds,
                         struct err *err)
{
	struct sanitize *s = base_alloc(sizeof(*s));

	*out = s;
	if (!s)
		return err_set(err, ST_NOMEM, "out of memory");
	s->bus = bus;
	s->cpus = cpus;
	s->count = count;
	s->ops = (struct watch_ops){.arg = s, .kinds = kinds, .found = sanitize_found, .reset = reset};
	regions_ops(&s->ops);
	events_ops(&s->ops);
	stale_ops(&s->ops);
	if (stale_init(s) != ST_OK) {
		stale_fini(s);
		base_free(s);
		*out = NULL;
		return err_set(err, ST_NOMEM, "out of memory");
	}
	s->stores = (struct observer){.pages = PAGE_GUARDED, .written = regions_written, .arg = s};
	bus_observe(bus, &s->stores);
	bus->guarded_read = regions_dma_read;
	bus->guarded_arg = s;
	for (unsigned n = 0; n < count; n++) {
		s->cpu[n] = nobody;
		cpus[n]->watch = &s->ops;
	}
	return ST_OK;
}

void sanitize_free(struct sanitize *s)
{
	if (!s)
		return;
	for (unsigned n = 0; n < s->count; n++)
		s->cpus[n]->watch = NULL;
	s->bus->guarded_read = NULL;
	bus_unobserve(s->bus, &s->stores);
	regions_forget(s);
	stale_fini(s);
	base_free(s);
}
