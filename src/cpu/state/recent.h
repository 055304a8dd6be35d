/*
 * The last events of a processor, in the order in which they came: exits, entries, exceptions and interrupts. Kept at all
 * times, at places that are cold, for who asks what led to where it is.
 */
#ifndef CPU_STATE_RECENT_H
#define CPU_STATE_RECENT_H

#include "arch/arch.h"

#define RECENT 32
enum recent_kind { RECENT_NONE, RECENT_EXIT, RECENT_ENTRY, RECENT_EVENT };

struct recent {
	u64 insn, rip;
	u64 info; /* an exit: its number in lastexit; else the event's payload */
	u32 error;
	u8 kind, type, vector; /* enum recent_kind; of the event, or of what an entry injects */
	bool has_error;
};

#endif
