/* Instructions: their bytes disassembled, and what their row says: what they need, what faults, what intercepts them. */
#include "cpu/decode/decode.h"
#include "lookup/parts.h"

static unsigned hex_digit(char c)
{
	return c <= '9' ? (unsigned)c - '0' : ((unsigned)c | 32) - 'a' + 10;
}

/* "0f 01 c2", "0f01c2", "\x0f\x01\xc2", "0f,01,c2". 0: these are no bytes. */
static size_t read_bytes(const char *s, u8 out[15])
{
	size_t n = 0;

	while (*s) {
		if (strspn(s, " ,:\\x") && !(s[0] == '0' && s[1] == 'x')) {
			s++;
			continue;
		}
		if (s[0] == '0' && (s[1] | 32) == 'x') {
			s += 2;
			continue;
		}
		if (strspn(s, "0123456789abcdefABCDEF") < 2 || n == 15)
			return 0;
		out[n++] = (u8)(hex_digit(s[0]) << 4 | hex_digit(s[1]));
		s += 2;
	}
	return n;
}

static void say_conditions(struct ask *a, const struct insn_row *r)
{
	char text[512] = "";
	struct words w = {text, sizeof(text), 0};

	if (r->feature)
		words_add(&w, "%s; ", arch_features[r->feature].name);
	if (r->flags & ROW_CPL0)
		words_add(&w, "#GP(0) at CPL > 0; ");
	if (r->flags & ROW_NO_REAL)
		words_add(&w, "#UD in real and virtual-8086 mode; ");
	else if (r->flags & ROW_NO_V86)
		words_add(&w, "#UD in virtual-8086 mode; ");
	if (r->flags & ROW_NOT64)
		words_add(&w, "#UD in 64-bit mode; ");
	if (r->flags & ROW_ONLY64)
		words_add(&w, "#UD outside 64-bit mode; ");
	if (w.n)
		text[w.n - 2] = 0;
	if (text[0])
		say(a, "needs", "%s", text);
}

static void say_intercepts(struct ask *a, const struct insn_row *r)
{
	unsigned reason = vmx_exit_reason(r->icpt);
	u64 code = svm_exit_code(r->icpt);

	if (!r->icpt)
		return;
	if (vmx_exit_rows[reason].name && reason)
		say(a, "exit", "VMX: reason %u, %s", reason, vmx_exit_rows[reason].name);
	if (code != EXITCODE_INVALID && svm_exit_row(code))
		say(a, "exit", "SVM: 0x%" PRIx64 ", %s", code, svm_exit_row(code)->name);
}

/* The row that would run it on this model. NULL: none. */
static const struct insn_row *row_of(const struct cpu_model *m, const struct dec *d)
{
	for (const struct row_set *const *set = m->insns; *set; set++)
		for (size_t n = 0; n < (*set)->count; n++) {
			const struct insn_row *r = &(*set)->rows[n];

			if (r->mnemonic == d->zi->mnemonic && (!r->match || r->match(d)))
				return r;
		}
	return NULL;
}

static void say_row(struct ask *a, struct dec *d)
{
	struct cpu *c = base_alloc(sizeof(*c)); /* what match() may ask: the model and its features */
	const struct insn_row *last = NULL;

	for (size_t m = 0; c && m < lookup_model_count; m++) {
		c->model = lookup_models[m];
		model_features(c->model, &c->feat);
		d->cpu = c;
		const struct insn_row *r = row_of(c->model, d);
		if (!r)
			say(a, "note", "#UD on the model %s", c->model->name);
		if (!r || (last && !strcmp(last->form, r->form)))
			continue;
		say(a, "form", "%s", r->form);
		say_conditions(a, r);
		say_intercepts(a, r);
		last = r;
	}
	base_free(c);
}

static bool say_bytes(struct ask *a, const u8 *bytes, size_t n, ZydisMachineMode mode, ZydisStackWidth width, u8 cpu_mode,
                      const char *name)
{
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisFormatter formatter;
	ZydisDecoder decoder;
	char text[128];

	ZydisDecoderInit(&decoder, mode, width);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, n, &zi, op)))
		return false;
	if (!ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &zi, op, zi.operand_count_visible, text, sizeof(text), 0, NULL)))
		return false;
	say_title(a, "%s (%s, %u byte%s)", text, name, zi.length, zi.length == 1 ? "" : "s");
	say_row(a, &(struct dec){.zi = &zi, .op = op, .mode = cpu_mode});
	if (zi.length < n)
		say(a, "note", "%zu byte%s behind it", n - zi.length, n - zi.length == 1 ? "" : "s");
	return true;
}

static void say_mnemonic(struct ask *a, const struct insn_row *r)
{
	say_title(a, "instruction %s", r->form);
	say_conditions(a, r);
	say_intercepts(a, r);
}

/* By name: the forms of all models, each once. */
static void by_name(struct ask *a)
{
	for (size_t m = 0; m < lookup_model_count; m++)
		for (const struct row_set *const *set = lookup_models[m]->insns; *set; set++) {
			bool shared = false;

			for (const struct row_set *const *other = lookup_models[0]->insns; m && *other; other++)
				shared |= *other == *set;
			for (size_t n = 0; n < (*set)->count && !shared; n++)
				if (is_called(a, ZydisMnemonicGetString((ZydisMnemonic)(*set)->rows[n].mnemonic)))
					say_mnemonic(a, &(*set)->rows[n]);
		}
}

void ask_insn(struct ask *a)
{
	u8 bytes[15];
	size_t n = read_bytes(a->word, bytes);

	if (!n) {
		by_name(a);
		return;
	}
	if (!say_bytes(a, bytes, n, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64, MODE_64 | MODE_PE, "64-bit mode"))
		say_bytes(a, bytes, n, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32, MODE_32 | MODE_SS32 | MODE_PE, "32-bit mode");
}

void list_insns(struct sheet *s)
{
	for (size_t m = 0; m < lookup_model_count; m++)
		for (const struct row_set *const *set = lookup_models[m]->insns; *set; set++)
			for (size_t n = 0; n < (*set)->count; n++) {
				const struct insn_row *r = &(*set)->rows[n];

				sheet_row(s, (const char *const[]){lookup_models[m]->name, r->form,
				                                   r->feature ? arch_features[r->feature].name : ""});
			}
}
