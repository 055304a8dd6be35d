/* A small driver for virtio devices: the registers through the BAR, the rings in guest memory. */
#ifndef TESTS_VIRTIO_FIXTURE_H
#define TESTS_VIRTIO_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dev/virtio.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define REGS   0xc0000000ull
#define TABLE  0xc0010000ull
#define FN     (1 << 3)
#define ISR    (REGS + 0x1000)
#define CONFIG (REGS + 0x2000)
#define NOTIFY (REGS + 0x3000)
#define DESC(q)  (0x10000ull + (q) * 0x10000)
#define AVAIL(q) (DESC(q) + 0x4000)
#define USED(q)  (DESC(q) + 0x8000)
#define HEADER   0x40000ull
#define DATA     0x50000ull
#define STATUS   0x41000ull
#define INDIRECT 0x42000ull
#define SECTORS  256u
#define DISK     (SECTORS * 512)

enum { NEXT = 1, WRITE = 2, IND = 4 };
enum { READ_REQ = 0, WRITE_REQ = 1, FLUSH_REQ = 4, ID_REQ = 8, DISCARD_REQ = 11, ZERO_REQ = 13 };

struct pc {
	struct clock clock;
	struct bus bus;
	struct dev_env env;
	struct pci_bus *pci;
	struct device *q35, *lpc, *dev;
	bool level[24];
	unsigned msis;
	u32 msi_data;
	u16 avail[2], used[2];
	unsigned size;
	char path[64];
	u8 out[512];
	size_t out_len;
	struct chan chan;
};

static inline void line_set(void *arg, unsigned n, bool level)
{
	((struct pc *)arg)->level[n] = level;
}

static inline void on_msi(void *arg, struct initiator who, u64 addr, u32 data)
{
	struct pc *pc = arg;

	(void)who, (void)addr;
	pc->msis++;
	pc->msi_data = data;
}

static inline void chan_out(struct chan *c, const u8 *buf, size_t n)
{
	struct pc *pc = (struct pc *)((char *)c - offsetof(struct pc, chan));

	for (size_t i = 0; i < n && pc->out_len < sizeof(pc->out); i++)
		pc->out[pc->out_len++] = buf[i];
}

static const struct chan_ops chan_ops = { .write = chan_out };

/* Sector n begins with n, the rest is its low byte. */
static inline void make_disk(struct pc *pc)
{
	snprintf(pc->path, sizeof(pc->path), "/tmp/turnstile-disk-XXXXXX");
	int fd = mkstemp(pc->path);
	assert_true(fd >= 0);
	for (u32 n = 0; n < SECTORS; n++) {
		u8 s[512];
		memset(s, (int)n, sizeof(s));
		memcpy(s, &n, sizeof(n));
		assert_int_equal(write(fd, s, sizeof(s)), sizeof(s));
	}
	close(fd);
}

static inline int setup(void **state)
{
	struct pc *pc = base_alloc(sizeof(*pc));
	struct irq_line irq[24];
	struct err err;

	clock_init(&pc->clock);
	if (bus_init(&pc->bus, &pc->clock, NULL, 16 << 20, 1ull << 31, &err))
		return -1;
	pc->bus.msi = on_msi;
	pc->bus.msi_arg = pc;
	pc->env = (struct dev_env){ .bus = &pc->bus, .clock = &pc->clock };
	for (unsigned n = 0; n < 24; n++)
		irq[n] = (struct irq_line){ .set = line_set, .arg = pc, .n = n };
	pc->chan.ops = &chan_ops;
	pc->size = 16;
	if (q35_create(&pc->q35, &pc->env, &pc->pci) != ST_OK)
		return -1;
	pc->env.pci = pc->pci;
	if (lpc_create(&pc->lpc, &pc->env, irq) != ST_OK)
		return -1;
	make_disk(pc);
	*state = pc;
	return 0;
}

static inline int teardown(void **state)
{
	struct pc *pc = *state;

	if (pc->dev)
		pc->dev->ops->destroy(pc->dev);
	pc->lpc->ops->destroy(pc->lpc);
	pc->q35->ops->destroy(pc->q35);
	assert_null(pc->clock.first);
	assert_null(pc->bus.mmio);
	assert_null(pc->bus.ports);
	bus_fini(&pc->bus);
	unlink(pc->path);
	base_free(pc);
	return 0;
}

static inline void run(struct pc *pc, u64 ns)
{
	u64 until = pc->clock.now + ns;

	while (pc->clock.next <= until) {
		pc->clock.now = max_u64(pc->clock.now, pc->clock.next);
		clock_fire(&pc->clock);
	}
	pc->clock.now = until;
}

static inline u32 in(struct pc *pc, u64 reg, unsigned size)
{
	return (u32)bus_mmio_read(&pc->bus, reg, size);
}

static inline void out(struct pc *pc, u64 reg, unsigned size, u64 v)
{
	bus_mmio_write(&pc->bus, reg, size, v);
}

static inline u16 mem16(struct pc *pc, u64 pa)
{
	u16 v;

	bus_read(&pc->bus, pa, &v, sizeof(v));
	return v;
}

static inline void set16(struct pc *pc, u64 pa, u16 v)
{
	bus_write(&pc->bus, pa, &v, sizeof(v));
}

static inline u8 mem8(struct pc *pc, u64 pa)
{
	return (u8)mem16(pc, pa);
}

static inline void map(struct pc *pc)
{
	pci_config_write(pc->pci, FN, 0x14, 4, (u32)TABLE);
	pci_config_write(pc->pci, FN, 0x20, 4, (u32)REGS);
	pci_config_write(pc->pci, FN, 4, 2, 6);
}

/* "Device Initialization" up to DRIVER_OK; `features` are bits 31:0. */
static inline void start(struct pc *pc, u32 features, unsigned queues)
{
	out(pc, REGS + 0x14, 1, 0);
	out(pc, REGS + 0x14, 1, 3);
	out(pc, REGS + 8, 4, 0);
	out(pc, REGS + 12, 4, features);
	out(pc, REGS + 8, 4, 1);
	out(pc, REGS + 12, 4, 1);
	out(pc, REGS + 0x14, 1, 11);
	assert_int_equal(in(pc, REGS + 0x14, 1), 11);
	for (unsigned q = 0; q < queues; q++) {
		u8 zero[0xc000] = { 0 };
		bus_write(&pc->bus, DESC(q), zero, sizeof(zero));
		pc->avail[q] = pc->used[q] = 0;
		out(pc, REGS + 0x16, 2, q);
		assert_int_equal(in(pc, REGS + 0x18, 2), 256);
		out(pc, REGS + 0x18, 2, pc->size);
		out(pc, REGS + 0x20, 8, DESC(q));
		out(pc, REGS + 0x28, 8, AVAIL(q));
		out(pc, REGS + 0x30, 8, USED(q));
		out(pc, REGS + 0x1c, 2, 1);
		assert_int_equal(in(pc, REGS + 0x1c, 2), 1);
	}
	out(pc, REGS + 0x14, 1, 15);
}

static inline void put_desc(struct pc *pc, u64 table, unsigned n, u64 addr, u32 len, u16 flags, u16 next)
{
	struct {
		u64 addr;
		u32 len;
		u16 flags, next;
	} d = { addr, len, flags, next };

	bus_write(&pc->bus, table + n * 16, &d, sizeof(d));
}

static inline void offer(struct pc *pc, unsigned q, u16 head)
{
	set16(pc, AVAIL(q) + 4 + 2 * (pc->avail[q] % pc->size), head);
	set16(pc, AVAIL(q) + 2, ++pc->avail[q]);
}

static inline void kick(struct pc *pc, unsigned q)
{
	out(pc, NOTIFY + 4 * q, 2, q);
}

static inline void put_header(struct pc *pc, u64 at, u32 type, u64 sector)
{
	u32 h[4] = { type, 0, (u32)sector, (u32)(sector >> 32) };

	bus_write(&pc->bus, at, h, sizeof(h));
}

/* Header, data and status in three descriptors from `head`. */
static inline void prepare(struct pc *pc, u16 head, u32 type, u64 sector, u32 len)
{
	u16 dir = type == READ_REQ || type == ID_REQ ? WRITE : 0;

	put_header(pc, HEADER, type, sector);
	put_desc(pc, DESC(0), head, HEADER, 16, NEXT, (u16)(head + (len ? 1 : 2)));
	put_desc(pc, DESC(0), head + 1u, DATA, len, NEXT | dir, (u16)(head + 2));
	put_desc(pc, DESC(0), head + 2u, STATUS, 1, WRITE, 0);
	bus_write(&pc->bus, STATUS, "\xee", 1);
}

static inline u8 request(struct pc *pc, u32 type, u64 sector, u32 len)
{
	prepare(pc, 0, type, sector, len);
	offer(pc, 0, 0);
	kick(pc, 0);
	run(pc, 50000);
	pc->used[0]++;
	assert_int_equal(mem16(pc, USED(0) + 2), pc->used[0]);
	return mem8(pc, STATUS);
}

static inline void make_blk(struct pc *pc, bool readonly, bool snapshot)
{
	struct err err = { "" };

	const struct virtio_blk_config cfg = {
		.path = pc->path, .serial = "serial", .option = "--disk", .readonly = readonly, .snapshot = snapshot, .devfn = -1,
	};
	enum status s = virtio_blk_create(&pc->dev, &pc->env, &cfg, &err);
	assert_int_equal(s, ST_OK);
	map(pc);
}

/* Through the capability list to "MSI-X Enable". */
static inline void enable_msix(struct pc *pc)
{
	unsigned cap = pci_config_read(pc->pci, FN, 0x34, 1);

	while (pci_config_read(pc->pci, FN, cap, 1) != 0x11)
		cap = pci_config_read(pc->pci, FN, cap + 1, 1);
	pci_config_write(pc->pci, FN, cap + 2, 2, 0x8000);
}

static inline bool needs_reset(struct pc *pc)
{
	return in(pc, REGS + 0x14, 1) & 64;
}

#endif
