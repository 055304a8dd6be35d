/*
 * A corpus: cases and what a processor answered, in a file that any computer can replay on the model of that processor's
 * maker. A case is stored whole, not as a seed: as what differs from a base state, which the file begins with. shrink()
 * brings everything that the instruction does not look at to its base value first.
 *
 * A file is one or more sections, each compressed by itself with zstd: lines of text (KEY VALUE), an empty line, the
 * base, the cases. Numbers are little-endian.
 */
#include "diff.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- bytes ---- */

struct buf {
	u8 *p;
	size_t n, room;
};

static void put(struct buf *b, const void *from, size_t n)
{
	if (b->n + n > b->room) {
		b->room = 2 * (b->n + n) + 4096;
		b->p = realloc(b->p, b->room);
		if (!b->p)
			abort();
	}
	memcpy(b->p + b->n, from, n);
	b->n += n;
}
#define PUT(b, value) put(b, &(value), sizeof(value))

struct reader {
	const u8 *p;
	size_t left;
	bool bad;
};

static void get(struct reader *r, void *to, size_t n)
{
	if (n > r->left) {
		r->bad = true;
		memset(to, 0, n);
		return;
	}
	memcpy(to, r->p, n);
	r->p += n;
	r->left -= n;
}
#define GET(r, value) get(r, &(value), sizeof(value))

/* ---- states and memory as differences ---- */

static void put_state(struct buf *b, const struct diff_state *from, const struct diff_state *s)
{
	u16 r = 0, v = 0;
	u8 st = 0;

	for (unsigned n = 0; n < 16; n++) {
		r |= (u16)((s->r[n] != from->r[n]) << n);
		v |= (u16)((memcmp(&s->v[n], &from->v[n], 32) != 0) << n);
	}
	for (unsigned n = 0; n < 8; n++)
		st |= (u8)((memcmp(s->st[n], from->st[n], 10) != 0) << n);
	PUT(b, r);
	PUT(b, v);
	PUT(b, st);
	for (unsigned n = 0; n < 16; n++)
		if (r >> n & 1)
			PUT(b, s->r[n]);
	for (unsigned n = 0; n < 16; n++)
		if (v >> n & 1)
			put(b, &s->v[n], 32);
	for (unsigned n = 0; n < 8; n++)
		if (st >> n & 1)
			put(b, s->st[n], 10);
	PUT(b, s->rip);
	PUT(b, s->flags);
	PUT(b, s->mxcsr);
	PUT(b, s->cw);
	PUT(b, s->sw);
	PUT(b, s->tag);
	PUT(b, s->gs_base);
	PUT(b, s->sel);
}

static void get_state(struct reader *rd, const struct diff_state *from, struct diff_state *s)
{
	u16 r, v;
	u8 st;

	*s = *from;
	GET(rd, r);
	GET(rd, v);
	GET(rd, st);
	for (unsigned n = 0; n < 16; n++)
		if (r >> n & 1)
			GET(rd, s->r[n]);
	for (unsigned n = 0; n < 16; n++)
		if (v >> n & 1)
			get(rd, &s->v[n], 32);
	for (unsigned n = 0; n < 8; n++)
		if (st >> n & 1)
			get(rd, s->st[n], 10);
	GET(rd, s->rip);
	GET(rd, s->flags);
	GET(rd, s->mxcsr);
	GET(rd, s->cw);
	GET(rd, s->sw);
	GET(rd, s->tag);
	GET(rd, s->gs_base);
	GET(rd, s->sel);
}

/* Runs of (offset, length, bytes); length 0 ends them. */
static void put_memory(struct buf *b, const u8 *from, const u8 *to)
{
	u8 end[3] = {0};

	for (u32 at = 0; at < DATA_SIZE; at++) {
		u8 n = 0;
		u16 offset = (u16)at;

		if (from[at] == to[at])
			continue;
		while (n < 255 && at + n < DATA_SIZE && memcmp(from + at + n, to + at + n, min_u64(3, DATA_SIZE - at - n)) != 0)
			n++;
		PUT(b, offset);
		PUT(b, n);
		put(b, to + at, n);
		at += n - 1u;
	}
	put(b, end, sizeof(end));
}

static void get_memory(struct reader *r, const u8 *from, u8 *to)
{
	u16 offset;
	u8 n;

	memcpy(to, from, DATA_SIZE);
	for (;;) {
		GET(r, offset);
		GET(r, n);
		if (n == 0 || offset + n > DATA_SIZE)
			break;
		get(r, to + offset, n);
	}
}

/* ---- cases ---- */

void corpus_base(struct corpus_base *b)
{
	struct rng r = {.s = 0x636f72707573};

	memset(b, 0, sizeof(*b));
	for (unsigned n = 0; n < 16; n++) {
		b->state.r[n] = rng_next(&r) & 0x7fffffff; /* one value for all modes */
		for (unsigned q = 0; q < 4; q++)
			b->state.v[n].q[q] = rng_next(&r);
	}
	for (unsigned n = 0; n < 8; n++) {
		u64 m = rng_next(&r) | BIT(63);

		memcpy(b->state.st[n], &m, 8);
		memcpy(b->state.st[n] + 8, &(u16){(u16)(0x3ff0 + n)}, 2);
	}
	diff_pattern(b->memory);
}

static void put_base(struct buf *b, const struct corpus_base *base)
{
	put(b, base->state.r, sizeof(base->state.r));
	put(b, base->state.v, sizeof(base->state.v));
	for (unsigned n = 0; n < 8; n++)
		put(b, base->state.st[n], 10);
	put(b, base->memory, DATA_SIZE);
}

static void get_base(struct reader *r, struct corpus_base *base)
{
	memset(base, 0, sizeof(*base));
	get(r, base->state.r, sizeof(base->state.r));
	get(r, base->state.v, sizeof(base->state.v));
	for (unsigned n = 0; n < 8; n++)
		get(r, base->state.st[n], 10);
	get(r, base->memory, DATA_SIZE);
}

static void put_case(struct buf *b, const struct corpus_base *base, const struct corpus_case *c)
{
	u8 head[2] = {(u8)c->k.len, c->k.invalid};
	s8 vector = (s8)c->end.vector;

	put(b, head, sizeof(head));
	put(b, c->k.bytes, c->k.len);
	put_state(b, &base->state, &c->k.in);
	put_memory(b, base->memory, c->before);
	PUT(b, vector);
	PUT(b, c->end.error);
	PUT(b, c->end.cr2);
	put_state(b, &c->k.in, &c->end.s);
	put_memory(b, c->before, c->after);
	PUT(b, c->undefined);
	PUT(b, c->sw_mask);
}

static bool get_case(struct reader *r, const struct corpus_base *base, struct corpus_case *c)
{
	u8 head[2];
	s8 vector;

	memset(&c->k, 0, sizeof(c->k));
	GET(r, head);
	c->k.len = (unsigned)min_u64(head[0], 15);
	c->k.invalid = head[1];
	memset(c->k.bytes, 0, sizeof(c->k.bytes));
	get(r, c->k.bytes, c->k.len);
	get_state(r, &base->state, &c->k.in);
	get_memory(r, base->memory, c->before);
	GET(r, vector);
	c->end.vector = vector;
	GET(r, c->end.error);
	GET(r, c->end.cr2);
	get_state(r, &c->k.in, &c->end.s);
	get_memory(r, c->before, c->after);
	GET(r, c->undefined);
	GET(r, c->sw_mask);
	c->k.rip = c->k.in.rip;
	return !r->bad;
}

/* ---- shrinking: what the instruction does not look at gets its base value ---- */

struct shrink {
	const struct corpus_base *base;
	struct corpus_case *c;
	corpus_answer *answer;
};

/* Does the changed case answer as the old one, but for what was changed and left alone? Then it takes its place. */
static bool take_if_same(struct shrink *s, const struct corpus_case *expected)
{
	static struct corpus_case got;

	got = *expected;
	memcpy(got.after, got.before, DATA_SIZE);
	if (!s->answer(&got.k, got.after, &got.end) || memcmp(&got.end.s, &expected->end.s, sizeof(got.end.s)) != 0 ||
	    got.end.vector != expected->end.vector || got.end.error != expected->end.error ||
	    got.end.cr2 != expected->end.cr2 || memcmp(got.after, expected->after, DATA_SIZE) != 0)
		return false;
	*s->c = *expected;
	return true;
}

static void shrink_registers(struct shrink *s)
{
	static struct corpus_case t;

	for (unsigned n = 0; n < 16; n++) {
		t = *s->c;
		t.k.in.r[n] = s->base->state.r[n];
		if (t.end.s.r[n] == s->c->k.in.r[n])
			t.end.s.r[n] = t.k.in.r[n];
		take_if_same(s, &t);
	}
	for (unsigned n = 0; n < 16; n++) {
		t = *s->c;
		t.k.in.v[n] = s->base->state.v[n];
		if (!memcmp(&t.end.s.v[n], &s->c->k.in.v[n], 32))
			t.end.s.v[n] = t.k.in.v[n];
		take_if_same(s, &t);
	}
	for (unsigned n = 0; n < 8; n++) {
		t = *s->c;
		memcpy(t.k.in.st[n], s->base->state.st[n], 10);
		if (!memcmp(t.end.s.st[n], s->c->k.in.st[n], 10))
			memcpy(t.end.s.st[n], t.k.in.st[n], 10);
		take_if_same(s, &t);
	}
}

static void shrink_memory(struct shrink *s, u32 at, u32 size)
{
	static struct corpus_case t;

	if (!memcmp(s->c->before + at, s->base->memory + at, size))
		return;
	t = *s->c;
	for (u32 n = at; n < at + size; n++) {
		t.before[n] = s->base->memory[n];
		if (t.after[n] == s->c->before[n])
			t.after[n] = t.before[n];
	}
	if (take_if_same(s, &t) || size <= 8)
		return;
	shrink_memory(s, at, size / 2);
	shrink_memory(s, at + size / 2, size / 2);
}

/* ---- writing ---- */

struct corpus_writer {
	struct corpus_base base;
	struct buf cases;
	corpus_answer *answer;
	u64 count;
};

struct corpus_writer *corpus_new(corpus_answer *answer)
{
	struct corpus_writer *w = calloc(1, sizeof(*w));

	if (!w)
		abort();
	corpus_base(&w->base);
	w->answer = answer;
	return w;
}

void corpus_add(struct corpus_writer *w, const struct diff_case *k, const u8 *before)
{
	static struct corpus_case c;
	struct shrink s = {.base = &w->base, .c = &c, .answer = w->answer};

	memset(&c, 0, sizeof(c));
	c.k = *k;
	memcpy(c.before, before, DATA_SIZE);
	memcpy(c.after, before, DATA_SIZE);
	if (!w->answer(k, c.after, &c.end))
		return;
	c.undefined = rule_undefined(k);
	c.sw_mask = rule_sw_mask(k);
	shrink_registers(&s);
	for (u32 at = 0; at < DATA_SIZE; at += 1024)
		shrink_memory(&s, at, 1024);
	put_case(&w->cases, &w->base, &c);
	w->count++;
}

bool corpus_save(struct corpus_writer *w, const char *path, enum diff_mode mode, const char *about)
{
	char command[4200];
	struct buf head = {0};
	FILE *f;

	if (strchr(path, '\'') || snprintf(command, sizeof(command), "zstd -q -19 -f -o '%s'", path) >= (int)sizeof(command))
		return false;
	put_base(&head, &w->base);
	f = popen(command, "w");
	if (!f)
		return false;
	fprintf(f, "turnstile-diff-corpus 1\n%smode %u\ncases %llu\nbytes %zu\n\n", about,
	        mode == DIFF_64 ? 64 : mode == DIFF_32 ? 32 : 16,
	        (unsigned long long)w->count, head.n + w->cases.n);
	fwrite(head.p, 1, head.n, f);
	fwrite(w->cases.p, 1, w->cases.n, f);
	free(head.p);
	free(w->cases.p);
	free(w);
	return pclose(f) == 0;
}

/* ---- reading ---- */

struct corpus_reader {
	u8 *all;
	struct reader file, section;
	struct corpus_base base;
};

struct corpus_reader *corpus_open(const char *path)
{
	struct corpus_reader *r = calloc(1, sizeof(*r));
	char command[4200];
	struct buf b = {0};
	u8 piece[4096];
	size_t n;
	FILE *f;

	if (!r || strchr(path, '\'') || snprintf(command, sizeof(command), "zstd -q -dc '%s'", path) >= (int)sizeof(command))
		return NULL;
	f = popen(command, "r");
	while (f && (n = fread(piece, 1, sizeof(piece), f)) > 0)
		put(&b, piece, n);
	if (!f || pclose(f) != 0 || !b.n) {
		free(b.p);
		free(r);
		return NULL;
	}
	r->all = b.p;
	r->file = (struct reader){.p = b.p, .left = b.n};
	return r;
}

/* One line of a section's head; false: the empty one, or none. */
static bool head_line(struct reader *r, char *line, size_t size)
{
	size_t n = 0;

	while (r->left && *r->p != '\n') {
		if (n + 1 < size)
			line[n++] = (char)*r->p;
		r->p++;
		r->left--;
	}
	line[n] = '\0';
	if (!r->left)
		return false;
	r->p++;
	r->left--;
	return n != 0;
}

bool corpus_section(struct corpus_reader *r, struct corpus_head *h)
{
	char line[256];
	size_t bytes = 0;

	memset(h, 0, sizeof(*h));
	if (!r->file.left || !head_line(&r->file, line, sizeof(line)) || strcmp(line, "turnstile-diff-corpus 1") != 0)
		return false;
	while (head_line(&r->file, line, sizeof(line))) {
		char *value = strchr(line, ' ');

		if (!value)
			continue;
		*value++ = '\0';
		if (!strcmp(line, "vendor"))
			snprintf(h->vendor, sizeof(h->vendor), "%.31s", value);
		else if (!strcmp(line, "processor"))
			snprintf(h->processor, sizeof(h->processor), "%.127s", value);
		else if (!strcmp(line, "mode"))
			h->mode = !strcmp(value, "64") ? DIFF_64 : !strcmp(value, "32") ? DIFF_32 : DIFF_16;
		else if (!strcmp(line, "cases"))
			h->cases = strtoull(value, NULL, 10);
		else if (!strcmp(line, "bytes"))
			bytes = strtoull(value, NULL, 10);
	}
	if (bytes > r->file.left)
		return false;
	r->section = (struct reader){.p = r->file.p, .left = bytes};
	r->file.p += bytes;
	r->file.left -= bytes;
	get_base(&r->section, &r->base);
	return !r->section.bad && h->cases != 0;
}

bool corpus_next(struct corpus_reader *r, struct corpus_case *c)
{
	return r->section.left && get_case(&r->section, &r->base, c);
}

void corpus_close(struct corpus_reader *r)
{
	free(r->all);
	free(r);
}
