/* Nested paging seen by reads and faults: section 2.21; guests in PAE mode; address spaces: section 2.12. */
#include "reqs.h"

#define DATA   0x8000000ull /* guest-physical: 2 MiB in small pages */
#define TABLES 0x8200000ull
#define LINEAR 0x8000000000ull /* a linear address of its own PML4 entry */

SNIPPET(p_read, "mov (%rax), %rbx; mov %rbx, seen", "");
SNIPPET(p_write, "mov %rbx, (%rax)", "");
SNIPPET(p_call, "call *%rax; vmmcall", "");
SNIPPET(p_user_read, "mov (%rax), %rbx", "");
SNIPPET(p_handler, "nop", "");

static u64 *l3, *l2, *l1; /* of the guest, for LINEAR */

/* Guest tables of its own: the first 512 GiB as user_pml4, LINEAR to `gpa`. */
static void guest_tables(u64 *root, u64 gpa, u64 flags)
{
	l3 = page_alloc(), l2 = page_alloc(), l1 = page_alloc();
	memcpy(root, user_pml4, 4096);
	root[LINEAR >> 39] = (u64)l3 | 7;
	l3[0] = (u64)l2 | 7;
	l2[0] = (u64)l1 | 7;
	l1[0] = gpa | flags;
}

static u64 run(const struct snippet *s)
{
	v->rip = (u64)s->entry;
	v->rax = LINEAR;
	v->tlb_control = 1;
	return go();
}

static void translation(void)
{
	u64 *root = page_alloc(), *a = page_alloc(), *b = page_alloc(), *nested, *tables;

	*a = 0xaaaa, *b = 0xbbbb;
	base(&p_read);
	guest_tables(root, (u64)a, 7);
	v->cr3 = (u64)root;
	v->np_enable = 0;
	check(REQ("svm.2.21.1.1 svm.2.12.0.4") "nested paging off", run(&p_read), EXIT_VMMCALL);
	check(REQ("svm.2.21.1.1 svm.2.12.0.4") "linear to physical", seen[0], 0xaaaa);
	base(&p_read);
	guest_tables(root, DATA, 7);
	v->cr3 = (u64)root;
	nested = split(DATA);
	nested[0] = (u64)b | 7;
	*(u64 *)DATA = 0xdddd;
	check(REQ("svm.2.21.1.2 svm.2.21.1.3 svm.2.21.3.1 svm.2.21.4.4") "nested paging on", run(&p_read), EXIT_VMMCALL);
	check(REQ("svm.2.21.1.2 svm.2.21.1.3 svm.2.21.3.1 svm.2.21.4.4 svm.2.21.5.3") "linear to guest-physical to "
	                                                                              "physical",
	      seen[0], 0xbbbb);
	check(REQ("svm.2.21.3.4") "the host sees its own memory", *(volatile u64 *)DATA, 0xdddd);
	/* gCR3 and the entries are guest-physical: the tables lie elsewhere */
	base(&p_read);
	tables = split(TABLES);
	nested = split(DATA);
	nested[0] = (u64)a | 7;
	tables[0] = (u64)root | 7;
	memset((void *)TABLES, 0, 4096);
	v->cr3 = TABLES;
	check(REQ("svm.2.21.1.4") "gCR3 is guest-physical", run(&p_read), EXIT_VMMCALL);
	check(REQ("svm.2.21.1.4") "the value", seen[0], 0xaaaa);
	/* nested entries are not translated again: page 1 is mapped elsewhere, page 0 leads to where page 1 really is
	 */
	base(&p_read);
	guest_tables(root, DATA, 7);
	v->cr3 = (u64)root;
	nested = split(DATA);
	nested[0] = (DATA + 4096) | 7;
	nested[1] = (u64)a | 7;
	*(u64 *)(DATA + 4096) = 0xeeee;
	check(REQ("svm.2.21.1.5") "nested entries are physical", run(&p_read), EXIT_VMMCALL);
	check(REQ("svm.2.21.1.5") "the value", seen[0], 0xeeee);
}

static void ordering(void)
{
	u64 *root = page_alloc(), *nested;

	base(&p_read);
	guest_tables(root, DATA, 7);
	v->cr3 = (u64)root;
	l2[0] = 0;
	root[LINEAR >> 39] = TABLES | 7;
	split(TABLES)[0] = 0;
	check(REQ("svm.2.21.6.5") "host fault at the second level, guest fault at the third", run(&p_read), EXIT_NPF);
	check(REQ("svm.2.21.6.5 svm.2.21.6.10") "EXITINFO2", v->exitinfo2, TABLES);
	root[LINEAR >> 39] = (u64)l3 | 7;
	check(REQ("svm.2.21.6.2") "guest entry not present", run(&p_read), EXIT_PF);
	l2[0] = (u64)l1 | 7;
	l1[0] = DATA | 7 | 1ull << 51;
	l2[0] |= 0;
	nested = split(DATA);
	nested[0] = 0;
	check(REQ("svm.2.21.6.3") "reserved bit in a guest entry", run(&p_read), EXIT_PF);
	check(REQ("svm.2.21.6.3") "error code", v->exitinfo1, 9);
	check(REQ("svm.2.8.15.3") "EXITINFO2", v->exitinfo2, LINEAR);
	l1[0] = DATA | 5;
	l2[0] &= ~0x20ull;
	v->cr0 |= 1 << 16;
	check(REQ("svm.2.21.6.6") "guest permission before the final host fault", run(&p_write), EXIT_PF);
	check(REQ("svm.2.21.6.4") "upper guest entries are accessed", l2[0] >> 5 & 1, 1);
	l1[0] = DATA | 7;
	check(REQ("svm.2.21.5.3 svm.2.21.6.7") "then the final host fault", run(&p_write), EXIT_NPF);
	/* guest faults know the guest's tables only */
	nested[0] = DATA | 7;
	l1[0] = 0;
	check(REQ("svm.2.21.6.19") "present in the host, not in the guest", run(&p_read), EXIT_PF);
	l1[0] = DATA | 7;
	check(REQ("svm.2.21.5.11") "a read", run(&p_read), EXIT_VMMCALL);
	check(REQ("svm.2.21.5.11") "host entry: accessed, not dirty", nested[0] & 0x60, 0x20);
	/* delivered in the guest without the monitor */
	static struct idt_gate mine[15] __attribute__((aligned(16)));
	u64 h = (u64)p_handler.entry;

	mine[14].lo = (h & 0xffff) | 8 << 16 | 0x8eull << 40 | (h >> 16 & 0xffff) << 48;
	l1[0] = 0;
	v->intercept_exc = 0;
	v->idtr.base = (u64)mine;
	v->idtr.limit = sizeof(mine) - 1;
	v->cr2 = 0;
	check(REQ("svm.2.21.6.20") "#PF in the guest", run(&p_read), EXIT_VMMCALL);
	check(REQ("svm.2.21.6.20") "in its handler", v->rip, p_handler.next);
	check(REQ("svm.2.21.6.21") "CR2", v->cr2, LINEAR);
}

static void rights(void)
{
	u64 *root = page_alloc(), *nested, efer = rdmsr(EFER);

	base(&p_read);
	guest_tables(root, DATA, 7);
	nested = split(DATA);
	/* a host page that is not the user's: no guest CPL, WP, or CR4 bit helps */
	for (unsigned n = 0; n < 8; n++) {
		base(&p_user_read);
		nested = split(DATA);
		nested[0] = DATA | 3;
		v->cr3 = (u64)root;
		if (n & 1)
			user();
		v->cr0 = (v->cr0 & ~0x10000ull) | (u64)(n >> 1 & 1) << 16;
		v->cr4 ^= (u64)(n >> 2 & 1) << 7;
		check(REQ("svm.2.21.6.8 svm.2.21.7.10") "host U/S 0", run(&p_user_read), EXIT_NPF);
	}
	/* a guest page of the guest's kernel */
	base(&p_user_read);
	split(DATA);
	v->cr3 = (u64)root;
	l1[0] = DATA | 3;
	user();
	check(REQ("svm.2.21.7.9") "guest U/S 0, CPL 3", run(&p_user_read), EXIT_PF);
	check(REQ("svm.2.21.7.9") "error code", v->exitinfo1, 5);
	/* WP of neither side lets the guest write a host read-only page */
	l1[0] = DATA | 7;
	for (unsigned n = 0; n < 2; n++) {
		base(&p_write);
		split(DATA)[0] = DATA | 5;
		v->cr3 = (u64)root;
		v->cr0 &= ~0x10000ull;
		if (n)
			write_cr0(read_cr0() & ~0x10000ull);
		check(n ? REQ("svm.2.21.7.3") "hCR0.WP 0" : REQ("svm.2.21.7.2") "gCR0.WP 0", run(&p_write), EXIT_NPF);
		write_cr0(read_cr0() | 0x10000);
	}
	base(&p_write);
	split(DATA);
	v->cr3 = (u64)root;
	v->cr0 &= ~0x10000ull;
	l1[0] = DATA | 5;
	check(REQ("svm.2.21.7.2") "gCR0.WP 0, guest read-only", run(&p_write), EXIT_VMMCALL);
	/* execution without NXE on one side, then the other */
	*(u8 *)DATA = 0xc3;
	base(&p_call);
	split(DATA);
	v->cr3 = (u64)root;
	l1[0] = DATA | 7;
	v->efer &= ~0x800ull;
	check(REQ("svm.2.21.7.5") "guest NXE 0", run(&p_call), EXIT_VMMCALL);
	base(&p_call);
	split(DATA);
	v->cr3 = (u64)root;
	wrmsr(EFER, efer & ~0x800ull);
	check(REQ("svm.2.21.7.6") "host NXE 0", run(&p_call), EXIT_VMMCALL);
	split(DATA)[0] = DATA | 7 | 1ull << 63;
	check(REQ("svm.2.21.4.5") "host NXE 0: bit 63 is reserved", run(&p_call), EXIT_NPF);
	check(REQ("svm.2.21.4.5") "error code: RSV", v->exitinfo1 >> 3 & 1, 1);
	wrmsr(EFER, efer);
	check(REQ("svm.2.21.4.5") "host NXE 1: it is NX", run(&p_call), EXIT_NPF);
	check(REQ("svm.2.21.4.5") "error code: no RSV", v->exitinfo1 >> 3 & 1, 0);
}

/* ---- PAE guests: 32-bit code at an address below 4 GiB ---- */

/* EAX: new CR3; EBX: an address to read; ECX: where to store 1 into a PDPE, or 0 */
asm(".pushsection .text\n.code32\n"
    "pae_load: mov %eax, %cr3; vmmcall\n"
    "pae_load_read: mov %eax, %cr3; mov (%ebx), %edx; vmmcall\n"
    "pae_poke: mov (%ebx), %edx; movl $0, (%ecx); invlpg (%ebx); mov (%ebx), %edx; vmmcall\n"
    ".code64\n.popsection");
extern char pae_load[], pae_load_read[], pae_poke[];

static void pae_guest(const char *code, u64 *pointers, bool np)
{
	base_at(code);
	for (unsigned g = 0; g < 4; g++)
		pointers[g] = (user_pml4[0] ? ((u64 *)(user_pml4[0] & ~0xfffull))[g] & ~0xfffull : 0) | 1;
	v->efer = 0x1800;
	v->cr0 = 0x80010011;
	v->cr4 = 0x20;
	v->cr3 = (u64)pointers;
	v->cs.attrib = 0xc9b;
	v->np_enable = np;
	v->tlb_control = 1;
}

static void pae(void)
{
	u64 *pointers = page_alloc(), *bad = page_alloc();

	for (unsigned np = 0; np < 2; np++) {
		pae_guest(pae_load, pointers, np);
		memcpy(bad, pointers, 32);
		bad[3] |= 2; /* reserved in a PDPE */
		v->rax = (u64)bad;
		if (np) {
			check(REQ("svm.2.21.10.1 svm.2.21.10.2") "illegal PDPE, nested paging", go(), EXIT_VMMCALL);
		} else {
			check(REQ("svm.2.5.2.7 svm.4.MOVCR.24") "illegal PDPE", go(), EXIT_GP);
			check(REQ("svm.2.5.2.7") "CR3 unchanged", v->cr3, pointers);
		}
		pae_guest(pae_load, pointers, np);
		v->rax = (u64)bad;
		v->intercept_cr = 1 << 19;
		check(REQ("svm.2.5.2.6") "intercept before #GP", go(), EXIT_CR_WRITE + 3);
	}
	/* used PDPE with a reserved bit: #PF at the access; an unused one is not looked at */
	asm volatile("" ::: "memory");
	pae_guest(pae_load_read, pointers, true);
	v->rax = (u64)bad;
	struct vmcb *a = v;
	asm volatile("push %%rbp; clgi; vmrun; stgi; pop %%rbp"
	             : "+a"(a)
	             : "b"(0xc0001000ull)
	             : "rcx", "rdx", "memory", "cc");
	check(REQ("svm.2.21.10.4") "illegal PDPE used", v->exitcode, EXIT_PF);
	check(REQ("svm.2.21.10.4") "address", v->exitinfo2, 0xc0001000);
	check(REQ("svm.2.21.10.4") "reserved-bit error", v->exitinfo1 >> 3 & 1, 1);
	/* a PDPE that changes in memory: seen with nested paging, not seen without */
	for (unsigned np = 0; np < 2; np++) {
		pae_guest(pae_poke, pointers, np);
		a = v;
		asm volatile("push %%rbp; clgi; vmrun; stgi; pop %%rbp"
		             : "+a"(a)
		             : "b"(0xc0001000ull), "c"(&pointers[3])
		             : "rdx", "memory", "cc");
		if (np)
			check(REQ("svm.2.21.10.3") "the changed PDPE is used", v->exitcode, EXIT_PF);
		else
			check(REQ("svm.2.2.1.60") "the PDPE of VMRUN is used", v->exitcode, EXIT_VMMCALL);
	}
	/* a host-level view: VMRUN and #VMEXIT load CR3 without asking the intercepts */
	base(&p_handler);
	v->intercept_cr = ~0u;
	check(REQ("svm.2.5.2.8") "CR3 by VMRUN", go(), EXIT_VMMCALL);
}

/* ---- ASIDs ---- */

static void spaces(void)
{
	u64 *root = page_alloc(), *other = page_alloc(), *a = page_alloc(), *b = page_alloc(), *mine = page_alloc();
	u64 host = read_cr3(), *h1;

	*a = 1, *b = 2;
	base(&p_read);
	guest_tables(root, (u64)a, 7 | 0x100);
	guest_tables(other, (u64)b, 7 | 0x100);
	v->cr3 = (u64)root;
	v->cr4 |= 0x80;
	v->asid = 2;
	check("ASID 2", run(&p_read), EXIT_VMMCALL);
	v->cr3 = (u64)other; /* a new ASID needs no flush, and global entries of ASID 2 are not its */
	v->asid = 3;
	v->rip = (u64)p_read.entry;
	v->rax = LINEAR;
	v->tlb_control = 0;
	go();
	check(REQ("svm.2.12.0.3") "new CR3 with a new ASID", seen[0], 2);
	check(REQ("svm.2.12.0.7 svm.2.21.7.8") "a global entry of another ASID", seen[0], 2);
	/* and the same without nested paging: the ASID is the VMCB's there, too */
	for (unsigned n = 0; n < 2; n++) {
		base(&p_read);
		v->np_enable = 0;
		v->cr3 = (u64)(n ? other : root);
		v->cr4 |= 0x80;
		v->asid = 2 + n;
		v->rax = LINEAR;
		v->tlb_control = !n;
		check("no nested paging", go(), EXIT_VMMCALL);
		check(REQ("svm.4.VMRUN.9") "ASID without nested paging", seen[0], 1 + n);
	}
	/* an old translation of the host outlives VMRUN and #VMEXIT */
	map_page((u64 *)host, LINEAR, (u64)a, 3);
	h1 = (u64 *)(((u64 *)(((u64 *)(((u64 *)host)[LINEAR >> 39] & ~0xfffull))[0] & ~0xfffull))[0] & ~0xfffull);
	(void)*(volatile u64 *)LINEAR;
	h1[0] = (u64)b | 3;
	base(&p_handler);
	v->tlb_control = 0;
	go();
	check(REQ("svm.2.12.0.6") "the host's translation is still there", *(volatile u64 *)LINEAR, 1);
	((u64 *)host)[LINEAR >> 39] = 0;
	write_cr3(host);
	(void)mine;
}

/* ---- what the TLB holds ---- */

SNIPPET(p_remap,
        "mov (%rax), %rcx; mov %rsi, (%rdi); mov %cr3, %rcx; mov %rcx, %cr3; mov (%rax), %rbx; mov %rbx, seen", "");

static void cached(void)
{
	u64 *a = page_alloc(), *b = page_alloc(), *root = page_alloc(), *nested;
	u64 *dir3 = page_alloc(), *dir2 = page_alloc(), *dir1 = page_alloc();
	struct vmcb *p;

	/* the TLB holds linear to physical: a nested entry changes, and nothing is seen of it before a flush */
	*a = 0xa, *b = 0xb;
	memcpy(root, user_pml4, 4096);
	root[1] = (u64)dir3 | 7, dir3[0] = (u64)dir2 | 7, dir2[0] = (u64)dir1 | 7, dir1[0] = 0x8000000 | 7;
	base(&p_read);
	nested = split(0x8000000);
	nested[0] = (u64)a | 7;
	v->cr3 = (u64)root;
	for (unsigned n = 0; n < 3; n++) {
		v->rip = (u64)p_read.entry;
		v->rax = 0x8000000000;
		v->tlb_control = n != 1;
		check("TLB", go(), EXIT_VMMCALL);
		check(REQ("svm.2.21.1.6") "what is cached", seen[0], n < 2 ? 0xa : 0xb);
		nested[0] = (u64)b | 7;
	}
	/* G in the nested entry makes nothing global: the guest's own CR3 load drops the entry */
	base(&p_remap);
	nested = split(0x8000000);
	for (unsigned n = 0; n < 512; n++)
		nested[n] |= 0x100;
	nested[0] = (u64)a | 0x107;
	nested[1] = (u64)b | 0x107;
	v->cr3 = (u64)root;
	v->cr4 |= 0x80;
	p = v;
	v->rax = 0x8000000000;
	write_cr4(read_cr4() | 0x80);
	asm volatile("push %%rbp; clgi; vmrun; stgi; pop %%rbp"
	             : "+a"(p)
	             : "D"(dir1), "S"(0x8001007ull)
	             : "rbx", "rcx", "rdx", "memory", "cc");
	write_cr4(read_cr4() & ~0x80ull);
	check("G", v->exitcode, EXIT_VMMCALL);
	check(REQ("svm.2.21.7.7") "not global by the nested G", seen[0], 0xb);
}

/* ---- paged real mode: the #PF exit's error code ---- */
SNIPPET(real_store, ".code16; movw $0x1111, 0x10; .code64", "");
static void real_fault(void)
{
	u32 *dir = page_alloc(), *table = page_alloc();

	base_at((void *)0);
	dir[0] = (u32)(u64)table | 7;
	table[7] = (u32)((u64)real_store.entry & ~0xfffull) | 7;
	v->cr0 = 1u << 31 | 0x10;
	v->cr3 = (u64)dir;
	v->cr4 = 0;
	v->efer = 0x1000;
	v->cs = (struct vmcb_seg){.sel = 0x700, .attrib = 0x9b, .limit = 0xffff, .base = 0x7000};
	v->ds = v->es = v->ss = (struct vmcb_seg){.sel = 0x1000, .attrib = 0x93, .limit = 0xffff, .base = 0x10000};
	v->rip = (u64)real_store.entry & 0xfff;
	check(REQ("svm.2.8.15.4") "#PF in paged real mode", go(), EXIT_PF);
	check(REQ("svm.2.8.15.4") "error code of a write", v->exitinfo1, 2);
	table[0x10] = (u32)(u64)page_alloc() | 5; /* there, read-only */
	v->cr0 |= 1 << 16;
	v->tlb_control = 1;
	check(REQ("svm.2.8.15.4") "#PF in paged real mode, read-only", go(), EXIT_PF);
	check(REQ("svm.2.8.15.4") "error code", v->exitinfo1, 3);
}

void test_paging(void)
{
	translation();
	ordering();
	rights();
	pae();
	spaces();
	cached();
	real_fault();
}
