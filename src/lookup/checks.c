/* Checks by their ids: of VM entries, of instructions, of RSM. */
#include "cpu/control/smm_map.h"
#include "lookup/parts.h"
#include "sanitize/sanitize.h"
#include "svm/causes.h"
#include "vmx/insn_checks.h"

/* One check, whichever table it comes from. */
struct row {
	const char *id, *rule, *manual;
	char outcome[96], fields[512];
};
typedef void row_fn(void *arg, const struct row *r);

static void add_name(struct row *r, const char *name)
{
	size_t n = strlen(r->fields);

	snprintf(r->fields + n, sizeof(r->fields) - n, "%s%s", n ? ", " : "", name);
}

static void each_vmx(row_fn *fn, void *arg)
{
	for (size_t n = 0; n < vmx_check_count(); n++) {
		const struct vmx_check *k = vmx_check_at(n);
		struct row r = {.id = k->id, .rule = k->rule, .manual = k->manual};

		if (k->outcome < VMX_EXIT_33)
			snprintf(r.outcome, sizeof(r.outcome), "VMfailValid, error %u: %s", k->outcome, vmx_error_words(k->outcome));
		else
			snprintf(r.outcome, sizeof(r.outcome), "exit reason 0x800000%02x (%u), qualification %u", k->outcome,
			         k->outcome, k->qualification);
		for (unsigned m = 0; k->field[m] != VMX_FIELDS_END; m++)
			add_name(&r, k->field[m] < VMX_IN ? vmcs_field_at(k->field[m])->name : vmx_input_name(k->field[m]));
		fn(arg, &r);
	}
	for (size_t n = 0; n < vmx_msr_check_count; n++) {
		struct row r = {.id = vmx_msr_checks[n].id, .rule = vmx_msr_checks[n].rule, .manual = "SDM 3C \"Loading MSRs\""};

		snprintf(r.outcome, sizeof(r.outcome), "exit reason 0x80000022 (34), qualification: the entry; on VM exit a VMX abort");
		fn(arg, &r);
	}
}

static void each_svm(row_fn *fn, void *arg)
{
	for (size_t n = 0; n < svm_check_count; n++) {
		const struct svm_check *k = &svm_checks[n];
		struct row r = {.id = k->id, .rule = k->rule, .manual = k->manual, .outcome = "#VMEXIT(VMEXIT_INVALID)"};

		for (unsigned m = 0; m < SVM_CHECK_FIELDS && k->field[m] != 0xffff; m++)
			add_name(&r, vmcb_field_at(k->field[m])->name);
		fn(arg, &r);
	}
}

/* Instructions, tables and exits. */
static void each_vmx_failure(row_fn *fn, void *arg)
{
	for (size_t n = 0; n < VMX_WHYS; n++) {
		const struct vmx_insn_check *k = &vmx_insn_checks[n];
		struct row r = {.id = k->id, .rule = k->rule, .manual = k->manual};

		if (k->outcome < 32)
			snprintf(r.outcome, sizeof(r.outcome), "%s: VMfailValid, error %u: %s", k->insns, k->outcome,
			         vmx_error_words(k->outcome));
		else
			snprintf(r.outcome, sizeof(r.outcome), "%s: %s", k->insns,
			         k->outcome == VMX_WHY_INVALID ? "VMfailInvalid"
			         : k->outcome == VMX_WHY_UD    ? "#UD"
			                                       : "#GP(0)");
		fn(arg, &r);
	}
	for (size_t n = 0; n < VMX_EPT_CAUSES; n++)
		fn(arg, &(struct row){.id = vmx_ept_checks[n].id, .rule = vmx_ept_checks[n].rule, .manual = vmx_ept_checks[n].manual,
		                      .outcome = "VM exit, reason 49"});
	for (size_t n = 0; n < vmx_abort_check_count; n++) {
		const struct vmx_abort_check *k = &vmx_abort_checks[n];
		struct row r = {.id = k->id, .rule = k->rule ? k->rule : k->words, .manual = "SDM 3C \"VMX Aborts\""};

		snprintf(r.outcome, sizeof(r.outcome), "VMX abort, indicator %u", k->indicator);
		fn(arg, &r);
	}
}

static void each_svm_failure(row_fn *fn, void *arg)
{
	for (size_t n = 0; n < SVM_CAUSES; n++) {
		const struct svm_cause_row *k = &svm_causes[n];
		struct row r = {.id = k->id, .rule = k->rule, .manual = k->manual};

		if (k->vector == SVM_GOES_ON)
			snprintf(r.outcome, sizeof(r.outcome), "%s goes on", k->insn);
		else
			snprintf(r.outcome, sizeof(r.outcome), "%s: %s", k->insn, arch_exceptions[k->vector].name);
		fn(arg, &r);
	}
	for (size_t n = 0; n < SVM_PAGING_CAUSES; n++)
		fn(arg, &(struct row){.id = svm_paging_checks[n].id, .rule = svm_paging_checks[n].rule,
		                      .manual = svm_paging_checks[n].manual, .outcome = "#VMEXIT(VMEXIT_NPF), bit 3 of EXITINFO1"});
	fn(arg, &(struct row){.id = svm_host_check.id, .rule = svm_host_check.rule, .manual = svm_host_check.manual,
	                      .outcome = "#VMEXIT: the processor shuts down"});
}

static void rsm_row(const struct smm_check *k, const char *outcome, row_fn *fn, void *arg)
{
	struct row r = {.id = k->id, .rule = k->rule, .manual = k->manual};

	snprintf(r.outcome, sizeof(r.outcome), "%s", outcome);
	fn(arg, &r);
}

static void each_rsm(row_fn *fn, void *arg)
{
	static const char dies[] = "RSM: the processor shuts down";

	rsm_row(&smm_check_outside, "RSM: #UD", fn, arg);
	for (size_t n = 0; n < smm_check_count; n++)
		rsm_row(&smm_checks[n], dies, fn, arg);
	rsm_row(&smm_check_pdptes, dies, fn, arg);
	rsm_row(&smm_check_vendor, dies, fn, arg);
}

static void each_kind(row_fn *fn, void *arg)
{
	for (size_t n = 0; n < WATCH_KINDS; n++) {
		struct row r = {.id = sanitize_kinds[n].id, .rule = sanitize_kinds[n].rule, .manual = sanitize_kinds[n].manual};

		snprintf(r.outcome, sizeof(r.outcome), "reported by --sanitize%s%s", sanitize_kinds[n].asked ? "=" : "",
		         sanitize_kinds[n].asked ? sanitize_name((enum watch_kind)n) : "");
		fn(arg, &r);
	}
}

static void each(row_fn *fn, void *arg)
{
	each_vmx(fn, arg);
	each_vmx_failure(fn, arg);
	each_svm(fn, arg);
	each_svm_failure(fn, arg);
	each_rsm(fn, arg);
	each_kind(fn, arg);
}

/* ---- by id; the rows that share one are one block ---- */

struct look {
	struct ask *a;
	const char *rule; /* said last; NULL: no block is open */
	const char *manual;
};

static void explain_row(void *arg, const struct row *r)
{
	struct look *l = arg;

	if (!is_called(l->a, r->id))
		return;
	if (!l->rule)
		say_title(l->a, "check %s", r->id);
	if (!l->rule || strcmp(l->rule, r->rule) != 0) {
		say(l->a, "rule", "%s", r->rule);
		say(l->a, "then", "%s", r->outcome);
	}
	if (r->fields[0])
		say(l->a, "fields", "%s", r->fields);
	l->rule = r->rule;
	l->manual = r->manual;
}

void ask_check(struct ask *a)
{
	struct look l = {.a = a};

	each(explain_row, &l);
	if (l.rule)
		say(a, "manual", "%s", l.manual);
}

static void list_row(void *arg, const struct row *r)
{
	sheet_row(arg, (const char *const[]){r->id, r->outcome, r->rule, r->manual});
}

void list_checks(struct sheet *s)
{
	each(list_row, s);
}
