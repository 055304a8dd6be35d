/* Why a VM entry was refused: a block of words from what the vendor's check runner tells, once per check and
 * instruction. */
#include "inspect/parts.h"

#include <inttypes.h>

/* The row for this check at this instruction; NULL: out of memory. */
static struct refusal_seen *seen(struct inspect *i, const struct refusal *r)
{
	struct refusal_seen *s = i->refusals;

	while (s && (s->rip != r->rip || strcmp(s->check, r->check)))
		s = s->next;
	if (s)
		return s;
	s = base_alloc(sizeof(*s));
	if (!s)
		return NULL;
	s->check = r->check;
	s->rip = r->rip;
	s->next = i->refusals;
	i->refusals = s;
	return s;
}

static void block(struct inspect *i, struct cpu *c, const struct refusal *r, struct text *t)
{
	char name[96];

	text_add(t, "%s\n", r->event);
	text_label(t, "check", "%s", r->check);
	text_label(t, "rule", "%s", r->rule);
	for (unsigned n = 0; n < r->fields; n++) {
		const struct check_field *f = &r->field[n];
		text_label(t, "field", "%s = %s%s%s", f->name, hex(f->value, f->width).s, f->decoded[0] ? ": " : "",
		           f->decoded);
	}
	text_label(t, "also", "%s", r->also[0] ? r->also : "none");
	inspect_place(i, c, linear_rip(c, r->rip), name, sizeof(name));
	text_label(t, "at", "%s%srip 0x%" PRIx64 ", cpu %u, insn %s", name, name[0] ? ", " : "", r->rip, r->cpu,
	           commas(insn_number(c)).s);
	if (r->then)
		text_label(t, "then", "%s", r->then);
	text_label(t, "manual", "%s", r->manual);
}

/* "VMLAUNCH refused: VMfailValid, error 8: VM entry with..." is "VMLAUNCH refused, error 8" in one line. */
static void one_line(struct inspect *i, struct cpu *c, const struct refusal *r, struct text *t)
{
	const char *error = strstr(r->event, "error ");
	char name[96];

	text_add(t, "%.*s", (int)strcspn(r->event, ":"), r->event);
	if (error)
		text_add(t, ", error %.*s", (int)strspn(error + 6, "0123456789"), error + 6);
	text_add(t, ": %s", r->check);
	if (r->fields) {
		const struct check_field *f = &r->field[0];
		text_add(t, ", %s %s", f->name, hex(f->value, f->width).s);
	}
	inspect_place(i, c, linear_rip(c, r->rip), name, sizeof(name));
	if (name[0])
		text_add(t, ", %s", name);
	else
		text_add(t, ", rip 0x%" PRIx64, r->rip);
}

static void json(struct cpu *c, const struct refusal *r, u64 count, struct text *t)
{
	text_add(t, "{\"event\":\"refused\",\"text\":");
	text_json(t, r->event);
	text_add(t, ",\"check\":");
	text_json(t, r->check);
	text_add(t, ",\"rule\":");
	text_json(t, r->rule);
	text_add(t, ",\"fields\":[");
	for (unsigned n = 0; n < r->fields; n++) {
		text_add(t, "%s{\"name\":", n ? "," : "");
		text_json(t, r->field[n].name);
		text_add(t, ",\"value\":\"0x%" PRIx64 "\",\"decoded\":", r->field[n].value);
		text_json(t, r->field[n].decoded);
		text_add(t, "}");
	}
	text_add(t, "],\"also\":");
	text_json(t, r->also);
	text_add(t,
	         ",\"cpu\":%u,\"insn\":%" PRIu64 ",\"rip\":\"0x%" PRIx64 "\",\"count\":%" PRIu64 ",\"manual\":", r->cpu,
	         insn_number(c), r->rip, count);
	text_json(t, r->manual);
	text_add(t, "}");
}

void explain_refusal(struct inspect *i, struct cpu *c, const struct refusal *r)
{
	struct refusal_seen *s = seen(i, r);
	u64 count = s ? ++s->count : 1;
	struct text text = {0}, line = {0}, object = {0};

	block(i, c, r, &text);
	one_line(i, c, r, &line);
	json(c, r, count, &object);
	if (s && count == 1) {
		s->told = 1;
		inspect_place(i, c, linear_rip(c, r->rip), s->place, sizeof(s->place));
	}
	if (i->o.trace & TRACE_VM)
		trace_note(i, text_str(&line));
	inspect_put(i, &(struct inspect_event){.kind = INSPECT_REFUSED,
	                                       .cpu = c,
	                                       .id = r->check,
	                                       .text = text_str(&text),
	                                       .line = text_str(&line),
	                                       .json = text_str(&object),
	                                       .insn = insn_number(c),
	                                       .rip = r->rip,
	                                       .guest = r->guest,
	                                       .code = r->code,
	                                       .info = {r->info[0], r->info[1]},
	                                       .count = count});
	text_free(&text);
	text_free(&line);
	text_free(&object);
}

void explain_repeats(struct inspect *i)
{
	for (struct refusal_seen *s = i->refusals; s; s = s->next) {
		struct text t = {0};

		if (s->count == s->told)
			continue;
		text_add(&t, "%s: refused %s more time%s at %s%srip 0x%" PRIx64, s->check, commas(s->count - s->told).s,
		         s->count - s->told == 1 ? "" : "s", s->place, s->place[0] ? ", " : "", s->rip);
		s->told = s->count;
		inspect_put(i, &(struct inspect_event){.kind = INSPECT_NOTE,
		                                       .id = s->check,
		                                       .text = text_str(&t),
		                                       .line = text_str(&t),
		                                       .json = "",
		                                       .rip = s->rip,
		                                       .guest = UINT64_MAX,
		                                       .count = s->count});
		text_free(&t);
	}
}

void explain_free(struct inspect *i)
{
	while (i->refusals) {
		struct refusal_seen *s = i->refusals;
		i->refusals = s->next;
		base_free(s);
	}
}
