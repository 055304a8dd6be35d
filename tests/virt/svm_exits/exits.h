/*
 * What the parts of this test share: snippets of guest code, the baseline they run from, and how an exit is compared
 * with the manual.
 */
#ifndef SVM_EXITS_H
#define SVM_EXITS_H

#include "../svm_test.h"

/* One intercept: which of the six words, which bit. */
struct icpt {
	u8 word, bit;
};
#define ICPT(code)   {(code) / 32, (code) % 32} /* the words' bits are in the order of the exit codes */
#define CR_READ(n)   ICPT(EXIT_CR_READ + (n))
#define CR_WRITE(n)  ICPT(EXIT_CR_WRITE + (n))
#define DR_READ(n)   ICPT(EXIT_DR_READ + (n))
#define DR_WRITE(n)  ICPT(EXIT_DR_WRITE + (n))
#define EXCEPTION(n) ICPT(EXIT_EXCEPTION + (n))

#define BAD_PF "$0x4000000000" /* canonical, not mapped */
#define BAD_GP "$0x8000000000000000"

extern u64 seen[16];
u32 svm_features(void); /* CPUID 8000_000Ah EDX */
extern bool nrips, assists; /* what this processor has */
extern char ev_stubs[];		     /* 256 times 16 bytes: VMMCALL */
extern struct idt_gate gidt[256];
#define STACK_TOP 0x7f0000ull

void base(const struct snippet *s); /* a fresh VMCB with empty permission maps */
void on(struct icpt i);
void off(struct icpt i);
/* The guest's own interrupt table: a vector's handler is a VMMCALL. */
void own_idt(void);
u64 stub_of(unsigned vector);

void test_instructions(void);
void test_priorities(void);
void test_io_msr(void);
void test_exceptions(void);
void test_injection(void);
void test_interrupts(void);
void test_nested(void);
void test_nested_levels(void);
void test_tlb(void);
void test_modes(void);
void test_state(void);
void test_lbr(void);
void test_clean(void);
void test_write_traps(void);
void test_virtual_gif(void);
void test_avic(void);
void test_locked_msrs(void);
void test_broadcast(void);
void test_decisions(void);
void test_switch(void);
void test_smm_lock(void); /* the last: only RESET takes it back */
void tlb_broadcast(void); /* within tlb.c's pages */

#endif
