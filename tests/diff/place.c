/*
 * A random state for one instruction: values with many edges, and registers set so that its memory operands mostly lie
 * in the operand zone, sometimes across or beside what is mapped.
 */
#include "diff.h"

#define MXCSR_MM_BIT (1u << 17)

/* clang-format off */
/* Selectors: 7 code, 0Fh stack and DS, 17h ES with a limit inside the data pages, 1Fh GS read-only. */
static const struct seg_spec segments[3][6] = {
	[DIFF_64] = {
		[SEG_CS] = {.sel = 0x33, .limit = ~0u, .code = true},
		[SEG_SS] = {.sel = 0x2b, .limit = ~0u, .big = true, .writable = true},
		[SEG_GS] = {.base = 0x0ff00000, .limit = ~0u, .writable = true},
	},
	[DIFF_32] = {
		[SEG_ES] = {0x17, DATA_BASE - 0x10000, 0x10000 + 0x17ff, false, true, true},
		[SEG_CS] = {0x07, 0, ~0u, true, true, false},
		[SEG_SS] = {0x0f, 0, ~0u, false, true, true},
		[SEG_DS] = {0x0f, 0, ~0u, false, true, true},
		[SEG_GS] = {0x1f, DATA_BASE - 0x20000, 0x20000 + 0x2bff, false, true, false},
	},
	[DIFF_16] = {
		[SEG_ES] = {0x17, DATA_BASE - 0x3000, 0x3000 + 0x17ff, false, false, true},
		[SEG_CS] = {0x07, CODE_BASE - 0x8000, 0xffff, true, false, false},
		[SEG_SS] = {0x0f, DATA_BASE - 0x4000, 0xffff, false, false, true},
		[SEG_DS] = {0x0f, DATA_BASE - 0x4000, 0xffff, false, false, true},
		[SEG_GS] = {0x1f, DATA_BASE - 0x5000, 0x5000 + 0x2bff, false, false, false},
	},
};

/* clang-format on */
const struct seg_spec *diff_segments(enum diff_mode mode)
{
	return segments[mode];
}

struct ldt_entry diff_ldt(enum diff_mode mode, unsigned n)
{
	static const struct ldt_entry extra[] = {
	        {DATA_BASE, 0x1fff, 1, false, true, false, false}, /* expand-down */
	        {DATA_BASE, 0xfff, 2, true, true, false, false},   /* execute-only */
	        {DATA_BASE, 0xfff, 2, false, false, false, false}, /* 16-bit code */
	        {DATA_BASE, 0x12345, 0, false, true, true, true},  /* not present */
	        {0, 0xfffff, 3, false, true, true, true},          /* conforming, not present */
	        {0, 0xfffff, 0, true, true, true, false},          /* read-only, flat */
	        {DATA_BASE - 0x10, 0xffff, 0, false, false, false, false},
	};

	if (n >= 4)
		return extra[n - 4];
	for (unsigned k = SEG_ES; k <= SEG_GS; k++) {
		const struct seg_spec *s = &segments[mode][k];
		bool pages = s->limit > 0xfffff;

		if (s->sel == (n << 3 | 7))
			return (struct ldt_entry){.base = s->base,
			                          .limit = pages ? s->limit >> 12 : s->limit,
			                          .contents = s->code ? 2 : 0,
			                          .fixed = !s->writable && !s->code,
			                          .big = s->big,
			                          .pages = pages};
	}
	return (struct ldt_entry){.limit = 0xffff, .big = true};
}

/* ---- values ---- */

/* clang-format off */
static u64 edge_int(struct rng *r)
{
	static const u64 some[] = {
		0, 0, 1, 2, ~0ull, ~1ull, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff,
		0x7fffffff, 0x80000000, 0xffffffff,
		0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffff80000000, 0xffffffffffff8000,
		0xffffffffffffff80, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa, 0x0123456789abcdef, 10, 9, 0x99, 0x9a,
		31, 32, 33, 63, 64,
	};
	return some[rng_below(r, ARRAY_LEN(some))];
}

static u64 any_int(struct rng *r)
{
	switch (rng_below(r, 5)) {
	case 0: return edge_int(r);
	case 1: return rng_below(r, 256);
	case 2: return DATA_BASE + rng_below(r, DATA_SIZE);
	case 3: return (u64)sign_extend(rng_next(r), 1 + (unsigned)rng_below(r, 63));
	default: return rng_next(r);
	}
}

static u32 any_f32(struct rng *r)
{
	static const u32 some[] = {
		0, 0x80000000, 0x3f800000, 0xbf800000, 1, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff,
		0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001, 0xffa00000, 0x7fc12345,
		0x4f000000, 0xcf000000,
		0x5f000000, 0xdf000000, 0x3f000000, 0x3fc00000, 0x40200000, 0x4b800000, 0x33800000,
		0x7f000000, 0x00400000,
	};
	switch (rng_below(r, 4)) {
	case 0: return (u32)rng_next(r);
	case 1: return 0x3f800000 + (u32)rng_next(r) % 0x08000000 + ((u32)rng_next(r) & 0x80000000);
	default: return some[rng_below(r, ARRAY_LEN(some))];
	}
}

static u64 any_f64(struct rng *r)
{
	static const u64 some[] = {
		0, BIT(63), 0x3ff0000000000000, 0xbff0000000000000, 1, 0x8000000000000001, 0x000fffffffffffff,
		0x0010000000000000,
		0x7fefffffffffffff, 0xffefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
		0xfff8000000000000, 0x7ff0000000000001, 0xfff4000000000000, 0x7ff8000012345678, 0x41e0000000000000,
		0xc1e0000000000000, 0x41dfffffffe00000, 0x43e0000000000000, 0xc3e0000000000000, 0x3fe0000000000000,
		0x3ff8000000000000, 0x4004000000000000, 0x4340000000000000, 0x3810000000000000, 0x47efffffe0000000,
		0x36a0000000000000, 0x380fffffe0000000,
	};
	switch (rng_below(r, 4)) {
	case 0: return rng_next(r);
	case 1: return 0x3ff0000000000000 + (rng_next(r) & 0x807fffffffffffff);
	default: return some[rng_below(r, ARRAY_LEN(some))];
	}
}

/* clang-format on */
static void any_f80(struct rng *r, u8 *to)
{
	static const u16 exponents[] = {0, 0,      0x3fff, 0x3ffe, 0x4000, 0x7fff, 0x7fff,
	                                1, 0x7ffe, 0x403e, 0x403d, 0x401e, 0x400e, 0x3fbe};
	u64 v = rng_next(r), m;
	u16 se = exponents[(v >> 8) % ARRAY_LEN(exponents)];

	if ((v & 7) == 0)
		se = (u16)(0x3fff + (v >> 16) % 80 - 40);
	if ((v & 7) == 1)
		se = (u16)((v >> 16) & 0x7fff);
	switch ((v >> 40) & 7) {
	case 0: m = rng_next(r); break;
	case 1: m = BIT(63); break;
	case 2: m = se ? BIT(63) | BIT(62) : 1; break;
	case 3: m = se ? BIT(63) | 1 : 0; break;
	case 4: m = rng_next(r) << (v >> 44 & 31) | BIT(63); break;
	default: m = rng_next(r) | (se ? BIT(63) : 0); break;
	}
	if (se == 0 && (v >> 50 & 3))
		m = v >> 52 & 1 ? 0 : m & ~BIT(63);
	se |= (u16)((v >> 60 & 1) << 15);
	memcpy(to, &m, 8);
	memcpy(to + 8, &se, 2);
}

/* 16 bytes of one kind. */
static void any_lanes(struct rng *r, u8 *to)
{
	u64 q[2];
	u32 d[4];

	switch (rng_below(r, 6)) {
	case 0:
	case 1:
		for (unsigned n = 0; n < 4; n++)
			d[n] = any_f32(r);
		memcpy(to, d, 16);
		return;
	case 2:
	case 3:
		q[0] = any_f64(r);
		q[1] = any_f64(r);
		break;
	case 4:
		q[0] = edge_int(r);
		q[1] = edge_int(r);
		break;
	default:
		q[0] = rng_next(r);
		q[1] = rng_next(r);
		if (q[0] & 1) { /* bytes with edges */
			q[0] &= 0x80ff7f00ff0180ff;
			q[1] |= 0x7f80ff00017f80ff;
		}
	}
	memcpy(to, q, 16);
}

void diff_pattern(u8 *data)
{
	struct rng r = {.s = 20};

	for (unsigned n = 0; n < DATA_SIZE; n += 16)
		any_lanes(&r, data + n);
}

static void fill_zone(struct diff_case *k)
{
	for (unsigned n = 0; n < ZONE_SIZE; n += 16) {
		if (rng_one_in(&k->rng, 6)) {
			any_f80(&k->rng, k->zone + n);
			memset(k->zone + n + 10, 0x5a, 6);
		} else {
			any_lanes(&k->rng, k->zone + n);
		}
	}
}

/* ---- where operands lie ---- */

static u64 any_target(struct rng *r, unsigned size, enum diff_mode mode)
{
	u64 zone = ZONE_BASE + 64 + rng_below(r, ZONE_SIZE - 192), align = size >= 64   ? 64
	                                                                   : size >= 32 ? 32
	                                                                   : size >= 16 ? 16
	                                                                                : 8;

	size = size ? size : 1;
	if (size > ZONE_SIZE)
		size = 64;
	switch (rng_below(r, 32)) {
	case 0:
	case 1:
	case 2: return DATA_BASE + PAGE_SIZE - rng_below(r, size + 1);
	case 3: return DATA_BASE + DATA_WRITE - rng_below(r, size + 2);
	case 4: return DATA_BASE - rng_below(r, size * 2 + 1);
	case 5: return DATA_BASE + DATA_SIZE - rng_below(r, size + 2);
	case 6:
		if (mode == DIFF_64 && rng_one_in(r, 2))
			return (rng_one_in(r, 2) ? 0x800000000000ull : 0xffff800000000000ull) - rng_below(r, size + 2);
		return DATA_BASE + DATA_WRITE + rng_below(r, PAGE_SIZE);
	default: return rng_one_in(r, 4) ? zone : zone & ~(align - 1);
	}
}

struct place {
	struct diff_case *k;
	enum diff_mode mode;
	u32 set; /* registers that are spoken for */
};

static u64 segment_base(const struct place *p, ZydisRegister seg)
{
	unsigned n = seg == ZYDIS_REGISTER_NONE ? SEG_DS : (unsigned)ZydisRegisterGetId(seg);

	if (p->mode == DIFF_64 && n != SEG_GS)
		return 0;
	return segments[p->mode][n].base;
}

static unsigned gpr(ZydisRegister r)
{
	return (unsigned)ZydisRegisterGetId(ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r));
}

/* An absolute or RIP-relative displacement: patch it. */
static void patch_displacement(struct place *p, u64 target)
{
	struct diff_case *k = p->k;
	unsigned size = k->zi.raw.disp.size / 8u;

	if (size >= 2)
		memcpy(k->bytes + k->zi.raw.disp.offset, &target, size);
}

static void place_index_vector(struct place *p, const ZydisDecodedOperand *op)
{
	union vec *v = &p->k->in.v[ZydisRegisterGetId(op->mem.index)];
	bool quads = strstr(p->k->row->form, "GATHERQ") != NULL;

	for (unsigned n = 0; n < 8; n++) {
		s64 x = (s64)rng_below(&p->k->rng, 64) - 32;

		if (rng_one_in(&p->k->rng, 60))
			x = (s64)rng_next(&p->k->rng);
		if (quads)
			v->q[n & 3] = (u64)x;
		else
			v->d[n] = (u32)x;
	}
}

static u64 place_index(struct place *p, const ZydisDecodedOperand *op)
{
	unsigned x;

	if (op->mem.index == ZYDIS_REGISTER_NONE)
		return 0;
	if (ZydisRegisterGetClass(op->mem.index) == ZYDIS_REGCLASS_XMM ||
	    ZydisRegisterGetClass(op->mem.index) == ZYDIS_REGCLASS_YMM) {
		place_index_vector(p, op);
		return 0;
	}
	x = gpr(op->mem.index);
	if (op->mem.index == ZYDIS_REGISTER_AL)
		return p->k->in.r[REG_RAX] & 0xff;
	if (!(p->set >> x & 1) && x != REG_RSP && rng_below(&p->k->rng, 4))
		p->k->in.r[x] = (u64)sign_extend(rng_next(&p->k->rng), 12);
	p->set |= 1u << x;
	return p->k->in.r[x] * (op->mem.scale ? op->mem.scale : 1u);
}

static void place_operand(struct place *p, const ZydisDecodedOperand *op)
{
	struct diff_case *k = p->k;
	u64 base = segment_base(p, op->mem.segment), target = any_target(&k->rng, op->size / 8, p->mode), mask = ~0ull;
	unsigned b;

	/* AMD's check the offset, too, around the canonical boundary when there is a segment base. */
	if (base && target > DATA_BASE + DATA_SIZE)
		target = DATA_BASE + PAGE_SIZE;
	target -= base;

	if (k->zi.address_width == 16)
		mask = 0xffff;
	else if (k->zi.address_width == 32)
		mask = 0xffffffff;
	if (op->mem.base == ZYDIS_REGISTER_RIP || op->mem.base == ZYDIS_REGISTER_EIP) {
		if (rng_below(&k->rng, 16))
			patch_displacement(p, target - (k->rip + k->len));
		return;
	}
	if (op->mem.base == ZYDIS_REGISTER_NONE && (op->mem.index == ZYDIS_REGISTER_NONE || op->mem.scale == 0)) {
		if (rng_below(&k->rng, 16))
			patch_displacement(p, target);
		return;
	}
	target -= place_index(p, op);
	target -= (u64)op->mem.disp.value;
	b = op->mem.base == ZYDIS_REGISTER_NONE ? gpr(op->mem.index) : gpr(op->mem.base);
	if (p->set >> b & 1)
		return;
	p->set |= 1u << b;
	k->in.r[b] = target & mask;
	if (mask != ~0ull && p->mode == DIFF_64 && rng_one_in(&k->rng, 3))
		k->in.r[b] |= rng_next(&k->rng) & ~mask;
	if (mask == 0xffff && rng_one_in(&k->rng, 3))
		k->in.r[b] |= rng_next(&k->rng) & 0xffff0000;
}

static void place_memory(struct place *p)
{
	struct diff_case *k = p->k;

	/* POP m, CALL m: the address may use the stack pointer, so explicit operands come first. */
	for (unsigned n = 0; n < k->zi.operand_count; n++)
		if (k->op[n].type == ZYDIS_OPERAND_TYPE_MEMORY)
			place_operand(p, &k->op[n]);
}

/* ---- counts and other operands with a meaning ---- */

static bool is_bit_test(const struct insn_row *row)
{
	return row->mnemonic == ZYDIS_MNEMONIC_BT || row->mnemonic == ZYDIS_MNEMONIC_BTS ||
	       row->mnemonic == ZYDIS_MNEMONIC_BTR || row->mnemonic == ZYDIS_MNEMONIC_BTC;
}

/* Selectors of the local table, present or not, and null ones. */
static void place_selector(struct place *p)
{
	struct diff_case *k = p->k;
	const ZydisDecodedOperand *op = &k->op[k->zi.operand_count_visible - 1];
	u64 v = rng_below(&k->rng, DIFF_LDT_SIZE + 1) << 3 | 4 | (rng_one_in(&k->rng, 5) ? rng_below(&k->rng, 4) : 3);

	if (rng_one_in(&k->rng, 8))
		v = rng_below(&k->rng, 4);
	k->in.r[gpr(op->reg.value)] = v | (rng_next(&k->rng) & ~0xffffull);
}

static void place_counts(struct place *p)
{
	struct diff_case *k = p->k;
	struct rng *r = &k->rng;
	u64 *cx = &k->in.r[REG_RCX];

	if (rule_is_rep(k)) {
		*cx = rng_one_in(r, 16) ? rng_below(r, 80) : rng_below(r, 8);
		if (k->zi.address_width < 64 && rng_one_in(r, 4))
			*cx |= rng_next(r) << k->zi.address_width;
		return;
	}
	if (!(p->set >> REG_RCX & 1) && rng_one_in(r, 2))
		*cx = (*cx & ~0xffull) | rng_below(r, 70);
	if ((k->row->mnemonic == ZYDIS_MNEMONIC_SHLD || k->row->mnemonic == ZYDIS_MNEMONIC_SHRD) && k->op[0].size == 16)
		*cx = (*cx & ~0xffull) | rng_below(r, 17);
	if (is_bit_test(k->row) && k->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER && rng_below(r, 4)) {
		unsigned x = gpr(k->op[1].reg.value);

		if (!(p->set >> x & 1))
			k->in.r[x] = (u64)sign_extend(rng_next(r), 11);
	}
	if ((k->row->mnemonic == ZYDIS_MNEMONIC_DIV || k->row->mnemonic == ZYDIS_MNEMONIC_IDIV) && rng_below(r, 4) &&
	    !(p->set >> REG_RDX & 1)) {
		k->in.r[REG_RDX] = rng_one_in(r, 2) ? rng_below(r, 3) : k->in.r[REG_RAX] >> 63 ? ~0ull : 0;
		if (k->op[0].size < 64)
			k->in.r[REG_RDX] = sign_extend(k->in.r[REG_RAX], k->op[0].size) < 0 ? ~0ull : rng_below(r, 2);
	}
}

/* Memory images that mostly pass their checks. */
static void put_image(struct diff_case *k, u64 at, bool xsave)
{
	u8 *z = k->zone;
	struct rng *r = &k->rng;
	u64 bv = rng_next(r) & 7, comp = 0;
	u32 mxcsr = (u32)rng_next(r) & 0xffff;

	k->zone_base = at;
	memcpy(z, &(u16){(u16)(0x40 | (rng_next(r) & 0xf3f))}, 2);
	memcpy(z + 24, &mxcsr, 4);
	if (!xsave)
		return;
	if (rng_one_in(r, 2)) {
		comp = BIT(63) | bv | (rng_next(r) & 7);
		bv &= comp;
	}
	if (rng_below(r, 8)) {
		memset(z + 512, 0, 64);
		memcpy(z + 512, &bv, 8);
		memcpy(z + 520, &comp, 8);
	}
}

static void place_images(struct place *p)
{
	struct diff_case *k = p->k;
	const char *f = k->row->form;
	bool xsave = !strncmp(f, "XSAVE", 5) || !strncmp(f, "XRSTOR", 6);

	if (!xsave && strncmp(f, "FX", 2) != 0 && strncmp(f, "FRSTOR", 6) != 0 && strncmp(f, "FLDENV", 6) != 0 &&
	    !strstr(f, "LDMXCSR"))
		return;
	if (xsave) {
		k->in.r[REG_RAX] = rng_below(&k->rng, 8);
		k->in.r[REG_RDX] = 0;
		p->set |= 1u << REG_RAX | 1u << REG_RDX;
	}
	if (strstr(f, "LDMXCSR")) {
		for (unsigned n = 0; n < ZONE_SIZE; n += 4)
			if (rng_below(&k->rng, 8))
				memcpy(k->zone + n, &(u32){(u32)rng_next(&k->rng) & 0x2ffff}, 4);
		return;
	}
	for (unsigned n = 0; n < k->zi.operand_count_visible; n++) {
		const ZydisDecodedOperand *op = &k->op[n];

		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->mem.base == ZYDIS_REGISTER_NONE ||
		    op->mem.base == ZYDIS_REGISTER_RIP || op->mem.base == ZYDIS_REGISTER_EIP || !rng_below(&k->rng, 8))
			continue;
		unsigned b = gpr(op->mem.base);
		u64 at = DATA_BASE + 64 * rng_below(&k->rng, 60);

		if (p->set >> b & 1)
			continue;
		if (p->mode == DIFF_16)
			at = DATA_BASE + 64 * rng_below(&k->rng, 8);
		k->in.r[b] = at - segment_base(p, op->mem.segment) - place_index(p, op) - (u64)op->mem.disp.value;
		p->set |= 1u << b;
		put_image(k, at, xsave);
	}
}

/* ---- the rest of the state ---- */

static void any_flags(struct diff_case *k)
{
	struct rng *r = &k->rng;
	static const u8 ops[] = {CC_FLAGS, CC_ADD, CC_SUB, CC_LOGIC};

	k->in.flags = (u32)rng_next(r) & (FL_ARITH | (rng_one_in(r, 4) ? FL_DF : 0));
	if (rng_one_in(r, 16))
		k->in.flags |= FL_AC;
	k->cc_op = ops[rng_below(r, ARRAY_LEN(ops))];
	k->cc_size = (u8)(1u << rng_below(r, 4));
	k->cc_src1 = low_bytes(any_int(r), k->cc_size);
	k->cc_src2 = low_bytes(any_int(r), k->cc_size);
	k->cc_res = k->cc_op == CC_ADD   ? k->cc_src1 + k->cc_src2
	            : k->cc_op == CC_SUB ? k->cc_src1 - k->cc_src2
	                                 : any_int(r);
	k->cc_res = (u64)sign_extend(k->cc_res, k->cc_size * 8u);
}

static void any_x87(struct diff_case *k)
{
	struct rng *r = &k->rng;
	struct diff_state *s = &k->in;

	s->cw = 0x37f;
	if (rng_one_in(r, 3)) {
		s->cw = (u16)(0x40 | (rng_next(r) & 0xf3f));
		if (rng_below(r, 4))
			s->cw |= 0x3f;
		if ((s->cw & 0x300) == 0x100) /* reserved precision */
			s->cw |= 0x300;
	}
	s->sw = (u16)(rng_next(r) & 0x7f00);
	if (rng_one_in(r, 4))
		s->sw |= (u16)(rng_next(r) & 0x7f & (rng_one_in(r, 4) ? 0x7f : s->cw | 0x40));
	if (s->sw & ~s->cw & 0x3f)
		s->sw |= 0x8080;
	s->tag = (u16)(rng_one_in(r, 2) ? 0xff : rng_next(r) & 0xff);
	for (unsigned n = 0; n < 8; n++) {
		memset(s->st[n], 0, 16);
		any_f80(r, s->st[n]);
	}
}

static void any_vectors(struct diff_case *k)
{
	struct rng *r = &k->rng;
	struct diff_state *s = &k->in;

	s->mxcsr = 0x1f80;
	if (rng_one_in(r, 3))
		s->mxcsr = (u32)(0x1f80 | (rng_next(r) & 0xe07f));
	else if (rng_one_in(r, 4))
		s->mxcsr = (u32)(rng_next(r) & 0xffff);
	if (rng_one_in(r, 20) && has(k->cpu, FEAT_MISALIGNSSE))
		s->mxcsr |= MXCSR_MM_BIT;
	for (unsigned n = 0; n < 16; n++) {
		any_lanes(r, s->v[n].b);
		any_lanes(r, s->v[n].b + 16);
	}
}

static void any_registers(struct diff_case *k, enum diff_mode mode)
{
	for (unsigned n = 0; n < 16; n++)
		k->in.r[n] = any_int(&k->rng);
	if (mode == DIFF_64)
		return;
	for (unsigned n = 0; n < 16; n++)
		k->in.r[n] = n < 8 ? (u32)k->in.r[n] : 0;
}

void gen_state(struct gen *g, struct diff_case *k)
{
	struct place p = {.k = k, .mode = g->mode};

	k->zone_base = ZONE_BASE;
	fill_zone(k);
	any_registers(k, g->mode);
	any_flags(k);
	any_x87(k);
	any_vectors(k);
	k->in.gs_base = segments[g->mode][SEG_GS].base;
	k->careful = rng_one_in(&k->rng, 4);
	k->cold_tlb = rng_one_in(&k->rng, 32);
	if (k->invalid)
		return;
	place_images(&p);
	place_memory(&p);
	place_counts(&p);
	if (rule_reads_selector(k))
		place_selector(&p);
	if (g->mode != DIFF_64)
		for (unsigned n = 0; n < 8; n++)
			k->in.r[n] = (u32)k->in.r[n];
	/* With MXCSR.MM AMD's read only the half that UNPCKL and shift counts use. */
	if (strstr(k->row->form, "UNPCKL") || !strncmp(k->row->form, "PSLL", 4) || !strncmp(k->row->form, "PSR", 3))
		k->in.mxcsr &= ~(u32)MXCSR_MM_BIT;
	/* The sine of the smallest normal value is tiny or it is not: the last place, which is the approximation's, says. */
	if (rule_tolerance(k->row) == TOL_X87_TRANSCENDENTAL && !(k->in.st[0][9] & 0x7f) && k->in.st[0][8] < 2)
		k->in.st[0][8] = 2;
	if (!strncmp(k->row->form, "PUSHF", 5))
		k->careful = true; /* the image has TF, which is how the host steps */
	/* Displacements may have changed. */
	if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(decode_index_decoder(g->cpu->decode, g->cpu->mode), k->bytes, 15,
	                                        &k->zi, k->op)))
		rule_fix_operands(&k->zi, k->op);
}
