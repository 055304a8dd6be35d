/* EPT paging-write control: pages that only the flags of guest paging may change. Guest-paging verification: pages that want
 * to be reached through such pages only. */
#include "exits.h"

#define TABLE  0x14000000ull   /* holds the guest's page table for WINDOW */
#define DATA   0x14001000ull   /* what WINDOW maps */
#define WINDOW 0x80c0000000ull /* linear */
enum { R = 1, W = 2, X = 4, WB = 6 << 3, A = 0x20, D = 0x40 };
#define AD              (1 << 6)
#define VMCS_PROC3         0x2034
#define PAGING_WRITE    (1ull << 58)
#define VERIFY          (1ull << 57)
#define NOT_VERIFIED    (1 << 15)
#define READ_OF_ALL     (1 | 7 << 3 | 1 << 7 | 1 << 8 | 1 << 10)

static u64 window __attribute__((used)) = WINDOW + 8, table __attribute__((used)) = TABLE + 8;
SNIPPET(g_load, "mov window, %rbx", "mov (%rbx), %rax");
SNIPPET(g_store, "mov window, %rbx", "movq $1, (%rbx)");
SNIPPET(g_forge, "mov table, %rbx", "movq $1, (%rbx)");

static u64 *pte;         /* the guest's entry for WINDOW, on TABLE */
static u64 *leaf, *data; /* the EPT entries of TABLE and DATA */

static void build_window(void)
{
	u64 *t = pml4;

	map_page(pml4, WINDOW, DATA, 3);
	for (unsigned shift = 39; shift > 21; shift -= 9)
		t = (u64 *)(t[WINDOW >> shift & 511] & 0x000ffffffffff000ull);
	memset((void *)TABLE, 0, 4096);
	t[WINDOW >> 21 & 511] = TABLE | 3;
	pte = (u64 *)TABLE + (WINDOW >> 12 & 511);
}

/* Every paging structure but the last one lies where both may write. */
static void prepare(const struct snippet *s, u64 table_entry, u64 controls)
{
	u64 *t = page_alloc();

	base(s);
	for (unsigned n = 0; n < 512; n++)
		t[n] = (TABLE + 4096 * n) | WB | R | W | X;
	*vmx_ept_entry(TABLE) = (u64)t | R | W | X;
	leaf = &t[TABLE >> 12 & 511];
	data = &t[DATA >> 12 & 511];
	*leaf = TABLE | WB | table_entry;
	for (u64 at = 0; at < 0x2000000; at += 0x200000)
		*vmx_ept_entry(at) |= PAGING_WRITE;
	on(VMCS_PROC, P_TERTIARY);
	vmx_write(VMCS_PROC3, controls);
	*pte = DATA | 3;
}

static void paging_violation(const char *name)
{
	vcheck(name, "violation", go(), R_EPT);
	vcheck(name, "of a paging structure", vmx_read(VMCS_QUALIFICATION) & (2 | 1 << 7 | 1 << 8 | NOT_VERIFIED), 2 | 1 << 7);
	vcheck(name, "guest-physical address", vmx_read(VMCS_GUEST_PHYSICAL), (u64)pte);
	vcheck(name, "no flag is set", *pte & (A | D), 0);
}

static void test_write(void)
{
	prepare(&g_load, R | X | PAGING_WRITE, 0);
	paging_violation("paging write, off");
	prepare(&g_load, R | X | PAGING_WRITE, T_PAGING_WRITE);
	off(VMCS_PROC, P_TERTIARY);
	paging_violation("paging write, no tertiary controls");
	prepare(&g_load, R | X, T_PAGING_WRITE);
	paging_violation("paging write, not for this page");
	prepare(&g_load, R | X | PAGING_WRITE, T_PAGING_WRITE);
	stays("paging write, accessed", &g_load);
	check("paging write, accessed: set", *pte & (A | D), A);
	prepare(&g_store, R | X | PAGING_WRITE, T_PAGING_WRITE);
	stays("paging write, dirty", &g_store);
	check("paging write, dirty: set", *pte & (A | D), A | D);
	prepare(&g_load, R | W | X | PAGING_WRITE, T_PAGING_WRITE);
	*vmx_ept_entry(TABLE) &= ~(u64)W;
	paging_violation("paging write, an upper entry forbids");
	prepare(&g_forge, R | X | PAGING_WRITE, T_PAGING_WRITE);
	check("paging write, a store: violation", go(), R_EPT);
	check("paging write, a store: final translation", vmx_read(VMCS_QUALIFICATION) & 0x182, 0x182);
}

static void test_flags(void)
{
	prepare(&g_load, R | X | PAGING_WRITE, T_PAGING_WRITE);
	on(VMCS_EPTP, AD);
	*pte |= A;
	stays("paging write, accessed and dirty flags for EPT", &g_load);
	check("paging write, accessed and dirty flags for EPT: dirty", *leaf & 0x300, 0x300);
	prepare(&g_load, R | X, T_PAGING_WRITE);
	on(VMCS_EPTP, AD);
	*pte |= A;
	check("accessed and dirty flags for EPT, not for this page", go(), R_EPT);
}

static void test_misconfiguration(void)
{
	prepare(&g_forge, X | PAGING_WRITE, T_PAGING_WRITE);
	check("paging-writable, not readable: misconfiguration", go(), R_MISCONFIG);
	check("paging-writable, not readable: address", vmx_read(VMCS_GUEST_PHYSICAL), table);
	prepare(&g_forge, X | PAGING_WRITE, 0);
	check("the same while the control is 0: violation", go(), R_EPT);
	prepare(&g_forge, X, T_PAGING_WRITE);
	check("not paging-writable, not readable: violation", go(), R_EPT);
}

static void unverified(const char *name, u64 qualification)
{
	vcheck(name, "violation", go(), R_EPT);
	vcheck(name, "qualification", vmx_read(VMCS_QUALIFICATION), qualification);
	vcheck(name, "guest-physical address", vmx_read(VMCS_GUEST_PHYSICAL), DATA + 8);
	vcheck(name, "linear address", vmx_read(VMCS_GUEST_LINEAR), window);
}

static void test_verification(void)
{
	const u64 both = T_PAGING_WRITE | T_VERIFICATION;

	prepare(&g_load, R | W | X, both);
	*data |= VERIFY;
	unverified("verification, the page table", READ_OF_ALL | NOT_VERIFIED);
	prepare(&g_load, R | W | X | PAGING_WRITE, both);
	*data |= VERIFY;
	stays("verification, all structures are guarded", &g_load);
	prepare(&g_load, R | W | X | PAGING_WRITE, both);
	*data |= VERIFY;
	*vmx_ept_entry((u64)pml4) &= ~PAGING_WRITE;
	unverified("verification, the PML4 table", READ_OF_ALL | NOT_VERIFIED);
	prepare(&g_load, R | W | X, both);
	stays("verification, not for this page", &g_load);
	prepare(&g_load, R | W | X, T_PAGING_WRITE);
	*data |= VERIFY;
	stays("verification, off", &g_load);
	prepare(&g_load, R | W | X, T_VERIFICATION);
	*data |= VERIFY;
	stays("verification without paging-write control", &g_load);
	prepare(&g_store, R | W | X, both);
	*data |= VERIFY;
	*pte &= ~(u64)W;
	on(VMCS_EXCEPTIONS, 1 << 14);
	check("verification: #PF first", go(), R_EXCEPTION);
	prepare(&g_store, R | W | X, both); /* ERRATA E73 */
	*data = DATA | WB | R | X | VERIFY;
	unverified("verification: the rights first", 2 | 5 << 3 | 1 << 7 | 1 << 8 | 1 << 10);
}

void test_paging_write(void)
{
	build_window();
	test_write();
	test_flags();
	test_misconfiguration();
	test_verification();
}
