/*
 * state: struct cpu and the types it is made of. What of it is architectural has a row in rows.c; the rest is marked, with
 * what rebuilds it. Beside it stands what every floor of cpu/ needs: raising events (events.h), lazy flags (flags.h), time
 * (time.h), memory by physical address (phys.h). May call: base, arch, mem. Called by: all of cpu/.
 */
#ifndef CPU_STATE_H
#define CPU_STATE_H

#include "arch/features.h"
#include "base/log.h"
#include "base/state.h"
#include "cpu/state/insn.h"
#include "cpu/state/lapic.h"
#include "cpu/state/recent.h"
#include "cpu/state/tlb.h"
#include "cpu/state/virt.h"
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

enum shadow { SHADOW_STI = 1, SHADOW_MOVSS = 2 };

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
struct branch_record { /* evidence: a taken branch, whether or not DebugCtl asks for records */
	u64 from, to;
};

/*
 * What the instruction that ended just now did to a port, if an SMI came up while it did: the save-state map, and whoever is
 * told of the SMI instead, describe it by this. It holds for an SMI that is taken before the next instruction.
 */
struct smi_io {
	struct io_access io;
	u64 rip;           /* of the instruction */
	u64 rcx, rsi, rdi; /* before it, or before the iteration */
	bool valid;
	bool internal;     /* the processor raised it itself: I/O trapping */
	u8 traps;          /* which of its registers did */
};

/* Why RSM ended in a shutdown: a row of its checks, and the field of the save-state map. */
struct rsm_refused {
	const char *check, *rule, *manual, *field; /* check NULL: it did not; field NULL: none has it */
	u64 at, value;
	u8 width;
};

struct cpu_model;
struct debug;
struct clock;
struct block;
struct code_cache;
struct decode_index;
struct delivery;
struct watch_ops;
struct jit;
struct jit_target;
struct jit_store;

/* Performance counters: what an instruction's form tells of it. */
enum perf_form {
	FORM_BRANCH, FORM_LOAD, FORM_STORE,
	FORM_UPDATE,     /* one operand is read and written */
	FORM_LOAD_STORE, /* one is read, another written */
	PERF_FORMS
};

struct cpu {
	/* ---- hot: what the inner loop touches ---- */
	u64 r[REG_SLOTS];      /* RAX.. R15, always 0, RIP (of the block's first instruction while a block runs) */
	u64 cc_res, cc_src1, cc_src2; /* cache: rflags, by flags_set(); res is sign-extended, sources zero-extended to 64 bits */
	u8 cc_op, cc_size;     /* cache: enum cc_op; bytes */
	u32 rflags;            /* exact except for FL_ARITH while cc_op != CC_FLAGS */
	union {                /* cache: all set by cpu_loaded(), or by cpu_update_mode() */
		struct {
			u8 attention;  /* event_poll has something to look at before the next block */
			u8 kick;       /* leave the block after the current instruction: code was written, an event came up */
			bool careful;  /* TF, code breakpoints, MTF, shadow, trace or a stress knob: one instruction at a time */
			u8 block_mode_changed; /* the mode key or translation context changed: no block linking */
			u8 stop;       /* enum cpu_stop */
			bool yield;    /* end the slice after this instruction: PAUSE, HLT, an IPI was sent */
			bool frozen;   /* a test has stopped time for this processor: its instructions do not count */
			u8 spare[1];
		};
		u64 interrupted; /* any of them: the fast loop looks closer */
	};
	struct segs_hot {      /* cache: of seg[].base, by cpu_update_mode(); [6] is always 0: flat 64-bit DS, ES, SS */
		u64 base[8];
	} sb;
	u64 ctx;               /* cache: L1 tag bits of the current context, by mmu_update_context() */
	const struct insn *cur; /* cache: the running instruction, when it may fault or touch memory */
	u32 left;              /* cache: instructions of the block retired when the chain ended */
	u32 charged;           /* cache: of those, already added to the clock */
	struct clock *clock;   /* wired */
	struct native_run {    /* cache: of src/jit/, while translated code runs */
		s32 budget;    /* instructions it may still run */
		u16 flags;     /* the arithmetic flags: high byte as LAHF has them, low byte OF: see jit/flags.c */
		u16 unused;
		u64 branch;    /* taken branches, times the size of a place in the ring */
		struct { u64 id, to; } ring[16];
		u64 context;   /* block_context() */
		struct jit_target *targets; /* wired: linear address -> code */
		u64 target;    /* of an indirect branch under way */
		u64 branch_base;
		struct jit_store *log; /* lock-step: behind the last store */
		s32 start;     /* budget when the clock was right */
		u32 result;    /* enum xr of a handler */
	} native;
	struct jit *jit;       /* wired; NULL: there is none */

	/* ---- architectural ---- */
	struct seg seg[SEG_COUNT];
	struct { u64 base; u32 limit; } gdtr, idtr;
	u64 cr0, cr2, cr3, cr4, efer, xcr0, xss;
	u64 pdpte[4];          /* PDPTE registers */
	u64 dr[4], dr6, dr7;
	u8 cpl;
	u8 activity;           /* enum activity */
	u8 shadow;             /* enum shadow, counts for the next instruction only */
	u8 insn_shadow;        /* cache: the shadow the running instruction stands in; 0 between two */
	u8 sipi_vector;
	bool nmi_blocked;
	bool gif;              /* SVM's; always true where the model has none */
	bool smm;              /* in system-management mode: SMRAM is seen */
	bool smi_blocked;      /* an SMI stays pending: in SMM, and as long as the vendor wants */
	bool smm_nmi;          /* SMM was entered with NMIs blocked */
	bool smm_shutdown;     /* SMM was entered from shutdown, and RSM returns there */
	u64 smm_pdpte[4];      /* PDPTE registers when SMM was entered; no map has them */
	u64 smm_db;            /* pending_db when SMM was entered: those traps come behind RSM */
	u64 smbase;            /* the handler is at 8000h behind it, the save-state map below 10000h behind it */
	struct smi_io smi_io;
	u64 smi_count;         /* SMIs taken since RESET */
	u64 smm_addr, smm_mask, smrr_base, smrr_mask; /* who hides SMRAM from what is not in SMM: AMD's MSRs, Intel's */
	bool halted_by_mwait_if; /* MWAIT with the break-on-masked-interrupt extension */
	u32 pend;              /* enum pend */
	u64 pending_db;        /* DR6 bits of pending traps */
	union vec v[16];
	u32 mxcsr;
	struct x87 fpu;
	struct x87_pointers { u64 dp; u16 ds, op; bool mem; } fpu_now; /* cache: of the running x87 instruction */
	u32 pkru;
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
	bool mc_fatal; /* a machine check came while one was being handled */
	u64 perf_ctr[8], perf_sel[8], perf_fixed[4], perf_fixed_ctrl, perf_global_ctrl, perf_global_status;
	struct {
		u64 base;              /* c->insns when the counters were last brought up to date */
		u8 level, guest, on;   /* CPL and mode they have been counting in since; any counter enabled */
		u8 by_form;            /* some counter counts branches, loads or stores: the careful loop does that */
		u64 form[PERF_FORMS], form_base[PERF_FORMS]; /* retired while by_form; at the last synchronisation */
		u64 ahead;             /* cache: the running instruction, that many, is counted already; else not above insns */
		struct timer timer;    /* cache: the next overflow */
	} perf;
	struct timer wake_timer;       /* cache: armed for wake_at by cpu_arm_wait() */
	u64 hwcr, syscfg, top_mem, top_mem2, vm_cr, ignne_msr, vm_hsave_pa, svm_key, smm_key, tsc_ratio, osvw[2], msr_misc[32], umwait_control;
	u64 io_trap[4], io_trap_ctl; /* SMI_ON_IO_TRAP_0.., SMI_ON_IO_TRAP_CTL_STS */
	u64 monitor_addr;      /* physical line being monitored, UINT64_MAX: none */
	u64 wake_at;           /* TPAUSE, MWAITX with a timer: clock time, UINT64_MAX: none */
	u64 rng;               /* RDRAND, RDSEED: seeded state */
	u64 insns;             /* retired instructions */
	u64 guest_insns;       /* of those, in guest mode; complete outside guests */

	/* ---- virtualisation ---- */
	const struct virt_ops *virt; /* wired: by the model */
	void *virt_state;      /* wired: the vendor's own; its rows are virt->life.rows */
	const struct watch_ops *watch; /* wired: who looks for a monitor's mistakes; NULL: nobody */
	bool guest;            /* in guest mode (SVM guest, VMX non-root) */
	bool virt_root;        /* VMX operation, or EFER.SVME: the vendor's instructions are live */
	bool stage2;           /* second-stage translation is on */
	u64 stage2_root, stage2_mode; /* cache: what decides about it besides the tables, as the vendor tells cases
	                                 apart; mode 0: not told */
	u16 space;             /* TLB space in use */
	u64 icpt[5];           /* enabled intercepts; all zero outside guests */
	u64 trap_page;         /* physical page whose accesses virt->memory.page_trap() takes; TRAP_PAGE_NONE */
	bool mtf;              /* monitor trap flag: one instruction, then PEND_MTF */
	bool lock_exits;       /* a bus lock of the guest makes virt->guest.completed() look at bus_lock */
	bool bus_lock;         /* while lock_exits: the instruction that just completed took a bus lock */
	bool pdpte_on_demand;  /* PAE PDPTEs of the guest are read from memory by each walk (nested paging) */
	struct event inject;   /* VM entry asks run.c to deliver this before the guest's first instruction; EV_NONE: nothing */
	u64 exits;             /* statistics */
	u64 guest_since;       /* insns when the guest was entered; UINT64_MAX outside */

	/* ---- caches and scratch ---- */
	struct event fault;        /* cache: valid after XR_FAULT, until it is settled */
	struct exit_request exit;  /* cache: valid after XR_EXIT, until it is settled */
	const struct delivery *delivery; /* cache: while event_deliver runs, for what lies behind a memory access; NULL otherwise */
	u8 mode;               /* cache: enum cpu_mode bits, the decoder's key, by cpu_update_mode() */
	u8 phys_bits, la_bits; /* cache: MAXPHYADDR, by cpu_init(); linear width in force (48 or 57), by cpu_update_mode() */
	u32 fetch_gen;         /* cache: bumped by every flush that keeps the context number: code lookups by linear address are void */
	u64 until;             /* cache: the bound of the cpu_run() under way, for long repetitions; 0: none */
	u8 lock_watch;         /* cache: enum lock_watch, of the running instruction */
	struct jump_cache *jumps; /* cache: decode's linear address -> block */
	struct event chain[3]; /* evidence: the exceptions that led to a shutdown */
	u8 chain_n;            /* evidence */
	struct event chain_from; /* evidence: what was being delivered when chain[0] arose; EV_NONE: nothing */
	struct rsm_refused rsm; /* evidence */
	bool lidt;             /* evidence: LIDT ran since RESET */
	struct l1_entry l1[1 << L1_BITS] __attribute__((aligned(32))); /* cache: filled from the TLB; none in two cache lines */
	struct tlb tlb;        /* cache: filled by walks; flushed by cpu_loaded() */
	struct l1_contexts *l1_contexts; /* cache: mmu's interning of (space, pcid, view) */
	struct branch_record lastbr[16]; /* evidence */
	u32 lastbr_n;          /* evidence */
	struct exit_record lastexit[16]; /* evidence */
	u32 lastexit_n;        /* evidence */
	struct recent recent[RECENT]; /* evidence */
	u32 recent_n;          /* evidence */

	/* ---- wired: what surrounds it, given by cpu_init() and by the machine ---- */
	unsigned index;        /* 0.. within the machine; the APIC id is apic.id */
	struct cpu *const *all; /* every processor of the machine */
	unsigned count;
	struct bus *bus;
	const struct space *seen[2]; /* cache: physical memory outside and in SMM: the bus's, or by mmu_veil() */
	struct observer stores; /* of the stores that may end a wait at a monitored line */
	struct hooks *hooks;
	struct debug *debug;   /* who debugs it from outside; NULL: nobody (state/debug.h) */
	const struct cpu_model *model;
	struct feature_set feat;
	struct code_cache *code;
	const struct decode_index *decode;
	int (*intr_ack)(void *arg); /* 8259 pair: INTA cycle, returns the vector */
	void *intr_ack_arg;
	void (*ferr_pin)(void *arg, bool active); /* NULL: not connected, and IGNNE# is tied active */
	void *ferr_pin_arg;
	struct stress {        /* run-time knobs: tests turn them on and expect the same state */
		bool tiny_tlb, no_blocks, split_access, poll_every;
		bool freeze_smm; /* no time passes in system management mode, and nobody else runs */
		u8 smi_bits;     /* SMIs at random, up to 2 to this power ticks apart; 0: none (run/storm.c) */
		u64 smi_left, smi_random; /* ticks of its own until the next; what the one after it is drawn from */
	} stress;
};

enum cpu_stop { CPU_GO, CPU_STOP_SHUTDOWN, CPU_STOP_MACHINE, CPU_STOP_INTERNAL, CPU_STOP_DEBUG };

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

extern const struct state_row cpu_rows[];
extern const size_t cpu_row_count;

/* ---- which processor it is, and what mode it is in ---- */
static inline bool is_bootstrap(const struct cpu *c) { return (c->apic.base & BIT(8)) != 0; }
static inline bool long_mode(const struct cpu *c) { return (c->efer & EFER_LMA) != 0; }
static inline bool mode64(const struct cpu *c) { return (c->mode & MODE_SIZE) == MODE_64; }
static inline bool real_mode(const struct cpu *c) { return !(c->cr0 & CR0_PE); }
static inline bool v86_mode(const struct cpu *c) { return (c->mode & MODE_V86) != 0; }
static inline unsigned stack_size(const struct cpu *c)
{
	return (c->mode & MODE_SIZE) == MODE_64 ? 8 : (c->mode & MODE_SS32) ? 4 : 2;
}
static inline u64 stack_mask(const struct cpu *c)
{
	unsigned s = stack_size(c);
	return s == 8 ? ~0ull : s == 4 ? 0xffffffffull : 0xffffull;
}

/* ---- what happened last ---- */
static inline struct recent *recent_next(struct cpu *c, u8 kind)
{
	struct recent *r = &c->recent[c->recent_n++ % RECENT];

	r->insn = c->insns + (c->cur ? c->cur->idx : 0);
	r->rip = c->r[REG_RIP];
	r->kind = kind;
	return r;
}
static inline void recent_event(struct cpu *c, u8 kind, const struct event *e)
{
	struct recent *r = recent_next(c, kind);

	r->type = e->type;
	if (kind == RECENT_ENTRY && likely(e->type == EV_NONE))
		return;
	r->info = e->payload;
	r->error = e->error;
	r->vector = e->vector;
	r->has_error = e->has_error;
}
/* It is in lastexit. */
static inline void recent_exit(struct cpu *c)
{
	recent_next(c, RECENT_EXIT)->info = c->lastexit_n - 1;
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
