/*
 * "Canonicalization and Consistency Checks": one row each. Predicates are pure, read only their row's fields and the
 * processor's limits, and are true when the VMCB is refused. Every failure has the same outcome:
 * #VMEXIT(VMEXIT_INVALID), guest state in the VMCB unchanged.
 */
#include <stdio.h>

#include "svm/svm.h"

#define SA(member)  ((u16)(VMCB_SAVE + offsetof(struct vmcb_save, member)))
#define CTL(member) ((u16)offsetof(struct vmcb_control, member))
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
	for (unsigned n = 0; n < 4; n++) {
		u64 e = v->env.pdpte[n];

		if ((e & 1) && ((e & 0x1e6) || above(v, e)))
			return true;
	}
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
#define END    0xffff

const struct svm_check svm_checks[] = {
	{"svm.control.vmrun-intercept", SVM_GROUP_CONTROL, vmrun_intercept_clear, "the VMRUN intercept must be set",
	 CCC,
	 {0x010, END}},
	{"svm.control.smi-intercept", SVM_GROUP_CONTROL, smi_intercept_clear,
	 "the SMI intercept must be set (2005's processors only)", "33047 \"Canonicalization and Consistency Checks\"",
	 {0x00c, END}},
	{"svm.control.vnmi-nmi-intercept", SVM_GROUP_CONTROL, vnmi_without_nmi,
	 "V_NMI_ENABLE needs the NMI intercept", "APM 2 \"NMI Virtualization\"", {CTL(vintr), 0x00c, END}},
	{"svm.control.asid-zero", SVM_GROUP_CONTROL, asid_zero, "guest ASID must not be 0, which is the host's", CCC,
	 {CTL(asid), END}},
	{"svm.control.asid-range", SVM_GROUP_CONTROL, asid_beyond,
	 "guest ASID must be one that the processor implements", CCC,
	 {CTL(asid), END}},
	{"svm.control.iopm-address", SVM_GROUP_CONTROL, iopm_beyond,
	 "the I/O permissions map must end below the maximum physical address", "APM 2 \"IOIO Intercepts\"",
	 {CTL(iopm_base_pa), END}},
	{"svm.control.msrpm-address", SVM_GROUP_CONTROL, msrpm_beyond,
	 "the MSR permissions map must end below the maximum physical address", "APM 2 \"MSR Intercepts\"",
	 {CTL(msrpm_base_pa), END}},

	{"svm.nested.host-paging", SVM_GROUP_NESTED, np_host_unpaged,
	 "nested paging needs a host with paging enabled", NPAGE,
	 {CTL(nested_ctl), END}},
	{"svm.nested.ncr3-reserved", SVM_GROUP_NESTED, ncr3_reserved,
	 "N_CR3 must not exceed the physical address width", NPAGE,
	 {CTL(n_cr3), CTL(nested_ctl), END}},
	{"svm.nested.g-pat", SVM_GROUP_NESTED, g_pat_invalid, "every byte of G_PAT must be 0, 1, 4, 5, 6 or 7", CCC,
	 {SA(g_pat), CTL(nested_ctl), END}},

	{"svm.avic.x2avic-alone", SVM_GROUP_CONTROL, x2avic_alone, "x2AVIC mode needs AVIC enabled", AVIC,
	 {CTL(vintr), END}},
	{"svm.avic.max-index", SVM_GROUP_CONTROL, avic_max_index,
	 "AVIC_PHYSICAL_MAX_INDEX must not exceed 255, in x2AVIC mode 511", AVIC,
	 {CTL(avic_physical_table), CTL(vintr), CTL(nested_ctl), END}},
	{"svm.avic.pointer", SVM_GROUP_CONTROL, avic_backing,
	 "the AVIC pages must lie below the maximum physical address", AVIC,
	 {CTL(avic_backing_page), CTL(vintr), CTL(nested_ctl), END}},
	{"svm.avic.pointer", SVM_GROUP_CONTROL, avic_physical,
	 "the AVIC pages must lie below the maximum physical address", AVIC,
	 {CTL(avic_physical_table), CTL(vintr), CTL(nested_ctl), END}},
	{"svm.avic.pointer", SVM_GROUP_CONTROL, avic_logical,
	 "the AVIC pages must lie below the maximum physical address", AVIC,
	 {CTL(avic_logical_table), CTL(vintr), CTL(nested_ctl), END}},

	{"svm.guest.efer.svme", SVM_GROUP_CRX, svme_clear, "EFER.SVME must be 1", CCC, {SA(efer), END}},
	{"svm.guest.efer.reserved", SVM_GROUP_CRX, efer_reserved, "reserved bits of EFER must be 0", CCC, {SA(efer),
	 END}},
	{"svm.guest.efer.no-long-mode", SVM_GROUP_CRX, no_long_mode,
	 "EFER.LMA and LME must be 0 on a processor without long mode",
	 CCC, {SA(efer), END}},
	{"svm.guest.cr4.pae-long", SVM_GROUP_CRX, lme_without_pae, "EFER.LME with CR0.PG needs CR4.PAE", CCC,
	 {SA(cr4), SA(efer), SA(cr0), END}},
	{"svm.guest.cr0.pe-long", SVM_GROUP_CRX, lme_without_pe, "EFER.LME with CR0.PG needs CR0.PE", CCC,
	 {SA(cr0), SA(efer), END}},
	{"svm.guest.cs.l-and-d", SVM_GROUP_CRX, cs_l_and_d, "in long mode CS.L and CS.D must not both be 1", CCC,
	 {SA(cs) + 2, SA(efer), SA(cr0), SA(cr4), END}},
	{"svm.guest.cr0.nw-cd", SVM_GROUP_CRX, cr0_nw_without_cd, "CR0.NW must be 0 while CR0.CD is 0", CCC,
	 {SA(cr0), END}},
	{"svm.guest.cr0.upper", SVM_GROUP_CRX, cr0_upper, "CR0[63:32] must be 0", CCC, {SA(cr0), END}},
	{"svm.guest.cr3.reserved", SVM_GROUP_CRX, cr3_reserved, "CR3 must not exceed the physical address width",
	 CCC, {SA(cr3), END}},
	{"svm.guest.cr4.reserved", SVM_GROUP_CRX, cr4_reserved, "reserved bits of CR4 must be 0", CCC, {SA(cr4),
	 END}},
	{"svm.guest.pdpte.reserved", SVM_GROUP_CRX, pdpte_reserved,
	 "reserved bits of the four PDPEs at CR3 must be 0 in legacy PAE paging without nested paging", CCC,
	 {SA(cr3), END}},

	{"svm.guest.dr6.upper", SVM_GROUP_DRX, dr6_upper, "DR6[63:32] must be 0", CCC, {SA(dr6), END}},
	{"svm.guest.dr7.upper", SVM_GROUP_DRX, dr7_upper, "DR7[63:32] must be 0", CCC, {SA(dr7), END}},

	{"svm.inject.type", SVM_GROUP_EVENT, inject_type, "EVENTINJ type must be 0, 2, 3 or 4", INJECT,
	 {CTL(eventinj), END}},
	{"svm.inject.vector", SVM_GROUP_EVENT, inject_vector, "EVENTINJ type 3 needs the vector of an exception",
	 INJECT,
	 {CTL(eventinj), END}},
	{"svm.inject.mode", SVM_GROUP_EVENT, inject_mode, "#OF and #BR cannot happen in 64-bit mode", INJECT,
	 {CTL(eventinj), SA(efer), SA(cr0), SA(cs) + 2, END}},
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

/* ---- the refusal told to whoever listens ---- */

u64 svm_field_value(const struct svm_image *v, unsigned offset)
{
	const struct vmcb_field *f = vmcb_field_at(offset);
	const u8 *base =
	        offset < VMCB_SAVE ? (const u8 *)&v->control + offset : (const u8 *)&v->save + (offset - VMCB_SAVE);
	u64 value = 0;

	if (f && (offset < sizeof(v->control) || offset >= VMCB_SAVE)) /* what lies between them is in no check */
		memcpy(&value, base, f->width);
	return value;
}

static void decode_field(struct check_field *f, const struct svm_image *v, unsigned offset, const struct cpu *c)
{
	if (offset == CTL(asid))
		snprintf(f->decoded, sizeof(f->decoded), "this processor has 1 to 0x%x", v->env.asids - 1);
	else if (offset == SA(efer) && (f->value & ~v->env.efer_bits))
		snprintf(f->decoded, sizeof(f->decoded), "reserved bits 0x%llx",
		         (unsigned long long)(f->value & ~v->env.efer_bits));
	else if (offset == SA(cr4) && (f->value & ~v->env.cr4_bits))
		snprintf(f->decoded, sizeof(f->decoded), "reserved bits 0x%llx",
		         (unsigned long long)(f->value & ~v->env.cr4_bits));
	else if (offset == SA(efer))
		snprintf(f->decoded, sizeof(f->decoded), "SVME %u, LMA %u, LME %u", !!(f->value & EFER_SVME),
		         !!(f->value & EFER_LMA), !!(f->value & EFER_LME));
	else if (offset == SA(cr0))
		snprintf(f->decoded, sizeof(f->decoded), "PE %u, PG %u, CD %u, NW %u", !!(f->value & CR0_PE),
		         !!(f->value & CR0_PG), !!(f->value & CR0_CD), !!(f->value & CR0_NW));
	else if (offset == CTL(eventinj))
		snprintf(f->decoded, sizeof(f->decoded), "vector %u, type %u", (unsigned)(u8)f->value,
		         (unsigned)bits(f->value, 10, 8));
	else if (offset == CTL(n_cr3) || offset == SA(cr3) || offset == CTL(iopm_base_pa) ||
	         offset == CTL(msrpm_base_pa))
		snprintf(f->decoded, sizeof(f->decoded), "%u physical address bits", c->phys_bits);
}

static void list_others(struct refusal *r, const struct svm_image *v, const struct svm_check *first)
{
	size_t used = 0;

	snprintf(r->also, sizeof(r->also), "none");
	for (const struct svm_check *k = first + 1; (k = svm_check_next(v, k, ~0u)) != NULL; k++) {
		int n = snprintf(r->also + used, sizeof(r->also) - used, "%s%s", used ? ", " : "", k->id);

		if (n < 0 || (size_t)n >= sizeof(r->also) - used)
			return;
		used += (size_t)n;
	}
}

cold void svm_check_refuse(struct cpu *c, const struct svm_image *v, const struct svm_check *first, pa_t pa, u64 rip)
{
	struct refusal r = {
	        .event = "VMRUN refused: #VMEXIT(VMEXIT_INVALID), EXITCODE 0xffffffffffffffff",
	        .check = first->id,
	        .rule = first->rule,
	        .manual = first->manual,
	        .then = "guest state in the VMCB unchanged; GIF 0",
	        .guest = pa,
	        .code = EXITCODE_INVALID,
	        .rip = rip,
	        .insn = c->insns,
	        .cpu = c->index,
	};

	if (!c->hooks->refused)
		return;
	for (unsigned n = 0; n < SVM_CHECK_FIELDS && first->field[n] != END; n++) {
		struct check_field *f = &r.field[r.fields++];

		f->name = vmcb_field_at(first->field[n])->name;
		f->value = svm_field_value(v, first->field[n]);
		decode_field(f, v, first->field[n], c);
	}
	list_others(&r, v, first);
	c->hooks->refused(c->hooks->arg, c, &r);
}

/*
 * "#VMEXIT": illegal bits in the host's PDPEs, found when they are reloaded, shut the processor down. The rest of the
 * host's state comes from a copy that VMRUN took and is never illegal.
 */
cold void svm_check_shutdown(struct cpu *c)
{
	struct refusal r = {
	        .event = "#VMEXIT failed: the processor shut down while it reloaded the host",
	        .check = "svm.host.pdpte.reserved",
	        .rule = "reserved bits of the host's four PDPEs must be 0 when #VMEXIT reloads them",
	        .manual = "APM 2 \"#VMEXIT\"",
	        .then = "shutdown; GIF 0",
	        .also = "none",
	        .guest = svm_of(c)->vmcb_pa,
	        .rip = c->r[REG_RIP],
	        .insn = c->insns,
	        .cpu = c->index,
	        .fields = 1,
	};

	if (!c->hooks->refused)
		return;
	r.field[0] = (struct check_field){.name = "host CR3", .value = c->cr3};
	for (unsigned n = 0; n < 4; n++) {
		static const char *const names[] = {"host PDPE 0", "host PDPE 1", "host PDPE 2", "host PDPE 3"};
		u64 e = cpu_read_u64(c, BY_VIRT, (c->cr3 & 0xffffffe0) + 8 * n);
		u64 wrong = e & 1 ? (e & 0x1e6) | (e >> c->phys_bits << c->phys_bits) : 0;

		if (!wrong)
			continue;
		r.field[r.fields] = (struct check_field){.name = names[n], .value = e};
		snprintf(r.field[r.fields].decoded, sizeof(r.field[0].decoded), "reserved bits 0x%llx",
		         (unsigned long long)wrong);
		r.fields++;
	}
	c->hooks->refused(c->hooks->arg, c, &r);
}
