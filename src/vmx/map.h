/*
 * The state map: one row for each field of the VMCS, in order of encoding, with the control whose support brings the
 * field into being. "Field Encoding in VMCS"; "Loading Guest State", "Saving Guest State", "Loading Host State". A new
 * field is a row here and nothing else: from the rows come the encodings, the field table (fields.c), the loads and saves
 * of VM entry and VM exit (state.c), the reference page and the tests. Which checks read a field, the rows of the checks
 * say; width and type are in the encoding.
 *
 *   FIELD  a control, or state that stays in the VMCS: it does not move, whoever obeys or changes it does so there
 *   TOLD   what VM exit says of itself: the field, which was `was`, becomes `value` if `told`
 *   GUEST  a register of the guest: `member` of struct cpu. VM entry makes it `load` where the field is x, if `loaded`;
 *          VM exit makes the field `save` where the register is x, if `saved`
 *   HOST   a register of the host: VM exit makes it `load` where the field is x, if `loaded`
 *
 * In scope of these are c, v (struct vmx), the controls `entry` and `exit`; the PDPTEs that were checked, the exit
 * request `why`, and host64, "host address-space size". In scope of TOLD is what record() of exit.c has.
 */
#ifndef VMX_MAP_H
#define VMX_MAP_H

/* clang-format off */
#define VMCS_MAP(FIELD, TOLD, GUEST, HOST) \
	FIELD(VPID,                   0x0000, VMX_IF(PROC2, 5),  "VPID") \
	FIELD(POSTED_INT_VECTOR,      0x0002, VMX_IF(PIN, 7),    "Posted-interrupt notification vector") \
	FIELD(EPTP_INDEX,             0x0004, VMX_IF(PROC2, 18), "EPTP index") \
	FIELD(HLAT_PREFIX_SIZE,       0x0006, VMX_IF(PROC3, 1),  "HLAT prefix size") \
	FIELD(LAST_PID_POINTER_INDEX, 0x0008, VMX_IF(PROC3, 4),  "Last PID-pointer index") \
	GUEST(GUEST_ES_SEL,           0x0800, VMX_ALWAYS,        "Guest ES selector",               seg[SEG_ES].sel,    true, x, true, x) \
	GUEST(GUEST_CS_SEL,           0x0802, VMX_ALWAYS,        "Guest CS selector",               seg[SEG_CS].sel,    true, x, true, x) \
	GUEST(GUEST_SS_SEL,           0x0804, VMX_ALWAYS,        "Guest SS selector",               seg[SEG_SS].sel,    true, x, true, x) \
	GUEST(GUEST_DS_SEL,           0x0806, VMX_ALWAYS,        "Guest DS selector",               seg[SEG_DS].sel,    true, x, true, x) \
	GUEST(GUEST_FS_SEL,           0x0808, VMX_ALWAYS,        "Guest FS selector",               seg[SEG_FS].sel,    true, x, true, x) \
	GUEST(GUEST_GS_SEL,           0x080a, VMX_ALWAYS,        "Guest GS selector",               seg[SEG_GS].sel,    true, x, true, x) \
	GUEST(GUEST_LDTR_SEL,         0x080c, VMX_ALWAYS,        "Guest LDTR selector",             seg[SEG_LDTR].sel,  true, x, true, x) \
	GUEST(GUEST_TR_SEL,           0x080e, VMX_ALWAYS,        "Guest TR selector",               seg[SEG_TR].sel,    true, x, true, x) \
	FIELD(GUEST_INT_STATUS,       0x0810, VMX_IF(PROC2, 9),  "Guest interrupt status") \
	FIELD(PML_INDEX,              0x0812, VMX_IF(PROC2, 17), "PML index") \
	HOST( HOST_ES_SEL,            0x0c00, VMX_ALWAYS,        "Host ES selector",                seg[SEG_ES].sel,    true, x) \
	HOST( HOST_CS_SEL,            0x0c02, VMX_ALWAYS,        "Host CS selector",                seg[SEG_CS].sel,    true, x) \
	HOST( HOST_SS_SEL,            0x0c04, VMX_ALWAYS,        "Host SS selector",                seg[SEG_SS].sel,    true, x) \
	HOST( HOST_DS_SEL,            0x0c06, VMX_ALWAYS,        "Host DS selector",                seg[SEG_DS].sel,    true, x) \
	HOST( HOST_FS_SEL,            0x0c08, VMX_ALWAYS,        "Host FS selector",                seg[SEG_FS].sel,    true, x) \
	HOST( HOST_GS_SEL,            0x0c0a, VMX_ALWAYS,        "Host GS selector",                seg[SEG_GS].sel,    true, x) \
	HOST( HOST_TR_SEL,            0x0c0c, VMX_ALWAYS,        "Host TR selector",                seg[SEG_TR].sel,    true, x) \
	FIELD(IO_BITMAP_A,            0x2000, VMX_ALWAYS,        "Address of I/O bitmap A") \
	FIELD(IO_BITMAP_B,            0x2002, VMX_ALWAYS,        "Address of I/O bitmap B") \
	FIELD(MSR_BITMAP,             0x2004, VMX_IF(PROC, 28),  "Address of MSR bitmaps") \
	FIELD(EXIT_MSR_STORE_ADDR,    0x2006, VMX_ALWAYS,        "VM-exit MSR-store address") \
	FIELD(EXIT_MSR_LOAD_ADDR,     0x2008, VMX_ALWAYS,        "VM-exit MSR-load address") \
	FIELD(ENTRY_MSR_LOAD_ADDR,    0x200a, VMX_ALWAYS,        "VM-entry MSR-load address") \
	FIELD(EXECUTIVE_VMCS,         0x200c, VMX_LATER,         "Executive-VMCS pointer") \
	FIELD(PML_ADDR,               0x200e, VMX_IF(PROC2, 17), "PML address") \
	FIELD(TSC_OFFSET,             0x2010, VMX_ALWAYS,        "TSC offset") \
	FIELD(VIRTUAL_APIC_ADDR,      0x2012, VMX_IF(PROC, 21),  "Virtual-APIC address") \
	FIELD(APIC_ACCESS_ADDR,       0x2014, VMX_IF(PROC2, 0),  "APIC-access address") \
	FIELD(PI_DESCRIPTOR,          0x2016, VMX_IF(PIN, 7),    "Posted-interrupt descriptor address") \
	FIELD(VMFUNC_CONTROLS,        0x2018, VMX_IF(PROC2, 13), "VM-function controls") \
	FIELD(EPTP,                   0x201a, VMX_IF(PROC2, 1),  "EPT pointer") \
	FIELD(EOI_EXIT0,              0x201c, VMX_IF(PROC2, 9),  "EOI-exit bitmap 0") \
	FIELD(EOI_EXIT1,              0x201e, VMX_IF(PROC2, 9),  "EOI-exit bitmap 1") \
	FIELD(EOI_EXIT2,              0x2020, VMX_IF(PROC2, 9),  "EOI-exit bitmap 2") \
	FIELD(EOI_EXIT3,              0x2022, VMX_IF(PROC2, 9),  "EOI-exit bitmap 3") \
	FIELD(EPTP_LIST,              0x2024, VMX_IF(PROC2, 13), "EPTP-list address") \
	FIELD(VMREAD_BITMAP,          0x2026, VMX_IF(PROC2, 14), "VMREAD-bitmap address") \
	FIELD(VMWRITE_BITMAP,         0x2028, VMX_IF(PROC2, 14), "VMWRITE-bitmap address") \
	FIELD(VE_INFO_ADDR,           0x202a, VMX_IF(PROC2, 18), "Virtualization-exception information address") \
	FIELD(XSS_EXITING,            0x202c, VMX_IF(PROC2, 20), "XSS-exiting bitmap") \
	FIELD(ENCLS_EXITING,          0x202e, VMX_IF(PROC2, 15), "ENCLS-exiting bitmap") \
	FIELD(SPPTP,                  0x2030, VMX_IF(PROC2, 23), "Sub-page-permission-table pointer") \
	FIELD(TSC_MULTIPLIER,         0x2032, VMX_IF(PROC2, 25), "TSC multiplier") \
	FIELD(PROC3_CONTROLS,         0x2034, VMX_IF(PROC, 17),  "Tertiary processor-based controls") \
	FIELD(HLATP,                  0x2040, VMX_IF(PROC3, 1),  "HLAT pointer") \
	FIELD(PID_POINTER_TABLE,      0x2042, VMX_IF(PROC3, 4),  "PID-pointer table address") \
	FIELD(EXIT2_CONTROLS,         0x2044, VMX_IF(EXIT, 31),  "Secondary VM-exit controls") \
	FIELD(SPEC_CTRL_MASK,         0x204a, VMX_IF(PROC3, 7),  "IA32_SPEC_CTRL mask") \
	FIELD(SPEC_CTRL_SHADOW,       0x204c, VMX_IF(PROC3, 7),  "IA32_SPEC_CTRL shadow") \
	TOLD( GUEST_PHYSICAL,         0x2400, VMX_IF(PROC2, 1),  "Guest-physical address",            true, x->gpa) \
	FIELD(LINK_POINTER,           0x2800, VMX_LATER,         "VMCS link pointer") \
	GUEST(GUEST_DEBUGCTL,         0x2802, VMX_LATER,         "Guest IA32_DEBUGCTL",             debugctl,           entry & ENTRY_LOAD_DEBUG, x, exit & EXIT_SAVE_DEBUG, x) \
	GUEST(GUEST_PAT,              0x2804, VMX_IF(ENTRY, 14), "Guest IA32_PAT",                  pat,                entry & ENTRY_LOAD_PAT, x, exit & EXIT_SAVE_PAT, x) \
	GUEST(GUEST_EFER,             0x2806, VMX_IF(ENTRY, 15), "Guest IA32_EFER",                 efer,               true, guest_efer(c, v, x), exit & EXIT_SAVE_EFER, x) \
	GUEST(GUEST_PERF_GLOBAL_CTRL, 0x2808, VMX_IF(ENTRY, 13), "Guest IA32_PERF_GLOBAL_CTRL",     perf_global_ctrl,   entry & ENTRY_LOAD_PERF, perf_written(c, x), false, x) \
	GUEST(GUEST_PDPTE0,           0x280a, VMX_IF(PROC2, 1),  "Guest PDPTE0",                    pdpte[0],           true, pdpte[0], pae_ept, x) \
	GUEST(GUEST_PDPTE1,           0x280c, VMX_IF(PROC2, 1),  "Guest PDPTE1",                    pdpte[1],           true, pdpte[1], pae_ept, x) \
	GUEST(GUEST_PDPTE2,           0x280e, VMX_IF(PROC2, 1),  "Guest PDPTE2",                    pdpte[2],           true, pdpte[2], pae_ept, x) \
	GUEST(GUEST_PDPTE3,           0x2810, VMX_IF(PROC2, 1),  "Guest PDPTE3",                    pdpte[3],           true, pdpte[3], pae_ept, x) \
	FIELD(GUEST_BNDCFGS,          0x2812, VMX_IF(ENTRY, 16), "Guest IA32_BNDCFGS") \
	FIELD(GUEST_RTIT_CTL,         0x2814, VMX_IF(ENTRY, 18), "Guest IA32_RTIT_CTL") \
	FIELD(GUEST_LBR_CTL,          0x2816, VMX_IF(ENTRY, 21), "Guest IA32_LBR_CTL") \
	FIELD(GUEST_PKRS,             0x2818, VMX_IF(ENTRY, 22), "Guest IA32_PKRS") \
	HOST( HOST_PAT,               0x2c00, VMX_IF(EXIT, 19),  "Host IA32_PAT",                   pat,                exit & EXIT_LOAD_PAT, x) \
	HOST( HOST_EFER,              0x2c02, VMX_IF(EXIT, 21),  "Host IA32_EFER",                  efer,               true, exit & EXIT_LOAD_EFER ? x : (c->efer & ~EFER_MODE) | (host64 ? EFER_MODE : 0)) \
	HOST( HOST_PERF_GLOBAL_CTRL,  0x2c04, VMX_IF(EXIT, 12),  "Host IA32_PERF_GLOBAL_CTRL",      perf_global_ctrl,   exit & EXIT_LOAD_PERF, perf_written(c, x)) \
	FIELD(HOST_PKRS,              0x2c06, VMX_IF(EXIT, 29),  "Host IA32_PKRS") \
	FIELD(PIN_CONTROLS,           0x4000, VMX_ALWAYS,        "Pin-based controls") \
	FIELD(PROC_CONTROLS,          0x4002, VMX_ALWAYS,        "Primary processor-based controls") \
	FIELD(EXCEPTION_BITMAP,       0x4004, VMX_ALWAYS,        "Exception bitmap") \
	FIELD(PF_MASK,                0x4006, VMX_ALWAYS,        "Page-fault error-code mask") \
	FIELD(PF_MATCH,               0x4008, VMX_ALWAYS,        "Page-fault error-code match") \
	FIELD(CR3_TARGET_COUNT,       0x400a, VMX_ALWAYS,        "CR3-target count") \
	FIELD(EXIT_CONTROLS,          0x400c, VMX_ALWAYS,        "VM-exit controls") \
	FIELD(EXIT_MSR_STORE_COUNT,   0x400e, VMX_ALWAYS,        "VM-exit MSR-store count") \
	FIELD(EXIT_MSR_LOAD_COUNT,    0x4010, VMX_ALWAYS,        "VM-exit MSR-load count") \
	FIELD(ENTRY_CONTROLS,         0x4012, VMX_ALWAYS,        "VM-entry controls") \
	FIELD(ENTRY_MSR_LOAD_COUNT,   0x4014, VMX_ALWAYS,        "VM-entry MSR-load count") \
	TOLD( ENTRY_INTR_INFO,        0x4016, VMX_ALWAYS,        "VM-entry interruption information", true, was & ~BIT(31)) \
	FIELD(ENTRY_ERROR_CODE,       0x4018, VMX_ALWAYS,        "VM-entry exception error code") \
	FIELD(ENTRY_INSN_LEN,         0x401a, VMX_LATER,         "VM-entry instruction length") \
	FIELD(TPR_THRESHOLD,          0x401c, VMX_IF(PROC, 21),  "TPR threshold") \
	FIELD(PROC2_CONTROLS,         0x401e, VMX_IF(PROC, 31),  "Secondary processor-based controls") \
	FIELD(PLE_GAP,                0x4020, VMX_IF(PROC2, 10), "PLE_Gap") \
	FIELD(PLE_WINDOW,             0x4022, VMX_IF(PROC2, 10), "PLE_Window") \
	FIELD(INSN_ERROR,             0x4400, VMX_LATER,         "VM-instruction error") \
	TOLD( EXIT_REASON,            0x4402, VMX_ALWAYS,        "Exit reason",                       true, reason) \
	TOLD( EXIT_INTR_INFO,         0x4404, VMX_ALWAYS,        "VM-exit interruption information",  true, event_info(c, &e)) \
	TOLD( EXIT_INTR_ERROR,        0x4406, VMX_ALWAYS,        "VM-exit interruption error code",   true, e.error) \
	TOLD( IDT_VECTORING,          0x4408, VMX_ALWAYS,        "IDT-vectoring information",         true, event_info(c, &original)) \
	TOLD( IDT_VECTORING_ERROR,    0x440a, VMX_ALWAYS,        "IDT-vectoring error code",          true, original.error) \
	TOLD( EXIT_INSN_LEN,          0x440c, VMX_ALWAYS,        "VM-exit instruction length",        true, insn_length(x, row)) \
	TOLD( EXIT_INSN_INFO,         0x440e, VMX_LATER,         "VM-exit instruction information",   true, insn_information(c, x)) \
	GUEST(GUEST_ES_LIMIT,         0x4800, VMX_ALWAYS,        "Guest ES limit",                  seg[SEG_ES].limit,  true, x, true, x) \
	GUEST(GUEST_CS_LIMIT,         0x4802, VMX_ALWAYS,        "Guest CS limit",                  seg[SEG_CS].limit,  true, x, true, x) \
	GUEST(GUEST_SS_LIMIT,         0x4804, VMX_ALWAYS,        "Guest SS limit",                  seg[SEG_SS].limit,  true, x, true, x) \
	GUEST(GUEST_DS_LIMIT,         0x4806, VMX_ALWAYS,        "Guest DS limit",                  seg[SEG_DS].limit,  true, x, true, x) \
	GUEST(GUEST_FS_LIMIT,         0x4808, VMX_ALWAYS,        "Guest FS limit",                  seg[SEG_FS].limit,  true, x, true, x) \
	GUEST(GUEST_GS_LIMIT,         0x480a, VMX_ALWAYS,        "Guest GS limit",                  seg[SEG_GS].limit,  true, x, true, x) \
	GUEST(GUEST_LDTR_LIMIT,       0x480c, VMX_ALWAYS,        "Guest LDTR limit",                seg[SEG_LDTR].limit, true, x, true, x) \
	GUEST(GUEST_TR_LIMIT,         0x480e, VMX_ALWAYS,        "Guest TR limit",                  seg[SEG_TR].limit,  true, x, true, x) \
	GUEST(GUEST_GDTR_LIMIT,       0x4810, VMX_ALWAYS,        "Guest GDTR limit",                gdtr.limit,         true, x, true, x) \
	GUEST(GUEST_IDTR_LIMIT,       0x4812, VMX_ALWAYS,        "Guest IDTR limit",                idtr.limit,         true, x, true, x) \
	GUEST(GUEST_ES_AR,            0x4814, VMX_ALWAYS,        "Guest ES access rights",          seg[SEG_ES].ar,     true, x & AR_IN_VMCS, true, x & AR_IN_VMCS) \
	GUEST(GUEST_CS_AR,            0x4816, VMX_ALWAYS,        "Guest CS access rights",          seg[SEG_CS].ar,     true, x & AR_IN_VMCS, true, x & AR_IN_VMCS) \
	GUEST(GUEST_SS_AR,            0x4818, VMX_ALWAYS,        "Guest SS access rights",          seg[SEG_SS].ar,     true, x & AR_IN_VMCS, true, x & AR_IN_VMCS) \
	GUEST(GUEST_DS_AR,            0x481a, VMX_ALWAYS,        "Guest DS access rights",          seg[SEG_DS].ar,     true, x & AR_IN_VMCS, true, x & AR_IN_VMCS) \
	GUEST(GUEST_FS_AR,            0x481c, VMX_ALWAYS,        "Guest FS access rights",          seg[SEG_FS].ar,     true, x & AR_IN_VMCS, true, x & AR_IN_VMCS) \
	GUEST(GUEST_GS_AR,            0x481e, VMX_ALWAYS,        "Guest GS access rights",          seg[SEG_GS].ar,     true, x & AR_IN_VMCS, true, x & AR_IN_VMCS) \
	GUEST(GUEST_LDTR_AR,          0x4820, VMX_ALWAYS,        "Guest LDTR access rights",        seg[SEG_LDTR].ar,   true, x & AR_IN_VMCS, true, x & AR_IN_VMCS) \
	GUEST(GUEST_TR_AR,            0x4822, VMX_ALWAYS,        "Guest TR access rights",          seg[SEG_TR].ar,     true, x & AR_IN_VMCS, true, x & AR_IN_VMCS) \
	GUEST(GUEST_INTERRUPTIBILITY, 0x4824, VMX_ALWAYS,        "Guest interruptibility state",    shadow,             true, guest_blocking(c, x), true, saved_blocking(c)) \
	GUEST(GUEST_ACTIVITY,         0x4826, VMX_LATER,         "Guest activity state",            activity,           true, guest_activity(x), true, saved_activity(why)) \
	FIELD(GUEST_SMBASE,           0x4828, VMX_LATER,         "Guest SMBASE") \
	GUEST(GUEST_SYSENTER_CS,      0x482a, VMX_LATER,         "Guest IA32_SYSENTER_CS",          sysenter_cs,        true, x, true, x) \
	FIELD(PREEMPTION_TIMER,       0x482e, VMX_IF(PIN, 6),    "VMX-preemption timer value") \
	HOST( HOST_SYSENTER_CS,       0x4c00, VMX_LATER,         "Host IA32_SYSENTER_CS",           sysenter_cs,        true, x) \
	FIELD(CR0_MASK,               0x6000, VMX_ALWAYS,        "CR0 guest/host mask") \
	FIELD(CR4_MASK,               0x6002, VMX_ALWAYS,        "CR4 guest/host mask") \
	FIELD(CR0_SHADOW,             0x6004, VMX_ALWAYS,        "CR0 read shadow") \
	FIELD(CR4_SHADOW,             0x6006, VMX_ALWAYS,        "CR4 read shadow") \
	FIELD(CR3_TARGET0,            0x6008, VMX_ALWAYS,        "CR3-target value 0") \
	FIELD(CR3_TARGET1,            0x600a, VMX_ALWAYS,        "CR3-target value 1") \
	FIELD(CR3_TARGET2,            0x600c, VMX_ALWAYS,        "CR3-target value 2") \
	FIELD(CR3_TARGET3,            0x600e, VMX_ALWAYS,        "CR3-target value 3") \
	TOLD( EXIT_QUALIFICATION,     0x6400, VMX_ALWAYS,        "Exit qualification",                true, mode64(c) ? x->q[0] : (u32)x->q[0]) \
	TOLD( IO_RCX,                 0x6402, VMX_LATER,         "I/O RCX",                           io_smi || io_string, io_smi ? c->smi_io.rcx : c->r[REG_RCX]) \
	TOLD( IO_RSI,                 0x6404, VMX_LATER,         "I/O RSI",                           io_smi || io_string, io_smi ? c->smi_io.rsi : c->r[REG_RSI]) \
	TOLD( IO_RDI,                 0x6406, VMX_LATER,         "I/O RDI",                           io_smi || io_string, io_smi ? c->smi_io.rdi : c->r[REG_RDI]) \
	TOLD( IO_RIP,                 0x6408, VMX_LATER,         "I/O RIP",                           io_smi || io_string, io_smi ? c->smi_io.rip : c->r[REG_RIP]) \
	TOLD( GUEST_LINEAR,           0x640a, VMX_ALWAYS,        "Guest-linear address",              linear, x->has_linear ? x->linear : 0) \
	GUEST(GUEST_CR0,              0x6800, VMX_ALWAYS,        "Guest CR0",                       cr0,                true, (x & ~CR0_KEPT) | (c->cr0 & CR0_KEPT), true, x) \
	GUEST(GUEST_CR3,              0x6802, VMX_ALWAYS,        "Guest CR3",                       cr3,                true, x, true, x) \
	GUEST(GUEST_CR4,              0x6804, VMX_ALWAYS,        "Guest CR4",                       cr4,                true, x, true, x) \
	GUEST(GUEST_ES_BASE,          0x6806, VMX_ALWAYS,        "Guest ES base",                   seg[SEG_ES].base,   true, x, true, x) \
	GUEST(GUEST_CS_BASE,          0x6808, VMX_ALWAYS,        "Guest CS base",                   seg[SEG_CS].base,   true, x, true, x) \
	GUEST(GUEST_SS_BASE,          0x680a, VMX_ALWAYS,        "Guest SS base",                   seg[SEG_SS].base,   true, x, true, x) \
	GUEST(GUEST_DS_BASE,          0x680c, VMX_ALWAYS,        "Guest DS base",                   seg[SEG_DS].base,   true, x, true, x) \
	GUEST(GUEST_FS_BASE,          0x680e, VMX_ALWAYS,        "Guest FS base",                   seg[SEG_FS].base,   true, x, true, x) \
	GUEST(GUEST_GS_BASE,          0x6810, VMX_ALWAYS,        "Guest GS base",                   seg[SEG_GS].base,   true, x, true, x) \
	GUEST(GUEST_LDTR_BASE,        0x6812, VMX_ALWAYS,        "Guest LDTR base",                 seg[SEG_LDTR].base, true, x, true, x) \
	GUEST(GUEST_TR_BASE,          0x6814, VMX_ALWAYS,        "Guest TR base",                   seg[SEG_TR].base,   true, x, true, x) \
	GUEST(GUEST_GDTR_BASE,        0x6816, VMX_ALWAYS,        "Guest GDTR base",                 gdtr.base,          true, x, true, x) \
	GUEST(GUEST_IDTR_BASE,        0x6818, VMX_ALWAYS,        "Guest IDTR base",                 idtr.base,          true, x, true, x) \
	GUEST(GUEST_DR7,              0x681a, VMX_ALWAYS,        "Guest DR7",                       dr7,                entry & ENTRY_LOAD_DEBUG, (x & 0xffff2fff) | DR7_RESET, exit & EXIT_SAVE_DEBUG, x) \
	GUEST(GUEST_RSP,              0x681c, VMX_ALWAYS,        "Guest RSP",                       r[REG_RSP],         true, x, true, x) \
	GUEST(GUEST_RIP,              0x681e, VMX_ALWAYS,        "Guest RIP",                       r[REG_RIP],         true, x, true, x) \
	GUEST(GUEST_RFLAGS,           0x6820, VMX_ALWAYS,        "Guest RFLAGS",                    rflags,             true, exact_flags(c, x), true, saved_flags(c, why)) \
	GUEST(GUEST_PENDING_DEBUG,    0x6822, VMX_LATER,         "Guest pending debug exceptions",  pending_db,         true, 0, true, saved_pending_debug(c, why)) \
	GUEST(GUEST_SYSENTER_ESP,     0x6824, VMX_LATER,         "Guest IA32_SYSENTER_ESP",         sysenter_esp,       true, x, true, x) \
	GUEST(GUEST_SYSENTER_EIP,     0x6826, VMX_LATER,         "Guest IA32_SYSENTER_EIP",         sysenter_eip,       true, x, true, x) \
	FIELD(GUEST_S_CET,            0x6828, VMX_IF(ENTRY, 20), "Guest IA32_S_CET") \
	FIELD(GUEST_SSP,              0x682a, VMX_IF(ENTRY, 20), "Guest SSP") \
	FIELD(GUEST_SSP_TABLE,        0x682c, VMX_IF(ENTRY, 20), "Guest IA32_INTERRUPT_SSP_TABLE_ADDR") \
	HOST( HOST_CR0,               0x6c00, VMX_ALWAYS,        "Host CR0",                        cr0,                true, (x & ~CR0_KEPT) | (c->cr0 & CR0_KEPT)) \
	HOST( HOST_CR3,               0x6c02, VMX_ALWAYS,        "Host CR3",                        cr3,                true, x) \
	HOST( HOST_CR4,               0x6c04, VMX_ALWAYS,        "Host CR4",                        cr4,                true, host64 ? x | CR4_PAE : x & ~CR4_PCIDE) \
	HOST( HOST_FS_BASE,           0x6c06, VMX_ALWAYS,        "Host FS base",                    seg[SEG_FS].base,   true, x) \
	HOST( HOST_GS_BASE,           0x6c08, VMX_ALWAYS,        "Host GS base",                    seg[SEG_GS].base,   true, x) \
	HOST( HOST_TR_BASE,           0x6c0a, VMX_ALWAYS,        "Host TR base",                    seg[SEG_TR].base,   true, x) \
	HOST( HOST_GDTR_BASE,         0x6c0c, VMX_ALWAYS,        "Host GDTR base",                  gdtr.base,          true, x) \
	HOST( HOST_IDTR_BASE,         0x6c0e, VMX_ALWAYS,        "Host IDTR base",                  idtr.base,          true, x) \
	HOST( HOST_SYSENTER_ESP,      0x6c10, VMX_LATER,         "Host IA32_SYSENTER_ESP",          sysenter_esp,       true, x) \
	HOST( HOST_SYSENTER_EIP,      0x6c12, VMX_LATER,         "Host IA32_SYSENTER_EIP",          sysenter_eip,       true, x) \
	HOST( HOST_RSP,               0x6c14, VMX_ALWAYS,        "Host RSP",                        r[REG_RSP],         true, x) \
	HOST( HOST_RIP,               0x6c16, VMX_ALWAYS,        "Host RIP",                        r[REG_RIP],         true, x) \
	FIELD(HOST_S_CET,             0x6c18, VMX_IF(EXIT, 28),  "Host IA32_S_CET") \
	FIELD(HOST_SSP,               0x6c1a, VMX_IF(EXIT, 28),  "Host SSP") \
	FIELD(HOST_SSP_TABLE,         0x6c1c, VMX_IF(EXIT, 28),  "Host IA32_INTERRUPT_SSP_TABLE_ADDR")
/* clang-format on */

#endif
