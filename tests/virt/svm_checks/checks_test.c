/*
 * The rows of VMRUN's consistency checks: each fails alone in some VMCB and passes when that is put right (so none is
 * implied by the others); exactly the bits that the manual makes matter do matter, to the row and to its twin in
 * evaluator.c (so no row and no bit of it can be taken away unnoticed: the mutation score); clean groups skip no
 * failing row; and on random VMCBs the rows agree with the evaluator. Argument: number of random VMCBs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../proved.h"
#include "checks_test.h"
#include "svm/svm.h"

static unsigned passed, failed;

static void check(bool ok, const char *which, const char *what)
{
	passed += ok;
	failed += !ok;
	if (!ok && failed < 40)
		printf("FAILED: %s: %s\n", which, what);
}

/* ---- processors ---- */

enum { TODAY, FIRST, NO_LONG_MODE, NO_NP, WIDE, HOST_UNPAGED, PROCESSORS };

static struct facts facts_of(unsigned processor)
{
	struct facts f = {.phys_bits = 40, .asids = 0x8000, .has_long_mode = 1, .has_np = 1, .has_avic = 1,
		.has_x2avic = 1,
	                  .has_vnmi = 1, .host_paging = 1, .cr4_defined = 0x3717ff, .efer_defined = 0x20fdff};

	switch (processor) {
	case FIRST:
		f.of_2005 = 1;
		f.asids = 64;
		f.cr4_defined = 0x7ff;
		f.efer_defined = 0x7dff;
		f.has_avic = f.has_x2avic = f.has_vnmi = 0;
		break;
	case NO_LONG_MODE: f.has_long_mode = 0; break;
	case NO_NP: f.has_np = 0; break;
	case WIDE:
		f.phys_bits = 52;
		f.has_x2avic = f.has_vnmi = 0;
		break;
	case HOST_UNPAGED: f.host_paging = 0; break;
	default: break;
	}
	return f;
}

/* ---- VMCBs that pass, and VMCBs in which one check fails ---- */

struct set {
	u16 offset;
	u8 width;
	u64 value;
};
struct base {
	const char *id; /* the only check that fails; NULL: none */
	u8 processor;
	struct set set[6]; /* over the template; width 0 ends */
	u64 pdpe;          /* the last of the four at CR3 */
	const char *proves; /* requirements; NULL: none */
};
#define CTL31(x)  (0x80000000ull | (x))
#define LONG32    {0x412, 2, 0x49b}
#define PAE32     {0x4d0, 8, 0x1000}
#define NP_OFF    {0x090, 8, 0}
#define AVIC(x)   {0x060, 8, 0x80000000ull | (x)}
#define EXC(v)    {0x0a8, 8, CTL31(0x300 | (v))}

/* clang-format off */
static const struct base bases[] = {
	/* legal, at the edges of the rules */
	{NULL, TODAY, {{0}}, 0},
	{NULL, FIRST, {{0}}, 0},
	{NULL, NO_LONG_MODE, {PAE32, {0x558, 8, 0x80000011}}, 0},
	{NULL, NO_NP, {{0x090, 8, 1}, {0x0b0, 8, ~0ull}, {0x668, 8, ~0ull}}, 0},
	{NULL, TODAY, {NP_OFF, {0x0b0, 8, ~0ull}, {0x668, 8, ~0ull}}, 0},
	{NULL, WIDE, {{0x550, 8, 0xfffffffffffffull}, {0x0b0, 8, 0xfffffffffffffull}}, 0},
	{NULL, HOST_UNPAGED, {NP_OFF}, 0},
	{NULL, TODAY, {{0x558, 8, 0x80000010}, {0x548, 8, 0}, PAE32}, 0, "svm.2.2.1.120"},  /* paged real mode */
	{NULL, TODAY, {{0x558, 8, 0xe0000011}}, 0},                       /* CD = NW = 1 */
	{NULL, TODAY, {{0x558, 8, 0xc0000011}}, 0},
	{NULL, TODAY, {{0x058, 4, 0x7fff}}, 0},
	{NULL, FIRST, {{0x058, 4, 63}}, 0},
	/* the last I/O map, bits 11:0 ignored */
	{NULL, TODAY, {{0x040, 8, 0xffffffdfffull}}, 0, "svm.2.6.6"},
	{NULL, TODAY, {{0x048, 8, 0xffffffefffull}}, 0},                  /* the last MSR map */
	{NULL, TODAY, {LONG32}, 0},
	{NULL, TODAY, {{0x412, 2, 0x69b}, {0x4d0, 8, 0x1000}}, 0},        /* L and D without LME */
	{NULL, TODAY, {{0x412, 2, 0x69b}, {0x558, 8, 0x11}}, 0},          /* L and D without PG */
	{NULL, TODAY, {{0x548, 8, 0x3717ff}}, 0},
	{NULL, TODAY, {{0x4d0, 8, 0x20fdff}}, 0},
	{NULL, FIRST, {{0x548, 8, 0x7ff}, {0x4d0, 8, 0x7dff}}, 0},
	{NULL, TODAY, {{0x568, 8, 0xffffffff}, {0x560, 8, 0xffffffff}}, 0, "svm.2.2.1.103 svm.2.2.1.104"},
	{NULL, TODAY, {{0x668, 8, 0x0706050401000706ull}}, 0},
	{NULL, TODAY, {{0x668, 8, 0}}, 0}, {NULL, TODAY, {{0x668, 8, 0x0707070707070707ull}}, 0},
	/* nested paging looks later */
	{NULL, TODAY, {PAE32, {0x558, 8, 0x80000011}}, 0x1e7, "svm.2.21.10.5"},
	{NULL, TODAY, {PAE32, {0x558, 8, 0x80000011}, NP_OFF}, 0x1e6},    /* not present */
	{NULL, TODAY, {PAE32, {0x558, 8, 0x80000011}, NP_OFF}, 0xe19},    /* PWT, PCD, available bits */
	{NULL, TODAY, {NP_OFF}, 0x1e7},                                   /* long mode has no PDPEs of this kind */
	{NULL, TODAY, {AVIC(0), {0x0f8, 8, 0xff}, {0x0e0, 8, 0xfff000000000f000ull}}, 0},
	{NULL, TODAY, {AVIC(1 << 30), {0x0f8, 8, 0x1ff}, {0x0f0, 8, ~0ull}}, 0},
	{NULL, TODAY, {AVIC(0), NP_OFF, {0x0f8, 8, ~0ull}, {0x0f0, 8, ~0ull}, {0x0e0, 8, ~0ull}}, 0},
	{NULL, TODAY, {{0x060, 8, 1 << 26}, {0x00c, 4, 6}}, 0},
	{NULL, FIRST, {{0x060, 8, 1 << 26}, {0x00c, 4, 4}}, 0},
	{NULL, WIDE, {{0x060, 8, 1 << 30}}, 0},
	{NULL, TODAY, {{0x00c, 4, 4}}, 0},
	{NULL, TODAY, {{0x0a8, 8, CTL31(0x0ff)}}, 0},                     /* external interrupt */
	{NULL, TODAY, {{0x0a8, 8, CTL31(0x2ff)}}, 0},                     /* NMI: the vector is ignored */
	{NULL, TODAY, {{0x0a8, 8, CTL31(0x480)}}, 0},
	/* bits 30:12 are not looked at */
	{NULL, TODAY, {{0x0a8, 8, CTL31(0x7ffff020)}}, 0, "svm.2.16.24"},
	{NULL, TODAY, {{0x0a8, 8, 0x7ffff7ff}}, 0},                       /* V clear */
	{NULL, TODAY, {EXC(4), LONG32}, 0}, {NULL, TODAY, {EXC(5), LONG32}, 0},
	{NULL, TODAY, {EXC(5), {0x4d0, 8, 0x1000}}, 0}, {NULL, TODAY, {EXC(5), {0x558, 8, 0x11}}, 0},
	{NULL, TODAY, {EXC(0)}, 0}, {NULL, TODAY, {EXC(1)}, 0}, {NULL, TODAY, {EXC(3)}, 0}, {NULL, TODAY, {EXC(6)}, 0},
	{NULL, TODAY, {EXC(7)}, 0}, {NULL, TODAY, {EXC(8)}, 0}, {NULL, TODAY, {EXC(10)}, 0}, {NULL, TODAY, {EXC(11)},
		0},
	{NULL, TODAY, {EXC(12)}, 0}, {NULL, TODAY, {EXC(13)}, 0}, {NULL, TODAY, {EXC(14)}, 0}, {NULL, TODAY,
		{EXC(16)}, 0},
	{NULL, TODAY, {EXC(17)}, 0}, {NULL, TODAY, {EXC(18)}, 0}, {NULL, TODAY, {EXC(19)}, 0}, {NULL, TODAY,
		{EXC(28)}, 0},
	{NULL, TODAY, {EXC(30)}, 0}, {NULL, FIRST, {EXC(30)}, 0},

	{"svm.control.vmrun-intercept", TODAY, {{0x010, 4, 0xfffffffe}}, 0, "svm.2.2.1.112 svm.2.5.20.3"},
	{"svm.control.smi-intercept", FIRST, {{0x00c, 4, 0xfffffffb}}, 0, "svm.2.2.1.113 svm.2.2.1.114"},
	{"svm.control.vnmi-nmi-intercept", TODAY, {{0x060, 8, 1 << 26}, {0x00c, 4, 0xfffffffd}}, 0},
	{"svm.control.asid-zero", TODAY, {{0x058, 4, 0}}, 0, "svm.2.21.1.7"},
	{"svm.control.asid-zero", FIRST, {{0x058, 4, 0}}, 0},
	{"svm.control.asid-range", TODAY, {{0x058, 4, 0x8000}}, 0, "svm.2.21.1.9"},
	{"svm.control.asid-range", TODAY, {{0x058, 4, 0x80000000}}, 0},
	{"svm.control.asid-range", FIRST, {{0x058, 4, 64}}, 0},
	{"svm.control.iopm-address", TODAY, {{0x040, 8, 0xffffffe000ull}}, 0, "svm.2.2.1.118 svm.2.6.5"},
	{"svm.control.iopm-address", TODAY, {{0x040, 8, ~0ull}}, 0},
	{"svm.control.iopm-address", WIDE, {{0x040, 8, 0xffffffffff000ull}}, 0},
	{"svm.control.msrpm-address", TODAY, {{0x048, 8, 0xfffffff000ull}}, 0, "svm.2.2.1.117 svm.2.7.14"},
	{"svm.control.msrpm-address", TODAY, {{0x048, 8, 0xfffffffffffff000ull}}, 0},
	{"svm.nested.host-paging", HOST_UNPAGED, {{0}}, 0, "svm.2.21.3.5"},
	{"svm.nested.ncr3-reserved", TODAY, {{0x0b0, 8, 1ull << 40}}, 0},
	{"svm.nested.g-pat", TODAY, {{0x668, 8, 0x0706050401000702ull}}, 0},
	{"svm.nested.g-pat", TODAY, {{0x668, 8, 0x0300000000000000ull}}, 0},
	{"svm.avic.x2avic-alone", TODAY, {{0x060, 8, 1 << 30}}, 0},
	{"svm.avic.max-index", TODAY, {AVIC(0), {0x0f8, 8, 0x100}}, 0},
	{"svm.avic.max-index", TODAY, {AVIC(1 << 30), {0x0f8, 8, 0x200}}, 0},
	{"svm.avic.pointer", TODAY, {AVIC(0), {0x0e0, 8, 1ull << 40}}, 0},
	{"svm.avic.pointer", TODAY, {AVIC(0), {0x0f8, 8, 1ull << 51}}, 0},
	{"svm.avic.pointer", TODAY, {AVIC(0), {0x0f0, 8, 1ull << 45}}, 0},
	{"svm.guest.efer.svme", TODAY, {{0x4d0, 8, 0x500}}, 0, "svm.2.2.1.97"},
	{"svm.guest.efer.reserved", TODAY, {{0x4d0, 8, 0x1500 | 1 << 16}}, 0},
	{"svm.guest.efer.reserved", FIRST, {{0x4d0, 8, 0x1500 | 1 << 15}}, 0, "svm.2.2.1.105"},
	{"svm.guest.efer.no-long-mode", NO_LONG_MODE, {{0x558, 8, 0x11}, {0x4d0, 8, 0x1100}}, 0, "svm.2.2.1.107"},
	{"svm.guest.efer.no-long-mode", NO_LONG_MODE, {{0x558, 8, 0x11}, {0x4d0, 8, 0x1400}}, 0, "svm.2.2.1.108"},
	{"svm.guest.cr4.pae-long", TODAY, {{0x548, 8, 0}}, 0, "svm.2.2.1.109"},
	{"svm.guest.cr0.pe-long", TODAY, {{0x558, 8, 0x80000010}}, 0, "svm.2.2.1.110"},
	{"svm.guest.cs.l-and-d", TODAY, {{0x412, 2, 0x69b}}, 0, "svm.2.2.1.111"},
	{"svm.guest.cr0.nw-cd", TODAY, {{0x558, 8, 0xa0000011}}, 0, "svm.2.2.1.98"},
	{"svm.guest.cr0.upper", TODAY, {{0x558, 8, 0x180000011ull}}, 0, "svm.2.2.1.99"},
	{"svm.guest.cr3.reserved", TODAY, {{0x550, 8, 0x10000040000ull}}, 0, "svm.2.2.1.100"},
	{"svm.guest.cr3.reserved", WIDE, {{0x550, 8, 1ull << 52}}, 0},
	{"svm.guest.cr4.reserved", TODAY, {{0x548, 8, 0x2020}}, 0},
	{"svm.guest.cr4.reserved", FIRST, {{0x548, 8, 0x820}}, 0, "svm.2.2.1.101"},
	{"svm.guest.pdpte.reserved", TODAY, {PAE32, {0x558, 8, 0x80000011}, NP_OFF}, 0x3, "svm.2.2.1.59"},
	{"svm.guest.pdpte.reserved", TODAY, {PAE32, {0x558, 8, 0x80000011}, NP_OFF}, 0x21},
	{"svm.guest.pdpte.reserved", TODAY, {PAE32, {0x558, 8, 0x80000011}, NP_OFF}, 1 | 1ull << 40},
	{"svm.guest.pdpte.reserved", NO_NP, {PAE32, {0x558, 8, 0x80000011}}, 0x101},
	{"svm.guest.dr6.upper", TODAY, {{0x568, 8, 1ull << 32}}, 0},
	{"svm.guest.dr7.upper", TODAY, {{0x560, 8, 1ull << 63}}, 0},
	{"svm.inject.type", TODAY, {{0x0a8, 8, CTL31(0x100)}}, 0, "svm.2.16.17 svm.2.2.1.119"},
	{"svm.inject.type", TODAY, {{0x0a8, 8, CTL31(0x500)}}, 0}, {"svm.inject.type", TODAY, {{0x0a8, 8,
		CTL31(0x600)}}, 0},
	{"svm.inject.type", TODAY, {{0x0a8, 8, CTL31(0x700)}}, 0},
	{"svm.inject.vector", TODAY, {EXC(2)}, 0, "svm.2.16.19"},
	{"svm.inject.vector", TODAY, {EXC(9)}, 0}, {"svm.inject.vector", TODAY, {EXC(15)}, 0, "svm.2.16.30"},
	{"svm.inject.vector", TODAY, {EXC(31)}, 0}, {"svm.inject.vector", TODAY, {EXC(20)}, 0, "svm.2.16.18"},
	{"svm.inject.vector", TODAY, {EXC(32)}, 0}, {"svm.inject.vector", TODAY, {EXC(0x8e)}, 0, "svm.2.16.20"},
	{"svm.inject.vector", FIRST, {EXC(28)}, 0},
	{"svm.inject.mode", TODAY, {EXC(5)}, 0}, {"svm.inject.mode", TODAY, {EXC(4)}, 0, "svm.2.16.8"},
};

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

static const struct set template[] = {
        {0x00c, 4, 6},        {0x010, 4, 1},      {0x040, 8, 0x10000},  {0x048, 8, 0x20000}, {0x058, 4, 1},
        {0x090, 8, 1},        {0x0b0, 8, 0x3000}, {0x412, 2, 0x29b},    {0x4d0, 8, 0x1500},  {0x548, 8, 0x20},
        {0x550, 8, 0x40000},  {0x558, 8, 0x80000011ull}, {0x560, 8, 0x400},    {0x568, 8, 0xffff0ff0ull},
        {0x570, 8, 2},        {0x668, 8, 0x0007040600070406ull},
};

static void put(u8 *page, const struct set *s)
{
	memcpy(page + s->offset, &s->value, s->width);
}

static void build(const struct base *b, u8 *page, struct facts *f)
{
	memset(page, 0, 4096);
	*f = facts_of(b->processor);
	f->pdpe[3] = b->pdpe;
	for (unsigned n = 0; n < ARRAY_LEN(template); n++)
		put(page, &template[n]);
	if (b->processor == NO_LONG_MODE)
		put(page, &(const struct set){0x4d0, 8, 0x1000});
	for (unsigned n = 0; n < ARRAY_LEN(b->set) && b->set[n].width; n++)
		put(page, &b->set[n]);
}

/* ---- the rows on a page ---- */

static u16 id_of_row[MAX_IDS], id_count;

static struct svm_image image_of(const u8 *page, const struct facts *f)
{
	struct svm_image v;
	u64 cr0, cr4, efer;

	memset(&v, 0, sizeof(v));
	memcpy(&v.control, page, sizeof(v.control));
	memcpy(&v.save, page + 0x400, sizeof(v.save));
	v.env = (struct svm_env){.phys_bits = (u8)f->phys_bits, .asids = f->asids, .long_mode = f->has_long_mode,
	                         .nested_paging = f->has_np, .avic = f->has_avic, .x2avic = f->has_x2avic,
	                         .vnmi = f->has_vnmi, .first = f->of_2005, .cr4_bits = f->cr4_defined,
	                         .efer_bits = f->efer_defined | 0x500,
	                         	.host_cr0 = f->host_paging ? CR0_PG | CR0_PE : CR0_PE};
	memcpy(&cr0, page + 0x558, 8);
	memcpy(&cr4, page + 0x548, 8);
	memcpy(&efer, page + 0x4d0, 8);
	/* "Loading Guest State": they are read when the loaded registers say legacy PAE paging without nested paging */
	if (cr0 >> 31 & 1 && cr4 >> 5 & 1 && !(efer >> 8 & 1) && !(f->has_np && page[0x90] & 1))
		memcpy(v.env.pdpte, f->pdpe, sizeof(f->pdpe));
	return v;
}

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
