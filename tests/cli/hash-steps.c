/*
 * hash-steps STEP turnstile run ...: runs the machine in steps of STEP instructions and prints the state hash after each.
 * Two runs of the same command print the same lines.
 */
#include <turnstile/turnstile.h>

#include <stdio.h>
#include <stdlib.h>

static void print(void *arg, const char *text, size_t len)
{
	fwrite(text, 1, len, arg);
}

int main(int argc, char **argv)
{
	char err[600];
	ts_machine *m;
	ts_stop why = TS_LIMIT;
	unsigned long step = argc > 3 ? strtoul(argv[1], NULL, 10) : 0;

	if (!step) {
		fprintf(stderr, "hash-steps STEP turnstile run ...\n");
		return 2;
	}
	if (ts_create(argc - 2, (const char *const *)argv + 2, &m, err, sizeof(err)) != TS_OK) {
		fprintf(stderr, "%s\n", err);
		return 2;
	}
	for (unsigned long n = 1; why == TS_LIMIT; n++) {
		ts_run(m, step, &why, NULL);
		printf("%lu ", n);
		ts_report(m, "hash", print, stdout);
	}
	ts_destroy(m);
	return why == TS_POWEROFF ? 0 : 1;
}
