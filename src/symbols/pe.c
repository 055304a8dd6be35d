/*
 * A PE file (an UEFI application, what mingw links) as an ELF in memory, so that one reader serves both: its sections,
 * empty but for DWARF, and its COFF symbols at the addresses that it is linked for. "PE Format", "COFF Symbol Table".
 */
#include <stdio.h>
#include <stdlib.h>

#include "symbols/parts.h"

#define PE_SECTIONS 96

struct pe {
	const u8 *data;
	u64 size;
	u64 header, base, image; /* of the COFF header; ImageBase and SizeOfImage */
	u64 sections, table;     /* where the section headers are */
	u64 symbols, count;      /* the symbol table; strings follow it */
};

/* An ELF that is being written; `out` NULL after memory ran out. */
struct made {
	FILE *out;
	char *text;
	size_t size;
	Elf64_Shdr sh[PE_SECTIONS + 4];
	unsigned n;
	struct made_names {
		FILE *out;
		char *text;
		size_t size;
	} names, strings; /* of sections, of symbols */
};

static u64 field(const struct pe *p, u64 at, unsigned size)
{
	u64 v = 0;

	if (at <= p->size && size <= p->size - at)
		memcpy(&v, p->data + at, size);
	return v;
}

static bool open_pe(struct pe *p)
{
	p->header = field(p, 0x3c, 4);
	if (field(p, p->header, 4) != 0x4550)
		return false;
	u64 optional = p->header + 24;
	bool plus = field(p, optional, 2) == 0x20b;
	p->base = plus ? field(p, optional + 24, 8) : field(p, optional + 28, 4);
	p->image = field(p, optional + 56, 4);
	p->sections = min_u64(field(p, p->header + 6, 2), PE_SECTIONS);
	p->table = optional + field(p, p->header + 20, 2);
	p->symbols = field(p, p->header + 12, 4);
	p->count = p->symbols < p->size ? min_u64(field(p, p->header + 16, 4), (p->size - p->symbols) / 18) : 0;
	return true;
}

/* A name of eight bytes, or one in the string table. */
static void name_at(const struct pe *p, u64 at, bool section, char out[256])
{
	u64 strings = p->symbols + p->count * 18, offset = 0;

	memset(out, 0, 256);
	if (at > p->size || p->size - at < 8)
		return;
	memcpy(out, p->data + at, 8);
	if (section && out[0] == '/')
		offset = strtoul(out + 1, NULL, 10);
	else if (!section && !field(p, at, 4))
		offset = field(p, at + 4, 4);
	if (!offset || !p->symbols || strings + offset >= p->size)
		return;
	snprintf(out, 256, "%.*s", (int)min_u64(p->size - strings - offset, 255), p->data + strings + offset);
}

static Elf64_Word add_name(struct made_names *n, const char *name)
{
	Elf64_Word at = (Elf64_Word)ftell(n->out);

	fwrite(name, 1, strlen(name) + 1, n->out);
	return at;
}

static void add_section(struct made *m, Elf64_Word name, Elf64_Shdr sh, const void *content)
{
	while (ftell(m->out) % 8)
		fputc(0, m->out);
	sh.sh_name = name;
	sh.sh_offset = (Elf64_Off)ftell(m->out);
	sh.sh_addralign = 1;
	if (content)
		fwrite(content, 1, sh.sh_size, m->out);
	m->sh[m->n++] = sh;
}

static void add_sections(struct made *m, const struct pe *p)
{
	for (u64 n = 0; n < p->sections; n++) {
		u64 at = p->table + n * 40, raw = field(p, at + 20, 4);
		u64 size = field(p, at + 8, 4), filed = field(p, at + 16, 4);
		char name[256];

		name_at(p, at, true, name);
		bool debug = !strncmp(name, ".debug", 6) && raw < p->size;
		filed = min_u64(size ? min_u64(size, filed) : filed, debug ? p->size - raw : 0);
		Elf64_Shdr sh = {
		        .sh_type = debug ? SHT_PROGBITS : SHT_NOBITS,
		        .sh_flags = debug ? 0 : SHF_ALLOC,
		        .sh_addr = debug ? 0 : p->base + field(p, at + 12, 4),
		        .sh_size = debug ? filed : size,
		};
		add_section(m, add_name(&m->names, name), sh, debug ? p->data + raw : NULL);
	}
}

enum { CLASS_EXTERNAL = 2, CLASS_STATIC = 3, CLASS_LABEL = 6 };

static void add_symbols(struct made *m, const struct pe *p)
{
	FILE *f = m->out;
	Elf64_Sym s = {0};
	char name[256];

	while (ftell(f) % 8)
		fputc(0, f);
	Elf64_Shdr sh = {.sh_type = SHT_SYMTAB, .sh_entsize = sizeof(s), .sh_addralign = 8, .sh_info = 1};
	sh.sh_offset = (Elf64_Off)ftell(f);
	fwrite(&s, sizeof(s), 1, f);
	for (u64 n = 0, step; n < p->count; n += step) {
		u64 at = p->symbols + n * 18, section = field(p, at + 12, 2), class = field(p, at + 16, 1);

		step = 1 + field(p, at + 17, 1);
		if (!section || section > p->sections ||
		    (class != CLASS_EXTERNAL && class != CLASS_STATIC && class != CLASS_LABEL))
			continue;
		name_at(p, at, false, name);
		s = (Elf64_Sym){
		        .st_name = add_name(&m->strings, name),
		        .st_info = (u8)ELF64_ST_INFO(class == CLASS_EXTERNAL ? STB_GLOBAL : STB_LOCAL,
		                                 field(p, at + 14, 2) == 0x20 ? STT_FUNC : STT_NOTYPE),
		        .st_shndx = (Elf64_Section)section,
		        .st_value = p->base + field(p, p->table + (section - 1) * 40 + 12, 4) + field(p, at + 8, 4),
		};
		if (name[0] && name[0] != '.') /* a section's own symbol names no place */
			fwrite(&s, sizeof(s), 1, f);
	}
	sh.sh_size = (Elf64_Xword)ftell(f) - sh.sh_offset;
	sh.sh_link = m->n + 1;
	sh.sh_name = add_name(&m->names, ".symtab");
	m->sh[m->n++] = sh;
}

static void add_strings(struct made *m, struct made_names *n, const char *name)
{
	Elf64_Word at = add_name(&m->names, name);

	fflush(n->out);
	add_section(m, at, (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_size = n->size}, n->text);
}

static void write_elf(struct made *m, const struct pe *p)
{
	Elf64_Ehdr h = {
	        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
	        .e_type = ET_EXEC,
	        .e_machine = EM_X86_64,
	        .e_version = EV_CURRENT,
	        .e_phoff = sizeof(h),
	        .e_ehsize = sizeof(h),
	        .e_phentsize = sizeof(Elf64_Phdr),
	        .e_phnum = 1,
	        .e_shentsize = sizeof(Elf64_Shdr),
	};
	Elf64_Phdr load = {.p_type = PT_LOAD, .p_vaddr = p->base, .p_paddr = p->base, .p_memsz = p->image};

	m->n = 1;
	add_name(&m->names, "");
	add_name(&m->strings, "");
	fwrite(&h, sizeof(h), 1, m->out);
	fwrite(&load, sizeof(load), 1, m->out);
	add_sections(m, p);
	add_symbols(m, p);
	add_strings(m, &m->strings, ".strtab");
	h.e_shstrndx = (Elf64_Half)m->n;
	add_strings(m, &m->names, ".shstrtab");
	while (ftell(m->out) % 8)
		fputc(0, m->out);
	h.e_shoff = (Elf64_Off)ftell(m->out);
	h.e_shnum = (Elf64_Half)m->n;
	fwrite(m->sh, sizeof(m->sh[0]), m->n, m->out);
	fflush(m->out);
	if (m->size >= sizeof(h))
		memcpy(m->text, &h, sizeof(h));
}

u8 *pe_as_elf(const u8 *data, u64 size, u64 *elf_size)
{
	struct pe p = {.data = data, .size = size};
	struct made m = {0};
	u8 *elf = NULL;

	if (!open_pe(&p))
		return NULL;
	m.out = open_memstream(&m.text, &m.size);
	m.names.out = open_memstream(&m.names.text, &m.names.size);
	m.strings.out = open_memstream(&m.strings.text, &m.strings.size);
	if (m.out && m.names.out && m.strings.out) {
		write_elf(&m, &p);
		*elf_size = m.size;
		elf = base_alloc(m.size);
		if (elf)
			memcpy(elf, m.text, m.size);
	}
	FILE *files[] = {m.out, m.names.out, m.strings.out};
	for (unsigned n = 0; n < ARRAY_LEN(files); n++)
		if (files[n])
			fclose(files[n]);
	free(m.text);
	free(m.names.text);
	free(m.strings.text);
	return elf;
}
