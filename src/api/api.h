/* What the files of api/ know of each other's ts_machine. */
#ifndef API_API_H
#define API_API_H

#include <turnstile/turnstile.h>

struct cpu;
struct cpu *api_cpu(ts_machine *t, unsigned cpu); /* NULL: no such processor */

#endif
