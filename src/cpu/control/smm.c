/* SMM entry and RSM by the default treatment. */
#include "cpu/control/smm.h"

#include "cpu/control/smm_map.h"
#include "cpu/mmu/mmu.h"
#include "cpu/state/phys.h"

const struct smm_map *smm_map_of(const struct cpu *c)
{
	(void)c;
	return &smm_map_amd64;
}

/* ---- between the image and the state ---- */

#define SMM_UNUSABLE 0x8000u /* in a reserved bit: a null selector has left the rest of the descriptor as it was */

static u32 attributes(u64 ar)
{
	return (u32)((ar & 0xff) | (ar >> 4 & 0xf00)) | (ar & AR_UNUSABLE ? SMM_UNUSABLE : 0);
}

/* Segments without the present bit are as unusable as a null selector makes them. */
static u32 access_rights(u64 attrib)
{
	u32 ar = (u32)((attrib & 0xff) | (attrib & 0xf00) << 4);

	return (ar & AR_P) && !(attrib & SMM_UNUSABLE) ? ar : ar | AR_UNUSABLE;
}

static u64 to_map(unsigned form, u64 v)
{
	switch (form & (SMM_SAVED - 1)) {
	case SMM_ATTRIBUTES: return attributes(v);
	case SMM_HIGH: return v >> 32;
	default: return v;
	}
}

static u64 from_map(unsigned form, u64 before, u64 v)
{
	switch (form & (SMM_SAVED - 1)) {
	case SMM_ATTRIBUTES: return access_rights(v);
	case SMM_LOW: return (before & ~0xffffffffull) | v;
	case SMM_HIGH: return (before & 0xffffffffull) | v << 32;
	default: return v;
	}
}

static void save_image(const struct smm_map *m, const struct smm_state *s, u8 image[SMM_BYTES])
{
	for (size_t n = 0; n < m->count; n++) {
		const struct smm_row *r = &m->rows[n];
		u64 v = 0;

		memcpy(&v, (const u8 *)s + r->offset, r->size);
		v = to_map(r->form, v);
		memcpy(image + (r->at - SMM_IMAGE), &v, r->width);
	}
}

static void load_image(const struct smm_map *m, const u8 image[SMM_BYTES], struct smm_state *s)
{
	for (size_t n = 0; n < m->count; n++) {
		const struct smm_row *r = &m->rows[n];
		u64 v = 0, now = 0;

		if (r->form & SMM_SAVED)
			continue;
		memcpy(&v, image + (r->at - SMM_IMAGE), r->width);
		memcpy(&now, (u8 *)s + r->offset, r->size);
		now = from_map(r->form, now, v);
		memcpy((u8 *)s + r->offset, &now, r->size);
	}
}

/* ---- entry ---- */

static void collect(struct cpu *c, struct smm_state *s)
{
	memset(s, 0, sizeof(*s));
	memcpy(s->r, c->r, sizeof(s->r));
	memcpy(s->seg, c->seg, sizeof(s->seg));
	s->rip = c->r[REG_RIP];
	s->rflags = flags_get(c);
	s->gdtr.base = c->gdtr.base;
	s->gdtr.limit = c->gdtr.limit;
	s->idtr.base = c->idtr.base;
	s->idtr.limit = c->idtr.limit;
	s->cr0 = c->cr0;
	s->cr3 = c->cr3;
	s->cr4 = c->cr4;
	s->efer = c->efer;
	s->dr6 = c->dr6;
	s->dr7 = c->dr7;
	s->smbase = c->smbase;
	s->revision = smm_map_of(c)->revision;
	s->halted = c->activity == ACT_HLT;
	s->nmi_masked = c->nmi_blocked;
}

/* "SMI Handler Execution Environment", "SMM Execution Environment": like real mode, with limits of 4 GiB. */
static void load_handler(struct cpu *c)
{
	const u32 data = AR_S | AR_P | AR_W | AR_A;

	for (unsigned n = SEG_ES; n <= SEG_GS; n++)
		c->seg[n] = (struct seg){.limit = ~0u, .ar = data | AR_G};
	c->seg[SEG_CS].sel = (u16)(c->smbase >> 4);
	c->seg[SEG_CS].base = c->smbase;
	flags_set(c, FL_1);
	c->r[REG_RIP] = SMM_ENTRY;
	c->cr0 &= ~(u64)(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
	c->cr4 = 0;
	c->efer &= EFER_SVME; /* "Changes to RSM Instruction": neither way changes it */
	c->dr7 = DR7_RESET;
	c->activity = ACT_RUN;
	c->shadow = 0;
}

void smm_see(struct cpu *c, bool on)
{
	if (c->smm == on)
		return;
	c->smm = on;
	mmu_update_context(c);
	cpu_recheck(c);
}

void smm_cycle(struct cpu *c, bool entered)
{
	if (c->bus->smi_ack)
		c->bus->smi_ack(c->bus->smi_ack_arg, c->index, entered);
}

void smm_set(struct cpu *c, bool on)
{
	const bool changes = c->smm != on;

	smm_see(c, on);
	if (changes)
		smm_cycle(c, on);
}

void smm_enter(struct cpu *c)
{
	u8 image[SMM_BYTES] = {0};
	struct smm_state s;
	const struct smm_map *m = smm_map_of(c);

	c->virt->smm.enter(c, image + SMM_VENDOR);
	if (!c->guest && c->guest_since != UINT64_MAX) { /* what the handler does is not the guest's */
		c->guest_insns += c->insns - c->guest_since;
		c->guest_since = UINT64_MAX;
	}
	collect(c, &s);
	save_image(m, &s, image);
	c->smm_nmi = c->nmi_blocked;
	c->smm_db = c->pending_db;
	c->pending_db = 0;
	c->pend &= ~(u32)PEND_DB;
	c->nmi_blocked = c->smi_blocked = true;
	smm_set(c, true);
	cpu_write(c, BY_CPU, (u32)(c->smbase + m->first), image + (m->first - SMM_IMAGE), 0x10000 - m->first);
	load_handler(c);
	tlb_flush_space(c, TLB_SPACE_SMM, false);
	tlb_set_space(c, TLB_SPACE_SMM);
	cpu_update_mode(c);
	cpu_recheck(c);
}

enum xr smm_smi(struct cpu *c)
{
	enum xr r = c->virt->smm.smi(c);

	if (r == XR_OK)
		smm_enter(c);
	return r;
}

/* ---- RSM ---- */

static void resume(struct cpu *c, const struct smm_state *s)
{
	memcpy(c->r, s->r, sizeof(s->r));
	memcpy(c->seg, s->seg, sizeof(s->seg));
	c->r[REG_RIP] = s->rip;
	flags_set(c, (u32)s->rflags | FL_1);
	c->gdtr.base = s->gdtr.base;
	c->gdtr.limit = (u32)s->gdtr.limit;
	c->idtr.base = s->idtr.base;
	c->idtr.limit = (u32)s->idtr.limit;
	c->cr0 = s->cr0;
	c->cr3 = s->cr3;
	c->cr4 = s->cr4;
	c->efer = s->efer;
	c->dr6 = s->dr6;
	c->dr7 = s->dr7;
	c->smbase = s->smbase;
	c->cpl = (u8)ar_dpl(c->seg[SEG_SS].ar);
	if (s->halted)
		c->activity = ACT_HLT;
}

enum xr smm_rsm(struct cpu *c)
{
	u8 image[SMM_BYTES] = {0};
	struct smm_state s;
	const struct smm_map *m = smm_map_of(c);

	cpu_read(c, BY_CPU, (u32)(c->smbase + m->first), image + (m->first - SMM_IMAGE), 0x10000 - m->first);
	collect(c, &s);
	load_image(m, image, &s);
	resume(c, &s);
	c->nmi_blocked = c->smm_nmi;
	c->smm_nmi = false;
	c->smi_blocked = false;
	smm_set(c, false);
	tlb_set_space(c, 0);
	cpu_update_mode(c);
	if (!c->virt->smm.leave(c, image + SMM_VENDOR)) {
		c->activity = ACT_SHUTDOWN;
		return XR_STOP;
	}
	c->pending_db |= c->smm_db;
	c->smm_db = 0;
	if (c->pending_db)
		c->pend |= PEND_DB;
	cpu_update_mode(c);
	cpu_recheck(c);
	return XR_OK;
}
