/* What the files of symbols/ know of each other. elf.c: an ELF's tables; pe.c: a PE as an ELF; object.c: an object as if linked; lines.c: DWARF;
 * kallsyms.c: a Linux kernel's names in its memory; symbols.c: the questions. */
#ifndef SYMBOLS_PARTS_H
#define SYMBOLS_PARTS_H

#include <elf.h>

#include "base/os.h"
#include "symbols/symbols.h"

#define SEGMENTS 16

struct symbol {
	u64 value, size, end; /* end: of its section */
	const char *name;
	u8 type, global;
};

struct symbols {
	struct os_file f;
	u8 *made; /* what pe.c or symbols_of_names() made; NULL: nothing */
	const u8 *data; /* the ELF */
	u64 size;
	bool wide, object;
	struct symbol *sym;
	size_t n;
	struct segment {
		u64 vaddr, paddr, size, offset, filed, align;
	} seg[SEGMENTS];
	unsigned segs;
	struct {
		u64 vaddr, n;
		const u8 *bytes;
	} anchor;
	struct elfutils *elfutils; /* once lines were asked for */
	void *elf, *dwarf;
};

/* ---- elf.c: fills what is there ---- */
void elf_read(struct symbols *s);
void symbols_sort(struct symbols *s);

/* ---- pe.c: an ELF with the sections, the symbols and the DWARF of a PE. NULL: not a PE, or out of memory. ---- */
u8 *pe_as_elf(const u8 *data, u64 size, u64 *elf_size);

/* ---- object.c: an ELF whose sections are there, without sections all apart. NULL: no such object, or out of memory. ---- */
u8 *object_as_elf(const u8 *data, u64 size, const struct symbols_section *at, size_t n);
bool object_has(const u8 *data, u64 size, const char *name); /* a section that is loaded */

/* ---- lines.c ---- */
bool lines_open(struct symbols *s); /* false: no DWARF */
void lines_close(struct symbols *s);

#endif
