/* Why something was refused: a block of words from what the vendor's check runner tells, once per check and place. */
#include "inspect/parts.h"

#include <inttypes.h>

/* The row for this check at this instruction; of tables, anywhere: who wrote them is not the instruction that came there, and
 * monitors make many such entries. NULL: out of memory. */
static struct refusal_seen *seen(struct inspect *i, const struct refusal *r)
{
	struct refusal_seen *s = i->refusals;
	u64 key = r->kind == REFUSAL_PAGING ? 0 : r->rip;

	while (s && (s->key != key || strcmp(s->check, r->check)))
		s = s->next;
	if (s)
		return s;
	s = base_alloc(sizeof(*s));
	if (!s)
		return NULL;
	s->check = r->check;
	s->key = key;
	s->rip = r->rip;
	s->kind = r->kind;
	s->next = i->refusals;
	i->refusals = s;
	return s;
}

/* "VMWRITE at vmcs_host_init+0x5e vmcs.c:118, insn 41,207,733" */
void explain_origin(struct inspect *i, struct cpu *c, const struct origin *o, struct text *t)
{
	static const char *const verb[] = {
	        [ORIGIN_NEVER] = "never written since VMCLEAR",
	        [ORIGIN_VMWRITE] = "VMWRITE",
	        [ORIGIN_STORE] = "store",
	        [ORIGIN_EXIT] = "saved by VM exit",
	        [ORIGIN_EARLY] = "stored before the first VMRUN of this page",
	};
	const bool since = o->kind == ORIGIN_STORE && !o->placed && o->n; /* who is not known, but when */
	char name[PLACE_SIZE];

	text_add(t, "%s", since ? "stored since VM exit" : o->kind == ORIGIN_STORE && o->name ? o->name : verb[o->kind]);
	if (o->kind == ORIGIN_STORE && o->code && !since)
		text_add(t, " (%02x:%02x.%x)", (unsigned)(o->code >> 8 & 0xff), (unsigned)(o->code >> 3 & 31),
		         (unsigned)(o->code & 7));
	if (since || o->kind == ORIGIN_EXIT)
		text_add(t, " %s (%s%s%s)", commas(o->n).s, hex(o->code, 0).s, o->name ? ", " : "", o->name ? o->name : "");
	if (!o->placed && !(o->kind == ORIGIN_STORE && o->insn))
		return;
	if (o->placed && o->kind != ORIGIN_EXIT) {
		inspect_monitor_place(i, c, o->rip, name, sizeof(name));
		text_add(t, " at %s%srip 0x%" PRIx64 ", cpu %u", name, name[0] ? ", " : "", o->rip, o->cpu);
	}
	text_add(t, ", insn %s", commas(o->insn).s);
}

static void add_fields(struct inspect *i, struct cpu *c, const struct refusal *r, struct text *t)
{
	for (unsigned n = 0; n < r->fields; n++) {
		const struct check_field *f = &r->field[n];
		struct text set = {0};

		text_label(t, "field", "%s = %s%s%s", f->name, hex(f->value, f->width).s, f->decoded[0] ? ": " : "",
		           f->decoded);
		if (f->set.kind == ORIGIN_UNKNOWN)
			continue;
		explain_origin(i, c, &f->set, &set);
		text_label(t, "set", "%s", text_str(&set));
		text_free(&set);
	}
}

/* Those that say what was used when it was found wrong stand before the fields, all others behind them. */
static void add_lines(struct inspect *i, struct cpu *c, const struct refusal *r, bool use, struct text *t)
{
	for (unsigned n = 0; n < r->lines; n++) {
		const struct refusal_line *l = &r->line[n];
		struct text value = {0};

		if (!strcmp(l->label, "use") != use)
			continue;
		text_add(&value, "%s", l->text);
		if (l->who.kind != ORIGIN_UNKNOWN) {
			text_add(&value, "%s", l->text[0] ? ": " : "");
			explain_origin(i, c, &l->who, &value);
		}
		text_label(t, l->label, "%s", text_str(&value));
		text_free(&value);
	}
}

/* A screenful of them. */
static void add_changes(struct inspect *i, struct cpu *c, const struct changes *ch, struct text *t)
{
	enum { SCREENFUL = 20 };

	for (size_t n = 0; n < ch->told && n < SCREENFUL; n++) {
		const struct check_change *k = &ch->at[n];
		struct text set = {0};

		if (k->set.kind != ORIGIN_UNKNOWN) {
			text_add(&set, ", ");
			explain_origin(i, c, &k->set, &set);
		}
		text_label(t, "note", "changed: %s %s -> %s%s", k->name, hex(k->was, k->width).s,
		           hex(k->now, k->width).s, text_str(&set));
		text_free(&set);
	}
	if (ch->all > SCREENFUL)
		text_label(t, "note", "changed: and %zu more", ch->all - SCREENFUL);
}

static void block(struct inspect *i, struct cpu *c, const struct refusal *r, const struct changes *ch, struct text *t)
{
	char name[PLACE_SIZE];

	text_add(t, "%s\n", r->event);
	text_label(t, "check", "%s", r->check);
	text_label(t, "rule", "%s", r->rule);
	add_lines(i, c, r, true, t);
	add_fields(i, c, r, t);
	add_lines(i, c, r, false, t);
	if (r->also[0])
		text_label(t, "also", "%s", r->also);
	add_changes(i, c, ch, t);
	inspect_place(i, c, linear_rip(c, r->rip), name, sizeof(name));
	text_label(t, "at", "%s%srip 0x%" PRIx64 ", cpu %u, insn %s", name, name[0] ? ", " : "", r->rip, r->cpu,
	           commas(insn_number(c)).s);
	if (r->then)
		text_label(t, "then", "%s", r->then);
	if (r->fix)
		text_label(t, "fix", "%s", r->fix);
	text_label(t, "manual", "%s", r->manual);
}

/* The place by name, or its address. */
static void add_place(struct inspect *i, struct cpu *c, la_t la, struct text *t)
{
	char name[PLACE_SIZE];

	inspect_place(i, c, la, name, sizeof(name));
	if (name[0])
		text_add(t, "%s", name);
	else
		text_add(t, "rip 0x%" PRIx64, la);
}

/* "VMLAUNCH refused: VMfailValid, error 8: VM entry with..." is "VMLAUNCH refused, error 8" in one line, "VMXON refused:
 * #GP(0)" is "VMXON refused, #GP": the check, the
 * culprit with its value, the rule, who set it, and where it was refused. */
/* What failed, without where. */
static void in_short(struct cpu *c, const struct refusal *r, struct text *t)
{
	const char *error = strstr(r->event, "error "), *fault = strstr(r->event, ": #");

	text_add(t, "%.*s", (int)strcspn(r->event, ":"), r->event);
	if (error && error > strchr(r->event, ':'))
		text_add(t, ", error %.*s", (int)strspn(error + 6, "0123456789"), error + 6);
	else if (fault && r->kind == REFUSAL_INSN)
		text_add(t, ", %.*s", (int)strcspn(fault + 2, " ,:("), fault + 2);
	text_add(t, ": %s", r->check);
	if (r->fields)
		text_add(t, ", %s %s", r->field[0].name, hex(r->field[0].value, r->field[0].width).s);
	if (r->fields && r->field[0].decoded[0])
		text_add(t, ": %s", r->field[0].decoded);
	if (r->kind == REFUSAL_SHUTDOWN) {
		text_add(t, ", ");
		evidence_cause(c, t);
	}
	text_add(t, " (%s)", r->rule);
}

static void one_line(struct inspect *i, struct cpu *c, const struct refusal *r, struct text *t)
{
	const struct origin *set = r->fields ? &r->field[0].set : NULL;

	in_short(c, r, t);
	if (set && set->placed && set->kind != ORIGIN_EXIT) {
		text_add(t, ", set at ");
		add_place(i, c, set->rip, t);
	}
	text_add(t, ", at ");
	add_place(i, c, linear_rip(c, r->rip), t);
}

/* ---- telling ---- */

/* What changed since the last entry: asked of the vendor only where an entry failed. */
static struct changes changes_of(const struct cpu *c, const struct refusal *r)
{
	enum { ROOM = 512 };
	struct changes ch = {0};

	if (r->kind == REFUSAL_ENTRY && c->virt->changed != virt_no_changes)
		ch.at = base_alloc(ROOM * sizeof(*ch.at));
	if (ch.at) {
		ch.all = c->virt->changed(c, ch.at, ROOM);
		ch.told = min_u64(ch.all, ROOM);
	}
	return ch;
}

enum status explain_open(struct inspect *i, struct err *err)
{
	const char *path = i->o.explain_file, *dot = path ? strrchr(path, '.') : NULL;

	if (!path)
		return ST_OK;
	i->explain_objects = dot && !strcmp(dot, ".jsonl");
	return sink_open(&i->explain, i->o.explain_option, path, "the explanations", err);
}

void explain_keep(struct inspect *i, u64 count, const struct text *block, const struct text *object)
{
	const struct text *t = i->explain_objects ? object : count == 1 ? block : NULL;

	if (!t)
		return;
	sink_put(&i->explain, text_str(t), t->n);
	if (i->explain_objects)
		sink_put(&i->explain, "\n", 1);
}

/* RSM that shuts the processor down: no monitor is asked, and the evidence of the death has the check. */
static bool dies_of(const struct cpu *c, const struct refusal *r)
{
	return r->check == c->rsm.check && !c->guest;
}

/* A refusal in all its forms. */
struct told {
	struct text text, line, object;
	struct changes changes;
};

static void tell(struct inspect *i, struct cpu *c, const struct refusal *r, u64 count, struct told *t)
{
	t->changes = changes_of(c, r);
	if (r->kind == REFUSAL_SHUTDOWN)
		evidence_guest(i, c, r, &t->text);
	else
		block(i, c, r, &t->changes, &t->text);
	one_line(i, c, r, &t->line);
	explain_json(i, c, r, &t->changes, count, &t->object);
}

/* Of a repetition everything is read by a file of objects and a trace; others have been told where it is. */
static bool in_full(const struct inspect *i, u64 count)
{
	return count == 1 || i->explain_objects || (i->o.trace & TRACE_VM);
}

void explain_refusal(struct inspect *i, struct cpu *c, const struct refusal *r)
{
	struct refusal_seen *s = seen(i, r);
	u64 count = s ? ++s->count : 1;
	struct told t = {0};

	if (in_full(i, count)) {
		tell(i, c, r, count, &t);
	} else {
		text_add(&t.text, "%s", r->event);
		in_short(c, r, &t.line);
	}
	if (s && count == 1) {
		s->told = 1;
		inspect_place(i, c, linear_rip(c, r->rip), s->place, sizeof(s->place));
	}
	if (i->o.trace & TRACE_VM)
		trace_note(i, text_str(&t.line));
	explain_keep(i, count, &t.text, &t.object);
	inspect_put(i, &(struct inspect_event){.kind = r->kind == REFUSAL_SANITIZE ? INSPECT_SANITIZE : INSPECT_REFUSED,
	                                       .cpu = c,
	                                       .id = r->check,
	                                       .text = text_str(&t.text),
	                                       .line = text_str(&t.line),
	                                       .json = text_str(&t.object),
	                                       .insn = insn_number(c),
	                                       .rip = r->rip,
	                                       .guest = r->guest,
	                                       .code = r->code,
	                                       .info = {r->info[0], r->info[1]},
	                                       .refusal = r->kind,
	                                       .followed = dies_of(c, r),
	                                       .count = count});
	text_free(&t.text);
	text_free(&t.line);
	text_free(&t.object);
	base_free(t.changes.at);
}

void explain_repeats(struct inspect *i)
{
	static const char *const verb[REFUSAL_KINDS] = {
	        [REFUSAL_ENTRY] = "refused", [REFUSAL_INSN] = "refused",  [REFUSAL_ABORT] = "came",
	        [REFUSAL_PAGING] = "came",   [REFUSAL_SHUTDOWN] = "came", [REFUSAL_SANITIZE] = "reported",
	};

	for (struct refusal_seen *s = i->refusals; s; s = s->next) {
		struct text t = {0};

		if (s->count == s->told)
			continue;
		text_add(&t, "%s: %s %s more time%s at %s%srip 0x%" PRIx64, s->check, verb[s->kind],
		         commas(s->count - s->told).s, s->count - s->told == 1 ? "" : "s", s->place,
		         s->place[0] ? ", " : "", s->rip);
		s->told = s->count;
		if (!i->explain_objects) {
			sink_put(&i->explain, text_str(&t), t.n);
			sink_put(&i->explain, "\n", 1);
		}
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
