/* INVVPID and INVEPT: the operands of every type, and what each type leaves. "INVVPID", "INVEPT". */
#include "exits.h"

#define PAGE 0x10000000000ull /* a linear page of this file: 1 TiB */
#define SIX           0x8d5ull
#define NOT_CANONICAL (1ull << 62) /* whatever the width of linear addresses */

SNIPPET(v_nothing, "nop", "nop");

static u64 invalidate(bool vpid, u64 type, u64 low, u64 high)
{
	u64 operand[2] = {low, high};
	u64 flags;

	if (vpid)
		asm volatile("invvpid %1, %2; pushf; pop %0" : "=r"(flags) : "m"(operand), "r"(type) : "cc", "memory");
	else
		asm volatile("invept %1, %2; pushf; pop %0" : "=r"(flags) : "m"(operand), "r"(type) : "cc", "memory");
	return flags & SIX;
}

static void operands(void)
{
	enum { OK, BAD = 1 << 6 };
	u64 eptp;
	base(&v_nothing);
	eptp = vmx_read(VMCS_EPTP);
	const struct {
		const char *name;
		bool vpid;
		u64 type, low, high, flags;
	} row[] = {
	        {"INVVPID 0", true, 0, 5, PAGE, OK},
	        {"INVVPID 0 of VPID 0", true, 0, 0, PAGE, BAD},
	        {"INVVPID 0 of no canonical address", true, 0, 5, NOT_CANONICAL, BAD},
	        {"INVVPID 1", true, 1, 5, NOT_CANONICAL, OK},
	        {"INVVPID 1 of VPID 0", true, 1, 0, 0, BAD},
	        {"INVVPID 1, bit 16", true, 1, 5 | 1 << 16, 0, BAD},
	        {"INVVPID 2", true, 2, 0, NOT_CANONICAL, OK},
	        {"INVVPID 2, bit 63", true, 2, 1ull << 63, 0, BAD},
	        {"INVVPID 3", true, 3, 5, 0, OK},
	        {"INVVPID 3 of VPID 0", true, 3, 0, 0, BAD},
	        {"INVVPID 4", true, 4, 5, 0, BAD},
	        {"INVVPID 2^32 + 1", true, (1ull << 32) + 1, 5, 0, BAD},
	        {"INVEPT 0", false, 0, eptp, 0, BAD},
	        {"INVEPT 1", false, 1, eptp, 0, OK},
	        {"INVEPT 1, memory type 1", false, 1, (eptp & ~7ull) | 1, 0, BAD},
	        {"INVEPT 1, reserved bits", false, 1, eptp | 0xf00, 0, BAD},
	        {"INVEPT 1, an address too wide", false, 1, eptp | 1ull << 51, 0, BAD},
	        {"INVEPT 2", false, 2, ~0ull, 0, OK},
	        {"INVEPT 3", false, 3, eptp, 0, BAD},
	};

	for (unsigned n = 0; n < COUNT(row); n++) {
		vmx_write(VMCS_ERROR, 0);
		vcheck(row[n].name, "flags", invalidate(row[n].vpid, row[n].type, row[n].low, row[n].high),
		       row[n].flags);
		vcheck(row[n].name, "error", vmx_read(VMCS_ERROR), row[n].flags ? 28 : 0);
	}
}

/* Two pages, the second one global, and what a guest of VPID 21 still sees of them after both were mapped anew. */
static volatile u32 *const first = (u32 *)PAGE, *const second = (u32 *)(PAGE + 0x1000);

static void two_pages_guest(void)
{
	seen[0] = *first;
	seen[1] = *second;
	asm volatile("vmcall");
}

static void resumed(const char *name, u64 one, u64 two)
{
	vmx_write(VMCS_GUEST_RIP, (u64)two_pages_guest);
	vcheck(name, "runs", again(), R_VMCALL);
	vcheck(name, "first", seen[0], one);
	vcheck(name, "second, global", seen[1], two);
}

static void map_both(u64 pa)
{
	map_page(pml4, PAGE, pa, 3);
	map_page(pml4, PAGE + 0x1000, pa, 3 | 1 << 8);
	invlpg((void *)PAGE);
	invlpg((void *)(PAGE + 0x1000));
}

static void types(void)
{
	const struct snippet s = {(char *)two_pages_guest, NULL, NULL};
	static const struct {
		const char *name;
		u64 type, vpid, address;
		u32 one, two;
	} row[] = {
	        {"INVVPID 0, the first page", 0, 21, PAGE, 0x2222, 0x1111},
	        {"INVVPID 0, the second page", 0, 21, PAGE + 0x1000, 0x1111, 0x2222},
	        {"INVVPID 0, another VPID", 0, 22, PAGE, 0x1111, 0x1111},
	        {"INVVPID 1", 1, 21, 0, 0x2222, 0x2222},
	        {"INVVPID 1, another VPID", 1, 22, 0, 0x1111, 0x1111},
	        {"INVVPID 2", 2, 0, 0, 0x2222, 0x2222},
	        {"INVVPID 3", 3, 21, 0, 0x2222, 0x1111},
	        {"INVVPID 3, another VPID", 3, 22, 0, 0x1111, 0x1111},
	};
	u32 *a = page_alloc(), *b = page_alloc();

	a[0] = 0x1111;
	b[0] = 0x2222;
	for (unsigned n = 0; n < COUNT(row); n++) {
		map_both((u64)a);
		invalidate(true, 2, 0, 0);
		base(&s);
		on(VMCS_GUEST_CR4, 1 << 7);
		on(VMCS_PROC2, S_VPID);
		vmx_write(VMCS_VPID, 21);
		check("INVVPID: starts", go(), R_VMCALL);
		map_both((u64)b);
		resumed("INVVPID: nothing so far", 0x1111, 0x1111);
		invalidate(true, row[n].type, row[n].vpid, row[n].address);
		resumed(row[n].name, row[n].one, row[n].two);
	}
	map_both((u64)a);
	base(&s); /* without VPIDs entry and exit flush */
	on(VMCS_GUEST_CR4, 1 << 7);
	check("no VPID: starts", go(), R_VMCALL);
	map_both((u64)b);
	resumed("no VPID", 0x2222, 0x2222);
}

void test_invalidation(void)
{
	operands();
	types();
}
