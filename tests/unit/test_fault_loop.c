/*
 * A handler whose first instruction raises the exception it handles: nothing ever retires, and yet time passes, so that
 * limits, timers and signals are honoured.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "turnstile/turnstile.h"

/* Multiboot 1 by the a.out kludge at 1 MiB: ESP, GDT, IDT, a far jump, UD2; the gate of #UD leads to the UD2. */
static void make_image(uint8_t image[0x200])
{
	static const uint32_t header[] = {0x1badb002, 0x10000, 0u - 0x1badb002u - 0x10000u, 0x100000, 0x100000, 0,
	                                  0,          0x100020};
	static const uint8_t code[] = {
	        0xbc, 0x00, 0x00, 0x09, 0x00,             /* MOV ESP, 90000h */
	        0x0f, 0x01, 0x15, 0x00, 0x01, 0x10, 0x00, /* LGDT [100100h] */
	        0x0f, 0x01, 0x1d, 0x08, 0x01, 0x10, 0x00, /* LIDT [100108h] */
	        0xea, 0x3a, 0x00, 0x10, 0x00, 0x08, 0x00, /* JMP 8:10003Ah */
	        0x0f, 0x0b,                               /* UD2 */
	};
	static const uint8_t tables[] = {0x17, 0, 0x10, 0x01, 0x10, 0, 0, 0, 0x37, 0, 0x40, 0x01, 0x10, 0, 0, 0};
	static const uint64_t gdt[] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff}, gate = 0x00108e000008003a;

	memset(image, 0, 0x200);
	memcpy(image, header, sizeof(header));
	memcpy(image + 0x20, code, sizeof(code));
	memcpy(image + 0x100, tables, sizeof(tables));
	memcpy(image + 0x110, gdt, sizeof(gdt));
	memcpy(image + 0x170, &gate, sizeof(gate));
}

static void time_passes(void **state)
{
	char path[] = "/tmp/fault-loop.XXXXXX", err[600] = "";
	const char *const argv[] = {"turnstile", "run",        "--cpu", "plain", "--serial",
	                            "null",      "--max-time", "1ms",   path};
	int fd = mkstemp(path);
	uint8_t image[0x200];
	ts_machine *m = NULL;
	ts_stop why = TS_FAULT;
	uint32_t value = 0;

	(void)state;
	make_image(image);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, image, sizeof(image)), sizeof(image));
	close(fd);
	assert_int_equal(ts_create((int)(sizeof(argv) / sizeof(argv[0])), argv, &m, err, sizeof(err)), TS_OK);
	unlink(path);
	alarm(60); /* without time it would not return */
	assert_int_equal(ts_run(m, 0, &why, &value), TS_OK);
	alarm(0);
	assert_int_equal(why, TS_LIMIT);
	assert_int_equal(value, 2); /* virtual time */
	ts_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(time_passes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
