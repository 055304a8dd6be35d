/*
 * State between the processor, the VMCB and the copies of both: all of it from the rows of map.h, so that every
 * function here is a straight line of loads and stores. Conditions on a row's part or clean bit are constants. "VMRUN
 * Instruction", "#VMEXIT", "VMLOAD and VMSAVE Instructions", "Segment State in the VMCB".
 */
#include "svm/map.h"
#include "svm/svm.h"

#define NOTHING(...)
#define AS(lvalue, x) ((lvalue) = (__typeof__(lvalue))(x))
#define UNUSED        __attribute__((unused)) /* by some rows' expressions */
#define GUEST_PARTS   (BIT(SVM_PART_VMRUN) | BIT(SVM_PART_NP) | BIT(SVM_PART_SPEC) | BIT(SVM_PART_LBRV))
#define LIVE_PARTS    (BIT(SVM_PART_CONTROL) | BIT(SVM_PART_CHANGING)) /* of every guest */
#define LIVE_RARE     (BIT(SVM_PART_LOCKS) | BIT(SVM_PART_PML))
#define LBR_PLACE(n)  ((c->lbr_tos - (n)) % LBR_DEPTH)

/* ---- what the rows say ---- */

static inlined u64 guest_cpl(const struct vmcb_save *save, u64 x)
{
	bool v86 = (save->rflags & FL_VM) && !((save->efer & EFER_LME) && (save->cr0 & CR0_PG));

	return !(save->cr0 & CR0_PE) ? 0 : v86 ? 3 : x & 3;
}

/* The lazy flags are void from here on. */
static inlined u64 exact_flags(struct cpu *c, u64 x)
{
	c->cc_op = CC_FLAGS;
	return (x & FL_ALL) | FL_1;
}

/* Long mode has no virtual-8086 mode. */
static inlined u64 guest_flags(struct cpu *c, u64 x, bool lma)
{
	return exact_flags(c, lma ? x & ~(u64)FL_VM : x);
}

static inlined u64 host_flags(struct cpu *c, u64 x)
{
	return exact_flags(c, x & ~(u64)FL_VM);
}

/* ---- memory to image, image to image ---- */

static inlined void copy_part(struct svm_image *v, const struct vmcb_page *from, enum svm_part which)
{
#define LIVE(offset, place, clean, part, ...)                                                                          \
	if (SVM_PART_##part == which)                                                                                  \
		v->place = from->place;
#define SAVED(offset, place, ...) LIVE(offset, save.place, __VA_ARGS__)
	VMCB_MAP(LIVE, LIVE, NOTHING, SAVED, SAVED, SAVED)
#undef LIVE
#undef SAVED
}

/* FS to TR, the SYSCALL and SYSENTER registers belong to VMLOAD; the control area is copied as it lies. */
void svm_state_copy(struct svm_image *v, const struct vmcb_page *from)
{
#define SAVED(offset, place, clean, part, ...)                                                                         \
	if (GUEST_PARTS >> SVM_PART_##part & 1)                                                                        \
		v->save.place = from->save.place;
	VMCB_MAP(NOTHING, NOTHING, NOTHING, SAVED, SAVED, SAVED)
#undef SAVED
}

cold void svm_state_copy_rare(struct svm_image *v, const struct vmcb_page *from, u32 rare)
{
	if (rare & BIT(SVM_PART_STACK))
		copy_part(v, from, SVM_PART_STACK);
	if (rare & BIT(SVM_PART_LOCKS))
		copy_part(v, from, SVM_PART_LOCKS);
	if (rare & BIT(SVM_PART_PML))
		copy_part(v, from, SVM_PART_PML);
}

static inlined void keep_group(struct svm_image *v, const struct svm_image *last, enum clean_bit group)
{
#define FIELD(offset, place, clean, ...)                                                                               \
	if (CLEAN_##clean == group)                                                                                    \
		v->place = last->place;
#define SAVED(offset, place, ...) FIELD(offset, save.place, __VA_ARGS__)
	VMCB_MAP(FIELD, FIELD, FIELD, SAVED, SAVED, SAVED)
#undef FIELD
#undef SAVED
}

void svm_state_keep(struct svm_image *v, const struct svm_image *last, u32 clean)
{
#define GROUP(bit, name, text)                                                                                         \
	if (clean >> (bit)&1)                                                                                          \
		keep_group(v, last, CLEAN_##name);
	VMCB_CLEAN_MAP(GROUP)
#undef GROUP
}

static inlined bool differs(const struct cpu *c, const struct svm_image *v, enum clean_bit group)
{
	bool any = false;

#define REGISTER(offset, place, clean, part, name, member, ...)                                                        \
	any |= CLEAN_##clean == group && v->save.place != c->member;
	VMCB_MAP(NOTHING, NOTHING, NOTHING, REGISTER, REGISTER, NOTHING)
#undef REGISTER
	return any;
}

/* ---- the guest's registers ---- */

static inlined void load_part(struct cpu *c, const struct vmcb_save *save, enum svm_part which)
{
	const unsigned la_bits = has(c, FEAT_LA57) ? 57 : 48;
	const bool lma = (save->efer & EFER_LME) && (save->cr0 & CR0_PG), code64 = lma && (save->cs.attrib & BIT(9));

	(void)la_bits, (void)code64; /* not by every part */
#define REGISTER(offset, place, clean, part, name, member, load, ...)                                                  \
	if (SVM_PART_##part == which) {                                                                                \
		const u64 x = save->place;                                                                             \
		AS(c->member, load);                                                                                   \
	}
#define SEGMENT(digits, field, clean, part, name, number)                                                              \
	if (SVM_PART_##part == which)                                                                                  \
		c->seg[number] = svm_seg_load(&save->field, number, la_bits);
	VMCB_MAP(NOTHING, NOTHING, NOTHING, REGISTER, REGISTER, SEGMENT)
#undef REGISTER
#undef SEGMENT
}

static inlined void save_part(const struct cpu *c, struct vmcb_save *image, struct vmcb_save *memory, enum svm_part which)
{
#define REGISTER(offset, place, clean, part, name, member, load, keep, ...)                                            \
	if (SVM_PART_##part == which) {                                                                                \
		const u64 x = c->member;                                                                               \
		AS(image->place, keep), AS(memory->place, keep);                                                       \
	}
#define SEGMENT(digits, field, clean, part, name, number)                                                              \
	if (SVM_PART_##part == which) {                                                                                \
		const struct vmcb_seg x = svm_seg_save(&c->seg[number]);                                               \
		image->field = x;                                                                                      \
		memory->field = x;                                                                                     \
	}
	VMCB_MAP(NOTHING, NOTHING, NOTHING, REGISTER, REGISTER, SEGMENT)
#undef REGISTER
#undef SEGMENT
}

/* ---- the control area's ---- */

/* Parts that are a constant here cost nothing. */
static inlined void load_live(struct cpu *c, struct svm *s, const struct svm_image *v, u32 parts)
{
#define LIVE(offset, place, clean, part, name, member, load, ...)                                                      \
	if (parts >> SVM_PART_##part & 1) {                                                                            \
		const u64 x = v->place;                                                                                \
		AS(member, load);                                                                                      \
	}
	VMCB_MAP(NOTHING, LIVE, NOTHING, NOTHING, NOTHING, NOTHING)
#undef LIVE
}

/* The image keeps what a clean bit may ask for. */
static inlined void save_live(const struct cpu *c, const struct svm *s, struct svm_image *v, struct vmcb_page *page,
                          const struct svm_told *o, u32 parts)
{
#define LIVE(offset, place, clean, part, name, member, load, save)                                                     \
	if ((parts & ~BIT(SVM_PART_CONTROL)) >> SVM_PART_##part & 1) {                                                 \
		UNUSED const u64 x = member, was = page->place;                                                        \
		AS(page->place, save);                                                                                 \
		if (CLEAN_##clean != CLEAN_NEVER)                                                                      \
			v->place = page->place;                                                                        \
	}
	VMCB_MAP(NOTHING, LIVE, NOTHING, NOTHING, NOTHING, NOTHING)
#undef LIVE
}

static inlined void tell(const struct cpu *c, struct vmcb_page *page, const struct svm_told *o)
{
#define TOLD(offset, place, clean, part, name, told, value)                                                            \
	if (told)                                                                                                      \
		AS(page->place, value);
	VMCB_MAP(NOTHING, NOTHING, TOLD, NOTHING, NOTHING, NOTHING)
#undef TOLD
	if (o->fetched) /* fifteen bytes are no number: they have no row */
		memcpy(page->control.insn_bytes, o->bytes, sizeof(o->bytes));
}

/* ---- all of a guest ---- */

void svm_state_load(struct cpu *c, struct svm *s, const struct svm_image *v, u32 parts)
{
	const struct vmcb_save *save = &v->save;

	load_part(c, save, SVM_PART_VMRUN);
	if (parts & BIT(SVM_PART_NP))
		load_part(c, save, SVM_PART_NP);
	if (parts & BIT(SVM_PART_SPEC))
		load_part(c, save, SVM_PART_SPEC);
	if (parts & BIT(SVM_PART_LBRV))
		load_part(c, save, SVM_PART_LBRV);
	if (unlikely(parts & BIT(SVM_PART_STACK))) {
		c->lbr_tos = LBR_DEPTH - 1;
		load_part(c, save, SVM_PART_STACK);
	}
	load_live(c, s, v, LIVE_PARTS);
	if (unlikely(parts & LIVE_RARE))
		load_live(c, s, v, parts & LIVE_RARE);
}

u32 svm_state_save(struct cpu *c, const struct svm *s, struct svm_image *v, struct vmcb_page *page,
                   const struct svm_told *o, u32 parts)
{
	const u32 changed = (u32)differs(c, v, CLEAN_CRX) << SVM_GROUP_CRX |
	                    (u32)differs(c, v, CLEAN_DRX) << SVM_GROUP_DRX |
	                    (u32)differs(c, v, CLEAN_NP) << SVM_GROUP_NESTED;
	struct vmcb_save *image = &v->save, *memory = &page->save;

	flags_get(c); /* exact from here on */
	save_part(c, image, memory, SVM_PART_VMRUN);
	if (parts & BIT(SVM_PART_NP))
		save_part(c, image, memory, SVM_PART_NP);
	if (parts & BIT(SVM_PART_SPEC))
		save_part(c, image, memory, SVM_PART_SPEC);
	if (parts & BIT(SVM_PART_LBRV))
		save_part(c, image, memory, SVM_PART_LBRV);
	if (unlikely(parts & BIT(SVM_PART_STACK)))
		save_part(c, image, memory, SVM_PART_STACK);
	save_live(c, s, v, page, o, LIVE_PARTS);
	if (unlikely(parts & LIVE_RARE))
		save_live(c, s, v, page, o, parts & LIVE_RARE);
	tell(c, page, o);
	return changed;
}

void svm_state_vmload(struct cpu *c, const struct vmcb_save *save)
{
	load_part(c, save, SVM_PART_VMLOAD);
}

void svm_state_vmsave(struct cpu *c, struct vmcb_save *save)
{
	save_part(c, save, save, SVM_PART_VMLOAD);
}

/* ---- the host's ---- */

/* At VMRUN, behind which it goes on. `area` is VM_HSAVE_PA: of the layout of a save area, and what VMSAVE writes there
 * belongs to software. */
void svm_host_save(struct cpu *c, struct svm_host *restrict h, struct vmcb_save *restrict area, u64 rip)
{
	flags_get(c); /* exact from here on */
#define SWAPPED(offset, place, clean, part, name, member, load, save, host, ...)                                       \
	{                                                                                                              \
		const u64 x = c->member;                                                                               \
		AS(h->host, x);                                                                                        \
		if (SVM_PART_##part == SVM_PART_VMRUN)                                                                 \
			AS(area->place, save);                                                                         \
	}
#define SEGMENT(digits, place, clean, part, name, number)                                                              \
	if (SVM_PART_##part == SVM_PART_VMRUN) {                                                                       \
		const struct seg x = c->seg[number];                                                                   \
		h->seg_sel[number & 3] = x.sel;                                                                        \
		h->seg_ar[number & 3] = x.ar;                                                                          \
		h->seg_limit[number & 3] = x.limit;                                                                    \
		h->seg_base[number & 3] = x.base;                                                                      \
		area->place = svm_seg_save(&x);                                                                        \
	}
	VMCB_MAP(NOTHING, NOTHING, NOTHING, NOTHING, SWAPPED, SEGMENT)
#undef SWAPPED
#undef SEGMENT
	area->cpl = c->cpl;
	area->rip = h->rip = rip;
	area->rflags = h->rflags &= ~(u64)FL_RF;
}

static inlined void reload_part(struct cpu *c, const struct svm_host *h, enum svm_part which)
{
#define SWAPPED(offset, place, clean, part, name, member, load, save, host, reload)                                    \
	if (SVM_PART_##part == which) {                                                                                \
		const u64 x = h->host;                                                                                 \
		AS(c->member, reload);                                                                                 \
	}
#define SEGMENT(digits, field, clean, part, name, number)                                                              \
	if (SVM_PART_##part == which && which == SVM_PART_VMRUN)                                                       \
		c->seg[number] = (struct seg){.sel = h->seg_sel[number & 3],                                           \
		                              .ar = h->seg_ar[number & 3],                                             \
		                              .limit = h->seg_limit[number & 3],                                       \
		                              .base = h->seg_base[number & 3]};
	VMCB_MAP(NOTHING, NOTHING, NOTHING, NOTHING, SWAPPED, SEGMENT)
#undef SWAPPED
#undef SEGMENT
}

void svm_host_load(struct cpu *c, const struct svm_host *h, u32 parts)
{
	reload_part(c, h, SVM_PART_VMRUN);
	if (parts & BIT(SVM_PART_NP))
		reload_part(c, h, SVM_PART_NP);
	if (parts & BIT(SVM_PART_SPEC))
		reload_part(c, h, SVM_PART_SPEC);
	if (parts & BIT(SVM_PART_LBRV))
		reload_part(c, h, SVM_PART_LBRV);
}
