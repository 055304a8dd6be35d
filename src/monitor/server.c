/* Who is connected, between slices; and a machine that stands still until somebody lets it go on. */
#include "monitor/parts.h"

#include "base/os.h"

#include <errno.h>
#include <stdlib.h>

enum { PATIENCE_MS = 1000, LOOK_MS = 50 };

/* ---- one client ---- */

static void hang_up(struct client *c)
{
	os_close(c->fd);
	*c = (struct client){.fd = -1};
}

/* Who does not read is not waited for. */
void client_send(struct client *c, const char *text, size_t n)
{
	if (c->fd >= 0 && !os_socket_write(c->fd, text, n, PATIENCE_MS))
		hang_up(c);
}

static void prompt(struct client *c)
{
	static const char text[] = "(turnstile) ";

	client_send(c, text, sizeof(text) - 1);
}

static void run_line(struct monitor *mon, struct client *c, const char *line)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return;
	monitor_line(mon, line, f);
	fclose(f);
	client_send(c, text, n);
	free(text);
	prompt(c);
}

/* How much of the input is done with. */
static size_t line_feed(struct monitor *mon, struct client *c)
{
	char *end = memchr(c->input, '\n', c->used);
	size_t n = end ? (size_t)(end - c->input) + 1 : c->used;

	if (!end && c->used < MONITOR_INPUT)
		return 0;
	char kept = c->input[n];
	c->input[n] = 0;
	run_line(mon, c, c->input);
	c->input[n] = kept;
	return n;
}

static void feed(struct monitor *mon, struct client *c)
{
	for (size_t done = 1; done && c->used && c->fd >= 0;) {
		done = (c->qmp ? qmp_feed : line_feed)(mon, c);
		if (c->fd < 0)
			return;
		c->used -= done;
		memmove(c->input, c->input + done, c->used);
	}
}

static bool hear(struct monitor *mon, struct client *c)
{
	bool eof = false;
	size_t n = os_read_ready(c->fd, c->input + c->used, MONITOR_INPUT - c->used, &eof);

	c->used += n;
	if (n)
		feed(mon, c);
	else if (eof)
		hang_up(c);
	return n || eof;
}

static void welcome(struct monitor *mon, const struct listener *l)
{
	for (unsigned i = 0; i < MONITOR_CLIENTS; i++) {
		struct client *c = &mon->client[i];
		if (c->fd >= 0)
			continue;
		c->fd = os_accept(l->fd);
		c->qmp = l->qmp;
		if (c->fd >= 0 && l->qmp)
			qmp_greet(mon, c);
		else if (c->fd >= 0)
			prompt(c);
		return;
	}
}

/* ---- all of them ---- */

static bool look_once(struct monitor *mon)
{
	bool any = false;

	if (mon->resets != mon->m->resets)
		qmp_event(mon, "RESET", "{\"guest\": true, \"reason\": \"guest-reset\"}");
	mon->resets = mon->m->resets;
	for (unsigned i = 0; i < mon->listeners; i++)
		welcome(mon, &mon->listener[i]);
	for (unsigned i = 0; i < MONITOR_CLIENTS; i++)
		if (mon->client[i].fd >= 0)
			any |= hear(mon, &mon->client[i]);
	return any;
}

static unsigned descriptors(void *arg, int *fds, unsigned room)
{
	const struct monitor *mon = arg;
	unsigned n = 0;

	for (unsigned i = 0; i < mon->listeners && n < room; i++)
		fds[n++] = mon->listener[i].fd;
	for (unsigned i = 0; i < MONITOR_CLIENTS && n < room; i++)
		if (mon->client[i].fd >= 0)
			fds[n++] = mon->client[i].fd;
	return n;
}

static bool timed_out(const struct machine *m)
{
	return m->cfg.timeout_ns && m->started_ns && os_real_ns() - m->started_ns >= m->cfg.timeout_ns;
}

/* Between slices. While the machine stands still, nobody comes back from here. */
static void attend(void *arg)
{
	struct monitor *mon = arg;
	struct machine *m = mon->m;
	int fds[MONITORS + MONITOR_CLIENTS + 1];

	if (mon->within)
		return;
	mon->within = true;
	look_once(mon);
	while (mon->stopped && !m->stop_request && m->stop == MSTOP_NONE && !m->reset_pending && !timed_out(m)) {
		if (look_once(mon))
			continue;
		door_poll(m); /* the terminal's keys may be for us */
		os_wait_readable(fds, descriptors(mon, fds, ARRAY_LEN(fds)), LOOK_MS);
	}
	mon->within = false;
}

/* ---- life ---- */

static enum status listen_at(struct listener *l, const struct monitor_spec *s, struct err *err)
{
	const char *why = NULL, *colon = strrchr(s->at, ':');
	char host[128];
	u16 port = (u16)atoi(colon + 1);

	l->qmp = s->qmp;
	if (!strncmp(s->at, "unix:", 5)) {
		snprintf(l->path, sizeof(l->path), "%s", s->at + 5);
		l->fd = os_unix_listen(l->path);
	} else {
		snprintf(host, sizeof(host), "%.*s", (int)(colon - s->at - 4), s->at + 4);
		l->fd = os_tcp_listen(host, &port, &why);
	}
	if (l->fd >= 0)
		return ST_OK;
	l->path[0] = 0;
	return err_set(err, ST_ARG, "%s %s: %s", s->option, s->at, why ? why : strerror(errno));
}

enum status monitor_new(struct monitor **out, struct machine *m, const struct monitor_options *o, struct err *err)
{
	struct monitor *mon = base_alloc(sizeof(*mon));
	enum status s = ST_OK;

	if (!mon)
		return err_set(err, ST_NOMEM, "out of memory");
	mon->m = m;
	for (unsigned i = 0; i < MONITOR_CLIENTS; i++)
		mon->client[i].fd = -1;
	for (unsigned i = 0; i < o->count && s == ST_OK; i++) {
		s = listen_at(&mon->listener[i], &o->spec[i], err);
		mon->listeners += s == ST_OK;
	}
	mon->keys = s == ST_OK ? keys_new(m) : NULL;
	if (s == ST_OK && !mon->keys)
		s = err_set(err, ST_NOMEM, "out of memory");
	if (s != ST_OK) {
		monitor_free(mon);
		return s;
	}
	m->door.attend = attend;
	m->door.attend_fds = descriptors;
	m->door.attend_arg = mon;
	m->door.attend_live = mon->listeners;
	*out = mon;
	return ST_OK;
}

void monitor_ended(struct monitor *mon)
{
	if (!mon || !machine_ended(mon->m->stop))
		return;
	bool guest = mon->m->stop == MSTOP_POWEROFF && !mon->quit;
	qmp_event(mon, "SHUTDOWN", guest ? "{\"guest\": true, \"reason\": \"guest-shutdown\"}" : "{\"guest\": false, \"reason\": \"host-qmp-quit\"}");
}

void monitor_free(struct monitor *mon)
{
	if (!mon)
		return;
	for (unsigned i = 0; i < MONITOR_CLIENTS; i++)
		os_close(mon->client[i].fd);
	for (unsigned i = 0; i < mon->listeners; i++) {
		os_close(mon->listener[i].fd);
		if (mon->listener[i].path[0])
			os_remove(mon->listener[i].path);
	}
	if (mon->m->door.attend_arg == mon)
		mon->m->door.attend = NULL;
	base_free(mon);
}
