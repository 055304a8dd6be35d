/* "Checks on Guest Segment Registers": exit reason 33. Rows are about the segment register of a number. */
#include "vmx/checks_rows.h"

static u64 sel(const struct vmx_image *g, unsigned s)
{
	return g->f[vmcs_slot(VMCS_GUEST_ES_SEL) + s];
}

static u64 base(const struct vmx_image *g, unsigned s)
{
	return g->f[vmcs_slot(VMCS_GUEST_ES_BASE) + s];
}

static u64 limit(const struct vmx_image *g, unsigned s)
{
	return g->f[vmcs_slot(VMCS_GUEST_ES_LIMIT) + s];
}

static u64 rights(const struct vmx_image *g, unsigned s)
{
	return vmx_rights(g->caps, g->f[vmcs_slot(VMCS_GUEST_ES_AR) + s]);
}

static unsigned type(const struct vmx_image *g, unsigned s)
{
	return (unsigned)rights(g, s) & AR_TYPE;
}

static unsigned dpl(const struct vmx_image *g, unsigned s)
{
	return (unsigned)bits(rights(g, s), 6, 5);
}

static unsigned rpl(const struct vmx_image *g, unsigned s)
{
	return (unsigned)sel(g, s) & 3;
}

/* CS is never unusable here; TR has a check of its own. */
static bool in_use(const struct vmx_image *g, unsigned s)
{
	return s == SEG_CS || s == SEG_TR || usable(rights(g, s));
}

/* A code or data segment whose rights are looked at one by one. */
static bool looked_at(const struct vmx_image *g, unsigned s)
{
	return !v86(g) && in_use(g, s);
}

static bool restricted(const struct vmx_image *g)
{
	return !proc2(g, PROC2_UNRESTRICTED);
}

/* ---- selectors and bases ---- */

static bool ti(const struct vmx_image *g, unsigned s)
{
	return in_use(g, s) && (sel(g, s) & 4);
}

static bool ss_rpl(const struct vmx_image *g, unsigned s)
{
	return !v86(g) && restricted(g) && rpl(g, s) != rpl(g, SEG_CS);
}

static bool v86_base(const struct vmx_image *g, unsigned s)
{
	return v86(g) && base(g, s) != sel(g, s) << 4;
}

static bool v86_limit(const struct vmx_image *g, unsigned s)
{
	return v86(g) && limit(g, s) != 0xffff;
}

static bool v86_rights(const struct vmx_image *g, unsigned s)
{
	return v86(g) && rights(g, s) != 0xf3;
}

static bool base_canonical(const struct vmx_image *g, unsigned s)
{
	return (s != SEG_LDTR || usable(rights(g, s))) && noncanonical(g, base(g, s));
}

static bool base_high(const struct vmx_image *g, unsigned s)
{
	return in_use(g, s) && base(g, s) >> 32;
}

/* ---- access rights ---- */

static bool cs_type(const struct vmx_image *g, unsigned s)
{
	unsigned t = type(g, s);

	if (v86(g) || (t == 3 && !restricted(g)))
		return false;
	return t != 9 && t != 11 && t != 13 && t != 15;
}

static bool ss_type(const struct vmx_image *g, unsigned s)
{
	return looked_at(g, s) && type(g, s) != 3 && type(g, s) != 7;
}

static bool data_accessed(const struct vmx_image *g, unsigned s)
{
	return looked_at(g, s) && !(type(g, s) & AR_A);
}

static bool data_readable(const struct vmx_image *g, unsigned s)
{
	return looked_at(g, s) && (type(g, s) & AR_CODE) && !(type(g, s) & AR_W);
}

static bool not_code_or_data(const struct vmx_image *g, unsigned s)
{
	return looked_at(g, s) && !(rights(g, s) & AR_S);
}

static bool cs_dpl_data(const struct vmx_image *g, unsigned s)
{
	return !v86(g) && type(g, s) == 3 && !restricted(g) && dpl(g, s) != 0;
}

static bool cs_dpl_plain(const struct vmx_image *g, unsigned s)
{
	return !v86(g) && (type(g, s) == 9 || type(g, s) == 11) && dpl(g, s) != dpl(g, SEG_SS);
}

static bool cs_dpl_conforming(const struct vmx_image *g, unsigned s)
{
	return !v86(g) && (type(g, s) == 13 || type(g, s) == 15) && dpl(g, s) > dpl(g, SEG_SS);
}

/* SS.DPL is the CPL, whether SS is usable or not. */
static bool ss_dpl_rpl(const struct vmx_image *g, unsigned s)
{
	return !v86(g) && restricted(g) && dpl(g, s) != rpl(g, s);
}

static bool ss_dpl_zero(const struct vmx_image *g, unsigned s)
{
	return !v86(g) && (type(g, SEG_CS) == 3 || !(F(GUEST_CR0) & CR0_PE)) && dpl(g, s) != 0;
}

static bool data_dpl(const struct vmx_image *g, unsigned s)
{
	return looked_at(g, s) && restricted(g) && type(g, s) < 12 && dpl(g, s) < rpl(g, s);
}

static bool not_present(const struct vmx_image *g, unsigned s)
{
	return looked_at(g, s) && !(rights(g, s) & AR_P);
}

static bool reserved(const struct vmx_image *g, unsigned s)
{
	return looked_at(g, s) && (rights(g, s) & (mask(11, 8) | mask(31, 17)));
}

static bool long_and_big(const struct vmx_image *g, unsigned s)
{
	return !v86(g) && enters(g, ENTRY_GUEST64) && (rights(g, s) & AR_L) && (rights(g, s) & AR_DB);
}

static bool granular(const struct vmx_image *g, unsigned s)
{
	return s >= SEG_LDTR ? in_use(g, s) : looked_at(g, s);
}

static bool g_set(const struct vmx_image *g, unsigned s)
{
	return granular(g, s) && (rights(g, s) & AR_G) && (limit(g, s) & 0xfff) != 0xfff;
}

static bool g_clear(const struct vmx_image *g, unsigned s)
{
	return granular(g, s) && !(rights(g, s) & AR_G) && limit(g, s) >> 20;
}

/* ---- TR and LDTR ---- */

static bool tr_type(const struct vmx_image *g, unsigned s)
{
	return type(g, s) != SYS_TSS32_BUSY && (type(g, s) != SYS_TSS16_BUSY || enters(g, ENTRY_GUEST64));
}

static bool tr_unusable(const struct vmx_image *g, unsigned s)
{
	return !usable(rights(g, s));
}

static bool ldtr_type(const struct vmx_image *g, unsigned s)
{
	return in_use(g, s) && type(g, s) != SYS_LDT;
}

static bool system_s(const struct vmx_image *g, unsigned s)
{
	return in_use(g, s) && (rights(g, s) & AR_S);
}

static bool system_p(const struct vmx_image *g, unsigned s)
{
	return in_use(g, s) && !(rights(g, s) & AR_P);
}

static bool system_reserved(const struct vmx_image *g, unsigned s)
{
	return in_use(g, s) && (rights(g, s) & (mask(11, 8) | mask(31, 17)));
}

/* clang-format off */
#define SEG(id, fn, s, rule, ...) ROW_AT(SEGMENT, EXIT_33, "guest." id, "Checks on Guest Segment Registers", fn, SEG_##s, rule, __VA_ARGS__)
#define SEL(s)   V(GUEST_##s##_SEL)
#define BASE(s)  V(GUEST_##s##_BASE)
#define LIMIT(s) V(GUEST_##s##_LIMIT)
#define AR(s)    V(GUEST_##s##_AR)
#define FLAGS    V(GUEST_RFLAGS)
#define PROCS    V(PROC_CONTROLS), V(PROC2_CONTROLS)
#define SIX(m)   m(ES), m(CS), m(SS), m(DS), m(FS), m(GS)
#define DATA(m)  m(ES), m(DS), m(FS), m(GS)
#define V86_BASE(s)  SEG("v86.base", v86_base, s, "a virtual-8086 guest's segment bases are 16 times the selectors", BASE(s), SEL(s), FLAGS)
#define V86_LIMIT(s) SEG("v86.limit", v86_limit, s, "a virtual-8086 guest's segment limits are 0xffff", LIMIT(s), FLAGS)
#define V86_AR(s)    SEG("v86.access-rights", v86_rights, s, "a virtual-8086 guest's access rights are 0xf3", AR(s), FLAGS)
#define CANONICAL(s) SEG("base.canonical", base_canonical, s, "the bases of TR, FS, GS and a usable LDTR must be canonical", BASE(s), AR(s))
#define HIGH(s)      SEG("base.high", base_high, s, "bits 63:32 of the bases of CS and of a usable SS, DS and ES must be 0", BASE(s), AR(s))
#define ACCESSED(s)  SEG("data.accessed", data_accessed, s, "a usable DS, ES, FS or GS must have been accessed", AR(s), FLAGS)
#define READABLE(s)  SEG("data.readable", data_readable, s, "a usable DS, ES, FS or GS that is code must be readable", AR(s), FLAGS)
#define DPL(s)       SEG("data.dpl", data_dpl, s, "the DPL of a usable DS, ES, FS or GS must not be below its RPL, unless it is conforming code", \
			 AR(s), SEL(s), FLAGS, PROCS)
#define SYSTEM(s)    SEG("segment.s", not_code_or_data, s, "CS and usable SS, DS, ES, FS and GS must be code or data (S = 1)", AR(s), FLAGS)
#define PRESENT(s)   SEG("segment.present", not_present, s, "CS and usable SS, DS, ES, FS and GS must be present", AR(s), FLAGS)
#define RESERVED(s)  SEG("segment.reserved", reserved, s, "bits 11:8 and 31:17 of the access rights of a segment in use must be 0", AR(s), FLAGS)
#define G_SET(s)     SEG("segment.g-set", g_set, s, "G must be 0 if bits 11:0 of the limit are not all 1", AR(s), LIMIT(s), FLAGS)
#define G_CLEAR(s)   SEG("segment.g-clear", g_clear, s, "G must be 1 if bits 31:20 of the limit are not all 0", AR(s), LIMIT(s), FLAGS)

static const struct vmx_check rows[] = {
	SEG("tr.ti", ti, TR, "TI of the TR selector must be 0", SEL(TR)),
	SEG("ldtr.ti", ti, LDTR, "TI of a usable LDTR selector must be 0", SEL(LDTR), AR(LDTR)),
	SEG("ss.rpl", ss_rpl, SS, "the RPLs of SS and CS must be equal", SEL(SS), SEL(CS), FLAGS, PROCS),
	SIX(V86_BASE), SIX(V86_LIMIT), SIX(V86_AR),
	CANONICAL(FS), CANONICAL(GS), CANONICAL(LDTR), CANONICAL(TR),
	HIGH(ES), HIGH(CS), HIGH(SS), HIGH(DS),
	SEG("cs.type", cs_type, CS, "CS must be accessed code, or with unrestricted guest accessed writable data", AR(CS), FLAGS, PROCS),
	SEG("ss.type", ss_type, SS, "a usable SS must be accessed writable data", AR(SS), FLAGS),
	DATA(ACCESSED), DATA(READABLE), SIX(SYSTEM),
	SEG("cs.dpl-data", cs_dpl_data, CS, "the DPL of a CS that is data must be 0", AR(CS), FLAGS, PROCS),
	SEG("cs.dpl", cs_dpl_plain, CS, "the DPLs of nonconforming CS and of SS must be equal", AR(CS), AR(SS), FLAGS),
	SEG("cs.dpl-conforming", cs_dpl_conforming, CS, "the DPL of conforming CS must not exceed that of SS", AR(CS), AR(SS), FLAGS),
	SEG("ss.dpl", ss_dpl_rpl, SS, "the DPL of SS must equal its RPL", AR(SS), SEL(SS), FLAGS, PROCS),
	SEG("ss.dpl-zero", ss_dpl_zero, SS, "the DPL of SS must be 0 if CS is data or CR0.PE is 0", AR(SS), AR(CS), V(GUEST_CR0), FLAGS),
	DATA(DPL), SIX(PRESENT), SIX(RESERVED),
	SEG("cs.l-and-d", long_and_big, CS, "CS.L and CS.D must not both be 1 in an IA-32e mode guest", AR(CS), V(ENTRY_CONTROLS), FLAGS),
	SIX(G_SET), SIX(G_CLEAR), G_SET(LDTR), G_CLEAR(LDTR), G_SET(TR), G_CLEAR(TR),
	SEG("tr.type", tr_type, TR, "TR must be a busy TSS, of 32 or 64 bits in an IA-32e mode guest", AR(TR), V(ENTRY_CONTROLS)),
	SEG("tr.s", system_s, TR, "S of TR must be 0", AR(TR)),
	SEG("tr.present", system_p, TR, "TR must be present", AR(TR)),
	SEG("tr.reserved", system_reserved, TR, "bits 11:8 and 31:17 of the access rights of TR must be 0", AR(TR)),
	SEG("tr.unusable", tr_unusable, TR, "TR must be usable", AR(TR)),
	SEG("ldtr.type", ldtr_type, LDTR, "a usable LDTR must be an LDT", AR(LDTR)),
	SEG("ldtr.s", system_s, LDTR, "S of a usable LDTR must be 0", AR(LDTR)),
	SEG("ldtr.present", system_p, LDTR, "a usable LDTR must be present", AR(LDTR)),
	SEG("ldtr.reserved", system_reserved, LDTR, "bits 11:8 and 31:17 of the access rights of a usable LDTR must be 0", AR(LDTR)),
};
/* clang-format on */
const struct vmx_check_set vmx_segment_checks = {rows, ARRAY_LEN(rows), 1u << VMX_GROUP_SEGMENT};
