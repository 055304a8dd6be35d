/*
 * The save-state map: what it holds, its layouts as tables of rows, and what RSM refuses of it. Private to control/smm*.c,
 * their tests, and who explains a state that RSM refused.
 */
#ifndef CPU_SMM_MAP_H
#define CPU_SMM_MAP_H

#include "cpu/control/control.h"

#define SMM_ENTRY  0x8000u /* behind SMBASE: the handler's first instruction */
#define SMM_IMAGE  0xfc00u /* behind SMBASE: where the largest layout begins; all end at 10000h */
#define SMM_BYTES  0x400u
#define SMM_VENDOR (0xfe00u - SMM_IMAGE) /* in the image: what virt_ops.smm sees */

/* What moves, in the processor's own form. */
struct smm_state {
	u64 r[16], rip, rflags;
	struct seg seg[SEG_COUNT];
	struct { u64 base, limit; } gdtr, idtr;
	u64 cr0, cr3, cr4, efer, dr6, dr7;
	u64 smbase, revision;
	u64 halted, io_restart, nmi_masked; /* flags, for the handler to change */
	u64 io_trap;                        /* the port access of the instruction before: in the layout's own form */
	u64 io_address;                     /* its memory operand */
	u64 io_rip, io_rcx, io_rsi, io_rdi; /* where it is restarted */
};

/* The state is one of long mode, whatever EFER.LMA says. */
static inline bool smm_long_mode(const struct smm_state *s)
{
	return (s->efer & EFER_LME) && (s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE);
}

/* How a field stands in the map. */
enum smm_form {
	SMM_PLAIN,
	SMM_ATTRIBUTES,    /* access rights in 12 bits, as in a VMCB; bit 15: unusable all the same */
	SMM_LOW, SMM_HIGH, /* half of a base */
};

struct smm_row {
	u16 at;     /* behind SMBASE */
	u8 width;   /* bytes */
	u8 form;    /* enum smm_form */
	u16 offset; /* into struct smm_state */
	u8 size;    /* of that member */
	const char *name;
};

struct smm_map {
	const char *name;
	const struct smm_row *rows;
	size_t count;
	u32 first;    /* behind SMBASE: the area begins here */
	u32 revision; /* bit 16: instructions restart, bit 17: SMBASE moves */
	u64 io_valid; /* in io_trap: there was an access */
	u8 restart;   /* the value of io_restart that asks for it; 0: any but 0 */
	bool fixed_revision; /* RSM refuses another */
	u64 (*io_trap)(const struct cpu *c, const struct smi_io *io);
};

extern const struct smm_map smm_map_amd64, smm_map_firmware, smm_map_intel64, smm_map_ia32;
const struct smm_map *smm_map_of(const struct cpu *c);

#define SMM_MEMBER(member) .offset = offsetof(struct smm_state, member), .size = sizeof(((struct smm_state *)0)->member)
#define SMM_AT(at_, width_, form_, member, name_) {.at = (at_), .width = (width_), .form = (form_), SMM_MEMBER(member), .name = (name_)}
#define SMM_FIELD(at_, width_, member, name_) SMM_AT(at_, width_, SMM_PLAIN, member, name_)

/* ---- what RSM refuses: smm_checks.c ---- */
struct smm_check {
	const char *id, *rule, *manual;
	bool (*bad)(const struct cpu *c, const struct smm_state *s);
	u16 offset; /* of the field in struct smm_state that the evidence shows */
};
extern const struct smm_check smm_checks[];
extern const size_t smm_check_count;
extern const struct smm_check smm_check_outside, smm_check_vendor, smm_check_pdptes; /* beside those of the state */
const char *smm_check_id(size_t n); /* of all of them; NULL: no more */
const struct smm_check *smm_check_state(const struct cpu *c, const struct smm_state *s); /* the first that fails; NULL: none */
/* The row of this map that holds a check's field; NULL: it has none. */
const struct smm_row *smm_check_field(const struct smm_map *m, const struct smm_check *k);

#endif
