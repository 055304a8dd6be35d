/*
 * MMX and the SSE, SSE2 and SSSE3 instructions on MMX registers. The lanes are lanes.h's kernels at 8 bytes,
 * conversions are hostfp.h's; what is MMX's own is the aliasing with the x87 stack: every instruction but EMMS sets
 * TOP to 0 and all tags to valid, and a written register gets an exponent of all ones ("Effect of MMX Instructions on
 * x87 FPU State").
 */
#include "cpu/exec/fpu.h"
#include "cpu/exec/sse.h"

#define MM_BYTES 8

/* ---- operands ---- */

/* The last source: a register, or memory (4 bytes for PUNPCKL*, else 8). */
static enum xr source(struct cpu *c, const struct insn *i, u64 *v)
{
	u32 v32;

	if (!(i->flags & INSN_MEM)) {
		*v = mm_get(c, i->r1);
		return XR_OK;
	}
	if (i->memsz != 4)
		return op_read64(c, i, v);
	TRY(op_read32(c, i, &v32));
	*v = v32;
	return XR_OK;
}

/* ---- lane kernels ---- */

static enum xr mm_lane(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	u64 a, b, d;

	TRY(source(c, i, &b));
	a = mm_get(c, i->r0);
	op->lane(&d, &a, &b, MM_BYTES);
	mm_set(c, i->r0, d);
	return XR_OK;
}

static enum xr mm_lane_imm(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	u64 a, b, d;

	TRY(source(c, i, &b));
	a = mm_get(c, i->r0);
	op->imm(&d, &a, &b, MM_BYTES, (u8)i->imm);
	mm_set(c, i->r0, d);
	return XR_OK;
}

/* Shifts by an immediate: the only operand is source and destination. */
static enum xr mm_shift_imm(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	u64 a = mm_get(c, i->r0), d;

	op->imm(&d, &a, &a, MM_BYTES, (u8)i->imm);
	mm_set(c, i->r0, d);
	return XR_OK;
}

/* ---- moves ---- */

/* MOVQ mm, mm/m64 */
static enum xr mm_load(struct cpu *c, const struct insn *i)
{
	u64 v;

	TRY(source(c, i, &v));
	mm_set(c, i->r0, v);
	return XR_OK;
}

/* MOVQ m64, mm; MOVNTQ */
static enum xr mm_store(struct cpu *c, const struct insn *i)
{
	if (quirk(c, QUIRK_MMX_STORE_TOP_FIRST))
		c->fpu.top = 0;
	TRY(op_write64(c, i, mm_get(c, i->r1)));
	mm_touch(c);
	return XR_OK;
}

/* MOVD and MOVQ between mm and a general register or memory; aux is the size in bytes. */
static enum xr mm_from_gpr(struct cpu *c, const struct insn *i)
{
	u64 v;

	if (i->flags & INSN_MEM)
		TRY(op_read(c, i, i->aux, &v));
	else
		v = reg_get(c, i->r1, i->aux);
	mm_set(c, i->r0, v);
	return XR_OK;
}

static enum xr mm_to_gpr(struct cpu *c, const struct insn *i)
{
	u64 v = low_bytes(mm_get(c, i->r1), i->aux);

	if (quirk(c, QUIRK_MMX_STORE_TOP_FIRST))
		c->fpu.top = 0;
	if (i->flags & INSN_MEM)
		TRY(op_write(c, i, i->aux, v));
	else
		reg_set(c, i->r0, i->aux, v);
	mm_touch(c);
	return XR_OK;
}

static void bind_gpr(struct insn *i, const struct dec *d)
{
	const ZydisDecodedOperand *op = vec_operand(d, 0);

	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_MMX)
		op = vec_operand(d, 1);
	i->aux = op->size == 64 ? 8 : 4;
}

static enum xr mm_pinsrw(struct cpu *c, const struct insn *i)
{
	unsigned at = (unsigned)(i->imm & 3) * 16;
	u64 v;
	u16 w;

	if (i->flags & INSN_MEM)
		TRY(op_read16(c, i, &w));
	else
		w = reg16(c, i->r1);
	v = mm_get(c, i->r0) & ~(0xffffull << at);
	mm_set(c, i->r0, v | (u64)w << at);
	return XR_OK;
}

static enum xr mm_pextrw(struct cpu *c, const struct insn *i)
{
	set_reg32(c, i->r0, (u16)(mm_get(c, i->r1) >> (i->imm & 3) * 16));
	mm_touch(c);
	return XR_OK;
}

static enum xr mm_pmovmskb(struct cpu *c, const struct insn *i)
{
	u64 v = mm_get(c, i->r1);

	set_reg32(c, i->r0, lanes_movmsk(&v, MM_BYTES, 1));
	mm_touch(c);
	return XR_OK;
}

static enum xr mm_movq2dq(struct cpu *c, const struct insn *i)
{
	c->v[i->r0].q[0] = mm_get(c, i->r1);
	c->v[i->r0].q[1] = 0;
	mm_touch(c);
	return XR_OK;
}

static enum xr mm_movdq2q(struct cpu *c, const struct insn *i)
{
	mm_set(c, i->r0, c->v[i->r1].q[0]);
	return XR_OK;
}

/* The destination is DS:rDI (DS may be overridden), an operand that is not written down. */
static void bind_maskmovq(struct insn *i, const struct dec *d)
{
	unsigned k;

	i->seg = SEG_DS;
	for (k = 0; k < d->zi->operand_count; k++)
		if (d->op[k].type == ZYDIS_OPERAND_TYPE_MEMORY && d->op[k].mem.segment != ZYDIS_REGISTER_NONE)
			i->seg = (u8)ZydisRegisterGetId(d->op[k].mem.segment);
	i->base = REG_OFF(REG_RDI);
	i->index = REG_OFF(REG_ZERO);
	i->scale = 0;
	i->disp = 0;
}

/* Only selected bytes are translated and written: all of them or, on a fault, none. */
static enum xr mm_maskmovq(struct cpu *c, const struct insn *i)
{
	u64 data = mm_get(c, i->r0), select = mm_get(c, i->r1);
	u32 bytes = lanes_movmsk(&select, MM_BYTES, 1);
	unsigned first, last, k;
	struct span s;
	la_t la;

	mm_touch(c); /* before a fault, on processors of both makers */
	if (bytes) {
		first = (unsigned)__builtin_ctz(bytes);
		last = 31 - (unsigned)__builtin_clz(bytes);
		TRY(vec_part_la(c, i, first, last + 1 - first, ACC_WRITE, &la));
		TRY(mem_span(c, la, last + 1 - first, ACC_WRITE | stack_access(i), &s));
		for (k = first; k <= last; k++)
			if (bytes >> k & 1)
				span_write(c, &s, k - first, (const u8 *)&data + k, 1);
	}
	return XR_OK;
}

static enum xr mm_emms(struct cpu *c, const struct insn *i)
{
	(void)i;
	c->fpu.top = 0;
	c->fpu.tag = 0;
	return XR_OK;
}

/* ---- conversions ---- */

/*
 * CVTPI2PS, CVTPI2PD. The upper integers are zero: exact, they raise nothing. With a memory operand there is no
 * transition to MMX ("CVTPI2PD"). DEVIATION: Intel's text for CVTPI2PS does not make that exception; processors of
 * both makers do.
 */
static enum xr mm_to_fp(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	union vec t = {0}, r;

	TRY(source(c, i, &t.q[0]));
	if (!(i->flags & INSN_MEM))
		mm_touch(c);
	TRY(vec_fp_flags(c, op->fp(&r, &c->v[i->r0], &t, 16, c->mxcsr, 0)));
	memcpy(&c->v[i->r0], &r, op->element);
	return XR_OK;
}

/* CVTPS2PI and its truncating form: 8 bytes of source; CVTPD2PI: 16, aligned in memory. */
static enum xr mm_from_fp(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	union vec t = {0}, r;

	if (!(i->flags & INSN_MEM))
		memcpy(&t, &c->v[i->r1], op->element);
	else if (op->element == 8)
		TRY(op_read64(c, i, &t.q[0]));
	else
		TRY(vec_mem_read(c, i, 16, &t));
	mm_touch(c); /* before an exception, on processors of both makers */
	TRY(vec_fp_flags(c, op->fp(&r, &t, &t, 16, c->mxcsr, 0)));
	mm_set(c, i->r0, r.q[0]);
	return XR_OK;
}

static void bind_from_fp(struct insn *i, const struct dec *d)
{
	const struct vop *op = d->row->op;

	/* The alignment rule of vec_mem_read(). */
	i->aux = op->element == 16 ? 15 | (has(d->cpu, FEAT_MISALIGNSSE) ? VEC_MM : 0u) : 0;
}

/* ---- rows ---- */

static bool is_mm(const struct dec *d, unsigned n)
{
	const ZydisDecodedOperand *op = vec_operand(d, n);

	return op && op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_MMX;
}
static bool is_gpr(const struct dec *d, unsigned n)
{
	const ZydisDecodedOperand *op = vec_operand(d, n);
	ZydisRegisterClass cl;

	if (!op || op->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	cl = ZydisRegisterGetClass(op->reg.value);
	return cl == ZYDIS_REGCLASS_GPR32 || cl == ZYDIS_REGCLASS_GPR64;
}

static bool match_mm(const struct dec *d)
{
	return is_mm(d, 0);
}
static bool match_mm_imm(const struct dec *d)
{
	const ZydisDecodedOperand *op = vec_operand(d, 1);

	return is_mm(d, 0) && op && op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
}
static bool match_src_mm(const struct dec *d)
{
	return is_mm(d, 1);
}
static bool match_mem_dst(const struct dec *d)
{
	return is_mm(d, 1) && vec_is_mem(d, 0);
}
/* MOVQ: 0F 6E and 0F 7E are the general-register forms (with REX.W), 0F 6F and 0F 7F the 64-bit moves. */
static bool match_load_gpr(const struct dec *d)
{
	return is_mm(d, 0) && (is_gpr(d, 1) || d->zi->opcode == 0x6e);
}
static bool match_store_gpr(const struct dec *d)
{
	return is_mm(d, 1) && (is_gpr(d, 0) || d->zi->opcode == 0x7e);
}
static bool match_src_mem(const struct dec *d)
{
	return vec_is_mem(d, 1);
}

/* clang-format off */
#define ROW_AS(M, FEAT, FORM, MATCH, BIND, FN, FLAGS, ...) \
	{ .mnemonic = ZYDIS_MNEMONIC_##M, .flags = FLAGS, .feature = FEAT_##FEAT, .form = FORM, .match = MATCH, \
	  .bind = BIND, .fn = FN, .op = VOP(__VA_ARGS__) },
#define LANE(M, FEAT, KERNEL) ROW_AS(M, FEAT, #M " mm", match_mm, NULL, mm_lane, ROW_MMX, .lane = lanes_##KERNEL)
#define LANE_IMM(M, FEAT, KERNEL) \
	ROW_AS(M, FEAT, #M " mm", match_mm, NULL, mm_lane_imm, ROW_MMX, .imm = lanes_##KERNEL)
#define SHIFT(M, KERNEL) \
	ROW_AS(M, MMX, #M " mm, imm8", match_mm_imm, NULL, mm_shift_imm, ROW_MMX, .imm = lanes_##KERNEL##_i) \
	LANE(M, MMX, KERNEL)
#define MOVE(M, FEAT, FORM, MATCH, BIND, FN) ROW_AS(M, FEAT, FORM, MATCH, BIND, FN, ROW_MMX, .bytes = 0)
#define CONVERT(M, FEAT, FORM, MATCH, BIND, FN, FLAGS, KERNEL, ELEMENT) \
	ROW_AS(M, FEAT, FORM, MATCH, BIND, FN, FLAGS, .fp = hostfp_##KERNEL, .element = ELEMENT)
#define FROM_FP(M, FEAT, FORM, KERNEL, ELEMENT) \
	CONVERT(M, FEAT, FORM, NULL, bind_from_fp, mm_from_fp, ROW_MMX | ROW_SSE, KERNEL, ELEMENT)

static const struct insn_row rows[] = {
	LANE(PADDB, MMX, paddb) LANE(PADDW, MMX, paddw) LANE(PADDD, MMX, paddd) LANE(PADDQ, SSE2, paddq)
	LANE(PSUBB, MMX, psubb) LANE(PSUBW, MMX, psubw) LANE(PSUBD, MMX, psubd) LANE(PSUBQ, SSE2, psubq)
	LANE(PADDSB, MMX, paddsb) LANE(PADDSW, MMX, paddsw) LANE(PADDUSB, MMX, paddusb) LANE(PADDUSW, MMX, paddusw)
	LANE(PSUBSB, MMX, psubsb) LANE(PSUBSW, MMX, psubsw) LANE(PSUBUSB, MMX, psubusb) LANE(PSUBUSW, MMX, psubusw)
	LANE(PAND, MMX, and) LANE(PANDN, MMX, andn) LANE(POR, MMX, or) LANE(PXOR, MMX, xor)
	LANE(PCMPEQB, MMX, pcmpeqb) LANE(PCMPEQW, MMX, pcmpeqw) LANE(PCMPEQD, MMX, pcmpeqd)
	LANE(PCMPGTB, MMX, pcmpgtb) LANE(PCMPGTW, MMX, pcmpgtw) LANE(PCMPGTD, MMX, pcmpgtd)
	LANE(PMULLW, MMX, pmullw) LANE(PMULHW, MMX, pmulhw) LANE(PMADDWD, MMX, pmaddwd)
	LANE(PACKSSWB, MMX, packsswb) LANE(PACKSSDW, MMX, packssdw) LANE(PACKUSWB, MMX, packuswb)
	LANE(PUNPCKLBW, MMX, punpcklbw) LANE(PUNPCKLWD, MMX, punpcklwd) LANE(PUNPCKLDQ, MMX, punpckldq)
	LANE(PUNPCKHBW, MMX, punpckhbw) LANE(PUNPCKHWD, MMX, punpckhwd) LANE(PUNPCKHDQ, MMX, punpckhdq)
	SHIFT(PSLLW, psllw) SHIFT(PSLLD, pslld) SHIFT(PSLLQ, psllq) SHIFT(PSRLW, psrlw) SHIFT(PSRLD, psrld)
	SHIFT(PSRLQ, psrlq) SHIFT(PSRAW, psraw) SHIFT(PSRAD, psrad)
	/* SSE */
	LANE(PAVGB, SSE, pavgb) LANE(PAVGW, SSE, pavgw) LANE(PMULHUW, SSE, pmulhuw) LANE(PSADBW, SSE, psadbw)
	LANE(PMINUB, SSE, pminub) LANE(PMINSW, SSE, pminsw) LANE(PMAXUB, SSE, pmaxub) LANE(PMAXSW, SSE, pmaxsw)
	LANE_IMM(PSHUFW, SSE, pshufw)
	MOVE(PINSRW, SSE, "PINSRW mm", match_mm, NULL, mm_pinsrw)
	MOVE(PEXTRW, SSE, "PEXTRW r32, mm", match_src_mm, NULL, mm_pextrw)
	MOVE(PMOVMSKB, SSE, "PMOVMSKB r32, mm", match_src_mm, NULL, mm_pmovmskb)
	MOVE(MASKMOVQ, SSE, "MASKMOVQ mm, mm", match_mm, bind_maskmovq, mm_maskmovq)
	MOVE(MOVNTQ, SSE, "MOVNTQ m64, mm", match_src_mm, NULL, mm_store)
	/* SSE2 */
	LANE(PMULUDQ, SSE2, pmuludq)
	ROW_AS(MOVQ2DQ, SSE2, "MOVQ2DQ xmm, mm", NULL, NULL, mm_movq2dq, ROW_MMX | ROW_SSE, .bytes = 0)
	ROW_AS(MOVDQ2Q, SSE2, "MOVDQ2Q mm, xmm", NULL, NULL, mm_movdq2q, ROW_MMX | ROW_SSE, .bytes = 0)
	/* SSSE3 */
	LANE(PSHUFB, SSSE3, pshufb) LANE(PHADDW, SSSE3, phaddw) LANE(PHADDD, SSSE3, phaddd)
	LANE(PHADDSW, SSSE3, phaddsw)
	LANE(PHSUBW, SSSE3, phsubw) LANE(PHSUBD, SSSE3, phsubd) LANE(PHSUBSW, SSSE3, phsubsw)
	LANE(PMADDUBSW, SSSE3, pmaddubsw) LANE(PMULHRSW, SSSE3, pmulhrsw)
	LANE(PSIGNB, SSSE3, psignb) LANE(PSIGNW, SSSE3, psignw) LANE(PSIGND, SSSE3, psignd)
	LANE(PABSB, SSSE3, pabsb) LANE(PABSW, SSSE3, pabsw) LANE(PABSD, SSSE3, pabsd)
	LANE_IMM(PALIGNR, SSSE3, palignr)
	/* moves */
	MOVE(MOVD, MMX, "MOVD mm, r/m32", match_mm, bind_gpr, mm_from_gpr)
	MOVE(MOVD, MMX, "MOVD r/m32, mm", match_src_mm, bind_gpr, mm_to_gpr)
	MOVE(MOVQ, MMX, "MOVQ mm, r/m64", match_load_gpr, bind_gpr, mm_from_gpr)
	MOVE(MOVQ, MMX, "MOVQ r/m64, mm", match_store_gpr, bind_gpr, mm_to_gpr)
	MOVE(MOVQ, MMX, "MOVQ m64, mm", match_mem_dst, NULL, mm_store)
	MOVE(MOVQ, MMX, "MOVQ mm, mm/m64", match_mm, NULL, mm_load)
	MOVE(EMMS, MMX, "EMMS", NULL, NULL, mm_emms)
	/* conversions; element: bytes of floating point */
	CONVERT(CVTPI2PS, SSE, "CVTPI2PS xmm, m64", match_src_mem, NULL, mm_to_fp, ROW_SSE, cvtdq2ps, 8)
	CONVERT(CVTPI2PS, SSE, "CVTPI2PS xmm, mm", NULL, NULL, mm_to_fp, ROW_MMX | ROW_SSE, cvtdq2ps, 8)
	CONVERT(CVTPI2PD, SSE2, "CVTPI2PD xmm, m64", match_src_mem, NULL, mm_to_fp, ROW_SSE, cvtdq2pd, 16)
	CONVERT(CVTPI2PD, SSE2, "CVTPI2PD xmm, mm", NULL, NULL, mm_to_fp, ROW_MMX | ROW_SSE, cvtdq2pd, 16)
	FROM_FP(CVTPS2PI, SSE, "CVTPS2PI mm, xmm/m64", cvtps2dq, 8)
	FROM_FP(CVTTPS2PI, SSE, "CVTTPS2PI mm, xmm/m64", cvttps2dq, 8)
	FROM_FP(CVTPD2PI, SSE2, "CVTPD2PI mm, xmm/m128", cvtpd2dq, 16)
	FROM_FP(CVTTPD2PI, SSE2, "CVTTPD2PI mm, xmm/m128", cvttpd2dq, 16)
};
/* clang-format on */

const struct row_set exec_mmx_rows = {rows, ARRAY_LEN(rows)};
