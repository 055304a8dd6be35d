/*
 * lookup: what a code, a field, a check, a register or an instruction is, from the tables that run it: `turnstile explain`
 * and `turnstile list`. May call: base, arch, cpu, the vendors, model. Called by: api.
 */
#ifndef LOOKUP_LOOKUP_H
#define LOOKUP_LOOKUP_H

#include <stdio.h>

#include "base/base.h"

/*
 * [TOPIC:]WHAT[=VALUE], or WHAT and VALUE as two words. Everything that it may mean is printed, a block each; ST_ARG:
 * nothing has that name, err->text suggests one.
 */
enum status lookup_explain(FILE *out, const char *what, const char *value, struct err *err) must_check;
/* A table of all rows of a kind, as text or as a JSON array of objects. ST_ARG: no such kind. */
enum status lookup_list(FILE *out, const char *kind, bool json, struct err *err) must_check;
/* "exit", "error", ...: the topics; "checks", "fields", ...: the lists. NULL: past the last. */
const char *lookup_topic(size_t n);
const char *lookup_kind(size_t n);

#endif
