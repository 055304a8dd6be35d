/*
 * Mistakes of monitors and their twins that do the same in the right way: one program, one case a run, named by the fw_cfg
 * file opt/case: "bad NAME" or "good NAME"; "list" says which there are for this processor. The name of a case is the
 * kind's, with /WHAT behind it where a kind has several. kinds beside this file runs them all.
 */
#ifndef CASES_H
#define CASES_H

#include "guest.h"

struct one_case {
	const char *name;
	void (*run)(bool bad);
};
/* NULL ends */
extern const struct one_case vmx_cases[], svm_cases[], vmx_stale_cases[], svm_stale_cases[],
	vmx_reach_cases[], svm_reach_cases[];

#define LAPIC 0xfee00000ull

/* ---- main.c ---- */
/* Runs on the second processor, until it is done. */
void on_second(void (*job)(void));
void start_on_second(void (*job)(void));
void wait_for_second(void);
bool dma(u64 device_to, u64 memory, u32 len); /* the educational device; device_to: 0 it reads memory, 1 it writes */
void expect(const char *what, u64 got, u64 want); /* ends the program with an error if they differ */
void *stack_of(void); /* a new one, its top */
void eoi(void);
void self_ipi(u32 vector); /* to this processor, fixed */

#endif
