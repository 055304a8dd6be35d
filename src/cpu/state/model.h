/*
 * What a processor model is: one table file in src/model/ each. Its name and numbers, its features and quirks, and the
 * rows of instructions, MSRs and CPUID leaves that it has.
 */
#ifndef CPU_MODEL_H
#define CPU_MODEL_H

#include "arch/quirks.h"
#include "cpu/state/state.h"

#define QUIRK_SVM_FIRST_ASIDS 64u /* how many ASIDs a processor with that quirk has */

/* One row per MSR or run of MSRs. */
struct msr_row {
	u32 index, count;
	const char *name;       /* of each MSR of the run: see msr_name() */
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

struct cpuid_leaf {
	u32 leaf, subleaf;
	u32 out[4];
	void (*fix)(struct cpu *c, u32 out[4]); /* dynamic bits: APIC id, OSXSAVE, XSAVE size; NULL: none */
};

/* One processor model. */
struct cpu_model {
	const char *name, *about;
	const char *vendor;       /* "AuthenticAMD" */
	const char *brand;        /* 48 bytes at most */
	u32 signature;            /* CPUID 1 EAX */
	u8 phys_bits;
	u32 vmcs_revision;        /* IA32_VMX_BASIC[30:0]; 0: the one that VMX has here */
	u64 quirks;               /* bit n: enum quirk */
	const struct virt_ops *virt;
	const enum feature *features; /* FEAT_NONE-terminated */
	const struct row_set *const *insns; /* NULL-terminated; the first row that matches wins */
	const struct row_set *const *foreign; /* the like: another maker's, #UD here by their `unavailable`, which says why;
	                                        * NULL: none */
	const struct gp_reasons *const *reasons; /* NULL-terminated; NULL: none */
	const struct msr_set { const struct msr_row *rows; size_t count; } *const *msrs; /* NULL-terminated */
	const struct cpuid_leaf *leaves; /* everything that is not a feature bit; leaf ~0 terminated */
	u32 max_leaf, max_ext_leaf;
	u8 lbr_depth;             /* of the stack of last branches; 0: LBR_DEPTH */
	struct { u16 pause, rdtsc, mmio, port; } cost;
};

static inline bool has(const struct cpu *c, enum feature f) { return feat_has(&c->feat, f); }
static inline bool model_quirk(const struct cpu_model *m, enum quirk q) { return m->quirks >> q & 1; }
static inline bool quirk(const struct cpu *c, enum quirk q) { return model_quirk(c->model, q); }
/* The bits of DR6 that are always 1. */
static inline u64 dr6_fixed(const struct cpu *c)
{
	return has(c, FEAT_BUS_LOCK_DETECT) ? DR6_RESET & ~DR6_BLD : DR6_RESET;
}

#endif
