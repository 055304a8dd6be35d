/* What a monitor would show, made of registers and memory. Nothing here changes the machine. */
#include "dev/vga.h"

/* ---- the picture ---- */

static bool set_size(struct vga_picture *p, unsigned width, unsigned height)
{
	size_t want = (size_t)width * height * sizeof(u32);

	if (want > p->room) {
		u32 *pixel = base_realloc(p->pixel, want);
		if (!pixel) {
			p->width = p->height = 0;
			return false;
		}
		p->pixel = pixel;
		p->room = want;
	}
	p->width = width;
	p->height = height;
	return true;
}

void vga_picture_free(struct vga_picture *p)
{
	base_free(p->pixel);
	*p = (struct vga_picture){.width = 0};
}

static bool dark(struct vga_picture *p)
{
	if (set_size(p, 1, 1))
		p->pixel[0] = 0;
	return false;
}

/* ---- colors ---- */

static u32 dac_color(const struct vga *v, u8 n)
{
	const u8 *c = v->palette[n & v->dac_mask];
	u32 rgb = 0;

	for (unsigned k = 0; k < 3; k++) {
		u8 full = v->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC ? c[k] : (u8)(c[k] << 2 | c[k] >> 4);
		rgb = rgb << 8 | full;
	}
	return rgb;
}

/* Four bits through the palette registers and "Color Select". */
static u32 color_of(const struct vga *v, unsigned n)
{
	u8 c = v->at[n & 15] & 0x3f;

	if (v->at[AT_MODE] & AT_P54)
		c = (u8)((c & 15) | (v->at[AT_COLOR] & 3) << 4);
	return dac_color(v, (u8)(c | (v->at[AT_COLOR] & 0xc) << 4));
}

/* ---- what the CRT controller says ---- */

static unsigned columns(const struct vga *v)
{
	return v->crtc[CRTC_WIDTH] + 1u;
}

static unsigned lines(const struct vga *v)
{
	return (v->crtc[CRTC_HEIGHT] | (v->crtc[CRTC_OVERFLOW] & 2u) << 7 | (v->crtc[CRTC_OVERFLOW] & 0x40u) << 3) + 1u;
}

static unsigned lines_of_row(const struct vga *v)
{
	return ((v->crtc[CRTC_LINES] & 0x1fu) + 1u) << (v->crtc[CRTC_LINES] >> 7);
}

static unsigned compare_line(const struct vga *v)
{
	return v->crtc[CRTC_COMPARE] | (v->crtc[CRTC_OVERFLOW] & 0x10u) << 4 | (v->crtc[CRTC_LINES] & 0x40u) << 3;
}

static u32 start(const struct vga *v)
{
	return (u32)v->crtc[CRTC_START_HIGH] << 8 | v->crtc[CRTC_START_LOW];
}

static u32 cursor(const struct vga *v)
{
	return (u32)v->crtc[CRTC_CURSOR_HIGH] << 8 | v->crtc[CRTC_CURSOR_LOW];
}

/* The counter's value at the first character of the row that holds this line: behind "Line Compare" it begins anew. */
static u32 counter_at(const struct vga *v, unsigned line, unsigned *scan)
{
	unsigned split = compare_line(v), base = line > split ? 0 : start(v), y = line > split ? line - split - 1 : line;

	*scan = y % lines_of_row(v);
	return base + y / lines_of_row(v) * (v->crtc[CRTC_OFFSET] * 2u);
}

/* "CRT Mode Control Register", "Underline Location Register": byte, word or doubleword addresses. */
static u32 address_of(const struct vga *v, u32 counter, unsigned scan)
{
	u8 mode = v->crtc[CRTC_MODE];
	u32 a = counter;

	if (v->crtc[CRTC_UNDERLINE] & 0x40)
		a = counter << 2 | (counter >> 14 & 3);
	else if (!(mode & 0x40))
		a = counter << 1 | (counter >> (mode & 0x20 ? 15 : 13) & 1);
	if (!(mode & 1))
		a = (a & ~0x2000u) | (u32)(scan & 1) << 13;
	if (!(mode & 2))
		a = (a & ~0x4000u) | (u32)(scan >> 1 & 1) << 14;
	return a & (VGA_PLANE - 1);
}

static bool is_text(const struct vga *v)
{
	return !(v->gr[GR_MISC] & GR_GRAPHICS) && !(v->at[AT_MODE] & AT_GRAPHICS);
}

/* ---- text ---- */

static u16 cell_at(const struct vga *v, u32 counter)
{
	u32 a = address_of(v, counter, 3); /* a character's two bytes lie at the same address of two planes */

	return (u16)(*vga_plane(v, 0, a) | *vga_plane(v, 1, a) << 8);
}

static unsigned text_rows(const struct vga *v)
{
	unsigned rows = lines(v) / lines_of_row(v);

	return rows < VGA_ROWS ? rows : VGA_ROWS;
}

static unsigned text_columns(const struct vga *v)
{
	return columns(v) < VGA_COLUMNS ? columns(v) : VGA_COLUMNS;
}

static bool cursor_shown(const struct vga *v)
{
	return !(v->crtc[CRTC_CURSOR_START] & 0x20) &&
	       (v->crtc[CRTC_CURSOR_START] & 0x1f) <= (v->crtc[CRTC_CURSOR_END] & 0x1f);
}

/* "Character Map Select": attribute bit 3 chooses between two maps of plane 2. */
static u8 font_row(const struct vga *v, u16 cell, unsigned row)
{
	static const u16 place[8] = {0x0000, 0x4000, 0x8000, 0xc000, 0x2000, 0x6000, 0xa000, 0xe000};
	u8 s = v->seq[SEQ_FONT];
	unsigned a = (s >> 2 & 3) | (s >> 3 & 4), b = (s & 3) | (s >> 2 & 4);

	if (!v->touched)
		return row < 16 ? vga_font[cell & 0xff][row] : 0;
	return *vga_plane(v, 2, place[cell & 0x800 ? a : b] + (cell & 0xffu) * 32 + row);
}

static bool two_fonts(const struct vga *v)
{
	u8 s = v->seq[SEQ_FONT];

	return ((s >> 2 & 3) | (s >> 3 & 4)) != ((s & 3) | (s >> 2 & 4));
}

struct cell_colors {
	u32 fore, back;
};

static struct cell_colors colors_of(const struct vga *v, u16 cell)
{
	unsigned fore = cell >> 8 & (two_fonts(v) ? 7 : 15), back = cell >> 12 & (v->at[AT_MODE] & AT_BLINK ? 7 : 15);

	return (struct cell_colors){color_of(v, fore), color_of(v, back)};
}

/* One line of one character; the ninth dot is background, but for the line-drawing characters C0h to DFh. */
static void draw_dots(const struct vga *v, u32 *to, u16 cell, unsigned scan, bool inverse, unsigned width)
{
	struct cell_colors c = colors_of(v, cell);
	u8 dots = inverse ? 0xff : font_row(v, cell, scan >> (v->crtc[CRTC_LINES] >> 7));
	bool ninth = inverse || ((v->at[AT_MODE] & AT_LINE_GRAPHICS) && (cell & 0xe0) == 0xc0 && (dots & 1));

	for (unsigned n = 0; n < 8; n++)
		to[n] = dots >> (7 - n) & 1 ? c.fore : c.back;
	if (width == 9)
		to[8] = ninth ? c.fore : c.back;
}

static bool draw_text(const struct vga *v, struct vga_picture *p)
{
	unsigned width = v->seq[SEQ_CLOCKING] & CLOCKING_8_DOTS ? 8 : 9, scan;
	u8 first = v->crtc[CRTC_CURSOR_START] & 0x1f, last = v->crtc[CRTC_CURSOR_END] & 0x1f;

	if (!set_size(p, columns(v) * width, lines(v)))
		return false;
	for (unsigned y = 0; y < p->height; y++) {
		u32 counter = counter_at(v, y, &scan);
		u32 *to = p->pixel + (size_t)y * p->width;

		for (unsigned x = 0; x < columns(v); x++, counter++, to += width) {
			bool here = cursor_shown(v) && counter == cursor(v) && scan >= first && scan <= last;
			draw_dots(v, to, cell_at(v, counter), scan, here, width);
		}
	}
	return true;
}

bool vga_read_text(struct device *d, struct vga_text *t)
{
	const struct vga *v = (struct vga *)d;
	unsigned scan;

	if (dispi_on(v) || !is_text(v) || !(v->at_index & 0x20))
		return false;
	t->columns = text_columns(v);
	t->rows = text_rows(v);
	t->cursor_x = t->cursor_y = ~0u;
	t->blink = v->at[AT_MODE] & AT_BLINK;
	for (unsigned y = 0; y < t->rows; y++) {
		u32 counter = counter_at(v, y * lines_of_row(v), &scan);
		for (unsigned x = 0; x < t->columns; x++, counter++) {
			t->cell[y * VGA_COLUMNS + x] = cell_at(v, counter);
			if (counter == cursor(v) && cursor_shown(v)) {
				t->cursor_x = x;
				t->cursor_y = y;
			}
		}
	}
	for (unsigned n = 0; n < 16; n++)
		t->color[n] = color_of(v, n);
	return true;
}

/* ---- graphics of the VGA ---- */

/* Eight dots of one address: four planes, or two bits each from two pairs of planes, as the modes of the CGA want it. */
static void planar_dots(const struct vga *v, u32 *to, u32 at)
{
	u8 plane[4];

	for (unsigned k = 0; k < 4; k++)
		plane[k] = *vga_plane(v, k, at);
	for (unsigned n = 0; n < 8; n++) {
		unsigned c = 0;

		if (v->gr[GR_MODE] & GR_INTERLEAVE) {
			const u8 low = plane[n / 4], high = plane[2 + n / 4];
			unsigned shift = 6 - 2 * (n & 3);
			c = (low >> shift & 3u) | (high >> shift & 3u) << 2;
		} else {
			for (unsigned k = 0; k < 4; k++)
				c |= (plane[k] >> (7 - n) & 1u) << k;
		}
		to[n] = color_of(v, c & v->at[AT_PLANES]);
	}
}

static void draw_address(const struct vga *v, u32 *to, u32 at)
{
	if (!(v->gr[GR_MODE] & GR_256)) {
		planar_dots(v, to, at);
		return;
	}
	for (unsigned k = 0; k < 4; k++)
		to[k] = dac_color(v, *vga_plane(v, k, at));
}

static bool draw_graphics(const struct vga *v, struct vga_picture *p)
{
	unsigned dots = v->gr[GR_MODE] & GR_256 ? 4 : 8, scan;
	/* Lines that only repeat the one above are not drawn again. */
	unsigned each = (v->crtc[CRTC_MODE] & 3) == 3 ? lines_of_row(v) : 1u << (v->crtc[CRTC_LINES] >> 7);

	if (lines(v) < each || !set_size(p, columns(v) * dots, lines(v) / each))
		return false;
	for (unsigned y = 0; y < p->height; y++) {
		u32 counter = counter_at(v, y * each, &scan);

		scan >>= v->crtc[CRTC_LINES] >> 7;
		for (unsigned x = 0; x < columns(v); x++)
			draw_address(v, p->pixel + (size_t)y * p->width + (size_t)x * dots, address_of(v, counter + x, scan));
	}
	return true;
}

/* ---- frame buffers ---- */

static u32 widen(u32 value, unsigned bits_of_it)
{
	u32 v8 = value << (8 - bits_of_it);

	return v8 | v8 >> bits_of_it;
}

static u32 pixel_of(const struct vga *v, const u8 *at)
{
	u32 w = (u32)at[0] | (u32)at[1] << 8;

	switch (v->dispi[DISPI_BPP]) {
	case 8: return dac_color(v, at[0]);
	case 15: return widen(w >> 10 & 31, 5) << 16 | widen(w >> 5 & 31, 5) << 8 | widen(w & 31, 5);
	case 16: return widen(w >> 11, 5) << 16 | widen(w >> 5 & 63, 6) << 8 | widen(w & 31, 5);
	default: return w | (u32)at[2] << 16;
	}
}

static bool draw_frame_buffer(const struct vga *v, struct vga_picture *p)
{
	u16 bpp = v->dispi[DISPI_BPP];
	unsigned bytes = (bpp + 7u) / 8u, width = v->dispi[DISPI_XRES], height = v->dispi[DISPI_YRES];
	u64 line = dispi_line(v), from = v->dispi[DISPI_Y_OFFSET] * line + (u64)v->dispi[DISPI_X_OFFSET] * bytes;

	if (bpp == 4)
		from = v->dispi[DISPI_Y_OFFSET] * line + v->dispi[DISPI_X_OFFSET] / 8;
	if (!width || !height || !set_size(p, width, height))
		return false;
	for (unsigned y = 0; y < height; y++) {
		u32 *to = p->pixel + (size_t)y * width;
		u64 at = from + y * line;

		for (unsigned x = 0; bpp != 4 && x < width; x++, at += bytes)
			to[x] = at + 4 <= VGA_MEMORY ? pixel_of(v, v->memory + at) : 0;
		for (unsigned x = 0; bpp == 4 && x + 8 <= width; x += 8)
			planar_dots(v, to + x, (u32)at++);
	}
	return true;
}

bool vga_draw(struct device *d, struct vga_picture *p)
{
	const struct vga *v = (struct vga *)d;
	bool shown = false;

	if (dispi_on(v))
		shown = draw_frame_buffer(v, p);
	else if ((v->at_index & 0x20) && !(v->seq[SEQ_CLOCKING] & CLOCKING_OFF))
		shown = is_text(v) ? draw_text(v, p) : draw_graphics(v, p);
	return shown || dark(p);
}
