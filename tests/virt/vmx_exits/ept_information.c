/* What the exit qualification of an EPT violation says beside the access: "Exit Qualification for EPT Violations". */
#include "exits.h"

#define HOLE 0x10000000ull
#define PAGE 0x10000000000ull /* a linear page of this file: 1 TiB */
#define NX   (1ull << 63)
enum { EPT_AD = 1 << 6 };

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

	check("advanced information", rdmsr(MSR_VMX_EPT_VPID) >> 22 & 1, 1);
	for (unsigned n = 0; n < COUNT(row); n++) {
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
		on(VMCS_PIN, PIN_NMI | PIN_VNMI);
		vmx_write(VMCS_GUEST_INTERRUPTIBILITY, blocked << 3);
		*vmx_ept_entry(HOLE) = 0;
		check("IRET from a hole", go(), R_EPT);
		check("IRET from a hole: NMI unblocking", vmx_read(VMCS_QUALIFICATION) >> 12 & 1, blocked);
		check("IRET from a hole: RF", vmx_read(VMCS_GUEST_RFLAGS) >> 16 & 1, 1);
	}
}

void test_ept_information(void)
{
	map_page(pml4, PAGE, HOLE, 3);
	advanced();
	in_the_walk();
	unblocking();
}
