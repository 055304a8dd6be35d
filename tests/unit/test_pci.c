/*
 * The PCI bus as software sees it: configuration space both ways, BARs, interrupt pins, messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dev/pci.h"

#define ECAM 0xb0000000ull
#define LPC  (0x1f << 3)

/* A function made for the test: one memory BAR of registers, MSI or MSI-X. */
struct probe {
	struct pci_dev pci;
	u64 last_offset, last_value;
};

struct pc {
	struct clock clock;
	struct bus bus;
	struct dev_env env;
	struct platform platform;
	struct pci_bus *pci;
	struct irq_line irq[24];
	struct device *dev[8];
	unsigned devs;
	bool level[24];
	unsigned resets, msis;
	struct initiator msi_from;
	u64 msi_addr;
	u32 msi_data;
	struct device *pm, *lpc;
};

static void line_set(void *arg, unsigned n, bool level)
{
	((struct pc *)arg)->level[n] = level;
}

static void on_reset(void *arg)
{
	((struct pc *)arg)->resets++;
}

static void on_msi(void *arg, struct initiator who, u64 addr, u32 data)
{
	struct pc *pc = arg;

	pc->msis++;
	pc->msi_from = who;
	pc->msi_addr = addr;
	pc->msi_data = data;
}

static struct device *keep(struct pc *pc, struct device *d)
{
	pc->dev[pc->devs++] = d;
	return d;
}

static u32 cf_read(struct pc *pc, unsigned devfn, unsigned reg, unsigned size)
{
	bus_port_write(&pc->bus, 0xcf8, 4, 0x80000000u | devfn << 8 | (reg & 0xfc));
	return (u32)bus_port_read(&pc->bus, (u16)(0xcfc + (reg & 3)), size);
}

static void cf_write(struct pc *pc, unsigned devfn, unsigned reg, unsigned size, u32 v)
{
	bus_port_write(&pc->bus, 0xcf8, 4, 0x80000000u | devfn << 8 | (reg & 0xfc));
	bus_port_write(&pc->bus, (u16)(0xcfc + (reg & 3)), size, v);
}

static int setup(void **state)
{
	struct pc *pc = base_alloc(sizeof(*pc));
	struct device *d;
	struct err err;

	clock_init(&pc->clock);
	if (bus_init(&pc->bus, &pc->clock, NULL, 16 << 20, 1ull << 31, &err))
		return -1;
	pc->platform = (struct platform){ .reset = on_reset, .arg = pc };
	pc->bus.msi = on_msi;
	pc->bus.msi_arg = pc;
	pc->env = (struct dev_env){ .bus = &pc->bus, .clock = &pc->clock, .platform = &pc->platform };
	for (unsigned n = 0; n < 24; n++)
		pc->irq[n] = (struct irq_line){ .set = line_set, .arg = pc, .n = n };
	if (acpipm_create(&d, &pc->env, 0x600, pc->irq[9], NULL) != ST_OK)
		return -1;
	pc->pm = keep(pc, d);
	if (q35_create(&d, &pc->env, &pc->pci) != ST_OK)
		return -1;
	keep(pc, d);
	pc->env.pci = pc->pci;
	if (lpc_create(&d, &pc->env, pc->irq) != ST_OK)
		return -1;
	pc->lpc = keep(pc, d);
	lpc_set_blocks(d, (struct lpc_blocks){.pm = pc->pm});
	cf_write(pc, 0, 0x60, 4, (u32)ECAM | 1);
	*state = pc;
	return 0;
}

static int teardown(void **state)
{
	struct pc *pc = *state;

	while (pc->devs) {
		struct device *d = pc->dev[--pc->devs];
		d->ops->destroy(d);
	}
	assert_null(pc->clock.first);
	assert_null(pc->bus.ports);
	assert_null(pc->bus.mmio);
	bus_fini(&pc->bus);
	base_free(pc);
	return 0;
}

static u64 ecam_read(struct pc *pc, unsigned bdf, unsigned reg, unsigned size)
{
	return bus_mmio_read(&pc->bus, ECAM + (bdf << 12) + reg, size);
}

static void ecam_write(struct pc *pc, unsigned bdf, unsigned reg, unsigned size, u64 v)
{
	bus_mmio_write(&pc->bus, ECAM + (bdf << 12) + reg, size, v);
}

static void ids_both_ways(void **state)
{
	struct pc *pc = *state;

	assert_int_equal(cf_read(pc, 0, 0, 4), 0x29c08086);
	assert_int_equal(cf_read(pc, 0, 2, 2), 0x29c0);
	assert_int_equal(cf_read(pc, 0, 3, 1), 0x29);
	assert_int_equal(cf_read(pc, LPC, 0, 4), 0x29188086);
	assert_int_equal(cf_read(pc, LPC, 0x0e, 1), 0x80);
	assert_int_equal(cf_read(pc, LPC, 0x0a, 2), 0x0601);
	assert_int_equal(cf_read(pc, 5 << 3, 0, 4), 0xffffffff);
	assert_int_equal(ecam_read(pc, 0, 0, 4), 0x29c08086);
	assert_int_equal(ecam_read(pc, 0, 0, 8), 0x29c08086 | ecam_read(pc, 0, 4, 4) << 32);
	assert_int_equal(ecam_read(pc, LPC, 2, 2), 0x2918);
	assert_int_equal(ecam_read(pc, LPC, 0x100, 4), 0); /* no extended capability */
	assert_int_equal(ecam_read(pc, 0x100, 0, 4), 0xffffffff); /* bus 1 */
}

static void config_address(void **state)
{
	struct pc *pc = *state;

	bus_port_write(&pc->bus, 0xcf8, 4, 0x80000000);
	bus_port_write(&pc->bus, 0xcfb, 1, 1); /* not a dword: not for this register */
	assert_int_equal(bus_port_read(&pc->bus, 0xcf8, 4), 0x80000000);
	bus_port_write(&pc->bus, 0xcf8, 4, 0);
	assert_int_equal(bus_port_read(&pc->bus, 0xcfc, 4), 0xffffffff); /* not enabled */
	bus_port_write(&pc->bus, 0xcf8, 4, 0x80010000);
	assert_int_equal(bus_port_read(&pc->bus, 0xcfc, 4), 0xffffffff); /* bus 1 */
	bus_port_write(&pc->bus, 0xcf9, 1, 2); /* the byte inside is the reset register's */
	bus_port_write(&pc->bus, 0xcf9, 1, 6);
	assert_int_equal(pc->resets, 1);
	assert_int_equal(bus_port_read(&pc->bus, 0xcf8, 4), 0x80010000);
}

static void ecam_moves(void **state)
{
	struct pc *pc = *state;

	ecam_write(pc, 0, 0x60, 4, 0xd0000001 | 2 << 1); /* 64 MiB, while we stand on it */
	assert_int_equal(bus_mmio_read(&pc->bus, 0xd0000000, 4), 0x29c08086);
	assert_int_equal(ecam_read(pc, 0, 0, 4), 0xffffffff);
	assert_false(bus_device(&pc->bus, 0xd4000000));
	bus_mmio_write(&pc->bus, 0xd0000060, 4, 0);
	assert_false(bus_device(&pc->bus, 0xd0000000));
	assert_int_equal(cf_read(pc, 0, 0x90, 1), 0); /* at power-on */
	cf_write(pc, 0, 0x91, 1, 0xff);
	assert_int_equal(cf_read(pc, 0, 0x91, 1), 0x33); /* PAM1 */
}

static void pm_moves(void **state)
{
	struct pc *pc = *state;

	assert_int_equal(cf_read(pc, LPC, 0x40, 4), 0x601);
	assert_int_not_equal(bus_port_read(&pc->bus, 0x604, 2), 0xffff);
	cf_write(pc, LPC, 0x40, 4, 0x1000 | 1);
	assert_int_equal(bus_port_read(&pc->bus, 0x604, 2), 0xffff);
	assert_int_equal(bus_port_read(&pc->bus, 0x1004, 2), 0);
	cf_write(pc, LPC, 0x44, 1, 0);
	assert_int_equal(bus_port_read(&pc->bus, 0x1004, 2), 0xffff);
	pc->lpc->ops->reset(pc->lpc);
	assert_int_equal(bus_port_read(&pc->bus, 0x604, 2), 0);
}

static void bars(void **state)
{
	struct pc *pc = *state;
	struct device *d, *second;
	unsigned fn = 3 << 3;

	assert_int_equal(pcitestdev_create(&d, &pc->env, (int)fn), ST_OK);
	keep(pc, d);
	assert_int_equal(pcitestdev_create(&second, &pc->env, (int)fn), ST_ARG); /* taken */
	cf_write(pc, fn, 0x10, 4, ~0u);
	cf_write(pc, fn, 0x14, 4, ~0u);
	cf_write(pc, fn, 0x18, 4, ~0u);
	assert_int_equal(cf_read(pc, fn, 0x10, 4), 0xfffff000);
	assert_int_equal(cf_read(pc, fn, 0x14, 4), 0xffffff01);
	assert_int_equal(cf_read(pc, fn, 0x18, 4), 0);
	cf_write(pc, fn, 0x10, 4, 0xc0000000);
	cf_write(pc, fn, 0x14, 4, 0xc000);
	assert_false(bus_device(&pc->bus, 0xc0000000)); /* not decoding yet */
	cf_write(pc, fn, 4, 2, 3);
	bus_mmio_write(&pc->bus, 0xc0000000, 1, 0); /* select test 0 */
	assert_int_equal(bus_mmio_read(&pc->bus, 0xc0000010, 4), 0x6f696d6d); /* "mmio" */
	u64 at = 0xc0000000 + bus_mmio_read(&pc->bus, 0xc0000004, 4);
	bus_mmio_write(&pc->bus, at, 1, 0xfa);
	bus_mmio_write(&pc->bus, at, 1, 0xfa);
	assert_int_equal(bus_mmio_read(&pc->bus, 0xc000000c, 4), 2);
	bus_mmio_write(&pc->bus, 0xc0000000, 1, 3);
	assert_int_equal(bus_mmio_read(&pc->bus, 0xc0000001, 1), 0); /* no such test */
	assert_int_equal(bus_port_read(&pc->bus, 0xc001, 1), 0);
	bus_port_write(&pc->bus, 0xc000, 1, 2);
	assert_int_equal(bus_port_read(&pc->bus, 0xc010, 4), 0x74726f70); /* "port" */
	cf_write(pc, fn, 0x10, 4, 0xc8000000);
	assert_false(bus_device(&pc->bus, 0xc0000000));
	assert_true(bus_device(&pc->bus, 0xc8000fff));
	cf_write(pc, fn, 4, 1, 1); /* memory off, ports on */
	assert_false(bus_device(&pc->bus, 0xc8000000));
	assert_int_equal(bus_port_read(&pc->bus, 0xc010, 1), 'p');
	d->ops->reset(d);
	assert_int_equal(cf_read(pc, fn, 0x10, 4), 0);
	assert_int_equal(bus_port_read(&pc->bus, 0xc010, 1), 0xff);
}

/* ---- a function of the test's own ---- */

static void probe_destroy(struct device *d)
{
	pci_detach((struct pci_dev *)d);
	base_free(d);
}

static const struct device_ops probe_ops = { .name = "probe", .destroy = probe_destroy };

static struct probe *make_probe(struct pc *pc, int devfn, u8 pin, bool msix)
{
	struct pci_ids ids = { .vendor = 0x1234, .device = 0x5678, .class_code = 0xff0000, .pin = pin };
	struct probe *p = base_alloc(sizeof(*p));

	p->pci.dev = (struct device){ .ops = &probe_ops, .bus = &pc->bus, .clock = &pc->clock };
	assert_int_equal(pci_attach(&p->pci, pc->pci, devfn, &ids), ST_OK);
	if (msix)
		msix_add(&p->pci, 2, 4);
	else
		msi_add(&p->pci);
	pci_ready(&p->pci);
	keep(pc, &p->pci.dev);
	return p;
}

static void intx(void **state)
{
	struct pc *pc = *state;
	struct probe *a = make_probe(pc, 2 << 3, 1, false), *b = make_probe(pc, 1 << 3 | 1, 2, false);

	/* slot 2 INTA# and slot 1 INTB# share PIRQC#: input 18 */
	pci_set_intx(&a->pci, true);
	assert_true(pc->level[18]);
	assert_false(pc->level[11]); /* PIRQC_ROUT is off at reset */
	cf_write(pc, LPC, 0x62, 1, 0x0b);
	assert_true(pc->level[11]);
	pci_set_intx(&b->pci, true);
	pci_set_intx(&a->pci, false);
	assert_true(pc->level[18]);
	assert_int_equal(cf_read(pc, 1 << 3 | 1, 6, 2) & 8, 8);
	cf_write(pc, 1 << 3 | 1, 4, 2, 0x400); /* INTx Disable */
	assert_false(pc->level[18]);
	assert_false(pc->level[11]);
	assert_int_equal(cf_read(pc, 1 << 3 | 1, 6, 2) & 8, 8);
	cf_write(pc, 1 << 3 | 1, 4, 2, 0);
	assert_true(pc->level[18]);
	pci_reset(&b->pci);
	assert_false(pc->level[18]);
}

static void msi(void **state)
{
	struct pc *pc = *state;
	struct probe *p = make_probe(pc, 4 << 3, 1, false);
	unsigned fn = 4 << 3, cap = cf_read(pc, fn, 0x34, 1);

	assert_int_equal(cf_read(pc, fn, cap, 2), 0x0005);
	assert_int_equal(cf_read(pc, fn, 6, 2) & 0x10, 0x10);
	cf_write(pc, fn, cap + 4, 4, 0xfee01003);
	cf_write(pc, fn, cap + 12, 2, 0x41);
	cf_write(pc, fn, 4, 2, 4);
	msi_send(&p->pci);
	assert_int_equal(pc->msis, 0);
	cf_write(pc, fn, cap + 2, 2, 1);
	msi_send(&p->pci);
	assert_int_equal(pc->msis, 1);
	assert_int_equal(pc->msi_addr, 0xfee01000);
	assert_int_equal(pc->msi_data, 0x41);
	assert_int_equal(pc->msi_from.by, BY_DEVICE);
	assert_int_equal(pc->msi_from.id, fn);
	cf_write(pc, fn, 4, 2, 0); /* not a master: silent */
	msi_send(&p->pci);
	assert_int_equal(pc->msis, 1);
}

static void msix(void **state)
{
	struct pc *pc = *state;
	struct probe *p = make_probe(pc, 4 << 3, 1, true);
	unsigned fn = 4 << 3, cap = cf_read(pc, fn, 0x34, 1);
	u64 table = 0xc0000000, pba = table + (cf_read(pc, fn, cap + 8, 4) & ~7u);

	assert_int_equal(cf_read(pc, fn, cap, 1), 0x11);
	assert_int_equal(cf_read(pc, fn, cap + 2, 2), 3); /* four vectors */
	assert_int_equal(cf_read(pc, fn, cap + 4, 4), 2); /* BAR 2 */
	cf_write(pc, fn, 0x18, 4, (u32)table);
	cf_write(pc, fn, 4, 2, 6);
	assert_int_equal(bus_mmio_read(&pc->bus, table + 0x1c, 4), 1); /* masked at reset */
	bus_mmio_write(&pc->bus, table + 0x10, 8, 0xfee00000);
	bus_mmio_write(&pc->bus, table + 0x18, 4, 0x77);
	msix_send(&p->pci, 1); /* not enabled: lost */
	cf_write(pc, fn, cap + 2, 2, 0xc000); /* enabled, function masked */
	bus_mmio_write(&pc->bus, table + 0x1c, 4, 0);
	msix_send(&p->pci, 1);
	assert_int_equal(pc->msis, 0);
	assert_int_equal(bus_mmio_read(&pc->bus, pba, 8), 2);
	cf_write(pc, fn, cap + 3, 1, 0x80); /* unmasked by a byte store */
	assert_int_equal(pc->msis, 1);
	assert_int_equal(pc->msi_data, 0x77);
	assert_int_equal(bus_mmio_read(&pc->bus, pba, 4), 0);
	bus_mmio_write(&pc->bus, table + 0x1c, 4, 1);
	msix_send(&p->pci, 1);
	msix_send(&p->pci, 1);
	assert_int_equal(pc->msis, 1);
	bus_mmio_write(&pc->bus, table + 0x1c, 4, 0);
	assert_int_equal(pc->msis, 2);
	bus_mmio_write(&pc->bus, pba, 4, 0xff);
	assert_int_equal(bus_mmio_read(&pc->bus, pba, 4), 0);
	msix_send(&p->pci, 7); /* no such vector */
	assert_int_equal(pc->msis, 2);
}

static void slots(void **state)
{
	struct pc *pc = *state;
	struct probe *a = make_probe(pc, -1, 1, false), *b = make_probe(pc, -1, 1, false);

	assert_int_equal(a->pci.devfn, 1 << 3);
	assert_int_equal(b->pci.devfn, 2 << 3);
	assert_int_equal(cf_read(pc, 1 << 3, 0x0e, 1), 0);
	make_probe(pc, 1 << 3 | 3, 1, false);
	assert_int_equal(cf_read(pc, 1 << 3, 0x0e, 1), 0x80);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ids_both_ways), TEST(config_address), TEST(ecam_moves), TEST(pm_moves), TEST(bars), TEST(intx),
		TEST(msi), TEST(msix), TEST(slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
