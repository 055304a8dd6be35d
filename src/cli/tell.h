/* What the machine tells, on standard error: in full, in one line or not at all, as --explain says. */
#ifndef CLI_TELL_H
#define CLI_TELL_H

#include <turnstile/turnstile.h>

#include <stdbool.h>

/* Output that was asked for could not be written: the run was for nothing, whatever it ended with. */
extern bool tell_lost;

void tell_start(ts_machine *m);
ts_hook_fn tell_event;

#endif
