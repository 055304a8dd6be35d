/*
 * exec_crypto_rows: AES, PCLMULQDQ and SHA, legacy and VEX.128, in portable C with one result everywhere. (VEX.256 AES
 * and PCLMULQDQ are features of their own that no model has: no rows, so #UD.)
 */
#include "cpu/exec/sse.h"

/* clang-format off */
static const u8 sbox[256] = {
	0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
	0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
	0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
	0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
	0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
	0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
	0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
	0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
	0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
	0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
	0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
	0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
	0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
	0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
	0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
	0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
};

static const u8 inv_sbox[256] = {
	0x52, 0x09, 0x6a, 0xd5, 0x30, 0x36, 0xa5, 0x38, 0xbf, 0x40, 0xa3, 0x9e, 0x81, 0xf3, 0xd7, 0xfb,
	0x7c, 0xe3, 0x39, 0x82, 0x9b, 0x2f, 0xff, 0x87, 0x34, 0x8e, 0x43, 0x44, 0xc4, 0xde, 0xe9, 0xcb,
	0x54, 0x7b, 0x94, 0x32, 0xa6, 0xc2, 0x23, 0x3d, 0xee, 0x4c, 0x95, 0x0b, 0x42, 0xfa, 0xc3, 0x4e,
	0x08, 0x2e, 0xa1, 0x66, 0x28, 0xd9, 0x24, 0xb2, 0x76, 0x5b, 0xa2, 0x49, 0x6d, 0x8b, 0xd1, 0x25,
	0x72, 0xf8, 0xf6, 0x64, 0x86, 0x68, 0x98, 0x16, 0xd4, 0xa4, 0x5c, 0xcc, 0x5d, 0x65, 0xb6, 0x92,
	0x6c, 0x70, 0x48, 0x50, 0xfd, 0xed, 0xb9, 0xda, 0x5e, 0x15, 0x46, 0x57, 0xa7, 0x8d, 0x9d, 0x84,
	0x90, 0xd8, 0xab, 0x00, 0x8c, 0xbc, 0xd3, 0x0a, 0xf7, 0xe4, 0x58, 0x05, 0xb8, 0xb3, 0x45, 0x06,
	0xd0, 0x2c, 0x1e, 0x8f, 0xca, 0x3f, 0x0f, 0x02, 0xc1, 0xaf, 0xbd, 0x03, 0x01, 0x13, 0x8a, 0x6b,
	0x3a, 0x91, 0x11, 0x41, 0x4f, 0x67, 0xdc, 0xea, 0x97, 0xf2, 0xcf, 0xce, 0xf0, 0xb4, 0xe6, 0x73,
	0x96, 0xac, 0x74, 0x22, 0xe7, 0xad, 0x35, 0x85, 0xe2, 0xf9, 0x37, 0xe8, 0x1c, 0x75, 0xdf, 0x6e,
	0x47, 0xf1, 0x1a, 0x71, 0x1d, 0x29, 0xc5, 0x89, 0x6f, 0xb7, 0x62, 0x0e, 0xaa, 0x18, 0xbe, 0x1b,
	0xfc, 0x56, 0x3e, 0x4b, 0xc6, 0xd2, 0x79, 0x20, 0x9a, 0xdb, 0xc0, 0xfe, 0x78, 0xcd, 0x5a, 0xf4,
	0x1f, 0xdd, 0xa8, 0x33, 0x88, 0x07, 0xc7, 0x31, 0xb1, 0x12, 0x10, 0x59, 0x27, 0x80, 0xec, 0x5f,
	0x60, 0x51, 0x7f, 0xa9, 0x19, 0xb5, 0x4a, 0x0d, 0x2d, 0xe5, 0x7a, 0x9f, 0x93, 0xc9, 0x9c, 0xef,
	0xa0, 0xe0, 0x3b, 0x4d, 0xae, 0x2a, 0xf5, 0xb0, 0xc8, 0xeb, 0xbb, 0x3c, 0x83, 0x53, 0x99, 0x61,
	0x17, 0x2b, 0x04, 0x7e, 0xba, 0x77, 0xd6, 0x26, 0xe1, 0x69, 0x14, 0x63, 0x55, 0x21, 0x0c, 0x7d,
};
/* clang-format on */

static inline u8 xtime(u8 v)
{
	return (u8)(v << 1 ^ (v & 0x80 ? 0x1b : 0));
}

/* Byte k of the state after ShiftRows comes from column k/4 + k%4; backwards for the inverse. */
static void sub_and_shift(u8 d[16], const u8 s[16])
{
	for (unsigned k = 0; k < 16; k++)
		d[k] = sbox[s[(k + 4 * (k & 3)) & 15]];
}

static void inv_sub_and_shift(u8 d[16], const u8 s[16])
{
	for (unsigned k = 0; k < 16; k++)
		d[k] = inv_sbox[s[(k - 4 * (k & 3)) & 15]];
}

static void mix_columns(u8 s[16])
{
	for (u8 *p = s; p < s + 16; p += 4) {
		u8 a = p[0], b = p[1], c = p[2], d = p[3], all = a ^ b ^ c ^ d;
		p[0] = a ^ all ^ xtime(a ^ b);
		p[1] = b ^ all ^ xtime(b ^ c);
		p[2] = c ^ all ^ xtime(c ^ d);
		p[3] = d ^ all ^ xtime(d ^ a);
	}
}

/* The inverse matrix is the matrix after multiplying opposite pairs by 4. */
static void inv_mix_columns(u8 s[16])
{
	for (u8 *p = s; p < s + 16; p += 4) {
		u8 u = xtime(xtime(p[0] ^ p[2])), v = xtime(xtime(p[1] ^ p[3]));
		p[0] ^= u;
		p[1] ^= v;
		p[2] ^= u;
		p[3] ^= v;
	}
	mix_columns(s);
}

static void add_round_key(u8 *d, const u8 s[16], const u8 *key)
{
	for (unsigned k = 0; k < 16; k++)
		d[k] = s[k] ^ key[k];
}

static void aesenc(void *d, const void *a, const void *b, unsigned bytes)
{
	u8 s[16];
	(void)bytes;
	sub_and_shift(s, a);
	mix_columns(s);
	add_round_key(d, s, b);
}

static void aesenclast(void *d, const void *a, const void *b, unsigned bytes)
{
	u8 s[16];
	(void)bytes;
	sub_and_shift(s, a);
	add_round_key(d, s, b);
}

static void aesdec(void *d, const void *a, const void *b, unsigned bytes)
{
	u8 s[16];
	(void)bytes;
	inv_sub_and_shift(s, a);
	inv_mix_columns(s);
	add_round_key(d, s, b);
}

static void aesdeclast(void *d, const void *a, const void *b, unsigned bytes)
{
	u8 s[16];
	(void)bytes;
	inv_sub_and_shift(s, a);
	add_round_key(d, s, b);
}

static void aesimc(void *d, const void *a, const void *b, unsigned bytes)
{
	u8 s[16];
	(void)a;
	(void)bytes;
	memcpy(s, b, 16);
	inv_mix_columns(s);
	memcpy(d, s, 16);
}

static u32 sub_word(u32 v)
{
	return (u32)sbox[v & 255] | (u32)sbox[v >> 8 & 255] << 8 | (u32)sbox[v >> 16 & 255] << 16 |
	       (u32)sbox[v >> 24] << 24;
}

static u32 ror32(u32 v, unsigned n)
{
	return v >> n | v << (32 - n);
}

static u32 rol32(u32 v, unsigned n)
{
	return v << n | v >> (32 - n);
}

static void aeskeygenassist(void *d, const void *a, const void *b, unsigned bytes, unsigned imm)
{
	u32 x[4], r[4];
	(void)a;
	(void)bytes;
	memcpy(x, b, 16);
	r[0] = sub_word(x[1]);
	r[1] = ror32(r[0], 8) ^ (imm & 255);
	r[2] = sub_word(x[3]);
	r[3] = ror32(r[2], 8) ^ (imm & 255);
	memcpy(d, r, 16);
}

/* Carry-less product of the quadwords that imm[0] and imm[4] select. */
static void pclmulqdq(void *d, const void *a, const void *b, unsigned bytes, unsigned imm)
{
	u64 x, y, r[2] = { 0, 0 };
	(void)bytes;
	memcpy(&x, (const u8 *)a + (imm & 1 ? 8 : 0), 8);
	memcpy(&y, (const u8 *)b + (imm & 16 ? 8 : 0), 8);
	for (unsigned k = 0; k < 64; k++) {
		u64 m = 0 - (y >> k & 1);
		r[0] ^= x << k & m;
		r[1] ^= k ? x >> (64 - k) & m : 0;
	}
	memcpy(d, r, 16);
}

/* ---- SHA: element 3 is the manual's A or W0 ---- */

static void sha1rnds4(void *d, const void *a, const void *b, unsigned bytes, unsigned imm)
{
	static const u32 constants[4] = { 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6 };
	u32 x[4], w[4], e = 0;
	(void)bytes;
	memcpy(x, a, 16);
	memcpy(w, b, 16);
	for (unsigned k = 0; k < 4; k++) {
		u32 A = x[3], B = x[2], C = x[1], D = x[0], f;
		f = (imm & 3) == 0 ? (B & C) ^ (~B & D) : (imm & 3) == 2 ? (B & C) ^ (B & D) ^ (C & D) : B ^ C ^ D;
		x[3] = f + rol32(A, 5) + w[3 - k] + e + constants[imm & 3];
		x[2] = A;
		x[1] = rol32(B, 30);
		x[0] = C;
		e = D;
	}
	memcpy(d, x, 16);
}

static void sha1nexte(void *d, const void *a, const void *b, unsigned bytes)
{
	u32 x[4], y[4];
	(void)bytes;
	memcpy(x, a, 16);
	memcpy(y, b, 16);
	y[3] += rol32(x[3], 30);
	memcpy(d, y, 16);
}

static void sha1msg1(void *d, const void *a, const void *b, unsigned bytes)
{
	u32 x[4], y[4], r[4];
	(void)bytes;
	memcpy(x, a, 16);
	memcpy(y, b, 16);
	r[3] = x[1] ^ x[3];
	r[2] = x[0] ^ x[2];
	r[1] = y[3] ^ x[1];
	r[0] = y[2] ^ x[0];
	memcpy(d, r, 16);
}

static void sha1msg2(void *d, const void *a, const void *b, unsigned bytes)
{
	u32 x[4], y[4], r[4];
	(void)bytes;
	memcpy(x, a, 16);
	memcpy(y, b, 16);
	r[3] = rol32(x[3] ^ y[2], 1);
	r[2] = rol32(x[2] ^ y[1], 1);
	r[1] = rol32(x[1] ^ y[0], 1);
	r[0] = rol32(x[0] ^ r[3], 1);
	memcpy(d, r, 16);
}

/* a: C D G H, b: A B E F, wk: the two message words with their constants added. */
static void sha256rnds2(u32 r[4], const u32 a[4], const u32 b[4], const u32 wk[2])
{
	u32 A = b[3], B = b[2], E = b[1], F = b[0], C = a[3], D = a[2], G = a[1], H = a[0];

	for (unsigned k = 0; k < 2; k++) {
		u32 t = ((E & F) ^ (~E & G)) + (ror32(E, 6) ^ ror32(E, 11) ^ ror32(E, 25)) + wk[k] + H;
		u32 u = ((A & B) ^ (A & C) ^ (B & C)) + (ror32(A, 2) ^ ror32(A, 13) ^ ror32(A, 22));
		H = G;
		G = F;
		F = E;
		E = t + D;
		D = C;
		C = B;
		B = A;
		A = t + u;
	}
	r[3] = A;
	r[2] = B;
	r[1] = E;
	r[0] = F;
}

/* The message words are in XMM0. */
static enum xr sha256rnds2_row(struct cpu *c, const struct insn *i)
{
	const union vec *b;
	union vec t, r = c->v[i->r0];

	TRY(vec_source(c, i, &t, &b));
	sha256rnds2(r.d, c->v[i->r0].d, b->d, c->v[0].d);
	vec_write_reg(c, i, i->r0, &r);
	return XR_OK;
}

static u32 sigma0(u32 v)
{
	return ror32(v, 7) ^ ror32(v, 18) ^ v >> 3;
}

static u32 sigma1(u32 v)
{
	return ror32(v, 17) ^ ror32(v, 19) ^ v >> 10;
}

static void sha256msg1(void *d, const void *a, const void *b, unsigned bytes)
{
	u32 x[5];
	(void)bytes;
	memcpy(x, a, 16);
	memcpy(&x[4], b, 4);
	for (unsigned k = 0; k < 4; k++)
		x[k] += sigma0(x[k + 1]);
	memcpy(d, x, 16);
}

static void sha256msg2(void *d, const void *a, const void *b, unsigned bytes)
{
	u32 x[4], y[4];
	(void)bytes;
	memcpy(x, a, 16);
	memcpy(y, b, 16);
	x[0] += sigma1(y[2]);
	x[1] += sigma1(y[3]);
	x[2] += sigma1(x[0]);
	x[3] += sigma1(x[1]);
	memcpy(d, x, 16);
}

/* ---- rows ---- */

#define BOTH(M, FEAT, FN, ...) LEGACY_ROW(M, FEAT, FN, __VA_ARGS__)                                                    \
	{ .mnemonic = ZYDIS_MNEMONIC_V##M, .flags = ROW_AVX, .feature = FEAT_##FEAT, .form = "V" #M " xmm",            \
	  .match = match_vex_avx, .bind = vec_bind, .fn = FN, .op = VOP(__VA_ARGS__) },

/* VEX forms need both features; the row carries one of them. */
static bool match_vex_avx(const struct dec *d)
{
	return vec_match_vex128(d) && feat_has(&d->cpu->feat, FEAT_AVX);
}

static const struct insn_row rows[] = {
	BOTH(AESENC, AES, vec_lane, .lane = aesenc)
	BOTH(AESENCLAST, AES, vec_lane, .lane = aesenclast)
	BOTH(AESDEC, AES, vec_lane, .lane = aesdec)
	BOTH(AESDECLAST, AES, vec_lane, .lane = aesdeclast)
	BOTH(AESIMC, AES, vec_lane, .lane = aesimc)
	BOTH(AESKEYGENASSIST, AES, vec_lane_imm, .imm = aeskeygenassist)
	BOTH(PCLMULQDQ, PCLMUL, vec_lane_imm, .imm = pclmulqdq)
	LEGACY_ROW(SHA1RNDS4, SHA_NI, vec_lane_imm, .imm = sha1rnds4, .flags = VOP_SHA)
	LEGACY_ROW(SHA1NEXTE, SHA_NI, vec_lane, .lane = sha1nexte, .flags = VOP_SHA)
	LEGACY_ROW(SHA1MSG1, SHA_NI, vec_lane, .lane = sha1msg1, .flags = VOP_SHA)
	LEGACY_ROW(SHA1MSG2, SHA_NI, vec_lane, .lane = sha1msg2, .flags = VOP_SHA)
	LEGACY_ROW(SHA256RNDS2, SHA_NI, sha256rnds2_row, .element = 4, .flags = VOP_SHA)
	LEGACY_ROW(SHA256MSG1, SHA_NI, vec_lane, .lane = sha256msg1, .flags = VOP_SHA)
	LEGACY_ROW(SHA256MSG2, SHA_NI, vec_lane, .lane = sha256msg2, .flags = VOP_SHA)
};

const struct row_set exec_crypto_rows = { rows, ARRAY_LEN(rows) };
