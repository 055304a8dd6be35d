#include "fuzz.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "model/model.h"
#include "svm/svm.h"

/* ---- random values: splitmix64 ---- */

u64 rng_next(struct rng *r)
{
	u64 z = r->s += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

u64 rng_below(struct rng *r, u64 n)
{
	return rng_next(r) % n;
}

bool rng_one_in(struct rng *r, u64 n)
{
	return rng_below(r, n) == 0;
}

u64 rng_odd(struct rng *r)
{
	u64 v = rng_next(r);

	switch (rng_below(r, 8)) {
	case 0: return v & 0xff;
	case 1: return BIT(v & 63);
	case 2: return BIT(v & 63) - 1;
	case 3: return ~BIT(v & 63);
	case 4: return ~0ull >> (v & 63);
	case 5: return 0ull - (v & 0xff);
	case 6: return v & 0xfffff;
	default: return v;
	}
}

void rng_fill(struct rng *r, void *buf, size_t n)
{
	u8 *p = buf;

	for (size_t i = 0; i < n; i++)
		p[i] = (u8)rng_next(r);
}

/* ---- driver ---- */

enum { CASE_LIMIT = 30, COUNTERS = 64 };

static struct {
	const char *name;
	u64 seed, cases, seconds, at;
	bool single;
	struct timespec began;
	struct {
		const char *what;
		u64 n;
	} counter[COUNTERS];
} run = {.seed = 1, .seconds = 10, .cases = ~0ull};

static void say(const char *text)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "%s: %s\nagain: %s --seed %llu --case %llu\n", run.name, text, run.name,
	                 (unsigned long long)run.seed, (unsigned long long)run.at);

	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		_exit(3);
}

static void on_signal(int n)
{
	say(n == SIGALRM ? "the case does not end" : "crashed");
	_exit(1);
}

/* Sanitizers end in abort(), so that the handler above names the case. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "abort_on_error=1:handle_abort=0:detect_stack_use_after_return=0";
}
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
	return "halt_on_error=1:abort_on_error=1:print_stacktrace=1";
}

static void install_handlers(void)
{
#ifdef __SANITIZE_ADDRESS__
	static const int signals[] = {SIGABRT, SIGALRM};
#else
	static const int signals[] = {SIGABRT, SIGALRM, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
#endif
	struct sigaction a = {.sa_handler = on_signal};

	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &a, NULL);
}

static double since(const struct timespec *from)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - from->tv_sec) + 1e-9 * (double)(now.tv_nsec - from->tv_nsec);
}

double fuzz_case_seconds(void)
{
	return since(&run.began);
}

void fuzz_fail(const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say(text);
	_exit(1);
}

void fuzz_count(const char *what)
{
	for (unsigned i = 0; i < COUNTERS; i++) {
		if (!run.counter[i].what)
			run.counter[i].what = what;
		if (!strcmp(run.counter[i].what, what)) {
			run.counter[i].n++;
			return;
		}
	}
}

static void usage(const char *word)
{
	fprintf(stderr, "%s: %s: --seconds N, --cases N, --seed N, --case N\n", run.name, word);
	exit(2);
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		char *end;
		u64 v = i + 1 < argc ? strtoull(argv[i + 1], &end, 0) : 0;

		if (i + 1 == argc || *end)
			usage(argv[i]);
		if (!strcmp(argv[i], "--seconds"))
			run.seconds = v;
		else if (!strcmp(argv[i], "--cases"))
			run.cases = v, run.seconds = ~0ull;
		else if (!strcmp(argv[i], "--seed"))
			run.seed = v;
		else if (!strcmp(argv[i], "--case"))
			run.at = v, run.single = true;
		else
			usage(argv[i]);
	}
}

int fuzz_main(int argc, char **argv, const char *name, void (*one)(struct rng *r))
{
	struct timespec start;
	u64 done = 0;

	run.name = name;
	parse(argc, argv);
	install_handlers();
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (; done < run.cases && (done == 0 || since(&start) < (double)run.seconds); done++, run.at++) {
		struct rng r = {run.seed * 0xd1342543de82ef95ull + run.at * 0x2545f4914f6cdd1dull};

		rng_next(&r);
		alarm(CASE_LIMIT);
		clock_gettime(CLOCK_MONOTONIC, &run.began);
		one(&r);
		fuzz_files_forget();
		if (run.single) {
			done++;
			break;
		}
	}
	alarm(0);
	printf("random cases: %llu\n", (unsigned long long)done);
	printf("%s: seed %llu, %llu cases\n", name, (unsigned long long)run.seed, (unsigned long long)done);
	for (unsigned i = 0; i < COUNTERS && run.counter[i].what; i++)
		printf("%12llu %s\n", (unsigned long long)run.counter[i].n, run.counter[i].what);
	return 0;
}

/* ---- files in memory ---- */

/* Each ends at a page that cannot be read. */
static struct file {
	const char *name;
	u8 *map;
	size_t whole, n;
} files[16];

void fuzz_files_forget(void)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (files[i].map)
			munmap(files[i].map, files[i].whole);
	memset(files, 0, sizeof(files));
}

void fuzz_file(const char *name, const void *data, size_t n)
{
	size_t i = 0, whole = ((n + PAGE_SIZE - 1) & PAGE_MASK) + PAGE_SIZE;

	while (files[i].map)
		i++;
	u8 *p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		fuzz_fail("mmap: %s", strerror(errno));
	if (n)
		memcpy(p + whole - PAGE_SIZE - n, data, n);
	mprotect(p, whole - PAGE_SIZE, PROT_READ);
	mprotect(p + whole - PAGE_SIZE, PAGE_SIZE, PROT_NONE);
	files[i] = (struct file){name, p, whole, n};
}

enum status __wrap_os_file_map(struct os_file *f, const char *path, struct err *err);
enum status __wrap_os_file_map(struct os_file *f, const char *path, struct err *err)
{
	*f = (struct os_file){NULL, 0};
	for (size_t i = 0; i < ARRAY_LEN(files) && files[i].map; i++) {
		if (strcmp(files[i].name, path) != 0)
			continue;
		if (!files[i].n)
			return err_set(err, ST_ARG, "%s: empty file", path);
		*f = (struct os_file){files[i].map + files[i].whole - PAGE_SIZE - files[i].n, files[i].n};
		return ST_OK;
	}
	return err_set(err, ST_ARG, "%s: no such file", path);
}

void __wrap_os_file_unmap(struct os_file *f);
void __wrap_os_file_unmap(struct os_file *f)
{
	*f = (struct os_file){NULL, 0};
}

/* ---- machines ---- */

void fuzz_config(struct machine_config *cfg, const char *cpu, u64 ram)
{
	struct err err;

	*cfg = (struct machine_config){.ram = ram, .cpus = 1, .seed = 1, .no_reboot = true, .idle = IDLE_SKIP};
	if (model_parse(cpu, &cfg->model, &cfg->feat, &err) != ST_OK)
		fuzz_fail("%s", err.text);
	cfg->kernel = (char *)(uintptr_t) "kernel";
	cfg->serial[0] = cfg->serial[1] = cfg->debugcon = (char *)(uintptr_t) "null";
}

void fuzz_knobs(struct rng *r, struct machine_config *cfg)
{
	cfg->stress = (struct stress){
	        .tiny_tlb = rng_one_in(r, 8),
	        .no_blocks = rng_one_in(r, 8),
	        .split_access = rng_one_in(r, 8),
	        .poll_every = rng_one_in(r, 8),
	};
}

/* Multiboot 1 by the a.out kludge: at 1 MiB, CLI; HLT; JMP back to HLT. */
static const u8 sleeper[] = {
        0x02, 0xb0, 0xad, 0x1b, 0x00, 0x00, 0x01, 0x00, 0xfe, 0x4f, 0x51, 0xe4, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00,
        0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x10, 0x00, 0xfa, 0xf4, 0xeb, 0xfd,
};

struct machine *fuzz_machine(struct machine_config *cfg)
{
	struct machine *m;
	struct err err;

	fuzz_file("kernel", sleeper, sizeof(sleeper));
	if (machine_create(&m, cfg, &err) != ST_OK)
		fuzz_fail("no machine: %s", err.text);
	return m;
}

void fuzz_long_mode(struct cpu *c)
{
	struct bus *b = c->bus;

	bus_write_u64(b, 0x1000, 0x2007);
	bus_write_u64(b, 0x2000, 0xe7);
	for (unsigned s = SEG_ES; s <= SEG_GS; s++)
		c->seg[s] = (struct seg){.sel = 0x10, .ar = AR_P | AR_S | 3 | AR_G | AR_DB, .limit = ~0u};
	c->seg[SEG_CS] = (struct seg){.sel = 8, .ar = AR_P | AR_S | 11 | AR_G | AR_L, .limit = ~0u};
	c->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET;
	c->cr4 = CR4_PAE;
	c->cr3 = 0x1000;
	c->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	c->cpl = 0;
	flags_set(c, FL_1);
	c->r[REG_RSP] = 0x80000;
	c->activity = ACT_RUN;
	tlb_flush_all(c);
	cpu_update_mode(c);
}

/* ---- invariants ---- */

static void require(bool ok, const char *what, u64 value)
{
	if (!ok)
		fuzz_fail("afterwards %s (0x%llx)", what, (unsigned long long)value);
}

static void check_modes(struct cpu *c)
{
	u8 mode = c->mode;
	u32 fl = flags_get(c);
	bool paged_real = c->guest && c->virt == &svm_ops; /* "Paged Real Mode" */

	require(!(c->cr0 & CR0_PG) || (c->cr0 & CR0_PE) || paged_real, "paging without protection", c->cr0);
	require(!!(c->efer & EFER_LMA) == ((c->efer & EFER_LME) && (c->cr0 & CR0_PG)), "EFER.LMA is wrong", c->efer);
	require(!(c->efer & EFER_LMA) || (c->cr4 & CR4_PAE), "long mode without PAE", c->cr4);
	require((fl & FL_1) && !(fl & ~(u32)FL_ALL), "undefined bits in RFLAGS", fl);
	require(c->cpl <= 3, "CPL is wrong", c->cpl);
	require((c->cr0 & CR0_PE) || c->cpl == 0, "real mode and CPL is not 0", c->cpl);
	require(!(mode & MODE_V86) || c->cpl == 3, "virtual-8086 mode and CPL is not 3", c->cpl);
	cpu_update_mode(c);
	require(c->mode == mode, "the mode key was stale", (u64)mode << 8 | c->mode);
}

void fuzz_check_cpu(struct cpu *c)
{
	check_modes(c);
	require(c->r[REG_ZERO] == 0, "the zero register is not", c->r[REG_ZERO]);
	require(c->sb.base[6] == 0, "the zero segment base is not", c->sb.base[6]);
	require(mode64(c) || c->r[REG_RIP] >> 32 == 0, "RIP is too wide", c->r[REG_RIP]);
	require(c->activity <= ACT_FREEZE, "activity is wrong", c->activity);
	require(!(c->dr7 >> 32) && (c->dr7 & DR7_RESET), "DR7 is wrong", c->dr7);
	require(!(c->dr6 >> 32) && (c->dr6 & dr6_fixed(c)) == dr6_fixed(c), "DR6 is wrong", c->dr6);
	require((c->mxcsr & 0xfffc0000) == 0, "MXCSR is wrong", c->mxcsr);
	require(c->fpu.top < 8 && !(c->fpu.sw & 0x3800), "the x87 stack top is wrong", c->fpu.top);
	require(c->xcr0 & 1, "XCR0 lost x87", c->xcr0);
	require(c->fpu.op < 0x800, "FOP is too wide", c->fpu.op);
	require(!c->guest || c->virt_root || (c->efer & EFER_SVME), "a guest without virtualisation", c->efer);
	require(c->guest || !c->stage2 || c->activity == ACT_SHUTDOWN, "a second stage outside guests", c->stage2);
	for (unsigned s = 0; s < SEG_COUNT; s++)
		require(!(c->seg[s].ar & ~0x1f0ffu), "access rights have undefined bits", c->seg[s].ar);
}
