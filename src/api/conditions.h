/*
 * Conditions on a run: refusals that end it (--fail-on), and refusals that must come (--expect), each of which is taken
 * off before anything is held against the run. May call: base, cpu/state, inspect's event.
 */
#ifndef API_CONDITIONS_H
#define API_CONDITIONS_H

#include "inspect/inspect.h"

#define CONDITIONS 64
struct condition {
	const char *id;     /* "refused", "sanitize", or a check's */
	const char *option; /* as it was typed */
	u64 times, came;    /* --expect: how often it is expected, how often it was taken off */
};
struct condition_list {
	struct condition at[CONDITIONS];
	unsigned n;
};

/* One more of this id; false: too many. */
bool condition_add(struct condition_list *l, const char *id, const char *option) must_check;
/* What this event ends the run by; NULL: nothing, or it was expected. */
const struct condition *condition_met(const struct condition_list *fail_on, struct condition_list *expect,
                                      const struct inspect_event *e);
/* A line for each that was expected and did not come. */
void conditions_unmet(const struct condition_list *expect, FILE *f);

#endif
