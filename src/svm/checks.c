/*
 * "Canonicalization and Consistency Checks": one row each. Predicates are pure, read only their row's fields and the
 * processor's limits, and are true when the VMCB is refused. Every failure has the same outcome:
 * #VMEXIT(VMEXIT_INVALID), guest state in the VMCB unchanged.
 */
#include "svm/svm.h"

#define SA(member)  SAVE_AT(member)
#define CTL(member) CTL_AT(member)
#define ATTRIB_L    BIT(9)
#define ATTRIB_D    BIT(10)

static bool long_paging(const struct svm_image *v)
{
	return (v->save.efer & EFER_LME) && (v->save.cr0 & CR0_PG);
}

static bool long_code(const struct svm_image *v)
{
	return long_paging(v) && (v->save.cs.attrib & ATTRIB_L);
}

static bool nested(const struct svm_image *v)
{
	return v->env.nested_paging && (v->control.nested_ctl & NESTED_NP_ENABLE);
}

static bool above(const struct svm_image *v, u64 pa)
{
	return (pa >> v->env.phys_bits) != 0;
}

/* ---- control area ---- */

static bool vmrun_intercept_clear(const struct svm_image *v)
{
	return !(v->control.icpt[4] & 1);
}

/* 2005 only: today the SMI intercept is optional. */
static bool smi_intercept_clear(const struct svm_image *v)
{
	return v->env.first && !(v->control.icpt[3] & BIT(2));
}

static bool vnmi_without_nmi(const struct svm_image *v)
{
	return v->env.vnmi && (v->control.vintr & VINTR_NMI_EN) && !(v->control.icpt[3] & BIT(1));
}

static bool asid_zero(const struct svm_image *v)
{
	return v->control.asid == 0;
}

/* Undefined by the manual; what no processor implements is refused rather than aliased. */
static bool asid_beyond(const struct svm_image *v)
{
	return v->control.asid >= v->env.asids;
}

/* 64K + 3 bits: the last byte is the first of the third page. */
static bool iopm_beyond(const struct svm_image *v)
{
	u64 base = v->control.iopm_base_pa & PAGE_MASK;

	return above(v, base) || above(v, base + 0x2000);
}

static bool msrpm_beyond(const struct svm_image *v)
{
	u64 base = v->control.msrpm_base_pa & PAGE_MASK;

	return above(v, base) || above(v, base + 0x1fff);
}

/* ---- nested paging ---- */

static bool np_host_unpaged(const struct svm_image *v)
{
	return nested(v) && !(v->env.host_cr0 & CR0_PG);
}

static bool ncr3_reserved(const struct svm_image *v)
{
	return nested(v) && above(v, v->control.n_cr3);
}

static bool g_pat_invalid(const struct svm_image *v)
{
	return nested(v) && !arch_pat_valid(v->save.g_pat);
}

/* ---- AVIC: in force with nested paging only, and then every pointer of it is used ---- */

static bool avic(const struct svm_image *v)
{
	return v->env.avic && (v->control.vintr & VINTR_AVIC) && nested(v);
}

static bool x2avic(const struct svm_image *v)
{
	return avic(v) && v->env.x2avic && (v->control.vintr & VINTR_X2AVIC);
}

static bool x2avic_alone(const struct svm_image *v)
{
	return v->env.x2avic && (v->control.vintr & (VINTR_X2AVIC | VINTR_AVIC)) == VINTR_X2AVIC;
}

static bool avic_max_index(const struct svm_image *v)
{
	return avic(v) && bits(v->control.avic_physical_table, 11, 0) > (x2avic(v) ? 511 : 255);
}

static bool avic_backing(const struct svm_image *v)
{
	return avic(v) && above(v, v->control.avic_backing_page & mask(51, 12));
}

static bool avic_physical(const struct svm_image *v)
{
	return avic(v) && above(v, v->control.avic_physical_table & mask(51, 12));
}

/* x2AVIC has no logical table. */
static bool avic_logical(const struct svm_image *v)
{
	return avic(v) && !x2avic(v) && above(v, v->control.avic_logical_table & mask(51, 12));
}

/* ---- EFER and control registers ---- */

static bool svme_clear(const struct svm_image *v)
{
	return !(v->save.efer & EFER_SVME);
}

static bool efer_reserved(const struct svm_image *v)
{
	return (v->save.efer & ~v->env.efer_bits) != 0;
}

static bool no_long_mode(const struct svm_image *v)
{
	return (v->save.efer & (EFER_LMA | EFER_LME)) && !v->env.long_mode;
}

static bool lme_without_pae(const struct svm_image *v)
{
	return long_paging(v) && !(v->save.cr4 & CR4_PAE);
}

static bool lme_without_pe(const struct svm_image *v)
{
	return long_paging(v) && !(v->save.cr0 & CR0_PE);
}

static bool cs_l_and_d(const struct svm_image *v)
{
	return long_paging(v) && (v->save.cr4 & CR4_PAE) && (v->save.cs.attrib & ATTRIB_L) &&
	       (v->save.cs.attrib & ATTRIB_D);
}

static bool cr0_nw_without_cd(const struct svm_image *v)
{
	return !(v->save.cr0 & CR0_CD) && (v->save.cr0 & CR0_NW);
}

static bool cr0_upper(const struct svm_image *v)
{
	return (v->save.cr0 >> 32) != 0;
}

static bool cr3_reserved(const struct svm_image *v)
{
	return above(v, v->save.cr3);
}

static bool cr4_reserved(const struct svm_image *v)
{
	return (v->save.cr4 & ~v->env.cr4_bits) != 0;
}

/* env.pdpte is filled only for a guest in legacy PAE paging without nested paging. */
static bool pdpte_reserved(const struct svm_image *v)
{
	for (unsigned n = 0; n < 4; n++)
		if (svm_pdpe_wrong(v->env.pdpte[n], v->env.phys_bits))
			return true;
	return false;
}

/* ---- debug registers ---- */

static bool dr6_upper(const struct svm_image *v)
{
	return (v->save.dr6 >> 32) != 0;
}

static bool dr7_upper(const struct svm_image *v)
{
	return (v->save.dr7 >> 32) != 0;
}

/* ---- event injection ---- */

static bool injects(const struct svm_image *v, unsigned type)
{
	return (v->control.eventinj & INTINFO_V) && bits(v->control.eventinj, 10, 8) == type;
}

static bool inject_type(const struct svm_image *v)
{
	return injects(v, 1) || injects(v, 5) || injects(v, 6) || injects(v, 7);
}

/* 0, 1, 3-8, 10-14, 16-19, #SX 30 are exceptions of these processors, and #HV 28 since 2005; 2 is the NMI. */
static bool inject_vector(const struct svm_image *v)
{
	const u64 exceptions = v->env.first ? 0x400f7dfbull : 0x500f7dfbull;
	unsigned vector = (u8)v->control.eventinj;

	return injects(v, INTINFO_EXCEPTION) && (vector > 31 || !(exceptions >> vector & 1));
}

/* INTO and BOUND do not exist in 64-bit mode. */
static bool inject_mode(const struct svm_image *v)
{
	u8 vector = (u8)v->control.eventinj;

	return injects(v, INTINFO_EXCEPTION) && (vector == EX_BR || vector == EX_OF) && long_code(v);
}

/* clang-format off */
#define CCC    "APM 2 \"Canonicalization and Consistency Checks\""
#define INJECT "APM 2 \"Event Injection\""
#define AVIC   "APM 2 \"Advanced Virtual Interrupt Controller\""
#define NPAGE  "APM 2 \"Enabling Nested Paging\""
#define END    SVM_FIELDS_END

const struct svm_check svm_checks[] = {
	{"svm.control.vmrun-intercept", SVM_GROUP_CONTROL, vmrun_intercept_clear, "the VMRUN intercept must be set",
	 CCC,
	 {0x010, END}, .one = BIT(0)},
	{"svm.control.smi-intercept", SVM_GROUP_CONTROL, smi_intercept_clear,
	 "the SMI intercept must be set (2005's processors only)", "33047 \"Canonicalization and Consistency Checks\"",
	 {0x00c, END}, .one = BIT(2)},
	{"svm.control.vnmi-nmi-intercept", SVM_GROUP_CONTROL, vnmi_without_nmi,
	 "V_NMI_ENABLE needs the NMI intercept", "APM 2 \"NMI Virtualization\"", {CTL(vintr), 0x00c, END}, .zero = VINTR_NMI_EN},
	{"svm.control.asid-zero", SVM_GROUP_CONTROL, asid_zero, "guest ASID must not be 0, which is the host's", CCC,
	 {CTL(asid), END}, .limit = SVM_LIMIT_NONE},
	{"svm.control.asid-range", SVM_GROUP_CONTROL, asid_beyond,
	 "guest ASID must be one that the processor implements", CCC,
	 {CTL(asid), END}, .limit = SVM_LIMIT_NONE},
	{"svm.control.iopm-address", SVM_GROUP_CONTROL, iopm_beyond,
	 "the I/O permissions map must end below the maximum physical address", "APM 2 \"IOIO Intercepts\"",
	 {CTL(iopm_base_pa), END}, .limit = SVM_LIMIT_ADDRESS},
	{"svm.control.msrpm-address", SVM_GROUP_CONTROL, msrpm_beyond,
	 "the MSR permissions map must end below the maximum physical address", "APM 2 \"MSR Intercepts\"",
	 {CTL(msrpm_base_pa), END}, .limit = SVM_LIMIT_ADDRESS},

	{"svm.nested.host-paging", SVM_GROUP_NESTED, np_host_unpaged,
	 "nested paging needs a host with paging enabled", NPAGE,
	 {CTL(nested_ctl), END}, .zero = NESTED_NP_ENABLE},
	{"svm.nested.ncr3-reserved", SVM_GROUP_NESTED, ncr3_reserved,
	 "N_CR3 must not exceed the physical address width", NPAGE,
	 {CTL(n_cr3), CTL(nested_ctl), END}, .limit = SVM_LIMIT_ADDRESS},
	{"svm.nested.g-pat", SVM_GROUP_NESTED, g_pat_invalid, "every byte of G_PAT must be 0, 1, 4, 5, 6 or 7", CCC,
	 {SA(g_pat), CTL(nested_ctl), END}, .limit = SVM_LIMIT_NONE},

	{"svm.avic.x2avic-alone", SVM_GROUP_CONTROL, x2avic_alone, "x2AVIC mode needs AVIC enabled", AVIC,
	 {CTL(vintr), END}, .one = VINTR_AVIC},
	{"svm.avic.max-index", SVM_GROUP_CONTROL, avic_max_index,
	 "AVIC_PHYSICAL_MAX_INDEX must not exceed 255, in x2AVIC mode 511", AVIC,
	 {CTL(avic_physical_table), CTL(vintr), CTL(nested_ctl), END}, .limit = SVM_LIMIT_NONE},
	{"svm.avic.pointer", SVM_GROUP_CONTROL, avic_backing,
	 "the AVIC pages must lie below the maximum physical address", AVIC,
	 {CTL(avic_backing_page), CTL(vintr), CTL(nested_ctl), END}, .limit = SVM_LIMIT_ADDRESS, .zero = 0xffffffffff000},
	{"svm.avic.pointer", SVM_GROUP_CONTROL, avic_physical,
	 "the AVIC pages must lie below the maximum physical address", AVIC,
	 {CTL(avic_physical_table), CTL(vintr), CTL(nested_ctl), END}, .limit = SVM_LIMIT_ADDRESS, .zero = 0xffffffffff000},
	{"svm.avic.pointer", SVM_GROUP_CONTROL, avic_logical,
	 "the AVIC pages must lie below the maximum physical address", AVIC,
	 {CTL(avic_logical_table), CTL(vintr), CTL(nested_ctl), END}, .limit = SVM_LIMIT_ADDRESS, .zero = 0xffffffffff000},

	{"svm.guest.efer.svme", SVM_GROUP_CRX, svme_clear, "EFER.SVME must be 1", CCC, {SA(efer), END}, .one = EFER_SVME},
	{"svm.guest.efer.reserved", SVM_GROUP_CRX, efer_reserved, "reserved bits of EFER must be 0", CCC, {SA(efer),
	 END}, .limit = SVM_LIMIT_EFER},
	{"svm.guest.efer.no-long-mode", SVM_GROUP_CRX, no_long_mode,
	 "EFER.LMA and LME must be 0 on a processor without long mode",
	 CCC, {SA(efer), END}, .zero = EFER_LMA | EFER_LME},
	{"svm.guest.cr4.pae-long", SVM_GROUP_CRX, lme_without_pae, "EFER.LME with CR0.PG needs CR4.PAE", CCC,
	 {SA(cr4), SA(efer), SA(cr0), END}, .one = CR4_PAE},
	{"svm.guest.cr0.pe-long", SVM_GROUP_CRX, lme_without_pe, "EFER.LME with CR0.PG needs CR0.PE", CCC,
	 {SA(cr0), SA(efer), END}, .one = CR0_PE},
	{"svm.guest.cs.l-and-d", SVM_GROUP_CRX, cs_l_and_d, "in long mode CS.L and CS.D must not both be 1", CCC,
	 {SA(cs) + 2, SA(efer), SA(cr0), SA(cr4), END}, .limit = SVM_LIMIT_NONE},
	{"svm.guest.cr0.nw-cd", SVM_GROUP_CRX, cr0_nw_without_cd, "CR0.NW must be 0 while CR0.CD is 0", CCC,
	 {SA(cr0), END}, .zero = CR0_NW},
	{"svm.guest.cr0.upper", SVM_GROUP_CRX, cr0_upper, "CR0[63:32] must be 0", CCC, {SA(cr0), END}, .zero = 0xffffffff00000000},
	{"svm.guest.cr3.reserved", SVM_GROUP_CRX, cr3_reserved, "CR3 must not exceed the physical address width",
	 CCC, {SA(cr3), END}, .limit = SVM_LIMIT_ADDRESS},
	{"svm.guest.cr4.reserved", SVM_GROUP_CRX, cr4_reserved, "reserved bits of CR4 must be 0", CCC, {SA(cr4),
	 END}, .limit = SVM_LIMIT_CR4},
	{"svm.guest.pdpte.reserved", SVM_GROUP_CRX, pdpte_reserved,
	 "reserved bits of the four PDPEs at CR3 must be 0 in legacy PAE paging without nested paging", CCC,
	 {SA(cr3), END}, .limit = SVM_LIMIT_NONE},

	{"svm.guest.dr6.upper", SVM_GROUP_DRX, dr6_upper, "DR6[63:32] must be 0", CCC, {SA(dr6), END}, .zero = 0xffffffff00000000},
	{"svm.guest.dr7.upper", SVM_GROUP_DRX, dr7_upper, "DR7[63:32] must be 0", CCC, {SA(dr7), END}, .zero = 0xffffffff00000000},

	{"svm.inject.type", SVM_GROUP_EVENT, inject_type, "EVENTINJ type must be 0, 2, 3 or 4", INJECT,
	 {CTL(eventinj), END}, .limit = SVM_LIMIT_NONE},
	{"svm.inject.vector", SVM_GROUP_EVENT, inject_vector, "EVENTINJ type 3 needs the vector of an exception",
	 INJECT,
	 {CTL(eventinj), END}, .limit = SVM_LIMIT_NONE},
	{"svm.inject.mode", SVM_GROUP_EVENT, inject_mode, "#OF and #BR cannot happen in 64-bit mode", INJECT,
	 {CTL(eventinj), SA(efer), SA(cr0), SA(cs) + 2, END}, .limit = SVM_LIMIT_NONE},
};
/* clang-format on */
const size_t svm_check_count = ARRAY_LEN(svm_checks);

const struct svm_check *svm_check_next(const struct svm_image *v, const struct svm_check *from, u32 groups)
{
	if (likely(!groups))
		return NULL;
	for (; from < svm_checks + svm_check_count; from++)
		if ((groups >> from->group & 1) && from->bad(v))
			return from;
	return NULL;
}

#define VINTR_CHECKED (VINTR_NMI_EN | VINTR_X2AVIC | VINTR_AVIC)

static bool same_avic(const struct svm_image *a, const struct svm_image *b)
{
	return !((a->control.vintr ^ b->control.vintr) & VINTR_CHECKED) &&
	       (!(a->control.vintr & VINTR_AVIC) ||
	        (a->control.nested_ctl == b->control.nested_ctl &&
	         a->control.avic_backing_page == b->control.avic_backing_page &&
	         a->control.avic_logical_table == b->control.avic_logical_table &&
	         a->control.avic_physical_table == b->control.avic_physical_table));
}

static bool same_control(const struct svm_image *a, const struct svm_image *b)
{
	return same_avic(a, b) && !memcmp(a->control.icpt, b->control.icpt, sizeof(a->control.icpt)) &&
	       a->control.asid == b->control.asid && a->control.iopm_base_pa == b->control.iopm_base_pa &&
	       a->control.msrpm_base_pa == b->control.msrpm_base_pa;
}

static bool same_crx(const struct svm_image *a, const struct svm_image *b)
{
	return a->save.efer == b->save.efer && a->save.cr0 == b->save.cr0 && a->save.cr3 == b->save.cr3 &&
	       a->save.cr4 == b->save.cr4 && a->save.cs.attrib == b->save.cs.attrib &&
	       !memcmp(a->env.pdpte, b->env.pdpte, sizeof(a->env.pdpte));
}

u32 svm_check_groups(const struct svm_image *v, const struct svm_image *good)
{
	u32 groups = v->control.eventinj & INTINFO_V ? 1u << SVM_GROUP_EVENT : 0;

	if (!good)
		return (1u << SVM_GROUPS) - 1;
	if (!same_control(v, good))
		groups |= 1u << SVM_GROUP_CONTROL;
	if (v->control.nested_ctl != good->control.nested_ctl || v->control.n_cr3 != good->control.n_cr3 ||
	    v->save.g_pat != good->save.g_pat || v->env.host_cr0 != good->env.host_cr0)
		groups |= 1u << SVM_GROUP_NESTED;
	if (!same_crx(v, good))
		groups |= 1u << SVM_GROUP_CRX;
	if (v->save.dr6 != good->save.dr6 || v->save.dr7 != good->save.dr7)
		groups |= 1u << SVM_GROUP_DRX;
	return groups;
}
