/* CR0, CR3, CR4 and CR8 in a guest: masks, shadows, target values, the TPR shadow; MSR bitmaps. */
#include "reqs.h"

/* clang-format off */
SNIPPET(i_lmsw_ax, "", "lmsw %ax");
SNIPPET(i_mov_rax_cr0, "", "mov %rax, %cr0");
SNIPPET(i_mov_rax_cr3, "", "mov %rax, %cr3");
SNIPPET(i_mov_rax_cr4, "", "mov %rax, %cr4");
SNIPPET(i_mov_rax_cr8, "", "mov %rax, %cr8");
SNIPPET(i_mov_cr8_rax, "", "mov %cr8, %rax");
SNIPPET(i_clts, "", "clts");
SNIPPET(i_rdmsr, "", "rdmsr");
SNIPPET(i_wrmsr, "", "wrmsr");
SNIPPET(i_cs_clts, "", "cs clts");
SNIPPET(i_mov_cr0_rax, "", "mov %cr0, %rax");
SNIPPET(i_mov_cr4_rax, "", "mov %cr4, %rax");
SNIPPET(i_mov_cr3_rax, "", "mov %cr3, %rax");
SNIPPET(i_mov_cr0_cr4_smsw, "", "mov %cr0, %rcx; mov %cr4, %rdx; smsw %ebx; smsw (%rsi); smsw %rdi");
SNIPPET(i_mov_cr4_rcx, "", "mov %cr4, %rcx");
SNIPPET(i_lmsw_0x8_rsi, "", "lmsw 0x8(%rsi)");
SNIPPET32(i_mov_eax_cr3_32, "", "mov %eax, %cr3");
SNIPPET32(i_mov_eax_cr0_32, "", "mov %eax, %cr0");
SNIPPET32(i_inc_esp_mov_eax_cr0_32, "", "inc %esp; mov %eax, %cr0"); /* in 64-bit mode MOV to CR8 */
/* clang-format on */

#define TS 8ull
#define MASK(cr, mask, shadow) {VMCS_CR##cr##_MASK, mask}, {VMCS_CR##cr##_SHADOW, shadow}
#define LMSW_AX &i_lmsw_ax
#define TO_CR0 &i_mov_rax_cr0
#define TO_CR3 &i_mov_rax_cr3
#define TO_CR4 &i_mov_rax_cr4
#define TO_CR8 &i_mov_rax_cr8
#define FROM_CR8 &i_mov_cr8_rax
#define LMSW_Q(source) (0x30 | (u64)(source) << 16)

/* clang-format off */
static const struct row exits[] = {
	{REQ("vmx04.3.1.2.3.1 vmx04.2.8.1.12 vmx04.2.8.1.25 vmx04.2.8.1.28 vmx04.2.8.1.32 vmx04.2.8.4.2") "CLTS, owned and shadow 1", G64, &i_clts, {0}, {MASK(0, TS, TS)}, R_CR, 0x20, 0},
	{REQ("vmx04.2.8.4.2") "CLTS with a prefix", G64, &i_cs_clts, {0}, {MASK(0, TS, TS)}, R_CR, 0x20, 0},
	{REQ("vmx04.3.1.2.3.1") "CLTS, owned and shadow 0", G64, &i_clts, {0}, {MASK(0, TS, 0)}, R_VMCALL, 0, 0},
	{REQ("vmx04.3.1.2.3.1") "CLTS, not owned, shadow 1", G64, &i_clts, {0}, {MASK(0, 0, TS)}, R_VMCALL, 0, 0},
	{REQ("vmx04.3.1.2.3.12 vmx04.2.8.1.29 vmx04.2.8.1.30.now vmx04.2.8.1.34 vmx04.2.8.1.25 vmx04.2.8.1.32 vmx04.2.8.4.8") "LMSW, bit 0: source 1, shadow 0", G64, LMSW_AX, {1}, {MASK(0, 1, 0)}, R_CR, LMSW_Q(1), 0},
	{REQ("vmx04.3.1.2.3.13") "LMSW, bit 0: source 0, shadow 1", G64, LMSW_AX, {0}, {MASK(0, 1, 1)}, R_VMCALL, 0, 0},
	{"LMSW, bit 0: source 0, shadow 0, CR0.PE 1", G64, LMSW_AX, {0}, {MASK(0, 1, 0)}, R_VMCALL, 0, 0},
	{REQ("vmx04.3.1.2.3.14") "LMSW, bit 1", G64, LMSW_AX, {2}, {MASK(0, 2, 0)}, R_CR, LMSW_Q(2), 0},
	{REQ("vmx04.3.1.2.3.14") "LMSW, bit 2", G64, LMSW_AX, {4}, {MASK(0, 4, 0)}, R_CR, LMSW_Q(4), 0},
	{REQ("vmx04.3.1.2.3.14") "LMSW, bit 3", G64, LMSW_AX, {8}, {MASK(0, 8, 0)}, R_CR, LMSW_Q(8), 0},
	{REQ("vmx04.3.1.2.3.14") "LMSW, bit 3 from 1 to 0", G64, LMSW_AX, {0xfff0}, {MASK(0, 8, 8)}, R_CR, LMSW_Q(0xfff0), 0},
	{REQ("vmx04.3.1.2.3.15") "LMSW, bits 15:4", G64, LMSW_AX, {0xfff1}, {MASK(0, ~0ull, 0x0001)}, R_VMCALL, 0, 0},
	{REQ("vmx04.2.5.7.4 vmx04.3.1.2.3.16 vmx04.3.1.1.11.now") "MOV to CR0, equal to the shadow", G64, TO_CR0, {0x80010031}, {MASK(0, ~0ull, 0x80010031)}, R_VMCALL, 0, 0},
	{REQ("vmx04.2.5.7.3 vmx04.3.1.2.3.16") "MOV to CR0, one bit differs", G64, TO_CR0, {0x80010031}, {MASK(0, TS, TS)}, R_CR, 0, 0},
	{REQ("vmx04.3.1.2.3.16") "MOV to CR0, mask 0", G64, TO_CR0, {0x80010031}, {MASK(0, 0, ~0ull)}, R_VMCALL, 0, 0},
	{REQ("vmx04.3.1.1.11.now") "MOV to CR0, NE 0 but masked and equal", G64, TO_CR0, {0x80010011}, {MASK(0, 0x20, 0)}, R_VMCALL, 0, 0},
	{REQ("vmx04.3.1.1.11.now vmx04.1.8.7.now") "MOV to CR0, NE 0 unmasked", G64, TO_CR0, {0x80010011}, {{VMCS_EXCEPTIONS, 1 << 13}}, 0, 0, EV_E(13)},
	{REQ("vmx04.1.8.7.now") "MOV to CR0, PG 0 unmasked", G64, TO_CR0, {0x00010031}, {{VMCS_EXCEPTIONS, 1 << 13}}, 0, 0, EV_E(13)}, /* with unrestricted(): below */
	{REQ("vmx04.1.8.7.now") "MOV to CR0, PE and PG 0 unmasked", G64, TO_CR0, {0x00010030}, {{VMCS_EXCEPTIONS, 1 << 13}}, 0, 0, EV_E(13)},
	{REQ("vmx04.3.1.2.3.20 vmx04.3.1.1.11.now") "MOV to CR4, equal to the shadow", G64, TO_CR4, {0x20}, {MASK(4, ~0ull, 0x20)}, R_VMCALL, 0, 0},
	{REQ("vmx04.3.1.2.3.20 vmx04.2.8.1.24") "MOV to CR4, one bit differs", G64, TO_CR4, {0x2020}, {MASK(4, 8, 8)}, R_CR, 4, 0},
	{REQ("vmx04.3.1.2.3.20") "MOV to CR4, mask 0", G64, TO_CR4, {0x2020}, {MASK(4, 0, ~0ull)}, R_VMCALL, 0, 0},
	{REQ("vmx04.1.8.8 vmx04.3.1.1.11.now") "MOV to CR4, VMXE 0 unmasked", G64, TO_CR4, {0x20}, {{VMCS_EXCEPTIONS, 1 << 13}}, 0, 0, EV_E(13)},
	/* whatever the masks */
	{REQ("vmx04.3.1.1.8") "MOV from CR0", G64, &i_mov_cr0_rax, {0}, {MASK(0, ~0ull, 0), MASK(4, ~0ull, 0)}, R_VMCALL, 0, 0}, {REQ("vmx04.3.1.1.8") "MOV from CR4", G64, &i_mov_cr4_rax, {0}, {MASK(0, ~0ull, 0), MASK(4, ~0ull, 0)}, R_VMCALL, 0, 0},
	{REQ("vmx04.2.5.2.15.now vmx04.3.1.2.2.2.now") "MOV from CR3, control off", G64, &i_mov_cr3_rax, {0}, {{0, 0}}, R_VMCALL, 0, 0},
	{REQ("vmx04.3.1.2.3.19 vmx04.2.5.8.2") "MOV to CR3, no target of count 0", G64, TO_CR3, {0x5000}, {{VMCS_PROC, P_CR3_LOAD}, {VMCS_CR3_TARGET0, 0x5000}}, R_CR, 3, 0},
	{REQ("vmx04.3.1.2.3.18 vmx04.2.5.8.2") "MOV to CR3, third target of count 2", G64, TO_CR3, {0x5000}, {{VMCS_PROC, P_CR3_LOAD}, {VMCS_CR3_COUNT, 2}, {VMCS_CR3_TARGET0 + 4, 0x5000}}, R_CR, 3, 0},
	{REQ("vmx04.2.5.8.3") "MOV to CR3, equal but for a high bit", G64, TO_CR3, {0x5000 | 1ull << 40}, {{VMCS_PROC, P_CR3_LOAD}, {VMCS_CR3_COUNT, 1}, {VMCS_CR3_TARGET0, 0x5000}}, R_CR, 3, 0},
	{REQ("vmx04.2.5.8.3") "MOV to CR3, equal but for PCD", G64, TO_CR3, {0x5010}, {{VMCS_PROC, P_CR3_LOAD}, {VMCS_CR3_COUNT, 1}, {VMCS_CR3_TARGET0, 0x5000}}, R_CR, 3, 0},
	{REQ("vmx04.2.5.2.8 vmx04.3.1.2.3.22 vmx04.2.8.1.24") "MOV to CR8, exiting", G64, TO_CR8, {5}, {{VMCS_PROC, P_CR8_LOAD}}, R_CR, 8, 0}, /* and with the shadow: cr8() */
	{REQ("vmx04.2.5.2.9 vmx04.3.1.2.3.21") "MOV from CR8, exiting", G64, FROM_CR8, {0}, {{VMCS_PROC, P_CR8_STORE}}, R_CR, 0x18, 0},
	{REQ("vmx04.2.5.2.9 vmx04.3.1.2.3.21") "MOV from CR8, control off", G64, FROM_CR8, {0}, {{0, 0}}, R_VMCALL, 0, 0},
};
/* clang-format on */

static u64 run1(u64 rax)
{
	memset(g_in, 0, sizeof(g_in));
	g_in[RAX] = rax;
	return go();
}

/* What a write that does not exit leaves in the register: owned bits stay, the shadow stays. */
static void writes(void)
{
	u64 cr0, cr4, pattern;

	guest(G64, &i_clts);
	on(VMCS_GUEST_CR0, TS);
	vmx_write(VMCS_CR0_SHADOW, TS);
	check("CLTS", run1(0), R_VMCALL);
	check(REQ("vmx04.3.1.1.1") "CLTS: TS is 0, whatever the shadow", vmx_read(VMCS_GUEST_CR0) & TS, 0);
	guest(G64, &i_clts);
	on(VMCS_GUEST_CR0, TS);
	vmx_write(VMCS_CR0_MASK, TS);
	check("CLTS", run1(0), R_VMCALL);
	check(REQ("vmx04.3.1.1.2") "CLTS: an owned TS stays", vmx_read(VMCS_GUEST_CR0) & TS, TS);
	for (u64 mask = 0; mask < 16; mask++) {
		guest(G64, &i_lmsw_ax);
		cr0 = (vmx_read(VMCS_GUEST_CR0) & ~0xfull) | 1;
		vmx_write(VMCS_GUEST_CR0, cr0);
		vmx_write(VMCS_CR0_MASK, mask);
		vmx_write(VMCS_CR0_SHADOW, 0xf);
		check("LMSW", run1(0xffff), R_VMCALL);
		check(REQ("vmx04.3.1.1.3") "LMSW: only guest-owned bits of 3:0", vmx_read(VMCS_GUEST_CR0), cr0 | (0xe & ~mask));
		check(REQ("vmx04.2.5.7.5") "LMSW: shadow", vmx_read(VMCS_CR0_SHADOW), 0xf);
	}
	/* CR0: AM and TS are the guest's, WP and MP the host's. */
	guest(G64, &i_mov_rax_cr0);
	cr0 = vmx_read(VMCS_GUEST_CR0) & ~(TS | 1 << 18);
	cr0 |= 1 << 16;
	cr0 &= ~2ull;
	vmx_write(VMCS_GUEST_CR0, cr0);
	vmx_write(VMCS_CR0_MASK, 1 << 16 | 2);
	vmx_write(VMCS_CR0_SHADOW, 2); /* WP reads 0, MP reads 1 */
	check(REQ("vmx04.2.5.7.1 vmx04.2.5.7.4 vmx04.3.1.1.10") "MOV to CR0", run1((cr0 & ~(1ull << 16)) | 2 | TS | 1 << 18), R_VMCALL);
	check(REQ("vmx04.3.3.3.2") "MOV to CR0: owned bits stay, others are taken", vmx_read(VMCS_GUEST_CR0), cr0 | TS | 1 << 18);
	check(REQ("vmx04.2.5.7.5") "MOV to CR0: shadow", vmx_read(VMCS_CR0_SHADOW), 2);
	guest(G64, &i_mov_rax_cr4);
	cr4 = vmx_read(VMCS_GUEST_CR4) & ~0xcull;
	vmx_write(VMCS_GUEST_CR4, cr4);
	vmx_write(VMCS_CR4_MASK, 4);
	vmx_write(VMCS_CR4_SHADOW, 4);
	check("MOV to CR4", run1(cr4 | 4 | 8), R_VMCALL);
	check(REQ("vmx04.3.1.1.12 vmx04.3.3.3.2") "MOV to CR4: owned bits stay, others are taken", vmx_read(VMCS_GUEST_CR4), cr4 | 8);
	check("MOV to CR4: shadow", vmx_read(VMCS_CR4_SHADOW), 4);
	/* a write that exits does nothing */
	guest(G64, &i_mov_rax_cr0);
	cr0 = vmx_read(VMCS_GUEST_CR0);
	vmx_write(VMCS_CR0_MASK, 4);
	check("MOV to CR0 exits", run1(cr0 ^ 4 ^ TS), (cr0 ^ 4) & 4 ? R_CR : R_VMCALL);
	guest(G64, &i_mov_rax_cr0);
	vmx_write(VMCS_CR0_MASK, 4);
	vmx_write(VMCS_CR0_SHADOW, 4);
	check("MOV to CR0 exits", run1((cr0 & ~4ull) ^ TS), R_CR);
	check(REQ("vmx04.2.5.7.3 vmx04.3.1.2.0.1") "CR0 as it was", vmx_read(VMCS_GUEST_CR0), cr0);
	check("RIP at the instruction", vmx_read(VMCS_GUEST_RIP), CODE);
	pattern = vmx_read(VMCS_CR0_SHADOW);
	check("shadow", pattern, 4);
}

static void reads(void)
{
	static const u64 masks[] = {0, ~0ull, 0x5555555555555555, 0x80000000, 8};
	u64 cr0, cr4, shadow = 0xfedcba9876543210;

	for (unsigned n = 0; n < sizeof(masks) / 8; n++) {
		u64 m = masks[n];

		guest(G64, &i_mov_cr0_cr4_smsw);
		cr0 = vmx_read(VMCS_GUEST_CR0);
		cr4 = vmx_read(VMCS_GUEST_CR4);
		vmx_write(VMCS_CR0_MASK, m);
		vmx_write(VMCS_CR0_SHADOW, shadow);
		vmx_write(VMCS_CR4_MASK, m);
		vmx_write(VMCS_CR4_SHADOW, ~shadow);
		memset(g_in, 0, sizeof(g_in));
		g_in[RSI] = (u64)scratch;
		scratch[0] = ~0ull;
		check("reads", go(), R_VMCALL);
		/* masks of zeros and of ones among them */
		check(REQ("vmx04.2.5.7.2 vmx04.3.1.1.4 vmx04.3.1.1.5 vmx04.3.1.1.6") "MOV from CR0", g_out[RCX], (cr0 & ~m) | (shadow & m));
		check(REQ("vmx04.3.1.1.7") "MOV from CR4", g_out[RDX], (cr4 & ~m) | (~shadow & m));
		check(REQ("vmx04.2.5.7.6 vmx04.3.1.1.9") "SMSW r32", g_out[RBX] & 0xffff, ((cr0 & ~m) | (shadow & m)) & 0xffff);
		check("SMSW m16", scratch[0], (((cr0 & ~m) | (shadow & m)) & 0xffff) | ~0xffffull);
		check("SMSW r64", g_out[RDI], (cr0 & ~m) | (shadow & m));
	}
	guest(G64, &i_mov_cr4_rcx);
	vmx_write(VMCS_CR4_MASK, 1 << 13);
	check("CR4", run1(0), R_VMCALL);
	check(REQ("vmx04.1.3.4") "CR4.VMXE hidden", g_out[RCX] >> 13 & 1, 0);
}

static void lmsw_memory(void)
{
	guest(G64, &i_lmsw_0x8_rsi);
	vmx_write(VMCS_CR0_MASK, 1);
	memset(g_in, 0, sizeof(g_in));
	g_in[RSI] = (u64)scratch;
	scratch[1] = 0x1235;
	check("LMSW m16", go(), R_CR);
	check(REQ("vmx04.2.8.1.30.now vmx04.2.8.1.34") "qualification", vmx_read(VMCS_QUALIFICATION), 0x12350070);
	check(REQ("vmx04.2.8.1.30.now vmx04.2.8.4.27.now") "linear address", vmx_read(VMCS_GUEST_LINEAR), (u64)&scratch[1]);
	check(REQ("vmx04.2.8.4.8") "length", vmx_read(VMCS_EXIT_LENGTH), 4);
}

static void targets(void)
{
	u64 own = read_cr3();

	for (unsigned n = 0; n < 4; n++) {
		guest(G64, &i_mov_rax_cr3);
		on(VMCS_PROC, P_CR3_LOAD);
		vmx_write(VMCS_CR3_COUNT, n + 1);
		vmx_write(VMCS_CR3_TARGET0 + 2 * n, own);
		check(REQ("vmx04.3.1.2.3.17") "MOV to CR3 of a target value", run1(own), R_VMCALL);
		guest(G64, &i_mov_rax_cr3);
		on(VMCS_PROC, P_CR3_LOAD);
		vmx_write(VMCS_CR3_COUNT, n);
		vmx_write(VMCS_CR3_TARGET0 + 2 * n, own);
		check(REQ("vmx04.2.5.8.2") "MOV to CR3 of one that does not count", run1(own), R_CR);
	}
	guest(G_COMPAT, &i_mov_eax_cr3_32); /* the operand has 32 bits, whatever is above */
	on(VMCS_PROC, P_CR3_LOAD);
	vmx_write(VMCS_CR3_COUNT, 1);
	vmx_write(VMCS_CR3_TARGET0, own);
	check("MOV to CR3 of a target value, 32 bits", run1(own | 1ull << 40), R_VMCALL);
	guest(G64, &i_mov_rax_cr3);
	check(REQ("vmx04.2.5.2.15.now") "MOV to CR3, control off", run1(own), R_VMCALL);
}

/* ---- CR8 ---- */

static u64 *vapic;

static void cr8_guest(u32 proc, u32 threshold, u8 shadow, const struct snippet *code)
{
	guest(G64, code);
	on(VMCS_PROC, proc);
	vmx_write(VMCS_VAPIC, (u64)vapic);
	vmx_write(VMCS_TPR_THRESHOLD, threshold);
	memset(vapic, 0xa5, 4096);
	*((u32 *)vapic + 0x20) = shadow;
}
#define VTPR (*((u32 *)vapic + 0x20))

static void cr8(void)
{
	vapic = fresh_page();
	write_cr8(3);
	cr8_guest(P_TPR, 0, 0x90, &i_mov_cr8_rax);
	check("MOV from CR8", run1(~0ull), R_VMCALL);
	check(REQ("vmx04.3.1.1.14 vmx04.3.1.1.15.now vmx04.2.5.9.3 vmx04.2.5.2.10") "the shadow, zero-extended", g_out[RAX], 9);
	cr8_guest(0, 0, 0x90, &i_mov_cr8_rax);
	check("MOV from CR8 without a shadow", run1(~0ull), R_VMCALL);
	check(REQ("vmx04.3.1.1.13 vmx04.2.5.2.10") "the processor's", g_out[RAX], 3);
	cr8_guest(P_TPR, 0, 0x9f, &i_mov_rax_cr8);
	VTPR = 0xdeadbe9f;
	check(REQ("vmx04.3.1.2.3.30") "MOV to CR8", run1(6), R_VMCALL); /* threshold 0 */
	check(REQ("vmx04.3.1.1.17 vmx04.3.1.1.18.now vmx04.2.9.2.1") "the shadow, its other bits 0", VTPR, 0x60);
	check(REQ("vmx04.2.5.9.8") "the processor's stays", read_cr8(), 3);
	cr8_guest(0, 0, 0x90, &i_mov_rax_cr8);
	check(REQ("vmx04.2.5.2.8") "MOV to CR8 without a shadow", run1(7), R_VMCALL);
	check(REQ("vmx04.3.1.1.16 vmx04.2.5.2.10") "the processor's", read_cr8(), 7);
	check("the page stays", VTPR, 0x90);
	write_cr8(0);
	cr8_guest(P_TPR, 0, 0x90, &i_mov_rax_cr8);
	on(VMCS_EXCEPTIONS, 1 << 13);
	check(REQ("vmx04.3.1.1.20") "MOV to CR8, bits 63:4", run1(0x16), R_EXCEPTION);
	check("#GP(0)", vmx_read(VMCS_EXIT_EVENT) == EV_E(13) && vmx_read(VMCS_EXIT_ERROR) == 0, 1);
	check("the shadow stays", VTPR, 0x90);
	cr8_guest(P_TPR | P_CR8_LOAD, 0, 0x90, &i_mov_rax_cr8);
	check(REQ("vmx04.3.1.2.3.22") "MOV to CR8, exiting and shadow", run1(6), R_CR);
	check("the shadow stays", VTPR, 0x90);
	cr8_guest(P_TPR | P_CR8_STORE, 0, 0x90, &i_mov_cr8_rax);
	check(REQ("vmx04.3.1.2.3.21") "MOV from CR8, exiting and shadow", run1(6), R_CR);
	for (u32 threshold = 0; threshold < 16; threshold++)
		for (u64 value = 0; value < 16; value++) {
			bool below = threshold > value;

			cr8_guest(P_TPR, threshold, 0xf0, &i_mov_rax_cr8);
			check(REQ("vmx04.3.1.2.3.28 vmx04.3.1.2.3.29 vmx04.3.1.2.3.30 vmx04.3.1.2.3.31.now vmx04.2.8.1.20 vmx04.2.5.9.4") "MOV to CR8 and the threshold", run1(value), below ? R_TPR : R_VMCALL);
			check(REQ("vmx04.3.1.2.3.32") "RIP behind it", vmx_read(VMCS_GUEST_RIP), CODE + 4); /* all others: rows() */
			check("the shadow is written", VTPR, value << 4);
		}
}

/* ---- MSR bitmaps: "MSR-Bitmap Address" ---- */

static u64 msr_at(const u8 *map, u32 msr, bool write)
{
	guest(G64, write ? &i_wrmsr : &i_rdmsr);
	on(VMCS_PROC, P_MSR_MAP);
	on(VMCS_EXCEPTIONS, 1 << 13);
	vmx_write(VMCS_MSR_BITMAP, (u64)map);
	memset(g_in, 0, sizeof(g_in));
	g_in[RCX] = msr;
	return go();
}

static void msr_bitmaps(void)
{
	static const u32 outside[] = {0x2000, 0xbfffffff, 0xc0002000, 0x40000000, 0xffffffff};
	static const u32 inside[] = {0x174, 0x175, 0x176, 0xc0000102, 0xc0000081}; /* writable, any small value */
	u8 *map = (u8 *)fresh_page();

	for (unsigned n = 0; n < sizeof(outside) / 4; n++) {
		check(REQ("vmx04.3.1.2.2.3.now vmx04.3.1.2.2.4.now vmx04.2.5.2.16.now") "RDMSR outside both ranges", msr_at(map, outside[n], false), R_RDMSR);
		check("WRMSR outside both ranges", msr_at(map, outside[n], true), R_WRMSR);
	}
	for (unsigned n = 0; n < sizeof(inside) / 4; n++) {
		u32 low = inside[n] & 0x1fff, base = inside[n] >> 31 ? 0x400 : 0;

		check("RDMSR, bit 0", msr_at(map, inside[n], false), R_VMCALL);
		check("WRMSR, bit 0", msr_at(map, inside[n], true), R_VMCALL);
		map[base + low / 8] = (u8)(1 << (low & 7));
		check("RDMSR, read bit 1", msr_at(map, inside[n], false), R_RDMSR);
		check("WRMSR, read bit 1", msr_at(map, inside[n], true), R_VMCALL);
		map[base + low / 8] = 0;
		map[0x800 + base + low / 8] = (u8)(1 << (low & 7));
		check("RDMSR, write bit 1", msr_at(map, inside[n], false), R_VMCALL);
		check("WRMSR, write bit 1", msr_at(map, inside[n], true), R_WRMSR);
		map[0x800 + base + low / 8] = 0;
	}
}

/* With unrestricted guest PE and PG may be cleared, NE may not. */
static void unrestricted(void)
{
	/* out of 64-bit mode first: a compatibility-mode guest clears PG, EFER.LMA with it, and calls */
	guest(G_COMPAT, &i_mov_eax_cr0_32);
	on(VMCS_PROC2, S_UNRESTRICTED);
	check(REQ("vmx04.1.8.7.now") "MOV to CR0 clearing PG", run1(0x31), R_VMCALL);
	check("CR0.PG", vmx_read(VMCS_GUEST_CR0) >> 31, 0);
	check("IA32_VMX_MISC bit 5", rdmsr(MSR_VMX_MISC) >> 5 & 1, 1);
	check(REQ("vmx04.2.2.4.now") "IA-32e mode guest follows LMA", vmx_read(VMCS_ENTRY_CONTROLS) >> 9 & 1, 0);
	/* without REX.R there is no CR8: in compatibility mode 44h is INC ESP and the rest MOV to CR0 */
	guest(G_COMPAT, &i_inc_esp_mov_eax_cr0_32);
	on(VMCS_PROC, P_CR8_LOAD);
	vmx_write(VMCS_CR0_MASK, TS);
	check("44 0F 22 C0 in compatibility mode", run1(0x80000031 | TS), R_CR);
	check(REQ("vmx04.3.1.1.19") "CR0", vmx_read(VMCS_QUALIFICATION), 0);
	check("RIP behind the INC", vmx_read(VMCS_GUEST_RIP), CODE + 1);
	guest(G_COMPAT, &i_mov_eax_cr0_32);
	on(VMCS_PROC2, S_UNRESTRICTED);
	on(VMCS_EXCEPTIONS, 1 << 13);
	check(REQ("vmx04.1.8.7.now") "MOV to CR0 clearing NE too", run1(0x11), R_EXCEPTION);
}

void test_registers(void)
{
	ROWS(exits);
	writes();
	reads();
	lmsw_memory();
	targets();
	cr8();
	msr_bitmaps();
	unrestricted();
}
