/*
 * cpu: one x86-64 processor. What lives here: struct cpu, the run loop (run.c: read it first), events, segments, tasks,
 * MSRs, CPUID, the local APIC; mmu/ decode/ exec/ below it. It sees no vendor: cpu->virt is the only way to VMX or SVM.
 * May call: base, arch, mem. Called by: vmx, svm, model, machine, inspect.
 */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include "arch/features.h"
#include "base/log.h"
#include "base/state.h"
#include "cpu/apic.h"
#include "cpu/insn.h"
#include "cpu/mmu/mmu.h"
#include "cpu/virt.h"
#include "mem/mem.h"

#define CPU_MAX 32
#define TRAP_PAGE_NONE (~0ull)

/* Lazy flags: what the last flag-setting instruction did; materialised by flags_get(). */
enum cc_op {
	CC_FLAGS,  /* cpu->rflags is exact */
	CC_ADD,    /* res = src1 + src2 at cc_size */
	CC_SUB,    /* res = src1 - src2 */
	CC_LOGIC,  /* CF = OF = AF = 0 */
	CC_INC,    /* CF in src2 bit 0 */
	CC_DEC,
	CC_COUT,   /* src1 = the carry-out vector of every bit position (ADC, SBB, NEG...) */
};

enum activity { ACT_RUN, ACT_HLT, ACT_SHUTDOWN, ACT_WAIT_SIPI, ACT_MWAIT, ACT_TPAUSE, ACT_OFF,
	ACT_FREEZE /* x87 error with FERR# active and IGNNE# not: waits for an interrupt at the instruction */ };

/* Pending events, in the order of the table in events.c. */
enum pend {
	PEND_RESET = 1 << 0, PEND_SMI = 1 << 1, PEND_INIT = 1 << 2, PEND_SIPI = 1 << 3, PEND_MTF = 1 << 4,
	PEND_DB = 1 << 5 /* trap: single step, data and I/O breakpoints; bits in pending_db */,
	PEND_PREEMPT = 1 << 6, PEND_NMI = 1 << 7, PEND_NMI_WINDOW = 1 << 8, PEND_INTR = 1 << 9 /* APIC or ExtINT */,
	PEND_INTR_WINDOW = 1 << 10, PEND_VIRQ = 1 << 11, PEND_VNMI = 1 << 12, PEND_MCE = 1 << 13, PEND_VENDOR = 1 << 14,
};

enum shadow { SHADOW_STI = 1, SHADOW_MOVSS = 2 };

/* Base differences between vendors; each has a manual section and a test. */
enum quirk {
	QUIRK_SYSRET_NONCANON_USER = 1 << 0, /* AMD: SYSRET to a non-canonical RIP faults at CPL 3, after the switch */
	QUIRK_SYSCALL_LONG_ONLY = 1 << 1,    /* Intel: SYSCALL/SYSRET are #UD outside 64-bit mode */
	QUIRK_SYSENTER_NO_COMPAT = 1 << 2,   /* AMD: SYSENTER/SYSEXIT are #UD in long mode */
	QUIRK_BRANCH_IGNORE_66 = 1 << 3,     /* Intel: 66h is ignored on near branches in 64-bit mode */
	QUIRK_NULL_KEEPS_BASE = 1 << 4,      /* AMD before null-selector clearing: loading null keeps base and limit */
	QUIRK_FXSAVE_PTR_ES = 1 << 5,        /* AMD: FIP/FDP/FOP saved and restored only while FSW.ES = 1 */
	QUIRK_LSS_FAR_64 = 1 << 6,           /* AMD: far pointers with REX.W are 32-bit offsets */
	QUIRK_FCOM_UNMASKED_CC = 1 << 7,     /* AMD: x87 comparisons set their flags even when #IA or #D is unmasked */
	QUIRK_UPPER_BIT8_RESERVED = 1 << 8,  /* AMD: bit 8 of PML5Es, PML4Es and table-pointing PDPEs must be zero */
	QUIRK_SVM_FIRST = 1 << 10,           /* AMD 2005: SMI intercept required, a TLB flush hits every ASID */
	QUIRK_CPUID_LAST_LEAF = 1 << 9,      /* Intel: a leaf above the maximum reads as the highest basic leaf */
};

#define QUIRK_SVM_FIRST_ASIDS 64u /* how many ASIDs a processor with that quirk has */

union vec {
	u8 b[32];
	u16 w[16];
	u32 d[8];
	u64 q[4];
	float f[8];
	double df[4];
} __attribute__((aligned(32)));

struct x87 {
	u16 cw, sw /* without TOP */, top, op;
	u8 tag; /* bit n: physical register n is not empty */
	u64 ip, dp;
	u16 cs, ds;
	u8 st[8][16]; /* physical registers R0..R7, 80-bit little endian; MMX aliases the low 8 bytes of physical Rn */
};

struct mtrr_state {
	u64 def_type, fixed[11], base[8], mask[8];
};

#define LBR_DEPTH 16
struct branch_record { /* evidence: every taken branch, architectural LBR is in `dbg` */
	u64 from, to;
};

struct cpu_model;
struct clock;
struct block;
struct code_cache;
struct decode_index;

struct cpu {
	/* ---- hot: what the inner loop touches ---- */
	u64 r[REG_SLOTS];      /* RAX.. R15, always 0, RIP (of the block's first instruction while a block runs) */
	u64 cc_res, cc_src1, cc_src2; /* lazy flags; res is sign-extended, sources zero-extended to 64 bits */
	u8 cc_op, cc_size;     /* enum cc_op; bytes */
	u32 rflags;            /* exact except for FL_ARITH while cc_op != CC_FLAGS */
	union {
		struct {
			u8 attention;  /* event_poll has something to look at before the next block */
			u8 kick;       /* leave the block after the current instruction: code was written, an event came up */
			bool careful;  /* TF, code breakpoints, MTF, shadow, trace or a stress knob: one instruction at a time */
			u8 block_mode_changed; /* the mode key or translation context changed: no block linking */
			u8 stop;       /* enum cpu_stop */
			bool yield;    /* end the slice after this instruction: PAUSE, HLT, an IPI was sent */
			u8 spare[2];
		};
		u64 interrupted; /* any of them: the fast loop looks closer */
	};
	struct segs_hot {      /* cache of seg[].base; [6] is always 0: flat 64-bit DS, ES, SS */
		u64 base[8];
	} sb;
	u64 ctx;               /* cache: L1 tag bits of the current context */
	const struct insn *cur; /* cache: the running instruction, when it may fault or touch memory */
	u32 left;              /* cache: instructions of the block retired when the chain ended */
	u32 charged;           /* cache: of those, already added to the clock */
	struct clock *clock;

	/* ---- architectural ---- */
	struct seg seg[SEG_COUNT];
	struct { u64 base; u32 limit; } gdtr, idtr;
	u64 cr0, cr2, cr3, cr4, efer, xcr0, xss;
	u64 pdpte[4];          /* PDPTE registers */
	u64 dr[4], dr6, dr7;
	u8 cpl;
	u8 activity;           /* enum activity */
	u8 shadow;             /* enum shadow, counts for the next instruction only */
	u8 insn_shadow;        /* cache: the shadow the running instruction stands in */
	u8 sipi_vector;
	bool nmi_blocked;
	bool gif;              /* SVM's; always true where the model has none */
	bool smm;              /* SMM comes later; its place */
	bool halted_by_mwait_if; /* MWAIT with the break-on-masked-interrupt extension */
	u32 pend;              /* enum pend */
	u64 pending_db;        /* DR6 bits of pending traps */
	union vec v[16];
	u32 mxcsr;
	struct x87 fpu;
	u32 pkru;
	u64 xinuse;            /* XINUSE: components not in their initial state */
	bool ferr, ignne;      /* FERR# as driven; IGNNE# as received */
	struct lapic apic;

	/* MSRs */
	u64 star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip;
	u64 pat, tsc_adjust, tsc_aux, misc_enable, feature_control, spec_ctrl, debugctl;
	u64 lbr_from, lbr_to, lex_from, lex_to; /* LastBranch*, LastInt* */
	u64 lbr_stack_from[LBR_DEPTH], lbr_stack_to[LBR_DEPTH], lbr_tos, lbr_select; /* tos: the newest entry */
	u64 tsc_offset;        /* IA32_TIME_STAMP_COUNTER writes: tsc = clock->now + tsc_offset */
	struct mtrr_state mtrr;
	u64 mcg_status, mcg_ctl, mc_bank[32][4];
	u64 perf_ctr[8], perf_sel[8], perf_fixed[4], perf_fixed_ctrl, perf_global_ctrl, perf_global_status;
	struct {
		u64 base;              /* c->insns when the counters were last brought up to date */
		u8 level, guest, on;   /* CPL and mode they have been counting in since; any counter enabled */
		u8 by_branch;          /* some counter counts branches: the careful loop does that */
		u64 branches, branch_base; /* retired while by_branch; at the last synchronisation */
		struct timer timer;    /* cache: the next overflow */
	} perf;
	struct timer wake_timer;       /* ends the wait at wake_at */
	u64 hwcr, syscfg, top_mem, top_mem2, vm_cr, vm_hsave_pa, svm_key, tsc_ratio, osvw[2], msr_misc[32], umwait_control;
	u64 monitor_addr;      /* physical line being monitored, UINT64_MAX: none */
	u64 wake_at;           /* TPAUSE, MWAITX with a timer: clock time, UINT64_MAX: none */
	u64 rng;               /* RDRAND, RDSEED: seeded state */
	u64 insns;             /* retired instructions */
	u64 guest_insns;       /* of those, in guest mode; complete outside guests */

	/* ---- virtualisation ---- */
	const struct virt_ops *virt;
	void *virt_state;      /* the vendor's own; its rows are virt->rows */
	bool guest;            /* in guest mode (SVM guest, VMX non-root) */
	bool virt_root;        /* VMX operation, or EFER.SVME: the vendor's instructions are live */
	bool stage2;           /* second-stage translation is on */
	u64 stage2_root, stage2_mode; /* cache: what decides about it besides the tables, as the vendor tells cases
	                                 apart; mode 0: not told */
	u16 space;             /* TLB space in use */
	u64 icpt[5];           /* enabled intercepts; all zero outside guests */
	u64 trap_page;         /* physical page whose accesses virt->page_trap() takes; TRAP_PAGE_NONE */
	bool iret_unblocked;   /* the IRET that is faulting has just ended NMI blocking */
	bool mtf;              /* monitor trap flag: one instruction, then PEND_MTF */
	bool lock_exits;       /* a bus lock of the guest makes virt->trap() look at bus_lock */
	bool bus_lock;         /* while lock_exits: the instruction that just completed took a bus lock */
	bool pdpte_on_demand;  /* PAE PDPTEs of the guest are read from memory by each walk (nested paging) */
	struct event inject;   /* VM entry asks run.c to deliver this before the guest's first instruction; EV_NONE: nothing */
	u64 exits;             /* statistics */
	u64 guest_since;       /* cache: insns when the guest was entered; UINT64_MAX outside */

	/* ---- caches and scratch ---- */
	struct event fault;        /* valid after XR_FAULT */
	struct exit_request exit;  /* valid after XR_EXIT */
	struct event delivering;   /* the event being delivered while event_deliver runs; EV_NONE otherwise */
	u8 mode;               /* enum cpu_mode bits: the decoder's key */
	u8 phys_bits, la_bits; /* MAXPHYADDR, linear width in force (48 or 57) */
	u32 fetch_gen;         /* bumped by every flush that keeps the context number: code lookups by linear address are void */
	u64 until;             /* cache: the bound of the cpu_run() under way, for long repetitions; 0: none */
	u8 woken_from;         /* enum activity before the event that event_poll() is delivering */
	u64 held_db;           /* data breakpoints pending before the instruction of the careful loop */
	u8 lock_watch;         /* enum lock_watch */
	bool push_rf;          /* the event being delivered is a fault: RF is set in the pushed RFLAGS */
	bool fetching;         /* what is being settled arose in the fetch of an instruction */
	struct jump_cache *jumps; /* decode's linear address -> block cache */
	struct event chain[3]; /* evidence: the exceptions that led to a shutdown */
	u8 chain_n;
	struct event chain_from; /* evidence: what was being delivered when chain[0] arose; EV_NONE: nothing */
	bool lidt;             /* evidence: LIDT ran since RESET */
	struct l1_entry l1[1 << L1_BITS];
	struct tlb tlb;
	struct l1_contexts *l1_contexts; /* mmu's interning of (space, pcid, view) */
	struct branch_record lastbr[16]; /* evidence */
	u32 lastbr_n;
	struct exit_record lastexit[16];
	u32 lastexit_n;

	/* ---- host ---- */
	unsigned index;        /* 0.. within the machine; the APIC id is apic.id */
	struct cpu *const *all; /* every processor of the machine */
	unsigned count;
	struct bus *bus;
	struct hooks *hooks;
	const struct cpu_model *model;
	struct feature_set feat;
	struct code_cache *code;
	const struct decode_index *decode;
	int (*intr_ack)(void *arg); /* 8259 pair: INTA cycle, returns the vector */
	void *intr_ack_arg;
	void (*ferr_pin)(void *arg, bool active); /* NULL: not connected, and IGNNE# is tied active */
	void *ferr_pin_arg;
	struct stress {        /* run-time knobs; DESIGN.md section 8 of MODELS.md's list */
		bool tiny_tlb, no_blocks, split_access, poll_every;
	} stress;
};

enum cpu_stop { CPU_GO, CPU_STOP_SHUTDOWN, CPU_STOP_MACHINE, CPU_STOP_INTERNAL };

/* The decoder's key: everything that changes how bytes decode or which handlers fit. */
enum cpu_mode {
	MODE_16 = 0, MODE_32 = 1, MODE_64 = 2, MODE_SIZE = 3,
	MODE_SS32 = 4,   /* stack pointer is ESP (64-bit mode: always RSP) */
	MODE_PE = 8,     /* protected mode, not virtual-8086 */
	MODE_V86 = 16,
	MODE_LMA = 32,   /* long mode active (compatibility mode where MODE_SIZE != MODE_64) */
	MODE_LOCKS = 64, /* bus locks are detected: locked instructions are watched */
};

enum lock_watch { LOCK_UNWATCHED, LOCK_WATCHED, LOCK_BUS /* seen */ };

/* One processor model: a table file in src/model/ each. */
struct msr_row;
struct cpuid_leaf {
	u32 leaf, subleaf;
	u32 out[4];
	void (*fix)(struct cpu *c, u32 out[4]); /* dynamic bits: APIC id, OSXSAVE, XSAVE size; NULL: none */
};
struct cpu_model {
	const char *name, *about;
	const char *vendor;       /* "AuthenticAMD" */
	const char *brand;        /* 48 bytes at most */
	u32 signature;            /* CPUID 1 EAX */
	u8 phys_bits;
	u32 quirks;               /* enum quirk */
	const struct virt_ops *virt;
	const enum feature *features; /* FEAT_NONE-terminated */
	const struct row_set *const *insns; /* NULL-terminated; the first row that matches wins */
	const struct msr_set { const struct msr_row *rows; size_t count; } *const *msrs; /* NULL-terminated */
	const struct cpuid_leaf *leaves; /* everything that is not a feature bit; leaf ~0 terminated */
	u32 max_leaf, max_ext_leaf;
	struct { u16 pause, rdtsc, mmio, port; } cost;
};

/* One row per MSR or run of MSRs. */
struct msr_row {
	u32 index, count;
	const char *name;
	enum feature feature;   /* FEAT_NONE: always there */
	/* Either a plain member (offset, with the bits a write may set: others #GP) or functions. */
	u32 offset;             /* into struct cpu; stride 8 */
	u64 writable;           /* bits software may set; 0 with write == NULL: read-only, a write is #GP */
	u64 ignored;            /* bits whose written value is dropped silently */
	u64 reset;              /* at RESET; INIT keeps MSRs unless keep_init is false */
	bool (*read)(struct cpu *c, u32 index, u64 *value);  /* false: #GP(0) */
	bool (*write)(struct cpu *c, u32 index, u64 value);
	u8 flags;               /* enum msr_flag */
};
enum msr_flag { MSR_CONST = 1 /* reads give reset */, MSR_CANONICAL = 2, MSR_INIT_RESETS = 4, MSR_WRITE_IGNORED = 8, MSR_MEMBER = 16 };
bool msr_read(struct cpu *c, u32 index, u64 *value);  /* false: #GP(0). No privilege or intercept checks */
bool msr_write(struct cpu *c, u32 index, u64 value);
void msr_reset(struct cpu *c); /* every row's reset value */

/* ---- life ---- */
/* The caller has zeroed *c and set index, all, count, code and decode; phys_bits if other than the model's. */
enum status cpu_init(struct cpu *c, const struct cpu_model *m, const struct feature_set *feat, struct bus *bus, struct err *err);
void cpu_fini(struct cpu *c);
void cpu_reset(struct cpu *c, bool init); /* RESET or INIT */
extern const struct state_row cpu_rows[];
extern const size_t cpu_row_count;

/* ---- run.c ---- */
/* Run until the clock reaches `until`, the processor sleeps, or stop is set. */
void cpu_run(struct cpu *c, u64 until);

/* ---- events.c ---- */
enum xr event_poll(struct cpu *c);
/* Deliver through the IDT or IVT. XR_FAULT: c->fault is the nested exception, nothing pushed. */
enum xr event_deliver(struct cpu *c, const struct event *e) must_check;
enum xr v86_redirects(struct cpu *c, u8 vector, bool *yes) must_check; /* INT n to the 8086 program's own table? */
int cpu_intr_ack(struct cpu *c); /* acknowledge the interrupt that PEND_INTR stands for; -1: it went away */
void cpu_recheck(struct cpu *c); /* IF, TPR, GIF, shadow or pending changed: look before the next block */
void cpu_raise(struct cpu *c, enum pend p); /* from any floor: kicks the processor out of its block */

/* Raise a fault from a handler: `return fault_gp(c, sel & ~3);` */
enum xr cpu_fault(struct cpu *c, unsigned vector, u32 error);
enum xr fault_pf(struct cpu *c, la_t la, u32 error);
enum xr fault_db(struct cpu *c, u64 dr6_bits); /* fault-like #DB: general detect, code breakpoints */
static inline enum xr fault_ud(struct cpu *c) { return cpu_fault(c, EX_UD, 0); }
static inline enum xr fault_gp(struct cpu *c, u32 error) { return cpu_fault(c, EX_GP, error); }
static inline enum xr fault_nm(struct cpu *c) { return cpu_fault(c, EX_NM, 0); }
/* A software event (INT n, INT3, INTO, ICEBP) is raised the same way: XR_FAULT with its type, delivered as a trap. */
enum xr raise_soft(struct cpu *c, const struct insn *i, enum event_type type, u8 vector);

/* Ask to leave the guest: `return cpu_exit(c, i, ICPT_HLT, 0, 0);` */
enum xr cpu_exit(struct cpu *c, const struct insn *i, enum icpt id, u64 q0, u64 q1);
static inline bool icpt_on(const struct cpu *c, unsigned id)
{
	return (c->icpt[id / 64] >> (id % 64)) & 1;
}
/* After every flush that a guest asked for; m: what went, its space aside. */
static inline void guest_flushed(struct cpu *c, const struct tlb_match *m)
{
	if (unlikely(c->guest) && c->virt->flushed)
		c->virt->flushed(c, m);
}

/* Test an intercept by hand (ROW_LATE_ICPT rows, operand-dependent ids). */
static inline enum xr icpt_test(struct cpu *c, const struct insn *i, unsigned id, u64 q)
{
	return unlikely(icpt_on(c, id)) ? c->virt->intercept(c, i, (enum icpt)id, q) : XR_OK;
}

/* Before CPL and CR4.TSD: does the vendor's control make the instruction undefined in this guest? */
static inline enum xr icpt_undefined(struct cpu *c, unsigned id)
{
	return unlikely(icpt_on(c, id)) && c->virt->undefined && c->virt->undefined(c, (enum icpt)id) ? fault_ud(c) : XR_OK;
}

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
static inline bool has(const struct cpu *c, enum feature f) { return feat_has(&c->feat, f); }
/* The bits of DR6 that are always 1. */
static inline u64 dr6_fixed(const struct cpu *c)
{
	return has(c, FEAT_BUS_LOCK_DETECT) ? DR6_RESET & ~DR6_BLD : DR6_RESET;
}
static inline bool quirk(const struct cpu *c, enum quirk q) { return (c->model->quirks & q) != 0; }

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

/* ---- lbr.c: while DebugCtl asks for it ---- */
/* What a branch is: the bit of LastBranchStackSelect that suppresses it. */
enum lbr_kind { LBR_JCC = 4, LBR_CALL_REL = 8, LBR_CALL_IND = 16, LBR_RET = 32, LBR_JMP_IND = 64, LBR_JMP_REL = 128, LBR_FAR = 256 };
void lbr_branch(struct cpu *c, u64 from, u64 to, enum lbr_kind kind);
void lbr_event(struct cpu *c, const struct event *e, u64 from); /* delivered: RIP is the handler's */

/* ---- tasks.c ---- */
enum task_cause { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };
enum xr task_switch(struct cpu *c, u16 sel, enum task_cause cause, bool has_error, u32 error, u64 next_rip) must_check;

/* ---- exec/tsc.c ---- */
void cpu_wait_until(struct cpu *c, u64 when); /* TPAUSE, UMWAIT, MWAITX: at the longest until the clock reaches it */
/* A store went to a watched page: whose monitored line was it? Called for every processor by the bus's page_written. */
void cpu_monitor_written(struct cpu *c, u64 pa, u64 len);

/* ---- perf.c: performance counters count from c->insns, brought up to date only when someone looks ---- */
void perf_sync(struct cpu *c);          /* counters are exact now; arms the overflow timer */
void perf_level_changed(struct cpu *c); /* from cpu_update_mode while c->perf.on: CPL or guest mode changed */
bool perf_read(struct cpu *c, u32 rdpmc_index, u64 *value); /* RDPMC. false: #GP(0) */
void perf_reset(struct cpu *c);

/* ---- exec/fpu.c ---- */
void cpu_set_ignne(struct cpu *c, bool active); /* the IGNNE# pin */

/* ---- cpuid.c ---- */
void cpuid_query(struct cpu *c, u32 leaf, u32 subleaf, u32 out[4]);

/* ---- flags ---- */
u32 flags_get(struct cpu *c);                  /* materialised RFLAGS */
void flags_set(struct cpu *c, u32 rflags);     /* raw; callers recompute mode if TF, VM, AC, IF changed: cpu_flags_changed */
void cpu_flags_changed(struct cpu *c, u32 old); /* after TF, IF, AC, VM, RF may have changed */

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
