/*
 * The feature bits of CPUID that Turnstile knows: one row each. A bit that a model sets works; what does not work has no
 * row. Names are the command line's (QEMU's spelling). FEATURE(id, leaf, subleaf, register, bit, name)
 */
/* clang-format off */
#ifndef FEATURE_LIST
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
	FEATURE(NULL_SEL_CLR, 0x80000021, 0, EAX, 6, "null-sel-clr-base") FEATURE(AUTO_IBRS, 0x80000021, 0, EAX, 8, "auto-ibrs") \
	FEATURE(CPUID_USER_DIS, 0x80000021, 0, EAX, 17, "cpuid-user-dis") FEATURE(SRSO_NO, 0x80000021, 0, EAX, 29, "srso-no")
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
};

static inline bool feat_has(const struct feature_set *s, enum feature f)
{
	return (s->w[f / 64] >> (f % 64)) & 1;
}

static inline void feat_put(struct feature_set *s, enum feature f, bool on)
{
	s->w[f / 64] = on ? s->w[f / 64] | BIT(f % 64) : s->w[f / 64] & ~BIT(f % 64);
}

#endif
