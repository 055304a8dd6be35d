/*
 * base: what every floor stands on. Integers, bit helpers, status codes of the program itself.
 * May call: the C library. Called by: everything.
 *
 * Two kinds of failure never mix: `enum status` is the computer's (no memory, no file); a guest's fault is a value of
 * `enum xr` (cpu/state/insn.h).
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define likely(x)    __builtin_expect(!!(x), 1)
#define unlikely(x)  __builtin_expect(!!(x), 0)
#define must_check   __attribute__((warn_unused_result))
#define cold         __attribute__((cold, noinline))
#define inlined      inline __attribute__((always_inline)) /* into every caller: for parameters that are constants */
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))

#define BIT(n) (1ull << (n))

/* Bits hi:lo of v, as the manuals write them. */
static inline u64 bits(u64 v, unsigned hi, unsigned lo)
{
	return (v >> lo) & (~0ull >> (63 - (hi - lo)));
}

/* A mask of bits hi:lo. */
static inline u64 mask(unsigned hi, unsigned lo)
{
	return (~0ull >> (63 - (hi - lo))) << lo;
}

/* The low `size` bytes (1, 2, 4 or 8) of v. */
static inline u64 low_bytes(u64 v, unsigned size)
{
	return v & (~0ull >> (64 - 8 * size));
}

static inline s64 sign_extend(u64 v, unsigned nbits)
{
	return (s64)(v << (64 - nbits)) >> (64 - nbits);
}

static inline bool is_aligned(u64 v, u64 power_of_two)
{
	return (v & (power_of_two - 1)) == 0;
}

static inline u64 min_u64(u64 a, u64 b)
{
	return a < b ? a : b;
}

static inline u64 max_u64(u64 a, u64 b)
{
	return a > b ? a : b;
}

/* What can go wrong on the computer we run on. Mirrors ts_status of the public API. */
enum status { ST_OK, ST_ARG, ST_NOMEM, ST_IO, ST_FAULT, ST_STATE };

/* One line of text for a person, filled by whoever returns a bad status. */
struct err {
	char text[512];
};
enum status err_set(struct err *e, enum status s, const char *fmt, ...) printf_like(3, 4);
enum status err_in(struct err *e, enum status s, const char *where); /* "where: " in front; NULL: nothing */

/* How many letters must be changed, added or left out to make one word of the other (Levenshtein); 99 for one of more than 64. */
unsigned base_distance(const char *a, const char *b);

/* malloc family with the "nth allocation fails" stress knob. All memory of a machine comes through here. */
struct alloc_knob {
	u64 fail_at; /* 0: never; otherwise the nth allocation from now returns NULL */
	u64 count;
};
void *base_alloc(size_t n);                     /* zeroed; NULL when out of memory */
void *base_realloc(void *p, size_t n);
void base_free(void *p);
void base_alloc_knob(const struct alloc_knob *k); /* thread-local; a test knob, not machine state */

#endif
