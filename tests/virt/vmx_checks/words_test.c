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
        {VMCS_GUEST_CR0, 0x80000001, "PE PG; NE 0"},
        {VMCS_HOST_CR0, 0x20, "NE; PE 0, PG 0"},
        {VMCS_GUEST_CR4, 0x2000, "VMXE; PAE 0"},
        {VMCS_HOST_CR4, 0x20020, "PAE PCIDE; VMXE 0"},
        {VMCS_GUEST_EFER, 0x100, "LME; LMA 0"},
        {VMCS_HOST_EFER, 0x400, "LMA; LME 0"},
        {VMCS_GUEST_RFLAGS, 0x20102, "TF VM; IF 0"},
        {VMCS_GUEST_RFLAGS, 0x200, "IF; bit 1 0"},
        {VMCS_GUEST_RFLAGS, 0x3002, "IOPL 3; IF 0"},
        {VMCS_GUEST_DR7, 0x600d0402, "G0 R/W0 1 LEN0 3 R/W3 2 LEN3 1"},
        {VMCS_GUEST_DEBUGCTL, 0x1003, "LBR BTF FREEZE_PERFMON_ON_PMI"},
        {VMCS_GUEST_DEBUGCTL, 0, "no bit set"},
        {VMCS_CR0_MASK, 0x80000000, "PG"},
        {VMCS_CR4_SHADOW, 0x8000, "bit 15"},
        {VMCS_GUEST_PAT, 0x0007040600070502, "PA0 reserved type, PA1 WP, PA2 UC-, PA3 UC, PA4 WB, PA5 WT, PA6 UC-, PA7 UC"},
        {VMCS_EXIT_REASON, 0x80000021, "33, VM-entry failure, invalid guest state, of a VM entry"},
        {VMCS_EXIT_REASON, 48, "48, EPT violation"},
        {VMCS_INSN_ERROR, 12, "VMREAD/VMWRITE from/to unsupported VMCS component"},
        {VMCS_INSN_ERROR, 0, ""},
        {VMCS_GUEST_INTERRUPTIBILITY, 0x15, "STI SMI enclave"},
        {VMCS_GUEST_INTERRUPTIBILITY, 0x0a, "MOV SS NMI"},
        {VMCS_GUEST_PENDING_DEBUG, 0x5000, "enabled breakpoint BS"},
        {VMCS_GUEST_PENDING_DEBUG, 0x10000, "RTM; BS 0"},
        {VMCS_GUEST_ACTIVITY, 0, "active"},
        {VMCS_GUEST_ACTIVITY, 1, "HLT"},
        {VMCS_GUEST_ACTIVITY, 2, "shutdown"},
        {VMCS_GUEST_ACTIVITY, 3, "wait for SIPI"},
        {VMCS_GUEST_ACTIVITY, 4, "no such state"},
        {VMCS_ENTRY_INTR_INFO, 0x7fffffff, "no event"},
        {VMCS_ENTRY_INTR_INFO, 0x80000020, "external interrupt 0x20"},
        {VMCS_ENTRY_INTR_INFO, 0x80000101, "reserved type 0x01"},
        {VMCS_ENTRY_INTR_INFO, 0x80000202, "NMI 0x02"},
        {VMCS_ENTRY_INTR_INFO, 0x80000b0d, "exception 0x0d #GP, error code"},
        {VMCS_ENTRY_INTR_INFO, 0x80000480, "INT 0x80"},
        {VMCS_ENTRY_INTR_INFO, 0x80000501, "INT1 0x01"},
        {VMCS_ENTRY_INTR_INFO, 0x80000603, "software exception 0x03"},
        {VMCS_ENTRY_INTR_INFO, 0x80000700, "other event 0x00"},
        {VMCS_ENTRY_INTR_INFO, 0xffff2030, "external interrupt 0x30, reserved bits 0x7fff2000"},
        {VMCS_ENTRY_INTR_INFO, 0x80001030, "external interrupt 0x30, reserved bits 0x1000"},
        {VMCS_EPTP, 0x123045e, "memory type 6 (WB), 4 levels, accessed and dirty flags 1, bits 11:7 0x8"},
        {VMCS_EPTP, 0x1230020, "memory type 0 (UC), 5 levels, accessed and dirty flags 0"},
        {VMCS_EPTP, 0x1230fbf, "memory type 7 (reserved type), 8 levels, accessed and dirty flags 0, bits 11:7 0x1f"},
        {VMCS_EPTP, 0x1231f9e, "memory type 6 (WB), 4 levels, accessed and dirty flags 0, bits 11:7 0x1f"},
        {VMCS_EPTP, 0x123101e, "memory type 6 (WB), 4 levels, accessed and dirty flags 0"},
        {VMCS_GUEST_ES_SEL, 0x2b, "index 5, TI 0, RPL 3"},
        {VMCS_GUEST_TR_SEL, 0x44, "index 8, TI 1, RPL 0"},
        {VMCS_HOST_ES_SEL, 0xffff, "index 8191, TI 1, RPL 3"},
        {VMCS_HOST_TR_SEL, 0x0a, "index 1, TI 0, RPL 2"},
        {VMCS_GUEST_ES_AR, 0xa09b, "type 11 (code execute/read accessed), DPL 0, S 1, P 1, L 1, D/B 0, G 1"},
        {VMCS_GUEST_TR_AR, 0x1406b, "type 11 (busy TSS), DPL 3, S 0, P 0, L 0, D/B 1, G 0, unusable"},
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
         "Pin-based controls (0x4000) = 00700109: bits 1-2 4 must be 1; bits 8 20-22 must be 0: must be 1 0x00000016, may be 1 0x000000ff; "
         "external-interrupt exiting, NMI exiting\n"
         "also none\nthen -\ncode 7 info 0"},
        {0,
         {{VMCS_PIN_CONTROLS, 0x8000001f}},
         "VMLAUNCH refused: VMfailValid, error 7: VM entry with invalid control field(s)\n"
         "vmx.control.pin.reserved\n"
         "Pin-based controls (0x4000) = 8000001f: bit 31 must be 0: must be 1 0x00000016, may be 1 0x000000ff; "
         "external-interrupt exiting, NMI exiting\n"
         "also none\nthen -\ncode 7 info 0"},
        {0, /* the first and the last bit of a word */
         {{VMCS_PROC_CONTROLS, 0x84026173}},
         "VMLAUNCH refused: VMfailValid, error 7: VM entry with invalid control field(s)\n"
         "vmx.control.proc.reserved\n"
         "Primary processor-based controls (0x4002) = 84026173: bit 0 must be 0: must be 1 0x04006172, may be 1 0xfffbfffe; "
         "activate tertiary controls, activate secondary controls\n"
         "also none\nthen -\ncode 7 info 0"},
        {0,
         {{VMCS_HOST_CR3, 1ull << 60}, {VMCS_GUEST_RFLAGS, 0}},
         "VMLAUNCH refused: VMfailValid, error 8: VM entry with invalid host-state field(s)\n"
         "vmx.host.cr3\n"
         "Host CR3 (0x6c02) = 1000000000000000: bit 60 must be 0: this processor has 46 physical-address bits\n"
         "also vmx.guest.rflags.reserved: Guest RFLAGS (0x6820) = 0x00000000\nthen -\ncode 8 info 0"},
        {9, /* VMRESUME */
         {{VMCS_GUEST_RFLAGS, 1ull << 32 | 2}},
         "VMRESUME failed: exit reason 0x80000021 (33, VM-entry failure, invalid guest state)\n"
         "vmx.guest.rflags.reserved\n"
         "Guest RFLAGS (0x6820) = 0000000100000002: bit 32 must be 0; IF 0\n"
         "also none\nthen qualification 0, continued at host RIP 0x100080\ncode 80000021 info 0"},
        {0, /* IA32_VMX_CR0_FIXED0: PE, NE and PG */
         {{VMCS_HOST_CR0, 0x80000011}},
         "VMLAUNCH refused: VMfailValid, error 8: VM entry with invalid host-state field(s)\n"
         "vmx.host.cr0.fixed\n"
         "Host CR0 (0x6c00) = 0000000080000011: bit 5 (NE) must be 1: FIXED0 0x80000021; PE ET PG; NE 0\n"
         "also none\nthen -\ncode 8 info 0"},
        {0, /* a field of 16 bits, and what goes together: any one bit would do */
         {{VMCS_HOST_TR_SEL, 0x47}},
         "VMLAUNCH refused: VMfailValid, error 8: VM entry with invalid host-state field(s)\n"
         "vmx.host.selector.rpl-ti\n"
         "Host TR selector (0x0c0c) = 0047: bits 0-2 must be 0; index 8, TI 1, RPL 3\n"
         "also none\nthen -\ncode 8 info 0"},
        {0,
         {{VMCS_LINK_POINTER, 0x1001}},
         "VMLAUNCH failed: exit reason 0x80000021 (33, VM-entry failure, invalid guest state)\n"
         "vmx.guest.link-pointer.address\n"
         "VMCS link pointer (0x2800) = 0000000000001001: bit 0 must be 0\n"
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
	     "MSR index = 5c0000100: entry 3\n"
	     "MSR value = 0000000000000123: \n"
	     "VM-entry MSR-load address (0x200a) = 0000000000007000: \n"
	     "also none\nthen qualification 3, continued at host RIP 0x4444\ncode 80000022 info 3");
	v->launched = false;
	vmx_explain_msr(p->c, vmx_msr_refused(&e), 3, &e);
	same("MSR area, VMLAUNCH", strncmp(told, "VMLAUNCH failed", 15) ? told : "", "");
	/* and the same list at VM exit */
	p->c->guest = false;
	vmcs_set(v, VMCS_EXIT_MSR_LOAD_ADDR, 0x8000);
	vmx_explain_msr(p->c, vmx_msr_refused(&e), 3, &e);
	same("MSR area of VM exit", told,
	     "VM exit failed: VMX abort, indicator 4: loading host MSRs\n"
	     "vmx.msr-load.segment-base\n"
	     "MSR index = 5c0000100: entry 3\n"
	     "MSR value = 0000000000000123: \n"
	     "VM-exit MSR-load address (0x2008) = 0000000000008000: \n"
	     "also none\nthen the processor shut down; the indicator is at byte 4 of the VMCS region\ncode 4 info 3");
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
	bare_fini(&p);
	proved_report(passed + failed, 0);
	printf("vmx_words: %u passed, %u failed\n", passed, failed);
	return failed != 0;
}
