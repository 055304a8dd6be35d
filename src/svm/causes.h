/*
 * Why an instruction of SVM fails: a row for each cause, in causes.c. Who finds it names it: svm_refuse() raises what the
 * row says and tells whoever listens; insns.c, msrs.c and smm.c have no other way to fail.
 */
#ifndef SVM_CAUSES_H
#define SVM_CAUSES_H

#include "cpu/cpu.h"

/* What an instruction asks before all else, in this order, and of the VMCB's address. */
enum { SVM_ASKS_FEATURE, SVM_ASKS_MODE, SVM_ASKS_SVME, SVM_ASKS_CPL };
enum { SVM_ASKS_ALIGNED, SVM_ASKS_WIDTH };
#define SVM_GATE(INSN)    SVM_##INSN, SVM_##INSN##_MODE, SVM_##INSN##_SVME, SVM_##INSN##_CPL
#define SVM_ADDRESS(INSN) SVM_##INSN##_ADDRESS, SVM_##INSN##_WIDTH = SVM_##INSN##_ADDRESS + SVM_ASKS_WIDTH

enum svm_cause {
	SVM_GATE(VMRUN), SVM_ADDRESS(VMRUN), SVM_VMRUN_HSAVE,
	SVM_GATE(VMLOAD), SVM_ADDRESS(VMLOAD), SVM_ADDRESS(VMLOAD_VIRTUAL),
	SVM_GATE(VMSAVE), SVM_ADDRESS(VMSAVE), SVM_ADDRESS(VMSAVE_VIRTUAL),
	SVM_VMMCALL, SVM_VMMCALL_SVME, SVM_VMMCALL_INTERCEPT,
	SVM_GATE(STGI),
	SVM_GATE(CLGI),
	SVM_GATE(INVLPGA),
	SVM_GATE(SKINIT), SVM_SKINIT_PROCESSORS,
	SVM_INVLPGB, SVM_INVLPGB_TAKEN, SVM_INVLPGB_CPL,
	SVM_INVLPGB_RAX, SVM_INVLPGB_ECX, SVM_INVLPGB_EDX, SVM_INVLPGB_COUNT, SVM_INVLPGB_NESTED, SVM_INVLPGB_ASID,
	SVM_TLBSYNC, SVM_TLBSYNC_TAKEN, SVM_TLBSYNC_CPL,
	SVM_EFER_ABSENT, SVM_MSR_ABSENT,
	SVM_EFER_SVMDIS,
	SVM_VM_CR_RESERVED, SVM_VM_CR_SVMDIS,
	SVM_HSAVE_ADDRESS, SVM_HSAVE_WIDTH,
	SVM_SMM_CTL_ABSENT, SVM_SMM_CTL_LOCKED, SVM_SMM_CTL_RESERVED, SVM_SMM_CTL_READ,
	SVM_TSC_RATIO_RESERVED,
	SVM_DOORBELL_RESERVED, SVM_DOORBELL_READ,
	SVM_CAUSES
};

struct svm_cause_row {
	const char *id;
	const char *insn;  /* "VMRUN" */
	u8 vector;         /* of the exception; SVM_GOES_ON: none */
	u8 shows[3];       /* enum svm_shown, the culprit first */
	const char *rule, *manual;
	const char *fix;   /* NULL: none is the usual one */
};
#define SVM_GOES_ON 0xff
extern const struct svm_cause_row svm_causes[SVM_CAUSES];

/* The instruction fails. operand: the address or the value in question, where the row shows one; wrong: the bits of what
 * the row shows first that must be 0. */
enum xr svm_refuse(struct cpu *c, const struct insn *i, enum svm_cause why, u64 operand, u64 wrong);
/* An access to an MSR fails: false. Not told where no instruction makes it. */
bool svm_refuse_msr(struct cpu *c, enum svm_cause why, u64 value, u64 wrong);
void svm_refuse_absent(struct cpu *c, const char *name); /* an MSR of SVM, on a processor without */
/* SKINIT has gone on. */
void svm_tell_skinit(struct cpu *c, const struct cpu *unprepared, u32 slb, u64 rip);

#endif
