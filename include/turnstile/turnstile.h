/*
 * Turnstile, an x86-64 PC in software: the whole public interface. The command line is its first client and has no back
 * door. The library never prints, exits, installs signal handlers or keeps globals: many machines per process, one
 * thread at a time per machine. A program that lets a machine write to pipes ignores SIGPIPE.
 */
#ifndef TURNSTILE_TURNSTILE_H
#define TURNSTILE_TURNSTILE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TS_VERSION "0.1.0"

typedef struct ts_machine ts_machine;
typedef enum { TS_OK, TS_EARG, TS_ENOMEM, TS_EIO, TS_EFAULT, TS_ESTATE } ts_status;
typedef enum { TS_PHYS, TS_LINEAR, TS_GUEST_PHYS, TS_GUEST_LINEAR } ts_space;
/* Why ts_run returned. *value: TS_EXIT_PORT: what was written to the debug-exit port; TS_LIMIT: 1 instructions
 * (--max-insns or max), 2 virtual time, 3 real time, 4 --break-on or --magic-break without a gdb that could come;
 * TS_SHUTDOWN: the processor; TS_FAULT: the library's own fault, ts_error() says; TS_FAILED: a condition of --fail-on, ts_report() "failed" says which. */
typedef enum { TS_POWEROFF, TS_EXIT_PORT, TS_RESET, TS_SHUTDOWN, TS_DEADLOCK, TS_LIMIT, TS_STOPPED, TS_FAULT, TS_FAILED } ts_stop;
enum {
	TS_ON_ENTRY = 1,
	TS_ON_EXIT = 2,
	TS_ON_REFUSED = 4,
	TS_ON_SANITIZE = 8,
	TS_ON_BLOCK = 16,
	TS_ON_IO = 32,
	TS_ON_DEATH = 64,
	TS_ON_NOTE = 128,
	TS_ON_TRACE = 256
};

typedef struct {                /* valid during the callback only */
	uint32_t kind, cpu;     /* one TS_ON_* bit */
	uint64_t insn, rip;     /* retired instructions; linear address */
	uint64_t guest;         /* physical address of the VMCS or VMCB; UINT64_MAX: none */
	uint64_t code, info[2]; /* exit reason, qualification | EXITCODE, EXITINFO1, 2; TS_ON_REFUSED by VMfail: the
	                         * VM-instruction error */
	const char *id, *json;  /* check or sanitizer id, TS_ON_NOTE: "note", or "lost": output that was asked for could
	                           not  be written; the JSON line; never NULL */
	const char *text;       /* the same for a person, one or more lines; never NULL */
	const char *line;       /* the same in one line; never NULL */
	uint64_t count;         /* TS_ON_REFUSED: how often this check has refused this instruction so far. From the second time
	                         * on text and line say what and not where, and json is "", unless --explain has a file of
	                         * objects */
	uint64_t addr, *value;  /* TS_ON_IO: port or address; datum, writable on input */
	uint32_t width, write;  /* TS_ON_IO: bytes; direction */
} ts_event;
typedef int ts_hook_fn(ts_machine *m, const ts_event *e, void *arg); /* 0 go on, 1 stop (TS_ON_IO: handled) */
typedef void ts_put_fn(void *arg, const char *text, size_t len);

/* Words that ask for information (--help, --version, --cpu help, ...): answers through put and returns TS_OK.
 * TS_ESTATE: argv asks for none; go on with ts_create. */
ts_status ts_help(int argc, const char *const argv[], ts_put_fn *put, void *arg);
/* The commands that run no machine: argv[1] is one of check, diff, caps, ...: `turnstile --help` lists them. What they
 * print goes through put; *status is the exit status that the command line ends with. TS_EARG, TS_EIO: bad input,
 * err holds the line that the program would print. */
ts_status ts_command(int argc, const char *const argv[], ts_put_fn *put, void *arg, int *status, char *err,
                     size_t err_len);
/* argv as for `turnstile run`; argv[0] chooses the spelling: `turnstile-system-x86_64` follows QEMU. TS_EARG: err holds
 * the line the program would print. */
ts_status ts_create(int argc, const char *const argv[], ts_machine **out, char *err, size_t err_len);
void ts_destroy(ts_machine *m);
/* max 0: no limit. A machine that has ended (TS_POWEROFF, TS_EXIT_PORT, TS_RESET, TS_SHUTDOWN, TS_FAILED, TS_FAULT) does not run
 * again: the same reason is returned. */
ts_status ts_run(ts_machine *m, uint64_t max, ts_stop *why, uint32_t *value);
void ts_request_stop(ts_machine *m); /* from a signal handler or a hook: ts_run returns TS_STOPPED soon */
const char *ts_error(ts_machine *m); /* after TS_FAULT: one line */

/* Registers by name: "rax", "rip", "rflags", "cs", "cs.base", "cr3", "xcr0", "msr:0xc0000080", "v[3]". *len: size in,
 * used out. TS_EFAULT from msr: the processor itself would refuse. */
ts_status ts_get(ts_machine *m, unsigned cpu, const char *name, void *buf, size_t *len);
ts_status ts_set(ts_machine *m, unsigned cpu, const char *name, const void *buf, size_t len);
/* No faults, no accessed/dirty updates, no device effects. TS_LINEAR: of what the processor runs just now; TS_GUEST_*: of
 * the guest that runs or ran last on it. TS_EFAULT: *done bytes were copied; TS_ESTATE: there is no guest. */
ts_status ts_read(ts_machine *m, unsigned cpu, ts_space s, uint64_t addr, void *buf, size_t len, size_t *done);
ts_status ts_write(ts_machine *m, unsigned cpu, ts_space s, uint64_t addr, const void *buf, size_t len, size_t *done);
/* One hook; a second call replaces it, mask 0 removes it. TS_EARG: a bit of mask is not served yet. When it returns 1,
 * ts_run returns TS_STOPPED with that instruction done and none behind it; the next ts_run goes on there. */
ts_status ts_hook(ts_machine *m, uint32_t mask, ts_hook_fn *fn, void *arg);

/* What was asked for on the command line: "profile" ("turnstile", "qemu"), "stats" ("" or a file), "terminal" ("raw": a
 * guest reads the program's terminal), "explain" ("once", "block", "line", "all", "off"); "NAME-option": how the option NAME was spelled. NULL: not given. */
const char *ts_option(ts_machine *m, const char *name);
/* Texts: "stats" (what --stats prints), "stats.json" (the same as one object on one line), "status" (one line), "where"
 * (a line for each processor), "failed" (what --fail-on ended the run by), "unmet" (a line
 * for each refusal that --expect named and that did not come), "ring" (the last exits, entries and events of each processor, and
 * the instructions that --ring keeps), "hash" (16 digits over registers, devices
 * and RAM: equal after equally many instructions of equal runs), "in-line" (how many bytes the guest has written to standard output if
 * they end within a line, otherwise nothing). TS_EARG: no such report. */
ts_status ts_report(ts_machine *m, const char *what, ts_put_fn *put, void *arg);
/* Sees what is typed before the guest does, at a slice boundary; returns how many bytes of buf to keep. */
ts_status ts_key_filter(ts_machine *m, size_t (*fn)(void *arg, uint8_t *buf, size_t n), void *arg);

#ifdef __cplusplus
}
#endif
#endif
