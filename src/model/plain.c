/* Model `plain`: the processor of `amd` without virtualisation. */
#include "cpu/exec/exec.h"
#include "cpu/control/msr.h"
#include "model/amd.h"

static const enum feature features[] = {AMD_BASE_FEATURES, FEAT_NONE};
static const struct row_set *const insns[] = {MODEL_COMMON_INSNS, NULL};
static const struct msr_set *const msrs[] = {&model_amd_msrs, &msr_common, NULL};

const struct cpu_model model_plain = {
	.name = "plain",
	.about = "AMD64 without virtualisation",
	.vendor = "AuthenticAMD",
	.brand = "AMD EPYC (Milan class), Turnstile plain",
	.signature = AMD_SIGNATURE,
	.phys_bits = 48,
	.quirks = QUIRKS(QUIRK_LIST_AMD),
	.virt = &virt_none,
	.features = features,
	.insns = insns,
	.foreign = model_without_either,
	.reasons = model_reasons,
	.msrs = msrs,
	.leaves = model_amd_leaves,
	.max_leaf = AMD_MAX_LEAF,
	.max_ext_leaf = AMD_MAX_EXT_LEAF,
	.cost = MODEL_COST,
};
