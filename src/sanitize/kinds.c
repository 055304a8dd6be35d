/* The kinds of mistakes: sentence, citation, and whether one is looked for unless told otherwise. */
#include "sanitize/sanitize.h"

#define ID_START "sanitize."

/* clang-format off */
const struct sanitize_kind sanitize_kinds[WATCH_KINDS] = {
	[WATCH_NEVER_WRITTEN] = {"sanitize.vmcs.never-written",
		"software must initialize every field that VM entry, the guest or the next VM exit uses; of one that nobody has written the value is undefined",
		"SDM 3C \"Initializing a VMCS\"", NULL, false},
	[WATCH_READ_UNSET] = {"sanitize.vmcs.read-unset",
		"VMREAD of a field that neither software nor a VM exit has written gives an undefined value",
		"SDM 3C \"Initializing a VMCS\"", NULL, false},
	[WATCH_NOT_CLEARED] = {"sanitize.vmcs.not-cleared",
		"software should execute VMCLEAR on a VMCS region before it makes the VMCS active for the first time",
		"SDM 3C \"Initializing a VMCS\"", "VMCLEAR the region once before its first VMPTRLD", false},
	[WATCH_TWO_PROCESSORS] = {"sanitize.vmcs.two-processors",
		"no VMCS may be active on more than one logical processor: VMCLEAR on the first, then VMPTRLD on the second",
		"SDM 3C \"Software Use of Virtual-Machine Control Structures\"", "VMCLEAR it on the processor where it is active", false},
	[WATCH_CLEAR_ELSEWHERE] = {"sanitize.vmcs.cleared-elsewhere",
		"VMCLEAR makes a VMCS inactive on the processor that executes it: the one on which it is active must do that",
		"SDM 3C \"Software Use of Virtual-Machine Control Structures\"", "VMCLEAR it on the processor where it is active", false},
	[WATCH_VMXOFF_ACTIVE] = {"sanitize.vmcs.vmxoff",
		"software should VMCLEAR every active VMCS before VMXOFF: one that is active when the processor leaves VMX operation may be corrupted",
		"SDM 3C \"Software Use of Virtual-Machine Control Structures\"", "VMCLEAR it before VMXOFF", false},
	[WATCH_VMXON_AS_VMCS] = {"sanitize.vmxon.as-vmcs",
		"software should not use a VMXON region, of whichever processor, as a VMCS",
		"SDM 3C \"VMXON Region\"", NULL, false},
	[WATCH_VMXON_SHARED] = {"sanitize.vmxon.shared",
		"software should use a separate VMXON region for each logical processor",
		"SDM 3C \"VMXON Region\"", NULL, false},
	[WATCH_VMCS_ACCESS] = {"sanitize.vmcs.access",
		"software should never access or modify the data of an active VMCS by ordinary memory operations",
		"SDM 3C \"Software Use of Virtual-Machine Control Structures\"", "VMREAD and VMWRITE, or VMCLEAR first", false},
	[WATCH_VMXON_ACCESS] = {"sanitize.vmxon.access",
		"software should not access or modify the VMXON region of a logical processor between VMXON and VMXOFF there",
		"SDM 3C \"VMXON Region\"", NULL, false},
	[WATCH_HSAVE_ACCESS] = {"sanitize.hsave.access",
		"software must not attempt to read or write the host save area directly; VMSAVE and VMLOAD may",
		"APM 2 \"VM_HSAVE_PA MSR\"", NULL, false},
	[WATCH_HSAVE_SHARED] = {"sanitize.hsave.shared",
		"each processor needs a host save area of its own: VMRUN of one overwrites what another has saved",
		"APM 2 \"VM_HSAVE_PA MSR\"", NULL, false},
	[WATCH_POSTED_STORE] = {"sanitize.posted.store",
		"while a logical processor runs a guest with it, software must modify a posted-interrupt descriptor by locked instructions only",
		"SDM 3C \"Posted-Interrupt Processing\"", "a locked read-modify-write instruction", false},
	[WATCH_CLEAN_CHANGED] = {"sanitize.vmcb.clean",
		"the monitor must clear the clean bit of a VMCB field that it has changed since the last VMRUN of this VMCB",
		"APM 2 \"VMCB State Caching\"", "clear the bit in the clean field at VMCB+0x0c0", false},
	[WATCH_CLEAN_MOVED] = {"sanitize.vmcb.clean-moved",
		"the clean field must be 0 at the first VMRUN of a VMCB, when it ran last on another processor, and when its address has changed",
		"APM 2 \"VMCB State Caching\"", "clear the whole clean field at VMCB+0x0c0", false},
	[WATCH_EVENT_DROPPED] = {"sanitize.event.dropped",
		"an event whose delivery a VM exit has interrupted is lost unless the monitor injects it again",
		"SDM 3C \"Information for VM Exits During Event Delivery\"; APM 2 \"EXITINTINFO\"", NULL, false},
	[WATCH_ACK_DROPPED] = {"sanitize.interrupt.acknowledged",
		"with acknowledge interrupt on exit the vector is in the VM-exit interruption information alone: the monitor must handle it",
		"SDM 3C \"External Interrupts\"", NULL, false},
	[WATCH_INTR_HELD] = {"sanitize.interrupt.held",
		"with V_INTR_MASKING, RFLAGS.IF at VMRUN decides whether physical interrupts are seen while the guest runs; with IF 0 they wait for an exit by something else",
		"APM 2 \"Virtualizing RFLAGS.IF\"", "CLGI, STI, VMRUN, CLI, STGI", false},
	[WATCH_OPEN_WINDOW] = {"sanitize.interrupt.window",
		"what an interrupt asks for between the monitor's last look and VMRUN is not seen until the next exit; CLGI holds interrupts back until VMRUN sets GIF",
		"APM 2 \"Global Interrupt Flag, STGI and CLGI Instructions\"", "CLGI before the last look, STGI behind #VMEXIT", false},
	[WATCH_AREA_MODIFIED] = {"sanitize.structure.modified",
		"software should modify what a VMCS refers to (bitmaps, MSR areas) only while no processor with that VMCS as its current one is in VMX non-root operation",
		"SDM 3C \"Software Access to Related Structures\"", "bring that processor out of its guest first", false},
	[WATCH_EPT_STALE] = {"sanitize.ept.stale",
		"after a change of an EPT entry that takes something away, INVEPT on each processor that may have cached it",
		"SDM 3C \"Guidelines for Use of the INVEPT Instruction\"", NULL, false},
	[WATCH_NPT_STALE] = {"sanitize.npt.stale",
		"after a change of a nested table's entry that takes something away, flush the ASID on each processor that may have cached it",
		"APM 2 \"TLB Flush\", \"Invalidation of Table Entry Upgrades\"", NULL, false},
	[WATCH_REACH_BLOCK] = {"sanitize.reach.control-block",
		"a guest must not be able to write its VMCS or VMCB: what it writes there the processor believes",
		"SDM 3C \"Software Use of Virtual-Machine Control Structures\"; APM 2 \"VMCB\"", "leave the page out of the guest's second-level tables", true},
	[WATCH_REACH_HOST] = {"sanitize.reach.host-state",
		"a guest must not be able to write the VMXON region or the host save area, from which the processor loads the monitor's state",
		"SDM 3C \"VMXON Region\"; APM 2 \"VM_HSAVE_PA MSR\"", "leave the page out of the guest's second-level tables", true},
	[WATCH_REACH_BITMAP] = {"sanitize.reach.bitmap",
		"a guest must not be able to write the I/O and MSR bitmaps, which say what of it is intercepted",
		"SDM 3C \"I/O-Bitmap Addresses\", \"MSR-Bitmap Address\"; APM 2 \"IOIO Intercepts\", \"MSR Intercepts\"", "leave the page out of the guest's second-level tables", true},
	[WATCH_REACH_MSRS] = {"sanitize.reach.msr-area",
		"a guest must not be able to write the MSR areas, from which VM exits and entries load MSRs",
		"SDM 3C \"VM-Exit Controls for MSRs\", \"VM-Entry Controls for MSRs\"", "leave the page out of the guest's second-level tables", true},
	[WATCH_REACH_APIC] = {"sanitize.reach.apic",
		"a guest must not be able to write its virtual-APIC page, posted-interrupt descriptor or AVIC tables but through the virtualisation that they are for",
		"SDM 3C \"APIC Virtualization and Virtual Interrupts\"; APM 2 \"Advanced Virtual Interrupt Controller\"", "leave the page out of the guest's second-level tables", true},
	[WATCH_REACH_TABLE] = {"sanitize.reach.table",
		"a guest must not be able to write the second-level tables that confine it",
		"SDM 3C \"The Extended Page Table Mechanism\"; APM 2 \"Nested Paging\"", "leave the tables out of what they map", true},
	[WATCH_REACH_READ] = {"sanitize.reach.read",
		"a guest that can read its control block or the monitor's saved state learns addresses and registers of the monitor",
		"SDM 3C \"Software Use of Virtual-Machine Control Structures\"; APM 2 \"VMCB\"", "leave the page out of the guest's second-level tables", true},
};
/* clang-format on */

const char *sanitize_name(enum watch_kind k)
{
	return sanitize_kinds[k].id + sizeof(ID_START) - 1;
}

u64 sanitize_find(const char *word, size_t n)
{
	u64 found = 0;

	for (unsigned k = 0; k < WATCH_KINDS; k++) {
		const char *name = sanitize_name(k);

		if ((n == 3 && !memcmp(word, "all", n)) ||
		    (n == 7 && !memcmp(word, "default", n) && !sanitize_kinds[k].asked) ||
		    (n && !strncmp(name, word, n) && (!name[n] || name[n] == '.')))
			found |= BIT(k);
	}
	return found;
}
