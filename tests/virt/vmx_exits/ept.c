/* The second stage: violations and misconfigurations, accessed and dirty flags, PML, #VE, VMFUNC, mode-based execute. */
#include "exits.h"

#define HOLE 0x10000000ull
SNIPPET(g_read_then_write, "mov $0x10000008, %ebx; mov (%rbx), %eax", "movl $1, (%rbx)");
SNIPPET(g_write, "mov $0x10000008, %ebx", "movl $1, (%rbx)");
SNIPPET(g_read, "mov $0x10000008, %ebx", "mov (%rbx), %eax");
SNIPPET(g_look, "mov $0x10000008, %ebx", "mov (%rbx), %eax; mov %rax, seen");
SNIPPET(g_rmw, "mov $0x10000008, %ebx", "incl (%rbx)");
SNIPPET(g_fetch, "mov $0x10000008, %ebx", "jmp *%rbx");
SNIPPET(g_vmfunc, "xor %eax, %eax; mov $1, %ecx", "vmfunc");
SNIPPET(g_vmfunc1, "mov $1, %eax; mov $1, %ecx", "vmfunc");
SNIPPET(g_after_switch, "xor %eax, %eax; mov $1, %ecx; vmfunc; mov $0x10000008, %ebx", "mov (%rbx), %eax; mov %rax, seen");

enum { R = 1, W = 2, X = 4, XU = 1 << 10, LEAF = 1 << 7 | 6 << 3 };
#define AD (1 << 6)

static void violation(const char *name, const struct snippet *s, u64 entry, u64 qualification)
{
	base(s);
	*vmx_ept_entry(HOLE) = entry;
	vcheck(name, "violation", go(), R_EPT);
	vcheck(name, "qualification", vmx_read(VMCS_QUALIFICATION), qualification);
	vcheck(name, "guest-physical address", vmx_read(VMCS_GUEST_PHYSICAL), HOLE + 8);
	vcheck(name, "linear address", vmx_read(VMCS_GUEST_LINEAR), HOLE + 8);
	vcheck(name, "RF in the saved RFLAGS", vmx_read(VMCS_GUEST_RFLAGS) >> 16 & 1, 1);
}

/* 7 linear address valid, 8 the translation itself; 9 to 11: supervisor, writable, not execute-disabled. */
#define FINAL (1 << 7 | 1 << 8 | 1 << 10)

static void test_violations(void)
{
	violation("EPT write, not present", &g_write, 0, FINAL | 2);
	violation("EPT read, not present", &g_read, 0, FINAL | 1);
	violation("EPT write, read-only", &g_write, HOLE | LEAF | R | X, FINAL | 2 | 5 << 3);
	violation("EPT read, execute-only", &g_read, HOLE | LEAF | X, FINAL | 1 | 4 << 3);
	base(&g_fetch);
	*vmx_ept_entry(HOLE) = HOLE | LEAF | R | W;
	check("EPT fetch: violation", go(), R_EPT);
	check("EPT fetch: qualification", vmx_read(VMCS_QUALIFICATION), FINAL | 4 | 3 << 3);
	base(&g_rmw);
	*vmx_ept_entry(HOLE) = HOLE | LEAF | R;
	check("EPT read-modify-write: violation", go(), R_EPT);
	check("EPT read-modify-write: a write", vmx_read(VMCS_QUALIFICATION) & 2, 2);
	base(&g_write);
	*vmx_ept_entry(HOLE) = HOLE | LEAF | R | W;
	stays("EPT write allowed", &g_write);
}

static void test_misconfigurations(void)
{
	static const struct { const char *name; u64 entry; } row[] = {
		{"write without read", HOLE | LEAF | W}, {"reserved memory type", HOLE | 1 << 7 | 2 << 3 | 7},
		{"reserved bit", HOLE | LEAF | 7 | 1 << 12}, {"address too wide", HOLE | LEAF | 7 | 1ull << 51},
	};

	for (unsigned n = 0; n < 4; n++) {
		base(&g_read);
		*vmx_ept_entry(HOLE) = row[n].entry;
		vcheck("EPT misconfiguration", row[n].name, go(), R_MISCONFIG);
		vcheck(row[n].name, "guest-physical address", vmx_read(VMCS_GUEST_PHYSICAL), HOLE + 8);
	}
}

static void test_accessed_dirty(void)
{
	u64 *e;

	base(&g_read);
	e = vmx_ept_entry(HOLE);
	stays("EPT, no flags", &g_read);
	check("EPT, no flags: untouched", *e & 0x300, 0);
	base(&g_read);
	on(VMCS_EPTP, AD);
	e = vmx_ept_entry(HOLE);
	stays("EPT accessed", &g_read);
	check("EPT accessed: set, not dirty", *e & 0x300, 0x100);
	base(&g_write);
	on(VMCS_EPTP, AD);
	e = vmx_ept_entry(HOLE);
	stays("EPT dirty", &g_write);
	check("EPT dirty: both set", *e & 0x300, 0x300);
	base(&g_read_then_write); /* the write finds the translation that the read left */
	on(VMCS_EPTP, AD);
	e = vmx_ept_entry(HOLE);
	stays("EPT accessed, then dirty", &g_read_then_write);
	check("EPT accessed, then dirty: both set", *e & 0x300, 0x300);
}

static void test_pml(void)
{
	u64 *log = page_alloc(), *upper, hits = 0;

	base(&g_write);
	on(VMCS_EPTP, AD);
	on(VMCS_PROC2, S_PML);
	vmx_write(VMCS_PML, (u64)log);
	vmx_write(VMCS_PML_INDEX, 511);
	stays("PML", &g_write);
	for (u64 n = vmx_read(VMCS_PML_INDEX) + 1; n < 512; n++)
		hits += log[n] == HOLE;
	check("PML: the page is in the log once", hits, 1);
	base(&g_write);
	on(VMCS_EPTP, AD);
	on(VMCS_PROC2, S_PML);
	vmx_write(VMCS_PML, (u64)log);
	vmx_write(VMCS_PML_INDEX, 0xffff);
	upper = (u64 *)(vmx_read(VMCS_EPTP) & ~0xfffull);
	upper[0] &= ~0x300ull;
	check("PML full: exits", go(), R_PML);
	check("PML full: what leads there has not been used", upper[0] & 0x300, 0);
	check("PML full: what it is about has no flag yet", *vmx_ept_entry(vmx_read(VMCS_GUEST_PHYSICAL)) & 0x300, 0);
	check("PML full: no flag is set", *vmx_ept_entry(HOLE) & 0x300, 0);
}

static u64 ve_count, *guest_entry;

static bool on_ve(struct regs *r)
{
	ve_count++;
	*guest_entry = HOLE | LEAF | 7;
	(void)r;
	return true;
}

static void test_ve(void)
{
	u32 *info = page_alloc();

	on_exception(20, on_ve);
	base(&g_write);
	on(VMCS_PROC2, S_VE);
	vmx_write(VMCS_VE, (u64)info);
	vmx_write(VMCS_EPTP_INDEX, 7);
	guest_entry = vmx_ept_entry(HOLE);
	*guest_entry = 0;
	stays("#VE", &g_write);
	check("#VE: delivered", ve_count, 1);
	check("#VE: reason", info[0], R_EPT);
	check("#VE: busy", info[1], 0xffffffff);
	check("#VE: qualification", *(u64 *)(info + 2), FINAL | 2);
	check("#VE: linear address", *(u64 *)(info + 4), HOLE + 8);
	check("#VE: guest-physical address", *(u64 *)(info + 6), HOLE + 8);
	check("#VE: EPTP index", *(u16 *)(info + 8), 7);
	base(&g_write); /* busy */
	on(VMCS_PROC2, S_VE);
	vmx_write(VMCS_VE, (u64)info);
	*vmx_ept_entry(HOLE) = 0;
	check("#VE while busy: an exit", go(), R_EPT);
	base(&g_write);
	on(VMCS_PROC2, S_VE);
	info[1] = 0;
	vmx_write(VMCS_VE, (u64)info);
	*vmx_ept_entry(HOLE) = 1ull << 63;
	check("#VE suppressed by bit 63: an exit", go(), R_EPT);
	base(&g_write);
	on(VMCS_PROC2, S_VE);
	vmx_write(VMCS_VE, (u64)info);
	*vmx_ept_entry(HOLE) = 0;
	on(VMCS_EXCEPTIONS, 1 << 20);
	check("#VE in the exception bitmap: exits as an exception", go(), R_EXCEPTION);
	check("#VE in the exception bitmap: event", vmx_read(VMCS_EXIT_EVENT), 0x80000314);
}

SNIPPET(g_unpaged, "mov $0x10000000, %ebx", "movl $1, (%rbx)"); /* the same bytes in 32-bit code */

/* "Convertible EPT Violations": there are no virtualization exceptions where CR0.PE is 0. */
static void test_ve_real_mode(void)
{
	base(&g_unpaged);
	on(VMCS_PROC2, S_VE | S_UNRESTRICTED);
	off(VMCS_ENTRY_CONTROLS, E_LONG);
	vmx_write(VMCS_GUEST_EFER, 0);
	off(VMCS_GUEST_CR0, 1u << 31 | 1);
	vmx_write(VMCS_GUEST_CS_AR, 0xc09b);
	vmx_write(VMCS_GUEST_IDTR_LIMIT, 0); /* no exception finds a way */
	vmx_write(VMCS_VE, (u64)page_alloc());
	*vmx_ept_entry(HOLE) = 0;
	check("#VE in real mode: an exit", go(), R_EPT);
	check("#VE in real mode: guest-physical address", vmx_read(VMCS_GUEST_PHYSICAL), HOLE);
}

static void vm_functions(u64 second)
{
	u64 *list = page_alloc();

	list[1] = second;
	on(VMCS_PROC2, S_VMFUNC);
	vmx_write(VMCS_VMFUNC, 1);
	vmx_write(VMCS_EPTP_LIST, (u64)list);
}

static void test_vmfunc(void)
{
	u64 first, second;

	base(&g_vmfunc);
	on(VMCS_EXCEPTIONS, 1 << 6);
	check("VMFUNC, not enabled: #UD", go(), R_EXCEPTION);
	base(&g_vmfunc1);
	vm_functions(vmx_read(VMCS_EPTP));
	leaves("VMFUNC, another function", &g_vmfunc1, R_VMFUNC, 0);
	base(&g_vmfunc);
	vm_functions(0);
	leaves("VMFUNC, a bad entry", &g_vmfunc, R_VMFUNC, 0);
	base(&g_after_switch);
	second = vmx_read(VMCS_EPTP);
	*vmx_ept_entry(HOLE) = (HOLE + 0x200000) | LEAF | 7;
	*(u64 *)(HOLE + 0x200008) = 0x2222;
	*(u64 *)(HOLE + 8) = 0x1111;
	base(&g_after_switch);
	first = vmx_read(VMCS_EPTP);
	vm_functions(second);
	stays(REQ("sdm30.22") "EPTP switching", &g_after_switch); /* at CPL 3: priorities.c; outside non-root operation: life.c */
	check("EPTP switching: the other tables translate", seen[0], 0x2222);
	check("EPTP switching: the field", vmx_read(VMCS_EPTP), second);
	check("EPTP switching: they differ", first != second, 1);
}

SNIPPET(g_function, "", "vmfunc");
SNIPPET(g_switch, "xor %eax, %eax; mov $511, %ecx", "vmfunc");
SNIPPET(g_beyond, "xor %eax, %eax; mov $512, %ecx", "vmfunc");
SNIPPET(g_function64, "mov $64, %eax; xor %ecx, %ecx", "vmfunc");

static void last_entry(const struct snippet *s)
{
	u64 *list = page_alloc();

	base(s);
	list[511] = vmx_read(VMCS_EPTP);
	on(VMCS_PROC2, S_VMFUNC);
	vmx_write(VMCS_VMFUNC, 1);
	vmx_write(VMCS_EPTP_LIST, (u64)list);
	vmx_write(VMCS_EPTP_INDEX, 7);
}

static void test_function_operands(void)
{
	last_entry(&g_switch);
	stays("EPTP switching, the last entry", &g_switch);
	check("EPTP switching: the index", vmx_read(VMCS_EPTP_INDEX), 511);
	last_entry(&g_beyond);
	leaves("EPTP switching, entry 512", &g_beyond, R_VMFUNC, 0);
	check("EPTP switching, entry 512: the index stays", vmx_read(VMCS_EPTP_INDEX), 7);
	last_entry(&g_function64);
	vmx_write(VMCS_EXCEPTIONS, 1 << 6);
	check("VMFUNC 64", go(), R_EXCEPTION);
	check("VMFUNC 64: #UD", vmx_read(VMCS_EXIT_EVENT), 0x80000306);
}

static void test_mode_based(void)
{
	base(&g_fetch); /* the linear address is a supervisor one */
	on(VMCS_PROC2, S_MBEC);
	*vmx_ept_entry(0x100000) |= XU;
	*vmx_ept_entry(HOLE) = HOLE | LEAF | R | W | XU;
	check("mode-based execute: supervisor needs bit 2", go(), R_EPT);
	check("mode-based execute: qualification", vmx_read(VMCS_QUALIFICATION), FINAL | 4 | 3 << 3); /* bit 6 is the AND of all levels */
	base(&g_fetch);
	on(VMCS_PROC2, S_MBEC);
	*(u32 *)(HOLE + 8) = 0xc1010f; /* VMCALL */
	check("mode-based execute: bit 2 alone will do", go(), R_VMCALL);
}

/* INVLPG reaches the combined mappings of the VPID under every EPT pointer, not under the current one only. */
#define WINDOW 0x8040000000ull
static u64 *window_entry;

static u32 look(void)
{
	return *(volatile u32 *)WINDOW;
}

static void use_tables(u32 n)
{
	asm volatile("vmfunc" ::"a"(0), "c"(n) : "memory");
}

static void shared_vpid_guest(void)
{
	seen[0] = look();
	use_tables(1);
	seen[1] = look();
	use_tables(0);
	*(volatile u64 *)window_entry += 0x1000;
	invlpg((void *)WINDOW);
	seen[2] = look();
	use_tables(1);
	seen[3] = look();
	asm volatile("vmcall");
}

static void test_shared_vpid(void)
{
	const struct snippet s = {(char *)shared_vpid_guest, NULL, NULL};
	u64 second, *list = page_alloc(), *table = pml4;
	u32 *pages = page_alloc();

	page_alloc(); /* the one behind it */
	pages[0] = 0x1111;
	pages[1024] = 0x2222;
	map_page(pml4, WINDOW, (u64)pages, 3);
	for (unsigned shift = 39; shift > 12; shift -= 9)
		table = (u64 *)(table[WINDOW >> shift & 511] & 0x000ffffffffff000ull);
	window_entry = &table[WINDOW >> 12 & 511];
	base(&s);
	second = vmx_read(VMCS_EPTP);
	base(&s);
	list[0] = vmx_read(VMCS_EPTP);
	list[1] = second;
	on(VMCS_PROC2, S_VPID | S_VMFUNC);
	vmx_write(VMCS_VPID, 9);
	vmx_write(VMCS_VMFUNC, 1);
	vmx_write(VMCS_EPTP_LIST, (u64)list);
	check("VPID under two EPT pointers: runs", go(), R_VMCALL);
	check("VPID under two EPT pointers: first", seen[0], 0x1111);
	check("VPID under two EPT pointers: second", seen[1], 0x1111);
	check("VPID under two EPT pointers: first after INVLPG", seen[2], 0x2222);
	check("VPID under two EPT pointers: second after INVLPG", seen[3], 0x2222);
}

static u64 look_again(void)
{
	vmx_write(VMCS_GUEST_RIP, (u64)g_look.entry);
	seen[0] = 0;
	check("INVEPT, INVVPID: runs", again(), R_VMCALL);
	return seen[0];
}

/* With a VPID nothing is flushed by entry and exit: what the two instructions do is seen. */
static void test_invalidate(void)
{
	u64 *pde = &pds[0][HOLE >> 21 & 511], kept = *pde, vpid[2] = {12, 0};

	*(u64 *)(HOLE + 8) = 0x1111;
	*(u64 *)(HOLE + 0x200008) = 0x2222;
	*(u64 *)(HOLE + 0x400008) = 0x3333;
	base(&g_look);
	on(VMCS_PROC2, S_VPID);
	vmx_write(VMCS_VPID, 12);
	stays("INVEPT, INVVPID", &g_look);
	check("INVEPT: cached", seen[0], 0x1111);
	*vmx_ept_entry(HOLE) = (HOLE + 0x200000) | LEAF | 7;
	check("INVEPT: still the old translation", look_again(), 0x1111);
	check("INVEPT", (u64)vmx_invept(), VMX_OK);
	check(REQ("sdm30.15") "INVEPT: the new translation", look_again(), 0x2222);
	*pde = (HOLE + 0x400000) | 0x87;
	check("INVVPID: still the old translation", look_again(), 0x2222);
	vpid[0] = 13;
	asm volatile("invvpid %0, %1" ::"m"(vpid), "r"(1ull) : "cc", "memory");
	check(REQ("sdm30.16") "INVVPID of another VPID: still the old translation", look_again(), 0x2222);
	vpid[0] = 12;
	asm volatile("invvpid %0, %1" ::"m"(vpid), "r"(1ull) : "cc", "memory");
	check(REQ("sdm30.16") "INVVPID: the new translation", look_again(), 0x3333);
	*pde = kept;
	invlpg((void *)HOLE);
}

/* INVLPG in a guest: its own VPID, its own PCID. */
static void pcid_guest(void)
{
	u64 cr3 = read_cr3() & ~0xfffull, none = 1ull << 63;

	write_cr3(cr3 | 1);
	seen[0] = look();
	write_cr3(cr3 | 2);
	seen[1] = look();
	*(volatile u64 *)window_entry += 0x1000;
	invlpg((void *)WINDOW);
	seen[2] = look();
	write_cr3(cr3 | 1 | none);
	seen[3] = look();
	asm volatile("vmcall");
}

static void test_pcid(void)
{
	const struct snippet s = {(char *)pcid_guest, NULL, NULL};

	*window_entry -= 0x1000;
	invlpg((void *)WINDOW);
	check("PCID: the host's", look(), 0x1111);
	base(&s);
	on(VMCS_GUEST_CR4, 1 << 17);
	on(VMCS_PROC2, S_VPID);
	vmx_write(VMCS_VPID, 14);
	check("PCID: runs", go(), R_VMCALL);
	check("PCID: both cached", seen[0] == 0x1111 && seen[1] == 0x1111, 1);
	check(REQ("vmx04.3.1.2.3.11.now") "INVLPG: the current PCID", seen[2], 0x2222);
	check(REQ("vmx04.3.1.2.3.11.now") "INVLPG: no other PCID", seen[3], 0x1111);
	check(REQ("vmx04.3.1.2.3.11.now") "INVLPG: no other VPID", look(), 0x1111);
	invlpg((void *)WINDOW);
}

void test_ept(void)
{
	test_shared_vpid();
	test_pcid();
	test_invalidate();
	test_violations();
	test_misconfigurations();
	test_accessed_dirty();
	test_pml();
	test_ve();
	test_ve_real_mode();
	test_vmfunc();
	test_function_operands();
	test_mode_based();
}
