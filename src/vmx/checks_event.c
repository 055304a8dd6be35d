/*
 * "VM-Entry Controls for Event Injection" under "Checks on VMX Controls" (error 7), made only while the interruption
 * information is valid; and "Basic VM-Entry Checks", the conditions that fail VMLAUNCH or VMRESUME before any field.
 */
#include "vmx/checks_rows.h"

/* ---- "Basic VM-Entry Checks" ---- */

static bool mov_ss(const struct vmx_image *g)
{
	return vmx_in(g, VMX_IN_MOVSS) != 0;
}

static bool not_clear(const struct vmx_image *g)
{
	return !vmx_in(g, VMX_IN_RESUME) && vmx_in(g, VMX_IN_LAUNCHED);
}

static bool not_launched(const struct vmx_image *g)
{
	return vmx_in(g, VMX_IN_RESUME) && !vmx_in(g, VMX_IN_LAUNCHED);
}

/* ---- injection ---- */

static bool has_code(const struct vmx_image *g)
{
	return (F(ENTRY_INTR_INFO) & BIT(11)) != 0;
}

static bool type(const struct vmx_image *g)
{
	bool mtf = (g->caps->allowed1[VMX_PROC] & PROC_MTF) != 0;
	unsigned last = g->caps->first ? KIND_HW : mtf ? KIND_OTHER : KIND_SWEX; /* 2004, table 2-4: 4 to 7 are reserved */

	return injects(g) && (inject_kind(g) == KIND_RESERVED || inject_kind(g) > last);
}

static bool vector_nmi(const struct vmx_image *g)
{
	return injects(g) && inject_kind(g) == KIND_NMI && inject_vector(g) != EX_NMI;
}

static bool vector_exception(const struct vmx_image *g)
{
	return injects(g) && inject_kind(g) == KIND_HW && inject_vector(g) > 31;
}

static bool vector_other(const struct vmx_image *g)
{
	return injects(g) && inject_kind(g) == KIND_OTHER && inject_vector(g) != 0;
}

static bool code_type(const struct vmx_image *g)
{
	return injects(g) && has_code(g) && inject_kind(g) != KIND_HW;
}

/* Real mode pushes no error codes. */
static bool code_real(const struct vmx_image *g)
{
	return injects(g) && has_code(g) && proc2(g, PROC2_UNRESTRICTED) && !(F(GUEST_CR0) & CR0_PE);
}

/* With IA32_VMX_BASIC[56] a hardware exception may come with or without a code, whatever its vector. */
static bool pushes_code(const struct vmx_image *g)
{
	const u32 vectors =
	        1u << EX_DF | 1u << EX_TS | 1u << EX_NP | 1u << EX_SS | 1u << EX_GP | 1u << EX_PF | 1u << EX_AC;

	return inject_kind(g) == KIND_HW && inject_vector(g) < 32 && (vectors >> inject_vector(g) & 1);
}

static bool code_missing(const struct vmx_image *g)
{
	bool real = proc2(g, PROC2_UNRESTRICTED) && !(F(GUEST_CR0) & CR0_PE);

	return injects(g) && !(g->caps->basic & BIT(56)) && pushes_code(g) && !real && !has_code(g);
}

static bool code_extra(const struct vmx_image *g)
{
	return injects(g) && !(g->caps->basic & BIT(56)) && inject_kind(g) == KIND_HW && !pushes_code(g) && has_code(g);
}

/* Bit 13, "nested exception", where IA32_VMX_BASIC[58] has it, and of hardware exceptions only. */
static bool reserved(const struct vmx_image *g)
{
	u64 zero = mask(30, 14) | BIT(12) | BIT(13);

	if ((g->caps->basic & BIT(58)) && inject_kind(g) == KIND_HW)
		zero &= ~BIT(13);
	return injects(g) && (F(ENTRY_INTR_INFO) & zero);
}

static bool code_upper(const struct vmx_image *g)
{
	return injects(g) && has_code(g) && F(ENTRY_ERROR_CODE) >> 16;
}

/* IA32_VMX_MISC[30]: a length of 0 */
static bool length(const struct vmx_image *g)
{
	u64 len = F(ENTRY_INSN_LEN), kind = inject_kind(g);

	return injects(g) && (kind == KIND_SW || kind == KIND_PRIVSW || kind == KIND_SWEX) &&
	       (len > 15 || (len == 0 && !(g->caps->misc & BIT(30))));
}

/* "Checks on VM-Entry Control Fields" of entries that return from SMM. Its text forbids the opposite: ERRATA E181 */
static bool mtf_in_root(const struct vmx_image *g)
{
	return injects(g) && inject_kind(g) == KIND_OTHER && inject_vector(g) == 0 && returns_to_root(g);
}

/* clang-format off */
#define BASIC(id, outcome, fn, rule, ...) ROW(BASIC, outcome, "basic." id, "Basic VM-Entry Checks", fn, rule, __VA_ARGS__)
#define EVENT(id, fn, rule, ...) \
	ROW(EVENT, FAIL_7, "control.inject." id, "VM-Entry Controls for Event Injection", fn, rule, __VA_ARGS__)

static const struct vmx_check basic[] = {
	BASIC("mov-ss", FAIL_26, mov_ss, "VM entry must not follow MOV SS or POP SS", VMX_IN_MOVSS),
	BASIC("not-clear", FAIL_4, not_clear, "VMLAUNCH needs a VMCS whose launch state is clear", VMX_IN_LAUNCHED, VMX_IN_RESUME),
	BASIC("not-launched", FAIL_5, not_launched, "VMRESUME needs a VMCS whose launch state is launched", VMX_IN_LAUNCHED, VMX_IN_RESUME),
};

static const struct vmx_check rows[] = {
	EVENT("type", type, "the interruption type must not be 1, nor 7 where the monitor trap flag does not exist", V(ENTRY_INTR_INFO)),
	EVENT("vector.nmi", vector_nmi, "the vector of an NMI is 2", V(ENTRY_INTR_INFO)),
	EVENT("vector.exception", vector_exception, "the vector of a hardware exception is at most 31", V(ENTRY_INTR_INFO)),
	EVENT("vector.other", vector_other, "the vector of type 7 is 0, a pending MTF VM exit", V(ENTRY_INTR_INFO)),
	EVENT("error-flag.type", code_type, "only a hardware exception delivers an error code", V(ENTRY_INTR_INFO)),
	EVENT("error-flag.real-mode", code_real, "no error code is delivered in real mode",
	      V(ENTRY_INTR_INFO), V(GUEST_CR0), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EVENT("error-flag.missing", code_missing, "an exception that has an error code must deliver it",
	      V(ENTRY_INTR_INFO), V(GUEST_CR0), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EVENT("error-flag.extra", code_extra, "an exception that has no error code must not deliver one", V(ENTRY_INTR_INFO)),
	EVENT("reserved", reserved, "reserved bits 30:12 of the interruption information must be 0", V(ENTRY_INTR_INFO)),
	EVENT("error-code", code_upper, "bits 31:16 of a delivered error code must be 0", V(ENTRY_ERROR_CODE), V(ENTRY_INTR_INFO)),
	EVENT("length", length, "the instruction length of a software event must be supported and at most 15", V(ENTRY_INSN_LEN), V(ENTRY_INTR_INFO)),
	EVENT("mtf-root", mtf_in_root, "a return from SMM to VMX root operation cannot inject a pending MTF VM exit", V(ENTRY_INTR_INFO), RETURNS_TO_ROOT),
};
/* clang-format on */
const struct vmx_check_set vmx_basic_checks = {basic, ARRAY_LEN(basic), 1u << VMX_GROUP_BASIC};
const struct vmx_check_set vmx_event_checks = {rows, ARRAY_LEN(rows), 1u << VMX_GROUP_EVENT};
