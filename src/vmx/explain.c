/*
 * A refused VM entry in words, from the rows of the checks: the event, the fields with their bits decoded, every other
 * check that fails, what the processor did. hooks->refused prints it, or keeps it.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "vmx/vmx.h"

/* Text in a buffer of fixed size; what does not fit is cut. */
struct line {
	char *s;
	size_t size, n;
};

static void printf_like(2, 3) add(struct line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->s + l->n, l->size - l->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->n = min_u64(l->n + (size_t)n, l->size - 1);
}

/* ---- names of bits ---- */

struct bit_name {
	u8 bit;
	const char *name;
};

/* clang-format off */
static const struct bit_name cr0_bits[] = {{0, "PE"}, {5, "NE"}, {31, "PG"}}, cr4_bits[] = {{5, "PAE"}, {13, "VMXE"}, {17, "PCIDE"}},
	efer_bits[] = {{8, "LME"}, {10, "LMA"}}, rflags_bits[] = {{1, "bit 1"}, {8, "TF"}, {9, "IF"}, {17, "VM"}},
	ar_bits[] = {{4, "S"}, {7, "P"}, {13, "L"}, {14, "D/B"}, {15, "G"}, {16, "unusable"}},
	blocking_bits[] = {{0, "STI"}, {1, "MOV SS"}, {2, "SMI"}, {3, "NMI"}, {4, "enclave"}},
	pending_bits[] = {{12, "enabled breakpoint"}, {14, "BS"}, {16, "RTM"}};
/* clang-format on */

static void add_bits(struct line *l, const struct bit_name *b, size_t count, u64 value)
{
	for (size_t n = 0; n < count; n++)
		add(l, "%s%s %u", n ? ", " : "", b[n].name, (unsigned)(value >> b[n].bit & 1));
}
#define ADD_BITS(l, table, value) add_bits(l, table, ARRAY_LEN(table), value)

static void add_controls(struct line *l, enum vmx_word w, u64 value)
{
	bool any = false;

	for (size_t n = 0; n < vmx_control_count; n++) {
		const struct vmx_control *k = &vmx_controls[n];

		if (k->word != w || !(value >> k->bit & 1))
			continue;
		if (l->n + strlen(k->name) + 8 > l->size) {
			add(l, ", ...");
			return;
		}
		add(l, "%s%s", any ? ", " : "", k->name);
		any = true;
	}
}

static void add_event(struct line *l, u64 value)
{
	static const char *const kinds[8] = {"external interrupt", "reserved type", "NMI", "exception", "INT", "INT1",
	                                     "software exception", "other event"};

	if (!(value & BIT(31))) {
		add(l, "no event");
		return;
	}
	add(l, "%s 0x%02x%s", kinds[bits(value, 10, 8)], (unsigned)(u8)value, value & BIT(11) ? ", error code" : "");
	if (bits(value, 30, 12))
		add(l, ", reserved bits 0x%x", (unsigned)(value & mask(30, 12)));
}

static void add_eptp(struct line *l, u64 value)
{
	add(l, "memory type %u, %u levels, accessed and dirty flags %u", (unsigned)(value & 7),
	    (unsigned)bits(value, 5, 3) + 1, (unsigned)(value >> 6 & 1));
	if (bits(value, 11, 7))
		add(l, ", bits 11:7 0x%x", (unsigned)bits(value, 11, 7));
}

static void add_rights(struct line *l, u64 value)
{
	add(l, "type %u, DPL %u, ", (unsigned)(value & AR_TYPE), (unsigned)bits(value, 6, 5));
	ADD_BITS(l, ar_bits, value);
}

static int control_word(u32 encoding)
{
	switch (encoding) {
	case VMCS_PIN_CONTROLS: return VMX_PIN;
	case VMCS_PROC_CONTROLS: return VMX_PROC;
	case VMCS_PROC2_CONTROLS: return VMX_PROC2;
	case VMCS_PROC3_CONTROLS: return VMX_PROC3;
	case VMCS_EXIT_CONTROLS: return VMX_EXIT;
	case VMCS_EXIT2_CONTROLS: return VMX_EXIT2;
	case VMCS_ENTRY_CONTROLS: return VMX_ENTRY;
	default: return -1;
	}
}

void vmx_decode_field(char *out, size_t size, u32 encoding, u64 value)
{
	static const char *const activities[4] = {"active", "HLT", "shutdown", "wait for SIPI"};
	struct line l = {out, size, 0};

	out[0] = 0;
	if (encoding >= VMX_IN)
		return;
	if (control_word(encoding) >= 0)
		add_controls(&l, (enum vmx_word)control_word(encoding), value);
	else if ((encoding >= VMCS_GUEST_ES_SEL && encoding <= VMCS_GUEST_TR_SEL) ||
	         (encoding >= VMCS_HOST_ES_SEL && encoding <= VMCS_HOST_TR_SEL))
		add(&l, "index %u, TI %u, RPL %u", (unsigned)(value >> 3), (unsigned)(value >> 2 & 1),
		    (unsigned)(value & 3));
	else if (encoding >= VMCS_GUEST_ES_AR && encoding <= VMCS_GUEST_TR_AR)
		add_rights(&l, value);
	switch (encoding) {
	case VMCS_GUEST_CR0:
	case VMCS_HOST_CR0: ADD_BITS(&l, cr0_bits, value); break;
	case VMCS_GUEST_CR4:
	case VMCS_HOST_CR4: ADD_BITS(&l, cr4_bits, value); break;
	case VMCS_GUEST_EFER:
	case VMCS_HOST_EFER: ADD_BITS(&l, efer_bits, value); break;
	case VMCS_GUEST_RFLAGS: ADD_BITS(&l, rflags_bits, value); break;
	case VMCS_GUEST_INTERRUPTIBILITY: ADD_BITS(&l, blocking_bits, value); break;
	case VMCS_GUEST_PENDING_DEBUG: ADD_BITS(&l, pending_bits, value); break;
	case VMCS_GUEST_ACTIVITY: add(&l, "%s", value < 4 ? activities[value] : "no such state"); break;
	case VMCS_ENTRY_INTR_INFO: add_event(&l, value); break;
	case VMCS_EPTP: add_eptp(&l, value); break;
	default: break;
	}
}

const char *vmx_input_name(unsigned input)
{
	static const char *const names[VMX_IN_END - VMX_IN] = {
	        "IA32_EFER.LMA of this processor",
	        "system-management mode",
	        "MOV-SS blocking of this processor",
	        "instruction, 1 for VMRESUME",
	        "launch state of the current VMCS",
	        "current VMCS pointer",
	        "VMXON pointer",
	        "first doubleword at the executive-VMCS pointer",
	        "launch state of the executive VMCS",
	        "VM-exit controls of the executive VMCS",
	        "first doubleword at the VMCS link pointer",
	        "VTPR in the virtual-APIC page",
	        "PDPTE0",
	        "PDPTE1",
	        "PDPTE2",
	        "PDPTE3",
	};

	return names[input - VMX_IN];
}

/* ---- one field ---- */

static void add_ranges(struct line *l, u64 bits_, const char *must)
{
	unsigned first = 0;

	if (!bits_)
		return;
	add(l, "%s%s", l->n ? "; " : "", bits_ & (bits_ - 1) ? "bits" : "bit");
	for (unsigned n = 0; n < 64; n++) {
		if (!(bits_ >> n & 1))
			continue;
		if (!n || !(bits_ >> (n - 1) & 1))
			first = n;
		if (n < 63 && (bits_ >> (n + 1) & 1))
			continue;
		if (n == first)
			add(l, " %u", n);
		else
			add(l, " %u-%u", first, n);
	}
	add(l, " must be %s", must);
}

/* Reserved bits of a control word: which have the wrong value. */
static void decode_reserved(struct line *l, const struct vmx_caps *caps, enum vmx_word w, u64 value)
{
	add_ranges(l, ~value & caps->required1[w], "1");
	add_ranges(l, value & ~caps->allowed1[w], "0");
}

static void show_field(struct check_field *f, const struct vmx_image *g, const struct vmx_check *k, u32 encoding)
{
	static const u8 width[4] = {2, 8, 4, 8};
	struct line l = {f->decoded, sizeof(f->decoded), 0};
	int word = encoding < VMX_IN ? control_word(encoding) : -1;

	f->name = encoding < VMX_IN ? vmcs_field_at(encoding)->name : vmx_input_name(encoding);
	f->value = vmx_value(g, encoding);
	f->width = encoding < VMX_IN ? width[encoding >> 13 & 3] : 0;
	if (encoding == VMCS_GUEST_RFLAGS && !(f->value >> 32))
		f->width = 4;
	if (word >= 0 && encoding == k->field[0] && strstr(k->id, ".reserved"))
		decode_reserved(&l, g->caps, (enum vmx_word)word, f->value);
	else
		vmx_decode_field(f->decoded, sizeof(f->decoded), encoding, f->value);
}

/* Every other failing check, each with its first field. */
static void list_others(struct line *l, const struct vmx_image *g, const struct vmx_check *k)
{
	u32 groups = vmx_check_apply(g);
	unsigned more = 0;
	size_t n = 0;

	for (const struct vmx_check *o; (o = vmx_check_next(g, &n, groups)) != NULL;) {
		struct check_field f;

		if (o == k)
			continue;
		if (l->n + 120 > l->size) {
			more++;
			continue;
		}
		show_field(&f, g, o, o->field[0]);
		add(l, "%s%s: %s = 0x%0*" PRIx64, l->n ? ", " : "", o->id, f.name, f.width * 2, f.value);
	}
	if (more)
		add(l, ", and %u more", more);
	if (!l->n)
		add(l, "none");
}

/* ---- the whole ---- */

static void name_event(struct line *l, const struct vmx_image *g, const struct vmx_check *k)
{
	static const char *const errors[] = {
	        [VMX_FAIL_4] = "VMLAUNCH with non-clear VMCS",
	        [VMX_FAIL_5] = "VMRESUME with non-launched VMCS",
	        [VMX_FAIL_7] = "VM entry with invalid control field(s)",
	        [VMX_FAIL_8] = "VM entry with invalid host-state field(s)",
	        [VMX_FAIL_16] = "VM entry with invalid executive-VMCS pointer",
	        [VMX_FAIL_17] = "VM entry with non-launched executive VMCS",
	        [VMX_FAIL_18] = "VM entry with executive-VMCS pointer not VMXON pointer",
	        [VMX_FAIL_25] = "VM entry with invalid VM-execution control fields in executive VMCS",
	        [VMX_FAIL_26] = "VM entry with events blocked by MOV SS",
	};
	const char *insn = vmx_in(g, VMX_IN_RESUME) ? "VMRESUME" : "VMLAUNCH";
	const u8 outcome = vmx_check_outcome(g, k);

	if (outcome == VMX_EXIT_33)
		add(l, "%s failed: exit reason 0x80000021 (33, VM-entry failure, invalid guest state)", insn);
	else if (g->caps->first) /* no field tells a number */
		add(l, "%s refused: ZF is 1: %s", insn, errors[k->outcome]);
	else
		add(l, "%s refused: VMfailValid, error %u: %s", insn, outcome, errors[outcome]);
}

cold void vmx_explain(struct cpu *c, const struct vmx_image *g, const struct vmx_check *k, u64 rip)
{
	char event[128], then[96];
	struct line e = {event, sizeof(event), 0}, t = {then, sizeof(then), 0};
	struct refusal r = {.event = event,
	                    .check = k->id,
	                    .rule = k->rule,
	                    .manual = k->manual,
	                    .guest = vmx_of(c)->current,
	                    .rip = rip,
	                    .insn = c->insns,
	                    .cpu = c->index};
	struct line also = {r.also, sizeof(r.also), 0};

	if (!c->hooks->refused)
		return;
	name_event(&e, g, k);
	r.code = vmx_check_outcome(g, k);
	if (k->outcome == VMX_EXIT_33) {
		r.code = VMX_EXIT_33 | BIT(31);
		r.info[0] = k->qualification;
		add(&t, "qualification %u, continued at host RIP 0x%" PRIx64, k->qualification,
		    g->f[vmcs_slot(VMCS_HOST_RIP)]);
		r.then = then;
	}
	for (; r.fields < ARRAY_LEN(r.field) && k->field[r.fields] != VMX_FIELDS_END; r.fields++)
		show_field(&r.field[r.fields], g, k, k->field[r.fields]);
	list_others(&also, g, k);
	c->hooks->refused(c->hooks->arg, c, &r);
}

/* The area of VM entry only: on VM exit the processor shuts down, which has its own evidence. */
cold void vmx_explain_msr(struct cpu *c, const struct vmx_msr_check *k, u32 number, const struct vmx_msr_entry *e)
{
	const struct vmx *v = vmx_of(c);
	char event[96], then[96];
	struct line t = {then, sizeof(then), 0};
	struct refusal r = {.event = event,
	                    .check = k->id,
	                    .rule = k->rule,
	                    .manual = "SDM 3C \"Loading MSRs\"",
	                    .then = then,
	                    .also = "none",
	                    .guest = v->current,
	                    .code = 34 | BIT(31),
	                    .info = {number},
	                    .rip = v->entry_rip,
	                    .insn = c->insns,
	                    .cpu = c->index};

	if (!c->hooks->refused || !c->guest)
		return;
	snprintf(event, sizeof(event), "%s failed: exit reason 0x80000022 (34, VM-entry failure, MSR loading)",
	         v->launched ? "VMRESUME" : "VMLAUNCH");
	add(&t, "qualification %u, continued at host RIP 0x%" PRIx64, number, vmcs_get(v, VMCS_HOST_RIP));
	r.field[0] = (struct check_field){.name = vmcs_field_at(VMCS_ENTRY_MSR_LOAD_ADDR)->name,
	                                  .value = vmcs_get(v, VMCS_ENTRY_MSR_LOAD_ADDR),
	                                  .width = 8};
	r.field[1] = (struct check_field){.name = "MSR index", .value = (u64)e->reserved << 32 | e->index, .width = 4};
	r.field[2] = (struct check_field){.name = "MSR value", .value = e->value, .width = 8};
	snprintf(r.field[1].decoded, sizeof(r.field[1].decoded), "entry %u", number);
	r.fields = 3;
	c->hooks->refused(c->hooks->arg, c, &r);
}

/* ---- VMCALL ---- */

/* clang-format off */
const struct vmx_call_check vmx_call_checks[] = {
	{19, "vmx.vmcall.not-clear", "VMCALL with non-clear VMCS", "the VMCS that activates dual-monitor treatment must have a clear launch state",
	 "launch state of the current VMCS", "Initial Checks"},
	{20, NULL, "VMCALL with invalid VM-exit control fields", NULL, NULL, "Initial Checks"},
	{22, "vmx.vmcall.mseg-revision", "VMCALL with incorrect MSEG revision identifier",
	 "MSEG must begin with the revision identifier in bits 63:32 of IA32_VMX_MISC", "MSEG revision identifier", "MSEG Checking"},
	{24, "vmx.vmcall.mseg-features", "VMCALL with invalid SMM-monitor features",
	 "of the monitor features in MSEG bits 31:1 must be 0, and bit 0, IA-32e mode, be 1 for VMCALL in 64-bit mode",
	 "SMM-transfer monitor features", "MSEG Checking"},
};
/* clang-format on */
const size_t vmx_call_check_count = ARRAY_LEN(vmx_call_checks);

static const struct vmx_call_check *call_check(unsigned error)
{
	const struct vmx_call_check *w = vmx_call_checks;

	while (w->error != error)
		w++;
	return w;
}

cold void vmx_explain_call(struct cpu *c, u64 rip, unsigned error, const struct vmx_check *k, u64 value)
{
	const struct vmx_call_check *w = call_check(error);
	char event[128], manual[64];
	struct refusal r = {.event = event,
	                    .check = k ? k->id : w->id,
	                    .rule = k ? k->rule : w->rule,
	                    .manual = manual,
	                    .then = "dual-monitor treatment stays inactive",
	                    .also = "none",
	                    .fields = 1,
	                    .guest = vmx_of(c)->current,
	                    .code = error,
	                    .rip = rip,
	                    .insn = c->insns,
	                    .cpu = c->index};

	if (!c->hooks->refused)
		return;
	snprintf(event, sizeof(event), "VMCALL refused: VMfailValid, error %u: %s", error, w->words);
	snprintf(manual, sizeof(manual), "SDM 3C \"%s\"", w->manual);
	r.field[0] = (struct check_field){.name = k ? vmcs_field_at(k->field[0])->name : w->field, .value = value, .width = 4};
	if (k)
		vmx_decode_field(r.field[0].decoded, sizeof(r.field[0].decoded), k->field[0], value);
	c->hooks->refused(c->hooks->arg, c, &r);
}
