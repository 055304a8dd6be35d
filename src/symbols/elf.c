/* The tables of an ELF: loaded segments, symbols, and what identifies it. What is missing or lies outside the file is not
 * there. */
#include <stdlib.h>

#include "symbols/parts.h"

/* An unsigned field of 2, 4 or 8 bytes; 0 outside the file, which is what a missing table looks like. */
static u64 field(const struct symbols *s, u64 at, unsigned size)
{
	u64 v = 0;

	if (at <= s->size && size <= s->size - at)
		memcpy(&v, s->data + at, size);
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
		s->seg[s->segs++] = (struct segment){
		        .offset = word(s, at, 4, 8),
		        .vaddr = word(s, at, 8, 16),
		        .paddr = word(s, at, 12, 24),
		        .filed = word(s, at, 16, 32),
		        .size = word(s, at, 20, 40),
		        .align = word(s, at, 28, 48),
		};
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

	if (off >= strings->size || at < off || at >= s->size)
		return NULL;
	u64 room = min_u64(strings->size - off, s->size - at);
	const char *p = (const char *)s->data + at;
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

void symbols_sort(struct symbols *s)
{
	qsort(s->sym, s->n, sizeof(*s->sym), by_value);
}

static void read_symbols(struct symbols *s)
{
	for (u64 k = 0; k < field(s, s->wide ? 60 : 48, 2); k++) {
		struct section table = section(s, k);
		u64 entry = s->wide ? 24 : 16;
		if (table.type != SHT_SYMTAB || table.entry != entry || table.offset > s->size)
			continue;
		struct section strings = section(s, table.link);
		u64 n = min_u64(table.size, s->size - table.offset) / entry;
		s->sym = base_alloc(n * sizeof(*s->sym));
		for (u64 j = 0; s->sym && j < n; j++)
			add_symbol(s, table.offset + j * entry, &strings);
		if (s->sym)
			symbols_sort(s);
		return;
	}
}

/* ---- what tells this image from another one ---- */

/* What lies in the file for an address range. NULL: not all of it does. */
static const u8 *filed(const struct symbols *s, u64 vaddr, u64 n)
{
	for (unsigned k = 0; k < s->segs; k++) {
		const struct segment *g = &s->seg[k];
		u64 at = vaddr - g->vaddr;

		if (at < g->filed && n <= g->filed - at && g->offset <= s->size && at + n <= s->size - g->offset)
			return s->data + g->offset + at;
	}
	return NULL;
}

static void set_anchor(struct symbols *s, u64 vaddr, const u8 *bytes, u64 n)
{
	s->anchor.vaddr = vaddr;
	s->anchor.bytes = bytes;
	s->anchor.n = n;
}

/* A build id among the notes of one section: "GNU", type 3. */
static void find_build_id(struct symbols *s, const struct section *notes)
{
	for (u64 at = 0; at + 12 <= notes->size;) {
		u64 p = notes->offset + at, name = field(s, p, 4), size = field(s, p + 4, 4);
		u64 whole = 12 + ((name + 3) & ~3ull) + ((size + 3) & ~3ull);

		if (name == 4 && field(s, p + 8, 4) == 3 && field(s, p + 12, 4) == 0x554e47 && size <= 64) {
			if (p <= s->size && whole <= s->size - p)
				set_anchor(s, notes->addr + at, s->data + p, whole);
			return;
		}
		at += whole;
	}
}

/* Linux's; a separate file of debug information has it as an address without content. */
static void find_banner(struct symbols *s)
{
	u64 at;

	if (symbols_find(s, "linux_banner", &at)) {
		const u8 *text = filed(s, at, 64);
		if (text)
			set_anchor(s, at, text, strnlen((const char *)text, 64));
	}
}

static void find_anchor(struct symbols *s)
{
	for (u64 k = 0; k < field(s, s->wide ? 60 : 48, 2) && !s->anchor.n; k++) {
		struct section notes = section(s, k);
		if (notes.type == SHT_NOTE && notes.addr)
			find_build_id(s, &notes);
	}
	if (!s->anchor.n)
		find_banner(s);
}

void elf_read(struct symbols *s)
{
	if (s->size < 52 || memcmp(s->data, "\177ELF", 4) != 0)
		return;
	s->wide = s->data[4] == 2;
	read_segments(s);
	read_symbols(s);
	find_anchor(s);
}
