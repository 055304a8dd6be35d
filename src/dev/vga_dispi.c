/*
 * The extension that Bochs' VGA has, as the BIOSes and drivers for it describe it: eleven words behind 1CEh and 1CFh, and
 * in the function's BAR 2, that name a resolution, a depth and a place in a linear frame buffer.
 */
#include "dev/vga.h"

enum { ID_FIRST = 0xb0c0, ID_LAST = 0xb0c5, MAX_XRES = 2560, MAX_YRES = 1600, MAX_BPP = 32 };

static u32 line_of(const struct vga *v, u32 pixels)
{
	switch (v->dispi[DISPI_BPP]) {
	case 4: return pixels / 8; /* of each plane */
	case 8: return pixels;
	case 15:
	case 16: return 2 * pixels;
	case 24: return 3 * pixels;
	default: return 4 * pixels;
	}
}

u32 dispi_line(const struct vga *v)
{
	return line_of(v, v->dispi[DISPI_VIRT_WIDTH]);
}

static u32 memory_of_depth(const struct vga *v)
{
	return v->dispi[DISPI_BPP] == 4 ? VGA_PLANE : VGA_MEMORY;
}

u16 dispi_read(const struct vga *v, unsigned n)
{
	static const u16 most[] = {[DISPI_XRES] = MAX_XRES, [DISPI_YRES] = MAX_YRES, [DISPI_BPP] = MAX_BPP};

	if (n == DISPI_MEMORY_64K)
		return VGA_MEMORY >> 16;
	if (n >= DISPI_COUNT)
		return 0xffff;
	if ((v->dispi[DISPI_ENABLE] & DISPI_GETCAPS) && n >= DISPI_XRES && n <= DISPI_BPP)
		return most[n];
	return v->dispi[n];
}

/* What lies outside a frame buffer of this depth is not taken. */
static bool fits(const struct vga *v)
{
	u64 line = dispi_line(v), lines = (u64)v->dispi[DISPI_Y_OFFSET] + v->dispi[DISPI_YRES];

	return v->dispi[DISPI_VIRT_WIDTH] >= v->dispi[DISPI_XRES] && line && line * lines <= memory_of_depth(v) &&
	       v->dispi[DISPI_X_OFFSET] + v->dispi[DISPI_XRES] <= v->dispi[DISPI_VIRT_WIDTH];
}

static void set_lines(struct vga *v)
{
	u32 line = dispi_line(v);

	v->dispi[DISPI_VIRT_HEIGHT] = (u16)min_u64(line ? memory_of_depth(v) / line : 0, 0xffff);
}

static void clear(struct vga *v)
{
	u64 n = v->dispi[DISPI_BPP] == 4 ? VGA_PLANES : (u64)dispi_line(v) * v->dispi[DISPI_YRES];

	n = min_u64(n, VGA_MEMORY);
	memset(v->memory, 0, n);
	vga_put(v, v->memory, n);
}

static void enable(struct vga *v, u16 value)
{
	bool was = dispi_on(v);

	v->dispi[DISPI_ENABLE] = value & (DISPI_ENABLED | DISPI_GETCAPS | DISPI_8BIT_DAC | DISPI_LFB | DISPI_NOCLEAR);
	if (!was && (value & DISPI_ENABLED)) {
		v->dispi[DISPI_VIRT_WIDTH] = v->dispi[DISPI_XRES];
		v->dispi[DISPI_X_OFFSET] = v->dispi[DISPI_Y_OFFSET] = 0;
		if (!fits(v)) { /* no such mode: it stays as it was */
			v->dispi[DISPI_ENABLE] &= (u16)~DISPI_ENABLED;
			return;
		}
		set_lines(v);
		vga_map(v); /* the planes have their text back before they are cleared */
		if (!(value & DISPI_NOCLEAR))
			clear(v);
	}
	if (!(value & DISPI_ENABLED))
		v->dispi[DISPI_BANK] = 0;
	vga_map(v);
}

static void set_if_fits(struct vga *v, unsigned n, u16 value)
{
	u16 before = v->dispi[n];

	v->dispi[n] = value;
	if (dispi_on(v) && !fits(v))
		v->dispi[n] = before;
}

static bool is_depth(u16 v)
{
	return v == 4 || v == 8 || v == 15 || v == 16 || v == 24 || v == 32;
}

void dispi_write(struct vga *v, unsigned n, u16 value)
{
	switch (n) {
	case DISPI_ID:
		if (value >= ID_FIRST && value <= ID_LAST)
			v->dispi[DISPI_ID] = value;
		break;
	case DISPI_XRES:
		if (!dispi_on(v) && value && value <= MAX_XRES)
			v->dispi[n] = value & 0xfff8;
		break;
	case DISPI_YRES:
		if (!dispi_on(v) && value && value <= MAX_YRES)
			v->dispi[n] = value;
		break;
	case DISPI_BPP:
		if (!dispi_on(v) && is_depth(value ? value : 8))
			v->dispi[n] = value ? value : 8;
		break;
	case DISPI_ENABLE: enable(v, value); break;
	case DISPI_BANK:
		if (value < VGA_MEMORY / VGA_PLANE)
			v->dispi[n] = value;
		vga_map(v);
		break;
	case DISPI_VIRT_WIDTH:
		set_if_fits(v, n, value & 0xfff8);
		set_lines(v);
		break;
	case DISPI_X_OFFSET:
	case DISPI_Y_OFFSET: set_if_fits(v, n, value); break;
	default: break; /* the others are what the mode makes of them */
	}
}

/* ---- ports: the index is a word at 1CEh, the data one at 1CFh, which the bus splits, and at 1D0h ---- */

static u64 port_read(void *dev, u64 offset, unsigned size)
{
	struct vga *v = dev;
	u16 data = offset ? dispi_read(v, v->dispi_index) : v->dispi_index;

	vga_wake(v);
	if (offset == 2 && size == 1)
		return data >> 8;
	return low_bytes(data, size);
}

static void port_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct vga *v = dev;

	vga_wake(v);
	if (offset == 0)
		v->dispi_index = (u16)value;
	else if (offset == 1)
		v->dispi_low = (u8)value;
	else
		dispi_write(v, v->dispi_index, (u16)(size == 1 ? v->dispi_low | value << 8 : value));
}

const struct bus_ops dispi_port_ops = {.read = port_read, .write = port_write, .max_size = 2};
