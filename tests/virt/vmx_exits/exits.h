/*
 * What the parts of this test share: snippets of guest code, the baseline they run from, and how an exit is compared with
 * the manual.
 */
#ifndef EXITS_H
#define EXITS_H

#include "vmx.h"

#include "../snippet.h"

#define SNIPPET(name, setup, insn) SNIPPET_ENDING(name, setup, insn, "vmcall")
#define SNIPPET32(name, setup, insn) SNIPPET_ENDING(name, ".code32; " setup, insn, "vmcall; .code64")

extern u64 scratch[512]; /* a page the snippets may touch */
extern u64 seen[16];     /* where they leave what they saw */

/* A fresh VMCS in the baseline: EPT, HLT exiting, MSRs exit, nothing else. */
void base(const struct snippet *s);
void on(u32 field, u64 bits);
void off(u32 field, u64 bits);
u64 go(void);     /* VMLAUNCH; the exit reason, ~0 if the entry failed */
u64 again(void);  /* VMRESUME */
/* Run and compare: fault-like exit at the instruction, with its length and qualification. */
void leaves(const char *name, const struct snippet *s, u64 reason, u64 qualification);
/* Run: an exit by the exception `event`, at the instruction. */
void faults(const char *name, const struct snippet *s, u32 event);
/* Run: the instruction does not exit (the VMCALL behind it does). */
void stays(const char *name, const struct snippet *s);

void test_instructions(void);
void test_registers(void);
void test_io_msr(void);
void test_events(void);
void test_ept(void);
void test_spp(void);
void test_paging_write(void);
void test_apic(void);
void test_shadow(void);
void test_tasks(void);
void test_changed_behavior(void);
void test_debug(void);
void test_priorities(void);
void test_init_sipi(void);
void test_ept_information(void);
void test_invalidation(void);
void test_bus_lock(void);
void test_ept_levels(void);
void test_ipi(void);
void test_stale(void);
void test_apic_registers(void);
void test_memory_areas(void);

void to_user(void); /* the guest's segments are those of a program at CPL 3 */
extern u64 user_pml4[512]; /* tables that let it run: the first 4 GiB one to one */

#endif
