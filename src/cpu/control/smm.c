/* SMM entry and RSM by the default treatment. */
#include "cpu/control/smm.h"

#include "cpu/control/msr.h"
#include "arch/names.h"
#include "cpu/control/smm_map.h"
#include "cpu/mmu/mmu.h"
#include "cpu/state/phys.h"

const struct smm_map *smm_map_of(const struct cpu *c)
{
	if (c->feat.smm_map_amd64)
		return &smm_map_firmware;
	if (!quirk(c, QUIRK_SMM_MAP_INTEL))
		return &smm_map_amd64;
	return has(c, FEAT_LM) ? &smm_map_intel64 : &smm_map_ia32;
}

/* ---- between the image and the state ---- */

#define ATTRIBUTES_UNUSABLE 0x8000u

static u64 attributes(u64 ar)
{
	return (ar & 0xff) | (ar >> 4 & 0xf00) | (ar & AR_UNUSABLE ? ATTRIBUTES_UNUSABLE : 0);
}

static u64 access_rights(u64 attrib)
{
	u64 ar = (attrib & 0xff) | (attrib & 0xf00) << 4;

	return ar & AR_P && !(attrib & ATTRIBUTES_UNUSABLE) ? ar : ar | AR_UNUSABLE;
}

static u64 to_map(unsigned form, u64 v)
{
	switch (form) {
	case SMM_ATTRIBUTES: return attributes(v);
	case SMM_HIGH: return v >> 32;
	default: return v;
	}
}

static u64 from_map(unsigned form, u64 before, u64 v)
{
	switch (form) {
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

		memcpy(&v, image + (r->at - SMM_IMAGE), r->width);
		memcpy(&now, (u8 *)s + r->offset, r->size);
		now = from_map(r->form, now, v);
		memcpy((u8 *)s + r->offset, &now, r->size);
	}
}

/* ---- entry ---- */

static void collect_io(struct cpu *c, const struct smm_map *m, struct smm_state *s)
{
	const struct smi_io *io = &c->smi_io;

	if (!io->valid)
		return;
	s->io_trap = m->io_trap(c, io);
	s->io_address = io->io.string ? io->io.linear : 0;
	s->io_rip = io->rip;
	s->io_rcx = io->rcx;
	s->io_rsi = io->rsi;
	s->io_rdi = io->rdi;
}

static void collect(struct cpu *c, const struct smm_map *m, struct smm_state *s)
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
	s->revision = m->revision;
	s->halted = c->activity == ACT_HLT;
	s->nmi_masked = c->nmi_blocked;
	collect_io(c, m, s);
}

/* "SMI Handler Execution Environment", "SMM Operating-Environment": like real mode, with limits of 4 GiB. */
static void load_handler(struct cpu *c)
{
	const u32 data = AR_S | AR_P | AR_W | AR_A | AR_G;

	for (unsigned n = SEG_ES; n <= SEG_GS; n++)
		c->seg[n] = (struct seg){.limit = ~0u, .ar = data};
	c->seg[SEG_CS].sel = (u16)(c->smbase >> 4);
	c->seg[SEG_CS].base = c->smbase;
	flags_set(c, FL_1);
	c->r[REG_RIP] = SMM_ENTRY;
	c->cr0 &= ~(u64)(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
	c->cr4 = 0;
	c->efer &= EFER_SVME; /* "Changes to RSM Instruction": neither way changes it */
	c->dr7 = DR7_RESET;
	c->activity = ACT_RUN;
}

static void tell(struct cpu *c, bool entered)
{
	if (unlikely(c->hooks->trace & TRACE_INT) && c->hooks->smm)
		c->hooks->smm(c->hooks->arg, c, entered);
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

/* "I/O Instruction Restart", "Debug ... in SMM": traps of the instruction before wait for RSM. */
static void hold_traps(struct cpu *c)
{
	c->smm_db = c->pending_db;
	c->pending_db = 0;
	c->pend &= ~(u32)PEND_DB;
}

void smm_enter(struct cpu *c)
{
	const struct smm_map *m = smm_map_of(c);
	u8 image[SMM_BYTES] = {0};
	struct smm_state s;

	tell(c, true);
	hold_traps(c);
	c->virt->smm.enter(c, image + SMM_VENDOR);
	if (!c->guest) /* what the handler does is not the guest's */
		cpu_guest_ends(c);
	collect(c, m, &s);
	save_image(m, &s, image);
	c->smm_nmi = c->nmi_blocked;
	c->smm_shutdown = c->activity == ACT_SHUTDOWN;
	memcpy(c->smm_pdpte, c->pdpte, sizeof(c->smm_pdpte));
	c->nmi_blocked = c->smi_blocked = true;
	smm_set(c, true);
	cpu_write(c, BY_CPU, (u32)(c->smbase + m->first), image + (m->first - SMM_IMAGE), 0x10000 - m->first);
	cpu_end_wait(c);
	load_handler(c);
	tlb_flush_space(c, TLB_SPACE_SMM, false);
	tlb_set_space(c, TLB_SPACE_SMM);
	cpu_update_mode(c);
	cpu_recheck(c);
}

enum xr smm_smi(struct cpu *c)
{
	enum xr r;

	c->smi_count++;
	r = c->virt->smm.smi(c);
	if (r == XR_OK)
		smm_enter(c);
	return r;
}

/* ---- RSM ---- */

/* What is illegal in the map without being refused: APM 2 "Leaving SMM". */
static void mend(const struct cpu *c, struct smm_state *s)
{
	static const u8 canonical[] = {SEG_FS, SEG_GS, SEG_LDTR, SEG_TR};
	unsigned width = msr_la_bits(c);
	bool lma = smm_long_mode(s);

	s->efer = (s->efer & ~(EFER_LMA | EFER_SVME)) | (lma ? EFER_LMA : 0) | (c->efer & EFER_SVME);
	if (lma || !(s->cr0 & CR0_PE))
		s->rflags &= ~(u64)FL_VM;
	s->rflags = (s->rflags & FL_ALL) | FL_1;
	s->cr0 = (s->cr0 & CR0_DEFINED) | CR0_ET;
	s->dr6 = (s->dr6 & ~BIT(12)) | dr6_fixed(c);
	s->dr7 = (s->dr7 & ~(BIT(12) | BIT(14) | BIT(15))) | DR7_RESET;
	for (size_t n = 0; n < ARRAY_LEN(canonical); n++)
		s->seg[canonical[n]].base = (u64)sign_extend(s->seg[canonical[n]].base, width);
	s->gdtr.base = (u64)sign_extend(s->gdtr.base, width);
	s->idtr.base = (u64)sign_extend(s->idtr.base, width);
	for (unsigned n = SEG_ES; n <= SEG_DS; n++)
		s->seg[n].base = (u32)s->seg[n].base;
}

/* "I/O Instruction Restart": the access is made once more, and its traps with it. */
static void restart_io(struct cpu *c, const struct smm_map *m, struct smm_state *s)
{
	bool asked = m->restart ? s->io_restart == m->restart : s->io_restart != 0;

	if (!asked || !(s->io_trap & m->io_valid))
		return;
	s->rip = s->io_rip;
	s->r[REG_RCX] = s->io_rcx;
	s->r[REG_RSI] = s->io_rsi;
	s->r[REG_RDI] = s->io_rdi;
	c->smm_db = 0;
}

static void resume(struct cpu *c, const struct smm_state *s)
{
	memcpy(c->r, s->r, sizeof(s->r));
	memcpy(c->seg, s->seg, sizeof(s->seg));
	c->r[REG_RIP] = s->rip;
	flags_set(c, (u32)s->rflags);
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
	c->activity = c->smm_shutdown ? ACT_SHUTDOWN : s->halted ? ACT_HLT : ACT_RUN;
	c->nmi_blocked = s->nmi_masked & 1;
	c->smi_blocked = false;
}

/* The value of a register in words. */
static void decode(const struct smm_check *k, u64 value, struct check_field *f)
{
	struct words w = {f->decoded, sizeof(f->decoded), 0};

	switch (k->offset) {
	case offsetof(struct smm_state, cr0): arch_bits(&w, &arch_cr0_names, value, CR0_PE | CR0_CD); break;
	case offsetof(struct smm_state, cr4): arch_bits(&w, &arch_cr4_names, value, CR4_PAE); break;
	case offsetof(struct smm_state, efer): arch_bits(&w, &arch_efer_names, value, EFER_LME); break;
	case offsetof(struct smm_state, seg[SEG_CS].ar): arch_rights(&w, value); break;
	default: break;
	}
}

static cold void tell_refused(struct cpu *c, const struct smm_check *k, const struct rsm_refused *why, u64 rip)
{
	const bool outside = k == &smm_check_outside;
	struct refusal r = {.kind = REFUSAL_INSN,
	                    .event = outside ? "RSM refused: #UD" : "RSM refused: shutdown",
	                    .check = k->id,
	                    .rule = k->rule,
	                    .manual = k->manual,
	                    .then = outside ? "nothing of the instruction was done" : "the processor shut down",
	                    .guest = c->guest ? c->virt->block_at(c) : UINT64_MAX,
	                    .code = outside ? EX_UD : 0,
	                    .rip = rip,
	                    .insn = c->insns,
	                    .cpu = c->index};

	if (!c->hooks->refused)
		return;
	if (why->field) {
		r.field[r.fields] = (struct check_field){.name = why->field, .value = why->value, .width = why->width};
		decode(k, why->value, &r.field[r.fields++]);
		r.field[r.fields++] = (struct check_field){.name = "its place in SMRAM", .value = why->at};
	}
	c->hooks->refused(c->hooks->arg, c, &r);
}

enum xr smm_rsm_outside(struct cpu *c, u64 rip)
{
	tell_refused(c, &smm_check_outside, &(struct rsm_refused){0}, rip);
	return fault_ud(c);
}

/* Evidence: which field of the map, and the rule. */
static enum xr refuse(struct cpu *c, const struct smm_map *m, const struct smm_check *k, const u8 image[SMM_BYTES], u64 rip)
{
	const struct smm_row *r = smm_check_field(m, k);

	c->rsm = (struct rsm_refused){.check = k->id, .rule = k->rule, .manual = k->manual};
	if (r) {
		c->rsm.field = r->name;
		c->rsm.at = (u32)(c->smbase + r->at);
		c->rsm.width = r->width;
		memcpy(&c->rsm.value, image + (r->at - SMM_IMAGE), r->width);
	}
	tell_refused(c, k, &c->rsm, rip);
	c->chain_n = 0;
	c->activity = ACT_SHUTDOWN;
	return XR_STOP;
}

/* "Changes to RSM Instruction": read anew with EFER.SVME, else they are what they were. A guest's own, behind a second
 * stage, are the vendor's. */
static bool restore_pdptes(struct cpu *c)
{
	bool pae = (c->cr0 & CR0_PG) && (c->cr4 & CR4_PAE) && !(c->efer & EFER_LMA);

	if (c->stage2)
		return true;
	memcpy(c->pdpte, c->smm_pdpte, sizeof(c->pdpte));
	return !pae || !(c->efer & EFER_SVME) || mmu_load_pdptes(c, c->cr3) == XR_OK;
}

enum xr smm_rsm(struct cpu *c)
{
	const struct smm_map *m = smm_map_of(c);
	const u64 rip = c->cur ? insn_rip(c, c->cur) : c->r[REG_RIP];
	const struct smm_check *bad;
	u8 image[SMM_BYTES] = {0};
	struct smm_state s;

	cpu_read(c, BY_CPU, (u32)(c->smbase + m->first), image + (m->first - SMM_IMAGE), 0x10000 - m->first);
	memset(&s, 0, sizeof(s));
	s.nmi_masked = c->smm_nmi;
	load_image(m, image, &s);
	bad = smm_check_state(c, &s);
	if (bad)
		return refuse(c, m, bad, image, rip);
	mend(c, &s);
	restart_io(c, m, &s);
	tell(c, false);
	resume(c, &s);
	smm_set(c, false);
	tlb_set_space(c, 0);
	cpu_update_mode(c);
	if (!c->virt->smm.leave(c, image + SMM_VENDOR))
		return refuse(c, m, &smm_check_vendor, image, rip);
	cpu_update_mode(c);
	if (!restore_pdptes(c))
		return refuse(c, m, &smm_check_pdptes, image, rip);
	c->pending_db = c->smm_db;
	c->smm_db = 0;
	if (c->pending_db)
		c->pend |= PEND_DB;
	c->smm_nmi = c->smm_shutdown = false;
	memset(c->smm_pdpte, 0, sizeof(c->smm_pdpte));
	cpu_recheck(c);
	return XR_OK;
}
