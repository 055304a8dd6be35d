/* ELF with a PVH note: "x86/HVM direct boot ABI" (PVH). Version 1 of hvm_start_info, with a memory map. */
#include "machine/boot/boot.h"

enum { XEN_ELFNOTE_PHYS32_ENTRY = 18 };
#define HVM_START_MAGIC 0x336ec578u

struct start_info {
	u32 magic, version, flags, nr_modules;
	u64 modlist, cmdline, rsdp, memmap;
	u32 memmap_entries, reserved;
};

struct modlist_entry {
	u64 paddr, size, cmdline, reserved;
};

struct memmap_entry {
	u64 addr, size;
	u32 type, reserved;
};

static const u8 *entry_note(const struct os_file *f, u32 *size)
{
	const u8 *p = elf_note(f, "Xen", XEN_ELFNOTE_PHYS32_ENTRY, size);

	return p && *size >= 4 ? p : NULL;
}

bool pvh_is(const struct os_file *f)
{
	u32 size;

	return elf_is(f) && entry_note(f, &size);
}

static u64 put_memmap(struct boot *b, u32 *count)
{
	struct map_entry map[MAP_MAX];
	struct memmap_entry out[MAP_MAX];
	unsigned n = machine_memory_map(b->m, map);

	for (unsigned i = 0; i < n; i++)
		out[i] = (struct memmap_entry){map[i].base, map[i].size, map[i].type, 0};
	*count = n;
	return boot_list(b, out, n * sizeof(out[0]), 8);
}

enum status pvh_load(struct boot *b, struct err *err)
{
	struct start_info info = {.magic = HVM_START_MAGIC, .version = 1, .rsdp = b->m->rsdp};
	u32 size = 0;
	enum status s = elf_load(b, err);

	if (s == ST_OK)
		s = boot_area(b, err);
	if (s == ST_OK)
		s = boot_cmdline(b, false, ~0ull, &info.cmdline, err);
	if (s == ST_OK)
		s = boot_initrd(b, MACHINE_HIGH_BASE, err);
	if (s != ST_OK)
		return s;
	if (b->initrd_size) {
		struct modlist_entry mod = {b->initrd_base, b->initrd_size, 0, 0};
		info.nr_modules = 1;
		info.modlist = boot_list(b, &mod, sizeof(mod), 8);
	}
	info.memmap = put_memmap(b, &info.memmap_entries);
	bus_write(&b->m->bus, b->area + BOOT_INFO, &info, sizeof(info));
	b->entry = get32(entry_note(&b->kernel, &size));
	struct cpu *c = b->m->cpus[0];
	boot_enter_flat32(c, b->entry);
	c->r[REG_RBX] = b->area + BOOT_INFO;
	return ST_OK;
}
