/* SHA-256 for tests, from FIPS 180-4, "SHA-256 Preprocessing" and "SHA-256 Hash Computation": to judge other programs by. */
#ifndef TESTS_UNIT_SHA256_H
#define TESTS_UNIT_SHA256_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t sha256_turn(uint32_t v, unsigned n)
{
	return v >> n | v << (32 - n);
}

/* The first 32 bits of the fractional part of a root of the nth prime. */
static inline uint32_t sha256_root(unsigned n, bool cube)
{
	unsigned p = 1;

	for (unsigned found = 0; found <= n; found += p > 1) {
		bool prime = false;
		while (!prime) {
			prime = ++p > 1;
			for (unsigned d = 2; d * d <= p; d++)
				prime = prime && p % d;
		}
	}
	long double root = cube ? cbrtl(p) : sqrtl(p);
	return (uint32_t)((root - floorl(root)) * 4294967296.0L);
}

static inline void sha256_block(uint32_t h[8], const uint8_t *p)
{
	uint32_t w[64], v[8];

	for (unsigned t = 0; t < 16; t++, p += 4)
		w[t] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	for (unsigned t = 16; t < 64; t++)
		w[t] = (sha256_turn(w[t - 2], 17) ^ sha256_turn(w[t - 2], 19) ^ w[t - 2] >> 10) + w[t - 7] +
		       (sha256_turn(w[t - 15], 7) ^ sha256_turn(w[t - 15], 18) ^ w[t - 15] >> 3) + w[t - 16];
	memcpy(v, h, sizeof(v));
	for (unsigned t = 0; t < 64; t++) {
		static uint32_t k[64];
		if (!k[t])
			k[t] = sha256_root(t, true);
		uint32_t a = v[7] + (sha256_turn(v[4], 6) ^ sha256_turn(v[4], 11) ^ sha256_turn(v[4], 25)) +
		             ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[t] + w[t];
		uint32_t b = (sha256_turn(v[0], 2) ^ sha256_turn(v[0], 13) ^ sha256_turn(v[0], 22)) +
		             ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
		memmove(v + 1, v, 7 * sizeof(*v));
		v[4] += a;
		v[0] = a + b;
	}
	for (unsigned i = 0; i < 8; i++)
		h[i] += v[i];
}

static inline void sha256(const void *data, size_t size, uint8_t digest[32])
{
	uint32_t h[8];
	uint8_t tail[128] = {0};
	size_t whole = size / 64 * 64, rest = size - whole, end = rest < 56 ? 64 : 128;

	for (unsigned i = 0; i < 8; i++)
		h[i] = sha256_root(i, false);
	for (size_t at = 0; at < whole; at += 64)
		sha256_block(h, (const uint8_t *)data + at);
	if (rest)
		memcpy(tail, (const uint8_t *)data + whole, rest);
	tail[rest] = 0x80;
	for (unsigned i = 0; i < 8; i++)
		tail[end - 1 - i] = (uint8_t)((uint64_t)size * 8 >> 8 * i);
	for (size_t at = 0; at < end; at += 64)
		sha256_block(h, tail + at);
	for (unsigned i = 0; i < 32; i++)
		digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

#endif
