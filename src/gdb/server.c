/*
 * The connection, and the run as a debugger has it: it listens before the guest starts, looks for a client between slices,
 * and while the machine stands still does nothing but answer. Whoever goes away lets the machine go on.
 */
#include "base/os.h"
#include "gdb/parts.h"

#include <errno.h>
#include <stdlib.h>

enum { PATIENCE_MS = 5000, LOOK_MS = 100 };

/* ---- what leaves ---- */

static void hang_up(struct gdb *g);

static void to_client(struct gdb *g, const void *buf, size_t n)
{
	if (g->send)
		g->send(g->send_arg, buf, n);
	else if (g->client >= 0 && !os_socket_write(g->client, buf, n, PATIENCE_MS))
		hang_up(g);
}

static void send_packet(struct gdb *g)
{
	g->framed = out_frame(&g->out, g->frame);
	to_client(g, g->frame, g->framed);
}

void gdb_text(struct gdb *g, const char *text)
{
	const size_t most = GDB_PACKET / 2 - 8;

	for (size_t left = strlen(text); left && g->attached;) {
		size_t n = min_u64(left, most);

		out_reset(&g->out);
		out_put(&g->out, "O");
		out_hex(&g->out, text, n);
		send_packet(g);
		text += n;
		left -= n;
	}
}

/* ---- who is there ---- */

static void begin(struct gdb *g)
{
	g->attached = true;
	g->stopped = true;
	g->owed = g->no_ack = g->swbreak = g->hwbreak = false;
	g->signal = SIG_TRAP;
	g->framed = 0;
	g->g = g->c = g->at;
	g->in.state = READ_IDLE;
	stops_apply(g);
}

void gdb_let_go(struct gdb *g, u32 stepped, u32 held)
{
	struct machine *m = g->m;

	for (unsigned n = 0; n < m->count; n++) {
		struct cpu *c = m->cpus[n];
		struct debug *d = &g->cpu[n];

		d->step = stepped >> n & 1;
		d->hold = g->step_hold;
		d->why = DEBUG_NOTHING;
		d->passing = true;
		d->pass_la = registers_pc(c);
		d->pass_sp = c->r[REG_RSP];
		c->attention = 1; /* what a step held back, or somebody wrote into a register */
		if (d->step && m->turn != n) {
			m->turn = n;
			m->slice_end = 0;
		}
	}
	m->held = held;
	g->stopped = false;
	g->told_reason = false;
	g->reason[0] = 0;
}

/* Nobody debugs any more: no point is left, and the machine goes on. */
static void end(struct gdb *g)
{
	g->attached = g->owed = false;
	points_clear(g);
	if (g->stopped)
		gdb_let_go(g, 0, 0);
	stops_apply(g);
}

static void hang_up(struct gdb *g)
{
	os_close(g->client);
	g->client = -1;
	g->m->door.look_fd = g->listener;
	if (g->attached)
		end(g);
}

void gdb_detach(struct gdb *g)
{
	if (g->client >= 0)
		hang_up(g);
	else
		end(g);
}

static void accept_client(struct gdb *g)
{
	g->client = os_accept(g->listener);
	if (g->client < 0)
		return;
	g->m->door.look_fd = g->client;
	begin(g);
}

/* ---- what comes in ---- */

static void acknowledge(struct gdb *g, const char *how)
{
	if (!g->no_ack)
		to_client(g, how, 1);
}

static void interrupt(struct gdb *g)
{
	if (!g->stopped)
		pc_stop(g->m, MSTOP_DEBUG, g->at);
	g->signal = SIG_INT;
}

static void packet(struct gdb *g)
{
	acknowledge(g, "+");
	out_reset(&g->out);
	command_run(g, g->in.body, g->in.n);
	if (g->out.full) {
		out_reset(&g->out);
		out_put(&g->out, "E22");
	}
	if (g->stopped && g->attached && (g->out.n || !g->killed))
		send_packet(g);
}

void gdb_feed(struct gdb *g, const void *buf, size_t n)
{
	const u8 *p = buf;

	for (; n && g->attached; n--, p++) {
		switch (gdb_read_byte(&g->in, *p)) {
		case GDB_IN:
			if (g->stopped)
				packet(g); /* while it runs there is nothing to ask but for a stop */
			break;
		case GDB_INTERRUPT: interrupt(g); break;
		case GDB_AGAIN:
			if (!g->no_ack && g->framed)
				to_client(g, g->frame, g->framed);
			break;
		case GDB_BROKEN: acknowledge(g, "-"); break;
		case GDB_MORE: break;
		}
	}
}

/* true: something came, or the client went. */
static bool listen_once(struct gdb *g)
{
	char buf[4096];
	bool eof = false;

	if (g->client < 0 && g->listener >= 0)
		accept_client(g);
	if (g->client < 0)
		return false;
	size_t n = os_read_ready(g->client, buf, sizeof(buf), &eof);
	if (n)
		gdb_feed(g, buf, n);
	else if (eof)
		hang_up(g);
	return n || eof;
}

/* Between slices. */
static void look(void *arg)
{
	struct gdb *g = arg;
	bool was_attached = g->attached;

	if (g->stopped)
		return;
	listen_once(g);
	if (g->attached && !was_attached)
		pc_stop(g->m, MSTOP_DEBUG, g->at);
}

/* ---- stops ---- */

static void stopped_at(struct gdb *g, unsigned cpu, u8 signal)
{
	g->stopped = true;
	g->at = g->g = g->c = cpu;
	g->signal = signal;
	for (unsigned n = 0; n < g->m->count; n++)
		g->cpu[n].step = false;
	g->m->held = 0;
	if (g->attached && g->reason[0] && !g->told_reason) {
		gdb_text(g, g->reason);
		gdb_text(g, "\n");
		g->told_reason = true;
	}
	if (!g->owed)
		return;
	g->owed = false;
	out_reset(&g->out);
	command_stop_reply(g);
	if (g->attached)
		send_packet(g);
}

static void debug_stopped(struct gdb *g)
{
	struct machine *m = g->m;
	unsigned cpu = m->stop_value < m->count ? m->stop_value : 0;
	const u8 why = g->cpu[cpu].why;
	u8 signal = why == DEBUG_NOTHING && g->signal == SIG_INT ? SIG_INT : SIG_TRAP;

	if (m->dead) {
		snprintf(g->reason, sizeof(g->reason), "cpu %u has shut down (triple fault); the machine ends when it goes on",
		         m->dead->index);
		signal = SIG_SEGV;
	} else if (why == DEBUG_GUEST_SHUTDOWN) {
		snprintf(g->reason, sizeof(g->reason), "triple fault in the guest of %s 0x%llx on cpu %u; its VM exit follows",
		         m->cpus[cpu]->virt->block, (unsigned long long)m->cpus[cpu]->virt->block_at(m->cpus[cpu]), cpu);
		signal = SIG_SEGV;
	} else if (why == DEBUG_MAGIC) {
		snprintf(g->reason, sizeof(g->reason), "xchg bx,bx on cpu %u", cpu);
	}
	stopped_at(g, cpu, signal);
}

/* Every processor is halted: while somebody looks on, that is worth a stop before it ends the run. */
static bool asleep_for_good(struct gdb *g)
{
	u64 now = machine_insns(g->m);

	if (!g->attached || (g->idle_told && g->idle_insns == now))
		return false;
	g->idle_told = true;
	g->idle_insns = now;
	snprintf(g->reason, sizeof(g->reason), "every processor is halted and nothing can wake one");
	stopped_at(g, g->at, SIG_TRAP);
	return true;
}

static void say_ended(struct gdb *g, enum machine_stop why)
{
	out_reset(&g->out);
	if (why == MSTOP_SHUTDOWN)
		out_put(&g->out, "X%02x", SIG_SEGV);
	else
		out_put(&g->out, "W%02x", why == MSTOP_EXIT_PORT ? (g->m->stop_value << 1 | 1) & 255 : 0);
	if (g->attached && g->owed)
		send_packet(g);
	g->owed = false;
}

/* machine_run() has returned. true: the debugger's turn, or a run that goes on. */
static bool attend(struct gdb *g, enum machine_stop why)
{
	if (why == MSTOP_DEBUG) {
		debug_stopped(g);
		if (g->attached || g->listener >= 0)
			return true;
		if (g->reason[0] && !g->told_reason)
			machine_note(g->m, "%s", g->reason);
		gdb_let_go(g, 0, 0); /* when it runs again */
		return false;
	}
	if (why == MSTOP_DEADLOCK)
		return asleep_for_good(g);
	if (machine_ended(why))
		say_ended(g, why);
	return false;
}

/* While the machine stands still. false: the run ends here. */
static bool serve(struct gdb *g)
{
	struct machine *m = g->m;
	bool said = g->attached;

	while (g->stopped && !m->stop_request && !g->killed) {
		if (!said && g->reason[0] && !g->attached)
			machine_note(m, "%s; waits for gdb at %s", g->reason, g->address);
		said = true;
		if (listen_once(g))
			continue;
		door_poll(m);
		door_flush(m);
		if (m->cfg.timeout_ns && m->started_ns && os_real_ns() - m->started_ns >= m->cfg.timeout_ns)
			break;
		os_wait_readable(&m->door.look_fd, 1, LOOK_MS);
	}
	return !g->killed;
}

enum machine_stop gdb_run(struct gdb *g, u64 max_insns, struct err *err)
{
	struct machine *m = g->m;
	u64 end_at = max_insns ? machine_insns(m) + max_insns : 0;
	enum machine_stop why;

	do {
		if (g->stopped && g->send && !g->killed)
			return MSTOP_DEBUG; /* whoever brings the bytes asks again when there are some */
		if (!m->started_ns)
			m->started_ns = os_real_ns();
		if (g->stopped && !machine_ended(m->stop) && !serve(g)) {
			pc_stop(m, MSTOP_POWEROFF, 0); /* `kill` */
			return m->stop;
		}
		if (g->stopped)
			m->door.next_poll = 0; /* a limit or a request ends the run at once */
		u64 done = machine_insns(m);
		if (end_at && done >= end_at && m->stop == MSTOP_DEBUG) {
			m->stop = MSTOP_LIMIT; /* it was stopped at its last instruction */
			m->stop_value = LIMIT_INSNS;
			return MSTOP_LIMIT;
		}
		why = machine_run(m, end_at ? end_at - done : 0, err);
	} while (attend(g, why));
	return why;
}

/* ---- for who brings the bytes ---- */

void gdb_attach(struct gdb *g, void (*send)(void *arg, const void *buf, size_t n), void *arg)
{
	g->send = send;
	g->send_arg = arg;
	begin(g);
}

/* ---- life ---- */

static enum status bad_address(const struct gdb *g, const char *why, struct err *err)
{
	return err_set(err, ST_ARG, "%s %s: %s", g->o.option, g->o.listen, why);
}

static enum status listen_tcp(struct gdb *g, const char *spec, struct err *err)
{
	char host[100];
	const char *colon = strrchr(spec, ':'), *why;
	unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;
	u16 number = (u16)port;
	size_t n = colon ? (size_t)(colon - spec) : 0;

	if (!colon || !colon[1] || colon[1 + strspn(colon + 1, "0123456789")] || port > 65535)
		return bad_address(g, "not a port; tcp:HOST:PORT or unix:PATH", err);
	if (n >= sizeof(host))
		return bad_address(g, "the host's name is too long", err);
	memcpy(host, spec, n);
	host[n] = 0;
	if (!n)
		snprintf(host, sizeof(host), "127.0.0.1");
	const char *bare = host[0] == '[' && host[n - 1] == ']' ? (host[n - 1] = 0, host + 1) : host;
	g->listener = os_tcp_listen(bare, &number, &why);
	if (g->listener < 0)
		return bad_address(g, why ? why : strerror(errno), err);
	snprintf(g->address, sizeof(g->address), "tcp:%s:%u", host, number);
	if (bare != host)
		snprintf(g->address, sizeof(g->address), "tcp:%s]:%u", host, number);
	return ST_OK;
}

static enum status start_listening(struct gdb *g, struct err *err)
{
	const char *spec = g->o.listen;
	enum status s = ST_OK;

	if (!strncmp(spec, "unix:", 5)) {
		g->listener = os_unix_listen(spec + 5);
		if (g->listener < 0)
			return bad_address(g, strerror(errno), err);
		snprintf(g->address, sizeof(g->address), "%s", spec);
	} else {
		s = listen_tcp(g, spec + (strncmp(spec, "tcp:", 4) ? 0 : 4), err);
	}
	if (s == ST_OK)
		machine_note(g->m, "gdb is listened for at %s%s", g->address, g->o.wait ? "; nothing runs before it says so" : "");
	return s;
}

static enum status set_stops(struct gdb *g, struct err *err)
{
	char why[160];

	for (unsigned n = 0; n < g->o.stops; n++)
		if (!stop_add(g, g->o.stop[n], why, sizeof(why)))
			return err_set(err, ST_ARG, "%s %s: %s", g->o.stop_option, g->o.stop[n], why);
	return ST_OK;
}

static void wire(struct gdb *g)
{
	struct machine *m = g->m;

	g->points.block = UINT64_MAX;
	g->points.magic = g->o.magic;
	g->step_hold = true;
	for (unsigned n = 0; n < m->count; n++) {
		g->cpu[n].points = &g->points;
		m->cpus[n]->debug = &g->cpu[n];
	}
	m->door.look = look;
	m->door.look_arg = g;
	m->door.look_fd = -1;
	points_changed(g);
}

enum status gdb_new(struct gdb **out, struct machine *m, struct inspect *i, const struct gdb_options *o, struct err *err)
{
	struct gdb *g = base_alloc(sizeof(*g));

	if (!g)
		return err_set(err, ST_NOMEM, "out of memory");
	g->m = m;
	g->inspect = i;
	g->o = *o;
	g->listener = g->client = -1;
	wire(g);
	enum status s = set_stops(g, err);
	if (s == ST_OK && o->listen)
		s = start_listening(g, err);
	if (s != ST_OK) {
		gdb_free(g);
		return s;
	}
	m->door.look_fd = g->listener;
	g->stopped = o->wait != NULL;
	stops_apply(g);
	*out = g;
	return ST_OK;
}

const char *gdb_address(const struct gdb *g)
{
	return g && g->address[0] ? g->address : NULL;
}

void gdb_free(struct gdb *g)
{
	if (!g)
		return;
	if (g->attached) {
		out_reset(&g->out);
		out_put(&g->out, "W00");
		if (g->owed)
			send_packet(g);
	}
	for (unsigned n = 0; n < g->m->count; n++)
		g->m->cpus[n]->debug = NULL;
	g->m->door.look = NULL;
	os_close(g->client);
	os_close(g->listener);
	if (!strncmp(g->address, "unix:", 5))
		os_remove(g->address + 5);
	for (unsigned n = 0; n < GDB_TOLD; n++)
		base_free(g->told[n]);
	base_free(g);
}
