/*
 * judge: dumps of VMCSs and VMCBs from elsewhere, judged by the check rows that VM entry and VMRUN run. formats.c: what
 * kernels and hypervisors print, as rows; read.c: the dumps of a text, json.c: of JSON; dump.c: fields that may be
 * missing; caps.c: what the processor can do, a model's or a real one's; vmx.c, svm.c: a verdict for each row; report.c:
 * the same for a person; diff.c: two dumps side by side. What a dump does not tell is never made up: a row that reads it
 * is UNKNOWN, unless what is known decides it. May call: base, arch, mem, cpu, vmx, svm, model. Called by: api.
 */
#ifndef JUDGE_JUDGE_H
#define JUDGE_JUDGE_H

#include <stdio.h>

#include "model/model.h"
#include "svm/svm.h"
#include "vmx/vmx.h"

/* ---- what a file tells of a processor: lines `msr 0x480=0x...` and `cpuid 0x1.0x0: EAX EBX ECX EDX` ---- */
struct judge_words {
	struct {
		u32 index;
		u64 value;
	} msr[64];
	struct {
		u32 leaf, subleaf, reg[4];
	} cpuid[64];
	unsigned msrs, cpuids;
};
bool words_msr(const struct judge_words *w, u32 index, u64 *value);
bool words_cpuid(const struct judge_words *w, u32 leaf, u32 subleaf, u32 reg[4]);
bool words_line(struct judge_words *w, const char *s, const char *end); /* false: the line is none of these */

/* ---- dump.c ---- */
enum dump_kind { DUMP_VMCS, DUMP_VMCB };
enum dump_known { DUMP_MISSING, DUMP_KNOWN, DUMP_DISPUTED /* told twice, differently */ };

/* What SVM's rows read beside the VMCB; numbers above every offset. VMX's rows name theirs: enum vmx_input. */
enum svm_input { SVM_IN = 0x8000, SVM_IN_HOST_CR0 = SVM_IN, SVM_IN_PDPE, SVM_IN_END };

struct dump {
	enum dump_kind kind;
	const char *source; /* "Linux", "Xen", "raw", "JSON", "dump header" */
	u32 line, last;     /* where it begins, and the last line that is its; 0: the file has no lines */
	unsigned number;    /* from 1 on */
	unsigned fields;    /* how many are known */
	u64 f[VMCS_SLOTS], in[VMX_IN_END - VMX_IN];
	u32 f_line[VMCS_SLOTS];
	u8 f_known[VMCS_SLOTS], in_known[VMX_IN_END - VMX_IN];
	union {
		struct vmcb_page page;
		u8 bytes[sizeof(struct vmcb_page)];
	};
	u8 b_known[sizeof(struct vmcb_page)];
	u32 b_line[sizeof(struct vmcb_page)];
	u64 host_cr0;
	u8 host_cr0_known;
	struct {
		u32 line;
		char text[160];
	} note[6]; /* what a person would want to know of the text */
	unsigned notes;
};
void dump_begin(struct dump *d, enum dump_kind kind, const char *source, u32 line);
void dump_note(struct dump *d, u32 line, const char *fmt, ...) printf_like(3, 4);
/* key: an encoding, or an offset in the VMCB; width: bytes, 0 for the field's own. false: too large for the field. */
bool dump_put(struct dump *d, unsigned key, unsigned width, u64 value, u32 line);
bool dump_has(const struct dump *d, unsigned key);
u64 dump_value(const struct dump *d, unsigned key);
u32 dump_line(const struct dump *d, unsigned key); /* 0: none */
const char *dump_name(const struct dump *d, unsigned key);
unsigned dump_width(const struct dump *d, unsigned key);
/* The field of this name, however it is written: our own, with or without its number, a row's symbol, 0x6820. */
bool dump_named(enum dump_kind kind, const char *name, unsigned *key);

/* ---- read.c ---- */
typedef enum status dump_fn(void *arg, const struct dump *d, struct err *err);
/* Every dump in turn; fn NULL: they are only counted. words NULL: not wanted. err->text begins with name and line. */
enum status dumps_read(const char *name, const u8 *data, size_t n, dump_fn *fn, void *arg, struct judge_words *words,
                       unsigned *count, struct err *err) must_check;
bool words_read(const u8 *data, size_t n, struct judge_words *w); /* false: there are none */

/* ---- json.c ---- */
bool json_looks(const u8 *data, size_t n);
struct json_sink {
	const char *name;
	dump_fn *fn;
	void *arg;
	unsigned count;
};
enum status json_read(struct json_sink *k, const u8 *data, size_t n, struct err *err) must_check;

/* ---- formats.c ---- */
enum section { SECTION_NONE, SECTION_GUEST, SECTION_HOST, SECTION_CONTROL, SECTION_VMCB, SECTION_SAVE, SECTION_XEN_VMCB };
/* All fields of the line [s, eol) of a text that ends at `end`; a number may stand on the next line where mail has
 * wrapped it. How many rows matched. */
unsigned format_line(struct dump *d, enum section section, const char *s, const char *eol, const char *end, u32 line);
bool format_number(const char **p, const char *end, unsigned base, u64 *value); /* 0x is taken in either base */

/* ---- caps.c ---- */
struct judge_caps {
	struct vmx_caps vmx; /* valid with has_vmx */
	struct svm_env env;  /* valid with has_svm */
	bool has_vmx, has_svm;
	bool assumed;        /* a model's, because nobody said */
	char how[160];       /* "as --cpu intel", "with --caps FILE" */
};
enum status caps_of_spec(const char *spec, struct judge_caps *k, struct err *err) must_check;
enum status caps_of_words(const char *file, const struct judge_words *w, struct judge_caps *k, struct err *err) must_check;
/* The lines that --caps reads: of a model, of this computer. */
enum status caps_print_spec(FILE *out, const char *spec, struct err *err) must_check;
void caps_print_here(FILE *out); /* a line tells why, if MSRs cannot be read */
/* A processor specification of ours that has what FILE has; *lacks: what it cannot have, "" if nothing. To be freed. */
enum status caps_like(const char *file, const struct judge_words *w, char **spec, char **lacks, struct err *err) must_check;

/* ---- vmx.c, svm.c ---- */
enum judge_verdict { JUDGE_PASS, JUDGE_FAIL, JUDGE_UNKNOWN };
#define JUDGE_KEYS 12
struct judged {
	enum judge_verdict verdict;
	const char *id, *rule, *manual;
	unsigned key[JUDGE_KEYS], keys;   /* what the row reads, the culprit first */
	unsigned need[JUDGE_KEYS], needs; /* UNKNOWN: which of it is missing */
	bool caps_doubt;                  /* UNKNOWN: it fails with assumed capabilities, and the real processor has let it pass */
	const void *image, *row;          /* for judge_field() */
};
typedef void judged_fn(void *arg, const struct dump *d, const struct judged *j);
/* Every row in turn. ST_NOMEM: none. */
enum status judge_vmcs(const struct dump *d, const struct judge_caps *k, judged_fn *fn, void *arg) must_check;
enum status judge_vmcb(const struct dump *d, const struct judge_caps *k, judged_fn *fn, void *arg) must_check;
/* Name, value, width, bits in words. */
void judge_field(const struct dump *d, const struct judged *j, unsigned key, struct check_field *out);
const char *judge_input_name(const struct dump *d, unsigned key);
bool judge_entry_failed(const struct dump *d); /* the exit reason tells of a failed VM entry */
u64 judge_draw(u64 *seed, u64 mine);           /* a value worth trying in place of one that is not known */

/* ---- report.c ---- */
struct judge_report {
	FILE *out;
	const char *name;
	const struct judge_caps *vmx, *svm; /* for VMCSs, for VMCBs; NULL: the file must not have one */
	bool json;
	unsigned of; /* dumps in the file */
	unsigned pass, fail, unknown;
};
enum status report_dump(void *arg, const struct dump *d, struct err *err); /* a dump_fn over struct judge_report */
void report_end(const struct judge_report *r);

/* ---- diff.c ---- */
struct diff_side {
	const char *name; /* as it was typed */
	const struct dump *dump;
	unsigned of;
};
/* *same: no field differs. */
enum status diff_print(FILE *out, const struct diff_side *a, const struct diff_side *b, bool *same, struct err *err) must_check;

#endif
