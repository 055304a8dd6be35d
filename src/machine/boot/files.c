/* What comes with a kernel: the command line, the initial RAM disk, modules. */
#include "machine/boot/boot.h"

#include <stdio.h>

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
