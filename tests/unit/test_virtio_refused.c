/*
 * Rings and buffers that the northbridge keeps from their device, and what the driver then sees of it: an error for a
 * request whose data cannot be reached, a device that waits for a reset where its own structures cannot. 33047 "Access
 * Checking"; VIRTIO 1.2 "Device Status Field".
 */
#include "virtio_fixture.h"

#include "report.h"

enum { NB = NORTHBRIDGE_SLOT << 3 | 3, DEV_OP = 0xf4, DEV_DATA = 0xf8, BASE_LO = 0x000, CR = 0x400, ERR_STATUS = 0x500, ADDR_LO = 0x600 };
enum { ENABLE = 1, INVALIDATE = 16, IOERR = 1 };
#define VECTOR_TABLE 0x200000ull

static struct device *northbridge;

static void no_machine_check(void *arg, u64 status, u64 addr)
{
	(void)arg, (void)status, (void)addr;
	fail();
}

static bool memory_enabled(void *arg)
{
	(void)arg;
	return true;
}

static u32 dev(struct pc *pc, u32 op)
{
	pci_config_write(pc->pci, NB, DEV_OP, 4, op);
	return pci_config_read(pc->pci, NB, DEV_DATA, 4);
}

static void dev_put(struct pc *pc, u32 op, u32 v)
{
	pci_config_write(pc->pci, NB, DEV_OP, 4, op);
	pci_config_write(pc->pci, NB, DEV_DATA, 4, v);
}

static int guarded(void **state)
{
	const struct northbridge_env env = { .machine_check = no_machine_check, .memory_enabled = memory_enabled };
	struct pc *pc;

	if (setup(state))
		return -1;
	pc = *state;
	if (northbridge_create(&northbridge, &pc->env, env) != ST_OK)
		return -1;
	dev_put(pc, BASE_LO, (u32)VECTOR_TABLE | 1);
	dev_put(pc, CR, ENABLE);
	return 0;
}

static int unguarded(void **state)
{
	northbridge->ops->destroy(northbridge);
	return teardown(state);
}

/* This page and no other. 0: none. */
static void close_page(struct pc *pc, u64 pa)
{
	static const u8 none[0x20000];
	u8 bit = (u8)(1u << (pa >> 12) % 8);

	bus_write(&pc->bus, VECTOR_TABLE, none, sizeof(none));
	if (pa)
		bus_write(&pc->bus, VECTOR_TABLE + (pa >> 15), &bit, 1);
	dev_put(pc, CR, ENABLE | INVALIDATE);
	dev_put(pc, ERR_STATUS, 0);
	pci_config_write(pc->pci, FN, PCI_STATUS, 2, PCI_STS_MASTER_ABORT);
}

static bool aborted(struct pc *pc)
{
	return pci_config_read(pc->pci, FN, PCI_STATUS, 2) & PCI_STS_MASTER_ABORT;
}

/* ---- a disk ---- */

static void blk_data(void **state)
{
	struct pc *pc = *state;
	u8 bytes[512], back[512];

	make_blk(pc, false, false);
	start(pc, 0, 1);
	memset(bytes, 0x5a, sizeof(bytes));
	bus_write(&pc->bus, DATA, bytes, sizeof(bytes));
	close_page(pc, DATA);
	assert_int_equal(request(pc, READ_REQ, 7, 512), IOERR);
	bus_read(&pc->bus, DATA, back, sizeof(back));
	assert_memory_equal(back, bytes, sizeof(back));
	assert_true(aborted(pc));
	assert_int_equal(dev(pc, ADDR_LO), DATA);
	assert_int_equal(request(pc, WRITE_REQ, 7, 512), IOERR);
	assert_false(needs_reset(pc));
	close_page(pc, 0);
	assert_int_equal(request(pc, READ_REQ, 7, 512), 0);
	assert_int_equal(mem8(pc, DATA), 7); /* and what was on the disk is there still */
	assert_int_equal(mem8(pc, DATA + 511), 7);
	assert_false(aborted(pc));
	proves("svm.2.20.3.3 svm.2.20.3.4 svm.2.20.3.5 svm.2.20.3.6");
}

/* Of a transfer that runs into a closed page the first part has moved, and the request fails. */
static void blk_crossing(void **state)
{
	struct pc *pc = *state;
	u8 none[8192] = { 0 };

	make_blk(pc, false, false);
	start(pc, 0, 1);
	bus_write(&pc->bus, DATA, none, sizeof(none));
	close_page(pc, DATA + 0x1000);
	assert_int_equal(request(pc, READ_REQ, 1, 8192), IOERR);
	assert_int_equal(mem8(pc, DATA), 1);
	assert_int_equal(mem8(pc, DATA + 0x1000), 0);
	assert_int_equal(dev(pc, ADDR_LO), DATA + 0x1000);
}

/* Header, status and each part of the ring. */
static void blk_structures(void **state)
{
	static const u64 pages[] = { HEADER, STATUS, DESC(0), AVAIL(0), USED(0) };
	struct pc *pc = *state;

	make_blk(pc, false, false);
	for (unsigned n = 0; n < ARRAY_LEN(pages); n++) {
		close_page(pc, 0);
		start(pc, 0, 1);
		close_page(pc, pages[n]);
		prepare(pc, 0, READ_REQ, 0, 512);
		offer(pc, 0, 0);
		kick(pc, 0);
		run(pc, 50000);
		assert_true(needs_reset(pc));
		assert_int_equal(mem16(pc, USED(0) + 2), 0);
		assert_int_equal(in(pc, ISR, 1) & 2, 2);
		assert_true(aborted(pc));
		assert_int_equal(dev(pc, ADDR_LO) & ~0xfffu, pages[n]);
		close_page(pc, 0);
		start(pc, 0, 1);
		assert_int_equal(request(pc, READ_REQ, 9, 512), 0);
		assert_int_equal(mem8(pc, DATA + 4), 9);
	}
}

/* A message is a store like any other. */
static void message(void **state)
{
	struct pc *pc = *state;

	make_blk(pc, false, false);
	enable_msix(pc);
	start(pc, 0, 1);
	out(pc, REGS + 0x16, 2, 0);
	out(pc, REGS + 0x1a, 2, 0);
	out(pc, TABLE, 4, 0xfee00000);
	out(pc, TABLE + 12, 4, 0);
	close_page(pc, 0xfee00000);
	assert_int_equal(request(pc, READ_REQ, 0, 512), 0);
	assert_int_equal(pc->msis, 0);
	assert_true(aborted(pc));
	close_page(pc, 0);
	assert_int_equal(request(pc, READ_REQ, 0, 512), 0);
	assert_int_equal(pc->msis, 1);
	proves("svm.2.20.2.2");
}

/* ---- the others: a closed buffer leaves them waiting for a reset ---- */

static void offer_one(struct pc *pc, unsigned q, u64 at, u32 len, u16 flags)
{
	put_desc(pc, DESC(q), 0, at, len, flags, 0);
	offer(pc, q, 0);
	kick(pc, q);
}

static void rng_buffer(void **state)
{
	struct pc *pc = *state;

	assert_int_equal(virtio_rng_create(&pc->dev, &pc->env, -1, 0), ST_OK);
	map(pc);
	start(pc, 0, 1);
	close_page(pc, DATA);
	offer_one(pc, 0, DATA, 64, WRITE);
	assert_true(needs_reset(pc));
	assert_int_equal(bus_read_u64(&pc->bus, DATA), 0);
	close_page(pc, 0);
	start(pc, 0, 1);
	offer_one(pc, 0, DATA, 64, WRITE);
	assert_false(needs_reset(pc));
	assert_int_not_equal(bus_read_u64(&pc->bus, DATA), 0);
}

/* Sent from a closed page: nothing leaves. Received into one: nothing arrives. */
static void net_buffers(void **state)
{
	static const u8 mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
	static const u8 arp[42] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
		0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2,
	};
	static const struct {
		u64 closed;
		bool sent, received;
	} rows[] = { { DATA, false, false }, { DATA + 0x1000, true, false }, { 0, true, true } };
	struct pc *pc = *state;
	struct err err = { "" };

	assert_int_equal(virtio_net_create(&pc->dev, &pc->env, -1, (const char *[]){ NULL }, mac, &err), ST_OK);
	map(pc);
	for (unsigned n = 0; n < ARRAY_LEN(rows); n++) {
		close_page(pc, 0);
		start(pc, 1 << 5 | 1 << 16, 2);
		close_page(pc, rows[n].closed);
		bus_write(&pc->bus, DATA + 12, arp, sizeof(arp));
		bus_write_u64(&pc->bus, DATA + 0x1000 + 12, 0);
		put_desc(pc, DESC(0), 0, DATA + 0x1000, 1526, WRITE, 0);
		offer(pc, 0, 0);
		offer_one(pc, 1, DATA, 12 + sizeof(arp), 0);
		for (unsigned k = 0; k < 3; k++)
			virtio_net_poll(pc->dev, 0);
		assert_int_equal(mem16(pc, USED(1) + 2), rows[n].sent);
		assert_int_equal(mem16(pc, USED(0) + 2), rows[n].received);
		assert_int_equal(needs_reset(pc), !rows[n].received);
		assert_int_equal(bus_read_u64(&pc->bus, DATA + 0x1000 + 12) != 0, rows[n].received);
	}
}

static void console_buffers(void **state)
{
	struct pc *pc = *state;

	assert_int_equal(virtio_console_create(&pc->dev, &pc->env, -1, &pc->chan), ST_OK);
	map(pc);
	start(pc, 0, 2);
	bus_write(&pc->bus, DATA, "hello", 5);
	close_page(pc, DATA);
	offer_one(pc, 1, DATA, 5, 0);
	assert_int_equal(pc->out_len, 0);
	assert_true(needs_reset(pc));
	close_page(pc, 0);
	start(pc, 0, 2);
	offer_one(pc, 1, DATA, 5, 0);
	assert_int_equal(pc->out_len, 5);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, guarded, unguarded)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(blk_data), TEST(blk_crossing), TEST(blk_structures), TEST(message), TEST(rng_buffer), TEST(net_buffers),
		TEST(console_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
