/*
 * virtio entropy device. VIRTIO 1.2, "Entropy Device". The bytes come from the machine's seed, so that a run repeats:
 * a 64-bit xorshift state, its output scrambled by a multiplication (Marsaglia, "Xorshift RNGs"; Vigna's xorshift64*).
 */
#include "dev/virtio.h"

#define AT_ONCE 65536u /* bytes of one request that are filled; the driver takes a short answer */

struct virtio_rng {
	struct virtio v;
	u64 seed; /* wired */
	u64 state;
	struct virtq_elem elem; /* cache */
};

static u64 next(struct virtio_rng *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1dull;
}

static u32 fill(struct virtio_rng *r, u64 len)
{
	u64 block[64];

	for (u64 done = 0; done < len;) {
		u64 n = min_u64(len - done, sizeof(block));
		for (size_t i = 0; i < ARRAY_LEN(block); i++)
			block[i] = next(r);
		if (!virtq_write(&r->v.q[0], &r->elem, done, block, n)) {
			virtio_broken(&r->v);
			return 0;
		}
		done += n;
	}
	return (u32)len;
}

static void notify(struct virtio *v, unsigned queue)
{
	struct virtio_rng *r = (struct virtio_rng *)v;
	struct virtq *q = &v->q[queue];

	/* What is written may be the ring itself: never more rounds than it has entries. */
	for (unsigned n = q->size; n && virtq_pop(q, &r->elem); n--)
		virtq_push(q, &r->elem, fill(r, min_u64(r->elem.in_len, AT_ONCE)));
	virtq_signal(q);
}

static void rng_reset(struct device *d)
{
	struct virtio_rng *r = (struct virtio_rng *)d;

	virtio_reset(d);
	r->state = r->seed;
}

static void rng_destroy(struct device *d)
{
	struct virtio_rng *r = (struct virtio_rng *)d;

	virtio_detach(&r->v);
	base_free(r);
}

static const struct state_row rows[] = { VIRTIO_ROWS(1, struct virtio_rng, v), STATE(50, struct virtio_rng, state) };

static const struct device_ops ops = {
	.name = "virtio-rng", .reset = rng_reset, .loaded = pci_loaded, .destroy = rng_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

static const struct virtio_class class = {
	.id = VIRTIO_ID_RNG, .class_code = 0x00ff00, .queues = 1, .notify = notify,
};

enum status virtio_rng_create(struct device **out, const struct dev_env *e, int devfn, u64 seed)
{
	struct virtio_rng *r = base_alloc(sizeof(*r));

	if (!r)
		return ST_NOMEM;
	r->v.pci.dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	/* Neighbouring seeds must not give neighbouring streams, and zero is xorshift's fixed point. */
	seed = (seed ^ seed >> 31) * 0xbf58476d1ce4e5b9ull;
	r->seed = r->state = (seed ^ seed >> 29) | 1;
	enum status s = virtio_attach(&r->v, e, devfn, &class);
	if (s != ST_OK) {
		base_free(r);
		return s;
	}
	*out = &r->v.pci.dev;
	return ST_OK;
}
