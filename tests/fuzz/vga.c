/*
 * Registers of the VGA and of its extension set to anything, memory written through every window, and the screen drawn and
 * read as text in between: nothing may crash, take long, or show a picture that is larger than a screen can be.
 */
#include "fuzz.h"

#include "dev/vga.h"

enum { STEPS = 300, DRAWN_EVERY = 40, SLOW_SECONDS = 10 };
#define RAM (4ull << 20)

static void indexed(struct rng *r, struct bus *b, u16 port, unsigned count)
{
	bus_port_write(b, port, 1, rng_below(r, count));
	bus_port_write(b, port + 1, 1, rng_next(r) & 0xff);
}

static void legacy(struct rng *r, struct bus *b)
{
	switch (rng_below(r, 6)) {
	case 0: indexed(r, b, 0x3c4, 6); break;
	case 1: indexed(r, b, 0x3ce, 10); break;
	case 2: indexed(r, b, 0x3d4, 26); break;
	case 3: bus_port_write(b, 0x3c2, 1, rng_one_in(r, 4) ? rng_next(r) & 0xff : 0x67); break;
	default: bus_port_write(b, (u16)(0x3b0 + rng_below(r, 0x30)), 1u << rng_below(r, 3), rng_odd(r) & 0xffffffff); break;
	}
	(void)bus_port_read(b, (u16)(0x3b0 + rng_below(r, 0x30)), 1u << rng_below(r, 3));
}

static void extension(struct rng *r, struct bus *b)
{
	static const u16 sizes[] = {0, 1, 8, 80, 320, 640, 799, 1024, 1600, 2560, 4096, 0xffff};
	static const u16 depths[] = {0, 4, 8, 15, 16, 24, 32, 33};
	u64 n = rng_below(r, 12);

	bus_port_write(b, 0x1ce, 2, n);
	bus_port_write(b, 0x1cf, 2,
	               n == DISPI_BPP      ? RNG_PICK(r, depths)
	               : n == DISPI_ENABLE ? rng_next(r) & 0xe3
	               : rng_one_in(r, 4)  ? rng_odd(r) & 0xffff
	                                   : RNG_PICK(r, sizes));
	(void)bus_port_read(b, 0x1cf, 2);
}

static void memory(struct rng *r, struct bus *b, const struct pci_dev *p)
{
	u64 at = 0xa0000 + rng_below(r, 0x20000);
	u8 buf[64];

	if (p && p->bar[0].range.mapped && rng_one_in(r, 2))
		at = p->bar[0].range.base + rng_below(r, VGA_MEMORY - sizeof(buf));
	if (p && p->bar[2].range.mapped && rng_one_in(r, 8))
		at = p->bar[2].range.base + 0x400 + rng_below(r, 0x210);
	rng_fill(r, buf, sizeof(buf));
	if (rng_one_in(r, 3))
		bus_read(b, at, buf, 1 + rng_below(r, sizeof(buf)));
	else
		bus_write(b, at, buf, 1 + rng_below(r, sizeof(buf)));
}

static void look(struct machine *m, struct vga_picture *p)
{
	static struct vga_text t;

	if (vga_draw(m->vga, p))
		fuzz_count("pictures");
	if (!p->width || !p->height || p->width > 2560 || p->height > 2048)
		fuzz_fail("a picture of %u x %u", p->width, p->height);
	if (vga_read_text(m->vga, &t) && (t.columns > VGA_COLUMNS || t.rows > VGA_ROWS))
		fuzz_fail("a text of %u x %u", t.columns, t.rows);
}

static void one(struct rng *r)
{
	struct vga_picture picture = {.width = 0};
	struct machine_config cfg;

	fuzz_config(&cfg, "amd", RAM);
	cfg.vga = rng_one_in(r, 4) ? MACHINE_VGA_PLAIN : MACHINE_VGA_STD;
	struct machine *m = fuzz_machine(&cfg);
	const struct pci_dev *p = cfg.vga == MACHINE_VGA_STD ? (const struct pci_dev *)m->vga : NULL;
	for (unsigned n = 0; n < STEPS; n++) {
		u64 what = rng_below(r, 8);

		m->clock.now += rng_below(r, 100000);
		if (what < 3)
			legacy(r, &m->bus);
		else if (what < 5)
			extension(r, &m->bus);
		else
			memory(r, &m->bus, p);
		if (rng_one_in(r, 500))
			m->vga->ops->reset(m->vga);
		if (n % DRAWN_EVERY == 0)
			look(m, &picture);
	}
	if (fuzz_case_seconds() > SLOW_SECONDS)
		fuzz_fail("takes too long");
	vga_picture_free(&picture);
	machine_destroy(m);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, "fuzz-vga", one);
}
