/*
 * turnstile check on texts that nobody should have: dumps in every format that is read, of any values, spoilt: bytes turned,
 * pieces lost, doubled and exchanged, numbers without end, junk between. It ends with a verdict or with one line that names
 * the file; what is counted and what is judged are the same dumps; a dump does not differ from itself.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "../judge/writer.h"
#include "judge/judge.h"

#define ROOM (256u << 10)

static struct judge_caps intel, amd;

struct text {
	size_t n;
	char s[ROOM];
};

static void add(struct text *t, const char *s, size_t n)
{
	n = n > ROOM - t->n ? ROOM - t->n : n;
	memcpy(t->s + t->n, s, n);
	t->n += n;
}

static void add_owned(struct text *t, char *s)
{
	add(t, s, strlen(s));
	free(s);
}

/* ---- a dump ---- */

static const char *add_dump(struct rng *r, struct text *t)
{
	static const char *const words[] = {"msr 0x480=0xda0400000004\n", "cpuid 0x80000008.0x0: 0x3027 0 0 0\n", "cpuid 0x80000001.0x0: 0 0 0x4 0\n",
	                                    "msr 0x482=0xfffbfffe0401e172\nmsr 0x486=0x80000021\n", "vmdump vmcb\n", "vmdump end\n"};
	u64 f[VMCS_SLOTS], in[VMX_IN_END - VMX_IN];
	u8 page[4096];

	for (unsigned n = 0; n < VMCS_SLOTS; n++)
		f[n] = rng_one_in(r, 3) ? rng_odd(r) & 0xffff : 0;
	for (unsigned n = 0; n < ARRAY_LEN(in); n++)
		in[n] = rng_odd(r);
	rng_fill(r, page, sizeof(page));
	switch (rng_below(r, 11)) {
	case 0: add_owned(t, write_linux_vmcs(f, false, 0x80000021)); return "Linux VMCS";
	case 1: add_owned(t, write_linux_vmcs(f, true, rng_odd(r) & 0xffffffff)); return "old Linux VMCS";
	case 2: add_owned(t, write_xen_vmcs(f, 33)); return "Xen VMCS";
	case 3: add_owned(t, write_header_vmcs(f, in)); return "header VMCS";
	case 4: add_owned(t, write_json_vmcs(f)); return "JSON VMCS";
	case 5: add_owned(t, write_linux_vmcb(page, rng_one_in(r, 2))); return "Linux VMCB";
	case 6: add_owned(t, write_xen_vmcb(page)); return "Xen VMCB";
	case 7: add_owned(t, write_header_vmcb(page, rng_next(r))); return "header VMCB";
	case 8: add_owned(t, write_json_vmcb(page)); return "JSON VMCB";
	case 9: add(t, (const char *)page, sizeof(page)); return "page";
	default:
		for (unsigned n = 0; n < 4; n++) {
			const char *w = RNG_PICK(r, words);

			add(t, w, strlen(w));
		}
		return "capabilities";
	}
}

/* ---- spoilt ---- */

static size_t line_at(const struct text *t, size_t at)
{
	while (at && t->s[at - 1] != '\n')
		at--;
	return at;
}

static void cut(struct text *t, size_t at, size_t n)
{
	n = n > t->n - at ? t->n - at : n;
	memmove(t->s + at, t->s + at + n, t->n - at - n);
	t->n -= n;
}

static void insert(struct text *t, size_t at, const char *s, size_t n)
{
	n = n > ROOM - t->n ? ROOM - t->n : n;
	memmove(t->s + at + n, t->s + at, t->n - at);
	memcpy(t->s + at, s, n);
	t->n += n;
}

static void spoil(struct rng *r, struct text *t)
{
	static const char *const junk[] = {"=", "0x", "ffffffffffffffffffffffffffffffff", "{", "}", "[", "\"", ":", ",", "\n", "\\", "\0", "%", "***",
	                                   "*** Guest State ***\n", "*** Control State ***\n", "VMCB Control Area:\n", "last attempted VM-entry",
	                                   "vmdump vmcs\n", "(XEN) ", "-1", "1e99", "true", "{\"name\": \"cr0\", \"value\": 5}", "Size of VMCB = \n"};
	char line[512];
	size_t at, from;

	for (u64 n = rng_below(r, 12); n > 0 && t->n; n--) {
		at = rng_below(r, t->n);
		switch (rng_below(r, 7)) {
		case 0: t->s[at] ^= (char)(1 << rng_below(r, 8)); break;
		case 1: cut(t, at, 1 + rng_below(r, 40)); break;
		case 2: cut(t, at, rng_below(r, 2000)); break;
		case 3: {
			const char *s = RNG_PICK(r, junk);

			insert(t, at, s, *s ? strlen(s) : 1);
			break;
		}
		case 4: /* a line goes elsewhere, and stays */
			from = line_at(t, at);
			memcpy(line, t->s + from, sizeof(line) < t->n - from ? sizeof(line) : t->n - from);
			insert(t, line_at(t, rng_below(r, t->n)), line, 1 + rng_below(r, sizeof(line) < t->n - from ? sizeof(line) - 1 : t->n - from));
			break;
		case 5: t->n = at; break;
		default:
			for (u64 k = rng_below(r, 400); k > 0 && t->n; k--)
				insert(t, at, "[{", 1 + rng_below(r, 2));
			break;
		}
	}
}

/* ---- what must hold ---- */

static void hold_error(const struct err *err)
{
	size_t n = strlen(err->text);

	if (strchr(err->text, '\n') || !n)
		fuzz_fail("no line: %.100s", err->text);
	if (strncmp(err->text, "name:", 5) && strcmp(err->text, "out of memory"))
		fuzz_fail("the file is not named: %.100s", err->text);
}

static void hold_report(const char *s, size_t n, bool json)
{
	size_t column = 0;

	if (n && s[n - 1] != '\n')
		fuzz_fail("the report does not end with its line");
	for (size_t k = 0; k < n; k++) {
		if (s[k] == '\n')
			column = 0;
		else if (++column > 100 && !json && s[k - column + 1] == ' ')
			fuzz_fail("a line wider than 100 columns");
		if ((u8)s[k] < 0x20 && s[k] != '\n')
			fuzz_fail("a control character in the report");
	}
}

struct first {
	struct dump d;
	bool there;
};

static enum status keep(void *arg, const struct dump *d, struct err *err)
{
	struct first *f = arg;

	(void)err;
	if (!f->there)
		f->d = *d;
	f->there = true;
	return ST_OK;
}

static void hold_same(const struct first *f)
{
	const struct diff_side side = {"name", &f->d, 1};
	struct err err;
	char *s = NULL;
	size_t n;
	bool same = false;
	FILE *out = open_memstream(&s, &n);

	if (!out)
		fuzz_fail("out of memory");
	if (diff_print(out, &side, &side, &same, &err) != ST_OK || !same)
		fuzz_fail("a dump differs from itself");
	fclose(out);
	free(s);
}

static void judge_all(struct rng *r, const struct text *t)
{
	struct judge_report rep = {.name = "name", .vmx = &intel, .svm = &amd, .json = rng_one_in(r, 3)};
	struct judge_words words = {.msrs = 0};
	struct err err = {""};
	char *s = NULL;
	size_t n = 0;
	unsigned again = 0;
	const struct alloc_knob knob = {.fail_at = rng_one_in(r, 20) ? 1 + rng_below(r, 6) : 0};
	enum status first = dumps_read("name", (const u8 *)t->s, t->n, NULL, NULL, &words, &rep.of, &err), st;

	if (first != ST_OK)
		hold_error(&err);
	rep.out = open_memstream(&s, &n);
	if (!rep.out)
		fuzz_fail("out of memory");
	base_alloc_knob(&knob);
	st = dumps_read("name", (const u8 *)t->s, t->n, report_dump, &rep, NULL, &again, &err);
	base_alloc_knob(NULL);
	fclose(rep.out);
	if (st != first && !(st == ST_NOMEM && knob.fail_at))
		fuzz_fail("read twice, status %d and %d", (int)first, (int)st);
	if (st == ST_OK && again != rep.of)
		fuzz_fail("%u dumps counted, %u judged", rep.of, again);
	if (st == ST_OK && rep.pass + rep.fail + rep.unknown == 0)
		fuzz_fail("no row was judged");
	if (st == ST_OK)
		hold_report(s, n, rep.json);
	free(s);
	fuzz_count(st == ST_OK ? "judged" : st == ST_NOMEM ? "out of memory" : "refused");
}

static void one(struct rng *r)
{
	struct text *t = malloc(sizeof(*t));
	struct first *f = calloc(1, sizeof(*f));
	struct judge_words words;
	struct judge_caps caps;
	struct err err = {""};
	unsigned count;

	if (!t || !f)
		fuzz_fail("out of memory");
	t->n = 0;
	fuzz_count(add_dump(r, t));
	for (u64 n = rng_below(r, 4); n > 1; n--)
		add_dump(r, t);
	if (!rng_one_in(r, 10))
		spoil(r, t);
	judge_all(r, t);
	if (dumps_read("name", (const u8 *)t->s, t->n, keep, f, NULL, &count, &err) == ST_OK && f->there)
		hold_same(f);
	if (words_read((const u8 *)t->s, t->n, &words) && rng_one_in(r, 8) && caps_of_words("name", &words, &caps, &err) != ST_OK)
		hold_error(&err);
	free(t);
	free(f);
}

int main(int argc, char **argv)
{
	struct err err;

	if (caps_of_spec("intel", &intel, &err) != ST_OK || caps_of_spec("amd", &amd, &err) != ST_OK)
		return 2;
	return fuzz_main(argc, argv, "fuzz-check", one);
}
