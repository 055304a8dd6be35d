/*
 * The SMBIOS tables as a program finds them: entry points by their anchors, structures by their lengths, strings by
 * their numbers; offsets from the "System Management BIOS (SMBIOS) Reference Specification", version 3.0.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <turnstile/turnstile.h>

static char kernel[] = "/tmp/test_smbios.XXXXXX";
static uint8_t area[0x10000]; /* F0000h to FFFFFh */

static uint64_t get(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

static uint8_t sum(const uint8_t *p, unsigned n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* ---- a machine, and what it has there ---- */

static void boot(const char *const *more)
{
	const char *argv[32] = {"turnstile", "run", "--serial", "null", "--kernel", kernel};
	int n = 6;
	char err[600];
	ts_machine *m;
	size_t done;

	while (*more)
		argv[n++] = *more++;
	if (ts_create(n, argv, &m, err, sizeof(err)) != TS_OK)
		fail_msg("%s", err);
	assert_int_equal(ts_read(m, 0, TS_PHYS, 0xf0000, area, sizeof(area), &done), TS_OK);
	ts_destroy(m);
}

/* The one 16-byte paragraph that begins with these bytes. */
static const uint8_t *anchor(const char *text)
{
	const uint8_t *found = NULL;

	for (unsigned at = 0; at < sizeof(area); at += 16) {
		if (memcmp(area + at, text, strlen(text)))
			continue;
		assert_null(found);
		found = area + at;
	}
	assert_non_null(found);
	return found;
}

struct found {
	const uint8_t *p; /* NULL: none */
	unsigned count;
};
static struct found type[256];
static unsigned structures, longest, total;

/* The strings behind a structure end with two zero bytes. */
static const uint8_t *behind(const uint8_t *p)
{
	p += p[1];
	while (p[0] || p[1])
		p++;
	return p + 2;
}

static void walk(void)
{
	const uint8_t *e = anchor("_SM3_"), *p = area + (get(e + 16, 8) - 0xf0000), *first = p;
	uint16_t handle[512];

	memset(type, 0, sizeof(type));
	structures = longest = 0;
	for (bool last = false; !last; structures++) {
		const uint8_t *next = behind(p);
		last = p[0] == 127;
		assert_true(p[1] >= 4);
		if (!type[p[0]].count++)
			type[p[0]].p = p;
		handle[structures] = (uint16_t)get(p + 2, 2);
		for (unsigned k = 0; k < structures; k++)
			assert_int_not_equal(handle[k], handle[structures]);
		if (next - p > longest)
			longest = (unsigned)(next - p);
		p = next;
	}
	total = (unsigned)(p - first);
}

static const char *string(unsigned t, unsigned offset)
{
	assert_non_null(type[t].p);
	assert_true(offset < type[t].p[1]);
	unsigned n = type[t].p[offset];
	const char *s = (const char *)type[t].p + type[t].p[1];

	if (!n)
		return "";
	while (--n)
		s += strlen(s) + 1;
	assert_true(*s);
	return s;
}

static uint64_t field(unsigned t, unsigned offset, unsigned n)
{
	assert_non_null(type[t].p);
	assert_true(offset + n <= type[t].p[1]);
	return get(type[t].p + offset, n);
}

/* ---- tests ---- */

static void entry_points(void **state)
{
	(void)state;
	boot((const char *const[]){NULL});
	walk();
	const uint8_t *e = anchor("_SM3_");
	assert_int_equal(e[6], 0x18);
	assert_int_equal(sum(e, e[6]), 0);
	assert_int_equal(e[7], 3);
	assert_int_equal(e[10], 1);
	assert_true(get(e + 12, 4) >= total);
	e = anchor("_SM_");
	assert_int_equal(e[5], 0x1f);
	assert_int_equal(sum(e, e[5]), 0);
	assert_memory_equal(e + 16, "_DMI_", 5);
	assert_int_equal(sum(e + 16, 15), 0);
	assert_int_equal(get(e + 8, 2), longest);
	assert_int_equal(get(e + 22, 2), total);
	assert_int_equal(get(e + 24, 4), get(anchor("_SM3_") + 16, 8));
	assert_int_equal(get(e + 28, 2), structures);
}

static void defaults(void **state)
{
	static const struct {
		unsigned type, least, count;
	} row[] = {
	        /* the length of each in version 3.0 */
	        {0, 0x18, 1},  {1, 0x1b, 1},  {2, 0, 0},     {3, 0x16, 1},  {4, 0x30, 1}, {11, 0, 0},
	        {16, 0x17, 1}, {17, 0x28, 1}, {19, 0x1f, 1}, {32, 0x0b, 1}, {127, 4, 1},
	};

	(void)state;
	boot((const char *const[]){"--cpu", "intel", "--smp", "3", "-m", "768M", NULL});
	walk();
	for (size_t n = 0; n < sizeof(row) / sizeof(row[0]); n++) {
		assert_int_equal(type[row[n].type].count, row[n].count);
		if (row[n].count)
			assert_int_equal(type[row[n].type].p[1], row[n].least);
	}
	assert_string_equal(string(0, 4), "Turnstile");
	assert_string_equal(string(0, 5), TS_VERSION);
	assert_int_equal(strlen(string(0, 8)), 10);
	assert_int_equal(field(0, 0x13, 1) & 0x18, 0x10); /* a virtual machine, not UEFI */
	assert_string_equal(string(1, 4), "Turnstile");
	assert_int_equal(field(1, 8, 8) | field(1, 16, 8), 0);
	assert_string_equal(string(4, 4), "CPU 0");
	assert_string_equal(string(4, 7), "GenuineIntel");
	assert_int_equal(field(4, 8, 4), 0x000806f8); /* CPUID 1 EAX */
	assert_int_equal(field(4, 0x18, 1), 0x41);    /* populated, enabled */
	assert_int_equal(field(4, 0x23, 1), 3);
	assert_int_equal(field(4, 0x2a, 2), 3);
	assert_int_equal(field(4, 0x26, 2), 0x6c); /* 64 bits, several cores, no-execute, virtualization */
	assert_int_equal(field(16, 7, 4), 768 << 10);
	assert_int_equal(field(17, 4, 2), field(16, 2, 2));
	assert_int_equal(field(17, 12, 2), 768);
	assert_string_equal(string(17, 0x10), "DIMM 0");
	assert_int_equal(field(19, 4, 4), 0);
	assert_int_equal(field(19, 8, 4), (768 << 10) - 1);
	assert_int_equal(field(19, 12, 2), field(16, 2, 2));
	assert_int_equal(field(32, 10, 1), 0);
}

static void much_memory(void **state)
{
	(void)state;
	boot((const char *const[]){"-m", "40G", NULL});
	walk();
	assert_int_equal(field(16, 7, 4), 40 << 20);
	assert_int_equal(field(16, 13, 2), 3);
	assert_int_equal(type[17].count, 3);
	assert_int_equal(field(17, 12, 2), 16 << 10);
	const uint8_t *p = type[17].p;
	p = behind(behind(p));
	assert_int_equal(get(p + 12, 2), 8 << 10);
	assert_int_equal(type[19].count, 2);
	assert_int_equal(field(19, 8, 4), (2 << 20) - 1);
	p = behind(type[19].p);
	assert_int_equal(get(p + 4, 4), 4 << 20);
	assert_int_equal(get(p + 8, 4), (42 << 20) - 1);
}

static void names(void **state)
{
	static const uint8_t uuid[16] = {0x67, 0x45, 0x23, 0x01, 0xab, 0x89, 0xef, 0xcd,
	                                 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};

	(void)state;
	boot((const char *const[]){"-smbios", "type=0,vendor=V,,comma,version=7,date=02/03/2004,release=4.2,uefi=on",
	                           "-smbios", "type=1,manufacturer=M,product=P,version=W,serial=S,sku=K,family=F",
	                           "-uuid", "01234567-89ab-CDEF-0123-456789abcdef", "-smbios", "type=2,product=board",
	                           "-smbios", "type=3,asset=A,sku=U", "-smbios",
	                           "type=4,sock_pfx=Socket,manufacturer=C,version=model,max-speed=4000", "-smbios",
	                           "type=11,value=one,value=two", "-smbios", "type=11,value=three", "-smbios",
	                           "type=17,loc_pfx=Slot,bank=B,speed=3200", NULL});
	walk();
	assert_string_equal(string(0, 4), "V,comma");
	assert_string_equal(string(0, 5), "7");
	assert_string_equal(string(0, 8), "02/03/2004");
	assert_int_equal(field(0, 0x14, 2), 0x0204);
	assert_int_equal(field(0, 0x13, 1) & 8, 8);
	assert_string_equal(string(1, 4), "M");
	assert_string_equal(string(1, 5), "P");
	assert_string_equal(string(1, 6), "W");
	assert_string_equal(string(1, 7), "S");
	assert_memory_equal(type[1].p + 8, uuid, 16);
	assert_string_equal(string(1, 0x19), "K");
	assert_string_equal(string(1, 0x1a), "F");
	assert_string_equal(string(2, 5), "board");
	assert_int_equal(field(2, 0xb, 2), field(3, 2, 2)); /* in that chassis */
	assert_string_equal(string(3, 8), "A");
	assert_string_equal(string(3, 0x15), "U");
	assert_string_equal(string(4, 4), "Socket 0");
	assert_string_equal(string(4, 7), "C");
	assert_string_equal(string(4, 0x10), "model");
	assert_int_equal(field(4, 0x14, 2), 4000);
	assert_int_equal(field(11, 4, 1), 3);
	const char *s = (const char *)type[11].p + 5;
	assert_memory_equal(s, "one\0two\0three\0", 15);
	assert_string_equal(string(17, 0x10), "Slot 0");
	assert_string_equal(string(17, 0x11), "B");
	assert_int_equal(field(17, 0x15, 2), 3200);
}

static void refusals(void **state)
{
	static const struct {
		const char *value, *wants;
	} row[] = {
	        {"vendor=x", "type=NUMBER must come first"}, {"type=9,slot=1", "types 0, 1, 2, 3, 4, 11 and 17"},
	        {"type=1,color=red", "unknown key"},         {"type=1,uuid=1234", "32 hexadecimal digits"},
	        {"type=0,release=4", "two numbers"},         {"type=4,max-speed=70000", "up to 65535"},
	        {"type=11,value=", "empty string"},          {"", "missing"},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(row) / sizeof(row[0]); n++) {
		const char *argv[] = {"turnstile", "run", "-smbios", row[n].value, kernel};
		char err[600];
		ts_machine *m;
		assert_int_equal(ts_create(5, argv, &m, err, sizeof(err)), TS_EARG);
		if (!strstr(err, row[n].wants))
			fail_msg("%s: %s", row[n].value, err);
	}
	/* more strings than there is room */
	char *many = malloc(40000);
	strcpy(many, "type=11,value=");
	memset(many + 14, 'x', 35000);
	many[14 + 35000] = 0;
	const char *argv[] = {"turnstile", "run", "-smbios", many, kernel};
	char err[600];
	ts_machine *m;
	assert_int_equal(ts_create(5, argv, &m, err, sizeof(err)), TS_EARG);
	assert_non_null(strstr(err, "KiB together"));
	free(many);
}

/* The smallest kernel: Multiboot 1 by addresses. */
static int make_kernel(void **state)
{
	static const uint32_t image[] = {0x1badb002, 0x10000,  0u - 0x1badb002 - 0x10000,
	                                 0x100000,   0x100000, 0x100040,
	                                 0x100040,   0x100020, 0xf4f4f4f4};
	uint8_t file[64] = {0};
	int fd = mkstemp(kernel);

	(void)state;
	memcpy(file, image, sizeof(image));
	return fd < 0 || write(fd, file, sizeof(file)) != sizeof(file) || close(fd);
}

static int remove_kernel(void **state)
{
	(void)state;
	return unlink(kernel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(entry_points), cmocka_unit_test(defaults), cmocka_unit_test(much_memory),
	        cmocka_unit_test(names),        cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, make_kernel, remove_kernel);
}
