/*
 * diff --record and --corpus: which of the random cases are worth keeping, and the replay of what was kept. The cases
 * of a row come in three kinds, and a few of each are kept: those that complete, those that fault, and those in which the
 * other maker's model answers otherwise.
 */
#include "diff.h"

#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/model.h"

enum kind { COMPLETES, FAULTS, DIFFERS, KINDS };

struct recorder {
	struct corpus_writer *writer;
	struct core *other; /* the other maker's processor */
	struct gen *gen;
	enum diff_mode mode;
	unsigned per_row;
	u16 (*kept)[KINDS]; /* by row; the last is for invalid instructions */
	u8 *after;
};

static bool host_answer(const struct diff_case *k, u8 *memory, struct diff_end *end)
{
	memset(end, 0, sizeof(*end));
	memcpy(host_data(), memory, DATA_SIZE);
	if (!host_run(k, end))
		return false;
	memcpy(memory, host_data(), DATA_SIZE);
	return true;
}

struct recorder *record_new(struct gen *g, enum diff_mode mode, unsigned per_row)
{
	struct recorder *r = calloc(1, sizeof(*r));
	const struct cpu_model *m = g->cpu->model;

	if (!r)
		abort();
	r->gen = g;
	r->mode = mode;
	r->per_row = per_row;
	r->writer = corpus_new(host_answer);
	r->other = core_new(mode, core_model(!strcmp(m->vendor, "GenuineIntel") ? "AuthenticAMD" : "GenuineIntel"), host_gs_base(),
	                    host_fs_base());
	r->kept = calloc(g->row_count + 1, sizeof(*r->kept));
	r->after = malloc(DATA_SIZE);
	if (!r->other || !r->kept || !r->after)
		abort();
	return r;
}

static bool others_differ(struct recorder *r, const struct diff_case *k, const u8 *before, const struct diff_end *host)
{
	struct diff_end end;
	char text[256];

	memcpy(core_data(r->other), before, DATA_SIZE);
	core_run(r->other, k, &end);
	return compare(k, r->mode, &end, host, core_data(r->other), r->after, text, sizeof(text)) != 0;
}

void record_case(struct recorder *r, const struct diff_case *k, const u8 *before)
{
	u16 *kept = r->kept[k->row ? (size_t)(gen_count(r->gen, k->row) - r->gen->rows) : r->gen->row_count];
	struct diff_end host;
	enum kind kind;

	/* Single step ends a gather in its midst; an approximation is one processor's own; FS is the test's. */
	if (rule_is_gather(k) ||
	    (k->row && (rule_tolerance(k->row) != TOL_EXACT || k->row->mnemonic == ZYDIS_MNEMONIC_RDFSBASE)))
		return;
	memcpy(r->after, before, DATA_SIZE);
	if (!host_answer(k, r->after, &host))
		return;
	kind = others_differ(r, k, before, &host) ? DIFFERS : host.vector < 0 ? COMPLETES : FAULTS;
	if (kept[kind] >= (kind == FAULTS ? (r->per_row + 1) / 2 : r->per_row))
		return;
	kept[kind]++;
	corpus_add(r->writer, k, before);
}

static void describe_host(char *text, size_t size)
{
	u32 r[13] = {0}, sig = 0, x;

	__cpuid(0, x, r[0], r[2], r[1]);
	__cpuid(1, sig, x, x, x);
	u32 family = (sig >> 8 & 15) + ((sig >> 8 & 15) == 15 ? sig >> 20 & 255 : 0), model = (sig >> 4 & 15) | (sig >> 12 & 0xf0);
	char vendor[13] = {0}, brand[49] = {0};

	memcpy(vendor, r, 12);
	for (u32 n = 0; n < 3; n++)
		__cpuid(0x80000002 + n, r[4 * n], r[4 * n + 1], r[4 * n + 2], r[4 * n + 3]);
	memcpy(brand, r, 48);
	snprintf(text, size,
	         "vendor %s\nprocessor %s, family %xh model %xh stepping %xh\nsource diff --record on that processor\n", vendor, brand,
	         family, model, sig & 15);
}

bool record_save(struct recorder *r, const char *path)
{
	char about[256];
	bool ok;

	describe_host(about, sizeof(about));
	ok = corpus_save(r->writer, path, r->mode, about);
	core_free(r->other);
	free(r->kept);
	free(r->after);
	free(r);
	return ok;
}

/* ---- replay ---- */

static void print_bytes(const struct diff_case *k)
{
	for (unsigned n = 0; n < k->len; n++)
		printf(" %02x", k->bytes[n]);
}

/* By the fast and by the careful loop. Number of differing items. */
static unsigned replay_case(struct core *w, const struct gen *g, struct corpus_case *c, char *text, size_t size)
{
	/* The image that PUSHF writes has TF, with which processors were stepped: only the careful loop has that. */
	unsigned bad = 0, first = c->k.row && !strncmp(c->k.row->form, "PUSHF", 5);

	c->k.hide_flags = c->undefined;
	c->k.hide_sw = (u16)~c->sw_mask;
	for (unsigned way = first; way < 2 && !bad; way++) {
		struct diff_end end;

		c->k.careful = way != 0;
		memcpy(core_data(w), c->before, DATA_SIZE);
		core_run(w, &c->k, &end);
		bad = compare(&c->k, g->mode, &end, &c->end, core_data(w), c->after, text, size);
	}
	return bad;
}

static bool replay_section(struct corpus_reader *r, const struct corpus_head *h, u64 *failed)
{
	static struct corpus_case c;
	struct core *w = core_new(h->mode, core_model(h->vendor), diff_segments(h->mode)[SEG_GS].base, 0);
	struct gen *g = w ? gen_new(core_cpu(w), h->mode, NULL) : NULL;
	u64 done = 0, bad = 0;

	if (!g)
		return false;
	while (done < h->cases && corpus_next(r, &c)) {
		char text[4096] = "";

		done++;
		if (!gen_decode(g, &c.k))
			snprintf(text, sizeof(text), "  the model has no such instruction\n");
		else if (!replay_case(w, g, &c, text, sizeof(text)))
			continue;
		if (bad++ < 20) {
			printf("FAILED case %llu:", (unsigned long long)done);
			print_bytes(&c.k);
			printf("   %s\n%s", c.k.row ? c.k.row->form : "(invalid)", text);
		}
	}
	printf("%s: %u-bit code, %llu cases of %s, %llu differ\n", h->vendor,
	       h->mode == DIFF_64 ? 64 : h->mode == DIFF_32 ? 32 : 16, (unsigned long long)done, h->processor, (unsigned long long)bad);
	*failed += bad;
	gen_free(g);
	core_free(w);
	return done == h->cases;
}

/* 0: all agree; 1: some differ; 2: no corpus. */
int replay(const char *path)
{
	struct corpus_reader *r = corpus_open(path);
	struct corpus_head h;
	u64 failed = 0, cases = 0;
	bool whole = true;

	if (!r) {
		fprintf(stderr, "diff: %s: no corpus, or zstd is not there\n", path);
		return 2;
	}
	while (whole && corpus_section(r, &h)) {
		whole = replay_section(r, &h, &failed);
		cases += h.cases;
	}
	corpus_close(r);
	if (!whole || !cases) {
		fprintf(stderr, "diff: %s: not a whole corpus\n", path);
		return 2;
	}
	printf("random cases: %llu\n%llu passed, %llu failed\n", (unsigned long long)cases, (unsigned long long)(cases - failed),
	       (unsigned long long)failed);
	return failed != 0;
}
