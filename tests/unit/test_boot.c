/* The loaders through the public door: what they refuse, and the state each protocol hands over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <turnstile/turnstile.h>

#include "base/base.h"

static char folder[] = "/tmp/test_boot.XXXXXX";

static const char *path_of(const char *name)
{
	static char path[4][128];
	static unsigned turn;
	char *p = path[turn++ & 3];

	snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	return p;
}

static const char *write_file(const char *name, const void *data, size_t n)
{
	const char *p = path_of(name);
	FILE *f = fopen(p, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	fclose(f);
	return p;
}

static void w16(u8 *p, unsigned v)
{
	p[0] = (u8)v;
	p[1] = (u8)(v >> 8);
}

static void w32(u8 *p, u64 v)
{
	w16(p, v & 0xffff);
	w16(p + 2, (v >> 16) & 0xffff);
}

static void w64(u8 *p, u64 v)
{
	w32(p, v);
	w32(p + 4, v >> 32);
}

/* An ELF with one PT_LOAD of 4096 bytes at file offset 1000h, loaded at `load`, and with a note segment if `note`. */
static size_t make_elf(u8 *f, bool wide, u64 load, u64 memsz, bool note)
{
	const size_t size = 0x2000;

	memset(f, 0, size);
	memcpy(f, "\177ELF", 4);
	f[4] = wide ? 2 : 1;
	f[5] = f[6] = 1;
	w16(f + 16, 2);
	w16(f + 18, wide ? 62 : 3);
	w32(f + 20, 1);
	u8 *ph = f + 64;
	if (wide) {
		w64(f + 24, load + 0x100);
		w64(f + 32, 64);
		w16(f + 54, 56);
		w16(f + 56, note ? 2 : 1);
		w32(ph, 1);
		w64(ph + 8, 0x1000);
		w64(ph + 16, load);
		w64(ph + 24, load);
		w64(ph + 32, 0x1000);
		w64(ph + 40, memsz);
		ph += 56;
		w32(ph, 4);
		w64(ph + 8, 0x200);
		w64(ph + 32, 20);
		w64(ph + 40, 20);
	} else {
		w32(f + 24, load + 0x100);
		w32(f + 28, 64);
		w16(f + 42, 32);
		w16(f + 44, note ? 2 : 1);
		w32(ph, 1);
		w32(ph + 4, 0x1000);
		w32(ph + 8, load);
		w32(ph + 12, load);
		w32(ph + 16, 0x1000);
		w32(ph + 20, memsz);
		ph += 32;
		w32(ph, 4);
		w32(ph + 4, 0x200);
		w32(ph + 16, 20);
		w32(ph + 20, 20);
	}
	if (note) {
		w32(f + 0x200, 4);
		w32(f + 0x204, 4);
		w32(f + 0x208, 18);
		memcpy(f + 0x20c, "Xen", 4);
		w32(f + 0x210, load + 0x80);
	}
	return size;
}

static void add_multiboot1(u8 *f, size_t at)
{
	w32(f + at, 0x1badb002);
	w32(f + at + 4, 3);
	w32(f + at + 8, 0u - 0x1badb002 - 3);
}

static ts_machine *start(const char *const *args, char *err)
{
	const char *argv[16] = {"turnstile", "run", "--serial", "null"};
	int n = 4;
	ts_machine *m = NULL;

	while (*args)
		argv[n++] = *args++;
	err[0] = 0;
	if (ts_create(n, argv, &m, err, 600) != TS_OK)
		assert_null(m);
	return m;
}

static void refused(const char *wants, const char *a, const char *b, const char *c)
{
	const char *args[] = {a, b, c, NULL};
	char err[600];
	ts_machine *m = start(args, err);

	if (m || !strstr(err, wants))
		fail_msg("%s: got '%s', want '%s'", a, err, wants);
	assert_null(strchr(err, '\n'));
}

static u64 reg(ts_machine *m, const char *name)
{
	u64 v = 0;
	size_t n = sizeof(v);

	assert_int_equal(ts_get(m, 0, name, &v, &n), TS_OK);
	return v;
}

static void peek(ts_machine *m, u64 at, void *buf, size_t n)
{
	size_t done;

	assert_int_equal(ts_read(m, 0, TS_PHYS, at, buf, n, &done), TS_OK);
}

static u64 peek64(ts_machine *m, u64 at)
{
	u64 v;

	peek(m, at, &v, sizeof(v));
	return v;
}

static u32 peek32(ts_machine *m, u64 at)
{
	u32 v;

	peek(m, at, &v, sizeof(v));
	return v;
}

/* ---- refusals ---- */

static void refuses_files(void **state)
{
	u8 f[0x2000];
	size_t n = make_elf(f, true, 0x100000, 0x1000, true);

	(void)state;
	refused("No such file", path_of("missing"), NULL, NULL);
	refused("is a folder", folder, NULL, NULL);
	refused("is empty", write_file("empty", "", 0), NULL, NULL);
	refused("not a kernel", write_file("text", "hello, world", 12), NULL, NULL);
	refused("packed with gzip", write_file("gz", "\x1f\x8b\x08\x00 more bytes", 16), NULL, NULL);
	refused("truncated", write_file("short", f, 0x1800), NULL, NULL);
	refused("not a kernel", write_file("stub", f, 20), NULL, NULL);
	n = make_elf(f, true, 0x100000, 0x1000, false);
	refused("ELF without a PVH note", write_file("plain", f, n), NULL, NULL);
	n = make_elf(f, true, 0x80000000, 0x1000, true);
	refused("outside RAM", write_file("high", f, n), NULL, NULL);
	n = make_elf(f, true, 0xfffffffffffff000, 0x1000, true);
	refused("outside RAM", write_file("wrap", f, n), NULL, NULL);
	n = make_elf(f, true, 0x1ff00000, 0x200000, true);
	refused("outside RAM", write_file("bss", f, n), "-m", "512");
	n = make_elf(f, true, 0xf0000, 0x1000, true);
	refused("overlaps the firmware area", write_file("rom", f, n), NULL, NULL);
	n = make_elf(f, true, 0x100000, 0x10, true);
	refused("larger in the file", write_file("memsz", f, n), NULL, NULL);
	n = make_elf(f, false, 0x100000, 0x1000, true);
	w16(f + 18, 40);
	refused("not x86", write_file("arm", f, n), NULL, NULL);
}

static void refuses_modules(void **state)
{
	u8 f[0x2000];
	size_t n = make_elf(f, false, 0x100000, 0x1000, false);

	(void)state;
	add_multiboot1(f, 0x1000);
	const char *k = write_file("mb", f, n);
	refused("No such file", k, "--initrd", path_of("missing"));
	refused("without a file name", k, "--initrd", ",");
	refused("without a file name", k, "--initrd", " args");
	w32(f + 0x1004, 0x8003);
	w32(f + 0x1008, 0u - 0x1badb002 - 0x8003);
	refused("requires flags 0x8000", write_file("flags", f, n), NULL, NULL);
}

static void refuses_old_bzimage(void **state)
{
	u8 f[0x2000] = {0};

	(void)state;
	memcpy(f + 0x202, "HdrS", 4);
	w16(f + 0x1fe, 0xaa55);
	w16(f + 0x206, 0x204);
	refused("2.04 and no 64-bit entry", write_file("old", f, sizeof(f)), NULL, NULL);
	w16(f + 0x206, 0x20f);
	w16(f + 0x236, 1);
	f[0x1f1] = 27;
	refused("truncated", write_file("cut", f, sizeof(f)), NULL, NULL);
}

/* ---- what is handed over ---- */

static u64 reg_of(ts_machine *m, unsigned cpu, const char *name)
{
	u64 v = 0;
	size_t n = sizeof(v);

	assert_int_equal(ts_get(m, cpu, name, &v, &n), TS_OK);
	return v;
}

/* What finished firmware leaves on every processor: FNINIT was executed, MXCSR masks all. The protocols leave CR0.NE alone
 * or, PVH, want it clear. */
static void floating_point_ready(ts_machine *m, unsigned cpus)
{
	for (unsigned n = 0; n < cpus; n++) {
		assert_int_equal(reg_of(m, n, "fpu.cw"), 0x37f);
		assert_int_equal(reg_of(m, n, "fpu.sw"), 0);
		assert_int_equal(reg_of(m, n, "fpu.tag"), 0); /* a bit per register in use */
		assert_int_equal(reg_of(m, n, "mxcsr"), 0x1f80);
	}
	assert_int_equal(reg_of(m, 0, "cr0") & 0x20, 0);
}

static void flat_state(ts_machine *m, u64 entry)
{
	assert_int_equal(reg(m, "rip"), entry);
	assert_int_equal(reg(m, "cr0") & 0x80000001, 1);
	assert_int_equal(reg(m, "rflags") & 0x20302, 2);
	assert_int_equal(reg(m, "cs.base"), 0);
	assert_int_equal(reg(m, "cs.limit"), 0xffffffff);
	assert_int_equal(reg(m, "ds.limit"), 0xffffffff);
	assert_int_equal(reg(m, "cs.ar") & 0xf09b, 0xc09b);
}

static void enters_pvh(void **state)
{
	u8 f[0x2000];
	size_t n = make_elf(f, true, 0x100000, 0x3000, true);
	char err[600];

	(void)state;
	memset(f + 0x1000, 0xcc, 0x1000);
	const char *initrd = write_file("initrd", "ramdisk!", 8);
	const char *args[] = {write_file("pvh", f, n), "--append", "a=b", "--initrd", initrd, "-m", "6G", "--smp", "2", NULL};
	ts_machine *m = start(args, err);
	if (!m)
		fail_msg("%s", err);
	flat_state(m, 0x100080);
	assert_int_equal(reg(m, "cr0"), 0x11); /* PE; ET is hardwired */
	assert_int_equal(reg(m, "cr4"), 0);
	floating_point_ready(m, 2);
	u64 info = reg(m, "rbx");
	char text[8];
	assert_int_equal(peek32(m, info), 0x336ec578);
	assert_int_equal(peek32(m, info + 4), 1);
	assert_int_equal(peek32(m, info + 12), 1);
	peek(m, peek64(m, info + 24), text, 4);
	assert_string_equal(text, "a=b");
	peek(m, peek64(m, info + 32), text, 8);
	assert_memory_equal(text, "RSD PTR ", 8);
	u64 mod = peek64(m, info + 16);
	assert_int_equal(peek64(m, mod + 8), 8);
	peek(m, peek64(m, mod), text, 8);
	assert_memory_equal(text, "ramdisk!", 8);
	/* RAM is split: 2 GiB below the hole, 4 GiB above 4 GiB */
	u64 map = peek64(m, info + 40), total = 0;
	bool ecam = false, high = false;
	for (u32 i = 0; i < peek32(m, info + 48); i++, map += 24) {
		u64 base = peek64(m, map), size = peek64(m, map + 8);
		u32 type = peek32(m, map + 16);
		total += type == 1 ? size : 0;
		ecam |= type == 2 && base == 0xb0000000 && size == 0x10000000;
		high |= type == 1 && base == 0x100000000 && size == 4ull << 30;
	}
	assert_true(ecam && high);
	assert_in_range(total, (6ull << 30) - 0x100000, 6ull << 30);
	assert_int_equal(peek32(m, 0x100000), 0xcccccccc);
	assert_int_equal(peek32(m, 0x101000), 0);
	/* what firmware would leave */
	assert_int_equal(peek64(m, 0x400) & 0xffffffff, 0x02f803f8); /* 40:00: serial ports */
	assert_int_equal(peek64(m, 0x408) >> 48, 0x9fc0);            /* 40:0E: segment of the extended area */
	assert_int_equal(peek64(m, 0x410) >> 24 & 0xffff, 639);      /* 40:13: KiB below it */
	assert_int_equal(peek32(m, 0x9fc00) & 0xff, 1);              /* its size in KiB */
	assert_int_equal(reg(m, "msr:0x2ff"), 0xc06);
	assert_int_equal(reg(m, "msr:0x200"), 0x80000000);
	assert_int_equal(reg(m, "msr:0x201") & 0xffffffff, 0x80000800);
	assert_int_equal(reg(m, "msr:0x259"), 0);
	ts_destroy(m);
}

/* "Variable Range MTRRs" and "MTRR Precedences": UC wins; nothing matches: the default type. */
static unsigned type_of(ts_machine *m, u64 pa)
{
	for (unsigned n = 0; n < 8; n++) {
		char base[16], mask[16];
		snprintf(base, sizeof(base), "msr:0x%x", 0x200 + 2 * n);
		snprintf(mask, sizeof(mask), "msr:0x%x", 0x201 + 2 * n);
		u64 k = reg(m, mask);
		if ((k & 0x800) && !((pa ^ reg(m, base)) & k & ~0xfffull) && !(reg(m, base) & 0xff))
			return 0;
	}
	return reg(m, "msr:0x2ff") & 0xff;
}

/* All memory up to 2816 MiB lies below the holes, else 2048 MiB of it; the map, the memory types and AMD's registers
 * agree. */
static void splits_memory(void **state)
{
	static const struct {
		const char *m;
		u64 low, high;
	} row[] = {
	        {"1G", 0x40000000, 0},           {"2048M", 0x80000000, 0},
	        {"2049M", 0x80100000, 0},        {"2560M", 0xa0000000, 0},
	        {"2816M", 0xb0000000, 0},        {"2817M", 0x80000000, 0x30100000},
	        {"6G", 0x80000000, 0x100000000},
	};
	u8 f[0x2000];
	size_t n = make_elf(f, true, 0x100000, 0x1000, true);
	char err[600];

	(void)state;
	for (size_t k = 0; k < sizeof(row) / sizeof(row[0]); k++) {
		const char *args[] = {write_file("pvh", f, n), "--cpu", "amd", "-m", row[k].m, NULL};
		ts_machine *m = start(args, err);
		if (!m)
			fail_msg("%s", err);
		u64 info = reg(m, "rbx"), map = peek64(m, info + 40), low = 0, high = 0;
		for (u32 i = 0; i < peek32(m, info + 48); i++, map += 24) {
			u64 base = peek64(m, map), end = base + peek64(m, map + 8);
			if (peek32(m, map + 16) != 1)
				continue;
			if (base >= 1ull << 32)
				high += end - base;
			else if (end > low)
				low = end;
		}
		assert_int_equal(low, row[k].low);
		assert_int_equal(high, row[k].high);
		peek32(m, low - 4);
		assert_int_equal(type_of(m, low - 1), 6);
		assert_int_equal(type_of(m, 0x100000000), 6);
		for (u64 pa = 0xb0000000; pa < 0x100000000; pa += 0x100000)
			assert_int_equal(type_of(m, pa), 0);
		assert_int_equal(reg(m, "msr:0xc001001a"), row[k].low);
		assert_int_equal(reg(m, "msr:0xc001001d"), high ? 0x100000000 + high : 0);
		ts_destroy(m);
	}
}

static void enters_multiboot1(void **state)
{
	u8 f[0x2000];
	char err[600], text[16] = "";

	(void)state;
	for (unsigned wide = 0; wide < 2; wide++) {
		size_t n = make_elf(f, wide, 0x100000, 0x1000, false);
		add_multiboot1(f, 0x1000);
		const char *one = write_file("one", "ONE", 3);
		char list[300];
		snprintf(list, sizeof(list), "%s first args,%s", one, one);
		const char *args[] = {write_file("mb", f, n), "--append", "x y", "--initrd", list, NULL};
		ts_machine *m = start(args, err);
		if (!m)
			fail_msg("%s", err);
		flat_state(m, 0x100100);
		floating_point_ready(m, 1);
		assert_int_equal(reg(m, "rax"), 0x2badb002);
		u64 info = reg(m, "rbx");
		assert_int_equal(peek32(m, info) & 0x4d, 0x4d);
		assert_int_equal(peek32(m, info + 20), 2);
		u64 mods = peek32(m, info + 24);
		assert_int_equal(peek32(m, mods + 4) - peek32(m, mods), 3);
		assert_int_equal(peek32(m, mods) & 0xfff, 0);
		assert_true(peek32(m, mods + 16) > peek32(m, mods));
		peek(m, peek32(m, mods + 8) + strlen(one), text, 12);
		assert_string_equal(text, " first args");
		ts_destroy(m);
	}
}

/* The a.out kludge, in low memory where the loader would keep its own structures. */
static void enters_kludge_low(void **state)
{
	u8 f[0x1000] = {0};
	char err[600];

	(void)state;
	w32(f, 0x1badb002);
	w32(f + 4, 0x10003);
	w32(f + 8, 0u - 0x1badb002 - 0x10003);
	w32(f + 12, 0x4000);
	w32(f + 16, 0x4000);
	w32(f + 20, 0);
	w32(f + 24, 0x8000);
	w32(f + 28, 0x4020);
	const char *args[] = {write_file("kludge", f, sizeof(f)), NULL};
	ts_machine *m = start(args, err);
	if (!m)
		fail_msg("%s", err);
	flat_state(m, 0x4020);
	assert_int_equal(peek32(m, 0x4000), 0x1badb002);
	assert_true(reg(m, "rbx") >= 0x100000);
	ts_destroy(m);
}

static void enters_multiboot2(void **state)
{
	u8 f[0x2000];
	char err[600];
	size_t n = make_elf(f, false, 0x100000, 0x1000, false);

	(void)state;
	w32(f + 0x1000, 0xe85250d6);
	w32(f + 0x1008, 24);
	w32(f + 0x100c, 0u - 0xe85250d6u - 24);
	w32(f + 0x1014, 8);
	const char *args[] = {write_file("mb2", f, n), "--append", "opt", NULL};
	ts_machine *m = start(args, err);
	if (!m)
		fail_msg("%s", err);
	flat_state(m, 0x100100);
	floating_point_ready(m, 1);
	assert_int_equal(reg(m, "rax"), 0x36d76289);
	u64 info = reg(m, "rbx"), end = info + peek32(m, info);
	u32 seen = 0;
	for (u64 at = info + 8; at < end; at += (peek32(m, at + 4) + 7) & ~7u)
		seen |= 1u << peek32(m, at);
	assert_int_equal(seen & 0xc057, 0xc057);
	ts_destroy(m);
	/* a required tag nobody knows */
	w32(f + 0x1008, 32);
	w32(f + 0x100c, 0u - 0xe85250d6u - 32);
	w32(f + 0x1010, 99);
	w32(f + 0x1014, 8);
	w32(f + 0x101c, 8);
	refused("tag 99 is required", write_file("mb2", f, n), NULL, NULL);
}

static void enters_linux(void **state)
{
	u8 *f = calloc(1, 0x4000), gdt[32];
	char err[600];

	(void)state;
	memcpy(f + 0x202, "HdrS", 4);
	f[0x201] = 0x6a;
	f[0x1f1] = 4;
	w16(f + 0x1fe, 0xaa55);
	w16(f + 0x206, 0x20f);
	w16(f + 0x236, 1);
	w32(f + 0x1f4, 0x100);
	w32(f + 0x22c, 0x7fffffff);
	w32(f + 0x230, 0x200000);
	f[0x234] = 1;
	w32(f + 0x238, 2047);
	w64(f + 0x258, 0x1000000);
	w32(f + 0x260, 0x200000);
	f[0xa00 + 0x200] = 0xf4;
	const char *initrd = write_file("initrd", "ramdisk!", 8);
	const char *args[] = {write_file("bz", f, 0x4000), "--append", "quiet", "--initrd", initrd, NULL};
	ts_machine *m = start(args, err);
	free(f);
	if (!m)
		fail_msg("%s", err);
	u64 params = reg(m, "rsi");
	assert_int_equal(reg(m, "rip"), 0x1000200);
	floating_point_ready(m, 1);
	assert_int_equal(reg(m, "cr0") & 0x80000001, 0x80000001);
	assert_int_equal(reg(m, "efer") & 0x500, 0x500);
	assert_int_equal(reg(m, "cs"), 0x10);
	assert_int_equal(reg(m, "ds"), 0x18);
	assert_int_equal(reg(m, "rflags") & 0x200, 0);
	assert_int_equal(peek32(m, params + 0x202), 0x53726448);
	assert_int_equal(peek64(m, params + 0x70), 0xf0000);
	assert_int_equal(peek32(m, params + 0x21c), 8);
	peek(m, peek32(m, params + 0x218), gdt, 8);
	assert_memory_equal(gdt, "ramdisk!", 8);
	peek(m, peek32(m, params + 0x228), gdt, 6);
	assert_memory_equal(gdt, "quiet", 6);
	u8 value;
	size_t done;
	assert_int_equal(ts_read(m, 0, TS_LINEAR, 0x1000200, &value, 1, &done), TS_OK);
	assert_int_equal(value, 0xf4);
	ts_destroy(m);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[160];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(refuses_files),       cmocka_unit_test(refuses_modules),
	        cmocka_unit_test(refuses_old_bzimage), cmocka_unit_test(enters_pvh),
	        cmocka_unit_test(enters_multiboot1),   cmocka_unit_test(enters_kludge_low),
	        cmocka_unit_test(enters_multiboot2),   cmocka_unit_test(enters_linux),
	        cmocka_unit_test(splits_memory),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
