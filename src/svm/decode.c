/*
 * What the fields of a VMCB say, in words: every bit by its name, and of the field that a check is about the bits that are
 * wrong and what would be right. From the image alone: whoever has one may ask.
 */
#include "svm/svm.h"

#include "arch/names.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- names. "Layout of VMCB" ---- */

/* clang-format off */
#define NAMES(name, ...) \
	static const struct bit_name name##_rows[] = {__VA_ARGS__}; \
	static const struct bit_names name = {name##_rows, ARRAY_LEN(name##_rows)}

NAMES(vintr, {0, 8, "V_TPR"}, {8, 1, "V_IRQ"}, {9, 1, "VGIF"}, {11, 1, "V_NMI"}, {12, 1, "V_NMI_MASK"}, {16, 4, "V_INTR_PRIO"},
      {20, 1, "V_IGN_TPR"}, {24, 1, "V_INTR_MASKING"}, {25, 1, "VGIF_ENABLE"}, {26, 1, "V_NMI_ENABLE"}, {30, 1, "x2AVIC"},
      {31, 1, "AVIC"}, {32, 8, "V_INTR_VECTOR"});
NAMES(int_state, {0, 1, "INTERRUPT_SHADOW"}, {1, 1, "GUEST_INTERRUPT_MASK"});
NAMES(nested_ctl, {0, 1, "NP_ENABLE"}, {1, 1, "SEV"}, {2, 1, "SEV-ES"}, {3, 1, "GMET"}, {4, 1, "SSSCheck"}, {5, 1, "VTE"},
      {6, 1, "ROGPT"}, {7, 1, "INVLPGB/TLBSYNC"}, {11, 1, "PML"});
NAMES(virt_ext, {0, 1, "LBR_VIRTUALIZATION"}, {1, 1, "VIRTUAL_VMLOAD_VMSAVE"}, {2, 1, "IBS_VIRTUALIZATION"},
      {3, 1, "PMC_VIRTUALIZATION"});
NAMES(dbgctl, {0, 1, "LBR"}, {1, 1, "BTF"}, {2, 1, "PB0"}, {3, 1, "PB1"}, {4, 1, "PB2"}, {5, 1, "PB3"});
#define GROUP(bit, name, text) {bit, 1, #name},
NAMES(clean, VMCB_CLEAN_MAP(GROUP));
#undef GROUP
NAMES(vm_cr, {0, 1, "DPD"}, {1, 1, "R_INIT"}, {2, 1, "DIS_A20M"}, {3, 1, "LOCK"}, {4, 1, "SVMDIS"});
/* clang-format on */

void svm_decode_vm_cr(char *out, size_t size, u64 value)
{
	struct words w = {out, size, 0};

	arch_bits(&w, &vm_cr, value, VM_CR_SVMDIS);
}

/* ---- one kind of value each ---- */

/* "VMRUN, VMMCALL": the exits that these bits of the intercept words ask for; a bit's number is its exit's code. */
static void add_intercepts(struct words *w, unsigned offset, unsigned width, u64 value)
{
	const size_t begin = w->n;
	unsigned more = 0;

	for (unsigned bit = 0; bit < width * 8; bit++) {
		const struct svm_exit_row *row = svm_exit_row(offset * 8 + bit);
		const char *name = row ? row->name + strlen("VMEXIT_") : "no such intercept";

		if (!(value >> bit & 1))
			continue;
		if (w->n + strlen(name) + 20 > w->size)
			more++;
		else
			words_add(w, "%s%s", w->n > begin ? ", " : "", name);
	}
	if (more)
		words_add(w, " and %u more", more);
	if (w->n == begin)
		words_add(w, "nothing intercepted");
}

/* "Event Injection", "EXITINTINFO" */
static void add_event(struct words *w, u64 value)
{
	static const char *const kinds[8] = {[INTINFO_INTR] = "external interrupt", [INTINFO_NMI] = "NMI",
	                                     [INTINFO_EXCEPTION] = "exception", [INTINFO_SOFT] = "INT n"};
	const unsigned type = (unsigned)bits(value, 10, 8), vector = (u8)value;

	if (!(value & INTINFO_V)) {
		words_add(w, "no event");
		return;
	}
	if (!kinds[type])
		words_add(w, "type %u is none, vector 0x%02x", type, vector);
	else if (type == INTINFO_EXCEPTION && vector < 32 && arch_exceptions[vector].name)
		words_add(w, "exception %u %s", vector, arch_exceptions[vector].name);
	else
		words_add(w, "%s 0x%02x", kinds[type], vector);
	if (value & INTINFO_EV)
		words_add(w, ", error code 0x%x", (unsigned)(value >> 32));
}

static void add_tlb_control(struct words *w, u64 value)
{
	switch (value) {
	case TLB_CONTROL_NONE: words_add(w, "flushes nothing"); break;
	case TLB_CONTROL_ALL: words_add(w, "flushes all ASIDs"); break;
	case TLB_CONTROL_ASID: words_add(w, "flushes this ASID"); break;
	case TLB_CONTROL_ASID_NON_GLOBAL: words_add(w, "flushes this ASID but for global pages"); break;
	default: words_add(w, "reserved: flushes nothing"); break;
	}
}

static void add_pat(struct words *w, u64 value)
{
	for (unsigned n = 0; n < 8; n++) {
		const unsigned type = (u8)(value >> 8 * n);

		words_add(w, "%sPA%u %s", n ? ", " : "", n, arch_memory_type(type));
	}
}

static void add_exit(struct words *w, u64 value)
{
	const struct svm_exit_row *row = svm_exit_row(value);

	words_add(w, "%s", row ? row->name : "no such exit");
}

/* "Segment State in the VMCB": descriptor bits 55:52 and 47:40. */
static void add_attributes(struct words *w, u64 value)
{
	arch_rights(w, (value & 0xff) | (value & 0xf00) << 4);
	if (value >> 12)
		words_add(w, ", bits 15:12 0x%x", (unsigned)(value >> 12));
}

/* ---- the fields ---- */

static void add_control(struct words *w, const struct svm_env *env, const struct vmcb_field *f, u64 value)
{
	if (f->offset < CTL_AT(rsvd_018)) {
		add_intercepts(w, f->offset, f->width, value);
		return;
	}
	switch (f->offset) {
	case CTL_AT(asid): words_add(w, "this processor has 1 to 0x%x", env->asids - 1); break;
	case CTL_AT(tlb_control): add_tlb_control(w, value); break;
	case CTL_AT(vintr): arch_bits(w, &vintr, value, 0); break;
	case CTL_AT(int_state): arch_bits(w, &int_state, value, 0); break;
	case CTL_AT(exitcode): add_exit(w, value); break;
	case CTL_AT(exitintinfo):
	case CTL_AT(eventinj): add_event(w, value); break;
	case CTL_AT(nested_ctl): arch_bits(w, &nested_ctl, value, NESTED_NP_ENABLE); break;
	case CTL_AT(virt_ext): arch_bits(w, &virt_ext, value, 0); break;
	case CTL_AT(clean): arch_bits(w, &clean, value, 0); break;
	case CTL_AT(avic_physical_table): words_add(w, "AVIC_PHYSICAL_MAX_INDEX %u", (unsigned)bits(value, 11, 0)); break;
	default: break;
	}
}

/* A selector, its attributes, limit and base are rows of one name. */
static bool is_segment(const struct vmcb_field *f)
{
	const unsigned at = f->offset - VMCB_SAVE;

	return at < offsetof(struct vmcb_save, rsvd_0a0) && (at & 15) < 4 && f->width == 2;
}

static void add_save(struct words *w, const struct vmcb_field *f, u64 value)
{
	if (is_segment(f)) {
		if (f->offset & 2)
			add_attributes(w, value);
		else
			arch_selector(w, (u16)value);
		return;
	}
	switch (f->offset) {
	case SAVE_AT(efer): arch_bits(w, &arch_efer_names, value, EFER_SVME | EFER_LME | EFER_LMA); break;
	case SAVE_AT(cr0): arch_bits(w, &arch_cr0_names, value, CR0_PE | CR0_PG); break;
	case SAVE_AT(cr4): arch_bits(w, &arch_cr4_names, value, CR4_PAE); break;
	case SAVE_AT(dr6): arch_bits(w, &arch_dr6_names, value & ~(u64)DR6_RESET, 0); break;
	case SAVE_AT(dr7): arch_bits(w, &arch_dr7_names, value, 0); break;
	case SAVE_AT(rflags): arch_bits(w, &arch_rflags_names, value, FL_IF); break;
	case SAVE_AT(dbgctl): arch_bits(w, &dbgctl, value, 0); break;
	case SAVE_AT(g_pat): add_pat(w, value); break;
	default: break;
	}
}

/* ---- what is wrong with the field that a check is about ---- */

/* Bits that must be 0 and are not, bits that must be 1 and are not; what this processor allows. */
static void add_wrong(struct words *w, const struct svm_image *v, const struct svm_check *k, u64 value)
{
	const struct svm_env *env = &v->env;
	u64 zero = k->zero, allowed = 0;

	switch (k->limit) {
	case SVM_LIMIT_EFER: zero = ~(allowed = env->efer_bits); break;
	case SVM_LIMIT_CR4: zero = ~(allowed = env->cr4_bits); break;
	case SVM_LIMIT_ADDRESS: zero = ~mask(env->phys_bits - 1u, 0) & (zero ? zero : ~0ull); break;
	default: break;
	}
	if (value & zero) {
		arch_bit_list(w, value & zero);
		words_add(w, " must be 0");
	}
	if (~value & k->one) {
		arch_bit_list(w, ~value & k->one);
		words_add(w, " must be 1");
	}
	if (w->n && allowed)
		words_add(w, ", allowed 0x%" PRIx64, allowed);
	if (k->limit == SVM_LIMIT_ADDRESS)
		words_add(w, w->n ? ", %u physical address bits" : "the last byte lies beyond %u physical address bits", env->phys_bits);
}

void svm_decode_field(char *out, size_t size, const struct svm_image *v, const struct svm_check *k, unsigned offset)
{
	const struct vmcb_field *f = vmcb_field_at(offset);
	const u64 value = svm_field_value(v, offset);
	struct words w = {out, size, 0};
	size_t n;

	out[0] = 0;
	if (!f)
		return;
	if (k && k->field[0] == offset)
		add_wrong(&w, v, k, value);
	n = w.n;
	if (n)
		words_add(&w, ": ");
	if (offset < VMCB_SAVE)
		add_control(&w, &v->env, f, value);
	else
		add_save(&w, f, value);
	if (n && w.n == n + 2)
		out[n] = 0; /* no more to say */
}
