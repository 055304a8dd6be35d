/*
 * The planes, how a processor's byte becomes four, and where no such thing happens: in the usual text modes B8000h is
 * plain memory, and so are the linear frame buffer and its bank at A0000h.
 */
#include "dev/vga.h"

/* clang-format off */
const u8 vga_font[256][16] = {
#include "vga_font.h"
};
/* clang-format on */

/* ---- the planes ---- */

u8 *vga_plane(const struct vga *v, unsigned plane, u32 offset)
{
	u32 o = offset & (VGA_PLANE - 1);

	if (v->direct && plane < 2 && !(o & 1) && o < VGA_TEXT_SIZE)
		return v->text + o + plane;
	return v->memory + 4 * o + plane;
}

void vga_put(struct vga *v, u8 *at, u64 n)
{
	struct bus *b = v->pci.dev.bus;
	const struct initiator who = {.by = BY_DEVICE, .id = v->pci.devfn};

	for (u64 now; n; at += now, n -= now) {
		now = min_u64(n, PAGE_SIZE - (mem_place(b, at) & ~PAGE_MASK));
		if (*mem_flag(b, at))
			mem_written(b, who, at, mem_place(b, at) & ~PAGE_MASK, now);
	}
}

static void set_plane(struct vga *v, unsigned plane, u32 offset, u8 value)
{
	u8 *p = vga_plane(v, plane, offset);

	*p = value;
	vga_put(v, p, 1);
}

void vga_wake(struct vga *v)
{
	enum { ROOM = 32 }; /* bytes of plane 2 for each character */

	if (v->touched)
		return;
	v->touched = true;
	for (unsigned c = 0; c < 256; c++)
		for (unsigned n = 0; n < sizeof(vga_font[0]); n++)
			set_plane(v, 2, c * ROOM + n, vga_font[c][n]);
}

/* ---- a byte of the window ---- */

/* Where the window is by "Memory Map". false: not here. */
static bool window_offset(const struct vga *v, u64 at, u32 *offset)
{
	static const struct {
		u32 base, size;
	} map[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};
	unsigned n = v->gr[GR_MISC] >> 2 & 3;

	*offset = (u32)at - map[n].base;
	return (v->misc & MISC_RAM) && at - map[n].base < map[n].size;
}

static void load_latches(struct vga *v, u32 offset)
{
	for (unsigned p = 0; p < 4; p++)
		v->latch[p] = *vga_plane(v, p, offset);
}

/* "Read Mode 1": a one for each bit of the eight whose planes, as far as they are cared for, have the color. */
static u8 compare(const struct vga *v)
{
	u8 differs = 0;

	for (unsigned p = 0; p < 4; p++)
		if (v->gr[GR_DONT_CARE] >> p & 1)
			differs |= (u8)(v->latch[p] ^ (v->gr[GR_COMPARE] >> p & 1 ? 0xff : 0));
	return (u8)~differs;
}

static u8 read_byte(struct vga *v, u64 at)
{
	unsigned plane = v->gr[GR_READ_MAP] & 3;
	u32 offset;

	if (!window_offset(v, at, &offset))
		return 0xff;
	if (v->seq[SEQ_MODE] & SEQ_CHAIN_4) {
		plane = offset & 3;
		offset &= ~3u;
	} else if (v->gr[GR_MODE] & GR_ODD_EVEN) {
		plane = (plane & 2) | (offset & 1);
		offset &= ~1u;
	}
	load_latches(v, offset);
	return v->gr[GR_MODE] & GR_READ_COMPARE ? compare(v) : v->latch[plane];
}

/* "Data Rotate Register": the function that joins data and latch. */
static u8 join(u8 function, u8 data, u8 latch)
{
	switch (function & 3) {
	case 1: return data & latch;
	case 2: return data | latch;
	case 3: return data ^ latch;
	default: return data;
	}
}

/* What write mode and set/reset make of the processor's byte for one plane. */
static u8 plane_byte(const struct vga *v, unsigned plane, u8 value)
{
	unsigned mode = v->gr[GR_MODE] & 3, rotate = v->gr[GR_ROTATE] & 7;
	u8 rotated = (u8)(value >> rotate | value << (8 - rotate)), mask = v->gr[GR_BIT_MASK], latch = v->latch[plane];
	u8 data = rotated;

	if (mode == 1)
		return latch;
	if (mode == 2)
		data = value >> plane & 1 ? 0xff : 0;
	else if (mode == 3 || (v->gr[GR_ENABLE_SET_RESET] >> plane & 1))
		data = v->gr[GR_SET_RESET] >> plane & 1 ? 0xff : 0;
	if (mode == 3)
		mask &= rotated;
	data = join(v->gr[GR_ROTATE] >> 3, data, latch);
	return (u8)((data & mask) | (latch & ~mask));
}

static void write_byte(struct vga *v, u64 at, u8 value)
{
	u8 planes = v->seq[SEQ_MAP_MASK] & 15;
	u32 offset;

	if (!window_offset(v, at, &offset))
		return;
	if (v->seq[SEQ_MODE] & SEQ_CHAIN_4) {
		planes &= (u8)(1u << (offset & 3));
		offset &= ~3u;
	} else if (!(v->seq[SEQ_MODE] & SEQ_NOT_ODD_EVEN)) {
		planes &= offset & 1 ? 10 : 5;
		offset &= ~1u;
	}
	for (unsigned p = 0; p < 4; p++)
		if (planes >> p & 1)
			set_plane(v, p, offset, plane_byte(v, p, value));
}

static u64 window_read(void *dev, u64 offset, unsigned size)
{
	(void)size;
	vga_wake(dev);
	return read_byte(dev, offset);
}

static void window_write(void *dev, u64 offset, unsigned size, u64 value)
{
	(void)size;
	vga_wake(dev);
	write_byte(dev, offset, (u8)value);
}

const struct bus_ops vga_window_ops = {.read = window_read, .write = window_write, .max_size = 1};

/* ---- what is memory ---- */

/* Even addresses are plane 0, odd ones plane 1, and a byte is a byte: the text modes of the BIOS, as long as nobody does
 * something special. DEVIATION: what is read there is not in the latches. */
static bool is_plain_text(const struct vga *v)
{
	return !dispi_on(v) && (v->misc & MISC_RAM) && (v->gr[GR_MISC] >> 2 & 3) == 3 && v->seq[SEQ_MAP_MASK] == 3 &&
	       !(v->seq[SEQ_MODE] & (SEQ_CHAIN_4 | SEQ_NOT_ODD_EVEN)) && !(v->gr[GR_READ_MAP] & 2) &&
	       (v->gr[GR_MODE] & (GR_ODD_EVEN | GR_READ_COMPARE | 3)) == GR_ODD_EVEN && !v->gr[GR_ENABLE_SET_RESET] &&
	       !v->gr[GR_ROTATE] && v->gr[GR_BIT_MASK] == 0xff;
}

/* Between the planes and the text window. Where the bytes are no more, there is what would be if they never had been. */
static void move_text(struct vga *v, bool direct)
{
	for (u32 o = 0; o < VGA_TEXT_SIZE; o++) {
		u8 *plane = v->memory + 4 * (o & ~1u) + (o & 1);
		if (direct) {
			v->text[o] = *plane;
			*plane = 0;
		} else {
			*plane = v->text[o];
			v->text[o] = o & 1 ? 7 : ' ';
		}
	}
	vga_put(v, v->text, VGA_TEXT_SIZE);
	vga_put(v, v->memory, 4 * VGA_TEXT_SIZE);
	v->direct = direct;
}

static void show(struct vga *v, struct space_overlay *o, u64 base, u64 size, const u8 *memory, u8 uses, bool *changed)
{
	u64 place = mem_place(v->pci.dev.bus, memory);

	*changed |= o->base != base || o->size != size || o->memory != place || o->to[SPACE_CPU].memory != uses;
	*o = (struct space_overlay){.base = base, .size = size, .memory = place, .device = true};
	for (unsigned s = 0; s < SPACES; s++)
		o->to[s].memory = uses;
}

static bool rom_enabled(const struct vga *v)
{
	enum { ENABLE = 1 };

	return v->rom && (pci_get32(&v->pci, PCI_ROM) & ENABLE) && (v->pci.cfg[PCI_COMMAND] & PCI_CMD_MEMORY);
}

/* Beyond the planes' 64 KiB a bank of the frame buffer is what A0000h shows. */
static bool bank_shown(const struct vga *v)
{
	return dispi_on(v) && v->dispi[DISPI_BPP] > 4 && (v->misc & MISC_RAM);
}

void vga_remap(struct vga *v)
{
	const struct bus_range *lfb = &v->pci.bar[0].range;
	bool changed = false;

	show(v, &v->text_window, VGA_TEXT_BASE, VGA_TEXT_SIZE, v->text, v->direct ? USE_ALL : 0, &changed);
	if (v->extended) {
		u64 bank = (u64)v->dispi[DISPI_BANK] * VGA_PLANE;

		show(v, &v->bank_window, VGA_BASE, VGA_PLANE, v->memory + (bank < VGA_MEMORY ? bank : 0),
		     bank_shown(v) ? USE_ALL : 0, &changed);
		show(v, &v->frame_buffer, lfb->mapped ? lfb->base : 0, lfb->mapped ? VGA_MEMORY : PAGE_SIZE, v->memory,
		     lfb->mapped ? USE_ALL : 0, &changed);
	}
	if (v->rom)
		show(v, &v->rom_window, pci_get32(&v->pci, PCI_ROM) & ~(v->rom_size - 1), v->rom_size, v->rom,
		     rom_enabled(v) ? USE_READ | USE_FETCH : 0, &changed);
	if (changed)
		bus_remap(v->pci.dev.bus);
}

void vga_map(struct vga *v)
{
	bool direct = is_plain_text(v);

	if (direct != v->direct)
		move_text(v, direct);
	vga_remap(v);
}
