/*
 * virtio devices driven by a small driver: what they do with requests, good ones and bad ones.
 */
#include "virtio_fixture.h"

#include <signal.h>
#include <sys/resource.h>

static void negotiation(void **state)
{
	struct pc *pc = *state;

	make_blk(pc, false, false);
	assert_int_equal(pci_config_read(pc->pci, FN, 0, 4), 0x10421af4);
	assert_int_equal(in(pc, REGS + 0x12, 2), 1);
	out(pc, REGS, 4, 1);
	assert_int_equal(in(pc, REGS + 4, 4), 1); /* VERSION_1 */
	out(pc, REGS + 0x14, 1, 3);
	out(pc, REGS + 0x14, 1, 11); /* without VERSION_1 */
	assert_int_equal(in(pc, REGS + 0x14, 1), 3);
	out(pc, REGS + 8, 4, 1);
	out(pc, REGS + 12, 4, 3); /* a feature nobody offered */
	out(pc, REGS + 0x14, 1, 11);
	assert_int_equal(in(pc, REGS + 0x14, 1), 3);
	start(pc, 0, 1);
	out(pc, REGS + 12, 4, 0); /* too late */
	assert_int_equal(in(pc, REGS + 12, 4), 1);
	assert_int_equal(in(pc, CONFIG, 4), SECTORS);
	assert_int_equal(bus_mmio_read(&pc->bus, CONFIG, 8), SECTORS);
	out(pc, REGS + 0x16, 2, 1);
	assert_int_equal(in(pc, REGS + 0x18, 2), 0); /* no such queue */
}

static void pci_window(void **state)
{
	struct pc *pc = *state;
	unsigned cap;

	make_blk(pc, false, false);
	for (cap = pci_config_read(pc->pci, FN, 0x34, 1); cap; cap = pci_config_read(pc->pci, FN, cap + 1, 1))
		if (pci_config_read(pc->pci, FN, cap, 1) == 9 && pci_config_read(pc->pci, FN, cap + 3, 1) == 5)
			break;
	assert_int_not_equal(cap, 0);
	pci_config_write(pc->pci, FN, cap + 4, 1, 4);
	pci_config_write(pc->pci, FN, cap + 8, 4, 0x14);
	pci_config_write(pc->pci, FN, cap + 12, 4, 1);
	pci_config_write(pc->pci, FN, cap + 16, 4, 3);
	assert_int_equal(in(pc, REGS + 0x14, 1), 3);
	assert_int_equal(pci_config_read(pc->pci, FN, cap + 16, 4), 3);
	pci_config_write(pc->pci, FN, cap + 8, 4, 0xfffffff0); /* outside: nothing happens */
	pci_config_write(pc->pci, FN, cap + 16, 4, 0);
	assert_int_equal(in(pc, REGS + 0x14, 1), 3);
}

static void blk_requests(void **state)
{
	struct pc *pc = *state;
	u8 sector[512];

	make_blk(pc, false, false);
	start(pc, 0, 1);
	assert_int_equal(request(pc, READ_REQ, 7, 1024), 0);
	assert_int_equal(bus_read_u32(&pc->bus, DATA), 7);
	assert_int_equal(bus_read_u32(&pc->bus, DATA + 512), 8);
	assert_int_equal(bus_read_u32(&pc->bus, USED(0) + 8), 1025);
	assert_true(pc->level[17]); /* slot 1, INTA# */
	assert_int_equal(in(pc, ISR, 1), 1);
	assert_false(pc->level[17]);
	memset(sector, 0x5a, sizeof(sector));
	bus_write(&pc->bus, DATA, sector, 512);
	assert_int_equal(request(pc, WRITE_REQ, 9, 512), 0);
	assert_int_equal(request(pc, FLUSH_REQ, 0, 0), 0);
	assert_int_equal(request(pc, READ_REQ, 9, 512), 0);
	assert_int_equal(bus_read_u32(&pc->bus, DATA), 0x5a5a5a5a);
	assert_int_equal(request(pc, ID_REQ, 0, 20), 0);
	assert_int_equal(mem8(pc, DATA + 5), 'l');
	assert_int_equal(request(pc, READ_REQ, SECTORS - 1, 1024), 1);
	assert_int_equal(request(pc, READ_REQ, ~0ull, 512), 1);
	assert_int_equal(request(pc, READ_REQ, 0, 100), 1);
	assert_int_equal(request(pc, 99, 0, 512), 2);
	bus_write_u64(&pc->bus, DATA, 20);
	bus_write_u64(&pc->bus, DATA + 8, 3); /* three sectors, no flags */
	assert_int_equal(request(pc, ZERO_REQ, 0, 16), 0);
	assert_int_equal(request(pc, READ_REQ, 22, 1024), 0);
	assert_int_equal(bus_read_u32(&pc->bus, DATA), 0);
	assert_int_equal(bus_read_u32(&pc->bus, DATA + 512), 23);
	bus_write_u64(&pc->bus, DATA, SECTORS);
	bus_write_u64(&pc->bus, DATA + 8, 1);
	assert_int_equal(request(pc, DISCARD_REQ, 0, 16), 1);
	bus_write_u64(&pc->bus, DATA + 8, 1ull | 1ull << 32);
	assert_int_equal(request(pc, DISCARD_REQ, 0, 16), 2);
	assert_false(needs_reset(pc));
}

static void blk_latency(void **state)
{
	struct pc *pc = *state;

	make_blk(pc, false, false);
	start(pc, 0, 1);
	prepare(pc, 0, READ_REQ, 1, 512);
	offer(pc, 0, 0);
	kick(pc, 0);
	run(pc, 30000);
	prepare(pc, 4, READ_REQ, 2, 512);
	offer(pc, 0, 4);
	kick(pc, 0);
	kick(pc, 0); /* nothing new */
	run(pc, 19999);
	assert_int_equal(mem16(pc, USED(0) + 2), 0);
	run(pc, 1);
	assert_int_equal(mem16(pc, USED(0) + 2), 1);
	run(pc, 29999);
	assert_int_equal(mem16(pc, USED(0) + 2), 1);
	run(pc, 1);
	assert_int_equal(mem16(pc, USED(0) + 2), 2);
	kick(pc, 0);
	offer(pc, 0, 4);
	kick(pc, 0);
	out(pc, REGS + 0x14, 1, 0); /* reset while one is under way */
	run(pc, 100000);
	assert_int_equal(mem16(pc, USED(0) + 2), 2);
}

static void blk_snapshot(void **state)
{
	struct pc *pc = *state;
	u8 byte = 0;

	make_blk(pc, false, true);
	start(pc, 0, 1);
	u64 before = pc->dev->ops->extra_hash(pc->dev, 1);
	for (u64 s = 0; s < 200; s += 3) {
		bus_write_u64(&pc->bus, DATA, 0x1111 + s);
		assert_int_equal(request(pc, WRITE_REQ, s, 512), 0);
	}
	assert_int_not_equal(pc->dev->ops->extra_hash(pc->dev, 1), before);
	assert_int_equal(request(pc, READ_REQ, 30, 1024), 0);
	assert_int_equal(bus_read_u64(&pc->bus, DATA), 0x1111 + 30);
	assert_int_equal(bus_read_u32(&pc->bus, DATA + 512), 31); /* its neighbour in the same piece */
	FILE *f = fopen(pc->path, "rb");
	assert_non_null(f);
	fseek(f, 30 * 512, SEEK_SET);
	assert_int_equal(fread(&byte, 1, 1, f), 1);
	fclose(f);
	assert_int_equal(byte, 30); /* the image is as it was */
}

static void blk_readonly(void **state)
{
	struct pc *pc = *state;

	make_blk(pc, true, false);
	out(pc, REGS, 4, 0);
	assert_int_equal(in(pc, REGS + 4, 4) & 0x6020, 0x20); /* RO, no discard */
	start(pc, 1 << 5, 1);
	assert_int_equal(request(pc, WRITE_REQ, 0, 512), 1);
	assert_int_equal(request(pc, READ_REQ, 1, 512), 0);
	assert_int_equal(bus_read_u32(&pc->bus, DATA), 1);
}

static void indirect(void **state)
{
	struct pc *pc = *state;

	make_blk(pc, false, false);
	start(pc, 1u << 28, 1);
	put_header(pc, HEADER, READ_REQ, 5);
	put_desc(pc, INDIRECT, 0, HEADER, 7, NEXT, 2); /* the header in two pieces, the data in two */
	put_desc(pc, INDIRECT, 2, HEADER + 7, 9, NEXT, 1);
	put_desc(pc, INDIRECT, 1, DATA, 100, NEXT | WRITE, 3);
	put_desc(pc, INDIRECT, 3, DATA + 0x1000, 413, WRITE, 0); /* its last byte is the status */
	put_desc(pc, DESC(0), 0, INDIRECT, 64, IND, 0);
	offer(pc, 0, 0);
	kick(pc, 0);
	run(pc, 50000);
	assert_int_equal(mem16(pc, USED(0) + 2), 1);
	assert_int_equal(bus_read_u32(&pc->bus, DATA), 5);
	assert_int_equal(mem8(pc, DATA + 0x1000), 5);
	assert_int_equal(mem8(pc, DATA + 0x1000 + 412), 0);
	put_desc(pc, INDIRECT, 0, INDIRECT, 64, IND, 0); /* nested */
	offer(pc, 0, 0);
	kick(pc, 0);
	run(pc, 50000);
	assert_true(needs_reset(pc));
}

static void event_idx(void **state)
{
	struct pc *pc = *state;

	make_blk(pc, false, false);
	start(pc, 1u << 29, 1);
	set16(pc, AVAIL(0) + 4 + 2 * pc->size, 1); /* used_event: tell me when the second is there */
	request(pc, READ_REQ, 0, 512);
	assert_int_equal(in(pc, ISR, 1), 0);
	assert_int_equal(mem16(pc, USED(0) + 4 + 8 * pc->size), 1); /* avail_event: notify beyond the first */
	request(pc, READ_REQ, 0, 512);
	assert_int_equal(in(pc, ISR, 1), 1);
	request(pc, READ_REQ, 0, 512);
	assert_int_equal(in(pc, ISR, 1), 0);
	start(pc, 0, 1);
	set16(pc, AVAIL(0), 1); /* VIRTQ_AVAIL_F_NO_INTERRUPT */
	request(pc, READ_REQ, 0, 512);
	assert_int_equal(in(pc, ISR, 1), 0);
}

static void msix(void **state)
{
	struct pc *pc = *state;

	make_blk(pc, false, false);
	enable_msix(pc);
	start(pc, 0, 1);
	out(pc, REGS + 0x16, 2, 0);
	assert_int_equal(in(pc, REGS + 0x1a, 2), 0xffff);
	out(pc, REGS + 0x1a, 2, 5); /* no such vector */
	assert_int_equal(in(pc, REGS + 0x1a, 2), 0xffff);
	out(pc, REGS + 0x1a, 2, 1);
	assert_int_equal(in(pc, REGS + 0x1a, 2), 1);
	out(pc, TABLE + 0x10, 4, 0xfee00000);
	out(pc, TABLE + 0x18, 4, 0x55);
	request(pc, READ_REQ, 0, 512);
	assert_int_equal(pc->msis, 0);
	out(pc, TABLE + 0x1c, 4, 0);
	assert_int_equal(pc->msis, 1);
	assert_int_equal(pc->msi_data, 0x55);
	assert_false(pc->level[17]);
	assert_int_equal(in(pc, ISR, 1), 0);
}

/* Each of these must leave the device waiting for a reset, and a reset must bring it back. */
static void malformed(void **state)
{
	struct pc *pc = *state;

	make_blk(pc, false, false);
	for (unsigned what = 0; what < 12; what++) {
		start(pc, 0, 1);
		prepare(pc, 0, READ_REQ, 0, 512);
		u16 head = 0, extra = 0;
		switch (what) {
		case 0: head = 16; break;                                          /* beyond the table */
		case 1: put_desc(pc, DESC(0), 0, HEADER, 16, NEXT, 99); break;
		case 2: put_desc(pc, DESC(0), 1, DATA, 512, NEXT | WRITE, 1); break; /* a loop */
		case 3: put_desc(pc, DESC(0), 0, HEADER, 16, NEXT | WRITE, 1);
			put_desc(pc, DESC(0), 1, DATA, 512, NEXT, 2); break;       /* read after written */
		case 4: put_desc(pc, DESC(0), 0, HEADER, 15, NEXT, 1); break;      /* half a header */
		case 5: put_desc(pc, DESC(0), 0, HEADER, 16, 0, 0); break;         /* no status */
		case 6: put_desc(pc, DESC(0), 0, 0xfffffffffffffff8ull, 16, NEXT, 1); break;
		case 7: put_desc(pc, DESC(0), 2, 0x40000000, 1, WRITE, 0); break;  /* status nowhere */
		case 8: put_desc(pc, DESC(0), 0, INDIRECT, 16, IND, 0); break;     /* not negotiated */
		case 9: extra = 100; break;                                        /* more than the ring holds */
		case 10: put_desc(pc, DESC(0), 0, REGS, 16, NEXT, 1); break;       /* a device is not memory */
		default: put_desc(pc, DESC(0), 2, REGS + 0x14, 1, WRITE, 0); break;
		}
		offer(pc, 0, head);
		set16(pc, AVAIL(0) + 2, (u16)(pc->avail[0] + extra));
		kick(pc, 0);
		run(pc, 50000);
		assert_true(needs_reset(pc));
		assert_int_equal(mem16(pc, USED(0) + 2), 0);
		assert_int_equal(in(pc, ISR, 1) & 2, 2); /* configuration change */
		kick(pc, 0);
		run(pc, 50000);
		assert_null(pc->clock.first);
	}
	start(pc, 0, 1);
	assert_int_equal(request(pc, READ_REQ, 3, 512), 0);
	out(pc, REGS + 0x14, 1, 0);
	out(pc, REGS + 0x16, 2, 0);
	out(pc, REGS + 0x20, 4, 8); /* misaligned */
	out(pc, REGS + 0x1c, 2, 1);
	assert_true(needs_reset(pc));
}

static void bus_master(void **state)
{
	struct pc *pc = *state;

	make_blk(pc, false, false);
	start(pc, 0, 1);
	pci_config_write(pc->pci, FN, 4, 2, 2);
	prepare(pc, 0, READ_REQ, 0, 512);
	offer(pc, 0, 0);
	kick(pc, 0);
	run(pc, 50000);
	assert_int_equal(mem16(pc, USED(0) + 2), 0);
	pci_config_write(pc->pci, FN, 4, 2, 6);
	run(pc, 50000);
	assert_int_equal(mem16(pc, USED(0) + 2), 1);
}

static char told[512];
static unsigned times_told;

static void on_note(void *arg, const char *text)
{
	(void)arg;
	snprintf(told, sizeof(told), "%s", text);
	times_told++;
}

/* The computer refuses to write: the guest sees I/O errors, a person one line; reading goes on. */
static void writes_that_fail(void **state)
{
	struct pc *pc = *state;
	const struct platform platform = { .note = on_note };
	struct rlimit old, none;

	pc->env.platform = &platform;
	times_told = 0;
	make_blk(pc, false, false);
	start(pc, 0, 1);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	none = (struct rlimit){ .rlim_cur = 512, .rlim_max = old.rlim_max };
	setrlimit(RLIMIT_FSIZE, &none);
	u8 last = request(pc, WRITE_REQ, 8, 512), again = request(pc, WRITE_REQ, 9, 512);
	u8 first = request(pc, WRITE_REQ, 0, 512), read = request(pc, READ_REQ, 8, 512);
	setrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(last, 1); /* VIRTIO_BLK_S_IOERR */
	assert_int_equal(again, 1);
	assert_int_equal(first, 0);
	assert_int_equal(read, 0);
	assert_int_equal(times_told, 1);
	assert_non_null(strstr(told, "--disk "));
	assert_non_null(strstr(told, pc->path));
	assert_non_null(strstr(told, "File too large"));
}

/* One writer, or any number of readers; a machine that ended has let go. */
static void locks(void **state)
{
	struct pc *pc = *state;
	struct virtio_blk_config cfg = { .path = pc->path, .devfn = -1 };
	struct err err = { "" };
	struct device *other;

	make_blk(pc, false, false);
	assert_int_equal(virtio_blk_create(&other, &pc->env, &cfg, &err), ST_ARG);
	assert_non_null(strstr(err.text, "another machine"));
	cfg.readonly = true;
	assert_int_equal(virtio_blk_create(&other, &pc->env, &cfg, &err), ST_ARG);
	pc->dev->ops->destroy(pc->dev);
	assert_int_equal(virtio_blk_create(&pc->dev, &pc->env, &cfg, &err), ST_OK);
	cfg.snapshot = true;
	cfg.readonly = false;
	assert_int_equal(virtio_blk_create(&other, &pc->env, &cfg, &err), ST_OK);
	other->ops->destroy(other);
	cfg.snapshot = false;
	assert_int_equal(virtio_blk_create(&other, &pc->env, &cfg, &err), ST_ARG);
}

static void refused(struct pc *pc, const char *path, const char *why)
{
	struct err err = { "" };

	const struct virtio_blk_config cfg = { .path = path, .devfn = -1 };
	assert_int_equal(virtio_blk_create(&pc->dev, &pc->env, &cfg, &err), ST_ARG);
	assert_null(pc->dev);
	assert_non_null(strstr(err.text, why));
}

static void bad_images(void **state)
{
	struct pc *pc = *state;

	refused(pc, "/tmp", "folder");
	refused(pc, "/nonexistent/disk", "No such file");
	refused(pc, "/dev/null", "neither");
	FILE *f = fopen(pc->path, "wb");
	assert_non_null(f);
	fclose(f);
	refused(pc, pc->path, "empty");
	f = fopen(pc->path, "wb");
	fwrite("QFI\xfb", 1, 4, f);
	fclose(f);
	refused(pc, pc->path, "qemu-img convert");
	f = fopen(pc->path, "wb");
	fwrite("hello", 1, 5, f);
	fclose(f);
	refused(pc, pc->path, "multiple of 512");
}

static void rng(void **state)
{
	struct pc *pc = *state;
	u64 first = 0;

	assert_int_equal(virtio_rng_create(&pc->dev, &pc->env, -1, 0), ST_OK);
	map(pc);
	for (unsigned round = 0; round < 2; round++) {
		start(pc, 0, 1);
		put_desc(pc, DESC(0), 0, DATA, 100, WRITE, 0);
		offer(pc, 0, 0);
		kick(pc, 0);
		assert_int_equal(bus_read_u32(&pc->bus, USED(0) + 8), 100);
		if (!round)
			first = bus_read_u64(&pc->bus, DATA);
		else
			assert_int_not_equal(bus_read_u64(&pc->bus, DATA), first);
	}
	pc->dev->ops->reset(pc->dev);
	map(pc);
	start(pc, 0, 1);
	put_desc(pc, DESC(0), 0, AVAIL(0), 64, WRITE, 0); /* onto the ring itself: must end */
	offer(pc, 0, 0);
	kick(pc, 0);
	assert_int_equal(bus_read_u64(&pc->bus, AVAIL(0)), first); /* the stream begins again */
}

static void console(void **state)
{
	struct pc *pc = *state;

	assert_int_equal(virtio_console_create(&pc->dev, &pc->env, -1, &pc->chan), ST_OK);
	map(pc);
	assert_int_equal(pc->chan.room(pc->chan.dev), 0); /* no driver */
	start(pc, 0, 2);
	bus_write(&pc->bus, DATA, "hello", 5);
	put_desc(pc, DESC(1), 0, DATA, 2, NEXT, 1);
	put_desc(pc, DESC(1), 1, DATA + 2, 3, 0, 0);
	offer(pc, 1, 0);
	kick(pc, 1);
	assert_int_equal(pc->out_len, 5);
	assert_memory_equal(pc->out, "hello", 5);
	assert_int_equal(mem16(pc, USED(1) + 2), 1);
	pc->chan.input(pc->chan.dev, (const u8 *)"abc", 3); /* waits for a buffer */
	put_desc(pc, DESC(0), 0, DATA, 2, WRITE, 0);
	put_desc(pc, DESC(0), 1, DATA + 16, 2, WRITE, 0);
	offer(pc, 0, 0);
	offer(pc, 0, 1);
	kick(pc, 0);
	assert_int_equal(mem16(pc, USED(0) + 2), 2);
	assert_int_equal(mem16(pc, DATA), 'a' | 'b' << 8);
	assert_int_equal(mem8(pc, DATA + 16), 'c');
	assert_int_equal(bus_read_u32(&pc->bus, USED(0) + 16), 1);
}

static void net_arp(void **state)
{
	static const u8 mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
	static const u8 arp[42] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
		0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2,
	};
	struct pc *pc = *state;
	struct err err = { "" };
	const char *bad[] = { "tcp:nowhere", NULL };
	u8 reply[64];

	assert_int_equal(virtio_net_create(&pc->dev, &pc->env, -1, bad, mac, &err), ST_ARG);
	assert_non_null(strstr(err.text, "hostfwd=tcp:nowhere"));
	const char *good[] = { "tcp:127.0.0.1:0-:22", NULL };
	assert_int_equal(virtio_net_create(&pc->dev, &pc->env, -1, good, mac, &err), ST_OK);
	map(pc);
	assert_int_equal(in(pc, CONFIG, 4), 0x12005452);
	assert_int_equal(in(pc, CONFIG + 6, 2), 1);
	start(pc, 1 << 5 | 1 << 16, 2);
	bus_write(&pc->bus, DATA + 12, arp, sizeof(arp));
	put_desc(pc, DESC(0), 0, DATA + 0x1000, 1526, WRITE, 0);
	offer(pc, 0, 0);
	put_desc(pc, DESC(1), 0, DATA, 12 + sizeof(arp), 0, 0);
	offer(pc, 1, 0);
	kick(pc, 1);
	assert_int_equal(mem16(pc, USED(1) + 2), 1);
	for (unsigned n = 0; n < 3; n++)
		virtio_net_poll(pc->dev, 0);
	assert_int_equal(mem16(pc, USED(0) + 2), 1);
	bus_read(&pc->bus, DATA + 0x1000, reply, sizeof(reply));
	assert_int_equal(reply[10], 1); /* num_buffers */
	assert_memory_equal(reply + 12, mac, 6);
	assert_int_equal(reply[12 + 21], 2); /* ARP reply */
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(negotiation), TEST(pci_window), TEST(blk_requests), TEST(blk_latency), TEST(blk_snapshot),
		TEST(blk_readonly), TEST(indirect), TEST(event_idx), TEST(msix), TEST(malformed), TEST(bus_master),
		TEST(bad_images), TEST(writes_that_fail), TEST(locks), TEST(rng), TEST(console), TEST(net_arp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
