/*
 * turnstile check on VMCBs: a VMCB in which one check of VMRUN fails is dumped in every format that is read, and the same
 * rows are named; a field that is missing makes those rows unknown that turn with it, and no other.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../judge/writer.h"
#include "bases.h"
#include "judge/judge.h"

static unsigned long held, broken, drawn;

static void check(bool ok, const char *what, const char *id)
{
	held += ok;
	broken += !ok;
	if (!ok && broken < 30)
		printf("FAILED: %s: %s\n", what, id);
}

static struct dump read_dump;

static enum status keep(void *arg, const struct dump *d, struct err *err)
{
	(void)arg, (void)err;
	read_dump = *d;
	return ST_OK;
}

static bool read_bytes(const u8 *data, size_t n)
{
	struct err err;
	unsigned count = 0;
	bool ok = dumps_read("text", data, n, keep, NULL, NULL, &count, &err) == ST_OK && count == 1;

	if (!ok)
		printf("%s\n", err.text);
	return ok;
}

static bool read_text(char *text)
{
	bool ok = read_bytes((const u8 *)text, strlen(text));

	free(text);
	return ok;
}

struct verdicts {
	u8 of[MAX_IDS];
	size_t n;
};

static void note_verdict(void *arg, const struct dump *d, const struct judged *j)
{
	struct verdicts *v = arg;

	(void)d;
	v->of[v->n++] = j->verdict;
}

static struct verdicts judged(const struct dump *d, const struct svm_image *of)
{
	struct judge_caps k = {.has_svm = true, .env = of->env};
	struct verdicts v = {.n = 0};

	check(judge_vmcb(d, &k, note_verdict, &v) == ST_OK, "memory", "judge");
	return v;
}

static bool reads(const struct svm_check *k, unsigned key)
{
	for (unsigned n = 0; n < SVM_CHECK_FIELDS && k->field[n] != 0xffff; n++)
		if (k->field[n] == key)
			return true;
	return false;
}

static bool fields_are(const u8 *page, unsigned least)
{
	unsigned known = 0;
	bool same = true;

	for (size_t n = 0; n < vmcb_field_count; n++) {
		const struct vmcb_field *f = &vmcb_fields[n];
		u64 value = 0;

		if (!dump_has(&read_dump, f->offset))
			continue;
		known++;
		memcpy(&value, page + f->offset, f->width);
		same &= dump_value(&read_dump, f->offset) == value;
	}
	return same && known >= least;
}

/* Of the rows that can be judged from what there is, exactly those fail that the processor would find. */
static void named(const u8 *page, const struct svm_image *v, unsigned least, bool host, const char *what, const char *id)
{
	struct verdicts got = judged(&read_dump, v);
	unsigned unknown = 0;

	check(fields_are(page, least), what, "its fields");
	for (size_t n = 0; n < svm_check_count; n++) {
		bool fails = svm_checks[n].bad(v), memory = !strcmp(svm_checks[n].id, "svm.guest.pdpte.reserved");
		bool beside = memory || (!host && !strcmp(svm_checks[n].id, "svm.nested.host-paging"));

		unknown += got.of[n] == JUDGE_UNKNOWN;
		if (got.of[n] == JUDGE_UNKNOWN && beside)
			continue;
		check(got.of[n] == (fails ? JUDGE_FAIL : JUDGE_PASS), what, svm_checks[n].id);
	}
	check(unknown <= 2, what, id ? id : "legal");
}

static void round_trip(const struct base *b)
{
	const char *id = b->id;
	u8 page[4096];
	struct facts f;

	build(b, page, &f);
	page[0x4cb] = 3;
	page[0x5c] = 1;

	struct svm_image v = image_of(page, &f);
	bool paged = v.env.host_cr0 & CR0_PG;

	if (read_text(write_header_vmcb(page, v.env.host_cr0)))
		named(page, &v, (unsigned)vmcb_field_count, true, "lines of vmdump.h", id);
	if (read_bytes(page, sizeof(page)))
		named(page, &v, (unsigned)vmcb_field_count, false, "raw", id);
	if (read_text(write_json_vmcb(page)))
		named(page, &v, (unsigned)vmcb_field_count, false, "JSON", id);
	if (!paged)
		return; /* no kernel is so */
	if (read_text(write_linux_vmcb(page, false)))
		named(page, &v, 80, true, "Linux", id);
	if (read_text(write_linux_vmcb(page, true)))
		named(page, &v, 80, true, "Linux before 5.13", id);
	if (read_text(write_xen_vmcb(page))) {
		struct verdicts got = judged(&read_dump, &v);

		check(fields_are(page, 70), "Xen", "its fields");
		for (size_t n = 0; n < svm_check_count; n++)
			check(got.of[n] == JUDGE_UNKNOWN || (got.of[n] == JUDGE_FAIL) == svm_checks[n].bad(&v), "Xen", svm_checks[n].id);
	}
}

/* ---- what is missing ---- */

static u64 next_random(u64 *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Does the row turn with this field, on this page? */
static bool turns(const struct svm_check *k, const u8 *page, const struct facts *f, const struct vmcb_field *field)
{
	u64 seed = 88172645463325252ull, value;
	u8 other[4096];
	bool fails = false, passes = false;

	memcpy(other, page, sizeof(other));
	for (unsigned n = 0; n < 256; n++) {
		u64 r = next_random(&seed);

		value = n < 64 ? BIT(n) : n < 128 ? ~BIT(n - 64) : n < 144 ? n - 128 : n < 160 ? 0x80000300u + (n - 144) : r;
		memcpy(other + field->offset, &value, field->width);

		struct svm_image v = image_of(other, f);
		bool bad = k->bad(&v);

		fails |= bad;
		passes |= !bad;
	}
	return fails && passes;
}

static void each_missing(const struct base *b)
{
	static struct dump d;
	u8 page[4096];
	struct facts f;

	build(b, page, &f);

	struct svm_image v = image_of(page, &f);

	if (!read_text(write_header_vmcb(page, v.env.host_cr0)))
		return;
	struct verdicts before = judged(&read_dump, &v), after;

	for (size_t n = 0; n < vmcb_field_count; n++) {
		d = read_dump;
		memset(d.b_known + vmcb_fields[n].offset, DUMP_MISSING, vmcb_fields[n].width);
		after = judged(&d, &v);
		for (size_t r = 0; r < svm_check_count; r++) {
			const struct svm_check *k = &svm_checks[r];
			bool turn = reads(k, vmcb_fields[n].offset) && turns(k, page, &f, &vmcb_fields[n]);

			if (!strcmp(k->id, "svm.guest.pdpte.reserved") || !strcmp(k->id, "svm.nested.host-paging"))
				continue; /* what they read lies elsewhere */
			drawn += reads(k, vmcb_fields[n].offset);
			if (turn)
				check(after.of[r] == JUDGE_UNKNOWN, "a field that it turns with is missing", k->id);
			else if (!reads(k, vmcb_fields[n].offset))
				check(after.of[r] == before.of[r], "a field that it does not read is missing", k->id);
			else
				check(after.of[r] == JUDGE_UNKNOWN || after.of[r] == before.of[r], "a field is missing", k->id);
		}
	}
}

int main(void)
{
	for (size_t n = 0; n < ARRAY_LEN(bases); n++) {
		round_trip(&bases[n]);
		if (bases[n].id || n < 8)
			each_missing(&bases[n]);
	}
	printf("checks: %lu\nrandom cases: %lu\n", held, drawn);
	printf("%lu held, %lu failed\n", held, broken);
	return broken != 0;
}
