/*
 * The VMCS fields: "Field Encoding in VMCS", one row each with the control whose support brings the field into being.
 * FIELD(NAME, encoding, condition, text). A cached VMCS keeps every field as 64 bits, in the order of width and type.
 */
#ifndef VMX_FIELDS_H
#define VMX_FIELDS_H

#include "base/base.h"

/* clang-format off */
#define VMCS_FIELD_LIST(FIELD) \
	FIELD(VPID, 0x0000, VMX_IF(PROC2, 5), "VPID") \
	FIELD(POSTED_INT_VECTOR, 0x0002, VMX_IF(PIN, 7), "Posted-interrupt notification vector") \
	FIELD(EPTP_INDEX, 0x0004, VMX_IF(PROC2, 18), "EPTP index") \
	FIELD(HLAT_PREFIX_SIZE, 0x0006, VMX_IF(PROC3, 1), "HLAT prefix size") \
	FIELD(LAST_PID_POINTER_INDEX, 0x0008, VMX_IF(PROC3, 4), "Last PID-pointer index") \
	FIELD(GUEST_ES_SEL, 0x0800, VMX_ALWAYS, "Guest ES selector") \
	FIELD(GUEST_CS_SEL, 0x0802, VMX_ALWAYS, "Guest CS selector") \
	FIELD(GUEST_SS_SEL, 0x0804, VMX_ALWAYS, "Guest SS selector") \
	FIELD(GUEST_DS_SEL, 0x0806, VMX_ALWAYS, "Guest DS selector") \
	FIELD(GUEST_FS_SEL, 0x0808, VMX_ALWAYS, "Guest FS selector") \
	FIELD(GUEST_GS_SEL, 0x080a, VMX_ALWAYS, "Guest GS selector") \
	FIELD(GUEST_LDTR_SEL, 0x080c, VMX_ALWAYS, "Guest LDTR selector") \
	FIELD(GUEST_TR_SEL, 0x080e, VMX_ALWAYS, "Guest TR selector") \
	FIELD(GUEST_INT_STATUS, 0x0810, VMX_IF(PROC2, 9), "Guest interrupt status") \
	FIELD(PML_INDEX, 0x0812, VMX_IF(PROC2, 17), "PML index") \
	FIELD(HOST_ES_SEL, 0x0c00, VMX_ALWAYS, "Host ES selector") \
	FIELD(HOST_CS_SEL, 0x0c02, VMX_ALWAYS, "Host CS selector") \
	FIELD(HOST_SS_SEL, 0x0c04, VMX_ALWAYS, "Host SS selector") \
	FIELD(HOST_DS_SEL, 0x0c06, VMX_ALWAYS, "Host DS selector") \
	FIELD(HOST_FS_SEL, 0x0c08, VMX_ALWAYS, "Host FS selector") \
	FIELD(HOST_GS_SEL, 0x0c0a, VMX_ALWAYS, "Host GS selector") \
	FIELD(HOST_TR_SEL, 0x0c0c, VMX_ALWAYS, "Host TR selector") \
	FIELD(IO_BITMAP_A, 0x2000, VMX_ALWAYS, "Address of I/O bitmap A") \
	FIELD(IO_BITMAP_B, 0x2002, VMX_ALWAYS, "Address of I/O bitmap B") \
	FIELD(MSR_BITMAP, 0x2004, VMX_IF(PROC, 28), "Address of MSR bitmaps") \
	FIELD(EXIT_MSR_STORE_ADDR, 0x2006, VMX_ALWAYS, "VM-exit MSR-store address") \
	FIELD(EXIT_MSR_LOAD_ADDR, 0x2008, VMX_ALWAYS, "VM-exit MSR-load address") \
	FIELD(ENTRY_MSR_LOAD_ADDR, 0x200a, VMX_ALWAYS, "VM-entry MSR-load address") \
	FIELD(EXECUTIVE_VMCS, 0x200c, VMX_ALWAYS, "Executive-VMCS pointer") \
	FIELD(PML_ADDR, 0x200e, VMX_IF(PROC2, 17), "PML address") \
	FIELD(TSC_OFFSET, 0x2010, VMX_ALWAYS, "TSC offset") \
	FIELD(VIRTUAL_APIC_ADDR, 0x2012, VMX_IF(PROC, 21), "Virtual-APIC address") \
	FIELD(APIC_ACCESS_ADDR, 0x2014, VMX_IF(PROC2, 0), "APIC-access address") \
	FIELD(PI_DESCRIPTOR, 0x2016, VMX_IF(PIN, 7), "Posted-interrupt descriptor address") \
	FIELD(VMFUNC_CONTROLS, 0x2018, VMX_IF(PROC2, 13), "VM-function controls") \
	FIELD(EPTP, 0x201a, VMX_IF(PROC2, 1), "EPT pointer") \
	FIELD(EOI_EXIT0, 0x201c, VMX_IF(PROC2, 9), "EOI-exit bitmap 0") \
	FIELD(EOI_EXIT1, 0x201e, VMX_IF(PROC2, 9), "EOI-exit bitmap 1") \
	FIELD(EOI_EXIT2, 0x2020, VMX_IF(PROC2, 9), "EOI-exit bitmap 2") \
	FIELD(EOI_EXIT3, 0x2022, VMX_IF(PROC2, 9), "EOI-exit bitmap 3") \
	FIELD(EPTP_LIST, 0x2024, VMX_IF(PROC2, 13), "EPTP-list address") \
	FIELD(VMREAD_BITMAP, 0x2026, VMX_IF(PROC2, 14), "VMREAD-bitmap address") \
	FIELD(VMWRITE_BITMAP, 0x2028, VMX_IF(PROC2, 14), "VMWRITE-bitmap address") \
	FIELD(VE_INFO_ADDR, 0x202a, VMX_IF(PROC2, 18), "Virtualization-exception information address") \
	FIELD(XSS_EXITING, 0x202c, VMX_IF(PROC2, 20), "XSS-exiting bitmap") \
	FIELD(ENCLS_EXITING, 0x202e, VMX_IF(PROC2, 15), "ENCLS-exiting bitmap") \
	FIELD(SPPTP, 0x2030, VMX_IF(PROC2, 23), "Sub-page-permission-table pointer") \
	FIELD(TSC_MULTIPLIER, 0x2032, VMX_IF(PROC2, 25), "TSC multiplier") \
	FIELD(PROC3_CONTROLS, 0x2034, VMX_IF(PROC, 17), "Tertiary processor-based controls") \
	FIELD(HLATP, 0x2040, VMX_IF(PROC3, 1), "HLAT pointer") \
	FIELD(PID_POINTER_TABLE, 0x2042, VMX_IF(PROC3, 4), "PID-pointer table address") \
	FIELD(EXIT2_CONTROLS, 0x2044, VMX_IF(EXIT, 31), "Secondary VM-exit controls") \
	FIELD(SPEC_CTRL_MASK, 0x204a, VMX_IF(PROC3, 7), "IA32_SPEC_CTRL mask") \
	FIELD(SPEC_CTRL_SHADOW, 0x204c, VMX_IF(PROC3, 7), "IA32_SPEC_CTRL shadow") \
	FIELD(GUEST_PHYSICAL, 0x2400, VMX_IF(PROC2, 1), "Guest-physical address") \
	FIELD(LINK_POINTER, 0x2800, VMX_ALWAYS, "VMCS link pointer") \
	FIELD(GUEST_DEBUGCTL, 0x2802, VMX_ALWAYS, "Guest IA32_DEBUGCTL") \
	FIELD(GUEST_PAT, 0x2804, VMX_IF(ENTRY, 14), "Guest IA32_PAT") \
	FIELD(GUEST_EFER, 0x2806, VMX_IF(ENTRY, 15), "Guest IA32_EFER") \
	FIELD(GUEST_PERF_GLOBAL_CTRL, 0x2808, VMX_IF(ENTRY, 13), "Guest IA32_PERF_GLOBAL_CTRL") \
	FIELD(GUEST_PDPTE0, 0x280a, VMX_IF(PROC2, 1), "Guest PDPTE0") \
	FIELD(GUEST_PDPTE1, 0x280c, VMX_IF(PROC2, 1), "Guest PDPTE1") \
	FIELD(GUEST_PDPTE2, 0x280e, VMX_IF(PROC2, 1), "Guest PDPTE2") \
	FIELD(GUEST_PDPTE3, 0x2810, VMX_IF(PROC2, 1), "Guest PDPTE3") \
	FIELD(GUEST_BNDCFGS, 0x2812, VMX_IF(ENTRY, 16), "Guest IA32_BNDCFGS") \
	FIELD(GUEST_RTIT_CTL, 0x2814, VMX_IF(ENTRY, 18), "Guest IA32_RTIT_CTL") \
	FIELD(GUEST_LBR_CTL, 0x2816, VMX_IF(ENTRY, 21), "Guest IA32_LBR_CTL") \
	FIELD(GUEST_PKRS, 0x2818, VMX_IF(ENTRY, 22), "Guest IA32_PKRS") \
	FIELD(HOST_PAT, 0x2c00, VMX_IF(EXIT, 19), "Host IA32_PAT") \
	FIELD(HOST_EFER, 0x2c02, VMX_IF(EXIT, 21), "Host IA32_EFER") \
	FIELD(HOST_PERF_GLOBAL_CTRL, 0x2c04, VMX_IF(EXIT, 12), "Host IA32_PERF_GLOBAL_CTRL") \
	FIELD(HOST_PKRS, 0x2c06, VMX_IF(EXIT, 29), "Host IA32_PKRS") \
	FIELD(PIN_CONTROLS, 0x4000, VMX_ALWAYS, "Pin-based controls") \
	FIELD(PROC_CONTROLS, 0x4002, VMX_ALWAYS, "Primary processor-based controls") \
	FIELD(EXCEPTION_BITMAP, 0x4004, VMX_ALWAYS, "Exception bitmap") \
	FIELD(PF_MASK, 0x4006, VMX_ALWAYS, "Page-fault error-code mask") \
	FIELD(PF_MATCH, 0x4008, VMX_ALWAYS, "Page-fault error-code match") \
	FIELD(CR3_TARGET_COUNT, 0x400a, VMX_ALWAYS, "CR3-target count") \
	FIELD(EXIT_CONTROLS, 0x400c, VMX_ALWAYS, "VM-exit controls") \
	FIELD(EXIT_MSR_STORE_COUNT, 0x400e, VMX_ALWAYS, "VM-exit MSR-store count") \
	FIELD(EXIT_MSR_LOAD_COUNT, 0x4010, VMX_ALWAYS, "VM-exit MSR-load count") \
	FIELD(ENTRY_CONTROLS, 0x4012, VMX_ALWAYS, "VM-entry controls") \
	FIELD(ENTRY_MSR_LOAD_COUNT, 0x4014, VMX_ALWAYS, "VM-entry MSR-load count") \
	FIELD(ENTRY_INTR_INFO, 0x4016, VMX_ALWAYS, "VM-entry interruption information") \
	FIELD(ENTRY_ERROR_CODE, 0x4018, VMX_ALWAYS, "VM-entry exception error code") \
	FIELD(ENTRY_INSN_LEN, 0x401a, VMX_ALWAYS, "VM-entry instruction length") \
	FIELD(TPR_THRESHOLD, 0x401c, VMX_IF(PROC, 21), "TPR threshold") \
	FIELD(PROC2_CONTROLS, 0x401e, VMX_IF(PROC, 31), "Secondary processor-based controls") \
	FIELD(PLE_GAP, 0x4020, VMX_IF(PROC2, 10), "PLE_Gap") \
	FIELD(PLE_WINDOW, 0x4022, VMX_IF(PROC2, 10), "PLE_Window") \
	FIELD(INSN_ERROR, 0x4400, VMX_ALWAYS, "VM-instruction error") \
	FIELD(EXIT_REASON, 0x4402, VMX_ALWAYS, "Exit reason") \
	FIELD(EXIT_INTR_INFO, 0x4404, VMX_ALWAYS, "VM-exit interruption information") \
	FIELD(EXIT_INTR_ERROR, 0x4406, VMX_ALWAYS, "VM-exit interruption error code") \
	FIELD(IDT_VECTORING, 0x4408, VMX_ALWAYS, "IDT-vectoring information") \
	FIELD(IDT_VECTORING_ERROR, 0x440a, VMX_ALWAYS, "IDT-vectoring error code") \
	FIELD(EXIT_INSN_LEN, 0x440c, VMX_ALWAYS, "VM-exit instruction length") \
	FIELD(EXIT_INSN_INFO, 0x440e, VMX_ALWAYS, "VM-exit instruction information") \
	FIELD(GUEST_ES_LIMIT, 0x4800, VMX_ALWAYS, "Guest ES limit") \
	FIELD(GUEST_CS_LIMIT, 0x4802, VMX_ALWAYS, "Guest CS limit") \
	FIELD(GUEST_SS_LIMIT, 0x4804, VMX_ALWAYS, "Guest SS limit") \
	FIELD(GUEST_DS_LIMIT, 0x4806, VMX_ALWAYS, "Guest DS limit") \
	FIELD(GUEST_FS_LIMIT, 0x4808, VMX_ALWAYS, "Guest FS limit") \
	FIELD(GUEST_GS_LIMIT, 0x480a, VMX_ALWAYS, "Guest GS limit") \
	FIELD(GUEST_LDTR_LIMIT, 0x480c, VMX_ALWAYS, "Guest LDTR limit") \
	FIELD(GUEST_TR_LIMIT, 0x480e, VMX_ALWAYS, "Guest TR limit") \
	FIELD(GUEST_GDTR_LIMIT, 0x4810, VMX_ALWAYS, "Guest GDTR limit") \
	FIELD(GUEST_IDTR_LIMIT, 0x4812, VMX_ALWAYS, "Guest IDTR limit") \
	FIELD(GUEST_ES_AR, 0x4814, VMX_ALWAYS, "Guest ES access rights") \
	FIELD(GUEST_CS_AR, 0x4816, VMX_ALWAYS, "Guest CS access rights") \
	FIELD(GUEST_SS_AR, 0x4818, VMX_ALWAYS, "Guest SS access rights") \
	FIELD(GUEST_DS_AR, 0x481a, VMX_ALWAYS, "Guest DS access rights") \
	FIELD(GUEST_FS_AR, 0x481c, VMX_ALWAYS, "Guest FS access rights") \
	FIELD(GUEST_GS_AR, 0x481e, VMX_ALWAYS, "Guest GS access rights") \
	FIELD(GUEST_LDTR_AR, 0x4820, VMX_ALWAYS, "Guest LDTR access rights") \
	FIELD(GUEST_TR_AR, 0x4822, VMX_ALWAYS, "Guest TR access rights") \
	FIELD(GUEST_INTERRUPTIBILITY, 0x4824, VMX_ALWAYS, "Guest interruptibility state") \
	FIELD(GUEST_ACTIVITY, 0x4826, VMX_ALWAYS, "Guest activity state") \
	FIELD(GUEST_SMBASE, 0x4828, VMX_ALWAYS, "Guest SMBASE") \
	FIELD(GUEST_SYSENTER_CS, 0x482a, VMX_ALWAYS, "Guest IA32_SYSENTER_CS") \
	FIELD(PREEMPTION_TIMER, 0x482e, VMX_IF(PIN, 6), "VMX-preemption timer value") \
	FIELD(HOST_SYSENTER_CS, 0x4c00, VMX_ALWAYS, "Host IA32_SYSENTER_CS") \
	FIELD(CR0_MASK, 0x6000, VMX_ALWAYS, "CR0 guest/host mask") \
	FIELD(CR4_MASK, 0x6002, VMX_ALWAYS, "CR4 guest/host mask") \
	FIELD(CR0_SHADOW, 0x6004, VMX_ALWAYS, "CR0 read shadow") \
	FIELD(CR4_SHADOW, 0x6006, VMX_ALWAYS, "CR4 read shadow") \
	FIELD(CR3_TARGET0, 0x6008, VMX_ALWAYS, "CR3-target value 0") \
	FIELD(CR3_TARGET1, 0x600a, VMX_ALWAYS, "CR3-target value 1") \
	FIELD(CR3_TARGET2, 0x600c, VMX_ALWAYS, "CR3-target value 2") \
	FIELD(CR3_TARGET3, 0x600e, VMX_ALWAYS, "CR3-target value 3") \
	FIELD(EXIT_QUALIFICATION, 0x6400, VMX_ALWAYS, "Exit qualification") \
	FIELD(IO_RCX, 0x6402, VMX_ALWAYS, "I/O RCX") \
	FIELD(IO_RSI, 0x6404, VMX_ALWAYS, "I/O RSI") \
	FIELD(IO_RDI, 0x6406, VMX_ALWAYS, "I/O RDI") \
	FIELD(IO_RIP, 0x6408, VMX_ALWAYS, "I/O RIP") \
	FIELD(GUEST_LINEAR, 0x640a, VMX_ALWAYS, "Guest-linear address") \
	FIELD(GUEST_CR0, 0x6800, VMX_ALWAYS, "Guest CR0") \
	FIELD(GUEST_CR3, 0x6802, VMX_ALWAYS, "Guest CR3") \
	FIELD(GUEST_CR4, 0x6804, VMX_ALWAYS, "Guest CR4") \
	FIELD(GUEST_ES_BASE, 0x6806, VMX_ALWAYS, "Guest ES base") \
	FIELD(GUEST_CS_BASE, 0x6808, VMX_ALWAYS, "Guest CS base") \
	FIELD(GUEST_SS_BASE, 0x680a, VMX_ALWAYS, "Guest SS base") \
	FIELD(GUEST_DS_BASE, 0x680c, VMX_ALWAYS, "Guest DS base") \
	FIELD(GUEST_FS_BASE, 0x680e, VMX_ALWAYS, "Guest FS base") \
	FIELD(GUEST_GS_BASE, 0x6810, VMX_ALWAYS, "Guest GS base") \
	FIELD(GUEST_LDTR_BASE, 0x6812, VMX_ALWAYS, "Guest LDTR base") \
	FIELD(GUEST_TR_BASE, 0x6814, VMX_ALWAYS, "Guest TR base") \
	FIELD(GUEST_GDTR_BASE, 0x6816, VMX_ALWAYS, "Guest GDTR base") \
	FIELD(GUEST_IDTR_BASE, 0x6818, VMX_ALWAYS, "Guest IDTR base") \
	FIELD(GUEST_DR7, 0x681a, VMX_ALWAYS, "Guest DR7") \
	FIELD(GUEST_RSP, 0x681c, VMX_ALWAYS, "Guest RSP") \
	FIELD(GUEST_RIP, 0x681e, VMX_ALWAYS, "Guest RIP") \
	FIELD(GUEST_RFLAGS, 0x6820, VMX_ALWAYS, "Guest RFLAGS") \
	FIELD(GUEST_PENDING_DEBUG, 0x6822, VMX_ALWAYS, "Guest pending debug exceptions") \
	FIELD(GUEST_SYSENTER_ESP, 0x6824, VMX_ALWAYS, "Guest IA32_SYSENTER_ESP") \
	FIELD(GUEST_SYSENTER_EIP, 0x6826, VMX_ALWAYS, "Guest IA32_SYSENTER_EIP") \
	FIELD(GUEST_S_CET, 0x6828, VMX_IF(ENTRY, 20), "Guest IA32_S_CET") \
	FIELD(GUEST_SSP, 0x682a, VMX_IF(ENTRY, 20), "Guest SSP") \
	FIELD(GUEST_SSP_TABLE, 0x682c, VMX_IF(ENTRY, 20), "Guest IA32_INTERRUPT_SSP_TABLE_ADDR") \
	FIELD(HOST_CR0, 0x6c00, VMX_ALWAYS, "Host CR0") \
	FIELD(HOST_CR3, 0x6c02, VMX_ALWAYS, "Host CR3") \
	FIELD(HOST_CR4, 0x6c04, VMX_ALWAYS, "Host CR4") \
	FIELD(HOST_FS_BASE, 0x6c06, VMX_ALWAYS, "Host FS base") \
	FIELD(HOST_GS_BASE, 0x6c08, VMX_ALWAYS, "Host GS base") \
	FIELD(HOST_TR_BASE, 0x6c0a, VMX_ALWAYS, "Host TR base") \
	FIELD(HOST_GDTR_BASE, 0x6c0c, VMX_ALWAYS, "Host GDTR base") \
	FIELD(HOST_IDTR_BASE, 0x6c0e, VMX_ALWAYS, "Host IDTR base") \
	FIELD(HOST_SYSENTER_ESP, 0x6c10, VMX_ALWAYS, "Host IA32_SYSENTER_ESP") \
	FIELD(HOST_SYSENTER_EIP, 0x6c12, VMX_ALWAYS, "Host IA32_SYSENTER_EIP") \
	FIELD(HOST_RSP, 0x6c14, VMX_ALWAYS, "Host RSP") \
	FIELD(HOST_RIP, 0x6c16, VMX_ALWAYS, "Host RIP") \
	FIELD(HOST_S_CET, 0x6c18, VMX_IF(EXIT, 28), "Host IA32_S_CET") \
	FIELD(HOST_SSP, 0x6c1a, VMX_IF(EXIT, 28), "Host SSP") \
	FIELD(HOST_SSP_TABLE, 0x6c1c, VMX_IF(EXIT, 28), "Host IA32_INTERRUPT_SSP_TABLE_ADDR")

enum vmcs_encoding {
#define FIELD(name, encoding, condition, text) VMCS_##name = encoding,
	VMCS_FIELD_LIST(FIELD)
#undef FIELD
};

/* First slot and number of slots of each (width, type) pair: encoding bits 14:13 and 11:10. */
static const u16 vmcs_group_first[16] = {0, 5, 5, 15, 22, 61, 62, 75, 79, 97, 105, 129, 130, 138, 144, 167};
static const u16 vmcs_group_count[16] = {5, 0, 10, 7, 39, 1, 13, 4, 18, 8, 24, 1, 8, 6, 23, 15};
#define VMCS_SLOTS 182
/* clang-format on */

static inline unsigned vmcs_group(u32 encoding)
{
	return (encoding >> 13 & 3) << 2 | (encoding >> 10 & 3);
}

/* The slot of a field that is known to exist; folds to a constant for a constant encoding. */
static inline unsigned vmcs_slot(u32 encoding)
{
	return vmcs_group_first[vmcs_group(encoding)] + (encoding >> 1 & 0x1ff);
}

/* The controls whose support decides whether a field exists: word << 5 | bit. */
enum vmx_word { VMX_PIN, VMX_PROC, VMX_PROC2, VMX_EXIT, VMX_ENTRY, VMX_PROC3, VMX_EXIT2, VMX_WORDS };
#define VMX_IF(word, bit) ((u8)(VMX_##word << 5 | (bit)))
#define VMX_ALWAYS        0xff

struct vmcs_field {
	u16 encoding;
	u8 condition;
	const char *name; /* "Guest RIP (0x681e)" */
};
extern const struct vmcs_field vmcs_fields[];
extern const size_t vmcs_field_count;
const struct vmcs_field *vmcs_field_at(u32 encoding); /* NULL: no such field here; bit 0 (high half) is ignored */

#endif
