/* VM exits of both makers, what their qualification or information says, and the VM-instruction errors. */
#include "lookup/parts.h"
#include "vmx/insn_checks.h"

static const struct {
	const struct cpu_model *model;
	const char *title, *code, *info, *manual;
} makers[] = {
        {&model_intel, "VM-exit reason", "exit reason", "exit qualification", "SDM 3D \"VMX Basic Exit Reasons\""},
        {&model_amd, "#VMEXIT", "EXITCODE", "EXITINFO1", "APM 2 \"SVM Intercept Exit Codes\""},
};

static void say_value(struct ask *a, unsigned maker, u64 code)
{
	const struct exit_record x = {.code = code, .info = {a->value}, .guest = UINT64_MAX};
	struct exit_told told = {0};

	if (!a->has_value)
		return;
	makers[maker].model->virt->exit_told(NULL, &x, &told);
	say(a, "value", "%s 0x%" PRIx64 ": %s", makers[maker].info, a->value, told.text[0] ? told.text : "nothing to decode");
}

static void say_vmx(struct ask *a, u64 code)
{
	static const char *const kind[] = {
	        [VMX_EXIT_EVENT] = "an event between instructions",
	        [VMX_EXIT_INSN] = "fault-like: Guest RIP is that of the instruction, which has done nothing",
	        [VMX_EXIT_ACCESS] = "fault-like: the instruction is to run again once the monitor has seen to it",
	        [VMX_EXIT_TRAP] = "trap-like: Guest RIP is that of the next instruction",
	        [VMX_EXIT_ENTRY] = "a failed VM entry: bit 31 of the exit reason is 1, and no guest instruction ran",
	};
	const struct vmx_exit_row *row = &vmx_exit_rows[code & 0xffff];

	say(a, "kind", "%s", kind[row->kind]);
	say(a, "fills", "exit reason (0x4402), exit qualification (0x6400)%s%s%s%s", row->qualification ? "" : " with 0",
	    row->fields & VMX_EXIT_LENGTH ? ", VM-exit instruction length (0x440c)" : "",
	    row->fields & VMX_EXIT_INFO ? ", VM-exit instruction information (0x440e)" : "",
	    row->fields & VMX_EXIT_UNBLOCKING ? "; bit 12 of the qualification: NMI unblocking due to IRET" : "");
}

static void say_svm(struct ask *a, u64 code)
{
	static const char *const info[] = {
	        [INFO_NONE] = "0",
	        [INFO_VALUE] = "as the exit describes",
	        [INFO_EXC] = "the error code; of #PF EXITINFO2 is the address",
	        [INFO_TASK] = "EXITINFO1 the selector, EXITINFO2 cause and error code",
	        [INFO_NPF] = "EXITINFO1 the error code, EXITINFO2 the guest-physical address",
	};
	const struct svm_exit_row *row = svm_exit_row(code);

	if (code < SVM_EXIT_ROWS)
		say(a, "asked", "by bit %" PRIu64 " of the intercept word at VMCB+0x%03" PRIx64, code % 32, code / 32 * 4);
	say(a, "fills", "EXITINFO1 and EXITINFO2: %s%s", info[row->info], row->nrip ? "; nRIP" : "");
}

static void say_exit(struct ask *a, unsigned maker, u64 code, const char *name)
{
	say_title(a, "%s: %s %" PRId64 " (0x%" PRIx64 ")", name, makers[maker].title, (s64)code, code);
	if (maker)
		say_svm(a, code);
	else
		say_vmx(a, code);
	say_value(a, maker, code);
	say(a, "manual", "%s", makers[maker].manual);
}

/* The basic reason is bits 15:0 of the exit reason. */
static bool is_code(const struct ask *a, unsigned maker, u64 code)
{
	return a->number == code || (!maker && a->number >> 31 == 1 && (u16)a->number == code);
}

void ask_exit(struct ask *a)
{
	for (unsigned m = 0; m < ARRAY_LEN(makers); m++) {
		const char *name;
		u64 code;

		for (size_t n = 0; makers[m].model->virt->exit_at(n, &code, &name); n++)
			if (a->has_number ? is_code(a, m, code) : is_called(a, name))
				say_exit(a, m, code, name);
	}
}

void ask_error(struct ask *a)
{
	const char *words = vmx_error_words((unsigned)min_u64(a->number, 0xff));

	if (!a->has_number || a->has_value || words == vmx_error_words(0)) /* there is none of this number */
		return;
	say_title(a, "VM-instruction error %" PRIu64 ": %s", a->number, words);
	say(a, "field", "VM-instruction error (0x4400) after VMfailValid: RFLAGS.ZF is 1");
	for (size_t n = 0, k = 0; n < vmx_check_count(); n++) {
		const struct vmx_check *c = vmx_check_at(n);

		if (c->outcome != a->number || (n && !strcmp(c->id, vmx_check_at(n - 1)->id)))
			continue;
		say(a, k++ ? "" : "checks", "%s: %s", c->id, c->rule);
	}
	for (size_t n = 0; n < VMX_WHYS; n++)
		if (vmx_insn_checks[n].outcome == a->number)
			say(a, "check", "%s: %s", vmx_insn_checks[n].id, vmx_insn_checks[n].rule);
	say(a, "manual", "SDM 3C \"VM Instruction Error Numbers\"");
}

void list_exits(struct sheet *s)
{
	for (unsigned m = 0; m < ARRAY_LEN(makers); m++) {
		const char *name;
		u64 code;

		for (size_t n = 0; makers[m].model->virt->exit_at(n, &code, &name); n++) {
			char number[24];

			snprintf(number, sizeof(number), "0x%" PRIx64, code);
			sheet_row(s, (const char *const[]){makers[m].model->virt->name, number, name});
		}
	}
}

void list_intercepts(struct sheet *s)
{
	for (unsigned code = 0; code < SVM_EXIT_ROWS; code++) {
		const struct svm_exit_row *row = svm_exit_row(code);
		char offset[8], bit[4];

		if (!row)
			continue;
		snprintf(offset, sizeof(offset), "0x%03x", code / 32 * 4);
		snprintf(bit, sizeof(bit), "%u", code % 32);
		sheet_row(s, (const char *const[]){"svm", offset, bit, row->name});
	}
	for (size_t n = 0; n < vmx_control_count; n++) {
		char field[8], bit[4];

		snprintf(field, sizeof(field), "0x%04x", lookup_control_field(vmx_controls[n].word));
		snprintf(bit, sizeof(bit), "%u", vmx_controls[n].bit);
		sheet_row(s, (const char *const[]){"vmx", field, bit, vmx_controls[n].name});
	}
}
