/*
 * `turnstile explain` and `turnstile list`: what a person finds in the manuals under the same word, and that every name of
 * every list can be asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/control/smm_map.h"
#include "lookup/lookup.h"
#include "model/model.h"

static char *explained;

static enum status ask(const char *what, const char *value, struct err *err)
{
	size_t n;

	free(explained);
	explained = NULL;
	FILE *f = open_memstream(&explained, &n);
	assert_non_null(f);
	enum status s = lookup_explain(f, what, value, err);
	fclose(f);
	return s;
}

/* clang-format off */
/* What is asked, and what the answer must have: up to three texts. SDM 3D appendices B and C, SDM 3C "VM Instruction Error
 * Numbers", APM 2 appendices B and C, and the sections of the registers. */
static const struct {
	const char *what, *value, *has[3];
} questions[] = {
	{"48", NULL, {"EPT violation: VM-exit reason 48 (0x30)", "VMEXIT_DR0_WRITE: #VMEXIT 48 (0x30)"}},
	{"exit:0x7b", NULL, {"VMEXIT_IOIO: #VMEXIT 123 (0x7b)", "bit 27 of the intercept word at VMCB+0x00c"}},
	{"EPT_VIOLATION", "0x181", {"exit qualification 0x181", "read"}},
	{"EPT_VIOLATION=0x182", NULL, {"write"}},
	{"EXIT_REASON_IO_INSTRUCTION", "0x3f80000", {"reason 30", "0x3f8"}},
	{"VMEXIT_IOIO=0x3f80010", NULL, {"OUT of 1 byte at port 0x3f8"}},
	{"SVM_EXIT_NPF", NULL, {"VMEXIT_NPF: #VMEXIT 1024 (0x400)", "EXITINFO2 the guest-physical address"}},
	{"0x80000021", NULL, {"VM-entry failure, invalid guest state: VM-exit reason 33", "no guest instruction ran"}},
	{"error:7", NULL, {"VM entry with invalid control field(s)", "vmx.control.cr3-targets"}},
	{"error:12", NULL, {"VMREAD/VMWRITE from/to unsupported VMCS component"}},
	{"0x681e", NULL, {"Guest RIP (0x681e)", "guest state, natural width", "vmx.guest.rip.high"}},
	{"0x2001", NULL, {"I/O bitmap A"}}, /* the upper half */
	{"GUEST_RFLAGS", "0x20202", {"0x20202: IF VM"}},
	{"vmcs:0x4016=0x80000b0e", NULL, {"#PF", "error code"}},
	{"Host DS selector=0x2b", NULL, {"index 5, TI 0, RPL 3"}},
	{"vmcb:0x58", NULL, {"guest ASID", "svm.control.asid-zero"}},
	{"VMCB+0x5d8", NULL, {"RSP"}},
	{"vmcb:0xa8=0x80000b0e", NULL, {"#PF"}},
	{"vmcb:0x412=0x29b", NULL, {"type 11"}},
	{"unrestricted guest", NULL, {"bit 7 of Secondary processor-based"}},
	{"vmx.host.selector.rpl-ti", NULL, {"error 8", "Host TR selector (0x0c0c)", "Checks on Host Segment and Descriptor-Table Registers"}},
	{"svm.control.asid-zero", NULL, {"VMEXIT_INVALID", "VMCB+0x058"}},
	{"msr:0xc0000080", NULL, {"EFER (0xc0000080)", "intel", "amd"}},
	{"IA32_EFER=0xd01", NULL, {"SCE LME LMA NXE"}},
	{"MSR_VM_HSAVE_PA", NULL, {"0xc0010117"}},
	{"cr0=0x80000011", NULL, {"PE ET PG"}},
	{"CR4", "0x2020", {"PAE VMXE"}},
	{"ar=0xa09b", NULL, {"type 11", "L 1, D/B 0, G 1"}},
	{"attrib=0xa9b", NULL, {"type 11", "L 1, D/B 0, G 1"}},
	{"selector=0x2b", NULL, {"index 5, TI 0, RPL 3"}},
	{"0f01c2", NULL, {"vmlaunch (64-bit mode, 3 bytes)", "VMX: reason 20", "#UD on the model amd"}},
	{"insn:0f 01 d8", NULL, {"vmrun", "SVM: 0x80", "#UD on the model intel"}},
	{"insn:60", NULL, {"pusha", "32-bit mode"}},
	{"vmx-ept", NULL, {"MSR 0x48b bit 33"}}, /* allowed 1-settings are the upper half, "enable EPT" bit 1 */
	{"rsm.cr4.reserved", NULL, {"RSM: the processor shuts down"}},
	{"vmx.vmxon.revision", NULL, {"VMXON: VMfailInvalid"}},
	{"sanitize.ept.stale", NULL, {"reported by --sanitize"}},
};
/* clang-format on */

static void answers(void **state)
{
	struct err err;

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(questions); n++) {
		if (ask(questions[n].what, questions[n].value, &err) != ST_OK)
			fail_msg("%s: %s", questions[n].what, err.text);
		for (unsigned k = 0; k < 3 && questions[n].has[k]; k++)
			if (!strstr(explained, questions[n].has[k]))
				fail_msg("%s: no '%s' in:\n%s", questions[n].what, questions[n].has[k], explained);
	}
}

static void what_is_not_there(void **state)
{
	static const struct {
		const char *what, *says;
	} wrong[] = {
	        {"EPT_VIOLATON", "EPT_VIOLATON: nothing is called that; did you mean EPT violation?"},
	        {"vmx.host.selector.rpl", "did you mean"},
	        {"error:6000", "error:6000: nothing is called that"},
	        {"error:14", "error:14: nothing is called that"},
	        {"exit:0xa7", "exit:0xa7: nothing is called that"}, /* neither maker has it */
	        {"", "nothing is called that"},
	        {"insn:zz", "nothing is called that"},
	        {"cr0=blue", "blue: not a number"},
	};
	struct err err;

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(wrong); n++) {
		assert_int_equal(ask(wrong[n].what, NULL, &err), ST_ARG);
		if (!strstr(err.text, wrong[n].says))
			fail_msg("%s: %s", wrong[n].what, err.text);
	}
}

/* Every name of the lists is known to the other command. */
static void every_name(void **state)
{
	static const struct {
		const char *kind, *key, *topic;
	} lists[] = {
	        {"checks", "\"id\":\"", "check:"}, {"exits", "\"name\":\"", "exit:"},        {"fields", "\"name\":\"", ""},
	        {"msrs", "\"name\":\"", "msr:"},   {"cpuid", "\"feature\":\"", "cpuid:"},
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(lists); n++) {
		char *list = NULL, word[160];
		size_t size;
		unsigned rows = 0;
		struct err err;
		FILE *f = open_memstream(&list, &size);

		assert_non_null(f);
		assert_int_equal(lookup_list(f, lists[n].kind, true, &err), ST_OK);
		fclose(f);
		for (const char *p = list; (p = strstr(p, lists[n].key)) != NULL; rows++) {
			p += strlen(lists[n].key);
			snprintf(word, sizeof(word), "%s%.*s", lists[n].topic, (int)strcspn(p, "\""), p);
			if (ask(word, NULL, &err) != ST_OK)
				fail_msg("%s of list %s: %s", word, lists[n].kind, err.text);
		}
		assert_true(rows > 50);
		free(list);
	}
}

/* Whatever a refusal may be called. */
static void every_check(void **state)
{
	const struct cpu_model *const models[] = {&model_intel, &model_amd};
	struct err err;
	char word[160];
	const char *id;

	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(models); m++)
		for (size_t n = 0; (id = models[m]->virt->check_id(n)) != NULL; n++) {
			snprintf(word, sizeof(word), "check:%s", id);
			if (ask(word, NULL, &err) != ST_OK)
				fail_msg("%s: %s", id, err.text);
		}
	for (size_t n = 0; (id = smm_check_id(n)) != NULL; n++) {
		snprintf(word, sizeof(word), "check:%s", id);
		assert_int_equal(ask(word, NULL, &err), ST_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(answers),
	        cmocka_unit_test(what_is_not_there),
	        cmocka_unit_test(every_name),
	        cmocka_unit_test(every_check),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(explained);
	return failed;
}
