/*
 * turnstile check on VMCSs: a VMCS in which one row of VM entry fails alone is dumped in every format that is read, and the
 * same row is named; a field that is missing makes those rows unknown that turn with it, and no other; and what is judged
 * in spite of a missing field stands whatever that field is.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../judge/writer.h"
#include "checks_test.h"
#include "judge.h"
#include "judge/judge.h"

static unsigned long held, broken, drawn;

static void check(bool ok, const char *what, const char *id)
{
	held += ok;
	broken += !ok;
	if (!ok && broken < 30)
		printf("FAILED: %s: %s\n", what, id);
}

/* ---- the verdicts over a dump ---- */

struct verdicts {
	u8 of[320];
	size_t n;
};

static void note_verdict(void *arg, const struct dump *d, const struct judged *j)
{
	struct verdicts *v = arg;

	(void)d;
	v->of[v->n++] = j->verdict;
}

static struct verdicts judged(const struct dump *d, const struct vmx_caps *caps)
{
	static struct judge_caps k;
	struct verdicts v = {.n = 0};

	k.vmx = *caps;
	k.has_vmx = true;
	check(judge_vmcs(d, &k, note_verdict, &v) == ST_OK, "memory", "judge");
	return v;
}

static struct dump read_dump;

static enum status keep(void *arg, const struct dump *d, struct err *err)
{
	(void)arg, (void)err;
	read_dump = *d;
	return ST_OK;
}

/* Reads a text with one dump, and frees it. */
static bool read_text(char *text)
{
	struct err err;
	unsigned count = 0;
	bool ok = dumps_read("text", (const u8 *)text, strlen(text), keep, NULL, NULL, &count, &err) == ST_OK && count == 1;

	if (!ok)
		printf("%s\n", err.text);
	free(text);
	return ok;
}

/* ---- formats ---- */

static bool fields_are(const struct state *s, unsigned least)
{
	unsigned known = 0;
	bool same = true;

	for (size_t n = 0; n < vmcs_field_count; n++) {
		unsigned key = vmcs_fields[n].encoding;

		if (!dump_has(&read_dump, key))
			continue;
		known++;
		same &= key == VMCS_EXIT_REASON || dump_value(&read_dump, key) == s->f[vmcs_slot(key)];
	}
	return same && known >= least;
}

/* The row is named where all that it reads is there, and nothing else is. */
static bool named(const struct table *t, const struct state *s, size_t row, bool *whole)
{
	struct verdicts v = judged(&read_dump, &s->caps);

	*whole = true;
	for (unsigned k = 0; t->row[row]->field[k] != VMX_FIELDS_END; k++)
		*whole &= t->row[row]->field[k] >= VMX_IN || dump_has(&read_dump, t->row[row]->field[k]);
	for (size_t n = 0; n < t->count; n++)
		if (v.of[n] == JUDGE_FAIL && n != row)
			return false;
	*whole &= v.of[row] == JUDGE_FAIL;
	return v.of[row] != JUDGE_PASS;
}

/* What kernels print has no word of the processor's mode: an IA-32e host outside SMM is theirs. */
static bool of_a_kernel(const struct state *s)
{
	return s->in[VMX_IN_LMA - VMX_IN] && !s->in[VMX_IN_SMM - VMX_IN];
}

static void whole_formats(const struct table *t, const struct state *s, size_t row)
{
	const char *id = t->row[row]->id;
	bool whole;

	if (read_text(write_header_vmcs(s->f, s->in)))
		check(fields_are(s, (unsigned)vmcs_field_count) && named(t, s, row, &whole) && whole, "lines of vmdump.h", id);
	if (of_a_kernel(s) && read_text(write_json_vmcs(s->f)))
		check(fields_are(s, (unsigned)vmcs_field_count) && named(t, s, row, &whole), "JSON", id);
}

static unsigned kernel_formats(const struct table *t, const struct state *s, size_t row)
{
	const struct vmx_check *k = t->row[row];
	const char *id = k->id;
	u64 reason = k->outcome == VMX_EXIT_33 ? 0x80000021 : 12;
	unsigned found = 0;
	bool whole;

	if (!of_a_kernel(s))
		return 0;
	for (unsigned form = 0; form < 3; form++) {
		char *text = form == 2 ? write_xen_vmcs(s->f, reason) : write_linux_vmcs(s->f, form, reason);

		if (!read_text(text))
			continue;
		check(fields_are(s, 95) && named(t, s, row, &whole), form == 2 ? "Xen" : form ? "Linux before 5.13" : "Linux", id);
		check(!strcmp(read_dump.source, form == 2 ? "Xen" : "Linux"), "source", id);
		found |= whole ? 1u << form : 0;
	}
	return found;
}

/* A row that others imply: it is named with them. */
static bool find_failing(const struct table *t, size_t row, struct state *bad)
{
	u64 values[CANDIDATES];

	for (unsigned tn = 0; tn < TEMPLATES; tn++)
		for (unsigned k = 0; t->row[row]->field[k] != VMX_FIELDS_END; k++) {
			unsigned field = t->row[row]->field[k], count;

			template_state(tn, NULL, bad);
			count = candidates(bad, field, values);
			for (unsigned n = 0; n < count; n++) {
				struct vmx_image g;

				*field_of(bad, field) = fit(field, values[n]);
				g = image_of(bad);
				if (vmx_check_fails(t->row[row], &g))
					return true;
			}
		}
	return false;
}

static void together(const struct table *t, const struct state *s, size_t row)
{
	struct vmx_image g = image_of(s);

	if (!read_text(write_header_vmcs(s->f, s->in)))
		return;
	struct verdicts v = judged(&read_dump, &s->caps);

	for (size_t n = 0; n < t->count; n++)
		check((v.of[n] == JUDGE_FAIL) == vmx_check_fails(t->row[n], &g), "lines of vmdump.h", t->row[row]->id);
	check(v.of[row] == JUDGE_FAIL, "lines of vmdump.h", t->row[row]->id);
}

static void round_trips(const struct table *t)
{
	unsigned by_form[3] = {0}, all = 0;

	for (size_t row = 0; row < t->count; row++) {
		struct state bad, good;
		unsigned changed, found;

		if (!find_alone(t, NULL, row, &bad, &good, &changed)) {
			check(t->row[row]->implied_by != NULL && find_failing(t, row, &bad), "no state in which it fails", t->row[row]->id);
			together(t, &bad, row);
			continue;
		}
		all++;
		whole_formats(t, &bad, row);
		found = kernel_formats(t, &bad, row);
		for (unsigned n = 0; n < 3; n++)
			by_form[n] += found >> n & 1;
	}
	printf("%u rows; named by Linux's dump %u, before 5.13 %u, Xen's %u\n", all, by_form[0], by_form[1], by_form[2]);
	check(by_form[0] >= 150 && by_form[1] >= 150 && by_form[2] >= 150, "kernel formats", "most rows are named");
}

/* ---- what is missing ---- */

static struct dump full;

static void fill(const struct state *s)
{
	dump_begin(&full, DUMP_VMCS, "test", 1);
	for (size_t n = 0; n < vmcs_field_count; n++)
		dump_put(&full, vmcs_fields[n].encoding, 0, s->f[vmcs_slot(vmcs_fields[n].encoding)], 2);
	full.f[vmcs_slot(VMCS_EXIT_REASON)] = 12;
	full.f[vmcs_slot(VMCS_INSN_ERROR)] = 0;
	for (unsigned n = VMX_IN; n < VMX_IN_END; n++)
		dump_put(&full, n, 0, s->in[n - VMX_IN], 2);
}

static void hide(struct dump *d, unsigned key)
{
	if (key >= VMX_IN)
		d->in_known[key - VMX_IN] = DUMP_MISSING;
	else
		d->f_known[vmcs_slot(key)] = DUMP_MISSING;
}

static bool reads(const struct vmx_check *k, unsigned key)
{
	for (unsigned n = 0; k->field[n] != VMX_FIELDS_END; n++)
		if (k->field[n] == key)
			return true;
	return false;
}

/* Does the row turn, whatever value this field has? */
static bool turns(const struct vmx_check *k, const struct state *s, unsigned key)
{
	struct state other = *s;
	struct vmx_image g = image_of(&other);
	u64 values[CANDIDATES + 2], seed = 88172645463325252ull;
	unsigned count = candidates(s, key, values + 2) + 2;
	bool now = vmx_check_fails(k, &g), fails = now, passes = !now;

	values[0] = s->in[VMX_IN_CURRENT - VMX_IN];
	values[1] = s->in[VMX_IN_VMXON - VMX_IN];
	for (unsigned n = 0; n < count + 64; n++) {
		*field_of(&other, key) = fit(key, n < count ? values[n] : random_next(&seed));
		g = image_of(&other);
		now = vmx_check_fails(k, &g);
		fails |= now;
		passes |= !now;
	}
	return fails && passes;
}

/* Words whose absence follows from the rest, or that tell of others. */
static bool concludes(unsigned key)
{
	return key == VMCS_HOST_RIP || key == VMCS_EXIT_REASON || key == VMCS_INSN_ERROR || key == VMX_IN_SMM || key == VMX_IN_LMA ||
	       (key >= VMX_IN_PDPTE0 && key <= VMX_IN_PDPTE3);
}

static void each_missing(const struct table *t, const struct state *s)
{
	struct verdicts before, after;

	fill(s);
	before = judged(&full, &s->caps);
	for (size_t n = 0; n < vmcs_field_count + VMX_IN_END - VMX_IN; n++) {
		unsigned key = n < vmcs_field_count ? vmcs_fields[n].encoding : VMX_IN + (unsigned)(n - vmcs_field_count);
		static struct dump d;

		if (concludes(key))
			continue;
		d = full;
		hide(&d, key);
		after = judged(&d, &s->caps);
		for (size_t r = 0; r < t->count; r++) {
			const struct vmx_check *k = t->row[r];
			bool turn = reads(k, key) && turns(k, s, key);

			/* nothing decides a row without its only field, though it be one that always passes here */
			bool alone = reads(k, key) && k->field[1] == VMX_FIELDS_END;

			if (!turn && !alone && !(reads(k, key) && (key == VMCS_ENTRY_INTR_INFO || before.of[r] == JUDGE_FAIL)))
				check(after.of[r] == before.of[r], "a field that it does not turn with is missing", k->id);
			if (turn)
				check(after.of[r] == JUDGE_UNKNOWN, "a field that it turns with is missing", k->id);
			drawn += reads(k, key);
		}
	}
}

/* Several are missing: what passes must pass with any values. */
static void some_missing(const struct table *t, const struct state *s, u64 *seed)
{
	static struct dump d;
	struct verdicts v;
	unsigned key[12], count = 2 + (unsigned)(random_next(seed) % 10);

	fill(s);
	d = full;
	for (unsigned n = 0; n < count; n++) {
		const struct vmx_check *k = t->row[random_next(seed) % t->count];
		unsigned which = 0;

		while (k->field[which] != VMX_FIELDS_END)
			which++;
		key[n] = k->field[random_next(seed) % which];
		if (concludes(key[n]))
			key[n] = VMCS_TSC_OFFSET;
		hide(&d, key[n]);
	}
	v = judged(&d, &s->caps);
	for (unsigned draw = 0; draw < 40; draw++) {
		struct state other = *s;
		struct vmx_image g;
		u64 values[CANDIDATES];

		for (unsigned n = 0; n < count; n++) {
			unsigned of = candidates(s, key[n], values);
			u64 r = random_next(seed);

			*field_of(&other, key[n]) = fit(key[n], r & 1 ? r : values[(r >> 8) % of]);
		}
		g = image_of(&other);
		for (size_t r = 0; r < t->count; r++)
			if (v.of[r] != JUDGE_UNKNOWN)
				check(vmx_check_fails(t->row[r], &g) == (v.of[r] == JUDGE_FAIL), "judged, but it turns", t->row[r]->id);
		drawn++;
	}
}

/* ---- what a dump's own words tell ---- */

static void outcomes_tell(const struct table *t)
{
	static struct dump d;
	struct state s;
	struct judge_caps k = {.has_vmx = true, .assumed = true};
	struct verdicts v = {.n = 0};

	template_state(0, NULL, &s);
	s.f[vmcs_slot(VMCS_VPID)] = 0; /* its own processor took it, says the exit reason */
	s.f[vmcs_slot(VMCS_PROC2_CONTROLS)] |= PROC2_VPID;
	fill(&s);
	d = full;
	for (unsigned n = VMX_IN; n < VMX_IN_END; n++)
		hide(&d, n);
	hide(&d, VMCS_IO_BITMAP_A);
	d.f[vmcs_slot(VMCS_EXIT_REASON)] = 0x80000021;
	k.vmx = s.caps;
	check(judge_vmcs(&d, &k, note_verdict, &v) == ST_OK, "memory", "judge");
	for (size_t n = 0; n < t->count; n++) {
		if (t->row[n]->outcome < VMX_EXIT_33)
			check(v.of[n] == (strcmp(t->row[n]->id, "vmx.control.vpid-zero") ? JUDGE_PASS : JUDGE_UNKNOWN),
			      "behind exit reason 0x80000021, capabilities assumed", t->row[n]->id);
	}
	v.n = 0;
	k.assumed = false;
	check(judge_vmcs(&d, &k, note_verdict, &v) == ST_OK, "memory", "judge");
	for (size_t n = 0; n < t->count; n++)
		if (!strcmp(t->row[n]->id, "vmx.control.vpid-zero"))
			check(v.of[n] == JUDGE_FAIL, "with the person's own capabilities it fails", t->row[n]->id);
	for (u64 error = 4; error <= 26; error += error == 5 ? 21 : 1) { /* 4, 5, 26: the basic checks by their numbers */
		d.f[vmcs_slot(VMCS_EXIT_REASON)] = 12;
		d.f[vmcs_slot(VMCS_INSN_ERROR)] = error;
		v.n = 0;
		check(judge_vmcs(&d, &k, note_verdict, &v) == ST_OK, "memory", "judge");
		for (size_t n = 0; n < t->count; n++)
			if (t->row[n]->group == VMX_GROUP_BASIC && t->row[n]->outcome == error)
				check(v.of[n] == JUDGE_FAIL, "the VM-instruction error names it", t->row[n]->id);
	}
}

int main(int argc, char **argv)
{
	unsigned long trials = argc > 1 ? strtoul(argv[1], NULL, 0) : 400;
	u64 seed = 88172645463325252ull;
	struct table t;
	struct state s;

	fill_table(&t);
	round_trips(&t);
	for (unsigned n = 0; n < TEMPLATES; n++) {
		template_state(n, NULL, &s);
		each_missing(&t, &s);
	}
	for (unsigned long n = 0; n < trials; n++) {
		template_state((unsigned)(n % TEMPLATES), NULL, &s);
		some_missing(&t, &s, &seed);
	}
	outcomes_tell(&t);
	printf("checks: %lu\nrandom cases: %lu\n", held, drawn);
	printf("%lu held, %lu failed\n", held, broken);
	return broken != 0;
}
