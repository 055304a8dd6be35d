/* The diaries of VMCS regions: where they are kept, and what is read from them. */
#include "vmx/diary.h"

#include "vmx/map.h"
#include "vmx/vmx.h"

/* ---- the shelf ---- */

#define PROBES 8

/* Everybody's is the first processor's. */
static struct vmx_shelf *shelf(struct cpu *c)
{
	struct vmx *v = vmx_of(c->all[0]);

	if (!v->shelf)
		v->shelf = base_alloc(sizeof(*v->shelf));
	return v->shelf;
}

static void begin(struct vmx_diary *d, u64 pa, enum origin_kind kind)
{
	const unsigned users = d->users;

	memset(d, 0, sizeof(*d));
	d->pa = pa;
	d->users = users;
	for (unsigned n = 0; n < VMCS_SLOTS; n++)
		d->mark[n].kind = (u8)kind;
}

/* The region's diary; else an empty place, or one whose diary nobody has open, near where it belongs. */
static struct vmx_diary **place(struct vmx_shelf *s, u64 pa)
{
	const u64 first = pa / PAGE_SIZE * 0x9e3779b97f4a7c15ull >> 54;
	struct vmx_diary **found = NULL;

	for (u64 n = 0; n < PROBES; n++) {
		struct vmx_diary **at = &s->at[(first + n) % VMX_SHELF];

		if (*at && (*at)->pa == pa)
			return at;
		if (!found ? !*at || !(*at)->users : *found && !*at)
			found = at;
	}
	return found;
}

static struct vmx_diary *find(struct cpu *c, u64 pa)
{
	struct vmx_shelf *s = shelf(c);
	struct vmx_diary **at = s ? place(s, pa) : NULL;

	if (!at)
		return NULL;
	if (!*at) {
		*at = base_alloc(sizeof(**at));
		if (!*at)
			return NULL;
		begin(*at, pa, ORIGIN_UNKNOWN);
	}
	if ((*at)->pa != pa)
		begin(*at, pa, ORIGIN_UNKNOWN);
	return *at;
}

void vmx_diary_close(struct vmx_diary **d)
{
	if (*d)
		(*d)->users--;
	*d = NULL;
}

void vmx_diary_open(struct cpu *c, u64 pa, struct vmx_diary **d)
{
	vmx_diary_close(d);
	*d = find(c, pa);
	if (*d)
		(*d)->users++;
}

void vmx_diary_cleared(struct cpu *c, u64 pa)
{
	struct vmx_diary *d = find(c, pa);

	if (d)
		begin(d, pa, ORIGIN_NEVER);
}

void vmx_diary_restart(struct cpu *c)
{
	struct vmx *v = vmx_of(c);

	vmx_diary_close(&v->diary);
	vmx_diary_close(&v->shadow_diary);
	if (v->current != VMCS_NONE)
		vmx_diary_open(c, v->current, &v->diary);
	if (v->shadow != VMCS_NONE)
		vmx_diary_open(c, v->shadow, &v->shadow_diary);
	if (v->diary)
		begin(v->diary, v->current, ORIGIN_UNKNOWN);
	if (v->shadow_diary)
		begin(v->shadow_diary, v->shadow, ORIGIN_UNKNOWN);
}

void vmx_diary_free(struct cpu *c)
{
	struct vmx *v = vmx_of(c);

	for (unsigned n = 0; v->shelf && n < VMX_SHELF; n++)
		base_free(v->shelf->at[n]);
	base_free(v->shelf);
	v->shelf = NULL;
}

/* ---- who ---- */

#define NOTHING(...)

/* Whether VM exits write this field, by the rows of the map and the VM-exit controls of one that did. */
static bool exits_save(const struct vmx *v, u64 exit, u32 encoding)
{
	const bool pae_ept = (vmcs_get(v, VMCS_GUEST_CR0) & CR0_PG) && (vmcs_get(v, VMCS_GUEST_CR4) & CR4_PAE) &&
	                     !(vmcs_get(v, VMCS_ENTRY_CONTROLS) & ENTRY_GUEST64) && (vmx_proc2(v) & PROC2_EPT);

	switch (encoding) {
#define GUEST(name, encoding_, condition, text, member, loaded, load, saved, save)                                     \
	case encoding_: return saved;
		VMCS_MAP(NOTHING, NOTHING, GUEST, NOTHING)
#undef GUEST
	case VMCS_PREEMPTION_TIMER: return exit & EXIT_SAVE_TIMER;
	case VMCS_GUEST_INT_STATUS: return vmx_proc2(v) & PROC2_VIRTUAL_INT;
	case VMCS_PML_INDEX: return vmx_proc2(v) & PROC2_PML;
	default: return false;
	}
}

struct origin vmx_origin(const struct cpu *c, u32 encoding)
{
	const struct vmx *v = vmx_of(c);
	const struct vmx_diary *d = v->diary;
	const struct vmx_mark *m = d ? &d->mark[vmcs_slot(encoding)] : NULL;

	if (!d)
		return (struct origin){.kind = ORIGIN_UNKNOWN};
	if (d->turn.exits > m->turn.exits && exits_save(v, d->exit.controls, encoding))
		return (struct origin){.kind = ORIGIN_EXIT,
		                       .cpu = d->exit.cpu,
		                       .placed = true,
		                       .insn = d->exit.insn,
		                       .n = d->turn.exits,
		                       .code = d->exit.reason & 0xffff,
		                       .name = vmx_exit_rows[d->exit.reason & 0xffff].name};
	return (struct origin){.kind = m->kind,
	                       .cpu = m->cpu,
	                       .placed = m->kind == ORIGIN_VMWRITE,
	                       .rip = mode64(c) ? m->rip : (u32)(c->seg[SEG_CS].base + m->rip),
	                       .insn = m->insn};
}

bool vmx_written(const struct vmx *v, u32 encoding)
{
	const struct vmx_diary *d = v->diary;

	if (!d || d->mark[vmcs_slot(encoding)].kind != ORIGIN_NEVER)
		return true;
	return d->turn.exits && exits_save(v, d->exit.controls, encoding);
}

/* ---- what changed ---- */

static bool changed(const struct vmx *v, unsigned slot)
{
	const struct vmx_mark *m = &v->diary->mark[slot];

	return m->kind == ORIGIN_VMWRITE && m->turn.entries == v->diary->turn.entries && m->was != v->f[slot];
}

size_t vmx_changed(const struct cpu *c, struct check_change *out, size_t room)
{
	const struct vmx *v = vmx_of(c);
	size_t count = 0;

	if (!v->diary || !v->diary->turn.entries)
		return 0;
	for (const struct vmcs_field *f = vmcs_fields; f < vmcs_fields + vmcs_field_count; f++) {
		const unsigned slot = vmcs_slot(f->encoding);

		if (!changed(v, slot) || count++ >= room)
			continue;
		out[count - 1] = (struct check_change){.name = f->name,
		                                       .was = v->diary->mark[slot].was,
		                                       .now = v->f[slot],
		                                       .width = vmcs_width(f->encoding),
		                                       .keyed = true,
		                                       .key = f->encoding,
		                                       .set = vmx_origin(c, f->encoding)};
	}
	return count;
}
