/* Control and debug registers: masks, shadows, CR3 targets, CR8, qualifications of MOV CR, CLTS, LMSW and MOV DR. */
#include "exits.h"

SNIPPET(r_to_cr3, "mov %cr3, %r11", "mov %r11, %cr3");
SNIPPET(r_from_cr3, "", "mov %cr3, %rdx");
SNIPPET(r_to_cr8, "mov $5, %eax", "mov %rax, %cr8");
SNIPPET(r_from_cr8, "", "mov %cr8, %rbx");
SNIPPET(r_to_cr0, "mov %cr0, %rcx; xor $2, %rcx", "mov %rcx, %cr0");
SNIPPET(r_same_cr0, "mov %cr0, %rcx", "mov %rcx, %cr0");
SNIPPET(r_from_cr0, "mov %cr0, %rax; mov %rax, seen; smsw %rax; mov %rax, seen+8", "nop");
SNIPPET(r_to_cr4, "mov %cr4, %rcx; or $4, %rcx", "mov %rcx, %cr4");
SNIPPET(r_clts, "", "clts");
SNIPPET(r_lmsw, "mov $0xab8f, %eax", "lmsw %ax");
SNIPPET(r_lmsw_mem, "movw $0x9, scratch; lea scratch, %rbx", "lmsw (%rbx)");
SNIPPET(r_to_dr7, "mov $0x400, %eax", "mov %rax, %dr7");
SNIPPET(r_from_dr3, "", "mov %dr3, %r9");
SNIPPET(r_cr0_after, "mov %cr0, %rcx; or $8, %rcx; mov %rcx, %cr0; mov %cr0, %rcx; mov %rcx, seen", "nop");

#define TS (1 << 3)
#define PE 1

static void test_cr3(void)
{
	base(&r_to_cr3);
	on(VMCS_PROC, P_CR3_LOAD);
	leaves("CR3 load", &r_to_cr3, R_CR, 3 | 11 << 8);
	base(&r_to_cr3);
	on(VMCS_PROC, P_CR3_LOAD);
	vmx_write(VMCS_CR3_COUNT, 2);
	vmx_write(VMCS_CR3_TARGET0 + 2, read_cr3());
	stays("CR3 load, a target value", &r_to_cr3);
	base(&r_to_cr3);
	off(VMCS_PROC, P_CR3_LOAD);
	stays("CR3 load", &r_to_cr3);
	base(&r_from_cr3);
	on(VMCS_PROC, P_CR3_STORE);
	leaves("CR3 store", &r_from_cr3, R_CR, 3 | 1 << 4 | 2 << 8);
	base(&r_from_cr3);
	off(VMCS_PROC, P_CR3_STORE);
	stays("CR3 store", &r_from_cr3);
}

static void test_cr8(void)
{
	base(&r_to_cr8);
	on(VMCS_PROC, P_CR8_LOAD);
	leaves("CR8 load", &r_to_cr8, R_CR, 8);
	base(&r_from_cr8);
	on(VMCS_PROC, P_CR8_STORE);
	leaves("CR8 store", &r_from_cr8, R_CR, 8 | 1 << 4 | 3 << 8);
	base(&r_from_cr8);
	off(VMCS_PROC, P_CR8_LOAD | P_CR8_STORE);
	stays("CR8 store", &r_from_cr8);
}

static void test_cr0(void)
{
	base(&r_to_cr0);
	vmx_write(VMCS_CR0_MASK, 2);
	vmx_write(VMCS_CR0_SHADOW, read_cr0());
	leaves("CR0, a masked bit differs from the shadow", &r_to_cr0, R_CR, 0 | 1 << 8);
	base(&r_same_cr0);
	vmx_write(VMCS_CR0_MASK, 2);
	vmx_write(VMCS_CR0_SHADOW, read_cr0() ^ 2);
	stays("CR0, the masked bit is written as it reads", &r_same_cr0);
	base(&r_to_cr0);
	stays("CR0, not masked", &r_to_cr0);
	base(&r_from_cr0);
	vmx_write(VMCS_CR0_MASK, TS | 2);
	vmx_write(VMCS_CR0_SHADOW, TS);
	stays("CR0 read shadow", &r_from_cr0);
	check("CR0 read shadow: MOV", seen[0] & (TS | 2), TS);
	check("CR0 read shadow: SMSW", seen[1] & (TS | 2), TS);
	base(&r_cr0_after);
	vmx_write(VMCS_CR0_MASK, TS);
	vmx_write(VMCS_CR0_SHADOW, TS);
	stays("CR0, host-owned bit kept", &r_cr0_after);
	check("CR0, host-owned bit reads from the shadow", seen[0] & TS, TS);
	check("CR0, host-owned bit did not change", vmx_read(VMCS_GUEST_CR0) & TS, 0);
}

static void test_cr4(void)
{
	base(&r_to_cr4);
	vmx_write(VMCS_CR4_MASK, 4);
	vmx_write(VMCS_CR4_SHADOW, 0);
	leaves("CR4", &r_to_cr4, R_CR, 4 | 1 << 8);
	base(&r_to_cr4);
	stays("CR4, not masked", &r_to_cr4);
	check("CR4, not masked: it is written", vmx_read(VMCS_GUEST_CR4) & 4, 4);
}

static void test_clts_lmsw(void)
{
	base(&r_clts);
	vmx_write(VMCS_CR0_MASK, TS);
	vmx_write(VMCS_CR0_SHADOW, TS);
	leaves("CLTS, masked and set in the shadow", &r_clts, R_CR, 2 << 4);
	base(&r_clts);
	vmx_write(VMCS_CR0_MASK, TS);
	vmx_write(VMCS_CR0_SHADOW, 0);
	on(VMCS_GUEST_CR0, TS);
	stays("CLTS, masked and clear in the shadow", &r_clts);
	check("CLTS, masked and clear in the shadow: nothing happens", vmx_read(VMCS_GUEST_CR0) & TS, TS);
	base(&r_clts);
	on(VMCS_GUEST_CR0, TS);
	stays("CLTS", &r_clts);
	check("CLTS: clears TS", vmx_read(VMCS_GUEST_CR0) & TS, 0);
	base(&r_lmsw);
	vmx_write(VMCS_CR0_MASK, TS);
	vmx_write(VMCS_CR0_SHADOW, 0);
	leaves("LMSW", &r_lmsw, R_CR, 3 << 4 | 0xab8full << 16);
	base(&r_lmsw_mem);
	vmx_write(VMCS_CR0_MASK, TS);
	vmx_write(VMCS_CR0_SHADOW, 0);
	leaves("LMSW from memory", &r_lmsw_mem, R_CR, 3 << 4 | 1 << 6 | 0x9 << 16);
	vcheck("LMSW from memory", "linear address", vmx_read(VMCS_GUEST_LINEAR), (u64)scratch);
	base(&r_lmsw);
	vmx_write(VMCS_CR0_MASK, PE);
	vmx_write(VMCS_CR0_SHADOW, PE);
	stays("LMSW, PE set in the shadow", &r_lmsw);
	base(&r_lmsw);
	vmx_write(VMCS_CR0_MASK, PE);
	vmx_write(VMCS_CR0_SHADOW, 0);
	leaves("LMSW, PE from 0 to 1", &r_lmsw, R_CR, 3 << 4 | 0xab8full << 16);
}

static void test_dr(void)
{
	base(&r_to_dr7);
	on(VMCS_PROC, P_DR);
	leaves("MOV to DR7", &r_to_dr7, R_DR, 7);
	base(&r_from_dr3);
	on(VMCS_PROC, P_DR);
	leaves("MOV from DR3", &r_from_dr3, R_DR, 3 | 1 << 4 | 9 << 8);
	base(&r_from_dr3);
	stays("MOV from DR3", &r_from_dr3);
}

void test_registers(void)
{
	test_cr3();
	test_cr8();
	test_cr0();
	test_cr4();
	test_clts_lmsw();
	test_dr();
}
