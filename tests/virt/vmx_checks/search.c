/* The rows as a list, states that differ from a valid one by one field, and the search for those in which one row
 * fails. */
#include <stdio.h>
#include <stdlib.h>

#include "checks_test.h"

/* clang-format off */
const struct expectation expected[] = {
#include "outcomes.h"
};
/* clang-format on */
const unsigned expected_count = ARRAY_LEN(expected);

unsigned id_number(const char *id)
{
	for (unsigned n = 0; n < expected_count; n++)
		if (!strcmp(expected[n].id, id))
			return n;
	printf("no expectation for %s\n", id);
	exit(1);
}

void fill_table(struct table *t)
{
	t->count = vmx_check_count();
	for (size_t n = 0; n < t->count; n++) {
		t->row[n] = vmx_check_at(n);
		t->id[n] = (u16)id_number(t->row[n]->id);
	}
}

struct vmx_image image_of(const struct state *s)
{
	struct vmx_image g = {.f = s->f, .caps = &s->caps};

	memcpy(g.in, s->in, sizeof(g.in));
	return g;
}

bool returns_from_smm(const struct state *s)
{
	return s->in[VMX_IN_SMM - VMX_IN] && !(s->f[vmcs_slot(VMCS_ENTRY_CONTROLS)] & ENTRY_SMM);
}

size_t failing_rows(const struct table *t, const struct state *s, size_t *only)
{
	struct vmx_image g = image_of(s);
	size_t count = 0;

	for (size_t n = 0; n < t->count; n++)
		if (vmx_check_fails(t->row[n], &g)) {
			*only = n;
			count++;
		}
	return count;
}

unsigned field_bits(unsigned field)
{
	static const u8 width[4] = {16, 64, 32, 64};

	return field >= VMX_IN ? 64 : width[field >> 13 & 3];
}

u64 fit(unsigned field, u64 value)
{
	unsigned n = field_bits(field);

	return n == 64 ? value : value & (BIT(n) - 1);
}

/* Every bit turned, small numbers, types and vectors of events, other fields' values. */
unsigned candidates(const struct state *s, unsigned field, u64 out[CANDIDATES])
{
	static const u8 vectors[] = {0, 1, 2, 3, 6, 8, 13, 14, 17, 18, 21, 32, 0x80};
	u64 now = *field_of((struct state *)(uintptr_t)s, field);
	unsigned n = 0;

	for (unsigned b = 0; b < field_bits(field); b++)
		out[n++] = now ^ BIT(b);
	for (u64 v = 0; v < 36; v++)
		out[n++] = v;
	out[n++] = ~0ull;
	out[n++] = 0x11000;
	out[n++] = s->f[vmcs_slot(VMCS_LINK_POINTER)];
	out[n++] = s->f[vmcs_slot(VMCS_EXECUTIVE_VMCS)];
	for (u64 v = 0; v < 16; v++)
		out[n++] = (now & ~15ull) | v;
	for (unsigned kind = 0; kind < 8 && field == VMCS_ENTRY_INTR_INFO; kind++)
		for (unsigned k = 0; k < ARRAY_LEN(vectors); k++)
			for (u64 code = 0; code < 2; code++)
				out[n++] = BIT(31) | kind << 8 | vectors[k] | code << 11;
	return n;
}

bool find_alone(const struct table *t, const struct vmx_caps *caps, size_t row, struct state *bad, struct state *good,
                unsigned *changed)
{
	u64 values[CANDIDATES];
	size_t only = 0;

	for (unsigned k = 0; t->row[row]->field[k] != VMX_FIELDS_END; k++) /* the field it is about is the first */
		for (unsigned tn = 0; tn < TEMPLATES; tn++) {
			unsigned field = t->row[row]->field[k], count;

			template_state(tn, caps, good);
			if (failing_rows(t, good, &only))
				continue; /* without its controls this one does not stand */
			count = candidates(good, field, values);
			for (unsigned n = 0; n < count; n++) {
				struct vmx_image g;

				*bad = *good;
				*field_of(bad, field) = fit(field, values[n]);
				g = image_of(bad);
				if (!vmx_check_fails(t->row[row], &g) || failing_rows(t, bad, &only) != 1)
					continue;
				*changed = field;
				return true;
			}
		}
	return false;
}
