/* The rows of root operation that need nothing but the runner: encodings, modes, privilege, prefixes, pointers. */
#include "root.h"

/* clang-format off */
static const struct op_row vmclear_rows[] = {
	OK_(REQ("vmx04.VMCLEAR.1 vmx04.VMCLEAR.10 vmx04.4.2") "VMCLEAR of another VMCS", CURRENT, A_SAME, 0x66, 0x0f, 0xc7, 0x33),
	{REQ("vmx04.VMCLEAR.11 sdm30.8") "VMCLEAR of the current VMCS", CURRENT, K64, B(0x66, 0x0f, 0xc7, 0x33), P_SAME, DONE, CLEAR, 0, A_NONE},
	{REQ("vmx04.VMCLEAR.2.now") "VMCLEAR register form: RDRAND r16", CURRENT, K64, B(0x66, 0x0f, 0xc7, 0xf3), P_FRESH, DONE, 1, 0, A_SAME},
	UD_(REQ("vmx04.VMCLEAR.3") "VMCLEAR outside VMX operation", OUTSIDE, K64, 0x66, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMCLEAR.28") "VMCLEAR outside VMX operation at CPL 3", OUTSIDE, U64, 0x66, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMCLEAR.5") "VMCLEAR in compatibility mode", CURRENT, K32, 0x66, 0x0f, 0xc7, 0x33),
	UD_("VMCLEAR in compatibility mode at CPL 3", CURRENT, U32, 0x66, 0x0f, 0xc7, 0x33),
	GP_(REQ("vmx04.VMCLEAR.6 vmx04.VMCLEAR.28") "VMCLEAR at CPL 3, operand not mapped", CURRENT, U64, 0x66, 0x0f, 0xc7, 0x33),
	FV_(REQ("vmx04.VMCLEAR.7 vmx04.VMCLEAR.9") "VMCLEAR misaligned", P_ODD, 2, 0x66, 0x0f, 0xc7, 0x33),
	FI_(REQ("vmx04.VMCLEAR.8 vmx04.VMCLEAR.9") "VMCLEAR misaligned, no current VMCS", ROOT, P_ODD, 0x66, 0x0f, 0xc7, 0x33),
	FV_(REQ("vmx04.VMCLEAR.13.now") "VMCLEAR beyond the address width", P_HIGH, 2, 0x66, 0x0f, 0xc7, 0x33),
	FV_(REQ("vmx04.VMCLEAR.13.now") "VMCLEAR of the VMXON region", P_VMXON, 3, 0x66, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMCLEAR.15") "VMCLEAR LOCK", CURRENT, K64, 0xf0, 0x66, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMCLEAR.16.now") "VMCLEAR F2", CURRENT, K64, 0xf2, 0x66, 0x0f, 0xc7, 0x33),
	FV_(REQ("vmx04.VMCLEAR.16.now vmx04.VMXON.22 vmx04.VMXON.23") "F3 66 is VMXON", P_FRESH, 15, 0xf3, 0x66, 0x0f, 0xc7, 0x33),
	FV_(REQ("vmx04.VMCLEAR.16.now vmx04.VMXON.22 vmx04.VMXON.23") "66 F3 is VMXON", P_FRESH, 15, 0x66, 0xf3, 0x0f, 0xc7, 0x33),
	OK_(REQ("vmx04.VMCLEAR.18") "VMCLEAR with 66 twice", CURRENT, A_SAME, 0x66, 0x66, 0x0f, 0xc7, 0x33),
	OK_(REQ("vmx04.4.8") "VMCLEAR with REX.W", CURRENT, A_SAME, 0x66, 0x48, 0x0f, 0xc7, 0x33),
};
static const struct op_row vmptrld_rows[] = {
	OK_(REQ("vmx04.VMPTRLD.1 vmx04.VMPTRLD.9 sdm30.2") "VMPTRLD", CURRENT, A_OPERAND, 0x0f, 0xc7, 0x33),
	OK_(REQ("vmx04.VMPTRLD.9") "VMPTRLD without a current VMCS", ROOT, A_OPERAND, 0x0f, 0xc7, 0x33),
	{REQ("vmx04.VMPTRLD.2.now") "VMPTRLD register form: RDRAND", CURRENT, K64, B(0x0f, 0xc7, 0xf3), P_FRESH, DONE, 1, 0, A_SAME},
	UD_(REQ("vmx04.VMPTRLD.3 vmx04.VMPTRLD.27") "VMPTRLD outside VMX operation", OUTSIDE, K64, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMPTRLD.5") "VMPTRLD in compatibility mode", CURRENT, K32, 0x0f, 0xc7, 0x33),
	UD_("VMPTRLD in compatibility mode at CPL 3", CURRENT, U32, 0x0f, 0xc7, 0x33),
	GP_(REQ("vmx04.VMPTRLD.6 vmx04.VMPTRLD.27") "VMPTRLD at CPL 3, operand not mapped", CURRENT, U64, 0x0f, 0xc7, 0x33),
	FV_(REQ("vmx04.VMPTRLD.7") "VMPTRLD misaligned", P_ODD, 9, 0x0f, 0xc7, 0x33),
	FI_(REQ("vmx04.VMPTRLD.8") "VMPTRLD misaligned, no current VMCS", ROOT, P_ODD, 0x0f, 0xc7, 0x33),
	FV_(REQ("vmx04.VMPTRLD.10.now") "VMPTRLD beyond the address width", P_HIGH, 9, 0x0f, 0xc7, 0x33),
	FV_(REQ("vmx04.VMPTRLD.10.now") "VMPTRLD of the VMXON region", P_VMXON, 10, 0x0f, 0xc7, 0x33),
	FV_(REQ("vmx04.VMPTRLD.10.now vmx04.2.1.9.now") "VMPTRLD, wrong revision", P_REVISION, 11, 0x0f, 0xc7, 0x33),
	{REQ("vmx04.2.1.9.now") "VMPTRLD of a shadow VMCS", CURRENT, K64, B(0x0f, 0xc7, 0x33), P_SHADOW, DONE, CLEAR, 0, A_OPERAND},
	{REQ("vmx04.VMPTRLD.12") "VMPTRLD of the current VMCS", CURRENT, K64, B(0x0f, 0xc7, 0x33), P_SAME, DONE, CLEAR, 0, A_SAME},
	UD_(REQ("vmx04.VMPTRLD.13") "VMPTRLD LOCK", CURRENT, K64, 0xf0, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMPTRLD.14 vmx04.4.7") "VMPTRLD F2", CURRENT, K64, 0xf2, 0x0f, 0xc7, 0x33),
	FV_(REQ("vmx04.VMPTRLD.15 vmx04.4.7") "VMPTRLD with F3 is VMXON", P_FRESH, 15, 0xf3, 0x0f, 0xc7, 0x33),
	{REQ("vmx04.VMPTRLD.17") "VMPTRLD with 66 is VMCLEAR", CURRENT, K64, B(0x66, 0x0f, 0xc7, 0x33), P_SAME, DONE, CLEAR, 0, A_NONE},
	OK_(REQ("vmx04.4.8") "VMPTRLD with REX.W", CURRENT, A_OPERAND, 0x48, 0x0f, 0xc7, 0x33),
};
static const struct op_row vmptrst_rows[] = {
	OK_(REQ("vmx04.VMPTRST.2 vmx04.VMPTRST.9 vmx04.4.5") "VMPTRST", CURRENT, A_SAME, 0x0f, 0xc7, 0x3b),
	OK_(REQ("vmx04.VMPTRST.9") "VMPTRST without a current VMCS", ROOT, A_SAME, 0x0f, 0xc7, 0x3b),
	OK_(REQ("vmx04.VMPTRST.1") "VMPTRST (R11)", CURRENT, A_SAME, 0x41, 0x0f, 0xc7, 0x3b), /* any ModRM with reg = 7 */
	UD_(REQ("vmx04.VMPTRST.4 vmx04.VMPTRST.24") "VMPTRST outside VMX operation", OUTSIDE, K64, 0x0f, 0xc7, 0x3b),
	UD_(REQ("vmx04.VMPTRST.6") "VMPTRST in compatibility mode", CURRENT, K32, 0x0f, 0xc7, 0x3b),
	UD_("VMPTRST in compatibility mode at CPL 3", CURRENT, U32, 0x0f, 0xc7, 0x3b),
	GP_(REQ("vmx04.VMPTRST.7 vmx04.VMPTRST.24") "VMPTRST at CPL 3, operand not mapped", CURRENT, U64, 0x0f, 0xc7, 0x3b),
	{REQ("vmx04.VMPTRST.3.now") "VMPTRST register form: RDSEED", CURRENT, K64, B(0x0f, 0xc7, 0xfb), P_FRESH, DONE, 1, 0, A_SAME},
	UD_(REQ("vmx04.VMPTRST.10") "VMPTRST LOCK", CURRENT, K64, 0xf0, 0x0f, 0xc7, 0x3b),
	UD_(REQ("vmx04.VMPTRST.11 vmx04.4.7") "VMPTRST F3", CURRENT, K64, 0xf3, 0x0f, 0xc7, 0x3b),
	UD_(REQ("vmx04.VMPTRST.11 vmx04.4.7") "VMPTRST F2", CURRENT, K64, 0xf2, 0x0f, 0xc7, 0x3b),
	UD_(REQ("vmx04.VMPTRST.13") "VMPTRST 66", CURRENT, K64, 0x66, 0x0f, 0xc7, 0x3b),
};
static const struct op_row vmread_rows[] = {
	OK_(REQ("vmx04.VMREAD.1") "VMREAD", CURRENT, A_SAME, 0x0f, 0x78, 0xca), /* RCX encoding, RDX destination */
	UD_(REQ("vmx04.VMREAD.5 vmx04.VMREAD.33") "VMREAD outside VMX operation", OUTSIDE, K64, 0x0f, 0x78, 0xca),
	UD_(REQ("vmx04.VMREAD.7") "VMREAD in compatibility mode", CURRENT, K32, 0x0f, 0x78, 0xca),
	UD_("VMREAD in compatibility mode at CPL 3", CURRENT, U32, 0x0f, 0x78, 0xca),
	GP_(REQ("vmx04.VMREAD.8 vmx04.VMREAD.33") "VMREAD at CPL 3, operand not mapped", CURRENT, U64, 0x0f, 0x78, 0x0b),
	FI_(REQ("vmx04.4.3.now") "VMREAD without a current VMCS", ROOT, P_FRESH, 0x0f, 0x78, 0xca),
	UD_(REQ("vmx04.VMREAD.19") "VMREAD LOCK", CURRENT, K64, 0xf0, 0x0f, 0x78, 0xca),
	UD_(REQ("vmx04.VMREAD.20 vmx04.4.7") "VMREAD F3", CURRENT, K64, 0xf3, 0x0f, 0x78, 0xca),
	UD_(REQ("vmx04.VMREAD.20 vmx04.4.7") "VMREAD F2", CURRENT, K64, 0xf2, 0x0f, 0x78, 0xca),
	UD_(REQ("vmx04.VMREAD.22") "VMREAD 66", CURRENT, K64, 0x66, 0x0f, 0x78, 0xca),
	OK_(REQ("vmx04.4.8") "VMREAD REX.R", CURRENT, A_SAME, 0x44, 0x0f, 0x78, 0xca), /* R9 is the encoding */
};
static const struct op_row vmwrite_rows[] = {
	OK_(REQ("vmx04.VMWRITE.1") "VMWRITE", CURRENT, A_SAME, 0x0f, 0x79, 0xca),
	UD_(REQ("vmx04.VMWRITE.3 vmx04.VMWRITE.31") "VMWRITE outside VMX operation", OUTSIDE, K64, 0x0f, 0x79, 0xca),
	UD_(REQ("vmx04.VMWRITE.5") "VMWRITE in compatibility mode", CURRENT, K32, 0x0f, 0x79, 0xca),
	UD_("VMWRITE in compatibility mode at CPL 3", CURRENT, U32, 0x0f, 0x79, 0xca),
	GP_(REQ("vmx04.VMWRITE.6 vmx04.VMWRITE.31") "VMWRITE at CPL 3, operand not mapped", CURRENT, U64, 0x0f, 0x79, 0x0b),
	FI_(REQ("vmx04.VMWRITE.7") "VMWRITE without a current VMCS", ROOT, P_FRESH, 0x0f, 0x79, 0xca),
	UD_(REQ("vmx04.VMWRITE.18") "VMWRITE LOCK", CURRENT, K64, 0xf0, 0x0f, 0x79, 0xca),
	UD_(REQ("vmx04.VMWRITE.19") "VMWRITE F3", CURRENT, K64, 0xf3, 0x0f, 0x79, 0xca),
	UD_(REQ("vmx04.VMWRITE.19") "VMWRITE F2", CURRENT, K64, 0xf2, 0x0f, 0x79, 0xca),
	UD_(REQ("vmx04.VMWRITE.21") "VMWRITE 66", CURRENT, K64, 0x66, 0x0f, 0x79, 0xca),
};
static const struct op_row launch_rows[] = {
	UD_(REQ("vmx04.VMLAUNCH.2 vmx04.VMLAUNCH.22") "VMLAUNCH outside VMX operation", OUTSIDE, K64, 0x0f, 0x01, 0xc2),
	UD_(REQ("vmx04.VMLAUNCH.2 vmx04.VMLAUNCH.22") "VMRESUME outside VMX operation", OUTSIDE, K64, 0x0f, 0x01, 0xc3),
	UD_(REQ("vmx04.VMLAUNCH.4") "VMLAUNCH in compatibility mode", CURRENT, K32, 0x0f, 0x01, 0xc2),
	UD_(REQ("vmx04.VMLAUNCH.4 sdm30.18") "VMRESUME in compatibility mode", CURRENT, K32, 0x0f, 0x01, 0xc3),
	UD_(REQ("vmx04.3.2.1.1") "VMLAUNCH in compatibility mode at CPL 3", CURRENT, U32, 0x0f, 0x01, 0xc2),
	UD_(REQ("vmx04.3.2.1.1") "VMRESUME in compatibility mode at CPL 3", CURRENT, U32, 0x0f, 0x01, 0xc3),
	GP_(REQ("vmx04.VMLAUNCH.5 vmx04.VMLAUNCH.22 vmx04.3.2.1.1") "VMLAUNCH at CPL 3, no current VMCS", ROOT, U64, 0x0f, 0x01, 0xc2),
	GP_(REQ("vmx04.VMLAUNCH.5 vmx04.VMLAUNCH.22 vmx04.3.2.1.1") "VMRESUME at CPL 3, no current VMCS", ROOT, U64, 0x0f, 0x01, 0xc3),
	FI_(REQ("vmx04.VMLAUNCH.6") "VMLAUNCH without a current VMCS", ROOT, P_FRESH, 0x0f, 0x01, 0xc2),
	FI_(REQ("vmx04.VMLAUNCH.6") "VMRESUME without a current VMCS", ROOT, P_FRESH, 0x0f, 0x01, 0xc3),
	FV_(REQ("vmx04.VMLAUNCH.1 vmx04.3.2.2.1") "VMLAUNCH with a VMCS of zeros", P_FRESH, 7, 0x0f, 0x01, 0xc2),
	FV_(REQ("vmx04.VMLAUNCH.1 vmx04.VMLAUNCH.8") "VMRESUME of a clear VMCS", P_FRESH, 5, 0x0f, 0x01, 0xc3),
	UD_(REQ("vmx04.VMLAUNCH.16") "VMLAUNCH LOCK", CURRENT, K64, 0xf0, 0x0f, 0x01, 0xc2),
	UD_(REQ("vmx04.VMLAUNCH.16") "VMRESUME LOCK", CURRENT, K64, 0xf0, 0x0f, 0x01, 0xc3),
	UD_(REQ("vmx04.VMLAUNCH.17") "VMLAUNCH F3", CURRENT, K64, 0xf3, 0x0f, 0x01, 0xc2),
	UD_(REQ("vmx04.VMLAUNCH.17") "VMRESUME F3", CURRENT, K64, 0xf3, 0x0f, 0x01, 0xc3),
	UD_(REQ("vmx04.VMLAUNCH.17") "VMLAUNCH F2", CURRENT, K64, 0xf2, 0x0f, 0x01, 0xc2),
	UD_(REQ("vmx04.VMLAUNCH.17") "VMRESUME F2", CURRENT, K64, 0xf2, 0x0f, 0x01, 0xc3),
	FV_(REQ("vmx04.VMLAUNCH.18") "VMLAUNCH with a segment override", P_FRESH, 7, 0x2e, 0x0f, 0x01, 0xc2),
	FV_(REQ("vmx04.VMLAUNCH.18") "VMRESUME with a segment override", P_FRESH, 5, 0x64, 0x0f, 0x01, 0xc3),
	UD_(REQ("vmx04.VMLAUNCH.19") "VMLAUNCH 66", CURRENT, K64, 0x66, 0x0f, 0x01, 0xc2),
	UD_(REQ("vmx04.VMLAUNCH.19") "VMRESUME 66", CURRENT, K64, 0x66, 0x0f, 0x01, 0xc3),
	FV_(REQ("vmx04.VMLAUNCH.20") "VMLAUNCH 67", P_FRESH, 7, 0x67, 0x0f, 0x01, 0xc2),
	FV_(REQ("vmx04.VMLAUNCH.20") "VMRESUME 67", P_FRESH, 5, 0x67, 0x0f, 0x01, 0xc3),
	FV_(REQ("vmx04.4.8") "VMLAUNCH with a full REX", P_FRESH, 7, 0x4f, 0x0f, 0x01, 0xc2),
	FV_(REQ("vmx04.4.8") "VMRESUME with a full REX", P_FRESH, 5, 0x4f, 0x0f, 0x01, 0xc3),
};
static const struct op_row vmxoff_rows[] = {
	OK_(REQ("vmx04.VMXOFF.1 vmx04.VMXOFF.6 vmx04.4.5 sdm30.13") "VMXOFF", CURRENT, A_LEFT, 0x0f, 0x01, 0xc4),
	UD_(REQ("vmx04.VMXOFF.2 vmx04.VMXOFF.17") "VMXOFF outside VMX operation", OUTSIDE, K64, 0x0f, 0x01, 0xc4),
	UD_(REQ("vmx04.VMXOFF.4") "VMXOFF in compatibility mode", CURRENT, K32, 0x0f, 0x01, 0xc4),
	UD_(REQ("vmx04.VMXOFF.4") "VMXOFF in compatibility mode at CPL 3", CURRENT, U32, 0x0f, 0x01, 0xc4),
	GP_(REQ("vmx04.VMXOFF.5 vmx04.VMXOFF.9 vmx04.VMXOFF.17") "VMXOFF at CPL 3", CURRENT, U64, 0x0f, 0x01, 0xc4),
	UD_(REQ("vmx04.VMXOFF.11") "VMXOFF LOCK", CURRENT, K64, 0xf0, 0x0f, 0x01, 0xc4),
	UD_(REQ("vmx04.VMXOFF.12") "VMXOFF F3", CURRENT, K64, 0xf3, 0x0f, 0x01, 0xc4),
	UD_(REQ("vmx04.VMXOFF.12") "VMXOFF F2", CURRENT, K64, 0xf2, 0x0f, 0x01, 0xc4),
	OK_(REQ("vmx04.VMXOFF.13") "VMXOFF with a segment override", CURRENT, A_LEFT, 0x65, 0x0f, 0x01, 0xc4),
	UD_(REQ("vmx04.VMXOFF.14") "VMXOFF 66", CURRENT, K64, 0x66, 0x0f, 0x01, 0xc4),
	OK_(REQ("vmx04.VMXOFF.15") "VMXOFF 67", CURRENT, A_LEFT, 0x67, 0x0f, 0x01, 0xc4),
	OK_(REQ("vmx04.4.8") "VMXOFF with a full REX", CURRENT, A_LEFT, 0x4f, 0x0f, 0x01, 0xc4),
};
static const struct op_row vmxon_rows[] = {
	OK_(REQ("vmx04.VMXON.1 vmx04.VMXON.12.now vmx04.2.1.7.now sdm30.14") "VMXON", OUTSIDE, A_SAME, 0xf3, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMXON.2.now vmx04.VMXON.33") "VMXON register form", OUTSIDE, K64, 0xf3, 0x0f, 0xc7, 0xf3),
	UD_(REQ("vmx04.VMXON.3 vmx04.VMXON.33 vmx04.1.8.1") "VMXON without CR4.VMXE", NO_VMXE, K64, 0xf3, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMXON.3") "VMXON without CR4.VMXE at CPL 3", NO_VMXE, U64, 0xf3, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMXON.6") "VMXON in compatibility mode", OUTSIDE, K32, 0xf3, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMXON.6") "VMXON in compatibility mode, root operation", CURRENT, K32, 0xf3, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMXON.6") "VMXON in compatibility mode at CPL 3", OUTSIDE, U32, 0xf3, 0x0f, 0xc7, 0x33),
	GP_(REQ("vmx04.VMXON.7 vmx04.VMXON.33") "VMXON at CPL 3, operand not mapped", OUTSIDE, U64, 0xf3, 0x0f, 0xc7, 0x33),
	FI_(REQ("vmx04.VMXON.11") "VMXON misaligned", OUTSIDE, P_ODD, 0xf3, 0x0f, 0xc7, 0x33),
	FI_(REQ("vmx04.VMXON.12.now") "VMXON beyond the address width", OUTSIDE, P_HIGH, 0xf3, 0x0f, 0xc7, 0x33),
	FI_(REQ("vmx04.VMXON.12.now vmx04.1.7.5.now") "VMXON, wrong revision", OUTSIDE, P_REVISION, 0xf3, 0x0f, 0xc7, 0x33),
	FI_(REQ("vmx04.1.7.5.now") "VMXON, bit 31 of the revision", OUTSIDE, P_SHADOW, 0xf3, 0x0f, 0xc7, 0x33),
	GP_(REQ("vmx04.VMXON.13 vmx04.VMXON.18") "VMXON in root operation at CPL 3", CURRENT, U64, 0xf3, 0x0f, 0xc7, 0x33),
	FV_(REQ("vmx04.VMXON.14") "VMXON in root operation", P_FRESH, 15, 0xf3, 0x0f, 0xc7, 0x33),
	FI_(REQ("vmx04.VMXON.15") "VMXON in root operation without a current VMCS", ROOT, P_FRESH, 0xf3, 0x0f, 0xc7, 0x33),
	FV_(REQ("vmx04.VMXON.16") "VMXON in root operation, operand not mapped", P_UNMAPPED, 15, 0xf3, 0x0f, 0xc7, 0x33),
	FI_(REQ("vmx04.VMXON.16") "VMXON in root operation, neither mapped nor current", ROOT, P_UNMAPPED, 0xf3, 0x0f, 0xc7, 0x33),
	FV_(REQ("vmx04.VMXON.17") "VMXON in root operation, misaligned", P_ODD, 15, 0xf3, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMXON.19") "VMXON LOCK", OUTSIDE, K64, 0xf0, 0xf3, 0x0f, 0xc7, 0x33),
	OK_(REQ("vmx04.VMXON.20") "VMXON F2 F3", OUTSIDE, A_SAME, 0xf2, 0xf3, 0x0f, 0xc7, 0x33),
	OK_(REQ("vmx04.VMXON.20") "VMXON F3 F3", OUTSIDE, A_SAME, 0xf3, 0xf3, 0x0f, 0xc7, 0x33),
	UD_(REQ("vmx04.VMXON.20") "VMXON F3 F2", OUTSIDE, K64, 0xf3, 0xf2, 0x0f, 0xc7, 0x33),
	OK_(REQ("vmx04.VMXON.22") "VMXON 66 F3", OUTSIDE, A_SAME, 0x66, 0xf3, 0x0f, 0xc7, 0x33),
	OK_(REQ("vmx04.VMXON.22") "VMXON F3 66", OUTSIDE, A_SAME, 0xf3, 0x66, 0x0f, 0xc7, 0x33),
	OK_(REQ("vmx04.4.8") "VMXON REX.W", OUTSIDE, A_SAME, 0xf3, 0x48, 0x0f, 0xc7, 0x33),
};
static const struct op_row vmcall_rows[] = {
	UD_(REQ("vmcall.5 vmcall.34 vmx04.VMCALL.14.now") "VMCALL outside VMX operation", OUTSIDE, K64, 0x0f, 0x01, 0xc1),
	UD_(REQ("vmcall.5 vmcall.34") "VMCALL outside VMX operation at CPL 3", OUTSIDE, U64, 0x0f, 0x01, 0xc1),
	UD_(REQ("vmcall.5") "VMCALL outside VMX operation, compatibility mode", OUTSIDE, K32, 0x0f, 0x01, 0xc1),
	UD_(REQ("vmcall.8 vmx04.VMCALL.3.now") "VMCALL in compatibility mode", CURRENT, K32, 0x0f, 0x01, 0xc1),
	UD_(REQ("vmcall.8") "VMCALL in compatibility mode at CPL 3", CURRENT, U32, 0x0f, 0x01, 0xc1),
	GP_(REQ("vmcall.9 vmcall.35") "VMCALL at CPL 3", CURRENT, U64, 0x0f, 0x01, 0xc1),
	FV_(REQ("vmcall.1 vmcall.11 vmcall.13 vmcall.26 vmcall.37 vmx04.VMCALL.1 vmx04.VMCALL.3.now") "VMCALL in root operation", P_FRESH, 1, 0x0f, 0x01, 0xc1),
	FI_(REQ("vmcall.13 vmcall.37") "VMCALL in root operation without a current VMCS", ROOT, P_FRESH, 0x0f, 0x01, 0xc1),
	UD_("VMCALL 66", CURRENT, K64, 0x66, 0x0f, 0x01, 0xc1),
	UD_("VMCALL F2", CURRENT, K64, 0xf2, 0x0f, 0x01, 0xc1),
	UD_("VMCALL F3", CURRENT, K64, 0xf3, 0x0f, 0x01, 0xc1),
	UD_("VMCALL LOCK", CURRENT, K64, 0xf0, 0x0f, 0x01, 0xc1),
	UD_("VMCALL LOCK outside VMX operation", OUTSIDE, K64, 0xf0, 0x0f, 0x01, 0xc1),
	FV_(REQ("vmx04.4.8") "VMCALL with a full REX", P_FRESH, 1, 0x4f, 0x0f, 0x01, 0xc1),
};
static const struct op_row invalidate_rows[] = {
	UD_(REQ("sdm30.19") "INVEPT in compatibility mode", CURRENT, K32, 0x66, 0x0f, 0x38, 0x80, 0x0b),
	UD_(REQ("sdm30.19") "INVVPID in compatibility mode", CURRENT, K32, 0x66, 0x0f, 0x38, 0x81, 0x0b),
	UD_(REQ("sdm30.19") "INVEPT in compatibility mode at CPL 3", CURRENT, U32, 0x66, 0x0f, 0x38, 0x80, 0x0b),
	UD_(REQ("sdm30.19") "INVVPID in compatibility mode at CPL 3", CURRENT, U32, 0x66, 0x0f, 0x38, 0x81, 0x0b),
	FV_(REQ("vmx04.4.13") "INVEPT of no type", P_FRESH, 28, 0x66, 0x0f, 0x38, 0x80, 0x0b), /* with the rows of the other numbers */
	FV_(REQ("vmx04.4.13") "INVVPID of no type", P_FRESH, 28, 0x66, 0x0f, 0x38, 0x81, 0x0b),
};
/* clang-format on */

int main(void)
{
	if (!op_begin())
		return 1;
	RUN(vmclear_rows);
	RUN(vmptrld_rows);
	RUN(vmptrst_rows);
	RUN(vmread_rows);
	RUN(vmwrite_rows);
	RUN(launch_rows);
	RUN(vmxoff_rows);
	RUN(vmxon_rows);
	RUN(vmcall_rows);
	RUN(invalidate_rows);
	test_operands();
	test_fields();
	test_life();
	return guest_verdict();
}
