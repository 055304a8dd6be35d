/*
 * Lower floors tell upper ones things here and nowhere else: a table of hooks, each a function pointer or NULL.
 * Hooks observe; a run with hooks installed and one without retire the same instructions with the same results.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"

enum trace_kind {
	TRACE_VM = 1,
	TRACE_INSN = 2,
	TRACE_INT = 4,
	TRACE_MMIO = 8,
	TRACE_IO = 16,
	TRACE_MSR = 32,
	TRACE_VMREAD = 64,
	TRACE_VMWRITE = 128
};

/* A field of a control block was read or written. */
struct field_access {
	bool write;
	const char *name;
	u64 value;
	u8 width;          /* bytes */
	char decoded[128]; /* "": the value says it all */
};

struct cpu;
struct insn;
struct event;
struct refusal; /* cpu/state/virt.h */
struct exit_record;
struct origin;

struct hooks {
	void *arg;
	u32 trace; /* enum trace_kind bits wanted; senders test before they build anything */
	void (*insn)(void *arg, struct cpu *c, const struct insn *i);
	void (*event)(void *arg, struct cpu *c, const struct event *e);      /* being delivered */
	void (*returned)(void *arg, struct cpu *c);                          /* by IRET; RIP is where to */
	void (*field)(void *arg, struct cpu *c, const struct field_access *a);
	void (*smm)(void *arg, struct cpu *c, bool entered);                 /* by an SMI; left by RSM; before the state moves */
	void (*io)(void *arg, bool mmio, bool write, u64 addr, unsigned size, u64 value);
	void (*msr)(void *arg, struct cpu *c, bool write, u32 index, u64 value, bool ok);
	void (*vm_entry)(void *arg, struct cpu *c);
	void (*vm_exit)(void *arg, struct cpu *c, const struct exit_record *x);
	void (*refused)(void *arg, struct cpu *c, const struct refusal *r);  /* something failed: enum refusal_kind */
	/* Who wrote the 8-byte word at this physical address last. NULL: nobody keeps that; false: not known. */
	bool (*writer)(void *arg, u64 pa, struct origin *out);
	void (*death)(void *arg, struct cpu *c);                             /* triple fault; state still intact */
	void (*note)(void *arg, const char *text);                           /* one line a person may want to know */
};

#endif
