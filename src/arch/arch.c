#include "arch/arch.h"
#include "arch/features.h"
#include "arch/quirks.h"

/* clang-format off */
/* "Exception and Interrupt Reference"; classes by "Interrupt and Exception Classes" for double faults. */
#define EX(n, t, c, e) { .name = n, .title = t, .class = c, .has_error = e }
const struct ex_info arch_exceptions[32] = {
	[EX_DE]  = EX("#DE", "Divide Error", EXC_CONTRIBUTORY, false),
	[EX_DB]  = EX("#DB", "Debug", EXC_BENIGN, false),
	[EX_NMI] = EX("NMI", "Nonmaskable Interrupt", EXC_BENIGN, false),
	[EX_BP]  = EX("#BP", "Breakpoint", EXC_BENIGN, false),
	[EX_OF]  = EX("#OF", "Overflow", EXC_BENIGN, false),
	[EX_BR]  = EX("#BR", "BOUND Range Exceeded", EXC_BENIGN, false),
	[EX_UD]  = EX("#UD", "Invalid Opcode", EXC_BENIGN, false),
	[EX_NM]  = EX("#NM", "Device Not Available", EXC_BENIGN, false),
	[EX_DF]  = EX("#DF", "Double Fault", EXC_DOUBLE_FAULT, true),
	[EX_CSO] = EX("CSO", "Coprocessor Segment Overrun", EXC_BENIGN, false),
	[EX_TS]  = EX("#TS", "Invalid TSS", EXC_CONTRIBUTORY, true),
	[EX_NP]  = EX("#NP", "Segment Not Present", EXC_CONTRIBUTORY, true),
	[EX_SS]  = EX("#SS", "Stack-Segment Fault", EXC_CONTRIBUTORY, true),
	[EX_GP]  = EX("#GP", "General Protection", EXC_CONTRIBUTORY, true),
	[EX_PF]  = EX("#PF", "Page Fault", EXC_PAGE_FAULT, true),
	[15]     = EX("#15", "Reserved", EXC_BENIGN, false),
	[EX_MF]  = EX("#MF", "x87 FPU Floating-Point Error", EXC_BENIGN, false),
	[EX_AC]  = EX("#AC", "Alignment Check", EXC_BENIGN, true),
	[EX_MC]  = EX("#MC", "Machine Check", EXC_BENIGN, false),
	[EX_XM]  = EX("#XM", "SIMD Floating-Point", EXC_BENIGN, false),
	[EX_VE]  = EX("#VE", "Virtualization", EXC_PAGE_FAULT, false), /* "treated like page faults" for double faults */
	[EX_CP]  = EX("#CP", "Control Protection", EXC_CONTRIBUTORY, true),
	[22]     = EX("#22", "Reserved", EXC_BENIGN, false),
	[23]     = EX("#23", "Reserved", EXC_BENIGN, false),
	[24]     = EX("#24", "Reserved", EXC_BENIGN, false),
	[25]     = EX("#25", "Reserved", EXC_BENIGN, false),
	[26]     = EX("#26", "Reserved", EXC_BENIGN, false),
	[27]     = EX("#27", "Reserved", EXC_BENIGN, false),
	[EX_HV]  = EX("#HV", "Hypervisor Injection", EXC_BENIGN, false),
	[EX_VC]  = EX("#VC", "VMM Communication", EXC_CONTRIBUTORY, true),
	[EX_SX]  = EX("#SX", "Security", EXC_CONTRIBUTORY, true),
	[31]     = EX("#31", "Reserved", EXC_BENIGN, false),
};

const struct feature_info arch_features[FEAT_COUNT] = {
#define FEATURE(id, leaf_, sub, reg_, bit_, name_) \
	[FEAT_##id] = { .name = name_, .leaf = leaf_, .subleaf = sub, .reg = reg_, .bit = bit_ },
	FEATURE_LIST(FEATURE)
#undef FEATURE
};

/* SDM 3C "VM-Execution Control Fields", "Checks on VMX Controls"; 3D "VMX Capability Reporting Facility". */
#define NEEDS(feature, need) {FEAT_##feature, FEAT_##need}
const struct feature_need arch_feature_needs[] = {
#define FEATURE(id, ...) NEEDS(id, VMX),
	VMX_FEATURE_LIST(FEATURE)
#undef FEATURE
	NEEDS(SKINIT, SVM),
	NEEDS(VMX_VNMI, VMX_NMI_EXIT),
	NEEDS(VMX_VNMI_PENDING, VMX_VNMI),
	NEEDS(VMX_EXIT_SAVE_PREEMPTION_TIMER, VMX_PREEMPTION_TIMER),
	NEEDS(VMX_CR3_LOAD_NOEXIT, VMX_TRUE_CTLS), NEEDS(VMX_CR3_STORE_NOEXIT, VMX_TRUE_CTLS),
	NEEDS(VMX_EXIT_NOSAVE_DEBUGCTL, VMX_TRUE_CTLS), NEEDS(VMX_ENTRY_NOLOAD_DEBUGCTL, VMX_TRUE_CTLS),
	/* "Dual-Monitor Treatment of SMIs and SMM" is whole or not there */
	NEEDS(VMX_ENTRY_TO_SMM, VMX_DUAL_MONITOR), NEEDS(VMX_ENTRY_NO_DUAL_MONITOR, VMX_DUAL_MONITOR),
	NEEDS(VMX_VMXOFF_KEEPS_SMI, VMX_DUAL_MONITOR),
	/* the tertiary controls */
	NEEDS(VMX_EPT_PAGING_WRITE, VMX_TERTIARY_CTLS), NEEDS(VMX_GUEST_PAGING_VERIFICATION, VMX_TERTIARY_CTLS),
	NEEDS(VMX_IPI_VIRTUALIZATION, VMX_TERTIARY_CTLS), NEEDS(VMX_SPEC_CTRL_VIRTUALIZATION, VMX_TERTIARY_CTLS),
	NEEDS(VMX_SPEC_CTRL_VIRTUALIZATION, SPEC_CTRL),
	/* the secondary controls */
	NEEDS(VMX_APICV_XAPIC, VMX_SECONDARY_CTLS), NEEDS(VMX_EPT, VMX_SECONDARY_CTLS),
	NEEDS(VMX_DESC_EXIT, VMX_SECONDARY_CTLS), NEEDS(VMX_RDTSCP_EXIT, VMX_SECONDARY_CTLS),
	NEEDS(VMX_APICV_X2APIC, VMX_SECONDARY_CTLS), NEEDS(VMX_VPID, VMX_SECONDARY_CTLS),
	NEEDS(VMX_WBINVD_EXIT, VMX_SECONDARY_CTLS), NEEDS(VMX_APICV_REGISTER, VMX_SECONDARY_CTLS),
	NEEDS(VMX_APICV_VID, VMX_SECONDARY_CTLS), NEEDS(VMX_PLE, VMX_SECONDARY_CTLS),
	NEEDS(VMX_RDRAND_EXIT, VMX_SECONDARY_CTLS), NEEDS(VMX_INVPCID_EXIT, VMX_SECONDARY_CTLS),
	NEEDS(VMX_VMFUNC, VMX_SECONDARY_CTLS), NEEDS(VMX_SHADOW_VMCS, VMX_SECONDARY_CTLS),
	NEEDS(VMX_RDSEED_EXIT, VMX_SECONDARY_CTLS), NEEDS(VMX_XSAVES, VMX_SECONDARY_CTLS),
	NEEDS(VMX_TSC_SCALING, VMX_SECONDARY_CTLS), NEEDS(VMX_ENABLE_USER_WAIT_PAUSE, VMX_SECONDARY_CTLS),
	NEEDS(VMX_BUS_LOCK_DETECTION, VMX_SECONDARY_CTLS),
	/* what allows or intercepts instructions that are not there */
	NEEDS(VMX_RDTSCP_EXIT, RDTSCP), NEEDS(VMX_INVPCID_EXIT, INVPCID), NEEDS(VMX_RDRAND_EXIT, RDRAND),
	NEEDS(VMX_RDSEED_EXIT, RDSEED), NEEDS(VMX_XSAVES, XSAVES), NEEDS(VMX_ENABLE_USER_WAIT_PAUSE, WAITPKG),
	/* the virtual APIC */
	NEEDS(VMX_APICV_X2APIC, VMX_FLEXPRIORITY), NEEDS(VMX_APICV_REGISTER, VMX_FLEXPRIORITY),
	NEEDS(VMX_APICV_VID, VMX_FLEXPRIORITY), NEEDS(VMX_IPI_VIRTUALIZATION, VMX_FLEXPRIORITY),
	NEEDS(VMX_APICV_VID, VMX_INTR_EXIT), NEEDS(VMX_POSTED_INTR, VMX_APICV_VID),
	NEEDS(VMX_POSTED_INTR, VMX_EXIT_ACK_INTR),
	/* EPT; "bit 5 is read as 1 on any processor that supports unrestricted guest" */
	NEEDS(VMX_UNRESTRICTED_GUEST, VMX_EPT), NEEDS(VMX_UNRESTRICTED_GUEST, VMX_STORE_LMA),
	NEEDS(VMX_PML, VMX_EPT), NEEDS(VMX_PML, VMX_EPTAD), NEEDS(VMX_VE, VMX_EPT), NEEDS(VMX_MBEC, VMX_EPT),
	NEEDS(VMX_SPP, VMX_EPT), NEEDS(VMX_EPT_PAGING_WRITE, VMX_EPT),
	NEEDS(VMX_GUEST_PAGING_VERIFICATION, VMX_EPT), NEEDS(VMX_EPT_EXECONLY, VMX_EPT),
	NEEDS(VMX_PAGE_WALK_4, VMX_EPT), NEEDS(VMX_PAGE_WALK_5, VMX_EPT), NEEDS(VMX_EPT_2MB, VMX_EPT),
	NEEDS(VMX_EPT_1GB, VMX_EPT), NEEDS(VMX_EPTAD, VMX_EPT), NEEDS(VMX_EPT_ADVANCED_EXITINFO, VMX_EPT),
	NEEDS(VMX_INVEPT, VMX_EPT), NEEDS(VMX_INVEPT_SINGLE_CONTEXT, VMX_INVEPT),
	NEEDS(VMX_INVEPT_ALL_CONTEXT, VMX_INVEPT),
	NEEDS(VMX_EPTP_SWITCHING, VMX_VMFUNC), NEEDS(VMX_EPTP_SWITCHING, VMX_EPT),
	/* VPIDs */
	NEEDS(VMX_INVVPID, VMX_VPID), NEEDS(VMX_INVVPID_SINGLE_ADDR, VMX_INVVPID),
	NEEDS(VMX_INVVPID_SINGLE_CONTEXT, VMX_INVVPID), NEEDS(VMX_INVVPID_ALL_CONTEXT, VMX_INVVPID),
	NEEDS(VMX_INVVPID_SINGLE_CONTEXT_NOGLOBALS, VMX_INVVPID),
};
#undef NEEDS
const size_t arch_feature_need_count = ARRAY_LEN(arch_feature_needs);
/* clang-format on */

const struct quirk_info arch_quirks[QUIRK_COUNT] = {
#define QUIRK(id, about_, source_) [QUIRK_##id] = {.name = #id, .about = about_, .source = source_},
        QUIRK_LIST(QUIRK)
#undef QUIRK
};

bool arch_pat_valid(u64 pat)
{
	for (unsigned n = 0; n < 8; n++, pat >>= 8) {
		u8 t = (u8)pat;
		if (t > MT_UCM || t == 2 || t == 3)
			return false;
	}
	return true;
}
