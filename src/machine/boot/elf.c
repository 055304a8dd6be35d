#include "machine/boot/boot.h"

/* The few fields of ELF that matter, at their offsets: "Object Files", System V ABI, for both classes. */
enum { PT_LOAD = 1, PT_NOTE = 4, EM_386 = 3, EM_X86_64 = 62 };

struct segment {
	u32 type;
	u64 offset, vaddr, paddr, filesz, memsz;
};

bool elf_is(const struct os_file *f)
{
	return f->size >= 52 && !memcmp(f->data, "\177ELF", 4);
}

bool elf_is64(const struct os_file *f)
{
	return elf_is(f) && f->data[4] == 2;
}

static bool header_complete(const struct os_file *f)
{
	return f->size >= (elf_is64(f) ? 64u : 52u);
}

static unsigned phnum(const struct os_file *f)
{
	return get16(f->data + (elf_is64(f) ? 56 : 44));
}

/* false: the header table does not lie inside the file. */
static bool segment(const struct os_file *f, unsigned i, struct segment *s)
{
	bool wide = elf_is64(f);
	u64 table = wide ? get64(f->data + 32) : get32(f->data + 28);
	u64 size = get16(f->data + (wide ? 54 : 42)), at = table + i * size;

	if (size < (wide ? 56u : 32u) || at < table || at > f->size || f->size - at < size)
		return false;
	const u8 *p = f->data + at;
	if (wide)
		*s = (struct segment){get32(p),      get64(p + 8),  get64(p + 16),
		                      get64(p + 24), get64(p + 32), get64(p + 40)};
	else
		*s = (struct segment){get32(p),      get32(p + 4),  get32(p + 8),
		                      get32(p + 12), get32(p + 16), get32(p + 20)};
	return true;
}

static bool inside_file(const struct os_file *f, const struct segment *s)
{
	return s->offset <= f->size && s->filesz <= f->size - s->offset;
}

const u8 *elf_note(const struct os_file *f, const char *name, u32 type, u32 *size)
{
	u32 want = (u32)strlen(name) + 1;
	struct segment s;

	if (!elf_is(f) || !header_complete(f))
		return NULL;
	for (unsigned i = 0; i < phnum(f); i++) {
		if (!segment(f, i, &s) || s.type != PT_NOTE || !inside_file(f, &s))
			continue;
		const u8 *p = f->data + s.offset;
		u64 left = s.filesz;
		while (left >= 12) {
			u64 n = get32(p), d = get32(p + 4), whole = 12 + ((n + 3) & ~3ull) + ((d + 3) & ~3ull);
			const u8 *desc = p + 12 + ((n + 3) & ~3ull);
			if (12 + ((n + 3) & ~3ull) + d > left)
				break;
			if (get32(p + 8) == type && n == want && !memcmp(p + 12, name, want)) {
				*size = (u32)d;
				return desc;
			}
			if (whole >= left)
				break;
			p += whole;
			left -= whole;
		}
	}
	return NULL;
}

static enum status check_header(const struct boot *b, struct err *err)
{
	const struct os_file *f = &b->kernel;

	if (!header_complete(f))
		return err_set(err, ST_ARG, "%s: truncated: the ELF header is not complete", b->path);
	if (f->data[5] != 1 || (f->data[4] != 1 && f->data[4] != 2))
		return err_set(err, ST_ARG, "%s: not a little-endian ELF", b->path);
	u16 machine = get16(f->data + 18);
	if (machine != EM_386 && machine != EM_X86_64)
		return err_set(err, ST_ARG, "%s: ELF for machine type %u, not x86", b->path, machine);
	if (!phnum(f))
		return err_set(err, ST_ARG, "%s: ELF without program headers (an object file?)", b->path);
	return ST_OK;
}

static enum status load_segment(struct boot *b, const struct segment *s, struct err *err)
{
	if (!inside_file(&b->kernel, s))
		return err_set(err, ST_ARG, "%s: truncated: a segment needs bytes 0x%llx..0x%llx of a file of 0x%llx",
		               b->path, (unsigned long long)s->offset, (unsigned long long)(s->offset + s->filesz),
		               (unsigned long long)b->kernel.size);
	if (s->memsz < s->filesz)
		return err_set(err, ST_ARG, "%s: a segment is larger in the file than in memory", b->path);
	enum status st = boot_claim(b, s->paddr, s->memsz, "an ELF segment", err);
	if (st != ST_OK)
		return st;
	boot_copy(b, s->paddr, b->kernel.data + s->offset, s->filesz);
	boot_zero(b, s->paddr + s->filesz, s->memsz - s->filesz);
	b->kernel_base = min_u64(b->kernel_base, s->paddr);
	b->kernel_end = max_u64(b->kernel_end, s->paddr + s->memsz);
	return ST_OK;
}

/* The entry point is a virtual address where the segment it lies in has one; loaders enter with paging off. */
static u64 physical_entry(u64 entry, const struct segment *s, u64 found)
{
	if (s->vaddr != s->paddr && entry >= s->vaddr && entry - s->vaddr < s->memsz)
		return s->paddr + (entry - s->vaddr);
	return found;
}

enum status elf_load(struct boot *b, struct err *err)
{
	enum status st = check_header(b, err);
	bool wide = elf_is64(&b->kernel);

	if (st != ST_OK)
		return st;
	u64 entry = wide ? get64(b->kernel.data + 24) : get32(b->kernel.data + 24);
	b->entry = entry;
	b->kernel_base = ~0ull;
	for (unsigned i = 0; i < phnum(&b->kernel); i++) {
		struct segment s;
		if (!segment(&b->kernel, i, &s))
			return err_set(err, ST_ARG, "%s: truncated: program header %u lies outside the file", b->path,
			               i);
		if (s.type != PT_LOAD || !s.memsz)
			continue;
		st = load_segment(b, &s, err);
		if (st != ST_OK)
			return st;
		b->entry = physical_entry(entry, &s, b->entry);
	}
	if (!b->kernel_end)
		return err_set(err, ST_ARG, "%s: ELF without a loadable segment", b->path);
	return ST_OK;
}
