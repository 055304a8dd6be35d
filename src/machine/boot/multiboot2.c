/* "Multiboot2 Specification version 2.0": header tags in, information tags out, i386 entry. */
#include "machine/boot/boot.h"

enum {
	MB2_BOOT_MAGIC = 0x36d76289,
	MB2_SEARCH = 32768,
	/* header tags */
	HT_END = 0,
	HT_INFO_REQUEST,
	HT_ADDRESS,
	HT_ENTRY,
	HT_CONSOLE,
	HT_FRAMEBUFFER,
	HT_MODULE_ALIGN,
	HT_EFI_BS,
	HT_EFI32_ENTRY,
	HT_EFI64_ENTRY,
	HT_RELOCATABLE,
	/* information tags */
	IT_END = 0,
	IT_CMDLINE,
	IT_LOADER,
	IT_MODULE,
	IT_MEMINFO,
	IT_BOOTDEV,
	IT_MMAP,
	IT_RSDP_OLD = 14,
	IT_RSDP_NEW,
	IT_LOAD_BASE = 21,
};
#define MB2_MAGIC 0xe85250d6u

/* The information block while it is built: a byte string of 8-aligned tags. */
struct tags {
	u8 *data;
	u32 used, size;
};

static s64 find_header(const struct os_file *f)
{
	for (u64 i = 0; i + 16 <= min_u64(f->size, MB2_SEARCH); i += 8) {
		const u8 *p = f->data + i;
		if (get32(p) == MB2_MAGIC && get32(p) + get32(p + 4) + get32(p + 8) + get32(p + 12) == 0)
			return (s64)i;
	}
	return -1;
}

bool multiboot2_is(const struct os_file *f)
{
	return find_header(f) >= 0;
}

/* ---- header tags ---- */

struct request {
	bool has_address, has_entry;
	u64 header, load, load_end, bss_end, entry;
};

static bool provided(u32 info_tag)
{
	return info_tag <= IT_MODULE || info_tag == IT_MEMINFO || info_tag == IT_MMAP || info_tag == IT_RSDP_OLD ||
	       info_tag == IT_RSDP_NEW || info_tag == IT_LOAD_BASE;
}

static enum status one_tag(const struct boot *b, const u8 *p, u32 size, struct request *r, struct err *err)
{
	u16 type = get16(p);
	bool optional = get16(p + 2) & 1;

	switch (type) {
	case HT_INFO_REQUEST:
		for (u32 i = 8; i + 4 <= size; i += 4)
			if (!provided(get32(p + i)) && !optional)
				return err_set(err, ST_ARG,
				               "%s: Multiboot 2 header requires information tag %u, which this "
				               "machine does not give",
				               b->path, get32(p + i));
		return ST_OK;
	case HT_ADDRESS:
		if (size < 24)
			break;
		r->has_address = true;
		r->header = get32(p + 8);
		r->load = get32(p + 12);
		r->load_end = get32(p + 16);
		r->bss_end = get32(p + 20);
		return ST_OK;
	case HT_ENTRY:
		if (size < 12)
			break;
		r->has_entry = true;
		r->entry = get32(p + 8);
		return ST_OK;
	case HT_CONSOLE:
	case HT_FRAMEBUFFER:
	case HT_MODULE_ALIGN:
	case HT_EFI_BS:
	case HT_EFI32_ENTRY:
	case HT_EFI64_ENTRY:
	case HT_RELOCATABLE:
		/* A framebuffer is a wish; modules are page-aligned always; there is no EFI; the image goes where it
		 * says. */
		return ST_OK;
	default:
		return optional ? ST_OK
		                : err_set(err, ST_ARG, "%s: Multiboot 2 header tag %u is required and not known",
		                          b->path, type);
	}
	return err_set(err, ST_ARG, "%s: Multiboot 2 header tag %u is too short", b->path, type);
}

static enum status read_header(const struct boot *b, u64 at, struct request *r, struct err *err)
{
	const u8 *p = b->kernel.data + at;
	u64 length = get32(p + 8), pos = 16;

	if (get32(p + 4) != 0)
		return err_set(err, ST_ARG, "%s: Multiboot 2 header for architecture %u, not i386", b->path,
		               get32(p + 4));
	if (length > b->kernel.size - at)
		return err_set(err, ST_ARG, "%s: truncated Multiboot 2 header", b->path);
	while (pos + 8 <= length) {
		u32 size = get32(p + pos + 4);
		if (get16(p + pos) == HT_END)
			return ST_OK;
		if (size < 8 || size > length - pos)
			return err_set(err, ST_ARG, "%s: Multiboot 2 header tag at 0x%llx has size %u", b->path,
			               (unsigned long long)(at + pos), size);
		enum status s = one_tag(b, p + pos, size, r, err);
		if (s != ST_OK)
			return s;
		pos += (size + 7u) & ~7u;
	}
	return ST_OK;
}

/* "The address tag of Multiboot2 header": load_addr all ones means from the start of the file. */
static enum status load_addressed(struct boot *b, u64 at, const struct request *r, struct err *err)
{
	u64 load = r->load, offset = at - (r->header - load);

	if (load == 0xffffffff) {
		offset = 0;
		load = r->header - at;
	}
	if (load > r->header || offset > at)
		return err_set(err, ST_ARG, "%s: Multiboot 2 header: load_addr does not fit header_addr", b->path);
	u64 size = r->load_end ? r->load_end - load : b->kernel.size - offset;
	if ((r->load_end && r->load_end < load) || size > b->kernel.size - offset)
		return err_set(err, ST_ARG,
		               "%s: truncated: the Multiboot 2 header asks for 0x%llx bytes from offset 0x%llx",
		               b->path, (unsigned long long)size, (unsigned long long)offset);
	u64 end = max_u64(load + size, r->bss_end);
	enum status s = boot_claim(b, load, end - load, "the kernel", err);
	if (s != ST_OK)
		return s;
	boot_copy(b, load, b->kernel.data + offset, size);
	boot_zero(b, load + size, end - load - size);
	b->kernel_base = load;
	b->kernel_end = end;
	return ST_OK;
}

static enum status load_image(struct boot *b, struct err *err)
{
	struct request r = {0};
	u64 at = (u64)find_header(&b->kernel);
	enum status s = read_header(b, at, &r, err);

	if (s != ST_OK)
		return s;
	if (r.has_address && !r.has_entry)
		return err_set(err, ST_ARG, "%s: Multiboot 2 header with an address tag and no entry tag", b->path);
	if (!r.has_address && !elf_is(&b->kernel))
		return err_set(err, ST_ARG, "%s: Multiboot 2 header without addresses, and the file is not ELF",
		               b->path);
	s = r.has_address ? load_addressed(b, at, &r, err) : elf_load(b, err);
	if (s == ST_OK && r.has_entry)
		b->entry = r.entry;
	return s;
}

/* ---- information tags ---- */

/* Header and room for `size` bytes behind it; NULL: the block is full. */
static u8 *tag(struct tags *t, u32 type, u32 size)
{
	u32 whole = (8 + size + 7) & ~7u;

	if (t->size - t->used < whole)
		return NULL;
	u8 *p = t->data + t->used;
	put32(p, type);
	put32(p + 4, 8 + size);
	t->used += whole;
	return p + 8;
}

static bool tag_string(struct tags *t, u32 type, const char *a, const char *b)
{
	u32 na = (u32)strlen(a), nb = (u32)strlen(b), space = na && nb;
	u8 *p = tag(t, type, na + space + nb + 1);

	if (!p)
		return false;
	memcpy(p, a, na);
	if (space)
		p[na] = ' ';
	memcpy(p + na + space, b, nb);
	return true;
}

static bool tag_memory(const struct boot *b, struct tags *t)
{
	struct map_entry map[MAP_MAX];
	unsigned n = machine_memory_map(b->m, map);
	u8 *info = tag(t, IT_MEMINFO, 8), *p = tag(t, IT_MMAP, 8 + 24 * n);

	if (!info || !p)
		return false;
	put32(info, MACHINE_EBDA >> 10);
	put32(info + 4, (machine_low_ram(b->m) - 0x100000) >> 10);
	put32(p, 24);
	for (unsigned i = 0; i < n; i++) {
		put64(p + 8 + 24 * i, map[i].base);
		put64(p + 16 + 24 * i, map[i].size);
		put32(p + 24 + 24 * i, map[i].type);
	}
	return true;
}

static bool tag_rsdp(const struct boot *b, struct tags *t)
{
	u8 *old = tag(t, IT_RSDP_OLD, 20), *new = tag(t, IT_RSDP_NEW, 36);

	if (!old || !new)
		return false;
	bus_read(&b->m->bus, b->m->rsdp, old, 20);
	bus_read(&b->m->bus, b->m->rsdp, new, 36);
	return true;
}

static bool tag_module(const struct boot *b, struct tags *t, const struct boot_module *m)
{
	char text[1024];
	u64 n = 0;

	do
		bus_read(&b->m->bus, m->cmdline + n, &text[n], 1);
	while (text[n] && ++n < sizeof(text) - 1);
	u8 *p = tag(t, IT_MODULE, 8 + (u32)n + 1);
	if (!p)
		return false;
	put32(p, m->base);
	put32(p + 4, m->base + m->size);
	memcpy(p + 8, text, n);
	return true;
}

static enum status build_info(struct boot *b, struct tags *t, struct err *err)
{
	struct boot_module mod[BOOT_MODULES];
	unsigned n;
	enum status s = boot_modules(b, mod, &n, err);
	bool ok = tag_string(t, IT_CMDLINE, b->path, b->append) && tag_string(t, IT_LOADER, "turnstile", "");

	if (s != ST_OK)
		return s;
	for (unsigned i = 0; i < n && ok; i++)
		ok = tag_module(b, t, &mod[i]);
	ok = ok && tag_memory(b, t) && tag_rsdp(b, t);
	u8 *base = tag(t, IT_LOAD_BASE, 4);
	if (!ok || !base || !tag(t, IT_END, 0))
		return err_set(err, ST_ARG, "%s: command line and modules' strings are too long for Multiboot 2",
		               b->path);
	put32(base, b->kernel_base);
	put32(t->data, t->used);
	return ST_OK;
}

enum status multiboot2_load(struct boot *b, struct err *err)
{
	struct tags t = {.used = 8, .size = 0x18000};
	enum status s = load_image(b, err);

	if (s == ST_OK)
		s = boot_entry32(b, err);
	if (s == ST_OK)
		s = boot_area(b, err);
	if (s != ST_OK)
		return s;
	t.data = base_alloc(t.size);
	if (!t.data)
		return err_set(err, ST_NOMEM, "out of memory");
	s = build_info(b, &t, err);
	u64 at = s == ST_OK ? boot_list(b, t.data, t.used, 8) : 0;
	base_free(t.data);
	if (s != ST_OK)
		return s;
	if (!at)
		return err_set(err, ST_ARG, "%s: no room for the Multiboot 2 information", b->path);
	struct cpu *c = b->m->cpus[0];
	boot_enter_flat32(c, b->entry);
	c->r[REG_RAX] = MB2_BOOT_MAGIC;
	c->r[REG_RBX] = at;
	return ST_OK;
}
