/*
 * What the files of lookup/ know of each other. explain.c: which topics there are; exits.c, fields.c, checks.c,
 * registers.c, insns.c: what they know; list.c: the tables.
 */
#ifndef LOOKUP_PARTS_H
#define LOOKUP_PARTS_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "arch/names.h"
#include "lookup/lookup.h"
#include "model/model.h"
#include "svm/svm.h"
#include "vmx/vmx.h"

/* What somebody wants to know. */
struct ask {
	FILE *out;
	const char *word;  /* without topic and value */
	u64 number;        /* of the word, with has_number */
	u64 value;         /* with has_value */
	bool has_number, has_value;
	const char *text;  /* the value as it was typed */
	unsigned found;    /* blocks so far */
	const char *near;  /* the name that comes nearest to the word */
	unsigned distance; /* ... and how near */
};

/* A block: its first line, then labelled ones, in the grammar of all messages. */
void say_title(struct ask *a, const char *fmt, ...) printf_like(2, 3);
void say(struct ask *a, const char *label, const char *fmt, ...) printf_like(3, 4);
void say_bits(struct ask *a, const struct bit_names *names, u64 value); /* "bits" */
/* Is this what the word says? Case and what is neither letter nor digit do not count; the prefixes that Linux has in
 * front are left out. Otherwise remembered as a suggestion, if it comes near. */
bool is_called(struct ask *a, const char *name);
/* "a number", without anything behind it: 12, 0x0c, 0ch */
bool read_number(const char *s, u64 *v);

/* ---- topics: each prints a block for everything of its kind that the word may mean ---- */
void ask_exit(struct ask *a);
void ask_error(struct ask *a);
void ask_vmcs(struct ask *a);
void ask_vmcb(struct ask *a);
void ask_control(struct ask *a);
void ask_check(struct ask *a);
void ask_msr(struct ask *a);
void ask_register(struct ask *a);
void ask_cpuid(struct ask *a);
void ask_insn(struct ask *a);

/* ---- lists: rows for list.c, one cell for each column ---- */
struct sheet;
void sheet_row(struct sheet *s, const char *const *cells);
void list_checks(struct sheet *s);
void list_fields(struct sheet *s);
void list_intercepts(struct sheet *s);
void list_exits(struct sheet *s);
void list_msrs(struct sheet *s);
void list_cpuid(struct sheet *s);
void list_insns(struct sheet *s);
void list_models(struct sheet *s);

u32 lookup_control_field(unsigned word); /* the encoding of the field with these controls */
/* The models whose tables are asked. */
extern const struct cpu_model *const lookup_models[];
extern const size_t lookup_model_count;

#endif
