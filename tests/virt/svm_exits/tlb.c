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

void test_tlb(void)
{
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	prepare();
	stale();
	/* REQ(svm.2.12.1.8, svm.2.2.1.45, svm.2.12.0.5) */
	vcheck("TLB_CONTROL 0", "nothing goes", see(&look, 1, 0), A);
	vcheck("TLB_CONTROL 0", "the other ASID", see(&look, 2, 0), A);	   /* REQ(svm.2.12.0.2) */
	/* REQ(svm.2.12.1.6, svm.2.12.0.1, svm.2.2.1.72) */
	vcheck("a fresh ASID", "sees the tables", see(&look, 3, 0), B);
	vcheck("TLB_CONTROL 1", "all go", see(&look, 1, 1), B);		   /* REQ(svm.2.12.1.7, svm.2.2.1.73) */
	vcheck("TLB_CONTROL 1", "field unchanged", v->tlb_control, 1);	   /* REQ(svm.2.12.1.9) */
	vcheck("TLB_CONTROL 1", "of every ASID", see(&look, 2, 0), B);
	stale();
	v->efer &= ~0x1000ull; /* REQ(svm.4.VMRUN.14) */
	see(&look, 1, 1);
	v->efer |= 0x1000;
	vcheck("TLB_CONTROL 1 of a refused VMRUN", "nothing goes", see(&look, 1, 0), A);
	stale();
	invlpga(DATA, 2); /* REQ(svm.2.12.2.1, svm.2.12.2.2, svm.4.INVLPGA.4) */
	vcheck("INVLPGA", "the named ASID", see(&look, 2, 0), B);
	vcheck("INVLPGA", "the other one", see(&look, 1, 0), A);
	invlpga(DATA + 0x200000, 1);
	vcheck("INVLPGA", "another page", see(&look, 1, 0), A);
	invlpga(DATA + 0x1000, 1); /* the guest's page is 2 MiB, cached in pieces: REQ(svm.2.21.9.1, svm.2.21.9.2) */
	vcheck("INVLPGA", "another piece of the page", see(&look, 1, 0), B);
	if (r[3] >> 6 & 1) {
		stale();
		vcheck("TLB_CONTROL 3", "this ASID", see(&look, 1, 3), B);
		vcheck("TLB_CONTROL 3", "the other one", see(&look, 2, 0), A);
		stale();
		vcheck("TLB_CONTROL 7", "this ASID", see(&look, 1, 7), B);
		vcheck("TLB_CONTROL 7", "the other one", see(&look, 2, 0), A);
		global_pages();
	}
	stale(); /* reserved codes do nothing: REQ(svm.2.12.1.10) */
	vcheck("TLB_CONTROL 2", "nothing goes", see(&look, 1, 2), A);
	stale();
	vcheck("MOV CR3 in the guest", "its entries go", see(&cr3_look, 1, 0), B); /* REQ(svm.2.12.1.1) */
	/* REQ(svm.2.12.1.3, svm.2.12.1.4): every ASID's in 2005, one's own today */
	vcheck("MOV CR3 in the guest", "the other ASID's", see(&look, 2, 0), of_2005 ? B : A);
	stale();
	vcheck("MOV CR4 in the guest", "its entries go", see(&pge_look, 1, 0), B); /* REQ(svm.2.12.1.2) */
	v->cr4 &= ~0x80ull;
	stale();
	vcheck("INVLPG in the guest", "its entry goes", see(&invlpg_look, 1, 0), B);
	vcheck("INVLPG in the guest", "not the other ASID's", see(&look, 2, 0), A);
	stale();
	on((struct icpt)CR_WRITE(3)); /* REQ(svm.2.5.2.5, svm.2.12.1.5) */
	see(&cr3_only, 1, 0);
	off((struct icpt)CR_WRITE(3));
	vcheck("MOV CR3, intercepted", "nothing goes", see(&look, 1, 0), A);
	stale();
	on((struct icpt){3, 25}); /* REQ(svm.2.5.18.1) */
	see(&invlpg_look, 1, 0);
	off((struct icpt){3, 25});
	vcheck("INVLPG, intercepted", "nothing goes", see(&look, 1, 0), A);
}
