/*
 * The northbridge's guard around a bus with educational devices on it: what only the machine around it shows. The secure
 * loader's region, configuration space, MemClrDis over a reset, and what a saved state remembers. 33047 "External Access
 * Protection".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dev/pci.h"
#include "report.h"

#define ECAM  0xb0000000ull
#define BARS  0xc0000000ull
#define SLB   0x30000ull
#define TABLE 0x200000ull
enum { NB = NORTHBRIDGE_SLOT << 3 | 3, DEV_OP = 0xf4, DEV_DATA = 0xf8, EDU = 4 << 3 };
enum { BASE_LO = 0x000, CR = 0x400, ERR_STATUS = 0x500, ADDR_LO = 0x600 };
enum { ENABLE = 1, MEM_CLR_DIS = 2, IOSPEN = 4, MCE = 8, INVALIDATE = 16, SL_DEV_EN = 32 };
enum { READ = 1, WRITE = 3, PORT = 1 << 2, CONFIG = 2 << 2, BYTES_4 = 2 << 4 };

struct pc {
	struct clock clock;
	struct bus bus;
	struct dev_env env;
	struct pci_bus *pci;
	struct device *q35, *nb, *edu;
	bool memory_enabled;
	unsigned checks;
	u64 status, addr;
};

static void on_machine_check(void *arg, u64 status, u64 addr)
{
	struct pc *pc = arg;

	pc->checks++;
	pc->status = status;
	pc->addr = addr;
}

static bool memory_enabled(void *arg)
{
	return ((struct pc *)arg)->memory_enabled;
}

static void cf_write(struct pc *pc, unsigned devfn, unsigned reg, unsigned size, u32 v)
{
	bus_port_write(&pc->bus, 0xcf8, 4, 0x80000000u | devfn << 8 | (reg & 0xfc));
	bus_port_write(&pc->bus, (u16)(0xcfc + (reg & 3)), size, v);
}

static u32 cf_read(struct pc *pc, unsigned devfn, unsigned reg, unsigned size)
{
	bus_port_write(&pc->bus, 0xcf8, 4, 0x80000000u | devfn << 8 | (reg & 0xfc));
	return (u32)bus_port_read(&pc->bus, (u16)(0xcfc + (reg & 3)), size);
}

static struct pc *new_pc(bool northbridge)
{
	struct pc *pc = base_alloc(sizeof(*pc));
	struct northbridge_env env = { .machine_check = on_machine_check, .memory_enabled = memory_enabled, .arg = pc };
	struct err err;

	clock_init(&pc->clock);
	assert_int_equal(bus_init(&pc->bus, &pc->clock, NULL, 16 << 20, 1ull << 31, &err), ST_OK);
	pc->env = (struct dev_env){ .bus = &pc->bus, .clock = &pc->clock };
	assert_int_equal(q35_create(&pc->q35, &pc->env, &pc->pci), ST_OK);
	pc->env.pci = pc->pci;
	if (northbridge)
		assert_int_equal(northbridge_create(&pc->nb, &pc->env, env), ST_OK);
	assert_int_equal(edu_create(&pc->edu, &pc->env, EDU, ~0ull), ST_OK);
	pc->memory_enabled = true;
	cf_write(pc, 0, 0x60, 4, (u32)ECAM | 1);
	cf_write(pc, EDU, 0x10, 4, (u32)BARS);
	cf_write(pc, EDU, PCI_COMMAND, 2, PCI_CMD_MEMORY | PCI_CMD_MASTER);
	return pc;
}

static int setup(void **state)
{
	*state = new_pc(true);
	return 0;
}

static int teardown(void **state)
{
	struct pc *pc = *state;

	pc->edu->ops->destroy(pc->edu);
	if (pc->nb)
		pc->nb->ops->destroy(pc->nb);
	pc->q35->ops->destroy(pc->q35);
	assert_null(pc->bus.guard.allow);
	bus_fini(&pc->bus);
	base_free(pc);
	return 0;
}

static u32 dev(struct pc *pc, unsigned op)
{
	cf_write(pc, NB, DEV_OP, 4, op);
	return cf_read(pc, NB, DEV_DATA, 4);
}

static void dev_put(struct pc *pc, unsigned op, u32 v)
{
	cf_write(pc, NB, DEV_OP, 4, op);
	cf_write(pc, NB, DEV_DATA, 4, v);
}

/* A dword by the device. false: master abort. */
static bool cycle(struct pc *pc, unsigned command, u64 addr, u32 *v)
{
	bus_mmio_write(&pc->bus, BARS + 0xa0, 8, addr);
	bus_mmio_write(&pc->bus, BARS + 0xa8, 8, *v);
	bus_mmio_write(&pc->bus, BARS + 0xb0, 4, command | BYTES_4);
	*v = (u32)bus_mmio_read(&pc->bus, BARS + 0xa8, 4);
	return !bus_mmio_read(&pc->bus, BARS + 0xb4, 4);
}

static u32 reads(struct pc *pc, unsigned space, u64 addr)
{
	u32 v = 0;

	(void)cycle(pc, READ | space, addr, &v);
	return v;
}

static bool writes(struct pc *pc, unsigned space, u64 addr, u32 v)
{
	return cycle(pc, WRITE | space, addr, &v);
}

/* ---- "Secure Initialization Support" ---- */

static void secure_loader(void **state)
{
	struct pc *pc = *state;
	u32 v;

	bus_write_u32(&pc->bus, SLB, 0x11223344);
	bus_write_u32(&pc->bus, SLB + 0xfffc, 0x55667788);
	northbridge_protect(pc->nb, SLB);
	assert_int_equal(dev(pc, CR), SL_DEV_EN);
	assert_int_equal(reads(pc, 0, SLB), ~0u);
	assert_int_equal(reads(pc, 0, SLB + 0xfffc), ~0u);
	assert_false(writes(pc, 0, SLB, 0));
	assert_true(writes(pc, 0, SLB - 4, 1));
	assert_true(writes(pc, 0, SLB + 0x10000, 2));
	proves("svm.2.20.8.2");
	assert_int_equal(bus_read_u32(&pc->bus, SLB), 0x11223344);
	bus_write_u32(&pc->bus, SLB, 0x99);
	phys_read(&pc->bus, (struct initiator){ .by = BY_CPU }, SLB, &v, sizeof(v));
	assert_int_equal(v, 0x99);
	proves("svm.2.20.8.5");
	assert_int_equal(dev(pc, ADDR_LO), SLB);
	assert_int_equal(dev(pc, ERR_STATUS) >> 31, 1);
	assert_int_equal(reads(pc, 0, ECAM + (EDU << 12)), ~0u);
	assert_int_equal(reads(pc, CONFIG, EDU << 12), ~0u);
	assert_int_equal(reads(pc, PORT, 0xcfc), ~0u);
	assert_false(writes(pc, 0, ECAM + (NB << 12) + DEV_DATA, 0));
	assert_false(writes(pc, CONFIG, NB << 12 | DEV_DATA, 0));
	assert_false(writes(pc, PORT, 0xcfc, 0));
	assert_int_equal(dev(pc, CR), SL_DEV_EN);
	proves("svm.2.20.8.6");
	dev_put(pc, CR, 0);
	assert_int_equal(reads(pc, 0, SLB + 0xfffc), 0x55667788);
	assert_true(writes(pc, 0, SLB, 3));
	assert_int_equal(bus_read_u32(&pc->bus, SLB), 3);
	proves("svm.2.20.8.7 svm.2.20.6.12");
}

/* Without a northbridge nobody guards the bus: the same cycles go through. */
static void unguarded(void **state)
{
	struct pc *pc = new_pc(false);
	void *mine = pc;

	(void)state;
	assert_int_equal(reads(pc, 0, ECAM + (EDU << 12)), 0x11e81234);
	assert_int_equal(reads(pc, CONFIG, EDU << 12), 0x11e81234);
	assert_int_equal(reads(pc, CONFIG, 5 << 15), ~0u);
	assert_true(writes(pc, PORT, 0xcf8, 0x80000000u | EDU << 8));
	assert_int_equal(reads(pc, PORT, 0xcfc), 0x11e81234);
	assert_int_equal(cf_read(pc, NORTHBRIDGE_SLOT << 3, 0, 4), ~0u);
	teardown(&mine);
}

/* Received Master Abort: also where nobody answers; cleared by writing one, by nothing else. */
static void master_abort(void **state)
{
	struct pc *pc = *state;
	u32 v = 0;

	assert_int_equal(cf_read(pc, EDU, PCI_STATUS, 2) & PCI_STS_MASTER_ABORT, 0);
	assert_false(cycle(pc, READ, 0x80000000, &v));
	assert_int_equal(v, ~0u);
	assert_int_equal(cf_read(pc, EDU, PCI_STATUS, 2) & PCI_STS_MASTER_ABORT, PCI_STS_MASTER_ABORT);
	assert_int_equal(dev(pc, ERR_STATUS), 0); /* no refusal */
	cf_write(pc, EDU, PCI_STATUS, 2, 0);
	cf_write(pc, EDU, PCI_STATUS, 1, 0xff);
	cf_write(pc, EDU, PCI_STATUS + 1, 1, (u8) ~(PCI_STS_MASTER_ABORT >> 8));
	assert_int_equal(cf_read(pc, EDU, PCI_STATUS, 2) & PCI_STS_MASTER_ABORT, PCI_STS_MASTER_ABORT);
	cf_write(pc, EDU, PCI_STATUS, 2, PCI_STS_MASTER_ABORT);
	assert_int_equal(cf_read(pc, EDU, PCI_STATUS, 2) & PCI_STS_MASTER_ABORT, 0);
	assert_int_equal(cf_read(pc, EDU, PCI_STATUS, 2) & PCI_STS_CAP_LIST, PCI_STS_CAP_LIST);
}

static void machine_checks(void **state)
{
	struct pc *pc = *state;

	bus_write_u32(&pc->bus, TABLE, 1 << 5); /* page 5 */
	dev_put(pc, BASE_LO, TABLE | 1);
	dev_put(pc, CR, ENABLE);
	assert_false(writes(pc, 0, 0x5000, 0));
	assert_int_equal(pc->checks, 0);
	dev_put(pc, CR, ENABLE | MCE);
	assert_false(writes(pc, 0, 0x5010, 0));
	assert_int_equal(pc->checks, 1);
	assert_int_equal(pc->status, BIT(61) | BIT(58) | 0x90c23);
	assert_int_equal(pc->addr, 0x5010);
	assert_int_equal(reads(pc, 0, 0x5ffc), ~0u);
	assert_int_equal(pc->checks, 2);
	assert_int_equal(pc->status, BIT(61) | BIT(58) | 0x90c13);
	(void)reads(pc, CONFIG, 0);
	(void)reads(pc, 0, ECAM);
	dev_put(pc, CR, ENABLE | MCE | IOSPEN);
	(void)reads(pc, PORT, 0x80);
	assert_int_equal(pc->checks, 2);
	proves("svm.2.20.6.14 svm.2.20.6.15");
}

static void reset(void **state)
{
	struct pc *pc = *state;

	for (unsigned kept = 0; kept < 2; kept++) {
		dev_put(pc, CR, ENABLE | IOSPEN | (kept ? MEM_CLR_DIS : 0));
		dev_put(pc, BASE_LO, TABLE | 1);
		northbridge_protect(pc->nb, SLB);
		pc->nb->ops->reset(pc->nb);
		assert_int_equal(dev(pc, CR), 0);
		assert_int_equal(dev(pc, BASE_LO), 0);
		assert_true(writes(pc, 0, SLB, 0));
		assert_int_equal(northbridge_clear_disabled(pc->nb), kept);
	}
	proves("svm.2.20.6.7");
	pc->memory_enabled = false;
	dev_put(pc, CR, MEM_CLR_DIS);
	assert_int_equal(dev(pc, CR), 0);
	pc->memory_enabled = true;
	dev_put(pc, CR, MEM_CLR_DIS);
	assert_int_equal(dev(pc, CR), MEM_CLR_DIS);
	proves("svm.2.20.6.18");
}

/* INIT ends the exclusion by tables and nothing else. */
static void init(void **state)
{
	struct pc *pc = *state;

	bus_write_u32(&pc->bus, TABLE, 1 << 5);
	dev_put(pc, BASE_LO, TABLE | 1);
	northbridge_protect(pc->nb, SLB);
	dev_put(pc, CR, ENABLE | IOSPEN | MEM_CLR_DIS | SL_DEV_EN);
	assert_false(writes(pc, 0, 0x5000, 0));
	northbridge_init(pc->nb);
	assert_int_equal(dev(pc, CR), IOSPEN | MEM_CLR_DIS | SL_DEV_EN);
	assert_int_equal(dev(pc, BASE_LO), TABLE | 1);
	assert_true(writes(pc, 0, 0x5000, 0));
	assert_false(writes(pc, 0, SLB, 0));
	assert_false(writes(pc, PORT, 0x80, 0));
}

/* What is stale is state: taken out and put back, it is as stale as before. */
static void reload(void **state)
{
	struct pc *pc = *state;
	const struct device_ops *ops = pc->nb->ops;
	u8 saved[4096];
	size_t at = 0;

	dev_put(pc, BASE_LO, TABLE | 1);
	dev_put(pc, CR, ENABLE);
	assert_true(writes(pc, 0, 0x5000, 7));
	bus_write_u32(&pc->bus, TABLE, 1 << 5);
	for (size_t n = 0; n < ops->row_count; n++) {
		size_t size = (size_t)ops->rows[n].width * ops->rows[n].count;
		assert_true(at + size <= sizeof(saved));
		memcpy(saved + at, (u8 *)pc->nb + ops->rows[n].offset, size);
		at += size;
	}
	ops->reset(pc->nb);
	at = 0;
	for (size_t n = 0; n < ops->row_count; n++) {
		size_t size = (size_t)ops->rows[n].width * ops->rows[n].count;
		memcpy((u8 *)pc->nb + ops->rows[n].offset, saved + at, size);
		at += size;
	}
	ops->loaded(pc->nb);
	assert_int_equal(reads(pc, 0, 0x5000), 7);
	dev_put(pc, CR, ENABLE | INVALIDATE);
	assert_int_equal(reads(pc, 0, 0x5000), ~0u);
}

/* ---- the educational device's documented registers ---- */

static u32 edu(struct pc *pc, unsigned reg)
{
	return (u32)bus_mmio_read(&pc->bus, BARS + reg, 4);
}

static void pass(struct pc *pc, u64 ns)
{
	pc->clock.now += ns;
	clock_fire(&pc->clock);
}

static void educational(void **state)
{
	struct pc *pc = *state;

	assert_int_equal(edu(pc, 0x00), 0x010000ed);
	bus_mmio_write(&pc->bus, BARS + 0x04, 4, 0x12345678);
	assert_int_equal(edu(pc, 0x04), ~0x12345678u);
	bus_mmio_write(&pc->bus, BARS + 0x08, 4, 10);
	assert_int_equal(edu(pc, 0x20), 1);
	bus_mmio_write(&pc->bus, BARS + 0x08, 4, 3); /* while it computes */
	pass(pc, 1000);
	assert_int_equal(edu(pc, 0x20), 0);
	assert_int_equal(edu(pc, 0x08), 3628800);
	bus_mmio_write(&pc->bus, BARS + 0x20, 4, 0x80);
	bus_mmio_write(&pc->bus, BARS + 0x08, 4, 0);
	pass(pc, 1000);
	assert_int_equal(edu(pc, 0x08), 1);
	assert_int_equal(edu(pc, 0x24), 1);
	assert_int_equal(cf_read(pc, EDU, PCI_STATUS, 2) & PCI_STS_INTERRUPT, PCI_STS_INTERRUPT);
	bus_mmio_write(&pc->bus, BARS + 0x60, 4, 0x10);
	assert_int_equal(edu(pc, 0x24), 0x11);
	bus_mmio_write(&pc->bus, BARS + 0x64, 4, 1);
	assert_int_equal(cf_read(pc, EDU, PCI_STATUS, 2) & PCI_STS_INTERRUPT, PCI_STS_INTERRUPT);
	bus_mmio_write(&pc->bus, BARS + 0x64, 4, 0x10);
	assert_int_equal(cf_read(pc, EDU, PCI_STATUS, 2) & PCI_STS_INTERRUPT, 0);
	assert_int_equal(bus_mmio_read(&pc->bus, BARS + 0x04, 2), 0xffff); /* dwords alone below 80h */
	assert_int_equal(bus_mmio_read(&pc->bus, BARS + 0x00, 8), ~0ull);
	assert_int_equal(edu(pc, 0x1000), ~0u);
}

/* The documentation's example: 100 bytes to the buffer and back. */
static void transfers(void **state)
{
	struct pc *pc = *state;
	u8 bytes[100], back[100];

	memset(bytes, 0x3c, sizeof(bytes));
	bus_write(&pc->bus, 0x8000, bytes, sizeof(bytes));
	bus_mmio_write(&pc->bus, BARS + 0x80, 8, 0x8000);
	bus_mmio_write(&pc->bus, BARS + 0x88, 8, 0x40000);
	bus_mmio_write(&pc->bus, BARS + 0x90, 8, 100);
	bus_mmio_write(&pc->bus, BARS + 0x98, 8, 1);
	bus_mmio_write(&pc->bus, BARS + 0x90, 8, 5); /* not while it runs */
	assert_int_equal(edu(pc, 0x98) & 1, 1);
	pass(pc, 100000);
	assert_int_equal(edu(pc, 0x98) & 1, 0);
	bus_mmio_write(&pc->bus, BARS + 0x80, 4, 0x40000);
	bus_mmio_write(&pc->bus, BARS + 0x88, 4, 0x8000 + 100);
	bus_mmio_write(&pc->bus, BARS + 0x98, 4, 7);
	pass(pc, 100000);
	bus_read(&pc->bus, 0x8000 + 100, back, sizeof(back));
	assert_memory_equal(back, bytes, sizeof(bytes));
	assert_int_equal(edu(pc, 0x24), 0x100);
	/* Beyond the buffer, and with a count that wraps: nothing moves. */
	bus_write(&pc->bus, 0x9000, bytes, sizeof(bytes));
	static const u64 bad[][2] = { { 0x40fff, 2 }, { 0x3ffff, 1 }, { 0x41000, 1 }, { 0x40010, ~0ull }, { 0, 1 } };
	for (unsigned n = 0; n < ARRAY_LEN(bad); n++) {
		bus_mmio_write(&pc->bus, BARS + 0x80, 8, bad[n][0]);
		bus_mmio_write(&pc->bus, BARS + 0x88, 8, 0x9000);
		bus_mmio_write(&pc->bus, BARS + 0x90, 8, bad[n][1]);
		bus_mmio_write(&pc->bus, BARS + 0x98, 8, 3);
		pass(pc, 100000);
		assert_int_equal(edu(pc, 0x98), 2);
		bus_read(&pc->bus, 0x9000, back, sizeof(back));
		assert_memory_equal(back, bytes, sizeof(bytes));
	}
	/* A cycle that starts itself again: once is enough. */
	assert_true(writes(pc, 0, BARS + 0xb0, READ));
	/* No bus master, no cycle. */
	cf_write(pc, EDU, PCI_COMMAND, 2, PCI_CMD_MEMORY);
	u32 v = 0x1234;
	(void)cycle(pc, WRITE, 0x8000, &v);
	assert_int_equal(bus_read_u32(&pc->bus, 0x8000), 0x3c3c3c3c);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(secure_loader), cmocka_unit_test(unguarded), TEST(master_abort), TEST(machine_checks), TEST(reset), TEST(init),
		TEST(reload), TEST(educational), TEST(transfers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
