/*
 * The handlers of avx2.h.
 */
#include "cpu/exec/avx2.h"

bool avx_match_mem(const struct dec *d)
{
	return vec_is_vex(d) && vec_is_mem(d, 1);
}

bool avx_match_reg(const struct dec *d)
{
	return vec_is_vex(d) && !vec_is_mem(d, 1);
}

/* ---- masked moves: memory is touched, and faults, only where the mask is set ("VMASKMOV") ---- */

void avx_bind_masked(struct insn *i, const struct dec *d)
{
	vec_bind(i, d);
	i->fn = vec_is_mem(d, 0) ? avx_maskstore : avx_maskload;
}

/* Bytes [*first, *end) of the operand cover the selected elements. A set element never straddles them. */
static bool masked_range(u32 m, unsigned element, unsigned *first, unsigned *end)
{
	if (!m)
		return false;
	*first = (unsigned)__builtin_ctz(m) * element;
	*end = (32 - (unsigned)__builtin_clz(m)) * element;
	return true;
}

enum xr avx_maskload(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	u32 m = lanes_movmsk(&c->v[i->r1], i->opsz, op->element);
	union vec r = { 0 };
	unsigned first, end;
	struct span s;
	la_t la;

	if (masked_range(m, op->element, &first, &end)) {
		TRY(vec_part_la(c, i, first, end - first, ACC_READ, &la));
		TRY(mem_span(c, la, end - first, ACC_READ | vec_stack(i), &s));
		for (unsigned k = first; k < end; k += op->element)
			if (m >> k / op->element & 1)
				span_read(c, &s, k - first, &r.b[k], op->element);
	}
	vec_write_reg(c, i, i->r0, &r);
	return XR_OK;
}

enum xr avx_maskstore(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	u32 m = lanes_movmsk(&c->v[i->r1], i->opsz, op->element);
	unsigned first, end;
	struct span s;
	la_t la;

	if (!masked_range(m, op->element, &first, &end))
		return XR_OK;
	TRY(vec_part_la(c, i, first, end - first, ACC_WRITE, &la));
	TRY(mem_span(c, la, end - first, ACC_WRITE | vec_stack(i), &s));
	for (unsigned k = first; k < end; k += op->element)
		if (m >> k / op->element & 1)
			span_write(c, &s, k - first, &c->v[i->r2].b[k], op->element);
	return XR_OK;
}

/* ---- gathers ---- */

void avx_bind_gather(struct insn *i, const struct dec *d)
{
	const ZydisDecodedOperand *m = vec_operand(d, 1);

	vec_bind(i, d);
	i->index = REG_OFF(REG_ZERO);
	i->aux = (u32)ZydisRegisterGetId(m->mem.index);
	i->scale = (u8)(m->mem.scale ? __builtin_ctz(m->mem.scale) : 0);
	i->opsz = d->zi->avx.vector_length == 256 ? 32 : 16;
}

static enum xr gather_element(struct cpu *c, const struct insn *i, u64 index, unsigned size, void *out)
{
	u64 ea = insn_ea(c, i) + (index << i->scale);
	la_t la;

	ea = i->addrsz == 8 ? ea : (u32)ea;
	if (likely(i->flags & INSN_FLAT))
		la = ea + c->sb.base[i->seg];
	else
		TRY(seg_address(c, i->seg, ea, size, ACC_READ, &la));
	if (likely(is_aligned(la, size)))
		return vec_load(c, la, size, vec_stack(i), out);

	/* "This instruction does not perform AC checks." */
	struct span s;

	TRY(mem_span(c, la, size, ACC_READ | vec_stack(i), &s));
	span_read(c, &s, 0, out, size);
	return XR_OK;
}

/*
 * Elements complete one by one, lowest first; a completed one clears its mask element, so that the instruction resumes
 * where it faulted ("VGATHERDPS").
 */
enum xr avx_gather(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	const bool wide = op->flags & VOP_INDEX64;
	const unsigned element = op->element, n = i->opsz / (wide || element == 8 ? 8u : 4u);
	union vec *d = &c->v[i->r0], *m = &c->v[i->r2];
	const union vec *x = &c->v[i->aux];

	if (i->r0 == i->r2 || i->r0 == i->aux || i->r2 == i->aux)
		return fault_ud(c);
	/* The mask's sign bits spread over its elements, so that it reads right after a fault. */
	for (unsigned k = 0; k < n * element; k += element)
		memset(&m->b[k], m->b[k + element - 1] & 0x80 ? 0xff : 0, element);
	for (unsigned k = 0; k < n; k++) {
		if (!(m->b[k * element] & 0x80))
			continue;
		u64 v, index = wide ? x->q[k] : (u64)(s64)(s32)x->d[k];
		TRY(gather_element(c, i, index, element, &v));
		memcpy(&d->b[k * element], &v, element);
		memset(&m->b[k * element], 0, element);
	}
	memset(m, 0, sizeof(*m));
	memset(&d->b[n * element], 0, 32 - n * element);
	return XR_OK;
}

/* ---- others ---- */

/* VEXTRACTF128, VEXTRACTI128 */
enum xr avx_extract128(struct cpu *c, const struct insn *i)
{
	union vec t = { .q = { c->v[i->r2].q[i->imm & 1 ? 2 : 0], c->v[i->r2].q[i->imm & 1 ? 3 : 1] } };

	if (i->flags & INSN_MEM)
		return vec_mem_write(c, i, 16, &t);
	vec_write_reg(c, i, i->r0, &t);
	return XR_OK;
}

/* Memory of half-precision numbers, 8 or 16 bytes. */
static enum xr half_span(struct cpu *c, const struct insn *i, unsigned access, struct span *s)
{
	la_t la;

	TRY(insn_la(c, i, i->memsz, access, &la));
	if (quirk(c, QUIRK_VEC_CHECKS_ALIGNMENT))
		TRY(alignment_check(c, la, i->memsz, i->memsz));
	return mem_span(c, la, i->memsz, access | vec_stack(i), s);
}

enum xr avx_cvtph2ps(struct cpu *c, const struct insn *i)
{
	union vec t, r;
	struct span s;

	if (likely(!(c->rflags & FL_AC) || !(i->flags & INSN_MEM)))
		return vec_fp(c, i);
	TRY(half_span(c, i, ACC_READ, &s));
	span_read(c, &s, 0, &t, i->memsz);
	TRY(vec_fp_flags(c, hostfp_cvtph2ps(&r, &t, &t, i->opsz, c->mxcsr, 0)));
	vec_write_reg(c, i, i->r0, &r);
	return XR_OK;
}

/* Processors differ in what comes first, the faults of the memory form or the exceptions. */
enum xr avx_cvtps2ph(struct cpu *c, const struct insn *i)
{
	bool raises_first = !(i->flags & INSN_MEM) || quirk(c, QUIRK_VCVTPS2PH_RAISES_FIRST);
	unsigned imm = (u8)i->imm | (quirk(c, QUIRK_VCVTPS2PH_DENORMAL_PE) ? HOSTFP_DENORMAL_INEXACT : 0);
	union vec r;
	u32 raised = hostfp_cvtps2ph(&r, &c->v[i->r2], &c->v[i->r2], i->opsz, c->mxcsr, imm);
	struct span s;

	if (raises_first)
		TRY(vec_fp_flags(c, raised));
	if (!(i->flags & INSN_MEM)) {
		vec_write_reg(c, i, i->r0, &r);
		return XR_OK;
	}
	TRY(half_span(c, i, ACC_WRITE, &s));
	if (!raises_first)
		TRY(vec_fp_flags(c, raised));
	span_write(c, &s, 0, &r, i->memsz);
	return XR_OK;
}

/* Outside 64-bit mode only the first eight registers exist ("VZEROALL", "VZEROUPPER"). */
enum xr avx_zeroall(struct cpu *c, const struct insn *i)
{
	(void)i;
	memset(c->v, 0, mode64(c) ? sizeof(c->v) : sizeof(c->v) / 2);
	return XR_OK;
}

enum xr avx_zeroupper(struct cpu *c, const struct insn *i)
{
	(void)i;
	for (unsigned n = 0; n < (mode64(c) ? 16u : 8u); n++)
		c->v[n].q[2] = c->v[n].q[3] = 0;
	return XR_OK;
}
