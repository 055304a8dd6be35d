/*
 * Questions about a file's symbols. The nearest symbol below an address names it, as long as the address lies in the
 * section of that symbol.
 */
#include "symbols/parts.h"

#include <inttypes.h>
#include <stdio.h>

/* A PE and an object as a linked ELF. */
static void link_file(struct symbols *s, const struct symbols_section *at, size_t n)
{
	if (s->size > 2 && !memcmp(s->data, "MZ", 2)) {
		s->made = pe_as_elf(s->f.data, s->f.size, &s->size);
	} else {
		s->made = object_as_elf(s->f.data, s->f.size, at, n);
		s->object = s->made != NULL;
	}
	if (s->made)
		s->data = s->made;
}

/* Sections that the file does not have. */
static enum status check_sections(const struct symbols *s, const char *path, const struct symbols_section *at, size_t n,
                                  struct err *err)
{
	for (size_t k = 0; k < n; k++) {
		if (!s->object && strcmp(at[k].name, ".text") != 0)
			return err_set(err, ST_ARG, "%s: %s=: only the sections of a relocatable object are told one by one", path, at[k].name);
		if (s->object && !object_has(s->f.data, s->f.size, at[k].name))
			return err_set(err, ST_ARG, "%s: has no section %s", path, at[k].name);
	}
	return ST_OK;
}

enum status symbols_open(struct symbols **out, const char *path, const struct symbols_section *at, size_t n, struct err *err)
{
	struct symbols *s = base_alloc(sizeof(*s));

	*out = NULL;
	if (!s)
		return err_set(err, ST_NOMEM, "out of memory");
	enum status st = os_file_map(&s->f, path, err);
	if (st != ST_OK) {
		base_free(s);
		return st;
	}
	s->data = s->f.data;
	s->size = s->f.size;
	link_file(s, at, n);
	st = check_sections(s, path, at, n, err);
	if (st != ST_OK) {
		symbols_close(s);
		return st;
	}
	bool elf = s->size > 4 && !memcmp(s->data, "\177ELF", 4);
	elf_read(s);
	if (s->n || (elf && lines_open(s))) {
		*out = s;
		return ST_OK;
	}
	symbols_close(s);
	return err_set(err, ST_ARG, elf ? "%s: has no symbols and no DWARF" : "%s: neither an ELF nor a PE file", path);
}

struct symbols *symbols_of_names(const struct symbol_name *names, size_t n, u64 end)
{
	struct symbols *s = base_alloc(sizeof(*s));
	size_t room = 0, used = 0;

	for (size_t k = 0; k < n; k++)
		room += strlen(names[k].name) + 1;
	if (s) {
		s->made = base_alloc(room);
		s->sym = base_alloc(n * sizeof(*s->sym));
	}
	if (!s || !s->made || !s->sym) {
		symbols_close(s);
		return NULL;
	}
	for (size_t k = 0; k < n; k++) {
		char *copy = (char *)s->made + used;

		used += strlen(names[k].name) + 1;
		strcpy(copy, names[k].name);
		s->sym[s->n++] = (struct symbol){
		        .value = names[k].value,
		        .size = names[k].size,
		        .end = end,
		        .name = copy,
		        .type = names[k].code ? STT_FUNC : STT_NOTYPE,
		};
	}
	symbols_sort(s);
	return s;
}

void symbols_close(struct symbols *s)
{
	if (!s)
		return;
	lines_close(s);
	os_file_unmap(&s->f);
	base_free(s->made);
	base_free(s->sym);
	base_free(s);
}

bool symbols_name(const struct symbols *s, u64 vaddr, char *out, size_t len)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (s->sym[mid].value <= vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	/* A local label inside a function is nearer than the function: take the function, if there is one around. */
	for (size_t k = lo, tries = 0; k && tries < 16; k--, tries++) {
		const struct symbol *f = &s->sym[k - 1];
		if (f->type != STT_FUNC || vaddr - f->value >= (f->size ? f->size : 1))
			continue;
		lo = k;
		break;
	}
	if (!lo || vaddr >= s->sym[lo - 1].end)
		return false;
	u64 off = vaddr - s->sym[lo - 1].value;
	snprintf(out, len, off ? "%s+0x%" PRIx64 : "%s", s->sym[lo - 1].name, off);
	return true;
}

bool symbols_find(const struct symbols *s, const char *name, u64 *vaddr)
{
	for (size_t k = 0; k < s->n; k++) {
		if (strcmp(s->sym[k].name, name) != 0)
			continue;
		*vaddr = s->sym[k].value;
		return true;
	}
	return false;
}

bool symbols_find_only(const struct symbols *s, const char *name, u64 *vaddr)
{
	unsigned found = 0;

	for (size_t k = 0; k < s->n; k++) {
		if (strcmp(s->sym[k].name, name) != 0)
			continue;
		*vaddr = s->sym[k].value;
		found++;
	}
	return found == 1;
}

bool symbols_is_object(const struct symbols *s)
{
	return s->object;
}

bool symbols_linked(const struct symbols *s, u64 pa, u64 *vaddr)
{
	for (unsigned k = 0; k < s->segs; k++) {
		if (pa - s->seg[k].paddr >= s->seg[k].size)
			continue;
		*vaddr = s->seg[k].vaddr + (pa - s->seg[k].paddr);
		return true;
	}
	return false;
}

struct symbols_image symbols_image(const struct symbols *s)
{
	struct symbols_image i = {.first = UINT64_MAX, .align = 0x1000};

	for (unsigned k = 0; k < s->segs; k++) {
		const struct segment *g = &s->seg[k];

		if (!g->size)
			continue;
		i.first = min_u64(i.first, g->vaddr);
		if (g->vaddr + g->size > i.end)
			i.end = g->vaddr + g->size;
		if (g->align > i.align && !(g->align & (g->align - 1)))
			i.align = g->align;
	}
	return i;
}

bool symbols_anchor(const struct symbols *s, u64 *vaddr, const void **bytes, size_t *n)
{
	*vaddr = s->anchor.vaddr;
	*bytes = s->anchor.bytes;
	*n = s->anchor.n;
	return s->anchor.n != 0;
}
