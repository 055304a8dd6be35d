/*
 * hostfp_bits: single and double precision as integers; hostfp*.c only.
 */
#ifndef CPU_EXEC_HOSTFP_BITS_H
#define CPU_EXEC_HOSTFP_BITS_H

#include "cpu/exec/hostfp.h"

static inline bool f32_nan(u32 v) { return (v & 0x7fffffff) > 0x7f800000; }
static inline bool f32_snan(u32 v) { return f32_nan(v) && !(v & 0x400000); }
static inline bool f32_denormal(u32 v) { return !(v & 0x7f800000) && (v & 0x7fffff); }
static inline bool f64_nan(u64 v) { return (v & ~BIT(63)) > 0x7ff0000000000000; }
static inline bool f64_snan(u64 v) { return f64_nan(v) && !(v & BIT(51)); }
static inline bool f64_denormal(u64 v) { return !bits(v, 62, 52) && bits(v, 51, 0); }

static inline u32 get32(const void *p, unsigned k)
{
	u32 v;
	memcpy(&v, (const u8 *)p + 4 * k, 4);
	return v;
}

static inline u64 get64(const void *p, unsigned k)
{
	u64 v;
	memcpy(&v, (const u8 *)p + 8 * k, 8);
	return v;
}

#endif
