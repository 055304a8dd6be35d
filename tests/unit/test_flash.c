/*
 * Flash with Intel's command set: commands, status and geometry by the J3 data sheet and CFI publication 100; what is memory
 * and what is the device's; who may write; the file behind it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dev/flash.h"

enum { SIZE = 16 * FLASH_BLOCK };
#define BASE (0x100000000ull - SIZE)

static const struct initiator cpu = {.by = BY_CPU}, smm = {.by = BY_CPU, .smm = true}, card = {.by = BY_DEVICE, .id = 8};

struct board {
	struct clock clock;
	struct hooks hooks;
	struct bus bus;
	struct dev_env env;
	struct device *flash;
	struct flash_config cfg;
	u8 image[SIZE];
	char lost[512];
};

static void lost(void *arg, const char *text)
{
	struct board *b = arg;

	snprintf(b->lost, sizeof(b->lost), "%s", text);
}

static struct board *board(const char *file, bool writable, bool smm_only)
{
	struct board *b = calloc(1, sizeof(*b));
	struct err err;

	clock_init(&b->clock);
	assert_int_equal(bus_init(&b->bus, &b->clock, &b->hooks, 1 << 20, 1 << 20, &err), ST_OK);
	b->env = (struct dev_env){.bus = &b->bus, .clock = &b->clock};
	for (unsigned n = 0; n < SIZE; n++)
		b->image[n] = n < FLASH_BLOCK ? (u8)n : 0xff;
	b->cfg = (struct flash_config){
		.option = "--uefi", .base = BASE, .size = SIZE, .data = b->image, .writable = writable, .smm_only = smm_only,
		.file.fd = -1, .lost = lost, .arg = b,
	};
	if (file)
		assert_int_equal(os_kept_open(&b->cfg.file, "--uefi", file, &err), ST_OK);
	assert_int_equal(flash_create(&b->flash, &b->env, &b->cfg, &err), ST_OK);
	return b;
}

static void done(struct board *b)
{
	b->flash->ops->destroy(b->flash);
	bus_fini(&b->bus);
	free(b);
}

static void put(struct board *b, u64 at, u8 v)
{
	phys_write(&b->bus, cpu, BASE + at, &v, 1);
}

static u8 get_by(struct board *b, struct initiator who, u64 at)
{
	u8 v;

	phys_read(&b->bus, who, BASE + at, &v, 1);
	return v;
}

static u8 get(struct board *b, u64 at)
{
	return get_by(b, cpu, at);
}

/* "Status Register" bits. */
enum { READY = 0x80, ERASE_ERROR = 0x20, PROGRAM_ERROR = 0x10, LOCKED = 0x02 };

static void test_array(void **state)
{
	struct board *b = board(NULL, true, false);

	(void)state;
	assert_int_equal(get(b, 5), 5);
	assert_int_equal(get_by(b, card, 7), 7);
	assert_non_null(bus_memory(&b->bus, BASE));
	put(b, 0, 0x70);
	assert_null(bus_memory(&b->bus, BASE)); /* nobody keeps a pointer to it now */
	assert_int_equal(get(b, 5), READY);
	assert_int_equal(get_by(b, card, 5), READY);
	put(b, 9, 0xff);
	assert_int_equal(get(b, 5), 5);
	assert_non_null(bus_memory(&b->bus, BASE));
	done(b);
}

static void test_program(void **state)
{
	struct board *b = board(NULL, true, false);

	(void)state;
	put(b, 0x2000, 0x40);
	put(b, 0x2000, 0xa5);
	assert_int_equal(get(b, 0x2000), READY);
	put(b, 0x2001, 0x10);
	put(b, 0x2001, 0x0f);
	put(b, 0, 0xff);
	assert_int_equal(get(b, 0x2000), 0xa5);
	assert_int_equal(get(b, 0x2001), 0x0f);
	assert_int_equal(get(b, 0x2002), 0xff);
	put(b, 0x2000, 0x40); /* "programming changes 1s to 0s" */
	put(b, 0x2000, 0x5a);
	put(b, 0, 0xff);
	assert_int_equal(get(b, 0x2000), 0);
	done(b);
}

static void test_erase(void **state)
{
	struct board *b = board(NULL, true, false);

	(void)state;
	put(b, 0x123, 0x20);
	put(b, 0x123, 0xd0);
	assert_int_equal(get(b, 0), READY);
	put(b, 0, 0xff);
	for (unsigned n = 0; n < 2 * FLASH_BLOCK; n++)
		assert_int_equal(get(b, n), 0xff);
	put(b, 0x10, 0x20); /* "improper command sequence" */
	put(b, 0x10, 0x55);
	assert_int_equal(get(b, 0), READY | ERASE_ERROR | PROGRAM_ERROR);
	put(b, 0, 0x50);
	put(b, 0, 0x70);
	assert_int_equal(get(b, 0) & (ERASE_ERROR | PROGRAM_ERROR), 0);
	done(b);
}

static void test_buffer(void **state)
{
	struct board *b = board(NULL, true, false);

	(void)state;
	put(b, 0x3000, 0xe8);
	assert_int_equal(get(b, 0x3000) & READY, READY);
	put(b, 0x3000, 3); /* four bytes */
	for (unsigned n = 0; n < 4; n++)
		put(b, 0x3004 + n, (u8)(0x10 + n));
	put(b, 0x3000, 0xd0);
	assert_int_equal(get(b, 0x3000), READY);
	put(b, 0, 0xff);
	for (unsigned n = 0; n < 4; n++)
		assert_int_equal(get(b, 0x3004 + n), 0x10 + n);
	assert_int_equal(get(b, 0x3008), 0xff);
	put(b, 0x3000, 0xe8); /* no confirmation: nothing is programmed */
	put(b, 0x3000, 0);
	put(b, 0x3010, 0);
	put(b, 0x3000, 0xff);
	assert_int_equal(get(b, 0), READY | ERASE_ERROR | PROGRAM_ERROR);
	put(b, 0, 0xff);
	assert_int_equal(get(b, 0x3010), 0xff);
	put(b, 0x3000, 0xe8); /* more than the buffer has */
	put(b, 0x3000, 32);
	assert_int_equal(get(b, 0), READY | ERASE_ERROR | PROGRAM_ERROR);
	put(b, 0x3000, 0xe8); /* out of the buffer's range */
	put(b, 0x3000, 1);
	put(b, 0x3020, 0);
	put(b, 0x5000, 0);
	put(b, 0, 0xff);
	assert_int_equal(get(b, 0x3020), 0xff);
	assert_int_equal(get(b, 0x5000), 0xff);
	done(b);
}

static void test_query(void **state)
{
	struct board *b = board(NULL, true, false);

	(void)state;
	put(b, 0x55, 0x98);
	assert_int_equal(get(b, 0x10), 'Q');
	assert_int_equal(get(b, 0x11), 'R');
	assert_int_equal(get(b, 0x12), 'Y');
	assert_int_equal(get(b, 0x13) | get(b, 0x14) << 8, 1); /* Intel/Sharp Extended Command Set */
	assert_int_equal(1u << get(b, 0x27), SIZE);
	assert_int_equal(get(b, 0x2a), 5);
	assert_int_equal(get(b, 0x2c), 1); /* one region: blocks less one, size in 256 bytes */
	assert_int_equal((get(b, 0x2d) | get(b, 0x2e) << 8) + 1, SIZE / FLASH_BLOCK);
	assert_int_equal((get(b, 0x2f) | get(b, 0x30) << 8) * 256, FLASH_BLOCK);
	u64 extended = (u64)(get(b, 0x15) | get(b, 0x16) << 8);
	assert_int_equal(get(b, extended), 'P');
	assert_int_equal(get(b, extended + 1), 'R');
	assert_int_equal(get(b, extended + 2), 'I');
	put(b, 0, 0x90);
	assert_int_equal(get(b, 0), 0x89); /* manufacturer */
	assert_int_equal(get(b, 2) & 1, 0); /* the block is not locked */
	b->flash->ops->reset(b->flash);
	assert_int_equal(get(b, 0x11), 0x11);
	done(b);
}

/* Firmware looks for this flash by clearing the status and reading zero: what it is without an operation since. */
static void test_detection(void **state)
{
	struct board *b = board(NULL, true, false);

	(void)state;
	put(b, 5, 0x50);
	assert_int_equal(get(b, 5), 5);
	put(b, 5, 0x70);
	assert_int_equal(get(b, 5), 0);
	put(b, 5, 0xff);
	done(b);
}

static void test_locked(void **state)
{
	struct board *b = board(NULL, false, false);

	(void)state;
	put(b, 0x2000, 0x40);
	put(b, 0x2000, 0);
	assert_int_equal(get(b, 0), READY | PROGRAM_ERROR | LOCKED);
	put(b, 0, 0x50);
	put(b, 0, 0x20);
	put(b, 0, 0xd0);
	assert_int_equal(get(b, 0), READY | ERASE_ERROR | LOCKED);
	put(b, 0, 0xff);
	assert_int_equal(get(b, 5), 5);
	assert_int_equal(get(b, 0x2000), 0xff);
	done(b);
}

static void test_smm_only(void **state)
{
	struct board *b = board(NULL, true, true);
	u8 program = 0x40, value = 0, array = 0xff;

	(void)state;
	put(b, 0x2000, 0x40);
	put(b, 0x2000, 0);
	assert_int_equal(get(b, 0x2000), 0xff);
	assert_non_null(bus_memory(&b->bus, BASE)); /* it did not even listen */
	phys_write(&b->bus, card, BASE + 0x2000, &program, 1);
	assert_int_equal(get(b, 0x2000), 0xff);
	phys_write(&b->bus, smm, BASE + 0x2000, &program, 1);
	put(b, 0x2000, 0x77); /* nobody else comes in between */
	phys_write(&b->bus, smm, BASE + 0x2000, &value, 1);
	phys_write(&b->bus, smm, BASE + 0x2000, &array, 1);
	assert_int_equal(get(b, 0x2000), 0);
	done(b);
}

/* ---- the file ---- */

static void contents(const char *path, u8 *d, size_t n)
{
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_int_equal(fread(d, 1, n, f), n);
	assert_int_equal(fgetc(f), EOF);
	fclose(f);
}

static void test_file(void **state)
{
	char folder[] = "/tmp/flash-XXXXXX", path[64];
	u8 *d = malloc(SIZE);

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/vars", folder);
	struct board *b = board(path, true, false);
	assert_int_equal(access(path, F_OK), -1); /* nothing was changed yet */
	put(b, 0x2000, 0x40);
	put(b, 0x2000, 0x42);
	put(b, 0, 0xff);
	contents(path, d, SIZE); /* as soon as it reads as an array, it is in the file */
	assert_int_equal(d[0x2000], 0x42);
	assert_memory_equal(d, b->image, 0x2000);
	put(b, 0, 0x20);
	put(b, 0, 0xd0);
	contents(path, d, SIZE);
	assert_int_equal(d[5], 5);
	b->flash->ops->reset(b->flash); /* so does a reset in between */
	contents(path, d, SIZE);
	assert_int_equal(d[5], 0xff);
	assert_string_equal(b->lost, "");
	/* The file cannot be replaced: one line, once, and the machine goes on. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
	for (unsigned n = 0; n < 2; n++) {
		put(b, 0x2001 + n, 0x40);
		put(b, 0x2001 + n, 0);
		put(b, 0, 0xff);
		assert_int_equal(strncmp(b->lost, n ? "" : "--uefi: No such file or directory; ", n ? 1 : 35), 0);
		b->lost[0] = 0;
		assert_int_equal(get(b, 0x2001 + n), 0);
	}
	done(b);
	free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_array), cmocka_unit_test(test_program), cmocka_unit_test(test_erase),
		cmocka_unit_test(test_buffer), cmocka_unit_test(test_query), cmocka_unit_test(test_detection),
		cmocka_unit_test(test_locked), cmocka_unit_test(test_smm_only), cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
