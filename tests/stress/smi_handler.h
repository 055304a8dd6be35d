/*
 * Who plays firmware for tests that send SMIs to a whole machine: for each processor a handler in SMRAM at A0000h, SMBASE
 * relocated to it, everything locked.
 */
#ifndef TESTS_SMI_HANDLER_H
#define TESTS_SMI_HANDLER_H

#include "machine/machine.h"

enum { SMI_CPUS = 4 }; /* so many fit into 128 KiB */

/* What the handlers do. SMI_ALL: by turns nothing, much in the mode they are entered in, and much in 64-bit mode; all that
 * the save-state map does not hold they put back. */
enum smi_work { SMI_RSM, SMI_ALL };

void smi_firmware(struct machine *m, enum smi_work work);
u32 smi_handled(struct machine *m, unsigned cpu); /* how often its handler has run */
u32 smi_wrong(struct machine *m);                 /* how often one has found what it must not */
void smi_forget(struct machine *m);               /* empties SMRAM, and what else an SMI leaves behind by its nature */

#endif
