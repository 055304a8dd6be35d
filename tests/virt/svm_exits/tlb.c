/* "TLB Control": stale translations stay until they are removed, and exactly those go that the manual names. */
#include "exits.h"

#define DATA   0x8000000ull
#define PAGE_A 0x8400000ull
#define PAGE_B 0x8401000ull
enum { A = 0xaa, B = 0xbb };

SNIPPET(look, "mov $0x8000000, %eax", "mov (%rax), %rbx; mov %rbx, seen");
SNIPPET(cr3_look, "mov %cr3, %rax; mov %rax, %cr3; mov $0x8000000, %eax", "mov (%rax), %rbx; mov %rbx, seen");
SNIPPET(pge_look, "mov %cr4, %rax; xor $0x80, %al; mov %rax, %cr4; mov $0x8000000, %eax",
	"mov (%rax), %rbx; mov %rbx, seen");
SNIPPET(invlpg_look, "mov $0x8000000, %eax; invlpg (%rax)", "mov (%rax), %rbx; mov %rbx, seen");
SNIPPET(cr3_only, "mov %cr3, %rax", "mov %rax, %cr3");

#define INVPCID_LOOK(type)                                                                                             \
	SNIPPET(invpcid##type##_look, "mov $" #type ", %ecx; invpcid tlb_page, %rcx; mov $0x8000000, %eax",            \
		"mov (%rax), %rbx; mov %rbx, seen")
u64 tlb_page[2] __attribute__((used)) = {0, DATA}; /* PCID 0, the address */
INVPCID_LOOK(0);
INVPCID_LOOK(1);
INVPCID_LOOK(2);
INVPCID_LOOK(3);

static u64 *entry;

static void map(u64 page)
{
	*entry = page | 0x67;
}

static u64 see(const struct snippet *s, unsigned asid, unsigned tlb)
{
	v->rip = (u64)s->entry;
	v->asid = asid;
	v->tlb_control = tlb;
	seen[0] = 0;
	return go() == EXIT_VMMCALL ? seen[0] : ~0ull;
}

/* Page A is cached for ASIDs 1 and 2, page B is what the tables say. */
static void stale(void)
{
	map(PAGE_A);
	see(&look, 1, 1);
	see(&look, 2, 0);
	map(PAGE_B);
}

static void invlpga(u64 address, unsigned asid)
{
	asm volatile("invlpga" ::"a"(address), "c"(asid) : "memory");
}

static void prepare(void)
{
	u64 *pde, *l1 = page_alloc();

	*(u64 *)PAGE_A = A;
	*(u64 *)PAGE_B = B;
	base(&look);
	pde = svm_nested_entry(v, DATA);
	for (unsigned n = 0; n < 512; n++)
		l1[n] = (DATA + n * 4096) | 7;
	*pde = (u64)l1 | 7;
	entry = &l1[0];
}

/* Global pages: TLB_CONTROL 7 and MOV CR3 leave them, 3 and CR4.PGE take them. The nested entry behind them is cached
 * with them. */
static void global_pages(void)
{
	static const struct {
		const char *name;
		const struct snippet *s;
		unsigned tlb;
		u64 global, other;
	} rows[] = {{"TLB_CONTROL 0", &look, 0, A, A},
		    {"TLB_CONTROL 7", &look, 7, A, B},
		    {"TLB_CONTROL 3", &look, 3, B, B},
		    {"TLB_CONTROL 1", &look, 1, B, B},
		    {"MOV CR3", &cr3_look, 0, A, B},
		    {"MOV CR4, PGE", &pge_look, 0, B, B},
		    {"INVLPG", &invlpg_look, 0, B, B}};
	u64 *l2 = (u64 *)(((u64 *)(user_pml4[0] & ~0xfffull))[0] & ~0xfffull);

	for (unsigned n = 0; n < COUNT(rows); n++) {
		for (unsigned global = 0; global < 2; global++) {
			l2[DATA >> 21] = DATA | 0x87 | global << 8;
			v->cr4 |= 0x80;
			map(PAGE_A);
			see(&look, 1, 1);
			map(PAGE_B);
			vcheck(rows[n].name, global ? "a global page" : "another page", see(rows[n].s, 1, rows[n].tlb),
				global ? rows[n].global : rows[n].other);
		}
	}
	l2[DATA >> 21] = DATA | 0x87;
	v->cr4 &= ~0x80ull;
	see(&look, 1, 1);
}

/* INVPCID in the guest: types 0, 1 and 3 leave global pages, all leave the other ASIDs. */
static void guest_invpcid(void)
{
	static const struct {
		const char *name;
		const struct snippet *s;
		u64 global;
	} rows[] = {{"INVPCID 0", &invpcid0_look, A}, {"INVPCID 1", &invpcid1_look, A}, {"INVPCID 2", &invpcid2_look, B},
		    {"INVPCID 3", &invpcid3_look, A}};
	u64 *l2 = (u64 *)(((u64 *)(user_pml4[0] & ~0xfffull))[0] & ~0xfffull);

	for (unsigned n = 0; n < 2 * COUNT(rows); n++) {
		unsigned global = n % 2;

		l2[DATA >> 21] = DATA | 0x87 | global << 8;
		v->cr4 |= 0x80;
		stale();
		vcheck(rows[n / 2].name, global ? "a global page" : "another page", see(rows[n / 2].s, 1, 0),
			global ? rows[n / 2].global : B);
		vcheck(rows[n / 2].name, "the other ASID", see(&look, 2, 0), A);
	}
	l2[DATA >> 21] = DATA | 0x87;
	v->cr4 &= ~0x80ull;
	see(&look, 1, 1);
}

/* ---- INVLPGB: which entries go, of two ASIDs that have the page ---- */

enum { VA = 1, PCID = 2, ASID = 4, GLOBAL = 8, FINAL = 16, NESTED = 32, STEP_2M = 1u << 31 };
SNIPPET(broadcast_look, "mov seen+8, %rax; mov seen+16, %rdx; xor %ecx, %ecx; invlpgb; tlbsync; mov $0x8000000, %eax",
	"mov (%rax), %rbx; mov %rbx, seen");

static void invlpgb(u64 rax, u32 ecx, u32 edx)
{
	asm volatile("invlpgb; tlbsync" ::"a"(rax), "c"(ecx), "d"(edx) : "memory");
}

static const struct {
	const char *name;
	u64 rax;
	u32 ecx, edx;
	u64 first, second; /* what the guests of ASID 1 and 2 see then */
} invlpgb_rows[] = {
	{"INVLPGB, ASID 1", ASID, 0, 1, B, A},
	{"INVLPGB, ASID 2", ASID, 0, 2, A, B},
	{"INVLPGB, the host", ASID | GLOBAL, 0, 0, A, A},
	{"INVLPGB, any ASID", 0, 0, 0, B, B},
	{"INVLPGB, any ASID, the operand is not looked at", 0, 0, 0xffff, B, B},
	{"INVLPGB, any ASID, globals", GLOBAL, 0, 0, B, B},
	{"INVLPGB, page and ASID", DATA | VA | ASID, 0, 1, B, A},
	{"INVLPGB, page of any ASID", DATA | VA, 0, 0, B, B},
	{"INVLPGB, another page", (DATA + 0x200000) | VA | ASID, 0, 1, A, A},
	{"INVLPGB, another page of any ASID", (DATA + 0x200000) | VA, 0, 0, A, A},
	{"INVLPGB, another piece of the page", (DATA + 0x1000) | VA | ASID, 0, 1, B, A},
	{"INVLPGB, another piece, any ASID", (DATA + 0x1000) | VA, 0, 0, B, B},
	{"INVLPGB, the page before", (DATA - 0x1000) | VA | ASID, 0, 1, A, A},
	{"INVLPGB, two pages", (DATA - 0x1000) | VA | ASID, 1, 1, B, A},
	{"INVLPGB, eight pages", (DATA - 0x7000) | VA | ASID, 7, 1, B, A},
	{"INVLPGB, seven pages", (DATA - 0x7000) | VA | ASID, 6, 1, A, A},
	{"INVLPGB, two pages 2 MiB apart", (DATA - 0x200000) | VA | ASID, STEP_2M | 1, 1, B, A},
	{"INVLPGB, two pages 4 KiB apart", (DATA - 0x200000) | VA | ASID, 1, 1, A, A},
	{"INVLPGB, PCID 0", PCID | ASID, 0, 1, B, A},
	{"INVLPGB, PCID 3", PCID | ASID, 0, 3 << 16 | 1, A, A},
	{"INVLPGB, PCID 0 of any ASID", PCID, 0, 0, B, B},
	{"INVLPGB, PCID 3 of any ASID", PCID, 0, 3 << 16, A, A},
	{"INVLPGB, page and PCID", DATA | VA | PCID | ASID, 0, 1, B, A},
	{"INVLPGB, page and another PCID", DATA | VA | PCID | ASID, 0, 3 << 16 | 1, A, A},
	{"INVLPGB, final translations", DATA | VA | ASID | FINAL, 0, 1, B, A},
	{"INVLPGB, nested translations", ASID | NESTED, 0, 1, B, A},
};

/* By the guest with ASID 1: it reaches nobody else, whatever ASID it names. docs/ERRATA.md E80 */
static const struct {
	const char *name;
	u64 rax;
	u32 edx;
	u64 first, second;
} guest_rows[] = {
	{"INVLPGB in the guest", 0, 0, B, A},
	{"INVLPGB in the guest, its ASID", ASID, 1, B, A},
	{"INVLPGB in the guest, the other's ASID", ASID, 2, B, A},
	{"INVLPGB in the guest, an ASID that cannot be", ASID, 0xffff, B, A},
	{"INVLPGB in the guest, the page", DATA | VA, 0, B, A},
	{"INVLPGB in the guest, another page", (DATA + 0x200000) | VA, 0, A, A},
	{"INVLPGB in the guest, nested", NESTED, 0, B, A},
};

/* Global pages go with bit 3 only. PCIDs: the guest's own number. */
static void invlpgb_kinds(void)
{
	static const struct {
		const char *name;
		u64 rax, global, other;
	} rows[] = {
		{"INVLPGB of the ASID", ASID, A, B},
		{"INVLPGB of the ASID, globals", ASID | GLOBAL, B, B},
		{"INVLPGB of the page", DATA | VA | ASID, A, B},
		{"INVLPGB of the page, globals", DATA | VA | ASID | GLOBAL, B, B},
		{"INVLPGB of the PCID, globals", PCID | ASID | GLOBAL, B, B},
		{"INVLPGB of any ASID's page, globals", DATA | VA | GLOBAL, B, B},
		{"INVLPGB of nested translations", ASID | NESTED, B, B},
	};
	u64 *l2 = (u64 *)(((u64 *)(user_pml4[0] & ~0xfffull))[0] & ~0xfffull);

	for (unsigned n = 0; n < 2 * COUNT(rows); n++) {
		unsigned global = n % 2;

		l2[DATA >> 21] = DATA | 0x87 | global << 8;
		v->cr4 |= 0x80;
		map(PAGE_A);
		see(&look, 1, 1);
		map(PAGE_B);
		invlpgb(rows[n / 2].rax, 0, 1);
		vcheck(rows[n / 2].name, global ? "a global page" : "another page", see(&look, 1, 0),
			global ? rows[n / 2].global : rows[n / 2].other);
	}
	l2[DATA >> 21] = DATA | 0x87;
	v->cr4 &= ~0x80ull;
	for (unsigned n = 0; n < 4; n++) {
		v->cr4 |= 1 << 17;
		v->cr3 = (u64)user_pml4 | 5;
		map(PAGE_A);
		see(&look, 1, 1);
		map(PAGE_B);
		invlpgb(n & 2 ? DATA | VA | PCID | ASID : PCID | ASID, 0, (n & 1 ? 5u : 4u) << 16 | 1);
		vcheck("INVLPGB under PCIDs", n & 1 ? "its own" : "another", see(&look, 1, 0), n & 1 ? B : A);
	}
	v->cr4 &= ~(1ull << 17);
	v->cr3 = (u64)user_pml4;
	see(&look, 1, 1);
}

void tlb_broadcast(void)
{
	prepare();
	v->np_enable |= 1 << 7;
	for (unsigned n = 0; n < COUNT(invlpgb_rows); n++) {
		stale();
		invlpgb(invlpgb_rows[n].rax, invlpgb_rows[n].ecx, invlpgb_rows[n].edx);
		vcheck(invlpgb_rows[n].name, "ASID 1", see(&look, 1, 0), invlpgb_rows[n].first);
		vcheck(invlpgb_rows[n].name, "ASID 2", see(&look, 2, 0), invlpgb_rows[n].second);
	}
	for (unsigned n = 0; n < COUNT(guest_rows); n++) {
		stale();
		seen[1] = guest_rows[n].rax;
		seen[2] = guest_rows[n].edx;
		vcheck(guest_rows[n].name, "its own", see(&broadcast_look, 1, 0), guest_rows[n].first);
		vcheck(guest_rows[n].name, "the other's", see(&look, 2, 0), guest_rows[n].second);
	}
	invlpgb_kinds();
}

void test_tlb(void)
{
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	prepare();
	stale();
	vcheck("TLB_CONTROL 0", REQ("svm.2.12.1.8 svm.2.2.1.45 svm.2.12.0.5") "nothing goes", see(&look, 1, 0), A);
	vcheck("TLB_CONTROL 0", REQ("svm.2.12.0.2") "the other ASID", see(&look, 2, 0), A);
	vcheck("a fresh ASID", REQ("svm.2.12.1.6 svm.2.12.0.1 svm.2.2.1.72") "sees the tables", see(&look, 3, 0), B);
	vcheck("TLB_CONTROL 1", REQ("svm.2.12.1.7 svm.2.2.1.73") "all go", see(&look, 1, 1), B);
	vcheck("TLB_CONTROL 1", REQ("svm.2.12.1.9") "field unchanged", v->tlb_control, 1);
	vcheck("TLB_CONTROL 1", "of every ASID", see(&look, 2, 0), B);
	stale();
	v->efer &= ~0x1000ull;
	see(&look, 1, 1);
	v->efer |= 0x1000;
	vcheck("TLB_CONTROL 1 of a refused VMRUN", REQ("svm.4.VMRUN.14") "nothing goes", see(&look, 1, 0), A);
	stale();
	wrmsr(MSR_MTRR_DEF_TYPE, rdmsr(MSR_MTRR_DEF_TYPE));
	vcheck("WRMSR of an MTRR", "all go", see(&look, 1, 0), B);
	vcheck("WRMSR of an MTRR", "of every ASID", see(&look, 2, 0), B);
	stale();
	invlpga(DATA, 2);
	vcheck("INVLPGA", REQ("svm.2.12.2.1 svm.2.12.2.2 svm.4.INVLPGA.4") "the named ASID", see(&look, 2, 0), B);
	vcheck("INVLPGA", "the other one", see(&look, 1, 0), A);
	invlpga(DATA + 0x200000, 1);
	vcheck("INVLPGA", "another page", see(&look, 1, 0), A);
	invlpga(DATA + 0x1000, 1); /* the guest's page is 2 MiB, cached in pieces */
	vcheck("INVLPGA", REQ("svm.2.21.9.1 svm.2.21.9.2") "another piece of the page", see(&look, 1, 0), B);
	if (r[3] >> 6 & 1) {
		stale();
		vcheck("TLB_CONTROL 3", "this ASID", see(&look, 1, 3), B);
		vcheck("TLB_CONTROL 3", "the other one", see(&look, 2, 0), A);
		stale();
		vcheck("TLB_CONTROL 7", "this ASID", see(&look, 1, 7), B);
		vcheck("TLB_CONTROL 7", "the other one", see(&look, 2, 0), A);
		global_pages();
	}
	if (!(r[3] >> 6 & 1)) { /* the codes are reserved without FlushByAsid */
		stale();
		vcheck("TLB_CONTROL 3, not there", "nothing goes", see(&look, 1, 3), A);
		stale();
		vcheck("TLB_CONTROL 7, not there", "nothing goes", see(&look, 1, 7), A);
	}
	cpuid(7, 0, r);
	if (r[1] >> 10 & 1)
		guest_invpcid();
	stale(); /* reserved codes do nothing */
	vcheck("TLB_CONTROL 2", REQ("svm.2.12.1.10") "nothing goes", see(&look, 1, 2), A);
	stale();
	vcheck("MOV CR3 in the guest", REQ("svm.2.12.1.1") "its entries go", see(&cr3_look, 1, 0), B);
	/* every ASID's in 2005, one's own today */
	vcheck("MOV CR3 in the guest", REQ("svm.2.12.1.3 svm.2.12.1.4") "the other ASID's", see(&look, 2, 0), of_2005 ? B : A);
	stale();
	vcheck("MOV CR4 in the guest", REQ("svm.2.12.1.2") "its entries go", see(&pge_look, 1, 0), B);
	v->cr4 &= ~0x80ull;
	stale();
	vcheck("INVLPG in the guest", "its entry goes", see(&invlpg_look, 1, 0), B);
	vcheck("INVLPG in the guest", "not the other ASID's", see(&look, 2, 0), A);
	stale();
	on((struct icpt)CR_WRITE(3));
	see(&cr3_only, 1, 0);
	off((struct icpt)CR_WRITE(3));
	vcheck("MOV CR3, intercepted", REQ("svm.2.5.2.5 svm.2.12.1.5") "nothing goes", see(&look, 1, 0), A);
	stale();
	on((struct icpt)ICPT(EXIT_INVLPG));
	see(&invlpg_look, 1, 0);
	off((struct icpt)ICPT(EXIT_INVLPG));
	vcheck("INVLPG, intercepted", REQ("svm.2.5.18.1") "nothing goes", see(&look, 1, 0), A);
}
