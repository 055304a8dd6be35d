/*
 * The debug console: a byte written to the port goes out; a read gives E9h, by which software finds it.
 */
#include "dev/devices.h"

struct debugcon {
	struct device dev;
	struct chan *chan;
	struct bus_range range;
};

static u64 debugcon_read(void *dev, u64 offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0xe9;
}

static void debugcon_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct debugcon *d = dev;
	u8 byte = (u8)v;

	(void)offset;
	(void)size;
	chan_write(d->chan, &byte, 1);
}

static const struct bus_ops port_ops = { .read = debugcon_read, .write = debugcon_write, .max_size = 1 };

static void debugcon_reset(struct device *d)
{
	(void)d;
}

static void debugcon_destroy(struct device *d)
{
	struct debugcon *c = (struct debugcon *)d;

	bus_unmap(d->bus, &c->range);
	base_free(c);
}

static const struct device_ops ops = { .name = "debugcon", .reset = debugcon_reset, .destroy = debugcon_destroy };

enum status debugcon_create(struct device **out, const struct dev_env *e, u16 port, struct chan *chan)
{
	struct debugcon *c = base_alloc(sizeof(*c));

	if (!c)
		return ST_NOMEM;
	c->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	c->chan = chan;
	dev_map(&c->dev, &c->range, &port_ops, true, port, 1);
	*out = &c->dev;
	return ST_OK;
}
