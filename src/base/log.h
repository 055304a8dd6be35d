/*
 * Lower floors tell upper ones things here and nowhere else: a table of hooks, each a function pointer or NULL.
 * Hooks observe; a run with hooks installed and one without retire the same instructions with the same results.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"

enum trace_kind { TRACE_VM = 1, TRACE_INSN = 2, TRACE_INT = 4, TRACE_MMIO = 8, TRACE_IO = 16, TRACE_MSR = 32 };

struct cpu;
struct insn;
struct event;
struct refusal; /* cpu/state/virt.h */
struct exit_record;

struct hooks {
	void *arg;
	u32 trace; /* enum trace_kind bits wanted; senders test before they build anything */
	void (*insn)(void *arg, struct cpu *c, const struct insn *i);
	void (*event)(void *arg, struct cpu *c, const struct event *e);      /* being delivered */
	void (*smm)(void *arg, struct cpu *c, bool entered);                 /* by an SMI; left by RSM; before the state moves */
	void (*io)(void *arg, bool mmio, bool write, u64 addr, unsigned size, u64 value);
	void (*msr)(void *arg, struct cpu *c, bool write, u32 index, u64 value, bool ok);
	void (*vm_entry)(void *arg, struct cpu *c);
	void (*vm_exit)(void *arg, struct cpu *c, const struct exit_record *x);
	void (*refused)(void *arg, struct cpu *c, const struct refusal *r);  /* a VM entry failed its checks */
	void (*death)(void *arg, struct cpu *c);                             /* triple fault; state still intact */
	void (*note)(void *arg, const char *text);                           /* one line a person may want to know */
};

#endif
