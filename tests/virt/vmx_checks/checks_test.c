/*
 * The rows of the VM-entry checks: each fails alone in some state, with the outcome the manual documents, and passes
 * when that is put right; each reads only the fields it names; none can be taken away unnoticed; and on random states
 * they agree with the evaluator. Argument: number of random states.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../proved.h"
#include "judge.h"
#include "model/model.h"

static unsigned passed, failed;

static void check(bool ok, const char *what, const char *which)
{
	passed += ok;
	failed += !ok;
	if (!ok)
		printf("FAILED: %s: %s\n", which, what);
}

/* ---- each row alone ---- */

static bool listed(const char *list, const char *id)
{
	size_t len = strlen(id);

	for (const char *p = list; p && (p = strstr(p, id)) != NULL; p++)
		if (p[len] == 0 || p[len] == ',')
			return true;
	return false;
}

/* A row that never fails alone: wherever it fails one of those that imply it fails too. */
static bool implied(const struct table *t, size_t row, const struct verdict *v)
{
	for (size_t n = 0; n < t->count; n++)
		if (n != row && listed(t->row[row]->implied_by, t->row[n]->id) &&
		    (v->ids[t->id[n] / 64] >> (t->id[n] % 64) & 1))
			return true;
	return false;
}

/* Some valid state becomes one in which it fails by another value of its first field. */
static bool about_first(const struct vmx_check *k)
{
	struct state s;
	u64 values[CANDIDATES];

	for (unsigned tn = 0; tn < TEMPLATES; tn++) {
		template_state(tn, NULL, &s);
		for (unsigned n = candidates(&s, k->field[0], values); n; n--) {
			struct vmx_image g;

			*field_of(&s, k->field[0]) = fit(k->field[0], values[n - 1]);
			g = image_of(&s);
			if (vmx_check_fails(k, &g))
				return true;
		}
	}
	return false;
}

static void prove_alone(const struct table *t, size_t row, unsigned *killed)
{
	const struct vmx_check *k = t->row[row];
	const struct expectation *e = &expected[t->id[row]];
	static struct state bad, good;
	struct verdict v, text, without;
	unsigned changed = 0;
	char which[160];

	snprintf(which, sizeof(which), "%s (field %04x)", k->id, k->field[0]);
	check(k->outcome == e->outcome && k->qualification == e->qualification, "the row's outcome is the manual's",
	      which);
	if (k->implied_by)
		return;
	if (!find_alone(t, NULL, row, &bad, &good, &changed)) {
		check(false, "no state in which it fails alone", which);
		return;
	}
	check(about_first(k), "what is wrong is its first field", which);
	judge_state(t, &bad, t->count, &v);
	evaluate(&bad, &text);
	check(v.outcome == e->outcome && v.qualification == e->qualification && ids_set(&v) == 1,
	      "fails alone as documented", which);
	check(same_verdict(&v, &text), "the evaluator agrees", which);
	*field_of(&bad, changed) = *field_of(&good, changed);
	judge_state(t, &bad, t->count, &v);
	check(!v.outcome, "passes when put right", which);
	find_alone(t, NULL, row, &bad, &good, &changed);
	judge_state(t, &bad, row, &without);
	*killed += without.outcome == 0;
}

static void test_templates(const struct table *t)
{
	struct state s;
	struct verdict v, text;
	char name[32];

	for (unsigned n = 0; n < TEMPLATES; n++) {
		snprintf(name, sizeof(name), "template %u", n);
		template_state(n, NULL, &s);
		judge_state(t, &s, t->count, &v);
		evaluate(&s, &text);
		check(!v.outcome, "passes every row", name);
		if (v.outcome || text.outcome)
			print_difference(&v, &text);
		check(!text.outcome, "passes the evaluator", name);
	}
}

/* ---- what a row reads ---- */

static void poison(struct state *s, const struct vmx_check *k, u64 *seed)
{
	struct state keep = *s;

	for (unsigned n = 0; n < VMCS_SLOTS; n++)
		s->f[n] = random_next(seed);
	for (unsigned n = 0; n < VMX_IN_END - VMX_IN; n++)
		s->in[n] = random_next(seed);
	for (unsigned n = 0; k->field[n] != VMX_FIELDS_END; n++)
		*field_of(s, k->field[n]) = *field_of(&keep, k->field[n]);
}

/* With each bit of what it names turned, a row's answer is the same whatever the rest is. */
static bool reads_only(const struct vmx_check *k, const struct state *s, u64 *seed)
{
	struct vmx_image g = image_of(s);
	bool before = vmx_check_fails(k, &g);
	struct state other = *s;

	poison(&other, k, seed);
	g = image_of(&other);
	return vmx_check_fails(k, &g) == before;
}

static void test_reads(const struct table *t, u64 *seed)
{
	for (size_t row = 0; row < t->count; row++) {
		const struct vmx_check *k = t->row[row];
		bool ok = true;

		for (unsigned n = 0; n < TEMPLATES; n++) {
			struct state s;

			template_state(n, NULL, &s);
			ok = ok && reads_only(k, &s, seed);
			for (unsigned m = 0; k->field[m] != VMX_FIELDS_END; m++)
				for (unsigned bit = 0; bit < field_bits(k->field[m]); bit++) {
					*field_of(&s, k->field[m]) ^= BIT(bit);
					ok = ok && reads_only(k, &s, seed);
					*field_of(&s, k->field[m]) ^= BIT(bit);
				}
		}
		check(ok, "reads only the fields it names", k->id);
	}
}

/* ---- every bit ---- */

/* Rows and evaluator on `s` with each bit of `field` turned alone. */
static unsigned turn_bits(const struct table *t, struct state *s, unsigned field)
{
	unsigned different = 0;

	for (unsigned n = 0; n < field_bits(field); n++) {
		struct verdict rows, text;

		*field_of(s, field) ^= BIT(n);
		judge_state(t, s, t->count, &rows);
		evaluate(s, &text);
		*field_of(s, field) ^= BIT(n);
		if (same_verdict(&rows, &text))
			continue;
		if (different++ < 3) {
			printf("field %04x, bit %u: ", field, n);
			print_difference(&rows, &text);
		}
	}
	return different;
}

/* An injected event is checked only while it is valid: the bits of its three fields around every valid form. */
static unsigned turn_event(const struct table *t, struct state *s, bool activities)
{
	static const u16 fields[] = {VMCS_ENTRY_INTR_INFO, VMCS_ENTRY_ERROR_CODE, VMCS_ENTRY_INSN_LEN};
	struct state keep = *s;
	u64 values[CANDIDATES];
	unsigned different = 0, count = candidates(s, VMCS_ENTRY_INTR_INFO, values);

	for (unsigned n = 0; n < count; n++) {
		if (!(values[n] & BIT(31)))
			continue;
		*s = keep;
		*field_of(s, VMCS_ENTRY_INTR_INFO) = fit(VMCS_ENTRY_INTR_INFO, values[n]);
		for (unsigned f = 0; f < ARRAY_LEN(fields); f++)
			different += turn_bits(t, s, fields[f]);
		for (u64 activity = 0; activity < 4 && activities; activity++) { /* which events an inactive guest takes */
			*field_of(s, VMCS_GUEST_ACTIVITY) = activity;
			different += turn_bits(t, s, VMCS_GUEST_ACTIVITY);
		}
	}
	*s = keep;
	return different;
}

/* Processors that differ where a rule does. */
static void other_caps(struct vmx_caps *p, unsigned n)
{
	switch (n) {
	case 1: p->la_bits = 57; break;
	case 2: p->phys_bits = 52; break;
	case 3: p->basic ^= BIT(56) | BIT(58); break;
	case 4: p->misc ^= BIT(30) | 7ull << 6; break;
	case 5: p->allowed1[VMX_PROC] &= ~BIT(27); break; /* no monitor trap flag: no pending MTF VM exit */
	default: break;
	}
}

/* No random draw may miss one: each template, each field, each bit alone. */
static void test_bits(const struct table *t)
{
	for (unsigned caps = 0; caps < 6; caps++)
		for (unsigned n = 0; n < TEMPLATES; n++) {
			struct state s;
			unsigned different = 0;
			char name[40];

			template_state(n, NULL, &s);
			other_caps(&s.caps, caps);
			for (unsigned f = 0; f < vmcs_field_count; f++)
				different += turn_bits(t, &s, vmcs_fields[f].encoding);
			for (unsigned f = VMX_IN; f < VMX_IN_END; f++)
				different += turn_bits(t, &s, f);
			s.f[vmcs_slot(VMCS_ENTRY_CONTROLS)] ^= ENTRY_LOAD_DEBUG;
			different += turn_bits(t, &s, VMCS_GUEST_DEBUGCTL) + turn_bits(t, &s, VMCS_GUEST_DR7);
			s.f[vmcs_slot(VMCS_ENTRY_CONTROLS)] ^= ENTRY_LOAD_DEBUG;
			if (caps == 0 || caps > 2) /* the width of addresses is nothing to an event */
				different += turn_event(t, &s, caps == 0);
			snprintf(name, sizeof(name), "template %u, processor %u", n, caps);
			check(!different, "rows and evaluator agree on every bit", name);
		}
}

/* ---- random states ---- */

static unsigned random_field(u64 *seed)
{
	u64 r = random_next(seed);

	if (r % 16 == 0)
		return VMX_IN + (unsigned)(r >> 8) % (VMX_IN_END - VMX_IN);
	return vmcs_fields[(r >> 8) % vmcs_field_count].encoding;
}

/* A processor now and then with other widths and capabilities. */
static void mutate_caps(struct state *s, u64 *seed)
{
	u64 r = random_next(seed);

	if (r % 8)
		return;
	switch (r >> 8 & 7) {
	case 0: s->caps.la_bits = 57; break;
	case 1: s->caps.phys_bits = r >> 16 & 1 ? 52 : 36; break;
	case 2: s->caps.basic ^= BIT(56); break;
	case 3: s->caps.basic ^= BIT(58); break;
	case 4: s->caps.misc ^= BIT(30) | BIT(6 + (r >> 16) % 3); break;
	case 5: s->caps.ept_vpid ^= BIT(7) | BIT(23); break;
	case 6: s->caps.sgx = true; break;
	default: s->caps.allowed1[(r >> 16) % VMX_WORDS] &= ~BIT((r >> 24) & 31); break;
	}
}

struct campaign {
	u64 disagreements, refused, wrong_group, unread;
	u64 fired[MAX_IDS], alone[MAX_IDS];
};

/* Whatever fails must be in a group that applies, and of which a changed field is read. */
static void judge_groups(const struct table *t, const struct state *s, u32 written, struct campaign *c)
{
	struct vmx_image g = image_of(s);
	u32 apply = vmx_check_apply(&g);

	for (size_t n = 0; n < t->count; n++)
		if (vmx_check_fails(t->row[n], &g)) {
			c->wrong_group += !(apply >> t->row[n]->group & 1);
			c->unread += !((written | VMX_GROUPS_EACH_ENTRY) >> t->row[n]->group & 1);
		}
}

static void count(struct campaign *c, const struct verdict *v)
{
	unsigned set = ids_set(v);

	c->refused += v->outcome != 0;
	for (unsigned n = 0; n < expected_count && set; n++)
		if (v->ids[n / 64] >> (n % 64) & 1) {
			c->fired[n]++;
			c->alone[n] += set == 1;
		}
}

static void random_states(const struct table *t, const struct vmx_caps *caps, u64 cases, u64 *seed, struct campaign *c)
{
	static struct state valid[TEMPLATES];
	u16 readers[VMCS_SLOTS];

	vmx_check_readers(readers);
	for (unsigned n = 0; n < TEMPLATES; n++)
		template_state(n, caps, &valid[n]);
	for (u64 k = 0; k < cases; k++) {
		struct state s = valid[random_next(seed) % TEMPLATES];
		struct verdict rows, text;
		u32 written = 0;

		for (u64 n = random_next(seed) % 5; n; n--) {
			unsigned field = random_field(seed);

			mutate(&s, field, seed);
			written |= field < VMX_IN ? readers[vmcs_slot(field)] : field == VMX_IN_LMA || field == VMX_IN_SMM ? ~0u : 0;
		}
		if (returns_from_smm(&s)) /* nothing is taken as known, nor across an SMI or a VMCALL */
			written = ~0u;
		mutate_caps(&s, seed);
		judge_state(t, &s, t->count, &rows);
		evaluate(&s, &text);
		count(c, &rows);
		if (!same_verdict(&rows, &text) && c->disagreements++ < 10)
			print_difference(&rows, &text);
		if (!caps && !memcmp(&s.caps, &valid[0].caps, sizeof(s.caps)))
			judge_groups(t, &s, written, c);
		for (size_t n = 0; n < t->count && rows.outcome; n++)
			if (t->row[n]->implied_by && (rows.ids[t->id[n] / 64] >> (t->id[n] % 64) & 1))
				c->disagreements += !implied(t, n, &rows);
	}
}

/* ---- the model's own capabilities ---- */

static struct vmx_caps model_caps(void)
{
	struct feature_set f;
	struct vmx_caps caps;

	model_features(&model_intel, &f);
	vmx_caps_of(&f, &model_intel, &caps);
	return caps;
}

/* Every field of the table whose control exists, and no other. */
static void test_controls(void)
{
	const struct vmx_caps caps = model_caps();

	for (size_t n = 0; n < vmx_control_count; n++) {
		const struct vmx_control *k = &vmx_controls[n];

		if (k->here)
			check(caps.allowed1[k->word] >> k->bit & 1, "advertised", k->name);
		/* a 64-bit processor has 64-bit hosts; all others can be switched off */
		bool switched = k->here && !(k->word == VMX_EXIT && k->bit == 9);
		check((vmx_control_feature(k) != FEAT_NONE) == switched, "has its name", k->name);
	}
	for (size_t n = 0; n < vmcs_field_count; n++) {
		const struct vmcs_field *f = &vmcs_fields[n];
		bool here = f->condition >= VMX_LATER ||
		            (caps.allowed1[f->condition >> 5] >> (f->condition & 31) & 1);

		check(vmx_field_exists(&caps, f->encoding) == here, "exists with its control", f->name);
		check(vmx_field_exists(&caps, f->encoding | 1u) == (here && (f->encoding >> 13 & 3) == 1),
		      "high half of 64 bits only", f->name);
	}
}

static void test_encodings(void)
{
	const struct vmx_caps caps = model_caps();
	bool ok = true;

	for (u32 n = 0; n < 0x10000; n++)
		if (!vmcs_field_at(n) || (n & 0x1000))
			ok = ok && !vmx_field_exists(&caps, n);
	check(ok && !vmx_field_exists(&caps, 0x10000 | VMCS_GUEST_RIP), "no other encoding exists", "fields");
}

/* Every vector of an injected external interrupt is accepted. */
static void test_vectors(const struct table *t)
{
	struct state s;
	struct verdict v;

	template_state(7, NULL, &s);
	for (u64 n = 0; n < 256; n++) {
		*field_of(&s, VMCS_ENTRY_INTR_INFO) = BIT(31) | n;
		judge_state(t, &s, t->count, &v);
		check(!v.outcome, "every vector is accepted", "external interrupt");
	}
	if (!failed)
		proved("vmx04.3.2.2.83");
}

/* Entries of an MSR-load area for which one row alone fails. */
static void test_msr_rows(void)
{
	static const struct {
		const char *id; /* NULL: may be loaded */
		struct vmx_msr_entry e;
	} entries[] = {
	        {NULL, {.index = 0x277, .accepted = true}},
	        {NULL, {.index = 0xc0000102, .accepted = true}},
	        {NULL, {.index = 0x9b, .smm = true, .accepted = true}},
	        {NULL, {.index = 0x7ff, .accepted = true}},
	        {NULL, {.index = 0x900, .accepted = true}},
	        {"vmx.msr-load.length", {.index = 0x277, .accepted = true, .beyond = true}},
	        {"vmx.msr-load.segment-base", {.index = 0xc0000100, .accepted = true}},
	        {"vmx.msr-load.segment-base", {.index = 0xc0000101, .accepted = true}},
	        {"vmx.msr-load.x2apic", {.index = 0x800, .accepted = true}},
	        {"vmx.msr-load.x2apic", {.index = 0x8ff, .accepted = true}},
	        {"vmx.msr-load.smm", {.index = 0x9b, .accepted = true}},
	        {"vmx.msr-load.reserved", {.index = 0x277, .reserved = 1, .accepted = true}},
	        {"vmx.msr-load.efer-mode",
	         {.index = 0xc0000080, .value = 0x100, .efer = 0x500, .first = true, .accepted = true}},
	        {"vmx.msr-load.refused", {.index = 0x277}},
	        /* 2004 reserves and excludes nothing */
	        {NULL, {.index = 0xc0000100, .reserved = 1, .first = true, .accepted = true}},
	        {NULL, {.index = 0xc0000080, .value = 0xd01, .efer = 0x500, .first = true, .accepted = true}},
	        {NULL, {.index = 0xc0000080, .value = 0x100, .efer = 0x500, .accepted = true}},
	};

	for (size_t row = 0; row < vmx_msr_check_count; row++) {
		bool found = false;

		for (size_t n = 0; n < ARRAY_LEN(entries); n++) {
			const struct vmx_msr_check *k = vmx_msr_refused(&entries[n].e);
			bool this_row = entries[n].id && !strcmp(entries[n].id, vmx_msr_checks[row].id);

			check(vmx_msr_checks[row].bad(&entries[n].e) == this_row, "exactly the documented row",
			      vmx_msr_checks[row].id);
			check(!k == !entries[n].id && (!k || !strcmp(k->id, entries[n].id)), "refused by",
			      vmx_msr_checks[row].id);
			found = found || this_row;
		}
		check(found, "fails alone", vmx_msr_checks[row].id);
	}
	if (!failed)
		proved("vmx04.2.6.2.5.now vmx04.2.6.2.19.now");
}

static void test_expectations(const struct table *t)
{
	for (unsigned n = 0; n < expected_count; n++) {
		bool found = false;

		for (size_t row = 0; row < t->count; row++)
			found = found || t->id[row] == n;
		check(found, "has a row", expected[n].id);
	}
}

static void report(const struct table *t, const struct campaign *c, u64 cases, unsigned killed)
{
	unsigned never = 0, mutants = 0;

	for (size_t n = 0; n < t->count; n++) {
		const char *ids = expected[t->id[n]].proves;

		if (!t->row[n]->implied_by) {
			mutants++;
			continue;
		}
		check(c->fired[t->id[n]] != 0, "fires in random states", t->row[n]->id);
		if (!failed && !c->disagreements && ids) /* the others: entry_test.c */
			proved(ids);
	}
	for (unsigned n = 0; n < expected_count; n++)
		if (!c->fired[n]) {
			never++;
			printf("note: %s never fired in random states\n", expected[n].id);
		}
	check(c->disagreements == 0, "rows and evaluator agree on every random state", "random");
	check(c->wrong_group == 0, "what fails is in a group that applies", "random");
	check(c->unread == 0, "what fails is in a group that reads a changed field", "random");
	check(killed == mutants, "every row that is left out is missed", "mutation");
	printf("%zu rows, %u ids; %llu random states, %llu refused, %llu disagreements, %u ids never fired\n", t->count,
	       expected_count, (unsigned long long)cases, (unsigned long long)c->refused,
	       (unsigned long long)c->disagreements, never);
	printf("mutation score: %u of %u rows (%.1f %%), %zu more are implied\n", killed, mutants,
	       100.0 * killed / mutants, t->count - mutants);
}

int main(int argc, char **argv)
{
	static struct table t;
	static struct campaign c;
	u64 cases = argc > 1 ? strtoull(argv[1], NULL, 0) : 100000, seed = 0x9e3779b97f4a7c15;
	unsigned killed = 0;

	fill_table(&t);
	test_expectations(&t);
	test_templates(&t);
	test_controls();
	test_encodings();
	test_vectors(&t);
	test_msr_rows();
	for (size_t row = 0; row < t.count; row++)
		prove_alone(&t, row, &killed);
	test_reads(&t, &seed);
	test_bits(&t);
	random_states(&t, NULL, cases, &seed, &c);
	report(&t, &c, cases, killed);
	proved_report(passed + failed, cases);
	printf("vmx_checks: %u passed, %u failed\n", passed, failed);
	return failed != 0;
}
