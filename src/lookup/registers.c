/* Registers: MSRs, control and debug registers, access rights, CPUID features, and what values of them say. */
#include "cpu/control/msr.h"
#include "lookup/parts.h"

/* ---- MSRs ---- */

struct msr_seen {
	u32 index;
	char name[MSR_NAME_MAX];
	bool on[8]; /* by model */
	const struct msr_row *row;
};

/* Calls fn for each MSR of each model, in the order of the tables. */
static void each_msr(void (*fn)(void *arg, const struct msr_row *r, u32 index, const char *name, size_t model), void *arg)
{
	for (size_t m = 0; m < lookup_model_count; m++)
		for (const struct msr_set *const *set = lookup_models[m]->msrs; *set; set++)
			for (size_t n = 0; n < (*set)->count; n++) {
				const struct msr_row *r = &(*set)->rows[n];

				for (u32 k = 0; k < r->count; k++) {
					char name[MSR_NAME_MAX];

					fn(arg, r, r->index + k, msr_name(r, r->index + k, name), m);
				}
			}
}

static const struct bit_names *bits_of_msr(u32 index)
{
	switch (index) {
	case 0x1d9: return &arch_debugctl_names;
	case 0xc0000080: return &arch_efer_names;
	default: return NULL;
	}
}

struct msr_look {
	struct ask *a;
	u32 last;
	bool any;
};

static void explain_msr(void *arg, const struct msr_row *r, u32 index, const char *name, size_t model)
{
	struct msr_look *l = arg;
	struct ask *a = l->a;
	const struct bit_names *names = bits_of_msr(index);

	if (!(a->has_number ? a->number == index : name[0] && is_called(a, name)))
		return;
	if (!l->any || l->last != index)
		say_title(a, "MSR %s (0x%x)", name[0] ? name : "without a name", index);
	if ((!l->any || l->last != index) && a->has_value && names)
		say_bits(a, names, a->value);
	l->any = true;
	l->last = index;
	say(a, "model", "%s%s%s%s", lookup_models[model]->name, r->feature ? ", with " : "",
	    r->feature ? arch_features[r->feature].name : "",
	    r->write || r->writable || (r->flags & (MSR_WRITE_IGNORED | MSR_CANONICAL)) ? "" : ", read-only");
}

void ask_msr(struct ask *a)
{
	struct msr_look l = {.a = a};

	each_msr(explain_msr, &l);
}

static void list_msr(void *arg, const struct msr_row *r, u32 index, const char *name, size_t model)
{
	char number[16];

	snprintf(number, sizeof(number), "0x%08x", index);
	if (name[0])
		sheet_row(arg, (const char *const[]){lookup_models[model]->name, number, r->feature ? arch_features[r->feature].name : "",
		                                     name});
}

void list_msrs(struct sheet *s)
{
	each_msr(list_msr, s);
}

/* ---- registers with a value ---- */

/* clang-format off */
static const struct {
	const char *name, *manual;
	const struct bit_names *bits;
} registers[] = {
	{"CR0",      "SDM 3A \"Control Registers\"",              &arch_cr0_names},
	{"CR4",      "SDM 3A \"Control Registers\"",              &arch_cr4_names},
	{"EFER",     "SDM 3A \"Extended Feature Enable Register\"", &arch_efer_names},
	{"RFLAGS",   "SDM 1 \"EFLAGS Register\"",                 &arch_rflags_names},
	{"EFLAGS",   "SDM 1 \"EFLAGS Register\"",                 &arch_rflags_names},
	{"DR6",      "SDM 3B \"Debug Status Register (DR6)\"",    &arch_dr6_names},
	{"DR7",      "SDM 3B \"Debug Control Register (DR7)\"",   &arch_dr7_names},
	{"DEBUGCTL", "SDM 3B \"IA32_DEBUGCTL MSR\"",              &arch_debugctl_names},
	{"XCR0",     "SDM 1 \"Enabling the XSAVE Feature Set\"",  &arch_xcr0_names},
	{"PFERR",    "SDM 3A \"Page-Fault Exceptions\"",          &arch_pf_error_names},
};
/* clang-format on */

static void say_rights(struct ask *a, const char *what, u64 ar, const char *manual)
{
	char text[256] = "";
	struct words w = {text, sizeof(text), 0};

	arch_rights(&w, ar);
	say_title(a, "%s 0x%" PRIx64, what, a->value);
	say(a, "value", "%s", text);
	say(a, "manual", "%s", manual);
}

static void say_selector(struct ask *a)
{
	char text[64] = "";
	struct words w = {text, sizeof(text), 0};

	arch_selector(&w, (u16)a->value);
	say_title(a, "selector 0x%04x", (u16)a->value);
	say(a, "value", "%s", text);
	say(a, "manual", "SDM 3A \"Segment Selectors\"");
}

void ask_register(struct ask *a)
{
	for (size_t n = 0; n < ARRAY_LEN(registers); n++) {
		if (!is_called(a, registers[n].name))
			continue;
		if (a->has_value)
			say_title(a, "%s = 0x%" PRIx64, registers[n].name, a->value);
		else
			say_title(a, "%s", registers[n].name);
		say_bits(a, registers[n].bits, a->has_value ? a->value : ~0ull);
		say(a, "manual", "%s", registers[n].manual);
	}
	if (!a->has_value)
		return;
	if (is_called(a, "ar") || is_called(a, "access rights"))
		say_rights(a, "access rights", a->value, "SDM 3C \"Guest Register State\"");
	if (is_called(a, "attrib") || is_called(a, "attributes"))
		say_rights(a, "VMCB segment attributes", (a->value & 0xff) | (a->value & 0xf00) << 4, "APM 2 \"Segment State in the VMCB\"");
	if (is_called(a, "selector"))
		say_selector(a);
}

/* ---- CPUID ---- */

/* Where the processor says so. Controls are allowed by the upper half of a capability MSR. */
static void announced(const struct feature_info *f, char out[64])
{
	static const char reg[4][4] = {"EAX", "EBX", "ECX", "EDX"};

	if (!f->leaf && !f->bit)
		out[0] = 0;
	else if (f->leaf >= 0x480 && f->leaf < 0x500)
		snprintf(out, 64, "MSR 0x%x bit %u", f->leaf, f->bit + (f->reg == 3 ? 32u : 0));
	else
		snprintf(out, 64, "CPUID 0x%x.%u %s bit %u", f->leaf, f->subleaf, reg[f->reg & 3], f->bit);
}

void ask_cpuid(struct ask *a)
{
	for (unsigned n = 1; n < FEAT_COUNT; n++) {
		const struct feature_info *f = &arch_features[n];
		char place[64], on[128] = "";

		if (!is_called(a, f->name))
			continue;
		announced(f, place);
		say_title(a, "feature %s", f->name);
		if (place[0])
			say(a, "place", "%s", place);
		for (size_t m = 0; m < lookup_model_count; m++) {
			struct feature_set set;
			size_t used = strlen(on);

			model_features(lookup_models[m], &set);
			snprintf(on + used, sizeof(on) - used, "%s%s %s", used ? ", " : "", lookup_models[m]->name,
			         feat_has(&set, (enum feature)n)                  ? "has it"
			         : model_can(lookup_models[m], (enum feature)n) ? "can have it: +" : "cannot have it");
			if (on[strlen(on) - 1] == '+')
				snprintf(on + strlen(on), sizeof(on) - strlen(on), "%s", f->name);
		}
		say(a, "models", "%s", on);
	}
}

void list_cpuid(struct sheet *s)
{
	for (unsigned n = 1; n < FEAT_COUNT; n++) {
		const struct feature_info *f = &arch_features[n];
		char place[64];

		announced(f, place);
		sheet_row(s, (const char *const[]){f->name, place});
	}
}

void list_models(struct sheet *s)
{
	size_t n;
	const struct model_name *m = model_list(&n);

	for (size_t k = 0; k < n; k++)
		sheet_row(s, (const char *const[]){m[k].name, m[k].about});
}
