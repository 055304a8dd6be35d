/*
 * What moves the processor as a whole: its life, mode and control registers, segments and tasks, MSRs, CPUID, counters
 * and time. Each section names the file that holds it.
 */
#ifndef CPU_CONTROL_H
#define CPU_CONTROL_H

#include "cpu/model.h"

/* ---- cpu.c: life ---- */
/* The caller has zeroed *c and set index, all, count, code and decode; phys_bits if other than the model's. */
enum status cpu_init(struct cpu *c, const struct cpu_model *m, const struct feature_set *feat, struct bus *bus, struct err *err);
void cpu_fini(struct cpu *c);
void cpu_reset(struct cpu *c, bool init); /* RESET or INIT */

/* ---- run.c ---- */
/* Run until the clock reaches `until`, the processor sleeps, or stop is set. */
void cpu_run(struct cpu *c, u64 until);

/* ---- control.c: control registers and mode ---- */
void cpu_update_mode(struct cpu *c);   /* recompute mode, la_bits, careful, segment base cache, L1 context */
bool cr0_valid(const struct cpu *c, u64 v);
bool cr4_valid(const struct cpu *c, u64 v);
bool efer_valid(const struct cpu *c, u64 v);
/* MOV CRn semantics with every check and flush: XR_FAULT on #GP. The vendor hooks are the caller's business. */
enum xr cr0_write(struct cpu *c, u64 v) must_check;
enum xr cr3_write(struct cpu *c, u64 v) must_check;
enum xr cr4_write(struct cpu *c, u64 v) must_check;
bool efer_write(struct cpu *c, u64 v);
/* Raw loads at VM entry, exit and reset: no checks, no flushes; call cpu_update_mode() once afterwards. */
static inline bool long_mode(const struct cpu *c) { return (c->efer & EFER_LMA) != 0; }
static inline bool mode64(const struct cpu *c) { return (c->mode & MODE_SIZE) == MODE_64; }
static inline bool real_mode(const struct cpu *c) { return !(c->cr0 & CR0_PE); }
static inline bool v86_mode(const struct cpu *c) { return (c->mode & MODE_V86) != 0; }
/* The bits of DR6 that are always 1. */
static inline u64 dr6_fixed(const struct cpu *c)
{
	return has(c, FEAT_BUS_LOCK_DETECT) ? DR6_RESET & ~DR6_BLD : DR6_RESET;
}

/* ---- segs.c: segments and far transfers ---- */
enum xr seg_load(struct cpu *c, unsigned seg, u16 sel) must_check;   /* MOV Sreg, POP Sreg, LES...: with all checks */
enum xr seg_load_ldtr(struct cpu *c, u16 sel) must_check;
enum xr seg_load_tr(struct cpu *c, u16 sel) must_check;
void seg_set_real(struct cpu *c, unsigned seg, u16 sel);             /* real and virtual-8086 mode loads */
/* Address of [seg:ea, size) with limit, type and canonical rules of the mode: #GP(0) or #SS(0). */
enum xr seg_address(struct cpu *c, unsigned seg, u64 ea, u32 size, unsigned access, la_t *la) must_check;
enum xr read_descriptor(struct cpu *c, u16 sel, unsigned fault_vector, u64 out[2], la_t *at) must_check; /* [1]: upper half of 16-byte ones, when asked by type */
struct seg seg_from_descriptor(u16 sel, u64 desc);
enum xr far_jmp(struct cpu *c, const struct insn *i, u16 sel, u64 off) must_check;
enum xr far_call(struct cpu *c, const struct insn *i, u16 sel, u64 off) must_check;
enum xr far_ret(struct cpu *c, const struct insn *i, u16 pop) must_check;
enum xr do_iret(struct cpu *c, const struct insn *i) must_check;

/* ---- tasks.c ---- */
enum task_cause { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };
enum xr task_switch(struct cpu *c, u16 sel, enum task_cause cause, bool has_error, u32 error, u64 next_rip) must_check;

/* ---- msr.c ---- */
bool msr_read(struct cpu *c, u32 index, u64 *value);  /* false: #GP(0). No privilege or intercept checks */
bool msr_write(struct cpu *c, u32 index, u64 value);
void msr_reset(struct cpu *c); /* every row's reset value */

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
void perf_reset(struct cpu *c);

/* ---- exec/fpu.c ---- */
void cpu_set_ignne(struct cpu *c, bool active); /* the IGNNE# pin */

/* ---- exec/flags.c ---- */
u32 flags_get(struct cpu *c);                  /* materialised RFLAGS */
void flags_set(struct cpu *c, u32 rflags);     /* raw; callers recompute mode if TF, VM, AC, IF changed: cpu_flags_changed */
void cpu_flags_changed(struct cpu *c, u32 old); /* after TF, IF, AC, VM, RF may have changed */

/* ---- exec/tsc.c: waiting ---- */
void cpu_wait_until(struct cpu *c, u64 when); /* TPAUSE, UMWAIT, MWAITX: at the longest until the clock reaches it */
/* Who the processor is on the bus; by: BY_CPU, BY_WALK, BY_VIRT. */
static inline struct initiator cpu_as(const struct cpu *c, enum by by)
{
	return (struct initiator){.by = (u8)by, .smm = c->smm, .id = (u16)c->index};
}
/* A store went to a watched page: was it the line that this processor monitors? */
void cpu_monitor_written(void *cpu, const struct written *w);

/* ---- time: exact inside a block ---- */
void cpu_sync_time(struct cpu *c);             /* bring the clock up to the running instruction */
u64 cpu_tsc(struct cpu *c);                    /* as RDTSC reads it, guest offset included */
/* Cost beyond the one cycle of an instruction. It ends the block, so that the clock never overtakes a timer unseen. */
static inline void cpu_charge(struct cpu *c, u32 extra)
{
	c->clock->now += extra;
	c->kick = 1;
}

/* Address of the running instruction and of the next one; valid inside handlers. */
static inline u64 ip_mask(const struct cpu *c)
{
	/* EIP has 32 bits in 16-bit code too: running past FFFFh leaves the segment's limit, it does not wrap. */
	return (c->mode & MODE_SIZE) == MODE_64 ? ~0ull : 0xffffffffull;
}
static inline u64 insn_rip(const struct cpu *c, const struct insn *i)
{
	return (c->r[REG_RIP] + i->off) & ip_mask(c);
}
static inline u64 next_rip(const struct cpu *c, const struct insn *i)
{
	return (c->r[REG_RIP] + i->off + i->len) & ip_mask(c);
}

#endif
