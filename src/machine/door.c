/*
 * The one door for the outside. Input enters only here, between slices, which is where a recorder stamps it with the
 * instruction count; output that devices buffered leaves here too.
 */
#include "base/os.h"
#include "dev/devices.h"
#include "machine/machine.h"

void door_add(struct door *d, struct chan *c)
{
	c->next = d->chans;
	d->chans = c;
}

enum status door_start(struct machine *m, struct err *err)
{
	for (struct chan *c = m->door.chans; c; c = c->next) {
		enum status s = chan_start(c, err);
		if (s != ST_OK)
			return err_in(err, s, c->option);
	}
	return ST_OK;
}

/* What is buffered leaves. A channel that fails says so once; the guest goes on. */
static void flush(struct machine *m, struct chan *c)
{
	chan_flush(c);
	if (!c->failed || c->told)
		return;
	c->told = true;
	(c->promised ? machine_lost : machine_note)(m, "%s %s: %s; what the guest writes there from here on is lost",
	                                  c->option ? c->option : "channel", c->spec, strerror(c->failed));
}

/* Who sleeps takes no input: a key is then the power button's. */
static bool poll_chan(struct machine *m, struct chan *c)
{
	u8 buf[256];
	size_t room = c->room && c->input && !m->asleep ? c->room(c->dev) : 0;
	size_t want = min_u64(room, sizeof(buf));

	/* A full device still lets the owner of the terminal see its keys: it must be possible to leave a stuck guest.
	 */
	if (!want && !c->filter && !m->asleep)
		return false;
	size_t n = c->ops->read(c, buf, want ? want : 1), got = n;
	if (n && c->filter)
		n = c->filter(c->filter_arg, buf, n);
	if (n && m->asleep) {
		m->door.typed = true;
		acpipm_power_button(m->pm);
	}
	if (n > room)
		n = room;
	if (n) {
		c->input(c->dev, buf, n);
		m->door.typed = true;
	}
	return got != 0;
}

bool door_poll(struct machine *m)
{
	bool any = false;

	for (struct chan *c = m->door.chans; c; c = c->next) {
		flush(m, c);
		if (chan_live(c))
			any |= poll_chan(m, c);
	}
	for (unsigned i = 0; i < m->door.net_count; i++)
		virtio_net_poll(m->door.nets[i], 0);
	if (m->door.look)
		m->door.look(m->door.look_arg);
	if (m->door.attend)
		m->door.attend(m->door.attend_arg);
	return any;
}

bool door_live(const struct machine *m)
{
	if (m->door.net_count || m->door.attend_live)
		return true;
	for (struct chan *c = m->door.chans; c; c = c->next)
		if (chan_live(c))
			return true;
	return false;
}

void door_wait(struct machine *m, u64 max_real_ns)
{
	enum { NET_SLICE_MS = 5 }; /* libslirp's own descriptors are polled by the device: share the wait */
	int fds[32];
	unsigned n = 0;
	u64 ms = min_u64(max_real_ns / 1000000, 100);

	door_flush(m);
	if (m->door.look)
		fds[n++] = m->door.look_fd;
	if (m->door.attend)
		n += m->door.attend_fds(m->door.attend_arg, fds + n, 16);
	for (struct chan *c = m->door.chans; c && n < ARRAY_LEN(fds); c = c->next)
		if (chan_live(c))
			fds[n++] = c->ops->fd(c);
	if (m->door.net_count) {
		virtio_net_poll(m->door.nets[0], (int)(n ? min_u64(ms, NET_SLICE_MS) : ms));
		ms = 0;
	}
	os_wait_readable(fds, n, (int)ms);
}

void door_flush(struct machine *m)
{
	for (struct chan *c = m->door.chans; c; c = c->next)
		flush(m, c);
}

void door_close(struct machine *m)
{
	while (m->door.chans) {
		struct chan *c = m->door.chans;
		m->door.chans = c->next;
		chan_close(c);
	}
}
