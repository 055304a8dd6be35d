/*
 * VGA: the ports 3B0h to 3DFh, and what a start, a reset and a mode set leave. Without the extension it is what stands
 * beside any PC since 1987, at its fixed addresses; with it, a PCI function 1234:1111 with a linear frame buffer.
 */
#include "dev/vga.h"

/* Offsets from 3B0h. */
enum {
	P_MONO_CRTC = 0x04, P_MONO_STATUS = 0x0a, P_ATTRIBUTE = 0x10, P_ATTRIBUTE_READ = 0x11, P_MISC = 0x12, P_ENABLE = 0x13,
	P_SEQ = 0x14, P_DAC_MASK = 0x16, P_DAC_READ = 0x17, P_DAC_WRITE = 0x18, P_DAC_DATA = 0x19, P_FEATURE = 0x1a,
	P_MISC_READ = 0x1c, P_GR = 0x1e, P_CRTC = 0x24, P_STATUS = 0x2a, PORTS = 0x30,
};
enum { PORT_BASE = 0x3b0, DISPI_PORT = 0x1ce, DISPI_PORTS = 4 };
enum { MMIO_SIZE = 4096, MMIO_PORTS = 0x400, MMIO_DISPI = 0x500, MMIO_EXTENDED = 0x600 };

/* ---- the color table ---- */

static void dac_write(struct vga *v, u8 value)
{
	u8 mask = v->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC ? 0xff : 0x3f;

	v->dac_latch[v->dac_part++] = value & mask;
	if (v->dac_part < 3)
		return;
	memcpy(v->palette[v->dac_write++], v->dac_latch, 3);
	v->dac_part = 0;
}

static u8 dac_read(struct vga *v)
{
	u8 value = v->palette[v->dac_read][v->dac_part++];

	if (v->dac_part == 3) {
		v->dac_part = 0;
		v->dac_read++;
	}
	return value;
}

/* ---- input status 1: a picture of 449 lines, 400 of them visible, each 31.8 microseconds ---- */

static u8 status(const struct vga *v)
{
	enum { LINE_NS = 31778, VISIBLE_NS = 25422, LINES = 449, RETRACE = 412, RETRACE_LINES = 2, BLANK = 1, RETRACES = 8 };
	u64 t = v->pci.dev.clock->now % ((u64)LINE_NS * LINES), line = t / LINE_NS;
	u64 visible = (v->crtc[CRTC_HEIGHT] | (v->crtc[CRTC_OVERFLOW] & 2) << 7 | (v->crtc[CRTC_OVERFLOW] & 0x40) << 3) + 1u;
	u8 value = line >= visible || t % LINE_NS >= VISIBLE_NS ? BLANK : 0;

	return line >= RETRACE && line < RETRACE + RETRACE_LINES ? value | RETRACES : value;
}

/* ---- ports ---- */

static u8 at_mask(unsigned n)
{
	static const u8 mask[] = {0xef, 0xff, 0x3f, 0x0f, 0x0f};

	return n < AT_MODE ? 0x3f : mask[n - AT_MODE];
}

static void at_write(struct vga *v, u8 value)
{
	unsigned n = v->at_index & 0x1f;

	v->at_data = !v->at_data;
	if (v->at_data)
		v->at_index = value & 0x3f;
	else if (n < AT_COUNT)
		v->at[n] = value & at_mask(n);
}

/* "Protect R0-7": but for bit 4 of the overflow register. */
static void crtc_write(struct vga *v, u8 value)
{
	unsigned n = v->crtc_index;

	if (n >= CRTC_COUNT)
		return;
	if (n <= CRTC_OVERFLOW && (v->crtc[CRTC_RETRACE_END] & 0x80))
		value = n == CRTC_OVERFLOW ? (u8)((v->crtc[n] & ~0x10) | (value & 0x10)) : v->crtc[n];
	v->crtc[n] = value;
}

static void seq_write(struct vga *v, u8 value)
{
	static const u8 mask[SEQ_COUNT] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};

	if (v->seq_index < SEQ_COUNT)
		v->seq[v->seq_index] = value & mask[v->seq_index];
	vga_map(v);
}

static void gr_write(struct vga *v, u8 value)
{
	static const u8 mask[GR_COUNT] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};

	if (v->gr_index < GR_COUNT)
		v->gr[v->gr_index] = value & mask[v->gr_index];
	vga_map(v);
}

/* "I/O Address Select": the CRT controller is at 3Bxh or at 3Dxh. */
static bool is_here(const struct vga *v, u64 offset)
{
	bool color = v->misc & MISC_COLOR;

	return offset >= P_ATTRIBUTE && offset < 0x20 ? true : color == (offset >= 0x20);
}

static u8 read_register(const struct vga *v, u64 offset)
{
	switch (offset) {
	case P_ATTRIBUTE: return v->at_index;
	case P_ATTRIBUTE_READ: return (v->at_index & 0x1f) < AT_COUNT ? v->at[v->at_index & 0x1f] : 0;
	case P_MISC: return 0x10; /* "Switch Sense" */
	case P_ENABLE: return 1;
	case P_SEQ: return v->seq_index;
	case P_SEQ + 1: return v->seq_index < SEQ_COUNT ? v->seq[v->seq_index] : 0;
	case P_DAC_MASK: return v->dac_mask;
	case P_DAC_READ: return v->dac_state;
	case P_DAC_WRITE: return v->dac_write;
	case P_FEATURE: return v->feature;
	case P_MISC_READ: return v->misc;
	case P_GR: return v->gr_index;
	case P_GR + 1: return v->gr_index < GR_COUNT ? v->gr[v->gr_index] : 0;
	case P_CRTC:
	case P_MONO_CRTC: return v->crtc_index;
	case P_CRTC + 1:
	case P_MONO_CRTC + 1: return v->crtc_index < CRTC_COUNT ? v->crtc[v->crtc_index] : 0;
	default: return 0xff;
	}
}

static u64 port_read(void *dev, u64 offset, unsigned size)
{
	struct vga *v = dev;

	(void)size;
	vga_wake(v);
	if (!is_here(v, offset))
		return 0xff;
	if (offset == P_DAC_DATA)
		return dac_read(v);
	if (offset != P_STATUS && offset != P_MONO_STATUS)
		return read_register(v, offset);
	v->at_data = false;
	return status(v);
}

static void port_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct vga *v = dev;
	u8 b = (u8)value;

	(void)size;
	vga_wake(v);
	if (!is_here(v, offset))
		return;
	switch (offset) {
	case P_ATTRIBUTE: at_write(v, b); break;
	case P_MISC:
		v->misc = b & 0xef;
		vga_map(v);
		break;
	case P_SEQ: v->seq_index = b & 7; break;
	case P_SEQ + 1: seq_write(v, b); break;
	case P_DAC_MASK: v->dac_mask = b; break;
	case P_DAC_READ:
		v->dac_read = b;
		v->dac_part = 0;
		v->dac_state = 3;
		break;
	case P_DAC_WRITE:
		v->dac_write = b;
		v->dac_part = v->dac_state = 0;
		break;
	case P_DAC_DATA: dac_write(v, b); break;
	case P_GR: v->gr_index = b & 15; break;
	case P_GR + 1: gr_write(v, b); break;
	case P_STATUS:
	case P_MONO_STATUS: v->feature = b & 0x0b; break;
	case P_CRTC:
	case P_MONO_CRTC: v->crtc_index = b & 0x1f; break;
	case P_CRTC + 1:
	case P_MONO_CRTC + 1: crtc_write(v, b); break;
	default: break;
	}
}

static const struct bus_ops port_ops = {.read = port_read, .write = port_write, .max_size = 1};
static const struct bus_ops frame_buffer_ops = {.read = NULL}; /* it is memory */

/* BAR 2: the ports from 3C0h on, the extension's words, and two dwords about the order of bytes. */
static u64 mmio_read(void *dev, u64 offset, unsigned size)
{
	struct vga *v = dev;
	u64 n = (offset - MMIO_DISPI) / 2;

	if (offset >= MMIO_PORTS && offset < MMIO_PORTS + 0x20)
		return port_read(v, offset - MMIO_PORTS + P_ATTRIBUTE, 1);
	if (offset >= MMIO_DISPI && n < DISPI_COUNT)
		return low_bytes((u64)dispi_read(v, (unsigned)n) >> (offset & 1 ? 8 : 0), size);
	if (offset == MMIO_EXTENDED)
		return 8; /* bytes there */
	if (offset == MMIO_EXTENDED + 4)
		return low_bytes(0x1e1e1e1e, size); /* little endian */
	return 0;
}

static void mmio_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct vga *v = dev;
	u64 n = (offset - MMIO_DISPI) / 2;

	vga_wake(v);
	if (offset >= MMIO_PORTS && offset < MMIO_PORTS + 0x20) {
		for (unsigned i = 0; i < size; i++)
			port_write(v, offset - MMIO_PORTS + P_ATTRIBUTE + i, 1, value >> 8 * i & 0xff);
	} else if (offset >= MMIO_DISPI && n < DISPI_COUNT && size == 2) {
		dispi_write(v, (unsigned)n, (u16)value);
	}
}

static const struct bus_ops mmio_ops = {.read = mmio_read, .write = mmio_write, .max_size = 2};

/* ---- modes ---- */

/* The first 64 colors: a byte rgbRGB, a capital for two thirds of a color. */
static void set_default_colors(struct vga *v)
{
	memset(v->palette, 0, sizeof(v->palette));
	for (unsigned n = 0; n < 64; n++)
		for (unsigned k = 0; k < 3; k++)
			v->palette[n][k] = (u8)((n >> (2 - k) & 1) * 42 + (n >> (5 - k) & 1) * 21);
}

/* Mode 3, 80 x 25 characters of 9 x 16 dots: "Mode Initialization", and Appendix A. */
static void set_mode_3(struct vga *v)
{
	static const u8 seq[SEQ_COUNT] = {0x03, 0x00, 0x03, 0x00, 0x02};
	static const u8 crtc[CRTC_COUNT] = {
	        0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
	        0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
	static const u8 gr[GR_COUNT] = {0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff};
	static const u8 at[AT_COUNT] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
	                                0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};

	v->misc = 0x67;
	memcpy(v->seq, seq, sizeof(seq));
	memcpy(v->crtc, crtc, sizeof(crtc));
	memcpy(v->gr, gr, sizeof(gr));
	memcpy(v->at, at, sizeof(at));
	v->at_index = 0x20; /* "Palette Address Source": the screen is on */
	v->at_data = false;
	v->dac_mask = 0xff;
	set_default_colors(v);
}

static void power_on(struct vga *v)
{
	v->misc = v->feature = v->seq_index = v->gr_index = v->crtc_index = v->at_index = 0;
	v->dac_read = v->dac_write = v->dac_part = v->dac_state = v->dac_mask = v->dispi_low = 0;
	v->at_data = false;
	v->dispi_index = 0;
	memset(v->seq, 0, sizeof(v->seq));
	memset(v->gr, 0, sizeof(v->gr));
	memset(v->crtc, 0, sizeof(v->crtc));
	memset(v->at, 0, sizeof(v->at));
	memset(v->palette, 0, sizeof(v->palette));
	memset(v->dac_latch, 0, sizeof(v->dac_latch));
	memset(v->latch, 0, sizeof(v->latch));
	memset(v->dispi, 0, sizeof(v->dispi));
	v->dispi[DISPI_ID] = 0xb0c5;
	v->dispi[DISPI_BPP] = 8;
}

void vga_text_mode(struct device *d)
{
	struct vga *v = (struct vga *)d;
	bool fresh = !v->touched;

	v->dispi[DISPI_ENABLE] = 0;
	set_mode_3(v);
	vga_map(v);
	for (u32 n = 0; n < VGA_TEXT_SIZE; n++)
		v->text[n] = n & 1 ? 7 : ' ';
	if (!fresh || v->extended) {
		v->touched = false;
		vga_wake(v);
	}
	vga_put(v, v->text, VGA_TEXT_SIZE);
}

/* ---- life ---- */

static bool vga_untouched(const struct device *d)
{
	return !((const struct vga *)d)->touched;
}

/* Memory keeps its content. */
static void vga_reset(struct device *d)
{
	struct vga *v = (struct vga *)d;

	if (v->extended)
		pci_reset(&v->pci);
	power_on(v);
	vga_map(v);
}

static void vga_loaded(struct device *d)
{
	struct vga *v = (struct vga *)d;

	if (v->extended)
		pci_loaded(d);
	vga_remap(v);
}

static void vga_destroy(struct device *d)
{
	struct vga *v = (struct vga *)d;

	bus_lift(d->bus, &v->text_window);
	bus_lift(d->bus, &v->bank_window);
	bus_lift(d->bus, &v->frame_buffer);
	bus_lift(d->bus, &v->rom_window);
	bus_remap(d->bus);
	bus_unmap(d->bus, &v->ports);
	bus_unmap(d->bus, &v->window);
	if (v->extended) {
		bus_unmap(d->bus, &v->dispi_ports);
		pci_detach(&v->pci);
	}
	base_free(v);
}

/* clang-format off */
static const struct state_row rows[] = {
	PCI_ROWS(1, struct vga, pci),
	STATE(10, struct vga, touched), STATE(11, struct vga, misc), STATE(12, struct vga, feature),
	STATE(13, struct vga, seq_index), STATE_ARRAY(14, struct vga, seq), STATE(15, struct vga, gr_index),
	STATE_ARRAY(16, struct vga, gr), STATE(17, struct vga, crtc_index), STATE_ARRAY(18, struct vga, crtc),
	STATE(19, struct vga, at_index), STATE_ARRAY(20, struct vga, at), STATE(21, struct vga, at_data),
	STATE(22, struct vga, dac_mask), STATE(23, struct vga, dac_read), STATE(24, struct vga, dac_write),
	STATE(25, struct vga, dac_part), STATE(26, struct vga, dac_state), STATE_ARRAY(27, struct vga, dac_latch),
	STATE_ARRAY(28, struct vga, palette), STATE_ARRAY(29, struct vga, latch), STATE(30, struct vga, dispi_index),
	STATE_ARRAY(31, struct vga, dispi), STATE(32, struct vga, dispi_low), STATE(33, struct vga, direct),
};
/* clang-format on */

static const struct device_ops ops = {
	.name = "vga", .reset = vga_reset, .loaded = vga_loaded, .destroy = vga_destroy, .rows = rows,
	.row_count = ARRAY_LEN(rows), .untouched = vga_untouched,
};

static void cfg_written(struct pci_dev *p, unsigned reg, unsigned size)
{
	(void)reg;
	(void)size;
	vga_remap((struct vga *)p);
}

static const struct pci_cfg_ops cfg_ops = {.written = cfg_written};

static enum status attach(struct vga *v, const struct dev_env *e)
{
	static const struct pci_ids ids = {
		.vendor = 0x1234, .device = 0x1111, .class_code = 0x030000, .revision = 2,
		.subsystem_vendor = 0x1af4, .subsystem = 0x1100,
	};

	v->pci.cfg_ops = &cfg_ops;
	enum status s = pci_attach(&v->pci, e->pci, -1, &ids);
	if (s != ST_OK)
		return s;
	pci_add_bar(&v->pci, 0, PCI_BAR_MEM32, VGA_MEMORY, &frame_buffer_ops, v);
	pci_add_bar(&v->pci, 2, PCI_BAR_MEM32, MMIO_SIZE, &mmio_ops, v);
	v->pci.cfg[PCI_BAR0] |= 8; /* prefetchable */
	if (v->rom)
		pci_writable(&v->pci, PCI_ROM, 4, ~(v->rom_size - 1) | 1);
	pci_ready(&v->pci);
	dev_map(&v->pci.dev, &v->dispi_ports, &dispi_port_ops, true, DISPI_PORT, DISPI_PORTS);
	return ST_OK;
}

/* A power of two, as BARs are. */
static enum status add_rom(struct vga *v, const void *rom, u32 size)
{
	u32 whole = PAGE_SIZE;

	while (whole < size)
		whole *= 2;
	v->rom = bus_add_aside(v->pci.dev.bus, whole, 0);
	if (!v->rom)
		return ST_NOMEM;
	memcpy(v->rom, rom, size);
	v->rom_size = whole;
	return ST_OK;
}

static enum status build(struct vga *v, const struct dev_env *e, const void *rom, u32 rom_size)
{
	v->memory = bus_add_aside(e->bus, v->extended ? VGA_MEMORY : VGA_PLANES, 0);
	v->text = bus_add_aside(e->bus, VGA_TEXT_SIZE, 7 << 8 | ' ');
	if (!v->memory || !v->text)
		return ST_NOMEM;
	enum status s = rom ? add_rom(v, rom, rom_size) : ST_OK;
	if (s == ST_OK && v->extended)
		s = attach(v, e);
	if (s != ST_OK)
		return s;
	return bus_overlay(e->bus, &v->text_window) && bus_overlay(e->bus, &v->bank_window) &&
	                       bus_overlay(e->bus, &v->frame_buffer) && bus_overlay(e->bus, &v->rom_window)
	               ? ST_OK
	               : ST_STATE;
}

enum status vga_create(struct device **out, const struct dev_env *e, const struct vga_config *cfg)
{
	struct vga *v = base_alloc(sizeof(*v));

	if (!v)
		return ST_NOMEM;
	v->pci.dev = (struct device){ .ops = &ops, .bus = e->bus, .clock = e->clock };
	v->extended = cfg->extended;
	enum status s = build(v, e, cfg->rom, cfg->rom_size);
	if (s != ST_OK) {
		vga_destroy(&v->pci.dev);
		return s;
	}
	dev_map(&v->pci.dev, &v->ports, &port_ops, true, PORT_BASE, PORTS);
	dev_map(&v->pci.dev, &v->window, &vga_window_ops, false, VGA_BASE, VGA_SIZE);
	vga_reset(&v->pci.dev);
	*out = &v->pci.dev;
	return ST_OK;
}
