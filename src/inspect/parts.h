/*
 * What the files of inspect/ know of each other. text.c: the one grammar of all messages; places.c, kernels.c, modules.c: names of
 * addresses, eye.c: memory where they are asked for; guests.c: numbers of guests; evidence.c, explain.c, trace*.c, stats*.c, ring.c, sink.c, hash.c: what is told; inspect.c:
 * who asked for it, and the hook table.
 */
#ifndef INSPECT_PARTS_H
#define INSPECT_PARTS_H

#include <stdarg.h>

#include "inspect/inspect.h"

#define PLACE_SIZE  192 /* room for inspect_place() */
#define MODULE_NAME 56  /* in struct module of Linux */

/* ---- text.c ---- */
/* Text that grows. Out of memory: what does not fit is left out. */
struct text {
	char *s;
	size_t n, room;
};
void text_add(struct text *t, const char *fmt, ...) printf_like(2, 3);
void text_add_args(struct text *t, const char *fmt, va_list ap);
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

/* ---- sink.c ---- */
struct sink {
	FILE *f; /* NULL: not open; what is put there is dropped */
	const char *option, *path, *what; /* what: "the trace", for messages */
	int failed; /* errno of the first write that failed; 0: none */
	bool told;
};
enum status sink_open(struct sink *s, const char *option, const char *path, const char *what, struct err *err) must_check;
void sink_put(struct sink *s, const char *text, size_t n);
void sink_flush(struct inspect *i, struct sink *s);
void sink_close(struct inspect *i, struct sink *s);

/* ---- guests.c ---- */
#define GUESTS 64
struct guests {
	u64 block[GUESTS]; /* physical address of the VMCS or VMCB, in the order of the first entry */
	unsigned n;
};
unsigned guest_number(struct inspect *i, u64 block);             /* from 1; one too many: the last's; 0: no block */
unsigned guest_now(struct inspect *i, const struct cpu *c);      /* 0: the monitor runs */

/* ---- stats.c ---- */
#define EXIT_STATS 192
/* Counts by size: exact below 16, then 16 classes for each power of two. */
#define HIST_CLASSES (16 + 44 * 16)
struct histogram {
	u64 n, max;
	u32 class[HIST_CLASSES];
};
struct exit_stat {
	u64 code;
	const char *name;
	u64 count, insns, time; /* the monitor's, from the exit to the next entry on that processor */
	struct histogram *hist; /* of insns; NULL: none yet, or no memory */
};
struct exit_table {
	struct exit_stat row[EXIT_STATS]; /* the last one takes what finds no room */
	unsigned n;
};
struct guest_stat {
	u64 entries, insns, time; /* in the guest */
	struct exit_table exits;
};
struct stats {
	struct guest_stat *guest[GUESTS + 1]; /* by number; NULL: none yet, or no memory */
	struct stats_cpu {
		struct exit_stat *last; /* NULL: no exit since the last entry */
		struct guest_stat *in;  /* NULL: in no guest */
		u64 insn, time;         /* when that began */
	} cpu[CPU_MAX];
	u64 entries, refused, interrupts, nmis, soft, smis, exceptions[32];
};
void stats_entry(struct inspect *i, const struct cpu *c);
void stats_exit(struct inspect *i, const struct cpu *c, const struct exit_record *x);
void stats_event(struct stats *s, const struct event *e);
void stats_free(struct stats *s);
/* All guests' exits in one table, by count. */
struct exit_table *stats_sum(const struct stats *s); /* NULL: out of memory; for exits_free() */
void exits_free(struct exit_table *t);
/* The least value that so many of a hundred do not exceed, up to a 16th more. */
u64 hist_percentile(const struct histogram *h, unsigned percent);
double stats_percent(u64 part, u64 whole);
void stats_head(FILE *f, const char *what); /* the left column */

/* ---- stats_jit.c ---- */
void stats_jit_print(const struct machine *m, FILE *f);
void stats_jit_json(const struct machine *m, struct text *t);

/* ---- trace_filter.c ---- */
enum status trace_resolve(struct inspect *i, struct err *err) must_check;
bool trace_wants(const struct inspect *i, const struct cpu *c, la_t la, bool guest);
void trace_reason(struct inspect *i, const struct cpu *c, u64 code);

/* ---- trace_kept.c ---- */
#define TRACE_TRACKS (2 * CPU_MAX + GUESTS + 1)
enum trace_phase { PHASE_LINE, PHASE_BEGIN, PHASE_END };
struct trace_kept {
	char *bytes;
	u64 room;       /* 0: nothing is kept, all is written at once */
	u64 begin, end; /* counted from the start of the trace */
};
bool kept_open(struct trace_kept *k, u64 room);
void kept_close(struct trace_kept *k);
void kept_put(struct trace_kept *k, const char *s, size_t n, enum trace_phase phase, unsigned track);
void kept_write(struct inspect *i);

/* ---- trace.c ---- */
enum trace_format { TRACE_TEXT, TRACE_JSONL, TRACE_CHROME };

/* An event: when, where and in whom. What it says is in trace.what and trace.args. */
struct moment {
	const char *kind;    /* as --trace has it */
	const char *word;    /* in the text's column */
	const char *name;    /* for Perfetto; NULL: the word */
	const struct cpu *c; /* NULL: no processor in particular */
	u64 rip, insn, ns;
	unsigned guest; /* 0: the monitor */
};

/* A handler of an exception or interrupt, from the delivery to its IRET; of an SMI, to its RSM. */
struct trace_handler {
	char name[32];
	u64 rsp, cr3, insn;
	u8 cpl;
	bool smm, begun;
};
struct trace_nest {
	struct trace_handler at[16];
	unsigned depth;
};
struct trace_cpu {
	const char *work;  /* the slice that is open: "guest", or the reason of the exit that is handled; NULL: none */
	unsigned running;  /* the guest that runs; 0: none that was begun */
	u64 since;         /* when that began, in instructions */
	u64 exits, exit_insn, entry_insn;
	bool injected;     /* the next event in the guest is what the entry injects */
	bool answering;    /* an exit that reason= asks for is being handled */
	struct trace_nest nest[2]; /* the monitor's, the guest's */
};
#define BLOCK_FIELDS 512
struct block_seen {
	u64 value[BLOCK_FIELDS];
};
struct trace {
	struct sink file; /* not open: through put */
	enum trace_format format;
	struct trace_kept kept;
	struct trace_cpu cpu[CPU_MAX];
	u64 code[TRACE_REASONS]; /* what reason= says, as numbers */
	unsigned codes, guests_named, place_column;
	struct block_seen *block[GUESTS + 1]; /* by guest: a control block as the last exit left it */
	struct text line, what, args, bytes;
};
enum status trace_open(struct inspect *i, struct err *err) must_check;
void trace_close(struct inspect *i);
void trace_flush(struct inspect *i);
void trace_write(struct inspect *i, const char *s, size_t n);
void trace_emit(struct inspect *i, const struct text *t, enum trace_phase phase, unsigned track);
/* An event begins: nothing is said of it yet. trace_line() ends it. */
struct moment trace_moment(struct inspect *i, const struct cpu *c, const char *kind, const char *word, u64 rip);
void trace_line(struct inspect *i, const struct moment *w);

/* ---- trace_chrome.c ---- */
void chrome_head(struct inspect *i);
void chrome_end(struct inspect *i);
void chrome_instant(struct inspect *i, const struct moment *w, const char *place);
void chrome_entry(struct inspect *i, const struct moment *w, bool wanted);
void chrome_exit(struct inspect *i, const struct moment *w, const char *reason, bool wanted);
void chrome_event(struct inspect *i, const struct moment *w, const char *place);
void chrome_event_ends(struct inspect *i, const struct moment *w, const struct trace_handler *h, bool returned);
void chrome_end_events(struct inspect *i, const struct moment *w, bool guest);

/* ---- trace_block.c ---- */
void block_left(struct inspect *i, const struct cpu *c);
void block_entered(struct inspect *i, struct cpu *c);
void block_free(struct inspect *i);

/* ---- trace_kinds.c ---- */
void trace_insn(struct inspect *i, struct cpu *c, const struct insn *in);
void trace_event(struct inspect *i, struct cpu *c, const struct event *e);
void trace_returned(struct inspect *i, struct cpu *c);
void trace_smm(struct inspect *i, struct cpu *c, bool entered);
void trace_io(struct inspect *i, bool mmio, bool write, u64 addr, unsigned size, u64 value);
void trace_msr(struct inspect *i, struct cpu *c, bool write, u32 index, u64 value, bool ok);
void trace_field(struct inspect *i, struct cpu *c, const struct field_access *a);
void trace_entry(struct inspect *i, struct cpu *c);
void trace_exit(struct inspect *i, struct cpu *c, const struct exit_record *x);
void trace_note(struct inspect *i, const char *text);

/* ---- ring.c ---- */
struct ring {
	struct ring_insn {
		u64 rip, insn;
		u8 cpu, guest, mode, len;
		u8 code[15];
	} *at;
	u64 n; /* so many so far */
};
enum status ring_open(struct inspect *i, struct err *err) must_check;
void ring_close(struct inspect *i);
void ring_insn(struct inspect *i, struct cpu *c, const struct insn *in);
void ring_recent(struct cpu *c, struct text *t);         /* the last exits, entries and events, oldest first */
void ring_insns(struct inspect *i, struct text *t); /* --ring */

/* ---- writers.c ---- */
struct writers;
enum status writers_new(struct writers **out, struct machine *m, struct err *err) must_check;
void writers_free(struct writers *w);
/* The last store to the word at pa, as struct origin; false: none is known. */
bool writers_find(const struct writers *w, u64 pa, struct origin *out);

/* ---- explain.c, explain_json.c ---- */
/* "VMWRITE at vmcs_host_init+0x5e vmcs.c:118, insn 41,207,733" */
void explain_origin(struct inspect *i, struct cpu *c, const struct origin *o, struct text *t);
struct refusal_seen {
	const char *check; /* static text of the vendor's row */
	u64 key;           /* with the check: what is one place */
	u64 rip, count, told;
	enum refusal_kind kind;
	char place[PLACE_SIZE];
	struct refusal_seen *next;
};
/* What changed in a control block since its last entry. */
struct changes {
	struct check_change *at;
	size_t told, all;
};
void explain_json(struct inspect *i, struct cpu *c, const struct refusal *r, const struct changes *ch, u64 count,
                  struct text *t);
enum status explain_open(struct inspect *i, struct err *err) must_check;
/* To the file: as an object, or in words the first time. */
void explain_keep(struct inspect *i, u64 count, const struct text *block, const struct text *object);
void explain_refusal(struct inspect *i, struct cpu *c, const struct refusal *r);
void explain_repeats(struct inspect *i); /* says what was refused again since the last time */
void explain_free(struct inspect *i);

/* ---- evidence.c ---- */
void evidence_block(struct inspect *i, struct cpu *c, struct text *t);
void evidence_json(struct inspect *i, struct cpu *c, struct text *t);
/* The same of a guest that is about to be left because of its triple fault. */
void evidence_guest(struct inspect *i, struct cpu *c, const struct refusal *r, struct text *t);
void evidence_cause(struct cpu *c, struct text *t); /* "#PF, error 0x2 (...), CR2 0xb8000", where faults led to the end */
void evidence_chain_json(const struct cpu *c, struct text *t); /* ,"chain":[...] */
/* "#PF, error 0x2 (write, not present), CR2 0xb8000"; delivering: what was being delivered then, NULL: nothing. */
void evidence_event(struct cpu *c, const struct event *e, const struct event *delivering, struct text *t);
const char *evidence_mode(const struct cpu *c);
size_t evidence_bytes(struct cpu *c, la_t la, u8 *buf, size_t n); /* what can be read there, without side effects */

/* ---- places.c ---- */
struct place_file {
	struct symbols *symbols;
	struct place_known *known; /* places that were asked for; NULL: none yet */
	u8 how, who;      /* enum place_rule; enum place_who bits */
	bool looked;      /* the slide is what a search has found last */
	char module[MODULE_NAME]; /* of which it is the file; "" none, or where it is was told */
	u64 slide;        /* where it runs minus where it was linked */
};
struct places {
	struct place_file file[INSPECT_SYMBOLS + 1]; /* what was asked for, then the kernel */
	unsigned count;
	bool kernel_tried;
};
enum status places_open(struct inspect *i, struct err *err) must_check;
void places_close(struct inspect *i);
/* "early_print+0x12 boot.c:41" of a linear address as this processor sees it now; "" where nothing is known. */
void inspect_place(struct inspect *i, struct cpu *c, la_t la, char *out, size_t len);
/* The same of an address in the monitor, even while a guest runs. */
void inspect_monitor_place(struct inspect *i, struct cpu *c, la_t la, char *out, size_t len);

/* ---- eye.c ---- */
struct eye {
	struct cpu *c;
	bool apart;   /* the monitor is looked at while a guest runs */
	bool through; /* what a guest has not touched yet is looked for in its monitor: so far behind it */
	u64 slide;
	struct virt_view view; /* of the monitor, with either */
};
/* On this processor's monitor, or on who runs; false: not in long mode. */
bool eye_open(struct eye *e, struct cpu *c, bool monitor);
/* Second-stage tables are filled when a guest touches its pages, but in the process that gives a guest its memory all of it is
 * there, and in one piece, like a kernel's image in the guest. From a page of it on that is there in both. false: there is none. */
bool eye_through(struct eye *e, la_t from, la_t to);
/* What is mapped; zeros for the rest. Returns how many bytes there were. */
size_t eye_read(const struct eye *e, la_t la, void *out, size_t size);

/* ---- kernels.c ---- */
#define KERNELS       4  /* Linux kernels whose names are known at a time */
#define KERNEL_ANCHOR 96
struct kernel {
	struct symbols *symbols; /* NULL: none here */
	u64 anchor;              /* where these bytes are, and are in no other kernel */
	u8 bytes[KERNEL_ANCHOR];
	unsigned guest;          /* who had it last; 0: the monitor */
	u64 used;                /* for what is forgotten first: the number of the question */
	u64 list;                /* of its modules; 0: it does not say where */
	unsigned tables_at;      /* of `kallsyms` in its struct module; 0: not known yet */
	struct module *module;   /* as the list was when it began with first_module */
	unsigned modules;
	u64 first_module, again; /* again: the time before which the list is not read once more */
};
struct kernels {
	struct kernel at[KERNELS];
	u64 questions;
	u64 again[GUESTS + 1]; /* by guest: the time before which there is no other search */
};
/* "do_idle+0x1f" as the Linux kernel that runs in the monitor, or in this processor's guest, would say it. false: unknown. */
bool kernels_name(struct inspect *i, struct cpu *c, la_t la, bool monitor, char *out, size_t len);
void kernels_close(struct kernels *k);

/* ---- modules.c ---- */
#define MODULES 512
struct module {
	u64 at, tables, symbols_at; /* struct module, its tables of symbols, and what they point to */
	bool loaded;                /* these are the tables that stay */
	u64 first, end;             /* of its functions */
	char name[MODULE_NAME];
	struct symbols *symbols;
};
/* "kvm_vcpu_block+0x2a [kvm]". */
bool modules_name(struct kernel *k, const struct eye *e, la_t la, char *out, size_t len);
void modules_close(struct kernel *k);

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
	struct places places;
	struct kernels kernels;
	struct guests guests;
	struct stats stats;
	struct trace trace;
	struct ring ring;
	struct hashes hashes;
	struct refusal_seen *refusals;
	struct sink explain;
	bool explain_objects; /* the file takes JSON lines */
	struct writers *writers; /* NULL: not kept */
};
void inspect_put(struct inspect *i, const struct inspect_event *e);
#endif
