/*
 * Starting the other processors: the page that a Startup IPI names, and the way from there to a C function in long mode, on
 * the tables of the processor that prepares it.
 */
#ifndef PROCESSORS_H
#define PROCESSORS_H

#include "guest.h"

enum { AP_PAGE = 0x8000, STARTUP_IPI = 0x600 | AP_PAGE >> 12 };
/* What the code leaves in the page of how it was started. */
enum { AP_CS = AP_PAGE + 0xf00, AP_CR0 = AP_PAGE + 0xf0c };

void ap_prepare(void (*entry)(void), u64 stack);

#endif
