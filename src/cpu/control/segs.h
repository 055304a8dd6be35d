/*
 * Shared by segs.c, tasks.c, exec/far.c and exec/tables.c: descriptors before they are believed, and stacks
 * that are written before they are switched to. Nothing here commits processor state unless its name says load or set.
 */
#ifndef CPU_SEGS_H
#define CPU_SEGS_H

#include "cpu/control/control.h"

/* Fields of a descriptor quadword. */
static inline bool desc_present(u64 d) { return (d >> 47) & 1; }
static inline bool desc_is_system(u64 d) { return !((d >> 44) & 1); }
static inline unsigned desc_type(u64 d) { return (unsigned)bits(d, 43, 40); }
static inline unsigned desc_dpl(u64 d) { return (unsigned)bits(d, 46, 45); }
static inline bool desc_is_code(u64 d) { return !desc_is_system(d) && (desc_type(d) & AR_CODE); }
static inline bool desc_is_data(u64 d) { return !desc_is_system(d) && !(desc_type(d) & AR_CODE); }
static inline u32 sel_error(u16 sel) { return sel & 0xfffcu; }
static inline bool sel_null(u16 sel) { return !(sel & 0xfffc); }

/* The descriptor of sel. *inside: it lies within its table. In long mode system descriptors have a second quadword. */
enum xr desc_fetch(struct cpu *c, u16 sel, u64 out[2], la_t *at, bool *inside) must_check;
enum xr desc_set_accessed(struct cpu *c, la_t at, u64 desc) must_check;
enum xr desc_set_busy(struct cpu *c, la_t at, bool busy) must_check;
/* A system segment (LDT, TSS) from its one or two quadwords. */
struct seg seg_from_system(const struct cpu *c, u16 sel, const u64 d[2]);

/* Is [off, off + size) within the segment's limit? */
bool seg_covers(const struct seg *s, u64 off, u32 size);
/* The null selector, by the model's rule for base and limit. */
void seg_set_null(struct cpu *c, unsigned n, u16 sel);
void seg_set_v86(struct cpu *c, unsigned n, u16 sel);
/* Return to an outer level: segments the new level may not use become null; base and limit stay. */
void seg_drop_privileged(struct cpu *c);
/* Commit an already checked segment. */
void seg_commit(struct cpu *c, unsigned n, const struct seg *s);
/* Checks of SS for privilege level cpl; vector: what is raised for everything but "not present". */
enum xr seg_check_ss(struct cpu *c, u16 sel, unsigned cpl, unsigned vector, struct seg *out) must_check;

/* A stack that need not be the current one. */
struct stack {
	struct seg ss;
	u64 sp, mask; /* mask: what of sp addresses */
	u32 error;    /* of the #SS raised when it does not hold the frame */
	bool flat;    /* 64-bit mode */
	bool super;   /* accesses are the supervisor's although CPL still is 3 */
};
struct stack stack_current(const struct cpu *c);
/* The stack of privilege level cpl from the TSS: "Stack Switching". */
enum xr stack_inner(struct cpu *c, unsigned cpl, struct stack *out) must_check;
/* Push n values, v[0] first: all or nothing. Moves st->sp. */
enum xr stack_push(struct cpu *c, struct stack *st, unsigned size, const u64 *v, unsigned n) must_check;
/* Element k above sp + skip bytes. */
enum xr stack_peek(struct cpu *c, const struct stack *st, unsigned size, unsigned k, u64 skip, u64 *v) must_check;
/* RSP with st->sp in the bits the stack addresses. */
static inline u64 stack_rsp(const struct cpu *c, const struct stack *st)
{
	return st->mask == 0xffff ? (c->r[REG_RSP] & ~0xffffull) | (st->sp & 0xffff) : st->sp & st->mask;
}

enum xr tss_bytes(struct cpu *c, u32 offset, u32 size, u64 *v) must_check; /* no look at the limit */

/* A far transfer arrives: rip, evidence and last-branch records. */
void far_land(struct cpu *c, u64 from, u64 rip);

#endif
