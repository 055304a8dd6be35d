#include "api/commands.h"

#include "api/api.h"
#include "api/options.h"

#include <stdlib.h>

/* clang-format off */
const struct command_row command_rows[] = {
	{ "run", "[options] [FILE]", "run a machine; FILE is a kernel", NULL },
	{ "stress", "--runs N [--seeds A-B] [--jobs J] [--pass STATUS,...] [--json FILE] -- OPTIONS", "run it under so many schedules at once", NULL },
	{ "new", "vmx|svm DIR", "a monitor of your own to begin with", command_new },
	{ "explain", "[TOPIC:]WHAT[=VALUE]", "what a code, field, check, register or instruction is", command_explain },
	{ "list", "KIND [--json]", "checks, fields, intercepts, exits, msrs, cpuid, insns, models", command_list },
	{ "check", "FILE|- [option...]", "judge the VMCSs and VMCBs of a log or dump: --cpu, --caps FILE, --strict, --json", command_check },
	{ "diff", "A B", "two dumps' fields that differ; A, B: FILE, FILE:LINE, FILE:N", command_diff },
	{ "caps", "[--cpu MODEL]", "what this computer's processor or a model can do, for --caps and --cpu like:FILE", command_caps },
};
/* clang-format on */
const size_t command_count = ARRAY_LEN(command_rows);

const struct command_row *command_find(const char *name)
{
	for (size_t n = 0; n < command_count; n++)
		if (!strcmp(command_rows[n].name, name))
			return &command_rows[n];
	return NULL;
}

static const char *row_name(unsigned i, const void *arg)
{
	(void)arg;
	return i < command_count ? command_rows[i].name : NULL;
}

static enum status unknown(const char *word, struct err *err)
{
	const char *near = opt_nearest(word, row_name, NULL);

	if (near)
		return err_set(err, ST_ARG, "%s: not a command; did you mean turnstile %s?", word, near);
	return err_set(err, ST_ARG, "%s: not a command; turnstile run [options] FILE, or turnstile --help", word);
}

static enum status run(struct command *k, int argc, const char *const argv[], struct err *err)
{
	if (argc < 2)
		return err_set(err, ST_ARG, "a command is missing; turnstile run [options] FILE, or turnstile --help");
	const struct command_row *row = command_find(argv[1]);
	if (!row || !row->run)
		return unknown(argv[1], err);
	return row->run(k, argc - 1, argv + 1, err);
}

ts_status ts_command(int argc, const char *const argv[], ts_put_fn *put, void *arg, int *status, char *err,
                     size_t err_len)
{
	struct command k = {0};
	struct err e = {""};
	char *text = NULL;
	size_t n = 0;

	k.out = open_memstream(&text, &n);
	enum status s = k.out ? run(&k, argc, argv, &e) : err_set(&e, ST_NOMEM, "out of memory");
	if (k.out && fclose(k.out))
		s = err_set(&e, ST_NOMEM, "out of memory");
	if (text && n)
		put(arg, text, n);
	free(text);
	*status = k.status;
	if (s != ST_OK && err && err_len)
		snprintf(err, err_len, "turnstile: %s", e.text);
	return api_status(s);
}
