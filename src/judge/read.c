/*
 * The dumps of a text: a kernel's log with whatever stands before and between its lines, Xen's console, the lines of our
 * own dump header; or a VMCB as it lies in memory, or JSON. Which of them is seen from the content.
 */
#include "judge/judge.h"

#include <ctype.h>
#include <stdlib.h>

/* Behind so many lines without one of its fields a dump is over. */
#define SILENCE 200u

struct reader {
	const char *name;
	dump_fn *fn;
	void *arg;
	struct judge_words *words;
	struct err *err;
	unsigned count;
	u32 line;
	bool open, xen;
	bool looked; /* kind_of_text() has */
	enum dump_kind kind;
	enum section section;
	struct dump *d;
	const char *end; /* of the text */
};

struct stretch {
	const char *s, *e;
};

static const char *find(struct stretch l, const char *what)
{
	return memmem(l.s, (size_t)(l.e - l.s), what, strlen(what));
}

/* ---- the beginning and the end of a dump ---- */

static enum status finish(struct reader *r)
{
	if (!r->open)
		return ST_OK;
	r->open = false;
	r->section = SECTION_NONE;
	if (!r->d->fields)
		return err_set(r->err, ST_ARG, "%s:%u: a %s dump begins here, and not one field of it follows", r->name, r->d->line,
		               r->d->kind == DUMP_VMCS ? "VMCS" : "VMCB");
	r->d->number = ++r->count;
	return r->fn ? r->fn(r->arg, r->d, r->err) : ST_OK;
}

static enum status begin(struct reader *r, enum dump_kind kind, const char *source)
{
	enum status s = finish(r);

	dump_begin(r->d, kind, source, r->line);
	r->open = true;
	return s;
}

/* The dump at hand, if it is of this kind and has no field of such a section yet; otherwise a new one begins here. */
static enum status section(struct reader *r, enum dump_kind kind, enum section to, const char *source)
{
	bool goes_on = r->open && r->d->kind == kind && r->section < to;
	enum status s = goes_on ? ST_OK : begin(r, kind, source);

	if (!goes_on && to != SECTION_GUEST && to != SECTION_VMCB && to != SECTION_XEN_VMCB)
		dump_note(r->d, r->line, "the dump's beginning is missing");
	if (goes_on)
		r->d->last = r->line;
	r->section = to;
	return s;
}

/* ---- the lines that say where something begins ---- */

struct mark {
	const char *text;
	u8 kind, section; /* section: SECTION_NONE: the header above the first one */
	bool xen;
};
static const struct mark marks[] = {
        {"last attempted VM-entry", DUMP_VMCS, SECTION_NONE, false},
        {"*** Guest State ***", DUMP_VMCS, SECTION_GUEST, false},
        {"*** Host State ***", DUMP_VMCS, SECTION_HOST, false},
        {"*** Control State ***", DUMP_VMCS, SECTION_CONTROL, false},
        {"last attempted VMRUN", DUMP_VMCB, SECTION_NONE, false},
        {"VMCB Control Area:", DUMP_VMCB, SECTION_VMCB, false},
        {"VMCB State Save Area:", DUMP_VMCB, SECTION_SAVE, false},
        {"Size of VMCB =", DUMP_VMCB, SECTION_XEN_VMCB, true},
};

static const struct mark *mark_of(struct stretch l)
{
	for (size_t n = 0; n < ARRAY_LEN(marks); n++)
		if (find(l, marks[n].text))
			return &marks[n];
	return NULL;
}

static enum status marked(struct reader *r, const struct mark *k, struct stretch l)
{
	const char *source = k->xen || r->xen || find(l, "(XEN)") ? "Xen" : "Linux";

	if (k->section == SECTION_NONE)
		return begin(r, k->kind, source);
	return section(r, k->kind, k->section, source);
}

/* ---- our dump header's lines: `vmdump vmcs`, `0x6820=0x2`, `current=0x...`, `vmdump end` ---- */

static const struct {
	const char *name;
	u16 key;
} inputs[] = {
        {"current", VMX_IN_CURRENT}, {"vmxon", VMX_IN_VMXON}, {"lma", VMX_IN_LMA}, {"smm", VMX_IN_SMM},
        {"mov-ss", VMX_IN_MOVSS}, {"resume", VMX_IN_RESUME}, {"launched", VMX_IN_LAUNCHED},
        {"exec-word", VMX_IN_EXEC_WORD}, {"exec-launched", VMX_IN_EXEC_LAUNCHED},
        {"exec-exit", VMX_IN_EXEC_EXIT}, {"link-word", VMX_IN_LINK_WORD}, {"vtpr", VMX_IN_VTPR}, {"pdpte0", VMX_IN_PDPTE0}, {"pdpte1", VMX_IN_PDPTE1},
        {"pdpte2", VMX_IN_PDPTE2}, {"pdpte3", VMX_IN_PDPTE3}, {"host-cr0", SVM_IN_HOST_CR0},
};

/* The last word of the line, where it is NAME=NUMBER. */
static bool assignment(struct stretch l, struct stretch *name, u64 *value)
{
	const char *e = l.e, *p;

	while (e > l.s && (e[-1] == '\r' || e[-1] == ' ' || e[-1] == '\t'))
		e--;
	for (p = e; p > l.s && (isalnum((unsigned char)p[-1]) || p[-1] == '-' || p[-1] == '='); p--)
		;
	name->s = p;
	name->e = memchr(p, '=', (size_t)(e - p));
	if (!name->e || name->e == p)
		return false;
	p = name->e + 1;
	return format_number(&p, e, 10, value) && p == e;
}

static bool is_word(struct stretch w, const char *word)
{
	return (size_t)(w.e - w.s) == strlen(word) && !memcmp(w.s, word, strlen(word));
}

/* Without a line that says what it is: encodings of a VMCS go beyond a VMCB's page. Asked for the rest of a text once. */
static enum dump_kind kind_of_text(struct reader *r, const char *from)
{
	if (r->looked)
		return r->kind;
	r->looked = true;
	r->kind = DUMP_VMCS;
	for (const char *p = from; (p = memmem(p, (size_t)(r->end - p), "\n0x", 3)) != NULL; p++) {
		const char *s = p + 1;
		u64 key;

		while (s < r->end && *s != '=' && *s != '\n')
			s++;
		const char *q = p + 1;
		if (s < r->end && *s == '=' && format_number(&q, s, 16, &key) && key >= 0x1000)
			return DUMP_VMCS;
	}
	return r->kind = DUMP_VMCB;
}

static bool is_field(struct stretch name, u64 *key)
{
	const char *p = name.s;

	return name.e - p > 2 && p[0] == '0' && p[1] == 'x' && format_number(&p, name.e, 16, key) && p == name.e;
}

static enum status put_field(struct reader *r, u64 key, u64 value)
{
	char word[24];
	unsigned k;

	snprintf(word, sizeof(word), "0x%llx", (unsigned long long)key);
	if (!dump_named(r->d->kind, word, &k))
		return ST_OK; /* a field that came later than these */
	if (!dump_put(r->d, k, 0, value, r->line))
		return err_set(r->err, ST_ARG, "%s:%u: %s: 0x%llx is too large for it", r->name, r->line, dump_name(r->d, k),
		               (unsigned long long)value);
	return ST_OK;
}

static enum status header_line(struct reader *r, struct stretch l)
{
	struct stretch name;
	u64 value, key;

	if (find(l, "vmdump vmcs") || find(l, "vmdump vmcb"))
		return begin(r, find(l, "vmdump vmcs") ? DUMP_VMCS : DUMP_VMCB, "dump header");
	if (find(l, "vmdump end"))
		return finish(r);
	if (!assignment(l, &name, &value))
		return ST_OK;
	if (is_field(name, &key)) {
		enum status s = ST_OK;

		if (!r->open)
			s = begin(r, key >= 0x1000 ? DUMP_VMCS : kind_of_text(r, l.s), "dump header");
		return s == ST_OK && !strcmp(r->d->source, "dump header") ? put_field(r, key, value) : s;
	}
	for (size_t n = 0; n < ARRAY_LEN(inputs) && r->open; n++)
		if (is_word(name, inputs[n].name))
			dump_put(r->d, inputs[n].key, 0, value, r->line);
	return ST_OK;
}

/* ---- a text, line by line ---- */

static const char *find_words(struct stretch l)
{
	const char *msr = find(l, "msr 0x");

	return msr ? msr : find(l, "cpuid 0x");
}

static enum status one_line(struct reader *r, struct stretch l)
{
	const struct mark *k;

	if (find(l, "VMCS Area") || find(l, "VMCB Areas"))
		r->xen = true;
	if (find_words(l)) {
		if (r->words)
			words_line(r->words, find_words(l), l.e);
		return ST_OK;
	}
	if (find(l, "***") || find(l, "VMCB") || find(l, "VM-entry")) {
		k = mark_of(l);
		if (k)
			return marked(r, k, l);
	}
	if (r->open && r->section != SECTION_NONE) {
		if (format_line(r->d, r->section, l.s, l.e, r->end, r->line))
			r->d->last = r->line;
		return r->line - r->d->last > SILENCE ? finish(r) : ST_OK;
	}
	if (memchr(l.s, '=', (size_t)(l.e - l.s)) || find(l, "vmdump "))
		return header_line(r, l);
	return ST_OK;
}

static enum status text(struct reader *r, const char *p)
{
	enum status s = ST_OK;

	for (r->line = 1; p < r->end && s == ST_OK; r->line++) {
		const char *eol = memchr(p, '\n', (size_t)(r->end - p));

		eol = eol ? eol : r->end;
		s = one_line(r, (struct stretch){p, eol});
		p = eol + 1;
	}
	return s == ST_OK ? finish(r) : s;
}

static enum status raw_vmcb(struct reader *r, const u8 *data)
{
	dump_begin(r->d, DUMP_VMCB, "raw", 0);
	memcpy(r->d->bytes, data, sizeof(r->d->bytes));
	memset(r->d->b_known, DUMP_KNOWN, sizeof(r->d->b_known));
	r->d->fields = (unsigned)vmcb_field_count;
	r->d->number = r->count = 1;
	return r->fn ? r->fn(r->arg, r->d, r->err) : ST_OK;
}

/* A page of memory has zeros, which no text has. */
static bool is_page(const u8 *data, size_t n)
{
	return n == sizeof(struct vmcb_page) && memchr(data, 0, n);
}

enum status dumps_read(const char *name, const u8 *data, size_t n, dump_fn *fn, void *arg, struct judge_words *words,
                       unsigned *count, struct err *err)
{
	struct reader r = {.name = name, .fn = fn, .arg = arg, .words = words, .err = err, .end = (const char *)data + n};
	enum status s;

	if (json_looks(data, n)) {
		struct json_sink k = {.name = name, .fn = fn, .arg = arg};

		s = json_read(&k, data, n, err);
		*count = k.count;
		return s;
	}
	r.d = base_alloc(sizeof(*r.d));
	if (!r.d)
		return err_set(err, ST_NOMEM, "out of memory");
	s = is_page(data, n) ? raw_vmcb(&r, data) : text(&r, (const char *)data);
	base_free(r.d);
	*count = r.count;
	if (s == ST_OK && !r.count)
		return err_set(err, ST_ARG, "%s: no VMCS and no VMCB dump in its %u lines", name, r.line ? r.line - 1 : 0);
	return s;
}

bool words_read(const u8 *data, size_t n, struct judge_words *w)
{
	const char *p = (const char *)data, *end = p + n;

	memset(w, 0, sizeof(*w));
	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		struct stretch l = {p, eol ? eol : end};

		if (find_words(l))
			words_line(w, find_words(l), l.e);
		p = l.e + 1;
	}
	return w->msrs || w->cpuids;
}
