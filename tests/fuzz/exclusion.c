/*
 * Random writes to the DEV registers, random tables, and devices that do what they like: cycles of every kind, transfers,
 * rings, registers of theirs and of each other. What an access did to memory must be what the registers and tables say, by
 * an evaluation of its own: the page's bit for bits that are flushed, and never a change in a page that neither the table
 * nor the secure loader's region ever opened. A machine whose state is taken out and put back must answer the same.
 */
#include "fuzz.h"

#include "dev/devices.h"
#include "dev/pci.h"

enum { STEPS = 500, EDUS = 3, SLOW_SECONDS = 10 };
#define RAM    (4ull << 20)
#define TABLES 0x200000ull /* the tables' megabyte: nobody's target */
#define CLOSED 0x100000ull /* the secure loader's region */
enum { NB = NORTHBRIDGE_SLOT << 3 | 3, DEV_OP = 0xf4, DEV_DATA = 0xf8 };
enum { BASE_LO = 0x000, BASE_HI = 0x100, MAP = 0x200, CR = 0x400, ERR_STATUS = 0x500, ADDR_LO = 0x600, ADDR_HI = 0x700 };
enum { ENABLE = 1, IOSPEN = 4, INVALIDATE = 16, SL_DEV_EN = 32 };

struct pc {
	struct machine *m;
	struct rng *r;
	struct pci_dev *edu[EDUS];
	u64 bar[EDUS];
};

static u32 dev(struct pc *p, unsigned op)
{
	pci_config_write(p->m->pci, NB, DEV_OP, 4, op);
	return pci_config_read(p->m->pci, NB, DEV_DATA, 4);
}

static void dev_put(struct pc *p, unsigned op, u32 v)
{
	pci_config_write(p->m->pci, NB, DEV_OP, 4, op);
	pci_config_write(p->m->pci, NB, DEV_DATA, 4, v);
}

static u8 byte_at(struct pc *p, u64 pa)
{
	u8 v;

	bus_read(&p->m->bus, pa, &v, 1);
	return v;
}

/* ---- the other evaluation: what the registers that software reads and the tables in memory say ---- */

static unsigned domain(struct pc *p, unsigned unit)
{
	for (unsigned n = 0; n < 4; n++) {
		u32 m = dev(p, MAP | n);
		if (m >> 12 & 0xff)
			continue;
		if ((m >> 5 & 1) && (m & 31) == unit)
			return m >> 20 & 63;
		if ((m >> 11 & 1) && (m >> 6 & 31) == unit)
			return m >> 26;
	}
	return 0;
}

/* Where the page's bit lies. */
static u64 bit_at(struct pc *p, unsigned unit, u64 pa)
{
	u32 d = domain(p, unit);

	return ((u64)dev(p, BASE_HI | d) << 32 | (dev(p, BASE_LO | d) & 0xfffff000)) + (pa >> 15);
}

static bool open_to(struct pc *p, unsigned unit, u64 pa)
{
	u32 cr = dev(p, CR), lo = dev(p, BASE_LO | domain(p, unit));
	u64 table = bit_at(p, unit, pa), size = lo >> 2 & 31;

	if ((cr & SL_DEV_EN) && pa >> 16 == CLOSED >> 16)
		return false;
	if (!(cr & ENABLE) || !(lo & 1))
		return true;
	if (pa >> 40 || (size < 8 && pa >> (32 + size)))
		return !(lo & 2);
	return table < RAM && !(byte_at(p, table) >> (pa >> 12 & 7) & 1);
}

/* ---- what is done ---- */

static u32 some_base(struct pc *p)
{
	return (u32)(TABLES + (rng_below(p->r, 8) << 17)) | (u32)rng_below(p->r, 4) << 2 | (u32)rng_below(p->r, 4);
}

static void write_register(struct pc *p)
{
	unsigned n = (unsigned)rng_below(p->r, 4);

	switch (rng_below(p->r, 8)) {
	case 0: dev_put(p, CR, (u32)rng_odd(p->r)); break;
	case 1: dev_put(p, CR, SL_DEV_EN | ENABLE | (u32)(rng_next(p->r) & (IOSPEN | INVALIDATE))); break;
	case 2: dev_put(p, MAP | n, (u32)rng_next(p->r) & 0xfff00fff); break;
	case 3: dev_put(p, BASE_HI | n, rng_one_in(p->r, 4) ? (u32)rng_odd(p->r) : 0); break;
	case 4: dev_put(p, (unsigned)rng_below(p->r, 0x10000), (u32)rng_odd(p->r)); break;
	case 5: pci_config_write(p->m->pci, NB, (unsigned)rng_below(p->r, 256), 1u << rng_below(p->r, 3), (u32)rng_odd(p->r)); break;
	default: dev_put(p, BASE_LO | n, some_base(p)); break;
	}
}

static void write_table(struct pc *p)
{
	u64 at = TABLES + (rng_below(p->r, 8) << 17);

	for (unsigned n = 0; n < 32; n++) { /* the first 4 MiB are 128 bytes, the rest is further up */
		u8 v = (u8)rng_next(p->r);
		bus_write(&p->m->bus, at + rng_below(p->r, rng_one_in(p->r, 4) ? 0x20000 : 128), &v, 1);
	}
}

static u64 target(struct pc *p)
{
	switch (rng_below(p->r, 8)) {
	case 0: return CLOSED - 8 + rng_below(p->r, 0x10010);
	case 1: return p->bar[rng_below(p->r, EDUS)] + (rng_below(p->r, 0xc0) & ~3ull);
	case 2: return MACHINE_ECAM + rng_below(p->r, 0x100000);
	case 3: return rng_odd(p->r);
	case 4: return 0xfee00000 + (rng_below(p->r, 0x2000) & ~3ull);
	default: return 0x4000 + rng_below(p->r, TABLES - 0x4000);
	}
}

static void write_edu(struct pc *p, unsigned k, unsigned reg, u64 v)
{
	bus_mmio_write(&p->m->bus, p->bar[k] + reg, 8, v);
}

/* One byte by a device, everything being flushed: memory tells whether it was let through. */
static void judged(struct pc *p)
{
	unsigned k = (unsigned)rng_below(p->r, EDUS), unit = p->edu[k]->devfn >> 3;
	u64 pa = rng_one_in(p->r, 3) ? CLOSED - 0x8000 + rng_below(p->r, 0x20000) : 0x4000 + rng_below(p->r, TABLES - 0x4000);
	u32 status;

	/* What the host bridge shows below 1 MiB is its own affair; a ROM with a table in it is no table of ours. */
	u64 table = bit_at(p, unit, pa);
	if (pa - 0x80000 < 0x80000 || table - 0x80000 < 0x80000 || (table >= RAM && bus_memory(&p->m->bus, table)))
		return;
	pci_config_write(p->m->pci, p->edu[k]->devfn, PCI_COMMAND, 2, 7);
	dev_put(p, CR, (dev(p, CR) & 0x7f) | INVALIDATE);
	dev_put(p, ERR_STATUS, 0);
	bool open = open_to(p, unit, pa);
	u8 before = byte_at(p, pa), v = (u8)~before;
	write_edu(p, k, 0xa0, pa);
	write_edu(p, k, 0xa8, v);
	bus_mmio_write(&p->m->bus, p->bar[k] + 0xb0, 4, 3);
	if (byte_at(p, pa) != (open ? v : before))
		fuzz_fail("unit %u, %llx: %02x became %02x, %s", unit, (unsigned long long)pa, before, byte_at(p, pa),
		          open ? "open" : "closed");
	status = dev(p, ERR_STATUS);
	if ((status >> 31) == open || (!open && dev(p, ADDR_LO) != (u32)pa))
		fuzz_fail("unit %u, %llx: log %08x", unit, (unsigned long long)pa, status);
	bus_mmio_write(&p->m->bus, p->bar[k] + 0xb0, 4, 1);
	v = (u8)bus_mmio_read(&p->m->bus, p->bar[k] + 0xa8, 4);
	if (v != (open ? (u8)~before : 0xff))
		fuzz_fail("unit %u, %llx: %02x read", unit, (unsigned long long)pa, v);
	fuzz_count(open ? "let through" : "refused");
}

/* Anything at all: cycles of every kind and size, transfers, registers. */
static void wild(struct pc *p)
{
	unsigned k = (unsigned)rng_below(p->r, EDUS);
	u64 b = p->bar[k];

	switch (rng_below(p->r, 4)) {
	case 0:
		write_edu(p, k, 0x80, rng_one_in(p->r, 2) ? 0x40000 + rng_below(p->r, 4096) : target(p));
		write_edu(p, k, 0x88, rng_one_in(p->r, 2) ? 0x40000 + rng_below(p->r, 4096) : target(p));
		write_edu(p, k, 0x90, rng_one_in(p->r, 8) ? rng_odd(p->r) : rng_below(p->r, 4096));
		write_edu(p, k, 0x98, rng_below(p->r, 8));
		break;
	case 1: bus_mmio_write(&p->m->bus, b + (rng_below(p->r, 0xc0) & ~3ull), 4u << rng_below(p->r, 2), rng_odd(p->r)); break;
	case 2: (void)bus_mmio_read(&p->m->bus, b + rng_below(p->r, 0xc0), 1u << rng_below(p->r, 4)); break;
	default:
		write_edu(p, k, 0xa0, rng_one_in(p->r, 4) ? 0xcf0 + rng_below(p->r, 0x20) : target(p));
		write_edu(p, k, 0xa8, rng_odd(p->r));
		bus_mmio_write(&p->m->bus, b + 0xb0, 4, rng_below(p->r, 64) | 1);
		break;
	}
	if (rng_one_in(p->r, 2)) {
		p->m->clock.now += rng_below(p->r, 40000);
		clock_fire(&p->m->clock);
	}
}

/* ---- one case ---- */

static void make(struct pc *p, struct rng *r)
{
	struct machine_config cfg;

	*p = (struct pc){.r = r};
	fuzz_config(&cfg, rng_one_in(r, 2) ? "amd" : "pacifica", RAM);
	cfg.rngs = 1;
	cfg.edus = EDUS;
	for (unsigned k = 0; k < EDUS; k++)
		cfg.edu[k] = (struct edu_config){.dma_mask = ~0ull, .devfn = -1};
	cfg.no_reboot = true;
	p->m = fuzz_machine(&cfg);
	for (unsigned n = 0, k = 0; n < 256 && k < EDUS; n++)
		if (p->m->pci->fn[n] && pci_get16(p->m->pci->fn[n], PCI_DEVICE_ID) == 0x11e8)
			p->edu[k++] = p->m->pci->fn[n];
	for (unsigned k = 0; k < EDUS; k++) {
		p->bar[k] = 0xc0000000 + k * 0x100000ull;
		pci_config_write(p->m->pci, p->edu[k]->devfn, PCI_COMMAND, 2, 0);
		pci_config_write(p->m->pci, p->edu[k]->devfn, PCI_BAR0, 4, (u32)p->bar[k]);
		pci_config_write(p->m->pci, p->edu[k]->devfn, PCI_COMMAND, 2, 7);
	}
}

/* While SL_DEV_EN is on and software leaves it on, no device changes a byte of the region. */
static void secure(struct pc *p)
{
	u8 before[64], after[64];
	u64 at = CLOSED + rng_below(p->r, 0x10000 - sizeof(before));

	p->m->bus.secure.protect(p->m->bus.secure.arg, CLOSED);
	bus_read(&p->m->bus, at, before, sizeof(before));
	for (unsigned n = 0; n < 20; n++)
		wild(p);
	bus_read(&p->m->bus, at, after, sizeof(after));
	if (!(dev(p, CR) & SL_DEV_EN))
		fuzz_fail("a device has cleared SL_DEV_EN");
	if (memcmp(before, after, sizeof(before)))
		fuzz_fail("the secure loader's region has changed");
}

static void one(struct rng *r)
{
	static void (*const doing[])(struct pc * p) = {write_register, write_register, write_table, judged, judged, judged, wild, secure};
	struct pc p;

	make(&p, r);
	for (unsigned n = 0; n < STEPS; n++)
		doing[rng_below(r, ARRAY_LEN(doing))](&p);
	if (fuzz_case_seconds() > SLOW_SECONDS)
		fuzz_fail("%d steps took %.1f s", STEPS, fuzz_case_seconds());
	machine_destroy(p.m);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, "fuzz-exclusion", one);
}
