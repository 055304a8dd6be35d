/*
 * monitor: commands to a machine that runs, in the words of QEMU's monitor, and the same over QMP. server.c: who is
 * connected, and a machine that stands still; words.c: the commands; paging.c: `info mem` and `info tlb`; keys.c: keys; qmp.c and
 * json.c: the protocol. docs/monitor.md says how it is used. May call: base, arch, mem, cpu, dev, machine,
 * screen. Called by: api.
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include <stdio.h>

#include "screen/screen.h"

#define MONITORS 4
struct monitor_spec {
	const char *at;     /* unix:PATH, tcp:HOST:PORT */
	const char *option; /* as typed, for messages */
	bool qmp;
};
struct monitor_options {
	struct monitor_spec spec[MONITORS];
	unsigned count;
};

struct monitor;
/* Listens from here on. */
enum status monitor_new(struct monitor **out, struct machine *m, const struct monitor_options *o, struct err *err) must_check;
void monitor_free(struct monitor *mon); /* before the machine */
void monitor_ended(struct monitor *mon); /* the machine has: who is connected hears of it */
/* One line as a person types it; what is to be said goes to f. */
void monitor_line(struct monitor *mon, const char *line, FILE *f);

#endif
