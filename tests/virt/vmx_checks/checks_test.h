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

/* templates.c: states that pass every check. */
#define TEMPLATES 14
void template_state(unsigned n, bool model_caps, struct state *s);
static inline u64 *field_of(struct state *s, unsigned field)
{
	return field >= VMX_IN ? &s->in[field - VMX_IN] : &s->f[vmcs_slot(field)];
}

#endif
