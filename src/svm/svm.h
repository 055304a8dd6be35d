/*
 * svm: AMD's Secure Virtual Machine. entry.c: VMRUN (read it first); checks.c: the consistency checks as rows; causes.c:
 * why instructions fail, as rows; explain.c, decode.c: what failed, in words; exit.c:
 * #VMEXIT; map.h: the state map, a row for each field of the VMCB; state.c, fields.c: the loads and saves and the field
 * table that come from it; events.c: events as the VMCB has them; vmcb.c: the VMCB in memory; intercepts.c: the
 * intercept table and the decisions taken in the guest; npt.c: nested paging; virq.c: virtual interrupts and NMIs, TPR,
 * GIF; avic.c: the virtual APIC page; memtype.c: memory types; startup.c: INIT and the Startup IPI; skinit.c: the secure
 * start; smm.c: system-management mode; watch.c: what is told to who looks for mistakes; insns.c and msrs.c: the vendor's rows;
 * ops.c: the table of all that the processor calls. No file leads back to one that leads to it. May call: base, arch,
 * mem, cpu. Called by: the processor through cpu->virt, and the models that join the rows below.
 *
 * What CPUID 8000_000A says for a model with SVM. EAX: revision 1; EBX: SVM_ASIDS; ECX and EDX, by feature name:
 *   real:      NPT LBRV SVM_LOCK NRIP_SAVE TSC_SCALE VMCB_CLEAN FLUSHBYASID DECODEASSISTS PAUSE_FILTER PFTHRESHOLD
 *              AVIC V_VMSAVE_VMLOAD VGIF SVM_SPEC_CTRL TLBI_CTL; by --cpu amd,+...: GMET X2AVIC VNMI IDLE_HLT
 *              BUS_LOCK_THRESHOLD PML; bit 28 (NestedVirtVmcbAddrChk: the intercept precedes the address check) has no
 *              feature name but is how VMRUN, VMLOAD and VMSAVE behave
 *   elsewhere: INVLPGB, INVLPGB_NESTED (8000_0008; insns.c), MCOMMIT (cpu/), the LBR stack (8000_0022; cpu/control/lbr.c)
 *   elsewhere: SKINIT (8000_0001 ECX[12]; skinit.c)
 *   not there: PmcVirt SSSCheck ROGPT HOST_MCE_OVERRIDE IbsVirt ExtLvtAvicAccessChg; EnhancedTlbi, x2AVIC_EXT (ECX)
 * Model `pacifica` has NPT and LBRV, as in 2005, and SKINIT, which SVM includes then and no CPUID bit announces;
 * QUIRK_SVM_FIRST is the rest of the difference.
 */
#ifndef SVM_SVM_H
#define SVM_SVM_H

#include "cpu/cpu.h"
#include "svm/causes.h"
#include "svm/vmcb.h"

extern const struct virt_ops svm_ops;
extern const struct row_set svm_rows;
extern const struct msr_set svm_msrs;
extern const struct gp_reasons svm_gp_reasons;

#define SVM_ASIDS       0x8000u
#define SVM_INVLPGB_MAX 7u /* CPUID 8000_0008h EDX[15:0]: pages beyond the first */

/* VM_CR. DPD has nothing to disable here: there is no debug port. */
#define VM_CR_DPD      BIT(0)
#define VM_CR_R_INIT   BIT(1)
#define VM_CR_DIS_A20M BIT(2)
#define VM_CR_LOCK     BIT(3)
#define VM_CR_SVMDIS   BIT(4)
#define VM_CR_SECURE   (VM_CR_DPD | VM_CR_R_INIT | VM_CR_DIS_A20M) /* what SKINIT sets */

/* What the checks look at beside the VMCB: the processor's own limits and the host's paging mode. */
struct svm_env {
	u8 phys_bits;
	bool long_mode, nested_paging; /* this processor has them */
	u8 pad[5];
	u64 cr4_bits, efer_bits; /* every bit that is defined here */
	u64 host_cr0;
	u32 asids;               /* how many, the host's included: CPUID 8000_000Ah EBX */
	bool first;              /* the SVM of 2005: QUIRK_SVM_FIRST */
	bool avic, x2avic, vnmi; /* this processor has them */
	u32 icpt[6];             /* intercept bits that exist here; others are ignored */
	u64 pdpte[4];            /* read at the guest's CR3 when the check applies, otherwise 0 */
};

/* One VMCB, read once: everything VMRUN decides and loads comes from here. */
struct svm_image {
	struct vmcb_control control;
	struct vmcb_save save;
	struct svm_env env;
	u64 bus_lock_counter, pml_base, pml_index; /* 120h, 1C8h, 1D0h: read where the controls ask for them */
};

/* What VMRUN saves of the host and #VMEXIT reloads. The part that the manual names also goes to VM_HSAVE_PA; #VMEXIT
 * uses this copy ("may store some or all host state in hidden on-chip memory"). */
struct svm_host {
	u64 rip, rsp, rax, rflags;
	u64 cr0, cr3, cr4, efer;
	u64 gdtr_base, idtr_base;
	u64 gdtr_limit, idtr_limit;
	u64 pat, spec_ctrl;
	u64 lbr[5];      /* DBGCTL, BR_FROM, BR_TO, LASTEXCPFROM, LASTEXCPTO */
	u64 seg_base[4]; /* ES, CS, SS, DS, hidden parts included; no padding, so that the state hash repeats */
	u32 seg_limit[4], seg_ar[4];
	u16 seg_sel[4];
};

/* Where a page was when it was opened last: as long as the map is the same, it still is. */
struct svm_place {
	pa_t pa;
	u32 generation; /* of the space that the processor saw */
	struct vmcb_page *page;
	const u8 *flag;
};

enum svm_avic { SVM_AVIC_OFF, SVM_AVIC_X1, SVM_AVIC_X2 };

/* A guest that system-management mode has interrupted: what RSM takes up again. */
struct svm_behind {
	u64 vmcb_pa, vintr, pause_left, pause_last, bus_locks, pml_index; /* as in struct svm */
	u64 pat, spec_ctrl;
	u16 space, host_space;
	bool guest;          /* there is one */
	u8 nested, recheck;
	u8 unused;           /* no padding, so that the state hash repeats */
	struct svm_host host;
	struct svm_image image;
};

/* The exits of one VMCB on one processor. */
struct svm_last {
	pa_t pa;
	u64 n, code, insn, when; /* how many; the last one's EXITCODE, instruction, and time of its VMRUN */
};

/* cpu->virt_state */
struct svm {
	u64 vmcb_pa;                /* of the guest that runs, or ran last */
	u64 vintr;                  /* 060h as it changes while the guest runs */
	u64 pause_left, pause_last; /* PAUSE filter: count and time of the last PAUSE */
	u64 bus_locks;              /* that the guest may still take */
	u64 pml_index;              /* of the next entry that page-modification logging writes */
	struct svm_host host;
	u8 cur;           /* which image is the guest's */
	u8 nested;        /* nested paging is on */
	u8 injecting;     /* the next exception offered is the injected one: no intercept check */
	u8 good;          /* image[cur] passed all checks */
	u8 recheck;       /* check groups whose fields the guest has changed since: 1 << enum svm_group */
	u8 avic;          /* enum svm_avic */
	u16 avic_written; /* register written by the instruction under way: offset | 1; 0: none */
	u16 host_space;   /* TLB space of the host: another one in SMM */
	u8 avic_pending;  /* a deliverable vector was seen in IRR */
	u8 secure_start;  /* the bootstrap processor's: it has executed SKINIT, and its VM_CR was not cleared since */
	u64 cached_pa;    /* whose fields image[cur] caches, for clean bits; ~0: nobody's */
	struct svm_image
	        image[2];    /* the current one, and room for the next: group comparison needs the last good one */
	struct svm_behind behind;
	u32 compiled_for[6]; /* cache: the intercept words behind compiled[] */
	u64 compiled[5];     /* cache: cpu->icpt for them */
	struct walk_mode walk; /* cache: nested paging in the host's mode behind walk_key */
	u64 walk_key;          /* cache; 0: none yet */
	struct svm_place place[8]; /* cache: of the space, by page number */
	struct svm_last last[32]; /* evidence: from the page's number on */
	u8 newest;     /* evidence: which of them is the last exit's */
	bool forgot;   /* evidence: there was no room for a VMCB, or its exits were before this processor's state came */
	bool refusing; /* scratch: the other image is one that is being refused */
};

static inline struct svm *svm_of(const struct cpu *c)
{
	return c->virt_state;
}
static inline const struct vmcb_control *svm_control(const struct cpu *c)
{
	const struct svm *s = c->virt_state;

	return &s->image[s->cur].control;
}

/* ---- checks.c ---- */
enum svm_group { SVM_GROUP_CONTROL, SVM_GROUP_NESTED, SVM_GROUP_CRX, SVM_GROUP_DRX, SVM_GROUP_EVENT, SVM_GROUPS };
#define SVM_CHECK_FIELDS 6
#define SVM_FIELDS_END   0xffff
struct svm_check {
	const char *id;
	u8 group;
	bool (*bad)(const struct svm_image *v);
	const char *rule;
	const char *manual;
	u16 field[SVM_CHECK_FIELDS]; /* VMCB offsets of all it reads; 0xffff ends the list */
	/* Of the first field, for who is told: bits that must be 0 and 1, and what depends on the processor. */
	u8 limit; /* enum svm_limit */
	u64 zero, one;
};
enum svm_limit { SVM_LIMIT_NONE, SVM_LIMIT_EFER, SVM_LIMIT_CR4, SVM_LIMIT_ADDRESS };
extern const struct svm_check svm_checks[];
extern const size_t svm_check_count;
/* The first row that fails from `from` on, within the groups of the mask; NULL: all pass. */
const struct svm_check *svm_check_next(const struct svm_image *v, const struct svm_check *from, u32 groups);
/* "Reserved bits": of a PDPE of legacy PAE paging, which are set. */
static inline u64 svm_pdpe_wrong(u64 e, unsigned phys_bits)
{
	return e & 1 ? e & (0x1e6 | ~mask(phys_bits - 1u, 0)) : 0;
}
/* The groups whose inputs differ from the last image that passed. */
u32 svm_check_groups(const struct svm_image *v, const struct svm_image *good); /* good NULL: all */

/* ---- decode.c ---- */
/* What a field says, "" where its number says all; k: the check that fails, of whose first field it says what is wrong, or
 * NULL. Of the image v alone. */
void svm_decode_field(char *out, size_t size, const struct svm_image *v, const struct svm_check *k, unsigned offset);
void svm_decode_vm_cr(char *out, size_t size, u64 value);

/* ---- explain.c ---- */
void svm_explain(struct cpu *c, const struct svm_image *v, const struct svm_check *first, pa_t pa, u64 rip);
void svm_explain_shutdown(struct cpu *c); /* #VMEXIT could not reload the host */
void svm_explain_walk(struct cpu *c, const struct exit_request *x); /* #VMEXIT(NPF) by reserved bits: before it is left */

/* Why reserved bits of nested page tables are. */
enum svm_paging_cause {
	SVM_ENTRY_NX, SVM_ENTRY_ADDRESS, SVM_ENTRY_SIZE, SVM_ENTRY_PDPE, SVM_ENTRY_LARGE, SVM_ENTRY_OTHER, SVM_PAGING_CAUSES
};
struct svm_paging_check {
	const char *id, *rule, *manual;
};
extern const struct svm_paging_check svm_paging_checks[SVM_PAGING_CAUSES], svm_host_check; /* of #VMEXIT's PDPEs */

/* ---- origin.c ---- */
/* Who gave this field of the VMCB that VMRUN refuses, v, its value. */
void svm_origin(struct cpu *c, const struct svm_image *v, const struct vmcb_field *f, struct origin *o);
void svm_writer(struct cpu *c, pa_t pa, struct origin *o); /* the last store there, if somebody knows */
size_t svm_changed(const struct cpu *c, struct check_change *out, size_t room);
struct svm_last *svm_last_slow(struct svm *s, pa_t pa);
/* An exit of the VMCB at vmcb_pa is over. */
static inline void svm_note_exit(const struct cpu *c, struct svm *s, u64 code)
{
	struct svm_last *l = &s->last[s->newest];

	if (unlikely(l->pa != s->vmcb_pa))
		l = svm_last_slow(s, s->vmcb_pa);
	l->n++;
	l->code = code;
	l->insn = c->insns;
	l->when = s->pause_last;
}

/* ---- intercepts.c ---- */
enum svm_info {
	INFO_NONE,  /* EXITINFO1 and 2 are 0 */
	INFO_VALUE, /* EXITINFO1 = q[0], EXITINFO2 = q[1] */
	INFO_EXC,   /* error code; #PF: and the address */
	INFO_TASK,  /* selector; q[1] is EXITINFO2 as it is */
	INFO_NPF,
};
struct svm_exit_row {
	const char *name;
	u16 icpt;
	u8 info; /* enum svm_info */
	bool nrip;
};
#define SVM_EXIT_ROWS 0xa7u
extern const struct svm_exit_row svm_exit_rows[SVM_EXIT_ROWS]; /* indexed by exit code = bit number of the words */
const struct svm_exit_row *svm_exit_row(u64 code);             /* also NPF, INVALID; NULL: reserved */
u64 svm_exit_code(unsigned icpt);
void svm_compile_intercepts(const u32 words[6], u64 icpt[5]);
enum xr svm_intercept(struct cpu *c, const struct insn *i, enum icpt id, u64 q);
enum xr svm_io(struct cpu *c, const struct insn *i, const struct io_access *io);
enum xr svm_msr(struct cpu *c, const struct insn *i, u32 index, bool write);
enum xr svm_cr_write(struct cpu *c, const struct insn *i, struct cr_write *w);
enum xr svm_event(struct cpu *c, const struct event *e);
bool svm_shutdown(struct cpu *c);

/* ---- vmcb.c ---- */
/* The page of a VMCB, for VMRUN's reads and #VMEXIT's and VMSAVE's writes: the memory itself, or `tmp` where it is
 * not memory that is read and written at the same place. */
struct svm_access {
	pa_t pa;
	struct vmcb_page *page;
	const u8 *flag; /* the page's flag byte; NULL: no memory */
};
void svm_open_slow(struct cpu *c, struct svm_access *a, struct vmcb_page *tmp);
void svm_tell_written(struct cpu *c, const struct svm_access *a);
static inline struct svm_place *svm_place(const struct cpu *c, pa_t pa)
{
	struct svm *s = c->virt_state;

	return &s->place[pa / PAGE_SIZE % ARRAY_LEN(s->place)];
}
static inline void svm_open(struct cpu *c, struct svm_access *a, pa_t pa, struct vmcb_page *tmp)
{
	const struct svm_place *at;

	a->pa = cpu_phys(c, pa);
	at = svm_place(c, a->pa);
	if (likely(at->pa == a->pa && at->generation == cpu_sees(c)->generation)) {
		a->page = at->page;
		a->flag = at->flag;
	} else {
		svm_open_slow(c, a, tmp);
	}
}
static inline void svm_close_written(struct cpu *c, const struct svm_access *a)
{
	if (unlikely(!a->flag || *a->flag))
		svm_tell_written(c, a);
}
bool svm_pa_ok(const struct cpu *c, pa_t pa); /* aligned and within the physical address width */

/* "Page Modification Logging" */
static inline bool svm_pml_on(const struct cpu *c, const struct vmcb_control *ctl)
{
	return unlikely(ctl->nested_ctl & NESTED_PML) && has(c, FEAT_PML);
}

/* Does this guest have its own LBR stack, and the fields of it from one save area to another. */
static inline bool svm_lbr_stack(const struct cpu *c, const struct vmcb_control *ctl)
{
	return unlikely(ctl->virt_ext & VIRT_EXT_LBRV) && has(c, FEAT_LBRV) && has(c, FEAT_AMD_LBR_V2);
}

/* ---- events.c: EVENTINJ and EXITINTINFO ---- */
struct event svm_event_from_intinfo(u64 info, unsigned insn_len);
u64 svm_intinfo_from_event(const struct event *e);

/* ---- segments at the edge: 12-bit attributes and our access rights. "Segment State in the VMCB" ---- */

/* What is not observed is made well-formed, so that the rest of the processor sees an ordinary segment. */
static inline struct seg svm_seg_load(const struct vmcb_seg *v, unsigned which, unsigned la_bits)
{
	struct seg s = {.sel = v->sel,
	                .ar = (v->attrib & 0xffu) | (v->attrib & 0xf00u) << 4,
	                .limit = v->limit,
	                .base = (u64)sign_extend(v->base, la_bits)};

	switch (which) {
	case SEG_CS: s.ar |= AR_P | AR_S; break;
	case SEG_TR: s.ar = (s.ar & ~(u32)AR_S) | AR_P | 3; break;
	case SEG_LDTR: s.ar = (s.ar & ~(u32)(AR_S | AR_TYPE)) | SYS_LDT; break;
	default: s.ar |= AR_S; break;
	}
	if (!(s.ar & AR_P))
		s.ar |= AR_UNUSABLE;
	if (which != SEG_FS && which != SEG_GS && which < SEG_LDTR)
		s.base = (u32)s.base;
	return s;
}

static inline struct vmcb_seg svm_seg_save(const struct seg *s)
{
	u32 ar = s->ar & AR_UNUSABLE ? s->ar & ~(u32)AR_P : s->ar;

	return (struct vmcb_seg){
	        .sel = s->sel, .attrib = (u16)((ar & 0xff) | (ar >> 4 & 0xf00)), .limit = s->limit, .base = s->base};
}

/* ---- state.c ---- */
/* What few guests have, bits of enum svm_part. */
static inline u32 svm_state_rare(const struct cpu *c, const struct vmcb_control *ctl)
{
	return (svm_lbr_stack(c, ctl) ? 1u << SVM_PART_STACK : 0) | (svm_pml_on(c, ctl) ? 1u << SVM_PART_PML : 0) |
	       (unlikely(ctl->icpt[5] & BIT(5)) && has(c, FEAT_BUS_LOCK_THRESHOLD) ? 1u << SVM_PART_LOCKS : 0);
}
/* Beside SVM_PART_VMRUN, what moves with this guest: bits of enum svm_part. */
static inline u32 svm_state_parts(const struct cpu *c, const struct svm *s, const struct vmcb_control *ctl)
{
	return (s->nested ? 1u << SVM_PART_NP : 0) | (has(c, FEAT_SVM_SPEC_CTRL) ? 1u << SVM_PART_SPEC : 0) |
	       ((ctl->virt_ext & VIRT_EXT_LBRV) && has(c, FEAT_LBRV) ? 1u << SVM_PART_LBRV : 0) | svm_state_rare(c, ctl);
}
/* What #VMEXIT tells the monitor. */
struct svm_told {
	u64 code, info1, info2, intinfo, nrip;
	u64 vintr; /* the bits of 060h that change while a guest runs */
	u8 fetched;
	u8 bytes[15];
};
void svm_state_copy(struct svm_image *v, const struct vmcb_page *from);
void svm_state_copy_rare(struct svm_image *v, const struct vmcb_page *from, u32 rare);
void svm_state_keep(struct svm_image *v, const struct svm_image *last, u32 clean);  /* what clean bits let stand */
void svm_state_load(struct cpu *c, struct svm *s, const struct svm_image *v, u32 parts);
/* To the image, whose fields clean bits may ask for, and to memory. The groups of checks whose fields have changed. */
u32 svm_state_save(struct cpu *c, const struct svm *s, struct svm_image *v, struct vmcb_page *page,
                   const struct svm_told *o, u32 parts);
void svm_state_vmload(struct cpu *c, const struct vmcb_save *save);
void svm_state_vmsave(struct cpu *c, struct vmcb_save *save);
void svm_host_save(struct cpu *c, struct svm_host *restrict h, struct vmcb_save *restrict area, u64 rip);
void svm_host_load(struct cpu *c, const struct svm_host *h, u32 parts);

/* ---- fields.c ---- */
u64 svm_field_value(const struct svm_image *v, unsigned offset); /* 0: the image does not have it */
size_t svm_fields(const struct cpu *c, struct block_field *out, size_t room);
size_t svm_fields_at(struct cpu *c, u64 pa, struct block_field *out, size_t room);

/* ---- view.c: what a debugger asks ---- */
bool svm_view(const struct cpu *c, bool guest, struct virt_view *out);
void svm_words(const struct cpu *c, u32 key, u64 value, char *out, size_t size);

/* ---- told.c ---- */
void svm_exit_told(const struct cpu *c, const struct exit_record *x, struct exit_told *o);
bool svm_exit_at(size_t n, u64 *code, const char **name);

/* ---- entry.c ---- */
enum xr svm_enter(struct cpu *c, const struct insn *i, pa_t vmcb);
void svm_control_load(struct cpu *c, struct svm *s, const struct vmcb_control *ctl); /* in guest mode from here on */
void svm_env_fill(struct cpu *c, struct svm_env *e); /* what belongs to the processor, and not to this VMRUN */

/* ---- watch.c: with c->watch ---- */
void svm_watch_vmrun(struct cpu *c, const struct insn *i, pa_t pa); /* before anything of it is read */
void svm_watch_entered(struct cpu *c);
void svm_watch_tlb_control(struct cpu *c, u16 asid, u8 control);
void svm_watch_entering(struct cpu *c, const struct insn *i, const struct svm_image *v, pa_t pa); /* it will run */
void svm_watch_exit(struct cpu *c, const struct exit_request *x, const struct vmcb_page *page, const struct svm_told *o);

/* ---- exit.c ---- */
void svm_exit(struct cpu *c, const struct exit_request *x);
void svm_record_exit(struct cpu *c, u64 code, u64 info1, u64 info2, u64 rip);
/* #VMEXIT's last part, also for a VMRUN that never entered: registers of the host, GIF 0, DR7. */
void svm_leave(struct cpu *c, u32 parts);
/* Not in guest mode any more: nothing is intercepted, translated or trapped. cpu_update_mode() follows. */
static inline void svm_guest_off(struct cpu *c)
{
	c->guest = c->stage2 = c->pdpte_on_demand = c->lock_exits = false;
	memset(c->icpt, 0, sizeof(c->icpt));
	c->inject.type = EV_NONE;
	c->pend &= ~(u32)(PEND_VIRQ | PEND_VENDOR);
	c->trap_page = TRAP_PAGE_NONE;
	c->space = svm_of(c)->host_space;
}

/* ---- skinit.c ---- */
void svm_skinit(struct cpu *c, u32 eax, u64 rip); /* rip: of the instruction, for who is told what went wrong */

/* ---- smm.c ---- */
void svm_smm_enter(struct cpu *c, u8 *map);
bool svm_smm_leave(struct cpu *c, const u8 *map);
bool svm_smm_ctl_write(struct cpu *c, u32 index, u64 value);

/* ---- npt.c ---- */
enum xr svm_stage2(struct cpu *c, const struct stage2_req *q, struct stage2_res *r);
unsigned svm_stage2_steps(struct cpu *c, gpa_t gpa, struct walk_step *out, unsigned room); /* virt_ops.memory.steps */
void svm_stage2_enter(struct cpu *c); /* VMRUN */
/* What the nth entry of a walk is, and which of its bits must be 0 and are not, for who explains it. *s: as the one before
 * left it. */
struct svm_nested_step {
	u64 wrong, no_address; /* bits; those that no address has */
	u64 address;           /* of the table or the page */
	bool maps, no_nx, pdpe; /* a page; NX is reserved; legacy PAE's PDPE */
};
void svm_nested_step(const struct cpu *c, unsigned n, u64 entry, struct svm_nested_step *s);

/* ---- memtype.c: "Combining Memory Types, MTRRs" ---- */
enum { SVM_MT_CD = 8, SVM_MT_WC_PLUS = 9 }; /* beside the MT_ types of PAT and MTRRs */
u8 svm_combine_pat(u8 guest, u8 host);
u8 svm_combine_mtrr(u8 pat, u8 mtrr);
u8 svm_combine_cd(u8 type, bool cache_disabled);
u8 svm_mtrr_type(const struct mtrr_state *m, pa_t pa);

/* ---- startup.c: "INIT Support", "Secure Multiprocessor Initialization" ---- */
enum init_answer svm_init_answer(const struct cpu *c);
void svm_started(struct cpu *c);
/* SKINIT's part of the protocol, once its processor is initialised: from now on Startup IPIs do as the manual has them
 * do behind SKINIT. false: the protocol is not completed, since c is not the bootstrap processor, or another one is not
 * in INIT state. */
bool svm_secure_start(struct cpu *c);
void svm_secure_start_check(struct cpu *c); /* its VM_CR was written */

/* ---- avic.c ---- */
void svm_avic_enter(struct cpu *c);
bool svm_avic_page(const struct cpu *c, gpa_t gpa);
bool svm_avic_ready(struct cpu *c);
int svm_avic_take(struct cpu *c);
void svm_avic_tpr(struct cpu *c, u8 cr8);
void svm_avic_doorbell(struct cpu *c, u32 apic_id);
enum xr svm_avic_access(struct cpu *c, la_t la, u32 len, unsigned access, pa_t *pa);
enum xr svm_avic_trap(struct cpu *c);
bool svm_avic_msr(struct cpu *c, const struct insn *i, u32 index, bool write, u64 *value, enum xr *r);

/* ---- virq.c ---- */
bool svm_vnmi_on(const struct cpu *c);
bool svm_virq_ready(struct cpu *c);
int svm_virq_take(struct cpu *c);
bool svm_vnmi_ready(struct cpu *c);
void svm_vnmi_take(struct cpu *c);
u64 svm_cr8_read(struct cpu *c);
enum xr svm_cr8_write(struct cpu *c, const struct insn *i, u64 v);
bool svm_intr_masked(struct cpu *c, bool *masked);
u64 svm_tsc(struct cpu *c, u64 tsc);
u64 svm_mperf(struct cpu *c, u64 count);
void svm_iret_done(struct cpu *c);
enum xr svm_bus_lock(struct cpu *c);

#endif
