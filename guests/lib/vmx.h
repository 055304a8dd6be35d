/*
 * The least a bare-metal monitor needs of VMX: VMXON, a VMCS filled for a 64-bit guest that shares the monitor's page
 * tables, EPT that maps the first 4 GiB one to one, entry and exit. SDM 3C "VMX Operation", "VM Entries".
 */
#ifndef GUEST_VMX_H
#define GUEST_VMX_H

#include "guest.h"
#include "msr_names.h"
#include "vmx_names.h"

enum { VMX_OK, VMX_FAIL_INVALID, VMX_FAIL_VALID }; /* CF, ZF. "Conventions" of the VMX instruction reference */

/* Feature control, CR0 and CR4, VMXON. false: this processor has no VMX, or it refuses. */
bool vmx_enable(void);
void vmx_disable(void); /* VMXOFF */
void *vmx_region(void); /* a page with the revision identifier */
int vmx_on(u64 region); /* VMXON, VMCLEAR, VMPTRLD alone: one of VMX_* */
int vmx_clear(u64 region);
int vmx_load(u64 region);
void vmx_host(void); /* the host of the current VMCS: this program, but for RSP and RIP */
/* A VMCS, current and filled for a 64-bit guest that starts at `entry`; HLT and VMCALL leave it. NULL: refused. */
void *vmx_guest(void (*entry)(void), u64 stack);
u64 *vmx_ept_entry(u64 gpa); /* of the current guest: its page directory entry (2 MiB) */
/* VMLAUNCH or VMRESUME of the current VMCS: one of VMX_*; after VMX_OK the exit reason is to be read. */
int vmx_run(bool resume);
u64 vmx_read(u32 field);
int vmx_write(u32 field, u64 value);
int vmx_invept(void); /* single-context, the current EPTP */

#endif
