/*
 * virtio network device on libslirp's user-mode network: 10.0.2.0/24, gateway 10.0.2.2, DNS 10.0.2.3, DHCP from
 * 10.0.2.15. VIRTIO 1.2, "Network Device". No offloads are offered, so every packet is a frame behind a plain header.
 *
 * libslirp sees virtual time only. The computer's sockets are looked at when the machine's door says so, in
 * virtio_net_poll(), and nowhere else.
 */
#include "dev/virtio.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <stdlib.h>

enum { F_MAC = 5, F_STATUS = 16 };
enum { CFG_STATUS = 6, CFG_SIZE = 8, LINK_UP = 1 };
enum { RX, TX };
enum { HDR_LEN = 12, HDR_NUM_BUFFERS = 10, FRAME_MAX = 1514, MTU = 1500, BACKLOG = 64, FDS = 512 };

struct frame {
	u16 len;
	u8 data[FRAME_MAX];
};

struct net_timer {
	struct timer timer;
	struct virtio_net *net;
	SlirpTimerId id;
	void *opaque;
};

struct virtio_net {
	struct virtio v;
	Slirp *slirp; /* wired: what it keeps is the outside's */
	struct frame backlog[BACKLOG]; /* received, not yet in the driver's buffers; a circle */
	u16 first, count;
	struct virtq_elem rx, tx; /* cache */
	struct pollfd fd[FDS];  /* cache: of one poll */
	unsigned fds;           /* cache */
};

/* ---- the driver's side ---- */

static bool deliver_frame(struct virtio_net *n, const struct frame *f)
{
	struct virtq *q = &n->v.q[RX];
	u8 header[HDR_LEN] = { [HDR_NUM_BUFFERS] = 1 };

	/* "Setting Up Receive Buffers": without merging a buffer holds any frame; one that does not gets nothing. */
	if (n->rx.in_len < HDR_LEN + (u64)f->len) {
		virtio_broken(&n->v);
		return false;
	}
	if (!virtq_write(q, &n->rx, 0, header, HDR_LEN) || !virtq_write(q, &n->rx, HDR_LEN, f->data, f->len)) {
		virtio_broken(&n->v);
		return false;
	}
	virtq_push(q, &n->rx, HDR_LEN + f->len);
	return true;
}

static void deliver(struct virtio_net *n)
{
	struct virtq *q = &n->v.q[RX];

	while (n->count && virtq_pop(q, &n->rx)) {
		if (!deliver_frame(n, &n->backlog[n->first]))
			return;
		n->first = (u16)((n->first + 1) % BACKLOG);
		n->count--;
	}
	virtq_signal(q);
}

/* Frames longer than Ethernet's are dropped, as a switch would. */
static void transmit(struct virtio_net *n)
{
	struct virtq *q = &n->v.q[TX];
	u8 frame[FRAME_MAX];

	for (unsigned k = q->size; k && virtq_pop(q, &n->tx); k--) {
		u64 len = n->tx.out_len;
		if (len < HDR_LEN) {
			virtio_broken(&n->v);
			return;
		}
		len -= HDR_LEN;
		if (len <= sizeof(frame) && !virtq_read(q, &n->tx, HDR_LEN, frame, len)) {
			virtio_broken(&n->v);
			return;
		}
		virtq_push(q, &n->tx, 0);
		/* An answer may come back at once; it goes through the other queue, after this chain is done with. */
		if (len && len <= sizeof(frame))
			slirp_input(n->slirp, frame, (int)len);
	}
	virtq_signal(q);
}

static void notify(struct virtio *v, unsigned queue)
{
	struct virtio_net *n = (struct virtio_net *)v;

	if (queue == TX)
		transmit(n);
	deliver(n);
}

static void reset(struct virtio *v)
{
	struct virtio_net *n = (struct virtio_net *)v;

	n->first = n->count = 0;
}

/* ---- libslirp's side ---- */

static ssize_t send_packet(const void *buf, size_t len, void *opaque)
{
	struct virtio_net *n = opaque;

	if (n->count == BACKLOG)
		deliver(n);
	/* No driver, or too slow a one: lost, as on any wire. TCP sends it again. */
	if (len <= FRAME_MAX && n->count < BACKLOG && (n->v.status & VIRTIO_STATUS_DRIVER_OK)) {
		struct frame *f = &n->backlog[(n->first + n->count) % BACKLOG];
		memcpy(f->data, buf, len);
		f->len = (u16)len;
		n->count++;
	}
	return (ssize_t)len;
}

static void guest_error(const char *msg, void *opaque)
{
	(void)msg;
	(void)opaque;
}

static int64_t clock_get_ns(void *opaque)
{
	return (int64_t)((struct virtio_net *)opaque)->v.pci.dev.clock->now;
}

static void net_timer_fired(void *arg)
{
	struct net_timer *t = arg;

	slirp_handle_timer(t->net->slirp, t->id, t->opaque);
	deliver(t->net);
}

static void *timer_new_opaque(SlirpTimerId id, void *cb_opaque, void *opaque)
{
	struct virtio_net *n = opaque;
	struct net_timer *t = base_alloc(sizeof(*t));

	if (!t)
		return NULL;
	t->net = n;
	t->id = id;
	t->opaque = cb_opaque;
	timer_init(&t->timer, n->v.pci.dev.clock, net_timer_fired, t);
	timer_loosen(&t->timer);
	return t;
}

static void timer_free(void *timer, void *opaque)
{
	struct net_timer *t = timer;

	(void)opaque;
	if (t)
		timer_disarm(&t->timer);
	base_free(t);
}

static void timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	struct net_timer *t = timer;

	(void)opaque;
	if (t)
		timer_arm(&t->timer, expire_ms < 0 ? 0 : (u64)expire_ms * 1000000u);
}

static void no_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static void no_notify(void *opaque)
{
	(void)opaque;
}

static const SlirpCb callbacks = {
	.send_packet = send_packet, .guest_error = guest_error, .clock_get_ns = clock_get_ns, .timer_free = timer_free,
	.timer_mod = timer_mod, .register_poll_fd = no_fd, .unregister_poll_fd = no_fd, .notify = no_notify,
	.timer_new_opaque = timer_new_opaque,
};

/* ---- the computer's sockets ---- */

static const struct {
	int slirp;
	short poll;
} event_bits[] = {
	{ SLIRP_POLL_IN, POLLIN }, { SLIRP_POLL_OUT, POLLOUT }, { SLIRP_POLL_PRI, POLLPRI },
	{ SLIRP_POLL_ERR, POLLERR }, { SLIRP_POLL_HUP, POLLHUP },
};

static int add_poll(int fd, int events, void *opaque)
{
	struct virtio_net *n = opaque;
	short want = 0;

	if (n->fds == FDS)
		return -1; /* looked at when others are gone */
	for (size_t i = 0; i < ARRAY_LEN(event_bits); i++)
		if (events & event_bits[i].slirp)
			want = (short)(want | event_bits[i].poll);
	n->fd[n->fds] = (struct pollfd){ .fd = fd, .events = want };
	return (int)n->fds++;
}

static int get_revents(int idx, void *opaque)
{
	const struct virtio_net *n = opaque;
	int events = 0;

	if (idx < 0 || (unsigned)idx >= n->fds)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(event_bits); i++)
		if (n->fd[idx].revents & event_bits[i].poll)
			events |= event_bits[i].slirp;
	return events;
}

void virtio_net_poll(struct device *net, int timeout_ms)
{
	struct virtio_net *n = (struct virtio_net *)net;
	uint32_t wait = timeout_ms < 0 ? UINT32_MAX : (uint32_t)timeout_ms;

	n->fds = 0;
	slirp_pollfds_fill(n->slirp, &wait, add_poll, n);
	wait = (uint32_t)min_u64(wait, timeout_ms > 0 ? (u64)timeout_ms : 0);
	int got = poll(n->fd, n->fds, (int)wait);
	bool interrupted = got < 0 && errno == EINTR; /* a signal is nobody's error: nothing is ready */
	for (unsigned i = 0; interrupted && i < n->fds; i++)
		n->fd[i].revents = 0;
	slirp_pollfds_poll(n->slirp, got < 0 && !interrupted, get_revents, n);
	deliver(n);
}

/* ---- hostfwd=tcp|udp:[addr]:port-[addr]:port ---- */

struct forward {
	bool udp;
	struct in_addr host, guest;
	u16 host_port, guest_port;
};

/* "[addr]:port", ended by `end`; an empty address leaves *addr alone. Returns what follows, NULL: malformed. */
static const char *endpoint(const char *s, char end, struct in_addr *addr, u16 *port)
{
	const char *colon = strchr(s, ':');
	char text[INET_ADDRSTRLEN], *rest;

	if (!colon || (size_t)(colon - s) >= sizeof(text))
		return NULL;
	memcpy(text, s, (size_t)(colon - s));
	text[colon - s] = 0;
	if (text[0] && inet_pton(AF_INET, text, addr) != 1)
		return NULL;
	if (colon[1] < '0' || colon[1] > '9')
		return NULL;
	unsigned long n = strtoul(colon + 1, &rest, 10);
	if (n > 65535 || *rest != end)
		return NULL;
	*port = (u16)n;
	return rest + (end != 0);
}

static bool parse_forward(const char *s, struct forward *f)
{
	*f = (struct forward){ .udp = !strncmp(s, "udp:", 4) };
	if (f->udp || !strncmp(s, "tcp:", 4))
		s += 4;
	else if (*s == ':')
		s++; /* as in QEMU, no protocol is TCP */
	else
		return false;
	s = endpoint(s, '-', &f->host, &f->host_port);
	s = s ? endpoint(s, 0, &f->guest, &f->guest_port) : NULL;
	return s && f->guest_port;
}

static enum status forward_all(struct virtio_net *n, const char *const *hostfwd, struct err *err)
{
	struct forward f;

	for (; hostfwd && *hostfwd; hostfwd++) {
		if (!parse_forward(*hostfwd, &f))
			return err_set(err, ST_ARG, "hostfwd=%s: not tcp|udp:[ADDRESS]:PORT-[ADDRESS]:PORT", *hostfwd);
		if (!f.guest.s_addr)
			inet_pton(AF_INET, "10.0.2.15", &f.guest);
		if (slirp_add_hostfwd(n->slirp, f.udp, f.host, f.host_port, f.guest, f.guest_port) < 0)
			return err_set(err, ST_ARG, "hostfwd=%s: port %u cannot be opened: %s", *hostfwd, f.host_port,
				       strerror(errno));
	}
	return ST_OK;
}

/* ---- coming and going ---- */

static Slirp *open_network(struct virtio_net *n)
{
	SlirpConfig cfg = { .version = 4, .in_enabled = true, .vhostname = "turnstile", .if_mtu = MTU, .if_mru = MTU };

	inet_pton(AF_INET, "10.0.2.0", &cfg.vnetwork);
	inet_pton(AF_INET, "255.255.255.0", &cfg.vnetmask);
	inet_pton(AF_INET, "10.0.2.2", &cfg.vhost);
	inet_pton(AF_INET, "10.0.2.15", &cfg.vdhcp_start);
	inet_pton(AF_INET, "10.0.2.3", &cfg.vnameserver);
	return slirp_new(&cfg, &callbacks, n);
}

static void net_destroy(struct device *d)
{
	struct virtio_net *n = (struct virtio_net *)d;

	if (n->slirp)
		slirp_cleanup(n->slirp);
	virtio_detach(&n->v);
	base_free(n);
}

/* Frames in flight belong to a run that cannot repeat: they have no rows. */
static const struct state_row rows[] = { VIRTIO_ROWS(1, struct virtio_net, v), STATE(50, struct virtio_net, count),
	STATE(51, struct virtio_net, first), STATE_ARRAY(52, struct virtio_net, backlog) };

static const struct device_ops ops = {
	.name = "virtio-net", .reset = virtio_reset, .loaded = pci_loaded, .destroy = net_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

static const struct virtio_class class = {
	.id = VIRTIO_ID_NET, .class_code = 0x020000, .queues = 2, .config_size = CFG_SIZE, .notify = notify,
	.reset = reset,
};

enum status virtio_net_create(struct device **out, const struct dev_env *e, int devfn, const char *const *hostfwd,
			      const u8 mac[6], struct err *err)
{
	struct virtio_net *n = base_alloc(sizeof(*n));

	if (!n)
		return ST_NOMEM;
	n->v.pci.dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	n->v.offered = BIT(F_MAC) | BIT(F_STATUS);
	memcpy(n->v.config, mac, 6);
	n->v.config[CFG_STATUS] = LINK_UP;
	enum status s = virtio_attach(&n->v, e, devfn, &class);
	if (s != ST_OK) {
		base_free(n);
		return err_set(err, s, "network card: that PCI slot is taken, or none is left");
	}
	n->slirp = open_network(n);
	s = n->slirp ? forward_all(n, hostfwd, err) : err_set(err, ST_NOMEM, "the user-mode network cannot be opened");
	if (s != ST_OK) {
		net_destroy(&n->v.pci.dev);
		return s;
	}
	*out = &n->v.pci.dev;
	return ST_OK;
}
