/*
 * gdb: a server for gdb's remote protocol. One target of as many threads as there are processors, one description of all
 * registers, breakpoints and watchpoints that nothing in the machine can see, stops that a hypervisor's author wants, and
 * the ELF core of a machine. docs/gdb.md says how it is used. packet.c: bytes; server.c: the connection and the run;
 * command.c: what each packet asks; registers.c, memory.c, points.c: what they are about; view.c: addresses of the other
 * side of a world switch; monitor.c: gdb's `monitor` commands; stops.c: --break-on; core.c: --core.
 * May call: base, arch, mem, cpu, dev, machine, inspect. Called by: api.
 */
#ifndef GDB_GDB_H
#define GDB_GDB_H

#include "inspect/inspect.h"

#define GDB_BREAKS 16
struct gdb_options {
	const char *listen; /* tcp:HOST:PORT, unix:PATH; NULL: nobody is listened to, --break-on alone */
	const char *option; /* as typed, for messages */
	const char *wait;   /* -S as typed: nothing runs before a debugger says so; NULL: not asked for */
	bool magic;         /* xchg bx,bx is a breakpoint */
	const char *stop[GDB_BREAKS], *stop_option; /* --break-on */
	unsigned stops;
	const char *core, *core_option;
};

struct gdb;
/* Listens from here on. `inspect` must outlive it. */
enum status gdb_new(struct gdb **out, struct machine *m, struct inspect *i, const struct gdb_options *o,
                    struct err *err) must_check;
void gdb_free(struct gdb *g); /* before the machine */
/* machine_run(), with a debugger who may stop it and let it go on. MSTOP_DEBUG: stopped, and nobody can come and look. */
enum machine_stop gdb_run(struct gdb *g, u64 max_insns, struct err *err);
/* What is told of the run, for stops and for `monitor explain`. */
void gdb_told(struct gdb *g, const struct inspect_event *e);
/* A VM entry (x NULL) or exit has taken place. */
void gdb_switched(struct gdb *g, struct cpu *c, const struct exit_record *x);
/* Memory as a debugger sees it: nothing faults, no flag is set, no device is read. How many bytes were moved. */
enum gdb_space {
	GDB_LINEAR,       /* of what the processor runs just now */
	GDB_HOST_LINEAR,  /* the monitor's, also while a guest runs */
	GDB_GUEST_LINEAR, /* the guest's that runs or ran last, also while the monitor runs */
	GDB_GUEST_PHYS,
	GDB_PHYS,
	GDB_SPACES
};
size_t gdb_read(struct cpu *c, enum gdb_space s, u64 addr, void *buf, size_t n);
size_t gdb_write(struct cpu *c, enum gdb_space s, u64 addr, const void *buf, size_t n);
bool gdb_sees(struct cpu *c, enum gdb_space s); /* false: there is no guest to look into */

const char *gdb_address(const struct gdb *g); /* "tcp:127.0.0.1:1234"; NULL: none */
bool gdb_valid_stop(const char *what);        /* is it one of --break-on's words? What only a machine knows passes */
/* An ELF core. `dead`: whose registers and addresses come first; NULL: the first processor. */
enum status gdb_core(struct machine *m, struct cpu *dead, const char *option, const char *path, struct err *err);

/* ---- without a socket: for who brings the bytes; gdb_run() then comes back at every stop, MSTOP_DEBUG ---- */
void gdb_attach(struct gdb *g, void (*send)(void *arg, const void *buf, size_t n), void *arg);
void gdb_feed(struct gdb *g, const void *buf, size_t n);

#endif
