/*
 * Q35 host bridge, 8086:29C0 at 00:00.0: both ways into configuration space, and the registers by which firmware knows
 * the chip. Intel 3 Series Express Chipset data sheet, "Host Bridge Registers (D0:F0)".
 */
#include "dev/pci.h"

enum {
	EPBAR = 0x40, MCHBAR = 0x48, EXT_TSEG = 0x50, GGC = 0x52, DEVEN = 0x54, PCIEXBAR = 0x60, DMIBAR = 0x68, PAM0 = 0x90, PAM6 = 0x96,
	LAC = 0x97, REMAPBASE = 0x98, REMAPLIMIT = 0x9a, SMRAM = 0x9d, ESMRAMC = 0x9e, TOM = 0xa0, TOUUD = 0xa2,
	TSEGMB = 0xac, TOLUD = 0xb0, SKPD = 0xdc,
};
enum { G_SMRAME = 1 << 3, D_LCK = 1 << 4, D_CLS = 1 << 5, D_OPEN = 1 << 6 }; /* SMRAM */
enum { T_EN = 1 << 0, TSEG_SZ = 3 << 1, E_SMERR = 1 << 6, H_SMRAME = 1 << 7 }; /* ESMRAMC */
enum { CONFIG_ADDRESS = 0xcf8, RST_CNT = 0xcf9, CONFIG_DATA = 0xcfc };

#define CONFIG_ENABLE 0x80000000u
#define RESET_ECAM    0xe0000000u /* "PCIEXBAR", default value: not enabled */

#define PAM_SEGMENTS 13
#define SEGMENT_A    0xa0000ull /* A0000h-BFFFFh: VGA's, or SMRAM over it */
#define SEGMENT_SIZE 0x20000ull
#define HIGH_SEGMENT 0xfeda0000ull /* "High SMM Memory Space": where the same SMRAM is with H_SMRAME */

struct q35 {
	struct pci_dev pci;
	struct pci_bus bus;
	u32 address; /* CF8h */
	struct bus_range address_range, data_range, ecam; /* cache, of ecam: PCIEXBAR */
	struct space_overlay pam[PAM_SEGMENTS], compatible, high, tseg; /* cache: update_memory() */
	struct bus_range high_closed, tseg_closed; /* cache: update_smram() */
	bool bad_access; /* E_SMERR */
	u64 low_top; /* wired: where RAM below 4 GiB ends */
};

/* "CONFIG_ADDRESS": only a dword access reaches it. */
static u64 address_read(void *dev, u64 offset, unsigned size)
{
	const struct q35 *q = dev;

	return offset == 0 && size == 4 ? q->address : ~0ull;
}

static void address_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct q35 *q = dev;

	if (offset == 0 && size == 4)
		q->address = (u32)v & 0x80fffffc;
}

/* What CONFIG_ADDRESS selects; false: nothing on bus 0. */
static bool selected(const struct q35 *q, u8 *devfn)
{
	*devfn = (u8)(q->address >> 8);
	return (q->address & CONFIG_ENABLE) && !bits(q->address, 23, 16);
}

static u64 data_read(void *dev, u64 offset, unsigned size)
{
	struct q35 *q = dev;
	u8 devfn;

	if (!selected(q, &devfn))
		return ~0ull;
	return pci_config_read(&q->bus, devfn, (q->address & 0xfc) + (unsigned)offset, size);
}

static void data_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct q35 *q = dev;
	u8 devfn;

	if (selected(q, &devfn))
		pci_config_write(&q->bus, devfn, (q->address & 0xfc) + (unsigned)offset, size, (u32)v);
}

/* "PCI Express Enhanced Configuration Mechanism": bus, device and function, register in bits 27:20, 19:12, 11:0. */
static u64 ecam_read(void *dev, u64 offset, unsigned size)
{
	struct q35 *q = dev;

	return bits(offset, 27, 20) ? ~0ull : pci_config_read(&q->bus, (u8)(offset >> 12), offset & 0xfff, size);
}

static void ecam_write(void *dev, u64 offset, unsigned size, u64 v)
{
	struct q35 *q = dev;

	if (!bits(offset, 27, 20))
		pci_config_write(&q->bus, (u8)(offset >> 12), offset & 0xfff, size, (u32)v);
}

static const struct bus_ops address_ops = { .read = address_read, .write = address_write, .max_size = 4 };
static const struct bus_ops data_ops = { .read = data_read, .write = data_write, .max_size = 4 };
static const struct bus_ops ecam_ops = { .read = ecam_read, .write = ecam_write, .max_size = 4 };

/* "PCIEXBAR—PCI Express Register Range Base Address" */
static void update_ecam(struct q35 *q)
{
	u64 v = pci_get32(&q->pci, PCIEXBAR) | (u64)pci_get32(&q->pci, PCIEXBAR + 4) << 32;
	unsigned length = (unsigned)bits(v, 2, 1); /* 256, 128, 64 MiB; 3 is reserved */
	u64 size = BIT(28) >> length, base = v & mask(35, 26) & ~(size - 1);
	bool on = (v & 1) && length < 3;

	if (on == q->ecam.mapped && base == q->ecam.base && size == q->ecam.size)
		return;
	bus_unmap(q->pci.dev.bus, &q->ecam);
	q->ecam.base = base;
	q->ecam.size = size;
	if (on)
		bus_map(q->pci.dev.bus, &q->ecam);
}

/* ---- memory ---- */

/* "PAM0" to "PAM6": read and write enable of a segment, for processors and for PCI's masters alike. What is not enabled
 * goes past RAM: to a ROM, if there is one. */
static void update_pam(struct q35 *q)
{
	for (unsigned n = 0; n < PAM_SEGMENTS; n++) {
		struct space_overlay *o = &q->pam[n];
		unsigned attribute = q->pci.cfg[PAM0 + (n + 1) / 2] >> (n & 1 ? 0 : 4);
		u8 ram = (u8)((attribute & 1 ? USE_READ | USE_FETCH : 0) | (attribute & 2 ? USE_WRITE : 0));

		o->base = o->memory = n ? 0xc0000 + 0x4000ull * (n - 1) : 0xf0000;
		o->size = n ? 0x4000 : 0x10000;
		for (unsigned s = 0; s < SPACES; s++) {
			o->to[s].memory = ram;
			o->to[s].outside = (u8)(USE_ALL & ~ram);
		}
	}
}

static void show(struct space_overlay *o, u64 base, u64 size, u64 memory, u8 processor, u8 smm)
{
	*o = (struct space_overlay){ .base = base, .size = size, .memory = memory };
	o->to[SPACE_CPU].memory = processor;
	o->to[SPACE_SMM].memory = smm;
	for (unsigned s = 0; s < SPACES; s++)
		o->to[s].outside = (u8)(USE_ALL & ~o->to[s].memory);
}

/* Where extended SMRAM is not seen there is nobody else, but a processor that comes there has done wrong: "E_SMERR". */
static u64 closed_read(void *dev, u64 offset, unsigned size)
{
	struct q35 *q = dev;
	u8 by = q->pci.dev.bus->who.by;

	(void)offset;
	q->bad_access |= by == BY_CPU || by == BY_WALK || by == BY_VIRT;
	return low_bytes(~0ull, size);
}

static void closed_write(void *dev, u64 offset, unsigned size, u64 v)
{
	(void)v;
	(void)closed_read(dev, offset, size);
}

static const struct bus_ops closed_ops = { .read = closed_read, .write = closed_write };

static void watch(struct q35 *q, struct bus_range *r, const struct space_overlay *o, bool on)
{
	struct bus *b = q->pci.dev.bus;

	if (r->mapped && on && r->base == o->base && r->size == o->size)
		return;
	bus_unmap(b, r);
	*r = (struct bus_range){.ops = &closed_ops, .dev = q, .name = "q35", .no_devices = true};
	r->base = o->base;
	r->size = o->size;
	if (on)
		bus_map(b, r);
}

/* "SMRAM", "ESMRAMC", "SMM Space Decode and Transaction Handling": who sees the memory of system management mode, and
 * where. Devices never do. Its content is DRAM's, which a reset leaves alone. DEVIATION: a TSEGMB of 0 stands for the place
 * below TOLUD at which firmware puts it. */
static void update_smram(struct q35 *q)
{
	u8 smram = q->pci.cfg[SMRAM], extended = q->pci.cfg[ESMRAMC];
	bool on = smram & G_SMRAME, open = on && (smram & D_OPEN), high = on && (extended & H_SMRAME);
	u8 all = smram & D_CLS ? USE_FETCH : USE_ALL; /* "only applies to Compatible SMM space" */
	static const u8 tseg_mib[4] = { 1, 2, 8, 0 };
	u64 size = on && (extended & T_EN) ? (u64)tseg_mib[(extended & TSEG_SZ) >> 1] << 20 : 0;
	u64 base = pci_get32(&q->pci, TSEGMB) & 0xfff00000;

	show(&q->compatible, SEGMENT_A, SEGMENT_SIZE, SEGMENT_A, open && !high ? all : 0, on && !high ? all : 0);
	show(&q->high, HIGH_SEGMENT, SEGMENT_SIZE, SEGMENT_A, high && open ? USE_ALL : 0, high ? USE_ALL : 0);
	if (!base && size < q->low_top)
		base = q->low_top - size;
	size = base < q->low_top ? min_u64(size, q->low_top - base) : 0;
	show(&q->tseg, base, size, base, open ? USE_ALL : 0, USE_ALL);
	watch(q, &q->high_closed, &q->high, high);
	watch(q, &q->tseg_closed, &q->tseg, size);
}

/* "D_LCK": D_OPEN falls, and what decides about SMRAM is read-only until the next reset, but for D_CLS. */
static void update_lock(struct q35 *q)
{
	bool locked = q->pci.cfg[SMRAM] & D_LCK;

	if (locked)
		q->pci.cfg[SMRAM] &= (u8)~D_OPEN;
	q->pci.wmask[SMRAM] = locked ? D_CLS : D_OPEN | D_CLS | D_LCK | G_SMRAME;
	q->pci.wmask[ESMRAMC] = E_SMERR | (locked ? 0 : H_SMRAME | TSEG_SZ | T_EN);
	q->pci.wmask[TSEGMB + 2] = locked ? 0 : 0xf0;
	q->pci.wmask[TSEGMB + 3] = locked ? 0 : 0xff;
}

static void update_memory(struct q35 *q)
{
	update_lock(q);
	update_pam(q);
	update_smram(q);
	bus_remap(q->pci.dev.bus);
}

static bool lay_overlays(struct q35 *q)
{
	struct bus *b = q->pci.dev.bus;
	bool ok = true;

	for (unsigned n = 0; n < PAM_SEGMENTS; n++)
		ok = ok && bus_overlay(b, &q->pam[n]);
	return ok && bus_overlay(b, &q->compatible) && bus_overlay(b, &q->high) && bus_overlay(b, &q->tseg);
}

static void lift_overlays(struct q35 *q)
{
	struct bus *b = q->pci.dev.bus;

	for (unsigned n = 0; n < PAM_SEGMENTS; n++)
		bus_lift(b, &q->pam[n]);
	bus_lift(b, &q->compatible);
	bus_lift(b, &q->high);
	bus_lift(b, &q->tseg);
	bus_remap(b);
}

static bool touches(unsigned reg, unsigned size, unsigned first, unsigned last)
{
	return reg <= last && reg + size > first;
}

/* "E_SMERR" is R/WC among bits that are written: a one clears it, and what is read is the event. */
static void before_read(struct pci_dev *p, unsigned reg, unsigned size)
{
	const struct q35 *q = (struct q35 *)p;

	if (touches(reg, size, ESMRAMC, ESMRAMC))
		p->cfg[ESMRAMC] = (u8)((p->cfg[ESMRAMC] & ~E_SMERR) | (q->bad_access ? E_SMERR : 0));
}

static void cfg_written(struct pci_dev *p, unsigned reg, unsigned size)
{
	struct q35 *q = (struct q35 *)p;

	if (touches(reg, size, ESMRAMC, ESMRAMC) && (p->cfg[ESMRAMC] & E_SMERR)) {
		q->bad_access = false;
		p->cfg[ESMRAMC] &= (u8)~E_SMERR;
	}
	if (touches(reg, size, PCIEXBAR, PCIEXBAR + 7))
		update_ecam(q);
	if (touches(reg, size, PAM0, PAM6) || touches(reg, size, SMRAM, ESMRAMC) || touches(reg, size, TSEGMB, TSEGMB + 3))
		update_memory(q);
}

static const struct pci_cfg_ops cfg_ops = { .before_read = before_read, .written = cfg_written };

/* The other register blocks are not there. */
static void registers(struct pci_dev *p)
{
	p->cfg[PCI_COMMAND] = PCI_CMD_MEMORY | PCI_CMD_MASTER; /* "PCICMD": hardwired */
	p->wmask[PCI_COMMAND] &= (u8)~PCI_CMD_MASTER;
	for (unsigned r = PAM0; r <= PAM6; r++)
		pci_writable(p, r, 1, r == PAM0 ? 0x30 : 0x33);
	pci_set32(p, PCIEXBAR, RESET_ECAM);
	pci_writable(p, EXT_TSEG, 2, 0xffff); /* DEVIATION: reserved; firmware writes all ones here and takes them for a no */
	pci_writable(p, PCIEXBAR, 4, 0xfc000007);
	pci_writable(p, PCIEXBAR + 4, 4, 0xf);
	pci_writable(p, EPBAR, 4, 0xfffff001);
	pci_writable(p, EPBAR + 4, 4, 0xf);
	pci_writable(p, MCHBAR, 4, 0xffffc001);
	pci_writable(p, MCHBAR + 4, 4, 0xf);
	pci_writable(p, DMIBAR, 4, 0xfffff001);
	pci_writable(p, DMIBAR + 4, 4, 0xf);
	pci_set16(p, GGC, 2); /* no internal graphics: VGA cycles go nowhere */
	pci_set32(p, DEVEN, 1);
	pci_writable(p, LAC, 1, 0x81);
	pci_set16(p, REMAPBASE, 0x3ff);
	pci_writable(p, REMAPBASE, 2, 0x3ff);
	pci_writable(p, REMAPLIMIT, 2, 0x3ff);
	p->cfg[SMRAM] = 0x02;
	p->cfg[ESMRAMC] = 0x38;
	pci_writable(p, SKPD, 4, ~0u);
}

/* "TOM", "TOUUD", "TOLUD": what firmware asks the bridge about memory. */
static u64 memory_tops(struct pci_dev *p)
{
	const struct bus *b = p->dev.bus;
	u64 low = 0, high = 0;

	for (unsigned i = 0; i < b->blocks; i++) {
		u64 end = b->block[i].base + b->block[i].size;
		if (!b->block[i].rom && end <= BIT(32))
			low = max_u64(low, end);
		else if (!b->block[i].rom)
			high = max_u64(high, end);
	}
	pci_set16(p, TOM, (u16)min_u64(b->ram_size >> 26, 0x3ff));
	pci_set16(p, TOUUD, (u16)min_u64(high >> 20, 0xffff));
	pci_set16(p, TOLUD, (u16)((low >> 20) << 4));
	return low;
}

static void q35_reset(struct device *d)
{
	struct q35 *q = (struct q35 *)d;

	pci_reset(&q->pci);
	q->bad_access = false;
	q->address = 0;
	update_ecam(q);
	update_memory(q);
}

static void q35_loaded(struct device *d)
{
	struct q35 *q = (struct q35 *)d;

	pci_loaded(d);
	update_ecam(q);
	update_memory(q);
}

static void q35_destroy(struct device *d)
{
	struct q35 *q = (struct q35 *)d;

	d->bus->aborted = NULL;
	pci_detach(&q->pci);
	bus_unmap(d->bus, &q->address_range);
	bus_unmap(d->bus, &q->data_range);
	bus_unmap(d->bus, &q->ecam);
	bus_unmap(d->bus, &q->high_closed);
	bus_unmap(d->bus, &q->tseg_closed);
	lift_overlays(q);
	base_free(q);
}

static const struct state_row rows[] = { PCI_ROWS(1, struct q35, pci), STATE(10, struct q35, address),
	STATE(11, struct q35, bad_access) };

static const struct device_ops ops = {
	.name = "q35", .reset = q35_reset, .loaded = q35_loaded, .destroy = q35_destroy, .rows = rows, .row_count = ARRAY_LEN(rows),
};

/* CF9h lies inside CONFIG_ADDRESS's dword: a byte access there is the reset register's, so its range comes first. */
static void uncover_reset_register(struct bus *b)
{
	for (struct bus_range *r = b->ports; r; r = r->next) {
		if (r->base == RST_CNT && r->size == 1) {
			bus_map(b, r);
			return;
		}
	}
}

enum status q35_create(struct device **out, const struct dev_env *e, struct pci_bus **pci)
{
	static const struct pci_ids ids = {
		.vendor = 0x8086, .device = 0x29c0, .class_code = 0x060000, .revision = 2,
		.subsystem_vendor = 0x1af4, .subsystem = 0x1100, /* by which firmware knows a virtual machine's */
	};
	struct q35 *q = base_alloc(sizeof(*q));

	if (!q)
		return ST_NOMEM;
	q->pci.dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	q->pci.cfg_ops = &cfg_ops;
	q->bus.bus = e->bus;
	q->bus.ecam = &q->ecam;
	e->bus->aborted = pci_aborted;
	e->bus->aborted_arg = &q->bus;
	if (pci_attach(&q->pci, &q->bus, 0, &ids) != ST_OK) { /* an empty bus has room: cannot be */
		base_free(q);
		return ST_STATE;
	}
	registers(&q->pci);
	q->low_top = memory_tops(&q->pci);
	q->ecam = (struct bus_range){ .ops = &ecam_ops, .dev = q, .name = "ecam" };
	dev_map(&q->pci.dev, &q->address_range, &address_ops, true, CONFIG_ADDRESS, 4);
	dev_map(&q->pci.dev, &q->data_range, &data_ops, true, CONFIG_DATA, 4);
	uncover_reset_register(e->bus);
	update_lock(q);
	pci_ready(&q->pci);
	*pci = &q->bus;
	*out = &q->pci.dev;
	if (!lay_overlays(q)) { /* nobody else lays any */
		q35_destroy(*out);
		return ST_STATE;
	}
	update_memory(q);
	return ST_OK;
}
