/*
 * The checks that VM entry makes, one row each. A predicate is total and pure: it sees a struct vmx_image and of it
 * only the fields its row names. Rows stand in groups, in the order in which their outcomes count: what fails VMLAUNCH
 * itself, error 7, error 8, exit reason 33. A group whose fields have not been written since the last successful entry
 * is not looked at again; the groups that depend on what the processor saves or on memory always are, when they apply.
 */
#ifndef VMX_CHECKS_H
#define VMX_CHECKS_H

#include "vmx/fields.h"

struct cpu;
struct vmx;

/* What this processor supports and how wide it is: the facts behind the capability MSRs. */
struct vmx_caps {
	u64 required1[VMX_WORDS], allowed1[VMX_WORDS]; /* by the TRUE capability MSRs */
	u64 basic, misc, ept_vpid, vmfunc;             /* as the MSRs report them */
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	u64 efer, debugctl, perf_global; /* bits of these MSRs that may be 1 */
	u64 cr0_ignored; /* bits of CR0 that no check and no load looks at, although no register has them */
	u8 phys_bits, la_bits;
	bool sgx, rtm, bus_lock;
	bool first; /* QUIRK_VMX_FIRST */
	u8 slot[2048]; /* by VMX_FIELD_KEY: the slot of the field plus 1; 0: it does not exist */
};
#define VMX_FIELD_KEY(encoding) (((encoding) >> 4 & 0x6c0) | ((encoding) >> 1 & 63)) /* bit 12 is 0 */

/* The slot of a field plus 1, of any encoding; 0: there is no such field. VMREAD and VMWRITE ask each time. Bit 12 and bits
 * 63:15 are 0, indexes go to 63 here, only fields of 64 bits have a high half. */
static inline unsigned vmx_field_slot(const struct vmx_caps *p, u64 encoding)
{
	if ((encoding & ~0x6c7full) || ((encoding & 1) && (encoding >> 13 & 3) != 1))
		return 0;
	return p->slot[VMX_FIELD_KEY((u32)encoding)];
}

static inline bool vmx_field_exists(const struct vmx_caps *p, u32 encoding)
{
	return vmx_field_slot(p, encoding) != 0;
}

/* What checks look at besides fields; numbers above every encoding. */
enum vmx_input {
	VMX_IN = 0x8000,
	VMX_IN_LMA = VMX_IN, /* the processor is in IA-32e mode */
	VMX_IN_SMM,          /* ... in SMM */
	VMX_IN_MOVSS,        /* events are blocked by MOV SS */
	VMX_IN_RESUME,       /* VMRESUME, not VMLAUNCH */
	VMX_IN_LAUNCHED,     /* the current VMCS's launch state */
	VMX_IN_CURRENT,      /* the current VMCS pointer */
	VMX_IN_VMXON,        /* the VMXON pointer */
	VMX_IN_EXEC_WORD,    /* first doubleword at the executive-VMCS pointer, 0 if that is no address or nobody asks */
	VMX_IN_EXEC_LAUNCHED, /* launch state of the executive VMCS */
	VMX_IN_EXEC_EXIT,    /* VM-exit controls of the executive VMCS */
	VMX_IN_LINK_WORD,    /* first doubleword at the link pointer, 0 if that is no address */
	VMX_IN_VTPR,         /* byte 80h of the virtual-APIC page */
	VMX_IN_PDPTE0,       /* the PDPTEs that would be loaded: from fields with EPT, otherwise from memory */
	VMX_IN_PDPTE1,
	VMX_IN_PDPTE2,
	VMX_IN_PDPTE3,
	VMX_IN_END,
};

/* An entry that returns from SMM looks at two VMCSs, which vmx_image_merge() makes one. */
struct vmx_image {
	const u64 *f; /* the current VMCS, by slot */
	const struct vmx_caps *caps;
	u64 in[VMX_IN_END - VMX_IN];
};

enum vmx_group {
	VMX_GROUP_BASIC,     /* "Basic VM-Entry Checks" */
	VMX_GROUP_EXECUTIVE, /* "VM Entries that Return from SMM": the executive-VMCS pointer */
	VMX_GROUP_CONTROL,   /* "Checks on VMX Controls": VM-execution controls */
	VMX_GROUP_THRESHOLD, /* ... with a value in memory */
	VMX_GROUP_TRANSFER,  /* ... VM-exit and VM-entry controls */
	VMX_GROUP_EVENT,     /* ... of event injection */
	VMX_GROUP_HOST,      /* "Checks on the Host-State Area" */
	VMX_GROUP_GUEST,     /* "Checks on the Guest-State Area": registers */
	VMX_GROUP_SEGMENT,   /* ... segments */
	VMX_GROUP_STATE,     /* ... non-register state */
	VMX_GROUP_INJECT,    /* ... against the injected event */
	VMX_GROUP_LINK,      /* ... the VMCS link pointer */
	VMX_GROUP_PDPTE,     /* "Checks on Guest Page-Directory-Pointer-Table Entries" */
	VMX_GROUPS
};

enum vmx_outcome {
	VMX_FAIL_4 = 4, /* VMfailValid with this error */
	VMX_FAIL_5 = 5,
	VMX_FAIL_7 = 7,
	VMX_FAIL_8 = 8,
	VMX_FAIL_16 = 16,
	VMX_FAIL_17 = 17,
	VMX_FAIL_18 = 18,
	VMX_FAIL_25 = 25, /* no row has it: vmx_check_outcome() */
	VMX_FAIL_26 = 26,
	VMX_EXIT_33 = 33, /* exit reason, bit 31 set */
	VMX_EXIT_34 = 34,
};

#define VMX_CHECK_FIELDS 9 /* with the end mark */
#define VMX_FIELDS_END   0xffff
struct vmx_check {
	const char *id; /* never changed once published; rows that say the same of different fields share one */
	u8 group, outcome, qualification;
	/* One of the two: of the image, or of the field, segment or bit of it that the row is about. */
	bool (*bad)(const struct vmx_image *g);
	bool (*bad_at)(const struct vmx_image *g, unsigned at);
	u16 at;
	const char *rule, *manual;
	u16 field[VMX_CHECK_FIELDS]; /* all that the predicate reads; VMX_FIELDS_END ends the list */
	const char *implied_by;      /* whenever this row fails, one of these (comma-separated) fails too */
};

/* first.c: the processor of 2004 does not make this check. */
bool vmx_first_lacks(const struct vmx_check *k, const struct vmx_caps *p);

static inline bool vmx_check_fails(const struct vmx_check *k, const struct vmx_image *g)
{
	return (k->bad ? k->bad(g) : k->bad_at(g, k->at)) && !(g->caps->first && vmx_first_lacks(k, g->caps));
}

/* The rows of one file. Sets and rows stand in the order of groups. */
struct vmx_check_set {
	const struct vmx_check *rows;
	size_t count;
	u32 groups; /* of its rows: bit n for group n */
};
extern const struct vmx_check_set vmx_basic_checks, vmx_executive_checks, vmx_control_checks, vmx_event_checks,
        vmx_host_checks, vmx_guest_checks, vmx_segment_checks, vmx_state_checks;

/* ---- checks.c: the runner ---- */
size_t vmx_check_count(void);
const struct vmx_check *vmx_check_at(size_t n);
/* The first row from number *n on, within these groups, that fails; *n becomes the number after it. NULL: none. */
const struct vmx_check *vmx_check_next(const struct vmx_image *g, size_t *n, u32 groups);
u32 vmx_check_apply(const struct vmx_image *g);  /* groups with anything to say about this image */
/* The row's, but that VM-execution controls which an entry from SMM finds in the executive VMCS have an error of their own. */
u8 vmx_check_outcome(const struct vmx_image *g, const struct vmx_check *k);
void vmx_check_readers(u16 readers[VMCS_SLOTS]); /* by slot: the groups that read it, bit n for group n */
#define VMX_GROUPS_EACH_ENTRY                                                                                          \
	(1u << VMX_GROUP_BASIC | 1u << VMX_GROUP_EXECUTIVE | 1u << VMX_GROUP_THRESHOLD | 1u << VMX_GROUP_EVENT |       \
	 1u << VMX_GROUP_STATE | 1u << VMX_GROUP_INJECT | 1u << VMX_GROUP_LINK | 1u << VMX_GROUP_PDPTE)

/* ---- checks_msr.c: "Loading MSRs" ---- */
struct vmx_msr_entry {
	u32 index, reserved;
	u64 value, efer; /* efer: as it is */
	bool smm;
	bool first;    /* QUIRK_VMX_FIRST */
	bool accepted; /* WRMSR at CPL 0 would not fault */
	bool beyond;   /* the list is longer than any may be */
};
struct vmx_msr_check {
	const char *id;
	bool (*bad)(const struct vmx_msr_entry *e);
	const char *rule;
};
extern const struct vmx_msr_check vmx_msr_checks[];
extern const size_t vmx_msr_check_count;
const struct vmx_msr_check *vmx_msr_refused(const struct vmx_msr_entry *e); /* NULL: it may be loaded */

/* ---- explain.c ---- */
void vmx_explain(struct cpu *c, const struct vmx_image *g, const struct vmx_check *k, u64 rip);
void vmx_explain_msr(struct cpu *c, const struct vmx_msr_check *k, u32 number, const struct vmx_msr_entry *e);

/* ---- decode.c ---- */
/* Bits of a field as people read them; "" where the number says it all. */
void vmx_decode_field(char *out, size_t size, u32 encoding, u64 value);
/* The first field of a check that fails: which bits are wrong and what would be allowed, then as above. */
void vmx_decode_culprit(char *out, size_t size, const struct vmx_image *g, const struct vmx_check *k);
const char *vmx_memory_type(unsigned type); /* of EPT */
const char *vmx_input_name(unsigned input);
const char *vmx_error_words(unsigned error); /* "VM-Instruction Error Numbers" */

/* ---- what predicates are written with ---- */
static inline u64 vmx_in(const struct vmx_image *g, unsigned input)
{
	return g->in[input - VMX_IN];
}
/* Access rights as a segment register has them. In 2004 bits 31:16 are reserved, and what is not present is unusable. */
static inline u64 vmx_rights(const struct vmx_caps *p, u64 field)
{
	return p->first ? (field & 0xffff) | (field & AR_P ? 0 : AR_UNUSABLE) : field;
}
static inline u64 vmx_value(const struct vmx_image *g, unsigned field)
{
	return field >= VMX_IN ? vmx_in(g, field) : g->f[vmcs_slot(field)];
}

#endif
