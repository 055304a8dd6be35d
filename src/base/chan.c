#include "base/chan.h"
#include "base/os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* One implementation serves every kind: an input descriptor, an output descriptor, a listening one, any of them -1. */
struct fd_chan {
	struct chan chan;
	int in, out, listen;
	bool own;     /* close the descriptors with the channel */
	bool dead;    /* output failed: it must not stop the guest */
	bool wait;    /* a server waits for its first client */
	bool bound;   /* the socket at path is ours */
	bool pending; /* not started yet */
	u64 gone;     /* bytes that have left */
	size_t used;
	u8 buf[4096]; /* output waiting for the next slice boundary */
	char path[];  /* file or socket; "" if there is none */
};

static struct fd_chan *fdc(struct chan *c)
{
	return (struct fd_chan *)c;
}

static void fd_flush(struct chan *c)
{
	struct fd_chan *f = fdc(c);

	if (f->pending)
		return;
	if (f->used && f->out >= 0 && !f->dead && !os_write_all(f->out, f->buf, f->used)) {
		f->dead = true;
		c->failed = errno;
		/* A peer may leave when it likes; a disk that is full is nobody's wish. */
		c->promised = c->promised || errno == ENOSPC || errno == EFBIG || errno == EDQUOT;
	}
	f->gone += f->used;
	if (f->used && f->out == 1)
		c->in_line = f->buf[f->used - 1] == '\n' ? 0 : f->gone;
	f->used = 0;
}

static void fd_write(struct chan *c, const u8 *buf, size_t n)
{
	struct fd_chan *f = fdc(c);

	if ((f->out < 0 && !f->pending) || f->dead)
		return;
	while (n && !(f->pending && f->used == sizeof(f->buf))) {
		size_t k = min_u64(n, sizeof(f->buf) - f->used);
		memcpy(f->buf + f->used, buf, k);
		f->used += k;
		buf += k;
		n -= k;
		if (f->used == sizeof(f->buf))
			fd_flush(c);
	}
}

static void fd_close(struct chan *c)
{
	struct fd_chan *f = fdc(c);

	if (f->own) {
		os_close(f->in);
		if (f->out != f->in)
			os_close(f->out);
		os_close(f->listen);
	}
	if (f->bound)
		os_remove(f->path);
	base_free(f);
}

static void hang_up(struct fd_chan *f)
{
	if (f->own && f->in >= 0) {
		if (f->out == f->in)
			f->out = -1;
		os_close(f->in);
	}
	f->in = -1;
}

static size_t fd_read(struct chan *c, u8 *buf, size_t n)
{
	struct fd_chan *f = fdc(c);
	bool eof;

	if (f->in < 0 && f->listen >= 0) {
		f->in = f->out = os_accept(f->listen); /* never blocks */
		f->dead = c->told = false;
		c->failed = 0;
		return 0;
	}
	if (f->in < 0)
		return 0;
	size_t got = os_read_ready(f->in, buf, n, &eof);
	if (eof)
		hang_up(f);
	return got;
}

static int fd_fd(struct chan *c)
{
	return fdc(c)->in >= 0 ? fdc(c)->in : fdc(c)->listen;
}

static const struct chan_ops both_ops = {fd_write, fd_read, fd_fd, fd_close, fd_flush, NULL};
static const struct chan_ops output_ops = {fd_write, NULL, NULL, fd_close, fd_flush, NULL};

static enum status start_file(struct chan *c, struct err *err)
{
	struct fd_chan *f = fdc(c);

	f->out = os_open_output(f->path);
	f->pending = false;
	return f->out >= 0 ? ST_OK : err_set(err, ST_ARG, "%s: %s", f->path, strerror(errno));
}

static enum status start_server(struct chan *c, struct err *err)
{
	struct fd_chan *f = fdc(c);

	f->listen = os_unix_listen(f->path);
	f->pending = false;
	if (f->listen < 0)
		return err_set(err, ST_ARG, "unix:%s: %s", f->path, strerror(errno));
	f->bound = true;
	if (f->wait) {
		os_wait_readable(&f->listen, 1, -1);
		f->in = f->out = os_accept(f->listen);
	}
	return ST_OK;
}

static const struct chan_ops file_ops = {fd_write, NULL, NULL, fd_close, fd_flush, start_file};
static const struct chan_ops server_ops = {fd_write, fd_read, fd_fd, fd_close, fd_flush, start_server};

static enum status make(struct chan **out, const struct chan_ops *ops, int fd, const char *path, struct err *err)
{
	struct fd_chan *f = base_alloc(sizeof(*f) + strlen(path) + 1);

	if (!f) {
		os_close(fd);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	f->chan.ops = ops;
	f->in = f->out = fd;
	f->listen = -1;
	f->own = true;
	f->pending = ops->start != NULL;
	memcpy(f->path, path, strlen(path));
	*out = &f->chan;
	return ST_OK;
}

static enum status open_stdio(struct chan **out, bool input, struct err *err)
{
	enum status s = make(out, input ? &both_ops : &output_ops, -1, "", err);

	if (s != ST_OK)
		return s;
	fdc(*out)->own = false;
	fdc(*out)->in = input && os_readable_source(0) ? 0 : -1;
	fdc(*out)->out = 1;
	(*out)->terminal = input;
	return ST_OK;
}

static enum status open_file(struct chan **out, const char *path, struct err *err)
{
	if (!*path)
		return err_set(err, ST_ARG, "file: without a path");
	if (!os_may_write(path))
		return err_set(err, ST_ARG, "%s: %s", path, strerror(errno));
	enum status s = make(out, &file_ops, -1, path, err);
	if (s == ST_OK)
		(*out)->promised = true;
	return s;
}

static enum status open_pty(struct chan **out, struct err *err)
{
	char name[64];
	int fd = os_pty(name, sizeof(name));

	if (fd < 0)
		return err_set(err, ST_IO, "no pty: %s", strerror(errno));
	enum status s = make(out, &both_ops, fd, "", err);
	if (s == ST_OK)
		snprintf((*out)->note, sizeof((*out)->note), "char device redirected to %s", name);
	return s;
}

struct unix_spec {
	char path[128];
	bool server, wait;
};

static bool is_on(const char *word, const char *name, bool *value)
{
	size_t n = strlen(name);

	if (strncmp(word, name, n))
		return false;
	if (!word[n] || !strcmp(word + n, "=on"))
		return *value = true;
	if (strcmp(word + n, "=off"))
		return false;
	*value = false;
	return true;
}

static enum status parse_unix(struct unix_spec *u, const char *spec, struct err *err)
{
	size_t n = strcspn(spec, ",");

	*u = (struct unix_spec){.wait = true};
	if (n == 0 || n >= 108)
		return err_set(err, ST_ARG, "unix:%s: a socket's path has 1 to 107 characters", spec);
	memcpy(u->path, spec, n);
	for (spec += n; *spec; spec += n) {
		char word[32];
		n = strcspn(++spec, ",");
		snprintf(word, sizeof(word), "%.*s", (int)n, spec);
		if (!strcmp(word, "nowait"))
			u->wait = false;
		else if (!is_on(word, "server", &u->server) && !is_on(word, "wait", &u->wait))
			return err_set(err, ST_ARG, "unix:%s: '%s' is not a key (server, wait)", u->path, word);
	}
	return ST_OK;
}

static enum status open_unix(struct chan **out, const char *spec, struct err *err)
{
	struct unix_spec u;
	enum status s = parse_unix(&u, spec, err);

	if (s != ST_OK)
		return s;
	if (!u.server) {
		int fd = os_unix_connect(u.path);
		if (fd < 0)
			return err_set(err, ST_ARG, "unix:%s: %s", u.path, strerror(errno));
		return make(out, &both_ops, fd, "", err);
	}
	s = make(out, &server_ops, -1, u.path, err);
	if (s == ST_OK)
		fdc(*out)->wait = u.wait;
	return s;
}

enum status chan_open(struct chan **out, const char *spec, struct err *err)
{
	*out = NULL;
	if (!strcmp(spec, "null"))
		return make(out, &output_ops, -1, "", err);
	if (!strcmp(spec, "stdio") || !strcmp(spec, "mon:stdio"))
		return open_stdio(out, true, err);
	if (!strcmp(spec, "stdout"))
		return open_stdio(out, false, err);
	if (!strcmp(spec, "pty"))
		return open_pty(out, err);
	if (!strncmp(spec, "file:", 5))
		return open_file(out, spec + 5, err);
	if (!strncmp(spec, "unix:", 5))
		return open_unix(out, spec + 5, err);
	return err_set(err, ST_ARG, "'%s' is not a channel (stdio, mon:stdio, null, file:PATH, unix:PATH, pty)", spec);
}

enum status chan_start(struct chan *c, struct err *err)
{
	return c->ops->start ? c->ops->start(c, err) : ST_OK;
}

void chan_flush(struct chan *c)
{
	if (c && c->ops->flush)
		c->ops->flush(c);
}

void chan_close(struct chan *c)
{
	if (!c)
		return;
	chan_flush(c);
	c->ops->close(c);
}

bool chan_live(struct chan *c)
{
	return c && c->ops->read && c->ops->fd && c->ops->fd(c) >= 0;
}
