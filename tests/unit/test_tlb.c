/* What the TLB forgets by each flush, and what it keeps. Pages are told apart by their content. */
#include "mmu_fixture.h"

static void test_stale_entries(void **state)
{
	struct fixture *f = *state;
	struct mapping m;

	two_pages(f, &m, false);
	assert_int_equal(look(f, m.la), 1);
	*leaf_ptr(f, &m) += PAGE_SIZE;
	assert_int_equal(look(f, m.la), 1);
	memset(f->c->l1, 0, sizeof(f->c->l1)); /* the L2 remembers by itself */
	assert_int_equal(look(f, m.la), 1);
	*leaf_ptr(f, &m) = 0; /* not even present any more */
	memset(f->c->l1, 0, sizeof(f->c->l1));
	assert_int_equal(look(f, m.la), 1);
	tlb_flush_page(f->c, 0, 0, m.la, true);
	u64 v;
	assert_int_equal(mem_read64(f->c, m.la, 0, &v), XR_FAULT);
}

static void test_fault_drops_entry(void **state)
{
	struct fixture *f = *state;
	struct mapping m;
	u64 v;

	two_pages(f, &m, false);
	f->c->cr0 |= CR0_WP;
	*leaf_ptr(f, &m) &= ~PTE_W;
	assert_int_equal(look(f, m.la), 1);
	*leaf_ptr(f, &m) |= PTE_W; /* more rights need no flush: the walk is made again */
	assert_int_equal(mem_write64(f->c, m.la, 0, 1), XR_OK);
	tlb_flush_all(f->c);
	*leaf_ptr(f, &m) &= ~PTE_W;
	assert_int_equal(look(f, m.la), 1);
	*leaf_ptr(f, &m) += PAGE_SIZE;
	assert_int_equal(mem_write64(f->c, m.la, 0, 9), XR_FAULT);
	assert_int_equal(f->c->fault.error, PF_P | PF_W);
	assert_int_equal(mem_read64(f->c, m.la, 0, &v), XR_OK);
	assert_int_equal(v, 2);
}

static void test_dirty(void **state)
{
	struct fixture *f = *state;
	struct mapping m;

	two_pages(f, &m, false);
	assert_int_equal(look(f, m.la), 1);
	assert_int_equal(*leaf_ptr(f, &m) & (PTE_A | PTE_D), PTE_A);
	assert_int_equal(mem_write64(f->c, m.la, 0, 1), XR_OK); /* a cached clean entry walks again */
	assert_int_equal(*leaf_ptr(f, &m) & (PTE_A | PTE_D), PTE_A | PTE_D);
	*leaf_ptr(f, &m) &= ~(PTE_A | PTE_D);
	assert_int_equal(mem_write64(f->c, m.la, 0, 1), XR_OK); /* cached as dirty: nobody looks */
	assert_int_equal(*leaf_ptr(f, &m) & (PTE_A | PTE_D), 0);
}

static void test_pcid_and_global(void **state)
{
	struct fixture *f = *state;
	struct cpu *c = f->c;

	for (unsigned global = 0; global < 2; global++) {
		struct mapping m;
		c->cr3 = CR3_AT;
		f->free = CR3_AT + PAGE_SIZE;
		two_pages(f, &m, global);
		use_pcid(c, 5);
		assert_int_equal(look(f, m.la), 1);
		*leaf_ptr(f, &m) += PAGE_SIZE;
		use_pcid(c, 6);
		assert_int_equal(look(f, m.la), global ? 1 : 2);
		use_pcid(c, 5);
		assert_int_equal(look(f, m.la), 1);
		tlb_flush_pcid(c, 0, 6, true);
		assert_int_equal(look(f, m.la), 1);
		tlb_flush_pcid(c, 0, 5, true);
		assert_int_equal(look(f, m.la), global ? 1 : 2);
		*leaf_ptr(f, &m) -= PAGE_SIZE;        /* now cached: 1 if global, else 2 */
		tlb_flush_page(c, 0, 5, m.la, false); /* INVPCID type 0 leaves global ones */
		assert_int_equal(look(f, m.la), 1);
		*leaf_ptr(f, &m) += PAGE_SIZE;
		use_pcid(c, 7);
		assert_int_equal(look(f, m.la), global ? 1 : 2);
		use_pcid(c, 6);
		tlb_flush_page(c, 0, 6, m.la, true); /* INVLPG: global ones go, whoever filled them */
		use_pcid(c, 7);
		assert_int_equal(look(f, m.la), 2);
		use_pcid(c, 5);
		assert_int_equal(look(f, m.la), global ? 2 : 1);
		tlb_flush_space(c, 0, true);
		assert_int_equal(look(f, m.la), 2);
		*leaf_ptr(f, &m) -= PAGE_SIZE;
		tlb_flush_space(c, 0, true);
		assert_int_equal(look(f, m.la), global ? 2 : 1);
		tlb_flush_space(c, 0, false);
		assert_int_equal(look(f, m.la), 1);
		*leaf_ptr(f, &m) += PAGE_SIZE;
		tlb_flush_page_any_pcid(c, 0, m.la);
		assert_int_equal(look(f, m.la), 2);
	}
}

static void test_spaces(void **state)
{
	struct fixture *f = *state;
	struct cpu *c = f->c;
	struct mapping m;

	two_pages(f, &m, true);
	assert_int_equal(look(f, m.la), 1);
	*leaf_ptr(f, &m) += PAGE_SIZE;
	tlb_set_space(c, 9);
	assert_int_equal(look(f, m.la), 2); /* global means within one space */
	tlb_set_space(c, 0);
	assert_int_equal(look(f, m.la), 1);
	tlb_flush_space(c, 9, false);
	assert_int_equal(look(f, m.la), 1);
	*leaf_ptr(f, &m) -= PAGE_SIZE;
	tlb_set_space(c, 9);
	assert_int_equal(look(f, m.la), 1);
	*leaf_ptr(f, &m) += PAGE_SIZE;
	tlb_set_space(c, 0);
	tlb_flush_page(c, 9, 0, m.la, true); /* INVLPGA, INVVPID from outside */
	assert_int_equal(look(f, m.la), 1);
	tlb_set_space(c, 9);
	assert_int_equal(look(f, m.la), 2);
	/* Running out of context numbers must lose nothing but speed. */
	for (unsigned n = 0; n < 5000; n++) {
		tlb_flush_pcid(c, 9, 0, true);
		assert_int_equal(look(f, m.la), 2);
		tlb_set_space(c, (u16)(n & 7));
		tlb_set_space(c, 9);
	}
	tlb_set_space(c, 0);
	assert_int_equal(look(f, m.la), 1);
}

static void test_pcid_slots_collide(void **state)
{
	struct fixture *f = *state;
	struct mapping m;

	two_pages(f, &m, false);
	use_pcid(f->c, 5);
	assert_int_equal(look(f, m.la), 1);
	*leaf_ptr(f, &m) += PAGE_SIZE;
	tlb_flush_pcid(f->c, 0, 5, true);
	for (u16 pcid = 6; pcid < 4096; pcid++) /* more flushes than are remembered one by one */
		tlb_flush_pcid(f->c, 0, pcid, true);
	mmu_update_context(f->c);
	assert_int_equal(look(f, m.la), 2);
}

static void test_large_invlpg(void **state)
{
	struct fixture *f = *state;
	struct cpu *c = f->c;
	static const u8 stage_shift[] = {30, 12};

	for (unsigned n = 0; n < 2; n++) { /* whole in the TLB, and in pieces under a second stage of small pages */
		struct mapping m;
		c->cr3 = CR3_AT;
		set_mode(c, M_LONG_2M);
		c->stage2 = n == 1;
		second.shift = stage_shift[n];
		f->free = CR3_AT + PAGE_SIZE;
		simple(f, &m, M_LONG_2M, 0x40000000, DATA, false);
		tlb_flush_all(c);
		for (unsigned page = 0; page < 512; page++) {
			bus_write_u64(&f->bus, DATA + page * PAGE_SIZE, page);
			bus_write_u64(&f->bus, DATA + 2 * MIB + page * PAGE_SIZE, 1000 + page);
			assert_int_equal(look(f, m.la + page * PAGE_SIZE), page);
			struct fetch fe;
			assert_int_equal(mmu_fetch(c, m.la + page * PAGE_SIZE, &fe), XR_OK);
			assert_true(fe.pa == DATA + page * PAGE_SIZE);
		}
		*leaf_ptr(f, &m) += 2 * MIB;
		assert_int_equal(look(f, m.la + 77 * PAGE_SIZE), 77);
		tlb_flush_page(c, 0, 0, m.la + 2 * MIB, true); /* a neighbour */
		assert_int_equal(look(f, m.la + 77 * PAGE_SIZE), 77);
		tlb_flush_page(c, 0, 0, m.la + 5 * PAGE_SIZE + 123, true);
		for (unsigned page = 0; page < 512; page++) {
			struct fetch fe;
			assert_int_equal(look(f, m.la + page * PAGE_SIZE), 1000 + page);
			assert_int_equal(mmu_fetch(c, m.la + page * PAGE_SIZE, &fe), XR_OK);
			assert_true(fe.pa == DATA + 2 * MIB + page * PAGE_SIZE);
		}
		/* The entry may have left the L2 while pieces are still in the L1. */
		*leaf_ptr(f, &m) -= 2 * MIB;
		memset(&c->tlb, 0, sizeof(c->tlb));
		assert_int_equal(look(f, m.la + 3 * PAGE_SIZE), 1003);
		tlb_flush_page(c, 0, 0, m.la + 9 * PAGE_SIZE, true);
		assert_int_equal(look(f, m.la + 3 * PAGE_SIZE), 3);
	}
}

static void test_tiny_tlb(void **state)
{
	struct fixture *f = *state;
	struct cpu *c = f->c;
	struct mapping m;

	set_mode(c, M_LONG_2M);
	c->stress.tiny_tlb = true;
	simple(f, &m, M_LONG_2M, 0x40000000, DATA, false);
	tlb_flush_all(c);
	bus_write_u64(&f->bus, DATA, 1);
	bus_write_u64(&f->bus, DATA + 2 * MIB, 2);
	assert_int_equal(look(f, m.la), 1);
	*leaf_ptr(f, &m) += 2 * MIB;
	assert_int_equal(look(f, m.la), 1);
	(void)look(f, m.la + PAGE_SIZE);
	assert_int_equal(look(f, m.la), 1);
	(void)look(f, m.la + 2 * PAGE_SIZE);
	(void)look(f, m.la + 3 * PAGE_SIZE);
	assert_int_equal(look(f, m.la), 2); /* gone by capacity */
	u64 v = 0x1234;
	assert_int_equal(mem_write64(c, m.la + 0xffc, 0, v), XR_OK); /* both pages of one access fit */
	assert_int_equal(look(f, m.la + 0xffc), 0x1234);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(test_stale_entries), T(test_fault_drops_entry),  T(test_dirty),        T(test_pcid_and_global),
	        T(test_spaces),        T(test_pcid_slots_collide), T(test_large_invlpg), T(test_tiny_tlb),
	};
	return cmocka_run_group_tests_name("tlb", tests, NULL, NULL);
}
