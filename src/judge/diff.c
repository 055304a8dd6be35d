/* Two dumps of the same kind side by side: the fields that differ, each with its bits in words. */
#include "judge/judge.h"

#include <inttypes.h>

static size_t key_count(const struct dump *d)
{
	return d->kind == DUMP_VMCS ? vmcs_field_count : vmcb_field_count;
}

static unsigned key_at(const struct dump *d, size_t n)
{
	return d->kind == DUMP_VMCS ? vmcs_fields[n].encoding : vmcb_fields[n].offset;
}

static void decode(const struct dump *d, unsigned key, char *out, size_t size)
{
	struct svm_image v;

	if (d->kind == DUMP_VMCS) {
		vmx_decode_field(out, size, key, dump_value(d, key));
		return;
	}
	memset(&v, 0, sizeof(v));
	v.control = d->page.control;
	v.save = d->page.save;
	v.env.cr4_bits = v.env.efer_bits = ~0ull;
	v.env.phys_bits = 52;
	v.env.asids = ~0u;
	svm_decode_field(out, size, &v, NULL, key);
}

static void one_side(FILE *out, const char *side, const struct dump *d, unsigned key)
{
	char words[160] = "";

	if (!dump_has(d, key)) {
		fprintf(out, "  %-7snot in this dump\n", side);
		return;
	}
	decode(d, key, words, sizeof(words));
	fprintf(out, "  %-7s0x%0*" PRIx64 "%s%s\n", side, (int)dump_width(d, key) * 2, dump_value(d, key), words[0] ? ": " : "", words);
}

static void title(FILE *out, const char *side, const struct diff_side *s)
{
	const struct dump *d = s->dump;

	fprintf(out, "%s %s", side, s->name);
	if (d->line)
		fprintf(out, ":%u", d->line);
	fprintf(out, ": %s dump %u of %u, %s\n", d->kind == DUMP_VMCS ? "VMCS" : "VMCB", d->number, s->of, d->source);
}

enum status diff_print(FILE *out, const struct diff_side *a, const struct diff_side *b, bool *same, struct err *err)
{
	unsigned differ = 0, equal = 0, only_a = 0, only_b = 0;

	if (a->dump->kind != b->dump->kind)
		return err_set(err, ST_ARG, "%s:%u is a %s, %s:%u a %s: they have no field in common", a->name, a->dump->line,
		               a->dump->kind == DUMP_VMCS ? "VMCS" : "VMCB", b->name, b->dump->line,
		               b->dump->kind == DUMP_VMCS ? "VMCS" : "VMCB");
	title(out, "a", a);
	title(out, "b", b);
	for (size_t n = 0; n < key_count(a->dump); n++) {
		unsigned key = key_at(a->dump, n);
		bool in_a = dump_has(a->dump, key), in_b = dump_has(b->dump, key);

		only_a += in_a && !in_b;
		only_b += in_b && !in_a;
		if (!in_a || !in_b)
			continue;
		if (dump_value(a->dump, key) == dump_value(b->dump, key)) {
			equal++;
			continue;
		}
		differ++;
		fprintf(out, "%s\n", dump_name(a->dump, key));
		one_side(out, "a", a->dump, key);
		one_side(out, "b", b->dump, key);
	}
	fprintf(out, "%u fields differ, %u are the same, %u in a alone, %u in b alone\n", differ, equal, only_a, only_b);
	*same = !differ;
	return ST_OK;
}
