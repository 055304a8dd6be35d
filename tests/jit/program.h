/*
 * A kernel made of random instructions, for runs that are compared with each other: its bytes are a function of the
 * seed alone, no compiler has a part in them. It sets up long mode, interrupts by the local APIC's timer at drawn
 * intervals, and handlers that mix what they see (vector, error code, RIP, RFLAGS, RSP, CR2) into a word of memory;
 * then it goes round for ever through snippets: integer, vector and x87 instructions, loops, calls, stores into code
 * ahead of it, in another page or through another linear address, page-table entries that change under code. A snippet
 * that faults is left for the next one.
 */
#ifndef TESTS_JIT_PROGRAM_H
#define TESTS_JIT_PROGRAM_H

#include "base/base.h"

#define PROGRAM_BASE 0x200000u /* where it lies in memory */
#define PROGRAM_SIZE 0x60000u  /* with all that it writes on purpose */
#define PROGRAM_ELF  (PROGRAM_SIZE + 0x1000u)

struct program_kind {
	bool user;   /* at CPL 3 */
	bool second; /* a second processor, which runs and patches as well */
	bool plain;  /* integer instructions alone */
};

/* An ELF file of PROGRAM_ELF bytes. */
void program_make(u8 *elf, u64 seed, const struct program_kind *kind);

#endif
