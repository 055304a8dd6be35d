/*
 * random [--seed N] [--programs N] [--insns N] [--setting NAME] [--elf FILE] [--hashes FILE] [--write]: random programs
 * (program.h), each by the interpreter and in other ways beside it: as translated code under several settings, and
 * instruction by instruction. Both machines are run in steps of drawn lengths, so that what is due ends at every place
 * of a block, and the hash of the whole state is compared on the way. What differs is told with the seed;
 * first-difference finds the place.
 *
 * --hashes FILE compares ten programs with the hashes of the file, which are those of the processors' registers and of
 * the program's memory, by the interpreter and as translated code: they depend on no computer and no compiler. --write
 * prints them.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pair.h"
#include "program.h"

struct setting {
	const char *name, *plain, *other; /* options of the interpreter's machine, of the other */
	bool translates;
};
static const struct setting settings[] = {
        {"no-blocks", "", "--stress no-blocks", false},
        {"poll-every", "", "--stress poll-every", false},
        {"first", "", "--jit 1", true},
        {"hot", "", "--jit on", true},
        {"tiny-cache", "", "--jit 1 --jit-cache 64K", true},
        {"tiny-tlb", "--stress tiny-tlb", "--jit 1 --stress tiny-tlb", true},
        {"lock-step", "", "--jit 1 --stress jit-check", true},
};

struct job {
	u64 seed, programs, insns;
	const char *setting, *elf, *hashes;
	bool write, translator;
	char path[64]; /* of the program at hand */
	int fd;
	u64 compared, died;
};

/* ---- the program of a seed ---- */

static struct program_kind kind_of(u64 seed)
{
	return (struct program_kind){.user = seed % 3 == 1, .second = seed % 4 == 3, .plain = seed % 5 == 0};
}

static bool make_program(struct job *j, u64 seed)
{
	static u8 elf[PROGRAM_ELF];
	const struct program_kind kind = kind_of(seed);

	program_make(elf, seed, &kind);
	if (j->fd < 0)
		j->fd = memfd_create("program", 0);
	snprintf(j->path, sizeof(j->path), "/proc/self/fd/%d", j->fd);
	return j->fd >= 0 && pwrite(j->fd, elf, sizeof(elf), 0) == (ssize_t)sizeof(elf);
}

static void command(const struct job *j, u64 seed, const char *options, struct words *w)
{
	w->n = 0;
	w->used = 0;
	pair_words(w, "turnstile run -m 16M --serial null --explain off --cpu");
	pair_word(w, seed & 1 ? "intel" : "amd");
	if (kind_of(seed).second)
		pair_words(w, "--smp 2");
	pair_words(w, options);
	pair_word(w, j->path);
}

/* ---- side by side ---- */

static u64 next(u64 *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random * 0x2545f4914f6cdd1d >> 32;
}

static unsigned long step(u64 *random)
{
	static const unsigned most[] = {12, 90, 700, 9000};

	return 1 + next(random) % most[next(random) % ARRAY_LEN(most)];
}

static bool run_pair(struct job *j, u64 seed, const struct setting *s)
{
	struct words a, b;
	u64 random = seed * 0x9e3779b97f4a7c15 | 1;
	struct pair p;
	bool more = true, same = true;
	unsigned long equal = 0;

	command(j, seed, s->plain, &a);
	command(j, seed, s->other, &b);
	if (!pair_open(&p, &a, &b, stdout))
		return false;
	while (more && same && p.done < j->insns) {
		more = pair_run(&p, step(&random));
		if (more && next(&random) % 3)
			continue;
		same = pair_same(&p);
		equal = same ? p.done : equal;
		j->compared++;
	}
	if (same)
		same = pair_same(&p);
	if (!same) {
		printf("seed %" PRIu64 ", %s: equal at %lu instructions, not at %lu: %s and %s\n", seed, s->name, equal,
		       p.done, s->plain, s->other);
		pair_tell(&p, stdout, 12);
	}
	j->died += !more;
	pair_close(&p);
	return same;
}

static unsigned run_seed(struct job *j, u64 seed)
{
	unsigned wrong = 0;

	if (!make_program(j, seed))
		return 1;
	for (size_t n = 0; n < ARRAY_LEN(settings); n++) {
		if (j->setting ? strcmp(j->setting, settings[n].name) != 0 : settings[n].translates && !j->translator)
			continue;
		wrong += !run_pair(j, seed, &settings[n]);
		fflush(stdout);
	}
	return wrong;
}

/* ---- hashes that are the same everywhere ---- */

#define HASH_PROGRAMS 10
#define HASH_STEP     100000ul
#define HASH_STEPS    20

static u64 mix(u64 h, const u8 *p, size_t n)
{
	for (size_t k = 0; k < n; k++)
		h = (h ^ p[k]) * 0x100000001b3;
	return h ^ h >> 29;
}

static u64 mix_machine(ts_machine *m, u64 h)
{
	static const char *const name[] = {"rip", "rflags", "rax", "rcx", "rdx", "rbx", "rsp",   "rbp", "rsi",
	                                   "rdi", "r8",     "r9",  "r10", "r11", "r12", "r13",   "r14", "r15",
	                                   "cr0", "cr2",    "cr3", "cr4", "dr6", "v",   "mxcsr", "cs",  "ss"};
	static u8 buf[PROGRAM_SIZE];
	size_t n = 0;

	for (unsigned cpu = 0; n = sizeof(buf), ts_get(m, cpu, "rip", buf, &n) == TS_OK; cpu++)
		for (size_t k = 0; k < ARRAY_LEN(name); k++) {
			n = sizeof(buf);
			h = ts_get(m, cpu, name[k], buf, &n) == TS_OK ? mix(h, buf, n) : 0;
		}
	ts_read(m, 0, TS_PHYS, PROGRAM_BASE, buf, sizeof(buf), &n);
	return mix(h, buf, n);
}

static bool hash_program(struct job *j, u64 seed, const char *options, u64 *h)
{
	struct words w;
	char err[600];
	ts_machine *m;
	ts_stop why = TS_LIMIT;

	command(j, seed, options, &w);
	*h = seed;
	if (ts_create(w.n, w.word, &m, err, sizeof(err)) != TS_OK) {
		printf("%s\n", err);
		return false;
	}
	for (unsigned n = 0; n < HASH_STEPS && why == TS_LIMIT; n++) {
		ts_run(m, HASH_STEP, &why, NULL);
		*h = mix_machine(m, *h);
	}
	ts_destroy(m);
	return true;
}

static u64 written(FILE *f, u64 seed)
{
	char line[200];
	u64 at, h;

	rewind(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%" SCNu64 " %" SCNx64, &at, &h) == 2 && at == seed)
			return h;
	return 0;
}

static unsigned check_hashes(struct job *j)
{
	static const char *const options[] = {"--jit off", "--jit 1", "--jit on"};
	FILE *f = j->write ? NULL : fopen(j->hashes, "r");
	unsigned wrong = 0;

	if (!f && !j->write)
		return printf("%s cannot be read\n", j->hashes), 1;
	for (u64 seed = 1; seed <= HASH_PROGRAMS; seed++)
		for (unsigned k = 0; k < (j->translator && !j->write ? ARRAY_LEN(options) : 1); k++) {
			u64 h;

			if (!make_program(j, seed) || !hash_program(j, seed, options[k], &h))
				return 1;
			j->compared++;
			if (j->write) {
				printf("%" PRIu64 " %016" PRIx64 "\n", seed, h);
			} else if (h != written(f, seed)) {
				wrong++;
				printf("program %" PRIu64 ", %s: %016" PRIx64 ", not %016" PRIx64 "\n", seed,
				       options[k], h, written(f, seed));
			}
		}
	if (f)
		fclose(f);
	return wrong;
}

/* ---- the command line ---- */

static void find_word(void *arg, const char *text, size_t len)
{
	*(bool *)arg = memmem(text, len, "translator", 10) != NULL;
}

static bool has_translator(void)
{
	static const char *const ask[] = {"turnstile", "--version"};
	bool found = false;

	ts_help(2, ask, find_word, &found);
	return found;
}

static bool read_options(struct job *j, int argc, char **argv)
{
	for (int n = 1; n < argc; n++) {
		const char *value = n + 1 < argc ? argv[n + 1] : "";

		if (!strcmp(argv[n], "--write")) {
			j->write = true;
			continue;
		}
		if (!strcmp(argv[n], "--seed"))
			j->seed = strtoull(value, NULL, 0);
		else if (!strcmp(argv[n], "--programs"))
			j->programs = strtoull(value, NULL, 0);
		else if (!strcmp(argv[n], "--insns"))
			j->insns = strtoull(value, NULL, 0);
		else if (!strcmp(argv[n], "--setting"))
			j->setting = value;
		else if (!strcmp(argv[n], "--elf"))
			j->elf = value;
		else if (!strcmp(argv[n], "--hashes"))
			j->hashes = value;
		else
			return false;
		n++;
	}
	return true;
}

static int write_elf(struct job *j)
{
	static u8 elf[PROGRAM_ELF];
	const struct program_kind kind = kind_of(j->seed);
	FILE *f = fopen(j->elf, "we");

	program_make(elf, j->seed, &kind);
	if (!f || fwrite(elf, sizeof(elf), 1, f) != 1 || fclose(f))
		return perror(j->elf), 2;
	return 0;
}

int main(int argc, char **argv)
{
	struct job j = {.seed = 1, .programs = 10, .insns = 150000, .fd = -1, .translator = has_translator()};
	unsigned wrong = 0;

	if (!read_options(&j, argc, argv)) {
		fprintf(stderr, "random [--seed N] [--programs N] [--insns N] [--setting NAME] [--elf FILE] [--hashes "
		                "FILE] [--write]\n");
		return 2;
	}
	if (j.elf)
		return write_elf(&j);
	if (j.hashes || j.write) {
		wrong = check_hashes(&j);
		if (!j.write)
			printf("checks: %" PRIu64 "\n", j.compared);
		return wrong ? 1 : 0;
	}
	for (u64 n = 0; n < j.programs; n++)
		wrong += run_seed(&j, j.seed + n);
	printf("%" PRIu64 " programs, %" PRIu64 " ended before their time\n", j.programs, j.died);
	printf("random cases: %" PRIu64 "\n", j.compared);
	if (!j.translator)
		printf("skipped: translated code: there is no translator for this computer\n");
	return wrong || !j.compared ? 1 : 0;
}
