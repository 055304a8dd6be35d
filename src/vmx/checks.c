/*
 * "Checks on VMX Controls and Host-State Area" (error 7 and 8) and "Checks on the Guest-State Area" (exit reason 33),
 * one row each: the checks that matter for the controls this slice supports. Predicates are pure; true means refused.
 */
#include <stdio.h>

#include "vmx/vmx.h"

#define F(name) vmcs_get(g->v, VMCS_##name)

static bool above(const struct vmx_image *g, u64 pa)
{
	return (pa >> g->phys_bits) != 0;
}

static bool bad_page(const struct vmx_image *g, u64 pa)
{
	return !is_aligned(pa, PAGE_SIZE) || above(g, pa);
}

static bool noncanonical(const struct vmx_image *g, u64 la)
{
	return !is_canonical(la, g->la_bits);
}

static bool proc(const struct vmx_image *g, u32 bit)
{
	return (F(PROC_CONTROLS) & bit) != 0;
}

static bool proc2(const struct vmx_image *g, u32 bit)
{
	return (vmx_proc2(g->v) & bit) != 0;
}

static bool exits(const struct vmx_image *g, u32 bit)
{
	return (F(EXIT_CONTROLS) & bit) != 0;
}

static bool enters(const struct vmx_image *g, u32 bit)
{
	return (F(ENTRY_CONTROLS) & bit) != 0;
}

/* ---- controls ---- */

static bool reserved(u64 value, enum vmx_word w)
{
	return (~value & vmx_required1(w)) || (value & ~(u64)vmx_allowed1(w));
}

static bool pin_reserved(const struct vmx_image *g)
{
	return reserved(F(PIN_CONTROLS), VMX_PIN);
}

static bool proc_reserved(const struct vmx_image *g)
{
	return reserved(F(PROC_CONTROLS), VMX_PROC);
}

static bool proc2_reserved(const struct vmx_image *g)
{
	return (F(PROC_CONTROLS) & PROC_SECONDARY) && reserved(F(PROC2_CONTROLS), VMX_PROC2);
}

static bool exit_reserved(const struct vmx_image *g)
{
	return reserved(F(EXIT_CONTROLS), VMX_EXIT);
}

static bool entry_reserved(const struct vmx_image *g)
{
	return reserved(F(ENTRY_CONTROLS), VMX_ENTRY);
}

static bool cr3_targets(const struct vmx_image *g)
{
	return F(CR3_TARGET_COUNT) > 4;
}

static bool io_bitmaps(const struct vmx_image *g)
{
	return proc(g, PROC_IO_BITMAPS) && (bad_page(g, F(IO_BITMAP_A)) || bad_page(g, F(IO_BITMAP_B)));
}

static bool msr_bitmap(const struct vmx_image *g)
{
	return proc(g, PROC_MSR_BITMAPS) && bad_page(g, F(MSR_BITMAP));
}

static bool vpid_zero(const struct vmx_image *g)
{
	return proc2(g, PROC2_VPID) && F(VPID) == 0;
}

static bool eptp(const struct vmx_image *g)
{
	u64 v = F(EPTP);
	unsigned type = (unsigned)(v & 7);

	return proc2(g, PROC2_EPT) &&
	       ((type != MT_UC && type != MT_WB) || bits(v, 5, 3) != 3 || bits(v, 11, 7) || above(g, v & mask(63, 12)));
}

static bool unrestricted_ept(const struct vmx_image *g)
{
	return proc2(g, PROC2_UNRESTRICTED) && !proc2(g, PROC2_EPT);
}

static bool bad_area(const struct vmx_image *g, u64 addr, u64 count)
{
	return count && ((addr & 15) || above(g, addr) || above(g, addr + 16 * count - 1));
}

static bool exit_areas(const struct vmx_image *g)
{
	return bad_area(g, F(EXIT_MSR_STORE_ADDR), F(EXIT_MSR_STORE_COUNT)) ||
	       bad_area(g, F(EXIT_MSR_LOAD_ADDR), F(EXIT_MSR_LOAD_COUNT));
}

static bool entry_area(const struct vmx_image *g)
{
	return bad_area(g, F(ENTRY_MSR_LOAD_ADDR), F(ENTRY_MSR_LOAD_COUNT));
}

/* ---- injection ---- */

static bool injects(const struct vmx_image *g)
{
	return (F(ENTRY_INTR_INFO) & BIT(31)) != 0;
}

static unsigned inject_kind(const struct vmx_image *g)
{
	return (unsigned)bits(F(ENTRY_INTR_INFO), 10, 8);
}

static bool inject_type(const struct vmx_image *g)
{
	return injects(g) && (inject_kind(g) == 1 || inject_kind(g) == 7);
}

static bool inject_vector(const struct vmx_image *g)
{
	u8 vector = (u8)F(ENTRY_INTR_INFO);

	return injects(g) && ((inject_kind(g) == 2 && vector != 2) || (inject_kind(g) == 3 && vector > 31));
}

static bool inject_error_flag(const struct vmx_image *g)
{
	const u32 with_code = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17;
	u8 vector = (u8)F(ENTRY_INTR_INFO);
	bool needs = inject_kind(g) == 3 && vector < 32 && (with_code >> vector & 1) &&
	             (!proc2(g, PROC2_UNRESTRICTED) || (F(GUEST_CR0) & CR0_PE));

	return injects(g) && needs != ((F(ENTRY_INTR_INFO) & BIT(11)) != 0);
}

static bool inject_reserved(const struct vmx_image *g)
{
	return injects(g) && bits(F(ENTRY_INTR_INFO), 30, 12);
}

static bool inject_error_code(const struct vmx_image *g)
{
	return injects(g) && (F(ENTRY_INTR_INFO) & BIT(11)) && F(ENTRY_ERROR_CODE) >> 16;
}

static bool inject_length(const struct vmx_image *g)
{
	u64 len = F(ENTRY_INSN_LEN);

	return injects(g) && inject_kind(g) >= 4 && inject_kind(g) <= 6 && (len < 1 || len > 15);
}

/* ---- host state ---- */

static bool cr0_fixed(u64 v, bool unrestricted)
{
	u64 need = VMX_CR0_FIXED0 & ~(unrestricted ? CR0_PE | CR0_PG : 0);

	return (v & need) != need || v >> 32;
}

static bool host_cr0(const struct vmx_image *g)
{
	return cr0_fixed(F(HOST_CR0), false);
}

static bool cr4_fixed(const struct vmx_image *g, u64 v)
{
	return !(v & CR4_VMXE) || (v & ~g->cr4_fixed1);
}

static bool host_cr4(const struct vmx_image *g)
{
	return cr4_fixed(g, F(HOST_CR4));
}

static bool host_cr3(const struct vmx_image *g)
{
	return above(g, F(HOST_CR3));
}

static bool host_sysenter(const struct vmx_image *g)
{
	return noncanonical(g, F(HOST_SYSENTER_ESP)) || noncanonical(g, F(HOST_SYSENTER_EIP));
}

static bool host_pat(const struct vmx_image *g)
{
	return exits(g, EXIT_LOAD_PAT) && !arch_pat_valid(F(HOST_PAT));
}

static bool host_efer(const struct vmx_image *g)
{
	u64 v = F(HOST_EFER);
	bool host64 = exits(g, EXIT_HOST64);

	return exits(g, EXIT_LOAD_EFER) &&
	       ((v & ~g->efer_bits) || !(v & EFER_LMA) == host64 || !(v & EFER_LME) == host64);
}

static bool host_rpl(const struct vmx_image *g)
{
	return ((F(HOST_ES_SEL) | F(HOST_CS_SEL) | F(HOST_SS_SEL) | F(HOST_DS_SEL) | F(HOST_FS_SEL) | F(HOST_GS_SEL) |
	         F(HOST_TR_SEL)) &
	        7) != 0;
}

static bool host_null(const struct vmx_image *g)
{
	return !F(HOST_CS_SEL) || !F(HOST_TR_SEL) || (!F(HOST_SS_SEL) && !exits(g, EXIT_HOST64));
}

static bool host_bases(const struct vmx_image *g)
{
	return noncanonical(g, F(HOST_FS_BASE)) || noncanonical(g, F(HOST_GS_BASE)) ||
	       noncanonical(g, F(HOST_GDTR_BASE)) || noncanonical(g, F(HOST_IDTR_BASE)) ||
	       noncanonical(g, F(HOST_TR_BASE));
}

static bool host_size(const struct vmx_image *g)
{
	bool host64 = exits(g, EXIT_HOST64);

	return host64 != g->long_mode_now || (!g->long_mode_now && enters(g, ENTRY_GUEST64)) ||
	       (!host64 && enters(g, ENTRY_GUEST64));
}

static bool host_size_state(const struct vmx_image *g)
{
	if (exits(g, EXIT_HOST64))
		return !(F(HOST_CR4) & CR4_PAE) || noncanonical(g, F(HOST_RIP));
	return (F(HOST_CR4) & CR4_PCIDE) || F(HOST_RIP) >> 32;
}

/* ---- guest state ---- */

static bool guest_cr0(const struct vmx_image *g)
{
	u64 v = F(GUEST_CR0);

	return cr0_fixed(v, proc2(g, PROC2_UNRESTRICTED)) || ((v & CR0_PG) && !(v & CR0_PE));
}

static bool guest_cr4(const struct vmx_image *g)
{
	return cr4_fixed(g, F(GUEST_CR4));
}

static bool guest_cr3(const struct vmx_image *g)
{
	return above(g, F(GUEST_CR3));
}

static bool guest_dr7(const struct vmx_image *g)
{
	return enters(g, ENTRY_LOAD_DEBUG) && F(GUEST_DR7) >> 32;
}

static bool guest_ia32e(const struct vmx_image *g)
{
	if (enters(g, ENTRY_GUEST64))
		return !(F(GUEST_CR0) & CR0_PG) || !(F(GUEST_CR4) & CR4_PAE);
	return (F(GUEST_CR4) & CR4_PCIDE) != 0;
}

static bool guest_sysenter(const struct vmx_image *g)
{
	return noncanonical(g, F(GUEST_SYSENTER_ESP)) || noncanonical(g, F(GUEST_SYSENTER_EIP));
}

static bool guest_pat(const struct vmx_image *g)
{
	return enters(g, ENTRY_LOAD_PAT) && !arch_pat_valid(F(GUEST_PAT));
}

static bool guest_efer(const struct vmx_image *g)
{
	u64 v = F(GUEST_EFER);
	bool lma = v & EFER_LMA, lme = v & EFER_LME;

	return enters(g, ENTRY_LOAD_EFER) &&
	       ((v & ~g->efer_bits) || lma != enters(g, ENTRY_GUEST64) || ((F(GUEST_CR0) & CR0_PG) && lma != lme));
}

static bool v86(const struct vmx_image *g)
{
	return (F(GUEST_RFLAGS) & FL_VM) != 0;
}

static bool usable(u64 ar)
{
	return !(ar & AR_UNUSABLE);
}

static bool guest_ti(const struct vmx_image *g)
{
	return (F(GUEST_TR_SEL) & 4) || (usable(F(GUEST_LDTR_AR)) && (F(GUEST_LDTR_SEL) & 4));
}

static bool guest_rpl(const struct vmx_image *g)
{
	return !v86(g) && !proc2(g, PROC2_UNRESTRICTED) && ((F(GUEST_SS_SEL) ^ F(GUEST_CS_SEL)) & 3);
}

static bool guest_bases(const struct vmx_image *g)
{
	return noncanonical(g, F(GUEST_TR_BASE)) || noncanonical(g, F(GUEST_FS_BASE)) ||
	       noncanonical(g, F(GUEST_GS_BASE)) || (usable(F(GUEST_LDTR_AR)) && noncanonical(g, F(GUEST_LDTR_BASE))) ||
	       F(GUEST_CS_BASE) >> 32 || (usable(F(GUEST_SS_AR)) && F(GUEST_SS_BASE) >> 32) ||
	       (usable(F(GUEST_DS_AR)) && F(GUEST_DS_BASE) >> 32) || (usable(F(GUEST_ES_AR)) && F(GUEST_ES_BASE) >> 32);
}

static bool guest_v86_segments(const struct vmx_image *g)
{
	if (!v86(g))
		return false;
	for (unsigned s = 0; s < 6; s++) {
		u64 sel = vmcs_get(g->v, VMCS_GUEST_ES_SEL + 2 * s);

		if (vmcs_get(g->v, VMCS_GUEST_ES_BASE + 2 * s) != sel << 4 ||
		    vmcs_get(g->v, VMCS_GUEST_ES_LIMIT + 2 * s) != 0xffff ||
		    vmcs_get(g->v, VMCS_GUEST_ES_AR + 2 * s) != 0xf3)
			return true;
	}
	return false;
}

static bool guest_cs_type(const struct vmx_image *g)
{
	unsigned type = (unsigned)F(GUEST_CS_AR) & AR_TYPE;
	bool ok = type == 9 || type == 11 || type == 13 || type == 15 || (type == 3 && proc2(g, PROC2_UNRESTRICTED));

	return !v86(g) && (!ok || (F(GUEST_CS_AR) & (AR_S | AR_P)) != (AR_S | AR_P));
}

static bool guest_ss_type(const struct vmx_image *g)
{
	unsigned type = (unsigned)F(GUEST_SS_AR) & AR_TYPE;

	return !v86(g) && usable(F(GUEST_SS_AR)) &&
	       ((type != 3 && type != 7) || (F(GUEST_SS_AR) & (AR_S | AR_P)) != (AR_S | AR_P));
}

static bool bad_data(u64 ar)
{
	return usable(ar) && (!(ar & 1) || ((ar & AR_CODE) && !(ar & 2)) || (ar & (AR_S | AR_P)) != (AR_S | AR_P));
}

static bool guest_data_types(const struct vmx_image *g)
{
	return !v86(g) && (bad_data(F(GUEST_DS_AR)) || bad_data(F(GUEST_ES_AR)) || bad_data(F(GUEST_FS_AR)) ||
	                   bad_data(F(GUEST_GS_AR)));
}

static bool guest_ss_dpl(const struct vmx_image *g)
{
	unsigned dpl = ar_dpl((u32)F(GUEST_SS_AR)), cs_type = (unsigned)F(GUEST_CS_AR) & AR_TYPE;

	if (v86(g))
		return false;
	if (!proc2(g, PROC2_UNRESTRICTED) && dpl != (F(GUEST_SS_SEL) & 3))
		return true;
	return (cs_type == 3 || !(F(GUEST_CR0) & CR0_PE)) && dpl != 0;
}

static bool guest_cs_l_d(const struct vmx_image *g)
{
	return !v86(g) && enters(g, ENTRY_GUEST64) && (F(GUEST_CS_AR) & AR_L) && (F(GUEST_CS_AR) & AR_DB);
}

static bool bad_granularity(u64 ar, u64 limit)
{
	return usable(ar) && (((limit & 0xfff) != 0xfff && (ar & AR_G)) || (limit >> 20 && !(ar & AR_G)));
}

static bool guest_granularity(const struct vmx_image *g)
{
	for (unsigned s = 0; s < 8; s++)
		if (!(v86(g) && s < 6) &&
		    bad_granularity(s == SEG_CS ? vmcs_get(g->v, VMCS_GUEST_CS_AR) & ~(u64)AR_UNUSABLE
		                                : vmcs_get(g->v, VMCS_GUEST_ES_AR + 2 * s),
		                    vmcs_get(g->v, VMCS_GUEST_ES_LIMIT + 2 * s)))
			return true;
	return false;
}

static bool guest_tr(const struct vmx_image *g)
{
	u64 ar = F(GUEST_TR_AR);
	unsigned type = (unsigned)ar & AR_TYPE;

	return !usable(ar) || (ar & AR_S) || !(ar & AR_P) || !(type == 11 || (type == 3 && !enters(g, ENTRY_GUEST64)));
}

static bool guest_ldtr(const struct vmx_image *g)
{
	u64 ar = F(GUEST_LDTR_AR);

	return usable(ar) && ((ar & AR_TYPE) != SYS_LDT || (ar & AR_S) || !(ar & AR_P));
}

static bool guest_tables(const struct vmx_image *g)
{
	return noncanonical(g, F(GUEST_GDTR_BASE)) || noncanonical(g, F(GUEST_IDTR_BASE)) ||
	       F(GUEST_GDTR_LIMIT) >> 16 || F(GUEST_IDTR_LIMIT) >> 16;
}

/* Bits above the linear width must be equal, not canonical: bit N-1 may differ. */
static bool guest_rip(const struct vmx_image *g)
{
	u64 v = F(GUEST_RIP);

	if (!enters(g, ENTRY_GUEST64) || !(F(GUEST_CS_AR) & AR_L))
		return v >> 32;
	return (u64)((s64)v >> 63) >> g->la_bits != v >> g->la_bits;
}

static bool guest_rflags(const struct vmx_image *g)
{
	u64 v = F(GUEST_RFLAGS);

	return v >> 22 || (v & (BIT(15) | BIT(5) | BIT(3))) || !(v & FL_1) ||
	       ((v & FL_VM) && (enters(g, ENTRY_GUEST64) || !(F(GUEST_CR0) & CR0_PE)));
}

static bool guest_if_extint(const struct vmx_image *g)
{
	return injects(g) && inject_kind(g) == 0 && !(F(GUEST_RFLAGS) & FL_IF);
}

static bool guest_activity(const struct vmx_image *g)
{
	u64 v = F(GUEST_ACTIVITY);

	return v > 1 || (v == 1 && ar_dpl((u32)F(GUEST_SS_AR)) != 0) || (v && (F(GUEST_INTERRUPTIBILITY) & 3));
}

static bool guest_interruptibility(const struct vmx_image *g)
{
	u64 v = F(GUEST_INTERRUPTIBILITY);

	return v >> 5 || (v & BIT(2)) || (v & BIT(4)) || (v & 3) == 3 || ((v & 1) && !(F(GUEST_RFLAGS) & FL_IF)) ||
	       (injects(g) && inject_kind(g) == 0 && (v & 3)) || (injects(g) && inject_kind(g) == 2 && (v & 2));
}

static bool guest_link(const struct vmx_image *g)
{
	u64 v = F(LINK_POINTER);

	return v != ~0ull && (bad_page(g, v) || g->link_revision != VMX_REVISION || v == g->v->current);
}

/* clang-format off */
#define V(name) VMCS_##name
#define END 0xffff
#define CTLS  "SDM 3C \"Checks on VMX Controls\""
#define HOST  "SDM 3C \"Checks on Host Control Registers, MSRs, and SSP\""
#define HOSTS "SDM 3C \"Checks on Host Segment and Descriptor-Table Registers\""
#define HOSTA "SDM 3C \"Checks Related to Address-Space Size\""
#define GUEST "SDM 3C \"Checks on Guest Control Registers, Debug Registers, and MSRs\""
#define SEGS  "SDM 3C \"Checks on Guest Segment Registers\""
#define NONREG "SDM 3C \"Checks on Guest Non-Register State\""
#define RIPFL "SDM 3C \"Checks on Guest RIP, RFLAGS, and SSP\""
#define ROW(id_, group_, fn, rule_, where, ...) \
	{.id = id_, .group = group_, .bad = fn, .rule = rule_, .manual = where, .field = {__VA_ARGS__, END}}
#define C(id_, fn, rule_, ...)        ROW("vmx.control." id_, VMX_GROUP_CONTROL, fn, rule_, CTLS, __VA_ARGS__)
#define H(id_, fn, rule_, where, ...) ROW("vmx.host." id_, VMX_GROUP_HOST, fn, rule_, where, __VA_ARGS__)
#define G(id_, fn, rule_, where, ...) ROW("vmx.guest." id_, VMX_GROUP_GUEST, fn, rule_, where, __VA_ARGS__)

const struct vmx_check vmx_checks[] = {
	C("pin.reserved", pin_reserved, "reserved bits of the pin-based controls must have their fixed values",
	 V(PIN_CONTROLS)),
	C("proc.reserved", proc_reserved, "reserved bits of the primary controls must have their fixed values",
	 V(PROC_CONTROLS)),
	C("proc2.reserved", proc2_reserved, "reserved bits of the secondary controls must be 0", V(PROC_CONTROLS),
	 V(PROC2_CONTROLS)),
	C("cr3-targets", cr3_targets, "the CR3-target count must not exceed 4", V(CR3_TARGET_COUNT)),
	C("io-bitmaps", io_bitmaps, "I/O-bitmap addresses must be page-aligned and within the physical address width",
	  V(PROC_CONTROLS), V(IO_BITMAP_A), V(IO_BITMAP_B)),
	C("msr-bitmap", msr_bitmap,
	 "the MSR-bitmap address must be page-aligned and within the physical address width",
	  V(PROC_CONTROLS), V(MSR_BITMAP)),
	C("vpid-zero", vpid_zero, "VPID must not be 0", V(PROC_CONTROLS), V(PROC2_CONTROLS), V(VPID)),
	C("eptp", eptp, "memory type, walk length and reserved bits of the EPT pointer must be supported",
	 V(PROC_CONTROLS),
	  V(PROC2_CONTROLS), V(EPTP)),
	C("unrestricted-ept", unrestricted_ept, "unrestricted guest needs EPT", V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	C("exit.reserved", exit_reserved, "reserved bits of the VM-exit controls must have their fixed values",
	 V(EXIT_CONTROLS)),
	C("exit.msr-areas", exit_areas,
	 "VM-exit MSR areas must be 16-byte aligned and within the physical address width",
	  V(EXIT_MSR_STORE_ADDR), V(EXIT_MSR_STORE_COUNT), V(EXIT_MSR_LOAD_ADDR), V(EXIT_MSR_LOAD_COUNT)),
	C("entry.reserved", entry_reserved, "reserved bits of the VM-entry controls must have their fixed values",
	 V(ENTRY_CONTROLS)),
	C("entry.msr-area", entry_area,
	 "the VM-entry MSR area must be 16-byte aligned and within the physical address width",
	  V(ENTRY_MSR_LOAD_ADDR), V(ENTRY_MSR_LOAD_COUNT)),
	C("inject.type", inject_type, "the interruption type must not be 1, nor 7 without the monitor trap flag",
	 V(ENTRY_INTR_INFO)),
	C("inject.vector", inject_vector, "an NMI has vector 2, a hardware exception at most 31", V(ENTRY_INTR_INFO)),
	C("inject.error-flag", inject_error_flag,
	 "deliver-error-code must be set exactly for the exceptions that have one",
	  V(ENTRY_INTR_INFO), V(PROC_CONTROLS), V(PROC2_CONTROLS), V(GUEST_CR0)),
	C("inject.reserved", inject_reserved, "bits 30:12 of the interruption information must be 0",
	 V(ENTRY_INTR_INFO)),
	C("inject.error-code", inject_error_code, "bits 31:16 of the error code must be 0", V(ENTRY_INTR_INFO),
	 V(ENTRY_ERROR_CODE)),
	C("inject.length", inject_length, "the instruction length must be 1 to 15 for software events",
	 V(ENTRY_INTR_INFO), V(ENTRY_INSN_LEN)),

	H("cr0", host_cr0, "host CR0 must have the bits that VMX operation fixes", HOST, V(HOST_CR0)),
	H("cr4", host_cr4, "host CR4 must have the bits that VMX operation fixes", HOST, V(HOST_CR4)),
	H("cr3", host_cr3, "host CR3 must not exceed the physical address width", HOST, V(HOST_CR3)),
	H("sysenter", host_sysenter, "host SYSENTER_ESP and EIP must be canonical", HOST, V(HOST_SYSENTER_ESP),
	 V(HOST_SYSENTER_EIP)),
	H("pat", host_pat, "every byte of host PAT must be 0, 1, 4, 5, 6 or 7", HOST, V(EXIT_CONTROLS), V(HOST_PAT)),
	H("efer", host_efer, "host EFER: reserved bits 0, LMA and LME equal to host address-space size", HOST,
	 V(EXIT_CONTROLS), V(HOST_EFER)),
	H("selector.rpl-ti", host_rpl, "RPL (bits 1:0) and TI (bit 2) of every host selector must be 0", HOSTS,
	 V(HOST_CS_SEL),
	  V(HOST_SS_SEL), V(HOST_DS_SEL), V(HOST_ES_SEL), V(HOST_TR_SEL)),
	H("selector.null", host_null, "host CS and TR must not be 0, nor SS of a 32-bit host", HOSTS,
	 V(HOST_CS_SEL), V(HOST_TR_SEL), V(HOST_SS_SEL)),
	H("bases", host_bases, "host FS, GS, GDTR, IDTR and TR bases must be canonical", HOSTS, V(HOST_FS_BASE),
	 V(HOST_GS_BASE),
	  V(HOST_GDTR_BASE), V(HOST_IDTR_BASE), V(HOST_TR_BASE)),
	H("address-space", host_size,
	 "host address-space size must equal EFER.LMA now, and an IA-32e guest needs it", HOSTA,
	  V(EXIT_CONTROLS), V(ENTRY_CONTROLS)),
	H("address-space-state", host_size_state,
	 "a 64-bit host has CR4.PAE and a canonical RIP, a 32-bit one no PCIDE and a 32-bit RIP",
	  HOSTA, V(EXIT_CONTROLS), V(HOST_CR4), V(HOST_RIP)),

	G("cr0", guest_cr0, "guest CR0 must have the bits that VMX operation fixes, and PE with PG", GUEST,
	 V(GUEST_CR0), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	G("cr4", guest_cr4, "guest CR4 must have the bits that VMX operation fixes", GUEST, V(GUEST_CR4)),
	G("ia32e", guest_ia32e, "an IA-32e guest needs CR0.PG and CR4.PAE; another must not have CR4.PCIDE", GUEST,
	 V(ENTRY_CONTROLS),
	  V(GUEST_CR0), V(GUEST_CR4)),
	G("cr3", guest_cr3, "guest CR3 must not exceed the physical address width", GUEST, V(GUEST_CR3)),
	G("dr7", guest_dr7, "guest DR7[63:32] must be 0", GUEST, V(ENTRY_CONTROLS), V(GUEST_DR7)),
	G("sysenter", guest_sysenter, "guest SYSENTER_ESP and EIP must be canonical", GUEST, V(GUEST_SYSENTER_ESP),
	 V(GUEST_SYSENTER_EIP)),
	G("pat", guest_pat, "every byte of guest PAT must be 0, 1, 4, 5, 6 or 7", GUEST, V(ENTRY_CONTROLS),
	 V(GUEST_PAT)),
	G("efer", guest_efer,
	 "guest EFER: reserved bits 0, LMA equal to IA-32e mode guest, and LME to LMA with paging", GUEST,
	  V(ENTRY_CONTROLS), V(GUEST_EFER), V(GUEST_CR0)),
	G("selector.ti", guest_ti, "TI of TR and of a usable LDTR must be 0", SEGS, V(GUEST_TR_SEL),
	 V(GUEST_LDTR_AR), V(GUEST_LDTR_SEL)),
	G("selector.rpl", guest_rpl, "RPL of SS must equal RPL of CS", SEGS, V(GUEST_SS_SEL), V(GUEST_CS_SEL),
	 V(GUEST_RFLAGS)),
	G("bases", guest_bases, "bases must be canonical; CS, and usable SS, DS and ES, within 32 bits", SEGS,
	 V(GUEST_TR_BASE),
	  V(GUEST_FS_BASE), V(GUEST_GS_BASE), V(GUEST_CS_BASE), V(GUEST_SS_BASE)),
	G("v86", guest_v86_segments,
	 "virtual-8086 segments have base = selector * 16, limit 0xffff and rights 0xf3", SEGS,
	  V(GUEST_RFLAGS), V(GUEST_CS_BASE), V(GUEST_CS_LIMIT), V(GUEST_CS_AR)),
	G("cs.type", guest_cs_type, "CS must be present accessed code (or, unrestricted, writable data)", SEGS,
	 V(GUEST_CS_AR)),
	G("ss.type", guest_ss_type, "usable SS must be present accessed writable data", SEGS, V(GUEST_SS_AR)),
	G("data.type", guest_data_types, "usable DS, ES, FS, GS must be present, accessed and readable", SEGS,
	 V(GUEST_DS_AR),
	  V(GUEST_ES_AR), V(GUEST_FS_AR), V(GUEST_GS_AR)),
	G("ss.dpl", guest_ss_dpl, "DPL of SS must equal its RPL, and be 0 with data CS or without protection", SEGS,
	 V(GUEST_SS_AR),
	  V(GUEST_SS_SEL), V(GUEST_CS_AR), V(GUEST_CR0)),
	G("cs.l-and-d", guest_cs_l_d, "CS.D must be 0 in an IA-32e guest with CS.L", SEGS, V(ENTRY_CONTROLS),
	 V(GUEST_CS_AR)),
	G("granularity", guest_granularity, "limit and G must agree", SEGS, V(GUEST_CS_LIMIT), V(GUEST_CS_AR),
	 V(GUEST_SS_LIMIT), V(GUEST_SS_AR)),
	G("tr", guest_tr, "TR must be a usable present busy TSS", SEGS, V(GUEST_TR_AR), V(ENTRY_CONTROLS)),
	G("ldtr", guest_ldtr, "usable LDTR must be a present LDT", SEGS, V(GUEST_LDTR_AR)),
	G("tables", guest_tables, "GDTR and IDTR bases must be canonical, limits at most 0xffff",
	  "SDM 3C \"Checks on Guest Descriptor-Table Registers\"", V(GUEST_GDTR_BASE), V(GUEST_IDTR_BASE),
	 V(GUEST_GDTR_LIMIT), V(GUEST_IDTR_LIMIT)),
	G("rip", guest_rip, "bits of RIP above the address width must be 0, or equal in 64-bit mode", RIPFL,
	 V(ENTRY_CONTROLS), V(GUEST_CS_AR), V(GUEST_RIP)),
	G("rflags", guest_rflags,
	 "reserved bits of RFLAGS must have their fixed values; VM needs protection and no IA-32e mode", RIPFL,
	  V(GUEST_RFLAGS), V(ENTRY_CONTROLS), V(GUEST_CR0)),
	G("rflags.if-extint", guest_if_extint, "RFLAGS.IF must be 1 when VM entry injects an external interrupt",
	 RIPFL, V(GUEST_RFLAGS), V(ENTRY_INTR_INFO)),
	G("activity", guest_activity,
	 "the activity state must be supported, and active under STI or MOV-SS blocking", NONREG,
	  V(GUEST_ACTIVITY), V(GUEST_SS_AR), V(GUEST_INTERRUPTIBILITY)),
	G("interruptibility", guest_interruptibility, "the interruptibility state must be possible", NONREG,
	 V(GUEST_INTERRUPTIBILITY),
	  V(GUEST_RFLAGS), V(ENTRY_INTR_INFO)),
	{.id = "vmx.guest.link-pointer", .group = VMX_GROUP_GUEST, .qualification = 4, .bad = guest_link,
	 .rule = "the VMCS link pointer must be ~0, or an aligned VMCS other than the current one", .manual = NONREG,
	 .field = {V(LINK_POINTER), END}},
};
/* clang-format on */
const size_t vmx_check_count = ARRAY_LEN(vmx_checks);

const struct vmx_check *vmx_check_next(const struct vmx_image *g, const struct vmx_check *from, u32 groups)
{
	for (; from < vmx_checks + vmx_check_count; from++)
		if ((groups >> from->group & 1) && from->bad(g))
			return from;
	return NULL;
}

cold void vmx_check_refuse(struct cpu *c, const struct vmx_image *g, const struct vmx_check *k, u64 rip,
                           const char *event, const char *then)
{
	struct refusal r = {.event = event,
	                    .check = k->id,
	                    .rule = k->rule,
	                    .manual = k->manual,
	                    .then = then,
	                    .rip = rip,
	                    .insn = c->insns,
	                    .cpu = c->index};
	size_t used = 0;

	if (!c->hooks->refused)
		return;
	for (unsigned n = 0; n < VMX_CHECK_FIELDS && k->field[n] != END; n++) {
		r.field[n].name = vmcs_field_at(k->field[n])->name;
		r.field[n].value = vmcs_get(g->v, k->field[n]);
		r.field[n].width = shown[k->field[n] >> 13 & 3];
		r.fields++;
	}
	snprintf(r.also, sizeof(r.also), "none");
	for (const struct vmx_check *o = k + 1; (o = vmx_check_next(g, o, ~0u)) != NULL; o++) {
		int len = snprintf(r.also + used, sizeof(r.also) - used, "%s%s", used ? ", " : "", o->id);

		if (len < 0 || (size_t)len >= sizeof(r.also) - used)
			break;
		used += (size_t)len;
	}
	c->hooks->refused(c->hooks->arg, c, &r);
}
