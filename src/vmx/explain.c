/*
 * A refused VM entry in words, from the rows of the checks: the event, the fields with their bits decoded, every other
 * check that fails, what the processor did. hooks->refused prints it, or keeps it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "arch/names.h"
#include "vmx/vmx.h"

/* ---- one field ---- */

static const char *value_name(u32 encoding)
{
	return encoding < VMX_IN ? vmcs_field_at(encoding)->name : vmx_input_name(encoding);
}

static u8 value_width(u32 encoding, u64 value)
{
	if (encoding >= VMX_IN)
		return 0;
	return encoding == VMCS_GUEST_RFLAGS && !(value >> 32) ? 4 : vmcs_width(encoding);
}

static struct check_field value_of(const struct vmx_image *g, u32 encoding)
{
	const u64 value = vmx_value(g, encoding);

	return (struct check_field){.name = value_name(encoding),
	                            .value = value,
	                            .width = value_width(encoding, value),
	                            .keyed = encoding < VMX_IN,
	                            .key = encoding};
}

/* Where in memory an input of the checks was read. */
static u64 place_of(const struct vmx_image *g, unsigned input)
{
	switch (input) {
	case VMX_IN_EXEC_WORD: return vmx_value(g, VMCS_EXECUTIVE_VMCS);
	case VMX_IN_LINK_WORD: return vmx_value(g, VMCS_LINK_POINTER);
	case VMX_IN_VTPR: return vmx_value(g, VMCS_VIRTUAL_APIC_ADDR) + 0x80;
	default: return (vmx_value(g, VMCS_GUEST_CR3) & 0xffffffe0) + 8 * (input - VMX_IN_PDPTE0);
	}
}

static bool is_pdpte(unsigned input)
{
	return input >= VMX_IN_PDPTE0 && input < VMX_IN_PDPTE0 + 4;
}

/* Of what lies in memory who stored it, as far as stores are kept; with EPT the PDPTEs are fields. */
static struct origin input_origin(const struct cpu *c, const struct vmx_image *g, unsigned input)
{
	const bool ept = (vmx_value(g, VMCS_PROC_CONTROLS) & PROC_SECONDARY) && (vmx_value(g, VMCS_PROC2_CONTROLS) & PROC2_EPT);
	const bool in_memory = input == VMX_IN_EXEC_WORD || input == VMX_IN_LINK_WORD || input == VMX_IN_VTPR || is_pdpte(input);
	struct origin o = {0};

	if (is_pdpte(input) && ept)
		return vmx_origin(c, VMCS_GUEST_PDPTE0 + 2 * (input - VMX_IN_PDPTE0));
	if (in_memory && c->hooks->writer && !c->hooks->writer(c->hooks->arg, place_of(g, input), &o))
		o.kind = ORIGIN_UNKNOWN;
	return o;
}

/* The first is the culprit: which of its bits are wrong is said, too. */
void vmx_explain_fields(const struct cpu *c, struct refusal *r, const struct vmx_image *g, const struct vmx_check *k)
{
	const bool merged = g->f != vmx_of(c)->f; /* from two VMCSs, of which the diary knows one */

	for (; r->fields < ARRAY_LEN(r->field) && k->field[r->fields] != VMX_FIELDS_END; r->fields++) {
		struct check_field *f = &r->field[r->fields];

		*f = value_of(g, k->field[r->fields]);
		if (!merged)
			f->set = f->keyed ? vmx_origin(c, f->key) : input_origin(c, g, k->field[r->fields]);
		if (!r->fields)
			vmx_decode_culprit(f->decoded, sizeof(f->decoded), g, k);
		else
			vmx_decode_field(f->decoded, sizeof(f->decoded), k->field[r->fields], f->value);
	}
}

/* Every other failing check, each with its first field. */
static void list_others(struct words *l, const struct vmx_image *g, const struct vmx_check *k)
{
	u32 groups = vmx_check_apply(g);
	unsigned more = 0;
	size_t n = 0;

	for (const struct vmx_check *o; (o = vmx_check_next(g, &n, groups)) != NULL;) {
		if (o == k)
			continue;
		if (l->n + 120 > l->size) {
			more++;
			continue;
		}
		const struct check_field f = value_of(g, o->field[0]);

		words_add(l, "%s%s: %s = 0x%0*" PRIx64, l->n ? ", " : "", o->id, f.name, f.width * 2, f.value);
	}
	if (more)
		words_add(l, ", and %u more", more);
	if (!l->n)
		words_add(l, "none");
}

/* ---- the whole ---- */

static void name_event(struct words *l, const struct vmx_image *g, const struct vmx_check *k)
{
	const char *insn = vmx_in(g, VMX_IN_RESUME) ? "VMRESUME" : "VMLAUNCH";
	const u8 outcome = vmx_check_outcome(g, k);

	if (outcome == VMX_EXIT_33)
		words_add(l, "%s failed: exit reason 0x80000021 (33, VM-entry failure, invalid guest state)", insn);
	else if (g->caps->first) /* no field tells a number */
		words_add(l, "%s refused: ZF is 1: %s", insn, vmx_error_words(k->outcome));
	else
		words_add(l, "%s refused: VMfailValid, error %u: %s", insn, outcome, vmx_error_words(outcome));
}

struct refusal vmx_refusal(const struct cpu *c, enum refusal_kind kind, const char *event, u64 rip)
{
	return (struct refusal){.kind = kind,
	                        .event = event,
	                        .guest = has(c, FEAT_VMX) && vmx_of(c) ? vmx_of(c)->current : VMCS_NONE, /* on a processor that has it */
	                        .rip = rip,
	                        .insn = c->insns + (c->cur ? c->cur->idx : 0),
	                        .cpu = c->index};
}

struct check_field vmx_field_told(const struct cpu *c, u32 encoding)
{
	struct check_field f = {.name = vmcs_field_at(encoding)->name,
	                        .value = vmcs_get(vmx_of(c), encoding),
	                        .width = vmcs_width(encoding),
	                        .keyed = true,
	                        .key = encoding,
	                        .set = vmx_origin(c, encoding)};

	vmx_decode_field(f.decoded, sizeof(f.decoded), encoding, f.value);
	return f;
}

cold void vmx_explain(struct cpu *c, const struct vmx_image *g, const struct vmx_check *k, u64 rip)
{
	char event[128] = "", then[96];
	struct words e = {event, sizeof(event), 0}, t = {then, sizeof(then), 0};
	struct refusal r = vmx_refusal(c, REFUSAL_ENTRY, event, rip);
	struct words also = {r.also, sizeof(r.also), 0};

	if (!c->hooks->refused)
		return;
	name_event(&e, g, k);
	r.check = k->id;
	r.rule = k->rule;
	r.manual = k->manual;
	r.code = vmx_check_outcome(g, k);
	if (k->outcome == VMX_EXIT_33) {
		r.code = VMX_EXIT_33 | BIT(31);
		r.info[0] = k->qualification;
		words_add(&t, "qualification %u, continued at host RIP 0x%" PRIx64, k->qualification,
		    g->f[vmcs_slot(VMCS_HOST_RIP)]);
		r.then = then;
	}
	vmx_explain_fields(c, &r, g, k);
	list_others(&also, g, k);
	c->hooks->refused(c->hooks->arg, c, &r);
}

/* Of VM entry, which fails, or of VM exit, which is a VMX abort. */
cold void vmx_explain_msr(struct cpu *c, const struct vmx_msr_check *k, u32 number, const struct vmx_msr_entry *e)
{
	const struct vmx *v = vmx_of(c);
	char event[96] = "", then[96];
	struct words t = {then, sizeof(then), 0};
	const u32 area = c->guest ? VMCS_ENTRY_MSR_LOAD_ADDR : VMCS_EXIT_MSR_LOAD_ADDR;
	struct refusal r = vmx_refusal(c, c->guest ? REFUSAL_ENTRY : REFUSAL_ABORT, event, v->entry_rip);

	if (!c->hooks->refused)
		return;
	if (c->guest) {
		snprintf(event, sizeof(event), "%s failed: exit reason 0x80000022 (34, VM-entry failure, MSR loading)",
		         v->launched ? "VMRESUME" : "VMLAUNCH");
		words_add(&t, "qualification %u, continued at host RIP 0x%" PRIx64, number, vmcs_get(v, VMCS_HOST_RIP));
	} else {
		snprintf(event, sizeof(event), "VM exit failed: VMX abort, indicator %u: loading host MSRs", VMX_ABORT_LOAD);
		words_add(&t, "%s", VMX_ABORT_THEN);
	}
	r.check = k->id;
	r.rule = k->rule;
	r.manual = "SDM 3C \"Loading MSRs\"";
	r.then = then;
	snprintf(r.also, sizeof(r.also), "none");
	r.code = c->guest ? 34 | BIT(31) : VMX_ABORT_LOAD;
	r.info[0] = number;
	r.field[0] = (struct check_field){.name = "MSR index", .value = (u64)e->reserved << 32 | e->index, .width = 4};
	r.field[1] = (struct check_field){.name = "MSR value", .value = e->value, .width = 8};
	r.field[2] = vmx_field_told(c, area);
	snprintf(r.field[0].decoded, sizeof(r.field[0].decoded), "entry %u", number);
	r.fields = 3;
	c->hooks->refused(c->hooks->arg, c, &r);
}
