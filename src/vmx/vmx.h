/*
 * vmx: Intel's Virtual Machine Extensions. entry.c: VMLAUNCH and VMRESUME (read it first); checks_*.c: the entry checks
 * as rows, checks.c: their runner, explain.c: a refusal in words, decode.c: values in words, diary.c: who set each
 * field; insn_checks.c: why instructions fail, as rows, explain_insn.c: the only way for one to fail; explain_paging.c,
 * explain_abort.c: EPT misconfigurations and VMX aborts in words; exit.c: VM exits; map.h: the state map, a row for
 * each field of the VMCS; state.c, fields.h, fields.c: the loads and saves, the encodings and the field table that come
 * from it; events.c: events as the VMCS has them; msr_areas.c: lists of MSRs; exits.c: a row for each exit reason;
 * smm_default.c: SMI and RSM without a monitor in SMM; smm_monitor.c, smm_entry.c: the dual-monitor treatment, into SMM
 * and out of it; intercepts.c: controls to intercepts, and what decides beside them; ept.c: the second stage and the
 * TLB spaces; vapic.c: the virtual APIC; spp.c: sub-page write permissions; paging_write.c: who may write paging
 * structures; timing.c: the preemption timer, TSC, PAUSE loops; vmfunc.c: VM functions; insns.c: the instructions;
 * region.c: the VMCS in memory; msrs.c: capability MSRs from the table of controls; watch.c: what is told to who looks
 * for mistakes; conventions.c: how an instruction tells its outcome; first.c: what the processor of 2004 does in
 * another way; ops.c: the table of all that the processor calls. No file leads back to one that leads to it. What CPUID
 * and the capability MSRs announce works; everything else reads as unsupported. May call: base, arch, mem, cpu. Called
 * by: the processor through cpu->virt, and the models that join the rows below.
 */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include "cpu/cpu.h"
#include "vmx/checks.h"
#include "vmx/diary.h"
#include "vmx/fields.h"
#include "vmx/insn_checks.h"

extern const struct virt_ops vmx_ops;
extern const struct row_set vmx_rows;
extern const struct msr_set vmx_msrs;

#define VMX_REVISION 0x00545301u /* unless the model has its own */
#define VMCS_NONE    (~0ull)
#define VMCS_SHADOW  0x80000000u /* revision word, bit 31: shadow-VMCS indicator */

/* Controls in use, by word and bit: "VM-Execution Control Fields", "VM-Exit Controls", "VM-Entry Controls". */
enum {
	PIN_EXT_INT = 1 << 0,
	PIN_NMI = 1 << 3,
	PIN_VIRTUAL_NMI = 1 << 5,
	PIN_PREEMPTION_TIMER = 1 << 6,
	PIN_POSTED_INT = 1 << 7,
	PROC_INT_WINDOW = 1 << 2,
	PROC_TSC_OFFSET = 1 << 3,
	PROC_HLT = 1 << 7,
	PROC_INVLPG = 1 << 9,
	PROC_MWAIT = 1 << 10,
	PROC_RDPMC = 1 << 11,
	PROC_RDTSC = 1 << 12,
	PROC_CR3_LOAD = 1 << 15,
	PROC_CR3_STORE = 1 << 16,
	PROC_TERTIARY = 1 << 17,
	PROC_CR8_LOAD = 1 << 19,
	PROC_CR8_STORE = 1 << 20,
	PROC_TPR_SHADOW = 1 << 21,
	PROC_NMI_WINDOW = 1 << 22,
	PROC_MOV_DR = 1 << 23,
	PROC_UNCOND_IO = 1 << 24,
	PROC_IO_BITMAPS = 1 << 25,
	PROC_MTF = 1 << 27,
	PROC_MSR_BITMAPS = 1 << 28,
	PROC_MONITOR = 1 << 29,
	PROC_PAUSE = 1 << 30,
	PROC2_APIC_ACCESS = 1 << 0,
	PROC2_EPT = 1 << 1,
	PROC2_DESCRIPTOR = 1 << 2,
	PROC2_RDTSCP = 1 << 3,
	PROC2_X2APIC = 1 << 4,
	PROC2_VPID = 1 << 5,
	PROC2_WBINVD = 1 << 6,
	PROC2_UNRESTRICTED = 1 << 7,
	PROC2_APIC_REGISTER = 1 << 8,
	PROC2_VIRTUAL_INT = 1 << 9,
	PROC2_PLE = 1 << 10,
	PROC2_RDRAND = 1 << 11,
	PROC2_INVPCID = 1 << 12,
	PROC2_VMFUNC = 1 << 13,
	PROC2_SHADOW_VMCS = 1 << 14,
	PROC2_RDSEED = 1 << 16,
	PROC2_PML = 1 << 17,
	PROC2_VE = 1 << 18,
	PROC2_XSAVES = 1 << 20,
	PROC2_MBEC = 1 << 22,
	PROC2_SPP = 1 << 23,
	PROC2_TSC_SCALING = 1 << 25,
	PROC2_USER_WAIT = 1 << 26,
	PROC2_BUS_LOCK = 1 << 30,
	PROC3_PAGING_WRITE = 1 << 2,
	PROC3_VERIFY = 1 << 3,
	PROC3_IPI = 1 << 4,
	PROC3_SPEC_CTRL = 1 << 7,
	EXIT_SAVE_DEBUG = 1 << 2,
	EXIT_HOST64 = 1 << 9,
	EXIT_LOAD_PERF = 1 << 12,
	EXIT_ACK_INT = 1 << 15,
	EXIT_SAVE_PAT = 1 << 18,
	EXIT_LOAD_PAT = 1 << 19,
	EXIT_SAVE_EFER = 1 << 20,
	EXIT_LOAD_EFER = 1 << 21,
	EXIT_SAVE_TIMER = 1 << 22,
	ENTRY_SMM = 1 << 10,
	ENTRY_NO_DUAL = 1 << 11,
	ENTRY_LOAD_DEBUG = 1 << 2,
	ENTRY_GUEST64 = 1 << 9,
	ENTRY_LOAD_PERF = 1 << 13,
	ENTRY_LOAD_PAT = 1 << 14,
	ENTRY_LOAD_EFER = 1 << 15,
};
#define PROC_SECONDARY (1u << 31)
#define EXIT_SECONDARY (1u << 31)

/* cpu->virt_state */
struct vmx {
	u64 vmxon_pa;      /* valid while cpu->virt_root */
	u64 current;       /* VMCS_NONE: none */
	u64 f[VMCS_SLOTS]; /* the current VMCS */
	u64 shadow;        /* of a guest's VMREAD and VMWRITE; VMCS_NONE: none */
	u64 shadow_f[VMCS_SLOTS];
	u64 launched;
	u64 space_key[64]; /* (VPID << 52 | EPTP 51:12 >> 12), interned: slot n is TLB space n + 1 */
	u64 space_next;
	u64 space_now;      /* cache: the key of the guest that ran last, in slot_now; 0: none */
	u16 slot_now;       /* cache */
	bool shares_vpid;   /* cache: other spaces have its VPID */
	u64 preempt_end; /* TSC >> VMX_TIMER_SHIFT at which the preemption timer reaches 0; ~0: it does not run */
	u64 ple_first, ple_last; /* PAUSE-loop exiting: the first PAUSE of this loop, and the one before; 0: none since entry */
	struct timer preempt;    /* cache: armed from preempt_end */
	struct vmx_caps caps;    /* cache: vmx_caps_fill() */
	u16 readers[VMCS_SLOTS]; /* cache: vmx_check_readers() */
	u16 checked;             /* cache: groups of checks that passed and whose fields nobody has written since */
	bool checked_lma;        /* cache: with these values of what VMWRITE does not change */
	u64 checked_entry, checked_cr0; /* cache */
	u32 compiled_for[VMX_WORDS + 1]; /* cache: the controls and exception bitmap behind `compiled`; all 0: not compiled */
	u64 compiled[5];         /* cache: cpu->icpt for them */
	u64 entry_rip;           /* cache: of the VMLAUNCH or VMRESUME under way, for explanations */
	struct vmx_diary *diary, *shadow_diary; /* evidence: of the current VMCS and of `shadow`; NULL: none */
	struct vmx_shelf *shelf; /* evidence: of the first processor, everybody's */
	u64 told_entry[64];      /* evidence: EPT misconfigurations that were told */
	u64 smm_ctl;         /* IA32_SMM_MONITOR_CTL */
	u64 transfer;        /* the SMM-transfer VMCS pointer; valid while `dual` */
	bool dual;           /* the dual-monitor treatment is active */
	/* "Default Treatment of SMI Delivery": kept inside the processor until RSM; the current VMCS stays where it is */
	u8 smi_from;         /* enum vmx_smi_from */
	bool smi_vmxe;       /* CR4.VMXE */
	u8 smi_cpl;          /* "VMX-critical state": SS.DPL. No SMI is taken under blocking by STI or MOV SS */
	bool smi_v86, smi_virtual_nmi, smi_mtf; /* ... RFLAGS.VM, virtual-NMI blocking, a pending MTF VM exit */
	u64 smi_pdpte[4];    /* of a guest under EPT, whose CR3 is no physical address */
	u8 injecting;
	u8 apic_todo;    /* enum vmx_apic_todo: left by the instruction for its end */
	u8 virq;         /* a virtual interrupt is recognised */
	u8 is_shadow;    /* the current VMCS is a shadow VMCS */
	u16 apic_offset; /* what apic_todo is about */
	u8 walk_key;     /* cache: kind of EPT behind `walk`; 0: none yet */
	struct walk_mode walk; /* cache */
};

#define VMX_VMFUNC_EPTP_SWITCHING 1u /* VM functions: bit 0 of the controls and of IA32_VMX_VMFUNC */
/* IA32_VMX_MISC bits 4:0. Every cycle counts: a world switch costs no more than an instruction here, and a guest of a few
 * instructions is to see the timer move. */
#define VMX_TIMER_SHIFT 0
enum vmx_smi_from { VMX_SMI_OUTSIDE, VMX_SMI_ROOT, VMX_SMI_GUEST }; /* where it found the processor */
enum vmx_apic_todo { VMX_TODO_NONE, VMX_TODO_TPR, VMX_TODO_WRITE, VMX_TODO_EOI, VMX_TODO_X2APIC_ICR, VMX_TODO_SELF_IPI };

static inline struct vmx *vmx_of(const struct cpu *c)
{
	return c->virt_state;
}
static inline u64 vmcs_get(const struct vmx *v, u32 encoding)
{
	return v->f[vmcs_slot(encoding)];
}
static inline void vmcs_set(struct vmx *v, u32 encoding, u64 value)
{
	v->f[vmcs_slot(encoding)] = value;
}
/* What software writes is checked at the next entry; what the processor itself stores needs no look. */
static inline void vmcs_written(struct vmx *v, u32 encoding)
{
	v->checked &= (u16)~v->readers[vmcs_slot(encoding)];
}
static inline u32 vmx_proc2(const struct vmx *v)
{
	return vmcs_get(v, VMCS_PROC_CONTROLS) & PROC_SECONDARY ? (u32)vmcs_get(v, VMCS_PROC2_CONTROLS) : 0;
}

static inline u64 vmx_proc3(const struct vmx *v)
{
	return vmcs_get(v, VMCS_PROC_CONTROLS) & PROC_TERTIARY ? vmcs_get(v, VMCS_PROC3_CONTROLS) : 0;
}
static inline bool vmx_virtual_nmis(const struct vmx *v)
{
	return (vmcs_get(v, VMCS_PIN_CONTROLS) & PIN_VIRTUAL_NMI) != 0;
}

/* ---- msrs.c: what is supported ---- */
/* What this model with these features reports and obeys; the widths and control-register bits are the caller's. */
void vmx_caps_of(const struct feature_set *f, const struct cpu_model *m, struct vmx_caps *p);
void vmx_caps_fill(struct cpu *c); /* at reset, and whenever features or widths may have changed */
static inline const struct vmx_caps *vmx_caps(const struct cpu *c)
{
	return &vmx_of(c)->caps;
}
static inline u32 vmx_revision(const struct cpu *c)
{
	return (u32)bits(vmx_caps(c)->basic, 30, 0);
}
struct vmx_control {
	u8 word, bit; /* enum vmx_word */
	bool here;
	const char *name; /* as the manual has it */
};
extern const struct vmx_control vmx_controls[];
extern const size_t vmx_control_count;
enum feature vmx_control_feature(const struct vmx_control *k); /* whose absence takes it away; FEAT_NONE: it stays */
#define VMX_CR0_FIXED0       (CR0_PE | CR0_NE | CR0_PG)
#define VMX_CR4_FIXED0       CR4_VMXE
u64 vmx_cr0_fixed0(const struct cpu *c); /* of the processor as it is: an unrestricted guest is free to clear PE and PG */
#define FEATURE_CONTROL_BITS 5ull /* lock, VMX outside SMX */
#define MSR_FEATURE_CONTROL  0x3au
#define MSR_SMM_MONITOR_CTL  0x9bu
u64 vmx_monitor_ctl_bits(const struct cpu *c);
const struct msr_row *vmx_msr_row(u32 index); /* on a model that lacks it, too; NULL: none of VMX */

/* ---- conventions.c ---- */
static inline enum xr vmx_succeed(struct cpu *c)
{
	cc_set_flags(c, 0);
	return XR_OK;
}
enum xr vmx_fail_invalid(struct cpu *c);
enum xr vmx_fail(struct cpu *c, unsigned error); /* VMfailValid with a current VMCS, otherwise VMfailInvalid */

/* ---- explain.c: what every refusal says; explain_insn.c: instructions that fail ---- */
struct check_field vmx_field_told(const struct cpu *c, u32 encoding); /* of the current VMCS, and who set it */
struct refusal vmx_refusal(const struct cpu *c, enum refusal_kind kind, const char *event, u64 rip);
void vmx_explain_fields(const struct cpu *c, struct refusal *r, const struct vmx_image *g,
                        const struct vmx_check *k); /* all that the row reads */
/* The instruction fails: it is told why, and the row's outcome is returned. operand: where the row asks for another value. */
enum xr vmx_refuse_insn(struct cpu *c, const struct insn *i, enum vmx_why why, u64 value, u64 operand);
#define VMX_CALL_CONTROLS 20
enum xr vmx_refuse_call(struct cpu *c, const struct insn *i, const struct vmx_image *g, const struct vmx_check *k);
enum xr vmx_unavailable(struct cpu *c, const struct insn *i); /* insn_row.unavailable */
extern const struct gp_reasons vmx_gp_reasons;

/* ---- fields.c ---- */
size_t vmx_fields(const struct cpu *c, struct block_field *out, size_t room);
size_t vmx_fields_of(const struct cpu *c, const u64 *values, struct block_field *out, size_t room); /* by slot */

/* ---- view.c: what a debugger asks ---- */
size_t vmx_fields_at(struct cpu *c, u64 pa, struct block_field *out, size_t room);
bool vmx_view(const struct cpu *c, bool guest, struct virt_view *out);
void vmx_words(const struct cpu *c, u32 key, u64 value, char *out, size_t size);

/* ---- told.c ---- */
void vmx_exit_told(const struct cpu *c, const struct exit_record *x, struct exit_told *o);
bool vmx_exit_at(size_t n, u64 *code, const char **name);

/* ---- region.c. The VMCS region: revision, abort indicator, launch state, then the fields. ---- */
void vmx_region_enter(struct cpu *c, u64 pa, bool is_shadow); /* becomes the current VMCS */
void vmx_region_leave(struct cpu *c);                         /* the current one goes back to memory */
u64 *vmx_shadow(struct cpu *c); /* in a guest: the shadow VMCS at the link pointer, by slot */
void vmx_shadow_leave(struct cpu *c, u64 pa); /* goes back to memory if it is the one at pa */
void vmx_region_peek(struct cpu *c, u64 pa, u64 f[VMCS_SLOTS], bool *launched); /* of one that may be the current one */
#define VMCS_REGION_ABORT    4
#define VMCS_REGION_LAUNCHED 8
#define VMCS_REGION_FIELDS   16

/* ---- entry.c ---- */
enum xr vmx_enter(struct cpu *c, const struct insn *i, bool resume);
void vmx_guest_begin(struct cpu *c); /* non-root operation as the controls of the current VMCS have it */
void vmx_image_fill(struct cpu *c, const u64 *f, bool resume, struct vmx_image *g);
enum xr vmx_refuse(struct cpu *c, const struct insn *i, const struct vmx_image *g, const struct vmx_check *k);
enum xr vmx_entry_failure(struct cpu *c, unsigned reason, u64 qualification);
void vmx_inject(struct cpu *c, struct vmx *v);

/* ---- smm_default.c ---- */
void vmx_smm_enter(struct cpu *c, u8 *map);
bool vmx_smm_leave(struct cpu *c, const u8 *map);
enum xr vmx_smm_rsm(struct cpu *c, const struct insn *i);

/* ---- smm_monitor.c ---- */
/* The MSEG revision identifier of this processor, IA32_VMX_MISC bits 63:32. */
#define VMX_MSEG_REVISION 0x0054534du
#define SMM_CTL_VALID          BIT(0)
#define SMM_CTL_KEEPS_BLOCKING BIT(2) /* VMXOFF leaves SMIs blocked */
#define SMM_CTL_BASE           mask(31, 12)
enum xr vmx_smm_smi(struct cpu *c);
enum xr vmx_smm_call(struct cpu *c, const struct insn *i); /* VMCALL in root operation, behind its faults */
void vmx_smm_exit(struct cpu *c, const struct exit_request *x); /* by SMI, or from root operation */

/* ---- smm_entry.c ---- */
enum xr vmx_smm_return(struct cpu *c, const struct insn *i, bool resume);
/* The current VMCS with the VM-execution controls of the executive VMCS; NULL: the return is to root operation. */
void vmx_image_merge(u64 out[VMCS_SLOTS], const u64 *current, const u64 *executive, const struct vmx_caps *caps);

/* ---- events.c ---- */
struct event vmx_event_from_info(u64 info, u32 error, unsigned len);
u64 vmx_info_from_event(const struct event *e);

/* ---- state.c ---- */
void vmx_guest_load(struct cpu *c, const u64 pdpte[4]); /* the PDPTEs that were checked */
void vmx_guest_save(struct cpu *c, const struct exit_request *why);
void vmx_host_load(struct cpu *c, bool host64);

/* ---- first.c: in place of the functions of state.c with QUIRK_VMX_FIRST ---- */
void vmx_first_region(struct cpu *c); /* a VMCS has become the current one */
void vmx_first_guest_load(struct cpu *c, const u64 pdpte[4]);
void vmx_first_guest_save(struct cpu *c, const struct exit_request *why);
void vmx_first_host_load(struct cpu *c, bool host64);

/* ---- msr_areas.c ---- */
/* 0, or the 1-based entry that failed. */
u32 vmx_load_msrs(struct cpu *c, u64 addr, u32 count);
u32 vmx_store_msrs(struct cpu *c, u64 addr, u32 count);
/* "VM-Entry MSR-load area" and its siblings, most of which are empty. */
static inline u32 vmx_msr_area(struct cpu *c, u32 addr, u32 count, u32 (*move)(struct cpu *c, u64 addr, u32 count))
{
	const struct vmx *v = vmx_of(c);

	return likely(!vmcs_get(v, count)) ? 0 : move(c, vmcs_get(v, addr), (u32)vmcs_get(v, count));
}
/* IA32_VMX_MISC[27:25] = 0. Behind the recommended maximum behaviour is undefined; here the list is refused, so that no
 * list can hold the machine up for hours. */
#define VMX_MSR_LIST_MAX 512u

/* ---- exit.c ---- */
void vmx_exit(struct cpu *c, const struct exit_request *x);
void vmx_load_host(struct cpu *c);
void vmx_guest_end(struct cpu *c); /* all that non-root operation has switched on goes off, but for the timer */
/* The two halves of an exit: what it tells and what it saves (marks: bits of the exit reason), and what is loaded. */
u64 vmx_exit_save(struct cpu *c, const struct exit_request *x, u64 marks);
void vmx_exit_load(struct cpu *c);
void vmx_record_exit(struct cpu *c, u64 reason, u64 qualification, u64 rip);
void vmx_abort(struct cpu *c, u32 indicator, u32 number); /* number: of the MSR area's entry */

/* ---- watch.c: with c->watch ---- */
void vmx_watch_written(struct cpu *c, u32 encoding);
void vmx_watch_read(struct cpu *c, u32 encoding, u64 value);
void vmx_watch_read_by_entry(struct cpu *c, const struct insn *i, bool resume);
void vmx_watch_entering(struct cpu *c);
void vmx_watch_entered(struct cpu *c);
void vmx_watch_exit(struct cpu *c, const struct exit_request *x, u64 reason);
void vmx_watch_saved(struct cpu *c); /* the first part of it alone */

/* ---- exits.c: the rows of the exit reasons ---- */
enum vmx_exit_kind {
	VMX_EXIT_EVENT,  /* exceptions, interrupts, what is between instructions */
	VMX_EXIT_INSN,   /* fault-like: an instruction exits by design */
	VMX_EXIT_ACCESS, /* fault-like: of an instruction that is to run again */
	VMX_EXIT_TRAP,   /* trap-like: behind an instruction */
	VMX_EXIT_ENTRY,  /* of a VM entry that failed */
};
enum vmx_exit_field {
	VMX_EXIT_LENGTH = 1,      /* VM-exit instruction length, where an instruction caused it */
	VMX_EXIT_INFO = 2,        /* VM-exit instruction information */
	VMX_EXIT_KEEPS_DEBUG = 4, /* guest pending debug exceptions, also without blocking by MOV SS */
	VMX_EXIT_UNBLOCKING = 8,  /* bit 12 of the qualification: NMI unblocking due to IRET */
};
/* An instruction's wish to exit. */
struct vmx_asked {
	const struct cpu *c;
	const struct insn *insn;
	enum icpt id;
	u64 q; /* what came with the intercept */
};
struct vmx_exit_row {
	const char *name; /* NULL: no such reason here */
	u8 kind, fields;
	u64 (*qualification)(const struct vmx_asked *a); /* NULL: 0 */
	const char *described;                           /* what it is made of */
};
#define VMX_REASONS 75u
extern const struct vmx_exit_row vmx_exit_rows[VMX_REASONS];
u64 vmx_linear_operand(const struct cpu *c, const struct insn *i);
unsigned vmx_exit_reason(unsigned icpt); /* basic reason; RDMSR's for both kinds of MSR access */

/* ---- intercepts.c ---- */
void vmx_compile_intercepts(struct cpu *c);
enum xr vmx_intercept(struct cpu *c, const struct insn *i, enum icpt id, u64 q);
enum xr vmx_io(struct cpu *c, const struct insn *i, const struct io_access *io);
enum xr vmx_msr(struct cpu *c, const struct insn *i, u32 index, bool write);
enum xr vmx_cr_write(struct cpu *c, const struct insn *i, struct cr_write *w);
u64 vmx_cr_read(struct cpu *c, unsigned n, u64 value);
enum xr vmx_event(struct cpu *c, const struct event *e);
bool vmx_shutdown(struct cpu *c);
bool vmx_undefined(struct cpu *c, enum icpt id);

/* ---- vapic.c ---- */
void vmx_apic_enter(struct cpu *c);
void vmx_apic_leave(struct cpu *c);
bool vmx_virq_ready(struct cpu *c);
int vmx_virq_take(struct cpu *c);
bool vmx_mwait_passes(struct cpu *c);
enum xr vmx_intr(struct cpu *c);
enum xr vmx_trap(struct cpu *c);
u64 vmx_cr8_read(struct cpu *c);
enum xr vmx_cr8_write(struct cpu *c, const struct insn *i, u64 value);
enum xr vmx_page_trap(struct cpu *c, la_t la, u32 len, unsigned access, pa_t *pa);
enum xr vmx_page_trap_physical(struct cpu *c);
bool vmx_x2apic(struct cpu *c, u32 index, bool write, u64 *value, enum xr *r);

/* ---- timing.c ---- */
u64 vmx_tsc(struct cpu *c, u64 value);
u64 vmx_delay(struct cpu *c, u64 ticks);
void vmx_timer_init(struct cpu *c);
void vmx_timer_start(struct cpu *c, u64 value);
void vmx_timer_stop(struct cpu *c);
void vmx_timer_rearm(struct cpu *c);
bool vmx_pause_loop(struct cpu *c);

/* ---- spp.c: a write to which EPT lacks the right alone ---- */
enum vmx_spp { VMX_SPP_DENIED, VMX_SPP_GRANTED, VMX_SPP_MISS, VMX_SPP_MISCONFIG };
enum vmx_spp vmx_spp(struct cpu *c, const struct stage2_req *q, const struct walk_result *w);

/* ---- paging_write.c ---- */
bool vmx_paging_write(const struct vmx *v, const struct stage2_req *q, const struct walk_result *w);
bool vmx_paging_misconfigured(const struct vmx *v, const struct walk_result *w);
bool vmx_unguarded(const struct vmx *v, const struct stage2_req *q, const struct walk_result *w);
bool vmx_verification_fails(const struct vmx *v, const struct stage2_req *q, const struct walk_result *w);

/* ---- vmfunc.c ---- */
enum xr vmx_vmfunc(struct cpu *c, const struct insn *i);

/* ---- explain_paging.c ---- */
enum vmx_ept_cause {
	VMX_EPT_WRITE_ONLY,
	VMX_EPT_EXECUTE_ONLY,
	VMX_EPT_ADDRESS,
	VMX_EPT_TABLE,
	VMX_EPT_LARGE,
	VMX_EPT_MEMORY_TYPE,
	VMX_EPT_PAGING_WRITE,
	VMX_EPT_CAUSES
};
struct vmx_ept_check {
	const char *id, *rule, *manual;
};
extern const struct vmx_ept_check vmx_ept_checks[VMX_EPT_CAUSES];
void vmx_explain_walk(struct cpu *c, const struct stage2_req *q, const struct walk_result *w, const struct walk_step *steps,
                      unsigned count); /* the entries up to the one that is wrong */

/* ---- explain_abort.c ---- */
enum { VMX_ABORT_STORE = 1, VMX_ABORT_PDPTE = 2, VMX_ABORT_LOAD = 4, VMX_ABORT_MODE = 6 };
#define VMX_ABORT_THEN "the processor shut down; the indicator is at byte 4 of the VMCS region"
struct vmx_abort_check {
	u8 indicator;
	const char *id, *words, *rule; /* rule NULL: the row of the MSR says it */
};
extern const struct vmx_abort_check vmx_abort_checks[];
extern const size_t vmx_abort_check_count;
void vmx_explain_abort(struct cpu *c, u32 indicator, u32 number);

/* ---- ept.c ---- */
bool vmx_eptp_ok(const struct cpu *c, u64 eptp);
enum xr vmx_stage2(struct cpu *c, const struct stage2_req *q, struct stage2_res *r);
unsigned vmx_stage2_steps(struct cpu *c, gpa_t gpa, struct walk_step *out, unsigned room); /* virt_ops.memory.steps */
void vmx_stage2_enter(struct cpu *c); /* VM entry, EPTP switching */
u16 vmx_space(struct cpu *c);
void vmx_guest_flushed(struct cpu *c, const struct tlb_match *m);
void vmx_flush_vpid(struct cpu *c, u32 vpid, bool all, bool keep_global); /* all: every VPID but 0 */
void vmx_flush_vpid_page(struct cpu *c, u32 vpid, la_t la);
void vmx_flush_ept(struct cpu *c, u64 eptp, bool all);

#endif
