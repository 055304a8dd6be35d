/*
 * What VMX supports here, as one table of controls, and the MSRs that report it: IA32_FEATURE_CONTROL and "VMX
 * Capability Reporting Facility". Supporting a control means adding its row; fields and MSRs follow.
 */
#include "vmx/vmx.h"

/* Every control the manual names, and whether this processor has it: "VM-Execution Control Fields", "VM-Exit Control
 * Fields", "VM-Entry Control Fields". The reference page and the explanations take the names from here. */
enum { ABSENT, HERE };
/* clang-format off */
#define CONTROLS(ROW, A) \
	ROW(A, PIN, 0, HERE, "external-interrupt exiting") \
	ROW(A, PIN, 3, HERE, "NMI exiting") \
	ROW(A, PIN, 5, HERE, "virtual NMIs") \
	ROW(A, PIN, 6, HERE, "activate VMX-preemption timer") \
	ROW(A, PIN, 7, HERE, "process posted interrupts") \
	ROW(A, PROC, 2, HERE, "interrupt-window exiting") \
	ROW(A, PROC, 3, HERE, "use TSC offsetting") \
	ROW(A, PROC, 7, HERE, "HLT exiting") \
	ROW(A, PROC, 9, HERE, "INVLPG exiting") \
	ROW(A, PROC, 10, HERE, "MWAIT exiting") \
	ROW(A, PROC, 11, HERE, "RDPMC exiting") \
	ROW(A, PROC, 12, HERE, "RDTSC exiting") \
	ROW(A, PROC, 15, HERE, "CR3-load exiting") \
	ROW(A, PROC, 16, HERE, "CR3-store exiting") \
	ROW(A, PROC, 17, HERE, "activate tertiary controls") \
	ROW(A, PROC, 19, HERE, "CR8-load exiting") \
	ROW(A, PROC, 20, HERE, "CR8-store exiting") \
	ROW(A, PROC, 21, HERE, "use TPR shadow") \
	ROW(A, PROC, 22, HERE, "NMI-window exiting") \
	ROW(A, PROC, 23, HERE, "MOV-DR exiting") \
	ROW(A, PROC, 24, HERE, "unconditional I/O exiting") \
	ROW(A, PROC, 25, HERE, "use I/O bitmaps") \
	ROW(A, PROC, 27, HERE, "monitor trap flag") \
	ROW(A, PROC, 28, HERE, "use MSR bitmaps") \
	ROW(A, PROC, 29, HERE, "MONITOR exiting") \
	ROW(A, PROC, 30, HERE, "PAUSE exiting") \
	ROW(A, PROC, 31, HERE, "activate secondary controls") \
	ROW(A, PROC2, 0, HERE, "virtualize APIC accesses") \
	ROW(A, PROC2, 1, HERE, "enable EPT") \
	ROW(A, PROC2, 2, HERE, "descriptor-table exiting") \
	ROW(A, PROC2, 3, HERE, "enable RDTSCP") \
	ROW(A, PROC2, 4, HERE, "virtualize x2APIC mode") \
	ROW(A, PROC2, 5, HERE, "enable VPID") \
	ROW(A, PROC2, 6, HERE, "WBINVD exiting") \
	ROW(A, PROC2, 7, HERE, "unrestricted guest") \
	ROW(A, PROC2, 8, HERE, "APIC-register virtualization") \
	ROW(A, PROC2, 9, HERE, "virtual-interrupt delivery") \
	ROW(A, PROC2, 10, HERE, "PAUSE-loop exiting") \
	ROW(A, PROC2, 11, HERE, "RDRAND exiting") \
	ROW(A, PROC2, 12, HERE, "enable INVPCID") \
	ROW(A, PROC2, 13, HERE, "enable VM functions") \
	ROW(A, PROC2, 14, HERE, "VMCS shadowing") \
	ROW(A, PROC2, 15, ABSENT, "enable ENCLS exiting") \
	ROW(A, PROC2, 16, HERE, "RDSEED exiting") \
	ROW(A, PROC2, 17, HERE, "enable PML") \
	ROW(A, PROC2, 18, HERE, "EPT-violation #VE") \
	ROW(A, PROC2, 19, ABSENT, "conceal VMX from PT") \
	ROW(A, PROC2, 20, HERE, "enable XSAVES/XRSTORS") \
	ROW(A, PROC2, 21, ABSENT, "PASID translation") \
	ROW(A, PROC2, 22, HERE, "mode-based execute control for EPT") \
	ROW(A, PROC2, 23, HERE, "sub-page write permissions for EPT") \
	ROW(A, PROC2, 24, ABSENT, "Intel PT uses guest physical addresses") \
	ROW(A, PROC2, 25, HERE, "use TSC scaling") \
	ROW(A, PROC2, 26, HERE, "enable user wait and pause") \
	ROW(A, PROC2, 27, ABSENT, "enable PCONFIG") \
	ROW(A, PROC2, 30, HERE, "VMM bus-lock detection") \
	ROW(A, PROC2, 31, ABSENT, "instruction timeout") \
	ROW(A, EXIT, 2, HERE, "save debug controls") \
	ROW(A, EXIT, 9, HERE, "host address-space size") \
	ROW(A, EXIT, 12, HERE, "load IA32_PERF_GLOBAL_CTRL") \
	ROW(A, EXIT, 15, HERE, "acknowledge interrupt on exit") \
	ROW(A, EXIT, 18, HERE, "save IA32_PAT") \
	ROW(A, EXIT, 19, HERE, "load IA32_PAT") \
	ROW(A, EXIT, 20, HERE, "save IA32_EFER") \
	ROW(A, EXIT, 21, HERE, "load IA32_EFER") \
	ROW(A, EXIT, 22, HERE, "save VMX-preemption timer value") \
	ROW(A, EXIT, 23, ABSENT, "clear IA32_BNDCFGS") \
	ROW(A, EXIT, 24, ABSENT, "conceal VMX from PT") \
	ROW(A, EXIT, 25, ABSENT, "clear IA32_RTIT_CTL") \
	ROW(A, EXIT, 26, ABSENT, "clear IA32_LBR_CTL") \
	ROW(A, EXIT, 27, ABSENT, "clear UINV") \
	ROW(A, EXIT, 28, ABSENT, "load CET state") \
	ROW(A, EXIT, 29, ABSENT, "load PKRS") \
	ROW(A, EXIT, 30, ABSENT, "save IA32_PERF_GLOBAL_CTRL") \
	ROW(A, EXIT, 31, ABSENT, "activate secondary controls") \
	ROW(A, ENTRY, 2, HERE, "load debug controls") \
	ROW(A, ENTRY, 9, HERE, "IA-32e mode guest") \
	ROW(A, ENTRY, 10, HERE, "entry to SMM") \
	ROW(A, ENTRY, 11, HERE, "deactivate dual-monitor treatment") \
	ROW(A, ENTRY, 13, HERE, "load IA32_PERF_GLOBAL_CTRL") \
	ROW(A, ENTRY, 14, HERE, "load IA32_PAT") \
	ROW(A, ENTRY, 15, HERE, "load IA32_EFER") \
	ROW(A, ENTRY, 16, ABSENT, "load IA32_BNDCFGS") \
	ROW(A, ENTRY, 17, ABSENT, "conceal VMX from PT") \
	ROW(A, ENTRY, 18, ABSENT, "load IA32_RTIT_CTL") \
	ROW(A, ENTRY, 19, ABSENT, "load UINV") \
	ROW(A, ENTRY, 20, ABSENT, "load CET state") \
	ROW(A, ENTRY, 21, ABSENT, "load guest IA32_LBR_CTL") \
	ROW(A, ENTRY, 22, ABSENT, "load PKRS") \
	ROW(A, ENTRY, 23, ABSENT, "load FRED state") \
	ROW(A, ENTRY, 24, ABSENT, "load IA32_SPEC_CTRL") \
	ROW(A, PROC3, 0, ABSENT, "LOADIWKEY exiting") \
	ROW(A, PROC3, 1, ABSENT, "enable HLAT") \
	ROW(A, PROC3, 2, HERE, "EPT paging-write control") \
	ROW(A, PROC3, 3, HERE, "guest-paging verification") \
	ROW(A, PROC3, 4, HERE, "IPI virtualization") \
	ROW(A, PROC3, 6, ABSENT, "enable MSR-list instructions") \
	ROW(A, PROC3, 7, HERE, "virtualize IA32_SPEC_CTRL") \
	ROW(A, PROC3, 8, ABSENT, "APIC-timer virtualization") \
	ROW(A, PROC3, 9, ABSENT, "enable PBNDKB") \
	ROW(A, PROC3, 12, ABSENT, "PEBS uses guest physical addresses") \
	ROW(A, EXIT2, 0, ABSENT, "save FRED state") \
	ROW(A, EXIT2, 1, ABSENT, "load FRED state") \
	ROW(A, EXIT2, 2, ABSENT, "load IA32_SPEC_CTRL") \
	ROW(A, EXIT2, 3, ABSENT, "prematurely busy shadow stack")

#define ENTRY(A, word_, bit_, here_, name_) {VMX_##word_, bit_, here_, name_},
const struct vmx_control vmx_controls[] = {CONTROLS(ENTRY, 0)};
#define SUPPORTED(A, word_, bit_, here_, name_) | (A == VMX_##word_ && here_ ? 1u << bit_ : 0u)
static const u32 supported[VMX_WORDS] = {
	[VMX_PIN] = 0u CONTROLS(SUPPORTED, VMX_PIN),     [VMX_PROC] = 0u CONTROLS(SUPPORTED, VMX_PROC),
	[VMX_PROC2] = 0u CONTROLS(SUPPORTED, VMX_PROC2), [VMX_PROC3] = 0u CONTROLS(SUPPORTED, VMX_PROC3),
	[VMX_EXIT] = 0u CONTROLS(SUPPORTED, VMX_EXIT),   [VMX_EXIT2] = 0u CONTROLS(SUPPORTED, VMX_EXIT2),
	[VMX_ENTRY] = 0u CONTROLS(SUPPORTED, VMX_ENTRY),
};

/* "Reserved Controls and Default Settings": what the legacy MSRs report as 1, and which of those may be 0 after all. */
static const struct { u32 default1, flexible; } defaults[VMX_WORDS] = {
	[VMX_PIN]   = {0x00000016, 0},
	[VMX_PROC]  = {0x0401e172, PROC_CR3_LOAD | PROC_CR3_STORE},
	[VMX_EXIT]  = {0x00036dff, EXIT_SAVE_DEBUG},
	[VMX_ENTRY] = {0x000011ff, ENTRY_LOAD_DEBUG},
};
/* clang-format on */
const size_t vmx_control_count = ARRAY_LEN(vmx_controls);

/* Where the capability MSRs announce a word's bits that may be 1, and, bit by bit, the freedom to have a default1
 * control off. A feature that is switched off takes its bit away. */
static const struct {
	u16 msr, precise;
	u8 reg;
} announced[VMX_WORDS] = {
        [VMX_PIN] = {0x481, 0x48d, EDX},   [VMX_PROC] = {0x482, 0x48e, EDX}, [VMX_PROC2] = {0x48b, 0, EDX},
        [VMX_PROC3] = {0x492, 0, EAX},     [VMX_EXIT] = {0x483, 0x48f, EDX}, [VMX_EXIT2] = {0x493, 0, EAX},
        [VMX_ENTRY] = {0x484, 0x490, EDX},
};

/* 4 KiB regions, dual-monitor treatment, write-back, INS/OUTS information, TRUE MSRs. */
#define TRUE_MSRS BIT(55)
#define BASIC     (VMX_REVISION | BIT(44) | BIT(49) | 6ull << 50 | BIT(54) | TRUE_MSRS)
/* EFER.LMA to "IA-32e mode guest"; HLT, shutdown and wait-for-SIPI activity states; IA32_SMBASE; four CR3 targets; bit 2
 * of IA32_SMM_MONITOR_CTL; VMWRITE to any field; injection with instruction length 0; the revision of MSEG. */
#define MISC                                                                                                           \
	(VMX_TIMER_SHIFT | BIT(5) | 7ull << 6 | BIT(15) | 4ull << 16 | BIT(28) | BIT(29) | BIT(30) |                   \
	 (u64)VMX_MSEG_REVISION << 32)
/* Execute-only, 4 and 5 levels, UC, WB, 2 MiB, 1 GiB, INVEPT (single, all), accessed/dirty, advanced exit information;
 * INVVPID of all four types. */
#define EPT_CAPS                                                                                                       \
	(BIT(0) | BIT(6) | BIT(7) | BIT(8) | BIT(14) | BIT(16) | BIT(17) | BIT(20) | BIT(21) | BIT(22) | BIT(25) |     \
	 BIT(26))
#define VPID_CAPS (BIT(32) | 0xfull << 40)

/* IA32_PERF_GLOBAL_CTRL: four counters, three fixed ones. IA32_DEBUGCTL: LBR, BTF, FREEZE_PERFMON_ON_PMI, and, where
 * there is bus-lock detection, BUS_LOCK_DETECT. */
#define PERF_GLOBAL (mask(3, 0) | mask(34, 32))
#define DEBUGCTL    (BIT(0) | BIT(1) | BIT(12))

/* ---- what the features leave of it ---- */

/* The bits of half a capability MSR that belong to features the processor lacks. */
static u32 missing(const struct feature_set *f, u32 msr, unsigned half)
{
	u32 out = 0;

	for (unsigned n = 1; n < FEAT_COUNT; n++) {
		const struct feature_info *i = &arch_features[n];

		if (i->leaf == msr && i->reg == half && !feat_has(f, (enum feature)n))
			out |= 1u << i->bit;
	}
	return out;
}

/* A default1 control that may be 0 is switched by that freedom. */
enum feature vmx_control_feature(const struct vmx_control *k)
{
	for (unsigned n = 1; n < FEAT_COUNT; n++) {
		const struct feature_info *i = &arch_features[n];

		if (i->bit != k->bit)
			continue;
		if ((i->leaf == announced[k->word].msr && i->reg == announced[k->word].reg) ||
		    (i->leaf == announced[k->word].precise && i->reg == EAX))
			return (enum feature)n;
	}
	return FEAT_NONE;
}

static u64 what_is_left(const struct feature_set *f, u32 msr, u64 all)
{
	return all & ~((u64)missing(f, msr, EDX) << 32 | missing(f, msr, EAX));
}

static bool may_be_1(const struct vmx_caps *p, unsigned word, unsigned bit)
{
	return p->allowed1[word] >> bit & 1;
}

/* "Guest IA32_PAT" and "Guest IA32_EFER" are there for whoever loads them and for whoever saves them; the EPTP list is
 * the function's, not the control's. */
static bool exists(const struct vmx_caps *p, const struct vmcs_field *k)
{
	switch (k->encoding) {
	case VMCS_GUEST_PAT: return may_be_1(p, VMX_ENTRY, 14) || may_be_1(p, VMX_EXIT, 18);
	case VMCS_GUEST_EFER: return may_be_1(p, VMX_ENTRY, 15) || may_be_1(p, VMX_EXIT, 20);
	case VMCS_EPTP_LIST: return p->vmfunc & VMX_VMFUNC_EPTP_SWITCHING;
	default: break;
	}
	if (k->condition >= VMX_LATER)
		return k->condition == VMX_ALWAYS || !p->first;
	return may_be_1(p, k->condition >> 5, k->condition & 31);
}

void vmx_caps_of(const struct feature_set *f, const struct cpu_model *m, struct vmx_caps *p)
{
	*p = (struct vmx_caps){
	        .basic = what_is_left(f, 0x480, BASIC),
	        .misc = what_is_left(f, 0x485, MISC),
	        .first = model_quirk(m, QUIRK_VMX_FIRST),
	};
	if (!feat_has(f, FEAT_VMX_DUAL_MONITOR))
		p->misc &= mask(31, 0);
	for (unsigned w = 0; w < VMX_WORDS; w++) {
		u32 flexible = p->basic & TRUE_MSRS ? defaults[w].flexible & ~missing(f, announced[w].precise, EAX) : 0;

		p->allowed1[w] =
		        (supported[w] & ~missing(f, announced[w].msr, announced[w].reg)) | defaults[w].default1;
		p->required1[w] = defaults[w].default1 & ~flexible;
	}
	p->ept_vpid = what_is_left(f, 0x48c,
	                           (p->allowed1[VMX_PROC2] & PROC2_EPT ? EPT_CAPS : 0) |
	                                   (p->allowed1[VMX_PROC2] & PROC2_VPID ? VPID_CAPS : 0));
	p->vmfunc = p->allowed1[VMX_PROC2] & PROC2_VMFUNC ? what_is_left(f, 0x491, VMX_VMFUNC_EPTP_SWITCHING) : 0;
	for (const struct vmcs_field *k = vmcs_fields; k < vmcs_fields + vmcs_field_count; k++)
		if (exists(p, k))
			p->slot[VMX_FIELD_KEY((u32)k->encoding)] = (u8)(vmcs_slot(k->encoding) + 1);
}

/* Every bit of CR4 that this processor lets software set. */
static u64 cr4_fixed1(struct cpu *c)
{
	u64 v = 0;

	for (unsigned n = 0; n < 32; n++)
		if (cr4_valid(c, BIT(n) | (c->virt_root ? CR4_VMXE : 0)))
			v |= BIT(n);
	return v | CR4_VMXE; /* reserved in SMM for the while */
}

void vmx_caps_fill(struct cpu *c)
{
	struct vmx_caps *p = &vmx_of(c)->caps;

	vmx_caps_of(&c->feat, c->model, p);
	if (c->model->vmcs_revision)
		p->basic = (p->basic & ~mask(30, 0)) | c->model->vmcs_revision;
	p->cr0_fixed0 = VMX_CR0_FIXED0;
	p->cr0_fixed1 = 0xffffffff;
	p->cr0_ignored = p->first ? mask(63, 32) : 0; /* 2004, "State Loaded from the Guest-State Area" */
	p->cr4_fixed0 = VMX_CR4_FIXED0;
	p->cr4_fixed1 = cr4_fixed1(c);
	p->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	p->bus_lock = has(c, FEAT_BUS_LOCK_DETECT);
	p->debugctl = DEBUGCTL | (p->bus_lock ? DEBUGCTL_BUS_LOCK : 0);
	p->perf_global = PERF_GLOBAL;
	p->phys_bits = c->phys_bits;
	p->la_bits = has(c, FEAT_LA57) ? 57 : 48;
}

/* ---- the capability MSRs ---- */

static u64 legacy(const struct vmx_caps *p, enum vmx_word w)
{
	return p->allowed1[w] << 32 | defaults[w].default1;
}

static u64 precise(const struct vmx_caps *p, enum vmx_word w)
{
	return p->allowed1[w] << 32 | p->required1[w];
}

static u64 highest_index(const struct vmx_caps *p)
{
	u64 top = 0;

	for (size_t n = 0; n < vmcs_field_count; n++)
		if (vmx_field_exists(p, vmcs_fields[n].encoding))
			top = max_u64(top, vmcs_fields[n].encoding & 0x3fe);
	return top;
}

static bool precise_read(const struct vmx_caps *p, u32 index, u64 *value)
{
	static const enum vmx_word word[] = {VMX_PIN, VMX_PROC, VMX_EXIT, VMX_ENTRY};

	*value = precise(p, word[index - 0x48d]);
	return p->basic & TRUE_MSRS;
}

/* "VMX Capability Reporting Facility": some MSRs are there only with what they report. */
static bool capability_read(struct cpu *c, u32 index, u64 *value)
{
	const struct vmx_caps *p = vmx_caps(c);

	switch (index) {
	case 0x480: *value = p->basic; break;
	case 0x481: *value = legacy(p, VMX_PIN); break;
	case 0x482: *value = legacy(p, VMX_PROC); break;
	case 0x483: *value = legacy(p, VMX_EXIT); break;
	case 0x484: *value = legacy(p, VMX_ENTRY); break;
	case 0x485: *value = p->misc; break;
	case 0x486: *value = p->cr0_fixed0; break;
	case 0x487: *value = p->cr0_fixed1; break;
	case 0x488: *value = p->cr4_fixed0; break;
	case 0x489: *value = p->cr4_fixed1; break;
	case 0x48a: *value = highest_index(p); break;
	case 0x48b: *value = p->allowed1[VMX_PROC2] << 32; return p->allowed1[VMX_PROC] & PROC_SECONDARY;
	case 0x48c: *value = p->ept_vpid; return p->allowed1[VMX_PROC2] & (PROC2_EPT | PROC2_VPID);
	case 0x48d:
	case 0x48e:
	case 0x48f:
	case 0x490: return precise_read(p, index, value);
	case 0x491: *value = p->vmfunc; return p->allowed1[VMX_PROC2] & PROC2_VMFUNC;
	case 0x492: *value = p->allowed1[VMX_PROC3]; return p->allowed1[VMX_PROC] & PROC_TERTIARY;
	case 0x493: *value = p->allowed1[VMX_EXIT2]; return p->allowed1[VMX_EXIT] & EXIT_SECONDARY;
	default: return false;
	}
	return true;
}

u64 vmx_cr0_fixed0(const struct cpu *c)
{
	const bool free = c->guest && (vmx_proc2(vmx_of(c)) & PROC2_UNRESTRICTED);

	return free ? VMX_CR0_FIXED0 & ~(CR0_PE | CR0_PG) : VMX_CR0_FIXED0;
}

static bool feature_control_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index;
	*value = c->feature_control;
	return true;
}

/* Locked: every write faults. Bits: lock, VMX inside SMX (not here), VMX outside SMX. */
static bool feature_control_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	if ((c->feature_control & 1) || (value & ~FEATURE_CONTROL_BITS))
		return false;
	c->feature_control = value;
	return true;
}

/* ---- "Enabling the Dual-Monitor Treatment": IA32_SMM_MONITOR_CTL, IA32_SMBASE ---- */

static bool smm_ctl_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index;
	*value = vmx_of(c)->smm_ctl;
	return true;
}

u64 vmx_monitor_ctl_bits(const struct cpu *c)
{
	return SMM_CTL_BASE | SMM_CTL_VALID | (has(c, FEAT_VMX_VMXOFF_KEEPS_SMI) ? SMM_CTL_KEEPS_BLOCKING : 0);
}

static bool smm_ctl_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	if (!c->smm || (value & ~vmx_monitor_ctl_bits(c)))
		return false;
	vmx_of(c)->smm_ctl = value;
	return true;
}

static bool smbase_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index;
	*value = c->smbase;
	return c->smm;
}

static bool read_only(struct cpu *c, u32 index, u64 value)
{
	(void)c, (void)index, (void)value;
	return false;
}

/* clang-format off */
static const struct msr_row rows[] = {
	{.index = MSR_FEATURE_CONTROL, .count = 1, .name = "IA32_FEATURE_CONTROL", .feature = FEAT_VMX,
	 .read = feature_control_read,
	 .write = feature_control_write},
	{.index = MSR_SMM_MONITOR_CTL, .count = 1, .name = "IA32_SMM_MONITOR_CTL", .feature = FEAT_VMX_DUAL_MONITOR,
	 .read = smm_ctl_read, .write = smm_ctl_write},
	{.index = 0x09e, .count = 1, .name = "IA32_SMBASE", .feature = FEAT_VMX_SMBASE_MSR, .read = smbase_read, .write = read_only},
	{.index = 0x480, .count = 0x14, .name = "IA32_VMX_BASIC|IA32_VMX_PINBASED_CTLS|IA32_VMX_PROCBASED_CTLS|IA32_VMX_EXIT_CTLS|IA32_VMX_ENTRY_CTLS|"
		 "IA32_VMX_MISC|IA32_VMX_CR0_FIXED0|IA32_VMX_CR0_FIXED1|IA32_VMX_CR4_FIXED0|IA32_VMX_CR4_FIXED1|"
		 "IA32_VMX_VMCS_ENUM|IA32_VMX_PROCBASED_CTLS2|IA32_VMX_EPT_VPID_CAP|IA32_VMX_TRUE_PINBASED_CTLS|"
		 "IA32_VMX_TRUE_PROCBASED_CTLS|IA32_VMX_TRUE_EXIT_CTLS|IA32_VMX_TRUE_ENTRY_CTLS|IA32_VMX_VMFUNC|"
		 "IA32_VMX_PROCBASED_CTLS3|IA32_VMX_EXIT_CTLS2", .feature = FEAT_VMX, .read = capability_read,
	 .write = read_only},
};
/* clang-format on */

const struct msr_set vmx_msrs = {rows, ARRAY_LEN(rows)};

const struct msr_row *vmx_msr_row(u32 index)
{
	for (size_t n = 0; n < ARRAY_LEN(rows); n++)
		if (index - rows[n].index < rows[n].count)
			return &rows[n];
	return NULL;
}
