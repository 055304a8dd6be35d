/* The names of a Linux kernel in its memory: tables made here, as each version has them, found and read back; tables that are cut
 * off or hold anything else are refused, or name something, and nothing worse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "rnd.h"
#include "symbols/symbols.h"

#define AT    0xffffffff82345000ull /* where the memory that is looked at begins */
#define TEXT  0xffffffff81000000ull
#define ROOM  65536
#define NAMES 600

/* What differs between versions. */
struct version {
	const char *name;
	bool behind, order, wide_markers, per_cpu, long_name;
};
static const struct version versions[] = {
        {"4.19", .wide_markers = true, .per_cpu = true},
        {"5.10", .per_cpu = true},
        {"6.1", .per_cpu = true, .long_name = true},
        {"6.2", .order = true, .per_cpu = true, .long_name = true},
        {"6.4", .behind = true, .per_cpu = true, .long_name = true},
        {"6.15", .behind = true, .long_name = true},
};

static u8 memory[ROOM];
static size_t used, sign_at, tokens_at;

static void put(u64 v, unsigned n)
{
	memcpy(memory + used, &v, n);
	used += n;
}

static void align(void)
{
	used = (used + 7) & ~7ul;
}

/* The n'th name and its address; every seventh is data, the first three of a kernel with such are per-processor data. */
static void name_of(unsigned n, char out[400])
{
	snprintf(out, 400, "%c%s%u", n % 7 ? 't' : 'd', n % 3 ? "sys_" : "x", n);
	if (n == 300) /* 300 characters: more than one byte can say */
		for (size_t k = strlen(out); k < 300; k++)
			strcpy(out + k, "z");
}

static u64 address_of(unsigned n)
{
	return TEXT + 0x40 * (u64)n + (n % 5);
}

static void put_offsets(const struct version *v)
{
	align();
	for (unsigned n = 0; n < NAMES; n++)
		put(!v->per_cpu ? address_of(n) - TEXT : n < 3 ? n * 8 : (u64)(TEXT - 1 - address_of(n)), 4);
	align();
	put(TEXT, 8);
}

/* "sys_" is one token, 0xc8; every other one is a character, or empty. */
static void put_names(const struct version *v, u64 marker[])
{
	size_t first = used;
	char name[400];

	for (unsigned n = 0; n < NAMES; n++) {
		u8 numbers[400];
		size_t count = 0;

		if (!(n & 255))
			marker[n >> 8] = used - first;
		name_of(n, name);
		if (!v->long_name && strlen(name) > 200)
			name[200] = 0;
		for (const char *p = name; *p; p++)
			if (!strncmp(p, "sys_", 4)) {
				numbers[count++] = 0xc8;
				p += 3;
			} else {
				numbers[count++] = (u8)*p;
			}
		if (v->long_name && count > 127)
			put((count & 127) | 128 | (count >> 7) << 8, 2);
		else
			put(count, 1);
		memcpy(memory + used, numbers, count);
		used += count;
	}
	align();
}

static void put_tokens(void)
{
	u16 index[256];

	tokens_at = used;
	for (unsigned n = 0; n < 256; n++) {
		index[n] = (u16)(used - tokens_at);
		if (n == '0')
			sign_at = used;
		if (n == 0xc8)
			put(0x5f737973, 4);
		else if (n > ' ' && n < 127)
			memory[used++] = (u8)n;
		memory[used++] = 0;
	}
	align();
	memcpy(memory + used, index, sizeof(index));
	used += sizeof(index);
}

static void make(const struct version *v)
{
	u64 marker[(NAMES + 255) / 256];

	memset(memory, 0, sizeof(memory));
	for (used = 0; used < 4096;)
		put(used * 0x9e3779b97f4a7c15, 8); /* something else lies in front */
	if (!v->behind)
		put_offsets(v);
	put(NAMES, 8);
	put_names(v, marker);
	for (unsigned n = 0; n < ARRAY_LEN(marker); n++)
		put(marker[n], v->wide_markers ? 8 : 4);
	align();
	for (unsigned n = 0; n < NAMES && v->order; n++)
		put(NAMES - 1 - n, 3);
	align();
	put_tokens();
	if (v->behind)
		put_offsets(v);
}

static void every_version(void **state)
{
	(void)state;
	for (const struct version *v = versions; v < versions + ARRAY_LEN(versions); v++) {
		char want[420], name[400], got[420];
		size_t tokens = 0;

		make(v);
		assert_int_equal(kallsyms_sign(memory, sizeof(memory)), sign_at);
		struct symbols *s = kallsyms_read(memory, sizeof(memory), AT, sign_at, &tokens);
		assert_non_null(s);
		assert_int_equal(tokens, tokens_at);
		for (unsigned n = v->per_cpu ? 3 : 0; n < NAMES - 1; n++) { /* the last one's end is not known */
			name_of(n, name);
			if (!v->long_name && strlen(name) > 200)
				name[200] = 0;
			assert_true(symbols_name(s, address_of(n), got, sizeof(got)));
			assert_string_equal(got, name + 1);
			snprintf(want, sizeof(want), "%s+0x21", name + 1);
			assert_true(symbols_name(s, address_of(n) + 0x21, got, sizeof(got)));
			assert_string_equal(got, want);
		}
		assert_false(symbols_name(s, TEXT - 1, got, sizeof(got)));
		assert_false(symbols_name(s, 8, got, sizeof(got)));
		assert_false(symbols_name(s, address_of(NAMES) + 0x1000, got, sizeof(got)));
		symbols_close(s);
	}
}

/* What asks every name that is there. */
static bool survives(size_t size, size_t sign)
{
	size_t tokens = 0;
	u8 *exact = malloc(size ? size : 1); /* so that what reads behind it is seen */
	char got[64];

	memcpy(exact, memory, size);
	struct symbols *s = kallsyms_read(exact, size, AT, sign, &tokens);
	for (unsigned n = 0; s && n < NAMES; n++)
		symbols_name(s, address_of(n), got, sizeof(got));
	bool fine = !s || tokens < size;
	symbols_close(s);
	free(exact);
	return fine;
}

static void cut_off(void **state)
{
	size_t tokens;

	(void)state;
	for (const struct version *v = versions; v < versions + ARRAY_LEN(versions); v++) {
		make(v);
		size_t whole = used;
		for (size_t size = 0; size < whole; size += size < whole - 64 ? 37 : 1) {
			assert_true(survives(size, min_u64(sign_at, size)));
			assert_null(kallsyms_read(memory, size, AT, sign_at, &tokens));
		}
	}
	memset(memory, '0', sizeof(memory));
	assert_int_equal(kallsyms_sign(memory, sizeof(memory)), sizeof(memory));
	assert_null(kallsyms_read(memory, sizeof(memory), AT, 100, &tokens));
}

/* Bytes, words and pieces of the tables are anything, the extremes more often than not. */
static void hostile(void **state)
{
	unsigned fine = 0;

	(void)state;
	for (unsigned turn = 0; turn < 3000; turn++) {
		make(&versions[turn % ARRAY_LEN(versions)]);
		for (u64 n = 1 + rnd() % 4; n; n--) {
			static const u64 values[] = {0, 1, 0x7f, 0x80, 0xff, 0xffff, 0xffffffff, UINT64_MAX, 0x100000, 0x80000000};
			size_t at = rnd() % (used - 8), size = 1u << rnd() % 4;
			u64 value = rnd() % 3 ? values[rnd() % ARRAY_LEN(values)] : rnd();
			memcpy(memory + (rnd() % 2 ? at & ~7ul : at), &value, size);
		}
		fine += survives(used, sign_at);
	}
	assert_int_equal(fine, 3000);
}

/* A name may hold what a terminal would obey: it is shown as something else. */
static void unprintable(void **state)
{
	size_t tokens;
	char got[64];

	(void)state;
	make(&versions[2]);
	for (size_t n = tokens_at; n < sign_at + 1000; n++)
		if (memory[n] == 'x' && !memory[n - 1] && !memory[n + 1])
			memory[n] = 0x1b;
	struct symbols *s = kallsyms_read(memory, sizeof(memory), AT, sign_at, &tokens);
	assert_non_null(s);
	assert_true(symbols_name(s, address_of(3), got, sizeof(got)));
	assert_string_equal(got, "?3");
	symbols_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_version),
	        cmocka_unit_test(cut_off),
	        cmocka_unit_test(hostile),
	        cmocka_unit_test(unprintable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
