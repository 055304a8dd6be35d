/* limit=SIZE: the last events of a trace, in a ring of bytes. */
#include "inspect/parts.h"

struct record {
	u32 len;
	u16 track;
	u8 phase; /* enum trace_phase */
};

bool kept_open(struct trace_kept *k, u64 room)
{
	k->bytes = base_alloc(room);
	k->room = k->bytes ? room : 0;
	return k->bytes != NULL;
}

void kept_close(struct trace_kept *k)
{
	base_free(k->bytes);
	*k = (struct trace_kept){0};
}

/* The ring's end may lie inside. */
static void copy_in(struct trace_kept *k, const void *from, size_t n)
{
	const u64 at = k->end % k->room, first = min_u64(n, k->room - at);

	memcpy(k->bytes + at, from, first);
	memcpy(k->bytes, (const char *)from + first, n - first);
	k->end += n;
}

static void copy_out(const struct trace_kept *k, u64 from, void *to, size_t n)
{
	const u64 at = from % k->room, first = min_u64(n, k->room - at);

	memcpy(to, k->bytes + at, first);
	memcpy((char *)to + first, k->bytes, n - first);
}

void kept_put(struct trace_kept *k, const char *s, size_t n, enum trace_phase phase, unsigned track)
{
	const struct record r = {.len = (u32)n, .track = (u16)track, .phase = (u8)phase};
	const u64 need = sizeof(r) + n;

	if (need > k->room)
		return;
	while (k->end + need - k->begin > k->room) {
		struct record old;
		copy_out(k, k->begin, &old, sizeof(old));
		k->begin += sizeof(old) + old.len;
	}
	copy_in(k, &r, sizeof(r));
	copy_in(k, s, n);
}

/* A slice whose beginning is gone has no end either. */
static bool belongs(u32 open[TRACE_TRACKS], const struct record *r)
{
	if (r->phase == PHASE_BEGIN)
		open[r->track]++;
	if (r->phase != PHASE_END)
		return true;
	if (!open[r->track])
		return false;
	open[r->track]--;
	return true;
}

void kept_write(struct inspect *i)
{
	struct trace_kept *k = &i->trace.kept;
	u32 open[TRACE_TRACKS] = {0};

	while (k->begin < k->end) {
		struct record r;
		copy_out(k, k->begin, &r, sizeof(r));
		const u64 from = (k->begin + sizeof(r)) % k->room, first = min_u64(r.len, k->room - from);
		if (belongs(open, &r)) {
			trace_write(i, k->bytes + from, first);
			trace_write(i, k->bytes, r.len - first);
		}
		k->begin += sizeof(r) + r.len;
	}
}
