/*
 * Chapter 4 of the preliminary specification of 2004 where it differs from every later text: the VMX instructions in root
 * operation and outside VMX operation. Section titles are C97063's. A failure has no number: there is no VM-instruction
 * error field.
 */
#include "../vmx_reqs/root.h"
#include "vmx.h"

#define FVV(name, pointer, ...) FV_(name, pointer, 0, __VA_ARGS__)

/* clang-format off */
static const struct op_row pointers[] = {
	UD_(REQ("vmx04.VMCLEAR.2") "VMCLEAR register form", CURRENT, K64, 0x66, 0x0f, 0xc7, 0xf3),
	UD_(REQ("vmx04.VMCLEAR.2") "VMCLEAR register form at CPL 3", CURRENT, U64, 0x66, 0x0f, 0xc7, 0xf3),
	UD_(REQ("vmx04.VMCLEAR.2") "VMCLEAR register form outside VMX operation", OUTSIDE, U64, 0x66, 0x0f, 0xc7, 0xf3),
	FVV(REQ("vmx04.VMCLEAR.12 vmx04.2.8.0.2") "VMCLEAR beyond the address width", P_HIGH, 0x66, 0x0f, 0xc7, 0x33),
	FI_(REQ("vmx04.VMCLEAR.12") "VMCLEAR beyond the address width, no current VMCS", ROOT, P_HIGH, 0x66, 0x0f, 0xc7, 0x33),
	{REQ("vmx04.VMCLEAR.13") "VMCLEAR of the VMXON region", CURRENT, K64, B(0x66, 0x0f, 0xc7, 0x33), P_VMXON, DONE, CLEAR, 0, A_SAME},
	{REQ("vmx04.VMCLEAR.13") "VMCLEAR of any contents", CURRENT, K64, B(0x66, 0x0f, 0xc7, 0x33), P_REVISION, DONE, CLEAR, 0, A_SAME},
	FVV(REQ("vmx04.VMCLEAR.16") "F3 66 is VMXON", P_FRESH, 0xf3, 0x66, 0x0f, 0xc7, 0x33),
	FVV(REQ("vmx04.VMCLEAR.16") "66 F3 is VMXON", P_FRESH, 0x66, 0xf3, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMCLEAR.16") "VMCLEAR F2", CURRENT, K64, 0xf2, 0x66, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMPTRLD.2") "VMPTRLD register form", CURRENT, K64, 0x0f, 0xc7, 0xf3),
	UD_(REQ("vmx04.VMPTRLD.2") "VMPTRLD register form at CPL 3", CURRENT, U64, 0x0f, 0xc7, 0xf3),
	UD_(REQ("vmx04.VMPTRLD.2") "VMPTRLD register form outside VMX operation", OUTSIDE, K64, 0x0f, 0xc7, 0xf3),
	{REQ("vmx04.VMPTRLD.10") "VMPTRLD of the VMXON region", CURRENT, K64, B(0x0f, 0xc7, 0x33), P_VMXON, DONE, CLEAR, 0, A_OPERAND},
	{REQ("vmx04.VMPTRLD.10") "VMPTRLD, any first doubleword", CURRENT, K64, B(0x0f, 0xc7, 0x33), P_REVISION, DONE, CLEAR, 0, A_OPERAND},
	{REQ("vmx04.VMPTRLD.10") "VMPTRLD, bit 31 of the first doubleword", CURRENT, K64, B(0x0f, 0xc7, 0x33), P_SHADOW, DONE, CLEAR, 0, A_OPERAND},
	FVV(REQ("vmx04.VMPTRLD.11") "VMPTRLD beyond the address width", P_HIGH, 0x0f, 0xc7, 0x33),
	FI_(REQ("vmx04.VMPTRLD.11") "VMPTRLD beyond the address width, no current VMCS", ROOT, P_HIGH, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMPTRST.3") "VMPTRST register form", CURRENT, K64, 0x0f, 0xc7, 0xfb),
	UD_(REQ("vmx04.VMPTRST.3") "VMPTRST register form at CPL 3", CURRENT, U64, 0x0f, 0xc7, 0xfb),
	UD_(REQ("vmx04.VMPTRST.3") "VMPTRST register form outside VMX operation", OUTSIDE, K64, 0x0f, 0xc7, 0xfb),
};
static const struct op_row operation[] = {
	UD_(REQ("vmx04.VMXON.2") "VMXON register form", OUTSIDE, K64, 0xf3, 0x0f, 0xc7, 0xf3),
	UD_(REQ("vmx04.VMXON.2") "VMXON register form in root operation at CPL 3", CURRENT, U64, 0xf3, 0x0f, 0xc7, 0xf3),
	OK_(REQ("vmx04.VMXON.12") "VMXON", OUTSIDE, A_SAME, 0xf3, 0x0f, 0xc7, 0x33),
	{REQ("vmx04.VMXON.12") "VMXON, any first doubleword", OUTSIDE, K64, B(0xf3, 0x0f, 0xc7, 0x33), P_REVISION, DONE, CLEAR, 0, A_SAME},
	{REQ("vmx04.VMXON.12") "VMXON, bit 31 of the first doubleword", OUTSIDE, K64, B(0xf3, 0x0f, 0xc7, 0x33), P_SHADOW, DONE, CLEAR, 0, A_SAME},
	FVV("VMXON in root operation", P_FRESH, 0xf3, 0x0f, 0xc7, 0x33),
	OK_(REQ("vmx04.VMXOFF.10") "VMXOFF with a current VMCS", CURRENT, A_LEFT, 0x0f, 0x01, 0xc4),
	OK_(REQ("vmx04.VMXOFF.10") "VMXOFF without one", ROOT, A_LEFT, 0x0f, 0x01, 0xc4),
	UD_(REQ("vmx04.VMCALL.3 vmx04.VMCALL.14 vmcall.57") "VMCALL in root operation", CURRENT, K64, 0x0f, 0x01, 0xc1),
	UD_(REQ("vmx04.VMCALL.3 vmx04.VMCALL.14") "VMCALL in root operation without a current VMCS", ROOT, K64, 0x0f, 0x01, 0xc1),
	UD_(REQ("vmx04.VMCALL.3 vmx04.VMCALL.14") "VMCALL in root operation at CPL 3", CURRENT, U64, 0x0f, 0x01, 0xc1),
	UD_(REQ("vmx04.VMCALL.3") "VMCALL in compatibility mode", CURRENT, K32, 0x0f, 0x01, 0xc1),
	UD_(REQ("vmx04.VMCALL.3") "VMCALL in compatibility mode at CPL 3", CURRENT, U32, 0x0f, 0x01, 0xc1),
	UD_(REQ("vmx04.VMCALL.3 vmx04.VMCALL.14") "VMCALL outside VMX operation", OUTSIDE, K64, 0x0f, 0x01, 0xc1),
	UD_(REQ("vmx04.VMCALL.14") "VMCALL outside VMX operation at CPL 3", OUTSIDE, U64, 0x0f, 0x01, 0xc1),
	FVV("VMLAUNCH with a VMCS of zeros", P_FRESH, 0x0f, 0x01, 0xc2),
	FVV("VMRESUME of a clear VMCS", P_FRESH, 0x0f, 0x01, 0xc3),
};
/* What later processors have: INVEPT, INVVPID, GETSEC, XSETBV, RDTSCP, INVPCID, VMFUNC, RDRAND, RDSEED, XSAVES, XRSTORS. */
#define ABSENT(name, ...) \
	UD_(REQ("vmx04.3.1.2.2.9") name, CURRENT, K64, __VA_ARGS__), UD_(REQ("vmx04.3.1.2.2.9") name " at CPL 3", CURRENT, U64, __VA_ARGS__), \
	UD_(name " outside VMX operation", OUTSIDE, K64, __VA_ARGS__)
static const struct op_row absent[] = {
	ABSENT(REQ("sdm30.17") "INVEPT", 0x66, 0x0f, 0x38, 0x80, 0x0b), ABSENT(REQ("sdm30.17") "INVVPID", 0x66, 0x0f, 0x38, 0x81, 0x0b),
	ABSENT("GETSEC", 0x0f, 0x37), ABSENT("XSETBV", 0x0f, 0x01, 0xd1), ABSENT("RDTSCP", 0x0f, 0x01, 0xf9),
	ABSENT("INVPCID", 0x66, 0x0f, 0x38, 0x82, 0x0b), ABSENT("VMFUNC", 0x0f, 0x01, 0xd4), ABSENT("RDRAND", 0x0f, 0xc7, 0xf0),
	ABSENT("RDSEED", 0x0f, 0xc7, 0xf8), ABSENT("XSAVES", 0x0f, 0xc7, 0x2b), ABSENT("XRSTORS", 0x0f, 0xc7, 0x1b),
};
/* clang-format on */

/* ---- VMREAD and VMWRITE ---- */

static u32 vmread_to(u64 field, u64 *value)
{
	u8 carry, zero;

	asm volatile("vmread %3, %0; setc %1; setz %2" : "+m"(*value), "=q"(carry), "=q"(zero) : "r"(field) : "cc");
	return carry | (u32)zero << 1;
}

/* The fields of chapter 2 that are 64 bits wide, whose upper half has an encoding of its own. */
static const u32 wide[] = {VMCS_IO_A, VMCS_IO_B, VMCS_STORE_ADDR, VMCS_LOAD_ADDR, VMCS_ENTRY_LOAD_ADDR, VMCS_TSC_OFFSET, VMCS_VAPIC};
static const u32 others[] = {VMCS_GUEST_CS, VMCS_HOST_TR, VMCS_PIN, VMCS_PROC, VMCS_CR3_COUNT, VMCS_ENTRY_CONTROLS, VMCS_TPR_THRESHOLD,
			     VMCS_GUEST_CS_AR, VMCS_GUEST_INTERRUPTIBILITY, VMCS_CR0_MASK, VMCS_CR3_TARGET3, VMCS_GUEST_CR0,
			     VMCS_GUEST_RFLAGS, VMCS_HOST_CR3, VMCS_HOST_RIP};
static const u32 told[] = {VMCS_EXIT_REASON, VMCS_EXIT_EVENT, VMCS_EXIT_ERROR, VMCS_VECTORING, VMCS_VECTORING_ERROR,
			   VMCS_EXIT_LENGTH, VMCS_QUALIFICATION, VMCS_GUEST_LINEAR};
static const u32 none[] = {VMCS_ERROR, VMCS_INFO, VMCS_IO_RCX, VMCS_IO_RSI, VMCS_IO_RDI, VMCS_IO_RIP, VMCS_GUEST_PHYSICAL,
			   VMCS_GUEST_PHYSICAL + 1};
#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static void halves(void)
{
	for (unsigned n = 0; n < LENGTH(wide); n++) {
		u64 high = 0;

		vmx_write(wide[n], 0x1122334455667788);
		check(REQ("vmx04.VMREAD.16") "upper half", vmread_to(wide[n] + 1, &high), 0);
		check(REQ("vmx04.VMREAD.16") "zero-extended", high, 0x11223344);
		check(REQ("vmx04.VMWRITE.16") "write of the upper half", vmx_write(wide[n] + 1, 0xaabbccdd99887766), VMX_OK);
		check(REQ("vmx04.VMWRITE.16") "bits 63:32 alone", vmx_read(wide[n]), 0x9988776655667788);
	}
	for (unsigned n = 0; n < LENGTH(others); n++) {
		u64 memory = 0x5a5a;

		check(REQ("vmx04.VMREAD.16") "odd encoding of another field", vmread_to(others[n] + 1, &memory), 2);
		check(REQ("vmx04.VMREAD.17") "memory as it was", memory, 0x5a5a);
		check("VMWRITE of an odd encoding", vmx_write(others[n] + 1, 0), VMX_FAIL_VALID);
	}
}

static void fields(void)
{
	u64 seen;

	op_to(CURRENT);
	for (unsigned n = 0; n < LENGTH(none); n++) {
		check(REQ("vmx04.2.8.0.2 vmx04.2.8.0.3") "VMREAD of a later field", vmread_to(none[n], &seen), 2);
		check(REQ("vmx04.2.8.0.2 vmx04.2.8.0.3") "VMWRITE of a later field", vmx_write(none[n], 1), VMX_FAIL_VALID);
	}
	for (unsigned n = 0; n < LENGTH(told); n++) {
		u64 before = vmx_read(told[n]);

		check(REQ("vmx04.VMREAD.18") "exit information can be read", vmread_to(told[n], &seen), 0);
		check(REQ("vmx04.VMWRITE.9") "and not written", vmx_write(told[n], before + 1), VMX_FAIL_VALID);
		check(REQ("vmx04.VMWRITE.9") "it stays", vmx_read(told[n]), before);
	}
	for (unsigned n = 0; n < LENGTH(others); n++)
		check(REQ("vmx04.VMREAD.18") "state and controls can be read", vmread_to(others[n], &seen), 0);
	for (unsigned n = 0; n < LENGTH(wide); n++)
		check(REQ("vmx04.VMREAD.18") "and the 64-bit ones", vmread_to(wide[n], &seen), 0);
	halves();
}

/* What is looked at first: the failure or the operand in memory. */
static void order(void)
{
	u64 *nowhere = (u64 *)(1ull << 45), at = VMCS_GUEST_RIP, later = VMCS_ERROR, old = 0x7777;

	op_to(CURRENT);
	check(REQ("vmx04.VMREAD.17") "VMREAD of no field to no memory", CATCH(asm volatile("vmread %1, %0" : "=m"(*nowhere) : "r"(later) : "cc")), -1);
	check("VMREAD of a field to no memory", CATCH(asm volatile("vmread %1, %0" : "=m"(*nowhere) : "r"(at) : "cc")), EX_PF);
	check(REQ("vmx04.VMWRITE.17") "VMWRITE of no field from no memory", CATCH(asm volatile("vmwrite %0, %1" ::"m"(*nowhere), "r"(later) : "cc")), EX_PF);
	op_to(ROOT);
	check(REQ("vmx04.VMREAD.17") "VMREAD to no memory, no current VMCS", CATCH(asm volatile("vmread %1, %0" : "=m"(*nowhere) : "r"(at) : "cc")), -1);
	check(REQ("vmx04.VMWRITE.17") "VMWRITE from no memory, no current VMCS", CATCH(asm volatile("vmwrite %0, %1" ::"m"(*nowhere), "r"(at) : "cc")), EX_PF);
	check("VMREAD to memory, no current VMCS", vmread_to(at, &old), 1);
	check(REQ("vmx04.VMREAD.17") "memory as it was", old, 0x7777);
}

/* The door to the dual-monitor treatment, of which there is nothing. */
static void no_dual_monitor(void)
{
	check(REQ("vmcall.57") "IA32_VMX_BASIC, bit 49", rdmsr(MSR_VMX_BASIC) >> 49 & 1, 0);
	check(REQ("vmcall.57") "RDMSR of 9Bh", CATCH(rdmsr(0x9b)), EX_GP);
	check(REQ("vmcall.57") "WRMSR of 9Bh", CATCH(wrmsr(0x9b, 0)), EX_GP);
}

int main(void)
{
	if (!op_begin())
		return 1;
	RUN(pointers);
	RUN(operation);
	RUN(absent);
	proves("vmx04.4.3"); /* op_rows() compares all six flags, of which each was 1 before */
	fields();
	order();
	no_dual_monitor();
	return guest_verdict();
}
