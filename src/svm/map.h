/*
 * The state map: one row for each field of the VMCB, in order of offset. "Layout of VMCB", tables C-1 and C-2, and what
 * was added since; "VMRUN", "VMLOAD", "VMSAVE", "#VMEXIT". A new field is a member of struct vmcb_page and a row here:
 * from the rows come the field table (fields.c), every load and save, the copies that clean bits keep (state.c), the
 * reference page and the tests.
 *
 *   FIELD    a control: it does not move, whoever obeys it reads it in the image
 *   LIVE     what the control area has of the guest's state, in the processor (c) or in struct svm (s): `member` becomes
 *            `load` where the field is x; the field, which was `was`, becomes `save` where the member is x, unless this
 *            part is VMRUN's alone
 *   TOLD     what #VMEXIT says: the field becomes `value`, from struct svm_told (o), if `told`. Two of them VMRUN reads,
 *            too, to inject an event
 *   GUEST    a register of the guest: `member` of struct cpu, loaded and saved with `part`: it becomes `load` where the
 *            field is x, and the field `save` where the register is x
 *   SWAPPED  a GUEST whose host value VMRUN keeps in `host` of struct svm_host; #VMEXIT makes the register `reload` where
 *            that is x. With part VMRUN it goes to VM_HSAVE_PA, too
 *   SEGMENT  selector, attributes, limit and base of a segment register, by the first digits of their offsets; SWAPPED
 *            where part is VMRUN
 */
#ifndef SVM_MAP_H
#define SVM_MAP_H

/* Clean-bit groups, "VMCB Clean Bits": bit, name, as the reference has it. */
#define VMCB_CLEAN_MAP(GROUP) \
	GROUP(0, I, "intercepts") GROUP(1, IOPM, "IOPM, MSRPM") GROUP(2, ASID, "ASID") GROUP(3, TPR, "TPR") \
	GROUP(4, NP, "NP") GROUP(5, CRX, "CRx") GROUP(6, DRX, "DRx") GROUP(7, DT, "DT") GROUP(8, SEG, "SEG") \
	GROUP(9, CR2, "CR2") GROUP(10, LBR, "LBR") GROUP(11, AVIC, "AVIC") GROUP(12, CET, "CET")

/* Who loads and who saves. The first five are the parts of the guest's state. */
#define VMCB_PART_MAP(PART) \
	PART(VMRUN, "VMRUN", "#VMEXIT") \
	PART(NP, "VMRUN, nested paging", "#VMEXIT, nested paging") \
	PART(SPEC, "VMRUN, virtual SPEC_CTRL", "#VMEXIT, virtual SPEC_CTRL") \
	PART(LBRV, "VMRUN, LBR virtualization", "#VMEXIT, LBR virtualization") \
	PART(VMLOAD, "VMLOAD", "VMSAVE") \
	PART(CONTROL, "VMRUN", "") PART(EXIT, "", "#VMEXIT") PART(CHANGING, "VMRUN", "#VMEXIT") \
	PART(STACK, "VMRUN, LBR stack", "#VMEXIT, LBR stack") \
	PART(LOCKS, "VMRUN, bus lock intercept", "#VMEXIT, bus lock intercept") \
	PART(PML, "VMRUN, page-modification logging", "#VMEXIT, page-modification logging") PART(UNUSED, "", "")

/* The kinds of rows, as the reference has them. */
#define VMCB_KIND_MAP(KIND) \
	KIND(FIELD, "control") KIND(LIVE, "state") KIND(TOLD, "exit") KIND(GUEST, "guest") KIND(SWAPPED, "guest, host")

/* clang-format off */
#define VMCB_MAP(FIELD, LIVE, TOLD, GUEST, SWAPPED, SEGMENT) \
	/*    offset place                      clean  part      name                         member, load, save; told, value */ \
	FIELD(0x000, control.cr_read,             I,     CONTROL,  "CR read intercepts") \
	FIELD(0x002, control.cr_write,            I,     CONTROL,  "CR write intercepts") \
	FIELD(0x004, control.dr_read,             I,     CONTROL,  "DR read intercepts") \
	FIELD(0x006, control.dr_write,            I,     CONTROL,  "DR write intercepts") \
	FIELD(0x008, control.exceptions,          I,     CONTROL,  "exception intercepts") \
	FIELD(0x00c, control.word3,               I,     CONTROL,  "intercepts, word 3") \
	FIELD(0x010, control.word4,               I,     CONTROL,  "intercepts, word 4") \
	FIELD(0x014, control.word5,               I,     CONTROL,  "intercepts, word 5") \
	FIELD(0x03c, control.pause_threshold,     I,     CONTROL,  "PAUSE filter threshold") \
	LIVE( 0x03e, control.pause_count,         I,     CONTROL,  "PAUSE filter count",        s->pause_left, x, was) \
	FIELD(0x040, control.iopm_base_pa,        IOPM,  CONTROL,  "IOPM_BASE_PA") \
	FIELD(0x048, control.msrpm_base_pa,       IOPM,  CONTROL,  "MSRPM_BASE_PA") \
	FIELD(0x050, control.tsc_offset,          I,     CONTROL,  "TSC_OFFSET") \
	FIELD(0x058, control.asid,                ASID,  CONTROL,  "guest ASID") \
	FIELD(0x05c, control.tlb_control,         NEVER, CONTROL,  "TLB_CONTROL") \
	LIVE( 0x060, control.vintr,               TPR,   CHANGING, "virtual interrupt control", s->vintr, x, (was & ~o->vintr) | (x & o->vintr)) \
	LIVE( 0x068, control.int_state,           NEVER, CHANGING, "INTERRUPT_SHADOW",          c->shadow, x & INT_STATE_SHADOW ? SHADOW_STI : 0, (was & ~INT_STATE_SHADOW) | (x ? INT_STATE_SHADOW : 0)) \
	TOLD( 0x070, control.exitcode,            NEVER, EXIT,     "EXITCODE",                  true, o->code) \
	TOLD( 0x078, control.exitinfo1,           NEVER, EXIT,     "EXITINFO1",                 true, o->info1) \
	TOLD( 0x080, control.exitinfo2,           NEVER, EXIT,     "EXITINFO2",                 true, o->info2) \
	TOLD( 0x088, control.exitintinfo,         NEVER, EXIT,     "EXITINTINFO",               true, o->intinfo) \
	FIELD(0x090, control.nested_ctl,          NP,    CONTROL,  "nested paging control") \
	FIELD(0x098, control.avic_bar,            AVIC,  CONTROL,  "AVIC APIC_BAR") \
	FIELD(0x0a0, control.ghcb_pa,             NEVER, UNUSED,   "GHCB guest-physical address") \
	TOLD( 0x0a8, control.eventinj,            NEVER, CHANGING, "EVENTINJ",                  true, 0) \
	FIELD(0x0b0, control.n_cr3,               NP,    CONTROL,  "N_CR3") \
	FIELD(0x0b8, control.virt_ext,            NEVER, CONTROL,  "LBR and virtual VMLOAD/VMSAVE control") \
	FIELD(0x0c0, control.clean,               NEVER, CONTROL,  "VMCB clean bits") \
	TOLD( 0x0c8, control.nrip,                NEVER, CHANGING, "nRIP",                      has(c, FEAT_NRIP_SAVE), o->nrip) \
	TOLD( 0x0d0, control.bytes_fetched,       NEVER, EXIT,     "number of bytes fetched",   has(c, FEAT_DECODEASSISTS), o->fetched) \
	FIELD(0x0e0, control.avic_backing_page,   AVIC,  CONTROL,  "AVIC backing page") \
	FIELD(0x0f0, control.avic_logical_table,  AVIC,  CONTROL,  "AVIC logical table") \
	FIELD(0x0f8, control.avic_physical_table, AVIC,  CONTROL,  "AVIC physical table") \
	LIVE( 0x120, bus_lock_counter,            NEVER, LOCKS,    "bus lock counter",          s->bus_locks, x, x) \
	FIELD(0x1c8, pml_base,                    NEVER, PML,      "PML_BASE") \
	LIVE( 0x1d0, pml_index,                   NEVER, PML,      "PML_INDEX",                 s->pml_index, x, x) \
	/*      offset register        clean  part    name            member          load                                save, host, reload */ \
	SEGMENT(0x40,  es,             SEG,   VMRUN,  "ES",           SEG_ES) \
	SEGMENT(0x41,  cs,             SEG,   VMRUN,  "CS",           SEG_CS) \
	SEGMENT(0x42,  ss,             SEG,   VMRUN,  "SS",           SEG_SS) \
	SEGMENT(0x43,  ds,             SEG,   VMRUN,  "DS",           SEG_DS) \
	SEGMENT(0x44,  fs,             NEVER, VMLOAD, "FS",           SEG_FS) \
	SEGMENT(0x45,  gs,             NEVER, VMLOAD, "GS",           SEG_GS) \
	SWAPPED(0x464, gdtr.limit,     DT,    VMRUN,  "GDTR limit",   gdtr.limit,     (u16)x,                             x, gdtr_limit, x) \
	SWAPPED(0x468, gdtr.base,      DT,    VMRUN,  "GDTR base",    gdtr.base,      sign_extend(x, la_bits),            x, gdtr_base, x) \
	SEGMENT(0x47,  ldtr,           NEVER, VMLOAD, "LDTR",         SEG_LDTR) \
	SWAPPED(0x484, idtr.limit,     DT,    VMRUN,  "IDTR limit",   idtr.limit,     (u16)x,                             x, idtr_limit, x) \
	SWAPPED(0x488, idtr.base,      DT,    VMRUN,  "IDTR base",    idtr.base,      sign_extend(x, la_bits),            x, idtr_base, x) \
	SEGMENT(0x49,  tr,             NEVER, VMLOAD, "TR",           SEG_TR) \
	GUEST(  0x4cb, cpl,            SEG,   VMRUN,  "CPL",          cpl,            guest_cpl(save, x),                 x) \
	SWAPPED(0x4d0, efer,           CRX,   VMRUN,  "EFER",         efer,           lma ? x | EFER_LMA : x & ~EFER_LMA, x, efer, x) \
	SWAPPED(0x548, cr4,            CRX,   VMRUN,  "CR4",          cr4,            x,                                  x, cr4, x) \
	SWAPPED(0x550, cr3,            CRX,   VMRUN,  "CR3",          cr3,            x,                                  x, cr3, x) \
	SWAPPED(0x558, cr0,            CRX,   VMRUN,  "CR0",          cr0,            x | CR0_ET,                         x, cr0, x | CR0_PE) \
	GUEST(  0x560, dr7,            DRX,   VMRUN,  "DR7",          dr7,            (x & 0xffff2fff) | DR7_RESET,       x) \
	GUEST(  0x568, dr6,            DRX,   VMRUN,  "DR6",          dr6,            (x & 0xe00f) | DR6_RESET,           x) \
	SWAPPED(0x570, rflags,         NEVER, VMRUN,  "RFLAGS",       rflags,         guest_flags(c, x, lma),             x, rflags, host_flags(c, x)) \
	SWAPPED(0x578, rip,            NEVER, VMRUN,  "RIP",          r[REG_RIP],     code64 ? x : (u32)x,                x, rip, x) \
	SWAPPED(0x5d8, rsp,            NEVER, VMRUN,  "RSP",          r[REG_RSP],     x,                                  x, rsp, x) \
	SWAPPED(0x5f8, rax,            NEVER, VMRUN,  "RAX",          r[REG_RAX],     x,                                  x, rax, x) \
	GUEST(  0x600, star,           NEVER, VMLOAD, "STAR",         star,           x,                                  x) \
	GUEST(  0x608, lstar,          NEVER, VMLOAD, "LSTAR",        lstar,          sign_extend(x, la_bits),            x) \
	GUEST(  0x610, cstar,          NEVER, VMLOAD, "CSTAR",        cstar,          sign_extend(x, la_bits),            x) \
	GUEST(  0x618, sfmask,         NEVER, VMLOAD, "SFMASK",       sfmask,         (u32)x,                             x) \
	GUEST(  0x620, kernel_gs_base, NEVER, VMLOAD, "KernelGsBase", kernel_gs_base, sign_extend(x, la_bits),            x) \
	GUEST(  0x628, sysenter_cs,    NEVER, VMLOAD, "SYSENTER_CS",  sysenter_cs,    x,                                  x) \
	GUEST(  0x630, sysenter_esp,   NEVER, VMLOAD, "SYSENTER_ESP", sysenter_esp,   sign_extend(x, la_bits),            x) \
	GUEST(  0x638, sysenter_eip,   NEVER, VMLOAD, "SYSENTER_EIP", sysenter_eip,   sign_extend(x, la_bits),            x) \
	GUEST(  0x640, cr2,            CR2,   VMRUN,  "CR2",          cr2,            x,                                  x) \
	SWAPPED(0x668, g_pat,          NP,    NP,     "G_PAT",        pat,            x,                                  x, pat, x) \
	SWAPPED(0x670, dbgctl,         LBR,   LBRV,   "DBGCTL",       debugctl,       x & DBGCTL_DEFINED,                 x & ~DEBUGCTL_LBRSE, lbr[0], x) \
	SWAPPED(0x678, br_from,        LBR,   LBRV,   "BR_FROM",      lbr_from,       x,                                  x, lbr[1], x) \
	SWAPPED(0x680, br_to,          LBR,   LBRV,   "BR_TO",        lbr_to,         x,                                  x, lbr[2], x) \
	SWAPPED(0x688, lastexcpfrom,   LBR,   LBRV,   "LASTEXCPFROM", lex_from,       x,                                  x, lbr[3], x) \
	SWAPPED(0x690, lastexcpto,     LBR,   LBRV,   "LASTEXCPTO",   lex_to,         x,                                  x, lbr[4], x) \
	GUEST(  0x698, dbgextnctl,     NEVER, STACK,  "DBGEXTNCTL",   debugctl,       c->debugctl | (x & DBGEXTN_LBRSE ? DEBUGCTL_LBRSE : 0), x & DEBUGCTL_LBRSE ? DBGEXTN_LBRSE : 0) \
	SWAPPED(0x6e0, spec_ctrl,      NEVER, SPEC,   "SPEC_CTRL",    spec_ctrl,      x,                                  x, spec_ctrl, x) \
	VMCB_STACK_PAIR(GUEST, 0xa7, 0) VMCB_STACK_PAIR(GUEST, 0xa8, 1) VMCB_STACK_PAIR(GUEST, 0xa9, 2) VMCB_STACK_PAIR(GUEST, 0xaa, 3) \
	VMCB_STACK_PAIR(GUEST, 0xab, 4) VMCB_STACK_PAIR(GUEST, 0xac, 5) VMCB_STACK_PAIR(GUEST, 0xad, 6) VMCB_STACK_PAIR(GUEST, 0xae, 7) \
	VMCB_STACK_PAIR(GUEST, 0xaf, 8) VMCB_STACK_PAIR(GUEST, 0xb0, 9) VMCB_STACK_PAIR(GUEST, 0xb1, 10) VMCB_STACK_PAIR(GUEST, 0xb2, 11) \
	VMCB_STACK_PAIR(GUEST, 0xb3, 12) VMCB_STACK_PAIR(GUEST, 0xb4, 13) VMCB_STACK_PAIR(GUEST, 0xb5, 14) VMCB_STACK_PAIR(GUEST, 0xb6, 15) \
	GUEST(  0xb70, lbr_select,     NEVER, STACK,  "LBR_SELECT",   lbr_select,     x & 0x1ff,                          x)
/* LBR_PLACE: of the record that has so many newer ones. */
#define VMCB_STACK_PAIR(GUEST, digits, n) \
	GUEST(digits##0, lbr_stack[2 * n],     NEVER, STACK, "LBR_STACK_FROM" #n, lbr_stack_from[LBR_PLACE(n)], x, x) \
	GUEST(digits##8, lbr_stack[2 * n + 1], NEVER, STACK, "LBR_STACK_TO" #n,   lbr_stack_to[LBR_PLACE(n)],   x, x)
/* clang-format on */

#endif
