/*
 * Addresses of the side of a world switch that is not there: the monitor's while a guest runs, the guest's while its monitor
 * does. A walk of its own over the formats of the walker, which reads memory and changes nothing; what it read is kept, for
 * `monitor walk` to show.
 */
#include "gdb/parts.h"

#include <inttypes.h>

static const char *const memory_types[8] = {"UC", "WC", "type 2", "type 3", "WT", "WP", "WB", "UC-"};

/* A guest's second stage as the host has its paging: SVM's. */
static const struct walk_format *paging_format(const struct virt_view *v)
{
	if (v->efer & EFER_LMA)
		return v->cr4 & CR4_LA57 ? &walk_long5 : &walk_long4;
	return v->cr4 & CR4_PAE ? &walk_pae : &walk_legacy;
}

static bool is_ept(const struct walk_format *f)
{
	return f == &walk_ept4 || f == &walk_ept5;
}

static bool fails(struct view *w, const char *why)
{
	w->why = why;
	return false;
}

static bool read_entry(struct view *w, u64 pa, unsigned size, u64 *entry)
{
	*entry = 0;
	return gdb_read(w->c, GDB_PHYS, pa, entry, size) == size;
}

static bool maps_page(const struct view *w, const struct walk_format *f, unsigned level, u64 entry)
{
	if (level == 1)
		return true;
	if (f == &walk_legacy && !(w->v.cr4 & CR4_PSE))
		return false;
	return level <= (f == &walk_legacy || f == &walk_pae ? 2 : 3) && (entry & PTE_PS);
}

static u64 mapped(const struct walk_format *f, u64 entry, unsigned shift, u64 addr)
{
	u64 base = f->entry_size == 8 ? entry & mask(51, shift)
	           : shift == 22      ? (entry & 0xffc00000) | bits(entry, 20, 13) << 32
	                              : entry & 0xfffff000;

	return base | (addr & (BIT(shift) - 1));
}

static bool second_stage(struct view *w, u64 gpa, u64 *pa);

static struct view_step *note(struct view *w, bool second, const char *name, u64 at, u64 pa)
{
	struct view_step *s = &w->step[w->steps < VIEW_STEPS ? w->steps++ : VIEW_STEPS - 1];

	*s = (struct view_step){.second = second, .name = name, .at = at, .pa = pa};
	return s;
}

/* Tables of the first stage lie behind the second one. */
static bool walk_view(struct view *w, const struct walk_format *f, bool second, u64 root, u64 addr, u64 *out)
{
	const unsigned index_bits = f->entry_size == 8 ? 9 : 10;
	const u64 present = is_ept(f) ? 7 : PTE_P;
	u64 table = root, entry;

	addr &= ~0ull >> (64 - f->addr_bits);
	for (unsigned level = f->levels; level; level--) {
		unsigned shift = PAGE_SHIFT + (level - 1) * index_bits;
		u64 at = table + (addr >> shift & ((1u << index_bits) - 1)) * f->entry_size, pa = at;

		if (!second && w->v.nested && !second_stage(w, at, &pa))
			return false;
		struct view_step *s = note(w, second, f->level[f->levels - level].name, at, pa);
		if (!read_entry(w, pa, f->entry_size, &entry))
			return fails(w, "the entry is not in memory");
		s->entry = entry;
		if (!(entry & present))
			return fails(w, "not present");
		s->page = maps_page(w, f, level, entry);
		if (s->page) {
			*out = mapped(f, entry, shift, addr);
			note(w, second, NULL, addr, *out);
			return true;
		}
		table = f->entry_size == 8 ? entry & mask(51, 12) : entry & 0xfffff000;
	}
	return fails(w, "no page");
}

static bool second_stage(struct view *w, u64 gpa, u64 *pa)
{
	*pa = gpa;
	if (!w->v.nested)
		return true;
	if (w->v.ept)
		return walk_view(w, bits(w->v.root, 5, 3) == 4 ? &walk_ept5 : &walk_ept4, true, w->v.root & mask(51, 12), gpa, pa);
	const struct walk_format *f = paging_format(&w->host);
	return walk_view(w, f, true, w->v.root & (f == &walk_pae ? mask(31, 5) : mask(51, 12)), gpa, pa);
}

bool view_open(struct view *w, struct cpu *c, enum gdb_space s)
{
	bool guest = s == GDB_GUEST_LINEAR || s == GDB_GUEST_PHYS || (s == GDB_LINEAR && c->guest);

	w->c = c;
	w->steps = 0;
	w->why = NULL;
	if (!c->virt->view(c, false, &w->host)) /* a processor without virtualisation */
		w->host = (struct virt_view){.cr0 = c->cr0, .cr3 = c->cr3, .cr4 = c->cr4, .efer = c->efer, .pat = c->pat};
	w->v = w->host;
	return !guest || c->virt->view(c, true, &w->v);
}

bool view_translate(struct view *w, enum gdb_space s, u64 addr, u64 *pa)
{
	const struct walk_format *f = paging_format(&w->v);

	w->gpa = addr;
	if (s == GDB_PHYS) {
		*pa = addr;
		return true;
	}
	if (s != GDB_GUEST_PHYS && (w->v.cr0 & CR0_PG)) {
		if ((w->v.efer & EFER_LMA) && (u64)sign_extend(addr, f->addr_bits) != addr)
			return fails(w, "not canonical");
		if (!walk_view(w, f, false, w->v.cr3 & (f == &walk_pae ? mask(31, 5) : mask(51, 12)), addr, &w->gpa))
			return false;
	}
	if (!second_stage(w, w->gpa, pa))
		return false;
	w->pa = *pa;
	return true;
}

/* ---- for a person ---- */

static void print_rights(const struct view *w, const struct view_step *s, FILE *f)
{
	u64 e = s->entry;

	if (s->second && w->v.ept) {
		fprintf(f, " %c%c%c%s%s", e & EPT_R ? 'R' : '-', e & EPT_W ? 'W' : '-', e & EPT_X ? 'X' : '-', e & EPT_A ? " A" : "",
		        e & EPT_D && s->page ? " D" : "");
		if (s->page)
			fprintf(f, ", %s%s", memory_types[bits(e, 5, 3)], e & BIT(6) ? ", PAT ignored" : "");
		return;
	}
	fprintf(f, "%s %s %s%s%s%s%s", e & PTE_P ? " P" : " -", e & PTE_W ? "RW" : "R-", e & PTE_U ? "U" : "S", e & PTE_A ? " A" : "",
	        e & PTE_D && s->page ? " D" : "", e & PTE_G && s->page ? " G" : "", e & PTE_NX ? " NX" : "");
	if (!s->page)
		return;
	bool small = !strcmp(s->name, "PTE");
	unsigned pat = (unsigned)((e >> 3 & 3) | (e >> (small ? 7 : 12) & 1) << 2);
	u64 types = s->second ? w->host.pat : w->v.pat;
	fprintf(f, ", %s (PAT entry %u)", memory_types[types >> (8 * pat) & 7], pat);
}

void view_print(const struct view *w, FILE *f)
{
	for (const struct view_step *s = w->step; s < w->step + w->steps; s++) {
		const char *in = s->second ? "    " : "  ";

		if (!s->name) {
			fprintf(f, "%s%s 0x%" PRIx64 " -> 0x%" PRIx64 "\n", in, s->second ? "guest-physical" : "linear", s->at, s->pa);
			continue;
		}
		fprintf(f, "%s%s at 0x%" PRIx64, in, s->name, s->at);
		if (s->pa != s->at)
			fprintf(f, " (physical 0x%" PRIx64 ")", s->pa);
		fprintf(f, " = 0x%" PRIx64 ":", s->entry);
		print_rights(w, s, f);
		fprintf(f, "\n");
	}
	if (w->why)
		fprintf(f, "  %s\n", w->why);
	else
		fprintf(f, "  physical 0x%" PRIx64 "\n", w->pa);
}
