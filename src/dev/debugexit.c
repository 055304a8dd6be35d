/*
 * isa-debug-exit: a value written to its ports ends the run; the machine makes an exit status of it.
 */
#include "dev/devices.h"

struct debugexit {
	struct device dev;
	const struct platform *platform;
	struct bus_range range;
};

static u64 exit_read(void *dev, u64 offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0;
}

static void exit_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct debugexit *d = dev;

	(void)offset;
	if (d->platform && d->platform->debug_exit)
		d->platform->debug_exit(d->platform->arg, (u32)low_bytes(v, size));
}

static const struct bus_ops port_ops = { .read = exit_read, .write = exit_write, .max_size = 4 };

static void debugexit_reset(struct device *d)
{
	(void)d;
}

static void debugexit_destroy(struct device *d)
{
	struct debugexit *x = (struct debugexit *)d;

	bus_unmap(d->bus, &x->range);
	base_free(x);
}

static const struct device_ops ops = {
	.name = "isa-debug-exit", .reset = debugexit_reset, .destroy = debugexit_destroy };

enum status debugexit_create(struct device **out, const struct dev_env *e, u16 port, u16 size)
{
	struct debugexit *x = base_alloc(sizeof(*x));

	if (!x)
		return ST_NOMEM;
	x->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	x->platform = e->platform;
	dev_map(&x->dev, &x->range, &port_ops, true, port, size ? size : 2);
	*out = &x->dev;
	return ST_OK;
}
