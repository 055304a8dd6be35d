/*
 * A VMCB judged by the rows of VMRUN. Beside it they read the host's CR0, and the PDPEs of a guest in legacy PAE paging
 * without nested paging: kernels run with paging, and what lies in memory no dump tells.
 */
#include "judge/judge.h"

#include <stdlib.h>

struct vmcb_image {
	struct vmcb_page page;
	struct svm_image v;
};

static void refresh(struct vmcb_image *i)
{
	i->v.control = i->page.control;
	i->v.save = i->page.save;
}

/* ---- rows whose fields are not all known ---- */

static u64 field_of(const struct vmcb_image *i, unsigned key, unsigned width)
{
	u64 value = 0;

	memcpy(&value, (const u8 *)&i->page + key, width);
	return value;
}

static void set_field(struct vmcb_image *i, const struct dump *d, unsigned key, u64 value)
{
	if (key < VMX_IN)
		memcpy((u8 *)&i->page + key, &value, dump_width(d, key));
	else if (key == SVM_IN_HOST_CR0)
		i->v.env.host_cr0 = value;
	else
		for (unsigned n = 0; n < 4; n++)
			i->v.env.pdpte[n] = value | (value & 2) >> 1;
}

/* Does the row pass whatever the missing ones are? See vmx.c. */
static bool passes_anyhow(struct vmcb_image *i, const struct dump *d, const struct svm_check *k, const unsigned *need, unsigned needs)
{
	const struct vmcb_image kept = *i;
	u64 seed = 0x9e3779b97f4a7c15ull;
	bool pass = true;

	for (unsigned n = 0; n < needs; n++)
		if (need[n] == offsetof(struct vmcb_control, eventinj))
			return false;
	for (unsigned draw = 0; draw < 1024 && pass; draw++) {
		for (unsigned n = 0; n < needs; n++) {
			u64 mine = field_of(i, k->field[0], dump_width(d, k->field[0]));

			set_field(i, d, need[n], judge_draw(&seed, mine));
		}
		refresh(i);
		pass = !k->bad(&i->v);
	}
	*i = kept;
	return pass;
}

/* Rows do not list what they read beside fields: does this one turn with it? */
static bool depends(struct vmcb_image *i, const struct dump *d, const struct svm_check *k, const struct judged *j, unsigned fields,
                    unsigned input)
{
	const struct vmcb_image kept = *i;
	u64 seed = 0x9e3779b97f4a7c15ull;
	bool differs = false;

	for (unsigned draw = 0; draw < 256 && !differs; draw++) {
		for (unsigned n = 0; n < fields; n++)
			set_field(i, d, j->need[n], judge_draw(&seed, 0));
		refresh(i);
		set_field(i, d, input, judge_draw(&seed, CR0_PG));
		bool one = k->bad(&i->v);
		set_field(i, d, input, judge_draw(&seed, CR0_PG));
		differs = one != k->bad(&i->v);
	}
	*i = kept;
	return differs;
}

/* ---- one row ---- */

static bool paged_by_pdpes(const struct dump *d)
{
	static const u16 fields[] = {VMCB_SAVE + offsetof(struct vmcb_save, cr0), VMCB_SAVE + offsetof(struct vmcb_save, cr4),
	                             VMCB_SAVE + offsetof(struct vmcb_save, efer), offsetof(struct vmcb_control, nested_ctl)};

	for (size_t n = 0; n < ARRAY_LEN(fields); n++)
		if (!dump_has(d, fields[n]))
			return true; /* perhaps */
	return (dump_value(d, fields[0]) & CR0_PG) && (dump_value(d, fields[1]) & CR4_PAE) && !(dump_value(d, fields[2]) & EFER_LME);
}

static void judge_row(struct vmcb_image *i, const struct dump *d, const struct svm_check *k, struct judged *j)
{
	const struct svm_env *e = &i->v.env;
	bool nested = e->nested_paging && dump_has(d, offsetof(struct vmcb_control, nested_ctl)) && (i->v.control.nested_ctl & NESTED_NP_ENABLE);
	unsigned beside[2], more = 0, fields;

	*j = (struct judged){.id = k->id, .rule = k->rule, .manual = k->manual, .image = &i->v, .row = k};
	for (unsigned n = 0; n < SVM_CHECK_FIELDS && k->field[n] != 0xffff; n++) {
		j->key[j->keys++] = k->field[n];
		if (!dump_has(d, k->field[n]))
			j->need[j->needs++] = k->field[n];
	}
	j->verdict = JUDGE_UNKNOWN;
	if (j->needs == j->keys) /* nothing is known that could decide */
		return;
	if (!dump_has(d, SVM_IN_HOST_CR0))
		beside[more++] = SVM_IN_HOST_CR0;
	if (paged_by_pdpes(d) && !nested)
		beside[more++] = SVM_IN_PDPE;
	fields = j->needs;
	for (unsigned n = 0; n < more; n++)
		if (depends(i, d, k, j, fields, beside[n]))
			j->need[j->needs++] = beside[n];
	if (!j->needs)
		j->verdict = k->bad(&i->v) ? JUDGE_FAIL : JUDGE_PASS;
	else
		j->verdict = passes_anyhow(i, d, k, j->need, j->needs) ? JUDGE_PASS : JUDGE_UNKNOWN;
}

enum status judge_vmcb(const struct dump *d, const struct judge_caps *k, judged_fn *fn, void *arg)
{
	struct dump *told = base_alloc(sizeof(*told));
	struct vmcb_image *i = base_alloc(sizeof(*i));
	const bool room = told && i;

	if (room) {
		*told = *d;
		if ((!strcmp(d->source, "Linux") || !strcmp(d->source, "Xen")) && !dump_has(d, SVM_IN_HOST_CR0))
			dump_put(told, SVM_IN_HOST_CR0, 0, CR0_PG | CR0_PE, d->last);
		i->page = told->page;
		i->v.env = k->env;
		i->v.env.host_cr0 = told->host_cr0;
		refresh(i);
		for (size_t n = 0; n < svm_check_count; n++) {
			struct judged j;

			judge_row(i, told, &svm_checks[n], &j);
			fn(arg, told, &j);
		}
	}
	base_free(i);
	base_free(told);
	return room ? ST_OK : ST_NOMEM;
}
