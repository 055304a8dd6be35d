/*
 * "Checks on VMX Controls": error 7, or 25. The VM-execution controls, the VM-exit controls and the VM-entry controls without
 * event injection, which is in checks_event.c.
 */
#include "vmx/checks_rows.h"

/* ---- "Reserved Controls and Default Settings" ---- */

static bool bad_bits(const struct vmx_image *g, u64 value, enum vmx_word w)
{
	return (~value & g->caps->required1[w]) || (value & ~g->caps->allowed1[w]);
}

static bool pin_reserved(const struct vmx_image *g)
{
	return bad_bits(g, F(PIN_CONTROLS), VMX_PIN);
}

static bool proc_reserved(const struct vmx_image *g)
{
	return bad_bits(g, F(PROC_CONTROLS), VMX_PROC);
}

static bool proc2_reserved(const struct vmx_image *g)
{
	return proc(g, PROC_SECONDARY) && bad_bits(g, F(PROC2_CONTROLS), VMX_PROC2);
}

static bool proc3_reserved(const struct vmx_image *g)
{
	return proc(g, PROC_TERTIARY) && bad_bits(g, F(PROC3_CONTROLS), VMX_PROC3);
}

static bool exit_reserved(const struct vmx_image *g)
{
	return bad_bits(g, F(EXIT_CONTROLS), VMX_EXIT);
}

static bool exit2_reserved(const struct vmx_image *g)
{
	return exits(g, EXIT_SECONDARY) && bad_bits(g, F(EXIT2_CONTROLS), VMX_EXIT2);
}

static bool entry_reserved(const struct vmx_image *g)
{
	return bad_bits(g, F(ENTRY_CONTROLS), VMX_ENTRY);
}

/* ---- addresses of pages, each under its control ---- */

static bool proc_page(const struct vmx_image *g, u32 control, u64 pa)
{
	return proc(g, control) && bad_page(g, pa);
}

static bool io_bitmap(const struct vmx_image *g, unsigned field)
{
	return proc_page(g, PROC_IO_BITMAPS, vmx_value(g, field));
}

static bool msr_bitmap(const struct vmx_image *g, unsigned field)
{
	return proc_page(g, PROC_MSR_BITMAPS, vmx_value(g, field));
}

static bool virtual_apic(const struct vmx_image *g, unsigned field)
{
	return proc_page(g, PROC_TPR_SHADOW, vmx_value(g, field));
}

static bool apic_access(const struct vmx_image *g, unsigned field)
{
	return proc2(g, PROC2_APIC_ACCESS) && bad_page(g, vmx_value(g, field));
}

static bool pml(const struct vmx_image *g, unsigned field)
{
	return proc2(g, PROC2_PML) && bad_page(g, vmx_value(g, field));
}

static bool spptp(const struct vmx_image *g, unsigned field)
{
	return proc2(g, PROC2_SPP) && bad_page(g, vmx_value(g, field));
}

static bool eptp_list(const struct vmx_image *g, unsigned field)
{
	return proc2(g, PROC2_VMFUNC) && (F(VMFUNC_CONTROLS) & 1) && bad_page(g, vmx_value(g, field));
}

static bool shadow_bitmap(const struct vmx_image *g, unsigned field)
{
	return proc2(g, PROC2_SHADOW_VMCS) && bad_page(g, vmx_value(g, field));
}

static bool ve_info(const struct vmx_image *g, unsigned field)
{
	return proc2(g, PROC2_VE) && bad_page(g, vmx_value(g, field));
}

/* ---- single controls ---- */

/* IA32_VMX_MISC bits 24:16 */
static bool cr3_targets(const struct vmx_image *g)
{
	return F(CR3_TARGET_COUNT) > bits(g->caps->misc, 24, 16);
}

static bool virtual_nmis(const struct vmx_image *g)
{
	return pin(g, PIN_VIRTUAL_NMI) && !pin(g, PIN_NMI);
}

static bool nmi_window(const struct vmx_image *g)
{
	return proc(g, PROC_NMI_WINDOW) && !pin(g, PIN_VIRTUAL_NMI);
}

static bool threshold_reserved(const struct vmx_image *g)
{
	return proc(g, PROC_TPR_SHADOW) && !proc2(g, PROC2_VIRTUAL_INT) && F(TPR_THRESHOLD) >> 4;
}

static bool threshold_above(const struct vmx_image *g)
{
	return proc(g, PROC_TPR_SHADOW) && !proc2(g, PROC2_VIRTUAL_INT) && !proc2(g, PROC2_APIC_ACCESS) &&
	       (F(TPR_THRESHOLD) & 15) > bits(vmx_in(g, VMX_IN_VTPR), 7, 4);
}

/* The secondary control that needs "use TPR shadow" */
static bool without_tpr_shadow(const struct vmx_image *g, unsigned bit)
{
	return !proc(g, PROC_TPR_SHADOW) && proc2(g, BIT(bit));
}

static bool ipi_without_tpr_shadow(const struct vmx_image *g)
{
	return !proc(g, PROC_TPR_SHADOW) && proc3(g, PROC3_IPI);
}

static bool x2apic_and_access(const struct vmx_image *g)
{
	return proc2(g, PROC2_X2APIC) && proc2(g, PROC2_APIC_ACCESS);
}

static bool virtual_int_ext(const struct vmx_image *g)
{
	return proc2(g, PROC2_VIRTUAL_INT) && !pin(g, PIN_EXT_INT);
}

static bool posted_virtual_int(const struct vmx_image *g)
{
	return pin(g, PIN_POSTED_INT) && !proc2(g, PROC2_VIRTUAL_INT);
}

/* The guest's exits are those of the executive VMCS. */
static bool posted_ack(const struct vmx_image *g)
{
	u64 controls = returns(g) ? vmx_in(g, VMX_IN_EXEC_EXIT) : F(EXIT_CONTROLS);

	return pin(g, PIN_POSTED_INT) && !(controls & EXIT_ACK_INT);
}

static bool posted_vector(const struct vmx_image *g)
{
	return pin(g, PIN_POSTED_INT) && F(POSTED_INT_VECTOR) >> 8;
}

static bool posted_descriptor(const struct vmx_image *g)
{
	return pin(g, PIN_POSTED_INT) && (!is_aligned(F(PI_DESCRIPTOR), 64) || above(g, F(PI_DESCRIPTOR)));
}

static bool ipi_table(const struct vmx_image *g)
{
	return proc3(g, PROC3_IPI) && (!is_aligned(F(PID_POINTER_TABLE), 8) || above(g, F(PID_POINTER_TABLE)));
}

/* The last entry's address is taken in full width: a table at the very top does not wrap around. */
static bool ipi_table_end(const struct vmx_image *g)
{
	u64 table = F(PID_POINTER_TABLE), end = table + 8 * F(LAST_PID_POINTER_INDEX);

	return proc3(g, PROC3_IPI) && (end < table || above(g, end));
}

static bool vpid_zero(const struct vmx_image *g)
{
	return proc2(g, PROC2_VPID) && F(VPID) == 0;
}

/* A secondary control that needs "enable EPT" */
static bool without_ept(const struct vmx_image *g, unsigned bit)
{
	return proc2(g, BIT(bit)) && !proc2(g, PROC2_EPT);
}

/* A tertiary one */
static bool tertiary_without_ept(const struct vmx_image *g, unsigned bit)
{
	return proc3(g, BIT(bit)) && !proc2(g, PROC2_EPT);
}

static bool vmfunc_reserved(const struct vmx_image *g)
{
	return proc2(g, PROC2_VMFUNC) && (F(VMFUNC_CONTROLS) & ~g->caps->vmfunc);
}

static bool switching_without_ept(const struct vmx_image *g)
{
	return proc2(g, PROC2_VMFUNC) && (F(VMFUNC_CONTROLS) & 1) && !proc2(g, PROC2_EPT);
}

static bool tsc_multiplier(const struct vmx_image *g)
{
	return proc2(g, PROC2_TSC_SCALING) && F(TSC_MULTIPLIER) == 0;
}

/* ---- "Extended-Page-Table Pointer (EPTP)" ---- */

static bool ept_type(const struct vmx_image *g)
{
	unsigned type = (unsigned)F(EPTP) & 7;
	u64 known = (g->caps->ept_vpid & BIT(8) ? BIT(MT_UC) : 0) | (g->caps->ept_vpid & BIT(14) ? BIT(MT_WB) : 0);

	return proc2(g, PROC2_EPT) && !(known >> type & 1);
}

static bool ept_walk(const struct vmx_image *g)
{
	u64 levels = bits(F(EPTP), 5, 3) + 1;
	bool ok = (levels == 4 && (g->caps->ept_vpid & BIT(6))) || (levels == 5 && (g->caps->ept_vpid & BIT(7)));

	return proc2(g, PROC2_EPT) && !ok;
}

static bool ept_ad(const struct vmx_image *g)
{
	return proc2(g, PROC2_EPT) && (F(EPTP) & BIT(6)) && !(g->caps->ept_vpid & BIT(21));
}

/* The section's text has bits 11:7; the field's format has bit 7 for supervisor shadow-stack control. */
static bool ept_reserved(const struct vmx_image *g)
{
	u64 reserved = mask(11, 8) | (g->caps->ept_vpid & BIT(23) ? 0 : BIT(7));

	return proc2(g, PROC2_EPT) && (F(EPTP) & reserved);
}

static bool ept_address(const struct vmx_image *g)
{
	return proc2(g, PROC2_EPT) && above(g, F(EPTP));
}

/* ---- "VM-Exit Control Fields", "VM-Entry Control Fields" ---- */

/* "Checks on VM-Execution Control Fields" of entries that return from SMM has the exception. */
static bool save_timer(const struct vmx_image *g)
{
	return exits(g, EXIT_SAVE_TIMER) && !pin(g, PIN_PREEMPTION_TIMER) && !returns(g);
}

/* Aligned, and first and last byte within the width. A count of 0 makes the address meaningless. */
static bool bad_area(const struct vmx_image *g, u64 addr, u64 count)
{
	return count && (!is_aligned(addr, 16) || above(g, addr) || above(g, addr + 16 * count - 1));
}

static bool store_area(const struct vmx_image *g, unsigned field)
{
	return bad_area(g, vmx_value(g, field), F(EXIT_MSR_STORE_COUNT));
}

static bool load_area(const struct vmx_image *g, unsigned field)
{
	return bad_area(g, vmx_value(g, field), F(EXIT_MSR_LOAD_COUNT));
}

static bool entry_area(const struct vmx_image *g, unsigned field)
{
	return bad_area(g, vmx_value(g, field), F(ENTRY_MSR_LOAD_COUNT));
}

/* "entry to SMM" or "deactivate dual-monitor treatment" */
static bool smm_outside(const struct vmx_image *g, unsigned bit)
{
	return !vmx_in(g, VMX_IN_SMM) && enters(g, BIT(bit));
}

static bool smm_both(const struct vmx_image *g)
{
	return enters(g, ENTRY_SMM) && enters(g, ENTRY_NO_DUAL);
}

/* clang-format off */
#define ABOUT(ROW, group, id, section, ...) ROW(group, FAIL_7, "control." id, section, __VA_ARGS__)
#define EXEC(id, fn, ...)         ABOUT(ROW, CONTROL, id, "VM-Execution Control Fields", fn, __VA_ARGS__)
#define EXIT(id, fn, ...)         ABOUT(ROW, TRANSFER, id, "VM-Exit Control Fields", fn, __VA_ARGS__)
#define ENTRY(id, fn, ...)        ABOUT(ROW, TRANSFER, id, "VM-Entry Control Fields", fn, __VA_ARGS__)
#define EXEC_AT(id, fn, at, ...)  ABOUT(ROW_AT, CONTROL, id, "VM-Execution Control Fields", fn, at, __VA_ARGS__)
#define EXIT_AT(id, fn, at, ...)  ABOUT(ROW_AT, TRANSFER, id, "VM-Exit Control Fields", fn, at, __VA_ARGS__)
#define ENTRY_AT(id, fn, at, ...) ABOUT(ROW_AT, TRANSFER, id, "VM-Entry Control Fields", fn, at, __VA_ARGS__)
#define PAGE(id, fn, name, what, ...) \
	EXEC_AT(id, fn, V(name), what " must be page-aligned and within the physical address width", V(name), __VA_ARGS__)
#define AREA(macro, id, fn, name, what, count) \
	macro(id, fn, V(name), what " must be 16-byte aligned and, to its last byte, within the physical address width", V(name), V(count))

static const struct vmx_check rows[] = {
	EXEC("pin.reserved", pin_reserved, "reserved bits of the pin-based controls must have their fixed values", V(PIN_CONTROLS)),
	EXEC("proc.reserved", proc_reserved, "reserved bits of the primary processor-based controls must have their fixed values", V(PROC_CONTROLS)),
	EXEC("proc2.reserved", proc2_reserved, "reserved bits of the secondary processor-based controls must be 0", V(PROC2_CONTROLS), V(PROC_CONTROLS)),
	EXEC("proc3.reserved", proc3_reserved, "reserved bits of the tertiary processor-based controls must be 0", V(PROC3_CONTROLS), V(PROC_CONTROLS)),
	EXEC("cr3-targets", cr3_targets, "the CR3-target count must not exceed what IA32_VMX_MISC reports", V(CR3_TARGET_COUNT)),
	PAGE("io-bitmap", io_bitmap, IO_BITMAP_A, "the address of I/O bitmap A", V(PROC_CONTROLS)),
	PAGE("io-bitmap", io_bitmap, IO_BITMAP_B, "the address of I/O bitmap B", V(PROC_CONTROLS)),
	PAGE("msr-bitmap", msr_bitmap, MSR_BITMAP, "the address of the MSR bitmaps", V(PROC_CONTROLS)),
	PAGE("virtual-apic", virtual_apic, VIRTUAL_APIC_ADDR, "the virtual-APIC address", V(PROC_CONTROLS)),
	PAGE("apic-access", apic_access, APIC_ACCESS_ADDR, "the APIC-access address", V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	PAGE("pml", pml, PML_ADDR, "the PML address", V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	PAGE("spptp", spptp, SPPTP, "the SPP-table pointer", V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	PAGE("eptp-list", eptp_list, EPTP_LIST, "the EPTP-list address", V(VMFUNC_CONTROLS), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	PAGE("shadow-bitmap", shadow_bitmap, VMREAD_BITMAP, "the VMREAD-bitmap address", V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	PAGE("shadow-bitmap", shadow_bitmap, VMWRITE_BITMAP, "the VMWRITE-bitmap address", V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	PAGE("ve-info", ve_info, VE_INFO_ADDR, "the virtualization-exception information address", V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EXEC("virtual-nmis", virtual_nmis, "virtual NMIs need NMI exiting", V(PIN_CONTROLS)),
	EXEC("nmi-window", nmi_window, "NMI-window exiting needs virtual NMIs", V(PROC_CONTROLS), V(PIN_CONTROLS)),
	EXEC("tpr-threshold.reserved", threshold_reserved, "bits 31:4 of the TPR threshold must be 0 without virtual-interrupt delivery",
	     V(TPR_THRESHOLD), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EXEC_AT("tpr-shadow.x2apic", without_tpr_shadow, 4, "virtualizing x2APIC mode needs the TPR shadow", V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EXEC_AT("tpr-shadow.apic-registers", without_tpr_shadow, 8, "APIC-register virtualization needs the TPR shadow", V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EXEC_AT("tpr-shadow.virtual-interrupts", without_tpr_shadow, 9, "virtual-interrupt delivery needs the TPR shadow", V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EXEC("tpr-shadow.ipi", ipi_without_tpr_shadow, "IPI virtualization needs the TPR shadow", V(PROC_CONTROLS), V(PROC3_CONTROLS)),
	EXEC("x2apic.apic-access", x2apic_and_access, "virtualizing x2APIC mode excludes virtualizing APIC accesses", V(PROC2_CONTROLS), V(PROC_CONTROLS)),
	EXEC("virtual-interrupts.external", virtual_int_ext, "virtual-interrupt delivery needs external-interrupt exiting",
	     V(PIN_CONTROLS), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EXEC("posted.virtual-interrupts", posted_virtual_int, "posted interrupts need virtual-interrupt delivery",
	     V(PIN_CONTROLS), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EXEC("posted.acknowledge", posted_ack, "posted interrupts need acknowledge interrupt on exit", V(PIN_CONTROLS), V(EXIT_CONTROLS), VMX_IN_EXEC_EXIT,
	     RETURNS),
	EXEC("posted.vector", posted_vector, "bits 15:8 of the posted-interrupt notification vector must be 0", V(POSTED_INT_VECTOR), V(PIN_CONTROLS)),
	EXEC("posted.descriptor", posted_descriptor, "the posted-interrupt descriptor must be 64-byte aligned and within the physical address width",
	     V(PI_DESCRIPTOR), V(PIN_CONTROLS)),
	EXEC("ipi.table", ipi_table, "the PID-pointer table must be 8-byte aligned and within the physical address width",
	     V(PID_POINTER_TABLE), V(PROC_CONTROLS), V(PROC3_CONTROLS)),
	EXEC("ipi.table-end", ipi_table_end, "the last PID pointer must lie within the physical address width",
	     V(PID_POINTER_TABLE), V(LAST_PID_POINTER_INDEX), V(PROC_CONTROLS), V(PROC3_CONTROLS)),
	EXEC("vpid-zero", vpid_zero, "VPID must not be 0", V(VPID), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EXEC("eptp.memory-type", ept_type, "the memory type in the EPT pointer must be supported", V(EPTP), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EXEC("eptp.walk-length", ept_walk, "the page-walk length in the EPT pointer must be supported", V(EPTP), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EXEC("eptp.accessed-dirty", ept_ad, "accessed and dirty flags for EPT must be supported", V(EPTP), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EXEC("eptp.reserved", ept_reserved, "reserved bits 11:7 of the EPT pointer must be 0", V(EPTP), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EXEC("eptp.address", ept_address, "the EPT pointer must be within the physical address width", V(EPTP), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EXEC_AT("ept.unrestricted", without_ept, 7, "unrestricted guest needs EPT", V(PROC2_CONTROLS), V(PROC_CONTROLS)),
	EXEC_AT("ept.pml", without_ept, 17, "page-modification logging needs EPT", V(PROC2_CONTROLS), V(PROC_CONTROLS)),
	EXEC_AT("ept.mode-based", without_ept, 22, "mode-based execute control needs EPT", V(PROC2_CONTROLS), V(PROC_CONTROLS)),
	EXEC_AT("ept.sub-page", without_ept, 23, "sub-page write permissions need EPT", V(PROC2_CONTROLS), V(PROC_CONTROLS)),
	EXEC_AT("ept.paging-write", tertiary_without_ept, 2, "EPT paging-write control needs EPT",
	     V(PROC3_CONTROLS), V(PROC2_CONTROLS), V(PROC_CONTROLS)),
	EXEC_AT("ept.guest-paging", tertiary_without_ept, 3, "guest-paging verification needs EPT",
	     V(PROC3_CONTROLS), V(PROC2_CONTROLS), V(PROC_CONTROLS)),
	EXEC("vmfunc.reserved", vmfunc_reserved, "reserved VM-function controls must be 0", V(VMFUNC_CONTROLS), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EXEC("vmfunc.ept", switching_without_ept, "EPTP switching needs EPT", V(VMFUNC_CONTROLS), V(PROC_CONTROLS), V(PROC2_CONTROLS)),
	EXEC("tsc-multiplier", tsc_multiplier, "the TSC multiplier must not be 0", V(TSC_MULTIPLIER), V(PROC_CONTROLS), V(PROC2_CONTROLS)),

	ROW(THRESHOLD, FAIL_7, "control.tpr-threshold.above-tpr", "VM-Execution Control Fields", threshold_above,
	    "bits 3:0 of the TPR threshold must not exceed VTPR[7:4] without virtual APIC accesses and interrupts",
	    V(TPR_THRESHOLD), VMX_IN_VTPR, V(PROC_CONTROLS), V(PROC2_CONTROLS)),

	EXIT("exit.reserved", exit_reserved, "reserved bits of the VM-exit controls must have their fixed values", V(EXIT_CONTROLS)),
	EXIT("exit2.reserved", exit2_reserved, "reserved bits of the secondary VM-exit controls must be 0", V(EXIT2_CONTROLS), V(EXIT_CONTROLS)),
	EXIT("exit.save-timer", save_timer, "saving the VMX-preemption timer needs the timer", V(EXIT_CONTROLS), V(PIN_CONTROLS), RETURNS),
	AREA(EXIT_AT, "exit.msr-store", store_area, EXIT_MSR_STORE_ADDR, "the VM-exit MSR-store area", EXIT_MSR_STORE_COUNT),
	AREA(EXIT_AT, "exit.msr-load", load_area, EXIT_MSR_LOAD_ADDR, "the VM-exit MSR-load area", EXIT_MSR_LOAD_COUNT),
	ENTRY("entry.reserved", entry_reserved, "reserved bits of the VM-entry controls must have their fixed values", V(ENTRY_CONTROLS)),
	AREA(ENTRY_AT, "entry.msr-load", entry_area, ENTRY_MSR_LOAD_ADDR, "the VM-entry MSR-load area", ENTRY_MSR_LOAD_COUNT),
	{.id = "vmx.control.entry.smm", .group = VMX_GROUP_TRANSFER, .outcome = VMX_FAIL_7, .at = 10, .bad_at = smm_outside,
	 .rule = "entry to SMM is for the SMM-transfer monitor alone", .manual = "SDM 3C \"VM-Entry Control Fields\"",
	 .field = {V(ENTRY_CONTROLS), VMX_IN_SMM, VMX_FIELDS_END},
	 .implied_by = "vmx.guest.interruptibility.smi,vmx.guest.interruptibility.smi-entry"},
	ENTRY_AT("entry.dual-monitor", smm_outside, 11, "only the SMM-transfer monitor may deactivate dual-monitor treatment", V(ENTRY_CONTROLS), VMX_IN_SMM),
	ENTRY("entry.smm-and-dual", smm_both, "entry to SMM excludes deactivating dual-monitor treatment", V(ENTRY_CONTROLS)),
};
/* clang-format on */
const struct vmx_check_set vmx_control_checks = {
	rows, ARRAY_LEN(rows), 1u << VMX_GROUP_CONTROL | 1u << VMX_GROUP_TRANSFER | 1u << VMX_GROUP_THRESHOLD,
};
