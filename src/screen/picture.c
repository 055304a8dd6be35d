/* Pictures in files: PPM, and PNG with stored (not packed) data: "Portable Network Graphics", RFC 1950, RFC 1951. */
#include "screen/screen.h"

#include <errno.h>

/* ---- PPM ---- */

static void rgb_line(const struct vga_picture *p, unsigned y, u8 *to)
{
	for (unsigned x = 0; x < p->width; x++) {
		u32 c = p->pixel[(size_t)y * p->width + x];

		*to++ = (u8)(c >> 16);
		*to++ = (u8)(c >> 8);
		*to++ = (u8)c;
	}
}

bool picture_ppm(const struct vga_picture *p, FILE *f)
{
	u8 *line = base_alloc(3ull * p->width);

	fprintf(f, "P6\n%u %u\n255\n", p->width, p->height);
	for (unsigned y = 0; line && y < p->height; y++) {
		rgb_line(p, y, line);
		fwrite(line, 3, p->width, f);
	}
	base_free(line);
	return line && !ferror(f);
}

/* ---- PNG ---- */

struct png {
	FILE *f;
	u32 crc;            /* of the chunk at hand */
	u32 a, b;           /* Adler-32 of what is not packed */
};

static void put(struct png *g, const void *data, size_t n)
{
	const u8 *p = data;

	for (size_t i = 0; i < n; i++) {
		g->crc ^= p[i];
		for (unsigned k = 0; k < 8; k++)
			g->crc = g->crc >> 1 ^ (g->crc & 1 ? 0xedb88320 : 0);
	}
	fwrite(data, 1, n, g->f);
}

static void put_u32(struct png *g, u32 v)
{
	const u8 be[4] = {(u8)(v >> 24), (u8)(v >> 16), (u8)(v >> 8), (u8)v};

	put(g, be, 4);
}

static void begin(struct png *g, const char *name, u32 size)
{
	put_u32(g, size);
	g->crc = ~0u;
	put(g, name, 4);
}

static void end(struct png *g)
{
	put_u32(g, ~g->crc);
}

static void adler(struct png *g, const u8 *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		g->a = (g->a + p[i]) % 65521;
		g->b = (g->b + g->a) % 65521;
	}
}

/* A line is one stored block: its filter byte, then the pixels. The widest screen fits. */
static void stored_line(struct png *g, const u8 *line, u16 n, bool last)
{
	const u8 head[5] = {last, (u8)n, (u8)(n >> 8), (u8)~n, (u8)(~n >> 8)};

	put(g, head, sizeof(head));
	put(g, line, n);
	adler(g, line, n);
}

static void image_data(struct png *g, const struct vga_picture *p, u8 *line)
{
	static const u8 zlib[2] = {0x78, 0x01};
	u32 n = 1 + 3 * p->width;

	begin(g, "IDAT", 2 + p->height * (5 + n) + 4);
	put(g, zlib, sizeof(zlib));
	for (unsigned y = 0; y < p->height; y++) {
		rgb_line(p, y, line + 1);
		stored_line(g, line, (u16)n, y + 1 == p->height);
	}
	put_u32(g, g->b << 16 | g->a);
	end(g);
}

bool picture_png(const struct vga_picture *p, FILE *f)
{
	static const u8 signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}, kind[5] = {8, 2, 0, 0, 0};
	struct png g = {.f = f, .a = 1};
	u8 *line = base_alloc(1 + 3ull * p->width);

	if (!line || 1 + 3 * p->width > 0xffff) {
		base_free(line);
		return false;
	}
	put(&g, signature, sizeof(signature));
	begin(&g, "IHDR", 13);
	put_u32(&g, p->width);
	put_u32(&g, p->height);
	put(&g, kind, sizeof(kind));
	end(&g);
	image_data(&g, p, line);
	begin(&g, "IEND", 0);
	end(&g);
	base_free(line);
	return !ferror(f);
}

/* ---- of the machine ---- */

enum status screen_dump(struct machine *m, enum display_kind kind, const char *path, struct err *err)
{
	u32 black = 0;
	struct vga_picture dot = {.width = 1, .height = 1, .pixel = &black}, p = {.width = 0};
	FILE *f = fopen(path, "we");

	if (!f)
		return err_set(err, ST_IO, "%.400s: %s", path, strerror(errno));
	errno = 0;
	if (m->vga)
		vga_draw(m->vga, &p);
	bool ok = (kind == DISPLAY_PNG ? picture_png : picture_ppm)(p.width ? &p : &dot, f);
	int why = errno;
	vga_picture_free(&p);
	if (fclose(f)) {
		ok = false;
		why = errno;
	}
	return ok ? ST_OK : err_set(err, ST_IO, "%.400s: %s", path, why ? strerror(why) : "cannot be written");
}
