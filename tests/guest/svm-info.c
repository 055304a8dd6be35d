/*
 * What #VMEXIT says of an intercepted instruction in EXITINFO1 and EXITINFO2: INVLPG and MOV CR by decode assists, INVPCID
 * always. APM 2 "Decode Assists", "INVLPG and INVLPGA Intercepts".
 */
#include "svm.h"

enum { SVM_INVLPG = 1 << 25, SVM_INVPCID = 1 << 2 }; /* intercept1, intercept3 */

static u64 descriptor[2] __attribute__((aligned(16)));

static void invlpg_guest(void)
{
	asm volatile("invlpg 0x1234(%0)" ::"r"(0x5000ull) : "memory");
}

static void invpcid_guest(void)
{
	asm volatile("invpcid %0, %1" ::"m"(descriptor), "r"(2ull) : "memory");
}

static void cr_guest(void)
{
	asm volatile("mov %%r9, %%cr3" ::: "memory");
}

static struct vmcb *left_by(void (*entry)(void))
{
	struct vmcb *v = svm_guest(entry, (u64)page_alloc() + 4096 - 8, false);

	v->intercept1 |= SVM_INVLPG;
	v->intercept3 |= SVM_INVPCID;
	v->intercept_cr = 1 << (16 + 3);
	svm_run(v);
	return v;
}

int main(void)
{
	u32 features[4], leaf7[4];
	struct vmcb *v;

	if (!svm_enable())
		return 1;
	cpuid(0x8000000a, 0, features);
	cpuid(7, 0, leaf7);

	bool assists = features[3] >> 7 & 1;

	v = left_by(invlpg_guest);
	check("INVLPG: EXITCODE", v->exitcode, 0x79);
	check("INVLPG: EXITINFO1", v->exitinfo1, assists ? 0x6234 : 0);
	v = left_by(cr_guest);
	check("MOV CR3: EXITCODE", v->exitcode, 0x13);
	check("MOV CR3: EXITINFO1", v->exitinfo1, assists ? 1ull << 63 | 9 : 0);
	if (leaf7[1] >> 10 & 1) {
		v = left_by(invpcid_guest);
		check("INVPCID: EXITCODE", v->exitcode, 0xa2);
		check("INVPCID: EXITINFO1 is the descriptor's address", v->exitinfo1, descriptor);
		check("INVPCID: EXITINFO2 is the type", v->exitinfo2, 2);
	}
	return guest_verdict();
}
