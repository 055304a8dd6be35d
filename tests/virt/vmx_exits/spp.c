/* Sub-page write permissions: who asks the table, what it says, and the exits of a table that says nothing. */
#include "exits.h"

#define PAGE 0x12000000ull /* two 4-KByte pages from here on */
enum { R = 1, W = 2, X = 4, WB = 6 << 3 };
#define SUB_PAGE  (1ull << 61)
#define AD        (1 << 6)
#define MISS      (1 << 11)
#define ALL       0x5555555555555555ull
#define BIT_OF(n) (1ull << 2 * (n))
/* Write, linear address valid, translation itself; linear address writable; the entries grant R and X. */
#define DENIED (2 | 1 << 7 | 1 << 8 | 1 << 10 | 5 << 3)

static u64 where __attribute__((used));
SNIPPET(g_store, "mov where, %rbx", "movq $1, (%rbx)");
SNIPPET(g_add, "mov where, %rbx", "addq $1, (%rbx)");
SNIPPET(g_load, "mov where, %rbx", "mov (%rbx), %rax");
SNIPPET(g_copy, "mov where, %rdi; lea scratch, %rsi; mov $32, %ecx; cld", "rep movsq");
SNIPPET(g_int, "mov where, %rsp", "int $0x40");

static u64 *leaf;   /* the page's EPT entry, and behind it the next page's */
static u64 *spt[5]; /* [4] to [2] lead on, [1] holds the vectors of the two pages */

static void sub_pages(const struct snippet *s, u64 at)
{
	u64 *table = page_alloc();

	base(s);
	where = at;
	for (unsigned n = 0; n < 512; n++)
		table[n] = (PAGE + 4096 * n) | WB | R | W | X;
	*vmx_ept_entry(PAGE) = (u64)table | R | W | X;
	leaf = &table[PAGE >> 12 & 511];
	leaf[0] = PAGE | WB | R | X | SUB_PAGE;
	leaf[1] = (PAGE + 4096) | WB | R | X | SUB_PAGE;
	for (unsigned level = 4; level; level--)
		spt[level] = page_alloc();
	for (unsigned level = 4; level > 1; level--)
		spt[level][PAGE >> (12 + 9 * (level - 1)) & 511] = (u64)spt[level - 1] | 1;
	on(VMCS_PROC2, S_SPP);
	vmx_write(VMCS_SPPTP, (u64)spt[4]);
}

static u64 *vector(unsigned page)
{
	return &spt[1][(PAGE >> 12 & 511) + page];
}

static u64 *entry_of(unsigned level)
{
	return &spt[level][PAGE >> (12 + 9 * (level - 1)) & 511];
}

static void denied(const char *name)
{
	vcheck(name, "violation", go(), R_EPT);
	vcheck(name, "qualification", vmx_read(VMCS_QUALIFICATION), DENIED);
	vcheck(name, "guest-physical address", vmx_read(VMCS_GUEST_PHYSICAL), where);
	vcheck(name, "linear address", vmx_read(VMCS_GUEST_LINEAR), where);
}

static void test_permission(void)
{
	sub_pages(&g_store, PAGE + 8);
	*vector(0) = ALL;
	off(VMCS_PROC2, S_SPP);
	denied("SPP off: the bit in the EPT entry is ignored");
	sub_pages(&g_store, PAGE + 8);
	*vector(0) = BIT_OF(0);
	*(u64 *)(PAGE + 8) = 0;
	stays("SPP, the sub-page may be written", &g_store);
	check("SPP, the sub-page may be written: it is", *(u64 *)(PAGE + 8), 1);
	sub_pages(&g_store, PAGE + 8);
	*vector(0) = ALL & ~BIT_OF(0);
	*(u64 *)(PAGE + 8) = 0;
	denied("SPP, the sub-page may not be written");
	check("SPP, the sub-page may not be written: it is not", *(u64 *)(PAGE + 8), 0);
	sub_pages(&g_store, PAGE + 128);
	*vector(0) = BIT_OF(1);
	stays("SPP, the first byte of the second sub-page", &g_store);
	sub_pages(&g_store, PAGE + 4088);
	*vector(0) = BIT_OF(31);
	stays("SPP, the last sub-page", &g_store);
	sub_pages(&g_store, PAGE + 4096);
	*vector(0) = ALL;
	denied("SPP, the next page has its own vector");
	sub_pages(&g_add, PAGE + 8);
	*vector(0) = BIT_OF(0);
	*(u64 *)(PAGE + 8) = 7;
	stays("SPP, read-modify-write", &g_add);
	check("SPP, read-modify-write: done", *(u64 *)(PAGE + 8), 8);
	sub_pages(&g_load, PAGE + 8);
	stays("SPP, reads do not ask", &g_load);
	sub_pages(&g_add, PAGE + 8);
	*vector(0) = ALL;
	*leaf &= ~(u64)R;
	check("SPP, read-modify-write without the right to read", go(), R_EPT);
}

static void test_again(void)
{
	sub_pages(&g_store, PAGE + 8);
	*vector(0) = BIT_OF(0);
	stays("SPP, a second write", &g_store);
	*vector(0) = 0;
	vmx_write(VMCS_GUEST_RIP, (u64)g_store.entry);
	check("SPP, a second write asks again", again(), R_EPT);
	sub_pages(&g_copy, PAGE);
	*vector(0) = BIT_OF(0);
	check("SPP, a string: exits", go(), R_EPT);
	check("SPP, a string: at the sub-page it may not write", vmx_read(VMCS_GUEST_PHYSICAL), PAGE + 128);
	check("SPP, a string: half of it is done", vmx_read(VMCS_GUEST_RIP) == (u64)g_copy.at, 1);
}

/* ERRATA E71 */
static void test_straddling(void)
{
	sub_pages(&g_store, PAGE + 124);
	*vector(0) = BIT_OF(0) | BIT_OF(1);
	stays("SPP, two sub-pages", &g_store);
	sub_pages(&g_store, PAGE + 124);
	*vector(0) = BIT_OF(0);
	denied("SPP, two sub-pages, one forbids");
	sub_pages(&g_store, PAGE + 124);
	*vector(0) = BIT_OF(1);
	denied("SPP, two sub-pages, the other forbids");
	sub_pages(&g_store, PAGE + 4092);
	*vector(0) = *vector(1) = ALL;
	denied("SPP, two pages");
}

/* "Write Accesses That Are Eligible for Sub-Page Write Permissions" */
static void test_eligible(void)
{
	u64 window = 0x8080000000ull, *table = pml4, *pte;

	sub_pages(&g_store, PAGE + 8);
	*leaf &= ~SUB_PAGE;
	*vector(0) = ALL;
	denied("SPP, bit 61 of the entry is 0");
	sub_pages(&g_store, PAGE + 8);
	*vector(0) = ALL;
	*leaf |= W;
	*entry_of(4) = 0;
	stays("SPP, the page may be written anyway", &g_store);
	sub_pages(&g_store, PAGE + 8);
	*vector(0) = ALL;
	*vmx_ept_entry(PAGE) = PAGE | 1 << 7 | WB | R | X | SUB_PAGE;
	denied("SPP, a 2-MByte page");
	sub_pages(&g_store, PAGE + 8);
	*vector(0) = ALL;
	*leaf |= W;
	*vmx_ept_entry(PAGE) &= ~(u64)W;
	stays("SPP, an upper entry forbids", &g_store);
	map_page(pml4, window, PAGE, 3);
	for (unsigned shift = 39; shift > 21; shift -= 9)
		table = (u64 *)(table[window >> shift & 511] & 0x000ffffffffff000ull);
	memcpy((void *)PAGE, (void *)(table[window >> 21 & 511] & 0x000ffffffffff000ull), 4096);
	table[window >> 21 & 511] = PAGE | 3; /* its page table lies on the protected page */
	pte = (u64 *)PAGE + (window >> 12 & 511);
	*pte &= ~0x20ull;
	sub_pages(&g_load, window);
	*vector(0) = ALL;
	check("SPP, an accessed flag of guest paging: violation", go(), R_EPT);
	check("SPP, an accessed flag of guest paging: qualification", vmx_read(VMCS_QUALIFICATION) & 0x182, 0x82);
	*pte |= 0x20;
}

static void event_66(const char *name, u64 qualification)
{
	vcheck(name, "SPP-related event", go(), R_SPP);
	vcheck(name, "qualification", vmx_read(VMCS_QUALIFICATION), qualification);
	vcheck(name, "guest-physical address", vmx_read(VMCS_GUEST_PHYSICAL), where);
	vcheck(name, "linear address", vmx_read(VMCS_GUEST_LINEAR), where);
	vcheck(name, "RIP", vmx_read(VMCS_GUEST_RIP), (u64)g_store.at);
	vcheck(name, "RF in the saved RFLAGS", vmx_read(VMCS_GUEST_RFLAGS) >> 16 & 1, 1);
}

/* "SPP-Induced VM Exits" */
static void test_table(void)
{
	for (unsigned level = 4; level > 1; level--) {
		sub_pages(&g_store, PAGE + 8);
		*vector(0) = ALL;
		*entry_of(level) &= ~1ull;
		event_66("SPP miss", MISS);
		sub_pages(&g_store, PAGE + 8);
		*entry_of(level) = 0xffe;
		event_66("SPP miss, whatever the other bits", MISS);
		for (unsigned bit = 1; bit < 12; bit += 10) {
			sub_pages(&g_store, PAGE + 8);
			*vector(0) = ALL;
			*entry_of(level) |= 1ull << bit;
			event_66("SPP misconfiguration, reserved bit", 0);
		}
		sub_pages(&g_store, PAGE + 8);
		*vector(0) = ALL;
		*entry_of(level) |= 1ull << 46; /* the physical-address width here */
		event_66("SPP misconfiguration, address too wide", 0);
	}
	for (unsigned bit = 1; bit < 64; bit += 62) {
		sub_pages(&g_store, PAGE + 8);
		*vector(0) = ALL | 1ull << bit;
		event_66("SPP misconfiguration, odd bit of the vector", 0);
	}
}

static void test_beside(void)
{
	u64 *log = page_alloc();

	sub_pages(&g_store, PAGE + 8);
	on(VMCS_EPTP, AD);
	*vector(0) = ALL;
	stays("SPP, accessed and dirty", &g_store);
	check("SPP, accessed and dirty: set", *leaf & 0x300, 0x300);
	sub_pages(&g_store, PAGE + 8);
	on(VMCS_EPTP, AD);
	denied("SPP, denied with accessed and dirty");
	check("SPP, denied: not dirty", *leaf & 0x200, 0);
	sub_pages(&g_store, PAGE + 8);
	on(VMCS_EPTP, AD);
	on(VMCS_PROC2, S_PML);
	vmx_write(VMCS_PML, (u64)log);
	vmx_write(VMCS_PML_INDEX, 0xffff);
	*vector(0) = ALL;
	check("SPP, log full: exits", go(), R_PML);
	sub_pages(&g_int, PAGE + 0x800);
	*entry_of(2) = 0;
	check("SPP miss in event delivery: exits", go(), R_SPP);
	check("SPP miss in event delivery: the event", vmx_read(VMCS_VECTORING), 0x80000440);
	check("SPP miss in event delivery: length", vmx_read(VMCS_EXIT_LENGTH), 2);
}

void test_spp(void)
{
	test_permission();
	test_again();
	test_straddling();
	test_eligible();
	test_table();
	test_beside();
}
