/*
 * SMRAM as everybody sees it, in each state that the Q35's registers have for it: closed, open, data closed, locked. And
 * what was decoded there while it was open.
 */
#include "world_fixture.h"

#include "dev/pci.h"

enum { SMRAM = 0x9d, ESMRAMC = 0x9e, TSEGMB = 0xac };
enum { G_SMRAME = 8, D_LCK = 0x10, D_CLS = 0x20, D_OPEN = 0x40, T_EN = 1, E_SMERR = 0x40, H_SMRAME = 0x80 };
#define SEG_A  0xa0000ull
#define HIGH   0xfeda0000ull
#define TSEG   (BARE_RAM - (1 << 20))
#define EDU    0x20

struct bridge {
	struct device *dev;
	struct pci_bus *pci;
};

static struct pc *make(struct bridge *q)
{
	struct pc *p = pc_new("amd");
	const struct dev_env env = {.bus = &p->bus, .clock = &p->clock};

	assert_int_equal(q35_create(&q->dev, &env, &q->pci), ST_OK);
	return p;
}

static void unmake(struct pc *p, struct bridge *q)
{
	q->dev->ops->destroy(q->dev);
	pc_free(p);
}

static void put(struct bridge *q, unsigned reg, unsigned v)
{
	pci_config_write(q->pci, 0, reg, 1, v);
}

static unsigned get(struct bridge *q, unsigned reg)
{
	return pci_config_read(q->pci, 0, reg, 1);
}

static void set(struct bridge *q, unsigned smram, unsigned esmramc)
{
	put(q, SMRAM, smram);
	put(q, ESMRAMC, esmramc);
}

/* ---- who sees it ---- */

static u8 place(const struct pc *p, u64 pa)
{
	return p->bus.memory[pa == HIGH ? SEG_A : pa];
}

/* A byte is there, another is stored: bit 0, it was read; bit 1, it was changed. */
static unsigned access(struct pc *p, struct initiator who, u64 pa)
{
	u8 *there = &p->bus.memory[pa == HIGH ? SEG_A : pa], v = 0;
	unsigned seen = 0;

	*there = 0x5a;
	phys_read(&p->bus, who, pa, &v, 1);
	seen |= v == 0x5a ? 1 : 0;
	assert_true(v == 0x5a || v == 0xff);
	phys_write(&p->bus, who, pa, (const u8[]){0xa5}, 1);
	seen |= *there == 0xa5 ? 2 : 0;
	return seen;
}

static unsigned dma(struct pc *p, u64 pa)
{
	u8 *there = &p->bus.memory[pa == HIGH ? SEG_A : pa], v = 0;
	unsigned seen = 0;

	*there = 0x5a;
	seen |= dma_read(&p->bus, EDU, pa, &v, 1) || v != 0xff;
	seen |= dma_load(&p->bus, EDU, pa, &v, 1) || v != 0xff;
	seen |= dma_write(&p->bus, EDU, pa, (const u8[]){0xa5}, 1) || *there != 0x5a ? 2 : 0;
	seen |= dma_store(&p->bus, EDU, pa, (const u8[]){0xa5}, 1) || *there != 0x5a ? 2 : 0;
	return seen;
}

static bool fetched(const struct pc *p, bool smm, u64 pa)
{
	const struct space_part *part = space_find(&p->bus.space[smm ? SPACE_SMM : SPACE_CPU], pa, USE_FETCH);

	return part && space_host(part, pa) == &p->bus.memory[pa == HIGH ? SEG_A : pa];
}

/* data, code: outside of SMM and inside; 3 is both ways. */
static void check_state(struct pc *p, u64 pa, unsigned out, bool out_code, unsigned in, bool in_code)
{
	static const u8 by[] = {BY_CPU, BY_WALK, BY_VIRT, BY_LOADER, BY_DEBUGGER};

	for (u16 cpu = 0; cpu < 3; cpu++) {
		for (size_t n = 0; n < sizeof(by); n++) {
			assert_int_equal(access(p, (struct initiator){.by = by[n], .id = cpu}, pa), out);
			assert_int_equal(access(p, (struct initiator){.by = by[n], .smm = true, .id = cpu}, pa), in);
		}
	}
	assert_int_equal(fetched(p, false, pa), out_code);
	assert_int_equal(fetched(p, true, pa), in_code);
	assert_int_equal(dma(p, pa), 0); /* "not allowed", in every state */
}

static void test_states(void **state)
{
	struct bridge q;
	struct pc *p = make(&q);

	(void)state;
	set(&q, 0, 0); /* no SMRAM at all: A0000h is nobody's, the top of memory everybody's */
	check_state(p, SEG_A, 0, false, 0, false);
	assert_int_equal(access(p, (struct initiator){.by = BY_CPU}, TSEG), 3);
	set(&q, D_OPEN, H_SMRAME | T_EN); /* "function only when G_SMRAME is set" */
	check_state(p, SEG_A, 0, false, 0, false);
	check_state(p, HIGH, 0, false, 0, false);
	assert_int_equal(access(p, (struct initiator){.by = BY_CPU}, TSEG), 3);

	set(&q, G_SMRAME, T_EN);
	check_state(p, SEG_A, 0, false, 3, true);
	check_state(p, SEG_A + 0x1ffff, 0, false, 3, true);
	check_state(p, HIGH, 0, false, 0, false);
	check_state(p, TSEG, 0, false, 3, true);
	check_state(p, BARE_RAM - 1, 0, false, 3, true);
	set(&q, G_SMRAME | D_OPEN, T_EN);
	check_state(p, SEG_A, 3, true, 3, true);
	check_state(p, TSEG, 3, true, 3, true);
	set(&q, G_SMRAME | D_CLS, T_EN); /* "only applies to Compatible SMM space" */
	check_state(p, SEG_A, 0, false, 0, true);
	check_state(p, TSEG, 0, false, 3, true);
	set(&q, G_SMRAME | D_CLS | D_OPEN, 0); /* "should not be set at the same time" */
	check_state(p, SEG_A, 0, true, 0, true);

	set(&q, G_SMRAME, H_SMRAME);
	check_state(p, SEG_A, 0, false, 0, false);
	check_state(p, HIGH, 0, false, 3, true);
	set(&q, G_SMRAME | D_OPEN, H_SMRAME);
	check_state(p, HIGH, 3, true, 3, true);
	check_state(p, SEG_A, 0, false, 0, false);

	set(&q, G_SMRAME | D_OPEN, T_EN);
	put(&q, SMRAM, G_SMRAME | D_OPEN | D_LCK);
	check_state(p, SEG_A, 0, false, 3, true);
	check_state(p, TSEG, 0, false, 3, true);
	unmake(p, &q);
}

/* "TSEG_SZ": 1, 2, 8 MiB; "TSEGMB" names its base. */
static void test_tseg(void **state)
{
	static const u64 mib[3] = {1, 2, 8};
	const struct initiator cpu = {.by = BY_CPU};
	struct bridge q;
	struct pc *p = make(&q);

	(void)state;
	for (unsigned n = 0; n < 3; n++) {
		u64 size = mib[n] << 20, base = BARE_RAM - size;
		set(&q, G_SMRAME, T_EN | n << 1);
		assert_int_equal(access(p, cpu, base - 1), 3);
		assert_int_equal(access(p, cpu, base), 0);
		assert_int_equal(access(p, cpu, BARE_RAM - 1), 0);
		put(&q, TSEGMB + 3, (unsigned)((32ull << 20) >> 24));
		assert_int_equal(access(p, cpu, (32ull << 20) - 1), 3);
		check_state(p, 32ull << 20, 0, false, 3, true);
		check_state(p, (32ull << 20) + size - 1, 0, false, 3, true);
		assert_int_equal(access(p, cpu, (32ull << 20) + size), 3);
		assert_int_equal(access(p, cpu, BARE_RAM - 1), 3);
		put(&q, TSEGMB + 3, 0);
	}
	set(&q, G_SMRAME, T_EN | 3 << 1); /* reserved: none */
	assert_int_equal(access(p, cpu, BARE_RAM - 1), 3);
	unmake(p, &q);
}

/* ---- registers ---- */

/* "D_LCK": nothing of it goes back before a reset, by no width of access and through both ways into configuration space. */
static void test_lock(void **state)
{
	struct bridge q;
	struct pc *p = make(&q);

	(void)state;
	set(&q, G_SMRAME | D_OPEN, T_EN | 2);
	put(&q, TSEGMB + 3, 2);
	put(&q, SMRAM, G_SMRAME | D_OPEN | D_LCK);
	assert_int_equal(get(&q, SMRAM), G_SMRAME | D_LCK | 2);
	for (unsigned v = 0; v < 256; v++) {
		put(&q, SMRAM, v);
		assert_int_equal(get(&q, SMRAM), G_SMRAME | D_LCK | (v & D_CLS) | 2);
		put(&q, ESMRAMC, v);
		assert_int_equal(get(&q, ESMRAMC), T_EN | 2 | 0x38);
		put(&q, TSEGMB + 2, v);
		put(&q, TSEGMB + 3, v);
		assert_int_equal(pci_config_read(q.pci, 0, TSEGMB, 4), 0x02000000);
	}
	for (unsigned n = 0; n < 4; n++) {
		bus_port_write(&p->bus, 0xcf8, 4, 0x8000009c);
		bus_port_write(&p->bus, (u16)(0xcfc + n), n & 1 ? 1 : n ? 2 : 4, ~0u << 8 * (n & 1));
		assert_int_equal(get(&q, SMRAM) & (G_SMRAME | D_LCK | D_OPEN), G_SMRAME | D_LCK);
	}
	put(&q, SMRAM, 0);
	check_state(p, SEG_A, 0, false, 3, true);
	check_state(p, 32ull << 20, 0, false, 3, true);
	p->bus.memory[SEG_A] = 0x77;
	q.dev->ops->reset(q.dev);
	assert_int_equal(get(&q, SMRAM), 2);
	assert_int_equal(get(&q, ESMRAMC), 0x38);
	assert_int_equal(pci_config_read(q.pci, 0, TSEGMB, 4), 0);
	put(&q, SMRAM, G_SMRAME | D_OPEN);
	assert_int_equal(place(p, SEG_A), 0x77); /* a reset is not the end of DRAM's content */
	check_state(p, SEG_A, 3, true, 3, true);
	unmake(p, &q);
}

/* "E_SMERR": a processor that is not in SMM came to extended SMRAM while it was closed. A one clears it, locked or not. */
static void test_invalid_access(void **state)
{
	static const struct {
		struct initiator who;
		bool counts;
	} from[] = {
	        {{.by = BY_CPU}, true},           {{.by = BY_WALK}, true},      {{.by = BY_VIRT}, true},
	        {{.by = BY_CPU, .smm = true}, false}, {{.by = BY_DEBUGGER}, false}, {{.by = BY_LOADER}, false},
	};
	struct bridge q;
	struct pc *p = make(&q);

	(void)state;
	for (unsigned lock = 0; lock < 2; lock++) {
		set(&q, G_SMRAME, T_EN | H_SMRAME);
		put(&q, SMRAM, G_SMRAME | (lock ? D_LCK : 0));
		assert_int_equal(get(&q, ESMRAMC), T_EN | H_SMRAME | 0x38);
		for (size_t n = 0; n < sizeof(from) / sizeof(*from); n++) {
			for (unsigned k = 0; k < 4; k++) {
				u64 pa = k & 1 ? TSEG + 0x1000 : HIGH, v = 0;
				if (k & 2)
					phys_write(&p->bus, from[n].who, pa, &v, 8);
				else
					phys_read(&p->bus, from[n].who, pa, &v, 8);
				assert_int_equal(get(&q, ESMRAMC), T_EN | H_SMRAME | 0x38 | (from[n].counts ? E_SMERR : 0));
				put(&q, ESMRAMC, T_EN | H_SMRAME);
				assert_int_equal(get(&q, ESMRAMC) & E_SMERR, from[n].counts ? E_SMERR : 0);
				put(&q, ESMRAMC, T_EN | H_SMRAME | E_SMERR);
				assert_int_equal(get(&q, ESMRAMC) & E_SMERR, 0);
			}
		}
		access(p, (struct initiator){.by = BY_CPU}, SEG_A); /* "Extended SMRAM" */
		dma(p, TSEG);
		assert_int_equal(get(&q, ESMRAMC) & E_SMERR, 0);
		if (lock)
			break;
		put(&q, SMRAM, G_SMRAME | D_OPEN);
		access(p, (struct initiator){.by = BY_CPU}, TSEG);
		assert_int_equal(get(&q, ESMRAMC) & E_SMERR, 0);
	}
	unmake(p, &q);
}

/* ---- a processor ---- */

static u64 load(struct cpu *c, la_t la)
{
	u64 v;

	assert_int_equal(mem_read64(c, la, 0, &v), XR_OK);
	return v;
}

static void enter(struct cpu *c, bool smm)
{
	c->smm = smm;
	mmu_update_context(c);
}

/* What its TLB, its walks and its look-aside of host addresses know of open SMRAM is worth nothing once it is closed. */
static void test_remembered(void **state)
{
	const u64 secret = 0x1122334455667788, pa = TSEG + 0x2000;
	struct bridge q;
	struct pc *p = make(&q);
	struct cpu *c = p->c;

	(void)state;
	memcpy(p->bus.memory + pa, &secret, 8);
	set(&q, G_SMRAME | D_OPEN, T_EN);
	for (unsigned n = 0; n < 3; n++)
		assert_int_equal(load(c, pa), secret);
	put(&q, SMRAM, G_SMRAME);
	assert_int_equal(load(c, pa), ~0ull);
	assert_int_equal(mem_write64(c, pa, 0, 0), XR_OK);
	assert_int_equal(*(u64 *)(p->bus.memory + pa), secret);
	assert_int_equal(get(&q, ESMRAMC) & E_SMERR, E_SMERR);
	enter(c, true);
	assert_int_equal(load(c, pa), secret);
	enter(c, false);
	assert_int_equal(load(c, pa), ~0ull);
	put(&q, SMRAM, G_SMRAME | D_OPEN);
	assert_int_equal(load(c, pa), secret);
	put(&q, SMRAM, G_SMRAME | D_OPEN | D_LCK);
	assert_int_equal(load(c, pa), ~0ull);
	enter(c, true);
	assert_int_equal(mem_write64(c, pa, 0, 7), XR_OK);
	assert_int_equal(load(c, pa), 7);
	enter(c, false);
	assert_int_equal(load(c, pa), ~0ull);

	/* page tables in SMRAM: a table entry there is all ones, reserved bits */
	memcpy(p->bus.memory + TSEG + 0x3000, &(u64){0xe7}, 8);
	bus_write_u64(&p->bus, 0x1000, (TSEG + 0x3000) | 7);
	tlb_flush_all(c);
	u64 v;
	assert_int_equal(mem_read64(c, 0x5000, 0, &v), XR_FAULT);
	assert_int_equal(c->fault.vector, EX_PF);
	enter(c, true);
	tlb_flush_all(c);
	assert_int_equal(mem_read64(c, 0x5000, 0, &v), XR_OK);
	unmake(p, &q);
}

/* A processor that waits in SMM for a store to SMRAM, put back from its rows, still sees the store. */
static void test_monitored(void **state)
{
	const u64 pa = TSEG + 0x6000;
	struct bridge q;
	struct pc *p = make(&q);
	struct cpu *c = p->c;

	(void)state;
	set(&q, G_SMRAME, T_EN);
	c->smm = true;
	c->monitor_addr = pa;
	c->activity = ACT_MWAIT;
	cpu_loaded(c);
	access(p, (struct initiator){.by = BY_CPU, .id = 1}, pa);
	assert_int_equal(c->activity, ACT_MWAIT);
	access(p, (struct initiator){.by = BY_CPU, .smm = true, .id = 1}, pa);
	assert_int_equal(c->activity, ACT_RUN);
	unmake(p, &q);
}

/* Without a table of handlers every exception ends so. */
static void run_to_shutdown(struct pc *p)
{
	p->c->r[REG_RIP] = HOST_CODE;
	p->c->activity = ACT_RUN;
	for (unsigned slices = 0; slices < 20 && p->c->activity == ACT_RUN; slices++)
		cpu_run(p->c, p->clock.now + 100000);
	assert_int_equal(p->c->activity, ACT_SHUTDOWN);
	p->c->stop = CPU_GO;
}

/* MOV EAX, n; HLT at SMRAM's place, run while it is open; then closed, locked. Nobody is there: FFh FFh is #UD. */
static void test_decoded(void **state)
{
	const u64 pa = TSEG + 0x4000;
	struct bridge q;
	struct pc *p = make(&q);
	struct cpu *c = p->c;

	(void)state;
	set(&q, G_SMRAME | D_OPEN, T_EN);
	CODE(p, pa, 0xb8, 1, 0, 0, 0, 0xf4);
	CODE(p, HOST_CODE, 0xb8, 0, 0, 0, 0, 0xff, 0xe3); /* MOV EAX, 0; JMP RBX */
	c->r[REG_RBX] = pa;
	for (unsigned n = 0; n < 3; n++) {
		run_host(p);
		assert_int_equal(c->r[REG_RAX], 1);
	}
	for (unsigned lock = 0; lock < 2; lock++) {
		put(&q, SMRAM, G_SMRAME | (lock ? D_LCK : 0));
		put(&q, ESMRAMC, T_EN | E_SMERR);
		run_to_shutdown(p);
		assert_int_equal(get(&q, ESMRAMC) & E_SMERR, E_SMERR); /* the fetch */
		assert_int_equal(c->r[REG_RAX], 0);
		assert_int_equal(c->chain_from.vector, EX_UD);
		enter(c, true); /* where it belongs it runs, and it is the same block */
		u64 built = code_cache_built(p->code);
		run_host(p);
		assert_int_equal(c->r[REG_RAX], 1);
		assert_true(code_cache_built(p->code) <= built + 1);
		enter(c, false);
	}
	unmake(p, &q);
}

/* Code in SMRAM that closes it: what follows, decoded or not, in the same block or the next, is not there any more. */
static void test_closes_itself(void **state)
{
	const u64 pa = TSEG + 0x5000;
	struct bridge q;
	struct pc *p = make(&q);
	struct cpu *c = p->c;

	(void)state;
	for (unsigned lock = 0; lock < 2; lock++) {
		set(&q, G_SMRAME | D_OPEN, T_EN);
		bus_port_write(&p->bus, 0xcf8, 4, 0x8000009c);
		CODE(p, pa, 0xb8, 1, 0, 0, 0, 0xeb, 0, 0xba, 0xfd, 0x0c, 0, 0, 0x89, 0xc8, 0xee, 0xb8, 2, 0, 0, 0, 0xf4);
		c->r[REG_RBX] = pa; /* MOV EAX, 1; JMP; MOV EDX, CFDh; MOV EAX, ECX; OUT; MOV EAX, 2; HLT */
		CODE(p, HOST_CODE, 0xff, 0xe3);
		c->r[REG_RCX] = G_SMRAME | D_OPEN;
		for (unsigned n = 0; n < 3; n++) {
			run_host(p);
			assert_int_equal(c->r[REG_RAX], 2);
		}
		c->r[REG_RCX] = G_SMRAME | (lock ? D_LCK : 0);
		run_to_shutdown(p);
		assert_int_equal(c->chain_from.vector, EX_UD);
		assert_int_equal(c->r[REG_RAX], G_SMRAME | (lock ? D_LCK : 0));
		assert_int_equal(c->r[REG_RIP], pa + 15);
	}
	unmake(p, &q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_states),     cmocka_unit_test(test_tseg),    cmocka_unit_test(test_lock),
	        cmocka_unit_test(test_invalid_access), cmocka_unit_test(test_remembered), cmocka_unit_test(test_decoded),
	        cmocka_unit_test(test_closes_itself), cmocka_unit_test(test_monitored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
