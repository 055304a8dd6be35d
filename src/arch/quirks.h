/*
 * Where processors answer differently although their features are the same: one row each, by whose processors do what
 * the sentence says. A model's quirks are the lists of its maker; docs/reference/quirks.md is made from them.
 * QUIRK(id, what the processor does, source). "measured" names the processor; tests/diff holds it to that.
 */
#ifndef ARCH_QUIRKS_H
#define ARCH_QUIRKS_H

#include "base/base.h"

#define SPR  "measured on Sapphire Rapids"
#define ZEN5 "measured on an AMD EPYC of family 1Ah"
#define AMDS "measured on an AMD processor"

/* clang-format off */
#define QUIRK_LIST_AMD(QUIRK) \
	QUIRK(SYSRET_NONCANON_USER, "SYSRET to a non-canonical RIP faults at CPL 3, after the switch", "APM 3 \"SYSRET\"") \
	QUIRK(SYSENTER_NO_COMPAT, "SYSENTER and SYSEXIT are #UD in long mode", "APM 3 \"SYSENTER\"") \
	QUIRK(NULL_KEEPS_BASE, "without null-selector clearing, loading a null selector keeps base and limit", "APM 3 \"MOV\"; CPUID 8000_0021h EAX[6]") \
	QUIRK(FXSAVE_PTR_ES, "FXSAVE and XSAVE save the x87 pointers only while FSW.ES is 1", "APM 2 \"FXSAVE and FXRSTOR Instructions\"") \
	QUIRK(FXSAVE_EM_NM, "FXSAVE and FXRSTOR with CR0.EM are #NM, not #UD", "APM 5 \"FXSAVE\"") \
	QUIRK(SHA_UNALIGNED, "SHA instructions take a misaligned memory operand", AMDS) \
	QUIRK(PREFETCH_REG_UD, "0F 0D with a register is #UD, not a reserved NOP", AMDS) \
	QUIRK(LOOP_REPEATS, "LOOPE and LOOPNE take their condition from an F3 or F2 prefix", AMDS) \
	QUIRK(MOVSXD16_READS_32, "MOVSXD with 16-bit operands reads 32 bits of memory", AMDS) \
	QUIRK(PINSRD_W_UD, "VPINSRD and VPEXTRD with VEX.W are #UD outside 64-bit mode", AMDS) \
	QUIRK(LSS_FAR_64, "far pointers with REX.W have 32-bit offsets", "APM 3 \"JMP (Far)\"") \
	QUIRK(UPPER_BIT8_RESERVED, "bit 8 of PML5Es, PML4Es and PDPEs that point to tables must be zero", "APM 2 \"Long-Mode Page Translation\"") \
	QUIRK(X87_STORE_PROBES, "an x87 store that an unmasked exception forbids still faults on its operand", AMDS) \
	QUIRK(VEC_CHECKS_ALIGNMENT, "with alignment checking, operands of 16 and 32 bytes must be aligned to 16, of half-precision conversions to their size", "APM 2 \"#AC\"; " AMDS) \
	QUIRK(EXT_OUTSIDE_ONLY, "EXT of a selector error code is 1 only if the event came from outside the processor, not for exceptions", "APM 2 \"Selector-Error Code\"") \
	QUIRK(XSETBV_EXITS_FIRST, "the intercept of XSETBV is looked at before the privilege level", "APM 2 \"Instruction Intercepts\"") \
	QUIRK(CANONICAL_TO_THE_END, "with alignment checking, a misaligned operand of which only the end is not canonical is #GP or #SS, not #AC", ZEN5) \
	QUIRK(XSAVE_START_FIRST, "a misaligned area of XSAVE or XRSTOR is #GP even with alignment checking; its start is looked at before its end", ZEN5) \
	QUIRK(PAUSE_WITHOUT_REX_B, "F3 90 with REX.B exchanges R8 and rAX", "APM 3 \"XCHG\"; " AMDS)

#define QUIRK_LIST_AMD_2005(QUIRK) \
	QUIRK(SVM_FIRST, "the SVM of 2005: the SMI intercept is required and tells less, a TLB flush hits every ASID", "33047 \"TLB Control\"") \
	QUIRK(DEV_TYPED, "the DEV capability block says type 010b; later ones say 000b, which loaders ask for", "33047 \"DEV Capability Block\"") \
	QUIRK(LASTEXC_MC, "#MC updates the last-exception addresses like every exception but #DB", "33047 \"LBR Virtualization\"")

#define QUIRK_LIST_INTEL(QUIRK) \
	QUIRK(SMM_MAP_INTEL, "system-management mode saves the state in Intel's layout, not in AMD64's", "SDM 3C \"SMRAM State Save Map\"") \
	QUIRK(SYSCALL_LONG_ONLY, "SYSCALL and SYSRET are #UD outside 64-bit mode", "SDM 2 \"SYSCALL\"") \
	QUIRK(BRANCH_IGNORE_66, "66h is ignored on near branches in 64-bit mode", "SDM 2 \"CALL\", \"JMP\", \"RET\"") \
	QUIRK(CPUID_LAST_LEAF, "a leaf above the maximum reads as the highest basic leaf", "SDM 2 \"CPUID\"") \
	QUIRK(MOVSS_HOLDS_BREAKPOINT, "an instruction breakpoint on the instruction behind MOV SS or POP SS is inhibited", "SDM 3A \"Masking Exceptions and Interrupts When Switching Stacks\"") \
	QUIRK(CALL_PUSHES_FIRST, "near CALL writes its return address before the target is checked", SPR) \
	QUIRK(PUSH_SREG_16, "PUSH of a segment register with a 32-bit operand writes its lower half only", "SDM 2 \"PUSH\"; " SPR) \
	QUIRK(BOUND_LOWER_FIRST, "BOUND compares with the lower bound before it reads the upper one", SPR) \
	QUIRK(CMPS_DEST_FIRST, "CMPS reads ES:rDI before rSI", SPR) \
	QUIRK(REP_EXTENDS, "in 64-bit mode REP with 32-bit addresses zero-extends its registers before the first iteration", SPR) \
	QUIRK(MMX_STORE_TOP_FIRST, "a store of an MMX register clears TOP, but not the tags, before it faults", SPR) \
	QUIRK(X87_OP_EXCEPTION, "the x87 opcode register is written by unmasked exceptions only", "SDM 1 \"Fopcode Compatibility Sub-mode\"; " SPR) \
	QUIRK(FBSTP_HALVES, "FBSTP writes eight bytes before the other two are looked at", SPR) \
	QUIRK(DP_CROSSWISE, "DPPS and DPPD add for each element by itself, so that NaN operands have another order in each", SPR) \
	QUIRK(XRSTOR_HEADER_FIRST, "XRSTOR reads XCOMP_BV before the rest of its area is looked at", SPR) \
	QUIRK(VCVTPS2PH_DENORMAL_PE, "VCVTPS2PH with underflow unmasked reports a denormal source as inexact", SPR) \
	QUIRK(VCVTPS2PH_RAISES_FIRST, "VCVTPS2PH raises its exceptions before the destination is looked at", SPR)

#define QUIRK_LIST_INTEL_2004(QUIRK) \
	QUIRK(VMX_FIRST, "the VMX of 2004: what its text lacks does not exist, and what later texts added to it or changed in it is as it was", "C97063")
/* clang-format on */

#define QUIRK_LIST(QUIRK) QUIRK_LIST_AMD(QUIRK) QUIRK_LIST_AMD_2005(QUIRK) QUIRK_LIST_INTEL(QUIRK) QUIRK_LIST_INTEL_2004(QUIRK)

enum quirk {
#define QUIRK(id, about, source) QUIRK_##id,
	QUIRK_LIST(QUIRK)
#undef QUIRK
	QUIRK_COUNT
};
_Static_assert(QUIRK_COUNT <= 64, "a model's quirks are one word");

/* A list as that word. */
#define QUIRK_BIT(id, about, source) | BIT(QUIRK_##id)
#define QUIRKS(list) (0 list(QUIRK_BIT))

struct quirk_info {
	const char *name, *about, *source;
};
extern const struct quirk_info arch_quirks[QUIRK_COUNT];

#endif
