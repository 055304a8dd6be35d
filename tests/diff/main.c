/*
 * diff [--mode 64|32|16] [--cases N] [--seed N] [--row TEXT] [--list] [--minimise] [--failures N] [--strict]
 *      [--record FILE [--per-row N]]
 * diff --corpus FILE
 * --jit: by translated code.
 *
 * Case n of seed S is made from S + n alone, so any failing case repeats as `--seed S+n --cases 1`.
 */
#include "diff.h"

#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>

#include "jit/jit.h"
#include <time.h>
#include <unistd.h>

struct options {
	enum diff_mode mode;
	u64 cases, seed, failures;
	const char *row;
	const char *record, *corpus;
	u64 per_row;
	bool list, minimise;
};

struct run {
	struct options o;
	struct core *core;
	struct gen *gen;
	struct recorder *recorder;
	u8 *pattern, *ours, *theirs;
	u64 passed, failed, skipped;
};

/* ---- one case in both worlds ---- */

static void put_memory(struct run *r, const struct diff_case *k, u8 *data)
{
	memcpy(data, r->pattern, DATA_SIZE);
	memcpy(data + (k->zone_base - DATA_BASE), k->zone, ZONE_SIZE);
}

/* Differing items; text may be NULL. */
static unsigned run_case(struct run *r, const struct diff_case *k, char *text, size_t size)
{
	struct diff_end core, host;
	char dummy[256];

	put_memory(r, k, r->ours);
	put_memory(r, k, r->theirs);
	core_run(r->core, k, &core);
	if (!host_run(k, &host)) {
		/* Single step and the fault of a gather's element can keep each other from ending. */
		if (rule_is_gather(k))
			return 0;
		if (text)
			snprintf(text, size, "  the host did not come to an end\n");
		return 1;
	}
	return compare(k, r->o.mode, &core, &host, r->ours, r->theirs, text ? text : dummy,
	               text ? size : sizeof(dummy));
}

/* ---- reports ---- */

static const char *mode_name(enum diff_mode m)
{
	return m == DIFF_64 ? "64" : m == DIFF_32 ? "32" : "16";
}

static void print_state(const struct diff_case *k)
{
	static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	                                    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

	for (unsigned n = 0; n < 16; n++)
		printf("%s %-4s%016llx%s", n % 4 == 0 ? "  in " : " ", names[n], (unsigned long long)k->in.r[n],
		       n % 4 == 3 ? "\n" : "");
	printf("  in  rip %llx rflags %x mxcsr %x cw %x sw %x tag %x%s%s\n", (unsigned long long)k->rip, k->in.flags,
	       k->in.mxcsr, k->in.cw, k->in.sw, k->in.tag, k->careful ? " (careful loop)" : "",
	       k->cc_op ? " (lazy flags)" : "");
	for (unsigned n = 0; n < k->zi.operand_count_visible; n++) {
		const ZydisDecodedOperand *op = &k->op[n];
		ZydisRegisterClass cl =
		        op->type == ZYDIS_OPERAND_TYPE_REGISTER ? ZydisRegisterGetClass(op->reg.value) : 0;
		unsigned id = cl ? (unsigned)ZydisRegisterGetId(op->reg.value) : 0;

		if (cl == ZYDIS_REGCLASS_XMM || cl == ZYDIS_REGCLASS_YMM)
			printf("  in  ymm%u %016llx%016llx%016llx%016llx\n", id, (unsigned long long)k->in.v[id].q[3],
			       (unsigned long long)k->in.v[id].q[2], (unsigned long long)k->in.v[id].q[1],
			       (unsigned long long)k->in.v[id].q[0]);
	}
	for (unsigned n = 0; k->row && (k->row->flags & (ROW_FPU | ROW_MMX)) && n < 8; n++) {
		u64 m;

		memcpy(&m, k->in.st[n], 8);
		printf("  in  st%u %02x%02x%016llx%s", n, k->in.st[n][9], k->in.st[n][8], (unsigned long long)m,
		       n % 4 == 3 ? "\n" : "");
	}
}

static void report(struct run *r, const struct diff_case *k, const char *text)
{
	char asm_text[128];

	disassemble(core_cpu(r->core), k->rip, k->bytes, 15, asm_text, sizeof(asm_text));
	printf("FAILED case: --mode %s --seed %llu --cases 1", mode_name(r->o.mode), (unsigned long long)k->seed);
	if (r->o.row)
		printf(" --row '%s'", r->o.row);
	printf("\n  row      %s\n  bytes   ", k->row ? k->row->form : "(invalid)");
	for (unsigned n = 0; n < k->len; n++)
		printf(" %02x", k->bytes[n]);
	printf("   %s\n%s", asm_text, text);
	print_state(k);
}

/* ---- minimise: the plainest state that still differs ---- */

static bool still(struct run *r, struct diff_case *k, const struct diff_case *before)
{
	core_flags(r->core, k);
	if (run_case(r, k, NULL, 0))
		return true;
	*k = *before;
	return false;
}

static void minimise(struct run *r, struct diff_case *k)
{
	struct diff_case old;

#define TRY_SET(statement)                                                                                             \
	do {                                                                                                           \
		old = *k;                                                                                              \
		statement;                                                                                             \
		still(r, k, &old);                                                                                     \
	} while (0)
	TRY_SET(k->cc_op = CC_FLAGS);
	TRY_SET(k->careful = false);
	TRY_SET(k->cold_tlb = false);
	TRY_SET(k->in.mxcsr = 0x1f80);
	TRY_SET(k->in.cw = 0x37f);
	TRY_SET(k->in.sw = 0);
	TRY_SET(k->in.tag = 0xff);
	for (u32 f = 1; f <= FL_AC; f <<= 1)
		if (k->in.flags & f & (FL_ARITH | FL_DF | FL_AC))
			TRY_SET(k->in.flags &= ~f);
	for (unsigned n = 0; n < 16; n++) {
		TRY_SET(k->in.r[n] = 0);
		for (unsigned b = 8; b && k->in.r[n]; b--)
			TRY_SET(k->in.r[n] &= ~(0xffull << (8 * b - 8)));
		TRY_SET(memset(&k->in.v[n], 0, sizeof(k->in.v[n])));
		for (unsigned b = 0; b < 8; b++)
			TRY_SET(k->in.v[n].d[b] = 0);
	}
	for (unsigned n = 0; n < 8; n++)
		TRY_SET(memset(k->in.st[n], 0, 16));
	for (unsigned n = 0; n < ZONE_SIZE; n += 64)
		TRY_SET(memset(k->zone + n, 0, 64));
#undef TRY_SET
}

/* ---- the campaign ---- */

static void count_case(struct run *r, const struct diff_case *k, bool bad)
{
	if (bad)
		r->failed++;
	else
		r->passed++;
	if (!k->row) {
		r->gen->invalid_runs++;
		r->gen->invalid_fails += bad;
		return;
	}
	gen_count(r->gen, k->row)->runs++;
	gen_count(r->gen, k->row)->fails += bad;
}

static void one_case(struct run *r, u64 seed)
{
	struct diff_case k = {.seed = seed};
	char text[8192] = "";
	bool bad;

	if (!gen_case(r->gen, &k)) {
		r->skipped++;
		return;
	}
	core_flags(r->core, &k);
	bad = run_case(r, &k, text, sizeof(text)) != 0;
	if (r->recorder) {
		static u8 before[DATA_SIZE];

		put_memory(r, &k, before);
		record_case(r->recorder, &k, before);
	}
	/* Of one row the first failures tell enough; all are counted. */
	if (bad && r->o.failures && (!k.row || gen_count(r->gen, k.row)->fails < 2 || r->o.row || r->o.failures > 1000)) {
		if (r->o.minimise) {
			minimise(r, &k);
			run_case(r, &k, text, sizeof(text));
		}
		report(r, &k, text);
		r->o.failures--;
	}
	count_case(r, &k, bad);
}

static void progress(const struct run *r, u64 n, bool tty)
{
	const unsigned width = 40;

	if (!tty || n % 4096)
		return;
	unsigned full = (unsigned)(n * width / r->o.cases);

	fprintf(stderr, "\r[%.*s%*s] %3u %%  %llu failed", (int)full, "########################################",
	        (int)(width - full), "", (unsigned)(n * 100 / r->o.cases), (unsigned long long)r->failed);
}

static void print_unreached(const struct run *r)
{
	for (size_t n = 0; n < r->gen->row_count; n++) {
		const struct row_count *c = &r->gen->rows[n];
		const char *why = rule_excluded(core_cpu(r->core), c->row, r->o.mode);

		if (c->runs)
			continue;
		printf("not reached: %-28s %s\n", c->row->form,
		       why             ? why
		       : !c->templates ? "no encoding in this mode"
		                       : "not drawn in so few cases");
	}
	for (unsigned m = 0; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++)
		if (r->gen->no_row[m] && r->o.list)
			printf("no row: %s\n", ZydisMnemonicGetString((ZydisMnemonic)m));
}

static void print_failing_rows(const struct run *r)
{
	for (size_t n = 0; n < r->gen->row_count; n++)
		if (r->gen->rows[n].fails)
			printf("row %-28s %llu of %llu cases differ\n", r->gen->rows[n].row->form,
			       (unsigned long long)r->gen->rows[n].fails, (unsigned long long)r->gen->rows[n].runs);
	if (r->gen->invalid_fails)
		printf("invalid instructions: %llu of %llu cases differ\n", (unsigned long long)r->gen->invalid_fails,
		       (unsigned long long)r->gen->invalid_runs);
}

static void list_rows(const struct run *r)
{
	static const struct {
		u32 bit;
		const char *name;
	} flags[] = {
	        {FL_CF, "CF"}, {FL_PF, "PF"}, {FL_AF, "AF"}, {FL_ZF, "ZF"}, {FL_SF, "SF"}, {FL_OF, "OF"},
	};

	for (size_t n = 0; n < r->gen->row_count; n++) {
		const struct row_count *c = &r->gen->rows[n];
		const char *why = rule_excluded(core_cpu(r->core), c->row, r->o.mode), *note = rule_note(c->row);

		printf("%-30s %4u forms", c->row->form, c->templates);
		if (c->row->undef_flags) {
			printf("  undefined:");
			for (size_t f = 0; f < ARRAY_LEN(flags); f++)
				if (c->row->undef_flags & flags[f].bit)
					printf(" %s", flags[f].name);
		}
		if (note)
			printf("  %s", note);
		if (why)
			printf("  EXCLUDED: %s", why);
		printf("\n");
	}
}

static void campaign(struct run *r)
{
	bool tty = isatty(2);
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (u64 n = 0; n < r->o.cases; n++) {
		one_case(r, r->o.seed + n);
		progress(r, n, tty);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	if (tty)
		fprintf(stderr, "\r%60s\r", "");
	print_unreached(r);
	print_failing_rows(r);
	double s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;

	printf("%s-bit code, %llu cases in %.1f s (%.0f a second), %llu drew nothing that may run\n",
	       mode_name(r->o.mode), (unsigned long long)r->o.cases, s, (double)r->o.cases / (s > 0 ? s : 1),
	       (unsigned long long)r->skipped);
	printf("random cases: %llu\n", (unsigned long long)(r->passed + r->failed));
	printf("%llu passed, %llu failed\n", (unsigned long long)r->passed, (unsigned long long)r->failed);
}

/* ---- command line ---- */

static _Noreturn void usage(const char *what)
{
	fprintf(stderr,
	        "diff: %s\nusage: diff [--mode 64|32|16] [--cases N] [--seed N] [--row TEXT] [--failures N] [--list] "
	        "[--minimise] [--strict] [--jit] [--record FILE [--per-row N]]\n       diff [--jit] --corpus FILE\n",
	        what);
	exit(2);
}

static u64 number(const char *name, const char *text)
{
	char *end;
	u64 v = text && *text ? strtoull(text, &end, 0) : 0;

	if (!text || !*text || *end)
		usage(name);
	return v;
}

static struct options parse(int argc, char **argv)
{
	struct options o = {.cases = 100000, .seed = 1, .failures = 20, .per_row = 8};

	for (int n = 1; n < argc; n++) {
		const char *a = argv[n], *v = n + 1 < argc ? argv[n + 1] : NULL;

		if (!strcmp(a, "--list"))
			o.list = true;
		else if (!strcmp(a, "--minimise"))
			o.minimise = true;
		else if (!strcmp(a, "--strict"))
			rule_strict = true;
		else if (!strcmp(a, "--jit"))
			core_translates = true;
		else if (!strcmp(a, "--cases"))
			o.cases = number("--cases wants a number", v), n++;
		else if (!strcmp(a, "--seed"))
			o.seed = number("--seed wants a number", v), n++;
		else if (!strcmp(a, "--failures"))
			o.failures = number("--failures wants a number", v), n++;
		else if (!strcmp(a, "--per-row"))
			o.per_row = number("--per-row wants a number", v), n++;
		else if (!strcmp(a, "--record") && v)
			o.record = v, n++;
		else if (!strcmp(a, "--corpus") && v)
			o.corpus = v, n++;
		else if (!strcmp(a, "--row") && v)
			o.row = v, n++;
		else if (!strcmp(a, "--mode") && v && (!strcmp(v, "64") || !strcmp(v, "32") || !strcmp(v, "16")))
			o.mode = v[0] == '6' ? DIFF_64 : v[0] == '3' ? DIFF_32 : DIFF_16, n++;
		else
			usage(a);
	}
	return o;
}

static const char *host_vendor(void)
{
	static char text[13];
	u32 a, r[3];

	__cpuid(0, a, r[0], r[2], r[1]);
	memcpy(text, r, 12);
	return text;
}

int main(int argc, char **argv)
{
	struct run r = {.o = parse(argc, argv)};
	const char *why;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (core_translates && !jit_available()) {
		printf("there is no translator for this computer\n");
		return 77;
	}
	if (r.o.corpus)
		return replay(r.o.corpus);
	if (!host_init(r.o.mode, &why)) {
		printf("skipped: live comparison of %s-bit code: %s\n", mode_name(r.o.mode), why);
		return 77;
	}
	r.core = core_new(r.o.mode, core_model(host_vendor()), host_gs_base(), host_fs_base());
	if (!r.core)
		usage("out of memory");
	r.gen = gen_new(core_cpu(r.core), r.o.mode, r.o.row);
	r.pattern = aligned_alloc(64, DATA_SIZE);
	if (!r.pattern)
		usage("out of memory");
	diff_pattern(r.pattern);
	if (r.o.record)
		r.recorder = record_new(r.gen, r.o.mode, (unsigned)r.o.per_row);
	r.ours = core_data(r.core);
	r.theirs = host_data();
	if (r.o.list)
		list_rows(&r);
	else if (!r.gen->live_count)
		usage("no row to run");
	else
		campaign(&r);
	if (core_translates && !r.o.list && printf("%llu instructions by translated code\n", (unsigned long long)core_translated(r.core)) &&
	    !core_translated(r.core))
		r.failed++;
	if (r.recorder && !record_save(r.recorder, r.o.record))
		usage("--record: the file could not be written, or zstd is not there");
	free(r.pattern);
	gen_free(r.gen);
	core_free(r.core);
	return r.failed != 0;
}
