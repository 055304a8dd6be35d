/*
 * The decoded-block cache of a machine. A block is a straight run of instructions inside one page of memory, keyed by
 * (place in memory, mode), so that it stays right wherever the page is mapped; all blocks lie in one bounded arena that is
 * recycled whole. A store into a page that holds code invalidates the blocks it touches and ends the running one after
 * that instruction.
 */
#include "cpu/decode/index.h"
#include "cpu/state/debug.h"
#include "cpu/state/events.h"
#include "cpu/state/phys.h"

#include <sys/mman.h>

#define ARENA_SIZE   (32u << 20)
#define HASH_SIZE    (1u << 15)
#define PAGES_SIZE   (1u << 12)
#define JUMP_SIZE    (1u << 12)
#define NO_SUCCESSOR 0xffffu /* no page offset */
#define KEY_PLACE    16      /* in a key: the place in memory, above the mode */
#define KEY_ONE      0x80u   /* beside the mode: a block of one instruction */
#define KEY_CUT      0x100u  /* a block in a page with a debugger's breakpoint: followed by no other but through block_next() */
#define BLOCK_BYTES(n) (sizeof(struct block) + ((size_t)(n) + 1) * sizeof(struct insn))

struct code_page {
	u64 number; /* of the page of memory */
	struct block *blocks;
	struct code_page *next;
};

struct code_cache {
	struct bus *bus;
	struct observer stores;
	struct cpu *running; /* whose block a store may hit */
	u8 *arena;
	size_t used;
	u32 generation;      /* arena recycled: every block pointer held elsewhere is void */
	u64 built;           /* statistics */
	struct block *hash[HASH_SIZE];
	struct code_page *pages[PAGES_SIZE];
};

/* Linear address -> block, valid within one translation context. */
struct jump_entry {
	u64 la, ctx;
	struct block *b;
};
struct jump_cache {
	u32 generation;
	struct jump_entry e[JUMP_SIZE];
	struct block *scratch;
};

static const struct insn_row end_row = {.form = "(end)"};

static unsigned hash_key(u64 key)
{
	return (unsigned)((key * 0x9e3779b97f4a7c15ull) >> 49);
}

enum status decode_cpu_init(struct cpu *c)
{
	c->jumps = base_alloc(sizeof(*c->jumps));
	if (!c->jumps)
		return ST_NOMEM;
	c->jumps->scratch = base_alloc(BLOCK_BYTES(BLOCK_MAX));
	return c->jumps->scratch ? ST_OK : ST_NOMEM;
}

void decode_cpu_fini(struct cpu *c)
{
	if (!c->jumps)
		return;
	base_free(c->jumps->scratch);
	base_free(c->jumps);
	c->jumps = NULL;
}

static void *arena_take(struct code_cache *cc, size_t n)
{
	void *p = cc->arena + cc->used;

	cc->used += (n + 63) & ~(size_t)63;
	return p;
}

void code_cache_flush(struct code_cache *cc)
{
	for (unsigned k = 0; k < PAGES_SIZE; k++) {
		for (struct code_page *p = cc->pages[k]; p; p = p->next) {
			cc->bus->memory_flags[p->number] &= (u8)~PAGE_CODE;
		}
	}
	memset(cc->hash, 0, sizeof(cc->hash));
	memset(cc->pages, 0, sizeof(cc->pages));
	cc->used = 0;
	cc->generation++;
}

static void unhash(struct code_cache *cc, struct block *b)
{
	struct block **p = &cc->hash[hash_key(b->key)];

	while (*p && *p != b)
		p = &(*p)->hash_next;
	if (*p)
		*p = b->hash_next;
}

/* Drop the blocks of one page that overlap [from, to) and say whether any is left. */
static bool drop_blocks(struct code_cache *cc, struct code_page *p, u64 from, u64 to)
{
	struct block **link = &p->blocks;

	while (*link) {
		struct block *b = *link;
		u64 place = b->key >> KEY_PLACE;

		if (place < to && place + b->bytes > from) {
			*link = b->page_next;
			b->valid = false;
			unhash(cc, b);
			if (cc->running)
				cc->running->kick = 1;
		} else {
			link = &b->page_next;
		}
	}
	return p->blocks != NULL;
}

static void code_written(void *arg, const struct written *w)
{
	struct code_cache *cc = arg;
	u64 place = mem_place(cc->bus, w->host), number = place >> PAGE_SHIFT;
	struct code_page **link = &cc->pages[number % PAGES_SIZE];

	while (*link && (*link)->number != number)
		link = &(*link)->next;
	if (!*link || drop_blocks(cc, *link, place, place + w->len))
		return;
	*link = (*link)->next;
	cc->bus->memory_flags[number] &= (u8)~PAGE_CODE;
}

/* ---- life ---- */
enum status code_cache_new(struct code_cache **out, struct bus *bus)
{
	struct code_cache *cc = base_alloc(sizeof(*cc));

	if (!cc)
		return ST_NOMEM;
	cc->arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (cc->arena == MAP_FAILED) {
		base_free(cc);
		return ST_NOMEM;
	}
	cc->bus = bus;
	cc->stores = (struct observer){.pages = PAGE_CODE, .written = code_written, .arg = cc};
	bus_observe(bus, &cc->stores);
	*out = cc;
	return ST_OK;
}

u64 code_cache_built(const struct code_cache *cc)
{
	return cc->built;
}

void code_cache_free(struct code_cache *cc)
{
	if (!cc)
		return;
	bus_unobserve(cc->bus, &cc->stores);
	munmap(cc->arena, ARENA_SIZE);
	base_free(cc);
}

/* ---- building ---- */
static void page_add(struct code_cache *cc, struct block *b)
{
	u64 number = b->key >> KEY_PLACE >> PAGE_SHIFT;
	struct code_page **head = &cc->pages[number % PAGES_SIZE], *p = *head;

	while (p && p->number != number)
		p = p->next;
	if (!p) {
		p = arena_take(cc, sizeof(*p));
		p->number = number;
		p->blocks = NULL;
		p->next = *head;
		*head = p;
		cc->bus->memory_flags[number] |= PAGE_CODE;
	}
	b->page_next = p->blocks;
	p->blocks = b;
}

static void add_end(const struct cpu *c, struct block *b)
{
	struct insn *e = &b->insn[b->n];

	memset(e, 0, sizeof(*e));
	e->row = &end_row;
	e->fn = e->fast = c->decode->how->end;
	e->off = b->bytes;
	e->idx = (u8)b->n;
	b->cost = b->n;
}

/* XCHG BX, BX, which does nothing, as a breakpoint: it completes, and the processor stops behind it. */
static enum xr magic(struct cpu *c, const struct insn *i)
{
	(void)i;
	debug_stop(c, DEBUG_MAGIC);
	return XR_OK;
}

static cold void bind_magic(const struct cpu *c, const u8 *bytes, struct insn *i)
{
	unsigned prefix = (c->mode & MODE_SIZE) != MODE_16;

	if (!c->debug->points->magic || i->len != 2 + prefix || bytes[prefix] != 0x87 || bytes[prefix + 1] != 0xdb)
		return;
	if (prefix && bytes[0] != 0x66)
		return;
	i->fn = magic;
	i->fast = c->decode->how->call;
}

/* Decode from `bytes` until a branch, the end of the bytes, or max instructions. 0 decoded: the first needs more bytes. */
static void fill_block(const struct cpu *c, struct block *b, const u8 *bytes, size_t n, unsigned max)
{
	b->n = 0;
	b->bytes = 0;
	b->linkable = true;
	while (b->n < max && b->bytes < n) {
		struct insn *i = &b->insn[b->n];

		i->off = b->bytes;
		i->idx = (u8)b->n;
		int len = decode_bytes(c, c->mode, bytes + b->bytes, n - b->bytes, i);

		if (len == 0)
			break;
		if (unlikely(c->debug))
			bind_magic(c, bytes + b->bytes, i);
		b->n++;
		b->bytes = (u16)(b->bytes + len);
		if (i->row->flags & (ROW_BRANCH | ROW_END)) {
			b->linkable = !(i->row->flags & ROW_END);
			break;
		}
	}
	add_end(c, b);
}

static size_t limited(const struct cpu *c, u64 ip, size_t n)
{
	if (mode64(c))
		return n;
	u64 limit = c->seg[SEG_CS].limit;

	return ip > limit ? 0 : (size_t)min_u64(n, limit - ip + 1);
}

static void fetch_bytes(struct cpu *c, const struct fetch *f, void *buf, size_t n)
{
	if (f->host)
		memcpy(buf, f->host, n);
	else
		cpu_read(c, BY_CPU, f->pa, buf, n);
}

/* One instruction, not cached: it crosses a page, lies outside RAM, or is cut by the segment limit. */
static enum xr scratch_block(struct cpu *c, la_t la, const struct fetch *f, struct block **out)
{
	struct block *b = c->jumps->scratch;
	u8 bytes[ZYDIS_MAX_INSTRUCTION_LENGTH];
	size_t want = limited(c, c->r[REG_RIP], sizeof(bytes)), here = (size_t)min_u64(want, PAGE_SIZE - (la & ~PAGE_MASK));

	if (want == 0)
		return fault_gp(c, 0);
	memset(b, 0, sizeof(*b));
	b->valid = b->scratch = true;
	fetch_bytes(c, f, bytes, here);
	fill_block(c, b, bytes, here, 1);
	if (b->n == 0 && here < want) {
		struct fetch second;

		TRY(mmu_fetch(c, (la & PAGE_MASK) + PAGE_SIZE, &second));
		fetch_bytes(c, &second, bytes + here, want - here);
		fill_block(c, b, bytes, want, 1);
	}
	if (b->n == 0)
		return fault_gp(c, 0); /* the segment limit cuts it */
	b->linkable = false;
	*out = b;
	return XR_OK;
}

static struct block *lookup(struct code_cache *cc, u64 key)
{
	struct block *b = cc->hash[hash_key(key)];

	while (b && b->key != key)
		b = b->hash_next;
	return b;
}

/* bytes: of those there, up to the page's end or a breakpoint. */
static struct block *build(struct cpu *c, u64 key, const struct fetch *f, size_t bytes, unsigned max)
{
	struct code_cache *cc = c->code;

	if (cc->used + BLOCK_BYTES(BLOCK_MAX) + sizeof(struct code_page) + 128 > ARENA_SIZE)
		code_cache_flush(cc);
	struct block *b = (struct block *)(cc->arena + cc->used);

	memset(b, 0, sizeof(*b));
	fill_block(c, b, f->host, bytes, max);
	if (b->n == 0)
		return NULL;
	if (unlikely(key & KEY_CUT))
		b->linkable = false;
	arena_take(cc, BLOCK_BYTES(b->n));
	cc->built++;
	b->key = key;
	b->valid = true;
	b->succ[0].off = b->succ[1].off = NO_SUCCESSOR;
	b->hash_next = cc->hash[hash_key(key)];
	cc->hash[hash_key(key)] = b;
	page_add(cc, b);
	return b;
}

static enum xr block_lookup(struct cpu *c, la_t la, struct block **out)
{
	struct fetch f;
	u64 ahead = 0, bytes = PAGE_SIZE - (la & ~PAGE_MASK);

	TRY(mmu_fetch(c, la, &f));
	if (unlikely(c->debug))
		TRY(debug_fetch(c, la, f.pa, &ahead));
	if (!f.host || c->stress.no_blocks || ahead == 1)
		return scratch_block(c, la, &f, out);
	if (ahead)
		bytes = ahead;

	/* The careful loop takes one instruction at a time: single steps, the monitor trap flag, shadows. */
	u64 key = mem_place(c->bus, f.host) << KEY_PLACE | c->mode | (c->careful ? KEY_ONE : 0) | (ahead ? KEY_CUT : 0);
	struct block *b = lookup(c->code, key);

	if (!b)
		b = build(c, key, &f, bytes, c->careful ? 1 : BLOCK_MAX);
	if (!b || b->bytes > bytes || !block_fits(c, b))
		return scratch_block(c, la, &f, out);
	*out = b;
	return XR_OK;
}

/* b was followed by next: next time the run loop need not ask. Within one linear page both go together; another page
 * leads there for one processor, in one context. */
static void link_blocks(struct cpu *c, struct block *b, struct block *next, u64 before)
{
	bool page_aligned = mode64(c) || !(c->seg[SEG_CS].base & ~PAGE_MASK), near = !((c->r[REG_RIP] ^ before) & PAGE_MASK);
	unsigned k = b->succ_turn & 1;

	if (!b->linkable || next->scratch || !page_aligned || (!near && (!mode64(c) || c->ctx == MMU_CTX_NEVER)))
		return;
	b->succ_turn++;
	if (near) {
		b->succ[k].off = c->r[REG_RIP] & ~PAGE_MASK;
		b->succ[k].b = next;
	} else {
		b->far[k].rip = c->r[REG_RIP];
		b->far[k].context = block_context(c);
		b->far[k].b = next;
	}
}

enum xr block_next(struct cpu *c, struct block *prev, u64 before, struct block **out)
{
	struct jump_cache *j = c->jumps;
	la_t la = mode64(c) ? c->r[REG_RIP] : (u32)(c->seg[SEG_CS].base + c->r[REG_RIP]);
	struct jump_entry *e = &j->e[(la ^ la >> 12) % JUMP_SIZE];
	u64 ctx = block_context(c); /* MMU_CTX_NEVER is never stored */
	u32 generation = c->code->generation;

	c->code->running = c;
	if (unlikely(j->generation != generation)) {
		memset(j->e, 0, sizeof(j->e));
		j->generation = generation;
	}
	if (unlikely(!e->b || e->la != la || e->ctx != ctx || !e->b->valid || c->careful || !block_fits(c, e->b))) {
		TRY(block_lookup(c, la, out));
		if (generation != c->code->generation)
			return XR_OK; /* prev is gone with the arena */
		if (!(*out)->scratch && c->ctx != MMU_CTX_NEVER)
			*e = (struct jump_entry){.la = la, .ctx = ctx, .b = *out};
	} else {
		*out = e->b;
	}
	if (prev)
		link_blocks(c, prev, *out, before);
	return XR_OK;
}
