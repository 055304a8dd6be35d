/*
 * model: processor models, one table file each, and the reading of --cpu. A model joins row sets of cpu/ and its vendor,
 * and picks the vendor's operations. May call: base, arch, mem, cpu, vmx, svm. Called by: machine, api.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "cpu/cpu.h"

extern const struct cpu_model model_amd, model_intel, model_plain, model_pacifica, model_core2, model_vanderpool;

/* What --cpu help lists. */
struct model_name {
	const char *name, *about;
};
const struct model_name *model_list(size_t *count);

/* Features a user may switch although the model does not have them by default. */
bool model_can(const struct cpu_model *m, enum feature f);
bool model_any(enum feature f); /* has some model it, or can it be switched on there? */
void model_features(const struct cpu_model *m, struct feature_set *out);

/* NAME[,+feature|-feature|key=value...]: the model and its features as asked for. */
enum status model_parse(const char *spec, const struct cpu_model **model, struct feature_set *features, struct err *err);
/* Does the spec name a processor of somebody else's list, for which one of ours stands in? */
bool model_is_substitute(const char *spec);
/* A key of the spec that is taken and has no effect although it asks for one; NULL: none. */
const char *model_unheard(const char *spec);
/* The names of that list, NULL behind the last, and what stands in for each. */
const char *model_foreign(size_t n, const struct cpu_model **stands_in);
/* The phys-bits key of a spec that model_parse accepts, otherwise the model's width. */
u8 model_phys_bits(const char *spec, const struct cpu_model *model);

/* The id of every check that some model's explanations can name, NULL behind the last. Some come twice. */
const char *model_check_id(size_t n);

/* Row sets of every model: the vendor's come on top. */
#define MODEL_COMMON_INSNS                                                                                             \
	&exec_far_rows, &exec_cregs_rows, &exec_tables_rows, &exec_system_rows, &exec_sysenter_rows, &exec_tsc_rows,   \
		&exec_alu_rows, &exec_shift_rows, &exec_muldiv_rows, &exec_move_rows, &exec_string_rows, &exec_branch_rows, \
		&exec_stack_rows, &exec_bit_rows, &exec_io_rows, &exec_x87_rows, &exec_xsave_rows, &exec_mmx_rows,     \
		&exec_sse_rows, &exec_sseint_rows, &exec_avx_rows, &exec_crypto_rows

/* The instructions of virtualisation that a model lacks, and who says why something about it is #GP. */
extern const struct row_set *const model_without_vmx[], *const model_without_svm[], *const model_without_either[];
extern const struct gp_reasons *const model_reasons[];

/* What Turnstile's processors have in common, whoever made them. */
#define MODEL_COMMON_FEATURES                                                                                          \
	FEAT_FPU, FEAT_VME, FEAT_DE, FEAT_PSE, FEAT_TSC, FEAT_MSR, FEAT_PAE, FEAT_MCE, FEAT_CX8, FEAT_APIC, FEAT_SEP,  \
		FEAT_MTRR, FEAT_PGE, FEAT_MCA, FEAT_CMOV, FEAT_PAT, FEAT_PSE36, FEAT_CLFSH, FEAT_MMX, FEAT_FXSR,       \
		FEAT_SSE, FEAT_SSE2, FEAT_SSE3, FEAT_PCLMUL, FEAT_MONITOR, FEAT_SSSE3, FEAT_FMA, FEAT_CX16, FEAT_PCID, \
		FEAT_SSE4_1, FEAT_SSE4_2, FEAT_X2APIC, FEAT_MOVBE, FEAT_POPCNT, FEAT_AES, FEAT_XSAVE, FEAT_AVX,        \
		FEAT_F16C, FEAT_RDRAND, FEAT_ARAT, FEAT_FSGSBASE, FEAT_BMI1, FEAT_AVX2, FEAT_SMEP, FEAT_BMI2,          \
		FEAT_ERMS, FEAT_INVPCID, FEAT_RDSEED, FEAT_ADX, FEAT_SMAP, FEAT_CLFLUSHOPT, FEAT_CLWB, FEAT_SHA_NI,    \
		FEAT_UMIP, FEAT_PKU, FEAT_RDPID, FEAT_FSRM, FEAT_XSAVEOPT, FEAT_XSAVEC, FEAT_XGETBV1, FEAT_XSAVES,     \
		FEAT_LAHF_LM, FEAT_ABM, FEAT_PREFETCHW, FEAT_SYSCALL, FEAT_NX, FEAT_PDPE1GB, FEAT_RDTSCP, FEAT_LM,     \
		FEAT_INVTSC, FEAT_WBNOINVD

/* Costs in cycles of the virtual clock. */
#define MODEL_COST {.pause = 140, .rdtsc = 25, .mmio = 1500, .port = 3000}

#endif
