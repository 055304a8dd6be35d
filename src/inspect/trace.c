/*
 * --trace: where its events go, and the form that each has. The file's suffix chooses: text, JSON lines, or Chrome trace
 * events (trace_chrome.c). What the kinds say is in trace_kinds.c, which of them are wanted in trace_filter.c. The clock is
 * virtual time. Events leave as they come, by way of a buffer of fixed size; with a limit the last of them are kept in
 * memory, and written when the machine ends (trace_kept.c).
 */
#include "inspect/parts.h"

#include <inttypes.h>

static bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), k = strlen(suffix);

	return n >= k && !strcmp(s + n - k, suffix);
}

/* ---- the file ---- */

void trace_write(struct inspect *i, const char *s, size_t n)
{
	sink_put(&i->trace.file, s, n);
}

void trace_emit(struct inspect *i, const struct text *t, enum trace_phase phase, unsigned track)
{
	if (i->trace.kept.room) {
		kept_put(&i->trace.kept, text_str(t), t->n, phase, track);
		return;
	}
	if (i->trace.file.f) {
		trace_write(i, text_str(t), t->n);
		return;
	}
	inspect_put(i, &(struct inspect_event){.kind = INSPECT_TRACE,
	                                       .id = "trace",
	                                       .text = text_str(t),
	                                       .line = text_str(t),
	                                       .json = "",
	                                       .guest = UINT64_MAX});
}

/* Over the columns of write_text(). */
static void text_head(struct inspect *i)
{
	static const char head[] = "      seconds          insn cpu in       event  rip                what\n";

	trace_write(i, head, sizeof(head) - 1);
}

static enum status open_file(struct inspect *i, struct err *err)
{
	struct trace *t = &i->trace;
	const char *path = i->o.trace_file;
	const enum status s = sink_open(&t->file, i->o.trace_option, path, "the trace", err);

	if (s != ST_OK)
		return s;
	setvbuf(t->file.f, NULL, _IOFBF, 1 << 18);
	t->format = ends_with(path, ".jsonl") ? TRACE_JSONL : ends_with(path, ".json") ? TRACE_CHROME : TRACE_TEXT;
	if (t->format == TRACE_CHROME)
		chrome_head(i);
	else if (t->format == TRACE_TEXT)
		text_head(i);
	return ST_OK;
}

enum status trace_open(struct inspect *i, struct err *err)
{
	enum status s = trace_resolve(i, err);

	if (s == ST_OK && i->o.filter.limit)
		s = kept_open(&i->trace.kept, i->o.filter.limit) ? ST_OK : err_set(err, ST_NOMEM, "%s limit: out of memory", i->o.trace_option);
	if (s == ST_OK && i->o.trace_file)
		s = open_file(i, err);
	if (s != ST_OK)
		kept_close(&i->trace.kept);
	return s;
}

void trace_flush(struct inspect *i)
{
	sink_flush(i, &i->trace.file);
}

void trace_close(struct inspect *i)
{
	struct trace *t = &i->trace;

	if (t->file.f && t->format == TRACE_CHROME)
		chrome_end(i);
	if (t->kept.room)
		kept_write(i);
	if (t->file.f && t->format == TRACE_CHROME)
		trace_write(i, "]\n", 2);
	sink_close(i, &t->file);
	kept_close(&t->kept);
	text_free(&t->line);
	text_free(&t->what);
	text_free(&t->args);
	text_free(&t->bytes);
}

/* ---- one event in the forms that are lines ---- */

static const char *who(const struct moment *w, char *out, size_t len)
{
	if (!w->guest)
		return "monitor";
	snprintf(out, len, "guest %u", w->guest);
	return out;
}

/* Names have a column from the first one on, a wide one from the first that needs it: a trace without symbols has none. */
static unsigned place_column(struct inspect *i, const char *place)
{
	enum { NARROW = 24, WIDE = 48 };
	const unsigned n = !place[0] ? 0 : strlen(place) <= NARROW ? NARROW : WIDE;

	if (n > i->trace.place_column)
		i->trace.place_column = n;
	return i->trace.place_column;
}

static void write_text(struct inspect *i, const struct moment *w, const char *place)
{
	struct text *t = &i->trace.line;
	const unsigned width = place_column(i, place);
	char name[24];

	text_add(t, "%3" PRIu64 ".%09" PRIu64 " %13s %3u %-8s %-6s 0x%-16" PRIx64, w->ns / 1000000000, w->ns % 1000000000,
	         commas(w->insn).s, w->c ? w->c->index : 0, who(w, name, sizeof(name)), w->word, w->rip);
	if (width)
		text_add(t, " %-*s", (int)width, place);
	text_add(t, " %s\n", text_str(&i->trace.what));
}

static void write_jsonl(struct inspect *i, const struct moment *w, const char *place)
{
	struct text *t = &i->trace.line;

	text_add(t, "{\"kind\":\"%s\",\"cpu\":%u,\"insn\":%" PRIu64 ",\"time\":%" PRIu64 ",\"guest\":%u,\"rip\":\"0x%" PRIx64 "\"",
	         w->kind, w->c ? w->c->index : 0, w->insn, w->ns, w->guest, w->rip);
	if (place[0]) {
		text_add(t, ",\"place\":");
		text_json(t, place);
	}
	text_add(t, ",\"text\":");
	text_json(t, text_str(&i->trace.what));
	text_add(t, "%s}\n", text_str(&i->trace.args));
}

/* What the kinds have put into trace.what and trace.args. */
void trace_line(struct inspect *i, const struct moment *w)
{
	char place[128] = "";

	if (w->c)
		inspect_place(i, i->m->cpus[w->c->index], linear_rip(w->c, w->rip), place, sizeof(place));
	text_reset(&i->trace.line);
	if (i->trace.format == TRACE_CHROME)
		chrome_instant(i, w, place);
	else if (i->trace.format == TRACE_JSONL)
		write_jsonl(i, w, place);
	else
		write_text(i, w, place);
	if (i->trace.format != TRACE_CHROME)
		trace_emit(i, &i->trace.line, PHASE_LINE, 0);
}

struct moment trace_moment(struct inspect *i, const struct cpu *c, const char *kind, const char *word, u64 rip)
{
	text_reset(&i->trace.what);
	text_reset(&i->trace.args);
	return (struct moment){.kind = kind,
	                       .word = word,
	                       .c = c,
	                       .rip = rip,
	                       .insn = c ? insn_number(c) : machine_insns(i->m),
	                       .ns = c ? time_now(c) : i->m->clock.now,
	                       .guest = c ? guest_now(i, c) : 0};
}
