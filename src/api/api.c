#include "api/api.h"

#include "api/options.h"
#include "base/os.h"
#include "sanitize/sanitize.h"

#include <inttypes.h>
#include <stdlib.h>

#define EARLY_NOTES 16

struct ts_machine {
	struct options o;
	struct machine *m;
	struct inspect *inspect;
	struct sanitize *sanitize; /* NULL: not asked for */
	struct gdb *gdb;           /* NULL: nobody debugs */
	struct monitor *monitor;   /* NULL: nobody has asked for one */
	bool cored;                /* --core is written */
	uint32_t mask;
	ts_hook_fn *hook;
	void *hook_arg;
	char *early[EARLY_NOTES]; /* notes from before there was a hook */
	unsigned early_count;
	char failed[256]; /* what --fail-on ended the run by */
	struct err error;
};

/* ---- events ---- */

static void emit(ts_machine *t, uint32_t kind, const struct inspect_event *i)
{
	ts_event e = {
	        .kind = kind,
	        .cpu = i->cpu ? i->cpu->index : 0,
	        .insn = i->insn,
	        .rip = i->rip,
	        .guest = i->guest,
	        .code = i->code,
	        .info = {i->info[0], i->info[1]},
	        .id = i->id,
	        .json = i->json,
	        .text = i->text,
	        .line = i->line,
	        .count = i->count,
	};

	if (!(t->mask & kind))
		return;
	if (t->m && kind != TS_ON_TRACE)
		door_flush(t->m); /* what the guest said before comes before */
	if (t->hook(t, &e, t->hook_arg) && t->m)
		pc_stop(t->m, MSTOP_REQUEST, 0);
}

static void emit_note(ts_machine *t, const char *id, const char *text)
{
	const struct inspect_event e = {.id = id, .text = text, .line = text, .json = "", .guest = UINT64_MAX};

	emit(t, TS_ON_NOTE, &e);
}

static void lost(void *arg, const char *text)
{
	emit_note(arg, "lost", text);
}

static void note(void *arg, const char *text)
{
	ts_machine *t = arg;

	if (t->mask & TS_ON_NOTE)
		emit_note(t, "note", text);
	else if (t->early_count < EARLY_NOTES && (t->early[t->early_count] = opt_copy(&t->o, text, strlen(text))))
		t->early_count++;
}

static void judge(ts_machine *t, const struct inspect_event *e)
{
	const struct condition *k = condition_met(&t->o.fail_on, &t->o.expect, e);

	if (!k || t->failed[0])
		return;
	snprintf(t->failed, sizeof(t->failed), "%s %s: %s%srip 0x%" PRIx64 ", cpu %u", k->option, k->id,
	         strcmp(k->id, e->id) ? e->id : "", strcmp(k->id, e->id) ? ", " : "", e->rip, e->cpu->index);
	pc_stop(t->m, MSTOP_FAILED, 0);
}

static void put(void *arg, const struct inspect_event *e)
{
	static const uint32_t kind[] = {
	        [INSPECT_DEATH] = TS_ON_DEATH,
	        [INSPECT_REFUSED] = TS_ON_REFUSED,
	        [INSPECT_SANITIZE] = TS_ON_SANITIZE,
	        [INSPECT_TRACE] = TS_ON_TRACE,
	        [INSPECT_NOTE] = TS_ON_NOTE,
	};

	ts_machine *t = arg;

	if (e->kind == INSPECT_NOTE && !strcmp(e->id, "note"))
		note(arg, e->text);
	else if (!e->followed)
		emit(arg, kind[e->kind], e);
	if (t->gdb)
		gdb_told(t->gdb, e);
	judge(arg, e);
}

ts_status ts_hook(ts_machine *t, uint32_t mask, ts_hook_fn *fn, void *arg)
{
	const uint32_t served = TS_ON_REFUSED | TS_ON_SANITIZE | TS_ON_DEATH | TS_ON_NOTE | TS_ON_TRACE;

	if ((mask & ~served) || (mask && !fn))
		return TS_EARG;
	t->mask = mask;
	t->hook = fn;
	t->hook_arg = arg;
	for (unsigned i = 0; (mask & TS_ON_NOTE) && i < t->early_count; i++)
		emit_note(t, "note", t->early[i]);
	if (mask & TS_ON_NOTE)
		t->early_count = 0;
	return TS_OK;
}

/* ---- who looks inside ---- */

static bool wants_gdb(const struct options *o)
{
	return o->gdb.listen || o->gdb.stops || o->gdb.magic;
}

static void switched(void *arg, struct cpu *c, const struct exit_record *x)
{
	ts_machine *t = arg;

	if (t->gdb)
		gdb_switched(t->gdb, c, x);
}

/* What died leaves a core where one was asked for. */
static void leave_core(ts_machine *t, enum machine_stop why)
{
	const struct gdb_options *o = &t->o.gdb;
	u32 at = why == MSTOP_SHUTDOWN ? t->m->stop_value : 0;
	struct err err;

	if (!o->core || t->cored)
		return;
	if (why != MSTOP_SHUTDOWN && why != MSTOP_DEADLOCK && why != MSTOP_INTERNAL && why != MSTOP_FAILED)
		return;
	t->cored = true;
	if (gdb_core(t->m, api_cpu(t, at), o->core_option, o->core, &err) == ST_OK)
		machine_note(t->m, "%s %s: the machine's memory and registers are in it", o->core_option, o->core);
	else
		machine_lost(t->m, "%s", err.text);
}

/* ---- the screen ---- */

static void leave_picture(ts_machine *t)
{
	const struct display_options *d = &t->o.display;
	struct err err;

	if (d->kind != DISPLAY_PPM && d->kind != DISPLAY_PNG)
		return;
	if (screen_dump(t->m, d->kind, d->at, &err) != ST_OK)
		machine_lost(t->m, "%s %s", d->option, err.text);
}

/* "auto": nobody has said how the machine is to talk to people. */
static const char *display_name(const ts_machine *t)
{
	const struct options *o = &t->o;

	if (o->display.kind == DISPLAY_TEXT)
		return "text";
	return o->display.option || o->serials || o->nodefaults || o->profile == PROFILE_QEMU ? "none" : "auto";
}

/* ---- life ---- */

static enum status build(ts_machine *t, int argc, const char *const argv[], struct err *err)
{
	enum status s = options_parse(&t->o, argc, argv, err);

	if (s != ST_OK)
		return s;
	t->o.cfg.note = note;
	t->o.cfg.lost = lost;
	t->o.cfg.note_arg = t;
	for (unsigned i = 0; i < t->o.notes; i++)
		note(t, t->o.note[i]);
	s = files_check(&t->o, err);
	if (s == ST_OK)
		s = machine_create(&t->m, &t->o.cfg, err);
	if (s != ST_OK)
		return s;
	struct inspect_options io = {
	        .symbol_files = t->o.symbol_files,
	        .trace = t->o.trace,
	        .trace_option = options_given(&t->o, "trace"),
	        .trace_file = t->o.trace_file,
	        .explain_option = options_given(&t->o, "explain"),
	        .explain_file = t->o.explain_file,
	        .writers = t->o.tell == TELL_ALL,
	        .filter = t->o.filter,
	        .ring = t->o.ring,
	        .ring_option = options_given(&t->o, "ring"),
	        .stats = t->o.stats || wants_gdb(&t->o),
	        .switched = wants_gdb(&t->o) ? switched : NULL,
	        .put = put,
	        .arg = t,
	};
	memcpy(io.symbols, t->o.symbols, sizeof(io.symbols));
	s = inspect_new(&t->inspect, t->m, &io, err);
	if (s == ST_OK && t->o.sanitize)
		s = sanitize_new(&t->sanitize, &t->m->bus, t->m->cpus, t->m->count, t->o.sanitize, err);
	if (s == ST_OK && wants_gdb(&t->o))
		s = gdb_new(&t->gdb, t->m, t->inspect, &t->o.gdb, err);
	return s == ST_OK && t->o.monitor.count ? monitor_new(&t->monitor, t->m, &t->o.monitor, err) : s;
}

ts_status ts_create(int argc, const char *const argv[], ts_machine **out, char *err, size_t err_len)
{
	struct err e = {""};
	ts_machine *t = base_alloc(sizeof(*t));
	enum status s = t ? build(t, argc, argv, &e) : err_set(&e, ST_NOMEM, "out of memory");

	*out = NULL;
	if (s != ST_OK) {
		if (err && err_len)
			snprintf(err, err_len, "turnstile: %s", e.text);
		ts_destroy(t);
		return api_status(s);
	}
	*out = t;
	return TS_OK;
}

void ts_destroy(ts_machine *t)
{
	if (!t)
		return;
	if (t->m) {
		door_flush(t->m);
		leave_picture(t);
	}
	monitor_free(t->monitor);
	gdb_free(t->gdb);
	sanitize_free(t->sanitize);
	inspect_free(t->inspect);
	machine_destroy(t->m);
	options_free(&t->o);
	base_free(t);
}

ts_status ts_run(ts_machine *t, uint64_t max, ts_stop *why, uint32_t *value)
{
	static const ts_stop map[] = {
	        [MSTOP_NONE] = TS_FAULT,  [MSTOP_POWEROFF] = TS_POWEROFF, [MSTOP_EXIT_PORT] = TS_EXIT_PORT,
	        [MSTOP_RESET] = TS_RESET, [MSTOP_SHUTDOWN] = TS_SHUTDOWN, [MSTOP_DEADLOCK] = TS_DEADLOCK,
	        [MSTOP_LIMIT] = TS_LIMIT, [MSTOP_REQUEST] = TS_STOPPED,   [MSTOP_INTERNAL] = TS_FAULT,
	        [MSTOP_FAILED] = TS_FAILED, [MSTOP_DEBUG] = TS_LIMIT,
	};
	enum machine_stop stop;

	if (!why)
		return TS_EARG;
	if (!machine_ended(t->m->stop))
		t->error.text[0] = 0;
	stop = t->gdb ? gdb_run(t->gdb, max, &t->error) : machine_run(t->m, max, &t->error);
	leave_core(t, stop);
	monitor_ended(t->monitor);
	inspect_flush(t->inspect);
	*why = map[stop];
	if (value)
		*value = stop == MSTOP_DEBUG ? LIMIT_BREAK : t->m->stop_value;
	return TS_OK;
}

void ts_request_stop(ts_machine *t)
{
	machine_request_stop(t->m);
}

const char *ts_error(ts_machine *t)
{
	return t->error.text[0] ? t->error.text : "an internal error without a description";
}

/* ---- what a client asks about ---- */

ts_status ts_help(int argc, const char *const argv[], ts_put_fn *fn, void *arg)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	struct err e;
	enum status s;

	if (!f)
		return TS_ENOMEM;
	bool asked = options_help(argc, argv, f, &s, &e);
	fclose(f);
	if (asked && n)
		fn(arg, text, n);
	free(text);
	return asked ? api_status(s) : TS_ESTATE;
}

static bool reads_terminal(const ts_machine *t)
{
	for (const struct chan *c = t->m->door.chans; c; c = c->next)
		if (c->terminal)
			return true;
	return false;
}

const char *ts_option(ts_machine *t, const char *name)
{
	if (!strcmp(name, "profile"))
		return t->o.profile == PROFILE_QEMU ? "qemu" : "turnstile";
	if (!strcmp(name, "stats"))
		return t->o.stats ? t->o.stats_file ? t->o.stats_file : "" : NULL;
	if (!strcmp(name, "terminal"))
		return reads_terminal(t) ? "raw" : NULL;
	if (!strcmp(name, "display"))
		return display_name(t);
	if (!strcmp(name, "gdb"))
		return gdb_address(t->gdb);
	if (!strcmp(name, "explain"))
		return opt_tell_name(&t->o);
	/* "NAME-option": how it was typed. */
	const char *suffix = strstr(name, "-option");
	char row[32];
	if (!suffix || suffix[7] || (size_t)(suffix - name) >= sizeof(row))
		return NULL;
	snprintf(row, sizeof(row), "%.*s", (int)(suffix - name), name);
	return options_given(&t->o, row);
}

static void status_line(ts_machine *t, FILE *f)
{
	u64 exits = 0;

	for (unsigned i = 0; i < t->m->count; i++)
		exits += t->m->cpus[i]->exits;
	fprintf(f, "%" PRIu64 " instructions, virtual time %" PRIu64 ".%03u s, %" PRIu64 " VM exits\n",
	        machine_insns(t->m), t->m->clock.now / 1000000000, (unsigned)(t->m->clock.now / 1000000 % 1000), exits);
}

static void in_line(const ts_machine *t, FILE *f)
{
	for (const struct chan *c = t->m->door.chans; c; c = c->next)
		if (c->in_line)
			fprintf(f, "%" PRIu64 "\n", c->in_line);
}

ts_status ts_report(ts_machine *t, const char *what, ts_put_fn *fn, void *arg)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	ts_status s = TS_OK;

	if (!f)
		return TS_ENOMEM;
	if (!strcmp(what, "stats"))
		inspect_stats(t->inspect, f);
	else if (!strcmp(what, "stats.json"))
		inspect_stats_json(t->inspect, f);
	else if (!strcmp(what, "where"))
		inspect_where(t->inspect, f);
	else if (!strcmp(what, "failed"))
		fprintf(f, "%s", t->failed);
	else if (!strcmp(what, "unmet"))
		conditions_unmet(&t->o.expect, f);
	else if (!strcmp(what, "ring"))
		inspect_ring(t->inspect, f);
	else if (!strcmp(what, "hash"))
		fprintf(f, "%016" PRIx64 "\n", inspect_hash(t->inspect));
	else if (!strcmp(what, "screen") || !strcmp(what, "screen.ansi"))
		screen_text(t->m, strlen(what) > 6, f);
	else if (!strcmp(what, "in-line"))
		in_line(t, f);
	else if (!strcmp(what, "status"))
		status_line(t, f);
	else
		s = TS_EARG;
	fclose(f);
	if (s == TS_OK)
		fn(arg, text, n);
	free(text);
	return s;
}

ts_status ts_key_filter(ts_machine *t, size_t (*fn)(void *arg, uint8_t *buf, size_t n), void *arg)
{
	for (struct chan *c = t->m->door.chans; c; c = c->next) {
		if (!c->terminal)
			continue;
		c->filter = fn;
		c->filter_arg = arg;
	}
	return TS_OK;
}

struct cpu *api_cpu(ts_machine *t, unsigned cpu)
{
	return cpu < t->m->count ? t->m->cpus[cpu] : NULL;
}

/* ---- memory ---- */

static ts_status access_memory(ts_machine *t, unsigned cpu, ts_space s, uint64_t addr, void *in, const void *from,
                               size_t len, size_t *done)
{
	static const enum gdb_space space[] = {
	        [TS_PHYS] = GDB_PHYS, [TS_LINEAR] = GDB_LINEAR, [TS_GUEST_PHYS] = GDB_GUEST_PHYS, [TS_GUEST_LINEAR] = GDB_GUEST_LINEAR};
	struct cpu *c = api_cpu(t, cpu);

	if (done)
		*done = 0;
	if (!c || (unsigned)s >= ARRAY_LEN(space))
		return TS_EARG;
	if (!gdb_sees(c, space[s]))
		return TS_ESTATE;
	size_t n = in ? gdb_read(c, space[s], addr, in, len) : gdb_write(c, space[s], addr, from, len);
	if (done)
		*done = n;
	return n == len ? TS_OK : TS_EFAULT;
}

ts_status ts_read(ts_machine *t, unsigned cpu, ts_space s, uint64_t addr, void *buf, size_t len, size_t *done)
{
	return access_memory(t, cpu, s, addr, buf, NULL, len, done);
}

ts_status ts_write(ts_machine *t, unsigned cpu, ts_space s, uint64_t addr, const void *buf, size_t len, size_t *done)
{
	return access_memory(t, cpu, s, addr, NULL, buf, len, done);
}
