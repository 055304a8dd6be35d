/*
 * VM entries that are refused, seen by the monitor: each class of outcome with all that the manual says about it, and
 * after one field is put right the same VMCS enters its guest. SDM 3C "VM Entries", "VM Instruction Error Numbers".
 */
#include "vmx.h"

static void halting_guest(void)
{
	for (;;)
		asm volatile("hlt");
}

/* One field at a time: what it is set to, and the outcome. Outcomes from 33 on are exit reasons. */
struct wrong {
	const char *name;
	u32 field;
	u64 value;
	u32 outcome, qualification;
};

#define NONCANONICAL 0x4000000000000000ull
#define WIDE         0x0010000000000000ull /* beyond every physical-address width */
static const struct wrong wrongs[] = {
        {REQ("vmx04.3.2.2.8") "pin-based controls", VMCS_PIN, 0, 7, 0},
        {REQ("vmx04.3.2.2.9") "primary controls", VMCS_PROC, 0, 7, 0},
        {REQ("vmx04.3.2.2.10") "VM-exit controls", VMCS_EXIT_CONTROLS, 0, 7, 0},
        {REQ("vmx04.3.2.2.11") "VM-entry controls", VMCS_ENTRY_CONTROLS, 0, 7, 0},
        {REQ("vmx04.3.2.2.16") "CR3-target count 5", VMCS_CR3_COUNT, 5, 7, 0},
        {REQ("vmx04.3.2.2.16") "CR3-target count ~0", VMCS_CR3_COUNT, 0xffffffff, 7, 0},
        {"EPT pointer, memory type", VMCS_EPTP, 0x1019, 7, 0},
        {REQ("vmx04.3.2.2.81 vmx04.3.2.2.82 vmx04.3.2.2.84 vmx04.3.2.2.85.now vmx04.3.2.2.86.now") "injection, type 1", VMCS_ENTRY_EVENT, 0x80000100, 7, 0},
        {"injection, NMI with vector 3", VMCS_ENTRY_EVENT, 0x80000203, 7, 0},
        {"injection, exception 32", VMCS_ENTRY_EVENT, 0x80000320, 7, 0},
        {"injection, #GP without error code", VMCS_ENTRY_EVENT, 0x8000030d, 7, 0},
        {"injection, #UD with error code", VMCS_ENTRY_EVENT, 0x80000b06, 7, 0},
        {"injection, interrupt with error code", VMCS_ENTRY_EVENT, 0x80000820, 7, 0},
        {REQ("vmx04.3.2.2.27") "host CR0", VMCS_HOST_CR0, 0x10, 8, 0},
        {REQ("vmx04.3.2.2.33") "host CR3", VMCS_HOST_CR3, WIDE, 8, 0},
        {REQ("vmx04.3.2.2.28") "host CR4", VMCS_HOST_CR4, 0x20, 8, 0},
        {REQ("vmx04.3.2.2.36") "host CS 0", VMCS_HOST_CS, 0, 8, 0},
        {REQ("vmx04.3.2.2.37") "host TR 0", VMCS_HOST_TR, 0, 8, 0},
        {REQ("vmx04.3.2.2.35") "host DS, RPL 3", VMCS_HOST_DS, 0x2b, 8, 0},
        {REQ("vmx04.3.2.2.34") "host GS, TI", VMCS_HOST_GS, 0x14, 8, 0},
        {REQ("vmx04.3.2.2.40") "host FS base", VMCS_HOST_FS_BASE, NONCANONICAL, 8, 0},
        {"host IDTR base", VMCS_HOST_IDTR_BASE, NONCANONICAL, 8, 0},
        {REQ("vmx04.3.2.2.24") "guest CR0", VMCS_GUEST_CR0, 0x10, 33, 0},
        {REQ("vmx04.3.2.2.32") "guest CR3", VMCS_GUEST_CR3, WIDE, 33, 0},
        {REQ("vmx04.3.2.2.26") "guest CR4", VMCS_GUEST_CR4, 0x20, 33, 0},
        {REQ("vmx04.3.2.2.44") "guest RFLAGS, bit 1", VMCS_GUEST_RFLAGS, 0, 33, 0},
        {REQ("vmx04.3.2.2.45") "guest RFLAGS, bit 3", VMCS_GUEST_RFLAGS, 0xa, 33, 0},
        {REQ("vmx04.3.2.2.46") "guest RFLAGS.VM", VMCS_GUEST_RFLAGS, 0x20002, 33, 0},
        {REQ("vmx04.3.2.2.49") "guest GDTR base", VMCS_GUEST_GDTR_BASE, NONCANONICAL, 33, 0},
        {REQ("vmx04.3.2.2.50") "guest IDTR limit", VMCS_GUEST_IDTR_LIMIT, 0x10000, 33, 0},
        {REQ("vmx04.3.2.2.53") "guest TR, TI", VMCS_GUEST_TR, 0x2c, 33, 0},
        {REQ("vmx04.3.2.2.59") "guest CS type", VMCS_GUEST_CS_AR, 0xa098, 33, 0},
        {REQ("vmx04.3.2.2.60") "guest SS type", VMCS_GUEST_SS_AR, 0xc091, 33, 0},
        {REQ("vmx04.3.2.2.69") "guest CS.L and CS.D", VMCS_GUEST_CS_AR, 0xe09b, 33, 0},
        {REQ("vmx04.3.2.2.72") "guest TR available", VMCS_GUEST_TR_AR, 0x89, 33, 0},
        {"activity state 4", VMCS_GUEST_ACTIVITY, 4, 33, 0},
        {"STI and MOV-SS blocking", VMCS_GUEST_INTERRUPTIBILITY, 3, 33, 0},
        {REQ("vmx04.3.2.2.88.now") "external interrupt without IF", VMCS_ENTRY_EVENT, 0x80000020, 33, 0},
        {"VMCS link pointer", VMCS_LINK, 0x1001, 33, 4},
};

#ifdef VMDUMP /* each refused entry in the lines of tools/vmdump.h, on the debug console */
#include "vmdump.h"
static void put(void *arg, char ch)
{
	(void)arg;
	outb(0xe9, (u8)ch);
}
static const struct vmdump dump = {.put = put};
#define REFUSED() vmdump_vmcs(&dump)
#else
#define REFUSED()
#endif

static const u64 *resumed; /* where a failed VMRESUME must not arrive */

/* The entry as it is, then with one field wrong, then right again. */
static void one(const struct wrong *w)
{
	u64 right = vmx_read(w->field), before = vmx_read(VMCS_EXIT_REASON);
	u32 event = (u32)vmx_read(VMCS_ENTRY_EVENT);
	int r;

	vmx_write(w->field, w->value);
	r = vmx_run(resumed != NULL);
	if (w->outcome < 33) {
		check(w->name, r, VMX_FAIL_VALID);
		check(w->name, vmx_read(VMCS_ERROR), w->outcome);
		check(w->name, vmx_read(VMCS_EXIT_REASON), before);
	} else {
		check(w->name, r, VMX_OK);
		check(w->name, vmx_read(VMCS_EXIT_REASON), 0x80000000 | w->outcome);
		check(w->name, vmx_read(VMCS_QUALIFICATION), w->qualification);
	}
	REFUSED();
	/* the field, and the valid bit of the event, are as the monitor left them */
	check(w->name, vmx_read(w->field), w->value);
	if (w->field != VMCS_ENTRY_EVENT)
		check(w->name, vmx_read(VMCS_ENTRY_EVENT), event);
	vmx_write(w->field, right);
}

static void enters(const char *name, bool resume)
{
	check(name, vmx_run(resume), VMX_OK);
	check(name, vmx_read(VMCS_EXIT_REASON), R_HLT);
	vmx_write(VMCS_GUEST_RIP, (u64)halting_guest);
	vmx_write(VMCS_GUEST_ACTIVITY, 0);
}

/* Error 26: MOV SS just before. Error 5: VMRESUME before VMLAUNCH. */
static void basic_checks(void)
{
	u8 zero;

	check(REQ("vmx04.3.2.2.7") "VMRESUME of a clear VMCS", vmx_run(true), VMX_FAIL_VALID);
	check("VMRESUME of a clear VMCS", vmx_read(VMCS_ERROR), 5);
	REFUSED();
	asm volatile("mov %%ss, %%eax\n\tmov %%eax, %%ss\n\tvmlaunch\n\tsetz %0"
	             : "=q"(zero)
	             :
	             : "rax", "cc", "memory");
	check(REQ("vmx04.3.2.1.2.now") "VMLAUNCH after MOV SS", zero, 1);
	check("VMLAUNCH after MOV SS", vmx_read(VMCS_ERROR), 26);
	REFUSED();
}

/* Values that no check looks at, or not with these controls: the entry goes on. */
static const struct wrong accepted[] = {
        {REQ("vmx04.2.5.3.7") "exception bitmap", VMCS_EXCEPTIONS, 0xffff9fff, 0, 0},
        {REQ("vmx04.2.5.4.1") "page-fault mask", 0x4006, 0xffffffff, 0, 0},
        {REQ("vmx04.2.5.4.2") "page-fault match", 0x4008, 0x80000001, 0, 0},
        {REQ("vmx04.2.5.5.3") "I/O bitmap A, unused", 0x2000, 0xfff0000000000123, 0, 0},
        {"I/O bitmap B, unused", 0x2002, 0xfff0000000000123, 0, 0},
        {REQ("vmx04.2.5.9.2") "virtual-APIC address, unused", 0x2012, 0xfff0000000000123, 0, 0},
        {"MSR bitmaps, unused", 0x2004, 0xfff0000000000123, 0, 0},
        {"TPR threshold, unused", 0x401c, 0xffffffff, 0, 0},
        {REQ("vmx04.2.5.7.7") "CR0 mask", 0x6000, ~0ull, 0, 0},
        {"CR4 mask", 0x6002, ~0ull, 0, 0},
        {"CR0 read shadow", 0x6004, ~0ull, 0, 0},
        {"CR4 read shadow", 0x6006, ~0ull, 0, 0},
        {REQ("vmx04.2.5.8.1") "CR3-target value 0", 0x6008, ~0ull, 0, 0},
        {REQ("vmx04.2.5.8.1") "CR3-target value 1", 0x600a, ~0ull, 0, 0},
        {REQ("vmx04.2.5.8.1") "CR3-target value 2", 0x600c, ~0ull, 0, 0},
        {REQ("vmx04.2.5.8.1") "CR3-target value 3", 0x600e, ~0ull, 0, 0},
        {REQ("vmx04.3.2.2.16") "CR3-target count 4", 0x400a, 4, 0, 0},
        {"MSR areas without entries", 0x2006, 0xfff0000000000123, 0, 0},
        {"MSR areas without entries", 0x2008, 0xfff0000000000123, 0, 0},
        {"MSR areas without entries", 0x200a, 0xfff0000000000123, 0, 0},
        {REQ("vmx04.2.7.3.3") "event without its valid bit", VMCS_ENTRY_EVENT, 0x7fffffff, 0, 0},
        {REQ("vmx04.2.7.3.16") "error code without an event", 0x4018, 0xffffffff, 0, 0},
        {"instruction length without an event", 0x401a, 0xffffffff, 0, 0},
        {REQ("vmx04.3.2.2.39") "host selectors 0 but CS and TR", VMCS_HOST_SS, 0, 0, 0},
        {"host selectors 0 but CS and TR", VMCS_HOST_DS, 0, 0, 0},
        {REQ("vmx04.3.2.2.31.now") "DR7, reserved bits", VMCS_GUEST_DR7, 0xd000, 0, 0},
};

static void accept(const struct wrong *w)
{
	u64 right = vmx_read(w->field);

	vmx_write(w->field, w->value);
	check(w->name, vmx_run(true), VMX_OK);
	check(w->name, vmx_read(VMCS_EXIT_REASON), R_HLT);
	vmx_write(w->field, right);
	vmx_write(VMCS_GUEST_RIP, (u64)halting_guest);
}

/* ---- every encoding ---- */

/* Exactly the fields of the table exist; each keeps as many bits as it has; the high half of a 64-bit field is the next encoding. The sum of what exists is compared with IA32_VMX_VMCS_ENUM. */
static void one_field(u32 field, u32 *highest)
{
	static const u64 masks[4] = {0xffff, ~0ull, 0xffffffff, ~0ull};
	u64 mask = masks[field >> 13 & 3], was = vmx_read(field);
	u32 index = field & 0x3fe;

	if (index > *highest)
		*highest = index;
	if ((field >> 10 & 3) == 1 && !(rdmsr(MSR_VMX_MISC) >> 29 & 1)) {
		check("VMWRITE of a read-only field", vmx_write(field, 0), VMX_FAIL_VALID);
		check("VMWRITE of a read-only field", vmx_read(VMCS_ERROR), 13);
		return;
	}
	if (vmx_write(field, ~0ull) || vmx_read(field) != mask)
		check("a field keeps its bits", field, 0);
	if ((field >> 13 & 3) == 1 && vmx_read(field | 1) != 0xffffffff)
		check("the high half", field, 0);
	if ((field >> 13 & 3) == 1 && (vmx_write(field | 1, 5), vmx_read(field)) != 0x5ffffffff)
		check("the high half, alone", field, 0);
	vmx_write(field, was);
	proves("vmx04.2.9.1.6 vmx04.2.9.1.7");
}

static void every_encoding(void)
{
	u32 fields = 0, others = 0, highest = 0;

	for (u32 n = 0; n < 0x8000; n++) {
		u8 zero;
		u64 value;

		asm volatile("vmread %2, %1\n\tsetz %0" : "=q"(zero), "=r"(value) : "r"((u64)n) : "cc");
		if (zero) {
			others += vmx_read(VMCS_ERROR) == 12;
			continue;
		}
		if (n & 1) {
			check("only 64-bit fields have a high half", n >> 13 & 3, 1);
			others++;
			continue;
		}
		fields++;
		one_field(n, &highest);
	}
	print("%u fields\n", fields);
	check("every other encoding is error 12", fields + others, 0x8000);
	check("IA32_VMX_VMCS_ENUM", rdmsr(MSR_VMX_VMCS_ENUM), highest);
	check("bits 63:15 of an encoding", (vmx_write(0x8000, 0), vmx_read(VMCS_ERROR)), 12);
}

/* ---- the capability MSRs among themselves ---- */

static void capabilities(void)
{
	u64 basic = rdmsr(MSR_VMX_BASIC), proc = rdmsr(MSR_VMX_PROC);
	u32 r[4];

	cpuid(1, 0, r);
	check(REQ("vmx04.1.6.1") "CPUID.1:ECX.VMX", r[2] >> 5 & 1, 1);
	check("BASIC: bit 31", basic >> 31 & 1, 0);
	check("BASIC: region size", (basic >> 32 & 0x1fff) - 1 < 4096, 1);
	check("BASIC: write-back", basic >> 50 & 15, 6);
	check(REQ("vmx04.1.6.4.now") "BASIC: dual-monitor treatment", basic >> 49 & 1, 1);
	check("BASIC: TRUE MSRs", basic >> 55 & 1, 1);
	for (u32 n = 0; n < 4; n++) {
		u64 old = rdmsr(MSR_VMX_PIN + n), now = rdmsr(MSR_VMX_TRUE_PIN + n);

		check("what may be 1 is the same in both", now >> 32, old >> 32);
		check("what must be 1 may be 1", (u32)old & ~(old >> 32), 0);
		check("TRUE MSRs only relax", (u32)now & ~(u32)old, 0);
	}
	check("secondary controls: none must be 1", (u32)rdmsr(MSR_VMX_PROC2), 0);
	check("secondary controls exist", proc >> 63, 1);
	check("EFER.LMA is stored, as unrestricted guest needs", rdmsr(MSR_VMX_MISC) >> 5 & 1, rdmsr(MSR_VMX_PROC2) >> 39 & 1);
	check(REQ("vmx04.1.6.3.now") "VMFUNC MSR with its control", CATCH(rdmsr(MSR_VMX_VMFUNC)) == -1, rdmsr(MSR_VMX_PROC2) >> 45 & 1);
	check("tertiary MSR with its control", CATCH(rdmsr(MSR_VMX_PROC3)) == -1, proc >> 49 & 1);
	check("secondary exit MSR with its control", CATCH(rdmsr(MSR_VMX_EXIT2)) == -1, rdmsr(MSR_VMX_EXIT) >> 63);
	check("no MSR after them", CATCH(rdmsr(0x494)), 13);
	check("capability MSRs are read-only", CATCH(wrmsr(MSR_VMX_BASIC, basic)), 13);
}

static void msr_area(void)
{
	enum { ADDRESS = 0x200a, COUNT = 0x4014 };
	u32 *area = page_alloc();

	memset(area, 0, 4096);
	area[0] = 0x277; /* IA32_PAT */
	*(u64 *)(area + 2) = 0x0007040600070406;
	area[4] = 0xc0000100; /* IA32_FS_BASE */
	vmx_write(ADDRESS, (u64)area);
	vmx_write(COUNT, 2);
	check("MSR-load area", vmx_run(true), VMX_OK);
	check("MSR-load area", vmx_read(VMCS_EXIT_REASON), 0x80000022);
	check(REQ("vmx04.2.7.2.7.now") "MSR-load area, the entry's number", vmx_read(VMCS_QUALIFICATION), 2);
	area[4] = 0x80b;
	check("MSR-load area, x2APIC", vmx_run(true), VMX_OK);
	check("MSR-load area, x2APIC", vmx_read(VMCS_EXIT_REASON), 0x80000022);
	area[4] = 0x277;
	area[5] = 1;
	check("MSR-load area, reserved", vmx_run(true), VMX_OK);
	check("MSR-load area, reserved", vmx_read(VMCS_EXIT_REASON), 0x80000022);
	area[5] = 0;
	area[6] = 2; /* not a memory type */
	check("MSR-load area, WRMSR refuses", vmx_run(true), VMX_OK);
	check("MSR-load area, WRMSR refuses", vmx_read(VMCS_EXIT_REASON), 0x80000022);
	*(u64 *)(area + 6) = 0x0007040600070406;
	enters("MSR-load area put right", true);
	vmx_write(COUNT, 0);
}

int main(void)
{
	static const u64 yes = 1;

	if (!vmx_enable() || !vmx_guest(halting_guest, (u64)page_alloc() + 4096 - 8)) {
		print("vmx: this processor has no VMX\n");
		return 1;
	}
#ifdef VMDUMP
	vmdump_caps(&dump);
#endif
	basic_checks();
	for (u32 n = 0; n < sizeof(wrongs) / sizeof(wrongs[0]); n++)
		one(&wrongs[n]); /* the launch state stays clear: the later VMLAUNCH shows it */
	enters("all put right, VMLAUNCH", false);
	check(REQ("vmx04.3.2.2.6") "VMLAUNCH again", vmx_run(false), VMX_FAIL_VALID);
	check("VMLAUNCH again", vmx_read(VMCS_ERROR), 4);
	REFUSED();
	resumed = &yes;
	for (u32 n = 0; n < sizeof(wrongs) / sizeof(wrongs[0]); n++) {
		one(&wrongs[n]);
		enters(REQ("vmx04.2.10.1 vmx04.2.10.2 vmx04.3.2.0.3 vmx04.1.6.14") "put right, VMRESUME", true);
	}
	for (u32 n = 0; n < sizeof(accepted) / sizeof(accepted[0]); n++)
		accept(&accepted[n]);
	msr_area();
	every_encoding();
	capabilities();
	vmx_disable();
	return guest_verdict();
}
