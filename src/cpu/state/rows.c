/*
 * The state table of the processor: one row per architectural field of struct cpu. Ids and names are stable once
 * published; new rows go to the end of their group with a new id. Lazy flags are materialised by whoever reads the table.
 */
#include "cpu/state/state.h"

/* A field that STATE cannot name: an element or a member of a nested structure. */
#define FIELD(id_, name_, m)                                                                                           \
	{ .name = (name_), .id = (id_), .width = sizeof(((struct cpu *)0)->m), .count = 1,                             \
	  .offset = offsetof(struct cpu, m), .since = 1 }
#define C(id_, m) STATE(id_, struct cpu, m)
#define CA(id_, m) STATE_ARRAY(id_, struct cpu, m)
#define SEGMENT(id_, n, name_)                                                                                         \
	FIELD((id_), name_ ".sel", seg[n].sel), FIELD((id_) + 1, name_ ".ar", seg[n].ar),                              \
	FIELD((id_) + 2, name_ ".limit", seg[n].limit), FIELD((id_) + 3, name_ ".base", seg[n].base)
#define EVENT(id_, name_, m)                                                                                           \
	FIELD((id_), name_ ".type", m.type), FIELD((id_) + 1, name_ ".vector", m.vector),                              \
	FIELD((id_) + 2, name_ ".has_error", m.has_error), FIELD((id_) + 3, name_ ".insn_len", m.insn_len),            \
	FIELD((id_) + 4, name_ ".error", m.error), FIELD((id_) + 5, name_ ".payload", m.payload)

/* clang-format off */
const struct state_row cpu_rows[] = {
	/* general registers, in the order of their encodings */
	FIELD(1, "rax", r[0]), FIELD(2, "rcx", r[1]), FIELD(3, "rdx", r[2]), FIELD(4, "rbx", r[3]),
	FIELD(5, "rsp", r[4]), FIELD(6, "rbp", r[5]), FIELD(7, "rsi", r[6]), FIELD(8, "rdi", r[7]),
	FIELD(9, "r8", r[8]), FIELD(10, "r9", r[9]), FIELD(11, "r10", r[10]), FIELD(12, "r11", r[11]),
	FIELD(13, "r12", r[12]), FIELD(14, "r13", r[13]), FIELD(15, "r14", r[14]), FIELD(16, "r15", r[15]),
	FIELD(17, "rip", r[REG_RIP]), C(18, rflags),
	/* segments and tables */
	SEGMENT(20, SEG_ES, "es"), SEGMENT(24, SEG_CS, "cs"), SEGMENT(28, SEG_SS, "ss"), SEGMENT(32, SEG_DS, "ds"),
	SEGMENT(36, SEG_FS, "fs"), SEGMENT(40, SEG_GS, "gs"), SEGMENT(44, SEG_LDTR, "ldtr"), SEGMENT(48, SEG_TR, "tr"),
	C(52, gdtr.base), C(53, gdtr.limit), C(54, idtr.base), C(55, idtr.limit),
	/* control and debug registers */
	C(60, cr0), C(61, cr2), C(62, cr3), C(63, cr4), C(64, efer), C(65, xcr0), C(66, xss), CA(67, pdpte),
	FIELD(68, "dr0", dr[0]), FIELD(69, "dr1", dr[1]), FIELD(70, "dr2", dr[2]), FIELD(71, "dr3", dr[3]),
	C(72, dr6), C(73, dr7), C(74, cpl), C(75, activity), C(76, shadow), C(77, sipi_vector), C(78, nmi_blocked),
	C(79, gif), C(80, smm), C(81, halted_by_mwait_if), C(82, pend), C(83, pending_db),
	/* vector and x87 */
	CA(90, v), C(91, mxcsr), C(92, fpu.cw), C(93, fpu.sw), C(94, fpu.top), C(95, fpu.op), C(96, fpu.tag),
	C(97, fpu.ip), C(98, fpu.dp), C(99, fpu.cs), C(100, fpu.ds), CA(101, fpu.st), C(102, pkru),
	/* MSRs */
	C(120, star), C(121, lstar), C(122, cstar), C(123, sfmask), C(124, kernel_gs_base), C(125, sysenter_cs),
	C(126, sysenter_esp), C(127, sysenter_eip), C(128, pat), C(129, tsc_adjust), C(130, tsc_aux), C(131, misc_enable),
	C(132, feature_control), C(133, spec_ctrl), C(134, debugctl), C(135, lbr_from), C(136, lbr_to), C(137, lex_from),
	C(138, lex_to), CA(139, lbr_stack_from), CA(140, lbr_stack_to), C(141, lbr_tos), C(142, tsc_offset),
	C(143, mtrr.def_type), CA(144, mtrr.fixed), CA(145, mtrr.base), CA(146, mtrr.mask), C(147, mcg_status),
	C(148, mcg_ctl), CA(149, mc_bank), CA(150, perf_ctr), CA(151, perf_sel), CA(152, perf_fixed),
	C(153, perf_fixed_ctrl), C(154, perf_global_ctrl), C(155, perf_global_status), C(156, perf.base),
	C(157, perf.level), C(158, perf.guest), C(159, perf.on), C(160, hwcr), C(161, syscfg), C(162, top_mem),
	C(163, top_mem2), C(164, vm_cr), C(217, ignne_msr), C(165, vm_hsave_pa), C(166, svm_key), C(167, tsc_ratio), CA(168, osvw),
	CA(169, msr_misc), C(170, umwait_control), C(171, monitor_addr), C(172, wake_at), C(173, rng), C(174, insns),
	C(175, guest_insns), C(176, perf.by_form), CA(177, perf.form), CA(178, perf.form_base),
	/* virtualisation, as far as it is not the vendor's own */
	C(190, guest), C(191, virt_root), C(192, stage2), C(193, space), CA(194, icpt), C(195, mtf), C(196, pdpte_on_demand),
	C(197, exits), C(216, trap_page), EVENT(198, "inject", inject), C(210, ferr), C(211, ignne),
	C(212, lock_exits), C(213, bus_lock), C(214, lbr_select), C(215, guest_since),
	C(230, mc_fatal),
	/* system-management mode */
	C(231, smi_blocked), C(232, smm_nmi), C(233, smbase), C(234, smi_io), C(235, smm_db), C(236, smi_count),
	C(237, smm_shutdown), CA(242, smm_pdpte), C(238, smm_addr), C(239, smm_mask), C(240, smrr_base), C(241, smrr_mask),
	CA(244, io_trap), C(245, io_trap_ctl), C(246, smm_key),
};
/* clang-format on */

const size_t cpu_row_count = ARRAY_LEN(cpu_rows);

/* ---- the local APIC ---- */

/* clang-format off */
const struct state_row apic_rows[] = {
	STATE(1, struct lapic, base), STATE(2, struct lapic, id), STATE(3, struct lapic, xapic_id),
	STATE(4, struct lapic, ldr), STATE(5, struct lapic, dfr), STATE(6, struct lapic, svr), STATE(7, struct lapic, tpr),
	STATE(8, struct lapic, esr), STATE(9, struct lapic, esr_pending), STATE(10, struct lapic, icr_hi),
	STATE(11, struct lapic, icr_lo), STATE_ARRAY(12, struct lapic, lvt), STATE_ARRAY(13, struct lapic, irr),
	STATE_ARRAY(14, struct lapic, isr), STATE_ARRAY(15, struct lapic, tmr), STATE(16, struct lapic, timer_init),
	STATE(17, struct lapic, timer_div), STATE(18, struct lapic, timer_start), STATE(19, struct lapic, tsc_deadline),
	STATE(20, struct lapic, ext_ctrl), STATE_ARRAY(21, struct lapic, ext_ier), STATE_ARRAY(22, struct lapic, ext_lvt),
	STATE(23, struct lapic, extint), STATE(24, struct lapic, extint_msg), STATE_ARRAY(25, struct lapic, lint_level),
	STATE(26, struct lapic, timer_expired), STATE(27, struct lapic, version),
};
/* clang-format on */
const size_t apic_row_count = ARRAY_LEN(apic_rows);
