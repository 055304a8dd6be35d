/*
 * MSRs: finding the row and what a row means. The rows themselves: msr_common.c for both vendors, the model's table file,
 * and the vendor's folder. SDM 4 "Model-Specific Registers", APM 2 "MSR Cross-Reference".
 */
#include "cpu/control/msr.h"

#include "arch/names.h"

#include <stdio.h>

/* Longer sets are ordered by index and searched by halves; the vendors' short ones need not be. */
#define LINEAR_MAX 32

static bool covers(const struct msr_row *r, u32 index)
{
	return index - r->index < (r->count ? r->count : 1);
}

static const struct msr_row *find_linear(const struct msr_set *s, u32 index)
{
	for (size_t k = 0; k < s->count; k++)
		if (covers(&s->rows[k], index))
			return &s->rows[k];
	return NULL;
}

static const struct msr_row *find_sorted(const struct msr_set *s, u32 index)
{
	size_t lo = 0, hi = s->count;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (s->rows[mid].index <= index)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && covers(&s->rows[lo - 1], index) ? &s->rows[lo - 1] : NULL;
}

const struct msr_row *msr_find(const struct cpu *c, u32 index)
{
	for (const struct msr_set *const *s = c->model->msrs; *s; s++) {
		const struct msr_row *r = (*s)->count <= LINEAR_MAX ? find_linear(*s, index) : find_sorted(*s, index);

		if (r && (r->feature == FEAT_NONE || has(c, r->feature)))
			return r;
	}
	return NULL;
}

/* Past n bars. NULL: there are not as many. */
static const char *nth_name(const char *list, u32 n)
{
	while (list && n--) {
		list = strchr(list, '|');
		list = list ? list + 1 : NULL;
	}
	return list;
}

static u32 names(const char *list)
{
	u32 n = 1;

	for (; *list; list++)
		n += *list == '|';
	return n;
}

const char *msr_name(const struct msr_row *r, u32 index, char out[MSR_NAME_MAX])
{
	bool turns = strchr(r->name, '#') != NULL;
	u32 n = index - r->index, each = names(r->name);
	const char *from = nth_name(r->name, turns ? n % each : n);
	size_t k = 0;

	for (; from && *from && *from != '|' && k + 3 < MSR_NAME_MAX; from++) {
		if (*from != '#')
			out[k++] = *from;
		else
			k += (size_t)snprintf(out + k, MSR_NAME_MAX - k, "%u", n / each);
	}
	out[k] = 0;
	return out;
}

void msr_words(struct words *w, const struct cpu *c, u32 index)
{
	const struct msr_row *r = msr_find(c, index);
	char name[MSR_NAME_MAX] = "";

	words_add(w, "0x%x%s%s", index, r ? " " : "", r ? msr_name(r, index, name) : "");
}

static u64 *member(struct cpu *c, const struct msr_row *r, u32 index)
{
	return (u64 *)(void *)((u8 *)c + r->offset) + (index - r->index);
}

static bool has_member(const struct msr_row *r)
{
	return (r->flags & MSR_MEMBER) || r->offset;
}

bool msr_read(struct cpu *c, u32 index, u64 *value)
{
	const struct msr_row *r = msr_find(c, index);

	if (!r)
		return false;
	if (r->read)
		return r->read(c, index, value);
	if (r->flags & MSR_CONST)
		*value = r->reset;
	else if (has_member(r))
		*value = *member(c, r, index);
	else
		return false; /* write-only */
	return true;
}

bool msr_write(struct cpu *c, u32 index, u64 value)
{
	const struct msr_row *r = msr_find(c, index);
	u64 *m;

	if (!r)
		return false;
	if (r->write)
		return r->write(c, index, value);
	if (r->flags & MSR_WRITE_IGNORED)
		return true;
	if (!r->writable || !has_member(r) || (value & ~(r->writable | r->ignored)))
		return false;
	if ((r->flags & MSR_CANONICAL) && !is_canonical(value, msr_la_bits(c)))
		return false;
	m = member(c, r, index);
	*m = (*m & ~r->writable) | (value & r->writable);
	return true;
}

static void reset_row(struct cpu *c, const struct msr_row *r)
{
	for (u32 n = 0; n < (r->count ? r->count : 1); n++)
		*member(c, r, r->index + n) = r->reset;
}

void msr_reset(struct cpu *c)
{
	for (const struct msr_set *const *s = c->model->msrs; *s; s++)
		for (size_t k = 0; k < (*s)->count; k++)
			if (has_member(&(*s)->rows[k]))
				reset_row(c, &(*s)->rows[k]);
	c->tsc_offset = 0 - c->clock->now; /* the time-stamp counter restarts; INIT leaves it alone */
	if (c->wake_timer.fn)
		timer_disarm(&c->wake_timer);
	perf_reset(c);
}
