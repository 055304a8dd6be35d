/*
 * inspect: everything that watches and tells: explanations, evidence when the machine dies, traces, statistics, the
 * state hash. It owns the machine's hook table; what it has to say leaves through options.put. May call: all floors
 * below. Called by: api.
 */
#ifndef INSPECT_INSPECT_H
#define INSPECT_INSPECT_H

#include <stdio.h>

#include "machine/machine.h"

struct inspect;

enum inspect_kind { INSPECT_DEATH, INSPECT_NOTE, INSPECT_REFUSED, INSPECT_SANITIZE, INSPECT_TRACE };

/* Something finished to be told; valid during the call. Texts come without "turnstile: " in front. */
struct inspect_event {
	enum inspect_kind kind;
	struct cpu *cpu;  /* NULL: none in particular */
	const char *id;   /* the check's id; "death", "note", "lost", "trace" */
	const char *text; /* one or more lines */
	const char *line; /* the same in one line, without the newline */
	const char *json; /* one JSON object; "" where there is none */
	u64 insn, rip;
	u64 guest, code, info[2]; /* as in struct exit_record; guest UINT64_MAX: none */
	enum refusal_kind refusal; /* INSPECT_REFUSED and INSPECT_SANITIZE: of which kind */
	bool followed; /* the death that comes next says it, too */
	u64 count; /* how often this check has refused this instruction so far: the explanation is for the first */
};

/* A file with symbols: FILE[@ADDRESS][,.SECTION=ADDRESS...][,for=monitor|guest]. */
#define INSPECT_SECTIONS 16
enum place_who { PLACE_MONITOR = 1, PLACE_GUEST = 2 };
struct inspect_symbols {
	const char *path, *option; /* as on the command line, for messages */
	u64 at;                    /* the linear address of its first byte, with has_at */
	bool has_at;
	u8 who;                    /* enum place_who bits */
	struct inspect_section {
		const char *name;
		u64 at;
	} section[INSPECT_SECTIONS]; /* of a relocatable object */
	unsigned sections;
};
#define INSPECT_SYMBOLS 16
/* Which events a trace is for. Ranges are alternatives, kinds of condition hold together. */
#define TRACE_RANGES  16
#define TRACE_REASONS 16
struct trace_range {
	u64 from, to;
};
enum trace_where { TRACE_ANYWHERE, TRACE_IN_MONITOR, TRACE_IN_GUEST };
struct trace_filter {
	bool any; /* some condition was given */
	struct trace_range cpu[TRACE_RANGES], rip[TRACE_RANGES] /* linear */, insn[TRACE_RANGES]; /* that processor's */
	unsigned cpus, rips, insns;
	const char *reason[TRACE_REASONS]; /* exits with their handling: names, or numbers */
	unsigned reasons;
	enum trace_where where;
	u64 limit; /* bytes: the last so many events are kept; 0: all are written as they come */
};

struct inspect_options {
	struct inspect_symbols symbols[INSPECT_SYMBOLS];
	unsigned symbol_files;
	u32 trace;                /* enum trace_kind bits */
	const char *trace_option; /* as on the command line, for messages */
	const char *trace_file; /* .jsonl: JSON lines; .json: Chrome trace events; else text. NULL: text through put */
	const char *explain_option;
	const char *explain_file; /* explanations go there as well. .jsonl: JSON lines; else text. NULL: nowhere */
	struct trace_filter filter;
	u64 ring;                /* instructions to keep; 0: none */
	const char *ring_option; /* as on the command line */
	bool writers;           /* who wrote each word of memory last is kept */
	bool stats;             /* counts are wanted at the end */
	void (*switched)(void *arg, struct cpu *c, const struct exit_record *x); /* VM entry: x NULL; exit. NULL: not wanted */
	void (*put)(void *arg, const struct inspect_event *e);
	void *arg;
};

/* The files of traces and explanations are created here: everything else that may fail comes first. */
enum status inspect_new(struct inspect **out, struct machine *m, const struct inspect_options *o,
                        struct err *err) must_check;
void inspect_free(struct inspect *i);
void inspect_flush(struct inspect *i); /* a run ended: traces reach their file, repeated refusals are told */
void inspect_stats(struct inspect *i, FILE *f);
void inspect_stats_json(struct inspect *i, FILE *f); /* the same as one object on one line */
/* What happened last, on each processor; the last instructions if they are kept. */
void inspect_ring(struct inspect *i, FILE *f);
/* Where each processor is: symbol, rip, mode, monitor or guest; one line each. */
void inspect_where(struct inspect *i, FILE *f);
/* The evidence block: fault chain, walk, last branches and exits, registers. */
void inspect_death(struct inspect *i, struct cpu *c, FILE *f);
/* Registers, devices, the clock, and the content of all RAM. Costs what was written since the last call. */
u64 inspect_hash(struct inspect *i);

#endif
