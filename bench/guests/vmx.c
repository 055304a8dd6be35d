/* VMX: the round trip VMRESUME, VMCALL, exit; VMREAD and VMWRITE; code under EPT against outside; EPT violations. */
#include "bench.h"
#include "vmx.h"

static u64 data[65536];

static void work(u64 rounds)
{
	while (rounds--)
		for (u64 k = 0; k < 65536; k++)
			data[k] = data[(k * 1021) & 65535] + k;
}

static void calls(void)
{
	for (;;)
		asm volatile("vmcall");
}

static void worker(void)
{
	work(100);
	asm volatile("vmcall");
}


/* Each violation is handled: the page that the guest wants is mapped. When all are, they are taken away again. */
static bool handle_violations(u64 n)
{
	u64 *entry = vmx_ept_entry(WINDOW);

	for (u64 k = 0; k < n; k++) {
		if (k % WINDOW_PAGES == 0) {
			memset(entry, 0, WINDOW_PAGES * sizeof(*entry));
			vmx_invept();
		}
		if (vmx_run(k > 0) != VMX_OK || vmx_read(VMCS_EXIT_REASON) != R_EPT)
			return false;
		entry[(vmx_read(VMCS_GUEST_PHYSICAL) - WINDOW) >> 21] = BACKING | 6 << 3 | 0x87;
	}
	return true;
}

static u64 stack(void)
{
	return (u64)page_alloc() + 4096;
}

/* As monitors do: without a VPID every entry and exit flushes the TLB. */
static void use_vpid(u64 vpid)
{
	vmx_write(VMCS_VPID, vpid);
	vmx_write(VMCS_PROC2, vmx_read(VMCS_PROC2) | 1 << 5);
}

static void round_trips(u64 n)
{
	for (u64 k = 0; k < n; k++) {
		vmx_write(VMCS_GUEST_RIP, (u64)calls);
		vmx_run(true);
	}
}

int main(void)
{
	const u64 n = 200000;

	if (!vmx_enable() || !vmx_guest(calls, stack()))
		return 1;
	use_vpid(1);
	if (vmx_run(false) != VMX_OK)
		return 1;
	if (vmx_read(VMCS_EXIT_REASON) != R_VMCALL)
		return 2;
	BENCH("vmresume", n, round_trips(n));
	BENCH("vmread", 10 * n, for (u64 k = 0; k < 10 * n; k++) vmx_read(VMCS_GUEST_RIP));
	BENCH("vmwrite", 10 * n, for (u64 k = 0; k < 10 * n; k++) vmx_write(VMCS_GUEST_RIP, k));

	work(1);
	BENCH("ept-outside", 100, work(100));
	if (!vmx_guest(worker, stack()))
		return 3;
	use_vpid(2);
	BENCH("ept-inside", 100, vmx_run(false));
	if (vmx_read(VMCS_EXIT_REASON) != R_VMCALL)
		return 4;

	if (!vmx_guest(bench_toucher, stack()))
		return 5;
	use_vpid(3);

	bool handled;

	BENCH("ept-violation", n, handled = handle_violations(n));
	if (!handled)
		return 6;
	bench_end();
	return 0;
}
