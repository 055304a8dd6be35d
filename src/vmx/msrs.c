/*
 * What VMX supports here, as one table of controls, and the MSRs that report it: IA32_FEATURE_CONTROL and "VMX
 * Capability Reporting Facility". Supporting a control means adding its row; fields and MSRs follow.
 */
#include "vmx/vmx.h"

/* clang-format off */
static const u32 supported[VMX_WORDS] = {
	[VMX_PIN]   = PIN_EXT_INT | PIN_NMI,
	[VMX_PROC]  = PROC_INT_WINDOW | PROC_TSC_OFFSET | PROC_HLT | PROC_INVLPG | PROC_MWAIT | PROC_RDPMC |
	 PROC_RDTSC |
		      PROC_CR3_LOAD | PROC_CR3_STORE | PROC_CR8_LOAD | PROC_CR8_STORE | PROC_MOV_DR |
		      PROC_UNCOND_IO | PROC_IO_BITMAPS | PROC_MSR_BITMAPS | PROC_MONITOR | PROC_PAUSE |
		 PROC_SECONDARY,
	[VMX_PROC2] = PROC2_EPT | PROC2_DESCRIPTOR | PROC2_RDTSCP | PROC2_VPID | PROC2_WBINVD | PROC2_UNRESTRICTED |
		      PROC2_RDRAND | PROC2_INVPCID | PROC2_RDSEED,
	[VMX_EXIT]  = EXIT_SAVE_DEBUG | EXIT_HOST64 | EXIT_ACK_INT | EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER |
	 EXIT_LOAD_EFER,
	[VMX_ENTRY] = ENTRY_LOAD_DEBUG | ENTRY_GUEST64 | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER,
};

/* "Reserved Controls and Default Settings": what the legacy MSRs report as 1,
 and which of those may be 0 after all. */
static const struct { u32 default1, flexible; } defaults[VMX_WORDS] = {
	[VMX_PIN]   = {0x00000016, 0},
	[VMX_PROC]  = {0x0401e172, PROC_CR3_LOAD | PROC_CR3_STORE},
	[VMX_EXIT]  = {0x00036dff, EXIT_SAVE_DEBUG},
	[VMX_ENTRY] = {0x000011ff, ENTRY_LOAD_DEBUG},
};
/* clang-format on */

u32 vmx_allowed1(enum vmx_word w)
{
	return supported[w] | defaults[w].default1;
}

u32 vmx_required1(enum vmx_word w)
{
	return defaults[w].default1 & ~defaults[w].flexible;
}

bool vmx_field_exists(u32 encoding)
{
	const struct vmcs_field *f = vmcs_field_at(encoding);

	if (!f || ((encoding & 1) && (encoding >> 13 & 3) != 1))
		return false;
	return f->condition == VMX_ALWAYS ||
	       (vmx_allowed1((enum vmx_word)(f->condition >> 5)) >> (f->condition & 31) & 1);
}

/* Every bit of CR4 that this processor lets software set. */
u64 vmx_cr4_fixed1(struct cpu *c)
{
	u64 v = vmx_of(c)->cr4_fixed1;

	if (likely(v))
		return v;
	for (unsigned n = 0; n < 32; n++)
		if (cr4_valid(c, BIT(n) | CR4_VMXE))
			v |= BIT(n);
	vmx_of(c)->cr4_fixed1 = v;
	return v;
}

/* ---- the capability MSRs ---- */

static u64 legacy(enum vmx_word w)
{
	return (u64)vmx_allowed1(w) << 32 | defaults[w].default1;
}

static u64 precise(enum vmx_word w)
{
	return (u64)vmx_allowed1(w) << 32 | vmx_required1(w);
}

static u64 highest_index(void)
{
	u64 top = 0;

	for (size_t n = 0; n < vmcs_field_count; n++)
		if (vmx_field_exists(vmcs_fields[n].encoding))
			top = max_u64(top, vmcs_fields[n].encoding & 0x3fe);
	return top;
}

/* 4 KiB regions, write-back, INS/OUTS information, TRUE MSRs. */
#define BASIC (VMX_REVISION | BIT(44) | 6ull << 50 | BIT(54) | BIT(55))
/* EFER.LMA to "IA-32e mode guest", HLT activity state, four CR3 targets. */
#define MISC (5ull | BIT(5) | BIT(6) | 4ull << 16)
/* Execute-only, 4 levels, UC, WB, 2 MiB, 1 GiB, INVEPT (single, all), accessed/dirty, INVVPID of all four types. */
#define EPT_VPID                                                                                                       \
	(BIT(0) | BIT(6) | BIT(8) | BIT(14) | BIT(16) | BIT(17) | BIT(20) | BIT(21) | BIT(25) | BIT(26) | BIT(32) |    \
	 0xfull << 40)

static bool capability_read(struct cpu *c, u32 index, u64 *value)
{
	switch (index) {
	case 0x480: *value = BASIC; break;
	case 0x481: *value = legacy(VMX_PIN); break;
	case 0x482: *value = legacy(VMX_PROC); break;
	case 0x483: *value = legacy(VMX_EXIT); break;
	case 0x484: *value = legacy(VMX_ENTRY); break;
	case 0x485: *value = MISC; break;
	case 0x486: *value = VMX_CR0_FIXED0; break;
	case 0x487: *value = 0xffffffff; break;
	case 0x488: *value = VMX_CR4_FIXED0; break;
	case 0x489: *value = vmx_cr4_fixed1(c); break;
	case 0x48a: *value = highest_index(); break;
	case 0x48b: *value = (u64)vmx_allowed1(VMX_PROC2) << 32; break;
	case 0x48c: *value = EPT_VPID; break;
	case 0x48d: *value = precise(VMX_PIN); break;
	case 0x48e: *value = precise(VMX_PROC); break;
	case 0x48f: *value = precise(VMX_EXIT); break;
	case 0x490: *value = precise(VMX_ENTRY); break;
	default: return false;
	}
	return true;
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
	if ((c->feature_control & 1) || (value & ~5ull))
		return false;
	c->feature_control = value;
	return true;
}

static bool read_only(struct cpu *c, u32 index, u64 value)
{
	(void)c, (void)index, (void)value;
	return false;
}

/* clang-format off */
static const struct msr_row rows[] = {
	{.index = 0x03a, .count = 1, .name = "IA32_FEATURE_CONTROL", .feature = FEAT_VMX,
	 .read = feature_control_read,
	 .write = feature_control_write},
	{.index = 0x480, .count = 0x11, .name = "IA32_VMX_BASIC", .feature = FEAT_VMX, .read = capability_read,
	 .write = read_only},
};
/* clang-format on */

const struct msr_set vmx_msrs = {rows, ARRAY_LEN(rows)};
