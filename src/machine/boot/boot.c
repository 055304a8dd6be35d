/* The kernel file: which protocol it speaks, and the order of everything that a start does. */
#include "machine/boot/boot.h"

/* ---- which protocol ---- */

static const struct protocol {
	const char *name;
	bool (*is)(const struct os_file *f);
	enum status (*load)(struct boot *b, struct err *err);
} protocols[] = {
        /* A kernel that speaks several is entered by the one that asks least of the loader. */
        {"bzImage", linux_is, linux_load},
        {"PVH", pvh_is, pvh_load},
        {"Multiboot 2", multiboot2_is, multiboot2_load},
        {"Multiboot 1", multiboot1_is, multiboot1_load},
};

static enum status unknown_image(const struct boot *b, struct err *err)
{
	static const u8 gzip[] = {0x1f, 0x8b}, xz[] = {0xfd, '7', 'z'}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
	const u8 *d = b->kernel.data;
	u64 n = b->kernel.size;
	const char *packed = n > 4 && !memcmp(d, gzip, 2)   ? "gzip"
	                     : n > 4 && !memcmp(d, xz, 3)   ? "xz"
	                     : n > 4 && !memcmp(d, zstd, 4) ? "zstd"
	                                                    : NULL;

	if (packed)
		return err_set(err, ST_ARG, "%s: packed with %s; unpack it first", b->path, packed);
	if (elf_is(&b->kernel))
		return err_set(err, ST_ARG,
		               "%s: ELF without a PVH note or a Multiboot header; accepted are bzImage, ELF with "
		               "XEN_ELFNOTE_PHYS32_ENTRY, Multiboot 1 and 2",
		               b->path);
	return err_set(err, ST_ARG, "%s: not a kernel; accepted are bzImage, ELF with a PVH note, Multiboot 1 and 2",
	               b->path);
}

static enum status load_by_content(struct boot *b, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (protocols[i].is(&b->kernel))
			return protocols[i].load(b, err);
	return unknown_image(b, err);
}

enum status boot_load(struct machine *m, struct err *err)
{
	struct boot *b = base_alloc(sizeof(*b));

	if (!b)
		return err_set(err, ST_NOMEM, "out of memory");
	b->m = m;
	b->path = m->cfg.kernel;
	b->append = m->cfg.append ? m->cfg.append : "";
	enum status s = os_file_map(&b->kernel, b->path, err);
	if (s != ST_OK)
		err_in(err, s, b->m->cfg.kernel_option);
	/* Nobody's image may cover what firmware keeps. */
	if (s == ST_OK)
		s = boot_claim(b, MACHINE_EBDA, 0x100000 - MACHINE_EBDA, "the firmware area", err);
	if (s == ST_OK) {
		boot_bios_data(m);
		s = boot_measure_start(b, err);
	}
	if (s == ST_OK) {
		boot_measure_command_line(b);
		boot_measure_file(b, &b->kernel, "kernel");
		s = load_by_content(b, err);
	}
	if (s == ST_OK)
		s = boot_platform(b, err);
	boot_measure_end(b);
	os_file_unmap(&b->kernel);
	base_free(b);
	return s;
}
