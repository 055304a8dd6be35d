/*
 * The decoded-block cache of a machine. A block is a straight run of instructions inside one page of memory, keyed by
 * (place in memory, mode), so that it stays right wherever the page is mapped; all blocks lie in one bounded arena that is
 * recycled whole, and takes memory as it fills; the tables grow with what is in it. A store into a page that holds code
 * invalidates the blocks it touches and ends the running one after that instruction.
 */
#include "cpu/decode/index.h"
#include "cpu/state/debug.h"
#include "cpu/state/events.h"
#include "cpu/state/phys.h"

#include <sys/mman.h>

#define HASH_FIRST   12      /* bits */
#define HASH_MOST    20
#define PAGES_FIRST  8
#define PAGES_MOST   16
#define JUMP_SIZE    (1u << 14)
#define NO_SUCCESSOR 0xffffu /* no page offset */
#define KEY_PLACE    BLOCK_KEY_PLACE
#define KEY_ONE      BLOCK_KEY_ONE
#define KEY_CUT      BLOCK_KEY_CUT
#define BLOCK_BYTES(n) (sizeof(struct block) + ((size_t)(n) + 1) * sizeof(struct insn))

struct code_page {
	u64 number; /* of the page of memory */
	struct block *blocks;
	struct code_page *next;
};

/* Chains behind 2 to the power of `bits` heads. */
struct table {
	void **head;
	unsigned bits, most;
	size_t used; /* links in all chains */
};

struct code_cache {
	struct bus *bus;
	struct observer stores;
	struct cpu *running; /* whose block a store may hit */
	u8 *arena;
	size_t size, used;
	u32 generation;      /* arena recycled: every block pointer held elsewhere is void */
	u64 built;           /* statistics */
	const struct translator *translator; /* NULL: there is none */
	struct table blocks; /* struct block, by hash_next */
	struct table pages;  /* struct code_page, by next */
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

/* ---- tables ---- */

static void **head_of(const struct table *t, u64 key)
{
	return &t->head[key * 0x9e3779b97f4a7c15ull >> (64 - t->bits)];
}

static struct block **block_head(const struct code_cache *cc, u64 key)
{
	return (struct block **)head_of(&cc->blocks, key);
}

static struct code_page **page_head(const struct code_cache *cc, u64 number)
{
	return (struct code_page **)head_of(&cc->pages, number);
}

static bool table_new(struct table *t, unsigned bits, unsigned most)
{
	*t = (struct table){.head = base_alloc(sizeof(void *) << bits), .bits = bits, .most = most};
	return t->head;
}

/* A link more. Where chains become long on average, and there is memory, the table is twice as large from here on: `move`
 * brings the chains of the old one over. */
static void table_linked(struct code_cache *cc, struct table *t, void (*move)(struct code_cache *cc, void *first))
{
	const struct table old = *t;
	struct table twice;

	if (t->used++ < (size_t)1 << old.bits || old.bits == old.most || !table_new(&twice, old.bits + 1, old.most))
		return;
	twice.used = t->used;
	*t = twice;
	for (size_t n = 0; n < (size_t)1 << old.bits; n++)
		move(cc, old.head[n]);
	base_free(old.head);
}

static void move_blocks(struct code_cache *cc, void *first)
{
	struct block *next;

	for (struct block *b = first; b; b = next) {
		struct block **head = block_head(cc, b->key);

		next = b->hash_next;
		b->hash_next = *head;
		*head = b;
	}
}

static void move_pages(struct code_cache *cc, void *first)
{
	struct code_page *next;

	for (struct code_page *p = first; p; p = next) {
		struct code_page **head = page_head(cc, p->number);

		next = p->next;
		p->next = *head;
		*head = p;
	}
}

/* ---- life ---- */

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
	for (size_t k = 0; k < (size_t)1 << cc->pages.bits; k++)
		for (struct code_page *p = cc->pages.head[k]; p; p = p->next)
			cc->bus->memory_flags[p->number] &= (u8)~PAGE_CODE;
	memset(cc->blocks.head, 0, sizeof(void *) << cc->blocks.bits);
	memset(cc->pages.head, 0, sizeof(void *) << cc->pages.bits);
	cc->blocks.used = cc->pages.used = 0;
	cc->used = 0;
	cc->generation++;
	if (cc->translator)
		cc->translator->flushed(cc->translator->arg);
}

static void unhash(struct code_cache *cc, struct block *b)
{
	struct block **p = block_head(cc, b->key);

	while (*p && *p != b)
		p = &(*p)->hash_next;
	if (!*p)
		return;
	*p = b->hash_next;
	cc->blocks.used--;
}

/* Drop the blocks of one page that overlap [from, to) and say whether any is left. */
static bool drop_blocks(struct code_cache *cc, struct code_page *p, u64 from, u64 to)
{
	struct block **link = &p->blocks;

	while (*link) {
		struct block *b = *link;
		u64 place = b->key >> KEY_PLACE;

		if (place < to && place + b->reach > from) {
			*link = b->page_next;
			b->valid = false;
			unhash(cc, b);
			if (b->native)
				cc->translator->dropped(cc->translator->arg, b);
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
	struct code_page **link = page_head(cc, number);

	while (*link && (*link)->number != number)
		link = &(*link)->next;
	if (!*link || drop_blocks(cc, *link, place, place + w->len))
		return;
	*link = (*link)->next;
	cc->pages.used--;
	cc->bus->memory_flags[number] &= (u8)~PAGE_CODE;
}

static void *map_arena(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void release(struct code_cache *cc)
{
	if (cc->arena)
		munmap(cc->arena, cc->size);
	base_free(cc->blocks.head);
	base_free(cc->pages.head);
	base_free(cc);
}

enum status code_cache_new(struct code_cache **out, struct bus *bus)
{
	struct code_cache *cc = base_alloc(sizeof(*cc));

	if (!cc)
		return ST_NOMEM;
	cc->size = CODE_CACHE_USUAL;
	cc->arena = map_arena(cc->size);
	if (!cc->arena || !table_new(&cc->blocks, HASH_FIRST, HASH_MOST) || !table_new(&cc->pages, PAGES_FIRST, PAGES_MOST)) {
		release(cc);
		return ST_NOMEM;
	}
	cc->bus = bus;
	cc->stores = (struct observer){.pages = PAGE_CODE, .written = code_written, .arg = cc};
	bus_observe(bus, &cc->stores);
	*out = cc;
	return ST_OK;
}

enum status code_cache_limit(struct code_cache *cc, u64 size)
{
	u8 *arena = map_arena(size);

	if (!arena)
		return ST_NOMEM;
	code_cache_flush(cc);
	munmap(cc->arena, cc->size);
	cc->arena = arena;
	cc->size = size;
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
	release(cc);
}

void code_cache_translate(struct code_cache *cc, const struct translator *t)
{
	cc->translator = t;
}

/* ---- building ---- */
static void page_add(struct code_cache *cc, struct block *b)
{
	u64 number = b->key >> KEY_PLACE >> PAGE_SHIFT;
	struct code_page **head = page_head(cc, number), *p = *head;

	while (p && p->number != number)
		p = p->next;
	if (!p) {
		p = arena_take(cc, sizeof(*p));
		p->number = number;
		p->blocks = NULL;
		p->next = *head;
		*head = p;
		table_linked(cc, &cc->pages, move_pages);
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
	struct block *b = *block_head(cc, key);

	while (b && b->key != key)
		b = b->hash_next;
	return b;
}

struct block *code_cache_peek(struct code_cache *cc, u64 key)
{
	return lookup(cc, key);
}

/* bytes: of those there, up to the page's end or a breakpoint. */
static struct block *build(struct cpu *c, u64 key, const struct fetch *f, size_t bytes, unsigned max)
{
	struct code_cache *cc = c->code;

	if (cc->used + BLOCK_BYTES(BLOCK_MAX) + sizeof(struct code_page) + 128 > cc->size)
		code_cache_flush(cc);
	struct block *b = (struct block *)(cc->arena + cc->used);

	memset(b, 0, sizeof(*b));
	fill_block(c, b, f->host, bytes, max);
	if (b->n == 0)
		return NULL;
	if (unlikely(key & KEY_CUT))
		b->linkable = false;
	b->reach = (u16)(b->insn[b->n - 1].off + decode_reach(&b->insn[b->n - 1], bytes - b->insn[b->n - 1].off));
	arena_take(cc, BLOCK_BYTES(b->n));
	cc->built++;
	b->key = key;
	b->valid = true;
	b->succ[0].off = b->succ[1].off = NO_SUCCESSOR;
	b->hash_next = *block_head(cc, key);
	*block_head(cc, key) = b;
	table_linked(cc, &cc->blocks, move_blocks);
	page_add(cc, b);
	if (cc->translator && !(key & (KEY_ONE | KEY_CUT)))
		cc->translator->built(cc->translator->arg, c, b);
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
