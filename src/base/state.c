#include "base/state.h"

#define FNV_PRIME 0x100000001b3ull

/* FNV-1a over words of eight bytes, folded after each so that high bits reach low ones. */
u64 state_mix(u64 seed, const void *data, size_t n)
{
	const u8 *p = data;
	u64 h = seed ^ 0xcbf29ce484222325ull, w;

	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&w, p, 8);
		h = (h ^ w) * FNV_PRIME;
		h ^= h >> 32;
	}
	if (n) {
		w = (u64)n << 56;
		memcpy(&w, p, n);
		h = (h ^ w) * FNV_PRIME;
		h ^= h >> 32;
	}
	return h;
}

u64 state_hash(u64 seed, const struct state_row *rows, size_t n, const void *owner)
{
	for (size_t i = 0; i < n; i++) {
		seed = (seed ^ rows[i].id) * FNV_PRIME;
		seed = state_mix(seed, (const u8 *)owner + rows[i].offset, (size_t)rows[i].width * rows[i].count);
	}
	return seed;
}
