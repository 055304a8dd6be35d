/*
 * The device exclusion vector behind its registers: formats, the walk of the tables against a second evaluation of the
 * same text, the cache, the secure loader's region, the log. 33047 "External Access Protection".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dev/exclusion.h"
#include "report.h"
#include "rnd.h"

#define RAM   (16ull << 20)
#define TABLE 0x200000ull
#define GIB   (1ull << 30)

/* DEV_OP's functions and DEV_CR's bits, from table 2-10 and table 2-11. */
enum { BASE_LO = 0x000, BASE_HI = 0x100, MAP = 0x200, CAP = 0x300, CR = 0x400, ERR_STATUS = 0x500, ADDR_LO = 0x600, ADDR_HI = 0x700 };
enum { ENABLE = 1, MEM_CLR_DIS = 2, IOSPEN = 4, MCE = 8, INVALIDATE = 16, SL_DEV_EN = 32, NO_PROBE = 64 };
enum { V = 1, P = 2 };

struct box {
	struct clock clock;
	struct bus bus;
	struct exclusion x;
};

static int setup(void **state)
{
	struct box *b = base_alloc(sizeof(*b));
	struct err err;

	clock_init(&b->clock);
	if (bus_init(&b->bus, &b->clock, NULL, RAM, 1ull << 31, &err))
		return -1;
	exclusion_reset(&b->x);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;

	bus_fini(&b->bus);
	base_free(b);
	return 0;
}

static void put(struct box *b, unsigned op, u32 v)
{
	exclusion_write(&b->x, (u16)op, v, true);
}

static u32 get(struct box *b, unsigned op)
{
	return exclusion_read(&b->x, (u16)op);
}

static bool may(struct box *b, u16 requester, u64 pa)
{
	u64 len = 1;

	return exclusion_allows(&b->x, &b->bus, requester, pa, &len);
}

/* Domain n: its table and how far it reaches. */
static void give_table(struct box *b, unsigned n, u64 table, unsigned size, unsigned flags)
{
	put(b, BASE_LO | n, (u32)table | size << 2 | flags);
	put(b, BASE_HI | n, (u32)(table >> 32));
}

static void set_bit(struct box *b, u64 table, u64 pa, bool one)
{
	u8 *byte = b->bus.memory + table + (pa >> 12) / 8;

	*byte = (u8)(one ? *byte | 1u << (pa >> 12) % 8 : *byte & ~(1u << (pa >> 12) % 8));
}

/* ---- registers ---- */

static void formats(void **state)
{
	struct box *b = *state;
	unsigned domains = get(b, CAP) >> 8 & 0xff, maps = get(b, CAP) >> 16 & 0xff;

	assert_int_equal(get(b, CAP), 0x00040400); /* four maps, four domains, revision 0 */
	put(b, CAP, ~0u);
	assert_int_equal(get(b, CAP), 0x00040400);
	proves("svm.2.20.6.2 svm.2.20.6.3 svm.2.20.6.4 svm.2.20.6.5 svm.2.20.6.6");
	for (unsigned n = 0; n < domains; n++) {
		put(b, BASE_LO | n, ~0u);
		put(b, BASE_HI | n, ~0u);
		assert_int_equal(get(b, BASE_LO | n), 0xfffff07f);
		assert_int_equal(get(b, BASE_HI | n), 0x000000ff);
		put(b, BASE_LO | n, n << 12);
		put(b, BASE_HI | n, n);
	}
	for (unsigned n = 0; n < domains; n++) {
		assert_int_equal(get(b, BASE_LO | n), n << 12);
		assert_int_equal(get(b, BASE_HI | n), n);
	}
	proves("svm.2.20.6.22 svm.2.20.6.23 svm.2.20.6.24 svm.2.20.6.25 svm.2.20.6.26 svm.2.20.5.5 svm.2.20.5.6 svm.2.20.1.1");
	for (unsigned n = 0; n < maps; n++) {
		put(b, MAP | n, ~0u);
		assert_int_equal(get(b, MAP | n), 0x0c3fffff); /* domain numbers of two bits */
		put(b, MAP | n, n);
	}
	for (unsigned n = 0; n < maps; n++)
		assert_int_equal(get(b, MAP | n), n);
	proves("svm.2.20.6.36 svm.2.20.5.7 svm.2.20.1.3");
}

/* What is not there: 0, and a write changes nothing. What is there once has no index. */
static void absent(void **state)
{
	struct box *b = *state;
	struct exclusion before;

	put(b, CR, NO_PROBE);
	before = b->x;
	for (unsigned op = 0; op < 0x10000; op++) {
		unsigned fn = op >> 8, index = op & 0xff;
		if (fn <= 7 && (fn >= 3 || index < 4))
			continue;
		assert_int_equal(get(b, op), 0);
		put(b, op, ~0u);
	}
	assert_memory_equal(&before, &b->x, sizeof(before));
	for (unsigned index = 0; index < 0x100; index++) {
		assert_int_equal(get(b, CAP | index), get(b, CAP));
		assert_int_equal(get(b, CR | index), NO_PROBE);
	}
	put(b, CR | 0x5a, IOSPEN);
	assert_int_equal(get(b, CR), IOSPEN);
	proves("svm.2.20.5.13 svm.2.20.5.8 svm.2.20.5.9 svm.2.20.5.16");
}

static void control(void **state)
{
	struct box *b = *state;

	assert_int_equal(get(b, CR), 0);
	put(b, CR, ~0u);
	assert_int_equal(get(b, CR), ENABLE | MEM_CLR_DIS | IOSPEN | MCE | NO_PROBE);
	proves("svm.2.20.6.8 svm.2.20.2.7 svm.2.20.6.13"); /* the invalidation is over */
	exclusion_reset(&b->x);
	assert_int_equal(get(b, CR), 0);
	proves("svm.2.20.6.7");
	exclusion_write(&b->x, CR, ~0u, false);
	assert_int_equal(get(b, CR), ENABLE | IOSPEN | MCE | NO_PROBE);
	exclusion_write(&b->x, CR, ~0u, true);
	assert_true(get(b, CR) & MEM_CLR_DIS);
	exclusion_write(&b->x, CR, 0, false);
	assert_int_equal(get(b, CR), MEM_CLR_DIS);
	put(b, CR, 0);
	assert_int_equal(get(b, CR), 0);
	proves("svm.2.20.6.18");
}

/* ---- walking ---- */

static void one_page(void **state)
{
	struct box *b = *state;

	give_table(b, 0, TABLE, 0, V);
	set_bit(b, TABLE, 0x5000, true);
	assert_true(may(b, 8, 0x5000)); /* not enabled yet */
	proves("svm.2.20.2.4 svm.2.20.6.20");
	put(b, CR, ENABLE);
	for (unsigned page = 0; page < 16; page++) {
		assert_int_equal(may(b, 8, page * 0x1000), page != 5);
		assert_int_equal(may(b, 8, page * 0x1000 + 0xfff), page != 5);
	}
	proves("svm.2.20.2.1 svm.2.20.3.2 svm.2.20.6.19 svm.2.20.6.31 svm.2.20.2.3");
	put(b, BASE_LO, TABLE); /* no V: nothing is looked up */
	put(b, CR, ENABLE | INVALIDATE);
	assert_true(may(b, 8, 0x5000));
	proves("svm.2.20.6.30");
}

/* SIZE and P: "4GB * 2^SIZE", and what lies beyond. A vector indexed by bits 39:12 ends at 1 TiB. */
static void reach(void **state)
{
	struct box *b = *state;

	put(b, CR, ENABLE);
	for (unsigned size = 0; size < 32; size++) {
		u64 end = size < 8 ? 4 * GIB << size : 1024 * GIB;
		for (unsigned flags = V; flags <= (V | P); flags += P) {
			give_table(b, 0, TABLE, size, flags);
			put(b, CR, ENABLE | INVALIDATE);
			assert_int_equal(may(b, 8, end), !(flags & P));
			assert_int_equal(may(b, 8, ~0ull), !(flags & P));
			/* The last page inside: a bit of the table, where there is one. */
			if (TABLE + (end >> 15) <= RAM) {
				assert_true(may(b, 8, end - 1));
				set_bit(b, TABLE, end - 1, true);
				put(b, CR, ENABLE | INVALIDATE);
				assert_false(may(b, 8, end - 1));
				set_bit(b, TABLE, end - 1, false);
			} else {
				assert_false(may(b, 8, end - 1)); /* the table runs out of memory */
			}
		}
	}
	proves("svm.2.20.6.27 svm.2.20.6.28 svm.2.20.6.29 svm.2.20.6.32");
}

/* MMIO above the DRAM has bits as everything else. */
static void mmio(void **state)
{
	struct box *b = *state;

	give_table(b, 0, TABLE, 0, V);
	set_bit(b, TABLE, 0xfee00000, true);
	set_bit(b, TABLE, 0xc0001000, true);
	put(b, CR, ENABLE);
	assert_false(may(b, 8, 0xfee00000));
	assert_true(may(b, 8, 0xfee01000));
	assert_false(may(b, 8, 0xc0001ffc));
	assert_true(may(b, 8, 0xc0000000));
	proves("svm.2.20.2.2");
}

/* An answer is about a page at most. */
static void page_by_page(void **state)
{
	struct box *b = *state;
	u64 len = 0x10000;

	assert_true(exclusion_allows(&b->x, &b->bus, 8, 0x1234, &len));
	assert_int_equal(len, 0x10000);
	give_table(b, 0, TABLE, 0, V);
	put(b, CR, ENABLE);
	assert_true(exclusion_allows(&b->x, &b->bus, 8, 0x1234, &len));
	assert_int_equal(len, 0x1000 - 0x234);
}

/* ---- DEV_MAP ---- */

static u32 map_of(unsigned bus, unsigned unit0, bool v0, unsigned dom0, unsigned unit1, bool v1, unsigned dom1)
{
	return unit0 | (u32)v0 << 5 | unit1 << 6 | (u32)v1 << 11 | bus << 12 | dom0 << 20 | dom1 << 26;
}

/* Each domain's table refuses one page alone: which one tells the domain. 4: none. */
static unsigned domain_seen(struct box *b, u16 requester)
{
	unsigned found = 4;

	for (unsigned n = 0; n < 4; n++) {
		if (!may(b, requester, 0x10000 + n * 0x1000ull)) {
			assert_int_equal(found, 4);
			found = n;
		}
	}
	return found;
}

static void mapping(void **state)
{
	struct box *b = *state;

	for (unsigned n = 0; n < 4; n++) {
		give_table(b, n, TABLE + n * 0x20000, 0, V);
		set_bit(b, TABLE + n * 0x20000, 0x10000 + n * 0x1000ull, true);
	}
	put(b, CR, ENABLE);
	for (unsigned r = 0; r < 0x10000; r += 37)
		assert_int_equal(domain_seen(b, (u16)r), 0);
	proves("svm.2.20.6.35");
	put(b, MAP | 0, map_of(0, 4, true, 1, 5, true, 2));
	put(b, MAP | 3, map_of(0x81, 31, true, 3, 4, false, 3));
	for (unsigned r = 0; r < 0x10000; r++) {
		unsigned bus = r >> 8, unit = r >> 3 & 31;
		unsigned want = bus == 0 && unit == 4 ? 1 : bus == 0 && unit == 5 ? 2 : bus == 0x81 && unit == 31 ? 3 : 0;
		assert_int_equal(domain_seen(b, (u16)r), want); /* functions of a device are one unit */
	}
	proves("svm.2.20.6.34 svm.2.20.6.37 svm.2.20.6.39 svm.2.20.6.40 svm.2.20.6.41 svm.2.20.6.42 svm.2.20.6.43 svm.2.20.1.2 "
	       "svm.2.20.3.1");
	put(b, MAP | 0, map_of(0, 4, false, 1, 5, true, 2));
	assert_int_equal(domain_seen(b, 4 << 3), 0);
	assert_int_equal(domain_seen(b, 5 << 3), 2);
	proves("svm.2.20.6.38");
	put(b, MAP | 1, map_of(0, 5, true, 1, 5, true, 3)); /* several match: the first */
	assert_int_equal(domain_seen(b, 5 << 3), 2);
	put(b, MAP | 0, 0);
	assert_int_equal(domain_seen(b, 5 << 3), 1);
}

/* ---- the cache ---- */

static void stale(void **state)
{
	struct box *b = *state;

	give_table(b, 0, TABLE, 0, V);
	put(b, CR, ENABLE);
	assert_true(may(b, 8, 0x5000));
	set_bit(b, TABLE, 0x5000, true);
	set_bit(b, TABLE, 0x45000, true); /* another word of the table, not looked at yet */
	assert_true(may(b, 8, 0x5000));
	assert_false(may(b, 8, 0x45000));
	put(b, CR, ENABLE | IOSPEN); /* no other bit, and no other register, is an invalidation */
	give_table(b, 0, TABLE + 0x20000, 0, V);
	give_table(b, 0, TABLE, 0, V);
	put(b, MAP, 0);
	assert_true(may(b, 8, 0x5000));
	proves("svm.2.20.2.5");
	put(b, CR, ENABLE | INVALIDATE);
	assert_int_equal(get(b, CR), ENABLE);
	assert_false(may(b, 8, 0x5000));
	set_bit(b, TABLE, 0x5000, false);
	assert_false(may(b, 8, 0x5000));
	put(b, CR, ENABLE | INVALIDATE);
	assert_true(may(b, 8, 0x5000));
	proves("svm.2.20.2.6 svm.2.20.2.8 svm.2.20.2.9");
}

/* Whether or not caches are probed, a table is what the last stores made it. */
static void probes(void **state)
{
	struct box *b = *state;

	give_table(b, 0, TABLE, 0, V);
	for (unsigned off = 0; off < 2; off++) {
		put(b, CR, ENABLE | INVALIDATE | (off ? NO_PROBE : 0));
		assert_int_equal(get(b, CR), ENABLE | (off ? NO_PROBE : 0));
		set_bit(b, TABLE, 0x6000, !off);
		assert_int_equal(may(b, 8, 0x6000), off);
	}
	proves("svm.2.20.2.10 svm.2.20.6.9");
}

/* ---- "Secure Initialization Support" ---- */

static void secure_loader(void **state)
{
	struct box *b = *state;

	exclusion_protect(&b->x, 0x30000);
	assert_int_equal(get(b, CR), SL_DEV_EN);
	proves("svm.2.20.6.10 svm.2.20.6.11");
	for (u64 pa = 0x2f000; pa < 0x42000; pa += 0xfff)
		assert_int_equal(may(b, 8, pa), pa < 0x30000 || pa >= 0x40000);
	proves("svm.2.20.8.2");
	put(b, CR, SL_DEV_EN | NO_PROBE);
	assert_int_equal(get(b, CR), SL_DEV_EN | NO_PROBE);
	assert_false(may(b, 8, 0x30000));
	/* No register shows or moves the region. */
	for (unsigned op = 0; op < 0x800; op++) {
		if (op >> 8 == CR >> 8)
			continue;
		assert_true(get(b, op) != 0x30000 && get(b, op) != 3);
		put(b, op, 0x50000);
		put(b, op, 0);
	}
	assert_false(may(b, 8, 0x30000));
	assert_true(may(b, 8, 0x50000));
	proves("svm.2.20.8.1");
	put(b, CR, 0);
	assert_int_equal(get(b, CR), 0);
	assert_true(may(b, 8, 0x30000));
	proves("svm.2.20.6.12 svm.2.20.8.7 svm.3.1.8.21");
	put(b, CR, SL_DEV_EN); /* software cannot set it */
	assert_int_equal(get(b, CR), 0);
	proves("svm.2.20.6.21");
	exclusion_protect(&b->x, 0xfff0000); /* with the tables, whichever refuses */
	give_table(b, 0, TABLE, 0, V);
	put(b, CR, SL_DEV_EN | ENABLE);
	assert_false(may(b, 8, 0xfff8000));
	assert_true(may(b, 8, 0x1000));
	exclusion_reset(&b->x);
	assert_true(may(b, 8, 0xfff8000));
}

/* ---- RESET and INIT ---- */

/* INIT ends what the tables do, and leaves where they are, and the secure loader's region; RESET leaves nothing. */
static void ends(void **state)
{
	struct box *b = *state;

	give_table(b, 0, TABLE, 0, V | P);
	set_bit(b, TABLE, 0x6000, true);
	put(b, MAP, 0x1234);
	exclusion_protect(&b->x, 0x30000);
	put(b, CR, ENABLE | SL_DEV_EN | IOSPEN | MCE | INVALIDATE);
	assert_false(may(b, 8, 0x6000));
	assert_false(may(b, 8, 0x30000));
	exclusion_init(&b->x);
	assert_int_equal(get(b, CR), SL_DEV_EN | IOSPEN | MCE);
	assert_true(may(b, 8, 0x6000));
	proves("svm.A.2.13");
	assert_int_equal(get(b, BASE_LO), (u32)TABLE | V | P);
	assert_int_equal(get(b, MAP), 0x1234);
	assert_false(may(b, 8, 0x30000));
	proves("svm.A.2.15 svm.A.2.16");
	put(b, CR, ENABLE | SL_DEV_EN);
	assert_false(may(b, 8, 0x6000));
	exclusion_reset(&b->x);
	assert_int_equal(get(b, CR), 0);
	assert_int_equal(get(b, BASE_LO), 0);
	assert_true(may(b, 8, 0x6000));
	assert_true(may(b, 8, 0x30000));
	proves("svm.A.1.10");
}

/* ---- the log ---- */

static void logging(void **state)
{
	struct box *b = *state;
	struct dma_request r = {.requester = 0x1234, .use = USE_WRITE};

	put(b, MAP | 2, map_of(0x12, 6, true, 3, 0, false, 0));
	assert_false(exclusion_log(&b->x, &r, 0x9876543210, true));
	assert_int_equal(get(b, ERR_STATUS), 1u << 31 | 3 << 24 | 0x12 << 16 | 6 << 8 | 2 << 5 | 1 << 2 | 2);
	assert_int_equal(get(b, ADDR_LO), 0x76543210);
	assert_int_equal(get(b, ADDR_HI), 0x98);
	proves("svm.2.20.7.1 svm.2.20.7.2 svm.2.20.5.10 svm.2.20.5.11 svm.2.20.5.12");
	put(b, CR, MCE);
	r.use = USE_READ;
	assert_true(exclusion_log(&b->x, &r, 0x1000, false)); /* the first stays, one bit says that there were more */
	assert_int_equal(get(b, ERR_STATUS), 3u << 30 | 3 << 24 | 0x12 << 16 | 6 << 8 | 2 << 5 | 1 << 2 | 2);
	assert_int_equal(get(b, ADDR_LO), 0x76543210);
	put(b, ERR_STATUS, 0);
	assert_int_equal(get(b, ERR_STATUS), 0);
	assert_true(exclusion_log(&b->x, &r, 0x1000, false));
	assert_int_equal(get(b, ERR_STATUS), 1u << 31 | 3 << 24 | 0x12 << 16 | 6 << 8 | 2 << 5 | 2 << 2 | 1);
	assert_int_equal(get(b, ADDR_LO), 0x1000);
	proves("svm.2.20.7.4");
}

/* ---- all of it, drawn ---- */

/* A second evaluation of the text, from the written registers alone: no cache, no words, one bit. */
struct judge {
	u32 lo[4], hi[4], map[4], cr;
	u64 sl;
	const u8 *memory;
};

static bool judged(const struct judge *j, unsigned requester, u64 pa)
{
	unsigned bus = requester / 256, unit = requester / 8 % 32, dom = 0;
	bool found = false;

	if ((j->cr & SL_DEV_EN) && pa / 65536 == j->sl / 65536)
		return false;
	if (!(j->cr & ENABLE))
		return true;
	for (unsigned n = 0; n < 8 && !found; n++) {
		u32 m = j->map[n / 2];
		unsigned u = n % 2 ? m >> 6 & 31 : m & 31, valid = n % 2 ? m >> 11 & 1 : m >> 5 & 1;
		if (valid && u == unit && (m >> 12 & 255) == bus) {
			dom = (n % 2 ? m >> 26 : m >> 20) & 3;
			found = true;
		}
	}
	if (!(j->lo[dom] % 2))
		return true;
	unsigned size = j->lo[dom] / 4 % 32;
	if (pa >= 1024 * GIB || (size < 8 && pa / GIB >= 4u << size))
		return !(j->lo[dom] & P);
	u64 at = (u64)(j->hi[dom] & 255) * 4 * GIB + (j->lo[dom] / 4096) * 4096ull + pa / 4096 / 8;
	return at < RAM && !(j->memory[at] >> pa / 4096 % 8 & 1);
}

static u64 some_address(void)
{
	static const u64 edges[] = {0, 0x10000, RAM, 1 * GIB, 4 * GIB, 8 * GIB, 512 * GIB, 1024 * GIB, 0xfee00000, 0xb0000000};

	switch (rnd() % 4) {
	case 0: return edges[rnd() % ARRAY_LEN(edges)] + rnd() % 0x20000 - 0x10000;
	case 1: return rnd() >> (24 + rnd() % 16);
	default: return rnd() % (64 << 20);
	}
}

static void draw_registers(struct box *b, struct judge *j)
{
	for (unsigned n = 0; n < 4; n++) {
		j->lo[n] = (u32)(rnd() % RAM & ~0xfffull) | (u32)(rnd() % 4 ? rnd() % 3 : rnd() % 32) << 2 | (rnd() % 4 != 0) |
			   (u32)(rnd() % 2) << 1;
		j->hi[n] = rnd() % 8 ? 0 : (u32)rnd();
		j->map[n] = (u32)rnd() & 0xfff00fff;
		j->map[n] |= (u32)(rnd() % 2) << 12;
		put(b, BASE_LO | n, j->lo[n]);
		put(b, BASE_HI | n, j->hi[n]);
		put(b, MAP | n, j->map[n]);
	}
	j->cr = (rnd() % 8 ? ENABLE : 0) | (rnd() % 3 ? 0 : SL_DEV_EN) | (rnd() % 2 ? NO_PROBE : 0);
	j->sl = rnd() % RAM & ~0xffffull;
	put(b, CR, 0);
	if (j->cr & SL_DEV_EN)
		exclusion_protect(&b->x, j->sl);
	put(b, CR, j->cr | INVALIDATE);
}

static void drawn_walks(void **state)
{
	struct box *b = *state;
	struct judge j = {.memory = b->bus.memory};
	enum { ROUNDS = 200, ASKED = 500 };

	drawn_begin();
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned n = 0; n < 0x10000; n++)
			b->bus.memory[rnd() % RAM] = (u8)rnd();
		draw_registers(b, &j);
		for (unsigned n = 0; n < ASKED; n++) {
			u16 requester = (u16)(rnd() % 512);
			u64 pa = some_address();
			assert_int_equal(may(b, requester, pa), judged(&j, requester, pa));
		}
	}
	drawn_end((unsigned long long)ROUNDS * ASKED);
	proves("svm.2.20.6.44"); /* decided: the first that matches */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(formats), TEST(absent), TEST(control), TEST(one_page), TEST(reach), TEST(mmio), TEST(page_by_page),
		TEST(mapping), TEST(stale), TEST(probes), TEST(secure_loader), TEST(ends), TEST(logging), TEST(drawn_walks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
