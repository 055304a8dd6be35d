/* SHA-256 of one piece of memory: FIPS 180-4. The constants are the fractions of roots of primes, as the standard makes
 * them, in a table because the loader has no square roots. */
#include "loader.h"

static const u32 k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static u32 rotate(u32 v, unsigned n)
{
	return v >> n | v << (32 - n);
}

static void schedule(u32 w[64], const u8 *block)
{
	for (unsigned t = 0; t < 16; t++)
		w[t] = (u32)block[4 * t] << 24 | (u32)block[4 * t + 1] << 16 | (u32)block[4 * t + 2] << 8 | block[4 * t + 3];
	for (unsigned t = 16; t < 64; t++) {
		u32 x = w[t - 15], y = w[t - 2];

		w[t] = w[t - 16] + (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) + w[t - 7] + (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
	}
}

static void compress(u32 h[8], const u8 *block)
{
	u32 w[64], v[8];

	schedule(w, block);
	memcpy(v, h, sizeof(v));
	for (unsigned t = 0; t < 64; t++) {
		u32 a = v[0], e = v[4];
		u32 t1 = v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + k[t] + w[t];
		u32 t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));

		for (unsigned n = 7; n; n--)
			v[n] = v[n - 1];
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (unsigned n = 0; n < 8; n++)
		h[n] += v[n];
}

void sha256(const u8 *data, u32 size, u8 digest[32])
{
	u32 h[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	u8 last[128] = { 0 };
	u32 left = size % 64, blocks = left < 56 ? 1 : 2;

	for (u32 at = 0; at + 64 <= size; at += 64)
		compress(h, data + at);
	memcpy(last, data + size - left, left);
	last[left] = 0x80;
	for (unsigned n = 0; n < 5; n++) /* the length in bits: less than 2^35 */
		last[64 * blocks - 1 - n] = (u8)((unsigned long long)size * 8 >> 8 * n);
	for (u32 n = 0; n < blocks; n++)
		compress(h, last + 64 * n);
	for (unsigned n = 0; n < 32; n++)
		digest[n] = (u8)(h[n / 4] >> 8 * (3 - n % 4));
}
