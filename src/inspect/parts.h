/*
 * What the files of inspect/ know of each other. text.c: the one grammar of all messages; symbols.c: names of
 * addresses; evidence.c, explain.c, trace.c, stats.c, hash.c: what is told; inspect.c: who asked for it, and the hook
 * table.
 */
#ifndef INSPECT_PARTS_H
#define INSPECT_PARTS_H

#include "inspect/inspect.h"

/* ---- text.c ---- */
/* Text that grows. Out of memory: what does not fit is left out. */
struct text {
	char *s;
	size_t n, room;
};
void text_add(struct text *t, const char *fmt, ...) printf_like(2, 3);
void text_reset(struct text *t);
void text_free(struct text *t);
const char *text_str(const struct text *t); /* never NULL */
/* "  label  value", wrapped at 100 columns, at commas or spaces, under the value's first character. */
void text_label(struct text *t, const char *label, const char *fmt, ...) printf_like(3, 4);
void text_json(struct text *t, const char *s); /* quoted and escaped */
struct count_text {
	char s[28];
};
struct count_text commas(u64 v);              /* 1,204,551 */
struct count_text hex(u64 v, unsigned width); /* 0x2b; width: bytes to fill with zeros, 0: none, and 0 is "0" */

/* ---- symbols.c ---- */
struct symbols;
struct symbols *symbols_open(const char *path); /* NULL: not an ELF, or without a symbol table */
void symbols_close(struct symbols *s);
/* "early_print+0x12" of an address the ELF was linked for. false: no symbol there. */
bool symbols_name(const struct symbols *s, u64 vaddr, char *out, size_t len);
/* The linked address of what lies at a physical address. false: not this file's. */
bool symbols_linked(const struct symbols *s, u64 pa, u64 *vaddr);

/* ---- where a processor is; exact inside a block ---- */
static inline u64 insn_number(const struct cpu *c)
{
	return c->insns + (c->cur ? c->cur->idx : 0);
}
static inline u64 rip_now(const struct cpu *c)
{
	return c->cur ? insn_rip(c, c->cur) : c->r[REG_RIP];
}
static inline u64 time_now(const struct cpu *c)
{
	return c->clock->now + (c->cur && c->cur->idx > c->charged ? c->cur->idx - c->charged : 0);
}
static inline la_t linear_rip(const struct cpu *c, u64 rip)
{
	return mode64(c) ? rip : (u32)(c->seg[SEG_CS].base + rip);
}
u64 guest_block(const struct cpu *c); /* physical address of the VMCS or VMCB; UINT64_MAX: none */

/* ---- stats.c ---- */
#define EXIT_STATS 192
struct exit_stat {
	u64 code;
	const char *name;
	u64 count, insns; /* insns: the monitor's, from the exit to the next entry on that processor */
};
struct stats {
	struct exit_stat exit[EXIT_STATS]; /* by code, open addressing; the last one takes what finds no room */
	struct {
		struct exit_stat *last; /* NULL: no exit since the last entry */
		u64 at;
	} cpu[CPU_MAX];
	u64 entries, refused, interrupts, nmis, soft, exceptions[32];
};
void stats_entry(struct stats *s, const struct cpu *c);
void stats_exit(struct stats *s, const struct cpu *c, const struct exit_record *x);
void stats_event(struct stats *s, const struct event *e);

/* ---- trace.c ---- */
enum trace_format { TRACE_TEXT, TRACE_JSONL, TRACE_CHROME };
struct trace {
	FILE *f; /* NULL: through put */
	enum trace_format format;
	int failed; /* errno of the first write that failed; 0: none */
	bool told;
	struct trace_lap {        /* what a processor is doing: a guest, or an exit's handling */
		const char *name; /* NULL: neither yet */
		u64 since, insn;
	} lap[CPU_MAX];
	struct text line, bytes;
};
enum status trace_open(struct inspect *i, struct err *err) must_check;
void trace_close(struct inspect *i);
void trace_flush(struct inspect *i);
void trace_insn(struct inspect *i, struct cpu *c, const struct insn *in);
void trace_event(struct inspect *i, struct cpu *c, const struct event *e);
void trace_smm(struct inspect *i, struct cpu *c, bool entered);
void trace_io(struct inspect *i, bool mmio, bool write, u64 addr, unsigned size, u64 value);
void trace_msr(struct inspect *i, struct cpu *c, bool write, u32 index, u64 value, bool ok);
void trace_entry(struct inspect *i, struct cpu *c);
void trace_exit(struct inspect *i, struct cpu *c, const struct exit_record *x);
void trace_note(struct inspect *i, const char *text);

/* ---- explain.c ---- */
struct refusal_seen {
	const char *check; /* static text of the vendor's row */
	u64 rip, count, told;
	char place[96];
	struct refusal_seen *next;
};
void explain_refusal(struct inspect *i, struct cpu *c, const struct refusal *r);
void explain_repeats(struct inspect *i); /* says what was refused again since the last time */
void explain_free(struct inspect *i);

/* ---- evidence.c ---- */
void evidence_block(struct inspect *i, struct cpu *c, struct text *t);
void evidence_json(struct inspect *i, struct cpu *c, struct text *t);
/* "#PF, error 0x2 (write, not present), CR2 0xb8000"; delivering: what was being delivered then, NULL: nothing. */
void evidence_event(struct cpu *c, const struct event *e, const struct event *delivering, struct text *t);
const char *evidence_mode(const struct cpu *c);
size_t evidence_bytes(struct cpu *c, la_t la, u8 *buf, size_t n); /* what can be read there, without side effects */

/* ---- hash.c ---- */
struct hashes {
	u64 *page; /* by place in the memory file: hash of its content, 0: all zeros */
	u64 pages; /* how many fit */
	u64 sum;   /* over all of them */
};
void hash_free(struct hashes *h);

/* ---- inspect.c ---- */
struct inspect {
	struct machine *m;
	struct inspect_options o;
	struct symbols *symbols;
	bool symbols_tried;
	struct stats stats;
	struct trace trace;
	struct hashes hashes;
	struct refusal_seen *refusals;
};
void inspect_put(struct inspect *i, const struct inspect_event *e);
/* "early_print+0x12" of an address as this processor sees it now; "" where nothing is known. */
void inspect_place(struct inspect *i, struct cpu *c, la_t la, char *out, size_t len);

#endif
