/*
 * The only way for an instruction of VMX to fail that is no VM entry: by the row of insn_checks.c that says why. It is told to
 * whoever listens, and then the row's outcome comes to pass.
 */
#include <stdio.h>

#include "cpu/control/msr.h"
#include "cpu/exec/exec.h"
#include "arch/names.h"
#include "vmx/vmx.h"

/* "VMREAD" of "VMREAD r/m, r". */
static int name_length(const struct insn *i)
{
	return (int)strcspn(i->row->form, " ");
}

/* What will become of it. There is no number where no current VMCS holds it, and in 2004 no field for it. */
static void name_event(char *out, size_t size, const struct cpu *c, const struct insn *i, const char *words, u16 outcome)
{
	struct words w = {out, size, 0};

	words_add(&w, "%.*s refused: ", name_length(i), i->row->form);
	if (outcome == VMX_WHY_UD)
		words_add(&w, "#UD");
	else if (outcome == VMX_WHY_GP)
		words_add(&w, "#GP(0)");
	else if (outcome == VMX_WHY_INVALID)
		words_add(&w, "VMfailInvalid");
	else if (vmx_of(c)->current == VMCS_NONE)
		words_add(&w, "VMfailInvalid: %s", words);
	else if (vmx_caps(c)->first)
		words_add(&w, "ZF is 1: %s", words);
	else
		words_add(&w, "VMfailValid, error %u: %s", outcome, words);
}

static const char *what_then(const struct cpu *c, u16 outcome)
{
	if (outcome == VMX_WHY_UD || outcome == VMX_WHY_GP)
		return "nothing of the instruction was done";
	return outcome == VMX_WHY_INVALID || vmx_of(c)->current == VMCS_NONE ? "CF 1, nothing else of the instruction was done"
	                                                                    : "ZF 1, nothing else of the instruction was done";
}

static u64 code_of(u16 outcome)
{
	switch (outcome) {
	case VMX_WHY_UD: return EX_UD;
	case VMX_WHY_GP: return EX_GP;
	case VMX_WHY_INVALID: return 0;
	default: return outcome;
	}
}

static struct check_field value_of(const struct cpu *c, const struct vmx_insn_check *k, u64 value)
{
	struct check_field f = {.name = k->value, .value = value};
	struct words w = {f.decoded, sizeof(f.decoded), 0};

	if (k->decode)
		k->decode(&w, c, value);
	return f;
}

static cold void tell(struct cpu *c, const struct insn *i, const struct vmx_insn_check *k, const char *event, u64 value, u64 operand)
{
	struct refusal r = vmx_refusal(c, REFUSAL_INSN, event, insn_rip(c, i));

	r.check = k->id;
	r.rule = k->rule;
	r.manual = k->manual;
	r.fix = k->fix;
	r.then = what_then(c, k->outcome);
	r.code = code_of(k->outcome);
	r.field[r.fields++] = value_of(c, k, value);
	if (k->operand)
		r.field[r.fields++] = (struct check_field){.name = k->operand, .value = operand};
	c->hooks->refused(c->hooks->arg, c, &r);
}

cold enum xr vmx_refuse_insn(struct cpu *c, const struct insn *i, enum vmx_why why, u64 value, u64 operand)
{
	const struct vmx_insn_check *k = &vmx_insn_checks[why];
	char event[128] = "";

	if (c->hooks->refused) {
		name_event(event, sizeof(event), c, i, k->outcome < VMX_WHY_INVALID ? vmx_error_words(k->outcome) : "", k->outcome);
		tell(c, i, k, event, value, operand);
	}
	switch (k->outcome) {
	case VMX_WHY_UD: return fault_ud(c);
	case VMX_WHY_GP: return fault_gp(c, 0);
	case VMX_WHY_INVALID: return vmx_fail_invalid(c);
	default: return vmx_fail(c, k->outcome);
	}
}

/* "VMCALL with invalid VM-exit control fields": by a row of VM entry. */
cold enum xr vmx_refuse_call(struct cpu *c, const struct insn *i, const struct vmx_image *g, const struct vmx_check *k)
{
	char event[128] = "";
	struct refusal r = vmx_refusal(c, REFUSAL_INSN, event, insn_rip(c, i));

	if (!c->hooks->refused)
		return vmx_fail(c, VMX_CALL_CONTROLS);
	name_event(event, sizeof(event), c, i, vmx_error_words(VMX_CALL_CONTROLS), VMX_CALL_CONTROLS);
	r.check = k->id;
	r.rule = k->rule;
	r.manual = k->manual;
	r.then = what_then(c, VMX_CALL_CONTROLS);
	r.code = VMX_CALL_CONTROLS;
	vmx_explain_fields(c, &r, g, k);
	c->hooks->refused(c->hooks->arg, c, &r);
	return vmx_fail(c, VMX_CALL_CONTROLS);
}

/* ---- CR0, CR4 and the MSRs of VMX: what is #GP ---- */

static cold void tell_gp(struct cpu *c, enum vmx_why why, u64 value, u64 operand)
{
	char event[128];

	if (!c->cur)
		return; /* no instruction does it */
	snprintf(event, sizeof(event), "%s refused: #GP(0)", vmx_insn_checks[why].insns);
	tell(c, c->cur, &vmx_insn_checks[why], event, value, operand);
}

static cold void cr_reason(struct cpu *c, enum control_register which, u64 value)
{
	const bool vmxe = which == CONTROL_CR4 && (value & CR4_VMXE);

	if (!has(c, FEAT_VMX) && vmxe)
		tell_gp(c, VMX_WHY_CR4_ABSENT, value, 0);
	else if (!c->virt_root && c->smm && vmxe)
		tell_gp(c, VMX_WHY_CR4_SMM, value, 0);
	else if (c->virt_root && which == CONTROL_CR0 && ((vmx_cr0_fixed0(c) & ~value) || value >> 32))
		tell_gp(c, VMX_WHY_CR0_FIXED, value, 0);
	else if (c->virt_root && which == CONTROL_CR4 && ((VMX_CR4_FIXED0 & ~value) || (value & ~vmx_caps(c)->cr4_fixed1)))
		tell_gp(c, VMX_WHY_CR4_FIXED, value, 0);
}

/* Systems ask for IA32_FEATURE_CONTROL wherever they run, and on a maker's own processors for each of the others. */
static cold void rdmsr_reason(struct cpu *c, u32 index)
{
	if (!has(c, FEAT_VMX) && vmx_msr_row(index) && index != MSR_FEATURE_CONTROL)
		tell_gp(c, VMX_WHY_MSR_ABSENT, index, 0);
}

static cold void wrmsr_reason(struct cpu *c, u32 index, u64 value)
{
	if (!vmx_msr_row(index))
		return;
	if (!msr_find(c, index))
		tell_gp(c, VMX_WHY_MSR_ABSENT, index, value);
	else if (index == MSR_FEATURE_CONTROL && (c->feature_control & 1))
		tell_gp(c, VMX_WHY_MSR_LOCKED, c->feature_control, value);
	else if (index == MSR_FEATURE_CONTROL)
		tell_gp(c, VMX_WHY_MSR_RESERVED, value, 0);
	else if (index == MSR_SMM_MONITOR_CTL)
		tell_gp(c, c->smm ? VMX_WHY_MSR_MONITOR : VMX_WHY_MSR_SMM, value, 0);
	else
		tell_gp(c, VMX_WHY_MSR_READ_ONLY, index, value);
}

const struct gp_reasons vmx_gp_reasons = {.cr = cr_reason, .rdmsr = rdmsr_reason, .wrmsr = wrmsr_reason};

/* What mode or features take away is #UD before anything of the instruction runs; here it says why. */
cold enum xr vmx_unavailable(struct cpu *c, const struct insn *i)
{
	if (i->row->feature && !has(c, (enum feature)i->row->feature))
		return vmx_refuse_insn(c, i, VMX_WHY_ABSENT, has(c, FEAT_VMX), 0);
	if (real_mode(c))
		return vmx_refuse_insn(c, i, VMX_WHY_REAL, c->cr0, 0);
	if (v86_mode(c))
		return vmx_refuse_insn(c, i, VMX_WHY_V86, flags_get(c), 0);
	return vmx_refuse_insn(c, i, VMX_WHY_COMPATIBILITY, c->seg[SEG_CS].ar, 0);
}
