/* What a model lacks of virtualisation is #UD or #GP, and those whose it is say why. */
#include "model/model.h"
#include "svm/svm.h"
#include "vmx/vmx.h"

const struct row_set *const model_without_vmx[] = {&vmx_rows, NULL};
const struct row_set *const model_without_svm[] = {&svm_rows, NULL};
const struct row_set *const model_without_either[] = {&vmx_rows, &svm_rows, NULL};

const struct gp_reasons *const model_reasons[] = {&vmx_gp_reasons, &svm_gp_reasons, NULL};
