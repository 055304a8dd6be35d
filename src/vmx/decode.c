/*
 * Values of a VMCS in words: what the bits of a field mean, and which of them a check refuses. Which those are is asked of
 * the check's own predicate, bit by bit, so that no mask stands here a second time.
 */
#include <inttypes.h>

#include "arch/names.h"
#include "vmx/vmx.h"

/* ---- controls ---- */

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

static void add_controls(struct words *w, enum vmx_word word, u64 value)
{
	const size_t begin = w->n;

	for (size_t n = 0; n < vmx_control_count; n++) {
		const struct vmx_control *k = &vmx_controls[n];

		if (k->word != word || !(value >> k->bit & 1))
			continue;
		if (w->n + strlen(k->name) + 8 > w->size) {
			words_add(w, ", ...");
			return;
		}
		words_add(w, "%s%s", w->n > begin ? ", " : "", k->name);
	}
}

static const char *control_name(enum vmx_word word, unsigned bit)
{
	for (size_t n = 0; n < vmx_control_count; n++)
		if (vmx_controls[n].word == word && vmx_controls[n].bit == bit)
			return vmx_controls[n].name;
	return NULL;
}

/* ---- fields of several parts ---- */

static void add_event(struct words *w, u64 value)
{
	static const char *const kinds[8] = {"external interrupt", "reserved type", "NMI", "exception", "INT", "INT1",
	                                     "software exception", "other event"};

	if (!(value & BIT(31))) {
		words_add(w, "no event");
		return;
	}
	words_add(w, "%s 0x%02x", kinds[bits(value, 10, 8)], (unsigned)(u8)value);
	if (bits(value, 10, 8) == EV_HW && (u8)value < ARRAY_LEN(arch_exceptions))
		words_add(w, " %s", arch_exceptions[(u8)value].name);
	words_add(w, "%s", value & BIT(11) ? ", error code" : "");
	if (bits(value, 30, 12))
		words_add(w, ", reserved bits 0x%x", (unsigned)(value & mask(30, 12)));
}

/* EPT has no UC-. */
const char *vmx_memory_type(unsigned type)
{
	return arch_memory_type(type == MT_UCM ? 8 : type);
}

static void add_eptp(struct words *w, u64 value)
{
	words_add(w, "memory type %u (%s), %u levels, accessed and dirty flags %u", (unsigned)(value & 7),
	          vmx_memory_type((unsigned)(value & 7)), (unsigned)bits(value, 5, 3) + 1, (unsigned)(value >> 6 & 1));
	if (bits(value, 11, 7))
		words_add(w, ", bits 11:7 0x%x", (unsigned)bits(value, 11, 7));
}

static void add_pat(struct words *w, u64 value)
{
	for (unsigned n = 0; n < 8; n++)
		words_add(w, "%sPA%u %s", n ? ", " : "", n, arch_memory_type(value >> 8 * n & 0xff));
}

static void add_reason(struct words *w, u64 value)
{
	const u16 reason = (u16)value;

	words_add(w, "%u, %s", reason,
	          reason < VMX_REASONS && vmx_exit_rows[reason].name ? vmx_exit_rows[reason].name : "no such reason");
	if (value & BIT(31))
		words_add(w, ", of a VM entry");
}

/* "Guest Non-Register State" */
static const struct bit_name blocking_rows[] = {{0, 1, "STI"}, {1, 1, "MOV SS"}, {2, 1, "SMI"}, {3, 1, "NMI"}, {4, 1, "enclave"}},
                             pending_rows[] = {{0, 1, "B0"}, {1, 1, "B1"}, {2, 1, "B2"}, {3, 1, "B3"}, {11, 1, "BLD"},
                                               {12, 1, "enabled breakpoint"}, {14, 1, "BS"}, {16, 1, "RTM"}};
static const struct bit_names blocking_names = {blocking_rows, ARRAY_LEN(blocking_rows)},
                              pending_names = {pending_rows, ARRAY_LEN(pending_rows)};

/* ---- one field ---- */

/* A register's bits by name, and what of it is worth saying where it is 0. */
static const struct bit_names *bit_names_of(u32 encoding, u64 *tell)
{
	*tell = 0;
	switch (encoding) {
	case VMCS_GUEST_CR0:
	case VMCS_HOST_CR0: *tell = CR0_PE | CR0_NE | CR0_PG; return &arch_cr0_names;
	case VMCS_CR0_MASK:
	case VMCS_CR0_SHADOW: return &arch_cr0_names;
	case VMCS_GUEST_CR4:
	case VMCS_HOST_CR4: *tell = CR4_PAE | CR4_VMXE; return &arch_cr4_names;
	case VMCS_CR4_MASK:
	case VMCS_CR4_SHADOW: return &arch_cr4_names;
	case VMCS_GUEST_EFER:
	case VMCS_HOST_EFER: *tell = EFER_LME | EFER_LMA; return &arch_efer_names;
	case VMCS_GUEST_RFLAGS: *tell = FL_IF; return &arch_rflags_names;
	case VMCS_GUEST_DR7: return &arch_dr7_names;
	case VMCS_GUEST_DEBUGCTL: return &arch_debugctl_names;
	case VMCS_GUEST_INTERRUPTIBILITY: return &blocking_names;
	case VMCS_GUEST_PENDING_DEBUG: *tell = DR6_BS; return &pending_names;
	default: return NULL;
	}
}

static bool is_selector(u32 encoding)
{
	return (encoding >= VMCS_GUEST_ES_SEL && encoding <= VMCS_GUEST_TR_SEL) ||
	       (encoding >= VMCS_HOST_ES_SEL && encoding <= VMCS_HOST_TR_SEL);
}

static bool is_rights(u32 encoding)
{
	return encoding >= VMCS_GUEST_ES_AR && encoding <= VMCS_GUEST_TR_AR;
}

static void add_other(struct words *w, u32 encoding, u64 value)
{
	static const char *const activities[4] = {"active", "HLT", "shutdown", "wait for SIPI"};

	switch (encoding) {
	case VMCS_GUEST_ACTIVITY: words_add(w, "%s", value < 4 ? activities[value] : "no such state"); break;
	case VMCS_ENTRY_INTR_INFO:
	case VMCS_EXIT_INTR_INFO:
	case VMCS_IDT_VECTORING: add_event(w, value); break;
	case VMCS_EXIT_REASON: add_reason(w, value); break;
	case VMCS_INSN_ERROR: words_add(w, "%s", value ? vmx_error_words((unsigned)value) : ""); break;
	case VMCS_EPTP: add_eptp(w, value); break;
	case VMCS_GUEST_PAT:
	case VMCS_HOST_PAT: add_pat(w, value); break;
	default: break;
	}
}

static void add_field(struct words *w, u32 encoding, u64 value)
{
	const int word = control_word(encoding);
	u64 tell;
	const struct bit_names *names = bit_names_of(encoding, &tell);

	if (word >= 0)
		add_controls(w, (enum vmx_word)word, value);
	else if (is_selector(encoding))
		arch_selector(w, (u16)value);
	else if (is_rights(encoding))
		arch_rights(w, value);
	else if (names)
		arch_bits(w, names, value, tell);
	else
		add_other(w, encoding, value);
}

void vmx_decode_field(char *out, size_t size, u32 encoding, u64 value)
{
	struct words w = {out, size, 0};

	out[0] = 0;
	if (encoding < VMX_IN)
		add_field(&w, encoding, value);
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

const char *vmx_error_words(unsigned error)
{
	static const char *const words[] = {
	        [1] = "VMCALL executed in VMX root operation",
	        [2] = "VMCLEAR with invalid physical address",
	        [3] = "VMCLEAR with VMXON pointer",
	        [4] = "VMLAUNCH with non-clear VMCS",
	        [5] = "VMRESUME with non-launched VMCS",
	        [6] = "VMRESUME after VMXOFF",
	        [7] = "VM entry with invalid control field(s)",
	        [8] = "VM entry with invalid host-state field(s)",
	        [9] = "VMPTRLD with invalid physical address",
	        [10] = "VMPTRLD with VMXON pointer",
	        [11] = "VMPTRLD with incorrect VMCS revision identifier",
	        [12] = "VMREAD/VMWRITE from/to unsupported VMCS component",
	        [13] = "VMWRITE to read-only VMCS component",
	        [15] = "VMXON executed in VMX root operation",
	        [16] = "VM entry with invalid executive-VMCS pointer",
	        [17] = "VM entry with non-launched executive VMCS",
	        [18] = "VM entry with executive-VMCS pointer not VMXON pointer",
	        [19] = "VMCALL with non-clear VMCS",
	        [20] = "VMCALL with invalid VM-exit control fields",
	        [22] = "VMCALL with incorrect MSEG revision identifier",
	        [23] = "VMXOFF under dual-monitor treatment of SMIs and SMM",
	        [24] = "VMCALL with invalid SMM-monitor features",
	        [25] = "VM entry with invalid VM-execution control fields in executive VMCS",
	        [26] = "VM entry with events blocked by MOV SS",
	        [28] = "Invalid operand to INVEPT/INVVPID",
	};

	return error < ARRAY_LEN(words) && words[error] ? words[error] : "no such error";
}

/* ---- which bits a check refuses ---- */

/* A check, and its culprit in a copy of the image that may be tried with other values. */
struct trial {
	const struct vmx_check *check;
	struct vmx_image image;
	u64 f[VMCS_SLOTS];
	u64 *culprit;
	unsigned width;
};

static bool passes(struct trial *t, u64 value)
{
	const u64 was = *t->culprit;
	bool ok;

	*t->culprit = value;
	ok = !vmx_check_fails(t->check, &t->image);
	*t->culprit = was;
	return ok;
}

/* The bits of which each alone takes a good value's goodness. */
static u64 refused_bits(struct trial *t, u64 good)
{
	const u64 differ = good ^ *t->culprit;
	u64 refused = 0;

	for (unsigned n = 0; n < t->width; n++)
		if ((differ >> n & 1) && !passes(t, good ^ BIT(n)))
			refused |= BIT(n);
	return refused;
}

/* The bits of which each alone would mend the value. */
static u64 mending_bits(struct trial *t)
{
	u64 mending = 0;

	for (unsigned n = 0; n < t->width; n++)
		if (passes(t, *t->culprit ^ BIT(n)))
			mending |= BIT(n);
	return mending;
}

/* A value that the check accepts; values of the simplest kind come first. */
static bool find_good(struct trial *t, u64 mending, u64 *good)
{
	const struct vmx_caps *p = t->image.caps;
	const int word = control_word(t->check->field[0]);
	const u64 tries[] = {0,
	                     FL_1,
	                     word >= 0 ? p->required1[word] : 0,
	                     p->cr0_fixed0,
	                     p->cr4_fixed0,
	                     EFER_LMA | EFER_LME,
	                     ~0ull,
	                     mending ? *t->culprit ^ (mending & -mending) : 0};

	for (size_t n = 0; n < ARRAY_LEN(tries); n++)
		if (passes(t, tries[n])) {
			*good = tries[n];
			return true;
		}
	return false;
}

/* The bits of the culprit that are wrong whatever its other bits are; 0: it is not as simple as that. */
static u64 wrong_bits(const struct vmx_image *g, const struct vmx_check *k)
{
	const u32 field = k->field[0];
	struct trial t = {.check = k, .image = *g, .width = field < VMX_IN ? vmcs_width(field) * 8u : 64};
	u64 mending, wrong, good;

	if (field >= VMX_IN && field < VMX_IN_PDPTE0)
		return 0;
	memcpy(t.f, g->f, sizeof(t.f));
	t.image.f = t.f;
	t.culprit = field < VMX_IN ? &t.f[vmcs_slot(field)] : &t.image.in[field - VMX_IN];
	mending = mending_bits(&t);
	if (!find_good(&t, mending, &good))
		return 0;
	wrong = refused_bits(&t, good);
	if (!wrong || !passes(&t, *t.culprit ^ wrong) || mending != (wrong & (wrong - 1) ? 0 : wrong))
		return 0;
	return wrong;
}

/* "bit 0 (PE) must be 1", "bits 20-22 must be 0" */
static void add_must(struct words *w, u32 encoding, u64 wrong, const char *must)
{
	const int word = control_word(encoding);
	u64 tell;
	const struct bit_names *names = bit_names_of(encoding, &tell);
	const char *between = " (";

	if (!wrong)
		return;
	words_add(w, "%s", w->n ? "; " : "");
	arch_bit_list(w, wrong);
	for (unsigned n = 0; n < 64; n++) {
		const char *name = !(wrong >> n & 1) ? NULL
		                   : word >= 0       ? control_name((enum vmx_word)word, n)
		                   : names           ? arch_bit_name(names, n)
		                                     : NULL;
		if (!name || name[0] == '(' || w->n > w->size / 2)
			continue;
		words_add(w, "%s%s", between, name);
		between = ", ";
	}
	words_add(w, "%s must be %s", between[0] == ',' ? ")" : "", must);
}

static bool is_address(u32 encoding)
{
	return (encoding >> 13 & 3) == 1 || encoding == VMCS_GUEST_CR3 || encoding == VMCS_HOST_CR3;
}

/* What of this processor makes them wrong. */
static void add_bound(struct words *w, const struct vmx_caps *p, u32 encoding, u64 wrong, u64 value)
{
	const int word = control_word(encoding);

	if (word >= 0)
		words_add(w, ": must be 1 0x%08" PRIx64 ", may be 1 0x%08" PRIx64, p->required1[word], p->allowed1[word]);
	else if (encoding == VMCS_GUEST_CR0 || encoding == VMCS_HOST_CR0)
		words_add(w, ": FIXED%u 0x%" PRIx64, wrong & value ? 1 : 0, wrong & value ? p->cr0_fixed1 : p->cr0_fixed0);
	else if (encoding == VMCS_GUEST_CR4 || encoding == VMCS_HOST_CR4)
		words_add(w, ": FIXED%u 0x%" PRIx64, wrong & value ? 1 : 0, wrong & value ? p->cr4_fixed1 : p->cr4_fixed0);
	else if (is_address(encoding) && (wrong >> p->phys_bits))
		words_add(w, ": this processor has %u physical-address bits", p->phys_bits);
}

/* In a check about fixed bits the bound is a register's; a check about what goes together has none. */
static bool has_bound(const struct vmx_check *k, const struct vmx_caps *p, u64 wrong, u64 value)
{
	const u32 e = k->field[0];

	if (e == VMCS_GUEST_CR0 || e == VMCS_HOST_CR0)
		return !((wrong & value) & p->cr0_fixed1) && !((wrong & ~value) & ~p->cr0_fixed0);
	if (e == VMCS_GUEST_CR4 || e == VMCS_HOST_CR4)
		return !((wrong & value) & p->cr4_fixed1) && !((wrong & ~value) & ~p->cr4_fixed0);
	if (control_word(e) >= 0)
		return strstr(k->id, ".reserved") != NULL;
	return true;
}

/* Said already, and there is no more to say of them. */
static u64 nameless(u32 encoding, u64 wrong)
{
	u64 tell, out = 0;
	const struct bit_names *names = bit_names_of(encoding, &tell);

	for (unsigned n = 0; n < 64 && names; n++)
		if ((wrong >> n & 1) && !arch_bit_name(names, n))
			out |= BIT(n);
	return out;
}

void vmx_decode_culprit(char *out, size_t size, const struct vmx_image *g, const struct vmx_check *k)
{
	struct words w = {out, size, 0};
	const u32 encoding = k->field[0];
	const u64 value = vmx_value(g, encoding), wrong = wrong_bits(g, k);
	size_t said;

	out[0] = 0;
	add_must(&w, encoding, wrong & ~value, "1");
	add_must(&w, encoding, wrong & value, "0");
	if (wrong && has_bound(k, g->caps, wrong, value))
		add_bound(&w, g->caps, encoding, wrong, value);
	said = w.n;
	if (encoding >= VMX_IN)
		return;
	words_add(&w, "%s", said ? "; " : "");
	add_field(&w, encoding, value & ~nameless(encoding, wrong));
	if (w.n == said + 2)
		out[said] = 0;
}
