/*
 * The rows of VMRUN's consistency checks: each fails alone in some VMCB and passes when that is put right (so none is
 * implied by the others); exactly the bits that the manual makes matter do matter, to the row and to its twin in
 * evaluator.c (so no row and no bit of it can be taken away unnoticed: the mutation score); clean groups skip no
 * failing row; and on random VMCBs the rows agree with the evaluator. Argument: number of random VMCBs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../proved.h"
#include "bases.h"

static unsigned passed, failed;

static void check(bool ok, const char *which, const char *what)
{
	passed += ok;
	failed += !ok;
	if (!ok && failed < 40)
		printf("FAILED: %s: %s\n", which, what);
}

/* clang-format off */
/* Which bits matter to a check, on the processor where most do: offset, width, bits. From the manual's text. */
static const struct { const char *id; u16 offset; u64 bits; } matters[] = { /* what the rule is about first */
	{"svm.control.vmrun-intercept", 0x010, 1}, {"svm.control.smi-intercept", 0x00c, 4},
	{"svm.control.vnmi-nmi-intercept", 0x060, 1 << 26}, {"svm.control.vnmi-nmi-intercept", 0x00c, 2},
	{"svm.control.asid-zero", 0x058, 0xffffffff}, {"svm.control.asid-range", 0x058, 0xffffffc0},
	{"svm.control.iopm-address", 0x040, ~0x1fffull}, {"svm.control.msrpm-address", 0x048, ~0xfffull},
	{"svm.nested.host-paging", 0x090, 1}, {"svm.nested.ncr3-reserved", 0x0b0, 0xffffff0000000000ull},
	{"svm.nested.ncr3-reserved", 0x090, 1}, {"svm.nested.g-pat", 0x668, 0xfefefefefefefefeull},
	{"svm.nested.g-pat", 0x090, 1},
	{"svm.avic.x2avic-alone", 0x060, 0xc0000000}, {"svm.avic.max-index", 0x0f8, 0xf00},
	{"svm.avic.max-index", 0x060, 0xc0000000}, {"svm.avic.max-index", 0x090, 1},
	{"svm.avic.pointer", 0x0e0, 0xfff0000000000ull}, {"svm.avic.pointer", 0x0f8, 0xfff0000000000ull},
	{"svm.avic.pointer", 0x0f0, 0xfff0000000000ull}, {"svm.avic.pointer", 0x060, 0xc0000000},
	{"svm.avic.pointer", 0x090, 1},
	{"svm.guest.efer.svme", 0x4d0, 0x1000}, {"svm.guest.efer.reserved", 0x4d0, ~0x7dffull},
	{"svm.guest.efer.no-long-mode", 0x4d0, 0x500},
	{"svm.guest.cr4.pae-long", 0x548, 0x20}, {"svm.guest.cr4.pae-long", 0x4d0, 0x100},
	{"svm.guest.cr4.pae-long", 0x558, 0x80000000},
	{"svm.guest.cr0.pe-long", 0x558, 0x80000001}, {"svm.guest.cr0.pe-long", 0x4d0, 0x100},
	{"svm.guest.cs.l-and-d", 0x412, 0x600}, {"svm.guest.cs.l-and-d", 0x4d0, 0x100},
	{"svm.guest.cs.l-and-d", 0x558, 0x80000000}, {"svm.guest.cs.l-and-d", 0x548, 0x20},
	{"svm.guest.cr0.nw-cd", 0x558, 0x60000000}, {"svm.guest.cr0.upper", 0x558, 0xffffffff00000000ull},
	{"svm.guest.cr3.reserved", 0x550, 0xffffff0000000000ull}, {"svm.guest.cr4.reserved", 0x548, ~0x7ffull},
	{"svm.guest.dr6.upper", 0x568, 0xffffffff00000000ull}, {"svm.guest.dr7.upper", 0x560, 0xffffffff00000000ull},
	{"svm.inject.type", 0x0a8, 0x80000700}, {"svm.inject.vector", 0x0a8, 0x800007ff},
	{"svm.inject.mode", 0x0a8, 0x800007fe}, {"svm.inject.mode", 0x4d0, 0x100},
	{"svm.inject.mode", 0x558, 0x80000000}, {"svm.inject.mode", 0x412, 0x200},
	/* that the four PDPEs are read at all; with nested paging they are not */
	{"svm.guest.pdpte.reserved", 0x090, 1}, {"svm.guest.pdpte.reserved", 0x4d0, 0x100},
	{"svm.guest.pdpte.reserved", 0x548, 0x20}, {"svm.guest.pdpte.reserved", 0x558, 0x80000000},
};
/* clang-format on */

/* ---- the rows on a page ---- */

static u16 id_of_row[MAX_IDS], id_count;

static u64 judge(const struct svm_image *v)
{
	u64 out = 0;

	for (size_t n = 0; n < svm_check_count; n++)
		out |= (u64)svm_checks[n].bad(v) << id_of_row[n];
	return out;
}

static void pair_ids(void)
{
	while (id_name(id_count))
		id_count++;
	u64 met = 0;

	for (size_t r = 0; r < svm_check_count; r++) {
		unsigned n = 0;

		while (n < id_count && strcmp(id_name(n), svm_checks[r].id) != 0)
			n++;
		if (n == id_count) {
			printf("the evaluator does not know %s\n", svm_checks[r].id);
			exit(1);
		}
		id_of_row[r] = (u16)n; /* rows that say the same of different fields share an id */
		met |= 1ull << n;
	}
	check(met == (1ull << id_count) - 1, "rows", "all that the evaluator knows");
}

/* ---- each alone ---- */

static void test_alone(void)
{
	u64 alone = 0;
	u8 page[4096];
	struct facts f;

	for (unsigned n = 0; n < ARRAY_LEN(bases); n++) {
		char name[80];

		build(&bases[n], page, &f);

		struct svm_image v = image_of(page, &f);
		u64 bad = judge(&v), twin = evaluate(page, &f);
		const struct svm_check *first = svm_check_next(&v, svm_checks, ~0u);

		snprintf(name, sizeof(name), "base %u (%s)", n, bases[n].id ? bases[n].id : "legal");
		check(bad == twin, name, "rows and evaluator agree");
		if (bases[n].proves && bad == twin)
			proved(bases[n].proves);
		if (!bases[n].id) {
			check(!bad && !first, name, "is legal");
			continue;
		}
		check((bad & (bad - 1)) == 0 && first && !strcmp(first->id, bases[n].id), name, "fails alone");
		alone |= bad;
	}
	/* No row is implied by others: each one fails alone somewhere, so no implied_by is claimed. */
	for (unsigned n = 0; n < id_count; n++)
		check(alone >> n & 1, id_name(n), "fails alone somewhere");
}

/* ---- exactly the bits that matter ---- */

#define PAGE_END 0x700u
static u8 seen[MAX_IDS][PAGE_END * 8];

static void flip_every_bit(const struct base *b)
{
	u8 page[4096];
	struct facts f;
	u64 before;

	build(b, page, &f);
	before = evaluate(page, &f);
	for (unsigned bit = 0; bit < PAGE_END * 8; bit++) {
		page[bit / 8] ^= (u8)(1u << bit % 8);

		struct svm_image v = image_of(page, &f);
		u64 bad = judge(&v), twin = evaluate(page, &f);

		if (bad != twin)
			check(false, id_name((unsigned)__builtin_ctzll(bad ^ twin)),
				"differs from the evaluator after a flip");
		for (u64 left = bad ^ before; left; left &= left - 1)
			seen[__builtin_ctzll(left)][bit] = 1;
		page[bit / 8] ^= (u8)(1u << bit % 8);
	}
}

static u64 expected_bits(unsigned id, unsigned offset_of_byte)
{
	u64 out = 0;

	for (unsigned n = 0; n < ARRAY_LEN(matters); n++)
		if (!strcmp(matters[n].id, id_name(id)) && offset_of_byte >= matters[n].offset &&
		    offset_of_byte < matters[n].offset + 8u)
			out |= matters[n].bits >> 8 * (offset_of_byte - matters[n].offset) & 0xff;
	return out;
}

static void test_bits(void)
{
	unsigned mutants = 0, killed = 0;

	for (unsigned n = 0; n < ARRAY_LEN(bases); n++)
		flip_every_bit(&bases[n]);
	for (unsigned id = 0; id < id_count; id++) {
		bool exact = true;

		for (unsigned byte = 0; byte < PAGE_END; byte++)
			for (unsigned k = 0; k < 8; k++) {
				bool want = expected_bits(id, byte) >> k & 1, is = seen[id][byte * 8 + k];

				if (want != is)
					printf("%s: VMCB+0x%03x bit %u %s\n", id_name(id), byte, k,
					       want ? "should matter" : "should not matter");
				exact = exact && want == is;
				/* the bit forced to 0,
					and to 1: a flip that changes the verdict tells both from the row */
				mutants += 2u * want;
				killed += 2u * (want && is);
			}
		check(exact, id_name(id), "exactly the bits of the manual matter");
		mutants += 3; /* never, always, negated: test_alone has VMCBs on both sides */
		killed += 3;
	}
	printf("mutants: %u of %u killed, score %u %%\n", killed, mutants, mutants ? killed * 100 / mutants : 0);
	check(killed == mutants, "mutation score", "100 %");
}

/* The fields of the rows of an id hold this byte. */
static bool names_byte(unsigned id, unsigned byte)
{
	for (size_t r = 0; r < svm_check_count; r++)
		for (unsigned n = 0; n < SVM_CHECK_FIELDS && svm_checks[r].field[n] != 0xffff; n++) {
			const struct vmcb_field *f = vmcb_field_at(svm_checks[r].field[n]);

			if (id_of_row[r] == id && f && byte >= f->offset && byte < f->offset + (unsigned)f->width)
				return true;
		}
	return false;
}

/* Every field the significance test found is listed in a row, so that an explanation shows it, and is in the table. */
static void test_fields(void)
{
	for (unsigned id = 0; id < id_count; id++)
		for (unsigned byte = 0; byte < PAGE_END; byte++)
			if (expected_bits(id, byte) && strcmp(id_name(id), "svm.guest.pdpte.reserved") != 0)
				check(names_byte(id, byte), id_name(id), "names the field it reads");
	for (size_t r = 0; r < svm_check_count; r++) {
		const struct svm_check *k = &svm_checks[r];

		check(k->rule[0] && k->manual[0] && strncmp(k->id, "svm.", 4) == 0, k->id, "has rule and citation");
	}
}

static bool bad_with(const struct base *b, const struct svm_check *k, u64 value)
{
	u8 page[4096];
	struct facts f;

	build(b, page, &f);
	put(page, &(const struct set){k->field[0], (u8)vmcb_field_at(k->field[0])->width, value});

	struct svm_image v = image_of(page, &f);

	return k->bad(&v);
}

/* Some legal VMCB becomes one that fails it by another value of its first field, so the first is what is wrong. */
static bool about_first(const struct svm_check *k)
{
	for (unsigned n = 0; n < ARRAY_LEN(bases); n++) {
		u8 page[4096];
		struct facts f;
		u64 now = 0;

		if (bases[n].id)
			continue;
		build(&bases[n], page, &f);
		memcpy(&now, page + k->field[0], (size_t)vmcb_field_at(k->field[0])->width);
		for (unsigned bit = 0; bit < 64; bit++)
			if (bad_with(&bases[n], k, now ^ 1ull << bit) || bad_with(&bases[n], k, 1ull << bit))
				return true;
		for (unsigned vector = 0; vector < 0x800; vector++) /* of EVENTINJ */
			if (k->field[0] == 0x0a8 && bad_with(&bases[n], k, CTL31(vector)))
				return true;
		if (bad_with(&bases[n], k, 0) || bad_with(&bases[n], k, ~0ull))
			return true;
	}
	return false;
}

/* The manual's sentence is about the first entry of `matters`; rows that share an id are about another one each. */
static bool is_first(size_t row)
{
	unsigned n = 0, twins = 0;

	while (strcmp(matters[n].id, svm_checks[row].id) != 0)
		n++;
	for (size_t r = 0; r < row; r++)
		twins += id_of_row[r] == id_of_row[row];
	return matters[n + twins].offset / 8 == svm_checks[row].field[0] / 8;
}

static void test_first_fields(void)
{
	for (size_t r = 0; r < svm_check_count; r++)
		if (strcmp(svm_checks[r].id, "svm.guest.pdpte.reserved") != 0) /* CR3 leads to what is wrong */
			check(about_first(&svm_checks[r]) && is_first(r), svm_checks[r].id, "what is wrong is its first field");
}

/* ---- random VMCBs ---- */

static u64 next_random(u64 *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void disturb(u8 *page, struct facts *f, u64 *seed)
{
	static const struct set fields[] = {
	        {0x00c, 4, 0}, {0x010, 4, 0}, {0x040, 8, 0}, {0x048, 8, 0}, {0x058, 4, 0}, {0x060, 8, 0}, {0x090, 8, 0},
	        {0x0a8, 8, 0}, {0x0b0, 8, 0}, {0x0e0, 8, 0}, {0x0f0, 8, 0}, {0x0f8, 8, 0}, {0x412, 2, 0}, {0x4d0, 8, 0},
	        {0x548, 8, 0}, {0x550, 8, 0}, {0x558, 8, 0}, {0x560, 8, 0}, {0x568, 8, 0}, {0x668, 8, 0},
	};
	struct set s = fields[next_random(seed) % ARRAY_LEN(fields)];
	u64 r = next_random(seed), old = 0;

	memcpy(&old, page + s.offset, s.width);
	switch (r >> 32 & 7) {
	case 0: s.value = r & 1 ? ~0ull : 0; break;
	case 1: s.value = next_random(seed); break;
	case 2: s.value = 1ull << (r & 63); break;
	case 3: s.value = (1ull << (r & 63)) - (r >> 8 & 0xf) * 0x1000; break;
	case 4: s.value = CTL31(r & 0x7ff); break;
	case 5: f->pdpe[r & 3] = next_random(seed) & (r & 64 ? 0xe19 | mask(39, 12) : ~0ull); return;
	default: s.value = old ^ 1ull << (r & 63); break;
	}
	put(page, &s);
}

static void test_random(unsigned long rounds)
{
	u64 seed = 0x9e3779b97f4a7c15ull, met = 0;
	static struct svm_image good[PROCESSORS];
	bool have[PROCESSORS] = {false};
	unsigned long legal = 0;

	for (unsigned long n = 0; n < rounds; n++) {
		const struct base *b = &bases[next_random(&seed) % ARRAY_LEN(bases)];
		u8 page[4096];
		struct facts f;
		u64 bad, twin;

		build(b, page, &f);
		for (u64 k = next_random(&seed) % 5; k; k--)
			disturb(page, &f, &seed);

		struct svm_image v = image_of(page, &f);

		bad = judge(&v);
		twin = evaluate(page, &f);
		met |= bad;
		if (bad != twin)
			check(false, id_name((unsigned)__builtin_ctzll(bad ^ twin)),
				"differs from the evaluator on a random VMCB");
		if (have[b->processor]) { /* what the comparison with the last good VMCB skips does not fail */
			u32 groups = svm_check_groups(&v, &good[b->processor]);

			for (size_t r = 0; r < svm_check_count; r++)
				if ((bad >> id_of_row[r] & 1) && !(groups >> svm_checks[r].group & 1))
					check(false, svm_checks[r].id, "is skipped by its group though it fails");
		}
		if (!bad) {
			legal++;
			have[b->processor] = true;
			good[b->processor] = v;
		}
	}
	check(met == (1ull << id_count) - 1, "random VMCBs", "reach every check");
	printf("random VMCBs: %lu, of them legal %lu\n", rounds, legal);
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 100000;

	pair_ids();
	test_alone();
	test_bits();
	test_fields();
	test_first_fields();
	test_random(rounds);
	proved_report(passed + failed, rounds);
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
