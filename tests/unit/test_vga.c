/*
 * The VGA's memory against a model that goes bit by bit, as the manual describes it: write modes 0 to 3, read modes 0 and 1,
 * latches, set/reset, rotation and functions, odd/even and chain 4, the four windows; and what is plain memory stays what the
 * planes say. The extension by its words; what is drawn by pixels that are known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "dev/vga.h"
#include "rnd.h"

struct pc {
	struct clock clock;
	struct bus bus;
	struct device *vga;
	u8 plane[4][65536]; /* the model */
	u8 latch[4];
	u8 seq[5], gr[9], misc;
};

static void out(struct pc *p, u16 port, u8 v)
{
	bus_port_write(&p->bus, port, 1, v);
}

static void seq(struct pc *p, u8 n, u8 v)
{
	static const u8 kept[5] = {3, 0x3d, 15, 0x3f, 14};

	bus_port_write(&p->bus, 0x3c4, 2, n | v << 8);
	p->seq[n] = v & kept[n];
}

static void gr(struct pc *p, u8 n, u8 v)
{
	static const u8 kept[9] = {15, 15, 15, 0x1f, 3, 0x7b, 15, 15, 255};

	bus_port_write(&p->bus, 0x3ce, 2, n | v << 8);
	p->gr[n] = v & kept[n];
}

static int setup(void **state)
{
	struct pc *p = calloc(1, sizeof(*p));
	struct dev_env e = {.bus = &p->bus, .clock = &p->clock};
	struct vga_config cfg = {.extended = false};
	struct err err;

	clock_init(&p->clock);
	assert_int_equal(bus_init(&p->bus, &p->clock, NULL, 1 << 20, 1 << 20, &err), ST_OK);
	/* As a chipset sends it: A0000h to BFFFFh past RAM. */
	static struct space_overlay outside;
	outside = (struct space_overlay){.base = 0xa0000, .size = 0x20000};
	for (unsigned s = 0; s < SPACES; s++)
		outside.to[s].outside = USE_ALL;
	assert_true(bus_overlay(&p->bus, &outside));
	bus_remap(&p->bus);
	assert_int_equal(vga_create(&p->vga, &e, &cfg), ST_OK);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pc *p = *state;

	p->vga->ops->destroy(p->vga);
	bus_fini(&p->bus);
	free(p);
	return 0;
}

/* ---- the model ---- */

static bool model_place(struct pc *p, u32 pa, u32 *at)
{
	static const u32 first[4] = {0xa0000, 0xa0000, 0xb0000, 0xb8000}, past[4] = {0xc0000, 0xb0000, 0xb8000, 0xc0000};
	unsigned map = p->gr[6] >> 2;

	*at = pa - first[map];
	return (p->misc & 2) && pa >= first[map] && pa < past[map];
}

static bool model_bit(struct pc *p, unsigned plane, unsigned bit, u8 value)
{
	unsigned from = (bit + (p->gr[3] & 7)) & 7; /* rotated to the right */
	bool data = value >> from & 1, latch = p->latch[plane] >> bit & 1, keep = !(p->gr[8] >> bit & 1);

	switch (p->gr[5] & 3) {
	case 0:
		if (p->gr[1] >> plane & 1)
			data = p->gr[0] >> plane & 1;
		break;
	case 1: return latch;
	case 2: data = value >> plane & 1; break;
	default:
		keep = keep || !data;
		data = p->gr[0] >> plane & 1;
		break;
	}
	switch (p->gr[3] >> 3) {
	case 1: data = data && latch; break;
	case 2: data = data || latch; break;
	case 3: data = data != latch; break;
	default: break;
	}
	return keep ? latch : data;
}

static void model_write(struct pc *p, u32 pa, u8 value)
{
	bool chained = p->seq[4] & 8, odd_even = !chained && !(p->seq[4] & 4);
	u32 at;

	if (!model_place(p, pa, &at))
		return;
	for (unsigned plane = 0; plane < 4; plane++) {
		u32 o = chained ? at & ~3u : odd_even ? at & ~1u : at;
		u8 byte = 0;

		if (!(p->seq[2] >> plane & 1) || (chained && plane != (at & 3)) || (odd_even && (plane & 1) != (at & 1)))
			continue;
		for (unsigned bit = 0; bit < 8; bit++)
			byte |= (u8)(model_bit(p, plane, bit, value) << bit);
		p->plane[plane][o & 0xffff] = byte;
	}
}

static u8 model_read(struct pc *p, u32 pa)
{
	bool chained = p->seq[4] & 8, odd_even = !chained && (p->gr[5] & 16);
	unsigned plane = p->gr[4];
	u8 equal = 0;
	u32 at;

	if (!model_place(p, pa, &at))
		return 0xff;
	if (chained)
		plane = at & 3;
	else if (odd_even)
		plane = (plane & 2) + (at & 1);
	at = chained ? at & ~3u : odd_even ? at & ~1u : at;
	for (unsigned n = 0; n < 4; n++)
		p->latch[n] = p->plane[n][at & 0xffff];
	if (!(p->gr[5] & 8))
		return p->latch[plane];
	for (unsigned bit = 0; bit < 8; bit++) {
		bool same = true;
		for (unsigned n = 0; n < 4; n++)
			if (p->gr[7] >> n & 1)
				same = same && (p->latch[n] >> bit & 1) == (p->gr[2] >> n & 1);
		equal |= (u8)(same << bit);
	}
	return equal;
}

/* ---- tests ---- */

static void write_byte(struct pc *p, u32 pa, u8 v)
{
	bus_write(&p->bus, pa, &v, 1);
}

static u8 read_byte(struct pc *p, u32 pa)
{
	u8 v;

	bus_read(&p->bus, pa, &v, 1);
	return v;
}

static void misc(struct pc *p, u8 v)
{
	out(p, 0x3c2, v);
	p->misc = v;
}

static void same_planes(struct pc *p)
{
	for (unsigned n = 0; n < 4; n++)
		for (u32 o = 0; o < 65536; o++)
			assert_int_equal(*vga_plane((struct vga *)p->vga, n, o), p->plane[n][o]);
}

static void take_planes(struct pc *p)
{
	for (unsigned n = 0; n < 4; n++)
		for (u32 o = 0; o < 65536; o++)
			p->plane[n][o] = *vga_plane((struct vga *)p->vga, n, o);
}

/* Random registers, random accesses in between. */
static void write_and_read_modes(void **state)
{
	struct pc *p = *state;

	misc(p, 0x67);
	take_planes(p);
	for (unsigned n = 0; n < 9; n++)
		gr(p, (u8)n, (u8)rnd());
	for (unsigned n = 0; n < 5; n++)
		seq(p, (u8)n, (u8)rnd());
	for (unsigned i = 0; i < 40000; i++) {
		u32 pa = 0xa0000 + (u32)(rnd() % 0x20000);
		u8 v = (u8)rnd();

		if (i % 3 == 0)
			gr(p, (u8)(rnd() % 9), v);
		else if (i % 7 == 0)
			seq(p, (u8)(rnd() % 5), v);
		if (rnd() & 1) {
			write_byte(p, pa, v);
			model_write(p, pa, v);
		} else {
			assert_int_equal(read_byte(p, pa), model_read(p, pa));
		}
	}
	same_planes(p);
}

/* The registers of mode 3, in which B8000h is plain memory, and back. */
static void text_is_memory(void **state)
{
	struct pc *p = *state;

	vga_text_mode(p->vga);
	assert_non_null(bus_memory(&p->bus, 0xb8000));
	assert_null(bus_memory(&p->bus, 0xb0000));
	assert_int_equal(read_byte(p, 0xb8000), ' ');
	assert_int_equal(read_byte(p, 0xbffff), 7);
	assert_true(p->vga->ops->untouched(p->vga));
	out(p, 0x3c2, 0x67);
	assert_false(p->vga->ops->untouched(p->vga));
	p->misc = 0x67;
	gr(p, 6, 0x0e);
	gr(p, 5, 0x10);
	gr(p, 8, 0xff);
	seq(p, 2, 3);
	seq(p, 4, 2);
	take_planes(p);
	for (unsigned i = 0; i < 20000; i++) {
		u32 pa = 0xb8000 + (u32)(rnd() % 0x8000);
		u8 v = (u8)rnd();

		write_byte(p, pa, v);
		model_write(p, pa, v);
		assert_int_equal(read_byte(p, pa ^ 4), model_read(p, pa ^ 4));
	}
	same_planes(p);
	seq(p, 2, 4); /* plane 2, as who loads a font does */
	seq(p, 4, 7);
	gr(p, 6, 4);
	gr(p, 5, 0);
	gr(p, 4, 2);
	assert_null(bus_memory(&p->bus, 0xb8000));
	write_byte(p, 0xa0000 + 32 * 'A', 0x81);
	model_write(p, 0xa0000 + 32 * 'A', 0x81);
	assert_int_equal(read_byte(p, 0xa0000 + 32 * 'A'), 0x81);
	same_planes(p);
	seq(p, 2, 3);
	seq(p, 4, 2);
	gr(p, 6, 0x0e);
	gr(p, 5, 0x10);
	gr(p, 4, 0);
	assert_non_null(bus_memory(&p->bus, 0xb8000));
	same_planes(p);
}

static void registers_keep_their_bits(void **state)
{
	struct pc *p = *state;

	out(p, 0x3c2, 0x67);
	assert_int_equal(bus_port_read(&p->bus, 0x3cc, 1), 0x67);
	assert_int_equal(bus_port_read(&p->bus, 0x3b5, 1), 0xff); /* the CRT controller is at 3D4h */
	bus_port_write(&p->bus, 0x3d4, 2, 0x11 | 0x00 << 8);
	bus_port_write(&p->bus, 0x3d4, 2, 0x00 | 0x5f << 8);
	bus_port_write(&p->bus, 0x3d4, 2, 0x11 | 0x8e << 8); /* "Protect R0-7" */
	bus_port_write(&p->bus, 0x3d4, 2, 0x00 | 0x12 << 8);
	bus_port_write(&p->bus, 0x3d4, 2, 0x07 | 0xff << 8);
	assert_int_equal(bus_port_read(&p->bus, 0x3d5, 1), 0x10); /* line compare's bit alone */
	out(p, 0x3d4, 0);
	assert_int_equal(bus_port_read(&p->bus, 0x3d5, 1), 0x5f);
	bus_port_read(&p->bus, 0x3da, 1); /* the next byte to 3C0h is an index */
	out(p, 0x3c0, 0x11);
	out(p, 0x3c0, 0x2a);
	out(p, 0x3c0, 0x31);
	assert_int_equal(bus_port_read(&p->bus, 0x3c1, 1), 0x2a);
	out(p, 0x3c8, 7);
	for (u8 n = 0; n < 6; n++)
		out(p, 0x3c9, (u8)(n + 0x3d)); /* six bits count; the index goes on by itself */
	assert_int_equal(bus_port_read(&p->bus, 0x3c7, 1), 0);
	out(p, 0x3c7, 7);
	assert_int_equal(bus_port_read(&p->bus, 0x3c7, 1), 3);
	for (u8 n = 0; n < 6; n++)
		assert_int_equal(bus_port_read(&p->bus, 0x3c9, 1), (n + 0x3d) & 0x3f);
	gr(p, 5, 0xff);
	assert_int_equal(bus_port_read(&p->bus, 0x3cf, 1), 0x7b);
}

/* The retrace comes and goes 70 times a second. */
static void status_follows_the_clock(void **state)
{
	struct pc *p = *state;
	unsigned retraces = 0;
	bool last = false;

	vga_text_mode(p->vga);
	for (p->clock.now = 0; p->clock.now < 1000000000; p->clock.now += 20000) {
		bool now = bus_port_read(&p->bus, 0x3da, 1) & 8;
		retraces += now && !last;
		last = now;
	}
	assert_in_range(retraces, 69, 71);
}

/* Mode 13h by the registers that the manual gives for it. */
static void a_mode_of_256_colors(void **state)
{
	static const u8 crtc[25] = {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x40,
	                            0x96, 0xb9, 0xa3, 0xff};
	struct pc *p = *state;
	struct vga_picture picture = {.width = 0};

	vga_text_mode(p->vga);
	misc(p, 0x63);
	seq(p, 1, 1);
	seq(p, 2, 15);
	seq(p, 4, 14);
	gr(p, 5, 0x40);
	gr(p, 6, 5);
	bus_port_write(&p->bus, 0x3d4, 2, 0x11);
	for (unsigned n = 0; n < sizeof(crtc); n++)
		bus_port_write(&p->bus, 0x3d4, 2, n | (u64)crtc[n] << 8);
	bus_port_read(&p->bus, 0x3da, 1);
	out(p, 0x3c0, 0x10);
	out(p, 0x3c0, 0x41);
	out(p, 0x3c0, 0x20);
	out(p, 0x3c8, 200);
	out(p, 0x3c9, 63);
	out(p, 0x3c9, 32);
	out(p, 0x3c9, 1);
	for (u32 n = 0; n < 64000; n++)
		write_byte(p, 0xa0000 + n, n % 321 == 5 ? 200 : 0);
	assert_true(vga_draw(p->vga, &picture));
	assert_int_equal(picture.width, 320);
	assert_int_equal(picture.height, 200);
	for (u32 n = 0; n < 64000; n++)
		assert_int_equal(picture.pixel[n], n % 321 == 5 ? 0xff8204 : 0);
	vga_picture_free(&picture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(write_and_read_modes, setup, teardown),
	        cmocka_unit_test_setup_teardown(text_is_memory, setup, teardown),
	        cmocka_unit_test_setup_teardown(registers_keep_their_bits, setup, teardown),
	        cmocka_unit_test_setup_teardown(status_follows_the_clock, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_mode_of_256_colors, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
