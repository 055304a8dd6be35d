/*
 * Chrome trace events, for Perfetto. "Trace Event Format": an array of objects; B begins a slice and E ends the last one of
 * its track, i is a moment, M names a track. The tracks of process 1 are the processors: what each does (a guest runs, an
 * exit is handled, named by its reason), and under it the exceptions and interrupts that are being handled. Those of process 2 are
 * the guests: when each runs, what is injected, its own exceptions and interrupts. Names are few, so that equal slices add
 * up; what differs is in the arguments.
 */
#include "inspect/parts.h"

#include <inttypes.h>

enum { PROCESSORS = 1, GUESTS_PID = 2, FIRST_CPU = 100, FIRST_EVENTS = 200, FIRST_GUEST = 1000 };
_Static_assert(TRACE_TRACKS >= 2 * CPU_MAX + GUESTS + 1, "every processor has two tracks, every guest one");

/* Tracks by number, as kept_put() wants them. */
static unsigned cpu_track(const struct cpu *c)
{
	return c->index;
}

static unsigned event_track(const struct cpu *c)
{
	return CPU_MAX + c->index;
}

static unsigned guest_track(unsigned guest)
{
	return 2 * CPU_MAX + guest;
}

static unsigned pid_of(unsigned track)
{
	return track < 2 * CPU_MAX ? PROCESSORS : GUESTS_PID;
}

static unsigned tid_of(unsigned track)
{
	if (track < CPU_MAX)
		return FIRST_CPU + track;
	return track < 2 * CPU_MAX ? FIRST_EVENTS + track - CPU_MAX : FIRST_GUEST + track - 2 * CPU_MAX;
}

/* ---- names ---- */

static void name_thread(struct inspect *i, unsigned track, unsigned order, const char *fmt, ...) printf_like(4, 5);
static void name_thread(struct inspect *i, unsigned track, unsigned order, const char *fmt, ...)
{
	struct text t = {0};
	char name[80];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	text_add(&t, ",\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%u,\"tid\":%u,\"args\":{\"name\":", pid_of(track),
	         tid_of(track));
	text_json(&t, name);
	text_add(&t, "}},\n{\"name\":\"thread_sort_index\",\"ph\":\"M\",\"pid\":%u,\"tid\":%u,\"args\":{\"sort_index\":%u}}",
	         pid_of(track), tid_of(track), order);
	trace_write(i, text_str(&t), t.n);
	text_free(&t);
}

void chrome_head(struct inspect *i)
{
	static const char head[] =
	        "[{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":\"processors, virtual time\"}},\n"
	        "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":2,\"args\":{\"name\":\"guests\"}}";

	trace_write(i, head, sizeof(head) - 1);
	for (unsigned k = 0; k < i->m->count; k++) {
		name_thread(i, k, 2 * k, "cpu %u", k);
		name_thread(i, CPU_MAX + k, 2 * k + 1, "cpu %u, exceptions and interrupts", k);
	}
}

/* Where the rest may be kept for later: names are few, and stand before it. */
static void name_guest(struct inspect *i, const struct cpu *c, unsigned guest)
{
	if (guest <= i->trace.guests_named)
		return;
	i->trace.guests_named = guest;
	name_thread(i, guest_track(guest), guest, "guest %u, %s 0x%" PRIx64, guest, c->virt->block, i->guests.block[guest - 1]);
}

/* ---- events ---- */

static void common(struct text *t, const char *name, const char *kind, char phase, u64 ns, unsigned track)
{
	text_add(t, ",\n{\"name\":");
	text_json(t, name);
	text_add(t, ",\"cat\":\"%s\",\"ph\":\"%c\",%s\"ts\":%" PRIu64 ".%03u,\"pid\":%u,\"tid\":%u", kind, phase,
	         phase == 'i' ? "\"s\":\"t\"," : "", ns / 1000, (unsigned)(ns % 1000), pid_of(track), tid_of(track));
}

/* args: members of an object, each with a comma in front. */
static void event(struct inspect *i, const struct moment *w, const char *name, char phase, unsigned track, const char *args)
{
	struct text *t = &i->trace.line;

	text_reset(t);
	common(t, name, w->kind, phase, w->ns, track);
	text_add(t, ",\"args\":{\"insn\":%" PRIu64 ",\"rip\":\"0x%" PRIx64 "\"%s}}", w->insn, w->rip, args);
	trace_emit(i, t, phase == 'B' ? PHASE_BEGIN : phase == 'E' ? PHASE_END : PHASE_LINE, track);
}

static unsigned track_of(struct inspect *i, const struct moment *w)
{
	static const struct cpu none;

	if (w->guest && w->c)
		name_guest(i, w->c, w->guest);
	return w->guest ? guest_track(w->guest) : cpu_track(w->c ? w->c : &none);
}

void chrome_instant(struct inspect *i, const struct moment *w, const char *place)
{
	struct text args = {0};

	text_add(&args, "%s,\"text\":", text_str(&i->trace.args));
	text_json(&args, text_str(&i->trace.what));
	if (place[0]) {
		text_add(&args, ",\"place\":");
		text_json(&args, place);
	}
	event(i, w, w->name ? w->name : w->word, 'i', track_of(i, w), text_str(&args));
	text_free(&args);
}

/* ---- slices: what is begun is ended, whatever a filter says meanwhile ---- */

static void end_work(struct inspect *i, const struct moment *w, const char *args)
{
	struct trace_cpu *k = &i->trace.cpu[w->c->index];

	if (k->work)
		event(i, w, k->work, 'E', cpu_track(w->c), args);
	if (k->work && k->running)
		event(i, w, "run", 'E', guest_track(k->running), args);
	k->work = NULL;
	k->running = 0;
}

/* From here on the guest runs. */
void chrome_entry(struct inspect *i, const struct moment *w, bool wanted)
{
	struct trace_cpu *k = &i->trace.cpu[w->c->index];
	struct text args = {0};

	text_add(&args, ",\"insns\":%" PRIu64, w->insn - k->since);
	end_work(i, w, text_str(&args));
	text_free(&args);
	k->since = w->insn;
	if (!wanted)
		return;
	name_guest(i, w->c, w->guest);
	k->work = "guest";
	k->running = w->guest;
	text_add(&args, "%s,\"guest\":%u", text_str(&i->trace.args), w->guest);
	event(i, w, k->work, 'B', cpu_track(w->c), text_str(&args));
	event(i, w, "run", 'B', guest_track(w->guest), text_str(&args));
	text_free(&args);
}

/* From here on the monitor handles the exit. w: of the guest. */
void chrome_exit(struct inspect *i, const struct moment *w, const char *reason, bool wanted)
{
	struct trace_cpu *k = &i->trace.cpu[w->c->index];
	struct text args = {0};
	char place[128];

	chrome_end_events(i, w, true);
	text_add(&args, ",\"insns\":%" PRIu64 "%s", w->insn - k->since, text_str(&i->trace.args));
	end_work(i, w, text_str(&args));
	text_reset(&args);
	k->since = w->insn;
	if (!wanted) {
		text_free(&args);
		return;
	}
	inspect_place(i, i->m->cpus[w->c->index], linear_rip(w->c, w->rip), place, sizeof(place));
	text_add(&args, "%s,\"text\":", text_str(&i->trace.args));
	text_json(&args, text_str(&i->trace.what));
	text_add(&args, ",\"guest\":%u,\"place\":", w->guest);
	text_json(&args, place);
	k->work = reason;
	event(i, w, k->work, 'B', cpu_track(w->c), text_str(&args));
	text_free(&args);
}

/* ---- handlers of exceptions and interrupts, and of SMIs ---- */

static unsigned handlers_track(const struct moment *w)
{
	return w->guest ? guest_track(w->guest) : event_track(w->c);
}

void chrome_event(struct inspect *i, const struct moment *w, const char *place)
{
	struct text args = {0};

	if (w->guest)
		name_guest(i, w->c, w->guest);
	text_add(&args, "%s,\"text\":", text_str(&i->trace.args));
	text_json(&args, text_str(&i->trace.what));
	text_add(&args, ",\"place\":");
	text_json(&args, place);
	event(i, w, w->name, 'B', handlers_track(w), text_str(&args));
	text_free(&args);
}

void chrome_event_ends(struct inspect *i, const struct moment *w, const struct trace_handler *h, bool returned)
{
	struct text args = {0};

	text_add(&args, ",\"insns\":%" PRIu64 ",\"returned\":%s", w->insn - h->insn, returned ? "true" : "false");
	event(i, w, h->name, 'E', handlers_track(w), text_str(&args));
	text_free(&args);
}

/* Those of the guest that is left, or of the monitor. */
void chrome_end_events(struct inspect *i, const struct moment *w, bool guest)
{
	struct trace_nest *n = &i->trace.cpu[w->c->index].nest[guest];

	while (n->depth)
		if (n->at[--n->depth].begun)
			chrome_event_ends(i, w, &n->at[n->depth], false);
}

/* Everything that is still open ends here. */
void chrome_end(struct inspect *i)
{
	for (unsigned k = 0; k < i->m->count; k++) {
		const struct cpu *c = i->m->cpus[k];
		struct moment w = trace_moment(i, c, "vm", "end", c->r[REG_RIP]);

		w.guest = i->trace.cpu[k].running;
		chrome_end_events(i, &w, true);
		w.guest = 0;
		chrome_end_events(i, &w, false);
		end_work(i, &w, ",\"exit\":\"the run ended\"");
	}
}
