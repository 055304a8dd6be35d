/* turnstile stress: the same machine under many schedules, each seed in a process of its own. */
#ifndef CLI_STRESS_H
#define CLI_STRESS_H

#include <turnstile/turnstile.h>

/* Called with a machine whose run is over. */
typedef void run_ended_fn(void *arg, ts_machine *m);
/* One run from its command line to its exit status. */
typedef int run_fn(int argc, char **argv, run_ended_fn *ended, void *arg);

int stress(int argc, char **argv, run_fn *run);

#endif
