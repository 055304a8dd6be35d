/*
 * What the files of the VGA share, and what its picture is made of. vga_memory.c: planes and the windows that show them;
 * vga_dispi.c: the extension for linear frame buffers; vga.c: ports and life; vga_draw.c: what a monitor would show.
 * IBM VGA XGA Technical Reference Manual, "VGA Function"; what goes beyond it is said where it is done.
 */
#ifndef DEV_VGA_H
#define DEV_VGA_H

#include "dev/pci.h"

#define VGA_PLANE  0x10000u     /* bytes of a plane */
#define VGA_PLANES (4 * VGA_PLANE)
#define VGA_MEMORY (16u << 20)  /* with the linear frame buffer, whose first bytes are the planes */
#define VGA_TEXT_BASE 0xb8000u
#define VGA_TEXT_SIZE 0x8000u
#define VGA_BASE   0xa0000u
#define VGA_SIZE   0x20000u

/* Registers by their index. */
enum { SEQ_RESET, SEQ_CLOCKING, SEQ_MAP_MASK, SEQ_FONT, SEQ_MODE, SEQ_COUNT };
enum { CLOCKING_8_DOTS = 1, CLOCKING_OFF = 0x20 };
enum { SEQ_NOT_ODD_EVEN = 4, SEQ_CHAIN_4 = 8 };
enum { GR_SET_RESET, GR_ENABLE_SET_RESET, GR_COMPARE, GR_ROTATE, GR_READ_MAP, GR_MODE, GR_MISC, GR_DONT_CARE, GR_BIT_MASK, GR_COUNT };
enum { GR_READ_COMPARE = 8, GR_ODD_EVEN = 0x10, GR_INTERLEAVE = 0x20, GR_256 = 0x40, GR_GRAPHICS = 1 };
enum {
	CRTC_TOTAL, CRTC_WIDTH = 1, CRTC_OVERFLOW = 7, CRTC_PRESET = 8, CRTC_LINES = 9, CRTC_CURSOR_START, CRTC_CURSOR_END, CRTC_START_HIGH,
	CRTC_START_LOW, CRTC_CURSOR_HIGH, CRTC_CURSOR_LOW, CRTC_RETRACE_END = 0x11, CRTC_HEIGHT = 0x12, CRTC_OFFSET = 0x13,
	CRTC_UNDERLINE = 0x14, CRTC_MODE = 0x17, CRTC_COMPARE = 0x18, CRTC_COUNT,
};
enum { AT_MODE = 0x10, AT_OVERSCAN, AT_PLANES, AT_PANNING, AT_COLOR, AT_COUNT };
enum { AT_GRAPHICS = 1, AT_LINE_GRAPHICS = 4, AT_BLINK = 8, AT_256 = 0x40, AT_P54 = 0x80 };
enum { MISC_COLOR = 1, MISC_RAM = 2 };
/* The extension's registers and the bits of DISPI_ENABLE. */
enum {
	DISPI_ID, DISPI_XRES, DISPI_YRES, DISPI_BPP, DISPI_ENABLE, DISPI_BANK, DISPI_VIRT_WIDTH, DISPI_VIRT_HEIGHT, DISPI_X_OFFSET,
	DISPI_Y_OFFSET, DISPI_MEMORY_64K, DISPI_COUNT,
};
enum { DISPI_ENABLED = 1, DISPI_GETCAPS = 2, DISPI_8BIT_DAC = 0x20, DISPI_LFB = 0x40, DISPI_NOCLEAR = 0x80 };

struct vga {
	struct pci_dev pci;  /* first; without an extension no function of it, and only its device counts */
	bool extended;       /* wired: PCI function, linear frame buffer, DISPI */
	bool touched;        /* somebody has asked it something: until then the planes hold no font yet */
	u8 misc, feature;
	u8 seq_index, seq[SEQ_COUNT];
	u8 gr_index, gr[GR_COUNT];
	u8 crtc_index, crtc[CRTC_COUNT];
	u8 at_index, at[AT_COUNT];
	bool at_data;        /* the next byte to 3C0h is data */
	u8 dac_mask, dac_read, dac_write, dac_part, dac_state;
	u8 dac_latch[3];
	u8 palette[256][3];
	u8 latch[4];
	u16 dispi_index, dispi[DISPI_COUNT];
	u8 dispi_low;        /* low byte of a word that comes in two */
	u8 *memory;          /* wired: byte o of plane p is at 4 * o + p. Its content is state */
	u8 *text;            /* wired: what B8000h shows while `direct` */
	u8 *rom;             /* wired; NULL: no option ROM */
	u32 rom_size;        /* wired */
	bool direct;         /* planes 0 and 1 of even addresses below 8000h are in `text` */
	struct space_overlay text_window, bank_window, frame_buffer, rom_window; /* cache: made of the registers */
	struct bus_range ports, dispi_ports, window; /* cache: where they are never changes */
};

/* ---- vga_memory.c ---- */
u8 *vga_plane(const struct vga *v, unsigned plane, u32 offset);
void vga_wake(struct vga *v);    /* the first access: the font goes where the BIOS puts it */
void vga_map(struct vga *v);     /* registers have changed: what is memory now, and which */
void vga_remap(struct vga *v);   /* the same where nothing moves: rows were written from outside */
void vga_put(struct vga *v, u8 *at, u64 n); /* this memory has been written by the device itself */
extern const struct bus_ops vga_window_ops;
extern const u8 vga_font[256][16];

/* ---- vga_dispi.c ---- */
u16 dispi_read(const struct vga *v, unsigned n);
void dispi_write(struct vga *v, unsigned n, u16 value);
static inline bool dispi_on(const struct vga *v)
{
	return v->extended && (v->dispi[DISPI_ENABLE] & DISPI_ENABLED);
}
u32 dispi_line(const struct vga *v); /* bytes of a line */
extern const struct bus_ops dispi_port_ops;

/* ---- vga_draw.c: what a monitor would show ---- */
struct vga_picture {
	unsigned width, height;
	u32 *pixel; /* 00RRGGBBh */
	size_t room;
};
/* false: nothing to see (p is 1 x 1 and black), or out of memory. */
bool vga_draw(struct device *d, struct vga_picture *p);
void vga_picture_free(struct vga_picture *p);

#define VGA_COLUMNS 256
#define VGA_ROWS    128
struct vga_text {
	unsigned columns, rows;
	u16 cell[VGA_ROWS * VGA_COLUMNS]; /* attribute and character */
	unsigned cursor_x, cursor_y;      /* off the screen: none */
	bool blink;                       /* bit 7 of an attribute is not a background */
	u32 color[16];
};
bool vga_read_text(struct device *d, struct vga_text *t); /* false: no text mode */

#endif
