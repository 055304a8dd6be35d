/* I/O trapping: AMD's internal SMIs. Called by exec/io.c; the registers are the models'. */
#ifndef CPU_IO_TRAP_H
#define CPU_IO_TRAP_H

#include "cpu/control/control.h"

#define IO_TRAP_ON       BIT(15) /* of SMI_ON_IO_TRAP_CTL_STS; its bits 1, 3, 5 and 7 are for a register each */
#define IO_TRAP_CTL_BITS 0x80aaull
#define IO_TRAP_BITS     0xf0ffffffffffffffull

u8 io_traps_hit(struct cpu *c, const struct io_access *io);

/* Before an IN or OUT that may be executed: which of the registers want it. While no SMI could be taken they have no
 * effect: "ignored and discarded". String instructions are not trapped. */
static inline u8 io_traps(struct cpu *c, const struct io_access *io)
{
	return unlikely(c->io_trap_ctl & IO_TRAP_ON) ? io_traps_hit(c, io) : 0;
}

#endif
