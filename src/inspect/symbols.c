/*
 * Names of addresses, from the symbol table of the ELF that was given as kernel. "Symbol Table", System V ABI. The
 * nearest symbol below an address names it, as long as the address lies in the section of that symbol.
 */
#include "base/os.h"
#include "inspect/parts.h"

#include <inttypes.h>
#include <stdlib.h>

enum { SHT_SYMTAB = 2, STT_NOTYPE = 0, STT_OBJECT = 1, STT_FUNC = 2, PT_LOAD = 1, SHN_ABS = 0xfff1 };
#define SEGMENTS 16

struct symbol {
	u64 value, size, end; /* end: of its section */
	const char *name;
	u8 type, global;
};

struct symbols {
	struct os_file f;
	bool wide;
	struct symbol *sym;
	size_t n;
	struct {
		u64 vaddr, paddr, size;
	} seg[SEGMENTS];
	unsigned segs;
};

/* An unsigned field of 2, 4 or 8 bytes; 0 outside the file, which is what a missing table looks like. */
static u64 field(const struct symbols *s, u64 at, unsigned size)
{
	u64 v = 0;

	if (at <= s->f.size && size <= s->f.size - at)
		memcpy(&v, s->f.data + at, size);
	return v;
}

/* A word at either class's offset. */
static u64 word(const struct symbols *s, u64 at, unsigned off32, unsigned off64)
{
	return s->wide ? field(s, at + off64, 8) : field(s, at + off32, 4);
}

static void read_segments(struct symbols *s)
{
	u64 table = word(s, 0, 28, 32), entry = field(s, s->wide ? 54 : 42, 2), n = field(s, s->wide ? 56 : 44, 2);

	for (u64 k = 0; k < n && s->segs < SEGMENTS; k++) {
		u64 at = table + k * entry;
		if (field(s, at, 4) != PT_LOAD)
			continue;
		s->seg[s->segs].vaddr = word(s, at, 8, 16);
		s->seg[s->segs].paddr = word(s, at, 12, 24);
		s->seg[s->segs++].size = word(s, at, 20, 40);
	}
}

struct section {
	u64 type, addr, offset, size, link, entry;
};

static struct section section(const struct symbols *s, u64 n)
{
	u64 at = word(s, 0, 32, 40) + n * field(s, s->wide ? 58 : 46, 2);

	if (n >= field(s, s->wide ? 60 : 48, 2))
		return (struct section){0};
	return (struct section){
	        .type = field(s, at + 4, 4),
	        .addr = word(s, at, 12, 16),
	        .offset = word(s, at, 16, 24),
	        .size = word(s, at, 20, 32),
	        .link = field(s, at + (s->wide ? 40 : 24), 4),
	        .entry = word(s, at, 36, 56),
	};
}

/* A name inside the string table, NULL if it does not end there or is empty. */
static const char *string(const struct symbols *s, const struct section *strings, u64 off)
{
	u64 at = strings->offset + off;

	if (off >= strings->size || at < off || at >= s->f.size)
		return NULL;
	u64 room = min_u64(strings->size - off, s->f.size - at);
	const char *p = (const char *)s->f.data + at;
	return *p && memchr(p, 0, room) ? p : NULL;
}

static void add_symbol(struct symbols *s, u64 at, const struct section *strings)
{
	u8 info = (u8)field(s, at + (s->wide ? 4 : 12), 1), type = info & 15;
	u64 index = field(s, at + (s->wide ? 6 : 14), 2);
	const char *name = string(s, strings, field(s, at, 4));

	if (!name || !index || (type != STT_NOTYPE && type != STT_OBJECT && type != STT_FUNC))
		return;
	struct section in = index < SHN_ABS ? section(s, index) : (struct section){0};
	if (!in.type)
		return;
	s->sym[s->n++] = (struct symbol){
	        .value = word(s, at, 4, 8),
	        .size = word(s, at, 8, 16),
	        .end = in.addr + in.size,
	        .name = name,
	        .type = type,
	        .global = info >> 4 != 0,
	};
}

/* By address; where several share one, the best name comes last: functions, then symbols with a size, then global ones.
 */
static int rank(const struct symbol *s)
{
	return (s->type == STT_FUNC) * 4 + (s->size != 0) * 2 + s->global;
}

static int by_value(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	int r = rank(x) - rank(y);
	return r ? r : strcmp(y->name, x->name);
}

static bool read_symbols(struct symbols *s)
{
	for (u64 k = 0; k < field(s, s->wide ? 60 : 48, 2); k++) {
		struct section table = section(s, k);
		u64 entry = s->wide ? 24 : 16;
		if (table.type != SHT_SYMTAB || table.entry != entry || table.offset > s->f.size)
			continue;
		struct section strings = section(s, table.link);
		u64 n = min_u64(table.size, s->f.size - table.offset) / entry;
		s->sym = base_alloc(n * sizeof(*s->sym));
		for (u64 j = 0; s->sym && j < n; j++)
			add_symbol(s, table.offset + j * entry, &strings);
		if (s->sym)
			qsort(s->sym, s->n, sizeof(*s->sym), by_value);
		return s->n != 0;
	}
	return false;
}

struct symbols *symbols_open(const char *path)
{
	struct symbols *s = base_alloc(sizeof(*s));
	struct err err;

	if (!s)
		return NULL;
	if (os_file_map(&s->f, path, &err) != ST_OK) {
		base_free(s);
		return NULL;
	}
	if (s->f.size >= 52 && !memcmp(s->f.data, "\177ELF", 4)) {
		s->wide = s->f.data[4] == 2;
		read_segments(s);
		if (read_symbols(s))
			return s;
	}
	symbols_close(s);
	return NULL;
}

void symbols_close(struct symbols *s)
{
	if (!s)
		return;
	os_file_unmap(&s->f);
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
