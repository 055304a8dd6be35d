/* The MSRs of SVM, reachable whatever EFER.SVME is. "New and Changed MSRs", "SVM-Lock". */
#include "svm/svm.h"

#include "cpu/control/msr.h"
#include "cpu/state/watch.h"

static bool vm_cr_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index;
	*value = c->vm_cr;
	return true;
}

/* Writing SVMDIS = 1 while SVM is enabled faults whatever LOCK says; LOCK protects bits 4:3 silently. */
static bool vm_cr_write(struct cpu *c, u32 index, u64 value)
{
	const u64 lock_bits = VM_CR_LOCK | VM_CR_SVMDIS, reserved = mask(63, quirk(c, QUIRK_SVM_FIRST) ? 3 : 5);

	(void)index;
	if (value & reserved)
		return svm_refuse_msr(c, SVM_VM_CR_RESERVED, value, value & reserved);
	if ((value & VM_CR_SVMDIS) && (c->efer & EFER_SVME))
		return svm_refuse_msr(c, SVM_VM_CR_SVMDIS, value, VM_CR_SVMDIS);
	if ((c->vm_cr & VM_CR_LOCK) || !has(c, FEAT_SVM_LOCK))
		value = (value & ~lock_bits) | (c->vm_cr & lock_bits);
	c->vm_cr = value;
	svm_secure_start_check(c);
	cpu_update_mode(c); /* DIS_A20M decides about every translation */
	return true;
}

static bool hsave_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index;
	*value = c->vm_hsave_pa;
	return true;
}

static bool hsave_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	if (value & ~PAGE_MASK)
		return svm_refuse_msr(c, SVM_HSAVE_ADDRESS, value, value & ~PAGE_MASK);
	if (!svm_pa_ok(c, value))
		return svm_refuse_msr(c, SVM_HSAVE_WIDTH, value, value & ~mask(c->phys_bits - 1u, 0));
	if (unlikely(c->watch))
		c->watch->hsave(c, c->vm_hsave_pa, value);
	c->vm_hsave_pa = value;
	return true;
}

static bool key_read(struct cpu *c, u32 index, u64 *value)
{
	(void)c, (void)index;
	*value = 0;
	return true;
}

/* Unlocked: sets the key. Locked: the same non-zero key unlocks, anything else is ignored. */
static bool key_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	if (!(c->vm_cr & VM_CR_LOCK))
		c->svm_key = value;
	else if (value && value == c->svm_key)
		c->vm_cr &= ~VM_CR_LOCK;
	return true;
}

/* The same scheme for HWCR.SMMLOCK. */
static bool smm_key_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	if (!(c->hwcr & HWCR_SMMLOCK))
		c->smm_key = value;
	else if (value && value == c->smm_key)
		c->hwcr &= ~(u64)HWCR_SMMLOCK;
	return true;
}

static bool ratio_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index;
	*value = c->tsc_ratio;
	return true;
}

static bool ratio_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	if (value >> 40)
		return svm_refuse_msr(c, SVM_TSC_RATIO_RESERVED, value, value & mask(63, 40));
	c->tsc_ratio = value;
	return true;
}

static bool doorbell_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index, (void)value;
	return svm_refuse_msr(c, SVM_DOORBELL_READ, 0, 0);
}

static bool smm_ctl_read(struct cpu *c, u32 index, u64 *value)
{
	(void)index, (void)value;
	return svm_refuse_msr(c, SVM_SMM_CTL_READ, 0, 0);
}

/* "Doorbell Register": 7:0 in the manual's table; software for processors with more APIC IDs writes 11:0. */
static bool doorbell_write(struct cpu *c, u32 index, u64 value)
{
	(void)index;
	if (value >> 12)
		return svm_refuse_msr(c, SVM_DOORBELL_RESERVED, value, value & mask(63, 12));
	svm_avic_doorbell(c, (u32)value);
	return true;
}

/* clang-format off */
static const struct msr_row rows[] = {
	{.index = 0xc0000104, .count = 1, .name = "TSC_RATIO", .feature = FEAT_TSC_SCALE, .read = ratio_read,
	 .write = ratio_write},
	{.index = 0xc0010114, .count = 1, .name = "VM_CR", .feature = FEAT_SVM, .read = vm_cr_read,
	 .write = vm_cr_write},
	{MSR_AT(0xc0010115, 1, "IGNNE", ignne_msr), .feature = FEAT_SVM, .writable = 1},
	{.index = 0xc0010116, .count = 1, .name = "SMM_CTL", .feature = FEAT_SVM, .read = smm_ctl_read, .write = svm_smm_ctl_write},
	{.index = 0xc0010117, .count = 1, .name = "VM_HSAVE_PA", .feature = FEAT_SVM, .read = hsave_read,
	 .write = hsave_write},
	{.index = 0xc0010118, .count = 1, .name = "SVM_KEY", .feature = FEAT_SVM_LOCK, .read = key_read,
	 .write = key_write},
	{.index = 0xc0010119, .count = 1, .name = "SMM_KEY", .feature = FEAT_SVM_LOCK, .read = key_read,
	 .write = smm_key_write},
	{.index = 0xc001011b, .count = 1, .name = "AVIC_DOORBELL", .feature = FEAT_AVIC, .read = doorbell_read,
	 .write = doorbell_write},
};
/* clang-format on */

const struct msr_set svm_msrs = {rows, ARRAY_LEN(rows)};

/* ---- why an access is #GP on a processor without SVM; where there is SVM, the functions above have told it ---- */

#define MSR_EFER        0xc0000080u
#define MSR_VM_HSAVE_PA 0xc0010117u

/* The name of an MSR of SVM, also on a model that lacks it; NULL: it is none. */
static const char *name_of(u32 index)
{
	for (size_t n = 0; n < ARRAY_LEN(rows); n++)
		if (index == rows[n].index)
			return rows[n].name;
	return NULL;
}

/* SVM asks for nothing in CR0 and CR4. */
static void no_reason(struct cpu *c, enum control_register which, u64 value)
{
	(void)c, (void)which, (void)value;
}

/* Systems ask for VM_HSAVE_PA wherever they run. */
static cold void rdmsr_reason(struct cpu *c, u32 index)
{
	if (!has(c, FEAT_SVM) && name_of(index) && index != MSR_VM_HSAVE_PA)
		svm_refuse_absent(c, name_of(index));
}

static cold void wrmsr_reason(struct cpu *c, u32 index, u64 value)
{
	if (has(c, FEAT_SVM))
		return;
	if (index == MSR_EFER && (value & EFER_SVME))
		svm_refuse_msr(c, SVM_EFER_ABSENT, value, EFER_SVME);
	else if (name_of(index))
		svm_refuse_absent(c, name_of(index));
}

const struct gp_reasons svm_gp_reasons = {.cr = no_reason, .rdmsr = rdmsr_reason, .wrmsr = wrmsr_reason};
