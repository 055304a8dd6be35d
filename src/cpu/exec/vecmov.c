/*
 * The moves of vecmov.h.
 */
#include "cpu/exec/vecmov.h"

void vec_bind_move(struct insn *i, const struct dec *d)
{
	const struct vmov *m = d->row->op;

	vec_bind(i, d);
	const ZydisDecodedOperand *last = vec_operand(d, 2) ? vec_operand(d, 2) : vec_operand(d, 1);
	const ZydisRegisterClass first_class = ZydisRegisterGetClass(d->op[0].reg.value);
	if (vec_is_mem(d, 0))
		i->fn = m->store;
	else if (last->type == ZYDIS_OPERAND_TYPE_MEMORY)
		i->fn = m->load;
	else if (first_class == ZYDIS_REGCLASS_GPR32 || first_class == ZYDIS_REGCLASS_GPR64)
		i->fn = m->to_gpr;
	else if (m->from_gpr && ZydisRegisterGetClass(last->reg.value) != ZYDIS_REGCLASS_XMM)
		i->fn = m->from_gpr;
	else
		i->fn = m->rr;
}

enum xr vecmov_copy(struct cpu *c, const struct insn *i)
{
	vec_write_reg(c, i, i->r0, &c->v[i->r2]);
	return XR_OK;
}

enum xr vecmov_load(struct cpu *c, const struct insn *i)
{
	union vec t;

	TRY(vec_mem_read(c, i, i->memsz, &t));
	vec_write_reg(c, i, i->r0, &t);
	return XR_OK;
}

enum xr vecmov_store(struct cpu *c, const struct insn *i)
{
	return vec_mem_write(c, i, i->memsz, &c->v[i->r2]);
}

enum xr vecmov_low(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	union vec t = c->v[i->r1];

	memcpy(&t, &c->v[i->r2], op->element);
	vec_write_reg(c, i, i->r0, &t);
	return XR_OK;
}

enum xr vecmov_quad(struct cpu *c, const struct insn *i)
{
	union vec t = { .q = { c->v[i->r2].q[0] } };

	vec_write_reg(c, i, i->r0, &t);
	return XR_OK;
}

enum xr vecmov_load_low(struct cpu *c, const struct insn *i)
{
	union vec t, r = c->v[i->r1];

	TRY(vec_mem_read(c, i, 8, &t));
	r.q[0] = t.q[0];
	vec_write_reg(c, i, i->r0, &r);
	return XR_OK;
}

enum xr vecmov_load_high(struct cpu *c, const struct insn *i)
{
	union vec t, r = c->v[i->r1];

	TRY(vec_mem_read(c, i, 8, &t));
	r.q[1] = t.q[0];
	vec_write_reg(c, i, i->r0, &r);
	return XR_OK;
}

enum xr vecmov_store_high(struct cpu *c, const struct insn *i)
{
	return vec_mem_write(c, i, 8, &c->v[i->r2].q[1]);
}

enum xr vecmov_from_gpr(struct cpu *c, const struct insn *i)
{
	union vec t = { .q = { reg_get(c, i->r2, i->imm2) } };

	vec_write_reg(c, i, i->r0, &t);
	return XR_OK;
}

enum xr vecmov_to_gpr(struct cpu *c, const struct insn *i)
{
	set_reg64(c, i->r0, low_bytes(c->v[i->r2].q[0], i->imm2));
	return XR_OK;
}

enum xr vecmov_insert(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	union vec t, r = c->v[i->r1];

	if (i->flags & INSN_MEM)
		TRY(vec_mem_read(c, i, op->element, &t));
	else
		t.q[0] = reg64(c, i->r2);
	memcpy(&r.b[(i->imm * op->element) & 15], &t, op->element);
	vec_write_reg(c, i, i->r0, &r);
	return XR_OK;
}

enum xr vecmov_extract(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;
	u64 v = 0;

	memcpy(&v, &c->v[i->r2].b[(i->imm * op->element) & 15], op->element);
	if (i->flags & INSN_MEM)
		return vec_mem_write(c, i, op->element, &v);
	set_reg64(c, i->r0, v);
	return XR_OK;
}

enum xr vecmov_mask(struct cpu *c, const struct insn *i)
{
	const struct vop *op = i->row->op;

	set_reg64(c, i->r0, lanes_movmsk(&c->v[i->r2], i->opsz, op->element));
	return XR_OK;
}

/* ---- MASKMOVDQU ---- */

void vec_bind_masked(struct insn *i, const struct dec *d)
{
	vec_bind(i, d);
	i->seg = SEG_DS;
	for (unsigned k = 0; k < d->zi->operand_count; k++) {
		if (d->op[k].type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		ZydisRegister s = d->op[k].mem.segment;
		if (s >= ZYDIS_REGISTER_ES && s <= ZYDIS_REGISTER_GS)
			i->seg = (u8)(s - ZYDIS_REGISTER_ES);
	}
	i->flags = (u8)(i->flags & ~INSN_MEM);
	if ((d->mode & MODE_SIZE) == MODE_64)
		i->flags |= INSN_FLAT;
	i->base = REG_OFF(REG_RDI);
	i->index = REG_OFF(REG_ZERO);
	i->scale = 0;
	i->disp = 0;
	i->aux = 0;
}

/*
 * Only selected bytes are translated and written; all of them or, on a fault, none. A mask of zeroes touches nothing
 * ("exceptions associated with addressing memory ... are implementation-specific").
 */
enum xr vecmov_masked_bytes(struct cpu *c, const struct insn *i)
{
	const union vec *data = &c->v[i->r0], *m = &c->v[i->r2];
	u32 bytes = lanes_movmsk(m, 16, 1);
	struct span s;
	la_t la;

	if (!bytes)
		return XR_OK;
	unsigned first = (unsigned)__builtin_ctz(bytes), last = 31 - (unsigned)__builtin_clz(bytes);
	TRY(vec_part_la(c, i, first, last + 1 - first, ACC_WRITE, &la));
	TRY(mem_span(c, la, last + 1 - first, ACC_WRITE | vec_stack(i), &s));
	for (unsigned k = first; k <= last; k++)
		if (bytes >> k & 1)
			span_write(c, &s, k - first, &data->b[k], 1);
	return XR_OK;
}
