/*
 * What the world switch must not touch, read or forget: EFER of a guest without long mode, tables that an unpaged guest
 * does not have, exceptions in the last-branch records, a host that does not scale its own counter; VMLOAD and VMSAVE
 * through a page that holds code.
 */
#include "exits.h"

enum { DEBUGCTL = 0x1d9, BR_FROM = 0x1db, EXC_FROM = 0x1dd, EXC_TO = 0x1de };
SNIPPET(plain, "", "nop");
SNIPPET(efer, "mov $0xc0000080, %ecx", "rdmsr; mov %eax, seen; mov %edx, seen+4");

/* ---- a guest in 32-bit protected mode ---- */

static u64 gdt32[4] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff};

static void protected32(const void *code)
{
	v->cr0 = 0x11;
	v->cr3 = 0;
	v->cr4 = 0;
	v->efer = 0x1000;
	v->cs = (struct vmcb_seg){.sel = 8, .attrib = 0xc9b, .limit = ~0u};
	v->ss = v->ds = v->es = (struct vmcb_seg){.sel = 0x10, .attrib = 0xc93, .limit = ~0u};
	v->gdtr.base = (u64)gdt32;
	v->gdtr.limit = sizeof(gdt32) - 1;
	v->rip = (u64)code;
}

SNIPPET32(efer32, "mov $0xc0000080, %ecx", "rdmsr");

static void legacy_guest(void)
{
	u64 *garbage = page_alloc();

	base(&plain);
	protected32(efer32.entry);
	vcheck("EFER of a 32-bit guest", "code", go(), EXIT_VMMCALL);
	vcheck("EFER of a 32-bit guest", "what it reads", (u32)v->rax, 0x1000);
	vcheck("EFER of a 32-bit guest", "what is saved", v->efer, 0x1000);
	base(&efer);
	vcheck("EFER of a 64-bit guest", "code", go(), EXIT_VMMCALL);
	vcheck("EFER of a 64-bit guest", "what it reads", seen[0], v->efer);
	/* PDPTEs belong to legacy PAE paging: no other guest has them, whatever lies at CR3 */
	for (unsigned n = 0; n < 4; n++)
		garbage[n] = ~0ull;
	for (unsigned n = 0; n < 4; n++) {
		base(&plain);
		protected32(efer32.entry);
		v->cr3 = (u64)garbage;
		v->np_enable = 0;
		v->cr4 = n & 1 ? 0x20 : 0;
		if (n & 2) { /* long mode is enabled, not active */
			v->efer |= 0x100;
			v->cr4 = 0x20;
		}
		vcheck("an unpaged guest", "its CR3 leads to nothing", go(), EXIT_VMMCALL);
	}
	base(&plain);
	protected32(efer32.entry);
	v->cr3 = (u64)garbage;
	v->np_enable = 0;
	v->cr0 |= 1u << 31;
	v->cr4 = 0x20;
	vcheck("legacy PAE paging", "reserved bits in PDPTEs", go(), ~0ull);
}

/* ---- the bytes of an instruction that a nested page fault stopped: not beyond the limit of CS ---- */

static void bytes_and_limit(void)
{
	enum { DATA = 0x8000000 };
	static u8 code[32] __attribute__((aligned(32))) = {0xa2, 0, 0, 0, 8, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
	                                                   0x90, 0x90}; /* MOV [DATA], AL */
	u64 *entry;

	for (unsigned n = 5; n < 18 && assists; n++) {
		base(&plain);
		protected32(code);
		entry = svm_nested_entry(v, DATA);
		*entry &= ~1ull;
		v->cs.limit = (u32)(u64)code + n - 1;
		vcheck("a nested fault near the limit of CS", "code", go(), EXIT_NPF);
		vcheck("a nested fault near the limit of CS", "so many bytes", v->bytes[0], n < 15 ? n : 15);
		vcheck("a nested fault near the limit of CS", "these", memcmp(v->bytes + 1, code, n < 15 ? n : 15), 0);
		*entry |= 1;
	}
}

/* Across two pages that do not lie side by side in memory, from every distance to the first one's end. */
static void bytes_and_pages(void)
{
	enum { CODE = 0x8200000, DATA = 0x8000000, FIRST = 0x8600000, SECOND = 0x8609000 };
	static const u8 store[] = {0xa2, 0, 0, 0, 8, 0, 0, 0, 0}; /* MOV [DATA], AL */
	u64 *l1 = page_alloc(), *entry;

	for (unsigned n = 1; n < 17 && assists; n++) {
		u8 *first = (u8 *)FIRST + 4096 - n, want[15];

		memset((void *)FIRST, 0x11, 4096);
		memset((void *)SECOND, 0x22, 4096);
		for (unsigned k = 0; k < 15; k++) {
			u8 byte = k < sizeof(store) ? store[k] : (u8)(0x30 + k);

			want[k] = byte;
			*(k < n ? first + k : (u8 *)SECOND + k - n) = byte;
		}
		base(&plain);
		for (unsigned k = 0; k < 512; k++)
			l1[k] = (CODE + k * 4096) | 7;
		l1[0] = FIRST | 7;
		l1[1] = SECOND | 7;
		*svm_nested_entry(v, CODE) = (u64)l1 | 7;
		entry = svm_nested_entry(v, DATA);
		*entry &= ~1ull;
		v->rip = CODE + 4096 - n;
		vcheck("a nested fault across pages", "code", go(), EXIT_NPF);
		vcheck("a nested fault across pages", "15 bytes", v->bytes[0], 15);
		vcheck("a nested fault across pages", "these", memcmp(v->bytes + 1, want, 15), 0);
		*entry |= 1;
		*svm_nested_entry(v, CODE) = CODE | 0x87;
	}
}

/* The second page is a device's: the bytes of the first are there, whatever becomes of the others. */
static void bytes_and_devices(void)
{
	enum { CODE = 0x8200000, DATA = 0x8000000, FIRST = 0x8600000, DEVICE = 0xfee00000u };
	static const u8 store[] = {0xa2, 0, 0, 0, 8, 0, 0, 0, 0}; /* MOV [DATA], AL */
	u64 *l1 = page_alloc(), *entry, *code;

	if (!assists)
		return;
	base(&plain);
	entry = svm_nested_entry(v, DATA);
	code = svm_nested_entry(v, CODE);
	memcpy((u8 *)FIRST + 4096 - sizeof(store), store, sizeof(store));
	l1[0] = FIRST | 7;
	l1[1] = DEVICE | 7;
	*code = (u64)l1 | 7;
	*entry &= ~1ull;
	v->rip = CODE + 4096 - sizeof(store);
	vcheck("a nested fault before a device's page", "code", go(), EXIT_NPF);
	vcheck("a nested fault before a device's page", "9 bytes or more", v->bytes[0] >= 9, true);
	vcheck("a nested fault before a device's page", "these", memcmp(v->bytes + 1, store, sizeof(store)), 0);
	*entry |= 1;
	*code = CODE | 0x87;
}

/* ---- the host's arithmetic flags, as the instruction just before VMRUN left them ---- */

static void host_flags(void)
{
	static const struct {
		u64 a, b; /* a - b */
		u64 flags; /* OF SF ZF AF PF CF */
	} rows[] = {{5, 5, 0x44}, {1, 2, 0x95}, {0x80, 1, 0x10}, {1ull << 63, 1, 0x814}, {7, 3, 0}};

	for (unsigned n = 0; n < COUNT(rows); n++) {
		u64 flags, a = rows[n].a;

		base(&plain);
		asm volatile("push %%rbp; clgi; cmp %3, %1; vmrun; pushf; pop %0; stgi; pop %%rbp"
		             : "=&D"(flags), "+S"(a)
		             : "a"(v), "r"(rows[n].b)
		             : "rbx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
		vcheck("flags of the host", "code", v->exitcode, EXIT_VMMCALL);
		vcheck("flags of the host", "OF, SF, ZF, AF, PF, CF", flags & 0x8d5, rows[n].flags);
	}
}

/* ---- two guests, each with its own nested tables ---- */

SNIPPET(look_at, "mov $0x8000000, %eax", "mov (%rax), %rbx; mov %rbx, seen");

static void two_tables(void)
{
	enum { DATA = 0x8000000, FIRST = 0x8400000, SECOND = 0x8800000 };
	u64 *l4 = page_alloc(), *l3 = page_alloc(), *l2 = page_alloc(), *old3, *old2, first;

	*(u64 *)FIRST = 0xaaaa;
	*(u64 *)SECOND = 0xbbbb;
	base(&look_at);
	first = v->ncr3;
	old3 = (u64 *)(*(u64 *)first & ~0xfffull);
	old2 = (u64 *)(old3[0] & ~0xfffull);
	memcpy(l4, (void *)first, 4096);
	memcpy(l3, old3, 4096);
	memcpy(l2, old2, 4096);
	l4[0] = (u64)l3 | 7;
	l3[0] = (u64)l2 | 7;
	old2[DATA >> 21] = FIRST | 0x87;
	l2[DATA >> 21] = SECOND | 0x87;
	for (unsigned n = 0; n < 6; n++) {
		base(&look_at);
		v->asid = 1 + n % 2;
		v->ncr3 = n % 2 ? (u64)l4 : first;
		v->tlb_control = n < 2;
		vcheck("two nested tables", "code", go(), EXIT_VMMCALL);
		vcheck("two nested tables", "each its own", seen[0], n % 2 ? 0xbbbb : 0xaaaa);
	}
	old2[DATA >> 21] = DATA | 0x87;
}

/* The same for the guest's own tables: one page for both guests, in two places. */
SNIPPET(look_far, "mov $1, %eax; shl $39, %rax", "mov (%rax), %rbx; mov %rbx, seen");

static void two_tables_of_tables(void)
{
	enum { TABLES = 0x8a00000, ELSEWHERE = 0x8c00000, FIRST = 0x8400000, SECOND = 0x8800000 };
	u64 *l4 = page_alloc(), *l3 = page_alloc(), *l2 = page_alloc(), first;

	*(u64 *)FIRST = 0xaaaa;
	*(u64 *)SECOND = 0xbbbb;
	for (unsigned n = 0; n < 2; n++) {
		u64 *t = (u64 *)(n ? ELSEWHERE : (u64)TABLES);

		memset(t, 0, 3 * 4096);
		memcpy(t, user_pml4, 4096);
		t[1] = (TABLES + 0x1000) | 7;
		t[512] = (TABLES + 0x2000) | 7;
		t[1024] = (n ? SECOND : FIRST) | 0x87;
	}
	base(&look_far);
	first = v->ncr3;
	memcpy(l4, (void *)first, 4096);
	memcpy(l3, (void *)(*(u64 *)first & ~0xfffull), 4096);
	memcpy(l2, (void *)(l3[0] & ~0xfffull), 4096);
	l4[0] = (u64)l3 | 7;
	l3[0] = (u64)l2 | 7;
	l2[TABLES >> 21] = ELSEWHERE | 0x87;
	for (unsigned n = 0; n < 6; n++) {
		base(&look_far);
		v->cr3 = TABLES;
		v->ncr3 = n % 2 ? (u64)l4 : first;
		v->tlb_control = 1;
		vcheck("two places of the guest's tables", "code", go(), EXIT_VMMCALL);
		vcheck("two places of the guest's tables", "each its own", seen[0], n % 2 ? 0xbbbb : 0xaaaa);
	}
}

/* ---- addresses of 32-bit code are 32 bits wide ---- */

SNIPPET32(invlpg32, "", "invlpg 0x2034");
SNIPPET32(invpcid32, "", "invpcid 0x2034, %eax");

static void wrapped_address(void)
{
	u32 r[4];

	base(&plain);
	protected32(invlpg32.entry);
	v->ds.base = 0xfffff000;
	v->intercept1 |= SVM_BIT(EXIT_INVLPG);
	vcheck("INVLPG of 32-bit code", "code", go(), EXIT_INVLPG);
	vcheck("INVLPG of 32-bit code", "the address wraps", v->exitinfo1, assists ? 0x1034 : 0);

	cpuid(7, 0, r);
	if (!(r[1] >> 10 & 1))
		return;
	base(&plain);
	protected32(invpcid32.entry);
	v->ds.base = 0xfffff000;
	on((struct icpt)ICPT(EXIT_INVPCID));
	vcheck("INVPCID of 32-bit code", "code", go(), EXIT_INVPCID);
	vcheck("INVPCID of 32-bit code", "the address wraps", v->exitinfo1, 0x1034);
}

/* ---- last-branch records: the exception's are the guest's, too ---- */

asm(".pushsection .text\n"
    "sw_lbr: mov $0x1d9, %ecx; mov $1, %eax; xor %edx, %edx; wrmsr\n"
    "sw_from: jmp sw_to; nop\n"
    "sw_to: ud2\n"
    "sw_icebp: mov $0x1d9, %ecx; mov $1, %eax; xor %edx, %edx; wrmsr\n"
    "sw_from2: jmp sw_to2; nop\n"
    "sw_to2: .byte 0xf1\n"
    "sw_nmi: mov $0x1d9, %ecx; mov $1, %eax; xor %edx, %edx; wrmsr\n"
    "sw_from3: jmp sw_to3; nop\n"
    "sw_to3: int $2\n"
    ".popsection");
extern char sw_lbr[], sw_from[], sw_to[], sw_icebp[], sw_nmi[], sw_from3[], sw_to3[];

static void exception_records(void)
{
	/* "Last-Branch Record": LASTEXCP holds the last branch before the last exception or interrupt; 33047 leaves out
	 * #DB, ICEBP with it */
	static const struct {
		const char *name;
		const char *code, *from, *to;
	} rows[] = {
	        {"#UD", sw_lbr, sw_from, sw_to},
	        {"INT 2", sw_nmi, sw_from3, sw_to3},
	        {"ICEBP", sw_icebp, NULL, NULL},
	};
	u32 r[4];

	cpuid(0x8000000a, 0, r);
	if (!(r[3] & 2))
		return;
	for (unsigned n = 0; n < COUNT(rows); n++) {
		base(&plain);
		own_idt();
		v->lbrv = 1;
		for (unsigned k = 0; k < 5; k++)
			(&v->dbgctl)[k] = k ? 0x5000 + k : 0;
		v->rip = (u64)rows[n].code;
		vcheck(rows[n].name, "runs into its handler", go(), EXIT_VMMCALL);
		vcheck(rows[n].name, "LASTEXCPFROM", v->excp_from, rows[n].from ? (u64)rows[n].from : 0x5003);
		vcheck(rows[n].name, "LASTEXCPTO", v->excp_to, rows[n].to ? (u64)rows[n].to : 0x5004);
	}
}

/* ---- "TSC Ratio MSR": in the guest only ---- */

SNIPPET(counter, "", "rdtsc; mov %eax, seen; mov %edx, seen+4");

static void tsc_ratio(void)
{
	u32 r[4];
	u64 before, after;

	cpuid(0x8000000a, 0, r);
	if (!(r[3] >> 4 & 1))
		return;
	wrmsr(MSR_TSC_RATIO, 4ull << 32);
	before = rdtsc();
	base(&counter);
	vcheck("TSC ratio", "code", go(), EXIT_VMMCALL);
	after = rdtsc();
	wrmsr(MSR_TSC_RATIO, 1ull << 32);
	vcheck("TSC ratio", "the host's counter goes on as it was", after > before && after - before < 1000000, 1);
	vcheck("TSC ratio", "the guest's is four times the host's", seen[0] >= 4 * before && seen[0] <= 4 * after, 1);
}

/* ---- VMSAVE is a store like another: decoded code in the page goes ---- */

static u8 code_page[4096] __attribute__((aligned(4096)));

static u64 call_saved(void)
{
	u64 a;

	asm volatile("call *%1" : "=a"(a) : "r"(code_page + 0x620) : "memory");
	return a & 0xff;
}

static void save_over_code(void)
{
	u64 keep = rdmsr(MSR_KERNEL_GS_BASE);

	memcpy(code_page + 0x620, "\xb0\x01\xc3", 3); /* MOV AL, 1; RET */
	vcheck("code in a page for VMSAVE", "as it was", call_saved(), 1);
	wrmsr(MSR_KERNEL_GS_BASE, 0xc302b0); /* KernelGsBase lies at 620h: MOV AL, 2; RET */
	asm volatile("vmsave" ::"a"(code_page) : "memory");
	wrmsr(MSR_KERNEL_GS_BASE, keep);
	vcheck("code in a page for VMSAVE", "as VMSAVE has written it", call_saved(), 2);
}

/* ---- addresses and modes that VMRUN, VMLOAD and VMSAVE refuse ---- */

static void refused(void)
{
	u64 old_efer = rdmsr(MSR_EFER), hsave = rdmsr(MSR_VM_HSAVE_PA), top;
	u32 r[4];

	cpuid(0x80000008, 0, r);
	top = 1ull << (r[0] & 0xff);
	vcheck("VMRUN beyond the physical address", "#GP", (u64)CATCH(asm volatile("vmrun" ::"a"(top))), 13);
	vcheck("VMLOAD beyond the physical address", "#GP", (u64)CATCH(asm volatile("vmload" ::"a"(top))), 13);
	vcheck("VMSAVE beyond the physical address", "#GP", (u64)CATCH(asm volatile("vmsave" ::"a"(top))), 13);
	wrmsr(MSR_EFER, old_efer & ~0x1000ull); /* #UD comes before #GP on every model */
	vcheck("SVME 0, address not aligned", "VMRUN", (u64)CATCH(asm volatile("vmrun" ::"a"((u64)v + 8))), 6);
	vcheck("SVME 0, address not aligned", "VMLOAD", (u64)CATCH(asm volatile("vmload" ::"a"((u64)v + 8))), 6);
	vcheck("SVME 0, address not aligned", "VMSAVE", (u64)CATCH(asm volatile("vmsave" ::"a"((u64)v + 8))), 6);
	wrmsr(MSR_EFER, old_efer);
	base(&plain);
	wrmsr(MSR_VM_HSAVE_PA, 0);
	if (of_2005)
		vcheck("VM_HSAVE_PA 0 in 2005", "VMRUN", go(), EXIT_VMMCALL);
	else
		vcheck("VM_HSAVE_PA 0", "VMRUN", (u64)CATCH(asm volatile("vmrun" ::"a"(v))), 13);
	wrmsr(MSR_VM_HSAVE_PA, hsave);
}

void test_switch(void)
{
	legacy_guest();
	host_flags();
	two_tables();
	two_tables_of_tables();
	wrapped_address();
	bytes_and_limit();
	bytes_and_pages();
	bytes_and_devices();
	exception_records();
	tsc_ratio();
	save_over_code();
	refused();
}
