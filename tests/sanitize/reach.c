/* Guests that could write what their monitor has given to the processor. All that the monitor has allocated is hidden from the
 * guest, its stack apart; the bad ones show one page of it. */
#include "tables.h"

static u64 heap;

/* Where the monitor's pages begin. */
static void start(void)
{
	heap = (u64)page_alloc();
	guest_begin();
}

static void hide(u64 shown, unsigned how)
{
	u64 small[2], region = heap & ~0x1fffffull;

	small[0] = (u64)page_alloc();
	small[1] = (u64)page_alloc();
	u64 end = (u64)page_alloc();

	expect("the heap lies in two large pages", end - region < 0x400000, true);
	for (unsigned k = 0; k < 2; k++, region += 0x200000) {
		for (u64 n = 0; n < 512; n++) {
			u64 page = region + 4096 * n;
			bool own = page >= heap && page < end && page != (first.stack & ~0xfffull);

			((u64 *)small[k])[n] = table_entry(page, !own ? FULL : page == shown ? how : NOTHING);
		}
		*table_pde(region) = table_pointer(small[k]);
	}
}

static void go(u64 shown, unsigned how)
{
	hide(shown, how);
	guest_visit(shown ? shown : AREA, READ);
	guest_end_visits();
}

static u64 block(void)
{
	return intel ? first.vmcs : (u64)first.v;
}

static void control_block(bool bad)
{
	start();
	go(bad ? block() : 0, FULL);
}

/* The page is a structure only after the guest has been there. */
static void control_block_later(bool bad)
{
	start();
	u64 page = (u64)page_alloc();

	hide(page, FULL);
	guest_visit(page, READ);
	if (intel) {
		u64 bitmap = bad ? page : (u64)page_alloc();
		vmx_write(VMCS_MSR_BITMAP, bitmap);
		vmx_write(VMCS_PROC, vmx_read(VMCS_PROC) | P_MSR_MAP);
	} else {
		first.v->msrpm_pa = bad ? page : 0x3f000000;
		first.v->intercept1 |= 1u << 28;
	}
	guest_visit(AREA, READ);
	guest_end_visits();
}

static void host_state(bool bad)
{
	start();
	go(!bad ? 0 : intel ? heap + 4096 * 2 : rdmsr(MSR_VM_HSAVE_PA), FULL);
}

static void bitmap(bool bad)
{
	start();
	u64 page = (u64)page_alloc();

	if (intel) {
		vmx_write(VMCS_MSR_BITMAP, page);
		vmx_write(VMCS_PROC, vmx_read(VMCS_PROC) | P_MSR_MAP);
	} else {
		(void)page_alloc();
		first.v->msrpm_pa = page;
		first.v->intercept1 |= 1u << 28;
	}
	go(bad ? page : 0, FULL);
}

static void msr_area(bool bad)
{
	start();
	u64 *area = page_alloc();

	area[0] = 0xc0000103; /* TSC_AUX */
	vmx_write(VMCS_STORE_ADDR, (u64)area);
	vmx_write(VMCS_STORE_COUNT, 1);
	go(bad ? (u64)area : 0, FULL);
}

static void apic(bool bad)
{
	start();
	u64 page = (u64)page_alloc();

	vmx_write(VMCS_VAPIC, page);
	vmx_write(VMCS_TPR_THRESHOLD, 0);
	vmx_write(VMCS_PROC, vmx_read(VMCS_PROC) | P_TPR);
	go(bad ? page : 0, FULL);
}

static void tables(bool bad)
{
	start();
	go(bad ? (u64)table_pde(0) & ~0xfffull : 0, FULL);
}

static void read_block(bool bad)
{
	start();
	go(bad ? block() : 0, READABLE);
}

/* All of memory as it is, as first monitors map it: the guest can reach whatever there is. */
static void one_to_one(bool bad)
{
	start();
	if (!bad)
		hide(0, NOTHING);
	guest_visit(AREA, READ);
	guest_end_visits();
}

#define CASES                                                                                                          \
	{"reach.control-block", control_block}, {"reach.bitmap/later", control_block_later},                           \
	{"reach.host-state", host_state}, {"reach.bitmap", bitmap}, {"reach.table", tables}, {"reach.read", read_block},  \
	{"reach/one-to-one", one_to_one}

const struct one_case vmx_reach_cases[] = {
	CASES, {"reach.msr-area", msr_area}, {"reach.apic", apic}, {NULL, NULL}};
const struct one_case svm_reach_cases[] = {CASES, {NULL, NULL}};
