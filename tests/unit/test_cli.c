/* The command line's bad inputs: one line, no machine; and the words that must be accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/options.h"

#define MAX_ARGS 16

struct parse_case {
	const char *args[MAX_ARGS];
	const char *wants; /* part of the line; NULL: accepted */
};

static int count(const char *const *args)
{
	int n = 0;

	while (n < MAX_ARGS && args[n])
		n++;
	return n;
}

static enum status parse(struct options *o, const char *name, const char *const *args, struct err *err)
{
	const char *argv[MAX_ARGS + 1] = {name};
	int n = count(args);

	for (int i = 0; i < n; i++)
		argv[i + 1] = args[i];
	err->text[0] = 0;
	return options_parse(o, n + 1, argv, err);
}

static void run_cases(const char *name, const struct parse_case *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct options o;
		struct err err;
		enum status s = parse(&o, name, c[i].args, &err);
		if (c[i].wants) {
			if (s == ST_OK || !strstr(err.text, c[i].wants))
				fail_msg("%s %s: got status %d, '%s', want '%s'", c[i].args[0],
				         c[i].args[1] ? c[i].args[1] : "", (int)s, err.text, c[i].wants);
			assert_null(strchr(err.text, '\n'));
		} else if (s != ST_OK) {
			fail_msg("%s: refused: %s", c[i].args[0], err.text);
		}
		options_free(&o);
	}
}

static void refuses_bad_input(void **state)
{
	static const struct parse_case cases[] = {
	        {{"run"}, "no kernel"},
	        {{"--kernal", "k"}, "did you mean --kernel?"},
	        {{"--frobnicate"}, "unknown option"},
	        {{"--kern", "k"}, "unknown option"},
	        {{"k", "-m", "0"}, "needs RAM"},
	        {{"k", "-m", "2T"}, "at most 1T"},
	        {{"k", "-m", "many"}, "not a size"},
	        {{"k", "-m", "12Q"}, "not a size"},
	        {{"k", "-m", "99999999999999999999"}, "not a size"},
	        {{"k", "-m"}, "a value is missing"},
	        {{"k", "--smp", "0"}, "1 to 32"},
	        {{"k", "--smp", "33"}, "1 to 32"},
	        {{"k", "--smp", "two"}, "not a number"},
	        {{"k", "l"}, "given already"},
	        {{"k", "--trace=vmm"}, "did you mean vm?"},
	        {{"k", "--trace="}, "kind is missing"},
	        {{"k", "--trace=vm:"}, "file name is empty"},
	        {{"k", "--stats="}, "file name is empty"},
	        {{"k", "--no-reboot=yes"}, "takes no value"},
	        {{"k", "-vga", "std"}, "-vga std: no display yet; use -vga none"},
	        {{"k", "-display", "gtk"}, "no display yet"},
	        {{"k", "-bios", "seabios.bin"}, "no firmware yet"},
	        {{"k", "-device", "e1000"}, "no such device"},
	        {{"k", "-device", "virtio-blk-pc"}, "did you mean virtio-blk-pci?"},
	        {{"k", "-device", "virtio-blk-pci,drive=d0"}, "no -drive with this id"},
	        {{"k", "-device", "isa-debug-exit,iobase=0x10000"}, "iobase is a port"},
	        {{"k", "-device", "pc-testdev", "--debugcon", "stdio"}, "port E9h"},
	        {{"k", "-drive", "file=d,if=ide"}, "use if=virtio"},
	        {{"k", "-drive", "file=d,format=qcow2"}, "qemu-img convert"},
	        {{"k", "-drive", "if=virtio"}, "file=FILE is needed"},
	        {{"k", "--disk", "d,rw"}, "'rw' is unknown"},
	        {{"k", "--net", "tap"}, "use user or none"},
	        {{"k", "--net", "user,macaddr=12:34"}, "not a MAC address"},
	        {{"k", "--serial", "stdio", "--serial", "stdio"}, "has the terminal already"},
	        {{"k", "--serial", "null", "--serial", "null", "--serial", "null"}, "two serial ports"},
	        {{"k", "--rtc", "base=yesterday"}, "not a date"},
	        {{"k", "--rtc", "base=2024-13-01"}, "not a date"},
	        {{"k", "--max-insns", "0"}, "above 0"},
	        {{"k", "--max-time", "10parsecs"}, "not a time"},
	        {{"k", "--timeout", ""}, "not a time"},
	        {{"k", "--idle", "sleep"}, "skip or wait"},
	        {{"k", "--on-triple-fault=ignore"}, "stop or reset"},
	        {{"k", "--seed", "lucky"}, "not a number"},
	        {{"k", "--fw-cfg", "name=opt/x"}, "one of file=FILE and string=TEXT"},
	        {{"k", "--fw-cfg", "string=x"}, "name=NAME"},
	        {{"k", "--fw-cfg", "name=opt/x,file=/nonexistent"}, "/nonexistent"},
	        {{"k", "--cpu", "amd,+vmx,+svm"}, "vmx"},
	        {{"k", "--cpu", "i386sx"}, "i386sx"},
	};

	(void)state;
	run_cases("turnstile", cases, ARRAY_LEN(cases));
}

static void accepts_what_runners_use(void **state)
{
	static const struct parse_case cases[] = {
	        {{"run", "k"}, NULL},
	        {{"run", "--kernel", "k", "-append", "a b", "--serial=file:x"}, NULL},
	        {{"-nodefaults", "-device", "pc-testdev", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4", "-vnc",
	          "none", "-serial", "stdio", "-device", "pci-testdev", "-machine", "accel=tcg", "-kernel", "k"},
	         NULL},
	        {{"-kernel", "k", "-nographic", "-display", "none", "-vga", "none", "-monitor", "none",
	          "-no-user-config"},
	         NULL},
	        {{"-kernel", "k", "-M", "q35", "-accel", "kvm", "-enable-kvm", "-no-shutdown", "-no-reboot"}, NULL},
	        {{"-kernel", "k", "-device", "virtio-blk-pci,drive=d", "-drive", "id=d,if=none,file=f,format=raw"},
	         NULL},
	        {{"-kernel", "k", "-netdev", "user,id=n,hostfwd=tcp::2222-:22", "-device", "virtio-net-pci,netdev=n"},
	         NULL},
	        {{"-kernel", "k", "-global", "x.y=z", "-nic", "none", "-smp", "cpus=4,sockets=1", "-m", "size=1G"},
	         NULL},
	};

	(void)state;
	run_cases("turnstile", cases, ARRAY_LEN(cases));
	run_cases("/usr/bin/turnstile-system-x86_64", cases + 2, ARRAY_LEN(cases) - 2);
}

static void reads_values(void **state)
{
	u64 v;

	(void)state;
	assert_true(opt_size("512", 1 << 20, &v) && v == 512ull << 20);
	assert_true(opt_size("6G", 1 << 20, &v) && v == 6ull << 30);
	assert_true(opt_size("1.5G", 1 << 20, &v) && v == 3ull << 29);
	assert_true(opt_size("1T", 1 << 20, &v) && v == 1ull << 40);
	assert_false(opt_size("99999999T", 1 << 20, &v));
	assert_false(opt_size("G", 1 << 20, &v));
	assert_true(opt_duration("10s", &v) && v == 10000000000ull);
	assert_true(opt_duration("500ms", &v) && v == 500000000ull);
	assert_true(opt_duration("0.25", &v) && v == 250000000ull);
	assert_true(opt_count("3M", &v) && v == 3000000);
	assert_true(opt_number("0xf4", &v) && v == 0xf4);
	assert_false(opt_number("-1", &v));
	assert_true(opt_date("1970-01-02", &v) && v == 86400);
	assert_true(opt_date("2006-06-17T16:01:21", &v) && v == 1150560081);
	assert_false(opt_date("2006-06-17T16:01", &v));
}

static void splits_lists(void **state)
{
	struct options o = {0};
	const char *p = "file=a,,b,ro,serial=x=y";
	char *key, *value;

	(void)state;
	assert_true(opt_item(&o, &p, &key, &value));
	assert_string_equal(key, "file");
	assert_string_equal(value, "a,b");
	assert_true(opt_item(&o, &p, &key, &value));
	assert_null(key);
	assert_string_equal(value, "ro");
	assert_true(opt_item(&o, &p, &key, &value));
	assert_string_equal(key, "serial");
	assert_string_equal(value, "x=y");
	assert_false(opt_item(&o, &p, &key, &value));
	options_free(&o);
}

static void qemu_name_changes_defaults(void **state)
{
	const char *const args[] = {"-kernel", "k", NULL};
	struct options o;
	struct err err;

	(void)state;
	assert_int_equal(parse(&o, "x/turnstile-system-x86_64", args, &err), ST_OK);
	assert_true(o.cfg.triple_fault_resets);
	assert_int_equal(o.profile, PROFILE_QEMU);
	options_free(&o);
	assert_int_equal(parse(&o, "turnstile", args, &err), ST_OK);
	assert_false(o.cfg.triple_fault_resets);
	assert_int_equal(o.cfg.ram, 512ull << 20);
	assert_string_equal(o.cfg.serial[0], "stdio");
	options_free(&o);
}

static bool helps(const char *name, const char *a, const char *b, const char *wants)
{
	const char *argv[] = {name, a, b};
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	enum status s;
	struct err err;
	bool asked = options_help(b ? 3 : 2, argv, f, &s, &err);

	fclose(f);
	bool ok = wants ? asked && strstr(text, wants) : !asked;
	free(text);
	return ok;
}

static void answers_for_scripts(void **state)
{
	const char *q = "turnstile-system-x86_64";

	(void)state;
	assert_true(helps(q, "--help", NULL, "QEMU"));
	assert_true(helps(q, "-h", NULL, "-kernel"));
	assert_true(helps(q, "-version", NULL, "QEMU emulator version "));
	assert_true(helps(q, "-device", "help", "name \"isa-debug-exit\", bus ISA"));
	assert_true(helps(q, "-device", "?", "name \"pci-testdev\", bus PCI"));
	assert_true(helps(q, "-machine", "help", "q35"));
	assert_true(helps("turnstile", "--help", NULL, "turnstile run"));
	assert_true(helps("turnstile", "run", "--help", "--kernel"));
	assert_true(helps("turnstile", "--append", "--help", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(refuses_bad_input),
	        cmocka_unit_test(accepts_what_runners_use),
	        cmocka_unit_test(reads_values),
	        cmocka_unit_test(splits_lists),
	        cmocka_unit_test(qemu_name_changes_defaults),
	        cmocka_unit_test(answers_for_scripts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
