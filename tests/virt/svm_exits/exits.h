/*
 * What the parts of this test share: snippets of guest code, the baseline they run from, and how an exit is compared
 * with the manual. A snippet is `setup; insn; vmmcall`: it leaves at the instruction if that exits, else by VMMCALL.
 */
#ifndef SVM_EXITS_H
#define SVM_EXITS_H

#include "svm.h"

struct snippet {
	char *entry, *at, *next; /* first instruction, the one in question, the one behind it */
};
#define SNIPPET(name, setup, insn)                                                                                     \
	asm(".pushsection .text\ns_" #name ": " setup "\na_" #name ": " insn "\nn_" #name ": vmmcall\n.popsection");  \
	extern char s_##name[], a_##name[], n_##name[];                                                                \
	static const struct snippet name __attribute__((unused)) = {s_##name, a_##name, n_##name}
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* One intercept: which of the six words, which bit. */
struct icpt {
	u8 word, bit;
};
#define CR_READ(n)  {0, (n)}
#define CR_WRITE(n) {0, 16 + (n)}
#define DR_READ(n)  {1, (n)}
#define DR_WRITE(n) {1, 16 + (n)}
#define EXCEPTION(n) {2, (n)}

#define BAD_PF "$0x4000000000" /* canonical, not mapped */
#define BAD_GP "$0x8000000000000000"

extern struct vmcb *v; /* of the guest under test */
extern u64 scratch[512], seen[16];
extern u64 user_pml4[512];
extern bool nrips, assists, of_2005; /* what this processor has */
extern char ev_stubs[];		     /* 256 times 16 bytes: VMMCALL */
extern struct idt_gate gidt[256];
extern unsigned nmis, irqs;	     /* taken by the host so far */
#define STACK_TOP 0x7f0000ull

void base(const struct snippet *s); /* a fresh VMCB: nested paging, every exception and nothing else intercepted */
void user(void);		    /* at CPL 3 */
void on(struct icpt i);
void off(struct icpt i);
u64 go(void);	     /* CLGI, VMRUN, STGI; the exit code */
u64 go_gif0(void);   /* VMRUN alone: the host stays with GIF as #VMEXIT left it */
void vcheck(const char *name, const char *what, u64 got, u64 want);
/* The guest's own interrupt table: a vector's handler is a VMMCALL. */
void own_idt(void);
u64 stub_of(unsigned vector);
void self_ipi(u32 icr); /* through the local APIC */

void test_instructions(void);
void test_priorities(void);
void test_io_msr(void);
void test_exceptions(void);
void test_injection(void);
void test_interrupts(void);
void test_nested(void);
void test_tlb(void);
void test_modes(void);
void test_state(void);
void test_lbr(void);
void test_clean(void);

#endif
