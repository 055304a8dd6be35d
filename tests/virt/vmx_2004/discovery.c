/*
 * "Discovering Support for VMX Operation", "Enabling and Entering VMX Operation", "Restrictions on VMX Operation",
 * "Overview" of the VMCS. The capability MSRs, which the text announces and does not describe, are the first production
 * processors'.
 */
#include "structure.h"

#define CR4_KNOWN 0x27ff /* VME to OSXMMEXCPT, VMXE: what IA-32 with SSE3 and EM64T had */

static const struct {
	const char *name;
	u32 msr;
	u64 value;
} reported[] = {
	{REQ("vmx04.1.6.5") "pin-based controls", MSR_VMX_PIN, 0x1f00000016},
	{REQ("vmx04.1.6.6") "processor-based controls", MSR_VMX_PROC, 0x07b9fffe0401e172},
	{REQ("vmx04.1.6.7") "VM-exit controls", MSR_VMX_EXIT, 0x0003efff00036dff},
	{REQ("vmx04.1.6.8") "VM-entry controls", MSR_VMX_ENTRY, 0x000013ff000011ff},
	{REQ("vmx04.1.6.10") "CR0 fixed to 1", MSR_VMX_CR0_FIXED0, 0x80000021},
	{REQ("vmx04.1.6.10") "CR0 that may be 1", MSR_VMX_CR0_FIXED1, 0xffffffff},
	{REQ("vmx04.1.6.11") "CR4 fixed to 1", MSR_VMX_CR4_FIXED0, 0x2000},
	{REQ("vmx04.1.6.11") "CR4 that may be 1", MSR_VMX_CR4_FIXED1, CR4_KNOWN},
	{REQ("vmx04.1.6.12") "highest index", MSR_VMX_VMCS_ENUM, 0x24}, /* 4824H */
};

static void capabilities(void)
{
	u64 basic = rdmsr(MSR_VMX_BASIC), misc = rdmsr(MSR_VMX_MISC);

	for (unsigned n = 0; n < COUNT(reported); n++)
		check(reported[n].name, rdmsr(reported[n].msr), reported[n].value);
	check(REQ("vmx04.1.6.4") "basic: bit 31", basic >> 31 & 1, 0);
	check(REQ("vmx04.1.6.4 vmx04.2.1.10") "basic: region of 1 to 4096 bytes", (basic >> 32 & 0x1fff) - 1 < 4096, 1);
	check(REQ("vmx04.1.6.4") "basic: bits 49:48", basic >> 48 & 3, 0);
	check(REQ("vmx04.1.6.4") "basic: write-back", basic >> 50 & 15, 6);
	check(REQ("vmx04.1.6.4") "basic: bits 63:54", basic >> 54, 0);
	check(REQ("vmx04.1.6.9") "misc: activity states", misc >> 6 & 7, 0);
	check(REQ("vmx04.1.6.9") "misc: CR3-target values", misc >> 16 & 0x1ff, 4);
	check(REQ("vmx04.1.6.9") "misc: nothing else", misc & ~31ull, 4 << 16);
	check(REQ("vmx04.1.6.9") "misc: MSR lists, VMWRITE to exit information, MSEG", misc >> 25, 0);
	for (u32 n = MSR_VMX_BASIC; n <= MSR_VMX_VMCS_ENUM; n++) {
		u64 now = 0;

		check(REQ("vmx04.1.6.3") "it can be read", CATCH(now = rdmsr(n)), -1);
		check(REQ("vmx04.1.6.3") "and not written", CATCH(wrmsr(n, now)), 13);
	}
	for (u32 n = MSR_VMX_PROC2; n <= MSR_VMX_EXIT2; n++) {
		check(REQ("vmx04.1.6.13") "RDMSR of a later one", CATCH(rdmsr(n)), 13);
		check(REQ("vmx04.1.6.13") "WRMSR of a later one", CATCH(wrmsr(n, 0)), 13);
	}
}

/* What the processor says of itself: a family-0FH processor with EM64T and nothing younger. */
static void time_of_it(void)
{
	u32 r[4];

	cpuid(0, 0, r);
	check("highest leaf", r[0], 5);
	cpuid(1, 0, r);
	check("family", r[0] >> 8 & 15, 15);
	check("SSE3, MONITOR, VMX, xTPR, CMPXCHG16B and nothing else", r[2], 1 << 0 | 1 << 3 | 1 << 5 | 1 << 13 | 1 << 14);
	cpuid(0x80000001, 0, r);
	check("SYSCALL, execute disable, EM64T", r[3], 1 << 11 | 1 << 20 | 1 << 29);
	check("and nothing else", r[2], 0);
	cpuid(0x80000008, 0, r);
	check("address widths", r[0] & 0xffff, 48 << 8 | 36);
	check(REQ("vmx04.1.7.8") "IA32_FEATURE_CONTROL", rdmsr(0x3a), 5);
	check(REQ("vmx04.1.7.8") "is locked", CATCH(wrmsr(0x3a, 5)), 13);
}

static int vmxon(u64 region)
{
	u8 carry, zero;

	asm volatile("vmxon %2; setc %0; setz %1" : "=q"(carry), "=q"(zero) : "m"(region) : "cc", "memory");
	return carry ? VMX_FAIL_INVALID : zero ? VMX_FAIL_VALID : VMX_OK;
}

static int on_region(bool clear, u64 region)
{
	u8 carry, zero;

	if (clear)
		asm volatile("vmclear %2; setc %0; setz %1" : "=q"(carry), "=q"(zero) : "m"(region) : "cc", "memory");
	else
		asm volatile("vmptrld %2; setc %0; setz %1" : "=q"(carry), "=q"(zero) : "m"(region) : "cc", "memory");
	return carry ? VMX_FAIL_INVALID : zero ? VMX_FAIL_VALID : VMX_OK;
}

static u64 current(void)
{
	u64 v = 0x5a5a;

	asm volatile("vmptrst %0" : "+m"(v)::"cc", "memory");
	return v;
}

static u64 *filled(u32 with)
{
	u64 *p = page_alloc();

	for (unsigned n = 0; n < 512; n++)
		p[n] = with ? (n + 1) * 0x9e3779b97f4a7c15 ^ with : 0;
	return p;
}

/* Regions of any contents; no current VMCS after VMXON. */
static void regions(void)
{
	static const u32 contents[] = {0, 1, 0x80000000, 0xffffffff, 0x12345678};
	u32 r[4];

	cpuid(0x80000008, 0, r);
	write_cr4(read_cr4() | 1 << 13);
	write_cr0(read_cr0() | 0x80000021);
	for (unsigned n = 0; n < COUNT(contents); n++) {
		u64 *region = filled(contents[n]), *vmcs = filled(contents[n]);

		check(REQ("vmx04.1.7.5 vmx04.1.7.7") "VMXON", vmxon((u64)region), VMX_OK);
		check(REQ("vmx04.2.1.7") "no current VMCS behind it", current(), ~0ull);
		check(REQ("vmx04.2.1.9") "VMCLEAR", on_region(true, (u64)vmcs), VMX_OK);
		check(REQ("vmx04.2.1.9") "VMPTRLD", on_region(false, (u64)vmcs), VMX_OK);
		check(REQ("vmx04.2.1.9") "it is current", current(), (u64)vmcs);
		check("a field of 16 bits", vmx_read(VMCS_GUEST_CS) >> 16, 0);
		check("a field of 32 bits", vmx_read(VMCS_EXIT_REASON) >> 32, 0);
		check(REQ("vmx04.2.1.9") "a field can be written", vmx_write(VMCS_TSC_OFFSET, 0x123456789abcdef0), VMX_OK);
		check(REQ("vmx04.2.1.9") "and read", vmx_read(VMCS_TSC_OFFSET), 0x123456789abcdef0);
		asm volatile("vmxoff" ::: "cc");
		check(REQ("vmx04.2.1.7") "VMXOFF, VMXON", vmxon((u64)region), VMX_OK);
		check(REQ("vmx04.2.1.7") "and it is not any more", current(), ~0ull);
		asm volatile("vmxoff" ::: "cc");
	}
	check(REQ("vmx04.1.7.6") "VMXON beyond the address width", vmxon((u64)page_alloc() | 1ull << (r[0] & 0xff)), VMX_FAIL_INVALID);
	check(REQ("vmx04.1.7.6") "VMX operation was not entered", CATCH(current()), 6);
}

/* Bits of CR4 that the processor does not have. */
static void unknown_bits(void)
{
	u64 cr4 = read_cr4();

	check("VMXON", vmxon((u64)page_alloc()), VMX_OK);
	for (unsigned bit = 0; bit < 32; bit++)
		if (!(CR4_KNOWN >> bit & 1))
			check(REQ("vmx04.1.8.12") "setting it is #GP", CATCH(write_cr4(cr4 | 1ull << bit)), 13);
	asm volatile("vmxoff" ::: "cc");
}

void test_discovery(void)
{
	capabilities();
	time_of_it();
	regions();
	unknown_bits();
}
