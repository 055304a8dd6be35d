/*
 * Kernel images and module lists: valid ones of every protocol, built here, then spoiled. A machine comes of it, or one
 * line that says why not; nothing is read beyond the file, written beyond RAM, kept or left open.
 */
#include "fuzz.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine/boot/boot.h"

enum {
	IMAGE_MAX = 0x9000,
	MMIO_READS = 1, /* the firmware tables ask the HPET who it is */
};

struct image {
	u8 d[IMAGE_MAX];
	size_t n;
	size_t hot[64]; /* where numbers lie that a loader believes */
	u8 width[64];
	unsigned hots;
};

static void put(struct image *m, size_t at, u64 v, unsigned width)
{
	for (unsigned k = 0; k < width; k++)
		m->d[at + k] = (u8)(v >> 8 * k);
	if (m->hots < ARRAY_LEN(m->hot)) {
		m->hot[m->hots] = at;
		m->width[m->hots++] = (u8)width;
	}
	m->n = max_u64(m->n, at + width);
}

/* ---- templates ---- */

static void make_linux(struct rng *r, struct image *m)
{
	u64 sects = 1 + rng_below(r, 8), code = 0x400 + rng_below(r, 0x4000);

	put(m, 0x1f1, sects, 1);
	put(m, 0x1f4, code / 16, 4);
	put(m, 0x1fe, 0xaa55, 2);
	put(m, 0x201, 0x6a, 1);
	memcpy(m->d + 0x202, "HdrS", 4);
	put(m, 0x206, 0x20f, 2);
	put(m, 0x211, 1, 1);
	put(m, 0x22c, 0x7fffffff, 4);
	put(m, 0x230, 0x200000, 4);
	put(m, 0x234, 1, 1);
	put(m, 0x236, 1, 2);
	put(m, 0x238, 2047, 4);
	put(m, 0x258, 0x1000000, 8);
	put(m, 0x260, 0x8000 + rng_below(r, 0x200000), 4);
	m->n = (sects + 1) * 512 + code;
}

static size_t put_notes(struct image *m, size_t at)
{
	size_t start = at;

	for (unsigned k = 0; k < 2; k++) { /* one that is not meant, then the one */
		put(m, at, 4, 4);
		put(m, at + 4, 4, 4);
		put(m, at + 8, k ? 18 : 6, 4);
		memcpy(m->d + at + 12, "Xen", 4);
		put(m, at + 16, 0x100040, 4);
		at += 20;
	}
	return at - start;
}

static void put_segment(struct image *m, bool wide, size_t at, u32 type, u64 offset, u64 pa, u64 filesz, u64 memsz)
{
	const u64 v[8] = {type,
	                  wide ? 5 : offset,
	                  wide ? offset : pa,
	                  pa,
	                  wide ? pa : filesz,
	                  wide ? filesz : memsz,
	                  wide ? memsz : 5,
	                  0x1000};

	for (unsigned k = 0; k < 8; k++)
		put(m, at + (wide ? (k < 2 ? 4 * k : 8 * (k - 1)) : 4 * k), v[k], wide && k >= 2 ? 8 : 4);
}

static void make_elf(struct rng *r, struct image *m, bool notes)
{
	bool wide = rng_one_in(r, 2);
	size_t head = wide ? 64 : 52, each = wide ? 56 : 32, segs = 1 + rng_below(r, 4), at = 0x1000;
	u64 pa = 0x100000;

	memcpy(m->d, "\177ELF\1\1\1", 7);
	m->d[4] = wide ? 2 : 1;
	put(m, 16, 2, 2);
	put(m, 18, wide ? 62 : 3, 2);
	put(m, 24, 0x100040, wide ? 8 : 4);
	put(m, wide ? 32 : 28, head, wide ? 8 : 4);
	put(m, wide ? 54 : 42, each, 2);
	put(m, wide ? 56 : 44, segs + 1, 2);
	for (size_t k = 0; k < segs; k++) {
		u64 filesz = rng_below(r, 0x1000), memsz = filesz + rng_below(r, 0x3000);

		put_segment(m, wide, head + k * each, 1, at, pa, filesz, memsz);
		at += filesz;
		pa += memsz + rng_below(r, 0x10000);
	}
	put_segment(m, wide, head + segs * each, notes ? 4 : 0, 0x800, 0, notes ? put_notes(m, 0x800) : 0, 0);
	m->n = max_u64(m->n, at);
}

static void make_multiboot1(struct rng *r, struct image *m)
{
	bool kludge = rng_one_in(r, 2);
	size_t at = kludge ? 4 * rng_below(r, 1000) : 0x900 + 4 * rng_below(r, 64);
	u32 flags = (kludge ? 0x10000u : 0) | (u32)rng_below(r, 4);

	if (!kludge)
		make_elf(r, m, false);
	m->hots = kludge ? 0 : m->hots;
	put(m, at, 0x1badb002, 4);
	put(m, at + 4, flags, 4);
	put(m, at + 8, 0u - 0x1badb002u - flags, 4);
	if (!kludge)
		return;
	u64 load = rng_one_in(r, 4) ? 0x8000 : 0x100000 + rng_below(r, 0x1000) * 4, end = 0x1000 + rng_below(r, 0x2000);
	put(m, at + 12, load + at, 4);
	put(m, at + 16, load, 4);
	put(m, at + 20, rng_one_in(r, 3) ? 0 : load + end, 4);
	put(m, at + 24, rng_one_in(r, 3) ? 0 : load + end + rng_below(r, 0x8000), 4);
	put(m, at + 28, load + 0x20, 4);
	m->n = max_u64(m->n, end);
}

static size_t put_tag(struct image *m, size_t at, u16 type, const u32 *v, unsigned n)
{
	put(m, at, type, 2);
	put(m, at + 2, 0, 2);
	put(m, at + 4, 8 + 4 * n, 4);
	for (unsigned k = 0; k < n; k++)
		put(m, at + 8 + 4 * k, v[k], 4);
	return at + ((8 + 4 * n + 7) & ~7u);
}

static void make_multiboot2(struct rng *r, struct image *m)
{
	bool addressed = rng_one_in(r, 2);
	size_t start = addressed ? 8 * rng_below(r, 200) : 0x900, at = start + 16;
	u32 load = 0x100000 + (u32)rng_below(r, 0x1000) * 8, size = 0x1000 + (u32)rng_below(r, 0x2000);
	const u32 wants[] = {1, 4, 6, 15}, entry = load + 0x40;
	const u32 address[] = {load + (u32)start, load, rng_one_in(r, 3) ? 0 : load + size, load + size + 0x2000};

	if (!addressed)
		make_elf(r, m, false);
	m->hots = addressed ? 0 : m->hots;
	if (rng_one_in(r, 2))
		at = put_tag(m, at, 1, wants, 1 + (unsigned)rng_below(r, 4));
	if (addressed)
		at = put_tag(m, at, 2, address, 4);
	if (addressed || rng_one_in(r, 2))
		at = put_tag(m, at, 3, &entry, 1);
	if (rng_one_in(r, 2))
		at = put_tag(m, at, 6, NULL, 0);
	at = put_tag(m, at, 0, NULL, 0);
	put(m, start, 0xe85250d6, 4);
	put(m, start + 4, 0, 4);
	put(m, start + 8, at - start, 4);
	put(m, start + 12, 0u - 0xe85250d6u - (u32)(at - start), 4);
	if (addressed)
		m->n = max_u64(m->n, size);
}

/* ---- spoiling ---- */

/* Headers with a sum stay recognisable, or nothing behind them would ever be looked at. */
static void repair_sums(struct image *m)
{
	for (size_t i = 0; i + 16 <= m->n; i += 4) {
		if (get32(m->d + i) == 0x1badb002)
			put32(m->d + i + 8, 0u - 0x1badb002u - get32(m->d + i + 4));
		if (get32(m->d + i) == 0xe85250d6)
			put32(m->d + i + 12, 0u - 0xe85250d6u - get32(m->d + i + 4) - get32(m->d + i + 8));
	}
}

static u64 spoiled(struct rng *r, u64 old, const struct image *m)
{
	switch (rng_below(r, 6)) {
	case 0: return old + rng_below(r, 33) - 16;
	case 1: return old ^ BIT(rng_below(r, 64));
	case 2: return m->n + rng_below(r, 65) - 32;
	case 3: return (rng_below(r, 6) << 30) + rng_below(r, 33) - 16; /* around the ends of RAM */
	default: return rng_odd(r);
	}
}

static void spoil(struct rng *r, struct image *m)
{
	for (u64 k = rng_below(r, 5); k; k--) {
		unsigned h = (unsigned)rng_below(r, m->hots ? m->hots : 1);
		u64 old = 0;

		if (rng_one_in(r, 8) || !m->hots) {
			m->d[rng_below(r, m->n)] ^= (u8)(1u << rng_below(r, 8));
			continue;
		}
		memcpy(&old, m->d + m->hot[h], m->width[h]);
		old = spoiled(r, old, m);
		memcpy(m->d + m->hot[h], &old, m->width[h]);
	}
	if (rng_one_in(r, 5))
		m->n = rng_one_in(r, 4) ? rng_below(r, 64) : rng_below(r, m->n + 1);
	if (!rng_one_in(r, 8))
		repair_sums(m);
}

/* ---- modules, command line ---- */

static void make_list(struct rng *r, struct machine_config *cfg, char *text, size_t size)
{
	static const char *const words[] = {"mod",     "mod",       "mod",    "big", "empty",
	                                    "missing", "mod a b c", "mod ,,", "",    " "};
	unsigned n = rng_one_in(r, 10) ? 70 : 1 + (unsigned)rng_below(r, 4);

	if (rng_one_in(r, 2))
		return;
	text[0] = 0;
	for (unsigned k = 0; k < n; k++) {
		size_t at = strlen(text);
		const char *w = rng_one_in(r, 3) ? RNG_PICK(r, words) : "mod";

		snprintf(text + at, size - at, "%s%s", k ? "," : "", w);
	}
	if (rng_one_in(r, 10)) { /* strings too long for any area */
		size_t at = strlen(text), more = rng_below(r, size - at);

		memset(text + at, 'x', more);
		text[at] = ' ';
		text[at + more] = 0;
	}
	cfg->initrd = text;
}

/* ---- what was left behind ---- */

static unsigned open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static unsigned mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned n = 0;
	int c;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

static void check_left_behind(void)
{
	static unsigned cases, fds, maps, heap;

#ifdef __SANITIZE_ADDRESS__ /* has its own mappings and its own way to find leaks */
	return;
#endif
	if (++cases % 200)
		return;
	unsigned f = open_files(), m = mappings(), h = (unsigned)(mallinfo2().uordblks >> 10);
	if (fds && (f > fds || m > maps + 16 || h > heap + 256))
		fuzz_fail("left behind: %u of %u files, %u of %u mappings, %u of %u KiB", f, fds, m, maps, h, heap);
	if (!fds)
		fds = f, maps = m, heap = h;
}

/* ---- one case ---- */

static void check_error(const struct err *err)
{
	size_t n = strnlen(err->text, sizeof(err->text));

	if (n == 0 || n == sizeof(err->text) || strchr(err->text, '\n'))
		fuzz_fail("not one line: %.60s", err->text);
}

static void check_loaded(struct rng *r, struct machine *m)
{
	struct stat st;
	struct err err;

	if (fstat(m->bus.memfd, &st) || (u64)st.st_size != m->bus.file_size)
		fuzz_fail("the memory file has %llu bytes instead of %llu", (unsigned long long)st.st_size,
		          (unsigned long long)m->bus.file_size);
	if (m->bus.mmio_accesses != MMIO_READS)
		fuzz_fail("the loader wrote to what is not RAM: %llu accesses",
		          (unsigned long long)m->bus.mmio_accesses);
	fuzz_check_cpu(m->cpus[0]);
	if (!rng_one_in(r, 4))
		return;
	m->cfg.max_time_ns = 20000;
	machine_run(m, 100, &err); /* whatever is there */
	m->cfg.max_time_ns = m->clock.now + 1000;
	m->cfg.no_reboot = false;
	m->reset_pending = true;
	if (machine_run(m, 10, &err) == MSTOP_INTERNAL)
		fuzz_fail("loaded once, not twice: %.100s", err.text);
}

static void one(struct rng *r)
{
	static const u64 rams[] = {1 << 20, 0x120000, 16 << 20, 64 << 20, 0x90000000, 0x180000000};
	static const char *const names[] = {"bzImage", "PVH", "Multiboot 1", "Multiboot 2"};
	static char list[200000];
	struct image *im = calloc(1, sizeof(*im));
	unsigned kind = (unsigned)rng_below(r, 4);
	struct machine_config cfg;
	struct machine *m;
	struct err err;
	u8 module[3000];

	if (!im)
		fuzz_fail("out of memory");
	rng_fill(r, module, sizeof(module));
	fuzz_config(&cfg, "plain", RNG_PICK(r, rams));
	if (kind == 0)
		make_linux(r, im);
	else if (kind == 1)
		make_elf(r, im, true);
	else if (kind == 2)
		make_multiboot1(r, im);
	else
		make_multiboot2(r, im);
	spoil(r, im);
	fuzz_file("kernel", im->d, im->n);
	fuzz_file("mod", module, rng_below(r, sizeof(module)));
	fuzz_file("empty", NULL, 0);
	fuzz_file("big", im, sizeof(*im));
	free(im);
	make_list(r, &cfg, list, rng_one_in(r, 20) ? sizeof(list) : 3000);
	if (rng_one_in(r, 2))
		cfg.append = list;
	const struct alloc_knob knob = {.fail_at = rng_one_in(r, 8) ? 1 + rng_below(r, 120) : 0};
	base_alloc_knob(&knob);
	enum status s = machine_create(&m, &cfg, &err);
	base_alloc_knob(NULL);
	if (s != ST_OK && s != ST_ARG && !(s == ST_NOMEM && knob.fail_at))
		fuzz_fail("status %d: %.100s", (int)s, err.text);
	fuzz_count(names[kind]);
	fuzz_count(s == ST_OK ? "loaded" : s == ST_NOMEM ? "out of memory" : "refused");
	if (s == ST_OK)
		check_loaded(r, m);
	else
		check_error(&err);
	machine_destroy(s == ST_OK ? m : NULL);
	check_left_behind();
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, "fuzz-loaders", one);
}
