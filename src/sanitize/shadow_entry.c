/* Entries of all formats in one form, what a change of one asks for, and walks that leave no trace. */
#include "sanitize/shadow.h"

#include "cpu/mmu/mmu.h"
#include "cpu/state/phys.h"

unsigned shadow_shift(const struct walk_mode *m, unsigned level)
{
	return PAGE_SHIFT + (level - 1) * (m->rules.format->entry_size == 4 ? 10 : 9);
}

/* ---- entries ---- */

static u8 ept_rights(u64 raw)
{
	return (u8)((raw & EPT_R ? ACC_READ : 0) | (raw & EPT_W ? ACC_WRITE : 0) | (raw & EPT_X ? ACC_EXEC : 0) |
	            (raw & EPT_XU ? WATCH_EXEC_USER : 0));
}

static u8 guest_rights(const struct walk_mode *m, u64 raw, unsigned level)
{
	const struct walk_format *f = m->rules.format;

	raw |= f->level[f->levels - level].neutral;
	return (u8)(ACC_READ | (raw & PTE_W ? ACC_WRITE : 0) | (raw & f->deny ? 0 : ACC_EXEC) |
	            (raw & PTE_U ? WATCH_USER : 0));
}

static u64 page_base(const struct walk_mode *m, u64 raw, unsigned shift)
{
	if (m->rules.format->entry_size == 4)
		return shift == 22 ? (raw & 0xffc00000) | bits(raw, 20, 13) << 32 : raw & 0xfffff000;
	return raw & mask(51, shift);
}

/* Bits 5:3 and 6 of EPT's; PAT, PCD and PWT of the others'. */
static u8 memory_type(u8 tables, u64 raw, unsigned level)
{
	if (tables == WATCH_EPT)
		return (u8)bits(raw, 6, 3);
	return (u8)(bits(raw, level == 1 ? 7 : 12, level == 1 ? 7 : 12) << 2 | bits(raw, 4, 3));
}

/* "EPT Misconfigurations": nothing is cached of them, as of what is not present. */
static bool misconfigured(const struct walk_mode *m, bool maps, u64 raw)
{
	const struct walk_rules *u = &m->rules;
	unsigned perms = (unsigned)(raw & 7) | ((u->present & raw & EPT_XU) ? 8 : 0);

	return m->fields && (((u->bad_perms >> perms) & 1) || (maps && ((u->bad_memtypes >> bits(raw, 5, 3)) & 1)));
}

struct shadow_entry shadow_entry(const struct walk_mode *m, u8 tables, u64 raw, unsigned level)
{
	const struct walk_format *f = m->rules.format;
	bool maps = (raw & m->maps[level]) != 0, pdpte = f == &walk_pae && level == f->levels;

	if (!(raw & m->rules.present) || (raw & m->bad[maps][level] && !pdpte) || misconfigured(m, maps, raw))
		return (struct shadow_entry){.present = false};
	return (struct shadow_entry){
	        .present = true,
	        .maps = maps,
	        .rights = tables == WATCH_EPT ? ept_rights(raw) : guest_rights(m, raw, level),
	        .type = maps ? memory_type(tables, raw, level) : 0,
	        .dirty = !maps || (raw & f->dirty),
	        .accessed = (raw & f->accessed) != 0,
	        .to = page_base(m, raw, maps ? shadow_shift(m, level) : PAGE_SHIFT),
	};
}

/* ---- what a change asks for ---- */

/*
 * "Guidelines for Use of the INVEPT Instruction" (SDM 3C), one by one. Rights that are granted need none: an access that
 * the old ones forbid is an EPT violation, which invalidates what was cached for its address. What was not present or
 * misconfigured is not cached. DEVIATION: clearing an accessed flag asks for INVEPT, too, and is not here: what is lost is
 * the page's age, and monitors choose that.
 */
static const struct shadow_rule ept_rules[] = {
#define INVEPT "SDM 3C \"Guidelines for Use of the INVEPT Instruction\""
        {"after clearing a permission bit, INVEPT on each processor that may have cached it", INVEPT},
        {"after making an entry not present, INVEPT on each processor that may have cached it", INVEPT},
        {"after changing the address in an entry, INVEPT on each processor that may have cached it", INVEPT},
        {"after changing whether an entry maps a page (bit 7), INVEPT on each processor that may have cached it", INVEPT},
        {"after changing the memory type of a page, INVEPT on each processor that may have cached it", INVEPT},
        {"after clearing a dirty flag, INVEPT on each processor that may have cached it", INVEPT},
        {"after changing the root table, INVEPT on each processor that may have cached it", INVEPT},
};

/*
 * "TLB Flush", "Invalidation of Table Entry Upgrades" (APM 2): "If a table entry is updated to remove a permission
 * violation ... an invalidation is not required"; of every other update "it is unpredictable whether the old or updated
 * entry will be used until an invalidation is performed".
 */
static const struct shadow_rule npt_rules[] = {
#define FLUSH "APM 2 \"TLB Flush\", \"Invalidation of Table Entry Upgrades\""
        {"after taking rights away, flush the ASID on each processor that may have cached them", FLUSH},
        {"after making an entry not present, flush the ASID on each processor that may have cached it", FLUSH},
        {"after changing the address in an entry, flush the ASID on each processor that may have cached it", FLUSH},
        {"after changing the size of a page, flush the ASID on each processor that may have cached it", FLUSH},
        {"after changing the memory type of a page, flush the ASID on each processor that may have cached it", FLUSH},
        {"after clearing a dirty bit, flush the ASID on each processor that may have cached it", FLUSH},
        {"a new N_CR3 wants another ASID or a flush of the old one", FLUSH},
};

enum { RULE_RIGHTS, RULE_PRESENT, RULE_ADDRESS, RULE_SIZE, RULE_TYPE, RULE_DIRTY, RULE_ROOT, RULE_NONE };

static unsigned rule_number(const struct shadow_entry *was, const struct shadow_entry *now, bool keeps_ad)
{
	if (!now->present)
		return RULE_PRESENT;
	if (was->maps != now->maps)
		return RULE_SIZE;
	if (was->to != now->to)
		return RULE_ADDRESS;
	if (was->rights & ~now->rights)
		return RULE_RIGHTS;
	if (was->type != now->type)
		return RULE_TYPE;
	return keeps_ad && was->dirty && !now->dirty ? RULE_DIRTY : RULE_NONE;
}

const struct shadow_rule *shadow_rule(const struct shadow_domain *d, u64 was, u64 now, unsigned level)
{
	static const struct shadow_rule *const rules[] = {
	        [WATCH_EPT] = ept_rules, [WATCH_NPT] = npt_rules};

	if (level > d->mode.rules.format->levels)
		return &rules[d->tables][RULE_ROOT];

	const struct shadow_entry a = shadow_entry(&d->mode, d->tables, was, level);
	const struct shadow_entry b = shadow_entry(&d->mode, d->tables, now, level);
	unsigned n = a.present ? rule_number(&a, &b, d->keeps_ad) : RULE_NONE;

	return n == RULE_NONE ? NULL : &rules[d->tables][n];
}

/* ---- walks ---- */

static bool load(const struct cpu *c, pa_t pa, unsigned size, u64 *raw)
{
	u64 room;
	const u8 *at = space_memory(cpu_sees(c), pa, USE_READ, &room);

	*raw = 0;
	if (!at || room < size)
		return false;
	memcpy(raw, at, size);
	return true;
}

bool shadow_walk(struct cpu *c, const struct shadow_domain *d, u64 table, unsigned level, u64 addr, u8 rights,
                 struct shadow_place *out)
{
	const struct walk_mode *m = &d->mode;
	const unsigned size = m->rules.format->entry_size, width = size == 4 ? 10 : 9;

	*out = (struct shadow_place){.rights = rights};
	for (;; level--) {
		unsigned shift = shadow_shift(m, level);
		u64 index = (addr >> shift) & ((1u << width) - 1);

		if (level == m->rules.format->levels && m->rules.format == &walk_pae)
			index &= 3;
		out->level = level;
		out->pa = cpu_phys(c, table + index * size);
		if (!load(c, out->pa, size, &out->raw))
			return false;
		out->step[out->steps++] = (struct walk_step){.value = out->raw, .pa = out->pa};
		out->entry = shadow_entry(m, d->tables, out->raw, level);
		if (!out->entry.present)
			return false;
		out->rights &= out->entry.rights;
		out->allowed[level] = out->entry.rights;
		if (out->entry.maps) {
			out->at = out->entry.to | (addr & (BIT(shift) - 1));
			return true;
		}
		table = out->entry.to;
	}
}
