/* What a monitor written for the other maker's processor does first: every access is #GP or #UD, and says why. */
#include "guest.h"

static volatile unsigned repeat;

#define refused(name, vector, code) check(name, CATCH(code), vector)

static void vmx(void)
{
	u64 pa = 0x30000;

	refused("IA32_VMX_BASIC", 13, rdmsr(0x480));
	refused("IA32_FEATURE_CONTROL", 13, wrmsr(0x3a, 5));
	refused("CR4.VMXE", 13, write_cr4(read_cr4() | 1 << 13));
	for (repeat = 0; repeat < 3; repeat++)
		refused("VMXON", 6, asm volatile("vmxon %0" : : "m"(pa) : "cc"));
	refused("what systems ask for in silence", 13, rdmsr(0x3a));
}

static void svm(void)
{
	refused("VM_CR", 13, rdmsr(0xc0010114));
	refused("EFER.SVME", 13, wrmsr(0xc0000080, rdmsr(0xc0000080) | 1 << 12));
	refused("VM_HSAVE_PA", 13, wrmsr(0xc0010117, 0x30000));
	for (repeat = 0; repeat < 3; repeat++)
		refused("VMRUN", 6, asm volatile("vmrun" : : "a"(0x30000) : "memory"));
	refused("what systems ask for in silence", 13, rdmsr(0xc0010117));
}

int main(void)
{
	u32 r[4];

	print("it begins: ");
	cpuid(1, 0, r);
	if (!(r[2] & 1 << 5))
		vmx();
	cpuid(0x80000001, 0, r);
	if (!(r[2] & 1 << 2))
		svm();
	return guest_verdict();
}
