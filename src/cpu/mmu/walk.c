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
	.name = "32-bit", .levels = 2, .entry_size = 4, .index_bits = 10, .addr_bits = 32,
	.accessed = PTE_A, .dirty = PTE_D,
	.level = { { "PDE", 0, 0, 0 }, { "PTE", 0, 0, 0 } }, /* 4 MiB pages: see reserved_bits() */
};
const struct walk_format walk_pae = {
	.name = "PAE", .levels = 3, .entry_size = 8, .index_bits = 9, .addr_bits = 32,
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
	.name = "4-level", .levels = 4, .entry_size = 8, .index_bits = 9, .addr_bits = 48,
	.deny = PTE_NX, .accessed = PTE_A, .dirty = PTE_D,
	.level = { { "PML4E", PTE_PS, 0, 0 }, LONG_TAIL },
};
const struct walk_format walk_long5 = {
	.name = "5-level", .levels = 5, .entry_size = 8, .index_bits = 9, .addr_bits = 57,
	.deny = PTE_NX, .accessed = PTE_A, .dirty = PTE_D,
	.level = { { "PML5E", PTE_PS, 0, 0 }, { "PML4E", PTE_PS, 0, 0 }, LONG_TAIL },
};
#define EPT_TAIL \
		{ "EPT PML4E", RANGE(7, 3), 0, 0 }, { "EPT PDPTE", RANGE(7, 3), RANGE(29, 12), 0 }, \
		{ "EPT PDE", RANGE(7, 3), RANGE(20, 12), 0 }, { "EPT PTE", 0, 0, 0 }
const struct walk_format walk_ept4 = {
	.name = "EPT 4-level", .levels = 4, .entry_size = 8, .index_bits = 9, .addr_bits = 48,
	.accessed = EPT_A, .dirty = EPT_D, .level = { EPT_TAIL },
};
const struct walk_format walk_ept5 = {
	.name = "EPT 5-level", .levels = 5, .entry_size = 8, .index_bits = 9, .addr_bits = 57,
	.accessed = EPT_A, .dirty = EPT_D, .level = { { "EPT PML5E", RANGE(7, 3), 0, 0 }, EPT_TAIL },
};
/* clang-format on */

static unsigned level_shift(const struct walk_format *f, unsigned level)
{
	return PAGE_SHIFT + (level - 1u) * f->index_bits;
}

/* One access of the walk to the table entry at `addr`, through the second stage if there is one. */
static enum xr entry_address(struct cpu *c, const struct walk_request *q, u64 addr, bool write, struct walk_result *r)
{
	r->entry_addr = addr;
	if (!q->nested) {
		r->entry_pa = mmu_phys(c, addr);
		r->entry_dirty_ok = true;
		return XR_OK;
	}
	struct stage2_req s = {
	        .gpa = addr,
	        .why = S2_TABLE,
	        .access = write ? ACC_READ | ACC_WRITE : ACC_READ,
	        .user = false,
	        .set_dirty = write,
	        .linear = q->addr,
	        .has_linear = true,
	        .peek = q->peek,
	};
	struct stage2_res out = {.dirty_ok = false};
	TRY(c->virt->stage2(c, &s, &out));
	r->entry_pa = mmu_phys(c, out.pa);
	r->entry_dirty_ok = (out.perms & ACC_WRITE) && out.dirty_ok;
	return XR_OK;
}

static enum xr read_entry(struct cpu *c, struct walk_request *q, unsigned level, u64 table, struct walk_result *r)
{
	const struct walk_format *f = q->format;
	u64 addr = q->addr & (~0ull >> (64 - f->addr_bits));
	u64 index = (addr >> level_shift(f, level)) & ((1u << f->index_bits) - 1);
	bool root = level == f->levels;

	if (root && q->pdpte) {
		r->entry_addr = r->entry_pa = table + index * f->entry_size;
		r->entry = q->pdpte[index];
	} else {
		TRY(entry_address(c, q, table + index * f->entry_size, false, r));
		r->entry = f->entry_size == 8 ? bus_read_u64(c->bus, r->entry_pa) : bus_read_u32(c->bus, r->entry_pa);
	}
	if (q->steps && q->n_steps < q->max_steps)
		q->steps[q->n_steps++] = (struct walk_step){
		        .name = f->level[f->levels - level].name, .addr = r->entry_addr, .value = r->entry};
	return XR_OK;
}

static bool maps_page(const struct walk_request *q, unsigned level, u64 entry)
{
	return level == 1 || ((entry & PTE_PS) && (q->large & (1u << level)));
}

static u64 reserved_bits(const struct walk_request *q, unsigned level, bool page)
{
	const struct walk_format *f = q->format;
	const struct walk_level *l = &f->level[f->levels - level];

	if (f->entry_size == 4) {
		/* "Formats of CR3 and Paging-Structure Entries with 32-Bit Paging": M is 32 without PSE-36. */
		unsigned m = q->pse36 ? (unsigned)min_u64(40, q->phys_bits) : 32;
		return page && level == 2 ? mask(21, m - 19) : 0;
	}
	u64 high = q->phys_bits < 52 ? mask(51, q->phys_bits) : 0;
	u64 rows = page ? l->reserved_page : l->reserved;
	return rows | high | q->reserved | (level >= 3 && !page ? q->reserved_upper : 0);
}

/* "EPT Misconfigurations". */
static bool bad_fields(const struct walk_request *q, bool page, u64 entry)
{
	if (!q->bad_perms && !q->bad_memtypes)
		return false;
	unsigned perms = (unsigned)(entry & 7) | ((q->present & entry & EPT_XU) ? 8 : 0);
	return ((q->bad_perms >> perms) & 1) || (page && ((q->bad_memtypes >> bits(entry, 5, 3)) & 1));
}

static u64 page_base(const struct walk_format *f, u64 entry, unsigned shift)
{
	if (f->entry_size == 4)
		return shift == 22 ? (entry & 0xffc00000) | bits(entry, 20, 13) << 32 : entry & 0xfffff000;
	return entry & mask(51, shift);
}

static enum xr set_bits(struct cpu *c, const struct walk_request *q, struct walk_result *r, u64 want)
{
	if ((r->entry & want) == want || q->peek)
		return XR_OK;
	if (!r->entry_dirty_ok)
		TRY(entry_address(c, q, r->entry_addr, true, r));
	r->entry |= want;
	if (q->format->entry_size == 8)
		bus_write_u64(c->bus, r->entry_pa, r->entry);
	else
		bus_write_u32(c->bus, r->entry_pa, (u32)r->entry);
	return XR_OK;
}

enum xr walk_run(struct cpu *c, struct walk_request *q, struct walk_result *r)
{
	const struct walk_format *f = q->format;
	u64 table = q->root;

	r->all = ~0ull;
	r->any = 0;
	r->pa = 0;
	for (unsigned level = f->levels;; level--) {
		const struct walk_level *l = &f->level[f->levels - level];

		TRY(read_entry(c, q, level, table, r));
		r->level = (u8)level;
		r->kind = WALK_NOT_PRESENT;
		if (!(r->entry & q->present))
			return XR_OK;
		bool page = maps_page(q, level, r->entry);
		r->kind = WALK_RESERVED;
		if ((r->entry & reserved_bits(q, level, page)) && !(q->pdpte && level == f->levels))
			return XR_OK; /* PDPTE registers were checked when they were loaded */
		if (bad_fields(q, page, r->entry))
			return XR_OK;
		r->all &= r->entry | l->neutral;
		r->any |= r->entry & f->deny;
		if (page)
			break;
		/* An upper entry counts as used as soon as the walk goes on from it. Levels without permissions (PAE's
		 * PDPTEs) have no accessed bit either. */
		if (q->keep_ad && !l->neutral)
			TRY(set_bits(c, q, r, f->accessed));
		table = f->entry_size == 8 ? r->entry & RANGE(51, 12) : r->entry & 0xfffff000;
	}
	unsigned shift = level_shift(f, r->level);
	r->kind = WALK_OK;
	r->page_shift = (u8)shift;
	r->memtype = (u8)bits(r->entry, 5, 3);
	r->ignore_pat = (r->entry & BIT(6)) != 0;
	r->pa = page_base(f, r->entry, shift) | (q->addr & (BIT(shift) - 1));
	return XR_OK;
}

enum xr walk_mark(struct cpu *c, const struct walk_request *q, struct walk_result *r, bool dirty)
{
	if (!q->keep_ad)
		return XR_OK;
	return set_bits(c, q, r, q->format->accessed | (dirty ? q->format->dirty : 0));
}
