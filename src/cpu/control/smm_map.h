/*
 * The save-state map: what it holds, and its two layouts as tables of rows. Private to control/smm*.c, their tests, and who
 * explains a state that RSM refused.
 */
#ifndef CPU_SMM_MAP_H
#define CPU_SMM_MAP_H

#include "cpu/control/control.h"

#define SMM_ENTRY 0x8000u /* behind SMBASE: the handler's first instruction */
#define SMM_IMAGE 0xfc00u /* behind SMBASE: where the larger layout begins; both end at 10000h */
#define SMM_BYTES 0x400u
#define SMM_VENDOR (0xfe00u - SMM_IMAGE) /* of the image: what virt_ops.smm sees */

/* What moves, in the processor's own form. */
struct smm_state {
	u64 r[16], rip, rflags;
	struct seg seg[SEG_COUNT];
	struct { u64 base, limit; } gdtr, idtr;
	u64 cr0, cr3, cr4, efer, dr6, dr7;
	u64 smbase, revision;
	u64 halted, io_restart, nmi_masked; /* flags of the handler's */
	u64 io_trap;                        /* the last instruction's port access: AMD's dword, Intel's IO_MISC */
	u64 io_address;                     /* its memory operand */
	u64 io_rip, io_rcx, io_rsi, io_rdi; /* where an instruction restart goes on */
};

/* How a field stands in the map. */
enum smm_form {
	SMM_PLAIN,
	SMM_ATTRIBUTES, /* bits 7:0 and 15:12 of the access rights in 12 bits, as in a VMCB */
	SMM_RIGHTS,     /* a VMCS's access rights */
	SMM_LOW, SMM_HIGH, /* half of a base */
	SMM_RESTART,    /* a flag byte or word: set is nonzero, FFh where the handler writes it */
	SMM_SAVED = 16, /* RSM does not look at it */
};

struct smm_row {
	u16 at;    /* behind SMBASE */
	u8 width;  /* bytes */
	u8 form;   /* enum smm_form */
	u16 offset; /* into struct smm_state */
	u8 size;   /* of that member */
	const char *name;
};

struct smm_map {
	const char *name;
	const struct smm_row *rows;
	size_t count;
	u32 first; /* behind SMBASE: the area begins here */
	u32 revision;
};

extern const struct smm_map smm_map_amd64;
const struct smm_map *smm_map_of(const struct cpu *c);

#define SMM_AT(at_, width_, form_, member, name_)                                                                      \
	{ .at = (at_), .width = (width_), .form = (form_), .offset = offsetof(struct smm_state, member),               \
	  .size = sizeof(((struct smm_state *)0)->member), .name = (name_) }

#endif
