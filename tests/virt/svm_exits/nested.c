/* "Nested Paging": the error codes of #VMEXIT(NPF), the order of faults, accessed and dirty bits, instruction bytes. */
#include "exits.h"

#define DATA   0x8000000ull /* a region of 2 MiB split into small pages in the nested tables */
#define TABLES 0x8200000ull /* another, for the guest's page tables */
#define FINAL  (1ull << 32)
#define TABLE  (2ull << 32)

SNIPPET(reads, "mov $0x8000123, %eax", "mov (%rax), %bl");
SNIPPET(reads_then_writes, "mov $0x8000123, %eax; mov (%rax), %bl", "mov %bl, (%rax)");
SNIPPET(writes, "mov $0x8000123, %eax", "mov %bl, (%rax)");
SNIPPET(runs, "mov $0x8000120, %eax", "call *%rax");
SNIPPET(straddles, "mov $0x81ffffe, %eax", "jmp *%rax");

static u64 *split(u64 gpa)
{
	u64 *pde = svm_nested_entry(v, gpa), *l1;

	if (!(*pde & 0x80))
		l1 = (u64 *)(*pde & ~0xfffull);
	else
		l1 = page_alloc();
	for (unsigned n = 0; n < 512; n++)
		l1[n] = ((gpa & ~0x1fffffull) + n * 4096) | 7;
	*pde = (u64)l1 | 7;
	return l1;
}

static const struct {
	const char *name;
	const struct snippet *s;
	u64 entry; /* over the address */
	u64 info1; /* 0: no exit */
} rows[] = {
	{"read, not present", &reads, 0x6, FINAL | 0x4},
	{"write, not present", &writes, 0x6, FINAL | 0x6},
	{"fetch, not present", &runs, 0x6, FINAL | 0x14},
	{"read, U/S 0", &reads, 0x3, FINAL | 0x5},
	{"write, U/S 0", &writes, 0x3, FINAL | 0x7},
	{"write, read-only", &writes, 0x5, FINAL | 0x7},
	{"read, read-only", &reads, 0x5, 0},
	{"fetch, NX", &runs, 1ull << 63 | 7, FINAL | 0x15},
	{"read, NX", &reads, 1ull << 63 | 7, 0},
	{"read, reserved bit 51", &reads, 1ull << 51 | 7, FINAL | 0xd},
	{"write, reserved bit 51", &writes, 1ull << 51 | 7, FINAL | 0xf},
};

static u64 code_mask(void)
{
	return of_2005 ? 0xffffffff : ~0ull; /* bits 32 and 33 came later */
}

static void final_accesses(void)
{
	for (unsigned n = 0; n < COUNT(rows); n++) {
		u64 *l1, code, gpa = rows[n].s == &runs ? DATA + 0x120 : DATA + 0x123;

		base(rows[n].s);
		l1 = split(DATA);
		*(u8 *)(DATA + 0x120) = 0xc3;
		l1[0] = DATA | rows[n].entry;
		code = go();
		vcheck(rows[n].name, REQ("svm.D.94") "code", code, rows[n].info1 ? EXIT_NPF : EXIT_VMMCALL);
		if (code != EXIT_NPF)
			continue;
		vcheck(rows[n].name, "EXITINFO1", v->exitinfo1, rows[n].info1 & code_mask());
		vcheck(rows[n].name, "EXITINFO2", v->exitinfo2, gpa);
		vcheck(rows[n].name, "RIP", v->rip, rows[n].s == &runs ? gpa : (u64)rows[n].s->at);
		vcheck(rows[n].name, "nRIP", v->nrip, 0);
		if (!assists)
			continue;
		if (rows[n].s == &runs) {
			vcheck(rows[n].name, "no bytes", v->bytes[0], 0);
		} else {
			vcheck(rows[n].name, "15 bytes", v->bytes[0], 15);
			vcheck(rows[n].name, "the instruction", memcmp(v->bytes + 1, rows[n].s->at, 15), 0);
		}
	}
	proves("svm.2.21.6.9 svm.2.21.6.10 svm.2.21.6.11 svm.2.21.6.12 svm.2.21.6.14 svm.2.21.6.15 "
	       "svm.2.21.6.16 svm.2.21.6.7 svm.2.21.6.18 svm.2.21.7.1 svm.2.21.7.4 svm.2.21.7.10 "
	       "svm.2.21.5.9 svm.2.21.5.10");
}

/* The guest's own tables lie in a page that the nested tables restrict; each is walked as a user write. */
static void table_accesses(void)
{
	static const struct {
		const char *name;
		u64 entry, info1;
	} t[] = {{"tables not present", 0x6, TABLE | 0x6},
		 {"tables read-only", 0x5, TABLE | 0x7},
		 {"tables U/S 0", 0x3, TABLE | 0x7},
		 {"tables reserved bit", 1ull << 51 | 7, TABLE | 0xf},
		 {"tables NX", 1ull << 63 | 7, 0}};

	for (unsigned n = 0; n < COUNT(t); n++) {
		u64 *l1, code;

		base(&reads);
		split(DATA);
		l1 = split(TABLES);
		memcpy((void *)TABLES, user_pml4, 4096);
		v->cr3 = TABLES;
		l1[0] = TABLES | t[n].entry;
		code = go();
		vcheck(t[n].name, "code", code, t[n].info1 ? EXIT_NPF : EXIT_VMMCALL);
		if (code != EXIT_NPF)
			continue;
		vcheck(t[n].name, "EXITINFO1", v->exitinfo1, t[n].info1 & code_mask());
		vcheck(t[n].name, "EXITINFO2", v->exitinfo2, TABLES);
	}
	proves("svm.2.21.5.1 svm.2.21.5.2 svm.2.21.5.4 svm.2.21.5.5 svm.2.21.5.6 svm.2.21.6.13 "
	       "svm.2.21.6.17 svm.2.21.6.1");
}

/* An interrupt whose delivery needs tables that are not there, which are those of the code, too. */
static void delivery_without_tables(void)
{
	const char *name = "delivery, tables not present";
	u64 *l1;

	base(&reads);
	own_idt();
	l1 = split(TABLES);
	memcpy((void *)TABLES, user_pml4, 4096);
	v->cr3 = TABLES;
	l1[0] = TABLES | 6;
	v->eventinj = 0x80000020;
	vcheck(name, "code", go(), EXIT_NPF);
	vcheck(name, "EXITINFO1", v->exitinfo1, (TABLE | 0x6) & code_mask());
	vcheck(name, REQ("svm.2.4.2.2") "EXITINTINFO", v->exitintinfo, 0x80000020);
	vcheck(name, "no bytes", assists ? v->bytes[0] : 0, 0);
	l1[0] = TABLES | 7;
	v->eventinj = v->exitintinfo;
	vcheck(name, "injected again", go(), EXIT_VMMCALL);
	vcheck(name, "handler", v->rip, stub_of(0x20));
}

/* "Fault Ordering": the guest's own faults come before the nested fault of the final address. */
static void order(void)
{
	u64 *l1, *l2;

	base(&writes);
	l1 = split(DATA);
	l1[0] = 0;
	l2 = page_alloc();
	memcpy(l2, (void *)(((u64 *)(user_pml4[0] & ~0xfffull))[0] & ~0xfffull), 4096);
	u64 *l3 = page_alloc(), *l4 = page_alloc();
	memcpy(l3, (void *)(user_pml4[0] & ~0xfffull), 4096);
	l4[0] = (u64)l3 | 7;
	l3[0] = (u64)l2 | 7;
	l2[DATA >> 21] &= ~2ull; /* read-only in the guest, not present in the host */
	v->cr3 = (u64)l4;
	v->cr0 |= 1 << 16;
	vcheck("guest read-only, host not present", "#PF first", go(), EXIT_PF);
	l2[DATA >> 21] = 0;
	v->rip = (u64)writes.entry;
	vcheck("not present in both", "#PF first", go(), EXIT_PF);
	l2[DATA >> 21] = DATA | 0x83;
	v->rip = (u64)writes.entry;
	vcheck("only the host", "NPF", go(), EXIT_NPF);
	l1[0] = DATA | 5; /* a read-only host page stays so whatever CR0.WP is */
	v->cr0 &= ~(1ull << 16);
	v->rip = (u64)writes.entry;
	vcheck("host read-only, WP 0", "NPF", go(), EXIT_NPF);
	/* accessed and dirty bits in both sets of tables */
	l1[0] = DATA | 7;
	v->rip = (u64)writes.entry;
	vcheck("A and D", "code", go(), EXIT_VMMCALL);
	vcheck("A and D", "host entry", l1[0] & 0x60, 0x60);
	vcheck("A and D", "guest entry", l2[DATA >> 21] & 0x60, 0x60);
	base(&reads);
	l1 = split(DATA);
	vcheck("A", "code", go(), EXIT_VMMCALL);
	vcheck("A", "host entry", l1[0] & 0x60, 0x20);
	base(&reads); /* the walk of guest tables makes their host page dirty */
	l1 = split(TABLES);
	memcpy((void *)TABLES, user_pml4, 4096);
	v->cr3 = TABLES;
	vcheck("tables", "code", go(), EXIT_VMMCALL);
	vcheck("tables", "host entry dirty", l1[0] & 0x60, 0x60);
	base(&reads_then_writes); /* the write finds the translation that the read left */
	l1 = split(DATA);
	vcheck("A, then D", "code", go(), EXIT_VMMCALL);
	vcheck("A, then D", "host entry", l1[0] & 0x60, 0x60);
	proves("svm.2.21.6.2 svm.2.21.6.4 svm.2.21.6.6 svm.2.21.6.7 svm.2.21.7.2 svm.2.21.5.3 svm.2.21.5.7 "
	       "svm.2.21.5.8 svm.2.21.5.11");
}

/*
 * An instruction whose second half cannot be fetched: no bytes, although its first half is there and the error code does
 * not tell a fetch from a read.
 */
static void straddling_fetch(void)
{
	u64 efer = rdmsr(MSR_EFER), *l2 = page_alloc(), *l3 = page_alloc(), *l4 = page_alloc();

	base(&straddles);
	memcpy(l2, (void *)(((u64 *)(user_pml4[0] & ~0xfffull))[0] & ~0xfffull), 4096);
	memcpy(l3, (void *)(user_pml4[0] & ~0xfffull), 4096);
	l4[0] = (u64)l3 | 7;
	l3[0] = (u64)l2 | 7;
	memcpy((void *)(TABLES - 2), "\x48\xb8", 2); /* MOV RAX, imm64 */
	l2[TABLES >> 21] = 0;
	v->cr3 = (u64)l4;
	v->efer &= ~0x800ull;
	vcheck("#PF of a fetch", "code", go(), EXIT_PF);
	vcheck("#PF of a fetch", "error code", v->exitinfo1, 0);
	vcheck("#PF of a fetch", "address", v->exitinfo2, TABLES);
	vcheck("#PF of a fetch", "no bytes", assists ? v->bytes[0] : 0, 0);
	base(&straddles);
	split(TABLES)[0] = 6;
	wrmsr(MSR_EFER, efer & ~0x800ull);
	vcheck("NPF of a fetch", "code", go(), EXIT_NPF);
	vcheck("NPF of a fetch", "EXITINFO1", v->exitinfo1, (FINAL | 4) & code_mask());
	vcheck("NPF of a fetch", "EXITINFO2", v->exitinfo2, TABLES);
	vcheck("NPF of a fetch", "no bytes", assists ? v->bytes[0] : 0, 0);
	wrmsr(MSR_EFER, efer);
}

void test_nested(void)
{
	straddling_fetch();
	final_accesses();
	table_accesses();
	delivery_without_tables();
	order();
}
