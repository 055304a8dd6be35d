/*
 * The least a bare-metal monitor needs of VMX: VMXON, a VMCS filled for a 64-bit guest that shares the monitor's page
 * tables, EPT that maps the first 4 GiB one to one, entry and exit. SDM 3C "VMX Operation", "VM Entries".
 */
#ifndef GUEST_VMX_H
#define GUEST_VMX_H

#include "guest.h"

enum vmcs_field { /* SDM 3D "Field Encoding in VMCS" */
	VMCS_GUEST_ES = 0x800, VMCS_GUEST_CS = 0x802, VMCS_GUEST_SS = 0x804, VMCS_GUEST_DS = 0x806, VMCS_GUEST_FS = 0x808,
	VMCS_GUEST_GS = 0x80a, VMCS_GUEST_LDTR = 0x80c, VMCS_GUEST_TR = 0x80e,
	VMCS_HOST_ES = 0xc00, VMCS_HOST_CS = 0xc02, VMCS_HOST_SS = 0xc04, VMCS_HOST_DS = 0xc06, VMCS_HOST_FS = 0xc08,
	VMCS_HOST_GS = 0xc0a, VMCS_HOST_TR = 0xc0c,
	VMCS_EPTP = 0x201a, VMCS_GUEST_PHYSICAL = 0x2400, VMCS_LINK = 0x2800, VMCS_GUEST_DEBUGCTL = 0x2802,
	VMCS_GUEST_PAT = 0x2804, VMCS_GUEST_EFER = 0x2806, VMCS_HOST_PAT = 0x2c00, VMCS_HOST_EFER = 0x2c02,
	VMCS_PIN = 0x4000, VMCS_PROC = 0x4002, VMCS_EXCEPTIONS = 0x4004, VMCS_EXIT_CONTROLS = 0x400c,
	VMCS_ENTRY_CONTROLS = 0x4012, VMCS_ENTRY_EVENT = 0x4016, VMCS_PROC2 = 0x401e,
	VMCS_ERROR = 0x4400, VMCS_EXIT_REASON = 0x4402, VMCS_EXIT_EVENT = 0x4404, VMCS_VECTORING = 0x4408,
	VMCS_EXIT_LENGTH = 0x440c,
	VMCS_GUEST_ES_LIMIT = 0x4800, VMCS_GUEST_GDTR_LIMIT = 0x4810, VMCS_GUEST_IDTR_LIMIT = 0x4812, VMCS_GUEST_ES_AR = 0x4814,
	VMCS_GUEST_INTERRUPTIBILITY = 0x4824, VMCS_GUEST_ACTIVITY = 0x4826, VMCS_HOST_SYSENTER_CS = 0x4c00,
	VMCS_QUALIFICATION = 0x6400, VMCS_GUEST_LINEAR = 0x640a,
	VMCS_GUEST_CR0 = 0x6800, VMCS_GUEST_CR3 = 0x6802, VMCS_GUEST_CR4 = 0x6804, VMCS_GUEST_ES_BASE = 0x6806,
	VMCS_GUEST_TR_BASE = 0x6814, VMCS_GUEST_GDTR_BASE = 0x6816, VMCS_GUEST_IDTR_BASE = 0x6818, VMCS_GUEST_DR7 = 0x681a,
	VMCS_GUEST_RSP = 0x681c, VMCS_GUEST_RIP = 0x681e, VMCS_GUEST_RFLAGS = 0x6820,
	VMCS_HOST_CR0 = 0x6c00, VMCS_HOST_CR3 = 0x6c02, VMCS_HOST_CR4 = 0x6c04, VMCS_HOST_FS_BASE = 0x6c06,
	VMCS_HOST_GS_BASE = 0x6c08, VMCS_HOST_TR_BASE = 0x6c0a, VMCS_HOST_GDTR_BASE = 0x6c0c, VMCS_HOST_IDTR_BASE = 0x6c0e,
	VMCS_HOST_RSP = 0x6c14, VMCS_HOST_RIP = 0x6c16,
};
enum { VMX_EXIT_EXCEPTION = 0, VMX_EXIT_CPUID = 10, VMX_EXIT_HLT = 12, VMX_EXIT_VMCALL = 18, VMX_EXIT_EPT_VIOLATION = 48 };
enum { VMX_OK, VMX_FAIL_INVALID, VMX_FAIL_VALID }; /* CF, ZF. "Conventions" of the VMX instruction reference */

/* Feature control, CR0 and CR4, VMXON. false: this processor has no VMX, or it refuses. */
bool vmx_enable(void);
void vmx_disable(void); /* VMXOFF */
/* A VMCS, current and filled for a 64-bit guest that starts at `entry`; HLT and VMCALL leave it. NULL: refused. */
void *vmx_guest(void (*entry)(void), u64 stack);
u64 *vmx_ept_entry(u64 gpa); /* of the current guest: its page directory entry (2 MiB) */
/* VMLAUNCH or VMRESUME of the current VMCS: one of VMX_*; after VMX_OK the exit reason is to be read. */
int vmx_run(bool resume);
u64 vmx_read(u32 field);
int vmx_write(u32 field, u64 value);
int vmx_invept(void); /* single-context, the current EPTP */

#endif
