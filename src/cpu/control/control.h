/*
 * control: what moves the processor as a whole: mode and control registers, segments and tasks, MSRs, CPUID, branch
 * records and counters. Each section names the file that holds it. May call: state, apic, mmu. Called by: exec, run.
 */
#ifndef CPU_CONTROL_H
#define CPU_CONTROL_H

#include "cpu/state/events.h"
#include "cpu/state/flags.h"
#include "cpu/state/time.h"

/* ---- control.c: control registers and mode ---- */
void cpu_flags_changed(struct cpu *c, u32 old); /* after TF, IF, AC, VM, RF may have changed */
void cpu_update_mode(struct cpu *c);   /* recompute mode, la_bits, careful, segment base cache, L1 context */
enum xr cr_refuse(struct cpu *c, enum control_register which, u64 v); /* #GP, and whoever listens hears why */
bool cr0_valid(const struct cpu *c, u64 v);
u64 cr4_defined(const struct cpu *c); /* the bits that its features define */
bool cr4_valid(const struct cpu *c, u64 v);
bool efer_valid(const struct cpu *c, u64 v);
/* MOV CRn semantics with every check and flush: XR_FAULT on #GP. The vendor hooks are the caller's business. */
enum xr cr0_write(struct cpu *c, u64 v) must_check;
enum xr cr3_write(struct cpu *c, u64 v) must_check;
enum xr cr4_write(struct cpu *c, u64 v) must_check;
bool efer_write(struct cpu *c, u64 v);

/* ---- segs.c: segments and far transfers ---- */
enum xr seg_load(struct cpu *c, unsigned seg, u16 sel) must_check;   /* MOV Sreg, POP Sreg, LES...: with all checks */
enum xr seg_load_ldtr(struct cpu *c, u16 sel) must_check;
enum xr seg_load_tr(struct cpu *c, u16 sel) must_check;
void seg_set_real(struct cpu *c, unsigned seg, u16 sel);             /* real and virtual-8086 mode loads */
/* Address of [seg:ea, size) with limit, type and canonical rules of the mode: #GP(0) or #SS(0). */
enum xr seg_address(struct cpu *c, unsigned seg, u64 ea, u32 size, unsigned access, la_t *la) must_check;
enum xr read_descriptor(struct cpu *c, u16 sel, unsigned fault_vector, u64 out[2], la_t *at) must_check; /* [1]: upper half of 16-byte ones, when asked by type */
struct seg seg_from_descriptor(u16 sel, u64 desc);

/* ---- tasks.c ---- */
enum task_cause { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };
/* d: the event that goes through a task gate; NULL: an instruction. */
enum xr task_switch(struct cpu *c, u16 sel, enum task_cause cause, const struct delivery *d, u64 next_rip) must_check;

/* ---- msr.c ---- */
bool msr_read(struct cpu *c, u32 index, u64 *value);  /* false: #GP(0). No privilege or intercept checks */
bool msr_write(struct cpu *c, u32 index, u64 value);
void msr_reset(struct cpu *c); /* every row's reset value */

/* ---- mca.c ---- */
/* Something found an error: it goes to a bank, and to software if the bank's control bit lets it. */
void cpu_machine_check(struct cpu *c, unsigned bank, unsigned control, u64 status, u64 addr);

/* ---- cpuid.c ---- */
void cpuid_query(struct cpu *c, u32 leaf, u32 subleaf, u32 out[4]);

/* ---- lbr.c: while DebugCtl asks for it ---- */
/* What a branch is: the bit of LastBranchStackSelect that suppresses it. */
enum lbr_kind { LBR_JCC = 4, LBR_CALL_REL = 8, LBR_CALL_IND = 16, LBR_RET = 32, LBR_JMP_IND = 64, LBR_JMP_REL = 128, LBR_FAR = 256 };
void lbr_branch(struct cpu *c, u64 from, u64 to, enum lbr_kind kind);
void lbr_event(struct cpu *c, const struct event *e, u64 from); /* delivered: RIP is the handler's */

/* ---- perf.c: performance counters count from c->insns, brought up to date only when someone looks ---- */
void perf_sync(struct cpu *c);          /* counters are exact now; arms the overflow timer */
void perf_level_changed(struct cpu *c); /* from cpu_update_mode while c->perf.on: CPL or guest mode changed */
bool perf_read(struct cpu *c, u32 rdpmc_index, u64 *value); /* RDPMC. false: #GP(0) */
void perf_retired(struct cpu *c, const struct insn *i); /* from the careful loop while c->perf.by_form: i has retired */
void perf_reset(struct cpu *c);

#endif
