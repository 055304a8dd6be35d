/*
 * SKINIT on a bare processor: the loader's block, and doubles of who protects and who measures, which write down when they
 * were asked, and what memory and the processor were then.
 */
#ifndef SKINIT_FIXTURE_H
#define SKINIT_FIXTURE_H

#include "report.h"
#include "world_fixture.h"

#include "svm/svm.h"

enum { SLB = 0x320000, ENTRY = 0x10, LOG = 0x98000, GDT = 0x58000, IDT = 0x59000, HANDLERS = 0x5a000, VECTOR = 0x51 };
enum { SECURE_BITS = 7 };

static const char *const models[] = {"amd", "pacifica"};

/* What the doubles saw. */
struct heard {
	unsigned protects, measures;
	bool order;       /* measured behind the protection */
	bool gif, paging; /* when it was protected */
	u64 slb, size, vm_cr;
	u8 image[0x10000];
	u64 late;         /* written to the image by a device, as it were, just before the protection; 0: nothing */
	u32 raise;        /* events that arise while the image is measured */
	struct event first; /* exception that was delivered; EV_NONE: none */
};

static inline void on_protect(void *arg, u64 slb)
{
	struct pc *p = arg;
	struct heard *h = p->own;

	h->protects++;
	h->slb = slb;
	h->gif = p->c->gif;
	h->paging = p->c->cr0 & CR0_PG;
	h->vm_cr = p->c->vm_cr;
	if (h->late)
		bus_write_u64(&p->bus, slb + 8, h->late);
}

static inline void on_measure(void *arg, const void *image, u64 size)
{
	struct pc *p = arg;
	struct heard *h = p->own;

	h->order = h->protects == 1 && !h->measures;
	h->measures++;
	h->size = size;
	memcpy(h->image, image, size);
	if (h->raise)
		cpu_raise(p->c, h->raise);
}

static inline struct heard *heard(struct pc *p)
{
	return p->own;
}

/* A loader of so many bytes: a pattern, the header, HLT at the entry point. */
static inline void put_image(struct pc *p, u64 slb, u16 entry, u16 length)
{
	u8 image[0x10000];

	for (unsigned n = 0; n < sizeof(image); n++)
		image[n] = (u8)(n * 7 + 3);
	memcpy(image, &entry, 2);
	memcpy(image + 2, &length, 2);
	image[entry] = 0xf4;
	bus_write(&p->bus, slb, image, sizeof(image));
}

static inline struct pc *machine(const char *model)
{
	struct pc *p = pc_new(model);

	p->own = calloc(1, sizeof(struct heard));
	assert_non_null(p->own);
	p->bus.secure = (struct secure_init){.protect = on_protect, .measure = on_measure, .arg = p};
	bus_write_u64(&p->bus, 0x2000, 0x6007); /* 2005 has no 1 GiB pages */
	for (u64 n = 0; n < 32; n++)
		bus_write_u64(&p->bus, 0x6000 + 8 * n, n << 21 | 0xe7);
	p->c->efer |= EFER_SVME;
	cpu_update_mode(p->c);
	put_image(p, SLB, ENTRY, 0x1234);
	CODE(p, HOST_CODE, 0x0f, 0x01, 0xde);
	p->c->r[REG_RAX] = SLB;
	return p;
}

static inline void done(struct pc *p)
{
	free(p->own);
	pc_free(p);
}

static inline void go_from(struct pc *p, u64 rip)
{
	p->c->r[REG_RIP] = rip;
	p->c->activity = ACT_RUN;
	for (unsigned slices = 0; slices < 20 && p->c->activity == ACT_RUN && !p->c->stop; slices++)
		cpu_run(p->c, p->clock.now + 100000);
}

static inline void expect_segment(const struct seg *s, u16 sel, u32 limit, u32 ar)
{
	assert_int_equal(s->sel, sel);
	assert_int_equal(s->base, 0);
	assert_int_equal(s->limit, limit);
	assert_int_equal(s->ar, ar);
}

/* The page's own list, "Action". */
static inline void expect_loader(struct pc *p, u32 slb, u16 entry)
{
	struct cpu *c = p->c;

	assert_int_equal(c->activity, ACT_HLT);
	assert_int_equal(c->r[REG_RIP], slb + entry + 1u); /* behind its HLT */
	assert_int_equal(c->r[REG_RAX], slb);
	assert_int_equal(c->r[REG_RDX], strcmp(c->model->name, "amd") == 0 ? 0x00a00f11 : 0x00040f12);
	assert_int_equal(c->r[REG_RSP], (u32)(slb + 0x10000));
	for (unsigned n = 0; n < 16; n++)
		if (n != REG_RAX && n != REG_RDX && n != REG_RSP)
			assert_int_equal(c->r[n], 0);
	assert_int_equal(flags_get(c), 2);
	assert_int_equal(c->cr0 & (CR0_PE | CR0_PG), CR0_PE);
	assert_int_equal(c->mode & (MODE_SIZE | MODE_SS32), MODE_32 | MODE_SS32);
	assert_int_equal(c->cpl, 0);
	expect_segment(&c->seg[SEG_CS], 8, ~0u, 0xc09b);
	expect_segment(&c->seg[SEG_SS], 0x10, ~0u, 0xc093);
	expect_segment(&c->seg[SEG_DS], 0, 0xffff, 0x93);
	expect_segment(&c->seg[SEG_ES], 0, 0xffff, 0x93);
	expect_segment(&c->seg[SEG_FS], 0, 0xffff, 0x93);
	expect_segment(&c->seg[SEG_GS], 0, 0xffff, 0x93);
	assert_int_equal(c->efer, 0);
	assert_int_equal(c->vm_cr, SECURE_BITS);
	assert_false(c->gif);
	proves("svm.4.SKINIT.2 svm.4.SKINIT.3 svm.4.SKINIT.4 svm.4.SKINIT.5 svm.4.SKINIT.6 svm.4.SKINIT.7 svm.4.SKINIT.8 "
	       "svm.4.SKINIT.9 svm.4.SKINIT.10 svm.4.SKINIT.12 svm.4.SKINIT.16 svm.4.SKINIT.17 svm.3.1.3.2 svm.3.1.3.4 "
	       "svm.3.1.3.6 svm.3.1.3.7 svm.3.1.6.2 svm.3.1.6.3 svm.3.1.6.4 svm.3.1.6.5 svm.3.1.6.6 svm.3.1.6.7 svm.3.1.6.8 "
	       "svm.3.1.6.9 svm.3.1.6.10 svm.3.1.6.11 svm.3.1.6.16 svm.3.1.6.17 svm.3.1.6.18 svm.3.1.6.19 svm.3.1.6.20 "
	       "svm.3.1.6.27 svm.3.1.6.31 svm.3.1.6.41");
}

static inline void expect_measured(struct pc *p, u64 slb, u64 length)
{
	struct heard *h = heard(p);
	u8 memory[0x10000];

	bus_read(&p->bus, slb, memory, length);
	assert_int_equal(h->protects, 1);
	assert_int_equal(h->measures, 1);
	assert_true(h->order);
	assert_int_equal(h->slb, slb);
	assert_int_equal(h->size, length);
	assert_memory_equal(h->image, memory, length);
	assert_false(h->gif); /* one piece: GIF is 0 from the start */
	assert_false(h->paging);
	assert_int_equal(h->vm_cr & 7, SECURE_BITS);
	proves("svm.3.1.2.1 svm.3.1.2.2 svm.3.1.2.3 svm.3.1.2.5 svm.3.1.2.6 svm.3.1.3.1 svm.3.1.3.3 svm.3.1.6.21 svm.3.1.6.24 "
	       "svm.3.1.6.25 svm.3.1.6.32 svm.4.SKINIT.11 svm.4.SKINIT.13 svm.4.SKINIT.14 svm.4.SKINIT.15 svm.3.0.1 svm.3.1.1.1");
}

#endif
