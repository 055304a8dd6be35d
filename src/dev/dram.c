/*
 * The northbridge's memory controller as far as a reset's fate of memory depends on it: functions 1 (address map) and 2
 * (DRAM controller) of a northbridge with one node. Firmware says where DRAM ends and how it is driven, then asks for
 * InitDram; behind a reset memory is cleared at that moment, unless trusted software has asked to keep it and nothing
 * about DRAM has changed meanwhile. AMD64 Secure Virtual Machine Architecture, "Automatic Memory Clear"; registers as
 * the BIOS and Kernel Developer's Guide for NPT Family 0Fh Processors names them.
 * DEVIATION: processors and devices find memory whether DRAM is enabled or not.
 */
#include "dev/pci.h"

/* Function 1: DRAM Base and Limit 0 (address bits 39:24 in 31:16), DRAM Hole Address. */
enum { DRAM_BASE = 0x40, DRAM_LIMIT = 0x44, DRAM_HOLE = 0xf0 };
/* Function 2: Bank Address Mapping, Configuration Low and High, Controller Miscellaneous. */
enum { BANK_MAP = 0x80, CONFIG_LOW = 0x90, CONFIG_HIGH = 0x94, MISC = 0xa0 };
enum { INIT_DRAM = 1 << 0, EXIT_SELF_REF = 1 << 1 }; /* Configuration Low */
enum { MEM_CLR_STATUS = 1 << 0, DRAM_ENABLED = 1 << 9 }; /* Controller Miscellaneous */

/* What is checked against the shadows: what decides how large DRAM is and how it is addressed. */
enum { CHECK_BASE, CHECK_LIMIT, CHECK_MAP, CHECK_LOW, CHECK_HIGH, CHECKS };

struct dram {
	struct pci_dev control, map; /* functions 2 and 1 */
	u32 shadow[CHECKS];          /* the AMC check registers as DRAM was last enabled: a reset leaves them alone */
	bool known;                  /* there are such: the power was not gone since */
	bool enabled;                /* since the last reset */
	struct dram_keeper keeper;
};

static void read_checks(const struct dram *d, u32 out[CHECKS])
{
	out[CHECK_BASE] = pci_get32(&d->map, DRAM_BASE);
	out[CHECK_LIMIT] = pci_get32(&d->map, DRAM_LIMIT);
	out[CHECK_MAP] = pci_get32(&d->control, BANK_MAP);
	out[CHECK_LOW] = pci_get32(&d->control, CONFIG_LOW);
	out[CHECK_HIGH] = pci_get32(&d->control, CONFIG_HIGH);
}

/* Where DRAM described so begins and ends: the order of memory, since there is no hole yet when DRAM is enabled. */
static u64 first_byte(const u32 check[CHECKS])
{
	return (u64)bits(check[CHECK_BASE], 31, 16) << 24;
}

static u64 end_byte(const u32 check[CHECKS])
{
	return ((u64)bits(check[CHECK_LIMIT], 31, 16) + 1) << 24;
}

/* Behind a loss of power nobody knows what was there: all there is now. */
static void clear_before_use(struct dram *d, const u32 now[CHECKS])
{
	struct bus *b = d->control.dev.bus;

	if (!d->known)
		mem_clear(b, 0, b->ram_size);
	else if (!d->keeper.keep(d->keeper.arg) || memcmp(now, d->shadow, sizeof(d->shadow)))
		mem_clear(b, first_byte(d->shadow), min_u64(end_byte(d->shadow), b->ram_size));
}

static void enable(struct dram *d)
{
	u32 now[CHECKS];

	read_checks(d, now);
	if (!d->enabled)
		clear_before_use(d, now);
	memcpy(d->shadow, now, sizeof(now));
	d->known = d->enabled = true;
	pci_set32(&d->control, MISC, pci_get32(&d->control, MISC) | MEM_CLR_STATUS | DRAM_ENABLED);
}

static void control_written(struct pci_dev *p, unsigned reg, unsigned size)
{
	struct dram *d = (struct dram *)p;
	u32 low = pci_get32(p, CONFIG_LOW);

	(void)reg;
	(void)size;
	pci_set32(p, CONFIG_LOW, low & ~(u32)(INIT_DRAM | EXIT_SELF_REF)); /* done at once */
	if (low & (INIT_DRAM | EXIT_SELF_REF))
		enable(d);
}

static const struct pci_cfg_ops control_ops = { .written = control_written };

static void dram_reset(struct device *dev)
{
	struct dram *d = (struct dram *)dev;

	pci_reset(&d->control);
	pci_reset(&d->map);
	d->enabled = false;
}

static void dram_loaded(struct device *dev)
{
	struct dram *d = (struct dram *)dev;

	pci_loaded(&d->control.dev);
	pci_loaded(&d->map.dev);
}

static void dram_destroy(struct device *dev)
{
	struct dram *d = (struct dram *)dev;

	pci_detach(&d->control);
	pci_detach(&d->map);
	base_free(d);
}

static const struct state_row rows[] = {
	PCI_ROWS(1, struct dram, control), PCI_ROWS(11, struct dram, map), STATE(21, struct dram, shadow),
	STATE(22, struct dram, known), STATE(23, struct dram, enabled),
};

static const struct device_ops ops = {
	.name = "dram", .reset = dram_reset, .loaded = dram_loaded, .destroy = dram_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

void dram_power_lost(struct device *dev)
{
	((struct dram *)dev)->known = false;
}

bool dram_enabled(const struct device *dev)
{
	return ((const struct dram *)dev)->enabled;
}

static enum status add_function(struct pci_dev *p, const struct dev_env *e, unsigned devfn, u16 device,
				const struct pci_cfg_ops *cfg_ops)
{
	const struct pci_ids ids = { .vendor = 0x1022, .device = device, .class_code = 0x060000 };

	p->dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	p->cfg_ops = cfg_ops;
	return pci_attach(p, e->pci, (int)devfn, &ids);
}

static void registers(struct dram *d)
{
	pci_writable(&d->map, DRAM_BASE, 4, 0xffff0703);  /* RE, WE, IntlvEn */
	pci_writable(&d->map, DRAM_LIMIT, 4, 0xffff0707); /* DstNode, IntlvSel */
	pci_writable(&d->map, DRAM_HOLE, 4, 0xff00ff01);  /* DramHoleValid, DramHoleOffset */
	pci_writable(&d->control, BANK_MAP, 4, 0xffff);
	pci_writable(&d->control, CONFIG_LOW, 4, 0x000bffb3);
	pci_writable(&d->control, CONFIG_HIGH, 4, 0xff4fd0ff);
	pci_ready(&d->map);
	pci_ready(&d->control);
}

enum status dram_create(struct device **out, const struct dev_env *e, u8 slot, struct dram_keeper keeper)
{
	struct dram *d = base_alloc(sizeof(*d));

	if (!d)
		return ST_NOMEM;
	d->keeper = keeper;
	enum status s = add_function(&d->map, e, (unsigned)slot << 3 | 1, 0x1101, NULL);
	if (s == ST_OK && add_function(&d->control, e, (unsigned)slot << 3 | 2, 0x1102, &control_ops) != ST_OK) {
		pci_detach(&d->map);
		s = ST_STATE;
	}
	if (s != ST_OK) {
		base_free(d);
		return s;
	}
	registers(d);
	*out = &d->control.dev;
	return ST_OK;
}
