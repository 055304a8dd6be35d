/*
 * Port 8900h: the letters of `Shutdown`, one byte at a time, power the machine off.
 */
#include "dev/devices.h"

struct shutdownport {
	struct device dev;
	u8 matched; /* letters of the word seen so far */
	const struct platform *platform;
	struct bus_range range;
};

static u64 port_read(void *dev, u64 offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0xff;
}

static void port_write(void *dev, u64 offset, unsigned size, u64 v)
{
	static const char word[] = "Shutdown";
	struct shutdownport *s = dev;

	(void)offset;
	(void)size;
	if ((u8)v != (u8)word[s->matched])
		s->matched = 0;
	if ((u8)v == (u8)word[s->matched])
		s->matched++;
	if (s->matched < sizeof(word) - 1)
		return;
	s->matched = 0;
	if (s->platform && s->platform->power_off)
		s->platform->power_off(s->platform->arg);
}

static const struct bus_ops port_ops = { .read = port_read, .write = port_write, .max_size = 1 };

static void shutdownport_reset(struct device *d)
{
	struct shutdownport *s = (struct shutdownport *)d;

	s->matched = 0;
}

static void shutdownport_destroy(struct device *d)
{
	struct shutdownport *s = (struct shutdownport *)d;

	bus_unmap(d->bus, &s->range);
	base_free(s);
}

/* clang-format off */
static const struct state_row rows[] = { STATE(1, struct shutdownport, matched) };
/* clang-format on */

static const struct device_ops ops = {
	.name = "shutdownport", .reset = shutdownport_reset, .destroy = shutdownport_destroy, .rows = rows,
	.row_count = ARRAY_LEN(rows),
};

enum status shutdownport_create(struct device **out, const struct dev_env *e)
{
	struct shutdownport *s = base_alloc(sizeof(*s));

	if (!s)
		return ST_NOMEM;
	s->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	s->platform = e->platform;
	dev_map(&s->dev, &s->range, &port_ops, true, 0x8900, 1);
	*out = &s->dev;
	return ST_OK;
}
