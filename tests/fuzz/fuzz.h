/*
 * What the fuzzers share: a driver that runs numbered cases for a time, a random source that is a function of seed and
 * case alone, and a small machine made from files in memory. A case that fails is run again by --seed S --case N.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "machine/machine.h"

/* ---- random values ---- */
struct rng {
	u64 s;
};
u64 rng_next(struct rng *r);
u64 rng_below(struct rng *r, u64 n); /* 0..n-1; n > 0 */
bool rng_one_in(struct rng *r, u64 n);
/* Values that find mistakes: small ones, powers of two and their neighbours, all ones, plain random ones. */
u64 rng_odd(struct rng *r);
void rng_fill(struct rng *r, void *buf, size_t n);
#define RNG_PICK(r, array) ((array)[rng_below((r), ARRAY_LEN(array))])

/* ---- driver ---- */
/* Run cases until the time or their number is over. Options: --seconds N, --cases N, --seed N, --case N. */
int fuzz_main(int argc, char **argv, const char *name, void (*one)(struct rng *r));
/* The case failed: says where and ends the program. */
_Noreturn void fuzz_fail(const char *fmt, ...) printf_like(1, 2);
/* Anything worth knowing about what was reached, printed at the end as NAME COUNT. */
void fuzz_count(const char *what);
/* Real seconds since the case began. */
double fuzz_case_seconds(void);

/* ---- files in memory: the library's os_file_map() sees nothing else ---- */
void fuzz_file(const char *name, const void *data, size_t n); /* copied; n == 0: an empty file */
void fuzz_files_forget(void);

/* ---- machines ---- */
/* --cpu SPEC, one processor, `ram` bytes, every channel null, no kernel yet. */
void fuzz_config(struct machine_config *cfg, const char *cpu, u64 ram);
/* Stress knobs that must make no difference, now and then. */
void fuzz_knobs(struct rng *r, struct machine_config *cfg);
/* A machine whose kernel is CLI; HLT in a loop. Never fails. */
struct machine *fuzz_machine(struct machine_config *cfg);
/* What must hold of a processor between instructions, whatever happened. */
void fuzz_check_cpu(struct cpu *c);
/* 64-bit mode at CPL 0 with the first GiB mapped one to one by tables at 1000h..2FFFh. */
void fuzz_long_mode(struct cpu *c);

#endif
