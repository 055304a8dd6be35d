/*
 * --trace: one line per event. The file's suffix chooses the form: text, JSON lines, or Chrome trace events, where each
 * stay in a guest, and what the monitor did with each exit, is a slice on its processor's track. The clock is virtual
 * time.
 */
#include "base/os.h"
#include "cpu/decode/decode.h"
#include "cpu/control/msr.h"
#include "inspect/parts.h"

#include <errno.h>
#include <inttypes.h>

/* When and where an event is. */
struct moment {
	const char *kind;
	const struct cpu *c; /* NULL: no processor in particular */
	u64 rip;
};

/* ---- the file ---- */

static bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), k = strlen(suffix);

	return n >= k && !strcmp(s + n - k, suffix);
}

static void emit(struct inspect *i, const struct text *t)
{
	struct trace *tr = &i->trace;

	if (tr->f) {
		if (!tr->failed && fwrite(text_str(t), 1, t->n, tr->f) != t->n)
			tr->failed = errno;
		return;
	}
	inspect_put(i, &(struct inspect_event){.kind = INSPECT_TRACE,
	                                       .id = "trace",
	                                       .text = text_str(t),
	                                       .line = text_str(t),
	                                       .json = "",
	                                       .guest = UINT64_MAX});
}

/* Names for the tracks. */
static void chrome_head(struct inspect *i)
{
	struct text *t = &i->trace.line;

	text_reset(t);
	text_add(t,
	         "[{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":\"turnstile, virtual time\"}}");
	for (unsigned k = 0; k < i->m->count; k++)
		text_add(t,
		         ",\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":%u,\"args\":{\"name\":\"cpu "
		         "%u\"}}",
		         k, k);
	emit(i, t);
}

enum status trace_open(struct inspect *i, struct err *err)
{
	struct trace *t = &i->trace;
	const char *path = i->o.trace_file;

	if (!path)
		return ST_OK;
	t->f = fopen(path, "we");
	if (!t->f)
		return err_set(err, ST_ARG, "%s %s: %s", i->o.trace_option, path, strerror(errno));
	setvbuf(t->f, NULL, _IOFBF, 1 << 18);
	t->format = ends_with(path, ".jsonl") ? TRACE_JSONL : ends_with(path, ".json") ? TRACE_CHROME : TRACE_TEXT;
	if (t->format == TRACE_CHROME)
		chrome_head(i);
	return ST_OK;
}

void trace_flush(struct inspect *i)
{
	struct trace *t = &i->trace;

	if (!t->f)
		return;
	if (fflush(t->f) && !t->failed)
		t->failed = errno;
	if (!t->failed || t->told)
		return;
	t->told = true;
	struct text said = {0};
	text_add(&said, "%s %s: the trace could not be written completely: %s", i->o.trace_option, i->o.trace_file,
	         strerror(t->failed));
	inspect_put(i, &(struct inspect_event){.kind = INSPECT_NOTE,
	                                       .id = "lost",
	                                       .text = text_str(&said),
	                                       .line = text_str(&said),
	                                       .json = "",
	                                       .guest = UINT64_MAX});
	text_free(&said);
}

/* ---- one event in each form ---- */

static void chrome_common(struct text *t, const char *name, const char *kind, char phase, u64 ns, unsigned cpu)
{
	text_add(t, ",\n{\"name\":");
	text_json(t, name);
	text_add(t, ",\"cat\":\"%s\",\"ph\":\"%c\",%s\"ts\":%" PRIu64 ".%03u,\"pid\":1,\"tid\":%u", kind, phase,
	         phase == 'i' ? "\"s\":\"t\"," : "", ns / 1000, (unsigned)(ns % 1000), cpu);
}

/* args: members of a JSON object, "" for none. */
static void write_event(struct inspect *i, const struct moment *w, const char *text, const char *args)
{
	struct text *t = &i->trace.line;
	unsigned cpu = w->c ? w->c->index : 0;
	u64 insn = w->c ? insn_number(w->c) : machine_insns(i->m), ns = w->c ? time_now(w->c) : i->m->clock.now;

	text_reset(t);
	if (i->trace.format == TRACE_CHROME) {
		chrome_common(t, text, w->kind, 'i', ns, cpu);
		text_add(t, ",\"args\":{\"insn\":%" PRIu64 ",\"rip\":\"0x%" PRIx64 "\"%s%s}}", insn, w->rip,
		         *args ? "," : "", args);
	} else if (i->trace.format == TRACE_JSONL) {
		text_add(t,
		         "{\"kind\":\"%s\",\"cpu\":%u,\"insn\":%" PRIu64 ",\"time\":%" PRIu64 ",\"rip\":\"0x%" PRIx64
		         "\",\"text\":",
		         w->kind, cpu, insn, ns, w->rip);
		text_json(t, text);
		text_add(t, "%s%s}\n", *args ? "," : "", args);
	} else {
		text_add(t, "%-4s cpu %u insn %s rip 0x%" PRIx64 ": %s\n", w->kind, cpu, commas(insn).s, w->rip, text);
	}
	emit(i, t);
}

/* ---- the kinds ---- */

void trace_insn(struct inspect *i, struct cpu *c, const struct insn *in)
{
	u8 code[15];
	u64 rip = insn_rip(c, in);
	size_t n = evidence_bytes(c, linear_rip(c, rip), code, in->len ? min_u64(in->len, sizeof(code)) : sizeof(code));
	struct text *bytes = &i->trace.bytes;
	char dis[128], text[192];

	text_reset(bytes);
	for (size_t k = 0; k < n; k++)
		text_add(bytes, "%02x", code[k]);
	disassemble(c, rip, code, n, dis, sizeof(dis));
	if (!dis[0])
		snprintf(dis, sizeof(dis), "(bad)");
	const struct moment w = {"insn", c, rip};
	if (i->trace.format == TRACE_TEXT) {
		snprintf(text, sizeof(text), "%-20s %s%s", text_str(bytes), c->guest ? "guest " : "", dis);
		write_event(i, &w, text, "");
		return;
	}
	snprintf(text, sizeof(text), "\"bytes\":\"%s\",\"guest\":%s", text_str(bytes), c->guest ? "true" : "false");
	write_event(i, &w, dis, text);
}

void trace_event(struct inspect *i, struct cpu *c, const struct event *e)
{
	struct text t = {0};
	char args[96];

	evidence_event(c, e, NULL, &t);
	if (c->guest)
		text_add(&t, ", in a guest");
	snprintf(args, sizeof(args), "\"vector\":%u,\"type\":%u,\"error\":%u", e->vector, e->type, e->error);
	write_event(i, &(struct moment){"int", c, rip_now(c)}, text_str(&t), args);
	text_free(&t);
}

void trace_smm(struct inspect *i, struct cpu *c, bool entered)
{
	char text[64], args[64];

	snprintf(text, sizeof(text), "%s, SMBASE 0x%" PRIx64, entered ? "SMM entered" : "RSM", c->smbase);
	snprintf(args, sizeof(args), "\"smm\":%s,\"smbase\":\"0x%" PRIx64 "\"", entered ? "true" : "false", c->smbase);
	write_event(i, &(struct moment){"int", c, rip_now(c)}, text, args);
}

/* Whose access it is: processors take turns, and the turn already points to the next one. */
static struct cpu *running(struct machine *m)
{
	return m->cpus[(m->turn + m->count - 1) % m->count];
}

/* Devices in the order in which the bus asks them. The local APIC is not on the bus. */
static const char *device_at(const struct machine *m, bool mmio, u64 addr)
{
	const struct bus_range *r = mmio ? m->bus.mmio : m->bus.port_map[addr & 0xffff];

	while (mmio && r && addr - r->base >= r->size)
		r = r->next;
	if (r)
		return r->name;
	return mmio && (addr & PAGE_MASK) == (running((struct machine *)(uintptr_t)m)->apic.base & mask(51, 12))
	               ? "local APIC"
	               : "nothing";
}

void trace_io(struct inspect *i, bool mmio, bool write, u64 addr, unsigned size, u64 value)
{
	struct cpu *c = running(i->m);
	const char *device = device_at(i->m, mmio, addr);
	char text[128], args[160];

	snprintf(text, sizeof(text), "%s %u byte%s at 0x%" PRIx64 " (%s) %s %s", write ? "write" : "read", size,
	         size == 1 ? "" : "s", addr, device, write ? "=" : "gives", hex(value, size).s);
	snprintf(args, sizeof(args),
	         "\"write\":%s,\"address\":\"0x%" PRIx64 "\",\"size\":%u,\"value\":\"0x%" PRIx64 "\",\"device\":\"%s\"",
	         write ? "true" : "false", addr, size, value, device);
	write_event(i, &(struct moment){mmio ? "mmio" : "io", c, rip_now(c)}, text, args);
}

void trace_msr(struct inspect *i, struct cpu *c, bool write, u32 index, u64 value, bool ok)
{
	const struct msr_row *row = msr_find(c, index);
	char text[128], args[128], name[MSR_NAME_MAX] = "";

	if (row)
		msr_name(row, index, name);
	snprintf(text, sizeof(text), "%s 0x%x%s%s %s %s", write ? "WRMSR" : "RDMSR", index, *name ? " " : "", name,
	         ok      ? write ? "=" : "gives"
	         : write ? "= (#GP)"
	                 : "gives #GP",
	         ok || write ? hex(value, 8).s : "");
	snprintf(args, sizeof(args), "\"write\":%s,\"msr\":\"0x%x\",\"value\":\"0x%" PRIx64 "\",\"ok\":%s",
	         write ? "true" : "false", index, value, ok ? "true" : "false");
	write_event(i, &(struct moment){"msr", c, rip_now(c)}, text, args);
}

static const char *block_name(const struct cpu *c)
{
	return c->virt->block;
}

/* What this processor has been doing since *l: a guest, or the monitor with an exit. */
static void chrome_slice(struct inspect *i, const struct cpu *c, const char *args)
{
	const struct trace_lap *l = &i->trace.lap[c->index];
	struct text *t = &i->trace.line;
	u64 now = time_now(c), ns = now - l->since;

	if (!l->name)
		return;
	text_reset(t);
	chrome_common(t, l->name, "vm", 'X', l->since, c->index);
	text_add(t, ",\"dur\":%" PRIu64 ".%03u,\"args\":{\"insns\":%" PRIu64 "%s%s}}", ns / 1000, (unsigned)(ns % 1000),
	         insn_number(c) - l->insn, *args ? "," : "", args);
	emit(i, t);
}

static void next_lap(struct inspect *i, const struct cpu *c, const char *name)
{
	i->trace.lap[c->index] = (struct trace_lap){.name = name, .since = time_now(c), .insn = insn_number(c)};
}

void trace_entry(struct inspect *i, struct cpu *c)
{
	u64 rip = c->r[REG_RIP]; /* the guest's already */
	char text[128], args[96];

	if (i->trace.format == TRACE_CHROME) {
		chrome_slice(i, c, "");
		next_lap(i, c, "guest");
		return;
	}
	snprintf(args, sizeof(args), "\"entry\":true,\"block\":\"0x%" PRIx64 "\"", guest_block(c));
	snprintf(text, sizeof(text), "entry, %s %s", block_name(c), hex(guest_block(c), 0).s);
	write_event(i, &(struct moment){"vm", c, rip}, text, args);
}

void trace_exit(struct inspect *i, struct cpu *c, const struct exit_record *x)
{
	char text[192], args[256];

	snprintf(args, sizeof(args),
	         "\"exit\":\"%s\",\"code\":\"0x%" PRIx64 "\",\"info\":[\"0x%" PRIx64 "\",\"0x%" PRIx64
	         "\"],\"block\":\"0x%" PRIx64 "\"",
	         x->name, x->code, x->info[0], x->info[1], x->guest);
	if (i->trace.format == TRACE_CHROME) {
		chrome_slice(i, c, args);
		next_lap(i, c, x->name);
		return;
	}
	snprintf(text, sizeof(text), "exit %s (0x%" PRIx64 "), information %s and %s, %s %s", x->name, x->code,
	         hex(x->info[0], 0).s, hex(x->info[1], 0).s, block_name(c), hex(x->guest, 0).s);
	write_event(i, &(struct moment){"vm", c, x->rip}, text, args);
}

void trace_note(struct inspect *i, const char *text)
{
	write_event(i, &(struct moment){"note", NULL, 0}, text, "");
}

void trace_close(struct inspect *i)
{
	struct trace *t = &i->trace;

	for (unsigned k = 0; t->f && t->format == TRACE_CHROME && k < i->m->count; k++)
		if (i->m->cpus[k]->guest)
			chrome_slice(i, i->m->cpus[k], "\"exit\":\"the run ended\"");
	if (t->f) {
		if (t->format == TRACE_CHROME)
			fputs("]\n", t->f);
		trace_flush(i);
		fclose(t->f);
	}
	text_free(&t->line);
	text_free(&t->bytes);
	t->f = NULL;
}
