/* "SVM-Lock": VM_CR.LOCK and SVMDIS, SVM_KEY; "SPEC_CTRL Virtualization". */
#include "exits.h"

/* ---- SPEC_CTRL ---- */

SNIPPET(s_spec, "mov $0x48, %ecx; rdmsr; mov %eax, seen; mov $2, %eax; wrmsr", "rdmsr; mov %eax, seen + 4");

static void spec_ctrl(void)
{
	wrmsr(MSR_SPEC_CTRL, 1);
	base(&s_spec);
	v->spec_ctrl = 0;
	seen[0] = ~0ull;
	vcheck("SPEC_CTRL", "runs", go(), EXIT_VMMCALL);
	vcheck("SPEC_CTRL", "the guest's, before and behind its write", seen[0], 2ull << 32);
	vcheck("SPEC_CTRL", "saved", v->spec_ctrl, 2);
	vcheck("SPEC_CTRL", "the host's", rdmsr(MSR_SPEC_CTRL), 1);
	wrmsr(MSR_SPEC_CTRL, 0);
}

/* ---- "SVM-Lock": VM_CR.LOCK and SVMDIS, SVM_KEY ---- */

enum { EFER = 0xc0000080, VM_CR = 0xc0010114, SVM_KEY = 0xc0010118, LOCK = 8, SVMDIS = 16 };

static int msr_fault(u32 index, u64 value)
{
	return CATCH(wrmsr(index, value));
}

static void svm_lock(void)
{
	static const u64 wrong[] = {0x1235, 0, 0x123400001234};
	u64 efer = rdmsr(EFER);
	u32 r[4];

	vcheck("SVMDIS", "while SVME is 1", (u64)msr_fault(VM_CR, SVMDIS), 13);
	wrmsr(EFER, efer & ~0x1000ull);
	vcheck("SVMDIS", "while SVME is 0", (u64)msr_fault(VM_CR, SVMDIS), ~0ull);
	vcheck("SVMDIS", "SVME is MBZ", (u64)msr_fault(EFER, efer), 13);
	cpuid(0x80000001, 0, r);
	vcheck("SVMDIS", "CPUID keeps SVM", r[2] >> 2 & 1, 1);
	wrmsr(SVM_KEY, 0x1234);
	wrmsr(VM_CR, LOCK | SVMDIS);
	vcheck("LOCK", "a write is ignored", (u64)msr_fault(VM_CR, 0), ~0ull);
	vcheck("LOCK", "both bits stay", rdmsr(VM_CR), LOCK | SVMDIS);
	for (unsigned n = 0; n < COUNT(wrong); n++) {
		wrmsr(SVM_KEY, wrong[n]);
		vcheck("SVM_KEY", "another key", rdmsr(VM_CR), LOCK | SVMDIS);
	}
	wrmsr(SVM_KEY, 0x1234);
	vcheck("SVM_KEY", "unlocks", rdmsr(VM_CR), SVMDIS);
	vcheck("SVM_KEY", "reads 0", rdmsr(SVM_KEY), 0);
	wrmsr(VM_CR, LOCK);
	wrmsr(EFER, efer);
	vcheck("SVMDIS", "while SVME is 1, locked", (u64)msr_fault(VM_CR, LOCK | SVMDIS), 13);
	wrmsr(SVM_KEY, 0x1234);
	wrmsr(VM_CR, 0);
	vcheck("SVM_KEY", "unlocked again", rdmsr(VM_CR), 0);
	wrmsr(SVM_KEY, 0);
}

void test_locked_msrs(void)
{
	if (of_2005)
		return;
	if (svm_features() >> 2 & 1)
		svm_lock();
	check("SPEC_CTRL: is there", svm_features() >> 20 & 1, 1);
	if (svm_features() >> 20 & 1)
		spec_ctrl();
}
