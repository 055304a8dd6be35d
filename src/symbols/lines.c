/* Source lines, by elfutils' libdw; opened when somebody asks for the first time. */
#include <dwarf.h>
#include <stdio.h>
#include <stdlib.h>

#include "symbols/elfutils.h"
#include "symbols/parts.h"

bool lines_open(struct symbols *s)
{
	if (s->dwarf)
		return true;
	if (s->elf || !s->data)
		return false;
	if (!s->elfutils)
		s->elfutils = elfutils_load();
	if (!s->elfutils)
		return false;
	s->elfutils->elf_version(EV_CURRENT);
	/* libelf's memory is for reading and writing; with ELF_C_READ it only reads. */
	s->elf = s->elfutils->elf_memory((char *)(uintptr_t)s->data, s->size);
	s->dwarf = s->elf ? s->elfutils->dwarf_begin_elf(s->elf, DWARF_C_READ, NULL) : NULL;
	return s->dwarf != NULL;
}

void lines_close(struct symbols *s)
{
	if (s->dwarf)
		s->elfutils->dwarf_end(s->dwarf);
	if (s->elf)
		s->elfutils->elf_end(s->elf);
	elfutils_unload(s->elfutils);
}

/* The compilation unit of an address: by .debug_aranges, which not every compiler writes, or one by one. */
static Dwarf_Die *unit_of(const struct elfutils *u, Dwarf *d, u64 vaddr, Dwarf_Die *die)
{
	size_t header;
	Dwarf_Off next;

	if (u->dwarf_addrdie(d, vaddr, die))
		return die;
	for (Dwarf_Off at = 0; u->dwarf_nextcu(d, at, &next, &header, NULL, NULL, NULL) == 0; at = next)
		if (u->dwarf_offdie(d, at + header, die) && u->dwarf_haspc(die, vaddr) == 1)
			return die;
	return NULL;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Where one inlined call stands; NULL: `scope` is none. */
static const char *call_site(const struct elfutils *u, Dwarf_Files *files, Dwarf_Die *scope, Dwarf_Word *line)
{
	Dwarf_Attribute attr;
	Dwarf_Word file;

	if (u->dwarf_tag(scope) != DW_TAG_inlined_subroutine ||
	    u->dwarf_formudata(u->dwarf_attr(scope, DW_AT_call_line, &attr), line) ||
	    u->dwarf_formudata(u->dwarf_attr(scope, DW_AT_call_file, &attr), &file))
		return NULL;
	return u->dwarf_filesrc(files, file, NULL, NULL);
}

/* " (from 271, vmcs.c:405)": a line of a function that was built into others says little without those that call it. */
static void add_callers(const struct elfutils *u, Dwarf_Die *unit, u64 vaddr, const char *here, char *out, size_t len)
{
	Dwarf_Files *files;
	Dwarf_Die *inner = NULL, *scopes = NULL;
	Dwarf_Word line;
	size_t room, n = 0;
	int count = 0;

	/* The scopes of the source end at the inlined function; those of the code go on to its callers. */
	if (!u->dwarf_getsrcfiles(unit, &files, &room) && u->dwarf_getscopes(unit, vaddr, &inner) > 0)
		count = u->dwarf_getscopes_die(inner, &scopes);
	for (int k = 0; k < count && n + 24 < len; k++) {
		const char *file = call_site(u, files, &scopes[k], &line);

		if (!file)
			continue;
		bool same = !strcmp(base_name(file), here);
		n += (size_t)snprintf(out + n, len - n, "%s%s%s%u", n ? ", " : " (from ", same ? "" : base_name(file),
		                      same ? "" : ":", (unsigned)line);
	}
	if (n && n + 1 < len)
		snprintf(out + n, len - n, ")");
	free(scopes);
	free(inner);
}

bool symbols_line(struct symbols *s, u64 vaddr, char *out, size_t len)
{
	const struct elfutils *u;
	Dwarf_Die die;
	Dwarf_Line *line;
	int number;

	if (!lines_open(s))
		return false;
	u = s->elfutils;
	if (!unit_of(u, s->dwarf, vaddr, &die) || !(line = u->dwarf_getsrc_die(&die, vaddr)) ||
	    u->dwarf_lineno(line, &number) || !number)
		return false;
	const char *path = u->dwarf_linesrc(line, NULL, NULL);
	if (!path)
		return false;
	int n = snprintf(out, len, "%s:%d", base_name(path), number);
	if (n > 0 && (size_t)n < len)
		add_callers(u, &die, vaddr, base_name(path), out + n, len - (size_t)n);
	return true;
}
