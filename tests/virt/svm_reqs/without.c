/* SVM without nested paging and without LBR virtualisation: --cpu amd,-npt,-lbrv. */
#include "svm.h"


static u64 seen;

static void guest(void)
{
	seen = rdmsr(MSR_LAST_BRANCH_FROM);
	wrmsr(MSR_DEBUGCTL, 1);
	asm volatile("vmmcall");
}

int main(void)
{
	u32 r[4];
	struct vmcb *v;
	u64 before;

	if (!svm_enable())
		return 1;
	cpuid(0x8000000a, 0, r);
	check("CPUID: neither", r[3] & 3, 0);
	v = svm_guest(guest, (u64)page_alloc() + 4096 - 8, false);
	v->np_enable = 1;
	v->ncr3 = 0x123456789abcdef0; /* no check looks at it, no walk uses it */
	v->g_pat = ~0ull;
	v->lbrv = 1;
	v->dbgctl = 0;
	v->br_from = 0x1111;
	before = rdmsr(MSR_LAST_BRANCH_FROM);
	svm_run(v);
	check(REQ("svm.4.VMRUN.7") "NP_ENABLE is not read", v->exitcode, EXIT_VMMCALL);
	check(REQ("svm.2.19.3.2") "not loaded", seen, before);
	check(REQ("svm.2.19.3.2") "not saved", v->br_from, 0x1111);
	check(REQ("svm.2.19.3.2") "DBGCTL not saved", v->dbgctl, 0);
	check(REQ("svm.2.19.3.2") "the host has the guest's", rdmsr(MSR_DEBUGCTL), 1);
	wrmsr(MSR_DEBUGCTL, 0);
	return guest_verdict();
}
