/*
 * Without firmware the loader leaves what firmware would: memory types and x87 on every processor, interrupt
 * controllers and timer initialised, CMOS, PCI devices with addresses and interrupts, fw_cfg.
 */
#include "cpu/exec/fpu.h"
#include "dev/devices.h"
#include "machine/boot/boot.h"

/* ---- processors ---- */

/* Default write-back; A0000h-BFFFFh and the PCI hole uncacheable. The same on all processors, as
 * "Programming Considerations in MP Systems" of the MTRRs wants it. */
static void set_memory_types(const struct machine *m, struct cpu *c)
{
	u64 width = mask(c->phys_bits - 1u, 12);

	for (unsigned i = 0; i < ARRAY_LEN(c->mtrr.fixed); i++)
		c->mtrr.fixed[i] = i == 2 ? 0 : 0x0606060606060606ull; /* [2]: 16 KiB pieces from A0000h */
	/* One register a naturally aligned piece. */
	u64 hole = machine_low_ram(m) > MACHINE_SPLIT ? MACHINE_ECAM : MACHINE_SPLIT;
	for (unsigned n = 0; hole < MACHINE_HIGH_BASE; n++) {
		u64 size = hole & (0 - hole);
		c->mtrr.base[n] = hole | MT_UC;
		c->mtrr.mask[n] = (~(size - 1) & width) | BIT(11);
		hole += size;
	}
	c->mtrr.def_type = BIT(11) | BIT(10) | MT_WB;
	/* AMD's view of the same: TOP_MEM, TOP_MEM2; MtrrFixDramEn, MtrrVarDramEn, MtrrTom2En, Tom2ForceMemTypeWB. */
	c->top_mem = machine_low_ram(m);
	c->top_mem2 = machine_high_ram(m) ? MACHINE_HIGH_BASE + machine_high_ram(m) : 0;
	c->syscfg |= BIT(18) | BIT(20) | (c->top_mem2 ? BIT(21) | BIT(22) : 0);
}

/* "Virtual Wire Mode" of the MultiProcessor Specification: the 8259 pair through LINT0, NMI through LINT1. */
static void set_virtual_wire(struct cpu *c)
{
	enum { SVR = 0xf0, LVT_LINT0_REG = 0x350, LVT_LINT1_REG = 0x360 };

	if (!has(c, FEAT_APIC))
		return;
	apic_mmio_write(c, SVR, 0x10f);
	apic_mmio_write(c, LVT_LINT0_REG, 0x700);
	apic_mmio_write(c, LVT_LINT1_REG, 0x400);
}

/* ---- legacy devices ---- */

static void out8(struct machine *m, u16 port, u8 v)
{
	bus_port_write(&m->bus, port, 1, v);
}

static void set_legacy(struct machine *m)
{
	/* ICW1..4: edge, cascade on 2, vectors 08h and 70h; every input masked. */
	static const struct {
		u16 port;
		u8 v;
	} pic[] =
	        {
	                {0x20, 0x11},  {0x21, 0x08},  {0x21, 0x04}, {0x21, 0x01}, {0xa0, 0x11},
	                {0xa1, 0x70},  {0xa1, 0x02},  {0xa1, 0x01}, {0x21, 0xff}, {0xa1, 0xff},
	                {0x4d0, 0x00}, {0x4d1, 0x0c}, /* PIRQs on 10 and 11 are level-triggered */
	        };

	for (size_t i = 0; i < ARRAY_LEN(pic); i++)
		out8(m, pic[i].port, pic[i].v);
	out8(m, 0x43, 0x34); /* channel 0: rate generator, 18.2 Hz */
	out8(m, 0x40, 0);
	out8(m, 0x40, 0);
}

/* What a reset does not change: the shutdown status is software's, and was 0 at power-on. */
void boot_cmos(struct machine *m)
{
	u64 low = machine_low_ram(m), high = machine_high_ram(m);
	u64 kib = min_u64((low - 0x100000) >> 10, 0xffff), above16 = low > BIT(24) ? (low - BIT(24)) >> 16 : 0;
	u64 chunks = min_u64(high >> 16, 0xffffff);
	const struct {
		u8 index;
		u64 v;
	} byte[] = {
	        {0x10, 0},
	        {0x12, 0},
	        {0x14, 0x02}, /* a coprocessor, no floppy */
	        {0x15, 640 & 0xff},
	        {0x16, 640 >> 8},
	        {0x17, kib},
	        {0x18, kib >> 8},
	        {0x30, kib},
	        {0x31, kib >> 8},
	        {0x34, min_u64(above16, 0xffff)},
	        {0x35, min_u64(above16, 0xffff) >> 8},
	        {0x5b, chunks},
	        {0x5c, chunks >> 8},
	        {0x5d, chunks >> 16},
	        {0x5f, m->count - 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(byte); i++)
		rtc_set_cmos(m->rtc, byte[i].index, (u8)byte[i].v);
}

/* ---- PCI: addresses for the BARs, interrupt lines, decoding on ---- */

struct pci_alloc {
	u64 mem;
	u32 io;
};

static u32 cfg_read(struct machine *m, unsigned devfn, unsigned reg)
{
	bus_port_write(&m->bus, 0xcf8, 4, 0x80000000u | devfn << 8 | (reg & 0xfc));
	return (u32)bus_port_read(&m->bus, 0xcfc, 4);
}

static void cfg_write(struct machine *m, unsigned devfn, unsigned reg, u32 v)
{
	bus_port_write(&m->bus, 0xcf8, 4, 0x80000000u | devfn << 8 | (reg & 0xfc));
	bus_port_write(&m->bus, 0xcfc, 4, v);
}

/* A processor with a northbridge has its memory controller there. DRAM is one piece until it is enabled; then what lies
 * beside the PCI hole moves above 4 GiB. */
void boot_dram(struct machine *m, bool asleep)
{
	enum { MAP = NORTHBRIDGE_SLOT << 3 | 1, CONTROL = NORTHBRIDGE_SLOT << 3 | 2 };
	enum { BASE = 0x40, LIMIT = 0x44, HOLE = 0xf0, RE_WE = 3, HOLE_VALID = 1 };
	enum { CONFIG_LOW = 0x90, CONFIG_HIGH = 0x94, INIT_DRAM = 1, EXIT_SELF_REF = 2, UNBUFFERED = 1 << 16, CLOCK = 0xb };
	u64 low = machine_low_ram(m), high = machine_high_ram(m), unit = BIT(24);

	if (cfg_read(m, CONTROL, 0) == ~0u)
		return;
	cfg_write(m, MAP, BASE, RE_WE);
	cfg_write(m, MAP, LIMIT, (u32)((low + high - 1) / unit) << 16);
	cfg_write(m, CONTROL, CONFIG_HIGH, CLOCK);
	cfg_write(m, CONTROL, CONFIG_LOW, UNBUFFERED | (asleep ? EXIT_SELF_REF : INIT_DRAM));
	if (!high)
		return;
	cfg_write(m, MAP, HOLE, (u32)low | (u32)((MACHINE_HIGH_BASE - low) / unit) << 8 | HOLE_VALID);
	cfg_write(m, MAP, LIMIT, (u32)((MACHINE_HIGH_BASE + high - 1) / unit) << 16);
}

/* Firmware has copied itself into RAM at C0000h to FFFFFh, and leaves all of it writable ("PAM0" to "PAM6"). */
void boot_shadow(struct machine *m)
{
	enum { PAM0 = 0x90, PAM4 = 0x94 }; /* behind PAM6 there is another register */

	cfg_write(m, 0, PAM0, 0x33333333);
	cfg_write(m, 0, PAM4, (cfg_read(m, 0, PAM4) & 0xff000000) | 0x333333);
}

/* "Base Addresses" of the PCI specification: write ones, read back the size. Returns how many BARs it took. */
static unsigned assign_bar(struct machine *m, unsigned devfn, unsigned n, struct pci_alloc *a)
{
	unsigned reg = 0x10 + 4 * n;

	cfg_write(m, devfn, reg, ~0u);
	u32 v = cfg_read(m, devfn, reg);
	bool io = v & 1, wide = !io && (v & 6) == 4;
	u32 size = ~(v & (io ? ~3u : ~15u)) + 1;
	if (!v || !size)
		return 1;
	if (io) {
		a->io = (a->io + size - 1) & ~(size - 1);
		cfg_write(m, devfn, reg, a->io);
		a->io += size;
		return 1;
	}
	u64 base = (a->mem + size - 1) & ~(u64)(size - 1);
	/* What does not fit stays at 0 and undecoded, as firmware leaves it. */
	if (base + size > MACHINE_PCI_END)
		base = 0;
	else
		a->mem = base + max_u64(size, PAGE_SIZE);
	cfg_write(m, devfn, reg, (u32)base);
	if (wide)
		cfg_write(m, devfn, reg + 4, 0);
	return wide ? 2 : 1;
}

/* The machine is in ACPI mode from the start: the FADT has no SMI_CMD. */
void boot_acpi_mode(struct machine *m)
{
	enum { PM1_CNT = 4, SCI_EN = 1 };

	bus_port_write(&m->bus, MACHINE_PMBASE + PM1_CNT, 2, bus_port_read(&m->bus, MACHINE_PMBASE + PM1_CNT, 2) | SCI_EN);
}

/* (slot + pin) & 7 chooses PIRQA..H; PIRQs A, B, E, F are IRQ 10, the others 11. See acpi/dsdt.asl. */
static u8 pirq_irq(unsigned pirq)
{
	return pirq & 2 ? 11 : 10;
}

static void set_up_function(struct machine *m, unsigned devfn, struct pci_alloc *a)
{
	u32 pin = (cfg_read(m, devfn, 0x3c) >> 8) & 0xff;

	if ((cfg_read(m, devfn, 0x08) >> 16) == 0x0600 || (cfg_read(m, devfn, 0x08) >> 16) == 0x0601)
		return; /* bridges keep what they decode */
	for (unsigned n = 0; n < 6;)
		n += assign_bar(m, devfn, n, a);
	if (pin)
		cfg_write(m, devfn, 0x3c, pin << 8 | pirq_irq((devfn >> 3) + pin - 1));
	cfg_write(m, devfn, 0x04, 3);
}

static void set_pci(struct machine *m)
{
	enum { LPC = 0x1f << 3, PCIEXBAR = 0x60, PIRQ_ROUT = 0x60, PIRQ_ROUT2 = 0x68 };
	struct pci_alloc a = {.mem = MACHINE_PCI_BASE, .io = MACHINE_PIO_BASE};

	if (cfg_read(m, 0, 0) == ~0u)
		return;
	cfg_write(m, 0, PCIEXBAR, (u32)MACHINE_ECAM | 1);
	cfg_write(m, 0, PCIEXBAR + 4, 0);
	if (cfg_read(m, LPC, 0) != ~0u) {
		cfg_write(m, LPC, PIRQ_ROUT, 0x0b0b0a0a);
		cfg_write(m, LPC, PIRQ_ROUT2, 0x0b0b0a0a);
		cfg_write(m, LPC, 0x40, MACHINE_PMBASE | 1);
		cfg_write(m, LPC, 0x44, 0x80); /* ACPI_EN, SCI on IRQ 9 */
	}
	for (unsigned dev = 0; dev < 32; dev++) {
		if (cfg_read(m, dev << 3, 0) == ~0u)
			continue;
		bool multi = cfg_read(m, dev << 3, 0x0c) & 0x800000;
		for (unsigned fn = 0; fn < (multi ? 8u : 1u); fn++)
			if (cfg_read(m, dev << 3 | fn, 0) != ~0u)
				set_up_function(m, dev << 3 | fn, &a);
	}
	bus_port_write(&m->bus, 0xcf8, 4, 0);
}

/* ---- all of it ---- */

void boot_firmware(struct machine *m)
{
	for (unsigned i = 0; i < m->count; i++) {
		set_memory_types(m, m->cpus[i]);
		fpu_finit(m->cpus[i]); /* RESET leaves another control word and eight zeros; INIT keeps what firmware
		                          left */
		cpu_update_mode(m->cpus[i]);
	}
	set_virtual_wire(m->cpus[0]);
	if (m->vga)
		vga_text_mode(m->vga);
	set_legacy(m);
	set_pci(m);
	boot_acpi_mode(m);
}

/* ---- fw_cfg: what the loader knows, under the keys software reads ---- */

#define FWCFG_DATA_MAX (16u << 20)

static enum status key(struct boot *b, u16 id, u64 value, unsigned size)
{
	u8 v[8];

	put64(v, value);
	return fwcfg_add_key(b->m->fwcfg, id, v, size);
}

static enum status set_initrd_data(struct boot *b, u16 id)
{
	if (!b->initrd_size || b->initrd_size > FWCFG_DATA_MAX)
		return ST_OK;
	u8 *copy = base_alloc(b->initrd_size);
	if (!copy)
		return ST_NOMEM;
	bus_read(&b->m->bus, b->initrd_base, copy, b->initrd_size);
	enum status s = fwcfg_add_key(b->m->fwcfg, id, copy, (u32)b->initrd_size);
	base_free(copy);
	return s;
}

static enum status set_fwcfg(struct boot *b)
{
	enum {
		RAM_SIZE = 3,
		NB_CPUS = 5,
		KERNEL_ADDR = 7,
		KERNEL_SIZE,
		KERNEL_CMDLINE,
		INITRD_ADDR,
		INITRD_SIZE,
		MAX_CPUS = 0xf,
		KERNEL_ENTRY,
		KERNEL_DATA,
		INITRD_DATA,
		CMDLINE_ADDR,
		CMDLINE_SIZE,
		CMDLINE_DATA,
	};
	struct machine *m = b->m;
	u32 n = (u32)strlen(b->append) + 1;
	const struct {
		u16 id;
		u64 value;
		u8 size;
	} number[] = {
	        {RAM_SIZE, m->bus.ram_size, 8},
	        {NB_CPUS, m->count, 2},
	        {MAX_CPUS, m->count, 2},
	        {KERNEL_ADDR, b->kernel_base, 4},
	        {KERNEL_SIZE, b->kernel.size, 4},
	        {KERNEL_ENTRY, b->entry, 4},
	        {INITRD_ADDR, b->initrd_base, 4},
	        {INITRD_SIZE, b->initrd_size, 4},
	        {CMDLINE_ADDR, b->area + BOOT_CMDLINE, 4},
	        {CMDLINE_SIZE, n, 4},
	};

	for (size_t i = 0; i < ARRAY_LEN(number); i++) {
		enum status s = key(b, number[i].id, number[i].value, number[i].size);
		if (s != ST_OK)
			return s;
	}
	enum status s = fwcfg_add_key(m->fwcfg, CMDLINE_DATA, b->append, n);
	/* The device copies: an unpacked vmlinux would double what the machine keeps resident, and nobody reads it
	 * here. */
	if (s == ST_OK && b->kernel.size <= FWCFG_DATA_MAX)
		s = fwcfg_add_key(m->fwcfg, KERNEL_DATA, b->kernel.data, (u32)b->kernel.size);
	return s == ST_OK ? set_initrd_data(b, INITRD_DATA) : s;
}

/* "Video Control Data Area": mode 3, 80 columns, a page of 4000 bytes, the CRT controller's port, 25 rows of 16 lines. */
static void set_video_data(struct machine *m)
{
	static const struct {
		u16 at, v;
	} word[] = {{0x449, 80 << 8 | 3}, {0x44b, 0}, {0x44c, 0x1000}, {0x460, 0x0d0e}, {0x463, 0x3d4}, {0x484, 16 << 8 | 24}};

	for (size_t i = 0; i < ARRAY_LEN(word); i++)
		bus_write(&m->bus, word[i].at, &word[i].v, sizeof(word[i].v));
}

/* The BIOS data area at 40:00, as programs look for memory and serial ports there, and the first byte of the extended
 * one: its size in KiB. */
void boot_bios_data(struct machine *m)
{
	enum { COM = 0x400, EBDA_SEGMENT = 0x40e, EQUIPMENT = 0x410, MEMORY_KIB = 0x413 };
	const struct {
		u16 at, v;
	} word[] = {
	        {COM, 0x3f8},
	        {COM + 2, 0x2f8},
	        {EBDA_SEGMENT, MACHINE_EBDA >> 4},
	        {EQUIPMENT, 2 << 9 | 2}, /* two serial ports, a coprocessor */
	        {MEMORY_KIB, MACHINE_EBDA >> 10},
	};
	const u8 ebda_kib = (0xa0000 - MACHINE_EBDA) >> 10;

	if (m->cfg.vga == MACHINE_VGA_STD)
		set_video_data(m);
	for (size_t i = 0; i < ARRAY_LEN(word); i++)
		bus_write(&m->bus, word[i].at, &word[i].v, sizeof(word[i].v));
	bus_write(&m->bus, MACHINE_EBDA, &ebda_kib, 1);
}

enum status boot_platform(struct boot *b, struct err *err)
{
	struct machine *m = b->m;

	boot_firmware(m);
	boot_cmos(m);
	rtc_set_cmos(m->rtc, 0x0e, 0); /* no faults found, an ordinary start */
	rtc_set_cmos(m->rtc, 0x0f, 0);
	if (!m->loaded && set_fwcfg(b) != ST_OK)
		return err_set(err, ST_NOMEM, "out of memory");
	m->loaded = true;
	return ST_OK;
}
