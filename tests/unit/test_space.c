/*
 * Spaces: where reads, writes and fetches lead, for whom; what a change does to what was remembered; DMA by requester.
 */
#include "world_fixture.h"

#define DATA 0x600000ull /* inside the first GiB, which is mapped one to one */
#define ELSE 0x700000ull

static const struct initiator cpu = {.by = BY_CPU}, smm = {.by = BY_CPU, .smm = true};

static u8 seen(struct bus *b, struct initiator who, u64 pa)
{
	u8 v;

	phys_read(b, who, pa, &v, 1);
	return v;
}

static void put(struct bus *b, struct initiator who, u64 pa, u8 v)
{
	phys_write(b, who, pa, &v, 1);
}

static void lay(struct bus *b, struct space_overlay *o)
{
	assert_true(bus_overlay(b, o));
	bus_remap(b);
}

/* ---- the map ---- */

static void everywhere(struct space_overlay *o, u8 memory, u8 outside)
{
	for (unsigned s = 0; s < SPACES; s++)
		o->to[s].memory = memory, o->to[s].outside = outside;
}

/* A ROM over RAM, and an overlay that chooses between them: all four ways of shadowing. */
static void test_shadow(void **state)
{
	struct pc *p = pc_new("amd");
	struct bus *b = &p->bus;
	struct space_overlay o = {.base = 0xf0000, .size = 0x1000, .memory = 0xf0000};
	u8 image[0x2000];

	(void)state;
	memset(image, 0xab, sizeof(image));
	put(b, cpu, 0xf0000, 0x11);
	assert_int_equal(bus_add_rom(b, 0xf0000, image, sizeof(image), NULL), ST_OK);
	assert_int_equal(seen(b, cpu, 0xf0000), 0xab);
	lay(b, &o);
	assert_int_equal(seen(b, cpu, 0xf0000), 0xab); /* it says nothing yet */
	for (unsigned v = 0; v < 4; v++) {
		u8 ram = (u8)((v & 1 ? USE_READ | USE_FETCH : 0) | (v & 2 ? USE_WRITE : 0));

		everywhere(&o, USE_ALL, 0);
		bus_remap(b);
		put(b, cpu, 0xf0000, 0x11);
		everywhere(&o, ram, (u8)(USE_ALL & ~ram));
		bus_remap(b);
		assert_int_equal(seen(b, cpu, 0xf0000), v & 1 ? 0x11 : 0xab);
		put(b, cpu, 0xf0000, 0x22);
		assert_int_equal(seen(b, cpu, 0xf0000), v == 0 || v == 2 ? 0xab : v == 1 ? 0x11 : 0x22);
		assert_int_equal(seen(b, cpu, 0xf1000), 0xab); /* the overlay's end */
		assert_int_equal(b->memory[0xf0000], v & 2 ? 0x22 : 0x11);
		assert_int_equal(b->memory[b->ram_size], 0xab);
	}
	bus_lift(b, &o);
	bus_remap(b);
	assert_int_equal(seen(b, cpu, 0xf0000), 0xab);
	pc_free(p);
}

static unsigned remapped;
static void on_remapped(void *arg)
{
	(void)arg;
	remapped++;
}

static void test_generations(void **state)
{
	struct pc *p = pc_new("amd");
	struct bus *b = &p->bus;
	struct observer watch = {.remapped = on_remapped};
	struct space_overlay o = {.base = DATA, .size = 0x1000, .memory = ELSE};
	u32 before[SPACES];

	(void)state;
	remapped = 0;
	bus_observe(b, &watch);
	for (unsigned s = 0; s < SPACES; s++)
		before[s] = b->space[s].generation;
	assert_int_not_equal(before[SPACE_CPU], before[SPACE_SMM]);
	lay(b, &o);
	bus_remap(b);
	assert_int_equal(remapped, 0); /* nothing is another way than before */
	assert_int_equal(b->space[SPACE_CPU].generation, before[SPACE_CPU]);
	o.to[SPACE_SMM].memory = USE_ALL;
	bus_remap(b);
	assert_int_equal(remapped, 1);
	assert_int_equal(b->space[SPACE_CPU].generation, before[SPACE_CPU]);
	assert_int_equal(b->space[SPACE_DMA].generation, before[SPACE_DMA]);
	assert_true(b->space[SPACE_SMM].generation > before[SPACE_SMM]);
	o.to[SPACE_SMM].memory = 0; /* back to the same map is not back to the same generation */
	bus_remap(b);
	for (unsigned s = 0; s < SPACES; s++)
		assert_int_not_equal(b->space[SPACE_SMM].generation, before[s]);
	bus_mask_a20(b, true);
	assert_int_equal(remapped, 3);
	assert_false(b->space[SPACE_DMA].a20_masked); /* the processors' pin */
	assert_int_equal(b->space[SPACE_DMA].generation, before[SPACE_DMA]);
	bus_unobserve(b, &watch);
	pc_free(p);
}

/* Who sees the memory of system management mode: by what the access is. */
static void test_who(void **state)
{
	struct pc *p = pc_new("amd");
	struct bus *b = &p->bus;
	struct space_overlay o = {.base = DATA, .size = 0x2000, .memory = ELSE};
	u8 byte = 0x33;

	(void)state;
	put(b, cpu, DATA, 0x11);
	put(b, cpu, ELSE, 0x22);
	o.to[SPACE_SMM].memory = USE_FETCH; /* code, not data */
	o.to[SPACE_CPU].outside = o.to[SPACE_DMA].outside = USE_ALL;
	lay(b, &o);
	assert_int_equal(seen(b, cpu, DATA), 0xff);
	assert_int_equal(seen(b, smm, DATA), 0x11);
	assert_true(space_find(&b->space[SPACE_SMM], DATA, USE_FETCH)->host !=
	            space_find(&b->space[SPACE_SMM], DATA, USE_READ)->host);
	o.to[SPACE_SMM].memory = USE_ALL;
	bus_remap(b);
	assert_int_equal(seen(b, smm, DATA), 0x22);
	assert_int_equal(seen(b, (struct initiator){.by = BY_WALK, .smm = true}, DATA), 0x22);
	assert_int_equal(seen(b, (struct initiator){.by = BY_WALK}, DATA), 0xff);
	assert_int_equal(seen(b, (struct initiator){.by = BY_DEVICE, .id = 0x18}, DATA), 0xff);
	assert_false(dma_read(b, 0x18, DATA, &byte, 1));
	assert_int_equal(byte, 0xff);
	put(b, cpu, DATA, 0x44); /* goes nowhere */
	put(b, smm, DATA + 1, 0x55);
	assert_int_equal(b->memory[DATA], 0x11);
	assert_int_equal(b->memory[ELSE + 1], 0x55);
	pc_free(p);
}

/* ---- a processor ---- */

static u64 load(struct cpu *c, la_t la)
{
	u64 v;

	assert_int_equal(mem_read64(c, la, 0, &v), XR_OK);
	return v;
}

/* What the L1 has is not found after the map changed, nothing is flushed, and system management mode finds its own. */
static void test_processor(void **state)
{
	struct pc *p = pc_new("amd");
	struct bus *b = &p->bus;
	struct cpu *c = p->c;
	struct space_overlay o = {.base = DATA, .size = 0x1000, .memory = ELSE};
	u64 epoch, v;

	(void)state;
	bus_write_u64(b, DATA, 0x1111);
	bus_write_u64(b, ELSE, 0x2222);
	assert_int_equal(load(c, DATA), 0x1111);
	const struct tlb_entry *e = &c->tlb.large[0][0];
	for (; e->valid == false; e++)
		;
	epoch = e->born;
	lay(b, &o);
	o.to[SPACE_CPU].memory = USE_ALL;
	bus_remap(b);
	assert_int_equal(load(c, DATA), 0x2222);
	assert_true(e->valid && e->born == epoch); /* the translation stands */
	c->smm = true;
	mmu_update_context(c);
	assert_int_equal(load(c, DATA), 0x1111);
	u64 in_smm = c->ctx;
	c->smm = false;
	mmu_update_context(c);
	assert_int_equal(load(c, DATA), 0x2222);
	c->smm = true;
	mmu_update_context(c);
	assert_int_equal(c->ctx, in_smm); /* both contexts stay */
	c->smm = false;
	mmu_update_context(c);

	/* reads here, writes there */
	o.to[SPACE_CPU].memory = USE_WRITE;
	bus_remap(b);
	for (unsigned n = 0; n < 3; n++) {
		assert_int_equal(load(c, DATA), 0x1111);
		assert_int_equal(mem_write64(c, DATA, 0, 0x3000 + n), XR_OK);
		assert_int_equal(load(c, DATA), 0x1111);
		memcpy(&v, b->memory + ELSE, 8);
		assert_int_equal(v, 0x3000 + n);
	}
	assert_int_equal(mem_load_rmw(c, DATA, 8, 0, &v), XR_OK);
	assert_int_equal(v, 0x1111);
	assert_int_equal(mem_write64(c, DATA, 0, v + 1), XR_OK);
	assert_int_equal(load(c, DATA), 0x1111);
	memcpy(&v, b->memory + ELSE, 8);
	assert_int_equal(v, 0x1112);
	/* an access over both a page like that and an ordinary one */
	bus_write_u64(b, DATA + 0x1000, 0);
	assert_int_equal(mem_write64(c, DATA + 0xffc, 0, 0x8877665544332211), XR_OK);
	memcpy(&v, b->memory + ELSE + 0xffc, 4);
	assert_int_equal((u32)v, 0x44332211);
	assert_int_equal(bus_read_u32(b, DATA + 0x1000), 0x88776655);
	assert_int_equal(bus_read_u32(b, DATA + 0xffc), 0);
	pc_free(p);
}

/* Page tables are read where the processor sees them. */
static void test_walk(void **state)
{
	struct pc *p = pc_new("amd");
	struct bus *b = &p->bus;
	struct space_overlay o = {.base = 0x2000, .size = 0x1000, .memory = ELSE};

	(void)state;
	bus_write_u64(b, DATA, 0x1111);
	bus_write_u64(b, 0x40000000 - 0x1000, 0x2222); /* no RAM there: all ones */
	memcpy(b->memory + ELSE, &(u64){0x400000e7}, 8);
	assert_int_equal(load(p->c, DATA), 0x1111);
	o.to[SPACE_CPU].memory = USE_ALL;
	lay(b, &o);
	assert_int_equal(load(p->c, DATA), 0x1111); /* still in the TLB */
	tlb_flush_all(p->c);
	assert_int_equal(load(p->c, DATA), ~0ull); /* 40600000h */
	pc_free(p);
}

/* MOV EAX, n; HLT. Decoded code belongs to memory, not to an address. */
static void test_code(void **state)
{
	struct pc *p = pc_new("amd");
	struct bus *b = &p->bus;
	struct space_overlay o = {.base = HOST_CODE, .size = 0x1000, .memory = ELSE};

	(void)state;
	CODE(p, HOST_CODE, 0xb8, 1, 0, 0, 0, 0xf4);
	CODE(p, ELSE, 0xb8, 2, 0, 0, 0, 0xf4);
	lay(b, &o);
	for (unsigned n = 0; n < 4; n++) {
		o.to[SPACE_CPU].memory = n & 1 ? USE_FETCH : 0;
		bus_remap(b);
		run_host(p);
		assert_int_equal(p->c->r[REG_RAX], n & 1 ? 2 : 1);
	}
	u64 built = code_cache_built(p->code);
	run_host(p);
	assert_int_equal(code_cache_built(p->code), built); /* both are still there */
	put(b, cpu, ELSE + 1, 3);                           /* by its other address */
	run_host(p);
	assert_int_equal(p->c->r[REG_RAX], 3);
	pc_free(p);
}

/* ---- devices ---- */

/* Requester 18h may reach one page, which is elsewhere; 20h nothing; the rest everything. */
static bool guard(void *arg, const struct dma_request *r, u64 *pa, u64 *len)
{
	++*(unsigned *)arg;
	if (r->requester == 0x20 || r->cycle != CYCLE_MEMORY)
		return false;
	if (r->requester == 0x18) {
		if (*pa >> PAGE_SHIFT != 5 || r->use == USE_FETCH)
			return false;
		*len = min_u64(*len, PAGE_SIZE - (*pa & ~PAGE_MASK));
		*pa = ELSE | (*pa & ~PAGE_MASK);
	}
	return true;
}

static void test_dma(void **state)
{
	struct pc *p = pc_new("amd");
	struct bus *b = &p->bus;
	unsigned asked = 0;
	u8 data[0x1800], back[16];

	(void)state;
	memset(data, 0x5a, sizeof(data));
	b->guard = (struct dma_guard){.allow = guard, .arg = &asked};
	assert_true(dma_write(b, 0x18, 0x5010, data, 16));
	assert_int_equal(b->memory[ELSE + 0x10], 0x5a);
	assert_int_equal(b->memory[0x5010], 0);
	assert_true(dma_read(b, 0x18, 0x5010, back, 16));
	assert_memory_equal(back, data, 16);
	assert_false(dma_write(b, 0x18, 0x5f00, data, 0x200)); /* the second page is refused: the first has its bytes */
	assert_int_equal(b->memory[ELSE + 0xfff], 0x5a);
	assert_int_equal(b->memory[ELSE + 0x1000], 0);
	assert_false(dma_read(b, 0x20, 0x5010, back, 16));
	for (unsigned n = 0; n < 16; n++)
		assert_int_equal(back[n], 0xff);
	assert_false(dma_store(b, 0x20, 0x5010, data, 16));
	assert_false(dma_load(b, 0x20, 0x5010, back, 16));
	assert_true(dma_store(b, 0x28, 0x5010, data, 0x1800)); /* another one goes where it says */
	assert_int_equal(b->memory[0x5010 + 0x17ff], 0x5a);
	assert_true(asked > 6);
	b->guard.allow = NULL;
	assert_true(dma_load(b, 0x20, 0x5010, back, 16));
	assert_false(dma_load(b, 0x20, BARE_RAM - 8, back, 16)); /* over the end of memory */
	assert_false(dma_read(b, 0x20, ~0ull - 7, back, 16));
	pc_free(p);
}

struct asker {
	struct bus *bus;
	struct initiator who;
};

static u64 answer(void *dev, u64 offset, unsigned size)
{
	struct asker *a = dev;

	(void)offset, (void)size;
	a->who = a->bus->who;
	return 0x77;
}

/* Memory only, for rings and buffers; and a device may ask who reads it. */
static void test_device_behind(void **state)
{
	static const struct bus_ops ops = {.read = answer};
	struct pc *p = pc_new("amd");
	struct asker a = {.bus = &p->bus};
	struct bus_range r = {.ops = &ops, .dev = &a, .base = 0x20000000, .size = 0x1000};
	u8 byte;

	(void)state;
	bus_map(&p->bus, &r);
	assert_false(dma_load(&p->bus, 0x18, 0x20000000, &byte, 1));
	assert_int_equal(byte, 0xff);
	assert_true(dma_read(&p->bus, 0x18, 0x20000000, &byte, 1));
	assert_int_equal(byte, 0x77);
	assert_int_equal(a.who.by, BY_DEVICE);
	assert_int_equal(a.who.id, 0x18);
	p->c->index = 3;
	p->c->smm = true;
	mmu_update_context(p->c);
	assert_int_equal(load(p->c, 0x20000000) & 0xff, 0x77);
	assert_int_equal(a.who.by, BY_CPU);
	assert_true(a.who.smm);
	assert_int_equal(a.who.id, 3);
	bus_unmap(&p->bus, &r);
	pc_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_shadow),    cmocka_unit_test(test_generations),   cmocka_unit_test(test_who),
	        cmocka_unit_test(test_processor), cmocka_unit_test(test_walk),          cmocka_unit_test(test_code),
	        cmocka_unit_test(test_dma),       cmocka_unit_test(test_device_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
