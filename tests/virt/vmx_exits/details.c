/*
 * What the younger editions say in passing: advanced information of EPT violations, the types of INVVPID and INVEPT,
 * privilege of PAUSE loops, RDPID, EPTP indices, MSR lists and loads, virtual APIC accesses that no instruction names.
 */
#include "exits.h"

#define HOLE          0x10000000ull
#define ACCESS        0x10000000ull
#define PAGE          0x10000000000ull /* a linear page of this file: 1 TiB */
#define NX            (1ull << 63)
#define SIX           0x8d5ull
#define NOT_CANONICAL (1ull << 62) /* whatever the width of linear addresses */

enum { EPT_X = 4, LEAF = 1 << 7 | 6 << 3, EPT_AD = 1 << 6, NMI = 1 << 3, VIRTUAL_NMI = 1 << 5 };
enum {
	S_APIC = 1 << 0,
	S_TABLES = 1 << 2,
	S_RDTSCP = 1 << 3,
	S_X2APIC = 1 << 4,
	S_VPID = 1 << 5,
	S_REGISTERS = 1 << 8,
	S_DELIVERY = 1 << 9,
	S_PLE = 1 << 10,
	S_VMFUNC = 1 << 13,
	S_VE = 1 << 18
};

/* ---- EPT violations ---- */

SNIPPET(d_read, "mov $0x10000000000, %rbx", "mov (%rbx), %eax; mov %rax, seen");
SNIPPET(d_iret, "mov $0x10000100, %esp", "iretq");

/* Bits 9 to 11: a user address, writable, execute-disabled. They come with IA32_VMX_EPT_VPID_CAP[22]. */
static void advanced(void)
{
	static const struct {
		const char *name;
		u64 flags, qualification;
	} row[] = {
	        {"read-only", 1, 0},
	        {"writable", 3, 1 << 10},
	        {"user", 5, 1 << 9},
	        {"user, writable", 7, 3 << 9},
	        {"execute-disabled", 1 | NX, 1 << 11},
	        {"all three", 7 | NX, 7 << 9},
	};

	check("advanced information", rdmsr(0x48c) >> 22 & 1, 1);
	for (unsigned n = 0; n < sizeof(row) / sizeof(row[0]); n++) {
		map_page(pml4, PAGE, HOLE, row[n].flags);
		invlpg((void *)PAGE);
		base(&d_read);
		*vmx_ept_entry(HOLE) = 0;
		vcheck(row[n].name, "violation", go(), R_EPT);
		vcheck(row[n].name, "qualification", vmx_read(VMCS_QUALIFICATION), 0x181 | row[n].qualification);
		vcheck(row[n].name, "linear address", vmx_read(VMCS_GUEST_LINEAR), PAGE);
		vcheck(row[n].name, "guest-physical address", vmx_read(VMCS_GUEST_PHYSICAL), HOLE);
	}
}

/* The guest's own tables lie where the second stage has a hole: bit 8 is 0. With accessed and dirty flags each is a
 * write. */
static void in_the_walk(void)
{
	u64 kept = pml4[PAGE >> 39];

	for (unsigned ad = 0; ad < 2; ad++) {
		base(&d_read);
		pml4[PAGE >> 39] = (HOLE + 0x5000) | 7;
		*vmx_ept_entry(HOLE) = 0;
		if (ad)
			on(VMCS_EPTP, EPT_AD);
		check("EPT violation in the walk", go(), R_EPT);
		check("EPT violation in the walk: qualification", vmx_read(VMCS_QUALIFICATION) & 0x1ff,
		      ad ? 0x83 : 0x81);
		check("EPT violation in the walk: linear address", vmx_read(VMCS_GUEST_LINEAR), PAGE);
		check("EPT violation in the walk: the entry", vmx_read(VMCS_GUEST_PHYSICAL),
		      HOLE + 0x5000 + (PAGE >> 30 & 511) * 8);
	}
	pml4[PAGE >> 39] = kept;
	invlpg((void *)PAGE);
}

/* Bit 12: an IRET that had blocking by (virtual) NMI to end. */
static void unblocking(void)
{
	for (unsigned blocked = 0; blocked < 2; blocked++) {
		base(&d_iret);
		on(VMCS_PIN, NMI | VIRTUAL_NMI);
		vmx_write(VMCS_GUEST_INTERRUPTIBILITY, blocked << 3);
		*vmx_ept_entry(HOLE) = 0;
		check("IRET from a hole", go(), R_EPT);
		check("IRET from a hole: NMI unblocking", vmx_read(VMCS_QUALIFICATION) >> 12 & 1, blocked);
		check("IRET from a hole: RF", vmx_read(VMCS_GUEST_RFLAGS) >> 16 & 1, 1);
	}
}

/* ---- INVVPID and INVEPT ---- */

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
	base(&d_read);
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

	for (unsigned n = 0; n < sizeof(row) / sizeof(row[0]); n++) {
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
	for (unsigned n = 0; n < sizeof(row) / sizeof(row[0]); n++) {
		map_both((u64)a);
		invalidate(true, 2, 0, 0);
		base(&s);
		on(VMCS_GUEST_CR4, 1 << 7);
		on(VMCS_PROC2, S_VPID);
		vmx_write(F_VPID, 21);
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

/* ---- instructions ---- */

SNIPPET(d_lidt, "", "lidt idt_operand(%rip)");
SNIPPET(d_ltr, "xor %ecx, %ecx", "ltr %cx");
SNIPPET(d_rdpid, "", "rdpid %rdx; mov %rdx, seen");
SNIPPET(d_loop, "mov $1000, %ecx\n1: pause; dec %ecx; jnz 1b", "nop");
SNIPPET(d_pause, "", "pause");
SNIPPET(d_clock, "mov $0x10, %ecx; rdmsr; mov %eax, %esi; mov %edx, %edi",
        "rdtscp; mov %eax, seen; mov %edx, seen + 4; mov %esi, seen + 8; mov %edi, seen + 12");
struct {
	u16 limit;
	u64 base;
} __attribute__((packed)) idt_operand = {0xfff, 0};

static void tables(void)
{
	base(&d_lidt);
	on(VMCS_PROC2, S_TABLES);
	leaves("LIDT", &d_lidt, R_GDTR, (u64)&idt_operand);
	check("LIDT: information", vmx_read(F_INFO) & 0x38000000, 3u << 28 | 1 << 27);
	base(&d_lidt);
	stays("LIDT", &d_lidt);
	base(&d_ltr);
	on(VMCS_PROC2, S_TABLES);
	leaves("LTR", &d_ltr, R_LDTR, 0);
	check("LTR: information", vmx_read(F_INFO) & 0x30000478, 3u << 28 | 1 << 10 | 1 << 3);
	base(&d_ltr); /* a null selector: #GP(0) */
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	check("LTR: not by the control", go(), R_EXCEPTION);
}

/* "PAUSE-loop exiting" is for CPL 0, "PAUSE exiting" for all. */
static void pauses(void)
{
	base(&d_loop);
	to_user();
	vmx_write(VMCS_GUEST_CR3, (u64)user_pml4);
	on(VMCS_PROC2, S_PLE);
	vmx_write(F_PLE_GAP, 10000);
	vmx_write(F_PLE_WINDOW, 2000);
	stays("PAUSE loop at CPL 3", &d_loop);
	base(&d_pause);
	to_user();
	vmx_write(VMCS_GUEST_CR3, (u64)user_pml4);
	on(VMCS_PROC, 1 << 30);
	leaves("PAUSE at CPL 3", &d_pause, R_PAUSE, 0);
	base(&d_pause); /* both: every one exits, whatever gap and window */
	on(VMCS_PROC, 1 << 30);
	on(VMCS_PROC2, S_PLE);
	vmx_write(F_PLE_GAP, 10000);
	vmx_write(F_PLE_WINDOW, ~0u);
	leaves("PAUSE, both controls", &d_pause, R_PAUSE, 0);
}

static void identities(void)
{
	wrmsr(0xc0000103, 0x1234);
	base(&d_rdpid);
	on(VMCS_PROC2, S_RDTSCP);
	stays("RDPID", &d_rdpid);
	check("RDPID: IA32_TSC_AUX", seen[0], 0x1234);
	base(&d_rdpid);
	vmx_write(VMCS_EXCEPTIONS, 1 << 6);
	check("RDPID, RDTSCP not enabled", go(), R_EXCEPTION);
	check("RDPID, RDTSCP not enabled: #UD", vmx_read(VMCS_EXIT_EVENT), 0x80000306);
	base(&d_clock); /* RDMSR of the counter and RDTSCP have the offset, too */
	on(VMCS_PROC, 1 << 3 | 1 << 28);
	on(VMCS_PROC2, S_RDTSCP);
	vmx_write(F_MSR_BITMAP, (u64)page_alloc());
	vmx_write(F_TSC_OFFSET, 1ull << 40);

	u64 now = rdtsc();

	stays("TSC offset", &d_clock);
	check("TSC offset: RDTSCP", seen[0] - now - (1ull << 40) < 1000000, 1);
	check("TSC offset: RDMSR", seen[1] - now - (1ull << 40) < 1000000, 1);
	check("TSC offset: in order", seen[1] <= seen[0], 1);
}

/* ---- VMFUNC ---- */

SNIPPET(d_function, "", ".byte 0x0f, 0x01, 0xd4");
SNIPPET(d_switch, "xor %eax, %eax; mov $511, %ecx", ".byte 0x0f, 0x01, 0xd4");
SNIPPET(d_beyond, "xor %eax, %eax; mov $512, %ecx", ".byte 0x0f, 0x01, 0xd4");
SNIPPET(d_function64, "mov $64, %eax; xor %ecx, %ecx", ".byte 0x0f, 0x01, 0xd4");

static void functions(const struct snippet *s)
{
	u64 *list = page_alloc();

	base(s);
	list[511] = vmx_read(VMCS_EPTP);
	on(VMCS_PROC2, S_VMFUNC);
	vmx_write(F_VMFUNC, 1);
	vmx_write(F_EPTP_LIST, (u64)list);
	vmx_write(F_EPTP_INDEX, 7);
}

static void vmfunc(void)
{
	functions(&d_switch);
	stays("EPTP switching, the last entry", &d_switch);
	check("EPTP switching: the index", vmx_read(F_EPTP_INDEX), 511);
	functions(&d_beyond);
	leaves("EPTP switching, entry 512", &d_beyond, R_VMFUNC, 0);
	check("EPTP switching, entry 512: the index stays", vmx_read(F_EPTP_INDEX), 7);
	functions(&d_function64);
	vmx_write(VMCS_EXCEPTIONS, 1 << 6);
	check("VMFUNC 64", go(), R_EXCEPTION);
	check("VMFUNC 64: #UD", vmx_read(VMCS_EXIT_EVENT), 0x80000306);
}

/* ---- MSRs loaded by entry and exit ---- */

SNIPPET(d_nothing, "nop", "nop");
SNIPPET(d_perf, "mov $0x38f, %ecx", "rdmsr; mov %eax, seen; mov %edx, seen + 4");

struct entry {
	u32 index, reserved;
	u64 data;
};

static void perf_global(void)
{
	u64 *map = page_alloc();

	wrmsr(0x38f, 0);
	base(&d_perf);
	on(VMCS_PROC, 1 << 28);
	vmx_write(F_MSR_BITMAP, (u64)map);
	vmx_write(0x2808, 1); /* guest and host IA32_PERF_GLOBAL_CTRL */
	vmx_write(0x2c04, 2);
	stays("IA32_PERF_GLOBAL_CTRL, not loaded", &d_perf);
	check("IA32_PERF_GLOBAL_CTRL: the guest's", seen[0], 0);
	check("IA32_PERF_GLOBAL_CTRL: the host's", rdmsr(0x38f), 0);
	base(&d_perf);
	on(VMCS_PROC, 1 << 28);
	on(VMCS_ENTRY_CONTROLS, 1 << 13);
	on(VMCS_EXIT_CONTROLS, 1 << 12);
	vmx_write(F_MSR_BITMAP, (u64)map);
	vmx_write(0x2808, 1);
	vmx_write(0x2c04, 2);
	stays("IA32_PERF_GLOBAL_CTRL, loaded", &d_perf);
	check("IA32_PERF_GLOBAL_CTRL: the guest's", seen[0], 1);
	check("IA32_PERF_GLOBAL_CTRL: the host's", rdmsr(0x38f), 2);
	wrmsr(0x38f, 0);
}

/* A counter that runs in the guest only: neither the VMLAUNCH that lets it start nor the VMCALL that leaves is in it. */
SNIPPET(d_count, "nop; nop; mov $1, %ecx", "dec %ecx");

static void perf_guest_only(void)
{
	wrmsr(0x38f, 0);
	wrmsr(0xc1, 0);
	wrmsr(0x186, 0x4300c0);
	base(&d_count);
	on(VMCS_ENTRY_CONTROLS, 1 << 13);
	on(VMCS_EXIT_CONTROLS, 1 << 12);
	vmx_write(0x2808, 1);
	vmx_write(0x2c04, 0);
	stays("a counter of the guest's instructions", &d_count);
	check("a counter of the guest's instructions", rdmsr(0xc1), 4);
	vmx_write(VMCS_GUEST_RIP, (u64)d_count.entry);
	check("a counter of the guest's instructions, again", again(), R_VMCALL);
	check("a counter of the guest's instructions, twice", rdmsr(0xc1), 8);
	wrmsr(0x186, 0);
	wrmsr(0xc1, 0);
}

/* "Loading MSRs": what an entry of the list may not name. The qualification counts from 1. */
static void msr_lists(void)
{
	static const struct {
		const char *name;
		struct entry entry;
	} bad[] = {
	        {"IA32_FS_BASE", {0xc0000100, 0, 0}}, {"IA32_GS_BASE", {0xc0000101, 0, 0}},
	        {"an x2APIC MSR", {0x808, 0, 0}},     {"bits 63:32", {0x174, 1, 0}},
	        {"no MSR", {0xdeadbeef, 0, 0}},       {"a value that WRMSR refuses", {0x175, 0, NOT_CANONICAL}},
	};
	struct entry *list = page_alloc();

	for (unsigned n = 0; n < sizeof(bad) / sizeof(bad[0]); n++)
		for (unsigned k = 0; k < 2; k++) {
			base(&d_pause);
			list[0] = list[1] = (struct entry){0x174, 0, 0x10};
			list[k] = bad[n].entry;
			vmx_write(0x200a, (u64)list);
			vmx_write(0x4014, 2);
			vcheck(bad[n].name, "entry fails", go(), 0x80000022);
			vcheck(bad[n].name, "which", vmx_read(VMCS_QUALIFICATION), k + 1);
		}
	static struct entry most[513] __attribute__((aligned(16)));

	for (unsigned n = 0; n < 513; n++)
		most[n] = (struct entry){0x174, 0, 0x10};
	for (unsigned more = 0; more < 2; more++) { /* IA32_VMX_MISC[27:25] is 0; what is beyond is not defined */
		base(&d_nothing);
		vmx_write(0x200a, (u64)most);
		vmx_write(0x4014, 512 + more);
		check("MSR list of 512 entries, and one more", go(), more ? 0x80000022 : R_VMCALL);
		if (more)
			check("MSR list of 513 entries: which", vmx_read(VMCS_QUALIFICATION), 513);
	}
}

/* ---- the virtual APIC ---- */

SNIPPET(d_eoi, "mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx", "wrmsr");
SNIPPET(d_bad_eoi, "mov $0x80b, %ecx; mov $1, %eax; xor %edx, %edx", "wrmsr");
SNIPPET(d_self_low, "mov $0x83f, %ecx; mov $15, %eax; xor %edx, %edx", "wrmsr");

static u32 *vapic;

static void apic(const struct snippet *s, u32 proc2)
{
	u64 page = (u64)page_alloc(), *table = page_alloc();

	base(s);
	vapic = page_alloc();
	on(VMCS_PROC, 1 << 21 | 1 << 28);
	on(VMCS_PROC2, proc2);
	if (proc2 & S_DELIVERY)
		on(VMCS_PIN, 1);
	vmx_write(F_VAPIC, (u64)vapic);
	vmx_write(F_APIC_ACCESS, page);
	vmx_write(F_MSR_BITMAP, (u64)page_alloc());
	for (u64 n = 0; n < 512; n++)
		table[n] = (n ? ACCESS + n * 4096 : page) | 7 | 6 << 3;
	*vmx_ept_entry(ACCESS) = (u64)table | 7;
}

/* Types 3 and 15: pushed by a delivery, and read by a walk. */
static void accesses(void)
{
	u64 kept = pml4[PAGE >> 39];

	apic(&d_nothing, S_APIC);
	vmx_write(VMCS_GUEST_RSP, ACCESS + 0x200);
	vmx_write(VMCS_ENTRY_EVENT, 0x80000306);
	check("delivery to the APIC-access page", go(), R_APIC_ACCESS);
	check("delivery to the APIC-access page: type", vmx_read(VMCS_QUALIFICATION) >> 12, 3);
	check("delivery to the APIC-access page: vectoring", vmx_read(VMCS_VECTORING), 0x80000306);
	apic(&d_read, S_APIC);
	pml4[PAGE >> 39] = ACCESS | 7;
	check("walk through the APIC-access page", go(), R_APIC_ACCESS);
	check("walk through the APIC-access page: type", vmx_read(VMCS_QUALIFICATION) >> 12 & 15, 15);
	check("walk through the APIC-access page: vectoring", vmx_read(VMCS_VECTORING) >> 31, 0);
	pml4[PAGE >> 39] = kept;
	invlpg((void *)PAGE);
}

static void x2apic(void)
{
	apic(&d_eoi, S_X2APIC | S_DELIVERY);
	vmx_write(F_INT_STATUS, 0x5500);
	vapic[0x120 / 4] = 1 << 21;
	stays("x2APIC EOI", &d_eoi);
	check("x2APIC EOI: nothing in service", vmx_read(F_INT_STATUS), 0);
	check("x2APIC EOI: VISR", vapic[0x120 / 4], 0);
	apic(&d_bad_eoi, S_X2APIC | S_DELIVERY);
	vmx_write(F_INT_STATUS, 0x5500);
	vapic[0x120 / 4] = 1 << 21;
	vmx_write(VMCS_EXCEPTIONS, 1 << 13);
	check("x2APIC EOI of 1", go(), R_EXCEPTION);
	check("x2APIC EOI of 1: #GP", vmx_read(VMCS_EXIT_EVENT), 0x80000b0d);
	check("x2APIC EOI of 1: still in service", vmx_read(F_INT_STATUS), 0x5500);
	apic(&d_self_low, S_X2APIC | S_DELIVERY);
	check("x2APIC self-IPI of vector 15: APIC-write exit", go(), R_APIC_WRITE);
	check("x2APIC self-IPI of vector 15: offset", vmx_read(VMCS_QUALIFICATION), 0x3f0);
	check("x2APIC self-IPI of vector 15: trap-like", vmx_read(VMCS_GUEST_RIP), (u64)d_self_low.next);
}

void test_details(void)
{
	map_page(pml4, PAGE, HOLE, 3);
	advanced();
	in_the_walk();
	unblocking();
	operands();
	types();
	tables();
	pauses();
	identities();
	vmfunc();
	perf_global();
	perf_guest_only();
	msr_lists();
	accesses();
	x2apic();
}
