/*
 * pc-testdev, which the open hypervisor test suites expect: a dword of scratch at E0h, again bytewise at E8h, a port
 * that takes a page address, ports that drive interrupt lines, and 64 KiB of scratch memory that is not RAM.
 */
#include "dev/devices.h"

enum { LINES = 24, MEMORY = 0x10000 };

struct testdev {
	struct device dev;
	u32 scratch;
	u32 page;          /* E4h: "flush this page": nothing here can be stale, so it is only remembered */
	u8 memory[MEMORY];
	struct irq_line irq[LINES];
	struct bus_range dword, flush, bytes, lines, mmio;
};

static u64 scratch_read(void *dev, u64 offset, unsigned size)
{
	struct testdev *t = dev;

	return low_bytes((u64)t->scratch >> (offset & 3) * 8, size);
}

static void scratch_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct testdev *t = dev;
	unsigned shift = (unsigned)(offset & 3) * 8;
	u32 written = (u32)(low_bytes(~0ull, size) << shift);

	t->scratch = (t->scratch & ~written) | ((u32)(v << shift) & written);
}

static u64 flush_read(void *dev, u64 offset, unsigned size)
{
	struct testdev *t = dev;

	return low_bytes((u64)t->page >> (offset & 3) * 8, size);
}

static void flush_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct testdev *t = dev;

	if (offset == 0)
		t->page = (u32)low_bytes(v, size);
}

static u64 lines_read(void *dev, u64 offset, unsigned size)
{
	struct testdev *t = dev;

	(void)size;
	return t->irq[offset].level;
}

static void lines_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct testdev *t = dev;

	irq_set(&t->irq[offset], low_bytes(v, size) != 0);
}

static u64 memory_read(void *dev, u64 offset, unsigned size)
{
	struct testdev *t = dev;
	u64 v = 0;

	memcpy(&v, t->memory + offset, min_u64(size, MEMORY - offset));
	return v;
}

static void memory_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct testdev *t = dev;

	memcpy(t->memory + offset, &v, min_u64(size, MEMORY - offset));
}

static const struct bus_ops dword_ops = { .read = scratch_read, .write = scratch_write, .max_size = 4 };
static const struct bus_ops byte_ops = { .read = scratch_read, .write = scratch_write, .max_size = 1 };
static const struct bus_ops flush_ops = { .read = flush_read, .write = flush_write, .max_size = 4 };
static const struct bus_ops line_ops = { .read = lines_read, .write = lines_write, .max_size = 4 };
static const struct bus_ops memory_ops = { .read = memory_read, .write = memory_write, .max_size = 8 };

static void testdev_reset(struct device *d)
{
	struct testdev *t = (struct testdev *)d;

	t->scratch = t->page = 0;
	memset(t->memory, 0, sizeof(t->memory));
	for (unsigned n = 0; n < LINES; n++)
		irq_set(&t->irq[n], false);
}

static void testdev_destroy(struct device *d)
{
	struct testdev *t = (struct testdev *)d;

	bus_unmap(d->bus, &t->dword);
	bus_unmap(d->bus, &t->flush);
	bus_unmap(d->bus, &t->bytes);
	bus_unmap(d->bus, &t->lines);
	bus_unmap(d->bus, &t->mmio);
	base_free(t);
}

/* clang-format off */
#define LINE_ROWS(i)                                                                                                   \
	STATE(10 + i, struct testdev, irq[i].level), STATE(11 + i, struct testdev, irq[i + 1].level),                  \
	STATE(12 + i, struct testdev, irq[i + 2].level), STATE(13 + i, struct testdev, irq[i + 3].level)
static const struct state_row rows[] = {
	STATE(1, struct testdev, scratch), STATE(2, struct testdev, page), STATE_ARRAY(3, struct testdev, memory),
	LINE_ROWS(0), LINE_ROWS(4), LINE_ROWS(8), LINE_ROWS(12), LINE_ROWS(16), LINE_ROWS(20),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "pc-testdev", .reset = testdev_reset, .destroy = testdev_destroy, .rows = rows,
	.row_count = ARRAY_LEN(rows),
};

enum status testdev_create(struct device **out, const struct dev_env *e, const struct irq_line irq[24])
{
	struct testdev *t = base_alloc(sizeof(*t));

	if (!t)
		return ST_NOMEM;
	t->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	memcpy(t->irq, irq, sizeof(t->irq));
	dev_map(&t->dev, &t->dword, &dword_ops, true, 0xe0, 4);
	dev_map(&t->dev, &t->flush, &flush_ops, true, 0xe4, 4);
	dev_map(&t->dev, &t->bytes, &byte_ops, true, 0xe8, 4);
	dev_map(&t->dev, &t->lines, &line_ops, true, 0x2000, LINES);
	dev_map(&t->dev, &t->mmio, &memory_ops, false, 0xff000000, MEMORY);
	*out = &t->dev;
	return ST_OK;
}
