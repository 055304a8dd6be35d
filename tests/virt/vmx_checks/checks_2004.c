/*
 * The rows of the VM-entry checks on the model vanderpool against the text of 2004: random states, and every bit of every
 * field of states that pass. Argument: number of random states. Rules of later texts are silent there, or repeat that
 * something is reserved. There is no VMX operation in SMM.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../proved.h"
#include "../../unit/bare.h"
#include "checks_test.h"

bool evaluate_2004(const struct state *s, struct verdict *verdict);
bool evaluator_knows(unsigned id);

static unsigned passed, failed;

static void check(bool ok, const char *what)
{
	passed += ok;
	failed += !ok;
	if (!ok)
		printf("FAILED: %s\n", what);
}

static u64 random_next(u64 *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void judge(const struct table *t, const struct state *s, struct verdict *v)
{
	struct vmx_image g = image_of(s);

	memset(v, 0, sizeof(*v));
	for (size_t n = 0; n < t->count; n++) {
		if (!vmx_check_fails(t->row[n], &g))
			continue;
		v->ids[t->id[n] / 64] |= BIT(t->id[n] % 64);
		if (!v->outcome)
			v->outcome = t->row[n]->outcome;
	}
}

/* The same outcome, and the same rules where the controls are ones that this processor has; a rule of a later text fails
 * nowhere alone. */
static bool agree(const struct table *t, const struct state *s, struct verdict *rows)
{
	struct verdict text;
	bool controls_ok = evaluate_2004(s, &text), same = true, none = !text.outcome;

	judge(t, s, rows);
	for (unsigned n = 0; n < expected_count; n++) {
		bool by_rows = rows->ids[n / 64] >> (n % 64) & 1, by_text = text.ids[n / 64] >> (n % 64) & 1;

		if (by_rows == by_text)
			continue;
		if (evaluator_knows(n) ? controls_ok : none) {
			printf("%s by %s only; ", expected[n].id, by_rows ? "rows" : "text");
			same = false;
		}
	}
	if (rows->outcome != text.outcome)
		printf("rows: outcome %u; text: outcome %u", rows->outcome, text.outcome);
	if (!same || rows->outcome != text.outcome)
		printf("\n");
	return same && rows->outcome == text.outcome;
}

static unsigned every_bit(const struct table *t, struct state *s)
{
	unsigned different = 0;
	struct verdict v;

	for (unsigned f = 0; f < vmcs_field_count; f++)
		for (unsigned n = 0; n < field_bits(vmcs_fields[f].encoding); n++) {
			*field_of(s, vmcs_fields[f].encoding) ^= BIT(n);
			different += !agree(t, s, &v);
			*field_of(s, vmcs_fields[f].encoding) ^= BIT(n);
		}
	for (unsigned f = VMX_IN; f < VMX_IN_END; f++)
		for (unsigned n = 0; n < 64 && f != VMX_IN_SMM; n++) {
			*field_of(s, f) ^= BIT(n);
			different += !agree(t, s, &v);
			*field_of(s, f) ^= BIT(n);
		}
	return different;
}

static void mutate(struct state *s, u64 *seed)
{
	u64 r = random_next(seed), values[CANDIDATES];
	unsigned field = r % 16 == 0 ? VMX_IN + (unsigned)(r >> 8) % (VMX_IN_END - VMX_IN) :
	                               vmcs_fields[(r >> 8) % vmcs_field_count].encoding;
	u64 *f = field_of(s, field);

	r = random_next(seed);
	if (r % 8 == 0)
		*f = fit(field, random_next(seed));
	else if (r % 8 == 1)
		*f = fit(field, s->f[(r >> 8) % VMCS_SLOTS]);
	else
		*f = fit(field, values[(r >> 8) % candidates(s, field, values)]);
	*field_of(s, VMX_IN_SMM) = 0;
}

int main(int argc, char **argv)
{
	static struct table t;
	static struct state valid[TEMPLATES];
	static u64 fired[MAX_IDS];
	struct pc p;
	struct verdict v;
	u64 cases = argc > 1 ? strtoull(argv[1], NULL, 0) : 100000, seed = 0x9e3779b97f4a7c15, disagreements = 0;
	unsigned count = 0, never = 0;

	fill_table(&t);
	if (!bare_init(&p, "vanderpool"))
		return 1;
	for (unsigned n = 0; n < TEMPLATES; n++) {
		template_state(n, vmx_caps(p.c), &valid[count]);
		if (*field_of(&valid[count], VMX_IN_SMM))
			continue;
		judge(&t, &valid[count], &v);
		check(agree(&t, &valid[count], &v), "rows and text agree on a template");
		count += !v.outcome; /* without its controls another does not stand */
	}
	check(count > 3, "templates that pass");
	for (unsigned n = 0; n < count; n++)
		check(!every_bit(&t, &valid[n]), "rows and text agree on every bit of a template");
	for (u64 k = 0; k < cases; k++) {
		struct state s = valid[random_next(&seed) % count];

		for (u64 n = random_next(&seed) % 5; n; n--)
			mutate(&s, &seed);
		disagreements += !agree(&t, &s, &v);
		for (unsigned n = 0; n < expected_count; n++)
			fired[n] += v.ids[n / 64] >> (n % 64) & 1;
	}
	check(!disagreements, "rows and text agree on every random state");
	for (unsigned n = 0; n < expected_count; n++)
		if (evaluator_knows(n) && !fired[n]) {
			never++;
			printf("%s never failed\n", expected[n].id);
		}
	check(!never, "every rule of 2004 failed in some random state");
	bare_fini(&p);
	proved_report(passed + failed, cases);
	printf("checks_2004: %u templates, %u passed, %u failed\n", count, passed, failed);
	return failed != 0;
}
