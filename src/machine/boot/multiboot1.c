/* "Multiboot Specification version 0.6.96": ELF or the a.out kludge, 32-bit entry. */
#include "machine/boot/boot.h"

enum {
	MB_MAGIC = 0x1badb002,
	MB_BOOT_MAGIC = 0x2badb002,
	MB_SEARCH = 8192,
	MB_ALIGN = 1 << 0,
	MB_MEMORY = 1 << 1,
	MB_VIDEO = 1 << 2,
	MB_KLUDGE = 1 << 16,
	INFO_MEM = 1 << 0,
	INFO_CMDLINE = 1 << 2,
	INFO_MODS = 1 << 3,
	INFO_ELF = 1 << 5,
	INFO_MMAP = 1 << 6,
	INFO_NAME = 1 << 9,
};

struct mb_info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	u32 elf_num, elf_size, elf_addr, elf_shndx;
	u32 mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name, apm_table;
	u32 vbe[4];
};

struct mb_module {
	u32 start, end, string, reserved;
};

struct mb_mmap {
	u32 size; /* of the rest */
	u32 addr[2], len[2], type;
};

/* Offset of the header, -1: none. */
static s64 find_header(const struct os_file *f)
{
	for (u64 i = 0; i + 12 <= min_u64(f->size, MB_SEARCH); i += 4) {
		const u8 *p = f->data + i;
		if (get32(p) == MB_MAGIC && get32(p) + get32(p + 4) + get32(p + 8) == 0)
			return (s64)i;
	}
	return -1;
}

bool multiboot1_is(const struct os_file *f)
{
	return find_header(f) >= 0;
}

/* The kludge: load_addr..load_end from the file, then bss. "The address fields of Multiboot header". */
static enum status load_kludge(struct boot *b, u64 at, struct err *err)
{
	const u8 *p = b->kernel.data + at;

	if (at + 32 > b->kernel.size)
		return err_set(err, ST_ARG, "%s: truncated Multiboot header", b->path);
	u64 header = get32(p + 12), load = get32(p + 16), load_end = get32(p + 20), bss_end = get32(p + 24);
	if (load > header || header - load > at)
		return err_set(err, ST_ARG, "%s: Multiboot header: load_addr 0x%llx does not fit header_addr 0x%llx",
		               b->path, (unsigned long long)load, (unsigned long long)header);
	u64 offset = at - (header - load), size = load_end ? load_end - load : b->kernel.size - offset;
	if ((load_end && load_end < load) || size > b->kernel.size - offset)
		return err_set(err, ST_ARG,
		               "%s: truncated: the Multiboot header asks for 0x%llx bytes from offset 0x%llx", b->path,
		               (unsigned long long)size, (unsigned long long)offset);
	u64 end = max_u64(load + size, bss_end);
	enum status s = boot_claim(b, load, end - load, "the kernel", err);
	if (s != ST_OK)
		return s;
	boot_copy(b, load, b->kernel.data + offset, size);
	boot_zero(b, load + size, end - load - size);
	b->kernel_base = load;
	b->kernel_end = end;
	b->entry = get32(p + 28);
	return ST_OK;
}

static enum status load_image(struct boot *b, struct err *err)
{
	u64 at = (u64)find_header(&b->kernel);
	u32 flags = get32(b->kernel.data + at + 4);
	u32 unknown = flags & 0xffff & ~(u32)(MB_ALIGN | MB_MEMORY | MB_VIDEO);

	/* Bits 15:0 are requirements: one that is not understood must be refused. A video mode is a wish. */
	if (unknown)
		return err_set(err, ST_ARG, "%s: Multiboot header requires flags 0x%x, which are not known", b->path,
		               unknown);
	if (flags & MB_KLUDGE)
		return load_kludge(b, at, err);
	if (!elf_is(&b->kernel))
		return err_set(err, ST_ARG, "%s: Multiboot header without addresses, and the file is not ELF", b->path);
	return elf_load(b, err);
}

static enum status put_modules(struct boot *b, struct mb_info *info, struct err *err)
{
	struct boot_module mod[BOOT_MODULES];
	struct mb_module out[BOOT_MODULES];
	unsigned n;
	enum status s = boot_modules(b, mod, &n, err);

	if (s != ST_OK)
		return s;
	for (unsigned i = 0; i < n; i++)
		out[i] = (struct mb_module){(u32)mod[i].base, (u32)(mod[i].base + mod[i].size), (u32)mod[i].cmdline, 0};
	info->flags |= INFO_MODS; /* also without modules: the count says so */
	info->mods_count = n;
	info->mods_addr = (u32)boot_list(b, out, n * sizeof(out[0]), 4);
	return info->mods_addr ? ST_OK : err_set(err, ST_ARG, "%s: too many modules", b->m->cfg.initrd_option);
}

static void put_mmap(struct boot *b, struct mb_info *info)
{
	struct map_entry map[MAP_MAX];
	struct mb_mmap out[MAP_MAX];
	unsigned n = machine_memory_map(b->m, map);

	for (unsigned i = 0; i < n; i++)
		out[i] = (struct mb_mmap){sizeof(out[0]) - 4,
		                          {(u32)map[i].base, (u32)(map[i].base >> 32)},
		                          {(u32)map[i].size, (u32)(map[i].size >> 32)},
		                          map[i].type};
	info->flags |= INFO_MMAP | INFO_MEM;
	info->mmap_length = (u32)(n * sizeof(out[0]));
	info->mmap_addr = (u32)boot_list(b, out, info->mmap_length, 4);
	info->mem_lower = (u32)(MACHINE_EBDA >> 10);
	info->mem_upper = (u32)((machine_low_ram(b->m) - 0x100000) >> 10);
}

enum status multiboot1_load(struct boot *b, struct err *err)
{
	struct mb_info info = {0};
	u64 cmdline = 0;
	enum status s = load_image(b, err);

	if (s == ST_OK)
		s = boot_entry32(b, err);
	if (s == ST_OK)
		s = boot_area(b, err);
	if (s == ST_OK)
		s = boot_cmdline(b, true, ~0ull, &cmdline, err);
	if (s == ST_OK)
		s = put_modules(b, &info, err);
	if (s != ST_OK)
		return s;
	put_mmap(b, &info);
	info.flags |= INFO_CMDLINE | INFO_NAME;
	info.cmdline = (u32)cmdline;
	info.boot_loader_name = (u32)boot_list(b, "turnstile", sizeof("turnstile"), 1);
	bus_write(&b->m->bus, b->area + BOOT_INFO, &info, sizeof(info));
	struct cpu *c = b->m->cpus[0];
	boot_enter_flat32(c, b->entry);
	c->r[REG_RAX] = MB_BOOT_MAGIC;
	c->r[REG_RBX] = b->area + BOOT_INFO;
	return ST_OK;
}
