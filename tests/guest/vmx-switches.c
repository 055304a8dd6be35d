/*
 * VMX features that the command line may have switched off: every bit of the capability MSRs that this test knows is
 * looked at, and what it says must be so. What is missing is printed; vmx-switches beside this file says what should be.
 * SDM 3D "VMX Capability Reporting Facility", 3C "Checks on VMX Controls".
 */
#include "vmx.h"

enum { ERROR_CONTROL = 7, ERROR_FIELD = 12, ERROR_READ_ONLY = 13, ERROR_OPERAND = 28, EXIT_GUEST_STATE = 33,
       EXIT_VIOLATION = 48, EXIT_MISCONFIGURATION = 49, VECTOR_UD = 6, VECTOR_GP = 13 };
enum { BASIC = 0x480, PIN = 0x481, PROC = 0x482, EXIT = 0x483, ENTRY = 0x484, MISC = 0x485, PROC2 = 0x48b, EPT_VPID = 0x48c,
       TRUE_PROC = 0x48e, TRUE_EXIT = 0x48f, TRUE_ENTRY = 0x490, VMFUNC = 0x491, PROC3 = 0x492 };

/* Controls. field: one that exists only with the control, 0: none. */
static const struct control {
	u16 msr;
	u8 bit;
	const char *name;
	u16 field;
} controls[] = {
	{PIN, 0, "intr-exit", 0}, {PIN, 3, "nmi-exit", 0}, {PIN, 5, "vnmi", 0}, {PIN, 6, "preemption-timer", VMCS_TIMER},
	{PIN, 7, "posted-intr", VMCS_PID},
	{PROC, 2, "vintr-pending", 0}, {PROC, 3, "tsc-offset", 0}, {PROC, 7, "hlt-exit", 0}, {PROC, 9, "invlpg-exit", 0},
	{PROC, 10, "mwait-exit", 0}, {PROC, 11, "rdpmc-exit", 0}, {PROC, 12, "rdtsc-exit", 0},
	{PROC, 17, "tertiary-ctls", VMCS_PROC3}, {PROC, 19, "cr8-load-exit", 0}, {PROC, 20, "cr8-store-exit", 0},
	{PROC, 21, "flexpriority", VMCS_TPR_THRESHOLD}, {PROC, 22, "vnmi-pending", 0}, {PROC, 23, "movdr-exit", 0}, {PROC, 24, "io-exit", 0},
	{PROC, 25, "io-bitmap", 0}, {PROC, 27, "mtf", 0}, {PROC, 28, "msr-bitmap", VMCS_MSR_BITMAP}, {PROC, 29, "monitor-exit", 0},
	{PROC, 30, "pause-exit", 0}, {PROC, 31, "secondary-ctls", VMCS_PROC2},
	{PROC2, 0, "apicv-xapic", VMCS_APIC_ACCESS}, {PROC2, 1, "ept", VMCS_EPTP}, {PROC2, 2, "desc-exit", 0}, {PROC2, 3, "rdtscp-exit", 0},
	{PROC2, 4, "apicv-x2apic", 0}, {PROC2, 5, "vpid", 0 /* below */}, {PROC2, 6, "wbinvd-exit", 0},
	{PROC2, 7, "unrestricted-guest", 0}, {PROC2, 8, "apicv-register", 0}, {PROC2, 9, "apicv-vid", VMCS_INT_STATUS},
	{PROC2, 10, "ple", VMCS_PLE_WINDOW}, {PROC2, 11, "rdrand-exit", 0}, {PROC2, 12, "invpcid-exit", 0}, {PROC2, 13, "vmfunc", VMCS_VMFUNC},
	{PROC2, 14, "shadow-vmcs", VMCS_VMREAD_MAP}, {PROC2, 16, "rdseed-exit", 0}, {PROC2, 17, "pml", VMCS_PML_INDEX}, {PROC2, 18, "ve", VMCS_VE},
	{PROC2, 20, "xsaves", VMCS_XSS}, {PROC2, 22, "mbec", 0}, {PROC2, 23, "spp", VMCS_SPPTP}, {PROC2, 25, "tsc-scaling", VMCS_TSC_MULTIPLIER},
	{PROC2, 26, "enable-user-wait-pause", 0}, {PROC2, 30, "bus-lock-detection", 0},
	{PROC3, 2, "ept-paging-write", 0}, {PROC3, 3, "guest-paging-verification", 0}, {PROC3, 4, "ipi-virtualization", VMCS_PID_POINTERS},
	{PROC3, 7, "spec-ctrl-virtualization", VMCS_SPEC_CTRL_MASK},
	{EXIT, 12, "exit-load-perf-global-ctrl", VMCS_HOST_PERF}, {EXIT, 15, "exit-ack-intr", 0}, {EXIT, 18, "exit-save-pat", 0},
	{EXIT, 19, "exit-load-pat", VMCS_HOST_PAT}, {EXIT, 20, "exit-save-efer", 0}, {EXIT, 21, "exit-load-efer", VMCS_HOST_EFER},
	{EXIT, 22, "exit-save-preemption-timer", 0},
	{ENTRY, 9, "entry-ia32e-mode", 0}, {ENTRY, 13, "entry-load-perf-global-ctrl", VMCS_GUEST_PERF}, {ENTRY, 14, "entry-load-pat", 0},
	{ENTRY, 15, "entry-load-efer", 0},
};

/* Other bits; `bit` counts through the whole MSR. In TRUE MSRs 0 is what one wants: the freedom to have a control off. */
static const struct {
	u16 msr;
	u8 bit;
	const char *name;
} others[] = {
	{TRUE_PROC, 15, "cr3-load-noexit"}, {TRUE_PROC, 16, "cr3-store-noexit"}, {TRUE_EXIT, 2, "exit-nosave-debugctl"},
	{TRUE_ENTRY, 2, "entry-noload-debugctl"}, {BASIC, 54, "ins-outs"}, {BASIC, 55, "true-ctls"}, {MISC, 5, "store-lma"},
	{MISC, 6, "activity-hlt"}, {MISC, 7, "activity-shutdown"}, {MISC, 8, "activity-wait-sipi"},
	{MISC, 29, "vmwrite-vmexit-fields"}, {MISC, 30, "zero-len-inject"}, {EPT_VPID, 0, "ept-execonly"},
	{EPT_VPID, 6, "page-walk-4"}, {EPT_VPID, 7, "page-walk-5"}, {EPT_VPID, 16, "ept-2mb"}, {EPT_VPID, 17, "ept-1gb"},
	{EPT_VPID, 20, "invept"}, {EPT_VPID, 21, "eptad"}, {EPT_VPID, 22, "ept-advanced-exitinfo"},
	{EPT_VPID, 25, "invept-single-context"}, {EPT_VPID, 26, "invept-all-context"}, {EPT_VPID, 32, "invvpid"},
	{EPT_VPID, 40, "invvpid-single-addr"}, {EPT_VPID, 41, "invvpid-single-context"}, {EPT_VPID, 42, "invvpid-all-context"},
	{EPT_VPID, 43, "invvpid-single-context-noglobals"}, {VMFUNC, 0, "eptp-switching"},
};
#define COUNT(array) (sizeof(array) / sizeof(array[0]))

static bool readable[0x14];
static u64 capability[0x14];

static u64 cap(u32 msr)
{
	return capability[msr - BASIC];
}

static bool has(u32 msr, unsigned bit)
{
	return cap(msr) >> bit & 1;
}

/* The word of controls: what must be 1, and what may be. */
static u64 required(u32 msr)
{
	return msr >= PROC2 ? 0 : (u32)cap(has(BASIC, 55) ? msr + 0xc : msr);
}

static u64 allowed(u32 msr)
{
	return msr == PROC3 ? cap(msr) : cap(msr) >> 32;
}

/* "these MSRs are there only with ..." */
static void read_all(void)
{
	for (u32 n = 0; n < COUNT(capability); n++)
		readable[n] = CATCH(capability[n] = rdmsr(BASIC + n)) < 0;
	for (u32 n = 0; n <= 0xa; n++)
		check("MSR", readable[n], true);
	check("IA32_VMX_PROCBASED_CTLS2", readable[PROC2 - BASIC], has(PROC, 63));
	check("IA32_VMX_EPT_VPID_CAP", readable[EPT_VPID - BASIC], has(PROC2, 33) || has(PROC2, 37));
	for (u32 n = 0xd; n <= 0x10; n++)
		check("TRUE MSR", readable[n], has(BASIC, 55));
	check("IA32_VMX_VMFUNC", readable[VMFUNC - BASIC], has(PROC2, 45));
	check("IA32_VMX_PROCBASED_CTLS3", readable[PROC3 - BASIC], has(PROC, 49));
	check("IA32_VMX_EXIT_CTLS2", readable[0x13], has(EXIT, 63));
}

static u64 error(void)
{
	return vmx_read(VMCS_ERROR);
}

static u32 field_of(u32 msr)
{
	switch (msr) {
	case PIN: return VMCS_PIN;
	case PROC: return VMCS_PROC;
	case PROC2: return VMCS_PROC2;
	case PROC3: return VMCS_PROC3;
	case EXIT: return VMCS_EXIT_CONTROLS;
	default: return VMCS_ENTRY_CONTROLS;
	}
}

static u64 vmcs; /* the current one */

static void new_guest(void (*entry)(void))
{
	vmcs = (u64)vmx_guest(entry, (u64)page_alloc() + 4088);
	if (!has(EPT_VPID, 6)) /* the library's tables have four levels */
		vmx_write(VMCS_PROC2, vmx_read(VMCS_PROC2) & ~2ull);
}

/* Does VM entry refuse the controls? Any other end is fine: the guest may not be able to run. */
static bool controls_refused(void)
{
	asm volatile("vmclear %0\n\tvmptrld %0" ::"m"(vmcs) : "cc", "memory"); /* it may be launched */
	return vmx_run(false) == VMX_FAIL_VALID && error() == ERROR_CONTROL;
}

static void not_settable(const struct control *k)
{
	u32 field = field_of(k->msr);
	u64 proc = vmx_read(VMCS_PROC), value;

	/* A word that is not in force is not looked at: without its activation there is nothing to refuse. */
	if ((k->msr == PROC2 && !has(PROC, 63)) || (k->msr == PROC3 && !has(PROC, 49)))
		return;
	if (k->msr == PROC3)
		vmx_write(VMCS_PROC, proc | 1u << 17);
	value = vmx_read(field);
	vmx_write(field, value | 1ull << k->bit);
	vcheck(k->name, "refused", controls_refused(), true);
	vmx_write(field, value);
	vmx_write(VMCS_PROC, proc);
}

static void see(const char *name, bool here)
{
	if (!here)
		print("absent: %s\n", name);
}

static void test_control(const struct control *k)
{
	bool here = allowed(k->msr) >> k->bit & 1;
	u64 value;

	see(k->name, here);
	if (!here)
		not_settable(k);
	if (k->msr == PROC2 && k->bit == 5)
		vcheck(k->name, "field", vmx_write(VMCS_VPID, 1) == VMX_OK, here);
	if (!k->field)
		return;
	value = vmx_read(k->field);
	vcheck(k->name, "field", vmx_write(k->field, value) == VMX_OK, here);
	if (!here)
		vcheck(k->name, "error", error(), ERROR_FIELD);
}

/* A control whose TRUE bit is 1 must be set. */
static void test_must(u32 msr, unsigned bit, const char *name)
{
	u32 field = field_of(msr);
	u64 value = vmx_read(field);

	vmx_write(field, value & ~(1ull << bit));
	vcheck(name, "may be 0", controls_refused(), required(msr) >> bit & 1);
	vmx_write(field, value);
}

/* Guest IA32_PAT and IA32_EFER are there with "load" or with "save"; the EPTP list with the function. */
static void test_shared_fields(void)
{
	const struct {
		u32 field;
		bool here;
	} shared[] = {
		{VMCS_GUEST_PAT, has(ENTRY, 46) || has(EXIT, 50)}, {VMCS_GUEST_EFER, has(ENTRY, 47) || has(EXIT, 52)},
		{VMCS_EPTP_LIST, has(VMFUNC, 0)},
	};

	for (unsigned n = 0; n < COUNT(shared); n++)
		vcheck("shared field", "exists", vmx_write(shared[n].field, 0) == VMX_OK, shared[n].here);
}

static int inv(bool vpid, u64 type, u64 first, u64 second)
{
	u64 d[2] = {first, second};
	u8 carry, zero;

	if (vpid)
		asm volatile("invvpid %2, %3\n\tsetc %0\n\tsetz %1" : "=q"(carry), "=q"(zero) : "m"(d), "r"(type) : "cc", "memory");
	else
		asm volatile("invept %2, %3\n\tsetc %0\n\tsetz %1" : "=q"(carry), "=q"(zero) : "m"(d), "r"(type) : "cc", "memory");
	return carry ? VMX_FAIL_INVALID : zero ? VMX_FAIL_VALID : VMX_OK;
}

/* types: bit n set where type n is there */
static void test_invalidate(const char *name, bool vpid, bool here, u32 types, u64 first)
{
	for (u64 type = 0; type < 6; type++) {
		int r = VMX_OK, vector = CATCH(r = inv(vpid, type, first, 0));

		vcheck(name, "#UD", vector, here ? -1 : VECTOR_UD);
		if (!here)
			continue;
		vcheck(name, "type", r, types >> type & 1 ? VMX_OK : VMX_FAIL_VALID);
		if (r != VMX_OK)
			vcheck(name, "error", error(), ERROR_OPERAND);
	}
}

static void test_instructions(void)
{
	u64 eptp = vmx_read(VMCS_EPTP) ^ (has(EPT_VPID, 6) ? 0 : 7 << 3);
	u64 reason = vmx_read(VMCS_EXIT_REASON);

	test_invalidate("INVEPT", false, has(EPT_VPID, 20), (u32)(cap(EPT_VPID) >> 25 & 3) << 1, eptp);
	test_invalidate("INVVPID", true, has(EPT_VPID, 32), (u32)(cap(EPT_VPID) >> 40 & 15), 1);
	check("VMWRITE to a read-only field", vmx_write(VMCS_EXIT_REASON, reason), has(MISC, 29) ? VMX_OK : VMX_FAIL_VALID);
	if (!has(MISC, 29))
		check("its error", error(), ERROR_READ_ONLY);
}

static bool go_on(struct regs *r)
{
	(void)r;
	return true;
}

static void test_injection(void)
{
	on_exception(0x30, go_on);
	vmx_write(VMCS_ENTRY_EVENT, 1u << 31 | 4 << 8 | 0x30); /* INT 30h, of length 0 */
	vmx_write(VMCS_ENTRY_LENGTH, 0);
	check("injection of length 0 is refused", controls_refused(), !has(MISC, 30));
	vmx_write(VMCS_ENTRY_EVENT, 0);
}

static void guest_code(void)
{
	asm volatile("1: vmcall; jmp 1b");
}

static u64 reason_of(int how)
{
	return how == VMX_OK ? vmx_read(VMCS_EXIT_REASON) : ~0ull;
}

/* A fresh guest each time: what it ends with. */
static u64 run(void (*prepare)(u64), u64 arg)
{
	new_guest(guest_code);
	prepare(arg);
	return reason_of(vmx_run(false));
}

static void nothing(u64 arg)
{
	(void)arg;
}

static void set_activity(u64 state)
{
	vmx_write(VMCS_GUEST_ACTIVITY, state);
}

/* The same bytes in 32-bit code. */
asm(".pushsection .text\nturn_paging_on: mov %cr0, %rax; or $0x80000000, %eax; mov %rax, %cr0; vmcall\n.popsection");
extern char turn_paging_on[];

static void unpaged(u64 arg)
{
	(void)arg;
	vmx_write(VMCS_GUEST_RIP, (u64)turn_paging_on);
	vmx_write(VMCS_PROC2, vmx_read(VMCS_PROC2) | 1 << 7);
	vmx_write(VMCS_ENTRY_CONTROLS, (vmx_read(VMCS_ENTRY_CONTROLS) & ~(1ull << 9)) | 1 << 15);
	vmx_write(VMCS_GUEST_CR0, vmx_read(VMCS_GUEST_CR0) & ~(1ull << 31));
	vmx_write(VMCS_GUEST_EFER, 1 << 8); /* LME */
	vmx_write(VMCS_GUEST_CS_AR, 0xc09b);
}

/* "IA-32e mode guest" follows IA32_EFER.LMA at VM exit; MISC[5] says so wherever a guest may change LMA. The
 * library's tables have four levels and large pages. */
static void test_stored_lma(void)
{
	if (!has(PROC2, 39) || !has(ENTRY, 41) || !has(ENTRY, 47) || !has(EPT_VPID, 6) || !has(EPT_VPID, 16))
		return;
	check("a guest that turns paging on", run(unpaged, 0), R_VMCALL);
	check("IA-32e mode guest", vmx_read(VMCS_ENTRY_CONTROLS) >> 9 & 1, 1);
}

/* "guest activity state": what IA32_VMX_MISC lacks fails; shutdown and HLT that are there wait, so they are not run. */
static void test_activity(void)
{
	for (unsigned state = 1; state <= 3; state++)
		if (!has(MISC, 5 + state))
			check("activity state", run(set_activity, state), 1ull << 31 | EXIT_GUEST_STATE);
}

static void eptp_bits(u64 change)
{
	vmx_write(VMCS_EPTP, vmx_read(VMCS_EPTP) ^ change);
}

static u64 *spare; /* of 2 MiB; nobody uses it */

static void touch(void)
{
	asm volatile("1: mov (%0), %%rax; vmcall; jmp 1b" ::"r"(spare) : "rax");
}

/* Reading what may only be executed violates; where that cannot be said, it misconfigures. */
static void execute_only(u64 arg)
{
	(void)arg;
	vmx_write(VMCS_GUEST_RIP, (u64)touch);
	*vmx_ept_entry((u64)spare) = (u64)spare | 6 << 3 | 0x84;
}

static void missing(u64 arg)
{
	(void)arg;
	vmx_write(VMCS_GUEST_RIP, (u64)touch);
	*vmx_ept_entry((u64)spare) = 0;
}

/* An entry of 1 GiB for the second gigabyte. */
static void giant(u64 arg)
{
	u64 *l4 = (u64 *)(vmx_read(VMCS_EPTP) & ~0xfffull), *l3 = (u64 *)(l4[0] & ~0xfffull);

	(void)arg;
	spare = (u64 *)0x50000000;
	vmx_write(VMCS_GUEST_RIP, (u64)touch);
	l3[1] = 1ull << 30 | 6 << 3 | 0x87;
}

static void test_ept(void)
{
	if (!has(PROC2, 33) || !has(EPT_VPID, 6) || !has(ENTRY, 41))
		return;
	check("2 MiB", run(nothing, 0), has(EPT_VPID, 16) ? R_VMCALL : EXIT_MISCONFIGURATION);
	check("walk of 5 levels refused", run(eptp_bits, 7 << 3) == ~0ull, !has(EPT_VPID, 7));
	check("accessed and dirty flags refused", run(eptp_bits, 1 << 6) == ~0ull, !has(EPT_VPID, 21));
	if (!has(EPT_VPID, 16))
		return;
	spare = (u64 *)0x800000;
	check("execute-only", run(execute_only, 0), has(EPT_VPID, 0) ? EXIT_VIOLATION : EXIT_MISCONFIGURATION);
	check("violation", run(missing, 0), EXIT_VIOLATION);
	/* the spare page is a supervisor's, writable, executable */
	check("its information", vmx_read(VMCS_QUALIFICATION) >> 7 & 0x1f, has(EPT_VPID, 22) ? 0xb : 3);
	check("1 GiB", run(giant, 0), has(EPT_VPID, 17) ? R_VMCALL : EXIT_MISCONFIGURATION);
}

int main(void)
{
	if (!vmx_enable())
		return 1;
	read_all();
	new_guest(guest_code);
	check("the guest's controls are accepted", controls_refused(), false);
	for (unsigned n = 0; n < COUNT(controls); n++)
		test_control(&controls[n]);
	for (unsigned n = 0; n < COUNT(others); n++) {
		bool precise = others[n].msr >= TRUE_PROC && others[n].msr <= TRUE_ENTRY;

		see(others[n].name, precise ? has(BASIC, 55) && !has(others[n].msr, others[n].bit) : has(others[n].msr, others[n].bit));
		if (precise)
			test_must(others[n].msr - 0xc, others[n].bit, others[n].name);
	}
	test_shared_fields();
	new_guest(guest_code);
	test_instructions();
	test_injection();
	test_activity();
	test_stored_lma();
	test_ept();
	return guest_verdict();
}
