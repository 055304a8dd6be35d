/*
 * The kernels of lanes.h. Most are one expression over one element; the compiler turns the fixed-count loops into
 * vector code. A chunk is 8 or 16 bytes: it copies its sources first, so that the destination may be either of them.
 */
#include "cpu/exec/lanes.h"

static inlined s8 sat_s8(int v)
{
	return (s8)(v < -128 ? -128 : v > 127 ? 127 : v);
}

static inlined u8 sat_u8(int v)
{
	return (u8)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static inlined s16 sat_s16(s32 v)
{
	return (s16)(v < -32768 ? -32768 : v > 32767 ? 32767 : v);
}

static inlined u16 sat_u16(s32 v)
{
	return (u16)(v < 0 ? 0 : v > 65535 ? 65535 : v);
}

/* A kernel from a chunk function of 8 or 16 bytes. */
typedef void chunk_fn(u8 *d, const u8 *a, const u8 *b, unsigned n);
static inlined void each_chunk(chunk_fn *chunk, u8 *d, const u8 *a, const u8 *b, unsigned bytes)
{
	if (bytes == 8) {
		chunk(d, a, b, 8);
		return;
	}
	for (unsigned k = 0; k < bytes; k += 16)
		chunk(d + k, a + k, b + k, 16);
}
#define KERNEL(NAME)                                                                                                   \
	void lanes_##NAME(void *d, const void *a, const void *b, unsigned bytes)                                       \
	{                                                                                                              \
		each_chunk(NAME##_chunk, d, a, b, bytes);                                                              \
	}

/* Element by element: x and y are the elements of a and b. A macro, as those below, because types and expressions are no
 * parameters of functions. */
#define MAP(NAME, T, EXPR)                                                                                             \
	static inlined void NAME##_chunk(u8 *d, const u8 *a, const u8 *b, unsigned n)                                  \
	{                                                                                                              \
		T p[16 / sizeof(T)], q[16 / sizeof(T)];                                                                \
		memcpy(p, a, n);                                                                                       \
		memcpy(q, b, n);                                                                                       \
		for (unsigned k = 0; k < n / sizeof(T); k++) {                                                         \
			const T x = p[k], y = q[k];                                                                    \
			(void)x;                                                                                       \
			p[k] = (T)(EXPR);                                                                              \
		}                                                                                                      \
		memcpy(d, p, n);                                                                                       \
	}                                                                                                              \
	KERNEL(NAME)

/* clang-format off */
MAP(paddb, u8, x + y) MAP(paddw, u16, x + y) MAP(paddd, u32, x + y) MAP(paddq, u64, x + y)
MAP(psubb, u8, x - y) MAP(psubw, u16, x - y) MAP(psubd, u32, x - y) MAP(psubq, u64, x - y)
MAP(paddsb, s8, sat_s8(x + y)) MAP(paddsw, s16, sat_s16(x + y))
MAP(paddusb, u8, sat_u8(x + y)) MAP(paddusw, u16, sat_u16(x + y))
MAP(psubsb, s8, sat_s8(x - y)) MAP(psubsw, s16, sat_s16(x - y))
MAP(psubusb, u8, sat_u8(x - y)) MAP(psubusw, u16, sat_u16(x - y))
MAP(and, u64, x & y) MAP(andn, u64, ~x & y) MAP(or, u64, x | y) MAP(xor, u64, x ^ y)
MAP(pcmpeqb, u8, x == y ? 0xff : 0) MAP(pcmpeqw, u16, x == y ? 0xffff : 0)
MAP(pcmpeqd, u32, x == y ? ~0u : 0) MAP(pcmpeqq, u64, x == y ? ~0ull : 0)
MAP(pcmpgtb, s8, x > y ? -1 : 0) MAP(pcmpgtw, s16, x > y ? -1 : 0)
MAP(pcmpgtd, s32, x > y ? -1 : 0) MAP(pcmpgtq, s64, x > y ? -1 : 0)
MAP(pminub, u8, x < y ? x : y) MAP(pminsb, s8, x < y ? x : y) MAP(pminuw, u16, x < y ? x : y)
MAP(pminsw, s16, x < y ? x : y) MAP(pminud, u32, x < y ? x : y) MAP(pminsd, s32, x < y ? x : y)
MAP(pmaxub, u8, x > y ? x : y) MAP(pmaxsb, s8, x > y ? x : y) MAP(pmaxuw, u16, x > y ? x : y)
MAP(pmaxsw, s16, x > y ? x : y) MAP(pmaxud, u32, x > y ? x : y) MAP(pmaxsd, s32, x > y ? x : y)
MAP(pavgb, u8, (x + y + 1) >> 1) MAP(pavgw, u16, (x + y + 1) >> 1)
MAP(pmullw, u16, (u32)x * y) MAP(pmulhw, s16, (s32)x * y >> 16) MAP(pmulhuw, u16, (u32)x * y >> 16)
MAP(pmulld, u32, x * y) MAP(pmulhrsw, s16, (((s32)x * y >> 14) + 1) >> 1)
MAP(pmuludq, u64, (u64)(u32)x * (u32)y) MAP(pmuldq, u64, (s64)(s32)x * (s32)y)
MAP(psignb, s8, y < 0 ? -x : y ? x : 0) MAP(psignw, s16, y < 0 ? -x : y ? x : 0)
MAP(psignd, u32, (s32)y < 0 ? 0 - x : y ? x : 0)
MAP(pabsb, s8, y < 0 ? -y : y) MAP(pabsw, s16, y < 0 ? -y : y) MAP(pabsd, u32, (s32)y < 0 ? 0 - y : y)
MAP(psllvd, u32, y < 32 ? x << y : 0) MAP(psllvq, u64, y < 64 ? x << y : 0)
MAP(psrlvd, u32, y < 32 ? x >> y : 0) MAP(psrlvq, u64, y < 64 ? x >> y : 0)
MAP(psravd, u32, (s32)x >> (y < 31 ? y : 31))
/* clang-format on */

/* Shifts: one count for all elements, the low quadword of b or an immediate; large counts clear or fill with signs. */
typedef void shift_fn(u8 *d, const u8 *a, unsigned n, u64 count);
static inlined void shift_by(shift_fn *chunk, unsigned width, bool arithmetic, u8 *d, const u8 *a, unsigned bytes, u64 count)
{
	if (count >= width && !arithmetic) {
		memset(d, 0, bytes);
		return;
	}
	count = count >= width ? width - 1 : count;
	if (bytes == 8) {
		chunk(d, a, 8, count);
		return;
	}
	for (unsigned k = 0; k < bytes; k += 16)
		chunk(d + k, a + k, 16, count);
}
#define SHIFT(NAME, T, W, EXPR)                                                                                        \
	static inlined void NAME##_chunk(u8 *d, const u8 *a, unsigned n, u64 count)                                    \
	{                                                                                                              \
		T p[16 / sizeof(T)];                                                                                   \
		memcpy(p, a, n);                                                                                       \
		for (unsigned k = 0; k < n / sizeof(T); k++) {                                                         \
			const T x = p[k];                                                                              \
			p[k] = (T)(EXPR);                                                                              \
		}                                                                                                      \
		memcpy(d, p, n);                                                                                       \
	}                                                                                                              \
	static void NAME##_by(u8 *d, const u8 *a, unsigned bytes, u64 count)                                           \
	{                                                                                                              \
		shift_by(NAME##_chunk, W, (T)-1 < (T)1, d, a, bytes, count);                                           \
	}                                                                                                              \
	void lanes_##NAME(void *d, const void *a, const void *b, unsigned bytes)                                       \
	{                                                                                                              \
		u64 count;                                                                                             \
		memcpy(&count, b, 8);                                                                                  \
		NAME##_by(d, a, bytes, count);                                                                         \
	}                                                                                                              \
	void lanes_##NAME##_i(void *d, const void *a, const void *b, unsigned bytes, unsigned imm)                     \
	{                                                                                                              \
		(void)a;                                                                                               \
		NAME##_by(d, b, bytes, imm & 0xff);                                                                    \
	}
SHIFT(psllw, u16, 16, (u32)x << count)
SHIFT(pslld, u32, 32, x << count)
SHIFT(psllq, u64, 64, x << count)
SHIFT(psrlw, u16, 16, x >> count)
SHIFT(psrld, u32, 32, x >> count)
SHIFT(psrlq, u64, 64, x >> count)
SHIFT(psraw, s16, 16, x >> count)
SHIFT(psrad, s32, 32, x >> count)

/* Sums of neighbouring products. */
static inlined void pmaddwd_chunk(u8 *d, const u8 *a, const u8 *b, unsigned n)
{
	s16 x[8], y[8];
	u32 r[4];
	memcpy(x, a, n);
	memcpy(y, b, n);
	for (unsigned k = 0; k < n / 4; k++)
		r[k] = (u32)(x[2 * k] * y[2 * k]) + (u32)(x[2 * k + 1] * y[2 * k + 1]);
	memcpy(d, r, n);
}
KERNEL(pmaddwd)

static inlined void pmaddubsw_chunk(u8 *d, const u8 *a, const u8 *b, unsigned n)
{
	u8 x[16];
	s8 y[16];
	s16 r[8];
	memcpy(x, a, n);
	memcpy(y, b, n);
	for (unsigned k = 0; k < n / 2; k++)
		r[k] = sat_s16(x[2 * k] * y[2 * k] + x[2 * k + 1] * y[2 * k + 1]);
	memcpy(d, r, n);
}
KERNEL(pmaddubsw)

static inlined void psadbw_chunk(u8 *d, const u8 *a, const u8 *b, unsigned n)
{
	u64 r[2] = { 0, 0 };
	for (unsigned k = 0; k < n; k++)
		r[k / 8] += (u64)(a[k] > b[k] ? a[k] - b[k] : b[k] - a[k]);
	memcpy(d, r, n);
}
KERNEL(psadbw)

#define PACK(NAME, FROM, TO, SAT)                                                                                      \
	static inlined void NAME##_chunk(u8 *d, const u8 *a, const u8 *b, unsigned n)                                  \
	{                                                                                                              \
		FROM x[32 / sizeof(FROM)];                                                                             \
		TO r[16 / sizeof(TO)];                                                                                 \
		memcpy(x, a, n);                                                                                       \
		memcpy((u8 *)x + n, b, n);                                                                             \
		for (unsigned k = 0; k < n / sizeof(TO); k++)                                                          \
			r[k] = SAT(x[k]);                                                                              \
		memcpy(d, r, n);                                                                                       \
	}                                                                                                              \
	KERNEL(NAME)
PACK(packsswb, s16, s8, sat_s8)
PACK(packssdw, s32, s16, sat_s16)
PACK(packuswb, s16, u8, sat_u8)
PACK(packusdw, s32, u16, sat_u16)

#define UNPACK(NAME, T, HIGH)                                                                                          \
	static inlined void NAME##_chunk(u8 *d, const u8 *a, const u8 *b, unsigned n)                                  \
	{                                                                                                              \
		T x[16 / sizeof(T)], y[16 / sizeof(T)], r[16 / sizeof(T)];                                             \
		unsigned half = n / (unsigned)sizeof(T) / 2, from = HIGH ? half : 0;                                   \
		memcpy(x, a, n);                                                                                       \
		memcpy(y, b, n);                                                                                       \
		for (unsigned k = 0; k < half; k++) {                                                                  \
			r[2 * k] = x[from + k];                                                                        \
			r[2 * k + 1] = y[from + k];                                                                    \
		}                                                                                                      \
		memcpy(d, r, n);                                                                                       \
	}                                                                                                              \
	KERNEL(NAME)
UNPACK(punpcklbw, u8, 0)
UNPACK(punpcklwd, u16, 0)
UNPACK(punpckldq, u32, 0)
UNPACK(punpckhbw, u8, 1)
UNPACK(punpckhwd, u16, 1)
UNPACK(punpckhdq, u32, 1)

static inlined void unpack_quads(u8 *d, const u8 *a, const u8 *b, unsigned bytes, unsigned half)
{
	for (unsigned k = 0; k < bytes; k += 16) {
		u64 r[2];

		memcpy(&r[0], a + k + half, 8);
		memcpy(&r[1], b + k + half, 8);
		memcpy(d + k, r, 16);
	}
}

void lanes_punpcklqdq(void *d, const void *a, const void *b, unsigned bytes)
{
	unpack_quads(d, a, b, bytes, 0);
}

void lanes_punpckhqdq(void *d, const void *a, const void *b, unsigned bytes)
{
	unpack_quads(d, a, b, bytes, 8);
}

static inlined void pshufb_chunk(u8 *d, const u8 *a, const u8 *b, unsigned n)
{
	u8 x[16], r[16];
	memcpy(x, a, n);
	for (unsigned k = 0; k < n; k++)
		r[k] = b[k] & 0x80 ? 0 : x[b[k] & (n - 1)];
	memcpy(d, r, n);
}
KERNEL(pshufb)

#define HORIZONTAL(NAME, T, EXPR)                                                                                      \
	static inlined void NAME##_chunk(u8 *d, const u8 *a, const u8 *b, unsigned n)                                  \
	{                                                                                                              \
		T v[32 / sizeof(T)], r[16 / sizeof(T)];                                                                \
		memcpy(v, a, n);                                                                                       \
		memcpy((u8 *)v + n, b, n);                                                                             \
		for (unsigned k = 0; k < n / sizeof(T); k++) {                                                         \
			const T x = v[2 * k], y = v[2 * k + 1];                                                        \
			r[k] = (T)(EXPR);                                                                              \
		}                                                                                                      \
		memcpy(d, r, n);                                                                                       \
	}                                                                                                              \
	KERNEL(NAME)
HORIZONTAL(phaddw, u16, x + y)
HORIZONTAL(phaddd, u32, x + y)
HORIZONTAL(phaddsw, s16, sat_s16(x + y))
HORIZONTAL(phsubw, u16, x - y)
HORIZONTAL(phsubd, u32, x - y)
HORIZONTAL(phsubsw, s16, sat_s16(x - y))

void lanes_phminposuw(void *d, const void *a, const void *b, unsigned bytes)
{
	u16 x[8], r[8] = { 0 };
	(void)a;
	(void)bytes;
	memcpy(x, b, 16);
	r[0] = x[0];
	for (unsigned k = 1; k < 8; k++) {
		if (x[k] < r[0]) {
			r[0] = x[k];
			r[1] = (u16)k;
		}
	}
	memcpy(d, r, 16);
}

/* Rearrangements of 16 or 32 bytes: r[k] takes element FROM of b. */
#define PICK(NAME, T, FROM)                                                                                            \
	static inlined void NAME##_whole(u8 *d, const u8 *b, unsigned n)                                               \
	{                                                                                                              \
		T x[32 / sizeof(T)], r[32 / sizeof(T)];                                                                \
		memcpy(x, b, n);                                                                                       \
		for (unsigned k = 0; k < n / sizeof(T); k++)                                                           \
			r[k] = x[FROM];                                                                                \
		memcpy(d, r, n);                                                                                       \
	}                                                                                                              \
	void lanes_##NAME(void *d, const void *a, const void *b, unsigned bytes)                                       \
	{                                                                                                              \
		(void)a;                                                                                               \
		if (bytes == 16)                                                                                       \
			NAME##_whole(d, b, 16);                                                                        \
		else                                                                                                   \
			NAME##_whole(d, b, 32);                                                                        \
	}
PICK(movshdup, u32, k | 1)
PICK(movsldup, u32, k & ~1u)
PICK(movddup, u64, k & ~1u)
PICK(broadcastb, u8, 0)
PICK(broadcastw, u16, 0)
PICK(broadcastd, u32, 0)
PICK(broadcastq, u64, 0)

void lanes_broadcast128(void *d, const void *a, const void *b, unsigned bytes)
{
	u64 x[2];
	(void)a;
	memcpy(x, b, 16);
	for (unsigned k = 0; k < bytes; k += 16)
		memcpy((u8 *)d + k, x, 16);
}

void lanes_movhlps(void *d, const void *a, const void *b, unsigned bytes)
{
	u64 r[2];
	(void)bytes;
	memcpy(&r[0], (const u8 *)b + 8, 8);
	memcpy(&r[1], (const u8 *)a + 8, 8);
	memcpy(d, r, 16);
}

void lanes_movlhps(void *d, const void *a, const void *b, unsigned bytes)
{
	u64 r[2];
	(void)bytes;
	memcpy(&r[0], a, 8);
	memcpy(&r[1], b, 8);
	memcpy(d, r, 16);
}

#define EXTEND(NAME, FROM, TO)                                                                                         \
	void lanes_##NAME(void *d, const void *a, const void *b, unsigned bytes)                                       \
	{                                                                                                              \
		FROM x[32 / sizeof(TO)];                                                                               \
		TO r[32 / sizeof(TO)];                                                                                 \
		unsigned n = bytes / (unsigned)sizeof(TO);                                                             \
		(void)a;                                                                                               \
		memcpy(x, b, n * sizeof(FROM));                                                                        \
		for (unsigned k = 0; k < n; k++)                                                                       \
			r[k] = x[k];                                                                                   \
		memcpy(d, r, bytes);                                                                                   \
	}
EXTEND(pmovsxbw, s8, s16)
EXTEND(pmovsxbd, s8, s32)
EXTEND(pmovsxbq, s8, s64)
EXTEND(pmovsxwd, s16, s32)
EXTEND(pmovsxwq, s16, s64)
EXTEND(pmovsxdq, s32, s64)
EXTEND(pmovzxbw, u8, u16)
EXTEND(pmovzxbd, u8, u32)
EXTEND(pmovzxbq, u8, u64)
EXTEND(pmovzxwd, u16, u32)
EXTEND(pmovzxwq, u16, u64)
EXTEND(pmovzxdq, u32, u64)

void lanes_permilps(void *d, const void *a, const void *b, unsigned bytes)
{
	u32 x[8], y[8], r[8];
	memcpy(x, a, bytes);
	memcpy(y, b, bytes);
	for (unsigned k = 0; k < bytes / 4; k++)
		r[k] = x[(k & 4) | (y[k] & 3)];
	memcpy(d, r, bytes);
}

void lanes_permilpd(void *d, const void *a, const void *b, unsigned bytes)
{
	u64 x[4], y[4], r[4];
	memcpy(x, a, bytes);
	memcpy(y, b, bytes);
	for (unsigned k = 0; k < bytes / 8; k++)
		r[k] = x[(k & 2) | (y[k] >> 1 & 1)];
	memcpy(d, r, bytes);
}

/* VPERMD, VPERMPS: the first source holds the indices. */
void lanes_permd(void *d, const void *a, const void *b, unsigned bytes)
{
	u32 x[8], y[8], r[8];
	memcpy(x, a, bytes);
	memcpy(y, b, bytes);
	for (unsigned k = 0; k < bytes / 4; k++)
		r[k] = y[x[k] & 7];
	memcpy(d, r, bytes);
}

/* ---- with an immediate ---- */

void lanes_pslldq(void *d, const void *a, const void *b, unsigned bytes, unsigned imm)
{
	unsigned n = (imm & 0xff) > 15 ? 16 : imm & 0xff;
	(void)a;
	for (unsigned k = 0; k < bytes; k += 16) {
		u8 r[32] = { 0 };
		memcpy(r + n, (const u8 *)b + k, 16);
		memcpy((u8 *)d + k, r, 16);
	}
}

void lanes_psrldq(void *d, const void *a, const void *b, unsigned bytes, unsigned imm)
{
	unsigned n = (imm & 0xff) > 15 ? 16 : imm & 0xff;
	(void)a;
	for (unsigned k = 0; k < bytes; k += 16) {
		u8 r[32] = { 0 };
		memcpy(r, (const u8 *)b + k, 16);
		memcpy((u8 *)d + k, r + n, 16);
	}
}

#define SHUFFLE(NAME, T, FROM)                                                                                         \
	static inlined void NAME##_whole(u8 *d, const u8 *b, unsigned imm, unsigned n)                                 \
	{                                                                                                              \
		T x[32 / sizeof(T)], r[32 / sizeof(T)];                                                                \
		memcpy(x, b, n);                                                                                       \
		for (unsigned k = 0; k < n / sizeof(T); k++)                                                           \
			r[k] = x[FROM];                                                                                \
		memcpy(d, r, n);                                                                                       \
	}                                                                                                              \
	void lanes_##NAME(void *d, const void *a, const void *b, unsigned bytes, unsigned imm)                         \
	{                                                                                                              \
		(void)a;                                                                                               \
		if (bytes == 16)                                                                                       \
			NAME##_whole(d, b, imm, 16);                                                                   \
		else if (bytes == 32)                                                                                  \
			NAME##_whole(d, b, imm, 32);                                                                   \
		else                                                                                                   \
			NAME##_whole(d, b, imm, 8);                                                                    \
	}
SHUFFLE(pshufw, u16, imm >> 2 * k & 3)
SHUFFLE(pshufd, u32, (k & 4) | (imm >> 2 * (k & 3) & 3))
SHUFFLE(pshuflw, u16, k & 4 ? k : (k & 8) | (imm >> 2 * (k & 3) & 3))
SHUFFLE(pshufhw, u16, k & 4 ? (k & 8) | 4 | (imm >> 2 * (k & 3) & 3) : k)
SHUFFLE(permq, u64, imm >> 2 * k & 3)
SHUFFLE(permilps_i, u32, (k & 4) | (imm >> 2 * (k & 3) & 3))
SHUFFLE(permilpd_i, u64, (k & 2) | (imm >> k & 1))

void lanes_palignr(void *d, const void *a, const void *b, unsigned bytes, unsigned imm)
{
	unsigned n = bytes == 8 ? 8 : 16, shift = (imm & 0xff) > 2 * n ? 2 * n : imm & 0xff;

	for (unsigned k = 0; k < bytes; k += n) {
		u8 r[64] = { 0 };
		memcpy(r, (const u8 *)b + k, n);
		memcpy(r + n, (const u8 *)a + k, n);
		memcpy((u8 *)d + k, r + shift, n);
	}
}

#define BLEND(NAME, T, BIT_OF)                                                                                         \
	void lanes_##NAME(void *d, const void *a, const void *b, unsigned bytes, unsigned imm)                         \
	{                                                                                                              \
		T x[32 / sizeof(T)], y[32 / sizeof(T)];                                                                \
		memcpy(x, a, bytes);                                                                                   \
		memcpy(y, b, bytes);                                                                                   \
		for (unsigned k = 0; k < bytes / sizeof(T); k++)                                                       \
			x[k] = imm >> (BIT_OF)&1 ? y[k] : x[k];                                                        \
		memcpy(d, x, bytes);                                                                                   \
	}
BLEND(pblendw, u16, k & 7)
BLEND(blendps, u32, k)
BLEND(blendpd, u64, k)

void lanes_shufps(void *d, const void *a, const void *b, unsigned bytes, unsigned imm)
{
	u32 x[8], y[8], r[8];
	memcpy(x, a, bytes);
	memcpy(y, b, bytes);
	for (unsigned k = 0; k < bytes / 4; k++)
		r[k] = (k & 2 ? y : x)[(k & 4) | (imm >> 2 * (k & 3) & 3)];
	memcpy(d, r, bytes);
}

void lanes_shufpd(void *d, const void *a, const void *b, unsigned bytes, unsigned imm)
{
	u64 x[4], y[4], r[4];
	memcpy(x, a, bytes);
	memcpy(y, b, bytes);
	for (unsigned k = 0; k < bytes / 8; k++)
		r[k] = (k & 1 ? y : x)[(k & 2) | (imm >> k & 1)];
	memcpy(d, r, bytes);
}

/* A memory source supplies one element: the caller clears imm[7:6] then. */
void lanes_insertps(void *d, const void *a, const void *b, unsigned bytes, unsigned imm)
{
	u32 x[4], y[4];
	(void)bytes;
	memcpy(x, a, 16);
	memcpy(y, b, 16);
	x[imm >> 4 & 3] = y[imm >> 6 & 3];
	for (unsigned k = 0; k < 4; k++)
		x[k] = imm >> k & 1 ? 0 : x[k];
	memcpy(d, x, 16);
}

void lanes_mpsadbw(void *d, const void *a, const void *b, unsigned bytes, unsigned imm)
{
	for (unsigned lane = 0; lane < bytes; lane += 16, imm >>= 3) {
		u8 x[16], y[16];
		u16 r[8];
		memcpy(x, (const u8 *)a + lane, 16);
		memcpy(y, (const u8 *)b + lane, 16);
		const u8 *p = x + (imm & 4), *q = y + 4 * (imm & 3);
		for (unsigned k = 0; k < 8; k++) {
			int sum = 0;
			for (unsigned j = 0; j < 4; j++)
				sum += p[k + j] > q[j] ? p[k + j] - q[j] : q[j] - p[k + j];
			r[k] = (u16)sum;
		}
		memcpy((u8 *)d + lane, r, 16);
	}
}

void lanes_perm2x128(void *d, const void *a, const void *b, unsigned bytes, unsigned imm)
{
	u8 x[64], r[32] = { 0 };
	(void)bytes;
	memcpy(x, a, 32);
	memcpy(x + 32, b, 32);
	if (!(imm & 8))
		memcpy(r, x + 16 * (imm & 3), 16);
	if (!(imm & 0x80))
		memcpy(r + 16, x + 16 * (imm >> 4 & 3), 16);
	memcpy(d, r, 32);
}

void lanes_insert128(void *d, const void *a, const void *b, unsigned bytes, unsigned imm)
{
	u8 r[32];
	(void)bytes;
	memcpy(r, a, 32);
	memcpy(r + 16 * (imm & 1), b, 16);
	memcpy(d, r, 32);
}

/* ---- others ---- */

void lanes_blendv(void *d, const void *a, const void *b, const void *m, unsigned bytes, unsigned element)
{
	u8 r[32];
	for (unsigned k = 0; k < bytes; k += element) {
		const void *from = ((const u8 *)m)[k + element - 1] & 0x80 ? b : a;
		memcpy(r + k, (const u8 *)from + k, element);
	}
	memcpy(d, r, bytes);
}

u32 lanes_movmsk(const void *a, unsigned bytes, unsigned element)
{
	u32 r = 0;
	for (unsigned k = 0; k < bytes / element; k++)
		r |= (u32)(((const u8 *)a)[k * element + element - 1] >> 7) << k;
	return r;
}
