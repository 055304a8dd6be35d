/*
 * A refused entry in words: what is said of each kind of field, by the formats of the manual, and whole refusals as they
 * reach whoever listens. The layout of the lines is inspect's and is tested there.
 */
#include "../../proved.h"
#include "../../unit/bare.h"
#include "checks_test.h"

static unsigned passed, failed;

static void same(const char *what, const char *got, const char *want)
{
	bool ok = !strcmp(got, want);

	passed += ok;
	failed += !ok;
	if (!ok)
		printf("FAILED: %s: \"%s\", want \"%s\"\n", what, got, want);
}

/* ---- one field: SDM 3C "Virtual Machine Control Structures", the figures and tables of the fields ---- */

static const struct {
	u32 field;
	u64 value;
	const char *words;
} fields[] = {
        {VMCS_GUEST_CR0, 0x80000001, "PE 1, NE 0, PG 1"},
        {VMCS_HOST_CR0, 0x20, "PE 0, NE 1, PG 0"},
        {VMCS_GUEST_CR4, 0x2000, "PAE 0, VMXE 1, PCIDE 0"},
        {VMCS_HOST_CR4, 0x20020, "PAE 1, VMXE 0, PCIDE 1"},
        {VMCS_GUEST_EFER, 0x100, "LME 1, LMA 0"},
        {VMCS_HOST_EFER, 0x400, "LME 0, LMA 1"},
        {VMCS_GUEST_RFLAGS, 0x20102, "bit 1 1, TF 1, IF 0, VM 1"},
        {VMCS_GUEST_RFLAGS, 0x200, "bit 1 0, TF 0, IF 1, VM 0"},
        {VMCS_GUEST_INTERRUPTIBILITY, 0x15, "STI 1, MOV SS 0, SMI 1, NMI 0, enclave 1"},
        {VMCS_GUEST_INTERRUPTIBILITY, 0x0a, "STI 0, MOV SS 1, SMI 0, NMI 1, enclave 0"},
        {VMCS_GUEST_PENDING_DEBUG, 0x5000, "enabled breakpoint 1, BS 1, RTM 0"},
        {VMCS_GUEST_PENDING_DEBUG, 0x10000, "enabled breakpoint 0, BS 0, RTM 1"},
        {VMCS_GUEST_ACTIVITY, 0, "active"},
        {VMCS_GUEST_ACTIVITY, 1, "HLT"},
        {VMCS_GUEST_ACTIVITY, 2, "shutdown"},
        {VMCS_GUEST_ACTIVITY, 3, "wait for SIPI"},
        {VMCS_GUEST_ACTIVITY, 4, "no such state"},
        {VMCS_ENTRY_INTR_INFO, 0x7fffffff, "no event"},
        {VMCS_ENTRY_INTR_INFO, 0x80000020, "external interrupt 0x20"},
        {VMCS_ENTRY_INTR_INFO, 0x80000101, "reserved type 0x01"},
        {VMCS_ENTRY_INTR_INFO, 0x80000202, "NMI 0x02"},
        {VMCS_ENTRY_INTR_INFO, 0x80000b0d, "exception 0x0d, error code"},
        {VMCS_ENTRY_INTR_INFO, 0x80000480, "INT 0x80"},
        {VMCS_ENTRY_INTR_INFO, 0x80000501, "INT1 0x01"},
        {VMCS_ENTRY_INTR_INFO, 0x80000603, "software exception 0x03"},
        {VMCS_ENTRY_INTR_INFO, 0x80000700, "other event 0x00"},
        {VMCS_ENTRY_INTR_INFO, 0xffff2030, "external interrupt 0x30, reserved bits 0x7fff2000"},
        {VMCS_ENTRY_INTR_INFO, 0x80001030, "external interrupt 0x30, reserved bits 0x1000"},
        {VMCS_EPTP, 0x123045e, "memory type 6, 4 levels, accessed and dirty flags 1, bits 11:7 0x8"},
        {VMCS_EPTP, 0x1230020, "memory type 0, 5 levels, accessed and dirty flags 0"},
        {VMCS_EPTP, 0x1230fbf, "memory type 7, 8 levels, accessed and dirty flags 0, bits 11:7 0x1f"},
        {VMCS_EPTP, 0x1231f9e, "memory type 6, 4 levels, accessed and dirty flags 0, bits 11:7 0x1f"},
        {VMCS_EPTP, 0x123101e, "memory type 6, 4 levels, accessed and dirty flags 0"},
        {VMCS_GUEST_ES_SEL, 0x2b, "index 5, TI 0, RPL 3"},
        {VMCS_GUEST_TR_SEL, 0x44, "index 8, TI 1, RPL 0"},
        {VMCS_HOST_ES_SEL, 0xffff, "index 8191, TI 1, RPL 3"},
        {VMCS_HOST_TR_SEL, 0x0a, "index 1, TI 0, RPL 2"},
        {VMCS_GUEST_ES_AR, 0xa09b, "type 11, DPL 0, S 1, P 1, L 1, D/B 0, G 1, unusable 0"},
        {VMCS_GUEST_TR_AR, 0x1406b, "type 11, DPL 3, S 0, P 0, L 0, D/B 1, G 0, unusable 1"},
        {VMCS_PIN_CONTROLS, 0x29, "external-interrupt exiting, NMI exiting, virtual NMIs"},
        {VMCS_PROC_CONTROLS, 0x80000080, "HLT exiting, activate secondary controls"},
        /* neighbours of the lists above have no bits to name */
        {0x0810, 0x1234, ""}, /* guest interrupt status */
        {VMCS_GUEST_CR3, 0x1234, ""},
        {VMCS_GUEST_ES_LIMIT, 0xffff, ""},
        {VMCS_VPID, 1, ""},
};

static void test_fields(void)
{
	for (unsigned n = 0; n < ARRAY_LEN(fields); n++) {
		char words[200], name[40];

		snprintf(name, sizeof(name), "field %04x = %llx", fields[n].field, (unsigned long long)fields[n].value);
		vmx_decode_field(words, sizeof(words), fields[n].field, fields[n].value);
		same(name, words, fields[n].words);
	}
	/* what does not fit is left out, and said to be */
	char words[200];

	vmx_decode_field(words, 48, VMCS_PROC_CONTROLS, 0xffffffff);
	same("cut", words + strlen(words) - 5, ", ...");
}

/* ---- whole refusals ---- */

static char told[4096];

static void listen(void *arg, struct cpu *c, const struct refusal *r)
{
	size_t n;

	(void)arg;
	(void)c;
	n = (size_t)snprintf(told, sizeof(told), "%s\n%s\n", r->event, r->check);
	for (unsigned f = 0; f < r->fields; f++)
		n += (size_t)snprintf(told + n, sizeof(told) - n, "%s = %0*llx: %s\n", r->field[f].name, r->field[f].width * 2,
		                      (unsigned long long)r->field[f].value, r->field[f].decoded);
	snprintf(told + n, sizeof(told) - n, "also %s\nthen %s\ncode %llx info %llx", r->also, r->then ? r->then : "-",
	         (unsigned long long)r->code, (unsigned long long)r->info[0]);
}

struct edit {
	u32 field;
	u64 value;
};
static const struct {
	unsigned template;
	struct edit edit[3];
	const char *told;
} refusals[] = {
        /* bits 1, 2 and 4 must be 1; 8, 20 to 22 must be 0 */
        {0,
         {{VMCS_PIN_CONTROLS, 0x700109}},
         "VMLAUNCH refused: VMfailValid, error 7: VM entry with invalid control field(s)\n"
         "vmx.control.pin.reserved\n"
         "Pin-based controls (0x4000) = 00700109: bits 1-2 4 must be 1; bits 8 20-22 must be 0\n"
         "also none\nthen -\ncode 7 info 0"},
        {0,
         {{VMCS_PIN_CONTROLS, 0x8000001f}},
         "VMLAUNCH refused: VMfailValid, error 7: VM entry with invalid control field(s)\n"
         "vmx.control.pin.reserved\n"
         "Pin-based controls (0x4000) = 8000001f: bit 31 must be 0\n"
         "also none\nthen -\ncode 7 info 0"},
        {0, /* the first and the last bit of a word */
         {{VMCS_PROC_CONTROLS, 0x84026173}},
         "VMLAUNCH refused: VMfailValid, error 7: VM entry with invalid control field(s)\n"
         "vmx.control.proc.reserved\n"
         "Primary processor-based controls (0x4002) = 84026173: bit 0 must be 0\n"
         "also none\nthen -\ncode 7 info 0"},
        {0,
         {{VMCS_HOST_CR3, 1ull << 60}, {VMCS_GUEST_RFLAGS, 0}},
         "VMLAUNCH refused: VMfailValid, error 8: VM entry with invalid host-state field(s)\n"
         "vmx.host.cr3\n"
         "Host CR3 (0x6c02) = 1000000000000000: \n"
         "also vmx.guest.rflags.reserved: Guest RFLAGS (0x6820) = 0x00000000\nthen -\ncode 8 info 0"},
        {9, /* VMRESUME */
         {{VMCS_GUEST_RFLAGS, 1ull << 32 | 2}},
         "VMRESUME failed: exit reason 0x80000021 (33, VM-entry failure, invalid guest state)\n"
         "vmx.guest.rflags.reserved\n"
         "Guest RFLAGS (0x6820) = 0000000100000002: bit 1 1, TF 0, IF 0, VM 0\n"
         "also none\nthen qualification 0, continued at host RIP 0x100080\ncode 80000021 info 0"},
        {0,
         {{VMCS_LINK_POINTER, 0x1001}},
         "VMLAUNCH failed: exit reason 0x80000021 (33, VM-entry failure, invalid guest state)\n"
         "vmx.guest.link-pointer.address\n"
         "VMCS link pointer (0x2800) = 0000000000001001: \n"
         "also none\nthen qualification 4, continued at host RIP 0x100080\ncode 80000021 info 4"},
};

static void test_refusals(struct pc *p, const struct table *t)
{
	for (unsigned n = 0; n < ARRAY_LEN(refusals); n++) {
		struct state s;
		char name[32];
		size_t first = 0;

		template_state(refusals[n].template, NULL, &s);
		for (unsigned e = 0; e < 3 && refusals[n].edit[e].field; e++)
			*field_of(&s, refusals[n].edit[e].field) = refusals[n].edit[e].value;

		struct vmx_image g = image_of(&s);

		while (first < t->count && !vmx_check_fails(t->row[first], &g))
			first++;
		snprintf(name, sizeof(name), "refusal %u", n);
		told[0] = 0;
		if (first < t->count)
			vmx_explain(p->c, &g, t->row[first], 0x1234);
		same(name, told, refusals[n].told);
	}
}

/* An entry of the MSR-load area: exit reason 34, the entry's number. */
static void test_msr_entry(struct pc *p)
{
	const struct vmx_msr_entry e = {.index = 0xc0000100, .reserved = 0x5, .value = 0x123};
	struct vmx *v = vmx_of(p->c);

	p->c->guest = true;
	v->launched = true;
	vmcs_set(v, VMCS_ENTRY_MSR_LOAD_ADDR, 0x7000);
	vmcs_set(v, VMCS_HOST_RIP, 0x4444);
	told[0] = 0;
	vmx_explain_msr(p->c, vmx_msr_refused(&e), 3, &e);
	same("MSR area", told,
	     "VMRESUME failed: exit reason 0x80000022 (34, VM-entry failure, MSR loading)\n"
	     "vmx.msr-load.segment-base\n"
	     "VM-entry MSR-load address (0x200a) = 0000000000007000: \n"
	     "MSR index = 5c0000100: entry 3\n"
	     "MSR value = 0000000000000123: \n"
	     "also none\nthen qualification 3, continued at host RIP 0x4444\ncode 80000022 info 3");
	v->launched = false;
	vmx_explain_msr(p->c, vmx_msr_refused(&e), 3, &e);
	same("MSR area, VMLAUNCH", strncmp(told, "VMLAUNCH failed", 15) ? told : "", "");
	p->c->guest = false;
}

/* "VM-Instruction Error Numbers" 19 to 24: a VMCALL that activates nothing. */
static void test_calls(struct pc *p)
{
	static const struct {
		unsigned error;
		u64 value;
		const char *told;
	} calls[] = {
	        {19, 1,
	         "VMCALL refused: VMfailValid, error 19: VMCALL with non-clear VMCS\nvmx.vmcall.not-clear\n"
	         "launch state of the current VMCS = 00000001: \n"},
	        {22, 0x1234,
	         "VMCALL refused: VMfailValid, error 22: VMCALL with incorrect MSEG revision identifier\n"
	         "vmx.vmcall.mseg-revision\nMSEG revision identifier = 00001234: \n"},
	        {24, 2,
	         "VMCALL refused: VMfailValid, error 24: VMCALL with invalid SMM-monitor features\n"
	         "vmx.vmcall.mseg-features\nSMM-transfer monitor features = 00000002: \n"},
	};
	const struct vmx_check *k = vmx_control_checks.rows;
	char want[512];

	for (unsigned n = 0; n < ARRAY_LEN(calls); n++) {
		vmx_explain_call(p->c, 0x1234, calls[n].error, NULL, calls[n].value);
		snprintf(want, sizeof(want), "%salso none\nthen dual-monitor treatment stays inactive\ncode %x info 0", calls[n].told,
		         calls[n].error);
		same("VMCALL", told, want);
	}
	while (strcmp(k->id, "vmx.control.exit.reserved"))
		k++;
	vmx_explain_call(p->c, 0x1234, 20, k, BIT(9));
	same("VMCALL, error 20", told,
	     "VMCALL refused: VMfailValid, error 20: VMCALL with invalid VM-exit control fields\nvmx.control.exit.reserved\n"
	     "VM-exit controls (0x400c) = 00000200: host address-space size\n"
	     "also none\nthen dual-monitor treatment stays inactive\ncode 14 info 0");
}

int main(void)
{
	static struct table t;
	struct pc p;

	if (!bare_init(&p, "intel,+vmx"))
		return 1;
	fill_table(&t);
	p.hooks.refused = listen;
	p.c->hooks = &p.hooks;
	test_fields();
	test_refusals(&p, &t);
	test_msr_entry(&p);
	test_calls(&p);
	bare_fini(&p);
	proved_report(passed + failed, 0);
	printf("vmx_words: %u passed, %u failed\n", passed, failed);
	return failed != 0;
}
