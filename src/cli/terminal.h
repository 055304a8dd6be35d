/*
 * cli: the command line, first client of include/turnstile/turnstile.h, which is all it sees. terminal.c: raw mode, the
 * Ctrl-A keys, and putting things back whatever happens. main.c: commands, signals and exit statuses.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>
#include <turnstile/turnstile.h>

/* The program's only mutable state outside main(): signal handlers have no argument. */
struct terminal;
struct terminal *terminal_get(void);

void terminal_start(ts_machine *m); /* raw mode and the key filter, if standard input is a terminal */
void terminal_stop(void);           /* async-signal-safe; may be called any number of times */
void terminal_again(void);          /* raw again after SIGCONT; async-signal-safe */
bool terminal_left(void);           /* Ctrl-A x was typed */
void terminal_forget(void);         /* the machine goes away */
/* Text to stderr, with carriage returns while the terminal is raw. */
void terminal_say(const char *text);
void terminal_fresh_line(void); /* where the guest's output and messages share a file: a message begins a line */

#endif
