/*
 * The vendor interface: what the processor core asks of VMX or SVM, in vendor-neutral words. cpu/ names no vendor; the
 * model chooses a const struct virt_ops at reset (virt_none where the model has neither).
 */
#ifndef CPU_VIRT_H
#define CPU_VIRT_H

#include "arch/arch.h"
#include "cpu/state/insn.h"

/* An intercept is named once, for both vendors. Each vendor's table says which control bit enables it and what its exit
 * is called. cpu->icpt is the flat bit vector compiled from the controls at entry. */
enum icpt {
	ICPT_NONE,
	ICPT_CR0_READ, /* + n: CR0..CR15 */
	ICPT_CR0_WRITE = ICPT_CR0_READ + 16,
	ICPT_DR0_READ = ICPT_CR0_WRITE + 16,
	ICPT_DR0_WRITE = ICPT_DR0_READ + 16,
	ICPT_EXC = ICPT_DR0_WRITE + 16, /* + vector 0..31 */
	ICPT_INTR = ICPT_EXC + 32, ICPT_NMI, ICPT_SMI, ICPT_INIT, ICPT_SIPI, ICPT_VINTR /* interrupt window */, ICPT_NMI_WINDOW,
	ICPT_MTF, ICPT_PREEMPTION_TIMER, ICPT_TPR_THRESHOLD,
	ICPT_CR0_SEL_WRITE, ICPT_CLTS, ICPT_LMSW, ICPT_SMSW,
	ICPT_IDTR_READ, ICPT_GDTR_READ, ICPT_LDTR_READ, ICPT_TR_READ,
	ICPT_IDTR_WRITE, ICPT_GDTR_WRITE, ICPT_LDTR_WRITE, ICPT_TR_WRITE,
	ICPT_RDTSC, ICPT_RDTSCP, ICPT_RDPMC, ICPT_PUSHF, ICPT_POPF, ICPT_CPUID, ICPT_RSM, ICPT_IRET, ICPT_SWINT, ICPT_ICEBP,
	ICPT_INVD, ICPT_WBINVD, ICPT_PAUSE, ICPT_HLT, ICPT_INVLPG, ICPT_INVPCID, ICPT_IOIO, ICPT_MSR, ICPT_TASK_SWITCH,
	ICPT_FERR_FREEZE, ICPT_SHUTDOWN, ICPT_XSETBV, ICPT_MONITOR, ICPT_MWAIT, ICPT_MWAIT_ARMED, ICPT_RDPRU,
	ICPT_EFER_WRITE_TRAP, ICPT_CR0_WRITE_TRAP /* + n */, ICPT_CR_WRITE_TRAP_LAST = ICPT_CR0_WRITE_TRAP + 15,
	ICPT_INVLPGB, ICPT_INVLPGB_ILLEGAL, ICPT_MCOMMIT, ICPT_TLBSYNC, ICPT_BUSLOCK, ICPT_IDLE_HLT,
	ICPT_RDRAND, ICPT_RDSEED, ICPT_XSAVES, ICPT_XRSTORS, ICPT_UMWAIT, ICPT_TPAUSE, ICPT_SPLIT_LOCK,
	/* SVM's instructions */
	ICPT_VMRUN, ICPT_VMMCALL, ICPT_VMLOAD, ICPT_VMSAVE, ICPT_STGI, ICPT_CLGI, ICPT_SKINIT, ICPT_INVLPGA,
	/* VMX's instructions */
	ICPT_VMCALL, ICPT_VMCLEAR, ICPT_VMLAUNCH, ICPT_VMPTRLD, ICPT_VMPTRST, ICPT_VMREAD, ICPT_VMRESUME, ICPT_VMWRITE,
	ICPT_VMXOFF, ICPT_VMXON, ICPT_INVEPT, ICPT_INVVPID, ICPT_VMFUNC, ICPT_GETSEC,
	/* from the second stage and the virtual APIC */
	ICPT_STAGE2, ICPT_STAGE2_MISCONFIG, ICPT_APIC_ACCESS, ICPT_APIC_WRITE, ICPT_VIRTUAL_EOI, ICPT_PML_FULL, ICPT_SPP,
	ICPT_RDPID, ICPT_UMONITOR,
	ICPT_COUNT
};
_Static_assert(ICPT_COUNT <= 320, "cpu->icpt holds five words");

/* The wish to leave the guest. Exits are fault-like (rip of the instruction) unless trap is set. */
struct exit_request {
	u16 id;             /* enum icpt; ICPT_EXC + vector for exceptions, NMI included */
	bool trap;          /* the instruction completed: rip is already that of the next one */
	u64 q[2];           /* the intercept's own: port and direction, MSR and direction, selector and cause, error code... */
	la_t linear;        /* valid with has_linear */
	gpa_t gpa;
	bool has_linear;
	const struct insn *insn; /* the instruction that caused it, NULL for events between instructions */
	struct event event;     /* exceptions and interrupts: what was intercepted */
	bool nmi_unblocked;     /* the IRET that asks for it has just ended NMI blocking */

	/* From here on by run/, which knows what was under way. */
	struct event vectoring; /* what was being delivered when the exit arose; type EV_NONE: nothing */
	u8 activity;        /* enum activity before the event woke the processor; events between instructions only */
	bool faulted;       /* the event, or what was being delivered, is a fault: RF is set in RFLAGS as pushed */
	bool fetching;      /* it arose in the fetch of an instruction */
	u64 held_db;        /* data breakpoints, and BS by MOV SS, that were pending before the instruction */
};

/* What hooks see of a finished exit. */
struct exit_record {
	u64 code;           /* exit reason or EXITCODE */
	const char *name;   /* "VMEXIT_NPF", "EPT violation" */
	u64 info[2];
	u64 guest;          /* physical address of the VMCS or VMCB */
	u64 rip;            /* guest rip saved */
};

/* The same in words: what the exit's qualification or information says, and the events that belong to it. */
struct exit_told {
	char text[160]; /* "" where there is nothing to say */
	struct event event;     /* what exited; type EV_NONE: no event */
	struct event vectoring; /* what was being delivered */
	gpa_t gpa;
	la_t linear;
	bool has_gpa, has_linear;
};

/* Who gave something its value. */
enum origin_kind {
	ORIGIN_UNKNOWN,
	ORIGIN_NEVER,   /* nobody since VMCLEAR */
	ORIGIN_VMWRITE,
	ORIGIN_STORE,
	ORIGIN_EXIT,    /* saved by a VM exit */
	ORIGIN_EARLY    /* a store before the first VMRUN of this page */
};
struct origin {
	u8 kind;            /* enum origin_kind */
	u8 cpu;
	bool placed;        /* rip, cpu and insn are known */
	la_t rip;           /* linear, of the instruction */
	u64 insn;
	u64 n, code;        /* ORIGIN_EXIT: the how manieth of this control block, from 1; its reason or EXITCODE */
	const char *name;   /* ... what that is called */
};

/* What failed: a VM entry or VMRUN, another instruction of VMX, SVM or SMM, a VM exit (VMX abort, shutdown), a walk
 * through second-level tables, a guest (triple fault); or what the sanitizer found. */
enum refusal_kind {
	REFUSAL_ENTRY,
	REFUSAL_INSN,
	REFUSAL_ABORT,
	REFUSAL_PAGING,
	REFUSAL_SHUTDOWN,
	REFUSAL_SANITIZE,
	REFUSAL_KINDS
};

/* Told by the vendor's check runner to whoever listens. The first field is the culprit. */
struct check_field {
	const char *name;   /* "VMCB+0x058 guest ASID" */
	u64 value;
	u8 width;           /* bytes to show in full, 0: as many digits as it takes */
	bool keyed;         /* key is valid */
	u32 key;            /* the field's encoding, or its offset in the VMCB */
	char decoded[192];  /* "" if the value needs no decoding */
	struct origin set;
};
struct refusal_line {
	const char *label;  /* "walk", "use", "flush", "set", "note" */
	char text[192];
	struct origin who;  /* of kind ORIGIN_UNKNOWN: not shown; else behind the text */
};
struct refusal {
	enum refusal_kind kind;
	const char *event;  /* the block's first line without the prefix */
	const char *check, *rule, *manual, *then;
	const char *fix;    /* NULL unless one fix is the usual one */
	struct check_field field[9];
	unsigned fields;
	struct refusal_line line[12]; /* behind the fields, in this order */
	unsigned lines;
	char also[1024];    /* every other failing id, comma-separated; "none"; "": not asked */
	u64 rip, insn;      /* of the entering instruction */
	u64 guest, code, info[2]; /* as in struct exit_record; an instruction that failed: the VM-instruction error */
	unsigned cpu;
};

/* A field of a control block that is not what it was at the block's last successful entry. */
struct check_change {
	const char *name;   /* as in struct check_field, and so are width, keyed, key */
	u64 was, now;
	u8 width;
	bool keyed;
	u32 key;
	struct origin set;
};

/* A guest's own triple fault, to --fail-on and --expect. */
#define CHECK_GUEST_SHUTDOWN "guest.triple-fault"

/* A field of a guest's control block, for who wants to see it. */
enum block_part { BLOCK_CONTROL, BLOCK_GUEST, BLOCK_HOST, BLOCK_EXIT, BLOCK_PARTS };
struct block_field {
	const char *name; /* as in struct check_field */
	u8 part;          /* enum block_part */
	u8 width;         /* bytes */
	u32 key;          /* its encoding, or its offset in the VMCB */
	u64 value;
};

/* How one side of a world switch translates addresses: for a debugger, which may stand on the other one. */
struct virt_view {
	u64 cr0, cr3, cr4, efer, pat;
	bool nested, ept;  /* there is a second stage; it is EPT, or else guest paging as the host has it */
	u64 root;          /* of the second stage: EPTP, nCR3 */
};

struct tlb_match;
struct walk_memo;
struct walk_step;
enum stage2_why { S2_FINAL, S2_TABLE, S2_PDPTE_LOAD };
struct stage2_req {
	gpa_t gpa;
	enum stage2_why why;
	u8 access;          /* enum acc bits wanted now */
	bool crosses;       /* S2_FINAL: the access goes on in another page */
	u16 length;         /* S2_FINAL: bytes of it in this page; 0: not known */
	bool unguarded;     /* S2_FINAL: the answer for some paging structure of this translation was `unguarded` */
	bool user;          /* the linear address is a user-mode address: U/S set at every level, or paging off (mode-based execute) */
	u8 perms;           /* S2_FINAL: enum acc bits that the first stage grants */
	u8 memtype;         /* S2_FINAL: the first stage's PAT type; WB while paging is off */
	bool set_dirty;     /* S2_TABLE: the walk is about to write an accessed or dirty bit */
	la_t linear;
	bool has_linear;
	struct walk_memo *memo; /* for the walk_request; NULL: not wanted */
	bool peek;          /* a debugger asks: no exit is built, no accessed or dirty bits set; not XR_OK: not mapped */
};
struct stage2_res {
	pa_t pa;
	u8 perms;           /* enum acc bits this translation allows, for caching */
	bool dirty_ok;      /* writes may be cached: the entry's dirty bit is set or not kept */
	u8 page_shift;      /* 12, 21, 22, 30 */
	u8 memtype;
	bool unguarded;     /* S2_TABLE: the vendor's own, handed back with S2_FINAL */
};

struct io_access {
	u16 port;
	u8 size;      /* 1, 2, 4 */
	bool in, string, rep, imm;
	u8 addrsz, seg;
	la_t linear;  /* string forms */
};

enum cr_op { CR_MOV, CR_CLTS, CR_LMSW };
struct cr_write {
	unsigned n;
	enum cr_op op;
	u64 value;   /* what the instruction would write to the register; the vendor may merge host-owned bits */
	u16 operand; /* LMSW's, as it is */
};

/* What becomes of an INIT: it resets the processor, stays pending, or is gone and #SX instead. */
enum init_answer { INIT_TAKEN, INIT_HELD, INIT_REDIRECTED };

/* Registers whose values the architecture restricts further while virtualisation is on. */
enum control_register { CONTROL_CR0, CONTROL_CR4, CONTROL_EFER };

/* Says why the instruction under way is #GP by what it writes, if that has to do with virtualisation: each vendor of its
 * own bits and MSRs, on a model that lacks them, too. What kernels read to learn whether it is there is no failure. Asked
 * only while somebody listens. */
struct gp_reasons {
	void (*cr)(struct cpu *c, enum control_register which, u64 value); /* CR0 or CR4 */
	void (*rdmsr)(struct cpu *c, u32 index);
	void (*wrmsr)(struct cpu *c, u32 index, u64 value);
};

/*
 * A vendor fills every group. What it does not have stands as one of the defaults below, so that nobody asks for NULL;
 * virt_none has guests of no kind, and leaves the groups that only guests reach empty.
 */
struct virt_ops {
	const char *name;  /* "svm", "vmx", "none" */
	const char *block; /* what the manual calls the control block of a guest: "VMCB", "VMCS" */
	bool block_in_memory; /* software reads and writes it as memory; otherwise by instructions */
	u64 (*block_at)(const struct cpu *c); /* where that of the guest that runs, or ran last, lies; UINT64_MAX: nowhere */

	/* The fields of that one as they are now, and of a host that is kept elsewhere; up to `room`. Returns how many. */
	size_t (*fields)(const struct cpu *c, struct block_field *out, size_t room);
	/* The same of the control block at pa, which may be another one. 0: there is none. */
	size_t (*fields_at)(struct cpu *c, u64 pa, struct block_field *out, size_t room);
	/* A value of one of those in words; "" if it needs none. */
	void (*decode)(const struct cpu *c, u32 key, u64 value, char *out, size_t size);
	/* The guest that runs or ran last, or its host. false: there is none. */
	bool (*view)(const struct cpu *c, bool guest, struct virt_view *out);
	/* What changed in the current one since its last successful entry: returns how many, of which `room` are told. */
	size_t (*changed)(const struct cpu *c, struct check_change *out, size_t room);
	/* The id of every check that this vendor's refusals can carry; NULL behind the last. Some come twice. */
	const char *(*check_id)(size_t n);

	/* An exit in words. `c`: the processor it has just left, where more can be read; NULL: none. */
	void (*exit_told)(const struct cpu *c, const struct exit_record *x, struct exit_told *out);
	/* The exits that there are, one after the other, for who looks for one by its name. false: n is past the last. */
	bool (*exit_at)(size_t n, u64 *code, const char **name);

	struct {
		enum status (*init)(struct cpu *c); /* allocate cpu->virt_state */
		void (*fini)(struct cpu *c);
		void (*reset)(struct cpu *c, bool init); /* RESET, or INIT */
		void (*loaded)(struct cpu *c); /* rows were loaded from outside: caches are stale, timers not armed */
		const struct state_row *rows;  /* over cpu->virt_state */
		size_t row_count;
	} life;

	/* What the architecture adds to a processor that may have guests. */
	struct {
		enum init_answer (*init)(const struct cpu *c); /* INIT that no intercept takes */
		void (*started)(struct cpu *c);                /* a Startup IPI has found it waiting */
		bool (*control_ok)(const struct cpu *c, enum control_register which, u64 value); /* false: #GP */
		bool (*a20_blocked)(const struct cpu *c);      /* A20M has no effect */
		bool root_blocks_init;                         /* while virt_root is set, INIT stays pending */
	} rules;

	/* System-management mode. `map`: the save-state map from SMBASE + FE00h on, 512 bytes. */
	struct {
		/* An SMI is about to be taken: XR_OK by the default treatment, XR_EXIT as an exit. */
		enum xr (*smi)(struct cpu *c);
		/* Before the common state is saved: leave the guest and the vendor's operation with the registers as they
		 * are, keep what RSM brings back. */
		void (*enter)(struct cpu *c, u8 *map);
		/* RSM has loaded the common state: back into operation and guest. false: illegal state, a shutdown. */
		bool (*leave)(struct cpu *c, const u8 *map);
		enum xr (*rsm)(struct cpu *c, const struct insn *i); /* RSM in SMM, behind its intercept: may it? */
	} smm;

	/* Called only while cpu->guest, and where flat bits exist only if the bit is set. Each returns XR_OK to go on,
	 * XR_EXIT with cpu->exit filled. */
	struct {
		enum xr (*intercept)(struct cpu *c, const struct insn *i, enum icpt id, u64 q);
		/* An instruction that the vendor's controls take away: #UD, before privilege is looked at. */
		bool (*undefined)(struct cpu *c, enum icpt id);
		enum xr (*io)(struct cpu *c, const struct insn *i, const struct io_access *io);
		enum xr (*msr)(struct cpu *c, const struct insn *i, u32 index, bool write);
		/* An MSR that the vendor virtualises, behind the intercept. true: done, *r tells how. */
		bool (*msr_virtual)(struct cpu *c, const struct insn *i, u32 index, bool write, u64 *value, enum xr *r);
		enum xr (*cr_write)(struct cpu *c, const struct insn *i, struct cr_write *w);
		u64 (*cr_read)(struct cpu *c, unsigned n, u64 value);   /* read shadow; the intercept is a flat bit */
		enum xr (*event)(struct cpu *c, const struct event *e); /* exception about to be delivered */
		/* While lock_exits: a bus lock is about to be taken. With lock_traps completed() is told of it afterwards. */
		enum xr (*bus_lock)(struct cpu *c);
		enum xr (*completed)(struct cpu *c); /* PEND_VENDOR: what the instruction that just completed left to do */
		bool (*shutdown)(struct cpu *c);     /* triple fault: true if it became an exit request */
		u64 shutdown_code;                   /* that exit's reason or EXITCODE */
		void (*exit)(struct cpu *c, const struct exit_request *x); /* leaving: called by run.c only */
		bool lock_traps;
		/* MOV CR and MOV DR exit before the value, CPL and CR4.DE are checked; otherwise after every non-memory check. */
		bool intercept_first;
	} guest;

	struct {
		enum xr (*stage2)(struct cpu *c, const struct stage2_req *q, struct stage2_res *r);
		/* Accesses to the page cpu->trap_page, behind the translation: redirect *pa (a virtual APIC), or XR_EXIT. */
		enum xr (*page_trap)(struct cpu *c, la_t la, u32 len, unsigned access, pa_t *pa);
		/* The guest invalidated translations of its space, all or those of a page: others may share them. */
		void (*flushed)(struct cpu *c, const struct tlb_match *m);
		/* The second-level entries that translate gpa, the root's first, as a debugger reads them; returns how many,
		 * 0: there is no second stage. */
		unsigned (*steps)(struct cpu *c, gpa_t gpa, struct walk_step *out, unsigned room);
	} memory;

	struct {
		/* Virtual interrupts and NMIs: is one deliverable now (IF, shadow, priority considered)? and take it. */
		bool (*virq_ready)(struct cpu *c);
		int (*virq_take)(struct cpu *c); /* vector */
		bool (*vnmi_ready)(struct cpu *c);
		void (*vnmi_take)(struct cpu *c);
		u64 (*cr8_read)(struct cpu *c); /* the TPR as the guest sees it */
		enum xr (*cr8_write)(struct cpu *c, const struct insn *i, u64 v);
		enum xr (*intr)(struct cpu *c); /* an external interrupt while ICPT_INTR is on: XR_OK if the guest keeps running */
		/* Who gates physical interrupts and NMIs: true: *masked decides instead of IF, *blocked of cpu->nmi_blocked. */
		bool (*intr_masked)(struct cpu *c, bool *masked);
		bool (*nmi_masked)(struct cpu *c, bool *blocked);
		bool (*iret_keeps_nmi)(struct cpu *c); /* IRET leaves NMI blocking as it is */
		void (*iret_done)(struct cpu *c);      /* IRET completed */
		/* MWAIT that masked interrupts may end: does something of the vendor's end it before it begins? */
		bool (*mwait_passes)(struct cpu *c);
		bool virq_first; /* virtual interrupts rank above physical ones, not below */
	} irq;

	struct {
		u64 (*tsc)(struct cpu *c, u64 tsc);     /* offset and scale */
		u64 (*delay)(struct cpu *c, u64 ticks); /* ticks of the guest's TSC in ticks of the clock */
		u64 (*mperf)(struct cpu *c, u64 mperf); /* the maximum performance clock as the guest reads it */
	} time;
};

/* ---- virt.c: defaults ---- */
void virt_nothing(struct cpu *c);
enum init_answer virt_init_taken(const struct cpu *c);
bool virt_never(struct cpu *c);
bool virt_a20_masks(const struct cpu *c);
bool virt_as_ever(struct cpu *c, bool *decided); /* intr_masked, nmi_masked: nobody but IF and cpu->nmi_blocked */
bool virt_all_defined(struct cpu *c, enum icpt id);
bool virt_any_value(const struct cpu *c, enum control_register which, u64 value);
u64 virt_own_value(struct cpu *c, unsigned n, u64 value);
void virt_shares_nothing(struct cpu *c, const struct tlb_match *m);
enum xr virt_goes_on(struct cpu *c);
void virt_smm_entered(struct cpu *c, u8 *map);
bool virt_smm_left(struct cpu *c, const u8 *map);
enum xr virt_rsm_runs(struct cpu *c, const struct insn *i);
enum xr virt_intr_exits(struct cpu *c);
u64 virt_unscaled(struct cpu *c, u64 ticks);
u64 virt_no_block(const struct cpu *c);
size_t virt_no_fields(const struct cpu *c, struct block_field *out, size_t room);
size_t virt_no_fields_at(struct cpu *c, u64 pa, struct block_field *out, size_t room);
void virt_no_words(const struct cpu *c, u32 key, u64 value, char *out, size_t size);
bool virt_no_view(const struct cpu *c, bool guest, struct virt_view *out);
size_t virt_no_changes(const struct cpu *c, struct check_change *out, size_t room);
const char *virt_no_checks(size_t n);
void virt_no_exit(const struct cpu *c, const struct exit_record *x, struct exit_told *out);
bool virt_no_exits(size_t n, u64 *code, const char **name);
extern const struct virt_ops virt_none;

#endif
