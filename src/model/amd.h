/* What `amd` and `plain` share: one processor, with and without SVM. Private to the model folder. */
#ifndef MODEL_AMD_H
#define MODEL_AMD_H

#include "model/model.h"

extern const struct msr_set model_amd_msrs;
extern const struct cpuid_leaf model_amd_leaves[];

/* Vendor name; family and shared bits; address widths and cores; nothing without SVM. */
void model_amd_fix_ext0(struct cpu *c, u32 out[4]);
void model_amd_fix_ext1(struct cpu *c, u32 out[4]);
void model_amd_fix_ext8(struct cpu *c, u32 out[4]);
void model_amd_fix_svm(struct cpu *c, u32 out[4]);

/* EPYC "Milan", family 19h model 01h stepping 1. */
#define AMD_SIGNATURE 0x00a00f11u
#define AMD_MAX_LEAF     0x0du
#define AMD_MAX_EXT_LEAF 0x80000022u
#define AMD_BASE_FEATURES                                                                                              \
	MODEL_COMMON_FEATURES, FEAT_CMP_LEGACY, FEAT_CR8LEGACY, FEAT_EXTAPIC, FEAT_SSE4A, FEAT_MISALIGNSSE, FEAT_OSVW, FEAT_TOPOEXT, \
		FEAT_PERFCTR_CORE, FEAT_MONITORX, FEAT_MMXEXT, FEAT_FXSR_OPT, FEAT_CLZERO, FEAT_XSAVEERPTR,            \
		FEAT_RDPRU, FEAT_MCOMMIT, FEAT_AMD_LBR_V2, FEAT_AMD_IBPB, FEAT_AMD_IBRS, FEAT_AMD_STIBP, FEAT_AMD_SSBD, FEAT_BTC_NO,                  \
		FEAT_LFENCE_SERIAL, FEAT_NULL_SEL_CLR, FEAT_AUTO_IBRS, FEAT_CPUID_USER_DIS, FEAT_SRSO_NO
#define AMD_SVM_FEATURES                                                                                               \
	FEAT_SVM, FEAT_SKINIT, FEAT_NPT, FEAT_LBRV, FEAT_SVM_LOCK, FEAT_NRIP_SAVE, FEAT_TSC_SCALE, FEAT_VMCB_CLEAN,                 \
		FEAT_FLUSHBYASID, FEAT_DECODEASSISTS, FEAT_PAUSE_FILTER, FEAT_PFTHRESHOLD, FEAT_V_VMSAVE_VMLOAD,       \
		FEAT_VGIF, FEAT_SVM_SPEC_CTRL, FEAT_AVIC, FEAT_INVLPGB, FEAT_INVLPGB_NESTED, FEAT_TLBI_CTL

#endif
