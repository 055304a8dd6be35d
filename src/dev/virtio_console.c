/*
 * virtio console with its one port. VIRTIO 1.2, "Console Device". No size, no multiple ports, no emergency write: none
 * of those features is offered.
 */
#include "dev/virtio.h"

enum { RX, TX };
enum { BUFFER = 256, PIECE = 4096, CONFIG_SIZE = 12 };

/* No console's output comes in such pieces: a chain could name all of memory a thousand times. */
#define CHAIN_MAX (16u << 20)

struct virtio_console {
	struct virtio v;
	struct chan *chan;
	u8 in[BUFFER]; /* typed, not yet in the driver's buffers; oldest first */
	u16 in_len;
	struct virtq_elem elem; /* cache */
};

static void deliver(struct virtio_console *c)
{
	struct virtq *q = &c->v.q[RX];

	while (c->in_len && virtq_pop(q, &c->elem)) {
		u16 n = (u16)min_u64(c->in_len, c->elem.in_len);
		if (!n || !virtq_write(q, &c->elem, 0, c->in, n)) {
			virtio_broken(&c->v);
			return;
		}
		virtq_push(q, &c->elem, n);
		c->in_len = (u16)(c->in_len - n);
		memmove(c->in, c->in + n, c->in_len);
	}
	virtq_signal(q);
}

static void transmit(struct virtio_console *c)
{
	struct virtq *q = &c->v.q[TX];
	u8 buf[PIECE];

	for (unsigned n = q->size; n && virtq_pop(q, &c->elem); n--) {
		if (c->elem.out_len > CHAIN_MAX) {
			virtio_broken(&c->v);
			return;
		}
		for (u64 done = 0; done < c->elem.out_len;) {
			u64 len = min_u64(c->elem.out_len - done, sizeof(buf));
			if (!virtq_read(q, &c->elem, done, buf, len)) {
				virtio_broken(&c->v);
				return;
			}
			chan_write(c->chan, buf, len);
			done += len;
		}
		virtq_push(q, &c->elem, 0);
	}
	virtq_signal(q);
}

static void notify(struct virtio *v, unsigned queue)
{
	struct virtio_console *c = (struct virtio_console *)v;

	if (queue == RX)
		deliver(c);
	else
		transmit(c);
}

static size_t chan_room(void *dev)
{
	const struct virtio_console *c = dev;

	return virtio_running(&c->v) ? (size_t)(BUFFER - c->in_len) : 0;
}

static void chan_input(void *dev, const u8 *buf, size_t n)
{
	struct virtio_console *c = dev;

	memcpy(c->in + c->in_len, buf, n);
	c->in_len = (u16)(c->in_len + n);
	deliver(c);
}

static void reset(struct virtio *v)
{
	struct virtio_console *c = (struct virtio_console *)v;

	memset(c->in, 0, sizeof(c->in));
	c->in_len = 0;
}

static void console_destroy(struct device *d)
{
	struct virtio_console *c = (struct virtio_console *)d;

	virtio_detach(&c->v);
	base_free(c);
}

static const struct state_row rows[] = {
	VIRTIO_ROWS(1, struct virtio_console, v),
	STATE_ARRAY(50, struct virtio_console, in),
	STATE(51, struct virtio_console, in_len),
};

static const struct device_ops ops = {
	.name = "virtio-console", .reset = virtio_reset, .loaded = pci_loaded, .destroy = console_destroy,
	.rows = rows, .row_count = ARRAY_LEN(rows),
};

static const struct virtio_class class = {
	.id = VIRTIO_ID_CONSOLE, .class_code = 0x078000, .queues = 2, .config_size = CONFIG_SIZE, .notify = notify,
	.reset = reset,
};

enum status virtio_console_create(struct device **out, const struct dev_env *e, int devfn, struct chan *chan)
{
	struct virtio_console *c = base_alloc(sizeof(*c));

	if (!c)
		return ST_NOMEM;
	c->v.pci.dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	enum status s = virtio_attach(&c->v, e, devfn, &class);
	if (s != ST_OK) {
		base_free(c);
		return s;
	}
	c->chan = chan;
	if (chan) {
		chan->room = chan_room;
		chan->input = chan_input;
		chan->dev = c;
	}
	*out = &c->v.pci.dev;
	return ST_OK;
}
