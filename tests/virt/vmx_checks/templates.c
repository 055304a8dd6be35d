/*
 * States that pass every check, each with other controls and another guest, so that every row has a neighbour in which
 * it alone fails. Built for a processor that has everything, or for the model's own capabilities.
 */
#include "checks_test.h"

#define SET(name, value) (s->f[vmcs_slot(VMCS_##name)] = (value))
#define OR(name, value)  (s->f[vmcs_slot(VMCS_##name)] |= (value))
#define IN(name)         (s->in[VMX_IN_##name - VMX_IN])

#define REVISION 0x00545301u

/* A processor with every control of the manual, without those the manual reserves. */
static void full_caps(struct vmx_caps *p)
{
	static const u64 allowed[VMX_WORDS] = {
	        [VMX_PIN] = 0xff,
	        [VMX_PROC] = 0xfffbfffe,
	        [VMX_PROC2] = 0xcfffffff,
	        [VMX_PROC3] = 0x13ff,
	        [VMX_EXIT] = 0xffffffff & ~BIT(9 + 1),
	        [VMX_EXIT2] = 0xf,
	        [VMX_ENTRY] = 0x01ffffff,
	};
	static const u64 required[VMX_WORDS] = {
	        [VMX_PIN] = 0x16,
	        [VMX_PROC] = 0x04006172,
	        [VMX_EXIT] = 0x000369fb,
	        [VMX_ENTRY] = 0x000001fb,
	};

	memset(p, 0, sizeof(*p));
	memcpy(p->allowed1, allowed, sizeof(allowed));
	memcpy(p->required1, required, sizeof(required));
	p->allowed1[VMX_EXIT] |= p->required1[VMX_EXIT];
	p->allowed1[VMX_PROC] |= p->required1[VMX_PROC];
	p->basic = REVISION | 6ull << 50 | BIT(55);
	p->misc = 7ull << 6 | 4ull << 16;
	p->ept_vpid = BIT(6) | BIT(8) | BIT(14) | BIT(21);
	p->vmfunc = 1;
	p->cr0_fixed0 = 0x80000021;
	p->cr0_fixed1 = 0xffffffff;
	p->cr4_fixed0 = 0x2000;
	p->cr4_fixed1 = 0x003727ff;
	p->efer = 0xd01;
	p->debugctl = 0x1003;
	p->perf_global = 0x70000000full;
	p->phys_bits = 46;
	p->la_bits = 48;
}

static void seg(struct state *s, unsigned n, u64 sel, u64 base, u64 limit, u64 ar)
{
	s->f[vmcs_slot(VMCS_GUEST_ES_SEL) + n] = sel;
	s->f[vmcs_slot(VMCS_GUEST_ES_BASE) + n] = base;
	s->f[vmcs_slot(VMCS_GUEST_ES_LIMIT) + n] = limit;
	s->f[vmcs_slot(VMCS_GUEST_ES_AR) + n] = ar;
}

static void host_state(struct state *s, bool host64)
{
	SET(HOST_CR0, 0x80010033);
	SET(HOST_CR3, 0x1000);
	SET(HOST_CR4, 0x2020);
	for (unsigned n = VMCS_HOST_ES_SEL; n <= VMCS_HOST_TR_SEL; n += 2)
		s->f[vmcs_slot(n)] = 0x10 + 4 * (n & 0xe);
	SET(HOST_FS_BASE, 0x7000);
	SET(HOST_PAT, 0x0007040600070406);
	SET(HOST_EFER, host64 ? 0xd01 : 0x801);
	SET(HOST_RIP, 0x100080);
	SET(HOST_RSP, 0x80000);
}

static void guest_common(struct state *s)
{
	SET(GUEST_CR0, 0x80010033);
	SET(GUEST_CR3, 0x1000);
	SET(GUEST_CR4, 0x2020);
	SET(GUEST_DR7, 0x400);
	SET(GUEST_RFLAGS, 2);
	SET(GUEST_RIP, 0x200000);
	SET(GUEST_PAT, 0x0007040600070406);
	SET(GUEST_IDTR_LIMIT, 0xfff);
	SET(GUEST_GDTR_LIMIT, 0x7f);
	SET(LINK_POINTER, ~0ull);
	for (unsigned n = 0; n < 6; n++)
		seg(s, n, 0x10, 0, 0xffffffff, 0xc093);
	seg(s, SEG_CS, 8, 0, 0xffffffff, 0xa09b);
	seg(s, SEG_FS, 0, 0, 0, 0x10000);
	seg(s, SEG_LDTR, 0, 0, 0, 0x10000);
	seg(s, SEG_TR, 0x40, 0x3000, 0x67, 0x8b);
}

static void base64(struct state *s)
{
	SET(PIN_CONTROLS, s->caps.required1[VMX_PIN] | 9);
	SET(PROC_CONTROLS, s->caps.required1[VMX_PROC] | BIT(31) | BIT(17) | BIT(7));
	SET(EXIT_CONTROLS, s->caps.required1[VMX_EXIT] | BIT(9));
	SET(ENTRY_CONTROLS, s->caps.required1[VMX_ENTRY] | BIT(9));
	SET(EPTP, 0x305e);
	SET(VPID, 1);
	SET(TSC_MULTIPLIER, BIT(48));
	SET(VMFUNC_CONTROLS, 0);
	host_state(s, true);
	guest_common(s);
	SET(GUEST_EFER, 0xd01);
	IN(LMA) = 1;
	IN(CURRENT) = 0x41000;
}

static void legacy_guest(struct state *s)
{
	s->f[vmcs_slot(VMCS_ENTRY_CONTROLS)] &= ~BIT(9);
	SET(GUEST_EFER, 0x801);
	seg(s, SEG_CS, 8, 0, 0xffffffff, 0xc09b);
}

static void v86_guest(struct state *s)
{
	legacy_guest(s);
	SET(GUEST_RFLAGS, 0x20002);
	for (unsigned n = 0; n < 6; n++)
		seg(s, n, 0x100 + n, (0x100ull + n) << 4, 0xffff, 0xf3);
}

static void real_guest(struct state *s)
{
	legacy_guest(s);
	OR(PROC2_CONTROLS, BIT(1) | BIT(7));
	SET(GUEST_CR0, 0x30);
	SET(GUEST_CR4, 0x2000);
	for (unsigned n = 0; n < 6; n++)
		seg(s, n, 0x100, 0x1000, 0xffff, 0x93);
}

/* 1: the virtual APIC in full. */
static void with_apic(struct state *s)
{
	OR(PIN_CONTROLS, BIT(7));
	OR(PROC_CONTROLS, BIT(21) | BIT(25) | BIT(28));
	OR(PROC2_CONTROLS, BIT(4) | BIT(8) | BIT(9));
	OR(EXIT_CONTROLS, BIT(15));
	SET(PROC3_CONTROLS, BIT(4));
	SET(PI_DESCRIPTOR, 0x51000);
	SET(PID_POINTER_TABLE, (BIT(46) - 4096));
	SET(LAST_PID_POINTER_INDEX, 511);
	SET(VIRTUAL_APIC_ADDR, 0x52000);
}

/* 2: a TPR threshold, and a virtual NMI injected into an active guest. */
static void with_threshold(struct state *s)
{
	OR(PIN_CONTROLS, BIT(5));
	OR(PROC_CONTROLS, BIT(21) | BIT(22));
	SET(TPR_THRESHOLD, 4);
	IN(VTPR) = 0x50;
	SET(ENTRY_INTR_INFO, 0x80000202);
	SET(GUEST_RFLAGS, 0x202);
}

/* 3: second-level paging with everything on it, and a shadow VMCS. */
static void with_ept(struct state *s)
{
	OR(PROC_CONTROLS, BIT(21) | BIT(28));
	OR(PROC2_CONTROLS,
	   BIT(0) | BIT(1) | BIT(5) | BIT(7) | BIT(13) | BIT(14) | BIT(17) | BIT(18) | BIT(22) | BIT(23) | BIT(25));
	OR(EXIT_CONTROLS, BIT(12) | BIT(19) | BIT(21) | BIT(31));
	OR(ENTRY_CONTROLS, BIT(2) | BIT(13) | BIT(14) | BIT(15));
	SET(VMFUNC_CONTROLS, 1);
	SET(APIC_ACCESS_ADDR, 0xfee00000);
	SET(LINK_POINTER, 0x43000);
	IN(LINK_WORD) = REVISION | BIT(31);
}

/* 4: PAE paging, MSR areas. */
static void with_pae(struct state *s)
{
	legacy_guest(s);
	SET(EXIT_MSR_STORE_COUNT, 2);
	SET(EXIT_MSR_LOAD_COUNT, 2);
	SET(ENTRY_MSR_LOAD_COUNT, 2);
	SET(EXIT_MSR_STORE_ADDR, 0x60000);
	SET(EXIT_MSR_LOAD_ADDR, 0x60000);
	SET(ENTRY_MSR_LOAD_ADDR, BIT(s->caps.phys_bits) - 32);
	for (unsigned n = 0; n < 4; n++)
		s->in[VMX_IN_PDPTE0 - VMX_IN + n] = 0x9001 + 0x1000 * n;
}

/* 10: all segments in use, conforming code, an exception with an error code. */
static void with_segments(struct state *s)
{
	OR(ENTRY_CONTROLS, BIT(2) | BIT(15));
	SET(ENTRY_INTR_INFO, 0x80000b0d);
	SET(ENTRY_ERROR_CODE, 0x18);
	seg(s, SEG_FS, 0x10, 0x7000, 0xffffffff, 0xc093);
	seg(s, SEG_CS, 8, 0, 0xffffffff, 0xa09f);
	seg(s, SEG_LDTR, 0x50, 0x5000, 0x7f, 0x82);
	s->caps.rtm = true;
}

/* 11: CPL 3, single-stepping behind STI, on a processor that detects bus locks. */
static void with_steps(struct state *s)
{
	for (unsigned n = 0; n < 6; n++)
		seg(s, n, 0x13, 0, 0xffffffff, 0xc0f3);
	seg(s, SEG_CS, 0x0b, 0, 0xffffffff, 0xa0fb);
	SET(GUEST_RFLAGS, 0x302);
	SET(GUEST_INTERRUPTIBILITY, 1);
	SET(GUEST_PENDING_DEBUG, BIT(14) | BIT(11));
	s->caps.bus_lock = s->caps.sgx = true;
}

/* 12: a 32-bit guest without paging, INT n. */
static void without_paging(struct state *s)
{
	legacy_guest(s);
	OR(PROC2_CONTROLS, BIT(1) | BIT(7));
	OR(ENTRY_CONTROLS, BIT(15));
	SET(GUEST_CR0, 0x31);
	SET(ENTRY_INTR_INFO, 0x80000480);
	SET(ENTRY_INSN_LEN, 2);
}

/* 13: the monitor of SMM returns to SMM. */
static void with_smm(struct state *s)
{
	OR(ENTRY_CONTROLS, BIT(10));
	SET(GUEST_INTERRUPTIBILITY, 4);
	SET(GUEST_PENDING_DEBUG, 0x11000);
	IN(SMM) = 1;
	s->caps.rtm = true;
}

/* 16: the monitor of SMM goes back to a guest of the executive monitor's. */
static void with_return(struct state *s)
{
	OR(PIN_CONTROLS, BIT(7));
	OR(PROC_CONTROLS, BIT(21));
	OR(PROC2_CONTROLS, BIT(9) | BIT(5) | BIT(4));
	OR(EXIT_CONTROLS, BIT(22)); /* the executive VMCS has no preemption timer */
	SET(VIRTUAL_APIC_ADDR, 0x52000);
	SET(PI_DESCRIPTOR, 0x51000);
	SET(EXECUTIVE_VMCS, 0x44000);
	SET(GUEST_INTERRUPTIBILITY, 4);
	SET(LINK_POINTER, 0x43000);
	IN(LINK_WORD) = IN(EXEC_WORD) = REVISION;
	IN(EXEC_LAUNCHED) = IN(SMM) = IN(RESUME) = IN(LAUNCHED) = 1;
	IN(EXEC_EXIT) = BIT(15);
	IN(VMXON) = 0x45000;
}

/* 17: ... to that monitor itself, which no VM-execution control governs, and ends the treatment. */
static void with_return_to_root(struct state *s)
{
	SET(PIN_CONTROLS, s->caps.required1[VMX_PIN]);
	SET(PROC_CONTROLS, s->caps.required1[VMX_PROC]);
	OR(ENTRY_CONTROLS, BIT(11));
	SET(EXECUTIVE_VMCS, 0x45000);
	IN(EXEC_WORD) = REVISION;
	IN(SMM) = 1;
	IN(VMXON) = 0x45000;
}

/* 15: limits counted in bytes where others count pages and the other way round, behind MOV SS. */
static void with_limits(struct state *s)
{
	legacy_guest(s);
	for (unsigned n = 0; n < 6; n++)
		seg(s, n, 0x10, 0, 0x12340, 0x4093);
	seg(s, SEG_CS, 8, 0, 0x12340, 0x409b);
	seg(s, SEG_LDTR, 0x50, 0x5000, 0xffffffff, 0x8082);
	seg(s, SEG_TR, 0x40, 0x3000, 0xffffffff, 0x808b);
	SET(GUEST_INTERRUPTIBILITY, 2);
	s->caps.rtm = true;
}

static void variant(unsigned n, struct state *s)
{
	switch (n) {
	case 0: OR(PROC2_CONTROLS, BIT(13)); break;
	case 1: with_apic(s); break;
	case 2: with_threshold(s); break;
	case 3: with_ept(s); break;
	case 4: with_pae(s); break;
	case 5:
		real_guest(s);
		SET(EPTP, 0x301e);
		s->caps.ept_vpid &= ~BIT(21);
		break;
	case 6: v86_guest(s); break;
	case 7:
		SET(ENTRY_INTR_INFO, 0x80000020);
		SET(GUEST_RFLAGS, 0x202);
		break;
	case 8:
		OR(PROC2_CONTROLS, BIT(1) | BIT(7));
		SET(ENTRY_INTR_INFO, 0x80000202);
		SET(GUEST_ACTIVITY, 1);
		seg(s, SEG_CS, 8, 0, 0xffffffff, 0xa09f);
		break;
	case 9:
		legacy_guest(s);
		host_state(s, false);
		s->f[vmcs_slot(VMCS_EXIT_CONTROLS)] &= ~BIT(9);
		IN(LMA) = 0;
		IN(RESUME) = IN(LAUNCHED) = 1;
		break;
	case 10: with_segments(s); break;
	case 11: with_steps(s); break;
	case 12: without_paging(s); break;
	case 13: with_smm(s); break;
	case 15: with_limits(s); break;
	case 16: with_return(s); break;
	case 17: with_return_to_root(s); break;
	default:
		v86_guest(s);
		OR(PROC2_CONTROLS, BIT(1) | BIT(7));
		SET(GUEST_CR0, 0x31);
		break;
	}
}

static void mask_controls(struct state *s)
{
	static const u16 words[VMX_WORDS] = {
	        [VMX_PIN] = VMCS_PIN_CONTROLS,     [VMX_PROC] = VMCS_PROC_CONTROLS,   [VMX_PROC2] = VMCS_PROC2_CONTROLS,
	        [VMX_EXIT] = VMCS_EXIT_CONTROLS,   [VMX_ENTRY] = VMCS_ENTRY_CONTROLS, [VMX_PROC3] = VMCS_PROC3_CONTROLS,
	        [VMX_EXIT2] = VMCS_EXIT2_CONTROLS,
	};

	for (unsigned w = 0; w < VMX_WORDS; w++)
		*field_of(s, words[w]) &= s->caps.allowed1[w];
}

/* `caps`: NULL: a processor with everything. */
void template_state(unsigned n, const struct vmx_caps *caps, struct state *s)
{
	memset(s, 0, sizeof(*s));
	if (caps)
		s->caps = *caps;
	else
		full_caps(&s->caps);
	base64(s);
	variant(n, s);
	if (caps) {
		s->caps = *caps;
		mask_controls(s);
	}
}
