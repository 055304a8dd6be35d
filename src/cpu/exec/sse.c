/*
 * The operand shapes of sse.h: binding, matching, guest memory, and the handlers that run kernels.
 */
#include "cpu/exec/sse.h"

/* ---- binding ---- */

const ZydisDecodedOperand *vec_operand(const struct dec *d, unsigned n)
{
	for (unsigned k = 0; k < d->zi->operand_count; k++)
		if (d->op[k].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT && n-- == 0)
			return &d->op[k];
	return NULL;
}

bool vec_is_mem(const struct dec *d, unsigned n)
{
	const ZydisDecodedOperand *o = vec_operand(d, n);
	return o && o->type == ZYDIS_OPERAND_TYPE_MEMORY;
}

bool vec_is_vex(const struct dec *d)
{
	return d->zi->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
}

/* The first register of a vector class, else 0. */
static ZydisRegisterClass vector_class(const struct dec *d)
{
	ZydisRegisterClass found = ZYDIS_REGCLASS_INVALID;

	for (unsigned k = 0; k < d->zi->operand_count; k++) {
		const ZydisDecodedOperand *o = &d->op[k];
		if (o->visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT || o->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		ZydisRegisterClass class = ZydisRegisterGetClass(o->reg.value);
		if (class == ZYDIS_REGCLASS_MMX)
			return class;
		if (class == ZYDIS_REGCLASS_XMM || class == ZYDIS_REGCLASS_YMM)
			found = class;
	}
	return found;
}

static bool last_is_imm(const struct dec *d)
{
	unsigned n = 0;
	while (vec_operand(d, n))
		n++;
	return n && vec_operand(d, n - 1)->type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
}

bool vec_match_xmm(const struct dec *d)
{
	return d->zi->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && vector_class(d) == ZYDIS_REGCLASS_XMM;
}

bool vec_match_vex(const struct dec *d)
{
	return vec_is_vex(d);
}

bool vec_match_vex128(const struct dec *d)
{
	return vec_is_vex(d) && d->zi->avx.vector_length != 256;
}

bool vec_match_vex256(const struct dec *d)
{
	return vec_is_vex(d) && d->zi->avx.vector_length == 256;
}

bool vec_match_xmm_imm(const struct dec *d)
{
	return vec_match_xmm(d) && last_is_imm(d);
}

bool vec_match_vex128_imm(const struct dec *d)
{
	return vec_match_vex128(d) && last_is_imm(d);
}

bool vec_match_vex256_imm(const struct dec *d)
{
	return vec_match_vex256(d) && last_is_imm(d);
}

/*
 * "Exceptions type" of the operand: legacy 16-byte memory must be aligned unless the row says otherwise, and MXCSR.MM
 * lifts that for everything but the aligned moves; VEX forms only if the row says so.
 */
static u32 alignment(const struct insn *i, const struct vop *op, const struct dec *d)
{
	if (op->flags & VOP_SHA && quirk(d->cpu, QUIRK_SHA_UNALIGNED))
		return 0;
	if (op->flags & VOP_ALIGNED)
		return i->memsz - 1u;
	if (i->flags & INSN_VEX || op->flags & VOP_UNALIGNED || i->memsz != 16)
		return 0;
	return 15 | VEC_MM;
}

static bool is_gpr(const ZydisDecodedOperand *o)
{
	return o->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(o->reg.value) >= ZYDIS_REGCLASS_GPR8 &&
	       ZydisRegisterGetClass(o->reg.value) <= ZYDIS_REGCLASS_GPR64;
}

/* PCMPESTRx: REX.W or VEX.W makes the lengths RAX and RDX. */
static bool wide_lengths(const struct dec *d)
{
	for (unsigned k = 0; k < d->zi->operand_count; k++)
		if (d->op[k].type == ZYDIS_OPERAND_TYPE_REGISTER && d->op[k].reg.value == ZYDIS_REGISTER_RAX)
			return (d->mode & MODE_SIZE) == MODE_64; /* elsewhere VEX.W is ignored */
	return false;
}

/* VPINSRD and VPEXTRD, which VEX.W makes VPINSRQ and VPEXTRQ. */
static bool wide_is_undefined(const struct dec *d)
{
	return (d->zi->mnemonic == ZYDIS_MNEMONIC_VPINSRD || d->zi->mnemonic == ZYDIS_MNEMONIC_VPEXTRD) &&
	       d->zi->raw.vex.W && quirk(d->cpu, QUIRK_PINSRD_W_UD);
}

void vec_bind(struct insn *i, const struct dec *d)
{
	const struct vop *op = d->row->op;
	u8 slot[4] = { i->r0, i->r1, i->r2, i->r3 }, length = 16;
	unsigned n = 0;
	const ZydisDecodedOperand *o;

	i->fn = wide_is_undefined(d) ? NULL : d->row->fn;
	if (vec_is_vex(d)) {
		i->flags |= INSN_VEX;
		length = d->zi->avx.vector_length == 256 ? 32 : 16;
	}
	for (; (o = vec_operand(d, n)) && o->type != ZYDIS_OPERAND_TYPE_IMMEDIATE; n++) {
		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY)
			i->memsz = (u8)(o->size / 8);
		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY || n == 0 || is_gpr(o))
			i->imm2 = (u8)(o->size / 8);
	}
	o = vec_operand(d, 0);
	if (o && is_gpr(o))
		i->imm2 = (u8)(o->size / 8);
	i->cc = o && o->type == ZYDIS_OPERAND_TYPE_REGISTER && o->size == 256 ? 32 : 16;
	if (n <= 2) {
		i->r2 = n == 2 ? slot[1] : slot[0];
		i->r1 = slot[0];
	}
	i->opsz = op->bytes ? op->bytes : length;
	i->aux = alignment(i, op, d);
	if (i->fn == vec_cmpstr)
		i->imm2 = wide_lengths(d) ? 8 : 4;
	if (op->legacy_imm && !(i->flags & INSN_VEX))
		i->imm &= op->legacy_imm;
	if (op->imm == lanes_insertps && i->flags & INSN_MEM)
		i->imm &= 0x3f;
}

/* ---- memory, where the L1 has no answer ---- */

static enum xr vec_alignment(struct cpu *c, la_t la, unsigned size)
{
	return quirk(c, QUIRK_VEC_CHECKS_ALIGNMENT) ? alignment_check(c, la, size, 16) : XR_OK;
}

enum xr vec_read_slow(struct cpu *c, la_t la, unsigned size, unsigned access, void *out)
{
	struct span s;

	if (size <= 8)
		return mmu_read_slow(c, la, size, access, out);
	TRY(vec_alignment(c, la, size));
	TRY(mem_span(c, la, size, access, &s));
	span_read(c, &s, 0, out, size);
	return XR_OK;
}

enum xr vec_write_slow(struct cpu *c, la_t la, unsigned size, unsigned access, const void *in)
{
	struct span s;

	if (size <= 8)
		return mmu_write_slow(c, la, size, access, in);
	TRY(vec_alignment(c, la, size));
	TRY(mem_span(c, la, size, access, &s));
	span_write(c, &s, 0, in, size);
	return XR_OK;
}

/* ---- integer kernels ---- */

enum xr vec_lane(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	const union vec *b;
	union vec t;

	TRY(vec_source(c, i, &t, &b));
	op->lane(&c->v[i->r0], &c->v[i->r1], b, i->opsz);
	vec_finish(c, i, i->r0);
	return XR_OK;
}

enum xr vec_lane_imm(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	const union vec *b;
	union vec t;

	TRY(vec_source(c, i, &t, &b));
	op->imm(&c->v[i->r0], &c->v[i->r1], b, i->opsz, (u8)i->imm);
	vec_finish(c, i, i->r0);
	return XR_OK;
}

/* The mask is XMM0 in the legacy forms, the fourth operand in the VEX ones. */
enum xr vec_blendv(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	const union vec *b;
	union vec t;

	TRY(vec_source(c, i, &t, &b));
	lanes_blendv(&c->v[i->r0], &c->v[i->r1], b, &c->v[i->flags & INSN_VEX ? i->r3 : 0], i->opsz, op->element);
	vec_finish(c, i, i->r0);
	return XR_OK;
}

/* ---- floating point ---- */

enum xr vec_fp_flags(struct cpu *c, u32 raised)
{
	u32 flags = hostfp_reported(raised, c->mxcsr), unmasked = flags & ~(c->mxcsr >> 7);

	c->mxcsr |= flags;
	if (likely(!unmasked))
		return XR_OK;
	return cpu_fault(c, c->cr4 & CR4_OSXMMEXCPT ? EX_XM : EX_UD, 0);
}

static inline enum xr fp_with(struct cpu *c, const struct insn *i, unsigned imm)
{
	const struct vop *op = i->row->op;
	const union vec *b;
	union vec t, r;

	TRY(vec_source(c, i, &t, &b));
	TRY(vec_fp_flags(c, op->fp(&r, &c->v[i->r1], b, i->opsz, c->mxcsr, imm)));
	vec_write_reg(c, i, i->r0, &r);
	return XR_OK;
}

enum xr vec_fp(struct cpu *c, const struct insn *i)
{
	return fp_with(c, i, (u8)i->imm);
}

enum xr vec_dot(struct cpu *c, const struct insn *i)
{
	return fp_with(c, i, (u8)i->imm | (quirk(c, QUIRK_DP_CROSSWISE) ? HOSTFP_CROSSWISE : 0));
}

enum xr vec_fma(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	const union vec *b;
	union vec t, r = c->v[i->r0];

	TRY(vec_source(c, i, &t, &b));
	TRY(vec_fp_flags(c, op->fp(&r, &c->v[i->r1], b, i->opsz, c->mxcsr, 0)));
	vec_write_reg(c, i, i->r0, &r);
	return XR_OK;
}

/* The source is a general register or memory; VEX.W or REX.W makes it 8 bytes. */
enum xr vec_fp_from_int(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	unsigned size = i->imm2;
	union vec t, r;

	if (i->flags & INSN_MEM)
		TRY(vec_mem_read(c, i, size, &t));
	else
		t.q[0] = reg_get(c, i->r2, size);
	TRY(vec_fp_flags(c, op->fp(&r, &c->v[i->r1], &t, i->opsz, c->mxcsr, size)));
	vec_write_reg(c, i, i->r0, &r);
	return XR_OK;
}

enum xr vec_fp_to_int(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	const union vec *b;
	union vec t, r;

	TRY(vec_source(c, i, &t, &b));
	TRY(vec_fp_flags(c, op->fp(&r, b, b, i->opsz, c->mxcsr, i->imm2)));
	set_reg64(c, i->r0, r.q[0]);
	return XR_OK;
}

enum xr vec_comis(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	const union vec *b;
	union vec t, r;

	TRY(vec_source(c, i, &t, &b));
	TRY(vec_fp_flags(c, op->fp(&r, &c->v[i->r0], b, i->opsz, c->mxcsr, op->flags & VOP_SIGNAL)));
	cc_set_flags(c, (u32)r.q[0]);
	return XR_OK;
}
