#include "machine/boot/boot.h"

#include <stdio.h>

/* ---- RAM that is spoken for ---- */

static bool in_ram(const struct machine *m, u64 base, u64 end)
{
	if (end <= machine_low_ram(m))
		return true;
	return base >= MACHINE_HIGH_BASE && end - MACHINE_HIGH_BASE <= machine_high_ram(m);
}

enum status boot_claim(struct boot *b, u64 base, u64 size, const char *what, struct err *err)
{
	u64 end = base + size;

	if (end < base || !in_ram(b->m, base, end))
		return err_set(err, ST_ARG, "%s: %s at 0x%llx..0x%llx lies outside RAM (-m gives RAM up to 0x%llx)",
		               b->path, what, (unsigned long long)base, (unsigned long long)end,
		               (unsigned long long)machine_low_ram(b->m));
	for (unsigned i = 0; i < b->ranges; i++) {
		const struct boot_range *r = &b->range[i];
		if (base < r->end && r->base < end)
			return err_set(err, ST_ARG, "%s: %s at 0x%llx..0x%llx overlaps %s at 0x%llx..0x%llx", b->path,
			               what, (unsigned long long)base, (unsigned long long)end, r->what,
			               (unsigned long long)r->base, (unsigned long long)r->end);
	}
	if (b->ranges == BOOT_RANGES)
		return err_set(err, ST_ARG, "%s: more than %d segments and modules", b->path, BOOT_RANGES);
	if (size)
		b->range[b->ranges++] = (struct boot_range){base, end, what};
	return ST_OK;
}

static bool is_zero(const u8 *p, u64 n)
{
	return n == 0 || (p[0] == 0 && !memcmp(p, p + 1, n - 1));
}

/* Pieces of fresh RAM, through the memory file; zero pages are there already. */
static bool write_pieces(const struct bus *bus, u64 at, const u8 *data, u64 size)
{
	u64 start = 0, end = 0;

	for (u64 pos = 0; pos < size; pos = end) {
		end = min_u64(size, ((at + pos) & PAGE_MASK) + PAGE_SIZE - at);
		bool zero = is_zero(data + pos, end - pos);
		if (zero && pos > start && !os_write_at(bus->memfd, at + start, data + start, pos - start))
			return false;
		if (zero)
			start = end;
		else
			bus->memory_flags[(at + pos) >> PAGE_SHIFT] &= (u8)~PAGE_CLEAN;
	}
	return start == size || os_write_at(bus->memfd, at + start, data + start, size - start);
}

/* A kernel may have 64 MB of which it touches a tenth: written through the memory file, its pages are not mapped, and
 * not resident, before somebody looks at them. */
void boot_copy(struct boot *b, u64 base, const void *data, u64 size)
{
	struct bus *bus = &b->m->bus;
	u64 room;
	const u8 *host = space_memory(&bus->space[SPACE_CPU], base, USE_WRITE, &room);

	if (!b->m->loaded && size >= 16 * PAGE_SIZE && host && size <= room &&
	    write_pieces(bus, mem_place(bus, host), data, size))
		return;
	bus_write(bus, base, data, size);
}

enum status boot_put(struct boot *b, u64 base, const void *data, u64 size, const char *what, struct err *err)
{
	enum status s = boot_claim(b, base, size, what, err);

	if (s == ST_OK)
		boot_copy(b, base, data, size);
	return s;
}

/* Fresh RAM is zero already: touching it would only make it resident. */
void boot_zero(struct boot *b, u64 base, u64 size)
{
	static const u8 zero[PAGE_SIZE];
	u8 old[PAGE_SIZE];

	if (!b->m->loaded)
		return;
	while (size) {
		u64 n = min_u64(size, PAGE_SIZE - (base & (PAGE_SIZE - 1)));
		bus_read(&b->m->bus, base, old, n);
		if (memcmp(old, zero, n))
			bus_write(&b->m->bus, base, zero, n);
		base += n;
		size -= n;
	}
}

static const struct boot_range *overlap(const struct boot *b, u64 base, u64 end)
{
	for (unsigned i = 0; i < b->ranges; i++)
		if (base < b->range[i].end && b->range[i].base < end)
			return &b->range[i];
	return NULL;
}

u64 boot_place_top(const struct boot *b, u64 size, u64 limit)
{
	u64 end = min_u64(limit, machine_low_ram(b->m));

	while (end > size) {
		u64 base = (end - size) & PAGE_MASK;
		if (base < 0x100000)
			return 0;
		const struct boot_range *r = overlap(b, base, base + size);
		if (!r)
			return base;
		end = r->base;
	}
	return 0;
}

u64 boot_place_low(const struct boot *b, u64 size, u64 from)
{
	u64 base = (max_u64(from, 0x100000) + PAGE_SIZE - 1) & PAGE_MASK;

	while (base + size <= machine_low_ram(b->m)) {
		const struct boot_range *r = overlap(b, base, base + size);
		if (!r)
			return base;
		base = (r->end + PAGE_SIZE - 1) & PAGE_MASK;
	}
	return 0;
}

enum status boot_area(struct boot *b, struct err *err)
{
	u64 base = overlap(b, BOOT_AREA, BOOT_AREA + BOOT_AREA_SIZE) ? boot_place_low(b, BOOT_AREA_SIZE, b->kernel_end)
	                                                             : BOOT_AREA;

	if (!base)
		return err_set(err, ST_ARG, "%s: no room for the boot information beside the kernel; give more with -m",
		               b->path);
	b->area = base;
	b->lists = base + BOOT_LISTS;
	return boot_claim(b, base, BOOT_AREA_SIZE, "the loader's own area", err);
}

u64 boot_list(struct boot *b, const void *data, u64 size, u64 align)
{
	u64 base = (b->lists + align - 1) & ~(align - 1);

	if (base + size > b->area + BOOT_AREA_SIZE)
		return 0;
	bus_write(&b->m->bus, base, data, size);
	b->lists = base + size;
	return base;
}

/* ---- command line, initrd and modules ---- */

enum status boot_cmdline(struct boot *b, bool with_path, u64 max, u64 *address, struct err *err)
{
	const char *path = with_path ? b->path : "", *space = with_path && *b->append ? " " : "";
	u64 n = strlen(path) + strlen(space) + strlen(b->append);

	/* The area holds 64 KiB; a protocol may allow less. */
	max = min_u64(max, BOOT_LISTS - BOOT_CMDLINE - 1);
	if (n > max)
		return err_set(err, ST_ARG, "%s: the command line has %llu bytes, %s takes at most %llu",
		               b->m->cfg.append_option, (unsigned long long)n, b->path, (unsigned long long)max);
	struct bus *bus = &b->m->bus;
	u64 at = b->area + BOOT_CMDLINE;
	bus_write(bus, at, path, strlen(path));
	at += strlen(path);
	bus_write(bus, at, space, strlen(space));
	at += strlen(space);
	bus_write(bus, at, b->append, strlen(b->append) + 1);
	*address = b->area + BOOT_CMDLINE;
	return ST_OK;
}

enum status boot_initrd(struct boot *b, u64 limit, struct err *err)
{
	const char *path = b->m->cfg.initrd;
	struct os_file f;

	if (!path)
		return ST_OK;
	enum status s = os_file_map(&f, path, err);
	if (s != ST_OK)
		return err_in(err, s, b->m->cfg.initrd_option);
	u64 base = boot_place_top(b, f.size, limit);
	if (!base)
		s = err_set(err, ST_ARG, "%s: %llu bytes do not fit into RAM beside the kernel; give more with -m",
		            path, (unsigned long long)f.size);
	else
		s = boot_put(b, base, f.data, f.size, "the initrd", err);
	if (s == ST_OK)
		boot_measure_file(b, &f, "initrd");
	b->initrd_base = base;
	b->initrd_size = f.size;
	os_file_unmap(&f);
	return s;
}

static enum status one_module(struct boot *b, const char *word, size_t n, struct boot_module *mod, struct err *err)
{
	char path[4096];
	size_t k = 0;
	struct os_file f;

	while (k < n && word[k] != ' ')
		k++;
	if (k == 0 || k >= sizeof(path))
		return err_set(err, ST_ARG, "%s: module without a file name", b->m->cfg.initrd_option);
	snprintf(path, sizeof(path), "%.*s", (int)k, word);
	enum status s = os_file_map(&f, path, err);
	if (s != ST_OK)
		return err_in(err, s, b->m->cfg.initrd_option);
	mod->size = f.size;
	mod->base = boot_place_low(b, f.size, b->kernel_end);
	if (!mod->base)
		s = err_set(err, ST_ARG, "%s: %llu bytes do not fit into RAM behind the kernel; give more with -m",
		            path, (unsigned long long)f.size);
	else
		s = boot_put(b, mod->base, f.data, f.size, "a module", err);
	if (s == ST_OK)
		boot_measure_file(b, &f, "module");
	os_file_unmap(&f);
	if (s != ST_OK)
		return s;
	char *text = base_alloc(n + 1);
	if (!text)
		return err_set(err, ST_NOMEM, "out of memory");
	memcpy(text, word, n);
	mod->cmdline = boot_list(b, text, n + 1, 1);
	base_free(text);
	return mod->cmdline ? ST_OK
	                    : err_set(err, ST_ARG, "%s: the modules' strings are too long", b->m->cfg.initrd_option);
}

/* Two commas stand for one inside a name, as in every list of the command line. */
static size_t word_end(const char *p)
{
	size_t n = 0;

	while (p[n] && !(p[n] == ',' && p[n + 1] != ','))
		n += p[n] == ',' ? 2 : 1;
	return n;
}

static size_t unescape(char *out, const char *p, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		out[k++] = p[i];
		if (p[i] == ',')
			i++;
	}
	return k;
}

enum status boot_modules(struct boot *b, struct boot_module *mod, unsigned *n, struct err *err)
{
	const char *p = b->m->cfg.initrd;

	*n = 0;
	if (!p)
		return ST_OK;
	char *word = base_alloc(strlen(p) + 1);
	if (!word)
		return err_set(err, ST_NOMEM, "out of memory");
	enum status s = ST_OK;
	for (;;) {
		size_t len = word_end(p);
		if (*n == BOOT_MODULES) {
			s = err_set(err, ST_ARG, "%s: more than %d modules", b->m->cfg.initrd_option, BOOT_MODULES);
			break;
		}
		s = one_module(b, word, unescape(word, p, len), &mod[*n], err);
		if (s != ST_OK)
			break;
		++*n;
		if (!p[len])
			break;
		p += len + 1;
	}
	base_free(word);
	return s;
}

/* ---- which protocol ---- */

static const struct protocol {
	const char *name;
	bool (*is)(const struct os_file *f);
	enum status (*load)(struct boot *b, struct err *err);
} protocols[] = {
        /* A kernel that speaks several is entered by the one that asks least of the loader. */
        {"bzImage", linux_is, linux_load},
        {"PVH", pvh_is, pvh_load},
        {"Multiboot 2", multiboot2_is, multiboot2_load},
        {"Multiboot 1", multiboot1_is, multiboot1_load},
};

static enum status unknown_image(const struct boot *b, struct err *err)
{
	static const u8 gzip[] = {0x1f, 0x8b}, xz[] = {0xfd, '7', 'z'}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
	const u8 *d = b->kernel.data;
	u64 n = b->kernel.size;
	const char *packed = n > 4 && !memcmp(d, gzip, 2)   ? "gzip"
	                     : n > 4 && !memcmp(d, xz, 3)   ? "xz"
	                     : n > 4 && !memcmp(d, zstd, 4) ? "zstd"
	                                                    : NULL;

	if (packed)
		return err_set(err, ST_ARG, "%s: packed with %s; unpack it first", b->path, packed);
	if (elf_is(&b->kernel))
		return err_set(err, ST_ARG,
		               "%s: ELF without a PVH note or a Multiboot header; accepted are bzImage, ELF with "
		               "XEN_ELFNOTE_PHYS32_ENTRY, Multiboot 1 and 2",
		               b->path);
	return err_set(err, ST_ARG, "%s: not a kernel; accepted are bzImage, ELF with a PVH note, Multiboot 1 and 2",
	               b->path);
}

static enum status load_by_content(struct boot *b, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (protocols[i].is(&b->kernel))
			return protocols[i].load(b, err);
	return unknown_image(b, err);
}

enum status boot_load(struct machine *m, struct err *err)
{
	struct boot *b = base_alloc(sizeof(*b));

	if (!b)
		return err_set(err, ST_NOMEM, "out of memory");
	b->m = m;
	b->path = m->cfg.kernel;
	b->append = m->cfg.append ? m->cfg.append : "";
	enum status s = os_file_map(&b->kernel, b->path, err);
	if (s != ST_OK)
		err_in(err, s, b->m->cfg.kernel_option);
	/* Nobody's image may cover what firmware keeps. */
	if (s == ST_OK)
		s = boot_claim(b, MACHINE_EBDA, 0x100000 - MACHINE_EBDA, "the firmware area", err);
	if (s == ST_OK) {
		boot_bios_data(m);
		s = boot_measure_start(b, err);
	}
	if (s == ST_OK) {
		boot_measure_command_line(b);
		boot_measure_file(b, &b->kernel, "kernel");
		s = load_by_content(b, err);
	}
	if (s == ST_OK)
		s = boot_platform(b, err);
	boot_measure_end(b);
	os_file_unmap(&b->kernel);
	base_free(b);
	return s;
}
