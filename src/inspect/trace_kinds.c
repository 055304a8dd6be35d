/* What each kind of event says, as a story: of the monitor and its guests, instructions, events, accesses, fields. */
#include "cpu/control/msr.h"
#include "cpu/decode/decode.h"
#include "inspect/parts.h"

#include <inttypes.h>

static void what(struct inspect *i, const char *fmt, ...) printf_like(2, 3);
static void what(struct inspect *i, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_add_args(&i->trace.what, fmt, ap);
	va_end(ap);
}

/* Members of a JSON object, each with a comma in front. */
static void args(struct inspect *i, const char *fmt, ...) printf_like(2, 3);
static void args(struct inspect *i, const char *fmt, ...)
{
	va_list ap;

	if (i->trace.format == TRACE_TEXT)
		return;
	va_start(ap, fmt);
	text_add_args(&i->trace.args, fmt, ap);
	va_end(ap);
}

static void arg_string(struct inspect *i, const char *key, const char *value)
{
	args(i, ",\"%s\":", key);
	if (i->trace.format != TRACE_TEXT)
		text_json(&i->trace.args, value);
}

static bool wants(struct inspect *i, const struct cpu *c, u64 rip)
{
	return trace_wants(i, c, linear_rip(c, rip), c->guest);
}

/* ---- instructions ---- */

void trace_insn(struct inspect *i, struct cpu *c, const struct insn *in)
{
	u8 code[15];
	const u64 rip = insn_rip(c, in);
	struct text *bytes = &i->trace.bytes;
	char dis[128];

	if (!wants(i, c, rip))
		return;
	size_t n = evidence_bytes(c, linear_rip(c, rip), code, in->len ? min_u64(in->len, sizeof(code)) : sizeof(code));
	struct moment w = trace_moment(i, c, "insn", "insn", rip);
	text_reset(bytes);
	for (size_t k = 0; k < n; k++)
		text_add(bytes, "%02x", code[k]);
	disassemble(c, rip, code, n, dis, sizeof(dis));
	if (!dis[0])
		snprintf(dis, sizeof(dis), "(bad)");
	if (i->trace.format == TRACE_TEXT)
		what(i, "%-20s %s", text_str(bytes), dis);
	else
		what(i, "%s", dis);
	args(i, ",\"bytes\":\"%s\"", text_str(bytes));
	dis[strcspn(dis, " ")] = 0;
	w.name = dis;
	trace_line(i, &w);
}

/* ---- exceptions, interrupts, SMIs ---- */

/* In a word or two; vectors belong to it, for they tell who it is. */
static void event_name(const struct event *e, char *out, size_t len)
{
	switch (e->type) {
	case EV_HW: snprintf(out, len, "%s", arch_exceptions[e->vector & 31].name); break;
	case EV_EXT: snprintf(out, len, "interrupt 0x%02x", e->vector); break;
	case EV_NMI: snprintf(out, len, "NMI"); break;
	case EV_SW: snprintf(out, len, "INT 0x%02x", e->vector); break;
	case EV_SWEX: snprintf(out, len, "%s", e->vector == EX_BP ? "INT3" : "INTO"); break;
	case EV_PRIVSW: snprintf(out, len, "INT1"); break;
	default: snprintf(out, len, "event"); break;
	}
}

static void arg_event(struct inspect *i, const struct event *e)
{
	args(i, ",\"vector\":%u,\"type\":%u", e->vector, e->type);
	if (e->has_error)
		args(i, ",\"error\":\"0x%x\"", e->error);
	if (e->type == EV_HW && e->vector == EX_PF)
		args(i, ",\"address\":\"0x%" PRIx64 "\"", e->payload);
}

static struct trace_nest *nest_of(struct inspect *i, const struct cpu *c)
{
	return &i->trace.cpu[c->index].nest[c->guest];
}

/* A handler begins. From user mode none is under way: those that did not return never will. */
static void begin_handler(struct inspect *i, const struct moment *w, const char *name, bool smm, bool shown)
{
	const struct cpu *c = w->c;
	struct trace_nest *n = nest_of(i, c);

	if (n->depth == ARRAY_LEN(n->at) || (c->cpl == 3 && !smm))
		chrome_end_events(i, w, c->guest);
	struct trace_handler *h = &n->at[n->depth++];
	*h = (struct trace_handler){.rsp = c->r[REG_RSP],
	                            .cr3 = c->cr3,
	                            .cpl = c->cpl,
	                            .smm = smm,
	                            .insn = w->insn,
	                            .begun = shown && i->trace.format == TRACE_CHROME};
	snprintf(h->name, sizeof(h->name), "%s", name);
}

/* Those above the one that returns have been left in another way: a task was switched, or the stack thrown away. */
static const struct trace_handler *end_handler(struct inspect *i, const struct moment *w, bool smm)
{
	const struct cpu *c = w->c;
	struct trace_nest *n = nest_of(i, c);
	unsigned at = n->depth;

	while (at && (smm ? !n->at[at - 1].smm
	                  : n->at[at - 1].smm || n->at[at - 1].rsp != c->r[REG_RSP] || n->at[at - 1].cr3 != c->cr3 ||
	                            n->at[at - 1].cpl != c->cpl))
		at--;
	if (!at)
		return NULL;
	while (n->depth >= at) {
		const struct trace_handler *h = &n->at[--n->depth];
		if (h->begun)
			chrome_event_ends(i, w, h, n->depth + 1 == at);
	}
	return &n->at[at - 1];
}

static void say_event(struct inspect *i, struct moment *w, bool shown)
{
	char place[128];

	if (!shown)
		return;
	if (i->trace.format != TRACE_CHROME) {
		trace_line(i, w);
		return;
	}
	inspect_place(i, i->m->cpus[w->c->index], linear_rip(w->c, w->rip), place, sizeof(place));
	chrome_event(i, w, place);
}

void trace_event(struct inspect *i, struct cpu *c, const struct event *e)
{
	const u64 rip = c->r[REG_RIP];
	const bool shown = wants(i, c, rip);
	struct moment w = trace_moment(i, c, "int", "event", rip);
	bool *injected = &i->trace.cpu[c->index].injected;
	char name[32];

	event_name(e, name, sizeof(name));
	evidence_event(c, e, NULL, &i->trace.what);
	if (*injected && c->guest)
		what(i, ", injected");
	arg_event(i, e);
	args(i, ",\"injected\":%s", *injected && c->guest ? "true" : "false");
	*injected = false;
	w.name = name;
	begin_handler(i, &w, name, false, shown);
	say_event(i, &w, shown);
}

void trace_returned(struct inspect *i, struct cpu *c)
{
	const u64 rip = c->r[REG_RIP]; /* where to */
	struct moment w = trace_moment(i, c, "int", "return", rip);
	const struct trace_handler *h = end_handler(i, &w, false);

	if (!h || i->trace.format == TRACE_CHROME || !wants(i, c, rip))
		return;
	what(i, "from %s, after %s instructions", h->name, commas(w.insn - h->insn).s);
	arg_string(i, "returned", h->name);
	args(i, ",\"insns\":%" PRIu64, w.insn - h->insn);
	trace_line(i, &w);
}

void trace_smm(struct inspect *i, struct cpu *c, bool entered)
{
	const u64 rip = rip_now(c);
	const bool shown = wants(i, c, rip);
	struct moment w = trace_moment(i, c, "int", entered ? "SMI" : "RSM", rip);

	w.name = "SMM";
	what(i, "%s, SMBASE 0x%" PRIx64, entered ? "SMM entered" : "RSM", c->smbase);
	args(i, ",\"smm\":%s,\"smbase\":\"0x%" PRIx64 "\"", entered ? "true" : "false", c->smbase);
	if (entered) {
		begin_handler(i, &w, w.name, true, shown);
		say_event(i, &w, shown);
		return;
	}
	end_handler(i, &w, true);
	if (i->trace.format != TRACE_CHROME && shown)
		trace_line(i, &w);
}

/* ---- accesses ---- */

/* Whose access it is: processors take turns, and the turn already points to the next one. */
static struct cpu *running(struct machine *m)
{
	return m->cpus[(m->turn + m->count - 1) % m->count];
}

/* Devices in the order in which the bus asks them. The local APIC is not on the bus. */
static const char *device_at(const struct machine *m, const struct cpu *c, bool mmio, u64 addr)
{
	const struct bus_range *r = mmio ? m->bus.mmio : m->bus.port_map[addr & 0xffff];

	while (mmio && r && addr - r->base >= r->size)
		r = r->next;
	if (r)
		return r->name;
	return mmio && (addr & PAGE_MASK) == (c->apic.base & mask(51, 12)) ? "local APIC" : "nothing";
}

void trace_io(struct inspect *i, bool mmio, bool write, u64 addr, unsigned size, u64 value)
{
	struct cpu *c = running(i->m);
	const char *device = device_at(i->m, c, mmio, addr);
	char name[80];

	if (!wants(i, c, rip_now(c)))
		return;
	struct moment w = trace_moment(i, c, mmio ? "mmio" : "io", mmio ? "mmio" : "io", rip_now(c));
	snprintf(name, sizeof(name), "%s %s", write ? "write" : "read", device);
	w.name = name;
	what(i, "%s %u byte%s at 0x%" PRIx64 " (%s) %s %s", write ? "write" : "read", size, size == 1 ? "" : "s", addr,
	     device, write ? "=" : "gives", hex(value, size).s);
	args(i, ",\"write\":%s,\"address\":\"0x%" PRIx64 "\",\"size\":%u,\"value\":\"0x%" PRIx64 "\"", write ? "true" : "false",
	     addr, size, value);
	arg_string(i, "device", device);
	trace_line(i, &w);
}

void trace_msr(struct inspect *i, struct cpu *c, bool write, u32 index, u64 value, bool ok)
{
	const struct msr_row *row = msr_find(c, index);
	char name[MSR_NAME_MAX] = "";

	if (!wants(i, c, rip_now(c)))
		return;
	struct moment w = trace_moment(i, c, "msr", "msr", rip_now(c));
	if (row)
		msr_name(row, index, name);
	w.name = write ? "WRMSR" : "RDMSR";
	what(i, "%s 0x%x%s%s %s", w.name, index, *name ? " " : "", name, write ? "= " : "gives ");
	if (ok || write)
		what(i, "%s", hex(value, 8).s);
	if (!ok)
		what(i, write ? " (#GP)" : "#GP");
	args(i, ",\"write\":%s,\"msr\":\"0x%x\",\"value\":\"0x%" PRIx64 "\",\"ok\":%s", write ? "true" : "false", index, value,
	     ok ? "true" : "false");
	arg_string(i, "name", name);
	trace_line(i, &w);
}

/* ---- fields of a control block ---- */

void trace_field(struct inspect *i, struct cpu *c, const struct field_access *a)
{
	if (!wants(i, c, rip_now(c)))
		return;
	struct moment w = trace_moment(i, c, a->write ? "vmwrite" : "vmread", a->write ? "write" : "read", rip_now(c));
	w.name = a->write ? "VMWRITE" : "VMREAD";
	what(i, "%s %s %s%s%s", a->name, a->write ? "=" : "gives", hex(a->value, a->width).s, a->decoded[0] ? ": " : "",
	     a->decoded);
	arg_string(i, "field", a->name);
	args(i, ",\"value\":\"0x%" PRIx64 "\"", a->value);
	arg_string(i, "decoded", a->decoded);
	trace_line(i, &w);
}

/* ---- entries and exits ---- */

void trace_entry(struct inspect *i, struct cpu *c)
{
	const u64 rip = c->r[REG_RIP]; /* the guest's already */
	const bool shown = wants(i, c, rip);
	struct trace_cpu *k = &i->trace.cpu[c->index];
	struct moment w = trace_moment(i, c, "vm", "entry", rip);
	const struct event *e = &c->inject;

	k->answering = false;
	k->injected = e->type != EV_NONE;
	what(i, "%s %s", c->virt->block, hex(guest_block(c), 0).s);
	args(i, ",\"entry\":true,\"block\":\"0x%" PRIx64 "\"", guest_block(c));
	if (k->injected) {
		struct text t = {0};
		evidence_event(c, e, NULL, &t);
		what(i, ", injects %s", text_str(&t));
		arg_string(i, "injects", text_str(&t));
		text_free(&t);
	}
	if (k->exits)
		what(i, ", after %s instructions of the monitor", commas(w.insn - k->exit_insn).s);
	k->entry_insn = w.insn;
	if (!(i->o.trace & TRACE_VM))
		return;
	if (i->trace.format == TRACE_CHROME)
		chrome_entry(i, &w, shown);
	else if (shown)
		trace_line(i, &w);
}

static void told_event(struct inspect *i, struct cpu *c, const char *key, const char *before, const struct event *e)
{
	struct text t = {0};

	if (e->type == EV_NONE)
		return;
	evidence_event(c, e, NULL, &t);
	what(i, "%s%s", before, text_str(&t));
	arg_string(i, key, text_str(&t));
	text_free(&t);
}

static void told_exit(struct inspect *i, struct cpu *c, const struct exit_record *x)
{
	struct exit_told told;

	c->virt->exit_told(c, x, &told);
	what(i, "%s (0x%" PRIx64 ")%s%s", x->name, x->code, told.text[0] ? ": " : "", told.text);
	arg_string(i, "exit", x->name);
	args(i, ",\"code\":\"0x%" PRIx64 "\",\"info\":[\"0x%" PRIx64 "\",\"0x%" PRIx64 "\"],\"block\":\"0x%" PRIx64 "\"", x->code,
	     x->info[0], x->info[1], x->guest);
	if (told.text[0])
		arg_string(i, "decoded", told.text);
	told_event(i, c, "event", told.text[0] ? ", " : ": ", &told.event);
	if (told.has_gpa) {
		what(i, ", GPA 0x%" PRIx64, told.gpa);
		args(i, ",\"gpa\":\"0x%" PRIx64 "\"", told.gpa);
	}
	if (told.has_linear) {
		what(i, ", linear 0x%" PRIx64, told.linear);
		args(i, ",\"linear\":\"0x%" PRIx64 "\"", told.linear);
	}
	told_event(i, c, "vectoring", ", delivering ", &told.vectoring);
}

void trace_exit(struct inspect *i, struct cpu *c, const struct exit_record *x)
{
	struct trace_cpu *k = &i->trace.cpu[c->index];

	trace_reason(i, c, x->code);
	struct moment w = trace_moment(i, c, "vm", "exit", x->rip);
	const bool shown = trace_wants(i, c, linear_rip(c, x->rip), true);

	w.guest = guest_number(i, x->guest);
	told_exit(i, c, x);
	if (c->guest)
		what(i, ", after %s instructions", commas(w.insn - k->entry_insn).s);
	k->exits++;
	k->exit_insn = w.insn;
	if (i->trace.format == TRACE_CHROME)
		chrome_exit(i, &w, x->name, shown && (i->o.trace & TRACE_VM));
	else if (shown && (i->o.trace & TRACE_VM))
		trace_line(i, &w);
}

void trace_note(struct inspect *i, const char *text)
{
	struct moment w = trace_moment(i, NULL, "note", "note", 0);

	what(i, "%s", text);
	trace_line(i, &w);
}
