/* Ports and MSRs: bitmaps, qualifications, the string forms' information. "Exit Qualification for I/O Instructions". */
#include "exits.h"

SNIPPET(p_out, "mov $0x510, %edx; mov $0x55, %eax", "outb %al, (%dx)");
SNIPPET(p_in_imm, "", "inl $0x60");
SNIPPET(p_wide, "mov $0x507, %edx", "inl (%dx), %eax");
SNIPPET(p_wrap, "mov $0xfffe, %edx", "inl (%dx), %eax");
SNIPPET(p_high, "mov $0x9510, %edx", "inw (%dx), %ax");
SNIPPET(p_outs, "mov $0x510, %edx; lea scratch, %rsi; cld", "outsw");
SNIPPET(p_ins, "mov $0x510, %edx; lea scratch, %rdi; mov $3, %ecx; cld", "rep insb");
SNIPPET(m_read, "mov $0x277, %ecx", "rdmsr");
SNIPPET(m_write, "mov $0x277, %ecx; rdmsr", "wrmsr");
SNIPPET(m_high, "mov $0xc0000080, %ecx", "rdmsr");
SNIPPET(m_outside, "mov $0x40000000, %ecx", "rdmsr");


static u8 *bitmaps(void)
{
	u8 *a = page_alloc();

	page_alloc();
	vmx_write(VMCS_IO_A, (u64)a);
	vmx_write(VMCS_IO_B, (u64)a + 4096);
	on(VMCS_PROC, P_IO_MAP);
	return a;
}

static void test_ports(void)
{
	u8 *map;

	base(&p_out);
	on(VMCS_PROC, P_IO_ALL);
	leaves("OUT", &p_out, R_IO, 0x510ull << 16);
	base(&p_out);
	off(VMCS_PROC, P_IO_ALL | P_IO_MAP);
	stays("OUT", &p_out);
	base(&p_in_imm);
	on(VMCS_PROC, P_IO_ALL);
	leaves("IN immediate", &p_in_imm, R_IO, 3 | 1 << 3 | 1 << 6 | 0x60ull << 16);
	base(&p_wide);
	map = bitmaps();
	map[0x508 / 8] = 1;
	leaves("IN, any of its ports", &p_wide, R_IO, 3 | 1 << 3 | 0x507ull << 16);
	base(&p_wide);
	map = bitmaps();
	map[0x50b / 8] = 1 << 3;
	on(VMCS_PROC, P_IO_ALL); /* ignored with bitmaps */
	stays("IN, none of its ports", &p_wide);
	base(&p_high);
	bitmaps()[4096 + 0x1510 / 8] = 1;
	leaves("IN, bitmap B", &p_high, R_IO, 1 | 1 << 3 | 0x9510ull << 16);
	base(&p_wrap);
	bitmaps();
	leaves("IN that wraps around", &p_wrap, R_IO, 3 | 1 << 3 | 0xfffeull << 16);
}

static void test_string(void)
{
	base(&p_outs);
	on(VMCS_PROC, P_IO_ALL);
	leaves("OUTS", &p_outs, R_IO, 1 | 1 << 4 | 0x510ull << 16);
	vcheck("OUTS", "linear address", vmx_read(VMCS_GUEST_LINEAR), (u64)scratch);
	vcheck("OUTS", "information", vmx_read(VMCS_INFO) & 0x38380, 2 << 7 | 3 << 15);
	base(&p_ins);
	on(VMCS_PROC, P_IO_ALL);
	leaves("REP INS", &p_ins, R_IO, 0 | 1 << 3 | 1 << 4 | 1 << 5 | 0x510ull << 16);
	vcheck("REP INS", "linear address", vmx_read(VMCS_GUEST_LINEAR), (u64)scratch);
}

static u8 *msr_bitmap(void)
{
	u8 *map = page_alloc();

	vmx_write(VMCS_MSR_BITMAP, (u64)map);
	on(VMCS_PROC, P_MSR_MAP);
	return map;
}

static void test_msrs(void)
{
	base(&m_read);
	off(VMCS_PROC, P_MSR_MAP);
	leaves("RDMSR without bitmaps", &m_read, R_RDMSR, 0);
	base(&m_read);
	msr_bitmap();
	stays("RDMSR", &m_read);
	base(&m_read);
	msr_bitmap()[0x277 / 8] = 1 << 7;
	leaves("RDMSR, low map", &m_read, R_RDMSR, 0);
	base(&m_write);
	msr_bitmap()[0x800 + 0x277 / 8] = 1 << 7;
	leaves("WRMSR, low map", &m_write, R_WRMSR, 0);
	base(&m_high);
	msr_bitmap()[0x400 + 0x80 / 8] = 1;
	leaves("RDMSR, high map", &m_high, R_RDMSR, 0);
	base(&m_outside);
	msr_bitmap();
	leaves("RDMSR outside the maps", &m_outside, R_RDMSR, 0);
}

/* The lists: "VM-Exit Controls for MSRs", "VM-Entry Controls for MSRs". */
static void test_lists(void)
{
	u64 *list = page_alloc();

	base(&m_read);
	msr_bitmap();
	list[0] = 0xc0000081, list[1] = 0x1234500000000ull; /* STAR: loaded at entry */
	list[2] = 0xc0000081;				    /* and stored at exit */
	vmx_write(VMCS_ENTRY_LOAD_ADDR, (u64)list);
	vmx_write(VMCS_ENTRY_LOAD_COUNT, 1);
	vmx_write(VMCS_STORE_ADDR, (u64)(list + 2));
	vmx_write(VMCS_STORE_COUNT, 1);
	stays("MSR lists", &m_read);
	check("MSR lists: loaded at entry, stored at exit", list[3], list[1]);
	check("MSR lists: the host keeps the value", rdmsr(MSR_STAR), list[1]);
	list[4] = 0xc0000081, list[5] = 0;
	base(&m_read);
	msr_bitmap();
	vmx_write(VMCS_LOAD_ADDR, (u64)(list + 4));
	vmx_write(VMCS_LOAD_COUNT, 1);
	stays("MSR lists", &m_read);
	check("MSR lists: loaded at exit", rdmsr(MSR_STAR), 0);
	base(&m_read);
	list[0] = 0xc0000100; /* FS.base may not be in a list */
	vmx_write(VMCS_ENTRY_LOAD_ADDR, (u64)list);
	vmx_write(VMCS_ENTRY_LOAD_COUNT, 1);
	check("MSR lists: a forbidden entry", go(), R_BAD_MSR);
	check("MSR lists: its number", vmx_read(VMCS_QUALIFICATION), 1);
}

/* ---- MSRs loaded by entry and exit ---- */

SNIPPET(m_nothing, "nop", "nop");
SNIPPET(m_perf, "mov $0x38f, %ecx", "rdmsr; mov %eax, seen; mov %edx, seen + 4");

struct entry {
	u32 index, reserved;
	u64 data;
};

static void perf_global(void)
{
	u64 *map = page_alloc();

	wrmsr(MSR_PERF_GLOBAL_CTRL, 0);
	base(&m_perf);
	on(VMCS_PROC, P_MSR_MAP);
	vmx_write(VMCS_MSR_BITMAP, (u64)map);
	vmx_write(VMCS_GUEST_PERF, 1);
	vmx_write(VMCS_HOST_PERF, 2);
	stays("IA32_PERF_GLOBAL_CTRL, not loaded", &m_perf);
	check("IA32_PERF_GLOBAL_CTRL: the guest's", seen[0], 0);
	check("IA32_PERF_GLOBAL_CTRL: the host's", rdmsr(MSR_PERF_GLOBAL_CTRL), 0);
	base(&m_perf);
	on(VMCS_PROC, P_MSR_MAP);
	on(VMCS_ENTRY_CONTROLS, E_PERF);
	on(VMCS_EXIT_CONTROLS, X_PERF);
	vmx_write(VMCS_MSR_BITMAP, (u64)map);
	vmx_write(VMCS_GUEST_PERF, 1);
	vmx_write(VMCS_HOST_PERF, 2);
	stays("IA32_PERF_GLOBAL_CTRL, loaded", &m_perf);
	check("IA32_PERF_GLOBAL_CTRL: the guest's", seen[0], 1);
	check("IA32_PERF_GLOBAL_CTRL: the host's", rdmsr(MSR_PERF_GLOBAL_CTRL), 2);
	wrmsr(MSR_PERF_GLOBAL_CTRL, 0);
}

/* A counter that runs in the guest only: neither the VMLAUNCH that lets it start nor the VMCALL that leaves is in it. */
SNIPPET(m_count, "nop; nop; mov $1, %ecx", "dec %ecx");

static void perf_guest_only(void)
{
	wrmsr(MSR_PERF_GLOBAL_CTRL, 0);
	wrmsr(MSR_PMC0, 0);
	wrmsr(MSR_PERFEVTSEL0, 0x4300c0);
	base(&m_count);
	on(VMCS_ENTRY_CONTROLS, E_PERF);
	on(VMCS_EXIT_CONTROLS, X_PERF);
	vmx_write(VMCS_GUEST_PERF, 1);
	vmx_write(VMCS_HOST_PERF, 0);
	stays("a counter of the guest's instructions", &m_count);
	check("a counter of the guest's instructions", rdmsr(MSR_PMC0), 4);
	vmx_write(VMCS_GUEST_RIP, (u64)m_count.entry);
	check("a counter of the guest's instructions, again", again(), R_VMCALL);
	check("a counter of the guest's instructions, twice", rdmsr(MSR_PMC0), 8);
	wrmsr(MSR_PERFEVTSEL0, 0);
	wrmsr(MSR_PMC0, 0);
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
	        {"no MSR", {0xdeadbeef, 0, 0}},       {"a value that WRMSR refuses", {0x175, 0, 1ull << 62}},
	};
	struct entry *list = page_alloc();

	for (unsigned n = 0; n < COUNT(bad); n++)
		for (unsigned k = 0; k < 2; k++) {
			base(&m_nothing);
			list[0] = list[1] = (struct entry){0x174, 0, 0x10};
			list[k] = bad[n].entry;
			vmx_write(VMCS_ENTRY_LOAD_ADDR, (u64)list);
			vmx_write(VMCS_ENTRY_LOAD_COUNT, 2);
			vcheck(bad[n].name, "entry fails", go(), R_BAD_MSR);
			vcheck(bad[n].name, "which", vmx_read(VMCS_QUALIFICATION), k + 1);
		}
	static struct entry most[513] __attribute__((aligned(16)));

	for (unsigned n = 0; n < 513; n++)
		most[n] = (struct entry){0x174, 0, 0x10};
	for (unsigned more = 0; more < 2; more++) { /* IA32_VMX_MISC[27:25] is 0; what is beyond is not defined */
		base(&m_nothing);
		vmx_write(VMCS_ENTRY_LOAD_ADDR, (u64)most);
		vmx_write(VMCS_ENTRY_LOAD_COUNT, 512 + more);
		check("MSR list of 512 entries, and one more", go(), more ? R_BAD_MSR : R_VMCALL);
		if (more)
			check("MSR list of 513 entries: which", vmx_read(VMCS_QUALIFICATION), 513);
	}
}

void test_io_msr(void)
{
	test_ports();
	test_string();
	test_msrs();
	test_lists();
	perf_global();
	perf_guest_only();
	msr_lists();
}
