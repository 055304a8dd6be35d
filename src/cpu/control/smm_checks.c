/*
 * What RSM refuses in the save-state map. APM 2 "Leaving SMM"; SDM 3C "Exiting From SMM", whose shorter list is about the same
 * registers: what one manual calls a shutdown is one on both makers' processors.
 */
#include "cpu/control/smm_map.h"

#define APM "APM 2 \"Leaving SMM\""
#define SDM "SDM 3C \"Exiting From SMM\""
#define BOTH APM ", " SDM

static bool cr0_high(const struct cpu *c, const struct smm_state *s)
{
	(void)c;
	return s->cr0 >> 32;
}

/* "Paged Real Mode": a guest of SVM may be there. */
static bool paged_real(const struct cpu *c, const struct smm_state *s)
{
	return (s->cr0 & (CR0_PG | CR0_PE)) == CR0_PG && !(c->efer & EFER_SVME);
}

static bool not_write_through(const struct cpu *c, const struct smm_state *s)
{
	(void)c;
	return (s->cr0 & (CR0_NW | CR0_CD)) == CR0_NW;
}

static bool cr3_reserved(const struct cpu *c, const struct smm_state *s)
{
	return s->cr3 >> c->phys_bits;
}

static bool cr4_reserved(const struct cpu *c, const struct smm_state *s)
{
	return s->cr4 & ~cr4_defined(c);
}

/* "Default Treatment of RSM" */
static bool vmx_enabled(const struct cpu *c, const struct smm_state *s)
{
	return has(c, FEAT_VMX) && (s->cr4 & CR4_VMXE);
}

static bool pcid_legacy(const struct cpu *c, const struct smm_state *s)
{
	(void)c;
	return (s->cr4 & CR4_PCIDE) && !smm_long_mode(s);
}

static bool efer_reserved(const struct cpu *c, const struct smm_state *s)
{
	return !efer_valid(c, s->efer & ~EFER_SVME); /* "Changes to RSM Instruction": that bit is not looked at */
}

static bool long_without_pae(const struct cpu *c, const struct smm_state *s)
{
	(void)c;
	return (s->efer & EFER_LME) && (s->cr0 & CR0_PG) && !(s->cr4 & CR4_PAE);
}

static bool code_size(const struct cpu *c, const struct smm_state *s)
{
	u32 ar = s->seg[SEG_CS].ar;

	(void)c;
	return smm_long_mode(s) && (ar & AR_L) && (ar & AR_DB);
}

static bool dr6_high(const struct cpu *c, const struct smm_state *s)
{
	(void)c;
	return s->dr6 >> 32;
}

static bool dr7_high(const struct cpu *c, const struct smm_state *s)
{
	(void)c;
	return s->dr7 >> 32;
}

static bool other_revision(const struct cpu *c, const struct smm_state *s)
{
	const struct smm_map *m = smm_map_of(c);

	return m->fixed_revision && s->revision != m->revision;
}

#define ROW(id_, bad_, member, rule_, manual_)                                                                         \
	{ .id = "rsm." id_, .rule = (rule_), .manual = (manual_), .bad = (bad_), .offset = offsetof(struct smm_state, member) }
/* clang-format off */
const struct smm_check smm_checks[] = {
	ROW("cr0.high", cr0_high, cr0, "CR0 bits 63:32 must be 0", APM),
	ROW("cr0.pg-pe", paged_real, cr0, "CR0.PG needs CR0.PE, but for EFER.SVME", BOTH),
	ROW("cr0.nw-cd", not_write_through, cr0, "CR0.NW needs CR0.CD", BOTH),
	ROW("cr3.reserved", cr3_reserved, cr3, "CR3 must have no bit beyond the physical-address width", APM),
	ROW("cr4.reserved", cr4_reserved, cr4, "CR4 must have no bit that this processor does not have", BOTH),
	ROW("cr4.vmxe", vmx_enabled, cr4, "CR4.VMXE must be 0: whether RSM returns to VMX operation is not the map's business", "SDM 3C \"Default Treatment of RSM\""),
	ROW("cr4.pcide", pcid_legacy, cr4, "CR4.PCIDE needs long mode", SDM),
	ROW("efer.reserved", efer_reserved, efer, "EFER must have no bit that this processor does not have", APM),
	ROW("efer.lme-pae", long_without_pae, efer, "EFER.LME with CR0.PG needs CR4.PAE", APM),
	ROW("cs.l-d", code_size, seg[SEG_CS].ar, "in long mode CS.L excludes CS.D", APM),
	ROW("dr6.high", dr6_high, dr6, "DR6 bits 63:32 must be 0", APM),
	ROW("dr7.high", dr7_high, dr7, "DR7 bits 63:32 must be 0", APM),
	ROW("revision", other_revision, revision, "the revision identifier must be as the processor wrote it", APM),
};
/* clang-format on */
const size_t smm_check_count = ARRAY_LEN(smm_checks);

const struct smm_check smm_check_outside = {
	.id = "rsm.outside-smm",
	.rule = "RSM must be executed in system-management mode",
	.manual = "APM 3 \"RSM\", SDM 2B \"RSM\"",
	.offset = UINT16_MAX,
};
const struct smm_check smm_check_vendor = {
	.id = "rsm.vendor",
	.rule = "what the vendor keeps in the map must lead back to where the SMI came",
	.manual = "SDM 3C \"Default Treatment of RSM\", APM 2 \"RSM in a Guest\"",
	.offset = UINT16_MAX,
};
const struct smm_check smm_check_pdptes = {
	.id = "rsm.pdpte.reserved",
	.rule = "with PAE paging the page-directory-pointer entries at CR3 must have no reserved bit",
	.manual = "33047 \"Changes to RSM Instruction\"",
	.offset = offsetof(struct smm_state, cr3),
};

const char *smm_check_id(size_t n)
{
	static const struct smm_check *const others[] = {&smm_check_outside, &smm_check_vendor, &smm_check_pdptes};

	if (n < smm_check_count)
		return smm_checks[n].id;
	n -= smm_check_count;
	return n < ARRAY_LEN(others) ? others[n]->id : NULL;
}

const struct smm_check *smm_check_state(const struct cpu *c, const struct smm_state *s)
{
	for (size_t n = 0; n < smm_check_count; n++)
		if (smm_checks[n].bad(c, s))
			return &smm_checks[n];
	return NULL;
}

const struct smm_row *smm_check_field(const struct smm_map *m, const struct smm_check *k)
{
	for (size_t n = 0; n < m->count; n++)
		if (m->rows[n].offset == k->offset)
			return &m->rows[n];
	return NULL;
}
