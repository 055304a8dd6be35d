/* What is said of a stale translation. */
#include "arch/names.h"
#include "sanitize/parts.h"
#include "sanitize/stale_priv.h"

#include <stdio.h>

struct text {
	char s[224];
};

/* 1,234,567 */
static struct text commas(u64 n)
{
	struct text t, digits;
	int len = snprintf(digits.s, sizeof(digits.s), "%llu", (unsigned long long)n), at = 0;

	for (int k = 0; k < len; k++) {
		if (k && (len - k) % 3 == 0)
			t.s[at++] = ',';
		t.s[at++] = digits.s[k];
	}
	t.s[at] = 0;
	return t;
}

static void add_rights(struct words *w, u8 tables, u8 rights)
{
	words_add(w, "%c%c%c%s", rights & ACC_READ ? 'R' : '-', rights & ACC_WRITE ? 'W' : '-',
	          rights & ACC_EXEC ? 'X' : '-', tables != WATCH_EPT && !(rights & WATCH_USER) ? " supervisor" : "");
}

static void add_entry(struct words *w, const struct shadow_domain *d, const struct shadow_entry *e)
{
	if (!e->present) {
		words_add(w, "not present");
		return;
	}
	add_rights(w, d->tables, e->rights);
	words_add(w, ", %s 0x%llx%s", e->maps ? "page" : "table", (unsigned long long)e->to,
	          e->dirty || !d->keeps_ad ? "" : ", clean");
}

/* Only what changed. */
static void add_change(struct words *w, const struct shadow_domain *d, const struct shadow_change *ch)
{
	const struct shadow_entry was = shadow_entry(&d->mode, d->tables, ch->was, ch->level);
	const struct shadow_entry now = shadow_entry(&d->mode, d->tables, ch->now, ch->level);
	bool same = now.present && was.to == now.to && was.maps == now.maps;

	if (same && was.rights == now.rights && was.type != now.type) {
		words_add(w, "memory type bits 0x%x, were 0x%x", now.type, was.type);
	} else if (same && was.rights != now.rights) {
		add_rights(w, d->tables, now.rights);
		words_add(w, ", was ");
		add_rights(w, d->tables, was.rights);
	} else {
		add_entry(w, d, &now);
		words_add(w, "; was ");
		add_entry(w, d, &was);
	}
}

static const char *access_text(const struct stale_use *u)
{
	if (u->table)
		return "guest page-table access";
	if (u->access & (ACC_EXEC | WATCH_EXEC_USER))
		return "guest instruction fetch";
	return u->access & ACC_WRITE ? "guest write" : "guest read";
}

static void tell_use(struct refusal *r, const struct cpu *c, const struct shadow_domain *d, const struct stale_use *u,
                     const struct shadow_place *old)
{
	struct origin here = sanitize_here(c, ORIGIN_STORE);
	struct text linear = {.s = ""}, rights;
	struct words w = {rights.s, sizeof(rights.s), 0};

	if (u->has_linear)
		snprintf(linear.s, sizeof(linear.s), " (linear 0x%llx)", (unsigned long long)u->linear);
	add_rights(&w, d->tables, old->rights);
	sanitize_line(r, "use", NULL, "%s to GPA 0x%llx%s, cached %s, cpu %u, guest rip 0x%llx, insn %s", access_text(u),
	              (unsigned long long)u->addr, linear.s,
	              rights.s, c->index, (unsigned long long)here.rip, commas(here.insn).s);
}

/* The processors that have used these tables, and what each has flushed since. */
static void tell_flushes(struct refusal *r, const struct shadows *s, const struct shadow_domain *d, u64 since)
{
	struct text t;
	size_t at = 0;

	t.s[0] = 0;
	for (unsigned n = 0; n < s->count; n++) {
		const struct shadow_domain *o = s->cpu[n].domains;

		while (o && (o->tables != d->tables || o->root != d->root || (n == d->cpu && o != d)))
			o = o->next;
		if (!o || at >= sizeof(t.s))
			continue;
		if (o->flush.at > since)
			at += (size_t)snprintf(t.s + at, sizeof(t.s) - at, "%scpu %u %s, insn %s", at ? "; " : "", n,
			                       o->flush.name, commas(o->flush.insn).s);
		else
			at += (size_t)snprintf(t.s + at, sizeof(t.s) - at, "%scpu %u none", at ? "; " : "", n);
	}
	sanitize_line(r, "flush", NULL, "%s", t.s);
}

static struct text fix_text(const struct cpu *c, const struct shadow_domain *d)
{
	struct text t;

	if (d->tables == WATCH_EPT)
		snprintf(t.s, sizeof(t.s), "INVEPT type 1, EPTP 0x%llx, on cpu %u", (unsigned long long)c->stage2_root,
		         c->index);
	else
		snprintf(t.s, sizeof(t.s), "TLB_CONTROL 3 at the next VMRUN with ASID %u on cpu %u, or another ASID", d->asid,
		         c->index);
	return t;
}

static void tell_entry(struct refusal *r, const struct shadow_domain *d, const struct shadow_change *ch, struct text *name)
{
	static const char *const prefix[] = {[WATCH_EPT] = "", [WATCH_NPT] = "nested "};
	const struct walk_format *f = d->mode.rules.format;
	struct check_field *field = &r->field[r->fields++];

	if (ch->level > f->levels) {
		snprintf(name->s, sizeof(name->s), "N_CR3");
		field->value = ch->now;
		snprintf(field->decoded, sizeof(field->decoded), "was 0x%llx at the last VMRUN with ASID %u",
		         (unsigned long long)ch->was, d->asid);
	} else {
		snprintf(name->s, sizeof(name->s), "%s%s at 0x%llx", prefix[d->tables], f->level[f->levels - ch->level].name,
		         (unsigned long long)ch->pa);
		field->value = ch->now;
		add_change(&(struct words){field->decoded, sizeof(field->decoded), 0}, d, ch);
	}
	field->name = name->s;
	field->set = ch->set;
}

void stale_tell(struct shadows *s, struct cpu *c, const struct shadow_domain *d, const struct shadow_change *ch,
                const struct stale_use *u, const struct shadow_place *old)
{
	static const struct {
		enum watch_kind kind;
		const char *event;
	} row[] = {
	        [WATCH_EPT] = {WATCH_EPT_STALE, "stale EPT translation used (silicon may fault here, or not)"},
	        [WATCH_NPT] = {WATCH_NPT_STALE, "stale nested translation used (silicon may fault here, or not)"},
	};
	const struct shadow_rule *rule = shadow_rule(d, ch->was, ch->now, ch->level);
	struct text name, fix = fix_text(c, d);
	struct refusal r = {.event = row[d->tables].event,
	                    .rule = rule ? rule->rule : NULL,
	                    .manual = rule ? rule->manual : NULL,
	                    .fix = fix.s,
	                    .guest = c->virt->block_at(c)};

	tell_use(&r, c, d, u, old);
	tell_entry(&r, d, ch, &name);
	if (ch->by == BY_DEVICE)
		sanitize_line(&r, "note", NULL, "set by DMA of device %02x:%02x.%x", ch->id >> 8, ch->id >> 3 & 31, ch->id & 7);
	tell_flushes(&r, s, d, ch->at);
	sanitize_found(c, row[d->tables].kind, &r);
}
