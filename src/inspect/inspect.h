/*
 * inspect: everything that watches and tells: explanations, evidence when the machine dies, traces, statistics. It owns
 * the machine's hook table; what it has to say leaves through options.put. May call: all floors below. Called by: api.
 */
#ifndef INSPECT_INSPECT_H
#define INSPECT_INSPECT_H

#include <stdio.h>

#include "machine/machine.h"

struct inspect;

struct inspect_options {
	u32 trace;              /* enum trace_kind bits */
	const char *trace_file; /* NULL: through put */
	bool stats;             /* counts are wanted at the end */
	/* A finished text, one or more lines: kind is "death", "note", "refused", "trace". */
	void (*put)(void *arg, const char *kind, struct cpu *c, const char *text);
	void *arg;
};

enum status inspect_new(struct inspect **out, struct machine *m, const struct inspect_options *o,
                        struct err *err) must_check;
void inspect_free(struct inspect *i);
void inspect_flush(struct inspect *i);
void inspect_stats(struct inspect *i, FILE *f);
/* The evidence block: fault chain, walk, last branches and exits, registers. */
void inspect_death(struct inspect *i, struct cpu *c, FILE *f);

#endif
