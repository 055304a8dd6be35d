/*
 * What lines.c uses of elfutils. The library is loaded when lines are first asked for: with what it needs itself it
 * would be a third of the program's start.
 */
#ifndef SYMBOLS_ELFUTILS_H
#define SYMBOLS_ELFUTILS_H

#include <elfutils/libdw.h>

#include "base/base.h"

#define ELFUTILS(F)                                                                                                    \
	F(elf_version) F(elf_memory) F(elf_end) F(dwarf_begin_elf) F(dwarf_end) F(dwarf_addrdie) F(dwarf_nextcu)       \
	F(dwarf_offdie) F(dwarf_haspc) F(dwarf_tag) F(dwarf_formudata) F(dwarf_attr) F(dwarf_filesrc)                  \
	F(dwarf_getscopes) F(dwarf_getscopes_die) F(dwarf_getsrcfiles) F(dwarf_getsrc_die) F(dwarf_lineno)             \
	F(dwarf_linesrc)

struct elfutils {
	void *library;
#define MEMBER(name) __typeof__(&name) name;
	ELFUTILS(MEMBER)
#undef MEMBER
};

struct elfutils *elfutils_load(void); /* NULL: the computer does not have it */
void elfutils_unload(struct elfutils *u);

#endif
