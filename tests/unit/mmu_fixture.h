/*
 * A processor with nothing but an MMU: stubs for what it calls, a second stage to play with, and page tables built from
 * a description of each level.
 */
#ifndef TESTS_MMU_FIXTURE_H
#define TESTS_MMU_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cpu/exec/exec.h"
#include "rnd.h"

#define MIB    (1ull << 20)
#define DATA   0x1400000ull /* 20 MiB; pages under test lie here */
#define CR3_AT 0x100000ull

/* ---- what the MMU calls ---- */
static unsigned raised, synced;
static u32 apic_regs[1024];

enum xr cpu_fault(struct cpu *c, unsigned vector, u32 error)
{
	c->fault = (struct event){.type = EV_HW, .vector = (u8)vector, .has_error = true, .error = error};
	return XR_FAULT;
}
enum xr fault_pf(struct cpu *c, la_t la, u32 error)
{
	(void)!cpu_fault(c, EX_PF, error);
	c->fault.payload = la;
	return XR_FAULT;
}
void cpu_raise(struct cpu *c, enum pend p)
{
	c->pend |= p;
	raised++;
}
void cpu_sync_time(struct cpu *c)
{
	(void)c;
	synced++;
}
u32 apic_mmio_read(struct cpu *c, u32 offset)
{
	(void)c;
	return apic_regs[offset / 4];
}
void apic_mmio_write(struct cpu *c, u32 offset, u32 value)
{
	(void)c;
	apic_regs[offset / 4] = value;
}

/* ---- a second stage for the tests: identity, with one page moved and one page's rights chosen ---- */
struct second {
	u64 moved_from, moved_to; /* 4 KiB pages */
	u64 odd_page;
	u8 odd_perms;
	bool dirty_ok;
	u8 shift;
	unsigned calls, dirty_calls;
	struct stage2_req last;
};
static struct second second;

static enum xr test_stage2(struct cpu *c, const struct stage2_req *q, struct stage2_res *r)
{
	u64 page = q->gpa & PAGE_MASK;

	(void)c;
	second.calls++;
	second.dirty_calls += q->set_dirty;
	second.last = *q;
	*r = (struct stage2_res){.pa = q->gpa,
	                         .perms = ACC_READ | ACC_WRITE | ACC_EXEC,
	                         .dirty_ok = second.dirty_ok,
	                         .page_shift = second.shift,
	                         .memtype = MT_WB};
	if (page == second.moved_from)
		r->pa = second.moved_to | (q->gpa & ~PAGE_MASK);
	if (page == second.odd_page)
		r->perms = second.odd_perms;
	return (q->access & ~r->perms) ? XR_EXIT : XR_OK;
}
static bool test_any_value(const struct cpu *c, enum control_register which, u64 value)
{
	(void)c, (void)which, (void)value;
	return true;
}

static bool test_a20_masks(const struct cpu *c)
{
	(void)c;
	return false;
}

static void test_flushed(struct cpu *c, const struct tlb_match *m)
{
	(void)c, (void)m;
}

static const struct virt_ops test_virt = {
	.name = "test", .rules = {.a20_blocked = test_a20_masks, .control_ok = test_any_value},
	.memory = {.stage2 = test_stage2, .flushed = test_flushed}};

/* ---- the fixture ---- */
struct fixture {
	struct cpu *c;
	struct bus bus;
	struct clock clock;
	struct cpu_model model;
	u64 free; /* next table page */
	struct observer stores;
	u64 written;
	struct initiator writer;
};

static inline void on_written(void *arg, const struct written *w)
{
	((struct fixture *)arg)->written = w->pa;
	((struct fixture *)arg)->writer = w->who;
}

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct cpu *c = aligned_alloc(64, (sizeof(*c) + 63) & ~63ull);

	memset(c, 0, sizeof(*c));
	clock_init(&f->clock);
	if (bus_init(&f->bus, &f->clock, NULL, 64 * MIB, 64 * MIB, NULL) != ST_OK)
		return -1;
	f->stores = (struct observer){.pages = PAGE_CODE, .written = on_written, .arg = f};
	bus_observe(&f->bus, &f->stores);
	f->model.cost.mmio = 1500;
	f->free = CR3_AT + PAGE_SIZE;
	c->bus = &f->bus;
	c->clock = &f->clock;
	c->model = &f->model;
	c->virt = &test_virt;
	c->phys_bits = 46;
	c->la_bits = 48;
	feat_put(&c->feat, FEAT_PDPE1GB, true);
	feat_put(&c->feat, FEAT_PSE36, true);
	f->c = c;
	raised = synced = 0;
	second = (struct second){.dirty_ok = true, .shift = 30, .odd_page = 1, .moved_from = 1};
	*state = f;
	return mmu_init(c) == ST_OK ? 0 : -1;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	mmu_fini(f->c);
	bus_fini(&f->bus);
	free(f->c);
	free(f);
	return 0;
}

static inline bool coin(unsigned one_in)
{
	return rnd() % one_in == 0;
}

/* ---- tables from a description ---- */
enum mode { M_LEGACY, M_LEGACY_4M, M_PAE, M_PAE_2M, M_LONG, M_LONG_2M, M_LONG_1G, M_LONG5, M_COUNT };
struct shape {
	unsigned levels, entry, bits, leaf; /* leaf: the level that maps the page, counted from the root, 0-based */
	u64 page;
};
static const struct shape shapes[M_COUNT] = {
        {2, 4, 10, 1, 1ull << 12}, {2, 4, 10, 0, 1ull << 22}, {3, 8, 9, 2, 1ull << 12}, {3, 8, 9, 1, 1ull << 21},
        {4, 8, 9, 3, 1ull << 12},  {4, 8, 9, 2, 1ull << 21},  {4, 8, 9, 1, 1ull << 30}, {5, 8, 9, 4, 1ull << 12},
};
struct level {
	bool p, w, u, nx, reserved;
	u64 at; /* where the entry lies */
};
struct mapping {
	enum mode mode;
	struct level level[5];
	bool global;
	u8 pkey;
	u64 la, pa; /* page starts */
};

static inline void put_entry(struct fixture *f, enum mode m, u64 at, u64 v)
{
	if (shapes[m].entry == 8)
		bus_write_u64(&f->bus, at, v);
	else
		bus_write_u32(&f->bus, at, (u32)v);
}
static inline u64 get_entry(struct fixture *f, enum mode m, u64 at)
{
	return shapes[m].entry == 8 ? bus_read_u64(&f->bus, at) : bus_read_u32(&f->bus, at);
}

static inline void set_mode(struct cpu *c, enum mode m)
{
	c->cr0 = CR0_PE | CR0_PG | (c->cr0 & CR0_WP);
	c->cr4 &= ~(CR4_PAE | CR4_PSE | CR4_LA57);
	c->efer &= ~(EFER_LMA | EFER_LME);
	c->mode = MODE_PE | MODE_32;
	c->la_bits = 48;
	if (m == M_LEGACY_4M)
		c->cr4 |= CR4_PSE;
	if (m >= M_PAE)
		c->cr4 |= CR4_PAE;
	if (m >= M_LONG) {
		c->efer |= EFER_LMA | EFER_LME;
		c->mode = MODE_PE | MODE_64 | MODE_LMA;
	}
	if (m == M_LONG5) {
		c->cr4 |= CR4_LA57;
		c->la_bits = 57;
	}
	c->cr3 = CR3_AT;
}

/* Which bit to set for "a reserved bit is set here"; 0 where the format has none that is always reserved. */
static inline u64 reserved_bit(const struct mapping *m, unsigned n)
{
	bool leaf = n == shapes[m->mode].leaf;

	switch (m->mode) {
	case M_LEGACY: return 0;
	case M_LEGACY_4M: return leaf ? BIT(21) : 0;
	case M_PAE:
	case M_PAE_2M: return n == 0 ? 0 : leaf && m->mode == M_PAE_2M && coin(2) ? BIT(14) : BIT(46 + rnd() % 17);
	case M_LONG_2M: return leaf && coin(2) ? BIT(20) : BIT(51);
	case M_LONG_1G: return leaf && coin(2) ? BIT(13 + rnd() % 17) : BIT(46);
	default: return n == 0 && coin(2) ? BIT(7) : BIT(46 + rnd() % 6);
	}
}

static inline void build(struct fixture *f, struct mapping *m)
{
	const struct shape *s = &shapes[m->mode];
	u64 table = CR3_AT;

	for (unsigned n = 0; n <= s->leaf; n++) {
		struct level *l = &m->level[n];
		unsigned shift = 12 + (s->levels - 1 - n) * s->bits;
		u64 index = (m->la >> shift) & ((1u << s->bits) - 1), v = 0;
		bool leaf = n == s->leaf, pdpte = n == 0 && s->levels == 3;
		u64 next = f->free;

		if (pdpte)
			index &= 3;
		l->at = table + index * s->entry;
		if (!leaf) {
			f->free += PAGE_SIZE;
			for (unsigned i = 0; i < PAGE_SIZE; i += 8)
				bus_write_u64(&f->bus, next + i, 0);
		}
		v = leaf ? m->pa : next;
		if (leaf && s->page != PAGE_SIZE)
			v |= PTE_PS;
		if (leaf && m->global)
			v |= PTE_G;
		if (leaf && m->mode >= M_LONG)
			v |= (u64)m->pkey << 59;
		v |= l->p ? PTE_P : 0;
		if (!pdpte)
			v |= (l->w ? PTE_W : 0) | (l->u ? PTE_U : 0);
		if (!pdpte && l->nx && s->entry == 8)
			v |= PTE_NX;
		if (l->reserved)
			v |= reserved_bit(m, n);
		put_entry(f, m->mode, l->at, v);
		if (pdpte)
			f->c->pdpte[index] = v;
		table = next;
	}
}

/* ---- flushes: identity of pages told by their content ---- */
static inline struct mapping *simple(struct fixture *f, struct mapping *m, enum mode mode, u64 la, u64 pa, bool global)
{
	*m = (struct mapping){.mode = mode, .la = la, .pa = pa, .global = global};
	for (unsigned n = 0; n < 5; n++)
		m->level[n] = (struct level){.p = true, .w = true, .u = true};
	build(f, m);
	return m;
}

static inline u64 *leaf_ptr(struct fixture *f, const struct mapping *m)
{
	return (u64 *)(void *)(f->bus.memory + m->level[shapes[m->mode].leaf].at);
}

static inline u64 look(struct fixture *f, la_t la)
{
	u64 v = 0;
	assert_int_equal(mem_read64(f->c, la, 0, &v), XR_OK);
	return v;
}

/* Maps la to DATA in long mode and leaves two distinguishable pages at DATA and DATA + 1000h. */
static inline void two_pages(struct fixture *f, struct mapping *m, bool global)
{
	set_mode(f->c, M_LONG);
	f->c->cr4 |= CR4_PGE | CR4_PCIDE;
	bus_write_u64(&f->bus, DATA, 1);
	bus_write_u64(&f->bus, DATA + PAGE_SIZE, 2);
	simple(f, m, M_LONG, 0x7f0000400000, DATA, global);
	tlb_flush_all(f->c);
}

static inline void use_pcid(struct cpu *c, u16 pcid)
{
	c->cr3 = (c->cr3 & ~0xfffull) | pcid;
	mmu_update_context(c);
}

#endif
