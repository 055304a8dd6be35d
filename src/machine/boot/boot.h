/*
 * boot: one loader per boot protocol, chosen by the file's content. Each copies the image into RAM, builds what its
 * protocol hands over, and sets the bootstrap processor's registers; platform.c leaves what firmware would have left.
 */
#ifndef MACHINE_BOOT_BOOT_H
#define MACHINE_BOOT_BOOT_H

#include "base/os.h"
#include "machine/state/state.h"

/* Where loaders put their own structures: offsets into one area, in low memory unless the image itself lies there. */
#define BOOT_AREA       0x1000ull
#define BOOT_AREA_SIZE  0x7f000ull
#define BOOT_GDT        0x0ull
#define BOOT_INFO       0x1000ull  /* start info, boot_params, Multiboot information; two pages */
#define BOOT_PAGETABLES 0x3000ull  /* six pages */
#define BOOT_CMDLINE    0xf000ull  /* 64 KiB */
#define BOOT_LISTS      0x1f000ull /* module lists, memory maps, strings; to the area's end */
#define BOOT_RANGES     96

/* RAM that is spoken for, so that nothing overlaps and a message can name what does. */
struct boot_range {
	u64 base, end;
	const char *what;
};

struct boot {
	struct machine *m;
	const char *path;
	struct os_file kernel;
	const char *append;
	u64 area;  /* physical base of the loader's area; set by boot_area() */
	u64 lists; /* next free byte of its lists */
	struct boot_range range[BOOT_RANGES];
	unsigned ranges;
	u64 entry;
	u64 kernel_base, kernel_end; /* what the image occupies */
	u64 initrd_base, initrd_size;
	struct boot_log *log; /* measure.c; NULL: nothing is measured */
};

struct boot_module {
	u64 base, size;
	u64 cmdline; /* physical address of its zero-terminated string */
};
#define BOOT_MODULES 64

/* DRAM gets to work, out of nothing or out of the self refresh of a sleep: before anything is put there. What was in it
 * may be gone then. */
void boot_dram(struct machine *m, bool asleep);
/* RAM where firmware lies. */
void boot_shadow(struct machine *m);
/* Load everything and set the processors: at machine creation and after every reset. */
enum status boot_load(struct machine *m, struct err *err) must_check;

/* ---- measure.c: with a TPM. Firmware in PCRs 0 to 7; then, as boot loaders do, the command line in 8 and files in 9 ---- */
enum status boot_measure_start(struct boot *b, struct err *err) must_check;
void boot_measure_file(struct boot *b, const struct os_file *f, const char *what); /* "kernel" */
void boot_measure_command_line(struct boot *b);
void boot_measure_end(struct boot *b);
void boot_wake_tpm(struct machine *m); /* behind S3 */

/* ---- place.c ---- */
enum status boot_claim(struct boot *b, u64 base, u64 size, const char *what, struct err *err) must_check;
enum status boot_put(struct boot *b, u64 base, const void *data, u64 size, const char *what,
                     struct err *err) must_check;
void boot_copy(struct boot *b, u64 base, const void *data, u64 size);
void boot_zero(struct boot *b, u64 base, u64 size);
/* The highest (or, with `low`, the lowest from `from` up) free place of RAM below `limit`; 0: none. */
u64 boot_place_top(const struct boot *b, u64 size, u64 limit);
u64 boot_place_low(const struct boot *b, u64 size, u64 from);
/* Choose the area: after the image is placed, before anything that uses an offset of it. */
enum status boot_area(struct boot *b, struct err *err) must_check;
/* Append to the lists; 0: no room. */
u64 boot_list(struct boot *b, const void *data, u64 size, u64 align);
/* ---- files.c ---- */
enum status boot_initrd(struct boot *b, u64 limit, struct err *err) must_check; /* one file, as high as possible */
enum status boot_modules(struct boot *b, struct boot_module *mod, unsigned *n, struct err *err) must_check;
enum status boot_cmdline(struct boot *b, bool with_path, u64 max, u64 *address, struct err *err) must_check;

static inline u16 get16(const u8 *p)
{
	return (u16)(p[0] | p[1] << 8);
}
static inline u32 get32(const u8 *p)
{
	return (u32)get16(p) | (u32)get16(p + 2) << 16;
}
static inline u64 get64(const u8 *p)
{
	return (u64)get32(p) | (u64)get32(p + 4) << 32;
}
static inline void put16(u8 *p, u64 v)
{
	p[0] = (u8)v;
	p[1] = (u8)(v >> 8);
}
static inline void put32(u8 *p, u64 v)
{
	put16(p, v);
	put16(p + 2, v >> 16);
}
static inline void put64(u8 *p, u64 v)
{
	put32(p, v);
	put32(p + 4, v >> 32);
}

/* ---- entry.c: processor states the protocols ask for ---- */
/* An ELF64 image may name an entry point that 32-bit code cannot have. */
enum status boot_entry32(const struct boot *b, struct err *err) must_check;
void boot_enter_flat32(struct cpu *c, u64 entry);
void boot_enter_real(struct cpu *c, u32 entry); /* below 1 MiB */
/* gdt: 0 or room for four descriptors; tables: six pages */
void boot_enter_long(struct bus *bus, struct cpu *c, u64 gdt, u64 tables, u64 entry);

/* ---- reset.c ---- */
enum status boot_rom(struct machine *m, struct err *err) must_check; /* the reset vector, mapped once */

/* ---- resume.c ---- */
bool boot_kept(struct machine *m); /* memory still has what firmware put there before the sleep */
/* As firmware does behind a sleep: what it initialises, then the waking vector; without one, as after a reset. */
enum status boot_resume(struct machine *m, struct err *err) must_check;

/* ---- platform.c ---- */
void boot_firmware(struct machine *m); /* processors and devices as firmware leaves them, at start and behind a sleep */
void boot_bios_data(struct machine *m); /* before the image, which may lie there */
void boot_cmos(struct machine *m);      /* sizes of memory, number of processors */
void boot_acpi_mode(struct machine *m); /* SCI_EN */
enum status boot_platform(struct boot *b, struct err *err) must_check;

/* ---- elf.c ---- */
bool elf_is(const struct os_file *f);
bool elf_is64(const struct os_file *f);
/* Copies the loadable segments by physical address; entry in physical terms. */
enum status elf_load(struct boot *b, struct err *err) must_check;
/* Payload of a note, NULL if there is none. */
const u8 *elf_note(const struct os_file *f, const char *name, u32 type, u32 *size);

/* ---- one per protocol ---- */
bool linux_is(const struct os_file *f);
enum status linux_load(struct boot *b, struct err *err) must_check;
bool pvh_is(const struct os_file *f);
enum status pvh_load(struct boot *b, struct err *err) must_check;
bool multiboot1_is(const struct os_file *f);
enum status multiboot1_load(struct boot *b, struct err *err) must_check;
bool multiboot2_is(const struct os_file *f);
enum status multiboot2_load(struct boot *b, struct err *err) must_check;

#endif
