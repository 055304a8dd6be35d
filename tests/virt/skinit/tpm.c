/* TCG PC Client Platform TPM Profile, "FIFO Interface"; Trusted Platform Module Library, Part 3 "TPM2_PCR_Read". */
#include "tpm.h"

enum { ACCESS = 0, STS = 0x18, FIFO = 0x24, DID_VID = 0xf00 };
enum { A_ACTIVE = 0x20, A_REQUEST = 2, S_VALID = 0x80, S_READY = 0x40, S_GO = 0x20, S_AVAIL = 0x10 };

static volatile u8 *at(unsigned locality, unsigned offset)
{
	return (volatile u8 *)(0xfed40000ull + ((u64)locality << 12) + offset);
}

static void until(unsigned locality, unsigned offset, u8 mask)
{
	for (u64 start = rdtsc(); rdtsc() - start < 2000000000;)
		if ((*at(locality, offset) & mask) == mask)
			return;
}

bool tpm_present(void)
{
	return mmio_read(0xfed40000 + DID_VID) != ~0u;
}

void tpm_pcr17(unsigned locality, u8 value[32])
{
	static const u8 command[] = {0x80, 1, 0, 0, 0, 20, 0, 0, 1, 0x7e, 0, 0, 0, 1, 0, 0xb, 3, 0, 0, 2};
	u8 answer[128];
	unsigned n = 0;

	*at(locality, ACCESS) = A_REQUEST;
	until(locality, ACCESS, A_ACTIVE);
	*at(locality, STS) = S_READY;
	until(locality, STS, S_READY);
	for (unsigned i = 0; i < sizeof(command); i++)
		*at(locality, FIFO) = command[i];
	*at(locality, STS) = S_GO;
	until(locality, STS, S_VALID | S_AVAIL);
	while ((*at(locality, STS) & S_AVAIL) && n < sizeof(answer))
		answer[n++] = *at(locality, FIFO);
	*at(locality, STS) = S_READY;
	*at(locality, ACCESS) = A_ACTIVE; /* released */
	memset(value, 0, 32);
	if (n > 42)
		memcpy(value, answer + n - 32, 32);
}

/* ---- FIPS 180-4 ---- */

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes, and of the square roots of eight:
 * by integer roots. */
/* floor(prime^(1/power) * 2^32), by bisection. */
static u64 root(u64 prime, unsigned power)
{
	u64 low = 0, high = 1ull << 37;

	while (high - low > 1) {
		u64 middle = (low + high) / 2;
		unsigned __int128 square = (unsigned __int128)middle * middle, part = (unsigned __int128)(u64)square * middle;
		unsigned __int128 top = (square >> 64) * middle + (part >> 64); /* of the cube, from bit 64 on */
		bool above = power == 2 ? square > (unsigned __int128)prime << 64
		                        : top > prime << 32 || (top == prime << 32 && (u64)part);

		*(above ? &high : &low) = middle;
	}
	return low;
}

static u32 k[64], h0[8];

static void constants(void)
{
	unsigned n = 0;

	for (u64 p = 2; n < 64; p++) {
		bool prime = true;
		for (u64 d = 2; d * d <= p; d++)
			prime = prime && p % d;
		if (!prime)
			continue;
		if (n < 8)
			h0[n] = (u32)root(p, 2);
		k[n++] = (u32)root(p, 3);
	}
}

static u32 rotate(u32 v, unsigned n)
{
	return v >> n | v << (32 - n);
}

static void block(u32 h[8], const u8 *p)
{
	u32 w[64], s[8];

	for (unsigned i = 0; i < 16; i++)
		w[i] = (u32)p[4 * i] << 24 | (u32)p[4 * i + 1] << 16 | (u32)p[4 * i + 2] << 8 | p[4 * i + 3];
	for (unsigned i = 16; i < 64; i++)
		w[i] = w[i - 16] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
		       (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(s, h, 32);
	for (unsigned i = 0; i < 64; i++) {
		u32 a = s[0], e = s[4];
		u32 t1 = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + k[i] + w[i];
		u32 t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));

		for (unsigned j = 7; j; j--)
			s[j] = s[j - 1];
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (unsigned i = 0; i < 8; i++)
		h[i] += s[i];
}

void sha256(const void *data, u64 size, u8 digest[32])
{
	const u8 *p = data;
	u64 left = size;
	u8 last[128] = {0};
	u32 h[8];

	if (!k[0])
		constants();
	memcpy(h, h0, sizeof(h));
	for (; left >= 64; left -= 64, p += 64)
		block(h, p);
	memcpy(last, p, left);
	last[left] = 0x80;
	u64 end = left < 56 ? 64 : 128;
	for (unsigned i = 0; i < 8; i++)
		last[end - 1 - i] = (u8)(size * 8 >> 8 * i);
	block(h, last);
	if (end == 128)
		block(h, last + 64);
	for (unsigned i = 0; i < 32; i++)
		digest[i] = (u8)(h[i / 4] >> (24 - i % 4 * 8));
}
