/*
 * diff: one random instruction in one random state, run by our processor (core.c) and by the computer's own (host.c),
 * then compared (compare.c). gen.c makes instructions from the instruction table's rows, place.c states for them;
 * rules.c says what is left out, and why. README.md tells the whole story.
 */
#ifndef TESTS_DIFF_H
#define TESTS_DIFF_H

#include "cpu/decode/index.h"
#include "cpu/exec/exec.h"

/* ---- the address space, the same in both worlds ---- */
#define DATA_BASE  0x10000000ull
#define DATA_PAGES 3u /* two that can be written, one read-only; unmapped pages on both sides */
#define DATA_SIZE  (DATA_PAGES * PAGE_SIZE)
#define DATA_WRITE (2 * PAGE_SIZE)
#define CODE_BASE  0x20000000ull /* one page, execute and read; the instruction ends at its end */
#define CODE_END   (CODE_BASE + PAGE_SIZE)
/* The operand zone: new content for every case, mostly across the page boundary. */
#define ZONE_SIZE 1024u
#define ZONE_BASE (DATA_BASE + PAGE_SIZE - ZONE_SIZE / 2)

/* Segments of 32-bit and 16-bit code; selectors are those of the local descriptor table, see place.c. */
struct seg_spec {
	u16 sel;
	u32 base, limit; /* limit in bytes; page-granular if it ends in fff and is larger than 1 MiB */
	bool code, big, writable;
};

enum diff_mode { DIFF_64, DIFF_32, DIFF_16 };

/* The local descriptor table, the same in both worlds: the segments above, then some that are there to be tried. */
#define DIFF_LDT_SIZE 11u
struct ldt_entry {
	u32 base, limit; /* limit in units of G */
	u8 contents;     /* type bits 3:2: data, expand-down, code, conforming code */
	bool fixed;      /* read-only data, execute-only code */
	bool big, pages, absent;
};

/* Everything an instruction at CPL 3 sees and changes, in either world. */
struct diff_state {
	u64 r[16], rip;
	u32 flags, mxcsr;
	union vec v[16];
	u16 cw, sw, tag; /* sw with TOP; tag: bit n is physical register n, set when it is not empty */
	u8 st[8][16];    /* ST(0).. as FXSAVE stores them */
	u64 gs_base;
	u16 sel[6]; /* by SEG_ES..SEG_GS */
};

/* How it ended. */
struct diff_end {
	struct diff_state s;
	int vector; /* -1: completed */
	u32 error;
	u64 cr2;
};

struct rng {
	u64 s;
};
u64 rng_next(struct rng *g);
static inline u64 rng_below(struct rng *g, u64 n)
{
	return (u64)(((unsigned __int128)rng_next(g) * n) >> 64);
}
static inline bool rng_one_in(struct rng *g, u64 n)
{
	return rng_below(g, n) == 0;
}

struct diff_case {
	u64 seed;
	struct rng rng;
	const struct cpu *cpu; /* model and features */
	u8 bytes[16];
	unsigned len;               /* bytes in place; of an invalid instruction: all that were generated */
	bool invalid;               /* no decoder knows it: #UD is expected */
	const struct insn_row *row; /* NULL: invalid */
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	u64 rip;
	struct diff_state in;
	u64 zone_base;
	u8 zone[ZONE_SIZE] __attribute__((aligned(16)));
	/* how our processor is asked to run it; no difference to the result is allowed */
	bool careful, cold_tlb;
	u8 cc_op, cc_size; /* lazy flags of an earlier instruction; in.flags agrees with them */
	u64 cc_res, cc_src1, cc_src2;
	/* Of a corpus: what was not compared when it was made. */
	u32 hide_flags;
	u16 hide_sw;
};

/* ---- gen.c ---- */
struct gen;
struct gen *gen_new(const struct cpu *c, enum diff_mode mode, const char *filter);
void gen_free(struct gen *g);
bool gen_decode(const struct gen *g, struct diff_case *k); /* k->bytes of a corpus; false: the model lacks them */
bool gen_case(struct gen *g, struct diff_case *k);  /* from k->seed; false: this seed gives nothing that may run */
void gen_state(struct gen *g, struct diff_case *k); /* place.c */

struct row_count {
	const struct insn_row *row;
	u64 runs, fails;
	unsigned templates;
};
struct row_at {
	const struct insn_row *row;
	size_t index;
};
struct gen {
	const struct cpu *cpu;
	enum diff_mode mode;
	const char *filter;
	struct template *templates;
	size_t template_count, template_room;
	struct row_count *rows;
	struct row_at *at; /* ordered by address */
	size_t row_count;
	size_t *live, live_count; /* rows that may run here and have a template */
	u32 *first;               /* rows[n]'s templates start at templates[first[n]] */
	u64 invalid_runs, invalid_fails;
	u16 no_row[ZYDIS_MNEMONIC_MAX_VALUE + 1]; /* decodes, but the model does not have it */
};
struct row_count *gen_count(struct gen *g, const struct insn_row *row);

/* ---- place.c ---- */
struct ldt_entry diff_ldt(enum diff_mode mode, unsigned n);
const struct seg_spec *diff_segments(enum diff_mode mode); /* [SEG_ES..SEG_GS] */
void diff_pattern(u8 *data);                               /* DATA_SIZE bytes that every case starts from */

/* ---- rules.c ---- */
/* Why a row is not compared on this computer; NULL: it is. */
const char *rule_excluded(const struct cpu *c, const struct insn_row *row, enum diff_mode mode);
/* The same for one instruction of a row that is compared otherwise. */
bool rule_refuses(const struct diff_case *k);
bool rule_bytes_safe(const u8 *bytes, size_t n, enum diff_mode mode);
u32 rule_undefined(const struct diff_case *k);
enum tolerance { TOL_EXACT, TOL_X87_TRANSCENDENTAL, TOL_RECIPROCAL };
enum tolerance rule_tolerance(const struct insn_row *row);
u16 rule_sw_mask(const struct diff_case *k); /* status-word bits that count */
bool rule_is_rep(const struct diff_case *k);
bool rule_reads_selector(const struct diff_case *k);
bool rule_is_gather(const struct diff_case *k);
enum part { PART_X87 = 1, PART_VECTORS = 2, PART_MEMORY = 4, PART_CR2 = 8, PART_GPRS = 16, PART_ALL = 32 };
extern bool rule_strict; /* --strict: nothing is ignored */
u32 rule_ignored(const struct diff_case *k, const struct diff_end *core, const struct diff_end *host);
void rule_fix_operands(const ZydisDecodedInstruction *zi, ZydisDecodedOperand *op);
const char *rule_note(const struct insn_row *row); /* what is masked, for --list; NULL: nothing beside undef_flags */

/* ---- core.c, host.c ---- */
struct core;
const struct cpu_model *core_model(const char *vendor);
extern bool core_translates; /* --jit: what the careful loop does not run is translated at once */
u64 core_translated(const struct core *w); /* instructions */
struct core *core_new(enum diff_mode mode, const struct cpu_model *m, u64 gs_base, u64 fs_base);
void core_free(struct core *w);
struct cpu *core_cpu(struct core *w);
u8 *core_data(struct core *w);
void core_run(struct core *w, const struct diff_case *k, struct diff_end *out);
void core_flags(struct core *w, struct diff_case *k); /* k->in.flags from the lazy flags */

bool host_init(enum diff_mode mode, const char **why);
u8 *host_data(void);
u64 host_fs_base(void);
u64 host_gs_base(void);
bool host_run(const struct diff_case *k, struct diff_end *out); /* false: it did not come to an end */

/* ---- compare.c ---- */
/* Number of differing items; text: one line each. */
unsigned compare(const struct diff_case *k, enum diff_mode mode, const struct diff_end *core,
                 const struct diff_end *host, const u8 *core_mem, const u8 *host_mem, char *text, size_t size);

/* ---- corpus.c: cases and answers in a file ---- */
struct corpus_base {
	struct diff_state state;
	u8 memory[DATA_SIZE];
};
struct corpus_case {
	struct diff_case k;
	u8 before[DATA_SIZE], after[DATA_SIZE];
	struct diff_end end;
	u32 undefined; /* flags that were not compared; status-word bits that were */
	u16 sw_mask;
};
struct corpus_head {
	char vendor[32], processor[128];
	enum diff_mode mode;
	u64 cases;
};
/* Runs k on the processor that is recorded; memory: before, then after. false: it did not come to an end. */
typedef bool corpus_answer(const struct diff_case *k, u8 *memory, struct diff_end *end);
struct corpus_writer;
struct corpus_writer *corpus_new(corpus_answer *answer);
void corpus_add(struct corpus_writer *w, const struct diff_case *k, const u8 *before);
bool corpus_save(struct corpus_writer *w, const char *path, enum diff_mode mode, const char *about); /* frees it */
struct corpus_reader;
struct corpus_reader *corpus_open(const char *path);
bool corpus_section(struct corpus_reader *r, struct corpus_head *h);
bool corpus_next(struct corpus_reader *r, struct corpus_case *c);
void corpus_close(struct corpus_reader *r);

/* ---- record.c ---- */
struct recorder;
struct recorder *record_new(struct gen *g, enum diff_mode mode, unsigned per_row);
void record_case(struct recorder *r, const struct diff_case *k, const u8 *before);
bool record_save(struct recorder *r, const char *path);
int replay(const char *path); /* the program's status */

#endif
