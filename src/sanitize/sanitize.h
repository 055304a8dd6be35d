/*
 * sanitize: what a monitor does against the manuals' rules and real processors forgive at random. kinds.c: the one table of
 * what is looked for (read it first); sanitize.c: life, and how a finding is told; regions.c: control structures in
 * memory: who may have them active, who may touch them; events.c: what entries and exits owe each other. It hears of all that
 * through cpu/state/watch.h, changes nothing, and tells through hooks->refused. May call: base, arch, mem, cpu. Called by:
 * api.
 */
#ifndef SANITIZE_SANITIZE_H
#define SANITIZE_SANITIZE_H

#include "cpu/cpu.h"
#include "cpu/state/watch.h"

struct sanitize;

/* A row for each enum watch_kind, in its order. */
struct sanitize_kind {
	const char *id;     /* "sanitize.vmcs.never-written"; never changed once published */
	const char *rule, *manual;
	const char *fix;    /* where one is the usual one; NULL: none is */
	bool asked;         /* looked for only where it is asked for by name */
};
extern const struct sanitize_kind sanitize_kinds[WATCH_KINDS];
/* The kind's name for options: its id behind "sanitize.". */
const char *sanitize_name(enum watch_kind k);
/* The kinds that a word names: a name, the first part of some ("vmcs"), "all", "default". 0: none. */
u64 sanitize_find(const char *word, size_t n);

enum status sanitize_new(struct sanitize **out, struct bus *bus, struct cpu *const *cpus, unsigned count, u64 kinds,
                         struct err *err) must_check;
void sanitize_free(struct sanitize *s);

#endif
