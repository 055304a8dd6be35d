/* VMCS shadowing, and what the instructions of VMX do in root operation: error numbers. "VM Instruction Error Numbers". */
#include "exits.h"

SNIPPET(v_read, "mov $0x6800, %ecx; xor %edx, %edx", "vmread %rcx, %rdx; mov %rdx, seen");
SNIPPET(v_write, "mov $0x681e, %ecx; mov $0x1234, %edx", "vmwrite %rdx, %rcx; pushf; pop %rax; mov %rax, seen");
SNIPPET(v_wide, "mov $0x16800, %ecx", "vmread %rcx, %rdx");

SNIPPET(v_read_nothing, "mov $0x7ffe, %ecx", "vmread %rcx, %rdx; pushf; pop %rax; mov %rax, seen");
SNIPPET(v_write_nothing, "mov $0x7ffe, %ecx", "vmwrite %rdx, %rcx; pushf; pop %rax; mov %rax, seen");

static u64 outer, inner;

static int ptrld(u64 pa)
{
	u8 carry, zero;

	asm volatile("vmptrld %2; setc %0; setz %1" : "=q"(carry), "=q"(zero) : "m"(pa) : "cc", "memory");
	return carry ? VMX_FAIL_INVALID : zero ? VMX_FAIL_VALID : VMX_OK;
}

static int clear(u64 pa)
{
	u8 carry, zero;

	asm volatile("vmclear %2; setc %0; setz %1" : "=q"(carry), "=q"(zero) : "m"(pa) : "cc", "memory");
	return carry ? VMX_FAIL_INVALID : zero ? VMX_FAIL_VALID : VMX_OK;
}

static u64 ptrst(void)
{
	u64 pa;

	asm volatile("vmptrst %0" : "=m"(pa)::"cc");
	return pa;
}

static bool same(const u8 *a, const u8 *b, unsigned n)
{
	while (n && *a == *b)
		a++, b++, n--;
	return !n;
}

static u8 *shadow_base(const struct snippet *s)
{
	u32 *page = page_alloc();
	u8 *maps = page_alloc();

	page_alloc();
	page[0] = ((u32)rdmsr(MSR_VMX_BASIC) & 0x7fffffff) | 1u << 31;
	inner = (u64)page;
	base(s);
	outer = ptrst();
	check("shadow VMCS: VMCLEAR", clear(inner), VMX_OK);
	check("shadow VMCS: VMPTRLD", ptrld(inner), VMX_OK);
	check("shadow VMCS: VMWRITE in root operation", vmx_write(VMCS_GUEST_CR0, 0xabcd), VMX_OK);
	check("shadow VMCS: cannot be launched", vmx_run(false), VMX_FAIL_INVALID);
	check("shadow VMCS: back to the other", ptrld(outer), VMX_OK);
	vmx_write(VMCS_LINK, inner);
	on(VMCS_PROC2, S_SHADOWING);
	vmx_write(VMCS_VMREAD_MAP, (u64)maps);
	vmx_write(VMCS_VMWRITE_MAP, (u64)maps + 4096);
	return maps;
}

static void test_shadowing(void)
{
	shadow_base(&v_read);
	stays("shadowed VMREAD", &v_read);
	check(REQ("vmx04.VMREAD.18.now sdm30.11") "shadowed VMREAD: the shadow VMCS's value", seen[0], 0xabcd);
	shadow_base(&v_read)[0x6800 / 8] = 1;
	check("VMREAD with its bit in the bitmap: exits", go(), R_VMREAD);
	shadow_base(&v_wide);
	check("VMREAD of a wide number: exits", go(), R_VMREAD);
	shadow_base(&v_write);
	stays("shadowed VMWRITE", &v_write);
	check("shadowed VMWRITE: succeeds", seen[0] & 0x41, 0);
	ptrld(inner);
	check(REQ("sdm30.11") "shadowed VMWRITE: the shadow VMCS has it", vmx_read(VMCS_GUEST_RIP), 0x1234);
	ptrld(outer);
	shadow_base(&v_write)[4096 + 0x681e / 8] = 1 << 6;
	check("VMWRITE with its bit in the bitmap: exits", go(), R_VMWRITE);
}

/* "Conventions", VMfailValid: the error number goes to the current VMCS, whichever the access was about. */
static void test_shadowed_failure(void)
{
	static const struct {
		const char *name;
		const struct snippet *s;
	} rows[] = {{"shadowed VMREAD of no field", &v_read_nothing}, {"shadowed VMWRITE to no field", &v_write_nothing}};

	for (unsigned n = 0; n < 2; n++) {
		shadow_base(rows[n].s);
		ptrld(inner);
		vmx_write(VMCS_ERROR, 0x5a);
		ptrld(outer);
		vmx_write(VMCS_ERROR, 0);
		stays(rows[n].name, rows[n].s);
		vcheck(rows[n].name, "VMfailValid", seen[0] & 0x8d5, 0x40);
		vcheck(rows[n].name, "error in the current VMCS", vmx_read(VMCS_ERROR), 12);
		ptrld(inner);
		vcheck(rows[n].name, "the shadow VMCS keeps its own", vmx_read(VMCS_ERROR), 0x5a);
		ptrld(outer);
	}
}

/* The shadow VMCS is kept at hand while guests use it: memory has what they wrote after VMCLEAR, or when another one
 * takes its place. "Software Use of Virtual-Machine Control Structures". */
static void test_shadow_cached(void)
{
	u8 *before = page_alloc();
	u64 first, second;

	shadow_base(&v_write);
	memcpy(before, (void *)inner, 4096);
	stays("cached shadow VMCS", &v_write);
	check("cached shadow VMCS: memory waits", same(before, (void *)inner, 4096), true);
	check("cached shadow VMCS: VMCLEAR", clear(inner), VMX_OK);
	check("cached shadow VMCS: VMCLEAR writes it back", same(before, (void *)inner, 4096), false);
	ptrld(inner);
	check("cached shadow VMCS: what the guest wrote", vmx_read(VMCS_GUEST_RIP), 0x1234);
	ptrld(outer);
	/* VMXOFF writes it back, too */
	shadow_base(&v_write);
	stays("cached shadow VMCS, again", &v_write);
	memcpy(before, (void *)inner, 4096);
	vmx_disable();
	check("cached shadow VMCS: VMXOFF writes it back", same(before, (void *)inner, 4096), false);
	vmx_enable();
	check("cached shadow VMCS: VMPTRLD after VMXON", ptrld(inner), VMX_OK);
	check("cached shadow VMCS: what the guest wrote", vmx_read(VMCS_GUEST_RIP), 0x1234);
	ptrld(outer);
	/* by turns */
	shadow_base(&v_read);
	first = inner;
	shadow_base(&v_read);
	second = inner;
	ptrld(second);
	vmx_write(VMCS_GUEST_CR0, 0x5555);
	ptrld(outer);
	stays("the second shadow VMCS", &v_read);
	check("the second shadow VMCS", seen[0], 0x5555);
	shadow_base(&v_read);
	vmx_write(VMCS_LINK, first);
	stays("the first shadow VMCS", &v_read);
	check("the first shadow VMCS", seen[0], 0xabcd);
}

static void error(const char *name, int r, u64 number)
{
	vcheck(name, "VMfailValid", (u64)r, VMX_FAIL_VALID);
	vcheck(name, "error", vmx_read(VMCS_ERROR), number);
}

static void test_errors(void)
{
	u64 other = (u64)page_alloc(), vmcs, wrong[2] = {0, 0};
	u8 zero;

	base(&v_read);
	vmcs = ptrst();
	error("VMCLEAR, not aligned", clear(vmcs + 8), 2);
	error("VMPTRLD, not aligned", ptrld(vmcs + 8), 9);
	error("VMPTRLD, address too wide", ptrld(1ull << 60), 9);
	error("VMPTRLD, wrong revision", ptrld(other), 11);
	check("VMPTRLD that failed keeps the current VMCS", ptrst(), vmcs);
	error("VMWRITE, no such field", vmx_write(0x7ffe, 0), 12);
	error("VMRESUME, not launched", vmx_run(true), 5);
	asm volatile("vmcall; setz %0" : "=q"(zero)::"cc");
	error("VMCALL in root operation", zero ? VMX_FAIL_VALID : VMX_OK, 1);
	asm volatile("vmxon %1; setz %0" : "=q"(zero) : "m"(other) : "cc");
	error("VMXON in root operation", zero ? VMX_FAIL_VALID : VMX_OK, 15);
	asm volatile("invept %1, %2; setz %0" : "=q"(zero) : "m"(wrong), "r"(9ull) : "cc");
	error("INVEPT, no such type", zero ? VMX_FAIL_VALID : VMX_OK, 28);
	asm volatile("invvpid %1, %2; setz %0" : "=q"(zero) : "m"(wrong), "r"(1ull) : "cc");
	error("INVVPID of VPID 0", zero ? VMX_FAIL_VALID : VMX_OK, 28);
	check("VMLAUNCH", go(), R_VMREAD);
	error("VMLAUNCH, launched already", vmx_run(false), 4);
	check("VMCLEAR", clear(vmcs), VMX_OK);
	check("no current VMCS", ptrst(), ~0ull);
	check("VMLAUNCH without a current VMCS", vmx_run(false), VMX_FAIL_INVALID);
}

void test_shadow(void)
{
	test_shadowing();
	test_shadowed_failure();
	test_shadow_cached();
	test_errors();
}
