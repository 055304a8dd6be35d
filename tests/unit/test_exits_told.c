/*
 * Exits in words. The bits are those of "Exit Qualification" (tables of control-register accesses, MOV DR, I/O instructions, task
 * switches, APIC accesses, EPT violations) and of "SVM Intercept Exit Codes" with the sections of EXITINFO1 and 2.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "svm/svm.h"
#include "vmx/vmx.h"

struct row {
	u64 code, info[2];
	const char *text;
};

static void tell(void (*told)(const struct cpu *, const struct exit_record *, struct exit_told *), const struct row *r, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		struct exit_told o;

		told(NULL, &(struct exit_record){.code = r[k].code, .info = {r[k].info[0], r[k].info[1]}}, &o);
		assert_string_equal(o.text, r[k].text);
	}
}

static void vmx(void **state)
{
	static const struct row rows[] = {
	        {28, {0x300}, "MOV CR0, RBX"},
	        {28, {0x814}, "MOV R8, CR4"},
	        {28, {0x20}, "CLTS"},
	        {28, {0xabcd0070}, "LMSW 0xabcd from memory"},
	        {29, {0x007}, "MOV DR7, RAX"},
	        {29, {0x916}, "MOV R9, DR6"},
	        {30, {0x03f80048}, "IN of 1 byte at port 0x3f8"},
	        {30, {0x01f00031}, "REP OUTS of 2 bytes at port 0x1f0"},
	        {30, {0x0cf80003}, "OUT of 4 bytes at port 0xcf8"},
	        {9, {0xc0000028}, "to selector 0x0028 by a task gate"},
	        {9, {0x40000030}, "to selector 0x0030 by IRET"},
	        {44, {0x10b0}, "write at offset 0xb0"},
	        {44, {0x2020}, "fetch at offset 0x20"},
	        {48, {0x182}, "write, entry allows nothing"},
	        {48, {0x0a1}, "read of a paging structure, entry allows execute"},
	        {48, {0x19c}, "fetch, entry allows read, write"},
	        {36, {1}, "armed"},
	        {4, {0x9a}, "vector 0x9a"},
	        {12, {0}, ""},
	};

	(void)state;
	tell(vmx_exit_told, rows, ARRAY_LEN(rows));
}

static void svm(void **state)
{
	static const struct row rows[] = {
	        {0x7b, {0x03f80011, 0}, "IN of 1 byte at port 0x3f8"},
	        {0x7b, {0x01f0002c, 0}, "REP OUTS of 2 bytes at port 0x1f0"},
	        {0x7b, {0x0cf80040, 0}, "OUT of 4 bytes at port 0xcf8"},
	        {0x400, {0x100000004, 0x5000}, "read, not present"},
	        {0x400, {0x200000007, 0x5000}, "write of a paging structure, protection"},
	        {0x400, {0x100000015, 0x5000}, "fetch, protection"},
	        {0x400, {0x10000000d, 0x5000}, "read, reserved bit"},
	        {0x10, {0x8000000000000003, 0}, "RBX"},
	        {0x10, {0, 0}, ""},
	        {0x27, {9, 0}, "R9"},
	        {0x75, {0x80, 0}, "vector 0x80"},
	        {0x79, {0x7000, 0}, "address 0x7000"},
	        {0x7c, {1, 0}, "WRMSR"},
	        {0x7d, {0x28, 1ull << 36}, "to selector 0x0028 by IRET"},
	        {0x7d, {0x28, 1ull << 38}, "to selector 0x0028 by a far jump"},
	        {0x7d, {0x28, 1ull << 44 | 0x10}, "to selector 0x0028 by a far call or a task gate, error code 0x10"},
	        {0x402, {0x1000000b0, 0x31}, "write at offset 0xb0, vector 0x31"},
	        {~0ull, {0, 0}, ""},
	};
	struct exit_told o;

	(void)state;
	tell(svm_exit_told, rows, ARRAY_LEN(rows));
	svm_exit_told(NULL, &(struct exit_record){.code = 0x4e, .info = {6, 0x1234}}, &o);
	assert_true(o.event.type == EV_HW && o.event.vector == EX_PF && o.event.error == 6 && o.event.payload == 0x1234);
	svm_exit_told(NULL, &(struct exit_record){.code = 0x400, .info = {4, 0x9000}}, &o);
	assert_true(o.has_gpa && o.gpa == 0x9000 && o.event.type == EV_NONE);
}

/* Every exit once, each with a name. */
static void all(void **state)
{
	bool (*const at[])(size_t, u64 *, const char **) = {vmx_exit_at, svm_exit_at};
	u64 code, last;
	const char *name;

	(void)state;
	for (size_t v = 0; v < ARRAY_LEN(at); v++) {
		size_t n = 0;
		for (last = 0; at[v](n, &code, &name); n++, last = code) {
			assert_true(!n || code > last);
			assert_true(*name);
		}
		assert_true(n > 50);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(vmx), cmocka_unit_test(svm), cmocka_unit_test(all)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
