/* VMX aborts in words: what a VM exit could not do. "VMX Aborts". The processor shuts down behind them. */
#include <inttypes.h>
#include <stdio.h>

#include "arch/names.h"
#include "vmx/vmx.h"

#define ABORTS "SDM 3C \"VMX Aborts\""

/* clang-format off */
const struct vmx_abort_check vmx_abort_checks[] = {
	{VMX_ABORT_STORE, "vmx.abort.msr-store", "saving guest MSRs",
	 "an entry of the VM-exit MSR-store area must name an MSR that RDMSR reads at CPL 0, none of the x2APIC, and have 0 in bits 63:32 of its index"},
	{VMX_ABORT_PDPTE, "vmx.abort.host-pdpte", "host page-directory-pointer-table entries", "reserved bits of the four PDPTEs at host CR3 must be 0"},
	{VMX_ABORT_LOAD, "vmx.abort.msr-load", "loading host MSRs", NULL},
	{VMX_ABORT_MODE, "vmx.abort.address-space", "host address-space size", "a VM exit from IA-32e mode needs \"host address-space size\" 1"},
};
/* clang-format on */
const size_t vmx_abort_check_count = ARRAY_LEN(vmx_abort_checks);

/* number: of an MSR area's entry, from 1. */
static void add_entry(struct cpu *c, struct refusal *r, u32 area, u32 number)
{
	const u64 index = cpu_read_u64(c, BY_VIRT, vmcs_get(vmx_of(c), area) + 16ull * (number - 1));
	struct check_field *f = &r->field[r->fields++];

	*f = (struct check_field){.name = "MSR index", .value = index, .width = index >> 32 ? 8 : 4};
	snprintf(f->decoded, sizeof(f->decoded), "entry %u", number);
	r->field[r->fields++] = vmx_field_told(c, area);
}

#define PDPTE_RESERVED (mask(2, 1) | mask(8, 5))

static void add_pdptes(struct cpu *c, struct refusal *r)
{
	static const char *const names[] = {"PDPTE0", "PDPTE1", "PDPTE2", "PDPTE3"};

	for (unsigned n = 0; n < 4; n++) {
		const u64 e = cpu_read_u64(c, BY_VIRT, (c->cr3 & 0xffffffe0) + 8 * n);
		const u64 wrong = e & (PDPTE_RESERVED | mask(63, c->phys_bits));
		struct check_field *f = &r->field[r->fields];
		struct words w = {f->decoded, sizeof(f->decoded), 0};

		if (!(e & 1) || !wrong)
			continue;
		*f = (struct check_field){.name = names[n], .value = e, .width = 8};
		arch_bit_list(&w, wrong);
		words_add(&w, " must be 0");
		r->fields++;
	}
	r->field[r->fields++] = vmx_field_told(c, VMCS_HOST_CR3);
}

/* Those that load MSRs are told by the row of the entry that fails: vmx_explain_msr(). */
cold void vmx_explain_abort(struct cpu *c, u32 indicator, u32 number)
{
	const struct vmx_abort_check *k = vmx_abort_checks;
	char event[96] = "";
	struct refusal r = vmx_refusal(c, REFUSAL_ABORT, event, vmx_of(c)->entry_rip);

	if (!c->hooks->refused || indicator == VMX_ABORT_LOAD)
		return;
	while (k->indicator != indicator)
		k++;
	snprintf(event, sizeof(event), "VM exit failed: VMX abort, indicator %u: %s", indicator, k->words);
	r.check = k->id;
	r.rule = k->rule;
	r.manual = ABORTS;
	r.then = VMX_ABORT_THEN;
	r.code = indicator;
	if (indicator == VMX_ABORT_STORE)
		add_entry(c, &r, VMCS_EXIT_MSR_STORE_ADDR, number);
	else if (indicator == VMX_ABORT_PDPTE)
		add_pdptes(c, &r);
	else
		r.field[r.fields++] = vmx_field_told(c, VMCS_EXIT_CONTROLS);
	c->hooks->refused(c->hooks->arg, c, &r);
}
