/* What the tests of the VMX of 2004 share. Section titles in their comments are C97063's. */
#ifndef VMX_2004_FIRST_H
#define VMX_2004_FIRST_H

#include "../vmx_reqs/idt.h"

#define APIC 0xfee00000u

/* A guest in 32-bit protected mode with paging, one to one by 4 MiB pages, at `code` followed by VMCALL; its GDT is
 * table32, which begins as ours. */
void guest32(const struct snippet *code);
extern u64 table32[32];

void test_information(void);
void test_events_told(void);
void test_execution(void);
void test_interrupts(void);
void test_entries(void);
void test_transitions(void);

#endif
