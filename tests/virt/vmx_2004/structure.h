/* Tests of chapters 1 and 2, up to the VM-entry controls, of the preliminary specification of 2004. */
#ifndef VMX_2004_STRUCTURE_H
#define VMX_2004_STRUCTURE_H

#include "../vmx_reqs/idt.h"

SNIPPET(i_nothing, "", "");

enum { ENTERED, CARRY, ZERO };	 /* how a VMLAUNCH ended here: it did not fail, CF, ZF */
u32 run_guest(u64 resume);	 /* one of these */
void fresh_guest(void);		 /* whose first instruction is VMCALL, registers 0 */
void refused(const char *name);	 /* VMLAUNCH ends with ZF */
void bad_guest(const char *name);	 /* it ends in the host: "failed VM entry" */
void accepted(const char *name); /* it enters, and the VMCALL exits */
int read_field(u64 field);	 /* VMX_OK: it exists */

void test_discovery(void);
void test_guest_state(void);
void test_controls(void);
void test_msr_areas(void);

#endif
