/*
 * bzImage by the 64-bit boot protocol: "The Linux/x86 Boot Protocol". Offsets are those of struct boot_params.
 */
#include "machine/boot/boot.h"

enum {
	SETUP_SECTS = 0x1f1,
	BOOT_FLAG = 0x1fe,
	HEADER = 0x202,
	VERSION = 0x206,
	TYPE_OF_LOADER = 0x210,
	LOADFLAGS = 0x211,
	RAMDISK_IMAGE = 0x218,
	RAMDISK_SIZE = 0x21c,
	CMD_LINE_PTR = 0x228,
	INITRD_ADDR_MAX = 0x22c,
	KERNEL_ALIGNMENT = 0x230,
	RELOCATABLE = 0x234,
	XLOADFLAGS = 0x236,
	CMDLINE_SIZE = 0x238,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,
	/* boot_params outside the setup header */
	VIDEO_COLUMNS = 0x007, /* screen_info */
	VIDEO_LINES = 0x00e,
	VIDEO_IS_VGA = 0x00f,
	VIDEO_POINTS = 0x010,
	EXT_RAMDISK_IMAGE = 0x0c0,
	ACPI_RSDP_ADDR = 0x070,
	ALT_MEM_K = 0x1e0,
	E820_ENTRIES = 0x1e8,
	E820_TABLE = 0x2d0,
	XLF_KERNEL_64 = 1,
};

bool linux_is(const struct os_file *f)
{
	return f->size >= 0x268 && !memcmp(f->data + HEADER, "HdrS", 4) && get16(f->data + BOOT_FLAG) == 0xaa55;
}

static u64 setup_size(const u8 *d)
{
	return ((d[SETUP_SECTS] ? d[SETUP_SECTS] : 4u) + 1u) * 512u;
}

static enum status check_header(const struct boot *b, struct err *err)
{
	const u8 *d = b->kernel.data;
	u16 version = get16(d + VERSION);

	if (version < 0x20c || !(get16(d + XLOADFLAGS) & XLF_KERNEL_64))
		return err_set(err, ST_ARG,
		               "%s: bzImage with boot protocol %u.%02u and no 64-bit entry; 2.12 with "
		               "XLF_KERNEL_64 is needed",
		               b->path, version >> 8, version & 0xff);
	if (setup_size(d) + 0x400 > b->kernel.size)
		return err_set(err, ST_ARG, "%s: truncated: no kernel behind the setup sectors", b->path);
	u64 packed = (u64)get32(d + 0x1f4) * 16; /* syssize: 32-bit code in paragraphs */
	if (setup_size(d) + packed > b->kernel.size + 15)
		return err_set(err, ST_ARG, "%s: truncated: %llu bytes, the header says %llu", b->path,
		               (unsigned long long)b->kernel.size, (unsigned long long)(setup_size(d) + packed));
	if (!get32(d + INIT_SIZE) || get32(d + INIT_SIZE) < b->kernel.size - setup_size(d))
		return err_set(err, ST_ARG, "%s: bzImage header: init_size 0x%x is smaller than the kernel", b->path,
		               get32(d + INIT_SIZE));
	return ST_OK;
}

/* The preferred address, else, for a relocatable kernel, the lowest aligned place that holds init_size. */
static enum status place_kernel(struct boot *b, struct err *err)
{
	const u8 *d = b->kernel.data;
	u64 align = get32(d + KERNEL_ALIGNMENT), size = get32(d + INIT_SIZE), base = get64(d + PREF_ADDRESS);

	if (base + size > machine_low_ram(b->m) && d[RELOCATABLE] && align && !(align & (align - 1)))
		base = (0x100000 + align - 1) & ~(align - 1);
	if (base + size > machine_low_ram(b->m))
		return err_set(err, ST_ARG, "%s: the kernel needs RAM up to 0x%llx; give more with -m", b->path,
		               (unsigned long long)(base + size));
	enum status s = boot_claim(b, base, size, "the kernel", err);
	if (s != ST_OK)
		return s;
	boot_copy(b, base, d + setup_size(d), b->kernel.size - setup_size(d));
	b->kernel_base = base;
	b->kernel_end = base + size;
	return boot_area(b, err);
}

static void put_e820(const struct boot *b, u8 *params)
{
	struct map_entry map[MAP_MAX];
	unsigned n = machine_memory_map(b->m, map);

	params[E820_ENTRIES] = (u8)n;
	for (unsigned i = 0; i < n; i++) {
		u8 *e = params + E820_TABLE + 20 * i;
		put64(e, map[i].base);
		put64(e + 8, map[i].size);
		put32(e + 16, map[i].type);
	}
	put32(params + ALT_MEM_K, (machine_low_ram(b->m) - 0x100000) >> 10);
}

/* Mode 3 of a VGA that is found. The plain one is not: no kernel takes it for its console. */
static void put_screen(const struct boot *b, u8 *params)
{
	enum { MODE = 0x006, MODE_3 = 3, IS_VGA = 1, POINTS = 16 };

	if (b->m->cfg.vga != MACHINE_VGA_STD)
		return;
	params[MODE] = MODE_3;
	params[VIDEO_COLUMNS] = 80;
	params[VIDEO_LINES] = 25;
	params[VIDEO_IS_VGA] = IS_VGA;
	params[VIDEO_POINTS] = POINTS;
}

static void build_params(const struct boot *b, u8 *params, u64 cmdline)
{
	const u8 *d = b->kernel.data;
	u64 header_end = 0x202u + d[0x201];

	memcpy(params + SETUP_SECTS, d + SETUP_SECTS, min_u64(header_end, 0x290) - SETUP_SECTS);
	params[TYPE_OF_LOADER] = 0xff;
	params[LOADFLAGS] &= 0x7f; /* no heap: nothing runs the 16-bit setup code */
	put32(params + RAMDISK_IMAGE, b->initrd_base);
	put32(params + RAMDISK_SIZE, b->initrd_size);
	put32(params + CMD_LINE_PTR, cmdline);
	put64(params + ACPI_RSDP_ADDR, b->m->rsdp);
	put_e820(b, params);
	put_screen(b, params);
}

enum status linux_load(struct boot *b, struct err *err)
{
	u8 params[PAGE_SIZE] = {0};
	const u8 *d = b->kernel.data;
	u64 cmdline = 0;
	enum status s = check_header(b, err);

	if (s == ST_OK)
		s = place_kernel(b, err);
	if (s == ST_OK)
		s = boot_cmdline(b, false, get32(d + CMDLINE_SIZE), &cmdline, err);
	if (s == ST_OK)
		s = boot_initrd(b, (u64)get32(d + INITRD_ADDR_MAX) + 1, err);
	if (s != ST_OK)
		return s;
	build_params(b, params, cmdline);
	bus_write(&b->m->bus, b->area + BOOT_INFO, params, sizeof(params));
	b->entry = b->kernel_base + 0x200; /* startup_64 */
	struct cpu *c = b->m->cpus[0];
	boot_enter_long(&b->m->bus, c, b->area + BOOT_GDT, b->area + BOOT_PAGETABLES, b->entry);
	c->r[REG_RSI] = b->area + BOOT_INFO;
	return ST_OK;
}
