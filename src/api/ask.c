/* turnstile explain and turnstile list. */
#include "api/commands.h"
#include "lookup/lookup.h"

enum status command_explain(struct command *k, int argc, const char *const argv[], struct err *err)
{
	if (argc < 2)
		return err_set(err, ST_ARG, "explain: what? A code, a field, a check, a register or an instruction, with =VALUE if it has one");
	if (argc > 3)
		return err_set(err, ST_ARG, "explain: %s: one WHAT, and one VALUE; write it in quotes if it has spaces", argv[3]);
	return err_in(err, lookup_explain(k->out, argv[1], argc > 2 ? argv[2] : NULL, err), "explain");
}

enum status command_list(struct command *k, int argc, const char *const argv[], struct err *err)
{
	const char *kind = NULL;
	bool json = false;

	for (int n = 1; n < argc; n++) {
		if (!strcmp(argv[n], "--json") || !strcmp(argv[n], "-json"))
			json = true;
		else if (argv[n][0] == '-')
			return err_set(err, ST_ARG, "list: %s: unknown option; --json is the one", argv[n]);
		else if (kind)
			return err_set(err, ST_ARG, "list: %s: one list at a time", argv[n]);
		else
			kind = argv[n];
	}
	if (!kind)
		return err_set(err, ST_ARG, "list: of what? checks, fields, intercepts, exits, msrs, cpuid, insns or models");
	return err_in(err, lookup_list(k->out, kind, json, err), "list");
}
