/*
 * A relocatable object (a kernel module, what a compiler makes) as if it had been linked: in a copy, its sections have
 * addresses, its symbols are at theirs, and its DWARF says the same. Where a section is loaded, somebody says, or nobody:
 * then each has room of its own, for who asks by a symbol's name. "Relocation", System V ABI.
 */
#include <stdio.h>

#include "symbols/parts.h"

/* One ELF of 64 bits in memory that may be written. */
struct object {
	u8 *data;
	u64 size;
	Elf64_Shdr *section;
	unsigned sections;
	const char *names; /* of sections; they end inside the file */
	u64 names_size;
};

/* NULL: not all of it is in the file. */
static void *inside(const struct object *o, u64 at, u64 n)
{
	return at <= o->size && n <= o->size - at ? o->data + at : NULL;
}

static bool open_object(struct object *o)
{
	const Elf64_Ehdr *h = inside(o, 0, sizeof(*h));

	if (!h || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_type != ET_REL ||
	    h->e_machine != EM_X86_64 || h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shoff % 8)
		return false;
	o->sections = h->e_shnum;
	o->section = inside(o, h->e_shoff, (u64)o->sections * sizeof(Elf64_Shdr));
	if (!o->section || h->e_shstrndx >= o->sections)
		return false;
	const Elf64_Shdr *s = &o->section[h->e_shstrndx];
	o->names = inside(o, s->sh_offset, s->sh_size);
	o->names_size = s->sh_size;
	return o->names && s->sh_size && !o->names[s->sh_size - 1];
}

static const char *section_name(const struct object *o, const Elf64_Shdr *s)
{
	return s->sh_name < o->names_size ? o->names + s->sh_name : "";
}

/* What is nowhere, and DWARF that would have to be unpacked first, is taken out. */
static void place_sections(struct object *o, const struct symbols_section *at, size_t n)
{
	for (unsigned k = 0; k < o->sections; k++) {
		Elf64_Shdr *s = &o->section[k];
		bool placed = !n;

		s->sh_addr = n ? 0 : (u64)(k + 1) << 32;
		for (size_t j = 0; j < n; j++) {
			if (strcmp(section_name(o, s), at[j].name) != 0)
				continue;
			s->sh_addr = at[j].at;
			placed = true;
		}
		if (s->sh_flags & SHF_ALLOC ? !placed : s->sh_flags & SHF_COMPRESSED)
			s->sh_type = SHT_NULL;
		if (!(s->sh_flags & SHF_ALLOC))
			s->sh_addr = 0;
	}
}

/* Symbols of one table, in memory; NULL: it is none. */
static Elf64_Sym *symbol_table(const struct object *o, u64 section, u64 *count)
{
	const Elf64_Shdr *s = section < o->sections ? &o->section[section] : NULL;

	*count = s ? s->sh_size / sizeof(Elf64_Sym) : 0;
	return s && s->sh_type == SHT_SYMTAB && !(s->sh_offset % 8) ? inside(o, s->sh_offset, s->sh_size) : NULL;
}

static void move_symbols(struct object *o)
{
	u64 count;

	for (unsigned k = 0; k < o->sections; k++) {
		Elf64_Sym *sym = symbol_table(o, k, &count);

		for (u64 n = 0; sym && n < count; n++)
			if (sym[n].st_shndx < o->sections)
				sym[n].st_value += o->section[sym[n].st_shndx].sh_addr;
	}
}

/* What DWARF has of addresses and of its own sections; all else is code's. */
static void relocate(struct object *o, const Elf64_Shdr *s)
{
	const Elf64_Shdr *target = s->sh_info < o->sections ? &o->section[s->sh_info] : NULL;
	const Elf64_Rela *r = s->sh_offset % 8 ? NULL : inside(o, s->sh_offset, s->sh_size);
	u64 count;
	const Elf64_Sym *sym = symbol_table(o, s->sh_link, &count);

	if (!target || !r || !sym || target->sh_flags & SHF_ALLOC || target->sh_type != SHT_PROGBITS)
		return;
	for (u64 n = 0; n < s->sh_size / sizeof(*r); n++) {
		unsigned type = (unsigned)ELF64_R_TYPE(r[n].r_info);
		unsigned size = type == R_X86_64_64 ? 8 : type == R_X86_64_32 || type == R_X86_64_32S ? 4 : 0;
		u64 which = ELF64_R_SYM(r[n].r_info), at = r[n].r_offset;

		if (!size || which >= count || at > target->sh_size || size > target->sh_size - at)
			continue;
		u64 value = sym[which].st_value + (u64)r[n].r_addend;
		void *p = inside(o, target->sh_offset + at, size);
		if (p)
			memcpy(p, &value, size);
	}
}

bool object_has(const u8 *data, u64 size, const char *name)
{
	struct object o = {.data = (u8 *)(uintptr_t)data, .size = size};

	for (unsigned k = 0; open_object(&o) && k < o.sections; k++)
		if ((o.section[k].sh_flags & SHF_ALLOC) && !strcmp(section_name(&o, &o.section[k]), name))
			return true;
	return false;
}

u8 *object_as_elf(const u8 *data, u64 size, const struct symbols_section *at, size_t n)
{
	struct object o = {.data = (u8 *)(uintptr_t)data, .size = size};
	const u16 linked = ET_EXEC;

	if (!open_object(&o) || !(o.data = base_alloc(size)))
		return NULL;
	memcpy(o.data, data, size);
	open_object(&o);
	place_sections(&o, at, n);
	move_symbols(&o);
	for (unsigned k = 0; k < o.sections; k++)
		if (o.section[k].sh_type == SHT_RELA)
			relocate(&o, &o.section[k]);
	memcpy(o.data + offsetof(Elf64_Ehdr, e_type), &linked, sizeof(linked));
	return o.data;
}
