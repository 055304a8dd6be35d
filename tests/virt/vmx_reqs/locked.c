/* IA32_FEATURE_CONTROL refuses VMXON until it allows it; a processor without VMX knows none of the instructions. */
#include "guest.h"
#include "msr_names.h"

static u64 region[512] __attribute__((aligned(4096))), slot;

#define ABSENT(text) check(text, CATCH(asm volatile(text ::"b"(&slot), "c"(0) : "rax", "rdx", "memory", "cc")), 6)

static void without_vmx(void)
{
	u64 cr4 = read_cr4();

	check(REQ("vmx04.1.6.2") "CR4.VMXE cannot be set", CATCH(write_cr4(cr4 | 1 << 13)), 13);
	check("error", last_fault.error, 0);
	check("CR4", read_cr4(), cr4);
	/* the opcodes without VMX; with it: root.c */
	ABSENT("vmxon (%%rbx)");
	ABSENT("vmclear (%%rbx)");
	ABSENT("vmptrld (%%rbx)");
	ABSENT("vmptrst (%%rbx)");
	ABSENT("vmread %%rcx, %%rdx");
	ABSENT("vmwrite %%rdx, %%rcx");
	ABSENT("vmcall");
	ABSENT("vmlaunch");
	ABSENT("vmresume");
	ABSENT("vmxoff");
	proves("vmx04.4.1");
}

static void with_vmx(void)
{
	region[0] = (u32)rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
	slot = (u64)region;
	write_cr0(read_cr0() | 0x20);
	check("CR4.VMXE", CATCH(write_cr4(read_cr4() | 1 << 13)), -1);
	check("IA32_FEATURE_CONTROL at reset", rdmsr(MSR_FEATURE_CONTROL) & 5, 0);
	check(REQ("vmx04.1.7.7.now") "VMXON, not locked", CATCH(asm volatile("vmxon %0" ::"m"(slot))), 13);
	check("error", last_fault.error, 0);
	wrmsr(MSR_FEATURE_CONTROL, 4);
	check("VMXON, enabled but not locked", CATCH(asm volatile("vmxon %0" ::"m"(slot))), 13);
	wrmsr(MSR_FEATURE_CONTROL, 1);
	check(REQ("vmx04.1.7.7.now") "VMXON, locked without bit 2", CATCH(asm volatile("vmxon %0" ::"m"(slot))), 13); /* no SMX: bit 1 has no case */
	check("WRMSR when locked", CATCH(wrmsr(MSR_FEATURE_CONTROL, 5)), 13);
}

int main(void)
{
	u32 r[4];

	cpuid(1, 0, r);
	if (r[2] & 1 << 5) {
		with_vmx();
	} else {
		check(REQ("vmx04.1.6.2") "CPUID says no VMX", r[2] >> 5 & 1, 0);
		without_vmx();
	}
	return guest_verdict();
}
