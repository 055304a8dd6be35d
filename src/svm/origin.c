/*
 * Who gave the fields of a VMCB their values: what #VMEXIT wrote, what the last run of the same VMCB left in the image, what
 * whoever watches stores knows; and the last exit of each VMCB, for that. Evidence: nothing depends on it.
 */
#include "svm/svm.h"

/* ---- the last exit of each VMCB ---- */

/* Its own place, another one's or an empty one. Where all are taken the oldest is forgotten. */
cold struct svm_last *svm_last_slow(struct svm *s, pa_t pa)
{
	const unsigned first = pa / PAGE_SIZE % ARRAY_LEN(s->last);
	struct svm_last *at = &s->last[first];

	for (unsigned n = 0; n < ARRAY_LEN(s->last) && at->n && at->pa != pa; n++) {
		struct svm_last *k = &s->last[(first + n) % ARRAY_LEN(s->last)];

		if (!k->n || k->pa == pa || k->insn < at->insn)
			at = k;
	}
	s->newest = (u8)(at - s->last);
	if (at->n && at->pa == pa)
		return at;
	s->forgot |= at->n != 0;
	*at = (struct svm_last){.pa = pa};
	return at;
}

/* Of all processors the one that has run it last, by the time of the entry; *n: how many exits in all. NULL: it never
 * ran, or *forgotten. */
static const struct svm_last *last_exit(const struct cpu *c, pa_t pa, u64 *n, unsigned *who, bool *forgotten)
{
	const struct svm_last *found = NULL;

	*n = 0;
	*forgotten = false;
	for (unsigned k = 0; k < c->count; k++) {
		const struct svm *s = svm_of(c->all[k]);

		*forgotten |= s->forgot;
		for (unsigned i = 0; i < ARRAY_LEN(s->last); i++) {
			const struct svm_last *l = &s->last[i];

			if (!l->n || l->pa != pa)
				continue;
			*n += l->n;
			if (found && found->when > l->when)
				continue;
			found = l;
			*who = k;
		}
	}
	return found;
}

/* ---- fields ---- */

void svm_writer(struct cpu *c, pa_t pa, struct origin *o)
{
	if (c->hooks->writer)
		(void)c->hooks->writer(c->hooks->arg, pa, o);
}

/* What the last run of this VMCB on this processor, and the exit that ended it, left of the field. false: not known. */
static bool left_behind(const struct cpu *c, const struct vmcb_field *f, u64 *value)
{
	const struct svm *s = svm_of(c);
	const bool in_image = f->kind != VMCB_LIVE || f->clean != CLEAN_NEVER;

	if (!s->good || s->cached_pa != s->vmcb_pa)
		return false;
	if (f->kind == VMCB_TOLD) { /* of these VMRUN reads EVENTINJ and nRIP */
		*value = 0;
		return f->offset == CTL_AT(eventinj);
	}
	if (f->part == SVM_PART_VMLOAD || (f->offset >= sizeof(struct vmcb_control) && f->offset < VMCB_SAVE))
		return false;
	*value = svm_field_value(&s->image[s->cur], f->offset);
	return in_image;
}

static bool exit_writes(const struct vmcb_field *f)
{
	return f->kind != VMCB_FIELD && f->part != SVM_PART_VMLOAD && f->part != SVM_PART_CONTROL;
}

void svm_origin(struct cpu *c, const struct svm_image *v, const struct vmcb_field *f, struct origin *o)
{
	const pa_t pa = svm_of(c)->vmcb_pa;
	struct origin stored = {0};
	const struct svm_last *l;
	bool forgotten;
	unsigned who = 0;
	u64 n, was;

	l = last_exit(c, pa, &n, &who, &forgotten);
	svm_writer(c, (pa + f->offset) & ~7ull, &stored);
	*o = stored;
	if (!l) {
		if (stored.kind == ORIGIN_UNKNOWN && !forgotten)
			o->kind = ORIGIN_EARLY;
		return;
	}

	const struct svm_exit_row *row = svm_exit_row(l->code);
	const bool known = left_behind(c, f, &was), same = known && was == svm_field_value(v, f->offset);
	const bool later = stored.placed && (stored.cpu != who || stored.insn > l->insn), earlier = stored.placed && !later;

	if (exit_writes(f) && !later && (same || (!known && earlier)))
		*o = (struct origin){.kind = ORIGIN_EXIT, .cpu = (u8)who, .placed = true, .insn = l->insn};
	else if (known && !same && stored.kind == ORIGIN_UNKNOWN)
		o->kind = ORIGIN_STORE;
	o->n = n;
	o->code = l->code;
	o->name = row ? row->name : NULL;
}

size_t svm_changed(const struct cpu *c, struct check_change *out, size_t room)
{
	const struct svm *s = svm_of(c);
	const struct svm_image *v = &s->image[!s->cur];
	size_t count = 0;

	if (!s->refusing)
		return 0;
	for (const struct vmcb_field *f = vmcb_fields; f < vmcb_fields + vmcb_field_count; f++) {
		const u64 now = svm_field_value(v, f->offset);
		u64 was;

		if (!left_behind(c, f, &was) || was == now)
			continue;
		if (count < room) {
			out[count] = (struct check_change){.name = f->name, .was = was, .now = now, .width = f->width, .keyed = true, .key = f->offset};
			svm_origin(c->all[c->index], v, f, &out[count].set);
		}
		count++;
	}
	return count;
}
