/* What the files of api/ know of each other's ts_machine. */
#ifndef API_API_H
#define API_API_H

#include <turnstile/turnstile.h>

#include "base/base.h"

struct cpu;
ts_status api_status(enum status s);
struct cpu *api_cpu(ts_machine *t, unsigned cpu); /* NULL: no such processor */

#endif
