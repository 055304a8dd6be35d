/* A processor without SVM, and one without the LOCK form of CR8: nothing of it exists. --cpu amd,-svm and --cpu intel.
 */
#include "guest.h"
#include "msr_names.h"

#define TRY_IT(bytes) CATCH(asm volatile(".byte " bytes ::"a"(0x100000ull), "c"(0) : "memory"))

int main(void)
{
	u32 r[4];

	cpuid(0x80000001, 0, r);
	check("CPUID 8000_0001h ECX bit 2", r[2] >> 2 & 1, 0);
	check(REQ("svm.4.VMRUN.44"), TRY_IT("0x0f, 0x01, 0xd8"), 6);
	check(REQ("svm.4.VMMCALL.5"), TRY_IT("0x0f, 0x01, 0xd9"), 6);
	check(REQ("svm.4.VMLOAD.5"), TRY_IT("0x0f, 0x01, 0xda"), 6);
	check(REQ("svm.4.VMSAVE.5"), TRY_IT("0x0f, 0x01, 0xdb"), 6);
	check(REQ("svm.4.STGI.4"), TRY_IT("0x0f, 0x01, 0xdc"), 6);
	check(REQ("svm.4.CLGI.4"), TRY_IT("0x0f, 0x01, 0xdd"), 6);
	check(REQ("svm.4.INVLPGA.9"), TRY_IT("0x0f, 0x01, 0xdf"), 6);
	check("EFER.SVME", CATCH(wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1 << 12)), 13);
	check("VM_HSAVE_PA", CATCH(rdmsr(MSR_VM_HSAVE_PA)), 13);
	if (!(r[2] >> 4 & 1)) {
		check(REQ("svm.4.MOVCR.13") "read", TRY_IT("0xf0, 0x0f, 0x20, 0xc0"), 6);
		check(REQ("svm.4.MOVCR.13") "write", TRY_IT("0xf0, 0x0f, 0x22, 0xc0"), 6);
	}
	return guest_verdict();
}
