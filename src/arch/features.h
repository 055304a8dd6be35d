/*
 * The feature bits of CPUID that Turnstile knows: one row each. A bit that a model sets works; what does not work has no
 * row. Names are the command line's (QEMU's spelling). FEATURE(id, leaf, subleaf, register, bit, name)
 */
/* clang-format off */
#ifndef FEATURE_LIST
/* The bits of the VMX capability MSRs: `leaf` is the MSR, EAX its low half, EDX its high one. Switched off, the bit reads
 * as a processor without it has it. In 48Eh to 490h, where 0 is the freedom to have a control off, the feature is that
 * freedom. */
#define VMX_FEATURE_LIST(FEATURE) \
	FEATURE(VMX_INTR_EXIT, 0x481, 0, EDX, 0, "vmx-intr-exit") \
	FEATURE(VMX_NMI_EXIT, 0x481, 0, EDX, 3, "vmx-nmi-exit") \
	FEATURE(VMX_VNMI, 0x481, 0, EDX, 5, "vmx-vnmi") \
	FEATURE(VMX_PREEMPTION_TIMER, 0x481, 0, EDX, 6, "vmx-preemption-timer") \
	FEATURE(VMX_POSTED_INTR, 0x481, 0, EDX, 7, "vmx-posted-intr") \
	FEATURE(VMX_VINTR_PENDING, 0x482, 0, EDX, 2, "vmx-vintr-pending") \
	FEATURE(VMX_TSC_OFFSET, 0x482, 0, EDX, 3, "vmx-tsc-offset") \
	FEATURE(VMX_HLT_EXIT, 0x482, 0, EDX, 7, "vmx-hlt-exit") \
	FEATURE(VMX_INVLPG_EXIT, 0x482, 0, EDX, 9, "vmx-invlpg-exit") \
	FEATURE(VMX_MWAIT_EXIT, 0x482, 0, EDX, 10, "vmx-mwait-exit") \
	FEATURE(VMX_RDPMC_EXIT, 0x482, 0, EDX, 11, "vmx-rdpmc-exit") \
	FEATURE(VMX_RDTSC_EXIT, 0x482, 0, EDX, 12, "vmx-rdtsc-exit") \
	FEATURE(VMX_TERTIARY_CTLS, 0x482, 0, EDX, 17, "vmx-tertiary-ctls") \
	FEATURE(VMX_CR8_LOAD_EXIT, 0x482, 0, EDX, 19, "vmx-cr8-load-exit") \
	FEATURE(VMX_CR8_STORE_EXIT, 0x482, 0, EDX, 20, "vmx-cr8-store-exit") \
	FEATURE(VMX_FLEXPRIORITY, 0x482, 0, EDX, 21, "vmx-flexpriority") \
	FEATURE(VMX_VNMI_PENDING, 0x482, 0, EDX, 22, "vmx-vnmi-pending") \
	FEATURE(VMX_MOVDR_EXIT, 0x482, 0, EDX, 23, "vmx-movdr-exit") \
	FEATURE(VMX_IO_EXIT, 0x482, 0, EDX, 24, "vmx-io-exit") \
	FEATURE(VMX_IO_BITMAP, 0x482, 0, EDX, 25, "vmx-io-bitmap") \
	FEATURE(VMX_MTF, 0x482, 0, EDX, 27, "vmx-mtf") \
	FEATURE(VMX_MSR_BITMAP, 0x482, 0, EDX, 28, "vmx-msr-bitmap") \
	FEATURE(VMX_MONITOR_EXIT, 0x482, 0, EDX, 29, "vmx-monitor-exit") \
	FEATURE(VMX_PAUSE_EXIT, 0x482, 0, EDX, 30, "vmx-pause-exit") \
	FEATURE(VMX_SECONDARY_CTLS, 0x482, 0, EDX, 31, "vmx-secondary-ctls") \
	FEATURE(VMX_CR3_LOAD_NOEXIT, 0x48e, 0, EAX, 15, "vmx-cr3-load-noexit") \
	FEATURE(VMX_CR3_STORE_NOEXIT, 0x48e, 0, EAX, 16, "vmx-cr3-store-noexit") \
	FEATURE(VMX_APICV_XAPIC, 0x48b, 0, EDX, 0, "vmx-apicv-xapic") \
	FEATURE(VMX_EPT, 0x48b, 0, EDX, 1, "vmx-ept") \
	FEATURE(VMX_DESC_EXIT, 0x48b, 0, EDX, 2, "vmx-desc-exit") \
	FEATURE(VMX_RDTSCP_EXIT, 0x48b, 0, EDX, 3, "vmx-rdtscp-exit") \
	FEATURE(VMX_APICV_X2APIC, 0x48b, 0, EDX, 4, "vmx-apicv-x2apic") \
	FEATURE(VMX_VPID, 0x48b, 0, EDX, 5, "vmx-vpid") \
	FEATURE(VMX_WBINVD_EXIT, 0x48b, 0, EDX, 6, "vmx-wbinvd-exit") \
	FEATURE(VMX_UNRESTRICTED_GUEST, 0x48b, 0, EDX, 7, "vmx-unrestricted-guest") \
	FEATURE(VMX_APICV_REGISTER, 0x48b, 0, EDX, 8, "vmx-apicv-register") \
	FEATURE(VMX_APICV_VID, 0x48b, 0, EDX, 9, "vmx-apicv-vid") \
	FEATURE(VMX_PLE, 0x48b, 0, EDX, 10, "vmx-ple") \
	FEATURE(VMX_RDRAND_EXIT, 0x48b, 0, EDX, 11, "vmx-rdrand-exit") \
	FEATURE(VMX_INVPCID_EXIT, 0x48b, 0, EDX, 12, "vmx-invpcid-exit") \
	FEATURE(VMX_VMFUNC, 0x48b, 0, EDX, 13, "vmx-vmfunc") \
	FEATURE(VMX_SHADOW_VMCS, 0x48b, 0, EDX, 14, "vmx-shadow-vmcs") \
	FEATURE(VMX_RDSEED_EXIT, 0x48b, 0, EDX, 16, "vmx-rdseed-exit") \
	FEATURE(VMX_PML, 0x48b, 0, EDX, 17, "vmx-pml") \
	FEATURE(VMX_VE, 0x48b, 0, EDX, 18, "vmx-ve") \
	FEATURE(VMX_XSAVES, 0x48b, 0, EDX, 20, "vmx-xsaves") \
	FEATURE(VMX_MBEC, 0x48b, 0, EDX, 22, "vmx-mbec") \
	FEATURE(VMX_SPP, 0x48b, 0, EDX, 23, "vmx-spp") \
	FEATURE(VMX_TSC_SCALING, 0x48b, 0, EDX, 25, "vmx-tsc-scaling") \
	FEATURE(VMX_ENABLE_USER_WAIT_PAUSE, 0x48b, 0, EDX, 26, "vmx-enable-user-wait-pause") \
	FEATURE(VMX_BUS_LOCK_DETECTION, 0x48b, 0, EDX, 30, "vmx-bus-lock-detection") \
	FEATURE(VMX_EPT_PAGING_WRITE, 0x492, 0, EAX, 2, "vmx-ept-paging-write") \
	FEATURE(VMX_GUEST_PAGING_VERIFICATION, 0x492, 0, EAX, 3, "vmx-guest-paging-verification") \
	FEATURE(VMX_IPI_VIRTUALIZATION, 0x492, 0, EAX, 4, "vmx-ipi-virtualization") \
	FEATURE(VMX_SPEC_CTRL_VIRTUALIZATION, 0x492, 0, EAX, 7, "vmx-spec-ctrl-virtualization") \
	FEATURE(VMX_EXIT_LOAD_PERF_GLOBAL_CTRL, 0x483, 0, EDX, 12, "vmx-exit-load-perf-global-ctrl") \
	FEATURE(VMX_EXIT_ACK_INTR, 0x483, 0, EDX, 15, "vmx-exit-ack-intr") \
	FEATURE(VMX_EXIT_SAVE_PAT, 0x483, 0, EDX, 18, "vmx-exit-save-pat") \
	FEATURE(VMX_EXIT_LOAD_PAT, 0x483, 0, EDX, 19, "vmx-exit-load-pat") \
	FEATURE(VMX_EXIT_SAVE_EFER, 0x483, 0, EDX, 20, "vmx-exit-save-efer") \
	FEATURE(VMX_EXIT_LOAD_EFER, 0x483, 0, EDX, 21, "vmx-exit-load-efer") \
	FEATURE(VMX_EXIT_SAVE_PREEMPTION_TIMER, 0x483, 0, EDX, 22, "vmx-exit-save-preemption-timer") \
	FEATURE(VMX_EXIT_NOSAVE_DEBUGCTL, 0x48f, 0, EAX, 2, "vmx-exit-nosave-debugctl") \
	FEATURE(VMX_ENTRY_IA32E_MODE, 0x484, 0, EDX, 9, "vmx-entry-ia32e-mode") \
	FEATURE(VMX_ENTRY_TO_SMM, 0x484, 0, EDX, 10, "vmx-entry-to-smm") \
	FEATURE(VMX_ENTRY_NO_DUAL_MONITOR, 0x484, 0, EDX, 11, "vmx-entry-deactivate-dual-monitor") \
	FEATURE(VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL, 0x484, 0, EDX, 13, "vmx-entry-load-perf-global-ctrl") \
	FEATURE(VMX_ENTRY_LOAD_PAT, 0x484, 0, EDX, 14, "vmx-entry-load-pat") \
	FEATURE(VMX_ENTRY_LOAD_EFER, 0x484, 0, EDX, 15, "vmx-entry-load-efer") \
	FEATURE(VMX_ENTRY_NOLOAD_DEBUGCTL, 0x490, 0, EAX, 2, "vmx-entry-noload-debugctl") \
	FEATURE(VMX_DUAL_MONITOR, 0x480, 0, EDX, 17, "vmx-dual-monitor") \
	FEATURE(VMX_INS_OUTS, 0x480, 0, EDX, 22, "vmx-ins-outs") \
	FEATURE(VMX_TRUE_CTLS, 0x480, 0, EDX, 23, "vmx-true-ctls") \
	FEATURE(VMX_STORE_LMA, 0x485, 0, EAX, 5, "vmx-store-lma") \
	FEATURE(VMX_ACTIVITY_HLT, 0x485, 0, EAX, 6, "vmx-activity-hlt") \
	FEATURE(VMX_ACTIVITY_SHUTDOWN, 0x485, 0, EAX, 7, "vmx-activity-shutdown") \
	FEATURE(VMX_ACTIVITY_WAIT_SIPI, 0x485, 0, EAX, 8, "vmx-activity-wait-sipi") \
	FEATURE(VMX_SMBASE_MSR, 0x485, 0, EAX, 15, "vmx-smbase-msr") \
	FEATURE(VMX_VMXOFF_KEEPS_SMI, 0x485, 0, EAX, 28, "vmx-vmxoff-keeps-smi") \
	FEATURE(VMX_VMWRITE_VMEXIT_FIELDS, 0x485, 0, EAX, 29, "vmx-vmwrite-vmexit-fields") \
	FEATURE(VMX_ZERO_LEN_INJECT, 0x485, 0, EAX, 30, "vmx-zero-len-inject") \
	FEATURE(VMX_EPT_EXECONLY, 0x48c, 0, EAX, 0, "vmx-ept-execonly") \
	FEATURE(VMX_PAGE_WALK_4, 0x48c, 0, EAX, 6, "vmx-page-walk-4") \
	FEATURE(VMX_PAGE_WALK_5, 0x48c, 0, EAX, 7, "vmx-page-walk-5") \
	FEATURE(VMX_EPT_2MB, 0x48c, 0, EAX, 16, "vmx-ept-2mb") \
	FEATURE(VMX_EPT_1GB, 0x48c, 0, EAX, 17, "vmx-ept-1gb") \
	FEATURE(VMX_INVEPT, 0x48c, 0, EAX, 20, "vmx-invept") \
	FEATURE(VMX_EPTAD, 0x48c, 0, EAX, 21, "vmx-eptad") \
	FEATURE(VMX_EPT_ADVANCED_EXITINFO, 0x48c, 0, EAX, 22, "vmx-ept-advanced-exitinfo") \
	FEATURE(VMX_INVEPT_SINGLE_CONTEXT, 0x48c, 0, EAX, 25, "vmx-invept-single-context") \
	FEATURE(VMX_INVEPT_ALL_CONTEXT, 0x48c, 0, EAX, 26, "vmx-invept-all-context") \
	FEATURE(VMX_INVVPID, 0x48c, 0, EDX, 0, "vmx-invvpid") \
	FEATURE(VMX_INVVPID_SINGLE_ADDR, 0x48c, 0, EDX, 8, "vmx-invvpid-single-addr") \
	FEATURE(VMX_INVVPID_SINGLE_CONTEXT, 0x48c, 0, EDX, 9, "vmx-invvpid-single-context") \
	FEATURE(VMX_INVVPID_ALL_CONTEXT, 0x48c, 0, EDX, 10, "vmx-invvpid-all-context") \
	FEATURE(VMX_INVVPID_SINGLE_CONTEXT_NOGLOBALS, 0x48c, 0, EDX, 11, "vmx-invvpid-single-context-noglobals") \
	FEATURE(VMX_EPTP_SWITCHING, 0x491, 0, EAX, 0, "vmx-eptp-switching")
#define FEATURE_IS_VMX(leaf) ((leaf) >= 0x480 && (leaf) <= 0x493)

#define FEATURE_LIST(FEATURE) \
	FEATURE(FPU,        0x1, 0, EDX, 0, "fpu")        FEATURE(VME,        0x1, 0, EDX, 1, "vme") \
	FEATURE(DE,         0x1, 0, EDX, 2, "de")         FEATURE(PSE,        0x1, 0, EDX, 3, "pse") \
	FEATURE(TSC,        0x1, 0, EDX, 4, "tsc")        FEATURE(MSR,        0x1, 0, EDX, 5, "msr") \
	FEATURE(PAE,        0x1, 0, EDX, 6, "pae")        FEATURE(MCE,        0x1, 0, EDX, 7, "mce") \
	FEATURE(CX8,        0x1, 0, EDX, 8, "cx8")        FEATURE(APIC,       0x1, 0, EDX, 9, "apic") \
	FEATURE(SEP,        0x1, 0, EDX, 11, "sep")       FEATURE(MTRR,       0x1, 0, EDX, 12, "mtrr") \
	FEATURE(PGE,        0x1, 0, EDX, 13, "pge")       FEATURE(MCA,        0x1, 0, EDX, 14, "mca") \
	FEATURE(CMOV,       0x1, 0, EDX, 15, "cmov")      FEATURE(PAT,        0x1, 0, EDX, 16, "pat") \
	FEATURE(PSE36,      0x1, 0, EDX, 17, "pse36")     FEATURE(CLFSH,      0x1, 0, EDX, 19, "clflush") \
	FEATURE(MMX,        0x1, 0, EDX, 23, "mmx")       FEATURE(FXSR,       0x1, 0, EDX, 24, "fxsr") \
	FEATURE(SSE,        0x1, 0, EDX, 25, "sse")       FEATURE(SSE2,       0x1, 0, EDX, 26, "sse2") \
	FEATURE(SS,         0x1, 0, EDX, 27, "ss")        FEATURE(HTT,        0x1, 0, EDX, 28, "ht") \
	FEATURE(TM,         0x1, 0, EDX, 29, "tm")        FEATURE(XTPR,       0x1, 0, ECX, 14, "xtpr") \
	FEATURE(SSE3,       0x1, 0, ECX, 0, "pni")        FEATURE(PCLMUL,     0x1, 0, ECX, 1, "pclmulqdq") \
	FEATURE(MONITOR,    0x1, 0, ECX, 3, "monitor")    FEATURE(VMX,        0x1, 0, ECX, 5, "vmx") \
	FEATURE(SSSE3,      0x1, 0, ECX, 9, "ssse3")      FEATURE(FMA,        0x1, 0, ECX, 12, "fma") \
	FEATURE(CX16,       0x1, 0, ECX, 13, "cx16")      FEATURE(PDCM,       0x1, 0, ECX, 15, "pdcm") \
	FEATURE(PCID,       0x1, 0, ECX, 17, "pcid")      FEATURE(SSE4_1,     0x1, 0, ECX, 19, "sse4.1") \
	FEATURE(SSE4_2,     0x1, 0, ECX, 20, "sse4.2")    FEATURE(X2APIC,     0x1, 0, ECX, 21, "x2apic") \
	FEATURE(MOVBE,      0x1, 0, ECX, 22, "movbe")     FEATURE(POPCNT,     0x1, 0, ECX, 23, "popcnt") \
	FEATURE(TSC_DEADLINE, 0x1, 0, ECX, 24, "tsc-deadline") FEATURE(AES,   0x1, 0, ECX, 25, "aes") \
	FEATURE(XSAVE,      0x1, 0, ECX, 26, "xsave")     FEATURE(AVX,        0x1, 0, ECX, 28, "avx") \
	FEATURE(F16C,       0x1, 0, ECX, 29, "f16c")      FEATURE(RDRAND,     0x1, 0, ECX, 30, "rdrand") \
	FEATURE(HYPERVISOR, 0x1, 0, ECX, 31, "hypervisor") \
	FEATURE(ARAT,       0x6, 0, EAX, 2, "arat") \
	FEATURE(FSGSBASE,   0x7, 0, EBX, 0, "fsgsbase")   FEATURE(TSC_ADJUST, 0x7, 0, EBX, 1, "tsc_adjust") \
	FEATURE(BMI1,       0x7, 0, EBX, 3, "bmi1")       FEATURE(AVX2,       0x7, 0, EBX, 5, "avx2") \
	FEATURE(FDP_EXCPTN_ONLY, 0x7, 0, EBX, 6, "fdp-excptn-only") \
	FEATURE(SMEP,       0x7, 0, EBX, 7, "smep")       FEATURE(BMI2,       0x7, 0, EBX, 8, "bmi2") \
	FEATURE(ERMS,       0x7, 0, EBX, 9, "erms")       FEATURE(INVPCID,    0x7, 0, EBX, 10, "invpcid") \
	FEATURE(ZERO_FCS_FDS, 0x7, 0, EBX, 13, "zero-fcs-fds") \
	FEATURE(RDSEED,     0x7, 0, EBX, 18, "rdseed")    FEATURE(ADX,        0x7, 0, EBX, 19, "adx") \
	FEATURE(SMAP,       0x7, 0, EBX, 20, "smap")      FEATURE(CLFLUSHOPT, 0x7, 0, EBX, 23, "clflushopt") \
	FEATURE(CLWB,       0x7, 0, EBX, 24, "clwb")      FEATURE(SHA_NI,     0x7, 0, EBX, 29, "sha-ni") \
	FEATURE(UMIP,       0x7, 0, ECX, 2, "umip")       FEATURE(PKU,        0x7, 0, ECX, 3, "pku") \
	FEATURE(WAITPKG,    0x7, 0, ECX, 5, "waitpkg")    FEATURE(LA57,       0x7, 0, ECX, 16, "la57") \
	FEATURE(RDPID,      0x7, 0, ECX, 22, "rdpid")     FEATURE(BUS_LOCK_DETECT, 0x7, 0, ECX, 24, "bus-lock-detect") \
	FEATURE(FSRM,       0x7, 0, EDX, 4, "fsrm")       FEATURE(MD_CLEAR,   0x7, 0, EDX, 10, "md-clear") \
	FEATURE(SERIALIZE,  0x7, 0, EDX, 14, "serialize") FEATURE(SPEC_CTRL,  0x7, 0, EDX, 26, "spec-ctrl") \
	FEATURE(STIBP,      0x7, 0, EDX, 27, "stibp")     FEATURE(FLUSH_L1D,  0x7, 0, EDX, 28, "flush-l1d") \
	FEATURE(ARCH_CAPABILITIES, 0x7, 0, EDX, 29, "arch-capabilities") FEATURE(SSBD, 0x7, 0, EDX, 31, "ssbd") \
	FEATURE(XSAVEOPT,   0xd, 1, EAX, 0, "xsaveopt")   FEATURE(XSAVEC,     0xd, 1, EAX, 1, "xsavec") \
	FEATURE(XGETBV1,    0xd, 1, EAX, 2, "xgetbv1")    FEATURE(XSAVES,     0xd, 1, EAX, 3, "xsaves") \
	FEATURE(LAHF_LM,    0x80000001, 0, ECX, 0, "lahf_lm")       FEATURE(CMP_LEGACY, 0x80000001, 0, ECX, 1, "cmp_legacy") \
	FEATURE(SVM,        0x80000001, 0, ECX, 2, "svm")           FEATURE(EXTAPIC,    0x80000001, 0, ECX, 3, "extapic") \
	FEATURE(CR8LEGACY,  0x80000001, 0, ECX, 4, "cr8legacy")     FEATURE(ABM,        0x80000001, 0, ECX, 5, "abm") \
	FEATURE(SSE4A,      0x80000001, 0, ECX, 6, "sse4a")         FEATURE(MISALIGNSSE, 0x80000001, 0, ECX, 7, "misalignsse") \
	FEATURE(PREFETCHW,  0x80000001, 0, ECX, 8, "3dnowprefetch") FEATURE(OSVW,       0x80000001, 0, ECX, 9, "osvw") \
	FEATURE(SKINIT,     0x80000001, 0, ECX, 12, "skinit")       FEATURE(TOPOEXT,    0x80000001, 0, ECX, 22, "topoext") \
	FEATURE(PERFCTR_CORE, 0x80000001, 0, ECX, 23, "perfctr-core") FEATURE(MONITORX, 0x80000001, 0, ECX, 29, "monitorx") \
	FEATURE(SYSCALL,    0x80000001, 0, EDX, 11, "syscall")      FEATURE(NX,         0x80000001, 0, EDX, 20, "nx") \
	FEATURE(MMXEXT,     0x80000001, 0, EDX, 22, "mmxext")       FEATURE(FXSR_OPT,   0x80000001, 0, EDX, 25, "fxsr_opt") \
	FEATURE(PDPE1GB,    0x80000001, 0, EDX, 26, "pdpe1gb")      FEATURE(RDTSCP,     0x80000001, 0, EDX, 27, "rdtscp") \
	FEATURE(LM,         0x80000001, 0, EDX, 29, "lm") \
	FEATURE(INVTSC,     0x80000007, 0, EDX, 8, "invtsc") \
	FEATURE(CLZERO,     0x80000008, 0, EBX, 0, "clzero")        FEATURE(XSAVEERPTR, 0x80000008, 0, EBX, 2, "xsaveerptr") \
	FEATURE(INVLPGB,    0x80000008, 0, EBX, 3, "invlpgb")       FEATURE(INVLPGB_NESTED, 0x80000008, 0, EBX, 21, "invlpgb-nested") \
	FEATURE(RDPRU,      0x80000008, 0, EBX, 4, "rdpru")         FEATURE(WBNOINVD,   0x80000008, 0, EBX, 9, "wbnoinvd") \
	FEATURE(MCOMMIT,    0x80000008, 0, EBX, 8, "mcommit") \
	FEATURE(AMD_IBPB,   0x80000008, 0, EBX, 12, "ibpb")         FEATURE(AMD_IBRS,   0x80000008, 0, EBX, 14, "ibrs") \
	FEATURE(AMD_STIBP,  0x80000008, 0, EBX, 15, "amd-stibp")    FEATURE(AMD_SSBD,   0x80000008, 0, EBX, 24, "amd-ssbd") \
	FEATURE(BTC_NO,     0x80000008, 0, EBX, 29, "btc-no") \
	FEATURE(NPT,        0x8000000a, 0, EDX, 0, "npt")           FEATURE(LBRV,       0x8000000a, 0, EDX, 1, "lbrv") \
	FEATURE(SVM_LOCK,   0x8000000a, 0, EDX, 2, "svm-lock")      FEATURE(NRIP_SAVE,  0x8000000a, 0, EDX, 3, "nrip-save") \
	FEATURE(TSC_SCALE,  0x8000000a, 0, EDX, 4, "tsc-scale")     FEATURE(VMCB_CLEAN, 0x8000000a, 0, EDX, 5, "vmcb-clean") \
	FEATURE(FLUSHBYASID, 0x8000000a, 0, EDX, 6, "flushbyasid")  FEATURE(DECODEASSISTS, 0x8000000a, 0, EDX, 7, "decodeassists") \
	FEATURE(PAUSE_FILTER, 0x8000000a, 0, EDX, 10, "pause-filter") FEATURE(PFTHRESHOLD, 0x8000000a, 0, EDX, 12, "pfthreshold") \
	FEATURE(AVIC,       0x8000000a, 0, EDX, 13, "avic")         FEATURE(V_VMSAVE_VMLOAD, 0x8000000a, 0, EDX, 15, "v-vmsave-vmload") \
	FEATURE(VGIF,       0x8000000a, 0, EDX, 16, "vgif")         FEATURE(GMET,       0x8000000a, 0, EDX, 17, "gmet") \
	FEATURE(SVM_SPEC_CTRL, 0x8000000a, 0, EDX, 20, "svm-spec-ctrl") FEATURE(VNMI,   0x8000000a, 0, EDX, 25, "vnmi") \
	FEATURE(IDLE_HLT,   0x8000000a, 0, EDX, 30, "idle-hlt")     FEATURE(X2AVIC,     0x8000000a, 0, EDX, 18, "x2avic") \
	FEATURE(TLBI_CTL,   0x8000000a, 0, EDX, 24, "tlbi-ctl")     FEATURE(BUS_LOCK_THRESHOLD, 0x8000000a, 0, EDX, 29, "bus-lock-threshold") \
	FEATURE(AMD_LBR_V2, 0x80000022, 0, EAX, 1, "amd-lbr-v2") \
	FEATURE(PML,        0x8000000a, 0, ECX, 4, "svm-pml") \
	FEATURE(LFENCE_SERIAL, 0x80000021, 0, EAX, 2, "lfence-always-serializing") \
	FEATURE(NO_SMM_CTL, 0x80000021, 0, EAX, 9, "no-smm-ctl") \
	FEATURE(NULL_SEL_CLR, 0x80000021, 0, EAX, 6, "null-sel-clr-base") FEATURE(AUTO_IBRS, 0x80000021, 0, EAX, 8, "auto-ibrs") \
	FEATURE(CPUID_USER_DIS, 0x80000021, 0, EAX, 17, "cpuid-user-dis") FEATURE(SRSO_NO, 0x80000021, 0, EAX, 29, "srso-no") \
	VMX_FEATURE_LIST(FEATURE)
#endif
/* clang-format on */

#ifndef ARCH_FEATURES_H
#define ARCH_FEATURES_H
#include "arch/arch.h"

enum feature {
	FEAT_NONE, /* a row without a requirement */
#define FEATURE(id, leaf, sub, reg, bit, name) FEAT_##id,
	FEATURE_LIST(FEATURE)
#undef FEATURE
	FEAT_COUNT
};

enum cpuid_reg { EAX, EBX, ECX, EDX };

struct feature_info {
	const char *name;
	u32 leaf, subleaf;
	u8 reg, bit;
};
extern const struct feature_info arch_features[FEAT_COUNT];

struct feature_set {
	u64 w[(FEAT_COUNT + 63) / 64];
	bool smm_map_amd64; /* smm-map=amd64: the save-state map as firmware for emulators expects it, whoever's processor it is */
};

/* What a feature is nothing without; a feature may have several rows. */
struct feature_need {
	u16 feature, needs;
};
extern const struct feature_need arch_feature_needs[];
extern const size_t arch_feature_need_count;

static inline bool feat_has(const struct feature_set *s, enum feature f)
{
	return (s->w[f / 64] >> (f % 64)) & 1;
}

static inline void feat_put(struct feature_set *s, enum feature f, bool on)
{
	s->w[f / 64] = on ? s->w[f / 64] | BIT(f % 64) : s->w[f / 64] & ~BIT(f % 64);
}

#endif
