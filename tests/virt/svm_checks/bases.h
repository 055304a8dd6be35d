/*
 * VMCBs for the tests of the rows: legal ones at the edges of the rules, and ones in which one check fails, on several
 * processors; and such a page as the rows see it.
 */
#ifndef SVM_CHECKS_BASES_H
#define SVM_CHECKS_BASES_H

#include "checks_test.h"
#include "svm/svm.h"

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

#endif
