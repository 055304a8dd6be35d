/* What the SVM monitors of these tests share: one guest, the VMCB it starts from, and interrupts that only count. */
#ifndef SVM_TEST_H
#define SVM_TEST_H

#include "svm.h"

#include "snippet.h"

#define SNIPPET(name, setup, insn) SNIPPET_ENDING(name, setup, insn, "vmmcall")
#define SNIPPET32(name, setup, insn) SNIPPET_ENDING(name, ".code32; " setup, insn, "vmmcall; .code64")

extern struct vmcb *v;                   /* of the guest under test */
extern bool of_2005;                     /* a processor of the 2005 manual */
extern unsigned nmis, irqs;              /* taken by the host so far */
extern u64 scratch[512], user_pml4[512]; /* a page; the first 4 GiB one to one, open to user code */

void count_interrupts(void);    /* NMI and vector 51h; the local APIC on */
void svm_test_guest(u64 stack); /* after svm_enable() */
void fresh(void);               /* the VMCB: nested paging, every exception and nothing else intercepted */
void user(void);                /* at CPL 3 */
u64 go(void);                   /* CLGI, VMRUN, STGI; the exit code */
u64 go_gif0(void);              /* VMRUN alone: the host stays with GIF as #VMEXIT left it */
void self_ipi(u32 icr);         /* through the local APIC */

#endif
