/* "VM-Exit Controls for MSRs", "VM-Entry Controls for MSRs". What ends in a VMX abort is in tests/unit. */
#include "structure.h"

#define EFER 0xc0000080u
#define FS_BASE 0xc0000100u
#define GS_BASE 0xc0000101u
#define KERNEL_GS_BASE 0xc0000102u
#define LSTAR 0xc0000082u

struct area {
	u64 index, value;
};

static void area(u32 addr, u32 count, const struct area *a, u64 n)
{
	static struct area *page[3];
	unsigned k = addr == VMCS_STORE_ADDR ? 0 : addr == VMCS_LOAD_ADDR ? 1 : 2;

	if (!page[k])
		page[k] = page_alloc();
	memcpy(page[k], a, n * sizeof(*a));
	vmx_write(addr, (u64)page[k]);
	vmx_write(count, n);
}
#define AREA(which, a) area(VMCS_##which##_ADDR, VMCS_##which##_COUNT, a, COUNT(a))

static const struct area *stored(void)
{
	return (const struct area *)vmx_read(VMCS_STORE_ADDR);
}

/* Bits 63:32 of an entry are not looked at; no MSR is excluded; a later entry wins. */
static void accepted_entries(void)
{
	static const struct area in[] = {{0xffffffff00000000 | LSTAR, 0x1000}, {FS_BASE, 0x111000}, {GS_BASE, 0x222000},
					 {KERNEL_GS_BASE, 0x3000}, {KERNEL_GS_BASE, 0x4000}, {0x10, 1ull << 40}},
				 out[] = {{0x8000000000000000 | LSTAR, 0}, {FS_BASE, 0}, {GS_BASE, 0}, {KERNEL_GS_BASE, 0}, {LSTAR, 0}},
				 back[] = {{1ull << 32 | LSTAR, 0x5000}, {FS_BASE, 0x666000}, {GS_BASE, 0x777000},
					   {KERNEL_GS_BASE, 0x8000}, {KERNEL_GS_BASE, 0x9000}};

	fresh_guest();
	AREA(ENTRY_LOAD, in);
	AREA(STORE, out);
	AREA(LOAD, back);
	check("three areas", go(), R_VMCALL);
	check(REQ("vmx04.2.6.2.5") "bits 63:32 of an entry to be loaded, then stored", stored()[0].value, 0x1000);
	check(REQ("vmx04.2.6.2.5") "they stay as they are", stored()[0].index, out[0].index);
	check(REQ("vmx04.2.6.2.19") "IA32_FS_BASE is loaded", stored()[1].value, 0x111000);
	check(REQ("vmx04.2.6.2.19") "and IA32_GS_BASE", stored()[2].value, 0x222000);
	check(REQ("vmx04.2.6.2.19") "into the guest's registers", vmx_read(VMCS_GUEST_FS_BASE), 0x111000);
	check(REQ("vmx04.2.6.2.17") "the later entry wins", stored()[3].value, 0x4000);
	check(REQ("vmx04.2.6.2.19") "the time-stamp counter", rdtsc() >> 40, 1);
	check(REQ("vmx04.2.6.2.5") "on exit, too", rdmsr(LSTAR), 0x5000);
	check(REQ("vmx04.2.6.2.19") "IA32_FS_BASE", rdmsr(FS_BASE), 0x666000);
	check(REQ("vmx04.2.6.2.19") "IA32_GS_BASE", rdmsr(GS_BASE), 0x777000);
	check(REQ("vmx04.2.6.2.17") "the later entry wins on exit", rdmsr(KERNEL_GS_BASE), 0x9000);
	wrmsr(FS_BASE, 0);
	wrmsr(GS_BASE, 0);
}

/* As many as there is room for. */
static void long_list(void)
{
	static struct area list[4096] __attribute__((aligned(4096)));

	for (unsigned n = 0; n < COUNT(list); n++)
		list[n] = (struct area){KERNEL_GS_BASE, n * 0x10};
	fresh_guest();
	vmx_write(VMCS_ENTRY_LOAD_ADDR, (u64)list);
	vmx_write(VMCS_ENTRY_LOAD_COUNT, COUNT(list));
	accepted(REQ("vmx04.2.6.2.18") "4096 entries");
	check(REQ("vmx04.2.6.2.18") "to the last one", rdmsr(KERNEL_GS_BASE), 0xfff0);
	vmx_write(VMCS_ENTRY_LOAD_ADDR, 0x1000);
	vmx_write(VMCS_ENTRY_LOAD_COUNT, 0xffffffff);
	vmx_write(VMCS_GUEST_RIP, CODE);
	vcheck(REQ("vmx04.2.6.2.18") "more than the address width has room for", "VMRESUME fails", run_guest(1), ZERO);
}

/* What WRMSR would refuse, and IA32_EFER with LMA or LME of another mode: the number of the entry. */
static void refused_entries(void)
{
	static const struct {
		const char *name;
		struct area entry;
	} bad[] = {
		{REQ("vmx04.2.7.2.7") "no such MSR", {0xdead, 0}},
		{REQ("vmx04.2.7.2.7") "a value that is not canonical", {LSTAR, 1ull << 47}},
		{REQ("vmx04.2.7.2.7") "a reserved bit", {EFER, 0x502}},
		{REQ("vmx04.2.7.2.7") "an MSR of later processors", {0x480, 0}},
		{REQ("vmx04.2.7.2.6") "LME = 0", {EFER, 0x400}},
		{REQ("vmx04.2.7.2.6") "LMA = 0", {EFER, 0x100}},
		{REQ("vmx04.2.7.2.6") "both 0", {EFER, 0}},
	};

	for (unsigned n = 0; n < COUNT(bad); n++) {
		struct area list[] = {{KERNEL_GS_BASE, 0x1230}, {EFER, rdmsr(EFER)}, bad[n].entry, {KERNEL_GS_BASE, 0x4560}};

		fresh_guest();
		AREA(ENTRY_LOAD, list);
		vcheck(bad[n].name, "VMLAUNCH ends in the host", run_guest(0), ENTERED);
		vcheck(bad[n].name, "reason 34, bit 31", vmx_read(VMCS_EXIT_REASON), R_BAD_MSR);
		vcheck(bad[n].name, "the entry's number", vmx_read(VMCS_QUALIFICATION), 3);
		vcheck(bad[n].name, "the entries before it are loaded", rdmsr(KERNEL_GS_BASE), 0x1230);
	}
}

void test_msr_areas(void)
{
	accepted_entries();
	long_list();
	refused_entries();
}
