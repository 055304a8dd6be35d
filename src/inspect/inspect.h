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

enum inspect_kind { INSPECT_DEATH, INSPECT_NOTE, INSPECT_REFUSED, INSPECT_TRACE };

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
	u64 count; /* how often this check has refused this instruction so far: the explanation is for the first */
};

struct inspect_options {
	u32 trace;                /* enum trace_kind bits */
	const char *trace_option; /* as on the command line, for messages */
	const char *trace_file; /* .jsonl: JSON lines; .json: Chrome trace events; else text. NULL: text through put */
	bool stats;             /* counts are wanted at the end */
	void (*put)(void *arg, const struct inspect_event *e);
	void *arg;
};

/* The trace file is created here: everything else that may fail comes first. */
enum status inspect_new(struct inspect **out, struct machine *m, const struct inspect_options *o,
                        struct err *err) must_check;
void inspect_free(struct inspect *i);
void inspect_flush(struct inspect *i); /* a run ended: traces reach their file, repeated refusals are told */
void inspect_stats(struct inspect *i, FILE *f);
void inspect_stats_json(struct inspect *i, FILE *f); /* the same as one object on one line */
/* Where each processor is: symbol, rip, mode, monitor or guest; one line each. */
void inspect_where(struct inspect *i, FILE *f);
/* The evidence block: fault chain, walk, last branches and exits, registers. */
void inspect_death(struct inspect *i, struct cpu *c, FILE *f);
/* Registers, devices, the clock, and the content of all RAM. Costs what was written since the last call. */
u64 inspect_hash(struct inspect *i);

#endif
