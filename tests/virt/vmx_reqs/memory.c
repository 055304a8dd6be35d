/* MSR areas, the launch state, the outcomes of VM entry. */
#include "reqs.h"

/* clang-format off */
SNIPPET(i_nop, "", "nop");
SNIPPET(i_rdmsr_sysenter_esp, "", "mov $0x175, %ecx; rdmsr");
SNIPPET(i_nop_cpuid_nop, "", "nop; cpuid; nop");
/* clang-format on */

#define KERNEL_GS 0xc0000102u
#define STAR	  0xc0000081u
#define LSTAR	  0xc0000082u

struct entry {
	u32 index, reserved;
	u64 data;
};

static void areas(void)
{
	struct entry *store = (struct entry *)fresh_page(), *load = (struct entry *)fresh_page(), *entry = (struct entry *)fresh_page();

	wrmsr(KERNEL_GS, 0x1000);
	wrmsr(STAR, 0x2000);
	wrmsr(LSTAR, 0x3000);
	guest(G64, &i_nop);
	entry[0] = (struct entry){KERNEL_GS, 0, 0xaaa000};
	entry[1] = (struct entry){STAR, 0, 0xbbb000};
	entry[2] = (struct entry){LSTAR, 0, 0xccc000};
	store[0] = (struct entry){KERNEL_GS, 0, ~0ull};
	store[1] = (struct entry){0x175, 0, ~0ull}; /* IA32_SYSENTER_ESP: the guest's, saved before */
	store[2] = (struct entry){STAR, 0, ~0ull};
	load[0] = (struct entry){KERNEL_GS, 0, 0xddd000};
	load[1] = (struct entry){0x175, 0, 0xeee000};
	load[2] = (struct entry){LSTAR, 0, 0xfff000};
	vmx_write(VMCS_GUEST_SYSENTER_ESP, 0x123000); /* guest and host IA32_SYSENTER_ESP */
	vmx_write(VMCS_HOST_SYSENTER_ESP, 0x456000);
	vmx_write(VMCS_ENTRY_LOAD_ADDR, (u64)entry);
	vmx_write(VMCS_ENTRY_LOAD_COUNT, 2);
	vmx_write(VMCS_STORE_ADDR, (u64)store);
	vmx_write(VMCS_STORE_COUNT, 2);
	vmx_write(VMCS_LOAD_ADDR, (u64)load);
	vmx_write(VMCS_LOAD_COUNT, 2);
	check("runs", go(), R_VMCALL);
	check(REQ("vmx04.2.6.2.4 vmx04.2.6.2.6 vmx04.2.6.2.7 vmx04.2.7.2.4 vmx04.VMLAUNCH.10 vmx04.3.3.0.2 vmx04.2.9.2.1") "stored: the guest's, as loaded by entry", store[0].data, 0xaaa000);
	check("bits 63:0 of the entry", store[0].index == KERNEL_GS && store[0].reserved == 0, 1);
	check(REQ("vmx04.2.6.2.9") "stored after the guest state", store[1].data, 0x123000);
	check(REQ("vmx04.2.6.2.8") "no more than the count", store[2].data, ~0ull);
	check(REQ("vmx04.2.6.2.13") "loaded by exit", rdmsr(KERNEL_GS), 0xddd000);
	check(REQ("vmx04.2.6.2.14 vmx04.3.3.4.0.1") "over what the host-state area loaded", rdmsr(MSR_SYSENTER_ESP), 0xeee000);
	/* with the two above: store, host state, load; the first two steps write different fields */
	check(REQ("vmx04.3.3.0.1 vmx04.3.3.4.4.2 vmx04.3.2.4.1") "not in the load area: the guest's stays", rdmsr(STAR), 0xbbb000);
	check(REQ("vmx04.2.6.2.8") "neither loaded nor stored", rdmsr(LSTAR), 0x3000);
	/* counts of 0: addresses that would be refused are not looked at */
	guest(G64, &i_nop);
	vmx_write(VMCS_ENTRY_LOAD_ADDR, 7);
	vmx_write(VMCS_STORE_ADDR, 5);
	vmx_write(VMCS_LOAD_ADDR, 1ull << 60);
	check(REQ("vmx04.2.6.2.3 vmx04.2.6.2.12 vmx04.2.7.2.3") "counts of 0", go(), R_VMCALL);
	check("nothing loaded", rdmsr(KERNEL_GS), 0xddd000);
	/* the guest's SYSENTER_ESP of the area counts after the field */
	guest(G64, &i_rdmsr_sysenter_esp);
	u64 *map = fresh_page();
	vmx_write(VMCS_MSR_BITMAP, (u64)map);
	on(VMCS_PROC, P_MSR_MAP);
	vmx_write(VMCS_GUEST_SYSENTER_ESP, 0x123000);
	entry[0] = (struct entry){0x175, 0, 0x789000};
	vmx_write(VMCS_ENTRY_LOAD_ADDR, (u64)entry);
	vmx_write(VMCS_ENTRY_LOAD_COUNT, 1);
	check("runs", go(), R_VMCALL);
	check(REQ("vmx04.2.7.2.5") "loaded after the guest state", g_out[RAX], 0x789000);
}

static u64 error(u64 r)
{
	return r == ~0ull ? vmx_read(VMCS_ERROR) : r;
}

/* "Launch State" and the errors of the entry instructions. */
static void launching(void)
{
	static u64 before[2048], after[2048];
	unsigned differ = 0;
	struct entry *entry = (struct entry *)fresh_page();
	u64 pointer;

	guest(G64, &i_nop);
	check(REQ("vmx04.VMLAUNCH.8") "VMRESUME of a clear VMCS", error(again()), 5);
	vmx_write(VMCS_PIN, 0);
	check(REQ("vmx04.3.2.2.4.now vmx04.4.13 vmx04.1.5.1") "bad controls", error(go()), 7);
	guest(G64, &i_nop);
	vmx_write(VMCS_HOST_CR0, 0);
	check(REQ("vmx04.3.2.2.4.now vmx04.4.13") "bad host state", error(go()), 8);
	vmx_write(VMCS_HOST_CR0, read_cr0());
	vmx_write(VMCS_GUEST_RFLAGS, 0);
	vmx_write(VMCS_ENTRY_EVENT, EV(6, 3));
	vmx_write(VMCS_GUEST_CR3, read_cr3());
	vmx_write(VMCS_EXIT_EVENT, 0x1234);
	check(REQ("vmx04.3.2.2.4.now vmx04.3.2.2.2 vmx04.2.8.1.17 vmx04.2.8.1.21.now") "bad guest state", go(), R_BAD_GUEST);
	check(REQ("vmx04.3.2.2.5.now") "bit 31 of the event stays", vmx_read(VMCS_ENTRY_EVENT), EV(6, 3));
	check("no other exit field is written", vmx_read(VMCS_EXIT_EVENT), 0x1234);
	check("no guest state is stored", vmx_read(VMCS_GUEST_RFLAGS), 0);
	vmx_write(VMCS_ENTRY_EVENT, 0);
	vmx_write(VMCS_GUEST_RFLAGS, 2);
	entry[0] = (struct entry){0xc0000100, 0, 0}; /* IA32_FS_BASE may not be loaded */
	vmx_write(VMCS_ENTRY_LOAD_ADDR, (u64)entry);
	vmx_write(VMCS_ENTRY_LOAD_COUNT, 1);
	check(REQ("vmx04.3.2.2.4.now vmx04.2.8.1.18") "bad MSR", go(), R_BAD_MSR);
	check("its number", vmx_read(VMCS_QUALIFICATION), 1);
	entry[0] = (struct entry){0xc0000080, 0, 0}; /* IA32_EFER.LME from 1 to 0 under paging */
	check("EFER.LME changed", go(), R_BAD_MSR);
	/* each step with the ones behind it bad too; the injection: modes.c */
	u64 controls = vmx_read(VMCS_PIN);
	vmx_write(VMCS_GUEST_RFLAGS, 0);
	check(REQ("vmx04.3.2.0.2") "guest state before the MSRs", go(), R_BAD_GUEST);
	vmx_write(VMCS_HOST_CR0, 0);
	check("host state before the guest state", error(go()), 8);
	vmx_write(VMCS_PIN, 0);
	check("controls before the host state", error(go()), 7);
	check(REQ("vmx04.3.2.0.2") "launch state before the controls", error(again()), 5);
	vmx_write(VMCS_PIN, controls);
	vmx_write(VMCS_HOST_CR0, read_cr0());
	vmx_write(VMCS_GUEST_RFLAGS, 2);
	vmx_write(VMCS_ENTRY_LOAD_COUNT, 0);
	check(REQ("vmx04.VMLAUNCH.9 vmx04.VMLAUNCH.11") "still clear: VMLAUNCH", go(), R_VMCALL);
	check(REQ("vmx04.VMLAUNCH.7 vmx04.4.13") "VMLAUNCH of a launched VMCS", error(go()), 4);
	u64 pin = vmx_read(VMCS_PIN);
	vmx_write(VMCS_PIN, 0);
	check(REQ("vmx04.VMLAUNCH.13") "launch state before the controls", error(go()), 4);
	vmx_write(VMCS_PIN, pin);
	for (u32 e = 0; e < 0x8000; e += 2)
		if (e != VMCS_ERROR)
			before[e >> 4] += vmx_read(e) * (e | 1);
	asm volatile("vmptrst %0" : "=m"(pointer)::"cc");
	asm volatile("vmclear %0; vmptrld %0" ::"m"(pointer) : "cc", "memory");
	for (u32 e = 0; e < 0x8000; e += 2)
		if (e != VMCS_ERROR)
			after[e >> 4] += vmx_read(e) * (e | 1);
	for (unsigned n = 0; n < 2048; n++)
		differ += before[n] != after[n];
	check(REQ("vmx04.2.10.3") "no field shows the launch state", differ, 0); /* none writes it: fields.c */
	check(REQ("vmx04.VMCLEAR.10") "clear again: VMRESUME", error(again()), 5);
	check("VMLAUNCH", go(), R_VMCALL);
	check(REQ("sdm30.12 vmx04.3.2.0.1") "VMRESUME", again(), R_VMCALL);
	check(REQ("vmcall.14 vmcall.36") "VMCALL in root operation, launched", ({ u8 z; asm volatile("vmcall; setz %0" : "=q"(z)::"cc"); z; }), 1);
	check("error 1", vmx_read(VMCS_ERROR), 1);
	/* blocking by MOV SS */
	guest(G64, &i_nop);
	u8 z;
	vmx_write(VMCS_HOST_RIP, 0);
	asm volatile("mov %%ss, %%eax; mov %%eax, %%ss; vmlaunch; setz %0" : "=q"(z)::"rax", "cc", "memory");
	check(REQ("vmx04.4.13") "VMLAUNCH under MOV-SS blocking", z && vmx_read(VMCS_ERROR) == 26, 1);
}

/* Guests of several VMCSs, one at a time, each with its own state. */
static void two_guests(void)
{
	u64 a, b;

	guest(G64, &i_nop_cpuid_nop);
	asm volatile("vmptrst %0" : "=m"(a)::"cc");
	check("A", go(), R_CPUID);
	vmx_write(VMCS_GUEST_RIP, CODE + 3);
	vmx_write(VMCS_GUEST_RSP, 0x1111);
	if (!vmx_guest((void (*)(void))code_page, 0x2222))
		return;
	asm volatile("vmptrst %0" : "=m"(b)::"cc");
	check("B", go(), R_CPUID);
	check("B's RSP", vmx_read(VMCS_GUEST_RSP), 0x2222);
	asm volatile("vmptrld %0" ::"m"(a) : "cc", "memory");
	check(REQ("vmx04.1.4.1") "A again", again(), R_VMCALL);
	check("A's RIP", vmx_read(VMCS_GUEST_RIP), CODE + 4);
	check("A's RSP", vmx_read(VMCS_GUEST_RSP), 0x1111);
	asm volatile("vmptrld %0" ::"m"(b) : "cc", "memory");
	check("B's RIP", vmx_read(VMCS_GUEST_RIP), CODE + 1);
	check("B goes on", again(), R_CPUID);
}

void test_memory(void)
{
	areas();
	launching();
	two_guests();
}
