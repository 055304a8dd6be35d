#include "pair.h"

#include <stdlib.h>
#include <string.h>

void pair_word(struct words *w, const char *word)
{
	if (w->n < PAIR_WORDS)
		w->word[w->n++] = word;
	w->word[w->n] = NULL;
}

void pair_words(struct words *w, const char *spaced)
{
	while (*(spaced += strspn(spaced, " "))) {
		const size_t n = strcspn(spaced, " ");
		char *copy = w->text + w->used;

		if (n + 1 > sizeof(w->text) - w->used)
			return;
		memcpy(copy, spaced, n);
		copy[n] = 0;
		w->used += n + 1;
		pair_word(w, copy);
		spaced += n;
	}
}

bool pair_open(struct pair *p, const struct words *a, const struct words *b, FILE *say)
{
	const struct words *w[] = {a, b};
	char err[600];

	*p = (struct pair){0};
	for (unsigned k = 0; k < 2; k++)
		if (ts_create(w[k]->n, w[k]->word, &p->m[k], err, sizeof(err)) != TS_OK) {
			fprintf(say, "%s\n", err);
			pair_close(p);
			return false;
		}
	return true;
}

void pair_close(struct pair *p)
{
	for (unsigned k = 0; k < 2; k++)
		if (p->m[k])
			ts_destroy(p->m[k]);
	p->m[0] = p->m[1] = NULL;
}

static unsigned long long retired(ts_machine *m)
{
	unsigned long long sum = 0, one = 0;
	size_t n = sizeof(one);

	for (unsigned cpu = 0; ts_get(m, cpu, "insns", &one, &n) == TS_OK; cpu++)
		sum += one;
	return sum;
}

bool pair_run(struct pair *p, unsigned long insns)
{
	bool more = true;

	for (unsigned k = 0; k < 2; k++) {
		const unsigned long long before = retired(p->m[k]);

		ts_run(p->m[k], insns, &p->why[k], NULL);
		more &= p->why[k] == TS_LIMIT && retired(p->m[k]) != before; /* else it is a limit of the command */
	}
	p->done += insns;
	return more;
}

static void take(void *arg, const char *text, size_t len)
{
	char number[32];

	snprintf(number, sizeof(number), "%.*s", (int)len, text);
	*(unsigned long long *)arg = strtoull(number, NULL, 16);
}

unsigned long long pair_hash(ts_machine *m)
{
	unsigned long long h = 0;

	ts_report(m, "hash", take, &h);
	return h;
}

bool pair_same(struct pair *p)
{
	return p->why[0] == p->why[1] && pair_hash(p->m[0]) == pair_hash(p->m[1]);
}

/* ---- what differs ---- */

static unsigned long long value(ts_machine *m, unsigned cpu, const char *name)
{
	unsigned char buf[64] = {0};
	unsigned long long v = 0;
	size_t n = sizeof(buf);

	if (ts_get(m, cpu, name, buf, &n) == TS_OK)
		memcpy(&v, buf, n < sizeof(v) ? n : sizeof(v));
	return v;
}

static void tell_vectors(struct pair *p, unsigned cpu, FILE *f, unsigned *lines)
{
	for (unsigned n = 0; n < 16 && *lines; n++) {
		unsigned long long v[2][8] = {{0}};
		char name[8];

		snprintf(name, sizeof(name), "v[%u]", n);
		for (unsigned k = 0; k < 2; k++) {
			size_t size = sizeof(v[k]);
			ts_get(p->m[k], cpu, name, v[k], &size);
		}
		if (memcmp(v[0], v[1], sizeof(v[0])) && (*lines)--)
			fprintf(f,
			        "  cpu %u ymm%u: %016llx %016llx %016llx %016llx and %016llx %016llx %016llx %016llx\n",
			        cpu, n, v[0][3], v[0][2], v[0][1], v[0][0], v[1][3], v[1][2], v[1][1], v[1][0]);
	}
}

static void tell_registers(struct pair *p, unsigned cpu, FILE *f, unsigned *lines)
{
	static const char *const name[] = {"rip", "rflags", "rax", "rcx", "rdx", "rbx",   "rsp", "rbp", "rsi",
	                                   "rdi", "r8",     "r9",  "r10", "r11", "r12",   "r13", "r14", "r15",
	                                   "cr0", "cr2",    "cr3", "cr4", "dr6", "mxcsr", "cs",  "ss",  "insns"};

	for (unsigned n = 0; n < sizeof(name) / sizeof(name[0]) && *lines; n++) {
		const unsigned long long a = value(p->m[0], cpu, name[n]), b = value(p->m[1], cpu, name[n]);

		if (a != b && (*lines)--)
			fprintf(f, "  cpu %u %s: 0x%llx and 0x%llx\n", cpu, name[n], a, b);
	}
	tell_vectors(p, cpu, f, lines);
}

static void tell_memory(struct pair *p, FILE *f, unsigned *lines)
{
	static unsigned char page[2][4096];

	for (unsigned long long at = 0; at < 1ull << 33 && *lines; at += sizeof(page[0])) {
		size_t done[2] = {0, 0};

		for (unsigned k = 0; k < 2; k++)
			ts_read(p->m[k], 0, TS_PHYS, at, page[k], sizeof(page[k]), &done[k]);
		if (done[0] != sizeof(page[0]) || !memcmp(page[0], page[1], sizeof(page[0])))
			continue;
		for (unsigned n = 0; n < sizeof(page[0]) && *lines; n += 8) {
			unsigned long long v[2];

			for (unsigned k = 0; k < 2; k++)
				memcpy(&v[k], page[k] + n, 8);
			if (v[0] != v[1] && (*lines)--)
				fprintf(f, "  memory 0x%llx: 0x%llx and 0x%llx\n", at + n, v[0], v[1]);
		}
	}
}

void pair_tell(struct pair *p, FILE *f, unsigned lines)
{
	unsigned long long rip;
	size_t n;

	if (p->why[0] != p->why[1])
		fprintf(f, "  they ended in another way: %d and %d\n", (int)p->why[0], (int)p->why[1]);
	for (unsigned cpu = 0; n = sizeof(rip), ts_get(p->m[0], cpu, "rip", &rip, &n) == TS_OK; cpu++)
		tell_registers(p, cpu, f, &lines);
	tell_memory(p, f, &lines);
	if (!lines)
		fprintf(f, "  ...\n");
}
