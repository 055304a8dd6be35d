/* What the files of this test share. evaluator.c sees nothing of the rows: it reads the manual's text, not src/vmx. */
#ifndef CHECKS_TEST_H
#define CHECKS_TEST_H

#include "vmx/vmx.h"

struct state {
	struct vmx_caps caps;
	u64 f[VMCS_SLOTS];
	u64 in[VMX_IN_END - VMX_IN];
};

#define MAX_IDS 192
struct verdict {
	u64 ids[MAX_IDS / 64]; /* failing checks, by id_number() */
	u8 outcome;            /* 0: the entry goes on; an error number, or 33 */
	u8 qualification;
};
unsigned id_number(const char *id);

/* evaluator.c: the conditions of the manual, in its order. */
void evaluate(const struct state *s, struct verdict *out);
/* Of an entry that returns from SMM: s has the current VMCS as it is, x the executive VMCS, with the inputs of s. */
void evaluate_return(const struct state *s, const struct state *x, struct verdict *out);

/* templates.c: states that pass every check. Of an entry that returns from SMM it is the merged VMCS. */
#define TEMPLATES 18
void template_state(unsigned n, const struct vmx_caps *caps,
                    struct state *s); /* caps: NULL: a processor with everything */
static inline u64 *field_of(struct state *s, unsigned field)
{
	return field >= VMX_IN ? &s->in[field - VMX_IN] : &s->f[vmcs_slot(field)];
}

/* search.c */
struct expectation {
	const char *id;
	u8 outcome, qualification;
	const char *proves; /* requirements; NULL: none */
};
extern const struct expectation expected[];
extern const unsigned expected_count;
struct table {
	const struct vmx_check *row[320];
	u16 id[320];
	size_t count;
};
void fill_table(struct table *t);
struct vmx_image image_of(const struct state *s);
size_t failing_rows(const struct table *t, const struct state *s, size_t *only); /* how many; *only: the last of them */
unsigned field_bits(unsigned field);
bool returns_from_smm(const struct state *s);
u64 fit(unsigned field, u64 value);
/* Values worth trying: every bit turned, small numbers, types and vectors of events, other fields' values. */
#define CANDIDATES (64 + 41 + 16 + 256)
unsigned candidates(const struct state *s, unsigned field, u64 out[CANDIDATES]);
/* A valid state, and the same with one field changed so that this row alone fails. caps: as for template_state(). */
bool find_alone(const struct table *t, const struct vmx_caps *caps, size_t row, struct state *bad, struct state *good,
                unsigned *changed);

#endif
