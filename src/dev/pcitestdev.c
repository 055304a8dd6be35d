/*
 * The PCI test device 1B36:0005 of the open hypervisor test-suites: each BAR describes tests, and counts the stores
 * that match the one selected. BAR 0 is memory, BAR 1 ports.
 *
 * The header: 0 test (write: select), 1 width (0: no such test), 4 offset, 8 data, 12 count, 16 name, zero-terminated.
 */
#include "dev/pci.h"

enum { HDR_TEST = 0, HDR_WIDTH = 1, HDR_OFFSET = 4, HDR_DATA = 8, HDR_COUNT = 12, HDR_NAME = 16, HDR_SIZE = 48 };
enum { MEM_SIZE = 4096, IO_SIZE = 256, TESTS = 3, TEST_AREA = 0x80, DATAMATCH = 2, DATA = 0xfa };

struct bank {
	u8 test;
	u32 count;
	bool io; /* wired */
};

struct pcitestdev {
	struct pci_dev pci;
	struct bank bank[2];
};

static const char *const names[2][TESTS] = {
	{ "mmio-no-eventfd", "mmio-wildcard-eventfd", "mmio-datamatch-eventfd" },
	{ "portio-no-eventfd", "portio-wildcard-eventfd", "portio-datamatch-eventfd" },
};

static void put32(u8 *p, u32 v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (u8)(v >> 8 * i);
}

static u32 test_offset(const struct bank *b)
{
	return TEST_AREA + b->test * 4u;
}

static void header(const struct bank *b, u8 h[HDR_SIZE])
{
	memset(h, 0, HDR_SIZE);
	h[HDR_TEST] = b->test;
	if (b->test >= TESTS)
		return;
	h[HDR_WIDTH] = 1;
	put32(h + HDR_OFFSET, test_offset(b));
	put32(h + HDR_DATA, DATA);
	put32(h + HDR_COUNT, b->count);
	memcpy(h + HDR_NAME, names[b->io][b->test], strlen(names[b->io][b->test]));
}

static u64 bank_read(void *dev, u64 offset, unsigned size)
{
	u8 h[HDR_SIZE];
	u64 v = 0;

	header(dev, h);
	for (unsigned i = 0; i < size; i++)
		v |= (u64)(offset + i < HDR_SIZE ? h[offset + i] : 0) << 8 * i;
	return v;
}

static void bank_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct bank *b = dev;

	if (offset == HDR_TEST) {
		b->test = (u8)v;
		b->count = 0;
	} else if (b->test < TESTS && offset == test_offset(b) && size == 1 && (b->test != DATAMATCH || v == DATA)) {
		b->count++;
	}
}

static const struct bus_ops bank_ops = { .read = bank_read, .write = bank_write, .max_size = 4 };

static void pcitestdev_reset(struct device *d)
{
	struct pcitestdev *t = (struct pcitestdev *)d;

	pci_reset(&t->pci);
	for (unsigned i = 0; i < 2; i++)
		t->bank[i] = (struct bank){ .test = 0xff, .io = i };
}

static void pcitestdev_destroy(struct device *d)
{
	struct pcitestdev *t = (struct pcitestdev *)d;

	pci_detach(&t->pci);
	base_free(t);
}

/* clang-format off */
static const struct state_row rows[] = {
	PCI_ROWS(1, struct pcitestdev, pci),
	STATE(10, struct pcitestdev, bank[0].test), STATE(11, struct pcitestdev, bank[0].count),
	STATE(12, struct pcitestdev, bank[1].test), STATE(13, struct pcitestdev, bank[1].count),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "pci-testdev", .reset = pcitestdev_reset, .loaded = pci_loaded, .destroy = pcitestdev_destroy,
	.rows = rows, .row_count = ARRAY_LEN(rows),
};

enum status pcitestdev_create(struct device **out, const struct dev_env *e, int devfn)
{
	static const struct pci_ids ids = {
		.vendor = 0x1b36, .device = 0x0005, .class_code = 0x00ff00,
		.subsystem_vendor = 0x1af4, .subsystem = 0x1100,
	};
	struct pcitestdev *t = base_alloc(sizeof(*t));

	if (!t)
		return ST_NOMEM;
	t->pci.dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	enum status s = pci_attach(&t->pci, e->pci, devfn, &ids);
	if (s != ST_OK) {
		base_free(t);
		return s;
	}
	pci_add_bar(&t->pci, 0, PCI_BAR_MEM32, MEM_SIZE, &bank_ops, &t->bank[0]);
	pci_add_bar(&t->pci, 1, PCI_BAR_IO, IO_SIZE, &bank_ops, &t->bank[1]);
	pci_ready(&t->pci);
	pcitestdev_reset(&t->pci.dev);
	*out = &t->pci.dev;
	return ST_OK;
}
