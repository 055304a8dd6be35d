/* The one option table of the command line: parsing and QEMU's spelling derive from it, help and manual as well. */
#include "api/options.h"

#include <stdlib.h>

#include "api/commands.h"
#include "model/model.h"

/* clang-format off */
static const struct option_row table[] = {
	/* what is built */
	{ "cpu", NULL, ARG_VALUE, PROFILE_BOTH, "NAME|like:FILE[,+FEATURE|-FEATURE|KEY=VALUE...]", "processor model; --cpu help lists them (amd); like:FILE: see turnstile caps", opt_cpu, NULL },
	{ "m", NULL, ARG_VALUE, PROFILE_BOTH, "SIZE", "RAM in MiB, or with K, M, G, T; at most 1 TiB (512M)", opt_memory, NULL },
	{ "smp", NULL, ARG_VALUE, PROFILE_BOTH, "N", "processors, 1 to 32 (1)", opt_smp, NULL },
	{ "kernel", NULL, ARG_VALUE, PROFILE_BOTH, "FILE", "bzImage, ELF with a PVH note, Multiboot 1 or 2", opt_kernel, NULL },
	{ "initrd", NULL, ARG_VALUE, PROFILE_BOTH, "FILE[,FILE...]", "initial RAM disk; for Multiboot modules, each 'FILE ARGS'", opt_initrd, NULL },
	{ "append", NULL, ARG_VALUE, PROFILE_BOTH, "STRING", "the kernel's command line", opt_append, NULL },
	{ "bios", NULL, ARG_OPTIONAL, PROFILE_BOTH, "[FILE]", "start a BIOS, Debian's SeaBIOS or FILE, which starts a disk", opt_bios, "*" },
	{ "uefi", NULL, ARG_OPTIONAL, PROFILE_TURNSTILE, "[VARS][,smm]", "start Debian's OVMF, with variables kept in VARS; smm: its build for secure boot", opt_uefi, "*" },
	{ "pflash", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, "CODE[,VARS][,smm]", "start UEFI firmware from flash; smm: variables are written in SMM alone", opt_pflash, NULL },
	{ "boot", NULL, ARG_VALUE, PROFILE_BOTH, "[order=]c|d|n...|menu", "what firmware starts: disk, CD, network, or what its menu says", opt_boot, NULL },
	{ "serial", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, "stdio|mon:stdio|null|none|file:PATH|unix:PATH|pty|chardev:ID", "COM1, and given twice COM2 (stdio)", opt_serial, NULL },
	{ "debugcon", NULL, ARG_VALUE, PROFILE_BOTH, "stdio|null|none|file:PATH|unix:PATH|pty", "port E9h", opt_debugcon, NULL },
	{ "disk", NULL, ARG_VALUE | ARG_MANY, PROFILE_TURNSTILE, "FILE[,ro][,snapshot]", "a raw image as a virtio disk; may be given several times", opt_disk, NULL },
	{ "net", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, "user[,hostfwd=...]|none", "a virtio network card in a user-mode network (none)", opt_net, NULL },
	{ "rng", NULL, ARG_NONE | ARG_MANY, PROFILE_TURNSTILE, "", "a virtio entropy source, seeded by --seed", opt_flag, NULL },
	{ "fw-cfg", "fw_cfg", ARG_VALUE | ARG_MANY, PROFILE_BOTH, "name=NAME,file=FILE|string=TEXT", "a file for fw_cfg", opt_fwcfg, NULL },
	{ "no-debug-exit", NULL, ARG_NONE | ARG_MANY, PROFILE_TURNSTILE, "", "no debug-exit port F4h (a value V written there ends with status 2V+1)", opt_flag, NULL },
	{ "vga", NULL, ARG_VALUE, PROFILE_BOTH, "std|none", "a VGA with a linear frame buffer as a PCI function, or no VGA at all (a plain one)", opt_vga, NULL },
	{ "display", NULL, ARG_VALUE, PROFILE_BOTH, "text|ppm:FILE|png:FILE|none", "show the screen: as text, or as a picture at the end; gives --vga std", opt_display, NULL },
	{ "device", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, "NAME[,KEY=VALUE...]", "one more device; --device help lists them", opt_device, NULL },
	{ "smbios", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, "type=N,KEY=VALUE...", "names that SMBIOS gives the machine, in QEMU's words", opt_smbios, NULL },
	{ "uuid", NULL, ARG_VALUE, PROFILE_BOTH, "UUID", "the machine's UUID: -smbios type=1,uuid=UUID", opt_uuid, NULL },
	{ "tpm", NULL, ARG_OPTIONAL, PROFILE_BOTH, "[=state=FILE|socket=PATH]", "a TPM 2.0: new at each start, kept in FILE, or a running swtpm", opt_tpm, "state= socket=" },
	{ "monitor", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, "unix:PATH|tcp:HOST:PORT|none", "commands to the running machine by a socket, in the words of QEMU's monitor", opt_monitor, NULL },
	{ "qmp", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, "unix:PATH|tcp:HOST:PORT|none", "the same as JSON objects (QMP)", opt_monitor, NULL },
	/* how it runs */
	{ "rtc", NULL, ARG_VALUE, PROFILE_BOTH, "base=DATE|utc", "the clock's date at power-on (2024-01-01)", opt_rtc, NULL },
	{ "seed", NULL, ARG_VALUE, PROFILE_BOTH, "N", "seeds everything that is random to the guest (0)", opt_seed, NULL },
	{ "jitter", NULL, ARG_VALUE, PROFILE_BOTH, "SEED", "draw the turns of processors and the lateness of devices from SEED", opt_jitter, NULL },
	{ "max-insns", NULL, ARG_VALUE, PROFILE_BOTH, "N", "stop after N instructions, status 6", opt_max_insns, NULL },
	{ "max-time", NULL, ARG_VALUE, PROFILE_BOTH, "TIME", "stop after this virtual time (10s, 500ms), status 6", opt_max_time, NULL },
	{ "timeout", NULL, ARG_VALUE, PROFILE_BOTH, "TIME", "stop after this real time, status 6", opt_timeout, NULL },
	{ "idle", NULL, ARG_VALUE, PROFILE_BOTH, "skip|wait", "an idle machine skips time, or waits as long (waits while input may come)", opt_idle, NULL },
	{ "no-reboot", NULL, ARG_NONE | ARG_MANY, PROFILE_BOTH, "", "end at a reset, status 10", opt_flag, NULL },
	{ "on-triple-fault", NULL, ARG_VALUE, PROFILE_BOTH, "stop|reset", "what a triple fault does (stop)", opt_triple, NULL },
	{ "jit", NULL, ARG_VALUE, PROFILE_BOTH, "off|on|N", "translate blocks of code that have run N times; on: 64 (off)", opt_jit, NULL },
	{ "block-cache", NULL, ARG_VALUE, PROFILE_BOTH, "SIZE", "room for decoded instructions, which is taken as it is needed, in MiB, or with K, M, G; 64K to 4G (256M)", opt_block_cache, NULL },
	{ "jit-cache", NULL, ARG_VALUE, PROFILE_BOTH, "SIZE", "room for translated code, in MiB, or with K, M, G; at most 1G (64M)", opt_jit_cache, NULL },
	{ "stress", NULL, ARG_VALUE, PROFILE_TURNSTILE, "KNOB[,KNOB...]", NULL, opt_stress, NULL }, /* for tests */
	/* what is told */
	{ "explain", NULL, ARG_VALUE, PROFILE_BOTH, "once|block|line|all|off[,FILE]", "what fails: a block on a terminal, else one line (once); FILE.txt or .jsonl", opt_explain, NULL },
	{ "fail-on", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, "refused|sanitize|CHECK[,...]", "end at that event, status 14", opt_fail_on, NULL },
	{ "expect", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, "CHECK[,...]", "take one such refusal off; status 14 if it never comes", opt_expect, NULL },
	{ "trace", NULL, ARG_VALUE, PROFILE_BOTH, "KIND[,KIND...][,KEY=VALUE...][:FILE]", "vm, insn, int, mmio, io, msr, vmread, vmwrite; only where cpu=N, rip=FROM-TO, insns=FROM-TO, reason=EXIT, in=guest|monitor; limit=SIZE keeps the last; FILE.txt, .jsonl or .json (Perfetto)", opt_trace, NULL },
	{ "ring", NULL, ARG_VALUE, PROFILE_BOTH, "N", "keep the last N instructions, for when the machine dies (slow, as --trace=insn is)", opt_ring, NULL },
	{ "stats", NULL, ARG_OPTIONAL, PROFILE_BOTH, "[=FILE]", "counts at the end; as JSON in FILE.json and FILE.jsonl", opt_stats, NULL },
	{ "symbols", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, "FILE[@ADDRESS][,.SECTION=ADDRESS...][,for=monitor|guest]", "names and source lines from an ELF, PE or .ko file; may be given several times", opt_symbols, NULL },
	{ "sanitize", NULL, ARG_OPTIONAL, PROFILE_BOTH, "[=KIND,...]", "report a monitor's mistakes that silicon forgives; --sanitize=help lists the kinds", opt_sanitize, NULL },
	/* who looks inside */
	{ "gdb", NULL, ARG_OPTIONAL, PROFILE_BOTH, "[=tcp:HOST:PORT|unix:PATH]", "listen for gdb (tcp:127.0.0.1:1234)", opt_gdb, "tcp: unix:" },
	{ "s", NULL, ARG_NONE | ARG_MANY, PROFILE_BOTH, "", "the same as --gdb", opt_gdb, NULL },
	{ "S", NULL, ARG_NONE | ARG_MANY, PROFILE_BOTH, "", "run nothing before gdb says so", opt_wait_for_gdb, NULL },
	{ "break-on", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, "WHAT[,...]", "stop for gdb, else end, status 6: refused, entry, exit[=REASON], triple-fault, sanitize, CHECK", opt_break_on, NULL },
	{ "magic-break", NULL, ARG_NONE, PROFILE_BOTH, "", "the same at xchg bx,bx", opt_magic_break, NULL },
	{ "core", NULL, ARG_VALUE, PROFILE_BOTH, "FILE", "an ELF core of the machine for gdb and crash, when it dies", opt_core, NULL },
	{ "version", NULL, ARG_NONE, PROFILE_BOTH, "", "print the version", opt_accept, "*" },
	{ "help", "h", ARG_NONE, PROFILE_BOTH, "", "print this", opt_accept, "*" },
	/* QEMU's words */
	{ "machine", "M", ARG_VALUE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_machine, NULL },
	{ "accel", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_accel, NULL },
	{ "enable-kvm", NULL, ARG_NONE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_enable_kvm, NULL },
	{ "nodefaults", NULL, ARG_NONE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_flag, NULL },
	{ "snapshot", NULL, ARG_NONE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_flag, NULL },
	{ "nographic", NULL, ARG_NONE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_accept, "*" },
	{ "vnc", NULL, ARG_VALUE, PROFILE_BOTH, "no display yet; use -vnc none", NULL, opt_accept, "none" },
	{ "parallel", NULL, ARG_VALUE, PROFILE_BOTH, "no parallel port; use -parallel none", NULL, opt_accept, "none null" },
	{ "no-user-config", NULL, ARG_NONE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_accept, "*" },
	{ "no-shutdown", NULL, ARG_NONE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_ignore, "has no effect: a machine that is off ends the program" },
	{ "no-fd-bootchk", NULL, ARG_NONE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_accept, "*" },
	{ "global", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_global, NULL },
	{ "name", NULL, ARG_VALUE, PROFILE_BOTH, NULL, NULL, opt_accept, "*" },
	{ "msg", NULL, ARG_VALUE, PROFILE_BOTH, NULL, NULL, opt_switches, "timestamp guest-name" },
	{ "overcommit", NULL, ARG_VALUE, PROFILE_BOTH, NULL, NULL, opt_switches, "mem-lock cpu-pm" },
	{ "nic", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_net, NULL },
	{ "netdev", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_netdev, NULL },
	{ "drive", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_drive, NULL },
	{ "hda", NULL, ARG_VALUE, PROFILE_BOTH, NULL, NULL, opt_hda, NULL },
	{ "hdb", NULL, ARG_VALUE, PROFILE_BOTH, NULL, NULL, opt_hda, NULL },
	{ "tpmdev", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_tpmdev, NULL },
	{ "chardev", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_chardev, NULL },
	{ "object", NULL, ARG_VALUE | ARG_MANY, PROFILE_BOTH, NULL, NULL, opt_object, NULL },
	/* what is not there yet, or never will be, and what to do instead */
	{ "cdrom", NULL, ARG_VALUE, PROFILE_BOTH, NULL, NULL, opt_refuse, "no CD drive; use --disk FILE,ro" },
	{ "fda", NULL, ARG_VALUE, PROFILE_BOTH, NULL, NULL, opt_refuse, "no floppy drive; use --disk" },
	{ "mon", NULL, ARG_VALUE, PROFILE_BOTH, NULL, NULL, opt_refuse, "use --monitor or --qmp" },
	{ "daemonize", NULL, ARG_NONE, PROFILE_BOTH, NULL, NULL, opt_refuse, "it stays in the foreground; use the shell's &" },
	{ "loadvm", NULL, ARG_VALUE, PROFILE_BOTH, NULL, NULL, opt_refuse, "no saved machines yet" },
	{ "incoming", NULL, ARG_VALUE, PROFILE_BOTH, NULL, NULL, opt_refuse, "no migration" },
	{ "usb", NULL, ARG_NONE, PROFILE_BOTH, NULL, NULL, opt_refuse, "no USB; use virtio devices" },
	{ "icount", NULL, ARG_VALUE, PROFILE_BOTH, NULL, NULL, opt_refuse, "not needed: time is always counted in instructions" },
	{ "d", NULL, ARG_VALUE, PROFILE_BOTH, NULL, NULL, opt_refuse, "use --trace=vm,insn,int,mmio,io,msr" },
};
/* clang-format on */

enum profile options_profile(const char *argv0)
{
	const char *base = argv0 ? strrchr(argv0, '/') : NULL;

	base = base ? base + 1 : argv0;
	return base && !strncmp(base, "turnstile-system-", 17) ? PROFILE_QEMU : PROFILE_TURNSTILE;
}

/* ---- parsing ---- */

_Static_assert(ARRAY_LEN(table) <= OPT_ROWS, "struct options.given has a place for every row");

const struct option_row *options_find(const char *name, size_t n, enum profile p)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const struct option_row *r = &table[i];
		if (!(r->profiles & p))
			continue;
		if ((strlen(r->name) == n && !memcmp(r->name, name, n)) ||
		    (r->alias && strlen(r->alias) == n && !memcmp(r->alias, name, n)))
			return r;
	}
	return NULL;
}

static const char *row_name(unsigned i, const void *arg)
{
	(void)arg;
	return i < ARRAY_LEN(table) ? table[i].name : NULL;
}

static enum status unknown(const char *word, const char *name, size_t n, struct err *err)
{
	char bare[65];

	snprintf(bare, sizeof(bare), "%.*s", (int)min_u64(n, 64), name);
	const char *near = n > 1 ? opt_nearest(bare, row_name, NULL) : NULL;
	if (near)
		return err_set(err, ST_ARG, "%s: unknown option; did you mean --%s?", word, near);
	return err_set(err, ST_ARG, "%s: unknown option; --help lists them", word);
}

const struct option_row *options_row(size_t n)
{
	return n < ARRAY_LEN(table) ? &table[n] : NULL;
}

const char *options_given(const struct options *o, const char *name)
{
	const struct option_row *r = options_find(name, strlen(name), PROFILE_BOTH);

	return r ? o->given[r - table] : NULL;
}

/* One row with its value; `typed` is how the option was spelled. Where QEMU lets the last one count, it says so. */
static enum status apply(struct options *o, const struct option_row *r, char *typed, const char *value, struct err *err)
{
	char *copy = value ? opt_copy(o, value, strlen(value)) : NULL;
	const char **given = &o->given[r - table];
	enum status s = ST_OK;

	if (!typed || (value && !copy))
		return opt_nomem(err);
	o->option = typed;
	if (*given && !(r->arg & ARG_MANY))
		s = o->profile == PROFILE_QEMU
		            ? opt_note(o, err, ": given more than once; the last one counts")
		            : opt_bad(o, err, ": given already%s%s", strcmp(*given, typed) ? ", as " : "",
		                      strcmp(*given, typed) ? *given : "");
	*given = typed;
	return s == ST_OK ? r->set(o, r, copy, err) : s;
}

/* A file is a kernel; under QEMU's name it is the first disk. */
static enum status positional(struct options *o, const char *word, struct err *err)
{
	const struct option_row *r =
	        o->profile == PROFILE_QEMU ? options_find("hda", 3, o->profile) : options_find("kernel", 6, o->profile);

	return apply(o, r, opt_copy(o, "FILE", 4), word, err);
}

bool options_belongs(const struct option_row *r, const char *word)
{
	const char *p = (r->arg & ARG_KIND) == ARG_OPTIONAL && r->accepts && word ? r->accepts : "";

	if (!strcmp(p, "*"))
		return *word && *word != '-';
	for (size_t n; *p; p += n + (p[n] == ' ')) {
		n = strcspn(p, " ");
		if (!strncmp(word, p, n))
			return true;
	}
	return false;
}

static enum status one_option(struct options *o, int argc, const char *const argv[], int *at, struct err *err)
{
	const char *word = argv[*at], *name = word + (word[1] == '-' ? 2 : 1);
	size_t n = strcspn(name, "=");
	const struct option_row *r = options_find(name, n, o->profile);
	const char *value = name[n] ? name + n + 1 : NULL;

	if (!r)
		return unknown(word, name, n, err);
	char *typed = opt_copy(o, word, (size_t)(name - word) + n);
	if (!typed)
		return opt_nomem(err);
	if ((r->arg & ARG_KIND) == ARG_NONE && value)
		return err_set(err, ST_ARG, "%s takes no value", typed);
	if ((r->arg & ARG_KIND) == ARG_VALUE && !value) {
		if (*at + 1 >= argc)
			return err_set(err, ST_ARG, "%s: a value is missing%s%s", typed, r->help ? ": " : "",
			               r->help ? r->argname : "");
		value = argv[++*at];
	}
	if (!value && *at + 1 < argc && options_belongs(r, argv[*at + 1]))
		value = argv[++*at];
	return apply(o, r, typed, value, err);
}

/* like:FILE: the model and the words that make it so, and one line about what cannot be. */
static enum status likeness(struct options *o, struct err *err)
{
	char *spec, *lacks;
	enum status s = opt_cpu_like(o->cpu, &spec, &lacks, err);

	if (s == ST_OK && *lacks)
		s = opt_note(o, err, " %s: this machine lacks %s", o->cpu, lacks);
	if (s == ST_OK) {
		o->cpu = opt_copy(o, spec, strlen(spec));
		s = o->cpu ? ST_OK : opt_nomem(err);
	}
	free(spec);
	free(lacks);
	return s;
}

static enum status processor(struct options *o, struct err *err)
{
	const char *typed = options_given(o, "cpu");
	enum status s = ST_OK;

	o->option = typed ? typed : "--cpu";
	if (!strncmp(o->cpu, "like:", 5))
		s = likeness(o, err);
	if (s == ST_OK)
		s = model_parse(o->cpu, &o->cfg.model, &o->cfg.feat, err);
	if (s != ST_OK)
		return err_in(err, s, o->option);
	o->cfg.phys_bits = model_phys_bits(o->cpu, o->cfg.model);
	opt_fit_firmware(o);
	const char *unheard = model_unheard(o->cpu);
	if (unheard)
		s = opt_note(o, err, " %s: has no effect", unheard);
	if (s != ST_OK || !model_is_substitute(o->cpu))
		return s;
	return opt_note(o, err, " %.*s: the model '%s' stands in for it", (int)strcspn(o->cpu, ","), o->cpu,
	                o->cfg.model->name);
}

/* Under QEMU's name it is there if -device asks for it. */
static void debug_exit_port(struct options *o)
{
	if (o->profile == PROFILE_QEMU || o->no_debug_exit || o->cfg.debugexit_size)
		return;
	o->cfg.debugexit_port = 0xf4;
	o->cfg.debugexit_size = 4;
}

static enum status finish(struct options *o, struct err *err)
{
	if (!o->serials && !o->nodefaults) {
		o->cfg.serial[0] = opt_copy(o, "stdio", 5);
		o->cfg.serial_option[0] = "--serial";
	}
	enum status s = opt_finish_devices(o, err);
	if (s == ST_OK)
		s = opt_finish_tell(o, err);
	if (s != ST_OK)
		return s;
	debug_exit_port(o);
	opt_finish_screen(o);
	if (!o->cfg.kernel && !o->cfg.firmware.option)
		return err_set(err, ST_ARG, "no kernel: give FILE or --kernel FILE");
	s = opt_finish_firmware(o, options_given(o, "boot"), err);
	if (s != ST_OK)
		return s;
	o->cfg.kernel_option = options_given(o, "kernel");
	o->cfg.initrd_option = options_given(o, "initrd");
	o->cfg.append_option = options_given(o, "append");
	if (o->cfg.debugcon && o->cfg.testdev)
		return err_set(err, ST_ARG, "--debugcon and -device pc-testdev both want port E9h; use one of them");
	if (opt_finish_debug(o, err) != ST_OK)
		return ST_ARG;
	if (opt_finish_jit(o, err) != ST_OK)
		return ST_NOMEM;
	return processor(o, err);
}

static void defaults(struct options *o)
{
	o->cfg.ram = 512ull << 20;
	o->cfg.cpus = 1;
	o->cfg.rtc_epoch = 1704067200; /* 2024-01-01 00:00:00: fixed, so that runs repeat */
	o->cfg.triple_fault_resets = o->profile == PROFILE_QEMU;
	o->cpu = opt_copy(o, "amd", 3);
	opt_default_jit(o);
}

static bool is_run(const struct options *o, int argc, const char *const argv[])
{
	return o->profile == PROFILE_TURNSTILE && argc > 1 && !strcmp(argv[1], "run");
}

static enum status parse(struct options *o, int argc, const char *const argv[], struct err *err)
{
	if (!o->cpu)
		return opt_nomem(err);
	for (int i = is_run(o, argc, argv) ? 2 : 1; i < argc; i++) {
		enum status s = argv[i][0] == '-' && argv[i][1] ? one_option(o, argc, argv, &i, err)
		                                                : positional(o, argv[i], err);
		if (s != ST_OK)
			return s;
	}
	return finish(o, err);
}

enum status options_parse(struct options *o, int argc, const char *const argv[], struct err *err)
{
	*o = (struct options){.profile = options_profile(argc > 0 ? argv[0] : NULL)};
	defaults(o);
	enum status s = parse(o, argc, argv, err);
	return o->out_of_memory ? opt_nomem(err) : s;
}
