/*
 * Coprocessor error: FERR# of the bootstrap processor latches interrupt line 13; a write to port F0h takes the line
 * back and, while FERR# is active, holds IGNNE# until it is not. "Coprocessor Error Register", SDM 1 "MS-DOS*
 * Compatibility Sub-mode".
 */
#include "dev/devices.h"

struct ferr {
	struct device dev;
	struct irq_line irq13;
	struct ferr_sink sink;
	bool active; /* FERR# */
	bool ignne;  /* IGNNE# as driven */
	struct bus_range range;
};

static void drive_ignne(struct ferr *f, bool on)
{
	if (f->ignne == on)
		return;
	f->ignne = on;
	f->sink.ignne(f->sink.arg, on);
}

void ferr_set(struct device *d, bool active)
{
	struct ferr *f = (struct ferr *)d;

	if (active && !f->active)
		irq_set(&f->irq13, true);
	f->active = active;
	if (!active)
		drive_ignne(f, false);
}

static u64 port_read(void *dev, u64 offset, unsigned size)
{
	(void)dev, (void)offset, (void)size;
	return 0xff;
}

static void port_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct ferr *f = dev;

	(void)offset, (void)size, (void)v;
	irq_set(&f->irq13, false);
	if (f->active)
		drive_ignne(f, true);
}

static const struct bus_ops port_ops = { .read = port_read, .write = port_write, .max_size = 1 };

static void ferr_reset(struct device *d)
{
	struct ferr *f = (struct ferr *)d;

	f->active = false;
	irq_set(&f->irq13, false);
	drive_ignne(f, false);
}

static void ferr_destroy(struct device *d)
{
	struct ferr *f = (struct ferr *)d;

	bus_unmap(d->bus, &f->range);
	base_free(f);
}

/* clang-format off */
static const struct state_row rows[] = {
	STATE(1, struct ferr, active), STATE(2, struct ferr, ignne), STATE(3, struct ferr, irq13.level),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "ferr", .reset = ferr_reset, .destroy = ferr_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

enum status ferr_create(struct device **out, const struct dev_env *e, struct irq_line irq13, struct ferr_sink sink)
{
	struct ferr *f = base_alloc(sizeof(*f));

	if (!f)
		return ST_NOMEM;
	f->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	f->irq13 = irq13;
	f->sink = sink;
	dev_map(&f->dev, &f->range, &port_ops, true, 0xf0, 1);
	*out = &f->dev;
	return ST_OK;
}
