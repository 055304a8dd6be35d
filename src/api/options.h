/*
 * api: the implementation of include/turnstile/turnstile.h. options.c holds the one option table of the command line,
 * from which parsing, help and QEMU's spelling derive; opt_*.c the meaning of the words. May call: everything below,
 * include/.
 */
#ifndef API_OPTIONS_H
#define API_OPTIONS_H

#include "api/conditions.h"
#include "gdb/gdb.h"
#include "inspect/inspect.h"
#include "monitor/monitor.h"

enum profile { PROFILE_TURNSTILE = 1, PROFILE_QEMU = 2, PROFILE_BOTH = 3 };

/* A -drive or -netdev or -chardev that a later -device refers to by its id. */
struct named_backend {
	const char *option; /* as it was typed */
	enum { BACKEND_DRIVE, BACKEND_NET, BACKEND_CHAR, BACKEND_RNG, BACKEND_TPM } kind;
	char *id;
	char *path; /* drive: file; char: channel spec; tpm: the id of its channel */
	const char *socket; /* char: where the socket is to which it connects; NULL: it is another channel */
	char *serial;
	bool readonly, snapshot, used;
	struct net_config net;
};
#define OPT_BACKENDS 32
#define OPT_NOTES    16
#define OPT_ROWS     96 /* room for the table */

/* Where refusals are explained: `once` is the block on a terminal and one line elsewhere. */
enum tell { TELL_ONCE, TELL_BLOCK, TELL_LINE, TELL_ALL, TELL_OFF, TELL_WAYS };

struct options {
	struct machine_config cfg;
	enum profile profile;
	char *cpu; /* spec; parsed at the end */
	const char *boot; /* what firmware is to start, as it was given; NULL: not */
	u32 trace;
	u64 sanitize; /* bit n: enum watch_kind n; 0: not asked for */
	char *trace_file;
	struct inspect_symbols symbols[INSPECT_SYMBOLS];
	unsigned symbol_files;
	struct trace_filter filter;
	u64 ring;
	bool stats, nodefaults, snapshot_all, kvm_noted;
	char *stats_file;
	enum tell tell;
	char *explain_file;
	struct condition_list fail_on, expect;
	struct gdb_options gdb;
	struct display_options display;
	struct monitor_options monitor;
	bool vga_given;
	bool no_debug_exit;
	const char *jit_cache_option; /* as it was typed; NULL: not given */
	unsigned serials;
	struct named_backend backend[OPT_BACKENDS];
	unsigned backends;
	char *device[OPT_BACKENDS]; /* -device, resolved when every backend is known */
	const char *device_option[OPT_BACKENDS];
	unsigned devices;
	char *input[MACHINE_FWCFG]; /* files that were read already */
	const char *input_option[MACHINE_FWCFG];
	unsigned inputs;
	const char *option;          /* the one at hand, as it was typed: "--smp", "-smp", "FILE" */
	const char *given[OPT_ROWS]; /* the same by row; NULL: not given */
	const char *note[OPT_NOTES]; /* what means something else here, or nothing, and deserves a word */
	unsigned notes;
	struct opt_string *strings; /* everything that was copied */
	bool out_of_memory;         /* a copy failed: whatever a row says then, this is why */
};

enum option_arg {
	ARG_NONE,
	ARG_VALUE,
	ARG_OPTIONAL /* as --name=VALUE, or the next word, where the row knows its beginning */,
	ARG_KIND = 3,
	ARG_MANY = 4 /* may be repeated */
};
struct option_row {
	const char *name, *alias; /* alias: another spelling, or NULL */
	u8 arg, profiles;         /* enum option_arg bits; enum profile bits */
	const char *argname;      /* for the help; opt_accept: what to say of any other value */
	const char *help;         /* NULL: not listed */
	enum status (*set)(struct options *o, const struct option_row *row, char *value, struct err *err);
	/* opt_accept: the values, space-separated, or "*"; opt_refuse, opt_ignore: the reason; ARG_OPTIONAL: what the word
	 * behind it begins with where it is the value, space-separated */
	const char *accepts;
};

enum status options_parse(struct options *o, int argc, const char *const argv[], struct err *err) must_check;
void options_free(struct options *o);
const struct option_row *options_row(size_t n); /* NULL: past the last */
const struct option_row *options_find(const char *name, size_t n, enum profile p); /* by name or alias; NULL: none */
/* Is `word`, behind an option without a value, that value all the same? */
bool options_belongs(const struct option_row *r, const char *word);
/* How the option of this name was typed; NULL: it was not given. */
const char *options_given(const struct options *o, const char *name);
/* No output may destroy an input or another output. Looks at the files and changes none. */
enum status files_check(struct options *o, struct err *err) must_check;
/* ---- help.c ---- */
struct exit_status_row {
	const char *status, *meaning;
};
extern const struct exit_status_row exit_statuses[];
extern const size_t exit_status_count;
/* true: argv asks for information, which was written to f. */
bool options_help(int argc, const char *const argv[], FILE *f, enum status *s, struct err *err);
enum profile options_profile(const char *argv0);

/* ---- opt_values.c ---- */
char *opt_copy(struct options *o, const char *s, size_t n); /* NULL: out of memory */
/* The next item of a comma-separated list; ",," is a comma. *key is NULL where there is no '='. false: the end. */
bool opt_item(struct options *o, const char **p, char **key, char **value);
bool opt_size(const char *s, u64 unit, u64 *bytes); /* 512, 512M, 6G */
bool opt_number(const char *s, u64 *v);             /* decimal or 0x */
bool opt_count(const char *s, u64 *v);              /* with k, M, G as powers of ten */
bool opt_duration(const char *s, u64 *ns);          /* 10s, 500ms, 2m; plain: seconds */
bool opt_bool(const char *s, bool *v);              /* NULL, on, off, yes, no, true, false */
bool opt_date(const char *s, u64 *epoch);
/* The candidate nearest to word, NULL if none is near. */
const char *opt_nearest(const char *word, const char *(*name)(unsigned i, const void *arg), const void *arg);
enum status opt_nomem(struct err *err);
enum status opt_note(struct options *o, struct err *err, const char *fmt, ...)
        printf_like(3, 4); /* after the option's name */
enum status opt_bad(const struct options *o, struct err *err, const char *fmt, ...) printf_like(3, 4);
bool opt_listed(const char *list, const char *word); /* space-separated; "*": any word */

/* ---- opt_set.c, opt_devices.c, opt_firmware.c, opt_smbios.c, opt_symbols.c, opt_tell.c, opt_tpm.c, opt_trace.c: what the rows call ---- */
#define OPT_SET(name)                                                                                                  \
	enum status opt_##name(struct options *o, const struct option_row *row, char *value, struct err *err)
OPT_SET(accept);
OPT_SET(refuse);
OPT_SET(cpu);
OPT_SET(memory);
OPT_SET(smp);
OPT_SET(kernel);
OPT_SET(initrd);
OPT_SET(append);
OPT_SET(serial);
OPT_SET(debugcon);
OPT_SET(rtc);
OPT_SET(trace);
OPT_SET(ring);
OPT_SET(jitter);
OPT_SET(stats);
OPT_SET(sanitize);
void opt_sanitize_help(FILE *f);
OPT_SET(explain);
OPT_SET(fail_on);
OPT_SET(expect);
OPT_SET(max_insns);
OPT_SET(max_time);
OPT_SET(timeout);
OPT_SET(idle);
OPT_SET(flag);
OPT_SET(triple);
OPT_SET(stress);
OPT_SET(seed);
OPT_SET(jit);
OPT_SET(jit_cache);
OPT_SET(block_cache);
OPT_SET(fwcfg);
OPT_SET(bios);
OPT_SET(pflash);
OPT_SET(uefi);
void opt_fit_firmware(struct options *o); /* the processor, to what firmware can do with it */
enum status opt_finish_firmware(struct options *o, const char *boot_option, struct err *err) must_check;
OPT_SET(machine);
OPT_SET(accel);
OPT_SET(enable_kvm);
OPT_SET(boot);
OPT_SET(switches);
OPT_SET(global);
OPT_SET(ignore);
OPT_SET(disk);
OPT_SET(hda);
OPT_SET(drive);
OPT_SET(net);
OPT_SET(netdev);
OPT_SET(chardev);
OPT_SET(object);
OPT_SET(device);
OPT_SET(smbios);
OPT_SET(symbols);

/* ---- opt_jit.c ---- */
void opt_default_jit(struct options *o);
bool opt_jit_range(const char *s, struct jit_config *j); /* 0x1000-0x2000 */
enum status opt_finish_jit(struct options *o, struct err *err) must_check;

/* ---- opt_screen.c ---- */
OPT_SET(vga);
OPT_SET(display);
OPT_SET(monitor);
void opt_finish_screen(struct options *o);

/* ---- opt_debug.c ---- */
OPT_SET(gdb);
OPT_SET(wait_for_gdb);
OPT_SET(break_on);
OPT_SET(magic_break);
OPT_SET(core);
enum status opt_finish_debug(const struct options *o, struct err *err);
OPT_SET(uuid);
OPT_SET(tpm);
OPT_SET(tpmdev);
enum status opt_finish_tell(const struct options *o, struct err *err) must_check;
const char *opt_tell_name(const struct options *o); /* "once", "block", ... */
void opt_device_help(FILE *f);
enum status opt_finish_devices(struct options *o, struct err *err) must_check;

#endif
