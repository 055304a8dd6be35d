/* A dump: the fields of a VMCS or VMCB that somebody has told, each with the line it came from. */
#include "judge/judge.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>

void dump_begin(struct dump *d, enum dump_kind kind, const char *source, u32 line)
{
	memset(d, 0, sizeof(*d));
	d->kind = kind;
	d->source = source;
	d->line = d->last = line;
}

void dump_note(struct dump *d, u32 line, const char *fmt, ...)
{
	va_list ap;

	if (d->notes == ARRAY_LEN(d->note))
		return;
	va_start(ap, fmt);
	vsnprintf(d->note[d->notes].text, sizeof(d->note[0].text), fmt, ap);
	va_end(ap);
	d->note[d->notes++].line = line;
}

/* ---- names and widths ---- */

unsigned dump_width(const struct dump *d, unsigned key)
{
	static const u8 width[4] = {2, 8, 4, 8};
	const struct vmcb_field *f;

	if (key >= VMX_IN)
		return 8;
	if (d->kind == DUMP_VMCS)
		return width[key >> 13 & 3];
	f = vmcb_field_at(key);
	return f ? f->width : 0;
}

const char *dump_name(const struct dump *d, unsigned key)
{
	const struct vmcb_field *b;

	if (key >= VMX_IN)
		return judge_input_name(d, key);
	if (d->kind == DUMP_VMCS)
		return vmcs_field_at(key)->name;
	b = vmcb_field_at(key);
	return b ? b->name : "?";
}

/* Letters and digits alone, small. */
static void squeeze(const char *s, char *out, size_t size)
{
	size_t n = 0;

	for (; *s && n + 1 < size; s++)
		if (isalnum((unsigned char)*s))
			out[n++] = (char)tolower((unsigned char)*s);
	out[n] = 0;
}

/* Is a name, up to `end`, squeezed this word? */
static bool is_word(const char *name, const char *end, const char *word)
{
	for (; name < end; name++) {
		if (!isalnum((unsigned char)*name))
			continue;
		if (tolower((unsigned char)*name) != *word)
			return false;
		word++;
	}
	return !*word;
}

#define SYMBOL(name, encoding, ...) {encoding, #name},
static const struct {
	u16 key;
	const char *name;
} vmcs_symbols[] = {VMCS_MAP(SYMBOL, SYMBOL, SYMBOL, SYMBOL)};
#undef SYMBOL
#define FIELD(offset, place, ...)   {offset, #place},
#define SEGMENT(digits, place, ...)                                                                                    \
	{digits##0, #place ".sel"}, {digits##2, #place ".attrib"}, {digits##4, #place ".limit"}, {digits##8, #place ".base"},
static const struct {
	u16 key;
	const char *name;
} vmcb_symbols[] = {VMCB_MAP(FIELD, FIELD, FIELD, FIELD, FIELD, SEGMENT)};
#undef FIELD
#undef SEGMENT

static bool vmcs_named(const char *word, unsigned *key)
{
	for (size_t n = 0; n < vmcs_field_count; n++) {
		const char *name = vmcs_fields[n].name;

		*key = vmcs_fields[n].encoding;
		if (is_word(name, name + strcspn(name, "("), word) || is_word(name, name + strlen(name), word))
			return true;
	}
	for (size_t n = 0; n < ARRAY_LEN(vmcs_symbols); n++) {
		const char *name = vmcs_symbols[n].name;

		*key = vmcs_symbols[n].key;
		if (is_word(name, name + strlen(name), word))
			return true;
	}
	return false;
}

static bool vmcb_named(const char *word, unsigned *key)
{
	for (size_t n = 0; n < vmcb_field_count; n++) {
		const char *name = vmcb_fields[n].name, *text = strchr(name, ' '), *end = name + strlen(name);

		*key = vmcb_fields[n].offset;
		if (is_word(text ? text : name, end, word) || is_word(name, end, word))
			return true;
	}
	for (size_t n = 0; n < ARRAY_LEN(vmcb_symbols); n++) {
		const char *name = vmcb_symbols[n].name, *end = name + strlen(name);

		*key = vmcb_symbols[n].key;
		if (is_word(!strncmp(name, "control.", 8) ? name + 8 : name, end, word))
			return true;
	}
	return false;
}

bool dump_named(enum dump_kind kind, const char *name, unsigned *key)
{
	char word[128];
	char *end;

	if (name[0] == '0' && (name[1] | 32) == 'x') {
		unsigned long v = strtoul(name, &end, 16);

		*key = (unsigned)v;
		if (*end || v >= 0x8000)
			return false;
		return kind == DUMP_VMCS ? (v & 0x9381) == 0 && vmcs_field_at((u32)v) : vmcb_field_at((unsigned)v) != NULL;
	}
	squeeze(name, word, sizeof(word));
	return word[0] && (kind == DUMP_VMCS ? vmcs_named(word, key) : vmcb_named(word, key));
}

/* ---- values ---- */

static bool put_input(struct dump *d, unsigned key, u64 value)
{
	if (d->kind == DUMP_VMCS && key < VMX_IN_END) {
		d->in[key - VMX_IN] = value;
		d->in_known[key - VMX_IN] = DUMP_KNOWN;
		return true;
	}
	if (d->kind != DUMP_VMCB || key != SVM_IN_HOST_CR0)
		return false;
	d->host_cr0 = value;
	d->host_cr0_known = DUMP_KNOWN;
	return true;
}

/* What is told twice must be the same; otherwise two dumps are mixed, and nobody knows whose it is. */
static void dispute(struct dump *d, unsigned key, u32 line)
{
	dump_note(d, line, "%s has another value than before: two dumps mixed? Taken as missing", dump_name(d, key));
}

static bool put_vmcs(struct dump *d, unsigned key, u64 value, u32 line)
{
	const struct vmcs_field *f = vmcs_field_at(key);
	unsigned slot;

	if (!f || f->encoding != key || low_bytes(value, dump_width(d, key)) != value)
		return false;
	slot = vmcs_slot(key);
	if (d->f_known[slot] == DUMP_KNOWN && d->f[slot] != value) {
		dispute(d, key, line);
		d->f_known[slot] = DUMP_DISPUTED;
		d->fields--;
	}
	if (d->f_known[slot] != DUMP_MISSING)
		return true;
	d->f[slot] = value;
	d->f_line[slot] = line;
	d->f_known[slot] = DUMP_KNOWN;
	d->fields++;
	return true;
}

static bool put_vmcb(struct dump *d, unsigned key, unsigned width, u64 value, u32 line)
{
	bool again = false;

	width = width ? width : dump_width(d, key);
	if (!width || key + width > sizeof(d->bytes) || low_bytes(value, width) != value)
		return false;
	for (unsigned n = 0; n < width; n++)
		again |= d->b_known[key + n] == DUMP_KNOWN && d->bytes[key + n] != (u8)(value >> 8 * n);
	if (again)
		dispute(d, key, line);
	for (unsigned n = 0; n < width; n++) {
		u8 *known = &d->b_known[key + n];

		if (again)
			*known = DUMP_DISPUTED;
		if (*known != DUMP_MISSING)
			continue;
		*known = DUMP_KNOWN;
		d->bytes[key + n] = (u8)(value >> 8 * n);
		d->b_line[key + n] = line;
	}
	d->fields++;
	return true;
}

bool dump_put(struct dump *d, unsigned key, unsigned width, u64 value, u32 line)
{
	d->last = line;
	if (key >= VMX_IN)
		return put_input(d, key, value);
	return d->kind == DUMP_VMCS ? put_vmcs(d, key, value, line) : put_vmcb(d, key, width, value, line);
}

bool dump_has(const struct dump *d, unsigned key)
{
	unsigned width;

	if (key >= VMX_IN)
		return d->kind == DUMP_VMCS ? key < VMX_IN_END && d->in_known[key - VMX_IN] == DUMP_KNOWN
		                            : key == SVM_IN_HOST_CR0 && d->host_cr0_known == DUMP_KNOWN;
	if (d->kind == DUMP_VMCS)
		return d->f_known[vmcs_slot(key)] == DUMP_KNOWN;
	width = dump_width(d, key);
	for (unsigned n = 0; n < width; n++)
		if (d->b_known[key + n] != DUMP_KNOWN)
			return false;
	return width != 0;
}

u64 dump_value(const struct dump *d, unsigned key)
{
	u64 value = 0;

	if (!dump_has(d, key))
		return 0;
	if (key >= VMX_IN)
		return d->kind == DUMP_VMCS ? d->in[key - VMX_IN] : d->host_cr0;
	if (d->kind == DUMP_VMCS)
		return d->f[vmcs_slot(key)];
	memcpy(&value, d->bytes + key, dump_width(d, key));
	return value;
}

u32 dump_line(const struct dump *d, unsigned key)
{
	if (key >= VMX_IN || !dump_has(d, key))
		return 0;
	return d->kind == DUMP_VMCS ? d->f_line[vmcs_slot(key)] : d->b_line[key];
}
