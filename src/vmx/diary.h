/*
 * Who gave each field of a VMCS its value: a diary for every region that was the current VMCS lately, or a guest's shadow
 * VMCS. Evidence: nothing of the machine depends on it, and it begins anew where state is loaded from outside. All processors
 * share one shelf, because a VMCS may go from one to another.
 */
#ifndef VMX_DIARY_H
#define VMX_DIARY_H

#include "cpu/state/state.h"
#include "vmx/fields.h"

/* How many VM exits of a VMCS there were, and entries that succeeded. */
struct vmx_turn {
	u32 exits, entries;
};

struct vmx_mark {
	u64 rip;
	u64 insn;
	u64 was; /* before the first write since the last entry */
	struct vmx_turn turn; /* before the write */
	u8 kind; /* enum origin_kind: UNKNOWN, NEVER or VMWRITE */
	u8 cpu;
};

struct vmx_diary {
	u64 pa;
	unsigned users; /* processors that have it open: it cannot be taken away */
	struct vmx_turn turn;
	struct {
		u64 insn, reason;
		u32 controls; /* the VM-exit controls */
		u8 cpu;
	} exit; /* the last one */
	struct vmx_mark mark[VMCS_SLOTS];
};

#define VMX_SHELF 1024
struct vmx_shelf {
	struct vmx_diary *at[VMX_SHELF]; /* by region */
};

struct vmx;
void vmx_diary_open(struct cpu *c, u64 pa, struct vmx_diary **d); /* *d, which may be NULL, is closed; NULL: no room */
void vmx_diary_close(struct vmx_diary **d);
void vmx_diary_cleared(struct cpu *c, u64 pa); /* VMCLEAR: no field has been written */
void vmx_diary_restart(struct cpu *c);         /* state came from outside */
void vmx_diary_free(struct cpu *c);

/* The instruction i at rip is about to write the field, which is `was`. */
static inline void vmx_diary_write(struct vmx_diary *d, const struct cpu *c, const struct insn *i, u64 rip, unsigned slot, u64 was)
{
	struct vmx_mark *m;

	if (unlikely(!d))
		return;
	m = &d->mark[slot];
	if (m->turn.entries != d->turn.entries)
		m->was = was;
	m->rip = rip;
	m->insn = c->insns + i->idx;
	m->turn = d->turn;
	m->kind = ORIGIN_VMWRITE;
	m->cpu = (u8)c->index;
}
static inline void vmx_diary_exit(struct vmx_diary *d, const struct cpu *c, u64 reason, u64 controls)
{
	if (unlikely(!d))
		return;
	d->turn.exits++;
	d->exit.insn = c->insns;
	d->exit.reason = reason;
	d->exit.controls = (u32)controls;
	d->exit.cpu = (u8)c->index;
}
static inline void vmx_diary_entry(struct vmx_diary *d)
{
	if (likely(d))
		d->turn.entries++;
}
/* Something else than VMWRITE or a VM exit has changed it. */
static inline void vmx_diary_lost(struct vmx_diary *d, unsigned slot)
{
	if (d)
		d->mark[slot].kind = ORIGIN_UNKNOWN;
}

/* Of a field of the current VMCS. */
struct origin vmx_origin(const struct cpu *c, u32 encoding);
bool vmx_written(const struct vmx *v, u32 encoding); /* since VMCLEAR, by VMWRITE or VM exit; true also if nobody knows */
/* virt_ops.changed: what VMWRITE has changed of what the last successful entry and its exit left. */
size_t vmx_changed(const struct cpu *c, struct check_change *out, size_t room);

#endif
