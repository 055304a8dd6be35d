/*
 * exec_sseint_rows: the legacy forms of the SSE2 to SSE4.2 integer instructions and SSE4a, and the handlers that are
 * more than a kernel: PTEST, the string comparisons, CRC32, EXTRQ and INSERTQ.
 */
#include "cpu/exec/sse.h"

/* ---- PTEST, VTESTPS, VTESTPD ---- */

enum xr vec_test(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	const union vec *a = &c->v[i->r0], *b;
	const u64 m = op->element == 1 ? ~0ull : op->element == 4 ? 0x8000000080000000ull : BIT(63);
	u64 both = 0, only = 0;
	union vec t;

	TRY(vec_source(c, i, &t, &b));
	for (unsigned k = 0; k < i->opsz / 8u; k++) {
		both |= a->q[k] & b->q[k] & m;
		only |= ~a->q[k] & b->q[k] & m;
	}
	cc_set_flags(c, (both ? 0 : FL_ZF) | (only ? 0 : FL_CF));
	return XR_OK;
}

/* ---- PCMPxSTRx: "Summary of PCMPISTRI, PCMPISTRM, PCMPESTRI, and PCMPESTRM Instructions" ---- */

/* One string: its elements as integers, how many there are, how many are valid. */
struct string {
	s32 e[16];
	unsigned valid;
};

static struct string string_from(const union vec *v, unsigned imm)
{
	struct string s;

	for (unsigned k = 0; k < (imm & 1 ? 8 : 16); k++)
		s.e[k] = imm & 1 ? (imm & 2 ? (s16)v->w[k] : v->w[k]) : imm & 2 ? (s8)v->b[k] : v->b[k];
	return s;
}

static unsigned implicit_length(const struct string *s, unsigned n)
{
	unsigned k = 0;

	while (k < n && s->e[k])
		k++;
	return k;
}

/* EAX, EDX or RAX, RDX: the absolute value, saturated. */
static unsigned explicit_length(u64 reg, unsigned size, unsigned n)
{
	s64 v = size == 8 ? (s64)reg : (s32)reg;
	u64 length = v < 0 ? 0 - (u64)v : (u64)v;

	return length > n ? n : (unsigned)length;
}

/* The comparison of element i of a with element j of b, overridden where one is invalid. */
static bool string_ordered(const struct string *a, const struct string *b, unsigned n, unsigned j)
{
	for (unsigned k = 0; k < a->valid && j + k < n; k++)
		if (j + k >= b->valid || a->e[k] != b->e[j + k])
			return false;
	return true;
}

static u32 string_compare(const struct string *a, const struct string *b, unsigned n, unsigned imm)
{
	u32 r = 0;

	for (unsigned j = 0; j < n; j++) {
		bool bit = false;
		switch (imm >> 2 & 3) {
		case 0: /* equal any */
			for (unsigned k = 0; k < a->valid && j < b->valid; k++)
				bit |= a->e[k] == b->e[j];
			break;
		case 1: /* ranges */
			for (unsigned k = 0; k + 1 < a->valid && j < b->valid; k += 2)
				bit |= a->e[k] <= b->e[j] && b->e[j] <= a->e[k + 1];
			break;
		case 2: /* equal each */
			bit = j < a->valid && j < b->valid ? a->e[j] == b->e[j] : j >= a->valid && j >= b->valid;
			break;
		default: /* equal ordered */
			bit = string_ordered(a, b, n, j);
		}
		r |= (u32)bit << j;
	}
	return r;
}

static void string_mask(struct cpu *c, const struct insn *i, u32 r, unsigned n)
{
	union vec t = { .q = { r } };

	if (i->imm & 0x40)
		for (unsigned k = 0; k < 16; k++)
			t.b[k] = r >> (n == 8 ? k / 2 : k) & 1 ? 0xff : 0;
	vec_write_reg(c, i, 0, &t);
}

enum xr vec_cmpstr(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	const unsigned imm = (u8)i->imm, n = imm & 1 ? 8 : 16, all = (1u << n) - 1;
	const union vec *bv;
	union vec t;

	TRY(vec_source(c, i, &t, &bv));
	struct string a = string_from(&c->v[i->r0], imm), b = string_from(bv, imm);
	if (op->element & 2) {
		a.valid = explicit_length(c->r[REG_RAX], i->imm2, n);
		b.valid = explicit_length(c->r[REG_RDX], i->imm2, n);
	} else {
		a.valid = implicit_length(&a, n);
		b.valid = implicit_length(&b, n);
	}
	u32 r = string_compare(&a, &b, n, imm);
	if ((imm >> 4 & 3) == 1)
		r ^= all;
	else if ((imm >> 4 & 3) == 3)
		r ^= (1u << b.valid) - 1;
	if (op->element & 1) {
		unsigned lsb = r ? (unsigned)__builtin_ctz(r) : n, msb = r ? 31 - (unsigned)__builtin_clz(r) : n;
		set_reg64(c, REG_OFF(REG_RCX), imm & 0x40 ? msb : lsb);
	} else {
		string_mask(c, i, r, n);
	}
	cc_set_flags(c, (r ? FL_CF : 0) | (b.valid < n ? FL_ZF : 0) | (a.valid < n ? FL_SF : 0) | (r & 1 ? FL_OF : 0));
	return XR_OK;
}

/* ---- CRC32: the Castagnoli polynomial, bit-reflected, four bits at a time ---- */

static const u32 crc_nibble[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
	0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

static void bind_crc32(struct insn *i, const struct dec *d)
{
	i->fn = d->row->fn;
	i->imm2 = (u8)(vec_operand(d, 1)->size / 8);
}

static enum xr crc32(struct cpu *c, const struct insn *i)
{
	u32 crc = reg32(c, i->r0);
	u64 v;

	if (i->flags & INSN_MEM)
		TRY(op_read(c, i, i->imm2, &v));
	else
		v = reg_get(c, i->r1, i->imm2);
	for (unsigned k = 0; k < i->imm2; k++, v >>= 8) {
		crc ^= (u8)v;
		crc = crc >> 4 ^ crc_nibble[crc & 15];
		crc = crc >> 4 ^ crc_nibble[crc & 15];
	}
	set_reg32(c, i->r0, crc);
	return XR_OK;
}

/* ---- SSE4a, "EXTRQ", "INSERTQ": a length of 0 is 64; the upper quadword is undefined, here kept ---- */

static void bind_field(struct insn *i, const struct dec *d)
{
	vec_bind(i, d);
	unsigned n = 0;
	while (vec_operand(d, n) && vec_operand(d, n)->type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
		n++;
	i->aux = 0;
	if (vec_operand(d, n))
		i->aux = 1u << 16 | (u32)((vec_operand(d, n)->imm.value.u & 0x3f) |
					  (vec_operand(d, n + 1)->imm.value.u & 0x3f) << 8);
}

static u64 field_mask(u32 field)
{
	return field & 0x3f ? BIT(field & 0x3f) - 1 : ~0ull;
}

static enum xr extrq(struct cpu *c, const struct insn *i)
{
	u32 field = i->aux ? i->aux : c->v[i->r2].w[0];
	union vec *d = &c->v[i->r0];

	d->q[0] = d->q[0] >> (field >> 8 & 0x3f) & field_mask(field);
	d->q[1] = 0; /* undefined in the manual; processors clear it */
	vec_finish(c, i, i->r0);
	return XR_OK;
}

static enum xr insertq(struct cpu *c, const struct insn *i)
{
	u32 field = i->aux ? i->aux : c->v[i->r2].w[4], index = field >> 8 & 0x3f;
	u64 m = field_mask(field) << index;
	union vec *d = &c->v[i->r0];

	d->q[0] = (d->q[0] & ~m) | (c->v[i->r2].q[0] << index & m);
	d->q[1] = 0;
	vec_finish(c, i, i->r0);
	return XR_OK;
}

/* ---- rows ---- */

#define SHIFT_ROW(M, K)                                                                                                \
	{ .mnemonic = ZYDIS_MNEMONIC_##M, .flags = ROW_SSE, .feature = FEAT_SSE2, .form = #M " xmm, imm8",             \
	  .match = vec_match_xmm_imm, .bind = vec_bind, .fn = vec_lane_imm, .op = VOP(.imm = lanes_##K##_i) },         \
	LEGACY_ROW(M, SSE2, vec_lane, .lane = lanes_##K)
#define FIELD_ROW(M, FN)                                                                                               \
	{ .mnemonic = ZYDIS_MNEMONIC_##M, .flags = ROW_SSE, .feature = FEAT_SSE4A, .form = #M " xmm",                  \
	  .match = vec_match_xmm, .bind = bind_field, .fn = FN, .op = VOP(.element = 8) },

static const struct insn_row rows[] = {
	VEC_INT_OPS(LEGACY_ROW)
	VEC_SHIFT_OPS(SHIFT_ROW)
	VEC_128_OPS(LEGACY_ROW)
	FIELD_ROW(EXTRQ, extrq)
	FIELD_ROW(INSERTQ, insertq)
	{ .mnemonic = ZYDIS_MNEMONIC_CRC32, .feature = FEAT_SSE4_2, .form = "CRC32 r, r/m", .bind = bind_crc32,
	  .fn = crc32 },
};

const struct row_set exec_sseint_rows = { rows, ARRAY_LEN(rows) };
