/*
 * Random reads and writes of every port and register of a machine with every device in it, configuration space, rings
 * and descriptors in memory that make little sense, timers advancing, resets in between. Nothing may crash or take
 * long, and what memory holds stays inside RAM.
 */
#include "fuzz.h"

#include <stdio.h>

#include "base/hostmem.h"
#include "dev/pci.h"
#include "dev/virtio.h"

enum { STEPS = 400, SLOW_SECONDS = 10, CATCH_UP = 10000 };
#define RAM       (4ull << 20)
#define RINGS     0x200000ull /* 1 MiB: rings, descriptors, buffers */
#define DISK_SIZE (64u << 10)
#define BARS      0xc0000000ull

struct pc {
	struct machine *m;
	struct rng *r;
	struct pci_dev *fn[16]; /* the functions there are */
	unsigned fns;
};

/* ---- where things are ---- */

static const struct {
	u16 base, count;
} ports[] = {
        {0x00, 0x20},  {0x20, 2},  {0x40, 4},  {0x60, 1},    {0x61, 1},  {0x64, 1},   {0x70, 2},     {0x80, 16},
        {0x92, 1},     {0xa0, 2},  {0xe0, 16}, {0x2f8, 8},   {0x3f8, 8}, {0x4d0, 2},  {0x510, 12},   {0x600, 0x80},
        {0xb000, 128}, {0xcf8, 8}, {0xcf9, 1}, {0x2000, 24}, {0xf4, 4},  {0x8900, 1}, {0xc000, 256}, {0x0, 0xffff},
};

static const struct {
	u64 base, size;
} windows[] = {
        {MACHINE_IOAPIC, 0x100},     {MACHINE_HPET, 0x400},  {MACHINE_LAPIC, 0x1000},
        {MACHINE_ECAM, 0x100000},    {0xff000000, 0x10000},  {BARS, 0x100000},
        {0xa0000, 0x60000},          {0xfed00000, 0x100000}, {RAM - 0x1000, 0x2000},
        {0xfed40000, 0x5000},
        {MACHINE_SPLIT, 0x100000}, {0xfffff000, 0x2000},   {MACHINE_HIGH_BASE, 0x10000},
};

/* ---- single accesses ---- */

static unsigned size_of(struct rng *r, unsigned most)
{
	unsigned s = 1u << rng_below(r, 4);

	return s > most ? most : s;
}

static void port_access(struct pc *p)
{
	unsigned k = (unsigned)rng_below(p->r, ARRAY_LEN(ports));
	u16 port = (u16)(ports[k].base + rng_below(p->r, ports[k].count));
	unsigned size = size_of(p->r, 4);

	if (rng_one_in(p->r, 3))
		(void)bus_port_read(&p->m->bus, port, size);
	else
		bus_port_write(&p->m->bus, port, size, low_bytes(rng_odd(p->r), size));
}

static void mmio_at(struct pc *p, u64 pa)
{
	unsigned size = size_of(p->r, 8);

	if (rng_one_in(p->r, 8)) {
		u8 buf[64];

		if (rng_one_in(p->r, 2))
			bus_read(&p->m->bus, pa, buf, 1 + rng_below(p->r, sizeof(buf)));
		else if (!bus_memory(&p->m->bus, pa))
			rng_fill(p->r, buf, sizeof(buf)),
			        bus_write(&p->m->bus, pa, buf, 1 + rng_below(p->r, sizeof(buf)));
	} else if (bus_memory(&p->m->bus, pa)) {
		return;
	} else if (rng_one_in(p->r, 3)) {
		(void)bus_mmio_read(&p->m->bus, pa, size);
	} else {
		bus_mmio_write(&p->m->bus, pa, size, low_bytes(rng_odd(p->r), size));
	}
}

static void mmio_access(struct pc *p)
{
	unsigned k = (unsigned)rng_below(p->r, ARRAY_LEN(windows));
	u64 pa = windows[k].base + rng_below(p->r, windows[k].size);

	if (rng_one_in(p->r, 2))
		pa &= ~7ull;
	if (windows[k].base == MACHINE_LAPIC) {
		u32 offset = (u32)pa & 0xff0;

		if (rng_one_in(p->r, 3))
			(void)apic_mmio_read(p->m->cpus[0], offset);
		else
			apic_mmio_write(p->m->cpus[0], offset, (u32)rng_odd(p->r));
		return;
	}
	mmio_at(p, pa);
}

/* The I/O APIC's and the RTC's inner registers, behind their index. */
static void indexed_access(struct pc *p)
{
	if (rng_one_in(p->r, 2)) {
		bus_mmio_write(&p->m->bus, MACHINE_IOAPIC, 4, rng_below(p->r, 0x42));
		bus_mmio_write(&p->m->bus, MACHINE_IOAPIC + 0x10, 4, rng_next(p->r) & 0x1afff);
	} else {
		bus_port_write(&p->m->bus, 0x70, 1, rng_below(p->r, 0x100));
		bus_port_write(&p->m->bus, 0x71, 1, rng_next(p->r) & 0xff);
	}
}

/* Comparators and counters where they hurt: due now, due every tick, about to wrap. */
static void timer_access(struct pc *p)
{
	static const u32 regs[] = {0x10, 0x20, 0xf0, 0x100, 0x108, 0x110, 0x120, 0x128, 0x140, 0x148};
	struct bus *b = &p->m->bus;
	u64 now = bus_mmio_read(b, MACHINE_HPET + 0xf0, 8);
	u32 reg = RNG_PICK(p->r, regs);
	u64 v = rng_one_in(p->r, 2) ? rng_odd(p->r) : now + rng_below(p->r, 200) - 100;

	if (reg == 0x10)
		v = rng_below(p->r, 4);
	else if (!(reg & 8) && reg >= 0x100)
		v = rng_next(p->r) & 0x7fff;
	bus_mmio_write(b, MACHINE_HPET + reg, rng_one_in(p->r, 2) ? 4 : 8, v);
	if (!rng_one_in(p->r, 4))
		return;
	bus_port_write(b, 0x43, 1, rng_next(p->r) & 0xff);
	bus_port_write(b, 0x40 + (u16)rng_below(p->r, 3), 1, rng_below(p->r, 3));
	bus_port_write(b, 0x40 + (u16)rng_below(p->r, 3), 1, rng_below(p->r, 3));
}

/* ---- PCI ---- */

static void config_access(struct pc *p)
{
	static const u16 regs[] = {0x04, 0x10, 0x14, 0x20, 0x24, 0x34, 0x3c, 0x40, 0x44, 0x60, 0x64, 0x80, 0x90, 0xa0};
	struct pci_dev *d = p->fn[rng_below(p->r, p->fns)];
	u32 reg = rng_one_in(p->r, 2) ? RNG_PICK(p->r, regs) : (u32)rng_below(p->r, 256);
	u64 v = rng_odd(p->r);
	unsigned size = size_of(p->r, 4);

	if (reg >= 0x10 && reg < 0x28 && !rng_one_in(p->r, 4))
		v = BARS + rng_below(p->r, 256) * 0x1000;
	if (reg == 4)
		v |= rng_one_in(p->r, 4) ? 0 : 7;
	if (rng_one_in(p->r, 2)) {
		bus_port_write(&p->m->bus, 0xcf8, 4, 0x80000000u | (u32)d->devfn << 8 | (reg & 0xfc));
		bus_port_write(&p->m->bus, (u16)(0xcfc + (reg & 3)), size, v);
		(void)bus_port_read(&p->m->bus, 0xcfc, 4);
	} else {
		pci_config_write(d->pci, d->devfn, reg & ~(size - 1), size, (u32)v);
		(void)pci_config_read(d->pci, d->devfn, reg & ~(size - 1), size);
	}
}

/* Put every memory BAR somewhere and switch the function on, as firmware does. */
static void enable_function(struct pc *p, struct pci_dev *d)
{
	for (unsigned n = 0; n < PCI_BARS; n++) {
		u64 at = d->bar[n].kind == PCI_BAR_IO ? 0xc000 + (u64)d->devfn * 0x10
		                                      : BARS + (u64)d->devfn * 0x40000 + n * 0x8000ull;

		if (!d->bar[n].range.size)
			continue;
		pci_config_write(d->pci, d->devfn, PCI_BAR0 + 4 * n, 4, (u32)at);
		if (d->bar[n].kind == PCI_BAR_MEM64)
			pci_config_write(d->pci, d->devfn, PCI_BAR0 + 4 * ++n, 4, 0);
	}
	pci_config_write(d->pci, d->devfn, PCI_COMMAND, 2, 7);
	if (d->msix_cap && rng_one_in(p->r, 2))
		pci_config_write(d->pci, d->devfn, d->msix_cap + 2u, 2, 0x8000);
}

/* ---- virtio: registers by their offsets in "Virtio Over PCI Bus", rings by "Split Virtqueues" ---- */

static u64 bar_of(const struct pci_dev *d)
{
	for (unsigned n = 0; n < PCI_BARS; n++)
		if (d->bar[n].range.mapped && d->bar[n].range.size > PCI_MSIX_SIZE && !d->bar[n].range.port)
			return d->bar[n].range.base;
	return 0;
}

/* Mostly a ring that could be; sometimes anything. */
static u64 ring_address(struct pc *p)
{
	return rng_one_in(p->r, 12) ? rng_odd(p->r) : RINGS + (rng_below(p->r, 0xff000) & ~15ull);
}

static void negotiate(struct pc *p, u64 bar)
{
	struct bus *b = &p->m->bus;

	bus_mmio_write(b, bar + 0x14, 1, 0);
	bus_mmio_write(b, bar + 0x14, 1, 3);
	for (u32 k = 0; k < 2; k++) {
		bus_mmio_write(b, bar + 0x00, 4, k);
		u64 offered = bus_mmio_read(b, bar + 0x04, 4);

		bus_mmio_write(b, bar + 0x08, 4, k);
		bus_mmio_write(b, bar + 0x0c, 4,
		               k ? offered : offered & (rng_one_in(p->r, 2) ? ~0ull : rng_next(p->r)));
	}
	bus_mmio_write(b, bar + 0x14, 1, 11);
	for (u64 q = 0; q < VIRTIO_QUEUES; q++) {
		u64 size = BIT(rng_below(p->r, 9));

		bus_mmio_write(b, bar + 0x16, 2, q);
		bus_mmio_write(b, bar + 0x18, 2, rng_one_in(p->r, 10) ? rng_odd(p->r) : size);
		bus_mmio_write(b, bar + 0x1a, 2, rng_below(p->r, 4));
		for (u32 k = 0; k < 3; k++)
			bus_mmio_write(b, bar + 0x20 + 8 * k, 4, ring_address(p));
		bus_mmio_write(b, bar + 0x1c, 2, 1);
	}
	bus_mmio_write(b, bar + 0x14, 1, 15);
}

static void fill_ring(struct pc *p, const struct virtq *q)
{
	struct bus *b = &p->m->bus;
	u32 size = q->size && q->size <= VIRTIO_QUEUE_SIZE ? q->size : VIRTIO_QUEUE_SIZE;

	if (!bus_memory(b, q->desc) || !bus_memory(b, q->driver + 1024) || !bus_memory(b, q->desc + 16 * 256))
		return;
	for (u32 n = 0; n < size; n++) {
		u32 len = rng_one_in(p->r, 16) ? (u32)rng_odd(p->r)
		                               : (u32)rng_below(p->r, rng_one_in(p->r, 2) ? 32 : 4096);
		u32 flags = (u32)rng_below(p->r, rng_one_in(p->r, 8) ? 8 : 4);

		bus_write_u64(b, q->desc + 16 * n, ring_address(p));
		bus_write_u32(b, q->desc + 16 * n + 8, rng_one_in(p->r, 4) ? 16 : len);
		bus_write_u32(b, q->desc + 16 * n + 12,
		              flags | (u32)(rng_one_in(p->r, 16) ? rng_next(p->r) : n + 1) << 16);
	}
	for (u32 n = 0; n < size; n++) {
		u16 head = (u16)(rng_one_in(p->r, 16) ? rng_next(p->r) : rng_below(p->r, size));

		bus_write(b, q->driver + 4 + 2 * n, &head, sizeof(head));
	}
	u16 idx = (u16)(q->last_avail + (rng_one_in(p->r, 16) ? rng_next(p->r) : rng_below(p->r, size + 1)));
	bus_write(b, q->driver + 2, &idx, sizeof(idx));
}

/* virtio-blk's requests begin with type and sector. */
static void fill_requests(struct pc *p)
{
	for (unsigned n = 0; n < 64; n++) {
		u64 at = RINGS + (rng_below(p->r, 0xff000) & ~15ull);

		bus_write_u32(&p->m->bus, at, (u32)rng_below(p->r, 14));
		bus_write_u64(&p->m->bus, at + 8, rng_one_in(p->r, 4) ? rng_odd(p->r) : rng_below(p->r, 140));
	}
}

static void virtio_access(struct pc *p)
{
	struct pci_dev *d = p->fn[rng_below(p->r, p->fns)];
	struct virtio *v = (struct virtio *)d;
	struct bus *b = &p->m->bus;

	if (pci_get16(d, PCI_VENDOR_ID) != 0x1af4)
		return;
	u64 bar = bar_of(d);
	if (!bar || rng_one_in(p->r, 16)) {
		enable_function(p, d);
		return;
	}
	u64 q = rng_below(p->r, VIRTIO_QUEUES);
	switch (rng_below(p->r, 6)) {
	case 0: mmio_at(p, bar + rng_below(p->r, 0x40)); break;
	case 1: mmio_at(p, bar + (rng_below(p->r, 4) << 12) + rng_below(p->r, 0x80)); break;
	default:
		if (!(v->status & VIRTIO_STATUS_DRIVER_OK) || (v->status & VIRTIO_STATUS_NEEDS_RESET))
			negotiate(p, bar);
		fill_ring(p, &v->q[q]);
		fill_requests(p);
		bus_mmio_write(b, bar + 0x3000 + 4 * q, 2, q);
		fuzz_count(virtio_running(v) ? "rings that went on" : "rings refused");
		break;
	}
}

/* ---- fw_cfg by DMA ---- */

static void fwcfg_dma(struct pc *p)
{
	u64 at = ring_address(p), to = ring_address(p);
	static const u16 keys[] = {0, 1, 3, 5, 0xf, 0x11, 0x19, 0x20, 0x21, 0x4000};
	u32 control = (u32)rng_below(p->r, 32) |
	              (u32)(rng_one_in(p->r, 4) ? rng_next(p->r) & 0xffff : RNG_PICK(p->r, keys)) << 16;

	if (bus_memory(&p->m->bus, at)) {
		bus_write_u32(&p->m->bus, at, __builtin_bswap32(control));
		bus_write_u32(&p->m->bus, at + 4,
		              __builtin_bswap32((u32)(rng_one_in(p->r, 8) ? rng_odd(p->r) : rng_below(p->r, 8192))));
		bus_write_u64(&p->m->bus, at + 8, __builtin_bswap64(to));
	}
	bus_port_write(&p->m->bus, 0x514, 4, __builtin_bswap32((u32)(at >> 32)));
	bus_port_write(&p->m->bus, 0x518, 4, __builtin_bswap32((u32)at));
}

/* ---- time ---- */

static void let_time_pass(struct pc *p)
{
	struct clock *k = &p->m->clock;
	u64 to = k->now + (rng_one_in(p->r, 2) ? rng_below(p->r, 2000) : rng_below(p->r, 5000000));
	struct err err;

	/* As the machine does: timer by timer, and a little late. */
	for (unsigned n = 0; n < 20; n++) {
		k->now = max_u64(k->now, min_u64(to, k->next == UINT64_MAX ? to : k->next + rng_below(p->r, 100)));
		clock_fire(k);
	}
	for (unsigned n = 0; k->next <= k->now; n++) { /* short periods catch up, one at a time */
		if (n == CATCH_UP)
			fuzz_fail("a timer fires again and again");
		clock_fire(k);
	}
	if (!rng_one_in(p->r, 8))
		return;
	p->m->cfg.max_time_ns = k->now + 3000;
	p->m->cfg.no_reboot = rng_one_in(p->r, 2);
	if (machine_run(p->m, 50, &err) == MSTOP_INTERNAL)
		fuzz_fail("machine_run: %.100s", err.text);
	fuzz_check_cpu(p->m->cpus[0]);
}

/* ---- one case ---- */

static void find_functions(struct pc *p)
{
	p->fns = 0;
	for (unsigned n = 0; n < 256; n++)
		if (p->m->pci->fn[n] && p->fns < ARRAY_LEN(p->fn))
			p->fn[p->fns++] = p->m->pci->fn[n];
}

static void configure(struct rng *r, struct machine_config *cfg, char *disk)
{
	static char text[] = "opt/fuzz";

	cfg->testdev = cfg->pcitestdev = rng_one_in(r, 2);
	cfg->edus = (unsigned)rng_below(r, 3);
	for (unsigned n = 0; n < cfg->edus; n++)
		cfg->edu[n] = (struct edu_config){.dma_mask = ~0ull, .devfn = -1};
	cfg->debugexit_port = 0xf4;
	cfg->debugexit_size = 4;
	cfg->rngs = 1;
	cfg->tpm_option = rng_one_in(r, 2) ? "--tpm" : NULL;
	cfg->consoles = 1;
	cfg->console[0] = cfg->serial[0];
	cfg->disks = 1;
	cfg->disk[0] = (struct disk_config){
	        .path = disk, .snapshot = rng_one_in(r, 2), .readonly = rng_one_in(r, 4), .devfn = -1};
	cfg->fwcfgs = 1;
	cfg->fwcfg[0].name = text;
	cfg->fwcfg[0].data = text;
	cfg->fwcfg[0].len = sizeof(text);
}

static void one(struct rng *r)
{
	static void (*const doing[])(struct pc * p) = {
	        port_access,   port_access,   mmio_access,   mmio_access,   indexed_access, timer_access,
	        config_access, virtio_access, virtio_access, virtio_access, fwcfg_dma,      let_time_pass,
	};
	char disk[40];
	int fd = hostmem_file("fuzz-disk", DISK_SIZE);
	struct machine_config cfg;
	struct pc p = {.r = r};

	if (fd < 0)
		fuzz_fail("no memory for a disk");
	snprintf(disk, sizeof(disk), "/proc/self/fd/%d", fd);
	fuzz_config(&cfg, rng_one_in(r, 2) ? "amd" : "intel", RAM);
	configure(r, &cfg, disk);
	p.m = fuzz_machine(&cfg);
	find_functions(&p);
	for (unsigned n = 0; n < p.fns; n++)
		if (!rng_one_in(r, 4))
			enable_function(&p, p.fn[n]);
	for (unsigned n = 0; n < STEPS; n++)
		doing[rng_below(r, ARRAY_LEN(doing))](&p);
	if (fuzz_case_seconds() > SLOW_SECONDS)
		fuzz_fail("%d accesses took %.1f s", STEPS, fuzz_case_seconds());
	machine_destroy(p.m);
	hostmem_close(fd);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, "fuzz-devices", one);
}
