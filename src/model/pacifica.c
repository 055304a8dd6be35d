/*
 * Model `pacifica`: a processor as "AMD64 Virtualization Codenamed Pacifica Technology" describes it (33047, December
 * 2005): AMD64 of that year, SVM with nested paging and LBR virtualisation and nothing that came later. CR4[63:11] and
 * EFER[63:15] are reserved, TLB_CONTROL has one command, VMRUN and SMI intercepts are required, a TLB flush hits every
 * ASID. Where the manual contradicts itself: docs/ERRATA.md.
 */
#include "cpu/control/cpuid.h"
#include "cpu/exec/exec.h"
#include "cpu/control/msr.h"
#include "model/amd.h"
#include "svm/svm.h"

#define SIGNATURE 0x00040f12u /* family 0Fh, revision F: the first with SVM */

/* clang-format off */
static const enum feature features[] = {
	FEAT_FPU, FEAT_VME, FEAT_DE, FEAT_PSE, FEAT_TSC, FEAT_MSR, FEAT_PAE, FEAT_MCE, FEAT_CX8, FEAT_APIC, FEAT_SEP,
	FEAT_MTRR, FEAT_PGE, FEAT_MCA, FEAT_CMOV, FEAT_PAT, FEAT_PSE36, FEAT_CLFSH, FEAT_MMX, FEAT_FXSR, FEAT_SSE,
	FEAT_SSE2, FEAT_SSE3, FEAT_CX16, FEAT_LAHF_LM, FEAT_CMP_LEGACY, FEAT_EXTAPIC, FEAT_CR8LEGACY, FEAT_SYSCALL,
	FEAT_NX, FEAT_MMXEXT, FEAT_FXSR_OPT, FEAT_RDTSCP, FEAT_LM,
	FEAT_SVM, FEAT_SKINIT, FEAT_NPT, FEAT_LBRV, FEAT_NONE,
};

/* SKINIT is part of SVM; the bit that announces it by itself is younger. */
static void fix_ext1(struct cpu *c, u32 out[4])
{
	model_amd_fix_ext1(c, out);
	out[ECX] &= ~(1u << 12);
}

static const struct cpuid_leaf leaves[] = {
	CPUID_COMMON_LEAVES,
	{0x80000000, 0, {0}, model_amd_fix_ext0},
	{0x80000001, 0, {0}, fix_ext1},
	{0x80000005, 0, {0xff08ff08, 0xff20ff20, 0x40020140, 0x40020140}, NULL}, /* L1: 64 KiB, 2 ways */
	{0x80000006, 0, {0, 0x42004200, 0x04008140, 0}, NULL},                   /* L2: 1 MiB, 16 ways */
	{0x80000007, 0, {0}, NULL},
	{0x80000008, 0, {0}, model_amd_fix_ext8},
	{0x8000000a, 0, {1, QUIRK_SVM_FIRST_ASIDS, 0, 0}, model_amd_fix_svm},
	{~0u, 0, {0}, NULL},
};
/* clang-format on */

static const struct row_set *const insns[] = {MODEL_COMMON_INSNS, &svm_rows, NULL};
static const struct msr_set *const msrs[] = {&model_amd_msrs, &svm_msrs, &msr_common, NULL};

const struct cpu_model model_pacifica = {
	.name = "pacifica",
	.about = "AMD64 with SVM as first published in 2005",
	.vendor = "AuthenticAMD",
	.brand = "AMD Pacifica, Turnstile",
	.signature = SIGNATURE,
	.phys_bits = 40,
	.quirks = QUIRKS(QUIRK_LIST_AMD) | QUIRKS(QUIRK_LIST_AMD_2005),
	.virt = &svm_ops,
	.features = features,
	.insns = insns,
	.foreign = model_without_vmx,
	.reasons = model_reasons,
	.msrs = msrs,
	.leaves = leaves,
	.max_leaf = 1,
	.max_ext_leaf = 0x8000000a,
	.cost = MODEL_COST,
};
