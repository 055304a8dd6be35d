/*
 * What happened last. Every processor keeps its last exits, entries and events (cpu/state/recent.h); --ring N keeps the
 * last N instructions of the machine as well, which makes them run one by one.
 */
#include "cpu/decode/decode.h"
#include "inspect/parts.h"

#include <inttypes.h>

/* ---- what is there at all times ---- */

static const struct exit_record *exit_of(const struct cpu *c, const struct recent *r)
{
	/* the record's own number tells whether it is still there */
	return c->lastexit_n - (u32)r->info <= ARRAY_LEN(c->lastexit) ? &c->lastexit[r->info % ARRAY_LEN(c->lastexit)] : NULL;
}

static struct event event_of(const struct recent *r)
{
	return (struct event){.type = r->type, .vector = r->vector, .has_error = r->has_error, .error = r->error, .payload = r->info};
}

static void say_exit(const struct cpu *c, const struct recent *r, struct text *t)
{
	const struct exit_record *x = exit_of(c, r);
	struct exit_told told;

	if (!x)
		return;
	c->virt->exit_told(NULL, x, &told);
	text_label(t, "exit", "%s (0x%" PRIx64 "), information %s and %s%s%s, guest rip 0x%" PRIx64 ", insn %s", x->name, x->code,
	           hex(x->info[0], 0).s, hex(x->info[1], 0).s, told.text[0] ? ": " : "", told.text, x->rip, commas(r->insn).s);
}

static void say_event(struct cpu *c, const struct recent *r, const char *label, const char *before, struct text *t)
{
	const struct event e = event_of(r);
	struct text v = {0};

	if (e.type != EV_NONE) {
		text_add(&v, "%s", before);
		evidence_event(c, &e, NULL, &v);
	}
	text_label(t, label, "%s%srip 0x%" PRIx64 ", insn %s", text_str(&v), v.n ? ", " : "", r->rip, commas(r->insn).s);
	text_free(&v);
}

void ring_recent(struct cpu *c, struct text *t)
{
	const unsigned n = c->recent_n < RECENT ? c->recent_n : RECENT;

	for (unsigned k = n; k > 0; k--) {
		const struct recent *r = &c->recent[(c->recent_n - k) % RECENT];
		switch (r->kind) {
		case RECENT_EXIT: say_exit(c, r, t); break;
		case RECENT_ENTRY: say_event(c, r, "entry", "injects ", t); break;
		case RECENT_EVENT: say_event(c, r, "event", "", t); break;
		default: break;
		}
	}
}

/* ---- every instruction, on request ---- */

enum status ring_open(struct inspect *i, struct err *err)
{
	if (!i->o.ring)
		return ST_OK;
	i->ring.at = base_alloc(i->o.ring * sizeof(*i->ring.at));
	if (!i->ring.at)
		return err_set(err, ST_NOMEM, "%s: out of memory", i->o.ring_option);
	return ST_OK;
}

void ring_close(struct inspect *i)
{
	base_free(i->ring.at);
	i->ring.at = NULL;
}

void ring_insn(struct inspect *i, struct cpu *c, const struct insn *in)
{
	struct ring_insn *r = &i->ring.at[i->ring.n++ % i->o.ring];
	const u64 rip = insn_rip(c, in);

	r->rip = rip;
	r->insn = insn_number(c);
	r->cpu = (u8)c->index;
	r->guest = (u8)guest_now(i, c);
	r->mode = c->mode;
	r->len = (u8)evidence_bytes(c, linear_rip(c, rip), r->code, in->len && in->len < sizeof(r->code) ? in->len : sizeof(r->code));
}

static void say_insn(struct inspect *i, const struct ring_insn *r, struct text *t)
{
	struct cpu *c = i->m->cpus[r->cpu];
	const u8 mode = c->mode;
	char who[16] = "monitor", dis[128], bytes[32];

	c->mode = r->mode; /* as it was decoded then */
	disassemble(c, r->rip, r->code, r->len, dis, sizeof(dis));
	c->mode = mode;
	if (r->guest)
		snprintf(who, sizeof(who), "guest %u", r->guest);
	for (unsigned n = 0; n < r->len; n++)
		snprintf(bytes + 2 * n, sizeof(bytes) - 2 * n, "%02x", r->code[n]);
	bytes[2 * r->len] = 0;
	text_add(t, "  insn   %13s %3u %-8s 0x%-16" PRIx64 " %-22s %s\n", commas(r->insn).s, r->cpu, who, r->rip, bytes,
	         dis[0] ? dis : "(bad)");
}

void ring_insns(struct inspect *i, struct text *t)
{
	const u64 n = min_u64(i->ring.n, i->o.ring);

	if (n)
		text_add(t, "last %s instructions\n", commas(n).s);
	for (u64 k = n; k > 0; k--)
		say_insn(i, &i->ring.at[(i->ring.n - k) % i->o.ring], t);
}

void inspect_ring(struct inspect *i, FILE *f)
{
	struct text t = {0};

	for (unsigned k = 0; k < i->m->count; k++) {
		text_add(&t, "cpu %u\n", k);
		ring_recent(i->m->cpus[k], &t);
	}
	ring_insns(i, &t);
	fputs(text_str(&t), f);
	text_free(&t);
}
