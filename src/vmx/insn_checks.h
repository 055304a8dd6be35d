/*
 * Why an instruction of VMX that is no VM entry failed, or a write to what VMX has of CR0, CR4 and the MSRs: one row for each place where it may, named by the code that
 * fails there. Rows stand in the order in which an instruction looks.
 */
#ifndef VMX_INSN_CHECKS_H
#define VMX_INSN_CHECKS_H

#include "arch/arch.h"

struct cpu;
struct insn;
struct words; /* arch/names.h */

enum vmx_why {
	VMX_WHY_ABSENT, VMX_WHY_REAL, VMX_WHY_V86, VMX_WHY_COMPATIBILITY, VMX_WHY_OUTSIDE, VMX_WHY_CPL,
	VMX_WHY_VMXON_VMXE, VMX_WHY_VMXON_CR0, VMX_WHY_VMXON_A20M, VMX_WHY_VMXON_UNLOCKED, VMX_WHY_VMXON_DISABLED,
	VMX_WHY_VMXON_ALIGNED, VMX_WHY_VMXON_WIDE, VMX_WHY_VMXON_REVISION, VMX_WHY_VMXON_ROOT,
	VMX_WHY_VMXOFF_DUAL,
	VMX_WHY_VMCLEAR_ALIGNED, VMX_WHY_VMCLEAR_WIDE, VMX_WHY_VMCLEAR_VMXON,
	VMX_WHY_VMPTRLD_ALIGNED, VMX_WHY_VMPTRLD_WIDE, VMX_WHY_VMPTRLD_VMXON, VMX_WHY_VMPTRLD_REVISION, VMX_WHY_VMPTRLD_SHADOW,
	VMX_WHY_VMREAD_NO_VMCS, VMX_WHY_VMREAD_NO_LINK, VMX_WHY_VMREAD_FIELD,
	VMX_WHY_VMWRITE_NO_VMCS, VMX_WHY_VMWRITE_NO_LINK, VMX_WHY_VMWRITE_FIELD, VMX_WHY_VMWRITE_READ_ONLY,
	VMX_WHY_ENTRY_NO_VMCS, VMX_WHY_ENTRY_SHADOW,
	VMX_WHY_VMCALL_FIRST, VMX_WHY_VMCALL_SMM, VMX_WHY_VMCALL_ABSENT, VMX_WHY_VMCALL_NO_MONITOR, VMX_WHY_VMCALL_NO_VMCS,
	VMX_WHY_VMCALL_CLEAR, VMX_WHY_VMCALL_REVISION, VMX_WHY_VMCALL_FEATURES,
	VMX_WHY_INVEPT_TYPE, VMX_WHY_INVEPT_EPTP,
	VMX_WHY_INVVPID_TYPE, VMX_WHY_INVVPID_RESERVED, VMX_WHY_INVVPID_ZERO, VMX_WHY_INVVPID_CANONICAL,
	VMX_WHY_VMFUNC_ROOT, VMX_WHY_VMFUNC_DISABLED, VMX_WHY_VMFUNC_NUMBER,
	VMX_WHY_CR4_ABSENT, VMX_WHY_CR4_SMM, VMX_WHY_CR0_FIXED, VMX_WHY_CR4_FIXED,
	VMX_WHY_MSR_ABSENT, VMX_WHY_MSR_READ_ONLY, VMX_WHY_MSR_LOCKED, VMX_WHY_MSR_RESERVED, VMX_WHY_MSR_SMM, VMX_WHY_MSR_MONITOR,
	VMX_WHYS
};

/* Numbers up to 31 are VM-instruction errors. */
enum { VMX_WHY_INVALID = 0x100 /* VMfailInvalid */, VMX_WHY_UD, VMX_WHY_GP };

struct vmx_insn_check {
	const char *id;    /* never changed once published */
	const char *insns; /* "VMREAD", "VMLAUNCH, VMRESUME" */
	u16 outcome;
	const char *rule, *manual;
	const char *value; /* what the value is that it looked at */
	void (*decode)(struct words *w, const struct cpu *c, u64 value); /* NULL: the number says it all */
	const char *operand; /* and what else; NULL: nothing */
	const char *fix;     /* the usual one, NULL: none is */
};
extern const struct vmx_insn_check vmx_insn_checks[VMX_WHYS];

#endif
