/* The library behind vmx.h. */
#include "vmx.h"

#define OUTCOME "setc %b0\n\tsetz %b1\n"

static int outcome(u8 carry, u8 zero)
{
	return carry ? VMX_FAIL_INVALID : zero ? VMX_FAIL_VALID : VMX_OK;
}

#define ON_REGION(name, insn)                                                                                          \
	int name(u64 region)                                                                                           \
	{                                                                                                              \
		u8 carry, zero;                                                                                        \
                                                                                                                       \
		asm volatile(insn " %2\n\t" OUTCOME : "=q"(carry), "=q"(zero) : "m"(region) : "cc", "memory");        \
		return outcome(carry, zero);                                                                           \
	}
ON_REGION(vmx_on, "vmxon")
ON_REGION(vmx_clear, "vmclear")
ON_REGION(vmx_load, "vmptrld")

u64 vmx_read(u32 field)
{
	u64 value = 0;

	asm volatile("vmread %1, %0" : "+r"(value) : "r"((u64)field) : "cc"); /* 0 if there is no such field */
	return value;
}

int vmx_write(u32 field, u64 value)
{
	u8 carry, zero;

	asm volatile("vmwrite %3, %2\n\t" OUTCOME : "=q"(carry), "=q"(zero) : "r"((u64)field), "r"(value) : "cc");
	return outcome(carry, zero);
}

int vmx_invept(void)
{
	u64 descriptor[2] = {vmx_read(VMCS_EPTP), 0};
	u8 carry, zero;

	asm volatile("invept %2, %3\n\t" OUTCOME : "=q"(carry), "=q"(zero) : "m"(descriptor), "r"(1ull) : "cc", "memory");
	return outcome(carry, zero);
}

void *vmx_region(void)
{
	u32 *p = page_alloc();

	p[0] = (u32)rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
	return p;
}

bool vmx_enable(void)
{
	u32 r[4];

	cpuid(1, 0, r);
	if (!(r[2] & 1 << 5))
		return false;
	if (!(rdmsr(MSR_FEATURE_CONTROL) & 1))
		wrmsr(MSR_FEATURE_CONTROL, 5);
	write_cr0((read_cr0() | rdmsr(MSR_VMX_CR0_FIXED0)) & rdmsr(MSR_VMX_CR0_FIXED0 + 1));
	write_cr4((read_cr4() | rdmsr(MSR_VMX_CR0_FIXED0 + 2)) & rdmsr(MSR_VMX_CR0_FIXED0 + 3));
	return vmx_on((u64)vmx_region()) == VMX_OK;
}

void vmx_disable(void)
{
	asm volatile("vmxoff" ::: "cc");
	write_cr4(read_cr4() & ~(1ull << 13));
}

/* "Algorithms for Determining VMX Capabilities": bits that must be 1 in the low half, that may be 1 in the high half. */
static u64 allowed(u32 msr, u64 want)
{
	u64 cap = rdmsr(msr);

	return (want | (u32)cap) & cap >> 32;
}

static void controls(void)
{
	bool is_true = rdmsr(MSR_VMX_BASIC) >> 55 & 1;
	u32 first = is_true ? MSR_VMX_TRUE_PIN : MSR_VMX_PIN;

	vmx_write(VMCS_PIN, allowed(first, 0));
	vmx_write(VMCS_PROC, allowed(first + 1, P_HLT | P_SECONDARY));
	vmx_write(VMCS_EXIT_CONTROLS, allowed(first + 2, X_LONG | X_SAVE_EFER | X_LOAD_EFER));
	vmx_write(VMCS_ENTRY_CONTROLS, allowed(first + 3, E_LONG | E_EFER));
	if (vmx_read(VMCS_PROC) & P_SECONDARY)
		vmx_write(VMCS_PROC2, allowed(MSR_VMX_PROC2, S_EPT));
	vmx_write(VMCS_LINK, ~0ull);
}

void vmx_host(void)
{
	static const u32 data[] = {VMCS_HOST_ES, VMCS_HOST_SS, VMCS_HOST_DS, VMCS_HOST_FS, VMCS_HOST_GS};

	for (unsigned n = 0; n < sizeof(data) / sizeof(data[0]); n++)
		vmx_write(data[n], 0x10);
	vmx_write(VMCS_HOST_CS, 0x08);
	vmx_write(VMCS_HOST_TR, 0x28);
	vmx_write(VMCS_HOST_TR_BASE, (u64)tss);
	vmx_write(VMCS_HOST_GDTR_BASE, (u64)gdt);
	vmx_write(VMCS_HOST_IDTR_BASE, (u64)idt);
	vmx_write(VMCS_HOST_CR0, read_cr0());
	vmx_write(VMCS_HOST_CR3, read_cr3());
	vmx_write(VMCS_HOST_CR4, read_cr4());
	vmx_write(VMCS_HOST_EFER, rdmsr(MSR_EFER));
}

/* Segments ES CS SS DS FS GS LDTR TR in the order of the encodings, 2 apart. */
static void segments(void)
{
	static const struct {
		u16 sel;
		u32 limit, ar;
	} seg[8] = {
		{0x10, 0xffffffff, 0xc093}, {0x08, 0xffffffff, 0xa09b}, {0x10, 0xffffffff, 0xc093}, {0x10, 0xffffffff, 0xc093},
		{0x10, 0xffffffff, 0xc093}, {0x10, 0xffffffff, 0xc093}, {0, 0, 0x10000}, {0x28, 0x67, 0x8b},
	};

	for (u32 n = 0; n < 8; n++) {
		vmx_write(VMCS_GUEST_ES + 2 * n, seg[n].sel);
		vmx_write(VMCS_GUEST_ES_LIMIT + 2 * n, seg[n].limit);
		vmx_write(VMCS_GUEST_ES_AR + 2 * n, seg[n].ar);
	}
	vmx_write(VMCS_GUEST_TR_BASE, (u64)tss);
	vmx_write(VMCS_GUEST_GDTR_BASE, (u64)gdt);
	vmx_write(VMCS_GUEST_GDTR_LIMIT, 0x7f);
	vmx_write(VMCS_GUEST_IDTR_BASE, (u64)idt);
	vmx_write(VMCS_GUEST_IDTR_LIMIT, sizeof(idt) - 1);
}

static void ept(void)
{
	u64 *l4 = page_alloc(), *l3 = page_alloc();

	l4[0] = (u64)l3 | 7;
	for (unsigned g = 0; g < 4; g++) {
		u64 *l2 = page_alloc();

		l3[g] = (u64)l2 | 7;
		for (unsigned k = 0; k < 512; k++)
			l2[k] = (u64)g << 30 | (u64)k << 21 | 6 << 3 | 0x87; /* write-back, RWX, 2 MiB */
	}
	vmx_write(VMCS_EPTP, (u64)l4 | 3 << 3 | 6);
}

u64 *vmx_ept_entry(u64 gpa)
{
	u64 *l4 = (u64 *)(vmx_read(VMCS_EPTP) & ~0xfffull), *l3 = (u64 *)(l4[0] & ~0xfffull);

	return &((u64 *)(l3[gpa >> 30] & ~0xfffull))[gpa >> 21 & 511];
}

/* "Initializing a VMCS": what has no other value here is read all the same. */
static void zeros(void)
{
	static const u16 field[] = {
		VMCS_EXCEPTIONS, VMCS_PF_MASK, VMCS_PF_MATCH, VMCS_CR3_COUNT, VMCS_STORE_COUNT, VMCS_LOAD_COUNT,
		VMCS_ENTRY_LOAD_COUNT, VMCS_ENTRY_EVENT, VMCS_CR0_MASK, VMCS_CR4_MASK, VMCS_GUEST_DEBUGCTL, VMCS_GUEST_INTERRUPTIBILITY,
		VMCS_GUEST_ACTIVITY, VMCS_PENDING_DEBUG, VMCS_GUEST_SYSENTER_CS, VMCS_GUEST_SYSENTER_ESP,
		VMCS_GUEST_SYSENTER_EIP, VMCS_GUEST_ES_BASE, VMCS_GUEST_CS_BASE, VMCS_GUEST_SS_BASE, VMCS_GUEST_DS_BASE,
		VMCS_GUEST_FS_BASE, VMCS_GUEST_GS_BASE, VMCS_GUEST_LDTR_BASE, VMCS_HOST_FS_BASE, VMCS_HOST_GS_BASE,
		VMCS_HOST_SYSENTER_CS, VMCS_HOST_SYSENTER_ESP, VMCS_HOST_SYSENTER_EIP,
	};

	for (unsigned n = 0; n < sizeof(field) / sizeof(field[0]); n++)
		vmx_write(field[n], 0);
}

void *vmx_guest(void (*entry)(void), u64 stack)
{
	void *vmcs = vmx_region();

	if (vmx_clear((u64)vmcs) || vmx_load((u64)vmcs))
		return NULL;
	zeros();
	controls();
	vmx_host();
	segments();
	ept();
	vmx_write(VMCS_GUEST_CR0, read_cr0());
	vmx_write(VMCS_GUEST_CR3, read_cr3());
	vmx_write(VMCS_GUEST_CR4, read_cr4());
	vmx_write(VMCS_GUEST_EFER, rdmsr(MSR_EFER));
	vmx_write(VMCS_GUEST_DR7, 0x400);
	vmx_write(VMCS_GUEST_RFLAGS, 2);
	vmx_write(VMCS_GUEST_RSP, stack);
	vmx_write(VMCS_GUEST_RIP, (u64)entry);
	return vmcs;
}

int vmx_run(bool resume)
{
	u64 how = resume, rsp_field = VMCS_HOST_RSP, rip_field = VMCS_HOST_RIP;
	u32 carry, zero;

	asm volatile("push %%rbp\n\t"
		     "vmwrite %%rsp, %%rsi\n\t"
		     "lea 1f(%%rip), %%rax\n\t"
		     "vmwrite %%rax, %%rbx\n\t"
		     "test %%edi, %%edi\n\t"
		     "jnz 2f\n\t"
		     "vmlaunch\n\t"
		     "jmp 3f\n"
		     "2:\tvmresume\n"
		     "3:\tsetc %%cl\n\tsetz %%dl\n\t"
		     "movzbl %%cl, %%ecx\n\tmovzbl %%dl, %%edx\n\t"
		     "jmp 4f\n"
		     "1:\txor %%ecx, %%ecx\n\txor %%edx, %%edx\n" /* an exit: the registers are the guest's */
		     "4:\tpop %%rbp"
		     : "=c"(carry), "=d"(zero), "+D"(how), "+S"(rsp_field), "+b"(rip_field)::"rax", "r8", "r9", "r10", "r11", "r12",
		       "r13", "r14", "r15", "memory", "cc");
	return outcome((u8)carry, (u8)zero);
}
