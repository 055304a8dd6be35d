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
	const char
	        *says; /* part of the refusal, or of what is said of words that are accepted; NULL: nothing is said */
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

static void refused(const char *name, const struct parse_case *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct options o;
		struct err err;
		enum status s = parse(&o, name, c[i].args, &err);
		if (s == ST_OK || !strstr(err.text, c[i].says))
			fail_msg("%s %s %s: got status %d, '%s', want '%s'", c[i].args[0],
			         c[i].args[1] ? c[i].args[1] : "", c[i].args[1] && c[i].args[2] ? c[i].args[2] : "",
			         (int)s, err.text, c[i].says);
		assert_null(strchr(err.text, '\n'));
		options_free(&o);
	}
}

static void accepted(const char *name, const struct parse_case *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *word = c[i].args[2] ? c[i].args[2] : c[i].args[1];
		struct options o;
		struct err err;
		if (parse(&o, name, c[i].args, &err) != ST_OK)
			fail_msg("%s: refused: %s", word, err.text);
		if (o.notes != (c[i].says != NULL) || (o.notes && !strstr(o.note[0], c[i].says)))
			fail_msg("%s: said '%s', want '%s'", word, o.notes ? o.note[0] : "nothing",
			         c[i].says ? c[i].says : "nothing");
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
	        {{"k", "-vga", "cirrus"}, "-vga cirrus: std or none"},
	        {{"k", "-display", "gtk"}, "-display gtk: text, ppm:FILE, png:FILE or none"},
	        {{"k", "-bios", "seabios.bin"}, "-bios: a BIOS starts no kernel from a file"},
	        {{"-bios", "b", "-pflash", "c"}, "-pflash: -bios is there already"},
	        {{"-pflash", "a,b,c"}, "there are two chips"},
	        {{"-pflash", ""}, "a file is missing"},
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
	refused("turnstile", cases, ARRAY_LEN(cases));
}

/* Words that look like something and are nothing: each names the option as it was typed. */
static void refuses_what_is_not_meant(void **state)
{
	static const struct parse_case cases[] = {
	        {{"k", "-machine", "bogus"}, "-machine bogus: no such machine (q35)"},
	        {{"k", "--machine", ""}, "--machine: a machine is missing"},
	        {{"k", "-M", "q35,accel=bogus"}, "-M bogus: no such accelerator"},
	        {{"k", "-M", "q35,smm=maybe"}, "-M smm=maybe: on or off"},
	        {{"k", "-M", "q35,usb=on"}, "-M usb=on: this machine has none"},
	        {{"k", "-M", "q35,hpet=off"}, "-M hpet=off: this machine always has it"},
	        {{"k", "-M", "q35,frobnicate=on"}, "unknown key"},
	        {{"k", "-accel", "bogus"}, "-accel bogus: no such accelerator"},
	        {{"k", "-accel", "tcg,thred=multi"}, "unknown key 'thred'"},
	        {{"k", "-accel", ""}, "an accelerator is missing"},
	        {{"k", "-boot", "bogus!"}, "-boot bogus!: 'bogus!' is unknown"},
	        {{"k", "-boot", "order=z"}, "'z' is unknown"},
	        {{"k", "-boot", "menu=maybe"}, "'menu' is unknown"},
	        {{"k", "-boot", ""}, "a value is missing"},
	        {{"k", "-cpu", ""}, "-cpu: a model is missing"},
	        {{"k", "-cpu", "amd,+frobnicate"}, "-cpu: unknown processor feature"},
	        {{"k", "-m", ""}, "a size is missing"},
	        {{"k", "-m", "512M,bogus=1"}, "bogus=1: unknown key"},
	        {{"k", "-m", "512M,size=1G"}, "two sizes"},
	        {{"k", "-m", "1.G"}, "not a size"},
	        {{"k", "-m", "1.2345G"}, "not a size"},
	        {{"k", "-m", "512Mx"}, "not a size"},
	        {{"k", "--smp", ""}, "--smp: a number is missing"},
	        {{"k", "-smp", "4x"}, "-smp 4x: not a number"},
	        {{"k", "-smp", "4,cores=0"}, "1 to 32"},
	        {{"k", "-smp", "4,cores=3"}, "do not give 4 processors"},
	        {{"k", "-smp", "4,maxcpus=2"}, "maxcpus is less"},
	        {{"k", "-smp", "4,kernels=2"}, "unknown key"},
	        {{"--kernel="}, "--kernel: the file name is empty"},
	        {{"-kernel", "a", "-kernel", "b"}, "-kernel: given already"},
	        {{"a", "-kernel", "b"}, "-kernel: given already, as FILE"},
	        {{"k", "--append", "a", "-append", "b"}, "-append: given already, as --append"},
	        {{"k", "-m", "512", "-m", "1G"}, "-m: given already"},
	        {{"k", "--cpu", "amd", "--cpu", "intel"}, "--cpu: given already"},
	        {{"k", "--seed", "1", "--seed", "2"}, "given already"},
	        {{"k", "--trace=vm", "--trace=io"}, "given already"},
	        {{"k", "--stats", "--stats=x"}, "given already"},
	        {{"k", "--initrd="}, "file name is empty"},
	        {{"k", "--serial", ""}, "not a channel"},
	        {{"k", "-serial", "tcp::4444"}, "-serial tcp::4444: not a channel"},
	        {{"k", "--serial", "file:"}, "not a channel"},
	        {{"k", "--debugcon", "bogus"}, "--debugcon bogus: not a channel"},
	        {{"k", "--disk", ""}, "--disk: the file name is empty"},
	        {{"k", "-hda", ""}, "-hda: the file name is empty"},
	        {{"k", "--disk", "d,serial=123456789012345678901"}, "at most 20 characters"},
	        {{"k", "-drive", "file=d,readonly=maybe"}, "on or off"},
	        {{"k", "-drive", "file=d,file=e"}, "given already"},
	        {{"k", "-drive", "d,bogus"}, "given already (d)"},
	        {{"k", "-drive", "file=d,media=cdrom"}, "no CD drive"},
	        {{"k", "-drive", "file=d,werror=maybe"}, "unknown"},
	        {{"k", "-drive", "file=d,if=none,id=a", "-drive", "file=e,if=none,id=a"}, "given already"},
	        {{"k", "--net", "user,model=virtio-bogus"}, "virtio is the only card"},
	        {{"k", "--net", "users"}, "use user or none"},
	        {{"k", "-net", "nic,model=e1000"}, "-net model=e1000: virtio is the only card"},
	        {{"k", "-netdev", "user,id=n,restrict=on"}, "cannot be restricted"},
	        {{"k", "-netdev", "user,id=n,ipv6=maybe"}, "on or off"},
	        {{"k", "-netdev", "user,id="}, "id= is empty"},
	        {{"k", "-nic", "tap"}, "-nic tap: no such network"},
	        {{"k", "-chardev", "file,id=c"}, "path=PATH is needed"},
	        {{"k", "-chardev", "socket,id=c,path=s,server=maybe"}, "on or off"},
	        {{"k", "-chardev", "stdio,id=c,logfile=l"}, "unknown key 'logfile'"},
	        {{"k", "-chardev", "null,id=c,path=x"}, "belongs to file and socket"},
	        {{"k", "-object", "rng-bogus,id=r"}, "no such object"},
	        {{"k", "-device", "isa-debug-exit,foo=1"}, "-device isa-debug-exit: unknown key 'foo' (iobase iosize)"},
	        {{"k", "-device", "edu,dma_mask=28z"}, "-device edu: dma_mask=28z: not a number"},
	        {{"k", "-device", "edu,iobase=4"}, "-device edu: unknown key 'iobase' (dma_mask addr)"},
	        {{"k", "-device", "edu", "-device", "edu,addr=5", "-device", "edu", "-device", "edu", "-device", "edu"},
	         "-device edu: at most 4"},
	        {{"k", "--device", "isa-debug-exit,iobase=0xf4z"},
	         "--device isa-debug-exit: iobase=0xf4z: not a number"},
	        {{"k", "-device", "virtio-rng-pci,drive=d"}, "unknown key 'drive'"},
	        {{"k", "-device", "virtio-blk-pci,packed=on"}, "off is all there is"},
	        {{"k", "-drive", "file=d,id=d,if=none", "-device", "virtio-blk-pci,drive=d,addr=3.x"}, "not SLOT"},
	        {{"k", "--rtc", "2020"}, "--rtc 2020: base=DATE is meant"},
	        {{"k", "--rtc", "base=2020"}, "a year alone"},
	        {{"k", "--rtc", ""}, "a value is missing"},
	        {{"k", "--rtc", "base=2023-02-29"}, "not a date"},
	        {{"k", "--rtc", "clock=sundial"}, "unknown"},
	        {{"k", "--seed", "1x"}, "not a number"},
	        {{"k", "--seed", ""}, "not a number"},
	        {{"k", "--max-insns", "10Q"}, "not a number"},
	        {{"k", "-max-insns", "-1"}, "-max-insns -1: not a number above 0"},
	        {{"k", "--idle", ""}, "skip or wait"},
	        {{"k", "--fw_cfg", "name=opt/x"}, "--fw_cfg name=opt/x: one of"},
	        {{"k", "--fw-cfg", "name=opt/x,file=/nonexistent"}, "--fw-cfg: /nonexistent: No such file"},
	        {{"k", "--fw-cfg", "name=opt/x,string=a", "--fw-cfg", "name=opt/x,string=b"},
	         "--fw-cfg name=opt/x: this file is given already"},
	        {{"k", "-uuid", "12"}, "-uuid 12: must be 32 hexadecimal digits"},
	        {{"k", "--tpm", "state=f,socket=s"}, "--tpm state=f,socket=s: a swtpm keeps its own state"},
	        {{"k", "--tpm=stat=f"}, "--tpm stat=f: 'stat' is unknown (state=FILE, socket=PATH)"},
	        {{"k", "--tpm="}, "--tpm: a value is missing"},
	        {{"k", "--tpm=state="}, "state= is empty"},
	        {{"k", "--tpm=state=f,state=g"}, "two times state="},
	        {{"k", "--tpm", "--tpm"}, "--tpm: given already"},
	        {{"k", "-tpmdev", "passthrough,id=t"}, "-tpmdev passthrough: emulator is the only kind"},
	        {{"k", "-tpmdev", "emulator,id=t"}, "id=ID and chardev=ID are needed"},
	        {{"k", "-tpmdev", "emulator,id=t,chardev=c,path=x"}, "-tpmdev emulator: unknown key 'path'"},
	        {{"k", "-device", "tpm-tis,tpmdev=t"}, "-device tpm-tis: tpmdev=t: no free -tpmdev with this id"},
	        {{"k", "-tpmdev", "emulator,id=t,chardev=c", "-device", "tpm-tis,tpmdev=t"},
	         "chardev=c: no free -chardev with this id"},
	        {{"k", "-tpmdev", "emulator,id=t,chardev=c", "-device", "tpm-tis,tpmdev=t", "-chardev", "null,id=c"},
	         "chardev=c: a socket is meant"},
	        {{"k", "-tpmdev", "emulator,id=t,chardev=c", "-device", "tpm-tis,tpmdev=t", "-chardev",
	          "socket,id=c,path=s,server=on", "--tpm"},
	         "there is a TPM already: --tpm"},
	        {{"k", "-device", "tpm-crb"}, "no such device"},
	        {{"k", "-msg", "bogus=on"}, "unknown key 'bogus'"},
	        {{"k", "-overcommit", "mem-lock=maybe"}, "on or off"},
	        {{"k", "-global", "bogus"}, "not DRIVER.PROPERTY=VALUE"},
	        {{"k", "--bios", "b"}, "--bios: a BIOS starts no kernel"},
	        {{"k", "-display", ""}, "text, ppm:FILE, png:FILE or none"},
	};

	(void)state;
	refused("turnstile", cases, ARRAY_LEN(cases));
}

/* What is taken, and means something else here or nothing, is said once. */
static void says_what_means_something_else(void **state)
{
	static const struct parse_case cases[] = {
	        {{"-kernel", "k", "-machine", "pc"}, "-machine pc: the machine is a q35"},
	        {{"-kernel", "k", "-machine", "pc-i440fx-7.2"}, "is a q35"},
	        {{"-kernel", "k", "-machine", "pc-q35-7.2,usb=off,vmport=off,smm=auto"}, NULL},
	        {{"-kernel", "k", "-machine", "q35,smm=on", "-M", "smm=off"}, NULL},
	        {{"-kernel", "k", "-M", "q35,accel=kvm"}, "-M kvm: there is no need"},
	        {{"-kernel", "k", "-M", "q35,accel=tcg:kvm"}, NULL},
	        {{"-kernel", "k", "-M", "q35,accel=kvm:tcg", "-accel", "kvm", "-enable-kvm"},
	         "-M kvm:tcg: there is no need"},
	        {{"-kernel", "k", "-accel", "tcg,thread=multi"}, NULL},
	        {{"-kernel", "k", "-enable-kvm"}, "-enable-kvm: there is no need"},
	        {{"-kernel", "k", "-boot", "c"}, "-boot c: has no effect"},
	        {{"-kernel", "k", "-boot", "order=d,menu=on"}, "has no effect"},
	        {{"-kernel", "k", "-m", "512M,slots=2"}, "slots=2: has no effect"},
	        {{"-kernel", "k", "-smp", "2,maxcpus=4"}, "maxcpus has no effect"},
	        {{"-kernel", "k", "-smp", "4,sockets=2,cores=2"}, "every processor is a core"},
	        {{"-kernel", "k", "-smp", "4,sockets=1,cores=4,threads=1"}, NULL},
	        {{"-kernel", "k", "-cpu", "host,pmu=off"}, "-cpu pmu=off: has no effect"},
	        {{"-kernel", "k", "-cpu", "host,pmu=on,migratable=no"}, NULL},
	        {{"-kernel", "k", "-no-shutdown"}, "-no-shutdown: has no effect"},
	        {{"-kernel", "k", "-global", "kvm-pit.lost_tick_policy=discard"}, "has no effect"},
	        {{"-kernel", "k", "-msg", "timestamp=on"}, "has no effect"},
	        {{"-kernel", "k", "-overcommit", "mem-lock=off"}, NULL},
	        {{"-kernel", "k", "-rtc", "base=2024-02-29,clock=vm,driftfix=slew"}, NULL},
	        {{"-kernel", "k", "-rtc", "base=utc,clock=host"}, "the clock is virtual"},
	        {{"-kernel", "k", "-drive", "file=d,readonly,cache=none,aio=native"}, NULL},
	        {{"-kernel", "k", "-drive", "file=d,werror=stop"}, "reported to the guest"},
	        {{"-kernel", "k", "-drive", "file=d,if=none,id=d"}, "-drive id=d: no device uses it"},
	        {{"-kernel", "k", "-netdev", "user,id=n"}, "-netdev id=n: no device uses it"},
	        {{"-kernel", "k", "-net", "user,hostname=x"}, "hostname=x: has no effect"},
	        {{"-kernel", "k", "-net", "nic,model=virtio", "-net", "user"}, NULL},
	        {{"-kernel", "k", "-net", "nic,macaddr=52:54:00:00:00:01", "-net", "user"}, "a card gets its address"},
	        {{"-kernel", "k", "-object", "rng-random,filename=/dev/urandom,id=r", "-device",
	          "virtio-rng-pci,rng=r"},
	         "randomness comes from --seed"},
	        {{"-kernel", "k", "-device", "pci-testdev,addr=4"}, "addr=4: has no effect"},
	};

	(void)state;
	accepted("turnstile", cases, ARRAY_LEN(cases));
	accepted("turnstile-system-x86_64", cases, ARRAY_LEN(cases));
}

/* QEMU lets the last one count; under its name it does, and that is said. */
static void repeats_under_qemus_name(void **state)
{
	const char *const args[] = {"-kernel", "k", "-m", "512", "-m", "1G", NULL};
	struct options o;
	struct err err;

	(void)state;
	assert_int_equal(parse(&o, "turnstile-system-x86_64", args, &err), ST_OK);
	assert_int_equal(o.cfg.ram, 1ull << 30);
	assert_int_equal(o.notes, 1);
	assert_string_equal(o.note[0], "-m: given more than once; the last one counts");
	options_free(&o);
}

/* Somebody else's processors: the maker's model stands in, and says so; what means "whatever there is" does not. */
static void processors_of_other_lists(void **state)
{
	static const struct {
		const char *spec, *model;
		bool said;
	} cases[] = {
	        {"Skylake-Client", "intel", true},
	        {"Skylake-Client-IBRS", "intel", true},
	        {"Haswell-noTSX", "intel", true},
	        {"Icelake-Server-v5", "intel", true},
	        {"SapphireRapids", "intel", true},
	        {"Nehalem", "intel", true},
	        {"Westmere,+aes", "intel", true},
	        {"core2duo", "core2", true},
	        {"coreduo-v1", "core2", true},
	        {"Conroe", "core2", true},
	        {"Penryn,+sse4.1", "core2", true},
	        {"Penryn,-vmx", "core2", true},
	        {"core2,+vnmi", "core2", false},
	        {"Penryn,vendor=GenuineIntel,+avx,+aes,+xsave", "intel", true}, /* asks for more than it ever had */
	        {"Penryn,vendor=AuthenticAMD", "amd", true},
	        {"Conroe,+svm", "amd", true},
	        {"EPYC,+vmx", "intel", true},
	        {"EPYC", "amd", true},
	        {"EPYC-Milan-v2", "amd", true},
	        {"EPYC-Rome", "amd", true},
	        {"Opteron_G5", "amd", true},
	        {"athlon", "amd", true},
	        {"phenom", "amd", true},
	        {"host", "amd", false},
	        {"max", "amd", false},
	        {"qemu64", "amd", false},
	        {"max,+vmx", "intel", false},
	        {"host,vendor=GenuineIntel", "intel", false},
	        {"max,+svm", "amd", false},
	        {"amd", "amd", false},
	        {"intel,-ept", "intel", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *const args[] = {"k", "--cpu", cases[i].spec, NULL};
		struct options o;
		struct err err;
		if (parse(&o, "turnstile", args, &err) != ST_OK)
			fail_msg("%s: refused: %s", cases[i].spec, err.text);
		assert_string_equal(o.cfg.model->name, cases[i].model);
		assert_int_equal(o.notes, cases[i].said);
		if (cases[i].said) {
			assert_non_null(strstr(o.note[0], cases[i].model));
			assert_int_equal(strncmp(o.note[0], "--cpu ", 6), 0);
			assert_null(strchr(o.note[0], ','));
		}
		options_free(&o);
	}
}

/* The TPM's words: alone, with a value behind it or in it, and QEMU's for a swtpm. */
static void tpm_words(void **state)
{
	static const struct {
		const char *args[MAX_ARGS], *option, *tpm_state, *socket;
	} cases[] = {
	        {{"k"}, NULL, NULL, NULL},
	        {{"--tpm", "k"}, "--tpm", NULL, NULL},
	        {{"-tpm", "state=f", "k"}, "-tpm", "f", NULL},
	        {{"--tpm=state=f,,g", "k"}, "--tpm", "f,g", NULL},
	        {{"k", "--tpm", "socket=s"}, "--tpm", NULL, "s"},
	        {{"k", "--tpm"}, "--tpm", NULL, NULL},
	        {{"k", "-device", "tpm-tis,tpmdev=t", "-tpmdev", "emulator,id=t,chardev=c", "-chardev",
	          "socket,id=c,path=s,,1"},
	         "-tpmdev", NULL, "s,1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct options o;
		struct err err;
		if (parse(&o, "turnstile", cases[i].args, &err) != ST_OK)
			fail_msg("%s", err.text);
		const char *pair[][2] = {{o.cfg.tpm_option, cases[i].option},
		                         {o.cfg.tpm_state, cases[i].tpm_state},
		                         {o.cfg.tpm_socket, cases[i].socket},
		                         {o.cfg.kernel, "k"}};
		for (size_t n = 0; n < ARRAY_LEN(pair); n++) {
			assert_int_equal(!pair[n][0], !pair[n][1]);
			if (pair[n][0])
				assert_string_equal(pair[n][0], pair[n][1]);
		}
		options_free(&o);
	}
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
	        {{"-kernel", "k", "-M", "q35", "-accel", "kvm", "-enable-kvm", "-no-reboot"},
	         "-accel kvm: there is no need"},
	        {{"-kernel", "k", "-device", "virtio-blk-pci,drive=d", "-drive", "id=d,if=none,file=f,format=raw"},
	         NULL},
	        {{"-kernel", "k", "-netdev", "user,id=n,hostfwd=tcp::2222-:22", "-device", "virtio-net-pci,netdev=n"},
	         NULL},
	        {{"-kernel", "k", "-nic", "none", "-name", "x", "-smp", "cpus=4,sockets=1", "-m", "size=1G"}, NULL},
	        {{"-kernel", "k", "-s", "-S"}, NULL},
	        {{"-kernel", "k", "-gdb", "tcp::1234", "-S"}, NULL},
	        {{"-kernel", "k", "-gdb", "unix:/tmp/x,server=on,wait=off"}, NULL},
	        {{"--kernel", "k", "--gdb=4321", "--break-on", "refused,exit=48", "--magic-break", "--core=c"}, NULL},
	};

	(void)state;
	accepted("turnstile", cases, ARRAY_LEN(cases));
	accepted("/usr/bin/turnstile-system-x86_64", cases + 2, ARRAY_LEN(cases) - 2);
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
	        cmocka_unit_test(refuses_what_is_not_meant),
	        cmocka_unit_test(says_what_means_something_else),
	        cmocka_unit_test(repeats_under_qemus_name),
	        cmocka_unit_test(processors_of_other_lists),
	        cmocka_unit_test(accepts_what_runners_use),
	        cmocka_unit_test(tpm_words),
	        cmocka_unit_test(reads_values),
	        cmocka_unit_test(splits_lists),
	        cmocka_unit_test(qemu_name_changes_defaults),
	        cmocka_unit_test(answers_for_scripts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
