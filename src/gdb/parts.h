/* What the files of gdb/ know of each other. */
#ifndef GDB_PARTS_H
#define GDB_PARTS_H

#include "cpu/state/debug.h"
#include "gdb/gdb.h"
#include "gdb/packet.h"

/* ---- memory.c: which addresses m, M, X and `monitor x` mean ---- */
extern const char *const gdb_space_names[GDB_SPACES];

/* ---- view.c ---- */
struct view_step {
	bool second;       /* of the second stage */
	const char *name;  /* "PML4E"; NULL: a translation ends here */
	u64 at, pa, entry; /* where it lies, before and behind the second stage */
	bool page;         /* it maps a page */
};
#define VIEW_STEPS 40
struct view {
	struct cpu *c;
	struct virt_view v, host; /* host: whose paging the second stage of SVM has */
	struct view_step step[VIEW_STEPS];
	unsigned steps;
	const char *why; /* where it ended without a translation */
	u64 gpa, pa;
};
/* false: there is no such side. */
bool view_open(struct view *w, struct cpu *c, enum gdb_space s);
/* false: not mapped; w->why. */
bool view_translate(struct view *w, enum gdb_space s, u64 addr, u64 *pa);
void view_print(const struct view *w, FILE *f);

/* ---- stops.c ---- */
enum stop_kind { STOP_REFUSED, STOP_CHECK, STOP_ENTRY, STOP_EXIT, STOP_TRIPLE, STOP_SANITIZE, STOP_KINDS };
struct stop {
	enum stop_kind kind;
	u64 code;      /* STOP_EXIT: of this reason; UINT64_MAX: of any */
	char word[96]; /* as given */
};
/* The last things that were told, oldest first, each a text of its own. */
#define GDB_TOLD 8

enum gdb_signal { SIG_INT = 2, SIG_TRAP = 5, SIG_SEGV = 11 };

struct gdb {
	struct machine *m;
	struct inspect *inspect;
	struct gdb_options o;
	char address[160];

	/* the connection */
	int listener, client; /* -1: none */
	void (*send)(void *arg, const void *buf, size_t n); /* NULL: to the client */
	void *send_arg;
	bool attached, no_ack;
	struct gdb_reader in;
	struct gdb_out out;
	char frame[GDB_PACKET + 4];
	size_t framed;

	/* the run */
	bool stopped;  /* nothing runs */
	bool owed;     /* the client waits to be told of a stop */
	bool killed;
	bool idle_told; /* that nothing can run was told, and the client wants to go on all the same */
	u64 idle_insns;
	u8 signal;     /* of the last stop */
	unsigned at;   /* the processor it was on */
	unsigned g, c; /* of H: whose registers; whom `c` and `s` are about */
	bool swbreak, hwbreak; /* the client knows these reasons */
	char reason[400];  /* for a person; "": none */
	bool told_reason;

	/* what is asked of processors */
	struct debug_points points;
	struct debug cpu[CPU_MAX];
	bool step_hold; /* qqemu.sstepbits' NOIRQ */
	enum gdb_space space;
	struct stop stop[GDB_BREAKS];
	unsigned stops;
	char *told[GDB_TOLD];
	unsigned told_n;
};

/* ---- server.c ---- */
void gdb_text(struct gdb *g, const char *text); /* to the client's console */
void gdb_let_go(struct gdb *g, u32 stepped, u32 held); /* bits of processors */
void gdb_detach(struct gdb *g);
static inline struct cpu *gdb_cpu(struct gdb *g, unsigned n)
{
	return g->m->cpus[n < g->m->count ? n : 0];
}

/* ---- command.c ---- */
void command_run(struct gdb *g, const char *body, size_t n);
void command_stop_reply(struct gdb *g);

/* ---- registers.c ---- */
void registers_describe(FILE *f); /* the target description */
void registers_read_all(struct cpu *c, struct gdb_out *o);
bool registers_write_all(struct cpu *c, const char *hex);
bool register_read(struct cpu *c, u64 number, struct gdb_out *o);
bool register_write(struct cpu *c, u64 number, const char *hex);
/* The address of the next instruction as gdb is told it: linear. */
u64 registers_pc(const struct cpu *c);
void registers_print(struct cpu *c, FILE *f); /* all of them, for a person */

/* ---- points.c ---- */
bool point_add(struct gdb *g, unsigned type, u64 addr, u64 len);
bool point_remove(struct gdb *g, unsigned type, u64 addr, u64 len);
void points_clear(struct gdb *g);
void points_changed(struct gdb *g);

/* ---- stops.c ---- */
bool stop_add(struct gdb *g, const char *word, char *why, size_t n);
void stops_clear(struct gdb *g);
void stops_print(const struct gdb *g, FILE *f);
void stops_apply(struct gdb *g); /* what of them processors look at themselves */

/* ---- monitor.c ---- */
void monitor_run(struct gdb *g, const char *line, FILE *f);
/* "CPU 0 monitor", "CPU 1 guest of VMCS 0x5000, HLT" */
void monitor_thread(struct gdb *g, unsigned cpu, char *out, size_t n);

#endif
