/*
 * The names of MSRs, against a list of their own: SDM 4 "Model-Specific Registers", APM 2 "MSR Cross-Reference" and the
 * processor references behind it, one number a name. Every MSR of every model is in it, and traces print what it says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/control/msr.h"
#include "model/model.h"

#define NAMELESS "" /* the manuals have the number and no name for it */

/* first, first + step .. last are name with %u = 0, 1.. */
struct known {
	u32 first, last, step;
	const char *name;
};
#define ONE(index, name)                {index, index, 1, name}
#define RUN(first, last, step, name)    {first, last, step, name}

static const struct known common[] = {
	ONE(0x10, "IA32_TIME_STAMP_COUNTER"), ONE(0x1b, "IA32_APIC_BASE"), ONE(0x3b, "IA32_TSC_ADJUST"),
	ONE(0x48, "IA32_SPEC_CTRL"), ONE(0x49, "IA32_PRED_CMD"), ONE(0xfe, "IA32_MTRRCAP"),
	ONE(0x174, "IA32_SYSENTER_CS"), ONE(0x175, "IA32_SYSENTER_ESP"), ONE(0x176, "IA32_SYSENTER_EIP"),
	ONE(0x179, "IA32_MCG_CAP"), ONE(0x17a, "IA32_MCG_STATUS"), ONE(0x17b, "IA32_MCG_CTL"),
	RUN(0x200, 0x20e, 2, "IA32_MTRR_PHYSBASE%u"), RUN(0x201, 0x20f, 2, "IA32_MTRR_PHYSMASK%u"),
	ONE(0x250, "IA32_MTRR_FIX64K_00000"), ONE(0x258, "IA32_MTRR_FIX16K_80000"), ONE(0x259, "IA32_MTRR_FIX16K_A0000"),
	ONE(0x268, "IA32_MTRR_FIX4K_C0000"), ONE(0x269, "IA32_MTRR_FIX4K_C8000"), ONE(0x26a, "IA32_MTRR_FIX4K_D0000"),
	ONE(0x26b, "IA32_MTRR_FIX4K_D8000"), ONE(0x26c, "IA32_MTRR_FIX4K_E0000"), ONE(0x26d, "IA32_MTRR_FIX4K_E8000"),
	ONE(0x26e, "IA32_MTRR_FIX4K_F0000"), ONE(0x26f, "IA32_MTRR_FIX4K_F8000"),
	ONE(0x277, "IA32_PAT"), ONE(0x2ff, "IA32_MTRR_DEF_TYPE"),
	RUN(0x400, 0x424, 4, "IA32_MC%u_CTL"), RUN(0x401, 0x425, 4, "IA32_MC%u_STATUS"),
	RUN(0x402, 0x426, 4, "IA32_MC%u_ADDR"), RUN(0x403, 0x427, 4, "IA32_MC%u_MISC"),
	ONE(0x6e0, "IA32_TSC_DEADLINE"), ONE(0xda0, "IA32_XSS"),
	/* "x2APIC Register Address Space" */
	ONE(0x802, "X2APIC_APICID"), ONE(0x803, "X2APIC_VERSION"), ONE(0x808, "X2APIC_TPR"), ONE(0x80a, "X2APIC_PPR"),
	ONE(0x80b, "X2APIC_EOI"), ONE(0x80d, "X2APIC_LDR"), ONE(0x80f, "X2APIC_SIVR"), RUN(0x810, 0x817, 1, "X2APIC_ISR%u"),
	RUN(0x818, 0x81f, 1, "X2APIC_TMR%u"), RUN(0x820, 0x827, 1, "X2APIC_IRR%u"), ONE(0x828, "X2APIC_ESR"),
	ONE(0x82f, "X2APIC_LVT_CMCI"), ONE(0x830, "X2APIC_ICR"), ONE(0x832, "X2APIC_LVT_TIMER"),
	ONE(0x833, "X2APIC_LVT_THERMAL"), ONE(0x834, "X2APIC_LVT_PMI"), ONE(0x835, "X2APIC_LVT_LINT0"),
	ONE(0x836, "X2APIC_LVT_LINT1"), ONE(0x837, "X2APIC_LVT_ERROR"), ONE(0x838, "X2APIC_INIT_COUNT"),
	ONE(0x839, "X2APIC_CUR_COUNT"), ONE(0x83e, "X2APIC_DIV_CONF"), ONE(0x83f, "X2APIC_SELF_IPI"),
	ONE(0xc0000080, "EFER"), ONE(0xc0000081, "STAR"), ONE(0xc0000082, "LSTAR"), ONE(0xc0000083, "CSTAR"),
	ONE(0xc0000084, "SFMASK"), ONE(0xc0000100, "FS_BASE"), ONE(0xc0000101, "GS_BASE"),
	ONE(0xc0000102, "KERNEL_GS_BASE"), ONE(0xc0000103, "TSC_AUX"),
};

/* "MSRs in the Pentium 4 and Intel Xeon Processors", models 3 and 4; what is not here is as in the next list. */
static const struct known family_f[] = {
	ONE(0x2a, "MSR_EBC_HARD_POWERON"), ONE(0x2c, "MSR_EBC_FREQUENCY_ID"), ONE(0x1d7, "MSR_LER_FROM_LIP"),
	ONE(0x1d8, "MSR_LER_TO_LIP"), ONE(0x1d9, "MSR_DEBUGCTLA"), ONE(0x1da, "MSR_LASTBRANCH_TOS"),
	RUN(0x680, 0x68f, 1, "MSR_LASTBRANCH_%u_FROM_LIP"), RUN(0x6c0, 0x6cf, 1, "MSR_LASTBRANCH_%u_TO_LIP"),
};

static const struct known intel[] = {
	ONE(0x17, "IA32_PLATFORM_ID"), ONE(0x34, "MSR_SMI_COUNT"), ONE(0x3a, "IA32_FEATURE_CONTROL"),
	RUN(0x40, 0x43, 1, "MSR_LASTBRANCH_%u_FROM_IP"), RUN(0x60, 0x63, 1, "MSR_LASTBRANCH_%u_TO_IP"), /* 06_0FH */
	ONE(0x9b, "IA32_SMM_MONITOR_CTL"), ONE(0x9e, "IA32_SMBASE"),
	ONE(0x8b, "IA32_BIOS_SIGN_ID"), RUN(0xc1, 0xc4, 1, "IA32_PMC%u"), ONE(0xce, "MSR_PLATFORM_INFO"),
	ONE(0xe1, "IA32_UMWAIT_CONTROL"), ONE(0x10a, "IA32_ARCH_CAPABILITIES"), ONE(0x10b, "IA32_FLUSH_CMD"),
	RUN(0x186, 0x189, 1, "IA32_PERFEVTSEL%u"), ONE(0x1a0, "IA32_MISC_ENABLE"), ONE(0x1c9, "MSR_LASTBRANCH_TOS"),
	ONE(0x1d9, "IA32_DEBUGCTL"), ONE(0x1dd, "MSR_LER_FROM_LIP"), ONE(0x1de, "MSR_LER_TO_LIP"), ONE(0x1f2, "IA32_SMRR_PHYSBASE"), ONE(0x1f3, "IA32_SMRR_PHYSMASK"),
	RUN(0x309, 0x30b, 1, "IA32_FIXED_CTR%u"), ONE(0x38d, "IA32_FIXED_CTR_CTRL"), ONE(0x38e, "IA32_PERF_GLOBAL_STATUS"),
	ONE(0x38f, "IA32_PERF_GLOBAL_CTRL"), ONE(0x390, "IA32_PERF_GLOBAL_OVF_CTRL"),
	ONE(0x480, "IA32_VMX_BASIC"), ONE(0x481, "IA32_VMX_PINBASED_CTLS"), ONE(0x482, "IA32_VMX_PROCBASED_CTLS"),
	ONE(0x483, "IA32_VMX_EXIT_CTLS"), ONE(0x484, "IA32_VMX_ENTRY_CTLS"), ONE(0x485, "IA32_VMX_MISC"),
	ONE(0x486, "IA32_VMX_CR0_FIXED0"), ONE(0x487, "IA32_VMX_CR0_FIXED1"), ONE(0x488, "IA32_VMX_CR4_FIXED0"),
	ONE(0x489, "IA32_VMX_CR4_FIXED1"), ONE(0x48a, "IA32_VMX_VMCS_ENUM"), ONE(0x48b, "IA32_VMX_PROCBASED_CTLS2"),
	ONE(0x48c, "IA32_VMX_EPT_VPID_CAP"), ONE(0x48d, "IA32_VMX_TRUE_PINBASED_CTLS"),
	ONE(0x48e, "IA32_VMX_TRUE_PROCBASED_CTLS"), ONE(0x48f, "IA32_VMX_TRUE_EXIT_CTLS"),
	ONE(0x490, "IA32_VMX_TRUE_ENTRY_CTLS"), ONE(0x491, "IA32_VMX_VMFUNC"), ONE(0x492, "IA32_VMX_PROCBASED_CTLS3"),
	ONE(0x493, "IA32_VMX_EXIT_CTLS2"),
	RUN(0x680, 0x68f, 1, "MSR_LASTBRANCH_%u_FROM_IP"), RUN(0x6c0, 0x6cf, 1, "MSR_LASTBRANCH_%u_TO_IP"),
};

static const struct known amd[] = {
	ONE(0x8b, "PATCH_LEVEL"), ONE(0x1d9, "DEBUGCTL"), ONE(0x1db, "LASTBRANCHFROMIP"), ONE(0x1dc, "LASTBRANCHTOIP"),
	ONE(0x1dd, "LASTINTFROMIP"), ONE(0x1de, "LASTINTTOIP"), ONE(0xc0000104, "TSC_RATIO"),
	ONE(0xc000010e, "LAST_BRANCH_STACK_SELECT"), ONE(0xc000010f, "DEBUG_EXTN_CTL"),
	RUN(0xc0010000, 0xc0010003, 1, "PERF_LEGACY_CTL%u"), RUN(0xc0010004, 0xc0010007, 1, "PERF_LEGACY_CTR%u"),
	ONE(0xc0010010, "SYSCFG"), ONE(0xc0010015, "HWCR"), ONE(0xc001001a, "TOP_MEM"), ONE(0xc001001d, "TOP_MEM2"),
	ONE(0xc001001f, "NB_CFG"), ONE(0xc0010020, "PATCH_LOADER"), RUN(0xc0010030, 0xc0010035, 1, "CPU_NAME%u"),
	RUN(0xc0010044, 0xc001004d, 1, "MC%u_CTL_MASK"), RUN(0xc0010050, 0xc0010053, 1, "SMI_ON_IO_TRAP_%u"),
	ONE(0xc0010054, "SMI_ON_IO_TRAP_CTL_STS"), ONE(0xc0010055, "INTPEND"), ONE(0xc0010111, "SMBASE"),
	ONE(0xc0010112, "SMM_ADDR"), ONE(0xc0010113, "SMM_MASK"), ONE(0xc0010114, "VM_CR"), ONE(0xc0010115, "IGNNE"),
	ONE(0xc0010116, "SMM_CTL"), ONE(0xc0010117, "VM_HSAVE_PA"), ONE(0xc0010118, "SVM_KEY"),
	ONE(0xc0010119, "SMM_KEY"), ONE(0xc001011b, "AVIC_DOORBELL"), ONE(0xc0010140, "OSVW_ID_LENGTH"),
	ONE(0xc0010141, "OSVW_STATUS"), RUN(0xc0010200, 0xc001020a, 2, "PERF_CTL%u"), RUN(0xc0010201, 0xc001020b, 2, "PERF_CTR%u"),
	RUN(0xc0010300, 0xc001031e, 2, "LAST_BRANCH_STACK_FROM%u"), RUN(0xc0010301, 0xc001031f, 2, "LAST_BRANCH_STACK_TO%u"),
	RUN(0xc0010400, 0xc0010409, 1, "MCA_CTL_MASK%u"), ONE(0xc0011004, "CPUID_FEATURES"), ONE(0xc0011005, "CPUID_EXT_FEATURES"),
	ONE(0xc0011020, "LS_CFG"), ONE(0xc0011021, "IC_CFG"), ONE(0xc0011022, "DC_CFG"), ONE(0xc0011023, "TW_CFG"),
	RUN(0xc0011024, 0xc0011026, 1, NAMELESS), ONE(0xc0011027, "DR0_ADDR_MASK"), ONE(0xc0011028, "FP_CFG"),
	ONE(0xc0011029, "DE_CFG"), ONE(0xc001102a, "BU_CFG2"), ONE(0xc001102b, "CU_CFG3"), ONE(0xc001102c, "EX_CFG"),
	ONE(0xc001102d, NAMELESS), ONE(0xc001102e, "BP_CFG"), ONE(0xc001102f, NAMELESS),
	RUN(0xc00110e2, 0xc00110e3, 1, NAMELESS),
};

static const char *known_name(const struct known *list, size_t n, u32 index, char text[MSR_NAME_MAX])
{
	for (const struct known *k = list; k < list + n; k++) {
		if (index < k->first || index > k->last || (index - k->first) % k->step)
			continue;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(text, MSR_NAME_MAX, k->name, (index - k->first) / k->step);
#pragma GCC diagnostic pop
		return text;
	}
	return NULL;
}

enum maker { AMD, INTEL, FAMILY_F };

static const char *expected(enum maker maker, u32 index, char text[MSR_NAME_MAX])
{
	const char *s = maker == FAMILY_F ? known_name(family_f, ARRAY_LEN(family_f), index, text) : NULL;

	if (!s)
		s = maker ? known_name(intel, ARRAY_LEN(intel), index, text) : known_name(amd, ARRAY_LEN(amd), index, text);
	if (!s)
		s = known_name(common, ARRAY_LEN(common), index, text);
	return !s && index >= 0x800 && index <= 0x8ff ? NAMELESS : s; /* the rest of x2APIC's range */
}

static void test_names(void **state)
{
	static const struct {
		const struct cpu_model *m;
		enum maker maker;
	} models[] = {{&model_intel, INTEL}, {&model_amd, AMD}, {&model_plain, AMD}, {&model_pacifica, AMD},
	              {&model_core2, INTEL}, {&model_vanderpool, FAMILY_F}};
	unsigned looked_at = 0;

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(models); k++)
		for (const struct msr_set *const *s = models[k].m->msrs; *s; s++)
			for (const struct msr_row *r = (*s)->rows; r < (*s)->rows + (*s)->count; r++)
				for (u32 n = 0; n < r->count; n++) {
					char got[MSR_NAME_MAX], text[MSR_NAME_MAX];
					const char *want = expected(models[k].maker, r->index + n, text);

					if (!want)
						fail_msg("%s: %x is in no list", models[k].m->name, r->index + n);
					assert_string_equal(msr_name(r, r->index + n, got), want);
					looked_at++;
				}
	assert_true(looked_at > 4 * 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_names)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
