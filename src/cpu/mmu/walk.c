/*
 * The page walker: the formats as data, and the one loop over them. Nothing here knows who asks.
 */
#include "cpu/mmu/walk.h"

#include "cpu/mmu/mmu_priv.h"

/*
 * The formats. "32-Bit Paging", "PAE Paging", "4-Level Paging and 5-Level Paging", "The Extended Page Table Mechanism"
 * (SDM 3); "Legacy-Mode Page Translation", "Long-Mode Page Translation" (APM 2). What is reserved by MAXPHYADDR,
 * EFER.NXE or model is the request's business. Bit 7 stands in a mask for the levels and models where it maps no page;
 * where it does, the entry is judged by the other mask.
 */
#define RANGE(hi, lo) ((~0ull >> (63 - ((hi) - (lo)))) << (lo))
/* clang-format off */
const struct walk_format walk_legacy = {
	.name = "32-bit", .levels = 2, .entry_size = 4, .addr_bits = 32,
	.accessed = PTE_A, .dirty = PTE_D,
	.level = { { "PDE", 0, 0, 0 }, { "PTE", 0, 0, 0 } }, /* 4 MiB pages: see reserved_bits() */
};
const struct walk_format walk_pae = {
	.name = "PAE", .levels = 3, .entry_size = 8, .addr_bits = 32,
	.deny = PTE_NX, .accessed = PTE_A, .dirty = PTE_D,
	.level = {
		{ "PDPTE", RANGE(2, 1) | RANGE(8, 5) | RANGE(63, 52), 0, PTE_W | PTE_U },
		{ "PDE", RANGE(62, 52), RANGE(62, 52) | RANGE(20, 13), 0 },
		{ "PTE", 0, RANGE(62, 52), 0 },
	},
};
#define LONG_TAIL \
		{ "PDPTE", PTE_PS, RANGE(29, 13), 0 }, { "PDE", PTE_PS, RANGE(20, 13), 0 }, { "PTE", 0, 0, 0 }
const struct walk_format walk_long4 = {
	.name = "4-level", .levels = 4, .entry_size = 8, .addr_bits = 48,
	.deny = PTE_NX, .accessed = PTE_A, .dirty = PTE_D,
	.level = { { "PML4E", PTE_PS, 0, 0 }, LONG_TAIL },
};
const struct walk_format walk_long5 = {
	.name = "5-level", .levels = 5, .entry_size = 8, .addr_bits = 57,
	.deny = PTE_NX, .accessed = PTE_A, .dirty = PTE_D,
	.level = { { "PML5E", PTE_PS, 0, 0 }, { "PML4E", PTE_PS, 0, 0 }, LONG_TAIL },
};
#define EPT_TAIL \
		{ "EPT PML4E", RANGE(7, 3), 0, 0 }, { "EPT PDPTE", RANGE(7, 3), RANGE(29, 12), 0 }, \
		{ "EPT PDE", RANGE(7, 3), RANGE(20, 12), 0 }, { "EPT PTE", 0, 0, 0 }
const struct walk_format walk_ept4 = {
	.name = "EPT 4-level", .levels = 4, .entry_size = 8, .addr_bits = 48,
	.accessed = EPT_A, .dirty = EPT_D, .level = { EPT_TAIL },
};
const struct walk_format walk_ept5 = {
	.name = "EPT 5-level", .levels = 5, .entry_size = 8, .addr_bits = 57,
	.accessed = EPT_A, .dirty = EPT_D, .level = { { "EPT PML5E", RANGE(7, 3), 0, 0 }, EPT_TAIL },
};
/* clang-format on */

/* ---- a mode ---- */

static const struct walk_level *level_row(const struct walk_format *f, unsigned level)
{
	return &f->level[f->levels - level];
}

/* "Formats of CR3 and Paging-Structure Entries with 32-Bit Paging": M is 32 without PSE-36. */
static u64 legacy_reserved(const struct walk_rules *u, unsigned level, bool page)
{
	unsigned m = u->pse36 ? (unsigned)min_u64(40, u->phys_bits) : 32;

	return page && level == 2 ? mask(21, m - 19) : 0;
}

static u64 reserved_bits(const struct walk_rules *u, unsigned level, bool page)
{
	const struct walk_level *l = level_row(u->format, level);
	u64 high = u->phys_bits < 52 ? mask(51, u->phys_bits) : 0;

	if (u->format->entry_size == 4)
		return legacy_reserved(u, level, page);
	return (page ? l->reserved_page : l->reserved) | high | u->reserved |
	       (level >= 3 && !page ? u->reserved_upper : 0);
}

void walk_mode_set(struct walk_mode *m, const struct walk_rules *rules)
{
	*m = (struct walk_mode){.rules = *rules, .fields = rules->bad_perms || rules->bad_memtypes};
	for (unsigned level = 1; level <= rules->format->levels; level++) {
		m->maps[level] = level == 1 ? ~0ull : rules->large & (1u << level) ? PTE_PS : 0;
		m->bad[false][level] = reserved_bits(rules, level, false);
		m->bad[true][level] = reserved_bits(rules, level, true);
	}
}

/* ---- table entries in memory ---- */

/* Tables of one walk mostly lie in one part of memory: *part is the last one met. NULL: elsewhere. */
static inline const u8 *entry_in_memory(const struct cpu *c, pa_t pa, const struct space_part **part)
{
	if (unlikely(pa - (*part)->base >= (*part)->size || !((*part)->uses & USE_READ))) {
		const struct space_part *p = space_find(cpu_sees(c), pa, USE_READ);

		if (unlikely(!p))
			return NULL;
		*part = p;
	}
	return space_host(*part, pa);
}

static inline void note_entry(struct walk_memo *m, const u8 *at, u64 entry)
{
	if (unlikely(!at || m->n == WALK_LEVELS)) {
		m->n = WALK_LEVELS;
		return;
	}
	m->at[m->n] = at;
	m->value[m->n++] = entry;
}

static inlined u64 load_entry(struct cpu *c, const struct walk_request *q, unsigned size, pa_t pa,
                              const struct space_part **part)
{
	const u8 *at = entry_in_memory(c, pa, part);
	u64 v = 0;

	if (likely(at))
		memcpy(&v, at, size);
	else
		v = size == 8 ? cpu_read_u64(c, BY_WALK, pa) : cpu_read_u32(c, BY_WALK, pa);
	if (q->memo && size == sizeof(v))
		note_entry(q->memo, at, v);
	return v;
}

/* ---- table entries behind a second stage ---- */

static bool recall(const struct cpu *c, const struct walk_memo *m, u64 addr, struct walk_result *r)
{
	u64 changed = 0, now;

	if (m->page != addr >> PAGE_SHIFT || m->mode != c->stage2_mode || m->root != c->stage2_root ||
	    m->map != cpu_sees(c)->generation)
		return false;
	for (unsigned n = 0; n < m->n; n++) {
		memcpy(&now, m->at[n], sizeof(now));
		changed |= now ^ m->value[n];
	}
	if (changed || m->pa == c->trap_page)
		return false;
	r->entry_pa = m->pa | (addr & ~PAGE_MASK);
	r->entry_dirty_ok = m->dirty_ok;
	r->unguarded |= m->unguarded;
	return true;
}

static void remember(const struct cpu *c, struct walk_memo *m, u64 addr, bool unguarded, const struct walk_result *r)
{
	if (m->n == 0 || m->n == WALK_LEVELS)
		return;
	m->root = c->stage2_root;
	m->mode = c->stage2_mode;
	m->map = cpu_sees(c)->generation;
	m->page = addr >> PAGE_SHIFT;
	m->pa = r->entry_pa & PAGE_MASK;
	m->dirty_ok = r->entry_dirty_ok;
	m->unguarded = unguarded;
}

static enum xr ask_stage2(struct cpu *c, const struct walk_request *q, u64 addr, bool write, struct walk_memo *memo,
                          struct walk_result *r)
{
	struct stage2_req s = {
	        .gpa = addr,
	        .why = S2_TABLE,
	        .access = write ? ACC_READ | ACC_WRITE : ACC_READ,
	        .user = false,
	        .set_dirty = write,
	        .linear = q->addr,
	        .has_linear = true,
	        .peek = q->peek,
	        .memo = memo,
	};
	struct stage2_res out;

	c->tlb.count.second += !q->peek;
	TRY(c->virt->memory.stage2(c, &s, &out));
	r->entry_pa = cpu_phys(c, out.pa);
	r->entry_dirty_ok = (out.perms & ACC_WRITE) && out.dirty_ok;
	r->unguarded |= out.unguarded;
	if (memo)
		remember(c, memo, addr, out.unguarded, r);
	return XR_OK;
}

/* For reads only: an accessed or dirty bit to be set wants a walk of its own. */
static inline enum xr nested_address(struct cpu *c, const struct walk_request *q, u64 addr, struct walk_result *r)
{
	struct walk_memo *m = &c->l1_contexts->memo[(addr >> PAGE_SHIFT) % WALK_MEMOS];

	if (unlikely(q->peek || !c->stage2_mode || cpu_sees(c)->a20_masked || c->watch))
		return ask_stage2(c, q, addr, false, NULL, r);
	if (likely(recall(c, m, addr, r)))
		return XR_OK;
	m->mode = m->n = 0;
	return ask_stage2(c, q, addr, false, m, r);
}

/* ---- a step ---- */

static cold void note_step(struct walk_request *q, const char *name, const struct walk_result *r)
{
	if (q->n_steps < q->max_steps)
		q->steps[q->n_steps++] = (struct walk_step){
		        .name = name, .addr = r->entry_addr, .value = r->entry, .pa = r->entry_pa};
}

/* "EPT Misconfigurations". */
static inline bool bad_fields(const struct walk_rules *u, bool page, u64 entry)
{
	unsigned perms = (unsigned)(entry & 7) | ((u->present & entry & EPT_XU) ? 8 : 0);

	return ((u->bad_perms >> perms) & 1) || (page && ((u->bad_memtypes >> bits(entry, 5, 3)) & 1));
}

static u64 page_base(const struct walk_format *f, u64 entry, unsigned shift)
{
	if (f->entry_size == 4)
		return shift == 22 ? (entry & 0xffc00000) | bits(entry, 20, 13) << 32 : entry & 0xfffff000;
	return entry & mask(51, shift);
}

static enum xr write_entry(struct cpu *c, const struct walk_request *q, struct walk_result *r, u64 entry)
{
	if (!r->entry_dirty_ok)
		TRY(ask_stage2(c, q, r->entry_addr, true, NULL, r));
	r->entry = entry;
	if (q->mode->rules.format->entry_size == 8)
		cpu_write_u64(c, BY_WALK, r->entry_pa, entry);
	else
		cpu_write_u32(c, BY_WALK, r->entry_pa, (u32)entry);
	return XR_OK;
}

/* ---- a walk ---- */

static inline void found(const struct walk_request *q, const struct walk_format *f, unsigned shift,
                         struct walk_result *r)
{
	r->page_shift = (u8)shift;
	r->memtype = (u8)bits(r->entry, 5, 3);
	r->ignore_pat = (r->entry & BIT(6)) != 0;
	r->pa = page_base(f, r->entry, shift) | (q->addr & (BIT(shift) - 1));
}

/* The loop. size: of an entry, known when this is compiled, as is whether the tables lie behind a second stage. */
static inlined enum xr walk(struct cpu *c, struct walk_request *q, struct walk_result *r, unsigned size, bool nested)
{
	const struct walk_mode *m = q->mode;
	const struct walk_format *f = m->rules.format;
	const struct walk_level *l = f->level;
	const struct space_part *part = cpu_sees(c)->part;
	const unsigned index_bits = size == 8 ? 9 : 10;
	const u64 addr = q->addr & (~0ull >> (64 - f->addr_bits)), index_mask = (1u << index_bits) - 1;
	unsigned level = f->levels, shift = PAGE_SHIFT + (level - 1) * index_bits;
	u64 table = q->root, all = ~0ull, upper = all, any = 0;
	enum walk_kind kind;

	*r = (struct walk_result){.entry_dirty_ok = true};
	for (;; level--, l++, shift -= index_bits) {
		u64 index = (addr >> shift) & index_mask, at = table + index * size, entry;
		bool loaded = q->pdpte && level == f->levels; /* PDPTE registers were checked when they were loaded */

		r->entry_addr = at;
		if (unlikely(loaded)) {
			entry = q->pdpte[index];
		} else {
			if (nested)
				TRY(nested_address(c, q, at, r));
			else
				r->entry_pa = cpu_phys(c, at);
			entry = load_entry(c, q, size, r->entry_pa, &part);
		}
		r->entry = entry;
		if (unlikely(q->steps))
			note_step(q, l->name, r);

		bool page = (entry & m->maps[level]) != 0;

		kind = WALK_NOT_PRESENT;
		if (unlikely(!(entry & m->rules.present)))
			break;
		kind = WALK_RESERVED;
		if (unlikely((entry & m->bad[page][level]) && !loaded))
			break;
		if (unlikely(m->fields && bad_fields(&m->rules, page, entry)))
			break;
		upper = all;
		all &= entry | l->neutral;
		any |= entry & f->deny;
		kind = WALK_OK;
		if (page)
			break;
		/* An upper entry counts as used as soon as the walk goes on from it. Levels without permissions (PAE's
		 * PDPTEs) have no accessed bit either. */
		if (unlikely(!(entry & f->accessed)) && q->keep_ad && !l->neutral && !q->peek)
			TRY(write_entry(c, q, r, entry | f->accessed));
		table = size == 8 ? entry & RANGE(51, 12) : entry & 0xfffff000;
	}
	r->level = (u8)level;
	r->kind = kind;
	r->all = all;
	r->upper = upper;
	r->any = any;
	if (likely(kind == WALK_OK))
		found(q, f, shift, r);
	return XR_OK;
}

enum xr walk_run(struct cpu *c, struct walk_request *q, struct walk_result *r)
{
	if (unlikely(q->mode->rules.format->entry_size == 4))
		return q->nested ? walk(c, q, r, 4, true) : walk(c, q, r, 4, false);
	return q->nested ? walk(c, q, r, 8, true) : walk(c, q, r, 8, false);
}

enum xr walk_mark(struct cpu *c, const struct walk_request *q, struct walk_result *r, bool dirty)
{
	const struct walk_format *f = q->mode->rules.format;
	u64 want = f->accessed | (dirty ? f->dirty : 0);

	if (likely((r->entry & want) == want) || !q->keep_ad || q->peek)
		return XR_OK;
	return write_entry(c, q, r, r->entry | want);
}
