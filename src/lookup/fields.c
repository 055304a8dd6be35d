/* Fields of the VMCS and the VMCB, the bits of VMX's control words, and what values of them say. */
#include "lookup/parts.h"

static const u32 word_encoding[VMX_WORDS] = {
        [VMX_PIN] = VMCS_PIN_CONTROLS,   [VMX_PROC] = VMCS_PROC_CONTROLS,   [VMX_PROC2] = VMCS_PROC2_CONTROLS,
        [VMX_PROC3] = VMCS_PROC3_CONTROLS, [VMX_EXIT] = VMCS_EXIT_CONTROLS, [VMX_EXIT2] = VMCS_EXIT2_CONTROLS,
        [VMX_ENTRY] = VMCS_ENTRY_CONTROLS,
};

u32 lookup_control_field(unsigned word)
{
	return word_encoding[word];
}

/* A field's name as people say it: what stands before the encoding, or behind the offset. */
static void bare_name(const char *name, char out[96])
{
	const char *from = !strncmp(name, "VMCB+", 5) && strchr(name, ' ') ? strchr(name, ' ') + 1 : name;
	const char *end = strstr(from, " (0x");

	snprintf(out, 96, "%.*s", (int)(end ? (size_t)(end - from) : strlen(from)), from);
}

static bool is_field(struct ask *a, const char *name, u64 number)
{
	char bare[96];

	if (a->has_number)
		return a->number == number;
	bare_name(name, bare);
	return is_called(a, bare) || is_called(a, name);
}

/* ---- VMCS ---- */

static const char *condition_of(const struct vmcs_field *f)
{
	if (f->condition == VMX_ALWAYS)
		return "";
	if (f->condition == VMX_LATER)
		return "; not on the processors of 2004";
	for (size_t n = 0; n < vmx_control_count; n++)
		if (vmx_controls[n].word == f->condition >> 5 && vmx_controls[n].bit == (f->condition & 31))
			return vmx_controls[n].name;
	return "";
}

static void say_moves(struct ask *a, const struct vmcs_field *f)
{
	if (f->loaded[0] && strcmp(f->loaded, "false") != 0)
		say(a, "loaded", "by VM %s%s%s", strcmp(f->kind, "host") ? "entry" : "exit",
		    strcmp(f->loaded, "true") ? ", if " : "", strcmp(f->loaded, "true") ? f->loaded : "");
	if (f->saved[0] && strcmp(f->saved, "false") != 0)
		say(a, "saved", "by VM exit%s%s", strcmp(f->saved, "true") ? ", if " : "",
		    strcmp(f->saved, "true") ? f->saved : "");
}

static void say_readers(struct ask *a, u32 encoding)
{
	const char *last = "";

	for (size_t n = 0; n < vmx_check_count(); n++) {
		const struct vmx_check *k = vmx_check_at(n);

		for (unsigned m = 0; k->field[m] != VMX_FIELDS_END; m++) {
			if (k->field[m] != encoding || !strcmp(last, k->id))
				continue;
			say(a, *last ? "" : "checks", "%s: %s", k->id, k->rule);
			last = k->id;
		}
	}
}

static void say_vmcs(struct ask *a, const struct vmcs_field *f)
{
	static const char *const width[] = {"16 bits", "64 bits", "32 bits", "natural width"};
	static const char *const type[] = {"control", "exit information, read-only", "guest state", "host state"};
	const char *condition = condition_of(f);
	char text[512];

	say_title(a, "VMCS field %s", f->name);
	say(a, "kind", "%s, %s%s%s%s", type[f->encoding >> 10 & 3], width[f->encoding >> 13 & 3],
	    condition[0] && condition[0] != ';' ? "; exists with \"" : "", condition,
	    condition[0] && condition[0] != ';' ? "\"" : "");
	say_moves(a, f);
	if (a->has_value) {
		vmx_decode_field(text, sizeof(text), f->encoding, a->value);
		say(a, "value", "0x%" PRIx64 "%s%s", a->value, text[0] ? ": " : "", text);
	} else {
		say_readers(a, f->encoding);
	}
	say(a, "manual", "SDM 3D \"Field Encoding in VMCS\"");
}

void ask_vmcs(struct ask *a)
{
	for (size_t n = 0; n < vmcs_field_count; n++) {
		const struct vmcs_field *f = &vmcs_fields[n];
		bool high = a->has_number && a->number == f->encoding + 1u && (f->encoding >> 13 & 3) == 1;

		if (is_field(a, f->name, f->encoding) || high)
			say_vmcs(a, f);
	}
}

/* ---- controls ---- */

void ask_control(struct ask *a)
{
	for (size_t n = 0; n < vmx_control_count; n++) {
		const struct vmx_control *k = &vmx_controls[n];
		enum feature f = vmx_control_feature(k);

		if (!is_called(a, k->name))
			continue;
		say_title(a, "VMX control \"%s\"", k->name);
		say(a, "field", "bit %u of %s", k->bit, vmcs_field_at(word_encoding[k->word])->name);
		if (f != FEAT_NONE)
			say(a, "switch", "--cpu intel,-%s takes it away", arch_features[f].name);
		if (!k->here)
			say(a, "note", "no model has it");
		say(a, "manual", "SDM 3C \"VM-Execution Control Fields\", \"VM-Exit Control Fields\", \"VM-Entry Control Fields\"");
	}
}

/* ---- VMCB ---- */

static void say_vmcb_readers(struct ask *a, unsigned offset)
{
	unsigned said = 0;

	for (size_t n = 0; n < svm_check_count; n++)
		for (unsigned m = 0; m < SVM_CHECK_FIELDS && svm_checks[n].field[m] != 0xffff; m++)
			if (svm_checks[n].field[m] == offset)
				say(a, said++ ? "" : "checks", "%s: %s", svm_checks[n].id, svm_checks[n].rule);
}

/* In an image where everything else is 0. */
static void decode_vmcb(char *out, size_t size, const struct vmcb_field *f, u64 value)
{
	struct svm_image *v = base_alloc(sizeof(*v));
	size_t at = f->offset < VMCB_SAVE ? f->offset : f->offset - VMCB_SAVE;
	size_t room = f->offset < VMCB_SAVE ? sizeof(v->control) : sizeof(v->save);

	out[0] = 0;
	if (v && at + f->width <= room) {
		memcpy((f->offset < VMCB_SAVE ? (u8 *)&v->control : (u8 *)&v->save) + at, &value, f->width);
		svm_decode_field(out, size, v, NULL, f->offset);
	}
	base_free(v);
}

static void say_vmcb(struct ask *a, const struct vmcb_field *f)
{
	char text[512];

	say_title(a, "VMCB field %s", f->name);
	say(a, "kind", "%u byte%s; %s", f->width, f->width == 1 ? "" : "s", vmcb_kind_text(f->kind));
	if (f->clean != CLEAN_NEVER)
		say(a, "clean", "bit %u %s", f->clean, vmcb_clean_text(f->clean));
	if (a->has_value) {
		decode_vmcb(text, sizeof(text), f, a->value);
		say(a, "value", "0x%" PRIx64 "%s%s", a->value, text[0] ? ": " : "", text);
	} else {
		say_vmcb_readers(a, f->offset);
	}
	say(a, "manual", "APM 2 \"Layout of VMCB\"");
}

/* VMCB+0x58 and vmcb+58h are the offset, too. */
static void offset_in_word(struct ask *a)
{
	const char *plus = strchr(a->word, '+');

	if (!a->has_number && plus && (a->word[0] | 32) == 'v')
		a->has_number = read_number(plus + 1, &a->number);
}

void ask_vmcb(struct ask *a)
{
	struct ask here = *a;

	offset_in_word(&here);
	for (size_t n = 0; n < vmcb_field_count; n++)
		if (is_field(&here, vmcb_fields[n].name, vmcb_fields[n].offset))
			say_vmcb(&here, &vmcb_fields[n]);
	a->found = here.found;
	a->near = here.near;
	a->distance = here.distance;
}

void list_fields(struct sheet *s)
{
	static const char *const type[] = {"control", "exit", "guest", "host"}, *const width[] = {"2", "8", "4", "8"};
	char at[8], bytes[4], name[96];

	for (size_t n = 0; n < vmcs_field_count; n++) {
		const struct vmcs_field *f = &vmcs_fields[n];

		snprintf(at, sizeof(at), "0x%04x", f->encoding);
		bare_name(f->name, name);
		sheet_row(s, (const char *const[]){"vmx", at, width[f->encoding >> 13 & 3], type[f->encoding >> 10 & 3], name});
	}
	for (size_t n = 0; n < vmcb_field_count; n++) {
		const struct vmcb_field *f = &vmcb_fields[n];

		snprintf(at, sizeof(at), "0x%03x", f->offset);
		snprintf(bytes, sizeof(bytes), "%u", f->width);
		bare_name(f->name, name);
		sheet_row(s, (const char *const[]){"svm", at, bytes, f->offset < VMCB_SAVE ? "control" : "save", name});
	}
}
