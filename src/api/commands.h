/*
 * The commands that run no machine: one row each in commands.c. May call: as options.h.
 */
#ifndef API_COMMANDS_H
#define API_COMMANDS_H

#include <stdio.h>

#include "base/base.h"

struct command {
	FILE *out;
	int status; /* what the command line ends with; 0 unless the command says otherwise */
};
/* argv[0] is the command's own name. ST_ARG, ST_IO: bad input. */
typedef enum status command_fn(struct command *k, int argc, const char *const argv[], struct err *err);

/* ask.c */
command_fn command_explain, command_list;
/* new.c */
command_fn command_new;

struct command_row {
	const char *name, *argname; /* for the help */
	const char *help;
	command_fn *run;
};
extern const struct command_row command_rows[];
extern const size_t command_count;
/* The row of this name; NULL: no such command. */
const struct command_row *command_find(const char *name);

/* ---- judge_commands.c ---- */
command_fn command_check, command_diff, command_caps;
/* --cpu like:FILE[,...]: the specification that it stands for, and what this machine lacks of it; both to be freed. */
enum status opt_cpu_like(const char *spec, char **out, char **lacks, struct err *err) must_check;

#endif
